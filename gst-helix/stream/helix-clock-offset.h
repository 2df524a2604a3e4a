/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The difference of two machines' monotonic clocks, from stamped PING and
 * PONG: of the recent exchanges the one whose error bound is smallest now.
 * The bound of an exchange is half its round trip, and grows with its age by
 * what two free-running quartz clocks may drift apart. Not thread-safe.
 */
#ifndef HELIX_CLOCK_OFFSET_H
#define HELIX_CLOCK_OFFSET_H

#include <glib.h>

#include "helix-protocol.h"

G_BEGIN_DECLS

#define HELIX_CLOCK_OFFSET_SAMPLES 16

typedef struct {
  struct {
    gint64 offset;
    guint64 error, taken;
  } samples[HELIX_CLOCK_OFFSET_SAMPLES];
  guint count; /* ever added since clear */
} HelixClockOffset;

void helix_clock_offset_clear (HelixClockOffset *self);

/* A PONG that arrived at `now` (own clock, ns). FALSE when its stamps cannot
 * be true; it is then ignored. */
gboolean helix_clock_offset_add (
    HelixClockOffset *self, const struct helix_pong *pong, guint64 now);

/* *offset = other clock - own clock, *error its bound, both ns. FALSE before
 * the first exchange. */
gboolean helix_clock_offset_get (
    const HelixClockOffset *self, guint64 now, gint64 *offset, guint64 *error);

G_END_DECLS

#endif /* HELIX_CLOCK_OFFSET_H */

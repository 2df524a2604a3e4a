/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * When to try to connect again: 20 ms after the first failure, twice as long
 * after each further one, 500 ms at most. The longest gap, with its jitter,
 * still leaves the picture back within a second.
 */
#ifndef HELIX_BACKOFF_H
#define HELIX_BACKOFF_H

#include <glib.h>

G_BEGIN_DECLS

#define HELIX_BACKOFF_MIN_NS G_GUINT64_CONSTANT (20000000)
#define HELIX_BACKOFF_MAX_NS G_GUINT64_CONSTANT (500000000)

typedef struct {
  guint64 gap; /* ns before the last attempt, 0 = no attempt failed */
} HelixBackoff;

/* Call this when the connection does what it is for, not when it is made: a
 * peer that accepts and drops connections must not be asked in a hurry. */
static inline void
helix_backoff_reset (HelixBackoff *self)
{
  self->gap = 0;
}

/* An attempt failed at `now`, in ns. Returns when to make the next one: a
 * quarter of the gap earlier or later, so that several clients of one server
 * do not come all at once. */
static inline guint64
helix_backoff_next (HelixBackoff *self, guint64 now)
{
  self->gap = CLAMP (self->gap * 2, HELIX_BACKOFF_MIN_NS, HELIX_BACKOFF_MAX_NS);
  return now + self->gap * (guint64) g_random_int_range (75, 126) / 100;
}

G_END_DECLS

#endif /* HELIX_BACKOFF_H */

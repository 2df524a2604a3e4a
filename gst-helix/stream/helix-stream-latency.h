/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How much latency to announce, from how late units arrive. Each change makes
 * a pipeline distribute its latency anew, so it grows by a quarter more than
 * is needed, and shrinks in steps after a time without a late unit; where that
 * proves to have been too soon, the time doubles. No clock of its own.
 */
#ifndef HELIX_STREAM_LATENCY_H
#define HELIX_STREAM_LATENCY_H

#include <glib.h>

G_BEGIN_DECLS

/* The most that is announced, in ns: sinks would wait that long. */
#define HELIX_STREAM_LATENCY_MAX (10 * G_GUINT64_CONSTANT (1000000000))

typedef struct {
  guint64 announced; /* ns */

  /* private, in ns */
  guint64 worst; /* since `since` */
  guint64 since;
  guint64 hold;      /* how long that must be before the latency shrinks */
  guint64 shrunk_at; /* 0: never */
} HelixStreamLatency;

void helix_stream_latency_clear (HelixStreamLatency *self);

/* A unit arrived `late` after it was captured; `now` is helix_now_ns () then.
 * TRUE: `announced` is another. */
gboolean helix_stream_latency_add (
    HelixStreamLatency *self, guint64 late, guint64 now);

G_END_DECLS

#endif /* HELIX_STREAM_LATENCY_H */

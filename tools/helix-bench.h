/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What helix bench received, in figures: units a second, the gaps between them,
 * their age. Pure arithmetic; times in ns.
 */
#ifndef HELIX_BENCH_H
#define HELIX_BENCH_H

#include "helix-histogram.h"
#include "helix-json.h"
#include "helix-protocol.h"

G_BEGIN_DECLS

#define HELIX_BENCH_GAPS 3

typedef struct {
  guint64 began, ended;
  struct helix_stats received; /* in all, but for latency_ns */
  GArray *per_second;          /* guint: units in each whole second */
  guint64 shortest, longest;   /* between two units; NONE64, 0: less than two */
  guint gaps[HELIX_BENCH_GAPS];   /* longer than 50, 100, 200 ms each */
  struct helix_histogram latency; /* capture -> receipt, where known */
  /* private */
  guint64 last; /* when the last unit arrived */
} HelixBenchStats;

/* A stretch of time that begins now. */
HelixBenchStats *helix_bench_stats_new (guint64 began);
void helix_bench_stats_free (HelixBenchStats *self);

/* A unit came. `latency` HELIX_NONE64 = unknown. */
void helix_bench_stats_unit (HelixBenchStats *self, guint64 arrived,
    gsize bytes, gboolean key, guint64 sequence, guint64 latency);
/* The stretch ends: what did not come until now is a gap, too. */
void helix_bench_stats_end (HelixBenchStats *self, guint64 ended);

/* As members of an object. `target`: units a second. */
void helix_bench_stats_json (
    const HelixBenchStats *self, gdouble target, JsonBuilder *json);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HelixBenchStats, helix_bench_stats_free)

G_END_DECLS

#endif /* HELIX_BENCH_H */

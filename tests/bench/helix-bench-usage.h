/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a process has used so far, as the kernel counts it: all its threads,
 * those that ended too (but for switches, which only living threads have).
 */
#ifndef HELIX_BENCH_USAGE_H
#define HELIX_BENCH_USAGE_H

#include <glib.h>

G_BEGIN_DECLS

typedef struct {
  guint64 cpu_ns;                     /* user and system */
  guint64 minor_faults, major_faults; /* pages */
  guint64 sleeps;                     /* voluntary switches: wake-ups */
  guint64 preemptions;                /* involuntary ones */
  guint64 large_allocs, large_bytes;  /* helix-bench-alloc's, or 0 */
} HelixBenchUsage;

/* `alloc_path`: file of helix-bench-alloc that the process counts in, or
 * NULL. FALSE when there is no such process (any more). */
gboolean helix_bench_usage_get (
    HelixBenchUsage *usage, gint pid, const gchar *alloc_path);

/* "NAME_cpu_ns": ..., what was used from one to the other, as members of a
 * JSON object. */
void helix_bench_usage_print (GString *json, const gchar *name,
    const HelixBenchUsage *from, const HelixBenchUsage *to);

G_END_DECLS

#endif /* HELIX_BENCH_USAGE_H */

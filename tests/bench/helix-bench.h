/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the programs of the benchmark share. */
#ifndef HELIX_BENCH_H
#define HELIX_BENCH_H

#include <glib.h>

G_BEGIN_DECLS

/* ---- when each picture was captured ---- */

/*
 * Told from process to process through a mapped file: for ways of transport
 * that carry no such time. Both ends are on one machine, so the clock is the
 * same.
 */

/* Pictures remembered: at 60 a second, 18 minutes. */
#define HELIX_BENCH_PICTURES 65536u

typedef struct {
  guint64 capture_ns[HELIX_BENCH_PICTURES]; /* by number, atomic; 0 = none */
} HelixBenchTable;

/* Makes the file if there is none. Ends the program if it cannot. */
HelixBenchTable *helix_bench_table_open (const gchar *path);

void helix_bench_table_put (
    HelixBenchTable *table, guint32 number, guint64 capture_ns);
/* 0 if nobody told. */
guint64 helix_bench_table_get (HelixBenchTable *table, guint32 number);

/* ---- all ---- */

/* Now, on CLOCK_MONOTONIC, in ns. */
guint64 helix_bench_now (void);
/* An array of guint64 ns with room for that many from the start: what is
 * measured must not allocate on account of it. */
GArray *helix_bench_times_new (guint room);
/* Sorts the times, and appends members to the object that `json` begins:
 * "PREFIXsamples", and PREFIX with p50_ns, p95_ns, p99_ns and max_ns. */
void helix_bench_times_print (
    GString *json, const gchar *prefix, GArray *times);
/* "PROGRAM: text" on stderr, and the end of the program. */
void helix_bench_die (const gchar *format, ...)
    G_GNUC_PRINTF (1, 2) G_GNUC_NORETURN;

G_END_DECLS

#endif /* HELIX_BENCH_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Percentiles of durations in fixed memory: buckets that are 1/16 of their
 * octave wide, so a percentile is at most 6.25 % too high. Not thread-safe.
 */
#ifndef HELIX_HISTOGRAM_H
#define HELIX_HISTOGRAM_H

#include <gst/gst.h>

G_BEGIN_DECLS

#define HELIX_HISTOGRAM_BUCKETS (61 * 16)

typedef struct {
  guint64 count;
  guint64 max; /* ns, exact */
  guint64 buckets[HELIX_HISTOGRAM_BUCKETS];
} HelixHistogram;

void helix_histogram_clear (HelixHistogram *self);
void helix_histogram_add (HelixHistogram *self, guint64 ns);

/* The upper end of the bucket that holds the value which `percent` percent
 * of all do not exceed; never more than max; 0 when empty. */
guint64 helix_histogram_percentile (
    const HelixHistogram *self, gdouble percent);

/* Sets "STAGE-p50", "-p95", "-p99" and "-max" in `stats`: guint64, ns. */
void helix_histogram_store (
    const HelixHistogram *self, GstStructure *stats, const gchar *stage);

G_END_DECLS

#endif /* HELIX_HISTOGRAM_H */

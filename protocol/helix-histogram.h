/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Percentiles of durations in fixed memory: buckets that are 1/16 of their
 * octave wide, so a percentile is at most 6.25 % too high.
 *
 * Thread: one adds; others may read at the same time, and see each number as
 * it was before or after an addition. All fields are 64-bit counters, which
 * can be copied one by one with relaxed loads.
 */
#ifndef HELIX_HISTOGRAM_H
#define HELIX_HISTOGRAM_H

#include <stdint.h>

#define HELIX_HISTOGRAM_BUCKETS (61u * 16u)

/* All zero: nothing was added. */
struct helix_histogram {
  uint64_t count;
  uint64_t sum; /* ns, modulo 2^64 */
  uint64_t max; /* ns, exact */
  uint64_t buckets[HELIX_HISTOGRAM_BUCKETS];
};

void helix_histogram_add (struct helix_histogram *histogram, uint64_t ns);

/* The bucket of a duration, and the longest duration that falls into it. */
uint32_t helix_histogram_bucket (uint64_t ns);
uint64_t helix_histogram_upper (uint32_t bucket);

/* The upper end of the bucket that holds the duration which `percent` percent
 * of all do not exceed, in ns; never more than max; 0 when empty. */
uint64_t helix_histogram_percentile (
    const struct helix_histogram *histogram, double percent);

/* "UPPER:COUNT/UPPER:COUNT..." of the buckets that are not empty, for
 * programs, which can subtract two such texts. Returns: free with free; NULL
 * if there is no memory. */
char *helix_histogram_text (const struct helix_histogram *histogram);

#endif /* HELIX_HISTOGRAM_H */

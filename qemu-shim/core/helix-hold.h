/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How long a flush with a readback held the display thread, which in QEMU is
 * the main loop: counts in buckets that are a quarter of their octave wide,
 * so a percentile is at most 25 % too high. The buckets are part of struct
 * helix_shim_stats and can be subtracted like every other counter.
 */
#ifndef HELIX_HOLD_H
#define HELIX_HOLD_H

#include <stdbool.h>
#include <stdint.h>

/* From 1 us (all below share the first) to a second and beyond (the last). */
#define HELIX_HOLD_BUCKETS 84u

/* Of a duration, ns. */
uint32_t helix_hold_bucket (uint64_t ns);
/* The longest duration that falls into it, ns; HELIX_NONE64 for the last. */
uint64_t helix_hold_upper (uint32_t bucket);
/* What `percent` percent of all durations do not exceed, ns: the upper end of
 * the bucket, `max_ns` at most; 0 when nothing was counted. */
uint64_t helix_hold_percentile (const uint64_t buckets[HELIX_HOLD_BUCKETS],
    uint64_t max_ns, double percent);
/* "UPPER:COUNT/UPPER:COUNT..." of the buckets that are not empty, as text for
 * programs; free with free. NULL: no memory. */
char *helix_hold_text (const uint64_t buckets[HELIX_HOLD_BUCKETS]);

#endif /* HELIX_HOLD_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-histogram.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* log2 of the buckets in an octave */
#define SUB 4u

#define BUCKET_TEXT 42u /* bytes: two 64-bit numbers, two separators */

uint32_t
helix_histogram_bucket (uint64_t ns)
{
  uint32_t octave;

  if (ns < 1u << SUB)
    return (uint32_t) ns;
  octave = 63u - (uint32_t) __builtin_clzll (ns) - SUB;
  return ((octave + 1) << SUB) + (uint32_t) (ns >> octave) - (1u << SUB);
}

uint64_t
helix_histogram_upper (uint32_t bucket)
{
  uint32_t octave = bucket >> SUB;
  uint64_t lower = (bucket & ((1u << SUB) - 1)) + (1u << SUB);

  return octave == 0 ? bucket : ((lower + 1) << (octave - 1)) - 1;
}

static uint64_t
load (const uint64_t *number)
{
  return __atomic_load_n (number, __ATOMIC_RELAXED);
}

/* The caller is the only one that stores. */
static void
store (uint64_t *number, uint64_t value)
{
  __atomic_store_n (number, value, __ATOMIC_RELAXED);
}

void
helix_histogram_add (struct helix_histogram *histogram, uint64_t ns)
{
  uint64_t *bucket = &histogram->buckets[helix_histogram_bucket (ns)];

  store (bucket, *bucket + 1);
  store (&histogram->count, histogram->count + 1);
  store (&histogram->sum, histogram->sum + ns);
  if (ns > histogram->max)
    store (&histogram->max, ns);
}

uint64_t
helix_histogram_percentile (
    const struct helix_histogram *histogram, double percent)
{
  uint64_t max = load (&histogram->max), seen = 0;
  double wanted = percent / 100.0 * (double) load (&histogram->count);

  for (uint32_t i = 0; i < HELIX_HISTOGRAM_BUCKETS; i++) {
    seen += load (&histogram->buckets[i]);
    if (seen > 0 && (double) seen >= wanted) {
      uint64_t upper = helix_histogram_upper (i);

      return upper < max ? upper : max;
    }
  }
  return max;
}

char *
helix_histogram_text (const struct helix_histogram *histogram)
{
  size_t size = HELIX_HISTOGRAM_BUCKETS * BUCKET_TEXT + 1, at = 0;
  char *text = calloc (1, size);

  for (uint32_t i = 0; text && i < HELIX_HISTOGRAM_BUCKETS; i++) {
    uint64_t count = load (&histogram->buckets[i]);

    if (count > 0)
      at += (size_t) snprintf (text + at, size - at, "%s%" PRIu64 ":%" PRIu64,
          at ? "/" : "", helix_histogram_upper (i), count);
  }
  return text;
}

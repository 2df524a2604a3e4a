/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-hold.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "helix-protocol.h"

#define FLOOR 10u       /* log2 ns of where the second octave begins: 1 us */
#define QUARTERS 4u     /* buckets an octave */
#define BUCKET_TEXT 42u /* bytes: two 64-bit numbers, two separators */

uint32_t
helix_hold_bucket (uint64_t ns)
{
  uint32_t octave, bucket;

  if (ns < 1u << FLOOR)
    return 0;
  octave = 63u - (uint32_t) __builtin_clzll (ns);
  bucket = 1 + (octave - FLOOR) * QUARTERS
      + (uint32_t) (ns >> (octave - 2) & (QUARTERS - 1));
  return bucket < HELIX_HOLD_BUCKETS ? bucket : HELIX_HOLD_BUCKETS - 1;
}

uint64_t
helix_hold_upper (uint32_t bucket)
{
  uint32_t octave, quarter;

  if (bucket == 0)
    return (1u << FLOOR) - 1;
  if (bucket >= HELIX_HOLD_BUCKETS - 1)
    return HELIX_NONE64;
  octave = FLOOR + (bucket - 1) / QUARTERS;
  quarter = (bucket - 1) % QUARTERS;
  return ((uint64_t) (QUARTERS + quarter + 1) << (octave - 2)) - 1;
}

uint64_t
helix_hold_percentile (
    const uint64_t buckets[HELIX_HOLD_BUCKETS], uint64_t max_ns, double percent)
{
  uint64_t count = 0, seen = 0;

  for (uint32_t i = 0; i < HELIX_HOLD_BUCKETS; i++)
    count += buckets[i];
  for (uint32_t i = 0; i < HELIX_HOLD_BUCKETS; i++) {
    seen += buckets[i];
    if (seen > 0 && (double) seen >= percent / 100.0 * (double) count) {
      uint64_t upper = helix_hold_upper (i);

      return upper < max_ns ? upper : max_ns;
    }
  }
  return 0;
}

char *
helix_hold_text (const uint64_t buckets[HELIX_HOLD_BUCKETS])
{
  size_t size = HELIX_HOLD_BUCKETS * BUCKET_TEXT + 1, at = 0;
  char *text = calloc (1, size);

  for (uint32_t i = 0; text && i < HELIX_HOLD_BUCKETS; i++)
    if (buckets[i])
      at += (size_t) snprintf (text + at, size - at, "%s%" PRIu64 ":%" PRIu64,
          at ? "/" : "", helix_hold_upper (i), buckets[i]);
  return text;
}

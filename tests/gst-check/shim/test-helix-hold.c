/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include <gst/check/gstcheck.h>

#include "helix-hold.h"
#include "helix-protocol.h"

/* Buckets follow one another without gap or overlap, and none is wider than
 * a quarter of what it holds. */
GST_START_TEST (test_buckets_cover_everything)
{
  uint64_t low = 0;

  for (uint32_t i = 0; i < HELIX_HOLD_BUCKETS; i++) {
    uint64_t upper = helix_hold_upper (i);

    fail_unless_equals_int (helix_hold_bucket (low), i);
    fail_unless_equals_int (helix_hold_bucket (upper), i);
    if (i > 0 && i < HELIX_HOLD_BUCKETS - 1)
      fail_unless (upper - low < low / 4 + 1);
    low = upper + 1;
  }
  fail_unless_equals_uint64 (
      helix_hold_upper (HELIX_HOLD_BUCKETS - 1), HELIX_NONE64);
  /* a second still has a bucket of its own width */
  fail_unless (helix_hold_bucket (1000000000) < HELIX_HOLD_BUCKETS - 1);
}

GST_END_TEST;

GST_START_TEST (test_percentiles)
{
  uint64_t buckets[HELIX_HOLD_BUCKETS] = {0};
  uint64_t p50, p99;

  fail_unless_equals_uint64 (helix_hold_percentile (buckets, 0, 50), 0);
  for (uint64_t us = 1; us <= 1000; us++)
    buckets[helix_hold_bucket (us * 1000)]++;
  p50 = helix_hold_percentile (buckets, 1000000, 50);
  p99 = helix_hold_percentile (buckets, 1000000, 99);
  fail_unless (p50 >= 500000 && p50 <= 625000);
  fail_unless (p99 >= 990000 && p99 <= 1000000);
  fail_unless_equals_uint64 (
      helix_hold_percentile (buckets, 1000000, 100), 1000000);
}

GST_END_TEST;

GST_START_TEST (test_text)
{
  uint64_t buckets[HELIX_HOLD_BUCKETS] = {0};
  char *text = helix_hold_text (buckets);

  fail_unless_equals_string (text, "");
  free (text);
  buckets[0] = 3;
  buckets[2] = 1;
  text = helix_hold_text (buckets);
  fail_unless_equals_string (text, "1023:3/1535:1");
  free (text);
  /* the longest there can be */
  for (uint32_t i = 0; i < HELIX_HOLD_BUCKETS; i++)
    buckets[i] = UINT64_MAX;
  text = helix_hold_text (buckets);
  fail_unless (
      g_str_has_suffix (text, "/18446744073709551615:18446744073709551615"));
  free (text);
}

GST_END_TEST;

static Suite *
hold_suite (void)
{
  Suite *suite = suite_create ("helix-hold");
  TCase *tc = tcase_create ("hold");

  suite_add_tcase (suite, tc);
  tcase_add_test (tc, test_buckets_cover_everything);
  tcase_add_test (tc, test_percentiles);
  tcase_add_test (tc, test_text);
  return suite;
}

GST_CHECK_MAIN (hold);

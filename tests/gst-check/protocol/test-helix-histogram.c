/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include <gst/check/gstcheck.h>

#include "helix-histogram.h"

/* Buckets follow one another without gap or overlap, and none is wider than a
 * sixteenth of the durations in it. */
GST_START_TEST (test_buckets_cover_everything)
{
  uint64_t low = 0;

  for (uint32_t i = 0; i < HELIX_HISTOGRAM_BUCKETS; i++) {
    uint64_t upper = helix_histogram_upper (i);

    fail_unless_equals_int (helix_histogram_bucket (low), i);
    fail_unless_equals_int (helix_histogram_bucket (upper), i);
    fail_unless (upper - low <= low / 16);
    low = upper + 1;
  }
  fail_unless_equals_uint64 (low, 0); /* all 64 bits */
}
GST_END_TEST;

GST_START_TEST (test_percentiles)
{
  struct helix_histogram h = {0};

  fail_unless_equals_uint64 (helix_histogram_percentile (&h, 99), 0);
  for (uint64_t ns = 1; ns <= 100000; ns++)
    helix_histogram_add (&h, ns);
  for (uint32_t percent = 1; percent <= 100; percent++) {
    uint64_t got = helix_histogram_percentile (&h, percent);

    fail_unless (got >= percent * 1000);
    fail_unless (got <= percent * 1000 * 17 / 16);
  }
  fail_unless_equals_uint64 (helix_histogram_percentile (&h, 100), 100000);
  fail_unless_equals_uint64 (h.sum, UINT64_C (100000) * 100001 / 2);
  helix_histogram_add (&h, UINT64_MAX);
  helix_histogram_add (&h, 0);
  fail_unless_equals_uint64 (h.count, 100002);
  fail_unless_equals_uint64 (helix_histogram_percentile (&h, 0), 0);
  fail_unless (helix_histogram_percentile (&h, 100) == UINT64_MAX);
}
GST_END_TEST;

GST_START_TEST (test_text)
{
  struct helix_histogram h = {0};
  char *text = helix_histogram_text (&h);

  fail_unless_equals_string (text, "");
  free (text);
  for (uint32_t i = 0; i < 3; i++)
    helix_histogram_add (&h, 1000);
  helix_histogram_add (&h, 1024);
  text = helix_histogram_text (&h);
  fail_unless_equals_string (text, "1023:3/1087:1");
  free (text);
  /* the longest there can be */
  for (uint32_t i = 0; i < HELIX_HISTOGRAM_BUCKETS; i++)
    h.buckets[i] = UINT64_MAX;
  text = helix_histogram_text (&h);
  fail_unless (
      g_str_has_suffix (text, "/18446744073709551615:18446744073709551615"));
  free (text);
}
GST_END_TEST;

static Suite *
helix_histogram_suite (void)
{
  Suite *s = suite_create ("helix-histogram");
  TCase *tc = tcase_create ("histogram");

  suite_add_tcase (s, tc);
  tcase_add_test (tc, test_buckets_cover_everything);
  tcase_add_test (tc, test_percentiles);
  tcase_add_test (tc, test_text);
  return s;
}

GST_CHECK_MAIN (helix_histogram);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/check/gstcheck.h>

#include "helix-histogram.h"

GST_START_TEST (test_percentiles)
{
  static HelixHistogram h;

  helix_histogram_clear (&h);
  fail_unless_equals_uint64 (helix_histogram_percentile (&h, 99), 0);
  for (guint64 ns = 1; ns <= 100000; ns++)
    helix_histogram_add (&h, ns);
  for (guint percent = 1; percent <= 100; percent++) {
    guint64 got = helix_histogram_percentile (&h, percent);

    fail_unless (got >= percent * 1000);
    fail_unless (got <= percent * 1000 * 17 / 16);
  }
  helix_histogram_add (&h, G_MAXUINT64);
  helix_histogram_add (&h, 0);
  fail_unless_equals_uint64 (h.count, 100002);
  fail_unless_equals_uint64 (helix_histogram_percentile (&h, 0), 0);
  fail_unless (helix_histogram_percentile (&h, 100) == G_MAXUINT64);
}
GST_END_TEST;

/* The names that every element's statistics use. */
GST_START_TEST (test_store)
{
  static HelixHistogram h;
  GstStructure *stats = gst_structure_new_empty ("stats");
  guint64 p50, p95, p99, max;

  helix_histogram_clear (&h);
  helix_histogram_store (&h, stats, "wait");
  fail_unless (gst_structure_get (stats, "wait-p50", G_TYPE_UINT64, &p50,
      "wait-max", G_TYPE_UINT64, &max, NULL));
  fail_unless (p50 == 0 && max == 0);
  for (guint64 ms = 1; ms <= 100; ms++)
    helix_histogram_add (&h, ms * GST_MSECOND);
  helix_histogram_store (&h, stats, "wait");
  fail_unless_equals_int (gst_structure_n_fields (stats), 4);
  fail_unless (gst_structure_get (stats, "wait-p50", G_TYPE_UINT64, &p50,
      "wait-p95", G_TYPE_UINT64, &p95, "wait-p99", G_TYPE_UINT64, &p99,
      "wait-max", G_TYPE_UINT64, &max, NULL));
  fail_unless (p50 >= 50 * GST_MSECOND && p50 < 54 * GST_MSECOND);
  fail_unless (p95 >= 95 * GST_MSECOND && p95 <= 100 * GST_MSECOND);
  fail_unless (p99 >= p95 && p99 <= max);
  fail_unless_equals_uint64 (max, 100 * GST_MSECOND);
  gst_structure_free (stats);
}
GST_END_TEST;

static Suite *
helix_histogram_suite (void)
{
  Suite *s = suite_create ("helix-histogram");
  TCase *tc = tcase_create ("histogram");

  suite_add_tcase (s, tc);
  tcase_add_test (tc, test_percentiles);
  tcase_add_test (tc, test_store);
  return s;
}

GST_CHECK_MAIN (helix_histogram);

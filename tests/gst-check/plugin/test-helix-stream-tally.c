/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/check/gstcheck.h>

#include "helix-stream-tally.h"

static HelixStreamTally tally;
static HelixStreamLink link_now;

static void
setup (void)
{
  memset (&tally, 0, sizeof tally);
  memset (&link_now, 0, sizeof link_now);
}

static guint64
stat_of (const gchar *field)
{
  GstStructure *stats = gst_structure_new_empty ("stats");
  guint64 value = 0;

  helix_stream_tally_store (&tally, stats, TRUE);
  fail_unless (gst_structure_get_uint64 (stats, field, &value), "%s", field);
  gst_structure_free (stats);
  return value;
}

/* Counts go on across connections. */
GST_START_TEST (test_connections)
{
  for (guint i = 0; i < 3; i++) {
    helix_stream_tally_connected (&tally);
    fail_unless (tally.connected);
    link_now.totals = (struct helix_stats){
        .units = 10, .bytes = 1000, .keyframes = 2, .lost = 3};
    link_now.skipped = 4;
    helix_stream_tally_update (&tally, &link_now, 1);
    fail_unless_equals_uint64 (stat_of ("units"), 10 * (i + 1));
    fail_unless_equals_uint64 (stat_of ("reconnects"), i);
    helix_stream_tally_lost (&tally);
    fail_if (tally.connected || tally.clock_known);
  }
  fail_unless_equals_uint64 (stat_of ("units"), 30);
  fail_unless_equals_uint64 (stat_of ("bytes"), 3000);
  fail_unless_equals_uint64 (stat_of ("keyframes"), 6);
  fail_unless_equals_uint64 (stat_of ("lost"), 9);
  fail_unless_equals_uint64 (stat_of ("skipped"), 12);
}
GST_END_TEST;

/* How long units were under way, once the clocks are known. */
GST_START_TEST (test_transit)
{
  struct helix_pong pong = {.ping_ns = 1000 * GST_SECOND};
  guint64 now = pong.ping_ns + 2 * GST_MSECOND;
  GstStructure *stats;
  gint64 offset;

  link_now.received_ns = now;
  link_now.unit.sent_ns = 5 * GST_SECOND;
  helix_stream_tally_update (&tally, &link_now, now);
  helix_stream_tally_arrived (&tally, &link_now);
  fail_unless_equals_uint64 (stat_of ("transit-max"), 0);

  /* The other clock is at 5 s now. */
  pong.received_ns = pong.sent_ns = 5 * GST_SECOND - GST_MSECOND;
  fail_unless (helix_clock_offset_add (&link_now.clock, &pong, now));
  link_now.unit.sent_ns = 5 * GST_SECOND - 7 * GST_MSECOND;
  helix_stream_tally_update (&tally, &link_now, now);
  helix_stream_tally_arrived (&tally, &link_now);
  fail_unless_equals_uint64 (stat_of ("transit-max"), 7 * GST_MSECOND);
  stats = gst_structure_new_empty ("stats");
  helix_stream_tally_store (&tally, stats, FALSE);
  fail_unless (
      gst_structure_get (stats, "clock-offset", G_TYPE_INT64, &offset, NULL));
  fail_unless (offset == (gint64) (5 * GST_SECOND - now));
  fail_if (gst_structure_has_field (stats, "units"));
  gst_structure_free (stats);
  /* From the future, by the error of the estimate: no time at all. */
  link_now.unit.sent_ns = 6 * GST_SECOND;
  helix_stream_tally_arrived (&tally, &link_now);
  fail_unless_equals_uint64 (stat_of ("transit-max"), 7 * GST_MSECOND);
}
GST_END_TEST;

GST_START_TEST (test_median)
{
  fail_unless (helix_stream_tally_median (&tally) == HELIX_NONE64);
  for (guint64 i = 1; i <= 9; i++)
    helix_stream_tally_add_latency (&tally, i == 1 ? GST_SECOND : i);
  fail_unless_equals_uint64 (helix_stream_tally_median (&tally), 6);
  /* Recent ones only. */
  for (guint i = 0; i < 10 * HELIX_STREAM_TALLY_RECENT; i++)
    helix_stream_tally_add_latency (&tally, 77);
  fail_unless_equals_uint64 (helix_stream_tally_median (&tally), 77);
  fail_unless_equals_uint64 (
      stat_of ("latency-count"), 9 + 10 * HELIX_STREAM_TALLY_RECENT);
  fail_unless_equals_uint64 (stat_of ("latency-max"), GST_SECOND);
  helix_stream_tally_connected (&tally);
  fail_unless (helix_stream_tally_median (&tally) == HELIX_NONE64);
}
GST_END_TEST;

static Suite *
helix_stream_tally_suite (void)
{
  Suite *s = suite_create ("helix-stream-tally");
  TCase *tc = tcase_create ("tally");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, setup, NULL);
  tcase_add_test (tc, test_connections);
  tcase_add_test (tc, test_transit);
  tcase_add_test (tc, test_median);
  return s;
}

GST_CHECK_MAIN (helix_stream_tally);

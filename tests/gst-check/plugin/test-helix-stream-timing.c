/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/check/gstcheck.h>

#include "helix-clock-offset.h"
#include "helix-histogram.h"
#include "helix-stream-timing.h"

#define MS GST_MSECOND

static HelixStreamTiming timing;
static GstClockTime pts, dts;

static void
map (guint64 running_time, guint64 unit_dts, guint64 now, guint64 capture,
    gboolean discont)
{
  struct helix_unit unit = {.running_time = running_time, .dts = unit_dts};
  /* The monotonic clock is 1000 s ahead of the running time here. */
  HelixStreamArrival arrival = {.now_monotonic = now + 1000 * GST_SECOND,
      .now_running = now,
      .capture =
          capture == HELIX_NONE64 ? capture : capture + 1000 * GST_SECOND,
      .discont = discont};

  helix_stream_timing_map (&timing, &unit, &arrival, &pts, &dts);
}

static void
setup (void)
{
  helix_stream_timing_clear (&timing);
}

GST_START_TEST (test_by_capture)
{
  map (7777 * MS, HELIX_NONE64, 100 * MS, 90 * MS, TRUE);
  fail_unless_equals_uint64 (pts, 90 * MS);
  fail_unless_equals_uint64 (dts, 90 * MS);
  map (7787 * MS, HELIX_NONE64, 130 * MS, 100 * MS, FALSE);
  fail_unless_equals_uint64 (pts, 100 * MS);
  /* Without a stamp: by its distance to the one before. */
  map (7797 * MS, HELIX_NONE64, 160 * MS, HELIX_NONE64, FALSE);
  fail_unless_equals_uint64 (pts, 110 * MS);
  /* An estimate that moved back does not turn time round, */
  map (7807 * MS, HELIX_NONE64, 170 * MS, 105 * MS, FALSE);
  fail_unless_equals_uint64 (pts, 110 * MS + 1);
  /* a capture in the future is now, one before the start is the start. */
  map (7817 * MS, HELIX_NONE64, 180 * MS, 999 * MS, FALSE);
  fail_unless_equals_uint64 (pts, 180 * MS);
  helix_stream_timing_clear (&timing);
  map (0, HELIX_NONE64, 10 * MS, 0, TRUE);
  fail_unless_equals_uint64 (pts, 0);
}
GST_END_TEST;

GST_START_TEST (test_by_running_time)
{
  map (5000 * MS, HELIX_NONE64, 100 * MS, HELIX_NONE64, TRUE);
  fail_unless_equals_uint64 (pts, 100 * MS);
  /* Late by 7 ms: the spacing of the sender holds. */
  map (5010 * MS, HELIX_NONE64, 117 * MS, HELIX_NONE64, FALSE);
  fail_unless_equals_uint64 (pts, 110 * MS);
  /* Never in the future. */
  map (5040 * MS, HELIX_NONE64, 120 * MS, HELIX_NONE64, FALSE);
  fail_unless_equals_uint64 (pts, 120 * MS);
  /* A capture time that comes to be known counts from the next break on. */
  map (5050 * MS, HELIX_NONE64, 140 * MS, 50 * MS, FALSE);
  fail_unless_equals_uint64 (pts, 130 * MS);
  map (0, HELIX_NONE64, 300 * MS, 250 * MS, TRUE);
  fail_unless_equals_uint64 (pts, 250 * MS);
  /* Stamps of another boot are no stamps. */
  helix_stream_timing_clear (&timing);
  map (0, HELIX_NONE64, 100 * GST_SECOND, 1 * GST_SECOND, TRUE);
  fail_unless_equals_uint64 (pts, 100 * GST_SECOND);
}
GST_END_TEST;

/* I0 P3 B1 B2, 10 ms each: DTS grows, PTS keeps its order. */
GST_START_TEST (test_reordered)
{
  static const guint64 order[] = {0, 30, 10, 20};
  static const guint64 decode[] = {0, 0, 10, 20};
  GstClockTime first = 0, last = 0;

  for (guint i = 0; i < 4; i++) {
    guint64 now = (100 + 10 * i) * MS;

    map (order[i] * MS, decode[i] * MS, now, (order[i] + 40) * MS, i == 0);
    if (i == 0)
      first = pts;
    else
      fail_unless (dts > last);
    fail_unless (dts <= pts);
    fail_unless (ABS ((gint64) (pts - first) - (gint64) (order[i] * MS)) <= 2);
    last = dts;
  }
}
GST_END_TEST;

/* ---- the clocks ---- */

GST_START_TEST (test_clock_offset)
{
  const guint64 ahead = 3600 * GST_SECOND;
  HelixClockOffset clock;
  struct helix_pong pong;
  guint64 error, first;
  gint64 offset;

  helix_clock_offset_clear (&clock);
  fail_if (helix_clock_offset_get (&clock, 0, &offset, &error));
  /* 10 ms of round trip, all of it on the way there. */
  pong.ping_ns = 1000 * MS;
  pong.received_ns = pong.sent_ns = ahead + 1010 * MS;
  fail_unless (helix_clock_offset_add (&clock, &pong, 1010 * MS));
  fail_unless (helix_clock_offset_get (&clock, 1010 * MS, &offset, &error));
  fail_unless (ABS (offset - (gint64) ahead) <= (gint64) error);
  fail_unless (error <= 5 * MS + 1);
  /* A better one replaces it, worse ones do not. */
  pong.ping_ns = 2000 * MS;
  pong.received_ns = ahead + 2000 * MS;
  pong.sent_ns = ahead + 2500 * MS;
  fail_unless (helix_clock_offset_add (&clock, &pong, 2500 * MS + 20000));
  fail_unless (helix_clock_offset_get (&clock, 2501 * MS, &offset, &error));
  fail_unless (error < MS);
  first = error;
  pong.ping_ns = 3000 * MS;
  pong.received_ns = pong.sent_ns = ahead + 3100 * MS;
  fail_unless (helix_clock_offset_add (&clock, &pong, 3200 * MS));
  fail_unless (helix_clock_offset_get (&clock, 3200 * MS, &offset, &error));
  fail_unless (ABS (offset - (gint64) ahead) <= (gint64) error);
  fail_unless (error > first && error < MS);
  /* Two clocks may drift apart by 100 us a second. */
  fail_unless (helix_clock_offset_get (
      &clock, 2500 * MS + 10 * GST_SECOND, &offset, &first));
  fail_unless (first >= MS);
}
GST_END_TEST;

GST_START_TEST (test_clock_lies)
{
  HelixClockOffset clock;
  struct helix_pong pong = {.ping_ns = 2000};

  helix_clock_offset_clear (&clock);
  /* from the future; held for longer than it was away; backwards; stale */
  fail_if (helix_clock_offset_add (&clock, &pong, 1000));
  pong.sent_ns = 5000;
  fail_if (helix_clock_offset_add (&clock, &pong, 3000));
  pong.received_ns = 6000;
  fail_if (helix_clock_offset_add (&clock, &pong, 90000));
  pong.sent_ns = 6000;
  fail_if (helix_clock_offset_add (&clock, &pong, 60 * GST_SECOND));
  fail_unless_equals_int (clock.count, 0);
}
GST_END_TEST;

/* ---- the histogram ---- */

GST_START_TEST (test_histogram)
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

static Suite *
helix_stream_timing_suite (void)
{
  Suite *s = suite_create ("helix-stream-timing");
  TCase *tc = tcase_create ("timing");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, setup, NULL);
  tcase_add_test (tc, test_by_capture);
  tcase_add_test (tc, test_by_running_time);
  tcase_add_test (tc, test_reordered);
  tcase_add_test (tc, test_clock_offset);
  tcase_add_test (tc, test_clock_lies);
  tcase_add_test (tc, test_histogram);
  return s;
}

GST_CHECK_MAIN (helix_stream_timing);

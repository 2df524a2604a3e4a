/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/check/gstcheck.h>

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

/* Times that no clock ever shows are a peer's invention: they are the future,
 * or as long ago as can be, and no number overflows. */
GST_START_TEST (test_absurd_times)
{
  map (0, HELIX_NONE64, 100 * MS, HELIX_NONE64, TRUE);
  map (G_MAXINT64, HELIX_NONE64, 200 * MS, HELIX_NONE64, FALSE);
  fail_unless_equals_uint64 (pts, 200 * MS);
  map (G_MAXUINT64 - 1, 0, 300 * MS, HELIX_NONE64, TRUE);
  fail_unless_equals_uint64 (pts, 300 * MS);
  map (0, HELIX_NONE64, 400 * MS, HELIX_NONE64, FALSE);
  fail_unless (pts <= 400 * MS);
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

/* ---- latency ---- */

static HelixStreamLatency latency;
static guint64 now;
static guint changes;

static void
setup_latency (void)
{
  helix_stream_latency_clear (&latency);
  now = 1000 * GST_SECOND;
  changes = 0;
}

/* A second of units that are late by 20 to 30 ms; the first by `first`. */
static void
second (guint64 first)
{
  for (guint i = 0; i < 30; i++) {
    guint64 before = latency.announced;
    guint64 late = (20 + (i * 7) % 11) * MS;
    gboolean changed =
        helix_stream_latency_add (&latency, i == 0 ? first : late, now);

    fail_unless_equals_int (changed, latency.announced != before);
    changes += changed;
    now += 33 * MS;
  }
}

static void
seconds (guint n)
{
  for (guint i = 0; i < n; i++)
    second (25 * MS);
}

/* Enough for the latest unit, and not much more; and that is told a few times
 * only. */
GST_START_TEST (test_grow)
{
  seconds (60);
  fail_unless (latency.announced >= 30 * MS);
  fail_unless (latency.announced <= 40 * MS);
  fail_unless (changes <= 2, "%u", changes);
}
GST_END_TEST;

/* A late unit counts at once, and is forgotten within 5 s. */
GST_START_TEST (test_forget)
{
  seconds (5);
  changes = 0;
  second (800 * MS);
  fail_unless (latency.announced >= 800 * MS);
  seconds (5);
  fail_unless (latency.announced <= 40 * MS);
  fail_unless_equals_int (changes, 2);
}
GST_END_TEST;

/* Late again and again: that is what it is like here. */
GST_START_TEST (test_again)
{
  for (guint i = 0; i < 200; i++) {
    second (300 * MS);
    seconds (2);
  }
  fail_unless (changes <= 12, "%u", changes);
  fail_unless (latency.announced >= 300 * MS);
  /* It is over, and that is seen, too. */
  changes = 0;
  seconds (130);
  fail_unless (latency.announced <= 40 * MS);
  fail_unless_equals_int (changes, 1);
}
GST_END_TEST;

/* A screen that stands still tells nothing. */
GST_START_TEST (test_still)
{
  second (300 * MS);
  now += 3600 * GST_SECOND;
  changes = 0;
  second (200 * MS);
  fail_unless (latency.announced >= 200 * MS);
  fail_unless (changes <= 1);
}
GST_END_TEST;

GST_START_TEST (test_bounds)
{
  fail_unless (helix_stream_latency_add (&latency, G_MAXUINT64, now));
  fail_unless_equals_uint64 (latency.announced, HELIX_STREAM_LATENCY_MAX);
  fail_if (helix_stream_latency_add (&latency, G_MAXUINT64, now));
}
GST_END_TEST;

/* ---- clocks ---- */

GST_START_TEST (test_exchanges)
{
  const guint64 ahead = 3600 * GST_SECOND;
  HelixClockOffset clock = {0};
  struct helix_pong pong;
  guint64 error, first;
  gint64 offset;

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
  /* Also for a caller whose `now` is a little older. */
  fail_unless (helix_clock_offset_get (&clock, 2499 * MS, &offset, &error));
  fail_unless (error < MS);
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

GST_START_TEST (test_lies)
{
  HelixClockOffset clock = {0};
  struct helix_pong pong = {.ping_ns = 2000};

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

/* The other clock, an hour ahead (or behind), gains or loses 90 us a second. */
static guint64
other_clock (guint64 now, gint64 ahead, gint ppm)
{
  return now + (guint64) ahead + (guint64) ((gint64) now / 1000000 * ppm);
}

static const struct {
  gint64 ahead;
  gint ppm;
} skews[] = {
    {3600 * (gint64) GST_SECOND, 90},
    {3600 * (gint64) GST_SECOND, -90},
    {-3600 * (gint64) GST_SECOND, 90},
    {0, 0},
};

/* Ten minutes of PINGs over a line whose two ways take 50 us to 20 ms, each
 * for itself: the estimate never errs by more than it says, and says less
 * than a millisecond nearly always. */
GST_START_TEST (test_skewed_clock)
{
  GRand *random = g_rand_new_with_seed (4711);
  guint64 now = 7200 * GST_SECOND;
  HelixClockOffset clock = {0};
  guint precise = 0;

  for (guint i = 0; i < 600; i++, now += GST_SECOND) {
    guint64 there = (guint64) g_rand_int_range (random, 50000, 500000);
    guint64 back = (guint64) g_rand_int_range (random, 50000, 500000);
    struct helix_pong pong = {.ping_ns = now};
    guint64 error, arrived;
    gint64 offset, truth;

    if (i % 3 == 0)
      there += 20 * MS;
    if (i % 5 == 0)
      back += 19 * MS;
    pong.received_ns =
        other_clock (now + there, skews[__i__].ahead, skews[__i__].ppm);
    pong.sent_ns =
        other_clock (now + there + MS, skews[__i__].ahead, skews[__i__].ppm);
    arrived = now + there + MS + back;
    fail_unless (helix_clock_offset_add (&clock, &pong, arrived));
    /* Asked at any time before the next one comes. */
    arrived += (guint64) g_rand_int_range (random, 0, 900) * MS;
    fail_unless (helix_clock_offset_get (&clock, arrived, &offset, &error));
    truth =
        (gint64) (other_clock (arrived, skews[__i__].ahead, skews[__i__].ppm)
            - arrived);
    fail_unless (ABS (offset - truth) <= (gint64) error,
        "second %u: off by %" G_GINT64_FORMAT ", said %" G_GUINT64_FORMAT, i,
        offset - truth, error);
    precise += error < MS;
  }
  fail_unless (precise > 590, "%u of 600", precise);
  g_rand_free (random);
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
  tcase_add_test (tc, test_absurd_times);
  tcase_add_test (tc, test_by_running_time);
  tcase_add_test (tc, test_reordered);

  tc = tcase_create ("latency");
  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, setup_latency, NULL);
  tcase_add_test (tc, test_grow);
  tcase_add_test (tc, test_forget);
  tcase_add_test (tc, test_again);
  tcase_add_test (tc, test_still);
  tcase_add_test (tc, test_bounds);

  tc = tcase_create ("clocks");
  suite_add_tcase (s, tc);
  tcase_add_test (tc, test_exchanges);
  tcase_add_test (tc, test_lies);
  tcase_add_loop_test (tc, test_skewed_clock, 0, G_N_ELEMENTS (skews));
  return s;
}

GST_CHECK_MAIN (helix_stream_timing);

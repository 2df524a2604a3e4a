/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/check/gstcheck.h>

#include "helix-clock-offset.h"

#define MS GST_MSECOND

GST_START_TEST (test_exchanges)
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

GST_START_TEST (test_lies)
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
  HelixClockOffset clock;
  guint precise = 0;

  helix_clock_offset_clear (&clock);
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
helix_clock_offset_suite (void)
{
  Suite *s = suite_create ("helix-clock-offset");
  TCase *tc = tcase_create ("clock");

  suite_add_tcase (s, tc);
  tcase_add_test (tc, test_exchanges);
  tcase_add_test (tc, test_lies);
  tcase_add_loop_test (tc, test_skewed_clock, 0, G_N_ELEMENTS (skews));
  return s;
}

GST_CHECK_MAIN (helix_clock_offset);

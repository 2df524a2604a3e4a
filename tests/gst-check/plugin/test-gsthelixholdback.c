/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Repetitions for an encoder that holds pictures back, with a clock of ours. */
#include <gst/check/gstcheck.h>

#include "gsthelixholdback.h"
#include "helix-protocol.h"

/* ns between two pictures. */
#define INTERVAL (16 * GST_MSECOND)
/* ns between two repetitions that no sink asks for. */
#define KEEPALIVE (500 * GST_MSECOND)

static GstHelixHoldback self;
static guint64 now;
static GstClockTime last;

static void
setup (void)
{
  now = 5 * GST_SECOND;
  last = 0;
  gst_helix_holdback_reset (&self);
}

/* A buffer leaves; its running time. */
static GstClockTime
push (gboolean wanted)
{
  last += INTERVAL;
  fail_unless (gst_helix_holdback_pushed (&self, last, wanted, now) == NULL);
  return last;
}

static gboolean
report (guint sink, GstClockTime running_time)
{
  GstHelixOutput output = {.sink = sink, .running_time = running_time};

  return gst_helix_holdback_reported (&self, &output, now);
}

static guint64
due (void)
{
  return gst_helix_holdback_due (&self, INTERVAL, 0);
}

/* Without a report the picture is repeated now and then, if at all. */
static gboolean
is_watched (void)
{
  return gst_helix_holdback_due (&self, INTERVAL, KEEPALIVE)
      != self.pushed_ns + KEEPALIVE;
}

GST_START_TEST (test_without_report)
{
  fail_unless (!is_watched ());
  fail_unless_equals_uint64 (due (), HELIX_NONE64);
  push (TRUE);
  fail_unless (!is_watched ());
  fail_unless_equals_uint64 (due (), HELIX_NONE64);
}
GST_END_TEST;

/* A refresh is due at once, whether a sink reports or not, and it has to come
 * out as a new picture has. */
GST_START_TEST (test_refresh)
{
  push (TRUE);
  self.refresh = TRUE;
  fail_unless_equals_uint64 (due (), 0);
  push (FALSE);
  fail_unless_equals_uint64 (due (), HELIX_NONE64);
  report (1, last);
  self.refresh = TRUE;
  fail_unless_equals_uint64 (due (), 0);
  push (FALSE);
  fail_unless_equals_uint64 (due (), now + INTERVAL);
  fail_unless_equals_uint64 (self.flushed, 0);
  report (1, last);
  fail_unless_equals_uint64 (due (), HELIX_NONE64);
}
GST_END_TEST;

/* Before the first picture there is nothing to repeat; then there is until it
 * is out, by itself or by a repetition. */
GST_START_TEST (test_one)
{
  GstClockTime first;

  fail_unless (!report (1, GST_CLOCK_TIME_NONE));
  fail_unless (is_watched ());
  fail_unless_equals_uint64 (due (), HELIX_NONE64);
  first = push (TRUE);
  for (guint i = 1; i <= 5; i++) {
    fail_unless_equals_uint64 (due (), now + INTERVAL);
    now += INTERVAL;
    push (FALSE);
  }
  report (1, first - 1);
  fail_unless_equals_uint64 (due (), now + INTERVAL);
  report (1, first);
  fail_unless_equals_uint64 (due (), HELIX_NONE64);
  fail_unless_equals_int (self.held_back, 5);
  fail_unless_equals_uint64 (self.flushed, 5);
  /* Further reports, of repetitions, change nothing; nor does one that goes
   * back. */
  report (1, first + INTERVAL);
  fail_unless_equals_int (self.held_back, 5);
  fail_unless (!report (1, 0));
  fail_unless_equals_uint64 (due (), HELIX_NONE64);
}
GST_END_TEST;

/* A new picture may come before the one before it is out, again and again. */
GST_START_TEST (test_overtaken)
{
  report (1, GST_CLOCK_TIME_NONE);
  for (guint i = 0; i < 3; i++) {
    push (TRUE);
    for (guint n = 0; n < 7 - i; n++)
      push (FALSE);
  }
  fail_unless_equals_int (self.held_back, 7);
  report (1, last);
  fail_unless_equals_int (self.held_back, 0);
}
GST_END_TEST;

/* One who comes late gets the picture too. */
GST_START_TEST (test_late)
{
  push (TRUE);
  fail_unless (report (1, GST_CLOCK_TIME_NONE));
  fail_unless (due () != HELIX_NONE64);
  fail_unless (!report (1, last));
  fail_unless (report (2, GST_CLOCK_TIME_NONE));
  fail_unless (due () != HELIX_NONE64);
  report (2, last);
  fail_unless_equals_uint64 (due (), HELIX_NONE64);
}
GST_END_TEST;

/* An encoder that is slow and holds nothing gets time, not repetitions. */
GST_START_TEST (test_slow)
{
  report (1, GST_CLOCK_TIME_NONE);
  push (TRUE);
  now += 40 * GST_MSECOND;
  report (1, last);
  fail_unless_equals_int (self.held_back, 0);
  push (TRUE);
  fail_unless_equals_uint64 (due (), now + 80 * GST_MSECOND);
  /* ... within reason; */
  now += 10 * GST_SECOND;
  report (1, last);
  push (TRUE);
  fail_unless_equals_uint64 (due (), now + 200 * GST_MSECOND);
  /* and once one was needed after all, this is unlearned. */
  now += 200 * GST_MSECOND;
  push (FALSE);
  fail_unless_equals_uint64 (due (), now + INTERVAL);
  report (1, last - INTERVAL);
  fail_unless_equals_int (self.held_back, 1);
  push (TRUE);
  fail_unless_equals_uint64 (due (), now + INTERVAL);
}
GST_END_TEST;

GST_START_TEST (test_bound)
{
  GstHelixOutput output = {
      .sink = 1, .running_time = GST_CLOCK_TIME_NONE, .encoder = "x264enc"};
  const GstHelixHoldbackSink *sink;
  GstClockTime stuck;

  gst_helix_holdback_reported (&self, &output, now);
  report (2, GST_CLOCK_TIME_NONE); /* after the one that the warning names */
  stuck = push (TRUE);
  for (guint i = 1; i < GST_HELIX_HOLDBACK_MOST; i++) {
    fail_unless (due () != HELIX_NONE64);
    push (FALSE);
  }
  fail_unless (due () != HELIX_NONE64);
  sink = gst_helix_holdback_pushed (&self, ++last, FALSE, now);
  fail_unless_equals_string (sink->encoder, "x264enc");
  fail_unless_equals_uint64 (due (), HELIX_NONE64);
  fail_unless (!is_watched ());
  fail_unless_equals_int (self.held_back, GST_HELIX_HOLDBACK_MOST);
  /* No more for other pictures, until that one is out. */
  push (TRUE);
  fail_unless_equals_uint64 (due (), HELIX_NONE64);
  report (1, stuck - 1);
  fail_unless_equals_uint64 (due (), HELIX_NONE64);
  fail_unless (report (1, stuck));
  fail_unless (due () != HELIX_NONE64);
  fail_unless (is_watched ());
  /* It is told once: push () checks that. */
  for (guint i = 0; i < GST_HELIX_HOLDBACK_MOST; i++)
    push (FALSE);
  fail_unless (!is_watched ());
}
GST_END_TEST;

/* What was never pushed cannot be out: all that was is. */
GST_START_TEST (test_absurd)
{
  report (1, GST_CLOCK_TIME_NONE - 1);
  push (TRUE);
  fail_unless (due () != HELIX_NONE64);
  report (1, GST_CLOCK_TIME_NONE - 1);
  fail_unless_equals_uint64 (due (), HELIX_NONE64);
  push (TRUE);
  fail_unless (due () != HELIX_NONE64);
}
GST_END_TEST;

/* Sinks without end: the first is forgotten, and heard again. */
GST_START_TEST (test_many)
{
  for (guint i = 0; i < 100; i++)
    report (i, GST_CLOCK_TIME_NONE);
  fail_unless_equals_int (self.n_sinks, GST_HELIX_HOLDBACK_SINKS);
  push (TRUE);
  for (guint i = 0; i < GST_HELIX_HOLDBACK_SINKS; i++) {
    fail_unless (due () != HELIX_NONE64);
    report (99 - i, last);
  }
  fail_unless_equals_uint64 (due (), HELIX_NONE64);
}
GST_END_TEST;

static Suite *
gst_helix_holdback_suite (void)
{
  Suite *s = suite_create ("gsthelixholdback");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, setup, NULL);
  tcase_add_test (tc, test_without_report);
  tcase_add_test (tc, test_refresh);
  tcase_add_test (tc, test_one);
  tcase_add_test (tc, test_overtaken);
  tcase_add_test (tc, test_late);
  tcase_add_test (tc, test_slow);
  tcase_add_test (tc, test_bound);
  tcase_add_test (tc, test_absurd);
  tcase_add_test (tc, test_many);
  return s;
}

GST_CHECK_MAIN (gst_helix_holdback);

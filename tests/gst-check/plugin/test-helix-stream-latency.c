/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/check/gstcheck.h>

#include "helix-stream-latency.h"

#define MS G_GUINT64_CONSTANT (1000000)

static HelixStreamLatency latency;
static guint64 now;
static guint changes;

static void
setup (void)
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

static Suite *
helix_stream_latency_suite (void)
{
  Suite *s = suite_create ("helix-stream-latency");
  TCase *tc = tcase_create ("latency");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, setup, NULL);
  tcase_add_test (tc, test_grow);
  tcase_add_test (tc, test_forget);
  tcase_add_test (tc, test_again);
  tcase_add_test (tc, test_still);
  tcase_add_test (tc, test_bounds);
  return s;
}

GST_CHECK_MAIN (helix_stream_latency);

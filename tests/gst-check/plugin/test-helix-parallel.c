/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/check/gstcheck.h>
#include <pthread.h>

#include "helix-parallel.h"

#define PARTS 37

/* ---- each part once ---- */

static void
count (gpointer data, guint part)
{
  ((guint *) data)[part]++;
}

/* The threads come late, in time, or are still at the end of the run before:
 * each part is worked on once, and its result is there afterwards. */
GST_START_TEST (test_each_part_once)
{
  HelixParallel *parallel = helix_parallel_new ((guint) __i__);

  for (guint run = 0; run < 2000; run++) {
    guint parts = run % (PARTS + 1), counts[PARTS] = {0};

    helix_parallel_run (parallel, parts, count, counts);
    for (guint i = 0; i < PARTS; i++)
      fail_unless_equals_int (counts[i], i < parts);
  }
  helix_parallel_free (parallel);
}
GST_END_TEST;

/* ---- at the same time ---- */

typedef struct {
  pthread_mutex_t lock;
  pthread_cond_t all;
  guint missing;
} Meeting;

static void
meet (gpointer data, guint part)
{
  Meeting *meeting = data;

  pthread_mutex_lock (&meeting->lock);
  if (--meeting->missing == 0)
    pthread_cond_broadcast (&meeting->all);
  while (meeting->missing > 0)
    pthread_cond_wait (&meeting->all, &meeting->lock);
  pthread_mutex_unlock (&meeting->lock);
}

/* As many parts as threads, each of which waits for all of them. */
GST_START_TEST (test_at_the_same_time)
{
  guint threads = (guint) __i__;
  HelixParallel *parallel = helix_parallel_new (threads);
  Meeting meeting = {
      .lock = PTHREAD_MUTEX_INITIALIZER, .all = PTHREAD_COND_INITIALIZER};

  fail_unless_equals_int (helix_parallel_get_threads (parallel), threads);
  for (guint run = 0; run < 100; run++) {
    meeting.missing = threads;
    helix_parallel_run (parallel, threads, meet, &meeting);
  }
  helix_parallel_free (parallel);
}
GST_END_TEST;

GST_START_TEST (test_automatic)
{
  HelixParallel *parallel = helix_parallel_new (0);

  fail_unless_equals_int (helix_parallel_get_threads (parallel),
      MIN (g_get_num_processors (), HELIX_PARALLEL_MOST));
  helix_parallel_free (parallel); /* which has never run */
}
GST_END_TEST;

static Suite *
helix_parallel_suite (void)
{
  Suite *s = suite_create ("helix-parallel");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_loop_test (tc, test_each_part_once, 1, HELIX_PARALLEL_MOST + 1);
  tcase_add_loop_test (tc, test_at_the_same_time, 1, HELIX_PARALLEL_MOST + 1);
  tcase_add_test (tc, test_automatic);
  return s;
}

GST_CHECK_MAIN (helix_parallel);

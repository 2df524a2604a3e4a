/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/check/gstcheck.h>
#include <pthread.h>
#include <sched.h>

#include "helix-parallel.h"
#include "helix-platform.h"

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
  Meeting meeting = {
      .lock = PTHREAD_MUTEX_INITIALIZER, .all = PTHREAD_COND_INITIALIZER};

  for (guint run = 0; run < 100; run++) {
    HelixParallel *parallel = helix_parallel_new (threads);

    fail_unless_equals_int (helix_parallel_get_threads (parallel), threads);
    meeting.missing = threads;
    helix_parallel_run (parallel, threads, meet, &meeting);
    helix_parallel_free (parallel);
  }
}
GST_END_TEST;

/* ---- a thread that is late ---- */

typedef struct {
  Meeting meeting;
  pthread_t caller;
  guint others; /* parts that were not the caller's; atomic */
} Late;

/* The clock of this program stands still, unless a thread is to be late: then
 * each look at it takes a second. Atomic. */
static guint looks;
static gboolean passing;

guint64
helix_now_ns (void)
{
  if (!__atomic_load_n (&passing, __ATOMIC_RELAXED))
    return 0;
  return __atomic_add_fetch (&looks, 1, __ATOMIC_RELAXED) * GST_SECOND;
}

/* The other thread keeps its part until the caller, which looks at the clock
 * when it begins to wait, has looked once more. */
static void
be_late (gpointer data, guint part)
{
  Late *late = data;

  meet (&late->meeting, part);
  if (!pthread_equal (pthread_self (), late->caller))
    while (__atomic_load_n (&looks, __ATOMIC_RELAXED) < 2)
      sched_yield ();
}

static void
count_others (gpointer data, guint part)
{
  Late *late = data;

  if (!pthread_equal (pthread_self (), late->caller))
    __atomic_add_fetch (&late->others, 1, __ATOMIC_RELAXED);
}

/* After it, the caller works alone 16 times; then both again. */
GST_START_TEST (test_late)
{
  HelixParallel *parallel = helix_parallel_new (2);
  Late late = {.meeting = {.lock = PTHREAD_MUTEX_INITIALIZER,
                   .all = PTHREAD_COND_INITIALIZER,
                   .missing = 2},
      .caller = pthread_self ()};

  passing = TRUE;
  helix_parallel_run (parallel, 2, be_late, &late);
  passing = FALSE;
  for (guint run = 0; run < 16; run++)
    helix_parallel_run (parallel, PARTS, count_others, &late);
  fail_unless_equals_int (late.others, 0);
  late.meeting.missing = 2;
  helix_parallel_run (parallel, 2, meet, &late.meeting);
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
  tcase_add_test (tc, test_late);
  tcase_add_test (tc, test_automatic);
  return s;
}

GST_CHECK_MAIN (helix_parallel);

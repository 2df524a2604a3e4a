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

/* The clock of this program: it stands still, unless the caller looks at it
 * before it is `last`. Atomic. */
static guint clock_ms;
static guint last_ms;
static pthread_t caller;

guint64
helix_now_ns (void)
{
  guint now = __atomic_load_n (&clock_ms, __ATOMIC_RELAXED);

  if (now < last_ms && pthread_equal (pthread_self (), caller))
    now = __atomic_add_fetch (&clock_ms, 1, __ATOMIC_RELAXED);
  return now * GST_MSECOND;
}

/* It stands in the same file as the clock, which is not linked. */
void
helix_thread_name (const char *name)
{
}

typedef struct {
  Meeting meeting;
  guint took_ms;  /* the caller's part */
  guint until_ms; /* the other's part, by the clock */
} Late;

static void
take_long (gpointer data, guint part)
{
  Late *late = data;

  meet (&late->meeting, part);
  if (pthread_equal (pthread_self (), caller))
    __atomic_add_fetch (&clock_ms, late->took_ms, __ATOMIC_RELAXED);
  else
    while (__atomic_load_n (&clock_ms, __ATOMIC_RELAXED) < late->until_ms)
      sched_yield ();
}

/* Two parts at the same time. */
static void
run_long (HelixParallel *parallel, guint took_ms, guint until_ms, guint last)
{
  Late late = {.meeting = {.lock = PTHREAD_MUTEX_INITIALIZER,
                   .all = PTHREAD_COND_INITIALIZER,
                   .missing = 2},
      .took_ms = took_ms,
      .until_ms = until_ms};

  caller = pthread_self ();
  clock_ms = 0;
  last_ms = last;
  helix_parallel_run (parallel, 2, take_long, &late);
  last_ms = 0;
}

static void
count_others (gpointer data, guint part)
{
  if (!pthread_equal (pthread_self (), caller))
    __atomic_add_fetch ((guint *) data, 1, __ATOMIC_RELAXED);
}

/* The caller looks when its part begins and ends, which takes 1 ms so, and when
 * it begins to wait, at 3 ms. It waits for twice as long as its part took. Then
 * it works alone 16 times; then both again. */
GST_START_TEST (test_late)
{
  HelixParallel *parallel = helix_parallel_new (2);
  guint others = 0;

  run_long (parallel, 0, 5, G_MAXUINT);
  for (guint run = 0; run < 16; run++)
    helix_parallel_run (parallel, PARTS, count_others, &others);
  fail_unless_equals_int (others, 0);
  run_long (parallel, 0, 0, 0);
  helix_parallel_free (parallel);
}
GST_END_TEST;

/* A thread with a long part is not late if the caller's part is long too. The
 * caller waits from 13 ms on, and looks at 14 ms. Both work the next time. */
GST_START_TEST (test_long_parts)
{
  HelixParallel *parallel = helix_parallel_new (2);

  run_long (parallel, 10, 14, 14);
  run_long (parallel, 0, 0, 0);
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
  tcase_add_test (tc, test_long_parts);
  tcase_add_test (tc, test_automatic);
  return s;
}

GST_CHECK_MAIN (helix_parallel);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gst/check/gstcheck.h>

#include "helix-platform.h"
#include "helix-poll-loop.h"
#include "helix-protocol.h"

static struct {
  struct helix_poll_loop *loop;
  guint runs, reads, writes;
  int fds[2], other[2];
} t;

static void
count (void *opaque)
{
  (*(guint *) opaque)++;
}

static void
watch (int fd, void (*readable) (void *), void (*writable) (void *), guint *n)
{
  helix_poll_loop_watch (t.loop, fd, readable, writable, n);
}

static void
setup (void)
{
  memset (&t, 0, sizeof t);
  t.loop = helix_poll_loop_new (count, &t.runs);
  fail_unless (t.loop != NULL);
  fail_unless (helix_socketpair (t.fds) == 0);
  fail_unless (helix_socketpair (t.other) == 0);
}

static void
teardown (void)
{
  helix_poll_loop_free (t.loop);
  for (int i = 0; i < 2; i++) {
    close (t.fds[i]);
    close (t.other[i]);
  }
}

GST_START_TEST (test_watch)
{
  watch (t.fds[0], count, NULL, &t.reads);
  helix_poll_loop_once (t.loop, 0);
  fail_unless_equals_int (t.reads, 0);
  fail_unless (send (t.fds[1], "x", 1, 0) == 1);
  helix_poll_loop_once (t.loop, 5000);
  fail_unless_equals_int (t.reads, 1);
  /* Readable and writable: both are called. */
  watch (t.fds[0], count, count, &t.reads);
  helix_poll_loop_once (t.loop, 5000);
  fail_unless_equals_int (t.reads, 3);
  watch (t.fds[0], NULL, NULL, NULL);
  helix_poll_loop_once (t.loop, 0);
  fail_unless_equals_int (t.reads, 3);
  fail_unless_equals_int (t.runs, 0);
}

GST_END_TEST;

static void
forget_both (void *opaque)
{
  t.reads++;
  watch (t.fds[0], NULL, NULL, NULL);
  watch (t.other[0], NULL, NULL, NULL);
}

/* What was forgotten during the round is not called any more in it, not even
 * under a number that is in use again. */
GST_START_TEST (test_forget_in_a_call)
{
  watch (t.fds[0], forget_both, count, &t.writes);
  watch (t.other[0], forget_both, count, &t.writes);
  fail_unless (send (t.fds[1], "x", 1, 0) == 1);
  fail_unless (send (t.other[1], "x", 1, 0) == 1);
  helix_poll_loop_once (t.loop, 5000);
  fail_unless_equals_int (t.reads, 1);
  fail_unless_equals_int (t.writes, 0);
}

GST_END_TEST;

static void
swap (void *opaque)
{
  t.writes++;
  watch (t.other[0], NULL, NULL, NULL);
  watch (t.other[0], count, NULL, &t.reads);
}

GST_START_TEST (test_successor_waits_its_turn)
{
  watch (t.fds[0], NULL, swap, NULL);
  watch (t.other[0], count, NULL, &t.reads);
  fail_unless (send (t.other[1], "x", 1, 0) == 1);
  helix_poll_loop_once (t.loop, 5000);
  fail_unless_equals_int (t.writes, 1);
  fail_unless_equals_int (t.reads, 0);
  watch (t.fds[0], NULL, NULL, NULL);
  helix_poll_loop_once (t.loop, 5000);
  fail_unless_equals_int (t.reads, 1);
}

GST_END_TEST;

/* Never before the deadline, once, at once if it is past, not if it is off. */
GST_START_TEST (test_timer)
{
  uint64_t end = helix_now_ns () + 30000000;

  helix_poll_loop_timer (t.loop, end);
  while (t.runs == 0)
    helix_poll_loop_once (t.loop, 5000);
  fail_unless (helix_now_ns () >= end);
  helix_poll_loop_once (t.loop, 0);
  fail_unless_equals_int (t.runs, 1);
  helix_poll_loop_timer (t.loop, 0);
  helix_poll_loop_once (t.loop, 5000);
  fail_unless_equals_int (t.runs, 2);
  helix_poll_loop_timer (t.loop, helix_now_ns ());
  helix_poll_loop_timer (t.loop, HELIX_NONE64);
  helix_poll_loop_once (t.loop, 0);
  fail_unless_equals_int (t.runs, 2);
}

GST_END_TEST;

static void *
wake_and_quit (void *opaque)
{
  for (int i = 0; i < 1000; i++)
    helix_poll_loop_wake (t.loop);
  helix_poll_loop_quit (t.loop);
  return NULL;
}

GST_START_TEST (test_wake_and_quit)
{
  pthread_t thread;

  fail_unless (pthread_create (&thread, NULL, wake_and_quit, NULL) == 0);
  helix_poll_loop_run (t.loop);
  pthread_join (thread, NULL);
  fail_unless (t.runs >= 1);
}

GST_END_TEST;

static Suite *
poll_loop_suite (void)
{
  Suite *suite = suite_create ("helix-poll-loop");
  TCase *tc = tcase_create ("poll-loop");

  suite_add_tcase (suite, tc);
  tcase_set_timeout (tc, 30);
  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_add_test (tc, test_watch);
  tcase_add_test (tc, test_forget_in_a_call);
  tcase_add_test (tc, test_successor_waits_its_turn);
  tcase_add_test (tc, test_timer);
  tcase_add_test (tc, test_wake_and_quit);
  return suite;
}

GST_CHECK_MAIN (poll_loop);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gst/check/gstcheck.h>

#include "helix-platform.h"
#include "helix-poll-loop.h"
#include "helix-protocol.h"

struct counts {
  struct helix_poll_loop *loop;
  guint runs, reads, writes;
  int fds[2], other[2];
};

static void
run (void *opaque)
{
  struct counts *counts = opaque;

  counts->runs++;
}

static void
readable (void *opaque)
{
  struct counts *counts = opaque;

  counts->reads++;
}

static void
writable (void *opaque)
{
  struct counts *counts = opaque;

  counts->writes++;
}

static void
counts_init (struct counts *counts)
{
  memset (counts, 0, sizeof *counts);
  counts->loop = helix_poll_loop_new (run, counts);
  fail_unless (counts->loop != NULL);
  fail_unless (helix_socketpair (counts->fds) == 0);
  fail_unless (helix_socketpair (counts->other) == 0);
}

static void
counts_clear (struct counts *counts)
{
  helix_poll_loop_free (counts->loop);
  for (int i = 0; i < 2; i++) {
    close (counts->fds[i]);
    close (counts->other[i]);
  }
}

GST_START_TEST (test_watch)
{
  struct counts c;

  counts_init (&c);
  helix_poll_loop_watch (c.loop, c.fds[0], readable, NULL, &c);
  helix_poll_loop_once (c.loop, 0);
  fail_unless_equals_int (c.reads, 0);
  fail_unless (send (c.fds[1], "x", 1, 0) == 1);
  helix_poll_loop_once (c.loop, 5000);
  fail_unless_equals_int (c.reads, 1);
  helix_poll_loop_watch (c.loop, c.fds[0], readable, writable, &c);
  helix_poll_loop_once (c.loop, 5000);
  fail_unless_equals_int (c.reads, 2);
  fail_unless_equals_int (c.writes, 1);
  helix_poll_loop_watch (c.loop, c.fds[0], NULL, NULL, NULL);
  helix_poll_loop_once (c.loop, 0);
  fail_unless_equals_int (c.reads, 2);
  fail_unless_equals_int (c.runs, 0);
  counts_clear (&c);
}

GST_END_TEST;

static void
forget_both (void *opaque)
{
  struct counts *counts = opaque;

  counts->reads++;
  helix_poll_loop_watch (counts->loop, counts->fds[0], NULL, NULL, NULL);
  helix_poll_loop_watch (counts->loop, counts->other[0], NULL, NULL, NULL);
}

/* Whoever was forgotten during the round is not called any more in it, not
 * even under a number that is in use again. */
GST_START_TEST (test_forget_in_a_call)
{
  struct counts c;

  counts_init (&c);
  helix_poll_loop_watch (c.loop, c.fds[0], forget_both, writable, &c);
  helix_poll_loop_watch (c.loop, c.other[0], forget_both, writable, &c);
  fail_unless (send (c.fds[1], "x", 1, 0) == 1);
  fail_unless (send (c.other[1], "x", 1, 0) == 1);
  helix_poll_loop_once (c.loop, 5000);
  fail_unless_equals_int (c.reads, 1);
  fail_unless_equals_int (c.writes, 0);
  counts_clear (&c);
}

GST_END_TEST;

static void
swap (void *opaque)
{
  struct counts *counts = opaque;

  counts->writes++;
  helix_poll_loop_watch (counts->loop, counts->other[0], NULL, NULL, NULL);
  helix_poll_loop_watch (
      counts->loop, counts->other[0], readable, NULL, counts);
}

GST_START_TEST (test_successor_waits_its_turn)
{
  struct counts c;

  counts_init (&c);
  helix_poll_loop_watch (c.loop, c.fds[0], NULL, swap, &c);
  helix_poll_loop_watch (c.loop, c.other[0], readable, NULL, &c);
  fail_unless (send (c.other[1], "x", 1, 0) == 1);
  helix_poll_loop_once (c.loop, 5000);
  fail_unless_equals_int (c.writes, 1);
  fail_unless_equals_int (c.reads, 0);
  helix_poll_loop_watch (c.loop, c.fds[0], NULL, NULL, NULL);
  helix_poll_loop_once (c.loop, 5000);
  fail_unless_equals_int (c.reads, 1);
  counts_clear (&c);
}

GST_END_TEST;

GST_START_TEST (test_timer)
{
  struct counts c;
  uint64_t begin = helix_now_ns ();

  counts_init (&c);
  helix_poll_loop_timer (c.loop, begin + 30000000);
  while (c.runs == 0)
    helix_poll_loop_once (c.loop, 5000);
  fail_unless (helix_now_ns () >= begin + 30000000);
  helix_poll_loop_once (c.loop, 0);
  fail_unless_equals_int (c.runs, 1);
  helix_poll_loop_timer (c.loop, 0); /* long past: at once */
  helix_poll_loop_once (c.loop, 5000);
  fail_unless_equals_int (c.runs, 2);
  helix_poll_loop_timer (c.loop, helix_now_ns ());
  helix_poll_loop_timer (c.loop, HELIX_NONE64);
  helix_poll_loop_once (c.loop, 0);
  fail_unless_equals_int (c.runs, 2);
  counts_clear (&c);
}

GST_END_TEST;

static void *
wake_and_quit (void *opaque)
{
  struct counts *counts = opaque;

  for (int i = 0; i < 1000; i++)
    helix_poll_loop_wake (counts->loop);
  helix_poll_loop_quit (counts->loop);
  return NULL;
}

GST_START_TEST (test_wake_and_quit)
{
  struct counts c;
  pthread_t thread;

  counts_init (&c);
  fail_unless (pthread_create (&thread, NULL, wake_and_quit, &c) == 0);
  helix_poll_loop_run (c.loop);
  pthread_join (thread, NULL);
  fail_unless (c.runs >= 1);
  counts_clear (&c);
}

GST_END_TEST;

static Suite *
poll_loop_suite (void)
{
  Suite *suite = suite_create ("helix-poll-loop");
  TCase *tc = tcase_create ("poll-loop");

  suite_add_tcase (suite, tc);
  tcase_set_timeout (tc, 30);
  tcase_add_test (tc, test_watch);
  tcase_add_test (tc, test_forget_in_a_call);
  tcase_add_test (tc, test_successor_waits_its_turn);
  tcase_add_test (tc, test_timer);
  tcase_add_test (tc, test_wake_and_quit);
  return suite;
}

GST_CHECK_MAIN (poll_loop);

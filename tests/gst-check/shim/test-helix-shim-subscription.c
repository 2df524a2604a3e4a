/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Credit, pace and memory: when a frame comes, and what it costs the others.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <gst/check/gstcheck.h>

#include "helix-test-client.h"

static const struct helix_rect all = {0, 0, W, H};

/* Without credit nothing is read; when it comes back, the newest state is,
 * with everything that changed meanwhile. */
GST_START_TEST (test_no_credit)
{
  struct test_frame held[3], frame;
  uint64_t reads;

  test_client_subscribe (client, 1, 0, 0);
  held[0] = test_client_frame (client, 1);
  for (int i = 1; i < 3; i++) {
    test_draw_flush (test, 1, all);
    held[i] = test_client_frame (client, 1);
  }
  fail_unless (held[0].frame.slot != held[1].frame.slot);
  fail_unless (held[1].frame.slot != held[2].frame.slot);
  fail_unless (held[2].frame.slot != held[0].frame.slot);
  reads = test->reads;
  for (uint32_t i = 0; i < 10; i++)
    test_draw_flush (test, 1, (struct helix_rect){10 * i, 10 * i, 5, 5});
  fail_unless_equals_uint64 (test->reads, reads);
  fail_unless_equals_uint64 (test_stats (test).no_credit, 10);

  test_client_release (client, 1, &held[1]);
  frame = test_client_frame (client, 1);
  fail_unless_equals_int (frame.frame.slot, held[1].frame.slot);
  fail_unless_equals_uint64 (frame.frame.sequence, 4);
  fail_unless_equals_int (frame.frame.rects, 10);
  fail_unless_equals_int (frame.frame.read_bytes, 10 * 5 * 5 * 4);
  fail_unless (frame.frame.wait_ns > 0);
  test_frame_assert_shows (test, &frame, 1, 0, 0);
}

GST_END_TEST;

/* The last state of a burst arrives without another flush. */
GST_START_TEST (test_last_of_burst)
{
  test_client_subscribe (client, 1, 0, 0);
  test_client_settle (client);
  for (int burst = 0; burst < 20; burst++) {
    uint64_t last;

    for (int i = 0; i < 10; i++)
      test_draw_flush (test, 1, all);
    last = helix_now_ns ();
    test_client_until_shown (client, 1, 1);
    /* Generous for a loaded machine; 100 ms is what a person may notice. */
    fail_unless (helix_now_ns () - last < 1000000000u);
    test_client_settle (client);
  }
}

GST_END_TEST;

/* Whether the next frame is what the screen shows. Frame n of 20 a second
 * cannot come before n * 50 ms: the phase is kept, so one gap may be short,
 * but never their sum. */
static bool
take_paced (struct test_client *client, uint64_t first)
{
  struct test_frame frame = test_client_frame (client, 1);
  uint64_t after = frame.frame.capture_ns - first;
  bool current = test_frame_shows (test, &frame, 1);

  /* One may come early by an interval, each by 1/64 of it. */
  fail_unless (after + 49000000u >= (frame.frame.sequence - 1) * 49000000u,
      "frame %d came after %d us", (int) frame.frame.sequence,
      (int) (after / 1000));
  test_client_release (client, 1, &frame);
  return current;
}

/* 20 a second at most, and the last one without another flush. */
GST_START_TEST (test_pace)
{
  const struct helix_subscribe request = {0, 0, 20, 1, 0, 0};
  struct test_frame frame;
  uint64_t first, reads, begin, end;
  bool last;
  struct helix_shim_stats before, after;

  test_client_subscribe_with (client, 1, &request);
  frame = test_client_frame (client, 1);
  first = frame.frame.capture_ns;
  test_client_release (client, 1, &frame);
  test_client_settle (client);
  reads = test->reads;
  before = test_stats (test);
  begin = helix_now_ns ();
  for (int i = 0; i < 50; i++)
    test_draw_flush (test, 1, all);
  end = helix_now_ns ();
  after = test_stats (test);
  reads = test->reads - reads;
  fail_unless (reads <= 2 + (end - begin) / 49000000u);
  /* The others waited, nearly all for their time. */
  fail_unless_equals_uint64 (
      reads + after.paced - before.paced + after.no_credit - before.no_credit,
      50);
  do
    last = take_paced (client, first);
  while (!last);
  for (int i = 0; i < 5; i++) {
    test_draw_flush (test, 1, (struct helix_rect){0, 0, 3, 3});
    fail_unless (take_paced (client, first), "frame %d is an old one", i);
  }
}

GST_END_TEST;

/* A source of the client's rate has another phase than the first frame. Its
 * frame does not wait: one frame is read before its time, a second is not. */
GST_START_TEST (test_pace_of_another_phase)
{
  const struct helix_subscribe request = {0, 0, 1, 1000, 0, 0};
  uint64_t reads, paced;

  test_client_subscribe_with (client, 1, &request);
  test_client_skip (client, 1);
  test_client_settle (client);
  reads = test->reads;
  paced = test_stats (test).paced;
  test_draw_flush (test, 1, all);
  fail_unless_equals_uint64 (test->reads, reads + 1);
  fail_unless_equals_uint64 (test_stats (test).paced, paced);
  test_draw_flush (test, 1, all);
  fail_unless_equals_uint64 (test->reads, reads + 1);
  fail_unless_equals_uint64 (test_stats (test).paced, paced + 1);
}

GST_END_TEST;

/* An idle encoder never waits: after a pause the flush itself reads. */
GST_START_TEST (test_pace_adds_no_wait)
{
  const struct helix_subscribe request = {0, 0, 1000, 1, 0, 0};
  uint64_t begin;

  test_client_subscribe_with (client, 1, &request);
  test_client_skip (client, 1);
  test_client_settle (client);
  begin = helix_now_ns ();
  while (helix_now_ns () < begin + 3000000)
    test_round (test, 1);
  begin = test->reads;
  test_draw_flush (test, 1, all);
  fail_unless_equals_uint64 (test->reads, begin + 1);
}

GST_END_TEST;

GST_START_TEST (test_slots_wanted)
{
  for (uint32_t slots = 2; slots <= HELIX_MAX_SLOTS; slots++) {
    const struct helix_subscribe request = {0, 0, 0, 1, slots, 0};
    struct test_pool *pool;

    test_client_subscribe_with (client, 1, &request);
    test_client_frame (client, 1);
    for (uint32_t i = 1; i < slots; i++) {
      test_draw_flush (test, 1, all);
      test_client_frame (client, 1);
    }
    test_draw_flush (test, 1, all);
    pool = g_ptr_array_index (client->pools, client->pools->len - 1);
    fail_unless_equals_int (pool->pool.slots, slots);
    fail_unless_equals_int (pool->pool.kind, HELIX_POOL_SEALED);
    fail_unless_equals_uint64 (
        pool->pool.slot_size, (W * H * 4 + 4095) / 4096 * 4096);
    fail_unless_equals_int (test_client_settle (client), 0);
  }
}

GST_END_TEST;

/* One that stops reading pins its own slots; the others get every frame. */
GST_START_TEST (test_stopped_client_hurts_nobody)
{
  struct test_client *stopped = test_client_new (test);
  struct test_client *good = test_client_new (test);
  struct test_frame frame;
  uint64_t begin, i;

  test_client_subscribe (stopped, 1, 0, 0);
  test_client_subscribe (good, 1, 0, 0);
  test_client_pause (stopped, true);
  test_client_skip (good, 1);
  test_client_settle (good);
  /* For less than the 6 s after which the stopped ones are given up. */
  begin = helix_now_ns ();
  for (i = 0; i < 300 && helix_now_ns () < begin + 3000000000u; i++) {
    uint64_t reads = test->reads;

    test_draw_flush (test, 1, (struct helix_rect){i % 100, i % 80, 20, 20});
    fail_unless_equals_uint64 (test->reads, reads + 1);
    frame = test_client_frame (good, 1);
    fail_unless_equals_uint64 (frame.frame.sequence, i + 2);
    test_frame_assert_shows (test, &frame, 1, 0, 0);
    test_client_release (good, 1, &frame);
    /* Its credit is back before the next flush. */
    fail_unless_equals_int (test_client_settle (good), 0);
  }
  fail_unless (i >= 10, "%d frames in 3 s", (int) i);
  /* And the stopped one catches up in one frame. */
  test_client_pause (stopped, false);
  fail_unless (test_client_until_shown (stopped, 1, 1).sequence <= 4);
}

GST_END_TEST;

/* A client that holds all its slots and is gone without BYE. */
GST_START_TEST (test_gone_with_all_slots)
{
  test_client_subscribe (client, 1, 0, 0);
  for (int i = 0; i < 3; i++) {
    test_client_frame (client, 1);
    test_draw_flush (test, 1, all);
  }
  test_client_free (client);
  test_until (test,
      test_stats (test).clients == 0 && test_stats (test).subscriptions == 0);
  fail_unless (helix_shim_idle (test->shim));
  fail_unless_equals_uint64 (test_stats (test).lost, 1);
  client = test_client_new (test);
  test_client_subscribe (client, 1, 0, 0);
  test_client_take (client, 1, 1);
}

GST_END_TEST;

/* 2 GiB for one connection are the limit: told, and survived. */
GST_START_TEST (test_memory_limit)
{
  const struct helix_shim_config config = {
      .max_width = 16384, .max_height = 4096};
  struct test_shim *test = test_shim_new (&config);
  struct test_client *client = test_client_new (test);
  const struct helix_subscribe request = {1, 0, 0, 1, 8, 0};

  test_resource_new (test, 1, W, H);
  test_show (test, 0, 1);
  /* 8 slots of 256 MiB are exactly that; with the pool below, beyond. */
  test_resource_new (test, 2, 64, 64);
  test_client_subscribe (client, 1, 0, 0);
  test_client_frame (client, 1);
  test_client_subscribe_with (client, 2, &request);
  test_client_expect (client, HELIX_SCANOUT, 2);
  test_show_part (test, 1, 2, (struct helix_rect){0, 0, 16384, 4096});
  test_client_expect_error (client, 2, HELIX_ERROR_NO_MEMORY, "8 slots");
  /* A smaller mode is served again. */
  test_show (test, 1, 2);
  test_client_frame (client, 2);
  test_shim_free (test);
}

GST_END_TEST;

/* No shared memory to be had: told, with the reason, and survived. */
GST_START_TEST (test_no_shared_memory)
{
  struct rlimit old, tight;

  signal (SIGXFSZ, SIG_IGN);
  fail_unless (getrlimit (RLIMIT_FSIZE, &old) == 0);
  tight = old;
  tight.rlim_cur = 128 << 10; /* the pool needs 228 KiB */
  fail_unless (setrlimit (RLIMIT_FSIZE, &tight) == 0);
  test_client_subscribe (client, 1, 0, 0);
  test_client_expect_error (
      client, 1, HELIX_ERROR_NO_MEMORY, g_strerror (EFBIG));
  setrlimit (RLIMIT_FSIZE, &old);
  test_client_subscribe (client, 1, 0, 0);
  test_client_take (client, 1, 1);
}

GST_END_TEST;

static Suite *
subscription_suite (void)
{
  Suite *suite = suite_create ("helix-shim-subscription");
  TCase *tc;

  tc = test_case (suite, test_setup_client);
  tcase_add_test (tc, test_gone_with_all_slots);
  tcase_add_test (tc, test_no_credit);
  tcase_add_test (tc, test_last_of_burst);
  tcase_add_test (tc, test_pace);
  tcase_add_test (tc, test_pace_of_another_phase);
  tcase_add_test (tc, test_pace_adds_no_wait);
  tcase_add_test (tc, test_slots_wanted);
  tcase_add_test (tc, test_no_shared_memory);
  tc = test_case (suite, test_setup);
  tcase_add_test (tc, test_stopped_client_hurts_nobody);
  tc = test_case (suite, NULL);
  tcase_add_test (tc, test_memory_limit);
  return suite;
}

GST_CHECK_MAIN (subscription);

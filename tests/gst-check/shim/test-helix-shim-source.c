/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * SHOW: what a subscription shows is what was said last, whole, at its own
 * time, and never mixed with anything else.
 */
#include <string.h>

#include <gst/check/gstcheck.h>

#include "helix-shim-subscription.h"
#include "helix-test-client.h"

static const struct helix_rect all = {0, 0, W, H};

/* A FRAME, with nothing but ERRORs before it. */
static void
skip_to_frame (struct test_client *client)
{
  uint8_t type = HELIX_ERROR;

  while (type == HELIX_ERROR)
    type = test_client_next (client)->type;
  fail_unless_equals_int (type, HELIX_FRAME);
}

/* One that has seen resource 1. */
static struct test_client *
new_client (void)
{
  struct test_client *fresh = test_client_new (test);

  test_client_subscribe (fresh, 1, 0, 0);
  test_client_take (fresh, 1, 1);
  test_client_settle (fresh);
  return fresh;
}

/* Resource 1 is on scanout 0; 2 and 3 are nowhere, 4 is larger. */
static void
setup (void)
{
  test_setup ();
  test_resource_new (test, 2, W, H);
  test_resource_new (test, 3, W, H);
  test_resource_new (test, 4, 2 * W, H);
  client = new_client ();
}

GST_START_TEST (test_shows)
{
  uint32_t generation = client->generation;
  struct helix_frame frame;

  for (int i = 0; i < 10; i++) {
    uint32_t id = 2 + (uint32_t) i % 2;
    uint64_t bytes = test->read_bytes;

    /* Drawn without a flush. */
    test_draw (test, id, all);
    test_client_show (client, 1, id, HELIX_NONE64);
    frame = test_client_take (client, 1, id);
    fail_unless_equals_int (frame.generation, generation);
    fail_unless_equals_int (frame.scanout, 0);
    fail_unless_equals_int (frame.rects, 0);
    fail_unless_equals_uint64 (test->read_bytes - bytes, W * H * 4);
    fail_unless_equals_int (test_client_settle (client), 0);
  }
  fail_unless_equals_uint64 (test_stats (test).shows, 10);
  /* The same one again is read again: its pixels are not known now. */
  test_draw (test, 3, (struct helix_rect){0, 0, 1, 1});
  test_client_show (client, 1, 3, HELIX_NONE64);
  test_client_take (client, 1, 3);

  /* Another size: another generation, a new pool. */
  test_client_show (client, 1, 4, HELIX_NONE64);
  frame = test_client_take (client, 1, 4);
  fail_unless_equals_int (frame.generation, generation + 1);
  fail_unless_equals_int (frame.width, 2 * W);
  test_client_show (client, 1, 2, HELIX_NONE64);
  frame = test_client_take (client, 1, 2);
  fail_unless_equals_int (frame.generation, generation + 2);
}

GST_END_TEST;

/* From then on it shows this resource: neither its scanout's flushes nor its
 * modes concern it; SUBSCRIBE brings the scanout back. */
GST_START_TEST (test_leaves_the_scanout)
{
  uint64_t reads;

  test_client_show (client, 1, 2, HELIX_NONE64);
  test_client_take (client, 1, 2);
  test_client_settle (client);
  reads = test->reads;
  test_draw_flush (test, 1, all);
  test_show (test, 0, 4);
  test_draw_flush (test, 4, all);
  helix_shim_display_scanout (test->shim, 0, NULL);
  test_show (test, 0, 1);
  fail_unless_equals_int (test_client_settle (client), 0);
  fail_unless_equals_uint64 (test->reads, reads);
  /* But a flush of what it shows does, with its rectangle only. */
  test_draw_flush (test, 2, (struct helix_rect){3, 4, 5, 6});
  fail_unless_equals_int (
      test_client_take (client, 1, 2).read_bytes, 5 * 6 * 4);
  /* And so does a scanout that begins to show it, drawn over meanwhile. */
  test_draw (test, 2, all);
  test_show (test, 3, 2);
  test_client_take (client, 1, 2);

  test_client_subscribe (client, 1, 0, 0);
  test_client_take (client, 1, 1);
  test_draw_flush (test, 1, (struct helix_rect){0, 0, 2, 2});
  test_client_take (client, 1, 1);
}

GST_END_TEST;

/* Without credit the newest SHOW wins, and is read when it is sent. */
GST_START_TEST (test_no_credit)
{
  struct test_frame held[3];
  uint64_t reads;

  for (int i = 0; i < 3; i++) {
    test_client_show (client, 1, 2, HELIX_NONE64);
    held[i] = test_client_frame (client, 1);
  }
  reads = test->reads;
  for (int i = 0; i < 50; i++) {
    test_draw (test, 2, all);
    test_client_show (client, 1, 2 + (uint32_t) i % 2, HELIX_NONE64);
    test_round (test, 0);
  }
  test_client_settle (client);
  fail_unless_equals_uint64 (test->reads, reads);
  test_draw (test, 3, all);
  test_client_release (client, 1, &held[1]);
  fail_unless_equals_int (
      test_client_take (client, 1, 3).slot, held[1].frame.slot);
  fail_unless_equals_int (test_client_settle (client), 0);
  fail_unless_equals_uint64 (test->reads, reads + 1);
}

GST_END_TEST;

static void
show_and_wait (struct test_client *client, uint32_t id)
{
  test_client_show (client, 1, id, HELIX_NONE64);
  test_client_until_shown (client, 1, id);
}

/* Slots that hold one resource never lend a pixel to another, whichever client
 * holds them, and no stale one to the same. */
GST_START_TEST (test_never_mixed)
{
  struct test_client *one = new_client (), *two = new_client ();

  for (guint step = 0; step < 300; step++) {
    uint32_t id = (uint32_t) g_random_int_range (1, 5);
    struct helix_rect rect = {(uint32_t) g_random_int_range (0, W - 8),
        (uint32_t) g_random_int_range (0, H - 8), 8, 8};

    switch (g_random_int_range (0, 3)) {
      case 0:
        test_draw_flush (test, id, rect);
        break;
      case 1:
        test_draw (test, id, rect);
        show_and_wait (g_random_boolean () ? one : two, id);
        break;
      default:
        test_client_settle (one);
        test_client_settle (two);
    }
  }
}

GST_END_TEST;

/* Two show the same: one SHOW brings the new picture to both, by one read. */
GST_START_TEST (test_shown_twice)
{
  struct test_client *one = new_client (), *two = new_client ();

  show_and_wait (one, 3);
  show_and_wait (two, 3);
  for (int i = 0; i < 5; i++) {
    uint64_t reads;

    test_client_settle (one);
    test_client_settle (two);
    reads = test->reads;
    test_draw (test, 3, all);
    test_client_show (i % 2 ? one : two, 1, 3, HELIX_NONE64);
    test_client_take (one, 1, 3);
    test_client_take (two, 1, 3);
    fail_unless_equals_uint64 (test->reads, reads + 1);
  }
}

GST_END_TEST;

/* What the client says of the capture is believed, within reason. */
GST_START_TEST (test_capture_time)
{
  uint64_t capture, told, now;

  test_client_show (client, 1, 2, HELIX_NONE64);
  capture = test_client_take (client, 1, 2).capture_ns;
  fail_unless (capture <= helix_now_ns ());
  told = helix_now_ns ();
  test_client_show (client, 1, 3, told);
  fail_unless_equals_uint64 (test_client_take (client, 1, 3).capture_ns, told);
  /* Not in the future; not before the frame before. */
  now = helix_now_ns ();
  test_client_show (client, 1, 2, now + 3600000000000u);
  capture = test_client_take (client, 1, 2).capture_ns;
  fail_unless (capture >= now && capture <= helix_now_ns ());
  test_client_show (client, 1, 3, 0);
  fail_unless_equals_uint64 (
      test_client_take (client, 1, 3).capture_ns, capture);
  /* It was said of that picture, not of what is drawn later. */
  now = helix_now_ns ();
  test_client_settle (client);
  test_draw_flush (test, 3, all);
  fail_unless (test_client_take (client, 1, 3).capture_ns >= now);
}

GST_END_TEST;

/* An unknown one changes nothing; no subscription, nothing to show it. */
GST_START_TEST (test_no_such_resource)
{
  test_client_show (client, 1, 7, HELIX_NONE64);
  test_client_expect_error (
      client, 1, HELIX_ERROR_NO_RESOURCE, "resource 7: no such resource");
  test_draw_flush (test, 1, (struct helix_rect){0, 0, 5, 5});
  test_client_take (client, 1, 1);
  test_client_show (client, 1, 2, HELIX_NONE64);
  test_client_take (client, 1, 2);
  test_client_show (client, 1, 7, HELIX_NONE64);
  test_client_expect_error (client, 1, HELIX_ERROR_NO_RESOURCE, "resource 7");
  test_draw_flush (test, 2, (struct helix_rect){0, 0, 5, 5});
  test_client_take (client, 1, 2);
  test_client_show (client, 9, 2, HELIX_NONE64);
  test_client_expect_error (
      client, 9, HELIX_ERROR_NO_RESOURCE, "channel 9 has no subscription");
}

GST_END_TEST;

/* After unref nothing of it is read (the fixture would notice): the
 * subscription shows nothing until the next SHOW, not some scanout. */
GST_START_TEST (test_unref)
{
  struct test_frame held[3];
  uint64_t lookups;

  test_client_subscribe (client, 2, HELIX_NONE32, 1);
  test_client_take (client, 2, 1);
  test_client_show (client, 2, 2, HELIX_NONE64);
  test_client_take (client, 2, 2);
  for (int i = 0; i < 3; i++) {
    test_client_show (client, 1, 2, HELIX_NONE64);
    held[i] = test_client_frame (client, 1);
    test_client_settle (client); /* channel 2's */
  }
  lookups = test->lookups;
  test_client_show (client, 1, 2, HELIX_NONE64); /* pending, no credit */
  while (test->lookups == lookups) /* obeyed, which may wait its turn */
    test_round (test, 1);
  test_client_settle (client);
  helix_shim_display_unref (test->shim, 2);
  g_clear_pointer (&test->resource[2].pixels, g_free);
  test_client_expect (client, HELIX_SCANOUT, 1);
  fail_unless_equals_int (client->scanout.flags, 0);
  test_client_expect (client, HELIX_SCANOUT, 2);
  fail_unless_equals_int (client->scanout.flags, 0);
  for (int i = 0; i < 3; i++) {
    test_client_release (client, 1, &held[i]);
  }
  test_draw_flush (test, 1, all);
  fail_unless_equals_int (test_client_settle (client), 0);
  test_client_show (client, 1, 2, HELIX_NONE64);
  test_client_expect_error (client, 1, HELIX_ERROR_NO_RESOURCE, "resource 2");
  test_client_show (client, 1, 3, HELIX_NONE64);
  test_client_take (client, 1, 3);
  test_client_show (client, 2, 3, HELIX_NONE64);
  test_client_take (client, 2, 3);
  /* A reset takes what is shown likewise. */
  helix_shim_display_reset (test->shim);
  g_clear_pointer (&test->resource[3].pixels, g_free);
  test_client_settle (client);
  test_resource_new (test, 3, W, H);
  test_client_show (client, 1, 3, HELIX_NONE64);
  test_client_take (client, 1, 3);
}

GST_END_TEST;

/* What cannot be read is told of each one, once, and is left for the next. */
GST_START_TEST (test_unreadable)
{
  uint64_t begin = helix_now_ns ();

  test->resource[2].unreadable = test->resource[3].unreadable = true;
  for (uint32_t id = 2; id <= 3; id++) {
    test_client_show (client, 1, id, HELIX_NONE64);
    test_client_expect_error (
        client, 1, HELIX_ERROR_READBACK, "the test says so");
  }
  for (int i = 0; i < 500; i++)
    test_draw_flush (test, 3, all);
  /* One each at once, then four a second. */
  fail_unless (test->reads <= 3 + (helix_now_ns () - begin) / 250000000u);
  test_resource_new (test, 5, W, H);
  test_client_show (client, 1, 5, HELIX_NONE64);
  test_client_take (client, 1, 5);
  fail_unless (test_stats (test).read_errors >= 2);
}

GST_END_TEST;

/* The pace that SUBSCRIBE asked for holds; the newest wins. */
GST_START_TEST (test_pace)
{
  const struct helix_subscribe request = {0, 0, 10, 1, 0, 0};
  struct helix_frame first, last;

  test_client_subscribe_with (client, 1, &request);
  first = test_client_take (client, 1, 1);
  /* One may come early. */
  test_client_show (client, 1, 2, HELIX_NONE64);
  test_client_take (client, 1, 2);
  for (int i = 0; i < 20; i++)
    test_client_show (client, 1, 2, HELIX_NONE64);
  test_client_show (client, 1, 3, HELIX_NONE64);
  last = test_client_take (client, 1, 3);
  fail_unless_equals_uint64 (last.sequence, 3);
  fail_unless (last.capture_ns - first.capture_ns >= 98000000u);
}

GST_END_TEST;

/* SHOWs as fast as a client can say them cost the display thread no more than
 * those of a fast screen, whether there is such a resource or not; the newest
 * is shown in the end. */
GST_START_TEST (test_flood)
{
  bool known = __i__ == 0;
  uint64_t begin, took, most;

  test->lookups = 0;
  begin = helix_now_ns ();
  for (uint32_t i = 0; i < 5000; i++) {
    test_client_show (client, 1, known ? 2 + i % 2 : 7, HELIX_NONE64);
    test_round (test, 0);
  }
  test_client_show (client, 1, 1, HELIX_NONE64);
  if (known)
    while (test_client_skip (client, 1).resource_id != 1)
      ;
  else
    skip_to_frame (client);
  took = helix_now_ns () - begin;
  most = 2 + took / HELIX_SHIM_SHOW_EVERY_NS;
  fail_unless (test->lookups <= most,
      "%" G_GUINT64_FORMAT " lookups in %" G_GUINT64_FORMAT " us",
      test->lookups, took / 1000);
  fail_unless (test_stats (test).readbacks <= 1 + most);
}

GST_END_TEST;

static Suite *
show_suite (void)
{
  Suite *suite = suite_create ("helix-shim-source");
  TCase *tc;

  tc = test_case (suite, setup);
  tcase_add_test (tc, test_shows);
  tcase_add_test (tc, test_leaves_the_scanout);
  tcase_add_test (tc, test_no_credit);
  tcase_add_test (tc, test_capture_time);
  tcase_add_test (tc, test_no_such_resource);
  tcase_add_test (tc, test_unref);
  tcase_add_test (tc, test_unreadable);
  tcase_add_test (tc, test_pace);
  tcase_add_loop_test (tc, test_flood, 0, 2);
  tcase_add_test (tc, test_never_mixed);
  tcase_add_test (tc, test_shown_twice);
  return suite;
}

GST_CHECK_MAIN (show);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What arrives is what the screen shows, and costs what changed.
 */
#include <string.h>

#include <gst/check/gstcheck.h>

#include "helix-test-client.h"

#define W 200u
#define H 150u

static struct test_shim *
new_shim (void)
{
  struct test_shim *test = test_shim_new (NULL);

  test_resource_new (test, 1, W, H);
  test_show (test, 0, 1);
  return test;
}

GST_START_TEST (test_first_frame_without_a_flush)
{
  struct test_shim *test = new_shim ();
  struct test_client *client = test_client_new (test);
  struct helix_frame frame;
  uint64_t before = helix_now_ns ();

  fail_unless (helix_shim_idle (test->shim));
  test_client_subscribe (client, 1, 0, 0);
  frame = test_client_take (client, 1, 1);
  fail_unless_equals_int (frame.width, W);
  fail_unless_equals_int (frame.height, H);
  fail_unless_equals_int (frame.stride, W * 4);
  fail_unless_equals_int (frame.fourcc, HELIX_FOURCC_BGRX);
  fail_unless_equals_int (frame.rects, 0);
  fail_unless_equals_int (frame.resource_id, 1);
  fail_unless_equals_int (frame.read_bytes, W * H * 4);
  fail_unless_equals_uint64 (frame.sequence, 1);
  fail_unless (frame.capture_ns >= before);
  fail_unless (frame.capture_ns <= helix_now_ns ());
  fail_if (helix_shim_idle (test->shim));
  /* And that is all: a still screen says nothing. */
  fail_unless_equals_int (test_client_settle (client), 0);
  test_client_free (client);
  test_shim_free (test);
}

GST_END_TEST;

/* A flush is answered inside the flush, and reads its rectangle only. */
GST_START_TEST (test_flush_costs_what_changed)
{
  struct test_shim *test = new_shim ();
  struct test_client *client = test_client_new (test);
  const struct helix_rect rect = {10, 20, 30, 40};

  test_client_subscribe (client, 1, 0, 0);
  test_client_take (client, 1, 1);
  test_client_settle (client);
  for (int i = 0; i < 10; i++) {
    uint64_t bytes = test->read_bytes, frames = test_stats (test).readbacks;
    struct test_frame frame;

    test_draw_flush (test, 1, rect);
    fail_unless_equals_uint64 (test->read_bytes - bytes, 30 * 40 * 4);
    fail_unless_equals_uint64 (test_stats (test).readbacks - frames, 1);
    frame = test_client_frame (client, 1);
    test_frame_assert_shows (test, &frame, 1, 0, 0);
    fail_unless_equals_int (frame.frame.rects, 1);
    fail_unless (memcmp (&frame.rects[0], &rect, sizeof rect) == 0);
    fail_unless_equals_int (frame.frame.read_bytes, 30 * 40 * 4);
    test_client_release (client, 1, &frame);
    test_frame_done (&frame);
    test_client_settle (client);
  }
  test_client_free (client);
  test_shim_free (test);
}

GST_END_TEST;

/* However many watch, and however many scanouts show it: one read. */
GST_START_TEST (test_one_read_for_all)
{
  struct test_shim *test = new_shim ();
  struct test_client *client[4];

  test_show (test, 1, 1);
  for (int i = 0; i < 4; i++) {
    client[i] = test_client_new (test);
    test_client_subscribe (client[i], 1, i % 2, 0);
    test_client_take (client[i], 1, 1);
    test_client_settle (client[i]);
  }
  for (int round = 0; round < 20; round++) {
    uint64_t reads = test->reads, bytes = test->read_bytes;
    uint64_t capture = 0;

    test_draw_flush (test, 1, (struct helix_rect){5, 5, 50, 50});
    fail_unless_equals_uint64 (test->reads - reads, 1);
    fail_unless_equals_uint64 (test->read_bytes - bytes, 50 * 50 * 4);
    for (int i = 0; i < 4; i++) {
      struct helix_frame frame = test_client_take (client[i], 1, 1);

      fail_unless (capture == 0 || frame.capture_ns == capture);
      capture = frame.capture_ns;
    }
    for (int i = 0; i < 4; i++)
      test_client_settle (client[i]);
  }
  fail_unless (test_stats (test).copies >= 60);
  for (int i = 0; i < 4; i++)
    test_client_free (client[i]);
  test_shim_free (test);
}

GST_END_TEST;

/* Two scanouts side by side in one resource. */
GST_START_TEST (test_parts_of_a_resource)
{
  struct test_shim *test = new_shim ();
  struct test_client *client = test_client_new (test);
  struct test_frame frame;

  test_show_part (test, 0, 1, (struct helix_rect){0, 0, 100, 150});
  test_show_part (test, 1, 1, (struct helix_rect){100, 30, 100, 120});
  test_client_subscribe (client, 1, 0, 0);
  test_client_subscribe (client, 2, 1, 0);
  frame = test_client_frame (client, 1);
  test_frame_assert_shows (test, &frame, 1, 0, 0);
  test_client_release (client, 1, &frame);
  test_frame_done (&frame);
  frame = test_client_frame (client, 2);
  test_frame_assert_shows (test, &frame, 1, 100, 30);
  test_client_release (client, 2, &frame);
  test_frame_done (&frame);
  test_client_settle (client);

  test_draw_flush (test, 1, (struct helix_rect){90, 20, 20, 20});
  frame = test_client_frame (client, 1);
  test_frame_assert_shows (test, &frame, 1, 0, 0);
  fail_unless_equals_int (frame.rects[0].x, 90);
  fail_unless_equals_int (frame.rects[0].width, 10);
  test_frame_done (&frame);
  frame = test_client_frame (client, 2);
  test_frame_assert_shows (test, &frame, 1, 100, 30);
  fail_unless_equals_int (frame.rects[0].x, 0);
  fail_unless_equals_int (frame.rects[0].y, 0);
  fail_unless_equals_int (frame.rects[0].width, 10);
  fail_unless_equals_int (frame.rects[0].height, 10);
  test_frame_done (&frame);
  test_client_settle (client);

  /* Outside of both: nobody's business. */
  test_draw_flush (test, 1, (struct helix_rect){150, 0, 20, 20});
  fail_unless_equals_int (test_client_settle (client), 0);
  /* The part moves: same size, all of it new, no new generation. */
  test_draw_flush (test, 1, (struct helix_rect){100, 0, 100, 20});
  test_client_settle (client);
  test_show_part (test, 1, 1, (struct helix_rect){100, 10, 100, 120});
  frame = test_client_frame (client, 2);
  test_frame_assert_shows (test, &frame, 1, 100, 10);
  fail_unless_equals_int (frame.frame.rects, 0);
  fail_unless_equals_int (frame.frame.generation, 1);
  test_frame_done (&frame);
  test_client_free (client);
  test_shim_free (test);
}

GST_END_TEST;

/* Two resources in turn, only what differs is flushed: no new generation,
 * no SCANOUT, no full read. */
GST_START_TEST (test_page_flip)
{
  struct test_shim *test = new_shim ();
  struct test_client *client = test_client_new (test);

  test_resource_new (test, 2, W, H);
  test_client_subscribe (client, 1, 0, 0);
  test_client_take (client, 1, 1);
  test_client_settle (client);
  for (uint32_t i = 0; i < 20; i++) {
    uint32_t id = 2 - i % 2;
    uint64_t bytes = test->read_bytes;
    const struct helix_rect rect = {i, 2 * i, 40, 30};
    struct helix_frame frame;

    memcpy (
        test->resource[id].pixels, test->resource[3 - id].pixels, W * H * 4);
    test_draw (test, id, rect);
    test_show (test, 0, id);
    helix_shim_display_flush (test->shim, id, &rect);
    frame = test_client_take (client, 1, id);
    fail_unless_equals_int (frame.resource_id, id);
    fail_unless_equals_int (frame.generation, 1);
    fail_unless_equals_int (frame.rects, 1);
    fail_unless_equals_uint64 (test->read_bytes - bytes, 40 * 30 * 4);
    fail_unless_equals_int (test_client_settle (client), 0);
  }
  fail_unless_equals_int (client->scanout.resource_id, 1);
  test_client_free (client);
  test_shim_free (test);
}

GST_END_TEST;

GST_START_TEST (test_mode_change)
{
  struct test_shim *test = new_shim ();
  struct test_client *client = test_client_new (test);
  struct helix_frame frame;

  test_client_subscribe (client, 1, 0, 0);
  frame = test_client_take (client, 1, 1);
  fail_unless_equals_int (frame.pool_id, 1);
  /* Larger: a new pool. */
  test_resource_new (test, 2, 2 * W, H);
  test_show (test, 0, 2);
  frame = test_client_take (client, 1, 2);
  fail_unless_equals_int (frame.generation, 2);
  fail_unless_equals_int (frame.width, 2 * W);
  fail_unless_equals_int (frame.rects, 0);
  fail_unless_equals_int (frame.pool_id, 2);
  /* Smaller again: it fits. */
  test_show (test, 0, 1);
  frame = test_client_take (client, 1, 1);
  fail_unless_equals_int (frame.generation, 3);
  fail_unless_equals_int (frame.width, W);
  fail_unless_equals_int (frame.stride, W * 4);
  fail_unless_equals_int (frame.pool_id, 2);
  /* Same size, another format. */
  helix_shim_display_scanout (test->shim, 0,
      &(struct helix_surface){
          .resource_id = 1, .rect = {0, 0, W, H}, .fourcc = HELIX_FOURCC_RGBA});
  frame = test_client_take (client, 1, 1);
  fail_unless_equals_int (frame.generation, 4);
  fail_unless_equals_int (frame.fourcc, HELIX_FOURCC_RGBA);
  fail_unless_equals_int (frame.rects, 0);
  test_client_free (client);
  test_shim_free (test);
}

GST_END_TEST;

/* A storm of modes: no frame of an old one, the last one arrives. */
GST_START_TEST (test_mode_storm)
{
  struct test_shim *test = new_shim ();
  struct test_client *client = test_client_new (test);
  struct test_frame frame;

  test_client_subscribe (client, 1, 0, 0);
  for (uint32_t i = 0; i < 60; i++) {
    const struct helix_rect all = {0, 0, 64 + 8 * i, 64};

    test_resource_new (test, 2 + i % 2, 64 + 8 * i, 64);
    test_show (test, 0, 2 + i % 2);
    test_draw_flush (test, 2 + i % 2, all);
    if (i % 3 == 0)
      test_round (test, 1);
  }
  do {
    frame = test_client_frame (client, 1); /* checks the generation */
    test_client_release (client, 1, &frame);
    if (frame.frame.width == 64 + 8 * 59)
      break;
    test_frame_done (&frame);
  } while (true);
  test_frame_assert_shows (test, &frame, 3, 0, 0);
  test_frame_done (&frame);
  test_client_free (client);
  test_shim_free (test);
}

GST_END_TEST;

GST_START_TEST (test_off_and_on)
{
  struct test_shim *test = new_shim ();
  struct test_client *client = test_client_new (test);
  struct helix_frame frame;
  uint64_t reads;

  test_client_subscribe (client, 1, 0, 0);
  test_client_take (client, 1, 1);
  helix_shim_display_scanout (test->shim, 0, NULL);
  test_message_free (test_client_expect (client, HELIX_SCANOUT, 1));
  fail_unless_equals_int (client->scanout.flags, 0);
  fail_unless_equals_int (client->scanout.width, 0);
  reads = test->reads;
  test_draw_flush (test, 1, (struct helix_rect){0, 0, W, H});
  fail_unless_equals_int (test_client_settle (client), 0);
  fail_unless_equals_uint64 (test->reads, reads);
  test_show (test, 0, 1);
  frame = test_client_take (client, 1, 1);
  fail_unless_equals_int (frame.generation, 2);
  fail_unless_equals_int (frame.rects, 0);
  test_client_free (client);
  test_shim_free (test);
}

GST_END_TEST;

/* After unref nothing of it may be read: the fixture would notice. */
GST_START_TEST (test_unref)
{
  struct test_shim *test = new_shim ();
  struct test_client *client = test_client_new (test);
  struct test_frame frame[3];

  test_client_subscribe (client, 1, 0, 0);
  test_client_subscribe (client, 2, HELIX_NONE32, 1);
  frame[0] = test_client_frame (client, 1);
  test_draw_flush (test, 1, (struct helix_rect){0, 0, 10, 10});
  test_draw_flush (test, 1, (struct helix_rect){0, 0, 10, 10});
  frame[1] = test_client_frame (client, 1);
  frame[2] = test_client_frame (client, 1);
  /* Pending, without credit; then the resource goes. */
  test_draw_flush (test, 1, (struct helix_rect){0, 0, 10, 10});
  helix_shim_display_unref (test->shim, 1);
  g_clear_pointer (&test->resource[1].pixels, g_free);
  for (int i = 0; i < 3; i++) {
    test_client_release (client, 1, &frame[i]);
    test_frame_done (&frame[i]);
  }
  test_message_free (test_client_expect (client, HELIX_SCANOUT, 1));
  fail_unless_equals_int (client->scanout.flags, 0);
  test_client_expect_error (client, 2, HELIX_ERROR_NO_RESOURCE, "destroyed");
  helix_shim_display_flush (test->shim, 1, &(struct helix_rect){0, 0, W, H});
  fail_unless_equals_int (test_client_settle (client), 0);
  /* The scanout comes back with another one. */
  test_resource_new (test, 2, W, H);
  test_show (test, 0, 2);
  fail_unless_equals_int (test_client_take (client, 1, 2).generation, 2);
  test_client_free (client);
  test_shim_free (test);
}

GST_END_TEST;

GST_START_TEST (test_reset)
{
  struct test_shim *test = new_shim ();
  struct test_client *client = test_client_new (test);

  test_show (test, 3, 1);
  test_client_subscribe (client, 1, 0, 0);
  test_client_subscribe (client, 2, 3, 0);
  test_client_take (client, 1, 1);
  test_client_take (client, 2, 1);
  helix_shim_display_reset (test->shim);
  g_clear_pointer (&test->resource[1].pixels, g_free);
  test_message_free (test_client_expect (client, HELIX_SCANOUT, 2));
  fail_unless_equals_int (client->scanout.flags, 0);
  fail_unless_equals_int (test_client_settle (client), 0);
  /* The guest boots again, by the same client. */
  test_resource_new (test, 1, W, H);
  test_show (test, 0, 1);
  fail_unless_equals_int (test_client_take (client, 1, 1).generation, 2);
  test_client_free (client);
  test_shim_free (test);
}

GST_END_TEST;

GST_START_TEST (test_resource_subscription)
{
  struct test_shim *test = new_shim ();
  struct test_client *client = test_client_new (test);
  struct helix_frame frame;

  test_client_subscribe (client, 1, HELIX_NONE32, 7);
  test_client_expect_error (client, 1, HELIX_ERROR_NO_RESOURCE, "resource");
  test_resource_new (test, 5, 64, 32);
  test_client_subscribe (client, 1, HELIX_NONE32, 5);
  frame = test_client_take (client, 1, 5);
  fail_unless_equals_int (frame.width, 64);
  fail_unless_equals_int (frame.scanout, HELIX_NONE32);
  test_client_settle (client);
  test_draw_flush (test, 5, (struct helix_rect){1, 1, 2, 2});
  frame = test_client_take (client, 1, 5);
  fail_unless_equals_int (frame.read_bytes, 16);
  /* Drawn all over while nobody showed it, then shown with a small flush. */
  test_draw (test, 5, (struct helix_rect){0, 0, 64, 32});
  test_show (test, 2, 5);
  test_draw_flush (test, 5, (struct helix_rect){0, 0, 1, 1});
  test_client_take (client, 1, 5);
  helix_shim_display_unref (test->shim, 5);
  g_clear_pointer (&test->resource[5].pixels, g_free);
  test_client_expect_error (client, 1, HELIX_ERROR_NO_RESOURCE, "destroyed");
  test_client_free (client);
  test_shim_free (test);
}

GST_END_TEST;

static Suite *
display_suite (void)
{
  Suite *suite = suite_create ("helix-display");
  TCase *tc = tcase_create ("display");

  suite_add_tcase (suite, tc);
  tcase_set_timeout (tc, 120);
  tcase_add_test (tc, test_first_frame_without_a_flush);
  tcase_add_test (tc, test_flush_costs_what_changed);
  tcase_add_test (tc, test_one_read_for_all);
  tcase_add_test (tc, test_parts_of_a_resource);
  tcase_add_test (tc, test_page_flip);
  tcase_add_test (tc, test_mode_change);
  tcase_add_test (tc, test_mode_storm);
  tcase_add_test (tc, test_off_and_on);
  tcase_add_test (tc, test_unref);
  tcase_add_test (tc, test_reset);
  tcase_add_test (tc, test_resource_subscription);
  return suite;
}

GST_CHECK_MAIN (display);

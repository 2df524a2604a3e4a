/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What arrives is what the screen shows, and costs what changed.
 */
#include <stdlib.h>
#include <string.h>

#include <gst/check/gstcheck.h>

#include "helix-test-client.h"

GST_START_TEST (test_first_frame_without_a_flush)
{
  struct helix_frame frame;
  uint64_t before = helix_now_ns ();

  /* Connected is not watching: a flush does nothing at all. */
  fail_unless (helix_shim_idle (test->shim));
  test_draw_flush (test, 1, (struct helix_rect){0, 0, 8, 8});
  fail_unless_equals_uint64 (test_stats (test).flushes, 0);
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
  test_client_send_raw (client, HELIX_UNSUBSCRIBE, 1, NULL, 0);
  test_client_settle (client);
  fail_unless (helix_shim_idle (test->shim));
}

GST_END_TEST;

/* A flush is answered inside the flush, and reads its rectangle only. */
GST_START_TEST (test_flush_costs_what_changed)
{
  const struct helix_rect rect = {10, 20, 30, 40};
  struct helix_shim_stats stats;

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
    test_client_settle (client);
  }
  stats = test_stats (test);
  fail_unless_equals_uint64 (stats.flushes, 10);
  fail_unless_equals_uint64 (stats.frames, 11);
  fail_unless_equals_uint64 (stats.readbacks, test->reads);
  fail_unless_equals_uint64 (stats.readback_bytes, test->read_bytes);
  fail_unless (stats.readback_max_ns > 0);
  fail_unless (stats.readback_ns >= stats.readback_max_ns);
  fail_unless_equals_uint64 (stats.read_errors, 0);
}

GST_END_TEST;

/* However many watch, and however many scanouts show it: one read. */
GST_START_TEST (test_one_read_for_all)
{
  const struct helix_rect rect = {5, 5, 50, 50};
  struct helix_shim_stats before, after;
  struct test_client *watcher[4];

  for (uint32_t i = 1; i < 4; i++)
    test_show (test, i, 1);
  for (int i = 0; i < 4; i++) {
    watcher[i] = test_client_new (test);
    for (uint16_t channel = 1; channel <= 4; channel++) {
      test_client_subscribe (watcher[i], channel, channel - 1, 0);
      test_client_take (watcher[i], channel, 1);
    }
    test_client_settle (watcher[i]);
  }
  before = test_stats (test);
  for (int round = 0; round < 20; round++) {
    uint64_t capture = 0;

    test_draw_flush (test, 1, rect);
    for (int i = 0; i < 16; i++) {
      struct helix_frame frame =
          test_client_take (watcher[i / 4], (uint16_t) (1 + i % 4), 1);

      fail_unless (capture == 0 || frame.capture_ns == capture);
      capture = frame.capture_ns;
    }
    for (int i = 0; i < 4; i++)
      test_client_settle (watcher[i]);
  }
  after = test_stats (test);
  fail_unless_equals_uint64 (after.flushes - before.flushes, 20);
  fail_unless_equals_uint64 (after.readbacks - before.readbacks, 20);
  fail_unless_equals_uint64 (
      after.readback_bytes - before.readback_bytes, 20 * 50 * 50 * 4);
  fail_unless_equals_uint64 (after.frames - before.frames, 20 * 16);
  fail_unless_equals_uint64 (after.copies - before.copies, 20 * 15);
  fail_unless_equals_uint64 (after.no_credit, before.no_credit);
}

GST_END_TEST;

/* Two scanouts side by side in one resource. */
GST_START_TEST (test_parts_of_a_resource)
{
  struct test_frame frame;

  test_show_part (test, 0, 1, (struct helix_rect){0, 0, 100, 150});
  test_show_part (test, 1, 1, (struct helix_rect){100, 30, 100, 120});
  test_client_subscribe (client, 1, 0, 0);
  test_client_subscribe (client, 2, 1, 0);
  frame = test_client_frame (client, 1);
  test_frame_assert_shows (test, &frame, 1, 0, 0);
  test_client_release (client, 1, &frame);
  frame = test_client_frame (client, 2);
  test_frame_assert_shows (test, &frame, 1, 100, 30);
  test_client_release (client, 2, &frame);
  test_client_settle (client);

  test_draw_flush (test, 1, (struct helix_rect){90, 20, 20, 20});
  frame = test_client_frame (client, 1);
  test_frame_assert_shows (test, &frame, 1, 0, 0);
  fail_unless_equals_int (frame.rects[0].x, 90);
  fail_unless_equals_int (frame.rects[0].width, 10);
  frame = test_client_frame (client, 2);
  test_frame_assert_shows (test, &frame, 1, 100, 30);
  fail_unless_equals_int (frame.rects[0].x, 0);
  fail_unless_equals_int (frame.rects[0].y, 0);
  fail_unless_equals_int (frame.rects[0].width, 10);
  fail_unless_equals_int (frame.rects[0].height, 10);
  test_client_settle (client);

  /* Outside of both: no frame. */
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
}

GST_END_TEST;

/* Two resources in turn, only what differs is flushed: no new generation,
 * no SCANOUT, no full read. */
GST_START_TEST (test_page_flip)
{
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
}

GST_END_TEST;

GST_START_TEST (test_mode_change)
{
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
}

GST_END_TEST;

/* A storm of modes: no frame of an old one, the last one arrives. */
GST_START_TEST (test_mode_storm)
{
  test_client_subscribe (client, 1, 0, 0);
  for (uint32_t i = 0; i < 60; i++) {
    const struct helix_rect all = {0, 0, 64 + 8 * i, 64};

    test_resource_new (test, 2 + i % 2, 64 + 8 * i, 64);
    test_show (test, 0, 2 + i % 2);
    test_draw_flush (test, 2 + i % 2, all);
    if (i % 3 == 0)
      test_round (test, 1);
  }
  test_client_until_shown (client, 1, 3); /* checks each generation */
}

GST_END_TEST;

/* After unref nothing of it may be read: the fixture would notice. */
GST_START_TEST (test_unref)
{
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
  }
  test_client_expect (client, HELIX_SCANOUT, 1);
  fail_unless_equals_int (client->scanout.flags, 0);
  test_client_expect_error (client, 2, HELIX_ERROR_NO_RESOURCE, "destroyed");
  helix_shim_display_flush (test->shim, 1, &(struct helix_rect){0, 0, W, H});
  fail_unless_equals_int (test_client_settle (client), 0);
  /* The scanout comes back with another one. */
  test_resource_new (test, 2, W, H);
  test_show (test, 0, 2);
  fail_unless_equals_int (test_client_take (client, 1, 2).generation, 2);
}

GST_END_TEST;

GST_START_TEST (test_reset)
{
  test_show (test, 3, 1);
  test_client_subscribe (client, 1, 0, 0);
  test_client_subscribe (client, 2, 3, 0);
  test_client_take (client, 1, 1);
  test_client_take (client, 2, 1);
  helix_shim_display_reset (test->shim);
  g_clear_pointer (&test->resource[1].pixels, g_free);
  test_client_expect (client, HELIX_SCANOUT, 2);
  fail_unless_equals_int (client->scanout.flags, 0);
  fail_unless_equals_int (test_client_settle (client), 0);
  /* The guest boots again, by the same client. */
  test_resource_new (test, 1, W, H);
  test_show (test, 0, 1);
  fail_unless_equals_int (test_client_take (client, 1, 1).generation, 2);
}

GST_END_TEST;

GST_START_TEST (test_resource_subscription)
{
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
  /* Drawn all over while nothing showed it, then shown with a small flush. */
  test_draw (test, 5, (struct helix_rect){0, 0, 64, 32});
  test_show (test, 2, 5);
  test_draw_flush (test, 5, (struct helix_rect){0, 0, 1, 1});
  test_client_take (client, 1, 5);
  helix_shim_display_unref (test->shim, 5);
  g_clear_pointer (&test->resource[5].pixels, g_free);
  test_client_expect_error (client, 1, HELIX_ERROR_NO_RESOURCE, "destroyed");
}

GST_END_TEST;

/* ---- buffer age: a slot's stale region is never forgotten ---- */

static struct helix_rect
random_rect (void)
{
  struct helix_rect r;

  r.x = (uint32_t) g_random_int_range (0, W);
  r.y = (uint32_t) g_random_int_range (0, H);
  r.width = (uint32_t) g_random_int_range (1, (gint32) (W - r.x) + 1);
  r.height = (uint32_t) g_random_int_range (1, (gint32) (H - r.y) + 1);
  if (g_random_boolean ()) {
    r.width = MIN (r.width, 8);
    r.height = MIN (r.height, 8);
  }
  return r;
}

struct watcher {
  struct test_client *client;
  struct test_frame held[3];
  guint n_held;
  uint32_t canvas[W * H];
  bool behind; /* no slot was free at the last flush */
};

static void
watcher_receive (struct watcher *w, struct test_shim *test)
{
  struct test_frame *frame = &w->held[w->n_held++];

  *frame = test_client_frame (w->client, 1);
  test_frame_assert_shows (test, frame, 1, 0, 0);
  test_frame_patch (frame, w->canvas);
  fail_unless (memcmp (w->canvas, test->resource[1].pixels, W * H * 4) == 0,
      "the rectangles of frame %d leave out a change",
      (int) frame->frame.sequence);
  w->behind = false;
}

static void
watcher_release (struct watcher *w, struct test_shim *test)
{
  guint i = (guint) g_random_int_range (0, (gint32) w->n_held);

  test_client_release (w->client, 1, &w->held[i]);
  w->held[i] = w->held[--w->n_held];
  if (w->behind)
    watcher_receive (w, test);
  else
    test_client_settle (w->client); /* the slot is back before the flush */
}

/* Thousands of random damages, slots given back in any order and at any
 * time, by two clients: every slot that arrives is the screen of that
 * moment, byte for byte, and so is what a client builds from rectangles. */
GST_START_TEST (test_buffer_age)
{
  struct watcher *w = g_new0 (struct watcher, 2);
  const char *steps = g_getenv ("HELIX_TEST_STEPS");
  guint n = steps ? (guint) atoi (steps) : 3000;

  for (int i = 0; i < 2; i++) {
    w[i].client = test_client_new (test);
    test_client_subscribe (w[i].client, 1, 0, 0);
    watcher_receive (&w[i], test);
  }
  for (guint step = 0; step < n; step++) {
    struct watcher *one = &w[g_random_int_range (0, 2)];

    if (g_random_int_range (0, 3) == 0 && one->n_held) {
      watcher_release (one, test);
      continue;
    }
    test_draw_flush (test, 1, random_rect ());
    for (int i = 0; i < 2; i++) {
      w[i].behind = w[i].n_held == 3;
      if (!w[i].behind)
        watcher_receive (&w[i], test);
    }
  }
  g_free (w);
}

GST_END_TEST;

/* ---- what cannot be read now is read later ---- */

/* Told once, tried again a few times a second whatever the guest does, and at
 * once when something else is shown. */
GST_START_TEST (test_unreadable)
{
  uint64_t begin = helix_now_ns ();

  test_resource_new (test, 2, W, H);
  test->resource[1].unreadable = true;
  test_client_subscribe (client, 1, 0, 0);
  test_client_expect_error (
      client, 1, HELIX_ERROR_READBACK, "the test says so");
  for (int i = 0; i < 500; i++)
    test_draw_flush (test, 1, (struct helix_rect){0, 0, W, H});
  fail_unless (test->reads <= 1 + (helix_now_ns () - begin) / 250000000u);
  fail_unless_equals_uint64 (test_stats (test).read_errors, test->reads);
  test_show (test, 0, 2);
  test_client_take (client, 1, 2);
  fail_unless_equals_int (test_client_settle (client), 0);
}

GST_END_TEST;

/* A read that failed is owed: it is read as soon as it can be, without another
 * flush, and the frame has all that changed. */
GST_START_TEST (test_read_later)
{
  const struct helix_rect corner = {0, 0, 8, 8};

  test_client_subscribe (client, 1, 0, 0);
  test_client_take (client, 1, 1);
  test->resource[1].unreadable = true;
  test_draw_flush (test, 1, corner);
  test_client_expect_error (
      client, 1, HELIX_ERROR_READBACK, "the test says so");
  test->resource[1].unreadable = false;
  /* test_client_take () compares the whole picture. */
  test_client_take (client, 1, 1);
  fail_unless_equals_int (test_client_settle (client), 0);
}

GST_END_TEST;

/* Entries from a thread that may not read: nothing is read there, and nothing
 * is lost. The test's screen fails a read or a look-up that comes so. */
GST_START_TEST (test_elsewhere)
{
  const struct helix_rect all = {0, 0, W, H};
  struct helix_frame frame;

  test_resource_new (test, 2, W, H);
  test->elsewhere = true;
  test_client_subscribe (client, 1, 0, 0);
  test_client_subscribe (client, 2, HELIX_NONE32, 2);
  test_client_take (client, 1, 1);
  test_client_take (client, 2, 2);
  test_draw_flush (test, 1, (struct helix_rect){0, 0, 8, 8});
  frame = test_client_take (client, 1, 1);
  fail_unless_equals_int (frame.read_bytes, 8 * 8 * 4);
  test_show (test, 0, 2);
  test_draw_flush (test, 2, all);
  /* Damage of one resource is pending while another one goes. */
  helix_shim_display_unref (test->shim, 1);
  test_client_take (client, 1, 2);
  test_client_take (client, 2, 2);
  helix_shim_display_reset (test->shim);
  test_client_expect_error (client, 2, HELIX_ERROR_NO_RESOURCE, "destroyed");
  test_show (test, 0, 1);
  test_client_take (client, 1, 1);
}

GST_END_TEST;

/* ---- pictures that are not exported: a size or a format that no frame can
 * carry, or larger than max-size ---- */

/* What no frame can carry counts as off, and subscriptions are told: nothing is
 * read then. */
GST_START_TEST (test_off_and_impossible_surfaces)
{
  const struct helix_rect sizes[] = {{0}, {0, 0, 0, 100}, {0, 0, 100, 0},
      {0, 0, 16385, 1}, {0, 0, 16384, 16384}, {0, 0, UINT32_MAX, UINT32_MAX}};

  test_resource_new (test, 1, W, H);
  test_show (test, 0, 1);
  test_client_subscribe (client, 1, 0, 0);
  test_client_take (client, 1, 1);
  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
    uint64_t reads = test->reads;
    struct helix_frame frame;

    test_show_part (test, 0, i ? 1 : 0, sizes[i]);
    test_client_expect (client, HELIX_SCANOUT, 1);
    fail_unless_equals_int (client->scanout.flags, 0);
    fail_unless_equals_int (client->scanout.width, 0);
    if (sizes[i].width > 0 && sizes[i].height > 0)
      test_client_expect_error (client, 1, HELIX_ERROR_READBACK, "max-size");
    test_draw_flush (test, 1, (struct helix_rect){0, 0, W, H});
    fail_unless_equals_int (test_client_settle (client), 0);
    fail_unless_equals_uint64 (test->reads, reads);
    test_show (test, 0, 1);
    frame = test_client_take (client, 1, 1);
    fail_unless_equals_int (frame.generation, i + 2);
    fail_unless_equals_int (frame.rects, 0);
  }
  fail_unless (test_logged (test, "16384x16384"));
  helix_shim_display_scanout (test->shim, 0,
      &(struct helix_surface){
          .resource_id = 1, .rect = {0, 0, W, H}, .fourcc = 0x3231564e});
  test_client_expect (client, HELIX_SCANOUT, 1);
  fail_unless_equals_int (client->scanout.flags, 0);
  test_client_expect_error (client, 1, HELIX_ERROR_READBACK, "format");
  fail_unless (test_logged (test, "0x3231564e"));
  /* A scanout that this VM does not have. */
  test_show (test, 99, 1);
}

GST_END_TEST;

/* The guest chooses the size, and memory is given to each client for it: to
 * what is larger than max-size none is, and the client is told why, be it by
 * scanout, by resource or by SHOW. The log has it once. */
GST_START_TEST (test_max_size)
{
  const struct helix_shim_config config = {.max_width = 100, .max_height = 50};
  struct test_shim *test = test_shim_new (&config);
  struct test_client *client = test_client_new (test);
  struct test_client *late;
  guint pools;

  test_resource_new (test, 1, 50, 100); /* as many pixels */
  test_resource_new (test, 2, 51, 100);
  test_show (test, 0, 1);
  test_client_subscribe (client, 1, 0, 0);
  test_client_take (client, 1, 1);
  pools = client->pools->len;
  for (int i = 0; i < 5; i++) {
    test_show (test, 0, 2);
    test_client_expect_error (
        client, 1, HELIX_ERROR_READBACK, "max-size=100x50");
    fail_unless_equals_int (client->scanout.flags, 0);
    /* The same again is no news. */
    test_show (test, 0, 2);
    test_draw_flush (test, 2, (struct helix_rect){0, 0, 9, 9});
    fail_unless_equals_int (test_client_settle (client), 0);
    late = test_client_new (test);
    test_client_subscribe (late, 1, 0, 0);
    test_client_expect_error (late, 1, HELIX_ERROR_READBACK, "max-size=100x50");
    test_client_free (late);
    test_show (test, 0, 1);
    test_client_take (client, 1, 1);
  }
  fail_unless_equals_int (test_log_count (test, "51x100"), 1);
  test_client_subscribe (client, 2, HELIX_NONE32, 2);
  test_client_expect_error (client, 2, HELIX_ERROR_NO_RESOURCE, "max-size");
  test_client_show (client, 1, 2, HELIX_NONE64);
  test_client_expect_error (client, 1, HELIX_ERROR_NO_RESOURCE, "max-size");
  /* When it is gone the scanout is only dark. */
  test_show (test, 3, 2);
  helix_shim_display_unref (test->shim, 2);
  test_client_subscribe (client, 3, 3, 0);
  test_client_expect (client, HELIX_SCANOUT, 3);
  fail_unless_equals_int (test_client_settle (client), 0);
  fail_unless_equals_int (client->pools->len, pools);
  test_shim_free (test);
}

GST_END_TEST;

static Suite *
display_suite (void)
{
  Suite *suite = suite_create ("helix-shim-display");
  TCase *tc;

  tc = test_case (suite, test_setup_client);
  tcase_add_test (tc, test_first_frame_without_a_flush);
  tcase_add_test (tc, test_flush_costs_what_changed);
  tcase_add_test (tc, test_parts_of_a_resource);
  tcase_add_test (tc, test_page_flip);
  tcase_add_test (tc, test_mode_change);
  tcase_add_test (tc, test_mode_storm);
  tcase_add_test (tc, test_unref);
  tcase_add_test (tc, test_reset);
  tcase_add_test (tc, test_resource_subscription);
  tcase_add_test (tc, test_unreadable);
  tcase_add_test (tc, test_read_later);
  tcase_add_test (tc, test_elsewhere);
  tc = test_case (suite, test_setup);
  tcase_add_test (tc, test_one_read_for_all);
  tcase_add_test (tc, test_buffer_age);
  tc = test_case (suite, test_setup_dark_client);
  tcase_add_test (tc, test_off_and_impossible_surfaces);
  tc = test_case (suite, NULL);
  tcase_add_test (tc, test_max_size);
  return suite;
}

GST_CHECK_MAIN (display);

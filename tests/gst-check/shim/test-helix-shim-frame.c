/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Readbacks that are complete later, and all that may happen meanwhile. The
 * pixels are those of the flush; a thread of the fixture's writes others into
 * the slot until the test says that it is complete.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include <gst/check/gstcheck.h>

#include "helix-shim-outbox.h"
#include "helix-shim-subscription.h"
#include "helix-test-client.h"

static const struct helix_rect all = {0, 0, W, H};

static void
setup (void)
{
  test_setup ();
  test->pending = true;
  client = test_client_new (test);
}

static uint64_t
pending (void)
{
  return test_stats (test).readbacks_pending;
}

/* The readback that begins soon, and its end. */
static void
complete_next (void)
{
  test_until (test, pending () == 1);
  test_read_done (test, NULL);
}

/* With its first frame, which is of resource 1. */
static void
subscribe (struct test_client *client, uint16_t channel, uint32_t slots)
{
  const struct helix_subscribe request = {0, 0, 0, 1, slots, 0};

  test_client_subscribe_with (client, channel, &request);
  complete_next ();
  test_client_take (client, channel, 1);
  test_client_settle (client);
}

/* What resource `id`, of W x H pixels, looks like now. */
static uint32_t *
keep (uint32_t id)
{
  uint32_t *picture = g_new (uint32_t, W * H);

  memcpy (picture, test->resource[id].pixels, W * H * 4);
  return picture;
}

/* The next frame on `channel` is that picture, of resource `id`. Frees it;
 * the slot goes back. */
static struct test_frame
take_picture (struct test_client *client, uint16_t channel, uint32_t id,
    uint32_t *picture)
{
  struct test_frame frame = test_client_frame (client, channel);

  fail_unless_equals_int (frame.frame.resource_id, id);
  fail_unless (memcmp (frame.pixels, picture, W * H * 4) == 0,
      "frame %d is another picture", (int) frame.frame.sequence);
  test_client_release (client, channel, &frame);
  g_free (picture);
  return frame;
}

static void
free_resource (uint32_t id)
{
  g_clear_pointer (&test->resource[id].pixels, g_free);
}

/* As if the owner's part of the readback that pends had taken so long. */
static void
hold (uint64_t ns)
{
  struct helix_readback *readback = g_ptr_array_index (test->shim->pending, 0);

  readback->held_ns += ns;
}

/* The flush returns at once, and the frame is of that moment. What changes
 * meanwhile is read when it is complete, together. */
GST_START_TEST (test_damage_meanwhile)
{
  const struct helix_rect rect[3] = {
      {10, 10, 20, 20}, {50, 60, 10, 10}, {80, 20, 5, 5}};
  const uint64_t hour_ns = 3600000000000u;
  struct helix_histogram before_stalls, stalls;
  uint64_t reads, before, after;
  struct test_frame frame;
  uint32_t *picture;

  subscribe (client, 1, 0);
  before_stalls = test_stats (test).stalls;
  before = helix_now_ns ();
  test_draw_flush (test, 1, rect[0]);
  after = helix_now_ns ();
  picture = keep (1);
  fail_unless_equals_int (test_client_settle (client), 0);
  reads = test->reads;
  test_draw_flush (test, 1, rect[1]);
  test_draw_flush (test, 1, rect[2]);
  fail_unless_equals_uint64 (test->reads, reads);
  fail_unless_equals_uint64 (pending (), 1);
  hold (hour_ns);

  test_read_done (test, NULL);
  fail_unless_equals_uint64 (test->reads, reads + 1);
  fail_unless_equals_uint64 (pending (), 1);
  frame = take_picture (client, 1, 1, picture);
  fail_unless (frame.frame.capture_ns >= before);
  fail_unless (frame.frame.capture_ns <= after);
  fail_unless (frame.frame.readback_ns > 0);
  fail_unless_equals_int (frame.frame.read_bytes, 20 * 20 * 4);
  fail_unless_equals_int (frame.frame.rects, 1);
  fail_unless (memcmp (&frame.rects[0], &rect[0], sizeof rect[0]) == 0);

  hold (hour_ns);
  test_read_done (test, NULL);
  frame.frame = test_client_take (client, 1, 1);
  fail_unless (frame.frame.capture_ns >= after);
  fail_unless (frame.frame.wait_ns > 0);
  fail_unless_equals_int (frame.frame.rects, 2);
  fail_unless_equals_int (frame.frame.read_bytes, (10 * 10 + 5 * 5) * 4);
  fail_unless_equals_uint64 (pending (), 0);
  fail_unless_equals_uint64 (test_stats (test).readbacks, test->reads);
  /* Each readback once, with all that it took of the thread; the flushes that
   * only noted damage held nothing up by reading. */
  stalls = test_stats (test).stalls;
  fail_unless_equals_uint64 (stalls.count, before_stalls.count + 2);
  fail_unless (stalls.sum - before_stalls.sum > 2 * hour_ns);
}

GST_END_TEST;

/* One readback for both, however many follow each other without a pause; none
 * is left behind by the one that began it. */
GST_START_TEST (test_shared)
{
  struct test_client *other = test_client_new (test);
  struct helix_shim_stats before, after;
  uint32_t *picture, *next;

  subscribe (client, 1, 0);
  test_client_subscribe (other, 1, 0, 0);
  test_client_take (other, 1, 1); /* copied */
  test_client_settle (other);
  before = test_stats (test);
  test_draw_flush (test, 1, all);
  next = keep (1);
  for (guint64 i = 0; i < 20; i++) {
    struct test_frame one, two;

    picture = next;
    test_draw_flush (test, 1, all);
    next = keep (1);
    fail_unless_equals_uint64 (pending (), 1);
    test_read_done (test, NULL);
    one = test_client_frame (client, 1);
    fail_unless (memcmp (one.pixels, picture, W * H * 4) == 0);
    two = take_picture (other, 1, 1, picture);
    test_client_release (client, 1, &one);
    fail_unless_equals_uint64 (one.frame.capture_ns, two.frame.capture_ns);
    fail_unless_equals_uint64 (one.frame.sequence, i + 2);
    fail_unless_equals_uint64 (two.frame.sequence, i + 2);
    fail_unless_equals_int (two.frame.read_bytes, 0);
    test_client_settle (client);
    test_client_settle (other);
  }
  after = test_stats (test);
  fail_unless_equals_uint64 (after.readbacks - before.readbacks, 20);
  fail_unless_equals_uint64 (after.frames - before.frames, 40);
  fail_unless_equals_uint64 (
      after.readback_bytes - before.readback_bytes, 20 * W * H * 4);
  fail_unless_equals_uint64 (after.copies - before.copies, 20);
  g_free (next);
}

GST_END_TEST;

/* A subscription that comes meanwhile waits, and needs no readback of its own.
 */
GST_START_TEST (test_late_subscriber)
{
  struct test_client *late = test_client_new (test);
  uint64_t reads;

  subscribe (client, 1, 0);
  test_draw_flush (test, 1, all);
  reads = test->reads;
  test_client_subscribe (late, 1, 0, 0);
  fail_unless_equals_int (test_client_settle (late), 0);
  fail_unless_equals_uint64 (test->reads, reads);
  test_read_done (test, NULL);
  test_client_take (client, 1, 1);
  test_client_take (late, 1, 1);
  fail_unless_equals_uint64 (test->reads, reads);
  fail_unless_equals_uint64 (pending (), 0);
}

GST_END_TEST;

/* Two parts of one resource are two surfaces: one readback each. */
GST_START_TEST (test_two_surfaces)
{
  struct test_frame frame;

  test_show_part (test, 1, 1, (struct helix_rect){100, 30, 100, 120});
  subscribe (client, 1, 0);
  test_client_subscribe (client, 2, 1, 0);
  complete_next ();
  frame = test_client_frame (client, 2);
  test_frame_assert_shows (test, &frame, 1, 100, 30);
  test_client_release (client, 2, &frame);
  test_client_settle (client);
  test_draw_flush (test, 1, (struct helix_rect){90, 20, 20, 20});
  fail_unless_equals_uint64 (pending (), 2);
  test_read_done (test, NULL);
  test_client_take (client, 1, 1);
  fail_unless_equals_uint64 (pending (), 1);
  test_read_done (test, NULL);
  frame = test_client_frame (client, 2);
  test_frame_assert_shows (test, &frame, 1, 100, 30);
  fail_unless_equals_int (frame.frame.read_bytes, 10 * 10 * 4);
}

GST_END_TEST;

/* To larger and smaller pictures and back: no frame of a mode before (a frame
 * of another generation than SCANOUT said fails), no slot is lost, and none of
 * its old pixels is believed. */
GST_START_TEST (test_mode_change)
{
  const struct helix_rect part = {10, 20, 100, 100};

  subscribe (client, 1, 2);
  for (uint32_t i = 0; i < 12; i++) {
    uint32_t id = 2 + i % 3;

    test_draw_flush (test, i ? 2 + (i - 1) % 3 : 1, part);
    fail_unless_equals_uint64 (pending (), 1);
    test_resource_new (test, id, W + 20 * (i % 3) - 10, H);
    test_show (test, 0, id);
    helix_shim_display_flush (test->shim, id, &part);
    fail_unless_equals_int (test_client_settle (client), 0);
    test_read_done (test, NULL);
    complete_next ();
    fail_unless_equals_uint64 (
        test_client_take (client, 1, id).sequence, 2 + i);
    test_client_settle (client);
  }
  fail_unless_equals_uint64 (test_stats (test).read_errors, 0);
}

GST_END_TEST;

/* Another resource of the same mode: the picture before goes out first. If its
 * resource went away and it fails, that is no fault of the one shown now. */
GST_START_TEST (test_page_flip)
{
  const struct helix_rect first = {5, 5, 30, 30}, second = {100, 100, 10, 10};
  bool good = __i__ == 0;
  struct helix_frame frame;
  uint32_t *picture;

  subscribe (client, 1, 0);
  test_resource_new (test, 2, W, H);
  test_draw_flush (test, 1, first);
  picture = keep (1);
  memcpy (test->resource[2].pixels, picture, W * H * 4);
  test_show (test, 0, 2);
  test_draw_flush (test, 2, second);
  helix_shim_display_unref (test->shim, 1);
  free_resource (1);
  test_read_done (test, good ? NULL : "it is gone");
  if (good)
    take_picture (client, 1, 1, picture);
  else
    g_free (picture);
  fail_unless_equals_uint64 (pending (), 1);
  test_read_done (test, NULL);
  frame = test_client_take (client, 1, 2);
  fail_unless_equals_int (frame.rects, good ? 1 : 2);
  fail_unless_equals_uint64 (test_stats (test).read_errors, 0);
}

GST_END_TEST;

/* The resource goes, or all do; its readback may be complete all the same. */
GST_START_TEST (test_resource_gone)
{
  bool good = __i__ & 1, reset = __i__ & 2;

  subscribe (client, 1, 0);
  test_client_subscribe (client, 2, HELIX_NONE32, 1);
  test_client_take (client, 2, 1); /* copied */
  test_client_settle (client);
  test_draw_flush (test, 1, all);
  if (reset)
    helix_shim_display_reset (test->shim);
  else
    helix_shim_display_unref (test->shim, 1);
  free_resource (1);
  test_read_done (test, good ? NULL : "it is gone");
  test_client_expect (client, HELIX_SCANOUT, 1);
  fail_unless_equals_int (client->scanout.flags, 0);
  test_client_expect_error (client, 2, HELIX_ERROR_NO_RESOURCE, "destroyed");
  fail_unless_equals_int (test_client_settle (client), 0);
  fail_unless_equals_uint64 (test_stats (test).read_errors, 0);
  /* The same number again: nothing of the old one is left. */
  test_resource_new (test, 1, W, H);
  test_show (test, 0, 1);
  complete_next ();
  fail_unless_equals_int (test_client_take (client, 1, 1).generation, 2);
}

GST_END_TEST;

/* The subscription that began the readback ends, or shows something else. The
 * subscription that joined gets its picture from that slot all the same. */
GST_START_TEST (test_first_leaves)
{
  bool unsubscribe = __i__ == 0;
  uint32_t *picture;

  subscribe (client, 1, 0);
  test_client_subscribe (client, 2, HELIX_NONE32, 1);
  test_client_take (client, 2, 1);
  test_client_settle (client);
  test_draw_flush (test, 1, all);
  picture = keep (1);
  if (unsubscribe) {
    test_client_send_raw (client, HELIX_UNSUBSCRIBE, 1, NULL, 0);
  } else {
    test_resource_new (test, 2, 64, 64);
    test_show (test, 0, 2);
  }
  fail_unless_equals_int (test_client_settle (client), 0);
  test_draw_flush (test, 1, all);
  test_read_done (test, NULL);
  take_picture (client, 2, 1, picture);
  test_until (test, pending () == (unsubscribe ? 1 : 2));
  while (pending () > 0)
    test_read_done (test, NULL);
  test_client_take (client, 2, 1);
  if (!unsubscribe)
    test_client_take (client, 1, 2);
}

GST_END_TEST;

/* The slot's memory stays until the end: the fixture writes to it. */
GST_START_TEST (test_client_dies)
{
  struct test_client *other = test_client_new (test);

  subscribe (client, 1, 0);
  test_draw_flush (test, 1, all);
  test_client_free (client);
  test_until (test, test_stats (test).clients == 1);
  fail_unless (helix_shim_idle (test->shim));
  test_draw_flush (test, 1, all);
  test_client_settle (other);
  fail_unless_equals_uint64 (pending (), 1);
  if (__i__ == 0) {
    test_read_done (test, NULL);
    subscribe (other, 1, 0);
  } else {
    /* One of a surface at a time, even if its frame will be dropped. */
    test_client_subscribe (other, 1, 0, 0);
    fail_unless_equals_int (test_client_settle (other), 0);
    fail_unless_equals_uint64 (pending (), 1);
    test_read_done (test, "it is gone");
    complete_next ();
    test_client_take (other, 1, 1);
  }
  fail_unless_equals_uint64 (test_stats (test).read_errors, 0);
}

GST_END_TEST;

/* Memory that only a readback has counts as well: until that is complete, there
 * is none for another client. */
GST_START_TEST (test_memory_of_the_gone)
{
  const struct helix_subscribe request = {1, 0, 0, 1, 2, 0};
  struct test_client *other = test_client_new (test);

  test->shim->config.max_memory = 3 * (W * H * 4 + HELIX_SHIM_PAGE);
  test_resource_new (test, 2, W, H);
  test_show (test, 1, 2);
  subscribe (client, 1, 2);
  test_draw_flush (test, 1, all);
  test_client_free (client);
  test_until (test, test_stats (test).clients == 1);
  test_client_subscribe_with (other, 1, &request);
  test_client_expect (other, HELIX_SCANOUT, 1);
  fail_unless_equals_int (test_client_settle (other), 0);
  fail_unless_equals_uint64 (pending (), 1);
  test_read_done (test, NULL);
  complete_next ();
  test_client_take (other, 1, 2);
}

GST_END_TEST;

static void
attach (struct helix_shim_subscription *sub, uint32_t id)
{
  struct helix_shim_memory *memory =
      helix_shim_memory_new (test->shim, 3, W * H * 4);

  fail_unless (memory != NULL);
  memory->id = id;
  helix_shim_subscription_attach (sub, memory);
}

/* SCANOUT, and a frame that is all of resource `id`, in that pool; no more. */
static void
take_first (struct helix_shim_subscription *sub, uint32_t pool, uint32_t id)
{
  const struct test_resource *resource = &test->resource[id];
  struct helix_shim_item item;
  const uint8_t *pixels;

  fail_unless (
      helix_shim_subscription_take (sub, &item) == HELIX_SHIM_PENDING_SCANOUT);
  fail_unless (
      helix_shim_subscription_take (sub, &item) == HELIX_SHIM_PENDING_FRAME);
  fail_unless_equals_int (item.memory->id, pool);
  fail_unless_equals_int (item.memory->slot[item.slot].frame.rects, 0);
  pixels = helix_shim_memory_pixels (item.memory, item.slot);
  fail_unless (memcmp (pixels, resource->pixels,
                   (size_t) resource->width * resource->height * 4)
      == 0);
  helix_shim_memory_unref (item.memory);
  fail_unless (
      helix_shim_subscription_take (sub, &item) == HELIX_SHIM_PENDING_NOTHING);
}

/* A larger pool comes while one before is being read into, or before the frame
 * in it is sent: that frame is lost, its picture is read again. The test is the
 * io thread for once. */
GST_START_TEST (test_pool_replaced)
{
  const struct helix_subscribe request = {.scanout = 0};
  struct helix_shim_subscription *sub;
  struct helix_shim_outbox outbox;
  bool complete = __i__ == 1;

  helix_shim_outbox_init (&outbox, open ("/dev/null", O_WRONLY));
  sub = helix_shim_subscription_new (test->shim, &outbox, 1, &request);
  attach (sub, 1);
  test_until (test, pending () == 1);
  if (complete)
    test_read_done (test, NULL);
  attach (sub, 2);
  fail_unless_equals_uint64 (test->reads, 1);
  if (!complete)
    test_read_done (test, NULL);
  test_until (test, test->reads == 2);
  test_read_done (test, NULL);
  take_first (sub, 2, 1);
  helix_shim_subscription_close (sub);
  helix_shim_outbox_clear (&outbox);
}

GST_END_TEST;

/* One that joined leaves, shows something else, or gets another pool; the first
 * has its frame all the same. */
GST_START_TEST (test_joined_changes)
{
  struct helix_shim_subscription *sub[2];
  struct helix_shim_outbox outbox;

  helix_shim_outbox_init (&outbox, open ("/dev/null", O_WRONLY));
  test_show (test, 1, 1);
  for (uint32_t i = 0; i < 2; i++) {
    const struct helix_subscribe request = {.scanout = i};

    sub[i] = helix_shim_subscription_new (test->shim, &outbox, 1, &request);
    attach (sub[i], 1 + i);
  }
  test_until (test, pending () == 1);
  fail_unless (sub[1]->fill.readback == sub[0]->fill.readback);
  if (__i__ == 0) {
    helix_shim_subscription_close (sub[1]);
    test_round (test, 0);
  } else if (__i__ == 1) {
    test_resource_new (test, 2, W - 30, H);
    test_show (test, 1, 2);
  } else {
    attach (sub[1], 3);
  }
  test_read_done (test, NULL);
  take_first (sub[0], 1, 1);
  if (__i__ == 1) {
    complete_next ();
    take_first (sub[1], 2, 2);
  } else if (__i__ == 2) {
    take_first (sub[1], 3, 1); /* copied */
  }
  fail_unless_equals_uint64 (test->reads, __i__ == 1 ? 2 : 1);
  helix_shim_subscription_close (sub[0]);
  if (__i__ != 0)
    helix_shim_subscription_close (sub[1]);
  helix_shim_outbox_clear (&outbox);
}

GST_END_TEST;

/* SHOW of a resource: the picture before goes out first if it is of the same
 * mode, with the time of its flush; else it is dropped. The time that SHOW told
 * is that of its picture, even if that must be read twice. */
GST_START_TEST (test_show_meanwhile)
{
  uint64_t told, lookups, flushed;
  bool same = __i__ != 0, fails = __i__ == 2;
  uint32_t *picture;

  subscribe (client, 1, 0);
  test_resource_new (test, 2, same ? W : W + 50, H);
  test_draw_flush (test, 1, all);
  flushed = helix_now_ns ();
  picture = keep (1);
  told = helix_now_ns ();
  lookups = test->lookups;
  test_client_show (client, 1, 2, told);
  test_until (test, test->lookups > lookups);
  fail_unless_equals_int (test_client_settle (client), 0);
  test_read_done (test, NULL);
  if (same)
    fail_unless (
        take_picture (client, 1, 1, picture).frame.capture_ns <= flushed);
  else
    g_free (picture);
  if (fails) {
    test_until (test, pending () == 1);
    test_read_done (test, "the test says so");
    test_client_expect_error (client, 1, HELIX_ERROR_READBACK, "says so");
  }
  complete_next ();
  fail_unless_equals_uint64 (test_client_take (client, 1, 2).capture_ns, told);
}

GST_END_TEST;

/* Its damage is pending again, and it is tried again by itself, a quarter of a
 * second later: before that by no flush. */
GST_START_TEST (test_failure)
{
  const struct helix_rect first = {10, 10, 20, 20}, second = {90, 90, 5, 5};
  struct test_client *other = test_client_new (test);
  struct helix_frame frame;
  uint64_t reads, failed;

  subscribe (client, 1, 0);
  test_client_subscribe (other, 1, 0, 0);
  test_client_take (other, 1, 1);
  test_client_settle (other);
  for (int i = 0; i < 2; i++) {
    test_draw_flush (test, 1, first);
    reads = test->reads;
    failed = helix_now_ns ();
    test_read_done (test, "the test says so");
    test_draw_flush (test, 1, second);
    fail_unless (
        test->reads == reads || helix_now_ns () >= failed + 250000000u);
    /* Told once of each source. */
    if (i == 0) {
      test_client_expect_error (
          client, 1, HELIX_ERROR_READBACK, "the test says so");
      test_client_expect_error (
          other, 1, HELIX_ERROR_READBACK, "the test says so");
    }
    fail_unless_equals_int (test_client_settle (client), 0);
    complete_next ();
    frame = test_client_take (client, 1, 1);
    fail_unless_equals_int (frame.rects, 2);
    fail_unless_equals_uint64 (frame.sequence, i + 2);
    test_client_take (other, 1, 1);
    test_client_settle (client);
    test_client_settle (other);
  }
  fail_unless_equals_uint64 (test_stats (test).read_errors, 4);
  fail_unless_equals_int (test_log_count (test, "cannot be read"), 2);
}

GST_END_TEST;

/* One slot is the client's, the other is read into: damage waits for a slot. */
GST_START_TEST (test_slot_shortage)
{
  const struct helix_subscribe request = {0, 0, 0, 1, 2, 0};
  struct test_frame held[2];
  uint64_t reads;

  test_client_subscribe_with (client, 1, &request);
  complete_next ();
  held[0] = test_client_frame (client, 1);
  test_draw_flush (test, 1, all);
  reads = test->reads;
  test_draw_flush (test, 1, all);
  test_read_done (test, NULL);
  held[1] = test_client_frame (client, 1);
  fail_unless (held[0].frame.slot != held[1].frame.slot);
  fail_unless_equals_uint64 (test->reads, reads);
  test_draw_flush (test, 1, all);
  fail_unless_equals_uint64 (test->reads, reads);
  fail_unless_equals_uint64 (test_stats (test).no_credit, 1);
  test_client_release (client, 1, &held[0]);
  complete_next ();
  fail_unless_equals_uint64 (test_client_take (client, 1, 1).sequence, 3);
}

GST_END_TEST;

/* The pace is that of the flushes, whenever they are complete: one that is so
 * late that the next is due does not delay that. Of time itself. */
GST_START_TEST (test_pace)
{
  const struct helix_subscribe request = {0, 0, 20, 1, 0, 0};
  uint64_t last = 0, first = 0;

  test_client_subscribe_with (client, 1, &request);
  for (guint64 i = 0; i < 6; i++) {
    complete_next ();
    last = test_client_take (client, 1, 1).capture_ns;
    first = i ? first : last;
    /* One may come early by an interval, each by 1/64 of it. */
    fail_unless (last - first + 49000000u >= i * 49000000u);
    test_client_settle (client);
    test_draw_flush (test, 1, all);
  }
  test_until (test, pending () == 1);
  last = helix_now_ns ();
  test_draw_flush (test, 1, all);
  test_until (test, helix_now_ns () >= last + 50000000u);
  test_read_done (test, NULL);
  fail_unless_equals_uint64 (pending (), 1);
}

GST_END_TEST;

/* Where the calling thread may not read, one is completed all the same; what
 * waited for it is read by the loop. */
GST_START_TEST (test_elsewhere)
{
  uint32_t *picture;
  uint64_t reads;

  subscribe (client, 1, 0);
  test_draw_flush (test, 1, all);
  picture = keep (1);
  test_draw_flush (test, 1, all);
  reads = test->reads;
  test->elsewhere = true;
  test_read_done (test, NULL);
  test->elsewhere = false;
  fail_unless_equals_uint64 (test->reads, reads);
  take_picture (client, 1, 1, picture);
  complete_next ();
  test_client_take (client, 1, 1);
}

GST_END_TEST;

/* ---- any order ---- */

#define PICTURES 64u /* that are remembered: more than frames can lag behind */

struct watcher {
  struct test_client *client;
  struct test_frame held[3];
  guint n_held, taken;
  uint64_t captured_ns;
  uint32_t canvas[W * H]; /* made of the frames' rectangles alone */
  guint shown;            /* number of the picture */
};

static struct {
  uint32_t *picture[PICTURES];
  guint number; /* of the newest */
} history;

static void
remember (void)
{
  uint32_t **place = &history.picture[++history.number % PICTURES];

  g_free (*place);
  *place = keep (1);
}

/* The frame is a picture that was flushed, and not an older one than the last
 * frame. The last frame with the new rectangles is the same picture. */
static void
check_frame (struct watcher *w, struct test_frame *frame)
{
  guint n = w->shown;

  while (n <= history.number
      && (!history.picture[n % PICTURES]
          || memcmp (frame->pixels, history.picture[n % PICTURES], W * H * 4)))
    n++;
  fail_unless (n <= history.number,
      "frame %d is no picture since number %u (newest: %u)",
      (int) frame->frame.sequence, w->shown, history.number);
  w->shown = n;
  test_frame_patch (frame, w->canvas);
  fail_unless (memcmp (w->canvas, frame->pixels, W * H * 4) == 0,
      "the rectangles of frame %d leave out a change",
      (int) frame->frame.sequence);
  fail_unless (frame->frame.capture_ns >= w->captured_ns);
  w->captured_ns = frame->frame.capture_ns;
}

/* All that has arrived. */
static void
receive (struct watcher *w)
{
  const struct test_message *head;

  test_round (test, 0);
  while ((head = g_queue_peek_head (w->client->queue))) {
    struct test_frame *frame = &w->held[w->n_held];

    if (head->type != HELIX_FRAME) {
      test_client_next (w->client); /* that a readback failed, for example */
      continue;
    }
    w->n_held++;
    *frame = test_client_frame (w->client, 1);
    check_frame (w, frame);
  }
}

static void
release (struct watcher *w)
{
  guint i = (guint) g_random_int_range (0, (gint32) w->n_held);

  test_client_release (w->client, 1, &w->held[i]);
  w->held[i] = w->held[--w->n_held];
}

static struct helix_rect
random_rect (void)
{
  struct helix_rect r = {.x = (uint32_t) g_random_int_range (0, W),
      .y = (uint32_t) g_random_int_range (0, H)};

  r.width = (uint32_t) g_random_int_range (1, (gint32) MIN (W - r.x, 40) + 1);
  r.height = (uint32_t) g_random_int_range (1, (gint32) MIN (H - r.y, 40) + 1);
  return r;
}

/* Whether it has the newest picture; else a step towards that. */
static bool
finish (struct watcher *w)
{
  receive (w);
  while (w->n_held > 0)
    release (w);
  if (pending () > 0)
    test_read_done (test, NULL);
  return w->shown == history.number;
}

/* Flushes, ends of readbacks and releases in any order, some of them failures:
 * each frame is a picture that was flushed, none is older than the one before,
 * and the last one arrives. */
GST_START_TEST (test_any_order)
{
  struct watcher *w = g_new0 (struct watcher, 2);
  const char *steps = g_getenv ("HELIX_TEST_STEPS");
  guint n = steps ? (guint) atoi (steps) : 1500;

  remember ();
  for (guint i = 0; i < 2; i++) {
    w[i].client = i ? test_client_new (test) : client;
    test_client_subscribe (w[i].client, 1, 0, 0);
  }
  for (guint step = 0; step < n; step++) {
    struct watcher *one = &w[g_random_int_range (0, 2)];
    guint deed = (guint) g_random_int_range (0, 300);

    receive (one);
    if (deed < 100
        && history.number < PICTURES - 2 + MIN (w[0].shown, w[1].shown)) {
      const struct helix_rect rect = random_rect ();

      test_draw (test, 1, rect);
      remember ();
      helix_shim_display_flush (test->shim, 1, &rect);
    } else if (deed < 200 && pending () > 0) {
      test_read_done (test, deed == 199 ? "the test says so" : NULL);
    } else if (one->n_held > 0) {
      release (one);
    }
  }
  for (guint i = 0; i < 2; i++)
    test_until (test, finish (&w[i]));
  for (guint i = 0; i < PICTURES; i++)
    g_free (history.picture[i]);
  g_free (w);
}

GST_END_TEST;

static Suite *
frame_suite (void)
{
  Suite *suite = suite_create ("helix-shim-frame");
  TCase *tc = test_case (suite, setup);

  tcase_add_test (tc, test_damage_meanwhile);
  tcase_add_test (tc, test_shared);
  tcase_add_test (tc, test_late_subscriber);
  tcase_add_test (tc, test_two_surfaces);
  tcase_add_test (tc, test_mode_change);
  tcase_add_loop_test (tc, test_page_flip, 0, 2);
  tcase_add_loop_test (tc, test_resource_gone, 0, 4);
  tcase_add_loop_test (tc, test_first_leaves, 0, 2);
  tcase_add_loop_test (tc, test_client_dies, 0, 2);
  tcase_add_test (tc, test_memory_of_the_gone);
  tcase_add_loop_test (tc, test_pool_replaced, 0, 2);
  tcase_add_loop_test (tc, test_joined_changes, 0, 3);
  tcase_add_loop_test (tc, test_show_meanwhile, 0, 3);
  tcase_add_test (tc, test_failure);
  tcase_add_test (tc, test_slot_shortage);
  tcase_add_test (tc, test_pace);
  tcase_add_test (tc, test_elsewhere);
  tcase_add_test (tc, test_any_order);
  return suite;
}

GST_CHECK_MAIN (frame);

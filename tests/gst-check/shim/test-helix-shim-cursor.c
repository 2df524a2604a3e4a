/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The cursor plane: its shape once, its place as it is now, and nothing of
 * the screen with it.
 */
#include <string.h>
#include <sys/ioctl.h>

#include <gst/check/gstcheck.h>

#include "helix-test-client.h"

static void
subscribe (struct test_client *client, uint16_t channel, uint32_t scanout)
{
  const struct helix_subscribe request = {
      scanout, 0, 0, 1, 0, HELIX_SUBSCRIBE_CURSOR};

  test_client_subscribe_with (client, channel, &request);
}

/* A cursor of `size` x `size` + 1 pixels whose bytes count from `seed`. */
static void
point (struct test_shim *test, uint32_t scanout, int32_t x, int32_t y,
    uint32_t size, uint8_t seed)
{
  static uint8_t pixels[HELIX_MAX_CURSOR * HELIX_MAX_CURSOR * 4];
  const struct helix_cursor_shape shape = {size, size + 1, 1, 2, pixels};
  const size_t bytes = size * (size + 1) * 4;

  for (size_t i = 0; i < bytes; i++)
    pixels[i] = (uint8_t) (seed + i);
  helix_shim_display_cursor (test->shim, scanout, true, x, y, &shape);
  /* Copied: whatever becomes of these, the plane has its own. */
  memset (pixels, 0xee, bytes);
}

static void
move (struct test_shim *test, uint32_t scanout, int32_t x, int32_t y)
{
  helix_shim_display_cursor (test->shim, scanout, true, x, y, NULL);
}

/* The next CURSOR has this shape (serial 0 = none), new to the client or
 * not. */
static struct helix_cursor
take (struct test_client *client, uint16_t channel, uint32_t serial,
    bool with_shape, uint8_t seed)
{
  uint8_t *pixels;
  struct helix_cursor cursor = test_client_cursor (client, channel, &pixels);
  uint32_t bytes = cursor.width * cursor.height * 4;
  guint wrong = 0;

  fail_unless_equals_int (cursor.serial, serial);
  fail_unless_equals_int (
      !!(cursor.flags & HELIX_CURSOR_SHAPE), with_shape ? 1 : 0);
  for (uint32_t i = 0; with_shape && i < bytes; i++)
    wrong += pixels[i] != (uint8_t) (seed + i);
  fail_unless_equals_int (wrong, 0);
  g_free (pixels);
  return cursor;
}

GST_START_TEST (test_at_the_start)
{
  const struct test_message *message;
  struct helix_cursor cursor;
  uint64_t before = helix_now_ns ();

  /* There was none yet: that is said, too, behind the answer to SUBSCRIBE. */
  subscribe (client, 1, 0);
  do {
    message = test_client_next (client);
    fail_unless (message->type != HELIX_CURSOR);
  } while (message->type != HELIX_SCANOUT || message->channel != 1);
  cursor = take (client, 1, 0, false, 0);
  fail_unless_equals_int (cursor.flags, 0);
  fail_unless_equals_int (cursor.width, 0);
  fail_unless_equals_uint64 (cursor.changed_ns, 0);

  point (test, 0, 30, 40, 5, 77);
  cursor = take (client, 1, 1, true, 77);
  fail_unless (cursor.flags & HELIX_CURSOR_VISIBLE);
  fail_unless_equals_int (cursor.scanout, 0);
  fail_unless_equals_int (cursor.x, 30);
  fail_unless_equals_int (cursor.y, 40);
  fail_unless_equals_int (cursor.width, 5);
  fail_unless_equals_int (cursor.height, 6);
  fail_unless_equals_int (cursor.hot_x, 1);
  fail_unless_equals_int (cursor.hot_y, 2);
  fail_unless (cursor.changed_ns >= before);
  fail_unless (cursor.changed_ns <= helix_now_ns ());

  /* A later subscription is told all of it, and so is a new one. */
  subscribe (client, 2, 0);
  cursor = take (client, 2, 1, true, 77);
  fail_unless_equals_int (cursor.x, 30);
  subscribe (client, 1, 0);
  take (client, 1, 1, true, 77);
}

GST_END_TEST;

/* The shape goes once; moves, shows and hides without it. */
GST_START_TEST (test_changes)
{
  struct helix_cursor cursor;
  uint64_t sent;

  point (test, 0, 1, 2, 8, 3);
  subscribe (client, 1, 0);
  take (client, 1, 1, true, 3);
  move (test, 0, -5, -7);
  cursor = take (client, 1, 1, false, 0);
  fail_unless_equals_int ((int32_t) cursor.x, -5);
  fail_unless_equals_int ((int32_t) cursor.y, -7);
  fail_unless_equals_int (cursor.width, 8);

  helix_shim_display_cursor (test->shim, 0, false, -5, -7, NULL);
  cursor = take (client, 1, 1, false, 0);
  fail_unless_equals_int (cursor.flags, 0);
  test_client_settle (client);
  sent = test_stats (test).cursors;
  /* What is hidden may move unseen; what is the same is no change. */
  helix_shim_display_cursor (test->shim, 0, false, 9, 9, NULL);
  test_client_settle (client);
  fail_unless_equals_uint64 (test_stats (test).cursors, sent);
  move (test, 0, 9, 9);
  cursor = take (client, 1, 1, false, 0);
  fail_unless_equals_int (cursor.flags, HELIX_CURSOR_VISIBLE);
  fail_unless_equals_int (cursor.x, 9);
  sent = test_stats (test).cursors;
  move (test, 0, 9, 9);
  point (test, 0, 9, 9, 8, 3);
  test_client_settle (client);
  fail_unless_equals_uint64 (test_stats (test).cursors, sent);

  /* Another shape, even of the same size, has another serial. */
  point (test, 0, 9, 9, 8, 4);
  take (client, 1, 2, true, 4);
  point (test, 0, 9, 9, HELIX_MAX_CURSOR - 1, 5);
  cursor = take (client, 1, 3, true, 5);
  fail_unless_equals_int (cursor.width, HELIX_MAX_CURSOR - 1);
  fail_unless_equals_int (cursor.height, HELIX_MAX_CURSOR);

  /* The device is reset: the guest has none any more. */
  helix_shim_display_reset (test->shim);
  cursor = take (client, 1, 3, false, 0);
  fail_unless_equals_int (cursor.flags, 0);
}

GST_END_TEST;

/* Each subscription is told of its own scanout's, if it asked. */
GST_START_TEST (test_who_is_told)
{
  const struct helix_subscribe by_id = {
      HELIX_NONE32, 1, 0, 1, 0, HELIX_SUBSCRIBE_CURSOR};
  struct helix_cursor cursor;

  subscribe (client, 1, 0);
  subscribe (client, 2, 1);
  test_client_subscribe (client, 3, 0, 0);
  test_client_subscribe_with (client, 4, &by_id); /* has no cursor plane */
  take (client, 1, 0, false, 0);
  take (client, 2, 0, false, 0);
  test_client_settle (client);
  fail_unless_equals_uint64 (test_stats (test).cursors, 2);
  /* Scanout 1 is off, which is no reason not to know of its cursor. */
  point (test, 1, 5, 6, 4, 9);
  cursor = take (client, 2, 1, true, 9);
  fail_unless_equals_int (cursor.scanout, 1);
  test_client_settle (client);
  fail_unless_equals_uint64 (test_stats (test).cursors, 3);
  test_client_send_raw (client, HELIX_UNSUBSCRIBE, 2, NULL, 0);
  test_client_settle (client);
  move (test, 1, 7, 8);
  test_client_settle (client);
  fail_unless_equals_uint64 (test_stats (test).cursors, 3);
}

GST_END_TEST;

/* A moving pointer costs no readback and makes no frame. */
GST_START_TEST (test_costs_nothing)
{
  struct helix_shim_stats before, after;
  uint64_t reads;

  point (test, 0, 0, 0, 16, 1);
  subscribe (client, 1, 0);
  test_client_skip (client, 1);
  test_client_settle (client);
  before = test_stats (test);
  reads = test->reads;
  for (int32_t i = 1; i <= 200; i++) {
    move (test, 0, i, i);
    test_round (test, 0);
  }
  fail_unless_equals_int (test_client_settle (client), 0);
  after = test_stats (test);
  fail_unless_equals_uint64 (test->reads, reads);
  fail_unless_equals_uint64 (after.frames, before.frames);
  fail_unless_equals_uint64 (after.readbacks, before.readbacks);
  fail_unless_equals_uint64 (after.flushes, before.flushes);
  fail_unless_equals_uint64 (after.stalls.count, before.stalls.count);
  fail_unless (after.cursors > before.cursors);
}

GST_END_TEST;

/* Bytes that wait for the client in its socket. */
static uint64_t
waiting (struct test_client *client)
{
  int bytes = 0;

  fail_unless (ioctl (client->fd, FIONREAD, &bytes) == 0);
  return (uint64_t) bytes;
}

/* A client that does not read is owed one CURSOR, however long the flood: the
 * newest. All others that were composed are in its socket. */
GST_START_TEST (test_flood)
{
  const uint32_t bytes = HELIX_HEADER_SIZE + sizeof (struct helix_cursor);
  struct helix_cursor cursor = {0};
  const int32_t last = 20000;
  uint64_t before, after;

  point (test, 0, 0, 0, 16, 200);
  subscribe (client, 1, 0);
  test_client_settle (client);
  test_client_pause (client, true);
  before = test_stats (test).cursors;
  for (int32_t i = 1; i <= last / 2; i++)
    move (test, 0, i, -i);
  test_until (test, test_stats (test).cursors > before);
  after = test_stats (test).cursors;
  fail_unless ((after - before) * bytes <= waiting (client) + bytes,
      "%d were composed, and %d bytes are on their way", (int) (after - before),
      (int) waiting (client));
  /* Shapes flood, too. */
  for (int32_t i = last / 2 + 1; i <= last; i++)
    if (i % 100 == 0)
      point (test, 0, i, -i, 16, (uint8_t) (i / 100));
    else
      move (test, 0, i, -i);
  after = test_stats (test).cursors;
  fail_unless (
      (after - before) * bytes <= waiting (client) + bytes + 16 * 17 * 4);
  test_client_pause (client, false);
  while (cursor.x != (uint32_t) last) {
    uint8_t *pixels;

    cursor = test_client_cursor (client, 1, &pixels);
    g_free (pixels);
  }
  fail_unless_equals_int ((int32_t) cursor.y, -last);
  fail_unless_equals_int (cursor.serial, 1 + last / 200);
}

GST_END_TEST;

/* A subscription that ends while its CURSOR waits for the socket, and a
 * client that goes: nothing is left behind (valgrind, ASan look). */
GST_START_TEST (test_gone_while_waiting)
{
  for (int round = 0; round < 2; round++) {
    struct test_client *client = test_client_new (test);

    subscribe (client, 1, 0);
    test_client_settle (client);
    test_client_pause (client, true);
    for (int32_t i = 0; i < 2000; i++)
      point (test, 0, i, i, 16, (uint8_t) i);
    if (round == 0) {
      subscribe (client, 1, 0);
      test_client_send_raw (client, HELIX_UNSUBSCRIBE, 1, NULL, 0);
      test_client_pause (client, false);
      test_client_settle (client);
    }
    test_client_free (client);
  }
}

GST_END_TEST;

/* What no message can carry is not shown, and that is said. */
GST_START_TEST (test_impossible)
{
  static const uint8_t pixels[4];
  static const struct helix_cursor_shape shapes[] = {
      {HELIX_MAX_CURSOR + 1, 1, 0, 0, pixels},
      {1, HELIX_MAX_CURSOR + 1, 0, 0, pixels}, {0, 1, 0, 0, pixels},
      {1, 0, 0, 0, pixels}, {1, 1, 0, 0, NULL}};
  struct helix_cursor cursor;

  subscribe (client, 1, 0);
  take (client, 1, 0, false, 0);
  for (guint i = 0; i < G_N_ELEMENTS (shapes); i++) {
    point (test, 0, 1, 1, 4, (uint8_t) i);
    fail_unless (take (client, 1, i + 1, true, (uint8_t) i).flags
        & HELIX_CURSOR_VISIBLE);
    helix_shim_display_cursor (test->shim, 0, true, 2, 2, &shapes[i]);
    cursor = take (client, 1, i + 1, false, 0);
    fail_if (cursor.flags & HELIX_CURSOR_VISIBLE);
  }
  fail_unless (test_logged (test, "257x1 pixels cannot be exported"));
  /* A hot spot outside of the shape is put onto its edge. */
  helix_shim_display_cursor (test->shim, 0, true, 2, 2,
      &(struct helix_cursor_shape){1, 1, 99, UINT32_MAX, pixels});
  {
    uint8_t *copy;

    cursor = test_client_cursor (client, 1, &copy);
    g_free (copy);
  }
  fail_unless_equals_int (cursor.hot_x, 0);
  fail_unless_equals_int (cursor.hot_y, 0);
  /* A scanout that this VM does not have. */
  move (test, 4, 1, 1);
  move (test, 99, 1, 1);
  test_client_settle (client);
}

GST_END_TEST;

static Suite *
cursor_suite (void)
{
  Suite *suite = suite_create ("helix-shim-cursor");
  TCase *tc;

  tc = test_case (suite, test_setup_client);
  tcase_add_test (tc, test_at_the_start);
  tcase_add_test (tc, test_changes);
  tcase_add_test (tc, test_who_is_told);
  tcase_add_test (tc, test_costs_nothing);
  tcase_add_test (tc, test_flood);
  tcase_add_test (tc, test_impossible);
  tc = test_case (suite, test_setup);
  tcase_add_test (tc, test_gone_while_waiting);
  return suite;
}

GST_CHECK_MAIN (cursor);

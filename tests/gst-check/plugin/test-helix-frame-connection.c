/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/check/gstcheck.h>

#include "frame-taker.h"
#include "helix-platform.h"
#include "helix-test-time.h"

static gchar *path;
static FakeShim *shim;
static HelixFrameClient *client;
static guint8 shape[6 * 4 * 4];

static void
setup_with (FakeFault fault)
{
  const FakeConfig config = {
      .fault = fault, .width = 640, .height = 48, .scanouts = 2};
  const HelixFrameRequest wish = {.rate_den = 1, .cursor = TRUE};

  path = fake_path_new ();
  shim = fake_shim_new (path, &config);
  client = taker_new (path, TRUE, &wish);
  taker_connect (client, shim);
  for (guint i = 0; i < sizeof shape; i++)
    shape[i] = (guint8) i;
}

static void
setup (void)
{
  setup_with (FAKE_GOOD);
}

static void
setup_new_types (void)
{
  setup_with (FAKE_NEW_TYPES);
}

static void
teardown (void)
{
  helix_frame_client_free (client);
  fake_shim_free (shim);
  fake_path_free (path);
}

static struct helix_cursor
cursor_with (guint32 flags, guint32 serial)
{
  struct helix_cursor cursor = {0};

  cursor.flags = flags;
  cursor.serial = serial;
  cursor.x = 100;
  cursor.y = 200;
  if (serial != 0) {
    cursor.width = 6;
    cursor.height = 4;
    cursor.hot_x = 5;
    cursor.hot_y = 3;
  }
  return cursor;
}

static HelixFrameClientResult
next (HelixFrame *frame, GError **error)
{
  return helix_frame_client_next (
      client, helix_now_ns () + TEST_SOON, frame, error);
}

static void
expect (HelixFrameClientResult result, HelixFrame *frame)
{
  GError *error = NULL;

  fail_unless_equals_int (next (frame, &error), result);
  fail_unless (error == NULL);
}

GST_START_TEST (test_shape_and_moves)
{
  struct helix_cursor sent =
      cursor_with (HELIX_CURSOR_VISIBLE | HELIX_CURSOR_SHAPE, 3);
  HelixCursor cursor;
  HelixFrame frame;

  fail_unless (fake_shim_cursor (shim, &sent, shape));
  expect (HELIX_CLIENT_CURSOR, &frame);
  helix_frame_client_get_cursor (client, &cursor);
  fail_unless (memcmp (&cursor.info, &sent, sizeof sent) == 0);
  fail_unless_equals_int (gst_buffer_get_size (cursor.image), sizeof shape);
  fail_unless (gst_buffer_memcmp (cursor.image, 0, shape, sizeof shape) == 0);
  helix_cursor_clear (&cursor);
  /* A message that leaves the shape's size out is as good. */
  sent.flags = HELIX_CURSOR_VISIBLE;
  sent.x = (guint32) -40;
  sent.width = sent.height = sent.hot_x = sent.hot_y = 0;
  fail_unless (fake_shim_cursor (shim, &sent, NULL));
  expect (HELIX_CLIENT_CURSOR, &frame);
  helix_frame_client_get_cursor (client, &cursor);
  fail_unless_equals_int (cursor.info.flags, HELIX_CURSOR_VISIBLE);
  fail_unless_equals_int ((gint32) cursor.info.x, -40);
  fail_unless_equals_int (cursor.info.width, 6);
  fail_unless_equals_int (cursor.info.hot_x, 5);
  fail_unless_equals_int (gst_buffer_get_size (cursor.image), sizeof shape);
  helix_cursor_clear (&cursor);
}
GST_END_TEST;

/* The newest cursor first, then the newest frame. */
GST_START_TEST (test_order)
{
  struct helix_cursor sent =
      cursor_with (HELIX_CURSOR_VISIBLE | HELIX_CURSOR_SHAPE, 1);
  HelixCursor cursor;
  HelixFrame frame;

  fail_unless (fake_shim_send (shim, 1, NULL, 0));
  fail_unless (fake_shim_cursor (shim, &sent, shape));
  sent.flags = HELIX_CURSOR_VISIBLE;
  sent.x = 7;
  fail_unless (fake_shim_cursor (shim, &sent, NULL));
  fail_unless (fake_shim_send (shim, 2, NULL, 0));
  expect (HELIX_CLIENT_CURSOR, &frame);
  helix_frame_client_get_cursor (client, &cursor);
  fail_unless_equals_int (cursor.info.x, 7);
  /* Nobody was told of the shape before. */
  fail_unless (cursor.info.flags & HELIX_CURSOR_SHAPE);
  helix_cursor_clear (&cursor);
  expect (HELIX_CLIENT_FRAME, &frame);
  fail_unless_equals_uint64 (frame.info.sequence, 2);
  helix_frame_clear (&frame);
}
GST_END_TEST;

/* Another scanout has another cursor: this one is gone. */
GST_START_TEST (test_switch)
{
  struct helix_cursor sent =
      cursor_with (HELIX_CURSOR_VISIBLE | HELIX_CURSOR_SHAPE, 1);
  HelixFrameRequest wish = {.scanout = 1, .rate_den = 1, .cursor = TRUE};
  HelixFrameClientStats stats;
  HelixCursor cursor;
  HelixFrame frame;

  fail_unless (fake_shim_cursor (shim, &sent, shape));
  expect (HELIX_CLIENT_CURSOR, &frame);
  helix_frame_client_subscribe (client, &wish, FALSE);
  expect (HELIX_CLIENT_CURSOR, &frame);
  helix_frame_client_get_cursor (client, &cursor);
  fail_unless_equals_int (cursor.info.flags, 0);
  fail_unless_equals_int (cursor.info.scanout, 1);
  fail_unless (cursor.image == NULL);
  helix_frame_client_get_stats (client, &stats);
  fail_unless_equals_int (stats.switches, 1);
  /* On the same scanout it stays. */
  sent.scanout = 1;
  while (fake_shim_subscription (shim).scanout != 1)
    g_thread_yield ();
  fail_unless (fake_shim_cursor (shim, &sent, shape));
  expect (HELIX_CLIENT_CURSOR, &frame);
  wish.rate_num = 10;
  helix_frame_client_subscribe (client, &wish, FALSE);
  sent.flags = HELIX_CURSOR_VISIBLE;
  sent.x = 3;
  while (fake_shim_subscription (shim).rate_num != 10) {
    GError *error = NULL;

    fail_unless_equals_int (
        helix_frame_client_next (
            client, helix_now_ns () + 10 * GST_MSECOND, &frame, &error),
        HELIX_CLIENT_TIMEOUT);
  }
  fail_unless (fake_shim_cursor (shim, &sent, NULL));
  expect (HELIX_CLIENT_CURSOR, &frame);
  helix_frame_client_get_cursor (client, &cursor);
  fail_unless_equals_int (cursor.info.x, 3);
  fail_unless (cursor.image != NULL);
  helix_cursor_clear (&cursor);
}
GST_END_TEST;

static const struct {
  guint32 flags, serial, width, hot_x;
  const gchar *word;
} lies[] = {
    {HELIX_CURSOR_VISIBLE, 8, 6, 0, "the shape of its serial never came"},
    {HELIX_CURSOR_VISIBLE | HELIX_CURSOR_SHAPE, 0, 6, 0, "without a serial"},
    {HELIX_CURSOR_VISIBLE | HELIX_CURSOR_SHAPE, 1, 6, 6, "hot spot"},
};

GST_START_TEST (test_lies)
{
  struct helix_cursor sent = cursor_with (lies[__i__].flags, 1);
  GError *error = NULL;
  HelixFrame frame;

  sent.serial = lies[__i__].serial;
  sent.width = lies[__i__].width;
  sent.hot_x = lies[__i__].hot_x;
  fail_unless (fake_shim_cursor (shim, &sent, shape));
  fail_unless_equals_int (next (&frame, &error), HELIX_CLIENT_ERROR);
  fail_unless (
      strstr (error->message, lies[__i__].word) != NULL, "%s", error->message);
  g_error_free (error);
}
GST_END_TEST;

/* A shim of a later version: it is told once of each type, and goes on. */
GST_START_TEST (test_unknown_types)
{
  HelixFrame frame;

  for (guint32 i = 1; i <= 3; i++) {
    fail_unless (fake_shim_send (shim, i, NULL, 0));
    expect (HELIX_CLIENT_FRAME, &frame);
    helix_frame_clear (&frame);
  }
  /* The last RELEASE comes behind every ERROR. */
  fail_unless_equals_int (fake_shim_wait_free_slots (shim, 3), 3);
  fail_unless_equals_int (fake_shim_errors (shim), 2);
}
GST_END_TEST;

static Suite *
helix_frame_connection_suite (void)
{
  Suite *s = suite_create ("helix-frame-connection");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_add_test (tc, test_shape_and_moves);
  tcase_add_test (tc, test_order);
  tcase_add_test (tc, test_switch);
  tcase_add_loop_test (tc, test_lies, 0, G_N_ELEMENTS (lies));
  tc = tcase_create ("later");
  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, setup_new_types, teardown);
  tcase_add_test (tc, test_unknown_types);
  return s;
}

GST_CHECK_MAIN (helix_frame_connection);

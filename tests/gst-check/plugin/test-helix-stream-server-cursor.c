/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The cursor, from the stream server to all that watch. */
#include <gst/check/gstcheck.h>

#include "stream-served.h"

/* Sends the cursor at `x`; with a shape of `serial` if `size` is not 0, each
 * byte of which is the serial. */
static gboolean
point (guint x, guint32 serial, guint size)
{
  struct helix_cursor cursor = {.flags = HELIX_CURSOR_VISIBLE,
      .x = x,
      .y = (guint32) -3,
      .serial = serial,
      .width = size,
      .height = size};
  GstBuffer *shape = NULL;
  gboolean taken;

  if (size > 0) {
    shape = gst_buffer_new_allocate (NULL, (gsize) size * size * 4, NULL);
    gst_buffer_memset (shape, 0, (guint8) serial, (gsize) size * size * 4);
  }
  taken = helix_stream_server_cursor (served.server, &cursor, shape);
  gst_clear_buffer (&shape);
  return taken;
}

/* The next message is a CURSOR at `x`; its shape follows, or is `serial`. */
static void
expect_cursor (StreamPeer *peer, guint x, guint32 serial, gboolean shape)
{
  fail_unless_equals_int (peer_next (peer), HELIX_CURSOR);
  fail_unless_equals_int (peer->cursor.x, x);
  fail_unless_equals_int (peer->cursor.y, (guint32) -3);
  fail_unless_equals_int (peer->cursor.serial, serial);
  fail_unless_equals_int (peer->cursor.flags,
      HELIX_CURSOR_VISIBLE | (shape ? HELIX_CURSOR_SHAPE : 0));
  fail_unless_equals_int (peer->reader.bulk_size > 0, shape);
  if (shape)
    fail_unless_equals_int (peer->bulk[peer->reader.bulk_size - 1], serial);
}

/* A shape is sent once to each, with the first message that it gets. */
GST_START_TEST (test_shape_once)
{
  StreamPeer early, late;

  served_start ();
  served_join (&early);
  AWAIT (added, 1);
  fail_unless (point (10, 1, 32));
  expect_cursor (&early, 10, 1, TRUE);
  fail_unless (point (11, 1, 0));
  expect_cursor (&early, 11, 1, FALSE);
  fail_unless_equals_int (early.cursor.width, 32);
  served_join (&late);
  expect_cursor (&late, 11, 1, TRUE);
  fail_unless (point (12, 2, 256));
  expect_cursor (&early, 12, 2, TRUE);
  expect_cursor (&late, 12, 2, TRUE);
  fail_unless (point (13, 2, 0));
  expect_cursor (&late, 13, 2, FALSE);

  /* A session that starts anew knows nothing. */
  peer_hello (&early, NULL);
  expect_cursor (&early, 13, 2, FALSE);
  fail_unless_equals_int (peer_next (&early), HELIX_WELCOME);
  expect_cursor (&early, 13, 2, TRUE);
  peer_clear (&early);
  peer_clear (&late);
}
GST_END_TEST;

/* A shape that was never seen is not named. */
GST_START_TEST (test_unknown_shape)
{
  served_start ();
  served_join (&peer);
  AWAIT (added, 1);
  fail_unless (point (1, 9, 0));
  expect_cursor (&peer, 1, 0, FALSE);
  fail_unless_equals_int (peer.cursor.width, 0);
  fail_unless (point (2, 3, 16));
  expect_cursor (&peer, 2, 3, TRUE);
  fail_unless (point (3, 4, 0));
  expect_cursor (&peer, 3, 0, FALSE);
}
GST_END_TEST;

GST_START_TEST (test_bad_cursor)
{
  struct helix_cursor cursor = {.scanout = 16};

  served_start ();
  served_join (&peer);
  AWAIT (added, 1);
  fail_if (helix_stream_server_cursor (served.server, &cursor, NULL));
  fail_if (point (1, 0, 16));
  fail_if (point (1, 1, 257));
  fail_unless (point (2, 1, 1));
  expect_cursor (&peer, 2, 1, TRUE);
}
GST_END_TEST;

/* Clients that only steer get none. */
GST_START_TEST (test_not_for_control)
{
  served_start ();
  fail_unless (point (1, 1, 16));
  peer_connect (&peer, served.path);
  peer_hello_as (&peer, NULL, HELIX_ROLE_CONTROL);
  fail_unless_equals_int (peer_next (&peer), HELIX_WELCOME);
  fail_unless (point (2, 1, 0));
  served_list (&peer);
  served_hello (&peer);
  expect_cursor (&peer, 2, 1, TRUE);
}
GST_END_TEST;

/* One that takes nothing more gets the newest position, once, and not behind
 * all the units that wait for it. */
GST_START_TEST (test_backlog)
{
  guint units_before = 0, cursors = 0, n = 0;
  StreamPeer slow;

  served_start ();
  served_set_caps ();
  served_join (&slow);
  AWAIT (added, 1);
  fail_unless (point (0, 1, 256));
  expect_cursor (&slow, 0, 1, TRUE);
  /* Until some wait in the server, and no more go. */
  do
    served_push (n, n == 0, 50000);
  while (n++ < 25 && served_client_stat (0, "queued-units") < 10);
  fail_unless (served_client_stat (0, "queued-units") >= 10);
  for (guint x = 1; x <= 1000; x++)
    fail_unless (point (x, x <= 500 ? 1 : 2, x == 501 ? 256 : 0));
  fail_unless_equals_int (served_client_stat (0, "dropped"), 0);

  for (guint units = 0; units < n;) {
    guint type = peer_next (&slow);

    if (type == HELIX_CURSOR) {
      cursors++;
      units_before = units;
      fail_unless_equals_int (slow.cursor.x, 1000);
      fail_unless_equals_int (slow.cursor.serial, 2);
      fail_unless (slow.cursor.flags & HELIX_CURSOR_SHAPE);
    } else if (type == HELIX_UNIT) {
      units++;
    }
  }
  fail_unless_equals_int (cursors, 1);
  fail_unless (units_before <= n - 9, "behind %u of %u units", units_before, n);
  peer_clear (&slow);
}
GST_END_TEST;

/* What waits when a backlog is thrown away is not lost with it. */
GST_START_TEST (test_survives_overflow)
{
  StreamPeer slow;
  guint n = 0, type;

  served_start ();
  served_set_caps ();
  served_join (&slow);
  AWAIT (added, 1);
  do
    served_push (n, n == 0, 50000);
  while (n++ < 25 && served_client_stat (0, "queued-units") < 10);
  fail_unless (point (77, 1, 64));
  while (served_client_stat (0, "dropped") == 0)
    served_push (n++, FALSE, 50000);
  do
    type = peer_next (&slow);
  while (type != HELIX_CURSOR);
  fail_unless_equals_int (slow.cursor.x, 77);
  fail_unless (slow.cursor.flags & HELIX_CURSOR_SHAPE);
  peer_clear (&slow);
}
GST_END_TEST;

static Suite *
helix_stream_server_cursor_suite (void)
{
  Suite *s = suite_create ("helix-stream-server-cursor");
  TCase *tc = tcase_create ("cursor");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, served_setup, served_teardown);
  tcase_add_test (tc, test_shape_once);
  tcase_add_test (tc, test_unknown_shape);
  tcase_add_test (tc, test_bad_cursor);
  tcase_add_test (tc, test_not_for_control);
  tcase_add_test (tc, test_backlog);
  tcase_add_test (tc, test_survives_overflow);
  return s;
}

GST_CHECK_MAIN (helix_stream_server_cursor);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The caller of helix_stream_client_next () is slow, or does not call it. */
#include <gst/check/gstcheck.h>
#include <string.h>

#include "stream-met.h"
#include "stream-peer.h"

/* All that was sent before has been read by the client. */
static void
await_read (StreamPeer *peer)
{
  guint8 message[HELIX_MAX_MESSAGE];

  peer_send (peer, message, helix_pack_empty (message, HELIX_PING, 0));
  peer_expect (peer, HELIX_PONG);
}

/* What takes the units is blocked, in a sink that waits for instance: the host
 * is answered all the same. */
GST_START_TEST (test_answers_unasked)
{
  StreamPeer peer;

  met_start (TRUE);
  met_meet (&peer);
  for (guint i = 0; i < 10; i++) {
    peer_send_unit (&peer, i, i == 0 ? HELIX_UNIT_KEY : 0, "a", 1);
    await_read (&peer);
  }
  met_expect_unit (0, TRUE);
  peer_clear (&peer);
}
GST_END_TEST;

/* Up to x. */
static void
move_cursor (StreamPeer *peer, guint32 x)
{
  struct helix_cursor cursor = {.flags = HELIX_CURSOR_VISIBLE};
  guint8 message[HELIX_MAX_MESSAGE];

  for (; cursor.x <= x; cursor.x++)
    peer_send (peer, message, helix_pack_cursor (message, 0, &cursor, 0));
  await_read (peer);
}

/* The pointer does not wait behind a backlog, and is where it is now; nor does
 * one that always moves keep units back. */
GST_START_TEST (test_cursor_first)
{
  StreamPeer peer;

  met_start (TRUE);
  met_meet (&peer);
  for (guint i = 0; i < 3; i++)
    peer_send_unit (&peer, i, i == 0 ? HELIX_UNIT_KEY : 0, "a", 1);
  for (guint i = 0; i < 3; i++) {
    move_cursor (&peer, 99);
    fail_unless_equals_int (
        helix_stream_client_next (met.client, &met.item, &met.error),
        HELIX_STREAM_CURSOR);
    fail_unless_equals_int (met.item.cursor.x, 99);
    move_cursor (&peer, 50);
    met_expect_unit (i, i == 0);
  }
  peer_clear (&peer);
}
GST_END_TEST;

/* A unit of 5 s ago came, and then next () waits for the keyframe
 * that is asked for. */
static void
fall_behind (StreamPeer *peer, guint64 sequence, HelixStreamResult result)
{
  GThread *thread;

  peer->ahead -= 5 * GST_SECOND;
  peer_send_unit (peer, sequence, 0, "b", 1);
  peer_send_unit (peer, sequence + 1, HELIX_UNIT_KEY, "c", 1);
  peer->ahead += 5 * GST_SECOND;
  await_read (peer);
  thread = met_begin_next ();
  if (result == HELIX_STREAM_UNIT) {
    peer_expect (peer, HELIX_KEYFRAME);
    peer_send_unit (peer, sequence + 2, 0, "d", 1);
    peer_send_unit (peer, sequence + 3, HELIX_UNIT_KEY, "e", 1);
  }
  fail_unless_equals_int (met_end_next (thread), result);
}

/* What piled up in a socket is left out, wherever it lay: stamps tell, not
 * how long it lies here. That is told when it comes to it again. */
GST_START_TEST (test_left_out)
{
  StreamPeer peer;

  met_start (TRUE);
  met_meet (&peer);
  peer_send_unit (&peer, 0, HELIX_UNIT_KEY, "a", 1);
  met_expect_unit (0, TRUE);
  fall_behind (&peer, 1, HELIX_STREAM_UNIT);
  fail_unless_equals_uint64 (met.item.unit.sequence, 4);
  fail_unless (met.item.discont);
  gst_buffer_unref (met.item.buffer);
  fail_unless_equals_uint64 (met_stat_of ("left-out"), 3);
  fail_unless_equals_uint64 (met_stat_of ("lost"), 0);
  fall_behind (&peer, 5, HELIX_STREAM_WARNING);
  fail_unless (strstr (met.error->message, "max-age") != NULL);
  peer_clear (&peer);
}
GST_END_TEST;

static Suite *
helix_stream_client_behind_suite (void)
{
  Suite *s = suite_create ("helix-stream-client-behind");
  TCase *tc = tcase_create ("behind");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, met_setup, met_teardown);
  tcase_add_test (tc, test_answers_unasked);
  tcase_add_test (tc, test_cursor_first);
  tcase_add_test (tc, test_left_out);
  return s;
}

GST_CHECK_MAIN (helix_stream_client_behind);

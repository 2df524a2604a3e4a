/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/check/gstcheck.h>
#include <pty.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "helix-platform.h"
#include "helix-stream-client.h"
#include "helix-test-time.h"
#include "stream-met.h"
#include "stream-peer.h"

/* ---- units ---- */

GST_START_TEST (test_units)
{
  met_start (TRUE);
  met_meet (&peer);
  /* Nothing can be decoded before a keyframe. */
  peer_send_unit (&peer, 5, 0, "aaaa", 4);
  peer_send_unit (&peer, 6, HELIX_UNIT_KEY, "bbbbbb", 6);
  peer_send_unit (&peer, 7, 0, "c", 1);
  fail_unless_equals_int (
      helix_stream_client_next (met.client, &met.item, &met.error),
      HELIX_STREAM_UNIT);
  fail_unless_equals_uint64 (met.item.unit.sequence, 6);
  fail_unless (met.item.discont);
  gst_check_buffer_data (met.item.buffer, "bbbbbb", 6);
  gst_buffer_unref (met.item.buffer);
  met_expect_unit (7, FALSE);
  fail_unless_equals_uint64 (met_stat_of ("units"), 2);
  fail_unless_equals_uint64 (met_stat_of ("bytes"), 7);
  fail_unless_equals_uint64 (met_stat_of ("keyframes"), 1);
  fail_unless_equals_uint64 (met_stat_of ("lost"), 0);
  peer_expect (&peer, HELIX_KEYFRAME);
}
GST_END_TEST;

/* After a loss the next unit given is a keyframe, which was asked for. */
GST_START_TEST (test_gap)
{
  struct helix_keyframe keyframe;
  const gchar *why;

  met_start (TRUE);
  met_meet (&peer);
  peer_send_unit (&peer, 0, HELIX_UNIT_KEY, "a", 1);
  peer_send_unit (&peer, 4, 0, "b", 1);
  peer_send_unit (&peer, 5, 0, "c", 1);
  peer_send_unit (&peer, 6, HELIX_UNIT_KEY, "d", 1);
  met_expect_unit (0, TRUE);
  met_expect_unit (6, TRUE);
  fail_unless_equals_uint64 (met_stat_of ("lost"), 3);
  peer_expect (&peer, HELIX_KEYFRAME);
  fail_unless (helix_unpack_keyframe (
      &keyframe, peer.reader.payload, peer.reader.payload_size, &why));
  fail_unless_equals_int (keyframe.reason, HELIX_KEYFRAME_GAP);
  fail_unless_equals_uint64 (keyframe.last_sequence, 0);
}
GST_END_TEST;

static gpointer
ask_soon (gpointer data)
{
  /* Nothing tells that the other thread waits in poll; most times it does. */
  g_usleep (20000);
  helix_stream_client_ask_keyframe (met.client);
  return NULL;
}

GST_START_TEST (test_ask_keyframe)
{
  GThread *next, *ask;

  met_start (TRUE);
  met_meet (&peer);
  next = met_begin_next ();
  ask = g_thread_new ("ask", ask_soon, NULL);
  peer_expect (&peer, HELIX_KEYFRAME);
  g_thread_join (ask);
  peer_send_unit (&peer, 0, HELIX_UNIT_KEY, "a", 1);
  fail_unless_equals_int (met_end_next (next), HELIX_STREAM_UNIT);
  gst_buffer_unref (met.item.buffer);
}
GST_END_TEST;

/* Flushing in the middle of a unit loses nothing of it. */
GST_START_TEST (test_flush)
{
  guint8 message[HELIX_MAX_MESSAGE];
  struct helix_unit unit = {.sequence = 0,
      .dts = HELIX_NONE64,
      .duration = HELIX_NONE64,
      .capture_ns = HELIX_NONE64,
      .caps_id = 1,
      .flags = HELIX_UNIT_KEY};

  met_start (TRUE);
  met_meet (&peer);
  peer_send (&peer, message, helix_pack_unit (message, &unit, 6));
  peer_send (&peer, "abc", 3);
  for (guint i = 0; i < 3; i++) {
    GThread *thread = met_begin_next ();

    helix_stream_client_flush (met.client, TRUE);
    fail_unless_equals_int (met_end_next (thread), HELIX_STREAM_FLUSHING);
    helix_stream_client_flush (met.client, FALSE);
  }
  peer_send (&peer, "def", 3);
  fail_unless_equals_int (
      helix_stream_client_next (met.client, &met.item, &met.error),
      HELIX_STREAM_UNIT);
  gst_check_buffer_data (met.item.buffer, "abcdef", 6);
  gst_buffer_unref (met.item.buffer);
}
GST_END_TEST;

/* The far end's clock runs 5 s ahead, and the estimate finds that out. */
GST_START_TEST (test_clock)
{
  const guint64 ahead = 5 * GST_SECOND;
  GThread *thread;

  met_start (TRUE);
  met_meet (&peer);
  thread = met_begin_next ();
  for (guint i = 0; i < 3; i++) {
    guint8 message[HELIX_MAX_MESSAGE];
    guint64 now;

    while (peer_next_any (&peer) != HELIX_PING)
      continue;
    now = helix_now_ns () + ahead;
    peer_send (&peer, message,
        helix_pack_pong_for (
            message, &peer.reader.header, peer.reader.payload, now, now));
  }
  peer_send_unit (&peer, 0, HELIX_UNIT_KEY, "a", 1);
  fail_unless_equals_int (met_end_next (thread), HELIX_STREAM_UNIT);
  fail_unless (met.item.clock_known);
  fail_unless (met.item.clock_error < TEST_SOON);
  fail_unless (ABS (met.item.clock_offset - (gint64) ahead)
      <= (gint64) met.item.clock_error);
  gst_buffer_unref (met.item.buffer);
  /* It was stamped by our clock: sent 5 s ago, by the estimate. */
  fail_unless (met_stat_of ("transit-max") + met.item.clock_error >= ahead);
  fail_unless (met_stat_of ("transit-max") < ahead + TEST_SOON);
}
GST_END_TEST;

static void
expect_stats (StreamPeer *peer, struct helix_stats *stats)
{
  const gchar *why;

  peer_expect (peer, HELIX_STATS);
  fail_unless (helix_unpack_stats (
      stats, peer->reader.payload, peer->reader.payload_size, &why));
}

/* While units come, STATS goes to the host about once a second. */
GST_START_TEST (test_stats)
{
  struct helix_stats stats;
  GThread *thread;

  met_start (TRUE);
  met_meet (&peer);
  peer_send_unit (&peer, 0, HELIX_UNIT_KEY, "abc", 3);
  met_expect_unit (0, TRUE);
  expect_stats (&peer, &stats);
  fail_unless_equals_uint64 (stats.units, 1);
  fail_unless_equals_uint64 (stats.bytes, 3);
  fail_unless_equals_uint64 (stats.last_sequence, 0);
  fail_unless (stats.latency_ns == HELIX_NONE64);
  for (guint64 ns = 7770; ns < 7785; ns++)
    helix_stream_client_add_latency (met.client, ns);
  thread = met_begin_next ();
  peer_send_unit (&peer, 1, 0, "d", 1);
  expect_stats (&peer, &stats);
  fail_unless_equals_uint64 (stats.units, 2);
  fail_unless_equals_uint64 (stats.latency_ns, 7777); /* the median */
  fail_unless_equals_uint64 (met_stat_of ("latency-count"), 15);
  fail_unless_equals_int (met_end_next (thread), HELIX_STREAM_UNIT);
  gst_buffer_unref (met.item.buffer);
}
GST_END_TEST;

/* ---- outages ---- */

GST_START_TEST (test_nobody_then_somebody)
{
  guint64 begin = helix_now_ns ();

  met_start (TRUE);
  fail_unless_equals_int (
      helix_stream_client_next (met.client, &met.item, &met.error),
      HELIX_STREAM_WARNING);
  fail_unless (helix_now_ns () - begin < TEST_SOON);
  fail_unless (strstr (met.error->message, met.path) != NULL);
  fail_unless (strstr (met.error->message, "no server") != NULL);
  g_clear_error (&met.error);
  /* No second warning comes first. */
  met_meet (&peer);
  peer_send_unit (&peer, 0, HELIX_UNIT_KEY, "a", 1);
  met_expect_unit (0, TRUE);
}
GST_END_TEST;

/* The far end dies in the middle of a unit, and is back. */
GST_START_TEST (test_reconnect)
{
  guint8 message[HELIX_MAX_MESSAGE];
  struct helix_unit unit = {.sequence = 1,
      .dts = HELIX_NONE64,
      .duration = HELIX_NONE64,
      .capture_ns = HELIX_NONE64,
      .caps_id = 1};

  met_start (TRUE);
  met_meet (&peer);
  peer_send_unit (&peer, 0, HELIX_UNIT_KEY, "a", 1);
  met_expect_unit (0, TRUE);
  peer_send (&peer, message, helix_pack_unit (message, &unit, 1000000));
  peer_send (&peer, "abc", 3);
  peer_clear (&peer);
  met_meet (&peer);
  peer_send_unit (&peer, 0, HELIX_UNIT_KEY, "b", 1);
  met_expect_unit (0, TRUE);
  fail_unless_equals_uint64 (met_stat_of ("reconnects"), 1);
  fail_unless_equals_uint64 (met_stat_of ("units"), 2);
}
GST_END_TEST;

GST_START_TEST (test_no_reconnect)
{
  guint8 message[HELIX_MAX_MESSAGE];

  met_start (FALSE);
  fail_unless_equals_int (
      helix_stream_client_next (met.client, &met.item, &met.error),
      HELIX_STREAM_ERROR);
  g_clear_error (&met.error);
  g_clear_pointer (&met.client, helix_stream_client_free);

  met_start (FALSE);
  met_meet (&peer);
  peer_send (&peer, message, helix_pack_bye (message, HELIX_BYE_EOS, "end"));
  fail_unless_equals_int (
      helix_stream_client_next (met.client, &met.item, &met.error),
      HELIX_STREAM_EOS);
  peer_clear (&peer);
  g_clear_pointer (&met.client, helix_stream_client_free);

  met_start (FALSE);
  met_meet (&peer);
  peer_clear (&peer);
  fail_unless_equals_int (
      helix_stream_client_next (met.client, &met.item, &met.error),
      HELIX_STREAM_ERROR);
  fail_unless (strstr (met.error->message, "lost") != NULL);
}
GST_END_TEST;

GST_START_TEST (test_reconnect_timeout)
{
  g_autofree gchar *text = g_strdup_printf ("unix:%s", met.path);
  guint64 begin = helix_now_ns (), took;

  met_start_at (text, FALSE, TRUE, 300);
  fail_unless_equals_int (
      helix_stream_client_next (met.client, &met.item, &met.error),
      HELIX_STREAM_WARNING);
  g_clear_error (&met.error);
  fail_unless_equals_int (
      helix_stream_client_next (met.client, &met.item, &met.error),
      HELIX_STREAM_ERROR);
  took = helix_now_ns () - begin;
  fail_unless (took >= 300 * GST_MSECOND && took < TEST_SOON);
  fail_unless (strstr (met.error->message, "Gave up after 300 ms") != NULL);
}
GST_END_TEST;

/* ---- bad company ---- */

/* What another attempt would not cure ends it at once. */
GST_START_TEST (test_fatal)
{
  guint64 begin = helix_now_ns ();
  GThread *thread;

  met_start (TRUE);
  met.listener = peer_listen (met.path);
  thread = met_begin_next ();
  peer_accept (&peer, met.listener);
  peer_send (&peer, "SSH-2.0-OpenSSH_9.2\r\n", 21);
  fail_unless_equals_int (met_end_next (thread), HELIX_STREAM_ERROR);
  fail_unless (helix_now_ns () - begin < TEST_SOON);
  fail_unless (strstr (met.error->message, met.path) != NULL);
  fail_unless_equals_int (met.error->code, GST_RESOURCE_ERROR_SETTINGS);
}
GST_END_TEST;

/* The house is full: said once, then tried again. */
GST_START_TEST (test_busy)
{
  guint8 message[HELIX_MAX_MESSAGE];
  GThread *thread;

  met_start (TRUE);
  met.listener = peer_listen (met.path);
  thread = met_begin_next ();
  peer_accept (&peer, met.listener);
  peer_expect (&peer, HELIX_HELLO);
  peer_send (&peer, message,
      helix_pack_error (message, 0, HELIX_ERROR_BUSY, HELIX_HELLO, "full"));
  peer_clear (&peer);
  fail_unless_equals_int (met_end_next (thread), HELIX_STREAM_WARNING);
  g_clear_error (&met.error);
  met_meet (&peer);
}
GST_END_TEST;

/* Malformed in the middle. */
GST_START_TEST (test_malformed_unit)
{
  static const struct {
    guint64 first, second;
    guint32 caps_id;
  } cases[] = {{5, 5, 1}, {5, 4, 1}, {5, 6, 2}};
  struct helix_unit unit = {.dts = HELIX_NONE64,
      .duration = HELIX_NONE64,
      .capture_ns = HELIX_NONE64,
      .flags = HELIX_UNIT_KEY};
  guint8 message[HELIX_MAX_MESSAGE];

  met_start (TRUE);
  met_meet (&peer);
  peer_send_unit (&peer, cases[__i__].first, HELIX_UNIT_KEY, "a", 1);
  met_expect_unit (cases[__i__].first, TRUE);
  unit.sequence = cases[__i__].second;
  unit.caps_id = cases[__i__].caps_id;
  peer_send (&peer, message, helix_pack_unit (message, &unit, 1));
  peer_send (&peer, "b", 1);
  fail_unless_equals_int (
      helix_stream_client_next (met.client, &met.item, &met.error),
      HELIX_STREAM_ERROR);
  fail_unless (strstr (met.error->message, "UNIT") != NULL);
}
GST_END_TEST;

/* Somebody accepts and then says nothing at all. */
GST_START_TEST (test_mute_server)
{
  guint64 begin;
  GThread *thread;

  met_start (TRUE);
  met.listener = peer_listen (met.path);
  begin = helix_now_ns ();
  thread = met_begin_next ();
  peer_accept (&peer, met.listener);
  fail_unless_equals_int (met_end_next (thread), HELIX_STREAM_WARNING);
  fail_unless (helix_now_ns () - begin < TEST_SOON);
  fail_unless (strstr (met.error->message, "HELLO gets no answer") != NULL);
  g_clear_error (&met.error);
}
GST_END_TEST;

/* ---- listening ---- */

GST_START_TEST (test_listen)
{
  g_autofree gchar *text = g_strdup_printf ("unix:%s", met.path);
  GThread *thread;

  met_start_at (text, TRUE, TRUE, 0);
  /* A stranger does no harm, but is told of. */
  thread = met_begin_next ();
  peer_connect (&peer, met.path);
  peer_send (&peer, "GET / HTTP/1.1\r\n\r\n", 18);
  fail_unless_equals_int (met_end_next (thread), HELIX_STREAM_WARNING);
  g_clear_error (&met.error);
  peer_clear (&peer);
  thread = met_begin_next ();
  peer_connect (&peer, met.path);
  peer_welcome (&peer);
  peer_send_caps (&peer, 1);
  fail_unless_equals_int (met_end_next (thread), HELIX_STREAM_CAPS);
}
GST_END_TEST;

/* Without a descriptor left for it, a connection waits, and nothing spins. */
GST_START_TEST (test_cannot_accept)
{
  g_autofree gchar *text = g_strdup_printf ("unix:%s", met.path);
  GThread *thread;

  met_start_at (text, TRUE, TRUE, 0);
  peer_connect (&peer, met.path);
  peer_limit_descriptors ((guint) peer_next_descriptor ());
  fail_unless_equals_int (
      helix_stream_client_next (met.client, &met.item, &met.error),
      HELIX_STREAM_WARNING);
  fail_unless (strstr (met.error->message, "ulimit") != NULL);
  g_clear_error (&met.error);
  thread = met_begin_next ();
  fail_unless (peer_cpu_time () < 100000);
  peer_limit_descriptors (0);
  peer_welcome (&peer);
  peer_send_caps (&peer, 1);
  fail_unless_equals_int (met_end_next (thread), HELIX_STREAM_CAPS);
}
GST_END_TEST;

/* ---- a serial line ---- */

/* The bytes of a session that the last reader was killed in are still on the
 * line when the next one opens it: rests of a unit, whole ones, a WELCOME for
 * somebody else. */
GST_START_TEST (test_serial)
{
  struct helix_welcome old = {
      .version = 1, .role = HELIX_ROLE_STREAM, .nonce = 99};
  struct termios raw;
  guint8 message[HELIX_MAX_MESSAGE], rest[3000];
  g_autofree gchar *text = NULL;
  gchar name[128];
  gint master, slave;
  GThread *thread;

  fail_unless (openpty (&master, &slave, name, NULL, NULL) == 0);
  fail_unless (tcgetattr (slave, &raw) == 0);
  cfmakeraw (&raw);
  fail_unless (tcsetattr (slave, TCSANOW, &raw) == 0);
  fail_unless (helix_fd_prepare (master) == 0);
  peer_init (&peer, master);
  memset (rest, 'H', sizeof rest);
  peer_send (&peer, rest, sizeof rest);
  peer_send_unit (&peer, 8, HELIX_UNIT_KEY, "old", 3);
  peer_send (&peer, message, helix_pack_welcome (message, &old, "old", NULL));

  text = g_strdup_printf ("serial:%s", name);
  met_start_at (text, FALSE, TRUE, 0);
  thread = met_begin_next ();
  /* The padding comes first, then HELLO: as helixguestsink does, look. */
  helix_reader_scan (&peer.reader, HELIX_HELLO, 0);
  peer_welcome (&peer);
  fail_unless (peer.reader.skipped >= HELIX_MAX_MESSAGE);
  peer_send_caps (&peer, 1);
  fail_unless_equals_int (met_end_next (thread), HELIX_STREAM_CAPS);
  peer_send_unit (&peer, 0, HELIX_UNIT_KEY, "a", 1);
  met_expect_unit (0, TRUE);
  /* The host goes: the line hangs up. */
  peer_clear (&peer);
  fail_unless_equals_int (
      helix_stream_client_next (met.client, &met.item, &met.error),
      HELIX_STREAM_WARNING);
  close (slave);
}
GST_END_TEST;

/* ---- the caller of next () is slow, or does not call it ---- */

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
  met_start (TRUE);
  met_meet (&peer);
  for (guint i = 0; i < 10; i++) {
    peer_send_unit (&peer, i, i == 0 ? HELIX_UNIT_KEY : 0, "a", 1);
    await_read (&peer);
  }
  met_expect_unit (0, TRUE);
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
}
GST_END_TEST;

static Suite *
helix_stream_client_suite (void)
{
  Suite *s = suite_create ("helix-stream-client");
  TCase *tc = tcase_create ("client");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, met_setup, met_teardown);
  tcase_add_test (tc, test_units);
  tcase_add_test (tc, test_gap);
  tcase_add_test (tc, test_ask_keyframe);
  tcase_add_test (tc, test_flush);
  tcase_add_test (tc, test_clock);
  tcase_add_test (tc, test_stats);
  tcase_add_test (tc, test_nobody_then_somebody);
  tcase_add_test (tc, test_reconnect);
  tcase_add_test (tc, test_no_reconnect);
  tcase_add_test (tc, test_reconnect_timeout);
  tcase_add_test (tc, test_fatal);
  tcase_add_test (tc, test_busy);
  tcase_add_loop_test (tc, test_malformed_unit, 0, 3);
  tcase_add_test (tc, test_mute_server);
  tcase_add_test (tc, test_listen);
  tcase_add_test (tc, test_cannot_accept);
  tcase_add_test (tc, test_serial);
  tcase_add_test (tc, test_answers_unasked);
  tcase_add_test (tc, test_cursor_first);
  tcase_add_test (tc, test_left_out);
  return s;
}

GST_CHECK_MAIN (helix_stream_client);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A connection by itself; with a client, see test-helix-stream-client.c. */
#include <gst/check/gstcheck.h>
#include <string.h>
#include <sys/socket.h>

#include "helix-platform.h"
#include "helix-stream-common.h"
#include "helix-stream-connection.h"
#include "stream-peer.h"

#define MS GST_MSECOND
#define TOKEN "secret"

static HelixStreamConnection *stream;
static StreamPeer peer;

static HelixConnectionEvent
next_event (void)
{
  guint64 end = helix_now_ns () + PEER_TIMEOUT_MS * MS;

  for (;;) {
    HelixConnectionEvent event;

    event = helix_stream_connection_read (stream);
    if (event > HELIX_CONNECTION_MORE)
      return event;
    fail_unless (helix_now_ns () < end, "nothing happens");
  }
}

static void
expect (HelixStreamResult what)
{
  fail_unless_equals_int (next_event (), HELIX_CONNECTION_MESSAGE);
  fail_unless_equals_int (stream->item.kind, what);
}

/* What the peer has sent so far is read, and was nothing to tell of. */
static void
read_all (void)
{
  while (helix_stream_connection_read (stream) == HELIX_CONNECTION_MORE)
    continue;
}

/* HELLO is out. */
static void
begin (HelixStreamConnectionConfig config)
{
  gint fds[2];

  config.address = "unix:test";
  config.name = "test";
  helix_stream_debug_init ();
  fail_unless (helix_socketpair (fds) == 0);
  stream = helix_stream_connection_new (fds[0], &config, helix_now_ns ());
  peer_init (&peer, fds[1]);
}

static void
go_live (guint32 role)
{
  begin ((HelixStreamConnectionConfig){.role = role});
  peer_welcome (&peer);
  fail_unless_equals_int (peer.role, role);
  fail_unless_equals_int (next_event (), HELIX_CONNECTION_LIVE);
}

static void
teardown (void)
{
  g_clear_pointer (&stream, helix_stream_connection_free);
  peer_clear (&peer);
}

/* ---- requests ---- */

/* Requests that come too soon merge into one, which tick () sends when its
 * time has come. Time is what this test says it is. */
GST_START_TEST (test_ask)
{
  guint64 now = helix_now_ns (), due;
  struct helix_keyframe keyframe;
  const gchar *why;

  go_live (HELIX_ROLE_STREAM);
  helix_stream_connection_tick (stream, now);
  helix_stream_connection_ask (stream, HELIX_KEYFRAME_ASKED, now);
  peer_expect (&peer, HELIX_KEYFRAME);

  helix_stream_connection_ask (stream, HELIX_KEYFRAME_GAP, now + 50 * MS);
  helix_stream_connection_ask (stream, HELIX_KEYFRAME_ASKED, now + 51 * MS);
  helix_stream_connection_ask (stream, HELIX_KEYFRAME_GAP, now + 52 * MS);
  /* PINGs are due earlier; after those it is its turn, not later. */
  for (due = now + 52 * MS; due < now + 200 * MS;)
    due = helix_stream_connection_tick (stream, due);
  fail_unless_equals_uint64 (due, now + 200 * MS);
  helix_stream_connection_tick (stream, due);
  peer_expect (&peer, HELIX_KEYFRAME);
  fail_unless (helix_unpack_keyframe (
      &keyframe, peer.reader.payload, peer.reader.payload_size, &why));
  fail_unless_equals_int (keyframe.reason, HELIX_KEYFRAME_ASKED);
  fail_if (stream->asking);
}
GST_END_TEST;

/* The keyframe that a loss waits for has come by itself. */
GST_START_TEST (test_ask_in_vain)
{
  guint64 now = helix_now_ns ();

  go_live (HELIX_ROLE_STREAM);
  peer_send_caps (&peer, 1);
  expect (HELIX_STREAM_CAPS);
  helix_stream_connection_ask (stream, HELIX_KEYFRAME_ASKED, now);
  helix_stream_connection_ask (stream, HELIX_KEYFRAME_GAP, now + 1);
  fail_unless (stream->asking);
  peer_send_unit (&peer, 0, HELIX_UNIT_KEY, "a", 1);
  expect (HELIX_STREAM_UNIT);
  gst_clear_buffer (&stream->item.buffer);
  fail_if (stream->asking);
}
GST_END_TEST;

/* The newest request waits here, not an old one in the socket. */
GST_START_TEST (test_requests_wait)
{
  struct helix_config config = {
      .fields = HELIX_CONFIG_BITRATE, .bitrate = 1000};
  guint8 message[HELIX_MAX_MESSAGE];
  gsize size = helix_pack_config (message, &config);
  guint sent = 0;

  go_live (HELIX_ROLE_CONTROL);
  while (helix_stream_connection_request (stream, message, size))
    sent++;
  for (guint i = 0; i < sent; i++) {
    peer_expect (&peer, HELIX_CONFIG);
    read_all (); /* which sends the rest */
  }
  fail_unless (helix_stream_connection_request (stream, message, size));
  peer_expect (&peer, HELIX_CONFIG);
}
GST_END_TEST;

GST_START_TEST (test_refused)
{
  guint8 message[HELIX_MAX_MESSAGE];

  go_live (HELIX_ROLE_STREAM);
  peer_send (&peer, message,
      helix_pack_error (
          message, 0, HELIX_ERROR_NO_SCANOUT, HELIX_CONFIG, "there are two"));
  expect (HELIX_STREAM_WARNING);
  fail_unless_equals_int (
      stream->connection->error.code, HELIX_ERROR_NO_SCANOUT);
  fail_unless_equals_int (stream->connection->error.refers, HELIX_CONFIG);
  fail_unless_equals_string (stream->connection->text, "there are two");
  fail_unless (stream->connection->live);
}
GST_END_TEST;

/* ---- cursors ---- */

static void
send_cursor (guint32 flags, guint32 bulk, gsize pixels)
{
  struct helix_cursor cursor = {
      .flags = flags, .serial = 1, .width = 4, .height = 4};
  guint8 message[HELIX_MAX_MESSAGE], bytes[128] = {0};

  peer_send (&peer, message, helix_pack_cursor (message, 0, &cursor, bulk));
  peer_send (&peer, bytes, pixels);
}

GST_START_TEST (test_cursor)
{
  go_live (HELIX_ROLE_STREAM);
  send_cursor (HELIX_CURSOR_SHAPE, 64, 30);
  read_all ();
  send_cursor (0, 0, 0); /* 34 bytes of these are pixels of the first */
  peer_send (&peer, "", 0);
  expect (HELIX_STREAM_CURSOR);
  fail_unless_equals_int (gst_buffer_get_size (stream->item.buffer), 64);
  gst_clear_buffer (&stream->item.buffer);
}
GST_END_TEST;

/* Pixels that were not announced, too few, too many. */
GST_START_TEST (test_bad_cursor)
{
  static const struct {
    guint32 flags, bulk;
  } bad[] = {{0, 64}, {HELIX_CURSOR_SHAPE, 60}, {HELIX_CURSOR_SHAPE, 68},
      {HELIX_CURSOR_SHAPE, 0}};

  go_live (HELIX_ROLE_STREAM);
  send_cursor (bad[__i__].flags, bad[__i__].bulk, bad[__i__].bulk);
  fail_unless_equals_int (next_event (), HELIX_CONNECTION_LOST);
  fail_unless (strstr (stream->error->message, "CURSOR") != NULL, "%s",
      stream->error->message);
}
GST_END_TEST;

/* A shape between two units disturbs neither. */
GST_START_TEST (test_cursor_between_units)
{
  go_live (HELIX_ROLE_STREAM);
  peer_send_caps (&peer, 1);
  expect (HELIX_STREAM_CAPS);
  for (guint i = 0; i < 3; i++) {
    peer_send_unit (&peer, i, i == 0 ? HELIX_UNIT_KEY : 0, "abc", 3);
    send_cursor (HELIX_CURSOR_SHAPE, 64, 64);
    expect (HELIX_STREAM_UNIT);
    gst_check_buffer_data (stream->item.buffer, "abc", 3);
    gst_clear_buffer (&stream->item.buffer);
    expect (HELIX_STREAM_CURSOR);
    fail_unless_equals_int (gst_buffer_get_size (stream->item.buffer), 64);
    gst_clear_buffer (&stream->item.buffer);
  }
  fail_unless_equals_uint64 (stream->totals.units, 3);
  fail_unless_equals_uint64 (stream->totals.lost, 0);
}
GST_END_TEST;

/* ---- the end ---- */

/* What the other end does, and what that is to the user. Where strangers may
 * connect nothing is fatal. */
enum {
  CLOSES,
  READS_NOTHING,
  SAYS_BYE,
  IS_SSH,
  SENDS_FRAMES,
  REFUSES,
  IS_BUSY,
  IS_OLDER,
  ASKS_NOTHING
};

static const struct {
  guint what;
  gboolean live; /* before that */
  const gchar *words;
  gint code; /* of GST_RESOURCE_ERROR; 0 = there is no error */
  gboolean fatal, loud;
} ends[] = {
    {CLOSES, TRUE, "the connection was lost: the other end is gone",
        GST_RESOURCE_ERROR_READ, FALSE, FALSE},
    {CLOSES, FALSE, "ended without an answer", GST_RESOURCE_ERROR_READ, FALSE,
        FALSE},
    {READS_NOTHING, TRUE, "it leaves unread what it is sent",
        GST_RESOURCE_ERROR_READ, FALSE, TRUE},
    {SAYS_BYE, FALSE, NULL, 0, FALSE, FALSE},
    {SAYS_BYE, TRUE, NULL, 0, FALSE, FALSE},
    {IS_SSH, FALSE, "no helixguestsink: an SSH server",
        GST_RESOURCE_ERROR_SETTINGS, TRUE, TRUE},
    {IS_SSH, TRUE, "broke the protocol", GST_RESOURCE_ERROR_READ, TRUE, TRUE},
    {SENDS_FRAMES, TRUE, "CURSOR", GST_RESOURCE_ERROR_READ, TRUE, TRUE},
    {REFUSES, FALSE, "refuses (auth): no", GST_RESOURCE_ERROR_NOT_AUTHORIZED,
        TRUE, TRUE},
    {IS_BUSY, FALSE, "refuses (busy): no", GST_RESOURCE_ERROR_BUSY, FALSE,
        TRUE},
    {IS_OLDER, FALSE, "refuses (version): no", GST_RESOURCE_ERROR_SETTINGS,
        TRUE, TRUE},
    {ASKS_NOTHING, FALSE, "does not ask for the token",
        GST_RESOURCE_ERROR_NOT_AUTHORIZED, TRUE, TRUE},
};

static void
act (guint what)
{
  const struct helix_cursor cursor = {.serial = 1};
  guint8 message[HELIX_MAX_MESSAGE];

  switch (what) {
    case CLOSES:
      peer_clear (&peer);
      break;
    case READS_NOTHING:
      while (helix_connection_send (stream->connection, message,
          helix_pack_empty (message, HELIX_PING, 0)))
        continue;
      break;
    case SAYS_BYE:
      peer_send (
          &peer, message, helix_pack_bye (message, HELIX_BYE_CLOSING, ""));
      break;
    case IS_SSH:
      peer_send (&peer, "SSH-2.0-OpenSSH", 15);
      break;
    case SENDS_FRAMES:
      peer_send (&peer, message, helix_pack_cursor (message, 0, &cursor, 64));
      break;
    case ASKS_NOTHING:
      peer_welcome (&peer);
      break;
    default:
      peer_send (&peer, message,
          helix_pack_error (message, 0,
              what == REFUSES       ? HELIX_ERROR_AUTH
                  : what == IS_BUSY ? HELIX_ERROR_BUSY
                                    : HELIX_ERROR_VERSION,
              0, "no"));
      break;
  }
}

GST_START_TEST (test_end)
{
  for (guint strangers = 0; strangers < 2; strangers++) {
    begin ((HelixStreamConnectionConfig){.role = HELIX_ROLE_STREAM,
        .token = ends[__i__].what == ASKS_NOTHING ? TOKEN : NULL,
        .strangers = strangers});
    if (ends[__i__].live) {
      peer_welcome (&peer);
      fail_unless_equals_int (next_event (), HELIX_CONNECTION_LIVE);
    }
    act (ends[__i__].what);
    fail_unless_equals_int (next_event (), HELIX_CONNECTION_LOST);
    fail_unless_equals_int (stream->loud, ends[__i__].loud);
    fail_unless_equals_int (stream->fatal, ends[__i__].fatal && !strangers);
    if (ends[__i__].code == 0) {
      fail_unless (stream->error == NULL);
    } else {
      fail_unless (g_error_matches (
          stream->error, GST_RESOURCE_ERROR, ends[__i__].code));
      fail_unless (strstr (stream->error->message, ends[__i__].words) != NULL,
          "no '%s' in: %s", ends[__i__].words, stream->error->message);
    }
    teardown ();
  }
}
GST_END_TEST;

/* Nothing comes any more, or nothing at all. */
GST_START_TEST (test_silence)
{
  static const gchar *const words[] = {
      "HELLO gets no answer", "PROOF gets no answer", "nothing came for 3 s"};
  guint64 now = helix_now_ns ();

  begin ((HelixStreamConnectionConfig){
      .role = HELIX_ROLE_STREAM, .token = __i__ == 1 ? TOKEN : NULL});
  if (__i__ == 1)
    peer_challenge (&peer);
  else if (__i__ == 2)
    peer_welcome (&peer);
  read_all ();
  for (guint64 next = now; next != 0; now = next)
    next = helix_stream_connection_tick (stream, now);
  fail_unless (strstr (stream->error->message, words[__i__]) != NULL, "%s",
      stream->error->message);
  fail_unless (stream->loud && !stream->fatal);
}
GST_END_TEST;

static Suite *
helix_stream_connection_suite (void)
{
  Suite *s = suite_create ("helix-stream-connection");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, NULL, teardown);
  tcase_add_test (tc, test_ask);
  tcase_add_test (tc, test_ask_in_vain);
  tcase_add_test (tc, test_requests_wait);
  tcase_add_test (tc, test_refused);
  tcase_add_test (tc, test_cursor);
  tcase_add_loop_test (tc, test_bad_cursor, 0, 4);
  tcase_add_test (tc, test_cursor_between_units);
  tcase_add_loop_test (tc, test_end, 0, G_N_ELEMENTS (ends));
  tcase_add_loop_test (tc, test_silence, 0, 3);
  return s;
}

GST_CHECK_MAIN (helix_stream_connection);

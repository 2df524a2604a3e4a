/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a link does by itself; with a client, see test-helix-stream-client.c. */
#include <gst/check/gstcheck.h>
#include <string.h>
#include <sys/socket.h>

#include "helix-platform.h"
#include "helix-stream-debug.h"
#include "helix-stream-link.h"
#include "stream-peer.h"

#define MS GST_MSECOND
#define NONCE G_GUINT64_CONSTANT (0x8877665544332211)
#define TOKEN "secret"

static HelixStreamLink *stream;
static StreamPeer peer;

static HelixStreamLinkEvent
next_event (void)
{
  guint64 end = helix_now_ns () + PEER_TIMEOUT_MS * MS;

  for (;;) {
    HelixStreamLinkEvent event;

    helix_stream_link_flush (stream);
    event = helix_stream_link_read (stream);
    if (event > HELIX_STREAM_LINK_MORE)
      return event;
    fail_unless (helix_now_ns () < end, "nothing happens");
  }
}

/* What the peer has sent so far is read, and was nothing to tell of. */
static void
read_all (void)
{
  while (helix_stream_link_read (stream) == HELIX_STREAM_LINK_MORE)
    continue;
}

/* HELLO is out. */
static void
begin_link (HelixStreamLinkConfig config)
{
  gint fds[2];

  config.address = "unix:test";
  config.name = "test";
  config.nonce = NONCE;
  helix_stream_debug_init ();
  fail_unless (helix_socketpair (fds) == 0);
  stream = helix_stream_link_new (fds[0], &config, helix_now_ns ());
  peer_init (&peer, fds[1]);
  helix_stream_link_flush (stream);
}

static void
open_link (guint32 role)
{
  begin_link ((HelixStreamLinkConfig){.role = role});
  peer_welcome (&peer);
  fail_unless_equals_int (peer.role, role);
  fail_unless_equals_int (next_event (), HELIX_STREAM_LINK_LIVE);
}

static void
teardown (void)
{
  g_clear_pointer (&stream, helix_stream_link_free);
  peer_clear (&peer);
}

/* ---- wishes ---- */

/* Requests that come too soon merge into one, which tick () sends when its
 * time has come. Time is what this test says it is. */
GST_START_TEST (test_ask)
{
  guint64 now = helix_now_ns (), due;
  struct helix_keyframe keyframe;
  const gchar *why;

  open_link (HELIX_ROLE_STREAM);
  helix_stream_link_tick (stream, now, now);
  helix_stream_link_ask (stream, HELIX_KEYFRAME_ASKED, now);
  helix_stream_link_flush (stream);
  peer_expect (&peer, HELIX_KEYFRAME);

  helix_stream_link_ask (stream, HELIX_KEYFRAME_GAP, now + 50 * MS);
  helix_stream_link_ask (stream, HELIX_KEYFRAME_ASKED, now + 51 * MS);
  helix_stream_link_ask (stream, HELIX_KEYFRAME_GAP, now + 52 * MS);
  /* PINGs are due earlier; after those it is its turn, not later. */
  for (due = now + 52 * MS; due < now + 200 * MS;)
    due = helix_stream_link_tick (stream, due, now);
  fail_unless_equals_uint64 (due, now + 200 * MS);
  helix_stream_link_tick (stream, due, now);
  helix_stream_link_flush (stream);
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

  open_link (HELIX_ROLE_STREAM);
  peer_send_caps (&peer, 1);
  fail_unless_equals_int (next_event (), HELIX_STREAM_LINK_CAPS);
  helix_stream_link_ask (stream, HELIX_KEYFRAME_ASKED, now);
  helix_stream_link_ask (stream, HELIX_KEYFRAME_GAP, now + 1);
  fail_unless (stream->asking);
  peer_send_unit (&peer, 0, HELIX_UNIT_KEY, "a", 1);
  fail_unless_equals_int (next_event (), HELIX_STREAM_LINK_UNIT);
  gst_clear_buffer (&stream->buffer);
  fail_if (stream->asking);
}
GST_END_TEST;

/* The newest wish waits here, not an old one in the socket. */
GST_START_TEST (test_wishes_wait)
{
  struct helix_config config = {
      .fields = HELIX_CONFIG_BITRATE, .bitrate = 1000};
  guint64 now = helix_now_ns ();

  open_link (HELIX_ROLE_CONTROL);
  fail_unless (helix_stream_link_config (stream, &config));
  fail_if (helix_stream_link_config (stream, &config));
  fail_if (helix_stream_link_show (stream, 1, HELIX_NONE64, now));
  helix_stream_link_flush (stream);
  fail_unless (helix_stream_link_show (stream, 1, HELIX_NONE64, now));
  helix_stream_link_flush (stream);
  peer_expect (&peer, HELIX_CONFIG);
  peer_expect (&peer, HELIX_SHOW);
}
GST_END_TEST;

/* A server of a later version: it is told once of each type, and goes on. */
GST_START_TEST (test_unknown_types)
{
  static const guint8 types[] = {0x60, 0x60, 0x20, HELIX_SUBSCRIBE, 0x60};
  static const guint answered[] = {0x60, 0x20, HELIX_SUBSCRIBE};
  struct helix_error error;
  gchar text[HELIX_MAX_TEXT + 1];
  guint8 message[HELIX_MAX_MESSAGE];
  const gchar *why;

  open_link (HELIX_ROLE_STREAM);
  for (guint i = 0; i < G_N_ELEMENTS (types); i++)
    peer_send (&peer, message,
        helix_pack_empty (message, (enum helix_type) types[i], 0));
  /* To that there is no answer, or two ends would talk for ever. */
  peer_send (&peer, message,
      helix_pack_error (message, 0, HELIX_ERROR_UNSUPPORTED, 0x61, ""));
  fail_unless_equals_int (next_event (), HELIX_STREAM_LINK_REFUSED);
  peer_send (&peer, message, helix_pack_empty (message, HELIX_PING, 0));
  read_all ();
  helix_stream_link_flush (stream);
  for (guint i = 0; i < G_N_ELEMENTS (answered); i++) {
    fail_unless_equals_int (peer_next_any (&peer), HELIX_ERROR);
    fail_unless (helix_unpack_error (
        &error, text, peer.reader.payload, peer.reader.payload_size, &why));
    fail_unless_equals_int (error.code, HELIX_ERROR_UNSUPPORTED);
    fail_unless_equals_int (error.refers, answered[i]);
  }
  fail_unless_equals_int (peer_next_any (&peer), HELIX_PONG);
  fail_unless (stream->live);
}
GST_END_TEST;

/* A host that ends just when we come: nothing is wrong with it. */
GST_START_TEST (test_bye_before_welcome)
{
  guint8 message[HELIX_MAX_MESSAGE];

  begin_link ((HelixStreamLinkConfig){.role = HELIX_ROLE_STREAM});
  peer_send (&peer, message, helix_pack_empty (message, HELIX_PONG, 0));
  peer_send (
      &peer, message, helix_pack_bye (message, HELIX_BYE_CLOSING, "closing"));
  fail_unless_equals_int (next_event (), HELIX_STREAM_LINK_LOST);
  fail_unless (stream->error == NULL);
  fail_if (stream->fatal || stream->loud);
}
GST_END_TEST;

/* What breaks the protocol, and the type that the ERROR refers to. */
static const struct {
  const gchar *bytes;
  gsize size;
  guint refers;
} broken[] = {
    {"SSH-2.0-OpenSSH", 15, 0},
    {"HXFR\x70\0\0\0\x01\x10\0\0", 12, HELIX_CAPS},
    {"HXFR\x71\0\0\0\x38\0\0\0", 12, HELIX_UNIT},
    {"HXFR\x10\0\0\0\1\0\0\0?", 13, HELIX_PING},
    {"HXFR\x11\0\0\0\1\0\0\0?", 13, HELIX_PONG},
};

GST_START_TEST (test_broken)
{
  struct helix_error error;
  gchar text[HELIX_MAX_TEXT + 1];
  const gchar *why;

  open_link (HELIX_ROLE_STREAM);
  peer_send (&peer, broken[__i__].bytes, broken[__i__].size);
  fail_unless_equals_int (next_event (), HELIX_STREAM_LINK_LOST);
  fail_unless_equals_int (peer_next (&peer), HELIX_ERROR);
  fail_unless (helix_unpack_error (
      &error, text, peer.reader.payload, peer.reader.payload_size, &why));
  fail_unless_equals_int (error.code, HELIX_ERROR_PROTOCOL);
  fail_unless_equals_int (error.refers, broken[__i__].refers);
  fail_unless (strstr (stream->error->message, text) != NULL, "%s", text);
}
GST_END_TEST;

GST_START_TEST (test_refused)
{
  guint8 message[HELIX_MAX_MESSAGE];

  open_link (HELIX_ROLE_STREAM);
  peer_send (&peer, message,
      helix_pack_error (
          message, 0, HELIX_ERROR_NO_SCANOUT, HELIX_CONFIG, "there are two"));
  fail_unless_equals_int (next_event (), HELIX_STREAM_LINK_REFUSED);
  fail_unless_equals_int (stream->refusal.code, HELIX_ERROR_NO_SCANOUT);
  fail_unless_equals_int (stream->refusal.refers, HELIX_CONFIG);
  fail_unless_equals_string (stream->refusal_text, "there are two");
  fail_unless (stream->live);
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
  open_link (HELIX_ROLE_STREAM);
  send_cursor (HELIX_CURSOR_SHAPE, 64, 30);
  read_all ();
  send_cursor (0, 0, 0); /* 34 bytes of these are pixels of the first */
  peer_send (&peer, "", 0);
  fail_unless_equals_int (next_event (), HELIX_STREAM_LINK_CURSOR);
  fail_unless_equals_int (gst_buffer_get_size (stream->buffer), 64);
  gst_clear_buffer (&stream->buffer);
}
GST_END_TEST;

/* Pixels that were not announced, too few, too many. */
GST_START_TEST (test_bad_cursor)
{
  static const struct {
    guint32 flags, bulk;
  } bad[] = {{0, 64}, {HELIX_CURSOR_SHAPE, 60}, {HELIX_CURSOR_SHAPE, 68},
      {HELIX_CURSOR_SHAPE, 0}};

  open_link (HELIX_ROLE_STREAM);
  send_cursor (bad[__i__].flags, bad[__i__].bulk, bad[__i__].bulk);
  fail_unless_equals_int (next_event (), HELIX_STREAM_LINK_LOST);
  fail_unless (strstr (stream->error->message, "CURSOR") != NULL, "%s",
      stream->error->message);
}
GST_END_TEST;

/* A shape between two units disturbs neither. */
GST_START_TEST (test_cursor_between_units)
{
  open_link (HELIX_ROLE_STREAM);
  peer_send_caps (&peer, 1);
  fail_unless_equals_int (next_event (), HELIX_STREAM_LINK_CAPS);
  for (guint i = 0; i < 3; i++) {
    peer_send_unit (&peer, i, i == 0 ? HELIX_UNIT_KEY : 0, "abc", 3);
    send_cursor (HELIX_CURSOR_SHAPE, 64, 64);
    fail_unless_equals_int (next_event (), HELIX_STREAM_LINK_UNIT);
    gst_check_buffer_data (stream->buffer, "abc", 3);
    gst_clear_buffer (&stream->buffer);
    fail_unless_equals_int (next_event (), HELIX_STREAM_LINK_CURSOR);
    fail_unless_equals_int (gst_buffer_get_size (stream->buffer), 64);
    gst_clear_buffer (&stream->buffer);
  }
  fail_unless_equals_uint64 (stream->totals.units, 3);
  fail_unless_equals_uint64 (stream->totals.lost, 0);
}
GST_END_TEST;

/* ---- time ---- */

/* The offset is wanted soon; then once a second. */
GST_START_TEST (test_pings)
{
  guint64 begin = helix_now_ns () + GST_SECOND, now = begin, next = begin;
  guint pings = 0;

  open_link (HELIX_ROLE_CONTROL);
  while (now - begin < 2900 * MS) {
    next = helix_stream_link_tick (stream, now, begin);
    fail_unless (next > now);
    if (helix_stream_link_pending (stream))
      pings++;
    helix_stream_link_flush (stream);
    now = next;
  }
  fail_unless (pings >= 9 && pings <= 11, "%u", pings);
  /* And nobody answers: that is the end of it. */
  fail_unless_equals_uint64 (
      helix_stream_link_tick (stream, begin + 3000 * MS, begin), 0);
  fail_unless (stream->error != NULL && stream->loud && !stream->fatal);
}
GST_END_TEST;

/* ---- the proof ---- */

/* With a token; and the other end has asked for its proof and got it, if
 * `asked`. */
static void
begin_proof (guint32 role, gboolean asked)
{
  begin_link ((HelixStreamLinkConfig){.role = role, .token = TOKEN});
  if (!asked)
    return;
  peer_challenge (&peer);
  read_all ();
  fail_if (stream->live);
  helix_stream_link_flush (stream);
  peer_expect_proof (&peer, HELIX_PROOF_CLIENT, TOKEN);
}

static void
expect_loss (const gchar *words, gboolean fatal)
{
  fail_unless_equals_int (next_event (), HELIX_STREAM_LINK_LOST);
  fail_unless (strstr (stream->error->message, words) != NULL, "no '%s' in: %s",
      words, stream->error->message);
  fail_unless (stream->loud && !stream->live);
  fail_unless_equals_int (stream->fatal, fatal);
}

GST_START_TEST (test_proof)
{
  struct helix_config config = {
      .fields = HELIX_CONFIG_BITRATE, .bitrate = 1000};
  guint8 message[HELIX_MAX_MESSAGE];

  begin_proof (__i__ == 0 ? HELIX_ROLE_STREAM : HELIX_ROLE_CONTROL, TRUE);
  /* Until the other end has proved it as well, it is told nothing more. */
  fail_if (helix_stream_link_config (stream, &config));
  helix_stream_link_ask (stream, HELIX_KEYFRAME_ASKED, helix_now_ns ());
  fail_if (helix_stream_link_pending (stream));
  peer_send (&peer, message, helix_pack_empty (message, HELIX_PING, 0));
  read_all ();
  helix_stream_link_flush (stream);
  fail_unless_equals_int (peer_next_any (&peer), HELIX_PONG);
  peer_prove (&peer, HELIX_PROOF_SERVER, TOKEN);
  fail_unless_equals_int (next_event (), HELIX_STREAM_LINK_LIVE);
}
GST_END_TEST;

/* Another program listens where helixguestsink should. */
enum { NO_PROOF, WRONG_PROOF, REFLECTED, EARLY_PROOF, NOT_PROOF, N_IMPOSTORS };

GST_START_TEST (test_impostor)
{
  static const gchar *const words[] = {"does not ask for the token",
      "does not prove the token", "does not prove the token",
      "first message is not WELCOME", "comes no PROOF"};

  begin_proof (HELIX_ROLE_STREAM, __i__ != NO_PROOF && __i__ != EARLY_PROOF);
  switch (__i__) {
    case NO_PROOF:
      peer_welcome (&peer);
      break;
    case WRONG_PROOF:
      peer_prove (&peer, HELIX_PROOF_SERVER, "guess");
      break;
    case REFLECTED:
      peer_prove (&peer, HELIX_PROOF_CLIENT, TOKEN);
      break;
    case EARLY_PROOF:
      peer_prove (&peer, HELIX_PROOF_SERVER, TOKEN);
      break;
    default:
      peer_send_caps (&peer, 1);
      break;
  }
  expect_loss (words[__i__], TRUE);
  if (__i__ < EARLY_PROOF)
    fail_unless_equals_int (
        stream->error->code, GST_RESOURCE_ERROR_NOT_AUTHORIZED);
}
GST_END_TEST;

/* A challenge to a client that has no token is not from a server of ours. */
GST_START_TEST (test_proof_not_offered)
{
  begin_link ((HelixStreamLinkConfig){.role = HELIX_ROLE_STREAM});
  peer_challenge (&peer);
  expect_loss ("PROOF was not offered", TRUE);
}
GST_END_TEST;

/* The listener reports a client that fails its proof, and takes the next. */
GST_START_TEST (test_proof_strangers)
{
  begin_link ((HelixStreamLinkConfig){
      .role = HELIX_ROLE_STREAM, .token = TOKEN, .strangers = TRUE});
  peer_welcome (&peer);
  expect_loss ("does not ask for the token", FALSE);
}
GST_END_TEST;

/* The host is killed between WELCOME and its PROOF, and its successor says that
 * it knows of no session: that is for us, and no reason to wait. */
GST_START_TEST (test_proof_serial)
{
  guint8 message[HELIX_MAX_MESSAGE];

  begin_link ((HelixStreamLinkConfig){
      .role = HELIX_ROLE_STREAM, .token = TOKEN, .serial = TRUE});
  helix_reader_scan (&peer.reader, HELIX_HELLO, 0);
  /* answers the previous client */
  peer_send (&peer, message,
      helix_pack_error (
          message, 0, HELIX_ERROR_AUTH, HELIX_PROOF, "the token is wrong"));
  peer_challenge (&peer);
  read_all ();
  fail_unless (stream->welcomed && stream->error == NULL);
  peer_send (&peer, message,
      helix_pack_error (
          message, 0, HELIX_ERROR_TIMEOUT, HELIX_PROOF, "the session is over"));
  expect_loss ("the session is over", FALSE);
}
GST_END_TEST;

/* A server that asks, and says nothing to the proof. */
GST_START_TEST (test_proof_unanswered)
{
  guint64 now = helix_now_ns ();

  begin_proof (HELIX_ROLE_STREAM, TRUE);
  fail_unless_equals_uint64 (
      helix_stream_link_tick (stream, now + 4 * GST_SECOND, now), 0);
  fail_unless (strstr (stream->error->message, "PROOF gets no answer") != NULL);
  fail_if (stream->fatal);
}
GST_END_TEST;

static Suite *
helix_stream_link_suite (void)
{
  Suite *s = suite_create ("helix-stream-link");
  TCase *tc = tcase_create ("link");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, NULL, teardown);
  tcase_add_test (tc, test_ask);
  tcase_add_test (tc, test_ask_in_vain);
  tcase_add_test (tc, test_wishes_wait);
  tcase_add_test (tc, test_unknown_types);
  tcase_add_test (tc, test_bye_before_welcome);
  tcase_add_loop_test (tc, test_broken, 0, G_N_ELEMENTS (broken));
  tcase_add_test (tc, test_refused);
  tcase_add_test (tc, test_cursor);
  tcase_add_loop_test (tc, test_bad_cursor, 0, 4);
  tcase_add_test (tc, test_cursor_between_units);
  tcase_add_test (tc, test_pings);
  tcase_add_loop_test (tc, test_proof, 0, 2);
  tcase_add_loop_test (tc, test_impostor, 0, N_IMPOSTORS);
  tcase_add_test (tc, test_proof_not_offered);
  tcase_add_test (tc, test_proof_strangers);
  tcase_add_test (tc, test_proof_serial);
  tcase_add_test (tc, test_proof_unanswered);
  return s;
}

GST_CHECK_MAIN (helix_stream_link);

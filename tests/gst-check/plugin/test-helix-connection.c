/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The client's end of a connection, at a peer that the test plays. */
#include <gst/check/gstcheck.h>
#include <string.h>

#include "helix-backoff.h"
#include "helix-connection.h"
#include "helix-platform.h"
#include "helix-test-fds.h"
#include "stream-peer.h"

#define MS G_GUINT64_CONSTANT (1000000)
#define TOKEN "secret"

static HelixConnection *connection;
static HelixWaiter waiter;
static StreamPeer peer;
static guint64 begin;

static void
setup_with (gboolean serial, gboolean clock)
{
  HelixConnectionConfig config = {
      .name = "test", .serial = serial, .clock = clock, .waiter = &waiter};
  gint fds[2];

  fail_unless (helix_waiter_init (&waiter));
  test_socketpair (fds);
  begin = helix_now_ns ();
  connection = helix_connection_new (fds[0], &config, begin);
  peer_init (&peer, fds[1]);
  if (serial)
    helix_reader_scan (&peer.reader, HELIX_HELLO, 0);
}

static void
setup (void)
{
  setup_with (FALSE, FALSE);
}

static void
setup_serial (void)
{
  setup_with (TRUE, FALSE);
}

static void
setup_clock (void)
{
  setup_with (FALSE, TRUE);
}

static void
teardown (void)
{
  helix_connection_unref (connection);
  helix_waiter_clear (&waiter);
  peer_clear (&peer);
}

/* The next event but those that say that nothing happened yet. */
static HelixConnectionEvent
next_event (void)
{
  guint64 end = helix_now_ns () + PEER_TIMEOUT_MS * MS;

  for (;;) {
    HelixConnectionEvent event = helix_connection_read (connection);
    struct pollfd fds[2];

    if (event > HELIX_CONNECTION_MORE)
      return event;
    helix_connection_pollfd (connection, &fds[1]);
    if (event == HELIX_CONNECTION_IDLE)
      helix_waiter_wait (&waiter, fds, 2, end);
    fail_unless (helix_now_ns () < end, "nothing happens");
  }
}

static void
expect_loss (HelixLoss loss, const gchar *words)
{
  g_autofree gchar *phrase = NULL;

  fail_unless_equals_int (next_event (), HELIX_CONNECTION_LOST);
  fail_unless_equals_int (connection->loss, loss);
  phrase = helix_connection_describe (connection);
  fail_unless (strstr (phrase, words) != NULL, "no '%s' in: %s", words, phrase);
  /* That is final, and nothing more is sent. */
  fail_unless_equals_int (
      helix_connection_read (connection), HELIX_CONNECTION_LOST);
  fail_unless_equals_uint64 (helix_connection_tick (connection, begin), 0);
  fail_if (helix_connection_send (connection, (const guint8 *) "x", 1));
}

static void
go_live (void)
{
  helix_connection_hello (connection, HELIX_ROLE_STREAM, NULL);
  peer_welcome (&peer);
  fail_unless_equals_int (next_event (), HELIX_CONNECTION_LIVE);
  fail_unless_equals_string (connection->name, "test");
}

static void
send_error (guint32 code, guint32 refers, const gchar *text)
{
  guint8 message[HELIX_MAX_MESSAGE];

  peer_send (&peer, message, helix_pack_error (message, 0, code, refers, text));
}

/* The peer was told what it did wrong, in the words that the user is. */
static void
expect_protocol_error (guint refers)
{
  struct helix_error error;
  gchar text[HELIX_MAX_TEXT + 1];
  const gchar *why;

  peer_expect (&peer, HELIX_ERROR);
  fail_unless (helix_unpack_error (
      &error, text, peer.reader.payload, peer.reader.payload_size, &why));
  fail_unless_equals_int (error.code, HELIX_ERROR_PROTOCOL);
  fail_unless_equals_int (error.refers, refers);
  fail_unless_equals_string (text, connection->why);
}

/* ---- messages ---- */

GST_START_TEST (test_messages)
{
  guint8 message[HELIX_MAX_MESSAGE];

  /* A ping needs no HELLO. */
  peer_send (&peer, message, helix_pack_empty (message, HELIX_PONG, 0));
  fail_unless_equals_int (next_event (), HELIX_CONNECTION_MESSAGE);
  fail_unless_equals_uint64 (
      helix_connection_tick (connection, begin + 60000 * MS), HELIX_NONE64);
  go_live ();
  peer_send_caps (&peer, 1);
  fail_unless_equals_int (next_event (), HELIX_CONNECTION_MESSAGE);
  fail_unless_equals_int (connection->reader.header.type, HELIX_CAPS);
  peer_send_unit (&peer, 1, HELIX_UNIT_KEY, "abc", 3);
  fail_unless_equals_int (next_event (), HELIX_CONNECTION_HEAD);
  fail_unless_equals_int (connection->reader.bulk_size, 3);
  helix_reader_bulk (&connection->reader, message);
  fail_unless_equals_int (next_event (), HELIX_CONNECTION_MESSAGE);
  fail_unless (memcmp (message, "abc", 3) == 0);
  peer_send (&peer, message, helix_pack_empty (message, HELIX_PING, 0));
  send_error (HELIX_ERROR_NO_SCANOUT, HELIX_CONFIG, "there are two");
  fail_unless_equals_int (next_event (), HELIX_CONNECTION_MESSAGE);
  fail_unless_equals_int (connection->error.code, HELIX_ERROR_NO_SCANOUT);
  fail_unless_equals_string (connection->text, "there are two");
  fail_unless_equals_int (peer_next_any (&peer), HELIX_PONG);
}
GST_END_TEST;

/* The other end is told once of each type that is not known. */
GST_START_TEST (test_unknown_types)
{
  static const guint8 types[] = {0x60, 0x60, 0x20, HELIX_SUBSCRIBE, 0x60};
  static const guint answered[] = {0x60, 0x20, HELIX_SUBSCRIBE};
  struct helix_error error;
  gchar text[HELIX_MAX_TEXT + 1];
  guint8 message[HELIX_MAX_MESSAGE];
  const gchar *why;

  go_live ();
  for (guint i = 0; i < G_N_ELEMENTS (types); i++) {
    peer_send (&peer, message,
        helix_pack_empty (message, (enum helix_type) types[i], 0));
    fail_unless_equals_int (next_event (), HELIX_CONNECTION_MESSAGE);
    helix_connection_unknown (connection);
  }
  helix_connection_bye (connection, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (answered); i++) {
    fail_unless_equals_int (peer_next_any (&peer), HELIX_ERROR);
    fail_unless (helix_unpack_error (
        &error, text, peer.reader.payload, peer.reader.payload_size, &why));
    fail_unless_equals_int (error.code, HELIX_ERROR_UNSUPPORTED);
    fail_unless_equals_int (error.refers, answered[i]);
  }
  fail_unless_equals_int (peer_next_any (&peer), HELIX_BYE);
}
GST_END_TEST;

GST_START_TEST (test_closed)
{
  go_live ();
  peer_clear (&peer);
  expect_loss (HELIX_LOSS_CLOSED, "the other end closed the connection");
}
GST_END_TEST;

/* What breaks the protocol, and the type that the ERROR refers to. */
static const struct {
  const gchar *bytes;
  gsize size;
  guint refers;
  HelixLoss early; /* the loss before WELCOME; NONE = there is none */
  const gchar *words;
} broken[] = {
    {"SSH-2.0-OpenSSH", 15, 0, HELIX_LOSS_FOREIGN,
        "an SSH server answers there"},
    {"220 mail.example", 15, 0, HELIX_LOSS_FOREIGN,
        "(it began with \"220 mail.exa\")"},
    {"HXFR\x70\0\0\0\x01\x10\0\0", 12, HELIX_CAPS, HELIX_LOSS_FOREIGN, "size"},
    {"HXFR\x71\0\0\0\x38\0\0\0", 12, HELIX_UNIT, HELIX_LOSS_FOREIGN, "UNIT"},
    {"HXFR\x10\0\0\0\1\0\0\0?", 13, HELIX_PING, HELIX_LOSS_FOREIGN, "PING"},
    {"HXFR\x11\0\0\0\1\0\0\0?", 13, HELIX_PONG, HELIX_LOSS_FOREIGN, "PONG"},
    {"HXFR\x40\0\0\0\0\0\0\0", 12, HELIX_HELLO, HELIX_LOSS_FOREIGN,
        "sends back what it is sent"},
    {"HXFR\x41\0\0\0\1\0\0\0?", 13, HELIX_WELCOME, HELIX_LOSS_FOREIGN,
        "WELCOME"},
    {"HXFR\x60\0\0\0\0\0\0\0", 12, 0x60, HELIX_LOSS_FOREIGN,
        "first message is not WELCOME"},
    {"HXFR\x02\0\0\0\0\0\0\0", 12, 0x02, HELIX_LOSS_OLD,
        "the dialect from before version 1"},
    {"HXFR\xff\0\0\0\x08\0\0\0\xff\xff\xff\xff\0\0\0\0", 20, HELIX_ERROR,
        HELIX_LOSS_OLD, "the dialect from before version 1"},
};

GST_START_TEST (test_broken)
{
  gboolean user_s = broken[__i__].refers == 0x60 || broken[__i__].refers == 0x02
      || broken[__i__].refers == HELIX_ERROR;

  go_live ();
  peer_send (&peer, broken[__i__].bytes, broken[__i__].size);
  if (user_s) { /* this is for the user to judge */
    fail_unless_equals_int (next_event (), HELIX_CONNECTION_MESSAGE);
    return;
  }
  expect_loss (HELIX_LOSS_PROTOCOL, "it breaks the protocol: ");
  expect_protocol_error (broken[__i__].refers);
}
GST_END_TEST;

GST_START_TEST (test_foreign)
{
  helix_connection_hello (connection, HELIX_ROLE_CONTROL, NULL);
  peer_send (&peer, broken[__i__].bytes, broken[__i__].size);
  expect_loss (broken[__i__].early, broken[__i__].words);
  if (broken[__i__].early == HELIX_LOSS_FOREIGN)
    expect_protocol_error (broken[__i__].refers);
}
GST_END_TEST;

/* A user finds fault with a message of its own protocol. */
GST_START_TEST (test_violation)
{
  go_live ();
  peer_send_caps (&peer, 1);
  fail_unless_equals_int (next_event (), HELIX_CONNECTION_MESSAGE);
  fail_unless_equals_int (
      helix_connection_violation (connection, "CAPS: I do not like them"),
      HELIX_CONNECTION_LOST);
  expect_loss (HELIX_LOSS_PROTOCOL, "CAPS: I do not like them");
  expect_protocol_error (HELIX_CAPS);
}
GST_END_TEST;

/* ---- WELCOME ---- */

static const struct {
  struct helix_welcome welcome; /* nonce: is added to the right one */
  HelixLoss loss;
  const gchar *words;
} welcomes[] = {
    {{.version = 1, .role = HELIX_ROLE_FRAMES, .scanouts = 16}, HELIX_LOSS_NONE,
        ""},
    {{.version = 1, .role = HELIX_ROLE_FRAMES, .scanouts = 1, .nonce = 1},
        HELIX_LOSS_FOREIGN, "nonce is not ours"},
    {{.version = 77, .role = HELIX_ROLE_FRAMES, .scanouts = 1},
        HELIX_LOSS_VERSION, "version was not offered"},
    {{.version = 1, .role = HELIX_ROLE_STREAM}, HELIX_LOSS_FOREIGN,
        "role is not ours"},
    {{.version = 1, .role = HELIX_ROLE_FRAMES}, HELIX_LOSS_FOREIGN,
        "scanouts is 0"},
    {{.version = 1, .role = HELIX_ROLE_FRAMES, .scanouts = 17},
        HELIX_LOSS_FOREIGN, "scanouts is above 16"},
};

GST_START_TEST (test_welcome)
{
  struct helix_welcome welcome = welcomes[__i__].welcome;
  guint8 message[HELIX_MAX_MESSAGE];
  gchar name[HELIX_MAX_NAME + 1];
  struct helix_hello hello;
  const gchar *why;

  helix_connection_hello (connection, HELIX_ROLE_FRAMES, NULL);
  peer_expect (&peer, HELIX_HELLO);
  fail_unless (helix_unpack_hello (
      &hello, name, peer.reader.payload, peer.reader.payload_size, &why));
  fail_unless_equals_string (name, "test");
  fail_unless_equals_int (hello.features, HELIX_FEATURE_SHM);
  welcome.nonce += hello.nonce;
  peer_send (
      &peer, message, helix_pack_welcome (message, &welcome, "shim", NULL));
  if (welcomes[__i__].loss == HELIX_LOSS_NONE) {
    fail_unless_equals_int (next_event (), HELIX_CONNECTION_LIVE);
    fail_unless_equals_int (connection->welcome.scanouts, 16);
    peer_send (
        &peer, message, helix_pack_welcome (message, &welcome, "shim", NULL));
    expect_loss (HELIX_LOSS_PROTOCOL, "a second WELCOME");
  } else {
    expect_loss (welcomes[__i__].loss, welcomes[__i__].words);
  }
  expect_protocol_error (HELIX_WELCOME);
}
GST_END_TEST;

/* ---- PROOF ---- */

GST_START_TEST (test_proof)
{
  guint8 message[HELIX_MAX_MESSAGE];

  helix_connection_hello (
      connection, __i__ == 0 ? HELIX_ROLE_STREAM : HELIX_ROLE_CONTROL, TOKEN);
  peer_challenge (&peer);
  peer_send (&peer, message, helix_pack_empty (message, HELIX_PING, 0));
  while (helix_connection_read (connection) == HELIX_CONNECTION_MORE)
    continue;
  fail_if (connection->live);
  peer_expect_proof (&peer, HELIX_PROOF_CLIENT, TOKEN);
  fail_unless_equals_int (peer_next_any (&peer), HELIX_PONG);
  peer_prove (&peer, HELIX_PROOF_SERVER, TOKEN);
  fail_unless_equals_int (next_event (), HELIX_CONNECTION_LIVE);
}
GST_END_TEST;

/* ---- how a session fails to begin ---- */

enum {
  ENDS, /* just when we come */
  CLOSES,
  BUSY,
  UNASKED_CHALLENGE,
  /* Another program listens where the server should. */
  NO_PROOF,
  WRONG_PROOF,
  REFLECTED,
  EARLY_PROOF,
  NOT_PROOF,
  N_BEGINNINGS
};

GST_START_TEST (test_no_session)
{
  static const struct {
    HelixLoss loss;
    const gchar *words;
  } expected[] = {
      {HELIX_LOSS_BYE, "the other end said goodbye: closing"},
      {HELIX_LOSS_CLOSED, "the other end closed the connection"},
      {HELIX_LOSS_REFUSED, "it refuses (busy): four are here"},
      {HELIX_LOSS_FOREIGN, "PROOF was not offered"},
      {HELIX_LOSS_UNASKED, "does not ask for the token"},
      {HELIX_LOSS_UNPROVED, "proof of the token is wrong"},
      {HELIX_LOSS_UNPROVED, "proof of the token is wrong"},
      {HELIX_LOSS_FOREIGN, "first message is not WELCOME"},
      {HELIX_LOSS_FOREIGN, "comes no PROOF"},
  };
  guint8 message[HELIX_MAX_MESSAGE];

  helix_connection_hello (
      connection, HELIX_ROLE_STREAM, __i__ >= NO_PROOF ? TOKEN : NULL);
  if (__i__ == UNASKED_CHALLENGE || __i__ == WRONG_PROOF || __i__ == REFLECTED
      || __i__ == NOT_PROOF)
    peer_challenge (&peer);
  if (__i__ == ENDS)
    peer_send (
        &peer, message, helix_pack_bye (message, HELIX_BYE_CLOSING, "closing"));
  else if (__i__ == CLOSES)
    peer_clear (&peer);
  else if (__i__ == BUSY)
    send_error (HELIX_ERROR_BUSY, HELIX_HELLO, "four are here");
  else if (__i__ == NO_PROOF)
    peer_welcome (&peer);
  else if (__i__ == NOT_PROOF)
    peer_send_caps (&peer, 1);
  else if (__i__ != UNASKED_CHALLENGE)
    peer_prove (&peer,
        __i__ == REFLECTED ? HELIX_PROOF_CLIENT : HELIX_PROOF_SERVER,
        __i__ == WRONG_PROOF ? "guess" : TOKEN);
  expect_loss (expected[__i__].loss, expected[__i__].words);
}
GST_END_TEST;

/* ---- serial ports ---- */

/* What a server said to a client before us is the cause of a failure only if
 * no WELCOME follows. */
GST_START_TEST (test_serial_leftover)
{
  guint8 message[HELIX_MAX_MESSAGE];

  helix_connection_hello (connection, HELIX_ROLE_STREAM, NULL);
  peer_send (&peer, message, 100); /* the rest of an earlier session */
  send_error (HELIX_ERROR_BUSY, HELIX_HELLO, "for another");
  if (__i__ == 0) {
    while (helix_connection_read (connection) == HELIX_CONNECTION_MORE)
      continue;
    fail_unless_equals_uint64 (
        helix_connection_tick (connection, helix_now_ns () + 1000 * MS), 0);
    expect_loss (HELIX_LOSS_REFUSED, "for another");
    return;
  }
  peer_welcome (&peer);
  fail_unless_equals_int (next_event (), HELIX_CONNECTION_LIVE);
  fail_unless_equals_int (connection->error.code, 0);
}
GST_END_TEST;

/* The server is killed between WELCOME and its PROOF, and its successor says
 * that it knows of no session. */
GST_START_TEST (test_serial_proof)
{
  helix_connection_hello (connection, HELIX_ROLE_STREAM, TOKEN);
  send_error (HELIX_ERROR_AUTH, HELIX_PROOF, "to another");
  peer_challenge (&peer);
  while (!connection->welcomed)
    fail_unless (helix_connection_read (connection) <= HELIX_CONNECTION_MORE);
  send_error (HELIX_ERROR_TIMEOUT, HELIX_PROOF, "the session is over");
  expect_loss (HELIX_LOSS_REFUSED, "the session is over");
}
GST_END_TEST;

/* It is killed within a unit, and its successor answers a PING. */
GST_START_TEST (test_serial_successor)
{
  guint8 message[HELIX_MAX_MESSAGE];
  struct helix_unit unit = {.caps_id = 1};
  gsize size = helix_pack_unit (message, &unit, 1000);

  go_live ();
  peer_send (&peer, message, size);
  fail_unless_equals_int (next_event (), HELIX_CONNECTION_HEAD);
  send_error (HELIX_ERROR_TIMEOUT, HELIX_PING, "who are you?");
  expect_loss (HELIX_LOSS_RESTARTED, "began anew");
}
GST_END_TEST;

/* ---- time ---- */

/* Calls tick () at each time that it asks for, up to `end`. Returns how many
 * PINGs that sent. */
static guint
tick_until (guint64 now, guint64 end)
{
  guint pings = connection->pings;

  while (now < end) {
    guint64 next = helix_connection_tick (connection, now);

    fail_unless (next > now, "tick () has nothing to wait for");
    now = next;
  }
  return connection->pings - pings;
}

/* The offset is wanted soon; then once a second. */
GST_START_TEST (test_clock_pings)
{
  go_live ();
  begin = connection->heard_ns;
  fail_unless_equals_int (tick_until (begin, begin + 2900 * MS), 8 + 2);
  fail_unless_equals_uint64 (
      helix_connection_tick (connection, begin + 3000 * MS), 0);
  expect_loss (HELIX_LOSS_SILENT, "it says nothing more");
}
GST_END_TEST;

/* Only after a second of silence; an answer is a sign of life. */
GST_START_TEST (test_pings)
{
  guint8 message[HELIX_MAX_MESSAGE];

  go_live ();
  begin = connection->heard_ns;
  fail_unless_equals_int (tick_until (begin, begin + 900 * MS), 0);
  fail_unless_equals_int (tick_until (begin + 1000 * MS, begin + 2900 * MS), 2);
  peer_send (&peer, message, helix_pack_empty (message, HELIX_PONG, 0));
  fail_unless_equals_int (next_event (), HELIX_CONNECTION_MESSAGE);
  fail_unless (helix_connection_tick (connection, begin + 3000 * MS) != 0);
  begin = connection->heard_ns;
  fail_unless_equals_uint64 (
      helix_connection_tick (connection, begin + 3000 * MS), 0);
}
GST_END_TEST;

/* This program was stopped: the other end has its time from now on, to answer
 * HELLO as well. */
GST_START_TEST (test_stalled)
{
  guint64 later;

  if (__i__ == 0)
    go_live ();
  else
    helix_connection_hello (connection, HELIX_ROLE_STREAM, NULL);
  begin = connection->heard_ns;
  later = begin + 60000 * MS;
  helix_connection_tick (connection, begin);
  fail_unless (helix_connection_tick (connection, later) > later);
  tick_until (later, later + 2900 * MS);
  fail_unless_equals_uint64 (
      helix_connection_tick (connection, later + 3000 * MS), 0);
  expect_loss (HELIX_LOSS_SILENT, "it says nothing");
}
GST_END_TEST;

GST_START_TEST (test_silent)
{
  helix_connection_hello (connection, HELIX_ROLE_STREAM, TOKEN);
  if (__i__ == 1) {
    peer_challenge (&peer);
    while (!connection->welcomed)
      fail_unless (helix_connection_read (connection) <= HELIX_CONNECTION_MORE);
  }
  tick_until (begin, begin + 3000 * MS);
  fail_unless_equals_uint64 (
      helix_connection_tick (connection, begin + 3000 * MS), 0);
  expect_loss (HELIX_LOSS_SILENT,
      __i__ == 0 ? "it says nothing" : "it says nothing more");
}
GST_END_TEST;

GST_START_TEST (test_backoff)
{
  static const guint64 gaps[] = {20, 40, 80, 160, 320, 500, 500};
  HelixBackoff backoff = {0};

  for (guint round = 0; round < 2; round++) {
    for (guint i = 0; i < G_N_ELEMENTS (gaps); i++) {
      guint64 gap = helix_backoff_next (&backoff, 1000) - 1000;

      fail_unless (gap >= gaps[i] * MS * 3 / 4, "%" G_GUINT64_FORMAT, gap);
      fail_unless (gap <= gaps[i] * MS * 5 / 4, "%" G_GUINT64_FORMAT, gap);
    }
    helix_backoff_reset (&backoff);
  }
}
GST_END_TEST;

/* ---- sending, from any thread ---- */

static gboolean
send_record (guint32 value)
{
  struct helix_release release = {.pool_id = value, .slot = 1};
  guint8 message[HELIX_MAX_MESSAGE];

  return helix_connection_send (
      connection, message, helix_pack_release (message, 1, &release));
}

/* What the socket does not take is kept, in order, and wakes the owner. */
GST_START_TEST (test_queue)
{
  struct helix_release release;
  struct pollfd fds[2];
  guint32 sent = 0;
  const gchar *why;

  go_live ();
  for (guint more = 100; more > 0; more -= helix_connection_flush (connection))
    fail_unless (send_record (++sent));
  helix_connection_pollfd (connection, &fds[1]);
  fail_unless_equals_int (fds[1].events, POLLIN | POLLOUT);
  helix_waiter_wait (&waiter, fds, 2, HELIX_NONE64);
  fail_unless (fds[0].revents != 0);
  for (guint32 i = 1; i <= sent; i++) {
    fail_unless_equals_int (peer_next_any (&peer), HELIX_RELEASE);
    fail_unless (helix_unpack_release (
        &release, peer.reader.payload, peer.reader.payload_size, &why));
    fail_unless_equals_int (release.pool_id, i);
    helix_connection_flush (connection);
  }
  helix_connection_pollfd (connection, &fds[1]);
  fail_unless_equals_int (fds[1].events, POLLIN);
}
GST_END_TEST;

/* A peer that reads nothing costs a bounded queue, then the connection. */
GST_START_TEST (test_overflow)
{
  guint after = 0;

  go_live ();
  while (!helix_connection_flush (connection))
    fail_unless (send_record (0));
  while (send_record (0))
    fail_unless (after++ < 2000, "the queue has no bound");
  expect_loss (HELIX_LOSS_CLOSED, "leaves unread what it is sent");
}
GST_END_TEST;

/* A slot that is given back when its connection is over. */
GST_START_TEST (test_outlived)
{
  HelixConnection *own = helix_connection_ref (connection);

  go_live ();
  helix_connection_close (connection);
  fail_if (send_record (1));
  fail_unless_equals_int (peer_next_any (&peer), 0);
  helix_connection_unref (own);
}
GST_END_TEST;

static gpointer
send_many (gpointer value)
{
  for (guint i = 0; i < 100; i++)
    fail_unless (send_record (GPOINTER_TO_UINT (value)));
  return NULL;
}

/* BYE is the last message, also when other threads send; before HELLO there is
 * none. */
GST_START_TEST (test_threads)
{
  GThread *threads[4];

  helix_connection_bye (connection, NULL);
  go_live ();
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("send", send_many, GUINT_TO_POINTER (i + 1));
  for (guint i = 0; i < 100 * G_N_ELEMENTS (threads); i++) {
    fail_unless_equals_int (peer_next_any (&peer), HELIX_RELEASE);
    helix_connection_flush (connection);
  }
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
  helix_connection_bye (connection, "the program stops");
  fail_if (send_record (1));
  helix_connection_bye (connection, NULL);
  fail_unless_equals_int (peer_next_any (&peer), HELIX_BYE);
  helix_connection_close (connection);
  fail_unless_equals_int (peer_next_any (&peer), 0);
}
GST_END_TEST;

static Suite *
helix_connection_suite (void)
{
  Suite *s = suite_create ("helix-connection");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_add_test (tc, test_messages);
  tcase_add_test (tc, test_unknown_types);
  tcase_add_test (tc, test_closed);
  tcase_add_loop_test (tc, test_broken, 0, G_N_ELEMENTS (broken));
  tcase_add_loop_test (tc, test_foreign, 0, G_N_ELEMENTS (broken));
  tcase_add_test (tc, test_violation);
  tcase_add_loop_test (tc, test_welcome, 0, G_N_ELEMENTS (welcomes));
  tcase_add_loop_test (tc, test_proof, 0, 2);
  tcase_add_loop_test (tc, test_no_session, 0, N_BEGINNINGS);
  tcase_add_test (tc, test_pings);
  tcase_add_loop_test (tc, test_stalled, 0, 2);
  tcase_add_loop_test (tc, test_silent, 0, 2);
  tcase_add_test (tc, test_backoff);
  tcase_add_test (tc, test_queue);
  tcase_add_test (tc, test_overflow);
  tcase_add_test (tc, test_outlived);
  tcase_add_test (tc, test_threads);
  tc = tcase_create ("serial");
  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, setup_serial, teardown);
  tcase_add_loop_test (tc, test_serial_leftover, 0, 2);
  tcase_add_test (tc, test_serial_proof);
  tcase_add_test (tc, test_serial_successor);
  tc = tcase_create ("clock");
  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, setup_clock, teardown);
  tcase_add_test (tc, test_clock_pings);
  return s;
}

GST_CHECK_MAIN (helix_connection);

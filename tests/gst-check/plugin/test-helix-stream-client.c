/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/check/gstcheck.h>
#include <pty.h>
#include <string.h>
#include <sys/socket.h>
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

/* ---- a session, step by step: the clock is the test's ---- */

static guint64 now;

/* HELLO is out. */
static void
begin (HelixStreamClientConfig config)
{
  g_autofree gchar *text = g_strdup_printf ("unix:%s", met.path);
  g_autoptr (HelixAddress) address = helix_address_parse (text, NULL);
  gint fds[2];

  config.address = address;
  config.max_age_ms = HELIX_STREAM_MAX_AGE_MS;
  met.client = helix_stream_client_new (&config, &met.error);
  fail_unless (met.client != NULL);
  fail_unless (socketpair (AF_UNIX, SOCK_STREAM, 0, fds) == 0);
  fail_unless (
      helix_fd_prepare (fds[0]) == 0 && helix_fd_prepare (fds[1]) == 0);
  now = helix_now_ns ();
  helix_stream_client_adopt (met.client, fds[0], now);
  peer_init (&peer, fds[1]);
}

/* Reads all that the peer has sent. Returns when it is to be called again. */
static guint64
read_all (void)
{
  guint64 until;

  do
    until = helix_stream_client_step (met.client, now);
  while (until == now);
  return until;
}

static void
go_live (guint32 role)
{
  begin ((HelixStreamClientConfig){.role = role});
  peer_welcome (&peer);
  fail_unless_equals_int (peer.role, role);
  read_all ();
}

/* Steps up to the next thing to take, while time goes by. `flood`: the peer
 * asks for PONGs and does not read them. */
static HelixStreamResult
run (gboolean flood)
{
  const struct helix_ping ping = {0};
  guint8 message[HELIX_MAX_MESSAGE];

  g_clear_error (&met.error);
  while (!helix_stream_client_take (met.client, &met.item, &met.error)) {
    if (flood)
      peer_send (&peer, message, helix_pack_ping (message, &ping));
    now += GST_MSECOND;
    if (flood)
      read_all ();
    else
      helix_stream_client_step (met.client, now);
  }
  return met.item.kind;
}

static void
expect (HelixStreamResult kind, gsize size)
{
  fail_unless_equals_int (run (FALSE), kind);
  fail_unless_equals_int (gst_buffer_get_size (met.item.buffer), size);
  gst_clear_buffer (&met.item.buffer);
}

/* Requests that come too soon merge into one, which goes when its time has
 * come, and not if a keyframe that a loss waits for has come by itself. */
GST_START_TEST (test_ask)
{
  const gboolean in_vain = __i__ == 1;
  guint8 message[HELIX_MAX_MESSAGE];
  struct helix_keyframe keyframe;
  guint64 asked, due;
  const gchar *why;

  go_live (HELIX_ROLE_STREAM);
  peer_send_caps (&peer, 1);
  peer_send_unit (&peer, 0, HELIX_UNIT_KEY, "a", 1);
  read_all ();
  asked = now;
  helix_stream_client_ask_keyframe (met.client);
  read_all ();
  peer_expect (&peer, HELIX_KEYFRAME);

  now += 50 * GST_MSECOND;
  peer_send_unit (&peer, 5, 0, "b", 1);
  read_all ();
  if (!in_vain)
    helix_stream_client_ask_keyframe (met.client);
  peer_send_unit (&peer, 6, in_vain ? HELIX_UNIT_KEY : 0, "c", 1);
  /* PINGs are due earlier; after those it is its turn, not later. */
  while ((due = read_all ()) < asked + 200 * GST_MSECOND)
    now = due;
  if (!in_vain)
    fail_unless_equals_uint64 (due, asked + 200 * GST_MSECOND);
  now = due;
  read_all ();
  peer_send (&peer, message, helix_pack_empty (message, HELIX_PING, 7));
  read_all ();
  if (!in_vain) {
    peer_expect (&peer, HELIX_KEYFRAME);
    fail_unless (helix_unpack_keyframe (
        &keyframe, peer.reader.payload, peer.reader.payload_size, &why));
    fail_unless_equals_int (keyframe.reason, HELIX_KEYFRAME_ASKED);
  }
  for (guint type; (type = peer_next_any (&peer)) != HELIX_PONG;)
    fail_unless (type != HELIX_KEYFRAME);
}
GST_END_TEST;

/* The newest request waits here, not an old one in the socket. */
GST_START_TEST (test_requests_wait)
{
  const guint n = 5000;
  struct helix_config config = {.fields = HELIX_CONFIG_BITRATE, .rate_den = 1};
  guint came = 0;

  go_live (HELIX_ROLE_CONTROL);
  while (config.bitrate++ < n) {
    helix_stream_client_configure (met.client, &config, 0);
    read_all ();
  }
  do {
    peer_expect_config (&peer, &config, HELIX_CONFIG_BITRATE);
    read_all (); /* which sends the rest */
    came++;
  } while (config.bitrate < n);
  fail_unless (came < n);
}
GST_END_TEST;

GST_START_TEST (test_refused)
{
  guint8 message[HELIX_MAX_MESSAGE];

  go_live (HELIX_ROLE_STREAM);
  peer_send (&peer, message,
      helix_pack_error (
          message, 0, HELIX_ERROR_NO_SCANOUT, HELIX_CONFIG, "there are two"));
  fail_unless_equals_int (run (FALSE), HELIX_STREAM_WARNING);
  fail_unless (strstr (met.error->message, "(no-scanout): there are two"), "%s",
      met.error->message);
  peer_send_caps (&peer, 1);
  fail_unless_equals_int (run (FALSE), HELIX_STREAM_CAPS);
}
GST_END_TEST;

/* ---- cursors ---- */

static void
send_cursor (guint32 flags, guint32 width, guint32 bulk, gsize pixels)
{
  struct helix_cursor cursor = {
      .flags = flags, .serial = 1, .width = width, .height = 4};
  guint8 message[HELIX_MAX_MESSAGE], bytes[128] = {0};

  peer_send (&peer, message, helix_pack_cursor (message, 0, &cursor, bulk));
  peer_send (&peer, bytes, pixels);
}

GST_START_TEST (test_cursor)
{
  go_live (HELIX_ROLE_STREAM);
  send_cursor (HELIX_CURSOR_SHAPE, 4, 64, 30);
  read_all ();
  /* 34 bytes of these are pixels of the first. */
  send_cursor (0, 4, 0, 0);
  expect (HELIX_STREAM_CURSOR, 64);
}
GST_END_TEST;

/* Its image came before, but is of another size. */
GST_START_TEST (test_cursor_size)
{
  go_live (HELIX_ROLE_STREAM);
  send_cursor (HELIX_CURSOR_SHAPE, 4, 64, 64);
  send_cursor (0, 200, 0, 0);
  read_all ();
  fail_unless_equals_int (run (FALSE), HELIX_STREAM_CURSOR);
  fail_unless_equals_int (met.item.cursor.width, 200);
  fail_unless (met.item.buffer == NULL);
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
  send_cursor (bad[__i__].flags, 4, bad[__i__].bulk, bad[__i__].bulk);
  fail_unless_equals_int (run (FALSE), HELIX_STREAM_ERROR);
  fail_unless (
      strstr (met.error->message, "CURSOR") != NULL, "%s", met.error->message);
}
GST_END_TEST;

/* A shape between two units disturbs neither. */
GST_START_TEST (test_cursor_between_units)
{
  go_live (HELIX_ROLE_STREAM);
  peer_send_caps (&peer, 1);
  fail_unless_equals_int (run (FALSE), HELIX_STREAM_CAPS);
  for (guint i = 0; i < 3; i++) {
    peer_send_unit (&peer, i, i == 0 ? HELIX_UNIT_KEY : 0, "abc", 3);
    send_cursor (HELIX_CURSOR_SHAPE, 4, 64, 64);
    expect (HELIX_STREAM_UNIT, 3);
    expect (HELIX_STREAM_CURSOR, 64);
  }
  fail_unless_equals_uint64 (met_stat_of ("units"), 3);
  fail_unless_equals_uint64 (met_stat_of ("lost"), 0);
}
GST_END_TEST;

/* ---- the end of a session ---- */

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
    {SAYS_BYE, FALSE, "goodbye", 0, FALSE, FALSE},
    {SAYS_BYE, TRUE, "goodbye", 0, FALSE, FALSE},
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
      break; /* run () */
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

static HelixStreamResult
come_to_end (guint i, gboolean reconnect, gboolean strangers)
{
  begin ((HelixStreamClientConfig){.reconnect = reconnect,
      .listen = strangers,
      .token = ends[i].what == ASKS_NOTHING ? "secret" : NULL});
  if (ends[i].live) {
    peer_welcome (&peer);
    read_all ();
    fail_unless_equals_int (peer_next_any (&peer), HELIX_PING);
  }
  act (ends[i].what);
  return run (ends[i].what == READS_NOTHING);
}

GST_START_TEST (test_end)
{
  for (guint how = 0; how < 4; how++) {
    gboolean reconnect = how & 1, strangers = how & 2;
    gboolean over = !reconnect || (ends[__i__].fatal && !strangers);
    HelixStreamResult result = come_to_end (__i__, reconnect, strangers);

    if (over && ends[__i__].code == 0) {
      fail_unless_equals_int (result, HELIX_STREAM_EOS);
    } else if (over || ends[__i__].loud) {
      fail_unless_equals_int (
          result, over ? HELIX_STREAM_ERROR : HELIX_STREAM_WARNING);
      fail_unless (
          g_error_matches (met.error, GST_RESOURCE_ERROR, ends[__i__].code));
      fail_unless (strstr (met.error->message, ends[__i__].words) != NULL,
          "no '%s' in: %s", ends[__i__].words, met.error->message);
    } else { /* that none comes next is told, not this end */
      fail_unless_equals_int (result, HELIX_STREAM_WARNING);
      fail_unless (strstr (met.error->message, ends[__i__].words) == NULL, "%s",
          met.error->message);
    }
    g_clear_error (&met.error);
    g_clear_pointer (&met.client, helix_stream_client_free);
    peer_clear (&peer);
  }
}
GST_END_TEST;

/* Nothing comes any more, or nothing at all. */
GST_START_TEST (test_silence)
{
  static const gchar *const words[] = {
      "HELLO gets no answer", "PROOF gets no answer", "nothing came for 3 s"};

  begin ((HelixStreamClientConfig){
      .token = __i__ == 1 ? "secret" : NULL, .reconnect = __i__ == 3});
  if (__i__ == 1)
    peer_challenge (&peer);
  else if (__i__ >= 2)
    peer_welcome (&peer);
  fail_unless_equals_int (
      run (FALSE), __i__ == 3 ? HELIX_STREAM_WARNING : HELIX_STREAM_ERROR);
  fail_unless (strstr (met.error->message, words[MIN (__i__, 2)]) != NULL, "%s",
      met.error->message);
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
  tcase_add_loop_test (tc, test_ask, 0, 2);
  tcase_add_test (tc, test_requests_wait);
  tcase_add_test (tc, test_refused);
  tcase_add_test (tc, test_cursor);
  tcase_add_test (tc, test_cursor_size);
  tcase_add_loop_test (tc, test_bad_cursor, 0, 4);
  tcase_add_test (tc, test_cursor_between_units);
  tcase_add_loop_test (tc, test_end, 0, G_N_ELEMENTS (ends));
  tcase_add_loop_test (tc, test_silence, 0, 4);
  tcase_add_test (tc, test_listen);
  tcase_add_test (tc, test_cannot_accept);
  tcase_add_test (tc, test_serial);
  tcase_add_test (tc, test_answers_unasked);
  tcase_add_test (tc, test_cursor_first);
  tcase_add_test (tc, test_left_out);
  return s;
}

GST_CHECK_MAIN (helix_stream_client);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Most tests take the place of the reader, and step with a clock of their own:
 * client and peer are one thread. What concerns the reader calls next ().
 */
#include <gst/check/gstcheck.h>
#include <poll.h>
#include <pty.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "helix-platform.h"
#include "helix-stream-client.h"
#include "helix-test-time.h"
#include "stream-peer.h"

#define MS GST_MSECOND

static gchar *folder, *path; /* of the socket to connect to or to listen at */
static HelixStreamClient *client;
static HelixStreamItem item; /* what it gave last */
static GError *error;
static guint64 now;
extern StreamPeer peer;

static void
setup (void)
{
  folder = peer_folder_new ();
  path = g_build_filename (folder, "s", NULL);
  peer_init (&peer, -1);
}

static void
teardown (void)
{
  peer_clear (&peer);
  g_clear_pointer (&client, helix_stream_client_free);
  g_clear_error (&error);
  gst_clear_buffer (&item.buffer);
  g_free (path);
  peer_folder_free (folder);
}

/* ---- steps ---- */

static void
start_at (const gchar *text, HelixStreamClientConfig config)
{
  g_autoptr (HelixAddress) address = helix_address_parse (text, NULL);

  config.address = address;
  config.max_age_ms = HELIX_STREAM_MAX_AGE_MS;
  client = helix_stream_client_new (&config, &error);
  fail_unless (client != NULL, "%s", error != NULL ? error->message : "");
  now = helix_now_ns ();
}

/* Not connected yet. */
static void
start (HelixStreamClientConfig config)
{
  g_autofree gchar *text = g_strdup_printf ("unix:%s", path);

  start_at (text, config);
}

/* HELLO is out. */
static void
adopt (void)
{
  gint fds[2];

  fail_unless (socketpair (AF_UNIX, SOCK_STREAM, 0, fds) == 0);
  fail_unless (
      helix_fd_prepare (fds[0]) == 0 && helix_fd_prepare (fds[1]) == 0);
  helix_stream_client_adopt (client, fds[0], now);
  peer_init (&peer, fds[1]);
}

static void
begin (HelixStreamClientConfig config)
{
  start (config);
  adopt ();
}

/* Reads all that the peer has sent. Returns when it is to be called again. */
static guint64
read_all (void)
{
  guint64 until;

  do
    until = helix_stream_client_step (client, now);
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

  guint64 end = helix_now_ns () + 2 * TEST_SOON;

  g_clear_error (&error);
  gst_clear_buffer (&item.buffer);
  while (!helix_stream_client_take (client, &item, &error)) {
    fail_unless (helix_now_ns () < end, "nothing came");
    if (flood)
      peer_send (&peer, message, helix_pack_ping (message, &ping));
    now += MS;
    if (flood)
      read_all ();
    else
      helix_stream_client_step (client, now);
  }
  return item.kind;
}

static void
expect (HelixStreamResult kind, gsize size)
{
  fail_unless_equals_int (run (FALSE), kind);
  fail_unless_equals_int (gst_buffer_get_size (item.buffer), size);
}

static void
expect_unit (guint64 sequence, gboolean discont, const gchar *data)
{
  expect (HELIX_STREAM_UNIT, strlen (data));
  gst_check_buffer_data (item.buffer, data, strlen (data));
  fail_unless_equals_uint64 (item.unit.sequence, sequence);
  fail_unless_equals_int (item.discont, discont);
}

static void
expect_words (HelixStreamResult kind, const gchar *words)
{
  fail_unless_equals_int (run (FALSE), kind);
  fail_unless (strstr (error->message, words) != NULL, "no '%s' in: %s", words,
      error->message);
}

/* As far as CAPS. */
static void
begin_units (void)
{
  go_live (HELIX_ROLE_STREAM);
  peer_send_caps (&peer, 1);
  fail_unless_equals_int (run (FALSE), HELIX_STREAM_CAPS);
  fail_unless_equals_int (item.caps.width, 320);
}

static guint64
stat_of (const gchar *field)
{
  GstStructure *stats = helix_stream_client_stats (client, "stats");
  guint64 value = 0;

  fail_unless (gst_structure_get_uint64 (stats, field, &value));
  gst_structure_free (stats);
  return value;
}

/* ---- units ---- */

GST_START_TEST (test_units)
{
  begin_units ();
  /* Nothing can be decoded before a keyframe. */
  peer_send_unit (&peer, 5, 0, "aaaa", 4);
  peer_send_unit (&peer, 6, HELIX_UNIT_KEY, "bbbbbb", 6);
  peer_send_unit (&peer, 7, 0, "c", 1);
  expect_unit (6, TRUE, "bbbbbb");
  expect_unit (7, FALSE, "c");
  fail_unless_equals_uint64 (stat_of ("units"), 2);
  fail_unless_equals_uint64 (stat_of ("bytes"), 7);
  fail_unless_equals_uint64 (stat_of ("keyframes"), 1);
  fail_unless_equals_uint64 (stat_of ("skipped"), 1);
  fail_unless_equals_uint64 (stat_of ("lost"), 0);
  peer_expect (&peer, HELIX_KEYFRAME);
}
GST_END_TEST;

/* After a loss the next unit given is a keyframe, which was asked for. */
GST_START_TEST (test_gap)
{
  struct helix_keyframe keyframe;
  const gchar *why;

  begin_units ();
  peer_send_unit (&peer, 0, HELIX_UNIT_KEY, "a", 1);
  peer_send_unit (&peer, 4, 0, "b", 1);
  peer_send_unit (&peer, 5, 0, "c", 1);
  peer_send_unit (&peer, 6, HELIX_UNIT_KEY, "d", 1);
  expect_unit (0, TRUE, "a");
  expect_unit (6, TRUE, "d");
  fail_unless_equals_uint64 (stat_of ("lost"), 3);
  peer_expect (&peer, HELIX_KEYFRAME);
  fail_unless (helix_unpack_keyframe (
      &keyframe, peer.reader.payload, peer.reader.payload_size, &why));
  fail_unless_equals_int (keyframe.reason, HELIX_KEYFRAME_GAP);
  fail_unless_equals_uint64 (keyframe.last_sequence, 0);
}
GST_END_TEST;

/* The head of a unit of `size` bytes, and the first of them. */
static void
send_part (struct helix_unit unit, guint32 size, const gchar *data)
{
  guint8 message[HELIX_MAX_MESSAGE];

  unit.dts = unit.duration = unit.capture_ns = HELIX_NONE64;
  peer_send (&peer, message, helix_pack_unit (message, &unit, size));
  peer_send (&peer, data, strlen (data));
}

/* Flushing in the middle of a unit loses nothing of it. */
GST_START_TEST (test_flush)
{
  begin_units ();
  send_part (
      (struct helix_unit){.caps_id = 1, .flags = HELIX_UNIT_KEY}, 6, "abc");
  read_all ();
  helix_stream_client_flush (client, TRUE);
  fail_unless_equals_int (run (FALSE), HELIX_STREAM_FLUSHING);
  helix_stream_client_flush (client, FALSE);
  peer_send (&peer, "def", 3);
  expect_unit (0, TRUE, "abcdef");
}
GST_END_TEST;

/* Malformed in the middle. */
GST_START_TEST (test_malformed_unit)
{
  static const struct helix_unit bad[] = {{.sequence = 5, .caps_id = 1},
      {.sequence = 4, .caps_id = 1}, {.sequence = 6, .caps_id = 2}};

  begin_units ();
  peer_send_unit (&peer, 5, HELIX_UNIT_KEY, "a", 1);
  expect_unit (5, TRUE, "a");
  send_part (bad[__i__], 1, "b");
  expect_words (HELIX_STREAM_ERROR, "UNIT");
}
GST_END_TEST;

/* The far end's clock runs 5 s ahead, and the estimate finds that out. */
GST_START_TEST (test_clock)
{
  const guint64 ahead = 5 * GST_SECOND;
  guint8 message[HELIX_MAX_MESSAGE];
  guint64 there;

  begin_units ();
  while (peer_next_any (&peer) != HELIX_PING)
    continue;
  there = helix_now_ns () + ahead;
  peer_send (&peer, message,
      helix_pack_pong_for (
          message, &peer.reader.header, peer.reader.payload, there, there));
  peer_send_unit (&peer, 0, HELIX_UNIT_KEY, "a", 1);
  expect_unit (0, TRUE, "a");
  fail_unless (item.clock_known);
  fail_unless (item.clock_error < TEST_SOON);
  fail_unless (
      ABS (item.clock_offset - (gint64) ahead) <= (gint64) item.clock_error);
  /* It was stamped by our clock: sent 5 s ago, by the estimate. */
  fail_unless (stat_of ("transit-max") + item.clock_error >= ahead);
  fail_unless (stat_of ("transit-max") < ahead + TEST_SOON);
}
GST_END_TEST;

static struct helix_stats
expect_stats (void)
{
  struct helix_stats stats;
  const gchar *why;

  peer_expect (&peer, HELIX_STATS);
  fail_unless (helix_unpack_stats (
      &stats, peer.reader.payload, peer.reader.payload_size, &why));
  return stats;
}

/* While units come, STATS goes to the host once a second. */
GST_START_TEST (test_stats)
{
  struct helix_stats stats;

  begin_units ();
  peer_send_unit (&peer, 0, HELIX_UNIT_KEY, "abc", 3);
  expect_unit (0, TRUE, "abc");
  stats = expect_stats ();
  fail_unless_equals_uint64 (stats.units, 1);
  fail_unless_equals_uint64 (stats.bytes, 3);
  fail_unless_equals_uint64 (stats.last_sequence, 0);
  fail_unless (stats.latency_ns == HELIX_NONE64);
  for (guint64 ns = 7770; ns < 7785; ns++)
    helix_stream_client_add_latency (client, ns);
  now += 1000 * MS;
  peer_send_unit (&peer, 1, 0, "d", 1);
  expect_unit (1, FALSE, "d");
  stats = expect_stats ();
  fail_unless_equals_uint64 (stats.units, 2);
  fail_unless_equals_uint64 (stats.latency_ns, 7777); /* the median */
  fail_unless_equals_uint64 (stat_of ("latency-count"), 15);
}
GST_END_TEST;

/* ---- requests ---- */

/* Requests that come too soon merge into one, which goes when its time has
 * come, and not if a keyframe that a loss waits for has come by itself. */
GST_START_TEST (test_ask)
{
  const gboolean in_vain = __i__ == 1;
  guint8 message[HELIX_MAX_MESSAGE];
  struct helix_keyframe keyframe;
  guint64 asked, due;
  const gchar *why;

  begin_units ();
  peer_send_unit (&peer, 0, HELIX_UNIT_KEY, "a", 1);
  read_all ();
  asked = now;
  helix_stream_client_ask_keyframe (client);
  read_all ();
  peer_expect (&peer, HELIX_KEYFRAME);

  now += 50 * MS;
  peer_send_unit (&peer, 5, 0, "b", 1);
  read_all ();
  if (!in_vain)
    helix_stream_client_ask_keyframe (client);
  peer_send_unit (&peer, 6, in_vain ? HELIX_UNIT_KEY : 0, "c", 1);
  /* PINGs are due earlier; after those it is its turn, not later. */
  while ((due = read_all ()) < asked + 200 * MS)
    now = due;
  if (!in_vain)
    fail_unless_equals_uint64 (due, asked + 200 * MS);
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
    helix_stream_client_configure (client, &config, 0);
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

/* The port is the one that the kernel chose. */
GST_START_TEST (test_refused)
{
  guint8 message[HELIX_MAX_MESSAGE];

  start_at ("tcp:127.0.0.1:0", (HelixStreamClientConfig){.listen = TRUE});
  adopt ();
  peer_welcome (&peer);
  peer_send (&peer, message,
      helix_pack_error (
          message, 0, HELIX_ERROR_NO_SCANOUT, HELIX_CONFIG, "there are two"));
  expect_words (HELIX_STREAM_WARNING, "(no-scanout): there are two");
  fail_unless (strstr (error->message, "127.0.0.1:0:") == NULL);
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
  fail_unless_equals_int (item.cursor.width, 200);
  fail_unless (item.buffer == NULL);
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
  fail_unless (strstr (error->message, "CURSOR") != NULL, "%s", error->message);
}
GST_END_TEST;

/* A shape between two units disturbs neither. */
GST_START_TEST (test_cursor_between_units)
{
  begin_units ();
  for (guint i = 0; i < 3; i++) {
    peer_send_unit (&peer, i, i == 0 ? HELIX_UNIT_KEY : 0, "abc", 3);
    send_cursor (HELIX_CURSOR_SHAPE, 4, 64, 64);
    expect (HELIX_STREAM_UNIT, 3);
    expect (HELIX_STREAM_CURSOR, 64);
  }
  fail_unless_equals_uint64 (stat_of ("units"), 3);
  fail_unless_equals_uint64 (stat_of ("lost"), 0);
}
GST_END_TEST;

/* Up to x. */
static void
move_cursor (guint32 x)
{
  struct helix_cursor cursor = {.flags = HELIX_CURSOR_VISIBLE};
  guint8 message[HELIX_MAX_MESSAGE];

  for (; cursor.x <= x; cursor.x++)
    peer_send (&peer, message, helix_pack_cursor (message, 0, &cursor, 0));
  read_all ();
}

/* The pointer does not wait behind a backlog, and is where it is now; nor does
 * one that always moves keep units back. */
GST_START_TEST (test_cursor_first)
{
  begin_units ();
  for (guint i = 0; i < 3; i++)
    peer_send_unit (&peer, i, i == 0 ? HELIX_UNIT_KEY : 0, "a", 1);
  for (guint i = 0; i < 3; i++) {
    move_cursor (99);
    fail_unless_equals_int (run (FALSE), HELIX_STREAM_CURSOR);
    fail_unless_equals_int (item.cursor.x, 99);
    move_cursor (50);
    expect_unit (i, i == 0, "a");
  }
}
GST_END_TEST;

/* ---- units that are not taken in time ---- */

/* A unit of 5 s ago came, and what follows it. */
static void
fall_behind (guint64 sequence)
{
  peer.ahead -= 5 * GST_SECOND;
  peer_send_unit (&peer, sequence, 0, "b", 1);
  peer_send_unit (&peer, sequence + 1, HELIX_UNIT_KEY, "c", 1);
  peer.ahead += 5 * GST_SECOND;
  read_all ();
}

/* What piled up in a socket is left out, wherever it lay: stamps tell, not
 * how long it lies here. That is told when it comes to it again. */
GST_START_TEST (test_left_out)
{
  begin_units ();
  peer_send_unit (&peer, 0, HELIX_UNIT_KEY, "a", 1);
  expect_unit (0, TRUE, "a");
  fall_behind (1);
  fail_if (helix_stream_client_take (client, &item, &error));
  read_all ();
  peer_expect (&peer, HELIX_KEYFRAME);
  peer_send_unit (&peer, 3, 0, "d", 1);
  peer_send_unit (&peer, 4, HELIX_UNIT_KEY, "e", 1);
  expect_unit (4, TRUE, "e");
  fail_unless_equals_uint64 (stat_of ("left-out"), 3);
  fail_unless_equals_uint64 (stat_of ("lost"), 0);
  fall_behind (5);
  expect_words (HELIX_STREAM_WARNING, "max-age");
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

GST_START_TEST (test_end)
{
  for (guint how = 0; how < 4; how++) {
    gboolean reconnect = how & 1, strangers = how & 2, quiet;
    gboolean over = !reconnect || (ends[__i__].fatal && !strangers);
    HelixStreamResult result;

    begin ((HelixStreamClientConfig){.reconnect = reconnect,
        .listen = strangers,
        .token = ends[__i__].what == ASKS_NOTHING ? "secret" : NULL});
    if (ends[__i__].live) {
      peer_welcome (&peer);
      read_all ();
      fail_unless_equals_int (peer_next_any (&peer), HELIX_PING);
    }
    act (ends[__i__].what);
    result = run (ends[__i__].what == READS_NOTHING);
    if (over && ends[__i__].code == 0) {
      fail_unless_equals_int (result, HELIX_STREAM_EOS);
    } else {
      fail_unless_equals_int (
          result, over ? HELIX_STREAM_ERROR : HELIX_STREAM_WARNING);
      /* Else that no other end comes is told, not how this one went. */
      quiet = !over && !ends[__i__].loud;
      fail_unless_equals_int (
          strstr (error->message, ends[__i__].words) == NULL, quiet);
      fail_unless (quiet || error->code == ends[__i__].code);
    }
    g_clear_pointer (&client, helix_stream_client_free);
    peer_clear (&peer);
  }
}
GST_END_TEST;

/* Nothing comes any more, or nothing at all. With reconnect it is told before
 * the connection is given up. */
static const struct {
  const gchar *words, *token;
  gboolean answers, reconnect;
} silences[] = {
    {"HELLO gets no answer. ", NULL, FALSE, FALSE},
    {"HELLO gets no answer yet. ", NULL, FALSE, TRUE},
    {"PROOF gets no answer. ", "secret", TRUE, FALSE},
    {"nothing came for 3 s. ", NULL, TRUE, FALSE},
    {"nothing came for 3 s. ", NULL, TRUE, TRUE},
};

GST_START_TEST (test_silence)
{
  begin ((HelixStreamClientConfig){
      .token = silences[__i__].token, .reconnect = silences[__i__].reconnect});
  if (silences[__i__].token != NULL)
    peer_challenge (&peer);
  else if (silences[__i__].answers)
    peer_welcome (&peer);
  expect_words (
      silences[__i__].reconnect ? HELIX_STREAM_WARNING : HELIX_STREAM_ERROR,
      silences[__i__].words);
}
GST_END_TEST;

/* ---- outages ---- */

/* Connects to `listener`. An outage counts from when it begins, so the clock is
 * the real one. */
static void
meet (gint listener)
{
  struct pollfd fd = {.fd = listener, .events = POLLIN};
  guint64 end = helix_now_ns () + 2 * TEST_SOON;

  while (poll (&fd, 1, 1) == 0) {
    fail_unless (now < end, "it does not connect");
    now = helix_now_ns ();
    helix_stream_client_step (client, now);
  }
  peer_accept (&peer, listener);
  peer_welcome (&peer);
  peer_send_caps (&peer, 1);
  fail_unless_equals_int (run (FALSE), HELIX_STREAM_CAPS);
}

/* No server listens; then one that ends in the middle of a unit, and starts
 * again. */
GST_START_TEST (test_reconnect)
{
  gint listener;

  start ((HelixStreamClientConfig){.reconnect = TRUE});
  expect_words (HELIX_STREAM_WARNING, "no server");
  fail_unless (strstr (error->message, path) != NULL);
  listener = peer_listen (path);
  /* No second warning comes first. */
  meet (listener);
  peer_send_unit (&peer, 0, HELIX_UNIT_KEY, "a", 1);
  expect_unit (0, TRUE, "a");
  send_part ((struct helix_unit){.sequence = 1, .caps_id = 1}, 1000000, "abc");
  peer_clear (&peer);
  meet (listener);
  peer_send_unit (&peer, 0, HELIX_UNIT_KEY, "b", 1);
  expect_unit (0, TRUE, "b");
  fail_unless_equals_uint64 (stat_of ("reconnects"), 1);
  fail_unless_equals_uint64 (stat_of ("units"), 2);
  close (listener);
}
GST_END_TEST;

GST_START_TEST (test_no_reconnect)
{
  start ((HelixStreamClientConfig){.reconnect = FALSE});
  expect_words (HELIX_STREAM_ERROR, "no server");
  expect_words (HELIX_STREAM_ERROR, "no server"); /* again */
}
GST_END_TEST;

/* ---- a serial line ---- */

/* The bytes of a session that the last reader was killed in are still on the
 * line when the next one opens it: rests of a unit, whole ones, a WELCOME for
 * another client. */
GST_START_TEST (test_serial)
{
  struct helix_welcome old = {
      .version = 1, .role = HELIX_ROLE_STREAM, .nonce = 99};
  struct termios raw;
  guint8 message[HELIX_MAX_MESSAGE], rest[3000];
  g_autofree gchar *text = NULL;
  gchar name[128];
  gint master, slave;

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
  start_at (text, (HelixStreamClientConfig){.reconnect = TRUE});
  helix_stream_client_step (client, now);
  /* The padding comes first, then HELLO: as helixguestsink does, look. */
  helix_reader_scan (&peer.reader, HELIX_HELLO, 0);
  peer_welcome (&peer);
  fail_unless (peer.reader.skipped >= HELIX_MAX_MESSAGE);
  peer_send_caps (&peer, 1);
  fail_unless_equals_int (run (FALSE), HELIX_STREAM_CAPS);
  peer_send_unit (&peer, 0, HELIX_UNIT_KEY, "a", 1);
  expect_unit (0, TRUE, "a");
  /* The host goes: the line hangs up. */
  peer_clear (&peer);
  fail_unless_equals_int (run (FALSE), HELIX_STREAM_WARNING);
  close (slave);
}
GST_END_TEST;

/* ---- the reader ---- */

/* next () of a client that is on the other side of a conversation which the
 * test's thread has to hold. */
static gpointer
next_thread (gpointer data)
{
  return GINT_TO_POINTER (helix_stream_client_next (client, &item, &error));
}

static void
expect_next (HelixStreamResult kind)
{
  fail_unless_equals_int (
      helix_stream_client_next (client, &item, &error), kind);
}

static void
join (GThread *next, HelixStreamResult kind)
{
  fail_unless_equals_int (GPOINTER_TO_INT (g_thread_join (next)), kind);
}

GST_START_TEST (test_reconnect_timeout)
{
  guint64 took;

  start ((HelixStreamClientConfig){
      .reconnect = TRUE, .reconnect_timeout_ms = 300});
  expect_next (HELIX_STREAM_WARNING);
  g_clear_error (&error);
  expect_next (HELIX_STREAM_ERROR);
  took = helix_now_ns () - now;
  fail_unless (took >= 300 * MS && took < TEST_SOON);
  fail_unless (strstr (error->message, "Gave up after 300 ms") != NULL);
}
GST_END_TEST;

/* What takes the units is blocked, in a sink that waits for instance: the host
 * is answered all the same. */
GST_START_TEST (test_answers_unasked)
{
  guint8 message[HELIX_MAX_MESSAGE];

  begin_units ();
  for (guint i = 0; i < 10; i++) {
    peer_send_unit (&peer, i, i == 0 ? HELIX_UNIT_KEY : 0, "a", 1);
    if (i == 0)
      expect_next (HELIX_STREAM_UNIT);
    peer_send (&peer, message, helix_pack_empty (message, HELIX_PING, 0));
    peer_expect (&peer, HELIX_PONG);
    fail_unless_equals_uint64 (stat_of ("units"), i + 1);
  }
  helix_stream_client_ask_keyframe (client);
  peer_expect (&peer, HELIX_KEYFRAME);
}
GST_END_TEST;

/* ---- next () reads itself ---- */

/* Units that are taken at once, from `sequence` on: often enough for next () to
 * read itself, unless this machine is very busy. */
static guint64
take_quickly (guint64 sequence)
{
  for (guint i = 0; i < 50; i++, sequence++) {
    peer_send_unit (
        &peer, sequence, sequence == 0 ? HELIX_UNIT_KEY : 0, "a", 1);
    gst_clear_buffer (&item.buffer);
    expect_next (HELIX_STREAM_UNIT);
    fail_unless_equals_uint64 (item.unit.sequence, sequence);
  }
  return sequence;
}

static void
begin_quickly (void)
{
  begin_units ();
  take_quickly (0);
}

/* next () reads at all: then a unit that comes while what takes them is away is
 * read when the reader has lost patience, not before. */
GST_START_TEST (test_quick_reads)
{
  guint64 sequence = 0, end = helix_now_ns () + 2 * TEST_SOON, waited;

  begin_units ();
  do {
    guint8 message[HELIX_MAX_MESSAGE];

    fail_unless (helix_now_ns () < end, "next () does not read");
    sequence = take_quickly (sequence);
    peer_send_unit (&peer, sequence++, 0, "a", 1);
    peer_send (&peer, message, helix_pack_empty (message, HELIX_PING, 0));
    peer_expect (&peer, HELIX_PONG);
    gst_clear_buffer (&item.buffer);
    expect_next (HELIX_STREAM_UNIT);
    waited = item.received_ns - item.unit.sent_ns;
  } while (waited < 40 * MS);
}
GST_END_TEST;

/* What took the units quickly is blocked: the host is answered all the same,
 * and so each time. */
GST_START_TEST (test_quick_then_blocked)
{
  guint64 sequence = 0;

  begin_units ();
  for (guint i = 0; i < 3; i++) {
    guint8 message[HELIX_MAX_MESSAGE];

    sequence = take_quickly (sequence);
    for (guint k = 0; k < 3; k++) {
      peer_send_unit (&peer, sequence + k, 0, "a", 1);
      peer_send (&peer, message, helix_pack_empty (message, HELIX_PING, 0));
      peer_expect (&peer, HELIX_PONG);
      fail_unless_equals_uint64 (stat_of ("units"), sequence + k + 1);
    }
    for (guint k = 0; k < 3; k++, sequence++) {
      gst_clear_buffer (&item.buffer);
      expect_next (HELIX_STREAM_UNIT);
      fail_unless_equals_uint64 (item.unit.sequence, sequence);
    }
  }
}
GST_END_TEST;

/* Requests leave at once, whether next () waits or not. */
GST_START_TEST (test_quick_then_asked)
{
  const struct helix_config config = {
      .fields = HELIX_CONFIG_BITRATE, .bitrate = 1000};
  GThread *next;

  begin_quickly ();
  helix_stream_client_ask_keyframe (client);
  peer_expect (&peer, HELIX_KEYFRAME);
  take_quickly (50);
  next = g_thread_new ("next", next_thread, NULL);
  helix_stream_client_configure (client, &config, 0);
  peer_expect (&peer, HELIX_CONFIG);
  gst_clear_buffer (&item.buffer);
  peer_send_unit (&peer, 100, 0, "a", 1);
  join (next, HELIX_STREAM_UNIT);
}
GST_END_TEST;

GST_START_TEST (test_quick_then_flushed)
{
  begin_quickly ();
  for (guint i = 0; i < 5; i++) {
    GThread *next;

    gst_clear_buffer (&item.buffer);
    next = g_thread_new ("next", next_thread, NULL);
    helix_stream_client_flush (client, TRUE);
    join (next, HELIX_STREAM_FLUSHING);
    helix_stream_client_flush (client, FALSE);
    take_quickly (50 + 50 * i);
  }
}
GST_END_TEST;

/* A connection that ends while next () reads is the reader's again, which
 * connects anew. */
GST_START_TEST (test_quick_then_lost)
{
  gint listener = peer_listen (path);

  start ((HelixStreamClientConfig){.reconnect = TRUE});
  for (guint i = 0; i < 3; i++) {
    GThread *next = g_thread_new ("next", next_thread, NULL);

    peer_accept (&peer, listener);
    peer_welcome (&peer);
    peer_send_caps (&peer, 1);
    join (next, HELIX_STREAM_CAPS);
    take_quickly (0);
    gst_clear_buffer (&item.buffer);
    next = g_thread_new ("next", next_thread, NULL);
    peer_clear (&peer);
    join (next, HELIX_STREAM_WARNING);
    g_clear_error (&error);
  }
  fail_unless_equals_uint64 (stat_of ("units"), 3 * 50);
  close (listener);
}
GST_END_TEST;

/* Neither thread does anything while nothing comes. */
GST_START_TEST (test_quick_then_still)
{
  GThread *next;

  begin_quickly ();
  gst_clear_buffer (&item.buffer);
  next = g_thread_new ("next", next_thread, NULL);
  fail_unless (peer_cpu_time () < 100000);
  peer_send_unit (&peer, 50, 0, "a", 1);
  join (next, HELIX_STREAM_UNIT);
}
GST_END_TEST;

GST_START_TEST (test_listen)
{
  GThread *next;

  start ((HelixStreamClientConfig){.listen = TRUE, .reconnect = TRUE});
  /* A stranger does no harm, but is told of. */
  next = g_thread_new ("next", next_thread, NULL);
  peer_connect (&peer, path);
  peer_send (&peer, "GET / HTTP/1.1\r\n\r\n", 18);
  join (next, HELIX_STREAM_WARNING);
  g_clear_error (&error);
  peer_clear (&peer);
  next = g_thread_new ("next", next_thread, NULL);
  peer_connect (&peer, path);
  peer_welcome (&peer);
  peer_send_caps (&peer, 1);
  join (next, HELIX_STREAM_CAPS);
}
GST_END_TEST;

/* Without a descriptor left for it, a connection waits, and nothing spins. */
GST_START_TEST (test_cannot_accept)
{
  GThread *next;

  start ((HelixStreamClientConfig){.listen = TRUE, .reconnect = TRUE});
  peer_connect (&peer, path);
  peer_limit_descriptors ((guint) peer_next_descriptor ());
  expect_next (HELIX_STREAM_WARNING);
  fail_unless (strstr (error->message, "ulimit") != NULL);
  g_clear_error (&error);
  next = g_thread_new ("next", next_thread, NULL);
  fail_unless (peer_cpu_time () < 100000);
  peer_limit_descriptors (0);
  peer_welcome (&peer);
  peer_send_caps (&peer, 1);
  join (next, HELIX_STREAM_CAPS);
}
GST_END_TEST;

static Suite *
helix_stream_client_suite (void)
{
  Suite *s = suite_create ("helix-stream-client");
  TCase *tc = tcase_create ("client");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_add_test (tc, test_units);
  tcase_add_test (tc, test_gap);
  tcase_add_test (tc, test_flush);
  tcase_add_loop_test (tc, test_malformed_unit, 0, 3);
  tcase_add_test (tc, test_clock);
  tcase_add_test (tc, test_stats);
  tcase_add_loop_test (tc, test_ask, 0, 2);
  tcase_add_test (tc, test_requests_wait);
  tcase_add_test (tc, test_refused);
  tcase_add_test (tc, test_cursor);
  tcase_add_test (tc, test_cursor_size);
  tcase_add_loop_test (tc, test_bad_cursor, 0, 4);
  tcase_add_test (tc, test_cursor_between_units);
  tcase_add_test (tc, test_cursor_first);
  tcase_add_test (tc, test_left_out);
  tcase_add_loop_test (tc, test_end, 0, G_N_ELEMENTS (ends));
  tcase_add_loop_test (tc, test_silence, 0, G_N_ELEMENTS (silences));
  tcase_add_test (tc, test_reconnect);
  tcase_add_test (tc, test_no_reconnect);
  tcase_add_test (tc, test_serial);
  tcase_add_test (tc, test_reconnect_timeout);
  tcase_add_test (tc, test_answers_unasked);
  tcase_add_test (tc, test_quick_reads);
  tcase_add_test (tc, test_quick_then_blocked);
  tcase_add_test (tc, test_quick_then_asked);
  tcase_add_test (tc, test_quick_then_flushed);
  tcase_add_test (tc, test_quick_then_lost);
  tcase_add_test (tc, test_quick_then_still);
  tcase_add_test (tc, test_listen);
  tcase_add_test (tc, test_cannot_accept);
  return s;
}

GST_CHECK_MAIN (helix_stream_client);

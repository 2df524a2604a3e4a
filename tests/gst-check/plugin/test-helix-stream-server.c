/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <gst/check/gstcheck.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "helix-platform.h"
#include "helix-stream-server.h"
#include "helix-transport-io.h"
#include "stream-peer.h"

/* What the server reported. */
/* POSIX, not GLib: ThreadSanitizer sees these. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static guint added, removed, keyframes, problems;
static gboolean fatal_problem;
static gchar *last_reason, *last_problem;

static gchar *folder, *path;
static HelixStreamServer *server;

#define NOTE(statement) \
  G_STMT_START \
  { \
    pthread_mutex_lock (&lock); \
    statement; \
    pthread_cond_broadcast (&changed); \
    pthread_mutex_unlock (&lock); \
  } \
  G_STMT_END

static void
client_added (gpointer user, guint id, const gchar *peer)
{
  NOTE (added++);
}

static void
client_removed (gpointer user, guint id, const gchar *reason)
{
  NOTE (removed++; g_free (last_reason); last_reason = g_strdup (reason));
}

static void
keyframe_wanted (gpointer user)
{
  NOTE (keyframes++);
}

static void
problem (gpointer user, const GError *error, gboolean fatal)
{
  NOTE (problems++; fatal_problem = fatal; g_free (last_problem);
        last_problem = g_strdup (error->message));
}

static const HelixStreamServerCallbacks callbacks = {
    client_added, client_removed, keyframe_wanted, problem};

/* Waits until *count is `wanted`, which it must not pass. */
static void
await (const guint *count, guint wanted, const gchar *what)
{
  struct timespec end;
  gint failed = 0;

  clock_gettime (CLOCK_REALTIME, &end);
  end.tv_sec += PEER_TIMEOUT_MS / 1000;
  pthread_mutex_lock (&lock);
  while (*count < wanted && failed == 0)
    failed = pthread_cond_timedwait (&changed, &lock, &end);
  fail_unless_equals_int (*count, wanted);
  pthread_mutex_unlock (&lock);
  fail_unless (failed == 0, "%s did not come", what);
}

static guint
now (const guint *count)
{
  guint value;

  pthread_mutex_lock (&lock);
  value = *count;
  pthread_mutex_unlock (&lock);
  return value;
}

#define AWAIT(count, wanted) await (&count, wanted, #count)

static void
start_with (gboolean listen, const gchar *token, guint max, gboolean recover)
{
  g_autofree gchar *text = g_strdup_printf ("unix:%s", path);
  g_autoptr (HelixAddress) address = helix_address_parse (text, NULL);
  HelixStreamServerConfig config = {address, listen, token, max, recover};
  g_autoptr (GError) error = NULL;

  server = helix_stream_server_new (&config, &callbacks, NULL, &error);
  fail_unless (server != NULL, "%s", error != NULL ? error->message : "");
}

static void
start (void)
{
  start_with (TRUE, NULL, 4, TRUE);
}

static void
stop (void)
{
  g_clear_pointer (&server, helix_stream_server_free);
}

static void
setup (void)
{
  folder = peer_folder_new ();
  path = g_build_filename (folder, "s", NULL);
  added = removed = keyframes = problems = 0;
}

static void
teardown (void)
{
  stop ();
  g_clear_pointer (&last_reason, g_free);
  g_clear_pointer (&last_problem, g_free);
  g_free (path);
  peer_folder_free (folder);
}

static void
set_caps (void)
{
  struct helix_caps caps = {.codec = HELIX_CODEC_H264,
      .width = 640,
      .height = 480,
      .rate_num = 30,
      .rate_den = 1,
      .par_num = 1,
      .par_den = 1};

  helix_stream_server_set_caps (server, &caps);
}

/* A unit of `size` bytes, the first four of which are its number. */
static void
push (guint32 number, gboolean key, gsize size)
{
  struct helix_unit head = {.running_time = number,
      .dts = HELIX_NONE64,
      .duration = HELIX_NONE64,
      .capture_ns = HELIX_NONE64,
      .flags = key ? HELIX_UNIT_KEY : 0};
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, size, NULL);

  gst_buffer_memset (buffer, 0, 0x5a, size);
  gst_buffer_fill (buffer, 0, &number, sizeof number);
  helix_stream_server_push (server, buffer, &head);
  gst_buffer_unref (buffer);
}

static guint32
number_of (const StreamPeer *peer)
{
  guint32 number;

  memcpy (&number, peer->bulk, sizeof number);
  return number;
}

static void
join (StreamPeer *peer)
{
  peer_connect (peer, path);
  peer_hello (peer, NULL);
  fail_unless_equals_int (peer_next (peer), HELIX_WELCOME);
}

/* ---- the conversation ---- */

GST_START_TEST (test_join)
{
  StreamPeer peer;

  start ();
  set_caps ();
  push (0, TRUE, 100);
  join (&peer);
  AWAIT (added, 1);
  AWAIT (keyframes, 1);
  fail_unless_equals_int (helix_stream_server_clients (server), 1);
  push (1, FALSE, 100);
  push (2, TRUE, 5000);
  push (3, FALSE, 10);
  fail_unless_equals_int (peer_next (&peer), HELIX_CAPS);
  fail_unless_equals_int (peer_next (&peer), HELIX_UNIT);
  fail_unless_equals_int (number_of (&peer), 2);
  fail_unless_equals_int (peer.unit.sequence, 2);
  fail_unless_equals_int (peer.unit.flags, HELIX_UNIT_KEY | HELIX_UNIT_DISCONT);
  fail_unless_equals_int (peer_next (&peer), HELIX_UNIT);
  fail_unless_equals_int (number_of (&peer), 3);
  fail_unless_equals_int (peer.unit.flags, 0);
  peer_clear (&peer);
  AWAIT (removed, 1);
  fail_unless_equals_int (helix_stream_server_clients (server), 0);
  fail_unless_equals_int (now (&problems), 0);
}
GST_END_TEST;

/* Anybody may ask whether the hop is alive, before HELLO, in any pieces. */
GST_START_TEST (test_bare_ping)
{
  static const guint8 ping[] = {'H', 'X', 'F', 'R', 0x10, 0, 7, 0, 0, 0, 0, 0};
  StreamPeer peer;

  start ();
  peer_connect (&peer, path);
  for (guint i = 0; i < sizeof ping; i++)
    peer_send (&peer, ping + i, 1);
  fail_unless_equals_int (peer_next_any (&peer), HELIX_PONG);
  fail_unless_equals_int (peer.reader.header.size, 0);
  fail_unless_equals_int (peer.reader.header.channel, 7);
  peer_clear (&peer);
}
GST_END_TEST;

GST_START_TEST (test_second_caps)
{
  StreamPeer peer;

  start ();
  set_caps ();
  join (&peer);
  push (0, TRUE, 100);
  set_caps ();
  push (1, TRUE, 100);
  fail_unless_equals_int (peer_next (&peer), HELIX_CAPS);
  fail_unless_equals_int (peer_next (&peer), HELIX_UNIT);
  fail_unless_equals_int (peer_next (&peer), HELIX_CAPS);
  fail_unless_equals_int (peer_next (&peer), HELIX_UNIT);
  fail_unless_equals_int (peer.unit.caps_id, 2);
  peer_clear (&peer);
}
GST_END_TEST;

static guint8 message[HELIX_MAX_MESSAGE];

static gsize
hello_of (guint16 min, guint16 max, guint32 role)
{
  struct helix_hello hello = {
      .version_min = min, .version_max = max, .role = role, .nonce = 1};

  return helix_pack_hello (message, &hello, "wrong", "test");
}

/* Each is told why, is reported once, and is nobody else's trouble. */
GST_START_TEST (test_refusals)
{
  static const struct {
    guint16 min, max;
    guint32 role;
    guint code;
  } cases[] = {
      {9, 12, HELIX_ROLE_STREAM, HELIX_ERROR_VERSION},
      {1, 1, HELIX_ROLE_FRAMES, HELIX_ERROR_ROLE},
      {1, 1, HELIX_ROLE_STREAM, HELIX_ERROR_AUTH},
      {2, 1, HELIX_ROLE_STREAM, HELIX_ERROR_PROTOCOL},
  };
  StreamPeer good, peer;

  start_with (TRUE, "secret", 4, TRUE);
  set_caps ();
  peer_connect (&good, path);
  peer_hello (&good, "secret");
  fail_unless_equals_int (peer_next (&good), HELIX_WELCOME);
  peer_connect (&peer, path);
  peer_send (&peer, message,
      hello_of (cases[__i__].min, cases[__i__].max, cases[__i__].role));
  peer_expect_refusal (&peer, cases[__i__].code);
  peer_clear (&peer);
  AWAIT (problems, 1);
  fail_if (fatal_problem);
  push (0, TRUE, 100);
  peer_expect (&good, HELIX_UNIT);
  peer_clear (&good);
}
GST_END_TEST;

GST_START_TEST (test_garbage)
{
  static const gchar request[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
  StreamPeer peer;
  guint8 unit[300] = {'H', 'X', 'F', 'R', HELIX_UNIT, 0, 0, 0, 200, 0, 0, 0};

  start ();
  peer_connect (&peer, path);
  peer_send (&peer, request, sizeof request - 1);
  peer_expect_refusal (&peer, HELIX_ERROR_PROTOCOL);
  peer_clear (&peer);
  AWAIT (problems, 1);
  /* The next one is counted, but a flood of warnings would be its success. */
  join (&peer);
  peer_send (&peer, unit, sizeof unit);
  peer_expect_refusal (&peer, HELIX_ERROR_PROTOCOL);
  peer_clear (&peer);
  AWAIT (removed, 1);
  fail_unless_equals_int (now (&problems), 1);
}
GST_END_TEST;

/* CAPS before HELLO is an error; later messages of no meaning are answered
 * and survived. */
GST_START_TEST (test_unknown_message)
{
  StreamPeer peer;
  struct helix_error error;
  gchar text[HELIX_MAX_TEXT + 1];
  const gchar *why;

  start ();
  set_caps ();
  peer_connect (&peer, path);
  peer_send_caps (&peer, 1);
  peer_expect_refusal (&peer, HELIX_ERROR_PROTOCOL);
  peer_clear (&peer);
  join (&peer);
  peer_send (&peer, message, helix_pack_empty (message, HELIX_SUBSCRIBE, 0));
  fail_unless_equals_int (peer_next (&peer), HELIX_ERROR);
  fail_unless (helix_unpack_error (
      &error, text, peer.reader.payload, peer.reader.payload_size, &why));
  fail_unless_equals_int (error.code, HELIX_ERROR_UNSUPPORTED);
  fail_unless_equals_int (error.refers, HELIX_SUBSCRIBE);
  push (0, TRUE, 100);
  peer_expect (&peer, HELIX_UNIT);
  peer_clear (&peer);
}
GST_END_TEST;

GST_START_TEST (test_max_clients)
{
  StreamPeer first, second;

  start_with (TRUE, NULL, 1, TRUE);
  join (&first);
  peer_connect (&second, path);
  peer_hello (&second, NULL);
  peer_expect_refusal (&second, HELIX_ERROR_BUSY);
  peer_clear (&second);
  peer_clear (&first);
  AWAIT (removed, 1);
  join (&second);
  peer_clear (&second);
}
GST_END_TEST;

/* Strangers that say nothing take no place from those that do. */
GST_START_TEST (test_silent_strangers)
{
  StreamPeer silent[12], peer;
  guint64 begin = helix_now_ns ();

  start_with (TRUE, NULL, 4, TRUE);
  for (guint i = 0; i < G_N_ELEMENTS (silent); i++)
    peer_connect (&silent[i], path);
  peer_expect_refusal (&silent[0], HELIX_ERROR_TIMEOUT);
  fail_unless (helix_now_ns () - begin >= 2900 * GST_MSECOND);
  for (guint i = 0; i < G_N_ELEMENTS (silent); i++)
    peer_clear (&silent[i]);
  join (&peer);
  peer_clear (&peer);
  fail_unless_equals_int (now (&problems), 0);
}
GST_END_TEST;

/* ---- slow and dead ones ---- */

/* Sends until `stuck` gets no more: its socket and its queue are full. */
static guint32
fill_up (StreamPeer *reading)
{
  guint32 n = 1;

  push (0, TRUE, 20000);
  for (; n < 80; n++) {
    push (n, FALSE, 20000);
    peer_expect (reading, HELIX_UNIT);
    fail_unless_equals_int (number_of (reading), n - 1);
  }
  peer_expect (reading, HELIX_UNIT);
  fail_unless_equals_int (number_of (reading), n - 1);
  return n;
}

static guint64
client_stat (guint index, const gchar *field)
{
  GstStructure *stats = helix_stream_server_stats (server, "stats");
  const GValue *list = gst_structure_get_value (stats, "clients");
  const GstStructure *client;
  guint64 value = 0;
  guint small;

  fail_unless (gst_value_list_get_size (list) > index);
  client = gst_value_get_structure (gst_value_list_get_value (list, index));
  if (!gst_structure_get_uint64 (client, field, &value)) {
    fail_unless (gst_structure_get_uint (client, field, &small));
    value = small;
  }
  gst_structure_free (stats);
  return value;
}

GST_START_TEST (test_slow_client)
{
  StreamPeer slow, quick;
  guint32 n, got = 0;
  guint asked;

  start ();
  set_caps ();
  join (&slow);
  join (&quick);
  AWAIT (added, 2);
  n = fill_up (&quick);
  fail_unless (client_stat (0, "dropped") > 0);
  fail_unless (client_stat (0, "queued-units") <= 30);
  fail_unless_equals_int (client_stat (1, "dropped"), 0);

  /* While it is stuck it costs nobody a keyframe, */
  asked = now (&keyframes);
  push (n++, FALSE, 20000);
  peer_expect (&quick, HELIX_UNIT);
  fail_unless_equals_int (now (&keyframes), asked);

  /* then it gets what was under way, and from then on a whole stream. */
  do {
    peer_expect (&slow, HELIX_UNIT);
    fail_unless (number_of (&slow) == got);
    got++;
  } while (client_stat (0, "queued-units") > 0);
  await (&keyframes, asked + 1, "keyframe request");
  push (n++, FALSE, 100);
  push (n++, TRUE, 100);
  push (n++, FALSE, 100);
  do
    peer_expect (&slow, HELIX_UNIT);
  while (number_of (&slow) < n - 3);
  fail_unless_equals_int (number_of (&slow), n - 2);
  fail_unless (slow.unit.flags & HELIX_UNIT_KEY);
  peer_expect (&slow, HELIX_UNIT);
  fail_unless_equals_int (number_of (&slow), n - 1);
  peer_clear (&slow);
  peer_clear (&quick);
}
GST_END_TEST;

GST_START_TEST (test_recover_none)
{
  StreamPeer slow, quick;

  start_with (TRUE, NULL, 4, FALSE);
  set_caps ();
  join (&slow);
  join (&quick);
  AWAIT (added, 2);
  fill_up (&quick);
  AWAIT (removed, 1);
  fail_unless (strstr (last_reason, "slow") != NULL);
  fail_unless_equals_int (helix_stream_server_clients (server), 1);
  peer_clear (&slow);
  peer_clear (&quick);
}
GST_END_TEST;

/* Open, but dead: no FIN will ever tell. */
GST_START_TEST (test_dead_client)
{
  StreamPeer dead, alive;
  guint64 begin;

  start ();
  join (&dead);
  join (&alive);
  begin = helix_now_ns ();
  /* The living one answers each PING, and that is how time goes by here. */
  while (helix_now_ns () - begin < 6 * GST_SECOND) {
    struct pollfd entry = {.fd = alive.fd, .events = POLLIN};

    if (now (&removed) > 0)
      begin = 0;
    if (poll (&entry, 1, 20) > 0) {
      fail_unless_equals_int (peer_next_any (&alive), HELIX_PING);
      helix_pack_empty (message, HELIX_PONG, 0);
      peer_send (&alive, message, HELIX_HEADER_SIZE);
    }
  }
  AWAIT (removed, 1);
  fail_unless (strstr (last_reason, "3 s") != NULL);
  fail_unless_equals_int (helix_stream_server_clients (server), 1);
  peer_expect_refusal (&dead, HELIX_ERROR_TIMEOUT);
  peer_clear (&dead);
  peer_clear (&alive);
}
GST_END_TEST;

/* Asking for ever without reading an answer ends the connection, not the
 * memory. */
GST_START_TEST (test_ping_flood)
{
  static guint8 pings[HELIX_HEADER_SIZE * 1000];
  StreamPeer peer;
  guint i;

  start ();
  join (&peer);
  AWAIT (added, 1);
  for (i = 0; i < 1000; i++)
    helix_pack_empty (pings + i * HELIX_HEADER_SIZE, HELIX_PING, 0);
  for (i = 0; i < 2000; i++) {
    struct iovec iov = {.iov_base = pings, .iov_len = sizeof pings};
    struct pollfd entry = {.fd = peer.fd, .events = POLLOUT};

    if (helix_transport_write (peer.fd, &iov, 1) < 0
        && (errno != EAGAIN || poll (&entry, 1, 2000) == 0))
      break;
  }
  AWAIT (removed, 1);
  peer_clear (&peer);
}
GST_END_TEST;

/* However many join and ask, the encoder is asked a few times a second. */
GST_START_TEST (test_keyframe_rate)
{
  struct helix_keyframe keyframe = {.last_sequence = HELIX_NONE64};
  guint64 begin = helix_now_ns (), took;
  StreamPeer peer;
  gsize size;

  start ();
  set_caps ();
  join (&peer);
  AWAIT (keyframes, 1);
  size = helix_pack_keyframe (message, &keyframe);
  for (guint i = 0; i < 300; i++) {
    push (i, TRUE, 100);
    peer_send (&peer, message, size);
    peer_expect (&peer, HELIX_UNIT);
  }
  took = helix_now_ns () - begin;
  fail_unless (now (&keyframes) <= 2 + took / (200 * GST_MSECOND));
  peer_clear (&peer);
}
GST_END_TEST;

/* ---- ends ---- */

static gpointer
end_stream (gpointer data)
{
  helix_stream_server_end (server, PEER_TIMEOUT_MS);
  return NULL;
}

GST_START_TEST (test_end_of_stream)
{
  GThread *thread;
  StreamPeer peer;
  gchar text[HELIX_MAX_TEXT + 1];
  struct helix_bye bye;
  const gchar *why;
  guint32 n;

  start ();
  set_caps ();
  join (&peer);
  AWAIT (added, 1);
  push (0, TRUE, 150000);
  for (n = 1; n < 20; n++)
    push (n, FALSE, 20000);
  thread = g_thread_new ("end", end_stream, NULL);
  for (guint32 i = 0; i < n; i++) {
    peer_expect (&peer, HELIX_UNIT);
    fail_unless_equals_int (number_of (&peer), i);
  }
  fail_unless_equals_int (peer_next (&peer), HELIX_BYE);
  fail_unless (helix_unpack_bye (
      &bye, text, peer.reader.payload, peer.reader.payload_size, &why));
  fail_unless_equals_int (bye.reason, HELIX_BYE_EOS);
  fail_unless_equals_int (peer_next (&peer), 0);
  g_thread_join (thread);
  peer_clear (&peer);
}
GST_END_TEST;

/* Nobody waits for a client that reads nothing longer than allowed; an
 * interrupt ends even that. */
GST_START_TEST (test_end_is_bounded)
{
  guint64 begin;
  StreamPeer peer;

  start ();
  set_caps ();
  join (&peer);
  AWAIT (added, 1);
  push (0, TRUE, 4 << 20);
  begin = helix_now_ns ();
  helix_stream_server_end (server, 100);
  fail_unless (helix_now_ns () - begin >= 90 * GST_MSECOND);
  helix_stream_server_interrupt (server, TRUE);
  helix_stream_server_end (server, 100000);
  peer_clear (&peer);
}
GST_END_TEST;

GST_START_TEST (test_stop_says_bye)
{
  StreamPeer peer;

  start ();
  join (&peer);
  AWAIT (added, 1);
  stop ();
  fail_unless_equals_int (peer_next (&peer), HELIX_BYE);
  fail_unless_equals_int (peer_next (&peer), 0);
  peer_clear (&peer);
}
GST_END_TEST;

GST_START_TEST (test_leave_and_vanish)
{
  StreamPeer peer;

  start ();
  join (&peer);
  peer_send (
      &peer, message, helix_pack_bye (message, HELIX_BYE_CLOSING, "done"));
  fail_unless_equals_int (peer_next (&peer), 0);
  AWAIT (removed, 1);
  peer_clear (&peer);
  /* In the middle of a message. */
  join (&peer);
  peer_send (&peer, message, 5);
  peer_clear (&peer);
  AWAIT (removed, 2);
  fail_unless_equals_int (now (&problems), 0);
}
GST_END_TEST;

/* ---- connect mode: a stream that outlives sessions ---- */

GST_START_TEST (test_connect_resyncs)
{
  struct helix_stats stats = {.last_sequence = HELIX_NONE64};
  static const guint8 zeros[HELIX_MAX_MESSAGE + HELIX_HEADER_SIZE];
  StreamPeer peer;
  gint listener = peer_listen (path);
  gsize size;

  start_with (FALSE, NULL, 4, TRUE);
  set_caps ();
  peer_accept (&peer, listener);
  /* Half a message of a guest that was killed, then the next guest. */
  size = helix_pack_stats (message, &stats);
  peer_send (&peer, message, size - 3);
  peer_send (&peer, zeros, sizeof zeros);
  peer_hello (&peer, NULL);
  fail_unless_equals_int (peer_next (&peer), HELIX_WELCOME);
  AWAIT (added, 1);
  push (0, TRUE, 100);
  peer_expect (&peer, HELIX_UNIT);
  /* That one is killed as well, without a word. */
  peer_send (&peer, zeros, sizeof zeros);
  peer_hello (&peer, NULL);
  fail_unless_equals_int (peer_next (&peer), HELIX_WELCOME);
  AWAIT (added, 2);
  AWAIT (removed, 1);
  push (1, FALSE, 100);
  push (2, TRUE, 100);
  fail_unless_equals_int (peer_next (&peer), HELIX_CAPS);
  fail_unless_equals_int (peer_next (&peer), HELIX_UNIT);
  fail_unless_equals_int (number_of (&peer), 2);
  fail_unless_equals_int (now (&problems), 0);
  peer_clear (&peer);
  /* The other side of the stream starts anew: so does the connection. */
  peer_accept (&peer, listener);
  peer_hello (&peer, NULL);
  fail_unless_equals_int (peer_next (&peer), HELIX_WELCOME);
  peer_clear (&peer);
  close (listener);
}
GST_END_TEST;

/* A guest dies in the middle of a large unit; the next one's WELCOME does
 * not wait for the rest of it. */
GST_START_TEST (test_connect_abandons_unit)
{
  static const guint8 zeros[HELIX_MAX_MESSAGE + HELIX_HEADER_SIZE];
  gint listener = peer_listen (path);
  StreamPeer peer;

  start_with (FALSE, NULL, 4, TRUE);
  set_caps ();
  peer_accept (&peer, listener);
  peer_hello (&peer, NULL);
  fail_unless_equals_int (peer_next (&peer), HELIX_WELCOME);
  AWAIT (added, 1);
  push (0, TRUE, 4 << 20);
  fail_unless (client_stat (0, "queued-units") == 1);
  peer_send (&peer, zeros, sizeof zeros);
  peer_hello (&peer, NULL);
  AWAIT (added, 2);
  helix_reader_scan (&peer.reader, HELIX_WELCOME, 0x1122334455667788);
  fail_unless_equals_int (peer_next (&peer), HELIX_WELCOME);
  fail_unless (peer.reader.skipped > 0);
  fail_unless (peer.reader.skipped < 4 << 20);
  push (1, TRUE, 100);
  fail_unless_equals_int (peer_next (&peer), HELIX_CAPS);
  fail_unless_equals_int (peer_next (&peer), HELIX_UNIT);
  fail_unless_equals_int (number_of (&peer), 1);
  peer_clear (&peer);
  close (listener);
}
GST_END_TEST;

/* Nobody there: said once, within a second, and tried again. */
GST_START_TEST (test_connect_waits)
{
  guint64 begin = helix_now_ns ();
  StreamPeer peer;
  gint listener;

  start_with (FALSE, NULL, 4, TRUE);
  AWAIT (problems, 1);
  fail_unless (helix_now_ns () - begin < GST_SECOND);
  fail_if (fatal_problem);
  fail_unless (strstr (last_problem, path) != NULL);
  fail_unless (strstr (last_problem, "no server") != NULL);
  listener = peer_listen (path);
  peer_accept (&peer, listener);
  peer_hello (&peer, NULL);
  fail_unless_equals_int (peer_next (&peer), HELIX_WELCOME);
  fail_unless_equals_int (now (&problems), 1);
  peer_clear (&peer);
  close (listener);
}
GST_END_TEST;

GST_START_TEST (test_connect_gives_up)
{
  fail_unless (g_file_set_contents (path, "x", 1, NULL));
  start_with (FALSE, NULL, 4, TRUE);
  AWAIT (problems, 1);
  fail_unless (fatal_problem);
  fail_unless (strstr (last_problem, "regular file") != NULL);
}
GST_END_TEST;

/* Start and stop, with a peer in every state, leave nothing behind. */
GST_START_TEST (test_restart)
{
  for (guint i = 0; i < 100; i++) {
    StreamPeer peer;

    start ();
    if (i % 3 > 0)
      peer_connect (&peer, path);
    if (i % 3 > 1)
      peer_hello (&peer, NULL);
    stop ();
    fail_unless (access (path, F_OK) < 0);
    if (i % 3 > 0)
      peer_clear (&peer);
  }
}
GST_END_TEST;

static Suite *
helix_stream_server_suite (void)
{
  Suite *s = suite_create ("helix-stream-server");
  TCase *tc = tcase_create ("server");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_add_test (tc, test_join);
  tcase_add_test (tc, test_bare_ping);
  tcase_add_test (tc, test_second_caps);
  tcase_add_loop_test (tc, test_refusals, 0, 4);
  tcase_add_test (tc, test_garbage);
  tcase_add_test (tc, test_unknown_message);
  tcase_add_test (tc, test_max_clients);
  tcase_add_test (tc, test_silent_strangers);
  tcase_add_test (tc, test_slow_client);
  tcase_add_test (tc, test_recover_none);
  tcase_add_test (tc, test_dead_client);
  tcase_add_test (tc, test_ping_flood);
  tcase_add_test (tc, test_keyframe_rate);
  tcase_add_test (tc, test_end_of_stream);
  tcase_add_test (tc, test_end_is_bounded);
  tcase_add_test (tc, test_stop_says_bye);
  tcase_add_test (tc, test_leave_and_vanish);
  tcase_add_test (tc, test_connect_resyncs);
  tcase_add_test (tc, test_connect_abandons_unit);
  tcase_add_test (tc, test_connect_waits);
  tcase_add_test (tc, test_connect_gives_up);
  tcase_add_test (tc, test_restart);
  return s;
}

GST_CHECK_MAIN (helix_stream_server);

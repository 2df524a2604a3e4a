/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The stream server in a time that is made up: so the figures are the same on
 * any machine. It has no thread here, so this has to be its source.
 */
#include "helix-test-fds.h"
#include "helix-stream-server.c"
#undef GST_CAT_DEFAULT

#include <gst/check/gstcheck.h>

#include "stream-peer.h"

#define MS G_GUINT64_CONSTANT (1000000)
#define MAX_AGE (400 * MS)
#define START (1000 * GST_SECOND)
#define UNIT_BYTES 4000
#define MAX_UNITS 4096u

static HelixStreamServer server;
static HelixListener no_listener; /* not connect mode */
static Peer *served;
static StreamPeer peer;
static guint64 now;

/* ---- a guest behind a line that is made up ---- */

/* What the line does: bytes a second that the guest reads, how long an answer
 * takes, when nothing passes. */
typedef struct {
  guint64 rate, trip;
  guint64 stall_at, stall;
  gboolean all_key, mute; /* each unit a keyframe; answers no PING */
} Line;

typedef struct {
  guint64 oldest; /* age of a unit when its last byte was read */
  guint read, asked, broken;
  guint64 last; /* sequence */
  gboolean any;
} Seen;

/* Answers under way. */
static struct {
  guint64 due;
  guint8 message[HELIX_HEADER_SIZE + sizeof (struct helix_pong)];
} answers[64];
static guint n_answers;

static void
begin (const gchar *token)
{
  gint fds[2];

  test_socketpair (fds);
  now = START;
  n_answers = 0;
  server = (HelixStreamServer){.recover = TRUE,
      .max_age = MAX_AGE,
      .max_live = {[HELIX_ROLE_STREAM] = 1},
      .listener = &no_listener,
      .token = (gchar *) token,
      .caps = {.caps_id = 1,
          .codec = HELIX_CODEC_H264,
          .width = 640,
          .height = 480,
          .rate_den = 1,
          .par_num = 1,
          .par_den = 1}};
  served = peer_new (&server, fds[0], NULL, now);
  peer_init (&peer, fds[1]);
}

static void
setup (void)
{
  begin (NULL);
  peer_hello (&peer, NULL);
  peer_read (served, now);
  fail_unless (peer_is_live (served));
}

static void
teardown (void)
{
  peer_free (served);
  g_queue_clear_full (&server.events, (GDestroyNotify) event_free);
  peer_clear (&peer);
}

static void
push (guint64 sequence, gboolean key)
{
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, UNIT_BYTES, NULL);
  Unit *unit = unit_new (buffer);
  struct helix_unit head = {.sequence = sequence,
      .flags = key ? HELIX_UNIT_KEY : 0,
      .caps_id = 1,
      .sent_ns = now};

  unit->arrived_ns = now;
  peer_push (served, unit, &head);
  unit_unref (unit);
  gst_buffer_unref (buffer);
}

/* A whole message has come over the line. */
static void
take_message (const Line *line, Seen *seen)
{
  const struct helix_unit *unit = &peer.unit;

  if (peer.reader.header.type == HELIX_PING && !line->mute) {
    fail_unless (n_answers < G_N_ELEMENTS (answers));
    answers[n_answers].due = now + line->trip;
    helix_pack_pong_for (answers[n_answers++].message, &peer.reader.header,
        peer.reader.payload, now, now);
  }
  if (peer.reader.header.type != HELIX_UNIT)
    return;
  seen->oldest = MAX (seen->oldest, now - unit->sent_ns);
  seen->read++;
  /* Nothing is missing that a decoder needs, or it is told. */
  if (!seen->any || unit->sequence != seen->last + 1)
    seen->broken += unit->flags != (HELIX_UNIT_KEY | HELIX_UNIT_DISCONT);
  seen->any = TRUE;
  seen->last = unit->sequence;
}

static void
read_line (gsize budget, const Line *line, Seen *seen)
{
  static guint8 bulk[UNIT_BYTES];
  const gchar *why = "";

  while (budget > 0) {
    uint8_t *ptr;
    size_t len;
    gssize n;

    helix_reader_want (&peer.reader, &ptr, &len);
    n = helix_recv (peer.fd, ptr, MIN (len, budget), NULL);
    if (n < 0 && errno == EAGAIN)
      return;
    fail_unless (n > 0);
    budget -= (gsize) n;
    switch (helix_reader_got (&peer.reader, (size_t) n)) {
      case HELIX_READER_HEAD:
        fail_unless (helix_unpack_unit (&peer.unit, peer.reader.payload,
            peer.reader.payload_size, peer.reader.header.size, &why));
        helix_reader_bulk (&peer.reader, bulk);
        break;
      case HELIX_READER_MESSAGE:
        take_message (line, seen);
        break;
      case HELIX_READER_ERROR:
        fail ("%s", peer.reader.why);
        break;
      case HELIX_READER_MORE:
        break;
    }
  }
}

static void
answer (void)
{
  while (n_answers > 0 && answers[0].due <= now) {
    peer_send (&peer, answers[0].message, sizeof answers[0].message);
    memmove (&answers[0], &answers[1], --n_answers * sizeof answers[0]);
  }
  peer_read (served, now);
}

/* 30 units a second for 10 s; keyframes only when asked for. */
static void
play (const Line *line, Seen *seen)
{
  guint64 next = now, sequence = 0, read_up_to = now;
  gboolean key = TRUE;

  memset (seen, 0, sizeof *seen);
  for (; now < START + 10 * GST_SECOND; now += MS) {
    gboolean stalled = now - START >= line->stall_at
        && now - START < line->stall_at + line->stall;

    if (now >= next) {
      push (sequence++, key || line->all_key);
      key = FALSE;
      next += 33 * MS;
    }
    peer_flush (served, G_MAXSIZE, now);
    if (!stalled)
      read_line ((gsize) ((now + MS - read_up_to) * line->rate / GST_SECOND),
          line, seen);
    read_up_to = now + MS;
    answer ();
    if (line->mute)
      served->last_read = now; /* it says other things */
    peer_tick (served, now);
    peer_flush (served, G_MAXSIZE, now);
    if (server.key_wanted) {
      server.key_wanted = FALSE;
      seen->asked++;
      key = TRUE;
    }
    fail_unless (peer_is_live (served));
  }
  fail_unless_equals_int (seen->broken, 0);
}

#define NEEDED (UNIT_BYTES * GST_SECOND / (33 * MS))

/* A line that takes less than there is: what arrives is not old, and each
 * keyframe that it costs brings it up to now. */
static const Line slow[] = {
    {NEEDED * 8 / 10, MS, 0, 0, FALSE, FALSE},
    {NEEDED * 95 / 100, 0, 0, 0, FALSE, FALSE},
    {NEEDED * 8 / 10, 50 * MS, 0, 0, FALSE, FALSE},
    {NEEDED * 8 / 10, MS, 0, 0, TRUE, FALSE},
    {NEEDED * 3 / 10, MS, 0, 0, FALSE, FALSE},
};

GST_START_TEST (test_slow)
{
  /* What is under way when it shows takes the longer the slower the line. */
  guint bound = slow[__i__].rate < NEEDED / 2 ? 2000 : 600;
  const HelixStreamServerEvent *event;
  Seen seen;

  play (&slow[__i__], &seen);
  fail_unless (seen.oldest <= bound * MS, "%u ms", (guint) (seen.oldest / MS));
  fail_unless (seen.read > 50, "%u", seen.read);
  fail_unless (seen.asked <= 21, "%u", seen.asked);
  fail_unless (served->skips >= 1 && served->dropped >= 1);
  /* Once is a disturbance, twice is told. */
  event = g_queue_peek_tail (&server.events);
  fail_unless_equals_int (
      event->type == HELIX_STREAM_SERVER_PROBLEM, served->skips > 1);
  fail_unless (event->error == NULL
      || strstr (event->error->message, "max-age") != NULL);
}
GST_END_TEST;

/* Fast enough, however long an answer takes; a stutter; no answers at all. */
static const Line good[] = {
    {NEEDED * 12 / 10, MS, 0, 0, FALSE, FALSE},
    {NEEDED * 12 / 10, 900 * MS, 0, 0, FALSE, FALSE},
    {NEEDED * 3, MS, 5 * GST_SECOND, 300 * MS, FALSE, FALSE},
    {NEEDED * 12 / 10, MS, 0, 0, FALSE, TRUE},
};

GST_START_TEST (test_good)
{
  Seen seen;

  play (&good[__i__], &seen);
  fail_unless_equals_uint64 (served->dropped, 0);
  fail_unless_equals_int (seen.asked, 0 + 1); /* it joined */
}
GST_END_TEST;

/* Nothing passes for a while: one keyframe, when all that is old was read. */
GST_START_TEST (test_stall)
{
  const Line line = {NEEDED * 3, MS, 5 * GST_SECOND, 2500 * MS, FALSE, FALSE};
  Seen seen;

  play (&line, &seen);
  fail_unless_equals_uint64 (served->skips, 1);
  fail_unless_equals_int (seen.asked, 1 + 1);
  fail_if (served->slow_told);
}
GST_END_TEST;

/* An answer to no question tells nothing. */
GST_START_TEST (test_wrong_pong)
{
  guint8 message[HELIX_MAX_MESSAGE];
  struct helix_header header = {.type = HELIX_PING, .size = 8};
  guint8 payload[8] = {0};

  served->probes[0].sent = now;
  served->n_probes = 1;
  peer_send (&peer, message,
      helix_pack_pong_for (message, &header, payload, now, now));
  peer_read (served, now);
  fail_unless_equals_int (served->n_probes, 1);
  fail_unless_equals_uint64 (served->best_trip, HELIX_NONE64);
}
GST_END_TEST;

/* ---- KEYFRAME ---- */

/* However many join and ask, the encoder is asked five times a second. */
GST_START_TEST (test_keyframe_rate)
{
  for (guint i = 0; i < 1000; i++) {
    server.key_wanted = TRUE;
    tick_key (&server, now + i * MS);
    server.units_since_asked++; /* a keyframe */
    server.key_asked = FALSE;
  }
  fail_unless_equals_int (server.asked, 5);
}
GST_END_TEST;

/* One that a peer asks for soon after another is not forgotten. */
GST_START_TEST (test_keyframe_kept)
{
  const struct helix_keyframe keyframe = {.last_sequence = HELIX_NONE64};
  guint8 message[HELIX_MAX_MESSAGE];
  gsize size = helix_pack_keyframe (message, &keyframe);

  for (guint i = 0; i < 2; i++) {
    server.key_wanted = FALSE;
    peer_send (&peer, message, size);
    peer_read (served, now + i * MS);
    fail_unless_equals_int (server.key_wanted, i == 0);
  }
  peer_tick (served, now + 499 * MS);
  fail_if (server.key_wanted);
  peer_tick (served, now + 500 * MS);
  fail_unless (server.key_wanted);
}
GST_END_TEST;

/* ---- deadlines ---- */

#define TOKEN "secret"

/* From the next HELLO on. */
static void
want_token (void)
{
  server.token = (gchar *) TOKEN;
  served->session.proves = true;
}

/* HELLO is said and answered at that time. */
static void
ask_for_proof (guint64 when)
{
  now = when;
  peer_hello (&peer, TOKEN);
  peer_read (served, now);
  peer_flush (served, G_MAXSIZE, now);
  fail_unless_equals_int (served->session.state, HELIX_SERVER_PROVING);
  peer_expect_challenge (&peer);
}

static void
expect_timeout (guint64 when)
{
  now = when;
  peer_tick (served, now);
  peer_flush (served, G_MAXSIZE, now);
  fail_unless_equals_int (served->life, LIFE_CLOSING);
  peer_tick (served, now);
  peer_expect_refusal (&peer, HELIX_ERROR_TIMEOUT);
}

/* Open, but dead: no end of the stream will ever tell. */
GST_START_TEST (test_silent)
{
  const HelixStreamServerEvent *event;

  peer_flush (served, G_MAXSIZE, now);
  peer_expect (&peer, HELIX_WELCOME);
  peer_tick (served, START + 3 * GST_SECOND - 1);
  fail_unless (peer_is_live (served));
  expect_timeout (START + 3 * GST_SECOND);
  event = g_queue_peek_tail (&server.events);
  fail_unless (strstr (event->text, "3 s") != NULL);
}
GST_END_TEST;

/* A connection has 3 s for all of it, and HELLO again gives it no more. */
GST_START_TEST (test_proof_too_late)
{
  teardown ();
  begin (TOKEN);
  ask_for_proof (START + GST_SECOND);
  ask_for_proof (START + 2 * GST_SECOND);
  fail_unless_equals_uint64 (peer_tick (served, now), START + 3 * GST_SECOND);
  expect_timeout (START + 3 * GST_SECOND);
}
GST_END_TEST;

/* A session that was open has 3 s from its new HELLO on. */
GST_START_TEST (test_proof_anew)
{
  const guint64 again = START + 60 * GST_SECOND;

  want_token ();
  peer_flush (served, G_MAXSIZE, now);
  peer_expect (&peer, HELIX_WELCOME);
  served->last_read = again; /* it has not been silent */
  ask_for_proof (again);
  fail_unless_equals_uint64 (peer_tick (served, now), again + 3 * GST_SECOND);
  ask_for_proof (again + GST_SECOND);
  expect_timeout (again + 3 * GST_SECOND);
}
GST_END_TEST;

/* What was asked for in the session before is not for the one that is being
 * proved. */
GST_START_TEST (test_proof_forgets)
{
  guint8 message[HELIX_MAX_MESSAGE];

  want_token ();
  peer_flush (served, G_MAXSIZE, now);
  peer_expect (&peer, HELIX_WELCOME);
  server.key_wanted = FALSE;
  peer_send (&peer, message, helix_pack_empty (message, HELIX_LIST, 0));
  ask_for_proof (now + GST_SECOND);
  fail_if (served->lists > 0 || server.key_wanted);
  push (0, TRUE);
  fail_if (peer_pending (served));
  fail_unless_equals_int (n_waiting (served), 0);
  peer_prove (&peer, HELIX_PROOF_CLIENT, TOKEN);
  peer_read (served, now);
  fail_unless (peer_is_live (served));
  fail_unless (server.key_wanted);
}
GST_END_TEST;

/* ---- CONFIG and SHOW ---- */

static void
requests_setup (void)
{
  now = START;
  server = (HelixStreamServer){.applies = TRUE};
}

static void
requests_teardown (void)
{
  g_queue_clear_full (&server.events, (GDestroyNotify) event_free);
}

/* Client `id` wants these fields to be `value`. */
static void
config (guint id, guint32 fields, guint32 value)
{
  const struct helix_config config = {.fields = fields,
      .bitrate = value,
      .rate_num = value,
      .rate_den = 1,
      .scanout = value,
      .resource_id = value};

  take_config (&server, &config, id);
}

static void
show (guint id, guint32 resource_id)
{
  take_show (&server, &(struct helix_show){.resource_id = resource_id}, id);
}

/* The next that is passed on is this CONFIG of client `id`. */
static struct helix_config
expect_config (guint id, guint32 fields)
{
  HelixStreamServerEvent *event = g_queue_pop_head (&server.events);
  struct helix_config config = event->config;

  fail_unless_equals_int (event->type, HELIX_STREAM_SERVER_CONFIG);
  fail_unless_equals_int (event->id, id);
  fail_unless_equals_int (config.fields, fields);
  event_free (event);
  return config;
}

static void
expect_show (guint id, guint32 resource_id)
{
  HelixStreamServerEvent *event = g_queue_pop_head (&server.events);

  fail_unless_equals_int (event->type, HELIX_STREAM_SERVER_SHOW);
  fail_unless_equals_int (event->id, id);
  fail_unless_equals_int (event->show.resource_id, resource_id);
  event_free (event);
}

/* Two peers at odds: the last writer of each field has it. All that a peer has
 * requested meanwhile is one request, in the order of those that decide on the
 * picture. */
GST_START_TEST (test_config_merged)
{
  struct helix_config is;

  config (1, HELIX_CONFIG_BITRATE | HELIX_CONFIG_RESOURCE, 5);
  config (2, HELIX_CONFIG_BITRATE, 6);
  tick_requests (&server, now);
  is = expect_config (2, HELIX_CONFIG_BITRATE);
  fail_unless_equals_int (is.bitrate, 6);
  is = expect_config (1, HELIX_CONFIG_RESOURCE);
  fail_unless_equals_int (is.resource_id, 5);

  config (1, HELIX_CONFIG_BITRATE, 1);
  config (1, HELIX_CONFIG_RATE, 2);
  config (1, HELIX_CONFIG_BITRATE, 3);
  config (2, HELIX_CONFIG_SCANOUT, 4);
  config (1, HELIX_CONFIG_RESOURCE, 7);
  tick_requests (&server, now + GST_SECOND);
  is = expect_config (2, HELIX_CONFIG_SCANOUT);
  fail_unless_equals_int (is.scanout, 4);
  is = expect_config (
      1, HELIX_CONFIG_BITRATE | HELIX_CONFIG_RATE | HELIX_CONFIG_RESOURCE);
  fail_unless_equals_int (is.bitrate, 3);
  fail_unless_equals_int (is.rate_num, 2);
  fail_unless_equals_int (is.resource_id, 7);
  fail_unless (g_queue_is_empty (&server.events));
}
GST_END_TEST;

/* Of thousands of CONFIGs four a second are passed on, the last one among
 * them. */
GST_START_TEST (test_config_flood)
{
  for (guint i = 0; i < 5000; i++) {
    config (1, HELIX_CONFIG_BITRATE, i);
    fail_unless (tick_requests (&server, now + i * MS) > now + i * MS);
  }
  fail_unless_equals_int (server.events.length, 20);
  fail_unless_equals_uint64 (
      tick_requests (&server, now + 4999 * MS), now + 5000 * MS);
  tick_requests (&server, now + 5000 * MS);
  fail_unless_equals_int (server.events.length, 21);
  for (guint i = 0; i < 20; i++)
    expect_config (1, HELIX_CONFIG_BITRATE);
  fail_unless_equals_int (
      expect_config (1, HELIX_CONFIG_BITRATE).bitrate, 4999);
}
GST_END_TEST;

GST_START_TEST (test_show_flood)
{
  for (guint i = 0; i < 5000; i++) {
    show (1, 1 + i);
    tick_requests (&server, now + i * MS);
  }
  fail_unless_equals_int (server.events.length, 1250);
  tick_requests (&server, now + 5000 * MS);
  for (guint i = 0; i < 1250; i++)
    expect_show (1, 1 + 4 * i);
  expect_show (1, 5000);
  fail_unless (g_queue_is_empty (&server.events));
}
GST_END_TEST;

/* A CONFIG with a scanout waits for its time; a picture that was shown after it
 * does not overtake it, or it would be gone when that time comes. Nor does a
 * picture that waits when the scanout is asked for come after that. */
GST_START_TEST (test_show_and_config)
{
  config (1, HELIX_CONFIG_RATE, 10);
  tick_requests (&server, now);
  expect_config (1, HELIX_CONFIG_RATE);
  config (1, PICTURE, 1);
  show (1, 12);
  fail_unless_equals_uint64 (tick_requests (&server, now), now + CONFIG_GAP_NS);
  fail_unless (g_queue_is_empty (&server.events));
  tick_requests (&server, now + CONFIG_GAP_NS);
  expect_config (1, PICTURE);
  expect_show (1, 12);

  show (1, 13);
  config (1, PICTURE, 1);
  tick_requests (&server, now + GST_SECOND);
  expect_config (1, PICTURE);
  fail_unless (g_queue_is_empty (&server.events));
}
GST_END_TEST;

/* A client that has shown a picture ends: its scanout does not come back
 * against what another client has chosen since. */
GST_START_TEST (test_show_and_die_late)
{
  Peer dies = {.owner = &server,
      .id = 1,
      .role = HELIX_ROLE_CONTROL,
      .session.state = HELIX_SERVER_OPEN};

  server.n_live[HELIX_ROLE_CONTROL] = 1;
  show (1, 12);
  tick_requests (&server, now);
  expect_show (1, 12);
  config (2, HELIX_CONFIG_SCANOUT, 1);
  peer_die (&dies, "it closed the connection");
  tick_requests (&server, now);
  expect_config (2, HELIX_CONFIG_SCANOUT);
  fail_unless (g_queue_is_empty (&server.events));
}
GST_END_TEST;

static Suite *
helix_stream_server_time_suite (void)
{
  Suite *s = suite_create ("helix-stream-server-time");
  TCase *tc = tcase_create ("peer");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_add_loop_test (tc, test_slow, 0, G_N_ELEMENTS (slow));
  tcase_add_loop_test (tc, test_good, 0, G_N_ELEMENTS (good));
  tcase_add_test (tc, test_stall);
  tcase_add_test (tc, test_wrong_pong);
  tcase_add_test (tc, test_keyframe_rate);
  tcase_add_test (tc, test_keyframe_kept);
  tcase_add_test (tc, test_silent);
  tcase_add_test (tc, test_proof_too_late);
  tcase_add_test (tc, test_proof_anew);
  tcase_add_test (tc, test_proof_forgets);

  tc = tcase_create ("requests");
  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, requests_setup, requests_teardown);
  tcase_add_test (tc, test_config_merged);
  tcase_add_test (tc, test_config_flood);
  tcase_add_test (tc, test_show_flood);
  tcase_add_test (tc, test_show_and_config);
  tcase_add_test (tc, test_show_and_die_late);
  return s;
}

GST_CHECK_MAIN (helix_stream_server_time);

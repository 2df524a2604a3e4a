/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One session of the stream server with a guest behind a line that is made up,
 * in a time that is made up: so the figures are the same on any machine.
 */
#include <errno.h>
#include <gst/check/gstcheck.h>
#include <string.h>

#include "helix-platform.h"
#include "helix-stream-session.h"
#include "helix-transport-io.h"
#include "stream-peer.h"

#define MS G_GUINT64_CONSTANT (1000000)
#define MAX_AGE (400 * MS)
#define START (1000 * GST_SECOND)
#define UNIT_BYTES 4000
#define MAX_UNITS 4096u

static HelixStreamSession *session;
static HelixStreamCursor cursor;
static StreamPeer peer;
static guint64 now;

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

static const HelixStreamSessionPolicy policy = {
    .recover = TRUE, .max_age = MAX_AGE};
static const struct helix_caps caps = {.caps_id = 1,
    .codec = HELIX_CODEC_H264,
    .width = 640,
    .height = 480,
    .rate_den = 1,
    .par_num = 1,
    .par_den = 1};

static void
setup (void)
{
  gint fds[2];

  fail_unless (helix_socketpair (fds) == 0);
  now = START;
  n_answers = 0;
  session = helix_stream_session_new (1, fds[0], NULL, FALSE, &cursor, now);
  peer_init (&peer, fds[1]);
  peer_hello (&peer, NULL);
  helix_stream_session_read (session, &policy, now);
  fail_unless_equals_int (session->state, HELIX_STREAM_SESSION_LIVE);
}

static void
teardown (void)
{
  helix_stream_session_free (session);
  peer_clear (&peer);
}

static void
push (guint64 sequence, gboolean key)
{
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, UNIT_BYTES, NULL);
  HelixStreamOutboxUnit *unit = helix_stream_outbox_unit_new (buffer);
  struct helix_unit head = {.sequence = sequence,
      .flags = key ? HELIX_UNIT_KEY : 0,
      .caps_id = 1,
      .sent_ns = now};

  unit->arrived_ns = now;
  helix_stream_session_push (session, &policy, unit, &head, &caps);
  helix_stream_outbox_unit_unref (unit);
  gst_buffer_unref (buffer);
}

/* A whole message has come over the line. */
static void
got_message (const Line *line, Seen *seen)
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
  /* Nothing is missing that a decoder needs. */
  if (!(unit->flags & HELIX_UNIT_KEY))
    seen->broken += !seen->any || unit->sequence != seen->last + 1;
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
    n = helix_transport_read (peer.fd, ptr, MIN (len, budget));
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
        got_message (line, seen);
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
  helix_stream_session_read (session, &policy, now);
}

/* 30 units a second for 20 s; keyframes only when asked for. */
static void
play (const Line *line, Seen *seen)
{
  guint64 next = now, sequence = 0, read_up_to = now;
  gboolean key = TRUE;

  memset (seen, 0, sizeof *seen);
  for (; now < START + 20 * GST_SECOND; now += MS) {
    gboolean stalled = now - START >= line->stall_at
        && now - START < line->stall_at + line->stall;

    if (now >= next) {
      push (sequence++, key || line->all_key);
      key = FALSE;
      next += 33 * MS;
    }
    helix_stream_session_flush (session, G_MAXSIZE, now);
    if (!stalled)
      read_line ((gsize) ((now + MS - read_up_to) * line->rate / GST_SECOND),
          line, seen);
    read_up_to = now + MS;
    answer ();
    if (line->mute)
      session->last_read = now; /* it says other things */
    helix_stream_session_tick (session, now);
    helix_stream_session_flush (session, G_MAXSIZE, now);
    if (session->needs_key) {
      session->needs_key = FALSE;
      seen->asked++;
      key = TRUE;
    }
    fail_unless_equals_int (session->state, HELIX_STREAM_SESSION_LIVE);
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
  Seen seen;

  play (&slow[__i__], &seen);
  fail_unless (seen.oldest <= bound * MS, "%u ms", (guint) (seen.oldest / MS));
  fail_unless (seen.read > 100, "%u", seen.read);
  fail_unless (seen.asked <= 41, "%u", seen.asked);
  fail_unless (session->skips >= 1 && session->dropped >= 1);
  fail_unless_equals_int (session->slow, session->skips > 1);
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
  fail_unless_equals_uint64 (session->dropped, 0);
  fail_unless_equals_int (seen.asked, 0 + 1); /* it joined */
}
GST_END_TEST;

/* Nothing passes for a while: one keyframe, when all that is old was read. */
GST_START_TEST (test_stall)
{
  const Line line = {NEEDED * 3, MS, 5 * GST_SECOND, 2500 * MS, FALSE, FALSE};
  Seen seen;

  play (&line, &seen);
  fail_unless_equals_uint64 (session->skips, 1);
  fail_unless_equals_int (seen.asked, 1 + 1);
  fail_if (session->slow);
}
GST_END_TEST;

/* An answer that nobody asked for tells nothing. */
GST_START_TEST (test_wrong_pong)
{
  guint8 message[HELIX_MAX_MESSAGE];
  struct helix_header header = {.type = HELIX_PING, .size = 8};
  guint8 payload[8] = {0};

  session->probes[0].sent = now;
  session->n_probes = 1;
  peer_send (&peer, message,
      helix_pack_pong_for (message, &header, payload, now, now));
  helix_stream_session_read (session, &policy, now);
  fail_unless_equals_int (session->n_probes, 1);
  fail_unless_equals_uint64 (session->best_trip, HELIX_NONE64);
}
GST_END_TEST;

/* ---- the proof's deadline ---- */

static const HelixStreamSessionPolicy secret = {
    .token = "secret", .recover = TRUE, .max_age = MAX_AGE};

/* HELLO is said and answered at that time. */
static void
ask_for_proof (guint64 when)
{
  now = when;
  peer_hello (&peer, secret.token);
  helix_stream_session_read (session, &secret, now);
  helix_stream_session_flush (session, G_MAXSIZE, now);
  fail_unless_equals_int (session->state, HELIX_STREAM_SESSION_PROVING);
  peer_expect_challenge (&peer);
}

static void
expect_timeout (guint64 when)
{
  now = when;
  helix_stream_session_tick (session, now);
  helix_stream_session_flush (session, G_MAXSIZE, now);
  fail_unless_equals_int (session->state, HELIX_STREAM_SESSION_CLOSING);
  helix_stream_session_tick (session, now);
  peer_expect_refusal (&peer, HELIX_ERROR_TIMEOUT);
}

/* A connection has 3 s for all of it, and HELLO again gives it no more. */
GST_START_TEST (test_proof_too_late)
{
  gint fds[2];

  teardown ();
  fail_unless (helix_socketpair (fds) == 0);
  now = START;
  session = helix_stream_session_new (1, fds[0], NULL, FALSE, &cursor, now);
  peer_init (&peer, fds[1]);
  ask_for_proof (START + GST_SECOND);
  ask_for_proof (START + 2 * GST_SECOND);
  fail_unless_equals_uint64 (
      helix_stream_session_tick (session, now), START + 3 * GST_SECOND);
  expect_timeout (START + 3 * GST_SECOND);
}
GST_END_TEST;

/* A session that was open has 3 s from its new HELLO on. */
GST_START_TEST (test_proof_anew)
{
  const guint64 again = START + 60 * GST_SECOND;

  helix_stream_session_flush (session, G_MAXSIZE, now);
  peer_expect (&peer, HELIX_WELCOME);
  session->last_read = again; /* it has not been silent */
  ask_for_proof (again);
  fail_unless_equals_uint64 (
      helix_stream_session_tick (session, now), again + 3 * GST_SECOND);
  ask_for_proof (again + GST_SECOND);
  expect_timeout (again + 3 * GST_SECOND);
}
GST_END_TEST;

/* What was asked for in the session before is not for the one that is being
 * proved: neither its list nor its keyframe. */
GST_START_TEST (test_proof_forgets)
{
  guint8 message[HELIX_MAX_MESSAGE];
  struct helix_keyframe keyframe = {.last_sequence = HELIX_NONE64};

  helix_stream_session_flush (session, G_MAXSIZE, now);
  peer_expect (&peer, HELIX_WELCOME);
  session->needs_key = FALSE;
  peer_send (&peer, message, helix_pack_empty (message, HELIX_LIST, 0));
  peer_send (&peer, message, helix_pack_keyframe (message, &keyframe));
  ask_for_proof (now + GST_SECOND);
  fail_if (session->lists > 0 || session->needs_key);
  push (0, TRUE);
  fail_if (helix_stream_session_pending (session));
  fail_unless_equals_int (session->out.units, 0);
  peer_prove (&peer, HELIX_PROOF_CLIENT, secret.token);
  helix_stream_session_read (session, &secret, now);
  fail_unless_equals_int (session->state, HELIX_STREAM_SESSION_LIVE);
  fail_unless (session->needs_key);
}
GST_END_TEST;

static Suite *
helix_stream_session_suite (void)
{
  Suite *s = suite_create ("helix-stream-session");
  TCase *tc = tcase_create ("session");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_add_loop_test (tc, test_slow, 0, G_N_ELEMENTS (slow));
  tcase_add_loop_test (tc, test_good, 0, G_N_ELEMENTS (good));
  tcase_add_test (tc, test_stall);
  tcase_add_test (tc, test_wrong_pong);
  tcase_add_test (tc, test_proof_too_late);
  tcase_add_test (tc, test_proof_anew);
  tcase_add_test (tc, test_proof_forgets);
  return s;
}

GST_CHECK_MAIN (helix_stream_session);

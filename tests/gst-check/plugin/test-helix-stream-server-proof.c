/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The stream server with a token: who gets in, and what the others are told. */
#include <gst/check/gstcheck.h>
#include <string.h>
#include <unistd.h>

#include "helix-platform.h"
#include "stream-served.h"

#define TOKEN "secret"

static guint8 message[HELIX_MAX_MESSAGE];

static void
start (guint max)
{
  served_start_with (TRUE, TOKEN, max, TRUE);
  served_set_caps ();
}

/* Connected, and asked for a proof. */
static void
come (StreamPeer *peer, const gchar *token, guint32 role)
{
  peer_connect (peer, served.path);
  peer_hello_as (peer, token, role);
  peer_expect_challenge (peer);
}

static void
expect_problem (guint n, const gchar *words)
{
  AWAIT (problems, n);
  fail_unless (strstr (served.last_problem, words) != NULL, "no '%s' in: %s",
      words, served.last_problem);
  fail_if (served.fatal_problem);
}

/* ---- clients with the token ---- */

/* Before the proof a client is none: it gets nothing, and costs no keyframe. */
GST_START_TEST (test_right)
{
  start (4);
  come (&peer, TOKEN, HELIX_ROLE_STREAM);
  served_push (0, TRUE, 100);
  fail_unless_equals_int (helix_stream_server_clients (served.server), 0);
  peer_send (&peer, message, helix_pack_empty (message, HELIX_PING, 0));
  fail_unless_equals_int (peer_next_any (&peer), HELIX_PONG);
  fail_unless_equals_int (served_now (&served.added), 0);
  fail_unless_equals_int (served_now (&served.keyframes), 0);

  peer_prove (&peer, HELIX_PROOF_CLIENT, TOKEN);
  peer_expect_proof (&peer, HELIX_PROOF_SERVER, TOKEN);
  AWAIT (added, 1);
  AWAIT (keyframes, 1);
  served_push (1, TRUE, 100);
  peer_expect (&peer, HELIX_UNIT);
  fail_unless_equals_int (served_number_of (&peer), 1);
  fail_unless_equals_int (served_now (&served.problems), 0);
}
GST_END_TEST;

/* HELLO while the proof is awaited asks anew: the last challenge counts. */
GST_START_TEST (test_hello_again)
{
  HelixProofRound first;

  start (4);
  come (&peer, TOKEN, HELIX_ROLE_STREAM);
  first = peer.proof;
  peer_join (&peer, TOKEN);
  fail_unless (
      memcmp (first.challenge, peer.proof.challenge, sizeof first.challenge)
      != 0);
  AWAIT (added, 1);

  /* And while the session is open: until the next proof there is none. */
  peer_hello (&peer, TOKEN);
  peer_expect_challenge (&peer);
  AWAIT (removed, 1);
  fail_unless_equals_string (served.last_reason, "it started a new session");
  fail_unless_equals_int (helix_stream_server_clients (served.server), 0);
  served_push (0, TRUE, 100);
  peer_prove (&peer, HELIX_PROOF_CLIENT, TOKEN);
  peer_expect_proof (&peer, HELIX_PROOF_SERVER, TOKEN);
  AWAIT (added, 2);
  served_push (1, TRUE, 100);
  peer_expect (&peer, HELIX_UNIT);
  fail_unless_equals_int (served_number_of (&peer), 1);

  peer_hello (&peer, TOKEN);
  peer_expect_challenge (&peer);
  peer.proof = first;
  peer_prove (&peer, HELIX_PROOF_CLIENT, TOKEN);
  peer_expect_refusal (&peer, HELIX_ERROR_AUTH);
}
GST_END_TEST;

/* `busy` is sent after the right PROOF only. */
GST_START_TEST (test_full)
{
  StreamPeer good, late, guess;

  start (1);
  peer_connect (&good, served.path);
  peer_join (&good, TOKEN);
  AWAIT (added, 1);
  come (&late, TOKEN, HELIX_ROLE_STREAM);
  peer_prove (&late, HELIX_PROOF_CLIENT, TOKEN);
  peer_expect_refusal (&late, HELIX_ERROR_BUSY);
  come (&guess, "guess", HELIX_ROLE_STREAM);
  peer_prove (&guess, HELIX_PROOF_CLIENT, "guess");
  peer_expect_refusal (&guess, HELIX_ERROR_AUTH);
  /* A client that begins anew keeps its place, if it is still free. */
  peer_join (&good, TOKEN);
  AWAIT (added, 2);
  peer_clear (&good);
  peer_clear (&late);
  peer_clear (&guess);
}
GST_END_TEST;

/* ---- clients without it ---- */

GST_START_TEST (test_wrong)
{
  start (4);
  for (guint role = HELIX_ROLE_STREAM; role <= HELIX_ROLE_CONTROL; role++) {
    come (&peer, "guess", role);
    peer_prove (&peer, HELIX_PROOF_CLIENT, "guess");
    peer_expect_refusal (&peer, HELIX_ERROR_AUTH);
    peer_clear (&peer);
  }
  expect_problem (1, "token is wrong");
  fail_unless (strstr (served.last_problem, "unix:") != NULL
          || strstr (served.last_problem, "pid") != NULL,
      "no peer in: %s", served.last_problem);
  fail_unless_equals_int (served_now (&served.added), 0);
}
GST_END_TEST;

/* By a client from before PROOF, which has no name. */
GST_START_TEST (test_in_the_clear)
{
  const struct helix_hello hello = {
      .version_min = 1, .version_max = 1, .role = HELIX_ROLE_STREAM};
  guint8 *sizes =
      message + HELIX_HEADER_SIZE + offsetof (struct helix_hello, token_size);
  gsize size = helix_pack_hello (message, &hello, TOKEN);

  sizes[0] = strlen (TOKEN);
  sizes[offsetof (struct helix_hello, name_size)
      - offsetof (struct helix_hello, token_size)] = 0;
  start (4);
  peer_connect (&peer, served.path);
  peer_send (&peer, message, size);
  peer_expect_refusal (&peer, HELIX_ERROR_AUTH);
  expect_problem (1, "in the clear");
}
GST_END_TEST;

/* What was heard in another session, with the very same HELLO. */
GST_START_TEST (test_replay)
{
  HelixProofRound heard;

  start (4);
  peer_connect (&peer, served.path);
  peer_join (&peer, TOKEN);
  heard = peer.proof;
  peer_clear (&peer);
  come (&peer, TOKEN, HELIX_ROLE_STREAM);
  fail_unless (heard.nonce == peer.proof.nonce);
  peer.proof = heard;
  peer_prove (&peer, HELIX_PROOF_CLIENT, TOKEN);
  peer_expect_refusal (&peer, HELIX_ERROR_AUTH);
}
GST_END_TEST;

/* The server's own proof, sent back to it. */
GST_START_TEST (test_reflected)
{
  start (4);
  come (&peer, TOKEN, HELIX_ROLE_STREAM);
  peer_prove (&peer, HELIX_PROOF_SERVER, TOKEN);
  peer_expect_refusal (&peer, HELIX_ERROR_AUTH);
}
GST_END_TEST;

/* More than all places there are, silent or with a challenge that they do not
 * answer: a client stays, and who knows the token comes in. */
GST_START_TEST (test_crowd)
{
  StreamPeer crowd[SERVED_CROWD], first, second;

  start (4);
  peer_connect (&first, served.path);
  peer_join (&first, TOKEN);
  for (guint i = 0; i < G_N_ELEMENTS (crowd); i++) {
    if (i % 2 == 0)
      peer_connect (&crowd[i], served.path);
    else
      come (&crowd[i], "guess", HELIX_ROLE_STREAM);
  }
  peer_connect (&second, served.path);
  peer_join (&second, TOKEN);
  AWAIT (added, 2);
  peer_expect_refusal (&crowd[0], HELIX_ERROR_TIMEOUT);
  peer_expect_refusal (&crowd[1], HELIX_ERROR_TIMEOUT);
  served_list (&first);
  fail_unless_equals_int (served_now (&served.removed), 0);
  fail_unless_equals_int (served_now (&served.problems), 0);
  for (guint i = 0; i < G_N_ELEMENTS (crowd); i++)
    peer_clear (&crowd[i]);
  peer_clear (&first);
  peer_clear (&second);
}
GST_END_TEST;

/* ---- out of place ---- */

/* BYE is for sessions; one that was never opened merely ends. */
GST_START_TEST (test_stop)
{
  StreamPeer silent, proving;

  start (4);
  peer_connect (&peer, served.path);
  peer_join (&peer, TOKEN);
  peer_connect (&silent, served.path);
  peer_send (&silent, message, helix_pack_empty (message, HELIX_PING, 0));
  fail_unless_equals_int (peer_next_any (&silent), HELIX_PONG);
  come (&proving, TOKEN, HELIX_ROLE_STREAM);
  served_stop ();
  fail_unless_equals_int (peer_next (&peer), HELIX_BYE);
  fail_unless_equals_int (peer_next (&peer), 0);
  fail_unless_equals_int (peer_next (&silent), 0);
  fail_unless_equals_int (peer_next (&proving), 0);
  peer_clear (&silent);
  peer_clear (&proving);
}
GST_END_TEST;

/* ---- where the stream outlives its sessions ---- */

static const guint8 pad[HELIX_HELLO_PAD];

/* The ERROR does not end the stream. */
static void
expect_error (StreamPeer *peer, guint code)
{
  g_free (peer_expect_error (peer, code));
}

GST_START_TEST (test_connect)
{
  gsize size;

  served_connect (TOKEN, 4);
  /* A wrong proof, and right behind it another try at the same challenge. */
  peer_hello (&peer, "guess");
  peer_expect_challenge (&peer);
  peer_prove (&peer, HELIX_PROOF_CLIENT, "guess");
  peer_prove (&peer, HELIX_PROOF_CLIENT, TOKEN);
  expect_error (&peer, HELIX_ERROR_AUTH);
  expect_error (&peer, HELIX_ERROR_TIMEOUT);
  expect_problem (1, "token is wrong");
  /* A guest that is killed within its PROOF. The next one's padding makes a
   * whole message of it, the answer to which the next one scans past. */
  peer_hello (&peer, TOKEN);
  peer_expect_challenge (&peer);
  size = helix_proof_pack (message, HELIX_PROOF_CLIENT, TOKEN, &peer.proof);
  peer_send (&peer, message, size - 3);
  peer_send (&peer, pad, sizeof pad);
  peer_hello (&peer, TOKEN);
  helix_reader_scan (&peer.reader, HELIX_WELCOME, peer.proof.nonce);
  peer_expect_challenge (&peer);
  peer_prove (&peer, HELIX_PROOF_CLIENT, TOKEN);
  peer_expect_proof (&peer, HELIX_PROOF_SERVER, TOKEN);
  AWAIT (added, 1);
  /* One that is killed in the open session; the next has to prove it, too. */
  peer_send (&peer, pad, sizeof pad);
  peer_hello (&peer, TOKEN);
  peer_expect_challenge (&peer);
  AWAIT (removed, 1);
  fail_unless_equals_int (helix_stream_server_clients (served.server), 0);
  peer_prove (&peer, HELIX_PROOF_CLIENT, TOKEN);
  peer_expect_proof (&peer, HELIX_PROOF_SERVER, TOKEN);
  AWAIT (added, 2);
}
GST_END_TEST;

/* A host that was killed before the PROOF came: its successor says so. */
GST_START_TEST (test_connect_orphan)
{
  served_connect (TOKEN, 4);
  peer_prove (&peer, HELIX_PROOF_CLIENT, TOKEN);
  expect_error (&peer, HELIX_ERROR_TIMEOUT);
  peer_join (&peer, TOKEN);
  AWAIT (added, 1);
}
GST_END_TEST;

static Suite *
helix_stream_server_proof_suite (void)
{
  Suite *s = suite_create ("helix-stream-server-proof");
  TCase *tc = tcase_create ("proof");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, served_setup, served_teardown);
  tcase_add_test (tc, test_right);
  tcase_add_test (tc, test_hello_again);
  tcase_add_test (tc, test_full);
  tcase_add_test (tc, test_wrong);
  tcase_add_test (tc, test_in_the_clear);
  tcase_add_test (tc, test_replay);
  tcase_add_test (tc, test_reflected);
  tcase_add_test (tc, test_crowd);
  tcase_add_test (tc, test_stop);
  tcase_add_test (tc, test_connect);
  tcase_add_test (tc, test_connect_orphan);
  return s;
}

GST_CHECK_MAIN (helix_stream_server_proof);

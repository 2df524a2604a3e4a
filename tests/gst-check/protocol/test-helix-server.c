/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of section 2 of the specification: what a server makes of which
 * message in which state.
 */
#include "vectors.h"

#include "helix-server.h"

#include <string.h>

#define NONCE G_GUINT64_CONSTANT (0x0123456789abcdef) /* of the vectors */

static struct helix_server server;
static struct helix_server_said said;
static guint8 answer[HELIX_MAX_MESSAGE];

/* A new connection; `state` as after a HELLO. */
static void
begin (enum helix_role role, enum helix_server_state state)
{
  memset (&said, 0, sizeof said);
  helix_server_init (&server, role, 1000);
  server.state = state;
}

/* What is made of a message of protocol/vectors. */
static enum helix_server_verdict
take (const gchar *name)
{
  gchar *file = g_strdup_printf ("%s.hex", name);
  const struct vector *v = vectors_find (file);
  enum helix_reader_status status;
  struct helix_reader reader;
  gsize done = 0;

  helix_reader_init (&reader);
  do
    done += vectors_feed (
        &reader, v->bytes + done, v->size - done, G_MAXSIZE, &status);
  while (status == HELIX_READER_HEAD);
  expect (status == HELIX_READER_MESSAGE, "%s", name);
  g_free (file);
  return helix_server_take (&server, &reader, 2000, 3000, &said);
}

static const gchar *const ours[2][8] = {
    {"list", "show", "subscribe-scanout", "unsubscribe", "release",
        "set-scanout-on"},
    {"list", "show", "keyframe-gap", "config-all", "stats"}};
static const gchar *const others[2][8] = {
    {"keyframe-gap", "config-all", "stats", "welcome-frames", "frame-whole",
        "status-shim", "proof-client"},
    {"subscribe-scanout", "release", "set-scanout-on", "welcome-stream",
        "unit-key", "caps-h264", "proof-client"}};
static const enum helix_role roles[2] = {HELIX_ROLE_FRAMES, HELIX_ROLE_STREAM};

/* PING, PONG, ERROR and BYE at any time, unknown types as well. */
GST_START_TEST (test_any_state)
{
  for (gint i = 0; i < 6; i++) {
    begin (roles[i % 2], (enum helix_server_state) (i / 2));
    fail_unless (take ("valid/ping-bare-channel") == HELIX_SERVER_ANSWER);
    fail_unless_equals_int (said.size, 12);
    fail_unless (said.answer[4] == HELIX_PONG && said.answer[6] == 7);
    fail_unless (take ("valid/ping-stamped") == HELIX_SERVER_ANSWER);
    fail_unless_equals_int (said.size, 36);
    fail_unless (said.answer[20] == (2000 & 255) && said.answer[21] == 7);
    fail_unless (take ("valid/pong-stamped") == HELIX_SERVER_PONG);
    fail_unless (said.pong.ping_ns == 1000000001);
    fail_unless (take ("valid/bye-eos") == HELIX_SERVER_BYE);
    fail_unless_equals_string (said.text, "the pipeline ended");
    fail_unless (take ("valid/error-bare") == HELIX_SERVER_ERROR);
    fail_unless_equals_int (said.code, HELIX_ERROR_TIMEOUT);
    fail_unless (take ("valid/unknown-type") == HELIX_SERVER_REFUSE);
    fail_unless_equals_int (said.code, HELIX_ERROR_UNSUPPORTED);
    fail_unless (said.refers == 0x60 && said.channel == 5);
    fail_unless (take ("valid/old-dialect") == HELIX_SERVER_REFUSE);
    fail_unless_equals_int (said.code, HELIX_ERROR_UNSUPPORTED);
    fail_unless (take ("invalid/ping-short") == HELIX_SERVER_REFUSE);
    fail_unless_equals_int (said.code, HELIX_ERROR_PROTOCOL);
    fail_unless_equals_string (
        said.text, "PING: payload is neither empty nor 8 bytes");
    fail_unless (said.refers == HELIX_PING && said.channel == 0);
    fail_unless (take ("invalid/error-code") == HELIX_SERVER_REFUSE);
  }
}

GST_END_TEST;

/* In an open session the protocol's own messages are for its server; what is
 * for the other end, or of the other protocol, is not. */
GST_START_TEST (test_open)
{
  for (guint p = 0; p < 2; p++) {
    begin (roles[p], HELIX_SERVER_OPEN);
    for (guint i = 0; ours[p][i] != NULL; i++) {
      gchar *name = g_strconcat ("valid/", ours[p][i], NULL);

      expect (take (name) == HELIX_SERVER_MESSAGE, "%s", name);
      g_free (name);
    }
    for (guint i = 0; others[p][i] != NULL; i++) {
      gchar *name = g_strconcat ("valid/", others[p][i], NULL);

      expect (take (name) == HELIX_SERVER_REFUSE
              && said.code == HELIX_ERROR_UNSUPPORTED,
          "%s", name);
      g_free (name);
    }
  }
}

GST_END_TEST;

/* Before, every known one breaks the protocol; on a stream that lasts the own
 * ones show that their sender believes in a session, and others are ignored. */
GST_START_TEST (test_early)
{
  for (gint i = 0; i < 8; i++) {
    gint p = i % 2, proving = i / 2 % 2, lasts = i / 4;

    begin (roles[p], proving ? HELIX_SERVER_PROVING : HELIX_SERVER_NEW);
    server.lasts = lasts;
    for (guint k = 0; ours[p][k] != NULL; k++) {
      gchar *name = g_strconcat ("valid/", ours[p][k], NULL);
      enum helix_server_verdict verdict = take (name);

      expect (lasts
              ? verdict == HELIX_SERVER_ANSWER && said.answer[4] == HELIX_ERROR
                  && said.answer[12] == HELIX_ERROR_TIMEOUT
              : verdict == HELIX_SERVER_REFUSE
                  && said.code == HELIX_ERROR_PROTOCOL,
          "%s %d %d", name, proving, lasts);
      expect (lasts
              || g_str_has_suffix (
                  said.text, proving ? "before PROOF" : "before HELLO"),
          "%s", said.text);
      g_free (name);
    }
    fail_unless (take ("valid/unit-key")
        == (lasts ? HELIX_SERVER_NOTHING : HELIX_SERVER_REFUSE));
    fail_unless (take ("valid/ping-bare") == HELIX_SERVER_ANSWER);
    fail_unless (said.answer[4] == HELIX_PONG);
    fail_unless (take ("valid/ping-stamped") == HELIX_SERVER_ANSWER);
    fail_unless_equals_int (
        said.answer[4], lasts && !proving ? HELIX_ERROR : HELIX_PONG);
    fail_unless (take ("valid/proof-client")
        == (proving     ? HELIX_SERVER_PROOF
                : lasts ? HELIX_SERVER_ANSWER
                        : HELIX_SERVER_REFUSE));
  }
}

GST_END_TEST;

static void
expect_welcome (gsize size, const gchar *vector)
{
  const struct vector *v = vectors_find (vector);

  fail_unless (size == v->size && memcmp (answer, v->bytes, size) == 0);
}

GST_START_TEST (test_hello)
{
  const struct vector *proof = vectors_find ("valid/welcome-proof.hex");

  begin (HELIX_ROLE_FRAMES, HELIX_SERVER_NEW);
  fail_unless (take ("valid/hello-frames") == HELIX_SERVER_HELLO);
  fail_unless (server.state == HELIX_SERVER_NEW);
  fail_unless_equals_string (server.name, "helixqemusrc 0.1.0");
  expect_welcome (
      helix_server_welcome (&server, answer, 2, 77, "helix-shim 0.1.0", NULL),
      "valid/welcome-frames.hex");
  fail_unless (server.state == HELIX_SERVER_OPEN);
  /* Once, in the frame protocol. */
  fail_unless (take ("valid/hello-frames") == HELIX_SERVER_REFUSE);
  fail_unless_equals_string (said.text, "HELLO came twice");

  begin (HELIX_ROLE_STREAM, HELIX_SERVER_NEW);
  fail_unless (take ("valid/hello-control") == HELIX_SERVER_HELLO);
  fail_unless_equals_int (server.hello.role, HELIX_ROLE_CONTROL);
  server.proves = true;
  fail_unless (take ("valid/hello-proof") == HELIX_SERVER_HELLO);
  expect_welcome (helix_server_welcome (&server, answer, 0, 77,
                      "helixguestsink 0.1.0", proof->bytes + proof->size - 32),
      "valid/welcome-proof.hex");
  fail_unless (server.state == HELIX_SERVER_PROVING);
  /* What is refused leaves the last good one as it is. */
  fail_unless (take ("valid/hello-stream") == HELIX_SERVER_REFUSE);
  fail_unless_equals_int (said.code, HELIX_ERROR_AUTH);
  fail_unless_equals_int (server.hello.features, HELIX_FEATURE_PROOF);
  server.state = HELIX_SERVER_OPEN;
  fail_unless (take ("valid/hello-proof") == HELIX_SERVER_HELLO);
}

GST_END_TEST;

GST_START_TEST (test_wrong_hello)
{
  static const struct {
    const gchar *vector;
    enum helix_role role;
    enum helix_error_code code;
    const gchar *text;
  } wrong[] = {
      {"valid/hello-stream", HELIX_ROLE_FRAMES, HELIX_ERROR_ROLE, "role 2"},
      {"valid/hello-frames", HELIX_ROLE_STREAM, HELIX_ERROR_ROLE, "helixsrc"},
      {"valid/hello-token", HELIX_ROLE_STREAM, HELIX_ERROR_AUTH,
          "in the clear"},
      {"invalid/hello-role", HELIX_ROLE_STREAM, HELIX_ERROR_PROTOCOL,
          "HELLO: role is 0"},
  };
  struct helix_hello newer = {2, 9, HELIX_ROLE_FRAMES, 0, 0, NONCE, 0, 0, 0};
  enum helix_reader_status status;
  struct helix_reader reader;
  gsize size;

  for (guint i = 0; i < G_N_ELEMENTS (wrong); i++) {
    begin (wrong[i].role, HELIX_SERVER_NEW);
    fail_unless (take (wrong[i].vector) == HELIX_SERVER_REFUSE);
    fail_unless_equals_int (said.code, wrong[i].code);
    fail_unless_equals_int (said.refers, HELIX_HELLO);
    expect (strstr (said.text, wrong[i].text), "%s", said.text);
  }
  /* A server of frames does not look at a token. */
  begin (HELIX_ROLE_FRAMES, HELIX_SERVER_NEW);
  fail_unless (take ("valid/hello-versions") == HELIX_SERVER_HELLO);

  size = helix_pack_hello (answer, &newer, NULL);
  helix_reader_init (&reader);
  vectors_feed (&reader, answer, size, G_MAXSIZE, &status);
  fail_unless (
      helix_server_take (&server, &reader, 0, 0, &said) == HELIX_SERVER_REFUSE);
  fail_unless_equals_int (said.code, HELIX_ERROR_VERSION);
  expect (strstr (said.text, "versions 2 to 9"), "%s", said.text);
}

GST_END_TEST;

/* As many LISTs at once as the specification says, then some each second. */
GST_START_TEST (test_list_rate)
{
  struct helix_bucket bucket = {2, 100};

  begin (HELIX_ROLE_STREAM, HELIX_SERVER_OPEN);
  for (guint i = 0; i < HELIX_LIST_BURST; i++)
    fail_unless (take ("valid/list") == HELIX_SERVER_MESSAGE);
  fail_unless (take ("valid/list") == HELIX_SERVER_REFUSE);
  fail_unless_equals_int (said.code, HELIX_ERROR_LIMIT);
  fail_if (helix_error_is_fatal (said.code));

  fail_unless (helix_bucket_spend (&bucket, 3, 10, 100));
  fail_unless (helix_bucket_spend (&bucket, 3, 10, 100));
  fail_if (helix_bucket_spend (&bucket, 3, 10, 109));
  fail_unless (helix_bucket_spend (&bucket, 3, 10, 110));
  fail_if (helix_bucket_spend (&bucket, 3, 10, 110));
  for (guint i = 0; i < 3; i++)
    fail_unless (helix_bucket_spend (&bucket, 3, 10, 100000));
  fail_if (helix_bucket_spend (&bucket, 3, 10, 100000));
}

GST_END_TEST;

static Suite *
helix_server_suite (void)
{
  Suite *suite = suite_create ("helix-server");
  TCase *tc = tcase_create ("states");

  suite_add_tcase (suite, tc);
  tcase_add_test (tc, test_any_state);
  tcase_add_test (tc, test_open);
  tcase_add_test (tc, test_early);
  tcase_add_test (tc, test_hello);
  tcase_add_test (tc, test_wrong_hello);
  tcase_add_test (tc, test_list_rate);
  return suite;
}

GST_CHECK_MAIN (helix_server);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The stream server where it connects: a stream that outlives sessions. */
#include <gst/check/gstcheck.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "helix-platform.h"
#include "helix-test-time.h"
#include "stream-served.h"

GST_START_TEST (test_connect_resyncs)
{
  struct helix_stats stats = {.last_sequence = HELIX_NONE64};
  guint8 message[HELIX_MAX_MESSAGE];
  static const guint8 zeros[HELIX_MAX_MESSAGE + HELIX_HEADER_SIZE];
  gsize size;

  served_connect (NULL, 4);
  /* Half a message of a guest that was killed, then the next guest. */
  size = helix_pack_stats (message, &stats);
  peer_send (&peer, message, size - 3);
  peer_send (&peer, zeros, sizeof zeros);
  peer_hello (&peer, NULL);
  /* That one's STATS, whole at last, is answered, too; a guest scans past. */
  helix_reader_scan (&peer.reader, HELIX_WELCOME, 0x1122334455667788);
  fail_unless_equals_int (peer_next (&peer), HELIX_WELCOME);
  AWAIT (added, 1);
  served_push (0, TRUE, 100);
  peer_expect (&peer, HELIX_UNIT);
  /* That one is killed as well, without a word. */
  peer_send (&peer, zeros, sizeof zeros);
  served_hello (&peer);
  AWAIT (added, 2);
  AWAIT (removed, 1);
  served_push (1, FALSE, 100);
  served_push (2, TRUE, 100);
  fail_unless_equals_int (peer_next (&peer), HELIX_CAPS);
  fail_unless_equals_int (peer_next (&peer), HELIX_UNIT);
  fail_unless_equals_int (served_number_of (&peer), 2);
  fail_unless_equals_int (served_now (&served.problems), 0);
  peer_clear (&peer);
  /* The other side of the stream starts anew: so does the connection. */
  peer_accept (&peer, served.listener);
  served_hello (&peer);
}
GST_END_TEST;

/* What guest A says last, and how much of it. */
typedef struct {
  gsize (*say) (guint8 *message);
  guint cut;     /* bytes that it could not say any more */
  guint refusal; /* what it hears of that; 0: nothing */
} LastWords;

static gsize
say_config (guint8 *message)
{
  const struct helix_config config = {
      .fields = HELIX_CONFIG_BITRATE, .bitrate = 8000000, .rate_den = 1};

  return helix_pack_config (message, &config);
}

static gsize
say_hello (guint8 *message, guint16 version)
{
  const struct helix_hello hello = {.version_min = version,
      .version_max = version,
      .role = HELIX_ROLE_STREAM,
      .nonce = 0x99};

  return helix_pack_hello (message, &hello, "guest A");
}

static gsize
say_good_hello (guint8 *message)
{
  return say_hello (message, 1);
}

static gsize
say_wrong_version (guint8 *message)
{
  return say_hello (message, 9);
}

static gsize
say_old_token (guint8 *message)
{
  gsize size = say_good_hello (message);

  message[HELIX_HEADER_SIZE + offsetof (struct helix_hello, token_size)] = 3;
  message[HELIX_HEADER_SIZE + offsetof (struct helix_hello, name_size)] -= 3;
  return size;
}

static gsize
say_bye (guint8 *message)
{
  return helix_pack_bye (message, HELIX_BYE_CLOSING, "the program stops");
}

static gsize
say_caps (guint8 *message)
{
  return helix_pack_caps (message, &(const struct helix_caps){.caps_id = 1});
}

static gsize
say_garbage (guint8 *message)
{
  memset (message, 'x', 100);
  return 100;
}

static const LastWords last_words[] = {
    /* The padding completes it: with a bitrate of 0, or 0 as version. */
    {say_config, 20, HELIX_ERROR_PROTOCOL},
    {say_good_hello, 44, HELIX_ERROR_PROTOCOL},
    {say_good_hello, 3, 0},
    {say_wrong_version, 0, HELIX_ERROR_VERSION},
    {say_old_token, 0, HELIX_ERROR_AUTH},
    {say_bye, 0, 0},
    /* The padding ends the session, and may overtake the answer. */
    {say_caps, 0, 0},
    {say_garbage, 0, 0},
};

/* Whatever guest A ends with, the stream stays open, and guest B gets in by
 * its first HELLO. */
GST_START_TEST (test_connect_stays_open)
{
  const LastWords *words = &last_words[__i__];
  static const guint8 zeros[HELIX_HELLO_PAD];
  guint8 message[HELIX_MAX_MESSAGE];
  struct pollfd again = {.events = POLLIN};
  struct helix_error error;
  gchar text[HELIX_MAX_TEXT + 1];
  const gchar *why;
  gsize size;

  served_connect (NULL, 1);
  peer_hello (&peer, NULL);
  peer_expect (&peer, HELIX_WELCOME);
  AWAIT (added, 1);
  size = words->say (message) - words->cut;
  peer_send (&peer, message, size);
  peer_send (&peer, zeros, sizeof zeros);
  if (words->refusal != 0) {
    peer_expect (&peer, HELIX_ERROR);
    fail_unless (helix_unpack_error (
        &error, text, peer.reader.payload, peer.reader.payload_size, &why));
    fail_unless_equals_int (error.code, words->refusal);
  }
  peer_hello (&peer, NULL);
  helix_reader_scan (&peer.reader, HELIX_WELCOME, 0x1122334455667788);
  peer_expect (&peer, HELIX_WELCOME);
  served_await_at_least (&served.added, 2, "added");
  served_push (1, TRUE, 100);
  peer_expect (&peer, HELIX_UNIT);
  /* There was no second connection. */
  again.fd = served.listener;
  fail_unless_equals_int (poll (&again, 1, 0), 0);
}
GST_END_TEST;

static void
begin_session (StreamPeer *peer, const gchar *token)
{
  if (token != NULL) {
    peer_join (peer, token);
    return;
  }
  served_hello (peer);
}

/* What is no message is not of the session's owner: the session is over, also
 * with a token, and nothing goes out before the next HELLO. */
GST_START_TEST (test_connect_garbage)
{
  const gchar *token = __i__ == 0 ? NULL : "secret";
  guint8 message[HELIX_MAX_MESSAGE];

  served_connect (token, 4);
  begin_session (&peer, token);
  AWAIT (added, 1);
  peer_send (&peer, message, say_garbage (message));
  AWAIT (removed, 1);
  fail_unless (
      strstr (served.last_reason, "magic") != NULL, "%s", served.last_reason);
  fail_unless_equals_int (helix_stream_server_clients (served.server), 0);
  served_push (0, TRUE, 100);
  /* The next that comes is WELCOME, not the unit. */
  begin_session (&peer, token);
  AWAIT (added, 2);
  served_push (1, TRUE, 100);
  peer_expect (&peer, HELIX_UNIT);
  fail_unless_equals_int (served_number_of (&peer), 1);
  fail_unless_equals_int (served_now (&served.problems), 0);
}
GST_END_TEST;

/* A guest dies in the middle of a large unit; the next one's WELCOME does
 * not wait for the rest of it. */
GST_START_TEST (test_connect_abandons_unit)
{
  static const guint8 zeros[HELIX_MAX_MESSAGE + HELIX_HEADER_SIZE];

  served_connect (NULL, 4);
  served_hello (&peer);
  AWAIT (added, 1);
  served_push (0, TRUE, 4 << 20);
  fail_unless (served_client_stat (0, "queued-units") == 1);
  peer_send (&peer, zeros, sizeof zeros);
  peer_hello (&peer, NULL);
  AWAIT (added, 2);
  helix_reader_scan (&peer.reader, HELIX_WELCOME, 0x1122334455667788);
  fail_unless_equals_int (peer_next (&peer), HELIX_WELCOME);
  fail_unless (peer.reader.skipped > 0);
  fail_unless (peer.reader.skipped < 4 << 20);
  served_push (1, TRUE, 100);
  fail_unless_equals_int (peer_next (&peer), HELIX_CAPS);
  fail_unless_equals_int (peer_next (&peer), HELIX_UNIT);
  fail_unless_equals_int (served_number_of (&peer), 1);
}
GST_END_TEST;

/* A client that showed a picture is killed, and the stream does not tell: its
 * successor does, or the silence. The scanout comes back in either case. */
GST_START_TEST (test_connect_forgets_show)
{
  struct helix_show show = {.resource_id = 12, .capture_ns = 5};
  static const guint8 zeros[HELIX_MAX_MESSAGE + HELIX_HEADER_SIZE];
  guint8 message[HELIX_MAX_MESSAGE];
  gsize size = helix_pack_show (message, 0, &show);

  served_connect (NULL, 4);
  helix_stream_server_apply (served.server);
  for (guint i = 1; i <= 2; i++) {
    peer_hello_as (&peer, NULL, HELIX_ROLE_CONTROL);
    peer_expect (&peer, HELIX_WELCOME);
    AWAIT (requests, i - 1);
    peer_send (&peer, message, size);
    AWAIT (shows, i);
    peer_send (&peer, zeros, sizeof zeros);
  }
  AWAIT (requests, 2);
  fail_unless_equals_int (served.last_request.fields, HELIX_CONFIG_RESOURCE);
  fail_unless_equals_int (served.last_request.resource_id, 0);
  fail_unless_equals_int (served_now (&served.shows), 2);
}
GST_END_TEST;

/* A guest is told what it is called, not what the host calls the port. */
GST_START_TEST (test_connect_names)
{
  g_autofree gchar *names = NULL;

  served_connect (NULL, 4);
  served_hello (&peer);
  names = peer_list_names (&peer);
  fail_unless_equals_string (names, "[test]");
}
GST_END_TEST;

/* What accepts, begins a session and closes at once is not asked in a hurry. */
GST_START_TEST (test_connect_pauses)
{
  served_connect (NULL, 4);
  for (guint i = 0; i < 3; i++) {
    guint64 begin;

    served_hello (&peer);
    begin = helix_now_ns ();
    peer_clear (&peer);
    peer_accept (&peer, served.listener);
    fail_unless (helix_now_ns () - begin >= 10 * GST_MSECOND);
  }
}
GST_END_TEST;

/* No other end: told once, within a second, and tried again. */
GST_START_TEST (test_connect_waits)
{
  guint64 begin = helix_now_ns ();
  gint listener;

  served_start_with (FALSE, NULL, 4, TRUE);
  AWAIT (problems, 1);
  fail_unless (helix_now_ns () - begin < TEST_SOON);
  fail_if (served.fatal_problem);
  fail_unless (strstr (served.last_problem, served.path) != NULL);
  fail_unless (strstr (served.last_problem, "no server") != NULL);
  listener = peer_listen (served.path);
  peer_accept (&peer, listener);
  served_hello (&peer);
  fail_unless_equals_int (served_now (&served.problems), 1);
  close (listener);
}
GST_END_TEST;

GST_START_TEST (test_connect_gives_up)
{
  fail_unless (g_file_set_contents (served.path, "x", 1, NULL));
  served_start_with (FALSE, NULL, 4, TRUE);
  AWAIT (problems, 1);
  fail_unless (served.fatal_problem);
  fail_unless (strstr (served.last_problem, "regular file") != NULL);
}
GST_END_TEST;

static Suite *
helix_stream_server_connect_suite (void)
{
  Suite *s = suite_create ("helix-stream-server-connect");
  TCase *tc = tcase_create ("connect");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, served_setup, served_teardown);
  tcase_add_test (tc, test_connect_resyncs);
  tcase_add_loop_test (
      tc, test_connect_stays_open, 0, G_N_ELEMENTS (last_words));
  tcase_add_loop_test (tc, test_connect_garbage, 0, 2);
  tcase_add_test (tc, test_connect_abandons_unit);
  tcase_add_test (tc, test_connect_forgets_show);
  tcase_add_test (tc, test_connect_names);
  tcase_add_test (tc, test_connect_pauses);
  tcase_add_test (tc, test_connect_waits);
  tcase_add_test (tc, test_connect_gives_up);
  return s;
}

GST_CHECK_MAIN (helix_stream_server_connect);

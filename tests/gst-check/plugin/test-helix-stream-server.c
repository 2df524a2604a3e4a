/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <gst/check/gstcheck.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "helix-platform.h"
#include "stream-served.h"

/* ---- the conversation ---- */

GST_START_TEST (test_join)
{
  served_start ();
  served_set_caps ();
  served_push (0, TRUE, 100);
  served_join (&peer);
  AWAIT (added, 1);
  AWAIT (keyframes, 1);
  fail_unless_equals_int (helix_stream_server_clients (served.server), 1);
  served_push (1, FALSE, 100);
  served_push (2, TRUE, 5000);
  served_push (3, FALSE, 10);
  fail_unless_equals_int (peer_next (&peer), HELIX_CAPS);
  fail_unless_equals_int (peer_next (&peer), HELIX_UNIT);
  fail_unless_equals_int (served_number_of (&peer), 2);
  fail_unless_equals_int (peer.unit.sequence, 2);
  fail_unless_equals_int (peer.unit.flags, HELIX_UNIT_KEY | HELIX_UNIT_DISCONT);
  fail_unless_equals_int (peer_next (&peer), HELIX_UNIT);
  fail_unless_equals_int (served_number_of (&peer), 3);
  fail_unless_equals_int (peer.unit.flags, 0);
  peer_clear (&peer);
  AWAIT (removed, 1);
  fail_unless_equals_int (helix_stream_server_clients (served.server), 0);
  fail_unless_equals_int (served_now (&served.problems), 0);
}
GST_END_TEST;

GST_START_TEST (test_second_caps)
{
  served_start ();
  served_set_caps ();
  served_join (&peer);
  served_push (0, TRUE, 100);
  served_set_caps ();
  served_push (1, TRUE, 100);
  fail_unless_equals_int (peer_next (&peer), HELIX_CAPS);
  fail_unless_equals_int (peer_next (&peer), HELIX_UNIT);
  fail_unless_equals_int (peer_next (&peer), HELIX_CAPS);
  fail_unless_equals_int (peer_next (&peer), HELIX_UNIT);
  fail_unless_equals_int (peer.unit.caps_id, 2);
}
GST_END_TEST;

static guint8 message[HELIX_MAX_MESSAGE];

GST_START_TEST (test_garbage)
{
  static const gchar request[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
  guint8 unit[300] = {'H', 'X', 'F', 'R', HELIX_UNIT, 0, 0, 0, 200, 0, 0, 0};

  served_start ();
  peer_connect (&peer, served.path);
  peer_send (&peer, request, sizeof request - 1);
  peer_expect_refusal (&peer, HELIX_ERROR_PROTOCOL);
  peer_clear (&peer);
  AWAIT (problems, 1);
  /* The next one is counted, but a flood of warnings would be its success. */
  served_join (&peer);
  peer_send (&peer, unit, sizeof unit);
  peer_expect_refusal (&peer, HELIX_ERROR_PROTOCOL);
  peer_clear (&peer);
  AWAIT (removed, 1);
  fail_unless_equals_int (served_now (&served.problems), 1);
}
GST_END_TEST;

GST_START_TEST (test_max_clients)
{
  StreamPeer first, second;

  served_start_with (TRUE, NULL, 1, TRUE);
  served_join (&first);
  peer_connect (&second, served.path);
  peer_hello (&second, NULL);
  peer_expect_refusal (&second, HELIX_ERROR_BUSY);
  peer_clear (&second);
  peer_clear (&first);
  AWAIT (removed, 1);
  served_join (&second);
  peer_clear (&second);
}
GST_END_TEST;

/* ---- slow and dead ones ---- */

/* Sends until the first client, which reads nothing, gets no more: its socket
 * is full, and what waits for it is old. */
static guint32
fill_up (StreamPeer *reading)
{
  guint32 n = 1;

  served_push (0, TRUE, 20000);
  for (; served_client_stat (0, "dropped") == 0
       && served_now (&served.removed) == 0;
       n++) {
    served_push (n, FALSE, 20000);
    peer_expect (reading, HELIX_UNIT);
    fail_unless_equals_int (served_number_of (reading), n - 1);
  }
  peer_expect (reading, HELIX_UNIT);
  fail_unless_equals_int (served_number_of (reading), n - 1);
  return n;
}

GST_START_TEST (test_slow_client)
{
  StreamPeer slow, quick;
  guint32 n;
  guint asked;

  served_start ();
  served_set_caps ();
  served_join (&slow);
  served_join (&quick);
  AWAIT (added, 2);
  n = fill_up (&quick);
  fail_unless (served_client_stat (0, "dropped") > 0);
  fail_unless_equals_int (served_client_stat (1, "dropped"), 0);

  /* While it is stuck no keyframe is made for it. */
  asked = served_now (&served.keyframes);
  served_push (n, FALSE, 20000);
  peer_expect (&quick, HELIX_UNIT);
  fail_unless_equals_int (served_now (&served.keyframes), asked);
  peer_clear (&slow);
  peer_clear (&quick);
}
GST_END_TEST;

GST_START_TEST (test_recover_none)
{
  StreamPeer slow, quick;

  served_start_with (TRUE, NULL, 4, FALSE);
  served_set_caps ();
  served_join (&slow);
  served_join (&quick);
  AWAIT (added, 2);
  fill_up (&quick);
  AWAIT (removed, 1);
  fail_unless (strstr (served.last_reason, "slow") != NULL);
  fail_unless_equals_int (helix_stream_server_clients (served.server), 1);
  peer_clear (&slow);
  peer_clear (&quick);
}
GST_END_TEST;

/* Asking for ever without reading an answer ends the connection, not the
 * memory. */
GST_START_TEST (test_ping_flood)
{
  static guint8 pings[HELIX_HEADER_SIZE * 1000];
  guint i;

  served_start ();
  served_join (&peer);
  AWAIT (added, 1);
  for (i = 0; i < 1000; i++)
    helix_pack_empty (pings + i * HELIX_HEADER_SIZE, HELIX_PING, 0);
  for (i = 0; i < 2000; i++) {
    struct iovec iov = {.iov_base = pings, .iov_len = sizeof pings};
    struct pollfd entry = {.fd = peer.fd, .events = POLLOUT};

    if (helix_send (peer.fd, &iov, 1, -1) < 0
        && (errno != EAGAIN || poll (&entry, 1, 2000) == 0))
      break;
  }
  AWAIT (removed, 1);
}
GST_END_TEST;

/* ---- ends ---- */

static gpointer
end_stream (gpointer data)
{
  helix_stream_server_end (served.server, PEER_TIMEOUT_MS);
  return NULL;
}

GST_START_TEST (test_end_of_stream)
{
  GThread *thread;
  gchar text[HELIX_MAX_TEXT + 1];
  struct helix_bye bye;
  const gchar *why;
  guint32 n;

  served_start ();
  served_set_caps ();
  served_join (&peer);
  AWAIT (added, 1);
  served_push (0, TRUE, 150000);
  for (n = 1; n < 20; n++)
    served_push (n, FALSE, 20000);
  thread = g_thread_new ("end", end_stream, NULL);
  for (guint32 i = 0; i < n; i++) {
    peer_expect (&peer, HELIX_UNIT);
    fail_unless_equals_int (served_number_of (&peer), i);
  }
  fail_unless_equals_int (peer_next (&peer), HELIX_BYE);
  fail_unless (helix_unpack_bye (
      &bye, text, peer.reader.payload, peer.reader.payload_size, &why));
  fail_unless_equals_int (bye.reason, HELIX_BYE_EOS);
  fail_unless_equals_int (peer_next (&peer), 0);
  g_thread_join (thread);
}
GST_END_TEST;

/* The end does not wait for a client that reads nothing longer than allowed; an
 * interrupt ends even that. */
GST_START_TEST (test_end_is_bounded)
{
  guint64 begin;

  served_start ();
  served_set_caps ();
  served_join (&peer);
  AWAIT (added, 1);
  served_push (0, TRUE, 4 << 20);
  begin = helix_now_ns ();
  helix_stream_server_end (served.server, 100);
  fail_unless (helix_now_ns () - begin >= 90 * GST_MSECOND);
  helix_stream_server_interrupt (served.server, TRUE);
  helix_stream_server_end (served.server, 100000);
}
GST_END_TEST;

/* A server that cannot start leaves no descriptor, and its address free. */
GST_START_TEST (test_out_of_descriptors)
{
  g_autoptr (HelixAddress) address =
      helix_address_parse ("tcp:127.0.0.1:0", NULL);
  HelixStreamServerConfig config = {
      address, TRUE, NULL, 4, TRUE, HELIX_STREAM_MAX_AGE_MS, FALSE};
  gint lowest = peer_next_descriptor ();
  guint failures = 0;

  for (gint n = lowest; served.server == NULL; n++) {
    g_autoptr (GError) error = NULL;

    peer_limit_descriptors ((guint) n);
    served.server = helix_stream_server_new (&config, NULL, NULL, &error);
    peer_limit_descriptors (0);
    if (served.server != NULL)
      break;
    fail_unless (strstr (error->message, address->text) != NULL);
    fail_unless_equals_int (peer_next_descriptor (), lowest);
    failures++;
  }
  /* The socket, and what wakes the thread. */
  fail_unless (failures >= 2);
}
GST_END_TEST;

/* A connection for which no descriptor is left waits without the server's
 * turning round and round, and is served when there is one again. */
GST_START_TEST (test_cannot_accept)
{
  served_start ();
  peer_init (&peer, helix_socket (AF_UNIX));
  peer_limit_descriptors ((guint) peer_next_descriptor ());
  fail_unless_equals_int (helix_unix_connect (peer.fd, served.path), 0);
  AWAIT (problems, 1);
  fail_if (served.fatal_problem);
  fail_unless (peer_cpu_time () < 100000);
  peer_limit_descriptors (0);
  served_hello (&peer);
}
GST_END_TEST;

GST_START_TEST (test_leave_and_vanish)
{
  served_start ();
  served_join (&peer);
  peer_send (
      &peer, message, helix_pack_bye (message, HELIX_BYE_CLOSING, "done"));
  fail_unless_equals_int (peer_next (&peer), 0);
  AWAIT (removed, 1);
  peer_clear (&peer);
  /* In the middle of a message. */
  served_join (&peer);
  peer_send (&peer, message, 5);
  peer_clear (&peer);
  AWAIT (removed, 2);
  fail_unless_equals_int (served_now (&served.problems), 0);
}
GST_END_TEST;

/* Start and stop, with a peer in every state, leave nothing behind. */
GST_START_TEST (test_restart)
{
  for (guint i = 0; i < 100; i++) {
    StreamPeer peer;

    served_start_with (TRUE, i % 4 == 3 ? "secret" : NULL, 4, TRUE);
    if (i % 4 > 0)
      peer_connect (&peer, served.path);
    if (i % 4 > 1)
      peer_hello (&peer, "secret");
    if (i % 4 > 2)
      peer_expect_challenge (&peer);
    served_stop ();
    fail_unless (access (served.path, F_OK) < 0);
    if (i % 4 > 0)
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
  tcase_add_checked_fixture (tc, served_setup, served_teardown);
  tcase_add_test (tc, test_join);
  tcase_add_test (tc, test_second_caps);
  tcase_add_test (tc, test_garbage);
  tcase_add_test (tc, test_max_clients);
  tcase_add_test (tc, test_slow_client);
  tcase_add_test (tc, test_recover_none);
  tcase_add_test (tc, test_ping_flood);
  tcase_add_test (tc, test_end_of_stream);
  tcase_add_test (tc, test_end_is_bounded);
  tcase_add_test (tc, test_out_of_descriptors);
  tcase_add_test (tc, test_cannot_accept);
  tcase_add_test (tc, test_leave_and_vanish);
  tcase_add_test (tc, test_restart);
  return s;
}

GST_CHECK_MAIN (helix_stream_server);

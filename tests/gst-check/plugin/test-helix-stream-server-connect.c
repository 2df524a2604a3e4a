/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The stream server where it connects: a stream that outlives sessions. */
#include <gst/check/gstcheck.h>
#include <string.h>
#include <unistd.h>

#include "helix-platform.h"
#include "stream-served.h"

GST_START_TEST (test_connect_resyncs)
{
  struct helix_stats stats = {.last_sequence = HELIX_NONE64};
  guint8 message[HELIX_MAX_MESSAGE];
  static const guint8 zeros[HELIX_MAX_MESSAGE + HELIX_HEADER_SIZE];
  StreamPeer peer;
  gint listener = peer_listen (served.path);
  gsize size;

  served_start_with (FALSE, NULL, 4, TRUE);
  served_set_caps ();
  peer_accept (&peer, listener);
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
  peer_hello (&peer, NULL);
  fail_unless_equals_int (peer_next (&peer), HELIX_WELCOME);
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
  gint listener = peer_listen (served.path);
  StreamPeer peer;

  served_start_with (FALSE, NULL, 4, TRUE);
  served_set_caps ();
  peer_accept (&peer, listener);
  peer_hello (&peer, NULL);
  fail_unless_equals_int (peer_next (&peer), HELIX_WELCOME);
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
  peer_clear (&peer);
  close (listener);
}
GST_END_TEST;

/* Whoever showed a picture is killed, and the stream does not tell: a successor
 * does, or the silence. The scanout comes back in either case. */
GST_START_TEST (test_connect_forgets_show)
{
  struct helix_show show = {.resource_id = 12, .capture_ns = 5};
  static const guint8 zeros[HELIX_MAX_MESSAGE + HELIX_HEADER_SIZE];
  gint listener = peer_listen (served.path);
  guint8 message[HELIX_MAX_MESSAGE];
  gsize size = helix_pack_show (message, 0, &show);
  StreamPeer peer;

  served_start_with (FALSE, NULL, 4, TRUE);
  helix_stream_server_obey (served.server);
  peer_accept (&peer, listener);
  for (guint i = 1; i <= 2; i++) {
    peer_hello_as (&peer, NULL, HELIX_ROLE_CONTROL);
    peer_expect (&peer, HELIX_WELCOME);
    AWAIT (wishes, i - 1);
    peer_send (&peer, message, size);
    AWAIT (shows, i);
    peer_send (&peer, zeros, sizeof zeros);
  }
  AWAIT (wishes, 2);
  fail_unless_equals_int (served.last_wish.fields, HELIX_CONFIG_RESOURCE);
  fail_unless_equals_int (served.last_wish.resource_id, 0);
  fail_unless_equals_int (served_now (&served.shows), 2);
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

  served_start_with (FALSE, NULL, 4, TRUE);
  AWAIT (problems, 1);
  fail_unless (helix_now_ns () - begin < GST_SECOND);
  fail_if (served.fatal_problem);
  fail_unless (strstr (served.last_problem, served.path) != NULL);
  fail_unless (strstr (served.last_problem, "no server") != NULL);
  listener = peer_listen (served.path);
  peer_accept (&peer, listener);
  peer_hello (&peer, NULL);
  fail_unless_equals_int (peer_next (&peer), HELIX_WELCOME);
  fail_unless_equals_int (served_now (&served.problems), 1);
  peer_clear (&peer);
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
  tcase_add_test (tc, test_connect_abandons_unit);
  tcase_add_test (tc, test_connect_forgets_show);
  tcase_add_test (tc, test_connect_waits);
  tcase_add_test (tc, test_connect_gives_up);
  return s;
}

GST_CHECK_MAIN (helix_stream_server_connect);

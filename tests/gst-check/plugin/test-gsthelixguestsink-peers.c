/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who may connect to helixguestsink, and who may not. */
#include <errno.h>
#include <gst/check/gstcheck.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "helix-platform.h"
#include "helix-test-nobody.h"
#include "stream-peer.h"
#include "stream-pipeline.h"

/* A second user without rights. */
#define SOMEBODY (TEST_NOBODY - 1)

/* Where the sink listens, and where its peers connect to. */
static const struct {
  const gchar *listen, *connect;
} ways[] = {
    {"127.0.0.1", "127.0.0.1"},
    {"[::1]", "::1"},
    {"127.0.0.1", "::ffff:127.0.0.1"},
};

typedef struct {
  GstElement *pipeline, *end;
  guint port;
} Host;

/* The element "end" of the pipeline listens at `address`, a TCP one, and gets a
 * port. FALSE: this machine has no IPv6. */
static gboolean
host_start_with (
    Host *host, const gchar *before, const gchar *address, const gchar *behind)
{
  g_autofree gchar *bound = NULL;

  host->pipeline = pipeline_launch (
      "%s name=end address=tcp:%s:0 %s", before, address, behind);
  host->end = gst_bin_get_by_name (GST_BIN (host->pipeline), "end");
  if (gst_element_set_state (host->pipeline, GST_STATE_PLAYING)
      == GST_STATE_CHANGE_FAILURE) {
    fail_unless (address[0] == '[', "cannot listen on %s", address);
    g_print ("SKIP in %s: no address %s here\n", g_get_prgname (), address);
    gst_object_unref (host->end);
    pipeline_end (host->pipeline);
    return FALSE;
  }
  bound = element_address (host->end);
  host->port = (guint) g_ascii_strtoull (strrchr (bound, ':') + 1, NULL, 10);
  fail_unless (host->port > 0, "%s", bound);
  return TRUE;
}

static gboolean
host_start (Host *host, const gchar *address, const gchar *properties)
{
  return host_start_with (host,
      "appsrc caps=video/x-vp8,width=320,height=240 ! helixguestsink", address,
      properties);
}

/* FALSE: this machine has no socket for what connects that way. */
static gboolean
has_way (guint way)
{
  gint fd = helix_socket (
      strchr (ways[way].connect, ':') != NULL ? AF_INET6 : AF_INET);

  if (fd < 0) {
    g_print ("SKIP in %s: no address %s here\n", g_get_prgname (),
        ways[way].connect);
    return FALSE;
  }
  close (fd);
  return TRUE;
}

static gboolean
host_start_way (Host *host, guint way)
{
  return has_way (way) && host_start (host, ways[way].listen, "");
}

static void
host_stop (Host *host)
{
  gst_object_unref (host->end);
  pipeline_end (host->pipeline);
}

static void
expect_served (const Host *host, const gchar *at, uid_t uid)
{
  StreamPeer peer;

  peer_connect_tcp (&peer, uid, at, host->port);
  peer_hello (&peer, NULL);
  fail_unless_equals_int (peer_next (&peer), HELIX_WELCOME);
  peer_clear (&peer);
}

/* An ERROR, which says `why`, is all that it hears; it asks for everything. */
static void
expect_refused (const Host *host, const gchar *at, uid_t uid, const gchar *why)
{
  gchar text[HELIX_MAX_TEXT + 1];
  struct helix_error error;
  StreamPeer peer;

  peer_connect_tcp (&peer, uid, at, host->port);
  peer_hello_as (&peer, NULL, HELIX_ROLE_CONTROL);
  PEER_SEND (&peer, empty, HELIX_LIST, 0);
  fail_unless_equals_int (peer_next_any (&peer), HELIX_ERROR);
  PEER_UNPACK (&peer, error, &error, text);
  fail_unless_equals_int (error.code, HELIX_ERROR_AUTH);
  fail_unless (strstr (text, why) != NULL, "%s", text);
  fail_unless (strstr (text, "token-file") != NULL, "%s", text);
  fail_unless_equals_int (peer_next_any (&peer), 0);
  peer_clear (&peer);
}

GST_START_TEST (test_same_user)
{
  Host host;

  if (!host_start_way (&host, __i__))
    return;
  expect_served (&host, ways[__i__].connect, geteuid ());
  host_stop (&host);
}
GST_END_TEST;

GST_START_TEST (test_other_user)
{
  g_autofree gchar *warning = NULL;
  Host host;

  if (!test_can_be_nobody ("another user's connection")
      || !host_start_way (&host, __i__))
    return;
  expect_refused (
      &host, ways[__i__].connect, TEST_NOBODY, "this end runs as root");
  warning = pipeline_message_of (host.pipeline, GST_MESSAGE_WARNING);
  fail_unless (strstr (warning, "uid 65534") != NULL, "%s", warning);
  fail_unless (strstr (warning, "insecure=true") != NULL, "%s", warning);
  fail_unless_equals_uint64 (element_stat (host.end, "clients-total"), 0);
  fail_unless_equals_uint64 (element_stat (host.end, "rejected"), 1);
  host_stop (&host);
}
GST_END_TEST;

/* The sink's user and root may, and no other user. */
GST_START_TEST (test_ordinary_user)
{
  Host host;

  if (!test_can_be_nobody ("root's connection to another user"))
    return;
  fail_unless (seteuid (TEST_NOBODY) == 0);
  if (host_start_way (&host, __i__)) {
    expect_served (&host, ways[__i__].connect, TEST_NOBODY);
    expect_refused (
        &host, ways[__i__].connect, SOMEBODY, "own user and root may connect");
    expect_served (&host, ways[__i__].connect, 0);
    host_stop (&host);
  }
  fail_unless (seteuid (0) == 0);
}
GST_END_TEST;

/* A refused connection takes no place, and warns once a second. */
GST_START_TEST (test_flood)
{
  StreamPeer peers[60];
  GstMessage *message;
  GstBus *bus;
  guint warnings = 0;
  Host host;

  if (!test_can_be_nobody ("many connections of another user"))
    return;
  fail_unless (host_start (&host, "127.0.0.1", "max-clients=1"));
  for (guint i = 0; i < G_N_ELEMENTS (peers); i++)
    peer_connect_tcp (&peers[i], TEST_NOBODY, "127.0.0.1", host.port);
  expect_served (&host, "127.0.0.1", geteuid ());
  for (guint i = 0; i < G_N_ELEMENTS (peers); i++) {
    peer_expect_refusal (&peers[i], HELIX_ERROR_AUTH);
    peer_clear (&peers[i]);
  }
  fail_unless_equals_uint64 (
      element_stat (host.end, "rejected"), G_N_ELEMENTS (peers));
  bus = gst_element_get_bus (host.pipeline);
  while ((message = gst_bus_pop_filtered (bus, GST_MESSAGE_WARNING)) != NULL) {
    warnings++;
    gst_message_unref (message);
  }
  fail_unless (warnings >= 1 && warnings < G_N_ELEMENTS (peers));
  gst_object_unref (bus);
  host_stop (&host);
}
GST_END_TEST;

/* All users, at all addresses. */
GST_START_TEST (test_insecure)
{
  Host host;

  fail_unless (host_start (&host, "0.0.0.0", "insecure=true"));
  expect_served (&host, "127.0.0.1", geteuid ());
  host_stop (&host);
  if (!test_can_be_nobody ("insecure=true and another user"))
    return;
  fail_unless (host_start (&host, "127.0.0.1", "insecure=true"));
  expect_served (&host, "127.0.0.1", TEST_NOBODY);
  host_stop (&host);
}
GST_END_TEST;

/* With a token every user may try, and has to know it. */
GST_START_TEST (test_token)
{
  uid_t uid = geteuid ();
  StreamPeer peer;
  Host host;

  fail_unless (host_start (&host, "0.0.0.0", "token=secret"));
  if (test_can_be_nobody ("a token and another user"))
    uid = TEST_NOBODY;
  peer_connect_tcp (&peer, uid, "127.0.0.1", host.port);
  peer_hello (&peer, NULL);
  peer_expect_refusal (&peer, HELIX_ERROR_AUTH);
  peer_clear (&peer);
  peer_connect_tcp (&peer, uid, "127.0.0.1", host.port);
  peer_join (&peer, "secret");
  peer_clear (&peer);
  host_stop (&host);
}
GST_END_TEST;

/* A TCP client may be a guest: it gets no names and pids of the host. */
GST_START_TEST (test_names)
{
  g_autofree gchar *names = NULL;
  gchar name[HELIX_MAX_NAME + 1];
  struct helix_welcome welcome;
  StreamPeer one, two;
  Host host;

  fail_unless (host_start (&host, "127.0.0.1", ""));
  peer_connect_tcp (&one, geteuid (), "127.0.0.1", host.port);
  peer_hello (&one, NULL);
  fail_unless_equals_int (peer_next (&one), HELIX_WELCOME);
  PEER_UNPACK (&one, welcome, &welcome, name, NULL);
  fail_unless_equals_int (welcome.pid, 0);
  peer_connect_tcp (&two, geteuid (), "127.0.0.1", host.port);
  peer_hello (&two, NULL);
  fail_unless_equals_int (peer_next (&two), HELIX_WELCOME);
  names = peer_list_names (&two);
  fail_unless_equals_string (names, "()[test]");
  peer_clear (&one);
  peer_clear (&two);
  host_stop (&host);
}
GST_END_TEST;

static gboolean
source_start (Host *host, const gchar *address, const gchar *properties)
{
  g_autofree gchar *source =
      g_strdup_printf ("helixsrc mode=listen %s", properties);

  return host_start_with (host, source, address, "! fakesink");
}

/* Another user, who may not bring video to a helixsrc. */
static void
intrude (const Host *host, const gchar *at)
{
  StreamPeer peer;

  peer_connect_tcp (&peer, TEST_NOBODY, at, host->port);
  peer_expect_refusal (&peer, HELIX_ERROR_AUTH);
  peer_clear (&peer);
}

/* The other way round: who may bring video to a helixsrc that listens. That
 * nobody has come yet does not hide who comes then. */
GST_START_TEST (test_listening_source)
{
  StreamPeer peer;
  Host host;

  if (!has_way (__i__) || !source_start (&host, ways[__i__].listen, ""))
    return;
  pipeline_expect (
      host.pipeline, GST_MESSAGE_WARNING, "no end has connected yet");
  if (test_can_be_nobody ("another user's connection to helixsrc")) {
    intrude (&host, ways[__i__].connect);
    pipeline_expect (host.pipeline, GST_MESSAGE_WARNING, "uid 65534");
  }
  peer_connect_tcp (&peer, geteuid (), ways[__i__].connect, host.port);
  peer_welcome (&peer);
  peer_clear (&peer);
  host_stop (&host);
}
GST_END_TEST;

/* Nor does one who comes at once hide that nobody else does. Each is said once;
 * on a slow machine in the other order. */
GST_START_TEST (test_listening_source_told)
{
  g_autofree gchar *first = NULL;
  Host host;

  if (!test_can_be_nobody ("another user at helixsrc before all others"))
    return;
  fail_unless (source_start (&host, "127.0.0.1", ""));
  intrude (&host, "127.0.0.1");
  intrude (&host, "127.0.0.1");
  first = pipeline_message_of (host.pipeline, GST_MESSAGE_WARNING);
  pipeline_expect (host.pipeline, GST_MESSAGE_WARNING,
      strstr (first, "uid 65534") != NULL ? "no end has connected yet"
                                          : "uid 65534");
  host_stop (&host);
}
GST_END_TEST;

/* Likewise of a program that does not know the token. */
GST_START_TEST (test_listening_source_token)
{
  StreamPeer peer;
  Host host;

  fail_unless (source_start (&host, "127.0.0.1", "token=secret"));
  pipeline_expect (
      host.pipeline, GST_MESSAGE_WARNING, "no end has connected yet");
  peer_connect_tcp (&peer, geteuid (), "127.0.0.1", host.port);
  peer_welcome (&peer);
  pipeline_expect (host.pipeline, GST_MESSAGE_WARNING, "token");
  peer_clear (&peer);
  host_stop (&host);
}
GST_END_TEST;

static int
connect_unix (void *path)
{
  gint fd = helix_socket (AF_UNIX);

  return !(helix_unix_connect (fd, path) < 0 && errno == EACCES);
}

/* The mode of the socket's file keeps others out. */
GST_START_TEST (test_unix)
{
  g_autofree gchar *folder = peer_folder_new ();
  g_autofree gchar *path = g_build_filename (folder, "s", NULL);
  GstElement *sink = gst_element_factory_make ("helixguestsink", NULL);
  g_autofree gchar *address = g_strdup_printf ("unix:%s", path);
  struct stat st;

  gst_object_ref_sink (sink);
  g_object_set (sink, "address", address, NULL);
  fail_unless (gst_element_set_state (sink, GST_STATE_PAUSED)
      != GST_STATE_CHANGE_FAILURE);
  fail_unless (stat (path, &st) == 0);
  fail_unless_equals_int (st.st_mode & 07777, 0600);
  if (test_can_be_nobody ("another user at a UNIX socket")) {
    fail_unless (chmod (folder, 0755) == 0);
    fail_unless_equals_int (test_as_nobody (connect_unix, path), 0);
  }
  pipeline_end (sink);
  peer_folder_free (g_steal_pointer (&folder));
}
GST_END_TEST;

static Suite *
helixguestsink_peers_suite (void)
{
  Suite *s = suite_create ("helixguestsink-peers");
  TCase *tc = tcase_create ("peers");

  suite_add_tcase (s, tc);
  tcase_add_loop_test (tc, test_same_user, 0, G_N_ELEMENTS (ways));
  tcase_add_loop_test (tc, test_other_user, 0, G_N_ELEMENTS (ways));
  tcase_add_loop_test (tc, test_ordinary_user, 0, G_N_ELEMENTS (ways));
  tcase_add_test (tc, test_flood);
  tcase_add_test (tc, test_insecure);
  tcase_add_test (tc, test_token);
  tcase_add_test (tc, test_names);
  tcase_add_loop_test (tc, test_listening_source, 0, G_N_ELEMENTS (ways));
  tcase_add_test (tc, test_listening_source_told);
  tcase_add_test (tc, test_listening_source_token);
  tcase_add_test (tc, test_unix);
  return s;
}

GST_CHECK_MAIN (helixguestsink_peers);

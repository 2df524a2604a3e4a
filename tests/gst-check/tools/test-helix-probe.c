/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A probe of a real shim, and LIST. What it makes of other peers is in doctor's
 * tests; what its connection makes of them, in helix-connection's.
 */
#include <gst/check/gstcheck.h>
#include <string.h>
#include <unistd.h>

#include "helix-probe.h"
#include "helix-platform.h"
#include "stream-peer.h"
#include "tool-peer.h"
#include "tool-run.h"

#define MS G_GUINT64_CONSTANT (1000000)
#define PATIENCE (10000 * MS)

static HelixProbe *
connect_to (const gchar *path)
{
  gint fd = helix_socket (AF_UNIX);

  fail_unless (helix_unix_connect (fd, path) == 0);
  return helix_probe_new (fd, FALSE);
}

static guint64
in (guint64 ns)
{
  return helix_now_ns () + ns;
}

GST_START_TEST (test_shim)
{
  ToolChild *sim = tool_sim_new (tool_socket, "--scanouts=3");
  g_autoptr (HelixProbe) probe = connect_to (tool_socket);
  HelixListing listing = {0};
  g_autoptr (GError) error = NULL;
  guint64 round_trip = 0, bound;
  gint64 offset;

  fail_unless (helix_probe_ping (probe, in (PATIENCE), &round_trip, &error));
  fail_unless (round_trip > 0);
  fail_unless (helix_probe_hello (
      probe, HELIX_ROLE_FRAMES, NULL, in (PATIENCE), &error));
  fail_unless_equals_int (probe->connection->welcome.scanouts, 3);
  fail_unless (g_str_has_prefix (probe->connection->name, "helix-shim-sim"));
  fail_unless (helix_probe_list (probe, &listing, in (PATIENCE), &error));
  fail_unless_equals_int (probe->scanouts_known, 7);
  fail_unless (helix_probe_scanout_on (probe, 2));
  fail_if (helix_probe_scanout_on (probe, 3));
  fail_if (helix_probe_scanout_on (probe, 99));
  fail_unless_equals_int (probe->scanouts[1].width, 640);
  fail_unless_equals_int (listing.clients->len, 1);
  fail_unless (g_array_index (listing.clients, HelixListed, 0).info.flags
      & HELIX_CLIENT_YOU);

  helix_probe_ask_clock (probe);
  while (
      !helix_clock_offset_get (&probe->clock, helix_now_ns (), &offset, &bound))
    fail_unless (helix_probe_next (probe, in (50 * MS), NULL) >= 0);
  /* One clock: the truth is 0. */
  fail_unless ((guint64) ABS (offset) <= bound);
  helix_listing_clear (&listing);
  helix_listing_clear (&listing);
  tool_child_end (sim, SIGTERM);
}
GST_END_TEST;

static gpointer
hello_thread (gpointer probe)
{
  g_autoptr (GError) error = NULL;

  fail_unless (
      helix_probe_hello (probe, HELIX_ROLE_STREAM, NULL, in (PATIENCE), &error),
      "%s", error ? error->message : "");
  return NULL;
}

/* STATUS may promise more clients than anybody has. */
GST_START_TEST (test_endless_list)
{
  struct helix_status status = {.clients = HELIX_NONE32};
  struct helix_client client = {.role = HELIX_ROLE_STREAM};
  guint8 message[HELIX_MAX_MESSAGE];
  HelixListing listing = {0};
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  g_autoptr (HelixProbe) probe = NULL;
  StreamPeer peer;
  GThread *thread;
  int fds[2];
  gsize sent = 0;
  gboolean good;

  fail_unless (helix_socketpair (fds) == 0);
  probe = helix_probe_new (fds[0], FALSE);
  peer_init (&peer, fds[1]);
  thread = g_thread_new ("hello", hello_thread, probe);
  peer_welcome (&peer);
  g_thread_join (thread);

  g_byte_array_append (
      bytes, message, (guint) helix_pack_status (message, &status, NULL));
  for (guint i = 0; i < HELIX_LISTING_MAX + 5; i++)
    g_byte_array_append (
        bytes, message, (guint) helix_pack_client (message, &client, "x"));
  while (sent < bytes->len) {
    struct iovec iov = {
        .iov_base = bytes->data + sent, .iov_len = bytes->len - sent};
    ssize_t n = helix_send (peer.fd, &iov, 1, -1);

    if (n < 0)
      break; /* as much as the socket takes: more than 1024 of them, or not */
    sent += (gsize) n;
  }
  good = helix_probe_list (probe, &listing, in (100 * MS), NULL);
  fail_unless (listing.clients->len == HELIX_LISTING_MAX
      || (!good && listing.clients->len < HELIX_LISTING_MAX));
  helix_listing_clear (&listing);
  peer_clear (&peer);
}
GST_END_TEST;

static void
add_client (HelixListing *listing, guint64 connected, guint64 frames)
{
  HelixListed client = {
      .info = {.pid = 7, .connected_ns = connected, .frames = frames},
      .name = "helixqemusrc"};

  g_array_append_val (listing->clients, client);
}

/* Two elements of one process, connected at almost the same time; one more
 * came between the listings. */
GST_START_TEST (test_same_client)
{
  HelixListing before = {.status = {.uptime_ns = 5000 * MS}},
               now = {.status = {.uptime_ns = 6000 * MS}};
  const HelixListed *client;

  before.clients = g_array_new (FALSE, FALSE, sizeof *client);
  now.clients = g_array_new (FALSE, FALSE, sizeof *client);
  add_client (&before, 1001 * MS, 100);
  add_client (&before, 1000 * MS, 60);
  add_client (&now, 2001 * MS, 200);
  add_client (&now, 2000 * MS, 120);
  add_client (&now, 500 * MS, 30);
  for (guint i = 0; i < 2; i++) {
    client = helix_listing_find (
        &before, &now, &g_array_index (now.clients, HelixListed, i));
    fail_unless (
        client == &g_array_index (before.clients, HelixListed, i), "%u", i);
  }
  fail_unless (helix_listing_find (
                   &before, &now, &g_array_index (now.clients, HelixListed, 2))
      == NULL);
  helix_listing_clear (&before);
  helix_listing_clear (&now);
}
GST_END_TEST;

static Suite *
helix_probe_suite (void)
{
  Suite *s = suite_create ("helix-probe");
  TCase *tc = tcase_create ("talk");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, tool_setup, tool_teardown);
  tcase_add_test (tc, test_shim);
  tcase_add_test (tc, test_endless_list);
  tcase_add_test (tc, test_same_client);
  return s;
}

GST_CHECK_MAIN (helix_probe);

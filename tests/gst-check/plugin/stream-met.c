/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream-met.h"

#include <gst/check/gstcheck.h>
#include <unistd.h>

struct met met;

void
met_setup (void)
{
  met.folder = peer_folder_new ();
  met.path = g_build_filename (met.folder, "s", NULL);
  met.listener = -1;
  peer_init (&peer, -1);
  met.token = NULL;
}

void
met_teardown (void)
{
  peer_clear (&peer);
  g_clear_pointer (&met.client, helix_stream_client_free);
  g_clear_error (&met.error);
  if (met.listener >= 0)
    close (met.listener);
  g_free (met.path);
  peer_folder_free (met.folder);
}

void
met_start_at (
    const gchar *text, gboolean listen, gboolean reconnect, guint timeout)
{
  g_autoptr (HelixAddress) address = helix_address_parse (text, NULL);
  HelixStreamClientConfig config = {address, listen, met.token, reconnect,
      timeout, HELIX_STREAM_MAX_AGE_MS, 0, NULL};

  met.client = helix_stream_client_new (&config, &met.error);
  fail_unless (
      met.client != NULL, "%s", met.error != NULL ? met.error->message : "");
}

void
met_start (gboolean reconnect)
{
  g_autofree gchar *text = g_strdup_printf ("unix:%s", met.path);

  met_start_at (text, FALSE, reconnect, 0);
}

/* next () of a client that is on the other side of a conversation which this
 * very thread has to hold: so it runs in a thread of its own. */
static gpointer
next_thread (gpointer data)
{
  return GINT_TO_POINTER (
      helix_stream_client_next (met.client, &met.item, &met.error));
}

GThread *
met_begin_next (void)
{
  return g_thread_new ("next", next_thread, NULL);
}

HelixStreamResult
met_end_next (GThread *thread)
{
  return GPOINTER_TO_INT (g_thread_join (thread));
}

void
met_expect_unit (guint64 sequence, gboolean discont)
{
  fail_unless_equals_int (
      helix_stream_client_next (met.client, &met.item, &met.error),
      HELIX_STREAM_UNIT);
  fail_unless_equals_uint64 (met.item.unit.sequence, sequence);
  fail_unless_equals_int (met.item.discont, discont);
  gst_buffer_unref (met.item.buffer);
}

/* Connects the client to `peer` and gets it as far as CAPS. */
void
met_meet (StreamPeer *peer)
{
  GThread *thread;

  if (met.listener < 0)
    met.listener = peer_listen (met.path);
  thread = met_begin_next ();
  peer_accept (peer, met.listener);
  peer_welcome (peer);
  peer_send_caps (peer, 1);
  fail_unless_equals_int (met_end_next (thread), HELIX_STREAM_CAPS);
  fail_unless_equals_int (met.item.caps.width, 320);
}

guint64
met_stat_of (const gchar *field)
{
  GstStructure *stats = helix_stream_client_stats (met.client, "stats");
  guint64 value = 0;

  fail_unless (gst_structure_get_uint64 (stats, field, &value));
  gst_structure_free (stats);
  return value;
}

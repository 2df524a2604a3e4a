/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream-served.h"

#include <gst/check/gstcheck.h>
#include <string.h>
#include <unistd.h>

#include "helix-platform.h"

struct served served = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
};

static void
on_event (gpointer user, const HelixStreamServerEvent *event)
{
  pthread_mutex_lock (&served.lock);
  switch (event->type) {
    case HELIX_STREAM_SERVER_ADDED:
      served.added++;
      break;
    case HELIX_STREAM_SERVER_REMOVED:
      served.removed++;
      g_free (served.last_reason);
      served.last_reason = g_strdup (event->text);
      break;
    case HELIX_STREAM_SERVER_KEYFRAME:
      served.keyframes++;
      break;
    case HELIX_STREAM_SERVER_CONFIG:
      served.requests++;
      served.last_request = event->config;
      break;
    case HELIX_STREAM_SERVER_SHOW:
      served.shows++;
      served.last_show = event->show;
      break;
    case HELIX_STREAM_SERVER_PROBLEM:
    case HELIX_STREAM_SERVER_FATAL:
      served.problems++;
      served.fatal_problem = event->type == HELIX_STREAM_SERVER_FATAL;
      g_free (served.last_problem);
      served.last_problem = g_strdup (event->error->message);
      break;
  }
  pthread_cond_broadcast (&served.changed);
  pthread_mutex_unlock (&served.lock);
  /* What a test wants to be refused. */
  if (event->show.resource_id == SERVED_NO_RESOURCE)
    helix_stream_server_refuse (
        event, HELIX_ERROR_NO_RESOURCE, "there is no such resource");
}

void
served_await_at_least (const guint *count, guint wanted, const gchar *what)
{
  guint64 end =
      helix_now_ns () + PEER_TIMEOUT_MS * G_GUINT64_CONSTANT (1000000);
  gint failed = 0;

  pthread_mutex_lock (&served.lock);
  while (*count < wanted && failed == 0)
    failed = helix_cond_wait_until (&served.changed, &served.lock, end);
  pthread_mutex_unlock (&served.lock);
  fail_unless (failed == 0, "%s did not come", what);
}

void
served_await (const guint *count, guint wanted, const gchar *what)
{
  served_await_at_least (count, wanted, what);
  fail_unless_equals_int (served_now (count), wanted);
}

guint
served_now (const guint *count)
{
  guint value;

  pthread_mutex_lock (&served.lock);
  value = *count;
  pthread_mutex_unlock (&served.lock);
  return value;
}

void
served_start_with (
    gboolean listen, const gchar *token, guint max, gboolean recover)
{
  g_autofree gchar *text = g_strdup_printf ("unix:%s", served.path);
  g_autoptr (HelixAddress) address = helix_address_parse (text, NULL);
  HelixStreamServerConfig config = {
      address, listen, token, max, recover, HELIX_STREAM_MAX_AGE_MS, FALSE};
  g_autoptr (GError) error = NULL;

  served.server = helix_stream_server_new (&config, on_event, NULL, &error);
  fail_unless (
      served.server != NULL, "%s", error != NULL ? error->message : "");
}

void
served_start (void)
{
  served_start_with (TRUE, NULL, 4, TRUE);
}

void
served_connect (const gchar *token, guint max)
{
  served.listener = peer_listen (served.path);
  served_start_with (FALSE, token, max, TRUE);
  served_set_caps ();
  peer_accept (&peer, served.listener);
}

void
served_stop (void)
{
  g_clear_pointer (&served.server, helix_stream_server_free);
}

void
served_setup (void)
{
  helix_cond_init (&served.changed);
  peer_init (&peer, -1);
  served.listener = -1;
  served.folder = peer_folder_new ();
  served.path = g_build_filename (served.folder, "s", NULL);
  served.added = served.removed = served.keyframes = served.problems = 0;
  served.requests = served.shows = 0;
  memset (&served.last_request, 0, sizeof served.last_request);
  memset (&served.last_show, 0, sizeof served.last_show);
}

void
served_teardown (void)
{
  peer_clear (&peer);
  if (served.listener >= 0)
    close (served.listener);
  served_stop ();
  pthread_cond_destroy (&served.changed);
  g_clear_pointer (&served.last_reason, g_free);
  g_clear_pointer (&served.last_problem, g_free);
  g_free (served.path);
  peer_folder_free (served.folder);
}

void
served_set_caps (void)
{
  struct helix_caps caps = {.codec = HELIX_CODEC_H264,
      .width = 640,
      .height = 480,
      .rate_num = 30,
      .rate_den = 1,
      .par_num = 1,
      .par_den = 1};

  helix_stream_server_set_caps (served.server, &caps, "x264enc, H.264 640x480");
}

void
served_push (guint32 number, gboolean key, gsize size)
{
  struct helix_unit head = {.running_time = number,
      .dts = HELIX_NONE64,
      .duration = HELIX_NONE64,
      .capture_ns = HELIX_NONE64,
      .flags = key ? HELIX_UNIT_KEY : 0};
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, size, NULL);

  head.sent_ns = helix_now_ns ();
  gst_buffer_memset (buffer, 0, 0x5a, size);
  gst_buffer_fill (buffer, 0, &number, sizeof number);
  helix_stream_server_push (served.server, buffer, &head, HELIX_NONE64);
  gst_buffer_unref (buffer);
}

guint32
served_number_of (const StreamPeer *peer)
{
  guint32 number;

  memcpy (&number, peer->bulk, sizeof number);
  return number;
}

void
served_hello (StreamPeer *peer)
{
  peer_hello (peer, NULL);
  fail_unless_equals_int (peer_next (peer), HELIX_WELCOME);
}

void
served_join (StreamPeer *peer)
{
  peer_connect (peer, served.path);
  served_hello (peer);
}

void
served_list (StreamPeer *peer)
{
  struct helix_status status;
  gchar text[HELIX_MAX_TEXT + 1];

  PEER_SEND (peer, empty, HELIX_LIST, 0);
  peer_expect (peer, HELIX_STATUS);
  PEER_UNPACK (peer, status, &status, text);
  for (guint i = 0; i < status.clients; i++)
    peer_expect (peer, HELIX_CLIENT);
}

guint64
served_client_stat (guint index, const gchar *field)
{
  GstStructure *stats = helix_stream_server_stats (served.server, "stats");
  const GValue *list = gst_structure_get_value (stats, "clients");
  const GstStructure *client;
  guint64 value = 0;
  guint small;

  fail_unless (gst_value_list_get_size (list) > index);
  client = gst_value_get_structure (gst_value_list_get_value (list, index));
  if (!gst_structure_get_uint64 (client, field, &value)) {
    fail_unless (gst_structure_get_uint (client, field, &small));
    value = small;
  }
  gst_structure_free (stats);
  return value;
}

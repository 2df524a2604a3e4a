/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The server in numbers. */
#include "helix-stream-server-private.h"

#include "helix-stats.h"

guint64
helix_stream_server_dropped (HelixStreamServer *self)
{
  guint64 dropped = self->gone_dropped;

  for (guint i = 0; i < self->sessions->len; i++)
    dropped += ((HelixStreamSession *) self->sessions->pdata[i])->dropped;
  return dropped;
}

static GstStructure *
session_stats (const HelixStreamSession *session)
{
  return gst_structure_new ("client", "id", G_TYPE_UINT, session->id, "peer",
      G_TYPE_STRING, session->peer, "name", G_TYPE_STRING, session->name, "pid",
      G_TYPE_UINT, session->pid, "units", G_TYPE_UINT64,
      session->out.sent_units, "bytes", G_TYPE_UINT64, session->out.sent_bytes,
      "dropped", G_TYPE_UINT64, session->dropped, "skips", G_TYPE_UINT64,
      session->skips, "queued-units", G_TYPE_UINT, session->out.units,
      "queued-bytes", G_TYPE_UINT64, (guint64) session->out.bytes,
      "received-units", G_TYPE_UINT64, session->told.units, "received-bytes",
      G_TYPE_UINT64, session->told.bytes, "lost", G_TYPE_UINT64,
      session->told.lost, "latency", G_TYPE_UINT64,
      session->told.units > 0 ? session->told.latency_ns : HELIX_NONE64, NULL);
}

/* Everybody who gets the stream. */
static void
take_clients (HelixStreamServer *self, GValue *list)
{
  GValue item = G_VALUE_INIT;

  g_value_init (list, GST_TYPE_LIST);
  for (guint i = 0; i < self->sessions->len; i++) {
    const HelixStreamSession *session = self->sessions->pdata[i];

    if (!helix_stream_session_watches (session))
      continue;
    g_value_init (&item, GST_TYPE_STRUCTURE);
    g_value_take_boxed (&item, session_stats (session));
    gst_value_list_append_and_take_value (list, &item);
  }
}

GstStructure *
helix_stream_server_stats (HelixStreamServer *self, const gchar *name)
{
  GValue list = G_VALUE_INIT;
  guint64 units, bytes;
  GstStructure *stats;

  pthread_mutex_lock (&self->lock);
  units = self->gone_units;
  bytes = self->gone_bytes;
  for (guint i = 0; i < self->sessions->len; i++) {
    const HelixStreamSession *session = self->sessions->pdata[i];

    units += session->out.sent_units;
    bytes += session->out.sent_bytes;
  }
  stats = gst_structure_new (name, "address", G_TYPE_STRING,
      self->listener != NULL ? self->listener->text : self->address->text,
      "num-clients", G_TYPE_UINT,
      helix_stream_server_live (self, HELIX_ROLE_STREAM), "num-controllers",
      G_TYPE_UINT, helix_stream_server_live (self, HELIX_ROLE_CONTROL),
      "clients-total", G_TYPE_UINT64, self->joined, "reconnects", G_TYPE_UINT64,
      self->rejoined, "rejected", G_TYPE_UINT64, self->rejected, "units",
      G_TYPE_UINT64, self->units, "bytes", G_TYPE_UINT64, self->bytes,
      "keyframes", G_TYPE_UINT64, self->keyframes, "keyframes-requested",
      G_TYPE_UINT64, self->asked, "units-sent", G_TYPE_UINT64, units,
      "bytes-sent", G_TYPE_UINT64, bytes, "units-dropped", G_TYPE_UINT64,
      helix_stream_server_dropped (self), NULL);
  helix_stats_set_times (stats, "encode", &self->encode);
  helix_stats_set_times (stats, "send", &self->send);
  helix_stats_set_times (stats, "latency", &self->latency);
  take_clients (self, &list);
  pthread_mutex_unlock (&self->lock);
  gst_structure_take_value (stats, "clients", &list);
  return stats;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the element's threads do with the server: units in, numbers out. */
#include <errno.h>
#include <time.h>

#include "helix-platform.h"
#include "helix-stream-server-private.h"

guint
helix_stream_server_live (HelixStreamServer *self)
{
  guint n = 0;

  for (guint i = 0; i < self->sessions->len; i++)
    n += ((HelixStreamSession *) self->sessions->pdata[i])->state
        == HELIX_STREAM_SESSION_LIVE;
  return n;
}

HelixStreamSessionPolicy
helix_stream_server_policy (HelixStreamServer *self)
{
  HelixStreamSessionPolicy policy = {self->token,
      helix_stream_server_live (self) >= self->max_clients, self->recover};

  return policy;
}

gboolean
helix_stream_server_drained (HelixStreamServer *self)
{
  for (guint i = 0; i < self->sessions->len; i++)
    if (helix_stream_session_pending (self->sessions->pdata[i]))
      return FALSE;
  return TRUE;
}

void
helix_stream_server_set_caps (
    HelixStreamServer *self, const struct helix_caps *caps)
{
  guint32 id;

  pthread_mutex_lock (&self->lock);
  id = self->caps.caps_id + 1;
  self->caps = *caps;
  self->caps.caps_id = id == 0 ? 1 : id;
  pthread_mutex_unlock (&self->lock);
}

void
helix_stream_server_push (
    HelixStreamServer *self, GstBuffer *buffer, const struct helix_unit *head)
{
  HelixStreamOutboxUnit *unit = helix_stream_outbox_unit_new (buffer);
  gboolean work = FALSE;
  struct helix_unit own = *head;
  HelixStreamSessionPolicy policy;
  guint64 now;

  if (unit == NULL)
    return;
  pthread_mutex_lock (&self->lock);
  if (self->caps.caps_id == 0)
    goto done;
  now = helix_now_ns ();
  own.caps_id = self->caps.caps_id;
  own.sequence = self->sequence++;
  self->units++;
  self->bytes += unit->map.size;
  self->units_since_asked++;
  if (own.flags & HELIX_UNIT_KEY) {
    self->keyframes++;
    self->key_asked = self->key_wanted = FALSE;
  }
  policy = helix_stream_server_policy (self);
  for (guint i = 0; i < self->sessions->len; i++) {
    HelixStreamSession *session = self->sessions->pdata[i];
    gboolean waited = helix_stream_session_pending (session);

    helix_stream_session_push (session, &policy, unit, &own, &self->caps);
    /* Otherwise the thread is at it, and order must be kept. */
    if (!waited)
      helix_stream_session_flush (session, G_MAXSIZE, now);
    work |= helix_stream_session_pending (session) && !waited;
    work |= session->state == HELIX_STREAM_SESSION_DEAD || session->needs_key;
    /* A request that was held back for want of units is due now. */
    work |= session->state == HELIX_STREAM_SESSION_LIVE && session->waits_key;
  }

done:
  pthread_mutex_unlock (&self->lock);
  if (work)
    helix_wakeup_raise (self->wakeup);
  helix_stream_outbox_unit_unref (unit);
}

void
helix_stream_server_skip (HelixStreamServer *self)
{
  pthread_mutex_lock (&self->lock);
  self->sequence++;
  pthread_mutex_unlock (&self->lock);
}

void
helix_stream_server_end (HelixStreamServer *self, guint timeout_ms)
{
  struct timespec until;
  guint64 now;

  clock_gettime (CLOCK_REALTIME, &until);
  until.tv_sec += timeout_ms / 1000;
  until.tv_nsec += (long) (timeout_ms % 1000) * 1000000;
  if (until.tv_nsec >= 1000000000) {
    until.tv_sec++;
    until.tv_nsec -= 1000000000;
  }
  pthread_mutex_lock (&self->lock);
  while (!self->interrupted && !helix_stream_server_drained (self))
    if (pthread_cond_timedwait (&self->drained, &self->lock, &until)
        == ETIMEDOUT)
      break;
  now = helix_now_ns ();
  for (guint i = 0; i < self->sessions->len; i++) {
    HelixStreamSession *session = self->sessions->pdata[i];

    if (session->state == HELIX_STREAM_SESSION_LIVE) {
      helix_stream_session_bye (session, HELIX_BYE_EOS, now);
      helix_stream_session_flush (session, TURN_BYTES, now);
    }
  }
  pthread_mutex_unlock (&self->lock);
  helix_wakeup_raise (self->wakeup);
}

void
helix_stream_server_interrupt (HelixStreamServer *self, gboolean on)
{
  pthread_mutex_lock (&self->lock);
  self->interrupted = on;
  pthread_cond_broadcast (&self->drained);
  pthread_mutex_unlock (&self->lock);
}

guint
helix_stream_server_clients (HelixStreamServer *self)
{
  guint n;

  pthread_mutex_lock (&self->lock);
  n = helix_stream_server_live (self);
  pthread_mutex_unlock (&self->lock);
  return n;
}

static GstStructure *
session_stats (const HelixStreamSession *session)
{
  return gst_structure_new ("client", "id", G_TYPE_UINT, session->id, "peer",
      G_TYPE_STRING, session->peer, "units", G_TYPE_UINT64,
      session->out.sent_units, "bytes", G_TYPE_UINT64, session->out.sent_bytes,
      "dropped", G_TYPE_UINT64, session->dropped, "queued-units", G_TYPE_UINT,
      session->out.units, "queued-bytes", G_TYPE_UINT64,
      (guint64) session->out.bytes, "received-units", G_TYPE_UINT64,
      session->told.units, "received-bytes", G_TYPE_UINT64, session->told.bytes,
      "lost", G_TYPE_UINT64, session->told.lost, "latency", G_TYPE_UINT64,
      session->told.units > 0 ? session->told.latency_ns : HELIX_NONE64, NULL);
}

GstStructure *
helix_stream_server_stats (HelixStreamServer *self, const gchar *name)
{
  GValue list = G_VALUE_INIT, item = G_VALUE_INIT;
  guint64 units, bytes, dropped;
  GstStructure *stats;

  g_value_init (&list, GST_TYPE_LIST);
  pthread_mutex_lock (&self->lock);
  units = self->gone_units;
  bytes = self->gone_bytes;
  dropped = self->gone_dropped;
  for (guint i = 0; i < self->sessions->len; i++) {
    const HelixStreamSession *session = self->sessions->pdata[i];

    units += session->out.sent_units;
    bytes += session->out.sent_bytes;
    dropped += session->dropped;
    if (session->state != HELIX_STREAM_SESSION_LIVE)
      continue;
    g_value_init (&item, GST_TYPE_STRUCTURE);
    g_value_take_boxed (&item, session_stats (session));
    gst_value_list_append_and_take_value (&list, &item);
  }
  stats = gst_structure_new (name, "address", G_TYPE_STRING,
      self->listener != NULL ? self->listener->text : self->address->text,
      "num-clients", G_TYPE_UINT, helix_stream_server_live (self),
      "clients-total", G_TYPE_UINT64, self->joined, "rejected", G_TYPE_UINT64,
      self->rejected, "units", G_TYPE_UINT64, self->units, "bytes",
      G_TYPE_UINT64, self->bytes, "keyframes", G_TYPE_UINT64, self->keyframes,
      "keyframes-requested", G_TYPE_UINT64, self->asked, "units-sent",
      G_TYPE_UINT64, units, "bytes-sent", G_TYPE_UINT64, bytes, "units-dropped",
      G_TYPE_UINT64, dropped, NULL);
  pthread_mutex_unlock (&self->lock);
  gst_structure_take_value (stats, "clients", &list);
  return stats;
}

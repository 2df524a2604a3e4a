/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-stream-client-private.h"

#include <string.h>

#include "helix-platform.h"
#include "helix-stream-debug.h"

#define GST_CAT_DEFAULT helix_stream_debug

#define MSECOND G_GUINT64_CONSTANT (1000000)

HelixStreamClient *
helix_stream_client_new (const HelixStreamClientConfig *config, GError **error)
{
  HelixStreamClient *self;
  HelixListener *listener = NULL;

  helix_stream_debug_init ();
  if (config->listen) {
    listener = helix_transport_listen (config->address,
        config->token != NULL ? HELIX_ADMIT_ALL : HELIX_ADMIT_LOCAL, NULL,
        error);
    if (listener == NULL)
      return NULL;
    if (listener->remark != NULL)
      GST_WARNING ("%s", listener->remark);
  }
  self = g_new0 (HelixStreamClient, 1);
  if (helix_wakeup_open (self->wakeup) < 0) {
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_FAILED,
        "%s: cannot make a wake-up descriptor: %s. Raise the limit of open "
        "files (ulimit -n).",
        config->address->text, g_strerror (errno));
    helix_listener_free (listener);
    g_free (self);
    return NULL;
  }
  self->address = helix_address_parse (config->address->text, NULL);
  self->listener = listener;
  self->token = g_strdup (config->token);
  self->name = g_strdup_printf (
      "%s " HELIX_PACKAGE_VERSION, config->name ? config->name : "helixsrc");
  self->role = config->role != 0 ? config->role : HELIX_ROLE_STREAM;
  helix_stream_wishes_init (&self->wishes);
  self->reconnect = config->reconnect;
  self->reconnect_timeout = config->reconnect_timeout_ms * MSECOND;
  self->cancel = g_cancellable_new ();
  self->gap = HELIX_STREAM_CLIENT_GAP_MIN_NS / 2;
  self->end = HELIX_STREAM_FLUSHING;
  g_queue_init (&self->warnings);
  helix_stream_inbox_init (&self->inbox, config->max_age_ms * MSECOND);
  pthread_mutex_init (&self->lock, NULL);
  pthread_cond_init (&self->arrived, NULL);
  return self;
}

void
helix_stream_client_free (HelixStreamClient *self)
{
  if (self == NULL)
    return;
  if (self->started) {
    pthread_mutex_lock (&self->lock);
    self->stop = TRUE;
    pthread_mutex_unlock (&self->lock);
    g_cancellable_cancel (self->cancel);
    helix_wakeup_raise (self->wakeup);
    pthread_join (self->reader, NULL);
  }
  if (self->link != NULL) {
    /* The last wish may be what another thread has only just uttered. */
    helix_stream_client_take_orders (self, helix_now_ns ());
    helix_stream_link_bye (self->link);
  }
  helix_stream_link_free (self->link);
  helix_stream_cursors_clear (&self->cursors);
  helix_stream_inbox_clear (&self->inbox);
  g_queue_clear_full (&self->warnings, (GDestroyNotify) g_error_free);
  g_clear_error (&self->end_error);
  helix_listener_free (self->listener);
  helix_address_free (self->address);
  helix_wakeup_close (self->wakeup);
  g_object_unref (self->cancel);
  pthread_cond_destroy (&self->arrived);
  pthread_mutex_destroy (&self->lock);
  g_free (self->token);
  g_free (self->name);
  g_free (self);
}

/* ---- taking ---- */

static gboolean
take_cursor (HelixStreamClient *self, HelixStreamItem *item)
{
  if (!self->cursor_due)
    return FALSE;
  self->cursor_due = FALSE;
  item->cursor = self->cursor;
  item->buffer =
      helix_stream_cursors_take (&self->cursors, self->cursor.serial);
  return TRUE;
}

static gboolean
take_unit (
    HelixStreamClient *self, HelixStreamItem *item, HelixStreamResult *result)
{
  gboolean wanted = self->inbox.wants_key;
  gboolean taken = helix_stream_inbox_take (&self->inbox, item, result);

  if (self->inbox.wants_key && !wanted)
    helix_wakeup_raise (self->wakeup);
  return taken;
}

/* Under the lock: what is to be taken first. FALSE: nothing. Neither warnings
 * nor the cursor wait behind units; nor do units behind many moves of it. */
static gboolean
take (HelixStreamClient *self, HelixStreamItem *item, HelixStreamResult *result,
    GError **error)
{
  gboolean cursor_last = self->cursor_last;
  GError *warning;

  self->cursor_last = FALSE;
  if (self->flushing) {
    *result = HELIX_STREAM_FLUSHING;
  } else if ((warning = g_queue_pop_head (&self->warnings)) != NULL) {
    *result = HELIX_STREAM_WARNING;
    g_propagate_error (error, warning);
  } else if (cursor_last && take_unit (self, item, result)) {
    return TRUE;
  } else if (take_cursor (self, item)) {
    *result = HELIX_STREAM_CURSOR;
    self->cursor_last = TRUE;
  } else if (take_unit (self, item, result)) {
    return TRUE;
  } else if (self->end != HELIX_STREAM_FLUSHING) {
    *result = self->end;
    if (self->end_error != NULL)
      g_propagate_error (error, g_error_copy (self->end_error));
  } else {
    return FALSE;
  }
  return TRUE;
}

/* Not in new (): nothing is connected before somebody wants units. */
static gboolean
start (HelixStreamClient *self, GError **error)
{
  int failed;

  if (self->started)
    return TRUE;
  failed = pthread_create (&self->reader, NULL, helix_stream_client_read, self);
  if (failed != 0)
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_FAILED,
        "%s: cannot start a thread: %s. Raise the limits of this process.",
        self->address->text, g_strerror (failed));
  self->started = failed == 0;
  return self->started;
}

HelixStreamResult
helix_stream_client_next (
    HelixStreamClient *self, HelixStreamItem *item, GError **error)
{
  HelixStreamResult result = HELIX_STREAM_ERROR;

  memset (item, 0, sizeof *item);
  pthread_mutex_lock (&self->lock);
  if (start (self, error))
    while (!take (self, item, &result, error))
      pthread_cond_wait (&self->arrived, &self->lock);
  pthread_mutex_unlock (&self->lock);
  return result;
}

/* ---- from any thread ---- */

void
helix_stream_client_flush (HelixStreamClient *self, gboolean on)
{
  pthread_mutex_lock (&self->lock);
  self->flushing = on;
  pthread_cond_signal (&self->arrived);
  pthread_mutex_unlock (&self->lock);
}

void
helix_stream_client_set_latency (HelixStreamClient *self, guint64 ns)
{
  pthread_mutex_lock (&self->lock);
  self->inbox.latency = ns;
  pthread_mutex_unlock (&self->lock);
}

void
helix_stream_client_ask_keyframe (HelixStreamClient *self)
{
  pthread_mutex_lock (&self->lock);
  self->ask = TRUE;
  pthread_mutex_unlock (&self->lock);
  helix_wakeup_raise (self->wakeup);
}

void
helix_stream_client_configure (
    HelixStreamClient *self, const struct helix_config *wish, guint32 dropped)
{
  pthread_mutex_lock (&self->lock);
  helix_stream_wishes_drop (&self->wishes, dropped);
  helix_stream_wishes_set (&self->wishes, wish);
  pthread_mutex_unlock (&self->lock);
  helix_wakeup_raise (self->wakeup);
}

void
helix_stream_client_show (
    HelixStreamClient *self, guint32 resource_id, guint64 capture_ns)
{
  pthread_mutex_lock (&self->lock);
  helix_stream_wishes_show (&self->wishes, resource_id, capture_ns);
  pthread_mutex_unlock (&self->lock);
  helix_wakeup_raise (self->wakeup);
}

void
helix_stream_client_add_latency (HelixStreamClient *self, guint64 ns)
{
  pthread_mutex_lock (&self->lock);
  helix_stream_tally_add_latency (&self->tally, ns);
  pthread_mutex_unlock (&self->lock);
}

GstStructure *
helix_stream_client_stats (HelixStreamClient *self, const gchar *name)
{
  GstStructure *stats = gst_structure_new (name, "address", G_TYPE_STRING,
      self->listener != NULL ? self->listener->text : self->address->text,
      NULL);

  pthread_mutex_lock (&self->lock);
  helix_stream_tally_store (
      &self->tally, stats, self->role == HELIX_ROLE_STREAM);
  if (self->role == HELIX_ROLE_STREAM)
    gst_structure_set (stats, "left-out", G_TYPE_UINT64, self->inbox.left_out,
        "skips", G_TYPE_UINT64, self->inbox.skips, NULL);
  pthread_mutex_unlock (&self->lock);
  return stats;
}

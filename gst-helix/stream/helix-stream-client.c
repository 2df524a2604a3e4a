/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-stream-client.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "helix-histogram.h"
#include "helix-platform.h"
#include "helix-stream-debug.h"
#include "helix-stream-link.h"
#include "helix-transport.h"

#define GST_CAT_DEFAULT helix_stream_debug

#define MSECOND G_GUINT64_CONSTANT (1000000)

/* One attempt to connect, and how long an outage may stay untold. */
#define DIAL_TIMEOUT_MS 900
#define TELL_NS (900 * MSECOND)

/* Between attempts. Growing, and reset only by a unit: a far end that
 * accepts and throws out must not be hammered. */
#define GAP_MIN_NS (20 * MSECOND)
#define GAP_MAX_NS (500 * MSECOND)

/* Latencies whose median goes into STATS: about a second of them. */
#define RECENT 64

struct _HelixStreamClient {
  HelixAddress *address;
  HelixListener *listener; /* NULL: connect mode */
  gchar *token;
  gboolean reconnect;
  guint64 reconnect_timeout; /* ns, 0 = for ever */
  GCancellable *cancel;
  int wakeup[2];

  /* of the thread in next () */
  HelixStreamLink *link; /* NULL: not connected */
  guint64 dial_at, gap;
  guint64 outage_since; /* 0: units flow */
  gboolean told;        /* this outage */

  /* under `lock` */
  pthread_mutex_t lock;
  gboolean flushing, ask;
  struct helix_stats before; /* of links that are gone */
  struct helix_stats now;    /* of the link */
  guint64 connects;
  gboolean connected, clock_known;
  gint64 clock_offset;
  guint64 clock_error;
  HelixHistogram latency;
  guint64 recent[RECENT];
  guint n_recent;
};

HelixStreamClient *
helix_stream_client_new (const HelixStreamClientConfig *config, GError **error)
{
  HelixStreamClient *self;
  HelixListener *listener = NULL;

  helix_stream_debug_init ();
  if (config->listen) {
    listener = helix_transport_listen (config->address, NULL, error);
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
  self->reconnect = config->reconnect;
  self->reconnect_timeout = config->reconnect_timeout_ms * MSECOND;
  self->cancel = g_cancellable_new ();
  self->gap = GAP_MIN_NS / 2;
  pthread_mutex_init (&self->lock, NULL);
  return self;
}

void
helix_stream_client_free (HelixStreamClient *self)
{
  if (self == NULL)
    return;
  if (self->link != NULL)
    helix_stream_link_bye (self->link);
  helix_stream_link_free (self->link);
  helix_listener_free (self->listener);
  helix_address_free (self->address);
  helix_wakeup_close (self->wakeup);
  g_object_unref (self->cancel);
  pthread_mutex_destroy (&self->lock);
  g_free (self->token);
  g_free (self);
}

/* ---- connections ---- */

/* Adds the link's numbers to those of its predecessors. */
static void
settle (HelixStreamClient *self)
{
  pthread_mutex_lock (&self->lock);
  self->before.units += self->now.units;
  self->before.bytes += self->now.bytes;
  self->before.keyframes += self->now.keyframes;
  self->before.lost += self->now.lost;
  memset (&self->now, 0, sizeof self->now);
  self->connected = self->clock_known = FALSE;
  pthread_mutex_unlock (&self->lock);
}

/* What a failed attempt or a lost connection means for the caller. NULL, with
 * *result unset: go on quietly. Takes `error`. */
static gboolean
judge (HelixStreamClient *self, GError *error, gboolean fatal, gboolean loud,
    HelixStreamResult *result, GError **out)
{
  guint64 now = helix_now_ns ();

  if (self->outage_since == 0) {
    self->outage_since = now;
    self->told = FALSE;
  }
  self->gap = CLAMP (self->gap * 2, GAP_MIN_NS, GAP_MAX_NS);
  self->dial_at =
      now + self->gap * (guint64) g_random_int_range (75, 126) / 100;

  *result = HELIX_STREAM_ERROR;
  if (fatal || !self->reconnect) {
    g_propagate_error (out, error);
    return TRUE;
  }
  if (self->reconnect_timeout > 0
      && now - self->outage_since >= self->reconnect_timeout) {
    g_propagate_prefixed_error (out, error,
        "Gave up after %u ms: ", (guint) (self->reconnect_timeout / MSECOND));
    return TRUE;
  }
  if (loud && !self->told) {
    self->told = TRUE;
    *result = HELIX_STREAM_WARNING;
    g_propagate_error (out, error);
    return TRUE;
  }
  GST_DEBUG ("%s", error->message);
  g_error_free (error);
  return FALSE;
}

static gboolean
lost (HelixStreamClient *self, HelixStreamResult *result, GError **out)
{
  HelixStreamLink *link = g_steal_pointer (&self->link);
  GError *error = g_steal_pointer (&link->error);
  gboolean fatal = link->fatal, loud = link->loud;

  settle (self);
  helix_stream_link_free (link);
  if (error == NULL) {
    if (!self->reconnect) {
      *result = HELIX_STREAM_EOS;
      return TRUE;
    }
    error = g_error_new (GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_READ,
        "%s: the other end said goodbye.", self->address->text);
  }
  return judge (self, error, fatal, loud, result, out);
}

static void
start_link (HelixStreamClient *self, gint fd)
{
  self->link = helix_stream_link_new (fd, self->address->text,
      helix_transport_outlives_session (self->address), self->listener != NULL,
      self->token, helix_now_ns ());
}

/* One attempt. FALSE: go on. */
static gboolean
dial (HelixStreamClient *self, HelixStreamResult *result, GError **out)
{
  GError *error = NULL;
  gint fd = helix_transport_connect (
      self->address, self->cancel, DIAL_TIMEOUT_MS, &error);

  if (fd >= 0) {
    start_link (self, fd);
    return FALSE;
  }
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
    g_error_free (error);
    return FALSE;
  }
  return judge (self, error, !helix_transport_error_is_temporary (error), TRUE,
      result, out);
}

/* Waits for work or `until`. Sets *connection to the index of a listening
 * socket with a connection, else -1. */
static void
wait_until (HelixStreamClient *self, guint64 until, gint *connection)
{
  struct pollfd fds[2 + HELIX_LISTENER_MAX] = {
      {.fd = self->wakeup[0], .events = POLLIN},
      {.fd = -1},
  };
  guint n = 2, listening = 0;
  guint64 now = helix_now_ns ();
  int timeout = -1;

  if (self->link != NULL) {
    fds[1].fd = self->link->fd;
    fds[1].events =
        POLLIN | (helix_stream_link_pending (self->link) ? POLLOUT : 0);
  } else if (self->listener != NULL) {
    listening = self->listener->n_fds;
    for (guint i = 0; i < listening; i++) {
      fds[n].fd = self->listener->fds[i];
      fds[n++].events = POLLIN;
    }
  }
  if (until != G_MAXUINT64)
    timeout = until <= now
        ? 0
        : (int) MIN ((until - now + MSECOND - 1) / MSECOND, 60000);
  *connection = -1;
  if (poll (fds, n, timeout) <= 0)
    return;
  if (fds[0].revents != 0)
    helix_wakeup_clear (self->wakeup);
  for (guint i = 0; i < listening; i++)
    if (fds[2 + i].revents != 0)
      *connection = (gint) i;
}

/* Not connected: dial or accept when it is time. FALSE: go on. */
static gboolean
connect_step (HelixStreamClient *self, HelixStreamResult *result, GError **out)
{
  guint64 now = helix_now_ns ();
  guint64 until = self->dial_at;
  gint connection, fd;

  if (self->outage_since == 0) {
    self->outage_since = now;
    self->told = FALSE;
  }
  if (self->listener == NULL && now >= until)
    return dial (self, result, out);

  if (self->listener != NULL) {
    until = self->told ? G_MAXUINT64 : self->outage_since + TELL_NS;
    if (self->reconnect_timeout > 0)
      until = MIN (until, self->outage_since + self->reconnect_timeout);
    if (now >= until) {
      return judge (self,
          g_error_new (GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND,
              "%s: nobody has connected yet. Start helixguestsink with "
              "mode=connect and this address.",
              self->listener->text),
          FALSE, TRUE, result, out);
    }
  }
  wait_until (self, until, &connection);
  if (connection < 0)
    return FALSE;
  fd = helix_listener_accept (self->listener, (guint) connection, NULL, NULL);
  if (fd >= 0)
    start_link (self, fd);
  return FALSE;
}

/* ---- units ---- */

static void
publish (HelixStreamClient *self, HelixStreamItem *item, guint64 now)
{
  HelixStreamLink *link = self->link;

  pthread_mutex_lock (&self->lock);
  self->now = link->totals;
  self->clock_known = helix_clock_offset_get (
      &link->clock, now, &self->clock_offset, &self->clock_error);
  if (item != NULL) {
    item->clock_known = self->clock_known;
    item->clock_offset = self->clock_offset;
    item->clock_error = self->clock_error;
  }
  pthread_mutex_unlock (&self->lock);
}

static int
compare (const void *a, const void *b)
{
  guint64 x = *(const guint64 *) a, y = *(const guint64 *) b;

  return x < y ? -1 : x > y;
}

/* For STATS. Sorted once a second at most. */
static guint64
recent_median (HelixStreamClient *self)
{
  guint64 sorted[RECENT];
  guint n;

  pthread_mutex_lock (&self->lock);
  n = MIN (self->n_recent, RECENT);
  memcpy (sorted, self->recent, n * sizeof sorted[0]);
  pthread_mutex_unlock (&self->lock);
  if (n == 0)
    return HELIX_NONE64;
  qsort (sorted, n, sizeof sorted[0], compare);
  return sorted[n / 2];
}

/* What the other threads asked for. */
static gboolean
take_orders (HelixStreamClient *self, guint64 now)
{
  gboolean flushing, ask;

  pthread_mutex_lock (&self->lock);
  flushing = self->flushing;
  ask = self->ask;
  pthread_mutex_unlock (&self->lock);
  if (ask && self->link != NULL
      && helix_stream_link_ask (self->link, HELIX_KEYFRAME_ASKED, now)) {
    pthread_mutex_lock (&self->lock);
    self->ask = FALSE;
    pthread_mutex_unlock (&self->lock);
  }
  return flushing;
}

static void
went_live (HelixStreamClient *self)
{
  pthread_mutex_lock (&self->lock);
  self->connects++;
  self->connected = TRUE;
  self->n_recent = 0;
  pthread_mutex_unlock (&self->lock);
  self->outage_since = 0;
  self->told = FALSE;
}

/* Connected: read until something is worth returning. FALSE: go on. */
static gboolean
read_step (HelixStreamClient *self, guint64 awake, HelixStreamItem *item,
    HelixStreamResult *result, GError **out)
{
  HelixStreamLink *link = self->link;
  guint64 until;
  gint connection;

  if (helix_stream_link_pending (link))
    helix_stream_link_flush (link);
  switch (helix_stream_link_read (link)) {
    case HELIX_STREAM_LINK_MORE:
      return FALSE;
    case HELIX_STREAM_LINK_LIVE:
      went_live (self);
      return FALSE;
    case HELIX_STREAM_LINK_CAPS:
      item->caps = link->caps;
      *result = HELIX_STREAM_CAPS;
      return TRUE;
    case HELIX_STREAM_LINK_UNIT:
      self->gap = GAP_MIN_NS / 2;
      item->unit = link->unit;
      item->buffer = g_steal_pointer (&link->buffer);
      item->discont = link->discont;
      item->received_ns = link->received_ns;
      link->discont = FALSE;
      publish (self, item, link->received_ns);
      *result = HELIX_STREAM_UNIT;
      return TRUE;
    case HELIX_STREAM_LINK_LOST:
      return lost (self, result, out);
    case HELIX_STREAM_LINK_IDLE:
      break;
  }

  link->totals.latency_ns = recent_median (self);
  until = helix_stream_link_tick (link, helix_now_ns (), awake);
  if (until == 0)
    return lost (self, result, out);
  helix_stream_link_flush (link);
  if (!link->live && !self->told && self->reconnect) {
    /* Connected to somebody who says nothing: that is an outage as well. */
    if (helix_now_ns () >= self->outage_since + TELL_NS) {
      self->told = TRUE;
      *result = HELIX_STREAM_WARNING;
      g_set_error (out, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND,
          "%s: connected, but nobody answers HELLO yet. Check that "
          "helixguestsink runs at the other end.",
          self->address->text);
      return TRUE;
    }
    until = MIN (until, self->outage_since + TELL_NS);
  }
  wait_until (self, until, &connection);
  return FALSE;
}

HelixStreamResult
helix_stream_client_next (
    HelixStreamClient *self, HelixStreamItem *item, GError **error)
{
  guint64 awake = helix_now_ns ();
  HelixStreamResult result;

  /* Also when there is always something to read, PING and STATS go out. */
  if (self->link != NULL && self->link->live)
    helix_stream_link_tick (self->link, awake, awake);
  for (;;) {
    if (take_orders (self, helix_now_ns ()))
      return HELIX_STREAM_FLUSHING;
    if (self->link == NULL) {
      if (connect_step (self, &result, error))
        return result;
    } else if (read_step (self, awake, item, &result, error)) {
      return result;
    }
  }
}

/* ---- from any thread ---- */

void
helix_stream_client_flush (HelixStreamClient *self, gboolean on)
{
  pthread_mutex_lock (&self->lock);
  self->flushing = on;
  pthread_mutex_unlock (&self->lock);
  if (on) {
    g_cancellable_cancel (self->cancel);
    helix_wakeup_raise (self->wakeup);
  } else {
    g_cancellable_reset (self->cancel);
  }
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
helix_stream_client_add_latency (HelixStreamClient *self, guint64 ns)
{
  pthread_mutex_lock (&self->lock);
  helix_histogram_add (&self->latency, ns);
  self->recent[self->n_recent % RECENT] = ns;
  self->n_recent =
      self->n_recent + 1 < 2 * RECENT ? self->n_recent + 1 : RECENT;
  pthread_mutex_unlock (&self->lock);
}

GstStructure *
helix_stream_client_stats (HelixStreamClient *self, const gchar *name)
{
  const HelixHistogram *h = &self->latency;
  GstStructure *stats;

  pthread_mutex_lock (&self->lock);
  stats = gst_structure_new (name, "address", G_TYPE_STRING,
      self->listener != NULL ? self->listener->text : self->address->text,
      "connected", G_TYPE_BOOLEAN, self->connected, "reconnects", G_TYPE_UINT64,
      self->connects > 0 ? self->connects - 1 : 0, "units", G_TYPE_UINT64,
      self->before.units + self->now.units, "bytes", G_TYPE_UINT64,
      self->before.bytes + self->now.bytes, "keyframes", G_TYPE_UINT64,
      self->before.keyframes + self->now.keyframes, "lost", G_TYPE_UINT64,
      self->before.lost + self->now.lost, "latency-count", G_TYPE_UINT64,
      h->count, "latency-p50", G_TYPE_UINT64,
      helix_histogram_percentile (h, 50), "latency-p95", G_TYPE_UINT64,
      helix_histogram_percentile (h, 95), "latency-p99", G_TYPE_UINT64,
      helix_histogram_percentile (h, 99), "latency-max", G_TYPE_UINT64, h->max,
      NULL);
  if (self->clock_known)
    gst_structure_set (stats, "clock-offset", G_TYPE_INT64, self->clock_offset,
        "clock-offset-error", G_TYPE_UINT64, self->clock_error, NULL);
  pthread_mutex_unlock (&self->lock);
  return stats;
}

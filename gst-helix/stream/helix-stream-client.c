/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-stream-client.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "helix-platform.h"
#include "helix-stream-cursors.h"
#include "helix-stream-debug.h"
#include "helix-stream-link.h"
#include "helix-stream-tally.h"
#include "helix-stream-wishes.h"
#include "helix-transport.h"

#define GST_CAT_DEFAULT helix_stream_debug

#define MSECOND G_GUINT64_CONSTANT (1000000)

/* One attempt to connect, and how long an outage may stay untold. */
#define DIAL_TIMEOUT_MS 900
#define TELL_NS (900 * MSECOND)

/* Between attempts. Growing, and reset only by what a session is for (units,
 * or an answer to PING where there are none): a far end that accepts and
 * throws out must not be hammered. */
#define GAP_MIN_NS (20 * MSECOND)
#define GAP_MAX_NS (500 * MSECOND)

/* Before a connection is accepted again for which nothing was left: until then
 * its listener would end each wait at once. */
#define ACCEPT_GAP_NS (200 * MSECOND)

/* Nobody read for so long: what piled up meanwhile is not worth showing. A
 * late wake-up or a slow decoder does not count. */
#define STALL_NS (1000 * MSECOND)
#define MAX_WAIT_MS 500

struct _HelixStreamClient {
  HelixAddress *address;
  HelixListener *listener; /* NULL: connect mode */
  gchar *token, *name;
  guint32 role;
  gboolean reconnect;
  guint64 reconnect_timeout; /* ns, 0 = for ever */
  GCancellable *cancel;
  int wakeup[2];

  /* of the thread in next () */
  HelixStreamLink *link; /* NULL: not connected */
  guint64 dial_at, gap;
  guint64 accept_at;    /* not before */
  guint64 outage_since; /* 0: units flow */
  gboolean told;        /* this outage */
  HelixStreamCursors cursors;
  guint64 looked; /* when it last was about to read or to wait */

  /* under `lock` */
  pthread_mutex_t lock;
  gboolean flushing, ask;
  HelixStreamWishes wishes;
  HelixStreamTally tally;
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
  self->name = g_strdup_printf (
      "%s " HELIX_PACKAGE_VERSION, config->name ? config->name : "helixsrc");
  self->role = config->role != 0 ? config->role : HELIX_ROLE_STREAM;
  helix_stream_wishes_init (&self->wishes);
  self->reconnect = config->reconnect;
  self->reconnect_timeout = config->reconnect_timeout_ms * MSECOND;
  self->cancel = g_cancellable_new ();
  self->gap = GAP_MIN_NS / 2;
  pthread_mutex_init (&self->lock, NULL);
  return self;
}

/* What the other threads asked for. TRUE: to flush. */
static gboolean
take_orders (HelixStreamClient *self, guint64 now)
{
  HelixStreamWishes *wishes = &self->wishes;
  HelixStreamLink *link = self->link;
  struct helix_config config;
  gboolean flushing;

  pthread_mutex_lock (&self->lock);
  flushing = self->flushing;
  if (link != NULL && self->ask) {
    helix_stream_link_ask (link, HELIX_KEYFRAME_ASKED, now);
    self->ask = FALSE;
  }
  if (link != NULL && helix_stream_wishes_pending (wishes, &config)
      && helix_stream_link_config (link, &config))
    helix_stream_wishes_sent (wishes);
  if (link != NULL && wishes->show_id != 0
      && helix_stream_link_show (link, wishes->show_id, wishes->show_ns, now))
    helix_stream_wishes_shown (wishes);
  pthread_mutex_unlock (&self->lock);
  return flushing;
}

void
helix_stream_client_free (HelixStreamClient *self)
{
  if (self == NULL)
    return;
  if (self->link != NULL) {
    /* The last wish may be what another thread has only just uttered. */
    take_orders (self, helix_now_ns ());
    helix_stream_link_bye (self->link);
  }
  helix_stream_link_free (self->link);
  helix_stream_cursors_clear (&self->cursors);
  helix_listener_free (self->listener);
  helix_address_free (self->address);
  helix_wakeup_close (self->wakeup);
  g_object_unref (self->cancel);
  pthread_mutex_destroy (&self->lock);
  g_free (self->token);
  g_free (self->name);
  g_free (self);
}

/* ---- connections ---- */

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

  pthread_mutex_lock (&self->lock);
  helix_stream_tally_update (&self->tally, link, helix_now_ns ());
  helix_stream_tally_lost (&self->tally);
  pthread_mutex_unlock (&self->lock);
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
  HelixStreamLinkConfig config = {
      .address = self->address->text,
      .serial = helix_transport_outlives_session (self->address),
      .strangers = self->listener != NULL,
      .role = self->role,
      .name = self->name,
      .token = self->token,
  };

  self->link = helix_stream_link_new (fd, &config, helix_now_ns ());
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

/* Waits for work or `until`, half a second at most (see STALL_NS). Sets
 * *connection to the index of a listening
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
  int timeout = MAX_WAIT_MS;

  if (self->link != NULL) {
    fds[1].fd = self->link->fd;
    fds[1].events =
        POLLIN | (helix_stream_link_pending (self->link) ? POLLOUT : 0);
  } else if (self->listener != NULL && now >= self->accept_at) {
    listening = self->listener->n_fds;
    for (guint i = 0; i < listening; i++) {
      fds[n].fd = self->listener->fds[i];
      fds[n++].events = POLLIN;
    }
  }
  if (until != G_MAXUINT64)
    timeout = until <= now
        ? 0
        : (int) MIN ((until - now + MSECOND - 1) / MSECOND, MAX_WAIT_MS);
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
  GError *error = NULL;
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
  if (now < self->accept_at)
    until = MIN (until, self->accept_at);
  wait_until (self, until, &connection);
  if (connection < 0)
    return FALSE;
  fd = helix_listener_accept (self->listener, (guint) connection, NULL, &error);
  if (fd >= 0)
    start_link (self, fd);
  if (error == NULL)
    return FALSE;
  self->accept_at = helix_now_ns () + ACCEPT_GAP_NS;
  return judge (self, error, FALSE, TRUE, result, out);
}

/* ---- units ---- */

static void
publish (HelixStreamClient *self, HelixStreamItem *item, guint64 now)
{
  HelixStreamLink *link = self->link;
  HelixStreamTally *tally = &self->tally;

  pthread_mutex_lock (&self->lock);
  helix_stream_tally_update (tally, link, now);
  helix_stream_tally_arrived (tally, link);
  item->clock_known = tally->clock_known;
  item->clock_offset = tally->clock_offset;
  item->clock_error = tally->clock_error;
  pthread_mutex_unlock (&self->lock);
}

static void
went_live (HelixStreamClient *self)
{
  pthread_mutex_lock (&self->lock);
  helix_stream_tally_connected (&self->tally);
  helix_stream_wishes_renew (&self->wishes);
  pthread_mutex_unlock (&self->lock);
  helix_stream_cursors_clear (&self->cursors);
  self->outage_since = 0;
  self->told = FALSE;
}

/* What was asked for does not exist, or not there. FALSE: known already. */
static gboolean
refused (HelixStreamClient *self, GError **out)
{
  const HelixStreamLink *link = self->link;
  gboolean news;

  pthread_mutex_lock (&self->lock);
  news = helix_stream_wishes_refused (&self->wishes, &link->refusal);
  pthread_mutex_unlock (&self->lock);
  if (news)
    g_set_error (out, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
        "%s: the other end refuses what was asked of it (%s): %s",
        self->address->text, helix_error_name (link->refusal.code),
        link->refusal_text);
  return news;
}

/* Without units, that the other end answers is all there is to go by, and to
 * keep the statistics by. */
static void
publish_idle (HelixStreamClient *self, guint64 now)
{
  if (self->link->clock.count > 0 && self->role != HELIX_ROLE_STREAM)
    self->gap = GAP_MIN_NS / 2;
  pthread_mutex_lock (&self->lock);
  helix_stream_tally_update (&self->tally, self->link, now);
  self->link->totals.latency_ns = helix_stream_tally_median (&self->tally);
  pthread_mutex_unlock (&self->lock);
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
    case HELIX_STREAM_LINK_CURSOR:
      item->cursor = link->cursor;
      item->buffer = helix_stream_cursors_take (
          &self->cursors, &link->cursor, g_steal_pointer (&link->buffer));
      *result = HELIX_STREAM_CURSOR;
      return TRUE;
    case HELIX_STREAM_LINK_REFUSED:
      *result = HELIX_STREAM_WARNING;
      return refused (self, out);
    case HELIX_STREAM_LINK_LOST:
      return lost (self, result, out);
    case HELIX_STREAM_LINK_IDLE:
      break;
  }

  if (link->live)
    publish_idle (self, helix_now_ns ());
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
  guint64 awake = helix_now_ns (), now;
  HelixStreamResult result;

  /* Also when there is always something to read, PING and STATS go out. */
  if (self->link != NULL && self->link->live)
    helix_stream_link_tick (self->link, awake, awake);
  for (;;) {
    now = helix_now_ns ();
    if (self->link != NULL && now - self->looked > STALL_NS) {
      helix_stream_link_catch_up (self->link, now);
      awake = now;
    }
    self->looked = now;
    if (take_orders (self, now))
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
  pthread_mutex_unlock (&self->lock);
  return stats;
}

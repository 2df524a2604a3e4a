/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-stream-client.h"

#include <errno.h>
#include <gio/gio.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "helix-backoff.h"
#include "helix-platform.h"
#include "helix-stats.h"
#include "helix-stream-connection.h"
#include "helix-transport.h"
#include "helix-waiter.h"

#define GST_CAT_DEFAULT helix_stream_debug

#define MSECOND G_GUINT64_CONSTANT (1000000)

/* One attempt to connect, and how long an outage may stay untold. */
#define DIAL_TIMEOUT_MS 900
#define TELL_NS (900 * MSECOND)

/* Before a connection is accepted again for which nothing was left: until then
 * its listener would end each wait at once. */
#define ACCEPT_GAP_NS (200 * MSECOND)

/* Warnings that were not taken yet: further ones are only logged. */
#define MAX_WARNINGS 16

/* Latencies whose median goes into STATS: about a second of them. */
#define RECENT 64

/* What is asked of the other end, and what of it the session at hand has been
 * sent. Outlives connections: each new session is sent everything again. */
typedef struct {
  struct helix_config wanted; /* `fields`: asked for at all */
  guint32 unsent;             /* HELIX_CONFIG_*: of these */

  guint32 show_id; /* resource to show, not sent yet; 0: none */
  guint64 show_ns; /* its capture time, own clock or HELIX_NONE64 */
  guint32 shown;   /* the last one sent */

  /* refusals told: of these values, and by the bits of their codes */
  guint64 told_scanout, told_resource; /* HELIX_NONE64: none */
  guint64 told_codes;
} Requests;

/* The cursor, as it is now. */
typedef struct {
  struct helix_cursor state;
  gboolean due, last; /* it is to be taken; it was taken last */
  GstBuffer *image;   /* the last one that came, or NULL */
  guint32 image_serial;
  guint32 given; /* serial of the image that was taken last, 0: none */
} Cursor;

/* Counts across connections. */
typedef struct {
  struct helix_stats before; /* of sessions that are over */
  struct helix_stats now;    /* of the session at hand */
  guint64 skipped_before, skipped;
  guint64 connects;
  gboolean connected;

  gboolean clock_known; /* the next two are valid */
  gint64 clock_offset;  /* ns: other end's clock - own */
  guint64 clock_error;  /* ns: bound of the error of the offset */

  struct helix_histogram transit; /* sent -> received, ns */
  struct helix_histogram latency; /* capture -> where the caller is, ns */
  guint64 recent[RECENT];
  guint n_recent;
} Stats;

struct _HelixStreamClient {
  HelixAddress *address;
  HelixListener *listener; /* NULL: connect mode */
  gchar *token, *name;
  HelixStreamConnectionConfig session; /* of each connection */
  gboolean reconnect;
  guint64 reconnect_timeout; /* ns, 0 = for ever */
  GCancellable *cancel;
  HelixWaiter waiter; /* of the reader */

  /* of the reader */
  HelixStreamConnection *connection; /* NULL: none */
  HelixBackoff backoff; /* reset only by what a session is for: units, or an
                         * answer to PING where there are none */
  guint64 dial_at;
  guint64 accept_at;     /* not before */
  guint64 outage_since;  /* 0: units flow */
  gboolean told;         /* this outage */
  gboolean refusal_told; /* a refused connection was reported in this
                          * outage */
  guint64 ask_at;        /* when to look whether a keyframe is needed */
  gboolean over;         /* `end` is set */

  /* under `lock` */
  pthread_mutex_t lock;
  pthread_cond_t arrived; /* something to take, or `flushing` */
  pthread_t reader;
  gboolean started, stop, flushing, ask;
  Requests requests;
  Stats stats;

  /* what came and was not taken: warnings, the cursor, units, and behind all
   * of them the end */
  GQueue warnings; /* of GError */
  Cursor cursor;
  HelixStreamInbox inbox;
  gboolean slow_told;
  HelixStreamResult end; /* HELIX_STREAM_EOS, _ERROR; else there is none */
  GError *end_error;
};

/* ---- requests; under the lock ---- */

/* A new session has been sent nothing. */
static void
renew_requests (Requests *self)
{
  self->unsent = self->wanted.fields;
  if (self->show_id != 0)
    return;
  self->show_id = self->shown;
  self->show_ns = HELIX_NONE64;
}

static void
send_requests (Requests *self, HelixStreamConnection *connection, guint64 now)
{
  struct helix_config config = self->wanted;
  struct helix_show show = {
      .resource_id = self->show_id, .capture_ns = HELIX_NONE64};
  guint8 message[HELIX_MAX_MESSAGE];
  guint64 error;
  gint64 offset;

  config.fields = self->unsent;
  if (self->unsent != 0
      && helix_stream_connection_request (
          connection, message, helix_pack_config (message, &config)))
    self->unsent = 0;
  if (self->show_ns != HELIX_NONE64
      && helix_clock_offset_get (&connection->clock, now, &offset, &error))
    show.capture_ns = self->show_ns + (guint64) offset;
  if (self->show_id != 0
      && helix_stream_connection_request (
          connection, message, helix_pack_show (message, 0, &show))) {
    self->shown = self->show_id;
    self->show_id = 0;
  }
}

/* Whether this refusal was not told before. */
static gboolean
is_news (Requests *self, const struct helix_error *error)
{
  guint64 *told = &self->told_codes, value;

  if (error->refers == HELIX_CONFIG && error->code == HELIX_ERROR_NO_SCANOUT) {
    told = &self->told_scanout;
    value = self->wanted.scanout;
  } else if (error->refers == HELIX_CONFIG
      && error->code == HELIX_ERROR_NO_RESOURCE) {
    told = &self->told_resource;
    value = self->wanted.resource_id;
  } else {
    /* The rest by kind: a resource that is shown is another each time. */
    value = *told
        | G_GUINT64_CONSTANT (1)
            << (error->code % 32 + (error->refers == HELIX_SHOW ? 32 : 0));
  }
  if (*told == value)
    return FALSE;
  *told = value;
  return TRUE;
}

/* ---- the cursor; under the lock ---- */

static void
clear_cursor (Cursor *self)
{
  gst_clear_buffer (&self->image);
  memset (self, 0, sizeof *self);
}

/* Takes `image`, which may be NULL: the shape came before, or there is none. */
static void
set_cursor (Cursor *self, const struct helix_cursor *state, GstBuffer *image)
{
  self->state = *state;
  self->due = TRUE;
  if (image == NULL)
    return;
  gst_clear_buffer (&self->image);
  self->image = image;
  self->image_serial = state->serial;
  self->given = 0; /* another image, whatever its serial */
}

static gboolean
take_cursor (Cursor *self, HelixStreamItem *item)
{
  guint32 serial = self->state.serial;

  if (!self->due)
    return FALSE;
  self->due = FALSE;
  item->cursor = self->state;
  if (serial == self->given)
    return TRUE;
  if (self->image != NULL && serial == self->image_serial)
    item->buffer = gst_buffer_ref (self->image);
  self->given = item->buffer != NULL ? serial : 0;
  return TRUE;
}

/* ---- statistics; under the lock ---- */

static void
update_stats (Stats *self, const HelixStreamConnection *connection, guint64 now)
{
  self->now = connection->totals;
  self->skipped = connection->skipped;
  self->clock_known = helix_clock_offset_get (
      &connection->clock, now, &self->clock_offset, &self->clock_error);
}

static void
add_transit (Stats *self, const HelixStreamItem *item)
{
  guint64 sent = item->unit.sent_ns - (guint64) item->clock_offset;

  /* The offset is known up to an error: sent in the future is just sent. */
  if (item->clock_known)
    helix_histogram_add (&self->transit,
        item->received_ns > sent ? item->received_ns - sent : 0);
}

/* The session is over: its counts join those of its predecessors. */
static void
close_stats (Stats *self)
{
  self->before.units += self->now.units;
  self->before.bytes += self->now.bytes;
  self->before.keyframes += self->now.keyframes;
  self->before.lost += self->now.lost;
  self->skipped_before += self->skipped;
  memset (&self->now, 0, sizeof self->now);
  self->skipped = 0;
  self->connected = self->clock_known = FALSE;
}

static int
compare (const void *a, const void *b)
{
  guint64 x = *(const guint64 *) a, y = *(const guint64 *) b;

  return x < y ? -1 : x > y;
}

/* Of the recent latencies; HELIX_NONE64 without one. */
static guint64
median_latency (const Stats *self)
{
  guint64 sorted[RECENT];
  guint n = MIN (self->n_recent, RECENT);

  if (n == 0)
    return HELIX_NONE64;
  memcpy (sorted, self->recent, n * sizeof sorted[0]);
  qsort (sorted, n, sizeof sorted[0], compare);
  return sorted[n / 2];
}

/* ---- hand over: the reader ---- */

/* Under the lock. Takes `error`. */
static void
queue_warning (HelixStreamClient *self, GError *error)
{
  if (self->warnings.length < MAX_WARNINGS) {
    g_queue_push_tail (&self->warnings, error);
    return;
  }
  GST_WARNING ("%s", error->message);
  g_error_free (error);
}

static void
unlock_and_signal (HelixStreamClient *self)
{
  pthread_mutex_unlock (&self->lock);
  /* Not before: the thread that is woken wants the lock, and would only wait
   * again. */
  pthread_cond_signal (&self->arrived);
}

/* Takes `error`. */
static void
warn (HelixStreamClient *self, GError *error)
{
  pthread_mutex_lock (&self->lock);
  queue_warning (self, error);
  unlock_and_signal (self);
}

/* Nothing more comes. Takes `error`, which is NULL with HELIX_STREAM_EOS. */
static void
end (HelixStreamClient *self, HelixStreamResult result, GError *error)
{
  self->over = TRUE;
  pthread_mutex_lock (&self->lock);
  self->end = result;
  self->end_error = error;
  unlock_and_signal (self);
}

/* ---- connections: the reader ---- */

static void
note_outage (HelixStreamClient *self, guint64 now)
{
  if (self->outage_since != 0)
    return;
  self->outage_since = now;
  self->told = self->refusal_told = FALSE;
}

/* An attempt failed or a connection was lost. Takes `error`. `told`: whether
 * an error of its kind was told in this outage; NULL: it is not to be told. */
static void
fail (HelixStreamClient *self, GError *error, gboolean fatal, gboolean *told)
{
  guint64 now = helix_now_ns ();

  note_outage (self, now);
  self->dial_at = helix_backoff_next (&self->backoff, now);

  if (fatal || !self->reconnect) {
    end (self, HELIX_STREAM_ERROR, error);
  } else if (self->reconnect_timeout > 0
      && now - self->outage_since >= self->reconnect_timeout) {
    g_prefix_error (&error,
        "Gave up after %u ms: ", (guint) (self->reconnect_timeout / MSECOND));
    end (self, HELIX_STREAM_ERROR, error);
  } else if (told != NULL && !*told) {
    *told = TRUE;
    warn (self, error);
  } else {
    GST_DEBUG ("%s", error->message);
    g_error_free (error);
  }
}

static void
lose (HelixStreamClient *self)
{
  HelixStreamConnection *connection = g_steal_pointer (&self->connection);
  GError *error = g_steal_pointer (&connection->error);
  gboolean fatal = connection->fatal, *told = NULL;

  /* A refused connection and the lack of any other are reported apart. */
  if (connection->loud)
    told = self->listener != NULL && !connection->connection->live
        ? &self->refusal_told
        : &self->told;

  pthread_mutex_lock (&self->lock);
  update_stats (&self->stats, connection, helix_now_ns ());
  close_stats (&self->stats);
  helix_stream_inbox_live (&self->inbox, FALSE);
  pthread_mutex_unlock (&self->lock);
  helix_stream_connection_free (connection);
  if (error == NULL && !self->reconnect) {
    end (self, HELIX_STREAM_EOS, NULL);
    return;
  }
  if (error == NULL)
    error = g_error_new (GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_READ,
        "%s: the other end said goodbye.", self->address->text);
  fail (self, error, fatal, told);
}

/* Takes `fd`. */
static void
start_connection (HelixStreamClient *self, gint fd)
{
  self->connection =
      helix_stream_connection_new (fd, &self->session, helix_now_ns ());
}

static void
dial (HelixStreamClient *self)
{
  GError *error = NULL;
  gint fd = helix_transport_connect (
      self->address, self->cancel, DIAL_TIMEOUT_MS, &error);

  if (fd >= 0)
    start_connection (self, fd);
  else if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    g_error_free (error);
  else
    fail (
        self, error, !helix_transport_error_is_temporary (error), &self->told);
}

/* Waits for work or `until`. Returns the index of a listening socket with a
 * connection, else -1. */
static gint
wait_until (HelixStreamClient *self, guint64 until)
{
  struct pollfd fds[2 + HELIX_LISTENER_MAX] = {{.fd = -1}, {.fd = -1}};
  guint n = 2;

  if (self->connection != NULL) {
    helix_connection_pollfd (self->connection->connection, &fds[1]);
  } else if (self->listener != NULL && helix_now_ns () >= self->accept_at) {
    for (guint i = 0; i < self->listener->n_fds; i++)
      fds[n++] =
          (struct pollfd){.fd = self->listener->fds[i], .events = POLLIN};
  }
  if (helix_waiter_wait (&self->waiter, fds, n, MIN (until, self->ask_at)))
    for (guint i = 2; i < n; i++)
      if (fds[i].revents != 0)
        return (gint) i - 2;
  return -1;
}

/* A connection that may not bring video: its owner gets an ERROR, and once in
 * an outage this end's user a warning, whatever else was told of it. */
static void
turn_away (HelixStreamClient *self, gint fd, const gchar *peer,
    const gchar *why, const gchar *who)
{
  helix_stream_turn_away (fd, why);
  close (fd);
  if (who == NULL || self->refusal_told)
    return;
  self->refusal_told = TRUE;
  warn (self,
      g_error_new (GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_AUTHORIZED,
          "%s: %s of %s refused: %s. Set the same token-file (or token) at "
          "both ends.",
          self->listener->text, peer, who, why));
}

static void
accept_connection (HelixStreamClient *self, guint index)
{
  g_autofree gchar *peer = NULL, *who = NULL, *why = NULL;
  GError *error = NULL;
  gint fd = helix_listener_accept (self->listener, index, &peer, &error);

  if (error != NULL) {
    self->accept_at = helix_now_ns () + ACCEPT_GAP_NS;
    fail (self, error, FALSE, &self->told);
    return;
  }
  if (fd < 0)
    return;
  why = helix_listener_refusal (self->listener, fd, &who);
  if (why == NULL)
    start_connection (self, fd);
  else
    turn_away (self, fd, peer, why, who);
}

/* Not connected: dials, or waits for a connection. */
static void
connect_step (HelixStreamClient *self)
{
  guint64 now = helix_now_ns ();
  guint64 until = self->dial_at;
  gint index;

  note_outage (self, now);
  if (self->listener == NULL && now >= until) {
    dial (self);
    return;
  }
  if (self->listener != NULL) {
    until = self->told ? G_MAXUINT64 : self->outage_since + TELL_NS;
    if (self->reconnect_timeout > 0)
      until = MIN (until, self->outage_since + self->reconnect_timeout);
    if (now >= until) {
      fail (self,
          g_error_new (GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND,
              "%s: no end has connected yet. Start helixguestsink with "
              "mode=connect and this address.",
              self->listener->text),
          FALSE, &self->told);
      return;
    }
  }
  if (now < self->accept_at)
    until = MIN (until, self->accept_at);
  index = wait_until (self, until);
  if (index >= 0)
    accept_connection (self, (guint) index);
}

/* ---- a session: the reader ---- */

static void
went_live (HelixStreamClient *self)
{
  pthread_mutex_lock (&self->lock);
  self->stats.connects++;
  self->stats.connected = TRUE;
  self->stats.n_recent = 0;
  renew_requests (&self->requests);
  clear_cursor (&self->cursor);
  helix_stream_inbox_live (&self->inbox, TRUE);
  pthread_mutex_unlock (&self->lock);
  self->outage_since = 0;
  self->told = self->refusal_told = FALSE;
}

/* Under the lock. Takes the buffer. */
static void
got_unit (HelixStreamClient *self, HelixStreamItem *item)
{
  helix_backoff_reset (&self->backoff);
  update_stats (&self->stats, self->connection, item->received_ns);
  add_transit (&self->stats, item);
  helix_stream_inbox_add (&self->inbox, item);
  item->discont = FALSE;
  /* Units come or are taken too slowly, again and again: told once. */
  if (self->inbox.slow && !self->slow_told) {
    self->slow_told = TRUE;
    queue_warning (self,
        g_error_new (GST_CORE_ERROR, GST_CORE_ERROR_CLOCK,
            "%s: units come or are taken too slowly, and those that became "
            "older than %u ms were left out up to a keyframe. Use a faster "
            "decoder or network, lower max-framerate, or raise max-age.",
            self->address->text, (guint) (self->inbox.max_age / MSECOND)));
  }
}

/* Under the lock. */
static void
got_refusal (HelixStreamClient *self, const HelixConnection *connection)
{
  if (is_news (&self->requests, &connection->error))
    queue_warning (self,
        g_error_new (GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
            "%s: the other end refuses what was asked of it (%s): %s",
            self->address->text, helix_error_name (connection->error.code),
            connection->text));
}

/* Something for the thread that takes it. */
static void
hand_over (HelixStreamClient *self)
{
  HelixStreamItem *item = &self->connection->item;

  pthread_mutex_lock (&self->lock);
  if (item->kind == HELIX_STREAM_CAPS)
    helix_stream_inbox_add (&self->inbox, item);
  else if (item->kind == HELIX_STREAM_UNIT)
    got_unit (self, item);
  else if (item->kind == HELIX_STREAM_CURSOR)
    set_cursor (&self->cursor, &item->cursor, item->buffer);
  else
    got_refusal (self, self->connection->connection);
  item->buffer = NULL;
  unlock_and_signal (self);
}

/* All that came was read: deadlines, then waits for more. */
static void
idle (HelixStreamClient *self)
{
  HelixStreamConnection *connection = self->connection;
  gboolean live = connection->connection->live;
  guint64 now = helix_now_ns (), until;

  if (live) {
    /* Without units, that the other end answers is all there is to go by. */
    if (connection->clock.count > 0 && self->session.role != HELIX_ROLE_STREAM)
      helix_backoff_reset (&self->backoff);
    pthread_mutex_lock (&self->lock);
    update_stats (&self->stats, connection, now);
    connection->totals.latency_ns = median_latency (&self->stats);
    pthread_mutex_unlock (&self->lock);
  }
  until = helix_stream_connection_tick (connection, now);
  if (until == 0) {
    lose (self);
    return;
  }
  if (!live && !self->told && self->reconnect) {
    /* An end that accepts and says nothing is an outage as well. */
    if (helix_now_ns () >= self->outage_since + TELL_NS) {
      self->told = TRUE;
      warn (self,
          g_error_new (GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND,
              "%s: connected, but HELLO gets no answer yet. Check that "
              "helixguestsink runs at the other end.",
              self->address->text));
      return;
    }
    until = MIN (until, self->outage_since + TELL_NS);
  }
  wait_until (self, until);
}

static void
read_step (HelixStreamClient *self)
{
  switch (helix_stream_connection_read (self->connection)) {
    case HELIX_CONNECTION_LIVE:
      went_live (self);
      break;
    case HELIX_CONNECTION_LOST:
      lose (self);
      break;
    case HELIX_CONNECTION_IDLE:
      idle (self);
      break;
    case HELIX_CONNECTION_MESSAGE:
      hand_over (self);
      /* Also when there is always something to read, PING and STATS go out. */
      if (helix_stream_connection_tick (self->connection, helix_now_ns ()) == 0)
        lose (self);
      break;
    default:
      break;
  }
}

/* Sends what the other threads asked for. TRUE: to stop. Thread: the reader,
 * or another one after it has ended. */
static gboolean
take_orders (HelixStreamClient *self, guint64 now)
{
  HelixStreamConnection *connection = self->connection;
  gboolean stop;

  pthread_mutex_lock (&self->lock);
  stop = self->stop;
  self->ask_at = G_MAXUINT64;
  if (connection != NULL) {
    if (self->ask)
      helix_stream_connection_ask (connection, HELIX_KEYFRAME_ASKED, now);
    self->ask = FALSE;
    if (helix_stream_inbox_tick (&self->inbox, now, &self->ask_at))
      helix_stream_connection_ask (connection, HELIX_KEYFRAME_GAP, now);
    send_requests (&self->requests, connection, now);
  }
  pthread_mutex_unlock (&self->lock);
  return stop;
}

/* The reader's thread: connects, reads, answers, whether or not what comes is
 * taken. */
static void *
read_all (void *client)
{
  HelixStreamClient *self = client;

  helix_thread_name ("helix-read");
  while (!self->over && !take_orders (self, helix_now_ns ()))
    if (self->connection == NULL)
      connect_step (self);
    else
      read_step (self);
  return NULL;
}

/* ---- making, and taking ---- */

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
  if (!helix_waiter_init (&self->waiter)) {
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
  self->session = (HelixStreamConnectionConfig){.address = self->address->text,
      .serial = self->address->kind == HELIX_ADDRESS_SERIAL,
      .strangers = listener != NULL,
      .role = config->role != 0 ? config->role : HELIX_ROLE_STREAM,
      .name = self->name,
      .token = self->token};
  self->requests.wanted.rate_den = 1;
  self->requests.show_ns = HELIX_NONE64;
  self->requests.told_scanout = self->requests.told_resource = HELIX_NONE64;
  self->reconnect = config->reconnect;
  self->reconnect_timeout = config->reconnect_timeout_ms * MSECOND;
  self->cancel = g_cancellable_new ();
  helix_backoff_reset (&self->backoff);
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
    helix_waiter_wake (&self->waiter);
    pthread_join (self->reader, NULL);
  }
  if (self->connection != NULL)
    /* The last request may have been made after the reader looked. */
    take_orders (self, helix_now_ns ());
  helix_stream_connection_free (self->connection);
  clear_cursor (&self->cursor);
  helix_stream_inbox_clear (&self->inbox);
  g_queue_clear_full (&self->warnings, (GDestroyNotify) g_error_free);
  g_clear_error (&self->end_error);
  helix_listener_free (self->listener);
  helix_address_free (self->address);
  helix_waiter_clear (&self->waiter);
  g_object_unref (self->cancel);
  pthread_cond_destroy (&self->arrived);
  pthread_mutex_destroy (&self->lock);
  g_free (self->token);
  g_free (self->name);
  g_free (self);
}

static gboolean
take_unit (HelixStreamClient *self, HelixStreamItem *item)
{
  gboolean wanted = self->inbox.wants_key;
  gboolean taken = helix_stream_inbox_take (&self->inbox, item);

  if (self->inbox.wants_key && !wanted)
    helix_waiter_wake (&self->waiter);
  return taken;
}

/* Under the lock: the next thing to take. FALSE: nothing. Neither warnings nor
 * the cursor wait behind units; nor do units behind many moves of it. */
static gboolean
take (HelixStreamClient *self, HelixStreamItem *item, GError **error)
{
  gboolean cursor_last = self->cursor.last;
  GError *warning;

  self->cursor.last = FALSE;
  if (self->flushing) {
    item->kind = HELIX_STREAM_FLUSHING;
  } else if ((warning = g_queue_pop_head (&self->warnings)) != NULL) {
    item->kind = HELIX_STREAM_WARNING;
    g_propagate_error (error, warning);
  } else if (cursor_last && take_unit (self, item)) {
    return TRUE;
  } else if (take_cursor (&self->cursor, item)) {
    item->kind = HELIX_STREAM_CURSOR;
    self->cursor.last = TRUE;
  } else if (take_unit (self, item)) {
    return TRUE;
  } else if (self->end != HELIX_STREAM_FLUSHING) {
    item->kind = self->end;
    if (self->end_error != NULL)
      g_propagate_error (error, g_error_copy (self->end_error));
  } else {
    return FALSE;
  }
  return TRUE;
}

/* Not in new (): nothing is connected before units are wanted. */
static gboolean
start (HelixStreamClient *self, GError **error)
{
  int failed;

  if (self->started)
    return TRUE;
  failed = pthread_create (&self->reader, NULL, read_all, self);
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
  memset (item, 0, sizeof *item);
  item->kind = HELIX_STREAM_ERROR;
  pthread_mutex_lock (&self->lock);
  if (start (self, error))
    while (!take (self, item, error))
      pthread_cond_wait (&self->arrived, &self->lock);
  pthread_mutex_unlock (&self->lock);
  return item->kind;
}

/* ---- from any thread ---- */

void
helix_stream_client_flush (HelixStreamClient *self, gboolean on)
{
  pthread_mutex_lock (&self->lock);
  self->flushing = on;
  unlock_and_signal (self);
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
  helix_waiter_wake (&self->waiter);
}

void
helix_stream_client_configure (HelixStreamClient *self,
    const struct helix_config *request, guint32 dropped)
{
  pthread_mutex_lock (&self->lock);
  self->requests.wanted.fields &= ~dropped;
  self->requests.unsent &= ~dropped;
  helix_stream_merge_config (&self->requests.wanted, request);
  self->requests.unsent |= request->fields;
  pthread_mutex_unlock (&self->lock);
  helix_waiter_wake (&self->waiter);
}

void
helix_stream_client_show (
    HelixStreamClient *self, guint32 resource_id, guint64 capture_ns)
{
  pthread_mutex_lock (&self->lock);
  self->requests.show_id = resource_id;
  self->requests.show_ns = capture_ns;
  self->requests.shown = 0;
  pthread_mutex_unlock (&self->lock);
  helix_waiter_wake (&self->waiter);
}

void
helix_stream_client_add_latency (HelixStreamClient *self, guint64 ns)
{
  Stats *stats = &self->stats;

  pthread_mutex_lock (&self->lock);
  helix_histogram_add (&stats->latency, ns);
  stats->recent[stats->n_recent % RECENT] = ns;
  stats->n_recent =
      stats->n_recent + 1 < 2 * RECENT ? stats->n_recent + 1 : RECENT;
  pthread_mutex_unlock (&self->lock);
}

static void
set_unit_stats (const HelixStreamClient *self, GstStructure *structure)
{
  const Stats *stats = &self->stats;
  const struct helix_stats *before = &stats->before, *now = &stats->now;

  gst_structure_set (structure, "units", G_TYPE_UINT64,
      before->units + now->units, "bytes", G_TYPE_UINT64,
      before->bytes + now->bytes, "keyframes", G_TYPE_UINT64,
      before->keyframes + now->keyframes, "lost", G_TYPE_UINT64,
      before->lost + now->lost, "skipped", G_TYPE_UINT64,
      stats->skipped_before + stats->skipped, "latency-count", G_TYPE_UINT64,
      stats->latency.count, "left-out", G_TYPE_UINT64, self->inbox.left_out,
      "skips", G_TYPE_UINT64, self->inbox.skips, NULL);
  helix_stats_set_times (structure, "transit", &stats->transit);
  helix_stats_set_times (structure, "latency", &stats->latency);
}

GstStructure *
helix_stream_client_stats (HelixStreamClient *self, const gchar *name)
{
  const Stats *stats = &self->stats;
  GstStructure *structure = gst_structure_new (name, "address", G_TYPE_STRING,
      self->listener != NULL ? self->listener->text : self->address->text,
      NULL);

  pthread_mutex_lock (&self->lock);
  gst_structure_set (structure, "connected", G_TYPE_BOOLEAN, stats->connected,
      "reconnects", G_TYPE_UINT64,
      stats->connects > 0 ? stats->connects - 1 : 0, NULL);
  if (stats->clock_known)
    gst_structure_set (structure, "clock-offset", G_TYPE_INT64,
        stats->clock_offset, "clock-offset-error", G_TYPE_UINT64,
        stats->clock_error, NULL);
  if (self->session.role == HELIX_ROLE_STREAM)
    set_unit_stats (self, structure);
  pthread_mutex_unlock (&self->lock);
  return structure;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-stream-client.h"

#include <errno.h>
#include <gio/gio.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "helix-backoff.h"
#include "helix-connection.h"
#include "helix-platform.h"
#include "helix-stats.h"
#include "helix-stream-common.h"
#include "helix-stream-timing.h"
#include "helix-stream-turn.h"
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

/* Between two STATS, and between two requests for a keyframe. */
#define STATS_NS (1000 * MSECOND)
#define ASK_NS (200 * MSECOND)

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

/* Of one connection; all zero between two of them. */
typedef struct {
  gboolean live;
  /* What is read: `kind` is not used; caps.caps_id is 0 before CAPS; `buffer`
   * is mapped, and NULL unless its bytes are under way. */
  HelixStreamItem item;
  GstMapInfo map;
  gboolean announced; /* a UNIT was: item.unit.sequence is the last one's */
  gboolean need_key;  /* skip until a key unit */
  gboolean waiting;   /* what reads waits for what comes next */
  HelixClockOffset clock;
  struct helix_stats totals; /* what STATS says */
  guint64 stats_ns;          /* when it was sent last, */
  guint64 told_units;        /* and the units it said */
} Session;

/* Counts across connections. */
typedef struct {
  struct helix_stats before; /* of sessions that are over */
  guint64 skipped;           /* units that came and could not be used */
  guint64 connects;

  struct helix_histogram transit; /* sent -> received, ns */
  struct helix_histogram latency; /* capture -> where the caller is, ns */
  guint64 recent[RECENT];
  guint n_recent;
} Stats;

struct _HelixStreamClient {
  HelixAddress *address;
  HelixListener *listener; /* NULL: connect mode */
  gchar *token, *name;
  guint32 role;
  gboolean reconnect;
  guint64 reconnect_timeout; /* ns, 0 = for ever */
  GCancellable *cancel;
  HelixWaiter waiter; /* of the thread that has the turn to read */

  pthread_mutex_t lock;   /* of what follows */
  pthread_cond_t arrived; /* something to take, `flushing`, or the turn */
  pthread_cond_t idle;    /* the reader waits there for the turn */
  pthread_t reader;
  HelixStreamTurn turn; /* who reads: the reader, or the thread of next () */
  gboolean started, stop, flushing;

  HelixConnection *connection; /* NULL: none. Changed with the turn only */
  HelixConnection *ended;      /* NULL: none. It is closed without the lock */
  Session session;
  HelixBackoff backoff; /* reset only by what a session is for: units, or an
                         * answer to PING where there are none */
  guint64 dial_at;
  guint64 accept_at;     /* not before */
  guint64 outage_since;  /* 0: units flow */
  gboolean told;         /* this outage */
  gboolean refusal_told; /* a refused connection was reported in this
                          * outage */

  gboolean asking; /* a request for a keyframe waits for its time */
  guint32 ask_reason;
  guint64 asked_ns; /* when the last one was sent */
  Requests requests;
  Stats stats;

  /* what came and was not taken: warnings, the cursor, units, and behind all
   * of them the end */
  gboolean came;   /* something did: `arrived` is signalled without the lock */
  GQueue warnings; /* of GError */
  Cursor cursor;
  HelixStreamInbox inbox;
  gboolean slow_told;
  HelixStreamResult end; /* HELIX_STREAM_EOS, _ERROR; else there is none */
  GError *end_error;
};

static const gchar *
own_address (const HelixStreamClient *self)
{
  return self->listener != NULL ? self->listener->text : self->address->text;
}

/* "ADDRESS: text." */
static GError *G_GNUC_PRINTF (3, 4) new_error (const HelixStreamClient *self,
    GstResourceError code, const gchar *format, ...)
{
  g_autofree gchar *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  return g_error_new (
      GST_RESOURCE_ERROR, code, "%s: %s.", own_address (self), text);
}

/* Lock: all functions down to session_step () are called under it; it and
 * dial () let it go in between. */

/* ---- requests ---- */

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

/* FALSE: what was sent before waits in the socket. When that has left, the
 * newest request goes, not an old one. */
static gboolean
send_request (HelixConnection *connection, const guint8 *message, gsize size)
{
  return !helix_connection_flush (connection)
      && helix_connection_send (connection, message, size);
}

static void
send_config (HelixStreamClient *self)
{
  struct helix_config config = self->requests.wanted;
  guint8 message[HELIX_MAX_MESSAGE];

  config.fields = self->requests.unsent;
  if (config.fields != 0
      && send_request (
          self->connection, message, helix_pack_config (message, &config)))
    self->requests.unsent = 0;
}

static void
send_show (HelixStreamClient *self, guint64 now)
{
  Requests *requests = &self->requests;
  struct helix_show show = {
      .resource_id = requests->show_id, .capture_ns = HELIX_NONE64};
  guint8 message[HELIX_MAX_MESSAGE];
  guint64 error;
  gint64 offset;

  if (show.resource_id == 0)
    return;
  if (requests->show_ns != HELIX_NONE64
      && helix_clock_offset_get (&self->session.clock, now, &offset, &error))
    show.capture_ns = requests->show_ns + (guint64) offset;
  if (send_request (
          self->connection, message, helix_pack_show (message, 0, &show))) {
    requests->shown = requests->show_id;
    requests->show_id = 0;
  }
}

/* Sends the request for a keyframe if its time has come; returns when that
 * is. */
static guint64
send_keyframe (HelixStreamClient *self, guint64 now)
{
  struct helix_keyframe keyframe = {.reason = self->ask_reason,
      .last_sequence = self->session.totals.last_sequence};
  guint8 message[HELIX_MAX_MESSAGE];

  if (!self->asking)
    return HELIX_NONE64;
  if (now - self->asked_ns < ASK_NS)
    return self->asked_ns + ASK_NS;
  self->asked_ns = now;
  self->asking = FALSE;
  helix_connection_send (
      self->connection, message, helix_pack_keyframe (message, &keyframe));
  return HELIX_NONE64;
}

/* HELIX_KEYFRAME_*. It waits for its time, and merges with others. */
static void
ask (HelixStreamClient *self, guint32 reason)
{
  /* A keyframe that comes by itself is no answer to one that was asked for. */
  if (!self->asking || self->ask_reason != HELIX_KEYFRAME_ASKED)
    self->ask_reason = reason;
  self->asking = TRUE;
}

/* Returns: when to call again. */
static guint64
send_requests (HelixStreamClient *self, guint64 now)
{
  guint64 next = HELIX_NONE64;

  if (!self->session.live)
    return next;
  if (helix_stream_inbox_tick (&self->inbox, now, &next))
    ask (self, HELIX_KEYFRAME_GAP);
  send_config (self);
  send_show (self, now);
  return MIN (next, send_keyframe (self, now));
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

/* ---- the cursor ---- */

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
  if (self->image != NULL && serial == self->image_serial
      && gst_buffer_get_size (self->image)
          == (gsize) item->cursor.width * item->cursor.height * 4)
    item->buffer = gst_buffer_ref (self->image);
  self->given = item->buffer != NULL ? serial : 0;
  return TRUE;
}

/* ---- statistics ---- */

static void
add_transit (Stats *self, const HelixStreamItem *item)
{
  guint64 sent = item->unit.sent_ns - (guint64) item->clock_offset;

  /* The offset is known up to an error: sent in the future is just sent. */
  if (item->clock_known)
    helix_histogram_add (&self->transit,
        item->received_ns > sent ? item->received_ns - sent : 0);
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

static void
send_stats (HelixStreamClient *self, guint64 now)
{
  Session *session = &self->session;
  guint8 message[HELIX_MAX_MESSAGE];

  if (!session->live || now - session->stats_ns < STATS_NS
      || session->totals.units == session->told_units)
    return;
  session->stats_ns = now;
  session->told_units = session->totals.units;
  session->totals.latency_ns = median_latency (&self->stats);
  helix_connection_send (
      self->connection, message, helix_pack_stats (message, &session->totals));
}

/* ---- hand over ---- */

/* Takes `error`. */
static void
warn (HelixStreamClient *self, GError *error)
{
  if (self->warnings.length < MAX_WARNINGS) {
    g_queue_push_tail (&self->warnings, error);
    self->came = TRUE;
    return;
  }
  GST_WARNING ("%s", error->message);
  g_error_free (error);
}

/* Nothing more comes. Takes `error`, which is NULL with HELIX_STREAM_EOS. */
static void
end (HelixStreamClient *self, HelixStreamResult result, GError *error)
{
  self->end = result;
  self->end_error = error;
  self->came = TRUE;
}

/* ---- the end of a connection ---- */

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
end_session (HelixStreamClient *self)
{
  Session *session = &self->session;

  if (self->connection == NULL)
    return;
  self->stats.before.units += session->totals.units;
  self->stats.before.bytes += session->totals.bytes;
  self->stats.before.keyframes += session->totals.keyframes;
  self->stats.before.lost += session->totals.lost;
  if (session->item.buffer != NULL)
    gst_buffer_unmap (session->item.buffer, &session->map);
  gst_clear_buffer (&session->item.buffer);
  memset (session, 0, sizeof *session);
  self->asking = FALSE;
  helix_stream_inbox_live (&self->inbox, FALSE);
  self->ended = g_steal_pointer (&self->connection);
}

/* Takes `error`; NULL: an orderly end. `fatal`: another attempt would end the
 * same way. */
static void
lose (HelixStreamClient *self, GError *error, gboolean fatal)
{
  const HelixConnection *connection = self->connection;
  gboolean *told = NULL;

  /* Something was wrong, not merely over. A refused connection and the lack of
   * any other are reported apart. */
  if (connection->deaf
      || (connection->loss != HELIX_LOSS_CLOSED
          && connection->loss != HELIX_LOSS_BYE))
    told = self->listener != NULL && !connection->live ? &self->refusal_told
                                                       : &self->told;
  end_session (self);
  if (error == NULL && !self->reconnect) {
    end (self, HELIX_STREAM_EOS, NULL);
    return;
  }
  if (error == NULL)
    error =
        new_error (self, GST_RESOURCE_ERROR_READ, "the other end said goodbye");
  /* Any program may have connected to us: what it says is not fatal. */
  fail (self, error, fatal && self->listener == NULL, told);
}

static GError *
explain_refusal (const HelixStreamClient *self, gboolean *fatal)
{
  const HelixConnection *connection = self->connection;
  GstResourceError code = GST_RESOURCE_ERROR_READ;

  switch (connection->error.code) {
    case HELIX_ERROR_AUTH:
      code = GST_RESOURCE_ERROR_NOT_AUTHORIZED;
      *fatal = TRUE;
      break;
    case HELIX_ERROR_VERSION:
    case HELIX_ERROR_ROLE:
    case HELIX_ERROR_PROTOCOL:
      code = GST_RESOURCE_ERROR_SETTINGS;
      *fatal = TRUE;
      break;
    case HELIX_ERROR_BUSY:
      code = GST_RESOURCE_ERROR_BUSY;
      break;
    default:
      break;
  }
  return new_error (self, code, "the other end refuses (%s): %s",
      helix_error_name (connection->error.code), connection->text);
}

/* What the loss of the connection means for a person. */
static GError *
explain_loss (const HelixStreamClient *self, gboolean *fatal)
{
  const HelixConnection *connection = self->connection;
  const gchar *why = connection->why;

  *fatal = FALSE;
  switch (connection->loss) {
    case HELIX_LOSS_NONE:
    case HELIX_LOSS_BYE:
      return NULL;
    case HELIX_LOSS_CLOSED:
      return new_error (self, GST_RESOURCE_ERROR_READ,
          "%s: %s. Check that helixguestsink runs there",
          connection->live ? "the connection was lost"
                           : "the connection ended without an answer",
          why != NULL ? why : "the other end is gone");
    case HELIX_LOSS_RESTARTED:
      return new_error (self, GST_RESOURCE_ERROR_READ,
          "the other end began anew within a message");
    case HELIX_LOSS_SILENT:
      if (connection->live)
        return new_error (self, GST_RESOURCE_ERROR_READ,
            "nothing came for 3 s. Check that the other end still runs");
      return new_error (self, GST_RESOURCE_ERROR_NOT_FOUND,
          "connected, but %s gets no answer. Check that helixguestsink runs "
          "at the other end",
          connection->welcomed ? "PROOF" : "HELLO");
    case HELIX_LOSS_REFUSED:
      return explain_refusal (self, fatal);
    case HELIX_LOSS_FOREIGN:
    case HELIX_LOSS_OLD:
    case HELIX_LOSS_VERSION:
      *fatal = TRUE;
      return new_error (self, GST_RESOURCE_ERROR_SETTINGS,
          "what answers there is no helixguestsink: %s. Check the address",
          connection->stranger != NULL ? connection->stranger : why);
    case HELIX_LOSS_PROTOCOL:
      *fatal = self->address->kind != HELIX_ADDRESS_SERIAL;
      return new_error (self, GST_RESOURCE_ERROR_READ,
          "the other end broke the protocol: %s. Use the same version of "
          "gst-helix at both ends",
          why);
    case HELIX_LOSS_UNASKED:
    case HELIX_LOSS_UNPROVED:
      *fatal = TRUE;
      return new_error (self, GST_RESOURCE_ERROR_NOT_AUTHORIZED,
          "the other end %s, so it may be another program. Set the same "
          "token-file or token at helixguestsink there",
          connection->loss == HELIX_LOSS_UNASKED ? "does not ask for the token"
                                                 : "does not prove the token");
    case HELIX_LOSS_FAILED:
      *fatal = TRUE;
      return new_error (self, GST_RESOURCE_ERROR_FAILED,
          "this system gives no random bytes: %s. Allow the system call "
          "getrandom",
          why);
  }
  g_return_val_if_reached (NULL);
}

/* ---- messages ---- */

/* Memory for the bytes that follow the head. */
static void
take_bulk (HelixStreamClient *self)
{
  HelixStreamItem *item = &self->session.item;
  guint32 size = self->connection->reader.bulk_size;

  item->buffer = gst_buffer_new_allocate (NULL, size, NULL);
  if (item->buffer != NULL
      && gst_buffer_map (item->buffer, &self->session.map, GST_MAP_WRITE)) {
    helix_reader_bulk (&self->connection->reader, self->session.map.data);
    return;
  }
  gst_clear_buffer (&item->buffer);
  lose (self,
      new_error (self, GST_RESOURCE_ERROR_NO_SPACE_LEFT,
          "no memory for a unit of %u bytes. Lower the bitrate, or give this "
          "machine more memory",
          size),
      TRUE);
}

/* Returns: how the head of a UNIT breaks the protocol, or NULL. */
static const gchar *
got_unit_head (HelixStreamClient *self)
{
  Session *session = &self->session;
  HelixStreamItem *item = &session->item;
  const struct helix_reader *r = &self->connection->reader;
  guint64 last = item->unit.sequence;
  const gchar *why;

  if (!helix_unpack_unit (
          &item->unit, r->payload, r->payload_size, r->header.size, &why))
    return why;
  if (item->caps.caps_id == 0 || item->unit.caps_id != item->caps.caps_id)
    return "UNIT: caps_id was not announced";
  if (session->announced && item->unit.sequence <= last)
    return "UNIT: sequence does not grow";

  if (session->announced && item->unit.sequence != last + 1) {
    session->totals.lost += item->unit.sequence - last - 1;
    session->need_key = item->discont = TRUE;
  }
  if (item->unit.flags & HELIX_UNIT_DISCONT)
    item->discont = TRUE;
  session->announced = TRUE;
  if (!session->need_key || (item->unit.flags & HELIX_UNIT_KEY)) {
    take_bulk (self);
    return NULL;
  }
  self->stats.skipped++;
  ask (self,
      session->totals.units == 0 ? HELIX_KEYFRAME_JOIN : HELIX_KEYFRAME_GAP);
  return NULL;
}

static void
got_head (HelixStreamClient *self)
{
  const struct helix_reader *r = &self->connection->reader;
  const gchar *why = NULL;

  if (r->header.type == HELIX_UNIT)
    why = got_unit_head (self);
  else if (helix_unpack_cursor (&self->session.item.cursor, r->payload,
               r->payload_size, r->header.size, &why))
    take_bulk (self);
  if (why != NULL)
    helix_connection_violation (self->connection, why);
}

/* Units come or are taken too slowly, again and again: told once. */
static void
warn_of_slowness (HelixStreamClient *self)
{
  if (!self->inbox.slow || self->slow_told)
    return;
  self->slow_told = TRUE;
  warn (self,
      g_error_new (GST_CORE_ERROR, GST_CORE_ERROR_CLOCK,
          "%s: units come or are taken too slowly, and those that became "
          "older than %u ms were left out up to a keyframe. Use a faster "
          "decoder or network, lower max-framerate, or raise max-age.",
          own_address (self), (guint) (self->inbox.max_age / MSECOND)));
}

static void
got_unit (HelixStreamClient *self)
{
  Session *session = &self->session;
  HelixStreamItem *item = &session->item;
  guint64 now = self->connection->heard_ns;

  if (item->buffer == NULL)
    return; /* it was skipped */
  gst_buffer_unmap (item->buffer, &session->map);
  item->kind = HELIX_STREAM_UNIT;
  item->received_ns = now;
  item->waited_for = session->waiting;
  item->clock_known = helix_clock_offset_get (
      &session->clock, now, &item->clock_offset, &item->clock_error);
  session->need_key = session->waiting = FALSE;
  session->totals.units++;
  session->totals.bytes += session->map.size;
  session->totals.last_sequence = item->unit.sequence;
  if (item->unit.flags & HELIX_UNIT_KEY) {
    session->totals.keyframes++;
    if (self->ask_reason != HELIX_KEYFRAME_ASKED)
      self->asking = FALSE; /* here it is */
  }
  helix_backoff_reset (&self->backoff);
  add_transit (&self->stats, item);
  helix_stream_inbox_add (&self->inbox, item);
  item->buffer = NULL;
  item->discont = FALSE;
  warn_of_slowness (self);
}

/* A cursor without a shape, or the last byte of its shape. */
static const gchar *
got_cursor (HelixStreamClient *self)
{
  HelixStreamItem *item = &self->session.item;
  const struct helix_reader *r = &self->connection->reader;
  const gchar *why;

  if (item->buffer != NULL)
    gst_buffer_unmap (item->buffer, &self->session.map);
  else if (!helix_unpack_cursor (&item->cursor, r->payload, r->payload_size,
               r->header.size, &why))
    return why;
  set_cursor (&self->cursor, &item->cursor, g_steal_pointer (&item->buffer));
  return NULL;
}

static void
got_pong (HelixStreamClient *self)
{
  const struct helix_reader *r = &self->connection->reader;
  struct helix_pong pong;
  const gchar *why;

  /* Without units, that the other end answers is all there is to go by. */
  if (r->payload_size > 0
      && helix_unpack_pong (&pong, r->payload, r->payload_size, &why)
      && helix_clock_offset_add (
          &self->session.clock, &pong, self->connection->heard_ns)
      && self->session.live && self->role != HELIX_ROLE_STREAM)
    helix_backoff_reset (&self->backoff);
}

static void
got_refusal (HelixStreamClient *self)
{
  const HelixConnection *connection = self->connection;
  const gchar *name = helix_error_name (connection->error.code);

  GST_WARNING ("%s: the other end reports %s: %s", own_address (self), name,
      connection->text);
  if (is_news (&self->requests, &connection->error))
    warn (self,
        g_error_new (GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
            "%s: the other end refuses what was asked of it (%s): %s",
            own_address (self), name, connection->text));
}

static void
got_message (HelixStreamClient *self)
{
  HelixStreamItem *item = &self->session.item;
  const struct helix_reader *r = &self->connection->reader;
  const gchar *why = NULL;

  switch (r->header.type) {
    case HELIX_PONG:
      got_pong (self);
      return;
    case HELIX_ERROR:
      got_refusal (self);
      return;
    case HELIX_CAPS:
      item->kind = HELIX_STREAM_CAPS;
      if (helix_unpack_caps (&item->caps, r->payload, r->payload_size, &why))
        helix_stream_inbox_add (&self->inbox, item);
      break;
    case HELIX_CURSOR:
      why = got_cursor (self);
      break;
    case HELIX_UNIT:
      got_unit (self);
      break;
    default:
      helix_connection_unknown (self->connection);
      return;
  }
  if (why != NULL)
    helix_connection_violation (self->connection, why);
  else
    self->came = TRUE;
}

static void
went_live (HelixStreamClient *self)
{
  GST_INFO (
      "%s: connected to '%s'", own_address (self), self->connection->name);
  self->session.live = TRUE;
  self->stats.connects++;
  self->stats.n_recent = 0;
  renew_requests (&self->requests);
  clear_cursor (&self->cursor);
  helix_stream_inbox_live (&self->inbox, TRUE);
  self->outage_since = 0;
  self->told = self->refusal_told = FALSE;
}

/* ---- connections ---- */

static void
start_session (HelixStreamClient *self, gint fd, guint64 now)
{
  const HelixConnectionConfig config = {.name = self->name,
      .serial = self->address->kind == HELIX_ADDRESS_SERIAL,
      .clock = TRUE};

  note_outage (self, now);
  self->session.need_key = self->session.item.discont = TRUE;
  self->session.totals.last_sequence = HELIX_NONE64;
  self->connection = helix_connection_new (fd, &config, now);
  helix_connection_hello (
      self->connection, (enum helix_role) self->role, self->token);
}

static void
dial (HelixStreamClient *self)
{
  GError *error = NULL;
  gint fd;

  pthread_mutex_unlock (&self->lock);
  fd = helix_transport_connect (
      self->address, self->cancel, DIAL_TIMEOUT_MS, &error);
  pthread_mutex_lock (&self->lock);
  if (fd >= 0)
    start_session (self, fd, helix_now_ns ());
  else if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    g_error_free (error);
  else
    fail (
        self, error, !helix_transport_error_is_temporary (error), &self->told);
}

/* Not connected: dials, or a connection is waited for. Returns until when. */
static guint64
connect_step (HelixStreamClient *self, guint64 now)
{
  guint64 until = self->dial_at;

  note_outage (self, now);
  if (self->listener == NULL) {
    if (now >= until)
      dial (self);
    return MAX (until, now);
  }
  until = self->told ? HELIX_NONE64 : self->outage_since + TELL_NS;
  if (self->reconnect_timeout > 0)
    until = MIN (until, self->outage_since + self->reconnect_timeout);
  if (now >= until) {
    fail (self,
        new_error (self, GST_RESOURCE_ERROR_NOT_FOUND,
            "no end has connected yet. Start helixguestsink with mode=connect "
            "and this address"),
        FALSE, &self->told);
    return now;
  }
  return now < self->accept_at ? MIN (until, self->accept_at) : until;
}

/* An end that accepts and says nothing is an outage as well. Returns: when to
 * tell that. */
static guint64
tell_of_silence (HelixStreamClient *self, guint64 now)
{
  if (self->session.live || self->told || !self->reconnect)
    return HELIX_NONE64;
  if (now < self->outage_since + TELL_NS)
    return self->outage_since + TELL_NS;
  self->told = TRUE;
  warn (self,
      new_error (self, GST_RESOURCE_ERROR_NOT_FOUND,
          "connected, but HELLO gets no answer yet. Check that "
          "helixguestsink runs at the other end"));
  return HELIX_NONE64;
}

/* Connected: reads once, and sends what is due. Returns when to call again. */
static guint64
session_step (HelixStreamClient *self, guint64 now)
{
  HelixConnection *connection = self->connection;
  HelixConnectionEvent event;
  guint64 next;
  gboolean fatal;

  pthread_mutex_unlock (&self->lock);
  event = helix_connection_read (connection);
  pthread_mutex_lock (&self->lock);
  if (event == HELIX_CONNECTION_IDLE)
    self->session.waiting = TRUE;
  else if (event == HELIX_CONNECTION_LIVE)
    went_live (self);
  else if (event == HELIX_CONNECTION_HEAD)
    got_head (self);
  else if (event == HELIX_CONNECTION_MESSAGE)
    got_message (self);
  if (self->connection == NULL)
    return now; /* there was no memory */
  next = helix_connection_tick (connection, now);
  if (next == 0) {
    GError *error = explain_loss (self, &fatal);

    lose (self, error, fatal);
    return now;
  }
  send_stats (self, now);
  next = MIN (next, send_requests (self, now));
  next = MIN (next, tell_of_silence (self, now));
  return event == HELIX_CONNECTION_IDLE ? next : now;
}

/* Says BYE. Without the lock: the close of a serial port may take long. */
static void
close_ended (HelixConnection *connection)
{
  if (connection == NULL)
    return;
  helix_connection_bye (connection, "the program stops");
  helix_connection_unref (connection);
}

/* After a step: what it left to be done needs no lock. */
static void
unlock (HelixStreamClient *self)
{
  HelixConnection *ended = g_steal_pointer (&self->ended);
  gboolean came = self->came;

  self->came = FALSE;
  pthread_mutex_unlock (&self->lock);
  if (came)
    pthread_cond_signal (&self->arrived);
  close_ended (ended);
}

guint64
helix_stream_client_step (HelixStreamClient *self, guint64 now)
{
  guint64 until = 0;

  pthread_mutex_lock (&self->lock);
  if (self->end == HELIX_STREAM_FLUSHING && !self->stop)
    until = self->connection != NULL ? session_step (self, now)
                                     : connect_step (self, now);
  unlock (self);
  return until;
}

void
helix_stream_client_adopt (HelixStreamClient *self, gint fd, guint64 now)
{
  pthread_mutex_lock (&self->lock);
  start_session (self, fd, now);
  pthread_mutex_unlock (&self->lock);
}

/* ---- the reader's thread ---- */

/* A connection may not bring video: its owner was told, and once in an outage
 * this end's user is, whatever else was told of it. */
static void
warn_of_stranger (HelixStreamClient *self, const gchar *peer, const gchar *why,
    const gchar *who)
{
  if (who == NULL || self->refusal_told)
    return;
  self->refusal_told = TRUE;
  warn (self,
      new_error (self, GST_RESOURCE_ERROR_NOT_AUTHORIZED,
          "%s of %s refused: %s. Set the same token-file (or token) at both "
          "ends",
          peer, who, why));
}

static void
accept_connection (HelixStreamClient *self, guint index)
{
  g_autofree gchar *peer = NULL, *who = NULL, *why = NULL;
  GError *error = NULL;
  gint fd = helix_listener_accept (self->listener, index, &peer, &error);

  if (fd >= 0)
    why = helix_listener_refusal (self->listener, fd, &who);
  if (why != NULL) {
    helix_stream_turn_away (fd, why);
    close (fd);
  }
  pthread_mutex_lock (&self->lock);
  if (error != NULL) {
    self->accept_at = helix_now_ns () + ACCEPT_GAP_NS;
    fail (self, error, FALSE, &self->told);
  } else if (why != NULL) {
    warn_of_stranger (self, peer, why, who);
  } else if (fd >= 0) {
    start_session (self, fd, helix_now_ns ());
  }
  unlock (self);
}

/* Waits for work or `until`, and accepts a connection. Thread: the one that has
 * the turn. */
static void
wait_until (HelixStreamClient *self, guint64 until)
{
  struct pollfd fds[2 + HELIX_LISTENER_MAX] = {{.fd = -1}, {.fd = -1}};
  guint n = 2;

  if (self->connection != NULL) {
    helix_connection_pollfd (self->connection, &fds[1]);
  } else if (self->listener != NULL && helix_now_ns () >= self->accept_at) {
    for (guint i = 0; i < self->listener->n_fds; i++)
      fds[n++] =
          (struct pollfd){.fd = self->listener->fds[i], .events = POLLIN};
  }
  if (!helix_waiter_wait (&self->waiter, fds, n, until))
    return;
  for (guint i = 2; i < n; i++)
    if (fds[i].revents != 0) {
      accept_connection (self, i - 2);
      return;
    }
}

static void
wait_for_turn (HelixStreamClient *self)
{
  guint64 until;

  pthread_mutex_lock (&self->lock);
  while (!self->stop
      && (until = helix_stream_turn_ask (&self->turn, helix_now_ns ())) != 0) {
    if (until == HELIX_NONE64)
      pthread_cond_wait (&self->idle, &self->lock);
    else
      helix_cond_wait_until (&self->idle, &self->lock, until);
  }
  unlock (self); /* closes what ended while next () was reading */
}

/* Not to a taker that has units to take: reading would wait for that. The one
 * that came last it may just be about to take. */
static gboolean
give_turn (HelixStreamClient *self)
{
  gboolean given;

  pthread_mutex_lock (&self->lock);
  given = self->session.live && self->inbox.units <= 1
      && helix_stream_turn_offer (&self->turn, helix_now_ns ());
  if (given)
    self->session.waiting = FALSE;
  pthread_mutex_unlock (&self->lock);
  if (given)
    pthread_cond_signal (&self->arrived);
  return given;
}

/* Connects, reads, answers, whether or not what comes is taken. */
static void *
read_all (void *client)
{
  HelixStreamClient *self = client;
  guint64 now, until;

  helix_thread_name ("helix-read");
  for (;;) {
    wait_for_turn (self);
    now = helix_now_ns ();
    until = helix_stream_client_step (self, now);
    if (until == 0)
      return NULL;
    if (until > now && !give_turn (self))
      wait_until (self, until);
  }
}

/* ---- the reader's work in next () ---- */

/* The reader has the turn again. Lock: held. Returns: whether that is new. */
static gboolean
take_turn_back (HelixStreamClient *self)
{
  gboolean had = helix_stream_turn_recall (&self->turn);

  if (had)
    pthread_cond_signal (&self->idle);
  return had;
}

/* Reads once, and waits if there was nothing. After the end of a connection the
 * reader goes on. Lock: held, but not in between. */
static void
read_here (HelixStreamClient *self)
{
  guint64 now = helix_now_ns (), until = now;

  self->turn.reading = TRUE;
  if (self->session.live)
    until = session_step (self, now);
  self->came = FALSE;
  if (self->session.live && until > now) {
    pthread_mutex_unlock (&self->lock);
    wait_until (self, until);
    pthread_mutex_lock (&self->lock);
  }
  self->turn.reading = FALSE;
  if (!self->session.live)
    take_turn_back (self);
}

/* Something is to be sent: the thread that reads does that. One that could read
 * but is not in next () would do it too late. Lock: held. */
static void
wake (HelixStreamClient *self)
{
  if (self->turn.reading || !take_turn_back (self))
    helix_waiter_wake (&self->waiter);
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
  self->role = config->role != 0 ? config->role : HELIX_ROLE_STREAM;
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
  helix_cond_init (&self->idle);
  helix_stream_turn_init (&self->turn, self->inbox.max_age);
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
    pthread_cond_signal (&self->idle);
    helix_waiter_wake (&self->waiter);
    pthread_join (self->reader, NULL);
  }
  /* The last request may have been made after the reader looked. */
  send_requests (self, helix_now_ns ());
  end_session (self);
  close_ended (self->ended);
  clear_cursor (&self->cursor);
  helix_stream_inbox_clear (&self->inbox);
  g_queue_clear_full (&self->warnings, (GDestroyNotify) g_error_free);
  g_clear_error (&self->end_error);
  helix_listener_free (self->listener);
  helix_address_free (self->address);
  helix_waiter_clear (&self->waiter);
  g_object_unref (self->cancel);
  pthread_cond_destroy (&self->arrived);
  pthread_cond_destroy (&self->idle);
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
    wake (self);
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
        own_address (self), g_strerror (failed));
  self->started = failed == 0;
  return self->started;
}

gboolean
helix_stream_client_take (
    HelixStreamClient *self, HelixStreamItem *item, GError **error)
{
  gboolean taken;

  memset (item, 0, sizeof *item);
  pthread_mutex_lock (&self->lock);
  taken = take (self, item, error);
  pthread_mutex_unlock (&self->lock);
  return taken;
}

HelixStreamResult
helix_stream_client_next (
    HelixStreamClient *self, HelixStreamItem *item, GError **error)
{
  memset (item, 0, sizeof *item);
  item->kind = HELIX_STREAM_ERROR;
  pthread_mutex_lock (&self->lock);
  if (helix_stream_turn_enter (&self->turn, helix_now_ns ()))
    pthread_cond_signal (&self->idle);
  if (start (self, error))
    while (!take (self, item, error)) {
      if (self->turn.taker_reads)
        read_here (self);
      else
        pthread_cond_wait (&self->arrived, &self->lock);
    }
  if (self->turn.taker_reads)
    self->session.waiting = FALSE;
  if (helix_stream_turn_leave (&self->turn, helix_now_ns ()))
    pthread_cond_signal (&self->idle);
  pthread_mutex_unlock (&self->lock);
  return item->kind;
}

/* ---- from any thread ---- */

void
helix_stream_client_flush (HelixStreamClient *self, gboolean on)
{
  pthread_mutex_lock (&self->lock);
  self->flushing = on;
  if (self->turn.reading)
    helix_waiter_wake (&self->waiter);
  pthread_mutex_unlock (&self->lock);
  pthread_cond_signal (&self->arrived);
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
  ask (self, HELIX_KEYFRAME_ASKED);
  wake (self);
  pthread_mutex_unlock (&self->lock);
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
  wake (self);
  pthread_mutex_unlock (&self->lock);
}

void
helix_stream_client_show (
    HelixStreamClient *self, guint32 resource_id, guint64 capture_ns)
{
  pthread_mutex_lock (&self->lock);
  self->requests.show_id = resource_id;
  self->requests.show_ns = capture_ns;
  self->requests.shown = 0;
  wake (self);
  pthread_mutex_unlock (&self->lock);
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
  const struct helix_stats *before = &stats->before;
  const struct helix_stats *now = &self->session.totals;

  gst_structure_set (structure, "units", G_TYPE_UINT64,
      before->units + now->units, "bytes", G_TYPE_UINT64,
      before->bytes + now->bytes, "keyframes", G_TYPE_UINT64,
      before->keyframes + now->keyframes, "lost", G_TYPE_UINT64,
      before->lost + now->lost, "skipped", G_TYPE_UINT64, stats->skipped,
      "latency-count", G_TYPE_UINT64, stats->latency.count, "left-out",
      G_TYPE_UINT64, self->inbox.left_out, "skips", G_TYPE_UINT64,
      self->inbox.skips, NULL);
  helix_stats_set_times (structure, "transit", &stats->transit);
  helix_stats_set_times (structure, "latency", &stats->latency);
}

GstStructure *
helix_stream_client_stats (HelixStreamClient *self, const gchar *name)
{
  guint64 connects, error;
  gint64 offset;
  GstStructure *structure = gst_structure_new (
      name, "address", G_TYPE_STRING, own_address (self), NULL);

  pthread_mutex_lock (&self->lock);
  connects = self->stats.connects;
  gst_structure_set (structure, "connected", G_TYPE_BOOLEAN, self->session.live,
      "reconnects", G_TYPE_UINT64, connects > 0 ? connects - 1 : 0, NULL);
  if (helix_clock_offset_get (
          &self->session.clock, helix_now_ns (), &offset, &error))
    gst_structure_set (structure, "clock-offset", G_TYPE_INT64, offset,
        "clock-offset-error", G_TYPE_UINT64, error, NULL);
  if (self->role == HELIX_ROLE_STREAM)
    set_unit_stats (self, structure);
  pthread_mutex_unlock (&self->lock);
  return structure;
}

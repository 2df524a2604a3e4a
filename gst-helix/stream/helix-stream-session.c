/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-stream-session-private.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "helix-stream-age.h"
#include "helix-platform.h"
#include "helix-stream-debug.h"
#include "helix-transport-io.h"

#define GST_CAT_DEFAULT helix_stream_debug

/* Control bytes that may wait. Far beyond need: a peer that lets so much
 * pile up asks without reading the answers. */
#define MAX_CONTROL (64 * 1024)

/* While units flow, how often within max-age it is looked how far the peer
 * is. */
#define PROBES 4

/* Messages, and reads, in one go: other peers wait meanwhile. */
#define MAX_MESSAGES 32
#define MAX_READS 512

guint
helix_stream_session_drop (HelixStreamSession *self)
{
  guint units = helix_stream_outbox_drop (&self->out);

  self->caps_id = 0;
  self->cursor_due = self->cursor->known;
  self->dropped += units;
  return units;
}

void
helix_stream_session_abandon (HelixStreamSession *self)
{
  self->caps_id = 0;
  self->cursor_due = self->cursor->known;
  self->dropped += helix_stream_outbox_abandon (&self->out);
}

HelixStreamSession *
helix_stream_session_new (guint32 id, gint fd, gchar *peer, gboolean resync,
    const HelixStreamCursor *cursor, guint64 now)
{
  HelixStreamSession *self = g_new0 (HelixStreamSession, 1);

  self->id = id;
  self->fd = fd;
  self->peer = peer != NULL ? peer : g_strdup ("?");
  self->resync = resync;
  self->cursor = cursor;
  self->opened = self->last_read = self->last_write = now;
  self->best_trip = HELIX_NONE64;
  helix_stream_outbox_init (&self->out);
  helix_reader_init (&self->reader);
  return self;
}

void
helix_stream_session_free (HelixStreamSession *self)
{
  helix_stream_outbox_clear (&self->out);
  close (self->fd);
  g_clear_error (&self->problem);
  g_free (self->peer);
  g_free (self->reason);
  g_free (self);
}

void
helix_stream_session_die (HelixStreamSession *self, const gchar *reason)
{
  if (self->reason == NULL)
    self->reason = g_strdup (reason);
  self->state = HELIX_STREAM_SESSION_DEAD;
}

/* On a stream that outlives sessions: only this one is over, and the next guest
 * comes over the very same descriptor. Between two messages there is nothing
 * to skip; and a guest that only slept is told, at its next word, that it has
 * to say HELLO. */
static void
rest (HelixStreamSession *self, const gchar *reason)
{
  if (self->state == HELIX_STREAM_SESSION_LIVE)
    self->restarted = TRUE;
  self->state = HELIX_STREAM_SESSION_GREETING;
  self->blocked = FALSE;
  g_free (self->reason);
  self->reason = g_strdup (reason);
  if (!helix_reader_idle (&self->reader))
    helix_reader_scan (&self->reader, HELIX_HELLO, 0);
}

void
helix_stream_session_end (HelixStreamSession *self, const gchar *reason)
{
  if (!self->resync) {
    helix_stream_session_die (self, reason);
    return;
  }
  helix_stream_session_abandon (self);
  rest (self, reason);
}

gboolean
helix_stream_session_watches (const HelixStreamSession *self)
{
  return self->state == HELIX_STREAM_SESSION_LIVE
      && self->role == HELIX_ROLE_STREAM;
}

/* ---- out ---- */

void
helix_stream_session_say (
    HelixStreamSession *self, const guint8 *message, gsize size)
{
  if (self->state == HELIX_STREAM_SESSION_DEAD)
    return;
  if (helix_stream_outbox_control (&self->out) + size > MAX_CONTROL)
    helix_stream_session_end (self, "it asks without reading the answers");
  else
    helix_stream_outbox_say (&self->out, message, size);
}

gboolean
helix_stream_session_listens (const HelixStreamSession *self)
{
  return helix_stream_outbox_control (&self->out) == 0;
}

static void
start_closing (HelixStreamSession *self, const gchar *reason, guint64 now)
{
  if (self->state >= HELIX_STREAM_SESSION_CLOSING)
    return;
  helix_stream_session_drop (self);
  if (self->resync) {
    rest (self, reason);
    return;
  }
  if (self->reason == NULL)
    self->reason = g_strdup (reason);
  self->state = HELIX_STREAM_SESSION_CLOSING;
  self->closing = now;
}

void
helix_stream_session_bye (
    HelixStreamSession *self, guint32 bye_reason, guint64 now)
{
  guint8 message[HELIX_MAX_MESSAGE];

  /* To the others it would be no answer to what they said. */
  if (self->state == HELIX_STREAM_SESSION_LIVE)
    helix_stream_session_say (self, message,
        helix_pack_bye (message, bye_reason,
            bye_reason == HELIX_BYE_EOS ? "end of stream" : "closing down"));
  start_closing (self, "this end closes", now);
}

void
helix_stream_session_refuse (HelixStreamSession *self,
    enum helix_error_code code, enum helix_type refers, const gchar *text,
    guint64 now)
{
  guint8 message[HELIX_MAX_MESSAGE];

  helix_stream_session_say (
      self, message, helix_pack_error (message, 0, code, refers, text));
  if (!helix_error_is_fatal (code))
    return;
  /* That a peer is gone, or comes when the house is full, is no fault. Nor is
   * what a peer that was killed left half said, and the next one completes. */
  if (self->problem == NULL && code != HELIX_ERROR_TIMEOUT
      && code != HELIX_ERROR_BUSY
      && !(self->resync && code == HELIX_ERROR_PROTOCOL))
    self->problem = g_error_new (GST_STREAM_ERROR, GST_STREAM_ERROR_FAILED,
        "Client %s refused: %s.", self->peer, text);
  start_closing (self, text, now);
}

gboolean
helix_stream_session_pending (const HelixStreamSession *self)
{
  if (self->state == HELIX_STREAM_SESSION_DEAD)
    return FALSE;
  return helix_stream_outbox_pending (&self->out)
      || (self->cursor_due && helix_stream_session_watches (self));
}

/* The cursor as it is now replaces the one that waits: so a slow peer has one
 * message of this kind before it, not one for each of its movements. */
static void
offer_cursor (HelixStreamSession *self)
{
  struct helix_cursor head = self->cursor->head;
  HelixStreamOutboxUnit *shape = self->cursor->shape;
  guint8 message[HELIX_MAX_MESSAGE];
  gsize size;

  if (!self->cursor_due || !helix_stream_session_watches (self))
    return;
  if (shape != NULL && self->out.cursor_serial == head.serial)
    shape = NULL; /* it is there already */
  if (shape != NULL)
    head.flags |= HELIX_CURSOR_SHAPE;
  size = helix_pack_cursor (
      message, 0, &head, shape != NULL ? (guint32) shape->map.size : 0);
  if (helix_stream_outbox_cursor (
          &self->out, message, size, shape, head.serial))
    self->cursor_due = FALSE;
}

/* One write. */
static gssize
send_some (HelixStreamSession *self, gsize limit)
{
  guint64 units = self->out.sent_units;
  gssize sent = helix_stream_outbox_send (&self->out, self->fd, limit);

  if (self->out.sent_units > units)
    self->last_unit = helix_now_ns ();
  return sent;
}

/* How long the oldest unit that has not left has been here. */
static guint64
queued_for (const HelixStreamSession *self, guint64 now)
{
  guint64 oldest = helix_stream_outbox_oldest (&self->out);

  return oldest != 0 && now > oldest ? now - oldest : 0;
}

static void
ping (HelixStreamSession *self, guint64 now)
{
  struct helix_ping ping = {.sent_ns = now};
  guint8 message[HELIX_MAX_MESSAGE];

  self->last_ping = now;
  helix_stream_session_say (self, message, helix_pack_ping (message, &ping));
  if (self->n_probes == HELIX_STREAM_SESSION_MAX_PROBES)
    return;
  self->probes[self->n_probes].sent = now;
  self->probes[self->n_probes++].since = now - queued_for (self, now);
}

/* Whether it has answered PINGs at all: the protocol does not make it. */
static gboolean
can_probe (const HelixStreamSession *self)
{
  return self->best_trip != HELIX_NONE64;
}

/* Whether all that was sent has been read, as far as that can be known. */
static gboolean
has_caught_up (const HelixStreamSession *self)
{
  return self->out.units == 0 && (self->n_probes == 0 || !can_probe (self));
}

void
helix_stream_session_flush (HelixStreamSession *self, gsize limit, guint64 now)
{
  while (helix_stream_session_pending (self) && limit > 0) {
    gssize sent;

    offer_cursor (self);
    sent = send_some (self, limit);
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      if (!self->blocked)
        self->last_write = now;
      self->blocked = TRUE;
      return;
    }
    if (sent < 0) {
      helix_stream_session_die (self, g_strerror (errno));
      return;
    }
    self->last_write = now;
    limit -= (gsize) sent;
  }
  if (helix_stream_session_pending (self))
    return;
  self->blocked = FALSE;
  /* Only now: a keyframe made while it was stuck would have been lost on it
   * and have cost the others bits. */
  if (self->state == HELIX_STREAM_SESSION_LIVE && self->waits_key
      && self->owes_key && has_caught_up (self)) {
    self->owes_key = FALSE;
    self->needs_key = TRUE;
  }
}

/* Whether the peer has not read, or will not have read, something that is
 * older than it may be: what waits here, or what left with the last PING. */
static gboolean
is_behind (const HelixStreamSession *self, guint64 max_age, guint64 now)
{
  if (queued_for (self, now) > max_age)
    return TRUE;
  /* A PING tells of what comes behind it, up to the next one. */
  return can_probe (self) && self->n_probes > 0
      && now
      > self->probes[0].since + self->best_trip + max_age - max_age / PROBES;
}

static gboolean
is_full (const HelixStreamSession *self, gsize size)
{
  return self->out.units > 0
      && self->out.bytes + size
          + (gsize) self->out.units * HELIX_STREAM_SESSION_UNIT_COST
      > HELIX_STREAM_SESSION_MAX_BYTES;
}

/* Nothing more for it until it has read what is under way. */
static void
fall_behind (HelixStreamSession *self, const HelixStreamSessionPolicy *policy,
    guint64 now)
{
  guint units = helix_stream_session_drop (self);

  GST_INFO ("client %u takes no more: dropped %u units", self->id, units);
  if (!policy->recover) {
    helix_stream_session_end (self, "it is too slow (recover-policy=none)");
    return;
  }
  self->waits_key = self->owes_key = TRUE;
  self->n_probes = 0;
  ping (self, now);
  self->skips++;
  if (self->skipped_at != 0 && now - self->skipped_at < HELIX_STREAM_SLOW_NS)
    self->slow = TRUE;
  self->skipped_at = now;
}

void
helix_stream_session_push (HelixStreamSession *self,
    const HelixStreamSessionPolicy *policy, HelixStreamOutboxUnit *unit,
    const struct helix_unit *head, const struct helix_caps *caps)
{
  gboolean key = (head->flags & HELIX_UNIT_KEY) != 0;
  struct helix_unit own = *head;
  guint8 message[HELIX_MAX_MESSAGE];
  guint64 now = head->sent_ns;

  if (!helix_stream_session_watches (self))
    return;
  if (!self->waits_key
      && (is_full (self, unit->map.size)
          || is_behind (self, policy->max_age, now)))
    fall_behind (self, policy, now);
  /* A peer that is stuck could not take the key unit either. */
  if (self->state != HELIX_STREAM_SESSION_LIVE
      || (self->waits_key && (!key || self->out.units > 0 || self->owes_key))) {
    self->dropped++;
    return;
  }
  if (self->waits_key)
    own.flags |= HELIX_UNIT_DISCONT;
  self->waits_key = self->owes_key = FALSE;
  if (key)
    self->asks_again = FALSE;
  if (can_probe (self) && now >= self->last_ping + policy->max_age / PROBES)
    ping (self, now);

  if (self->caps_id != caps->caps_id) {
    helix_stream_outbox_add (
        &self->out, message, helix_pack_caps (message, caps), NULL);
    self->caps_id = caps->caps_id;
  }
  helix_stream_outbox_add (&self->out, message,
      helix_pack_unit (message, &own, (guint32) unit->map.size), unit);
}

/* ---- in ---- */

/* What cannot be a client's message: give up, or look for the next HELLO. It is
 * not of the session's owner, which may have died: the session ends, so that
 * nothing more goes to another process that has the stream now. */
static void
got_garbage (HelixStreamSession *self, const gchar *why, guint64 now)
{
  if (self->resync) {
    GST_DEBUG ("session %u: %s: looking for HELLO", self->id, why);
    if (self->state != HELIX_STREAM_SESSION_GREETING)
      helix_stream_session_end (self, why);
    helix_reader_scan (&self->reader, HELIX_HELLO, 0);
    return;
  }
  helix_stream_session_refuse (self, HELIX_ERROR_PROTOCOL,
      (enum helix_type) helix_reader_type (&self->reader), why, now);
}

/* After the last word: whatever still comes is read and dropped, because a
 * close with unread bytes makes TCP throw our word away. */
static void
drain (HelixStreamSession *self)
{
  guint8 bytes[4096];
  gssize n = 1;

  for (guint i = 0; i < MAX_MESSAGES && n > 0; i++)
    n = helix_transport_read (self->fd, bytes, sizeof bytes);
  if (n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK))
    helix_stream_session_die (self, NULL);
}

void
helix_stream_session_read (HelixStreamSession *self,
    const HelixStreamSessionPolicy *policy, guint64 now)
{
  guint messages = 0;

  if (self->state == HELIX_STREAM_SESSION_CLOSING) {
    drain (self);
    return;
  }
  for (guint i = 0; i < MAX_READS && messages < MAX_MESSAGES
       && self->state < HELIX_STREAM_SESSION_CLOSING;
       i++) {
    uint8_t *ptr;
    size_t len;
    gssize n;

    helix_reader_want (&self->reader, &ptr, &len);
    n = helix_transport_read (self->fd, ptr, len);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
      return;
    if (n <= 0) {
      helix_stream_session_die (
          self, n == 0 ? "it closed the connection" : g_strerror (errno));
      return;
    }
    self->last_read = now;
    switch (helix_reader_got (&self->reader, (size_t) n)) {
      case HELIX_READER_MORE:
        break;
      case HELIX_READER_HEAD:
        got_garbage (self, "clients send no frames and no units", now);
        break;
      case HELIX_READER_ERROR:
        got_garbage (self, self->reader.why, now);
        break;
      case HELIX_READER_MESSAGE:
        messages++;
        helix_stream_session_message (self, policy, now);
        break;
    }
  }
}

/* ---- time ---- */

/* The peer does not answer any more. Where the stream goes on, the peer is not
 * told before it speaks: what it does not read would only wait there. */
static void
timed_out (HelixStreamSession *self, guint64 now)
{
  static const gchar reason[] = "nothing came from it for 3 s";

  if (self->resync)
    helix_stream_session_end (self, reason);
  else
    helix_stream_session_refuse (
        self, HELIX_ERROR_TIMEOUT, HELIX_PING, reason, now);
}

static guint64
tick_live (HelixStreamSession *self, guint64 now)
{
  guint64 alive = self->last_read;

  /* A peer that takes bytes lives, however long its answer is under way. */
  if (self->blocked)
    alive = MAX (alive, self->last_write);
  if (now - alive >= HELIX_STREAM_SESSION_DEAD_NS) {
    timed_out (self, now);
    return now;
  }
  if (now - self->last_ping >= HELIX_STREAM_SESSION_PING_NS) {
    self->last_ping = now;
    /* Not twice: the one before has not even left. */
    if (helix_stream_outbox_control (&self->out) == 0)
      ping (self, now);
  }
  if (self->asks_again
      && now - self->last_asked >= HELIX_STREAM_SESSION_KEYFRAME_NS) {
    self->asks_again = FALSE;
    self->last_asked = now;
    self->needs_key = TRUE;
  }
  return MIN (MIN (alive + HELIX_STREAM_SESSION_DEAD_NS,
                  self->last_ping + HELIX_STREAM_SESSION_PING_NS),
      self->asks_again ? self->last_asked + HELIX_STREAM_SESSION_KEYFRAME_NS
                       : G_MAXUINT64);
}

static guint64
tick_greeting (HelixStreamSession *self, guint64 now)
{
  gboolean proving = self->state == HELIX_STREAM_SESSION_PROVING;

  if (self->resync)
    return G_MAXUINT64;
  if (now - self->opened < HELIX_STREAM_SESSION_HELLO_NS)
    return self->opened + HELIX_STREAM_SESSION_HELLO_NS;
  helix_stream_session_refuse (self, HELIX_ERROR_TIMEOUT,
      proving ? HELIX_PROOF : HELIX_HELLO,
      proving ? "no PROOF came within 3 s" : "no HELLO came within 3 s", now);
  return now;
}

guint64
helix_stream_session_tick (HelixStreamSession *self, guint64 now)
{
  switch (self->state) {
    case HELIX_STREAM_SESSION_GREETING:
    case HELIX_STREAM_SESSION_PROVING:
      return tick_greeting (self, now);
    case HELIX_STREAM_SESSION_LIVE:
      return tick_live (self, now);
    case HELIX_STREAM_SESSION_CLOSING:
      if (!helix_stream_session_pending (self) && !self->shut) {
        /* Fails on a character device: then nobody waits for an end. */
        if (shutdown (self->fd, SHUT_WR) < 0)
          helix_stream_session_die (self, NULL);
        self->shut = TRUE;
      }
      if (now - self->closing < HELIX_STREAM_SESSION_LINGER_NS)
        return self->closing + HELIX_STREAM_SESSION_LINGER_NS;
      helix_stream_session_die (self, NULL);
      return now;
    case HELIX_STREAM_SESSION_DEAD:
      break;
  }
  return now;
}

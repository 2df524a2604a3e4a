/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-stream-peer.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "helix-platform.h"
#include "helix-stream-common.h"
#include "helix-transport.h"

#define GST_CAT_DEFAULT helix_stream_debug

/* Control bytes that may wait. Far beyond need: a peer that lets so much
 * pile up asks without reading the answers. */
#define MAX_CONTROL (64 * 1024)

/* While units flow, how often within max-age it is looked how far the peer
 * is. */
#define PROBES 4

/* What a unit counts beside its bytes: its bookkeeping, about. */
#define UNIT_COST 256u

/* Silence: before HELLO and PROOF, in a session, between two PINGs, and after
 * the last word. */
#define HELLO_NS (3 * GST_SECOND)
#define DEAD_NS (3 * GST_SECOND)
#define PING_NS (1 * GST_SECOND)
#define LINGER_NS (1 * GST_SECOND)

/* One peer's KEYFRAME costs every peer bits, so it counts only so often. One
 * that comes sooner counts when its time has come. */
#define KEYFRAME_NS (500 * GST_MSECOND)

/* Messages, and reads, in one go: other peers wait meanwhile. */
#define MAX_MESSAGES 32
#define MAX_READS 512

/* Pieces of one write: control, the cursor, and some units. */
#define MAX_IOV 16

/* ---- units ---- */

HelixStreamUnit *
helix_stream_unit_new (GstBuffer *buffer)
{
  HelixStreamUnit *unit = g_new0 (HelixStreamUnit, 1);

  unit->refs = 1;
  if (!gst_buffer_map (buffer, &unit->map, GST_MAP_READ)) {
    g_free (unit);
    return NULL;
  }
  unit->buffer = gst_buffer_ref (buffer);
  return unit;
}

void
helix_stream_unit_unref (HelixStreamUnit *unit)
{
  if (unit == NULL || !g_atomic_int_dec_and_test (&unit->refs))
    return;
  gst_buffer_unmap (unit->buffer, &unit->map);
  gst_buffer_unref (unit->buffer);
  g_free (unit);
}

static void
count_dropped (HelixStreamPeer *self)
{
  self->dropped++;
  self->host->dropped++;
}

static void
unit_done (void *opaque, void *data, bool sent)
{
  HelixStreamPeer *self = opaque;
  HelixStreamUnit *unit = data;

  self->units--;
  if (sent) {
    self->sent_units++;
    self->sent_bytes += unit->map.size;
    self->host->sent_units++;
    self->host->sent_bytes += unit->map.size;
    self->last_unit = helix_now_ns ();
    helix_histogram_add (&self->host->send, self->last_unit - unit->arrived_ns);
  } else {
    count_dropped (self);
  }
  helix_stream_unit_unref (unit);
}

static void
shape_done (void *opaque, void *data, bool sent)
{
  if (!sent)
    ((HelixStreamPeer *) opaque)->cursor_serial = 0;
  helix_stream_unit_unref (data);
}

/* ---- the end of a session, or of the connection ---- */

static void
emit (HelixStreamPeer *self, HelixStreamPeerEvent event, gconstpointer data)
{
  self->host->event (self->host->user, self, event, data);
}

gboolean
helix_stream_peer_is_live (const HelixStreamPeer *self)
{
  return self->life == HELIX_STREAM_PEER_OPEN
      && self->server.state == HELIX_SERVER_OPEN;
}

gboolean
helix_stream_peer_watches (const HelixStreamPeer *self)
{
  return helix_stream_peer_is_live (self) && self->role == HELIX_ROLE_STREAM;
}

/* What waits, whole messages only; CAPS and the cursor among it will be sent
 * again. */
static void
drop (HelixStreamPeer *self)
{
  helix_writer_drop (&self->out, HELIX_WRITER_UNITS);
  helix_writer_drop (&self->out, HELIX_WRITER_CURSOR);
  self->caps_id = 0;
  self->cursor_due = self->host->cursor.known;
}

/* Likewise all messages, even one that is partly sent: the peer looks for the
 * next HELLO or WELCOME anyway. */
static void
abandon (HelixStreamPeer *self)
{
  helix_writer_clear (&self->out);
  drop (self);
  self->cursor_serial = 0;
}

HelixStreamPeer *
helix_stream_peer_new (HelixStreamHost *host, guint32 id, gint fd,
    gchar *address, gboolean lasts, guint64 now)
{
  HelixStreamPeer *self = g_new0 (HelixStreamPeer, 1);

  self->host = host;
  self->id = id;
  self->fd = fd;
  self->address = address != NULL ? address : g_strdup ("?");
  self->opened = self->last_read = self->last_write = now;
  self->best_trip = HELIX_NONE64;
  helix_server_init (&self->server, HELIX_ROLE_STREAM, now);
  self->server.lasts = lasts;
  self->server.proves = host->token != NULL;
  helix_writer_init (&self->out);
  helix_reader_init (&self->reader);
  return self;
}

void
helix_stream_peer_free (HelixStreamPeer *self)
{
  guint64 dropped = self->host->dropped;

  /* What a peer that has left did not get is not dropped. */
  helix_writer_clear (&self->out);
  self->host->dropped = dropped;
  close (self->fd);
  g_free (self->address);
  g_free (self->reason);
  g_free (self);
}

static void
end_session (HelixStreamPeer *self, HelixStreamPeerEvent event)
{
  self->host->n_live[self->role]--;
  self->server.state = HELIX_SERVER_NEW;
  emit (self, event, NULL);
}

static void
leave (HelixStreamPeer *self, HelixStreamPeerLife life, const gchar *reason)
{
  gboolean live = helix_stream_peer_is_live (self);

  if (self->reason == NULL || self->server.lasts) {
    g_free (self->reason);
    self->reason = g_strdup (reason);
  }
  self->life = life;
  if (live)
    end_session (self, HELIX_STREAM_PEER_ENDED);
  self->server.state = HELIX_SERVER_NEW;
}

void
helix_stream_peer_die (HelixStreamPeer *self, const gchar *reason)
{
  leave (self, HELIX_STREAM_PEER_DEAD, reason);
}

/* Where the stream lasts: only the session is over, and the next client comes
 * over the very same descriptor. Between two messages there is nothing to skip;
 * and a client that only slept is told, at its next message, that it has to say
 * HELLO. */
static void
rest (HelixStreamPeer *self, const gchar *reason)
{
  leave (self, HELIX_STREAM_PEER_OPEN, reason);
  self->blocked = FALSE;
  if (!helix_reader_idle (&self->reader))
    helix_reader_scan (&self->reader, HELIX_HELLO, 0);
}

/* At once, without a last word. */
static void
end (HelixStreamPeer *self, const gchar *reason)
{
  if (!self->server.lasts) {
    helix_stream_peer_die (self, reason);
    return;
  }
  abandon (self);
  rest (self, reason);
}

static void
start_closing (HelixStreamPeer *self, const gchar *reason, guint64 now)
{
  if (self->life != HELIX_STREAM_PEER_OPEN)
    return;
  drop (self);
  if (self->server.lasts) {
    rest (self, reason);
    return;
  }
  self->closing = now;
  leave (self, HELIX_STREAM_PEER_CLOSING, reason);
}

void
helix_stream_peer_say (HelixStreamPeer *self, const guint8 *message, gsize size)
{
  if (self->life == HELIX_STREAM_PEER_DEAD)
    return;
  if (self->out.bytes[HELIX_WRITER_CONTROL] + size > MAX_CONTROL)
    end (self, "it asks without reading the answers");
  else
    helix_writer_add (&self->out, HELIX_WRITER_CONTROL, message, size, NULL);
}

void
helix_stream_peer_bye (HelixStreamPeer *self, guint32 bye_reason, guint64 now)
{
  guint8 message[HELIX_MAX_MESSAGE];

  /* Without a session BYE would be no answer to what the peer said. */
  if (helix_stream_peer_is_live (self))
    helix_stream_peer_say (self, message,
        helix_pack_bye (message, bye_reason,
            bye_reason == HELIX_BYE_EOS ? "end of stream" : "closing down"));
  start_closing (self, "this end closes", now);
}

static void
refuse (HelixStreamPeer *self, guint16 channel, enum helix_error_code code,
    guint32 refers, const gchar *text, guint64 now)
{
  guint8 message[HELIX_MAX_MESSAGE];

  helix_stream_peer_say (
      self, message, helix_pack_error (message, channel, code, refers, text));
  if (!helix_error_is_fatal (code) || self->life != HELIX_STREAM_PEER_OPEN)
    return;
  /* That a peer is gone, or comes when the server is full, is no fault. Nor is
   * what a peer that was killed left half said, and the next one completes. */
  if (code != HELIX_ERROR_TIMEOUT && code != HELIX_ERROR_BUSY
      && !(self->server.lasts && code == HELIX_ERROR_PROTOCOL)) {
    g_autoptr (GError) error = g_error_new (GST_STREAM_ERROR,
        GST_STREAM_ERROR_FAILED, "Client %s refused: %s.", self->address, text);

    emit (self, HELIX_STREAM_PEER_REFUSED, error);
  }
  start_closing (self, text, now);
}

void
helix_stream_peer_refuse (HelixStreamPeer *self, enum helix_error_code code,
    guint32 refers, const gchar *text, guint64 now)
{
  refuse (self, 0, code, refers, text, now);
}

/* ---- out ---- */

gboolean
helix_stream_peer_pending (const HelixStreamPeer *self)
{
  if (self->life == HELIX_STREAM_PEER_DEAD)
    return FALSE;
  return helix_writer_pending (&self->out)
      || (self->cursor_due && helix_stream_peer_watches (self));
}

/* The cursor as it is now replaces the one that waits: so a slow peer has one
 * message of this kind before it, not one for each of its movements. */
static void
offer_cursor (HelixStreamPeer *self)
{
  struct helix_cursor head = self->host->cursor.head;
  HelixStreamUnit *shape = self->host->cursor.shape;
  struct helix_writer_extra extra = {0};
  guint8 message[HELIX_MAX_MESSAGE];
  gsize size;

  if (!self->cursor_due || !helix_stream_peer_watches (self)
      || helix_writer_has_begun (&self->out, HELIX_WRITER_CURSOR))
    return;
  helix_writer_drop (&self->out, HELIX_WRITER_CURSOR);
  if (shape != NULL && self->cursor_serial != head.serial) {
    g_atomic_int_inc (&shape->refs);
    self->cursor_serial = head.serial;
    head.flags |= HELIX_CURSOR_SHAPE;
    extra = (struct helix_writer_extra){.bulk = shape->map.data,
        .bulk_size = shape->map.size,
        .done = shape_done,
        .opaque = self,
        .data = shape};
  }
  size = helix_pack_cursor (message, 0, &head, (guint32) extra.bulk_size);
  helix_writer_add (&self->out, HELIX_WRITER_CURSOR, message, size, &extra);
  self->cursor_due = FALSE;
}

/* How long the oldest unit that has not left has been here. */
static guint64
queued_for (const HelixStreamPeer *self, guint64 now)
{
  guint64 oldest = helix_writer_oldest (&self->out, HELIX_WRITER_UNITS);

  return oldest != 0 && now > oldest ? now - oldest : 0;
}

static void
ping (HelixStreamPeer *self, guint64 now)
{
  struct helix_ping ping = {.sent_ns = now};
  guint8 message[HELIX_MAX_MESSAGE];

  self->last_ping = now;
  helix_stream_peer_say (self, message, helix_pack_ping (message, &ping));
  if (self->n_probes == HELIX_STREAM_PEER_MAX_PROBES)
    return;
  self->probes[self->n_probes].sent = now;
  self->probes[self->n_probes++].since = now - queued_for (self, now);
}

/* Whether it has answered PINGs at all: the protocol does not make it. */
static gboolean
can_probe (const HelixStreamPeer *self)
{
  return self->best_trip != HELIX_NONE64;
}

/* Whether all that was sent has been read, as far as that can be known. */
static gboolean
has_caught_up (const HelixStreamPeer *self)
{
  return self->units == 0 && (self->n_probes == 0 || !can_probe (self));
}

void
helix_stream_peer_flush (HelixStreamPeer *self, gsize limit, guint64 now)
{
  while (helix_stream_peer_pending (self) && limit > 0) {
    struct iovec iov[MAX_IOV];
    gssize sent;
    gint n, fd;

    offer_cursor (self);
    n = helix_writer_iov (&self->out, iov, MAX_IOV, limit, &fd);
    sent = helix_transport_write (self->fd, iov, n);
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      if (!self->blocked)
        self->last_write = now;
      self->blocked = TRUE;
      return;
    }
    if (sent < 0) {
      helix_stream_peer_die (self, g_strerror (errno));
      return;
    }
    helix_writer_sent (&self->out, (gsize) sent);
    self->last_write = now;
    limit -= (gsize) sent;
  }
  if (helix_stream_peer_pending (self))
    return;
  self->blocked = FALSE;
  /* Only now: a keyframe made while it was stuck would have been lost on it
   * and have cost the others bits. */
  if (helix_stream_peer_is_live (self) && self->waits_key && self->owes_key
      && has_caught_up (self)) {
    self->owes_key = FALSE;
    self->host->key_wanted = TRUE;
  }
}

/* Whether the peer has not read, or will not have read, something that is
 * older than it may be: what waits here, or what left with the last PING. */
static gboolean
is_behind (const HelixStreamPeer *self, guint64 now)
{
  guint64 max_age = self->host->max_age;

  if (queued_for (self, now) > max_age)
    return TRUE;
  /* A PING tells of what comes behind it, up to the next one. */
  return can_probe (self) && self->n_probes > 0
      && now
      > self->probes[0].since + self->best_trip + max_age - max_age / PROBES;
}

static gboolean
is_full (const HelixStreamPeer *self, gsize size)
{
  return self->units > 0
      && self->out.bytes[HELIX_WRITER_UNITS] + size
          + (gsize) self->units * UNIT_COST
      > HELIX_STREAM_PEER_MAX_BYTES;
}

/* Nothing more for it until it has read what is under way. */
static void
fall_behind (HelixStreamPeer *self, guint64 now)
{
  guint units = self->units;

  drop (self);
  GST_INFO ("client %u takes no more: dropped %u units", self->id,
      units - self->units);
  if (!self->host->recover) {
    end (self, "it is too slow (recover-policy=none)");
    return;
  }
  self->waits_key = self->owes_key = TRUE;
  self->n_probes = 0;
  ping (self, now);
  self->skips++;
  if (self->skipped_at != 0 && now - self->skipped_at < HELIX_STREAM_SLOW_NS)
    self->slow = TRUE;
  self->skipped_at = now;
  if (self->slow && !self->slow_told) {
    self->slow_told = TRUE;
    emit (self, HELIX_STREAM_PEER_SLOW, NULL);
  }
}

void
helix_stream_peer_push (HelixStreamPeer *self, HelixStreamUnit *unit,
    const struct helix_unit *head, const struct helix_caps *caps)
{
  const struct helix_writer_extra extra = {.bulk = unit->map.data,
      .bulk_size = unit->map.size,
      .since = unit->arrived_ns,
      .done = unit_done,
      .opaque = self,
      .data = unit};
  gboolean key = (head->flags & HELIX_UNIT_KEY) != 0;
  struct helix_unit own = *head;
  guint8 message[HELIX_MAX_MESSAGE];
  guint64 now = head->sent_ns;

  if (!helix_stream_peer_watches (self))
    return;
  if (!self->waits_key
      && (is_full (self, unit->map.size) || is_behind (self, now)))
    fall_behind (self, now);
  /* A peer that is stuck could not take the key unit either. */
  if (!helix_stream_peer_is_live (self)
      || (self->waits_key && (!key || self->units > 0 || self->owes_key))) {
    count_dropped (self);
    return;
  }
  if (self->waits_key)
    own.flags |= HELIX_UNIT_DISCONT;
  self->waits_key = self->owes_key = FALSE;
  if (key)
    self->asks_again = FALSE;
  if (can_probe (self) && now >= self->last_ping + self->host->max_age / PROBES)
    ping (self, now);

  if (self->caps_id != caps->caps_id) {
    helix_writer_add (&self->out, HELIX_WRITER_UNITS, message,
        helix_pack_caps (message, caps), NULL);
    self->caps_id = caps->caps_id;
  }
  g_atomic_int_inc (&unit->refs);
  self->units++;
  helix_writer_add (&self->out, HELIX_WRITER_UNITS, message,
      helix_pack_unit (message, &own, (guint32) unit->map.size), &extra);
}

/* ---- what it says ---- */

/* HELLO ends the session that there is. */
static void
forget_session (HelixStreamPeer *self, guint64 now)
{
  if (helix_stream_peer_is_live (self)) {
    self->opened = now;
    end_session (self, HELIX_STREAM_PEER_RESTARTED);
  }
  self->owes_key = self->asks_again = FALSE;
  self->lists = 0;
  /* The new session must not wait for the old one's backlog. */
  if (self->server.lasts)
    abandon (self);
  else
    drop (self);
  self->cursor_serial = 0;
}

static void
go_live (HelixStreamPeer *self, guint64 now)
{
  gboolean streams = self->role == HELIX_ROLE_STREAM;

  self->server.state = HELIX_SERVER_OPEN;
  self->host->n_live[self->role]++;
  self->live_since = now;
  g_clear_pointer (&self->reason, g_free);
  self->waits_key = streams;
  self->last_ping = streams ? now - PING_NS : now;
  self->n_probes = 0;
  self->skipped_at = 0;
  self->best_trip = HELIX_NONE64;
  self->slow = FALSE;
  memset (&self->told, 0, sizeof self->told);
  self->host->key_wanted |= streams;
  emit (self, HELIX_STREAM_PEER_BEGAN, NULL);
}

static gboolean
check_room (HelixStreamPeer *self, guint32 role, guint64 now)
{
  /* A peer that begins anew keeps its place. */
  if ((helix_stream_peer_is_live (self) && self->role == role)
      || self->host->n_live[role] < self->host->max_live[role])
    return TRUE;
  helix_stream_peer_refuse (self, HELIX_ERROR_BUSY, HELIX_HELLO,
      role == HELIX_ROLE_STREAM
          ? "max-clients are connected already"
          : "too many are connected already that only steer",
      now);
  return FALSE;
}

/* HELLO is good: WELCOME, and with it, if there is a token, the question for a
 * proof of it, before anything else is told. */
static void
got_hello (HelixStreamPeer *self, guint64 now)
{
  const gchar *token = self->host->token;
  guint8 message[HELIX_MAX_MESSAGE];
  gsize size;

  /* Whether there is room is not told before the token is proved. */
  if (token == NULL && !check_room (self, self->server.hello.role, now))
    return;
  forget_session (self, now);
  self->role = self->server.hello.role;
  self->proof.nonce = self->server.hello.nonce;
  if (token != NULL
      && getentropy (self->proof.challenge, sizeof self->proof.challenge) < 0) {
    helix_stream_peer_refuse (self, HELIX_ERROR_AUTH, HELIX_HELLO,
        "this system gives no random bytes to prove the token with", now);
    return;
  }
  size = helix_server_welcome (&self->server, message, 0, 0,
      "helixguestsink " HELIX_PACKAGE_VERSION,
      token != NULL ? self->proof.challenge : NULL);
  if (token == NULL)
    go_live (self, now);
  helix_stream_peer_say (self, message, size);
}

static void
got_proof (HelixStreamPeer *self, const struct helix_proof *proof, guint64 now)
{
  const gchar *token = self->host->token;
  guint8 message[HELIX_MAX_MESSAGE];

  if (!helix_proof_is_right (proof, HELIX_PROOF_CLIENT, token, &self->proof)) {
    helix_stream_peer_refuse (self, HELIX_ERROR_AUTH, HELIX_PROOF,
        "the token is wrong: set the same token at both ends", now);
    return;
  }
  if (!check_room (self, self->role, now))
    return;
  go_live (self, now);
  helix_stream_peer_say (self, message,
      helix_proof_pack (message, HELIX_PROOF_SERVER, token, &self->proof));
}

static void
got_keyframe (HelixStreamPeer *self, guint64 now)
{
  if (now - self->last_asked < KEYFRAME_NS) {
    self->asks_again = TRUE;
    return;
  }
  self->last_asked = now;
  self->asks_again = FALSE;
  self->host->key_wanted = TRUE;
}

static void
got_pong (HelixStreamPeer *self, const struct helix_pong *pong, guint64 now)
{
  guint i = 0;

  while (i < self->n_probes && self->probes[i].sent != pong->ping_ns)
    i++;
  if (i == self->n_probes)
    return; /* not asked for, or of no use any more */
  self->best_trip =
      MIN (self->best_trip, now > pong->ping_ns ? now - pong->ping_ns : 0);
  self->n_probes -= i + 1;
  memmove (&self->probes[0], &self->probes[i + 1],
      self->n_probes * sizeof self->probes[0]);
}

static void
got_own (HelixStreamPeer *self, guint64 now)
{
  const struct helix_reader *r = &self->reader;
  struct helix_keyframe keyframe;
  struct helix_config config;
  struct helix_show show;
  const gchar *why = NULL;

  switch (r->header.type) {
    case HELIX_KEYFRAME:
      if (helix_unpack_keyframe (&keyframe, r->payload, r->payload_size, &why))
        got_keyframe (self, now);
      break;
    case HELIX_STATS:
      helix_unpack_stats (&self->told, r->payload, r->payload_size, &why);
      break;
    case HELIX_CONFIG:
      if (helix_unpack_config (&config, r->payload, r->payload_size, &why))
        emit (self, HELIX_STREAM_PEER_CONFIG, &config);
      break;
    case HELIX_SHOW:
      if (helix_unpack_show (&show, r->payload, r->payload_size, &why))
        emit (self, HELIX_STREAM_PEER_SHOW, &show);
      break;
    default: /* LIST */
      self->lists++;
  }
  if (why != NULL)
    helix_stream_peer_refuse (
        self, HELIX_ERROR_PROTOCOL, r->header.type, why, now);
}

static void
got_message (HelixStreamPeer *self, guint64 now)
{
  struct helix_server_said said;

  switch (helix_server_take (
      &self->server, &self->reader, now, helix_now_ns (), &said)) {
    case HELIX_SERVER_NOTHING:
      break;
    case HELIX_SERVER_ANSWER:
      helix_stream_peer_say (self, said.answer, said.size);
      break;
    case HELIX_SERVER_REFUSE:
      refuse (self, said.channel, said.code, said.refers, said.text, now);
      break;
    case HELIX_SERVER_HELLO:
      got_hello (self, now);
      break;
    case HELIX_SERVER_PROOF:
      got_proof (self, &said.proof, now);
      break;
    case HELIX_SERVER_PONG:
      got_pong (self, &said.pong, now);
      break;
    case HELIX_SERVER_BYE:
      end (self, "it said goodbye");
      break;
    case HELIX_SERVER_ERROR:
      GST_WARNING ("client %u reports %s: %s", self->id,
          helix_error_name (said.code), said.text);
      if (helix_error_is_fatal (said.code))
        end (self, said.text);
      break;
    case HELIX_SERVER_MESSAGE:
      got_own (self, now);
      break;
  }
}

/* What cannot be a client's message: close, or look for the next HELLO. It is
 * not of the session's owner, which may have died: the session ends, so that
 * nothing more goes to another process that has the stream now. */
static void
got_garbage (HelixStreamPeer *self, const gchar *why, guint64 now)
{
  if (self->server.lasts) {
    GST_DEBUG ("client %u: %s: looking for HELLO", self->id, why);
    if (self->server.state != HELIX_SERVER_NEW)
      end (self, why);
    helix_reader_scan (&self->reader, HELIX_HELLO, 0);
    return;
  }
  helix_stream_peer_refuse (
      self, HELIX_ERROR_PROTOCOL, helix_reader_type (&self->reader), why, now);
}

/* After the last word: what still comes is read and dropped, because a close
 * with unread bytes makes TCP throw our word away. */
static void
drain (HelixStreamPeer *self)
{
  guint8 bytes[4096];
  gssize n = 1;

  for (guint i = 0; i < MAX_MESSAGES && n > 0; i++)
    n = helix_transport_read (self->fd, bytes, sizeof bytes);
  if (n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK))
    helix_stream_peer_die (self, NULL);
}

void
helix_stream_peer_read (HelixStreamPeer *self, guint64 now)
{
  guint messages = 0;

  if (self->life == HELIX_STREAM_PEER_CLOSING) {
    drain (self);
    return;
  }
  for (guint i = 0; i < MAX_READS && messages < MAX_MESSAGES
       && self->life == HELIX_STREAM_PEER_OPEN;
       i++) {
    uint8_t *ptr;
    size_t len;
    gssize n;

    helix_reader_want (&self->reader, &ptr, &len);
    n = helix_transport_read (self->fd, ptr, len);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
      return;
    if (n <= 0) {
      helix_stream_peer_die (
          self, n == 0 ? "it closed the connection" : g_strerror (errno));
      return;
    }
    self->last_read = now;
    switch (helix_reader_got (&self->reader, (size_t) n)) {
      case HELIX_READER_MORE:
        break;
      case HELIX_READER_HEAD:
        got_garbage (self, "clients send no cursors and no units", now);
        break;
      case HELIX_READER_ERROR:
        got_garbage (self, self->reader.why, now);
        break;
      case HELIX_READER_MESSAGE:
        messages++;
        got_message (self, now);
        break;
    }
  }
}

/* ---- time ---- */

static guint64
tick_live (HelixStreamPeer *self, guint64 now)
{
  static const gchar silent[] = "nothing came from it for 3 s";
  guint64 alive = self->last_read;

  /* A peer that takes bytes lives, however long its answer is under way. */
  if (self->blocked)
    alive = MAX (alive, self->last_write);
  if (now - alive >= DEAD_NS) {
    /* Where the stream lasts, the peer is not told before it speaks: what it
     * does not read would only wait there. */
    if (self->server.lasts)
      end (self, silent);
    else
      helix_stream_peer_refuse (
          self, HELIX_ERROR_TIMEOUT, HELIX_PING, silent, now);
    return now;
  }
  if (now - self->last_ping >= PING_NS) {
    self->last_ping = now;
    /* Not twice: the one before has not even left. */
    if (self->out.bytes[HELIX_WRITER_CONTROL] == 0)
      ping (self, now);
  }
  if (self->asks_again)
    got_keyframe (self, now);
  return MIN (MIN (alive + DEAD_NS, self->last_ping + PING_NS),
      self->asks_again ? self->last_asked + KEYFRAME_NS : G_MAXUINT64);
}

static guint64
tick_greeting (HelixStreamPeer *self, guint64 now)
{
  gboolean proving = self->server.state == HELIX_SERVER_PROVING;

  if (self->server.lasts)
    return G_MAXUINT64;
  if (now - self->opened < HELLO_NS)
    return self->opened + HELLO_NS;
  helix_stream_peer_refuse (self, HELIX_ERROR_TIMEOUT,
      proving ? HELIX_PROOF : HELIX_HELLO,
      proving ? "no PROOF came within 3 s" : "no HELLO came within 3 s", now);
  return now;
}

guint64
helix_stream_peer_tick (HelixStreamPeer *self, guint64 now)
{
  if (helix_stream_peer_is_live (self))
    return tick_live (self, now);
  if (self->life == HELIX_STREAM_PEER_OPEN)
    return tick_greeting (self, now);
  if (self->life == HELIX_STREAM_PEER_DEAD)
    return now;
  if (!helix_stream_peer_pending (self) && !self->shut) {
    /* Fails on a character device: then nothing waits for an end. */
    if (shutdown (self->fd, SHUT_WR) < 0)
      helix_stream_peer_die (self, NULL);
    self->shut = TRUE;
  }
  if (now - self->closing < LINGER_NS)
    return self->closing + LINGER_NS;
  helix_stream_peer_die (self, NULL);
  return now;
}

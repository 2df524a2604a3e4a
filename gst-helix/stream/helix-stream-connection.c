/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-stream-connection.h"

#include "helix-stream-common.h"

#define GST_CAT_DEFAULT helix_stream_debug

/* ns between two STATS, and between two requests for a keyframe. */
#define STATS_NS (1000 * GST_MSECOND)
#define ASK_NS (200 * GST_MSECOND)

HelixStreamConnection *
helix_stream_connection_new (
    gint fd, const HelixStreamConnectionConfig *config, guint64 now)
{
  const HelixConnectionConfig own = {
      .name = config->name, .serial = config->serial, .clock = TRUE};
  HelixStreamConnection *self = g_new0 (HelixStreamConnection, 1);

  self->config = *config;
  self->need_key = self->item.discont = TRUE;
  self->totals.last_sequence = self->totals.latency_ns = HELIX_NONE64;
  self->connection = helix_connection_new (fd, &own, now);
  helix_connection_hello (
      self->connection, (enum helix_role) config->role, config->token);
  return self;
}

static void
drop_bulk (HelixStreamConnection *self)
{
  if (self->mapped)
    gst_buffer_unmap (self->item.buffer, &self->map);
  self->mapped = FALSE;
  gst_clear_buffer (&self->item.buffer);
}

void
helix_stream_connection_free (HelixStreamConnection *self)
{
  if (self == NULL)
    return;
  helix_connection_bye (self->connection, "the program stops");
  drop_bulk (self);
  helix_connection_close (self->connection);
  helix_connection_unref (self->connection);
  g_clear_error (&self->error);
  g_free (self);
}

/* ---- the end ---- */

/* Sets `error`: "ADDRESS: text." */
static HelixConnectionEvent G_GNUC_PRINTF (4, 5)
    lose_with (HelixStreamConnection *self, gboolean fatal,
        GstResourceError code, const gchar *format, ...)
{
  g_autofree gchar *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  g_clear_error (&self->error);
  self->error = g_error_new (
      GST_RESOURCE_ERROR, code, "%s: %s.", self->config.address, text);
  self->fatal = fatal && !self->config.strangers;
  return HELIX_CONNECTION_LOST;
}

static HelixConnectionEvent
lose_refused (HelixStreamConnection *self)
{
  GstResourceError code = GST_RESOURCE_ERROR_READ;
  gboolean fatal = FALSE;

  switch (self->connection->error.code) {
    case HELIX_ERROR_AUTH:
      code = GST_RESOURCE_ERROR_NOT_AUTHORIZED;
      fatal = TRUE;
      break;
    case HELIX_ERROR_VERSION:
    case HELIX_ERROR_ROLE:
    case HELIX_ERROR_PROTOCOL:
      code = GST_RESOURCE_ERROR_SETTINGS;
      fatal = TRUE;
      break;
    case HELIX_ERROR_BUSY:
      code = GST_RESOURCE_ERROR_BUSY;
      break;
    default:
      break;
  }
  return lose_with (self, fatal, code, "the other end refuses (%s): %s",
      helix_error_name (self->connection->error.code), self->connection->text);
}

/* The connection is over: what that means. */
static HelixConnectionEvent
lose (HelixStreamConnection *self)
{
  const HelixConnection *connection = self->connection;
  const gchar *why = connection->why;

  self->loud = connection->deaf
      || (connection->loss != HELIX_LOSS_CLOSED
          && connection->loss != HELIX_LOSS_BYE);
  switch (connection->loss) {
    case HELIX_LOSS_NONE:
    case HELIX_LOSS_BYE:
      return HELIX_CONNECTION_LOST;
    case HELIX_LOSS_CLOSED:
      return lose_with (self, FALSE, GST_RESOURCE_ERROR_READ,
          "%s: %s. Check that helixguestsink runs there",
          connection->live ? "the connection was lost"
                           : "the connection ended without an answer",
          why != NULL ? why : "the other end is gone");
    case HELIX_LOSS_RESTARTED:
      return lose_with (self, FALSE, GST_RESOURCE_ERROR_READ,
          "the other end began anew within a message");
    case HELIX_LOSS_SILENT:
      if (connection->live)
        return lose_with (self, FALSE, GST_RESOURCE_ERROR_READ,
            "nothing came for 3 s. Check that the other end still runs");
      return lose_with (self, FALSE, GST_RESOURCE_ERROR_NOT_FOUND,
          "connected, but %s gets no answer. Check that helixguestsink "
          "runs at the other end",
          connection->welcomed ? "PROOF" : "HELLO");
    case HELIX_LOSS_REFUSED:
      return lose_refused (self);
    case HELIX_LOSS_FOREIGN:
      if (connection->stranger != NULL)
        why = connection->stranger;
      /* fall through */
    case HELIX_LOSS_OLD:
    case HELIX_LOSS_VERSION:
      return lose_with (self, TRUE, GST_RESOURCE_ERROR_SETTINGS,
          "what answers there is no helixguestsink: %s. Check the address",
          why);
    case HELIX_LOSS_PROTOCOL:
      return lose_with (self, !self->config.serial, GST_RESOURCE_ERROR_READ,
          "the other end broke the protocol: %s. Use the same version of "
          "gst-helix at both ends",
          why);
    case HELIX_LOSS_UNASKED:
    case HELIX_LOSS_UNPROVED:
      return lose_with (self, TRUE, GST_RESOURCE_ERROR_NOT_AUTHORIZED,
          "the other end %s, so it may be another program. Set the same "
          "token-file or token at helixguestsink there",
          connection->loss == HELIX_LOSS_UNASKED ? "does not ask for the token"
                                                 : "does not prove the token");
    case HELIX_LOSS_FAILED:
      return lose_with (self, TRUE, GST_RESOURCE_ERROR_FAILED,
          "this system gives no random bytes: %s. Allow the system call "
          "getrandom",
          why);
  }
  g_return_val_if_reached (HELIX_CONNECTION_LOST);
}

/* The message breaks the protocol. */
static HelixConnectionEvent
violation (HelixStreamConnection *self, const gchar *why)
{
  helix_connection_violation (self->connection, why);
  return lose (self);
}

static HelixConnectionEvent
got (HelixStreamConnection *self, HelixStreamResult what)
{
  self->item.kind = what;
  return HELIX_CONNECTION_MESSAGE;
}

/* ---- units and shapes ---- */

/* Room for the bytes that follow the head. */
static HelixConnectionEvent
take_bulk (HelixStreamConnection *self)
{
  guint32 size = self->connection->reader.bulk_size;

  self->item.buffer = gst_buffer_new_allocate (NULL, size, NULL);
  if (self->item.buffer == NULL
      || !gst_buffer_map (self->item.buffer, &self->map, GST_MAP_WRITE)) {
    gst_clear_buffer (&self->item.buffer);
    self->loud = TRUE;
    return lose_with (self, TRUE, GST_RESOURCE_ERROR_NO_SPACE_LEFT,
        "no memory for a unit of %u bytes. Lower the bitrate, or give this "
        "machine more memory",
        size);
  }
  self->mapped = TRUE;
  helix_reader_bulk (&self->connection->reader, self->map.data);
  return HELIX_CONNECTION_MORE;
}

/* A unit's head: decide whether it is wanted. */
static HelixConnectionEvent
got_unit_head (HelixStreamConnection *self)
{
  const struct helix_reader *r = &self->connection->reader;
  guint64 last = self->item.unit.sequence;
  const gchar *why;

  if (!helix_unpack_unit (
          &self->item.unit, r->payload, r->payload_size, r->header.size, &why))
    return violation (self, why);
  if (self->item.caps.caps_id == 0
      || self->item.unit.caps_id != self->item.caps.caps_id)
    return violation (self, "UNIT: caps_id was not announced");
  if (self->have_last && self->item.unit.sequence <= last)
    return violation (self, "UNIT: sequence does not grow");

  if (self->have_last && self->item.unit.sequence != last + 1) {
    self->totals.lost += self->item.unit.sequence - last - 1;
    self->need_key = self->item.discont = TRUE;
  }
  if (self->item.unit.flags & HELIX_UNIT_DISCONT)
    self->item.discont = TRUE;
  self->have_last = TRUE;
  if (!self->need_key || (self->item.unit.flags & HELIX_UNIT_KEY))
    return take_bulk (self);
  self->skipped++;
  helix_stream_connection_ask (self,
      self->totals.units == 0 ? HELIX_KEYFRAME_JOIN : HELIX_KEYFRAME_GAP,
      self->connection->heard_ns);
  return HELIX_CONNECTION_MORE;
}

static HelixConnectionEvent
got_head (HelixStreamConnection *self)
{
  const struct helix_reader *r = &self->connection->reader;
  const gchar *why;

  if (r->header.type == HELIX_UNIT)
    return got_unit_head (self);
  if (!helix_unpack_cursor (&self->item.cursor, r->payload, r->payload_size,
          r->header.size, &why))
    return violation (self, why);
  return take_bulk (self);
}

static HelixConnectionEvent
got_unit (HelixStreamConnection *self)
{
  if (!self->mapped)
    return HELIX_CONNECTION_MORE; /* it was skipped */
  gst_buffer_unmap (self->item.buffer, &self->map);
  self->mapped = FALSE;
  self->need_key = FALSE;
  self->item.received_ns = self->connection->heard_ns;
  self->item.waited_for = self->waiting;
  self->item.clock_known =
      helix_clock_offset_get (&self->clock, self->connection->heard_ns,
          &self->item.clock_offset, &self->item.clock_error);
  self->waiting = FALSE;
  self->totals.units++;
  self->totals.bytes += self->map.size;
  self->totals.last_sequence = self->item.unit.sequence;
  if (self->item.unit.flags & HELIX_UNIT_KEY) {
    self->totals.keyframes++;
    if (self->ask_reason != HELIX_KEYFRAME_ASKED)
      self->asking = FALSE; /* here it is */
  }
  return got (self, HELIX_STREAM_UNIT);
}

/* A cursor without a shape, or the last byte of its shape. */
static HelixConnectionEvent
got_cursor (HelixStreamConnection *self)
{
  const struct helix_reader *r = &self->connection->reader;
  const gchar *why;

  if (self->mapped)
    gst_buffer_unmap (self->item.buffer, &self->map);
  else if (!helix_unpack_cursor (&self->item.cursor, r->payload,
               r->payload_size, r->header.size, &why))
    return violation (self, why);
  self->mapped = FALSE;
  return got (self, HELIX_STREAM_CURSOR);
}

/* ---- other messages ---- */

static HelixConnectionEvent
got_message (HelixStreamConnection *self)
{
  HelixConnection *connection = self->connection;
  const struct helix_reader *r = &connection->reader;
  struct helix_pong pong;
  const gchar *why;

  switch (r->header.type) {
    case HELIX_PONG:
      if (r->payload_size > 0
          && helix_unpack_pong (&pong, r->payload, r->payload_size, &why))
        helix_clock_offset_add (&self->clock, &pong, connection->heard_ns);
      return HELIX_CONNECTION_MORE;
    case HELIX_ERROR:
      GST_WARNING ("%s: the other end reports %s: %s", self->config.address,
          helix_error_name (connection->error.code), connection->text);
      return got (self, HELIX_STREAM_WARNING);
    case HELIX_CAPS:
      if (!helix_unpack_caps (
              &self->item.caps, r->payload, r->payload_size, &why))
        return violation (self, why);
      return got (self, HELIX_STREAM_CAPS);
    case HELIX_CURSOR:
      return got_cursor (self);
    case HELIX_UNIT:
      return got_unit (self);
    default:
      helix_connection_unknown (connection);
      return HELIX_CONNECTION_MORE;
  }
}

HelixConnectionEvent
helix_stream_connection_read (HelixStreamConnection *self)
{
  HelixConnectionEvent event = helix_connection_read (self->connection);

  switch (event) {
    case HELIX_CONNECTION_IDLE:
      self->waiting = TRUE;
      break;
    case HELIX_CONNECTION_MORE:
      break;
    case HELIX_CONNECTION_LIVE:
      GST_INFO ("%s: connected to '%s'", self->config.address,
          self->connection->name);
      break;
    case HELIX_CONNECTION_HEAD:
      return got_head (self);
    case HELIX_CONNECTION_MESSAGE:
      return got_message (self);
    case HELIX_CONNECTION_LOST:
      return lose (self);
  }
  return event;
}

/* ---- requests ---- */

/* Sends the request that waits if its time has come; returns when that is. */
static guint64
ask_step (HelixStreamConnection *self, guint64 now)
{
  struct helix_keyframe keyframe = {
      .reason = self->ask_reason, .last_sequence = self->totals.last_sequence};
  guint8 message[HELIX_MAX_MESSAGE];

  if (!self->asking || !self->connection->live)
    return HELIX_NONE64;
  if (now - self->asked_ns < ASK_NS)
    return self->asked_ns + ASK_NS;
  self->asked_ns = now;
  self->asking = FALSE;
  helix_connection_send (
      self->connection, message, helix_pack_keyframe (message, &keyframe));
  return HELIX_NONE64;
}

void
helix_stream_connection_ask (
    HelixStreamConnection *self, guint32 reason, guint64 now)
{
  /* A keyframe that comes by itself is no answer to one that was asked for. */
  if (!self->asking || self->ask_reason != HELIX_KEYFRAME_ASKED)
    self->ask_reason = reason;
  self->asking = TRUE;
  ask_step (self, now);
}

gboolean
helix_stream_connection_request (
    HelixStreamConnection *self, const guint8 *message, gsize size)
{
  return self->connection->live && !helix_connection_flush (self->connection)
      && helix_connection_send (self->connection, message, size);
}

guint64
helix_stream_connection_tick (HelixStreamConnection *self, guint64 now)
{
  guint64 next = helix_connection_tick (self->connection, now);
  guint8 message[HELIX_MAX_MESSAGE];

  if (next == 0) {
    lose (self);
    return 0;
  }
  if (self->connection->live && now - self->stats_ns >= STATS_NS
      && self->totals.units != self->told_units) {
    self->stats_ns = now;
    self->told_units = self->totals.units;
    helix_connection_send (
        self->connection, message, helix_pack_stats (message, &self->totals));
  }
  return MIN (next, ask_step (self, now));
}

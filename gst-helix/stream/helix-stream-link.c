/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-stream-link-private.h"

#include <errno.h>
#include <unistd.h>

#include "helix-platform.h"
#include "helix-stream-debug.h"
#include "helix-transport.h"

#define GST_CAT_DEFAULT helix_stream_debug

HelixStreamLinkEvent
helix_stream_link_lose (HelixStreamLink *self, gboolean fatal,
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
  return HELIX_STREAM_LINK_LOST;
}

/* What arrived is not the stream protocol: the last thing said is why. */
static HelixStreamLinkEvent
lose_garbage (HelixStreamLink *self, const gchar *why)
{
  guint8 message[HELIX_MAX_MESSAGE];

  helix_stream_link_say (self, message,
      helix_pack_error (message, 0, HELIX_ERROR_PROTOCOL,
          helix_reader_type (&self->reader), why));
  helix_stream_link_flush (self);
  self->loud = TRUE;
  if (self->live)
    return helix_stream_link_lose (self, !self->config.serial,
        GST_RESOURCE_ERROR_READ,
        "the other end broke the protocol: %s. Use the same version of "
        "gst-helix at both ends",
        why);
  return helix_stream_link_lose (self, TRUE, GST_RESOURCE_ERROR_SETTINGS,
      "whoever answers there is no helixguestsink: %s. Check the address", why);
}

static HelixStreamLinkEvent
lose_unopened (HelixStreamLink *self)
{
  return lose_garbage (self,
      self->welcomed ? "behind its WELCOME comes no PROOF"
                     : "its first message is not WELCOME");
}

HelixStreamLink *
helix_stream_link_new (
    gint fd, const HelixStreamLinkConfig *config, guint64 now)
{
  HelixStreamLink *self = g_new0 (HelixStreamLink, 1);

  self->fd = fd;
  self->config = *config;
  self->opened = self->last_read = now;
  self->out = g_byte_array_new ();
  self->need_key = self->discont = TRUE;
  if (config->serial)
    helix_reader_scan (&self->reader, HELIX_WELCOME, config->nonce);
  else
    helix_reader_init (&self->reader);
  helix_stream_link_hello (self);
  return self;
}

static void
drop_bulk (HelixStreamLink *self)
{
  if (self->mapped)
    gst_buffer_unmap (self->buffer, &self->map);
  self->mapped = FALSE;
  gst_clear_buffer (&self->buffer);
}

void
helix_stream_link_free (HelixStreamLink *self)
{
  if (self == NULL)
    return;
  drop_bulk (self);
  close (self->fd);
  g_byte_array_unref (self->out);
  g_clear_error (&self->error);
  g_free (self);
}

/* ---- messages ---- */

static HelixStreamLinkEvent
go_live (HelixStreamLink *self)
{
  self->live = TRUE;
  return HELIX_STREAM_LINK_LIVE;
}

/* We have a token, and the other end does not show that it has the same. */
static HelixStreamLinkEvent
lose_impostor (HelixStreamLink *self, const gchar *does)
{
  self->loud = TRUE;
  return helix_stream_link_lose (self, TRUE, GST_RESOURCE_ERROR_NOT_AUTHORIZED,
      "the other end %s, so it may be another program. Set the same "
      "token-file or token at helixguestsink there",
      does);
}

static HelixStreamLinkEvent
got_welcome (HelixStreamLink *self)
{
  const struct helix_reader *r = &self->reader;
  guint8 message[HELIX_MAX_MESSAGE];
  struct helix_welcome welcome;
  gchar name[HELIX_MAX_NAME + 1];
  gboolean proves;
  const gchar *why;

  if (!helix_unpack_welcome (&welcome, name, self->proof.challenge, r->payload,
          r->payload_size, &why))
    return lose_garbage (self, why);
  if (welcome.nonce != self->config.nonce)
    return lose_garbage (self, "WELCOME: the nonce is not ours");
  if (welcome.role != self->config.role || welcome.version < HELIX_VERSION_MIN
      || welcome.version > HELIX_VERSION_MAX)
    return lose_garbage (self, "WELCOME: role or version was not offered");
  proves = (welcome.features & HELIX_FEATURE_PROOF) != 0;
  if (proves && self->config.token == NULL)
    return lose_garbage (self, "WELCOME: PROOF was not offered");
  if (!proves && self->config.token != NULL)
    return lose_impostor (self, "does not ask for the token");
  GST_INFO ("%s: connected to '%s'", self->config.address, name);
  g_clear_error (&self->error);
  self->welcomed = TRUE;
  if (!proves)
    return go_live (self);
  self->proof.nonce = welcome.nonce;
  helix_stream_link_say (self, message,
      helix_proof_pack (
          message, HELIX_PROOF_CLIENT, self->config.token, &self->proof));
  return HELIX_STREAM_LINK_MORE;
}

static HelixStreamLinkEvent
got_proof (HelixStreamLink *self)
{
  const struct helix_reader *r = &self->reader;
  struct helix_proof proof;
  const gchar *why;

  if (!helix_unpack_proof (&proof, r->payload, r->payload_size, &why))
    return lose_garbage (self, why);
  if (!helix_proof_is_right (
          &proof, HELIX_PROOF_SERVER, self->config.token, &self->proof))
    return lose_impostor (self, "does not prove the token");
  return go_live (self);
}

static HelixStreamLinkEvent
got_error (HelixStreamLink *self)
{
  const struct helix_reader *r = &self->reader;
  gchar *text = self->refusal_text;
  struct helix_error error;
  GstResourceError code = GST_RESOURCE_ERROR_READ;
  gboolean fatal = FALSE;
  const gchar *why;

  if (!helix_unpack_error (&error, text, r->payload, r->payload_size, &why))
    return lose_garbage (self, why);
  if (!helix_error_is_fatal (error.code)) {
    GST_WARNING ("%s: the other end reports %s: %s", self->config.address,
        helix_error_name (error.code), text);
    self->refusal = error;
    return self->live ? HELIX_STREAM_LINK_REFUSED : HELIX_STREAM_LINK_MORE;
  }
  switch (error.code) {
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
  self->loud = TRUE;
  helix_stream_link_lose (self, fatal, code, "the other end refuses (%s): %s",
      helix_error_name (error.code), text);
  /* On a serial line it may be an answer to somebody before us: only if no
   * WELCOME follows was it meant for us. */
  return self->config.serial && !self->welcomed ? HELIX_STREAM_LINK_MORE
                                                : HELIX_STREAM_LINK_LOST;
}

/* A cursor without a shape, or the last byte of its shape. */
static HelixStreamLinkEvent
got_cursor (HelixStreamLink *self)
{
  const struct helix_reader *r = &self->reader;
  const gchar *why;

  if (self->mapped)
    gst_buffer_unmap (self->buffer, &self->map);
  else if (!helix_unpack_cursor (&self->cursor, r->payload, r->payload_size,
               r->header.size, &why))
    return lose_garbage (self, why);
  self->mapped = FALSE;
  return HELIX_STREAM_LINK_CURSOR;
}

static HelixStreamLinkEvent
got_message (HelixStreamLink *self, guint64 now)
{
  const struct helix_reader *r = &self->reader;
  guint8 message[HELIX_MAX_MESSAGE];
  gchar text[HELIX_MAX_TEXT + 1];
  struct helix_ping ping;
  struct helix_pong pong;
  struct helix_caps caps;
  struct helix_bye bye;
  const gchar *why;

  switch (r->header.type) {
    case HELIX_WELCOME:
      return self->welcomed ? lose_garbage (self, "WELCOME came twice")
                            : got_welcome (self);
    case HELIX_ERROR:
      return got_error (self);
    case HELIX_PING:
      if (!helix_unpack_ping (&ping, r->payload, r->payload_size, &why))
        return lose_garbage (self, why);
      helix_stream_link_say (self, message,
          helix_pack_pong_for (
              message, &r->header, r->payload, now, helix_now_ns ()));
      return HELIX_STREAM_LINK_MORE;
    case HELIX_PONG:
      if (!helix_unpack_pong (&pong, r->payload, r->payload_size, &why))
        return lose_garbage (self, why);
      if (r->payload_size > 0)
        helix_clock_offset_add (&self->clock, &pong, now);
      return HELIX_STREAM_LINK_MORE;
    case HELIX_BYE:
      if (!helix_unpack_bye (&bye, text, r->payload, r->payload_size, &why))
        return lose_garbage (self, why);
      GST_INFO (
          "%s: the other end said goodbye: %s", self->config.address, text);
      g_clear_error (&self->error);
      return HELIX_STREAM_LINK_LOST;
    default:
      break;
  }
  if (self->welcomed && !self->live && r->header.type == HELIX_PROOF)
    return got_proof (self);
  if (!self->live)
    return lose_unopened (self);

  switch (r->header.type) {
    case HELIX_CAPS:
      if (!helix_unpack_caps (&caps, r->payload, r->payload_size, &why))
        return lose_garbage (self, why);
      self->caps = caps;
      return HELIX_STREAM_LINK_CAPS;
    case HELIX_CURSOR:
      return got_cursor (self);
    default:
      helix_stream_link_say (self, message,
          helix_pack_unsupported (message, &r->header, self->unknown));
      return HELIX_STREAM_LINK_MORE;
  }
}

/* ---- units and shapes ---- */

/* Room for the bytes that follow the head. */
static HelixStreamLinkEvent
take_bulk (HelixStreamLink *self)
{
  guint32 size = self->reader.bulk_size;

  self->buffer = gst_buffer_new_allocate (NULL, size, NULL);
  if (self->buffer == NULL
      || !gst_buffer_map (self->buffer, &self->map, GST_MAP_WRITE)) {
    gst_clear_buffer (&self->buffer);
    self->loud = TRUE;
    return helix_stream_link_lose (self, TRUE, GST_RESOURCE_ERROR_NO_SPACE_LEFT,
        "no memory for a unit of %u bytes. Lower the bitrate, or give this "
        "machine more memory",
        size);
  }
  self->mapped = TRUE;
  helix_reader_bulk (&self->reader, self->map.data);
  return HELIX_STREAM_LINK_MORE;
}

/* A unit's head: decide whether it is wanted. */
static HelixStreamLinkEvent
got_unit_head (HelixStreamLink *self, guint64 now)
{
  const struct helix_reader *r = &self->reader;
  guint64 last = self->unit.sequence;
  const gchar *why;

  if (!helix_unpack_unit (
          &self->unit, r->payload, r->payload_size, r->header.size, &why))
    return lose_garbage (self, why);
  if (self->caps.caps_id == 0 || self->unit.caps_id != self->caps.caps_id)
    return lose_garbage (self, "UNIT: caps_id was not announced");
  if (self->have_last && self->unit.sequence <= last)
    return lose_garbage (self, "UNIT: sequence does not grow");

  if (self->have_last && self->unit.sequence != last + 1) {
    self->totals.lost += self->unit.sequence - last - 1;
    self->need_key = self->discont = TRUE;
  }
  if (self->unit.flags & HELIX_UNIT_DISCONT)
    self->discont = TRUE;
  self->have_last = TRUE;
  if (!self->need_key || (self->unit.flags & HELIX_UNIT_KEY))
    return take_bulk (self);
  self->skipped++;
  helix_stream_link_ask (self,
      self->totals.units == 0 ? HELIX_KEYFRAME_JOIN : HELIX_KEYFRAME_GAP, now);
  return HELIX_STREAM_LINK_MORE;
}

static HelixStreamLinkEvent
got_head (HelixStreamLink *self, guint64 now)
{
  const struct helix_reader *r = &self->reader;
  const gchar *why;

  if (!self->live)
    return lose_unopened (self);
  switch (r->header.type) {
    case HELIX_UNIT:
      return got_unit_head (self, now);
    case HELIX_CURSOR:
      if (!helix_unpack_cursor (
              &self->cursor, r->payload, r->payload_size, r->header.size, &why))
        return lose_garbage (self, why);
      return take_bulk (self);
    default:
      return lose_garbage (self, "it sends frames, not units");
  }
}

static HelixStreamLinkEvent
got_unit (HelixStreamLink *self, guint64 now)
{
  if (!self->mapped)
    return HELIX_STREAM_LINK_MORE; /* it was skipped */
  gst_buffer_unmap (self->buffer, &self->map);
  self->mapped = FALSE;
  self->need_key = FALSE;
  self->received_ns = now;
  self->waited_for = self->waiting;
  self->waiting = FALSE;
  self->totals.units++;
  self->totals.bytes += self->map.size;
  self->totals.last_sequence = self->unit.sequence;
  if (self->unit.flags & HELIX_UNIT_KEY) {
    self->totals.keyframes++;
    if (self->ask_reason != HELIX_KEYFRAME_ASKED)
      self->asking = FALSE; /* here it is */
  }
  return HELIX_STREAM_LINK_UNIT;
}

/* A serial port does not tell that the other end was killed, perhaps within a
 * unit. What comes in place of the unit's rest, after a pause, is its
 * successor's answer to our PING: "who are you?" */
static gboolean
is_successor (const HelixStreamLink *self, const uint8_t *bytes, gssize n)
{
  struct helix_header header;
  const char *why;

  return self->config.serial && self->live && n >= (gssize) HELIX_HEADER_SIZE
      && helix_unpack_header (&header, bytes, &why)
      && header.type == HELIX_ERROR;
}

HelixStreamLinkEvent
helix_stream_link_read (HelixStreamLink *self)
{
  gboolean middle = !helix_reader_idle (&self->reader);
  uint8_t *ptr;
  size_t len;
  guint64 now;
  gssize n;

  helix_reader_want (&self->reader, &ptr, &len);
  n = helix_transport_read (self->fd, ptr, len);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
    self->waiting = TRUE;
    return HELIX_STREAM_LINK_IDLE;
  }
  if (n <= 0) {
    /* Whoever refuses us says why before it closes. */
    if (self->error != NULL)
      return HELIX_STREAM_LINK_LOST;
    return helix_stream_link_lose (self, FALSE, GST_RESOURCE_ERROR_READ,
        "%s: %s. %s",
        self->live ? "the connection was lost"
                   : "the connection ended without an answer",
        n == 0 ? "the other end is gone" : g_strerror (errno),
        "Check that helixguestsink runs there");
  }

  now = helix_now_ns ();
  self->last_read = now;
  if (middle && is_successor (self, ptr, n)) {
    self->loud = TRUE;
    return helix_stream_link_lose (self, FALSE, GST_RESOURCE_ERROR_READ,
        "the other end began anew within a message");
  }
  switch (helix_reader_got (&self->reader, (size_t) n)) {
    case HELIX_READER_HEAD:
      return got_head (self, now);
    case HELIX_READER_ERROR:
      return lose_garbage (self, self->reader.why);
    case HELIX_READER_MESSAGE:
      return self->reader.header.type == HELIX_UNIT ? got_unit (self, now)
                                                    : got_message (self, now);
    case HELIX_READER_MORE:
      break;
  }
  return HELIX_STREAM_LINK_MORE;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-stream-link.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "helix-platform.h"
#include "helix-stream-debug.h"
#include "helix-transport-io.h"

#define GST_CAT_DEFAULT helix_stream_debug

#define MSECOND G_GUINT64_CONSTANT (1000000)

/* Without an answer to HELLO for so long, the link is given up. A serial
 * port is quickly opened again, and the far end may have come since. */
#define WELCOME_NS (3000 * MSECOND)
#define WELCOME_SERIAL_NS (1000 * MSECOND)

#define DEAD_NS (3000 * MSECOND)
#define PING_NS (1000 * MSECOND)
#define STATS_NS (1000 * MSECOND)

/* The clocks' offset is wanted soon after the start: PING comes faster. */
#define FAST_PINGS 8
#define FAST_PING_NS (50 * MSECOND)

#define ASK_NS (200 * MSECOND)

#define MAX_OUT (64 * 1024)

static HelixStreamLinkEvent G_GNUC_PRINTF (4, 5) lose (HelixStreamLink *self,
    gboolean fatal, GstResourceError code, const gchar *format, ...)
{
  g_autofree gchar *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  g_clear_error (&self->error);
  self->error =
      g_error_new (GST_RESOURCE_ERROR, code, "%s: %s.", self->address, text);
  self->fatal = fatal && !self->strangers;
  return HELIX_STREAM_LINK_LOST;
}

/* What arrived is not the stream protocol. */
static HelixStreamLinkEvent
lose_garbage (HelixStreamLink *self, const gchar *why)
{
  self->loud = TRUE;
  if (self->live)
    return lose (self, !self->serial, GST_RESOURCE_ERROR_READ,
        "the other end broke the protocol: %s. Use the same version of "
        "gst-helix at both ends",
        why);
  return lose (self, TRUE, GST_RESOURCE_ERROR_SETTINGS,
      "whoever answers there is no helixguestsink: %s. Check the address", why);
}

static void
say (HelixStreamLink *self, const guint8 *message, gsize size)
{
  /* All of ours can be said again later. */
  if (self->out->len - self->out_sent + size <= MAX_OUT)
    g_byte_array_append (self->out, message, (guint) size);
}

static void
say_hello (HelixStreamLink *self, const gchar *token)
{
  struct helix_hello hello = {
      .version_min = HELIX_VERSION_MIN,
      .version_max = HELIX_VERSION_MAX,
      .role = HELIX_ROLE_STREAM,
      .pid = (guint32) getpid (),
      .nonce = self->nonce,
  };
  guint8 message[HELIX_MAX_MESSAGE];

  if (self->serial) {
    /* Completes whatever a predecessor that was killed left half said. */
    static const guint8 pad[HELIX_HELLO_PAD];

    say (self, pad, sizeof pad);
  }
  say (self, message,
      helix_pack_hello (
          message, &hello, token, "helixsrc " HELIX_PACKAGE_VERSION));
}

HelixStreamLink *
helix_stream_link_new (gint fd, const gchar *address, gboolean serial,
    gboolean strangers, const gchar *token, guint64 now)
{
  HelixStreamLink *self = g_new0 (HelixStreamLink, 1);

  self->fd = fd;
  self->address = address;
  self->serial = serial;
  self->strangers = strangers;
  self->opened = self->last_read = now;
  self->nonce = (guint64) g_random_int () << 32 | g_random_int ();
  self->out = g_byte_array_new ();
  self->need_key = self->discont = TRUE;
  if (serial)
    helix_reader_scan (&self->reader, HELIX_WELCOME, self->nonce);
  else
    helix_reader_init (&self->reader);
  say_hello (self, token);
  return self;
}

static void
drop_unit (HelixStreamLink *self)
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
  drop_unit (self);
  close (self->fd);
  g_byte_array_unref (self->out);
  g_clear_error (&self->error);
  g_free (self);
}

/* ---- messages ---- */

static HelixStreamLinkEvent
got_welcome (HelixStreamLink *self)
{
  const struct helix_reader *r = &self->reader;
  struct helix_welcome welcome;
  gchar name[HELIX_MAX_NAME + 1];
  const gchar *why;

  if (!helix_unpack_welcome (&welcome, name, r->payload, r->payload_size, &why))
    return lose_garbage (self, why);
  if (welcome.nonce != self->nonce)
    return lose_garbage (self, "WELCOME: the nonce is not ours");
  if (welcome.role != HELIX_ROLE_STREAM || welcome.version < HELIX_VERSION_MIN
      || welcome.version > HELIX_VERSION_MAX)
    return lose_garbage (self, "WELCOME: role or version was not offered");
  GST_INFO ("%s: connected to '%s'", self->address, name);
  g_clear_error (&self->error);
  self->live = TRUE;
  return HELIX_STREAM_LINK_LIVE;
}

static HelixStreamLinkEvent
got_error (HelixStreamLink *self)
{
  const struct helix_reader *r = &self->reader;
  gchar text[HELIX_MAX_TEXT + 1];
  struct helix_error error;
  GstResourceError code = GST_RESOURCE_ERROR_READ;
  gboolean fatal = FALSE;
  const gchar *why;

  if (!helix_unpack_error (&error, text, r->payload, r->payload_size, &why))
    return lose_garbage (self, why);
  if (!helix_error_is_fatal (error.code)) {
    GST_WARNING ("%s: the other end reports %s: %s", self->address,
        helix_error_name (error.code), text);
    return HELIX_STREAM_LINK_MORE;
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
  lose (self, fatal, code, "the other end refuses (%s): %s",
      helix_error_name (error.code), text);
  /* On a serial line it may be an answer to somebody before us: only if no
   * WELCOME follows was it meant for us. */
  return self->serial && !self->live ? HELIX_STREAM_LINK_MORE
                                     : HELIX_STREAM_LINK_LOST;
}

static HelixStreamLinkEvent
got_message (HelixStreamLink *self, guint64 now)
{
  const struct helix_reader *r = &self->reader;
  guint8 message[HELIX_MAX_MESSAGE];
  gchar text[HELIX_MAX_TEXT + 1];
  struct helix_pong pong;
  struct helix_caps caps;
  struct helix_bye bye;
  const gchar *why;

  switch (r->header.type) {
    case HELIX_WELCOME:
      return self->live ? lose_garbage (self, "WELCOME came twice")
                        : got_welcome (self);
    case HELIX_ERROR:
      return got_error (self);
    case HELIX_PING:
      say (self, message,
          helix_pack_pong_for (
              message, &r->header, r->payload, now, helix_now_ns ()));
      return HELIX_STREAM_LINK_MORE;
    default:
      break;
  }
  if (!self->live)
    return lose_garbage (self, "its first message is not WELCOME");

  switch (r->header.type) {
    case HELIX_PONG:
      if (r->payload_size == 0)
        return HELIX_STREAM_LINK_MORE;
      if (!helix_unpack_pong (&pong, r->payload, r->payload_size, &why))
        return lose_garbage (self, why);
      helix_clock_offset_add (&self->clock, &pong, now);
      return HELIX_STREAM_LINK_MORE;
    case HELIX_BYE:
      if (!helix_unpack_bye (&bye, text, r->payload, r->payload_size, &why))
        return lose_garbage (self, why);
      GST_INFO ("%s: the other end said goodbye: %s", self->address, text);
      g_clear_error (&self->error);
      return HELIX_STREAM_LINK_LOST;
    case HELIX_CAPS:
      if (!helix_unpack_caps (&caps, r->payload, r->payload_size, &why))
        return lose_garbage (self, why);
      self->caps = caps;
      return HELIX_STREAM_LINK_CAPS;
    default:
      /* A later version may say more: harmless. */
      return HELIX_STREAM_LINK_MORE;
  }
}

/* ---- units ---- */

/* A unit's head: decide whether it is wanted, and make room. */
static HelixStreamLinkEvent
got_head (HelixStreamLink *self, guint64 now)
{
  const struct helix_reader *r = &self->reader;
  guint64 last = self->unit.sequence;
  const gchar *why;

  if (r->header.type != HELIX_UNIT || !self->live)
    return lose_garbage (self, "it sends frames, not units");
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
  if (self->need_key && !(self->unit.flags & HELIX_UNIT_KEY)) {
    helix_stream_link_ask (self,
        self->totals.units == 0 ? HELIX_KEYFRAME_JOIN : HELIX_KEYFRAME_GAP,
        now);
    return HELIX_STREAM_LINK_MORE;
  }

  self->buffer = gst_buffer_new_allocate (NULL, r->bulk_size, NULL);
  if (self->buffer == NULL
      || !gst_buffer_map (self->buffer, &self->map, GST_MAP_WRITE)) {
    gst_clear_buffer (&self->buffer);
    self->loud = TRUE;
    return lose (self, TRUE, GST_RESOURCE_ERROR_NO_SPACE_LEFT,
        "no memory for a unit of %u bytes. Lower the bitrate, or give this "
        "machine more memory",
        r->bulk_size);
  }
  self->mapped = TRUE;
  helix_reader_bulk (&self->reader, self->map.data);
  return HELIX_STREAM_LINK_MORE;
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
  self->totals.units++;
  self->totals.bytes += self->map.size;
  self->totals.last_sequence = self->unit.sequence;
  if (self->unit.flags & HELIX_UNIT_KEY)
    self->totals.keyframes++;
  return HELIX_STREAM_LINK_UNIT;
}

HelixStreamLinkEvent
helix_stream_link_read (HelixStreamLink *self)
{
  uint8_t *ptr;
  size_t len;
  guint64 now;
  gssize n;

  helix_reader_want (&self->reader, &ptr, &len);
  n = helix_transport_read (self->fd, ptr, len);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
    return HELIX_STREAM_LINK_IDLE;
  if (n <= 0) {
    /* Whoever refuses us says why before it closes. */
    if (self->error != NULL)
      return HELIX_STREAM_LINK_LOST;
    return lose (self, FALSE, GST_RESOURCE_ERROR_READ, "%s: %s. %s",
        self->live ? "the connection was lost"
                   : "the connection ended without an answer",
        n == 0 ? "the other end is gone" : g_strerror (errno),
        "Check that helixguestsink runs there");
  }

  now = helix_now_ns ();
  self->last_read = now;
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

/* ---- out ---- */

gboolean
helix_stream_link_pending (const HelixStreamLink *self)
{
  return self->out->len > self->out_sent;
}

void
helix_stream_link_flush (HelixStreamLink *self)
{
  while (helix_stream_link_pending (self)) {
    struct iovec iov = {.iov_base = self->out->data + self->out_sent,
        .iov_len = self->out->len - self->out_sent};
    gssize n = helix_transport_write (self->fd, &iov, 1);

    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
      return;
    if (n < 0)
      break;
    self->out_sent += (gsize) n;
  }
  g_byte_array_set_size (self->out, 0);
  self->out_sent = 0;
}

gboolean
helix_stream_link_ask (HelixStreamLink *self, guint32 reason, guint64 now)
{
  struct helix_keyframe keyframe = {.reason = reason,
      .last_sequence =
          self->totals.units > 0 ? self->totals.last_sequence : HELIX_NONE64};
  guint8 message[HELIX_MAX_MESSAGE];

  if (!self->live || now - self->last_asked < ASK_NS)
    return FALSE;
  self->last_asked = now;
  say (self, message, helix_pack_keyframe (message, &keyframe));
  return TRUE;
}

void
helix_stream_link_bye (HelixStreamLink *self)
{
  guint8 message[HELIX_MAX_MESSAGE];

  if (self->live)
    say (self, message,
        helix_pack_bye (message, HELIX_BYE_CLOSING, "helixsrc stops"));
  helix_stream_link_flush (self);
}

static guint64
tick_greeting (HelixStreamLink *self, guint64 now, guint64 awake)
{
  /* On a serial line the answer may come behind much that is old. */
  guint64 since = self->serial ? self->last_read : self->opened;
  guint64 limit = self->serial ? WELCOME_SERIAL_NS : WELCOME_NS;

  since = MAX (since, awake);
  if (now - since < limit)
    return since + limit;
  self->loud = TRUE;
  if (self->error == NULL)
    lose (self, FALSE, GST_RESOURCE_ERROR_NOT_FOUND,
        "connected, but nobody answers HELLO. Check that helixguestsink "
        "runs at the other end");
  return 0;
}

guint64
helix_stream_link_tick (HelixStreamLink *self, guint64 now, guint64 awake)
{
  guint64 since = MAX (self->last_read, awake);
  guint64 gap = self->pings < FAST_PINGS ? FAST_PING_NS : PING_NS;
  guint8 message[HELIX_MAX_MESSAGE];

  if (!self->live)
    return tick_greeting (self, now, awake);
  if (now - since >= DEAD_NS) {
    self->loud = TRUE;
    lose (self, FALSE, GST_RESOURCE_ERROR_READ,
        "nothing came for 3 s. Check that the other end still runs");
    return 0;
  }
  if (now - self->last_ping >= gap) {
    struct helix_ping ping = {.sent_ns = now};

    self->last_ping = now;
    self->pings++;
    if (!helix_stream_link_pending (self))
      say (self, message, helix_pack_ping (message, &ping));
    gap = self->pings < FAST_PINGS ? FAST_PING_NS : PING_NS;
  }
  if (now - self->last_stats >= STATS_NS
      && self->totals.units != self->told_units) {
    self->last_stats = now;
    self->told_units = self->totals.units;
    say (self, message, helix_pack_stats (message, &self->totals));
  }
  return MIN (since + DEAD_NS, self->last_ping + gap);
}

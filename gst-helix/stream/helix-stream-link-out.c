/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a link says, and when. */
#include "helix-stream-link-private.h"

#include <errno.h>
#include <unistd.h>

#include "helix-platform.h"
#include "helix-transport.h"

#define MSECOND G_GUINT64_CONSTANT (1000000)

/* Without an answer to HELLO for so long, the link is given up. A serial
 * port is quickly opened again, and the far end may have come since. */
#define WELCOME_NS (3000 * MSECOND)
#define WELCOME_SERIAL_NS (1000 * MSECOND)

#define DEAD_NS (3000 * MSECOND)
#define PING_NS (1000 * MSECOND)
/* On a serial port only an answer tells that the other end began anew. */
#define PING_SERIAL_NS (400 * MSECOND)
#define STATS_NS (1000 * MSECOND)

/* The clocks' offset is wanted soon after the start: PING comes faster. */
#define FAST_PINGS 8
#define FAST_PING_NS (50 * MSECOND)

#define ASK_NS (200 * MSECOND)

#define MAX_OUT (64 * 1024)

gboolean
helix_stream_link_say (HelixStreamLink *self, const guint8 *message, gsize size)
{
  if (self->out->len - self->out_sent + size > MAX_OUT)
    return FALSE;
  g_byte_array_append (self->out, message, (guint) size);
  return TRUE;
}

void
helix_stream_link_hello (HelixStreamLink *self)
{
  struct helix_hello hello = {
      .version_min = HELIX_VERSION_MIN,
      .version_max = HELIX_VERSION_MAX,
      .role = self->config.role,
      .features = self->config.token != NULL ? HELIX_FEATURE_PROOF : 0,
      .pid = (guint32) getpid (),
      .nonce = self->config.nonce,
  };
  guint8 message[HELIX_MAX_MESSAGE];

  if (self->config.serial) {
    /* Completes whatever a predecessor that was killed left half said. */
    static const guint8 pad[HELIX_HELLO_PAD];

    helix_stream_link_say (self, pad, sizeof pad);
  }
  helix_stream_link_say (
      self, message, helix_pack_hello (message, &hello, self->config.name));
}

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

/* ---- wishes ---- */

/* Sends the request that waits if its time has come; returns when that is. */
static guint64
ask_step (HelixStreamLink *self, guint64 now)
{
  struct helix_keyframe keyframe = {.reason = self->ask_reason,
      .last_sequence =
          self->totals.units > 0 ? self->totals.last_sequence : HELIX_NONE64};
  guint8 message[HELIX_MAX_MESSAGE];

  if (!self->asking || !self->live)
    return G_MAXUINT64;
  if (now - self->last_asked < ASK_NS)
    return self->last_asked + ASK_NS;
  self->last_asked = now;
  self->asking = !helix_stream_link_say (
      self, message, helix_pack_keyframe (message, &keyframe));
  return self->asking ? now + ASK_NS : G_MAXUINT64;
}

void
helix_stream_link_ask (HelixStreamLink *self, guint32 reason, guint64 now)
{
  /* What somebody asked for is not done with by the next best keyframe. */
  if (!self->asking || self->ask_reason != HELIX_KEYFRAME_ASKED)
    self->ask_reason = reason;
  self->asking = TRUE;
  ask_step (self, now);
}

gboolean
helix_stream_link_config (
    HelixStreamLink *self, const struct helix_config *config)
{
  guint8 message[HELIX_MAX_MESSAGE];

  return self->live && !helix_stream_link_pending (self)
      && helix_stream_link_say (
          self, message, helix_pack_config (message, config));
}

gboolean
helix_stream_link_show (
    HelixStreamLink *self, guint32 resource_id, guint64 capture_ns, guint64 now)
{
  struct helix_show show = {
      .resource_id = resource_id, .capture_ns = HELIX_NONE64};
  guint8 message[HELIX_MAX_MESSAGE];
  guint64 error;
  gint64 offset;

  if (!self->live || helix_stream_link_pending (self))
    return FALSE;
  if (capture_ns != HELIX_NONE64
      && helix_clock_offset_get (&self->clock, now, &offset, &error))
    show.capture_ns = capture_ns + (guint64) offset;
  return helix_stream_link_say (
      self, message, helix_pack_show (message, 0, &show));
}

void
helix_stream_link_bye (HelixStreamLink *self)
{
  guint8 message[HELIX_MAX_MESSAGE];

  if (self->live)
    helix_stream_link_say (self, message,
        helix_pack_bye (message, HELIX_BYE_CLOSING, "the program stops"));
  helix_stream_link_flush (self);
}

static guint64
tick_greeting (HelixStreamLink *self, guint64 now, guint64 awake)
{
  /* On a serial line the answer may come behind much that is old. */
  guint64 since = self->config.serial ? self->last_read : self->opened;
  guint64 limit = self->config.serial ? WELCOME_SERIAL_NS : WELCOME_NS;

  since = MAX (since, awake);
  if (now - since < limit)
    return since + limit;
  self->loud = TRUE;
  if (self->error == NULL)
    helix_stream_link_lose (self, FALSE, GST_RESOURCE_ERROR_NOT_FOUND,
        "connected, but %s gets no answer. Check that helixguestsink "
        "runs at the other end",
        self->welcomed ? "PROOF" : "HELLO");
  return 0;
}

static guint64
ping_gap (const HelixStreamLink *self)
{
  if (self->pings < FAST_PINGS)
    return FAST_PING_NS;
  return self->config.serial ? PING_SERIAL_NS : PING_NS;
}

guint64
helix_stream_link_tick (HelixStreamLink *self, guint64 now, guint64 awake)
{
  guint64 since = MAX (self->last_read, awake);
  guint64 gap = ping_gap (self);
  guint8 message[HELIX_MAX_MESSAGE];
  guint64 next;

  if (!self->live)
    return tick_greeting (self, now, awake);
  if (now - since >= DEAD_NS) {
    self->loud = TRUE;
    helix_stream_link_lose (self, FALSE, GST_RESOURCE_ERROR_READ,
        "nothing came for 3 s. Check that the other end still runs");
    return 0;
  }
  if (now - self->last_ping >= gap) {
    struct helix_ping ping = {.sent_ns = now};

    self->last_ping = now;
    self->pings++;
    if (!helix_stream_link_pending (self))
      helix_stream_link_say (self, message, helix_pack_ping (message, &ping));
    gap = ping_gap (self);
  }
  if (now - self->last_stats >= STATS_NS
      && self->totals.units != self->told_units) {
    self->last_stats = now;
    self->told_units = self->totals.units;
    helix_stream_link_say (
        self, message, helix_pack_stats (message, &self->totals));
  }
  next = MIN (since + DEAD_NS, self->last_ping + gap);
  return MIN (next, ask_step (self, now));
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What goes out to a client by itself: scanouts, pools, frames, cursors, and
 * what the display thread has to tell it.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "helix-platform.h"
#include "helix-session.h"

void
helix_session_send (
    struct helix_session *self, const uint8_t *message, size_t size)
{
  helix_outbox_push (&self->outbox, message, size);
}

void
helix_session_complain (struct helix_session *self, uint16_t channel,
    enum helix_error_code code, uint32_t refers, const char *format, ...)
{
  uint8_t message[HELIX_MAX_MESSAGE];
  char text[HELIX_MAX_TEXT + 1];
  va_list args;

  va_start (args, format);
  vsnprintf (text, sizeof text, format, args);
  va_end (args);
  helix_shim_log (self->shim, HELIX_LOG_INFO,
      "client %" G_GUINT64_FORMAT " (pid %ld), channel %u: %s: %s",
      self->number, (long) self->pid, channel, helix_error_name (code), text);
  helix_session_send (
      self, message, helix_pack_error (message, channel, code, refers, text));
}

void
helix_session_bye (struct helix_session *self, const char *why)
{
  uint8_t message[HELIX_MAX_MESSAGE];

  if (self->state == HELIX_SESSION_OPEN)
    helix_session_send (
        self, message, helix_pack_bye (message, HELIX_BYE_CLOSING, why));
}

/* Channel 0: every scanout once, then each that changed. */
static void
collect_scanouts (struct helix_session *self)
{
  struct helix_shim *shim = self->shim;
  struct helix_shim_scanout now[HELIX_MAX_SCANOUTS];
  uint8_t message[HELIX_MAX_MESSAGE];

  pthread_mutex_lock (&shim->lock);
  memcpy (now, shim->scanout, sizeof now);
  pthread_mutex_unlock (&shim->lock);
  for (uint32_t i = 0; i < shim->config.scanouts; i++) {
    const struct helix_surface *surface = &now[i].surface;
    struct helix_scanout scanout = {0};

    if (self->seen_any && self->seen[i] == now[i].serial)
      continue;
    self->seen[i] = now[i].serial;
    scanout.scanout = i;
    scanout.generation = now[i].generation;
    if (surface->resource_id) {
      scanout.flags = HELIX_SCANOUT_ENABLED;
      scanout.resource_id = surface->resource_id;
      scanout.width = surface->rect.width;
      scanout.height = surface->rect.height;
      scanout.fourcc = surface->fourcc;
    }
    helix_session_send (
        self, message, helix_pack_scanout (message, 0, &scanout));
  }
  self->seen_any = true;
}

/* Bytes of its slots, those that are on their way included. */
static uint64_t
pool_bytes (const struct helix_session *self, uint32_t except)
{
  uint64_t bytes = 0;

  for (uint32_t i = 0; i < HELIX_MAX_CHANNELS; i++) {
    const struct helix_subscription *sub = self->channel[i];

    if (i == except || !sub)
      continue;
    bytes += sub->memory ? sub->memory->total_size : 0;
    bytes += sub->coming ? sub->coming->total_size : 0;
  }
  return bytes;
}

/* Of all other sessions, however many there may be. */
static uint64_t
others_bytes (const struct helix_session *self)
{
  const GPtrArray *all = self->shim->sessions;
  uint64_t bytes = 0;

  for (guint i = 0; i < all->len; i++) {
    const struct helix_session *other = g_ptr_array_index (all, i);

    if (other != self)
      bytes += pool_bytes (other, HELIX_NONE32) + other->left_bytes;
  }
  return bytes;
}

/* A client that subscribes, or whose guest changes modes, and that does not
 * read: pool after pool would wait in its socket, and each keeps its memory. */
static bool
must_read_first (const struct helix_session *self, uint64_t bytes)
{
  return self->left_pools
      && (self->left_pools >= HELIX_MAX_LEFT_POOLS
          || bytes + self->left_bytes > HELIX_MAX_POOL_BYTES);
}

/* Memory to share, or, where none can be had, to send from. */
static void
reserve (
    struct helix_session *self, struct helix_subscription *sub, uint64_t wanted)
{
  sub->coming = helix_memory_new (sub->slots, wanted, sub->shared);
  if (sub->coming || !sub->shared)
    return;
  helix_shim_log (self->shim, HELIX_LOG_WARN,
      "no shared memory for client %" G_GUINT64_FORMAT
      " (%s): pixels are sent, which costs a copy more",
      self->number, strerror (errno));
  sub->coming = helix_memory_new (sub->slots, wanted, false);
}

static void
announce_pool (struct helix_session *self, struct helix_subscription *sub)
{
  struct helix_memory *memory = sub->coming;
  uint8_t message[HELIX_MAX_MESSAGE];
  struct helix_pool pool = {0};

  sub->coming = NULL;
  memory->id = ++self->last_pool;
  pool.pool_id = memory->id;
  pool.kind = memory->kind;
  pool.slots = memory->slots;
  pool.slot_size = memory->slot_size;
  pool.total_size = memory->total_size;
  helix_outbox_push_pool (&self->outbox, message,
      helix_pack_pool (message, sub->channel, &pool), memory);
  helix_session_leave_pool (self, sub);
  helix_subscription_attach (sub, memory);
}

/* false: not now. It is asked again at the session's next run, and whenever
 * something comes from the client, which PING sees to. */
static bool
provide_memory (struct helix_session *self, uint32_t index, uint64_t wanted)
{
  struct helix_subscription *sub = self->channel[index];
  uint64_t bytes = pool_bytes (self, index) + wanted * sub->slots;
  enum helix_fill fill = HELIX_FILL_FAILED;

  /* The guest changed modes meanwhile. */
  if (sub->coming && sub->coming->slot_size < wanted)
    helix_session_forget_coming (sub);
  if (!sub->coming) {
    if (bytes > HELIX_MAX_POOL_BYTES
        || bytes + others_bytes (self) > self->shim->config.max_memory)
      errno = EDQUOT;
    else if (must_read_first (self, bytes))
      return false;
    else
      reserve (self, sub, wanted);
  }
  if (sub->coming)
    fill = helix_memory_fill (sub->coming, &self->fill_budget);
  if (fill == HELIX_FILL_DONE) {
    announce_pool (self, sub);
    return true;
  }
  if (fill == HELIX_FILL_MORE) {
    self->shim->loop.wake_io (self->shim->loop_opaque);
    return false;
  }
  helix_session_complain (self, sub->channel, HELIX_ERROR_NO_MEMORY,
      HELIX_SUBSCRIBE,
      "no memory for %u slots of %" G_GUINT64_FORMAT " bytes: %s; no frames "
      "until the mode changes",
      sub->slots, wanted, strerror (errno));
  helix_session_forget_coming (sub);
  helix_subscription_attach (sub, NULL);
  return true;
}

/* Takes over the reference in `item`. */
static void
send_frame (struct helix_session *self, struct helix_subscription *sub,
    struct helix_due_item *item)
{
  struct helix_slot *slot = &item->memory->slot[item->slot];
  uint8_t message[HELIX_MAX_MESSAGE];
  size_t bulk = 0, size;

  slot->frame.sequence = ++sub->sequence;
  if (!sub->shared)
    bulk = (size_t) slot->frame.stride * slot->frame.height;
  size = helix_pack_frame (message, sub->channel, &slot->frame, slot->rects);
  if (sub->shared)
    helix_outbox_push (&self->outbox, message, size);
  else
    helix_outbox_push_pixels (
        &self->outbox, message, size, sub, item->memory, item->slot, bulk);
  if (helix_memory_unref (item->memory))
    helix_memory_free (item->memory);
  self->frames++;
  self->last_frame_ns = self->shim->last_frame_ns = helix_now_ns ();
  helix_count (self->shim, frames, 1);
}

static bool
collect_cursor (struct helix_session *self, struct helix_subscription *sub)
{
  uint8_t message[HELIX_MAX_MESSAGE];
  struct helix_cursor cursor;
  struct helix_shape *shape;
  uint32_t bulk;

  if (!helix_cursor_take (sub, &cursor, &shape))
    return false;
  bulk = shape ? shape->width * shape->height * 4 : 0;
  helix_outbox_push_cursor (&self->outbox, message,
      helix_pack_cursor (message, sub->channel, &cursor, bulk), sub, shape,
      bulk);
  helix_count (self->shim, cursors, 1);
  return true;
}

/* An ERROR that the display thread has for the client. */
static void
tell_error (struct helix_session *self, uint32_t index,
    const struct helix_due_item *item)
{
  struct helix_subscription *sub = self->channel[index];

  if (item->resource)
    helix_session_complain (self, sub->channel, item->error, item->refers,
        "resource %u: %s", item->resource, item->why);
  else
    helix_session_complain (
        self, sub->channel, item->error, item->refers, "%s", item->why);
  if (item->over)
    helix_session_close_channel (self, &self->channel[index]);
}

/* Moves one thing; false when nothing is due or there is no room. */
static bool
collect_one (struct helix_session *self, uint32_t index)
{
  struct helix_subscription *sub = self->channel[index];
  uint8_t message[HELIX_MAX_MESSAGE];
  struct helix_due_item item;

  if (!sub || helix_outbox_full (&self->outbox))
    return false;
  switch (helix_subscription_take (
      sub, sub->shared || !self->outbox.streaming, &item)) {
    case HELIX_DUE_SCANOUT:
      sub->answered = true;
      helix_session_send (self, message,
          helix_pack_scanout (message, sub->channel, &item.state));
      return true;
    case HELIX_DUE_ERROR:
      tell_error (self, index, &item);
      return true;
    case HELIX_DUE_MEMORY:
      return provide_memory (self, index, item.wanted)
          || collect_cursor (self, sub);
    case HELIX_DUE_FRAME:
      send_frame (self, sub, &item);
      return true;
    default:
      /* The guest went back to a size for which there is memory. */
      helix_session_forget_coming (sub);
      return collect_cursor (self, sub);
  }
}

/* SET_SCANOUTs that the screen's owner could not obey. */
static void
collect_refusals (struct helix_session *self)
{
  const char *why;
  uint32_t scanout;

  while (helix_wish_refused (self->shim, self->number, &scanout, &why))
    helix_session_complain (self, 0, HELIX_ERROR_UNSUPPORTED, HELIX_SET_SCANOUT,
        "scanout %u cannot be switched: %s", scanout, why);
}

void
helix_session_collect (struct helix_session *self)
{
  if (!helix_outbox_full (&self->outbox)) {
    collect_scanouts (self);
    collect_refusals (self);
  }
  for (uint32_t i = 0; i < HELIX_MAX_CHANNELS; i++)
    while (collect_one (self, i))
      ;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "helix-platform.h"
#include "helix-session.h"

static void
send_message (struct helix_session *self, const uint8_t *message, size_t size)
{
  helix_outbox_push (&self->outbox, message, size);
}

/* An ERROR that ends nothing. */
static void complain (struct helix_session *self, uint16_t channel,
    enum helix_error_code code, uint32_t refers, const char *format, ...)
    G_GNUC_PRINTF (5, 6);

static void
complain (struct helix_session *self, uint16_t channel,
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
  send_message (
      self, message, helix_pack_error (message, channel, code, refers, text));
}

/* ---- channels ---- */

static struct helix_subscription **
find_channel (struct helix_session *self, uint16_t channel)
{
  for (uint32_t i = 0; i < HELIX_MAX_CHANNELS; i++)
    if (self->channel[i] && self->channel[i]->channel == channel)
      return &self->channel[i];
  return NULL;
}

static struct helix_subscription **
free_channel (struct helix_session *self)
{
  for (uint32_t i = 0; i < HELIX_MAX_CHANNELS; i++)
    if (!self->channel[i])
      return &self->channel[i];
  return NULL;
}

static void
close_channel (struct helix_subscription **place)
{
  helix_subscription_close (*place);
  *place = NULL;
}

void
helix_session_close_channels (struct helix_session *self)
{
  for (uint32_t i = 0; i < HELIX_MAX_CHANNELS; i++)
    if (self->channel[i])
      close_channel (&self->channel[i]);
}

/* ---- messages ---- */

static void
on_hello (struct helix_session *self)
{
  const struct helix_reader *reader = &self->reader;
  struct helix_shim *shim = self->shim;
  uint8_t message[HELIX_MAX_MESSAGE];
  char token[HELIX_MAX_TOKEN + 1];
  struct helix_welcome welcome = {0};
  struct helix_hello hello;
  const char *why;

  if (self->state != HELIX_SESSION_NEW) {
    helix_session_fail (
        self, HELIX_ERROR_PROTOCOL, HELIX_HELLO, "HELLO came twice");
    return;
  }
  if (!helix_unpack_hello (&hello, token, self->name, reader->payload,
          reader->payload_size, &why)) {
    helix_session_fail (self, HELIX_ERROR_PROTOCOL, HELIX_HELLO, "%s", why);
    return;
  }
  if (hello.version_min > HELIX_VERSION_MAX
      || hello.version_max < HELIX_VERSION_MIN) {
    helix_session_fail (self, HELIX_ERROR_VERSION, HELIX_HELLO,
        "the client speaks versions %u-%u, %s speaks %u-%u; update the older "
        "one",
        hello.version_min, hello.version_max, shim->name, HELIX_VERSION_MIN,
        HELIX_VERSION_MAX);
    return;
  }
  if (hello.role != HELIX_ROLE_FRAMES) {
    helix_session_fail (self, HELIX_ERROR_ROLE, HELIX_HELLO,
        "this socket speaks the frame protocol (helixqemusrc), role %u was "
        "asked",
        hello.role);
    return;
  }
  self->state = HELIX_SESSION_OPEN;
  self->features = hello.features & HELIX_FEATURE_SHM;
  welcome.version = MIN (hello.version_max, HELIX_VERSION_MAX);
  welcome.scanouts = (uint16_t) shim->config.scanouts;
  welcome.role = HELIX_ROLE_FRAMES;
  welcome.features = self->features;
  welcome.pid = (uint32_t) getpid ();
  welcome.nonce = hello.nonce;
  send_message (
      self, message, helix_pack_welcome (message, &welcome, shim->name));
  helix_shim_log (shim, HELIX_LOG_INFO,
      "client %" G_GUINT64_FORMAT " (pid %ld, \"%s\") connected", self->number,
      (long) self->pid, self->name);
}

/* A loop of SUBSCRIBEs would be a loop of full readbacks. */
static bool
spend_token (struct helix_session *self)
{
  uint64_t now = helix_now_ns ();
  uint64_t earned = (now - self->tokens_ns) / HELIX_SUBSCRIBE_EVERY_NS;

  if (earned > 0) {
    self->tokens = (uint32_t) MIN (
        self->tokens + earned, (uint64_t) HELIX_SUBSCRIBE_BURST);
    self->tokens_ns = now;
  }
  if (self->tokens == 0)
    return false;
  self->tokens--;
  return true;
}

static const char *
scanout_list (uint16_t mask, char text[64])
{
  size_t n = 0;

  text[0] = '\0';
  for (uint32_t i = 0; i < HELIX_MAX_SCANOUTS; i++) {
    uint32_t from = i;

    if (!(mask & 1u << i))
      continue;
    while (i + 1 < HELIX_MAX_SCANOUTS && mask & 1u << (i + 1))
      i++;
    n += (size_t) snprintf (text + n, 64 - n, from == i ? "%s%u" : "%s%u-%u",
        n ? "," : "", from, i);
  }
  return text;
}

static bool
may_subscribe (struct helix_session *self, uint16_t channel,
    const struct helix_subscribe *wish)
{
  const struct helix_shim_config *config = &self->shim->config;
  uint16_t known = (uint16_t) ((1u << config->scanouts) - 1);
  char list[64];

  if (channel == 0) {
    complain (self, channel, HELIX_ERROR_LIMIT, HELIX_SUBSCRIBE,
        "channel 0 belongs to the connection; choose one of 1-65535");
    return false;
  }
  if (wish->scanout != HELIX_NONE32 && wish->scanout >= config->scanouts) {
    complain (self, channel, HELIX_ERROR_NO_SCANOUT, HELIX_SUBSCRIBE,
        "scanout %u does not exist; this VM has scanout%s %s", wish->scanout,
        config->scanouts > 1 ? "s" : "", scanout_list (known, list));
    return false;
  }
  if (wish->scanout != HELIX_NONE32
      && !(config->scanout_mask & 1u << wish->scanout)) {
    complain (self, channel, HELIX_ERROR_NO_SCANOUT, HELIX_SUBSCRIBE,
        "scanout %u is not exported; the VM was told to export %s",
        wish->scanout, scanout_list (config->scanout_mask & known, list));
    return false;
  }
  if (!spend_token (self)) {
    complain (self, channel, HELIX_ERROR_LIMIT, HELIX_SUBSCRIBE,
        "too many SUBSCRIBEs; wait a second");
    return false;
  }
  return true;
}

static void
on_subscribe (struct helix_session *self)
{
  const struct helix_reader *reader = &self->reader;
  uint16_t channel = reader->header.channel;
  struct helix_subscription **place;
  struct helix_subscribe wish;
  const char *why;

  if (!helix_unpack_subscribe (
          &wish, reader->payload, reader->payload_size, &why)) {
    helix_session_fail (self, HELIX_ERROR_PROTOCOL, HELIX_SUBSCRIBE, "%s", why);
    return;
  }
  if (!may_subscribe (self, channel, &wish))
    return;
  place = find_channel (self, channel);
  if (place)
    close_channel (place);
  else
    place = free_channel (self);
  if (!place) {
    complain (self, channel, HELIX_ERROR_LIMIT, HELIX_SUBSCRIBE,
        "%u subscriptions on one connection are the limit", HELIX_MAX_CHANNELS);
    return;
  }
  *place = helix_subscription_new (self->shim, channel, &wish,
      self->features & HELIX_FEATURE_SHM
          && !(wish.flags & HELIX_SUBSCRIBE_INLINE));
}

static void
on_release (struct helix_session *self)
{
  const struct helix_reader *reader = &self->reader;
  struct helix_subscription **place =
      find_channel (self, reader->header.channel);
  struct helix_release release;
  const char *why;

  if (!helix_unpack_release (
          &release, reader->payload, reader->payload_size, &why)) {
    helix_session_fail (self, HELIX_ERROR_PROTOCOL, HELIX_RELEASE, "%s", why);
    return;
  }
  if (release.pool_id == 0 || release.pool_id > self->last_pool) {
    helix_session_fail (self, HELIX_ERROR_PROTOCOL, HELIX_RELEASE,
        "RELEASE names pool %u, which was never announced", release.pool_id);
    return;
  }
  if (place
      && helix_subscription_release (*place, &release) == HELIX_RELEASE_INVALID)
    helix_session_fail (self, HELIX_ERROR_PROTOCOL, HELIX_RELEASE,
        "RELEASE names slot %u of pool %u, which the client does not hold",
        release.slot, release.pool_id);
}

static void
on_ping (struct helix_session *self)
{
  const struct helix_reader *reader = &self->reader;
  uint8_t message[HELIX_MAX_MESSAGE];
  struct helix_ping ping;
  const char *why;

  if (reader->payload_size
      && !helix_unpack_ping (
          &ping, reader->payload, reader->payload_size, &why)) {
    helix_session_fail (self, HELIX_ERROR_PROTOCOL, HELIX_PING, "%s", why);
    return;
  }
  send_message (self, message,
      helix_pack_pong_for (message, &reader->header, reader->payload,
          self->heard_ns, helix_now_ns ()));
}

static void
on_end (struct helix_session *self)
{
  helix_shim_log (self->shim, HELIX_LOG_INFO,
      "client %" G_GUINT64_FORMAT " (pid %ld) said good-bye", self->number,
      (long) self->pid);
  helix_session_end (self, false);
}

static void
on_error (struct helix_session *self)
{
  char text[HELIX_MAX_TEXT + 1];
  struct helix_error error;
  const char *why;

  if (!helix_unpack_error (&error, text, self->reader.payload,
          self->reader.payload_size, &why)) {
    helix_session_fail (self, HELIX_ERROR_PROTOCOL, HELIX_ERROR, "%s", why);
    return;
  }
  helix_shim_log (self->shim, HELIX_LOG_WARN,
      "client %" G_GUINT64_FORMAT " (pid %ld) reports: %s: %s", self->number,
      (long) self->pid, helix_error_name (error.code), text);
  if (helix_error_is_fatal (error.code))
    helix_session_end (self, false);
}

/* Types that only a server of the frame protocol sends. */
static bool
is_servers (uint8_t type)
{
  return type == HELIX_WELCOME || type == HELIX_SCANOUT || type == HELIX_POOL
      || type == HELIX_FRAME;
}

static bool
is_for_open_session (uint8_t type)
{
  return type == HELIX_SUBSCRIBE || type == HELIX_UNSUBSCRIBE
      || type == HELIX_RELEASE;
}

void
helix_session_dispatch (struct helix_session *self)
{
  uint8_t type = self->reader.header.type;
  uint16_t channel = self->reader.header.channel;
  struct helix_subscription **place;

  if (is_servers (type)) {
    helix_session_fail (self, HELIX_ERROR_PROTOCOL, type,
        "%s is for the server to say", helix_type_name (type));
    return;
  }
  if (is_for_open_session (type) && self->state != HELIX_SESSION_OPEN) {
    helix_session_fail (self, HELIX_ERROR_PROTOCOL, type, "%s before HELLO",
        helix_type_name (type));
    return;
  }
  switch (type) {
    case HELIX_PING:
      on_ping (self);
      break;
    case HELIX_PONG:
      break; /* heard_ns has it */
    case HELIX_HELLO:
      on_hello (self);
      break;
    case HELIX_BYE:
      on_end (self);
      break;
    case HELIX_ERROR:
      on_error (self);
      break;
    case HELIX_SUBSCRIBE:
      on_subscribe (self);
      break;
    case HELIX_UNSUBSCRIBE:
      place = find_channel (self, channel);
      if (place)
        close_channel (place);
      break;
    case HELIX_RELEASE:
      on_release (self);
      break;
    default:
      complain (self, channel, HELIX_ERROR_UNSUPPORTED, type,
          "messages of type 0x%02x are not spoken here", type);
      break;
  }
}

/* ---- what goes out by itself ---- */

void
helix_session_bye (struct helix_session *self)
{
  uint8_t message[HELIX_MAX_MESSAGE];

  if (self->state == HELIX_SESSION_OPEN)
    send_message (self, message,
        helix_pack_bye (
            message, HELIX_BYE_CLOSING, "the server is closing down"));
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
    send_message (self, message, helix_pack_scanout (message, 0, &scanout));
  }
  self->seen_any = true;
}

static uint64_t
pool_bytes (const struct helix_session *self, uint32_t except)
{
  uint64_t bytes = 0;

  for (uint32_t i = 0; i < HELIX_MAX_CHANNELS; i++)
    if (i != except && self->channel[i] && self->channel[i]->memory)
      bytes += self->channel[i]->memory->total_size;
  return bytes;
}

/* Memory to share, or, where none can be had, to send from. */
static struct helix_memory *
new_memory (
    struct helix_session *self, struct helix_subscription *sub, uint64_t wanted)
{
  uint32_t id = self->last_pool + 1;
  struct helix_memory *memory =
      helix_memory_new (id, sub->slots, wanted, sub->shared);

  if (memory || !sub->shared)
    return memory;
  helix_shim_log (self->shim, HELIX_LOG_WARN,
      "no shared memory for client %" G_GUINT64_FORMAT
      " (%s): pixels are sent, which costs a copy more",
      self->number, strerror (errno));
  return helix_memory_new (id, sub->slots, wanted, false);
}

static void
provide_memory (struct helix_session *self, uint32_t index, uint64_t wanted)
{
  struct helix_subscription *sub = self->channel[index];
  uint8_t message[HELIX_MAX_MESSAGE];
  struct helix_pool pool = {0};
  struct helix_memory *memory = NULL;

  if (pool_bytes (self, index) + wanted * sub->slots > HELIX_MAX_POOL_BYTES)
    errno = EDQUOT;
  else
    memory = new_memory (self, sub, wanted);
  if (!memory) {
    complain (self, sub->channel, HELIX_ERROR_NO_MEMORY, HELIX_SUBSCRIBE,
        "no memory for %u slots of %" G_GUINT64_FORMAT " bytes: %s; no frames "
        "until the mode changes",
        sub->slots, wanted, strerror (errno));
    helix_subscription_attach (sub, NULL);
    return;
  }
  pool.pool_id = memory->id;
  pool.kind = memory->kind;
  pool.slots = memory->slots;
  pool.slot_size = memory->slot_size;
  pool.total_size = memory->total_size;
  self->last_pool = memory->id;
  helix_outbox_push_pool (&self->outbox, message,
      helix_pack_pool (message, sub->channel, &pool), memory);
  helix_subscription_attach (sub, memory);
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
  size = helix_pack_frame (
      message, sub->channel, &slot->frame, slot->rects, (uint32_t) bulk);
  if (sub->shared)
    helix_outbox_push (&self->outbox, message, size);
  else
    helix_outbox_push_pixels (
        &self->outbox, message, size, sub, item->memory, item->slot, bulk);
  if (helix_memory_unref (item->memory))
    helix_memory_free (item->memory);
  helix_count (self->shim, frames, 1);
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
      send_message (self, message,
          helix_pack_scanout (message, sub->channel, &item.state));
      return true;
    case HELIX_DUE_ERROR:
      complain (
          self, sub->channel, item.error, HELIX_SUBSCRIBE, "%s", item.why);
      if (item.over)
        close_channel (&self->channel[index]);
      return true;
    case HELIX_DUE_MEMORY:
      provide_memory (self, index, item.wanted);
      return true;
    case HELIX_DUE_FRAME:
      send_frame (self, sub, &item);
      return true;
    default:
      return false;
  }
}

void
helix_session_collect (struct helix_session *self)
{
  if (!helix_outbox_full (&self->outbox))
    collect_scanouts (self);
  for (uint32_t i = 0; i < HELIX_MAX_CHANNELS; i++)
    while (collect_one (self, i))
      ;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "helix-platform.h"
#include "helix-session.h"
#include "helix-show.h"

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

void
helix_session_leave_pool (
    struct helix_session *self, const struct helix_subscription *sub)
{
  if (!sub->memory)
    return;
  self->left_pools++;
  self->left_bytes += sub->memory->total_size;
}

void
helix_session_forget_coming (struct helix_subscription *sub)
{
  if (sub->coming && helix_memory_unref (sub->coming))
    helix_memory_free (sub->coming);
  sub->coming = NULL;
}

void
helix_session_close_channel (
    struct helix_session *self, struct helix_subscription **place)
{
  helix_session_leave_pool (self, *place);
  helix_session_forget_coming (*place);
  self->dropped += helix_subscription_dropped (*place);
  helix_subscription_close (*place);
  *place = NULL;
}

void
helix_session_close_channels (struct helix_session *self)
{
  for (uint32_t i = 0; i < HELIX_MAX_CHANNELS; i++)
    if (self->channel[i])
      helix_session_close_channel (self, &self->channel[i]);
}

/* ---- messages ---- */

static void
on_hello (struct helix_session *self)
{
  const struct helix_reader *reader = &self->reader;
  struct helix_shim *shim = self->shim;
  uint8_t message[HELIX_MAX_MESSAGE];
  struct helix_welcome welcome = {0};
  struct helix_hello hello;
  const char *why;

  if (self->state != HELIX_SESSION_NEW) {
    helix_session_fail (
        self, HELIX_ERROR_PROTOCOL, HELIX_HELLO, "HELLO came twice");
    return;
  }
  if (!helix_unpack_hello (
          &hello, self->name, reader->payload, reader->payload_size, &why)) {
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
  self->told_pid = hello.pid;
  welcome.version = MIN (hello.version_max, HELIX_VERSION_MAX);
  welcome.scanouts = (uint16_t) shim->config.scanouts;
  welcome.role = HELIX_ROLE_FRAMES;
  welcome.features = self->features;
  welcome.pid = (uint32_t) getpid ();
  welcome.nonce = hello.nonce;
  helix_session_send (
      self, message, helix_pack_welcome (message, &welcome, shim->name, NULL));
  helix_shim_log (shim, HELIX_LOG_INFO,
      "client %" G_GUINT64_FORMAT " (pid %ld, \"%s\") connected", self->number,
      (long) self->pid, self->name);
}

bool
helix_session_spend (
    struct helix_bucket *bucket, uint32_t burst, uint64_t every_ns)
{
  uint64_t now = helix_now_ns ();
  uint64_t earned = (now - bucket->time_ns) / every_ns;

  if (earned > 0) {
    bucket->tokens = (uint32_t) MIN (bucket->tokens + earned, (uint64_t) burst);
    bucket->time_ns = now;
  }
  if (bucket->tokens == 0)
    return false;
  bucket->tokens--;
  return true;
}

/* A loop of SUBSCRIBEs would be a loop of full readbacks, one of SET_SCANOUTs
 * a guest that does nothing else. */
static bool
spend_token (struct helix_session *self, uint16_t channel, uint32_t type)
{
  if (helix_session_spend (
          &self->subscribes, HELIX_SUBSCRIBE_BURST, HELIX_SUBSCRIBE_EVERY_NS))
    return true;
  helix_session_complain (self, channel, HELIX_ERROR_LIMIT, type,
      "too many %ss; wait a second", helix_type_name (type));
  return false;
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

/* Whether this VM has it, and lets it be seen. */
static bool
check_scanout (struct helix_session *self, uint16_t channel, uint32_t type,
    uint32_t scanout)
{
  const struct helix_shim_config *config = &self->shim->config;
  uint16_t known = (uint16_t) ((1u << config->scanouts) - 1);
  char list[64];

  if (scanout >= config->scanouts) {
    helix_session_complain (self, channel, HELIX_ERROR_NO_SCANOUT, type,
        "scanout %u does not exist; this VM has scanout%s %s", scanout,
        config->scanouts > 1 ? "s" : "", scanout_list (known, list));
    return false;
  }
  if (!(config->scanout_mask & 1u << scanout)) {
    helix_session_complain (self, channel, HELIX_ERROR_NO_SCANOUT, type,
        "scanout %u is not exported; the VM was told to export %s", scanout,
        scanout_list (config->scanout_mask & known, list));
    return false;
  }
  return true;
}

static bool
may_subscribe (struct helix_session *self, uint16_t channel,
    const struct helix_subscribe *wish)
{
  if (channel == 0) {
    helix_session_complain (self, channel, HELIX_ERROR_LIMIT, HELIX_SUBSCRIBE,
        "channel 0 belongs to the connection; choose one of 1-65535");
    return false;
  }
  if (wish->scanout != HELIX_NONE32
      && !check_scanout (self, channel, HELIX_SUBSCRIBE, wish->scanout))
    return false;
  return spend_token (self, channel, HELIX_SUBSCRIBE);
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
    helix_session_close_channel (self, place);
  else
    place = free_channel (self);
  if (!place) {
    helix_session_complain (self, channel, HELIX_ERROR_LIMIT, HELIX_SUBSCRIBE,
        "%u subscriptions on one connection are the limit", HELIX_MAX_CHANNELS);
    return;
  }
  *place = helix_subscription_new (self->shim, channel, &wish,
      self->features & HELIX_FEATURE_SHM
          && !(wish.flags & HELIX_SUBSCRIBE_INLINE));
}

static void
on_unsubscribe (struct helix_session *self)
{
  struct helix_subscription **place =
      find_channel (self, self->reader.header.channel);

  if (place)
    helix_session_close_channel (self, place);
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
on_set_scanout (struct helix_session *self)
{
  const struct helix_reader *reader = &self->reader;
  struct helix_shim *shim = self->shim;
  struct helix_set_scanout set;
  const char *why;
  char size[32] = "off";

  if (!helix_unpack_set_scanout (
          &set, reader->payload, reader->payload_size, &why)) {
    helix_session_fail (
        self, HELIX_ERROR_PROTOCOL, HELIX_SET_SCANOUT, "%s", why);
    return;
  }
  if (!check_scanout (self, 0, HELIX_SET_SCANOUT, set.scanout)
      || !spend_token (self, 0, HELIX_SET_SCANOUT))
    return;
  if (!shim->display.set_scanout) {
    helix_session_complain (self, 0, HELIX_ERROR_UNSUPPORTED, HELIX_SET_SCANOUT,
        "%s cannot switch scanouts on or off; let the guest do it", shim->name);
    return;
  }
  if (set.width)
    snprintf (size, sizeof size, "at %ux%u", set.width, set.height);
  helix_shim_log (shim, HELIX_LOG_INFO,
      "client %" G_GUINT64_FORMAT " (pid %ld) wants scanout %u %s",
      self->number, (long) self->pid, set.scanout, size);
  helix_wish_store (shim, &set, self->number);
}

static void
on_show (struct helix_session *self)
{
  const struct helix_reader *reader = &self->reader;
  uint16_t channel = reader->header.channel;
  struct helix_subscription **place = find_channel (self, channel);
  struct helix_show show;
  const char *why;

  if (!helix_unpack_show (&show, reader->payload, reader->payload_size, &why))
    helix_session_fail (self, HELIX_ERROR_PROTOCOL, HELIX_SHOW, "%s", why);
  else if (place)
    helix_show_store (*place, &show);
  else
    helix_session_complain (self, channel, HELIX_ERROR_NO_RESOURCE, HELIX_SHOW,
        "resource %u: channel %u has no subscription that could show it; "
        "SUBSCRIBE first",
        show.resource_id, channel);
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
  helix_session_send (self, message,
      helix_pack_pong_for (message, &reader->header, reader->payload,
          self->heard_ns, helix_now_ns ()));
}

/* That it came is noted already (heard_ns); nothing else is wanted of it. */
static void
on_pong (struct helix_session *self)
{
  const struct helix_reader *reader = &self->reader;
  struct helix_pong pong;
  const char *why;

  if (!helix_unpack_pong (&pong, reader->payload, reader->payload_size, &why))
    helix_session_fail (self, HELIX_ERROR_PROTOCOL, HELIX_PONG, "%s", why);
}

static void
on_bye (struct helix_session *self)
{
  const struct helix_reader *reader = &self->reader;
  char text[HELIX_MAX_TEXT + 1];
  struct helix_bye bye;
  const char *why;

  if (!helix_unpack_bye (
          &bye, text, reader->payload, reader->payload_size, &why)) {
    helix_session_fail (self, HELIX_ERROR_PROTOCOL, HELIX_BYE, "%s", why);
    return;
  }
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
      || type == HELIX_FRAME || type == HELIX_CURSOR || type == HELIX_STATUS
      || type == HELIX_CLIENT;
}

static bool
is_for_open_session (uint8_t type)
{
  return type == HELIX_SUBSCRIBE || type == HELIX_UNSUBSCRIBE
      || type == HELIX_RELEASE || type == HELIX_LIST
      || type == HELIX_SET_SCANOUT || type == HELIX_SHOW;
}

void
helix_session_dispatch (struct helix_session *self)
{
  uint8_t type = self->reader.header.type;

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
      on_pong (self);
      break;
    case HELIX_HELLO:
      on_hello (self);
      break;
    case HELIX_BYE:
      on_bye (self);
      break;
    case HELIX_ERROR:
      on_error (self);
      break;
    case HELIX_SUBSCRIBE:
      on_subscribe (self);
      break;
    case HELIX_UNSUBSCRIBE:
      on_unsubscribe (self);
      break;
    case HELIX_RELEASE:
      on_release (self);
      break;
    case HELIX_LIST:
      helix_session_list (self);
      break;
    case HELIX_SET_SCANOUT:
      on_set_scanout (self);
      break;
    case HELIX_SHOW:
      on_show (self);
      break;
    default:
      helix_session_complain (self, self->reader.header.channel,
          HELIX_ERROR_UNSUPPORTED, type,
          "messages of type 0x%02x are not spoken here", type);
      break;
  }
}

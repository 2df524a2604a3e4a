/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Io thread. */
#include "helix-shim-client.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "helix-platform.h"

/* Reads a client may keep the io thread with before the others get a turn. */
#define READS_AT_ONCE 64
/* CLIENTs of one answer to LIST: 28 KiB at most, so that it fits the queue. */
#define MOST_LISTED 128u

#define CLIENT "client %" G_GUINT64_FORMAT " (pid %ld)"
#define CLIENT_ARGS(client) (client)->number, (long) (client)->pid

/* ---- the connection ---- */

bool
helix_shim_client_is_open (const struct helix_shim_client *self)
{
  return self->server.state == HELIX_SERVER_OPEN && !self->closing_ns
      && !self->dead;
}

bool
helix_shim_client_is_full (const struct helix_shim_client *self)
{
  return self->out.writer.bytes[HELIX_WRITER_CONTROL] >= HELIX_SHIM_QUEUE_LIMIT;
}

/* Nothing that comes after the end counts. And reading stops while the client
 * does not take its answers: what it still says waits in its own socket. */
static bool
may_read (const struct helix_shim_client *self)
{
  return !self->closing_ns && !self->dead && !helix_shim_client_is_full (self);
}

static void
on_ready (void *client)
{
  helix_shim_client_turn (client);
}

static void
update_watch (struct helix_shim_client *self)
{
  bool reading = may_read (self);
  bool writing = helix_writer_pending (&self->out.writer) && !self->dead;

  if (reading == self->watching_read && writing == self->watching_write)
    return;
  self->watching_read = reading;
  self->watching_write = writing;
  self->shim->loop.watch (self->shim->loop_opaque, self->out.fd,
      reading ? on_ready : NULL, writing ? on_ready : NULL, self);
}

/* Its callers up the stack still hold it: helix_shim_io_run frees it. */
static void
die (struct helix_shim_client *self)
{
  if (self->dead)
    return;
  self->dead = true;
  helix_shim_wake_io (self->shim);
}

/* Ends every turn: writes, and goes on with an end that has begun. Returns
 * false if the client has hung up. */
static bool
flush (struct helix_shim_client *self)
{
  bool good = self->dead || helix_shim_outbox_flush (&self->out);

  if (self->closing_ns && !helix_writer_pending (&self->out.writer))
    die (self);
  update_watch (self);
  return good;
}

static void
send_message (
    struct helix_shim_client *self, const uint8_t *message, size_t size)
{
  helix_shim_outbox_add (&self->out, message, size);
}

/* The last message that the client gets: a CURSOR would still come after it. */
static void
send_last (struct helix_shim_client *self, const uint8_t *message, size_t size)
{
  helix_writer_drop (&self->out.writer, HELIX_WRITER_CURSOR);
  send_message (self, message, size);
}

void
helix_shim_client_error (struct helix_shim_client *self, uint16_t channel,
    enum helix_error_code code, uint32_t refers, const char *format, ...)
{
  bool fatal = helix_error_is_fatal (code);
  uint8_t message[HELIX_MAX_MESSAGE];
  char text[HELIX_MAX_TEXT + 1];
  size_t size;
  va_list args;

  va_start (args, format);
  vsnprintf (text, sizeof text, format, args);
  va_end (args);
  size = helix_pack_error (message, fatal ? 0 : channel, code, refers, text);
  if (!fatal) {
    helix_shim_log (self->shim, HELIX_LOG_INFO, CLIENT ", channel %u: %s: %s",
        CLIENT_ARGS (self), channel, helix_error_name (code), text);
    send_message (self, message, size);
    return;
  }
  helix_shim_log (self->shim, HELIX_LOG_WARN, CLIENT " is disconnected: %s: %s",
      CLIENT_ARGS (self), helix_error_name (code), text);
  helix_shim_count (self->shim, refused, 1);
  send_last (self, message, size);
  if (!self->closing_ns)
    self->closing_ns = helix_now_ns ();
  helix_shim_wake_io (self->shim);
}

/* ---- channels ---- */

static struct helix_shim_subscription *
find_channel (const struct helix_shim_client *self, uint16_t number)
{
  for (uint32_t i = 0; i < HELIX_SHIM_MAX_CHANNELS; i++)
    if (self->channel[i] && self->channel[i]->number == number)
      return self->channel[i];
  return NULL;
}

static void
forget_coming (struct helix_shim_subscription *sub)
{
  helix_shim_memory_unref (sub->coming);
  sub->coming = NULL;
}

/* Its memory, if it has any, is about to go. */
static void
leave_pool (
    struct helix_shim_client *self, const struct helix_shim_subscription *sub)
{
  const struct helix_shim_memory *memory = sub->memory;

  if (!memory)
    return;
  self->unread_pools++;
  self->unread_bytes += memory->total_size;
}

/* CURSORs that wait may be of a channel that is closed now: those of the
 * others are made again. */
static void
drop_cursors (struct helix_shim_client *self)
{
  if (helix_writer_drop (&self->out.writer, HELIX_WRITER_CURSOR) == 0)
    return;
  for (uint32_t i = 0; i < HELIX_SHIM_MAX_CHANNELS; i++)
    if (self->channel[i])
      self->channel[i]->seen = (struct helix_shim_seen_cursor){0};
}

static void
close_channel (
    struct helix_shim_client *self, struct helix_shim_subscription *sub)
{
  for (uint32_t i = 0; i < HELIX_SHIM_MAX_CHANNELS; i++)
    if (self->channel[i] == sub)
      self->channel[i] = NULL;
  leave_pool (self, sub);
  self->dropped += __atomic_load_n (&sub->dropped, __ATOMIC_RELAXED);
  helix_shim_subscription_close (sub);
  drop_cursors (self);
}

static void
close_channels (struct helix_shim_client *self)
{
  for (uint32_t i = 0; i < HELIX_SHIM_MAX_CHANNELS; i++)
    if (self->channel[i])
      close_channel (self, self->channel[i]);
}

/* ---- messages ---- */

/* Of the ERROR to the message that is in the reader: SET_SCANOUT belongs to no
 * subscription. */
static uint16_t
error_channel (const struct helix_shim_client *self)
{
  const struct helix_header *header = &self->reader.header;

  return header->type == HELIX_SET_SCANOUT ? 0 : header->channel;
}

/* An ERROR to the message that is in the reader. */
#define refuse(self, code, ...) \
  helix_shim_client_error ((self), error_channel (self), (code), \
      (self)->reader.header.type, __VA_ARGS__)

/* A loop of SUBSCRIBEs would be a loop of full readbacks, one of SET_SCANOUTs
 * a guest that does nothing else. */
static bool
spend_token (struct helix_shim_client *self)
{
  if (helix_bucket_spend (&self->subscribes, HELIX_SHIM_SUBSCRIBE_BURST,
          HELIX_SHIM_SUBSCRIBE_EVERY_NS, helix_now_ns ()))
    return true;
  refuse (self, HELIX_ERROR_LIMIT, "too many %ss; wait a second",
      helix_type_name (self->reader.header.type));
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
check_scanout (struct helix_shim_client *self, uint32_t scanout)
{
  const struct helix_shim_config *config = &self->shim->config;
  uint16_t known = (uint16_t) ((1u << config->scanouts) - 1);
  char list[64];

  if (helix_shim_screen_exports (self->shim, scanout))
    return true;
  if (scanout >= config->scanouts)
    refuse (self, HELIX_ERROR_NO_SCANOUT,
        "scanout %u does not exist; this VM has scanout%s %s", scanout,
        config->scanouts > 1 ? "s" : "", scanout_list (known, list));
  else
    refuse (self, HELIX_ERROR_NO_SCANOUT,
        "scanout %u is not exported; the VM was told to export %s", scanout,
        scanout_list (config->scanout_mask & known, list));
  return false;
}

static void
on_subscribe (struct helix_shim_client *self,
    struct helix_shim_subscription *sub,
    const struct helix_subscribe *subscribe)
{
  uint16_t number = self->reader.header.channel;
  uint32_t i = 0;

  if (number == 0) {
    refuse (self, HELIX_ERROR_LIMIT,
        "channel 0 belongs to the connection; choose one of 1-65535");
    return;
  }
  if (subscribe->flags & HELIX_SUBSCRIBE_INLINE
      || !(self->server.hello.features & HELIX_FEATURE_SHM)) {
    refuse (self, HELIX_ERROR_UNSUPPORTED,
        "frames come in shared memory only; update the client");
    return;
  }
  if ((subscribe->scanout != HELIX_NONE32
          && !check_scanout (self, subscribe->scanout))
      || !spend_token (self))
    return;
  if (sub)
    close_channel (self, sub);
  while (i < HELIX_SHIM_MAX_CHANNELS && self->channel[i])
    i++;
  if (i == HELIX_SHIM_MAX_CHANNELS) {
    refuse (self, HELIX_ERROR_LIMIT,
        "%u subscriptions on one connection are the limit",
        HELIX_SHIM_MAX_CHANNELS);
    return;
  }
  self->channel[i] =
      helix_shim_subscription_new (self->shim, &self->out, number, subscribe);
}

static void
on_release (struct helix_shim_client *self, struct helix_shim_subscription *sub,
    const struct helix_release *release)
{
  if (release->pool_id == 0 || release->pool_id > self->last_pool)
    refuse (self, HELIX_ERROR_PROTOCOL,
        "RELEASE names pool %u, which was never announced", release->pool_id);
  else if (sub && !helix_shim_subscription_release (sub, release))
    refuse (self, HELIX_ERROR_PROTOCOL,
        "RELEASE names slot %u of pool %u, which the client does not hold",
        release->slot, release->pool_id);
}

static void
on_set_scanout (
    struct helix_shim_client *self, const struct helix_set_scanout *set)
{
  struct helix_shim *shim = self->shim;
  char size[32] = "off";

  if (!check_scanout (self, set->scanout) || !spend_token (self))
    return;
  if (!shim->display.set_scanout) {
    refuse (self, HELIX_ERROR_UNSUPPORTED,
        "%s cannot switch scanouts on or off; let the guest do it",
        shim->config.name);
    return;
  }
  if (set->width)
    snprintf (size, sizeof size, "at %ux%u", set->width, set->height);
  helix_shim_log (shim, HELIX_LOG_INFO,
      "client %" G_GUINT64_FORMAT " (pid %ld) asks for scanout %u %s",
      self->number, (long) self->pid, set->scanout, size);
  helix_shim_screen_request (shim, set, self->number);
}

static void
on_show (struct helix_shim_client *self, struct helix_shim_subscription *sub,
    const struct helix_show *show)
{
  if (sub)
    helix_shim_subscription_show (sub, show);
  else
    refuse (self, HELIX_ERROR_NO_RESOURCE,
        "resource %u: channel %u has no subscription that could show it; "
        "SUBSCRIBE first",
        show->resource_id, self->reader.header.channel);
}

/* ---- LIST ---- */

/* "scanouts: 0 1920x1080, 1 off", for a person. Returns: free with g_free. */
static char *
describe_scanouts (struct helix_shim *shim)
{
  struct helix_shim_scanout now[HELIX_MAX_SCANOUTS];
  GString *text = g_string_new (NULL);

  helix_shim_screen_get (shim, now);
  for (uint32_t i = 0; i < shim->config.scanouts; i++) {
    const struct helix_surface *surface = &now[i].surface;

    if (!helix_shim_screen_exports (shim, i))
      continue;
    g_string_append_printf (text, "%s%u ", text->len ? ", " : "scanouts: ", i);
    if (surface->resource_id)
      g_string_append_printf (
          text, "%ux%u", surface->rect.width, surface->rect.height);
    else
      g_string_append (text, "off");
  }
  return g_string_free (text, FALSE);
}

/* Clients that have said HELLO, `self` always among them. */
static GPtrArray *
open_clients (struct helix_shim_client *self)
{
  const GPtrArray *all = self->shim->clients;
  GPtrArray *open = g_ptr_array_new ();
  guint most = MOST_LISTED - 1;

  for (guint i = 0; i < all->len; i++) {
    struct helix_shim_client *client = g_ptr_array_index (all, i);

    most += client == self;
    if (client == self
        || (helix_shim_client_is_open (client) && open->len < most))
      g_ptr_array_add (open, client);
  }
  return open;
}

static uint64_t
age (uint64_t now, uint64_t then)
{
  if (!then)
    return HELIX_NONE64;
  return now > then ? now - then : 0; /* the display thread sends meanwhile */
}

static void
send_status (struct helix_shim_client *self, uint64_t now, uint32_t clients)
{
  struct helix_shim *shim = self->shim;
  const struct helix_shim_stats *stats = &shim->stats;
  uint8_t message[HELIX_MAX_MESSAGE];
  char *text = describe_scanouts (shim);
  struct helix_status status = {0};

  status.uptime_ns = now - shim->born_ns;
  status.frames = __atomic_load_n (&stats->frames, __ATOMIC_RELAXED);
  status.bytes = __atomic_load_n (&stats->readback_bytes, __ATOMIC_RELAXED);
  status.dropped = __atomic_load_n (&stats->no_credit, __ATOMIC_RELAXED);
  status.last_ns =
      age (now, __atomic_load_n (&shim->last_frame_ns, __ATOMIC_RELAXED));
  status.clients = clients;
  send_message (self, message, helix_pack_status (message, &status, text));
  g_free (text);
}

static void
send_client (struct helix_shim_client *self,
    const struct helix_shim_client *other, uint64_t now, uint32_t index)
{
  const struct helix_server *server = &other->server;
  uint8_t message[HELIX_MAX_MESSAGE];
  struct helix_client client = {0};

  client.index = index;
  client.flags = other == self ? HELIX_CLIENT_YOU : 0;
  client.pid = other->pid > 0 ? (uint32_t) other->pid : server->hello.pid;
  client.role = HELIX_ROLE_FRAMES;
  client.scanout = HELIX_NONE32;
  client.connected_ns = now - other->born_ns;
  client.frames = __atomic_load_n (&other->out.frames, __ATOMIC_RELAXED);
  client.dropped = other->dropped;
  /* The first subscription comes last, and is the one that is named. */
  for (uint32_t i = HELIX_SHIM_MAX_CHANNELS; i-- > 0;) {
    struct helix_shim_subscription *sub = other->channel[i];

    if (!sub)
      continue;
    client.scanout = sub->scanout;
    client.resource_id = __atomic_load_n (&sub->resource_id, __ATOMIC_RELAXED);
    client.dropped += __atomic_load_n (&sub->dropped, __ATOMIC_RELAXED);
  }
  client.received = HELIX_NONE64;
  client.latency_ns = HELIX_NONE64;
  client.last_ns =
      age (now, __atomic_load_n (&other->out.last_frame_ns, __ATOMIC_RELAXED));
  send_message (
      self, message, helix_pack_client (message, &client, server->name));
}

static void
on_list (struct helix_shim_client *self)
{
  uint64_t now = helix_now_ns ();
  GPtrArray *open = open_clients (self);

  send_status (self, now, open->len);
  for (guint i = 0; i < open->len; i++)
    send_client (self, g_ptr_array_index (open, i), now, i);
  g_ptr_array_free (open, TRUE);
}

static void
take_message (struct helix_shim_client *self)
{
  const struct helix_reader *reader = &self->reader;
  const uint8_t *payload = reader->payload;
  size_t size = reader->payload_size;
  struct helix_shim_subscription *sub =
      find_channel (self, reader->header.channel);
  union {
    struct helix_subscribe subscribe;
    struct helix_release release;
    struct helix_set_scanout set_scanout;
    struct helix_show show;
  } m;
  const char *why = NULL;

  switch (reader->header.type) {
    case HELIX_SUBSCRIBE:
      if (helix_unpack_subscribe (&m.subscribe, payload, size, &why))
        on_subscribe (self, sub, &m.subscribe);
      break;
    case HELIX_UNSUBSCRIBE:
      if (sub)
        close_channel (self, sub);
      break;
    case HELIX_RELEASE:
      if (helix_unpack_release (&m.release, payload, size, &why))
        on_release (self, sub, &m.release);
      break;
    case HELIX_SET_SCANOUT:
      if (helix_unpack_set_scanout (&m.set_scanout, payload, size, &why))
        on_set_scanout (self, &m.set_scanout);
      break;
    case HELIX_SHOW:
      if (helix_unpack_show (&m.show, payload, size, &why))
        on_show (self, sub, &m.show);
      break;
    default:
      on_list (self);
      break;
  }
  if (why)
    refuse (self, HELIX_ERROR_PROTOCOL, "%s", why);
}

/* ---- what all servers understand, and reading ---- */

static void
welcome (struct helix_shim_client *self)
{
  uint8_t message[HELIX_MAX_MESSAGE];

  send_message (self, message,
      helix_server_welcome (&self->server, message, self->shim->config.scanouts,
          (uint32_t) getpid (), self->shim->config.name, NULL));
  helix_shim_log (self->shim, HELIX_LOG_INFO, CLIENT " connected: \"%s\"",
      CLIENT_ARGS (self), self->server.name);
  helix_shim_wake_io (self->shim); /* the deadline is nearer now */
}

/* The message that is in the reader. */
static void
converse (struct helix_shim_client *self)
{
  struct helix_shim *shim = self->shim;
  struct helix_server_said said;

  switch (helix_server_take (
      &self->server, &self->reader, self->heard_ns, helix_now_ns (), &said)) {
    case HELIX_SERVER_ANSWER:
      send_message (self, said.answer, said.size);
      break;
    case HELIX_SERVER_REFUSE:
      helix_shim_client_error (
          self, said.channel, said.code, said.refers, "%s", said.text);
      break;
    case HELIX_SERVER_HELLO:
      welcome (self);
      break;
    case HELIX_SERVER_BYE:
      helix_shim_log (
          shim, HELIX_LOG_INFO, CLIENT " said good-bye", CLIENT_ARGS (self));
      die (self);
      break;
    case HELIX_SERVER_ERROR:
      helix_shim_log (shim, HELIX_LOG_WARN, CLIENT " reports: %s: %s",
          CLIENT_ARGS (self), helix_error_name (said.code), said.text);
      if (helix_error_is_fatal (said.code))
        die (self);
      break;
    case HELIX_SERVER_MESSAGE:
      take_message (self);
      break;
    case HELIX_SERVER_NOTHING:
    case HELIX_SERVER_PROOF:
    case HELIX_SERVER_PONG:
      break;
  }
}

/* Bytes for the reader. 0 = none now, or ever. */
static size_t
receive (struct helix_shim_client *self)
{
  uint8_t *at;
  size_t want;
  ssize_t n;

  helix_reader_want (&self->reader, &at, &want);
  do
    n = helix_recv (self->out.fd, at, want, NULL);
  while (n < 0 && errno == EINTR);
  if (n > 0) {
    self->heard_ns = helix_now_ns ();
    return (size_t) n;
  }
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
    return 0;
  if (n < 0 && errno == EPROTO) {
    helix_shim_client_error (self, 0, HELIX_ERROR_PROTOCOL, 0,
        "a descriptor came along, and none is due from a client");
    return 0;
  }
  /* Without BYE. A peer that never said a word does not count. */
  helix_shim_count (self->shim, lost, self->server.state == HELIX_SERVER_OPEN);
  die (self);
  return 0;
}

static void
read_messages (struct helix_shim_client *self)
{
  for (unsigned reads = 0; reads < READS_AT_ONCE && may_read (self); reads++) {
    size_t n = receive (self);

    if (n == 0)
      return;
    switch (helix_reader_got (&self->reader, n)) {
      case HELIX_READER_MORE:
      case HELIX_READER_HEAD: /* its bulk is dropped on the way */
        break;
      case HELIX_READER_MESSAGE:
        converse (self);
        break;
      case HELIX_READER_ERROR:
        helix_shim_client_error (self, 0, HELIX_ERROR_PROTOCOL,
            helix_reader_type (&self->reader), "%s", self->reader.why);
        break;
    }
  }
}

/* ---- deadlines ---- */

/* PING, or the end. */
static void
keep_deadlines (struct helix_shim_client *self, uint64_t now)
{
  uint8_t message[HELIX_MAX_MESSAGE];
  struct helix_ping ping = {now};

  if (self->dead || now < helix_shim_client_deadline (self))
    return;
  if (self->closing_ns) {
    die (self);
  } else if (self->server.state == HELIX_SERVER_NEW) {
    helix_shim_client_error (self, 0, HELIX_ERROR_TIMEOUT, 0,
        "no HELLO within %u s", (unsigned) (HELIX_SHIM_HELLO_NS / 1000000000u));
  } else if (now >= self->heard_ns + HELIX_SHIM_DEAD_NS) {
    helix_shim_client_error (self, 0, HELIX_ERROR_TIMEOUT, 0,
        "not a byte in %u s, though it was asked (PING)",
        (unsigned) (HELIX_SHIM_DEAD_NS / 1000000000u));
  } else {
    self->pinged_ns = now;
    send_message (self, message, helix_pack_ping (message, &ping));
  }
}

uint64_t
helix_shim_client_deadline (const struct helix_shim_client *self)
{
  if (self->closing_ns)
    return self->closing_ns + HELIX_SHIM_LINGER_NS;
  if (self->server.state == HELIX_SERVER_NEW)
    return self->born_ns + HELIX_SHIM_HELLO_NS;
  return MIN (self->heard_ns + HELIX_SHIM_DEAD_NS,
      MAX (self->heard_ns, self->pinged_ns) + HELIX_SHIM_IDLE_NS);
}

/* ---- memory ---- */

/* Bytes of its slots, and of slots that get their pages now. */
static uint64_t
channel_bytes (const struct helix_shim_subscription *sub)
{
  uint64_t bytes = 0;

  if (sub && sub->memory)
    bytes += sub->memory->total_size;
  if (sub && sub->coming)
    bytes += sub->coming->total_size;
  return bytes;
}

static uint64_t
pool_bytes (const struct helix_shim_client *self)
{
  uint64_t bytes = 0;

  for (uint32_t i = 0; i < HELIX_SHIM_MAX_CHANNELS; i++)
    bytes += channel_bytes (self->channel[i]);
  return bytes;
}

/* Of all other clients, however many there may be. */
static uint64_t
others_bytes (const struct helix_shim_client *self)
{
  const GPtrArray *all = self->shim->clients;
  uint64_t bytes = 0;

  for (guint i = 0; i < all->len; i++) {
    const struct helix_shim_client *other = g_ptr_array_index (all, i);

    if (other != self)
      bytes += pool_bytes (other) + other->unread_bytes;
  }
  return bytes;
}

/* Of slots that no client has any more, but a readback which is pending. */
static uint64_t
unowned_bytes (struct helix_shim *shim)
{
  uint64_t bytes;

  helix_shim_memory_free_unused (shim);
  bytes = __atomic_load_n (&shim->memory_bytes, __ATOMIC_RELAXED);
  for (guint i = 0; i < shim->clients->len; i++)
    bytes -= pool_bytes (g_ptr_array_index (shim->clients, i));
  return bytes;
}

/* Each unread POOL pins its memory: limit how many a client that does not read
 * can accumulate by subscribing, or by its guest's changes of mode. */
static bool
must_read_first (const struct helix_shim_client *self, uint64_t bytes)
{
  return self->unread_pools
      && (self->unread_pools >= HELIX_SHIM_MAX_UNREAD_POOLS
          || bytes + self->unread_bytes > HELIX_SHIM_MAX_POOL_BYTES);
}

/* All that was sent has been read, POOLs among it: before there is more. */
static void
note_read (struct helix_shim_client *self)
{
  if (self->unread_pools && !helix_writer_pending (&self->out.writer)
      && helix_send_queue (self->out.fd) == 0) {
    self->unread_pools = 0;
    self->unread_bytes = 0;
  }
}

static void
close_fd (void *opaque, void *data, bool sent)
{
  close (GPOINTER_TO_INT (data));
}

static void
send_pool (struct helix_shim_client *self, struct helix_shim_subscription *sub)
{
  struct helix_shim_memory *memory = sub->coming;
  struct helix_writer_extra extra = {.has_fd = true,
      .fd = memory->client_fd,
      .done = close_fd,
      .data = GINT_TO_POINTER (memory->client_fd)};
  uint8_t message[HELIX_MAX_MESSAGE];
  struct helix_pool pool = {0};

  sub->coming = NULL;
  memory->client_fd = -1;
  memory->id = ++self->last_pool;
  pool.pool_id = memory->id;
  pool.kind = helix_shm_is_sealed () ? HELIX_POOL_SEALED : HELIX_POOL_FILE;
  pool.slots = memory->slots;
  pool.slot_size = memory->slot_size;
  pool.total_size = memory->total_size;
  helix_writer_add (&self->out.writer, HELIX_WRITER_CONTROL, message,
      helix_pack_pool (message, sub->number, &pool), &extra);
  leave_pool (self, sub);
  helix_shim_subscription_attach (sub, memory);
}

/* false: not now. It is asked again at the client's next run, as when other
 * memory has come to its end, and whenever something comes from the client,
 * which PING sees to. */
static bool
provide_memory (struct helix_shim_client *self,
    struct helix_shim_subscription *sub, uint64_t wanted)
{
  struct helix_shim *shim = self->shim;
  uint32_t slots = sub->slots;
  uint64_t bytes = pool_bytes (self) - channel_bytes (sub) + wanted * slots;
  uint64_t all_bytes = bytes + others_bytes (self);

  /* The guest changed modes meanwhile. */
  if (sub->coming && sub->coming->slot_size < wanted)
    forget_coming (sub);
  if (!sub->coming) {
    if (bytes > HELIX_SHIM_MAX_POOL_BYTES
        || all_bytes > shim->config.max_memory)
      errno = EDQUOT;
    else if (must_read_first (self, bytes)
        || all_bytes + unowned_bytes (shim) > shim->config.max_memory)
      return false;
    else
      sub->coming = helix_shim_memory_new (shim, slots, wanted);
  }
  if (sub->coming && helix_shim_memory_fill (sub->coming, &self->fill_budget)) {
    if (sub->coming->filled < sub->coming->total_size) {
      helix_shim_wake_io (shim);
      return false;
    }
    send_pool (self, sub);
    return true;
  }
  helix_shim_client_error (self, sub->number, HELIX_ERROR_NO_MEMORY,
      HELIX_SUBSCRIBE,
      "no memory for %u slots of %" G_GUINT64_FORMAT " bytes: %s; no frames "
      "until the mode changes",
      slots, wanted, strerror (errno));
  forget_coming (sub);
  helix_shim_subscription_attach (sub, NULL);
  return true;
}

/* ---- what is pending ---- */

/* Channel 0: every scanout once, then each that changed. */
static void
send_scanouts (struct helix_shim_client *self)
{
  struct helix_shim *shim = self->shim;
  struct helix_shim_scanout now[HELIX_MAX_SCANOUTS];
  uint8_t message[HELIX_MAX_MESSAGE];

  helix_shim_screen_get (shim, now);
  for (uint32_t i = 0; i < shim->config.scanouts; i++) {
    struct helix_scanout state;

    if (self->seen[i] == now[i].serial + 1)
      continue;
    self->seen[i] = now[i].serial + 1;
    helix_shim_surface_describe (&now[i].surface, i, now[i].generation, &state);
    send_message (self, message, helix_pack_scanout (message, 0, &state));
  }
}

/* SET_SCANOUTs that the screen's owner refused. */
static void
send_refusals (struct helix_shim_client *self)
{
  const char *why;
  uint32_t scanout;

  while (
      helix_shim_screen_take_refusal (self->shim, self->number, &scanout, &why))
    helix_shim_client_error (self, 0, HELIX_ERROR_UNSUPPORTED,
        HELIX_SET_SCANOUT, "scanout %u cannot be switched: %s", scanout, why);
}

/* An ERROR that the display thread has for the client. */
static void
send_fault (struct helix_shim_client *self, struct helix_shim_subscription *sub,
    const struct helix_shim_item *item)
{
  const struct helix_shim_fault *fault = &item->fault;
  char about[32] = "";

  if (fault->resource)
    snprintf (about, sizeof about, "resource %u: ", fault->resource);
  helix_shim_client_error (
      self, sub->number, fault->code, fault->refers, "%s%s", about, fault->why);
  if (fault->over)
    close_channel (self, sub);
}

static void
drop_shape (void *opaque, void *data, bool sent)
{
  helix_shim_shape_unref (data);
}

static void
send_cursor (
    struct helix_shim_client *self, struct helix_shim_subscription *sub)
{
  struct helix_shim *shim = self->shim;
  struct helix_writer_extra extra = {.done = drop_shape};
  uint8_t message[HELIX_MAX_MESSAGE];
  struct helix_shim_shape *shape;
  struct helix_cursor cursor;

  if (!helix_shim_screen_take_cursor (
          shim, sub->scanout, &sub->seen, &cursor, &shape))
    return;
  if (shape) {
    extra.bulk = shape->pixels;
    extra.bulk_size = (size_t) shape->width * shape->height * 4;
    extra.data = shape;
  }
  helix_writer_add (&self->out.writer, HELIX_WRITER_CURSOR, message,
      helix_pack_cursor (
          message, sub->number, &cursor, (uint32_t) extra.bulk_size),
      &extra);
  helix_shim_count (shim, cursors, 1);
}

/* Queues one thing; false when nothing is pending or there is no room. */
static bool
send_one (struct helix_shim_client *self, struct helix_shim_subscription *sub)
{
  uint8_t message[HELIX_MAX_MESSAGE];
  struct helix_shim_item item;

  if (helix_shim_client_is_full (self))
    return false;
  switch (helix_shim_subscription_take (sub, &item)) {
    case HELIX_SHIM_PENDING_SCANOUT:
      sub->answered = true;
      send_message (self, message,
          helix_pack_scanout (message, sub->number, &item.state));
      return true;
    case HELIX_SHIM_PENDING_FAULT:
      send_fault (self, sub, &item);
      return true;
    case HELIX_SHIM_PENDING_MEMORY:
      return provide_memory (self, sub, item.wanted);
    case HELIX_SHIM_PENDING_FRAME:
      helix_shim_subscription_send (sub, &item);
      return true;
    default:
      /* The guest went back to a size for which there is memory. */
      forget_coming (sub);
      return false;
  }
}

static void
send_pending (struct helix_shim_client *self)
{
  /* Moves are not queued: when the last CURSORs have left, the newest state is
   * sent. */
  bool cursors = self->out.writer.count[HELIX_WRITER_CURSOR] == 0;

  if (!helix_shim_client_is_full (self)) {
    send_scanouts (self);
    send_refusals (self);
  }
  for (uint32_t i = 0; i < HELIX_SHIM_MAX_CHANNELS; i++) {
    struct helix_shim_subscription **sub = &self->channel[i];

    while (*sub && send_one (self, *sub))
      ;
    /* The answer to SUBSCRIBE comes first. */
    if (*sub && cursors && (*sub)->answered && (*sub)->cursor)
      send_cursor (self, *sub);
  }
}

/* ---- turns ---- */

/* The socket takes nothing any more. What the client sent before still counts:
 * a request, and then the end, is all that some clients do. Of more than
 * READS_AT_ONCE the rest does not. */
static void
hang_up (struct helix_shim_client *self)
{
  read_messages (self);
  if (self->dead)
    return;
  helix_shim_count (self->shim, lost, 1);
  die (self);
}

static void
finish_turn (struct helix_shim_client *self)
{
  const size_t *cursors = &self->out.writer.count[HELIX_WRITER_CURSOR];
  bool full, waited, good;

  /* Again, if there was no room for something and now there is; or if CURSORs
   * that waited, and kept newer ones back, have left. */
  do {
    waited = *cursors > 0;
    if (helix_shim_client_is_open (self))
      send_pending (self);
    full = helix_shim_client_is_full (self);
    good = flush (self);
  } while (good
      && ((full && !helix_shim_client_is_full (self))
          || (waited && *cursors == 0)));
  if (!good)
    hang_up (self);
  if (!helix_shim_client_is_open (self))
    close_channels (self);
}

void
helix_shim_client_turn (struct helix_shim_client *self)
{
  pthread_mutex_lock (&self->out.turn);
  note_read (self);
  read_messages (self);
  finish_turn (self);
  pthread_mutex_unlock (&self->out.turn);
}

void
helix_shim_client_run (struct helix_shim_client *self, uint64_t now)
{
  pthread_mutex_lock (&self->out.turn);
  self->fill_budget = HELIX_SHIM_FILL_AT_ONCE;
  note_read (self);
  keep_deadlines (self, now);
  finish_turn (self);
  pthread_mutex_unlock (&self->out.turn);
}

/* ---- life ---- */

void
helix_shim_client_dismiss (struct helix_shim_client *self, const char *why)
{
  uint8_t message[HELIX_MAX_MESSAGE];

  pthread_mutex_lock (&self->out.turn);
  close_channels (self); /* no FRAME comes behind BYE */
  if (helix_shim_client_is_open (self))
    send_last (self, message, helix_pack_bye (message, HELIX_BYE_CLOSING, why));
  if (!flush (self))
    hang_up (self);
  die (self);
  pthread_mutex_unlock (&self->out.turn);
}

struct helix_shim_client *
helix_shim_client_new (struct helix_shim *shim, int fd, pid_t pid)
{
  struct helix_shim_client *self = g_new0 (struct helix_shim_client, 1);

  self->shim = shim;
  helix_shim_outbox_init (&self->out, fd);
  self->number = ++shim->last_number;
  self->pid = pid;
  self->born_ns = self->heard_ns = helix_now_ns ();
  self->subscribes =
      (struct helix_bucket){HELIX_SHIM_SUBSCRIBE_BURST, self->born_ns};
  helix_server_init (&self->server, HELIX_ROLE_FRAMES, self->born_ns);
  helix_reader_init (&self->reader);
  helix_shim_count (shim, clients, 1);
  return self;
}

void
helix_shim_client_free (struct helix_shim_client *self)
{
  pthread_mutex_lock (&self->out.turn);
  close_channels (self);
  pthread_mutex_unlock (&self->out.turn);
  self->dead = true;
  update_watch (self);
  helix_shim_outbox_clear (&self->out);
  helix_shim_count (self->shim, clients, -1);
  g_free (self);
}

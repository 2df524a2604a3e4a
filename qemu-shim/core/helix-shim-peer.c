/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Io thread. */
#include "helix-shim-peer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "helix-platform.h"

/* Pieces of messages that go by one system call. */
#define PIECES_AT_ONCE 16

#define CLIENT "client %" G_GUINT64_FORMAT " (pid %ld)"
#define CLIENT_ARGS(peer) (peer)->number, (long) (peer)->pid

void
helix_shim_peer_init (struct helix_shim_peer *self, struct helix_shim *shim,
    int fd, pid_t pid, void (*ready) (void *peer))
{
  self->shim = shim;
  self->ready = ready;
  self->fd = fd;
  self->number = ++shim->last_number;
  self->pid = pid;
  self->born_ns = self->heard_ns = helix_now_ns ();
  helix_server_init (&self->server, HELIX_ROLE_FRAMES, self->born_ns);
  helix_reader_init (&self->reader);
  helix_writer_init (&self->writer);
  helix_shim_count (shim, clients, 1);
}

bool
helix_shim_peer_is_open (const struct helix_shim_peer *self)
{
  return self->server.state == HELIX_SERVER_OPEN && !self->closing
      && !self->dead;
}

bool
helix_shim_peer_is_full (const struct helix_shim_peer *self)
{
  return self->writer.bytes[HELIX_WRITER_CONTROL] >= HELIX_SHIM_QUEUE_LIMIT;
}

/* Nothing that comes after the end counts. And reading stops while the client
 * does not take its answers: what it still says waits in its own socket. */
static bool
may_read (const struct helix_shim_peer *self)
{
  return !self->closing && !self->dead && !helix_shim_peer_is_full (self);
}

static void
update_watch (struct helix_shim_peer *self)
{
  bool reading = may_read (self);
  bool writing = helix_writer_pending (&self->writer) && !self->dead;

  if (reading == self->watching_read && writing == self->watching_write)
    return;
  self->watching_read = reading;
  self->watching_write = writing;
  self->shim->loop.watch (self->shim->loop_opaque, self->fd,
      reading ? self->ready : NULL, writing ? self->ready : NULL, self);
}

void
helix_shim_peer_fini (struct helix_shim_peer *self)
{
  self->dead = true;
  update_watch (self);
  helix_writer_clear (&self->writer);
  close (self->fd);
  helix_shim_count (self->shim, clients, -1);
}

/* Its callers up the stack still hold it: helix_shim_io_run frees it. */
static void
die (struct helix_shim_peer *self)
{
  if (self->dead)
    return;
  self->dead = true;
  helix_shim_wake_io (self->shim);
}

void
helix_shim_peer_flush (struct helix_shim_peer *self)
{
  while (!self->dead && helix_writer_pending (&self->writer)) {
    struct iovec iov[PIECES_AT_ONCE];
    int pass = -1;
    int n =
        helix_writer_iov (&self->writer, iov, PIECES_AT_ONCE, SIZE_MAX, &pass);
    ssize_t sent = helix_send (self->fd, iov, n, pass);

    if (sent >= 0) {
      helix_writer_sent (&self->writer, (size_t) sent);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      break;
    } else if (errno != EINTR) {
      helix_shim_count (self->shim, lost, 1);
      die (self);
    }
  }
  if (self->closing && !helix_writer_pending (&self->writer))
    die (self);
  update_watch (self);
}

void
helix_shim_peer_send (
    struct helix_shim_peer *self, const uint8_t *message, size_t size)
{
  helix_writer_add (&self->writer, HELIX_WRITER_CONTROL, message, size, NULL);
}

void
helix_shim_peer_complain (struct helix_shim_peer *self, uint16_t channel,
    enum helix_error_code code, uint32_t refers, const char *format, ...)
{
  uint8_t message[HELIX_MAX_MESSAGE];
  char text[HELIX_MAX_TEXT + 1];
  va_list args;

  va_start (args, format);
  vsnprintf (text, sizeof text, format, args);
  va_end (args);
  helix_shim_log (self->shim, HELIX_LOG_INFO, CLIENT ", channel %u: %s: %s",
      CLIENT_ARGS (self), channel, helix_error_name (code), text);
  helix_shim_peer_send (
      self, message, helix_pack_error (message, channel, code, refers, text));
}

/* The last message that the client gets: a CURSOR would still come after it. */
static void
send_last (struct helix_shim_peer *self, const uint8_t *message, size_t size)
{
  helix_writer_drop (&self->writer, HELIX_WRITER_CURSOR);
  helix_shim_peer_send (self, message, size);
}

void
helix_shim_peer_fail (struct helix_shim_peer *self, enum helix_error_code code,
    uint32_t refers, const char *format, ...)
{
  uint8_t message[HELIX_MAX_MESSAGE];
  char text[HELIX_MAX_TEXT + 1];
  va_list args;

  va_start (args, format);
  vsnprintf (text, sizeof text, format, args);
  va_end (args);
  helix_shim_log (self->shim, HELIX_LOG_WARN, CLIENT " is disconnected: %s: %s",
      CLIENT_ARGS (self), helix_error_name (code), text);
  helix_shim_count (self->shim, refused, 1);
  send_last (self, message, helix_pack_error (message, 0, code, refers, text));
  if (!self->closing)
    self->closing_ns = helix_now_ns ();
  self->closing = true;
}

void
helix_shim_peer_dismiss (struct helix_shim_peer *self, const char *why)
{
  uint8_t message[HELIX_MAX_MESSAGE];

  if (helix_shim_peer_is_open (self))
    send_last (self, message, helix_pack_bye (message, HELIX_BYE_CLOSING, why));
  helix_shim_peer_flush (self);
  die (self);
}

/* ---- messages ---- */

static void
welcome (struct helix_shim_peer *self)
{
  uint8_t message[HELIX_MAX_MESSAGE];

  helix_shim_peer_send (self, message,
      helix_server_welcome (&self->server, message, self->shim->config.scanouts,
          (uint32_t) getpid (), self->shim->config.name, NULL));
  helix_shim_log (self->shim, HELIX_LOG_INFO, CLIENT " connected: \"%s\"",
      CLIENT_ARGS (self), self->server.name);
}

/* Whether it is for the caller of helix_shim_peer_next. */
static bool
take_message (struct helix_shim_peer *self)
{
  struct helix_shim *shim = self->shim;
  struct helix_server_said said;

  switch (helix_server_take (
      &self->server, &self->reader, self->heard_ns, helix_now_ns (), &said)) {
    case HELIX_SERVER_ANSWER:
      helix_shim_peer_send (self, said.answer, said.size);
      break;
    case HELIX_SERVER_REFUSE:
      if (helix_error_is_fatal (said.code))
        helix_shim_peer_fail (self, said.code, said.refers, "%s", said.text);
      else
        helix_shim_peer_complain (
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
      return true;
    case HELIX_SERVER_NOTHING:
    case HELIX_SERVER_PROOF:
    case HELIX_SERVER_PONG:
      break;
  }
  return false;
}

/* Bytes for the reader. 0 = none now, or ever. */
static size_t
receive (struct helix_shim_peer *self)
{
  uint8_t *at;
  size_t want;
  ssize_t n;

  helix_reader_want (&self->reader, &at, &want);
  do
    n = helix_recv (self->fd, at, want, NULL);
  while (n < 0 && errno == EINTR);
  if (n > 0) {
    self->heard_ns = helix_now_ns ();
    return (size_t) n;
  }
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
    return 0;
  if (n < 0 && errno == EPROTO) {
    helix_shim_peer_fail (self, HELIX_ERROR_PROTOCOL, 0,
        "a descriptor came along, and none is due from a client");
    return 0;
  }
  /* Without BYE. A peer that never said a word does not count. */
  helix_shim_count (self->shim, lost, self->server.state == HELIX_SERVER_OPEN);
  die (self);
  return 0;
}

bool
helix_shim_peer_next (struct helix_shim_peer *self, unsigned *reads)
{
  while (may_read (self) && *reads > 0) {
    size_t n = receive (self);

    --*reads;
    if (n == 0)
      return false;
    switch (helix_reader_got (&self->reader, n)) {
      case HELIX_READER_MORE:
      case HELIX_READER_HEAD: /* its bulk is dropped on the way */
        break;
      case HELIX_READER_MESSAGE:
        if (take_message (self))
          return true;
        break;
      case HELIX_READER_ERROR:
        helix_shim_peer_fail (self, HELIX_ERROR_PROTOCOL,
            helix_reader_type (&self->reader), "%s", self->reader.why);
        break;
    }
  }
  return false;
}

/* ---- deadlines ---- */

void
helix_shim_peer_keep_deadlines (struct helix_shim_peer *self, uint64_t now)
{
  uint8_t message[HELIX_MAX_MESSAGE];
  struct helix_ping ping = {now};

  if (self->dead || now < helix_shim_peer_deadline (self))
    return;
  if (self->closing) {
    die (self);
  } else if (self->server.state == HELIX_SERVER_NEW) {
    helix_shim_peer_fail (self, HELIX_ERROR_TIMEOUT, 0, "no HELLO within %u s",
        (unsigned) (HELIX_SHIM_HELLO_NS / 1000000000u));
  } else if (now >= self->heard_ns + HELIX_SHIM_DEAD_NS) {
    helix_shim_peer_fail (self, HELIX_ERROR_TIMEOUT, 0,
        "not a byte in %u s, though it was asked (PING)",
        (unsigned) (HELIX_SHIM_DEAD_NS / 1000000000u));
  } else {
    self->pinged_ns = now;
    helix_shim_peer_send (self, message, helix_pack_ping (message, &ping));
  }
}

uint64_t
helix_shim_peer_deadline (const struct helix_shim_peer *self)
{
  if (self->closing)
    return self->closing_ns + HELIX_SHIM_LINGER_NS;
  if (self->server.state == HELIX_SERVER_NEW)
    return self->born_ns + HELIX_SHIM_HELLO_NS;
  return MIN (self->heard_ns + HELIX_SHIM_DEAD_NS,
      MAX (self->heard_ns, self->pinged_ns) + HELIX_SHIM_IDLE_NS);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-session.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "helix-platform.h"

/* Reads a socket may keep the io thread with before the others get a turn. */
#define READS_AT_ONCE 64

static void on_readable (void *opaque);
static void on_writable (void *opaque);

struct helix_session *
helix_session_new (struct helix_shim *shim, int fd, uid_t uid, pid_t pid)
{
  struct helix_session *self = g_new0 (struct helix_session, 1);

  self->shim = shim;
  self->fd = fd;
  self->number = ++shim->next_session;
  self->uid = uid;
  self->pid = pid;
  self->born_ns = self->heard_ns = helix_now_ns ();
  self->subscribes =
      (struct helix_bucket){HELIX_SUBSCRIBE_BURST, self->born_ns};
  self->lists = (struct helix_bucket){HELIX_LIST_BURST, self->born_ns};
  helix_reader_init (&self->reader);
  helix_outbox_init (&self->outbox);
  helix_count (shim, clients, 1);
  return self;
}

/* Nothing that comes after the end counts. And reading stops while the client
 * does not take its answers: what it still says waits in its own socket. */
static bool
may_read (const struct helix_session *self)
{
  return self->state != HELIX_SESSION_CLOSING && !self->dead
      && !helix_outbox_full (&self->outbox);
}

static void
update_watch (struct helix_session *self)
{
  bool reading = may_read (self);
  bool writing = !helix_outbox_empty (&self->outbox) && !self->dead;

  if (reading == self->watching_read && writing == self->watching_write)
    return;
  self->watching_read = reading;
  self->watching_write = writing;
  self->shim->loop.watch (self->shim->loop_opaque, self->fd,
      reading ? on_readable : NULL, writing ? on_writable : NULL, self);
}

void
helix_session_free (struct helix_session *self)
{
  if (self->watching_read || self->watching_write)
    self->shim->loop.watch (
        self->shim->loop_opaque, self->fd, NULL, NULL, NULL);
  helix_session_close_channels (self);
  helix_outbox_clear (&self->outbox);
  close (self->fd);
  helix_uncount (self->shim, clients);
  g_free (self);
}

/* The session dies in the sweep of helix_shim_io_run: its callers up the
 * stack still hold it. */
static void
die (struct helix_session *self)
{
  if (self->dead)
    return;
  self->dead = true;
  helix_session_close_channels (self);
  update_watch (self);
  self->shim->loop.wake_io (self->shim->loop_opaque);
}

static void
flush (struct helix_session *self)
{
  if (self->dead)
    return;
  if (!helix_outbox_flush (&self->outbox, self->fd)) {
    helix_count (self->shim, lost, 1);
    die (self);
  } else if (self->state == HELIX_SESSION_CLOSING
      && helix_outbox_empty (&self->outbox)) {
    die (self);
  }
}

void
helix_session_end (struct helix_session *self, bool linger)
{
  if (!linger) {
    die (self);
    return;
  }
  if (self->state != HELIX_SESSION_CLOSING) {
    self->state = HELIX_SESSION_CLOSING;
    self->closing_ns = helix_now_ns ();
    helix_session_close_channels (self);
  }
  flush (self);
  update_watch (self);
}

void
helix_session_fail (struct helix_session *self, enum helix_error_code code,
    uint32_t refers, const char *format, ...)
{
  uint8_t message[HELIX_MAX_MESSAGE];
  char text[HELIX_MAX_TEXT + 1];
  va_list args;

  va_start (args, format);
  vsnprintf (text, sizeof text, format, args);
  va_end (args);
  helix_shim_log (self->shim, HELIX_LOG_WARN,
      "client %" G_GUINT64_FORMAT " (pid %ld) is disconnected: %s: %s",
      self->number, (long) self->pid, helix_error_name (code), text);
  helix_count (self->shim, refused, 1);
  helix_outbox_push (&self->outbox, message,
      helix_pack_error (message, 0, code, refers, text));
  helix_session_end (self, true);
}

/* false: nothing more to read now, or ever. */
static bool
read_once (struct helix_session *self)
{
  uint8_t *at;
  size_t want;
  ssize_t n;

  helix_reader_want (&self->reader, &at, &want);
  n = helix_recv (self->fd, at, want, NULL);
  if (n < 0) {
    if (errno == EINTR)
      return true;
    if (errno == EAGAIN || errno == EWOULDBLOCK)
      return false;
    if (errno == EPROTO) {
      helix_session_fail (self, HELIX_ERROR_PROTOCOL, 0,
          "a descriptor came along, and none is due from a client");
      return false;
    }
    n = 0;
  }
  if (n == 0) {
    /* Without BYE, but a peer that never said a word is nobody's loss. */
    if (self->state == HELIX_SESSION_OPEN)
      helix_count (self->shim, lost, 1);
    die (self);
    return false;
  }
  self->heard_ns = helix_now_ns ();
  switch (helix_reader_got (&self->reader, (size_t) n)) {
    case HELIX_READER_MORE:
      break;
    case HELIX_READER_HEAD:
      break; /* dispatched when whole; its bulk is dropped on the way */
    case HELIX_READER_MESSAGE:
      helix_session_dispatch (self);
      break;
    case HELIX_READER_ERROR:
      helix_session_fail (self, HELIX_ERROR_PROTOCOL,
          helix_reader_type (&self->reader), "%s", self->reader.why);
      break;
  }
  return true;
}

/* All that was sent has been read, POOLs among it: before there is more. */
static void
note_read (struct helix_session *self)
{
  if (self->left_pools && helix_outbox_empty (&self->outbox)
      && helix_send_queue (self->fd) == 0) {
    self->left_pools = 0;
    self->left_bytes = 0;
  }
}

void
helix_session_read (struct helix_session *self)
{
  int reads = 0;

  note_read (self);
  while (may_read (self) && reads++ < READS_AT_ONCE && read_once (self))
    ;
  if (self->state == HELIX_SESSION_OPEN && !self->dead)
    helix_session_collect (self);
  flush (self);
  update_watch (self);
  helix_shim_schedule (self->shim);
}

static void
on_readable (void *opaque)
{
  helix_session_read (opaque);
}

static void
on_writable (void *opaque)
{
  struct helix_session *self = opaque;

  flush (self);
  if (self->state == HELIX_SESSION_OPEN && !self->dead) {
    helix_session_collect (self);
    flush (self);
  }
  update_watch (self);
  helix_shim_schedule (self->shim);
}

static void
ping (struct helix_session *self, uint64_t now)
{
  uint8_t message[HELIX_MAX_MESSAGE];
  struct helix_ping ping = {now};

  self->pinged_ns = now;
  helix_outbox_push (&self->outbox, message, helix_pack_ping (message, &ping));
}

static void
keep_deadlines (struct helix_session *self, uint64_t now)
{
  switch (self->state) {
    case HELIX_SESSION_NEW:
      if (now >= self->born_ns + HELIX_HELLO_NS)
        helix_session_fail (self, HELIX_ERROR_TIMEOUT, 0,
            "no HELLO within %u s", (unsigned) (HELIX_HELLO_NS / 1000000000u));
      break;
    case HELIX_SESSION_OPEN:
      if (now >= self->heard_ns + HELIX_DEAD_NS)
        helix_session_fail (self, HELIX_ERROR_TIMEOUT, 0,
            "not a byte in %u s, though it was asked (PING)",
            (unsigned) (HELIX_DEAD_NS / 1000000000u));
      else if (now >= MAX (self->heard_ns, self->pinged_ns) + HELIX_IDLE_NS)
        ping (self, now);
      break;
    case HELIX_SESSION_CLOSING:
      if (now >= self->closing_ns + HELIX_LINGER_NS)
        die (self);
      break;
  }
}

uint64_t
helix_session_deadline (const struct helix_session *self)
{
  switch (self->state) {
    case HELIX_SESSION_NEW:
      return self->born_ns + HELIX_HELLO_NS;
    case HELIX_SESSION_OPEN:
      return MIN (self->heard_ns + HELIX_DEAD_NS,
          MAX (self->heard_ns, self->pinged_ns) + HELIX_IDLE_NS);
    default:
      return self->closing_ns + HELIX_LINGER_NS;
  }
}

void
helix_session_run (struct helix_session *self, uint64_t now)
{
  if (self->dead)
    return;
  self->fill_budget = HELIX_FILL_AT_ONCE;
  note_read (self);
  keep_deadlines (self, now);
  if (self->state == HELIX_SESSION_OPEN && !self->dead)
    helix_session_collect (self);
  flush (self);
  update_watch (self);
}

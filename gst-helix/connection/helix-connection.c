/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-connection.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "helix-platform.h"

#define MSECOND G_GUINT64_CONSTANT (1000000)

/* How long an answer to HELLO is waited for on a serial port: it is quickly
 * opened again, and the far end may have come since. */
#define GREETING_SERIAL_NS (1000 * MSECOND)

#define PING_NS (1000 * MSECOND)
/* On a serial port only an answer tells that the other end began anew. */
#define PING_SERIAL_NS (400 * MSECOND)
/* The clocks' offset is wanted soon after the start: PING comes faster. */
#define FAST_PINGS 8
#define FAST_PING_NS (50 * MSECOND)

/* ns that tick () is late by when this program was stopped; and after how many
 * it wants to be called again while nothing else is due, to notice that. */
#define STALL_NS (1000 * MSECOND)
#define LOOK_NS (500 * MSECOND)

/* Bytes that wait to be sent: the padding before HELLO, or what belongs to
 * several pools. A peer that leaves more than that unread in a full socket does
 * not read. */
#define MAX_WAITING (16 * 1024)

HelixConnection *
helix_connection_new (gint fd, const HelixConnectionConfig *config, guint64 now)
{
  HelixConnection *self = g_new0 (HelixConnection, 1);

  g_atomic_ref_count_init (&self->refs);
  pthread_mutex_init (&self->lock, NULL);
  self->fd = fd;
  self->config = *config;
  self->config.name = NULL;
  self->own_name = g_strdup (config->name);
  self->passed_fd = -1;
  self->opened_ns = self->heard_ns = now;
  helix_writer_init (&self->out);
  helix_reader_init (&self->reader);
  return self;
}

HelixConnection *
helix_connection_ref (HelixConnection *self)
{
  g_atomic_ref_count_inc (&self->refs);
  return self;
}

void
helix_connection_close (HelixConnection *self)
{
  pthread_mutex_lock (&self->lock);
  self->fd = helix_close (self->fd);
  helix_writer_clear (&self->out);
  pthread_mutex_unlock (&self->lock);
  self->passed_fd = helix_close (self->passed_fd);
}

void
helix_connection_unref (HelixConnection *self)
{
  if (!g_atomic_ref_count_dec (&self->refs))
    return;
  helix_connection_close (self);
  pthread_mutex_destroy (&self->lock);
  g_free (self->own_name);
  g_free (self->token);
  g_free (self->why);
  g_free (self);
}

/* ---- sending ---- */

/* Under the lock. TRUE: something still waits. */
static gboolean
flush (HelixConnection *self)
{
  struct iovec iov[16];
  gssize sent;
  int fd;

  while (self->fd >= 0 && helix_writer_pending (&self->out)) {
    sent = helix_send (self->fd, iov,
        helix_writer_iov (&self->out, iov, G_N_ELEMENTS (iov), G_MAXSIZE, &fd),
        -1);
    if (sent >= 0) {
      helix_writer_sent (&self->out, (gsize) sent);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS
        || errno == ENOMEM) {
      return TRUE; /* the system will have room again */
    } else {
      self->ended = TRUE;
      helix_writer_clear (&self->out);
    }
  }
  return FALSE;
}

gboolean
helix_connection_flush (HelixConnection *self)
{
  gboolean waits;

  pthread_mutex_lock (&self->lock);
  waits = flush (self);
  pthread_mutex_unlock (&self->lock);
  return waits;
}

static gboolean
send_message (
    HelixConnection *self, const guint8 *message, gsize size, gboolean last)
{
  gboolean waits = FALSE, ok = FALSE;

  pthread_mutex_lock (&self->lock);
  if (self->fd < 0 || self->ended)
    goto out;
  self->ended = last;
  /* A message that was begun has to be finished, and none may be left out: a
   * slot whose RELEASE is lost would never come back. */
  if (self->out.bytes[HELIX_WRITER_CONTROL] + size > MAX_WAITING) {
    self->deaf = self->ended = waits = TRUE;
    goto out;
  }
  helix_writer_add (&self->out, HELIX_WRITER_CONTROL, message, size, NULL);
  waits = flush (self);
  ok = TRUE;
out:
  /* Under the lock: the waiter may be gone once this is closed. */
  if (waits && self->config.waiter != NULL)
    helix_waiter_wake (self->config.waiter);
  pthread_mutex_unlock (&self->lock);
  return ok;
}

gboolean
helix_connection_send (HelixConnection *self, const guint8 *message, gsize size)
{
  return send_message (self, message, size, FALSE);
}

void
helix_connection_bye (HelixConnection *self, const gchar *text)
{
  guint8 message[HELIX_MAX_MESSAGE];

  if (self->role != 0)
    send_message (
        self, message, helix_pack_bye (message, HELIX_BYE_CLOSING, text), TRUE);
}

void
helix_connection_pollfd (HelixConnection *self, struct pollfd *fd)
{
  fd->fd = self->fd;
  fd->events = POLLIN | (helix_connection_flush (self) ? POLLOUT : 0);
}

/* ---- the end ---- */

static HelixConnectionEvent
lose (HelixConnection *self, HelixLoss loss, const gchar *why)
{
  /* The answer of a server to the client before us: the cause, if nothing
   * better came. */
  if (!self->welcomed && self->error.code != 0
      && helix_error_is_fatal (self->error.code))
    loss = HELIX_LOSS_REFUSED;
  self->loss = loss;
  g_free (self->why);
  self->why = g_strdup (why);
  pthread_mutex_lock (&self->lock);
  self->ended = TRUE;
  pthread_mutex_unlock (&self->lock);
  return HELIX_CONNECTION_LOST;
}

static const gchar *
find_stranger (const HelixConnection *self)
{
  static const struct {
    const gchar *begins, *who;
  } strangers[] = {
      {"RFB ", "a VNC server"},
      {"HTTP/", "a web server"},
      {"SSH-", "an SSH server"},
      {"{\"QMP\"", "a QEMU monitor (QMP)"},
      {"QEMU ", "a QEMU monitor"},
      {"REDQ", "a SPICE server"},
      {"l\001", "a D-Bus"},
  };

  for (guint i = 0; i < G_N_ELEMENTS (strangers); i++) {
    gsize size = strlen (strangers[i].begins);

    if (self->n_first >= size
        && memcmp (self->first, strangers[i].begins, size) == 0)
      return strangers[i].who;
  }
  return NULL;
}

HelixConnectionEvent
helix_connection_violation (HelixConnection *self, const gchar *why)
{
  guint8 message[HELIX_MAX_MESSAGE];

  helix_connection_send (self, message,
      helix_pack_error (message, 0, HELIX_ERROR_PROTOCOL,
          helix_reader_type (&self->reader), why));
  if (!self->live)
    self->stranger = find_stranger (self);
  return lose (
      self, self->live ? HELIX_LOSS_PROTOCOL : HELIX_LOSS_FOREIGN, why);
}

void
helix_connection_unknown (HelixConnection *self)
{
  guint8 message[HELIX_MAX_MESSAGE];
  gsize size =
      helix_pack_unsupported (message, &self->reader.header, self->unknown);

  if (size > 0)
    helix_connection_send (self, message, size);
}

gchar *
helix_connection_describe (const HelixConnection *self)
{
  g_autoptr (GString) first = g_string_new (NULL);

  switch (self->loss) {
    case HELIX_LOSS_CLOSED:
      return g_strdup_printf ("the other end closed the connection%s%s",
          self->why != NULL ? ": " : "", self->why != NULL ? self->why : "");
    case HELIX_LOSS_BYE:
      return g_strdup_printf ("the other end said goodbye%s%s",
          *self->text ? ": " : "", self->text);
    case HELIX_LOSS_SILENT:
      return g_strdup (
          self->n_first == 0 ? "it says nothing" : "it says nothing more");
    case HELIX_LOSS_REFUSED:
      return g_strdup_printf ("it refuses (%s): %s",
          helix_error_name (self->error.code), self->text);
    case HELIX_LOSS_FOREIGN:
      if (self->stranger != NULL)
        return g_strdup_printf ("%s answers there", self->stranger);
      for (guint i = 0; i < self->n_first; i++)
        g_string_append_c (first,
            g_ascii_isprint (self->first[i]) ? (gchar) self->first[i] : '.');
      return g_strdup_printf (
          "what answers there is not helix: %s (it began with \"%s\")",
          self->why, first->str);
    case HELIX_LOSS_PROTOCOL:
      return g_strdup_printf ("it breaks the protocol: %s", self->why);
    default:
      return g_strdup (self->why);
  }
}

/* ---- the greeting ---- */

void
helix_connection_hello (
    HelixConnection *self, enum helix_role role, const gchar *token)
{
  static const guint8 pad[HELIX_HELLO_PAD];
  struct helix_hello hello = {
      .version_min = HELIX_VERSION_MIN,
      .version_max = HELIX_VERSION_MAX,
      .role = role,
      .features = role == HELIX_ROLE_FRAMES ? HELIX_FEATURE_SHM
          : token != NULL                   ? HELIX_FEATURE_PROOF
                                            : 0,
      .pid = (guint32) getpid (),
  };
  guint8 message[HELIX_MAX_MESSAGE];

  hello.nonce = (guint64) g_random_int () << 32 | g_random_int ();
  if (token != NULL && getentropy (&hello.nonce, sizeof hello.nonce) < 0) {
    lose (self, HELIX_LOSS_FAILED, g_strerror (errno));
    return;
  }
  self->role = role;
  self->token = g_strdup (token);
  self->proof.nonce = hello.nonce;
  if (self->config.serial) {
    /* Completes what a predecessor that was killed left half sent. */
    helix_connection_send (self, pad, sizeof pad);
    helix_reader_scan (&self->reader, HELIX_WELCOME, hello.nonce);
  }
  helix_connection_send (
      self, message, helix_pack_hello (message, &hello, self->own_name));
}

static HelixConnectionEvent
go_live (HelixConnection *self)
{
  self->live = TRUE;
  return HELIX_CONNECTION_LIVE;
}

static HelixConnectionEvent
got_welcome (HelixConnection *self)
{
  const struct helix_reader *r = &self->reader;
  struct helix_welcome *welcome = &self->welcome;
  guint8 message[HELIX_MAX_MESSAGE];
  const gchar *why;

  if (self->welcomed)
    return helix_connection_violation (self, "a second WELCOME");
  if (!helix_unpack_welcome (welcome, self->name, self->proof.challenge,
          r->payload, r->payload_size, &why))
    return helix_connection_violation (self, why);
  if (welcome->nonce != self->proof.nonce)
    return helix_connection_violation (self, "WELCOME: nonce is not ours");
  if (welcome->role != self->role)
    return helix_connection_violation (self, "WELCOME: role is not ours");
  if (welcome->version < HELIX_VERSION_MIN
      || welcome->version > HELIX_VERSION_MAX) {
    helix_connection_violation (self, "WELCOME: version was not offered");
    self->loss = HELIX_LOSS_VERSION;
    return HELIX_CONNECTION_LOST;
  }
  if (self->token == NULL && (welcome->features & HELIX_FEATURE_PROOF))
    return helix_connection_violation (self, "WELCOME: PROOF was not offered");
  memset (&self->error, 0, sizeof self->error);
  self->welcomed = TRUE;
  if (self->token == NULL)
    return go_live (self);
  if (!(welcome->features & HELIX_FEATURE_PROOF))
    return lose (self, HELIX_LOSS_UNASKED,
        "it does not ask for the token, so it may be another program");
  helix_connection_send (self, message,
      helix_proof_pack (
          message, HELIX_PROOF_CLIENT, self->token, &self->proof));
  return HELIX_CONNECTION_MORE;
}

static HelixConnectionEvent
got_proof (HelixConnection *self)
{
  const struct helix_reader *r = &self->reader;
  struct helix_proof proof;
  const gchar *why;

  if (!helix_unpack_proof (&proof, r->payload, r->payload_size, &why))
    return helix_connection_violation (self, why);
  if (!helix_proof_is_right (
          &proof, HELIX_PROOF_SERVER, self->token, &self->proof))
    return lose (self, HELIX_LOSS_UNPROVED,
        "its own proof of the token is wrong, so it may be another program");
  return go_live (self);
}

/* The types of the dialect before version 1, see helix-protocol.h. */
static gboolean
is_old (guint8 type)
{
  return (type >= 0x01 && type <= 0x05) || (type >= 0x20 && type <= 0x22)
      || type == 0x30 || type == 0x31;
}

/* A message that has to wait for WELCOME and PROOF. */
static HelixConnectionEvent
got_too_early (HelixConnection *self)
{
  const struct helix_error *error = &self->error;

  if (is_old (self->reader.header.type)
      /* Its codes were negative. */
      || (self->reader.header.type == HELIX_ERROR && (gint32) error->code < 0))
    return lose (self, HELIX_LOSS_OLD,
        "it speaks the dialect from before version 1 of the protocol");
  return helix_connection_violation (self,
      self->welcomed ? "behind its WELCOME comes no PROOF"
                     : "its first message is not WELCOME");
}

/* ---- messages ---- */

static HelixConnectionEvent
got_error (HelixConnection *self)
{
  const struct helix_reader *r = &self->reader;
  struct helix_error *error = &self->error;
  const gchar *why;

  if (!helix_unpack_error (
          error, self->text, r->payload, r->payload_size, &why))
    return helix_connection_violation (self, why);
  if (!self->live && (gint32) error->code < 0)
    return got_too_early (self);
  if (!helix_error_is_fatal (error->code))
    return self->live ? HELIX_CONNECTION_MESSAGE : HELIX_CONNECTION_MORE;
  /* On a serial line it may be an answer to a client before us: only if no
   * WELCOME follows was it meant for us. */
  if (self->config.serial && !self->welcomed)
    return HELIX_CONNECTION_MORE;
  return lose (self, HELIX_LOSS_REFUSED, NULL);
}

static HelixConnectionEvent
got_message (HelixConnection *self)
{
  const struct helix_reader *r = &self->reader;
  guint8 message[HELIX_MAX_MESSAGE];
  struct helix_ping ping;
  struct helix_pong pong;
  struct helix_bye bye;
  const gchar *why;

  switch (r->header.type) {
    case HELIX_PING:
      if (!helix_unpack_ping (&ping, r->payload, r->payload_size, &why))
        return helix_connection_violation (self, why);
      helix_connection_send (self, message,
          helix_pack_pong_for (message, &r->header, r->payload, self->heard_ns,
              helix_now_ns ()));
      return HELIX_CONNECTION_MORE;
    case HELIX_PONG:
      if (!helix_unpack_pong (&pong, r->payload, r->payload_size, &why))
        return helix_connection_violation (self, why);
      return HELIX_CONNECTION_MESSAGE;
    case HELIX_ERROR:
      return got_error (self);
    case HELIX_BYE:
      if (!helix_unpack_bye (
              &bye, self->text, r->payload, r->payload_size, &why))
        return helix_connection_violation (self, why);
      memset (&self->error, 0, sizeof self->error);
      return lose (self, HELIX_LOSS_BYE, NULL);
    case HELIX_HELLO:
      return helix_connection_violation (
          self, "it sends back what it is sent, or is a client itself");
    case HELIX_WELCOME:
      return got_welcome (self);
    case HELIX_PROOF:
      if (self->welcomed && !self->live)
        return got_proof (self);
      break;
    default:
      break;
  }
  return self->live ? HELIX_CONNECTION_MESSAGE : got_too_early (self);
}

/* A serial port does not tell that the other end was killed, perhaps within a
 * message. What comes in place of its rest, after a pause, is the answer of its
 * successor to our PING: "who are you?" */
static gboolean
is_successor (const HelixConnection *self, const uint8_t *bytes, gssize n)
{
  struct helix_header header;
  const char *why;

  return self->config.serial && self->live && n >= (gssize) HELIX_HEADER_SIZE
      && helix_unpack_header (&header, bytes, &why)
      && header.type == HELIX_ERROR;
}

/* As read, with a descriptor that comes along where one may. */
static gssize
receive (HelixConnection *self, void *data, gsize size)
{
  gint passed = -1;
  gssize n = helix_recv (
      self->fd, data, size, self->role == HELIX_ROLE_FRAMES ? &passed : NULL);

  if (passed >= 0) {
    helix_close (self->passed_fd);
    self->passed_fd = passed;
  }
  return n;
}

static void
note_first (HelixConnection *self, const uint8_t *bytes, gsize n)
{
  n = MIN (n, sizeof self->first - self->n_first);
  memcpy (self->first + self->n_first, bytes, n);
  self->n_first += (guint) n;
}

HelixConnectionEvent
helix_connection_read (HelixConnection *self)
{
  gboolean middle = !helix_reader_idle (&self->reader), deaf;
  uint8_t *ptr;
  size_t len;
  gssize n;

  if (self->loss != HELIX_LOSS_NONE)
    return HELIX_CONNECTION_LOST;
  pthread_mutex_lock (&self->lock);
  flush (self);
  deaf = self->deaf;
  pthread_mutex_unlock (&self->lock);
  if (deaf)
    return lose (self, HELIX_LOSS_CLOSED, "it leaves unread what it is sent");
  if (!middle)
    self->passed_fd = helix_close (self->passed_fd); /* of the message before */
  helix_reader_want (&self->reader, &ptr, &len);
  n = receive (self, ptr, len);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
    return HELIX_CONNECTION_IDLE;
  if (n <= 0)
    return lose (self, HELIX_LOSS_CLOSED, n < 0 ? g_strerror (errno) : NULL);
  self->heard_ns = helix_now_ns ();
  note_first (self, ptr, (gsize) n);
  if (middle && is_successor (self, ptr, n))
    return lose (self, HELIX_LOSS_RESTARTED, "it began anew within a message");
  switch (helix_reader_got (&self->reader, (size_t) n)) {
    case HELIX_READER_HEAD:
      return self->live ? HELIX_CONNECTION_HEAD : got_too_early (self);
    case HELIX_READER_MESSAGE:
      return got_message (self);
    case HELIX_READER_ERROR:
      return helix_connection_violation (self, self->reader.why);
    case HELIX_READER_MORE:
      break;
  }
  return HELIX_CONNECTION_MORE;
}

/* ---- time ---- */

static guint64
ping_at (const HelixConnection *self)
{
  guint64 gap = self->config.serial ? PING_SERIAL_NS : PING_NS;

  if (!self->config.clock)
    return MAX (self->heard_ns, self->pinged_ns) + gap;
  return self->pinged_ns + (self->pings < FAST_PINGS ? FAST_PING_NS : gap);
}

static void
send_ping (HelixConnection *self, guint64 now)
{
  const struct helix_ping ping = {.sent_ns = now};
  guint8 message[HELIX_MAX_MESSAGE];

  self->pinged_ns = now;
  self->pings++;
  /* A PING that waits would measure how long. */
  if (!helix_connection_flush (self))
    helix_connection_send (self, message,
        self->config.clock ? helix_pack_ping (message, &ping)
                           : helix_pack_empty (message, HELIX_PING, 0));
}

/* When the other end will have been silent for too long. */
static guint64
dead_at (const HelixConnection *self)
{
  guint64 limit = HELIX_CONNECTION_DEAD_NS, since = self->heard_ns;

  if (self->config.patient)
    return HELIX_NONE64;
  if (!self->live && self->config.serial)
    limit = GREETING_SERIAL_NS; /* perhaps behind much that is old */
  else if (!self->live)
    since = self->opened_ns;
  return MAX (since, self->awake_ns) + limit;
}

guint64
helix_connection_tick (HelixConnection *self, guint64 now)
{
  if (self->loss != HELIX_LOSS_NONE)
    return 0;
  if (self->role == 0)
    return HELIX_NONE64;
  if (self->due_ns != 0 && now > self->due_ns + STALL_NS)
    self->awake_ns = now;
  if (now >= dead_at (self)) {
    lose (self, HELIX_LOSS_SILENT, NULL);
    return 0;
  }
  if (self->live && now >= ping_at (self))
    send_ping (self, now);
  self->due_ns = dead_at (self);
  self->due_ns =
      MIN (self->due_ns, self->live ? ping_at (self) : now + LOOK_NS);
  return self->due_ns;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-probe.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "helix-platform.h"
#include "helix-transport.h"

#define NS_PER_MS G_GUINT64_CONSTANT (1000000)

/* BYE is a courtesy: a peer that takes nothing must not delay our end. */
#define BYE_NS (50 * NS_PER_MS)

/* Connections of one process that are further apart are two. */
#define SAME_NS (10 * NS_PER_MS)

GQuark
helix_probe_error_quark (void)
{
  return g_quark_from_static_string ("helix-probe-error");
}

HelixProbe *
helix_probe_new (gint fd, gboolean serial)
{
  HelixProbe *self = g_new0 (HelixProbe, 1);

  self->fd = fd;
  self->serial = serial;
  helix_reader_init (&self->reader);
  return self;
}

void
helix_probe_free (HelixProbe *self)
{
  guint8 message[HELIX_MAX_MESSAGE];

  if (self == NULL)
    return;
  if (self->welcomed)
    helix_probe_send (self, message,
        helix_pack_bye (message, HELIX_BYE_CLOSING, NULL),
        helix_now_ns () + BYE_NS, NULL);
  close (self->fd);
  g_free (self->bulk);
  g_free (self);
}

/* ---- waiting ---- */

static gboolean G_GNUC_PRINTF (3, 4)
    fail (GError **error, HelixProbeError code, const gchar *format, ...)
{
  g_autofree gchar *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error_literal (error, HELIX_PROBE_ERROR, (gint) code, text);
  return FALSE;
}

/* FALSE without an error: the deadline has passed. */
static gboolean
wait_for (gint fd, short events, guint64 deadline)
{
  struct pollfd entry = {.fd = fd, .events = events};

  for (;;) {
    guint64 now = helix_now_ns ();
    gint ms = now >= deadline
        ? 0
        : (gint) MIN ((deadline - now + NS_PER_MS - 1) / NS_PER_MS, 60000);
    gint n = poll (&entry, 1, ms);

    if (n > 0)
      return TRUE;
    if (n < 0 && errno != EINTR && errno != EAGAIN)
      return TRUE; /* read or write will tell */
    if (n == 0 && helix_now_ns () >= deadline)
      return FALSE;
  }
}

gboolean
helix_probe_send (HelixProbe *self, const guint8 *message, gsize size,
    guint64 deadline, GError **error)
{
  while (size > 0) {
    struct iovec iov = {.iov_base = (void *) message, .iov_len = size};
    gssize n = helix_transport_write (self->fd, &iov, 1);

    if (n >= 0) {
      message += n;
      size -= (gsize) n;
    } else if (errno != EAGAIN && errno != EWOULDBLOCK) {
      return fail (error, HELIX_PROBE_ERROR_CLOSED,
          "the other end closed the connection (%s)", g_strerror (errno));
    } else if (!wait_for (self->fd, POLLOUT, deadline)) {
      return fail (
          error, HELIX_PROBE_ERROR_SILENT, "it takes nothing that it is sent");
    }
  }
  return TRUE;
}

/* ---- who is it, if not one of ours? ---- */

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

static gboolean
foreign (HelixProbe *self, const gchar *why, GError **error)
{
  g_autoptr (GString) bytes = g_string_new (NULL);

  for (guint i = 0; i < G_N_ELEMENTS (strangers); i++)
    if (self->n_first >= strlen (strangers[i].begins)
        && memcmp (
               self->first, strangers[i].begins, strlen (strangers[i].begins))
            == 0)
      return fail (error, HELIX_PROBE_ERROR_FOREIGN, "%s answers there",
          strangers[i].who);
  for (guint i = 0; i < self->n_first; i++)
    g_string_append_c (
        bytes, g_ascii_isprint (self->first[i]) ? (gchar) self->first[i] : '.');
  return fail (error, HELIX_PROBE_ERROR_FOREIGN,
      "what answers there is not helix: %s (it began with \"%s\")", why,
      bytes->str);
}

/* The types of the dialect before version 1, see helix-protocol.h. */
static gboolean
is_old (guint8 type)
{
  return (type >= 0x01 && type <= 0x05) || (type >= 0x20 && type <= 0x22)
      || type == 0x30 || type == 0x31;
}

static gboolean
old (GError **error)
{
  return fail (error, HELIX_PROBE_ERROR_OLD,
      "it speaks the dialect from before version 1 of the protocol");
}

/* ---- messages ---- */

static gboolean
take_error (HelixProbe *self, GError **error)
{
  const struct helix_reader *r = &self->reader;
  struct helix_error message;
  gchar text[HELIX_MAX_TEXT + 1];
  const gchar *why;

  if (!helix_unpack_error (&message, text, r->payload, r->payload_size, &why))
    return foreign (self, why, error);
  /* The old dialect's codes were negative. */
  if ((gint32) message.code < 0)
    return old (error);
  if (!helix_error_is_fatal (message.code))
    return TRUE;
  self->refusal = message;
  memcpy (self->refusal_text, text, sizeof text);
  return fail (error, HELIX_PROBE_ERROR_REFUSED, "it refuses (%s): %s",
      helix_error_name (message.code), text);
}

static gboolean
take_scanout (HelixProbe *self, GError **error)
{
  const struct helix_reader *r = &self->reader;
  struct helix_scanout scanout;
  const gchar *why;

  if (!helix_unpack_scanout (&scanout, r->payload, r->payload_size, &why))
    return foreign (self, why, error);
  if (r->header.channel == 0 && scanout.scanout < HELIX_MAX_SCANOUTS) {
    self->scanouts[scanout.scanout] = scanout;
    self->scanouts_known |= 1u << scanout.scanout;
  }
  return TRUE;
}

/* A whole message is in the reader. *mine: the caller is to see it. */
static gboolean
take_message (
    HelixProbe *self, guint64 deadline, gboolean *mine, GError **error)
{
  const struct helix_reader *r = &self->reader;
  guint8 message[HELIX_MAX_MESSAGE];
  gchar text[HELIX_MAX_TEXT + 1];
  struct helix_pong pong;
  struct helix_bye bye;
  const gchar *why;

  *mine = TRUE;
  switch (r->header.type) {
    case HELIX_PING:
      *mine = FALSE;
      return helix_probe_send (self, message,
          helix_pack_pong_for (message, &r->header, r->payload,
              self->arrived_ns, helix_now_ns ()),
          deadline, error);
    case HELIX_PONG:
      if (r->payload_size > 0
          && helix_unpack_pong (&pong, r->payload, r->payload_size, &why))
        helix_clock_offset_add (&self->clock, &pong, self->arrived_ns);
      return TRUE;
    case HELIX_ERROR:
      return take_error (self, error);
    case HELIX_SCANOUT:
      return take_scanout (self, error);
    case HELIX_HELLO:
      return fail (error, HELIX_PROBE_ERROR_FOREIGN,
          "it sends back what it is sent, or is a client itself");
    case HELIX_BYE:
      if (!helix_unpack_bye (&bye, text, r->payload, r->payload_size, &why))
        return foreign (self, why, error);
      return fail (error, HELIX_PROBE_ERROR_CLOSED,
          "the other end said goodbye%s%s", *text ? ": " : "", text);
    default:
      return is_old (r->header.type) ? old (error) : TRUE;
  }
}

/* Makes room for the bytes of a bulk message that are to be kept. */
static gboolean
take_head (HelixProbe *self, GError **error)
{
  guint size = self->reader.bulk_size;

  g_clear_pointer (&self->bulk, g_free);
  if (!self->keep_bulk)
    return TRUE;
  self->bulk = g_try_malloc (size);
  if (self->bulk == NULL)
    return fail (
        error, HELIX_PROBE_ERROR_FAILED, "no memory for %u bytes", size);
  helix_reader_bulk (&self->reader, self->bulk);
  return TRUE;
}

/* Reads something. *whole: a message is complete. */
static gboolean
receive (HelixProbe *self, guint64 deadline, gboolean *whole, GError **error)
{
  uint8_t *ptr;
  size_t len;
  gssize n;

  *whole = FALSE;
  helix_reader_want (&self->reader, &ptr, &len);
  n = helix_transport_read (self->fd, ptr, (gsize) len);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
    if (wait_for (self->fd, POLLIN, deadline))
      return TRUE;
    return fail (error, HELIX_PROBE_ERROR_SILENT,
        self->n_first == 0 ? "it says nothing" : "it says nothing more");
  }
  if (n <= 0)
    return fail (error, HELIX_PROBE_ERROR_CLOSED,
        "the other end closed the connection%s%s", n < 0 ? ": " : "",
        n < 0 ? g_strerror (errno) : "");
  if (self->n_first < sizeof self->first) {
    guint some = MIN ((guint) n, (guint) sizeof self->first - self->n_first);

    memcpy (self->first + self->n_first, ptr, some);
    self->n_first += some;
  }
  switch (helix_reader_got (&self->reader, (size_t) n)) {
    case HELIX_READER_HEAD:
      return take_head (self, error);
    case HELIX_READER_ERROR:
      return foreign (self, self->reader.why, error);
    case HELIX_READER_MESSAGE:
      self->arrived_ns = helix_now_ns ();
      /* What is kept is of this message, or of none. */
      if (self->reader.bulk_size == 0)
        g_clear_pointer (&self->bulk, g_free);
      *whole = TRUE;
      break;
    case HELIX_READER_MORE:
      break;
  }
  return TRUE;
}

/* As next (), but PONG comes out, too. */
static gboolean
next_any (HelixProbe *self, guint64 deadline, GError **error)
{
  gboolean mine = FALSE;

  while (!mine) {
    gboolean whole;

    if (!receive (self, deadline, &whole, error)
        || (whole && !take_message (self, deadline, &mine, error)))
      return FALSE;
    /* Whoever never stops talking cannot make us stay. */
    if (!mine && helix_now_ns () > deadline)
      return fail (error, HELIX_PROBE_ERROR_SILENT,
          "it talks, but does not say what it was asked for");
  }
  return TRUE;
}

gboolean
helix_probe_next (HelixProbe *self, guint64 deadline, GError **error)
{
  do {
    if (!next_any (self, deadline, error))
      return FALSE;
  } while (self->reader.header.type == HELIX_PONG);
  return TRUE;
}

/* Messages until one of `type`. */
static gboolean
await (HelixProbe *self, guint8 type, guint64 deadline, GError **error)
{
  do {
    if (!next_any (self, deadline, error))
      return FALSE;
    if (self->reader.header.type != type && helix_now_ns () > deadline)
      return fail (error, HELIX_PROBE_ERROR_SILENT,
          "it talks, but does not say what it was asked for");
  } while (self->reader.header.type != type);
  return TRUE;
}

/* ---- questions ---- */

/* Sends a question. Whoever closes instead of taking it has said why before:
 * that is the better error. */
static gboolean
ask (HelixProbe *self, const guint8 *message, gsize size, guint64 deadline,
    GError **error)
{
  g_autoptr (GError) mine = NULL;
  g_autoptr (GError) last = NULL;

  if (helix_probe_send (self, message, size, deadline, &mine))
    return TRUE;
  if (mine->code == HELIX_PROBE_ERROR_CLOSED)
    while (next_any (self, deadline, &last))
      ;
  if (last != NULL && last->code != HELIX_PROBE_ERROR_CLOSED
      && last->code != HELIX_PROBE_ERROR_SILENT)
    g_propagate_error (error, g_steal_pointer (&last));
  else
    g_propagate_error (error, g_steal_pointer (&mine));
  return FALSE;
}

gboolean
helix_probe_ping (
    HelixProbe *self, guint64 deadline, guint64 *round_trip, GError **error)
{
  guint8 message[HELIX_MAX_MESSAGE];
  guint64 before = helix_now_ns ();

  if (!ask (self, message, helix_pack_empty (message, HELIX_PING, 0), deadline,
          error)
      || !await (self, HELIX_PONG, deadline, error))
    return FALSE;
  *round_trip = self->arrived_ns - before;
  return TRUE;
}

static gboolean
check_welcome (
    HelixProbe *self, const struct helix_hello *hello, GError **error)
{
  const struct helix_reader *r = &self->reader;
  guint32 misfits;
  const gchar *why;

  if (!helix_unpack_welcome (&self->welcome, self->name, self->proof.challenge,
          r->payload, r->payload_size, &why))
    return foreign (self, why, error);
  if (self->welcome.nonce != hello->nonce || self->welcome.role != hello->role)
    return foreign (self, "its WELCOME is for somebody else", error);
  if (self->welcome.version < HELIX_VERSION_MIN
      || self->welcome.version > HELIX_VERSION_MAX)
    return foreign (self, "its WELCOME has a version not asked for", error);
  misfits = (self->welcome.features ^ hello->features) & HELIX_FEATURE_PROOF;
  if (misfits & self->welcome.features)
    return foreign (self, "its WELCOME asks for a proof not offered", error);
  if (misfits)
    return fail (error, HELIX_PROBE_ERROR_UNASKED,
        "it does not ask for the token, so it may be another program");
  return TRUE;
}

/* Both ends show that they know the token, if the server has asked for it. */
static gboolean
prove (HelixProbe *self, const gchar *token, guint64 deadline, GError **error)
{
  const struct helix_reader *r = &self->reader;
  guint8 message[HELIX_MAX_MESSAGE];
  struct helix_proof proof;
  const gchar *why;

  if (!(self->welcome.features & HELIX_FEATURE_PROOF))
    return TRUE;
  if (!ask (self, message,
          helix_proof_pack (message, HELIX_PROOF_CLIENT, token, &self->proof),
          deadline, error)
      || !await (self, HELIX_PROOF, deadline, error))
    return FALSE;
  if (!helix_unpack_proof (&proof, r->payload, r->payload_size, &why))
    return foreign (self, why, error);
  if (!helix_proof_is_right (&proof, HELIX_PROOF_SERVER, token, &self->proof))
    return fail (error, HELIX_PROBE_ERROR_UNPROVED,
        "its own proof of the token is wrong, so it may be another program");
  return TRUE;
}

gboolean
helix_probe_hello (HelixProbe *self, enum helix_role role, const gchar *token,
    guint64 deadline, GError **error)
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

  if (helix_random (&hello.nonce, sizeof hello.nonce) < 0)
    return fail (error, HELIX_PROBE_ERROR_FAILED,
        "this system gives no random bytes: %s", g_strerror (errno));
  self->proof.nonce = hello.nonce;
  if (self->serial) {
    if (!helix_probe_send (self, pad, sizeof pad, deadline, error))
      return FALSE;
    helix_reader_scan (&self->reader, HELIX_WELCOME, hello.nonce);
  }
  self->welcomed =
      ask (self, message,
          helix_pack_hello (message, &hello, "helix " HELIX_PACKAGE_VERSION),
          deadline, error)
      && await (self, HELIX_WELCOME, deadline, error)
      && check_welcome (self, &hello, error)
      && prove (self, token, deadline, error);
  return self->welcomed;
}

void
helix_listing_clear (HelixListing *listing)
{
  if (listing->clients != NULL)
    g_array_unref (listing->clients);
  memset (listing, 0, sizeof *listing);
}

/* When it connected, on the clock of the server's uptime: every listing says
 * the same. */
static guint64
born (const HelixListing *listing, const HelixListed *client)
{
  return listing->status.uptime_ns - client->info.connected_ns;
}

gchar *
helix_listed_words (const HelixListed *client)
{
  if (client->name[0] != '\0')
    return g_strdup (client->name);
  return g_strdup_printf ("client %u", client->info.index + 1);
}

const HelixListed *
helix_listing_find (const HelixListing *before, const HelixListing *now,
    const HelixListed *client)
{
  const HelixListed *found = NULL;
  guint64 then = born (now, client), least = SAME_NS;

  for (guint i = 0; before->clients != NULL && i < before->clients->len; i++) {
    const HelixListed *old = &g_array_index (before->clients, HelixListed, i);
    guint64 apart = born (before, old) - then;

    /* Either way round; a server may say what it likes. */
    apart = MIN (apart, 0 - apart);
    /* One process may have several of the same name. */
    if (old->info.pid == client->info.pid && apart < least
        && g_str_equal (old->name, client->name)) {
      found = old;
      least = apart;
    }
  }
  return found;
}

gboolean
helix_probe_scanout_on (const HelixProbe *self, guint index)
{
  return index < HELIX_MAX_SCANOUTS && (self->scanouts_known & 1u << index)
      && (self->scanouts[index].flags & HELIX_SCANOUT_ENABLED);
}

/* One of the messages while LIST is unanswered. *done: that was the last. */
static gboolean
take_listed (
    HelixProbe *self, HelixListing *listing, gboolean *done, GError **error)
{
  const struct helix_reader *r = &self->reader;
  HelixListed client;
  struct helix_error refused;
  gchar text[HELIX_MAX_TEXT + 1];
  const gchar *why;

  switch (r->header.type) {
    case HELIX_STATUS:
      if (!helix_unpack_status (&listing->status, listing->text, r->payload,
              r->payload_size, &why))
        return foreign (self, why, error);
      listing->taken_ns = self->arrived_ns;
      if (listing->clients == NULL)
        listing->clients = g_array_new (FALSE, FALSE, sizeof client);
      *done = listing->status.clients == 0;
      return TRUE;
    case HELIX_CLIENT:
      if (!helix_unpack_client (
              &client.info, client.name, r->payload, r->payload_size, &why))
        return foreign (self, why, error);
      if (listing->clients == NULL)
        return foreign (self, "CLIENT came before STATUS", error);
      g_array_append_val (listing->clients, client);
      *done = listing->clients->len >= listing->status.clients
          || listing->clients->len >= HELIX_LISTING_MAX;
      return TRUE;
    case HELIX_ERROR:
      *done =
          helix_unpack_error (&refused, text, r->payload, r->payload_size, &why)
          && refused.refers == HELIX_LIST;
      return TRUE;
    default:
      return TRUE;
  }
}

gboolean
helix_probe_list (
    HelixProbe *self, HelixListing *listing, guint64 deadline, GError **error)
{
  guint8 message[HELIX_MAX_MESSAGE];
  gboolean done = FALSE;

  helix_listing_clear (listing);
  if (!ask (self, message, helix_pack_empty (message, HELIX_LIST, 0), deadline,
          error))
    return FALSE;
  while (!done) {
    if (!helix_probe_next (self, deadline, error)
        || !take_listed (self, listing, &done, error))
      return FALSE;
    if (!done && helix_now_ns () > deadline)
      return fail (error, HELIX_PROBE_ERROR_SILENT,
          "it talks, but does not answer LIST");
  }
  return TRUE;
}

void
helix_probe_ask_clock (HelixProbe *self)
{
  struct helix_ping ping = {.sent_ns = helix_now_ns ()};
  guint8 message[HELIX_MAX_MESSAGE];

  /* A failure shows at the next read. */
  helix_probe_send (self, message, helix_pack_ping (message, &ping),
      ping.sent_ns + BYE_NS, NULL);
}

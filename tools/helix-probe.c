/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-probe.h"

#include <string.h>

#include "helix-platform.h"
#include "helix-transport.h"

#define NS_PER_MS G_GUINT64_CONSTANT (1000000)

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
  const HelixConnectionConfig config = {
      .name = "helix " HELIX_PACKAGE_VERSION, .serial = serial};
  HelixProbe *self = g_new0 (HelixProbe, 1);

  self->connection = helix_connection_new (fd, &config, helix_now_ns ());
  return self;
}

HelixProbe *
helix_probe_connect (const gchar *text, enum helix_role role,
    const gchar *token, guint timeout_ms, GError **error)
{
  g_autoptr (HelixAddress) address = helix_address_parse (text, error);
  guint64 deadline = helix_now_ns () + timeout_ms * NS_PER_MS;
  HelixProbe *self;
  gint fd;

  if (address == NULL)
    return NULL;
  fd = helix_transport_connect (address, NULL, (gint) timeout_ms, error);
  if (fd < 0)
    return NULL;
  self = helix_probe_new (fd, address->kind == HELIX_ADDRESS_SERIAL);
  if (helix_probe_hello (self, role, token, deadline, error))
    return self;
  helix_probe_free (self);
  g_prefix_error (error, "%s: ", text);
  return NULL;
}

void
helix_probe_free (HelixProbe *self)
{
  if (self == NULL)
    return;
  if (self->connection->live)
    helix_connection_bye (self->connection, NULL);
  helix_connection_unref (self->connection);
  g_free (self->bulk);
  g_free (self);
}

/* ---- waiting ---- */

static gboolean
fail (GError **error, HelixLoss code, const gchar *text)
{
  g_set_error_literal (error, HELIX_PROBE_ERROR, (gint) code, text);
  return FALSE;
}

static gboolean
lose (HelixProbe *self, GError **error)
{
  g_autofree gchar *text = helix_connection_describe (self->connection);

  return fail (error, self->connection->loss, text);
}

gboolean
helix_probe_violation (HelixProbe *self, const gchar *why, GError **error)
{
  helix_connection_violation (self->connection, why);
  return lose (self, error);
}

/* Makes room for the bytes of a bulk message that are to be kept. */
static void
take_head (HelixProbe *self)
{
  struct helix_reader *r = &self->connection->reader;

  g_clear_pointer (&self->bulk, g_free);
  if (self->keep_bulk)
    self->bulk = g_try_malloc (r->bulk_size);
  helix_reader_bulk (r, self->bulk);
}

static gboolean
take_message (HelixProbe *self, GError **error)
{
  const struct helix_reader *r = &self->connection->reader;
  struct helix_scanout scanout;
  struct helix_pong pong;
  const gchar *why;

  if (r->header.type == HELIX_PONG && r->payload_size > 0
      && helix_unpack_pong (&pong, r->payload, r->payload_size, &why))
    helix_clock_offset_add (&self->clock, &pong, self->connection->heard_ns);
  if (r->header.type != HELIX_SCANOUT)
    return TRUE;
  if (!helix_unpack_scanout (&scanout, r->payload, r->payload_size, &why))
    return helix_probe_violation (self, why, error);
  if (r->header.channel == 0 && scanout.scanout < HELIX_MAX_SCANOUTS) {
    self->scanouts[scanout.scanout] = scanout;
    self->scanouts_known |= 1u << scanout.scanout;
  }
  return TRUE;
}

/* Waits for the socket. FALSE: the deadline has passed. */
static gboolean
wait_until (HelixProbe *self, guint64 deadline)
{
  struct pollfd fds[2];

  helix_connection_pollfd (self->connection, &fds[1]);
  return helix_waiter_wait (NULL, fds, G_N_ELEMENTS (fds), deadline);
}

gint
helix_probe_next (HelixProbe *self, guint64 deadline, GError **error)
{
  HelixConnection *connection = self->connection;

  for (;;) {
    switch (helix_connection_read (connection)) {
      case HELIX_CONNECTION_IDLE:
        if (!wait_until (self, deadline))
          return 0;
        break;
      case HELIX_CONNECTION_HEAD:
        take_head (self);
        break;
      case HELIX_CONNECTION_LIVE:
        return HELIX_WELCOME;
      case HELIX_CONNECTION_MESSAGE:
        if (!take_message (self, error))
          return -1;
        return connection->reader.header.type;
      case HELIX_CONNECTION_LOST:
        lose (self, error);
        return -1;
      case HELIX_CONNECTION_MORE:
        /* A peer that never stops talking cannot make us stay. */
        if (helix_now_ns () > deadline)
          return 0;
        break;
    }
  }
}

/* The deadline has passed. `talks`: something came, but not the answer. */
static gboolean
fail_silent (HelixProbe *self, gboolean talks, GError **error)
{
  return fail (error, HELIX_LOSS_SILENT,
      talks ? "it talks, but does not say what it was asked for"
          : self->connection->n_first == 0 ? "it says nothing"
                                           : "it says nothing more");
}

/* Messages until one of `type`. */
static gboolean
await (HelixProbe *self, gint type, guint64 deadline, GError **error)
{
  gboolean talks = FALSE;
  gint got;

  do {
    got = helix_probe_next (self, deadline, error);
    if (got < 0)
      return FALSE;
    if (got == type)
      return TRUE;
    talks |= got != 0;
  } while (got != 0 && helix_now_ns () <= deadline);
  return fail_silent (self, talks, error);
}

/* ---- questions ---- */

gboolean
helix_probe_ping (
    HelixProbe *self, guint64 deadline, guint64 *round_trip, GError **error)
{
  guint8 message[HELIX_MAX_MESSAGE];
  guint64 before = helix_now_ns ();

  helix_connection_send (
      self->connection, message, helix_pack_empty (message, HELIX_PING, 0));
  if (!await (self, HELIX_PONG, deadline, error))
    return FALSE;
  *round_trip = self->connection->heard_ns - before;
  return TRUE;
}

gboolean
helix_probe_hello (HelixProbe *self, enum helix_role role, const gchar *token,
    guint64 deadline, GError **error)
{
  helix_connection_hello (self->connection, role, token);
  return await (self, HELIX_WELCOME, deadline, error);
}

void
helix_probe_ask_clock (HelixProbe *self)
{
  const struct helix_ping ping = {.sent_ns = helix_now_ns ()};
  guint8 message[HELIX_MAX_MESSAGE];

  helix_connection_send (
      self->connection, message, helix_pack_ping (message, &ping));
}

gboolean
helix_probe_scanout_on (const HelixProbe *self, guint index)
{
  return index < HELIX_MAX_SCANOUTS && (self->scanouts_known & 1u << index)
      && (self->scanouts[index].flags & HELIX_SCANOUT_ENABLED);
}

void
helix_probe_scanouts_json (const HelixProbe *self, JsonBuilder *json)
{
  guint n = self != NULL ? self->connection->welcome.scanouts : 0;

  helix_json_array (json, "scanouts");
  for (guint i = 0; i < n; i++) {
    helix_json_object (json, NULL);
    helix_json_add (json, JSON_UINT ("scanout", i),
        JSON_BOOL ("on", helix_probe_scanout_on (self, i)),
        JSON_UINT ("width", self->scanouts[i].width),
        JSON_UINT ("height", self->scanouts[i].height));
    json_builder_end_object (json);
  }
  json_builder_end_array (json);
}

/* ---- LIST ---- */

/* A message while LIST is unanswered. *done: that was the last. */
static gboolean
take_listed (
    HelixProbe *self, HelixListing *listing, gboolean *done, GError **error)
{
  const struct helix_reader *r = &self->connection->reader;
  HelixListed client;
  const gchar *why;

  switch (r->header.type) {
    case HELIX_STATUS:
      if (!helix_unpack_status (&listing->status, listing->text, r->payload,
              r->payload_size, &why))
        return helix_probe_violation (self, why, error);
      listing->taken_ns = self->connection->heard_ns;
      if (listing->clients == NULL)
        listing->clients = g_array_new (FALSE, FALSE, sizeof client);
      break;
    case HELIX_CLIENT:
      if (!helix_unpack_client (
              &client.info, client.name, r->payload, r->payload_size, &why))
        return helix_probe_violation (self, why, error);
      if (listing->clients == NULL)
        return helix_probe_violation (self, "CLIENT before STATUS", error);
      g_array_append_val (listing->clients, client);
      break;
    case HELIX_ERROR:
      *done = self->connection->error.refers == HELIX_LIST;
      return TRUE;
    default:
      return TRUE;
  }
  *done =
      listing->clients->len >= MIN (listing->status.clients, HELIX_LISTING_MAX);
  return TRUE;
}

gboolean
helix_probe_list (
    HelixProbe *self, HelixListing *listing, guint64 deadline, GError **error)
{
  HelixListing unwanted = {0}, *list = listing != NULL ? listing : &unwanted;
  guint8 message[HELIX_MAX_MESSAGE];
  gboolean good = TRUE, done = FALSE;

  helix_listing_clear (list);
  helix_connection_send (
      self->connection, message, helix_pack_empty (message, HELIX_LIST, 0));
  while (good && !done) {
    gint type = helix_probe_next (self, deadline, error);

    if (type > 0 && helix_now_ns () <= deadline)
      good = take_listed (self, list, &done, error);
    else
      good = type >= 0 && fail_silent (self, type > 0, error);
  }
  helix_listing_clear (&unwanted);
  return good;
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

gchar *
helix_listed_words (const HelixListed *client)
{
  if (client->name[0] != '\0')
    return g_strdup (client->name);
  return g_strdup_printf ("client %u", client->info.index + 1);
}

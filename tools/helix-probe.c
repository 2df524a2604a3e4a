/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-probe.h"

#include <string.h>

#include "helix-platform.h"

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
  const HelixConnectionConfig config = {.name = "helix " HELIX_PACKAGE_VERSION,
      .serial = serial,
      .clock = TRUE,
      .patient = TRUE};
  HelixProbe *self = g_new0 (HelixProbe, 1);

  self->connection = helix_connection_new (fd, &config, helix_now_ns ());
  return self;
}

static void
clear_listing (HelixListing *listing)
{
  g_clear_pointer (&listing->clients, g_array_unref);
}

void
helix_probe_free (HelixProbe *self)
{
  if (self == NULL)
    return;
  if (self->connection->live)
    helix_connection_bye (self->connection, NULL);
  helix_connection_unref (self->connection);
  clear_listing (&self->now);
  clear_listing (&self->before);
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

static void
take_scanout (HelixProbe *self, const struct helix_scanout *scanout)
{
  if (self->connection->reader.header.channel != 0
      || scanout->scanout >= HELIX_MAX_SCANOUTS)
    return;
  self->scanouts[scanout->scanout] = *scanout;
  self->scanouts_known |= 1u << scanout->scanout;
}

/* Remembers what the message tells. */
static gboolean
take_message (HelixProbe *self, GError **error)
{
  const struct helix_reader *r = &self->connection->reader;
  const guint8 *payload = r->payload;
  gsize size = r->payload_size;
  HelixListing *now = &self->now;
  struct helix_scanout scanout;
  struct helix_pong pong;
  HelixListed client;
  const gchar *why;
  gboolean good = TRUE;

  switch (r->header.type) {
    case HELIX_PONG: /* of a bare PING it is empty */
      if (size > 0 && helix_unpack_pong (&pong, payload, size, &why))
        helix_clock_offset_add (
            &self->clock, &pong, self->connection->heard_ns);
      break;
    case HELIX_SCANOUT:
      good = helix_unpack_scanout (&scanout, payload, size, &why);
      if (good)
        take_scanout (self, &scanout);
      break;
    case HELIX_CAPS:
      good = helix_unpack_caps (&self->caps, payload, size, &why);
      break;
    case HELIX_UNIT:
      good =
          helix_unpack_unit (&self->unit, payload, size, r->header.size, &why);
      break;
    case HELIX_STATUS:
      good = helix_unpack_status (&now->status, now->text, payload, size, &why);
      now->taken_ns = self->connection->heard_ns;
      if (now->clients == NULL)
        now->clients = g_array_new (FALSE, FALSE, sizeof client);
      break;
    case HELIX_CLIENT:
      why = "CLIENT before STATUS";
      good = now->clients != NULL
          && helix_unpack_client (
              &client.info, client.name, payload, size, &why);
      if (good && now->clients->len < HELIX_LISTING_MAX)
        g_array_append_val (now->clients, client);
      break;
    default:
      break;
  }
  return good || helix_probe_violation (self, why, error);
}

/* Waits for the socket until `deadline`. FALSE: the connection is lost. */
static gboolean
wait_until (HelixProbe *self, guint64 deadline)
{
  struct pollfd fds[2];

  if (self->keep_alive) {
    guint64 due = helix_connection_tick (self->connection, helix_now_ns ());

    if (due == 0)
      return FALSE;
    deadline = MIN (deadline, due);
  }
  helix_connection_pollfd (self->connection, &fds[1]);
  helix_waiter_wait (NULL, fds, G_N_ELEMENTS (fds), deadline);
  return TRUE;
}

gint
helix_probe_next (HelixProbe *self, guint64 deadline, GError **error)
{
  HelixConnection *connection = self->connection;

  for (;;) {
    switch (helix_connection_read (connection)) {
      case HELIX_CONNECTION_IDLE:
        if (helix_now_ns () >= deadline)
          return 0;
        if (wait_until (self, deadline))
          break;
        lose (self, error);
        return -1;
      case HELIX_CONNECTION_HEAD:
        take_head (self);
        break;
      case HELIX_CONNECTION_LIVE:
        return HELIX_WELCOME;
      case HELIX_CONNECTION_MESSAGE:
        return take_message (self, error) ? connection->reader.header.type : -1;
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

/* ---- questions ---- */

/* Whether the message of type `got`, which was read, completes the answer. */
static gboolean
is_answer (const HelixProbe *self, enum helix_type asked, gint got)
{
  const HelixListing *now = &self->now;

  switch (asked) {
    case HELIX_PING:
      return got == HELIX_PONG;
    case HELIX_HELLO:
      return got == HELIX_WELCOME;
    default:
      if (got == HELIX_ERROR)
        return self->connection->error.refers == (guint32) asked;
      return now->clients != NULL
          && now->clients->len >= MIN (now->status.clients, HELIX_LISTING_MAX);
  }
}

/* Messages until `asked` is answered. */
static gboolean
await (
    HelixProbe *self, enum helix_type asked, guint64 deadline, GError **error)
{
  gboolean talks = FALSE;
  gint got;

  do {
    got = helix_probe_next (self, deadline, error);
    if (got < 0)
      return FALSE;
    if (got > 0 && is_answer (self, asked, got))
      return TRUE;
    talks |= got != 0;
  } while (got != 0 && helix_now_ns () <= deadline);
  return fail (error, HELIX_LOSS_SILENT,
      talks ? "it talks, but does not say what it was asked for"
          : self->connection->n_first == 0 ? "it says nothing"
                                           : "it says nothing more");
}

static void
send_empty (HelixProbe *self, enum helix_type type)
{
  guint8 message[HELIX_MAX_MESSAGE];

  helix_connection_send (
      self->connection, message, helix_pack_empty (message, type, 0));
}

gboolean
helix_probe_ping (
    HelixProbe *self, guint64 deadline, guint64 *round_trip, GError **error)
{
  guint64 before = helix_now_ns ();

  send_empty (self, HELIX_PING);
  if (!await (self, HELIX_PING, deadline, error))
    return FALSE;
  *round_trip = self->connection->heard_ns - before;
  return TRUE;
}

gboolean
helix_probe_hello (HelixProbe *self, enum helix_role role, const gchar *token,
    guint64 deadline, GError **error)
{
  helix_connection_hello (self->connection, role, token);
  return await (self, HELIX_HELLO, deadline, error);
}

gboolean
helix_probe_list (HelixProbe *self, guint64 deadline, GError **error)
{
  clear_listing (&self->before);
  self->before = self->now;
  memset (&self->now, 0, sizeof self->now);
  send_empty (self, HELIX_LIST);
  return await (self, HELIX_LIST, deadline, error);
}

/* ---- what was told ---- */

gboolean
helix_probe_scanout_on (const HelixProbe *self, guint index)
{
  return index < HELIX_MAX_SCANOUTS && (self->scanouts_known & 1u << index)
      && (self->scanouts[index].flags & HELIX_SCANOUT_ENABLED);
}

gchar *
helix_probe_scanouts_words (const HelixProbe *self)
{
  GString *words = g_string_new (NULL);

  for (guint i = 0; i < self->connection->welcome.scanouts; i++) {
    const struct helix_scanout *s = &self->scanouts[i];

    g_string_append_printf (words, "%s%u:", i > 0 ? " " : "", i);
    if (!(self->scanouts_known & 1u << i))
      g_string_append (words, "not exported");
    else if (!helix_probe_scanout_on (self, i))
      g_string_append (words, "off");
    else
      g_string_append_printf (words, "%ux%u", s->width, s->height);
  }
  return g_string_free (words, FALSE);
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

/* When it connected, on the clock of the server's uptime: every listing says
 * the same. */
static guint64
born (const HelixListing *listing, const HelixListed *client)
{
  return listing->status.uptime_ns - client->info.connected_ns;
}

const HelixListed *
helix_probe_earlier (const HelixProbe *self, const HelixListed *client)
{
  const HelixListing *before = &self->before;
  const HelixListed *found = NULL;
  guint64 then = born (&self->now, client), least = SAME_NS;

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

void
helix_listed_json (const HelixListed *client, JsonBuilder *json)
{
  const struct helix_client *info = &client->info;

  helix_json_add (json,
      JSON_TEXT ("name", client->name[0] ? client->name : NULL),
      JSON_KNOWN ("pid", info->pid, 0),
      JSON_TEXT ("role",
          info->role == HELIX_ROLE_CONTROL      ? "control"
              : info->role == HELIX_ROLE_STREAM ? "stream"
                                                : "frames"),
      JSON_KNOWN ("scanout", info->scanout, HELIX_NONE32),
      JSON_UINT ("resource", info->resource_id),
      JSON_UINT ("sent", info->frames),
      JSON_KNOWN ("dropped", info->dropped, HELIX_NONE64),
      JSON_KNOWN ("received", info->received, HELIX_NONE64),
      JSON_MS ("latency_ms", info->latency_ns),
      JSON_MS ("age_ms", info->last_ns),
      JSON_MS ("connected_ms", info->connected_ns));
}

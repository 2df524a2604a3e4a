/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What peers wish of the host's pipeline, brought into an order that the
 * pipeline can bear, and what they want to know about the server.
 */
#include "helix-platform.h"
#include "helix-stream-server-private.h"

#define SECOND G_GUINT64_CONSTANT (1000000000)

#define WISH_GAP_NS (SECOND / HELIX_STREAM_SERVER_WISHES)

/* Between two pictures to be shown: more than any screen has in a second. */
#define SHOW_GAP_NS (SECOND / 250)

/* What a wish for one of these and SHOW both decide: the later one has it. */
#define PICTURE (HELIX_CONFIG_SCANOUT | HELIX_CONFIG_RESOURCE)

/* CLIENT messages in one answer: with the longest names they, and STATUS, are
 * less than the 64 KiB of control messages that may wait for a peer. */
#define MAX_LISTED 256

/* ---- wishes ---- */

static void
take_wish (HelixStreamServer *self, const struct helix_config *wish, guint id)
{
  self->wish_order++;
  for (guint i = 0; i < HELIX_STREAM_N_WISHES; i++)
    if (wish->fields & 1u << i)
      self->wishes[i] = (HelixStreamWish){TRUE, id, self->wish_order};
  if (wish->fields & HELIX_CONFIG_BITRATE)
    self->wish.bitrate = wish->bitrate;
  if (wish->fields & HELIX_CONFIG_RATE) {
    self->wish.rate_num = wish->rate_num;
    self->wish.rate_den = wish->rate_den;
  }
  if (wish->fields & HELIX_CONFIG_SCANOUT)
    self->wish.scanout = wish->scanout;
  if (wish->fields & HELIX_CONFIG_RESOURCE)
    self->wish.resource_id = wish->resource_id;
  if (wish->fields & PICTURE) {
    self->shower_id = 0;
    self->show.resource_id = 0; /* it came before, and waited too long */
  }
}

/* The field that has waited longest, or NULL. */
static const HelixStreamWish *
first_wish (const HelixStreamServer *self)
{
  const HelixStreamWish *first = NULL;

  for (guint i = 0; i < HELIX_STREAM_N_WISHES; i++)
    if (self->wishes[i].waits
        && (first == NULL || self->wishes[i].order < first->order))
      first = &self->wishes[i];
  return first;
}

static gboolean
waits (const HelixStreamServer *self, guint32 fields)
{
  for (guint i = 0; i < HELIX_STREAM_N_WISHES; i++)
    if (self->wishes[i].waits && fields & 1u << i)
      return TRUE;
  return FALSE;
}

/* One callback for each peer that has the last word on something. */
static void
tell_wishes (HelixStreamServer *self)
{
  const HelixStreamWish *first;

  while ((first = first_wish (self)) != NULL) {
    HelixStreamNote *note = helix_stream_server_note (
        self, HELIX_STREAM_NOTE_WISH, first->id, NULL);

    note->wish = self->wish; /* the values; which of them, follows */
    note->wish.fields = 0;
    for (guint i = 0; i < HELIX_STREAM_N_WISHES; i++) {
      if (!self->wishes[i].waits || self->wishes[i].id != note->id)
        continue;
      note->wish.fields |= 1u << i;
      self->wishes[i].waits = FALSE;
    }
  }
}

guint64
helix_stream_server_tick_wishes (HelixStreamServer *self, guint64 now)
{
  guint64 next = G_MAXUINT64;

  if (!self->obeys)
    return G_MAXUINT64;
  if (first_wish (self) != NULL) {
    if (now >= self->wish_at) {
      self->wish_at = now + WISH_GAP_NS;
      tell_wishes (self);
    } else {
      next = self->wish_at;
    }
  }
  /* A wish that waits is older than a SHOW that waits (take_wish), and must
   * not undo it later. */
  if (self->show.resource_id == 0 || waits (self, PICTURE))
    return next;
  if (now < self->show_at)
    return MIN (next, self->show_at);
  self->show_at = now + SHOW_GAP_NS;
  helix_stream_server_note (self, HELIX_STREAM_NOTE_SHOW, self->show_id, NULL)
      ->show = self->show;
  self->show.resource_id = 0;
  return next;
}

/* ---- LIST ---- */

/* An age, or HELIX_NONE64 of what never was. */
static guint64
age (guint64 then, guint64 now)
{
  if (then == 0)
    return HELIX_NONE64;
  return now > then ? now - then : 0;
}

static guint
count_listed (HelixStreamServer *self)
{
  guint n = helix_stream_server_live (self, HELIX_ROLE_STREAM)
      + helix_stream_server_live (self, HELIX_ROLE_CONTROL);

  return MIN (n, MAX_LISTED);
}

static void
say_status (HelixStreamServer *self, HelixStreamSession *asker, guint64 now)
{
  struct helix_status status = {
      .uptime_ns = now - self->started,
      .frames = self->units,
      .bytes = self->bytes,
      .dropped = helix_stream_server_dropped (self),
      .keyframes = self->keyframes,
      .last_ns = age (self->last_unit, now),
      .clients = count_listed (self),
      .width = self->caps.width,
      .height = self->caps.height,
      .encode_us = self->encode_us,
  };
  guint8 message[HELIX_MAX_MESSAGE];

  helix_stream_session_say (
      asker, message, helix_pack_status (message, &status, self->description));
}

/* A guest is not told the other clients' names, nor this host's ports, paths
 * and processes. */
static gchar *
name_for (const HelixStreamSession *asker, const HelixStreamSession *session)
{
  if (asker->is_local)
    return g_strconcat (session->name, session->name[0] != '\0' ? ", " : "",
        session->peer, NULL);
  return g_strdup (session == asker ? session->name : "");
}

static void
say_client (HelixStreamSession *asker, const HelixStreamSession *session,
    guint index, guint64 now)
{
  gboolean told = session->told.units > 0;
  struct helix_client client = {
      .index = index,
      .flags = session == asker ? HELIX_CLIENT_YOU : 0,
      .role = session->role,
      .scanout = HELIX_NONE32,
      .connected_ns = age (session->live_since, now),
      .frames = session->out.sent_units,
      .dropped = session->dropped,
      .received = told ? session->told.units : HELIX_NONE64,
      .latency_ns = told ? session->told.latency_ns : HELIX_NONE64,
      .last_ns = age (session->last_unit, now),
  };
  g_autofree gchar *name = name_for (asker, session);
  guint8 message[HELIX_MAX_MESSAGE];

  helix_stream_session_say (
      asker, message, helix_pack_client (message, &client, name));
}

/* In the order of their coming. If there are more than are named, the asker
 * is named all the same. */
static void
answer_list (HelixStreamServer *self, HelixStreamSession *asker, guint64 now)
{
  guint places = count_listed (self), index = 0;
  gboolean named = FALSE;

  say_status (self, asker, now);
  for (guint i = 0; i < self->sessions->len && index < places; i++) {
    const HelixStreamSession *session = self->sessions->pdata[i];

    if (session->state != HELIX_STREAM_SESSION_LIVE
        || (session != asker && !named && index + 1 == places))
      continue;
    named |= session == asker;
    say_client (asker, session, index++, now);
  }
}

void
helix_stream_server_heed (
    HelixStreamServer *self, HelixStreamSession *session, guint64 now)
{
  if (session->wish.fields != 0) {
    take_wish (self, &session->wish, session->id);
    session->wish.fields = 0;
  }
  if (session->show.resource_id != 0) {
    self->show = session->show;
    self->show_id = self->shower_id = session->id;
    session->show.resource_id = 0;
  }
  /* One answer at a time: the peer's reading sets the pace. */
  if (session->lists > 0 && session->state == HELIX_STREAM_SESSION_LIVE
      && helix_stream_session_listens (session)) {
    session->lists--;
    answer_list (self, session, now);
  }
}

void
helix_stream_server_forget (HelixStreamServer *self, guint id)
{
  const struct helix_config scanout = {.fields = HELIX_CONFIG_RESOURCE};

  if (self->shower_id != id)
    return;
  self->show.resource_id = 0;
  take_wish (self, &scanout, id);
}

/* ---- for callbacks ---- */

void
helix_stream_server_tell (HelixStreamServer *self, guint id,
    enum helix_error_code code, enum helix_type refers, const gchar *text)
{
  pthread_mutex_lock (&self->lock);
  for (guint i = 0; i < self->sessions->len; i++) {
    HelixStreamSession *session = self->sessions->pdata[i];

    if (session->id == id && session->state == HELIX_STREAM_SESSION_LIVE)
      helix_stream_session_refuse (session, code, refers, text, 0);
  }
  pthread_mutex_unlock (&self->lock);
  helix_wakeup_raise (self->wakeup);
}

void
helix_stream_server_want_key (HelixStreamServer *self)
{
  pthread_mutex_lock (&self->lock);
  self->key_wanted = TRUE;
  pthread_mutex_unlock (&self->lock);
  helix_wakeup_raise (self->wakeup);
}

void
helix_stream_server_obey (HelixStreamServer *self)
{
  pthread_mutex_lock (&self->lock);
  self->obeys = TRUE;
  pthread_mutex_unlock (&self->lock);
  helix_wakeup_raise (self->wakeup);
}

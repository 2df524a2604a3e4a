/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * LIST: how the shim does, and whom it serves.
 */
#include <stdio.h>
#include <string.h>

#include "helix-platform.h"
#include "helix-session.h"

/* CLIENTs of one answer: 28 KiB at most, so that it fits the outbox. */
#define MOST_LISTED 128u

/* "0 1920x1080, 1 off": what there is to see, for a person. */
static void
describe_scanouts (struct helix_shim *shim, char text[HELIX_MAX_TEXT + 1])
{
  struct helix_surface now[HELIX_MAX_SCANOUTS];
  size_t room = HELIX_MAX_TEXT + 1, at = 0;

  pthread_mutex_lock (&shim->lock);
  for (uint32_t i = 0; i < HELIX_MAX_SCANOUTS; i++)
    now[i] = shim->scanout[i].surface;
  pthread_mutex_unlock (&shim->lock);
  text[0] = '\0';
  for (uint32_t i = 0; i < shim->config.scanouts; i++) {
    const struct helix_rect *rect = &now[i].rect;

    if (!(shim->config.scanout_mask & 1u << i))
      continue;
    at += (size_t) snprintf (
        text + at, room - at, "%s%u ", at ? ", " : "scanouts: ", i);
    at += now[i].resource_id ? (size_t) snprintf (
              text + at, room - at, "%ux%u", rect->width, rect->height)
                             : (size_t) snprintf (text + at, room - at, "off");
  }
}

static int
by_number (gconstpointer left, gconstpointer right)
{
  const struct helix_session *a = *(struct helix_session *const *) left;
  const struct helix_session *b = *(struct helix_session *const *) right;

  return (a->number > b->number) - (a->number < b->number);
}

/* Who has said HELLO, in order of coming; the asker always. */
static GPtrArray *
open_sessions (struct helix_session *self)
{
  const GPtrArray *all = self->shim->sessions;
  GPtrArray *open = g_ptr_array_new ();

  for (guint i = 0; i < all->len; i++) {
    struct helix_session *session = g_ptr_array_index (all, i);

    if (session->state == HELIX_SESSION_OPEN && !session->dead
        && session != self)
      g_ptr_array_add (open, session);
  }
  g_ptr_array_sort (open, by_number);
  if (open->len >= MOST_LISTED)
    g_ptr_array_set_size (open, MOST_LISTED - 1);
  g_ptr_array_add (open, self);
  g_ptr_array_sort (open, by_number);
  return open;
}

static uint64_t
age (uint64_t now, uint64_t then)
{
  return then ? now - then : HELIX_NONE64;
}

static void
send_status (struct helix_session *self, uint64_t now, uint32_t clients)
{
  struct helix_shim *shim = self->shim;
  uint8_t message[HELIX_MAX_MESSAGE];
  char text[HELIX_MAX_TEXT + 1];
  struct helix_status status = {0};
  struct helix_shim_stats stats;

  helix_shim_get_stats (shim, &stats);
  status.uptime_ns = now - shim->born_ns;
  status.frames = stats.frames;
  status.bytes = stats.readback_bytes;
  status.dropped = stats.no_credit;
  status.last_ns = age (now, shim->last_frame_ns);
  status.clients = clients;
  describe_scanouts (shim, text);
  helix_session_send (
      self, message, helix_pack_status (message, &status, text));
}

/* What the session's first subscription watches. */
static void
describe_watched (
    const struct helix_session *session, struct helix_client *client)
{
  struct helix_shim *shim = session->shim;

  client->scanout = HELIX_NONE32;
  for (uint32_t i = 0; i < HELIX_MAX_CHANNELS; i++) {
    const struct helix_subscription *sub = session->channel[i];

    if (!sub)
      continue;
    client->scanout = sub->scanout;
    pthread_mutex_lock (&shim->lock);
    client->resource_id = sub->resource_now;
    pthread_mutex_unlock (&shim->lock);
    return;
  }
}

static void
send_client (struct helix_session *self, const struct helix_session *session,
    uint64_t now, uint32_t index)
{
  uint8_t message[HELIX_MAX_MESSAGE];
  struct helix_client client = {0};

  client.index = index;
  client.flags = session == self ? HELIX_CLIENT_YOU : 0;
  client.pid = session->pid > 0 ? (uint32_t) session->pid : session->told_pid;
  client.role = HELIX_ROLE_FRAMES;
  describe_watched (session, &client);
  client.connected_ns = now - session->born_ns;
  client.frames = session->frames;
  client.dropped = session->dropped;
  for (uint32_t i = 0; i < HELIX_MAX_CHANNELS; i++)
    if (session->channel[i])
      client.dropped += helix_subscription_dropped (session->channel[i]);
  client.received = HELIX_NONE64;
  client.latency_ns = HELIX_NONE64;
  client.last_ns = age (now, session->last_frame_ns);
  helix_session_send (
      self, message, helix_pack_client (message, &client, session->name));
}

void
helix_session_list (struct helix_session *self)
{
  uint64_t now = helix_now_ns ();
  GPtrArray *open;

  if (!helix_session_spend (
          &self->lists, HELIX_LIST_BURST, HELIX_LIST_EVERY_NS)) {
    helix_session_complain (self, 0, HELIX_ERROR_LIMIT, HELIX_LIST,
        "too many LISTs; wait a second");
    return;
  }
  open = open_sessions (self);
  send_status (self, now, open->len);
  for (guint i = 0; i < open->len; i++)
    send_client (self, g_ptr_array_index (open, i), now, i);
  g_ptr_array_free (open, TRUE);
}

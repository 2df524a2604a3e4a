/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the client is to show: wishes, SHOWs, and what to go back to when the
 * shim refuses them.
 */
#include "helix-frame-client-private.h"

#include "helix-pack.h"
#include "helix-platform.h"

/* ns between two SUBSCRIBEs: the shim takes 32 a second, each being a whole
 * readback, and somebody's slider may change a wish far more often. */
#define SUBSCRIBE_EVERY (40 * GST_MSECOND)
/* ns between two SHOWs. A shim that is stopped reads none of them, and the
 * socket has to hold 3 s worth until that is noticed. */
#define SHOW_EVERY (2 * GST_MSECOND)

static gboolean
same_target (const HelixFrameWish *a, const HelixFrameWish *b)
{
  return a->scanout == b->scanout && a->resource_id == b->resource_id;
}

static void
set_target (HelixFrameWish *wish, const HelixFrameWish *target)
{
  wish->scanout = target->scanout;
  wish->resource_id = target->resource_id;
}

void
helix_frame_client_subscribe (
    HelixFrameClient *client, const HelixFrameWish *wish, gboolean on_trial)
{
  pthread_mutex_lock (&client->lock);
  if (!same_target (wish, &client->wish)) {
    client->shown = client->show.resource_id = 0;
    client->on_trial = on_trial;
  }
  client->wish = *wish;
  client->wish_changed = TRUE;
  pthread_mutex_unlock (&client->lock);
  helix_frame_link_wakeup (client->link);
}

void
helix_frame_client_get_wish (HelixFrameClient *client, HelixFrameWish *wish)
{
  pthread_mutex_lock (&client->lock);
  *wish = client->wish;
  pthread_mutex_unlock (&client->lock);
}

/* Under the lock: sends what is to be shown, or returns when to try again. */
static guint64
send_show (HelixFrameClient *client)
{
  guint8 message[HELIX_MAX_MESSAGE];
  guint64 now = helix_now_ns ();

  /* Behind a new subscription, and on its channel. */
  if (client->show.resource_id == 0 || client->channel == 0
      || client->wish_changed)
    return HELIX_NONE64;
  if (now < client->show_ns + SHOW_EVERY)
    return client->show_ns + SHOW_EVERY;
  helix_frame_link_send (client->link, client->epoch, message,
      helix_pack_show (message, client->channel, &client->show));
  client->show_ns = now;
  client->show.resource_id = 0;
  return HELIX_NONE64;
}

void
helix_frame_client_show (
    HelixFrameClient *client, guint resource_id, guint64 capture_ns)
{
  gboolean left;

  pthread_mutex_lock (&client->lock);
  if (resource_id == 0 && client->shown != 0)
    client->wish_changed = TRUE;
  client->show = (struct helix_show){resource_id, 0, capture_ns};
  client->shown = resource_id;
  send_show (client);
  left = client->show.resource_id != 0 || client->wish_changed;
  pthread_mutex_unlock (&client->lock);
  if (left)
    helix_frame_link_wakeup (client->link);
}

void
helix_client_take_wish (HelixFrameClient *client)
{
  client->asked = client->wish;
  if (client->shown != 0)
    client->asked.resource_id = client->shown;
  client->wish_changed = FALSE;
  client->subscribed_ns = helix_now_ns ();
}

/* Under the lock. */
static void
note_channel (HelixFrameClient *client)
{
  guint16 channel;
  guint epoch;

  if (!helix_frame_session_channel (client->session, &channel, &epoch))
    return;
  client->channel = channel;
  client->epoch = epoch;
}

void
helix_client_apply_wish (HelixFrameClient *client, guint64 *due)
{
  HelixFrameWish before = client->asked;
  guint64 next;

  pthread_mutex_lock (&client->lock);
  if (client->wish_changed) {
    next = client->subscribed_ns + SUBSCRIBE_EVERY;
    if (helix_now_ns () >= next) {
      helix_client_take_wish (client);
      client->stats.switches += !same_target (&before, &client->asked);
      helix_frame_session_subscribe (client->session, &client->asked);
      note_channel (client);
    } else {
      *due = MIN (*due, next);
    }
  }
  next = send_show (client);
  *due = MIN (*due, next);
  pthread_mutex_unlock (&client->lock);
}

void
helix_client_note_session (HelixFrameClient *client)
{
  pthread_mutex_lock (&client->lock);
  note_channel (client);
  client->scanouts = helix_frame_session_scanouts (client->session);
  if (helix_frame_session_confirmed (client->session) && !client->wish_changed
      && client->shown == 0) {
    client->proven = client->wish;
    if (!client->on_trial)
      client->base = client->wish;
  }
  pthread_mutex_unlock (&client->lock);
}

gboolean
helix_client_fall_back (HelixFrameClient *client)
{
  gboolean ok = TRUE;

  pthread_mutex_lock (&client->lock);
  if (client->wish_changed)
    goto out; /* that */
  if (client->shown != 0)
    client->shown = client->show.resource_id = 0;
  else if (!same_target (&client->wish, &client->proven))
    set_target (&client->wish, &client->proven);
  else if (!same_target (&client->wish, &client->base))
    set_target (&client->wish, &client->base);
  else
    ok = FALSE;
  /* Once each: neither is tried again before it is confirmed again. */
  client->proven = client->base;
  client->wish_changed = ok;
out:
  pthread_mutex_unlock (&client->lock);
  return ok;
}

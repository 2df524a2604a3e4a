/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-frame-client.h"

#include <errno.h>

#include "helix-backoff.h"
#include "helix-discovery.h"
#include "helix-platform.h"

GST_DEBUG_CATEGORY (helix_frames_debug);
#define GST_CAT_DEFAULT helix_frames_debug

/* ns of an outage in which the last picture is not repeated (repeat_at ()):
 * several attempts to connect. */
#define HOLD_BACK (300 * GST_MSECOND)

/* ns without a look at the connection, which is had once a second at least:
 * this program was stopped, or downstream was. The frames that came meanwhile
 * are old, and may be followed by none: so the picture is asked for anew. */
#define STALL (2 * GST_SECOND)

/* ns between two SUBSCRIBEs: the shim takes 32 a second, each being a whole
 * readback, and a slider may change a request far more often. */
#define SUBSCRIBE_EVERY (40 * GST_MSECOND)
/* ns between two SHOWs. A shim that is stopped reads none of them, and the
 * socket has to hold 3 s worth until that is noticed. */
#define SHOW_EVERY (2 * GST_MSECOND)

struct _HelixFrameClient {
  HelixFrameClientConfig config; /* owns its strings */
  HelixWaiter waiter;
  gint flushing; /* atomic */
  gint paused;   /* atomic */
  gint poked;    /* atomic */
  gint in_time;  /* atomic: us, for helix_frame_connection_read () */

  pthread_mutex_t lock; /* of what follows; ThreadSanitizer knows no GMutex */
  HelixFrameClientState state;
  gboolean on_trial;         /* the request */
  gboolean unsent;           /* the shim has not been asked for that yet */
  HelixFrameRequest granted; /* the last request that the shim granted, and */
  HelixFrameRequest own;     /* the last of those not on trial: see fall_back */
  guint shown; /* resource, by show (): goes before the request's; 0 = none */
  gboolean show_unsent;         /* SHOW of `shown` was not sent yet */
  guint64 shown_ns;             /* its capture time */
  guint64 show_sent_ns;         /* when the last SHOW was sent */
  HelixFrameConnection *frames; /* NULL between two attempts; set by the thread
                                 * of next () only */
  guint16 channel; /* to send SHOW on, 0 = the connection is not live */
  gboolean left;   /* by leave (); what was shown before is shown again */

  /* of the thread of next () */
  HelixDiscovery discovery;
  gboolean answered;     /* the VM that was found, on any connection */
  guint64 subscribed_ns; /* when the last SUBSCRIBE was sent */
  guint64 retry_ns;      /* when to connect again */
  HelixBackoff backoff;
  guint64 looked_ns; /* when next () was in its loop last */
  guint64 woken_ns;  /* when a picture was asked for anew, 0 = it came */
  guint64 outage_ns; /* since when there is nothing, 0 = all is well */
  gboolean warned;   /* of this outage */
  gboolean had_frames;
  gboolean introduced; /* the VM of this connection: next () told of it */
  gchar *told_label;   /* of the VM that it told of last, or NULL */
};

HelixFrameClient *
helix_frame_client_new (
    const HelixFrameClientConfig *config, const HelixFrameRequest *request)
{
  static gsize once = 0;
  HelixFrameClient *client;
  HelixWaiter waiter;

  if (g_once_init_enter (&once)) {
    GST_DEBUG_CATEGORY_INIT (helix_frames_debug, "helixframes", 0,
        "connection to QEMU's helix shim");
    g_once_init_leave (&once, 1);
  }
  if (!helix_waiter_init (&waiter))
    return NULL;
  client = g_new0 (HelixFrameClient, 1);
  client->config = *config;
  client->config.path = g_strdup (config->path);
  client->config.name = g_strdup (config->name);
  client->discovery.server_uid = config->server_uid;
  client->waiter = waiter;
  client->state.request = client->granted = client->own = *request;
  pthread_mutex_init (&client->lock, NULL);
  return client;
}

/* ---- what to show ---- */

static gboolean
same_source (const HelixFrameRequest *a, const HelixFrameRequest *b)
{
  return a->scanout == b->scanout && a->resource_id == b->resource_id;
}

static void
set_source (HelixFrameRequest *request, const HelixFrameRequest *source)
{
  request->scanout = source->scanout;
  request->resource_id = source->resource_id;
}

void
helix_frame_client_subscribe (HelixFrameClient *client,
    const HelixFrameRequest *request, gboolean on_trial)
{
  pthread_mutex_lock (&client->lock);
  if (!same_source (request, &client->state.request)) {
    client->shown = 0;
    client->on_trial = on_trial;
  }
  client->state.request = *request;
  client->unsent = TRUE;
  pthread_mutex_unlock (&client->lock);
  helix_waiter_wake (&client->waiter);
}

/* Under the lock. */
static gboolean
is_connected (const HelixFrameClient *client)
{
  return client->frames != NULL && !client->left;
}

HelixFrameClientState
helix_frame_client_state (HelixFrameClient *client)
{
  HelixFrameClientState state;

  pthread_mutex_lock (&client->lock);
  state = client->state;
  state.connected = is_connected (client);
  pthread_mutex_unlock (&client->lock);
  return state;
}

/* Under the lock: sends SHOW, or returns when to try again. */
static guint64
send_show (HelixFrameClient *client)
{
  const struct helix_show show = {client->shown, 0, client->shown_ns};
  guint8 message[HELIX_MAX_MESSAGE];
  guint64 now = helix_now_ns ();

  /* Behind a new subscription, and on its channel. */
  if (client->shown == 0 || !client->show_unsent || client->channel == 0
      || client->unsent)
    return HELIX_NONE64;
  if (now < client->show_sent_ns + SHOW_EVERY)
    return client->show_sent_ns + SHOW_EVERY;
  helix_connection_send (client->frames->connection, message,
      helix_pack_show (message, client->channel, &show));
  client->show_sent_ns = now;
  client->show_unsent = FALSE;
  return HELIX_NONE64;
}

void
helix_frame_client_show (
    HelixFrameClient *client, guint resource_id, guint64 capture_ns)
{
  gboolean left;

  pthread_mutex_lock (&client->lock);
  if (resource_id == 0 && client->shown != 0)
    client->unsent = TRUE;
  client->shown = resource_id;
  client->shown_ns = capture_ns;
  client->show_unsent = resource_id != 0;
  send_show (client);
  left = client->show_unsent || client->unsent;
  pthread_mutex_unlock (&client->lock);
  if (left)
    helix_waiter_wake (&client->waiter);
}

/* Under the lock: the next SUBSCRIBE. */
static HelixFrameRequest
take_request (HelixFrameClient *client, gboolean with_shown)
{
  HelixFrameRequest request = client->state.request;

  if (with_shown && client->shown != 0)
    request.resource_id = client->shown;
  client->unsent = FALSE;
  client->subscribed_ns = helix_now_ns ();
  return request;
}

/* Sends what was requested. Lowers *due to when to call again. */
static void
apply_request (HelixFrameClient *client, guint64 *due)
{
  HelixFrameConnection *frames = client->frames;
  HelixFrameRequest request;
  guint64 next;

  pthread_mutex_lock (&client->lock);
  next = client->subscribed_ns + SUBSCRIBE_EVERY;
  if (client->unsent && helix_now_ns () >= next) {
    request = take_request (client, TRUE);
    client->state.switches += !same_source (&frames->request, &request);
    helix_frame_connection_subscribe (frames, &request);
    if (client->channel != 0)
      client->channel = frames->channel;
  } else if (client->unsent) {
    *due = MIN (*due, next);
  }
  next = send_show (client);
  *due = MIN (*due, next);
  pthread_mutex_unlock (&client->lock);
}

/* The shim refused what was asked for. FALSE: there is nothing else to ask
 * for. */
static gboolean
fall_back (HelixFrameClient *client)
{
  gboolean ok = TRUE;

  pthread_mutex_lock (&client->lock);
  if (client->unsent)
    goto out; /* that */
  if (client->shown != 0)
    client->shown = 0;
  else if (!same_source (&client->state.request, &client->granted))
    set_source (&client->state.request, &client->granted);
  else if (!same_source (&client->state.request, &client->own))
    set_source (&client->state.request, &client->own);
  else
    ok = FALSE;
  /* Once each: neither is tried again before it is granted again. */
  client->granted = client->own;
  client->unsent = ok;
out:
  pthread_mutex_unlock (&client->lock);
  return ok;
}

/* Takes over what the connection knows since it read. */
static void
note_progress (HelixFrameClient *client)
{
  const HelixFrameConnection *frames = client->frames;
  HelixFrameClientState *state = &client->state;
  gboolean live = frames->connection->live;

  client->answered |= frames->connection->welcomed;
  pthread_mutex_lock (&client->lock);
  client->channel = live ? frames->channel : 0;
  state->scanouts = live ? frames->connection->welcome.scanouts : 0;
  state->dark_ns = frames->dark_ns;
  state->resource_id =
      client->shown != 0 ? client->shown : frames->request.resource_id;
  if (frames->confirmed && !client->unsent && client->shown == 0) {
    client->granted = client->state.request;
    if (!client->on_trial)
      client->own = client->state.request;
  }
  state->frames = frames->stats;
  pthread_mutex_unlock (&client->lock);
}

/* ---- the connection ---- */

/* Ends the connection, if there is one. A VM that was found but never answered
 * is not kept to. */
static void
disconnect (HelixFrameClient *client)
{
  HelixFrameConnection *frames;

  pthread_mutex_lock (&client->lock);
  frames = g_steal_pointer (&client->frames);
  /* Resources are those of a VM that may be gone. */
  if (client->channel != 0 && !client->left)
    client->shown = 0;
  client->channel = 0;
  client->state.scanouts = 0;
  client->state.dark_ns = 0;
  pthread_mutex_unlock (&client->lock);
  if (frames != NULL)
    helix_frame_connection_free (frames);
  if (!client->answered)
    helix_discovery_clear (&client->discovery);
}

void
helix_frame_client_free (HelixFrameClient *client)
{
  disconnect (client);
  helix_waiter_clear (&client->waiter);
  pthread_mutex_destroy (&client->lock);
  helix_discovery_clear (&client->discovery);
  g_free (client->told_label);
  g_free ((gchar *) client->config.path);
  g_free ((gchar *) client->config.name);
  g_free (client);
}

void
helix_frame_client_poke (HelixFrameClient *client)
{
  g_atomic_int_set (&client->poked, TRUE);
  helix_waiter_wake (&client->waiter);
}

static void
leave (HelixFrameClient *client)
{
  pthread_mutex_lock (&client->lock);
  if (is_connected (client)) {
    helix_connection_bye (client->frames->connection, NULL);
    client->left = TRUE; /* next () does the rest */
  }
  pthread_mutex_unlock (&client->lock);
}

void
helix_frame_client_set_paused (HelixFrameClient *client, gboolean paused)
{
  g_atomic_int_set (&client->paused, paused);
  if (paused)
    leave (client);
  helix_waiter_wake (&client->waiter);
}

void
helix_frame_client_set_in_time (HelixFrameClient *client, guint64 in_time)
{
  g_atomic_int_set (
      &client->in_time, (gint) MIN (in_time / GST_USECOND, (guint64) G_MAXINT));
}

void
helix_frame_client_set_flushing (HelixFrameClient *client, gboolean flushing)
{
  g_atomic_int_set (&client->flushing, flushing);
  if (flushing)
    helix_waiter_wake (&client->waiter);
}

/* Behind a report of an outage. */
static void
tell_who_is_waited_for (GError *error)
{
  gchar *message = g_strconcat (error->message,
      " The VM that was found there is waited for. To take another one, "
      "restart the pipeline.",
      NULL);

  g_free (error->message);
  error->message = message;
}

/* The connection is gone or could not be had. */
static HelixFramesResult
outage (HelixFrameClient *client, gboolean quiet, GError **error)
{
  guint64 now = helix_now_ns (), end = HELIX_NONE64;

  disconnect (client);
  pthread_mutex_lock (&client->lock);
  client->left = FALSE; /* the VM may be another one */
  pthread_mutex_unlock (&client->lock);
  if (!client->config.auto_reconnect)
    return HELIX_FRAMES_FAILED;
  if (client->outage_ns == 0)
    client->outage_ns = now;
  if (client->config.reconnect_timeout != 0)
    end = client->outage_ns + client->config.reconnect_timeout * GST_MSECOND;
  if (now >= end) {
    g_prefix_error (
        error, "Gave up after %u ms: ", client->config.reconnect_timeout);
    return HELIX_FRAMES_FAILED;
  }
  client->retry_ns = MIN (helix_backoff_next (&client->backoff, now), end);
  if (quiet || client->warned) {
    GST_DEBUG ("%s", (*error)->message);
    g_clear_error (error);
    return HELIX_FRAMES_AGAIN;
  }
  client->warned = TRUE;
  if (client->discovery.path != NULL)
    tell_who_is_waited_for (*error);
  return HELIX_FRAMES_WARNING;
}

static HelixFramesResult
dial (HelixFrameClient *client, GError **error)
{
  HelixFramesResult result = HELIX_FRAMES_AGAIN;
  HelixFrameRequest request;
  gboolean final;
  gchar *path = NULL;
  gint fd;

  client->answered &= client->discovery.path != NULL;
  fd = helix_discovery_connect (&client->discovery, client->config.path,
      &client->waiter, &path, &final, error);
  if (fd < 0 && *error == NULL)
    goto out; /* woken up: look first what for */
  if (fd < 0) {
    result = final ? HELIX_FRAMES_FAILED : outage (client, FALSE, error);
    goto out;
  }
  pthread_mutex_lock (&client->lock);
  /* After a pause what was shown before still is; else a SHOW follows, if one
   * is yet to be sent. */
  request = take_request (client, client->left);
  if (!client->left && !client->show_unsent)
    client->shown = 0;
  client->frames = helix_frame_connection_new (
      fd, path, client->config.name, &request, &client->waiter);
  client->frames->stats = client->state.frames; /* goes on counting */
  client->introduced = FALSE;
  client->left = FALSE;
  pthread_mutex_unlock (&client->lock);
out:
  g_free (path);
  return result;
}

/* The shim said what there is to be seen, if anything. */
static void
end_outage (HelixFrameClient *client)
{
  if (client->outage_ns != 0) {
    pthread_mutex_lock (&client->lock);
    client->state.reconnects += client->had_frames;
    pthread_mutex_unlock (&client->lock);
  }
  client->outage_ns = client->woken_ns = 0;
  client->warned = FALSE;
}

static void
all_is_well (HelixFrameClient *client)
{
  end_outage (client);
  /* Only a frame counts: a peer that takes connections and drops them again
   * must not be asked in a hurry. */
  helix_backoff_reset (&client->backoff);
  client->had_frames = TRUE;
}

/* The shim gave this client up because nothing was read, in a pause for
 * instance. The shim is there: so even without auto-reconnect the client
 * connects again, once. */
static HelixFramesResult
come_back (HelixFrameClient *client, GError **error)
{
  if (client->config.auto_reconnect || client->outage_ns != 0)
    return outage (client, TRUE, error);
  GST_DEBUG ("%s", (*error)->message);
  g_clear_error (error);
  disconnect (client);
  client->outage_ns = helix_now_ns ();
  return HELIX_FRAMES_AGAIN;
}

static HelixFramesResult
judge (HelixFrameClient *client, HelixFramesResult result, GError **error)
{
  gboolean lost = result == HELIX_FRAMES_LOST;

  if ((lost || result == HELIX_FRAMES_FAILED) && client->frames->refused
      && fall_back (client))
    return HELIX_FRAMES_REFUSED;
  if (lost || (result == HELIX_FRAMES_CLOSED && client->config.auto_reconnect))
    return outage (client, FALSE, error);
  if (result == HELIX_FRAMES_IDLED)
    return come_back (client, error);
  if (result == HELIX_FRAMES_FRAME)
    all_is_well (client);
  if (result == HELIX_FRAMES_DARK)
    end_outage (client);
  if (result == HELIX_FRAMES_CLOSED || result == HELIX_FRAMES_FAILED)
    disconnect (client);
  return result;
}

/* Lowers *deadline to when to look again. */
static HelixFramesResult
use_connection (HelixFrameClient *client, HelixFrame *frame,
    HelixCursor *cursor, guint64 *deadline, GError **error)
{
  HelixFrameConnection *frames = client->frames;
  HelixFramesResult read;
  guint64 due;

  apply_request (client, deadline);
  read = helix_frame_connection_read (frames,
      (guint) g_atomic_int_get (&client->in_time) * GST_USECOND, frame, cursor,
      error);
  note_progress (client);
  if (read != HELIX_FRAMES_AGAIN)
    return judge (client, read, error);
  due = helix_connection_tick (frames->connection, helix_now_ns ());
  if (frames->settle_ns != 0)
    due = MIN (due, frames->settle_ns);
  *deadline = MIN (*deadline, due);
  return HELIX_FRAMES_AGAIN;
}

static void
wait_until (HelixFrameClient *client, guint64 deadline)
{
  struct pollfd fds[2];
  guint n = 1;

  if (client->frames != NULL)
    helix_connection_pollfd (client->frames->connection, &fds[n++]);
  helix_waiter_wait (&client->waiter, fds, n, deadline);
}

/* What became of the connection while next () was not called. */
static void
catch_up (HelixFrameClient *client)
{
  guint64 now = helix_now_ns ();
  gboolean left, stalled;

  pthread_mutex_lock (&client->lock);
  left = client->left && client->frames != NULL;
  stalled = client->frames != NULL && now - client->looked_ns > STALL;
  client->unsent |= stalled;
  pthread_mutex_unlock (&client->lock);
  if (left) {
    disconnect (client);
    client->retry_ns = 0;
  }
  if (left || stalled)
    client->woken_ns = now;
  if (client->looked_ns == 0) /* there is nothing yet, but only now it counts */
    client->outage_ns = now;
  client->looked_ns = now;
}

/* When the last picture may be wanted again, `deadline` unless it is poked.
 * Not in the first moments of an outage, and not right behind a stall: when
 * this program was stopped, another picture is on its way that is not old. */
static guint64
repeat_at (HelixFrameClient *client, guint64 deadline)
{
  guint64 since = MAX (client->outage_ns, client->woken_ns);
  guint64 held = since != 0 ? since + HOLD_BACK : 0;

  if (g_atomic_int_get (&client->poked))
    deadline = 0;
  return MAX (deadline, held);
}

/* The VM was looked for, not named: tells which it is and why, as soon as it
 * has said its name, unless that was told before. */
static HelixFramesResult
introduce (HelixFrameClient *client, GError **error)
{
  const HelixDiscovery *found = &client->discovery;
  const gchar *name = client->frames != NULL && client->frames->connection->live
      ? client->frames->connection->name
      : NULL;
  HelixFramesResult result = HELIX_FRAMES_AGAIN;
  gchar *label;

  if (client->introduced || name == NULL || found->found == NULL)
    return HELIX_FRAMES_AGAIN;
  client->introduced = TRUE;
  label = helix_vm_label (name, found->path);
  if (client->told_label == NULL) {
    result = HELIX_FRAMES_FOUND;
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
        "Took VM '%s' (pid %ld) at %s: %s. Set socket-path to take another.",
        label, (glong) found->pid, found->path, found->found);
  } else if (!g_str_equal (client->told_label, label)) {
    result = HELIX_FRAMES_WARNING;
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
        "Took another VM than before, '%s' (pid %ld) at %s in the place of "
        "'%s': %s. Give each VM a socket of its own to keep to one.",
        label, (glong) found->pid, found->path, client->told_label,
        found->found);
  }
  g_free (client->told_label);
  client->told_label = label;
  return result;
}

HelixFramesResult
helix_frame_client_next (HelixFrameClient *client, guint64 deadline,
    HelixFrame *frame, HelixCursor *cursor, GError **error)
{
  while (!g_atomic_int_get (&client->flushing)) {
    HelixFramesResult result = HELIX_FRAMES_AGAIN;
    guint64 until = HELIX_NONE64, repeat;
    gboolean paused = g_atomic_int_get (&client->paused);

    if (paused)
      leave (client);
    catch_up (client);
    if (paused) {
      wait_until (client, until);
      continue;
    }
    if (client->frames == NULL && helix_now_ns () >= client->retry_ns)
      result = dial (client, error);
    if (client->frames != NULL)
      result = use_connection (client, frame, cursor, &until, error);
    if (result == HELIX_FRAMES_AGAIN)
      result = introduce (client, error);
    if (result != HELIX_FRAMES_AGAIN)
      return result;
    repeat = repeat_at (client, deadline);
    /* The frame that is about to come is newer than the last picture. */
    if (client->frames != NULL && client->frames->settle_ns != 0)
      repeat = HELIX_NONE64;
    if (helix_now_ns () >= repeat) {
      g_atomic_int_set (&client->poked, FALSE);
      return HELIX_FRAMES_TIMEOUT;
    }
    until = MIN (until, repeat);
    if (client->frames == NULL)
      until = MIN (until, client->retry_ns);
    wait_until (client, until);
  }
  return HELIX_FRAMES_FLUSHING;
}

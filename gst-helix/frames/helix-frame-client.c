/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-frame-client-private.h"

#include <errno.h>
#include <poll.h>

#include "helix-platform.h"
#include "helix-vm-peek.h"

GST_DEBUG_CATEGORY (helix_frames_debug);
#define GST_CAT_DEFAULT helix_frames_debug

/* ns between two attempts to connect: doubles from the first to the last.
 * The last, with its jitter, leaves the picture back within a second. */
#define BACKOFF_MIN (20 * GST_MSECOND)
#define BACKOFF_MAX (500 * GST_MSECOND)

/* ns of an outage in which the last picture is not repeated (repeat_at ()):
 * several attempts to connect. */
#define HOLD_BACK (300 * GST_MSECOND)

/* ns without a look at the connection, which is had once a second at least:
 * this program was stopped, or downstream was. The frames that came meanwhile
 * are old, and may be followed by none: so the picture is asked for anew. */
#define STALL (2 * GST_SECOND)

/* Of the functions below: there is nothing to report, go on. */
#define NOTHING ((HelixFrameClientResult) -1)

HelixFrameClient *
helix_frame_client_new (
    const HelixFrameClientConfig *config, const HelixFrameWish *wish)
{
  static gsize once = 0;
  HelixFrameLink *link = helix_frame_link_new ();
  HelixFrameClient *client;

  if (g_once_init_enter (&once)) {
    GST_DEBUG_CATEGORY_INIT (helix_frames_debug, "helixframes", 0,
        "connection to QEMU's helix shim");
    g_once_init_leave (&once, 1);
  }
  if (link == NULL)
    return NULL;
  client = g_new0 (HelixFrameClient, 1);
  client->path = g_strdup (config->path);
  client->name = g_strdup (config->name);
  client->auto_reconnect = config->auto_reconnect;
  client->reconnect_timeout = config->reconnect_timeout * GST_MSECOND;
  client->search.server_uid = config->server_uid;
  client->link = link;
  client->wish = client->base = client->proven = client->asked = *wish;
  client->backoff_ns = BACKOFF_MIN;
  pthread_mutex_init (&client->lock, NULL);
  return client;
}

/* Ends the connection, if there is one. */
static void
close_session (HelixFrameClient *client)
{
  if (client->session == NULL)
    return;
  g_clear_pointer (&client->session, helix_frame_session_free);
  pthread_mutex_lock (&client->lock);
  /* Resources are those of a VM that may be gone. */
  if (client->channel != 0 && !client->left)
    client->show.resource_id = client->shown = 0;
  client->channel = 0;
  client->scanouts = 0;
  client->past = client->stats.frames;
  client->stats.connected = FALSE;
  pthread_mutex_unlock (&client->lock);
}

void
helix_frame_client_free (HelixFrameClient *client)
{
  close_session (client);
  helix_frame_link_unref (client->link);
  pthread_mutex_destroy (&client->lock);
  helix_socket_search_clear (&client->search);
  g_free (client->told_label);
  g_free (client->told_path);
  g_free (client->path);
  g_free (client->name);
  g_free (client);
}

guint
helix_frame_client_scanouts (HelixFrameClient *client)
{
  guint scanouts;

  pthread_mutex_lock (&client->lock);
  scanouts = client->scanouts;
  pthread_mutex_unlock (&client->lock);
  return scanouts;
}

void
helix_frame_client_poke (HelixFrameClient *client)
{
  g_atomic_int_set (&client->poked, TRUE);
  helix_frame_link_wakeup (client->link);
}

/* Under the lock: says goodbye. The thread that calls next () does the rest. */
static void
leave (HelixFrameClient *client)
{
  helix_frame_link_end (client->link, client->epoch);
  client->left = TRUE;
  client->stats.connected = FALSE;
}

void
helix_frame_client_set_paused (HelixFrameClient *client, gboolean paused)
{
  pthread_mutex_lock (&client->lock);
  client->paused = paused;
  if (paused && client->stats.connected)
    leave (client);
  pthread_mutex_unlock (&client->lock);
  helix_frame_link_wakeup (client->link);
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
    helix_frame_link_wakeup (client->link);
}

void
helix_frame_client_get_stats (
    HelixFrameClient *client, HelixFrameClientStats *stats)
{
  pthread_mutex_lock (&client->lock);
  *stats = client->stats;
  pthread_mutex_unlock (&client->lock);
}

static void
update_stats (HelixFrameClient *client)
{
  HelixSessionStats *all = &client->stats.frames;
  HelixSessionStats now;

  helix_frame_session_get_stats (client->session, &now);
  pthread_mutex_lock (&client->lock);
  all->received = client->past.received + now.received;
  all->superseded = client->past.superseded + now.superseded;
  all->readback_bytes = client->past.readback_bytes + now.readback_bytes;
  all->readback_ns = client->past.readback_ns + now.readback_ns;
  all->wait_ns = client->past.wait_ns + now.wait_ns;
  pthread_mutex_unlock (&client->lock);
}

/* The connection is gone or could not be had. */
static HelixFrameClientResult
outage (HelixFrameClient *client, gboolean quiet, GError **error)
{
  guint64 now = helix_now_ns ();
  gint64 jitter = g_random_int_range (-25, 26); /* per cent */

  close_session (client);
  pthread_mutex_lock (&client->lock);
  client->left = FALSE; /* the VM may be another one */
  pthread_mutex_unlock (&client->lock);
  if (!client->auto_reconnect)
    return HELIX_CLIENT_ERROR;
  if (client->outage_ns == 0)
    client->outage_ns = now;
  if (client->reconnect_timeout != 0
      && now - client->outage_ns >= client->reconnect_timeout) {
    g_prefix_error (error, "Gave up after %" G_GUINT64_FORMAT " ms: ",
        client->reconnect_timeout / GST_MSECOND);
    return HELIX_CLIENT_ERROR;
  }
  client->retry_ns =
      now + client->backoff_ns + (gint64) client->backoff_ns * jitter / 100;
  if (client->reconnect_timeout != 0)
    client->retry_ns =
        MIN (client->retry_ns, client->outage_ns + client->reconnect_timeout);
  client->backoff_ns = MIN (client->backoff_ns * 2, BACKOFF_MAX);
  if (quiet || client->warned) {
    GST_DEBUG ("%s", (*error)->message);
    g_clear_error (error);
    return NOTHING;
  }
  client->warned = TRUE;
  return HELIX_CLIENT_WARNING;
}

static HelixFrameClientResult
open_session (HelixFrameClient *client, GError **error)
{
  HelixFrameClientResult result = NOTHING;
  gboolean final;
  gchar *path = NULL;
  guint16 channel;
  int fd;

  fd = helix_socket_path_connect (client->path, &client->search,
      helix_frame_link_wakeup_fd (client->link), &path, &final, error);
  if (fd < 0 && *error == NULL)
    goto out; /* woken up: whoever did it is heard first */
  if (fd < 0) {
    result = final ? HELIX_CLIENT_ERROR : outage (client, FALSE, error);
    goto out;
  }
  pthread_mutex_lock (&client->lock);
  if (!client->left)   /* else what was shown before the pause still is */
    client->shown = 0; /* by a SHOW that is yet to be sent */
  helix_client_take_wish (client);
  if (!client->left)
    client->shown = client->show.resource_id;
  pthread_mutex_unlock (&client->lock);
  client->session = helix_frame_session_new (
      client->link, fd, path, client->name, &client->asked);
  client->introduced = FALSE;
  pthread_mutex_lock (&client->lock);
  helix_frame_session_channel (client->session, &channel, &client->epoch);
  client->left = FALSE;
  client->stats.connected = TRUE;
  if (client->paused)
    leave (client);
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
    client->stats.reconnects += client->had_frames;
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
  client->backoff_ns = BACKOFF_MIN;
  client->had_frames = TRUE;
}

/* The shim gave us up while nobody read, in a pause for instance. It is there,
 * so even who does not wait for one that is not comes back to it, once. */
static HelixFrameClientResult
come_back (HelixFrameClient *client, GError **error)
{
  if (client->auto_reconnect || client->outage_ns != 0)
    return outage (client, TRUE, error);
  GST_DEBUG ("%s", (*error)->message);
  g_clear_error (error);
  close_session (client);
  client->outage_ns = helix_now_ns ();
  return NOTHING;
}

static HelixFrameClientResult
judge (HelixFrameClient *client, HelixSessionResult result, GError **error)
{
  switch (result) {
    case HELIX_SESSION_FRAME:
      all_is_well (client);
      return HELIX_CLIENT_FRAME;
    case HELIX_SESSION_CURSOR:
      return HELIX_CLIENT_CURSOR;
    case HELIX_SESSION_DARK:
      end_outage (client);
      return HELIX_CLIENT_DARK;
    case HELIX_SESSION_WARNING:
      return HELIX_CLIENT_WARNING;
    case HELIX_SESSION_CLOSED:
      if (client->auto_reconnect)
        return outage (client, FALSE, error);
      close_session (client);
      return HELIX_CLIENT_EOS;
    case HELIX_SESSION_LOST:
    case HELIX_SESSION_FAILED:
      if (helix_frame_session_refused (client->session)
          && helix_client_fall_back (client))
        return HELIX_CLIENT_REFUSED;
      if (result == HELIX_SESSION_LOST)
        return outage (client, FALSE, error);
      close_session (client);
      return HELIX_CLIENT_ERROR;
    case HELIX_SESSION_IDLED:
      return come_back (client, error);
    case HELIX_SESSION_AGAIN:
      break;
  }
  return NOTHING;
}

/* Lowers *deadline to when to look again. */
static HelixFrameClientResult
use_session (HelixFrameClient *client, HelixFrame *frame, guint64 *deadline,
    GError **error)
{
  HelixSessionResult read;
  guint64 due = HELIX_NONE64;

  helix_client_apply_wish (client, deadline);
  read = helix_frame_session_read (client->session,
      (guint) g_atomic_int_get (&client->in_time) * GST_USECOND, frame, error);
  update_stats (client);
  helix_client_note_session (client);
  if (read != HELIX_SESSION_AGAIN)
    return judge (client, read, error);
  if (!helix_frame_session_tick (client->session, helix_now_ns (), &due, error))
    return outage (client, FALSE, error);
  *deadline = MIN (*deadline, due);
  return NOTHING;
}

static void
wait_for (HelixFrameClient *client, guint64 deadline)
{
  struct pollfd fds[2] = {0};
  guint64 now = helix_now_ns ();
  nfds_t n = 1;
  gint timeout = -1;

  fds[0].fd = helix_frame_link_wakeup_fd (client->link);
  fds[0].events = POLLIN;
  if (client->session != NULL) {
    fds[n].fd = helix_frame_link_fd (client->link);
    fds[n].events = POLLIN;
    if (helix_frame_link_flush (client->link))
      fds[n].events |= POLLOUT;
    n++;
  }
  if (deadline <= now)
    timeout = 0;
  else if (deadline != HELIX_NONE64) /* never early: it would spin */
    timeout = (gint) MIN (
        (deadline - now + GST_MSECOND - 1) / GST_MSECOND, (guint64) G_MAXINT);
  if (poll (fds, n, timeout) > 0 && fds[0].revents)
    helix_frame_link_wakeup_clear (client->link);
}

static void
catch_up (HelixFrameClient *client)
{
  guint64 now = helix_now_ns ();

  if (client->session != NULL && now - client->looked_ns > STALL) {
    pthread_mutex_lock (&client->lock);
    client->wish_changed = TRUE;
    pthread_mutex_unlock (&client->lock);
    client->woken_ns = now;
  }
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

/* The search chose this VM: tell which and why, as soon as it has said its
 * name, unless it was told before. */
static HelixFrameClientResult
introduce (HelixFrameClient *client, GError **error)
{
  const HelixSocketSearch *search = &client->search;
  const gchar *name = client->session != NULL
      ? helix_frame_session_name (client->session)
      : NULL;
  HelixFrameClientResult result = NOTHING;
  gchar *label;

  if (client->introduced || name == NULL || search->found == NULL)
    return NOTHING;
  client->introduced = TRUE;
  label = helix_vm_label (name, search->path);
  if (client->told_path == NULL) {
    result = HELIX_CLIENT_FOUND;
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
        "Took VM '%s' (pid %ld) at %s: %s. Set socket-path to take another.",
        label, (glong) search->pid, search->path, search->found);
  } else if (!g_str_equal (client->told_path, search->path)
      || !g_str_equal (client->told_label, label)) {
    result = HELIX_CLIENT_WARNING;
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
        "Took another VM than before, '%s' (pid %ld) at %s in the place of "
        "'%s' at %s: %s. Set socket-path to keep to one.",
        label, (glong) search->pid, search->path, client->told_label,
        client->told_path, search->found);
  }
  g_free (client->told_path);
  client->told_path = g_strdup (search->path);
  g_free (client->told_label);
  client->told_label = label;
  return result;
}

/* Ends the session that was left for a pause. Returns whether it lasts. */
static gboolean
rest (HelixFrameClient *client)
{
  gboolean left, paused;

  pthread_mutex_lock (&client->lock);
  left = client->left;
  paused = client->paused;
  pthread_mutex_unlock (&client->lock);
  if (left && client->session != NULL) {
    close_session (client);
    client->retry_ns = 0;
    client->woken_ns = helix_now_ns ();
  }
  return paused;
}

HelixFrameClientResult
helix_frame_client_next (HelixFrameClient *client, guint64 deadline,
    HelixFrame *frame, GError **error)
{
  while (!g_atomic_int_get (&client->flushing)) {
    HelixFrameClientResult result = NOTHING;
    guint64 until = HELIX_NONE64, repeat;

    if (rest (client)) {
      wait_for (client, until);
      continue;
    }
    catch_up (client);
    if (client->session == NULL && helix_now_ns () >= client->retry_ns)
      result = open_session (client, error);
    if (client->session != NULL)
      result = use_session (client, frame, &until, error);
    if (result == NOTHING)
      result = introduce (client, error);
    if (result != NOTHING)
      return result;
    repeat = repeat_at (client, deadline);
    /* The frame that is about to come is newer than the last picture. */
    if (client->session != NULL
        && helix_frame_session_settling (client->session))
      repeat = HELIX_NONE64;
    if (helix_now_ns () >= repeat) {
      g_atomic_int_set (&client->poked, FALSE);
      return HELIX_CLIENT_TIMEOUT;
    }
    until = MIN (until, repeat);
    if (client->session == NULL)
      until = MIN (until, client->retry_ns);
    wait_for (client, until);
  }
  return HELIX_CLIENT_FLUSHING;
}

void
helix_frame_client_get_cursor (HelixFrameClient *client, HelixCursor *cursor)
{
  memset (cursor, 0, sizeof *cursor);
  if (client->session != NULL)
    helix_frame_session_get_cursor (client->session, cursor);
}

guint64
helix_frame_client_dark_since (HelixFrameClient *client, guint *resource_id)
{
  if (client->session == NULL)
    return 0;
  pthread_mutex_lock (&client->lock);
  *resource_id = client->shown != 0 ? client->shown : client->asked.resource_id;
  pthread_mutex_unlock (&client->lock);
  return helix_frame_session_dark_since (client->session);
}

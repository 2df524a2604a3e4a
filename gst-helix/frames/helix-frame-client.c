/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-frame-client.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>

#include "helix-platform.h"
#include "helix-socket-path.h"

GST_DEBUG_CATEGORY (helix_frames_debug);
#define GST_CAT_DEFAULT helix_frames_debug

/* ns between two attempts to connect: doubles from the first to the last.
 * The last, with its jitter, leaves the picture back within a second. */
#define BACKOFF_MIN (20 * GST_MSECOND)
#define BACKOFF_MAX (500 * GST_MSECOND)

/* Of the functions below: there is nothing to report, go on. */
#define NOTHING ((HelixFrameClientResult) -1)

struct _HelixFrameClient {
  gchar *path; /* as configured, or NULL */
  gchar *name;
  gboolean auto_reconnect;
  guint64 reconnect_timeout; /* ns, 0 = none */
  HelixFrameLink *link;
  gint flushing; /* atomic */
  gint poked;    /* atomic */

  pthread_mutex_t lock; /* of what follows; a GMutex blinds ThreadSanitizer */
  HelixFrameWish wish;
  gboolean wish_changed;
  HelixFrameClientStats stats;
  HelixSessionStats past; /* of the connections before this one */

  /* the calling thread's */
  HelixSocketSearch search;
  HelixFrameSession *session; /* NULL between two attempts */
  guint64 retry_ns;           /* when to connect again */
  guint64 backoff_ns;
  guint64 outage_ns; /* since when there is nothing, 0 = all is well */
  gboolean warned;   /* of this outage */
  gboolean had_frames;
};

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
  client->link = link;
  client->wish = *wish;
  client->backoff_ns = BACKOFF_MIN;
  client->outage_ns = helix_now_ns ();
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
  g_free (client->path);
  g_free (client->name);
  g_free (client);
}

void
helix_frame_client_subscribe (
    HelixFrameClient *client, const HelixFrameWish *wish)
{
  pthread_mutex_lock (&client->lock);
  client->wish = *wish;
  client->wish_changed = TRUE;
  pthread_mutex_unlock (&client->lock);
  helix_frame_link_wakeup (client->link);
}

void
helix_frame_client_poke (HelixFrameClient *client)
{
  g_atomic_int_set (&client->poked, TRUE);
  helix_frame_link_wakeup (client->link);
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
  HelixFrameWish wish;
  gboolean final;
  gchar *path = NULL;
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
  wish = client->wish;
  client->wish_changed = FALSE;
  client->stats.connected = TRUE;
  pthread_mutex_unlock (&client->lock);
  client->session =
      helix_frame_session_new (client->link, fd, path, client->name, &wish);
out:
  g_free (path);
  return result;
}

static void
apply_wish (HelixFrameClient *client)
{
  HelixFrameWish wish;
  gboolean changed;

  pthread_mutex_lock (&client->lock);
  wish = client->wish;
  changed = client->wish_changed;
  client->wish_changed = FALSE;
  pthread_mutex_unlock (&client->lock);
  if (changed)
    helix_frame_session_subscribe (client->session, &wish);
}

static void
all_is_well (HelixFrameClient *client)
{
  if (client->outage_ns != 0) {
    pthread_mutex_lock (&client->lock);
    client->stats.reconnects += client->had_frames;
    pthread_mutex_unlock (&client->lock);
  }
  /* Only a frame counts: a peer that takes connections and drops them again
   * must not be asked in a hurry. */
  client->outage_ns = 0;
  client->backoff_ns = BACKOFF_MIN;
  client->warned = FALSE;
  client->had_frames = TRUE;
}

/* Lowers *deadline to when to look again. */
static HelixFrameClientResult
use_session (HelixFrameClient *client, HelixFrame *frame, guint64 *deadline,
    GError **error)
{
  HelixSessionResult result;
  guint64 due = HELIX_NONE64;

  apply_wish (client);
  result = helix_frame_session_read (client->session, frame, error);
  update_stats (client);
  switch (result) {
    case HELIX_SESSION_FRAME:
      all_is_well (client);
      return HELIX_CLIENT_FRAME;
    case HELIX_SESSION_WARNING:
      return HELIX_CLIENT_WARNING;
    case HELIX_SESSION_FAILED:
      close_session (client);
      return HELIX_CLIENT_ERROR;
    case HELIX_SESSION_CLOSED:
      if (!client->auto_reconnect) {
        close_session (client);
        return HELIX_CLIENT_EOS;
      }
      return outage (client, FALSE, error);
    case HELIX_SESSION_LOST:
    case HELIX_SESSION_IDLED:
      return outage (client, result == HELIX_SESSION_IDLED, error);
    case HELIX_SESSION_AGAIN:
      break;
  }
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

HelixFrameClientResult
helix_frame_client_next (HelixFrameClient *client, guint64 deadline,
    HelixFrame *frame, GError **error)
{
  while (!g_atomic_int_get (&client->flushing)) {
    HelixFrameClientResult result = NOTHING;
    guint64 until = deadline;

    if (client->session == NULL && helix_now_ns () >= client->retry_ns)
      result = open_session (client, error);
    if (client->session != NULL)
      result = use_session (client, frame, &until, error);
    if (result != NOTHING)
      return result;
    if (g_atomic_int_compare_and_exchange (&client->poked, TRUE, FALSE)
        || helix_now_ns () >= deadline)
      return HELIX_CLIENT_TIMEOUT;
    if (client->session == NULL)
      until = MIN (until, client->retry_ns);
    wait_for (client, until);
  }
  return HELIX_CLIENT_FLUSHING;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Thread: the server's own runs run (); the element's threads enter by the
 * functions of helix-stream-server.h.
 * Lock: those functions and run () take it, all others are called with it held;
 * deliver (), dial () and serve () let it go in between.
 */
#include "helix-stream-server.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "helix-backoff.h"
#include "helix-platform.h"
#include "helix-stats.h"
#include "helix-stream-peer.h"
#include "helix-transport.h"
#include "helix-waiter.h"

#define GST_CAT_DEFAULT helix_stream_debug

#define MSECOND G_GUINT64_CONSTANT (1000000)

/* Bytes that the thread sends before push () may have the lock again: about
 * 20 us of copying. */
#define TURN_BYTES (128 * 1024)

/* Connections taken in one go: before the next, those that are open are served,
 * so that a stranger can become a client before it has to go. */
#define MAX_ACCEPTS 8

/* What to do so that others may connect, too. */
#define OPEN_UP \
  "Set the same token-file (or token) at both ends, or insecure=true of " \
  "helixguestsink"

/* Between two requests for a keyframe; and before one is repeated that the
 * encoder has ignored while it went on making units. */
#define KEY_GAP_NS (200 * MSECOND)
#define KEY_REPEAT_NS (1000 * MSECOND)

/* Between two warnings of peers' making. */
#define PROBLEM_GAP_NS (1000 * MSECOND)

/* Before a connection is accepted again for which nothing was left: until then
 * its listener would wake the thread at once, for ever. */
#define ACCEPT_GAP_NS (200 * MSECOND)

/* connect mode: the time for one attempt. */
#define DIAL_TIMEOUT_MS 900

/* And at least so long after a connection ended, before the next attempt: a
 * peer may end each of its sessions at once. */
#define DIAL_GAP_NS (HELIX_BACKOFF_MIN_NS / 2)

/* Between two turns in which CONFIGs are passed on, and between two SHOWs: more
 * of these than any screen has in a second. */
#define CONFIG_GAP_NS (1000 * MSECOND / HELIX_STREAM_SERVER_REQUESTS)
#define SHOW_GAP_NS (1000 * MSECOND / 250)

/* What CONFIG with one of these and SHOW both decide: the later one has it. */
#define PICTURE (HELIX_CONFIG_SCANOUT | HELIX_CONFIG_RESOURCE)

/* CLIENT messages in one answer: with the longest names they, and STATUS, are
 * less than the 64 KiB of control messages that may wait for a peer. */
#define MAX_LISTED 256

struct _HelixStreamServer {
  HelixStreamServerFunc on_event;
  gpointer user;
  HelixAddress *address;
  HelixListener *listener; /* NULL: connect mode */
  GCancellable *cancel;
  gchar *token;
  pthread_t thread;
  HelixWaiter waiter;

  /* all below: under `lock`; the thread alone adds and removes peers */
  pthread_mutex_t lock;
  pthread_cond_t drained;
  gboolean stop, interrupted;
  HelixStreamHost host;
  GPtrArray *peers; /* in the order of their coming */
  GQueue events;    /* to deliver once the lock is free */
  guint32 next_id;

  struct helix_caps caps; /* caps_id 0: none yet */
  guint64 sequence;
  gboolean key_asked;
  guint64 key_asked_at;
  guint units_since_asked;

  /* what peers request, and when the next of it may be passed on */
  gboolean applies;
  struct helix_config wanted; /* `fields`: wait */
  guint wanted_by
      [HELIX_STREAM_N_FIELDS]; /* ids of peers, by the bit of HELIX_CONFIG_* */
  guint picture_by;            /* the last one that wanted a PICTURE */
  guint64 config_at;
  struct helix_show show; /* resource_id 0: none waits */
  guint shower_id; /* whose SHOW had the last word on the picture, 0 = none */
  guint64 show_at;

  gchar *description;

  guint64 accept_at; /* 0: at any time */
  guint64 dial_at;
  HelixBackoff backoff;
  gboolean outage_told, dial_failed;
  guint64 problem_at;

  guint64 started, last_unit; /* ns; last_unit 0: none yet */
  guint32 encode_us; /* of the newest unit of a new picture, 0 = not known */
  guint64 units, bytes, keyframes, asked, joined, rejected, rejoined;
  /* raw picture out -> unit in; captured -> unit in */
  struct helix_histogram encode, latency;
};

static HelixStreamPeer *
peer_at (const HelixStreamServer *self, guint i)
{
  return self->peers->pdata[i];
}

/* ---- events ---- */

static HelixStreamServerEvent *
add_event (HelixStreamServer *self, HelixStreamServerEventType type, guint id)
{
  HelixStreamServerEvent *event = g_new0 (HelixStreamServerEvent, 1);

  event->type = type;
  event->id = id;
  g_queue_push_tail (&self->events, event);
  return event;
}

static void
event_free (HelixStreamServerEvent *event)
{
  g_clear_error (&event->error);
  g_free (event->text);
  g_free (event);
}

static void
deliver (HelixStreamServer *self)
{
  HelixStreamServerEvent *event;

  while ((event = g_queue_pop_head (&self->events)) != NULL) {
    pthread_mutex_unlock (&self->lock);
    self->on_event (self->user, event);
    event_free (event);
    pthread_mutex_lock (&self->lock);
  }
}

/* ---- CONFIG and SHOW ---- */

/* What waits of its fields is out of date. */
static void
take_config (
    HelixStreamServer *self, const struct helix_config *config, guint id)
{
  for (guint i = 0; i < HELIX_STREAM_N_FIELDS; i++)
    if (config->fields & (1u << i))
      self->wanted_by[i] = id;
  if (config->fields & PICTURE) {
    self->picture_by = id;
    self->shower_id = 0;
    self->show.resource_id = 0; /* it came before, and waited too long */
  }
  helix_stream_merge_config (&self->wanted, config);
}

/* A session ends. If what it showed is still what is to be seen, the scanout
 * comes back: a peer that was killed cannot ask for that. */
static void
forget_show (HelixStreamServer *self, guint id)
{
  const struct helix_config scanout = {.fields = HELIX_CONFIG_RESOURCE};

  if (self->shower_id == id)
    take_config (self, &scanout, id);
}

/* What waits, and peer `id` was the last to request. */
static guint32
fields_of (const HelixStreamServer *self, guint id)
{
  guint32 fields = 0;

  for (guint i = 0; i < HELIX_STREAM_N_FIELDS; i++)
    if (self->wanted_by[i] == id)
      fields |= 1u << i;
  return fields & self->wanted.fields;
}

static void
pass_on_config (HelixStreamServer *self)
{
  while (self->wanted.fields != 0) {
    HelixStreamServerEvent *event;
    guint id = self->picture_by;

    for (guint i = 0; i < HELIX_STREAM_N_FIELDS; i++)
      if (self->wanted.fields & (1u << i)
          && self->wanted_by[i] != self->picture_by)
        id = self->wanted_by[i];
    event = add_event (self, HELIX_STREAM_SERVER_CONFIG, id);
    event->config = self->wanted;
    event->config.fields = fields_of (self, id);
    self->wanted.fields &= ~event->config.fields;
  }
}

/* Passes on what is due. Returns when the next is. */
static guint64
tick_requests (HelixStreamServer *self, guint64 now)
{
  guint64 next = G_MAXUINT64;

  if (!self->applies)
    return G_MAXUINT64;
  if (self->wanted.fields != 0 && now < self->config_at) {
    next = self->config_at;
  } else if (self->wanted.fields != 0) {
    self->config_at = now + CONFIG_GAP_NS;
    pass_on_config (self);
  }
  /* A CONFIG that waits is older than a SHOW that waits (take_config), and must
   * not undo it later. */
  if (self->show.resource_id == 0 || self->wanted.fields & PICTURE)
    return next;
  if (now < self->show_at)
    return MIN (next, self->show_at);
  self->show_at = now + SHOW_GAP_NS;
  add_event (self, HELIX_STREAM_SERVER_SHOW, self->shower_id)->show =
      self->show;
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

static void
say_status (
    HelixStreamServer *self, HelixStreamPeer *asker, guint clients, guint64 now)
{
  struct helix_status status = {
      .uptime_ns = now - self->started,
      .frames = self->units,
      .bytes = self->bytes,
      .dropped = self->host.dropped,
      .keyframes = self->keyframes,
      .last_ns = age (self->last_unit, now),
      .clients = clients,
      .width = self->caps.width,
      .height = self->caps.height,
      .encode_us = self->encode_us,
  };
  guint8 message[HELIX_MAX_MESSAGE];

  helix_stream_peer_say (
      asker, message, helix_pack_status (message, &status, self->description));
}

/* A guest is not told the other clients' names, nor this host's ports, paths
 * and processes. */
static gchar *
name_for (const HelixStreamPeer *asker, const HelixStreamPeer *peer)
{
  const gchar *name = peer->server.name;

  if (asker->is_local)
    return g_strconcat (name, name[0] != '\0' ? ", " : "", peer->address, NULL);
  return g_strdup (peer == asker ? name : "");
}

static void
say_client (HelixStreamPeer *asker, const HelixStreamPeer *peer, guint index,
    guint64 now)
{
  gboolean told = peer->told.units > 0;
  struct helix_client client = {
      .index = index,
      .flags = peer == asker ? HELIX_CLIENT_YOU : 0,
      .role = peer->role,
      .scanout = HELIX_NONE32,
      .connected_ns = age (peer->live_since, now),
      .frames = peer->sent_units,
      .dropped = peer->dropped,
      .received = told ? peer->told.units : HELIX_NONE64,
      .latency_ns = told ? peer->told.latency_ns : HELIX_NONE64,
      .last_ns = age (peer->last_unit, now),
  };
  g_autofree gchar *name = name_for (asker, peer);
  guint8 message[HELIX_MAX_MESSAGE];

  helix_stream_peer_say (
      asker, message, helix_pack_client (message, &client, name));
}

/* In the order of their coming. If there are more than are named, the asker
 * is named all the same. */
static void
answer_list (HelixStreamServer *self, HelixStreamPeer *asker, guint64 now)
{
  guint live = self->host.n_live[HELIX_ROLE_STREAM]
      + self->host.n_live[HELIX_ROLE_CONTROL];
  guint places = MIN (live, MAX_LISTED), index = 0;
  gboolean named = FALSE;

  say_status (self, asker, places, now);
  for (guint i = 0; i < self->peers->len && index < places; i++) {
    const HelixStreamPeer *peer = peer_at (self, i);

    if (!helix_stream_peer_is_live (peer)
        || (peer != asker && !named && index + 1 == places))
      continue;
    named |= peer == asker;
    say_client (asker, peer, index++, now);
  }
}

/* One answer at a time: the peer's reading sets the pace. */
static void
answer_lists (HelixStreamServer *self, HelixStreamPeer *peer, guint64 now)
{
  if (peer->lists == 0 || !helix_stream_peer_is_live (peer)
      || peer->out.bytes[HELIX_WRITER_CONTROL] > 0)
    return;
  peer->lists--;
  answer_list (self, peer, now);
}

/* ---- what becomes of peers ---- */

static void
note_problem (HelixStreamServer *self, const GError *error)
{
  guint64 now = helix_now_ns ();

  GST_INFO ("%s", error->message);
  if (now - self->problem_at < PROBLEM_GAP_NS)
    return;
  self->problem_at = now;
  add_event (self, HELIX_STREAM_SERVER_PROBLEM, 0)->error =
      g_error_copy (error);
}

static void
note_slow (HelixStreamServer *self, const HelixStreamPeer *peer)
{
  add_event (self, HELIX_STREAM_SERVER_PROBLEM, 0)->error =
      g_error_new (GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_WRITE,
          "Client %s takes less than the encoder makes: what was not with it "
          "within %u ms was dropped, up to a keyframe. Lower the encoder's "
          "bitrate or the framerate, or raise max-age.",
          peer->address, (guint) (self->host.max_age / MSECOND));
}

static void
session_began (HelixStreamServer *self, HelixStreamPeer *peer)
{
  helix_backoff_reset (&self->backoff); /* the next outage is another one */
  if (peer->role != HELIX_ROLE_STREAM)
    return;
  self->joined++;
  self->outage_told = FALSE;
  add_event (self, HELIX_STREAM_SERVER_ADDED, peer->id)->text =
      g_strdup (peer->address);
}

static void
session_ended (HelixStreamServer *self, HelixStreamPeer *peer, gboolean anew)
{
  forget_show (self, peer->id);
  if (peer->role == HELIX_ROLE_STREAM)
    add_event (self, HELIX_STREAM_SERVER_REMOVED, peer->id)->text =
        g_strdup (anew                 ? "it started a new session"
                : peer->reason != NULL ? peer->reason
                                       : "it is gone");
  if (anew) {
    peer->id = self->next_id++;
    self->rejoined += peer->role == HELIX_ROLE_STREAM;
  }
}

static void
on_peer_event (gpointer user, HelixStreamPeer *peer, HelixStreamPeerEvent event,
    gconstpointer data)
{
  HelixStreamServer *self = user;

  switch (event) {
    case HELIX_STREAM_PEER_BEGAN:
      session_began (self, peer);
      break;
    case HELIX_STREAM_PEER_ENDED:
    case HELIX_STREAM_PEER_RESTARTED:
      session_ended (self, peer, event == HELIX_STREAM_PEER_RESTARTED);
      break;
    case HELIX_STREAM_PEER_CONFIG:
      take_config (self, data, peer->id);
      break;
    case HELIX_STREAM_PEER_SHOW:
      self->show = *(const struct helix_show *) data;
      self->shower_id = peer->id;
      break;
    case HELIX_STREAM_PEER_REFUSED:
      self->rejected++;
      note_problem (self, data);
      break;
    case HELIX_STREAM_PEER_SLOW:
      note_slow (self, peer);
      break;
  }
}

/* ---- peers come and go ---- */

/* Before a stranger is taken: those that have no session yet have a bound of
 * their own, so that they take no client's place; and the oldest goes, so that
 * they do not keep others out. Those that had a session, and linger or prove
 * the token anew, have the bound of clients. */
static void
make_room (
    HelixStreamServer *self, gboolean had_session, guint bound, guint64 now)
{
  HelixStreamPeer *oldest = NULL;
  guint n = 0;

  for (guint i = 0; i < self->peers->len; i++) {
    HelixStreamPeer *peer = peer_at (self, i);

    if (helix_stream_peer_is_live (peer) || peer->life == HELIX_STREAM_PEER_DEAD
        || (peer->live_since != 0) != had_session)
      continue;
    if (n++ == 0)
      oldest = peer;
  }
  if (n < bound)
    return;
  if (oldest->life == HELIX_STREAM_PEER_OPEN) {
    helix_stream_peer_refuse (oldest, HELIX_ERROR_TIMEOUT, 0,
        "others connected before it had begun a session", now);
    helix_stream_peer_flush (oldest, G_MAXSIZE, now);
    helix_stream_peer_read (oldest, now);
  }
  helix_stream_peer_die (oldest, NULL);
}

/* Whether the connection may be served at all; else it is answered, and takes
 * no place. */
static gboolean
admit (HelixStreamServer *self, gint fd, const gchar *address, guint64 now)
{
  g_autofree gchar *who = NULL;
  g_autofree gchar *why = helix_listener_refusal (self->listener, fd, &who);
  g_autofree gchar *text = NULL;
  g_autoptr (GError) error = NULL;

  if (why == NULL) {
    make_room (self, FALSE, HELIX_STREAM_SERVER_MAX_STRANGERS, now);
    make_room (self, TRUE,
        self->host.max_live[HELIX_ROLE_STREAM]
            + HELIX_STREAM_SERVER_MAX_CONTROL,
        now);
    return TRUE;
  }
  if (who == NULL) {
    GST_DEBUG ("%s is gone again", address);
    return FALSE;
  }
  text = g_strdup_printf ("%s. " OPEN_UP, why);
  error = g_error_new (GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_AUTHORIZED,
      "Client %s of %s refused: %s.", address, who, text);
  self->rejected++;
  note_problem (self, error);
  helix_stream_turn_away (fd, text);
  return FALSE;
}

/* What comes by TCP may be a guest behind QEMU's own network, which the kernel
 * takes for QEMU. */
static gboolean
is_own_process (gint fd)
{
  uid_t uid;
  pid_t pid;

  return helix_peer_credentials (fd, &uid, &pid) == 0
      && helix_user_is_trusted (uid);
}

static void
add_peer (HelixStreamServer *self, gint fd, gchar *address, guint64 now)
{
  HelixStreamPeer *peer;

  if (self->listener != NULL
      && !admit (self, fd, address != NULL ? address : "?", now)) {
    close (fd);
    g_free (address);
    return;
  }
  peer = helix_stream_peer_new (
      &self->host, self->next_id++, fd, address, self->listener == NULL, now);
  peer->is_local = self->listener != NULL && is_own_process (fd);
  GST_DEBUG ("client %u: connection of %s", peer->id, peer->address);
  g_ptr_array_add (self->peers, peer);
}

static void
reap (HelixStreamServer *self, guint64 now)
{
  for (guint i = self->peers->len; i-- > 0;) {
    HelixStreamPeer *peer = peer_at (self, i);

    if (peer->life != HELIX_STREAM_PEER_DEAD)
      continue;
    GST_DEBUG ("client %u ends: %s", peer->id,
        peer->reason != NULL ? peer->reason : "closed");
    helix_stream_peer_free (peer);
    g_ptr_array_remove_index (self->peers, i);
    self->dial_at = now + MAX (self->backoff.gap, DIAL_GAP_NS);
  }
}

static void
accept_all (HelixStreamServer *self, guint index, guint64 now)
{
  for (guint i = 0; i < MAX_ACCEPTS; i++) {
    g_autoptr (GError) error = NULL;
    gchar *address = NULL;
    gint fd = helix_listener_accept (self->listener, index, &address, &error);

    if (fd >= 0) {
      add_peer (self, fd, address, now);
      continue;
    }
    if (error != NULL) {
      self->accept_at = now + ACCEPT_GAP_NS;
      note_problem (self, error);
    }
    return;
  }
}

static gboolean
wants_to_dial (const HelixStreamServer *self)
{
  return self->listener == NULL && self->peers->len == 0 && !self->dial_failed;
}

/* connect mode: one attempt. The lock is free meanwhile. */
static void
dial (HelixStreamServer *self)
{
  GError *error = NULL;
  guint64 now;
  gint fd;

  pthread_mutex_unlock (&self->lock);
  fd = helix_transport_connect (
      self->address, self->cancel, DIAL_TIMEOUT_MS, &error);
  pthread_mutex_lock (&self->lock);
  now = helix_now_ns ();

  self->dial_at = helix_backoff_next (&self->backoff, now);
  if (fd >= 0) {
    self->rejoined += self->joined > 0;
    add_peer (self, fd, g_strdup (self->address->text), now);
    self->outage_told = FALSE;
  } else if (self->stop) {
    g_clear_error (&error);
  } else if (!helix_transport_error_is_temporary (error)) {
    self->dial_failed = TRUE;
    add_event (self, HELIX_STREAM_SERVER_FATAL, 0)->error = error;
  } else if (!self->outage_told) {
    self->outage_told = TRUE;
    add_event (self, HELIX_STREAM_SERVER_PROBLEM, 0)->error = error;
  } else {
    g_clear_error (&error);
  }
}

/* ---- the thread ---- */

static gboolean
waits_for_key (const HelixStreamServer *self)
{
  for (guint i = 0; i < self->peers->len; i++) {
    const HelixStreamPeer *peer = peer_at (self, i);

    if (helix_stream_peer_is_live (peer) && peer->waits_key && !peer->owes_key)
      return TRUE;
  }
  return FALSE;
}

/* Whether (and until when not) the encoder is to be asked for a keyframe. */
static guint64
tick_key (HelixStreamServer *self, guint64 now)
{
  guint64 due;

  /* A peer still waits although units came: the request was lost. */
  if (self->key_asked && self->units_since_asked > 0 && waits_for_key (self))
    self->host.key_wanted = TRUE;
  if (!self->host.key_wanted)
    return G_MAXUINT64;
  /* The encoder has the request and nothing to make a keyframe of. */
  if (self->key_asked && self->units_since_asked == 0)
    return G_MAXUINT64;
  due = self->key_asked_at == 0 ? now
      : self->key_asked         ? self->key_asked_at + KEY_REPEAT_NS
                                : self->key_asked_at + KEY_GAP_NS;
  if (now < due)
    return due;
  self->host.key_wanted = FALSE;
  self->key_asked = TRUE;
  self->key_asked_at = now;
  self->units_since_asked = 0;
  self->asked++;
  add_event (self, HELIX_STREAM_SERVER_KEYFRAME, 0);
  return G_MAXUINT64;
}

/* All deadlines. Returns the next one. */
static guint64
tick (HelixStreamServer *self, guint64 now)
{
  guint64 next = G_MAXUINT64;

  for (guint i = 0; i < self->peers->len; i++) {
    HelixStreamPeer *peer = peer_at (self, i);

    next = MIN (next, helix_stream_peer_tick (peer, now));
    helix_stream_peer_flush (peer, TURN_BYTES, now);
    answer_lists (self, peer, now);
  }
  reap (self, now);
  next = MIN (next, tick_requests (self, now));
  next = MIN (next, tick_key (self, now));
  if (wants_to_dial (self))
    next = MIN (next, self->dial_at);
  if (now >= self->accept_at)
    self->accept_at = 0;
  return self->accept_at != 0 ? MIN (next, self->accept_at) : next;
}

static gboolean
is_drained (const HelixStreamServer *self)
{
  for (guint i = 0; i < self->peers->len; i++)
    if (helix_stream_peer_pending (peer_at (self, i)))
      return FALSE;
  return TRUE;
}

static void
serve_peer (
    HelixStreamServer *self, HelixStreamPeer *peer, short events, guint64 now)
{
  if (events & (POLLIN | POLLHUP | POLLERR))
    helix_stream_peer_read (peer, now);
  helix_stream_peer_flush (peer, TURN_BYTES, now);
  answer_lists (self, peer, now);
}

/* What to wait for: the wake-up (the waiter's), the peers, the listener. */
static void
fill_poll (HelixStreamServer *self, GArray *fds)
{
  struct pollfd entry = {.fd = -1};

  g_array_set_size (fds, 0);
  g_array_append_val (fds, entry);
  for (guint i = 0; i < self->peers->len; i++) {
    HelixStreamPeer *peer = peer_at (self, i);

    entry.fd = peer->fd;
    entry.events = POLLIN | (helix_stream_peer_pending (peer) ? POLLOUT : 0);
    g_array_append_val (fds, entry);
  }
  if (self->listener == NULL || self->accept_at != 0)
    return;
  entry.events = POLLIN;
  for (guint i = 0; i < self->listener->n_fds; i++) {
    entry.fd = self->listener->fds[i];
    g_array_append_val (fds, entry);
  }
}

/* One round: wait, then serve all that have something. */
static void
serve (HelixStreamServer *self, GArray *fds, guint64 next)
{
  guint n = self->peers->len;
  struct pollfd *ready;
  guint64 now;

  fill_poll (self, fds);
  ready = (struct pollfd *) (void *) fds->data;
  pthread_mutex_unlock (&self->lock);
  helix_waiter_wait (&self->waiter, ready, fds->len, next);
  pthread_mutex_lock (&self->lock);
  now = helix_now_ns ();
  for (guint i = 0; i < n; i++) {
    if (ready[1 + i].revents == 0)
      continue;
    serve_peer (self, peer_at (self, i), ready[1 + i].revents, now);
    /* push () gets its chance between two peers. */
    pthread_mutex_unlock (&self->lock);
    pthread_mutex_lock (&self->lock);
  }
  for (guint i = 1 + n; i < fds->len; i++)
    if (ready[i].revents != 0)
      accept_all (self, i - 1 - n, now);
}

static void *
run (void *data)
{
  HelixStreamServer *self = data;
  GArray *fds = g_array_new (FALSE, FALSE, sizeof (struct pollfd));

  helix_thread_name ("helix-stream");
  pthread_mutex_lock (&self->lock);
  while (!self->stop) {
    guint64 now = helix_now_ns ();
    guint64 next = tick (self, now);

    if (is_drained (self))
      pthread_cond_broadcast (&self->drained);
    if (self->events.length > 0)
      deliver (self);
    else if (wants_to_dial (self) && now >= self->dial_at)
      dial (self);
    else
      serve (self, fds, next);
  }
  pthread_mutex_unlock (&self->lock);
  g_array_unref (fds);
  return NULL;
}

/* Takes the lock off after something that the thread may have to go on with. */
static void
unlock_and_wake (HelixStreamServer *self)
{
  pthread_mutex_unlock (&self->lock);
  helix_waiter_wake (&self->waiter);
}

/* ---- its life ---- */

static void
dispose (HelixStreamServer *self)
{
  for (guint i = 0; i < self->peers->len; i++)
    helix_stream_peer_free (peer_at (self, i));
  g_ptr_array_unref (self->peers);
  g_queue_clear_full (&self->events, (GDestroyNotify) event_free);
  helix_stream_unit_unref (self->host.cursor.shape);
  g_free (self->description);
  helix_listener_free (self->listener);
  helix_address_free (self->address);
  g_object_unref (self->cancel);
  g_free (self->token);
  pthread_cond_destroy (&self->drained);
  pthread_mutex_destroy (&self->lock);
  g_free (self);
}

HelixStreamServer *
helix_stream_server_new (const HelixStreamServerConfig *config,
    HelixStreamServerFunc on_event, gpointer user, GError **error)
{
  g_autoptr (HelixListener) listener = NULL;
  HelixStreamServer *self;
  int failed;

  helix_stream_debug_init ();
  if (config->listen) {
    listener = helix_transport_listen (config->address,
        config->token != NULL || config->insecure ? HELIX_ADMIT_ALL
                                                  : HELIX_ADMIT_OWN,
        NULL, error);
    if (listener == NULL)
      return NULL;
    if (listener->remark != NULL)
      GST_WARNING ("%s", listener->remark);
  }
  self = g_new0 (HelixStreamServer, 1);
  self->on_event = on_event;
  self->user = user;
  self->address = helix_address_parse (config->address->text, NULL);
  self->listener = g_steal_pointer (&listener);
  self->cancel = g_cancellable_new ();
  self->token = g_strdup (config->token);
  self->host.max_live[HELIX_ROLE_STREAM] = config->max_clients;
  self->host.max_live[HELIX_ROLE_CONTROL] = HELIX_STREAM_SERVER_MAX_CONTROL;
  self->host.token = self->token;
  self->host.recover = config->recover;
  self->host.max_age = config->max_age_ms * MSECOND;
  self->host.user = self;
  self->host.event = on_peer_event;
  self->peers = g_ptr_array_new ();
  self->next_id = 1;
  self->started = helix_now_ns ();
  pthread_mutex_init (&self->lock, NULL);
  helix_cond_init (&self->drained);
  failed = helix_waiter_init (&self->waiter) ? 0 : errno;
  if (failed == 0) {
    failed = pthread_create (&self->thread, NULL, run, self);
    if (failed == 0)
      return self;
    helix_waiter_clear (&self->waiter);
  }
  g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_FAILED,
      "%s: cannot start a thread: %s. Raise the limits of this process.",
      config->address->text, g_strerror (failed));
  dispose (self);
  return NULL;
}

void
helix_stream_server_free (HelixStreamServer *self)
{
  guint64 now = helix_now_ns ();

  if (self == NULL)
    return;
  g_cancellable_cancel (self->cancel);
  pthread_mutex_lock (&self->lock);
  self->stop = TRUE;
  unlock_and_wake (self);
  pthread_join (self->thread, NULL);
  helix_waiter_clear (&self->waiter);

  for (guint i = 0; i < self->peers->len; i++) {
    helix_stream_peer_bye (peer_at (self, i), HELIX_BYE_CLOSING, now);
    helix_stream_peer_flush (peer_at (self, i), TURN_BYTES, now);
  }
  dispose (self);
}

/* ---- for the element's threads ---- */

void
helix_stream_server_set_caps (
    HelixStreamServer *self, const struct helix_caps *caps, const gchar *text)
{
  guint32 id;

  pthread_mutex_lock (&self->lock);
  id = self->caps.caps_id + 1;
  self->caps = *caps;
  self->caps.caps_id = id == 0 ? 1 : id;
  g_free (self->description);
  self->description = g_strdup (text);
  pthread_mutex_unlock (&self->lock);
}

void
helix_stream_server_apply (HelixStreamServer *self)
{
  pthread_mutex_lock (&self->lock);
  self->applies = TRUE;
  unlock_and_wake (self);
}

void
helix_stream_server_want_key (HelixStreamServer *self)
{
  pthread_mutex_lock (&self->lock);
  self->host.key_wanted = TRUE;
  unlock_and_wake (self);
}

void
helix_stream_server_tell (HelixStreamServer *self, guint id,
    enum helix_error_code code, enum helix_type refers, const gchar *text)
{
  pthread_mutex_lock (&self->lock);
  for (guint i = 0; i < self->peers->len; i++) {
    HelixStreamPeer *peer = peer_at (self, i);

    if (peer->id == id && helix_stream_peer_is_live (peer))
      helix_stream_peer_refuse (peer, code, refers, text, 0);
  }
  unlock_and_wake (self);
}

/* By the far end's check, so that it never has a reason to complain. */
static gboolean
cursor_is_good (const struct helix_cursor *cursor, const HelixStreamUnit *shape)
{
  guint32 bulk = shape != NULL ? (guint32) shape->map.size : 0;
  struct helix_cursor copy = *cursor;
  guint8 message[HELIX_MAX_MESSAGE];
  const gchar *why;

  if (shape != NULL)
    copy.flags |= HELIX_CURSOR_SHAPE;
  else
    copy.width = copy.height = 0; /* keep_cursor () does not look at them */
  helix_pack_cursor (message, 0, &copy, bulk);
  return helix_unpack_cursor (&copy, message + HELIX_HEADER_SIZE, sizeof copy,
      (guint32) sizeof copy + bulk, &why);
}

/* Takes `shape`. What is told of a shape is always what was told with it. */
static void
keep_cursor (HelixStreamCursor *self, const struct helix_cursor *cursor,
    HelixStreamUnit *shape)
{
  struct helix_cursor last = self->head;

  self->known = TRUE;
  self->head = *cursor;
  if (shape != NULL) {
    helix_stream_unit_unref (self->shape);
    self->shape = shape;
    return;
  }
  if (self->shape == NULL || last.serial != cursor->serial) {
    g_clear_pointer (&self->shape, helix_stream_unit_unref);
    last.serial = last.width = last.height = last.hot_x = last.hot_y = 0;
  }
  self->head.serial = last.serial;
  self->head.width = last.width;
  self->head.height = last.height;
  self->head.hot_x = last.hot_x;
  self->head.hot_y = last.hot_y;
}

/* After something was queued for a peer that had nothing to send before: sends
 * what its socket takes. Returns whether the thread must do the rest. */
static gboolean
send_now (HelixStreamPeer *peer, gboolean waited, guint64 now)
{
  /* Otherwise the thread is at it, and order must be kept. */
  if (!waited)
    helix_stream_peer_flush (peer, G_MAXSIZE, now);
  return (helix_stream_peer_pending (peer) && !waited)
      || peer->life == HELIX_STREAM_PEER_DEAD || peer->lists > 0;
}

gboolean
helix_stream_server_cursor (HelixStreamServer *self,
    const struct helix_cursor *cursor, GstBuffer *shape)
{
  struct helix_cursor own = *cursor;
  HelixStreamUnit *unit = NULL;
  gboolean work = FALSE;
  guint64 now;

  if (shape != NULL && (unit = helix_stream_unit_new (shape)) == NULL)
    return FALSE;
  own.flags &= ~HELIX_CURSOR_SHAPE;
  if (!cursor_is_good (&own, unit)) {
    helix_stream_unit_unref (unit);
    return FALSE;
  }
  pthread_mutex_lock (&self->lock);
  now = helix_now_ns ();
  keep_cursor (&self->host.cursor, &own, unit);
  for (guint i = 0; i < self->peers->len; i++) {
    HelixStreamPeer *peer = peer_at (self, i);
    gboolean waited = helix_stream_peer_pending (peer);

    peer->cursor_due = TRUE;
    if (helix_stream_peer_watches (peer))
      work |= send_now (peer, waited, now);
  }
  work |= self->host.key_wanted || self->events.length > 0;
  pthread_mutex_unlock (&self->lock);
  if (work)
    helix_waiter_wake (&self->waiter);
  return TRUE;
}

static void
count_unit (HelixStreamServer *self, const struct helix_unit *head, gsize size,
    guint64 pushed_ns)
{
  self->units++;
  self->bytes += size;
  self->units_since_asked++;
  self->last_unit = head->sent_ns;
  if (pushed_ns <= head->sent_ns)
    helix_histogram_add (&self->encode, head->sent_ns - pushed_ns);
  if (pushed_ns <= head->sent_ns && head->capture_ns != HELIX_NONE64)
    self->encode_us = (guint32) MIN (
        (head->sent_ns - pushed_ns) / GST_USECOND, (guint64) G_MAXUINT32);
  if (head->capture_ns <= head->sent_ns)
    helix_histogram_add (&self->latency, head->sent_ns - head->capture_ns);
  if (head->flags & HELIX_UNIT_KEY) {
    self->keyframes++;
    self->key_asked = self->host.key_wanted = FALSE;
  }
}

void
helix_stream_server_push (HelixStreamServer *self, GstBuffer *buffer,
    const struct helix_unit *head, guint64 pushed_ns)
{
  HelixStreamUnit *unit = helix_stream_unit_new (buffer);
  struct helix_unit own = *head;
  gboolean work = FALSE;
  guint64 now;

  if (unit == NULL)
    return;
  unit->arrived_ns = head->sent_ns;
  pthread_mutex_lock (&self->lock);
  if (self->caps.caps_id == 0)
    goto done;
  now = helix_now_ns ();
  own.caps_id = self->caps.caps_id;
  own.sequence = self->sequence++;
  count_unit (self, &own, unit->map.size, pushed_ns);
  for (guint i = 0; i < self->peers->len; i++) {
    HelixStreamPeer *peer = peer_at (self, i);
    gboolean waited = helix_stream_peer_pending (peer);

    helix_stream_peer_push (peer, unit, &own, &self->caps);
    work |= send_now (peer, waited, now);
    /* A request that was held back for want of units is due now. */
    work |= helix_stream_peer_is_live (peer) && peer->waits_key;
  }
  work |= self->host.key_wanted || self->events.length > 0;

done:
  pthread_mutex_unlock (&self->lock);
  if (work)
    helix_waiter_wake (&self->waiter);
  helix_stream_unit_unref (unit);
}

void
helix_stream_server_skip (HelixStreamServer *self)
{
  pthread_mutex_lock (&self->lock);
  self->sequence++;
  pthread_mutex_unlock (&self->lock);
}

void
helix_stream_server_end (HelixStreamServer *self, guint timeout_ms)
{
  guint64 now = helix_now_ns ();
  guint64 until = now + timeout_ms * MSECOND;

  pthread_mutex_lock (&self->lock);
  while (!self->interrupted && !is_drained (self))
    if (helix_cond_wait_until (&self->drained, &self->lock, until) != 0)
      break;
  now = helix_now_ns ();
  for (guint i = 0; i < self->peers->len; i++) {
    HelixStreamPeer *peer = peer_at (self, i);

    if (helix_stream_peer_is_live (peer)) {
      helix_stream_peer_bye (peer, HELIX_BYE_EOS, now);
      helix_stream_peer_flush (peer, TURN_BYTES, now);
    }
  }
  unlock_and_wake (self);
}

void
helix_stream_server_interrupt (HelixStreamServer *self, gboolean on)
{
  pthread_mutex_lock (&self->lock);
  self->interrupted = on;
  pthread_cond_broadcast (&self->drained);
  pthread_mutex_unlock (&self->lock);
}

/* ---- stats ---- */

guint
helix_stream_server_clients (HelixStreamServer *self)
{
  guint n;

  pthread_mutex_lock (&self->lock);
  n = self->host.n_live[HELIX_ROLE_STREAM];
  pthread_mutex_unlock (&self->lock);
  return n;
}

static GstStructure *
peer_stats (const HelixStreamPeer *peer)
{
  return gst_structure_new ("client", "id", G_TYPE_UINT, peer->id, "peer",
      G_TYPE_STRING, peer->address, "name", G_TYPE_STRING, peer->server.name,
      "pid", G_TYPE_UINT, peer->server.hello.pid, "units", G_TYPE_UINT64,
      peer->sent_units, "bytes", G_TYPE_UINT64, peer->sent_bytes, "dropped",
      G_TYPE_UINT64, peer->dropped, "skips", G_TYPE_UINT64, peer->skips,
      "queued-units", G_TYPE_UINT, peer->units, "queued-bytes", G_TYPE_UINT64,
      (guint64) peer->out.bytes[HELIX_WRITER_UNITS], "received-units",
      G_TYPE_UINT64, peer->told.units, "received-bytes", G_TYPE_UINT64,
      peer->told.bytes, "lost", G_TYPE_UINT64, peer->told.lost, "latency",
      G_TYPE_UINT64,
      peer->told.units > 0 ? peer->told.latency_ns : HELIX_NONE64, NULL);
}

/* All that get the stream. */
static void
take_clients (HelixStreamServer *self, GValue *list)
{
  GValue item = G_VALUE_INIT;

  g_value_init (list, GST_TYPE_LIST);
  for (guint i = 0; i < self->peers->len; i++) {
    if (!helix_stream_peer_watches (peer_at (self, i)))
      continue;
    g_value_init (&item, GST_TYPE_STRUCTURE);
    g_value_take_boxed (&item, peer_stats (peer_at (self, i)));
    gst_value_list_append_and_take_value (list, &item);
  }
}

GstStructure *
helix_stream_server_stats (HelixStreamServer *self, const gchar *name)
{
  GValue list = G_VALUE_INIT;
  GstStructure *stats;

  pthread_mutex_lock (&self->lock);
  stats = gst_structure_new (name, "address", G_TYPE_STRING,
      self->listener != NULL ? self->listener->text : self->address->text,
      "num-clients", G_TYPE_UINT, self->host.n_live[HELIX_ROLE_STREAM],
      "num-controllers", G_TYPE_UINT, self->host.n_live[HELIX_ROLE_CONTROL],
      "clients-total", G_TYPE_UINT64, self->joined, "reconnects", G_TYPE_UINT64,
      self->rejoined, "rejected", G_TYPE_UINT64, self->rejected, "units",
      G_TYPE_UINT64, self->units, "bytes", G_TYPE_UINT64, self->bytes,
      "keyframes", G_TYPE_UINT64, self->keyframes, "keyframes-requested",
      G_TYPE_UINT64, self->asked, "units-sent", G_TYPE_UINT64,
      self->host.sent_units, "bytes-sent", G_TYPE_UINT64, self->host.sent_bytes,
      "units-dropped", G_TYPE_UINT64, self->host.dropped, NULL);
  helix_stats_set_times (stats, "encode", &self->encode);
  helix_stats_set_times (stats, "send", &self->host.send);
  helix_stats_set_times (stats, "latency", &self->latency);
  take_clients (self, &list);
  pthread_mutex_unlock (&self->lock);
  gst_structure_take_value (stats, "clients", &list);
  return stats;
}

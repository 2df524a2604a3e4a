/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-stream-server-private.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "helix-platform.h"
#include "helix-stream-debug.h"

#define GST_CAT_DEFAULT helix_stream_debug

#define MSECOND G_GUINT64_CONSTANT (1000000)

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

/* connect mode: the time for one attempt, and between attempts. */
#define DIAL_TIMEOUT_MS 900
#define DIAL_GAP_MIN_NS (20 * MSECOND)
#define DIAL_GAP_MAX_NS (500 * MSECOND)

/* ---- under the lock ---- */

HelixStreamNote *
helix_stream_server_note (HelixStreamServer *self, HelixStreamNoteKind kind,
    guint id, const gchar *text)
{
  HelixStreamNote *note = g_new0 (HelixStreamNote, 1);

  note->kind = kind;
  note->id = id;
  note->text = g_strdup (text);
  g_queue_push_tail (&self->notes, note);
  return note;
}

static void
note_error (HelixStreamServer *self, HelixStreamNoteKind kind, GError *error)
{
  helix_stream_server_note (self, kind, 0, NULL)->error = error;
}

static void
note_free (HelixStreamNote *note)
{
  g_clear_error (&note->error);
  g_free (note->text);
  g_free (note);
}

/* Said once of each client. */
static void
tell_slow (HelixStreamServer *self, HelixStreamSession *session)
{
  if (!session->slow || session->slow_told)
    return;
  session->slow_told = TRUE;
  note_error (self, HELIX_STREAM_NOTE_PROBLEM,
      g_error_new (GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_WRITE,
          "Client %s takes less than the encoder makes: what was not with it "
          "within %u ms was dropped, up to a keyframe. Lower the encoder's "
          "bitrate or the framerate, or raise max-age.",
          session->peer, (guint) (self->max_age / MSECOND)));
}

/* After anything that may have changed a session. */
static void
look_at (HelixStreamServer *self, HelixStreamSession *session, guint64 now)
{
  gboolean live = session->state == HELIX_STREAM_SESSION_LIVE;
  gboolean anew = live || session->state == HELIX_STREAM_SESSION_PROVING;

  /* Where the connection outlives its sessions, only this tells of their
   * end; reap () knows of all others. */
  if (session->restarted)
    helix_stream_server_forget (self, session->id);
  helix_stream_server_heed (self, session, now);
  if (session->state < HELIX_STREAM_SESSION_LIVE)
    helix_stream_server_forget (self, session->id);
  if (session->announced && (!live || session->restarted)) {
    session->announced = FALSE;
    helix_stream_server_note (self, HELIX_STREAM_NOTE_REMOVED, session->id,
        anew                          ? "it started a new session"
            : session->reason != NULL ? session->reason
                                      : "it is gone");
    if (anew) {
      session->id = self->next_id++;
      self->rejoined++;
    }
  }
  session->restarted = FALSE;
  if (live)
    self->dial_gap = DIAL_GAP_MIN_NS / 2; /* the next outage is another one */
  if (helix_stream_session_watches (session) && !session->announced) {
    session->announced = TRUE;
    self->joined++;
    self->outage_told = FALSE;
    helix_stream_server_note (
        self, HELIX_STREAM_NOTE_ADDED, session->id, session->peer);
  }
  if (session->needs_key) {
    session->needs_key = FALSE;
    self->key_wanted = TRUE;
  }
  tell_slow (self, session);
  if (session->problem == NULL)
    return;
  self->rejected++;
  GST_INFO ("%s", session->problem->message);
  if (now - self->problem_at >= PROBLEM_GAP_NS) {
    self->problem_at = now;
    note_error (
        self, HELIX_STREAM_NOTE_PROBLEM, g_steal_pointer (&session->problem));
  }
  g_clear_error (&session->problem);
}

/* Says an ERROR, without waiting: what the socket does not take is lost. */
static void
send_off (HelixStreamServer *self, HelixStreamSession *session,
    enum helix_error_code code, const gchar *text, guint64 now)
{
  const HelixStreamSessionPolicy policy = {0};

  helix_stream_session_refuse (session, code, 0, text, now);
  helix_stream_session_flush (session, G_MAXSIZE, now);
  helix_stream_session_read (session, &policy, now);
  look_at (self, session, now);
}

/* Before a stranger is taken: those that have no session yet have a bound of
 * their own, so that they take no client's place; and the oldest goes, so that
 * they do not keep others out. Those that had a session, and linger or prove
 * the token anew, have the bound of clients. */
static void
make_room (
    HelixStreamServer *self, gboolean had_session, guint bound, guint64 now)
{
  HelixStreamSession *oldest = NULL;
  guint n = 0;

  /* In the order of their coming. */
  for (guint i = 0; i < self->sessions->len; i++) {
    HelixStreamSession *session = self->sessions->pdata[i];

    if (session->state == HELIX_STREAM_SESSION_LIVE
        || session->state == HELIX_STREAM_SESSION_DEAD
        || (session->live_since != 0) != had_session)
      continue;
    if (n++ == 0)
      oldest = session;
  }
  if (n < bound)
    return;
  if (oldest->state != HELIX_STREAM_SESSION_CLOSING)
    send_off (self, oldest, HELIX_ERROR_TIMEOUT,
        "others connected before it had begun a session", now);
  helix_stream_session_die (oldest, NULL);
}

/* Whether the connection may be served at all; else it is answered, and takes
 * no place. */
static gboolean
admit (HelixStreamServer *self, HelixStreamSession *session, guint64 now)
{
  g_autofree gchar *who = NULL;
  g_autofree gchar *why =
      helix_listener_refusal (self->listener, session->fd, &who);
  g_autofree gchar *text = NULL;

  if (why != NULL && who == NULL) {
    GST_DEBUG ("%s is gone again", session->peer);
    helix_stream_session_free (session);
    return FALSE;
  }
  if (why != NULL) {
    text = g_strdup_printf ("%s. " OPEN_UP, why);
    session->problem =
        g_error_new (GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_AUTHORIZED,
            "Client %s of %s refused: %s.", session->peer, who, text);
    send_off (self, session, HELIX_ERROR_AUTH, text, now);
    helix_stream_session_free (session);
    return FALSE;
  }
  make_room (self, FALSE, HELIX_STREAM_SERVER_MAX_STRANGERS, now);
  make_room (
      self, TRUE, self->max_clients + HELIX_STREAM_SERVER_MAX_CONTROL, now);
  return TRUE;
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
add_session (HelixStreamServer *self, gint fd, gchar *peer, guint64 now)
{
  HelixStreamSession *session = helix_stream_session_new (
      self->next_id++, fd, peer, self->listener == NULL, &self->cursor, now);

  session->out.times = &self->send;
  session->is_local = self->listener != NULL && is_own_process (fd);
  if (self->listener != NULL && !admit (self, session, now))
    return;
  GST_DEBUG ("session %u: connection of %s", session->id, session->peer);
  g_ptr_array_add (self->sessions, session);
}

static void
reap (HelixStreamServer *self, guint64 now)
{
  for (guint i = self->sessions->len; i-- > 0;) {
    HelixStreamSession *session = self->sessions->pdata[i];

    if (session->state != HELIX_STREAM_SESSION_DEAD)
      continue;
    GST_DEBUG ("session %u ends: %s", session->id,
        session->reason != NULL ? session->reason : "closed");
    self->gone_units += session->out.sent_units;
    self->gone_bytes += session->out.sent_bytes;
    self->gone_dropped += session->dropped;
    helix_stream_server_forget (self, session->id);
    helix_stream_session_free (session);
    g_ptr_array_remove_index (self->sessions, i);
    self->dial_at = now + self->dial_gap;
  }
}

/* Whether (and until when not) the encoder is to be asked for a keyframe. */
static guint64
tick_key (HelixStreamServer *self, guint64 now)
{
  guint64 due;
  guint waiting = 0;

  /* Somebody still waits although units came: the request was lost. */
  for (guint i = 0; i < self->sessions->len; i++) {
    HelixStreamSession *session = self->sessions->pdata[i];

    waiting += session->state == HELIX_STREAM_SESSION_LIVE && session->waits_key
        && !session->owes_key;
  }
  if (waiting > 0 && self->key_asked && self->units_since_asked > 0)
    self->key_wanted = TRUE;
  if (!self->key_wanted)
    return G_MAXUINT64;
  /* The encoder has the request and nothing to make a keyframe of. */
  if (self->key_asked && self->units_since_asked == 0)
    return G_MAXUINT64;
  due = self->key_asked_at == 0 ? now
      : self->key_asked         ? self->key_asked_at + KEY_REPEAT_NS
                                : self->key_asked_at + KEY_GAP_NS;
  if (now < due)
    return due;
  self->key_wanted = FALSE;
  self->key_asked = TRUE;
  self->key_asked_at = now;
  self->units_since_asked = 0;
  self->asked++;
  helix_stream_server_note (self, HELIX_STREAM_NOTE_KEYFRAME, 0, NULL);
  return G_MAXUINT64;
}

/* All deadlines. Returns the next one. */
static guint64
tick (HelixStreamServer *self, guint64 now)
{
  guint64 next = G_MAXUINT64;

  for (guint i = 0; i < self->sessions->len; i++) {
    HelixStreamSession *session = self->sessions->pdata[i];
    guint64 due = helix_stream_session_tick (session, now);

    helix_stream_session_flush (session, TURN_BYTES, now);
    look_at (self, session, now);
    next = MIN (next, due);
  }
  reap (self, now);
  next = MIN (next, helix_stream_server_tick_wishes (self, now));
  next = MIN (next, tick_key (self, now));
  if (self->listener == NULL && self->sessions->len == 0 && !self->dial_failed)
    next = MIN (next, self->dial_at);
  if (now >= self->accept_at)
    self->accept_at = 0;
  return self->accept_at != 0 ? MIN (next, self->accept_at) : next;
}

/* ---- the thread ---- */

static void
call_back (HelixStreamServer *self, const HelixStreamNote *note)
{
  const HelixStreamServerCallbacks *callbacks = &self->callbacks;

  switch (note->kind) {
    case HELIX_STREAM_NOTE_ADDED:
      callbacks->client_added (self->user, note->id, note->text);
      break;
    case HELIX_STREAM_NOTE_REMOVED:
      callbacks->client_removed (self->user, note->id, note->text);
      break;
    case HELIX_STREAM_NOTE_KEYFRAME:
      callbacks->keyframe_wanted (self->user);
      break;
    case HELIX_STREAM_NOTE_WISH:
      callbacks->wished (self->user, note->id, &note->wish);
      break;
    case HELIX_STREAM_NOTE_SHOW:
      callbacks->show (self->user, note->id, &note->show);
      break;
    case HELIX_STREAM_NOTE_PROBLEM:
    case HELIX_STREAM_NOTE_FATAL:
      callbacks->problem (
          self->user, note->error, note->kind == HELIX_STREAM_NOTE_FATAL);
      break;
  }
}

static void
deliver (HelixStreamServer *self)
{
  HelixStreamNote *note;

  while ((note = g_queue_pop_head (&self->notes)) != NULL) {
    pthread_mutex_unlock (&self->lock);
    call_back (self, note);
    note_free (note);
    pthread_mutex_lock (&self->lock);
  }
}

static void
accept_all (HelixStreamServer *self, guint index, guint64 now)
{
  for (guint i = 0; i < MAX_ACCEPTS; i++) {
    g_autoptr (GError) error = NULL;
    gchar *peer = NULL;
    gint fd = helix_listener_accept (self->listener, index, &peer, &error);

    if (fd >= 0) {
      add_session (self, fd, peer, now);
      continue;
    }
    if (error != NULL)
      self->accept_at = now + ACCEPT_GAP_NS;
    if (error != NULL && now - self->problem_at >= PROBLEM_GAP_NS) {
      self->problem_at = now;
      note_error (self, HELIX_STREAM_NOTE_PROBLEM, g_steal_pointer (&error));
    }
    return;
  }
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

  self->dial_gap = CLAMP (self->dial_gap * 2, DIAL_GAP_MIN_NS, DIAL_GAP_MAX_NS);
  self->dial_at =
      now + self->dial_gap * (guint64) g_random_int_range (75, 126) / 100;
  if (fd >= 0) {
    self->rejoined += self->joined > 0;
    add_session (self, fd, g_strdup (self->address->text), now);
    self->outage_told = FALSE;
  } else if (self->stop) {
    g_clear_error (&error);
  } else if (!helix_transport_error_is_temporary (error)) {
    self->dial_failed = TRUE;
    note_error (self, HELIX_STREAM_NOTE_FATAL, error);
  } else if (!self->outage_told) {
    self->outage_told = TRUE;
    note_error (self, HELIX_STREAM_NOTE_PROBLEM, error);
  } else {
    g_clear_error (&error);
  }
}

/* Waits with the lock free; returns with fresh revents. */
static void
wait_for_work (HelixStreamServer *self, GArray *fds, guint64 next)
{
  guint64 now = helix_now_ns ();
  int timeout = -1;

  if (next <= now)
    timeout = 0;
  else if (next != G_MAXUINT64)
    timeout = (int) MIN ((next - now + MSECOND - 1) / MSECOND, 60000);
  pthread_mutex_unlock (&self->lock);
  if (poll ((struct pollfd *) (void *) fds->data, fds->len, timeout) < 0)
    for (guint i = 0; i < fds->len; i++)
      g_array_index (fds, struct pollfd, i).revents = 0;
  pthread_mutex_lock (&self->lock);
}

static void
serve_session (HelixStreamServer *self, HelixStreamSession *session,
    short events, guint64 now)
{
  HelixStreamSessionPolicy policy = helix_stream_server_policy (self);

  if (events & (POLLIN | POLLHUP | POLLERR))
    helix_stream_session_read (session, &policy, now);
  helix_stream_session_flush (session, TURN_BYTES, now);
  look_at (self, session, now);
}

static void
collect (HelixStreamServer *self, GArray *fds)
{
  struct pollfd entry = {.fd = self->wakeup[0], .events = POLLIN};

  g_array_set_size (fds, 0);
  g_array_append_val (fds, entry);
  for (guint i = 0; i < self->sessions->len; i++) {
    HelixStreamSession *session = self->sessions->pdata[i];

    entry.fd = session->fd;
    entry.events =
        POLLIN | (helix_stream_session_pending (session) ? POLLOUT : 0);
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

/* One round: wait, then serve whoever has something. */
static void
serve (HelixStreamServer *self, GArray *fds, guint64 next)
{
  const struct pollfd *ready;
  guint n = self->sessions->len;
  guint64 now;

  collect (self, fds);
  wait_for_work (self, fds, next);
  now = helix_now_ns ();
  ready = (const struct pollfd *) (void *) fds->data;
  if (ready[0].revents != 0)
    helix_wakeup_clear (self->wakeup);
  for (guint i = 0; i < n; i++) {
    if (ready[1 + i].revents == 0)
      continue;
    serve_session (self, self->sessions->pdata[i], ready[1 + i].revents, now);
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

    if (helix_stream_server_drained (self))
      pthread_cond_broadcast (&self->drained);
    if (!g_queue_is_empty (&self->notes)) {
      deliver (self);
      continue;
    }
    if (self->listener == NULL && self->sessions->len == 0 && !self->dial_failed
        && now >= self->dial_at) {
      dial (self);
      continue;
    }
    serve (self, fds, next);
  }
  pthread_mutex_unlock (&self->lock);
  g_array_unref (fds);
  return NULL;
}

/* ---- for the element ---- */

static void
dispose (HelixStreamServer *self)
{
  HelixStreamNote *note;

  for (guint i = 0; i < self->sessions->len; i++)
    helix_stream_session_free (self->sessions->pdata[i]);
  g_ptr_array_unref (self->sessions);
  while ((note = g_queue_pop_head (&self->notes)) != NULL)
    note_free (note);
  helix_stream_outbox_unit_unref (self->cursor.shape);
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
    const HelixStreamServerCallbacks *callbacks, gpointer user, GError **error)
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
  self->callbacks = *callbacks;
  self->user = user;
  self->address = helix_address_parse (config->address->text, NULL);
  self->listener = g_steal_pointer (&listener);
  self->cancel = g_cancellable_new ();
  self->token = g_strdup (config->token);
  self->max_clients = config->max_clients;
  self->recover = config->recover;
  self->max_age = config->max_age_ms * MSECOND;
  self->sessions = g_ptr_array_new ();
  self->next_id = 1;
  self->started = helix_now_ns ();
  self->dial_gap = DIAL_GAP_MIN_NS / 2;
  g_queue_init (&self->notes);
  pthread_mutex_init (&self->lock, NULL);
  helix_cond_init (&self->drained);
  failed = helix_wakeup_open (self->wakeup) < 0 ? errno : 0;
  if (failed == 0) {
    failed = pthread_create (&self->thread, NULL, run, self);
    if (failed == 0)
      return self;
    helix_wakeup_close (self->wakeup);
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
  pthread_mutex_unlock (&self->lock);
  helix_wakeup_raise (self->wakeup);
  pthread_join (self->thread, NULL);
  helix_wakeup_close (self->wakeup);

  for (guint i = 0; i < self->sessions->len; i++) {
    helix_stream_session_bye (self->sessions->pdata[i], HELIX_BYE_CLOSING, now);
    helix_stream_session_flush (self->sessions->pdata[i], TURN_BYTES, now);
  }
  dispose (self);
}

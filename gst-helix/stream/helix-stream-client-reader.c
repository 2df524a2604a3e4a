/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The stream client's thread: connects, reads, answers, whether or not anybody
 * takes what comes.
 */
#include "helix-stream-client-private.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "helix-platform.h"
#include "helix-stream-debug.h"

#define GST_CAT_DEFAULT helix_stream_debug

#define MSECOND G_GUINT64_CONSTANT (1000000)

/* One attempt to connect, and how long an outage may stay untold. */
#define DIAL_TIMEOUT_MS 900
#define TELL_NS (900 * MSECOND)

#define GAP_MAX_NS (500 * MSECOND)

/* Before a connection is accepted again for which nothing was left: until then
 * its listener would end each wait at once. */
#define ACCEPT_GAP_NS (200 * MSECOND)

/* No wait is longer than MAX_WAIT_MS. One that took STALL_NS tells that this
 * program was stopped, and could not have heard what was said meanwhile. */
#define STALL_NS (1000 * MSECOND)
#define MAX_WAIT_MS 500

gboolean
helix_stream_client_take_orders (HelixStreamClient *self, guint64 now)
{
  HelixStreamWishes *wishes = &self->wishes;
  HelixStreamLink *link = self->link;
  struct helix_config config;
  gboolean stop;

  pthread_mutex_lock (&self->lock);
  stop = self->stop;
  self->ask_at = G_MAXUINT64;
  if (link != NULL && self->ask) {
    helix_stream_link_ask (link, HELIX_KEYFRAME_ASKED, now);
    self->ask = FALSE;
  }
  if (link != NULL
      && helix_stream_inbox_tick (&self->inbox, now, &self->ask_at))
    helix_stream_link_ask (link, HELIX_KEYFRAME_GAP, now);
  if (link != NULL && helix_stream_wishes_pending (wishes, &config)
      && helix_stream_link_config (link, &config))
    helix_stream_wishes_sent (wishes);
  if (link != NULL && wishes->show_id != 0
      && helix_stream_link_show (link, wishes->show_id, wishes->show_ns, now))
    helix_stream_wishes_shown (wishes);
  pthread_mutex_unlock (&self->lock);
  return stop;
}

/* ---- hand over ---- */

static void
warn (HelixStreamClient *self, GError *error)
{
  if (self->warnings.length < HELIX_STREAM_CLIENT_MAX_WARNINGS) {
    g_queue_push_tail (&self->warnings, error);
    return;
  }
  GST_WARNING ("%s", error->message);
  g_error_free (error);
}

/* Units come or are taken too slowly, again and again: said once. */
static void
warn_of_slowness (HelixStreamClient *self)
{
  if (!self->inbox.slow || self->slow_told)
    return;
  self->slow_told = TRUE;
  warn (self,
      g_error_new (GST_CORE_ERROR, GST_CORE_ERROR_CLOCK,
          "%s: units come or are taken too slowly, and those that became "
          "older than %u ms were left out up to a keyframe. Use a faster "
          "decoder or network, lower max-framerate, or raise max-age.",
          self->address->text, (guint) (self->inbox.max_age / MSECOND)));
}

/* Takes what the item holds, and the error. */
static void
hand_over (HelixStreamClient *self, HelixStreamResult result,
    const HelixStreamItem *item, GError *error)
{
  pthread_mutex_lock (&self->lock);
  switch (result) {
    case HELIX_STREAM_CAPS:
      helix_stream_inbox_caps (&self->inbox, item);
      break;
    case HELIX_STREAM_UNIT:
      helix_stream_inbox_unit (&self->inbox, item);
      warn_of_slowness (self);
      break;
    case HELIX_STREAM_CURSOR:
      if (item->buffer != NULL)
        helix_stream_cursors_keep (
            &self->cursors, item->cursor.serial, item->buffer);
      self->cursor = item->cursor;
      self->cursor_due = TRUE;
      break;
    case HELIX_STREAM_WARNING:
      warn (self, error);
      break;
    case HELIX_STREAM_EOS:
    case HELIX_STREAM_ERROR:
      self->end = result;
      self->end_error = error;
      break;
    case HELIX_STREAM_FLUSHING:
      break;
  }
  pthread_mutex_unlock (&self->lock);
  /* Not before: who is woken wants the lock, and would only wait again. */
  pthread_cond_signal (&self->arrived);
}

/* ---- connections ---- */

static void
note_outage (HelixStreamClient *self, guint64 now)
{
  if (self->outage_since != 0)
    return;
  self->outage_since = now;
  self->told = self->refusal_told = FALSE;
}

/* What a failed attempt or a lost connection means for the caller. NULL, with
 * *result unset: go on quietly. Takes `error`. `told`: whether the likes of it
 * were told in this outage; NULL: it is not to be told. */
static gboolean
judge (HelixStreamClient *self, GError *error, gboolean fatal, gboolean *told,
    HelixStreamResult *result, GError **out)
{
  guint64 now = helix_now_ns ();

  note_outage (self, now);
  self->gap = CLAMP (self->gap * 2, HELIX_STREAM_CLIENT_GAP_MIN_NS, GAP_MAX_NS);
  self->dial_at =
      now + self->gap * (guint64) g_random_int_range (75, 126) / 100;

  *result = HELIX_STREAM_ERROR;
  if (fatal || !self->reconnect) {
    g_propagate_error (out, error);
    return TRUE;
  }
  if (self->reconnect_timeout > 0
      && now - self->outage_since >= self->reconnect_timeout) {
    g_propagate_prefixed_error (out, error,
        "Gave up after %u ms: ", (guint) (self->reconnect_timeout / MSECOND));
    return TRUE;
  }
  if (told != NULL && !*told) {
    *told = TRUE;
    *result = HELIX_STREAM_WARNING;
    g_propagate_error (out, error);
    return TRUE;
  }
  GST_DEBUG ("%s", error->message);
  g_error_free (error);
  return FALSE;
}

static gboolean
lost (HelixStreamClient *self, HelixStreamResult *result, GError **out)
{
  HelixStreamLink *link = g_steal_pointer (&self->link);
  GError *error = g_steal_pointer (&link->error);
  gboolean fatal = link->fatal, *told = NULL;

  /* A refused connection and the lack of any other are reported apart. */
  if (link->loud)
    told = self->listener != NULL && !link->live ? &self->refusal_told
                                                 : &self->told;

  pthread_mutex_lock (&self->lock);
  helix_stream_tally_update (&self->tally, link, helix_now_ns ());
  helix_stream_tally_lost (&self->tally);
  helix_stream_inbox_live (&self->inbox, FALSE);
  pthread_mutex_unlock (&self->lock);
  helix_stream_link_free (link);
  if (error == NULL) {
    if (!self->reconnect) {
      *result = HELIX_STREAM_EOS;
      return TRUE;
    }
    error = g_error_new (GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_READ,
        "%s: the other end said goodbye.", self->address->text);
  }
  return judge (self, error, fatal, told, result, out);
}

/* Over a new connection. FALSE: go on. */
static gboolean
start_link (
    HelixStreamClient *self, gint fd, HelixStreamResult *result, GError **out)
{
  HelixStreamLinkConfig config = {
      .address = self->address->text,
      .serial = helix_transport_outlives_session (self->address),
      .strangers = self->listener != NULL,
      .role = self->role,
      .name = self->name,
      .token = self->token,
  };

  if (helix_random (&config.nonce, sizeof config.nonce) < 0) {
    GError *error = g_error_new (GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_FAILED,
        "%s: this system gives no random bytes: %s. Allow the system call "
        "getrandom.",
        self->address->text, g_strerror (errno));

    close (fd);
    return judge (self, error, TRUE, &self->told, result, out);
  }
  self->link = helix_stream_link_new (fd, &config, helix_now_ns ());
  return FALSE;
}

/* One attempt. FALSE: go on. */
static gboolean
dial (HelixStreamClient *self, HelixStreamResult *result, GError **out)
{
  GError *error = NULL;
  gint fd = helix_transport_connect (
      self->address, self->cancel, DIAL_TIMEOUT_MS, &error);

  if (fd >= 0)
    return start_link (self, fd, result, out);
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
    g_error_free (error);
    return FALSE;
  }
  return judge (self, error, !helix_transport_error_is_temporary (error),
      &self->told, result, out);
}

/* Waits for work or `until`, half a second at most (see STALL_NS). Sets
 * *connection to the index of a listening socket with a connection, else -1. */
static void
wait_until (HelixStreamClient *self, guint64 until, gint *connection)
{
  struct pollfd fds[2 + HELIX_LISTENER_MAX] = {
      {.fd = self->wakeup[0], .events = POLLIN},
      {.fd = -1},
  };
  guint n = 2, listening = 0;
  guint64 now = helix_now_ns ();
  int timeout = MAX_WAIT_MS;

  if (self->link != NULL) {
    fds[1].fd = self->link->fd;
    fds[1].events =
        POLLIN | (helix_stream_link_pending (self->link) ? POLLOUT : 0);
  } else if (self->listener != NULL && now >= self->accept_at) {
    listening = self->listener->n_fds;
    for (guint i = 0; i < listening; i++) {
      fds[n].fd = self->listener->fds[i];
      fds[n++].events = POLLIN;
    }
  }
  until = MIN (until, self->ask_at);
  if (until != G_MAXUINT64)
    timeout = until <= now
        ? 0
        : (int) MIN ((until - now + MSECOND - 1) / MSECOND, MAX_WAIT_MS);
  *connection = -1;
  if (poll (fds, n, timeout) <= 0)
    return;
  if (fds[0].revents != 0)
    helix_wakeup_clear (self->wakeup);
  for (guint i = 0; i < listening; i++)
    if (fds[2 + i].revents != 0)
      *connection = (gint) i;
}

/* A connection that may not bring video: told its owner, and once in an outage
 * this end's user, whatever else was told of it. TRUE: *out is that warning. */
static gboolean
turn_away (HelixStreamClient *self, gint fd, const gchar *peer,
    const gchar *why, const gchar *who, GError **out)
{
  guint8 message[HELIX_MAX_MESSAGE];
  struct iovec iov = {.iov_base = message,
      .iov_len = helix_pack_error (message, 0, HELIX_ERROR_AUTH, 0, why)};
  gboolean news = who != NULL && !self->refusal_told;

  (void) helix_transport_write (fd, &iov, 1);
  close (fd);
  if (!news)
    return FALSE;
  self->refusal_told = TRUE;
  g_set_error (out, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_AUTHORIZED,
      "%s: %s of %s refused: %s. Set the same token-file (or token) at both "
      "ends.",
      self->listener->text, peer, who, why);
  return TRUE;
}

/* Takes a connection, if there is one. FALSE: there is nothing to report. */
static gboolean
take_connection (HelixStreamClient *self, guint index,
    HelixStreamResult *result, GError **out)
{
  g_autofree gchar *peer = NULL, *who = NULL, *why = NULL;
  GError *error = NULL;
  gint fd = helix_listener_accept (self->listener, index, &peer, &error);

  if (error != NULL) {
    self->accept_at = helix_now_ns () + ACCEPT_GAP_NS;
    return judge (self, error, FALSE, &self->told, result, out);
  }
  if (fd < 0)
    return FALSE;
  why = helix_listener_refusal (self->listener, fd, &who);
  if (why == NULL)
    return start_link (self, fd, result, out);
  *result = HELIX_STREAM_WARNING;
  return turn_away (self, fd, peer, why, who, out);
}

/* Not connected: dial or accept when it is time. FALSE: go on. */
static gboolean
connect_step (HelixStreamClient *self, HelixStreamResult *result, GError **out)
{
  guint64 now = helix_now_ns ();
  guint64 until = self->dial_at;
  gint connection;

  note_outage (self, now);
  if (self->listener == NULL && now >= until)
    return dial (self, result, out);

  if (self->listener != NULL) {
    until = self->told ? G_MAXUINT64 : self->outage_since + TELL_NS;
    if (self->reconnect_timeout > 0)
      until = MIN (until, self->outage_since + self->reconnect_timeout);
    if (now >= until) {
      return judge (self,
          g_error_new (GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND,
              "%s: nobody has connected yet. Start helixguestsink with "
              "mode=connect and this address.",
              self->listener->text),
          FALSE, &self->told, result, out);
    }
  }
  if (now < self->accept_at)
    until = MIN (until, self->accept_at);
  wait_until (self, until, &connection);
  return connection >= 0
      && take_connection (self, (guint) connection, result, out);
}

/* ---- units ---- */

static void
publish (HelixStreamClient *self, HelixStreamItem *item, guint64 now)
{
  HelixStreamLink *link = self->link;
  HelixStreamTally *tally = &self->tally;

  pthread_mutex_lock (&self->lock);
  helix_stream_tally_update (tally, link, now);
  helix_stream_tally_arrived (tally, link);
  item->clock_known = tally->clock_known;
  item->clock_offset = tally->clock_offset;
  item->clock_error = tally->clock_error;
  pthread_mutex_unlock (&self->lock);
}

static void
went_live (HelixStreamClient *self)
{
  pthread_mutex_lock (&self->lock);
  helix_stream_tally_connected (&self->tally);
  helix_stream_wishes_renew (&self->wishes);
  helix_stream_cursors_clear (&self->cursors);
  self->cursor_due = FALSE; /* of the session before */
  helix_stream_inbox_live (&self->inbox, TRUE);
  pthread_mutex_unlock (&self->lock);
  self->outage_since = 0;
  self->told = self->refusal_told = FALSE;
}

/* What was asked for does not exist, or not there. FALSE: known already. */
static gboolean
refused (HelixStreamClient *self, GError **out)
{
  const HelixStreamLink *link = self->link;
  gboolean news;

  pthread_mutex_lock (&self->lock);
  news = helix_stream_wishes_refused (&self->wishes, &link->refusal);
  pthread_mutex_unlock (&self->lock);
  if (news)
    g_set_error (out, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
        "%s: the other end refuses what was asked of it (%s): %s",
        self->address->text, helix_error_name (link->refusal.code),
        link->refusal_text);
  return news;
}

/* Without units, that the other end answers is all there is to go by, and to
 * keep the statistics by. */
static void
publish_idle (HelixStreamClient *self, guint64 now)
{
  if (self->link->clock.count > 0 && self->role != HELIX_ROLE_STREAM)
    self->gap = HELIX_STREAM_CLIENT_GAP_MIN_NS / 2;
  pthread_mutex_lock (&self->lock);
  helix_stream_tally_update (&self->tally, self->link, now);
  self->link->totals.latency_ns = helix_stream_tally_median (&self->tally);
  pthread_mutex_unlock (&self->lock);
}

/* Connected: read until something is worth returning. FALSE: go on. */
static gboolean
read_step (HelixStreamClient *self, guint64 awake, HelixStreamItem *item,
    HelixStreamResult *result, GError **out)
{
  HelixStreamLink *link = self->link;
  guint64 until;
  gint connection;

  if (helix_stream_link_pending (link))
    helix_stream_link_flush (link);
  switch (helix_stream_link_read (link)) {
    case HELIX_STREAM_LINK_MORE:
      return FALSE;
    case HELIX_STREAM_LINK_LIVE:
      went_live (self);
      return FALSE;
    case HELIX_STREAM_LINK_CAPS:
      item->caps = link->caps;
      *result = HELIX_STREAM_CAPS;
      return TRUE;
    case HELIX_STREAM_LINK_UNIT:
      self->gap = HELIX_STREAM_CLIENT_GAP_MIN_NS / 2;
      item->unit = link->unit;
      item->buffer = g_steal_pointer (&link->buffer);
      item->discont = link->discont;
      item->received_ns = link->received_ns;
      item->waited_for = link->waited_for;
      link->discont = FALSE;
      publish (self, item, link->received_ns);
      *result = HELIX_STREAM_UNIT;
      return TRUE;
    case HELIX_STREAM_LINK_CURSOR:
      item->cursor = link->cursor;
      item->buffer = g_steal_pointer (&link->buffer);
      *result = HELIX_STREAM_CURSOR;
      return TRUE;
    case HELIX_STREAM_LINK_REFUSED:
      *result = HELIX_STREAM_WARNING;
      return refused (self, out);
    case HELIX_STREAM_LINK_LOST:
      return lost (self, result, out);
    case HELIX_STREAM_LINK_IDLE:
      break;
  }

  if (link->live)
    publish_idle (self, helix_now_ns ());
  until = helix_stream_link_tick (link, helix_now_ns (), awake);
  if (until == 0)
    return lost (self, result, out);
  helix_stream_link_flush (link);
  if (!link->live && !self->told && self->reconnect) {
    /* Connected to somebody who says nothing: that is an outage as well. */
    if (helix_now_ns () >= self->outage_since + TELL_NS) {
      self->told = TRUE;
      *result = HELIX_STREAM_WARNING;
      g_set_error (out, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND,
          "%s: connected, but HELLO gets no answer yet. Check that "
          "helixguestsink runs at the other end.",
          self->address->text);
      return TRUE;
    }
    until = MIN (until, self->outage_since + TELL_NS);
  }
  wait_until (self, until, &connection);
  return FALSE;
}

void *
helix_stream_client_read (void *client)
{
  HelixStreamClient *self = client;
  guint64 now = helix_now_ns (), looked = now, awake = now;
  gboolean over = FALSE;

  helix_thread_name ("helix-read");
  while (!over) {
    HelixStreamResult result = HELIX_STREAM_FLUSHING;
    HelixStreamItem item = {0};
    GError *error = NULL;

    now = helix_now_ns ();
    if (now - looked > STALL_NS)
      awake = now;
    looked = now;
    if (helix_stream_client_take_orders (self, now))
      break;
    if (self->link == NULL) {
      if (!connect_step (self, &result, &error))
        continue;
    } else if (!read_step (self, awake, &item, &result, &error)) {
      continue;
    }
    hand_over (self, result, &item, error);
    over = result == HELIX_STREAM_EOS || result == HELIX_STREAM_ERROR;
    /* Also when there is always something to read, PING and STATS go out. */
    if (self->link != NULL && self->link->live)
      helix_stream_link_tick (self->link, helix_now_ns (), awake);
  }
  return NULL;
}

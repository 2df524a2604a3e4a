/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the element's threads give the server: caps, units, the cursor. */
#include "helix-platform.h"
#include "helix-stream-server-private.h"

#define MSECOND G_GUINT64_CONSTANT (1000000)

guint
helix_stream_server_live (HelixStreamServer *self, guint32 role)
{
  guint n = 0;

  for (guint i = 0; i < self->sessions->len; i++) {
    const HelixStreamSession *session = self->sessions->pdata[i];

    n += session->state == HELIX_STREAM_SESSION_LIVE && session->role == role;
  }
  return n;
}

HelixStreamSessionPolicy
helix_stream_server_policy (HelixStreamServer *self)
{
  HelixStreamSessionPolicy policy = {
      .token = self->token,
      .full = helix_stream_server_live (self, HELIX_ROLE_STREAM)
          >= self->max_clients,
      .control_full = helix_stream_server_live (self, HELIX_ROLE_CONTROL)
          >= HELIX_STREAM_SERVER_MAX_CONTROL,
      .recover = self->recover,
      .max_age = self->max_age,
  };

  return policy;
}

gboolean
helix_stream_server_drained (HelixStreamServer *self)
{
  for (guint i = 0; i < self->sessions->len; i++)
    if (helix_stream_session_pending (self->sessions->pdata[i]))
      return FALSE;
  return TRUE;
}

void
helix_stream_server_set_caps (
    HelixStreamServer *self, const struct helix_caps *caps)
{
  guint32 id;

  pthread_mutex_lock (&self->lock);
  id = self->caps.caps_id + 1;
  self->caps = *caps;
  self->caps.caps_id = id == 0 ? 1 : id;
  pthread_mutex_unlock (&self->lock);
}

void
helix_stream_server_describe (HelixStreamServer *self, const gchar *text)
{
  pthread_mutex_lock (&self->lock);
  g_free (self->description);
  self->description = g_strdup (text);
  pthread_mutex_unlock (&self->lock);
}

/* As what the far end checks, so that it never has a reason to complain. */
static gboolean
cursor_is_good (
    const struct helix_cursor *cursor, const HelixStreamOutboxUnit *shape)
{
  if (cursor->scanout >= HELIX_MAX_SCANOUTS)
    return FALSE;
  if (shape == NULL)
    return TRUE;
  return cursor->serial != 0 && cursor->width >= 1
      && cursor->width <= HELIX_MAX_CURSOR && cursor->height >= 1
      && cursor->height <= HELIX_MAX_CURSOR && cursor->hot_x < cursor->width
      && cursor->hot_y < cursor->height
      && shape->map.size == (gsize) cursor->width * cursor->height * 4;
}

/* Takes `shape`. What is told of a shape is always what was told with it. */
static void
keep_cursor (HelixStreamCursor *self, const struct helix_cursor *cursor,
    HelixStreamOutboxUnit *shape)
{
  struct helix_cursor last = self->head;

  self->known = TRUE;
  self->head = *cursor;
  if (shape != NULL) {
    helix_stream_outbox_unit_unref (self->shape);
    self->shape = shape;
    return;
  }
  if (self->shape == NULL || last.serial != cursor->serial) {
    g_clear_pointer (&self->shape, helix_stream_outbox_unit_unref);
    last.serial = last.width = last.height = last.hot_x = last.hot_y = 0;
  }
  self->head.serial = last.serial;
  self->head.width = last.width;
  self->head.height = last.height;
  self->head.hot_x = last.hot_x;
  self->head.hot_y = last.hot_y;
}

/* After something was queued for a session that had nothing to send before:
 * sends what its socket takes. Returns whether the thread must do the rest. */
static gboolean
send_now (HelixStreamSession *session, gboolean waited, guint64 now)
{
  /* Otherwise the thread is at it, and order must be kept. */
  if (!waited)
    helix_stream_session_flush (session, G_MAXSIZE, now);
  return (helix_stream_session_pending (session) && !waited)
      || session->state == HELIX_STREAM_SESSION_DEAD || session->needs_key
      || session->lists > 0;
}

gboolean
helix_stream_server_cursor (HelixStreamServer *self,
    const struct helix_cursor *cursor, GstBuffer *shape)
{
  struct helix_cursor own = *cursor;
  HelixStreamOutboxUnit *unit = NULL;
  gboolean work = FALSE;
  guint64 now;

  if (shape != NULL && (unit = helix_stream_outbox_unit_new (shape)) == NULL)
    return FALSE;
  own.flags &= ~HELIX_CURSOR_SHAPE;
  if (!cursor_is_good (&own, unit)) {
    helix_stream_outbox_unit_unref (unit);
    return FALSE;
  }
  pthread_mutex_lock (&self->lock);
  now = helix_now_ns ();
  keep_cursor (&self->cursor, &own, unit);
  for (guint i = 0; i < self->sessions->len; i++) {
    HelixStreamSession *session = self->sessions->pdata[i];
    gboolean waited = helix_stream_session_pending (session);

    session->cursor_due = TRUE;
    if (helix_stream_session_watches (session))
      work |= send_now (session, waited, now);
  }
  pthread_mutex_unlock (&self->lock);
  if (work)
    helix_wakeup_raise (self->wakeup);
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
    self->key_asked = self->key_wanted = FALSE;
  }
}

void
helix_stream_server_push (HelixStreamServer *self, GstBuffer *buffer,
    const struct helix_unit *head, guint64 pushed_ns)
{
  HelixStreamOutboxUnit *unit = helix_stream_outbox_unit_new (buffer);
  gboolean work = FALSE;
  struct helix_unit own = *head;
  HelixStreamSessionPolicy policy;
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
  policy = helix_stream_server_policy (self);
  for (guint i = 0; i < self->sessions->len; i++) {
    HelixStreamSession *session = self->sessions->pdata[i];
    gboolean waited = helix_stream_session_pending (session);

    helix_stream_session_push (session, &policy, unit, &own, &self->caps);
    work |= send_now (session, waited, now);
    /* A request that was held back for want of units is due now. */
    work |= session->state == HELIX_STREAM_SESSION_LIVE && session->waits_key;
  }

done:
  pthread_mutex_unlock (&self->lock);
  if (work)
    helix_wakeup_raise (self->wakeup);
  helix_stream_outbox_unit_unref (unit);
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
  while (!self->interrupted && !helix_stream_server_drained (self))
    if (helix_cond_wait_until (&self->drained, &self->lock, until) != 0)
      break;
  now = helix_now_ns ();
  for (guint i = 0; i < self->sessions->len; i++) {
    HelixStreamSession *session = self->sessions->pdata[i];

    if (session->state == HELIX_STREAM_SESSION_LIVE) {
      helix_stream_session_bye (session, HELIX_BYE_EOS, now);
      helix_stream_session_flush (session, TURN_BYTES, now);
    }
  }
  pthread_mutex_unlock (&self->lock);
  helix_wakeup_raise (self->wakeup);
}

void
helix_stream_server_interrupt (HelixStreamServer *self, gboolean on)
{
  pthread_mutex_lock (&self->lock);
  self->interrupted = on;
  pthread_cond_broadcast (&self->drained);
  pthread_mutex_unlock (&self->lock);
}

guint
helix_stream_server_clients (HelixStreamServer *self)
{
  guint n;

  pthread_mutex_lock (&self->lock);
  n = helix_stream_server_live (self, HELIX_ROLE_STREAM);
  pthread_mutex_unlock (&self->lock);
  return n;
}

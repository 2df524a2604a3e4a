/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-session-private.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "helix-pack.h"
#include "helix-platform.h"

GST_DEBUG_CATEGORY_EXTERN (helix_frames_debug);
#define GST_CAT_DEFAULT helix_frames_debug

/* ns of silence after which the peer is asked whether it lives, and after
 * which it does not. */
#define SILENCE_PING (1 * GST_SECOND)
#define SILENCE_DEAD (3 * GST_SECOND)

/* ns: a frame that is older than this when it is read has waited for us; and
 * for how long it then waits for a newer one. A shim that has one fills the
 * slot that came back at once, in a few ms. */
#define OLD (250 * GST_MSECOND)
#define SETTLE (50 * GST_MSECOND)

/* Messages taken in at one go: a peer that never stops talking must not keep
 * the caller from noticing that it was told to stop. */
#define MESSAGES_AT_ONCE 64

/* ---- sending ---- */

void
helix_session_send (
    HelixFrameSession *session, const guint8 *message, gsize size)
{
  /* A failure shows at the next read, with a better reason. */
  helix_frame_link_send (session->link, session->epoch, message, size);
}

void
helix_session_send_subscribe (HelixFrameSession *session)
{
  const HelixFrameWish *wish = &session->wish;
  struct helix_subscribe subscribe = {0};
  guint8 message[HELIX_MAX_MESSAGE];

  subscribe.scanout = wish->resource_id ? HELIX_NONE32 : wish->scanout;
  subscribe.resource_id = wish->resource_id;
  subscribe.rate_num = (guint32) wish->rate_num;
  subscribe.rate_den = (guint32) wish->rate_den;
  subscribe.slots = wish->slots;
  if (wish->inline_pixels || !(session->features & HELIX_FEATURE_SHM))
    subscribe.flags |= HELIX_SUBSCRIBE_INLINE;
  if (wish->cursor)
    subscribe.flags |= HELIX_SUBSCRIBE_CURSOR;
  session->confirmed = FALSE;
  session->refused = FALSE;
  helix_session_send (session, message,
      helix_pack_subscribe (message, session->channel, &subscribe));
}

void
helix_session_drop_pool (HelixFrameSession *session)
{
  if (session->pool == NULL)
    return;
  helix_slot_pool_retire (session->pool);
  g_clear_pointer (&session->pool, helix_slot_pool_unref);
}

static void
drop_frames (HelixFrameSession *session)
{
  /* The reader still writes to an incoming one: its end will clear it. */
  session->incoming_stale = session->incoming_held;
  if (session->newest_held)
    helix_frame_clear (&session->newest);
  session->newest_held = FALSE;
  session->settle_ns = 0;
}

HelixFrameSession *
helix_frame_session_new (HelixFrameLink *link, int fd, const gchar *path,
    const gchar *name, const HelixFrameWish *wish)
{
  HelixFrameSession *session = g_new0 (HelixFrameSession, 1);
  struct helix_hello hello = {0};
  guint8 message[HELIX_MAX_MESSAGE];

  session->link = helix_frame_link_ref (link);
  session->epoch = helix_frame_link_attach (link, fd);
  session->path = g_strdup (path);
  session->wish = *wish;
  session->passed_fd = -1;
  session->nonce = (guint64) g_random_int () << 32 | g_random_int ();
  session->channel = 1;
  session->heard_ns = helix_now_ns ();
  helix_damage_all (&session->newest.damage);
  helix_reader_init (&session->reader);

  hello.version_min = HELIX_VERSION_MIN;
  hello.version_max = HELIX_VERSION_MAX;
  hello.role = HELIX_ROLE_FRAMES;
  hello.features = wish->inline_pixels ? 0 : HELIX_FEATURE_SHM;
  hello.pid = (guint32) getpid ();
  hello.nonce = session->nonce;
  helix_session_send (
      session, message, helix_pack_hello (message, &hello, name));
  return session;
}

void
helix_frame_session_free (HelixFrameSession *session)
{
  helix_session_drop_pool (session);
  drop_frames (session);
  helix_frame_clear (&session->incoming);
  helix_cursor_clear (&session->cursor);
  g_free (session->incoming_shape);
  helix_frame_link_end (session->link, session->epoch);
  helix_frame_link_detach (session->link);
  helix_frame_link_unref (session->link);
  if (session->passed_fd >= 0)
    close (session->passed_fd);
  g_clear_error (&session->farewell);
  g_free (session->path);
  g_free (session);
}

/* The cursor of the one is not the other's: it is gone until told. */
static void
forget_cursor (HelixFrameSession *session)
{
  session->cursor_news = !!(session->cursor.info.flags & HELIX_CURSOR_VISIBLE);
  helix_cursor_clear (&session->cursor);
  memset (&session->cursor.info, 0, sizeof session->cursor.info);
  session->cursor.info.scanout = session->wish.scanout;
  session->cursor.info.changed_ns = helix_now_ns ();
}

void
helix_frame_session_subscribe (
    HelixFrameSession *session, const HelixFrameWish *wish)
{
  gboolean elsewhere = wish->scanout != session->wish.scanout
      || wish->resource_id != session->wish.resource_id;
  guint8 message[HELIX_MAX_MESSAGE];

  session->wish = *wish;
  if (!session->welcomed)
    return;
  /* Another channel: whatever is still under way on the old one cannot be
   * mistaken for an answer. */
  helix_session_send (session, message,
      helix_pack_empty (message, HELIX_UNSUBSCRIBE, session->channel));
  helix_session_drop_pool (session);
  drop_frames (session);
  helix_damage_all (&session->newest.damage);
  session->sequence = 0;
  session->channel = session->channel % 0x7fff + 1;
  if (elsewhere) {
    forget_cursor (session);
    session->dark_ns = 0;
    session->dark_news = FALSE;
  }
  helix_session_send_subscribe (session);
}

gboolean
helix_frame_session_channel (
    HelixFrameSession *session, guint16 *channel, guint *epoch)
{
  *channel = session->channel;
  *epoch = session->epoch;
  return session->welcomed;
}

const gchar *
helix_frame_session_name (HelixFrameSession *session)
{
  return session->welcomed ? session->name : NULL;
}

guint
helix_frame_session_scanouts (HelixFrameSession *session)
{
  return session->scanouts;
}

gboolean
helix_frame_session_confirmed (HelixFrameSession *session)
{
  return session->confirmed;
}

gboolean
helix_frame_session_refused (HelixFrameSession *session)
{
  return session->refused;
}

guint64
helix_frame_session_dark_since (HelixFrameSession *session)
{
  return session->dark_ns;
}

void
helix_frame_session_get_cursor (HelixFrameSession *session, HelixCursor *cursor)
{
  *cursor = session->cursor;
  if (cursor->image != NULL)
    gst_buffer_ref (cursor->image);
  session->cursor.info.flags &= ~HELIX_CURSOR_SHAPE;
}

/* ---- receiving ---- */

static HelixSessionResult
lost (HelixFrameSession *session, int err, GError **error)
{
  gboolean middle = !helix_reader_idle (&session->reader);

  g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_READ,
      "The connection to %s broke%s (%s). Did QEMU end? Start it again with "
      "-device helix-export,path=%s.",
      session->path, middle ? " in the middle of a message" : "",
      err ? g_strerror (err) : "closed by the other end", session->path);
  return HELIX_SESSION_LOST;
}

/* One recv, and what it completes. *more = there may be more to read. */
static HelixSessionResult
read_some (HelixFrameSession *session, gboolean *more, GError **error)
{
  HelixSessionResult result = HELIX_SESSION_AGAIN;
  uint8_t *ptr;
  size_t len;
  ssize_t n;
  int fd = -1;

  helix_reader_want (&session->reader, &ptr, &len);
  n = helix_recv (helix_frame_link_fd (session->link), ptr, len, &fd);
  *more = n > 0 || (n < 0 && errno == EINTR);
  if (n < 0)
    return *more || errno == EAGAIN || errno == EWOULDBLOCK
        ? HELIX_SESSION_AGAIN
        : lost (session, errno, error);
  if (n == 0)
    return lost (session, 0, error);
  session->heard_ns = helix_now_ns ();
  session->pinged_ns = 0;
  if (fd >= 0) {
    if (session->passed_fd >= 0)
      close (session->passed_fd);
    session->passed_fd = fd;
  }
  switch (helix_reader_got (&session->reader, (size_t) n)) {
    case HELIX_READER_MORE:
      return HELIX_SESSION_AGAIN;
    case HELIX_READER_HEAD:
      return helix_session_take_head (session, error);
    case HELIX_READER_MESSAGE:
      result = helix_session_take_message (session, error);
      break;
    case HELIX_READER_ERROR:
      result = helix_session_violation (session, session->reader.why, error);
      break;
  }
  if (session->passed_fd >= 0)
    close (session->passed_fd);
  session->passed_fd = -1;
  return result;
}

/* Whether `newest` may be shown. What waited for long was read while this
 * program was stopped or busy, and the credits that went back just now bring
 * the state of today, if it is another one: a screen that stands still sends
 * nothing more, so the wait is short. */
static gboolean
is_settled (HelixFrameSession *session)
{
  guint64 now = helix_now_ns (), taken = session->newest.info.capture_ns;

  if (now < taken || now - taken <= OLD)
    session->settle_ns = 0;
  else if (session->settle_ns == 0)
    session->settle_ns = now + SETTLE;
  return now >= session->settle_ns;
}

/* Whether there is a frame that needs not make way for a newer one. */
static gboolean
is_in_time (HelixFrameSession *session, guint64 in_time)
{
  return session->newest_held
      && helix_now_ns () - session->newest.info.capture_ns
      <= MIN (in_time, OLD);
}

gboolean
helix_frame_session_settling (HelixFrameSession *session)
{
  return session->newest_held && session->settle_ns != 0;
}

HelixSessionResult
helix_frame_session_read (HelixFrameSession *session, guint64 in_time,
    HelixFrame *frame, GError **error)
{
  HelixSessionResult result = HELIX_SESSION_AGAIN;
  gboolean last = session->farewell != NULL, more = !last;

  if (last && !session->newest_held) {
    g_propagate_error (error, g_steal_pointer (&session->farewell));
    return HELIX_SESSION_CLOSED;
  }
  for (guint i = 0; i < 2 * MESSAGES_AT_ONCE && more; i++) {
    if (is_in_time (session, in_time))
      break; /* what follows stays in the socket */
    result = read_some (session, &more, error);
    if (result != HELIX_SESSION_AGAIN)
      break;
  }
  /* A connection that ended behind a frame: the frame first. That it broke
   * shows again at the next read; that it was said goodbye to does not. */
  if (result == HELIX_SESSION_CLOSED && session->newest_held) {
    session->farewell = g_steal_pointer (error);
    last = TRUE;
  } else if (result == HELIX_SESSION_LOST && session->newest_held) {
    g_clear_error (error);
    last = TRUE;
  }
  if (last)
    result = HELIX_SESSION_AGAIN;
  /* The cursor first, for the frame to be shown with it; but not twice, or a
   * restless one would keep frames from being seen. */
  if (result == HELIX_SESSION_AGAIN && session->cursor_news
      && !(session->newest_held && session->cursor_told)) {
    session->cursor_news = FALSE;
    session->cursor_told = TRUE;
    return HELIX_SESSION_CURSOR;
  }
  if (result == HELIX_SESSION_AGAIN && session->newest_held
      && (last || is_settled (session))) {
    session->settle_ns = 0;
    session->cursor_told = FALSE;
    *frame = session->newest;
    session->newest.pool = NULL;
    session->newest_held = FALSE;
    helix_damage_clear (&session->newest.damage);
    return HELIX_SESSION_FRAME;
  }
  /* The screen went off behind the last frame. */
  if (result == HELIX_SESSION_AGAIN && session->dark_news
      && !session->newest_held) {
    session->dark_news = FALSE;
    result = HELIX_SESSION_DARK;
  }
  return result;
}

gboolean
helix_frame_session_tick (
    HelixFrameSession *session, guint64 now, guint64 *deadline, GError **error)
{
  guint8 message[HELIX_MAX_MESSAGE];
  guint64 silence = now > session->heard_ns ? now - session->heard_ns : 0;

  /* It is dead only if it left a PING unanswered: nobody may have asked it
   * while this thread was busy elsewhere. */
  if (silence >= SILENCE_DEAD && session->pinged_ns != 0
      && now - session->pinged_ns >= SILENCE_PING) {
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_READ,
        "The shim at %s gives no sign of life (%s for 3 s). Is QEMU stopped, "
        "or its socket served by something else?",
        session->path, session->welcomed ? "no answer to PING" : "no WELCOME");
    return FALSE;
  }
  if (silence >= SILENCE_PING
      && (session->pinged_ns == 0
          || now - session->pinged_ns >= SILENCE_PING)) {
    helix_session_send (
        session, message, helix_pack_empty (message, HELIX_PING, 0));
    session->pinged_ns = now;
  }
  *deadline = MAX (session->heard_ns, session->pinged_ns) + SILENCE_PING;
  if (helix_frame_session_settling (session))
    *deadline = MIN (*deadline, session->settle_ns);
  return TRUE;
}

void
helix_frame_session_get_stats (
    HelixFrameSession *session, HelixSessionStats *stats)
{
  *stats = session->stats;
}

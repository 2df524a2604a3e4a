/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-frame-session.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "helix-pack.h"
#include "helix-platform.h"
#include "helix-reader.h"
#include "helix-refusal.h"

GST_DEBUG_CATEGORY_EXTERN (helix_frames_debug);
#define GST_CAT_DEFAULT helix_frames_debug

/* ns of silence after which the peer is asked whether it lives, and after
 * which it does not. */
#define SILENCE_PING (1 * GST_SECOND)
#define SILENCE_DEAD (3 * GST_SECOND)

/* Messages taken in at one go: a peer that never stops talking must not keep
 * the caller from noticing that it was told to stop. */
#define MESSAGES_AT_ONCE 64

struct _HelixFrameSession {
  HelixFrameLink *link;
  guint epoch;
  gchar *path;
  HelixFrameWish wish;
  struct helix_reader reader;
  int passed_fd; /* came with the message that is being read, or -1 */
  guint64 nonce;

  gboolean welcomed;
  guint32 features;
  guint scanouts; /* of the VM */
  guint16 channel;
  HelixSlotPool *pool; /* of the subscription, or NULL */
  guint64 sequence;    /* of the last frame, 0 = none */

  gboolean incoming_held;  /* pixels of `incoming` are on their way */
  gboolean incoming_stale; /* for a subscription that is over */
  HelixFrame incoming;
  gboolean newest_held;
  HelixFrame newest;

  guint64 heard_ns;  /* last byte */
  guint64 pinged_ns; /* last unanswered PING, 0 = none */
  HelixSessionStats stats;
};

/* ---- sending ---- */

static void
send_message (HelixFrameSession *session, const guint8 *message, gsize size)
{
  /* A failure shows at the next read, with a better reason. */
  helix_frame_link_send (session->link, session->epoch, message, size);
}

static void
send_subscribe (HelixFrameSession *session)
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
  send_message (session, message,
      helix_pack_subscribe (message, session->channel, &subscribe));
}

static void
drop_pool (HelixFrameSession *session)
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
  send_message (
      session, message, helix_pack_hello (message, &hello, NULL, name));
  return session;
}

void
helix_frame_session_free (HelixFrameSession *session)
{
  guint8 message[HELIX_MAX_MESSAGE];

  drop_pool (session);
  drop_frames (session);
  helix_frame_clear (&session->incoming);
  send_message (
      session, message, helix_pack_bye (message, HELIX_BYE_CLOSING, NULL));
  helix_frame_link_detach (session->link);
  helix_frame_link_unref (session->link);
  if (session->passed_fd >= 0)
    close (session->passed_fd);
  g_free (session->path);
  g_free (session);
}

void
helix_frame_session_subscribe (
    HelixFrameSession *session, const HelixFrameWish *wish)
{
  guint8 message[HELIX_MAX_MESSAGE];

  session->wish = *wish;
  if (!session->welcomed)
    return;
  /* Another channel: whatever is still under way on the old one cannot be
   * mistaken for an answer. */
  send_message (session, message,
      helix_pack_empty (message, HELIX_UNSUBSCRIBE, session->channel));
  drop_pool (session);
  drop_frames (session);
  helix_damage_all (&session->newest.damage);
  session->sequence = 0;
  session->channel = session->channel % 0x7fff + 1;
  send_subscribe (session);
}

/* ---- receiving ---- */

/* The peer broke the rules: tell it, tell the user. */
static HelixSessionResult
violation (HelixFrameSession *session, const gchar *what, GError **error)
{
  guint8 message[HELIX_MAX_MESSAGE];

  send_message (session, message,
      helix_pack_error (
          message, 0, HELIX_ERROR_PROTOCOL, session->reader.header.type, what));
  g_set_error (error, GST_STREAM_ERROR, GST_STREAM_ERROR_WRONG_TYPE,
      "What answers on %s does not speak the helix frame protocol: %s. Is "
      "socket-path the path given to -device helix-export, and are QEMU's "
      "shim and this plugin of the same release?",
      session->path, what);
  return HELIX_SESSION_FAILED;
}

static HelixSessionResult
check_scanout (HelixFrameSession *session, GError **error)
{
  const HelixFrameWish *wish = &session->wish;

  if (wish->resource_id != 0 || wish->scanout < session->scanouts)
    return HELIX_SESSION_AGAIN;
  g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
      "There is no scanout %u: the VM at %s has %u (0 to %u). Set scanout to "
      "one of them, or give the VM more with max_outputs of its virtio-gpu "
      "device.",
      wish->scanout, session->path, session->scanouts, session->scanouts - 1);
  return HELIX_SESSION_FAILED;
}

static HelixSessionResult
take_welcome (HelixFrameSession *session, GError **error)
{
  struct helix_reader *reader = &session->reader;
  struct helix_welcome welcome;
  char name[HELIX_MAX_NAME + 1];
  const char *why;
  HelixSessionResult result;

  if (session->welcomed)
    return violation (session, "a second WELCOME", error);
  if (!helix_unpack_welcome (
          &welcome, name, reader->payload, reader->payload_size, &why))
    return violation (session, why, error);
  if (welcome.nonce != session->nonce)
    return violation (session, "WELCOME: nonce is not ours", error);
  if (welcome.role != HELIX_ROLE_FRAMES)
    return violation (session, "WELCOME: role is not frames", error);
  if (welcome.version < HELIX_VERSION_MIN
      || welcome.version > HELIX_VERSION_MAX) {
    g_set_error (error, GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT,
        "%s at %s chose version %u of the frame protocol; this plugin speaks "
        "%u to %u. Update the older of the two.",
        *name ? name : "The shim", session->path, welcome.version,
        HELIX_VERSION_MIN, HELIX_VERSION_MAX);
    return HELIX_SESSION_FAILED;
  }
  if (welcome.scanouts < 1 || welcome.scanouts > HELIX_MAX_SCANOUTS)
    return violation (session, "WELCOME: scanouts is not within 1..16", error);

  GST_INFO ("%s at %s (pid %u): version %u, %u scanouts, features 0x%x", name,
      session->path, welcome.pid, welcome.version, welcome.scanouts,
      welcome.features);
  session->welcomed = TRUE;
  session->scanouts = welcome.scanouts;
  session->features = welcome.features;
  result = check_scanout (session, error);
  if (result == HELIX_SESSION_AGAIN)
    send_subscribe (session);
  return result;
}

static HelixSessionResult
take_error (HelixFrameSession *session, GError **error)
{
  struct helix_reader *reader = &session->reader;
  struct helix_error message;
  char text[HELIX_MAX_TEXT + 1];
  const char *why;

  if (!helix_unpack_error (
          &message, text, reader->payload, reader->payload_size, &why))
    return violation (session, why, error);
  if (!helix_error_is_fatal (message.code) && reader->header.channel != 0
      && reader->header.channel != session->channel)
    return HELIX_SESSION_AGAIN; /* about a subscription that is over */
  if (message.code == HELIX_ERROR_UNSUPPORTED) {
    GST_WARNING ("%s: %s is not supported: %s", session->path,
        helix_type_name (message.refers), text);
    return HELIX_SESSION_AGAIN;
  }
  if (message.code == HELIX_ERROR_NO_SCANOUT
      && check_scanout (session, error) == HELIX_SESSION_FAILED)
    return HELIX_SESSION_FAILED;
  return helix_refusal (message.code, text, session->path, error);
}

static HelixSessionResult
take_bye (HelixFrameSession *session, GError **error)
{
  struct helix_reader *reader = &session->reader;
  struct helix_bye bye;
  char text[HELIX_MAX_TEXT + 1];
  const char *why;

  if (!helix_unpack_bye (
          &bye, text, reader->payload, reader->payload_size, &why))
    return violation (session, why, error);
  g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND,
      "The shim at %s closed down%s%s. Is QEMU gone? Start it again.",
      session->path, *text ? ": " : "", text);
  return HELIX_SESSION_CLOSED;
}

static HelixSessionResult
take_scanout (HelixFrameSession *session, GError **error)
{
  struct helix_reader *reader = &session->reader;
  struct helix_scanout scanout;
  const char *why;

  if (!helix_unpack_scanout (
          &scanout, reader->payload, reader->payload_size, &why))
    return violation (session, why, error);
  GST_DEBUG ("channel %u: scanout %d is %s, %ux%u, generation %u, resource %u",
      reader->header.channel, (gint) scanout.scanout,
      scanout.flags & HELIX_SCANOUT_ENABLED ? "on" : "off", scanout.width,
      scanout.height, scanout.generation, scanout.resource_id);
  return HELIX_SESSION_AGAIN;
}

static HelixSessionResult
take_pool (HelixFrameSession *session, GError **error)
{
  struct helix_reader *reader = &session->reader;
  struct helix_pool info;
  HelixSlotPool *pool;
  const char *why;

  if (!helix_unpack_pool (&info, reader->payload, reader->payload_size, &why))
    return violation (session, why, error);
  if (reader->header.channel != session->channel)
    return HELIX_SESSION_AGAIN;
  pool = helix_slot_pool_new (session->link, session->epoch, session->channel,
      &info, session->passed_fd, &why);
  if (pool == NULL && errno == EPROTO)
    return violation (session, why, error);
  if (pool == NULL) {
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NO_SPACE_LEFT,
        "The frame memory of the shim at %s cannot be had: %s (%s). Set "
        "shared-memory to false to do without.",
        session->path, why, g_strerror (errno));
    return HELIX_SESSION_FAILED;
  }
  drop_pool (session);
  session->pool = pool;
  GST_DEBUG ("pool %u: %u slots of %" G_GUINT64_FORMAT " bytes, kind %u",
      info.pool_id, info.slots, info.slot_size, info.kind);
  return HELIX_SESSION_AGAIN;
}

/* Judges a FRAME against the conversation so far and takes its slot. */
static const char *
admit_frame (HelixFrameSession *session, const struct helix_frame *info)
{
  const struct helix_pool *pool;

  if (session->pool == NULL)
    return "FRAME: there is no pool yet";
  pool = helix_slot_pool_info (session->pool);
  if (info->pool_id != pool->pool_id)
    return "FRAME: pool_id is not the last pool's";
  if (info->slot >= pool->slots)
    return "FRAME: slot is not within the pool";
  if ((session->reader.bulk_size > 0) != (pool->kind == HELIX_POOL_INLINE))
    return "FRAME: pixels follow, or fail to, against the pool's kind";
  if (info->sequence <= session->sequence)
    return "FRAME: sequence does not grow";
  if (!helix_slot_pool_take (session->pool, info->slot))
    return "FRAME: its slot was not given back yet";
  if (!helix_slot_pool_reserve (
          session->pool, info->slot, (guint64) info->stride * info->height)) {
    helix_slot_pool_release (session->pool, info->slot);
    return "FRAME: stride * height is beyond the slot's memory";
  }
  return NULL;
}

/* Unpacks the head of a FRAME into `frame`. With *ours = FALSE it belongs to
 * a subscription that is over. */
static HelixSessionResult
take_frame_head (HelixFrameSession *session, HelixFrame *frame, gboolean *ours,
    GError **error)
{
  struct helix_reader *reader = &session->reader;
  struct helix_rect rects[HELIX_MAX_RECTS];
  const char *why;

  *ours = reader->header.channel == session->channel;
  if (!helix_unpack_frame (&frame->info, rects, reader->payload,
          reader->payload_size, reader->header.size, &why))
    return violation (session, why, error);
  if (!*ours)
    return HELIX_SESSION_AGAIN;
  why = admit_frame (session, &frame->info);
  if (why != NULL)
    return violation (session, why, error);
  frame->pool = helix_slot_pool_ref (session->pool);
  helix_damage_clear (&frame->damage);
  helix_damage_add (&frame->damage, rects, frame->info.rects);
  session->sequence = frame->info.sequence;
  return HELIX_SESSION_AGAIN;
}

/* `frame` is whole: it is the newest now. */
static void
supersede (HelixFrameSession *session, HelixFrame *frame)
{
  HelixSessionStats *stats = &session->stats;

  stats->received++;
  stats->superseded += session->newest_held;
  stats->readback_bytes += frame->info.read_bytes;
  stats->readback_ns += frame->info.readback_ns;
  stats->wait_ns += frame->info.wait_ns;
  helix_frame_supersede (&session->newest, frame);
  session->newest_held = TRUE;
}

static HelixSessionResult
take_frame (HelixFrameSession *session, GError **error)
{
  HelixFrame frame = {0};
  HelixSessionResult result;
  gboolean ours;

  if (session->incoming_held) {
    session->incoming_held = FALSE;
    if (session->incoming_stale)
      helix_frame_clear (&session->incoming);
    else
      supersede (session, &session->incoming);
    session->incoming_stale = FALSE;
    return HELIX_SESSION_AGAIN;
  }
  if (session->reader.bulk_size > 0) /* of a subscription that is over */
    return HELIX_SESSION_AGAIN;
  result = take_frame_head (session, &frame, &ours, error);
  if (result == HELIX_SESSION_AGAIN && ours)
    supersede (session, &frame);
  return result;
}

/* Says where the pixels go. */
static HelixSessionResult
take_head (HelixFrameSession *session, GError **error)
{
  HelixFrame *incoming = &session->incoming;
  HelixSessionResult result;
  gboolean ours;

  if (!session->welcomed || session->reader.header.type != HELIX_FRAME)
    return violation (session, "a bulk message that is no FRAME", error);
  result = take_frame_head (session, incoming, &ours, error);
  if (result != HELIX_SESSION_AGAIN || !ours)
    return result;
  session->incoming_held = TRUE;
  helix_reader_bulk (&session->reader,
      helix_slot_pool_pixels (incoming->pool, incoming->info.slot));
  return result;
}

static void
answer_ping (HelixFrameSession *session)
{
  struct helix_reader *reader = &session->reader;
  guint8 message[HELIX_MAX_MESSAGE];
  guint64 now = helix_now_ns ();

  send_message (session, message,
      helix_pack_pong_for (
          message, &reader->header, reader->payload, now, now));
}

static HelixSessionResult
take_message (HelixFrameSession *session, GError **error)
{
  switch (session->reader.header.type) {
    case HELIX_PING:
      answer_ping (session);
      return HELIX_SESSION_AGAIN;
    case HELIX_PONG:
      return HELIX_SESSION_AGAIN;
    case HELIX_WELCOME:
      return take_welcome (session, error);
    case HELIX_ERROR:
      return take_error (session, error);
    case HELIX_BYE:
      return take_bye (session, error);
    default:
      break;
  }
  if (!session->welcomed)
    return violation (session, "no WELCOME came first", error);
  switch (session->reader.header.type) {
    case HELIX_SCANOUT:
      return take_scanout (session, error);
    case HELIX_POOL:
      return take_pool (session, error);
    case HELIX_FRAME:
      return take_frame (session, error);
    default:
      GST_LOG (
          "ignoring a message of type 0x%02x", session->reader.header.type);
      return HELIX_SESSION_AGAIN;
  }
}

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
      return take_head (session, error);
    case HELIX_READER_MESSAGE:
      result = take_message (session, error);
      break;
    case HELIX_READER_ERROR:
      result = violation (session, session->reader.why, error);
      break;
  }
  if (session->passed_fd >= 0)
    close (session->passed_fd);
  session->passed_fd = -1;
  return result;
}

HelixSessionResult
helix_frame_session_read (
    HelixFrameSession *session, HelixFrame *frame, GError **error)
{
  HelixSessionResult result = HELIX_SESSION_AGAIN;
  gboolean more = TRUE;

  for (guint i = 0; i < 2 * MESSAGES_AT_ONCE && more; i++) {
    result = read_some (session, &more, error);
    if (result != HELIX_SESSION_AGAIN)
      break;
  }
  /* A connection that broke behind a frame: the frame first, the rest shows
   * again at the next read. */
  if (result == HELIX_SESSION_LOST && session->newest_held) {
    g_clear_error (error);
    result = HELIX_SESSION_AGAIN;
  }
  if (result == HELIX_SESSION_AGAIN && session->newest_held) {
    *frame = session->newest;
    session->newest.pool = NULL;
    session->newest_held = FALSE;
    helix_damage_clear (&session->newest.damage);
    result = HELIX_SESSION_FRAME;
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
    send_message (session, message, helix_pack_empty (message, HELIX_PING, 0));
    session->pinged_ns = now;
  }
  *deadline = MAX (session->heard_ns, session->pinged_ns) + SILENCE_PING;
  return TRUE;
}

void
helix_frame_session_get_stats (
    HelixFrameSession *session, HelixSessionStats *stats)
{
  *stats = session->stats;
}

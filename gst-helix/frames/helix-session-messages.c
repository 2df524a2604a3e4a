/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-session-private.h"

#include <errno.h>

#include "helix-pack.h"
#include "helix-platform.h"
#include "helix-refusal.h"

GST_DEBUG_CATEGORY_EXTERN (helix_frames_debug);
#define GST_CAT_DEFAULT helix_frames_debug

/* ns between two warnings of a SHOW that came to nothing: each frame of a
 * guest's compositor may bring one. */
#define SHOW_WARNINGS (10 * GST_SECOND)

/* The peer broke the rules: tell it, tell the user. */
HelixSessionResult
helix_session_violation (
    HelixFrameSession *session, const gchar *what, GError **error)
{
  guint8 message[HELIX_MAX_MESSAGE];

  helix_session_send (session, message,
      helix_pack_error (message, 0, HELIX_ERROR_PROTOCOL,
          helix_reader_type (&session->reader), what));
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
  session->refused = TRUE;
  return HELIX_SESSION_FAILED;
}

static HelixSessionResult
take_welcome (HelixFrameSession *session, GError **error)
{
  struct helix_reader *reader = &session->reader;
  struct helix_welcome welcome;
  gchar *name = session->name;
  const char *why;
  HelixSessionResult result;

  if (session->welcomed)
    return helix_session_violation (session, "a second WELCOME", error);
  if (!helix_unpack_welcome (
          &welcome, name, NULL, reader->payload, reader->payload_size, &why))
    return helix_session_violation (session, why, error);
  if (welcome.nonce != session->nonce)
    return helix_session_violation (
        session, "WELCOME: nonce is not ours", error);
  if (welcome.role != HELIX_ROLE_FRAMES)
    return helix_session_violation (
        session, "WELCOME: role is not frames", error);
  if (welcome.version < HELIX_VERSION_MIN
      || welcome.version > HELIX_VERSION_MAX) {
    g_set_error (error, GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT,
        "%s at %s chose version %u of the frame protocol; this plugin speaks "
        "%u to %u. Update the older of the two.",
        *name ? name : "The shim", session->path, welcome.version,
        HELIX_VERSION_MIN, HELIX_VERSION_MAX);
    return HELIX_SESSION_FAILED;
  }

  GST_INFO ("%s at %s (pid %u): version %u, %u scanouts, features 0x%x", name,
      session->path, welcome.pid, welcome.version, welcome.scanouts,
      welcome.features);
  session->welcomed = TRUE;
  session->scanouts = welcome.scanouts;
  session->features = welcome.features;
  result = check_scanout (session, error);
  if (result == HELIX_SESSION_AGAIN)
    helix_session_send_subscribe (session);
  return result;
}

/* The resource that the guest wants shown is not to be had; what was shown
 * before goes on. */
static HelixSessionResult
show_failed (HelixFrameSession *session, const gchar *text, GError **error)
{
  guint64 now = helix_now_ns ();

  GST_DEBUG ("%s: SHOW came to nothing: %s", session->path, text);
  if (session->warned_ns != 0 && now - session->warned_ns < SHOW_WARNINGS)
    return HELIX_SESSION_AGAIN;
  session->warned_ns = now;
  g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND,
      "The shim at %s cannot show the resource that the guest asks for: %s. "
      "The picture before it goes on.",
      session->path, text);
  return HELIX_SESSION_WARNING;
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
    return helix_session_violation (session, why, error);
  if (!helix_error_is_fatal (message.code) && reader->header.channel != 0
      && reader->header.channel != session->channel)
    return HELIX_SESSION_AGAIN; /* about a subscription that is over */
  if (message.refers == HELIX_SHOW && !helix_error_is_fatal (message.code))
    return show_failed (session, text, error);
  if (message.code == HELIX_ERROR_UNSUPPORTED) {
    GST_WARNING ("%s: %s is not supported: %s", session->path,
        helix_type_name (message.refers), text);
    return HELIX_SESSION_AGAIN;
  }
  session->refused = message.code == HELIX_ERROR_NO_SCANOUT
      || message.code == HELIX_ERROR_NO_RESOURCE
      || message.code == HELIX_ERROR_LIMIT
      || message.code == HELIX_ERROR_NO_MEMORY;
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
    return helix_session_violation (session, why, error);
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
    return helix_session_violation (session, why, error);
  GST_DEBUG ("channel %u: scanout %d is %s, %ux%u, generation %u, resource %u",
      reader->header.channel, (gint) scanout.scanout,
      scanout.flags & HELIX_SCANOUT_ENABLED ? "on" : "off", scanout.width,
      scanout.height, scanout.generation, scanout.resource_id);
  if (session->reader.header.channel != session->channel)
    return HELIX_SESSION_AGAIN;
  session->confirmed = TRUE;
  if (scanout.flags & HELIX_SCANOUT_ENABLED) {
    session->dark_ns = 0;
    session->dark_news = FALSE;
  } else if (session->dark_ns == 0) {
    session->dark_ns = helix_now_ns ();
    session->dark_news = TRUE;
  }
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
    return helix_session_violation (session, why, error);
  if (reader->header.channel != session->channel)
    return HELIX_SESSION_AGAIN;
  pool = helix_slot_pool_new (session->link, session->epoch, session->channel,
      &info, session->passed_fd, &why);
  if (pool == NULL && errno == EPROTO)
    return helix_session_violation (session, why, error);
  if (pool == NULL) {
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NO_SPACE_LEFT,
        "The frame memory of the shim at %s cannot be had: %s (%s). Set "
        "shared-memory to false to do without.",
        session->path, why, g_strerror (errno));
    return HELIX_SESSION_FAILED;
  }
  helix_session_drop_pool (session);
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

/* Makes sure that the pixels can be read. */
static gboolean
fetch (HelixFrameSession *session, HelixFrame *frame, GError **error)
{
  const struct helix_frame *info = &frame->info;

  if (helix_slot_pool_fetch (
          frame->pool, info->slot, (gsize) info->stride * info->height))
    return TRUE;
  g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_READ,
      "The frame memory of the shim at %s was cut off while it was in use "
      "(%s). Is QEMU in order? Set shared-memory to false to do without.",
      session->path, g_strerror (errno));
  helix_frame_clear (frame);
  return FALSE;
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
  if (!helix_unpack_frame (
          &frame->info, rects, reader->payload, reader->payload_size, &why))
    return helix_session_violation (session, why, error);
  if (!*ours)
    return HELIX_SESSION_AGAIN;
  why = admit_frame (session, &frame->info);
  if (why != NULL)
    return helix_session_violation (session, why, error);
  frame->pool = helix_slot_pool_ref (session->pool);
  if (!fetch (session, frame, error))
    return HELIX_SESSION_LOST;
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

static HelixSessionResult
take_frame_bulk (HelixFrameSession *session, GError **error)
{
  HelixFrame *incoming = &session->incoming;
  HelixSessionResult result;
  gboolean ours;

  result = take_frame_head (session, incoming, &ours, error);
  if (result != HELIX_SESSION_AGAIN || !ours)
    return result;
  session->incoming_held = TRUE;
  helix_reader_bulk (&session->reader,
      helix_slot_pool_pixels (incoming->pool, incoming->info.slot));
  return result;
}

/* ---- the cursor ---- */

static HelixSessionResult
take_cursor_bulk (HelixFrameSession *session, GError **error)
{
  struct helix_reader *reader = &session->reader;
  const char *why;

  if (!helix_unpack_cursor (&session->incoming_cursor, reader->payload,
          reader->payload_size, reader->header.size, &why))
    return helix_session_violation (session, why, error);
  if (reader->header.channel != session->channel)
    return HELIX_SESSION_AGAIN;
  session->incoming_shape = g_malloc (reader->bulk_size);
  helix_reader_bulk (reader, session->incoming_shape);
  return HELIX_SESSION_AGAIN;
}

/* A shape that is whole. */
static void
take_shape (HelixFrameSession *session)
{
  guint8 *shape = g_steal_pointer (&session->incoming_shape);

  /* The subscription may have ended while it was on its way. */
  if (session->reader.header.channel != session->channel) {
    g_free (shape);
    return;
  }
  helix_cursor_clear (&session->cursor);
  session->cursor.info = session->incoming_cursor;
  session->cursor.image =
      gst_buffer_new_wrapped (shape, session->reader.bulk_size);
  session->cursor_news = TRUE;
}

static HelixSessionResult
take_cursor (HelixFrameSession *session, GError **error)
{
  struct helix_reader *reader = &session->reader;
  const struct helix_cursor *known = &session->cursor.info;
  struct helix_cursor cursor;
  const char *why;

  if (session->incoming_shape != NULL) {
    take_shape (session);
    return HELIX_SESSION_AGAIN;
  }
  if (reader->bulk_size > 0) /* of a subscription that is over */
    return HELIX_SESSION_AGAIN;
  if (!helix_unpack_cursor (&cursor, reader->payload, reader->payload_size,
          reader->header.size, &why))
    return helix_session_violation (session, why, error);
  if (reader->header.channel != session->channel)
    return HELIX_SESSION_AGAIN;
  if (cursor.serial == 0) {
    helix_cursor_clear (&session->cursor);
  } else {
    if (session->cursor.image == NULL || cursor.serial != known->serial)
      return helix_session_violation (
          session, "CURSOR: the shape of its serial never came", error);
    cursor.width = known->width;
    cursor.height = known->height;
    cursor.hot_x = known->hot_x;
    cursor.hot_y = known->hot_y;
    /* A shape that nobody was told of yet is still news. */
    cursor.flags |= known->flags & HELIX_CURSOR_SHAPE;
  }
  session->cursor.info = cursor;
  session->cursor_news = TRUE;
  return HELIX_SESSION_AGAIN;
}

/* ---- any message ---- */

HelixSessionResult
helix_session_take_head (HelixFrameSession *session, GError **error)
{
  if (session->welcomed && session->reader.header.type == HELIX_FRAME)
    return take_frame_bulk (session, error);
  if (session->welcomed && session->reader.header.type == HELIX_CURSOR)
    return take_cursor_bulk (session, error);
  return helix_session_violation (
      session, "a bulk message that is neither FRAME nor CURSOR", error);
}

static HelixSessionResult
answer_ping (HelixFrameSession *session, GError **error)
{
  struct helix_reader *reader = &session->reader;
  guint8 message[HELIX_MAX_MESSAGE];
  guint64 now = helix_now_ns ();
  struct helix_ping ping;
  const char *why;

  if (!helix_unpack_ping (&ping, reader->payload, reader->payload_size, &why))
    return helix_session_violation (session, why, error);
  helix_session_send (session, message,
      helix_pack_pong_for (
          message, &reader->header, reader->payload, now, now));
  return HELIX_SESSION_AGAIN;
}

static HelixSessionResult
take_pong (HelixFrameSession *session, GError **error)
{
  struct helix_reader *reader = &session->reader;
  struct helix_pong pong;
  const char *why;

  if (!helix_unpack_pong (&pong, reader->payload, reader->payload_size, &why))
    return helix_session_violation (session, why, error);
  return HELIX_SESSION_AGAIN;
}

static void
answer_unknown (HelixFrameSession *session)
{
  guint8 message[HELIX_MAX_MESSAGE];
  gsize size = helix_pack_unsupported (
      message, &session->reader.header, session->unknown);

  if (size > 0)
    helix_session_send (session, message, size);
}

HelixSessionResult
helix_session_take_message (HelixFrameSession *session, GError **error)
{
  switch (session->reader.header.type) {
    case HELIX_PING:
      return answer_ping (session, error);
    case HELIX_PONG:
      return take_pong (session, error);
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
    return helix_session_violation (session, "no WELCOME came first", error);
  switch (session->reader.header.type) {
    case HELIX_SCANOUT:
      return take_scanout (session, error);
    case HELIX_POOL:
      return take_pool (session, error);
    case HELIX_FRAME:
      return take_frame (session, error);
    case HELIX_CURSOR:
      return take_cursor (session, error);
    default:
      answer_unknown (session);
      return HELIX_SESSION_AGAIN;
  }
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-frame-connection.h"

#include <errno.h>
#include <string.h>

#include "helix-platform.h"

GST_DEBUG_CATEGORY_EXTERN (helix_frames_debug);
#define GST_CAT_DEFAULT helix_frames_debug

/* ns: a frame that is older than this when it is read has waited for us; and
 * for how long it then waits for a newer one. A shim that has one fills the
 * slot that came back at once, in a few ms. */
#define OLD (250 * GST_MSECOND)
#define SETTLE (50 * GST_MSECOND)

/* Messages taken in at one go: a peer that never stops talking must not keep
 * the caller from noticing that it was told to stop. */
#define READS_AT_ONCE 128

/* ns between two warnings of a SHOW that came to nothing: each frame of a
 * guest's compositor may bring one. */
#define SHOW_WARNINGS (10 * GST_SECOND)

/* ---- the end ---- */

/* What an ERROR of the shim means, per enum helix_error_code. LOST where time,
 * or another program, may cure it. */
static const struct {
  guint32 code;
  HelixFramesResult result;
  gboolean stream; /* else a GST_RESOURCE_ERROR */
  gint gst_code;
  const gchar *remedy;
} refusals[] = {
    {HELIX_ERROR_PROTOCOL, HELIX_FRAMES_FAILED, TRUE, GST_STREAM_ERROR_FORMAT,
        "Are QEMU's shim and this plugin of the same release?"},
    {HELIX_ERROR_VERSION, HELIX_FRAMES_FAILED, TRUE, GST_STREAM_ERROR_FORMAT,
        "Update the older of QEMU's shim and this plugin."},
    {HELIX_ERROR_ROLE, HELIX_FRAMES_FAILED, TRUE, GST_STREAM_ERROR_WRONG_TYPE,
        "Set socket-path to the path given to -device helix-export."},
    {HELIX_ERROR_AUTH, HELIX_FRAMES_FAILED, FALSE,
        GST_RESOURCE_ERROR_NOT_AUTHORIZED,
        "Run this as the user that runs QEMU, or add allow=USER to its -device "
        "helix-export."},
    {HELIX_ERROR_BUSY, HELIX_FRAMES_LOST, FALSE, GST_RESOURCE_ERROR_BUSY,
        "Raise max-clients of -device helix-export, or end another client."},
    {HELIX_ERROR_NO_SCANOUT, HELIX_FRAMES_FAILED, FALSE,
        GST_RESOURCE_ERROR_SETTINGS,
        "Set scanout to one that the shim exports."},
    {HELIX_ERROR_NO_RESOURCE, HELIX_FRAMES_LOST, FALSE,
        GST_RESOURCE_ERROR_NOT_FOUND,
        "Set resource-id to a living resource of the guest."},
    {HELIX_ERROR_LIMIT, HELIX_FRAMES_LOST, FALSE,
        GST_RESOURCE_ERROR_NO_SPACE_LEFT, "Ask for less."},
    {HELIX_ERROR_NO_MEMORY, HELIX_FRAMES_LOST, FALSE,
        GST_RESOURCE_ERROR_NO_SPACE_LEFT,
        "Free memory on the host, or give QEMU a larger /dev/shm."},
    {HELIX_ERROR_READBACK, HELIX_FRAMES_WARNING, FALSE, GST_RESOURCE_ERROR_READ,
        "The shim tries again."},
    {HELIX_ERROR_TIMEOUT, HELIX_FRAMES_IDLED, FALSE, GST_RESOURCE_ERROR_READ,
        "Connecting again."},
};

static HelixFramesResult
refuse (const HelixFrameConnection *self, GError **error)
{
  const HelixConnection *connection = self->connection;
  HelixFramesResult result = HELIX_FRAMES_LOST;
  GQuark domain = GST_RESOURCE_ERROR;
  gint gst_code = GST_RESOURCE_ERROR_FAILED;
  const gchar *remedy = "See what QEMU says of it.";

  for (guint i = 0; i < G_N_ELEMENTS (refusals); i++) {
    if (refusals[i].code != connection->error.code)
      continue;
    result = refusals[i].result;
    domain = refusals[i].stream ? GST_STREAM_ERROR : GST_RESOURCE_ERROR;
    gst_code = refusals[i].gst_code;
    remedy = refusals[i].remedy;
  }
  g_set_error (error, domain, gst_code, "The shim at %s refuses (%s): %s. %s",
      self->path, helix_error_name (connection->error.code), connection->text,
      remedy);
  return result;
}

/* The connection is over: what that means. */
static HelixFramesResult
lose (const HelixFrameConnection *self, GError **error)
{
  const HelixConnection *connection = self->connection;
  const gchar *why = connection->why;
  g_autofree gchar *phrase = helix_connection_describe (connection);

  switch (connection->loss) {
    case HELIX_LOSS_CLOSED:
      g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_READ,
          "The connection to %s broke%s (%s). Did QEMU end? Start it again "
          "with -device helix-export,path=%s.",
          self->path,
          helix_reader_idle (&connection->reader) ? ""
                                                  : " in the middle of a "
                                                    "message",
          why != NULL ? why : "closed by the other end", self->path);
      return HELIX_FRAMES_LOST;
    case HELIX_LOSS_BYE:
      g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND,
          "The shim at %s closed down%s%s. Is QEMU gone? Start it again.",
          self->path, *connection->text ? ": " : "", connection->text);
      return HELIX_FRAMES_CLOSED;
    case HELIX_LOSS_SILENT:
      g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_READ,
          "The shim at %s gives no sign of life (%s for 3 s). Is QEMU stopped, "
          "or its socket served by something else?",
          self->path, connection->live ? "no answer to PING" : "no WELCOME");
      return HELIX_FRAMES_LOST;
    case HELIX_LOSS_REFUSED:
      return refuse (self, error);
    case HELIX_LOSS_VERSION:
      g_set_error (error, GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT,
          "%s at %s chose version %u of the frame protocol; this plugin speaks "
          "%u to %u. Update the older of the two.",
          *connection->name ? connection->name : "The shim", self->path,
          connection->welcome.version, HELIX_VERSION_MIN, HELIX_VERSION_MAX);
      return HELIX_FRAMES_FAILED;
    default:
      g_set_error (error, GST_STREAM_ERROR, GST_STREAM_ERROR_WRONG_TYPE,
          "What answers on %s does not speak the helix frame protocol: %s. Is "
          "socket-path the path given to -device helix-export, and are QEMU's "
          "shim and this plugin of the same release?",
          self->path, connection->stranger != NULL ? phrase : why);
      return HELIX_FRAMES_FAILED;
  }
}

/* The shim broke the rules: tells it, tells the user. */
static HelixFramesResult
violation (HelixFrameConnection *self, const gchar *why, GError **error)
{
  helix_connection_violation (self->connection, why);
  return lose (self, error);
}

/* ---- the subscription ---- */

static void
send_subscribe (HelixFrameConnection *self)
{
  const HelixFrameRequest *request = &self->request;
  const struct helix_subscribe subscribe = {
      .scanout = request->resource_id ? HELIX_NONE32 : request->scanout,
      .resource_id = request->resource_id,
      .rate_num = (guint32) request->rate_num,
      .rate_den = (guint32) request->rate_den,
      .flags = HELIX_SUBSCRIBE_CURSOR,
  };
  guint8 message[HELIX_MAX_MESSAGE];

  self->confirmed = FALSE;
  self->refused = FALSE;
  helix_connection_send (self->connection, message,
      helix_pack_subscribe (message, self->channel, &subscribe));
}

static void
drop_pool (HelixFrameConnection *self)
{
  g_clear_pointer (&self->pool, helix_slot_pool_free);
}

/* n = 0: everything, as in FRAME, whatever the size of the picture. */
static void
add_damage (HelixFrameConnection *self, const struct helix_rect *rects, guint n)
{
  if (n == 0)
    helix_region_fill (&self->damage, HELIX_MAX_DIMENSION, HELIX_MAX_DIMENSION);
  for (guint i = 0; i < n; i++)
    helix_region_add (&self->damage, &rects[i]);
}

static void
drop_newest (HelixFrameConnection *self)
{
  helix_frame_clear (&self->newest);
  self->settle_ns = 0;
  add_damage (self, NULL, 0);
}

HelixFrameConnection *
helix_frame_connection_new (gint fd, const gchar *path, const gchar *name,
    const HelixFrameRequest *request, HelixWaiter *waiter)
{
  const HelixConnectionConfig config = {.name = name, .waiter = waiter};
  HelixFrameConnection *self = g_new0 (HelixFrameConnection, 1);

  self->connection = helix_connection_new (fd, &config, helix_now_ns ());
  self->path = g_strdup (path);
  self->request = *request;
  self->channel = 1;
  pixman_region32_init (&self->damage);
  add_damage (self, NULL, 0);
  helix_connection_hello (self->connection, HELIX_ROLE_FRAMES, NULL);
  return self;
}

void
helix_frame_connection_free (HelixFrameConnection *self)
{
  drop_pool (self);
  drop_newest (self);
  helix_cursor_clear (&self->cursor);
  helix_connection_bye (self->connection, NULL);
  helix_connection_close (self->connection);
  helix_connection_unref (self->connection);
  pixman_region32_fini (&self->damage);
  g_free (self->incoming_shape);
  g_free (self->path);
  g_free (self);
}

/* The cursor of the one is not the other's: it is gone until told. */
static void
forget_cursor (HelixFrameConnection *self)
{
  self->cursor_news = !!(self->cursor.info.flags & HELIX_CURSOR_VISIBLE);
  helix_cursor_clear (&self->cursor);
  memset (&self->cursor.info, 0, sizeof self->cursor.info);
  self->cursor.info.scanout = self->request.scanout;
  self->cursor.info.changed_ns = helix_now_ns ();
}

void
helix_frame_connection_subscribe (
    HelixFrameConnection *self, const HelixFrameRequest *request)
{
  gboolean elsewhere = request->scanout != self->request.scanout
      || request->resource_id != self->request.resource_id;
  guint8 message[HELIX_MAX_MESSAGE];

  self->request = *request;
  if (!self->connection->live)
    return;
  /* Another channel: messages that are still under way on the old one cannot be
   * mistaken for answers. */
  helix_connection_send (self->connection, message,
      helix_pack_empty (message, HELIX_UNSUBSCRIBE, self->channel));
  drop_pool (self);
  drop_newest (self);
  self->newest.info.sequence = 0;
  self->channel = self->channel % 0x7fff + 1;
  if (elsewhere) {
    forget_cursor (self);
    self->dark_ns = 0;
    self->dark_news = FALSE;
  }
  send_subscribe (self);
}

static HelixFramesResult
check_scanout (HelixFrameConnection *self, GError **error)
{
  guint scanouts = self->connection->welcome.scanouts;
  const HelixFrameRequest *request = &self->request;

  if (request->resource_id != 0 || request->scanout < scanouts)
    return HELIX_FRAMES_AGAIN;
  g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
      "There is no scanout %u: the VM at %s has %u (0 to %u). Set scanout to "
      "one of them, or give the VM more with max_outputs of its virtio-gpu "
      "device.",
      request->scanout, self->path, scanouts, scanouts - 1);
  self->refused = TRUE;
  return HELIX_FRAMES_FAILED;
}

static HelixFramesResult
go_live (HelixFrameConnection *self, GError **error)
{
  const HelixConnection *connection = self->connection;
  HelixFramesResult result = check_scanout (self, error);

  GST_INFO ("%s at %s (pid %u): version %u, %u scanouts", connection->name,
      self->path, connection->welcome.pid, connection->welcome.version,
      connection->welcome.scanouts);
  if (result == HELIX_FRAMES_AGAIN)
    send_subscribe (self);
  return result;
}

/* The resource that the guest wants shown is not to be had; what was shown
 * before goes on. */
static HelixFramesResult
fail_show (HelixFrameConnection *self, GError **error)
{
  const gchar *text = self->connection->text;
  guint64 now = helix_now_ns ();

  GST_DEBUG ("%s: SHOW came to nothing: %s", self->path, text);
  if (self->warned_ns != 0 && now - self->warned_ns < SHOW_WARNINGS)
    return HELIX_FRAMES_AGAIN;
  self->warned_ns = now;
  g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND,
      "The shim at %s cannot show the resource that the guest asks for: %s. "
      "The picture before it goes on.",
      self->path, text);
  return HELIX_FRAMES_WARNING;
}

/* An ERROR that does not end the connection. */
static HelixFramesResult
take_error (HelixFrameConnection *self, GError **error)
{
  const HelixConnection *connection = self->connection;
  guint16 channel = connection->reader.header.channel;
  guint32 code = connection->error.code;

  if (channel != 0 && channel != self->channel)
    return HELIX_FRAMES_AGAIN; /* about a subscription that is over */
  if (connection->error.refers == HELIX_SHOW)
    return fail_show (self, error);
  if (code == HELIX_ERROR_UNSUPPORTED) {
    GST_WARNING ("%s: %s is not supported: %s", self->path,
        helix_type_name (connection->error.refers), connection->text);
    return HELIX_FRAMES_AGAIN;
  }
  self->refused = code == HELIX_ERROR_NO_SCANOUT
      || code == HELIX_ERROR_NO_RESOURCE || code == HELIX_ERROR_LIMIT
      || code == HELIX_ERROR_NO_MEMORY;
  if (code == HELIX_ERROR_NO_SCANOUT
      && check_scanout (self, error) == HELIX_FRAMES_FAILED)
    return HELIX_FRAMES_FAILED;
  return refuse (self, error);
}

static HelixFramesResult
take_scanout (HelixFrameConnection *self, GError **error)
{
  const struct helix_reader *reader = &self->connection->reader;
  struct helix_scanout scanout;
  const char *why;

  if (!helix_unpack_scanout (
          &scanout, reader->payload, reader->payload_size, &why))
    return violation (self, why, error);
  GST_DEBUG ("channel %u: scanout %d is %s, %ux%u, generation %u, resource %u",
      reader->header.channel, (gint) scanout.scanout,
      scanout.flags & HELIX_SCANOUT_ENABLED ? "on" : "off", scanout.width,
      scanout.height, scanout.generation, scanout.resource_id);
  if (reader->header.channel != self->channel)
    return HELIX_FRAMES_AGAIN;
  self->confirmed = TRUE;
  if (scanout.flags & HELIX_SCANOUT_ENABLED) {
    self->dark_ns = 0;
    self->dark_news = FALSE;
  } else if (self->dark_ns == 0) {
    self->dark_ns = helix_now_ns ();
    self->dark_news = TRUE;
  }
  return HELIX_FRAMES_AGAIN;
}

static HelixFramesResult
take_pool (HelixFrameConnection *self, GError **error)
{
  const struct helix_reader *reader = &self->connection->reader;
  struct helix_pool info;
  HelixSlotPool *pool;
  const char *why;

  if (!helix_unpack_pool (&info, reader->payload, reader->payload_size, &why))
    return violation (self, why, error);
  if (reader->header.channel != self->channel)
    return HELIX_FRAMES_AGAIN;
  pool = helix_slot_pool_new (self->connection, self->channel, &info,
      self->connection->passed_fd, &why);
  if (pool == NULL && errno == EPROTO)
    return violation (self, why, error);
  if (pool == NULL) {
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NO_SPACE_LEFT,
        "The frame memory of the shim at %s cannot be had: %s (%s). Are QEMU's "
        "shim and this plugin of the same release?",
        self->path, why, g_strerror (errno));
    return HELIX_FRAMES_FAILED;
  }
  drop_pool (self);
  self->pool = pool;
  GST_DEBUG ("pool %u: %u slots of %" G_GUINT64_FORMAT " bytes, kind %u",
      info.pool_id, info.slots, info.slot_size, info.kind);
  return HELIX_FRAMES_AGAIN;
}

/* ---- frames ---- */

/* `frame` is the newest now; what it changed adds up with what frames changed
 * that were not given. */
static void
supersede (HelixFrameConnection *self, HelixFrame *frame)
{
  HelixFrameStats *stats = &self->stats;

  stats->received++;
  stats->superseded += self->newest.memory != NULL;
  stats->readback_bytes += frame->info.read_bytes;
  if (self->newest.info.generation != frame->info.generation)
    add_damage (self, NULL, 0);
  add_damage (self, frame->damage, frame->info.rects);
  helix_frame_clear (&self->newest);
  self->newest = *frame;
}

static HelixFramesResult
take_frame (HelixFrameConnection *self, GError **error)
{
  const struct helix_reader *reader = &self->connection->reader;
  HelixFrame frame = {0};
  const char *why;

  if (!helix_unpack_frame (&frame.info, frame.damage, reader->payload,
          reader->payload_size, &why))
    return violation (self, why, error);
  if (reader->header.channel != self->channel)
    return HELIX_FRAMES_AGAIN;
  if (self->pool == NULL)
    return violation (self, "FRAME: there is no pool yet", error);
  if (frame.info.sequence <= self->newest.info.sequence)
    return violation (self, "FRAME: sequence does not grow", error);
  frame.pool = self->pool;
  frame.memory =
      helix_slot_pool_take (self->pool, &frame.info, &frame.pixels, &why);
  if (why != NULL)
    return violation (self, why, error);
  if (frame.memory == NULL) {
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_READ,
        "The frame memory of the shim at %s was cut off while it was in use "
        "(%s). Is QEMU in order? Start it again.",
        self->path, g_strerror (errno));
    return HELIX_FRAMES_LOST;
  }
  supersede (self, &frame);
  return HELIX_FRAMES_AGAIN;
}

/* ---- the cursor ---- */

/* The head of a CURSOR whose shape follows. */
static HelixFramesResult
take_cursor_head (HelixFrameConnection *self, GError **error)
{
  struct helix_reader *reader = &self->connection->reader;
  struct helix_cursor cursor;
  const char *why;

  if (reader->header.type != HELIX_CURSOR)
    return violation (self, "it sends units, not frames", error);
  if (!helix_unpack_cursor (&cursor, reader->payload, reader->payload_size,
          reader->header.size, &why))
    return violation (self, why, error);
  if (reader->header.channel == self->channel) {
    self->incoming_shape = g_malloc (reader->bulk_size);
    helix_reader_bulk (reader, self->incoming_shape);
  }
  return HELIX_FRAMES_AGAIN;
}

static HelixFramesResult
take_cursor (HelixFrameConnection *self, GError **error)
{
  const struct helix_reader *reader = &self->connection->reader;
  const struct helix_cursor *known = &self->cursor.info;
  guint8 *shape = g_steal_pointer (&self->incoming_shape);
  g_autoptr (GstBuffer) image =
      shape != NULL ? gst_buffer_new_wrapped (shape, reader->bulk_size) : NULL;
  struct helix_cursor cursor;
  const char *why;

  if (!helix_unpack_cursor (&cursor, reader->payload, reader->payload_size,
          reader->header.size, &why))
    return violation (self, why, error);
  /* The subscription may have ended before its shape began, or since then. */
  if (reader->header.channel != self->channel
      || (image == NULL && reader->bulk_size > 0))
    return HELIX_FRAMES_AGAIN;
  if (image != NULL || cursor.serial == 0) {
    gst_buffer_replace (&self->cursor.image, image);
  } else {
    if (self->cursor.image == NULL || cursor.serial != known->serial)
      return violation (
          self, "CURSOR: the shape of its serial never came", error);
    cursor.width = known->width;
    cursor.height = known->height;
    cursor.hot_x = known->hot_x;
    cursor.hot_y = known->hot_y;
    /* A shape that read () has not told of is still news. */
    cursor.flags |= known->flags & HELIX_CURSOR_SHAPE;
  }
  self->cursor.info = cursor;
  self->cursor_news = TRUE;
  return HELIX_FRAMES_AGAIN;
}

/* ---- receiving ---- */

static HelixFramesResult
take_message (HelixFrameConnection *self, GError **error)
{
  switch (self->connection->reader.header.type) {
    case HELIX_PONG:
      return HELIX_FRAMES_AGAIN;
    case HELIX_ERROR:
      return take_error (self, error);
    case HELIX_SCANOUT:
      return take_scanout (self, error);
    case HELIX_POOL:
      return take_pool (self, error);
    case HELIX_FRAME:
      return take_frame (self, error);
    case HELIX_CURSOR:
      return take_cursor (self, error);
    default:
      helix_connection_unknown (self->connection);
      return HELIX_FRAMES_AGAIN;
  }
}

/* One recv, and what it completes. *more = there may be more to read. */
static HelixFramesResult
read_some (HelixFrameConnection *self, gboolean *more, GError **error)
{
  switch (helix_connection_read (self->connection)) {
    case HELIX_CONNECTION_IDLE:
      *more = FALSE;
      return HELIX_FRAMES_AGAIN;
    case HELIX_CONNECTION_LIVE:
      return go_live (self, error);
    case HELIX_CONNECTION_HEAD:
      return take_cursor_head (self, error);
    case HELIX_CONNECTION_MESSAGE:
      return take_message (self, error);
    case HELIX_CONNECTION_LOST:
      return lose (self, error);
    case HELIX_CONNECTION_MORE:
      break;
  }
  return HELIX_FRAMES_AGAIN;
}

/* Whether `newest` may be shown. What waited for long was read while this
 * program was stopped or busy, and the credits that went back just now bring
 * the state of today, if it is another one: a screen that stands still sends
 * nothing more, so the wait is short. */
static gboolean
is_settled (HelixFrameConnection *self)
{
  guint64 now = helix_now_ns (), taken = self->newest.info.capture_ns;

  if (now < taken || now - taken <= OLD)
    self->settle_ns = 0;
  else if (self->settle_ns == 0)
    self->settle_ns = now + SETTLE;
  return now >= self->settle_ns;
}

/* Whether there is a frame that needs not make way for a newer one. */
static gboolean
is_in_time (const HelixFrameConnection *self, guint64 in_time)
{
  return self->newest.memory != NULL
      && helix_now_ns () - self->newest.info.capture_ns <= MIN (in_time, OLD);
}

static void
give_cursor (HelixFrameConnection *self, HelixCursor *cursor)
{
  self->cursor_news = FALSE;
  self->cursor_told = TRUE;
  *cursor = self->cursor;
  if (cursor->image != NULL)
    gst_buffer_ref (cursor->image);
  self->cursor.info.flags &= ~HELIX_CURSOR_SHAPE;
}

static void
give_newest (HelixFrameConnection *self, HelixFrame *frame)
{
  self->settle_ns = 0;
  self->cursor_told = FALSE;
  *frame = self->newest;
  frame->info.rects = helix_region_rects (&self->damage, frame->damage);
  self->newest.memory = NULL;
  pixman_region32_clear (&self->damage);
}

HelixFramesResult
helix_frame_connection_read (HelixFrameConnection *self, guint64 in_time,
    HelixFrame *frame, HelixCursor *cursor, GError **error)
{
  HelixFramesResult result = HELIX_FRAMES_AGAIN;
  gboolean more = TRUE, last;

  for (guint i = 0; i < READS_AT_ONCE && more; i++) {
    if (is_in_time (self, in_time))
      break; /* what follows stays in the socket */
    result = read_some (self, &more, error);
    if (result != HELIX_FRAMES_AGAIN)
      break;
  }
  /* A connection that ended behind a frame: the frame first. The end shows
   * again at the next read. */
  last = self->newest.memory != NULL
      && (result == HELIX_FRAMES_CLOSED || result == HELIX_FRAMES_LOST)
      && self->connection->loss != HELIX_LOSS_NONE;
  if (last)
    g_clear_error (error);
  else if (result != HELIX_FRAMES_AGAIN)
    return result;
  /* The cursor first, for the frame to be shown with it; but not twice, or a
   * restless one would keep frames from being seen. */
  if (self->cursor_news
      && (self->newest.memory == NULL || !self->cursor_told)) {
    give_cursor (self, cursor);
    return HELIX_FRAMES_CURSOR;
  }
  if (self->newest.memory != NULL && (last || is_settled (self))) {
    give_newest (self, frame);
    return HELIX_FRAMES_FRAME;
  }
  /* The screen went off behind the last frame. */
  if (self->dark_news && self->newest.memory == NULL) {
    self->dark_news = FALSE;
    return HELIX_FRAMES_DARK;
  }
  return HELIX_FRAMES_AGAIN;
}

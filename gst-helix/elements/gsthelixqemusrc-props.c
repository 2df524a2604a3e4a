/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gsthelixqemusrc-private.h"

#include "gsthelixmode.h"

#define DEFAULT_SCANOUT 0
#define DEFAULT_RESOURCE_ID 0
/* ms. Long enough that an idle screen costs next to nothing, short enough
 * that an encoder which holds one frame back until the next (vtenc before
 * 1.24) shows the end of a burst soon. */
#define DEFAULT_KEEPALIVE_TIME 500
#define DEFAULT_AUTO_RECONNECT TRUE
#define DEFAULT_RECONNECT_TIMEOUT 0
#define DEFAULT_SHARED_MEMORY TRUE
#define DEFAULT_SHOW_CURSOR FALSE
#define DEFAULT_WHEN_OFF GST_HELIX_WHEN_OFF_BLACK

enum {
  PROP_0,
  PROP_SOCKET_PATH,
  PROP_SERVER_USER,
  PROP_SCANOUT,
  PROP_RESOURCE_ID,
  PROP_MAX_FRAMERATE,
  PROP_KEEPALIVE_TIME,
  PROP_AUTO_RECONNECT,
  PROP_RECONNECT_TIMEOUT,
  PROP_SHARED_MEMORY,
  PROP_SHOW_CURSOR,
  PROP_WHEN_OFF,
  PROP_STATS,
  N_PROPS
};

static GParamSpec *properties[N_PROPS];

void
gst_helix_qemu_src_get_limit (GstHelixQemuSrc *self, gint *num, gint *den)
{
  gboolean limited = self->max_num > 0;

  *num = limited ? self->max_num : HELIX_FASTEST_RATE_NUM;
  *den = limited ? self->max_den : HELIX_FASTEST_RATE_DEN;
}

void
gst_helix_qemu_src_fill_wish (GstHelixQemuSrc *self, HelixFrameWish *wish)
{
  wish->scanout = self->scanout;
  wish->resource_id = self->resource_id;
  wish->rate_num = self->rate_num;
  wish->rate_den = self->rate_den;
  wish->slots = 0;
  wish->inline_pixels = !self->shared_memory;
  wish->cursor = TRUE; /* downstream, or into the picture */
}

void
gst_helix_qemu_src_subscribe (GstHelixQemuSrc *self, gboolean on_trial)
{
  HelixFrameWish wish;

  if (self->client == NULL)
    return;
  gst_helix_qemu_src_fill_wish (self, &wish);
  helix_frame_client_subscribe (self->client, &wish, on_trial);
}

void
gst_helix_qemu_src_ask_again (GstHelixQemuSrc *self)
{
  GST_OBJECT_LOCK (self);
  gst_helix_qemu_src_subscribe (self, TRUE);
  GST_OBJECT_UNLOCK (self);
}

static void
set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstHelixQemuSrc *self = GST_HELIX_QEMU_SRC (object);

  GST_OBJECT_LOCK (self);
  switch (id) {
    case PROP_SOCKET_PATH:
      g_free (self->socket_path);
      self->socket_path = g_value_dup_string (value);
      break;
    case PROP_SERVER_USER:
      g_free (self->server_user);
      self->server_user = g_value_dup_string (value);
      break;
    case PROP_SCANOUT:
      self->scanout = g_value_get_uint (value);
      gst_helix_qemu_src_subscribe (self, FALSE);
      break;
    case PROP_RESOURCE_ID:
      self->resource_id = g_value_get_uint (value);
      gst_helix_qemu_src_subscribe (self, FALSE);
      break;
    case PROP_MAX_FRAMERATE:
      self->max_num = gst_value_get_fraction_numerator (value);
      self->max_den = gst_value_get_fraction_denominator (value);
      gst_helix_qemu_src_get_limit (self, &self->rate_num, &self->rate_den);
      gst_helix_qemu_src_subscribe (self, FALSE);
      break;
    case PROP_KEEPALIVE_TIME:
      self->keepalive_time = g_value_get_uint (value);
      break;
    case PROP_AUTO_RECONNECT:
      self->auto_reconnect = g_value_get_boolean (value);
      break;
    case PROP_RECONNECT_TIMEOUT:
      self->reconnect_timeout = g_value_get_uint (value);
      break;
    case PROP_SHARED_MEMORY:
      self->shared_memory = g_value_get_boolean (value);
      break;
    case PROP_SHOW_CURSOR:
      self->show_cursor = g_value_get_boolean (value);
      /* For a picture to draw it upon, or one without, and its shape. */
      gst_helix_qemu_src_subscribe (self, FALSE);
      if (self->client != NULL)
        helix_frame_client_poke (self->client);
      break;
    case PROP_WHEN_OFF:
      self->when_off = g_value_get_enum (value);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
      break;
  }
  GST_OBJECT_UNLOCK (self);
  if (id == PROP_MAX_FRAMERATE) /* which caps announce */
    gst_pad_mark_reconfigure (GST_BASE_SRC_PAD (self));
}

static void
get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstHelixQemuSrc *self = GST_HELIX_QEMU_SRC (object);

  if (id == PROP_STATS) {
    g_value_take_boxed (value, gst_helix_qemu_src_get_stats (self));
    return;
  }
  GST_OBJECT_LOCK (self);
  switch (id) {
    case PROP_SOCKET_PATH:
      g_value_set_string (value, self->socket_path);
      break;
    case PROP_SERVER_USER:
      g_value_set_string (value, self->server_user);
      break;
    case PROP_SCANOUT:
      g_value_set_uint (value, self->scanout);
      break;
    case PROP_RESOURCE_ID:
      g_value_set_uint (value, self->resource_id);
      break;
    case PROP_MAX_FRAMERATE:
      gst_value_set_fraction (value, self->max_num, self->max_den);
      break;
    case PROP_KEEPALIVE_TIME:
      g_value_set_uint (value, self->keepalive_time);
      break;
    case PROP_AUTO_RECONNECT:
      g_value_set_boolean (value, self->auto_reconnect);
      break;
    case PROP_RECONNECT_TIMEOUT:
      g_value_set_uint (value, self->reconnect_timeout);
      break;
    case PROP_SHARED_MEMORY:
      g_value_set_boolean (value, self->shared_memory);
      break;
    case PROP_SHOW_CURSOR:
      g_value_set_boolean (value, self->show_cursor);
      break;
    case PROP_WHEN_OFF:
      g_value_set_enum (value, self->when_off);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
      break;
  }
  GST_OBJECT_UNLOCK (self);
}

void
gst_helix_qemu_src_init_properties (GstHelixQemuSrc *self)
{
  self->scanout = DEFAULT_SCANOUT;
  self->resource_id = DEFAULT_RESOURCE_ID;
  self->max_num = self->rate_num = HELIX_NOMINAL_RATE_NUM;
  self->max_den = self->rate_den = HELIX_NOMINAL_RATE_DEN;
  self->keepalive_time = DEFAULT_KEEPALIVE_TIME;
  self->auto_reconnect = DEFAULT_AUTO_RECONNECT;
  self->reconnect_timeout = DEFAULT_RECONNECT_TIMEOUT;
  self->shared_memory = DEFAULT_SHARED_MEMORY;
  self->show_cursor = DEFAULT_SHOW_CURSOR;
  self->when_off = DEFAULT_WHEN_OFF;
}

void
gst_helix_qemu_src_install_properties (GObjectClass *object_class)
{
  const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS;

  object_class->set_property = set_property;
  object_class->get_property = get_property;

  /**
   * GstHelixQemuSrc:socket-path:
   *
   * Path of the socket that QEMU was told to make (`-device
   * helix-export,path=...`). Unset: `$HELIX_SOCKET`, else that of the only
   * virtual machine of this user that runs here. Where several run, an error
   * names them. One that was found is waited for when it goes away; only
   * after ten seconds may another, if it is the only one then, take its
   * place. A message of type INFO names the one that was taken, and the folder
   * that it was found in, which `$XDG_RUNTIME_DIR` decides; a WARNING another
   * one that took its place.
   *
   * Since: 0.1
   */
  properties[PROP_SOCKET_PATH] =
      g_param_spec_string ("socket-path", "Socket path",
          "Path of the socket that QEMU's helix shim listens on (unset = "
          "$HELIX_SOCKET, else that of the only VM that runs here)",
          NULL, flags | GST_PARAM_MUTABLE_READY);
  /**
   * GstHelixQemuSrc:server-user:
   *
   * The user that the virtual machine runs as, by name or number, where that
   * is on purpose neither this user nor root: `libvirt-qemu`, for example.
   * A socket that any other user serves is not spoken to, and an error names
   * that user. The kernel tells as which user the server began to listen.
   *
   * Since: 0.1
   */
  properties[PROP_SERVER_USER] = g_param_spec_string ("server-user",
      "Server user",
      "User, by name or number, that may serve the VM's socket besides this "
      "user and root (unset = none)",
      NULL, flags | GST_PARAM_MUTABLE_READY);
  /**
   * GstHelixQemuSrc:scanout:
   *
   * Which of the virtual machine's scanouts (screens) to show, from 0. It is
   * checked against what the virtual machine has when it is connected to.
   *
   * Since: 0.1
   */
  properties[PROP_SCANOUT] = g_param_spec_uint ("scanout", "Scanout",
      "Index of the scanout (screen) to show; must exist in the VM", 0,
      G_MAXUINT, DEFAULT_SCANOUT, flags | GST_PARAM_MUTABLE_PLAYING);
  /**
   * GstHelixQemuSrc:resource-id:
   *
   * Show this virtio-gpu resource of the guest, on a screen or not, in place
   * of #GstHelixQemuSrc:scanout.
   *
   * Since: 0.1
   */
  properties[PROP_RESOURCE_ID] =
      g_param_spec_uint ("resource-id", "Resource id",
          "virtio-gpu resource to show in place of a scanout (0 = the scanout)",
          0, G_MAXUINT, DEFAULT_RESOURCE_ID, flags | GST_PARAM_MUTABLE_PLAYING);
  /**
   * GstHelixQemuSrc:max-framerate:
   *
   * Frames a second at most. The shim keeps to it: what is beyond is not even
   * read from the graphics card. Caps announce it, since encoders spend their
   * bitrate on so many frames. 0/1: as often as the guest draws, which caps and
   * the shim take as 240/1. A guest that asks for another rate changes it.
   *
   * Since: 0.1
   */
  properties[PROP_MAX_FRAMERATE] =
      gst_param_spec_fraction ("max-framerate", "Maximum framerate",
          "Frames per second at most, as caps announce (0/1 = 240/1)", 0, 1,
          G_MAXINT, 1, HELIX_NOMINAL_RATE_NUM, HELIX_NOMINAL_RATE_DEN,
          flags | GST_PARAM_MUTABLE_PLAYING);
  /**
   * GstHelixQemuSrc:keepalive-time:
   *
   * While the screen does not change, repeat its last picture after so many
   * milliseconds, over and over, so that an encoder that holds pictures back
   * gives them out. This is for pipelines in which nobody reports what comes
   * out of the encoder. A #helixguestsink does: then the picture is repeated
   * at the rate of the caps until it has come out, at most 628 times, and not
   * at all afterwards, whatever this property says. 0: without such a report a
   * still screen sends nothing.
   *
   * Since: 0.1
   */
  properties[PROP_KEEPALIVE_TIME] = g_param_spec_uint ("keepalive-time",
      "Keep-alive time",
      "Repeat the last picture after this long without a new one, in ms, where "
      "no helixguestsink reports what has come out (0 = never)",
      0, G_MAXINT, DEFAULT_KEEPALIVE_TIME, flags | GST_PARAM_MUTABLE_PLAYING);
  /**
   * GstHelixQemuSrc:auto-reconnect:
   *
   * Wait for a virtual machine that is not there (yet), and for one that went
   * away to come back; a warning on the bus says so once. Otherwise its
   * absence is an error and its orderly end the end of the stream.
   *
   * Since: 0.1
   */
  properties[PROP_AUTO_RECONNECT] = g_param_spec_boolean ("auto-reconnect",
      "Automatic reconnection", "Wait for QEMU to come (back) rather than fail",
      DEFAULT_AUTO_RECONNECT, flags | GST_PARAM_MUTABLE_READY);
  /**
   * GstHelixQemuSrc:reconnect-timeout:
   *
   * How long to wait for it, in milliseconds, before that is an error after
   * all.
   *
   * Since: 0.1
   */
  properties[PROP_RECONNECT_TIMEOUT] =
      g_param_spec_uint ("reconnect-timeout", "Reconnection timeout",
          "Give up after this long without QEMU, in ms (0 = never)", 0,
          G_MAXINT, DEFAULT_RECONNECT_TIMEOUT, flags | GST_PARAM_MUTABLE_READY);
  /**
   * GstHelixQemuSrc:shared-memory:
   *
   * Take pictures in shared memory. Otherwise they come through the socket,
   * which costs two copies more but works where no descriptor can pass.
   *
   * Since: 0.1
   */
  properties[PROP_SHARED_MEMORY] =
      g_param_spec_boolean ("shared-memory", "Shared memory",
          "Take frames in shared memory (false = through the socket)",
          DEFAULT_SHARED_MEMORY, flags | GST_PARAM_MUTABLE_READY);
  /**
   * GstHelixQemuSrc:show-cursor:
   *
   * Draw the guest's cursor into the picture. Where it moves, only the place
   * that it left and the one where it is are converted again, and nothing is
   * read back. Otherwise it goes downstream as `GstHelixCursor` events, for a
   * viewer to draw.
   *
   * Since: 0.1
   */
  properties[PROP_SHOW_CURSOR] = g_param_spec_boolean ("show-cursor",
      "Show cursor", "Draw the guest's cursor into the picture",
      DEFAULT_SHOW_CURSOR, flags | GST_PARAM_MUTABLE_PLAYING);
  /**
   * GstHelixQemuSrc:when-off:
   *
   * What to show of a screen that has been off for a second: a change of mode,
   * which passes through that, is over by then. Off is a scanout that the
   * guest, or `helix scanout N off`, has switched off, or a resource that the
   * guest has destroyed. Black has the size of the last picture; where there
   * was none, nothing is sent. Either way a message of type INFO says so, and
   * another one says when the screen is on again. It counts from the next time
   * that the screen goes off. An outage (#GstHelixQemuSrc:auto-reconnect)
   * leaves what is shown as it is.
   *
   * Since: 0.1
   */
  properties[PROP_WHEN_OFF] = g_param_spec_enum ("when-off", "When off",
      "What to show of a screen that is off", GST_TYPE_HELIX_WHEN_OFF,
      DEFAULT_WHEN_OFF, flags | GST_PARAM_MUTABLE_PLAYING);
  /**
   * GstHelixQemuSrc:stats:
   *
   * What happened since the element was started, as
   * `application/x-helix-qemu-src-stats`:
   *
   * * `connected` (boolean), `reconnects` (uint)
   * * `frames-in` (uint64): pictures from the shim; `dropped`: of them, given
   *   back unseen for a newer one; `frames-out`: buffers pushed
   * * `frames` (uint64): of those, new pictures; `repeated`: pushed again to
   *   keep encoders awake; `flushed`: of those, because a picture had not come
   *   out of the encoder; `cursor-moves`: with nothing new but the cursor;
   *   `black`: in the place of a screen that is off;
   *   `copied`: pictures copied, not lent, because downstream held too many
   *   or for the cursor
   * * `held-back` (uint): buffers that the encoder needed after the newest
   *   picture before it gave that out, the last time (628: so many were not
   *   enough); 0 without a helixguestsink
   * * `bytes` (uint64): read back by the shim for this element
   * * `converted-bytes` (uint64): of pictures, read here to convert or copy
   *   them
   * * `last-sequence` (uint64), `generation`, `width`, `height` (uint): of the
   *   last picture
   * * `readback-time`, `wait-time`, `convert-time` (uint64): ns spent reading
   *   back, waiting for a free slot or for its turn, and converting, in sum
   * * `latency` (uint64): ns from capture to push of the last picture
   * * `STAGE-p50`, `STAGE-p95`, `STAGE-p99`, `STAGE-max` (uint64): ns, of the
   *   pictures pushed, where STAGE is `readback`, `wait`, `convert` or
   *   `latency`; at most 6.25 % above what was measured
   *
   * Since: 0.1
   */
  properties[PROP_STATS] = g_param_spec_boxed ("stats", "Statistics",
      "Frames, bytes, times and connection since the start", GST_TYPE_STRUCTURE,
      G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  g_object_class_install_properties (object_class, N_PROPS, properties);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What clients make the element do, called from the server's thread, and what
 * upstream tells them past the stream. */
#include "gsthelixguestsink-private.h"

#include <gst/video/video.h>

#include "gsthelixevents.h"
#include "helix-encoder.h"
#include "helix-platform.h"

GST_DEBUG_CATEGORY_EXTERN (gst_helix_guest_sink_debug);
#define GST_CAT_DEFAULT gst_helix_guest_sink_debug

#define CONTROL_NAME "application/x-helix-control"

/* Pictures to show come as fast as a screen: a guest whose every one is
 * refused is told so once in that time. */
#define SHOW_REFUSED_NS GST_SECOND

/* A cause of its own, beside those of HelixEncoderResult. */
#define WARNED_NOBODY (1u << 31)

/* ---- clients ---- */

static void
client_added (gpointer user, guint id, const gchar *peer)
{
  GstHelixGuestSink *self = user;

  GST_INFO_OBJECT (self, "client %u: %s", id, peer);
  g_signal_emit (self,
      gst_helix_guest_sink_signals[GST_HELIX_GUEST_SINK_CLIENT_ADDED], 0, id,
      peer);
  g_object_notify (G_OBJECT (self), "num-clients");
}

static void
client_removed (gpointer user, guint id, const gchar *reason)
{
  GstHelixGuestSink *self = user;

  GST_INFO_OBJECT (self, "client %u is gone: %s", id, reason);
  g_signal_emit (self,
      gst_helix_guest_sink_signals[GST_HELIX_GUEST_SINK_CLIENT_REMOVED], 0, id,
      reason);
  g_object_notify (G_OBJECT (self), "num-clients");
}

static void
problem (gpointer user, const GError *error, gboolean fatal)
{
  gst_helix_post (GST_ELEMENT (user),
      fatal ? GST_MESSAGE_ERROR : GST_MESSAGE_WARNING, error);
}

static void
keyframe_wanted (gpointer user)
{
  GstHelixGuestSink *self = user;

  GST_DEBUG_OBJECT (self, "asking for a keyframe");
  if (!gst_pad_push_event (GST_BASE_SINK_PAD (self),
          gst_video_event_new_upstream_force_key_unit (
              GST_CLOCK_TIME_NONE, TRUE, 0)))
    GST_DEBUG_OBJECT (self, "nobody upstream takes force-key-unit yet");
  gst_pad_push_event (GST_BASE_SINK_PAD (self), gst_helix_event_new_refresh ());
}

void
gst_helix_guest_sink_report (GstHelixGuestSink *self, guint64 out_time)
{
  GstHelixOutput output = {.sink = self->id, .running_time = out_time};
  GstElementFactory *factory = NULL;
  GstElement *encoder = NULL;

  if (out_time == HELIX_NONE64) /* the first word: later ones need no name */
    encoder = helix_encoder_find (GST_BASE_SINK_PAD (self));
  if (encoder != NULL)
    factory = gst_element_get_factory (encoder);
  if (factory != NULL)
    g_strlcpy (
        output.encoder, GST_OBJECT_NAME (factory), sizeof output.encoder);
  gst_clear_object (&encoder);
  gst_pad_push_event (
      GST_BASE_SINK_PAD (self), gst_helix_event_new_output (&output));
}

/* ---- wishes ---- */

/* The server ends this thread before it goes, so once read it stays. NULL:
 * the element is about to stop. */
static HelixStreamServer *
server_of (GstHelixGuestSink *self)
{
  HelixStreamServer *server;

  GST_OBJECT_LOCK (self);
  server = self->server;
  GST_OBJECT_UNLOCK (self);
  return server;
}

static void
tell (GstHelixGuestSink *self, guint id, enum helix_error_code code,
    enum helix_type refers, const gchar *text)
{
  HelixStreamServer *server = server_of (self);

  GST_INFO_OBJECT (self, "client %u is told: %s", id, text);
  if (server != NULL)
    helix_stream_server_tell (server, id, code, refers, text);
}

static void
warn_once (GstHelixGuestSink *self, guint cause, const gchar *text)
{
  if (self->warned & cause)
    return;
  self->warned |= cause;
  GST_ELEMENT_WARNING (self, RESOURCE, SETTINGS, ("%s", text), (NULL));
}

/* GStreamer's fractions are signed: halved until they fit. */
static void
get_rate (const struct helix_config *wish, gint *num, gint *den)
{
  guint32 n = wish->rate_num, d = wish->rate_den;

  while (n > G_MAXINT || d > G_MAXINT) {
    n /= 2;
    d = MAX (d / 2, 1);
  }
  *num = (gint) n;
  *den = (gint) d;
}

static GstStructure *
wish_to_structure (const struct helix_config *wish)
{
  GstStructure *structure = gst_structure_new_empty (CONTROL_NAME);
  gint num, den;

  if (wish->fields & HELIX_CONFIG_BITRATE)
    gst_structure_set (structure, "bitrate", G_TYPE_UINT, wish->bitrate, NULL);
  if (wish->fields & HELIX_CONFIG_RATE) {
    get_rate (wish, &num, &den);
    gst_structure_set (
        structure, "max-framerate", GST_TYPE_FRACTION, num, den, NULL);
  }
  if (wish->fields & HELIX_CONFIG_SCANOUT)
    gst_structure_set (structure, "scanout", G_TYPE_UINT, wish->scanout, NULL);
  if (wish->fields & HELIX_CONFIG_RESOURCE)
    gst_structure_set (
        structure, "resource-id", G_TYPE_UINT, wish->resource_id, NULL);
  return structure;
}

static gboolean
push_control (GstHelixGuestSink *self, const GstHelixControl *control)
{
  return gst_pad_push_event (
      GST_BASE_SINK_PAD (self), gst_helix_event_new_control (control));
}

static void
wish_rate (GstHelixGuestSink *self, guint id, const struct helix_config *wish)
{
  GstHelixControl control = {.fields = GST_HELIX_CONTROL_RATE};

  get_rate (wish, &control.rate_num, &control.rate_den);
  /* A request for no limit holds without a pipeline that applies it. */
  if (!push_control (self, &control) && control.rate_num > 0)
    tell (self, id, HELIX_ERROR_UNSUPPORTED, HELIX_CONFIG,
        "nothing in the host's pipeline limits the framerate: only "
        "helixqemusrc does");
}

static void
wish_picture (
    GstHelixGuestSink *self, guint id, const struct helix_config *wish)
{
  GstHelixControl control = {.rate_den = 1};
  g_autofree gchar *text = NULL;
  HelixStreamServer *server;
  gboolean resource = (wish->fields & HELIX_CONFIG_RESOURCE) != 0;

  if (wish->fields & HELIX_CONFIG_SCANOUT) {
    control.fields |= GST_HELIX_CONTROL_SCANOUT;
    control.scanout = wish->scanout;
  }
  if (resource) {
    control.fields |= GST_HELIX_CONTROL_RESOURCE;
    control.resource_id = wish->resource_id;
  }
  if (push_control (self, &control)) {
    server = server_of (self);
    if (server != NULL)
      helix_stream_server_want_key (server);
    return;
  }
  resource = resource && wish->resource_id != 0;
  text = g_strdup_printf ("the host's pipeline cannot show %s %u: either there "
                          "is none, or no helixqemusrc in that pipeline. What "
                          "was shown before still is",
      resource ? "resource" : "scanout",
      resource ? wish->resource_id : wish->scanout);
  tell (self, id, resource ? HELIX_ERROR_NO_RESOURCE : HELIX_ERROR_NO_SCANOUT,
      HELIX_CONFIG, text);
}

static void
wish_bitrate (GstHelixGuestSink *self, guint id, guint32 bitrate)
{
  g_autofree gchar *why = NULL;
  HelixEncoderResult result;
  GstElement *encoder;
  gboolean obey;

  GST_OBJECT_LOCK (self);
  obey = self->control_encoder;
  GST_OBJECT_UNLOCK (self);
  if (!obey) {
    if (g_signal_has_handler_pending (self,
            gst_helix_guest_sink_signals[GST_HELIX_GUEST_SINK_CLIENT_CONTROL],
            0, TRUE))
      return;
    warn_once (self, WARNED_NOBODY,
        "A guest wants another bitrate, and nobody obeys it. Set "
        "control-encoder=true, or handle the signal client-control.");
    tell (self, id, HELIX_ERROR_UNSUPPORTED, HELIX_CONFIG,
        "the host's pipeline does not obey bitrate: its helixguestsink has "
        "control-encoder=false");
    return;
  }
  encoder = helix_encoder_find (GST_BASE_SINK_PAD (self));
  result = helix_encoder_set_bitrate (encoder, bitrate, &why);
  if (result != HELIX_ENCODER_DONE)
    warn_once (self, 1u << result, why);
  if (result != HELIX_ENCODER_DONE && result != HELIX_ENCODER_BOUNDED)
    tell (self, id, HELIX_ERROR_UNSUPPORTED, HELIX_CONFIG, why);
  gst_clear_object (&encoder);
}

static void
wished (gpointer user, guint id, const struct helix_config *wish)
{
  GstHelixGuestSink *self = user;
  GstStructure *structure = wish_to_structure (wish);

  GST_INFO_OBJECT (self, "client %u wishes %" GST_PTR_FORMAT, id, structure);
  g_signal_emit (self,
      gst_helix_guest_sink_signals[GST_HELIX_GUEST_SINK_CLIENT_CONTROL], 0, id,
      structure);
  gst_structure_free (structure);
  if (wish->fields & HELIX_CONFIG_RATE)
    wish_rate (self, id, wish);
  if (wish->fields & (HELIX_CONFIG_SCANOUT | HELIX_CONFIG_RESOURCE))
    wish_picture (self, id, wish);
  if (wish->fields & HELIX_CONFIG_BITRATE)
    wish_bitrate (self, id, wish->bitrate);
}

static void
show (gpointer user, guint id, const struct helix_show *show)
{
  GstHelixGuestSink *self = user;
  g_autofree gchar *text = NULL;
  guint64 now = helix_now_ns ();

  GST_LOG_OBJECT (self, "client %u shows resource %u", id, show->resource_id);
  if (gst_pad_push_event (GST_BASE_SINK_PAD (self),
          gst_helix_event_new_show (show->resource_id, show->capture_ns)))
    return;
  if (now - self->show_refused_ns < SHOW_REFUSED_NS)
    return;
  self->show_refused_ns = now;
  text = g_strdup_printf (
      "the host's pipeline cannot show resource %u: helixqemusrc is not "
      "connected to the VM, or there is none in that pipeline",
      show->resource_id);
  tell (self, id, HELIX_ERROR_NO_RESOURCE, HELIX_SHOW, text);
}

const HelixStreamServerCallbacks gst_helix_guest_sink_callbacks = {
    .client_added = client_added,
    .client_removed = client_removed,
    .keyframe_wanted = keyframe_wanted,
    .wished = wished,
    .show = show,
    .problem = problem,
};

/* ---- to clients ---- */

void
gst_helix_guest_sink_take_cursor (GstHelixGuestSink *self, GstEvent *event)
{
  struct helix_cursor wire = {0};
  GstHelixCursor cursor;
  gboolean bad;

  if (!gst_event_has_name (event, "GstHelixCursor"))
    return;
  bad = !gst_helix_event_parse_cursor (event, &cursor);
  wire.scanout = cursor.scanout;
  wire.flags = cursor.visible ? HELIX_CURSOR_VISIBLE : 0;
  wire.x = (guint32) cursor.x;
  wire.y = (guint32) cursor.y;
  wire.serial = cursor.serial;
  wire.width = cursor.width;
  wire.height = cursor.height;
  wire.hot_x = cursor.hot_x;
  wire.hot_y = cursor.hot_y;
  wire.changed_ns = helix_now_ns ();

  /* Such an event overtakes the stream and the stop of this element: the lock
   * keeps the server. */
  GST_OBJECT_LOCK (self);
  if (!bad && self->server != NULL)
    bad = !helix_stream_server_cursor (self->server, &wire, cursor.image);
  bad = bad && !self->cursor_warned;
  self->cursor_warned |= bad;
  GST_OBJECT_UNLOCK (self);
  if (bad)
    GST_ELEMENT_WARNING (self, STREAM, FORMAT,
        ("A cursor from upstream makes no sense and is not passed on: %s.",
            "its shape must be 1 to 256 pixels wide and high, with the hot "
            "spot inside, and B G R A"),
        ("%" GST_PTR_FORMAT, event));
}

void
gst_helix_guest_sink_describe (
    GstHelixGuestSink *self, const struct helix_caps *caps)
{
  static const gchar *const codecs[] = {
      "?", "H.264", "H.265", "AV1", "VP8", "VP9", "JPEG"};
  GstElement *encoder = helix_encoder_find (GST_BASE_SINK_PAD (self));
  GstElementFactory *factory =
      encoder != NULL ? gst_element_get_factory (encoder) : NULL;
  g_autofree gchar *text = g_strdup_printf ("%s, %s%s%s %ux%u",
      factory != NULL ? GST_OBJECT_NAME (factory) : "unknown encoder",
      codecs[caps->codec < G_N_ELEMENTS (codecs) ? caps->codec : 0],
      caps->profile[0] != '\0' ? " " : "", caps->profile, caps->width,
      caps->height);

  gst_clear_object (&encoder);
  helix_stream_server_describe (self->server, text);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * SECTION:element-helixguestsink
 * @title: helixguestsink
 * @short_description: hands encoded video to helixsrc inside a guest
 *
 * Serves one encoded video stream to any number of #helixsrc, usually inside
 * the virtual machine whose screen it shows, over TCP, a UNIX socket (also
 * the one of a virtio-serial chardev, with mode=connect) or vsock.
 *
 * H.264 and H.265 are brought into Annex B with the parameter sets in band
 * before each keyframe. A client that joins gets a keyframe first: a
 * force-key-unit event goes upstream. Clients never slow the pipeline down,
 * nor each other: see #GstHelixGuestSink:recover-policy.
 *
 * It tells #helixqemusrc what has come out of the encoder, which so learns when
 * to repeat its last picture for an encoder that looks ahead. That works with
 * any encoder, but each change is as late as the look-ahead is long: set the
 * encoder up for low latency.
 *
 * Guests steer: a client may ask for another scanout, resource or framerate,
 * which goes upstream to #helixqemusrc, and for a bitrate, which goes into the
 * encoder if #GstHelixGuestSink:control-encoder says so. Each wish is the
 * signal #GstHelixGuestSink::client-control, too. The last one wins; of those
 * that come faster than four a second, the newest. Who may connect may
 * steer: without a token that is this user and root, see
 * #GstHelixGuestSink:insecure.
 *
 * Buffers are sent the moment they come: `sync` is FALSE, because waiting for
 * the clock would only add latency to a live stream. `async` is FALSE, because
 * the source of such a stream may stay silent until something changes on its
 * screen, and the pipeline shall reach PLAYING before that.
 *
 * ## Example launch line
 * |[
 * gst-launch-1.0 helixqemusrc ! x264enc tune=zerolatency ! helixguestsink
 * ]|
 *
 * Since: 0.1
 */
#include "gsthelixguestsink-private.h"

#include "helix-address.h"
#include "helix-platform.h"
#include "helix-stream-caps.h"

GST_DEBUG_CATEGORY (gst_helix_guest_sink_debug);
#define GST_CAT_DEFAULT gst_helix_guest_sink_debug

/* The longest that EOS waits for what clients have not taken yet. */
#define END_TIMEOUT_MS 1000

G_DEFINE_TYPE (GstHelixGuestSink, gst_helix_guest_sink, GST_TYPE_BASE_SINK);
GST_ELEMENT_REGISTER_DEFINE (
    helixguestsink, "helixguestsink", GST_RANK_NONE, GST_TYPE_HELIX_GUEST_SINK);

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE ("sink",
    GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS (HELIX_STREAM_SINK_CAPS));

static gboolean
start_server (GstHelixGuestSink *self)
{
  HelixStreamServerConfig config = {0};
  g_autoptr (HelixAddress) address = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree gchar *token = NULL;
  HelixStreamServer *server = NULL;

  address = gst_helix_endpoint_snapshot (
      GST_ELEMENT (self), &self->endpoint, &token, &config.listen, &error);
  GST_OBJECT_LOCK (self);
  config.max_clients = self->max_clients;
  config.max_age_ms = self->max_age;
  config.insecure = self->insecure;
  config.recover = self->recover_policy == GST_HELIX_RECOVER_POLICY_KEYFRAME;
  GST_OBJECT_UNLOCK (self);

  config.address = address;
  config.token = token;
  self->last_running_time = 0;
  self->out_time = HELIX_NONE64;
  self->warned = 0;
  self->show_refused_ns = 0;
  self->cursor_warned = FALSE;
  if (address != NULL)
    server = helix_stream_server_new (
        &config, &gst_helix_guest_sink_callbacks, self, &error);
  if (server == NULL) {
    gst_helix_post (GST_ELEMENT (self), GST_MESSAGE_ERROR, error);
    return FALSE;
  }
  GST_OBJECT_LOCK (self);
  self->server = server;
  GST_OBJECT_UNLOCK (self);
  return TRUE;
}

static void
stop_server (GstHelixGuestSink *self)
{
  HelixStreamServer *server;

  GST_OBJECT_LOCK (self);
  server = g_steal_pointer (&self->server);
  GST_OBJECT_UNLOCK (self);
  helix_stream_server_free (server);
  g_clear_pointer (&self->annexb, helix_annexb_free);
}

/* Not in GstBaseSink's start (): behind its failure the base class posts an
 * error of its own, which says nothing. */
static GstStateChangeReturn
gst_helix_guest_sink_change_state (
    GstElement *element, GstStateChange transition)
{
  GstHelixGuestSink *self = GST_HELIX_GUEST_SINK (element);
  GstStateChangeReturn ret;

  if (transition == GST_STATE_CHANGE_READY_TO_PAUSED && !start_server (self))
    return GST_STATE_CHANGE_FAILURE;
  ret = GST_ELEMENT_CLASS (gst_helix_guest_sink_parent_class)
            ->change_state (element, transition);
  /* Only now is everything upstream ready to be steered. */
  if (transition == GST_STATE_CHANGE_PAUSED_TO_PLAYING
      && ret != GST_STATE_CHANGE_FAILURE) {
    helix_stream_server_obey (self->server);
    gst_helix_guest_sink_report (self, HELIX_NONE64);
  }
  if (transition == GST_STATE_CHANGE_PAUSED_TO_READY
      || (transition == GST_STATE_CHANGE_READY_TO_PAUSED
          && ret == GST_STATE_CHANGE_FAILURE))
    stop_server (self);
  return ret;
}

static gboolean
gst_helix_guest_sink_unlock (GstBaseSink *base)
{
  helix_stream_server_interrupt (GST_HELIX_GUEST_SINK (base)->server, TRUE);
  return TRUE;
}

static gboolean
gst_helix_guest_sink_unlock_stop (GstBaseSink *base)
{
  helix_stream_server_interrupt (GST_HELIX_GUEST_SINK (base)->server, FALSE);
  return TRUE;
}

static gboolean
gst_helix_guest_sink_set_caps (GstBaseSink *base, GstCaps *caps)
{
  GstHelixGuestSink *self = GST_HELIX_GUEST_SINK (base);
  struct helix_caps wire;
  const gchar *why;

  g_clear_pointer (&self->annexb, helix_annexb_free);
  self->complained = FALSE;
  if (!helix_stream_caps_to_wire (caps, &wire, &why))
    goto refused;
  self->all_key = wire.codec == HELIX_CODEC_JPEG;
  if (wire.codec == HELIX_CODEC_H264 || wire.codec == HELIX_CODEC_H265) {
    self->annexb = helix_annexb_new (caps, &why);
    if (self->annexb == NULL)
      goto refused;
  }
  helix_stream_server_set_caps (self->server, &wire);
  gst_helix_guest_sink_describe (self, &wire);
  return TRUE;

refused:
  GST_ELEMENT_ERROR (self, STREAM, FORMAT,
      ("This stream cannot be sent: %s. Put a parser (h264parse, h265parse) "
       "before helixguestsink.",
          why),
      ("caps %" GST_PTR_FORMAT, caps));
  return FALSE;
}

/* The source may be new, and an encoder that looks ahead gives out nothing that
 * would tell it of us. */
static void
greet (GstHelixGuestSink *self)
{
  self->out_time = HELIX_NONE64;
  gst_helix_guest_sink_report (self, HELIX_NONE64);
}

static gboolean
gst_helix_guest_sink_event (GstBaseSink *base, GstEvent *event)
{
  GstHelixGuestSink *self = GST_HELIX_GUEST_SINK (base);

  if (GST_EVENT_TYPE (event) == GST_EVENT_EOS)
    helix_stream_server_end (self->server, END_TIMEOUT_MS);
  else if (GST_EVENT_TYPE (event) == GST_EVENT_STREAM_START)
    greet (self);
  else if (GST_EVENT_TYPE (event) == GST_EVENT_CUSTOM_DOWNSTREAM_OOB)
    gst_helix_guest_sink_take_cursor (self, event);
  return GST_BASE_SINK_CLASS (gst_helix_guest_sink_parent_class)
      ->event (base, event);
}

/* A unit that cannot go: said once, and its number is skipped, so that the
 * clients know that something is missing. */
static void
complain (GstHelixGuestSink *self, const gchar *why, const gchar *remedy)
{
  helix_stream_server_skip (self->server);
  if (self->complained) {
    GST_LOG_OBJECT (self, "unit dropped: %s", why);
    return;
  }
  self->complained = TRUE;
  GST_ELEMENT_WARNING (self, STREAM, FORMAT,
      ("A unit of the encoder was dropped: %s. %s.", why, remedy), (NULL));
}

/* Running time, which is what encoders leave alone: they add an offset (of
 * 1000 hours) to PTS and to the segment alike. */
static guint64
running_time (GstHelixGuestSink *self, GstClockTime stamp)
{
  const GstSegment *segment = &GST_BASE_SINK (self)->segment;
  guint64 time = 0;

  if (!GST_CLOCK_TIME_IS_VALID (stamp) || segment->format != GST_FORMAT_TIME)
    return HELIX_NONE64;
  switch (gst_segment_to_running_time_full (
      segment, GST_FORMAT_TIME, stamp, &time)) {
    case 1:
      return time;
    case -1:
      return 0; /* the first DTS of a stream with B-frames */
    default:
      return HELIX_NONE64;
  }
}

/* A decoder shows this picture once all that precede it are there. Those that
 * do follow no earlier than by decoding time, so that is as far as all is out.
 */
static void
report (GstHelixGuestSink *self, GstBuffer *buffer)
{
  guint64 pts = running_time (self, GST_BUFFER_PTS (buffer));
  guint64 dts = running_time (self, GST_BUFFER_DTS (buffer));
  guint64 out = MIN (pts, dts); /* HELIX_NONE64: neither */

  if (out == HELIX_NONE64
      || (self->out_time != HELIX_NONE64 && out <= self->out_time))
    return;
  self->out_time = out;
  gst_helix_guest_sink_report (self, out);
}

static void
fill_head (GstHelixGuestSink *self, GstBuffer *buffer, struct helix_unit *head)
{
  const GstReferenceTimestampMeta *capture =
      gst_buffer_get_reference_timestamp_meta (
          buffer, gst_helix_capture_caps ());

  head->dts = running_time (self, GST_BUFFER_DTS (buffer));
  head->running_time = running_time (self, GST_BUFFER_PTS (buffer));
  if (head->running_time == HELIX_NONE64)
    head->running_time = head->dts;
  if (head->running_time == HELIX_NONE64)
    head->running_time = self->last_running_time;
  self->last_running_time = head->running_time;
  head->duration = GST_BUFFER_DURATION_IS_VALID (buffer)
      ? GST_BUFFER_DURATION (buffer)
      : HELIX_NONE64;
  head->capture_ns = capture != NULL ? capture->timestamp : HELIX_NONE64;
  head->sent_ns = helix_now_ns ();
  if (GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_DISCONT))
    head->flags |= HELIX_UNIT_DISCONT;
}

/* When the raw picture went to the encoder, which copied that on. */
static guint64
pushed_time (GstBuffer *buffer)
{
  const GstReferenceTimestampMeta *pushed =
      gst_buffer_get_reference_timestamp_meta (
          buffer, gst_helix_pushed_caps ());

  return pushed != NULL ? pushed->timestamp : HELIX_NONE64;
}

/* The buffer as it goes on the wire, or NULL when there is nothing to send. */
static GstBuffer *
convert (GstHelixGuestSink *self, GstBuffer *buffer, gboolean *key)
{
  GstBuffer *out = NULL;
  const gchar *why;

  *key = self->all_key
      || !GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_DELTA_UNIT);
  if (self->annexb == NULL)
    return gst_buffer_ref (buffer);
  switch (helix_annexb_convert (self->annexb, buffer, &out, key, &why)) {
    case HELIX_ANNEXB_OK:
    case HELIX_ANNEXB_HEADERS:
      break;
    case HELIX_ANNEXB_ORPHAN:
      complain (self, "it is a keyframe, but the encoder gave no SPS and PPS",
          "Put a parser (h264parse, h265parse) before helixguestsink");
      break;
    case HELIX_ANNEXB_BROKEN:
      complain (self, why,
          "Check that the caps say what the encoder makes, or put a parser "
          "(h264parse, h265parse) before helixguestsink");
      break;
  }
  return out;
}

static GstFlowReturn
gst_helix_guest_sink_render (GstBaseSink *base, GstBuffer *buffer)
{
  GstHelixGuestSink *self = GST_HELIX_GUEST_SINK (base);
  struct helix_unit head = {0};
  gboolean key = FALSE;
  GstBuffer *unit = convert (self, buffer, &key);
  gsize size;

  report (self, buffer);
  if (unit == NULL)
    return GST_FLOW_OK;
  size = gst_buffer_get_size (unit);
  if (size > HELIX_MAX_UNIT_BYTES) {
    complain (self, "it has more than 64 MiB", "Lower the bitrate");
  } else if (size > 0) {
    fill_head (self, buffer, &head);
    if (key)
      head.flags |= HELIX_UNIT_KEY;
    helix_stream_server_push (self->server, unit, &head, pushed_time (buffer));
  }
  gst_buffer_unref (unit);
  return GST_FLOW_OK;
}

/* ---- object ---- */

static void
gst_helix_guest_sink_finalize (GObject *object)
{
  GstHelixGuestSink *self = GST_HELIX_GUEST_SINK (object);

  gst_helix_endpoint_clear (&self->endpoint);
  G_OBJECT_CLASS (gst_helix_guest_sink_parent_class)->finalize (object);
}

static void
gst_helix_guest_sink_class_init (GstHelixGuestSinkClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);
  GstBaseSinkClass *base_class = GST_BASE_SINK_CLASS (klass);

  GST_DEBUG_CATEGORY_INIT (
      gst_helix_guest_sink_debug, "helixguestsink", 0, "helixguestsink");
  object_class->finalize = gst_helix_guest_sink_finalize;
  gst_helix_guest_sink_install (object_class);

  gst_element_class_add_static_pad_template (element_class, &sink_template);
  gst_element_class_set_static_metadata (element_class, "Guest video sink",
      "Sink/Network/Video",
      "Serves encoded video to helixsrc inside a virtual machine",
      "The gst-helix developers");
  gst_type_mark_as_plugin_api (GST_TYPE_HELIX_MODE, 0);
  gst_type_mark_as_plugin_api (GST_TYPE_HELIX_RECOVER_POLICY, 0);

  element_class->change_state =
      GST_DEBUG_FUNCPTR (gst_helix_guest_sink_change_state);
  base_class->unlock = GST_DEBUG_FUNCPTR (gst_helix_guest_sink_unlock);
  base_class->unlock_stop =
      GST_DEBUG_FUNCPTR (gst_helix_guest_sink_unlock_stop);
  base_class->set_caps = GST_DEBUG_FUNCPTR (gst_helix_guest_sink_set_caps);
  base_class->event = GST_DEBUG_FUNCPTR (gst_helix_guest_sink_event);
  base_class->render = GST_DEBUG_FUNCPTR (gst_helix_guest_sink_render);
}

static void
gst_helix_guest_sink_init (GstHelixGuestSink *self)
{
  static gint ids = 0; /* atomic */

  self->id = (guint) g_atomic_int_add (&ids, 1);
  gst_helix_guest_sink_init_properties (self);
  gst_base_sink_set_sync (GST_BASE_SINK (self), FALSE);
  gst_base_sink_set_async_enabled (GST_BASE_SINK (self), FALSE);
  gst_base_sink_set_last_sample_enabled (GST_BASE_SINK (self), FALSE);
}

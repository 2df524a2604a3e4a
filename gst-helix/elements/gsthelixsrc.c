/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * SECTION:element-helixsrc
 * @title: helixsrc
 * @short_description: receives encoded video from helixguestsink
 *
 * Receives, inside a virtual machine, the video that the host's
 * #helixguestsink makes of the machine's screen: over TCP (10.0.2.2 is the
 * host on QEMU's user network), a virtio-serial port, vsock or a UNIX socket.
 *
 * Output starts at a keyframe, is alignment=au with parameter sets in band,
 * and is stamped with the time of capture, mapped from the host's clock to
 * the pipeline's. Each buffer has a #GstReferenceTimestampMeta with that time
 * in CLOCK_MONOTONIC of this machine, as far as it is known.
 *
 * The guest decides what it gets: force-key-unit events from downstream reach
 * the host's encoder, and #GstHelixSrc:bitrate, #GstHelixSrc:max-framerate,
 * #GstHelixSrc:scanout and #GstHelixSrc:resource-id are applied there by
 * #helixguestsink and #helixqemusrc. Of several guests the last to ask
 * decides. What the host cannot do is a warning message.
 *
 * Where the host's #helixqemusrc has show-cursor=false, the pointer of the
 * machine is not in the picture, but comes as an out-of-band event downstream
 * and as an element message, both with a structure "GstHelixCursor": scanout,
 * visible, x, y, serial, width, height, hot-x, hot-y and, with a new shape,
 * image (a #GstBuffer of B G R A, premultiplied), also while the picture
 * stands still.
 *
 * As a URI, for playbin3 and all else that plays URIs, it is
 * `helix+tcp://HOST:PORT`, `helix+vsock://CID:PORT`, `helix+serial:PATH` or
 * `helix+stream-unix:PATH`, each with `?PROPERTY=VALUE&...`.
 *
 * ## Example launch line
 * |[
 * gst-launch-1.0 helixsrc ! h264parse ! avdec_h264 ! videoconvert ! autovideosink
 * ]|
 *
 * Since: 0.1
 */
#include "gsthelixelements.h"

#include <gst/video/video.h>

#include "gsthelixendpoint.h"
#include "gsthelixevents.h"
#include "gsthelixfields.h"
#include "gsthelixuri.h"
#include "helix-platform.h"
#include "helix-stream-caps.h"
#include "helix-stream-client.h"
#include "helix-stream-timing.h"

GST_DEBUG_CATEGORY (gst_helix_src_debug);
#define GST_CAT_DEFAULT gst_helix_src_debug

#define STATS_NAME "application/x-helixsrc-stats"

/* An application that reads its bus late or never does not pay for each move
 * of the pointer. */
#define MAX_UNREAD 64

enum {
  PROP_RECONNECT_TIMEOUT = GST_HELIX_ENDPOINT_PROP_OWN,
  PROP_MAX_AGE,
  PROP_BITRATE,
  PROP_MAX_FRAMERATE,
  PROP_SCANOUT,
  PROP_RESOURCE_ID,
  PROP_STATS,
  N_PROPERTIES,
};

struct _GstHelixSrc {
  GstPushSrc parent;

  /* under the object lock */
  GstHelixEndpoint endpoint;
  guint reconnect_timeout;       /* ms */
  guint max_age;                 /* ms */
  struct helix_config requested; /* `fields`: those that were set at all */
  HelixStreamClient *client;     /* from PAUSED on */
  HelixStreamLatency latency;

  gint unread; /* atomic: messages about the pointer that are on the bus */

  /* of the streaming thread */
  HelixStreamTiming timing;
  GstBuffer *owed; /* image that no message carried yet, or NULL, */
  guint owed_serial;
};

G_DEFINE_TYPE_WITH_CODE (GstHelixSrc, gst_helix_src, GST_TYPE_PUSH_SRC,
    G_IMPLEMENT_INTERFACE (GST_TYPE_URI_HANDLER, gst_helix_uri_init));
GST_ELEMENT_REGISTER_DEFINE (
    helixsrc, "helixsrc", GST_RANK_NONE, GST_TYPE_HELIX_SRC);

static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE ("src",
    GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS (HELIX_STREAM_SRC_CAPS));

/* ---- properties ---- */

/* Asks for a field as its property is now, or no longer.
 * Lock: the object lock is held. */
static void
request (GstHelixSrc *self, guint32 field)
{
  struct helix_config *requested = &self->requested, request;
  gboolean dropped;

  dropped = (field == HELIX_CONFIG_BITRATE && requested->bitrate == 0)
      || (field == HELIX_CONFIG_SCANOUT && (gint) requested->scanout < 0);
  requested->fields &= ~field;
  requested->fields |= dropped ? 0 : field;
  request = *requested;
  request.fields &= field;
  if (self->client != NULL)
    helix_stream_client_configure (self->client, &request, dropped ? field : 0);
}

static void
set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  static const guint32 requests[N_PROPERTIES] = {
      [PROP_BITRATE] = HELIX_CONFIG_BITRATE,
      [PROP_MAX_FRAMERATE] = HELIX_CONFIG_RATE,
      [PROP_SCANOUT] = HELIX_CONFIG_SCANOUT,
      [PROP_RESOURCE_ID] = HELIX_CONFIG_RESOURCE,
  };

  GST_OBJECT_LOCK (object);
  gst_helix_field_set (object, id, value, pspec);
  if (requests[id] != 0)
    request (GST_HELIX_SRC (object), requests[id]);
  GST_OBJECT_UNLOCK (object);
}

static void
get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstHelixSrc *self = GST_HELIX_SRC (object);

  if (id != PROP_STATS) {
    gst_helix_field_get (object, id, value, pspec);
    return;
  }
  GST_OBJECT_LOCK (self);
  g_value_take_boxed (value,
      self->client != NULL
          ? helix_stream_client_stats (self->client, STATS_NAME)
          : gst_structure_new_empty (STATS_NAME));
  GST_OBJECT_UNLOCK (self);
}

#define FIELD(name) G_STRUCT_OFFSET (GstHelixSrc, name)

static void
install_connection_properties (GObjectClass *klass)
{
  const GParamFlags writable =
      G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY;

  gst_helix_endpoint_install (klass, FIELD (endpoint), GST_HELIX_MODE_CONNECT,
      "Where the video comes from: " HELIX_ADDRESS_FORMS
      " (default $HELIX_ADDRESS if set)");
  /**
   * GstHelixSrc:reconnect-timeout:
   *
   * How long an outage may last before it is an error, in milliseconds.
   *
   * Since: 0.1
   */
  gst_helix_field_install (klass, PROP_RECONNECT_TIMEOUT,
      FIELD (reconnect_timeout),
      g_param_spec_uint ("reconnect-timeout", "Reconnect timeout",
          "Milliseconds that an outage may last before it is an error (0: no "
          "limit)",
          0, G_MAXUINT, 0, writable));
  /**
   * GstHelixSrc:max-age:
   *
   * How long a unit may wait for an element downstream that takes units too
   * slowly, in milliseconds. Older units are left out up to a keyframe, which
   * helixsrc asks the host for from half of that time on. What the pipeline
   * waits on purpose, its latency, does not count. helixguestsink has a
   * property of that name for units that wait for a slow connection.
   *
   * Since: 0.1
   */
  gst_helix_field_install (klass, PROP_MAX_AGE, FIELD (max_age),
      g_param_spec_uint ("max-age", "Maximum age",
          "Units that wait longer to be taken are left out (ms)",
          HELIX_STREAM_MAX_AGE_MIN_MS, HELIX_STREAM_MAX_AGE_MAX_MS,
          HELIX_STREAM_MAX_AGE_MS, writable));
}

/* Requests to the host. */
static void
install_request_properties (GObjectClass *klass)
{
  const GParamFlags mutable =
      G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING;

  /**
   * GstHelixSrc:bitrate:
   *
   * What the video may take, in bit/s. A helixguestsink with
   * control-encoder=true sets it at its encoder; its signal client-control
   * tells applications.
   *
   * Since: 0.1
   */
  gst_helix_field_install (klass, PROP_BITRATE, FIELD (requested.bitrate),
      g_param_spec_uint ("bitrate", "Bitrate",
          "Bit/s to ask of the host's encoder (0 = do not ask)", 0, G_MAXUINT,
          0, mutable));
  /**
   * GstHelixSrc:max-framerate:
   *
   * Frames per second to ask of the host at most. Nothing is asked before it
   * is set for the first time; 0/1 then asks for no limit.
   *
   * Since: 0.1
   */
  gst_helix_field_install (klass, PROP_MAX_FRAMERATE,
      FIELD (requested.rate_num),
      gst_param_spec_fraction ("max-framerate", "Maximum framerate",
          "Frames per second to ask of the host at most (0/1 = no limit)", 0, 1,
          G_MAXINT, 1, 0, 1, mutable));
  /**
   * GstHelixSrc:scanout:
   *
   * Index of the screen to ask for. -1 leaves to the host what it shows. One
   * that the machine does not have is a warning, and the picture stays as it
   * is.
   *
   * Since: 0.1
   */
  gst_helix_field_install (klass, PROP_SCANOUT, FIELD (requested.scanout),
      g_param_spec_int ("scanout", "Scanout",
          "Index of the scanout (screen) to ask of the host (-1 = do not ask)",
          -1, G_MAXINT, -1, mutable));
  /**
   * GstHelixSrc:resource-id:
   *
   * A virtio-gpu resource to ask for in place of a scanout. Nothing is asked
   * before it is set for the first time; 0 then asks for the scanout again.
   *
   * Since: 0.1
   */
  gst_helix_field_install (klass, PROP_RESOURCE_ID,
      FIELD (requested.resource_id),
      g_param_spec_uint ("resource-id", "Resource id",
          "virtio-gpu resource to ask of the host in place of a scanout (0 = "
          "the scanout)",
          0, G_MAXUINT, 0, mutable));
}

static void
install_properties (GObjectClass *klass)
{
  klass->set_property = set_property;
  klass->get_property = get_property;
  install_connection_properties (klass);
  install_request_properties (klass);
  /**
   * GstHelixSrc:stats:
   *
   * Since PAUSED: address, connected, reconnects, units, bytes, keyframes,
   * lost (sent to others but not to us), skipped (came, but could not be
   * decoded), left-out (came, but became too old: max-age), skips (how often
   * some became so); transit-p50, -p95, -p99 and -max from
   * helixguestsink to here, latency-p50, -p95, -p99 and -max from capture to
   * the source pad, and latency-count, in ns; clock-offset (the host's clock
   * less ours) and clock-offset-error in ns, once known.
   *
   * Since: 0.1
   */
  g_object_class_install_property (klass, PROP_STATS,
      g_param_spec_boxed ("stats", "Statistics",
          "Counters since PAUSED (units, bytes; latencies and clock in ns)",
          GST_TYPE_STRUCTURE, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS));
}

/* ---- states ---- */

static gboolean
start_client (GstElement *element)
{
  GstHelixSrc *self = GST_HELIX_SRC (element);
  const HelixStreamClientConfig config = {
      .reconnect_timeout_ms = self->reconnect_timeout,
      .max_age_ms = self->max_age,
  };
  HelixStreamClient *client =
      gst_helix_endpoint_client (element, &self->endpoint, config);

  if (client == NULL)
    return FALSE;
  helix_stream_timing_clear (&self->timing);
  GST_OBJECT_LOCK (self);
  helix_stream_latency_clear (&self->latency);
  self->client = client;
  helix_stream_client_configure (client, &self->requested, 0);
  GST_OBJECT_UNLOCK (self);
  return TRUE;
}

static void
stop_client (GstElement *element)
{
  GstHelixSrc *self = GST_HELIX_SRC (element);
  HelixStreamClient *client;

  GST_OBJECT_LOCK (self);
  client = g_steal_pointer (&self->client);
  GST_OBJECT_UNLOCK (self);
  helix_stream_client_free (client);
  gst_clear_buffer (&self->owed);
}

static GstStateChangeReturn
gst_helix_src_change_state (GstElement *element, GstStateChange transition)
{
  return gst_helix_endpoint_change_state (element, transition,
      gst_helix_src_parent_class, start_client, stop_client);
}

static gboolean
gst_helix_src_unlock (GstBaseSrc *base)
{
  HelixStreamClient *client = GST_HELIX_SRC (base)->client;

  if (client != NULL)
    helix_stream_client_flush (client, TRUE);
  return TRUE;
}

static gboolean
gst_helix_src_unlock_stop (GstBaseSrc *base)
{
  HelixStreamClient *client = GST_HELIX_SRC (base)->client;

  if (client != NULL)
    helix_stream_client_flush (client, FALSE);
  return TRUE;
}

/* Nothing is known before the other end's CAPS: create () sets them. */
static gboolean
gst_helix_src_negotiate (GstBaseSrc *base)
{
  return TRUE;
}

/* ---- streaming ---- */

static GstFlowReturn
take_caps (GstHelixSrc *self, const struct helix_caps *wire)
{
  GstPad *pad = GST_BASE_SRC_PAD (self);
  g_autoptr (GstCaps) caps = helix_stream_caps_from_wire (wire);
  g_autoptr (GstCaps) current = NULL;

  if (caps == NULL) {
    GST_ELEMENT_ERROR (self, STREAM, CODEC_NOT_FOUND,
        ("The host sends a codec (number %u) that this version does not "
         "know. Use the same version of gst-helix at both ends.",
            wire->codec),
        (NULL));
    return GST_FLOW_ERROR;
  }
  current = gst_pad_get_current_caps (pad);
  if (current != NULL && gst_caps_is_equal (current, caps))
    return GST_FLOW_OK;
  if (!gst_pad_peer_query_accept_caps (pad, caps)) {
    GST_ELEMENT_ERROR (self, STREAM, WRONG_TYPE,
        ("The host sends %s, which the element after helixsrc does not "
         "take. Use the parser of that codec, or another encoder.",
            gst_structure_get_name (gst_caps_get_structure (caps, 0))),
        ("caps %" GST_PTR_FORMAT, caps));
    return GST_FLOW_NOT_NEGOTIATED;
  }
  GST_INFO_OBJECT (self, "caps %" GST_PTR_FORMAT, caps);
  return gst_base_src_set_caps (GST_BASE_SRC (self), caps)
      ? GST_FLOW_OK
      : GST_FLOW_NOT_NEGOTIATED;
}

/* Running time at a moment of the past. */
static GstClockTime
running_time (GstHelixSrc *self, guint64 now, guint64 then)
{
  g_autoptr (GstClock) clock = gst_element_get_clock (GST_ELEMENT (self));
  GstClockTime base = gst_element_get_base_time (GST_ELEMENT (self));
  GstClockTime time = clock != NULL ? gst_clock_get_time (clock) : now;

  time -= MIN (time, now - then);
  return GST_CLOCK_TIME_IS_VALID (base) && time > base ? time - base : 0;
}

/* A sink that waits for the clock must wait for the slowest unit. How late it
 * arrived counts, not when it was taken: that includes the wait itself. */
static void
watch_latency (GstHelixSrc *self, GstClockTime late, guint64 now)
{
  gboolean changed;

  GST_OBJECT_LOCK (self);
  changed = helix_stream_latency_add (&self->latency, late, now);
  GST_OBJECT_UNLOCK (self);
  if (changed)
    gst_element_post_message (
        GST_ELEMENT (self), gst_message_new_latency (GST_OBJECT (self)));
}

static GstBuffer *
take_unit (GstHelixSrc *self, HelixStreamItem *item)
{
  GstBuffer *buffer = g_steal_pointer (&item->buffer);
  guint64 now = helix_now_ns ();
  HelixStreamArrival arrival = {
      .now_monotonic = item->received_ns,
      .now_running = running_time (self, now, item->received_ns),
      .capture = HELIX_NONE64,
      .discont = item->discont,
  };

  if (item->clock_known && item->unit.capture_ns != HELIX_NONE64)
    arrival.capture = item->unit.capture_ns - (guint64) item->clock_offset;
  helix_stream_timing_map (&self->timing, &item->unit, &arrival,
      &GST_BUFFER_PTS (buffer), &GST_BUFFER_DTS (buffer));
  if (item->unit.duration != HELIX_NONE64)
    GST_BUFFER_DURATION (buffer) = item->unit.duration;
  GST_BUFFER_OFFSET (buffer) = item->unit.sequence;
  if (!(item->unit.flags & HELIX_UNIT_KEY))
    GST_BUFFER_FLAG_SET (buffer, GST_BUFFER_FLAG_DELTA_UNIT);
  if (item->discont)
    GST_BUFFER_FLAG_SET (buffer, GST_BUFFER_FLAG_DISCONT);
  if (arrival.capture != HELIX_NONE64) {
    gst_buffer_add_reference_timestamp_meta (buffer, gst_helix_capture_caps (),
        arrival.capture, GST_CLOCK_TIME_NONE);
    helix_stream_client_add_latency (
        self->client, now > arrival.capture ? now - arrival.capture : 0);
  }
  if (item->waited_for)
    watch_latency (self,
        arrival.now_running > GST_BUFFER_PTS (buffer)
            ? arrival.now_running - GST_BUFFER_PTS (buffer)
            : 0,
        item->received_ns);
  return buffer;
}

static void
message_gone (gpointer data, GstMiniObject *message)
{
  /* The message's reference to the element is dropped after this. */
  g_atomic_int_add (&GST_HELIX_SRC (data)->unread, -1);
}

/* Skips cursor moves while MAX_UNREAD messages are queued on the bus; the next
 * one carries the last image. */
static void
post_cursor (
    GstHelixSrc *self, const struct helix_cursor *cursor, GstBuffer *image)
{
  GstMessage *message;

  if (image != NULL) {
    gst_buffer_replace (&self->owed, image);
    self->owed_serial = cursor->serial;
  }
  if (g_atomic_int_get (&self->unread) >= MAX_UNREAD)
    return;
  if (self->owed != NULL && self->owed_serial == cursor->serial)
    image = self->owed;
  message = gst_message_new_element (
      GST_OBJECT (self), gst_helix_cursor_to_structure (cursor, image));
  g_atomic_int_inc (&self->unread);
  gst_mini_object_weak_ref (GST_MINI_OBJECT (message), message_gone, self);
  gst_element_post_message (GST_ELEMENT (self), message);
  gst_clear_buffer (&self->owed);
}

static GstFlowReturn
gst_helix_src_create (GstPushSrc *push, GstBuffer **buffer)
{
  GstHelixSrc *self = GST_HELIX_SRC (push);
  GstFlowReturn flow;

  for (;;) {
    g_autoptr (GError) error = NULL;
    HelixStreamItem item;

    switch (helix_stream_client_next (self->client, &item, &error)) {
      case HELIX_STREAM_CAPS:
        flow = take_caps (self, &item.caps);
        if (flow != GST_FLOW_OK)
          return flow;
        break;
      case HELIX_STREAM_UNIT:
        *buffer = take_unit (self, &item);
        return GST_FLOW_OK;
      case HELIX_STREAM_CURSOR:
        /* For the application and for elements downstream, one of which draws
         * the pointer. */
        post_cursor (self, &item.cursor, item.buffer);
        gst_pad_push_event (GST_BASE_SRC_PAD (self),
            gst_helix_event_new_cursor (&item.cursor, item.buffer));
        gst_clear_buffer (&item.buffer);
        break;
      case HELIX_STREAM_EOS:
        return GST_FLOW_EOS;
      case HELIX_STREAM_WARNING:
        gst_helix_post (GST_ELEMENT (self), GST_MESSAGE_WARNING, error);
        break;
      case HELIX_STREAM_ERROR:
        gst_helix_post (GST_ELEMENT (self), GST_MESSAGE_ERROR, error);
        return GST_FLOW_ERROR;
      case HELIX_STREAM_FLUSHING:
        return GST_FLOW_FLUSHING;
    }
  }
}

/* The sinks hold a picture back on purpose for the latency of the pipeline,
 * which is that of its slowest source and sink. */
static void
follow_latency (GstHelixSrc *self, GstEvent *event)
{
  GstClockTime latency = 0;

  gst_event_parse_latency (event, &latency);
  GST_OBJECT_LOCK (self);
  if (self->client != NULL && GST_CLOCK_TIME_IS_VALID (latency))
    helix_stream_client_set_latency (self->client, latency);
  GST_OBJECT_UNLOCK (self);
}

static gboolean
gst_helix_src_event (GstBaseSrc *base, GstEvent *event)
{
  GstHelixSrc *self = GST_HELIX_SRC (base);

  if (GST_EVENT_TYPE (event) == GST_EVENT_LATENCY)
    follow_latency (self, event);
  if (!gst_video_event_is_force_key_unit (event))
    return GST_BASE_SRC_CLASS (gst_helix_src_parent_class)->event (base, event);
  GST_OBJECT_LOCK (self);
  if (self->client != NULL)
    helix_stream_client_ask_keyframe (self->client);
  GST_OBJECT_UNLOCK (self);
  return TRUE;
}

static gboolean
gst_helix_src_query (GstBaseSrc *base, GstQuery *query)
{
  GstHelixSrc *self = GST_HELIX_SRC (base);
  GstClockTime latency;

  if (GST_QUERY_TYPE (query) != GST_QUERY_LATENCY)
    return GST_BASE_SRC_CLASS (gst_helix_src_parent_class)->query (base, query);
  GST_OBJECT_LOCK (self);
  latency = self->latency.announced;
  GST_OBJECT_UNLOCK (self);
  /* No maximum: what is not taken is left out here when it is too old. */
  gst_query_set_latency (query, TRUE, latency, GST_CLOCK_TIME_NONE);
  return TRUE;
}

/* ---- object ---- */

static void
gst_helix_src_finalize (GObject *object)
{
  gst_helix_fields_clear (object);
  G_OBJECT_CLASS (gst_helix_src_parent_class)->finalize (object);
}

static void
gst_helix_src_class_init (GstHelixSrcClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);
  GstBaseSrcClass *base_class = GST_BASE_SRC_CLASS (klass);

  GST_DEBUG_CATEGORY_INIT (gst_helix_src_debug, "helixsrc", 0, "helixsrc");
  object_class->finalize = gst_helix_src_finalize;
  install_properties (object_class);

  gst_element_class_add_static_pad_template (element_class, &src_template);
  gst_element_class_set_static_metadata (element_class, "Guest video source",
      "Source/Network/Video",
      "Receives encoded video from helixguestsink on the host",
      "The gst-helix developers");
  gst_type_mark_as_plugin_api (GST_TYPE_HELIX_MODE, 0);

  element_class->change_state = GST_DEBUG_FUNCPTR (gst_helix_src_change_state);
  base_class->unlock = GST_DEBUG_FUNCPTR (gst_helix_src_unlock);
  base_class->unlock_stop = GST_DEBUG_FUNCPTR (gst_helix_src_unlock_stop);
  base_class->negotiate = GST_DEBUG_FUNCPTR (gst_helix_src_negotiate);
  base_class->event = GST_DEBUG_FUNCPTR (gst_helix_src_event);
  base_class->query = GST_DEBUG_FUNCPTR (gst_helix_src_query);
  GST_PUSH_SRC_CLASS (klass)->create = GST_DEBUG_FUNCPTR (gst_helix_src_create);
}

static void
gst_helix_src_init (GstHelixSrc *self)
{
  gst_helix_fields_init (G_OBJECT (self));
  gst_base_src_set_live (GST_BASE_SRC (self), TRUE);
  gst_base_src_set_format (GST_BASE_SRC (self), GST_FORMAT_TIME);
}

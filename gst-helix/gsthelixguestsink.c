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
#include "gsthelixguestsink.h"

#include <string.h>

#include <gst/video/video.h>

#include "gsthelixevents.h"
#include "gsthelixmode.h"
#include "helix-address.h"
#include "helix-annexb.h"
#include "helix-platform.h"
#include "helix-stream-caps.h"
#include "helix-stream-server.h"

GST_DEBUG_CATEGORY_STATIC (gst_helix_guest_sink_debug);
#define GST_CAT_DEFAULT gst_helix_guest_sink_debug

#define DEFAULT_ADDRESS "tcp:127.0.0.1:5900"
#define DEFAULT_MODE GST_HELIX_MODE_LISTEN
#define DEFAULT_MAX_CLIENTS 16
#define DEFAULT_RECOVER_POLICY GST_HELIX_RECOVER_POLICY_KEYFRAME

#define STATS_NAME "application/x-helixguestsink-stats"

/* The longest that EOS waits for what clients have not taken yet. */
#define END_TIMEOUT_MS 1000

enum {
  PROP_0,
  PROP_ADDRESS,
  PROP_MODE,
  PROP_TOKEN,
  PROP_MAX_CLIENTS,
  PROP_RECOVER_POLICY,
  PROP_STATS,
  PROP_NUM_CLIENTS,
  N_PROPERTIES,
};

enum {
  SIGNAL_CLIENT_ADDED,
  SIGNAL_CLIENT_REMOVED,
  N_SIGNALS,
};

static GParamSpec *properties[N_PROPERTIES];
static guint signals[N_SIGNALS];

struct _GstHelixGuestSink {
  GstBaseSink parent;

  /* properties, under the object lock */
  gchar *address;
  GstHelixMode mode;
  gchar *token;
  guint max_clients;
  GstHelixRecoverPolicy recover_policy;

  HelixStreamServer *server; /* from PAUSED on; set under the object lock */

  /* of the streaming thread */
  HelixAnnexb *annexb; /* NULL: the codec needs no conversion */
  gboolean all_key;    /* JPEG */
  gboolean complained; /* about the encoder's data, since the last caps */
  guint64 last_running_time;
};

G_DEFINE_TYPE (GstHelixGuestSink, gst_helix_guest_sink, GST_TYPE_BASE_SINK);
GST_ELEMENT_REGISTER_DEFINE (
    helixguestsink, "helixguestsink", GST_RANK_NONE, GST_TYPE_HELIX_GUEST_SINK);

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE ("sink",
    GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS (HELIX_STREAM_SINK_CAPS));

/* ---- callbacks, from the server's thread ---- */

static void
client_added (gpointer user, guint id, const gchar *peer)
{
  GstHelixGuestSink *self = user;

  GST_INFO_OBJECT (self, "client %u: %s", id, peer);
  g_signal_emit (self, signals[SIGNAL_CLIENT_ADDED], 0, id, peer);
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_NUM_CLIENTS]);
}

static void
client_removed (gpointer user, guint id, const gchar *reason)
{
  GstHelixGuestSink *self = user;

  GST_INFO_OBJECT (self, "client %u is gone: %s", id, reason);
  g_signal_emit (self, signals[SIGNAL_CLIENT_REMOVED], 0, id, reason);
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_NUM_CLIENTS]);
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

static void
problem (gpointer user, const GError *error, gboolean fatal)
{
  gst_helix_post (GST_ELEMENT (user),
      fatal ? GST_MESSAGE_ERROR : GST_MESSAGE_WARNING, error);
}

/* ---- element and base sink ---- */

static gboolean
start_server (GstHelixGuestSink *self)
{
  static const HelixStreamServerCallbacks callbacks = {
      .client_added = client_added,
      .client_removed = client_removed,
      .keyframe_wanted = keyframe_wanted,
      .problem = problem,
  };
  HelixStreamServerConfig config = {0};
  g_autoptr (HelixAddress) address = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree gchar *token = NULL;
  HelixStreamServer *server = NULL;

  GST_OBJECT_LOCK (self);
  address = helix_address_parse (self->address, &error);
  token = g_strdup (self->token);
  config.listen = self->mode == GST_HELIX_MODE_LISTEN;
  config.max_clients = self->max_clients;
  config.recover = self->recover_policy == GST_HELIX_RECOVER_POLICY_KEYFRAME;
  GST_OBJECT_UNLOCK (self);

  config.address = address;
  config.token = token;
  self->last_running_time = 0;
  if (address != NULL)
    server = helix_stream_server_new (&config, &callbacks, self, &error);
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
  return TRUE;

refused:
  GST_ELEMENT_ERROR (self, STREAM, FORMAT,
      ("This stream cannot be sent: %s. Put a parser (h264parse, h265parse) "
       "before helixguestsink.",
          why),
      ("caps %" GST_PTR_FORMAT, caps));
  return FALSE;
}

static gboolean
gst_helix_guest_sink_event (GstBaseSink *base, GstEvent *event)
{
  GstHelixGuestSink *self = GST_HELIX_GUEST_SINK (base);

  if (GST_EVENT_TYPE (event) == GST_EVENT_EOS)
    helix_stream_server_end (self->server, END_TIMEOUT_MS);
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

  if (unit == NULL)
    return GST_FLOW_OK;
  size = gst_buffer_get_size (unit);
  if (size > HELIX_MAX_UNIT_BYTES) {
    complain (self, "it has more than 64 MiB", "Lower the bitrate");
  } else if (size > 0) {
    fill_head (self, buffer, &head);
    if (key)
      head.flags |= HELIX_UNIT_KEY;
    helix_stream_server_push (self->server, unit, &head);
  }
  gst_buffer_unref (unit);
  return GST_FLOW_OK;
}

/* ---- object ---- */

static gboolean
is_running (GstHelixGuestSink *self, GParamSpec *pspec)
{
  if (self->server == NULL)
    return FALSE;
  GST_WARNING_OBJECT (
      self, "'%s' is fixed from PAUSED on: ignored", pspec->name);
  return TRUE;
}

static void
gst_helix_guest_sink_set_property (
    GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstHelixGuestSink *self = GST_HELIX_GUEST_SINK (object);

  GST_OBJECT_LOCK (self);
  if (is_running (self, pspec))
    goto done;
  switch (id) {
    case PROP_ADDRESS:
      g_free (self->address);
      self->address = g_value_get_string (value) != NULL
          ? g_value_dup_string (value)
          : gst_helix_default_address (DEFAULT_ADDRESS);
      break;
    case PROP_MODE:
      self->mode = g_value_get_enum (value);
      break;
    case PROP_TOKEN:
      g_free (self->token);
      self->token = g_value_dup_string (value);
      break;
    case PROP_MAX_CLIENTS:
      self->max_clients = g_value_get_uint (value);
      break;
    case PROP_RECOVER_POLICY:
      self->recover_policy = g_value_get_enum (value);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
      break;
  }

done:
  GST_OBJECT_UNLOCK (self);
}

static void
gst_helix_guest_sink_get_property (
    GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstHelixGuestSink *self = GST_HELIX_GUEST_SINK (object);

  GST_OBJECT_LOCK (self);
  switch (id) {
    case PROP_ADDRESS:
      g_value_set_string (value, self->address);
      break;
    case PROP_MODE:
      g_value_set_enum (value, self->mode);
      break;
    case PROP_TOKEN:
      g_value_set_string (value, self->token);
      break;
    case PROP_MAX_CLIENTS:
      g_value_set_uint (value, self->max_clients);
      break;
    case PROP_RECOVER_POLICY:
      g_value_set_enum (value, self->recover_policy);
      break;
    case PROP_STATS:
      g_value_take_boxed (value,
          self->server != NULL
              ? helix_stream_server_stats (self->server, STATS_NAME)
              : gst_structure_new_empty (STATS_NAME));
      break;
    case PROP_NUM_CLIENTS:
      g_value_set_uint (value,
          self->server != NULL ? helix_stream_server_clients (self->server)
                               : 0);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
      break;
  }
  GST_OBJECT_UNLOCK (self);
}

static void
gst_helix_guest_sink_finalize (GObject *object)
{
  GstHelixGuestSink *self = GST_HELIX_GUEST_SINK (object);

  g_free (self->address);
  g_free (self->token);
  G_OBJECT_CLASS (gst_helix_guest_sink_parent_class)->finalize (object);
}

static void
install_properties (GObjectClass *klass)
{
  const GParamFlags writable =
      G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY;

  /**
   * GstHelixGuestSink:address:
   *
   * unix:PATH, tcp:HOST:PORT (default port 5900), vsock:CID:PORT (CID `any`
   * to listen) or serial:PATH. The environment variable HELIX_ADDRESS
   * overrides the default.
   *
   * Since: 0.1
   */
  properties[PROP_ADDRESS] = g_param_spec_string ("address", "Address",
      "Where to serve: " HELIX_ADDRESS_FORMS " (default $HELIX_ADDRESS if set)",
      DEFAULT_ADDRESS, writable | GST_PARAM_DOC_SHOW_DEFAULT);
  /**
   * GstHelixGuestSink:mode:
   *
   * Whether to listen at the address, or to connect to it: to the UNIX socket
   * of a QEMU chardev, for instance, which carries a virtio-serial port.
   *
   * Since: 0.1
   */
  properties[PROP_MODE] = g_param_spec_enum ("mode", "Mode",
      "Whether to listen at the address or to connect to it",
      GST_TYPE_HELIX_MODE, DEFAULT_MODE, writable);
  /**
   * GstHelixGuestSink:token:
   *
   * A secret that clients must have as well. It crosses the wire in clear.
   *
   * Since: 0.1
   */
  properties[PROP_TOKEN] = g_param_spec_string ("token", "Token",
      "Secret of up to 128 bytes that clients must have (NULL: none needed)",
      NULL, writable);
  /**
   * GstHelixGuestSink:max-clients:
   *
   * How many clients are served at once. Further ones are told so.
   *
   * Since: 0.1
   */
  properties[PROP_MAX_CLIENTS] = g_param_spec_uint ("max-clients",
      "Max clients", "Most clients served at once (number)", 1, 1024,
      DEFAULT_MAX_CLIENTS, writable);
  /**
   * GstHelixGuestSink:recover-policy:
   *
   * What happens to a client with 30 units or 8 MiB waiting. Units that
   * were encoded cannot be left out one by one, hence to a keyframe or not
   * at all.
   *
   * Since: 0.1
   */
  properties[PROP_RECOVER_POLICY] =
      g_param_spec_enum ("recover-policy", "Recover policy",
          "What happens to a client with 30 units or 8 MiB waiting",
          GST_TYPE_HELIX_RECOVER_POLICY, DEFAULT_RECOVER_POLICY, writable);
  /**
   * GstHelixGuestSink:stats:
   *
   * Counters since PAUSED: address, num-clients, clients-total, rejected,
   * units, bytes, keyframes, keyframes-requested, units-sent, bytes-sent,
   * units-dropped, and a list `clients` with one structure for each.
   *
   * Since: 0.1
   */
  properties[PROP_STATS] = g_param_spec_boxed ("stats", "Statistics",
      "Counters since PAUSED (units, bytes, clients; latency in ns)",
      GST_TYPE_STRUCTURE, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  /**
   * GstHelixGuestSink:num-clients:
   *
   * How many clients are connected. Notified, from a thread of the element.
   *
   * Since: 0.1
   */
  properties[PROP_NUM_CLIENTS] = g_param_spec_uint ("num-clients",
      "Number of clients", "Clients connected now (number)", 0, G_MAXUINT, 0,
      G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  g_object_class_install_properties (klass, N_PROPERTIES, properties);
}

static void
install_signals (GObjectClass *klass)
{
  /**
   * GstHelixGuestSink::client-added:
   * @self: the sink
   * @id: of the client, never used twice
   * @peer: who that is, for people
   *
   * A client has said hello. Emitted from a thread of the element; handlers
   * must not change its state.
   *
   * Since: 0.1
   */
  signals[SIGNAL_CLIENT_ADDED] = g_signal_new ("client-added",
      G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
      G_TYPE_NONE, 2, G_TYPE_UINT, G_TYPE_STRING);
  /**
   * GstHelixGuestSink::client-removed:
   * @self: the sink
   * @id: of the client
   * @reason: why, for people
   *
   * A client is gone. Emitted from a thread of the element; handlers must not
   * change its state.
   *
   * Since: 0.1
   */
  signals[SIGNAL_CLIENT_REMOVED] = g_signal_new ("client-removed",
      G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
      G_TYPE_NONE, 2, G_TYPE_UINT, G_TYPE_STRING);
}

static void
gst_helix_guest_sink_class_init (GstHelixGuestSinkClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);
  GstBaseSinkClass *base_class = GST_BASE_SINK_CLASS (klass);

  GST_DEBUG_CATEGORY_INIT (
      gst_helix_guest_sink_debug, "helixguestsink", 0, "helixguestsink");
  object_class->set_property = gst_helix_guest_sink_set_property;
  object_class->get_property = gst_helix_guest_sink_get_property;
  object_class->finalize = gst_helix_guest_sink_finalize;
  install_properties (object_class);
  install_signals (object_class);

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
  self->address = gst_helix_default_address (DEFAULT_ADDRESS);
  self->mode = DEFAULT_MODE;
  self->max_clients = DEFAULT_MAX_CLIENTS;
  self->recover_policy = DEFAULT_RECOVER_POLICY;
  gst_base_sink_set_sync (GST_BASE_SINK (self), FALSE);
  gst_base_sink_set_async_enabled (GST_BASE_SINK (self), FALSE);
  gst_base_sink_set_last_sample_enabled (GST_BASE_SINK (self), FALSE);
}

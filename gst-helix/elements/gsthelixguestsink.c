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
 * encoder if #GstHelixGuestSink:control-encoder says so. Each request is the
 * signal #GstHelixGuestSink::client-control, too. The last one wins; of those
 * that come faster than four a second, the newest. All who may connect may
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
#include "gsthelixelements.h"

#include <gst/video/video.h>

#include "gsthelixendpoint.h"
#include "gsthelixevents.h"
#include "gsthelixfields.h"
#include "helix-annexb.h"
#include "helix-encoder.h"
#include "helix-platform.h"
#include "helix-stream-caps.h"
#include "helix-stream-server.h"

GST_DEBUG_CATEGORY (gst_helix_guest_sink_debug);
#define GST_CAT_DEFAULT gst_helix_guest_sink_debug

#define STATS_NAME "application/x-helixguestsink-stats"

#define CONTROL_NAME "application/x-helix-control"

/* The longest that EOS waits for what clients have not taken yet. */
#define END_TIMEOUT_MS 1000

/* SHOW comes as often as a screen changes: a guest whose SHOWs are all refused
 * is told so once in that time. */
#define SHOW_REFUSED_NS GST_SECOND

/* Bits of `warned`; those of the results of helix_encoder_set_bitrate () are
 * 1 << HelixEncoderResult. */
#define WARNED_IGNORED (1u << 29) /* a bitrate that nothing applies */
#define WARNED_CURSOR (1u << 30)  /* a cursor that makes no sense */
#define WARNED_UNIT (1u << 31)    /* a unit that was dropped, since the caps */

enum {
  PROP_MAX_CLIENTS = GST_HELIX_ENDPOINT_PROP_OWN,
  PROP_RECOVER_POLICY,
  PROP_CONTROL_ENCODER,
  PROP_MAX_AGE,
  PROP_INSECURE,
  PROP_STATS,
  PROP_NUM_CLIENTS,
  N_PROPERTIES,
};

enum {
  SIGNAL_CLIENT_ADDED,
  SIGNAL_CLIENT_REMOVED,
  SIGNAL_CLIENT_CONTROL,
  N_SIGNALS,
};

static guint signals[N_SIGNALS];

struct _GstHelixGuestSink {
  GstBaseSink parent;

  /* properties (gsthelixfields.h) */
  GstHelixEndpoint endpoint;
  guint max_clients;
  GstHelixRecoverPolicy recover_policy;
  gboolean control_encoder;
  gboolean insecure;
  guint max_age; /* ms */

  guint id; /* tells it apart from other sinks behind one helixqemusrc */
  HelixStreamServer *server; /* from PAUSED on; set under the object lock */
  guint warned; /* WARNED_*: what was told since then; under the object lock */

  /* of the streaming thread */
  HelixAnnexb *annexb; /* NULL: the codec needs no conversion */
  gboolean all_key;    /* JPEG */
  guint64 last_running_time;
  guint64 out_time; /* all up to this running time is out; NONE: nothing */

  /* of the server's thread */
  guint64 show_refused_ns; /* when a guest was last told so */
};

G_DEFINE_TYPE (GstHelixGuestSink, gst_helix_guest_sink, GST_TYPE_BASE_SINK);
GST_ELEMENT_REGISTER_DEFINE (
    helixguestsink, "helixguestsink", GST_RANK_NONE, GST_TYPE_HELIX_GUEST_SINK);

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE ("sink",
    GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS (HELIX_STREAM_SINK_CAPS));

/* ---- clients: events of the server, in its thread ---- */

static void
clients_changed (
    GstHelixGuestSink *self, guint signal, const HelixStreamServerEvent *event)
{
  GST_INFO_OBJECT (self, "client %u is %s: %s", event->id,
      signal == SIGNAL_CLIENT_ADDED ? "here" : "gone", event->text);
  g_signal_emit (self, signals[signal], 0, event->id, event->text);
  g_object_notify (G_OBJECT (self), "num-clients");
}

static void
keyframe_wanted (GstHelixGuestSink *self)
{
  GstPad *pad = GST_BASE_SINK_PAD (self);

  GST_DEBUG_OBJECT (self, "asking for a keyframe");
  if (!gst_pad_push_event (pad,
          gst_video_event_new_upstream_force_key_unit (
              GST_CLOCK_TIME_NONE, TRUE, 0)))
    GST_DEBUG_OBJECT (self, "no element upstream takes force-key-unit yet");
  gst_pad_push_event (pad, gst_helix_event_new_refresh ());
}

/* Returns: the name of the encoder's factory, or NULL. */
static gchar *
find_encoder_name (GstHelixGuestSink *self)
{
  g_autoptr (GstElement) encoder =
      helix_encoder_find (GST_BASE_SINK_PAD (self));
  GstElementFactory *factory =
      encoder != NULL ? gst_element_get_factory (encoder) : NULL;

  return factory != NULL ? g_strdup (GST_OBJECT_NAME (factory)) : NULL;
}

/* Tells helixqemusrc that everything up to this running time is out of the
 * encoder (NONE64: nothing is yet), so that it knows what to repeat. */
static void
push_output (GstHelixGuestSink *self, guint64 out_time)
{
  GstHelixOutput output = {.sink = self->id, .running_time = out_time};
  g_autofree gchar *name = NULL;

  if (out_time == HELIX_NONE64) /* only the first report has the name */
    name = find_encoder_name (self);
  if (name != NULL)
    g_strlcpy (output.encoder, name, sizeof output.encoder);
  gst_pad_push_event (
      GST_BASE_SINK_PAD (self), gst_helix_event_new_output (&output));
}

/* Whether this was not told before. */
static gboolean
is_first (GstHelixGuestSink *self, guint cause)
{
  gboolean first;

  GST_OBJECT_LOCK (self);
  first = !(self->warned & cause);
  self->warned |= cause;
  GST_OBJECT_UNLOCK (self);
  return first;
}

/* ---- requests of clients ---- */

static void
warn_once (GstHelixGuestSink *self, guint cause, const gchar *text)
{
  if (is_first (self, cause))
    GST_ELEMENT_WARNING (self, RESOURCE, SETTINGS, ("%s", text), (NULL));
}

/* Has helixqemusrc apply those of the request's `fields`. */
static gboolean
push_control (GstHelixGuestSink *self, const HelixStreamServerEvent *event,
    guint32 fields)
{
  struct helix_config control = event->config;

  control.fields &= fields;
  return gst_pad_push_event (
      GST_BASE_SINK_PAD (self), gst_helix_event_new_control (&control));
}

static void
apply_rate (GstHelixGuestSink *self, const HelixStreamServerEvent *event)
{
  /* A request for no limit holds without a pipeline that applies it. */
  if (!push_control (self, event, HELIX_CONFIG_RATE)
      && event->config.rate_num > 0)
    helix_stream_server_refuse (event, HELIX_ERROR_UNSUPPORTED,
        "nothing in the host's pipeline limits the framerate: only "
        "helixqemusrc does");
}

static void
apply_picture (GstHelixGuestSink *self, const HelixStreamServerEvent *event)
{
  const struct helix_config *request = &event->config;
  gboolean resource =
      request->fields & HELIX_CONFIG_RESOURCE && request->resource_id != 0;
  g_autofree gchar *text = NULL;

  if (push_control (
          self, event, HELIX_CONFIG_SCANOUT | HELIX_CONFIG_RESOURCE)) {
    helix_stream_server_want_key (event->server);
    return;
  }
  text = g_strdup_printf ("the host's pipeline cannot show %s %u: either there "
                          "is none, or no helixqemusrc in that pipeline. What "
                          "was shown before still is",
      resource ? "resource" : "scanout",
      resource ? request->resource_id : request->scanout);
  helix_stream_server_refuse (
      event, resource ? HELIX_ERROR_NO_RESOURCE : HELIX_ERROR_NO_SCANOUT, text);
}

static void
apply_bitrate (GstHelixGuestSink *self, const HelixStreamServerEvent *event)
{
  g_autoptr (GstElement) encoder = NULL;
  g_autofree gchar *why = NULL;
  HelixEncoderResult result;
  gboolean enabled;

  GST_OBJECT_LOCK (self);
  enabled = self->control_encoder;
  GST_OBJECT_UNLOCK (self);
  if (!enabled) {
    if (g_signal_has_handler_pending (
            self, signals[SIGNAL_CLIENT_CONTROL], 0, TRUE))
      return;
    warn_once (self, WARNED_IGNORED,
        "A guest asks for another bitrate, and nothing applies it. Set "
        "control-encoder=true, or handle the signal client-control.");
    helix_stream_server_refuse (event, HELIX_ERROR_UNSUPPORTED,
        "the host's pipeline does not apply bitrate: its helixguestsink has "
        "control-encoder=false");
    return;
  }
  encoder = helix_encoder_find (GST_BASE_SINK_PAD (self));
  result = helix_encoder_set_bitrate (encoder, event->config.bitrate, &why);
  if (result != HELIX_ENCODER_DONE)
    warn_once (self, 1u << result, why);
  if (result != HELIX_ENCODER_DONE && result != HELIX_ENCODER_BOUNDED)
    helix_stream_server_refuse (event, HELIX_ERROR_UNSUPPORTED, why);
}

static void
apply (GstHelixGuestSink *self, const HelixStreamServerEvent *event)
{
  g_autoptr (GstStructure) structure =
      gst_helix_config_to_structure (&event->config, CONTROL_NAME);

  GST_INFO_OBJECT (
      self, "client %u requests %" GST_PTR_FORMAT, event->id, structure);
  g_signal_emit (self, signals[SIGNAL_CLIENT_CONTROL], 0, event->id, structure);
  if (event->config.fields & HELIX_CONFIG_RATE)
    apply_rate (self, event);
  if (event->config.fields & (HELIX_CONFIG_SCANOUT | HELIX_CONFIG_RESOURCE))
    apply_picture (self, event);
  if (event->config.fields & HELIX_CONFIG_BITRATE)
    apply_bitrate (self, event);
}

static void
show (GstHelixGuestSink *self, const HelixStreamServerEvent *event)
{
  guint32 resource_id = event->show.resource_id;
  g_autofree gchar *text = NULL;
  guint64 now = helix_now_ns ();

  GST_LOG_OBJECT (self, "client %u shows resource %u", event->id, resource_id);
  if (gst_pad_push_event (GST_BASE_SINK_PAD (self),
          gst_helix_event_new_show (resource_id, event->show.capture_ns)))
    return;
  if (now - self->show_refused_ns < SHOW_REFUSED_NS)
    return;
  self->show_refused_ns = now;
  text = g_strdup_printf (
      "the host's pipeline cannot show resource %u: helixqemusrc is not "
      "connected to the VM, or there is none in that pipeline",
      resource_id);
  helix_stream_server_refuse (event, HELIX_ERROR_NO_RESOURCE, text);
}

/* Thread: the server's. */
static void
on_event (gpointer user, const HelixStreamServerEvent *event)
{
  switch (event->type) {
    case HELIX_STREAM_SERVER_ADDED:
      clients_changed (user, SIGNAL_CLIENT_ADDED, event);
      break;
    case HELIX_STREAM_SERVER_REMOVED:
      clients_changed (user, SIGNAL_CLIENT_REMOVED, event);
      break;
    case HELIX_STREAM_SERVER_KEYFRAME:
      keyframe_wanted (user);
      break;
    case HELIX_STREAM_SERVER_CONFIG:
      apply (user, event);
      break;
    case HELIX_STREAM_SERVER_SHOW:
      show (user, event);
      break;
    case HELIX_STREAM_SERVER_PROBLEM:
      gst_helix_post (user, GST_MESSAGE_WARNING, event->error);
      break;
    case HELIX_STREAM_SERVER_FATAL:
      gst_helix_post (user, GST_MESSAGE_ERROR, event->error);
      break;
  }
}

/* ---- what upstream tells clients beside the stream ---- */

/* A GstHelixCursor event from upstream. Thread: any. */
static void
take_cursor (GstHelixGuestSink *self, GstEvent *event)
{
  struct helix_cursor cursor;
  GstBuffer *image;
  gboolean bad;

  if (!gst_event_has_name (event, "GstHelixCursor"))
    return;
  bad = !gst_helix_cursor_from_structure (
      gst_event_get_structure (event), &cursor, &image);
  cursor.changed_ns = helix_now_ns ();

  /* Such an event overtakes the stream and may come while the element stops:
   * the lock keeps the server. */
  GST_OBJECT_LOCK (self);
  if (!bad && self->server != NULL)
    bad = !helix_stream_server_cursor (self->server, &cursor, image);
  GST_OBJECT_UNLOCK (self);
  if (bad && is_first (self, WARNED_CURSOR))
    GST_ELEMENT_WARNING (self, STREAM, FORMAT,
        ("A cursor from upstream makes no sense and is not passed on: %s.",
            "its shape must be 1 to 256 pixels wide and high, with the hot "
            "spot inside, and B G R A"),
        ("%" GST_PTR_FORMAT, event));
}

/* What is served, for `helix doctor`. Free it. */
static gchar *
describe (GstHelixGuestSink *self, const struct helix_caps *caps)
{
  static const gchar *const codecs[] = {
      "?", "H.264", "H.265", "AV1", "VP8", "VP9", "JPEG"};
  g_autofree gchar *encoder = find_encoder_name (self);

  return g_strdup_printf ("%s, %s%s%s %ux%u",
      encoder != NULL ? encoder : "unknown encoder",
      codecs[caps->codec < G_N_ELEMENTS (codecs) ? caps->codec : 0],
      caps->profile[0] != '\0' ? " " : "", caps->profile, caps->width,
      caps->height);
}

/* ---- properties ---- */

static void
set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GST_OBJECT_LOCK (object);
  gst_helix_field_set (object, id, value, pspec);
  GST_OBJECT_UNLOCK (object);
}

static void
get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstHelixGuestSink *self = GST_HELIX_GUEST_SINK (object);

  if (id != PROP_STATS && id != PROP_NUM_CLIENTS) {
    gst_helix_field_get (object, id, value, pspec);
    return;
  }
  GST_OBJECT_LOCK (self);
  if (id == PROP_STATS)
    g_value_take_boxed (value,
        self->server != NULL
            ? helix_stream_server_stats (self->server, STATS_NAME)
            : gst_structure_new_empty (STATS_NAME));
  else if (self->server != NULL)
    g_value_set_uint (value, helix_stream_server_clients (self->server));
  GST_OBJECT_UNLOCK (self);
}

#define FIELD(name) G_STRUCT_OFFSET (GstHelixGuestSink, name)

static void
install_properties (GObjectClass *klass)
{
  const GParamFlags writable =
      G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY;

  klass->set_property = set_property;
  klass->get_property = get_property;
  gst_helix_endpoint_install (klass, FIELD (endpoint), GST_HELIX_MODE_LISTEN,
      "Where to serve: " HELIX_ADDRESS_FORMS
      " (default $HELIX_ADDRESS if set)");
  /**
   * GstHelixGuestSink:max-clients:
   *
   * How many clients are served at once. Further ones are told so.
   *
   * Since: 0.1
   */
  gst_helix_field_install (klass, PROP_MAX_CLIENTS, FIELD (max_clients),
      g_param_spec_uint ("max-clients", "Max clients",
          "Most clients served at once (number)", 1, 1024, 16, writable));
  /**
   * GstHelixGuestSink:recover-policy:
   *
   * What happens to a client that has not read what is older than
   * #GstHelixGuestSink:max-age, or for which 8 MiB wait. Units that were
   * encoded cannot be left out one by one, hence to a keyframe or not at all.
   *
   * Since: 0.1
   */
  gst_helix_field_install (klass, PROP_RECOVER_POLICY, FIELD (recover_policy),
      g_param_spec_enum ("recover-policy", "Recover policy",
          "What happens to a client that falls behind by max-age",
          GST_TYPE_HELIX_RECOVER_POLICY, GST_HELIX_RECOVER_POLICY_KEYFRAME,
          writable));
  /**
   * GstHelixGuestSink:control-encoder:
   *
   * Whether a bitrate that a guest asks for is set in the encoder upstream, in
   * that encoder's own property and unit, within what the property allows. An
   * encoder whose way is not known, or that bears no change while it plays
   * (vtenc before GStreamer 1.26.1), keeps what it has, and a WARNING says so
   * once.
   *
   * Since: 0.1
   */
  gst_helix_field_install (klass, PROP_CONTROL_ENCODER, FIELD (control_encoder),
      g_param_spec_boolean ("control-encoder", "Control encoder",
          "Set the bitrate that a guest asks for in the encoder upstream",
          FALSE,
          G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS
              | GST_PARAM_MUTABLE_PLAYING));
  /**
   * GstHelixGuestSink:max-age:
   *
   * How long a unit may be under way to a client that takes units too slowly,
   * or whose connection is too slow, in milliseconds: here, in the kernels, in
   * a virtio-serial port. Beyond that #GstHelixGuestSink:recover-policy says
   * what happens. helixsrc has a property of that name for units that its
   * pipeline takes too slowly.
   *
   * Since: 0.1
   */
  gst_helix_field_install (klass, PROP_MAX_AGE, FIELD (max_age),
      g_param_spec_uint ("max-age", "Maximum age",
          "Units that a client has not read for longer are dropped for it (ms)",
          HELIX_STREAM_MAX_AGE_MIN_MS, HELIX_STREAM_MAX_AGE_MAX_MS,
          HELIX_STREAM_MAX_AGE_MS, writable));
  /**
   * GstHelixGuestSink:insecure:
   *
   * Without a token, only this user and root may connect to a loopback address
   * (the kernel names the user of a connection). On another TCP address, and on
   * vsock, the element does not start, since a client sees the screen and
   * steers. insecure=true serves every client that reaches the address. It
   * changes nothing with a token, nor on a UNIX socket: its file has mode 0600.
   *
   * Since: 0.1
   */
  gst_helix_field_install (klass, PROP_INSECURE, FIELD (insecure),
      g_param_spec_boolean ("insecure", "Insecure",
          "Serve other users and other machines without a token, too", FALSE,
          writable));
  /**
   * GstHelixGuestSink:stats:
   *
   * Since PAUSED. Numbers: address, num-clients, num-controllers,
   * clients-total, reconnects, rejected, units (that came in), bytes,
   * keyframes, keyframes-requested, units-sent, bytes-sent, units-dropped
   * (left out for a client that was too far behind or waited for a keyframe).
   * Times in ns, as STAGE-p50, -p95, -p99 and -max: encode (helixqemusrc's
   * source pad to here), latency (capture to here), send (from here until the
   * kernel had the last byte). A list `clients` has one structure for each: id,
   * peer, name, pid, units, bytes, dropped, skips (how often it fell behind),
   * queued-units, queued-bytes, and what it said of itself: received-units,
   * received-bytes, lost, latency.
   *
   * Since: 0.1
   */
  g_object_class_install_property (klass, PROP_STATS,
      g_param_spec_boxed ("stats", "Statistics",
          "Counters and times since PAUSED (units, bytes, clients; ns)",
          GST_TYPE_STRUCTURE, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS));
  /**
   * GstHelixGuestSink:num-clients:
   *
   * How many clients are connected. Notified, from a thread of the element.
   *
   * Since: 0.1
   */
  g_object_class_install_property (klass, PROP_NUM_CLIENTS,
      g_param_spec_uint ("num-clients", "Number of clients",
          "Clients connected now (number)", 0, G_MAXUINT, 0,
          G_PARAM_READABLE | G_PARAM_STATIC_STRINGS));
}

static void
install_signals (GObjectClass *klass)
{
  /**
   * GstHelixGuestSink::client-added:
   * @self: the sink
   * @id: of the client, never used twice
   * @peer: its process or address, for people
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
  /**
   * GstHelixGuestSink::client-control:
   * @self: the sink
   * @id: of the client, or of one that only steers and was not announced
   * @request: "application/x-helix-control" with what is asked for:
   *   `bitrate` (uint, bit/s), `max-framerate` (fraction, 0/1 = no limit),
   *   `scanout` (uint), `resource-id` (uint, 0 = the scanout again)
   *
   * A guest asks something of the host's pipeline. Scanout, resource and
   * framerate go upstream anyway, the bitrate into the encoder with
   * #GstHelixGuestSink:control-encoder: a handler is for whatever else is to
   * happen. Emitted from a thread of the element, at most four times a second
   * for each client; handlers must not change its state.
   *
   * Since: 0.1
   */
  signals[SIGNAL_CLIENT_CONTROL] =
      g_signal_new ("client-control", G_TYPE_FROM_CLASS (klass),
          G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 2, G_TYPE_UINT,
          GST_TYPE_STRUCTURE | G_SIGNAL_TYPE_STATIC_SCOPE);
}

/* ---- states ---- */

static gboolean
start_server (GstElement *element)
{
  GstHelixGuestSink *self = GST_HELIX_GUEST_SINK (element);
  g_autoptr (GError) error = NULL;
  g_autofree gchar *token = NULL;
  g_autoptr (HelixAddress) address =
      gst_helix_endpoint_parse (&self->endpoint, &token, &error);
  const HelixStreamServerConfig config = {
      .address = address,
      .listen = self->endpoint.mode == GST_HELIX_MODE_LISTEN,
      .token = token,
      .max_clients = self->max_clients,
      .recover = self->recover_policy == GST_HELIX_RECOVER_POLICY_KEYFRAME,
      .max_age_ms = self->max_age,
      .insecure = self->insecure,
  };
  HelixStreamServer *server = NULL;

  self->last_running_time = 0;
  self->out_time = HELIX_NONE64;
  self->warned = 0;
  self->show_refused_ns = 0;
  if (address != NULL)
    server = helix_stream_server_new (&config, on_event, self, &error);
  if (server == NULL) {
    gst_helix_post (element, GST_MESSAGE_ERROR, error);
    return FALSE;
  }
  GST_OBJECT_LOCK (self);
  self->server = server;
  GST_OBJECT_UNLOCK (self);
  return TRUE;
}

static void
stop_server (GstElement *element)
{
  GstHelixGuestSink *self = GST_HELIX_GUEST_SINK (element);
  HelixStreamServer *server;

  GST_OBJECT_LOCK (self);
  server = g_steal_pointer (&self->server);
  GST_OBJECT_UNLOCK (self);
  helix_stream_server_free (server);
  g_clear_pointer (&self->annexb, helix_annexb_free);
}

static GstStateChangeReturn
gst_helix_guest_sink_change_state (
    GstElement *element, GstStateChange transition)
{
  GstHelixGuestSink *self = GST_HELIX_GUEST_SINK (element);
  GstStateChangeReturn ret = gst_helix_endpoint_change_state (element,
      transition, gst_helix_guest_sink_parent_class, start_server, stop_server);

  /* Only now is everything upstream ready to be steered. */
  if (transition == GST_STATE_CHANGE_PAUSED_TO_PLAYING
      && ret != GST_STATE_CHANGE_FAILURE) {
    helix_stream_server_apply (self->server);
    push_output (self, HELIX_NONE64);
  }
  return ret;
}

/* ---- the stream ---- */

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
  g_autofree gchar *text = NULL;
  const gchar *why;

  g_clear_pointer (&self->annexb, helix_annexb_free);
  GST_OBJECT_LOCK (self);
  self->warned &= ~WARNED_UNIT;
  GST_OBJECT_UNLOCK (self);
  if (!helix_stream_caps_to_wire (caps, &wire, &why))
    goto refused;
  self->all_key = wire.codec == HELIX_CODEC_JPEG;
  if (wire.codec == HELIX_CODEC_H264 || wire.codec == HELIX_CODEC_H265) {
    self->annexb = helix_annexb_new (caps, &why);
    if (self->annexb == NULL)
      goto refused;
  }
  text = describe (self, &wire);
  helix_stream_server_set_caps (self->server, &wire, text);
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

  switch (GST_EVENT_TYPE (event)) {
    case GST_EVENT_EOS:
      helix_stream_server_end (self->server, END_TIMEOUT_MS);
      break;
    case GST_EVENT_STREAM_START:
      /* The source may be new. An encoder that looks ahead gives out nothing
       * yet, so this is how the source learns of this sink. */
      self->out_time = HELIX_NONE64;
      push_output (self, HELIX_NONE64);
      break;
    case GST_EVENT_CUSTOM_DOWNSTREAM_OOB:
      take_cursor (self, event);
      break;
    default:
      break;
  }
  return GST_BASE_SINK_CLASS (gst_helix_guest_sink_parent_class)
      ->event (base, event);
}

/* A unit that cannot go: said once, and its number is skipped, so that the
 * clients know that something is missing. */
static void
complain (GstHelixGuestSink *self, const gchar *why, const gchar *remedy)
{
  helix_stream_server_skip (self->server);
  GST_LOG_OBJECT (self, "unit dropped: %s", why);
  if (is_first (self, WARNED_UNIT))
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
  push_output (self, out);
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
  gsize size = unit != NULL ? gst_buffer_get_size (unit) : 0;

  if (size > HELIX_MAX_UNIT_BYTES) {
    complain (self, "it has more than 64 MiB", "Lower the bitrate");
  } else if (size > 0) {
    fill_head (self, buffer, &head);
    if (key)
      head.flags |= HELIX_UNIT_KEY;
    helix_stream_server_push (self->server, unit, &head, pushed_time (buffer));
  }
  gst_clear_buffer (&unit);
  report (self, buffer); /* not before the unit has left: it takes its time */
  return GST_FLOW_OK;
}

/* ---- object ---- */

static void
gst_helix_guest_sink_finalize (GObject *object)
{
  gst_helix_fields_clear (object);
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
  static gint ids = 0; /* atomic */

  self->id = (guint) g_atomic_int_add (&ids, 1);
  gst_helix_fields_init (G_OBJECT (self));
  gst_base_sink_set_sync (GST_BASE_SINK (self), FALSE);
  gst_base_sink_set_async_enabled (GST_BASE_SINK (self), FALSE);
  gst_base_sink_set_last_sample_enabled (GST_BASE_SINK (self), FALSE);
}

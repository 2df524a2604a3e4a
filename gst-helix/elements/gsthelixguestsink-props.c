/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gsthelixguestsink-private.h"

#define DEFAULT_ADDRESS HELIX_ADDRESS_DEFAULT_HOST
#define DEFAULT_MODE GST_HELIX_MODE_LISTEN
#define DEFAULT_MAX_CLIENTS 16
#define DEFAULT_RECOVER_POLICY GST_HELIX_RECOVER_POLICY_KEYFRAME
#define DEFAULT_CONTROL_ENCODER FALSE
#define DEFAULT_INSECURE FALSE

#define STATS_NAME "application/x-helixguestsink-stats"

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

static GParamSpec *properties[N_PROPERTIES];
guint gst_helix_guest_sink_signals[GST_HELIX_GUEST_SINK_N_SIGNALS];

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
set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstHelixGuestSink *self = GST_HELIX_GUEST_SINK (object);

  GST_OBJECT_LOCK (self);
  if (id != PROP_CONTROL_ENCODER && is_running (self, pspec))
    goto done;
  if (gst_helix_endpoint_set (&self->endpoint, id, value))
    goto done;
  switch (id) {
    case PROP_MAX_CLIENTS:
      self->max_clients = g_value_get_uint (value);
      break;
    case PROP_RECOVER_POLICY:
      self->recover_policy = g_value_get_enum (value);
      break;
    case PROP_CONTROL_ENCODER:
      self->control_encoder = g_value_get_boolean (value);
      break;
    case PROP_MAX_AGE:
      self->max_age = g_value_get_uint (value);
      break;
    case PROP_INSECURE:
      self->insecure = g_value_get_boolean (value);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
      break;
  }

done:
  GST_OBJECT_UNLOCK (self);
}

static void
get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstHelixGuestSink *self = GST_HELIX_GUEST_SINK (object);

  GST_OBJECT_LOCK (self);
  if (gst_helix_endpoint_get (&self->endpoint, id, value))
    goto done;
  switch (id) {
    case PROP_MAX_CLIENTS:
      g_value_set_uint (value, self->max_clients);
      break;
    case PROP_RECOVER_POLICY:
      g_value_set_enum (value, self->recover_policy);
      break;
    case PROP_CONTROL_ENCODER:
      g_value_set_boolean (value, self->control_encoder);
      break;
    case PROP_MAX_AGE:
      g_value_set_uint (value, self->max_age);
      break;
    case PROP_INSECURE:
      g_value_set_boolean (value, self->insecure);
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

done:
  GST_OBJECT_UNLOCK (self);
}

static void
install_properties (GObjectClass *klass)
{
  const GParamFlags writable =
      G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY;

  /**
   * GstHelixGuestSink:address:
   *
   * unix:PATH, tcp:HOST:PORT (default port 14359), vsock:CID:PORT (CID `any`
   * to listen) or serial:PATH. The environment variable HELIX_ADDRESS
   * overrides the default.
   *
   * Since: 0.1
   */
  properties[GST_HELIX_ENDPOINT_PROP_ADDRESS] = g_param_spec_string ("address",
      "Address",
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
  properties[GST_HELIX_ENDPOINT_PROP_MODE] = g_param_spec_enum ("mode", "Mode",
      "Whether to listen at the address or to connect to it",
      GST_TYPE_HELIX_MODE, DEFAULT_MODE, writable);
  /**
   * GstHelixGuestSink:token:
   *
   * A secret that clients must have as well. Both ends prove that they know
   * it; the secret itself is never sent.
   *
   * Since: 0.1
   */
  properties[GST_HELIX_ENDPOINT_PROP_TOKEN] = g_param_spec_string ("token",
      "Token",
      "Secret of up to 128 bytes that clients must have (NULL: none needed)",
      NULL, writable);
  /**
   * GstHelixGuestSink:token-file:
   *
   * Path of a file whose first line is the token, in place of the token
   * itself: each user of the machine can read a command line. The file is read
   * each time that the element goes from READY to PAUSED. It must belong to
   * this program's user or root, and no other user may read it. To make one:
   * `umask 077; head -c 24 /dev/urandom | base64 > ~/.helix-token`.
   *
   * Since: 0.1
   */
  properties[GST_HELIX_ENDPOINT_PROP_TOKEN_FILE] = g_param_spec_string (
      "token-file", "Token file",
      "Path of a file (mode 0600) whose first line is the token, in place of "
      "it",
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
   * What happens to a client that has not read what is older than
   * #GstHelixGuestSink:max-age, or for which 8 MiB wait. Units that were
   * encoded cannot be left out one by one, hence to a keyframe or not at all.
   *
   * Since: 0.1
   */
  properties[PROP_RECOVER_POLICY] = g_param_spec_enum ("recover-policy",
      "Recover policy", "What happens to a client that falls behind by max-age",
      GST_TYPE_HELIX_RECOVER_POLICY, DEFAULT_RECOVER_POLICY, writable);
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
  properties[PROP_CONTROL_ENCODER] = g_param_spec_boolean ("control-encoder",
      "Control encoder",
      "Set the bitrate that a guest asks for in the encoder upstream",
      DEFAULT_CONTROL_ENCODER,
      G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING);
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
  properties[PROP_MAX_AGE] = g_param_spec_uint ("max-age", "Maximum age",
      "Units that a client has not read for longer are dropped for it (ms)",
      HELIX_STREAM_MAX_AGE_MIN_MS, HELIX_STREAM_MAX_AGE_MAX_MS,
      HELIX_STREAM_MAX_AGE_MS, writable);
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
  properties[PROP_INSECURE] = g_param_spec_boolean ("insecure", "Insecure",
      "Serve other users and other machines without a token, too",
      DEFAULT_INSECURE, writable);
  /**
   * GstHelixGuestSink:stats:
   *
   * Since PAUSED. Numbers: address, num-clients, num-controllers,
   * clients-total, reconnects, rejected, units (that came in), bytes,
   * keyframes, keyframes-requested, units-sent, bytes-sent, units-dropped
   * (that a client did not get). Times in ns, as STAGE-p50, -p95, -p99 and
   * -max: encode (helixqemusrc's source pad to here), latency (capture to
   * here), send (from here until the kernel had the last byte). A list
   * `clients` has one structure for each: id, peer, name, pid, units, bytes,
   * dropped, skips (how often it fell behind), queued-units, queued-bytes,
   * and what it said of itself:
   * received-units, received-bytes, lost, latency.
   *
   * Since: 0.1
   */
  properties[PROP_STATS] = g_param_spec_boxed ("stats", "Statistics",
      "Counters and times since PAUSED (units, bytes, clients; ns)",
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
  gst_helix_guest_sink_signals[GST_HELIX_GUEST_SINK_CLIENT_ADDED] =
      g_signal_new ("client-added", G_TYPE_FROM_CLASS (klass),
          G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 2, G_TYPE_UINT,
          G_TYPE_STRING);
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
  gst_helix_guest_sink_signals[GST_HELIX_GUEST_SINK_CLIENT_REMOVED] =
      g_signal_new ("client-removed", G_TYPE_FROM_CLASS (klass),
          G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 2, G_TYPE_UINT,
          G_TYPE_STRING);
  /**
   * GstHelixGuestSink::client-control:
   * @self: the sink
   * @id: of the client, or of one that only steers and was not announced
   * @wish: "application/x-helix-control" with what is wished: `bitrate` (uint,
   *   bit/s), `max-framerate` (fraction, 0/1 = no limit), `scanout` (uint),
   *   `resource-id` (uint, 0 = the scanout again)
   *
   * A guest wishes something of the host's pipeline. Scanout, resource and
   * framerate go upstream anyway, the bitrate into the encoder with
   * #GstHelixGuestSink:control-encoder: a handler is for whatever else is to
   * happen. Emitted from a thread of the element, at most four times a second
   * for each client; handlers must not change its state.
   *
   * Since: 0.1
   */
  gst_helix_guest_sink_signals[GST_HELIX_GUEST_SINK_CLIENT_CONTROL] =
      g_signal_new ("client-control", G_TYPE_FROM_CLASS (klass),
          G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 2, G_TYPE_UINT,
          GST_TYPE_STRUCTURE | G_SIGNAL_TYPE_STATIC_SCOPE);
}

void
gst_helix_guest_sink_install (GObjectClass *object_class)
{
  object_class->set_property = set_property;
  object_class->get_property = get_property;
  install_properties (object_class);
  install_signals (object_class);
}

void
gst_helix_guest_sink_init_properties (GstHelixGuestSink *self)
{
  gst_helix_endpoint_init (&self->endpoint, DEFAULT_ADDRESS, DEFAULT_MODE);
  self->max_clients = DEFAULT_MAX_CLIENTS;
  self->recover_policy = DEFAULT_RECOVER_POLICY;
  self->control_encoder = DEFAULT_CONTROL_ENCODER;
  self->max_age = HELIX_STREAM_MAX_AGE_MS;
  self->insecure = DEFAULT_INSECURE;
}

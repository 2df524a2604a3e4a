/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gsthelixsrc-private.h"

GST_DEBUG_CATEGORY_EXTERN (gst_helix_src_debug);
#define GST_CAT_DEFAULT gst_helix_src_debug

#define DEFAULT_ADDRESS HELIX_ADDRESS_DEFAULT_GUEST
#define DEFAULT_MODE GST_HELIX_MODE_CONNECT
#define DEFAULT_AUTO_RECONNECT TRUE
#define DEFAULT_RECONNECT_TIMEOUT 0

#define STATS_NAME "application/x-helixsrc-stats"

enum {
  PROP_AUTO_RECONNECT = GST_HELIX_ENDPOINT_PROP_OWN,
  PROP_RECONNECT_TIMEOUT,
  PROP_MAX_AGE,
  PROP_BITRATE,
  PROP_MAX_FRAMERATE,
  PROP_SCANOUT,
  PROP_RESOURCE_ID,
  PROP_STATS,
  N_PROPERTIES,
};

static GParamSpec *properties[N_PROPERTIES];

void
gst_helix_src_init_properties (GstHelixSrc *self)
{
  gst_helix_endpoint_init (&self->endpoint, DEFAULT_ADDRESS, DEFAULT_MODE);
  self->auto_reconnect = DEFAULT_AUTO_RECONNECT;
  self->reconnect_timeout = DEFAULT_RECONNECT_TIMEOUT;
  self->max_age = HELIX_STREAM_MAX_AGE_MS;
  self->wished.rate_den = 1;
}

/* With the object lock: a property that may change at any time. FALSE: it is
 * none of these. */
static gboolean
set_wish (GstHelixSrc *self, guint id, const GValue *value)
{
  struct helix_config *wished = &self->wished;
  struct helix_config wish;
  guint32 field, dropped = 0;

  switch (id) {
    case PROP_BITRATE:
      field = HELIX_CONFIG_BITRATE;
      wished->bitrate = g_value_get_uint (value);
      dropped = wished->bitrate == 0 ? field : 0;
      break;
    case PROP_MAX_FRAMERATE:
      field = HELIX_CONFIG_RATE;
      wished->rate_num = (guint32) gst_value_get_fraction_numerator (value);
      wished->rate_den = (guint32) gst_value_get_fraction_denominator (value);
      break;
    case PROP_SCANOUT:
      field = HELIX_CONFIG_SCANOUT;
      wished->scanout = (guint32) g_value_get_int (value);
      dropped = g_value_get_int (value) < 0 ? field : 0;
      break;
    case PROP_RESOURCE_ID:
      field = HELIX_CONFIG_RESOURCE;
      wished->resource_id = g_value_get_uint (value);
      break;
    default:
      return FALSE;
  }
  wished->fields = (wished->fields | field) & ~dropped;
  wish = *wished;
  wish.fields = field & ~dropped;
  if (self->client != NULL)
    helix_stream_client_configure (self->client, &wish, dropped);
  return TRUE;
}

static void
set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstHelixSrc *self = GST_HELIX_SRC (object);

  GST_OBJECT_LOCK (self);
  if (set_wish (self, id, value))
    goto done;
  if (self->client != NULL) {
    GST_WARNING_OBJECT (
        self, "'%s' is fixed from PAUSED on: ignored", pspec->name);
    goto done;
  }
  if (gst_helix_endpoint_set (&self->endpoint, id, value))
    goto done;
  switch (id) {
    case PROP_AUTO_RECONNECT:
      self->auto_reconnect = g_value_get_boolean (value);
      break;
    case PROP_RECONNECT_TIMEOUT:
      self->reconnect_timeout = g_value_get_uint (value);
      break;
    case PROP_MAX_AGE:
      self->max_age = g_value_get_uint (value);
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
  GstHelixSrc *self = GST_HELIX_SRC (object);
  const struct helix_config *wished = &self->wished;

  GST_OBJECT_LOCK (self);
  if (gst_helix_endpoint_get (&self->endpoint, id, value))
    goto done;
  switch (id) {
    case PROP_AUTO_RECONNECT:
      g_value_set_boolean (value, self->auto_reconnect);
      break;
    case PROP_RECONNECT_TIMEOUT:
      g_value_set_uint (value, self->reconnect_timeout);
      break;
    case PROP_MAX_AGE:
      g_value_set_uint (value, self->max_age);
      break;
    case PROP_BITRATE:
      g_value_set_uint (value, wished->bitrate);
      break;
    case PROP_MAX_FRAMERATE:
      gst_value_set_fraction (
          value, (gint) wished->rate_num, (gint) wished->rate_den);
      break;
    case PROP_SCANOUT:
      g_value_set_int (value,
          wished->fields & HELIX_CONFIG_SCANOUT ? (gint) wished->scanout : -1);
      break;
    case PROP_RESOURCE_ID:
      g_value_set_uint (value, wished->resource_id);
      break;
    case PROP_STATS:
      g_value_take_boxed (value,
          self->client != NULL
              ? helix_stream_client_stats (self->client, STATS_NAME)
              : gst_structure_new_empty (STATS_NAME));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
      break;
  }

done:
  GST_OBJECT_UNLOCK (self);
}

static void
install_connection (void)
{
  const GParamFlags writable =
      G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY;

  /**
   * GstHelixSrc:address:
   *
   * unix:PATH, tcp:HOST:PORT (default port 14359), vsock:CID:PORT (the host's
   * CID is 2) or serial:PATH (/dev/virtio-ports/NAME). The environment
   * variable HELIX_ADDRESS overrides the default.
   *
   * Since: 0.1
   */
  properties[GST_HELIX_ENDPOINT_PROP_ADDRESS] =
      g_param_spec_string ("address", "Address",
          "Where the video comes from: " HELIX_ADDRESS_FORMS
          " (default $HELIX_ADDRESS if set)",
          DEFAULT_ADDRESS, writable | GST_PARAM_DOC_SHOW_DEFAULT);
  /**
   * GstHelixSrc:mode:
   *
   * Whether to connect to the address, or to listen at it for a
   * helixguestsink with mode=connect. Who connects to a loopback address has to
   * be this user or root, unless there is a token.
   *
   * Since: 0.1
   */
  properties[GST_HELIX_ENDPOINT_PROP_MODE] = g_param_spec_enum ("mode", "Mode",
      "Whether to connect to the address or to listen at it",
      GST_TYPE_HELIX_MODE, DEFAULT_MODE, writable);
  /**
   * GstHelixSrc:token:
   *
   * The secret that helixguestsink has. Both ends prove that they know it: the
   * secret itself is never sent, and an other end that does not know it is an
   * error.
   *
   * Since: 0.1
   */
  properties[GST_HELIX_ENDPOINT_PROP_TOKEN] = g_param_spec_string ("token",
      "Token", "Secret of up to 128 bytes that the other end asks for", NULL,
      writable);
  /**
   * GstHelixSrc:token-file:
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
   * GstHelixSrc:auto-reconnect:
   *
   * With TRUE, a missing or lost other end is a warning message, once, and
   * the element tries again until it is back. With FALSE it is an error, and
   * an orderly end is EOS.
   *
   * Since: 0.1
   */
  properties[PROP_AUTO_RECONNECT] = g_param_spec_boolean ("auto-reconnect",
      "Auto reconnect", "Keep trying when the other end is missing or lost",
      DEFAULT_AUTO_RECONNECT, writable);
  /**
   * GstHelixSrc:reconnect-timeout:
   *
   * How long an outage may last before it is an error, in milliseconds.
   *
   * Since: 0.1
   */
  properties[PROP_RECONNECT_TIMEOUT] =
      g_param_spec_uint ("reconnect-timeout", "Reconnect timeout",
          "Milliseconds that an outage may last before it is an error (0: no "
          "limit)",
          0, G_MAXUINT, DEFAULT_RECONNECT_TIMEOUT, writable);
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
  properties[PROP_MAX_AGE] = g_param_spec_uint ("max-age", "Maximum age",
      "Units that wait longer to be taken are left out (ms)",
      HELIX_STREAM_MAX_AGE_MIN_MS, HELIX_STREAM_MAX_AGE_MAX_MS,
      HELIX_STREAM_MAX_AGE_MS, writable);
}

/* What is asked of the host. */
static void
install_wishes (void)
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
  properties[PROP_BITRATE] = g_param_spec_uint ("bitrate", "Bitrate",
      "Bit/s to ask of the host's encoder (0 = do not ask)", 0, G_MAXUINT, 0,
      mutable);
  /**
   * GstHelixSrc:max-framerate:
   *
   * Frames per second to ask of the host at most. Nothing is asked before it
   * is set for the first time; 0/1 then asks for no limit.
   *
   * Since: 0.1
   */
  properties[PROP_MAX_FRAMERATE] =
      gst_param_spec_fraction ("max-framerate", "Maximum framerate",
          "Frames per second to ask of the host at most (0/1 = no limit)", 0, 1,
          G_MAXINT, 1, 0, 1, mutable);
  /**
   * GstHelixSrc:scanout:
   *
   * Index of the screen to ask for. -1 leaves to the host what it shows. One
   * that the machine does not have is a warning, and the picture stays as it
   * is.
   *
   * Since: 0.1
   */
  properties[PROP_SCANOUT] = g_param_spec_int ("scanout", "Scanout",
      "Index of the scanout (screen) to ask of the host (-1 = do not ask)", -1,
      G_MAXINT, -1, mutable);
  /**
   * GstHelixSrc:resource-id:
   *
   * A virtio-gpu resource to ask for in place of a scanout. Nothing is asked
   * before it is set for the first time; 0 then asks for the scanout again.
   *
   * Since: 0.1
   */
  properties[PROP_RESOURCE_ID] = g_param_spec_uint ("resource-id",
      "Resource id",
      "virtio-gpu resource to ask of the host in place of a scanout (0 = the "
      "scanout)",
      0, G_MAXUINT, 0, mutable);
}

void
gst_helix_src_install_properties (GObjectClass *klass)
{
  klass->set_property = set_property;
  klass->get_property = get_property;
  install_connection ();
  install_wishes ();
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
  properties[PROP_STATS] = g_param_spec_boxed ("stats", "Statistics",
      "Counters since PAUSED (units, bytes; latencies and clock in ns)",
      GST_TYPE_STRUCTURE, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  g_object_class_install_properties (klass, N_PROPERTIES, properties);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * SECTION:element-helixresourcesink
 * @title: helixresourcesink
 * @short_description: has the host encode what a guest's DMA-BUFs hold
 *
 * Takes, inside a virtual machine with virtio-gpu, raw video in DMA-BUFs, and
 * has the host's #helixqemusrc show each of them: no pixel is read in the
 * guest, nor sent. For each buffer it finds the virtio-gpu resource that the
 * DMA-BUF is, and tells the host's #helixguestsink its id and when it was
 * captured. #helixsrc, with the same address, gets the video that the host
 * then makes of it.
 *
 * Buffers that are not DMA-BUFs of this virtio-gpu (Mutter's screen cast is
 * in memfds there) cannot be shown so: that is one warning message, and the
 * host is asked for #GstHelixResourceSink:scanout instead.
 *
 * Each buffer goes at once, without waiting for its time. A buffer that has not
 * left when the next comes is skipped.
 *
 * The host reads a buffer a moment after it was told. The sink holds each one
 * until the next comes (`enable-last-sample`). A producer with few buffers that
 * fills them fast may have a later picture shown in the place of an earlier
 * one.
 *
 * ## Example launch line
 * |[
 * gst-launch-1.0 pipewiresrc path=42 ! helixresourcesink
 * ]|
 *
 * Since: 0.1
 */
#include "gsthelixelements.h"

#include <gst/allocators/gstdmabuf.h>
#include <gst/video/video.h>

#include "gsthelixendpoint.h"
#include "gsthelixfields.h"
#include "helix-platform.h"
#include "helix-virtgpu.h"

GST_DEBUG_CATEGORY_STATIC (gst_helix_resource_sink_debug);
#define GST_CAT_DEFAULT gst_helix_resource_sink_debug

#define STATS_NAME "application/x-helixresourcesink-stats"

/* A buffer that is older by its timestamp has a time of something else. */
#define MAX_AGE (10 * GST_SECOND)

enum {
  PROP_SCANOUT = GST_HELIX_ENDPOINT_PROP_OWN,
  PROP_DEVICE,
  PROP_STATS,
  N_PROPERTIES,
};

struct _GstHelixResourceSink {
  GstBaseSink parent;

  /* Lock: the object lock. */
  GstHelixEndpoint endpoint;
  guint scanout;
  gchar *device;
  HelixStreamClient *client; /* from PAUSED on */
  gboolean on_scanout;       /* requested last: the scanout, no resource */
  gboolean failed;           /* an error was posted by the thread */
  guint64 frames, shown, lookups;

  GThread *thread; /* run_client () */

  /* Thread: the streaming thread. */
  HelixVirtgpu *virtgpu; /* from the first DMA-BUF on */
  gboolean warned;
};

G_DEFINE_TYPE (
    GstHelixResourceSink, gst_helix_resource_sink, GST_TYPE_BASE_SINK);
GST_ELEMENT_REGISTER_DEFINE (helixresourcesink, "helixresourcesink",
    GST_RANK_NONE, GST_TYPE_HELIX_RESOURCE_SINK);

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE (
    "sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS ("video/x-raw(ANY)"));

/* ---- the connection ---- */

static gpointer
run_client (gpointer data)
{
  GstHelixResourceSink *self = data;
  gboolean going = TRUE;

  helix_thread_name ("helix-resource");
  while (going) {
    g_autoptr (GError) error = NULL;
    HelixStreamItem item = {.buffer = NULL};

    switch (helix_stream_client_next (self->client, &item, &error)) {
      case HELIX_STREAM_WARNING:
        gst_helix_post (GST_ELEMENT (self), GST_MESSAGE_WARNING, error);
        break;
      case HELIX_STREAM_EOS:
        error = g_error_new (GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_WRITE,
            "The host's helixguestsink has ended. auto-reconnect=true would "
            "wait for the next one.");
        /* fall through */
      case HELIX_STREAM_ERROR:
        /* In this order: upstream's error about our failure, which does not
         * say why, must not come first. */
        gst_helix_post (GST_ELEMENT (self), GST_MESSAGE_ERROR, error);
        GST_OBJECT_LOCK (self);
        self->failed = TRUE;
        GST_OBJECT_UNLOCK (self);
        going = FALSE;
        break;
      case HELIX_STREAM_FLUSHING:
        going = FALSE;
        break;
      case HELIX_STREAM_CAPS:
      case HELIX_STREAM_UNIT:
      case HELIX_STREAM_CURSOR:
        break; /* not for HELIX_ROLE_CONTROL */
    }
    gst_clear_buffer (&item.buffer);
  }
  return NULL;
}

static gboolean
start_client (GstElement *element)
{
  GstHelixResourceSink *self = GST_HELIX_RESOURCE_SINK (element);
  const HelixStreamClientConfig config = {
      .role = HELIX_ROLE_CONTROL,
      .name = "helixresourcesink",
  };
  HelixStreamClient *client =
      gst_helix_endpoint_client (element, &self->endpoint, config);

  if (client == NULL)
    return FALSE;
  self->warned = FALSE;
  GST_OBJECT_LOCK (self);
  self->on_scanout = self->failed = FALSE;
  self->frames = self->shown = self->lookups = 0;
  self->client = client;
  GST_OBJECT_UNLOCK (self);
  self->thread = g_thread_new ("helix-resource", run_client, self);
  return TRUE;
}

static void
stop_client (GstElement *element)
{
  GstHelixResourceSink *self = GST_HELIX_RESOURCE_SINK (element);
  const struct helix_config again = {.fields = HELIX_CONFIG_RESOURCE};
  HelixStreamClient *client;
  gboolean shown;

  helix_stream_client_flush (self->client, TRUE);
  g_clear_pointer (&self->thread, g_thread_join);
  GST_OBJECT_LOCK (self);
  client = g_steal_pointer (&self->client);
  shown = self->shown > 0 && !self->on_scanout;
  GST_OBJECT_UNLOCK (self);
  if (shown)
    /* The guest destroys its resources now: the scanout again. */
    helix_stream_client_configure (client, &again, 0);
  helix_stream_client_free (client);
  g_clear_pointer (&self->virtgpu, helix_virtgpu_free);
}

static GstStateChangeReturn
gst_helix_resource_sink_change_state (
    GstElement *element, GstStateChange transition)
{
  return gst_helix_endpoint_change_state (element, transition,
      gst_helix_resource_sink_parent_class, start_client, stop_client);
}

/* ---- buffers ---- */

/* Lock: the object lock. */
static void
request_scanout (GstHelixResourceSink *self)
{
  const struct helix_config request = {
      .fields = HELIX_CONFIG_SCANOUT | HELIX_CONFIG_RESOURCE,
      .rate_den = 1,
      .scanout = self->scanout};

  self->on_scanout = TRUE;
  helix_stream_client_show (self->client, 0, HELIX_NONE64);
  helix_stream_client_configure (self->client, &request, 0);
}

/* A buffer is no resource: warns once, and requests the scanout once. */
static void
fall_back (GstHelixResourceSink *self, const gchar *why)
{
  guint scanout;

  GST_OBJECT_LOCK (self);
  scanout = self->scanout;
  if (!self->on_scanout)
    request_scanout (self);
  GST_OBJECT_UNLOCK (self);
  if (self->warned) {
    GST_LOG_OBJECT (self, "%s", why);
    return;
  }
  self->warned = TRUE;
  GST_ELEMENT_WARNING (self, RESOURCE, SETTINGS,
      ("%s The host is asked for scanout %u instead.", why, scanout), (NULL));
}

/* When the picture was captured, in CLOCK_MONOTONIC of this machine; NONE64:
 * not known. */
static guint64
capture_time (GstHelixResourceSink *self, GstBuffer *buffer)
{
  const GstReferenceTimestampMeta *meta =
      gst_buffer_get_reference_timestamp_meta (
          buffer, gst_helix_capture_caps ());
  g_autoptr (GstClock) clock = gst_element_get_clock (GST_ELEMENT (self));
  GstClockTime base = gst_element_get_base_time (GST_ELEMENT (self));
  GstClockTime running, due, now;

  if (meta != NULL)
    return meta->timestamp;
  running = gst_segment_to_running_time (
      &GST_BASE_SINK (self)->segment, GST_FORMAT_TIME, GST_BUFFER_PTS (buffer));
  if (clock == NULL || !GST_CLOCK_TIME_IS_VALID (base)
      || !GST_CLOCK_TIME_IS_VALID (running))
    return HELIX_NONE64;
  due = base + running;
  now = gst_clock_get_time (clock);
  if (now < due || now - due > MAX_AGE)
    return HELIX_NONE64;
  return helix_now_ns () - (now - due);
}

/* FALSE: an error was posted. */
static gboolean
show (GstHelixResourceSink *self, GstBuffer *buffer, gint dmabuf)
{
  const struct helix_config nothing = {.fields = 0};
  g_autoptr (GError) error = NULL;
  guint32 id;

  if (self->virtgpu == NULL) {
    self->virtgpu = helix_virtgpu_new (self->device, &error);
    if (self->virtgpu == NULL) {
      gst_helix_post (GST_ELEMENT (self), GST_MESSAGE_ERROR, error);
      return FALSE;
    }
  }
  id = helix_virtgpu_find (self->virtgpu, dmabuf, helix_now_ns (), &error);
  if (id == 0) {
    fall_back (self, error->message);
    return TRUE;
  }
  GST_OBJECT_LOCK (self);
  if (self->on_scanout)
    helix_stream_client_configure (
        self->client, &nothing, HELIX_CONFIG_SCANOUT | HELIX_CONFIG_RESOURCE);
  self->on_scanout = FALSE;
  self->shown++;
  self->lookups = helix_virtgpu_lookups (self->virtgpu);
  GST_OBJECT_UNLOCK (self);
  helix_stream_client_show (self->client, id, capture_time (self, buffer));
  return TRUE;
}

static GstFlowReturn
gst_helix_resource_sink_render (GstBaseSink *base, GstBuffer *buffer)
{
  GstHelixResourceSink *self = GST_HELIX_RESOURCE_SINK (base);
  GstMemory *memory =
      gst_buffer_n_memory (buffer) > 0 ? gst_buffer_peek_memory (buffer, 0) : 0;
  gboolean failed;

  GST_OBJECT_LOCK (self);
  failed = self->failed;
  self->frames++;
  GST_OBJECT_UNLOCK (self);
  if (failed)
    return GST_FLOW_ERROR;
  if (memory != NULL && gst_is_dmabuf_memory (memory))
    return show (self, buffer, gst_dmabuf_memory_get_fd (memory))
        ? GST_FLOW_OK
        : GST_FLOW_ERROR;
  fall_back (self,
      "These buffers are no DMA-BUFs, so no resource of the GPU holds them.");
  return GST_FLOW_OK;
}

static gboolean
gst_helix_resource_sink_propose_allocation (GstBaseSink *base, GstQuery *query)
{
  /* The host knows the layout of its resource. */
  gst_query_add_allocation_meta (query, GST_VIDEO_META_API_TYPE, NULL);
  return TRUE;
}

/* ---- object ---- */

static GstStructure *
get_stats (GstHelixResourceSink *self)
{
  GstStructure *stats = self->client != NULL
      ? helix_stream_client_stats (self->client, STATS_NAME)
      : gst_structure_new_empty (STATS_NAME);

  gst_structure_set (stats, "frames", G_TYPE_UINT64, self->frames, "shown",
      G_TYPE_UINT64, self->shown, "lookups", G_TYPE_UINT64, self->lookups,
      NULL);
  return stats;
}

static void
set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstHelixResourceSink *self = GST_HELIX_RESOURCE_SINK (object);

  GST_OBJECT_LOCK (self);
  gst_helix_field_set (object, id, value, pspec);
  if (id == PROP_SCANOUT && self->client != NULL && self->on_scanout)
    request_scanout (self);
  GST_OBJECT_UNLOCK (self);
}

static void
get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstHelixResourceSink *self = GST_HELIX_RESOURCE_SINK (object);

  if (id != PROP_STATS) {
    gst_helix_field_get (object, id, value, pspec);
    return;
  }
  GST_OBJECT_LOCK (self);
  g_value_take_boxed (value, get_stats (self));
  GST_OBJECT_UNLOCK (self);
}

static void
gst_helix_resource_sink_finalize (GObject *object)
{
  gst_helix_fields_clear (object);
  G_OBJECT_CLASS (gst_helix_resource_sink_parent_class)->finalize (object);
}

#define FIELD(name) G_STRUCT_OFFSET (GstHelixResourceSink, name)

static void
install_properties (GObjectClass *klass)
{
  const GParamFlags writable =
      G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY;

  klass->set_property = set_property;
  klass->get_property = get_property;
  klass->finalize = gst_helix_resource_sink_finalize;
  gst_helix_endpoint_install (klass, FIELD (endpoint), GST_HELIX_MODE_CONNECT,
      "Where helixguestsink is: " HELIX_ADDRESS_FORMS
      " (default $HELIX_ADDRESS if set)");
  /**
   * GstHelixResourceSink:scanout:
   *
   * Index of the screen to ask for while buffers come that are no resource of
   * the GPU.
   *
   * Since: 0.1
   */
  gst_helix_field_install (klass, PROP_SCANOUT, FIELD (scanout),
      g_param_spec_uint ("scanout", "Scanout",
          "Index of the scanout (screen) to show when buffers are no DMA-BUFs "
          "of virtio-gpu",
          0, G_MAXUINT, 0,
          G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS
              | GST_PARAM_MUTABLE_PLAYING));
  /**
   * GstHelixResourceSink:device:
   *
   * The GPU's render node, as /dev/dri/renderD128.
   *
   * Since: 0.1
   */
  gst_helix_field_install (klass, PROP_DEVICE, FIELD (device),
      g_param_spec_string ("device", "Device",
          "Path of the GPU's render node (unset = the first one of virtio-gpu)",
          NULL, writable));
  /**
   * GstHelixResourceSink:stats:
   *
   * Since PAUSED: frames (buffers that came), shown (of them, as resources),
   * lookups (times that the kernel was asked); address, connected,
   * reconnects; clock-offset (the host's clock less ours) and
   * clock-offset-error in ns, once known.
   *
   * Since: 0.1
   */
  g_object_class_install_property (klass, PROP_STATS,
      g_param_spec_boxed ("stats", "Statistics",
          "Counters since PAUSED (buffers; clock in ns)", GST_TYPE_STRUCTURE,
          G_PARAM_READABLE | G_PARAM_STATIC_STRINGS));
}

static void
gst_helix_resource_sink_class_init (GstHelixResourceSinkClass *klass)
{
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);
  GstBaseSinkClass *base_class = GST_BASE_SINK_CLASS (klass);

  GST_DEBUG_CATEGORY_INIT (gst_helix_resource_sink_debug, "helixresourcesink",
      0, "helixresourcesink");
  install_properties (G_OBJECT_CLASS (klass));

  gst_element_class_add_static_pad_template (element_class, &sink_template);
  gst_element_class_set_static_metadata (element_class, "Guest resource sink",
      "Sink/Video", "Has the host show the GPU resources that DMA-BUFs are",
      "The gst-helix developers");

  element_class->change_state =
      GST_DEBUG_FUNCPTR (gst_helix_resource_sink_change_state);
  base_class->render = GST_DEBUG_FUNCPTR (gst_helix_resource_sink_render);
  base_class->propose_allocation =
      GST_DEBUG_FUNCPTR (gst_helix_resource_sink_propose_allocation);
}

static void
gst_helix_resource_sink_init (GstHelixResourceSink *self)
{
  gst_helix_fields_init (G_OBJECT (self));
  gst_base_sink_set_sync (GST_BASE_SINK (self), FALSE);
  gst_base_sink_set_async_enabled (GST_BASE_SINK (self), FALSE);
}

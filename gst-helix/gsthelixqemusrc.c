/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * SECTION:element-helixqemusrc
 * @title: helixqemusrc
 * @short_description: the screen of a virtual machine, from QEMU's helix shim
 *
 * Receives what a guest shows on one of its scanouts, frame by frame as it is
 * drawn, from a QEMU that was started with `-device helix-export,path=...`.
 * Frames come in shared memory, so that nothing is copied on the way.
 *
 * Downstream gets them untouched if it takes BGRx (or BGRA, where the guest
 * has alpha); otherwise the element converts to NV12 or I420 (BT.709, limited
 * range) itself, so encoders need no videoconvert in between. Caps name a
 * framerate (60/1, or #GstHelixQemuSrc:max-framerate) because encoders want
 * one; the timestamps are real and irregular: a still screen sends nothing
 * but the repetitions of #GstHelixQemuSrc:keepalive-time.
 *
 * Each buffer that shows something new carries a #GstReferenceTimestampMeta
 * with caps `timestamp/x-system-monotonic`: the host's CLOCK_MONOTONIC when it
 * was captured. Its offset is the number that the shim gave the frame.
 *
 * Without #GstHelixQemuSrc:socket-path it finds the virtual machine by itself,
 * if just one runs here. It can be named by a URI as well, for playbin3 and
 * all else that plays URIs: `helix+unix:PATH?scanout=0&max-framerate=30/1`
 * (without PATH: the only one that runs).
 *
 * When QEMU is not there yet, or ends, a warning says so once and the element
 * waits for it to come (back), see #GstHelixQemuSrc:auto-reconnect.
 *
 * ## Example launch lines
 * |[
 * gst-launch-1.0 helixqemusrc socket-path=/run/user/1000/helix.sock ! videoconvert ! autovideosink
 * ]| Shows the first screen of a virtual machine in a window.
 * |[
 * gst-launch-1.0 helixqemusrc scanout=1 ! x264enc tune=zerolatency ! h264parse ! matroskamux ! filesink location=screen.mkv
 * ]| Records its second screen.
 *
 * Since: 0.1
 */
#include "gsthelixqemusrc-private.h"

#include <errno.h>
#include <gst/video/video.h>

#include "gsthelixevents.h"
#include "gsthelixmode.h"
#include "gsthelixuri.h"
#include "helix-platform.h"

GST_DEBUG_CATEGORY_STATIC (gst_helix_qemu_src_debug);
#define GST_CAT_DEFAULT gst_helix_qemu_src_debug

G_DEFINE_TYPE_WITH_CODE (GstHelixQemuSrc, gst_helix_qemu_src, GST_TYPE_PUSH_SRC,
    G_IMPLEMENT_INTERFACE (GST_TYPE_URI_HANDLER, gst_helix_uri_init_frames));
/* Rank: whoever plays a URI finds it by the protocol; autovideosrc, which goes
 * by rank, shall not take a VM's screen for a camera. */
GST_ELEMENT_REGISTER_DEFINE (
    helixqemusrc, "helixqemusrc", GST_RANK_NONE, GST_TYPE_HELIX_QEMU_SRC);

static GstStaticPadTemplate src_template =
    GST_STATIC_PAD_TEMPLATE ("src", GST_PAD_SRC, GST_PAD_ALWAYS,
        GST_STATIC_CAPS ("video/x-raw, format = { NV12, I420, BGRx, BGRA }, "
                         "width = [ 1, 16384 ], height = [ 1, 16384 ], "
                         "framerate = " GST_VIDEO_FPS_RANGE));

/* ---- start and stop ---- */

static gboolean
gst_helix_qemu_src_start (GstBaseSrc *src)
{
  GstHelixQemuSrc *self = GST_HELIX_QEMU_SRC (src);
  HelixFrameClientConfig config = {0};
  HelixFrameClient *client;
  HelixFrameWish wish;

  self->shaped = FALSE;
  self->last_pts = GST_CLOCK_TIME_NONE;
  self->reconnects = 0;
  config.name = "helixqemusrc " HELIX_PACKAGE_VERSION;
  GST_OBJECT_LOCK (self);
  memset (&self->counters, 0, sizeof self->counters);
  self->rate_num = self->max_num;
  self->rate_den = self->max_den;
  config.path = self->socket_path;
  config.auto_reconnect = self->auto_reconnect;
  config.reconnect_timeout = self->reconnect_timeout;
  gst_helix_qemu_src_fill_wish (self, &wish);
  client = self->client = helix_frame_client_new (&config, &wish);
  GST_OBJECT_UNLOCK (self);
  if (client == NULL) {
    GST_ELEMENT_ERROR (self, RESOURCE, OPEN_READ_WRITE,
        ("No descriptor for a wake-up can be had. Raise the limit of open "
         "files (ulimit -n)."),
        ("%s", g_strerror (errno)));
    return FALSE;
  }
  return TRUE;
}

static gboolean
gst_helix_qemu_src_stop (GstBaseSrc *src)
{
  GstHelixQemuSrc *self = GST_HELIX_QEMU_SRC (src);
  HelixFrameClient *client;

  GST_OBJECT_LOCK (self);
  client = g_steal_pointer (&self->client);
  GST_OBJECT_UNLOCK (self);
  gst_clear_buffer (&self->last);
  g_clear_pointer (&client, helix_frame_client_free);
  return TRUE;
}

static gboolean
gst_helix_qemu_src_unlock (GstBaseSrc *src)
{
  HelixFrameClient *client = GST_HELIX_QEMU_SRC (src)->client;

  if (client != NULL)
    helix_frame_client_set_flushing (client, TRUE);
  return TRUE;
}

static gboolean
gst_helix_qemu_src_unlock_stop (GstBaseSrc *src)
{
  HelixFrameClient *client = GST_HELIX_QEMU_SRC (src)->client;

  if (client != NULL)
    helix_frame_client_set_flushing (client, FALSE);
  return TRUE;
}

/* ---- negotiation ---- */

/* Downstream may insist on less than we announce: then the shim need not
 * read back more. */
static void
follow_rate (GstHelixQemuSrc *self)
{
  gint num, den;

  GST_OBJECT_LOCK (self);
  num = self->max_num;
  den = self->max_den;
  if (self->info.fps_n > 0) {
    gint own_num = num > 0 ? num : HELIX_NOMINAL_RATE_NUM;
    gint own_den = num > 0 ? den : HELIX_NOMINAL_RATE_DEN;

    if (gst_util_fraction_compare (
            self->info.fps_n, self->info.fps_d, own_num, own_den)
        < 0) {
      num = self->info.fps_n;
      den = self->info.fps_d;
    }
  }
  if (num != self->rate_num || den != self->rate_den) {
    self->rate_num = num;
    self->rate_den = den;
    gst_helix_qemu_src_subscribe (self);
  }
  GST_OBJECT_UNLOCK (self);
}

static gboolean
gst_helix_qemu_src_negotiate (GstBaseSrc *src)
{
  GstHelixQemuSrc *self = GST_HELIX_QEMU_SRC (src);
  GstCaps *ours, *peer, *caps;
  gint max_num, max_den;
  gboolean ok = FALSE;

  /* The first frame tells the size; before it there is nothing to say. */
  if (!self->shaped)
    return TRUE;
  GST_OBJECT_LOCK (self);
  max_num = self->max_num;
  max_den = self->max_den;
  GST_OBJECT_UNLOCK (self);
  ours = gst_pad_get_pad_template_caps (GST_BASE_SRC_PAD (src));
  peer = gst_pad_peer_query_caps (GST_BASE_SRC_PAD (src), ours);
  caps = helix_picture_choose_caps (&self->picture, peer, max_num, max_den);
  if (gst_caps_is_empty (caps)) {
    if (!GST_PAD_IS_FLUSHING (GST_BASE_SRC_PAD (src)))
      GST_ELEMENT_ERROR (self, STREAM, FORMAT,
          ("Downstream takes no picture of %ux%u in NV12, I420, BGRx or BGRA. "
           "Put videoconvert and videoscale behind helixqemusrc.",
              self->picture.width, self->picture.height),
          ("downstream takes %" GST_PTR_FORMAT, peer));
    goto out;
  }
  GST_INFO_OBJECT (self, "chose %" GST_PTR_FORMAT, caps);
  if (!gst_video_info_from_caps (&self->info, caps)
      || !helix_convert_configure (self->convert, &self->picture, &self->info))
    goto out;
  follow_rate (self);
  ok = gst_base_src_set_caps (src, caps);
out:
  gst_caps_unref (ours);
  gst_caps_unref (peer);
  gst_caps_unref (caps);
  return ok;
}

static gboolean
gst_helix_qemu_src_decide_allocation (GstBaseSrc *src, GstQuery *query)
{
  GstHelixQemuSrc *self = GST_HELIX_QEMU_SRC (src);
  GstBufferPool *pool = NULL;
  GstStructure *config;
  guint size = 0, min = 0, max = 0;
  gboolean offered;
  GstCaps *caps;

  gst_query_parse_allocation (query, &caps, NULL);
  if (caps == NULL || !self->shaped)
    return TRUE;
  self->downstream_meta =
      gst_query_find_allocation_meta (query, GST_VIDEO_META_API_TYPE, NULL);
  offered = gst_query_get_n_allocation_pools (query) > 0;
  if (offered)
    gst_query_parse_nth_allocation_pool (query, 0, &pool, &size, &min, &max);
  /* One buffer stays here to be repeated: a pool that cannot spare it would
   * run dry. */
  self->own_pool = pool == NULL || (max != 0 && max < min + 2);
  if (self->own_pool) {
    gst_clear_object (&pool);
    pool = gst_video_buffer_pool_new ();
    max = 0;
  }
  size = MAX (size, (guint) GST_VIDEO_INFO_SIZE (&self->info));
  config = gst_buffer_pool_get_config (pool);
  gst_buffer_pool_config_set_params (config, caps, size, min, max);
  if (self->downstream_meta)
    gst_buffer_pool_config_add_option (
        config, GST_BUFFER_POOL_OPTION_VIDEO_META);
  if (!gst_buffer_pool_set_config (pool, config)) {
    /* It put something acceptable there instead. */
    config = gst_buffer_pool_get_config (pool);
    if (!gst_buffer_pool_config_validate_params (
            config, caps, size, min, max)) {
      gst_structure_free (config);
      gst_object_unref (pool);
      return FALSE;
    }
    gst_buffer_pool_set_config (pool, config);
  }
  if (offered)
    gst_query_set_nth_allocation_pool (query, 0, pool, size, min, max);
  else
    gst_query_add_allocation_pool (query, pool, size, min, max);
  gst_object_unref (pool);
  return GST_BASE_SRC_CLASS (gst_helix_qemu_src_parent_class)
      ->decide_allocation (src, query);
}

/* ---- buffers ---- */

/* Whether downstream may have the slot itself. The last slot that the shim
 * could still fill is never lent: a downstream that keeps all it gets would
 * otherwise end the flow of frames, its own included. */
static gboolean
may_lend (GstHelixQemuSrc *self, const HelixFrame *frame)
{
  return helix_picture_is_native (&self->picture, &self->info)
      && (self->downstream_meta
          || self->picture.stride
              == (guint) GST_VIDEO_INFO_PLANE_STRIDE (&self->info, 0))
      && helix_slot_pool_free_slots (frame->pool) > 0;
}

static GstBuffer *
lend (GstHelixQemuSrc *self, HelixFrame *frame)
{
  GstBuffer *buffer = gst_buffer_new ();
  gsize offset[GST_VIDEO_MAX_PLANES] = {0};
  gint stride[GST_VIDEO_MAX_PLANES] = {(gint) self->picture.stride};

  gst_buffer_append_memory (buffer, helix_frame_steal_memory (frame));
  gst_buffer_add_video_meta_full (buffer, GST_VIDEO_FRAME_FLAG_NONE,
      GST_VIDEO_INFO_FORMAT (&self->info), self->picture.width,
      self->picture.height, 1, offset, stride);
  return buffer;
}

/* A canvas that is out: mapped, so that its bytes stay where they are. */
typedef struct {
  GstBuffer *canvas;
  GstMapInfo map;
} Exposed;

static void
take_back (gpointer data)
{
  Exposed *exposed = data;

  gst_buffer_unmap (exposed->canvas, &exposed->map);
  gst_buffer_unref (exposed->canvas);
  g_free (exposed);
}

/* A buffer that shows the canvas, read-only: whoever wants to write it
 * downstream gets a copy, and the canvas comes back as it left, so that the
 * next conversion only adds what changed. The bytes are wrapped in a memory
 * of their own because a pool throws away a buffer whose memory has another
 * user, and a dying buffer lets go of its metas, a parent buffer among them,
 * before its memories. NULL: the canvas cannot be mapped. */
static GstBuffer *
expose (GstBuffer *canvas)
{
  Exposed *exposed = g_new (Exposed, 1);
  GstBuffer *buffer;

  exposed->canvas = canvas;
  if (!gst_buffer_map (canvas, &exposed->map, GST_MAP_READ)) {
    gst_buffer_unref (canvas);
    g_free (exposed);
    return NULL;
  }
  buffer = gst_buffer_new ();
  gst_buffer_append_memory (buffer,
      gst_memory_new_wrapped (GST_MEMORY_FLAG_READONLY, exposed->map.data,
          exposed->map.size, 0, exposed->map.size, exposed, take_back));
  gst_buffer_copy_into (buffer, canvas, GST_BUFFER_COPY_META, 0, -1);
  return buffer;
}

static GstFlowReturn
convert (GstHelixQemuSrc *self, HelixFrame *frame, GstBuffer **buffer)
{
  GstBufferPool *pool = gst_base_src_get_buffer_pool (GST_BASE_SRC (self));
  guint64 converted = helix_convert_get_bytes (self->convert);
  guint64 begin = helix_now_ns (), end;
  GstFlowReturn flow;

  flow = gst_buffer_pool_acquire_buffer (pool, buffer, NULL);
  gst_object_unref (pool);
  if (flow != GST_FLOW_OK)
    return flow;
  if (!helix_convert_run (self->convert, &self->picture, NULL, &frame->damage,
          *buffer, self->own_pool))
    gst_clear_buffer (buffer);
  else if (self->own_pool)
    *buffer = expose (*buffer);
  if (*buffer == NULL) {
    GST_ELEMENT_ERROR (self, RESOURCE, WRITE,
        ("A buffer of downstream cannot be written."),
        ("%ux%u", self->picture.width, self->picture.height));
    return GST_FLOW_ERROR;
  }
  end = helix_now_ns ();
  GST_OBJECT_LOCK (self);
  self->counters.copied +=
      helix_picture_is_native (&self->picture, &self->info);
  self->counters.convert_ns += end - begin;
  self->counters.converted +=
      helix_convert_get_bytes (self->convert) - converted;
  GST_OBJECT_UNLOCK (self);
  return GST_FLOW_OK;
}

/* The running time of something `age` ns ago, later than any before it. */
static GstClockTime
stamp (GstHelixQemuSrc *self, guint64 age)
{
  GstClock *clock = gst_element_get_clock (GST_ELEMENT (self));
  GstClockTime base = gst_element_get_base_time (GST_ELEMENT (self));
  GstClockTime now = 0, pts;

  if (clock != NULL) {
    now = gst_clock_get_time (clock);
    gst_object_unref (clock);
  }
  pts = now > base + age ? now - base - age : 0;
  if (GST_CLOCK_TIME_IS_VALID (self->last_pts) && pts <= self->last_pts)
    pts = self->last_pts + 1;
  self->last_pts = pts;
  return pts;
}

static void
note_frame (GstHelixQemuSrc *self, const struct helix_frame *info, guint64 age)
{
  GST_OBJECT_LOCK (self);
  self->counters.frames++;
  self->counters.latency_ns = age;
  self->counters.sequence = info->sequence;
  self->counters.generation = info->generation;
  self->counters.width = info->width;
  self->counters.height = info->height;
  GST_OBJECT_UNLOCK (self);
}

/* A new picture as a buffer; gives the frame's slot back, or lends it. */
static GstFlowReturn
take_frame (GstHelixQemuSrc *self, HelixFrame *frame, GstBuffer **buffer)
{
  const struct helix_frame info = frame->info;
  GstFlowReturn flow = GST_FLOW_OK;
  HelixPicture picture;
  HelixFrameClientStats stats;
  guint64 now, age;

  helix_picture_from_frame (&picture, frame);
  if (!self->shaped || !helix_picture_same_shape (&picture, &self->picture)) {
    self->picture = picture;
    self->shaped = TRUE;
    gst_clear_buffer (&self->last);
    if (!gst_base_src_negotiate (GST_BASE_SRC (self))) {
      self->shaped = FALSE; /* once more with the next frame */
      flow = GST_PAD_IS_FLUSHING (GST_BASE_SRC_PAD (self))
          ? GST_FLOW_FLUSHING
          : GST_FLOW_NOT_NEGOTIATED;
      goto out;
    }
  }
  self->picture = picture;
  if (may_lend (self, frame)) {
    helix_convert_skip (self->convert, &frame->damage);
    *buffer = lend (self, frame);
  } else {
    flow = convert (self, frame, buffer);
  }
  if (flow != GST_FLOW_OK)
    goto out;

  now = helix_now_ns ();
  age = now > info.capture_ns ? now - info.capture_ns : 0;
  GST_BUFFER_PTS (*buffer) = stamp (self, age);
  GST_BUFFER_OFFSET (*buffer) = info.sequence;
  gst_buffer_add_reference_timestamp_meta (
      *buffer, gst_helix_capture_caps (), info.capture_ns, GST_CLOCK_TIME_NONE);
  helix_frame_client_get_stats (self->client, &stats);
  if (stats.reconnects != self->reconnects)
    GST_BUFFER_FLAG_SET (*buffer, GST_BUFFER_FLAG_DISCONT);
  self->reconnects = stats.reconnects;
  note_frame (self, &info, age);
out:
  helix_frame_clear (frame);
  return flow;
}

/* The last picture once more. It was not captured now, so it says nothing of
 * when it was. */
static GstBuffer *
repeat (GstHelixQemuSrc *self)
{
  GstBuffer *buffer = gst_buffer_copy (self->last);
  GstReferenceTimestampMeta *meta;

  meta = gst_buffer_get_reference_timestamp_meta (
      buffer, gst_helix_capture_caps ());
  if (meta != NULL)
    gst_buffer_remove_meta (buffer, (GstMeta *) meta);
  /* Keeps the memory from going back to its pool while this is under way. */
  gst_buffer_add_parent_buffer_meta (buffer, self->last);
  GST_BUFFER_FLAG_UNSET (buffer, GST_BUFFER_FLAG_DISCONT);
  GST_BUFFER_PTS (buffer) = stamp (self, 0);
  GST_OBJECT_LOCK (self);
  self->counters.repeated++;
  GST_OBJECT_UNLOCK (self);
  return buffer;
}

static GstFlowReturn
gst_helix_qemu_src_create (GstPushSrc *src, GstBuffer **buffer)
{
  GstHelixQemuSrc *self = GST_HELIX_QEMU_SRC (src);
  guint64 keepalive, deadline;
  HelixFrame frame;
  GError *error = NULL;
  GstFlowReturn flow = GST_FLOW_CUSTOM_SUCCESS;

  *buffer = NULL;
  while (flow == GST_FLOW_CUSTOM_SUCCESS) {
    GST_OBJECT_LOCK (self);
    keepalive = self->keepalive_time * GST_MSECOND;
    GST_OBJECT_UNLOCK (self);
    deadline = keepalive != 0 && self->last != NULL
        ? self->pushed_ns + keepalive
        : HELIX_NONE64;
    switch (helix_frame_client_next (self->client, deadline, &frame, &error)) {
      case HELIX_CLIENT_FRAME:
        flow = take_frame (self, &frame, buffer);
        if (flow == GST_FLOW_OK)
          gst_buffer_replace (&self->last, *buffer);
        break;
      case HELIX_CLIENT_TIMEOUT:
        if (self->last == NULL) /* asked for before there was any */
          break;
        *buffer = repeat (self);
        flow = GST_FLOW_OK;
        break;
      case HELIX_CLIENT_FLUSHING:
        flow = GST_FLOW_FLUSHING;
        break;
      case HELIX_CLIENT_WARNING:
        gst_helix_post (GST_ELEMENT (self), GST_MESSAGE_WARNING, error);
        g_clear_error (&error);
        break;
      case HELIX_CLIENT_EOS:
        GST_INFO_OBJECT (self, "%s", error->message);
        g_clear_error (&error);
        flow = GST_FLOW_EOS;
        break;
      case HELIX_CLIENT_ERROR:
        gst_helix_post (GST_ELEMENT (self), GST_MESSAGE_ERROR, error);
        g_clear_error (&error);
        flow = GST_FLOW_ERROR;
        break;
    }
  }
  self->pushed_ns = helix_now_ns ();
  return flow;
}

/* ---- queries ---- */

static gboolean
gst_helix_qemu_src_query (GstBaseSrc *src, GstQuery *query)
{
  if (GST_QUERY_TYPE (query) != GST_QUERY_LATENCY)
    return GST_BASE_SRC_CLASS (gst_helix_qemu_src_parent_class)
        ->query (src, query);
  /* Timestamps tell when a picture was captured; it is here less than a frame
   * later. How late it is taken has no bound: the newest picture waits. */
  gst_query_set_latency (query, TRUE,
      gst_util_uint64_scale_int (
          GST_SECOND, HELIX_NOMINAL_RATE_DEN, HELIX_NOMINAL_RATE_NUM),
      GST_CLOCK_TIME_NONE);
  return TRUE;
}

static gboolean
gst_helix_qemu_src_event (GstBaseSrc *src, GstEvent *event)
{
  GstHelixQemuSrc *self = GST_HELIX_QEMU_SRC (src);

  if (!gst_helix_event_is_refresh (event))
    return GST_BASE_SRC_CLASS (gst_helix_qemu_src_parent_class)
        ->event (src, event);
  GST_OBJECT_LOCK (self);
  if (self->client != NULL)
    helix_frame_client_poke (self->client);
  GST_OBJECT_UNLOCK (self);
  return TRUE;
}

static gboolean
gst_helix_qemu_src_is_seekable (GstBaseSrc *src)
{
  return FALSE;
}

/* ---- the class ---- */

static void
gst_helix_qemu_src_finalize (GObject *object)
{
  GstHelixQemuSrc *self = GST_HELIX_QEMU_SRC (object);

  g_free (self->socket_path);
  helix_convert_free (self->convert);
  G_OBJECT_CLASS (gst_helix_qemu_src_parent_class)->finalize (object);
}

static void
gst_helix_qemu_src_class_init (GstHelixQemuSrcClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);
  GstBaseSrcClass *base_class = GST_BASE_SRC_CLASS (klass);
  GstPushSrcClass *push_class = GST_PUSH_SRC_CLASS (klass);

  object_class->finalize = gst_helix_qemu_src_finalize;
  gst_helix_qemu_src_install_properties (object_class);

  gst_element_class_add_static_pad_template (element_class, &src_template);
  gst_element_class_set_static_metadata (element_class, "QEMU screen source",
      "Source/Video",
      "Receives the screen of a virtual machine from QEMU's helix shim",
      "The gst-helix developers");

  base_class->start = GST_DEBUG_FUNCPTR (gst_helix_qemu_src_start);
  base_class->stop = GST_DEBUG_FUNCPTR (gst_helix_qemu_src_stop);
  base_class->unlock = GST_DEBUG_FUNCPTR (gst_helix_qemu_src_unlock);
  base_class->unlock_stop = GST_DEBUG_FUNCPTR (gst_helix_qemu_src_unlock_stop);
  base_class->negotiate = GST_DEBUG_FUNCPTR (gst_helix_qemu_src_negotiate);
  base_class->decide_allocation =
      GST_DEBUG_FUNCPTR (gst_helix_qemu_src_decide_allocation);
  base_class->event = GST_DEBUG_FUNCPTR (gst_helix_qemu_src_event);
  base_class->query = GST_DEBUG_FUNCPTR (gst_helix_qemu_src_query);
  base_class->is_seekable = GST_DEBUG_FUNCPTR (gst_helix_qemu_src_is_seekable);
  push_class->create = GST_DEBUG_FUNCPTR (gst_helix_qemu_src_create);

  GST_DEBUG_CATEGORY_INIT (
      gst_helix_qemu_src_debug, "helixqemusrc", 0, "QEMU screen source");
}

static void
gst_helix_qemu_src_init (GstHelixQemuSrc *self)
{
  GstBaseSrc *src = GST_BASE_SRC (self);

  gst_helix_qemu_src_init_properties (self);
  self->convert = helix_convert_new ();
  gst_base_src_set_live (src, TRUE);
  gst_base_src_set_format (src, GST_FORMAT_TIME);
}

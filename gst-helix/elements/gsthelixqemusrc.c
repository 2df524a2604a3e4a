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
 * framerate, #GstHelixQemuSrc:max-framerate, because encoders want one; the
 * timestamps are real and irregular: a still screen sends nothing but
 * repetitions.
 *
 * Repetitions are for encoders, which may hold pictures back until they get
 * more. A #helixguestsink reports what has come out (upstream event
 * `GstHelixOutput`): the last picture is repeated until it is out, then nothing
 * is sent. An encoder with a look-ahead of 45 pictures so shows each change
 * after 0.75 s; one that is set up for low latency (x264enc tune=zerolatency)
 * needs no repetition. Without such a report #GstHelixQemuSrc:keepalive-time
 * counts.
 *
 * NV12 and I420 have an even width and height of 16 pixels at least, because
 * encoders need that and the guest may choose any size. What is added is on the
 * right and at the bottom, and repeats the last column and row of the screen:
 * no pixel is lost, and coordinates stay. BGRx and BGRA have exactly the size
 * of the screen.
 *
 * A size that downstream does not take is a warning, not an error: nothing new
 * is shown until the guest changes its mode. Caps behind the element set the
 * limits of an encoder that does not tell them, for example
 * `video/x-raw,width=[16,4096],height=[16,2304]`. What cannot go on with
 * another size needs `videoscale` and caps of one size before it. H.264 goes
 * into a file as `stream-format=avc3`, which keeps the parameters of each mode;
 * with `avc`, matroskamux ends the pipeline at the first change of mode, and
 * mp4mux writes pictures that cannot be decoded.
 *
 * When a screen is off a message of type INFO says so, and what is shown then
 * is up to #GstHelixQemuSrc:when-off.
 *
 * The fourth byte of BGRx means nothing. It is 255 where the element writes the
 * pixels. Where the pixels of the screen are passed on it is what the guest
 * left there (0 on the screen of UEFI), and videoconvert (GStreamer 1.22) makes
 * alpha of it. For an opaque PNG use `helix snapshot`, or a format without that
 * byte: `videoconvert ! video/x-raw,format=RGB ! pngenc`.
 *
 * Each buffer that shows something new carries a #GstReferenceTimestampMeta
 * with caps `timestamp/x-system-monotonic`: the host's CLOCK_MONOTONIC when it
 * was captured. Its offset is the number that the shim gave the frame. Another
 * such meta, with caps `timestamp/x-helix-pushed`, says when the buffer left.
 *
 * The guest is in control: upstream events `GstHelixControl` (what to show, how
 * often), `GstHelixShow` (a resource, now) and `GstHelixRefresh` (the last
 * picture again), which helixguestsink sends, are obeyed while playing. A wish
 * that cannot be met is a warning, and the picture before it goes on. The
 * cursor goes downstream as `GstHelixCursor` event, out of band, unless
 * #GstHelixQemuSrc:show-cursor draws it into the picture.
 *
 * Without #GstHelixQemuSrc:socket-path it finds the virtual machine by itself,
 * if just one runs here. A message of type INFO says which one it took, and in
 * which folder that was found; when it takes another one later, a WARNING does.
 * It can be named by a URI as well, for playbin3 and all else that plays URIs:
 * `helix+unix:PATH?scanout=0&max-framerate=30/1` (without PATH: the only one
 * that runs).
 *
 * A socket that another user serves is not spoken to, unless
 * #GstHelixQemuSrc:server-user names that user.
 *
 * When QEMU is not there yet, or ends, a warning says so once and the element
 * waits for it to come (back), see #GstHelixQemuSrc:auto-reconnect.
 *
 * ## Example launch lines
 * |[
 * gst-launch-1.0 helixqemusrc socket-path=/run/user/1000/helix.sock ! videoconvert ! autovideosink
 * ]| Shows the first screen of a virtual machine in a window.
 * |[
 * gst-launch-1.0 -e helixqemusrc scanout=1 ! x264enc tune=zerolatency ! h264parse ! video/x-h264,stream-format=avc3 ! matroskamux ! filesink location=screen.mkv
 * ]| Records its second screen.
 *
 * Since: 0.1
 */
#include "gsthelixqemusrc-private.h"

#include <errno.h>
#include <gst/video/video.h>

#include "gsthelixmode.h"
#include "gsthelixuri.h"
#include "helix-platform.h"
#include "helix-server-user.h"

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
find_server_user (GstHelixQemuSrc *self, uid_t *uid)
{
  GError *error = NULL;
  gchar *user;
  gboolean ok;

  GST_OBJECT_LOCK (self);
  user = g_strdup (self->server_user);
  GST_OBJECT_UNLOCK (self);
  ok = helix_server_user_parse (user, uid, &error);
  if (!ok)
    gst_helix_post (GST_ELEMENT (self), GST_MESSAGE_ERROR, error);
  g_clear_error (&error);
  g_free (user);
  return ok;
}

static gboolean
gst_helix_qemu_src_start (GstBaseSrc *src)
{
  GstHelixQemuSrc *self = GST_HELIX_QEMU_SRC (src);
  HelixFrameClientConfig config = {0};
  HelixFrameClient *client;
  HelixFrameWish wish;

  if (!find_server_user (self, &config.server_uid))
    return FALSE;
  self->shaped = FALSE;
  self->last_pts = GST_CLOCK_TIME_NONE;
  self->breaks = 0;
  self->cursor_moved = FALSE;
  self->warned_ns = 0;
  gst_helix_qemu_src_take_dark (self);
  config.name = "helixqemusrc " HELIX_PACKAGE_VERSION;
  GST_OBJECT_LOCK (self);
  memset (&self->counters, 0, sizeof self->counters);
  gst_helix_holdback_reset (&self->holdback);
  self->refresh = FALSE;
  gst_helix_qemu_src_get_limit (self, &self->rate_num, &self->rate_den);
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
  g_clear_pointer (&self->still, gst_memory_unref);
  helix_cursor_clear (&self->cursor);
  memset (&self->cursor.info, 0, sizeof self->cursor.info);
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

/* In PAUSED nobody reads what the shim sends. */
static void
set_paused (GstHelixQemuSrc *self, gboolean paused)
{
  GST_OBJECT_LOCK (self);
  if (self->client != NULL)
    helix_frame_client_set_paused (self->client, paused);
  GST_OBJECT_UNLOCK (self);
}

static GstStateChangeReturn
gst_helix_qemu_src_change_state (GstElement *element, GstStateChange transition)
{
  GstHelixQemuSrc *self = GST_HELIX_QEMU_SRC (element);
  GstStateChangeReturn ret;

  if (transition == GST_STATE_CHANGE_PAUSED_TO_PLAYING)
    set_paused (self, FALSE);
  ret = GST_ELEMENT_CLASS (gst_helix_qemu_src_parent_class)
            ->change_state (element, transition);
  if (transition == GST_STATE_CHANGE_PLAYING_TO_PAUSED)
    set_paused (self, TRUE);
  return ret;
}

/* ---- negotiation ---- */

/* Downstream may insist on less than we announce: then the shim need not
 * read back more. */
static void
follow_rate (GstHelixQemuSrc *self)
{
  gint num, den;

  GST_OBJECT_LOCK (self);
  gst_helix_qemu_src_get_limit (self, &num, &den);
  if (self->info.fps_n > 0
      && gst_util_fraction_compare (
             self->info.fps_n, self->info.fps_d, num, den)
          < 0) {
    num = self->info.fps_n;
    den = self->info.fps_d;
  }
  if (num != self->rate_num || den != self->rate_den) {
    self->rate_num = num;
    self->rate_den = den;
    gst_helix_qemu_src_subscribe (self, TRUE);
  }
  GST_OBJECT_UNLOCK (self);
}

/* Downstream takes something else from here on: the last picture is not that,
 * and a still screen would bring no other. */
static void
renew_last (GstHelixQemuSrc *self, const GstVideoInfo *before)
{
  GstVideoInfo now = self->info;

  now.fps_n = before->fps_n; /* which a picture does not have */
  now.fps_d = before->fps_d;
  if (self->last == NULL || gst_video_info_is_equal (before, &now))
    return;
  gst_clear_buffer (&self->last);
  self->dark = FALSE; /* black is wanted anew, too */
  gst_helix_qemu_src_ask_again (self);
}

GstCaps *
gst_helix_qemu_src_choose_caps (
    GstHelixQemuSrc *self, const HelixPicture *picture)
{
  GstPad *pad = GST_BASE_SRC_PAD (self);
  GstCaps *ours, *peer, *caps = NULL;
  gint max_num, max_den;

  GST_OBJECT_LOCK (self);
  gst_helix_qemu_src_get_limit (self, &max_num, &max_den);
  GST_OBJECT_UNLOCK (self);
  ours = gst_caps_make_writable (gst_pad_get_pad_template_caps (pad));
  gst_caps_set_simple (ours, "pixel-aspect-ratio", GST_TYPE_FRACTION, 1, 1,
      "interlace-mode", G_TYPE_STRING, "progressive", NULL);
  peer = gst_pad_peer_query_caps (pad, ours);
  if (!gst_caps_is_empty (peer))
    caps = helix_picture_choose_caps (picture, peer, max_num, max_den);
  else if (!GST_PAD_IS_FLUSHING (pad))
    GST_ELEMENT_ERROR (self, STREAM, FORMAT,
        ("Downstream takes no picture in NV12, I420, BGRx or BGRA. Put "
         "videoconvert behind helixqemusrc."),
        (NULL));
  gst_caps_unref (ours);
  gst_caps_unref (peer);
  return caps;
}

/* Whether downstream took these caps. A pad that keeps an event to send it once
 * more with the next buffer says that all is well, even if it was refused. */
static gboolean
is_taken (GstPad *pad, GstCaps *caps)
{
  GstPad *peer = gst_pad_get_peer (pad);
  GstCaps *taken;
  gboolean ok;

  if (peer == NULL)
    return TRUE; /* which pushing will show */
  taken = gst_pad_get_current_caps (peer);
  ok = GST_PAD_IS_FLUSHING (peer)
      || (taken != NULL && gst_caps_is_equal (taken, caps));
  gst_clear_caps (&taken);
  gst_object_unref (peer);
  return ok;
}

static gboolean
gst_helix_qemu_src_negotiate (GstBaseSrc *src)
{
  GstHelixQemuSrc *self = GST_HELIX_QEMU_SRC (src);
  GstVideoInfo before = self->info;
  gboolean ok = FALSE;
  GstCaps *caps;

  gst_helix_qemu_src_reconsider (self);
  /* The first frame tells the size; before it there is nothing to say. */
  if (!self->shaped)
    return TRUE;
  caps = gst_helix_qemu_src_choose_caps (self, &self->picture);
  if (caps == NULL)
    return FALSE;
  if (gst_caps_is_empty (caps)) { /* of late */
    gst_helix_qemu_src_note_unfit (self, &self->picture, FALSE);
    gst_clear_buffer (&self->last);
    self->shaped = FALSE;
    ok = TRUE;
    goto out;
  }
  GST_INFO_OBJECT (self, "chose %" GST_PTR_FORMAT, caps);
  if (!gst_video_info_from_caps (&self->info, caps)
      || !helix_convert_configure (self->convert, &self->picture, &self->info))
    goto out;
  renew_last (self, &before);
  follow_rate (self);
  ok = gst_base_src_set_caps (src, caps)
      && is_taken (GST_BASE_SRC_PAD (src), caps);
out:
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

/* ---- pictures ---- */

/* When there is something to do though nothing has come: the last picture is
 * due again, or the cursor, which moves no more often than pictures come, or
 * the screen has been off for long. */
static guint64
next_deadline (GstHelixQemuSrc *self)
{
  guint64 deadline = gst_helix_qemu_src_dark_due (self);

  deadline = MIN (deadline, gst_helix_qemu_src_repeat_at (self));
  if (self->cursor_moved && self->still != NULL)
    deadline =
        MIN (deadline, self->pushed_ns + gst_helix_qemu_src_interval (self));
  return deadline;
}

static GstFlowReturn
gst_helix_qemu_src_create (GstPushSrc *src, GstBuffer **buffer)
{
  GstHelixQemuSrc *self = GST_HELIX_QEMU_SRC (src);
  HelixFrame frame;
  GError *error = NULL;
  GstFlowReturn flow = GST_FLOW_CUSTOM_SUCCESS;

  *buffer = NULL;
  while (flow == GST_FLOW_CUSTOM_SUCCESS) {
    gst_helix_qemu_src_follow_show_cursor (self);
    switch (helix_frame_client_next (
        self->client, next_deadline (self), &frame, &error)) {
      case HELIX_CLIENT_FRAME:
        flow = gst_helix_qemu_src_take_frame (self, &frame, buffer);
        break;
      case HELIX_CLIENT_CURSOR:
        gst_helix_qemu_src_take_cursor (self);
        break;
      case HELIX_CLIENT_DARK:
        gst_helix_qemu_src_take_dark (self);
        break;
      case HELIX_CLIENT_TIMEOUT:
        if (gst_helix_qemu_src_dark_due (self) <= helix_now_ns ()) {
          flow = gst_helix_qemu_src_go_dark (self, buffer);
          break;
        }
        gst_helix_qemu_src_reconsider (self);
        /* Asked for before there was any, or to look at show-cursor again. */
        if (self->last == NULL || gst_helix_qemu_src_follow_show_cursor (self))
          break;
        if (self->cursor_moved && self->still != NULL) {
          flow = gst_helix_qemu_src_move_cursor (self, buffer);
          break;
        }
        *buffer = gst_helix_qemu_src_repeat (self);
        if (*buffer != NULL)
          flow = GST_FLOW_OK;
        break;
      case HELIX_CLIENT_FLUSHING:
        flow = GST_FLOW_FLUSHING;
        break;
      case HELIX_CLIENT_REFUSED:
        gst_helix_qemu_src_refused (self, error);
        g_clear_error (&error);
        break;
      case HELIX_CLIENT_FOUND:
        gst_helix_inform (GST_ELEMENT (self), error);
        g_clear_error (&error);
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
   * of the nominal rate later. How late it is taken has no bound: the newest
   * picture waits. */
  gst_query_set_latency (query, TRUE,
      gst_util_uint64_scale_int (
          GST_SECOND, HELIX_NOMINAL_RATE_DEN, HELIX_NOMINAL_RATE_NUM),
      GST_CLOCK_TIME_NONE);
  return TRUE;
}

/* Sinks show a picture so long after its capture. One that waits for that in
 * our thread keeps us from taking the pictures that come meanwhile; they are in
 * time all the same, and need not make way for the newest. Half a frame is left
 * for what lies between us and the sink. */
static void
follow_latency (GstHelixQemuSrc *self, GstEvent *event)
{
  GstClockTime latency = 0, spare;

  gst_event_parse_latency (event, &latency);
  GST_OBJECT_LOCK (self);
  spare = gst_util_uint64_scale_int (
      GST_SECOND / 2, self->rate_den, self->rate_num);
  if (self->client != NULL)
    helix_frame_client_set_in_time (
        self->client, latency > spare ? latency - spare : 0);
  GST_OBJECT_UNLOCK (self);
}

static gboolean
gst_helix_qemu_src_event (GstBaseSrc *src, GstEvent *event)
{
  GstHelixQemuSrc *self = GST_HELIX_QEMU_SRC (src);
  gboolean ok;

  if (GST_EVENT_TYPE (event) == GST_EVENT_LATENCY)
    follow_latency (self, event);
  if (gst_helix_qemu_src_obey (self, event, &ok))
    return ok;
  /* Nothing else would end the wait for a picture that fits. */
  if (GST_EVENT_TYPE (event) == GST_EVENT_RECONFIGURE) {
    GST_OBJECT_LOCK (self);
    if (self->client != NULL)
      helix_frame_client_poke (self->client);
    GST_OBJECT_UNLOCK (self);
  }
  return GST_BASE_SRC_CLASS (gst_helix_qemu_src_parent_class)
      ->event (src, event);
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
  g_free (self->server_user);
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
      "Receives the screen of a virtual machine from QEMU's helix shim. Width "
      "and height of NV12 and I420 are rounded up to even, and to 16 at least: "
      "what is added repeats the last column and row of the screen. BGRx and "
      "BGRA have exactly its size",
      "The gst-helix developers");

  element_class->change_state =
      GST_DEBUG_FUNCPTR (gst_helix_qemu_src_change_state);
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

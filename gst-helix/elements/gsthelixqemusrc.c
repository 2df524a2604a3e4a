/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * SECTION:element-helixqemusrc
 * @title: helixqemusrc
 * @short_description: the screen of a virtual machine, from QEMU's helix shim
 *
 * Receives the pictures of a guest's scanout, frame by frame as they are drawn,
 * from a QEMU that was started with `-device helix-export,path=...`. Frames
 * come in shared memory: nothing is copied on the way.
 *
 * Downstream gets them untouched if it takes BGRx (or BGRA, where the guest
 * has alpha); otherwise the element converts to NV12 or I420 (BT.709, limited
 * range) itself, so encoders need no videoconvert in between. Caps name a
 * framerate, #GstHelixQemuSrc:max-framerate, because encoders want one; the
 * timestamps are real and irregular: a screen that does not change sends
 * nothing but repetitions.
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
 * encoders need that and the guest may choose any size. The padding is on the
 * right and at the bottom, and repeats the last column and row of the screen:
 * no pixel is lost, and coordinates stay. BGRx and BGRA have exactly the size
 * of the screen.
 *
 * A size that downstream does not take is a warning, not an error: nothing new
 * is shown until the guest changes its mode. Caps behind the element set the
 * limits of an encoder that does not tell them, for example
 * `video/x-raw,width=[16,4096],height=[16,2304]`. An element that cannot go on
 * with another size needs `videoscale` and caps of one size before it. H.264
 * goes into a file as `stream-format=avc3`, which keeps the parameters of each
 * mode; with `avc`, matroskamux ends the pipeline at the first change of mode,
 * and mp4mux writes pictures that cannot be decoded.
 *
 * When a screen is off a message of type INFO says so, and
 * #GstHelixQemuSrc:when-off decides between black and the last picture.
 *
 * The fourth byte of BGRx means nothing. It is 255 where the element writes the
 * pixels. Pixels that are passed on keep the guest's value (0 on the screen of
 * UEFI), and videoconvert (GStreamer 1.22) makes alpha of it. For an opaque PNG
 * use `helix snapshot`, or a format without that byte: `videoconvert !
 * video/x-raw,format=RGB ! pngenc`.
 *
 * Each buffer that shows something new carries a #GstReferenceTimestampMeta
 * with caps `timestamp/x-system-monotonic`: the host's CLOCK_MONOTONIC when it
 * was captured. Its offset is the number that the shim gave the frame. Another
 * such meta, with caps `timestamp/x-helix-pushed`, says when the buffer left.
 *
 * The guest is in control: helixguestsink sends its requests as upstream events
 * `GstHelixControl` (source and rate), `GstHelixShow` (a resource, now) and
 * `GstHelixRefresh` (the last picture again), which apply while playing. A
 * request that cannot be met is a warning, and the picture before it goes on.
 * The cursor goes downstream as `GstHelixCursor` event, out of band, unless
 * #GstHelixQemuSrc:show-cursor draws it into the picture.
 *
 * Without #GstHelixQemuSrc:socket-path it finds the virtual machine by itself,
 * if only one runs here. A message of type INFO names it, and the directory of
 * its socket; when another one serves that socket later, a WARNING does.
 * It can be named by a URI as well, for playbin3 and all else that plays URIs:
 * `helix+unix:PATH?scanout=0&max-framerate=30/1` (without PATH: the only one
 * that runs).
 *
 * It does not use a socket that another user serves, unless
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
#include "gsthelixelements.h"

#include <errno.h>
#include <gst/video/video.h>

#include "gsthelixevents.h"
#include "gsthelixfields.h"
#include "gsthelixholdback.h"
#include "gsthelixmode.h"
#include "gsthelixuri.h"
#include "helix-convert.h"
#include "helix-discovery.h"
#include "helix-encoder.h"
#include "helix-frame-client.h"
#include "helix-histogram.h"
#include "helix-pixels.h"
#include "helix-platform.h"
#include "helix-stats.h"

GST_DEBUG_CATEGORY_STATIC (gst_helix_qemu_src_debug);
#define GST_CAT_DEFAULT gst_helix_qemu_src_debug

/* ms, if keepalive-time is not set. Long enough that an idle screen costs next
 * to nothing, short enough that an encoder which holds one frame back until the
 * next (vtenc before 1.24) shows the end of a burst soon. */
#define KEEPALIVE_TIME 500

/* ns between two warnings of one kind, a refusal or a size: a guest may cause
 * them without end, and a bus without a reader keeps every message. */
#define WARNINGS_EVERY (1 * GST_SECOND)

/* ns that a screen has been off before anything is made of it. Guests pass
 * through "off" when they change their mode, for some 10 ms, in emulation for
 * some 100. */
#define DARK_AFTER (1 * GST_SECOND)

enum {
  PROP_0,
  PROP_SOCKET_PATH,
  PROP_SERVER_USER,
  PROP_SCANOUT,
  PROP_RESOURCE_ID,
  PROP_MAX_FRAMERATE,
  PROP_KEEPALIVE_TIME,
  PROP_AUTO_RECONNECT,
  PROP_RECONNECT_TIMEOUT,
  PROP_SHOW_CURSOR,
  PROP_WHEN_OFF,
  PROP_N_THREADS,
  PROP_STATS,
};

/* What the element itself counts, since start (). */
typedef struct {
  guint64 repeated, cursor_moves, black, copied; /* buffers */
  guint64 latency_ns;
  guint64 converted; /* bytes of picture that were read to convert or copy */
  struct helix_frame last;
  struct helix_histogram convert;                 /* ns */
  struct helix_histogram readback, wait, latency; /* ns, of each new picture */
} Counters;

struct _GstHelixQemuSrc {
  GstPushSrc parent;

  /* Lock: the object lock. */
  gchar *socket_path;
  gchar *server_user;        /* or NULL */
  HelixFrameRequest request; /* to the shim; its rate is the lower of
                              * max-framerate and downstream's own limit */
  gint max_num, max_den;     /* max-framerate */
  guint keepalive_time;      /* ms */
  gboolean auto_reconnect;
  guint reconnect_timeout; /* ms */
  gboolean show_cursor;
  gint when_off;            /* GstHelixWhenOff */
  guint n_threads;          /* 0 = automatic */
  guint64 refused_ns;       /* when a refusal was last posted, 0 = never */
  HelixFrameClient *client; /* from start to stop */
  Counters counters;
  GstHelixHoldback holdback; /* its `last`, `pushed_ns`: of the last buffer */

  /* Thread: the streaming thread. */
  gboolean shaped; /* `picture` and `info` are known */
  HelixPicture picture;
  GstVideoInfo info;
  HelixConvert *convert;    /* from start to stop */
  gboolean downstream_meta; /* takes GstVideoMeta */
  gboolean own_pool;        /* converts into scratch buffers of our own */
  GstBuffer *last;          /* to be repeated; NULL before the first */
  guint breaks;             /* reconnections and switches seen so far */
  gboolean blend;           /* show_cursor, as last applied */
  HelixCursor cursor;       /* the newest */
  gboolean cursor_moved;    /* `cursor` is not in the last picture yet */
  GstMemory *last_frame;    /* the pixels of `picture` without a cursor, kept
                            * while `blend`: the next cursor goes over them */
  gboolean unfit;           /* downstream does not take the newest picture, */
  HelixPicture unfit_size;  /* which is of this size, */
  gboolean unfit_refused;   /* although its caps claimed to take it */
  guint64 unfit_ns;         /* since when pictures do not fit, 0 = they do */
  guint64 warned_ns;        /* when that was last posted, 0 = never */
  gboolean dark;            /* when-off was applied */
  gboolean told_off;        /* the bus got "is off" */
};

G_DEFINE_TYPE_WITH_CODE (GstHelixQemuSrc, gst_helix_qemu_src, GST_TYPE_PUSH_SRC,
    G_IMPLEMENT_INTERFACE (GST_TYPE_URI_HANDLER, gst_helix_uri_init));
/* Rank: players of URIs find it by the protocol; autovideosrc, which goes by
 * rank, shall not take a VM's screen for a camera. */
GST_ELEMENT_REGISTER_DEFINE (
    helixqemusrc, "helixqemusrc", GST_RANK_NONE, GST_TYPE_HELIX_QEMU_SRC);

static GstStaticPadTemplate src_template =
    GST_STATIC_PAD_TEMPLATE ("src", GST_PAD_SRC, GST_PAD_ALWAYS,
        GST_STATIC_CAPS ("video/x-raw, format = { NV12, I420, BGRx, BGRA }, "
                         "width = [ 1, 16384 ], height = [ 1, 16384 ], "
                         "framerate = " GST_VIDEO_FPS_RANGE));

/* ---- the request to the shim ---- */

/* The frames a second that max-framerate stands for.
 * Lock: the object lock. */
static void
get_limit (GstHelixQemuSrc *self, gint *num, gint *den)
{
  gboolean limited = self->max_num > 0;

  *num = limited ? self->max_num : HELIX_FASTEST_RATE_NUM;
  *den = limited ? self->max_den : HELIX_FASTEST_RATE_DEN;
}

/* Requests again what the properties say, which brings a whole picture.
 * `on_trial` as in helix_frame_client_subscribe ().
 * Lock: the object lock. */
static void
subscribe (GstHelixQemuSrc *self, gboolean on_trial)
{
  if (self->client != NULL)
    helix_frame_client_subscribe (self->client, &self->request, on_trial);
}

/* Requests the whole picture once more, changed or not. */
static void
request_picture (GstHelixQemuSrc *self)
{
  GST_OBJECT_LOCK (self);
  subscribe (self, TRUE);
  GST_OBJECT_UNLOCK (self);
}

/* Makes the streaming thread look at its deadlines again.
 * Lock: the object lock. */
static void
poke (GstHelixQemuSrc *self)
{
  if (self->client != NULL)
    helix_frame_client_poke (self->client);
}

/* ---- messages ---- */

/* See WARNINGS_EVERY; `last` is when it was TRUE last, 0 = never. */
static gboolean
may_warn (guint64 *last)
{
  guint64 now = helix_now_ns ();

  if (*last != 0 && now - *last < WARNINGS_EVERY)
    return FALSE;
  *last = now;
  return TRUE;
}

/* ---- a screen without a picture: off, or of a size that does not fit ---- */

static void
inform (GstHelixQemuSrc *self, gchar *text)
{
  GError *error = g_error_new_literal (
      GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND, text);

  gst_helix_post (GST_ELEMENT (self), GST_MESSAGE_INFO, error);
  g_error_free (error);
  g_free (text);
}

/* "Scanout 0", "Resource 17". */
static gchar *
name_screen (guint scanout, guint resource_id)
{
  return resource_id != 0 ? g_strdup_printf ("Resource %u", resource_id)
                          : g_strdup_printf ("Scanout %u", scanout);
}

static void
tell_off (
    GstHelixQemuSrc *self, const HelixFrameClientState *state, gboolean black)
{
  g_autofree gchar *name =
      name_screen (state->request.scanout, state->resource_id);
  const gchar *why = state->resource_id != 0
      ? "the guest has destroyed it"
      : "the guest shows nothing there, or has no driver for it yet";
  const gchar *shown = !self->shaped ? "No picture comes until it is on"
      : black                        ? "Black is shown until it is on again"
              : "The last picture is shown until it is on again";

  inform (self, g_strdup_printf ("%s is off: %s. %s.", name, why, shown));
  self->told_off = TRUE;
}

static void
tell_on (GstHelixQemuSrc *self, const struct helix_frame *frame)
{
  g_autofree gchar *name = name_screen (
      frame->scanout, frame->scanout == HELIX_NONE32 ? frame->resource_id : 0);

  inform (self,
      g_strdup_printf ("%s is on: %ux%u.", name, frame->width, frame->height));
}

/* The screen shows a picture that fits, or has only now ceased to. */
static void
reset_dark (GstHelixQemuSrc *self)
{
  self->unfit = FALSE;
  self->unfit_ns = 0;
  self->dark = self->told_off = FALSE;
}

/* When when-off applies; HELIX_NONE64 = not at all. */
static guint64
dark_due (GstHelixQemuSrc *self)
{
  guint64 since = self->unfit_ns != 0
      ? self->unfit_ns
      : helix_frame_client_state (self->client).dark_ns;

  return since == 0 || self->dark ? HELIX_NONE64 : since + DARK_AFTER;
}

/* Downstream does not take a picture of this size. `refused`: it refused caps
 * that it had claimed to take, so asking for its caps again is of no use. */
static void
note_unfit (
    GstHelixQemuSrc *self, const HelixPicture *picture, gboolean refused)
{
  if (self->unfit_ns == 0)
    self->unfit_ns = helix_now_ns ();
  self->unfit_size = *picture;
  self->unfit_refused = refused;
  self->unfit = TRUE;
  if (!may_warn (&self->warned_ns))
    return;
  GST_ELEMENT_WARNING (self, STREAM, FORMAT,
      ("The screen has %ux%u pixels, and downstream takes no picture of that "
       "size. Nothing new is shown until the guest changes its mode. Put "
       "\"videoconvert ! videoscale\" and caps of a size that fits behind "
       "helixqemusrc.",
          picture->width, picture->height),
      (NULL));
}

/* ---- negotiation ---- */

static gboolean
is_flushing (GstHelixQemuSrc *self)
{
  return GST_PAD_IS_FLUSHING (GST_BASE_SRC_PAD (self));
}

/* Caps for this picture out of those that downstream takes. Empty: downstream
 * takes only other sizes. NULL: it takes none at all, which an ERROR has told
 * unless the pad is flushing. */
static GstCaps *
choose_caps (GstHelixQemuSrc *self, const HelixPicture *picture)
{
  GstPad *pad = GST_BASE_SRC_PAD (self);
  GstCaps *ours, *peer, *caps = NULL;
  gint max_num, max_den;

  GST_OBJECT_LOCK (self);
  get_limit (self, &max_num, &max_den);
  GST_OBJECT_UNLOCK (self);
  ours = gst_caps_make_writable (gst_pad_get_pad_template_caps (pad));
  gst_caps_set_simple (ours, "pixel-aspect-ratio", GST_TYPE_FRACTION, 1, 1,
      "interlace-mode", G_TYPE_STRING, "progressive", NULL);
  peer = gst_pad_peer_query_caps (pad, ours);
  if (!gst_caps_is_empty (peer))
    caps = helix_picture_choose_caps (picture, peer, max_num, max_den);
  else if (!is_flushing (self))
    GST_ELEMENT_ERROR (self, STREAM, FORMAT,
        ("Downstream takes no picture in NV12, I420, BGRx or BGRA. Put "
         "videoconvert behind helixqemusrc."),
        (NULL));
  gst_caps_unref (ours);
  gst_caps_unref (peer);
  return caps;
}

/* Downstream's caps may have changed: requests a picture if it now fits. */
static void
reconsider (GstHelixQemuSrc *self)
{
  GstCaps *caps;

  if (!self->unfit || self->unfit_refused)
    return;
  caps = choose_caps (self, &self->unfit_size);
  if (caps != NULL && !gst_caps_is_empty (caps)) {
    self->unfit = FALSE;
    request_picture (self);
  }
  gst_clear_caps (&caps);
}

/* Downstream may take fewer frames a second than max-framerate: the shim need
 * not read back more. */
static void
follow_rate (GstHelixQemuSrc *self)
{
  gint num, den;

  GST_OBJECT_LOCK (self);
  get_limit (self, &num, &den);
  if (self->info.fps_n > 0
      && gst_util_fraction_compare (
             self->info.fps_n, self->info.fps_d, num, den)
          < 0) {
    num = self->info.fps_n;
    den = self->info.fps_d;
  }
  if (num != self->request.rate_num || den != self->request.rate_den) {
    self->request.rate_num = num;
    self->request.rate_den = den;
    subscribe (self, TRUE);
  }
  GST_OBJECT_UNLOCK (self);
}

/* Drops the last picture if downstream takes another format from here on. A
 * screen that does not change brings no other, so one is requested. */
static void
renew_last (GstHelixQemuSrc *self, const GstVideoInfo *before)
{
  GstVideoInfo now = self->info;

  now.fps_n = before->fps_n; /* no property of a picture */
  now.fps_d = before->fps_d;
  if (self->last == NULL || gst_video_info_is_equal (before, &now))
    return;
  gst_clear_buffer (&self->last);
  self->dark = FALSE; /* black has the old format, too */
  request_picture (self);
}

/* Whether downstream took these caps. A pad that keeps an event to send it once
 * more with the next buffer reports success, even if it was refused. */
static gboolean
is_taken (GstPad *pad, GstCaps *caps)
{
  GstPad *peer = gst_pad_get_peer (pad);
  GstCaps *taken;
  gboolean ok;

  if (peer == NULL)
    return TRUE; /* the push will fail */
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

  reconsider (self);
  /* Only the first frame tells the size. */
  if (!self->shaped)
    return TRUE;
  caps = choose_caps (self, &self->picture);
  if (caps == NULL)
    return FALSE;
  if (gst_caps_is_empty (caps)) { /* it fitted before */
    note_unfit (self, &self->picture, FALSE);
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
  /* `last` keeps one buffer: a pool that cannot spare it would run dry. */
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
  gst_buffer_pool_set_config (pool, config); /* the base class looks at it */
  if (offered)
    gst_query_set_nth_allocation_pool (query, 0, pool, size, min, max);
  else
    gst_query_add_allocation_pool (query, pool, size, min, max);
  gst_object_unref (pool);
  return GST_BASE_SRC_CLASS (gst_helix_qemu_src_parent_class)
      ->decide_allocation (src, query);
}

/* Makes downstream take again the caps that it had before those that it
 * refused. GstVideoEncoder compares caps with the last ones that it took, and
 * ignores equal ones, although its encoder was torn down meanwhile. So it gets
 * different ones first; of all fields the chroma site is what caps filters
 * name least. */
static gboolean
restore (GstHelixQemuSrc *self, const HelixPicture *picture, GstCaps *caps)
{
  GstBaseSrc *src = GST_BASE_SRC (self);
  const gchar *site = gst_structure_get_string (
      gst_caps_get_structure (caps, 0), "chroma-site");

  site = g_strcmp0 (site, "mpeg2") == 0 ? "jpeg" : "mpeg2";
  caps = gst_caps_copy (caps);
  gst_caps_set_simple (caps, "chroma-site", G_TYPE_STRING, site, NULL);
  gst_base_src_set_caps (src, caps);
  gst_caps_unref (caps);
  self->picture = *picture;
  self->shaped = TRUE;
  self->shaped = gst_base_src_negotiate (src) && self->shaped;
  return self->shaped;
}

/* Downstream refused caps that it had claimed to take, as openh264enc does
 * with sizes too small or too large: goes on with `last`. */
static void
step_back (GstHelixQemuSrc *self, const HelixPicture *before, GstCaps *caps,
    GstBuffer *last)
{
  note_unfit (self, &self->picture, TRUE);
  self->shaped = FALSE;
  /* The failure asks for another try, which would end the same way. */
  gst_pad_check_reconfigure (GST_BASE_SRC_PAD (self));
  if (last != NULL && restore (self, before, caps))
    gst_buffer_replace (&self->last, last);
}

static GstFlowReturn
renegotiate (GstHelixQemuSrc *self, const HelixPicture *picture)
{
  GstCaps *caps = gst_pad_get_current_caps (GST_BASE_SRC_PAD (self));
  GstBuffer *last = g_steal_pointer (&self->last);
  HelixPicture before = self->picture;
  GstFlowReturn flow = GST_FLOW_CUSTOM_SUCCESS;

  self->picture = *picture;
  self->shaped = TRUE;
  self->unfit = FALSE;
  if (gst_base_src_negotiate (GST_BASE_SRC (self))) {
    if (self->shaped)
      flow = GST_FLOW_OK;
  } else if (is_flushing (self)) {
    self->shaped = FALSE; /* once more with the next frame */
    flow = GST_FLOW_FLUSHING;
  } else {
    step_back (self, &before, caps, last);
  }
  gst_clear_buffer (&last);
  gst_clear_caps (&caps);
  return flow;
}

/* Negotiates for a picture of another size or format, or the first one.
 * CUSTOM_SUCCESS: downstream does not take it; what was shown goes on. */
static GstFlowReturn
reshape (GstHelixQemuSrc *self, const HelixPicture *picture)
{
  gboolean fits;
  GstCaps *caps;

  if (self->unfit && helix_picture_same_shape (picture, &self->unfit_size))
    return GST_FLOW_CUSTOM_SUCCESS;
  caps = choose_caps (self, picture);
  if (caps == NULL)
    return is_flushing (self) ? GST_FLOW_FLUSHING : GST_FLOW_NOT_NEGOTIATED;
  fits = !gst_caps_is_empty (caps);
  gst_caps_unref (caps);
  if (fits)
    return renegotiate (self, picture);
  note_unfit (self, picture, FALSE);
  return GST_FLOW_CUSTOM_SUCCESS;
}

/* ---- pixels ---- */

/* Whether downstream may have the picture's own bytes. */
static gboolean
is_wrappable (GstHelixQemuSrc *self)
{
  return helix_picture_is_native (&self->picture, &self->info)
      && (self->downstream_meta
          || self->picture.stride
              == (guint) GST_VIDEO_INFO_PLANE_STRIDE (&self->info, 0));
}

/* The pixels of the frame, for as long as the memory lives. Never takes the
 * last free slot: a downstream that keeps every buffer would starve the shim.
 * It is copied with `always`; otherwise the frame stays, and NULL returns. */
static GstMemory *
keep_pixels (GstHelixQemuSrc *self, HelixFrame *frame, gboolean always)
{
  gsize size = (gsize) self->picture.stride * self->picture.height;
  guint8 *copy;

  if (helix_slot_pool_free_slots (frame->pool) > 0)
    return g_steal_pointer (&frame->memory);
  if (!always)
    return NULL;
  copy = g_malloc (size);
  memcpy (copy, self->picture.pixels, size);
  if (helix_picture_is_native (&self->picture, &self->info)
      && !GST_VIDEO_INFO_HAS_ALPHA (&self->info))
    helix_pixels_make_opaque (
        copy, self->picture.width, self->picture.height, self->picture.stride);
  self->picture.pixels = copy;
  helix_frame_clear (frame);
  GST_OBJECT_LOCK (self);
  self->counters.copied++;
  self->counters.converted += size;
  GST_OBJECT_UNLOCK (self);
  return gst_memory_new_wrapped (
      GST_MEMORY_FLAG_READONLY, copy, size, 0, size, copy, g_free);
}

static GstBuffer *
wrap_pixels (GstHelixQemuSrc *self, GstMemory *memory)
{
  GstBuffer *buffer = gst_buffer_new ();
  gsize offset[GST_VIDEO_MAX_PLANES] = {0};
  gint stride[GST_VIDEO_MAX_PLANES] = {(gint) self->picture.stride};

  gst_buffer_append_memory (buffer, gst_memory_ref (memory));
  gst_buffer_add_video_meta_full (buffer, GST_VIDEO_FRAME_FLAG_NONE,
      GST_VIDEO_INFO_FORMAT (&self->info), self->picture.width,
      self->picture.height, 1, offset, stride);
  return buffer;
}

static GstFlowReturn
convert (GstHelixQemuSrc *self, const HelixCursor *cursor,
    const helix_region *damage, GstBuffer **buffer)
{
  GstBufferPool *pool = gst_base_src_get_buffer_pool (GST_BASE_SRC (self));
  guint64 bytes = helix_convert_get_bytes (self->convert);
  guint64 begin = helix_now_ns (), spent;
  GstFlowReturn flow;

  flow = gst_buffer_pool_acquire_buffer (pool, buffer, NULL);
  gst_object_unref (pool);
  if (flow != GST_FLOW_OK)
    return flow;
  if (!helix_convert_run (self->convert, &self->picture, cursor, damage,
          *buffer, self->own_pool))
    gst_clear_buffer (buffer);
  else if (self->own_pool)
    *buffer = helix_convert_wrap (*buffer);
  if (*buffer == NULL) {
    GST_ELEMENT_ERROR (self, RESOURCE, WRITE,
        ("A buffer of downstream cannot be written."),
        ("%ux%u", self->picture.width, self->picture.height));
    return GST_FLOW_ERROR;
  }
  spent = helix_now_ns () - begin;
  GST_OBJECT_LOCK (self);
  self->counters.copied +=
      helix_picture_is_native (&self->picture, &self->info);
  self->counters.converted += helix_convert_get_bytes (self->convert) - bytes;
  helix_histogram_add (&self->counters.convert, spent);
  GST_OBJECT_UNLOCK (self);
  return GST_FLOW_OK;
}

/* The picture, with the cursor if `blend`, as a buffer. `memory` holds the
 * picture's pixels if downstream may have them, or is NULL. */
static GstFlowReturn
draw (GstHelixQemuSrc *self, GstMemory *memory, const helix_region *damage,
    GstBuffer **buffer)
{
  const HelixCursor *cursor = self->blend ? &self->cursor : NULL;
  struct helix_rect box;
  gboolean seen =
      cursor != NULL && helix_picture_cursor_box (&self->picture, cursor, &box);

  self->cursor_moved = FALSE;
  if (seen || memory == NULL || !is_wrappable (self))
    return convert (self, cursor, damage, buffer);
  helix_convert_skip (self->convert, damage);
  *buffer = wrap_pixels (self, memory);
  return GST_FLOW_OK;
}

/* ---- buffers: new pictures ---- */

/* The running time of `age` ns ago, later than any before it. */
static GstClockTime
stamp (GstHelixQemuSrc *self, guint64 age)
{
  GstClockTime now = gst_element_get_current_running_time (GST_ELEMENT (self));
  GstClockTime pts = GST_CLOCK_TIME_IS_VALID (now) && now > age ? now - age : 0;
  GstClockTime last = self->holdback.last;

  return GST_CLOCK_TIME_IS_VALID (last) ? MAX (pts, last + 1) : pts;
}

/* Warns of an encoder that kept the picture however often it was repeated. */
static void
warn_of_encoder (GstHelixQemuSrc *self, const gchar *encoder)
{
  const gchar *setting = helix_encoder_low_latency (encoder);

  GST_ELEMENT_WARNING (self, STREAM, ENCODE,
      ("%s holds pictures back: %u repetitions of the newest one did not bring "
       "it out. Set %s.",
          encoder[0] != '\0' ? encoder : "The encoder", GST_HELIX_HOLDBACK_MOST,
          setting != NULL ? setting : "the encoder up for low latency"),
      (NULL));
}

/* The buffer leaves. `is_new`: it is no repetition. */
static void
finish (GstHelixQemuSrc *self, GstBuffer *buffer, gboolean is_new)
{
  const GstHelixHoldbackSink *stuck;
  g_autofree gchar *encoder = NULL;
  guint64 now = helix_now_ns ();

  gst_buffer_add_reference_timestamp_meta (
      buffer, gst_helix_pushed_caps (), now, GST_CLOCK_TIME_NONE);
  GST_OBJECT_LOCK (self);
  stuck = gst_helix_holdback_pushed (
      &self->holdback, GST_BUFFER_PTS (buffer), is_new, now);
  if (stuck != NULL)
    encoder = g_strdup (stuck->encoder);
  GST_OBJECT_UNLOCK (self);
  if (encoder != NULL)
    warn_of_encoder (self, encoder);
}

/* A buffer with a new picture, captured then, leaves: it is the one to be
 * repeated from here on. `sequence`: of the shim's frame. */
static void
finish_picture (GstHelixQemuSrc *self, GstBuffer *buffer, guint64 capture_ns,
    guint64 sequence)
{
  guint64 now = helix_now_ns ();

  GST_BUFFER_PTS (buffer) =
      stamp (self, now > capture_ns ? now - capture_ns : 0);
  GST_BUFFER_OFFSET (buffer) = sequence;
  gst_buffer_add_reference_timestamp_meta (
      buffer, gst_helix_capture_caps (), capture_ns, GST_CLOCK_TIME_NONE);
  finish (self, buffer, TRUE);
  gst_buffer_replace (&self->last, buffer);
}

/* Whether the picture does not continue the one before. */
static gboolean
is_discont (GstHelixQemuSrc *self)
{
  HelixFrameClientState state = helix_frame_client_state (self->client);
  guint breaks = state.reconnects + state.switches;

  if (breaks == self->breaks)
    return FALSE;
  self->breaks = breaks;
  return TRUE;
}

static void
count_frame (GstHelixQemuSrc *self, const struct helix_frame *info)
{
  Counters *counters = &self->counters;
  guint64 pushed_ns = self->holdback.pushed_ns;
  guint64 age = pushed_ns > info->capture_ns ? pushed_ns - info->capture_ns : 0;

  GST_OBJECT_LOCK (self);
  counters->latency_ns = age;
  counters->last = *info;
  helix_histogram_add (&counters->readback, info->readback_ns);
  helix_histogram_add (&counters->wait, info->wait_ns);
  helix_histogram_add (&counters->latency, age);
  GST_OBJECT_UNLOCK (self);
}

/* Everything, whatever the size. */
static void
fill (helix_region *damage)
{
  helix_region_fill (damage, HELIX_MAX_DIMENSION, HELIX_MAX_DIMENSION);
}

/* A picture came: it is shown. Gives the frame's slot back, or to a memory. */
static GstFlowReturn
take_frame (GstHelixQemuSrc *self, HelixFrame *frame, GstBuffer **buffer)
{
  const struct helix_frame info = frame->info;
  GstFlowReturn flow = GST_FLOW_OK;
  GstMemory *memory = NULL;
  HelixPicture picture;
  helix_region damage;

  pixman_region32_init (&damage);
  /* Its slot goes back before another is needed. */
  g_clear_pointer (&self->last_frame, gst_memory_unref);
  helix_picture_from_frame (&picture, frame);
  if (!self->shaped || !helix_picture_same_shape (&picture, &self->picture))
    flow = reshape (self, &picture);
  if (flow != GST_FLOW_OK)
    goto out;
  if (self->told_off)
    tell_on (self, &info);
  if (self->dark) /* scratch buffers may be black */
    fill (&damage);
  for (guint i = 0; i < info.rects; i++)
    helix_region_add (&damage, &frame->damage[i]);
  reset_dark (self);
  self->picture = picture;
  if (self->blend || is_wrappable (self))
    memory = keep_pixels (self, frame, self->blend);
  flow = draw (self, memory, &damage, buffer);
  if (self->blend)
    self->last_frame = g_steal_pointer (&memory);
  if (flow != GST_FLOW_OK)
    goto out;
  if (is_discont (self))
    GST_BUFFER_FLAG_SET (*buffer, GST_BUFFER_FLAG_DISCONT);
  finish_picture (self, *buffer, info.capture_ns, info.sequence);
  count_frame (self, &info);
out:
  /* It may be the last one for long, and scratch buffers lack its damage. */
  if (flow == GST_FLOW_FLUSHING)
    request_picture (self);
  g_clear_pointer (&memory, gst_memory_unref);
  pixman_region32_fini (&damage);
  helix_frame_clear (frame);
  return flow;
}

/* The last frame with the cursor where it is now. Reads nothing of the screen
 * again: it shows the screen as of the last frame. */
static GstFlowReturn
move_cursor (GstHelixQemuSrc *self, GstBuffer **buffer)
{
  helix_region none;
  GstFlowReturn flow;

  pixman_region32_init (&none);
  flow = draw (self, self->last_frame, &none, buffer);
  if (flow != GST_FLOW_OK) {
    self->cursor_moved = TRUE;
    return flow;
  }
  finish_picture (self, *buffer,
      MIN (self->cursor.info.changed_ns, helix_now_ns ()),
      GST_BUFFER_OFFSET (self->last));
  GST_OBJECT_LOCK (self);
  self->counters.cursor_moves++;
  GST_OBJECT_UNLOCK (self);
  return GST_FLOW_OK;
}

/* Black, of the last picture's size: converted from one row, which serves as
 * all of them. */
static GstFlowReturn
blacken (GstHelixQemuSrc *self, GstBuffer **buffer)
{
  const GstVideoFormatInfo *format =
      gst_video_format_get_info (self->picture.format);
  HelixPicture screen = self->picture;
  guint8 *row = g_malloc0 (4 * (gsize) screen.width);
  GstFlowReturn flow;
  helix_region all;

  for (guint x = 0;
       GST_VIDEO_FORMAT_INFO_HAS_ALPHA (format) && x < screen.width; x++)
    row[4 * (gsize) x
        + GST_VIDEO_FORMAT_INFO_POFFSET (format, GST_VIDEO_COMP_A)] = 255;
  pixman_region32_init (&all);
  fill (&all);
  self->picture.pixels = row;
  self->picture.stride = 0;
  flow = convert (self, NULL, &all, buffer);
  pixman_region32_fini (&all);
  self->picture = screen;
  g_free (row);
  g_clear_pointer (&self->last_frame, gst_memory_unref);
  self->cursor_moved = FALSE;
  if (flow != GST_FLOW_OK)
    return flow;
  finish_picture (self, *buffer, helix_now_ns (), GST_BUFFER_OFFSET_NONE);
  GST_OBJECT_LOCK (self);
  self->counters.black++;
  GST_OBJECT_UNLOCK (self);
  return GST_FLOW_OK;
}

/* Applies when-off, and tells that the screen is off. CUSTOM_SUCCESS: there is
 * no buffer to push. */
static GstFlowReturn
go_dark (GstHelixQemuSrc *self, GstBuffer **buffer)
{
  HelixFrameClientState state = helix_frame_client_state (self->client);
  GstFlowReturn flow;
  gboolean black;

  GST_OBJECT_LOCK (self);
  black = self->when_off == GST_HELIX_WHEN_OFF_BLACK;
  GST_OBJECT_UNLOCK (self);
  self->dark = TRUE;
  if (state.dark_ns != 0 && !self->told_off)
    tell_off (self, &state, black);
  if (!self->shaped || !black)
    return GST_FLOW_CUSTOM_SUCCESS;
  flow = blacken (self, buffer);
  if (flow == GST_FLOW_FLUSHING)
    self->dark = FALSE; /* black is due again after the flush */
  return flow;
}

/* ---- buffers: the last one again ---- */

/* ns between two pictures, as caps say. */
static guint64
get_interval (GstHelixQemuSrc *self)
{
  gboolean known = self->info.fps_n > 0;

  return gst_util_uint64_scale_int (GST_SECOND,
      known ? self->info.fps_d : HELIX_NOMINAL_RATE_DEN,
      known ? self->info.fps_n : HELIX_NOMINAL_RATE_NUM);
}

/* When the last buffer is due again: a helix_now_ns () time, or
 * HELIX_NONE64 = not at all. */
static guint64
repeat_due (GstHelixQemuSrc *self)
{
  guint64 due;

  if (self->last == NULL)
    return HELIX_NONE64;
  GST_OBJECT_LOCK (self);
  due = gst_helix_holdback_due (
      &self->holdback, get_interval (self), self->keepalive_time * GST_MSECOND);
  GST_OBJECT_UNLOCK (self);
  return due;
}

static void
remove_stamp (GstBuffer *buffer, GstCaps *caps)
{
  GstReferenceTimestampMeta *meta =
      gst_buffer_get_reference_timestamp_meta (buffer, caps);

  if (meta != NULL)
    gst_buffer_remove_meta (buffer, (GstMeta *) meta);
}

/* The last buffer, now, if it is due; else NULL. It was not captured now, so it
 * carries no capture time. */
static GstBuffer *
repeat (GstHelixQemuSrc *self)
{
  GstBuffer *buffer;

  if (helix_now_ns () < repeat_due (self))
    return NULL;
  buffer = gst_buffer_copy (self->last);
  remove_stamp (buffer, gst_helix_capture_caps ());
  remove_stamp (buffer, gst_helix_pushed_caps ());
  /* Keeps the memory from going back to its pool while this is under way. */
  gst_buffer_add_parent_buffer_meta (buffer, self->last);
  GST_BUFFER_FLAG_UNSET (buffer, GST_BUFFER_FLAG_DISCONT);
  GST_BUFFER_PTS (buffer) = stamp (self, 0);
  GST_OBJECT_LOCK (self);
  self->counters.repeated++;
  GST_OBJECT_UNLOCK (self);
  finish (self, buffer, FALSE);
  return buffer;
}

/* ---- the cursor ---- */

/* Tells downstream where the cursor is, and, if `image`, what it looks like. */
static void
send_cursor (GstHelixQemuSrc *self, gboolean visible, gboolean image)
{
  struct helix_cursor cursor = self->cursor.info;

  if (!visible)
    cursor.flags &= ~HELIX_CURSOR_VISIBLE;
  gst_pad_push_event (GST_BASE_SRC_PAD (self),
      gst_helix_event_new_cursor (&cursor, image ? self->cursor.image : NULL));
}

/* Ownership: takes the image over. */
static void
take_cursor (GstHelixQemuSrc *self, const HelixCursor *cursor)
{
  const struct helix_cursor *info = &cursor->info;

  helix_cursor_clear (&self->cursor);
  self->cursor = *cursor;
  if (self->blend)
    self->cursor_moved = TRUE;
  else
    send_cursor (self, !!(info->flags & HELIX_CURSOR_VISIBLE),
        !!(info->flags & HELIX_CURSOR_SHAPE));
}

/* Applies show-cursor. FALSE: it has not changed. */
static gboolean
apply_show_cursor (GstHelixQemuSrc *self)
{
  gboolean blend;

  GST_OBJECT_LOCK (self);
  blend = self->show_cursor;
  GST_OBJECT_UNLOCK (self);
  if (blend == self->blend)
    return FALSE;
  self->blend = blend;
  self->cursor_moved = blend;
  g_clear_pointer (&self->last_frame, gst_memory_unref);
  if (self->cursor.info.serial != 0)
    send_cursor (
        self, !blend && self->cursor.info.flags & HELIX_CURSOR_VISIBLE, !blend);
  return TRUE;
}

/* ---- the guest's requests ---- */

/* Notifies, without the lock, of properties that were changed under it. */
static void
notify (GstHelixQemuSrc *self, guint32 changes)
{
  if (changes & HELIX_CONFIG_SCANOUT)
    g_object_notify (G_OBJECT (self), "scanout");
  if (changes & HELIX_CONFIG_RESOURCE)
    g_object_notify (G_OBJECT (self), "resource-id");
  if (changes & HELIX_CONFIG_RATE) {
    g_object_notify (G_OBJECT (self), "max-framerate");
    gst_pad_mark_reconfigure (GST_BASE_SRC_PAD (self)); /* caps announce it */
  }
}

/* Returns: the properties that changed.
 * Lock: the object lock. */
static guint32
set_source (GstHelixQemuSrc *self, guint scanout, guint resource_id)
{
  guint32 changes = 0;

  if (self->request.scanout != scanout)
    changes |= HELIX_CONFIG_SCANOUT;
  if (self->request.resource_id != resource_id)
    changes |= HELIX_CONFIG_RESOURCE;
  self->request.scanout = scanout;
  self->request.resource_id = resource_id;
  return changes;
}

/* Returns: FALSE if the VM has no such scanout.
 * Thread: any. */
static gboolean
apply_control (GstHelixQemuSrc *self, const struct helix_config *control)
{
  guint32 fields = control->fields, changes = 0;
  guint scanouts = 0;
  gboolean ok, warn;

  GST_OBJECT_LOCK (self);
  if (self->client != NULL)
    scanouts = helix_frame_client_state (self->client).scanouts;
  if (scanouts == 0) /* not known before there is a connection */
    scanouts = HELIX_MAX_SCANOUTS;
  ok = control->scanout < scanouts || !(fields & HELIX_CONFIG_SCANOUT);
  warn = !ok && may_warn (&self->refused_ns);
  if (!ok)
    goto out;
  changes = set_source (self,
      fields & HELIX_CONFIG_SCANOUT ? control->scanout : self->request.scanout,
      fields & HELIX_CONFIG_RESOURCE ? control->resource_id
                                     : self->request.resource_id);
  if (fields & HELIX_CONFIG_RATE
      && gst_util_fraction_compare (self->max_num, self->max_den,
             (gint) control->rate_num, (gint) control->rate_den)
          != 0) {
    changes |= HELIX_CONFIG_RATE;
    self->max_num = (gint) control->rate_num;
    self->max_den = (gint) control->rate_den;
    get_limit (self, &self->request.rate_num, &self->request.rate_den);
  }
  if (changes != 0)
    subscribe (self, TRUE);
  /* Ends a SHOW, also when it names what the properties say already. */
  if (self->client != NULL
      && fields & (HELIX_CONFIG_SCANOUT | HELIX_CONFIG_RESOURCE))
    helix_frame_client_show (self->client, 0, 0);
out:
  GST_OBJECT_UNLOCK (self);
  if (warn)
    GST_ELEMENT_WARNING (self, RESOURCE, SETTINGS,
        ("The guest asks for scanout %u, but there are %u (0 to %u). The "
         "picture before it goes on. Give the VM more with max_outputs of its "
         "virtio-gpu device.",
            control->scanout, scanouts, scanouts - 1),
        (NULL));
  notify (self, changes);
  return ok;
}

/* The shim refused a request on trial: the properties follow the one that it
 * fell back to. */
static void
take_refusal (GstHelixQemuSrc *self, const GError *error)
{
  guint32 changes;
  HelixFrameRequest request;
  gboolean warn;

  GST_OBJECT_LOCK (self);
  request = helix_frame_client_state (self->client).request;
  changes = set_source (self, request.scanout, request.resource_id);
  warn = may_warn (&self->refused_ns);
  GST_OBJECT_UNLOCK (self);
  if (warn)
    gst_helix_post (GST_ELEMENT (self), GST_MESSAGE_WARNING, error);
  notify (self, changes);
}

/* Sinks show a picture so long after its capture. A sink that waits for that
 * in our thread delays us: pictures that came meanwhile are in time all the
 * same, and must not be dropped for the newest. Half a frame is left for the
 * elements between us and the sink. */
static void
follow_latency (GstHelixQemuSrc *self, GstEvent *event)
{
  GstClockTime latency = 0, spare;

  gst_event_parse_latency (event, &latency);
  GST_OBJECT_LOCK (self);
  spare = gst_util_uint64_scale_int (
      GST_SECOND / 2, self->request.rate_den, self->request.rate_num);
  if (self->client != NULL)
    helix_frame_client_set_in_time (
        self->client, latency > spare ? latency - spare : 0);
  GST_OBJECT_UNLOCK (self);
}

static gboolean
gst_helix_qemu_src_event (GstBaseSrc *src, GstEvent *event)
{
  GstHelixQemuSrc *self = GST_HELIX_QEMU_SRC (src);
  struct helix_config control;
  GstHelixOutput output;
  guint64 capture_time;
  guint resource_id;
  gboolean ok = TRUE;

  if (gst_helix_event_parse_control (event, &control))
    return apply_control (self, &control);
  if (GST_EVENT_TYPE (event) == GST_EVENT_LATENCY)
    follow_latency (self, event);
  GST_OBJECT_LOCK (self);
  if (gst_helix_event_parse_show (event, &resource_id, &capture_time)) {
    ok = self->client != NULL;
    if (ok)
      helix_frame_client_show (self->client, resource_id, capture_time);
  } else if (gst_helix_event_is_refresh (event)) {
    self->holdback.refresh = TRUE;
    poke (self);
  } else if (gst_helix_event_parse_output (event, &output)) {
    if (gst_helix_holdback_reported (&self->holdback, &output, helix_now_ns ()))
      poke (self);
  } else {
    /* Nothing else would end the wait for a picture that fits. */
    if (GST_EVENT_TYPE (event) == GST_EVENT_RECONFIGURE)
      poke (self);
    GST_OBJECT_UNLOCK (self);
    return GST_BASE_SRC_CLASS (gst_helix_qemu_src_parent_class)
        ->event (src, event);
  }
  GST_OBJECT_UNLOCK (self);
  return ok;
}

static gboolean
gst_helix_qemu_src_query (GstBaseSrc *src, GstQuery *query)
{
  if (GST_QUERY_TYPE (query) != GST_QUERY_LATENCY)
    return GST_BASE_SRC_CLASS (gst_helix_qemu_src_parent_class)
        ->query (src, query);
  /* Timestamps are capture times; a picture is here less than a frame of the
   * nominal rate later. How late it may be taken has no bound: the newest
   * picture waits. */
  gst_query_set_latency (query, TRUE,
      gst_util_uint64_scale_int (
          GST_SECOND, HELIX_NOMINAL_RATE_DEN, HELIX_NOMINAL_RATE_NUM),
      GST_CLOCK_TIME_NONE);
  return TRUE;
}

/* ---- the streaming thread ---- */

/* When there is something to do though nothing has come: the last picture is
 * due again, or the cursor, which moves no more often than pictures come, or
 * the screen has been off for long. */
static guint64
next_deadline (GstHelixQemuSrc *self)
{
  guint64 deadline = MIN (dark_due (self), repeat_due (self));

  if (self->cursor_moved && self->last_frame != NULL)
    deadline = MIN (deadline, self->holdback.pushed_ns + get_interval (self));
  return deadline;
}

/* CUSTOM_SUCCESS: nothing was due after all. */
static GstFlowReturn
take_timeout (GstHelixQemuSrc *self, GstBuffer **buffer)
{
  if (dark_due (self) <= helix_now_ns ())
    return go_dark (self, buffer);
  reconsider (self);
  /* A poke before the first picture, or to look at show-cursor again. */
  if (self->last == NULL || apply_show_cursor (self))
    return GST_FLOW_CUSTOM_SUCCESS;
  if (self->cursor_moved && self->last_frame != NULL)
    return move_cursor (self, buffer);
  *buffer = repeat (self);
  return *buffer != NULL ? GST_FLOW_OK : GST_FLOW_CUSTOM_SUCCESS;
}

static GstFlowReturn
gst_helix_qemu_src_create (GstPushSrc *src, GstBuffer **buffer)
{
  GstHelixQemuSrc *self = GST_HELIX_QEMU_SRC (src);
  GstElement *element = GST_ELEMENT (self);
  GstFlowReturn flow = GST_FLOW_CUSTOM_SUCCESS;
  HelixCursor cursor;
  HelixFrame frame;

  *buffer = NULL;
  while (flow == GST_FLOW_CUSTOM_SUCCESS) {
    g_autoptr (GError) error = NULL;

    apply_show_cursor (self);
    switch (helix_frame_client_next (
        self->client, next_deadline (self), &frame, &cursor, &error)) {
      case HELIX_FRAMES_FRAME:
        flow = take_frame (self, &frame, buffer);
        break;
      case HELIX_FRAMES_CURSOR:
        take_cursor (self, &cursor);
        break;
      case HELIX_FRAMES_DARK:
        reset_dark (self);
        break;
      case HELIX_FRAMES_TIMEOUT:
        flow = take_timeout (self, buffer);
        break;
      case HELIX_FRAMES_FLUSHING:
        flow = GST_FLOW_FLUSHING;
        break;
      case HELIX_FRAMES_REFUSED:
        take_refusal (self, error);
        break;
      case HELIX_FRAMES_FOUND:
        gst_helix_post (element, GST_MESSAGE_INFO, error);
        break;
      case HELIX_FRAMES_WARNING:
        gst_helix_post (element, GST_MESSAGE_WARNING, error);
        break;
      case HELIX_FRAMES_CLOSED:
        GST_INFO_OBJECT (self, "%s", error->message);
        flow = GST_FLOW_EOS;
        break;
      default: /* HELIX_FRAMES_FAILED */
        gst_helix_post (element, GST_MESSAGE_ERROR, error);
        flow = GST_FLOW_ERROR;
        break;
    }
  }
  return flow;
}

/* ---- start and stop ---- */

static gboolean
gst_helix_qemu_src_start (GstBaseSrc *src)
{
  GstHelixQemuSrc *self = GST_HELIX_QEMU_SRC (src);
  HelixFrameClientConfig config = {
      .path = self->socket_path,
      .name = "helixqemusrc " HELIX_PACKAGE_VERSION,
      .auto_reconnect = self->auto_reconnect,
      .reconnect_timeout = self->reconnect_timeout,
  };
  g_autoptr (GError) error = NULL;
  HelixFrameClient *client;

  if (!helix_discovery_find_user (
          self->server_user, &config.server_uid, &error)) {
    gst_helix_post (GST_ELEMENT (self), GST_MESSAGE_ERROR, error);
    return FALSE;
  }
  self->shaped = FALSE;
  self->breaks = 0;
  self->cursor_moved = FALSE;
  self->warned_ns = 0;
  reset_dark (self);
  GST_OBJECT_LOCK (self);
  memset (&self->counters, 0, sizeof self->counters);
  gst_helix_holdback_reset (&self->holdback);
  get_limit (self, &self->request.rate_num, &self->request.rate_den);
  client = self->client = helix_frame_client_new (&config, &self->request);
  GST_OBJECT_UNLOCK (self);
  if (client == NULL) {
    GST_ELEMENT_ERROR (self, RESOURCE, OPEN_READ_WRITE,
        ("No descriptor for a wake-up can be had. Raise the limit of open "
         "files (ulimit -n)."),
        ("%s", g_strerror (errno)));
    return FALSE;
  }
  self->convert = helix_convert_new (self->n_threads);
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
  g_clear_pointer (&self->last_frame, gst_memory_unref);
  helix_cursor_clear (&self->cursor);
  memset (&self->cursor.info, 0, sizeof self->cursor.info);
  g_clear_pointer (&client, helix_frame_client_free);
  g_clear_pointer (&self->convert, helix_convert_free);
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

/* In PAUSED the streaming thread does not read what the shim sends. */
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

/* ---- properties ---- */

static GstStructure *
get_stats (GstHelixQemuSrc *self)
{
  HelixFrameClientState client = {0};
  GstStructure *stats;
  GstHelixHoldback holdback;
  Counters own;

  GST_OBJECT_LOCK (self);
  own = self->counters;
  holdback = self->holdback;
  if (self->client != NULL)
    client = helix_frame_client_state (self->client);
  GST_OBJECT_UNLOCK (self);
  stats = gst_structure_new ("application/x-helix-qemu-src-stats", "connected",
      G_TYPE_BOOLEAN, client.connected, "reconnects", G_TYPE_UINT,
      client.reconnects, "frames-in", G_TYPE_UINT64, client.frames.received,
      "frames-out", G_TYPE_UINT64,
      own.latency.count + own.repeated + own.cursor_moves + own.black, "frames",
      G_TYPE_UINT64, own.latency.count, "repeated", G_TYPE_UINT64, own.repeated,
      "flushed", G_TYPE_UINT64, holdback.flushed, "held-back", G_TYPE_UINT,
      holdback.held_back, "cursor-moves", G_TYPE_UINT64, own.cursor_moves,
      "black", G_TYPE_UINT64, own.black, "dropped", G_TYPE_UINT64,
      client.frames.superseded, "copied", G_TYPE_UINT64, own.copied, "bytes",
      G_TYPE_UINT64, client.frames.readback_bytes, "last-sequence",
      G_TYPE_UINT64, own.last.sequence, "generation", G_TYPE_UINT,
      own.last.generation, "width", G_TYPE_UINT, own.last.width, "height",
      G_TYPE_UINT, own.last.height, "readback-time", G_TYPE_UINT64,
      own.readback.sum, "wait-time", G_TYPE_UINT64, own.wait.sum,
      "convert-time", G_TYPE_UINT64, own.convert.sum, "converted-bytes",
      G_TYPE_UINT64, own.converted, "latency", G_TYPE_UINT64, own.latency_ns,
      NULL);
  helix_stats_set_times (stats, "readback", &own.readback);
  helix_stats_set_times (stats, "wait", &own.wait);
  helix_stats_set_times (stats, "convert", &own.convert);
  helix_stats_set_times (stats, "latency", &own.latency);
  return stats;
}

static void
set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstHelixQemuSrc *self = GST_HELIX_QEMU_SRC (object);

  GST_OBJECT_LOCK (self);
  gst_helix_field_set (object, id, value, pspec);
  switch (id) {
    case PROP_MAX_FRAMERATE:
      get_limit (self, &self->request.rate_num, &self->request.rate_den);
      subscribe (self, FALSE);
      break;
    case PROP_SCANOUT:
    case PROP_RESOURCE_ID:
      subscribe (self, FALSE);
      break;
    case PROP_SHOW_CURSOR:
      /* For a picture to draw it upon, or one without, and its shape. */
      subscribe (self, FALSE);
      poke (self);
      break;
  }
  GST_OBJECT_UNLOCK (self);
  if (id == PROP_MAX_FRAMERATE) /* which caps announce */
    gst_pad_mark_reconfigure (GST_BASE_SRC_PAD (self));
}

static void
get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  if (id == PROP_STATS)
    g_value_take_boxed (value, get_stats (GST_HELIX_QEMU_SRC (object)));
  else
    gst_helix_field_get (object, id, value, pspec);
}

#define FIELD(name) G_STRUCT_OFFSET (GstHelixQemuSrc, name)

static void
install_properties (GObjectClass *klass)
{
  const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS;

  /**
   * GstHelixQemuSrc:socket-path:
   *
   * Path of the socket that QEMU was told to make (`-device
   * helix-export,path=...`). Unset: `$HELIX_SOCKET`, else that of the only
   * virtual machine of this user that runs here. Where several run, an error
   * names them. One that was found is waited for when it goes away, until the
   * element is stopped: the screen of another is no replacement. A message of
   * type INFO names the one that was taken, and the folder that it was found
   * in, which `$XDG_RUNTIME_DIR` decides; a WARNING tells that another one
   * serves its socket now.
   *
   * Since: 0.1
   */
  gst_helix_field_install (klass, PROP_SOCKET_PATH, FIELD (socket_path),
      g_param_spec_string ("socket-path", "Socket path",
          "Path of the socket that QEMU's helix shim listens on (unset = "
          "$HELIX_SOCKET, else that of the only VM that runs here)",
          NULL, flags | GST_PARAM_MUTABLE_READY));
  /**
   * GstHelixQemuSrc:server-user:
   *
   * The user that the virtual machine runs as, by name or number, where that
   * is on purpose neither this user nor root: `libvirt-qemu`, for example.
   * A socket that any other user serves is not spoken to, and an error names
   * that user. The kernel tells as which user the server began to listen.
   *
   * Since: 0.1
   */
  gst_helix_field_install (klass, PROP_SERVER_USER, FIELD (server_user),
      g_param_spec_string ("server-user", "Server user",
          "User, by name or number, that may serve the VM's socket besides "
          "this user and root (unset = none)",
          NULL, flags | GST_PARAM_MUTABLE_READY));
  /**
   * GstHelixQemuSrc:scanout:
   *
   * Index of the virtual machine's scanout (screen) to show, from 0. It is
   * checked once there is a connection.
   *
   * Since: 0.1
   */
  gst_helix_field_install (klass, PROP_SCANOUT, FIELD (request.scanout),
      g_param_spec_uint ("scanout", "Scanout",
          "Index of the scanout (screen) to show; must exist in the VM", 0,
          G_MAXUINT, 0, flags | GST_PARAM_MUTABLE_PLAYING));
  /**
   * GstHelixQemuSrc:resource-id:
   *
   * Show this virtio-gpu resource of the guest, on a screen or not, in place
   * of #GstHelixQemuSrc:scanout.
   *
   * Since: 0.1
   */
  gst_helix_field_install (klass, PROP_RESOURCE_ID, FIELD (request.resource_id),
      g_param_spec_uint ("resource-id", "Resource id",
          "virtio-gpu resource to show in place of a scanout (0 = the scanout)",
          0, G_MAXUINT, 0, flags | GST_PARAM_MUTABLE_PLAYING));
  /**
   * GstHelixQemuSrc:max-framerate:
   *
   * Frames a second at most. The shim does not even read more from the graphics
   * card. Caps announce it, since encoders spend their bitrate on so many
   * frames. 0/1: as often as the guest draws, which caps and the shim take as
   * 240/1. A guest that requests another rate changes it.
   *
   * Since: 0.1
   */
  gst_helix_field_install (klass, PROP_MAX_FRAMERATE, FIELD (max_num),
      gst_param_spec_fraction ("max-framerate", "Maximum framerate",
          "Frames per second at most, as caps announce (0/1 = 240/1)", 0, 1,
          G_MAXINT, 1, HELIX_NOMINAL_RATE_NUM, HELIX_NOMINAL_RATE_DEN,
          flags | GST_PARAM_MUTABLE_PLAYING));
  /**
   * GstHelixQemuSrc:keepalive-time:
   *
   * While the screen does not change, repeat its last picture after so many
   * milliseconds, over and over, so that an encoder that holds pictures back
   * gives them out. This is for pipelines without a #helixguestsink, which
   * reports what comes out of the encoder: then the picture is repeated at the
   * rate of the caps until it has come out, at most 628 times, and not at all
   * afterwards, whatever this property says. 0: without such a report a screen
   * that does not change sends nothing.
   *
   * Since: 0.1
   */
  gst_helix_field_install (klass, PROP_KEEPALIVE_TIME, FIELD (keepalive_time),
      g_param_spec_uint ("keepalive-time", "Keep-alive time",
          "Repeat the last picture after this long without a new one, in ms, "
          "where no helixguestsink reports what has come out (0 = never)",
          0, G_MAXINT, KEEPALIVE_TIME, flags | GST_PARAM_MUTABLE_PLAYING));
  /**
   * GstHelixQemuSrc:auto-reconnect:
   *
   * Wait for a virtual machine that is not there (yet), and for one that went
   * away to come back; a warning on the bus says so once. Otherwise its
   * absence is an error and its orderly end the end of the stream.
   *
   * Since: 0.1
   */
  gst_helix_field_install (klass, PROP_AUTO_RECONNECT, FIELD (auto_reconnect),
      g_param_spec_boolean ("auto-reconnect", "Automatic reconnection",
          "Wait for QEMU to come (back) rather than fail", TRUE,
          flags | GST_PARAM_MUTABLE_READY));
  /**
   * GstHelixQemuSrc:reconnect-timeout:
   *
   * How long to wait for it, in milliseconds, before that is an error after
   * all.
   *
   * Since: 0.1
   */
  gst_helix_field_install (klass, PROP_RECONNECT_TIMEOUT,
      FIELD (reconnect_timeout),
      g_param_spec_uint ("reconnect-timeout", "Reconnection timeout",
          "Give up after this long without QEMU, in ms (0 = never)", 0,
          G_MAXINT, 0, flags | GST_PARAM_MUTABLE_READY));
  /**
   * GstHelixQemuSrc:show-cursor:
   *
   * Draw the guest's cursor into the picture. Where it moves, only the place
   * that it left and the one where it is are converted again, and nothing is
   * read back. Otherwise it goes downstream as `GstHelixCursor` events, for a
   * viewer to draw.
   *
   * Since: 0.1
   */
  gst_helix_field_install (klass, PROP_SHOW_CURSOR, FIELD (show_cursor),
      g_param_spec_boolean ("show-cursor", "Show cursor",
          "Draw the guest's cursor into the picture", FALSE,
          flags | GST_PARAM_MUTABLE_PLAYING));
  /**
   * GstHelixQemuSrc:when-off:
   *
   * The picture of a screen that has been off for a second: a change of mode,
   * which passes through that, is over by then. Off is a scanout that the
   * guest, or `helix scanout N off`, has switched off, or a resource that the
   * guest has destroyed. Black has the size of the last picture; where there
   * was none, nothing is sent. Either way a message of type INFO says so, and
   * another one says when the screen is on again. A change applies from the
   * next time that the screen goes off. An outage
   * (#GstHelixQemuSrc:auto-reconnect) leaves the last picture.
   *
   * Since: 0.1
   */
  gst_helix_field_install (klass, PROP_WHEN_OFF, FIELD (when_off),
      g_param_spec_enum ("when-off", "When off",
          "What to show of a screen that is off", GST_TYPE_HELIX_WHEN_OFF,
          GST_HELIX_WHEN_OFF_BLACK, flags | GST_PARAM_MUTABLE_PLAYING));
  /**
   * GstHelixQemuSrc:n-threads:
   *
   * How many threads share the conversion of a large change, half a
   * million pixels or more, to NV12 and I420 in BT.709 or to BGRx and BGRA. 0:
   * as many as there are processors, 4 at most. What comes out is the same; the
   * processors' time is not less, but the picture is there sooner.
   *
   * Since: 0.1
   */
  gst_helix_field_install (klass, PROP_N_THREADS, FIELD (n_threads),
      g_param_spec_uint ("n-threads", "Number of threads",
          "Threads that share the conversion of a large change (0 = as many "
          "as processors, 4 at most)",
          0, HELIX_PARALLEL_MOST, 0, flags | GST_PARAM_MUTABLE_READY));
  /**
   * GstHelixQemuSrc:stats:
   *
   * Counters since the element was started, as
   * `application/x-helix-qemu-src-stats`:
   *
   * * `connected` (boolean), `reconnects` (uint)
   * * `frames-in` (uint64): pictures from the shim; `dropped`: of them, given
   *   back unseen for a newer one; `frames-out`: buffers pushed
   * * `frames` (uint64): of those, new pictures; `repeated`: pushed again to
   *   keep encoders awake; `flushed`: of those, because a picture had not come
   *   out of the encoder; `cursor-moves`: with nothing new but the cursor;
   *   `black`: in the place of a screen that is off;
   *   `copied`: pictures copied, not passed on, because downstream held too
   *   many or for the cursor
   * * `held-back` (uint): buffers that the encoder needed after the newest
   *   picture before it gave that out, the last time (628: so many were not
   *   enough); 0 without a helixguestsink
   * * `bytes` (uint64): read back by the shim for this element, for `dropped`
   *   pictures too
   * * `converted-bytes` (uint64): of pictures, read here to convert or copy
   *   them
   * * `last-sequence` (uint64), `generation`, `width`, `height` (uint): of the
   *   last picture
   * * `readback-time`, `wait-time`, `convert-time` (uint64): ns spent reading
   *   back, waiting for a free slot or for its turn, and converting, in sum:
   *   the first two of `frames`, the last of `cursor-moves` and `black` too
   * * `latency` (uint64): ns from capture to push of the last picture
   * * `STAGE-p50`, `STAGE-p95`, `STAGE-p99`, `STAGE-max` (uint64): ns, of the
   *   same pictures, where STAGE is `readback`, `wait`, `convert` or `latency`
   *   (of `frames`); at most 6.25 % above what was measured
   *
   * Since: 0.1
   */
  g_object_class_install_property (klass, PROP_STATS,
      g_param_spec_boxed ("stats", "Statistics",
          "Frames, bytes, times and connection since the start",
          GST_TYPE_STRUCTURE, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS));
}

/* ---- the class ---- */

static void
gst_helix_qemu_src_finalize (GObject *object)
{
  gst_helix_fields_clear (object);
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
  object_class->set_property = set_property;
  object_class->get_property = get_property;
  install_properties (object_class);

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
  push_class->create = GST_DEBUG_FUNCPTR (gst_helix_qemu_src_create);

  GST_DEBUG_CATEGORY_INIT (
      gst_helix_qemu_src_debug, "helixqemusrc", 0, "QEMU screen source");
}

static void
gst_helix_qemu_src_init (GstHelixQemuSrc *self)
{
  GstBaseSrc *src = GST_BASE_SRC (self);

  gst_helix_fields_init (G_OBJECT (self));
  self->request.rate_num = self->max_num;
  self->request.rate_den = self->max_den;
  gst_base_src_set_live (src, TRUE);
  gst_base_src_set_format (src, GST_FORMAT_TIME);
}

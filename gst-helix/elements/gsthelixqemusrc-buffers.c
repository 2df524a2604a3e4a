/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pictures of the screen as buffers: lent, converted, repeated, and with the
 * cursor upon them. All of it is the streaming thread's.
 */
#include "gsthelixqemusrc-private.h"

#include "gsthelixmode.h"
#include "helix-encoder-table.h"
#include "helix-platform.h"
#include "helix-rgb.h"

/* ---- the pixels ---- */

/* Whether downstream may have the picture's own bytes. */
static gboolean
is_lendable (GstHelixQemuSrc *self)
{
  return helix_picture_is_native (&self->picture, &self->info)
      && (self->downstream_meta
          || self->picture.stride
              == (guint) GST_VIDEO_INFO_PLANE_STRIDE (&self->info, 0));
}

/* The pixels of the frame, for as long as the memory lives. The last slot
 * that the shim could still fill is neither lent nor held: whoever keeps all
 * it gets would otherwise end the flow of frames, its own included. With
 * `always`, a copy takes its place; else there is NULL, and the frame stays. */
static GstMemory *
hold_pixels (GstHelixQemuSrc *self, HelixFrame *frame, gboolean always)
{
  gsize size = (gsize) self->picture.stride * self->picture.height;
  guint8 *copy;

  if (helix_slot_pool_free_slots (frame->pool) > 0)
    return helix_frame_steal_memory (frame);
  if (!always)
    return NULL;
  copy = g_malloc (size);
  memcpy (copy, self->picture.pixels, size);
  if (helix_picture_is_native (&self->picture, &self->info)
      && !GST_VIDEO_INFO_HAS_ALPHA (&self->info))
    helix_rgb_make_opaque (
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
lend (GstHelixQemuSrc *self, GstMemory *memory)
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
convert (GstHelixQemuSrc *self, const HelixCursor *cursor,
    const HelixDamage *damage, GstBuffer **buffer)
{
  GstBufferPool *pool = gst_base_src_get_buffer_pool (GST_BASE_SRC (self));
  guint64 converted = helix_convert_get_bytes (self->convert);
  guint64 begin = helix_now_ns ();
  GstFlowReturn flow;

  flow = gst_buffer_pool_acquire_buffer (pool, buffer, NULL);
  gst_object_unref (pool);
  if (flow != GST_FLOW_OK)
    return flow;
  if (!helix_convert_run (self->convert, &self->picture, cursor, damage,
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
  gst_helix_qemu_src_note_conversion (self, helix_now_ns () - begin,
      helix_convert_get_bytes (self->convert) - converted);
  return GST_FLOW_OK;
}

/* The picture, with the cursor if it is to be seen, as a buffer. `memory`
 * holds the picture's pixels if downstream may have them. */
static GstFlowReturn
draw (GstHelixQemuSrc *self, GstMemory *memory, const HelixDamage *damage,
    GstBuffer **buffer)
{
  const HelixCursor *cursor = self->blend ? &self->cursor : NULL;
  struct helix_rect box;
  gboolean seen = cursor != NULL
      && helix_cursor_box (
          cursor, self->picture.width, self->picture.height, &box);

  self->cursor_moved = FALSE;
  if (seen || memory == NULL || !is_lendable (self))
    return convert (self, cursor, damage, buffer);
  helix_convert_skip (self->convert, damage);
  *buffer = lend (self, memory);
  return GST_FLOW_OK;
}

/* ---- the buffers ---- */

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
add_capture (GstHelixQemuSrc *self, GstBuffer *buffer, guint64 capture_ns)
{
  guint64 now = helix_now_ns ();

  GST_BUFFER_PTS (buffer) =
      stamp (self, now > capture_ns ? now - capture_ns : 0);
  gst_buffer_add_reference_timestamp_meta (
      buffer, gst_helix_capture_caps (), capture_ns, GST_CLOCK_TIME_NONE);
}

/* As it leaves: it is the last buffer, and may have to be repeated. `news`:
 * it shows what none before it did. */
static void
finish (GstHelixQemuSrc *self, GstBuffer *buffer, gboolean news)
{
  self->pushed_ns = helix_now_ns ();
  gst_buffer_add_reference_timestamp_meta (
      buffer, gst_helix_pushed_caps (), self->pushed_ns, GST_CLOCK_TIME_NONE);
  GST_OBJECT_LOCK (self);
  gst_helix_holdback_pushed (&self->holdback, GST_BUFFER_PTS (buffer),
      news || self->refresh, self->pushed_ns);
  self->refresh = FALSE;
  GST_OBJECT_UNLOCK (self);
}

/* Downstream gets the caps once more that it had before those that it refused.
 * GstVideoEncoder compares caps with the last ones that it took, and ignores
 * equal ones, although its encoder was torn down meanwhile. So it gets other
 * ones first; of all fields the chroma site is what caps filters name least. */
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

/* Downstream refused the caps that it had said to take, as openh264enc does
 * with what is too small or too large. `last` and what it shows go on. */
static void
step_back (GstHelixQemuSrc *self, const HelixPicture *before, GstCaps *caps,
    GstBuffer *last)
{
  gst_helix_qemu_src_note_unfit (self, &self->picture, TRUE);
  self->shaped = FALSE;
  /* The failure asks for another try, which would end the same way. */
  gst_pad_check_reconfigure (GST_BASE_SRC_PAD (self));
  if (last != NULL && restore (self, before, caps))
    gst_buffer_replace (&self->last, last);
}

static gboolean
is_flushing (GstHelixQemuSrc *self)
{
  return GST_PAD_IS_FLUSHING (GST_BASE_SRC_PAD (self));
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

/* The picture has another size or format, or it is the first. CUSTOM_SUCCESS:
 * downstream does not take it, and what was there before goes on. */
static GstFlowReturn
reshape (GstHelixQemuSrc *self, const HelixPicture *picture)
{
  gboolean fits;
  GstCaps *caps;

  if (self->unfit && helix_picture_same_shape (picture, &self->misfit))
    return GST_FLOW_CUSTOM_SUCCESS;
  caps = gst_helix_qemu_src_choose_caps (self, picture);
  if (caps == NULL)
    return is_flushing (self) ? GST_FLOW_FLUSHING : GST_FLOW_NOT_NEGOTIATED;
  fits = !gst_caps_is_empty (caps);
  gst_caps_unref (caps);
  if (fits)
    return renegotiate (self, picture);
  gst_helix_qemu_src_note_unfit (self, picture, FALSE);
  return GST_FLOW_CUSTOM_SUCCESS;
}

/* Whether the picture continues the one before. */
static gboolean
is_discont (GstHelixQemuSrc *self)
{
  HelixFrameClientStats stats;
  guint breaks;

  helix_frame_client_get_stats (self->client, &stats);
  breaks = stats.reconnects + stats.switches;
  if (breaks == self->breaks)
    return FALSE;
  self->breaks = breaks;
  return TRUE;
}

GstFlowReturn
gst_helix_qemu_src_take_frame (
    GstHelixQemuSrc *self, HelixFrame *frame, GstBuffer **buffer)
{
  const struct helix_frame info = frame->info;
  GstFlowReturn flow = GST_FLOW_OK;
  GstMemory *memory = NULL;
  HelixPicture picture;

  /* Its slot goes back before another is needed. */
  g_clear_pointer (&self->still, gst_memory_unref);
  helix_picture_from_frame (&picture, frame);
  if (!self->shaped || !helix_picture_same_shape (&picture, &self->picture))
    flow = reshape (self, &picture);
  if (flow != GST_FLOW_OK)
    goto out;
  gst_helix_qemu_src_light_up (self, frame);
  self->picture = picture;
  if (self->blend || is_lendable (self))
    memory = hold_pixels (self, frame, self->blend);
  flow = draw (self, memory, &frame->damage, buffer);
  if (self->blend) /* the cursor may move over it */
    self->still = g_steal_pointer (&memory);
  if (flow != GST_FLOW_OK)
    goto out;
  add_capture (self, *buffer, info.capture_ns);
  GST_BUFFER_OFFSET (*buffer) = info.sequence;
  if (is_discont (self))
    GST_BUFFER_FLAG_SET (*buffer, GST_BUFFER_FLAG_DISCONT);
  finish (self, *buffer, TRUE);
  gst_buffer_replace (&self->last, *buffer);
  gst_helix_qemu_src_note_frame (self, &info, self->pushed_ns);
out:
  /* It may be the last one for long, and canvases lack what it brought. */
  if (flow == GST_FLOW_FLUSHING)
    gst_helix_qemu_src_ask_again (self);
  g_clear_pointer (&memory, gst_memory_unref);
  helix_frame_clear (frame);
  return flow;
}

/* Nothing of the screen is read again for it. It shows what was there when the
 * cursor came to be where it is. */
GstFlowReturn
gst_helix_qemu_src_move_cursor (GstHelixQemuSrc *self, GstBuffer **buffer)
{
  HelixDamage none = {0};
  GstFlowReturn flow = draw (self, self->still, &none, buffer);

  if (flow != GST_FLOW_OK) {
    self->cursor_moved = TRUE;
    return flow;
  }
  add_capture (
      self, *buffer, MIN (self->cursor.info.changed_ns, helix_now_ns ()));
  GST_BUFFER_OFFSET (*buffer) = GST_BUFFER_OFFSET (self->last);
  finish (self, *buffer, TRUE);
  gst_buffer_replace (&self->last, *buffer);
  GST_OBJECT_LOCK (self);
  self->counters.cursor_moves++;
  GST_OBJECT_UNLOCK (self);
  return GST_FLOW_OK;
}

/* The picture is of one row, which serves as all of them. */
GstFlowReturn
gst_helix_qemu_src_blacken (GstHelixQemuSrc *self, GstBuffer **buffer)
{
  const GstVideoFormatInfo *format =
      gst_video_format_get_info (self->picture.format);
  HelixPicture screen = self->picture;
  guint8 *row = g_malloc0 (4 * (gsize) screen.width);
  GstFlowReturn flow;
  HelixDamage all;

  for (guint x = 0;
       GST_VIDEO_FORMAT_INFO_HAS_ALPHA (format) && x < screen.width; x++)
    row[4 * (gsize) x
        + GST_VIDEO_FORMAT_INFO_POFFSET (format, GST_VIDEO_COMP_A)] = 255;
  helix_damage_all (&all);
  self->picture.pixels = row;
  self->picture.stride = 0;
  self->picture.y_inverted = FALSE;
  flow = convert (self, NULL, &all, buffer);
  self->picture = screen;
  g_free (row);
  g_clear_pointer (&self->still, gst_memory_unref);
  self->cursor_moved = FALSE;
  if (flow != GST_FLOW_OK)
    return flow;
  add_capture (self, *buffer, helix_now_ns ());
  finish (self, *buffer, TRUE);
  gst_buffer_replace (&self->last, *buffer);
  GST_OBJECT_LOCK (self);
  self->counters.black++;
  GST_OBJECT_UNLOCK (self);
  return GST_FLOW_OK;
}

static void
remove_stamp (GstBuffer *buffer, GstCaps *caps)
{
  GstReferenceTimestampMeta *meta =
      gst_buffer_get_reference_timestamp_meta (buffer, caps);

  if (meta != NULL)
    gst_buffer_remove_meta (buffer, (GstMeta *) meta);
}

/* It was not captured now, so it says nothing of when it was. */
static GstBuffer *
copy_last (GstHelixQemuSrc *self)
{
  GstBuffer *buffer = gst_buffer_copy (self->last);

  remove_stamp (buffer, gst_helix_capture_caps ());
  remove_stamp (buffer, gst_helix_pushed_caps ());
  /* Keeps the memory from going back to its pool while this is under way. */
  gst_buffer_add_parent_buffer_meta (buffer, self->last);
  GST_BUFFER_FLAG_UNSET (buffer, GST_BUFFER_FLAG_DISCONT);
  GST_BUFFER_PTS (buffer) = stamp (self, 0);
  return buffer;
}

guint64
gst_helix_qemu_src_interval (GstHelixQemuSrc *self)
{
  if (self->info.fps_n <= 0)
    return gst_util_uint64_scale_int (
        GST_SECOND, HELIX_NOMINAL_RATE_DEN, HELIX_NOMINAL_RATE_NUM);
  return gst_util_uint64_scale_int (
      GST_SECOND, self->info.fps_d, self->info.fps_n);
}

guint64
gst_helix_qemu_src_repeat_at (GstHelixQemuSrc *self)
{
  guint64 due = HELIX_NONE64;

  if (self->last == NULL)
    return due;
  GST_OBJECT_LOCK (self);
  if (self->refresh)
    due = 0;
  else if (gst_helix_holdback_is_watched (&self->holdback))
    due = gst_helix_holdback_repeat_at (
        &self->holdback, gst_helix_qemu_src_interval (self));
  else if (self->keepalive_time != 0)
    due = self->pushed_ns + self->keepalive_time * GST_MSECOND;
  GST_OBJECT_UNLOCK (self);
  return due;
}

/* With the last repetition that a picture gets. */
static void
complain (GstHelixQemuSrc *self)
{
  const GstHelixHoldbackSink *sink;
  g_autofree gchar *encoder = NULL;
  const gchar *setting;

  GST_OBJECT_LOCK (self);
  sink = gst_helix_holdback_complain (&self->holdback);
  if (sink != NULL)
    encoder = g_strdup (sink->encoder);
  GST_OBJECT_UNLOCK (self);
  if (encoder == NULL)
    return;
  setting = helix_encoder_table_low_latency (encoder);
  GST_ELEMENT_WARNING (self, STREAM, ENCODE,
      ("%s holds pictures back: %u repetitions of the newest one did not bring "
       "it out. Set %s.",
          encoder[0] != '\0' ? encoder : "The encoder", GST_HELIX_HOLDBACK_MOST,
          setting != NULL ? setting : "the encoder up for low latency"),
      (NULL));
}

GstBuffer *
gst_helix_qemu_src_repeat (GstHelixQemuSrc *self)
{
  GstBuffer *buffer;

  if (helix_now_ns () < gst_helix_qemu_src_repeat_at (self))
    return NULL;
  buffer = copy_last (self);
  GST_OBJECT_LOCK (self);
  self->counters.repeated++;
  self->counters.flushed +=
      !self->refresh && gst_helix_holdback_is_watched (&self->holdback);
  GST_OBJECT_UNLOCK (self);
  finish (self, buffer, FALSE);
  complain (self);
  return buffer;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-convert.h"

#include "helix-pixels.h"

/* Pictures whose damage is remembered. A buffer that was out for longer is
 * converted whole: pools of encoders are smaller than this. */
#define HISTORY 16

struct _HelixConvert {
  HelixParallel *parallel;
  GstVideoInfo output;
  gboolean whole; /* a picture has to be made of output's size first, */
  GstVideoConverter *converter; /* and only this can convert it, or NULL */
  GstVideoInfo input;           /* of the converter */
  /* `epoch` tells this configuration from every other of the process,
   * `serial` counts its pictures; steps[n % HISTORY] are the pixels in which
   * picture n differs from the one before: where the screen changed, where the
   * cursor was and where it is. */
  guint64 epoch, serial;
  pixman_region32_t steps[HISTORY];
  HelixCursor drawn; /* in the newest picture; no image = none */
  struct helix_rect drawn_box;
  guint8 *patch; /* pixels with the cursor in them, or an even size */
  guint64 converted_bytes;
};

/* The picture in a scratch buffer. */
typedef struct {
  guint64 epoch, serial;
} Content;

static GQuark
content_quark (void)
{
  static GQuark quark; /* the same, whichever thread sets it first */

  if (quark == 0)
    quark = g_quark_from_static_string ("helix-convert-content");
  return quark;
}

HelixConvert *
helix_convert_new (guint threads)
{
  HelixConvert *convert = g_new0 (HelixConvert, 1);

  convert->parallel = helix_parallel_new (threads);
  for (guint i = 0; i < HISTORY; i++)
    pixman_region32_init (&convert->steps[i]);
  return convert;
}

void
helix_convert_free (HelixConvert *convert)
{
  for (guint i = 0; i < HISTORY; i++)
    pixman_region32_fini (&convert->steps[i]);
  g_clear_pointer (&convert->converter, gst_video_converter_free);
  helix_cursor_clear (&convert->drawn);
  helix_parallel_free (convert->parallel);
  g_free (convert->patch);
  g_free (convert);
}

static gboolean
make_converter (HelixConvert *convert, const HelixPicture *picture)
{
  GstVideoInfo *input = &convert->input;
  GstStructure *options;

  g_clear_pointer (&convert->converter, gst_video_converter_free);
  /* Of the output's size, so that it does not scale: make_patch () pads. */
  gst_video_info_set_format (input, picture->format,
      (guint) convert->output.width, (guint) convert->output.height);
  gst_video_colorimetry_from_string (
      &input->colorimetry, GST_VIDEO_COLORIMETRY_SRGB);
  /* Only pixels are converted: the converter insists on equal rates. */
  input->fps_n = convert->output.fps_n;
  input->fps_d = convert->output.fps_d;
  /* Dithering would make two conversions of one picture differ; its threads
   * (1.22) would, too: they begin at odd rows, in the middle of a block. */
  options = gst_structure_new ("GstVideoConverter",
      GST_VIDEO_CONVERTER_OPT_DITHER_METHOD, GST_TYPE_VIDEO_DITHER_METHOD,
      GST_VIDEO_DITHER_NONE, NULL);
  convert->converter =
      gst_video_converter_new (input, &convert->output, options);
  return convert->converter != NULL;
}

gboolean
helix_convert_configure (HelixConvert *convert, const HelixPicture *picture,
    const GstVideoInfo *output)
{
  static guint64 epochs; /* atomic */
  HelixPicture padded = *picture;

  g_clear_pointer (&convert->converter, gst_video_converter_free);
  convert->epoch = __atomic_add_fetch (&epochs, 1, __ATOMIC_RELAXED);
  convert->serial = 0;
  helix_cursor_clear (&convert->drawn);
  convert->output = *output;
  padded.width = (guint) GST_VIDEO_INFO_WIDTH (output);
  padded.height = (guint) GST_VIDEO_INFO_HEIGHT (output);
  convert->whole = !helix_pixels_can_convert (picture, output);
  return !convert->whole || helix_pixels_can_convert (&padded, output)
      || make_converter (convert, picture);
}

/* ---- the cursor ---- */

static void
unite (pixman_region32_t *region, const struct helix_rect *rect)
{
  pixman_region32_union_rect (
      region, region, (int) rect->x, (int) rect->y, rect->width, rect->height);
}

/* Takes over the cursor, and adds to `step` where pixels differ because of
 * it. */
static void
follow_cursor (HelixConvert *convert, const HelixPicture *picture,
    const HelixCursor *cursor, pixman_region32_t *step)
{
  HelixCursor *drawn = &convert->drawn;
  struct helix_rect box = {0};
  GstBuffer *image = NULL;

  if (cursor != NULL && helix_picture_cursor_box (picture, cursor, &box))
    image = cursor->image;
  if (image == drawn->image
      && (image == NULL
          || (cursor->info.x == drawn->info.x
              && cursor->info.y == drawn->info.y)))
    return;
  if (drawn->image != NULL)
    unite (step, &convert->drawn_box);
  if (image != NULL) {
    unite (step, &box);
    drawn->info = cursor->info;
    convert->drawn_box = box;
  }
  gst_buffer_replace (&drawn->image, image);
}

/* Blends the cursor over `patch`, which shows `box` of the picture. Where the
 * cursor is transparent, the pixels stay exactly the same. */
static void
blend_cursor (const HelixCursor *cursor, const struct helix_rect *box,
    const HelixPicture *patch)
{
  const struct helix_cursor *info = &cursor->info;
  pixman_image_t *over, *under;
  GstMapInfo map;

  if (!gst_buffer_map (cursor->image, &map, GST_MAP_READ))
    return;
  over = helix_picture_image (GST_VIDEO_FORMAT_BGRA, FALSE, info->width,
      info->height, map.data, 4 * (gsize) info->width);
  under = helix_picture_image (patch->format, FALSE, box->width, box->height,
      patch->pixels, patch->stride);
  pixman_image_composite32 (PIXMAN_OP_OVER, over, NULL, under, 0, 0, 0, 0,
      (gint32) info->x - (gint32) box->x, (gint32) info->y - (gint32) box->y,
      (gint32) info->width, (gint32) info->height);
  pixman_image_unref (over);
  pixman_image_unref (under);
  gst_buffer_unmap (cursor->image, &map);
}

/* The pixels of `box`, with the cursor over them if it is drawn, as a picture
 * of their own of this size: where that is larger, the last column or row is
 * repeated. */
static void
make_patch (HelixConvert *convert, const HelixPicture *picture,
    const struct helix_rect *box, guint width, guint height,
    HelixPicture *patch)
{
  gsize stride = (gsize) width * 4;

  convert->patch = g_realloc (convert->patch, stride * height);
  *patch = *picture;
  patch->pixels = convert->patch;
  patch->width = width;
  patch->height = height;
  patch->stride = (guint) stride;
  for (guint y = 0; y < box->height; y++)
    memcpy (convert->patch + y * stride,
        helix_picture_row (picture, box->y + y) + 4 * (gsize) box->x,
        4 * (gsize) box->width);
  if (convert->drawn.image != NULL)
    blend_cursor (&convert->drawn, box, patch);
  for (guint y = 0; y < box->height; y++)
    for (guint x = box->width; x < width; x++) {
      guint8 *pixel = convert->patch + y * stride + 4 * (gsize) x;

      memcpy (pixel, pixel - 4, 4);
    }
  for (guint y = box->height; y < height; y++)
    memcpy (
        convert->patch + y * stride, convert->patch + (y - 1) * stride, stride);
}

/* The cursor's box is one of whole blocks, or ends where an odd picture does:
 * so the patch is converted as a picture of its own, to the place where it
 * belongs. */
static void
draw_cursor (HelixConvert *convert, const HelixPicture *picture,
    const GstVideoFrame *frame)
{
  const struct helix_rect *box = &convert->drawn_box;
  const struct helix_rect all = {0, 0, box->width, box->height};
  GstVideoFrame part = *frame;
  HelixPicture patch;

  make_patch (convert, picture, box, box->width, box->height, &patch);
  /* In NV12, I420 and BGRx, plane p begins with a sample of component p. */
  for (guint p = 0; p < GST_VIDEO_FRAME_N_PLANES (frame); p++) {
    const GstVideoFormatInfo *info = frame->info.finfo;
    gsize x = box->x >> GST_VIDEO_FORMAT_INFO_W_SUB (info, p);
    gsize y = box->y >> GST_VIDEO_FORMAT_INFO_H_SUB (info, p);

    part.data[p] = (guint8 *) part.data[p]
        + y * (gsize) GST_VIDEO_FRAME_PLANE_STRIDE (frame, p)
        + x * (gsize) GST_VIDEO_FORMAT_INFO_PSTRIDE (info, p);
  }
  helix_pixels_convert (&patch, &part, &all, NULL);
  convert->converted_bytes += (guint64) box->width * box->height * 4;
}

/* ---- the picture ---- */

static void
convert_whole (
    HelixConvert *convert, const HelixPicture *picture, GstVideoFrame *out)
{
  guint width = (guint) GST_VIDEO_INFO_WIDTH (&convert->output);
  guint height = (guint) GST_VIDEO_INFO_HEIGHT (&convert->output);
  const struct helix_rect all = {0, 0, picture->width, picture->height};
  const struct helix_rect whole = {0, 0, width, height};
  HelixPicture composed;
  GstVideoFrame in = {0};

  if (convert->drawn.image != NULL || width != picture->width
      || height != picture->height) {
    make_patch (convert, picture, &all, width, height, &composed);
    picture = &composed;
  }
  convert->converted_bytes += (guint64) width * height * 4;
  if (convert->converter == NULL) {
    helix_pixels_convert (picture, out, &whole, convert->parallel);
    return;
  }
  /* GstVideoConverter (1.22) keeps the lines that it read last, and takes
   * those of the next picture for the same if there are no others. */
  if (height <= 2 && !make_converter (convert, picture))
    return;
  in.info = convert->input;
  in.info.stride[0] = (gint) picture->stride;
  in.data[0] = (guint8 *) picture->pixels; /* read only, all the same */
  gst_video_converter_frame (convert->converter, &in, out);
  if (GST_VIDEO_FRAME_FORMAT (out) == GST_VIDEO_FORMAT_BGRx)
    helix_pixels_make_opaque (GST_VIDEO_FRAME_PLANE_DATA (out, 0), width,
        height, (gsize) GST_VIDEO_FRAME_PLANE_STRIDE (out, 0));
}

/* Adds to `missing` the pixels in which `buffer` differs from the newest
 * picture. FALSE: it may differ anywhere. */
static gboolean
find_missing (
    HelixConvert *convert, GstBuffer *buffer, pixman_region32_t *missing)
{
  const Content *content =
      gst_mini_object_get_qdata (GST_MINI_OBJECT (buffer), content_quark ());

  if (content == NULL || content->epoch != convert->epoch
      || convert->serial - content->serial > HISTORY)
    return FALSE;
  for (guint64 s = content->serial + 1; s <= convert->serial; s++)
    pixman_region32_union (missing, missing, &convert->steps[s % HISTORY]);
  return TRUE;
}

static void
remember (HelixConvert *convert, GstBuffer *buffer)
{
  Content *content =
      gst_mini_object_get_qdata (GST_MINI_OBJECT (buffer), content_quark ());

  if (content == NULL) {
    content = g_new (Content, 1);
    gst_mini_object_set_qdata (
        GST_MINI_OBJECT (buffer), content_quark (), content, g_free);
  }
  content->epoch = convert->epoch;
  content->serial = convert->serial;
}

/* Subtracts the cursor's box. FALSE: `missing` does not touch it. */
static gboolean
cut_out_cursor (HelixConvert *convert, pixman_region32_t *missing)
{
  const struct helix_rect *rect = &convert->drawn_box;
  pixman_region32_t box;
  gboolean found;

  if (convert->drawn.image == NULL)
    return FALSE;
  pixman_region32_init_rect (
      &box, (int) rect->x, (int) rect->y, rect->width, rect->height);
  found = pixman_region32_contains_rectangle (
              missing, pixman_region32_extents (&box))
      != PIXMAN_REGION_OUT;
  if (found)
    pixman_region32_subtract (missing, missing, &box);
  pixman_region32_fini (&box);
  return found;
}

/* Converts what the buffer lacks of the newest picture, which is everything
 * unless it is a scratch buffer. */
static void
update (HelixConvert *convert, const HelixPicture *picture,
    GstVideoFrame *frame, gboolean scratch)
{
  pixman_region32_t missing;
  const pixman_box32_t *box;
  gboolean cursor;
  int n = 0;

  pixman_region32_init (&missing);
  if (!scratch || !find_missing (convert, frame->buffer, &missing))
    pixman_region32_union_rect (
        &missing, &missing, 0, 0, picture->width, picture->height);
  pixman_region32_intersect_rect (
      &missing, &missing, 0, 0, picture->width, picture->height);
  cursor = cut_out_cursor (convert, &missing);
  box = pixman_region32_rectangles (&missing, &n);
  for (int i = 0; i < n; i++) {
    struct helix_rect rect = {
        .x = (guint32) box[i].x1,
        .y = (guint32) box[i].y1,
        .width = (guint32) (box[i].x2 - box[i].x1),
        .height = (guint32) (box[i].y2 - box[i].y1),
    };

    helix_pixels_convert (picture, frame, &rect, convert->parallel);
    convert->converted_bytes += (guint64) rect.width * rect.height * 4;
  }
  pixman_region32_fini (&missing);
  if (cursor)
    draw_cursor (convert, picture, frame);
  if (scratch)
    remember (convert, frame->buffer);
}

static void
take_step (HelixConvert *convert, const HelixPicture *picture,
    const HelixCursor *cursor, const helix_region *damage)
{
  pixman_region32_t *step = &convert->steps[++convert->serial % HISTORY];

  pixman_region32_copy (step, (pixman_region32_t *) damage);
  follow_cursor (convert, picture, cursor, step);
}

void
helix_convert_skip (HelixConvert *convert, const helix_region *damage)
{
  take_step (convert, NULL, NULL, damage);
}

gboolean
helix_convert_run (HelixConvert *convert, const HelixPicture *picture,
    const HelixCursor *cursor, const helix_region *damage, GstBuffer *buffer,
    gboolean scratch)
{
  GstVideoFrame out;

  take_step (convert, picture, cursor, damage);
  if (!gst_video_frame_map (&out, &convert->output, buffer, GST_MAP_WRITE))
    return FALSE;
  if (convert->converter == NULL && !helix_pixels_can_write (&out)) {
    gst_video_frame_unmap (&out);
    return FALSE;
  }
  if (convert->whole)
    convert_whole (convert, picture, &out);
  else
    update (convert, picture, &out, scratch);
  gst_video_frame_unmap (&out);
  return TRUE;
}

/* ---- scratch buffers ---- */

/* A scratch buffer that is out: mapped, so that its bytes stay where they
 * are. */
typedef struct {
  GstBuffer *scratch;
  GstMapInfo map;
} Wrapped;

static void
unwrap (gpointer data)
{
  Wrapped *wrapped = data;

  gst_buffer_unmap (wrapped->scratch, &wrapped->map);
  gst_buffer_unref (wrapped->scratch);
  g_free (wrapped);
}

/* The bytes get a memory of their own because a pool throws away a buffer whose
 * memory has another user, and a dying buffer lets go of its metas, a parent
 * buffer among them, before its memories. */
GstBuffer *
helix_convert_wrap (GstBuffer *scratch)
{
  Wrapped *wrapped = g_new (Wrapped, 1);
  GstBuffer *buffer;

  wrapped->scratch = scratch;
  if (!gst_buffer_map (scratch, &wrapped->map, GST_MAP_READ)) {
    gst_buffer_unref (scratch);
    g_free (wrapped);
    return NULL;
  }
  buffer = gst_buffer_new ();
  gst_buffer_append_memory (buffer,
      gst_memory_new_wrapped (GST_MEMORY_FLAG_READONLY, wrapped->map.data,
          wrapped->map.size, 0, wrapped->map.size, wrapped, unwrap));
  gst_buffer_copy_into (buffer, scratch, GST_BUFFER_COPY_META, 0, -1);
  return buffer;
}

guint64
helix_convert_get_bytes (const HelixConvert *convert)
{
  return convert->converted_bytes;
}

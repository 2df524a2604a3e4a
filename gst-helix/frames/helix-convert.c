/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-convert.h"

#include <pixman.h>

#include "helix-rgb.h"
#include "helix-yuv.h"

/* Pictures whose damage is remembered. A buffer that was out for longer is
 * converted whole: pools of encoders are smaller than this. */
#define HISTORY 16

/* What led from one picture to the next: the damage of the screen, and where
 * the cursor was and is. Apart, because a full list of rectangles would become
 * their bounding box. */
typedef struct {
  HelixDamage damage;
  struct helix_rect cursor[2];
  guint n_cursor;
} Step;

/* The way from RGB to the output, box by box. */
typedef void (*ConvertBox) (
    const HelixPicture *, GstVideoFrame *, const struct helix_rect *);

struct _HelixConvert {
  ConvertBox convert_box;       /* NULL: whole pictures only, by */
  GstVideoConverter *converter; /* ... this, or helix-yuv.h if it is NULL */
  GstVideoInfo input, output;   /* input: of the converter */
  guint width, height;          /* of the picture, pixels */
  gboolean configured;
  /* `epoch` tells this configuration from every other of the process,
   * `serial` counts its pictures; steps[n % HISTORY] led to picture n. */
  guint64 epoch, serial;
  Step steps[HISTORY];
  HelixCursor drawn; /* in the newest picture; no image = none */
  struct helix_rect drawn_box;
  guint8 *patch; /* pixels with the cursor in them, or an even size */
  gsize patch_size;
  guint64 converted_bytes;
};

/* What a scratch buffer holds. */
typedef struct {
  guint64 epoch, serial;
} Content;

static GQuark
content_quark (void)
{
  static GQuark quark; /* the same whoever sets it first */

  if (quark == 0)
    quark = g_quark_from_static_string ("helix-convert-content");
  return quark;
}

HelixConvert *
helix_convert_new (void)
{
  return g_new0 (HelixConvert, 1);
}

void
helix_convert_free (HelixConvert *convert)
{
  g_clear_pointer (&convert->converter, gst_video_converter_free);
  helix_cursor_clear (&convert->drawn);
  g_free (convert->patch);
  g_free (convert);
}

static gboolean
make_converter (HelixConvert *convert, const HelixPicture *picture)
{
  GstVideoInfo *input = &convert->input;
  GstStructure *options;

  g_clear_pointer (&convert->converter, gst_video_converter_free);
  helix_picture_info (picture, input);
  /* Of the output's size, so that it does not scale: convert_whole () adds
   * what an odd picture lacks. */
  input->width = convert->output.width;
  input->height = convert->output.height;
  /* Only pixels are converted: the converter insists on equal rates. */
  input->fps_n = convert->output.fps_n;
  input->fps_d = convert->output.fps_d;
  /* Dithering would make two conversions of one picture differ. */
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
  HelixPicture padded;

  g_clear_pointer (&convert->converter, gst_video_converter_free);
  convert->configured = FALSE;
  convert->epoch = __atomic_add_fetch (&epochs, 1, __ATOMIC_RELAXED);
  convert->serial = 0;
  helix_cursor_clear (&convert->drawn);
  convert->width = picture->width;
  convert->height = picture->height;
  convert->output = *output;
  convert->convert_box = helix_yuv_supports (picture, output)
      ? helix_yuv_convert
      : helix_rgb_supports (picture, output) ? helix_rgb_convert
                                             : NULL;
  padded = *picture;
  padded.width = (guint) GST_VIDEO_INFO_WIDTH (output);
  padded.height = (guint) GST_VIDEO_INFO_HEIGHT (output);
  if (convert->convert_box == NULL && !helix_yuv_supports (&padded, output)
      && !make_converter (convert, picture))
    return FALSE;
  convert->configured = TRUE;
  return TRUE;
}

/* ---- the cursor ---- */

/* Compares the cursor to the one drawn before, and notes where pixels differ
 * on its account. */
static void
follow_cursor (HelixConvert *convert, const HelixCursor *cursor, Step *step)
{
  HelixCursor *drawn = &convert->drawn;
  struct helix_rect box = {0};
  GstBuffer *image = NULL;

  if (cursor != NULL
      && helix_cursor_box (cursor, convert->width, convert->height, &box))
    image = cursor->image;
  if (image == drawn->image
      && (image == NULL
          || (cursor->info.x == drawn->info.x
              && cursor->info.y == drawn->info.y)))
    return;
  if (drawn->image != NULL)
    step->cursor[step->n_cursor++] = convert->drawn_box;
  if (image != NULL) {
    step->cursor[step->n_cursor++] = box;
    drawn->info = cursor->info;
    convert->drawn_box = box;
  }
  gst_buffer_replace (&drawn->image, image);
}

/* The pixels of `box`, with the cursor over them if it is drawn, as a picture
 * of their own of this size: where that is larger, the last column or row is
 * repeated. */
static void
make_patch (HelixConvert *convert, const HelixPicture *picture,
    const struct helix_rect *box, guint width, guint height,
    HelixPicture *patch)
{
  gsize stride = (gsize) width * 4, size = stride * height;

  if (size > convert->patch_size) {
    g_free (convert->patch);
    convert->patch = g_malloc (size);
    convert->patch_size = size;
  }
  *patch = *picture;
  patch->pixels = convert->patch;
  patch->width = width;
  patch->height = height;
  patch->stride = (guint) stride;
  patch->y_inverted = FALSE;
  helix_cursor_blend (&convert->drawn, picture, box, convert->patch, stride);
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
  convert->convert_box (&patch, &part, &all);
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

  /* An inverted picture, too: GstVideoConverter (1.22) takes a negative stride
   * for a large one on its way from ARGB to BGRx. */
  if (convert->drawn.image != NULL || width != picture->width
      || height != picture->height || picture->y_inverted) {
    make_patch (convert, picture, &all, width, height, &composed);
    picture = &composed;
  }
  convert->converted_bytes += (guint64) width * height * 4;
  if (convert->converter == NULL) {
    helix_yuv_convert (picture, out, &whole);
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
    helix_rgb_make_opaque (GST_VIDEO_FRAME_PLANE_DATA (out, 0), width, height,
        (gsize) GST_VIDEO_FRAME_PLANE_STRIDE (out, 0));
}

static void
unite (pixman_region32_t *region, const struct helix_rect *rects, guint n)
{
  for (guint i = 0; i < n; i++)
    pixman_region32_union_rect (region, region, (int) rects[i].x,
        (int) rects[i].y, rects[i].width, rects[i].height);
}

/* What `buffer` lacks of the newest picture: FALSE = everything. */
static gboolean
find_missing (
    HelixConvert *convert, GstBuffer *buffer, pixman_region32_t *missing)
{
  const Content *content =
      gst_mini_object_get_qdata (GST_MINI_OBJECT (buffer), content_quark ());

  if (content == NULL || content->epoch != convert->epoch
      || convert->serial - content->serial > HISTORY)
    return FALSE;
  for (guint64 s = content->serial + 1; s <= convert->serial; s++) {
    const Step *step = &convert->steps[s % HISTORY];

    if (step->damage.full)
      return FALSE;
    unite (missing, step->damage.rects, step->damage.n);
    unite (missing, step->cursor, step->n_cursor);
  }
  pixman_region32_intersect_rect (
      missing, missing, 0, 0, convert->width, convert->height);
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

/* Takes the cursor's box out of what is missing. FALSE: it is not in there. */
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

/* Converts what is missing of the newest picture. */
static void
update (HelixConvert *convert, const HelixPicture *picture,
    GstVideoFrame *frame, pixman_region32_t *missing)
{
  gboolean cursor = cut_out_cursor (convert, missing);
  int n = 0;
  const pixman_box32_t *box = pixman_region32_rectangles (missing, &n);

  for (int i = 0; i < n; i++) {
    struct helix_rect rect = {
        .x = (guint32) box[i].x1,
        .y = (guint32) box[i].y1,
        .width = (guint32) (box[i].x2 - box[i].x1),
        .height = (guint32) (box[i].y2 - box[i].y1),
    };

    convert->convert_box (picture, frame, &rect);
    convert->converted_bytes += (guint64) rect.width * rect.height * 4;
  }
  if (cursor)
    draw_cursor (convert, picture, frame);
}

static void
take_step (
    HelixConvert *convert, const HelixCursor *cursor, const HelixDamage *damage)
{
  Step *step;

  convert->serial++;
  step = &convert->steps[convert->serial % HISTORY];
  step->damage = *damage;
  step->n_cursor = 0;
  follow_cursor (convert, cursor, step);
}

void
helix_convert_skip (HelixConvert *convert, const HelixDamage *damage)
{
  take_step (convert, NULL, damage);
}

gboolean
helix_convert_run (HelixConvert *convert, const HelixPicture *picture,
    const HelixCursor *cursor, const HelixDamage *damage, GstBuffer *buffer,
    gboolean scratch)
{
  pixman_region32_t missing;
  GstVideoFrame out;

  g_return_val_if_fail (convert->configured, FALSE);
  take_step (convert, cursor, damage);
  if (!gst_video_frame_map (&out, &convert->output, buffer, GST_MAP_WRITE))
    return FALSE;
  if (convert->convert_box == NULL) {
    convert_whole (convert, picture, &out);
  } else {
    pixman_region32_init (&missing);
    if (!scratch || !find_missing (convert, buffer, &missing)) {
      pixman_region32_fini (&missing);
      pixman_region32_init_rect (
          &missing, 0, 0, picture->width, picture->height);
    }
    update (convert, picture, &out, &missing);
    pixman_region32_fini (&missing);
    if (scratch)
      remember (convert, buffer);
  }
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

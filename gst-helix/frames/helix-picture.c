/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-picture.h"

#define LE (G_BYTE_ORDER == G_LITTLE_ENDIAN)

/* Each without and with alpha. pixman names the bits of a word, the others the
 * bytes in memory. */
static const struct {
  guint32 fourcc;
  GstVideoFormat format;
  pixman_format_code_t pixman;
} formats[] = {
    {HELIX_FOURCC_BGRX, GST_VIDEO_FORMAT_BGRx,
        LE ? PIXMAN_x8r8g8b8 : PIXMAN_b8g8r8x8},
    {HELIX_FOURCC_BGRA, GST_VIDEO_FORMAT_BGRA,
        LE ? PIXMAN_a8r8g8b8 : PIXMAN_b8g8r8a8},
    {HELIX_FOURCC_RGBX, GST_VIDEO_FORMAT_RGBx,
        LE ? PIXMAN_x8b8g8r8 : PIXMAN_r8g8b8x8},
    {HELIX_FOURCC_RGBA, GST_VIDEO_FORMAT_RGBA,
        LE ? PIXMAN_a8b8g8r8 : PIXMAN_r8g8b8a8},
    {HELIX_FOURCC_XRGB, GST_VIDEO_FORMAT_xRGB,
        LE ? PIXMAN_b8g8r8x8 : PIXMAN_x8r8g8b8},
    {HELIX_FOURCC_ARGB, GST_VIDEO_FORMAT_ARGB,
        LE ? PIXMAN_b8g8r8a8 : PIXMAN_a8r8g8b8},
    {HELIX_FOURCC_XBGR, GST_VIDEO_FORMAT_xBGR,
        LE ? PIXMAN_r8g8b8x8 : PIXMAN_x8b8g8r8},
    {HELIX_FOURCC_ABGR, GST_VIDEO_FORMAT_ABGR,
        LE ? PIXMAN_r8g8b8a8 : PIXMAN_a8b8g8r8},
};

GstVideoFormat
helix_picture_format (guint32 fourcc)
{
  for (guint i = 0; i < G_N_ELEMENTS (formats); i++)
    if (formats[i].fourcc == fourcc)
      return formats[i].format;
  return GST_VIDEO_FORMAT_UNKNOWN;
}

pixman_image_t *
helix_picture_image (GstVideoFormat format, gboolean opaque, guint width,
    guint height, const guint8 *pixels, gsize stride)
{
  guint i = 0;

  while (formats[i].format != format)
    i++;
  if (opaque)
    i &= ~1u;
  return pixman_image_create_bits_no_clear (formats[i].pixman, (int) width,
      (int) height, (uint32_t *) (gpointer) pixels, (int) stride);
}

void
helix_picture_from_frame (HelixPicture *picture, const HelixFrame *frame)
{
  picture->pixels = frame->pixels;
  picture->width = frame->info.width;
  picture->height = frame->info.height;
  picture->stride = frame->info.stride;
  picture->format = helix_picture_format (frame->info.fourcc);
}

gboolean
helix_picture_same_shape (const HelixPicture *a, const HelixPicture *b)
{
  return a->width == b->width && a->height == b->height
      && a->format == b->format;
}

gboolean
helix_picture_is_native (const HelixPicture *picture, const GstVideoInfo *info)
{
  GstVideoFormat format = GST_VIDEO_INFO_FORMAT (info);

  if (!gst_video_colorimetry_matches (
          &info->colorimetry, GST_VIDEO_COLORIMETRY_SRGB))
    return FALSE;
  /* Alpha may be ignored where there is one, but not invented. */
  return format == picture->format
      || (format == GST_VIDEO_FORMAT_BGRx
          && picture->format == GST_VIDEO_FORMAT_BGRA);
}

/* Pixels that width and height of 4:2:0 have at least: a macroblock. With
 * fewer, openh264enc ends the pipeline at the first picture. */
#define LEAST 16u

/* All that the source can make of the picture, in this format. 4:2:0 has a
 * colour for each 2x2 pixels, and encoders take only whole ones (x264enc ends
 * the pipeline otherwise). */
static GstCaps *
offer (const HelixPicture *picture, GstVideoFormat format)
{
  guint width = picture->width, height = picture->height;

  if (helix_picture_is_yuv (format)) {
    width = MAX (GST_ROUND_UP_2 (width), LEAST);
    height = MAX (GST_ROUND_UP_2 (height), LEAST);
  }
  return gst_caps_new_simple ("video/x-raw", "format", G_TYPE_STRING,
      gst_video_format_to_string (format), "width", G_TYPE_INT, (gint) width,
      "height", G_TYPE_INT, (gint) height, "framerate", GST_TYPE_FRACTION_RANGE,
      0, 1, G_MAXINT, 1, "pixel-aspect-ratio", GST_TYPE_FRACTION, 1, 1,
      "interlace-mode", G_TYPE_STRING, "progressive", NULL);
}

static GstCaps *
settle (GstCaps *caps, GstVideoFormat format, gint max_num, gint max_den)
{
  gboolean yuv = helix_picture_is_yuv (format);
  const gchar *colorimetry =
      yuv ? GST_VIDEO_COLORIMETRY_BT709 : GST_VIDEO_COLORIMETRY_SRGB;
  GstStructure *structure;

  caps = gst_caps_truncate (caps);
  caps = gst_caps_make_writable (caps);
  structure = gst_caps_get_structure (caps, 0);
  gst_structure_fixate_field_nearest_fraction (
      structure, "framerate", max_num, max_den);
  if (gst_structure_has_field (structure, "colorimetry"))
    gst_structure_fixate_field_string (structure, "colorimetry", colorimetry);
  else
    gst_structure_set (
        structure, "colorimetry", G_TYPE_STRING, colorimetry, NULL);
  if (gst_structure_has_field (structure, "chroma-site"))
    gst_structure_fixate_field_string (structure, "chroma-site", "jpeg");
  else if (yuv)
    gst_structure_set (structure, "chroma-site", G_TYPE_STRING, "jpeg", NULL);
  return gst_caps_fixate (caps);
}

GstCaps *
helix_picture_choose_caps (const HelixPicture *picture, const GstCaps *peer,
    gint max_num, gint max_den)
{
  gboolean bgrx = picture->format == GST_VIDEO_FORMAT_BGRx;
  gboolean bgra = picture->format == GST_VIDEO_FORMAT_BGRA;
  const GstVideoFormat order[] = {
      /* Untouched, if possible. */
      bgrx || bgra ? picture->format : GST_VIDEO_FORMAT_NV12,
      bgra ? GST_VIDEO_FORMAT_BGRx : GST_VIDEO_FORMAT_NV12,
      GST_VIDEO_FORMAT_NV12,
      GST_VIDEO_FORMAT_I420,
      GST_VIDEO_FORMAT_BGRx,
      GST_VIDEO_FORMAT_BGRA,
  };

  for (guint i = 0; i < G_N_ELEMENTS (order); i++) {
    GstCaps *ours, *both;

    ours = offer (picture, order[i]);
    both = gst_caps_intersect_full (
        (GstCaps *) peer, ours, GST_CAPS_INTERSECT_FIRST);
    gst_caps_unref (ours);
    if (!gst_caps_is_empty (both))
      return settle (both, order[i], max_num, max_den);
    gst_caps_unref (both);
  }
  return gst_caps_new_empty ();
}

/* ---- the cursor ---- */

gboolean
helix_picture_cursor_box (const HelixPicture *picture,
    const HelixCursor *cursor, struct helix_rect *box)
{
  const struct helix_cursor *info = &cursor->info;
  /* In 64 bits: the guest may send any values. */
  gint64 x = (gint32) info->x, y = (gint32) info->y;
  gint64 left = MAX (x, 0), right = MIN (x + info->width, picture->width);
  gint64 top = MAX (y, 0), bottom = MIN (y + info->height, picture->height);

  if (!(info->flags & HELIX_CURSOR_VISIBLE) || cursor->image == NULL
      || gst_buffer_get_size (cursor->image)
          != (gsize) info->width * info->height * 4
      || left >= right || top >= bottom)
    return FALSE;
  left &= ~1;
  top &= ~1;
  *box = (struct helix_rect){
      .x = (guint32) left,
      .y = (guint32) top,
      .width = (guint32) (MIN ((right + 1) & ~1, picture->width) - left),
      .height = (guint32) (MIN ((bottom + 1) & ~1, picture->height) - top),
  };
  return TRUE;
}

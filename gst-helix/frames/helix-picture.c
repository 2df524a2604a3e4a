/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-picture.h"

GstVideoFormat
helix_picture_format (guint32 fourcc)
{
  switch (fourcc) {
    case HELIX_FOURCC_BGRX:
      return GST_VIDEO_FORMAT_BGRx;
    case HELIX_FOURCC_BGRA:
      return GST_VIDEO_FORMAT_BGRA;
    case HELIX_FOURCC_RGBX:
      return GST_VIDEO_FORMAT_RGBx;
    case HELIX_FOURCC_RGBA:
      return GST_VIDEO_FORMAT_RGBA;
    case HELIX_FOURCC_XRGB:
      return GST_VIDEO_FORMAT_xRGB;
    case HELIX_FOURCC_ARGB:
      return GST_VIDEO_FORMAT_ARGB;
    case HELIX_FOURCC_XBGR:
      return GST_VIDEO_FORMAT_xBGR;
    case HELIX_FOURCC_ABGR:
      return GST_VIDEO_FORMAT_ABGR;
    default:
      return GST_VIDEO_FORMAT_UNKNOWN;
  }
}

void
helix_picture_from_frame (HelixPicture *picture, const HelixFrame *frame)
{
  picture->pixels = helix_frame_pixels (frame);
  picture->width = frame->info.width;
  picture->height = frame->info.height;
  picture->stride = frame->info.stride;
  picture->format = helix_picture_format (frame->info.fourcc);
  picture->y_inverted = !!(frame->info.flags & HELIX_FRAME_Y_INVERTED);
}

gboolean
helix_picture_same_shape (const HelixPicture *a, const HelixPicture *b)
{
  return a->width == b->width && a->height == b->height
      && a->format == b->format && a->y_inverted == b->y_inverted;
}

void
helix_picture_info (const HelixPicture *picture, GstVideoInfo *info)
{
  gst_video_info_set_format (
      info, picture->format, picture->width, picture->height);
  gst_video_colorimetry_from_string (
      &info->colorimetry, GST_VIDEO_COLORIMETRY_SRGB);
  info->stride[0] = (gint) picture->stride;
}

gboolean
helix_picture_is_native (const HelixPicture *picture, const GstVideoInfo *info)
{
  GstVideoFormat format = GST_VIDEO_INFO_FORMAT (info);

  if (picture->y_inverted
      || !gst_video_colorimetry_matches (
          &info->colorimetry, GST_VIDEO_COLORIMETRY_SRGB))
    return FALSE;
  /* Alpha may be ignored where there is one, but not invented. */
  return format == picture->format
      || (format == GST_VIDEO_FORMAT_BGRx
          && picture->format == GST_VIDEO_FORMAT_BGRA);
}

static gboolean
is_yuv (GstVideoFormat format)
{
  return format == GST_VIDEO_FORMAT_NV12 || format == GST_VIDEO_FORMAT_I420;
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

  if (is_yuv (format)) {
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
  gboolean yuv = is_yuv (format);
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
  const GstVideoFormat order[] = {
      picture->y_inverted ? GST_VIDEO_FORMAT_UNKNOWN : picture->format,
      GST_VIDEO_FORMAT_BGRx, /* untouched too, if it is BGRA */
      GST_VIDEO_FORMAT_NV12,
      GST_VIDEO_FORMAT_I420,
      GST_VIDEO_FORMAT_BGRx,
      GST_VIDEO_FORMAT_BGRA,
  };

  for (guint i = 0; i < G_N_ELEMENTS (order); i++) {
    GstCaps *ours, *both;

    if (i == 0 && order[i] != GST_VIDEO_FORMAT_BGRx
        && order[i] != GST_VIDEO_FORMAT_BGRA)
      continue;
    if (i == 1
        && (picture->format != GST_VIDEO_FORMAT_BGRA || picture->y_inverted))
      continue;
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

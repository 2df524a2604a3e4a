/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-rgb.h"

/* gcc vectorises the loop below from -O3 on only; clang does at -O2. */
#if defined(__GNUC__) && !defined(__clang__) && defined(__OPTIMIZE__)
#pragma GCC optimize("O3")
#endif

/* Of a pixel as a little-endian word. */
typedef struct {
  guint blue, green, red, alpha; /* bits from its low end */
  guint32 opaque;                /* to be set, unless both formats have alpha */
} Places;

static void
find_places (Places *places, GstVideoFormat format, GstVideoFormat output)
{
  const GstVideoFormatInfo *info = gst_video_format_get_info (format);
  const GstVideoFormatInfo *out = gst_video_format_get_info (output);
  gboolean alpha = GST_VIDEO_FORMAT_INFO_HAS_ALPHA (info)
      && GST_VIDEO_FORMAT_INFO_HAS_ALPHA (out);

  places->blue = 8 * GST_VIDEO_FORMAT_INFO_POFFSET (info, GST_VIDEO_COMP_B);
  places->green = 8 * GST_VIDEO_FORMAT_INFO_POFFSET (info, GST_VIDEO_COMP_G);
  places->red = 8 * GST_VIDEO_FORMAT_INFO_POFFSET (info, GST_VIDEO_COMP_R);
  places->alpha =
      8 * (0 + 1 + 2 + 3) - places->blue - places->green - places->red;
  places->opaque = alpha ? 0 : 0xff000000u;
}

static void
convert_row (guint8 *restrict dst, const guint8 *restrict src, guint n,
    const Places *places)
{
  const guint blue = places->blue, green = places->green, red = places->red;
  const guint alpha = places->alpha;
  const guint32 opaque = places->opaque;

  for (guint i = 0; i < n; i++) {
    guint32 in, out;

    memcpy (&in, src + 4 * i, 4);
    in = GUINT32_FROM_LE (in);
    out = (in >> blue & 0xff) | (in >> green & 0xff) << 8
        | (in >> red & 0xff) << 16 | (in >> alpha & 0xff) << 24 | opaque;
    out = GUINT32_TO_LE (out);
    memcpy (dst + 4 * i, &out, 4);
  }
}

gboolean
helix_rgb_supports (const HelixPicture *picture, const GstVideoInfo *output)
{
  GstVideoFormat format = GST_VIDEO_INFO_FORMAT (output);

  return (format == GST_VIDEO_FORMAT_BGRx || format == GST_VIDEO_FORMAT_BGRA)
      && GST_VIDEO_INFO_WIDTH (output) == (gint) picture->width
      && GST_VIDEO_INFO_HEIGHT (output) == (gint) picture->height
      && gst_video_colorimetry_matches (
          &output->colorimetry, GST_VIDEO_COLORIMETRY_SRGB);
}

void
helix_rgb_convert (const HelixPicture *picture, GstVideoFrame *out,
    const struct helix_rect *box)
{
  GstVideoFormat format = GST_VIDEO_FRAME_FORMAT (out);
  gsize stride = (gsize) GST_VIDEO_FRAME_PLANE_STRIDE (out, 0);
  guint8 *data = GST_VIDEO_FRAME_PLANE_DATA (out, 0);
  Places places;

  find_places (&places, picture->format, format);
  for (guint y = box->y; y < box->y + box->height; y++) {
    const guint8 *src = helix_picture_row (picture, y) + 4 * (gsize) box->x;
    guint8 *dst = data + y * stride + 4 * (gsize) box->x;

    if (format == picture->format && places.opaque == 0)
      memcpy (dst, src, 4 * (gsize) box->width);
    else
      convert_row (dst, src, box->width, &places);
  }
}

void
helix_rgb_make_opaque (guint8 *pixels, guint width, guint height, gsize stride)
{
  for (guint y = 0; y < height; y++)
    for (guint x = 0; x < width; x++)
      pixels[y * stride + 4 * (gsize) x + 3] = 255;
}

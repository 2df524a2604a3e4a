/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/check/gstcheck.h>
#include <math.h>

#include "helix-convert.h"
#include "helix-protocol.h"

#define BAR 16 /* pixels: wide enough for a middle without neighbours */

static const guint8 bars[][3] = {{255, 255, 255}, {255, 255, 0}, {0, 255, 255},
    {0, 255, 0}, {255, 0, 255}, {255, 0, 0}, {0, 0, 255}, {0, 0, 0},
    {128, 64, 32}, {1, 2, 3}};

static const guint32 fourccs[] = {HELIX_FOURCC_BGRX, HELIX_FOURCC_BGRA,
    HELIX_FOURCC_RGBX, HELIX_FOURCC_RGBA, HELIX_FOURCC_XRGB, HELIX_FOURCC_ARGB,
    HELIX_FOURCC_XBGR, HELIX_FOURCC_ABGR};

static const GstVideoFormat outputs[] = {GST_VIDEO_FORMAT_NV12,
    GST_VIDEO_FORMAT_I420, GST_VIDEO_FORMAT_BGRx, GST_VIDEO_FORMAT_BGRA};

/* Where red, green, blue and the fourth byte are. */
static void
positions (guint32 fourcc, guint at[4])
{
  static const gchar *const orders[] = {
      "BGRx", "BGRA", "RGBx", "RGBA", "xRGB", "ARGB", "xBGR", "ABGR"};

  for (guint i = 0; i < G_N_ELEMENTS (fourccs); i++) {
    if (fourccs[i] != fourcc)
      continue;
    for (guint b = 0; b < 4; b++)
      at[orders[i][b] == 'R'        ? 0
              : orders[i][b] == 'G' ? 1
              : orders[i][b] == 'B' ? 2
                                    : 3] = b;
  }
}

/* Upright bars; the lower half of the picture is black, so that up and down
 * differ. */
static guint8 *
picture_new (HelixPicture *picture, guint32 fourcc, guint width, guint height,
    guint stride, gboolean y_inverted)
{
  guint8 *pixels = g_malloc0 ((gsize) stride * height);
  guint at[4] = {0};

  positions (fourcc, at);
  for (guint y = 0; y < height; y++) {
    guint8 *row = pixels + (gsize) stride * (y_inverted ? height - 1 - y : y);

    for (guint x = 0; x < width; x++) {
      const guint8 *rgb =
          y < height / 2 ? bars[x / BAR % G_N_ELEMENTS (bars)] : bars[7];

      for (guint c = 0; c < 3; c++)
        row[4 * x + at[c]] = rgb[c];
      row[4 * x + at[3]] = 255;
    }
  }
  picture->pixels = pixels;
  picture->width = width;
  picture->height = height;
  picture->stride = stride;
  picture->format = helix_picture_format (fourcc);
  picture->y_inverted = y_inverted;
  return pixels;
}

/* Caps as the source would choose them. */
static void
output_info (
    GstVideoInfo *info, const HelixPicture *picture, GstVideoFormat format)
{
  GstCaps *peer = gst_caps_new_simple ("video/x-raw", "format", G_TYPE_STRING,
      gst_video_format_to_string (format), NULL);
  GstCaps *caps = helix_picture_choose_caps (picture, peer, 0, 1);

  fail_unless (gst_video_info_from_caps (info, caps));
  gst_caps_unref (caps);
  gst_caps_unref (peer);
}

/* ITU-R BT.709, limited range. */
static void
bt709 (const guint8 rgb[3], gint yuv[3])
{
  gdouble r = rgb[0] / 255., g = rgb[1] / 255., b = rgb[2] / 255.;
  gdouble y = 0.2126 * r + 0.7152 * g + 0.0722 * b;

  yuv[0] = (gint) lrint (16 + 219 * y);
  yuv[1] = (gint) lrint (128 + 224 * (b - y) / 1.8556);
  yuv[2] = (gint) lrint (128 + 224 * (r - y) / 1.5748);
}

static guint8
sample (const GstVideoFrame *frame, guint component, guint x, guint y)
{
  guint sub_x = GST_VIDEO_FORMAT_INFO_W_SUB (frame->info.finfo, component);
  guint sub_y = GST_VIDEO_FORMAT_INFO_H_SUB (frame->info.finfo, component);
  const guint8 *data = GST_VIDEO_FRAME_COMP_DATA (frame, component);

  return data[(y >> sub_y) * GST_VIDEO_FRAME_COMP_STRIDE (frame, component)
      + (x >> sub_x) * GST_VIDEO_FRAME_COMP_PSTRIDE (frame, component)];
}

static void
check_colour (const GstVideoFrame *frame, guint x, guint y, const guint8 rgb[3])
{
  gint want[3] = {rgb[0], rgb[1], rgb[2]};
  gint tolerance = 0;

  if (GST_VIDEO_FORMAT_INFO_IS_YUV (frame->info.finfo)) {
    bt709 (rgb, want);
    /* The weights have 8 bits. */
    tolerance = 1;
  }
  for (guint c = 0; c < 3; c++) {
    gint got = sample (frame, c, x, y);

    fail_unless (ABS (got - want[c]) <= tolerance,
        "%s: component %u at %u,%u is %d, not %d",
        gst_video_format_to_string (GST_VIDEO_FRAME_FORMAT (frame)), c, x, y,
        got, want[c]);
  }
}

static void
check_picture (HelixPicture *picture, GstVideoFormat format)
{
  HelixConvert *convert = helix_convert_new ();
  HelixDamage damage;
  GstVideoInfo info;
  GstVideoFrame frame;
  GstBuffer *buffer;

  output_info (&info, picture, format);
  if (GST_VIDEO_INFO_IS_YUV (&info)) {
    fail_unless_equals_int (
        info.width, MAX (GST_ROUND_UP_2 (picture->width), 16));
    fail_unless_equals_int (
        info.height, MAX (GST_ROUND_UP_2 (picture->height), 16));
  } else {
    fail_unless_equals_int (info.width, picture->width);
    fail_unless_equals_int (info.height, picture->height);
  }
  helix_damage_all (&damage);
  buffer = gst_buffer_new_allocate (NULL, info.size, NULL);
  fail_unless (helix_convert_configure (convert, picture, &info));
  fail_unless (
      helix_convert_run (convert, picture, NULL, &damage, buffer, FALSE));
  fail_unless (gst_video_frame_map (&frame, &info, buffer, GST_MAP_READ));
  for (guint x = BAR / 2; x < picture->width; x += BAR) {
    check_colour (
        &frame, x, picture->height / 4, bars[x / BAR % G_N_ELEMENTS (bars)]);
    check_colour (&frame, x, picture->height * 3 / 4, bars[7]);
    if (GST_VIDEO_FORMAT_INFO_HAS_ALPHA (info.finfo))
      fail_unless_equals_int (sample (&frame, 3, x, 4), 255);
  }
  /* The corners are there too, however odd the size, and so is what makes it
   * even. */
  check_colour (&frame, picture->width - 1, picture->height - 1, bars[7]);
  check_colour (
      &frame, (guint) info.width - 1, (guint) info.height - 1, bars[7]);
  check_colour (&frame, (guint) info.width - 1, 0,
      bars[(picture->width - 1) / BAR % G_N_ELEMENTS (bars)]);
  gst_video_frame_unmap (&frame);
  gst_buffer_unref (buffer);
  helix_convert_free (convert);
}

GST_START_TEST (test_colours)
{
  HelixPicture picture;
  guint8 *pixels;

  for (guint f = 0; f < G_N_ELEMENTS (fourccs); f++) {
    pixels = picture_new (&picture, fourccs[f], 10 * BAR, 64, 40 * BAR, FALSE);
    check_picture (&picture, outputs[__i__]);
    g_free (pixels);
  }
}
GST_END_TEST;

GST_START_TEST (test_upside_down)
{
  HelixPicture picture;
  guint8 *pixels =
      picture_new (&picture, HELIX_FOURCC_BGRX, 160, 64, 160 * 4, TRUE);

  check_picture (&picture, outputs[__i__]);
  g_free (pixels);
}
GST_END_TEST;

GST_START_TEST (test_odd_sizes)
{
  static const guint sizes[][2] = {
      {161, 65}, {1367, 769}, {160, 65}, {163, 64}, {17, 5}};
  HelixPicture picture;
  guint8 *pixels;

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
    /* Rows further apart than they are long. */
    pixels = picture_new (&picture, HELIX_FOURCC_BGRX, sizes[i][0], sizes[i][1],
        sizes[i][0] * 4 + 64, i & 1);
    check_picture (&picture, outputs[__i__]);
    g_free (pixels);
  }
}
GST_END_TEST;

/* The outputs, and one that GstVideoConverter is for. */
static const gchar *const kinds[] = {"video/x-raw, format=NV12",
    "video/x-raw, format=I420", "video/x-raw, format=BGRx",
    "video/x-raw, format=BGRA",
    "video/x-raw, format=BGRx, colorimetry=1:1:5:1"};

static GstBuffer *
from_nothing (const HelixPicture *seen, const GstVideoInfo *info)
{
  HelixConvert *convert = helix_convert_new ();
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, info->size, NULL);
  HelixDamage all;

  helix_damage_all (&all);
  fail_unless (helix_convert_configure (convert, seen, info));
  fail_unless (helix_convert_run (convert, seen, NULL, &all, buffer, FALSE));
  helix_convert_free (convert);
  return buffer;
}

/* What a guest leaves in a byte that means nothing, 0 in UEFI's screen, is
 * 255 behind us: videoconvert takes it for alpha. */
GST_START_TEST (test_no_alpha_is_opaque)
{
  for (guint f = 0; f < G_N_ELEMENTS (fourccs); f++)
    for (guint k = 0; k < G_N_ELEMENTS (kinds); k++) {
      guint8 pixels[4 * 5 * 3] = {0};
      HelixPicture picture = {
          pixels, 5, 3, 20, helix_picture_format (fourccs[f]), FALSE};
      const GstVideoFormatInfo *in = gst_video_format_get_info (picture.format);
      GstCaps *peer = gst_caps_from_string (kinds[k]);
      GstCaps *caps = helix_picture_choose_caps (&picture, peer, 0, 1);
      gboolean alpha;
      GstBuffer *buffer;
      GstVideoInfo info;
      GstMapInfo map;

      fail_unless (gst_video_info_from_caps (&info, caps));
      gst_caps_unref (peer);
      gst_caps_unref (caps);
      if (GST_VIDEO_INFO_IS_YUV (&info))
        continue;
      alpha = GST_VIDEO_FORMAT_INFO_HAS_ALPHA (in)
          && GST_VIDEO_INFO_HAS_ALPHA (&info);
      buffer = from_nothing (&picture, &info);
      fail_unless (gst_buffer_map (buffer, &map, GST_MAP_READ));
      for (gsize i = 3; i < map.size; i += 4)
        fail_unless (map.data[i] == (alpha ? 0 : 255), "%s to %s: %u",
            GST_VIDEO_FORMAT_INFO_NAME (in), kinds[k], map.data[i]);
      gst_buffer_unmap (buffer, &map);
      gst_buffer_unref (buffer);
    }
}
GST_END_TEST;

/* Where downstream's layout differs from the usual one, it is kept to, and
 * nothing outside of it is touched. */
GST_START_TEST (test_foreign_layout)
{
  gsize offset[GST_VIDEO_MAX_PLANES] = {256, 256 + 192 * 80};
  gint stride[GST_VIDEO_MAX_PLANES] = {192, 192};
  HelixConvert *convert = helix_convert_new ();
  HelixPicture picture;
  HelixDamage damage;
  GstVideoInfo info;
  GstVideoFrame frame;
  GstBuffer *buffer;
  guint8 *pixels =
      picture_new (&picture, HELIX_FOURCC_BGRX, 160, 64, 640, FALSE);
  GstMapInfo map;

  output_info (&info, &picture, GST_VIDEO_FORMAT_NV12);
  helix_damage_all (&damage);
  buffer = gst_buffer_new_allocate (NULL, 192 * 140, NULL);
  gst_buffer_memset (buffer, 0, 0x55, 192 * 140);
  gst_buffer_add_video_meta_full (buffer, GST_VIDEO_FRAME_FLAG_NONE,
      GST_VIDEO_FORMAT_NV12, 160, 64, 2, offset, stride);
  fail_unless (helix_convert_configure (convert, &picture, &info));
  fail_unless (
      helix_convert_run (convert, &picture, NULL, &damage, buffer, FALSE));
  fail_unless (gst_video_frame_map (&frame, &info, buffer, GST_MAP_READ));
  check_colour (&frame, 8, 16, bars[0]);
  check_colour (&frame, 40, 16, bars[2]);
  gst_video_frame_unmap (&frame);
  fail_unless (gst_buffer_map (buffer, &map, GST_MAP_READ));
  for (guint i = 0; i < 256; i++)
    fail_unless_equals_int (map.data[i], 0x55);
  for (guint i = 256 + 192 * 64; i < 256 + 192 * 80; i++)
    fail_unless_equals_int (map.data[i], 0x55);
  gst_buffer_unmap (buffer, &map);
  gst_buffer_unref (buffer);
  helix_convert_free (convert);
  g_free (pixels);
}
GST_END_TEST;

GST_START_TEST (test_small_buffer)
{
  HelixConvert *convert = helix_convert_new ();
  HelixPicture picture;
  HelixDamage damage;
  GstVideoInfo info;
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, 100, NULL);
  guint8 *pixels =
      picture_new (&picture, HELIX_FOURCC_BGRX, 160, 64, 640, FALSE);

  output_info (&info, &picture, GST_VIDEO_FORMAT_I420);
  helix_damage_all (&damage);
  fail_unless (helix_convert_configure (convert, &picture, &info));
  fail_if (helix_convert_run (convert, &picture, NULL, &damage, buffer, FALSE));
  gst_buffer_unref (buffer);
  helix_convert_free (convert);
  g_free (pixels);
}
GST_END_TEST;

static Suite *
helix_convert_suite (void)
{
  Suite *s = suite_create ("helix-convert");
  TCase *tc = tcase_create ("general");
  gint n = G_N_ELEMENTS (outputs);

  suite_add_tcase (s, tc);
  tcase_add_loop_test (tc, test_colours, 0, n);
  tcase_add_loop_test (tc, test_upside_down, 0, n);
  tcase_add_loop_test (tc, test_odd_sizes, 0, n);
  tcase_add_test (tc, test_no_alpha_is_opaque);
  tcase_add_test (tc, test_foreign_layout);
  tcase_add_test (tc, test_small_buffer);
  return s;
}

GST_CHECK_MAIN (helix_convert);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/check/gstcheck.h>
#include <string.h>

#include "helix-protocol.h"
#include "helix-rgb.h"

static const guint32 fourccs[] = {HELIX_FOURCC_BGRX, HELIX_FOURCC_BGRA,
    HELIX_FOURCC_RGBX, HELIX_FOURCC_RGBA, HELIX_FOURCC_XRGB, HELIX_FOURCC_ARGB,
    HELIX_FOURCC_XBGR, HELIX_FOURCC_ABGR};

/* The place of blue, green, red and the fourth byte in each. */
static const guint8 places[][4] = {{0, 1, 2, 3}, {0, 1, 2, 3}, {2, 1, 0, 3},
    {2, 1, 0, 3}, {3, 2, 1, 0}, {3, 2, 1, 0}, {1, 2, 3, 0}, {1, 2, 3, 0}};

static const struct helix_rect boxes[] = {{0, 0, 67, 33}, {0, 0, 1, 1},
    {66, 32, 1, 1}, {5, 7, 50, 11}, {1, 0, 66, 1}, {33, 30, 8, 3}};

static void
check_box (const HelixPicture *picture, guint fourcc, GstVideoFormat format,
    const struct helix_rect *box)
{
  const guint8 *at = places[fourcc];
  gsize stride = 67 * 4 + 12;
  guint8 *out = g_malloc (stride * 33);
  GstVideoFrame frame = {0};
  gboolean has_alpha = fourcc % 2 && format == GST_VIDEO_FORMAT_BGRA;

  memset (out, 0x5a, stride * 33);
  gst_video_info_set_format (&frame.info, format, 67, 33);
  fail_unless (helix_rgb_supports (picture, &frame.info));
  frame.info.stride[0] = (gint) stride;
  frame.data[0] = out;
  helix_rgb_convert (picture, &frame, box);
  for (guint y = 0; y < 33; y++) {
    const guint8 *row = helix_picture_row (picture, y);

    for (guint x = 0; x < stride / 4; x++) {
      const guint8 *got = out + y * stride + 4 * x;
      gboolean inside = x >= box->x && x < box->x + box->width && y >= box->y
          && y < box->y + box->height;
      guint8 want[4] = {0x5a, 0x5a, 0x5a, 0x5a};

      for (guint c = 0; inside && c < 4; c++)
        want[c] = c < 3 || has_alpha ? row[4 * x + at[c]] : 255;
      if (memcmp (got, want, 4) != 0)
        fail ("fourcc %u, %u,%u: %02x%02x%02x%02x", fourcc, x, y, got[0],
            got[1], got[2], got[3]);
    }
  }
  g_free (out);
}

/* Each order of bytes, either way up, and nothing outside of the box. */
GST_START_TEST (test_orders)
{
  GRand *rand = g_rand_new_with_seed (1);
  guint stride = 67 * 4 + 20;
  guint8 *pixels = g_malloc ((gsize) stride * 33);

  for (guint i = 0; i < stride * 33; i++)
    pixels[i] = (guint8) g_rand_int (rand);
  for (guint f = 0; f < G_N_ELEMENTS (fourccs); f++) {
    HelixPicture picture = {
        pixels, 67, 33, stride, helix_picture_format (fourccs[f]), __i__ == 1};

    for (guint i = 0; i < G_N_ELEMENTS (boxes); i++) {
      check_box (&picture, f, GST_VIDEO_FORMAT_BGRx, &boxes[i]);
      check_box (&picture, f, GST_VIDEO_FORMAT_BGRA, &boxes[i]);
    }
  }
  g_free (pixels);
  g_rand_free (rand);
}
GST_END_TEST;

GST_START_TEST (test_supports)
{
  HelixPicture picture = {NULL, 64, 48, 256, GST_VIDEO_FORMAT_RGBx, FALSE};
  GstVideoInfo info;

  gst_video_info_set_format (&info, GST_VIDEO_FORMAT_BGRx, 64, 48);
  fail_unless (helix_rgb_supports (&picture, &info));
  gst_video_info_set_format (&info, GST_VIDEO_FORMAT_RGBx, 64, 48);
  fail_if (helix_rgb_supports (&picture, &info));
  gst_video_info_set_format (&info, GST_VIDEO_FORMAT_BGRx, 64, 50);
  fail_if (helix_rgb_supports (&picture, &info));
  gst_video_info_set_format (&info, GST_VIDEO_FORMAT_BGRx, 64, 48);
  fail_unless (gst_video_colorimetry_from_string (
      &info.colorimetry, GST_VIDEO_COLORIMETRY_BT2020));
  fail_if (helix_rgb_supports (&picture, &info));
}
GST_END_TEST;

static Suite *
helix_rgb_suite (void)
{
  Suite *suite = suite_create ("helix-rgb");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (suite, tc);
  tcase_add_loop_test (tc, test_orders, 0, 2);
  tcase_add_test (tc, test_supports);
  return suite;
}

GST_CHECK_MAIN (helix_rgb);

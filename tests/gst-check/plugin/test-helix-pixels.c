/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/check/gstcheck.h>
#include <string.h>

#include "helix-pixels.h"
#include "picture-maker.h"

/* The seed is fixed: a failure names its step and comes back. */
#define SEED 20240229

/* ---- 4:2:0 ---- */

static GstBuffer *
whole (const HelixPicture *picture, const GstVideoInfo *info,
    void (*convert) (
        const HelixPicture *, GstVideoFrame *, const struct helix_rect *))
{
  const struct helix_rect all = {0, 0, picture->width, picture->height};
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, info->size, NULL);
  GstVideoFrame frame;

  gst_buffer_memset (buffer, 0, 0, info->size);
  fail_unless (gst_video_frame_map (&frame, info, buffer, GST_MAP_READWRITE));
  convert (picture, &frame, &all);
  gst_video_frame_unmap (&frame);
  return buffer;
}

/* The picture by the processor's own instructions and in plain C: the same.
 * Returns the former. */
static GstBuffer *
check_same (const HelixPicture *picture, GstVideoFormat format, guint step)
{
  GstBuffer *fast, *plain;
  GstVideoInfo info;

  gst_video_info_set_format (&info, format, GST_ROUND_UP_2 (picture->width),
      GST_ROUND_UP_2 (picture->height));
  fail_unless (gst_video_colorimetry_from_string (
      &info.colorimetry, GST_VIDEO_COLORIMETRY_BT709));
  info.chroma_site = GST_VIDEO_CHROMA_SITE_JPEG;
  fast = whole (picture, &info, helix_pixels_convert);
  plain = whole (picture, &info, helix_pixels_yuv_portable);
  maker_check_same (
      fast, plain, "step %u, %ux%u", step, picture->width, picture->height);
  gst_buffer_unref (plain);
  return fast;
}

GST_START_TEST (test_same_as_portable)
{
  static const guint sizes[][2] = {{1366, 768}, {640, 16}, {33, 2}, {64, 64},
      {1, 1}, {2, 2}, {3, 5}, {31, 7}, {65, 33}, {719, 403}, {3440, 24}};
  GRand *rand = g_rand_new_with_seed (SEED);

  for (guint f = 0; f < MAKER_FORMATS; f++)
    for (guint s = 0; s < G_N_ELEMENTS (sizes); s++)
      for (guint i = 0; i < 2; i++) {
        HelixPicture picture;

        maker_init (&picture, rand, f, sizes[s][0], sizes[s][1]);
        gst_buffer_unref (check_same (
            &picture, i ? GST_VIDEO_FORMAT_I420 : GST_VIDEO_FORMAT_NV12, f));
        g_free ((guint8 *) picture.pixels);
      }
  g_rand_free (rand);
}
GST_END_TEST;

/* The ends of the scale, to the bit: no sum may overflow or saturate. */
GST_START_TEST (test_extremes)
{
  GRand *rand = g_rand_new_with_seed (SEED);
  HelixPicture picture;

  maker_init (&picture, rand, 0, 96, 16);
  for (guint bits = 0; bits < 16; bits++) {
    GstBuffer *buffer;

    for (gsize i = 0; i < (gsize) picture.stride * picture.height; i++)
      ((guint8 *) picture.pixels)[i] = bits & 1u << i % 4 ? 255 : 0;
    buffer = check_same (&picture, GST_VIDEO_FORMAT_I420, bits);
    if ((bits & 7) == 0 || (bits & 7) == 7) {
      guint8 sample[1];

      gst_buffer_extract (buffer, 0, sample, 1);
      fail_unless_equals_int (sample[0], bits & 7 ? 235 : 16);
      gst_buffer_extract (buffer, 96 * 16, sample, 1);
      fail_unless_equals_int (sample[0], 128);
    }
    gst_buffer_unref (buffer);
  }
  g_free ((guint8 *) picture.pixels);
  g_rand_free (rand);
}
GST_END_TEST;

/* ---- RGB ---- */

static void
check_rgb (const HelixPicture *picture, guint fourcc, GstVideoFormat format,
    const struct helix_rect *box)
{
  const guint8 *at = maker_places[fourcc];
  gsize stride = 67 * 4 + 12;
  guint8 *out = g_malloc (stride * 33);
  GstVideoFrame frame = {0};
  gboolean has_alpha = fourcc % 2 && format == GST_VIDEO_FORMAT_BGRA;

  memset (out, 0x5a, stride * 33);
  gst_video_info_set_format (&frame.info, format, 67, 33);
  frame.info.stride[0] = (gint) stride;
  frame.data[0] = out;
  helix_pixels_convert (picture, &frame, box);
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

/* Each order of bytes, and nothing outside of the box. */
GST_START_TEST (test_orders)
{
  static const struct helix_rect boxes[] = {{0, 0, 67, 33}, {0, 0, 1, 1},
      {66, 32, 1, 1}, {5, 7, 50, 11}, {1, 0, 66, 1}, {33, 30, 8, 3}};
  GRand *rand = g_rand_new_with_seed (SEED);

  for (guint f = 0; f < MAKER_FORMATS; f++) {
    HelixPicture picture;

    maker_init (&picture, rand, f, 67, 33);
    for (guint i = 0; i < G_N_ELEMENTS (boxes); i++) {
      check_rgb (&picture, f, GST_VIDEO_FORMAT_BGRx, &boxes[i]);
      check_rgb (&picture, f, GST_VIDEO_FORMAT_BGRA, &boxes[i]);
    }
    g_free ((guint8 *) picture.pixels);
  }
  g_rand_free (rand);
}
GST_END_TEST;

GST_START_TEST (test_can_convert)
{
  static const struct {
    GstVideoFormat format;
    gint width, height;
    const gchar *colorimetry;
    gboolean found;
  } cases[] = {
      {GST_VIDEO_FORMAT_BGRx, 64, 47, GST_VIDEO_COLORIMETRY_SRGB, TRUE},
      {GST_VIDEO_FORMAT_RGBx, 64, 47, GST_VIDEO_COLORIMETRY_SRGB, FALSE},
      {GST_VIDEO_FORMAT_BGRx, 64, 48, GST_VIDEO_COLORIMETRY_SRGB, FALSE},
      {GST_VIDEO_FORMAT_BGRx, 64, 47, GST_VIDEO_COLORIMETRY_BT2020, FALSE},
      {GST_VIDEO_FORMAT_NV12, 64, 48, GST_VIDEO_COLORIMETRY_BT709, TRUE},
      {GST_VIDEO_FORMAT_NV12, 64, 50, GST_VIDEO_COLORIMETRY_BT709, FALSE},
      {GST_VIDEO_FORMAT_NV12, 64, 48, GST_VIDEO_COLORIMETRY_BT601, FALSE},
      {GST_VIDEO_FORMAT_YV12, 64, 48, GST_VIDEO_COLORIMETRY_BT709, FALSE},
  };
  HelixPicture picture = {NULL, 64, 47, 256, GST_VIDEO_FORMAT_RGBx};

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    GstVideoInfo info;

    gst_video_info_set_format (&info, cases[i].format, (guint) cases[i].width,
        (guint) cases[i].height);
    fail_unless (gst_video_colorimetry_from_string (
        &info.colorimetry, cases[i].colorimetry));
    info.chroma_site = GST_VIDEO_CHROMA_SITE_JPEG;
    fail_unless (helix_pixels_can_convert (&picture, &info) == cases[i].found,
        "case %u", i);
  }
}
GST_END_TEST;

static Suite *
helix_pixels_suite (void)
{
  Suite *suite = suite_create ("helix-pixels");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (suite, tc);
  tcase_set_timeout (tc, 180);
  tcase_add_test (tc, test_same_as_portable);
  tcase_add_test (tc, test_extremes);
  tcase_add_test (tc, test_orders);
  tcase_add_test (tc, test_can_convert);
  return suite;
}

GST_CHECK_MAIN (helix_pixels);

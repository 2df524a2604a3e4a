/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/check/gstcheck.h>

#include "helix-picture.h"

/* As `gst-inspect-1.0` shows it for the macOS encoders (1.22). */
#define VTENC \
  "video/x-raw, format = { AYUV64, UYVY, NV12, I420, ARGB64_BE, RGBA64_LE }, " \
  "width = [ 1, 2147483647 ], height = [ 1, 2147483647 ], " \
  "framerate = [ 0/1, 2147483647/1 ]"

static const struct {
  guint32 fourcc;
  const gchar *peer;
  const gchar *format; /* NULL = nothing fits */
} choices[] = {
    {HELIX_FOURCC_BGRX, "ANY", "BGRx"},
    {HELIX_FOURCC_BGRX, VTENC, "NV12"},
    {HELIX_FOURCC_BGRX, "video/x-raw, format=I420", "I420"},
    {HELIX_FOURCC_BGRX, "video/x-raw, format={ I420, NV12 }", "NV12"},
    {HELIX_FOURCC_BGRX, "video/x-raw, format={ NV12, BGRx }", "BGRx"},
    /* Alpha is not invented as long as there is another way. */
    {HELIX_FOURCC_BGRX, "video/x-raw, format={ BGRA, I420 }", "I420"},
    {HELIX_FOURCC_BGRX, "video/x-raw, format=BGRA", "BGRA"},
    {HELIX_FOURCC_BGRA, "ANY", "BGRA"},
    {HELIX_FOURCC_BGRA, "video/x-raw, format={ NV12, BGRx }", "BGRx"},
    {HELIX_FOURCC_RGBX, "ANY", "NV12"},
    {HELIX_FOURCC_XRGB, "video/x-raw, format=BGRx", "BGRx"},
    {HELIX_FOURCC_BGRX, "video/x-raw, format=YUY2", NULL},
    {HELIX_FOURCC_BGRX, "video/x-raw, width=320", NULL},
    {HELIX_FOURCC_BGRX, "video/x-h264", NULL},
};

static GstCaps *
choose (guint32 fourcc, const gchar *peer, gint num, gint den)
{
  HelixPicture picture = {NULL, 1366, 768, 5464, helix_picture_format (fourcc)};
  GstCaps *caps = gst_caps_from_string (peer);
  GstCaps *chosen = helix_picture_choose_caps (&picture, caps, num, den);

  gst_caps_unref (caps);
  return chosen;
}

GST_START_TEST (test_choice)
{
  GstCaps *caps = choose (choices[__i__].fourcc, choices[__i__].peer, 60, 1);

  if (choices[__i__].format == NULL) {
    fail_unless (gst_caps_is_empty (caps));
  } else {
    const gchar *format =
        gst_structure_get_string (gst_caps_get_structure (caps, 0), "format");

    fail_unless (gst_caps_is_fixed (caps));
    fail_unless_equals_string (format, choices[__i__].format);
  }
  gst_caps_unref (caps);
}
GST_END_TEST;

static void
expect (const gchar *peer, gint num, gint den, const gchar *want)
{
  GstCaps *caps = choose (HELIX_FOURCC_BGRX, peer, num, den);
  GstCaps *wanted = gst_caps_from_string (want);

  fail_unless (gst_caps_is_fixed (caps));
  fail_unless (gst_caps_is_subset (caps, wanted),
      "%" GST_PTR_FORMAT " lacks %s", caps, want);
  gst_caps_unref (wanted);
  gst_caps_unref (caps);
}

GST_START_TEST (test_fields)
{
  expect (VTENC, 60, 1,
      "video/x-raw, format=NV12, width=1366, height=768, framerate=60/1, "
      "colorimetry=bt709, chroma-site=jpeg, pixel-aspect-ratio=1/1, "
      "interlace-mode=progressive");
  expect ("video/x-raw, format=BGRx", 60, 1,
      "video/x-raw, format=BGRx, framerate=60/1, colorimetry=sRGB");
  /* Fields that downstream fixes. */
  expect ("video/x-raw, format=NV12, framerate=[ 1/1, 30/1 ]", 60, 1,
      "video/x-raw, framerate=30/1");
  expect ("video/x-raw, format=NV12, colorimetry=bt601, chroma-site=jpeg", 60,
      1, "video/x-raw, colorimetry=bt601, chroma-site=jpeg");
  expect ("video/x-raw, format=NV12, colorimetry={ bt601, bt709 }", 60, 1,
      "video/x-raw, colorimetry=bt709");
  /* max-framerate. */
  expect (VTENC, 25, 1, "video/x-raw, framerate=25/1");
  expect (VTENC, 144, 1, "video/x-raw, framerate=144/1");
}
GST_END_TEST;

GST_START_TEST (test_native)
{
  HelixPicture picture = {NULL, 640, 48, 2560, GST_VIDEO_FORMAT_BGRA};
  GstVideoInfo info;

  gst_video_info_set_format (&info, GST_VIDEO_FORMAT_BGRA, 640, 48);
  fail_unless (helix_picture_is_native (&picture, &info));
  gst_video_info_set_format (&info, GST_VIDEO_FORMAT_BGRx, 640, 48);
  fail_unless (helix_picture_is_native (&picture, &info));
  picture.format = GST_VIDEO_FORMAT_BGRx;
  fail_unless (helix_picture_is_native (&picture, &info));
  gst_video_info_set_format (&info, GST_VIDEO_FORMAT_BGRA, 640, 48);
  fail_if (helix_picture_is_native (&picture, &info));
  gst_video_info_set_format (&info, GST_VIDEO_FORMAT_NV12, 640, 48);
  fail_if (helix_picture_is_native (&picture, &info));
}
GST_END_TEST;

/* Cut off at every edge, far away, or of no known shape. */
GST_START_TEST (test_cursor_box)
{
  static const struct {
    gint32 x, y;
    gboolean seen;
    struct helix_rect box;
  } cases[] = {
      {0, 0, TRUE, {0, 0, 10, 8}},
      {3, 5, TRUE, {2, 4, 12, 10}},
      {-9, -7, TRUE, {0, 0, 2, 2}},
      {-10, 0, FALSE, {0}},
      {0, -8, FALSE, {0}},
      {100, 54, TRUE, {100, 54, 1, 3}},
      {101, 0, FALSE, {0}},
      {0, 57, FALSE, {0}},
      {G_MININT32, G_MININT32, FALSE, {0}},
      {G_MAXINT32, G_MAXINT32, FALSE, {0}},
      {G_MAXINT32 - 4, 0, FALSE, {0}},
  };
  const HelixPicture picture = {NULL, 101, 57, 404, GST_VIDEO_FORMAT_BGRx};
  HelixCursor cursor = {0};
  struct helix_rect box;

  cursor.info.flags = HELIX_CURSOR_VISIBLE;
  fail_if (helix_picture_cursor_box (&picture, &cursor, &box));
  cursor.info.width = 10;
  cursor.info.height = 8;
  cursor.image = gst_buffer_new_allocate (NULL, 10 * 8 * 4, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    cursor.info.x = (guint32) cases[i].x;
    cursor.info.y = (guint32) cases[i].y;
    fail_unless_equals_int (
        helix_picture_cursor_box (&picture, &cursor, &box), cases[i].seen);
    fail_unless (
        !cases[i].seen || memcmp (&box, &cases[i].box, sizeof box) == 0,
        "case %u: %u,%u %ux%u", i, box.x, box.y, box.width, box.height);
  }
  cursor.info.x = cursor.info.y = 0;
  cursor.info.flags = 0;
  fail_if (helix_picture_cursor_box (&picture, &cursor, &box));
  /* An image of another size than its description is not read. */
  cursor.info.flags = HELIX_CURSOR_VISIBLE;
  cursor.info.width = 256;
  fail_if (helix_picture_cursor_box (&picture, &cursor, &box));
  helix_cursor_clear (&cursor);
}
GST_END_TEST;

static Suite *
helix_picture_suite (void)
{
  Suite *s = suite_create ("helix-picture");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_loop_test (tc, test_choice, 0, G_N_ELEMENTS (choices));
  tcase_add_test (tc, test_fields);
  tcase_add_test (tc, test_native);
  tcase_add_test (tc, test_cursor_box);
  return s;
}

GST_CHECK_MAIN (helix_picture);

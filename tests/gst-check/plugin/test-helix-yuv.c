/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/check/gstcheck.h>
#include <string.h>

#include "helix-convert.h"
#include "helix-protocol.h"
#include "helix-yuv.h"

/* The seed is fixed: a failure names its step and comes back. */
#define SEED 20240229

static const guint sizes[][2] = {{1366, 768}, {640, 16}, {33, 2}, {64, 64},
    {1, 1}, {2, 2}, {3, 5}, {31, 7}, {65, 33}, {719, 403}, {3440, 24}};

static const guint32 fourccs[] = {HELIX_FOURCC_BGRX, HELIX_FOURCC_BGRA,
    HELIX_FOURCC_RGBX, HELIX_FOURCC_RGBA, HELIX_FOURCC_XRGB, HELIX_FOURCC_ARGB,
    HELIX_FOURCC_XBGR, HELIX_FOURCC_ABGR};

static void
fill_box (GRand *rand, HelixPicture *picture, const struct helix_rect *box)
{
  for (guint y = box->y; y < box->y + box->height; y++) {
    guint8 *row = (guint8 *) helix_picture_row (picture, y);

    for (guint x = 4 * box->x; x < 4 * (box->x + box->width); x++)
      row[x] = (guint8) g_rand_int (rand);
  }
}

static void
picture_init (HelixPicture *picture, GRand *rand, guint32 fourcc, guint width,
    guint height)
{
  const struct helix_rect all = {0, 0, width, height};

  picture->width = width;
  picture->height = height;
  picture->stride = 4 * (width + g_rand_int_range (rand, 0, 9));
  picture->format = helix_picture_format (fourcc);
  picture->y_inverted = g_rand_boolean (rand);
  picture->pixels = g_malloc0 ((gsize) picture->stride * height);
  fill_box (rand, picture, &all);
}

static void
output_init (
    GstVideoInfo *info, const HelixPicture *picture, GstVideoFormat format)
{
  gst_video_info_set_format (info, format, GST_ROUND_UP_2 (picture->width),
      GST_ROUND_UP_2 (picture->height));
  fail_unless (gst_video_colorimetry_from_string (
      &info->colorimetry, GST_VIDEO_COLORIMETRY_BT709));
  info->chroma_site = GST_VIDEO_CHROMA_SITE_JPEG;
  fail_unless (helix_yuv_supports (picture, info));
}

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

static void
check_same (GstBuffer *a, GstBuffer *b, const HelixPicture *picture, guint step)
{
  GstMapInfo map;

  fail_unless (gst_buffer_map (a, &map, GST_MAP_READ));
  for (gsize i = 0; gst_buffer_memcmp (b, 0, map.data, map.size) != 0; i++)
    fail_unless (gst_buffer_memcmp (b, i, map.data + i, 1) == 0,
        "step %u, %ux%u: byte %" G_GSIZE_FORMAT " differs", step,
        picture->width, picture->height, i);
  gst_buffer_unmap (a, &map);
}

/* What the processor's own instructions give is what plain C gives, for every
 * order of bytes, size and stride. */
GST_START_TEST (test_same_as_portable)
{
  GRand *rand = g_rand_new_with_seed (SEED);

  for (guint f = 0; f < G_N_ELEMENTS (fourccs); f++) {
    for (guint s = 0; s < G_N_ELEMENTS (sizes); s++) {
      for (guint i = 0; i < 2; i++) {
        GstBuffer *fast, *plain;
        HelixPicture picture;
        GstVideoInfo info;

        picture_init (&picture, rand, fourccs[f], sizes[s][0], sizes[s][1]);
        output_init (
            &info, &picture, i ? GST_VIDEO_FORMAT_I420 : GST_VIDEO_FORMAT_NV12);
        fast = whole (&picture, &info, helix_yuv_convert);
        plain = whole (&picture, &info, helix_yuv_convert_portable);
        check_same (fast, plain, &picture, f);
        gst_buffer_unref (fast);
        gst_buffer_unref (plain);
        g_free ((guint8 *) picture.pixels);
      }
    }
  }
  g_rand_free (rand);
}
GST_END_TEST;

/* An even picture of which the last column and row are those of `picture`. */
static void
pad (HelixPicture *padded, const HelixPicture *picture)
{
  guint8 *pixels;

  *padded = *picture;
  padded->width = GST_ROUND_UP_2 (picture->width);
  padded->height = GST_ROUND_UP_2 (picture->height);
  padded->stride = 4 * padded->width;
  padded->y_inverted = FALSE;
  padded->pixels = pixels = g_malloc ((gsize) padded->stride * padded->height);
  for (guint y = 0; y < padded->height; y++)
    for (guint x = 0; x < padded->width; x++, pixels += 4)
      memcpy (pixels,
          helix_picture_row (picture, MIN (y, picture->height - 1))
              + 4 * MIN (x, picture->width - 1),
          4);
}

/* What an odd picture gives is what it gives with its last column and row
 * there twice: nothing of it is lost, nothing is moved. */
GST_START_TEST (test_odd_is_padded)
{
  GRand *rand = g_rand_new_with_seed (SEED);

  for (guint i = 0; i < 400; i++) {
    GstVideoFormat format =
        i & 1 ? GST_VIDEO_FORMAT_I420 : GST_VIDEO_FORMAT_NV12;
    guint width = (guint) g_rand_int_range (rand, 1, 140);
    guint height = (guint) g_rand_int_range (rand, 1, 30);
    GstBuffer *odd, *even;
    HelixPicture picture, padded;
    GstVideoInfo info;

    picture_init (&picture, rand, fourccs[i % 8], width, height);
    output_init (&info, &picture, format);
    pad (&padded, &picture);
    odd = whole (&picture, &info, helix_yuv_convert);
    even = whole (&padded, &info, helix_yuv_convert_portable);
    check_same (odd, even, &picture, i);
    gst_buffer_unref (odd);
    gst_buffer_unref (even);
    g_free ((guint8 *) picture.pixels);
    g_free ((guint8 *) padded.pixels);
  }
  g_rand_free (rand);
}
GST_END_TEST;

/* The ends of the scale, to the bit: no sum may overflow or saturate. */
GST_START_TEST (test_extremes)
{
  GRand *rand = g_rand_new_with_seed (SEED);
  HelixPicture picture;
  GstVideoInfo info;

  picture_init (&picture, rand, HELIX_FOURCC_BGRX, 96, 16);
  output_init (&info, &picture, GST_VIDEO_FORMAT_I420);
  for (guint bits = 0; bits < 16; bits++) {
    GstBuffer *fast, *plain;

    for (gsize i = 0; i < (gsize) picture.stride * picture.height; i++)
      ((guint8 *) picture.pixels)[i] = bits & 1u << i % 4 ? 255 : 0;
    fast = whole (&picture, &info, helix_yuv_convert);
    plain = whole (&picture, &info, helix_yuv_convert_portable);
    check_same (fast, plain, &picture, bits);
    if ((bits & 7) == 0 || (bits & 7) == 7) {
      guint8 sample[1];

      gst_buffer_extract (fast, 0, sample, 1);
      fail_unless_equals_int (sample[0], bits & 7 ? 235 : 16);
      gst_buffer_extract (
          fast, GST_VIDEO_INFO_PLANE_OFFSET (&info, 1), sample, 1);
      fail_unless_equals_int (sample[0], 128);
    }
    gst_buffer_unref (fast);
    gst_buffer_unref (plain);
  }
  g_free ((guint8 *) picture.pixels);
  g_rand_free (rand);
}
GST_END_TEST;

static struct helix_rect
random_box (GRand *rand, const HelixPicture *picture)
{
  struct helix_rect box;

  box.x = (guint32) g_rand_int_range (rand, 0, (gint) picture->width);
  box.y = (guint32) g_rand_int_range (rand, 0, (gint) picture->height);
  box.width =
      (guint32) g_rand_int_range (rand, 1, (gint) (picture->width - box.x) + 1);
  box.height = (guint32) g_rand_int_range (
      rand, 1, (gint) (picture->height - box.y) + 1);
  if (g_rand_boolean (rand)) { /* most damage is small */
    box.width = MIN (box.width, 40);
    box.height = MIN (box.height, 20);
  }
  return box;
}

/* Thousands of steps: canvases in any order, some left out for long, any
 * damage. Each one must hold, byte for byte, what a whole conversion gives,
 * and no more than it lacked may have been converted. */
static void
check_incremental (GRand *rand, guint32 fourcc, guint width, guint height,
    GstVideoFormat format, guint steps)
{
  HelixConvert *convert = helix_convert_new ();
  GstBuffer *canvas[5], *reference;
  HelixPicture picture;
  HelixDamage damage;
  GstVideoInfo info;

  picture_init (&picture, rand, fourcc, width, height);
  output_init (&info, &picture, format);
  fail_unless (helix_convert_configure (convert, &picture, &info));
  for (guint i = 0; i < G_N_ELEMENTS (canvas); i++) {
    canvas[i] = gst_buffer_new_allocate (NULL, info.size, NULL);
    gst_buffer_memset (canvas[i], 0, 0, info.size); /* padding is compared */
  }

  for (guint step = 0; step < steps; step++) {
    guint n = step == 0 ? 0 : (guint) g_rand_int_range (rand, 1, 40);
    /* The last canvas comes up so rarely that its history is gone. */
    guint i = step % 37 == 36 ? 4 : (guint) g_rand_int_range (rand, 0, 4);

    helix_damage_clear (&damage);
    if (n == 0 || g_rand_int_range (rand, 0, 50) == 0)
      helix_damage_all (&damage);
    while (n-- > 0) {
      struct helix_rect box = random_box (rand, &picture);

      fill_box (rand, &picture, &box);
      helix_damage_add (&damage, &box, 1);
    }
    fail_unless (
        helix_convert_run (convert, &picture, NULL, &damage, canvas[i], TRUE));
    reference = whole (&picture, &info, helix_yuv_convert);
    check_same (canvas[i], reference, &picture, step);
    gst_buffer_unref (reference);
  }
  for (guint i = 0; i < G_N_ELEMENTS (canvas); i++)
    gst_buffer_unref (canvas[i]);
  helix_convert_free (convert);
  g_free ((guint8 *) picture.pixels);
}

GST_START_TEST (test_incremental)
{
  static const struct {
    guint width, height, steps;
  } runs[] = {{97, 61, 3000}, {64, 48, 1000}, {1366, 768, 40}, {3440, 1440, 10},
      {1, 1, 50}, {129, 3, 500}, {1, 37, 100}, {64, 31, 500}, {97, 1, 100}};
  GRand *rand = g_rand_new_with_seed (SEED + (guint32) __i__);

  for (guint i = 0; i < G_N_ELEMENTS (runs); i++)
    check_incremental (rand, fourccs[g_rand_int_range (rand, 0, 8)],
        runs[i].width, runs[i].height,
        __i__ ? GST_VIDEO_FORMAT_I420 : GST_VIDEO_FORMAT_NV12, runs[i].steps);
  g_rand_free (rand);
}
GST_END_TEST;

/* The cost follows the change: a 64x64 box in 4K converts 64x64 pixels. */
GST_START_TEST (test_cost)
{
  HelixConvert *convert = helix_convert_new ();
  GRand *rand = g_rand_new_with_seed (SEED);
  struct helix_rect box = {1000, 500, 64, 64};
  guint64 whole_bytes, before;
  HelixPicture picture;
  HelixDamage damage;
  GstVideoInfo info;
  GstBuffer *canvas;

  picture_init (&picture, rand, HELIX_FOURCC_BGRX, 3840, 2160);
  output_init (&info, &picture, GST_VIDEO_FORMAT_NV12);
  fail_unless (helix_convert_configure (convert, &picture, &info));
  canvas = gst_buffer_new_allocate (NULL, info.size, NULL);
  helix_damage_all (&damage);
  fail_unless (
      helix_convert_run (convert, &picture, NULL, &damage, canvas, TRUE));
  whole_bytes = helix_convert_get_bytes (convert);
  fail_unless_equals_uint64 (whole_bytes, 3840ull * 2160 * 4);
  for (guint i = 0; i < 100; i++) {
    helix_damage_clear (&damage);
    helix_damage_add (&damage, &box, 1);
    before = helix_convert_get_bytes (convert);
    fail_unless (
        helix_convert_run (convert, &picture, NULL, &damage, canvas, TRUE));
    fail_unless_equals_uint64 (
        helix_convert_get_bytes (convert) - before, 64 * 64 * 4);
  }
  /* A buffer of somebody else's may hold anything. */
  before = helix_convert_get_bytes (convert);
  fail_unless (
      helix_convert_run (convert, &picture, NULL, &damage, canvas, FALSE));
  fail_unless_equals_uint64 (
      helix_convert_get_bytes (convert) - before, whole_bytes);
  gst_buffer_unref (canvas);
  g_free ((guint8 *) picture.pixels);
  helix_convert_free (convert);
  g_rand_free (rand);
}
GST_END_TEST;

static Suite *
helix_yuv_suite (void)
{
  Suite *suite = suite_create ("helix-yuv");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (suite, tc);
  tcase_set_timeout (tc, 180);
  tcase_add_test (tc, test_same_as_portable);
  tcase_add_test (tc, test_odd_is_padded);
  tcase_add_test (tc, test_extremes);
  tcase_add_loop_test (tc, test_incremental, 0, 2);
  tcase_add_test (tc, test_cost);
  return suite;
}

GST_CHECK_MAIN (helix_yuv);

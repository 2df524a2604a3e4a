/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/check/gstcheck.h>
#include <math.h>
#include <string.h>

#include "helix-pixels.h"
#include "picture-maker.h"

/* The seed is fixed: a failure names its step and comes back. */
#define SEED 19700101

#define BAR 16 /* pixels: wide enough for a middle without neighbours */

static const guint8 bars[][3] = {{255, 255, 255}, {255, 255, 0}, {0, 255, 255},
    {0, 255, 0}, {255, 0, 255}, {255, 0, 0}, {0, 0, 255}, {0, 0, 0},
    {128, 64, 32}, {1, 2, 3}};

/* The last three are for GstVideoConverter. */
static const struct {
  GstVideoFormat format;
  const gchar *colorimetry; /* NULL: the one that helixqemusrc prefers */
} outputs[] = {
    {GST_VIDEO_FORMAT_NV12, NULL},
    {GST_VIDEO_FORMAT_I420, NULL},
    {GST_VIDEO_FORMAT_BGRx, NULL},
    {GST_VIDEO_FORMAT_BGRA, NULL},
    {GST_VIDEO_FORMAT_NV12, GST_VIDEO_COLORIMETRY_BT601},
    {GST_VIDEO_FORMAT_I420, GST_VIDEO_COLORIMETRY_BT601},
    {GST_VIDEO_FORMAT_BGRx, "1:1:5:1"},
};
#define DIRECT 4

/* ---- colours ---- */

/* Upright bars; the lower half of the picture is black, so that up and down
 * differ. */
static guint8 *
picture_new (HelixPicture *picture, guint format, guint width, guint height,
    guint stride)
{
  guint8 *pixels = g_malloc0 ((gsize) stride * height);
  const guint8 *at = maker_places[format];

  for (guint y = 0; y < height; y++)
    for (guint x = 0; x < width; x++) {
      const guint8 *rgb =
          y < height / 2 ? bars[x / BAR % G_N_ELEMENTS (bars)] : bars[7];
      guint8 *pixel = pixels + (gsize) stride * y + 4 * x;

      for (guint c = 0; c < 3; c++)
        pixel[at[c]] = rgb[2 - c];
      pixel[at[3]] = 255;
    }
  *picture = (HelixPicture){pixels, width, height, stride,
      helix_picture_format (maker_fourccs[format])};
  return pixels;
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
    tolerance = 1; /* the weights have 8 bits */
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
  guint w = picture->width, h = picture->height;
  GstVideoInfo info;
  GstVideoFrame frame;
  GstBuffer *buffer;
  gboolean yuv;

  maker_output (&info, picture, format, NULL);
  yuv = GST_VIDEO_INFO_IS_YUV (&info);
  fail_unless_equals_int (info.width, yuv ? MAX (GST_ROUND_UP_2 (w), 16) : w);
  fail_unless_equals_int (info.height, yuv ? MAX (GST_ROUND_UP_2 (h), 16) : h);
  buffer = maker_convert (picture, NULL, &info);
  fail_unless (gst_video_frame_map (&frame, &info, buffer, GST_MAP_READ));
  for (guint x = BAR / 2; x < w; x += BAR) {
    check_colour (&frame, x, h / 4, bars[x / BAR % G_N_ELEMENTS (bars)]);
    check_colour (&frame, x, h * 3 / 4, bars[7]);
    if (GST_VIDEO_FORMAT_INFO_HAS_ALPHA (info.finfo))
      fail_unless_equals_int (sample (&frame, 3, x, 4), 255);
  }
  /* The corners are there too, however odd the size, and so is the padding. */
  check_colour (&frame, w - 1, h - 1, bars[7]);
  check_colour (
      &frame, (guint) info.width - 1, (guint) info.height - 1, bars[7]);
  check_colour (&frame, (guint) info.width - 1, 0,
      bars[(w - 1) / BAR % G_N_ELEMENTS (bars)]);
  gst_video_frame_unmap (&frame);
  gst_buffer_unref (buffer);
}

/* Every order of bytes; even and odd sizes, with rows further apart than they
 * are long. */
GST_START_TEST (test_colours)
{
  static const guint sizes[][2] = {
      {161, 65}, {1367, 769}, {160, 65}, {163, 64}, {17, 5}};
  HelixPicture picture;
  guint8 *pixels;

  for (guint f = 0; f < MAKER_FORMATS; f++) {
    pixels = picture_new (&picture, f, 10 * BAR, 64, 40 * BAR);
    check_picture (&picture, outputs[__i__].format);
    g_free (pixels);
  }
  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
    pixels = picture_new (
        &picture, 0, sizes[i][0], sizes[i][1], sizes[i][0] * 4 + 64);
    check_picture (&picture, outputs[__i__].format);
    g_free (pixels);
  }
}
GST_END_TEST;

/* Rows of downstream that do not begin at whole pixels cannot be written. */
GST_START_TEST (test_odd_stride)
{
  gsize offset[GST_VIDEO_MAX_PLANES] = {0};
  gint stride[GST_VIDEO_MAX_PLANES] = {4 * BAR + 2};
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, 16 * (4 * BAR + 2), NULL);
  HelixConvert *convert = helix_convert_new (1);
  HelixPicture picture;
  guint8 *pixels = picture_new (&picture, 0, BAR, 16, 4 * BAR);
  GstVideoInfo info;
  helix_region all;

  maker_output (&info, &picture, outputs[__i__].format, NULL);
  gst_buffer_add_video_meta_full (buffer, GST_VIDEO_FRAME_FLAG_NONE,
      outputs[__i__].format, BAR, 16, 1, offset, stride);
  pixman_region32_init (&all);
  helix_region_fill (&all, BAR, 16);
  fail_unless (helix_convert_configure (convert, &picture, &info));
  fail_if (helix_convert_run (convert, &picture, NULL, &all, buffer, FALSE));
  pixman_region32_fini (&all);
  helix_convert_free (convert);
  gst_buffer_unref (buffer);
  g_free (pixels);
}
GST_END_TEST;

/* A byte that means nothing, which guests leave at 0 (UEFI's screen), becomes
 * 255: videoconvert takes it for alpha. */
GST_START_TEST (test_no_alpha_is_opaque)
{
  for (guint f = 0; f < MAKER_FORMATS; f++)
    for (guint k = 2; k < G_N_ELEMENTS (outputs); k++) {
      guint8 pixels[4 * 5 * 3] = {0};
      HelixPicture picture = {
          pixels, 5, 3, 20, helix_picture_format (maker_fourccs[f])};
      GstBuffer *buffer;
      GstVideoInfo info;
      GstMapInfo map;
      guint8 want;

      maker_output (&info, &picture, outputs[k].format, outputs[k].colorimetry);
      if (GST_VIDEO_INFO_IS_YUV (&info))
        continue;
      want = f % 2 && GST_VIDEO_INFO_HAS_ALPHA (&info) ? 0 : 255;
      buffer = maker_convert (&picture, NULL, &info);
      fail_unless (gst_buffer_map (buffer, &map, GST_MAP_READ));
      for (gsize i = 3; i < map.size; i += 4)
        fail_unless (map.data[i] == want, "%u to %u: %u", f, k, map.data[i]);
      gst_buffer_unmap (buffer, &map);
      gst_buffer_unref (buffer);
    }
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

/* ---- buffers of downstream ---- */

/* A layout that differs from the usual one is kept to, and nothing outside of
 * it is touched. A buffer that is too small is refused. */
GST_START_TEST (test_foreign_buffers)
{
  gsize offset[GST_VIDEO_MAX_PLANES] = {256, 256 + 192 * 80};
  gint stride[GST_VIDEO_MAX_PLANES] = {192, 192};
  HelixConvert *convert = helix_convert_new (1);
  HelixPicture picture;
  helix_region none;
  GstVideoInfo info;
  GstVideoFrame frame;
  GstBuffer *buffer;
  guint8 *pixels = picture_new (&picture, 0, 160, 64, 640);
  GstMapInfo map;

  pixman_region32_init (&none);
  maker_output (&info, &picture, GST_VIDEO_FORMAT_NV12, NULL);
  buffer = gst_buffer_new_allocate (NULL, 192 * 140, NULL);
  gst_buffer_memset (buffer, 0, 0x55, 192 * 140);
  gst_buffer_add_video_meta_full (buffer, GST_VIDEO_FRAME_FLAG_NONE,
      GST_VIDEO_FORMAT_NV12, 160, 64, 2, offset, stride);
  fail_unless (helix_convert_configure (convert, &picture, &info));
  fail_unless (
      helix_convert_run (convert, &picture, NULL, &none, buffer, FALSE));
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

  buffer = gst_buffer_new_allocate (NULL, 100, NULL);
  fail_if (helix_convert_run (convert, &picture, NULL, &none, buffer, FALSE));
  gst_buffer_unref (buffer);
  pixman_region32_fini (&none);
  helix_convert_free (convert);
  g_free (pixels);
}
GST_END_TEST;

/* ---- scratch buffers and the cursor ---- */

/* A shape with everything in it: opaque, clear and half-clear pixels, and
 * some whose colour claims more than its alpha allows. */
static void
cursor_shape (HelixCursor *cursor, GRand *rand, guint width, guint height)
{
  gsize size = (gsize) width * height * 4;
  guint8 *pixels = g_malloc (size);

  for (gsize i = 0; i < size; i += 4) {
    gint kind = g_rand_int_range (rand, 0, 4);
    guint alpha = kind == 0 ? 0
        : kind == 1         ? 255
                            : (guint) g_rand_int_range (rand, 0, 256);

    for (guint c = 0; c < 3; c++)
      pixels[i + c] = (guint8) g_rand_int_range (
          rand, 0, kind == 3 ? 256 : (gint) alpha + 1);
    pixels[i + 3] = (guint8) alpha;
  }
  helix_cursor_clear (cursor);
  cursor->image = gst_buffer_new_wrapped (pixels, size);
  cursor->info.serial++;
  cursor->info.width = width;
  cursor->info.height = height;
  cursor->info.flags |= HELIX_CURSOR_VISIBLE;
}

/* The picture with the cursor, pixel by pixel, from the definition of
 * premultiplied alpha. Where the output is larger, the last column and row are
 * there twice. */
static void
compose (const HelixPicture *picture, const HelixCursor *cursor, guint fourcc,
    const GstVideoInfo *info, HelixPicture *composed)
{
  const guint8 *at = maker_places[fourcc];
  gboolean alpha = fourcc % 2;
  guint8 *pixels = g_malloc ((gsize) info->width * (gsize) info->height * 4);
  GstMapInfo map = {0};

  *composed = *picture;
  composed->pixels = pixels;
  composed->width = (guint) info->width;
  composed->height = (guint) info->height;
  composed->stride = composed->width * 4;
  if (cursor->image != NULL)
    fail_unless (gst_buffer_map (cursor->image, &map, GST_MAP_READ));
  for (guint i = 0; i < composed->height; i++) {
    for (guint j = 0; j < composed->width; j++) {
      guint x = MIN (j, picture->width - 1), y = MIN (i, picture->height - 1);
      const guint8 *src = helix_picture_row (picture, y) + 4 * x;
      guint8 *dst = pixels + 4 * (i * composed->width + j);
      gint64 cx = (gint64) x - (gint32) cursor->info.x;
      gint64 cy = (gint64) y - (gint32) cursor->info.y;
      const guint8 *over = NULL;

      if (map.data != NULL && cursor->info.flags & HELIX_CURSOR_VISIBLE
          && cx >= 0 && cy >= 0 && cx < cursor->info.width
          && cy < cursor->info.height)
        over = map.data + 4 * (cy * cursor->info.width + cx);
      memcpy (dst, src, 4);
      for (guint c = 0; over != NULL && c < (alpha ? 4 : 3); c++) {
        gdouble sum = over[c] + src[at[c]] * (255 - over[3]) / 255.;

        dst[at[c]] = (guint8) MIN (sum + 0.5, 255.);
      }
    }
  }
  if (map.data != NULL)
    gst_buffer_unmap (cursor->image, &map);
}

/* A conversion of the composed picture, from nothing. */
static GstBuffer *
reference_new (const HelixPicture *picture, const HelixCursor *cursor,
    guint fourcc, const GstVideoInfo *info)
{
  HelixPicture composed;
  GstBuffer *buffer;

  compose (picture, cursor, fourcc, info, &composed);
  buffer = maker_convert (&composed, NULL, info);
  g_free ((guint8 *) composed.pixels);
  return buffer;
}

/* One thing that may happen between two pictures, several at a time. */
static void
disturb (GRand *rand, HelixPicture *picture, HelixCursor *cursor,
    helix_region *damage)
{
  gint w = (gint) picture->width, h = (gint) picture->height;
  guint n = (guint) g_rand_int_range (rand, 0, 40);

  pixman_region32_clear (damage);
  if (g_rand_int_range (rand, 0, 3) == 0)
    n = 0; /* nothing changes */
  if (g_rand_int_range (rand, 0, 50) == 0)
    helix_region_fill (damage, HELIX_MAX_DIMENSION, HELIX_MAX_DIMENSION);
  while (n-- > 0) {
    struct helix_rect box = maker_box (rand, picture);

    maker_fill (rand, picture, &box);
    helix_region_add (damage, &box);
  }
  if (g_rand_int_range (rand, 0, 3) > 0) {
    cursor->info.x = (guint32) g_rand_int_range (rand, -70, w + 10);
    cursor->info.y = (guint32) g_rand_int_range (rand, -70, h + 10);
  }
  if (g_rand_int_range (rand, 0, 6) == 0)
    cursor_shape (cursor, rand, (guint) g_rand_int_range (rand, 1, 65),
        (guint) g_rand_int_range (rand, 1, 65));
  if (g_rand_int_range (rand, 0, 8) == 0)
    cursor->info.flags ^= HELIX_CURSOR_VISIBLE;
}

/* Scratch buffers in any order, some left out for long, pictures that went past
 * them; each must hold, byte for byte, the composed picture, which one thread
 * converted. */
static void
check_incremental (
    GRand *rand, guint output, guint width, guint height, guint steps)
{
  guint fourcc = (guint) g_rand_int_range (rand, 0, MAKER_FORMATS);
  HelixConvert *convert = helix_convert_new (HELIX_PARALLEL_MOST);
  GstBuffer *scratch[5], *reference;
  HelixCursor cursor = {0};
  HelixPicture picture;
  helix_region damage;
  GstVideoInfo info;

  pixman_region32_init (&damage);
  maker_init (&picture, rand, fourcc, width, height);
  maker_output (
      &info, &picture, outputs[output].format, outputs[output].colorimetry);
  fail_unless (helix_convert_configure (convert, &picture, &info));
  for (guint i = 0; i < G_N_ELEMENTS (scratch); i++) {
    scratch[i] = gst_buffer_new_allocate (NULL, info.size, NULL);
    gst_buffer_memset (scratch[i], 0, 0, info.size); /* padding is compared */
  }
  for (guint step = 0; step < steps; step++) {
    /* The last one comes up so rarely that its history is gone. */
    guint i = step % 37 == 36 ? 4 : (guint) g_rand_int_range (rand, 0, 4);

    disturb (rand, &picture, &cursor, &damage);
    if (g_rand_int_range (rand, 0, 10) == 0) {
      helix_convert_skip (convert, &damage);
      continue;
    }
    fail_unless (helix_convert_run (
        convert, &picture, &cursor, &damage, scratch[i], TRUE));
    reference = reference_new (&picture, &cursor, fourcc, &info);
    maker_check_same (scratch[i], reference,
        "%ux%u, step %u, cursor %ux%u at %d,%d", width, height, step,
        cursor.info.width, cursor.info.height, (gint) cursor.info.x,
        (gint) cursor.info.y);
    gst_buffer_unref (reference);
  }
  for (guint i = 0; i < G_N_ELEMENTS (scratch); i++)
    gst_buffer_unref (scratch[i]);
  pixman_region32_fini (&damage);
  helix_cursor_clear (&cursor);
  helix_convert_free (convert);
  g_free ((guint8 *) picture.pixels);
}

GST_START_TEST (test_incremental)
{
  static const guint sizes[][2] = {{1, 1}, {2, 1}, {1, 2}, {2, 2}, {1, 32},
      {33, 1}, {67, 2}, {3, 130}, {66, 35}, {67, 34}, {129, 3}, {1, 37},
      {64, 31}, {97, 1}};
  GRand *rand = g_rand_new_with_seed (SEED + (guint32) __i__);

  for (guint i = 0; i < 8; i++) {
    check_incremental (rand, (guint) __i__, 97, 61, 150);
    check_incremental (rand, (guint) __i__, 64, 48, 100);
  }
  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
    check_incremental (rand, (guint) __i__, sizes[i][0], sizes[i][1], 50);
  check_incremental (rand, (guint) __i__, 641, 97, 20);
  check_incremental (rand, (guint) __i__, 1366, 768, 4);
  /* Large enough for several threads, also in part. */
  check_incremental (rand, (guint) __i__, 1367, 1001, 4);
  g_rand_free (rand);
}
GST_END_TEST;

/* How many bytes a picture with this damage costs. */
static guint64
cost_of (HelixConvert *convert, const HelixPicture *picture,
    const HelixCursor *cursor, const struct helix_rect *box, GstBuffer *buffer,
    gboolean scratch)
{
  guint64 before = helix_convert_get_bytes (convert);
  helix_region damage;

  pixman_region32_init (&damage);
  if (box != NULL)
    helix_region_add (&damage, box);
  fail_unless (
      helix_convert_run (convert, picture, cursor, &damage, buffer, scratch));
  pixman_region32_fini (&damage);
  return helix_convert_get_bytes (convert) - before;
}

/* The cost follows the change. In 4K, a box of 64x64 costs 64x64 pixels; a
 * cursor that moves costs its old and its new place, and nothing while it
 * rests. Only a buffer that others may have written is converted whole. */
GST_START_TEST (test_cost)
{
  const guint64 whole = 3840ull * 2160 * 4;
  const struct helix_rect box = {1000, 500, 64, 64};
  HelixConvert *convert = helix_convert_new (1);
  GRand *rand = g_rand_new_with_seed (SEED);
  HelixCursor cursor = {0};
  HelixPicture picture;
  GstVideoInfo info;
  GstBuffer *buffer;

  maker_init (&picture, rand, 0, 3840, 2160);
  maker_output (&info, &picture, GST_VIDEO_FORMAT_NV12, NULL);
  fail_unless (helix_convert_configure (convert, &picture, &info));
  buffer = gst_buffer_new_allocate (NULL, info.size, NULL);
  fail_unless_equals_uint64 (
      cost_of (convert, &picture, NULL, NULL, buffer, TRUE), whole);
  for (guint i = 0; i < 100; i++)
    fail_unless_equals_uint64 (
        cost_of (convert, &picture, NULL, &box, buffer, TRUE), 64 * 64 * 4);
  fail_unless_equals_uint64 (
      cost_of (convert, &picture, NULL, NULL, buffer, FALSE), whole);

  cursor_shape (&cursor, rand, 64, 64);
  for (guint i = 0; i < 100; i++) {
    cursor.info.x = 31 * i + 70;
    cursor.info.y = (guint32) -10;
    /* Whole blocks: 66 columns at most. */
    fail_unless (cost_of (convert, &picture, &cursor, NULL, buffer, TRUE)
        <= 2 * 66 * 66 * 4);
    fail_unless_equals_uint64 (
        cost_of (convert, &picture, &cursor, NULL, buffer, TRUE), 0);
  }
  gst_buffer_unref (buffer);
  helix_cursor_clear (&cursor);
  g_free ((guint8 *) picture.pixels);
  helix_convert_free (convert);
  g_rand_free (rand);
}
GST_END_TEST;

static Suite *
helix_convert_suite (void)
{
  Suite *s = suite_create ("helix-convert");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_set_timeout (tc, 180);
  tcase_add_loop_test (tc, test_colours, 0, DIRECT);
  tcase_add_test (tc, test_no_alpha_is_opaque);
  tcase_add_test (tc, test_can_convert);
  tcase_add_test (tc, test_foreign_buffers);
  tcase_add_loop_test (tc, test_odd_stride, 2, DIRECT);
  tcase_add_loop_test (tc, test_incremental, 0, G_N_ELEMENTS (outputs));
  tcase_add_test (tc, test_cost);
  return s;
}

GST_CHECK_MAIN (helix_convert);

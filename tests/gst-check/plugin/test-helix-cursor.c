/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/check/gstcheck.h>
#include <string.h>

#include "helix-convert.h"
#include "helix-protocol.h"

/* The seed is fixed: a failure names its step and comes back. */
#define SEED 19700101

static const guint32 fourccs[] = {HELIX_FOURCC_BGRX, HELIX_FOURCC_BGRA,
    HELIX_FOURCC_RGBX, HELIX_FOURCC_RGBA, HELIX_FOURCC_XRGB, HELIX_FOURCC_ARGB,
    HELIX_FOURCC_XBGR, HELIX_FOURCC_ABGR};

/* The place of blue, green, red and the fourth byte in each. */
static const guint8 places[][4] = {{0, 1, 2, 3}, {0, 1, 2, 3}, {2, 1, 0, 3},
    {2, 1, 0, 3}, {3, 2, 1, 0}, {3, 2, 1, 0}, {1, 2, 3, 0}, {1, 2, 3, 0}};

/* The last three are what GstVideoConverter has to do. */
static const struct {
  GstVideoFormat format;
  const gchar *colorimetry;
} outputs[] = {
    {GST_VIDEO_FORMAT_NV12, GST_VIDEO_COLORIMETRY_BT709},
    {GST_VIDEO_FORMAT_I420, GST_VIDEO_COLORIMETRY_BT709},
    {GST_VIDEO_FORMAT_BGRx, GST_VIDEO_COLORIMETRY_SRGB},
    {GST_VIDEO_FORMAT_BGRA, GST_VIDEO_COLORIMETRY_SRGB},
    {GST_VIDEO_FORMAT_NV12, GST_VIDEO_COLORIMETRY_BT601},
    {GST_VIDEO_FORMAT_I420, GST_VIDEO_COLORIMETRY_BT601},
    {GST_VIDEO_FORMAT_BGRx, "1:1:5:1"},
};

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
  picture->stride = 4 * (width + (guint) g_rand_int_range (rand, 0, 9));
  picture->format = helix_picture_format (fourcc);
  picture->y_inverted = g_rand_boolean (rand);
  picture->pixels = g_malloc0 ((gsize) picture->stride * height);
  fill_box (rand, picture, &all);
}

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
  const guint8 *at = places[fourcc];
  gboolean alpha = fourcc % 2;
  guint8 *pixels = g_malloc ((gsize) info->width * (gsize) info->height * 4);
  GstMapInfo map = {0};

  *composed = *picture;
  composed->pixels = pixels;
  composed->width = (guint) info->width;
  composed->height = (guint) info->height;
  composed->stride = composed->width * 4;
  composed->y_inverted = FALSE;
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

static void
check_same (GstBuffer *a, GstBuffer *b, guint step, const HelixCursor *cursor)
{
  GstMapInfo map;

  fail_unless (gst_buffer_map (a, &map, GST_MAP_READ));
  for (gsize i = 0; gst_buffer_memcmp (b, 0, map.data, map.size) != 0; i++)
    fail_unless (gst_buffer_memcmp (b, i, map.data + i, 1) == 0,
        "step %u, cursor %ux%u at %d,%d: byte %" G_GSIZE_FORMAT " differs",
        step, cursor->info.width, cursor->info.height, (gint) cursor->info.x,
        (gint) cursor->info.y, i);
  gst_buffer_unmap (a, &map);
}

/* What a conversion of the composed picture, from nothing, gives. */
static GstBuffer *
reference_new (const HelixPicture *picture, const HelixCursor *cursor,
    guint fourcc, const GstVideoInfo *info)
{
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, info->size, NULL);
  HelixConvert *convert = helix_convert_new ();
  HelixPicture composed;
  HelixDamage damage;

  gst_buffer_memset (buffer, 0, 0, info->size);
  compose (picture, cursor, fourcc, info, &composed);
  helix_damage_all (&damage);
  fail_unless (helix_convert_configure (convert, &composed, info));
  fail_unless (
      helix_convert_run (convert, &composed, NULL, &damage, buffer, FALSE));
  helix_convert_free (convert);
  g_free ((guint8 *) composed.pixels);
  return buffer;
}

/* One thing that may happen between two pictures, several at a time. */
static void
disturb (GRand *rand, HelixPicture *picture, HelixCursor *cursor,
    HelixDamage *damage)
{
  gint w = (gint) picture->width, h = (gint) picture->height;
  guint n = (guint) g_rand_int_range (rand, 0, 40);

  helix_damage_clear (damage);
  if (g_rand_int_range (rand, 0, 3) == 0)
    n = 0; /* a still screen */
  while (n-- > 0) {
    struct helix_rect box;

    box.x = (guint32) g_rand_int_range (rand, 0, w);
    box.y = (guint32) g_rand_int_range (rand, 0, h);
    box.width = (guint32) g_rand_int_range (rand, 1, MIN (w - box.x, 20) + 1);
    box.height = (guint32) g_rand_int_range (rand, 1, MIN (h - box.y, 9) + 1);
    fill_box (rand, picture, &box);
    helix_damage_add (damage, &box, 1);
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

/* What the source chooses for such a downstream. */
static void
info_init (GstVideoInfo *info, const HelixPicture *picture, guint output)
{
  GstCaps *peer = gst_caps_new_simple ("video/x-raw", "format", G_TYPE_STRING,
      gst_video_format_to_string (outputs[output].format), "colorimetry",
      G_TYPE_STRING, outputs[output].colorimetry, NULL);
  GstCaps *caps = helix_picture_choose_caps (picture, peer, 0, 1);

  fail_unless (gst_video_info_from_caps (info, caps));
  gst_caps_unref (caps);
  gst_caps_unref (peer);
}

/* Canvases in any order, some left out for long, pictures that went past them;
 * each must hold, byte for byte, the composed picture. */
static void
check_incremental (
    GRand *rand, guint output, guint width, guint height, guint steps)
{
  guint fourcc = (guint) g_rand_int_range (rand, 0, G_N_ELEMENTS (fourccs));
  HelixConvert *convert = helix_convert_new ();
  GstBuffer *canvas[4], *reference;
  HelixCursor cursor = {0};
  HelixPicture picture;
  HelixDamage damage;
  GstVideoInfo info;

  picture_init (&picture, rand, fourccs[fourcc], width, height);
  info_init (&info, &picture, output);
  fail_unless (helix_convert_configure (convert, &picture, &info));
  for (guint i = 0; i < G_N_ELEMENTS (canvas); i++) {
    canvas[i] = gst_buffer_new_allocate (NULL, info.size, NULL);
    gst_buffer_memset (canvas[i], 0, 0, info.size); /* padding is compared */
  }
  for (guint step = 0; step < steps; step++) {
    /* The last canvas comes up so rarely that its history is gone. */
    guint i = step % 37 == 36 ? 3 : (guint) g_rand_int_range (rand, 0, 3);

    disturb (rand, &picture, &cursor, &damage);
    if (g_rand_int_range (rand, 0, 10) == 0) {
      helix_convert_skip (convert, &damage);
      continue;
    }
    fail_unless (helix_convert_run (
        convert, &picture, &cursor, &damage, canvas[i], TRUE));
    reference = reference_new (&picture, &cursor, fourcc, &info);
    check_same (canvas[i], reference, step, &cursor);
    gst_buffer_unref (reference);
  }
  for (guint i = 0; i < G_N_ELEMENTS (canvas); i++)
    gst_buffer_unref (canvas[i]);
  helix_cursor_clear (&cursor);
  helix_convert_free (convert);
  g_free ((guint8 *) picture.pixels);
}

GST_START_TEST (test_incremental)
{
  static const guint sizes[][2] = {{1, 1}, {2, 1}, {1, 2}, {2, 2}, {1, 32},
      {33, 1}, {67, 2}, {3, 130}, {66, 35}, {67, 34}};
  GRand *rand = g_rand_new_with_seed (SEED + (guint32) __i__);

  for (guint i = 0; i < 8; i++) {
    check_incremental (rand, (guint) __i__, 97, 61, 150);
    check_incremental (rand, (guint) __i__, 64, 48, 100);
  }
  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
    check_incremental (rand, (guint) __i__, sizes[i][0], sizes[i][1], 50);
  check_incremental (rand, (guint) __i__, 641, 97, 20);
  g_rand_free (rand);
}
GST_END_TEST;

/* A cursor that moves over a still 4K screen costs the place that it left and
 * the one where it is, and nothing at all while it rests. */
GST_START_TEST (test_cost)
{
  HelixConvert *convert = helix_convert_new ();
  GRand *rand = g_rand_new_with_seed (SEED);
  HelixCursor cursor = {0};
  HelixPicture picture;
  HelixDamage damage;
  GstVideoInfo info;
  GstBuffer *canvas;
  guint64 before;

  picture_init (&picture, rand, HELIX_FOURCC_BGRX, 3840, 2160);
  gst_video_info_set_format (&info, GST_VIDEO_FORMAT_NV12, 3840, 2160);
  fail_unless (gst_video_colorimetry_from_string (
      &info.colorimetry, GST_VIDEO_COLORIMETRY_BT709));
  info.chroma_site = GST_VIDEO_CHROMA_SITE_JPEG;
  cursor_shape (&cursor, rand, 64, 64);
  fail_unless (helix_convert_configure (convert, &picture, &info));
  canvas = gst_buffer_new_allocate (NULL, info.size, NULL);
  helix_damage_all (&damage);
  fail_unless (
      helix_convert_run (convert, &picture, &cursor, &damage, canvas, TRUE));
  helix_damage_clear (&damage);
  for (guint i = 0; i < 100; i++) {
    cursor.info.x = 31 * i + 70;
    cursor.info.y = (guint32) -10;
    before = helix_convert_get_bytes (convert);
    fail_unless (
        helix_convert_run (convert, &picture, &cursor, &damage, canvas, TRUE));
    /* Whole blocks: 66 columns at most. */
    fail_unless (helix_convert_get_bytes (convert) - before <= 2 * 66 * 66 * 4);
    before = helix_convert_get_bytes (convert);
    fail_unless (
        helix_convert_run (convert, &picture, &cursor, &damage, canvas, TRUE));
    fail_unless_equals_uint64 (helix_convert_get_bytes (convert), before);
  }
  gst_buffer_unref (canvas);
  helix_cursor_clear (&cursor);
  g_free ((guint8 *) picture.pixels);
  helix_convert_free (convert);
  g_rand_free (rand);
}
GST_END_TEST;

/* Cut off at every edge, far away, or of no known shape. */
GST_START_TEST (test_box)
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
  GRand *rand = g_rand_new_with_seed (SEED);
  HelixCursor cursor = {0};
  struct helix_rect box;

  cursor.info.flags = HELIX_CURSOR_VISIBLE;
  fail_if (helix_cursor_box (&cursor, 101, 57, &box));
  cursor_shape (&cursor, rand, 10, 8);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    cursor.info.x = (guint32) cases[i].x;
    cursor.info.y = (guint32) cases[i].y;
    fail_unless_equals_int (
        helix_cursor_box (&cursor, 101, 57, &box), cases[i].seen);
    fail_unless (
        !cases[i].seen || memcmp (&box, &cases[i].box, sizeof box) == 0,
        "case %u: %u,%u %ux%u", i, box.x, box.y, box.width, box.height);
  }
  cursor.info.x = cursor.info.y = 0;
  cursor.info.flags = 0;
  fail_if (helix_cursor_box (&cursor, 101, 57, &box));
  /* An image of another size than its description is not read. */
  cursor.info.flags = HELIX_CURSOR_VISIBLE;
  cursor.info.width = 256;
  fail_if (helix_cursor_box (&cursor, 101, 57, &box));
  helix_cursor_clear (&cursor);
  g_rand_free (rand);
}
GST_END_TEST;

static Suite *
helix_cursor_suite (void)
{
  Suite *suite = suite_create ("helix-cursor");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (suite, tc);
  tcase_set_timeout (tc, 180);
  tcase_add_loop_test (tc, test_incremental, 0, G_N_ELEMENTS (outputs));
  tcase_add_test (tc, test_cost);
  tcase_add_test (tc, test_box);
  return suite;
}

GST_CHECK_MAIN (helix_cursor);

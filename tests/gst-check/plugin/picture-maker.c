/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "picture-maker.h"

#include <gst/check/gstcheck.h>

const guint32 maker_fourccs[] = {HELIX_FOURCC_BGRX, HELIX_FOURCC_BGRA,
    HELIX_FOURCC_RGBX, HELIX_FOURCC_RGBA, HELIX_FOURCC_XRGB, HELIX_FOURCC_ARGB,
    HELIX_FOURCC_XBGR, HELIX_FOURCC_ABGR};

const guint8 maker_places[][4] = {{0, 1, 2, 3}, {0, 1, 2, 3}, {2, 1, 0, 3},
    {2, 1, 0, 3}, {3, 2, 1, 0}, {3, 2, 1, 0}, {1, 2, 3, 0}, {1, 2, 3, 0}};

void
maker_fill (GRand *rand, HelixPicture *picture, const struct helix_rect *box)
{
  for (guint y = box->y; y < box->y + box->height; y++) {
    guint8 *row = (guint8 *) helix_picture_row (picture, y);

    for (guint x = 4 * box->x; x < 4 * (box->x + box->width); x++)
      row[x] = (guint8) g_rand_int (rand);
  }
}

void
maker_init (
    HelixPicture *picture, GRand *rand, guint format, guint width, guint height)
{
  const struct helix_rect all = {0, 0, width, height};

  picture->width = width;
  picture->height = height;
  picture->stride = 4 * (width + (guint) g_rand_int_range (rand, 0, 9));
  picture->format = helix_picture_format (maker_fourccs[format]);
  picture->pixels = g_malloc0 ((gsize) picture->stride * height);
  maker_fill (rand, picture, &all);
}

struct helix_rect
maker_box (GRand *rand, const HelixPicture *picture)
{
  gboolean small = g_rand_boolean (rand);
  gint w = (gint) picture->width, h = (gint) picture->height;
  gint x = g_rand_int_range (rand, 0, w), y = g_rand_int_range (rand, 0, h);
  gint most_w = small ? MIN (w - x, 40) : w - x;
  gint most_h = small ? MIN (h - y, 20) : h - y;

  return (struct helix_rect){(guint32) x, (guint32) y,
      (guint32) g_rand_int_range (rand, 1, most_w + 1),
      (guint32) g_rand_int_range (rand, 1, most_h + 1)};
}

void
maker_output (GstVideoInfo *info, const HelixPicture *picture,
    GstVideoFormat format, const gchar *colorimetry)
{
  GstCaps *peer = gst_caps_new_simple ("video/x-raw", "format", G_TYPE_STRING,
      gst_video_format_to_string (format), NULL);
  GstCaps *caps;

  if (colorimetry != NULL)
    gst_caps_set_simple (peer, "colorimetry", G_TYPE_STRING, colorimetry, NULL);
  caps = helix_picture_choose_caps (picture, peer, 0, 1);
  fail_unless (gst_video_info_from_caps (info, caps));
  gst_caps_unref (caps);
  gst_caps_unref (peer);
}

GstBuffer *
maker_convert (const HelixPicture *picture, const HelixCursor *cursor,
    const GstVideoInfo *info)
{
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, info->size, NULL);
  HelixConvert *convert = helix_convert_new (1);
  helix_region none;

  pixman_region32_init (&none);
  gst_buffer_memset (buffer, 0, 0, info->size);
  fail_unless (helix_convert_configure (convert, picture, info));
  fail_unless (
      helix_convert_run (convert, picture, cursor, &none, buffer, FALSE));
  pixman_region32_fini (&none);
  helix_convert_free (convert);
  return buffer;
}

void
maker_check_same (GstBuffer *a, GstBuffer *b, const gchar *format, ...)
{
  gchar *what;
  GstMapInfo map;
  va_list args;
  gsize i = 0;

  fail_unless (gst_buffer_map (a, &map, GST_MAP_READ));
  if (gst_buffer_memcmp (b, 0, map.data, map.size) != 0) {
    while (gst_buffer_memcmp (b, i, map.data + i, 1) == 0)
      i++;
    va_start (args, format);
    what = g_strdup_vprintf (format, args);
    va_end (args);
    fail ("%s: byte %" G_GSIZE_FORMAT " differs", what, i);
  }
  gst_buffer_unmap (a, &map);
}

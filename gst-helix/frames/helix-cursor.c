/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-cursor.h"

/* The cursor on the picture, in the picture's coordinates; the edges are
 * beyond the last pixel. In 64 bits: x and y are whatever the guest says. */
static gboolean
visible_part (const HelixCursor *cursor, guint width, guint height,
    gint64 *left, gint64 *top, gint64 *right, gint64 *bottom)
{
  gint64 x = (gint32) cursor->info.x, y = (gint32) cursor->info.y;

  if (!(cursor->info.flags & HELIX_CURSOR_VISIBLE) || cursor->image == NULL
      || gst_buffer_get_size (cursor->image)
          != (gsize) cursor->info.width * cursor->info.height * 4)
    return FALSE;
  *left = MAX (x, 0);
  *top = MAX (y, 0);
  *right = MIN (x + cursor->info.width, (gint64) width);
  *bottom = MIN (y + cursor->info.height, (gint64) height);
  return *left < *right && *top < *bottom;
}

gboolean
helix_cursor_box (const HelixCursor *cursor, guint width, guint height,
    struct helix_rect *box)
{
  gint64 left, top, right, bottom;

  if (!visible_part (cursor, width, height, &left, &top, &right, &bottom))
    return FALSE;
  left &= ~1;
  top &= ~1;
  right = MIN ((right + 1) & ~1, (gint64) width);
  bottom = MIN ((bottom + 1) & ~1, (gint64) height);
  box->x = (guint32) left;
  box->y = (guint32) top;
  box->width = (guint32) (right - left);
  box->height = (guint32) (bottom - top);
  return TRUE;
}

/* `over` has its colours multiplied by its alpha already; one that claims
 * more colour than alpha must not wrap around. */
static inline guint8
mix (guint8 over, guint8 under, guint alpha)
{
  guint sum = over + (under * (255 - alpha) + 127) / 255;

  return (guint8) MIN (sum, 255);
}

/* `n` pixels of the cursor's B G R A over pixels whose blue, green, red and
 * fourth byte are at[0..3]. */
static void
blend_row (guint8 *dst, const guint8 *src, guint n, const guint at[4],
    gboolean has_alpha)
{
  for (guint i = 0; i < n; i++, dst += 4, src += 4) {
    guint alpha = src[3];

    if (alpha == 0 && src[0] == 0 && src[1] == 0 && src[2] == 0)
      continue;
    for (guint c = 0; c < 3; c++)
      dst[at[c]] = mix (src[c], dst[at[c]], alpha);
    if (has_alpha)
      dst[at[3]] = mix (src[3], dst[at[3]], alpha);
  }
}

static void
byte_order (GstVideoFormat format, guint at[4], gboolean *has_alpha)
{
  const GstVideoFormatInfo *info = gst_video_format_get_info (format);

  at[0] = (guint) GST_VIDEO_FORMAT_INFO_POFFSET (info, GST_VIDEO_COMP_B);
  at[1] = (guint) GST_VIDEO_FORMAT_INFO_POFFSET (info, GST_VIDEO_COMP_G);
  at[2] = (guint) GST_VIDEO_FORMAT_INFO_POFFSET (info, GST_VIDEO_COMP_R);
  at[3] = 0 + 1 + 2 + 3 - at[0] - at[1] - at[2];
  *has_alpha = GST_VIDEO_FORMAT_INFO_HAS_ALPHA (info);
}

void
helix_cursor_blend (const HelixCursor *cursor, const HelixPicture *picture,
    const struct helix_rect *box, guint8 *pixels, gsize stride)
{
  gint64 left, top, right, bottom;
  gboolean has_alpha;
  GstMapInfo map;
  guint at[4];

  for (guint y = 0; y < box->height; y++)
    memcpy (pixels + y * stride,
        helix_picture_row (picture, box->y + y) + 4 * (gsize) box->x,
        4 * (gsize) box->width);
  if (!visible_part (cursor, picture->width, picture->height, &left, &top,
          &right, &bottom))
    return;
  left = MAX (left, (gint64) box->x);
  top = MAX (top, (gint64) box->y);
  right = MIN (right, (gint64) box->x + box->width);
  bottom = MIN (bottom, (gint64) box->y + box->height);
  if (left >= right || top >= bottom
      || !gst_buffer_map (cursor->image, &map, GST_MAP_READ))
    return;
  byte_order (picture->format, at, &has_alpha);
  for (gint64 y = top; y < bottom; y++) {
    gint64 row = y - (gint32) cursor->info.y;
    gint64 column = left - (gint32) cursor->info.x;

    blend_row (pixels + (y - box->y) * (gint64) stride + 4 * (left - box->x),
        map.data + 4 * (row * cursor->info.width + column),
        (guint) (right - left), at, has_alpha);
  }
  gst_buffer_unmap (cursor->image, &map);
}

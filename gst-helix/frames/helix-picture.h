/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A picture of a screen as the shim delivers it, the caps that describe it, and
 * the cursor over it.
 */
#ifndef HELIX_PICTURE_H
#define HELIX_PICTURE_H

#include <gst/video/video.h>
#include <pixman.h>

#include "helix-frame.h"

G_BEGIN_DECLS

/* Frames a second when nothing says otherwise: what most monitors show. */
#define HELIX_NOMINAL_RATE_NUM 60
#define HELIX_NOMINAL_RATE_DEN 1
/* ... and when there is to be no limit. Caps have to name one: encoders divide
 * by it, fail or guess badly when it is 0/1, and spend their bitrate on so many
 * frames, so that no more than these may come. Few monitors show more. */
#define HELIX_FASTEST_RATE_NUM 240
#define HELIX_FASTEST_RATE_DEN 1

typedef struct {
  const guint8 *pixels; /* of the top row */
  guint width, height;  /* pixels */
  guint stride;         /* bytes */
  GstVideoFormat format;
} HelixPicture;

/* UNKNOWN if the protocol has no such fourcc. */
GstVideoFormat helix_picture_format (guint32 fourcc);

/* pixman's image over pixels of one of the protocol's formats; they are written
 * only as a destination. `stride`: a multiple of 4 bytes. `opaque`: alpha reads
 * as 255. Ownership: the caller's; the pixels are not its own. */
pixman_image_t *helix_picture_image (GstVideoFormat format, gboolean opaque,
    guint width, guint height, const guint8 *pixels, gsize stride);

void helix_picture_from_frame (HelixPicture *picture, const HelixFrame *frame);

/* Whether caps written for `a` are right for `b`. */
gboolean helix_picture_same_shape (
    const HelixPicture *a, const HelixPicture *b);

/* Whether a format of downstream is 4:2:0: NV12 or I420. */
static inline gboolean
helix_picture_is_yuv (GstVideoFormat format)
{
  return format == GST_VIDEO_FORMAT_NV12 || format == GST_VIDEO_FORMAT_I420;
}

/* Where row `y` from the top begins. */
static inline const guint8 *
helix_picture_row (const HelixPicture *picture, guint y)
{
  return picture->pixels + (gsize) y * picture->stride;
}

/* Fixed caps for this picture out of what downstream takes (`peer`), by cost:
 * untouched, else NV12, else I420, else another order of bytes. Width and
 * height of NV12 and I420 are rounded up to even, and to 16 at least. `max`
 * frames a second are announced, or the nearest that downstream takes. Empty
 * when nothing fits. */
GstCaps *helix_picture_choose_caps (const HelixPicture *picture,
    const GstCaps *peer, gint max_num, gint max_den);

/* Whether `info` describes the picture's own bytes. */
gboolean helix_picture_is_native (
    const HelixPicture *picture, const GstVideoInfo *info);

/* Where the cursor lies on a picture of this size, cut off at its edges and
 * widened to whole 2x2 blocks (a last column or row may be half of one).
 * FALSE: no pixel of it is visible. */
gboolean helix_picture_cursor_box (const HelixPicture *picture,
    const HelixCursor *cursor, struct helix_rect *box);

G_END_DECLS

#endif /* HELIX_PICTURE_H */

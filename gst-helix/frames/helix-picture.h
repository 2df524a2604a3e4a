/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A picture of a screen as the shim delivers it, and what GStreamer calls it.
 */
#ifndef HELIX_PICTURE_H
#define HELIX_PICTURE_H

#include <gst/video/video.h>

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
  const guint8 *pixels; /* of the first row in memory */
  guint width, height;  /* pixels */
  guint stride;         /* bytes */
  GstVideoFormat format;
  gboolean y_inverted; /* the first row in memory is the bottom one */
} HelixPicture;

/* UNKNOWN if the protocol has no such fourcc. */
GstVideoFormat helix_picture_format (guint32 fourcc);

void helix_picture_from_frame (HelixPicture *picture, const HelixFrame *frame);

/* Whether caps written for `a` are right for `b`. */
gboolean helix_picture_same_shape (
    const HelixPicture *a, const HelixPicture *b);

/* Where row `y` from the top begins. */
static inline const guint8 *
helix_picture_row (const HelixPicture *picture, guint y)
{
  guint row = picture->y_inverted ? picture->height - 1 - y : y;

  return picture->pixels + (gsize) row * picture->stride;
}

/* Its description as the input of a conversion. */
void helix_picture_info (const HelixPicture *picture, GstVideoInfo *info);

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

G_END_DECLS

#endif /* HELIX_PICTURE_H */

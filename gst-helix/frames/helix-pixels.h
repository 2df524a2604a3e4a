/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A box of the screen's RGB into a format of downstream, at memory speed.
 *
 * To NV12 and I420: ITU-R BT.709, limited range; a chroma sample is the mean of
 * its 2x2 block (chroma-site "jpeg"). The output's width and height are even:
 * an odd picture's last column and row are there twice. To BGRx and BGRA: bytes
 * in another order, or a copy. Alpha is kept where both formats have it;
 * otherwise it, or the byte in its place, is 255: a guest may leave 0 there
 * (UEFI's screen is so), and videoconvert makes alpha of it.
 *
 * Each block of 2x2 pixels depends on its own pixels alone, without dithering:
 * boxes converted one by one give, byte for byte, the same as one conversion of
 * the whole picture. So a large box can be split over threads.
 *
 * RGB is pixman's. 4:2:0 is no library's: libyuv is as fast but knows RGB to
 * BT.601 only (version 1857), which an encoder that writes no colour
 * description (openh264enc) would make a wrong picture of at HD sizes;
 * GstVideoConverter takes six times as long. Figures: docs/PERFORMANCE.md.
 */
#ifndef HELIX_PIXELS_H
#define HELIX_PIXELS_H

#include "helix-parallel.h"
#include "helix-picture.h"

G_BEGIN_DECLS

/* Whether pictures of this shape can become frames of this kind: BGRx or BGRA
 * of the same size in sRGB; NV12 or I420 of the same size, rounded up to even,
 * in BT.709, limited range, chroma-site jpeg. */
gboolean helix_pixels_can_convert (
    const HelixPicture *picture, const GstVideoInfo *output);
/* Whether the rows of `out`, of one of those kinds, begin at whole pixels. */
gboolean helix_pixels_can_write (const GstVideoFrame *out);

/* Converts the pixels of `box`, to NV12 and I420 the 2x2 blocks that it
 * touches, and nothing else. It must lie within the picture, and both functions
 * above be true. `parallel`: for a box large enough to be worth it. */
void helix_pixels_convert (const HelixPicture *picture, GstVideoFrame *out,
    const struct helix_rect *box, HelixParallel *parallel);

/* Makes the fourth byte of each pixel 255, in rows of BGRx. */
void helix_pixels_make_opaque (
    guint8 *pixels, guint width, guint height, gsize stride);

G_END_DECLS

#endif /* HELIX_PIXELS_H */

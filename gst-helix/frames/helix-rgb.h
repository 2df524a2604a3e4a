/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A box of the screen's RGB into BGRx or BGRA: bytes in another order, rows
 * the other way up, or just a copy. As with helix-yuv.h, what is converted
 * box by box is what one conversion of the whole picture gives; no dithering,
 * no rounding, and no more than the box is touched.
 */
#ifndef HELIX_RGB_H
#define HELIX_RGB_H

#include "helix-picture.h"

G_BEGIN_DECLS

/* Whether pictures of this shape can become frames of this kind here: BGRx or
 * BGRA of the same size in sRGB. */
gboolean helix_rgb_supports (
    const HelixPicture *picture, const GstVideoInfo *output);

/* Converts `box`, which must lie within the picture. Alpha is kept where both
 * formats have it, else it, or the byte in its place, is 255: a guest may leave
 * 0 there (UEFI's screen is so), and videoconvert makes alpha of it. */
void helix_rgb_convert (const HelixPicture *picture, GstVideoFrame *out,
    const struct helix_rect *box);

/* Makes the fourth byte of each pixel 255, in rows of BGRx. */
void helix_rgb_make_opaque (
    guint8 *pixels, guint width, guint height, gsize stride);

G_END_DECLS

#endif /* HELIX_RGB_H */

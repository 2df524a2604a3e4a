/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A box of the screen's RGB into 4:2:0, at memory speed.
 *
 * ITU-R BT.709, limited range; a chroma sample is the mean of its 2x2 block
 * (chroma-site "jpeg"). Each block depends on its own pixels alone: what is
 * converted box by box is, byte for byte, what one conversion of the whole
 * picture gives. The output's width and height are even: an odd picture's last
 * column and row are there twice.
 *
 * Our own, and not a library's: libyuv is as fast but knows RGB to BT.601
 * only (version 1857), which an encoder that writes no colour description
 * (openh264enc) would make a wrong picture of at HD sizes; GstVideoConverter
 * takes six times as long. Figures: docs/PERFORMANCE.md.
 */
#ifndef HELIX_YUV_H
#define HELIX_YUV_H

#include "helix-picture.h"

G_BEGIN_DECLS

/* Whether pictures of this shape can become frames of this kind here: NV12 or
 * I420 of the same size, rounded up to even, in BT.709, limited range,
 * chroma-site jpeg. */
gboolean helix_yuv_supports (
    const HelixPicture *picture, const GstVideoInfo *output);

/* Converts the 2x2 blocks that `box` touches; it must lie within the picture
 * and `out` must be one that helix_yuv_supports. */
void helix_yuv_convert (const HelixPicture *picture, GstVideoFrame *out,
    const struct helix_rect *box);

/* The same in portable C, whatever the processor can do: for tests. */
void helix_yuv_convert_portable (const HelixPicture *picture,
    GstVideoFrame *out, const struct helix_rect *box);

G_END_DECLS

#endif /* HELIX_YUV_H */

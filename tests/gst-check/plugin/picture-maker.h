/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pictures of every order of bytes, filled with noise. */
#ifndef PICTURE_MAKER_H
#define PICTURE_MAKER_H

#include "helix-convert.h"

#define MAKER_FORMATS 8

/* Every fourcc; those with an odd index have alpha. */
extern const guint32 maker_fourccs[MAKER_FORMATS];
/* The place of blue, green, red and the fourth byte in each. */
extern const guint8 maker_places[MAKER_FORMATS][4];

/* Noise with room between the rows. Free the pixels. */
void maker_init (HelixPicture *picture, GRand *rand, guint format, guint width,
    guint height);
/* Other noise in `box`. */
void maker_fill (
    GRand *rand, HelixPicture *picture, const struct helix_rect *box);
/* A box anywhere within the picture, small in half of all cases. */
struct helix_rect maker_box (GRand *rand, const HelixPicture *picture);
/* The frames that helixqemusrc would choose for a downstream that takes this
 * format, and this colorimetry or, if it is NULL, any. */
void maker_output (GstVideoInfo *info, const HelixPicture *picture,
    GstVideoFormat format, const gchar *colorimetry);
/* The picture, with the cursor (or NULL), converted from nothing. */
GstBuffer *maker_convert (const HelixPicture *picture,
    const HelixCursor *cursor, const GstVideoInfo *info);
/* Fails at the first byte that differs. */
void maker_check_same (GstBuffer *a, GstBuffer *b, const gchar *format, ...)
    G_GNUC_PRINTF (3, 4);

#endif /* PICTURE_MAKER_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The cursor plane of a scanout, and what a picture looks like beneath it.
 *
 * Nothing here knows slots or canvases: pictures are only read, and the
 * pixels with the cursor in them go to memory of the caller's.
 */
#ifndef HELIX_CURSOR_H
#define HELIX_CURSOR_H

#include "helix-picture.h"

G_BEGIN_DECLS

/* Where the cursor lies on a picture of this size, cut off at its edges and
 * widened to whole 2x2 blocks (a last column or row may be half of one).
 * FALSE: nothing of it is to be seen. */
gboolean helix_cursor_box (const HelixCursor *cursor, guint width, guint height,
    struct helix_rect *box);

/* Writes the pixels of `box`, which lies within the picture, with the cursor
 * over them: rows from the top, `stride` bytes apart, in the picture's format.
 * What is transparent stays exactly as it was. */
void helix_cursor_blend (const HelixCursor *cursor, const HelixPicture *picture,
    const struct helix_rect *box, guint8 *pixels, gsize stride);

G_END_DECLS

#endif /* HELIX_CURSOR_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pictures of the screen into the buffers of a pipeline.
 *
 * One object serves one pair of formats and sizes; a change means configuring
 * it anew. Colours come out as the output's caps say, and the same whichever
 * way they are computed.
 */
#ifndef HELIX_CONVERT_H
#define HELIX_CONVERT_H

#include <gst/video/video.h>

#include "helix-picture.h"
#include "helix-region.h"

G_BEGIN_DECLS

typedef struct _HelixConvert HelixConvert;

/* `threads`: over which large changes are split, as in helix-parallel.h. */
HelixConvert *helix_convert_new (guint threads);
void helix_convert_free (HelixConvert *convert);

/* From pictures of this shape to frames of this kind. FALSE when there is no
 * way from one to the other. */
gboolean helix_convert_configure (HelixConvert *convert,
    const HelixPicture *picture, const GstVideoInfo *output);

/* Converts the picture, whose shape is the configured one, with `cursor` (or
 * NULL) over it, into `buffer`, laid out as its GstVideoMeta or the output
 * says. `damage`: where the picture differs from the one before, cursor apart;
 * it may be larger than the picture.
 *
 * `scratch`: only this function ever writes the buffer, so the result of an
 * earlier conversion is still in it, and only what changed since is converted.
 * Any other buffer is converted whole.
 * Returns: FALSE when the buffer cannot be written or is too small. */
gboolean helix_convert_run (HelixConvert *convert, const HelixPicture *picture,
    const HelixCursor *cursor, const helix_region *damage, GstBuffer *buffer,
    gboolean scratch);

/* A read-only buffer that shows a scratch buffer, which is taken over and goes
 * back to its pool with it. A downstream that wants to write gets a copy, so
 * the scratch buffer returns unchanged, and the next conversion only adds what
 * changed. NULL: the scratch buffer cannot be mapped. */
GstBuffer *helix_convert_wrap (GstBuffer *scratch);

/* A picture without a cursor went another way: scratch buffers lack it now. */
void helix_convert_skip (HelixConvert *convert, const helix_region *damage);

/* Bytes of picture that went through conversion so far. */
guint64 helix_convert_get_bytes (const HelixConvert *convert);

G_END_DECLS

#endif /* HELIX_CONVERT_H */

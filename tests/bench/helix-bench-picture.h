/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which picture of a scene a buffer holds. Costs a few hundred bytes of
 * reading, the same for every way a buffer may have come.
 */
#ifndef HELIX_BENCH_PICTURE_H
#define HELIX_BENCH_PICTURE_H

#include <gst/video/video.h>

G_BEGIN_DECLS

/* `box`: the scene is the sim's pattern box, whose badge moves with the
 * number; `last` is the picture before, from which the search begins (0: from
 * the start). FALSE: there is none to be read, or not in this format. */
gboolean helix_bench_picture_number (GstBuffer *buffer,
    const GstVideoInfo *info, gboolean box, guint32 last, guint32 *number);

G_END_DECLS

#endif /* HELIX_BENCH_PICTURE_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The debug category `helixstream` of everything in this folder. */
#ifndef HELIX_STREAM_DEBUG_H
#define HELIX_STREAM_DEBUG_H

#include <gst/gst.h>

G_BEGIN_DECLS

GST_DEBUG_CATEGORY_EXTERN (helix_stream_debug);

/* Any number of times, from any thread, before the first use. */
void helix_stream_debug_init (void);

G_END_DECLS

#endif /* HELIX_STREAM_DEBUG_H */

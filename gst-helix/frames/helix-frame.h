/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A frame, and a cursor, as the shim handed them over.
 */
#ifndef HELIX_FRAME_H
#define HELIX_FRAME_H

#include <gst/gst.h>

#include "helix-damage.h"
#include "helix-slot-memory.h"

G_BEGIN_DECLS

/* A frame, in a slot that is ours until helix_frame_clear (). */
typedef struct {
  struct helix_frame info;
  HelixDamage damage;  /* since the frame that was handed out before */
  HelixSlotPool *pool; /* a reference */
} HelixFrame;

/* The cursor plane as the shim told it last. */
typedef struct {
  struct helix_cursor info; /* SHAPE in flags: the image is new */
  GstBuffer *image; /* a reference; B G R A as in struct helix_cursor, or NULL
                     * before there was any */
} HelixCursor;

/* Lets go of the image. */
void helix_cursor_clear (HelixCursor *cursor);

const guint8 *helix_frame_pixels (const HelixFrame *frame);
/* Gives the slot back. */
void helix_frame_clear (HelixFrame *frame);
/* The pixels as memory that gives the slot back when it goes; clears it. */
GstMemory *helix_frame_steal_memory (HelixFrame *frame);

/* `frame` takes the place of `older`, whose damage is added to its own:
 * nothing of what changed meanwhile is forgotten. `older` may have been
 * cleared or given away; its info and damage count. The slot of `frame` is
 * then `older`'s. */
void helix_frame_supersede (HelixFrame *older, HelixFrame *frame);

G_END_DECLS

#endif /* HELIX_FRAME_H */

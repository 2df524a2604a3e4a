/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A frame, and a cursor, as the shim sent them, and the memory of a
 * subscription's slots.
 *
 * A pool is opened once. Each slot that is held, by a HelixFrame or by a
 * GstMemory anywhere in a pipeline, keeps the pool; letting go of it sends the
 * shim a RELEASE. Thread: any.
 */
#ifndef HELIX_FRAME_H
#define HELIX_FRAME_H

#include <gst/gst.h>

#include "helix-connection.h"
#include "helix-protocol.h"

G_BEGIN_DECLS

typedef struct _HelixSlotPool HelixSlotPool;

/* `fd` is the descriptor that came along, or -1; it stays the caller's. NULL
 * when the pool cannot be had: *why = a static sentence, errno EPROTO when
 * the shim broke the rules, EPERM when its memory is not sealed. */
HelixSlotPool *helix_slot_pool_new (HelixConnection *connection,
    guint16 channel, const struct helix_pool *info, int fd, const char **why);
HelixSlotPool *helix_slot_pool_ref (HelixSlotPool *pool);
void helix_slot_pool_unref (HelixSlotPool *pool);

/* As announced. */
const struct helix_pool *helix_slot_pool_info (HelixSlotPool *pool);
/* The first `size` bytes of a slot, slot_size at most, are new. FALSE: the shim
 * cut its memory off; errno. */
gboolean helix_slot_pool_fetch (HelixSlotPool *pool, guint slot, gsize size);
/* Where the slot's pixels begin. */
guint8 *helix_slot_pool_pixels (HelixSlotPool *pool, guint slot);

/* The pool was replaced or its connection is over: no RELEASE any more. */
void helix_slot_pool_retire (HelixSlotPool *pool);

/* The shim handed the slot over. FALSE when it was not the shim's to give:
 * it is held here. */
gboolean helix_slot_pool_take (HelixSlotPool *pool, guint slot);
/* Gives it back. */
void helix_slot_pool_release (HelixSlotPool *pool, guint slot);
/* Slots that the shim has. */
guint helix_slot_pool_free_slots (HelixSlotPool *pool);

/* A frame, in a slot that is ours until helix_frame_clear (). */
typedef struct {
  struct helix_frame info; /* `rects`: of damage */
  /* Where it differs from the frame that was handed out before; may be larger
   * than the picture. */
  struct helix_rect damage[HELIX_MAX_RECTS];
  HelixSlotPool *pool; /* a reference */
} HelixFrame;

const guint8 *helix_frame_pixels (const HelixFrame *frame);
/* Gives the slot back. */
void helix_frame_clear (HelixFrame *frame);
/* The pixels as read-only memory that gives the slot back when it goes; clears
 * the frame. */
GstMemory *helix_frame_steal_memory (HelixFrame *frame);

/* The cursor plane, as of the last CURSOR. */
typedef struct {
  struct helix_cursor info; /* SHAPE in flags: the image is new */
  GstBuffer *image; /* a reference; B G R A as in struct helix_cursor, or NULL
                     * before there was any */
} HelixCursor;

/* Lets go of the image. */
void helix_cursor_clear (HelixCursor *cursor);

G_END_DECLS

#endif /* HELIX_FRAME_H */

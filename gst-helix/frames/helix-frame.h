/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A frame, and a cursor, as the shim sent them, and the memory of a
 * subscription's slots.
 *
 * A slot that the shim handed over is a GstMemory, which may be anywhere in a
 * pipeline and outlives the pool. Its end sends the shim a RELEASE. Thread:
 * any.
 */
#ifndef HELIX_FRAME_H
#define HELIX_FRAME_H

#include <gst/gst.h>

#include "helix-connection.h"
#include "helix-platform.h"
#include "helix-protocol.h"

G_BEGIN_DECLS

/* Thread: any may read `info`; the rest is private. */
typedef struct {
  struct helix_pool info; /* as announced */
  gatomicrefcount refs;   /* the owner's, and one for each slot that is held */
  HelixConnection *connection; /* may be over */
  guint16 channel;
  struct helix_shm shm;
  gint held;    /* atomic, bit i: slot i is ours */
  gint retired; /* atomic */
} HelixSlotPool;

/* `fd` is the descriptor that came along, or -1; it stays the caller's. NULL
 * when the pool cannot be had: *why = a static sentence, errno EPROTO when
 * the shim broke the rules, EPERM when its memory is not sealed. */
HelixSlotPool *helix_slot_pool_new (HelixConnection *connection,
    guint16 channel, const struct helix_pool *info, int fd, const char **why);
/* The pool was replaced or its connection is over: slots that are held stay
 * valid, and send no RELEASE any more. */
void helix_slot_pool_free (HelixSlotPool *pool);

/* Slots that the shim has. */
guint helix_slot_pool_free_slots (HelixSlotPool *pool);

/* The shim handed over the slot that `frame` names.
 * Returns: its stride * height bytes at *pixels, read-only; the memory's end
 * gives the slot back. NULL: *why = a static sentence when the shim broke the
 * rules; *why = NULL and errno when it cut its memory off. */
GstMemory *helix_slot_pool_take (HelixSlotPool *pool,
    const struct helix_frame *frame, const guint8 **pixels, const char **why);

/* The cursor plane, as of the last CURSOR. */
typedef struct {
  struct helix_cursor info; /* SHAPE in flags: the image is new */
  GstBuffer *image; /* a reference; B G R A as in struct helix_cursor, or NULL
                     * before there was any */
} HelixCursor;

/* Lets go of the image. */
void helix_cursor_clear (HelixCursor *cursor);

/* A frame, in a slot that is ours until helix_frame_clear (). */
typedef struct {
  struct helix_frame info; /* `rects`: of damage */
  /* Where it differs from the frame that was handed out before; may be larger
   * than the picture. */
  struct helix_rect damage[HELIX_MAX_RECTS];
  GstMemory *memory;    /* a reference, may be stolen; NULL = no frame */
  const guint8 *pixels; /* in `memory`, stride * height bytes */
  HelixSlotPool *pool;  /* valid as long as `memory` */
} HelixFrame;

/* Gives the slot back. */
void helix_frame_clear (HelixFrame *frame);

G_END_DECLS

#endif /* HELIX_FRAME_H */

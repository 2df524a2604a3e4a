/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The memory of a subscription's slots, and a slot's content as GstMemory.
 *
 * A pool is opened once. Each slot that is held, by the element or by a
 * GstMemory anywhere in a pipeline, keeps the pool; letting go of it
 * sends the shim a RELEASE, from whatever thread that happens in.
 */
#ifndef HELIX_SLOT_MEMORY_H
#define HELIX_SLOT_MEMORY_H

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
/* Gives it back. Any thread. */
void helix_slot_pool_release (HelixSlotPool *pool, guint slot);
/* Slots that the shim has. */
guint helix_slot_pool_free_slots (HelixSlotPool *pool);

/* The first `size` bytes of a held slot as read-only memory. The slot, and a
 * reference to the pool, are the memory's from here on. */
GstMemory *helix_slot_memory_new (HelixSlotPool *pool, guint slot, gsize size);

G_END_DECLS

#endif /* HELIX_SLOT_MEMORY_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What waits to be written to one client. Io thread only.
 *
 * Control messages are bounded by their writer: it reads nothing more from a
 * client and asks no subscription for more while helix_outbox_full (). Pixels
 * of INLINE pools are not copied: they are sent from their slot, which stays
 * SENDING until the last byte is out, one frame at a time. Those of a cursor
 * are sent from its shape, one CURSOR of a subscription at a time.
 */
#ifndef HELIX_OUTBOX_H
#define HELIX_OUTBOX_H

#include "helix-memory.h"

struct helix_shape;
struct helix_subscription;
struct helix_out;

#define HELIX_OUTBOX_LIMIT (64u << 10) /* bytes of control messages */

struct helix_outbox {
  struct helix_out *head, **tail;
  size_t size;    /* bytes of control messages waiting */
  bool streaming; /* an INLINE frame is among them */
};

void helix_outbox_init (struct helix_outbox *outbox);
void helix_outbox_clear (struct helix_outbox *outbox);
bool helix_outbox_full (const struct helix_outbox *outbox);
bool helix_outbox_empty (const struct helix_outbox *outbox);

void helix_outbox_push (
    struct helix_outbox *outbox, const void *message, size_t size);
/* POOL: the descriptor goes with the first byte, then is closed here. */
void helix_outbox_push_pool (struct helix_outbox *outbox, const void *message,
    size_t size, struct helix_memory *memory);
/* FRAME of an INLINE pool: `bulk` bytes of the slot follow the message. */
void helix_outbox_push_pixels (struct helix_outbox *outbox, const void *message,
    size_t size, struct helix_subscription *subscription,
    struct helix_memory *memory, uint32_t slot, size_t bulk);

/* CURSOR: with a shape, whose reference moves here, its pixels follow the
 * message. The subscription hears when it is gone (helix_cursor_sent). */
void helix_outbox_push_cursor (struct helix_outbox *outbox, const void *message,
    size_t size, struct helix_subscription *subscription,
    struct helix_shape *shape, size_t bulk);

/* Writes what the socket takes. false: the connection is lost, errno set. */
bool helix_outbox_flush (struct helix_outbox *outbox, int fd);

#endif /* HELIX_OUTBOX_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The memory of a subscription's slots, and what each slot is good for.
 *
 * A slot goes round: FREE -> FILLING (the display thread writes) -> READY
 * (waits for the io thread) -> SENDING (INLINE pools: its pixels are on their
 * way) -> CLIENT -> (RELEASE) -> FREE. Only the display thread ever writes
 * pixels, and only in FILLING; so in any other state it may also read them,
 * to fill another slot. `state` is guarded by the shim's lock.
 */
#ifndef HELIX_MEMORY_H
#define HELIX_MEMORY_H

#include "helix-region.h"

#define HELIX_PAGE 4096u /* bytes: the protocol's slot granularity */

enum helix_slot_state {
  HELIX_SLOT_FREE,
  HELIX_SLOT_FILLING,
  HELIX_SLOT_READY,
  HELIX_SLOT_SENDING,
  HELIX_SLOT_CLIENT,
};

struct helix_slot {
  enum helix_slot_state state;
  /* display thread */
  helix_region lacks;  /* pixels that changed since it was filled */
  uint64_t pass;       /* display pass that filled it last */
  uint64_t capture_ns; /* of that fill */
  /* written in FILLING, read by the io thread from READY on */
  struct helix_frame frame;
  struct helix_rect rects[HELIX_MAX_RECTS];
};

struct helix_memory {
  int refs;
  uint32_t id; /* pool_id */
  uint32_t kind;
  uint32_t slots;
  uint64_t slot_size, total_size; /* bytes */
  uint64_t filled;                /* bytes that have their pages; io thread */
  uint8_t *map;
  int client_fd; /* io thread; -1 once sent, or INLINE */
  uint64_t mode; /* display thread: the mode that `lacks` speaks about */
  struct helix_memory *next; /* in the shim's list of memory to free */
  struct helix_slot slot[HELIX_MAX_SLOTS];
};

/* Pages that a session's new memory gets at a time, before the io thread
 * serves the others: half a millisecond or so. */
#define HELIX_FILL_AT_ONCE (1u << 20) /* bytes */

/* Reserves it, without pages. NULL with errno set. */
struct helix_memory *helix_memory_new (
    uint32_t slots, uint64_t slot_size, bool shared);
enum helix_fill {
  HELIX_FILL_DONE,
  HELIX_FILL_MORE,   /* call again */
  HELIX_FILL_FAILED, /* errno; free it */
};
/* Gives it pages, `*budget` bytes at most, which it takes off there: so that
 * the display thread never has to wait for one. */
enum helix_fill helix_memory_fill (
    struct helix_memory *memory, uint64_t *budget);
struct helix_memory *helix_memory_ref (struct helix_memory *memory);
/* True when that was the last one: the caller frees, where time allows. */
bool helix_memory_unref (struct helix_memory *memory);
void helix_memory_free (struct helix_memory *memory);

uint8_t *helix_memory_pixels (struct helix_memory *memory, uint32_t slot);

#endif /* HELIX_MEMORY_H */

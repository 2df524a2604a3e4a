/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The memory of a subscription's slots, and what each slot is good for.
 *
 * A slot goes round: FREE -> FILLING (the display thread writes, or a thread
 * of the screen's owner while a readback is pending) -> READY (waits to be
 * sent) -> CLIENT -> (RELEASE) -> FREE. Pixels are written in FILLING only,
 * which the display thread begins and ends; so in any other state it may also
 * read them, to fill another slot.
 *
 * Thread: the io thread makes it, gives it its pages and frees it; both threads
 * hold references.
 */
#ifndef HELIX_SHIM_MEMORY_H
#define HELIX_SHIM_MEMORY_H

#include "helix-region.h"
#include "helix-shim-base.h"

#define HELIX_SHIM_PAGE 4096u /* bytes: the protocol's slot granularity */

enum helix_shim_slot_state {
  HELIX_SHIM_SLOT_FREE,
  HELIX_SHIM_SLOT_FILLING,
  HELIX_SHIM_SLOT_READY,
  HELIX_SHIM_SLOT_CLIENT,
};

struct helix_shim_slot {
  enum helix_shim_slot_state state; /* [lock] */
  /* [display] */
  helix_region stale; /* pixels that changed since it was filled */
  uint64_t pass_ns;   /* of the display pass that filled it last */
  /* written in FILLING, read by the thread that sends it */
  struct helix_frame frame;
  struct helix_rect rects[HELIX_MAX_RECTS];
};

struct helix_shim_memory {
  int refs;
  struct helix_shim *shim;
  uint32_t id; /* pool_id */
  uint32_t slots;
  uint64_t slot_size, total_size; /* bytes */
  uint64_t filled;                /* [io] bytes that have their pages */
  uint8_t *map;
  int client_fd; /* [io] -1 once it is the queue's */
  uint64_t mode; /* [display] the mode that `stale` speaks about */
  struct helix_shim_memory *next; /* in shim->unused */
  struct helix_shim_slot slot[HELIX_MAX_SLOTS];
};

/* Pages that a client's new memory gets at a time, before the io thread serves
 * the others: half a millisecond or so. */
#define HELIX_SHIM_FILL_AT_ONCE (1u << 20) /* bytes */

/* Reserves it, without pages. NULL with errno set. */
struct helix_shim_memory *helix_shim_memory_new (
    struct helix_shim *shim, uint32_t slots, uint64_t slot_size);

/* Gives it pages, `*budget` bytes at most, which it takes off there: so that
 * the display thread never has to wait for one. false: errno. */
bool helix_shim_memory_fill (
    struct helix_shim_memory *memory, uint64_t *budget);

struct helix_shim_memory *helix_shim_memory_ref (
    struct helix_shim_memory *memory);
/* Any thread. The last reference leaves it to helix_shim_memory_free_unused,
 * since unmapping takes its time. NULL is ignored. */
void helix_shim_memory_unref (struct helix_shim_memory *memory);
/* Io thread. */
void helix_shim_memory_free_unused (struct helix_shim *shim);

uint8_t *helix_shim_memory_pixels (
    struct helix_shim_memory *memory, uint32_t slot);

#endif /* HELIX_SHIM_MEMORY_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-memory.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <glib.h>

#include "helix-platform.h"

struct helix_memory *
helix_memory_new (uint32_t slots, uint64_t slot_size, bool shared)
{
  struct helix_memory *memory = g_new0 (struct helix_memory, 1);
  void *map = NULL;
  bool sealed = false;

  memory->refs = 1;
  memory->slots = slots;
  memory->slot_size = (slot_size + HELIX_PAGE - 1) / HELIX_PAGE * HELIX_PAGE;
  memory->total_size = memory->slot_size * slots;
  memory->client_fd = -1;
  if (memory->total_size > SIZE_MAX / 2) {
    errno = ENOMEM;
    goto failed;
  }
  if (!shared) {
    memory->kind = HELIX_POOL_INLINE;
    if (posix_memalign (&map, HELIX_PAGE, (size_t) memory->total_size)) {
      errno = ENOMEM;
      goto failed;
    }
  } else {
    if (helix_shm_create (
            (size_t) memory->total_size, &map, &memory->client_fd, &sealed)
        < 0)
      goto failed;
    memory->kind = sealed ? HELIX_POOL_SEALED : HELIX_POOL_FILE;
  }
  memory->map = map;
  for (uint32_t i = 0; i < slots; i++)
    helix_region_init (&memory->slot[i].lacks);
  return memory;

failed:
  g_free (memory);
  return NULL;
}

enum helix_fill
helix_memory_fill (struct helix_memory *memory, uint64_t *budget)
{
  uint64_t left = memory->total_size - memory->filled;
  size_t part = (size_t) MIN (left, *budget);

  if (part > 0 && helix_shm_populate (memory->map + memory->filled, part) < 0)
    return HELIX_FILL_FAILED;
  *budget -= part;
  memory->filled += part;
  return part == left ? HELIX_FILL_DONE : HELIX_FILL_MORE;
}

struct helix_memory *
helix_memory_ref (struct helix_memory *memory)
{
  __atomic_fetch_add (&memory->refs, 1, __ATOMIC_RELAXED);
  return memory;
}

bool
helix_memory_unref (struct helix_memory *memory)
{
  return __atomic_sub_fetch (&memory->refs, 1, __ATOMIC_ACQ_REL) == 0;
}

void
helix_memory_free (struct helix_memory *memory)
{
  if (memory->kind == HELIX_POOL_INLINE)
    free (memory->map);
  else
    helix_shm_unmap (memory->map, (size_t) memory->total_size);
  if (memory->client_fd >= 0)
    close (memory->client_fd);
  for (uint32_t i = 0; i < memory->slots; i++)
    helix_region_fini (&memory->slot[i].lacks);
  g_free (memory);
}

uint8_t *
helix_memory_pixels (struct helix_memory *memory, uint32_t slot)
{
  return memory->map + slot * memory->slot_size;
}

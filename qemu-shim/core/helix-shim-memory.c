/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Io thread, but for references and pixels: any thread. */
#include "helix-shim-memory.h"

#include <errno.h>
#include <unistd.h>

#include "helix-platform.h"

struct helix_shim_memory *
helix_shim_memory_new (
    struct helix_shim *shim, uint32_t slots, uint64_t slot_size)
{
  struct helix_shim_memory *memory = g_new0 (struct helix_shim_memory, 1);
  void *map = NULL;

  memory->refs = 1;
  memory->shim = shim;
  memory->slots = slots;
  memory->slot_size =
      (slot_size + HELIX_SHIM_PAGE - 1) / HELIX_SHIM_PAGE * HELIX_SHIM_PAGE;
  memory->total_size = memory->slot_size * slots;
  errno = ENOMEM;
  if (memory->total_size > SIZE_MAX / 2
      || helix_shm_create (
             (size_t) memory->total_size, &map, &memory->client_fd)
          < 0) {
    g_free (memory);
    return NULL;
  }
  memory->map = map;
  __atomic_fetch_add (
      &shim->memory_bytes, memory->total_size, __ATOMIC_RELAXED);
  for (uint32_t i = 0; i < slots; i++)
    pixman_region32_init (&memory->slot[i].stale);
  return memory;
}

bool
helix_shim_memory_fill (struct helix_shim_memory *memory, uint64_t *budget)
{
  size_t part = (size_t) MIN (memory->total_size - memory->filled, *budget);

  if (part > 0 && helix_shm_populate (memory->map + memory->filled, part) < 0)
    return false;
  *budget -= part;
  memory->filled += part;
  return true;
}

struct helix_shim_memory *
helix_shim_memory_ref (struct helix_shim_memory *memory)
{
  __atomic_fetch_add (&memory->refs, 1, __ATOMIC_RELAXED);
  return memory;
}

void
helix_shim_memory_unref (struct helix_shim_memory *memory)
{
  struct helix_shim *shim;

  if (!memory || __atomic_sub_fetch (&memory->refs, 1, __ATOMIC_ACQ_REL) != 0)
    return;
  shim = memory->shim;
  memory->next = __atomic_load_n (&shim->unused, __ATOMIC_RELAXED);
  while (!__atomic_compare_exchange_n (&shim->unused, &memory->next, memory,
      true, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
    ;
  helix_shim_wake_io (shim);
}

static void
free_memory (struct helix_shim_memory *memory)
{
  __atomic_fetch_sub (
      &memory->shim->memory_bytes, memory->total_size, __ATOMIC_RELAXED);
  helix_shm_unmap (memory->map, (size_t) memory->total_size);
  if (memory->client_fd >= 0)
    close (memory->client_fd);
  for (uint32_t i = 0; i < memory->slots; i++)
    pixman_region32_fini (&memory->slot[i].stale);
  g_free (memory);
}

void
helix_shim_memory_free_unused (struct helix_shim *shim)
{
  struct helix_shim_memory *memory =
      __atomic_exchange_n (&shim->unused, NULL, __ATOMIC_ACQUIRE);

  while (memory) {
    struct helix_shim_memory *next = memory->next;

    free_memory (memory);
    memory = next;
  }
}

uint8_t *
helix_shim_memory_pixels (struct helix_shim_memory *memory, uint32_t slot)
{
  return memory->map + slot * memory->slot_size;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-frame.h"

#include <errno.h>

#include "helix-pack.h"
#include "helix-platform.h"

/* ---- the pool ---- */

struct _HelixSlotPool {
  gatomicrefcount refs;
  HelixConnection *connection; /* may be over */
  guint16 channel;
  struct helix_pool info;
  struct helix_shm shm;
  gint held;    /* atomic, bit i: slot i is ours */
  gint retired; /* atomic */
};

/* The slot that a GstMemory keeps. */
typedef struct {
  HelixSlotPool *pool;
  guint slot;
} Lease;

HelixSlotPool *
helix_slot_pool_new (HelixConnection *connection, guint16 channel,
    const struct helix_pool *info, int fd, const char **why)
{
  struct helix_shm shm = {.fd = -1};
  HelixSlotPool *pool;

  errno = EPROTO;
  if (info->slots < 2 || info->slots > HELIX_MAX_SLOTS
      || info->slot_size > HELIX_MAX_FRAME_BYTES
      || info->total_size != info->slot_size * info->slots) {
    *why = "POOL: its sizes contradict each other";
    return NULL;
  }
  *why = "POOL: its file descriptor did not come along";
  if (fd < 0
      || !helix_shm_open (
          &shm, fd, info->total_size, info->kind == HELIX_POOL_SEALED, why))
    return NULL;

  pool = g_new0 (HelixSlotPool, 1);
  g_atomic_ref_count_init (&pool->refs);
  pool->connection = helix_connection_ref (connection);
  pool->channel = channel;
  pool->info = *info;
  pool->shm = shm;
  return pool;
}

HelixSlotPool *
helix_slot_pool_ref (HelixSlotPool *pool)
{
  g_atomic_ref_count_inc (&pool->refs);
  return pool;
}

void
helix_slot_pool_unref (HelixSlotPool *pool)
{
  if (!g_atomic_ref_count_dec (&pool->refs))
    return;
  helix_shm_close (&pool->shm);
  helix_connection_unref (pool->connection);
  g_free (pool);
}

const struct helix_pool *
helix_slot_pool_info (HelixSlotPool *pool)
{
  return &pool->info;
}

gboolean
helix_slot_pool_fetch (HelixSlotPool *pool, guint slot, gsize size)
{
  g_assert (slot < pool->info.slots);
  return helix_shm_fetch (&pool->shm, slot * (gsize) pool->info.slot_size, size)
      == 0;
}

guint8 *
helix_slot_pool_pixels (HelixSlotPool *pool, guint slot)
{
  g_assert (slot < pool->info.slots);
  return pool->shm.bytes + slot * (gsize) pool->info.slot_size;
}

void
helix_slot_pool_retire (HelixSlotPool *pool)
{
  g_atomic_int_set (&pool->retired, TRUE);
}

gboolean
helix_slot_pool_take (HelixSlotPool *pool, guint slot)
{
  guint bit = 1u << slot;

  g_assert (slot < pool->info.slots);
  return !(g_atomic_int_or ((guint *) &pool->held, bit) & bit);
}

void
helix_slot_pool_release (HelixSlotPool *pool, guint slot)
{
  struct helix_release release = {pool->info.pool_id, slot};
  guint8 message[HELIX_MAX_MESSAGE];
  guint bit = 1u << slot;
  gsize size;

  /* Before the shim knows, for it may hand the slot over again at once. */
  if (!(g_atomic_int_and ((guint *) &pool->held, ~bit) & bit)) {
    g_critical ("slot %u was given back twice", slot);
    return;
  }
  if (g_atomic_int_get (&pool->retired))
    return;
  size = helix_pack_release (message, pool->channel, &release);
  helix_connection_send (pool->connection, message, size);
}

guint
helix_slot_pool_free_slots (HelixSlotPool *pool)
{
  guint held = (guint) g_atomic_int_get (&pool->held);
  guint free_slots = 0;

  for (guint slot = 0; slot < pool->info.slots; slot++)
    free_slots += !(held >> slot & 1);
  return free_slots;
}

/* ---- frames ---- */

const guint8 *
helix_frame_pixels (const HelixFrame *frame)
{
  return helix_slot_pool_pixels (frame->pool, frame->info.slot);
}

void
helix_frame_clear (HelixFrame *frame)
{
  if (frame->pool == NULL)
    return;
  helix_slot_pool_release (frame->pool, frame->info.slot);
  g_clear_pointer (&frame->pool, helix_slot_pool_unref);
}

static void
lease_end (gpointer data)
{
  Lease *lease = data;

  helix_slot_pool_release (lease->pool, lease->slot);
  helix_slot_pool_unref (lease->pool);
  g_free (lease);
}

GstMemory *
helix_frame_steal_memory (HelixFrame *frame)
{
  gsize size = (gsize) frame->info.stride * frame->info.height;
  Lease *lease = g_new (Lease, 1);

  lease->pool = g_steal_pointer (&frame->pool);
  lease->slot = frame->info.slot;
  return gst_memory_new_wrapped (GST_MEMORY_FLAG_READONLY,
      helix_slot_pool_pixels (lease->pool, lease->slot), size, 0, size, lease,
      lease_end);
}

void
helix_cursor_clear (HelixCursor *cursor)
{
  gst_clear_buffer (&cursor->image);
}

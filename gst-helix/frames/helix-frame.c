/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-frame.h"

#include <errno.h>

#include "helix-pack.h"
#include "helix-platform.h"

struct _HelixSlotPool {
  gatomicrefcount refs; /* the owner's, and one for each slot that is held */
  HelixConnection *connection; /* may be over */
  guint16 channel;
  struct helix_pool info;
  struct helix_shm shm;
  gint held;    /* atomic, bit i: slot i is ours */
  gint retired; /* atomic */
};

/* The slot that a GstMemory keeps. */
typedef struct {
  HelixSlotPool *pool; /* a reference */
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

static void
pool_unref (HelixSlotPool *pool)
{
  if (!g_atomic_ref_count_dec (&pool->refs))
    return;
  helix_shm_close (&pool->shm);
  helix_connection_unref (pool->connection);
  g_free (pool);
}

void
helix_slot_pool_free (HelixSlotPool *pool)
{
  g_atomic_int_set (&pool->retired, TRUE);
  pool_unref (pool);
}

const struct helix_pool *
helix_slot_pool_info (HelixSlotPool *pool)
{
  return &pool->info;
}

guint
helix_slot_pool_free_slots (HelixSlotPool *pool)
{
  guint held = (guint) g_atomic_int_get (&pool->held);

  return pool->info.slots - (guint) __builtin_popcount (held);
}

/* Thread: any. */
static void
lease_end (gpointer data)
{
  Lease *lease = data;
  HelixSlotPool *pool = lease->pool;
  struct helix_release release = {pool->info.pool_id, lease->slot};
  guint8 message[HELIX_MAX_MESSAGE];

  /* Before the shim knows, for it may hand the slot over again at once. */
  g_atomic_int_and ((guint *) &pool->held, ~(1u << lease->slot));
  if (!g_atomic_int_get (&pool->retired))
    helix_connection_send (pool->connection, message,
        helix_pack_release (message, pool->channel, &release));
  pool_unref (pool);
  g_free (lease);
}

GstMemory *
helix_slot_pool_take (
    HelixSlotPool *pool, guint slot, gsize size, const guint8 **pixels)
{
  gsize offset = slot * (gsize) pool->info.slot_size;
  guint8 *bytes = pool->shm.bytes + offset;
  guint bit = 1u << slot;
  Lease *lease;

  g_assert (slot < pool->info.slots && size <= pool->info.slot_size);
  if (g_atomic_int_or ((guint *) &pool->held, bit) & bit) {
    errno = EBUSY;
    return NULL;
  }
  if (helix_shm_fetch (&pool->shm, offset, size) != 0) {
    g_atomic_int_and ((guint *) &pool->held, ~bit);
    return NULL;
  }
  lease = g_new (Lease, 1);
  g_atomic_ref_count_inc (&pool->refs);
  *lease = (Lease){pool, slot};
  *pixels = bytes;
  return gst_memory_new_wrapped (
      GST_MEMORY_FLAG_READONLY, bytes, size, 0, size, lease, lease_end);
}

void
helix_frame_clear (HelixFrame *frame)
{
  g_clear_pointer (&frame->memory, gst_memory_unref);
}

void
helix_cursor_clear (HelixCursor *cursor)
{
  gst_clear_buffer (&cursor->image);
}

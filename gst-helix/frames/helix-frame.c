/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-frame.h"

#include <errno.h>

#include "helix-pack.h"

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

/* What is wrong with the frame, or NULL: then the slot is ours. */
static const char *
claim (HelixSlotPool *pool, const struct helix_frame *frame)
{
  guint bit = 1u << frame->slot % HELIX_MAX_SLOTS;

  if (frame->pool_id != pool->info.pool_id)
    return "FRAME: pool_id is not the last pool's";
  if (frame->slot >= pool->info.slots)
    return "FRAME: slot is not within the pool";
  if ((guint64) frame->stride * frame->height > pool->info.slot_size)
    return "FRAME: stride * height is beyond the slot's memory";
  if (g_atomic_int_or ((guint *) &pool->held, bit) & bit)
    return "FRAME: its slot was not given back yet";
  return NULL;
}

GstMemory *
helix_slot_pool_take (HelixSlotPool *pool, const struct helix_frame *frame,
    const guint8 **pixels, const char **why)
{
  gsize size = (gsize) frame->stride * frame->height;
  gsize offset = frame->slot * (gsize) pool->info.slot_size;
  Lease *lease;

  *why = claim (pool, frame);
  if (*why != NULL)
    return NULL;
  if (helix_shm_fetch (&pool->shm, offset, size) != 0) {
    g_atomic_int_and ((guint *) &pool->held, ~(1u << frame->slot));
    return NULL;
  }
  lease = g_new (Lease, 1);
  g_atomic_ref_count_inc (&pool->refs);
  *lease = (Lease){pool, frame->slot};
  *pixels = pool->shm.bytes + offset;
  return gst_memory_new_wrapped (GST_MEMORY_FLAG_READONLY,
      pool->shm.bytes + offset, size, 0, size, lease, lease_end);
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

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-frame.h"

void
helix_cursor_clear (HelixCursor *cursor)
{
  gst_clear_buffer (&cursor->image);
}

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

GstMemory *
helix_frame_steal_memory (HelixFrame *frame)
{
  HelixSlotPool *pool = g_steal_pointer (&frame->pool);

  return helix_slot_memory_new (
      pool, frame->info.slot, (gsize) frame->info.stride * frame->info.height);
}

void
helix_frame_supersede (HelixFrame *older, HelixFrame *frame)
{
  if (older->info.generation != frame->info.generation || frame->damage.full)
    helix_damage_all (&older->damage);
  else
    helix_damage_add (&older->damage, frame->damage.rects, frame->damage.n);
  helix_frame_clear (older);
  older->info = frame->info;
  older->pool = g_steal_pointer (&frame->pool);
}

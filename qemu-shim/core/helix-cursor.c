/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-cursor.h"

#include <string.h>

#include "helix-platform.h"
#include "helix-subscription.h"

struct helix_shape *
helix_shape_ref (struct helix_shape *shape)
{
  __atomic_fetch_add (&shape->refs, 1, __ATOMIC_RELAXED);
  return shape;
}

void
helix_shape_unref (struct helix_shape *shape)
{
  if (shape && __atomic_sub_fetch (&shape->refs, 1, __ATOMIC_ACQ_REL) == 0)
    g_free (shape);
}

/* ---- display thread ---- */

static size_t
bytes_of (uint32_t width, uint32_t height)
{
  return (size_t) width * height * 4;
}

/* NULL, and a line in the log: no message can carry it. */
static struct helix_shape *
new_shape (struct helix_shim *shim, const struct helix_cursor_shape *from)
{
  struct helix_shape *shape;
  size_t size;

  if (from->width < 1 || from->height < 1 || from->width > HELIX_MAX_CURSOR
      || from->height > HELIX_MAX_CURSOR || !from->pixels) {
    helix_shim_log (shim, HELIX_LOG_WARN,
        "a cursor of %ux%u pixels cannot be exported (1x1 to %ux%u can): it is "
        "not shown",
        from->width, from->height, HELIX_MAX_CURSOR, HELIX_MAX_CURSOR);
    return NULL;
  }
  size = bytes_of (from->width, from->height);
  shape = g_malloc (sizeof *shape + size);
  shape->refs = 1;
  shape->serial = 0;
  shape->width = from->width;
  shape->height = from->height;
  shape->hot_x = MIN (from->hot_x, from->width - 1);
  shape->hot_y = MIN (from->hot_y, from->height - 1);
  memcpy (shape->pixels, from->pixels, size);
  return shape;
}

static bool
same_shape (const struct helix_shape *a, const struct helix_shape *b)
{
  return a && a->width == b->width && a->height == b->height
      && a->hot_x == b->hot_x && a->hot_y == b->hot_y
      && memcmp (a->pixels, b->pixels, bytes_of (a->width, a->height)) == 0;
}

void
helix_shim_display_cursor (struct helix_shim *shim, uint32_t scanout,
    bool visible, int32_t x, int32_t y, const struct helix_cursor_shape *shape)
{
  struct helix_plane *plane = &shim->cursor[scanout % HELIX_MAX_SCANOUTS];
  struct helix_shape *fresh = NULL, *old = NULL;
  bool changed;

  if (scanout >= shim->config.scanouts
      || !(shim->config.scanout_mask & 1u << scanout))
    return;
  if (shape) {
    fresh = new_shape (shim, shape);
    visible = visible && fresh;
  }
  /* Guests repeat the shape they have. */
  if (fresh && same_shape (plane->shape, fresh)) {
    helix_shape_unref (fresh);
    fresh = NULL;
  }
  changed = fresh || visible != plane->visible
      || (visible && (x != plane->x || y != plane->y));

  pthread_mutex_lock (&shim->lock);
  plane->visible = visible;
  plane->x = x;
  plane->y = y;
  if (changed) {
    plane->changed_ns = helix_now_ns ();
    plane->version++;
  }
  if (fresh) {
    old = plane->shape;
    fresh->serial = old ? old->serial + 1 : 1;
    fresh->serial += fresh->serial == 0;
    plane->shape = fresh;
  }
  pthread_mutex_unlock (&shim->lock);
  helix_shape_unref (old);
  if (changed && __atomic_load_n (&shim->cursor_watchers, __ATOMIC_RELAXED))
    shim->loop.wake_io (shim->loop_opaque);
}

void
helix_cursor_hide_all (struct helix_shim *shim)
{
  for (uint32_t i = 0; i < shim->config.scanouts; i++)
    helix_shim_display_cursor (
        shim, i, false, shim->cursor[i].x, shim->cursor[i].y, NULL);
}

/* ---- io thread ---- */

/* Under the lock. */
static void
describe (const struct helix_plane *plane, struct helix_cursor *cursor)
{
  cursor->flags = plane->visible ? HELIX_CURSOR_VISIBLE : 0;
  cursor->x = (uint32_t) plane->x;
  cursor->y = (uint32_t) plane->y;
  cursor->changed_ns = plane->changed_ns;
  if (!plane->shape)
    return;
  cursor->serial = plane->shape->serial;
  cursor->width = plane->shape->width;
  cursor->height = plane->shape->height;
  cursor->hot_x = plane->shape->hot_x;
  cursor->hot_y = plane->shape->hot_y;
}

bool
helix_cursor_take (struct helix_subscription *sub, struct helix_cursor *cursor,
    struct helix_shape **shape)
{
  struct helix_shim *shim = sub->shim;
  const struct helix_plane *plane;
  bool due;

  *shape = NULL;
  /* The answer to SUBSCRIBE comes first. */
  if (!sub->cursor || !sub->answered || sub->cursor_queued)
    return false;
  memset (cursor, 0, sizeof *cursor);
  cursor->scanout = sub->scanout;
  plane = &shim->cursor[sub->scanout];
  pthread_mutex_lock (&shim->lock);
  due = !sub->cursor_told || plane->version != sub->cursor_version;
  if (due) {
    describe (plane, cursor);
    sub->cursor_version = plane->version;
    if (cursor->serial != sub->cursor_serial)
      *shape = helix_shape_ref (plane->shape);
  }
  pthread_mutex_unlock (&shim->lock);
  if (!due)
    return false;
  if (*shape)
    cursor->flags |= HELIX_CURSOR_SHAPE;
  sub->cursor_serial = cursor->serial;
  sub->cursor_told = true;
  sub->cursor_queued = true;
  return true;
}

void
helix_cursor_sent (struct helix_subscription *sub)
{
  sub->cursor_queued = false;
}

void
helix_cursor_free_all (struct helix_shim *shim)
{
  for (uint32_t i = 0; i < HELIX_MAX_SCANOUTS; i++)
    helix_shape_unref (shim->cursor[i].shape);
}

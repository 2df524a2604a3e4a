/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Both threads; each function of one of them (helix-shim-screen.h). */
#include "helix-shim-screen.h"

#include <string.h>

#include "helix-platform.h"

bool
helix_shim_surface_same_mode (
    const struct helix_surface *a, const struct helix_surface *b)
{
  return a->resource_id && b->resource_id && a->rect.width == b->rect.width
      && a->rect.height == b->rect.height && a->fourcc == b->fourcc;
}

bool
helix_shim_surface_same (
    const struct helix_surface *a, const struct helix_surface *b)
{
  return a->resource_id == b->resource_id && a->fourcc == b->fourcc
      && memcmp (&a->rect, &b->rect, sizeof a->rect) == 0;
}

void
helix_shim_surface_describe (const struct helix_surface *surface,
    uint32_t scanout, uint32_t generation, struct helix_scanout *state)
{
  memset (state, 0, sizeof *state);
  state->scanout = scanout;
  state->generation = generation;
  if (surface->resource_id == 0)
    return;
  state->flags = HELIX_SCANOUT_ENABLED;
  state->resource_id = surface->resource_id;
  state->width = surface->rect.width;
  state->height = surface->rect.height;
  state->fourcc = surface->fourcc;
}

/* ---- scanouts ---- */

bool
helix_shim_screen_exports (const struct helix_shim *shim, uint32_t scanout)
{
  return scanout < shim->config.scanouts
      && shim->config.scanout_mask & 1u << scanout;
}

void
helix_shim_screen_set (struct helix_shim *shim, uint32_t index,
    const struct helix_surface *surface)
{
  struct helix_shim_scanout *scanout = &shim->scanout[index];
  bool on = surface->resource_id != 0;
  bool changed = (on || scanout->surface.resource_id)
      && !helix_shim_surface_same_mode (surface, &scanout->surface);

  pthread_mutex_lock (&shim->lock);
  scanout->surface = *surface;
  scanout->generation += changed && on;
  scanout->serial += changed;
  pthread_mutex_unlock (&shim->lock);
  if (changed && __atomic_load_n (&shim->stats.clients, __ATOMIC_RELAXED))
    helix_shim_wake_io (shim);
}

void
helix_shim_screen_get (
    struct helix_shim *shim, struct helix_shim_scanout all[HELIX_MAX_SCANOUTS])
{
  pthread_mutex_lock (&shim->lock);
  memcpy (all, shim->scanout, sizeof shim->scanout);
  pthread_mutex_unlock (&shim->lock);
}

/* ---- cursors ---- */

void
helix_shim_shape_unref (struct helix_shim_shape *shape)
{
  if (shape && __atomic_sub_fetch (&shape->refs, 1, __ATOMIC_ACQ_REL) == 0)
    g_free (shape);
}

/* Whether a message can carry it; else a line in the log. */
static bool
check_shape (struct helix_shim *shim, const struct helix_cursor_shape *shape)
{
  if (shape->width >= 1 && shape->height >= 1
      && shape->width <= HELIX_MAX_CURSOR && shape->height <= HELIX_MAX_CURSOR
      && shape->pixels)
    return true;
  helix_shim_log (shim, HELIX_LOG_WARN,
      "a cursor of %ux%u pixels cannot be exported (1x1 to %ux%u can): it is "
      "not shown",
      shape->width, shape->height, HELIX_MAX_CURSOR, HELIX_MAX_CURSOR);
  return false;
}

/* The plane's new shape, with a hot spot within it; NULL if it has that
 * already: guests repeat the shape they have. */
static struct helix_shim_shape *
new_shape (
    const struct helix_shim_plane *plane, const struct helix_cursor_shape *from)
{
  const struct helix_shim_shape *old = plane->shape;
  uint32_t hot_x = MIN (from->hot_x, from->width - 1);
  uint32_t hot_y = MIN (from->hot_y, from->height - 1);
  size_t size = (size_t) from->width * from->height * 4;
  struct helix_shim_shape *shape;

  if (old && old->width == from->width && old->height == from->height
      && old->hot_x == hot_x && old->hot_y == hot_y
      && memcmp (old->pixels, from->pixels, size) == 0)
    return NULL;
  shape = g_malloc (sizeof *shape + size);
  shape->refs = 1;
  shape->serial = old ? old->serial + 1 : 1;
  shape->serial += shape->serial == 0;
  shape->width = from->width;
  shape->height = from->height;
  shape->hot_x = hot_x;
  shape->hot_y = hot_y;
  memcpy (shape->pixels, from->pixels, size);
  return shape;
}

void
helix_shim_display_cursor (struct helix_shim *shim, uint32_t scanout,
    bool visible, int32_t x, int32_t y, const struct helix_cursor_shape *shape)
{
  struct helix_shim_plane *plane = &shim->cursor[scanout % HELIX_MAX_SCANOUTS];
  struct helix_shim_shape *fresh = NULL, *old = NULL;
  bool changed;

  if (!helix_shim_screen_exports (shim, scanout))
    return;
  if (shape && check_shape (shim, shape))
    fresh = new_shape (plane, shape);
  else if (shape)
    visible = false;
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
    plane->shape = fresh;
  }
  pthread_mutex_unlock (&shim->lock);
  helix_shim_shape_unref (old);
  if (changed && __atomic_load_n (&shim->cursor_watchers, __ATOMIC_RELAXED))
    helix_shim_wake_io (shim);
}

void
helix_shim_screen_hide_cursors (struct helix_shim *shim)
{
  for (uint32_t i = 0; i < shim->config.scanouts; i++)
    helix_shim_display_cursor (
        shim, i, false, shim->cursor[i].x, shim->cursor[i].y, NULL);
}

void
helix_shim_screen_free_cursors (struct helix_shim *shim)
{
  for (uint32_t i = 0; i < HELIX_MAX_SCANOUTS; i++)
    helix_shim_shape_unref (shim->cursor[i].shape);
}

/* Lock: held. */
static void
describe_cursor (
    const struct helix_shim_plane *plane, struct helix_cursor *cursor)
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
helix_shim_screen_take_cursor (struct helix_shim *shim, uint32_t scanout,
    struct helix_shim_seen_cursor *seen, struct helix_cursor *cursor,
    struct helix_shim_shape **shape)
{
  const struct helix_shim_plane *plane = &shim->cursor[scanout];
  bool pending;

  *shape = NULL;
  memset (cursor, 0, sizeof *cursor);
  cursor->scanout = scanout;
  pthread_mutex_lock (&shim->lock);
  pending = seen->version != plane->version + 1;
  if (pending) {
    describe_cursor (plane, cursor);
    if (cursor->serial != seen->serial) {
      cursor->flags |= HELIX_CURSOR_SHAPE;
      *shape = plane->shape;
      __atomic_fetch_add (&(*shape)->refs, 1, __ATOMIC_RELAXED);
    }
    seen->version = plane->version + 1;
    seen->serial = cursor->serial;
  }
  pthread_mutex_unlock (&shim->lock);
  return pending;
}

/* ---- requests ---- */

void
helix_shim_screen_request (struct helix_shim *shim,
    const struct helix_set_scanout *set, uint64_t client)
{
  struct helix_shim_request *request = &shim->request[set->scanout];

  pthread_mutex_lock (&shim->lock);
  request->pending = true;
  request->set = *set;
  request->client = client;
  pthread_mutex_unlock (&shim->lock);
  helix_shim_wake_display (shim);
}

static void
apply (struct helix_shim *shim, struct helix_shim_request *request)
{
  const char *why = "no reason given";
  struct helix_shim_request now;

  pthread_mutex_lock (&shim->lock);
  now = *request;
  request->pending = false;
  pthread_mutex_unlock (&shim->lock);
  if (!now.pending)
    return;
  if (shim->display.set_scanout (shim->display_opaque, &now.set, &why)) {
    helix_shim_count (shim, set_scanouts, 1);
    return;
  }
  pthread_mutex_lock (&shim->lock);
  request->refused = now.client;
  request->why = why;
  pthread_mutex_unlock (&shim->lock);
  helix_shim_wake_io (shim);
}

void
helix_shim_screen_apply_requests (struct helix_shim *shim)
{
  for (uint32_t i = 0; i < shim->config.scanouts; i++)
    apply (shim, &shim->request[i]);
}

bool
helix_shim_screen_take_refusal (struct helix_shim *shim, uint64_t client,
    uint32_t *scanout, const char **why)
{
  bool found = false;

  pthread_mutex_lock (&shim->lock);
  for (uint32_t i = 0; i < shim->config.scanouts && !found; i++)
    if (shim->request[i].refused == client) {
      found = true;
      *scanout = i;
      *why = shim->request[i].why;
      shim->request[i].refused = 0;
    }
  pthread_mutex_unlock (&shim->lock);
  return found;
}

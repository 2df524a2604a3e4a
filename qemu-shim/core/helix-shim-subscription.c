/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Both threads; each function of one of them (helix-shim-subscription.h). */
#include "helix-shim-subscription.h"

#include <string.h>

#include "helix-platform.h"

#define NS_PER_S 1000000000u

/* The interval is 1/64 shorter than the rate says. A source of the same rate
 * has another clock, and is late at times. The shorter interval lets it catch
 * up within a second, so that its later frames do not wait. */
static uint64_t
interval_of (const struct helix_subscribe *subscribe)
{
  uint64_t interval;

  if (subscribe->rate_num == 0 || subscribe->rate_den == 0)
    return 0;
  interval = (uint64_t) subscribe->rate_den * NS_PER_S / subscribe->rate_num;
  return interval - interval / 64;
}

struct helix_shim_subscription *
helix_shim_subscription_new (struct helix_shim *shim,
    struct helix_shim_outbox *outbox, uint16_t number,
    const struct helix_subscribe *subscribe)
{
  struct helix_shim_subscription *self =
      g_new0 (struct helix_shim_subscription, 1);

  self->shim = shim;
  self->outbox = outbox;
  self->number = number;
  self->interval_ns = interval_of (subscribe);
  self->slots = subscribe->slots ? subscribe->slots : shim->config.slots;
  self->cursor = subscribe->flags & HELIX_SUBSCRIBE_CURSOR
      && subscribe->scanout != HELIX_NONE32;
  self->scanout = subscribe->scanout;
  self->resource_id = subscribe->resource_id;
  self->capture_ns = HELIX_NONE64;
  self->told = true;
  self->pending_ns = HELIX_NONE64;
  pixman_region32_init (&self->pending);
  pixman_region32_init (&self->fill.damage);

  pthread_mutex_lock (&shim->lock);
  g_ptr_array_add (shim->fresh, self);
  pthread_mutex_unlock (&shim->lock);
  __atomic_fetch_add (&shim->cursor_watchers, self->cursor, __ATOMIC_RELAXED);
  helix_shim_count (shim, subscriptions, 1);
  helix_shim_wake_display (shim);
  return self;
}

void
helix_shim_subscription_free (void *opaque)
{
  struct helix_shim_subscription *self = opaque;

  /* Of one that joined a readback, this may be the last reference. */
  helix_shim_memory_unref (self->fill.memory);
  pixman_region32_fini (&self->pending);
  pixman_region32_fini (&self->fill.damage);
  g_free (self);
}

void
helix_shim_subscription_close (struct helix_shim_subscription *self)
{
  struct helix_shim *shim = self->shim;
  struct helix_shim_memory *memory;

  __atomic_fetch_sub (&shim->cursor_watchers, self->cursor, __ATOMIC_RELAXED);
  helix_shim_count (shim, subscriptions, -1);
  helix_shim_memory_unref (self->coming);
  pthread_mutex_lock (&shim->lock);
  self->closed = true;
  memory = self->memory;
  self->memory = NULL;
  self->readies = 0;
  /* One that a pass has seen is freed by the next. */
  if (g_ptr_array_remove_fast (shim->fresh, self))
    helix_shim_subscription_free (self);
  pthread_mutex_unlock (&shim->lock);
  helix_shim_memory_unref (memory);
}

/* A frame was lost: its damage is pending again, all of it, since what it was
 * is not known. Slots have it, or are stale whole. Lock: held. */
static void
recover (struct helix_shim_subscription *self)
{
  if (!self->lost)
    return;
  self->lost = false;
  helix_region_fill (
      &self->pending, self->surface.rect.width, self->surface.rect.height);
  if (self->pending_ns == HELIX_NONE64)
    self->pending_ns = helix_now_ns ();
}

void
helix_shim_subscription_update_all (struct helix_shim *shim)
{
  GPtrArray *all = shim->subscriptions, *fresh = shim->fresh;
  guint open = 0;

  pthread_mutex_lock (&shim->lock);
  for (guint i = 0; i < fresh->len; i++)
    g_ptr_array_add (all, g_ptr_array_index (fresh, i));
  g_ptr_array_set_size (fresh, 0);
  for (guint i = 0; i < all->len; i++) {
    struct helix_shim_subscription *self = g_ptr_array_index (all, i);

    if (self->closed)
      continue;
    recover (self);
    all->pdata[i] = all->pdata[open];
    all->pdata[open++] = self;
  }
  pthread_mutex_unlock (&shim->lock);
  /* Frees those that are closed. Not under the lock: the end of their memory
   * wakes the io thread. */
  g_ptr_array_set_size (all, (gint) open);
}

/* ---- sending a frame: io thread, or display thread with the turn ---- */

/* Lock: held. */
static void
take_frame (struct helix_shim_subscription *self, struct helix_shim_item *item)
{
  item->slot = self->ready[0];
  item->memory = helix_shim_memory_ref (self->memory);
  item->memory->slot[item->slot].state = HELIX_SHIM_SLOT_CLIENT;
  self->readies--;
  memmove (self->ready, self->ready + 1, self->readies);
}

void
helix_shim_subscription_send (
    struct helix_shim_subscription *self, const struct helix_shim_item *item)
{
  struct helix_shim_slot *slot = &item->memory->slot[item->slot];
  uint8_t message[HELIX_MAX_MESSAGE];
  uint64_t now = helix_now_ns ();

  slot->frame.sequence = ++self->sequence;
  helix_shim_outbox_add (self->outbox, message,
      helix_pack_frame (message, self->number, &slot->frame, slot->rects));
  helix_shim_memory_unref (item->memory);
  __atomic_fetch_add (&self->outbox->frames, 1, __ATOMIC_RELAXED);
  __atomic_store_n (&self->outbox->last_frame_ns, now, __ATOMIC_RELAXED);
  __atomic_store_n (&self->shim->last_frame_ns, now, __ATOMIC_RELAXED);
  helix_shim_count (self->shim, frames, 1);
}

/* ---- io thread ---- */

enum helix_shim_pending
helix_shim_subscription_take (
    struct helix_shim_subscription *self, struct helix_shim_item *item)
{
  enum helix_shim_pending pending = HELIX_SHIM_PENDING_NOTHING;

  memset (item, 0, sizeof *item);
  pthread_mutex_lock (&self->shim->lock);
  if (!self->told) {
    self->told = true;
    item->state = self->state;
    pending = HELIX_SHIM_PENDING_SCANOUT;
  } else if (self->fault.code) {
    item->fault = self->fault;
    self->fault.code = 0;
    pending = HELIX_SHIM_PENDING_FAULT;
  } else if (self->wanted && !self->refused
      && (!self->memory || self->memory->slot_size < self->wanted)) {
    item->wanted = self->wanted;
    pending = HELIX_SHIM_PENDING_MEMORY;
  } else if (self->readies) {
    take_frame (self, item);
    pending = HELIX_SHIM_PENDING_FRAME;
  }
  pthread_mutex_unlock (&self->shim->lock);
  return pending;
}

void
helix_shim_subscription_attach (
    struct helix_shim_subscription *self, struct helix_shim_memory *memory)
{
  struct helix_shim_memory *old = NULL;

  pthread_mutex_lock (&self->shim->lock);
  if (memory) {
    old = self->memory;
    self->memory = memory;
    self->lost = self->lost || self->readies > 0;
    self->readies = 0;
    self->starved = false;
  } else {
    self->refused = true;
  }
  pthread_mutex_unlock (&self->shim->lock);
  helix_shim_memory_unref (old);
  if (memory)
    helix_shim_wake_display (self->shim);
}

bool
helix_shim_subscription_release (
    struct helix_shim_subscription *self, const struct helix_release *release)
{
  struct helix_shim_memory *memory;
  bool good = true, wake = false;

  pthread_mutex_lock (&self->shim->lock);
  memory = self->memory;
  if (memory && release->pool_id == memory->id) {
    good = release->slot < memory->slots
        && memory->slot[release->slot].state == HELIX_SHIM_SLOT_CLIENT;
    if (good) {
      memory->slot[release->slot].state = HELIX_SHIM_SLOT_FREE;
      wake = self->starved;
      self->starved = false;
    }
  }
  pthread_mutex_unlock (&self->shim->lock);
  if (wake)
    helix_shim_wake_display (self->shim);
  return good;
}

void
helix_shim_subscription_show (
    struct helix_shim_subscription *self, const struct helix_show *show)
{
  bool waited;

  pthread_mutex_lock (&self->shim->lock);
  self->request = *show;
  waited = __atomic_exchange_n (&self->requested, true, __ATOMIC_RELAXED);
  pthread_mutex_unlock (&self->shim->lock);
  /* For one that waited the display thread has been woken. */
  if (!waited)
    helix_shim_wake_display (self->shim);
}

/* ---- display thread: what is shown ---- */

uint64_t
helix_shim_subscription_request_due (const struct helix_shim_subscription *self)
{
  return __atomic_load_n (&self->requested, __ATOMIC_RELAXED) ? self->request_ns
                                                              : HELIX_NONE64;
}

bool
helix_shim_subscription_take_request (
    struct helix_shim_subscription *self, uint64_t now, struct helix_show *show)
{
  bool live;

  if (helix_shim_subscription_request_due (self) > now)
    return false;
  self->request_ns = now + HELIX_SHIM_SHOW_EVERY_NS;
  pthread_mutex_lock (&self->shim->lock);
  live = !self->fault.over && !self->closed;
  *show = self->request;
  __atomic_store_n (&self->requested, false, __ATOMIC_RELAXED);
  pthread_mutex_unlock (&self->shim->lock);
  return live;
}

/* A new mode for the io thread to tell. Frames of the old one that wait for
 * it are useless now. */
static void
announce (struct helix_shim_subscription *self)
{
  const struct helix_rect *rect = &self->surface.rect;
  bool on = self->surface.resource_id != 0;

  pthread_mutex_lock (&self->shim->lock);
  helix_shim_surface_describe (
      &self->surface, self->scanout, self->generation, &self->state);
  self->wanted = on ? (uint64_t) rect->width * 4 * rect->height : 0;
  self->told = false;
  self->refused = false;
  for (uint32_t i = 0; i < self->readies; i++)
    self->memory->slot[self->ready[i]].state = HELIX_SHIM_SLOT_FREE;
  self->readies = 0;
  self->lost = false;
  pthread_mutex_unlock (&self->shim->lock);
  helix_shim_wake_io (self->shim);
}

void
helix_shim_subscription_set_surface (struct helix_shim_subscription *self,
    const struct helix_surface *surface, uint32_t generation)
{
  struct helix_surface old = self->surface;
  bool on = surface->resource_id != 0;
  bool mode = !self->begun || generation != self->generation
      || on != (old.resource_id != 0);

  self->surface = *surface;
  if (mode || surface->resource_id != old.resource_id)
    self->retry_ns = 0;
  if (!mode) {
    if (on && (surface->rect.x != old.rect.x || surface->rect.y != old.rect.y))
      helix_shim_subscription_damage (self, NULL);
    return;
  }
  self->begun = true;
  self->generation = generation;
  self->unreadable_told = false;
  self->mode++;
  pixman_region32_clear (&self->pending);
  self->pending_ns = HELIX_NONE64;
  if (on)
    helix_shim_subscription_damage (self, NULL);
  announce (self);
}

void
helix_shim_subscription_fail (
    struct helix_shim_subscription *self, struct helix_shim_fault fault)
{
  pthread_mutex_lock (&self->shim->lock);
  if (!self->fault.over)
    self->fault = fault;
  pthread_mutex_unlock (&self->shim->lock);
  helix_shim_wake_io (self->shim);
}

/* ---- display thread: damage and slots ---- */

/* A new reference: the io thread may replace self->memory at any time. */
static struct helix_shim_memory *
get_memory (struct helix_shim_subscription *self)
{
  struct helix_shim_memory *memory;

  pthread_mutex_lock (&self->shim->lock);
  memory = self->memory ? helix_shim_memory_ref (self->memory) : NULL;
  pthread_mutex_unlock (&self->shim->lock);
  return memory;
}

void
helix_shim_subscription_damage (
    struct helix_shim_subscription *self, const struct helix_rect *rect)
{
  const struct helix_rect *shown = &self->surface.rect;
  struct helix_rect part = {0, 0, shown->width, shown->height};
  struct helix_shim_memory *memory;

  if (rect && !helix_rect_within (&part, rect, shown))
    return;
  helix_region_add (&self->pending, &part);
  if (self->pending_ns == HELIX_NONE64)
    self->pending_ns = helix_now_ns ();
  memory = get_memory (self);
  if (memory && memory->mode == self->mode)
    for (uint32_t i = 0; i < memory->slots; i++)
      helix_region_add (&memory->slot[i].stale, &part);
  helix_shim_memory_unref (memory);
}

/* Lock: held. HELIX_NONE32 = none is free. */
static uint32_t
best_free_slot (const struct helix_shim_memory *memory)
{
  uint32_t best = HELIX_NONE32;
  uint64_t least = HELIX_NONE64;

  for (uint32_t i = 0; i < memory->slots; i++) {
    uint64_t area;

    if (memory->slot[i].state != HELIX_SHIM_SLOT_FREE)
      continue;
    area = helix_region_area (&memory->slot[i].stale);
    if (area < least) {
      least = area;
      best = i;
    }
  }
  return best;
}

enum helix_shim_claim
helix_shim_subscription_claim (struct helix_shim_subscription *self,
    struct helix_shim_memory **memory, uint32_t *slot)
{
  enum helix_shim_claim result = HELIX_SHIM_CLAIM_NO_MEMORY;
  struct helix_shim_memory *mine;

  pthread_mutex_lock (&self->shim->lock);
  mine = self->memory;
  if (!self->closed && mine && mine->slot_size >= self->wanted) {
    if (mine->mode != self->mode) {
      for (uint32_t i = 0; i < mine->slots; i++)
        helix_region_fill (&mine->slot[i].stale, self->surface.rect.width,
            self->surface.rect.height);
      mine->mode = self->mode;
    }
    *slot = best_free_slot (mine);
    result = *slot == HELIX_NONE32 ? HELIX_SHIM_CLAIM_NO_CREDIT
                                   : HELIX_SHIM_CLAIM_OK;
  }
  if (result == HELIX_SHIM_CLAIM_OK) {
    mine->slot[*slot].state = HELIX_SHIM_SLOT_FILLING;
    *memory = helix_shim_memory_ref (mine);
  } else {
    self->starved = true;
  }
  pthread_mutex_unlock (&self->shim->lock);
  return result;
}

/* Takes the frame that is READY and the client's turn, if that frame is the
 * next thing to be sent and the io thread does not have the turn.
 * Lock: held, and `closed` was not set: so there still is an outbox. */
static bool
take_turn (struct helix_shim_subscription *self, struct helix_shim_item *item)
{
  struct helix_shim_outbox *outbox = self->outbox;

  if (!self->told || self->fault.code || self->readies > 1
      || self->memory->slot_size < self->wanted
      || pthread_mutex_trylock (&outbox->turn) != 0)
    return false;
  if (helix_writer_pending (&outbox->writer)) {
    pthread_mutex_unlock (&outbox->turn);
    return false;
  }
  take_frame (self, item);
  return true;
}

bool
helix_shim_subscription_publish (struct helix_shim_subscription *self,
    struct helix_shim_memory *memory, uint32_t slot, bool good)
{
  struct helix_shim_outbox *outbox = NULL;
  struct helix_shim_item item;
  bool pending = false, left = true;

  pthread_mutex_lock (&self->shim->lock);
  if (good && !self->closed && memory == self->memory) {
    memory->slot[slot].state = HELIX_SHIM_SLOT_READY;
    self->ready[self->readies++] = (uint8_t) slot;
    pending = true;
    if (take_turn (self, &item))
      outbox = self->outbox;
  } else {
    memory->slot[slot].state = HELIX_SHIM_SLOT_FREE;
  }
  pthread_mutex_unlock (&self->shim->lock);
  if (outbox) {
    helix_shim_subscription_send (self, &item);
    helix_shim_outbox_flush (outbox);
    left = helix_writer_pending (&outbox->writer);
    pthread_mutex_unlock (&outbox->turn);
  }
  if (pending && left)
    helix_shim_wake_io (self->shim);
  helix_shim_memory_unref (memory);
  return pending;
}

struct helix_shim_memory *
helix_shim_subscription_find_copy (
    struct helix_shim_subscription *self, uint32_t *index)
{
  struct helix_shim *shim = self->shim;
  struct helix_shim_memory *best = NULL;
  uint64_t least = HELIX_NONE64;

  pthread_mutex_lock (&shim->lock);
  for (guint i = 0; i < shim->subscriptions->len; i++) {
    struct helix_shim_subscription *other =
        g_ptr_array_index (shim->subscriptions, i);
    struct helix_shim_memory *memory = other->memory;

    if (!memory || memory->mode != other->mode
        || !helix_shim_surface_same (&other->surface, &self->surface))
      continue;
    for (uint32_t s = 0; s < memory->slots; s++) {
      uint64_t area = helix_region_area (&memory->slot[s].stale);

      if (memory->slot[s].state != HELIX_SHIM_SLOT_FILLING && area < least) {
        least = area;
        best = memory;
        *index = s;
      }
    }
  }
  if (best)
    helix_shim_memory_ref (best);
  pthread_mutex_unlock (&shim->lock);
  return best;
}

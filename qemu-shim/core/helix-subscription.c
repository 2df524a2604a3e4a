/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-subscription.h"

#include <string.h>

#include "helix-platform.h"

#define NS_PER_S 1000000000u

static uint64_t
interval_of (const struct helix_subscribe *wish)
{
  if (wish->rate_num == 0 || wish->rate_den == 0)
    return 0;
  return (uint64_t) wish->rate_den * NS_PER_S / wish->rate_num;
}

struct helix_subscription *
helix_subscription_new (struct helix_shim *shim, uint16_t channel,
    const struct helix_subscribe *wish, bool shared)
{
  struct helix_subscription *self = g_new0 (struct helix_subscription, 1);

  self->refs = 2; /* the caller's and the list's */
  self->shim = shim;
  self->channel = channel;
  self->scanout = wish->scanout;
  self->resource_id = wish->resource_id;
  self->interval_ns = interval_of (wish);
  self->slots = wish->slots ? wish->slots : shim->config.slots;
  self->cursor =
      wish->flags & HELIX_SUBSCRIBE_CURSOR && wish->scanout != HELIX_NONE32;
  self->resource_now = wish->resource_id;
  self->shown_ns = HELIX_NONE64;
  self->shared = shared;
  self->told = true;
  self->pending_ns = HELIX_NONE64;
  helix_region_init (&self->pending);

  pthread_mutex_lock (&shim->lock);
  g_ptr_array_add (shim->subscriptions, self);
  pthread_mutex_unlock (&shim->lock);
  __atomic_fetch_add (&shim->watched, 1, __ATOMIC_RELAXED);
  __atomic_fetch_add (&shim->cursor_watchers, self->cursor, __ATOMIC_RELAXED);
  helix_count (shim, subscriptions, 1);
  shim->loop.wake_display (shim->loop_opaque);
  return self;
}

struct helix_subscription *
helix_subscription_ref (struct helix_subscription *self)
{
  __atomic_fetch_add (&self->refs, 1, __ATOMIC_RELAXED);
  return self;
}

void
helix_subscription_unref (struct helix_subscription *self)
{
  if (__atomic_sub_fetch (&self->refs, 1, __ATOMIC_ACQ_REL) != 0)
    return;
  helix_region_fini (&self->pending);
  g_free (self);
}

void
helix_subscription_close (struct helix_subscription *self)
{
  struct helix_shim *shim = self->shim;
  struct helix_memory *memory;

  pthread_mutex_lock (&shim->lock);
  self->closed = true;
  memory = self->memory;
  self->memory = NULL;
  self->readies = 0;
  g_ptr_array_remove_fast (shim->subscriptions, self);
  pthread_mutex_unlock (&shim->lock);

  __atomic_fetch_sub (&shim->watched, 1, __ATOMIC_RELAXED);
  __atomic_fetch_sub (&shim->cursor_watchers, self->cursor, __ATOMIC_RELAXED);
  helix_uncount (shim, subscriptions);
  if (memory && helix_memory_unref (memory))
    helix_memory_free (memory);
  helix_subscription_unref (self); /* the list's */
  helix_subscription_unref (self); /* the caller's */
}

/* ---- io thread ---- */

/* Under the lock. */
static void
take_frame (struct helix_subscription *self, struct helix_due_item *item)
{
  struct helix_slot *slot = &self->memory->slot[self->ready[0]];

  item->slot = self->ready[0];
  item->memory = helix_memory_ref (self->memory);
  slot->state = self->shared ? HELIX_SLOT_CLIENT : HELIX_SLOT_SENDING;
  self->readies--;
  memmove (self->ready, self->ready + 1, self->readies);
}

enum helix_due
helix_subscription_take (
    struct helix_subscription *self, bool frames, struct helix_due_item *item)
{
  struct helix_shim *shim = self->shim;
  enum helix_due due = HELIX_DUE_NOTHING;
  bool wake = false;

  memset (item, 0, sizeof *item);
  pthread_mutex_lock (&shim->lock);
  if (!self->told) {
    self->told = true;
    item->state = self->state;
    due = HELIX_DUE_SCANOUT;
  } else if (self->error) {
    item->error = self->error;
    item->refers = self->error_refers;
    item->resource = self->error_resource;
    item->why = self->error_why;
    item->over = self->over;
    self->error = 0;
    due = HELIX_DUE_ERROR;
  } else if (self->wanted && !self->refused
      && (!self->memory || self->memory->slot_size < self->wanted)) {
    item->wanted = self->wanted;
    due = HELIX_DUE_MEMORY;
  } else if (frames && self->readies) {
    take_frame (self, item);
    due = HELIX_DUE_FRAME;
    /* An INLINE pool has one frame waiting at most: room for the next. */
    wake = self->starved && !self->shared;
    self->starved = self->starved && !wake;
  }
  pthread_mutex_unlock (&shim->lock);
  if (wake)
    shim->loop.wake_display (shim->loop_opaque);
  return due;
}

void
helix_subscription_attach (
    struct helix_subscription *self, struct helix_memory *memory)
{
  struct helix_shim *shim = self->shim;
  struct helix_memory *old = NULL;

  pthread_mutex_lock (&shim->lock);
  if (memory) {
    old = self->memory;
    self->memory = memory;
    self->shared = memory->kind != HELIX_POOL_INLINE;
    self->readies = 0;
    self->starved = false;
  } else {
    self->refused = true;
  }
  pthread_mutex_unlock (&shim->lock);
  if (old && helix_memory_unref (old))
    helix_memory_free (old);
  if (memory)
    shim->loop.wake_display (shim->loop_opaque);
}

/* A slot came back: the display thread may be waiting for it. */
static void
wake_starved (struct helix_subscription *self, bool wake)
{
  if (wake)
    self->shim->loop.wake_display (self->shim->loop_opaque);
}

void
helix_subscription_sent (
    struct helix_subscription *self, struct helix_memory *memory, uint32_t slot)
{
  pthread_mutex_lock (&self->shim->lock);
  memory->slot[slot].state = HELIX_SLOT_CLIENT;
  pthread_mutex_unlock (&self->shim->lock);
}

uint64_t
helix_subscription_dropped (const struct helix_subscription *self)
{
  return __atomic_load_n (&self->dropped, __ATOMIC_RELAXED);
}

enum helix_release_result
helix_subscription_release (
    struct helix_subscription *self, const struct helix_release *release)
{
  enum helix_release_result result = HELIX_RELEASE_OK;
  bool wake = false;

  pthread_mutex_lock (&self->shim->lock);
  if (!self->memory || release->pool_id != self->memory->id) {
    result = HELIX_RELEASE_STALE;
  } else if (release->slot >= self->memory->slots
      || self->memory->slot[release->slot].state != HELIX_SLOT_CLIENT) {
    result = HELIX_RELEASE_INVALID;
  } else {
    self->memory->slot[release->slot].state = HELIX_SLOT_FREE;
    wake = self->starved;
    self->starved = false;
  }
  pthread_mutex_unlock (&self->shim->lock);
  wake_starved (self, wake);
  return result;
}

/* ---- display thread ---- */

/* The io thread may replace self->memory at any time. */
static struct helix_memory *
get_memory (struct helix_subscription *self)
{
  struct helix_memory *memory;

  pthread_mutex_lock (&self->shim->lock);
  memory = self->memory ? helix_memory_ref (self->memory) : NULL;
  pthread_mutex_unlock (&self->shim->lock);
  return memory;
}

/* Adds to what is pending and to what each slot lacks. */
static void
damage (struct helix_subscription *self, const struct helix_rect *rect,
    uint64_t now)
{
  struct helix_memory *memory = get_memory (self);

  helix_region_add (&self->pending, rect);
  if (self->pending_ns == HELIX_NONE64)
    self->pending_ns = now;
  if (!memory)
    return;
  if (memory->mode == self->mode)
    for (uint32_t i = 0; i < memory->slots; i++)
      helix_region_add (&memory->slot[i].lacks, rect);
  helix_shim_drop_memory (self->shim, memory);
}

void
helix_subscription_damage (struct helix_subscription *self,
    const struct helix_rect *rect, uint64_t now)
{
  struct helix_rect part;

  if (helix_rect_within (&part, rect, &self->surface.rect))
    damage (self, &part, now);
}

void
helix_subscription_damage_all (struct helix_subscription *self, uint64_t now)
{
  struct helix_rect all = {
      0, 0, self->surface.rect.width, self->surface.rect.height};

  damage (self, &all, now);
}

/* A new mode for the io thread to tell. Frames of the old one that wait for
 * it are worth nothing now. */
static void
announce (struct helix_subscription *self)
{
  const struct helix_surface *surface = &self->surface;
  bool on = surface->resource_id != 0;

  pthread_mutex_lock (&self->shim->lock);
  memset (&self->state, 0, sizeof self->state);
  self->state.scanout = self->scanout;
  self->state.generation = self->generation;
  if (on) {
    self->state.flags = HELIX_SCANOUT_ENABLED;
    self->state.resource_id = surface->resource_id;
    self->state.width = surface->rect.width;
    self->state.height = surface->rect.height;
    self->state.fourcc = surface->fourcc;
  }
  self->wanted =
      on ? (uint64_t) surface->rect.width * 4 * surface->rect.height : 0;
  self->told = false;
  self->refused = false;
  for (uint32_t i = 0; i < self->readies; i++)
    self->memory->slot[self->ready[i]].state = HELIX_SLOT_FREE;
  self->readies = 0;
  pthread_mutex_unlock (&self->shim->lock);
  self->shim->loop.wake_io (self->shim->loop_opaque);
}

void
helix_subscription_set_surface (struct helix_subscription *self,
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
    if (on
        && (surface->rect.x != old.rect.x || surface->rect.y != old.rect.y
            || surface->y_inverted != old.y_inverted))
      helix_subscription_damage_all (self, helix_now_ns ());
    return;
  }
  self->begun = true;
  self->generation = generation;
  self->unreadable_told = false;
  self->mode++;
  helix_region_clear (&self->pending);
  self->pending_ns = HELIX_NONE64;
  if (on)
    helix_subscription_damage_all (self, helix_now_ns ());
  announce (self);
}

static void
tell (struct helix_subscription *self, uint32_t error, uint32_t refers,
    uint32_t resource_id, const char *why, bool over)
{
  pthread_mutex_lock (&self->shim->lock);
  /* Nothing takes the place of the end. */
  if (!self->over) {
    self->error = error;
    self->error_refers = refers;
    self->error_resource = resource_id;
    self->error_why = why;
    self->over = over;
  }
  pthread_mutex_unlock (&self->shim->lock);
  self->shim->loop.wake_io (self->shim->loop_opaque);
}

void
helix_subscription_tell (struct helix_subscription *self, uint32_t error,
    uint32_t refers, uint32_t resource_id, const char *why)
{
  tell (self, error, refers, resource_id, why, false);
}

void
helix_subscription_end (struct helix_subscription *self, const char *why)
{
  tell (self, HELIX_ERROR_NO_RESOURCE, HELIX_SUBSCRIBE, 0, why, true);
}

/* Under the lock. HELIX_NONE32 = none is free. */
static uint32_t
best_free_slot (struct helix_subscription *self, struct helix_memory *memory)
{
  uint32_t best = HELIX_NONE32;
  uint64_t least = HELIX_NONE64;

  for (uint32_t i = 0; i < memory->slots; i++) {
    uint64_t area;

    if (memory->slot[i].state != HELIX_SLOT_FREE)
      continue;
    area = helix_region_area (&memory->slot[i].lacks);
    if (area < least) {
      least = area;
      best = i;
    }
  }
  return best;
}

enum helix_claim
helix_subscription_claim (struct helix_subscription *self,
    struct helix_memory **memory, uint32_t *slot)
{
  enum helix_claim result = HELIX_CLAIM_NO_MEMORY;
  struct helix_memory *mine;

  pthread_mutex_lock (&self->shim->lock);
  mine = self->memory;
  if (!self->closed && mine && mine->slot_size >= self->wanted) {
    if (mine->mode != self->mode) {
      for (uint32_t i = 0; i < mine->slots; i++)
        helix_region_fill (&mine->slot[i].lacks, self->surface.rect.width,
            self->surface.rect.height);
      mine->mode = self->mode;
    }
    /* An INLINE frame takes its time on the socket: no second one that would
     * only grow old behind it. */
    *slot = !self->shared && self->readies ? HELIX_NONE32
                                           : best_free_slot (self, mine);
    result = *slot == HELIX_NONE32 ? HELIX_CLAIM_NO_CREDIT : HELIX_CLAIM_OK;
  }
  if (result == HELIX_CLAIM_OK) {
    mine->slot[*slot].state = HELIX_SLOT_FILLING;
    *memory = helix_memory_ref (mine);
  } else {
    self->starved = true;
  }
  pthread_mutex_unlock (&self->shim->lock);
  return result;
}

bool
helix_subscription_publish (struct helix_subscription *self,
    struct helix_memory *memory, uint32_t slot, bool good)
{
  struct helix_shim *shim = self->shim;
  bool due = false;

  pthread_mutex_lock (&shim->lock);
  if (good && !self->closed && memory == self->memory) {
    memory->slot[slot].state = HELIX_SLOT_READY;
    self->ready[self->readies++] = (uint8_t) slot;
    due = true;
  } else {
    memory->slot[slot].state = HELIX_SLOT_FREE;
  }
  pthread_mutex_unlock (&shim->lock);
  if (due)
    shim->loop.wake_io (shim->loop_opaque);
  helix_shim_drop_memory (shim, memory);
  return due;
}

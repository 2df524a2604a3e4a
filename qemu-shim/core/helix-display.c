/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The display thread's side: what changed, and who gets to see it.
 *
 * Every entry point ends in a pass: each subscription with something pending,
 * a slot to put it in and its pace kept gets a frame. What a slot lacks is
 * first copied from the slot, of any subscription that shows the same, that
 * lacks least; only what no slot has is read from the screen. So a flush is
 * read once however many watch, and older damage is never read twice.
 */
#include <string.h>

#include "helix-pack.h"
#include "helix-platform.h"
#include "helix-show.h"
#include "helix-subscription.h"

/* After a read that failed. Some failures pass (a GL context that another
 * thread holds), some never do: a few attempts a second cost nothing. */
#define HELIX_RETRY_NS 250000000u

/* The guest decides how often it shows such a thing: it is told when it is
 * another one than the last time. */
static void
tell_unusable (struct helix_shim *shim, const struct helix_surface *surface,
    const char *why)
{
  const struct helix_rect *rect = &surface->rect;
  const struct helix_surface *told = &shim->told_unusable;

  if (told->rect.width == rect->width && told->rect.height == rect->height
      && told->fourcc == surface->fourcc)
    return;
  shim->told_unusable = *surface;
  helix_shim_log (shim, HELIX_LOG_WARN,
      "resource %u, %ux%u, format 0x%08x, is not exported: %s",
      surface->resource_id, rect->width, rect->height, surface->fourcc, why);
}

/* The guest names sizes and formats: what is not exported counts as off. *why
 * then says so, for as long as the shim lives; NULL = it is off. */
static struct helix_surface
usable (struct helix_shim *shim, const struct helix_surface *surface,
    const char **why)
{
  const struct helix_surface off = {0};
  const struct helix_rect *rect;

  *why = NULL;
  if (!surface || surface->resource_id == 0 || surface->rect.width == 0
      || surface->rect.height == 0)
    return off;
  rect = &surface->rect;
  if (rect->width > HELIX_MAX_DIMENSION || rect->height > HELIX_MAX_DIMENSION
      || (uint64_t) rect->width * rect->height
          > (uint64_t) shim->config.max_width * shim->config.max_height)
    *why = shim->too_large;
  else if (!helix_fourcc_is_known (surface->fourcc))
    *why = "its format is not one of the 32-bit RGB formats";
  if (!*why)
    return *surface;
  tell_unusable (shim, surface, *why);
  return off;
}

/* ---- one subscription ---- */

static bool
same_surface (const struct helix_surface *a, const struct helix_surface *b)
{
  return a->resource_id == b->resource_id && a->fourcc == b->fourcc
      && a->y_inverted == b->y_inverted
      && memcmp (&a->rect, &b->rect, sizeof a->rect) == 0;
}

bool
helix_display_resource (struct helix_shim *shim, uint32_t resource_id,
    struct helix_surface *surface, const char **why)
{
  *why = "no such resource that can be read";
  memset (surface, 0, sizeof *surface);
  if (!shim->display.resource (shim->display_opaque, resource_id, surface))
    return false;
  surface->resource_id = resource_id;
  *surface = usable (shim, surface, why);
  if (surface->resource_id == 0 && *why == NULL)
    *why = "it has no pixels";
  return surface->resource_id != 0;
}

static void
begin_resource (struct helix_subscription *sub)
{
  struct helix_surface surface;
  const char *why;

  if (!helix_display_resource (sub->shim, sub->resource_id, &surface, &why)) {
    sub->begun = true;
    helix_subscription_end (sub, why);
    return;
  }
  helix_subscription_set_surface (sub, &surface, 1);
}

/* The subscription shows what its scanout does. `why`: the scanout is on, but
 * not exported; the client shall not take it for dark. */
static void
follow_scanout (struct helix_subscription *sub, const char *why)
{
  const struct helix_shim_scanout *scanout = &sub->shim->scanout[sub->scanout];

  helix_subscription_set_surface (sub, &scanout->surface, scanout->generation);
  if (why)
    helix_subscription_tell (
        sub, HELIX_ERROR_READBACK, HELIX_SUBSCRIBE, 0, why);
}

/* A subscription that the io thread made: what does it show? */
static void
begin (struct helix_subscription *sub)
{
  if (sub->begun)
    return;
  if (sub->scanout != HELIX_NONE32)
    follow_scanout (sub, sub->shim->unusable[sub->scanout].why);
  else if (sub->shim->may_read)
    begin_resource (sub);
}

/* The slot, other than `self`, that lacks least of what `sub` shows. */
static struct helix_memory *
find_source (struct helix_subscription *sub, const struct helix_slot *self,
    const struct helix_slot **source, uint32_t *index)
{
  struct helix_shim *shim = sub->shim;
  struct helix_memory *best = NULL;
  uint64_t least = HELIX_NONE64;

  pthread_mutex_lock (&shim->lock);
  for (guint i = 0; i < shim->pass->len; i++) {
    struct helix_subscription *other = g_ptr_array_index (shim->pass, i);
    struct helix_memory *memory = other->memory;

    if (!memory || memory->mode != other->mode
        || !same_surface (&other->surface, &sub->surface))
      continue;
    for (uint32_t s = 0; s < memory->slots; s++) {
      uint64_t area = helix_region_area (&memory->slot[s].lacks);

      if (&memory->slot[s] != self && area < least) {
        least = area;
        best = memory;
        *source = &memory->slot[s];
        *index = s;
      }
    }
  }
  if (best)
    helix_memory_ref (best);
  pthread_mutex_unlock (&shim->lock);
  return best;
}

/* Copies one box at the same place; returns its bytes. */
static uint64_t
copy_box (uint8_t *dst, const uint8_t *src, uint32_t stride,
    const pixman_box32_t *box)
{
  size_t at = (size_t) box->y1 * stride + (size_t) box->x1 * 4;
  size_t row = (size_t) (box->x2 - box->x1) * 4;
  size_t rows = (size_t) (box->y2 - box->y1);

  if (row == stride)
    memcpy (dst + at, src + at, rows * stride);
  else
    for (size_t y = 0; y < rows; y++, at += stride)
      memcpy (dst + at, src + at, row);
  return row * rows;
}

/* Fills from a slot what that one has, and takes it off `need`. */
static void
copy_from_slot (struct helix_subscription *sub, struct helix_memory *memory,
    uint32_t index, uint64_t *capture_ns, helix_region *need)
{
  struct helix_shim *shim = sub->shim;
  const struct helix_slot *source = NULL;
  uint32_t from_index = 0;
  struct helix_memory *from =
      find_source (sub, &memory->slot[index], &source, &from_index);
  uint64_t bytes = 0;
  helix_region has;

  if (!from)
    return;
  helix_region_init (&has);
  if (helix_region_without (&has, need, &source->lacks)
      && !helix_region_empty (&has)) {
    int n = 0;
    const pixman_box32_t *box = pixman_region32_rectangles (&has, &n);

    for (int i = 0; i < n; i++)
      bytes += copy_box (helix_memory_pixels (memory, index),
          helix_memory_pixels (from, from_index), sub->surface.rect.width * 4,
          &box[i]);
    helix_count (shim, copies, 1);
    helix_count (shim, copy_bytes, bytes);
    helix_region_shared (need, need, &source->lacks);
    if (helix_region_empty (need) && source->pass == shim->pass_number)
      *capture_ns = source->capture_ns;
  }
  helix_region_fini (&has);
  helix_shim_drop_memory (shim, from);
}

static bool
read_screen (struct helix_subscription *sub, struct helix_memory *memory,
    uint32_t index, const helix_region *need, struct helix_frame *frame)
{
  struct helix_shim *shim = sub->shim;
  const struct helix_surface *surface = &sub->surface;
  uint32_t stride = surface->rect.width * 4;
  struct helix_rect rects[HELIX_MAX_RECTS];
  uint32_t n = helix_region_rects (need, rects);
  uint64_t bytes = 0, begin_ns = helix_now_ns (), took;
  const char *why = "no reason given";
  bool good = true;

  if (n == 0)
    return true;
  for (uint32_t i = 0; i < n && good; i++) {
    struct helix_rect box = rects[i];
    uint8_t *dst = helix_memory_pixels (memory, index) + (size_t) box.y * stride
        + (size_t) box.x * 4;

    box.x += surface->rect.x;
    box.y += surface->rect.y;
    good = shim->display.read (
        shim->display_opaque, surface, &box, dst, stride, &why);
    bytes += (uint64_t) box.width * box.height * 4;
  }
  took = helix_now_ns () - begin_ns;
  if (good) {
    frame->readback_ns = (uint32_t) MIN (took, UINT32_MAX);
    frame->read_bytes = (uint32_t) MIN (bytes, UINT32_MAX);
    helix_count (shim, readbacks, 1);
    helix_count (shim, readback_bytes, bytes);
    helix_count (shim, readback_ns, took);
    if (took > __atomic_load_n (&shim->stats.readback_max_ns, __ATOMIC_RELAXED))
      __atomic_store_n (&shim->stats.readback_max_ns, took, __ATOMIC_RELAXED);
    return true;
  }
  helix_count (shim, read_errors, 1);
  sub->retry_ns = helix_now_ns () + HELIX_RETRY_NS;
  if (!sub->unreadable_told) {
    sub->unreadable_told = true;
    helix_shim_log (shim, HELIX_LOG_WARN,
        "resource %u (%ux%u) cannot be read: %s. It is tried again; until then "
        "there are no frames",
        surface->resource_id, surface->rect.width, surface->rect.height, why);
    helix_subscription_tell (
        sub, HELIX_ERROR_READBACK, HELIX_SUBSCRIBE, 0, why);
  }
  return false;
}

static void
fill_frame (struct helix_subscription *sub, struct helix_memory *memory,
    struct helix_slot *slot, uint32_t index, uint64_t now)
{
  const struct helix_surface *surface = &sub->surface;
  struct helix_frame *frame = &slot->frame;
  uint32_t width = surface->rect.width, height = surface->rect.height;

  frame->capture_ns = slot->capture_ns;
  frame->scanout = sub->scanout;
  frame->resource_id = surface->resource_id;
  frame->generation = sub->generation;
  frame->pool_id = memory->id;
  frame->slot = index;
  frame->flags = surface->y_inverted ? HELIX_FRAME_Y_INVERTED : 0;
  frame->width = width;
  frame->height = height;
  frame->stride = width * 4;
  frame->fourcc = surface->fourcc;
  frame->wait_ns = (uint32_t) MIN (now - sub->pending_ns, UINT32_MAX);
  if (helix_region_is_all (&sub->pending, width, height))
    return;
  frame->rects = helix_region_rects (&sub->pending, slot->rects);
  /* On the wire y counts from the top of the picture, here from the first
   * row in memory. */
  for (uint32_t i = 0; surface->y_inverted && i < frame->rects; i++)
    slot->rects[i].y = height - slot->rects[i].y - slot->rects[i].height;
}

/* Keeps the phase of a steady source; a late frame earns no early one. */
static void
advance_pace (struct helix_subscription *sub, uint64_t now)
{
  if (sub->due_ns + sub->interval_ns > now)
    sub->due_ns += sub->interval_ns;
  else
    sub->due_ns = now + sub->interval_ns;
}

/* false: the screen could not be read. */
static bool
fill (struct helix_subscription *sub, struct helix_memory *memory,
    uint32_t index, uint64_t now)
{
  struct helix_slot *slot = &memory->slot[index];
  uint64_t captured_ns = now;
  helix_region need;
  bool good;

  memset (&slot->frame, 0, sizeof slot->frame);
  helix_region_init (&need);
  helix_region_copy (&need, &slot->lacks);
  copy_from_slot (sub, memory, index, &captured_ns, &need);
  good = read_screen (sub, memory, index, &need, &slot->frame);
  helix_region_fini (&need);
  if (good) {
    captured_ns = helix_show_capture (sub, captured_ns);
    slot->capture_ns = captured_ns;
    fill_frame (sub, memory, slot, index, now);
    helix_region_clear (&slot->lacks);
    slot->pass = sub->shim->pass_number;
    helix_region_clear (&sub->pending);
    sub->pending_ns = HELIX_NONE64;
    advance_pace (sub, now);
  }
  if (!good) {
    helix_subscription_publish (sub, memory, index, false);
  } else if (helix_subscription_publish (sub, memory, index, true)) {
    sub->captured_ns = captured_ns;
    sub->shown_ns = HELIX_NONE64;
  } else {
    /* Larger memory came meanwhile: this frame is lost, but not its news. */
    helix_subscription_damage_all (sub, now);
  }
  return good;
}

enum outcome { OUTCOME_DONE, OUTCOME_PACED, OUTCOME_NO_CREDIT };

static uint64_t
earliest (const struct helix_subscription *sub)
{
  return MAX (sub->due_ns, sub->retry_ns);
}

/* Gives the subscription a frame if something is pending and it may be; else,
 * for PACED, *again_ns is when to try it. */
static enum outcome
serve (struct helix_subscription *sub, uint64_t *again_ns)
{
  struct helix_memory *memory;
  uint32_t slot;
  uint64_t now;

  /* What it shows now is not what its client wants to see. */
  *again_ns = helix_show_due (sub);
  if (*again_ns != HELIX_NONE64)
    return OUTCOME_PACED;
  if (sub->surface.resource_id == 0 || sub->pending_ns == HELIX_NONE64)
    return OUTCOME_DONE;
  now = helix_now_ns ();
  *again_ns = earliest (sub);
  if (now < *again_ns)
    return OUTCOME_PACED;
  switch (helix_subscription_claim (sub, &memory, &slot)) {
    case HELIX_CLAIM_OK:
      if (fill (sub, memory, slot, now))
        return OUTCOME_DONE;
      *again_ns = earliest (sub);
      return OUTCOME_PACED;
    case HELIX_CLAIM_NO_CREDIT:
      return OUTCOME_NO_CREDIT;
    default:
      return OUTCOME_DONE;
  }
}

/* ---- a pass over all ---- */

static uint64_t
readbacks_now (struct helix_shim *shim)
{
  return __atomic_load_n (&shim->stats.readbacks, __ATOMIC_RELAXED);
}

/* Takes the time of what went on since `begin_ns`, if it read the screen:
 * until here the guest's display, and in QEMU the whole main loop, stood
 * still. `readbacks` is what had been read by then; only this thread counts
 * them. */
static void
note_hold (struct helix_shim *shim, uint64_t begin_ns, uint64_t readbacks)
{
  uint64_t took;

  if (readbacks_now (shim) == readbacks)
    return;
  took = helix_now_ns () - begin_ns;
  helix_count (shim, holds, 1);
  helix_count (shim, hold_ns, took);
  helix_count (shim, hold[helix_hold_bucket (took)], 1);
  if (took > __atomic_load_n (&shim->stats.hold_max_ns, __ATOMIC_RELAXED))
    __atomic_store_n (&shim->stats.hold_max_ns, took, __ATOMIC_RELAXED);
}

static void
pass_begin (struct helix_shim *shim)
{
  uint64_t now;

  pthread_mutex_lock (&shim->lock);
  for (guint i = 0; i < shim->subscriptions->len; i++)
    g_ptr_array_add (shim->pass,
        helix_subscription_ref (g_ptr_array_index (shim->subscriptions, i)));
  pthread_mutex_unlock (&shim->lock);
  shim->pass_number++;
  shim->may_read = shim->display.may_read == NULL
      || shim->display.may_read (shim->display_opaque);
  for (guint i = 0; i < shim->pass->len; i++)
    begin (g_ptr_array_index (shim->pass, i));
  now = helix_now_ns ();
  for (guint i = 0; i < shim->pass->len && shim->may_read; i++)
    helix_show_obey (g_ptr_array_index (shim->pass, i), now);
}

static void
pass_drop (struct helix_shim *shim)
{
  for (guint i = 0; i < shim->pass->len; i++)
    helix_subscription_unref (g_ptr_array_index (shim->pass, i));
  g_ptr_array_set_size (shim->pass, 0);
}

/* Ends a pass in which nothing is read: the wake-up's pass reads. */
static void
pass_defer (struct helix_shim *shim)
{
  if (shim->pass->len)
    shim->loop.wake_display (shim->loop_opaque);
  pass_drop (shim);
}

/* `flushed`: resource whose waiting subscriptions are counted, 0 = none. */
static void
pass_end (struct helix_shim *shim, uint32_t flushed)
{
  uint64_t deadline = HELIX_NONE64;

  if (!shim->may_read) {
    pass_defer (shim);
    return;
  }
  for (guint i = 0; i < shim->pass->len; i++) {
    struct helix_subscription *sub = g_ptr_array_index (shim->pass, i);
    uint64_t again_ns;
    enum outcome outcome = serve (sub, &again_ns);
    bool count = flushed && sub->surface.resource_id == flushed;

    if (outcome == OUTCOME_PACED) {
      deadline = MIN (deadline, again_ns);
      helix_count (shim, paced, count);
    } else if (outcome == OUTCOME_NO_CREDIT) {
      helix_count (shim, no_credit, count);
      __atomic_fetch_add (&sub->dropped, count, __ATOMIC_RELAXED);
    }
  }
  pass_drop (shim);
  if (deadline != shim->deadline) {
    shim->deadline = deadline;
    shim->loop.display_timer (shim->loop_opaque, deadline);
  }
}

void
helix_shim_display_run (struct helix_shim *shim)
{
  uint64_t begin_ns, readbacks;

  helix_wish_obey_all (shim);
  begin_ns = helix_now_ns ();
  readbacks = readbacks_now (shim);
  /* The timer that may have brought us here is spent. */
  if (shim->deadline <= begin_ns)
    shim->deadline = HELIX_NONE64;
  pass_begin (shim);
  pass_end (shim, 0);
  note_hold (shim, begin_ns, readbacks);
}

void
helix_shim_display_flush (struct helix_shim *shim, uint32_t resource_id,
    const struct helix_rect *rect)
{
  bool concerned = false;
  uint64_t now, readbacks;

  if (helix_shim_idle (shim) || resource_id == 0)
    return;
  now = helix_now_ns ();
  readbacks = readbacks_now (shim);
  pass_begin (shim);
  for (guint i = 0; i < shim->pass->len; i++) {
    struct helix_subscription *sub = g_ptr_array_index (shim->pass, i);

    if (sub->surface.resource_id == resource_id) {
      concerned = true;
      helix_subscription_damage (sub, rect, now);
    }
  }
  if (concerned)
    helix_count (shim, flushes, 1);
  pass_end (shim, resource_id);
  note_hold (shim, now, readbacks);
}

/* Stores what a scanout shows. */
static void
store_scanout (struct helix_shim *shim, uint32_t index,
    const struct helix_surface *surface)
{
  struct helix_shim_scanout *scanout = &shim->scanout[index];
  const struct helix_surface *old = &scanout->surface;
  bool on = surface->resource_id != 0, was = old->resource_id != 0;
  bool changed = on != was
      || (on
          && (surface->rect.width != old->rect.width
              || surface->rect.height != old->rect.height
              || surface->fourcc != old->fourcc));

  pthread_mutex_lock (&shim->lock);
  scanout->surface = *surface;
  if (changed && on)
    scanout->generation++;
  if (changed)
    scanout->serial++;
  pthread_mutex_unlock (&shim->lock);
  if (changed && __atomic_load_n (&shim->stats.clients, __ATOMIC_RELAXED))
    shim->loop.wake_io (shim->loop_opaque);
}

void
helix_shim_display_scanout (
    struct helix_shim *shim, uint32_t index, const struct helix_surface *wanted)
{
  struct helix_surface surface;
  const char *why, *news;

  if (index >= shim->config.scanouts
      || !(shim->config.scanout_mask & 1u << index))
    return;
  surface = usable (shim, wanted, &why);
  /* Subscriptions that are new learn of the state before, so that they see
   * this change as what it is. */
  pass_begin (shim);
  store_scanout (shim, index, &surface);
  news = why != shim->unusable[index].why ? why : NULL;
  shim->unusable[index].resource_id = why ? wanted->resource_id : 0;
  shim->unusable[index].why = why;
  for (guint i = 0; i < shim->pass->len; i++) {
    struct helix_subscription *sub = g_ptr_array_index (shim->pass, i);

    if (sub->scanout == index && !sub->showing)
      follow_scanout (sub, news);
    else if ((sub->scanout == HELIX_NONE32 || sub->showing)
        && surface.resource_id
        && sub->surface.resource_id == surface.resource_id)
      /* Drawn while it was not shown: the flush that follows tells what
       * differs on the scanout, not what differs in the resource. */
      helix_subscription_damage_all (sub, helix_now_ns ());
  }
  /* Nothing is read here: the guest flushes next, or the wake-up reads. */
  pass_defer (shim);
}

/* Turns off what shows `resource_id`, or everything for 0. */
static void
forget (struct helix_shim *shim, uint32_t resource_id)
{
  const struct helix_surface off = {0};

  pass_begin (shim);
  for (uint32_t i = 0; i < shim->config.scanouts; i++) {
    uint32_t shown = shim->scanout[i].surface.resource_id;

    if (shown && (!resource_id || shown == resource_id))
      store_scanout (shim, i, &off);
    if (!resource_id || shim->unusable[i].resource_id == resource_id)
      memset (&shim->unusable[i], 0, sizeof shim->unusable[i]);
  }
  for (guint i = 0; i < shim->pass->len; i++) {
    struct helix_subscription *sub = g_ptr_array_index (shim->pass, i);

    if (sub->surface.resource_id == 0
        || (resource_id && sub->surface.resource_id != resource_id))
      continue;
    helix_subscription_set_surface (sub, &off, sub->generation);
    if (!helix_show_lost (sub) && sub->scanout == HELIX_NONE32)
      helix_subscription_end (sub, "the guest destroyed the resource");
  }
  pass_end (shim, 0);
}

void
helix_shim_display_unref (struct helix_shim *shim, uint32_t resource_id)
{
  if (resource_id)
    forget (shim, resource_id);
}

void
helix_shim_display_reset (struct helix_shim *shim)
{
  forget (shim, 0);
  helix_cursor_hide_all (shim);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Display thread. What subscriptions show, and the passes that give them
 * frames.
 *
 * Every entry point ends in a pass: each subscription with something pending,
 * a slot to put it in and its pace kept gets a frame. A slot's stale region is
 * first copied from the least stale slot of all subscriptions that show the
 * same; only what no slot has is read from the screen. So a flush is read once
 * however many subscriptions there are, and older damage is never read twice.
 */
#include <string.h>

#include "helix-pack.h"
#include "helix-platform.h"
#include "helix-shim-screen.h"
#include "helix-shim-subscription.h"

/* After a read that failed. Some failures pass (a GL context that another
 * thread holds), some never do: a few attempts a second cost nothing. */
#define RETRY_NS 250000000u

/* ---- what a subscription shows: a scanout, or a resource ---- */

/* The guest decides how often it shows such a surface: only one that differs
 * from the last is logged. */
static void
log_unusable (struct helix_shim *shim, const struct helix_surface *surface,
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

/* The guest names sizes and formats: a surface that is not exported counts as
 * off. *why then says so, for as long as the shim lives; NULL = it is off. */
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
  log_unusable (shim, surface, *why);
  return off;
}

/* A resource's whole surface. false: none that is exported; *why = a sentence
 * that lives as long as the shim. */
static bool
look_up (struct helix_shim *shim, uint32_t resource_id,
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
end (struct helix_shim_subscription *sub, const char *why)
{
  helix_shim_subscription_fail (sub,
      (struct helix_shim_fault){
          HELIX_ERROR_NO_RESOURCE, HELIX_SUBSCRIBE, 0, why, true});
}

/* No frames until it can be read; the subscription goes on. */
static void
tell_unreadable (struct helix_shim_subscription *sub, const char *why)
{
  helix_shim_subscription_fail (sub,
      (struct helix_shim_fault){
          HELIX_ERROR_READBACK, HELIX_SUBSCRIBE, 0, why, false});
}

/* `why`: the scanout is on, but not exported, and that is news; the client
 * shall not take it for dark. */
static void
follow_scanout (struct helix_shim_subscription *sub, const char *why)
{
  const struct helix_shim_scanout *scanout = &sub->shim->scanout[sub->scanout];

  helix_shim_subscription_set_surface (
      sub, &scanout->surface, scanout->generation);
  if (why)
    tell_unreadable (sub, why);
}

/* A subscription that the io thread made: what does it show? */
static void
begin (struct helix_shim_subscription *sub)
{
  struct helix_surface surface;
  const char *why;

  if (sub->begun)
    return;
  if (sub->scanout != HELIX_NONE32) {
    follow_scanout (sub, sub->shim->unusable[sub->scanout].why);
  } else if (!sub->shim->may_read) {
    return;
  } else if (look_up (sub->shim, sub->resource_id, &surface, &why)) {
    helix_shim_subscription_set_surface (sub, &surface, 1);
  } else {
    sub->begun = true;
    end (sub, why);
  }
}

/* When all subscriptions have begun: applies the SHOW that waits, if it is
 * time; the pass then serves it. */
static void
apply_request (struct helix_shim_subscription *sub)
{
  struct helix_shim *shim = sub->shim;
  struct helix_surface surface;
  struct helix_show show;
  const char *why;

  if (!helix_shim_subscription_take_request (sub, shim->pass_ns, &show))
    return;
  if (!look_up (shim, show.resource_id, &surface, &why)) {
    helix_shim_subscription_fail (sub,
        (struct helix_shim_fault){
            HELIX_ERROR_NO_RESOURCE, HELIX_SHOW, show.resource_id, why, false});
    return;
  }
  /* Asked for by name: whether it can be read is told of each. */
  if (show.resource_id != sub->surface.resource_id)
    sub->unreadable_told = false;
  sub->capture_ns = show.capture_ns;
  sub->shown = true;
  __atomic_store_n (&sub->resource_id, show.resource_id, __ATOMIC_RELAXED);
  helix_shim_subscription_set_surface (sub, &surface,
      sub->generation
          + !helix_shim_surface_same_mode (&sub->surface, &surface));
  /* No flush told that its pixels changed: slots of others that show it are
   * stale too, and nothing may be copied from them now. */
  for (guint i = 0; i < shim->subscriptions->len; i++) {
    struct helix_shim_subscription *other =
        g_ptr_array_index (shim->subscriptions, i);

    if (other->surface.resource_id == show.resource_id)
      helix_shim_subscription_damage (other, NULL);
  }
  helix_shim_count (shim, shows, 1);
}

/* Scanout `index` shows what it does in shim->scanout. */
static void
note_scanout (
    struct helix_shim_subscription *sub, uint32_t index, const char *why)
{
  bool follows = sub->scanout != HELIX_NONE32 && !sub->shown;
  uint32_t resource_id = sub->shim->scanout[index].surface.resource_id;

  if (follows && sub->scanout == index)
    follow_scanout (sub, why);
  else if (!follows && resource_id && sub->surface.resource_id == resource_id)
    /* Drawn while it was not shown: the flush that follows tells what differs
     * on the scanout, not what differs in the resource. */
    helix_shim_subscription_damage (sub, NULL);
}

/* The resource is gone (0 = all are). */
static void
lose_resource (struct helix_shim_subscription *sub, uint32_t resource_id)
{
  const struct helix_surface off = {0};

  if (sub->surface.resource_id == 0
      || (resource_id && sub->surface.resource_id != resource_id))
    return;
  helix_shim_subscription_set_surface (sub, &off, sub->generation);
  if (sub->shown)
    __atomic_store_n (&sub->resource_id, 0, __ATOMIC_RELAXED);
  else if (sub->scanout == HELIX_NONE32)
    end (sub, "the guest destroyed the resource");
}

/* ---- a frame for one subscription ---- */

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

/* Copies the part of `need` that another slot has, and takes it off `need`. */
static void
copy_from_slot (struct helix_shim_subscription *sub,
    struct helix_shim_memory *memory, uint32_t index, uint64_t *capture_ns,
    helix_region *need)
{
  struct helix_shim *shim = sub->shim;
  uint32_t from_index = 0;
  struct helix_shim_memory *from = helix_shim_subscription_find_copy (
      sub, &memory->slot[index], &from_index);
  const struct helix_shim_slot *source;
  uint64_t bytes = 0;
  helix_region has;

  if (!from)
    return;
  source = &from->slot[from_index];
  pixman_region32_init (&has);
  if (helix_region_without (&has, need, &source->stale)
      && !helix_region_empty (&has)) {
    int n = 0;
    const pixman_box32_t *box = pixman_region32_rectangles (&has, &n);

    for (int i = 0; i < n; i++)
      bytes += copy_box (helix_shim_memory_pixels (memory, index),
          helix_shim_memory_pixels (from, from_index),
          sub->surface.rect.width * 4, &box[i]);
    helix_shim_count (shim, copies, 1);
    helix_shim_count (shim, copy_bytes, bytes);
    helix_region_shared (need, need, &source->stale);
    if (helix_region_empty (need) && source->pass_ns == shim->pass_ns)
      *capture_ns = source->frame.capture_ns;
  }
  pixman_region32_fini (&has);
  helix_shim_memory_unref (from);
}

static void
read_failed (struct helix_shim_subscription *sub, const char *why)
{
  const struct helix_surface *surface = &sub->surface;

  helix_shim_count (sub->shim, read_errors, 1);
  sub->retry_ns = helix_now_ns () + RETRY_NS;
  if (sub->unreadable_told)
    return;
  sub->unreadable_told = true;
  helix_shim_log (sub->shim, HELIX_LOG_WARN,
      "resource %u (%ux%u) cannot be read: %s. It is tried again; until then "
      "there are no frames",
      surface->resource_id, surface->rect.width, surface->rect.height, why);
  tell_unreadable (sub, why);
}

static bool
read_screen (struct helix_shim_subscription *sub,
    struct helix_shim_memory *memory, uint32_t index, const helix_region *need,
    struct helix_frame *frame)
{
  struct helix_shim *shim = sub->shim;
  const struct helix_surface *surface = &sub->surface;
  uint32_t stride = surface->rect.width * 4;
  struct helix_rect rects[HELIX_MAX_RECTS];
  uint32_t n = helix_region_rects (need, rects);
  uint64_t bytes = 0, begin_ns = helix_now_ns (), took;
  const char *why = "no reason given";

  if (n == 0)
    return true;
  for (uint32_t i = 0; i < n; i++) {
    struct helix_rect box = rects[i];
    uint8_t *dst = helix_shim_memory_pixels (memory, index)
        + (size_t) box.y * stride + (size_t) box.x * 4;

    box.x += surface->rect.x;
    box.y += surface->rect.y;
    if (!shim->display.read (
            shim->display_opaque, surface, &box, dst, stride, &why)) {
      read_failed (sub, why);
      return false;
    }
    bytes += (uint64_t) box.width * box.height * 4;
  }
  took = helix_now_ns () - begin_ns;
  frame->readback_ns = (uint32_t) MIN (took, UINT32_MAX);
  frame->read_bytes = (uint32_t) MIN (bytes, UINT32_MAX);
  shim->pass_read = true;
  helix_shim_count (shim, readbacks, 1);
  helix_shim_count (shim, readback_bytes, bytes);
  helix_shim_count (shim, readback_ns, took);
  if (took > __atomic_load_n (&shim->stats.readback_max_ns, __ATOMIC_RELAXED))
    __atomic_store_n (&shim->stats.readback_max_ns, took, __ATOMIC_RELAXED);
  return true;
}

static void
describe_frame (struct helix_shim_subscription *sub,
    struct helix_shim_memory *memory, uint32_t index, uint64_t now)
{
  const struct helix_surface *surface = &sub->surface;
  struct helix_shim_slot *slot = &memory->slot[index];
  struct helix_frame *frame = &slot->frame;

  frame->scanout = sub->scanout;
  frame->resource_id = surface->resource_id;
  frame->generation = sub->generation;
  frame->pool_id = memory->id;
  frame->slot = index;
  frame->width = surface->rect.width;
  frame->height = surface->rect.height;
  frame->stride = frame->width * 4;
  frame->fourcc = surface->fourcc;
  frame->wait_ns = (uint32_t) MIN (now - sub->pending_ns, UINT32_MAX);
  if (!helix_region_is_all (&sub->pending, frame->width, frame->height))
    frame->rects = helix_region_rects (&sub->pending, slot->rects);
}

/* Keeps the phase of a steady source; a late frame earns no early one. */
static void
advance_pace (struct helix_shim_subscription *sub, uint64_t now)
{
  if (sub->due_ns + sub->interval_ns > now)
    sub->due_ns += sub->interval_ns;
  else
    sub->due_ns = now + sub->interval_ns;
}

/* The capture time of a frame that was filled at `filled_ns`. SHOW told the
 * picture's own: never before the frame before, never in the future. */
static uint64_t
capture_time (const struct helix_shim_subscription *sub, uint64_t filled_ns)
{
  if (sub->capture_ns == HELIX_NONE64)
    return filled_ns;
  return MIN (MAX (sub->capture_ns, sub->captured_ns), filled_ns);
}

/* Returns: when to try again if the screen could not be read, else
 * HELIX_NONE64. */
static uint64_t
fill (struct helix_shim_subscription *sub, struct helix_shim_memory *memory,
    uint32_t index, uint64_t now)
{
  struct helix_shim_slot *slot = &memory->slot[index];
  uint64_t captured_ns = now;
  helix_region need;
  bool good;

  memset (&slot->frame, 0, sizeof slot->frame);
  pixman_region32_init (&need);
  helix_region_copy (&need, &slot->stale);
  copy_from_slot (sub, memory, index, &captured_ns, &need);
  good = read_screen (sub, memory, index, &need, &slot->frame);
  pixman_region32_fini (&need);
  if (!good) {
    helix_shim_subscription_publish (sub, memory, index, false);
    return MAX (sub->due_ns, sub->retry_ns);
  }
  captured_ns = capture_time (sub, captured_ns);
  slot->frame.capture_ns = captured_ns;
  describe_frame (sub, memory, index, now);
  pixman_region32_clear (&slot->stale);
  slot->pass_ns = sub->shim->pass_ns;
  pixman_region32_clear (&sub->pending);
  sub->pending_ns = HELIX_NONE64;
  advance_pace (sub, now);
  if (helix_shim_subscription_publish (sub, memory, index, true)) {
    sub->captured_ns = captured_ns;
    sub->capture_ns = HELIX_NONE64;
  } else {
    /* Larger memory came meanwhile: the frame is lost, its damage is not. */
    helix_shim_subscription_damage (sub, NULL);
  }
  return HELIX_NONE64;
}

/* Gives the subscription a frame if something is pending and it may be.
 * `flushed`: what it shows was flushed just now.
 * Returns: when to try again, HELIX_NONE64 = when something happens. */
static uint64_t
serve (struct helix_shim_subscription *sub, bool flushed)
{
  uint64_t again_ns = helix_shim_subscription_request_due (sub);
  struct helix_shim_memory *memory;
  uint64_t now = helix_now_ns ();
  uint32_t slot;

  /* The source is about to change: no frame of the present one. */
  if (again_ns != HELIX_NONE64)
    return again_ns;
  if (sub->surface.resource_id == 0 || sub->pending_ns == HELIX_NONE64)
    return HELIX_NONE64;
  again_ns = MAX (sub->due_ns, sub->retry_ns);
  if (now < again_ns)
    return again_ns;
  switch (helix_shim_subscription_claim (sub, &memory, &slot)) {
    case HELIX_SHIM_CLAIM_OK:
      return fill (sub, memory, slot, now);
    case HELIX_SHIM_CLAIM_NO_CREDIT:
      helix_shim_count (sub->shim, no_credit, flushed);
      __atomic_fetch_add (&sub->dropped, flushed, __ATOMIC_RELAXED);
      return HELIX_NONE64;
    default:
      return HELIX_NONE64;
  }
}

/* ---- a pass over all ---- */

static void
pass_begin (struct helix_shim *shim)
{
  shim->pass_ns = helix_now_ns ();
  shim->pass_read = false;
  shim->may_read = shim->display.may_read == NULL
      || shim->display.may_read (shim->display_opaque);
  helix_shim_subscription_update_all (shim);
  for (guint i = 0; i < shim->subscriptions->len; i++)
    begin (g_ptr_array_index (shim->subscriptions, i));
  for (guint i = 0; i < shim->subscriptions->len && shim->may_read; i++)
    apply_request (g_ptr_array_index (shim->subscriptions, i));
}

/* Ends a pass in which nothing is read: the wake-up's pass reads. */
static void
pass_defer (struct helix_shim *shim)
{
  if (shim->subscriptions->len)
    helix_shim_wake_display (shim);
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
  for (guint i = 0; i < shim->subscriptions->len; i++) {
    struct helix_shim_subscription *sub =
        g_ptr_array_index (shim->subscriptions, i);
    bool concerned = flushed && sub->surface.resource_id == flushed;
    uint64_t again_ns = serve (sub, concerned);

    deadline = MIN (deadline, again_ns);
    helix_shim_count (shim, paced, concerned && again_ns != HELIX_NONE64);
  }
  if (deadline != shim->display_deadline_ns) {
    shim->display_deadline_ns = deadline;
    shim->loop.display_timer (shim->loop_opaque, deadline);
  }
  /* So long the guest's display, and in QEMU the whole main loop, stood still.
   */
  if (shim->pass_read)
    helix_histogram_add (&shim->stats.stalls, helix_now_ns () - shim->pass_ns);
}

/* ---- entries ---- */

void
helix_shim_display_run (struct helix_shim *shim)
{
  helix_shim_screen_apply_requests (shim);
  pass_begin (shim);
  /* The timer that may have brought us here is spent. */
  if (shim->display_deadline_ns <= shim->pass_ns)
    shim->display_deadline_ns = HELIX_NONE64;
  pass_end (shim, 0);
}

void
helix_shim_display_flush (struct helix_shim *shim, uint32_t resource_id,
    const struct helix_rect *rect)
{
  bool concerned = false;

  if (helix_shim_idle (shim) || resource_id == 0)
    return;
  pass_begin (shim);
  for (guint i = 0; i < shim->subscriptions->len; i++) {
    struct helix_shim_subscription *sub =
        g_ptr_array_index (shim->subscriptions, i);

    if (sub->surface.resource_id == resource_id) {
      concerned = true;
      helix_shim_subscription_damage (sub, rect);
    }
  }
  helix_shim_count (shim, flushes, concerned);
  pass_end (shim, resource_id);
}

void
helix_shim_display_scanout (
    struct helix_shim *shim, uint32_t index, const struct helix_surface *wanted)
{
  struct helix_surface surface;
  const char *why, *news;

  if (!helix_shim_screen_exports (shim, index))
    return;
  surface = usable (shim, wanted, &why);
  news = why != shim->unusable[index].why ? why : NULL;
  shim->unusable[index].resource_id = why ? wanted->resource_id : 0;
  shim->unusable[index].why = why;
  /* Guests set what they have. */
  if (!news
      && memcmp (&surface, &shim->scanout[index].surface, sizeof surface) == 0)
    return;
  /* Subscriptions that are new learn of the state before, so that they see
   * this change as what it is. */
  pass_begin (shim);
  helix_shim_screen_set (shim, index, &surface);
  for (guint i = 0; i < shim->subscriptions->len; i++)
    note_scanout (g_ptr_array_index (shim->subscriptions, i), index, news);
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
      helix_shim_screen_set (shim, i, &off);
    if (!resource_id || shim->unusable[i].resource_id == resource_id)
      memset (&shim->unusable[i], 0, sizeof shim->unusable[i]);
  }
  for (guint i = 0; i < shim->subscriptions->len; i++)
    lose_resource (g_ptr_array_index (shim->subscriptions, i), resource_id);
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
  helix_shim_screen_hide_cursors (shim);
}

bool
helix_shim_idle (struct helix_shim *shim)
{
  return __atomic_load_n (&shim->stats.subscriptions, __ATOMIC_RELAXED) == 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Display thread. What subscriptions show, and the passes that give them
 * frames.
 *
 * Every entry point ends in a pass: each subscription with something pending,
 * a slot to put it in and its pace kept gets a frame (helix-shim-frame.h).
 */
#include <string.h>

#include "helix-pack.h"
#include "helix-platform.h"
#include "helix-shim-frame.h"
#include "helix-shim-screen.h"
#include "helix-shim-subscription.h"

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

/* `why`: the scanout is on, but not exported, and that is news; the client
 * shall not take it for dark. */
static void
follow_scanout (struct helix_shim_subscription *sub, const char *why)
{
  const struct helix_shim_scanout *scanout = &sub->shim->scanout[sub->scanout];

  helix_shim_subscription_set_surface (
      sub, &scanout->surface, scanout->generation);
  if (why)
    helix_shim_frame_tell_unreadable (sub, why);
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

/* ---- a pass over all ---- */

static void
pass_begin (struct helix_shim *shim)
{
  shim->pass_ns = helix_now_ns ();
  shim->pass_read = false;
  shim->pass_held_ns = 0;
  shim->pass_began = NULL;
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
  uint64_t deadline = HELIX_NONE64, held_ns;

  if (!shim->may_read) {
    pass_defer (shim);
    return;
  }
  for (guint i = 0; i < shim->subscriptions->len; i++) {
    struct helix_shim_subscription *sub =
        g_ptr_array_index (shim->subscriptions, i);
    bool concerned = flushed && sub->surface.resource_id == flushed;
    uint64_t again_ns = helix_shim_frame_serve (sub, concerned);

    deadline = MIN (deadline, again_ns);
    helix_shim_count (shim, paced, concerned && again_ns != HELIX_NONE64);
  }
  if (deadline != shim->display_deadline_ns) {
    shim->display_deadline_ns = deadline;
    shim->loop.display_timer (shim->loop_opaque, deadline);
  }
  /* So long the guest's display, and in QEMU the whole main loop, stood still.
   * What only began is told with its end, so that each frame counts once. */
  held_ns = helix_now_ns () - shim->pass_ns;
  if (shim->pass_read)
    helix_histogram_add (&shim->stats.stalls, held_ns + shim->pass_held_ns);
  else if (shim->pass_began)
    shim->pass_began->held_ns += held_ns;
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
helix_shim_display_read_done (
    struct helix_shim *shim, struct helix_readback *readback, const char *why)
{
  pass_begin (shim);
  helix_shim_frame_read_done (shim, readback, why);
  pass_end (shim, 0);
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

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Display thread. */
#include "helix-shim-source.h"

#include <string.h>

#include "helix-pack.h"
#include "helix-platform.h"
#include "helix-shim-screen.h"

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

struct helix_surface
helix_shim_source_usable (struct helix_shim *shim,
    const struct helix_surface *surface, const char **why)
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
  *surface = helix_shim_source_usable (shim, surface, why);
  if (surface->resource_id == 0 && *why == NULL)
    *why = "it has no pixels";
  return surface->resource_id != 0;
}

static void
end (struct helix_shim_subscription *sub, const char *why)
{
  const struct helix_shim_fault fault = {
      HELIX_ERROR_NO_RESOURCE, HELIX_SUBSCRIBE, 0, why};

  helix_shim_subscription_fail (sub, &fault, true);
}

static void
follow_scanout (struct helix_shim_subscription *sub, const char *why)
{
  const struct helix_shim_scanout *scanout =
      &sub->shim->scanout[sub->source.scanout];
  const struct helix_shim_fault fault = {
      HELIX_ERROR_READBACK, HELIX_SUBSCRIBE, 0, why};

  helix_shim_subscription_set_surface (
      sub, &scanout->surface, scanout->generation);
  if (why)
    helix_shim_subscription_fail (sub, &fault, false);
}

void
helix_shim_source_begin (struct helix_shim_subscription *sub)
{
  struct helix_surface surface;
  const char *why;

  if (sub->begun)
    return;
  if (sub->source.scanout != HELIX_NONE32) {
    follow_scanout (sub, sub->shim->unusable[sub->source.scanout].why);
  } else if (!sub->shim->may_read) {
    return;
  } else if (look_up (sub->shim, sub->source.resource_id, &surface, &why)) {
    helix_shim_subscription_set_surface (sub, &surface, 1);
  } else {
    sub->begun = true;
    end (sub, why);
  }
}

void
helix_shim_source_apply (struct helix_shim_subscription *sub, uint64_t now)
{
  struct helix_shim *shim = sub->shim;
  struct helix_shim_source source = sub->source;
  struct helix_surface surface;
  struct helix_show show;
  const char *why;

  if (!helix_shim_subscription_take_request (sub, now, &show))
    return;
  if (!look_up (shim, show.resource_id, &surface, &why)) {
    const struct helix_shim_fault fault = {
        HELIX_ERROR_NO_RESOURCE, HELIX_SHOW, show.resource_id, why};

    helix_shim_subscription_fail (sub, &fault, false);
    return;
  }
  /* Asked for by name: whether it can be read is told of each. */
  if (show.resource_id != sub->surface.resource_id)
    sub->unreadable_told = false;
  sub->capture_ns = show.capture_ns;
  source.shown = true;
  source.resource_id = show.resource_id;
  helix_shim_subscription_set_source (sub, &source);
  helix_shim_subscription_set_surface (sub, &surface,
      sub->generation
          + !helix_shim_surface_same_mode (&sub->surface, &surface));
  /* No flush told that its pixels changed: slots of others that show it are
   * stale too, and nothing may be copied from them now. */
  for (guint i = 0; i < shim->pass->len; i++) {
    struct helix_shim_subscription *other = g_ptr_array_index (shim->pass, i);

    if (other->surface.resource_id == show.resource_id)
      helix_shim_subscription_damage (other, NULL, now);
  }
  helix_shim_count (shim, shows, 1);
}

void
helix_shim_source_scanout (
    struct helix_shim_subscription *sub, uint32_t index, const char *why)
{
  bool follows = sub->source.scanout != HELIX_NONE32 && !sub->source.shown;
  uint32_t resource_id = sub->shim->scanout[index].surface.resource_id;

  if (follows && sub->source.scanout == index)
    follow_scanout (sub, why);
  else if (!follows && resource_id && sub->surface.resource_id == resource_id)
    /* Drawn while it was not shown: the flush that follows tells what differs
     * on the scanout, not what differs in the resource. */
    helix_shim_subscription_damage (sub, NULL, helix_now_ns ());
}

void
helix_shim_source_lose (
    struct helix_shim_subscription *sub, uint32_t resource_id)
{
  const struct helix_surface off = {0};
  struct helix_shim_source source = sub->source;

  if (sub->surface.resource_id == 0
      || (resource_id && sub->surface.resource_id != resource_id))
    return;
  helix_shim_subscription_set_surface (sub, &off, sub->generation);
  if (source.shown) {
    source.resource_id = 0;
    helix_shim_subscription_set_source (sub, &source);
  } else if (source.scanout == HELIX_NONE32) {
    end (sub, "the guest destroyed the resource");
  }
}

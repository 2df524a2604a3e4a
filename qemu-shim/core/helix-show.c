/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-show.h"

#include "helix-platform.h"

void
helix_show_store (struct helix_subscription *sub, const struct helix_show *show)
{
  struct helix_shim *shim = sub->shim;
  bool waited;

  pthread_mutex_lock (&shim->lock);
  sub->show = *show;
  waited = __atomic_exchange_n (&sub->show_wanted, true, __ATOMIC_RELAXED);
  pthread_mutex_unlock (&shim->lock);
  /* For one that waited the display thread has been woken. */
  if (!waited)
    shim->loop.wake_display (shim->loop_opaque);
}

uint64_t
helix_show_due (const struct helix_subscription *sub)
{
  return __atomic_load_n (&sub->show_wanted, __ATOMIC_RELAXED)
      ? sub->show_due_ns
      : HELIX_NONE64;
}

/* The wish, if one is due and the subscription is not at its end. */
static bool
take (struct helix_subscription *sub, struct helix_show *show, uint64_t now)
{
  struct helix_shim *shim = sub->shim;
  bool wanted;

  if (helix_show_due (sub) > now)
    return false;
  pthread_mutex_lock (&shim->lock);
  wanted = !sub->over && !sub->closed;
  *show = sub->show;
  __atomic_store_n (&sub->show_wanted, false, __ATOMIC_RELAXED);
  pthread_mutex_unlock (&shim->lock);
  return wanted;
}

/* The client may go on with the frames it has: no new generation. */
static bool
same_format (const struct helix_surface *a, const struct helix_surface *b)
{
  return a->resource_id && b->resource_id && a->rect.width == b->rect.width
      && a->rect.height == b->rect.height && a->fourcc == b->fourcc;
}

static void
note_resource (struct helix_subscription *sub, uint32_t resource_id)
{
  pthread_mutex_lock (&sub->shim->lock);
  sub->resource_now = resource_id;
  pthread_mutex_unlock (&sub->shim->lock);
}

void
helix_show_obey (struct helix_subscription *sub, uint64_t now)
{
  struct helix_shim *shim = sub->shim;
  struct helix_surface surface;
  struct helix_show show;
  const char *why;

  if (!take (sub, &show, now))
    return;
  sub->show_due_ns = now + HELIX_SHOW_EVERY_NS;
  if (!helix_display_resource (shim, show.resource_id, &surface, &why)) {
    helix_subscription_tell (
        sub, HELIX_ERROR_NO_RESOURCE, HELIX_SHOW, show.resource_id, why);
    return;
  }
  sub->showing = true;
  /* Asked for by name: whether it can be read is told of each. */
  if (show.resource_id != sub->surface.resource_id)
    sub->unreadable_told = false;
  sub->shown_ns = show.capture_ns;
  note_resource (sub, show.resource_id);
  helix_subscription_set_surface (sub, &surface,
      same_format (&sub->surface, &surface) ? sub->generation
                                            : sub->generation + 1);
  /* No flush told that its pixels changed: whoever else shows it has old ones
   * in his slots, from which nothing may be copied now. */
  for (guint i = 0; i < shim->pass->len; i++) {
    struct helix_subscription *other = g_ptr_array_index (shim->pass, i);

    if (other->surface.resource_id == show.resource_id)
      helix_subscription_damage_all (other, now);
  }
  helix_count (shim, shows, 1);
}

bool
helix_show_lost (struct helix_subscription *sub)
{
  if (sub->showing)
    note_resource (sub, 0);
  return sub->showing;
}

uint64_t
helix_show_capture (const struct helix_subscription *sub, uint64_t filled_ns)
{
  if (sub->shown_ns == HELIX_NONE64)
    return filled_ns;
  /* Never before the frame before, never in the future. */
  return MIN (MAX (sub->shown_ns, sub->captured_ns), filled_ns);
}

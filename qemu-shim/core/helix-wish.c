/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-wish.h"

#include "helix-shim-private.h"

void
helix_wish_store (struct helix_shim *shim, const struct helix_set_scanout *set,
    uint64_t session)
{
  struct helix_wish *wish = &shim->wish[set->scanout];

  pthread_mutex_lock (&shim->lock);
  wish->wanted = true;
  wish->set = *set;
  wish->session = session;
  pthread_mutex_unlock (&shim->lock);
  __atomic_store_n (&shim->wishes, true, __ATOMIC_RELEASE);
  shim->loop.wake_display (shim->loop_opaque);
}

static void
obey (struct helix_shim *shim, struct helix_wish *wish)
{
  const char *why = "no reason given";
  struct helix_set_scanout set;
  uint64_t session;
  bool wanted;

  pthread_mutex_lock (&shim->lock);
  wanted = wish->wanted;
  set = wish->set;
  session = wish->session;
  wish->wanted = false;
  pthread_mutex_unlock (&shim->lock);
  if (!wanted)
    return;
  if (shim->display.set_scanout (shim->display_opaque, &set, &why)) {
    helix_count (shim, set_scanouts, 1);
    return;
  }
  pthread_mutex_lock (&shim->lock);
  wish->refused = session;
  wish->why = why;
  pthread_mutex_unlock (&shim->lock);
  __atomic_store_n (&shim->refusals, true, __ATOMIC_RELEASE);
  shim->loop.wake_io (shim->loop_opaque);
}

void
helix_wish_obey_all (struct helix_shim *shim)
{
  if (!__atomic_exchange_n (&shim->wishes, false, __ATOMIC_ACQUIRE))
    return;
  for (uint32_t i = 0; i < shim->config.scanouts; i++)
    obey (shim, &shim->wish[i]);
}

bool
helix_wish_refused (struct helix_shim *shim, uint64_t session,
    uint32_t *scanout, const char **why)
{
  bool found = false;

  if (!__atomic_load_n (&shim->refusals, __ATOMIC_ACQUIRE))
    return false;
  pthread_mutex_lock (&shim->lock);
  for (uint32_t i = 0; i < shim->config.scanouts && !found; i++)
    if (shim->wish[i].refused == session) {
      found = true;
      *scanout = i;
      *why = shim->wish[i].why;
      shim->wish[i].refused = 0;
    }
  pthread_mutex_unlock (&shim->lock);
  return found;
}

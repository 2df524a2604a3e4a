/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * SET_SCANOUT on its way: a client asks (io thread), the screen's owner is
 * asked (display thread), and if that one cannot, the client hears of it (io
 * thread). One wish a scanout: a newer one takes the place of one that nobody
 * has looked at yet.
 */
#ifndef HELIX_WISH_H
#define HELIX_WISH_H

#include <stdbool.h>
#include <stdint.h>

#include "helix-protocol.h"

struct helix_shim;

/* Of one scanout; under the shim's lock. */
struct helix_wish {
  bool wanted; /* not obeyed yet */
  struct helix_set_scanout set;
  uint64_t session; /* number of the session that asked */
  uint64_t refused; /* number of the session to be told `why`, 0 = none */
  const char *why;
};

/* Io thread: session number `session` asks. */
void helix_wish_store (struct helix_shim *shim,
    const struct helix_set_scanout *set, uint64_t session);
/* Display thread, in no pass: what is asked for comes back as
 * helix_shim_display_scanout, perhaps at once. */
void helix_wish_obey_all (struct helix_shim *shim);
/* Io thread: whether a wish of that session was refused; *why = a static
 * sentence. Each refusal is found once. */
bool helix_wish_refused (struct helix_shim *shim, uint64_t session,
    uint32_t *scanout, const char **why);

#endif /* HELIX_WISH_H */

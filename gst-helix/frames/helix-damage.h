/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What changed since some earlier picture: a bounded list of rectangles.
 *
 * Too many of them become their bounding box: converting a few pixels too
 * many is cheaper than an unbounded list.
 */
#ifndef HELIX_DAMAGE_H
#define HELIX_DAMAGE_H

#include <glib.h>

#include "helix-protocol.h"

G_BEGIN_DECLS

typedef struct {
  gboolean full; /* everything changed; `rects` does not count */
  guint n;       /* rectangles, 0 and not full = nothing changed */
  struct helix_rect rects[HELIX_MAX_RECTS]; /* pixels */
} HelixDamage;

/* Nothing changed. */
void helix_damage_clear (HelixDamage *damage);
/* Everything changed. */
void helix_damage_all (HelixDamage *damage);
/* `n` more rectangles changed; 0 means everything, as in struct helix_frame.
 * They must lie within HELIX_MAX_DIMENSION. */
void helix_damage_add (
    HelixDamage *damage, const struct helix_rect *rects, guint n);

G_END_DECLS

#endif /* HELIX_DAMAGE_H */

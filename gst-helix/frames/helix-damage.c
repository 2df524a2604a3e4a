/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-damage.h"

void
helix_damage_clear (HelixDamage *damage)
{
  damage->full = FALSE;
  damage->n = 0;
}

void
helix_damage_all (HelixDamage *damage)
{
  damage->full = TRUE;
  damage->n = 0;
}

static void
grow (struct helix_rect *box, const struct helix_rect *rect)
{
  guint32 right = MAX (box->x + box->width, rect->x + rect->width);
  guint32 bottom = MAX (box->y + box->height, rect->y + rect->height);

  box->x = MIN (box->x, rect->x);
  box->y = MIN (box->y, rect->y);
  box->width = right - box->x;
  box->height = bottom - box->y;
}

static gboolean
contains (const struct helix_rect *outer, const struct helix_rect *inner)
{
  return inner->x >= outer->x && inner->y >= outer->y
      && inner->x + inner->width <= outer->x + outer->width
      && inner->y + inner->height <= outer->y + outer->height;
}

static void
add_one (HelixDamage *damage, const struct helix_rect *rect)
{
  if (rect->width == 0 || rect->height == 0)
    return;
  for (guint i = 0; i < damage->n; i++)
    if (contains (&damage->rects[i], rect))
      return;
  if (damage->n == G_N_ELEMENTS (damage->rects)) {
    for (guint i = 1; i < damage->n; i++)
      grow (&damage->rects[0], &damage->rects[i]);
    grow (&damage->rects[0], rect);
    damage->n = 1;
  } else {
    damage->rects[damage->n++] = *rect;
  }
}

void
helix_damage_add (HelixDamage *damage, const struct helix_rect *rects, guint n)
{
  if (n == 0)
    helix_damage_all (damage);
  if (damage->full)
    return;
  for (guint i = 0; i < n; i++)
    add_one (damage, &rects[i]);
}

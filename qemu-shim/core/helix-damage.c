/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-damage.h"

#include <string.h>

/* pixman.h before 0.43 takes non-const pointers for what it only reads. */
static helix_damage *
readable (const helix_damage *damage)
{
  return (helix_damage *) damage;
}

void
helix_damage_init (helix_damage *damage)
{
  pixman_region32_init (damage);
}

void
helix_damage_fini (helix_damage *damage)
{
  pixman_region32_fini (damage);
}

void
helix_damage_clear (helix_damage *damage)
{
  pixman_region32_clear (damage);
}

void
helix_damage_fill (helix_damage *damage, uint32_t width, uint32_t height)
{
  pixman_region32_fini (damage);
  pixman_region32_init_rect (damage, 0, 0, width, height);
}

static void
become_box (helix_damage *damage, const pixman_box32_t *box)
{
  pixman_region32_fini (damage);
  pixman_region32_init_rect (damage, box->x1, box->y1,
      (unsigned) (box->x2 - box->x1), (unsigned) (box->y2 - box->y1));
}

/* `ok` is pixman's word on its allocation; `outer` a box that surely holds
 * the result. */
static void
settle (helix_damage *damage, bool ok, const pixman_box32_t *outer)
{
  if (!ok)
    become_box (damage, outer);
  else if (pixman_region32_n_rects (damage) > (int) HELIX_MAX_RECTS) {
    pixman_box32_t box = *pixman_region32_extents (damage);

    become_box (damage, &box);
  }
}

void
helix_damage_copy (helix_damage *dst, const helix_damage *src)
{
  pixman_box32_t outer = *pixman_region32_extents (readable (src));

  settle (dst, pixman_region32_copy (dst, readable (src)), &outer);
}

void
helix_damage_add (helix_damage *damage, const struct helix_rect *rect)
{
  pixman_box32_t outer = *pixman_region32_extents (damage);
  int32_t x1 = (int32_t) rect->x, x2 = x1 + (int32_t) rect->width;
  int32_t y1 = (int32_t) rect->y, y2 = y1 + (int32_t) rect->height;

  if (!pixman_region32_not_empty (damage)) {
    outer = (pixman_box32_t){x1, y1, x2, y2};
  } else {
    outer.x1 = x1 < outer.x1 ? x1 : outer.x1;
    outer.y1 = y1 < outer.y1 ? y1 : outer.y1;
    outer.x2 = x2 > outer.x2 ? x2 : outer.x2;
    outer.y2 = y2 > outer.y2 ? y2 : outer.y2;
  }
  settle (damage,
      pixman_region32_union_rect (
          damage, damage, x1, y1, rect->width, rect->height),
      &outer);
}

bool
helix_damage_without (
    helix_damage *dst, const helix_damage *a, const helix_damage *b)
{
  if (pixman_region32_subtract (dst, readable (a), readable (b)))
    return true;
  pixman_region32_fini (dst);
  pixman_region32_init (dst);
  return false;
}

void
helix_damage_shared (
    helix_damage *dst, const helix_damage *a, const helix_damage *b)
{
  pixman_box32_t outer = *pixman_region32_extents (readable (a));

  settle (
      dst, pixman_region32_intersect (dst, readable (a), readable (b)), &outer);
}

bool
helix_damage_empty (const helix_damage *damage)
{
  return !pixman_region32_not_empty (readable (damage));
}

bool
helix_damage_is_all (
    const helix_damage *damage, uint32_t width, uint32_t height)
{
  pixman_box32_t all = {0, 0, (int32_t) width, (int32_t) height};

  return pixman_region32_contains_rectangle (readable (damage), &all)
      == PIXMAN_REGION_IN;
}

uint64_t
helix_damage_area (const helix_damage *damage)
{
  int n = 0;
  const pixman_box32_t *box =
      pixman_region32_rectangles (readable (damage), &n);
  uint64_t area = 0;

  for (int i = 0; i < n; i++)
    area +=
        (uint64_t) (box[i].x2 - box[i].x1) * (uint64_t) (box[i].y2 - box[i].y1);
  return area;
}

uint32_t
helix_damage_rects (
    const helix_damage *damage, struct helix_rect rects[HELIX_MAX_RECTS])
{
  int n = 0;
  const pixman_box32_t *box =
      pixman_region32_rectangles (readable (damage), &n);

  for (int i = 0; i < n && i < (int) HELIX_MAX_RECTS; i++) {
    rects[i].x = (uint32_t) box[i].x1;
    rects[i].y = (uint32_t) box[i].y1;
    rects[i].width = (uint32_t) (box[i].x2 - box[i].x1);
    rects[i].height = (uint32_t) (box[i].y2 - box[i].y1);
  }
  return (uint32_t) n;
}

/* The overlap of [a, a + an) and [b, b + bn), relative to b. */
static bool
overlap (uint32_t a, uint32_t an, uint32_t b, uint32_t bn, uint32_t *at,
    uint32_t *size)
{
  uint64_t end_a = (uint64_t) a + an, end_b = (uint64_t) b + bn;
  uint64_t from = a > b ? a : b, to = end_a < end_b ? end_a : end_b;

  if (from >= to)
    return false;
  *at = (uint32_t) (from - b);
  *size = (uint32_t) (to - from);
  return true;
}

bool
helix_rect_within (struct helix_rect *dst, const struct helix_rect *rect,
    const struct helix_rect *bounds)
{
  return overlap (rect->x, rect->width, bounds->x, bounds->width, &dst->x,
             &dst->width)
      && overlap (rect->y, rect->height, bounds->y, bounds->height, &dst->y,
          &dst->height);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-region.h"

#include <string.h>

/* pixman.h before 0.43 takes non-const pointers for what it only reads. */
static helix_region *
readable (const helix_region *region)
{
  return (helix_region *) region;
}

void
helix_region_fill (helix_region *region, uint32_t width, uint32_t height)
{
  pixman_region32_fini (region);
  pixman_region32_init_rect (region, 0, 0, width, height);
}

static void
become_box (helix_region *region, const pixman_box32_t *box)
{
  pixman_region32_fini (region);
  pixman_region32_init_rect (region, box->x1, box->y1,
      (unsigned) (box->x2 - box->x1), (unsigned) (box->y2 - box->y1));
}

/* `ok` is pixman's word on its allocation; `outer` a box that surely holds
 * the result. */
static void
settle (helix_region *region, bool ok, const pixman_box32_t *outer)
{
  if (!ok)
    become_box (region, outer);
  else if (pixman_region32_n_rects (region) > (int) HELIX_MAX_RECTS) {
    pixman_box32_t box = *pixman_region32_extents (region);

    become_box (region, &box);
  }
}

void
helix_region_copy (helix_region *dst, const helix_region *src)
{
  pixman_box32_t outer = *pixman_region32_extents (readable (src));

  settle (dst, pixman_region32_copy (dst, readable (src)), &outer);
}

void
helix_region_add (helix_region *region, const struct helix_rect *rect)
{
  pixman_box32_t outer = *pixman_region32_extents (region);
  int32_t x1 = (int32_t) rect->x, x2 = x1 + (int32_t) rect->width;
  int32_t y1 = (int32_t) rect->y, y2 = y1 + (int32_t) rect->height;

  if (!pixman_region32_not_empty (region)) {
    outer = (pixman_box32_t){x1, y1, x2, y2};
  } else {
    outer.x1 = x1 < outer.x1 ? x1 : outer.x1;
    outer.y1 = y1 < outer.y1 ? y1 : outer.y1;
    outer.x2 = x2 > outer.x2 ? x2 : outer.x2;
    outer.y2 = y2 > outer.y2 ? y2 : outer.y2;
  }
  settle (region,
      pixman_region32_union_rect (
          region, region, x1, y1, rect->width, rect->height),
      &outer);
}

bool
helix_region_without (
    helix_region *dst, const helix_region *a, const helix_region *b)
{
  if (pixman_region32_subtract (dst, readable (a), readable (b)))
    return true;
  pixman_region32_fini (dst);
  pixman_region32_init (dst);
  return false;
}

void
helix_region_shared (
    helix_region *dst, const helix_region *a, const helix_region *b)
{
  pixman_box32_t outer = *pixman_region32_extents (readable (a));

  settle (
      dst, pixman_region32_intersect (dst, readable (a), readable (b)), &outer);
}

bool
helix_region_empty (const helix_region *region)
{
  return !pixman_region32_not_empty (readable (region));
}

bool
helix_region_is_all (
    const helix_region *region, uint32_t width, uint32_t height)
{
  pixman_box32_t all = {0, 0, (int32_t) width, (int32_t) height};

  return pixman_region32_contains_rectangle (readable (region), &all)
      == PIXMAN_REGION_IN;
}

uint64_t
helix_region_area (const helix_region *region)
{
  int n = 0;
  const pixman_box32_t *box =
      pixman_region32_rectangles (readable (region), &n);
  uint64_t area = 0;

  for (int i = 0; i < n; i++)
    area +=
        (uint64_t) (box[i].x2 - box[i].x1) * (uint64_t) (box[i].y2 - box[i].y1);
  return area;
}

uint32_t
helix_region_rects (
    const helix_region *region, struct helix_rect rects[HELIX_MAX_RECTS])
{
  int n = 0;
  const pixman_box32_t *box =
      pixman_region32_rectangles (readable (region), &n);

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

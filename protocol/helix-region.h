/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which pixels of a frame differ from something: pixman regions that cannot
 * grow without bound. Beyond HELIX_MAX_RECTS rectangles a region becomes its
 * bounding box: that only ever adds pixels, so a copy by it is still right.
 * All coordinates are pixels from the frame's first row and column in memory,
 * within HELIX_MAX_DIMENSION. The one file of protocol/ that needs pixman.
 */
#ifndef HELIX_REGION_H
#define HELIX_REGION_H

#include <stdbool.h>
#include <stdint.h>

#include <pixman.h>

#include "helix-protocol.h"

typedef pixman_region32_t helix_region;

/* Everything: 0,0 width x height. */
void helix_region_fill (helix_region *region, uint32_t width, uint32_t height);
void helix_region_copy (helix_region *dst, const helix_region *src);
void helix_region_add (helix_region *region, const struct helix_rect *rect);
/* dst = a without b, exactly, in however many rectangles that takes (both
 * are bounded, so it is): its user must not touch a pixel more. false: no
 * memory, dst is empty. */
bool helix_region_without (
    helix_region *dst, const helix_region *a, const helix_region *b);
/* dst = what a and b share. dst may be a. */
void helix_region_shared (
    helix_region *dst, const helix_region *a, const helix_region *b);

bool helix_region_empty (const helix_region *region);
bool helix_region_is_all (
    const helix_region *region, uint32_t width, uint32_t height);
/* Pixels. */
uint64_t helix_region_area (const helix_region *region);
/* At most HELIX_MAX_RECTS; returns how many. */
uint32_t helix_region_rects (
    const helix_region *region, struct helix_rect rects[HELIX_MAX_RECTS]);

/* The part of `rect` inside `bounds`, relative to the latter's top left.
 * Any values allowed: the sums are 64 bits wide. false: they do not meet. */
bool helix_rect_within (struct helix_rect *dst, const struct helix_rect *rect,
    const struct helix_rect *bounds);

#endif /* HELIX_REGION_H */

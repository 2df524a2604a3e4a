/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Damage: which pixels of a frame differ from something. pixman regions that
 * cannot grow without bound: beyond HELIX_MAX_RECTS rectangles a region
 * becomes its bounding box. That only ever adds pixels, so whoever copies by
 * it stays right. All coordinates are pixels from the frame's first row and
 * column in memory, within HELIX_MAX_DIMENSION.
 */
#ifndef HELIX_DAMAGE_H
#define HELIX_DAMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include <pixman.h>

#include "helix-protocol.h"

typedef pixman_region32_t helix_damage;

void helix_damage_init (helix_damage *damage);
void helix_damage_fini (helix_damage *damage);
void helix_damage_clear (helix_damage *damage);
/* Everything: 0,0 width x height. */
void helix_damage_fill (helix_damage *damage, uint32_t width, uint32_t height);
void helix_damage_copy (helix_damage *dst, const helix_damage *src);
void helix_damage_add (helix_damage *damage, const struct helix_rect *rect);
/* dst = a without b, exactly, in however many rectangles that takes (both
 * are bounded, so it is): its user must not touch a pixel more. false: no
 * memory, dst is empty. */
bool helix_damage_without (
    helix_damage *dst, const helix_damage *a, const helix_damage *b);
/* dst = what a and b share. dst may be a. */
void helix_damage_shared (
    helix_damage *dst, const helix_damage *a, const helix_damage *b);

bool helix_damage_empty (const helix_damage *damage);
bool helix_damage_is_all (
    const helix_damage *damage, uint32_t width, uint32_t height);
/* Pixels. */
uint64_t helix_damage_area (const helix_damage *damage);
/* At most HELIX_MAX_RECTS; returns how many. */
uint32_t helix_damage_rects (
    const helix_damage *damage, struct helix_rect rects[HELIX_MAX_RECTS]);

/* The part of `rect` inside `bounds`, relative to the latter's top left.
 * Any values allowed: the sums are 64 bits wide. false: they do not meet. */
bool helix_rect_within (struct helix_rect *dst, const struct helix_rect *rect,
    const struct helix_rect *bounds);

#endif /* HELIX_DAMAGE_H */

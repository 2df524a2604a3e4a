/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The badge: the marker's 40 bits in a small square, for pictures of which
 * only a small square changes. Five rows of eight blocks of 8x8 pixels, most
 * significant bit first, white is one; it survives 4:2:0 but not an encoder.
 */
#ifndef HELIX_BADGE_H
#define HELIX_BADGE_H

#include <stdbool.h>
#include <stdint.h>

#define HELIX_BADGE_BLOCK 8u   /* pixels, both ways */
#define HELIX_BADGE_COLUMNS 8u /* blocks a row */
#define HELIX_BADGE_ROWS 5u
#define HELIX_BADGE_WIDTH (HELIX_BADGE_BLOCK * HELIX_BADGE_COLUMNS)
#define HELIX_BADGE_HEIGHT (HELIX_BADGE_BLOCK * HELIX_BADGE_ROWS)

/* As helix_marker_draw and _read, from where the badge's top left pixel is. */
void helix_badge_draw (void *pixels, uint32_t stride, uint32_t number);
bool helix_badge_read (
    const uint8_t *plane, uint32_t stride, uint32_t step, uint32_t *number);

#endif /* HELIX_BADGE_H */

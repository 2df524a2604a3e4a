/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The marker: a frame number in the picture, in 40 square blocks: 32 bits of
 * frame number, most significant first, then their CRC-8 (polynomial 0x07,
 * initial value 0); white is one, black is zero. The sim, the guest programs
 * and the checks share it: it tells which frame a decoded picture is and that
 * the picture is whole.
 *
 *   marker  a row of 16x16 pixel blocks from the top left corner; survives an
 *           encoder
 *   badge   five rows of eight blocks of 8x8 pixels, for pictures of which
 *           only a small square changes; survives 4:2:0 but not an encoder
 *
 * draw: into 32-bit pixels (BGRx: white ffffffff, black ff000000) of `stride`
 * bytes a row; `pixels` is the top left one, and there is room for all.
 * read: from a plane of luma or of any grey channel: pixel (x, y) is the byte
 * at y * stride + x * step. Levels: black < 128 <= white, averaged over the
 * middle of a block. Returns false when the CRC does not fit.
 */
#ifndef HELIX_MARKER_H
#define HELIX_MARKER_H

#include <stdbool.h>
#include <stdint.h>

#define HELIX_MARKER_BLOCK 16u /* pixels, both ways */
#define HELIX_MARKER_BLOCKS 40u
#define HELIX_MARKER_WIDTH (HELIX_MARKER_BLOCK * HELIX_MARKER_BLOCKS)
#define HELIX_MARKER_HEIGHT HELIX_MARKER_BLOCK

#define HELIX_BADGE_BLOCK 8u
#define HELIX_BADGE_COLUMNS 8u
#define HELIX_BADGE_WIDTH (HELIX_BADGE_BLOCK * HELIX_BADGE_COLUMNS)
#define HELIX_BADGE_HEIGHT \
  (HELIX_BADGE_BLOCK * HELIX_MARKER_BLOCKS / HELIX_BADGE_COLUMNS)

/* True for one (white), false for zero (black); block 0..39. */
bool helix_marker_bit (uint32_t number, uint32_t block);

void helix_marker_draw (void *pixels, uint32_t stride, uint32_t number);
bool helix_marker_read (
    const uint8_t *plane, uint32_t stride, uint32_t step, uint32_t *number);

void helix_badge_draw (void *pixels, uint32_t stride, uint32_t number);
bool helix_badge_read (
    const uint8_t *plane, uint32_t stride, uint32_t step, uint32_t *number);

#endif /* HELIX_MARKER_H */

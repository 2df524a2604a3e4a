/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The marker: a frame number that survives an encoder.
 *
 * A row of 40 blocks, each 16x16 pixels, from the top left corner: 32 bits of
 * frame number, most significant first, then their CRC-8 (polynomial 0x07,
 * initial value 0); white is one, black is zero. The sim, the guest programs
 * and the checks share it: whoever decodes the picture can tell which frame
 * it is and that it arrived whole.
 */
#ifndef HELIX_MARKER_H
#define HELIX_MARKER_H

#include <stdbool.h>
#include <stdint.h>

#define HELIX_MARKER_BLOCK 16u /* pixels, both ways */
#define HELIX_MARKER_BLOCKS 40u
#define HELIX_MARKER_WIDTH (HELIX_MARKER_BLOCK * HELIX_MARKER_BLOCKS)
#define HELIX_MARKER_HEIGHT HELIX_MARKER_BLOCK

/* CRC-8 of the number's four bytes, most significant first. */
uint8_t helix_marker_crc (uint32_t number);

/* True for one (white), false for zero (black); block 0..39. */
bool helix_marker_bit (uint32_t number, uint32_t block);

/* Draws into 32-bit pixels (BGRx: white ffffffff, black ff000000), `stride`
 * bytes a row. The picture must be at least 640x16. */
void helix_marker_draw (void *pixels, uint32_t stride, uint32_t number);

/* Reads from a plane of luma or of any grey channel: pixel (x, y) is the byte
 * at y * stride + x * step. Levels: black < 128 <= white, averaged over the
 * middle 8x8 of a block. False when the CRC does not fit. */
bool helix_marker_read (
    const uint8_t *plane, uint32_t stride, uint32_t step, uint32_t *number);

#endif /* HELIX_MARKER_H */

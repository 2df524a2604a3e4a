/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-badge.h"

#include "helix-marker.h"

#define WHITE 0xffffffffu
#define BLACK 0xff000000u

void
helix_badge_draw (void *pixels, uint32_t stride, uint32_t number)
{
  uint8_t *row = pixels;

  for (uint32_t y = 0; y < HELIX_BADGE_HEIGHT; y++, row += stride)
    for (uint32_t x = 0; x < HELIX_BADGE_WIDTH; x++) {
      uint32_t block =
          y / HELIX_BADGE_BLOCK * HELIX_BADGE_COLUMNS + x / HELIX_BADGE_BLOCK;

      ((uint32_t *) row)[x] = helix_marker_bit (number, block) ? WHITE : BLACK;
    }
}

bool
helix_badge_read (
    const uint8_t *plane, uint32_t stride, uint32_t step, uint32_t *number)
{
  uint64_t bits = 0;

  for (uint32_t block = 0; block < HELIX_MARKER_BLOCKS; block++) {
    uint32_t x =
        block % HELIX_BADGE_COLUMNS * HELIX_BADGE_BLOCK + HELIX_BADGE_BLOCK / 2;
    uint32_t y =
        block / HELIX_BADGE_COLUMNS * HELIX_BADGE_BLOCK + HELIX_BADGE_BLOCK / 2;

    bits = bits << 1 | (plane[(uint64_t) y * stride + x * step] >= 128);
  }
  *number = (uint32_t) (bits >> 8);
  return helix_marker_crc (*number) == (uint8_t) bits;
}

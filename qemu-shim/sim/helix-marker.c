/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-marker.h"

#include <stddef.h>
#include <string.h>

uint8_t
helix_marker_crc (uint32_t number)
{
  uint8_t crc = 0;

  for (int byte = 3; byte >= 0; byte--) {
    crc ^= (uint8_t) (number >> (8 * byte));
    for (int bit = 0; bit < 8; bit++)
      crc = (uint8_t) (crc & 0x80 ? crc << 1 ^ 0x07 : crc << 1);
  }
  return crc;
}

bool
helix_marker_bit (uint32_t number, uint32_t block)
{
  if (block < 32)
    return number >> (31 - block) & 1;
  return helix_marker_crc (number) >> (39 - block) & 1;
}

void
helix_marker_draw (void *pixels, uint32_t stride, uint32_t number)
{
  uint32_t line[HELIX_MARKER_WIDTH];
  uint8_t *row = pixels;

  for (uint32_t x = 0; x < HELIX_MARKER_WIDTH; x++)
    line[x] = helix_marker_bit (number, x / HELIX_MARKER_BLOCK) ? 0xffffffffu
                                                                : 0xff000000u;
  for (uint32_t y = 0; y < HELIX_MARKER_HEIGHT; y++, row += stride)
    memcpy (row, line, sizeof line);
}

bool
helix_marker_read (
    const uint8_t *plane, uint32_t stride, uint32_t step, uint32_t *number)
{
  const uint32_t edge = HELIX_MARKER_BLOCK / 4;
  const uint32_t side = HELIX_MARKER_BLOCK / 2;
  uint64_t bits = 0;

  for (uint32_t block = 0; block < HELIX_MARKER_BLOCKS; block++) {
    uint32_t sum = 0;

    for (uint32_t y = edge; y < edge + side; y++)
      for (uint32_t x = edge; x < edge + side; x++)
        sum += plane[(size_t) y * stride
            + (size_t) (block * HELIX_MARKER_BLOCK + x) * step];
    bits = bits << 1 | (sum >= 128 * side * side);
  }
  *number = (uint32_t) (bits >> 8);
  return helix_marker_crc (*number) == (uint8_t) bits;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-marker.h"

#include <stddef.h>

/* How the blocks stand: their size in pixels, and how many are in a row. */
struct layout {
  uint32_t block, columns;
};

static const struct layout marker = {HELIX_MARKER_BLOCK, HELIX_MARKER_BLOCKS};
static const struct layout badge = {HELIX_BADGE_BLOCK, HELIX_BADGE_COLUMNS};

/* CRC-8 of the number's four bytes, most significant first. */
static uint8_t
crc_of (uint32_t number)
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
  return crc_of (number) >> (39 - block) & 1;
}

static void
draw (const struct layout *layout, uint8_t *pixels, uint32_t stride,
    uint32_t number)
{
  const uint32_t size = layout->block;

  for (uint32_t i = 0; i < HELIX_MARKER_BLOCKS; i++) {
    uint32_t word = helix_marker_bit (number, i) ? 0xffffffffu : 0xff000000u;
    uint8_t *row = pixels + (size_t) (i / layout->columns) * size * stride;

    for (uint32_t y = 0; y < size; y++, row += stride)
      for (uint32_t x = 0; x < size; x++)
        ((uint32_t *) (void *) row)[i % layout->columns * size + x] = word;
  }
}

static bool
read_number (const struct layout *layout, const uint8_t *plane, uint32_t stride,
    uint32_t step, uint32_t *number)
{
  /* The middle of a block: half of it, both ways. */
  const uint32_t edge = layout->block / 4, side = layout->block / 2;
  uint64_t bits = 0;

  for (uint32_t i = 0; i < HELIX_MARKER_BLOCKS; i++) {
    uint32_t left = i % layout->columns * layout->block + edge;
    uint32_t top = i / layout->columns * layout->block + edge;
    uint32_t sum = 0;

    for (uint32_t y = top; y < top + side; y++)
      for (uint32_t x = left; x < left + side; x++)
        sum += plane[(size_t) y * stride + (size_t) x * step];
    bits = bits << 1 | (sum >= 128 * side * side);
  }
  *number = (uint32_t) (bits >> 8);
  return crc_of (*number) == (uint8_t) bits;
}

void
helix_marker_draw (void *pixels, uint32_t stride, uint32_t number)
{
  draw (&marker, pixels, stride, number);
}

bool
helix_marker_read (
    const uint8_t *plane, uint32_t stride, uint32_t step, uint32_t *number)
{
  return read_number (&marker, plane, stride, step, number);
}

void
helix_badge_draw (void *pixels, uint32_t stride, uint32_t number)
{
  draw (&badge, pixels, stride, number);
}

bool
helix_badge_read (
    const uint8_t *plane, uint32_t stride, uint32_t step, uint32_t *number)
{
  return read_number (&badge, plane, stride, step, number);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The picture that guests draw and checks expect, at any size from 640x64:
 *
 *   rows  0..15  the marker (helix-marker.h), black to its right
 *   rows 16..31  black, with a white box that moves with the frame number
 *   rows 32..    eight vertical bars of known colours, width / 8 each;
 *                bar i has colour (i + shift) % 8, so that two scanouts with
 *                different shifts cannot be taken for each other
 */
#ifndef HELIX_PICTURE_H
#define HELIX_PICTURE_H

#include <stddef.h>
#include <stdint.h>

#define HELIX_BARS 8u
#define HELIX_STRIP_TOP 16u /* pixels: where the moving box is */
#define HELIX_BARS_TOP 32u  /* pixels: where the bars begin */
#define HELIX_BOX_WIDTH 32u /* pixels */

/* 0xRRGGBB. The dark last one shows errors near black. */
static const uint32_t helix_bar_colours[HELIX_BARS] = {0xff0000, 0x00ff00,
    0x0000ff, 0xffffff, 0xffff00, 0x00ffff, 0xff00ff, 0x102030};

/* Colour of bar `index` in a picture with `shift`. */
static inline uint32_t
helix_bar_colour (uint32_t index, uint32_t shift)
{
  return helix_bar_colours[(index + shift) % HELIX_BARS];
}

/* Left edge of bar `index` of a picture `width` pixels wide. */
static inline uint32_t
helix_bar_left (uint32_t index, uint32_t width)
{
  return (uint32_t) ((uint64_t) width * index / HELIX_BARS);
}

/* Left edge of the moving box in frame `number`. */
static inline uint32_t
helix_box_left (uint32_t number, uint32_t width)
{
  return (uint32_t) ((uint64_t) number * 8 % (width - HELIX_BOX_WIDTH));
}

/* FNV-1a of some bytes, for pictures that must arrive exactly. */
static inline uint32_t
helix_picture_sum (const uint8_t *bytes, size_t count)
{
  uint32_t sum = 0x811c9dc5;

  for (size_t i = 0; i < count; i++)
    sum = (sum ^ bytes[i]) * 0x01000193;
  return sum;
}

#endif /* HELIX_PICTURE_H */

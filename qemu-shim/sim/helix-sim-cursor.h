/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sim's cursor: a shape and a way that whoever draws or checks it can
 * compute, too. 32x32 pixels:
 *   rows 0-15   left half red, opaque; right half blue, half transparent
 *   rows 16-31  left half green, one quarter opaque; right half nothing
 * in B G R A, colours multiplied by alpha. The hot spot is 4, 2.
 */
#ifndef HELIX_SIM_CURSOR_H
#define HELIX_SIM_CURSOR_H

#include <stdint.h>

#define HELIX_SIM_CURSOR_SIZE 32u /* pixels, both ways */
#define HELIX_SIM_CURSOR_HOT_X 4u
#define HELIX_SIM_CURSOR_HOT_Y 2u

/* As a word B | G << 8 | R << 16 | A << 24; x, y below the size. */
uint32_t helix_sim_cursor_pixel (uint32_t x, uint32_t y);
/* All of them, as CURSOR carries them. */
void helix_sim_cursor_draw (
    uint8_t pixels[HELIX_SIM_CURSOR_SIZE * HELIX_SIM_CURSOR_SIZE * 4]);
/* Where its top left pixel is after `moves` moves on a screen of that size:
 * 96, 88 at first, then 7 to the right and 3 down, and round again, partly
 * outside on its way. */
void helix_sim_cursor_place (
    uint32_t width, uint32_t height, uint64_t moves, int32_t *x, int32_t *y);

#endif /* HELIX_SIM_CURSOR_H */

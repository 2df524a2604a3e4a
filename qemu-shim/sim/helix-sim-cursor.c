/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-sim-cursor.h"

#define HALF (HELIX_SIM_CURSOR_SIZE / 2)
#define STEP_X 7u /* pixels a move */
#define STEP_Y 3u
#define START_X 96u
#define START_Y 88u

uint32_t
helix_sim_cursor_pixel (uint32_t x, uint32_t y)
{
  if (y < HALF)
    return x < HALF ? 0xffff0000u : 0x80000080u;
  return x < HALF ? 0x40004000u : 0;
}

void
helix_sim_cursor_draw (
    uint8_t pixels[HELIX_SIM_CURSOR_SIZE * HELIX_SIM_CURSOR_SIZE * 4])
{
  for (uint32_t y = 0; y < HELIX_SIM_CURSOR_SIZE; y++)
    for (uint32_t x = 0; x < HELIX_SIM_CURSOR_SIZE; x++) {
      uint32_t word = helix_sim_cursor_pixel (x, y);

      for (int i = 0; i < 4; i++)
        *pixels++ = (uint8_t) (word >> 8 * i);
    }
}

/* From -HALF to size - HALF: half of it is outside at either end. */
static int32_t
wrap (uint64_t at, uint32_t size)
{
  return (int32_t) ((at + HALF) % (size + HALF)) - (int32_t) HALF;
}

void
helix_sim_cursor_place (
    uint32_t width, uint32_t height, uint64_t moves, int32_t *x, int32_t *y)
{
  *x = wrap (START_X + STEP_X * moves, width);
  *y = wrap (START_Y + STEP_Y * moves, height);
}

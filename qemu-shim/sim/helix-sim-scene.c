/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-sim-scene.h"

#include <string.h>

#include <glib.h>

#include "helix-marker.h"

#define PAPER 0xfff0f0f0u
#define INK 0xff202020u
#define WHEEL 1530u    /* colours: six edges of the RGB cube, 255 steps each */
#define WHEEL_STEP 7u  /* colours a picture; never a multiple of WHEEL */
#define WHEEL_SLANT 3u /* colours a row */
#define TEXT_COLUMNS 96u /* glyphs in the texture of typing */

/* All different, and neighbours differ by one step of one colour. */
static uint32_t
wheel_colour (uint32_t index)
{
  uint32_t up = index % 255, down = 255 - up;
  const uint32_t edge[6] = {255u << 16 | up << 8, down << 16 | 255u << 8,
      255u << 8 | up, down << 8 | 255u, up << 16 | 255u, 255u << 16 | down};

  return 0xff000000u | edge[index / 255 % 6];
}

/* Something like a letter: the same for the same index. */
static bool
ink_at (uint32_t glyph, uint32_t x, uint32_t y)
{
  uint32_t bits = (glyph + 1) * 2654435761u;

  if (x < 1 || x > 6 || y < 3 || y > 12)
    return false;
  return bits >> ((x - 1) / 2 * 5 + (y - 3) / 2) % 31 & 1;
}

/* Lines of glyphs, `columns` wide; every line begins with another one. */
static void
draw_text (uint32_t *pixels, uint32_t width, uint32_t height, uint32_t columns)
{
  for (uint32_t y = 0; y < height; y++)
    for (uint32_t x = 0; x < width; x++) {
      uint32_t column = x / HELIX_SIM_GLYPH_WIDTH;
      uint32_t line = y / HELIX_SIM_GLYPH_HEIGHT;
      bool ink = column < columns
          && ink_at (line * columns + column, x % HELIX_SIM_GLYPH_WIDTH,
              y % HELIX_SIM_GLYPH_HEIGHT);

      pixels[(size_t) y * width + x] = ink ? INK : PAPER;
    }
}

static uint32_t *
wheel_texture (uint32_t width)
{
  uint32_t *texture = g_new (uint32_t, width + WHEEL);

  for (uint32_t i = 0; i < width + WHEEL; i++)
    texture[i] = wheel_colour (i % WHEEL);
  return texture;
}

uint32_t *
helix_sim_scene_texture (
    enum helix_sim_pattern pattern, uint32_t width, uint32_t height)
{
  uint32_t *texture = NULL;

  switch (pattern) {
    case HELIX_SIM_FULL:
      return wheel_texture (width);
    case HELIX_SIM_TYPING:
      /* Twice the columns: the text moves by one glyph a picture. */
      width = 2 * TEXT_COLUMNS * HELIX_SIM_GLYPH_WIDTH;
      height = HELIX_SIM_TYPING_HEIGHT - HELIX_MARKER_HEIGHT;
      texture = g_new (uint32_t, (size_t) width * height);
      draw_text (texture, width, height, 2 * TEXT_COLUMNS);
      return texture;
    case HELIX_SIM_SCROLL:
      texture = g_new (uint32_t, (size_t) width * height);
      draw_text (texture, width, height, width / HELIX_SIM_GLYPH_WIDTH);
      return texture;
    default:
      return NULL;
  }
}

static void
draw_full (struct helix_sim_screen *screen)
{
  for (uint32_t y = 0; y < screen->height; y++) {
    uint32_t from = (uint32_t) (((uint64_t) screen->number * WHEEL_STEP
                                    + (uint64_t) y * WHEEL_SLANT)
        % WHEEL);

    memcpy (screen->pixels + (size_t) y * screen->width, screen->texture + from,
        screen->stride);
  }
}

static void
draw_typing (struct helix_sim_screen *screen)
{
  const uint32_t pitch = 2 * TEXT_COLUMNS * HELIX_SIM_GLYPH_WIDTH;
  uint32_t from = screen->number % TEXT_COLUMNS * HELIX_SIM_GLYPH_WIDTH;

  for (uint32_t y = HELIX_MARKER_HEIGHT; y < HELIX_SIM_TYPING_HEIGHT; y++)
    memcpy (screen->pixels + (size_t) y * screen->width,
        screen->texture + (size_t) (y - HELIX_MARKER_HEIGHT) * pitch + from,
        HELIX_MARKER_WIDTH * sizeof (uint32_t));
}

/* Rows from `first` to `end` of the page as it stands in this picture. */
static void
draw_page (struct helix_sim_screen *screen, uint32_t first, uint32_t end)
{
  for (uint32_t y = first; y < end; y++) {
    uint64_t row = (uint64_t) screen->number * HELIX_SIM_SCROLL_STEP + y;

    memcpy (screen->pixels + (size_t) y * screen->width,
        screen->texture + row % screen->height * screen->width, screen->stride);
  }
}

void
helix_sim_scene_first (struct helix_sim_screen *screen)
{
  size_t words = (size_t) screen->width * screen->height;

  if (screen->pattern == HELIX_SIM_FULL) {
    draw_full (screen);
  } else if (screen->pattern == HELIX_SIM_SCROLL) {
    draw_page (screen, 0, screen->height);
  } else {
    for (size_t i = 0; i < words; i++)
      screen->pixels[i] = PAPER;
    draw_typing (screen);
  }
}

void
helix_sim_scene_next (
    struct helix_sim_screen *screen, struct helix_rect *damage)
{
  *damage = (struct helix_rect){0, 0, screen->width, screen->height};
  switch (screen->pattern) {
    case HELIX_SIM_FULL:
      draw_full (screen);
      break;
    case HELIX_SIM_SCROLL:
      damage->height = screen->height / 2;
      draw_page (screen, HELIX_MARKER_HEIGHT, damage->height);
      break;
    default:
      damage->width = HELIX_MARKER_WIDTH;
      damage->height = HELIX_SIM_TYPING_HEIGHT;
      draw_typing (screen);
  }
}

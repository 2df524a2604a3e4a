/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-sim-screen.h"

#include <string.h>

#include <glib.h>

#include "helix-badge.h"
#include "helix-marker.h"
#include "helix-sim-scene.h"

#define BOX_STEP 4u       /* pixels a picture */
#define NOISE_SLACK 4096u /* words a picture's start may differ by */
#define BLACK 0xff000000u

uint32_t
helix_sim_bar (uint32_t index)
{
  static const uint32_t bars[8] = {0xffffffffu, 0xffffff00u, 0xff00ffffu,
      0xff00ff00u, 0xffff00ffu, 0xffff0000u, 0xff0000ffu, BLACK};

  return bars[index % 8];
}

static void
paint (struct helix_sim_screen *screen, const struct helix_rect *rect,
    uint32_t word)
{
  for (uint32_t y = rect->y; y < rect->y + rect->height; y++) {
    uint32_t *row = screen->pixels + (size_t) y * screen->width;

    for (uint32_t x = rect->x; x < rect->x + rect->width; x++)
      row[x] = word;
  }
}

/* To and fro between 0 and `room`, BOX_STEP a picture. */
static uint32_t
swing (uint32_t number, uint32_t room)
{
  uint32_t steps = MAX (room / BOX_STEP, 1);
  uint32_t at = number % (2 * steps);

  return (at <= steps ? at : 2 * steps - at) * BOX_STEP % (room + 1);
}

struct helix_rect
helix_sim_box_place (uint32_t width, uint32_t height, uint32_t number)
{
  struct helix_rect box = {swing (number, width - HELIX_SIM_BOX_SIZE),
      swing (number, height - HELIX_SIM_BOX_SIZE), HELIX_SIM_BOX_SIZE,
      HELIX_SIM_BOX_SIZE};

  return box;
}

static struct helix_rect
box_place (const struct helix_sim_screen *screen, uint32_t number)
{
  struct helix_rect box = {
      swing (number, HELIX_MARKER_WIDTH - HELIX_SIM_BOX_SIZE),
      HELIX_MARKER_HEIGHT, HELIX_SIM_BOX_SIZE, HELIX_SIM_BOX_SIZE};

  if (screen->pattern == HELIX_SIM_BOX_ONLY)
    box = helix_sim_box_place (screen->width, screen->height, number);
  return box;
}

static void
draw_box (struct helix_sim_screen *screen)
{
  struct helix_rect box = box_place (screen, screen->number);

  paint (screen, &box, HELIX_SIM_BOX);
  if (screen->pattern == HELIX_SIM_BOX_ONLY)
    helix_badge_draw (screen->pixels + (size_t) box.y * screen->width + box.x,
        screen->stride, screen->number);
}

static struct helix_rect
join (const struct helix_rect *a, const struct helix_rect *b)
{
  uint32_t x = MIN (a->x, b->x), y = MIN (a->y, b->y);
  struct helix_rect both = {x, y, MAX (a->x + a->width, b->x + b->width) - x,
      MAX (a->y + a->height, b->y + b->height) - y};

  return both;
}

static uint64_t
random_word (struct helix_sim_screen *screen)
{
  screen->seed ^= screen->seed << 13;
  screen->seed ^= screen->seed >> 7;
  screen->seed ^= screen->seed << 17;
  return screen->seed;
}

static void
draw_noise (struct helix_sim_screen *screen)
{
  size_t size = (size_t) screen->stride * screen->height;

  memcpy (
      screen->pixels, screen->noise + random_word (screen) % NOISE_SLACK, size);
}

static void
draw_marker (struct helix_sim_screen *screen)
{
  helix_marker_draw (screen->pixels, screen->stride, screen->number);
}

static void
draw_first (struct helix_sim_screen *screen)
{
  struct helix_rect all = {0, 0, screen->width, screen->height};

  if (screen->pattern == HELIX_SIM_NOISE) {
    draw_noise (screen);
  } else if (screen->texture) {
    helix_sim_scene_first (screen);
  } else if (screen->pattern == HELIX_SIM_BOX_ONLY) {
    paint (screen, &all, BLACK);
    draw_box (screen);
    return;
  } else {
    paint (screen, &all, HELIX_SIM_GREY);
    for (uint32_t i = 0; i < 8; i++) {
      uint32_t from = screen->width * i / 8;
      struct helix_rect bar = {from, HELIX_SIM_BARS_Y,
          screen->width * (i + 1) / 8 - from,
          screen->height - HELIX_SIM_BARS_Y};

      paint (screen, &bar, helix_sim_bar (i + screen->scanout));
    }
    if (screen->pattern == HELIX_SIM_MARKER)
      draw_box (screen);
  }
  draw_marker (screen);
}

void
helix_sim_screen_init (struct helix_sim_screen *screen, uint32_t scanout,
    uint32_t resource_id, uint32_t width, uint32_t height,
    enum helix_sim_pattern pattern, uint32_t number)
{
  size_t words = (size_t) width * height;

  memset (screen, 0, sizeof *screen);
  screen->scanout = scanout;
  screen->resource_id = resource_id;
  screen->width = width;
  screen->height = height;
  screen->stride = width * 4;
  screen->number = number;
  screen->pattern = pattern;
  screen->pixels = g_malloc (words * 4);
  screen->seed = 0x9e3779b97f4a7c15u + scanout;
  if (pattern == HELIX_SIM_NOISE) {
    screen->noise = g_malloc ((words + NOISE_SLACK) * 4);
    for (size_t i = 0; i < words + NOISE_SLACK; i++)
      screen->noise[i] = (uint32_t) random_word (screen) | BLACK;
  }
  screen->texture = helix_sim_scene_texture (pattern, width, height);
  draw_first (screen);
}

void
helix_sim_screen_clear (struct helix_sim_screen *screen)
{
  g_free (screen->pixels);
  g_free (screen->noise);
  g_free (screen->texture);
  memset (screen, 0, sizeof *screen);
}

bool
helix_sim_screen_next (
    struct helix_sim_screen *screen, struct helix_rect *damage)
{
  struct helix_rect before = box_place (screen, screen->number), after;

  if (screen->pattern == HELIX_SIM_STATIC)
    return false;
  screen->number++;
  after = box_place (screen, screen->number);
  if (screen->pattern == HELIX_SIM_NOISE) {
    draw_noise (screen);
    draw_marker (screen);
    *damage = (struct helix_rect){0, 0, screen->width, screen->height};
    return true;
  }
  if (screen->texture) {
    helix_sim_scene_next (screen, damage);
    draw_marker (screen);
    return true;
  }
  paint (screen, &before,
      screen->pattern == HELIX_SIM_BOX_ONLY ? BLACK : HELIX_SIM_GREY);
  draw_box (screen);
  *damage = join (&before, &after);
  if (screen->pattern == HELIX_SIM_MARKER) {
    const struct helix_rect marker = {
        0, 0, HELIX_MARKER_WIDTH, HELIX_MARKER_HEIGHT};

    draw_marker (screen);
    *damage = join (damage, &marker);
  }
  return true;
}

void
helix_sim_screen_read (const struct helix_sim_screen *screen,
    const struct helix_rect *box, void *dst, uint32_t stride)
{
  const uint32_t *src =
      screen->pixels + (size_t) box->y * screen->width + box->x;
  uint8_t *row = dst;

  for (uint32_t y = 0; y < box->height; y++) {
    memcpy (row, src, (size_t) box->width * 4);
    row += stride;
    src += screen->width;
  }
}

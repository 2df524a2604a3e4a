/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-turns.h"

#include <string.h>

#include <glib.h>

#include "helix-marker.h"
#include "helix-sim-screen.h"

#define BGR 0x00ffffffu /* of a word: all but x */
#define FIRST 1u        /* number of the sim's first picture here */
#define APART 50u       /* the sim's pictures from one of ours to the next */
#define OPAQUE 0xff000000u
#define MAX_STAMP (HELIX_MARKER_WIDTH * HELIX_SIM_BOX_SIZE) /* words */

bool
helix_turns_find (const char *name, enum helix_turns_scene *scene)
{
  *scene = strcmp (name, "box") == 0 ? HELIX_TURNS_BOX : HELIX_TURNS_FULL;
  return *scene == HELIX_TURNS_BOX || strcmp (name, "full") == 0;
}

static uint32_t *
draw (uint32_t width, uint32_t height, uint32_t index)
{
  struct helix_sim_screen screen;
  uint32_t *pixels;

  helix_sim_screen_init (
      &screen, 0, 1, width, height, HELIX_SIM_FULL, FIRST + index * APART);
  pixels = screen.pixels;
  screen.pixels = NULL;
  helix_sim_screen_clear (&screen);
  return pixels;
}

void
helix_turns_init (struct helix_turns *turns, enum helix_turns_scene scene,
    uint32_t width, uint32_t height)
{
  bool full = scene == HELIX_TURNS_FULL;

  *turns = (struct helix_turns){.scene = scene,
      .width = width,
      .height = height,
      .damage = {0, 0, width, height},
      .stamp = {0, 0, HELIX_MARKER_WIDTH, HELIX_MARKER_HEIGHT},
      .pictures = full ? HELIX_TURNS_PICTURES : 1};
  if (!full) {
    /* Even, so that 4:2:0 keeps its edges. */
    turns->stamp = (struct helix_rect){width / 2 & ~1u, height / 2 & ~1u,
        HELIX_SIM_BOX_SIZE, HELIX_SIM_BOX_SIZE};
    turns->damage = turns->stamp;
  }
  for (uint32_t i = 0; i < turns->pictures; i++)
    turns->picture[i] = draw (width, height, i);
}

void
helix_turns_clear (struct helix_turns *turns)
{
  for (uint32_t i = 0; i < turns->pictures; i++)
    g_free (turns->picture[i]);
  memset (turns, 0, sizeof *turns);
}

const uint32_t *
helix_turns_picture (const struct helix_turns *turns, uint32_t number)
{
  return turns->picture[number % turns->pictures];
}

void
helix_turns_stamp (const struct helix_turns *turns, uint32_t number,
    uint32_t *pixels, uint32_t stride)
{
  if (turns->scene == HELIX_TURNS_FULL) {
    helix_marker_draw (pixels, stride, number);
    return;
  }
  /* Another colour each time, so that all of the box changes. */
  for (uint32_t y = 0; y < turns->stamp.height; y++)
    for (uint32_t x = 0; x < turns->stamp.width; x++)
      pixels[(size_t) y * stride / 4 + x] = number * 2654435761u | OPAQUE;
  helix_badge_draw (pixels, stride, number);
}

bool
helix_turns_number (const struct helix_turns *turns, const uint8_t *plane,
    uint32_t stride, uint32_t step, uint32_t *number)
{
  plane += (size_t) turns->stamp.y * stride + (size_t) turns->stamp.x * step;
  return turns->scene == HELIX_TURNS_FULL
      ? helix_marker_read (plane, stride, step, number)
      : helix_badge_read (plane, stride, step, number);
}

static bool
same (const uint32_t *a, const uint32_t *b, uint32_t count)
{
  uint32_t differ = 0;

  if (memcmp (a, b, count * sizeof *a) == 0)
    return true;
  for (uint32_t i = 0; i < count; i++)
    differ |= a[i] ^ b[i];
  return (differ & BGR) == 0;
}

bool
helix_turns_is (const struct helix_turns *turns, uint32_t number,
    const uint8_t *pixels, uint32_t stride)
{
  const uint32_t *expected = helix_turns_picture (turns, number);
  const struct helix_rect *stamp = &turns->stamp;
  uint32_t right = stamp->x + stamp->width;
  uint32_t drawn[MAX_STAMP];

  helix_turns_stamp (turns, number, drawn, stamp->width * 4);
  for (uint32_t y = 0; y < turns->height; y++) {
    const uint32_t *row = (const uint32_t *) (pixels + (size_t) y * stride);
    const uint32_t *want = expected + (size_t) y * turns->width;

    if (y - stamp->y >= stamp->height) {
      if (!same (row, want, turns->width))
        return false;
    } else if (!same (row, want, stamp->x)
        || !same (row + stamp->x,
            drawn + (size_t) (y - stamp->y) * stamp->width, stamp->width)
        || !same (row + right, want + right, turns->width - right)) {
      return false;
    }
  }
  return true;
}

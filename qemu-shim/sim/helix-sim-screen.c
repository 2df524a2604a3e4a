/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-sim-screen.h"

#include <string.h>

#include <glib.h>

#include "helix-marker.h"

#define BLACK 0xff000000u
#define PAPER 0xfff0f0f0u
#define INK 0xff202020u
#define BOX_STEP 4u       /* pixels a picture */
#define NOISE_SLACK 4096u /* words a picture's start may differ by */
#define WHEEL 1530u    /* colours: six edges of the RGB cube, 255 steps each */
#define WHEEL_STEP 7u  /* colours a picture; never a multiple of WHEEL */
#define WHEEL_SLANT 3u /* colours a row */
#define GLYPH_WIDTH 8u
#define GLYPH_HEIGHT 16u
#define TEXT_COLUMNS 96u /* glyphs in the texture of typing */
#define TEXT_PITCH (2 * TEXT_COLUMNS * GLYPH_WIDTH)
#define TYPING_HEIGHT 64u /* with the marker's 16 rows */
#define SCROLL_STEP 3u    /* pixels a picture */

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

static void
paint_all (struct helix_sim_screen *screen, uint32_t word)
{
  const struct helix_rect all = {0, 0, screen->width, screen->height};

  paint (screen, &all, word);
}

/* A number that has little to do with `number`. */
static uint32_t
scatter (uint32_t number)
{
  return number * 2654435761u;
}

static struct helix_rect
join (const struct helix_rect *a, const struct helix_rect *b)
{
  uint32_t x = MIN (a->x, b->x), y = MIN (a->y, b->y);
  struct helix_rect both = {x, y, MAX (a->x + a->width, b->x + b->width) - x,
      MAX (a->y + a->height, b->y + b->height) - y};

  return both;
}

/* ---- marker, static, box ---- */

uint32_t
helix_sim_bar (uint32_t index)
{
  static const uint32_t bars[8] = {0xffffffffu, 0xffffff00u, 0xff00ffffu,
      0xff00ff00u, 0xffff00ffu, 0xffff0000u, 0xff0000ffu, BLACK};

  return bars[index % 8];
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

/* Of pattern marker it moves in one row of its own height. */
static struct helix_rect
marker_box_place (uint32_t number)
{
  struct helix_rect box =
      helix_sim_box_place (HELIX_MARKER_WIDTH, HELIX_SIM_BOX_SIZE, number);

  box.y = HELIX_MARKER_HEIGHT;
  return box;
}

static void
begin_bars (struct helix_sim_screen *screen)
{
  paint_all (screen, HELIX_SIM_GREY);
  for (uint32_t i = 0; i < 8; i++) {
    uint32_t from = screen->width * i / 8;
    struct helix_rect bar = {from, HELIX_SIM_BARS_Y,
        screen->width * (i + 1) / 8 - from, screen->height - HELIX_SIM_BARS_Y};

    paint (screen, &bar, helix_sim_bar (i + screen->scanout));
  }
}

static void
next_marker (struct helix_sim_screen *screen, struct helix_rect *damage)
{
  const struct helix_rect marker = {
      0, 0, HELIX_MARKER_WIDTH, HELIX_MARKER_HEIGHT};
  struct helix_rect before = marker_box_place (screen->number - 1);
  struct helix_rect box = marker_box_place (screen->number);

  paint (screen, &before, HELIX_SIM_GREY);
  paint (screen, &box, HELIX_SIM_BOX);
  *damage = join (&before, &box);
  *damage = join (damage, &marker);
}

static void
begin_black (struct helix_sim_screen *screen)
{
  paint_all (screen, BLACK);
}

static void
next_box (struct helix_sim_screen *screen, struct helix_rect *damage)
{
  struct helix_rect before =
      helix_sim_box_place (screen->width, screen->height, screen->number - 1);
  struct helix_rect box =
      helix_sim_box_place (screen->width, screen->height, screen->number);

  paint (screen, &before, BLACK);
  paint (screen, &box, HELIX_SIM_BOX);
  helix_badge_draw (screen->pixels + (size_t) box.y * screen->width + box.x,
      screen->stride, screen->number);
  *damage = join (&before, &box);
}

/* ---- noise, full, typing, scroll: copied from a texture ---- */

/* Row `y`, as wide as the screen at most, begins `from` words into it. */
static void
copy_row (
    struct helix_sim_screen *screen, uint32_t y, uint32_t width, uint64_t from)
{
  memcpy (screen->pixels + (size_t) y * screen->width, screen->texture + from,
      width * sizeof (uint32_t));
}

/* The texture is random words, a little more than a picture. */
static void
begin_noise (struct helix_sim_screen *screen)
{
  size_t words = (size_t) screen->width * screen->height + NOISE_SLACK;
  uint64_t seed = 0x9e3779b97f4a7c15u + screen->scanout;

  screen->texture = g_new (uint32_t, words);
  for (size_t i = 0; i < words; i++) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    screen->texture[i] = (uint32_t) seed | BLACK;
  }
}

static void
next_noise (struct helix_sim_screen *screen, struct helix_rect *damage)
{
  uint64_t start = scatter (screen->number) % NOISE_SLACK;

  for (uint32_t y = 0; y < screen->height; y++)
    copy_row (screen, y, screen->width, start + (uint64_t) y * screen->width);
}

/* All different, and neighbours differ by one step of one colour. */
static uint32_t
wheel_colour (uint32_t index)
{
  uint32_t up = index % 255, down = 255 - up;
  const uint32_t edge[6] = {255u << 16 | up << 8, down << 16 | 255u << 8,
      255u << 8 | up, down << 8 | 255u, up << 16 | 255u, 255u << 16 | down};

  return 0xff000000u | edge[index / 255 % 6];
}

static void
begin_full (struct helix_sim_screen *screen)
{
  screen->texture = g_new (uint32_t, screen->width + WHEEL);
  for (uint32_t i = 0; i < screen->width + WHEEL; i++)
    screen->texture[i] = wheel_colour (i % WHEEL);
}

static void
next_full (struct helix_sim_screen *screen, struct helix_rect *damage)
{
  for (uint32_t y = 0; y < screen->height; y++)
    copy_row (screen, y, screen->width,
        ((uint64_t) screen->number * WHEEL_STEP + (uint64_t) y * WHEEL_SLANT)
            % WHEEL);
}

/* Something like a letter: the same for the same index. */
static bool
ink_at (uint32_t glyph, uint32_t x, uint32_t y)
{
  uint32_t bits = scatter (glyph + 1);

  if (x < 1 || x > 6 || y < 3 || y > 12)
    return false;
  return bits >> ((x - 1) / 2 * 5 + (y - 3) / 2) % 31 & 1;
}

/* Lines of glyphs; every line begins with another one. */
static uint32_t *
text_texture (uint32_t width, uint32_t height)
{
  uint32_t *pixels = g_new (uint32_t, (size_t) width * height);
  uint32_t columns = width / GLYPH_WIDTH;

  for (uint32_t y = 0; y < height; y++)
    for (uint32_t x = 0; x < width; x++) {
      uint32_t column = x / GLYPH_WIDTH, line = y / GLYPH_HEIGHT;
      bool ink = column < columns
          && ink_at (
              line * columns + column, x % GLYPH_WIDTH, y % GLYPH_HEIGHT);

      pixels[(size_t) y * width + x] = ink ? INK : PAPER;
    }
  return pixels;
}

/* The texture has twice the columns: the text moves by one glyph a picture. */
static void
begin_typing (struct helix_sim_screen *screen)
{
  paint_all (screen, PAPER);
  screen->texture =
      text_texture (TEXT_PITCH, TYPING_HEIGHT - HELIX_MARKER_HEIGHT);
}

static void
next_typing (struct helix_sim_screen *screen, struct helix_rect *damage)
{
  uint32_t from = screen->number % TEXT_COLUMNS * GLYPH_WIDTH;

  for (uint32_t y = HELIX_MARKER_HEIGHT; y < TYPING_HEIGHT; y++)
    copy_row (screen, y, HELIX_MARKER_WIDTH,
        (y - HELIX_MARKER_HEIGHT) * TEXT_PITCH + from);
  damage->width = HELIX_MARKER_WIDTH;
  damage->height = TYPING_HEIGHT;
}

/* Rows up to `end` of the page as it stands in this picture. */
static void
draw_page (struct helix_sim_screen *screen, uint32_t end)
{
  for (uint32_t y = HELIX_MARKER_HEIGHT; y < end; y++) {
    uint64_t row = (uint64_t) screen->number * SCROLL_STEP + y;

    copy_row (screen, y, screen->width, row % screen->height * screen->width);
  }
}

static void
begin_scroll (struct helix_sim_screen *screen)
{
  paint_all (screen, PAPER);
  screen->texture = text_texture (screen->width, screen->height);
  draw_page (screen, screen->height);
}

static void
next_scroll (struct helix_sim_screen *screen, struct helix_rect *damage)
{
  damage->height = screen->height / 2;
  draw_page (screen, damage->height);
}

/* ---- all of them ---- */

static const struct {
  const char *name;
  /* Draws what next () does not. */
  void (*begin) (struct helix_sim_screen *screen);
  /* Draws picture screen->number over the one before, but for the marker.
   * *damage is the whole screen before. NULL = pictures do not differ. */
  void (*next) (struct helix_sim_screen *screen, struct helix_rect *damage);
} patterns[] = {
    [HELIX_SIM_MARKER] = {"marker", begin_bars, next_marker},
    [HELIX_SIM_STATIC] = {"static", begin_bars, NULL},
    [HELIX_SIM_NOISE] = {"noise", begin_noise, next_noise},
    [HELIX_SIM_BOX_ONLY] = {"box", begin_black, next_box},
    [HELIX_SIM_FULL] = {"full", begin_full, next_full},
    [HELIX_SIM_TYPING] = {"typing", begin_typing, next_typing},
    [HELIX_SIM_SCROLL] = {"scroll", begin_scroll, next_scroll},
};

bool
helix_sim_pattern_find (const char *name, enum helix_sim_pattern *pattern)
{
  for (unsigned i = 0; i < G_N_ELEMENTS (patterns); i++)
    if (strcmp (name, patterns[i].name) == 0) {
      *pattern = (enum helix_sim_pattern) i;
      return true;
    }
  return false;
}

/* Draws picture screen->number. */
static void
draw (struct helix_sim_screen *screen, struct helix_rect *damage)
{
  *damage = (struct helix_rect){0, 0, screen->width, screen->height};
  if (patterns[screen->pattern].next)
    patterns[screen->pattern].next (screen, damage);
  if (screen->pattern != HELIX_SIM_BOX_ONLY)
    helix_marker_draw (screen->pixels, screen->stride, screen->number);
}

void
helix_sim_screen_init (struct helix_sim_screen *screen, uint32_t scanout,
    uint32_t resource_id, uint32_t width, uint32_t height,
    enum helix_sim_pattern pattern, uint32_t number)
{
  struct helix_rect damage;

  *screen = (struct helix_sim_screen){
      .scanout = scanout,
      .resource_id = resource_id,
      .width = width,
      .height = height,
      .stride = width * 4,
      .number = number,
      .pattern = pattern,
      .pixels = g_new (uint32_t, (size_t) width * height),
  };
  patterns[pattern].begin (screen);
  draw (screen, &damage);
}

void
helix_sim_screen_clear (struct helix_sim_screen *screen)
{
  g_free (screen->pixels);
  g_free (screen->texture);
  memset (screen, 0, sizeof *screen);
}

bool
helix_sim_screen_next (
    struct helix_sim_screen *screen, struct helix_rect *damage)
{
  if (!patterns[screen->pattern].next)
    return false;
  screen->number++;
  draw (screen, damage);
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

/* ---- the cursor ---- */

#define HALF (HELIX_SIM_CURSOR_SIZE / 2)
#define STEP_X 7u /* pixels a move */
#define STEP_Y 3u
#define START_X 96u
#define START_Y 88u

void
helix_sim_cursor_draw (
    uint8_t pixels[HELIX_SIM_CURSOR_SIZE * HELIX_SIM_CURSOR_SIZE * 4])
{
  /* B | G << 8 | R << 16 | A << 24 of each quarter */
  static const uint32_t quarters[2][2] = {
      {0xffff0000u, 0x80000080u}, {0x40004000u, 0}};

  for (uint32_t y = 0; y < HELIX_SIM_CURSOR_SIZE; y++)
    for (uint32_t x = 0; x < HELIX_SIM_CURSOR_SIZE; x++)
      for (int i = 0; i < 4; i++)
        *pixels++ = (uint8_t) (quarters[y / HALF][x / HALF] >> 8 * i);
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

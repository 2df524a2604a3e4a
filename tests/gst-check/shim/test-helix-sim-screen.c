/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include <gst/check/gstcheck.h>

#include "helix-marker.h"
#include "helix-sim-screen.h"

#define W 800u
#define H 300u

static uint32_t
pixel (const struct helix_sim_screen *screen, uint32_t x, uint32_t y)
{
  return screen->pixels[(size_t) y * screen->width + x];
}

static guint
count_outside (const struct helix_sim_screen *screen, const uint32_t *before,
    const struct helix_rect *damage)
{
  guint changed = 0;

  for (uint32_t y = 0; y < H; y++)
    for (uint32_t x = 0; x < W; x++)
      if (x < damage->x || x >= damage->x + damage->width || y < damage->y
          || y >= damage->y + damage->height)
        changed += pixel (screen, x, y) != before[(size_t) y * W + x];
  return changed;
}

/* What each pattern may change: the whole screen, or less. */
static const struct {
  enum helix_sim_pattern pattern;
  uint32_t width, height;
} patterns[] = {{HELIX_SIM_MARKER, 640, 80}, {HELIX_SIM_NOISE, W, H},
    {HELIX_SIM_BOX_ONLY, 68, 68}, {HELIX_SIM_FULL, W, H},
    {HELIX_SIM_TYPING, 640, 64}, {HELIX_SIM_SCROLL, W, H / 2}};

/* Damage that leaves a change out would be a lie in every test there is. Below
 * the marker no pixel of full is ever what it was. */
GST_START_TEST (test_damage_is_all_that_changes)
{
  enum helix_sim_pattern pattern = patterns[__i__].pattern;
  uint32_t *before = g_malloc (W * H * 4);
  struct helix_sim_screen screen;
  struct helix_rect damage;

  helix_sim_screen_init (&screen, 0, 1, W, H, pattern, 1);
  for (int i = 0; i < 150; i++) {
    guint same = 0;

    memcpy (before, screen.pixels, W * H * 4);
    fail_unless (helix_sim_screen_next (&screen, &damage));
    fail_unless (damage.x + damage.width <= W);
    fail_unless (damage.y + damage.height <= H);
    fail_unless (damage.width <= patterns[__i__].width);
    fail_unless (damage.height <= patterns[__i__].height);
    fail_unless_equals_int (count_outside (&screen, before, &damage), 0);
    fail_unless (memcmp (before, screen.pixels, W * H * 4) != 0);
    for (uint32_t at = W * HELIX_MARKER_HEIGHT; at < W * H; at++)
      same += screen.pixels[at] == before[at];
    fail_unless (pattern != HELIX_SIM_FULL || same == 0);
  }
  helix_sim_screen_clear (&screen);
  g_free (before);
}

GST_END_TEST;

/* Every picture says which one it is: by its marker, or by the badge on the
 * box, which is where helix_sim_box_place says. */
GST_START_TEST (test_every_picture_is_numbered)
{
  enum helix_sim_pattern pattern = patterns[__i__].pattern;
  struct helix_sim_screen screen;
  struct helix_rect damage;

  helix_sim_screen_init (&screen, 0, 1, W, H, pattern, 1);
  for (uint32_t i = 1; i < 400; i++) {
    const uint8_t *plane = (const uint8_t *) screen.pixels;
    struct helix_rect box = helix_sim_box_place (W, H, i);
    uint32_t number = 0;
    bool whole = pattern == HELIX_SIM_BOX_ONLY
        ? helix_badge_read (plane + box.y * screen.stride + box.x * 4,
            screen.stride, 4, &number)
        : helix_marker_read (plane, screen.stride, 4, &number);

    fail_unless (whole, "pattern %u, picture %u", pattern, i);
    fail_unless_equals_int (number, i);
    helix_sim_screen_next (&screen, &damage);
  }
  helix_sim_screen_clear (&screen);
}

GST_END_TEST;

GST_START_TEST (test_colours)
{
  struct helix_sim_screen screen;

  for (uint32_t scanout = 0; scanout < 3; scanout++) {
    helix_sim_screen_init (&screen, scanout, 1, W, H, HELIX_SIM_MARKER, 1);
    for (uint32_t bar = 0; bar < 8; bar++)
      fail_unless_equals_int (pixel (&screen, W * bar / 8 + 50, 200),
          helix_sim_bar (bar + scanout));
    fail_unless_equals_int (pixel (&screen, 700, 40), HELIX_SIM_GREY);
    helix_sim_screen_clear (&screen);
  }
}

GST_END_TEST;

GST_START_TEST (test_static)
{
  struct helix_sim_screen screen;
  struct helix_rect damage;

  helix_sim_screen_init (&screen, 0, 1, W, H, HELIX_SIM_STATIC, 1);
  fail_if (helix_sim_screen_next (&screen, &damage));
  fail_unless_equals_int (screen.number, 1);
  helix_sim_screen_clear (&screen);
}

GST_END_TEST;

GST_START_TEST (test_read)
{
  struct helix_sim_screen screen;
  const struct helix_rect box = {100, 90, 7, 5};
  uint32_t out[5][10];

  helix_sim_screen_init (&screen, 0, 1, W, H, HELIX_SIM_NOISE, 1);
  memset (out, 0, sizeof out);
  helix_sim_screen_read (&screen, &box, out, sizeof out[0]);
  for (uint32_t y = 0; y < 5; y++)
    for (uint32_t x = 0; x < 10; x++)
      fail_unless_equals_int (
          out[y][x], x < 7 ? pixel (&screen, 100 + x, 90 + y) : 0);
  helix_sim_screen_clear (&screen);
}

GST_END_TEST;

#define SIZE HELIX_SIM_CURSOR_SIZE

/* Colours are multiplied by alpha: none is above it. Opaque, half, a quarter
 * and nothing are all there. */
GST_START_TEST (test_cursor_shape)
{
  static uint8_t pixels[SIZE * SIZE * 4];
  guint seen[256] = {0};

  helix_sim_cursor_draw (pixels);
  for (const uint8_t *p = pixels; p < pixels + sizeof pixels; p += 4) {
    fail_unless (p[0] <= p[3] && p[1] <= p[3] && p[2] <= p[3]);
    seen[p[3]]++;
  }
  fail_unless_equals_int (seen[255], SIZE * SIZE / 4);
  fail_unless_equals_int (seen[128], SIZE * SIZE / 4);
  fail_unless_equals_int (seen[64], SIZE * SIZE / 4);
  fail_unless_equals_int (seen[0], SIZE * SIZE / 4);
  /* Left is red, right is blue, in B G R A. */
  fail_unless (pixels[2] == 255 && pixels[(SIZE - 1) * 4] == 128);
}

GST_END_TEST;

/* Partly outside at every edge, never all of it. */
GST_START_TEST (test_cursor_way)
{
  gboolean left = FALSE, right = FALSE, top = FALSE, bottom = FALSE;
  int32_t x, y;

  helix_sim_cursor_place (640, 480, 0, &x, &y);
  fail_unless (x == 96 && y == 88);
  for (uint64_t moves = 0; moves < 2000; moves++) {
    helix_sim_cursor_place (640, 480, moves, &x, &y);
    fail_unless (x > -(int32_t) SIZE && x < 640);
    fail_unless (y > -(int32_t) SIZE && y < 480);
    left = left || x < 0;
    top = top || y < 0;
    right = right || x > 640 - (int32_t) SIZE;
    bottom = bottom || y > 480 - (int32_t) SIZE;
  }
  fail_unless (left && right && top && bottom);
}

GST_END_TEST;

static Suite *
sim_screen_suite (void)
{
  Suite *suite = suite_create ("helix-sim-screen");
  TCase *tc = tcase_create ("sim-screen");

  suite_add_tcase (suite, tc);
  tcase_set_timeout (tc, 30);
  tcase_add_loop_test (
      tc, test_damage_is_all_that_changes, 0, G_N_ELEMENTS (patterns));
  tcase_add_loop_test (
      tc, test_every_picture_is_numbered, 0, G_N_ELEMENTS (patterns));
  tcase_add_test (tc, test_colours);
  tcase_add_test (tc, test_static);
  tcase_add_test (tc, test_read);
  tcase_add_test (tc, test_cursor_shape);
  tcase_add_test (tc, test_cursor_way);
  return suite;
}

GST_CHECK_MAIN (sim_screen);

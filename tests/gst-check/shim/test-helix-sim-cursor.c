/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/check/gstcheck.h>

#include "helix-sim-cursor.h"

#define SIZE HELIX_SIM_CURSOR_SIZE

/* Colours are multiplied by alpha: none is above it. Opaque, half, a quarter
 * and nothing are all there. */
GST_START_TEST (test_shape)
{
  static uint8_t pixels[SIZE * SIZE * 4];
  guint seen[256] = {0};

  helix_sim_cursor_draw (pixels);
  for (uint32_t y = 0; y < SIZE; y++)
    for (uint32_t x = 0; x < SIZE; x++) {
      const uint8_t *p = pixels + (y * SIZE + x) * 4;
      uint32_t word = helix_sim_cursor_pixel (x, y);

      fail_unless (p[0] <= p[3] && p[1] <= p[3] && p[2] <= p[3]);
      fail_unless_equals_int (p[0], word & 0xff);
      fail_unless_equals_int (p[2], word >> 16 & 0xff);
      fail_unless_equals_int (p[3], word >> 24);
      seen[p[3]]++;
    }
  fail_unless_equals_int (seen[255], SIZE * SIZE / 4);
  fail_unless_equals_int (seen[128], SIZE * SIZE / 4);
  fail_unless_equals_int (seen[64], SIZE * SIZE / 4);
  fail_unless_equals_int (seen[0], SIZE * SIZE / 4);
}

GST_END_TEST;

/* Partly outside at every edge, never all of it. */
GST_START_TEST (test_way)
{
  gboolean left = FALSE, right = FALSE, top = FALSE, bottom = FALSE;
  int32_t x, y;

  helix_sim_cursor_place (640, 480, 0, &x, &y);
  fail_unless_equals_int (x, 96);
  fail_unless_equals_int (y, 88);
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
sim_cursor_suite (void)
{
  Suite *suite = suite_create ("helix-sim-cursor");
  TCase *tc = tcase_create ("cursor");

  suite_add_tcase (suite, tc);
  tcase_add_test (tc, test_shape);
  tcase_add_test (tc, test_way);
  return suite;
}

GST_CHECK_MAIN (sim_cursor);

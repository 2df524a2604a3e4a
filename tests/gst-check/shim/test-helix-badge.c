/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include <gst/check/gstcheck.h>

#include "helix-badge.h"

#define STRIDE 100u /* pixels */

static const uint32_t numbers[] = {0, 1, 2, 255, 256, 0x12345678, UINT32_MAX};

GST_START_TEST (test_round_trip)
{
  uint32_t pixels[HELIX_BADGE_HEIGHT * STRIDE];

  for (guint i = 0; i < G_N_ELEMENTS (numbers); i++) {
    uint32_t number = 77;

    memset (pixels, 0x55, sizeof pixels);
    helix_badge_draw (pixels, STRIDE * 4, numbers[i]);
    fail_unless (helix_badge_read ((uint8_t *) pixels, STRIDE * 4, 4, &number));
    fail_unless_equals_uint64 (number, numbers[i]);
    /* nothing beside it was touched */
    fail_unless_equals_uint64 (pixels[HELIX_BADGE_WIDTH], 0x55555555);
  }
}

GST_END_TEST;

/* One wrong block of forty is noticed, whichever it is. */
GST_START_TEST (test_damaged)
{
  uint32_t pixels[HELIX_BADGE_HEIGHT * STRIDE], number;

  for (uint32_t block = 0; block < 40; block++) {
    uint32_t x = block % HELIX_BADGE_COLUMNS * HELIX_BADGE_BLOCK;
    uint32_t y = block / HELIX_BADGE_COLUMNS * HELIX_BADGE_BLOCK;

    helix_badge_draw (pixels, STRIDE * 4, 0xdeadbeef);
    for (uint32_t row = y; row < y + HELIX_BADGE_BLOCK; row++)
      for (uint32_t at = x; at < x + HELIX_BADGE_BLOCK; at++)
        pixels[row * STRIDE + at] ^= 0xffffff;
    fail_if (helix_badge_read ((uint8_t *) pixels, STRIDE * 4, 4, &number));
  }
}

GST_END_TEST;

static Suite *
badge_suite (void)
{
  Suite *suite = suite_create ("helix-badge");
  TCase *tc = tcase_create ("badge");

  suite_add_tcase (suite, tc);
  tcase_add_test (tc, test_round_trip);
  tcase_add_test (tc, test_damaged);
  return suite;
}

GST_CHECK_MAIN (badge);

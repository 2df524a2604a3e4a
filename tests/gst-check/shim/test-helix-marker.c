/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Frame numbers in pictures: the marker and the badge. */
#include <string.h>

#include <gst/check/gstcheck.h>

#include "helix-marker.h"

#define STRIDE (HELIX_MARKER_WIDTH * 4 + 64)
#define ROWS HELIX_BADGE_HEIGHT /* the badge is the higher one */

static const uint32_t numbers[] = {0, 1, 2, 255, 256, 0x12345678, 0x80000000,
    0xaaaaaaaa, 0x55555555, UINT32_MAX};

static const struct kind {
  void (*draw) (void *pixels, uint32_t stride, uint32_t number);
  bool (*read) (
      const uint8_t *plane, uint32_t stride, uint32_t step, uint32_t *number);
  uint32_t width, block, columns;
} kinds[] = {
    {helix_marker_draw, helix_marker_read, HELIX_MARKER_WIDTH,
        HELIX_MARKER_BLOCK, HELIX_MARKER_BLOCKS},
    {helix_badge_draw, helix_badge_read, HELIX_BADGE_WIDTH, HELIX_BADGE_BLOCK,
        HELIX_BADGE_COLUMNS},
};

static uint8_t pixels[ROWS * STRIDE];

static void
draw (const struct kind *kind, uint32_t number)
{
  memset (pixels, 0x77, sizeof pixels);
  kind->draw (pixels, STRIDE, number);
}

/* CRC-8, polynomial 0x07, initial value 0, reckoned elsewhere. */
GST_START_TEST (test_bits)
{
  static const struct {
    uint32_t number, crc;
  } known[] = {{0, 0}, {1, 0x07}, {0x31323334, 0xc2}};

  for (guint i = 0; i < G_N_ELEMENTS (known); i++) {
    guint64 bits = 0;

    for (uint32_t block = 0; block < HELIX_MARKER_BLOCKS; block++)
      bits = bits << 1 | helix_marker_bit (known[i].number, block);
    fail_unless_equals_uint64_hex (
        bits, (guint64) known[i].number << 8 | known[i].crc);
  }
}

GST_END_TEST;

GST_START_TEST (test_round_trip)
{
  const struct kind *kind = &kinds[__i__];

  for (guint i = 0; i < G_N_ELEMENTS (numbers); i++)
    for (uint32_t channel = 0; channel < 3; channel++) {
      uint32_t got = ~numbers[i];

      draw (kind, numbers[i]);
      fail_unless (kind->read (pixels + channel, STRIDE, 4, &got));
      fail_unless_equals_int64 (got, numbers[i]);
    }
  /* Nothing beside it was touched. */
  fail_unless_equals_int (pixels[kind->width * 4], 0x77);
}

GST_END_TEST;

/* First block is the highest bit, white is one. */
GST_START_TEST (test_layout)
{
  draw (&kinds[0], 0x80000001);
  fail_unless_equals_int (pixels[0], 0xff);
  fail_unless_equals_int (pixels[16 * 4], 0);
  fail_unless_equals_int (pixels[31 * 16 * 4], 0xff);
}

GST_END_TEST;

/* As an encoder leaves it: luma 16-235, blurred edges, noise. */
GST_START_TEST (test_survives_an_encoder)
{
  uint8_t luma[HELIX_MARKER_HEIGHT][HELIX_MARKER_WIDTH];
  uint32_t got;

  for (guint i = 0; i < G_N_ELEMENTS (numbers); i++) {
    draw (&kinds[0], numbers[i]);
    for (uint32_t y = 0; y < HELIX_MARKER_HEIGHT; y++)
      for (uint32_t x = 0; x < HELIX_MARKER_WIDTH; x++) {
        int value = pixels[(size_t) y * STRIDE + x * 4] ? 235 : 16;

        if (x % 16 < 3 || x % 16 > 12)
          value = 126;
        value += g_random_int_range (-60, 61);
        luma[y][x] = (uint8_t) CLAMP (value, 0, 255);
      }
    fail_unless (helix_marker_read (&luma[0][0], HELIX_MARKER_WIDTH, 1, &got));
    fail_unless_equals_int64 (got, numbers[i]);
  }
}

GST_END_TEST;

/* A picture half of one and half of another does not pass for either. */
GST_START_TEST (test_every_wrong_block_is_noticed)
{
  const struct kind *kind = &kinds[__i__];
  const uint32_t size = kind->block;
  uint32_t got;

  for (uint32_t block = 0; block < HELIX_MARKER_BLOCKS; block++) {
    uint8_t *row = pixels + block / kind->columns * size * STRIDE;

    draw (kind, 0x00c0ffee);
    for (uint32_t y = 0; y < size; y++, row += STRIDE)
      for (uint32_t x = 0; x < size * 4; x++)
        row[block % kind->columns * size * 4 + x] ^= 0xff;
    fail_if (kind->read (pixels, STRIDE, 4, &got), "block %u", block);
  }
}

GST_END_TEST;

static Suite *
marker_suite (void)
{
  Suite *suite = suite_create ("helix-marker");
  TCase *tc = tcase_create ("marker");

  suite_add_tcase (suite, tc);
  tcase_set_timeout (tc, 30);
  tcase_add_test (tc, test_bits);
  tcase_add_loop_test (tc, test_round_trip, 0, G_N_ELEMENTS (kinds));
  tcase_add_test (tc, test_layout);
  tcase_add_test (tc, test_survives_an_encoder);
  tcase_add_loop_test (
      tc, test_every_wrong_block_is_noticed, 0, G_N_ELEMENTS (kinds));
  return suite;
}

GST_CHECK_MAIN (marker);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include <gst/check/gstcheck.h>

#include "helix-marker.h"

#define STRIDE (HELIX_MARKER_WIDTH * 4 + 64)

static const uint32_t numbers[] = {0, 1, 2, 255, 256, 0x12345678, 0x80000000,
    0xaaaaaaaa, 0x55555555, UINT32_MAX};

static void
draw (uint8_t *pixels, uint32_t number)
{
  memset (pixels, 0x77, (size_t) STRIDE * HELIX_MARKER_HEIGHT);
  helix_marker_draw (pixels, STRIDE, number);
}

/* CRC-8, polynomial 0x07, initial value 0, reckoned elsewhere. */
GST_START_TEST (test_crc)
{
  fail_unless_equals_int (helix_marker_crc (0), 0);
  fail_unless_equals_int (helix_marker_crc (1), 0x07);
  fail_unless_equals_int (helix_marker_crc (0x31323334), 0xc2);
}

GST_END_TEST;

GST_START_TEST (test_round_trip)
{
  uint8_t *pixels = g_malloc ((size_t) STRIDE * HELIX_MARKER_HEIGHT);

  for (guint i = 0; i < G_N_ELEMENTS (numbers); i++)
    for (uint32_t channel = 0; channel < 3; channel++) {
      uint32_t got = ~numbers[i];

      draw (pixels, numbers[i]);
      fail_unless (helix_marker_read (pixels + channel, STRIDE, 4, &got));
      fail_unless_equals_int64 (got, numbers[i]);
    }
  /* Nothing beside it was touched. */
  fail_unless_equals_int (pixels[HELIX_MARKER_WIDTH * 4], 0x77);
  g_free (pixels);
}

GST_END_TEST;

/* First block is the highest bit, white is one. */
GST_START_TEST (test_layout)
{
  uint8_t *pixels = g_malloc ((size_t) STRIDE * HELIX_MARKER_HEIGHT);

  draw (pixels, 0x80000001);
  fail_unless_equals_int (pixels[0], 0xff);
  fail_unless_equals_int (pixels[16 * 4], 0);
  fail_unless_equals_int (pixels[31 * 16 * 4], 0xff);
  fail_unless (helix_marker_bit (0x80000001, 0));
  fail_if (helix_marker_bit (0x80000001, 1));
  fail_unless (helix_marker_bit (0x80000001, 31));
  g_free (pixels);
}

GST_END_TEST;

/* As an encoder leaves it: luma 16-235, blurred edges, noise. */
GST_START_TEST (test_survives_an_encoder)
{
  uint8_t *pixels = g_malloc ((size_t) STRIDE * HELIX_MARKER_HEIGHT);
  uint8_t luma[HELIX_MARKER_HEIGHT][HELIX_MARKER_WIDTH];
  uint32_t got;

  for (guint i = 0; i < G_N_ELEMENTS (numbers); i++) {
    draw (pixels, numbers[i]);
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
  g_free (pixels);
}

GST_END_TEST;

/* A picture half of one and half of another does not pass for either. */
GST_START_TEST (test_every_wrong_block_is_noticed)
{
  uint8_t *pixels = g_malloc ((size_t) STRIDE * HELIX_MARKER_HEIGHT);
  uint32_t got;

  for (uint32_t block = 0; block < HELIX_MARKER_BLOCKS; block++) {
    draw (pixels, 0x00c0ffee);
    for (uint32_t y = 0; y < HELIX_MARKER_HEIGHT; y++)
      for (uint32_t x = 0; x < 64; x++)
        pixels[(size_t) y * STRIDE + block * 64 + x] ^= 0xff;
    fail_if (helix_marker_read (pixels, STRIDE, 4, &got), "block %u", block);
  }
  g_free (pixels);
}

GST_END_TEST;

static Suite *
marker_suite (void)
{
  Suite *suite = suite_create ("helix-marker");
  TCase *tc = tcase_create ("marker");

  suite_add_tcase (suite, tc);
  tcase_set_timeout (tc, 30);
  tcase_add_test (tc, test_crc);
  tcase_add_test (tc, test_round_trip);
  tcase_add_test (tc, test_layout);
  tcase_add_test (tc, test_survives_an_encoder);
  tcase_add_test (tc, test_every_wrong_block_is_noticed);
  return suite;
}

GST_CHECK_MAIN (marker);

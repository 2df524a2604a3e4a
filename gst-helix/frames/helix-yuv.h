/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rows of RGB into rows of 4:2:0: ITU-R BT.709, limited range; a chroma sample
 * is the mean of its 2x2 block. Every path gives the same bytes.
 *
 * C99 and nothing else, so that the paths of other processors can be compiled
 * and run by themselves: script/check-aarch64.
 */
#ifndef HELIX_YUV_H
#define HELIX_YUV_H

#include <stdbool.h>
#include <stdint.h>

/* Coefficients in 1/256, in the order of a pixel's bytes in memory; 0 for the
 * byte that is not a colour. */
struct helix_yuv_weights {
  uint8_t y[4];
  int8_t u[4], v[4];
};

/* A pair of rows: pixels in, luma of both and one row of chroma out. */
struct helix_yuv_rows {
  const uint8_t *rgb[2];  /* an odd height: the last row stands for both */
  const uint8_t *next[2]; /* rows that are soon needed, to be fetched by then */
  uint8_t *luma[2];
  uint8_t *u, *v; /* v = NULL: interleaved after u */
};

/* `r`, `g`, `b`: which of a pixel's four bytes is red, green, blue. */
void helix_yuv_weigh (
    struct helix_yuv_weights *weights, unsigned r, unsigned g, unsigned b);

/* Columns `left` (even) up to `end`. An odd `end` is the picture's own: its
 * last column is written twice, since the output's width is even. `path`: 0,
 * the fastest that this processor has; others are for tests. */
void helix_yuv_convert (unsigned path, const struct helix_yuv_weights *weights,
    const struct helix_yuv_rows *rows, unsigned left, unsigned end);

/* "avx2", "portable" and so on, from the fastest on. NULL: there is no such
 * path. `usable`: this processor has it; otherwise the next one is taken. */
const char *helix_yuv_path (unsigned path, bool *usable);

#endif /* HELIX_YUV_H */

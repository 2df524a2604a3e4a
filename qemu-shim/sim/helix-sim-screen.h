/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A synthetic screen: the pixels of one scanout and what each picture of a
 * pattern changes in them; and its cursor. Thread: one.
 *
 * Pictures are numbered from 1. What is where, so that a test can look:
 *   rows 0-15     the marker with the picture's number (all but box)
 *   rows 16-79    grey 0x808080, in which the box moves (marker)
 *   from row 80   eight colour bars of width / 8 pixels: bar i has colour
 *                 helix_sim_bar (i + scanout)
 * Pattern box has black all over and the box on a diagonal, with the number on
 * it as a badge (helix-marker.h). The box is 64x64 pixels of HELIX_SIM_BOX.
 *
 * Full, typing and scroll are for benchmarks: they change as desktops do, and
 * cost so little to draw that it is not the drawing which is measured.
 *   full    every pixel changes: a colour wheel moves under the screen, as
 *           smooth as a video, so that an encoder can do its work
 *   typing  three rows of glyphs, 8x16 pixels each, below the marker
 *   scroll  the upper half is a page of text that moves up
 */
#ifndef HELIX_SIM_SCREEN_H
#define HELIX_SIM_SCREEN_H

#include <stdbool.h>
#include <stdint.h>

#include "helix-protocol.h"

#define HELIX_SIM_BOX_SIZE 64u     /* pixels, both ways */
#define HELIX_SIM_BOX 0xffff8000u  /* BGRx word: orange */
#define HELIX_SIM_GREY 0xff808080u /* behind the box */
#define HELIX_SIM_BARS_Y 80u       /* first row of the bars */
#define HELIX_SIM_MIN_WIDTH 640u   /* the marker's */
#define HELIX_SIM_MIN_HEIGHT 96u

enum helix_sim_pattern {
  HELIX_SIM_MARKER,   /* marker and box change: rows 0-79, columns 0-639 */
  HELIX_SIM_STATIC,   /* nothing does */
  HELIX_SIM_NOISE,    /* every pixel does */
  HELIX_SIM_BOX_ONLY, /* box: its old and its new place */
  HELIX_SIM_FULL,     /* every pixel does, smoothly */
  HELIX_SIM_TYPING,   /* rows 0-63, columns 0-639: marker and text */
  HELIX_SIM_SCROLL,   /* the upper half */
};

struct helix_sim_screen {
  uint32_t scanout;
  uint32_t resource_id;
  uint32_t width, height; /* pixels */
  uint32_t stride;        /* bytes */
  uint32_t number;        /* of the picture shown */
  enum helix_sim_pattern pattern;
  uint32_t *pixels;
  uint32_t *texture; /* what pictures of the pattern are copied from */
};

/* false: there is none of that name. */
bool helix_sim_pattern_find (const char *name, enum helix_sim_pattern *pattern);

/* Word of a bar: white, yellow, cyan, green, magenta, red, blue, black. */
uint32_t helix_sim_bar (uint32_t index);

/* Where the box of pattern box is in picture `number`. */
struct helix_rect helix_sim_box_place (
    uint32_t width, uint32_t height, uint32_t number);

/* Draws picture `number`. helix_sim_screen_clear () it. */
void helix_sim_screen_init (struct helix_sim_screen *screen, uint32_t scanout,
    uint32_t resource_id, uint32_t width, uint32_t height,
    enum helix_sim_pattern pattern, uint32_t number);
void helix_sim_screen_clear (struct helix_sim_screen *screen);
/* Draws the next picture; *damage is what changed. false: nothing did. */
bool helix_sim_screen_next (
    struct helix_sim_screen *screen, struct helix_rect *damage);
/* Copies `box` to `dst`, where its top left pixel goes, `stride` bytes a row.
 */
void helix_sim_screen_read (const struct helix_sim_screen *screen,
    const struct helix_rect *box, void *dst, uint32_t stride);

/* The cursor: a shape and a way that its checks can compute, too. 32x32 pixels:
 *   rows 0-15   left half red, opaque; right half blue, half transparent
 *   rows 16-31  left half green, one quarter opaque; right half nothing
 * in B G R A, colours multiplied by alpha. The hot spot is 4, 2. */
#define HELIX_SIM_CURSOR_SIZE 32u /* pixels, both ways */
#define HELIX_SIM_CURSOR_HOT_X 4u
#define HELIX_SIM_CURSOR_HOT_Y 2u

/* As CURSOR carries it. */
void helix_sim_cursor_draw (
    uint8_t pixels[HELIX_SIM_CURSOR_SIZE * HELIX_SIM_CURSOR_SIZE * 4]);
/* Where its top left pixel is after `moves` moves on a screen of that size:
 * 96, 88 at first, then 7 to the right and 3 down, and round again, partly
 * outside on its way. */
void helix_sim_cursor_place (
    uint32_t width, uint32_t height, uint64_t moves, int32_t *x, int32_t *y);

#endif /* HELIX_SIM_SCREEN_H */

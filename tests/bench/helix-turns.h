/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A few pictures that take turns, drawn beforehand, and a stamp with the
 * number on them. Showing one is cheap, so that a guest whose processor is
 * emulated can show many a second. The receiver knows each pixel of them.
 *
 *   full  four pictures of the sim's pattern full; the stamp is the marker in
 *         the top left corner; every pixel changes
 *   box   one picture; the stamp is a box of 64x64 pixels right below the
 *         middle, with the number as a badge; nothing else changes
 *
 * Pixels are words of B G R x. Thread: one.
 */
#ifndef HELIX_TURNS_H
#define HELIX_TURNS_H

#include <stdbool.h>
#include <stdint.h>

#include "helix-protocol.h"

#define HELIX_TURNS_PICTURES 4u

enum helix_turns_scene { HELIX_TURNS_FULL, HELIX_TURNS_BOX };

struct helix_turns {
  enum helix_turns_scene scene;
  uint32_t width, height;   /* pixels */
  struct helix_rect damage; /* what changes from picture to picture */
  struct helix_rect stamp;  /* what is drawn for each number; inside damage */
  uint32_t pictures;        /* that take turns, 1..HELIX_TURNS_PICTURES */
  uint32_t *picture[HELIX_TURNS_PICTURES]; /* width * height words */
};

/* "full" or "box"; false if it is anything else. */
bool helix_turns_find (const char *name, enum helix_turns_scene *scene);

/* Draws the pictures. At least 640x256. helix_turns_clear () it. */
void helix_turns_init (struct helix_turns *turns, enum helix_turns_scene scene,
    uint32_t width, uint32_t height);
void helix_turns_clear (struct helix_turns *turns);

/* What is below the stamp of picture `number`. */
const uint32_t *helix_turns_picture (
    const struct helix_turns *turns, uint32_t number);
/* Draws the stamp alone; `stride` in bytes. */
void helix_turns_stamp (const struct helix_turns *turns, uint32_t number,
    uint32_t *pixels, uint32_t stride);

/* Reads the number off a plane of luma, or of any grey channel, as
 * helix_marker_read () does; false when it is not whole. */
bool helix_turns_number (const struct helix_turns *turns, const uint8_t *plane,
    uint32_t stride, uint32_t step, uint32_t *number);
/* Whether these pixels are picture `number`, all of them; x is ignored. */
bool helix_turns_is (const struct helix_turns *turns, uint32_t number,
    const uint8_t *pixels, uint32_t stride);

#endif /* HELIX_TURNS_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What benchmarks look at: pictures that change as desktops do, and that cost
 * so little to draw that it is not the drawing which is measured.
 *   full    every pixel changes: a colour wheel moves under the screen, as
 *           smooth as a video, so that an encoder can do its work
 *   typing  three rows of glyphs, 8x16 pixels each, below the marker
 *   scroll  the upper half is a page of text that moves up
 * The marker, rows 0-15, is the caller's to draw.
 */
#ifndef HELIX_SIM_SCENE_H
#define HELIX_SIM_SCENE_H

#include "helix-sim-screen.h"

#define HELIX_SIM_GLYPH_WIDTH 8u
#define HELIX_SIM_GLYPH_HEIGHT 16u
#define HELIX_SIM_TYPING_HEIGHT 64u /* with the marker's 16 rows */
#define HELIX_SIM_SCROLL_STEP 3u    /* pixels a picture */

/* What pictures of the pattern are copied from; NULL if it is no scene. */
uint32_t *helix_sim_scene_texture (
    enum helix_sim_pattern pattern, uint32_t width, uint32_t height);
void helix_sim_scene_first (struct helix_sim_screen *screen);
/* Draws picture screen->number over the one before. */
void helix_sim_scene_next (
    struct helix_sim_screen *screen, struct helix_rect *damage);

#endif /* HELIX_SIM_SCENE_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What both threads know of the screen: what scanouts show, their cursors, and
 * what clients ask of scanouts. The display thread writes the first two, the
 * io thread the last.
 */
#ifndef HELIX_SHIM_SCREEN_H
#define HELIX_SHIM_SCREEN_H

#include "helix-shim-base.h"

/* Any thread. Whether both show something, and frames of one have the form of
 * the other's: no new generation is due. */
bool helix_shim_surface_same_mode (
    const struct helix_surface *a, const struct helix_surface *b);
/* Any thread. Whether both have the same pixels. */
bool helix_shim_surface_same (
    const struct helix_surface *a, const struct helix_surface *b);
/* Any thread. *state = SCANOUT for it. */
void helix_shim_surface_describe (const struct helix_surface *surface,
    uint32_t scanout, uint32_t generation, struct helix_scanout *state);

/* ---- scanouts ---- */

/* Any thread. Whether it exists and is exported. */
bool helix_shim_screen_exports (
    const struct helix_shim *shim, uint32_t scanout);
/* Display thread: a scanout shows that now. */
void helix_shim_screen_set (struct helix_shim *shim, uint32_t scanout,
    const struct helix_surface *surface);
/* Io thread. */
void helix_shim_screen_get (
    struct helix_shim *shim, struct helix_shim_scanout all[HELIX_MAX_SCANOUTS]);

/* ---- cursors (helix_shim_display_cursor writes them) ---- */

/* What a cursor looks like: never written again once a plane has it. */
struct helix_shim_shape {
  int refs;
  uint32_t serial; /* of its scanout's shapes, from 1 */
  uint32_t width, height, hot_x, hot_y;
  uint8_t pixels[]; /* as in CURSOR */
};
/* Any thread. NULL is ignored. */
void helix_shim_shape_unref (struct helix_shim_shape *shape);

/* What a client knows of a cursor. All zeros: nothing. */
struct helix_shim_seen_cursor {
  uint64_t version; /* of the plane, + 1 */
  uint32_t serial;  /* of the shape */
};
/* Io thread: whether the client is to be sent a CURSOR; *cursor is it, *shape
 * a new reference if its pixels belong to it, else NULL. It then counts as
 * seen. */
bool helix_shim_screen_take_cursor (struct helix_shim *shim, uint32_t scanout,
    struct helix_shim_seen_cursor *seen, struct helix_cursor *cursor,
    struct helix_shim_shape **shape);
/* Display thread: the device was reset. */
void helix_shim_screen_hide_cursors (struct helix_shim *shim);
/* With no other thread inside. */
void helix_shim_screen_free_cursors (struct helix_shim *shim);

/* ---- requests ---- */

/* Io thread: client number `client` asks. */
void helix_shim_screen_request (struct helix_shim *shim,
    const struct helix_set_scanout *set, uint64_t client);
/* Display thread, in no pass: the answer comes as helix_shim_display_scanout,
 * perhaps at once. */
void helix_shim_screen_apply_requests (struct helix_shim *shim);
/* Io thread: whether a request of that client was refused; *why = a static
 * sentence. Each refusal is found once. */
bool helix_shim_screen_take_refusal (struct helix_shim *shim, uint64_t client,
    uint32_t *scanout, const char **why);

#endif /* HELIX_SHIM_SCREEN_H */

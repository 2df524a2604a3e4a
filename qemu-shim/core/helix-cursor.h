/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The cursor planes: what the display thread says of them, and what of that a
 * subscription has still to be told. Moves are not queued: a subscription has
 * one CURSOR under way at most, and what it says is the newest state.
 */
#ifndef HELIX_CURSOR_H
#define HELIX_CURSOR_H

#include <stdbool.h>
#include <stdint.h>

#include "helix-protocol.h"

struct helix_shim;
struct helix_subscription;

/* What a cursor looks like: never written again once it is in a plane. */
struct helix_shape {
  int refs;
  uint32_t serial; /* of its scanout's shapes, from 1 */
  uint32_t width, height, hot_x, hot_y;
  uint8_t pixels[]; /* as in CURSOR */
};

/* One scanout's. Written by the display thread, under the shim's lock. */
struct helix_plane {
  struct helix_shape *shape; /* NULL = there was none yet */
  bool visible;
  int32_t x, y;
  uint64_t changed_ns; /* helix_now_ns () time */
  uint64_t version;    /* +1 at each change worth a CURSOR */
};

struct helix_shape *helix_shape_ref (struct helix_shape *shape);
void helix_shape_unref (struct helix_shape *shape);

/* Display thread: the device was reset, no scanout has a cursor now. */
void helix_cursor_hide_all (struct helix_shim *shim);
/* Io thread: whether the subscription is due a CURSOR; *cursor is it, *shape
 * a new reference if its pixels belong to it, else NULL. It then counts as
 * under way until helix_cursor_sent. */
bool helix_cursor_take (struct helix_subscription *subscription,
    struct helix_cursor *cursor, struct helix_shape **shape);
/* Io thread: the last byte of that one is out, or never will be. */
void helix_cursor_sent (struct helix_subscription *subscription);
/* With no other thread inside. */
void helix_cursor_free_all (struct helix_shim *shim);

#endif /* HELIX_CURSOR_H */

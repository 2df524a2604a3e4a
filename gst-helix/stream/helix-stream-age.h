/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How old a unit may become on its way, at either end, in ms: as long as it
 * may wait for a guest here, and as long as it may wait for what follows
 * helixsrc there.
 *
 * 400 ms leave room for a stutter, and keep what is seen below 600 ms where
 * the next keyframe takes its time.
 */
#ifndef HELIX_STREAM_AGE_H
#define HELIX_STREAM_AGE_H

#include <glib.h>

#define HELIX_STREAM_MAX_AGE_MS 400
#define HELIX_STREAM_MAX_AGE_MIN_MS 50
#define HELIX_STREAM_MAX_AGE_MAX_MS 60000

/* ns. An end that leaves units out twice within this time is too slow, not only
 * disturbed once: it is told. */
#define HELIX_STREAM_SLOW_NS G_GUINT64_CONSTANT (10000000000)

#endif /* HELIX_STREAM_AGE_H */

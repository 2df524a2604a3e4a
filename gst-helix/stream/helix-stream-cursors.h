/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The cursor shapes of one session, by serial: a pointer goes back and forth
 * between few of them. Not thread-safe.
 */
#ifndef HELIX_STREAM_CURSORS_H
#define HELIX_STREAM_CURSORS_H

#include <gst/gst.h>

G_BEGIN_DECLS

#define HELIX_STREAM_CURSORS_KEPT 8

typedef struct {
  struct {
    guint32 serial; /* 0: empty */
    GstBuffer *image;
  } kept[HELIX_STREAM_CURSORS_KEPT];
  guint oldest;
  guint32 given; /* serial of the image that went out last, 0: none */
} HelixStreamCursors;

/* A new session, or the end: forgets all. */
void helix_stream_cursors_clear (HelixStreamCursors *self);

/* A shape came; it is taken. */
void helix_stream_cursors_keep (
    HelixStreamCursors *self, guint32 serial, GstBuffer *image);

/* The image of the cursor if it is another than last time, else NULL. */
GstBuffer *helix_stream_cursors_take (HelixStreamCursors *self, guint32 serial);

G_END_DECLS

#endif /* HELIX_STREAM_CURSORS_H */

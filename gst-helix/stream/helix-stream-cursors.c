/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-stream-cursors.h"

#include <string.h>

void
helix_stream_cursors_clear (HelixStreamCursors *self)
{
  for (guint i = 0; i < HELIX_STREAM_CURSORS_KEPT; i++)
    gst_clear_buffer (&self->kept[i].image);
  memset (self, 0, sizeof *self);
}

static GstBuffer *
find (const HelixStreamCursors *self, guint32 serial)
{
  for (guint i = 0; i < HELIX_STREAM_CURSORS_KEPT; i++)
    if (self->kept[i].serial == serial)
      return self->kept[i].image;
  return NULL;
}

/* In the place of the same serial, else of the oldest. */
void
helix_stream_cursors_keep (
    HelixStreamCursors *self, guint32 serial, GstBuffer *image)
{
  guint i;

  for (i = 0; i < HELIX_STREAM_CURSORS_KEPT; i++)
    if (self->kept[i].serial == serial)
      break;
  if (i == HELIX_STREAM_CURSORS_KEPT) {
    i = self->oldest;
    self->oldest = (i + 1) % HELIX_STREAM_CURSORS_KEPT;
  }
  gst_clear_buffer (&self->kept[i].image);
  self->kept[i].serial = serial;
  self->kept[i].image = image;
  if (serial == self->given)
    self->given = 0; /* perhaps another image */
}

GstBuffer *
helix_stream_cursors_take (HelixStreamCursors *self, guint32 serial)
{
  GstBuffer *image;

  if (serial == self->given)
    return NULL;
  image = serial != 0 ? find (self, serial) : NULL;
  self->given = image != NULL ? serial : 0;
  return image != NULL ? gst_buffer_ref (image) : NULL;
}

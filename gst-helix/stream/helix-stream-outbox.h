/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is still to be sent to one peer: control messages, which go first, the
 * newest CURSOR, which goes next, and CAPS and UNIT messages in order. Bytes
 * of units and cursor shapes are shared between peers and never copied. Bounds
 * are the caller's matter. No lock.
 */
#ifndef HELIX_STREAM_OUTBOX_H
#define HELIX_STREAM_OUTBOX_H

#include <gst/gst.h>

#include "helix-histogram.h"
#include "helix-pack.h"

G_BEGIN_DECLS

/* A unit's bytes, or a cursor shape's. */
typedef struct {
  gint refs;
  GstBuffer *buffer;
  GstMapInfo map;
  guint64 arrived_ns; /* helix_now_ns () when the server got it; 0 = untold */
} HelixStreamOutboxUnit;

typedef struct _HelixStreamOutboxItem HelixStreamOutboxItem;

/* Takes a reference to the buffer; NULL if it cannot be mapped. */
HelixStreamOutboxUnit *helix_stream_outbox_unit_new (GstBuffer *buffer);
void helix_stream_outbox_unit_unref (HelixStreamOutboxUnit *unit);

typedef struct {
  /* to be read */
  guint units;                    /* that wait, the one under way included */
  gsize bytes;                    /* of those units */
  guint64 sent_units, sent_bytes; /* whole units, ever */
  guint32 cursor_serial; /* of the last shape begun to be sent, 0 = none */

  /* to be set: where the time from arrival to the last byte goes, or NULL */
  struct helix_histogram *times;

  /* private */
  GByteArray *control; /* whole messages, control_sent bytes of them sent */
  gsize control_sent;
  HelixStreamOutboxItem *cursor; /* may be partly sent; NULL: none waits */
  GQueue items;                  /* the head may be partly sent */
} HelixStreamOutbox;

void helix_stream_outbox_init (HelixStreamOutbox *self);
void helix_stream_outbox_clear (HelixStreamOutbox *self);

/* Adds a control message. */
void helix_stream_outbox_say (
    HelixStreamOutbox *self, const guint8 *message, gsize size);
/* Bytes of control messages that wait. */
gsize helix_stream_outbox_control (const HelixStreamOutbox *self);

/* Adds a message that must not overtake units: CAPS, or the head of a UNIT
 * and the unit. `size` is at most that of a CAPS message. */
void helix_stream_outbox_add (HelixStreamOutbox *self, const guint8 *head,
    gsize size, HelixStreamOutboxUnit *unit);

/* Puts a CURSOR message in the place of the one that waits, so at most one
 * ever does. `shape`: its pixels, those of `serial`, or NULL. FALSE: the one
 * before is under way; try again when it is out. */
gboolean helix_stream_outbox_cursor (HelixStreamOutbox *self,
    const guint8 *head, gsize size, HelixStreamOutboxUnit *shape,
    guint32 serial);

/* Drops what add () and cursor () added. A message that is partly sent stays,
 * or the peer could make nothing of what follows. Returns the number of units
 * dropped. */
guint helix_stream_outbox_drop (HelixStreamOutbox *self);
/* Drops all: the peer looks for the next HELLO or WELCOME anyway. Which
 * cursor shapes it has is forgotten. */
guint helix_stream_outbox_abandon (HelixStreamOutbox *self);

gboolean helix_stream_outbox_pending (const HelixStreamOutbox *self);

/* `arrived_ns` of the unit that has waited longest; 0: none waits. */
guint64 helix_stream_outbox_oldest (const HelixStreamOutbox *self);

/* One write of at most `limit` bytes. Returns what was sent, or -1 and
 * errno. */
gssize helix_stream_outbox_send (HelixStreamOutbox *self, gint fd, gsize limit);

G_END_DECLS

#endif /* HELIX_STREAM_OUTBOX_H */

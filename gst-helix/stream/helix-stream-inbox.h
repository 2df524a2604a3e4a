/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * CAPS and units that have arrived and were not taken yet: in order, bounded
 * by age. Units that are too old are left out up to the newest keyframe, or up
 * to one that is asked for: never a part of what a decoder needs. No lock, no
 * clock of its own: `now` is helix_now_ns ().
 *
 * A unit's age is how long before the newest one it arrived, and how much
 * longer than the quickest unit of late it was under way. The first spares the
 * last picture of a screen that stands still. The second needs no common
 * clock, and finds what piled up in a socket while this program was stopped.
 */
#ifndef HELIX_STREAM_INBOX_H
#define HELIX_STREAM_INBOX_H

#include <gst/gst.h>

#include "helix-protocol.h"
#include "helix-stream-common.h"

G_BEGIN_DECLS

typedef enum {
  HELIX_STREAM_CAPS,     /* item.caps */
  HELIX_STREAM_UNIT,     /* item.buffer and what follows it */
  HELIX_STREAM_CURSOR,   /* item.cursor, item.buffer: its image, if that is
                            another than before, or NULL */
  HELIX_STREAM_EOS,      /* the other end said BYE, and no reconnect */
  HELIX_STREAM_WARNING,  /* *error; call again */
  HELIX_STREAM_ERROR,    /* *error; it is over */
  HELIX_STREAM_FLUSHING, /* helix_stream_client_flush (TRUE) */
} HelixStreamResult;

typedef struct {
  HelixStreamResult kind;
  struct helix_caps caps;
  struct helix_cursor cursor;
  GstBuffer *buffer; /* the caller's */
  struct helix_unit unit;
  gboolean discont;
  guint64 received_ns;  /* own CLOCK_MONOTONIC: its last byte was read */
  gboolean waited_for;  /* it was read when it came */
  gboolean clock_known; /* the next two are valid */
  gint64 clock_offset;  /* ns: other end's clock - own */
  guint64 clock_error;  /* ns: bound of the error of the offset */
} HelixStreamItem;

/* Between two requests for a keyframe. A decoder that is too slow gets no
 * faster from keyframes, which are the most work. */
#define HELIX_STREAM_INBOX_ASK_NS (1000 * G_GUINT64_CONSTANT (1000000))

/* Bytes of units: 0.4 s of 640 Mbit/s. A lone unit may be larger. */
#define HELIX_STREAM_INBOX_MAX_BYTES (32u << 20)

typedef struct {
  /* to be set, in ns: the oldest that a unit may become here; and by how much
   * more, because the pipeline holds units back on purpose */
  guint64 max_age, latency;

  /* to be read */
  gboolean wants_key; /* a keyframe is needed: tick () says when to ask */
  gboolean slow;      /* units are taken too slowly, again and again */
  guint64 left_out;   /* units, ever */
  guint64 skips;      /* how often some were */
  guint units;        /* in it */

  /* private */
  GQueue entries; /* of HelixStreamItem */
  gsize bytes;
  gboolean live;                /* more units will come */
  gboolean skipping;            /* no unit before a key one */
  gboolean discont;             /* the next unit does not continue the last */
  gboolean taken;               /* something was, since the last skip */
  guint64 asked_at, skipped_at; /* 0: never */

  /* the quickest way from the other end to here, on two clocks: a difference
   * of stamps modulo 2^64 */
  gboolean timed;
  guint64 best, window_best, window_since, timed_at;
} HelixStreamInbox;

void helix_stream_inbox_init (HelixStreamInbox *self, guint64 max_age);
void helix_stream_inbox_clear (HelixStreamInbox *self);

/* A session begins (TRUE) or is over. What is over is not left out: nothing
 * newer replaces it. */
void helix_stream_inbox_live (HelixStreamInbox *self, gboolean live);

/* HELIX_STREAM_CAPS or _UNIT. Takes its buffer. */
void helix_stream_inbox_add (
    HelixStreamInbox *self, const HelixStreamItem *item);

/* The next in order; FALSE: there is none. */
gboolean helix_stream_inbox_take (
    HelixStreamInbox *self, HelixStreamItem *item);

/* TRUE: ask for a keyframe now. Else *next is when to call again, or stays. */
gboolean helix_stream_inbox_tick (
    HelixStreamInbox *self, guint64 now, guint64 *next);

G_END_DECLS

#endif /* HELIX_STREAM_INBOX_H */

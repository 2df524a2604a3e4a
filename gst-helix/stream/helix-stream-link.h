/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest's end of one connection: handshake, units, clock, statistics.
 * helix-stream-client.h makes and remakes the connections. One thread.
 */
#ifndef HELIX_STREAM_LINK_H
#define HELIX_STREAM_LINK_H

#include <gst/gst.h>

#include "helix-clock-offset.h"
#include "helix-reader.h"

G_BEGIN_DECLS

typedef enum {
  HELIX_STREAM_LINK_IDLE, /* nothing more to read now */
  HELIX_STREAM_LINK_MORE, /* something was read: call again */
  HELIX_STREAM_LINK_LIVE, /* WELCOME came */
  HELIX_STREAM_LINK_CAPS, /* `caps` changed */
  HELIX_STREAM_LINK_UNIT, /* `buffer` and `unit` */
  HELIX_STREAM_LINK_LOST, /* `error` says why, or `bye` */
} HelixStreamLinkEvent;

typedef struct {
  gint fd;
  gboolean live;

  /* with HELIX_STREAM_LINK_CAPS and after */
  struct helix_caps caps; /* caps_id 0: none yet */

  /* with HELIX_STREAM_LINK_UNIT */
  struct helix_unit unit;
  GstBuffer *buffer;   /* the caller takes it */
  gboolean discont;    /* does not continue what was given before */
  guint64 received_ns; /* own CLOCK_MONOTONIC */

  /* with HELIX_STREAM_LINK_LOST */
  GError *error;  /* NULL: an orderly BYE */
  gboolean fatal; /* another attempt would end the same way */
  gboolean loud;  /* something was wrong, not merely over */

  HelixClockOffset clock;
  struct helix_stats totals; /* of this link, ready to be sent */

  /* private */
  const gchar *address; /* for messages; the caller's */
  gboolean serial, strangers;
  guint64 nonce;
  struct helix_reader reader;
  GByteArray *out;
  gsize out_sent;
  GstMapInfo map;
  gboolean mapped;
  gboolean need_key; /* skip until a key unit */
  gboolean have_last;
  guint pings;
  guint64 opened, last_read, last_ping, last_stats, last_asked;
  guint64 told_units;
} HelixStreamLink;

/* Owns `fd`; HELLO goes out first. `serial`: bytes of earlier sessions may be
 * in both directions. `strangers`: any program may have connected to us, so
 * nothing that it says is fatal. */
HelixStreamLink *helix_stream_link_new (gint fd, const gchar *address,
    gboolean serial, gboolean strangers, const gchar *token, guint64 now);
void helix_stream_link_free (HelixStreamLink *self);

/* Reads a little. Never blocks. */
HelixStreamLinkEvent helix_stream_link_read (HelixStreamLink *self);

/* Sends what waits; on a failure read () finds the same. */
void helix_stream_link_flush (HelixStreamLink *self);
gboolean helix_stream_link_pending (const HelixStreamLink *self);

/* Deadlines, PING, STATS. `awake`: since when the caller has been reading;
 * what it did not look at cannot be missed. Returns when to call again, or 0:
 * lost, as with HELIX_STREAM_LINK_LOST. */
guint64 helix_stream_link_tick (
    HelixStreamLink *self, guint64 now, guint64 awake);

/* Asks for a keyframe: HELIX_KEYFRAME_*. FALSE: too soon after the last. */
gboolean helix_stream_link_ask (
    HelixStreamLink *self, guint32 reason, guint64 now);
void helix_stream_link_bye (HelixStreamLink *self);

G_END_DECLS

#endif /* HELIX_STREAM_LINK_H */

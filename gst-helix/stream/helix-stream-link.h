/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest's end of one connection: handshake, units, cursor, clock,
 * statistics. helix-stream-client.h makes and remakes the connections. One
 * thread.
 */
#ifndef HELIX_STREAM_LINK_H
#define HELIX_STREAM_LINK_H

#include <gst/gst.h>

#include "helix-clock-offset.h"
#include "helix-proof.h"
#include "helix-reader.h"

G_BEGIN_DECLS

typedef enum {
  HELIX_STREAM_LINK_IDLE,    /* nothing more to read now */
  HELIX_STREAM_LINK_MORE,    /* something was read: call again */
  HELIX_STREAM_LINK_LIVE,    /* WELCOME came, and PROOF if need be */
  HELIX_STREAM_LINK_CAPS,    /* `caps` changed */
  HELIX_STREAM_LINK_UNIT,    /* `buffer` and `unit` */
  HELIX_STREAM_LINK_CURSOR,  /* `cursor`, and `buffer` if it has a shape */
  HELIX_STREAM_LINK_REFUSED, /* `refusal` and `refusal_text` */
  HELIX_STREAM_LINK_LOST,    /* `error` says why, or `bye` */
} HelixStreamLinkEvent;

typedef struct {
  const gchar *address; /* for messages */
  gboolean serial;      /* bytes of earlier sessions may be under way */
  gboolean strangers;   /* anybody may have connected to us, so nothing that
                           comes over it is fatal */
  guint32 role;         /* HELIX_ROLE_STREAM or HELIX_ROLE_CONTROL */
  const gchar *name;    /* of the program, for the other end's log */
  const gchar *token;   /* that both ends prove, or NULL */
  guint64 nonce;        /* random, from helix_random () if there is a token */
} HelixStreamLinkConfig;

typedef struct {
  gint fd;
  gboolean live;

  /* with HELIX_STREAM_LINK_CAPS and after */
  struct helix_caps caps; /* caps_id 0: none yet */

  /* with HELIX_STREAM_LINK_UNIT, _CURSOR */
  struct helix_unit unit;
  struct helix_cursor cursor;
  GstBuffer *buffer;   /* the caller takes it */
  gboolean discont;    /* does not continue what was given before */
  guint64 received_ns; /* own CLOCK_MONOTONIC */
  gboolean waited_for; /* nothing else had come before that was not read yet */

  /* with HELIX_STREAM_LINK_REFUSED: what we asked for, the other end does
   * not do; the session goes on */
  struct helix_error refusal;
  gchar refusal_text[HELIX_MAX_TEXT + 1];

  /* with HELIX_STREAM_LINK_LOST */
  GError *error;  /* NULL: an orderly BYE */
  gboolean fatal; /* another attempt would end the same way */
  gboolean loud;  /* something was wrong, not merely over */

  HelixClockOffset clock;
  struct helix_stats totals; /* of this link, ready to be sent */
  guint64 skipped;           /* units that came and could not be used */

  /* private */
  HelixStreamLinkConfig config; /* the strings are the caller's */
  gboolean welcomed;            /* WELCOME came */
  HelixProofRound proof;        /* from then on */
  struct helix_reader reader;
  uint32_t unknown[8]; /* types that the peer was told are not known */
  GByteArray *out;
  gsize out_sent;
  GstMapInfo map;
  gboolean mapped;
  gboolean need_key; /* skip until a key unit */
  gboolean have_last;
  gboolean asking; /* a request for a keyframe waits for its time */
  guint32 ask_reason;
  gboolean waiting; /* all that had come was read since the last unit */
  guint pings;
  guint64 opened, last_read, last_ping, last_stats, last_asked;
  guint64 told_units;
} HelixStreamLink;

/* Owns `fd`; HELLO goes out first. */
HelixStreamLink *helix_stream_link_new (
    gint fd, const HelixStreamLinkConfig *config, guint64 now);
void helix_stream_link_free (HelixStreamLink *self);

/* Reads a little. Never blocks. */
HelixStreamLinkEvent helix_stream_link_read (HelixStreamLink *self);

/* Sends what waits; on a failure read () finds the same. */
void helix_stream_link_flush (HelixStreamLink *self);
gboolean helix_stream_link_pending (const HelixStreamLink *self);

/* Deadlines, PING, STATS, requests whose time has come. `awake`: since when
 * the caller has been reading; what it did not look at cannot be missed.
 * Returns when to call again, or 0: lost, as with HELIX_STREAM_LINK_LOST. */
guint64 helix_stream_link_tick (
    HelixStreamLink *self, guint64 now, guint64 awake);

/* Asks for a keyframe: HELIX_KEYFRAME_*. Too soon after the last one it
 * waits in tick (), and merges with others. */
void helix_stream_link_ask (HelixStreamLink *self, guint32 reason, guint64 now);

/* FALSE: the link takes nothing now; again when it has been flushed, with
 * what is wished then. `capture_ns` is of the own clock, or HELIX_NONE64. */
gboolean helix_stream_link_config (
    HelixStreamLink *self, const struct helix_config *config);
gboolean helix_stream_link_show (HelixStreamLink *self, guint32 resource_id,
    guint64 capture_ns, guint64 now);

void helix_stream_link_bye (HelixStreamLink *self);

G_END_DECLS

#endif /* HELIX_STREAM_LINK_H */

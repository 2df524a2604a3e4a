/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest's end of one connection: the messages of the stream protocol
 * (units, cursor, requests, clock, statistics), and what each loss means for a
 * person. helix-stream-client.h makes and remakes the connections.
 *
 * Nothing here waits. Thread: all functions belong to one.
 */
#ifndef HELIX_STREAM_CONNECTION_H
#define HELIX_STREAM_CONNECTION_H

#include <gst/gst.h>

#include "helix-clock-offset.h"
#include "helix-connection.h"
#include "helix-stream-inbox.h"

G_BEGIN_DECLS

typedef enum {
  HELIX_STREAM_CONNECTION_IDLE,    /* nothing more to read now */
  HELIX_STREAM_CONNECTION_MORE,    /* something was read: call again */
  HELIX_STREAM_CONNECTION_LIVE,    /* WELCOME came, and PROOF if need be */
  HELIX_STREAM_CONNECTION_CAPS,    /* item.caps changed */
  HELIX_STREAM_CONNECTION_UNIT,    /* all of `item` but the cursor */
  HELIX_STREAM_CONNECTION_CURSOR,  /* item.cursor, and .buffer: its shape */
  HELIX_STREAM_CONNECTION_REFUSED, /* connection->error and text: the other end
                                    * does not do what we requested */
  HELIX_STREAM_CONNECTION_LOST,    /* `error` says why */
} HelixStreamConnectionEvent;

typedef struct {
  const gchar *address; /* for messages; the caller's */
  gboolean serial;      /* bytes of earlier sessions may be under way */
  gboolean strangers;   /* the other end connected to us, and may be any
                           program: nothing that comes over it is fatal */
  guint32 role;         /* HELIX_ROLE_STREAM or HELIX_ROLE_CONTROL */
  const gchar *name;    /* of the program, for the other end's log */
  const gchar *token;   /* that both ends prove, or NULL */
} HelixStreamConnectionConfig;

typedef struct {
  HelixConnection *connection;

  /* With CAPS, UNIT, CURSOR. caps.caps_id is 0 before CAPS. The caller takes
   * `buffer`, and clears `discont` with it. */
  HelixStreamItem item;

  /* with LOST */
  GError *error;  /* NULL: an orderly BYE */
  gboolean fatal; /* another attempt would end the same way */
  gboolean loud;  /* something was wrong, not merely over */

  HelixClockOffset clock;
  struct helix_stats totals; /* of this connection, ready to be sent */
  guint64 skipped;           /* units that came and could not be used */

  /* private */
  HelixStreamConnectionConfig config;
  GstMapInfo map;
  gboolean mapped;
  gboolean need_key; /* skip until a key unit */
  gboolean have_last;
  gboolean asking; /* a request for a keyframe waits for its time */
  guint32 ask_reason;
  gboolean waiting; /* all that had come was read since the last unit */
  guint64 stats_ns, asked_ns; /* when the last of them was sent */
  guint64 told_units;
} HelixStreamConnection;

/* Owns `fd`; HELLO goes out first. */
HelixStreamConnection *helix_stream_connection_new (
    gint fd, const HelixStreamConnectionConfig *config, guint64 now);
/* Says BYE; NULL is ignored. */
void helix_stream_connection_free (HelixStreamConnection *self);

/* Reads a little, and sends what waits. */
HelixStreamConnectionEvent helix_stream_connection_read (
    HelixStreamConnection *self);
/* Deadlines, PING, STATS, requests whose time has come. Returns when to call
 * again, or 0: lost, as with HELIX_STREAM_CONNECTION_LOST. */
guint64 helix_stream_connection_tick (HelixStreamConnection *self, guint64 now);

/* Asks for a keyframe: HELIX_KEYFRAME_*. Too soon after the last one it
 * waits in tick (), and merges with others. */
void helix_stream_connection_ask (
    HelixStreamConnection *self, guint32 reason, guint64 now);

/* FALSE: what was sent before waits in the socket. Call it again when that has
 * left, with what is wanted then. `capture_ns` is of the own clock, or
 * HELIX_NONE64. */
gboolean helix_stream_connection_config (
    HelixStreamConnection *self, const struct helix_config *config);
gboolean helix_stream_connection_show (HelixStreamConnection *self,
    guint32 resource_id, guint64 capture_ns, guint64 now);

G_END_DECLS

#endif /* HELIX_STREAM_CONNECTION_H */

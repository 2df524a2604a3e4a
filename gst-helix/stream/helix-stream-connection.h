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

#include "helix-connection.h"
#include "helix-stream-inbox.h"
#include "helix-stream-timing.h"

G_BEGIN_DECLS

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

  /* With HELIX_CONNECTION_MESSAGE, a HELIX_STREAM_CAPS, _UNIT or _CURSOR: the
   * caller takes `buffer`, and clears `discont` with it. HELIX_STREAM_WARNING:
   * the other end does not do what was requested; connection->error and text.
   * caps.caps_id is 0 before CAPS. */
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

/* Reads a little, and sends what waits. Never returns HELIX_CONNECTION_HEAD. */
HelixConnectionEvent helix_stream_connection_read (HelixStreamConnection *self);
/* Deadlines, PING, STATS, requests whose time has come. Returns when to call
 * again, or 0: lost, as with HELIX_CONNECTION_LOST. */
guint64 helix_stream_connection_tick (HelixStreamConnection *self, guint64 now);

/* Asks for a keyframe: HELIX_KEYFRAME_*. Too soon after the last one it
 * waits in tick (), and merges with others. */
void helix_stream_connection_ask (
    HelixStreamConnection *self, guint32 reason, guint64 now);

/* Sends a request. FALSE: what was sent before waits in the socket. Call it
 * again when that has left, with what is wanted then. */
gboolean helix_stream_connection_request (
    HelixStreamConnection *self, const guint8 *message, gsize size);

G_END_DECLS

#endif /* HELIX_STREAM_CONNECTION_H */

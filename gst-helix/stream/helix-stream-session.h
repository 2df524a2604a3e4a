/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One peer of the stream server: its place in the conversation, what is still
 * to be sent to it, and when it counts as dead. Knows no other peer and takes
 * no lock: the server serialises all calls.
 *
 *   GREETING  PING is answered, HELLO is awaited
 *   LIVE      units flow, from a key unit on
 *   CLOSING   a last ERROR or BYE is on its way out
 *   DEAD      to be reaped
 */
#ifndef HELIX_STREAM_SESSION_H
#define HELIX_STREAM_SESSION_H

#include <gst/gst.h>

#include "helix-reader.h"
#include "helix-stream-outbox.h"

G_BEGIN_DECLS

/* A unit that waits for a peer that takes no more must not wait long: this
 * is half a second at 60 fps. A lone larger unit is always accepted. */
#define HELIX_STREAM_SESSION_MAX_UNITS 30
#define HELIX_STREAM_SESSION_MAX_BYTES (8u << 20)

/* Times in ns of helix_now_ns (). */
#define HELIX_STREAM_SESSION_HELLO_NS (3 * G_GUINT64_CONSTANT (1000000000))
#define HELIX_STREAM_SESSION_DEAD_NS (3 * G_GUINT64_CONSTANT (1000000000))
#define HELIX_STREAM_SESSION_PING_NS (1 * G_GUINT64_CONSTANT (1000000000))
#define HELIX_STREAM_SESSION_LINGER_NS (1 * G_GUINT64_CONSTANT (1000000000))

typedef enum {
  HELIX_STREAM_SESSION_GREETING,
  HELIX_STREAM_SESSION_LIVE,
  HELIX_STREAM_SESSION_CLOSING,
  HELIX_STREAM_SESSION_DEAD,
} HelixStreamSessionState;

/* What the server expects of peers. */
typedef struct {
  const gchar *token; /* or NULL: any */
  gboolean full;      /* max-clients are live already */
  gboolean recover;   /* slow peers skip to a keyframe; else they go */
} HelixStreamSessionPolicy;

typedef struct {
  /* read by the server */
  HelixStreamSessionState state;
  guint32 id;
  gint fd;
  gchar *peer;
  gboolean announced;      /* client-added was emitted */
  gboolean restarted;      /* HELLO came again since the server looked */
  gboolean needs_key;      /* wants a keyframe soon; the server clears it */
  gboolean waits_key;      /* gets no unit before a key one */
  GError *problem;         /* of the peer's making, for a warning; or NULL */
  gchar *reason;           /* why it went; set from CLOSING on */
  guint64 dropped;         /* units that it did not get */
  HelixStreamOutbox out;   /* and the counts of what it got */
  struct helix_stats told; /* last STATS, told.units = 0: none */

  /* private */
  gboolean resync; /* the stream outlives sessions: scan, do not give up */
  gboolean blocked, shut;
  struct helix_reader reader;
  guint64 opened, last_read, last_write, last_ping, last_asked, closing;
  guint32 caps_id;   /* announced, 0 = none */
  gboolean owes_key; /* needs_key follows when the backlog is out */
} HelixStreamSession;

/* Owns `fd` and `peer` from here on. */
HelixStreamSession *helix_stream_session_new (
    guint32 id, gint fd, gchar *peer, gboolean resync, guint64 now);
void helix_stream_session_free (HelixStreamSession *self);

/* Reads and answers what has come, a bounded amount of it. */
void helix_stream_session_read (HelixStreamSession *self,
    const HelixStreamSessionPolicy *policy, guint64 now);

/* Queues a unit, CAPS before it if need be, or skips it. */
void helix_stream_session_push (HelixStreamSession *self,
    const HelixStreamSessionPolicy *policy, HelixStreamOutboxUnit *unit,
    const struct helix_unit *head, const struct helix_caps *caps);

/* Sends what the socket takes now, at most `limit` bytes. */
void helix_stream_session_flush (
    HelixStreamSession *self, gsize limit, guint64 now);
gboolean helix_stream_session_pending (const HelixStreamSession *self);

/* Deadlines and PING. Returns when to call again, in ns. */
guint64 helix_stream_session_tick (HelixStreamSession *self, guint64 now);

/* Sends BYE, or ERROR if `code` is not 0, and goes to CLOSING. */
void helix_stream_session_bye (
    HelixStreamSession *self, guint32 bye_reason, guint64 now);
void helix_stream_session_refuse (HelixStreamSession *self,
    enum helix_error_code code, enum helix_type refers, const gchar *text,
    guint64 now);

G_END_DECLS

#endif /* HELIX_STREAM_SESSION_H */

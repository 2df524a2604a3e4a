/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One peer of the stream server: its place in the conversation, what is still
 * to be sent to it, and when it counts as dead. Knows no other peer and takes
 * no lock: the server serialises all calls.
 *
 *   GREETING  PING is answered, HELLO is awaited
 *   PROVING   likewise, PROOF of the token is awaited
 *   LIVE      units flow, from a key unit on
 *   CLOSING   a last ERROR or BYE is on its way out
 *   DEAD      to be reaped
 */
#ifndef HELIX_STREAM_SESSION_H
#define HELIX_STREAM_SESSION_H

#include <gst/gst.h>

#include "helix-proof.h"
#include "helix-reader.h"
#include "helix-stream-outbox.h"

G_BEGIN_DECLS

/* What may wait for a peer, beside the bound of its age: 0.4 s of 160 Mbit/s.
 * A lone larger unit is always accepted. Each counts as much more as its
 * bookkeeping takes, about. */
#define HELIX_STREAM_SESSION_MAX_BYTES (8u << 20)
#define HELIX_STREAM_SESSION_UNIT_COST 256u

/* Times in ns of helix_now_ns (). */
#define HELIX_STREAM_SESSION_HELLO_NS (3 * G_GUINT64_CONSTANT (1000000000))
#define HELIX_STREAM_SESSION_DEAD_NS (3 * G_GUINT64_CONSTANT (1000000000))
#define HELIX_STREAM_SESSION_PING_NS (1 * G_GUINT64_CONSTANT (1000000000))
#define HELIX_STREAM_SESSION_LINGER_NS (1 * G_GUINT64_CONSTANT (1000000000))

/* PINGs under way of which account is kept. */
#define HELIX_STREAM_SESSION_MAX_PROBES 8

/* LISTs that may wait: as many as the shim takes at once. */
#define HELIX_STREAM_SESSION_MAX_LISTS 16

/* One peer's KEYFRAME costs every peer bits, so it counts only so often. One
 * that comes sooner counts when its time has come. */
#define HELIX_STREAM_SESSION_KEYFRAME_NS (500 * G_GUINT64_CONSTANT (1000000))

typedef enum {
  HELIX_STREAM_SESSION_GREETING,
  HELIX_STREAM_SESSION_PROVING,
  HELIX_STREAM_SESSION_LIVE,
  HELIX_STREAM_SESSION_CLOSING,
  HELIX_STREAM_SESSION_DEAD,
} HelixStreamSessionState;

/* What the server expects of peers. */
typedef struct {
  const gchar *token;    /* that peers must prove, or NULL: none */
  gboolean full;         /* max-clients are live already */
  gboolean control_full; /* likewise those that only steer */
  gboolean recover;      /* slow peers skip to a keyframe; else they go */
  guint64 max_age;       /* ns that a unit may wait for a peer */
} HelixStreamSessionPolicy;

/* The cursor as it is now, for all peers. */
typedef struct {
  gboolean known;               /* one was ever seen */
  struct helix_cursor head;     /* without HELIX_CURSOR_SHAPE */
  HelixStreamOutboxUnit *shape; /* of head.serial; NULL: it has none */
} HelixStreamCursor;

typedef struct {
  /* read by the server */
  HelixStreamSessionState state;
  guint32 id;
  gint fd;
  gchar *peer;
  gboolean announced;      /* client-added was emitted */
  gboolean restarted;      /* it was live, and ended or began anew since the
                            * server looked */
  gboolean needs_key;      /* wants a keyframe soon; the server clears it */
  gboolean waits_key;      /* gets no unit before a key one */
  GError *problem;         /* of the peer's making, for a warning; or NULL */
  gchar *reason;           /* why it went; set from CLOSING on */
  guint64 dropped;         /* units that it did not get */
  guint64 skips;           /* how often it was too far behind */
  gboolean slow;           /* that again and again */
  gboolean slow_told;      /* of the server */
  guint64 last_unit;       /* when it got one, in ns; 0: never */
  HelixStreamOutbox out;   /* and the counts of what it got */
  struct helix_stats told; /* last STATS, told.units = 0: none */

  /* from HELLO on; of use once it is live */
  guint32 role; /* HELIX_ROLE_STREAM, or _CONTROL: it gets no stream */
  guint32 pid;
  guint64 live_since;
  gchar name[HELIX_MAX_NAME + 1];

  /* what it asked for since the server looked; the server clears these */
  struct helix_config wish; /* fields = 0: nothing */
  struct helix_show show;   /* resource_id = 0: nothing */
  guint lists;              /* LISTs that wait for their answers */

  /* A process of the server's user or root's on this machine, by a UNIX socket
   * that was listened on: not a guest. Set by the server. */
  gboolean is_local;

  gboolean cursor_due; /* `cursor` is not what it was last told */

  /* private */
  const HelixStreamCursor *cursor; /* the server's */
  gboolean resync; /* the stream outlives sessions: scan, do not give up */
  gboolean blocked, shut;
  struct helix_reader reader;
  HelixProofRound proof; /* while PROVING */
  /* `opened`: since when it has not been live; ns, as the others */
  guint64 opened, last_read, last_write, last_ping, last_asked, closing;
  guint32 caps_id;     /* announced, 0 = none */
  gboolean owes_key;   /* needs_key follows when the backlog is out */
  gboolean asks_again; /* needs_key follows when KEYFRAME_NS are over */

  /* PINGs whose PONG is awaited, in order: it tells that the peer has read all
   * before the PING, wherever that lay: in two kernels, a virtio-serial port */
  struct {
    guint64 sent;  /* as in the PING */
    guint64 since; /* since when the units have waited that went next */
  } probes[HELIX_STREAM_SESSION_MAX_PROBES];
  guint n_probes;
  guint64 best_trip;  /* the quickest answer, ns; HELIX_NONE64: none yet */
  guint64 skipped_at; /* 0: never */
} HelixStreamSession;

/* Owns `fd` and `peer` from here on; `cursor` outlives it. */
HelixStreamSession *helix_stream_session_new (guint32 id, gint fd, gchar *peer,
    gboolean resync, const HelixStreamCursor *cursor, guint64 now);
void helix_stream_session_free (HelixStreamSession *self);

/* Reads and answers what has come, a bounded amount of it. */
void helix_stream_session_read (HelixStreamSession *self,
    const HelixStreamSessionPolicy *policy, guint64 now);

/* Whether units are for it. */
gboolean helix_stream_session_watches (const HelixStreamSession *self);

/* Queues a unit, CAPS before it if need be, or skips it. head->sent_ns is
 * now. */
void helix_stream_session_push (HelixStreamSession *self,
    const HelixStreamSessionPolicy *policy, HelixStreamOutboxUnit *unit,
    const struct helix_unit *head, const struct helix_caps *caps);

/* Sends what the socket takes now, at most `limit` bytes. */
void helix_stream_session_flush (
    HelixStreamSession *self, gsize limit, guint64 now);
gboolean helix_stream_session_pending (const HelixStreamSession *self);

/* Queues an answer. A peer that reads none of its answers goes. */
void helix_stream_session_say (
    HelixStreamSession *self, const guint8 *message, gsize size);
/* Whether it has read all answers so far. */
gboolean helix_stream_session_listens (const HelixStreamSession *self);

/* Deadlines and PING. Returns when to call again, in ns. */
guint64 helix_stream_session_tick (HelixStreamSession *self, guint64 now);

/* Sends BYE, or ERROR, and goes to CLOSING; where the stream outlives its
 * sessions, to GREETING. An ERROR that is not fatal changes nothing. */
void helix_stream_session_bye (
    HelixStreamSession *self, guint32 bye_reason, guint64 now);
void helix_stream_session_refuse (HelixStreamSession *self,
    enum helix_error_code code, enum helix_type refers, const gchar *text,
    guint64 now);
/* At once, without a last word: to DEAD. `reason` or NULL. */
void helix_stream_session_die (HelixStreamSession *self, const gchar *reason);

G_END_DECLS

#endif /* HELIX_STREAM_SESSION_H */

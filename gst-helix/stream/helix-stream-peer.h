/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One client's connection to the stream server: its sessions, what is still to
 * be sent, and when the client counts as dead. Does not know other peers.
 *
 * Lock: none; the server serialises all calls. Events are emitted within them.
 */
#ifndef HELIX_STREAM_PEER_H
#define HELIX_STREAM_PEER_H

#include <gst/gst.h>

#include "helix-histogram.h"
#include "helix-proof.h"
#include "helix-server.h"
#include "helix-writer.h"

G_BEGIN_DECLS

/* Bytes that may wait for a peer, beside the bound of its age: 0.4 s of
 * 160 Mbit/s. A lone larger unit is always accepted. */
#define HELIX_STREAM_PEER_MAX_BYTES (8u << 20)

/* PINGs under way that are remembered. */
#define HELIX_STREAM_PEER_MAX_PROBES 8

/* A unit's bytes, or those of a cursor's shape: shared between peers, never
 * copied. */
typedef struct {
  gint refs;
  GstBuffer *buffer;
  GstMapInfo map;
  guint64 arrived_ns; /* unit: helix_now_ns () when the server got it */
} HelixStreamUnit;

/* Takes a reference to the buffer. Returns NULL if it cannot be mapped. */
HelixStreamUnit *helix_stream_unit_new (GstBuffer *buffer);
/* `unit` may be NULL. */
void helix_stream_unit_unref (HelixStreamUnit *unit);

/* The cursor as it is now, for all peers. */
typedef struct {
  gboolean known;           /* one was ever seen */
  struct helix_cursor head; /* without HELIX_CURSOR_SHAPE */
  HelixStreamUnit *shape;   /* of head.serial; NULL: it has none */
} HelixStreamCursor;

typedef enum {
  HELIX_STREAM_PEER_BEGAN,     /* a session; peer->role says which kind */
  HELIX_STREAM_PEER_ENDED,     /* peer->reason says why, or is NULL */
  HELIX_STREAM_PEER_RESTARTED, /* ended by a HELLO: the next one begins */
  HELIX_STREAM_PEER_CONFIG,    /* data: struct helix_config */
  HELIX_STREAM_PEER_SHOW,      /* data: struct helix_show */
  HELIX_STREAM_PEER_REFUSED,   /* data: GError for a warning */
  HELIX_STREAM_PEER_SLOW,      /* too far behind again and again; told once */
} HelixStreamPeerEvent;

typedef struct _HelixStreamPeer HelixStreamPeer;

/* What all peers of a server share. */
typedef struct {
  const gchar *token; /* that clients must prove, or NULL */
  gboolean recover;   /* slow peers skip to a keyframe; else they are closed */
  guint64 max_age;    /* ns that a unit may wait for a peer */
  guint max_live[HELIX_ROLE_CONTROL + 1]; /* sessions, by role */
  HelixStreamCursor cursor;

  /* kept by the peers */
  guint n_live[HELIX_ROLE_CONTROL + 1]; /* sessions, by role */
  gboolean key_wanted;                  /* a keyframe is needed soon */
  guint64 sent_units, sent_bytes;       /* whole units, ever */
  guint64 dropped;                      /* units that a peer did not get */
  /* unit in -> last byte taken by a socket, ns */
  struct helix_histogram send;

  void (*event) (gpointer user, HelixStreamPeer *peer,
      HelixStreamPeerEvent event, gconstpointer data);
  gpointer user; /* for event () */
} HelixStreamHost;

typedef enum {
  HELIX_STREAM_PEER_OPEN,    /* server.state says how far it is */
  HELIX_STREAM_PEER_CLOSING, /* a last ERROR or BYE is on its way out */
  HELIX_STREAM_PEER_DEAD,    /* to be freed */
} HelixStreamPeerLife;

struct _HelixStreamPeer {
  /* read by the server */
  guint32 id; /* set by the server, for each session */
  gint fd;
  gchar *address;
  HelixStreamPeerLife life;
  struct helix_server server;
  guint32 role;       /* of the session: HELIX_ROLE_STREAM, or _CONTROL */
  gchar *reason;      /* why it ended, or NULL */
  gboolean waits_key; /* gets no unit before a key one */
  gboolean owes_key;  /* asks for a keyframe when the backlog is out */
  guint64 live_since; /* ns; 0: never */
  guint lists;        /* LISTs that wait for the server's answers */
  /* A process of the server's user or root's on this machine, by a UNIX socket
   * that was listened on: not a guest. Set by the server. */
  gboolean is_local;

  guint units;                    /* that wait, the one under way included */
  guint64 sent_units, sent_bytes; /* whole units, ever */
  guint64 dropped;                /* units that it did not get */
  guint64 skips;                  /* how often it was too far behind */
  guint64 last_unit;              /* when it got one, in ns; 0: never */
  struct helix_stats told;        /* last STATS, told.units = 0: none */
  struct helix_writer out;

  gboolean cursor_due; /* `host->cursor` is not what it was last told */

  /* private */
  HelixStreamHost *host;
  gboolean blocked, shut, slow, slow_told;
  struct helix_reader reader;
  HelixProofRound proof; /* while the token is proved */
  /* `opened`: since when there has been no session; ns, as the others */
  guint64 opened, last_read, last_write, last_ping, last_asked, closing;
  guint32 caps_id;       /* announced, 0 = none */
  guint32 cursor_serial; /* of the last shape that it has, 0 = none */
  gboolean asks_again;   /* asks for a keyframe when it may again */

  /* PINGs whose PONG is awaited, in order: it tells that the peer has read all
   * before the PING, wherever that lay: in two kernels, a virtio-serial port */
  struct {
    guint64 sent;  /* as in the PING */
    guint64 since; /* since when the units have waited that went next */
  } probes[HELIX_STREAM_PEER_MAX_PROBES];
  guint n_probes;
  guint64 best_trip;  /* the quickest answer, ns; HELIX_NONE64: none yet */
  guint64 skipped_at; /* 0: never */
};

/* Owns `fd` and `address` from here on. `host` outlives it. `lasts`: the stream
 * outlives its sessions. */
HelixStreamPeer *helix_stream_peer_new (HelixStreamHost *host, guint32 id,
    gint fd, gchar *address, gboolean lasts, guint64 now);
/* Emits nothing. */
void helix_stream_peer_free (HelixStreamPeer *self);

/* Whether it has a session; whether units are for it. */
gboolean helix_stream_peer_is_live (const HelixStreamPeer *self);
gboolean helix_stream_peer_watches (const HelixStreamPeer *self);

/* Reads and answers what has come, a bounded amount of it. */
void helix_stream_peer_read (HelixStreamPeer *self, guint64 now);

/* Queues a unit, CAPS before it if need be, or skips it. head->sent_ns is
 * now. */
void helix_stream_peer_push (HelixStreamPeer *self, HelixStreamUnit *unit,
    const struct helix_unit *head, const struct helix_caps *caps);

/* Sends what the socket takes now, at most `limit` bytes. */
void helix_stream_peer_flush (HelixStreamPeer *self, gsize limit, guint64 now);
gboolean helix_stream_peer_pending (const HelixStreamPeer *self);

/* Queues an answer. A peer that reads none of its answers is closed. */
void helix_stream_peer_say (
    HelixStreamPeer *self, const guint8 *message, gsize size);

/* Deadlines and PING. Returns when to call again, in ns. */
guint64 helix_stream_peer_tick (HelixStreamPeer *self, guint64 now);

/* Says BYE, or a fatal ERROR, and goes to CLOSING; where the stream lasts, only
 * the session ends. An ERROR that is not fatal changes nothing. */
void helix_stream_peer_bye (
    HelixStreamPeer *self, guint32 bye_reason, guint64 now);
void helix_stream_peer_refuse (HelixStreamPeer *self,
    enum helix_error_code code, guint32 refers, const gchar *text, guint64 now);
/* To DEAD, without a last word. `reason` or NULL. */
void helix_stream_peer_die (HelixStreamPeer *self, const gchar *reason);

G_END_DECLS

#endif /* HELIX_STREAM_PEER_H */

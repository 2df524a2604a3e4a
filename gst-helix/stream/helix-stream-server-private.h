/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The stream server's inside: helix-stream-server.c is its thread,
 * helix-stream-server-control.c what peers wish and ask,
 * helix-stream-server-feed.c what the element's threads call,
 * helix-stream-server-stats.c what can be known about it.
 */
#ifndef HELIX_STREAM_SERVER_PRIVATE_H
#define HELIX_STREAM_SERVER_PRIVATE_H

#include <pthread.h>

#include "helix-stream-server.h"
#include "helix-stream-session.h"
#include "helix-transport.h"

G_BEGIN_DECLS

/* Bytes that the thread sends before push () may have the lock again: about
 * 20 us of copying. */
#define TURN_BYTES (128 * 1024)

typedef enum {
  HELIX_STREAM_NOTE_ADDED,
  HELIX_STREAM_NOTE_REMOVED,
  HELIX_STREAM_NOTE_KEYFRAME,
  HELIX_STREAM_NOTE_WISH,
  HELIX_STREAM_NOTE_SHOW,
  HELIX_STREAM_NOTE_PROBLEM,
  HELIX_STREAM_NOTE_FATAL,
} HelixStreamNoteKind;

/* A callback to make once the lock is free. */
typedef struct {
  HelixStreamNoteKind kind;
  guint id;
  gchar *text;
  GError *error;
  struct helix_config wish;
  struct helix_show show;
} HelixStreamNote;

/* One field of CONFIG: the newest value, and whose it is. */
typedef struct {
  gboolean waits;
  guint id;
  guint64 order; /* grows: who came last */
} HelixStreamWish;

/* HELIX_CONFIG_BITRATE, _RATE, _SCANOUT, _RESOURCE: bit i is field i. */
#define HELIX_STREAM_N_WISHES 4

struct _HelixStreamServer {
  HelixStreamServerCallbacks callbacks;
  gpointer user;
  HelixAddress *address;
  HelixListener *listener; /* NULL: connect mode */
  GCancellable *cancel;
  gchar *token;
  guint max_clients;
  gboolean recover;
  guint64 max_age; /* ns */
  pthread_t thread;
  int wakeup[2];

  /* all below: under `lock`; the thread alone adds and removes sessions */
  pthread_mutex_t lock;
  pthread_cond_t drained;
  gboolean stop, interrupted;
  GPtrArray *sessions;
  GQueue notes;
  guint32 next_id;

  struct helix_caps caps; /* caps_id 0: none yet */
  guint64 sequence;
  gboolean key_wanted, key_asked;
  guint64 key_asked_at;
  guint units_since_asked;

  /* what peers wish, and when the next of it may be told */
  gboolean obeys;
  struct helix_config wish;
  HelixStreamWish wishes[HELIX_STREAM_N_WISHES];
  guint64 wish_order, wish_at;
  struct helix_show show; /* resource_id 0: none waits */
  guint show_id;
  guint shower_id; /* whose SHOW had the last word on the picture, 0 = none */
  guint64 show_at;

  HelixStreamCursor cursor;
  gchar *description;

  guint64 accept_at; /* 0: at any time */
  guint64 dial_at, dial_gap;
  gboolean outage_told, dial_failed;
  guint64 problem_at;

  guint64 started, last_unit; /* ns; last_unit 0: none yet */
  guint32 encode_us; /* of the newest unit of a new picture, 0 = not known */
  guint64 units, bytes, keyframes, asked, joined, rejected, rejoined;
  guint64 gone_units, gone_bytes, gone_dropped; /* of sessions that went */
  /* raw picture out -> unit in; unit in -> last byte taken by a socket;
   * captured -> unit in */
  struct helix_histogram encode, send, latency;
};

/* All under the lock. Live sessions of that role; what they are measured by;
 * whether all that was queued is out. */
guint helix_stream_server_live (HelixStreamServer *self, guint32 role);
HelixStreamSessionPolicy helix_stream_server_policy (HelixStreamServer *self);
gboolean helix_stream_server_drained (HelixStreamServer *self);

/* Queues a callback; fill in what belongs to its kind. */
HelixStreamNote *helix_stream_server_note (HelixStreamServer *self,
    HelixStreamNoteKind kind, guint id, const gchar *text);

/* Takes over what the session wishes and asks, whatever became of it since. */
void helix_stream_server_heed (
    HelixStreamServer *self, HelixStreamSession *session, guint64 now);
/* A session ends. If what it showed is still what is to be seen, the scanout
 * comes back: a peer that was killed cannot ask for that. */
void helix_stream_server_forget (HelixStreamServer *self, guint id);
/* Tells what is due of it. Returns when the next is. */
guint64 helix_stream_server_tick_wishes (HelixStreamServer *self, guint64 now);
/* Units that were meant for peers and did not go, ever. */
guint64 helix_stream_server_dropped (HelixStreamServer *self);

G_END_DECLS

#endif /* HELIX_STREAM_SERVER_PRIVATE_H */

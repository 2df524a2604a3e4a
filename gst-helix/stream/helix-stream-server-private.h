/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The stream server's inside: helix-stream-server.c is its thread,
 * helix-stream-server-feed.c what the element's threads call.
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

struct _HelixStreamServer {
  HelixStreamServerCallbacks callbacks;
  gpointer user;
  HelixAddress *address;
  HelixListener *listener; /* NULL: connect mode */
  GCancellable *cancel;
  gchar *token;
  guint max_clients;
  gboolean recover;
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

  guint64 dial_at, dial_gap;
  gboolean outage_told, dial_failed;
  guint64 problem_at;

  guint64 units, bytes, keyframes, asked, joined, rejected;
  guint64 gone_units, gone_bytes, gone_dropped; /* of sessions that went */
};

/* All under the lock. Live sessions; what they are measured by; whether all
 * that was queued is out. */
guint helix_stream_server_live (HelixStreamServer *self);
HelixStreamSessionPolicy helix_stream_server_policy (HelixStreamServer *self);
gboolean helix_stream_server_drained (HelixStreamServer *self);

G_END_DECLS

#endif /* HELIX_STREAM_SERVER_PRIVATE_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A stream server, what it reported, and its peers: for all of its tests.
 */
#ifndef STREAM_SERVED_H
#define STREAM_SERVED_H

#include <glib.h>
#include <pthread.h>

#include "helix-stream-server.h"
#include "stream-peer.h"

/* A SHOW of this one is refused. */
#define SERVED_NO_RESOURCE 666

/* More connections than served_start () has places of any kind. */
#define SERVED_CROWD \
  (HELIX_STREAM_SERVER_MAX_STRANGERS + 4 + HELIX_STREAM_SERVER_MAX_CONTROL + 1)

/* The server of the test and what it reported. Read it by AWAIT and
 * served_now. */
struct served {
  /* POSIX, not GLib: ThreadSanitizer sees these. */
  pthread_mutex_t lock;
  pthread_cond_t changed;
  guint added, removed, keyframes, requests, shows, problems;
  gboolean fatal_problem;
  gchar *last_reason, *last_problem;
  struct helix_config last_request;
  struct helix_show last_show;
  gchar *folder, *path; /* of the socket that it serves or connects to */
  gint listener;        /* of served_connect () */
  HelixStreamServer *server;
};

extern struct served served;

/* The peer that most tests have; the fixture clears it. */
extern StreamPeer peer;

/* Checked fixtures: no server yet, none left. */
void served_setup (void);
void served_teardown (void);

void served_start_with (
    gboolean listen, const gchar *token, guint max, gboolean recover);
/* Listens, takes four clients, recovers slow ones by keyframes. */
void served_start (void);
/* Connects to `peer`, and takes `max` clients. */
void served_connect (const gchar *token, guint max);
void served_stop (void);
void served_set_caps (void);
/* A unit of `size` bytes, the first four of which are its number. */
void served_push (guint32 number, gboolean key, gsize size);
guint32 served_number_of (const StreamPeer *peer);
/* HELLO, and WELCOME is next. */
void served_hello (StreamPeer *peer);
/* A new client, welcomed. */
void served_join (StreamPeer *peer);
/* Asks for a LIST and takes the answer: what the peer said before was read. */
void served_list (StreamPeer *peer);
/* A field of the statistics of client `index`. */
guint64 served_client_stat (guint index, const gchar *field);

/* Waits until served.`count` is `wanted`, which it must not pass. */
void served_await (const guint *count, guint wanted, const gchar *what);
#define AWAIT(count, wanted) served_await (&served.count, wanted, #count)
void served_await_at_least (
    const guint *count, guint wanted, const gchar *what);
/* A counter, under the lock. */
guint served_now (const guint *count);

#endif /* STREAM_SERVED_H */

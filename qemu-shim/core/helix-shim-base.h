/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The struct that all files of the core share, its log and its counters.
 *
 *   serve         both: made, listening, timers, stopped (helix-shim.h)
 *   client        io: a connection, its messages, and what is pending for it
 *   display       display: what subscriptions show, damage, passes
 *   frame         display: fills slots, by copies and readbacks
 *   subscription  both: slots and credit of one client's channel
 *   screen        both: scanouts, cursors, requests of clients for scanouts
 *   memory        both: slots' memory
 *   outbox        both: what a client is still to be sent
 *   base          both
 *
 * A file includes and calls what is below it, never what is above; io and
 * display files do not know each other. Only subscription and screen take the
 * lock.
 *
 * Comments name the owner of each field: [io] and [display], the only thread
 * that touches it; [lock], guarded by shim->lock; [turn], by that of the
 * client's outbox; [const], set before the second thread can see it.
 */
#ifndef HELIX_SHIM_BASE_H
#define HELIX_SHIM_BASE_H

#include <pthread.h>

#include <glib.h>

#include "helix-registry.h"
#include "helix-server.h"
#include "helix-shim.h"
#include "helix-unix-listener.h"

struct helix_shim_memory;
struct helix_shim_shape;

/* A log line, at most, and how many a second: a flood of bad clients must
 * not become a flood of lines. */
#define HELIX_SHIM_LOG_LINE 512u           /* bytes */
#define HELIX_SHIM_LOG_BURST 40u           /* lines */
#define HELIX_SHIM_LOG_EVERY_NS 200000000u /* ns a line after that */

struct helix_shim_scanout {
  struct helix_surface surface; /* resource_id 0 = off */
  uint32_t generation;          /* 0 = was never on */
  uint32_t serial;              /* +1 at each change worth a SCANOUT */
};

/* A scanout's cursor plane. */
struct helix_shim_plane {
  struct helix_shim_shape *shape; /* NULL = there was none yet */
  bool visible;
  int32_t x, y;
  uint64_t changed_ns; /* helix_now_ns () time */
  uint64_t version;    /* +1 at each change worth a CURSOR */
};

/* A client's SET_SCANOUT, one for each scanout: a newer one replaces one that
 * is not applied yet. */
struct helix_shim_request {
  bool pending;
  struct helix_set_scanout set;
  uint64_t client;  /* number of the client that asked */
  uint64_t refused; /* number of the client to be told `why`, 0 = none */
  const char *why;
};

struct helix_shim {
  /* [const] */
  struct helix_shim_config config; /* its path and name are owned */
  char *too_large;                 /* why a picture is not exported */
  struct helix_display_ops display;
  void *display_opaque;
  struct helix_loop_ops loop;
  void *loop_opaque;

  pthread_mutex_t lock;
  /* [lock]; scanouts and cursors are written by the display thread only */
  struct helix_shim_scanout scanout[HELIX_MAX_SCANOUTS];
  struct helix_shim_plane cursor[HELIX_MAX_SCANOUTS];
  struct helix_shim_request request[HELIX_MAX_SCANOUTS];
  GPtrArray *fresh; /* subscriptions that no pass has seen yet */

  pthread_mutex_t log_lock;
  struct helix_bucket log_bucket; /* under log_lock, as is log_dropped */
  uint32_t log_dropped;

  /* atomic */
  struct helix_shim_memory *unused; /* for the io thread to free */
  uint64_t memory_bytes;            /* of all slots that there are */
  uint32_t cursor_watchers;         /* subscriptions with a cursor */
  bool serve;                       /* the socket is to be ours */
  uint64_t last_frame_ns;           /* sent; 0 = none yet */
  struct helix_shim_stats stats;

  /* [io] */
  struct helix_unix_listener listener;
  GPtrArray *clients;              /* in the order in which they connected */
  uint64_t accept_again_ns;        /* after EMFILE; HELIX_NONE64 = accepting */
  uint64_t accept_told_ns;         /* when that may be told again */
  uint64_t listen_again_ns;        /* not before, while `serve` */
  uint64_t listen_tell_ns;         /* that it fails; 0 = it does not,
                                    * HELIX_NONE64 = that has been told */
  uint64_t last_number;            /* of a client */
  uint64_t born_ns;                /* listening since */
  char entry[HELIX_REGISTRY_PATH]; /* among the running VMs; empty = none */
  bool stopped;

  /* [display] */
  /* What a scanout shows that is not exported; why = NULL: there is none. */
  struct {
    uint32_t resource_id;
    const char *why;
  } unusable[HELIX_MAX_SCANOUTS];
  struct helix_surface told_unusable; /* the last one that was logged */
  /* Subscriptions that passes serve. The next pass frees closed ones. */
  GPtrArray *subscriptions;
  GPtrArray *pending;    /* helix_shim_readback: read () said PENDING */
  uint64_t pass_ns;      /* when this pass began */
  bool pass_read;        /* this pass completed a readback */
  uint64_t pass_held_ns; /* what held the thread up for it before */
  struct helix_readback *pass_began; /* the last one that is pending of it */
  bool may_read;                     /* this pass may do so */
  uint64_t display_deadline_ns;      /* of display_timer */
};

#define helix_shim_count(shim, field, n) \
  __atomic_fetch_add (&(shim)->stats.field, (n), __ATOMIC_RELAXED)

/* Any thread. */
void helix_shim_log (struct helix_shim *shim, enum helix_log_level level,
    const char *format, ...) G_GNUC_PRINTF (3, 4);
void helix_shim_wake_io (struct helix_shim *shim);
void helix_shim_wake_display (struct helix_shim *shim);

#endif /* HELIX_SHIM_BASE_H */

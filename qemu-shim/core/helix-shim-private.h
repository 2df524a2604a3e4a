/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of the core share. Comments name the owner of each field:
 * [io] the io thread, [display] the display thread, [lock] whoever holds
 * shim->lock, [const] set before the second thread can see it.
 */
#ifndef HELIX_SHIM_PRIVATE_H
#define HELIX_SHIM_PRIVATE_H

#include <pthread.h>

#include <glib.h>

#include "helix-cursor.h"
#include "helix-memory.h"
#include "helix-registry.h"
#include "helix-shim.h"
#include "helix-unix-listener.h"
#include "helix-wish.h"

struct helix_session;
struct helix_subscription;

/* A log line, at most, and how many a second: a flood of bad clients must
 * not become a flood of lines. */
#define HELIX_LOG_LINE 512u           /* bytes */
#define HELIX_LOG_BURST 40u           /* lines */
#define HELIX_LOG_EVERY_NS 200000000u /* ns a line after that */

struct helix_shim_scanout {
  struct helix_surface surface; /* resource_id 0 = off */
  uint32_t generation;          /* 0 = was never on */
  uint32_t serial;              /* +1 at each change worth a SCANOUT */
};

struct helix_shim {
  /* [const] */
  struct helix_shim_config config;
  char *path, *name;
  char *too_large; /* the sentence for a picture that is */
  struct helix_display_ops display;
  void *display_opaque;
  struct helix_loop_ops loop;
  void *loop_opaque;

  pthread_mutex_t lock;
  /* [lock]; scanouts are written by the display thread only */
  struct helix_shim_scanout scanout[HELIX_MAX_SCANOUTS];
  struct helix_plane cursor[HELIX_MAX_SCANOUTS]; /* likewise */
  struct helix_wish wish[HELIX_MAX_SCANOUTS];
  GPtrArray *subscriptions;  /* each with a reference */
  struct helix_memory *dead; /* for the io thread to free */
  uint32_t log_tokens, log_dropped;
  uint64_t log_time;

  /* atomic */
  uint32_t watched;         /* subscriptions, for helix_shim_idle */
  uint32_t cursor_watchers; /* those with a cursor */
  bool wishes;              /* one of `wish` is to be obeyed */
  bool refusals;            /* one was refused, some time */
  bool serve;               /* the socket is to be ours */
  struct helix_shim_stats stats;

  /* [io] */
  struct helix_unix_listener listener;
  GPtrArray *sessions;
  uint64_t accept_again_ns;        /* after EMFILE; HELIX_NONE64 = accepting */
  uint64_t accept_told_ns;         /* when that may be told again */
  uint64_t listen_again_ns;        /* not before, while `serve` */
  uint64_t listen_failed_ns;       /* since when; 0 = it does not */
  bool listen_told;                /* that it fails */
  uint64_t next_session;           /* for log lines */
  uint64_t born_ns;                /* listening since */
  uint64_t last_frame_ns;          /* sent; 0 = none yet */
  char entry[HELIX_REGISTRY_PATH]; /* among the running VMs; empty = none */
  bool stopped;

  /* [display] */
  /* What a scanout shows that is not exported; why = NULL: there is none. */
  struct helix_unusable {
    uint32_t resource_id;
    const char *why;
  } unusable[HELIX_MAX_SCANOUTS];
  struct helix_surface told_unusable; /* the last one that was logged */
  GPtrArray *pass; /* subscriptions seen by this pass, referenced */
  bool may_read;   /* this pass may read the screen */
  uint64_t pass_number;
  uint64_t deadline; /* of display_timer */
};

#define helix_count(shim, field, n) \
  __atomic_fetch_add (&(shim)->stats.field, (n), __ATOMIC_RELAXED)
#define helix_uncount(shim, field) \
  __atomic_fetch_sub (&(shim)->stats.field, 1, __ATOMIC_RELAXED)

void helix_shim_log (struct helix_shim *shim, enum helix_log_level level,
    const char *format, ...) G_GNUC_PRINTF (3, 4);
/* Io thread: sets io_timer to the nearest deadline there is. */
void helix_shim_schedule (struct helix_shim *shim);
/* Display thread: a resource's whole surface. false: none that is exported;
 * *why = a sentence that lives as long as the shim. */
bool helix_display_resource (struct helix_shim *shim, uint32_t resource_id,
    struct helix_surface *surface, const char **why);
/* Any thread: drop a reference; the io thread frees. */
void helix_shim_drop_memory (
    struct helix_shim *shim, struct helix_memory *memory);

#endif /* HELIX_SHIM_PRIVATE_H */

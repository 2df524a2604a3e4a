/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A client: its messages, its subscriptions, and what is pending for it. Io
 * thread only.
 */
#ifndef HELIX_SHIM_CLIENT_H
#define HELIX_SHIM_CLIENT_H

#include "helix-shim-peer.h"
#include "helix-shim-screen.h"
#include "helix-shim-subscription.h"

#define HELIX_SHIM_MAX_CHANNELS 16u             /* subscriptions of a client */
#define HELIX_SHIM_MAX_POOL_BYTES (2ull << 30)  /* memory of a client */
#define HELIX_SHIM_MAX_UNREAD_POOLS 32u         /* given up, perhaps unread */
#define HELIX_SHIM_SUBSCRIBE_BURST 64u          /* SUBSCRIBEs at once, */
#define HELIX_SHIM_SUBSCRIBE_EVERY_NS 31250000u /* then 32 a second */

struct helix_shim_channel {
  struct helix_shim_subscription *subscription; /* NULL = not in use */
  uint16_t number;
  struct helix_shim_memory *coming; /* gets its pages; NULL = none */
  uint64_t sequence;                /* of the last frame */
  bool answered;                    /* the first SCANOUT is queued */
  struct helix_shim_seen_cursor cursor;
};

struct helix_shim_client {
  struct helix_shim_peer peer;       /* the first: on_ready () gets it */
  uint32_t seen[HELIX_MAX_SCANOUTS]; /* serial of the last SCANOUT sent */
  bool seen_any;
  struct helix_shim_channel channel[HELIX_SHIM_MAX_CHANNELS];
  uint32_t last_pool;
  uint64_t fill_budget; /* bytes of new memory, until its next run */
  /* Pools that no subscription has any more, but whose POOL the client may
   * still have to read: so long, the descriptor in it keeps the memory. */
  uint32_t unread_pools;
  uint64_t unread_bytes;
  struct helix_bucket subscribes; /* and SET_SCANOUTs */
  uint64_t frames;                /* sent */
  uint64_t dropped;               /* by subscriptions that are closed */
  uint64_t last_frame_ns;         /* sent; 0 = none yet */
};

/* Takes `fd` over. The caller adds it to shim->clients. */
struct helix_shim_client *helix_shim_client_new (
    struct helix_shim *shim, int fd, pid_t pid);
void helix_shim_client_free (struct helix_shim_client *client);
/* A turn: reads what has come, if anything, queues what is pending, writes. */
void helix_shim_client_turn (struct helix_shim_client *client);
/* A turn of the io thread: keeps the deadlines instead of reading, and gives
 * the client up to HELIX_SHIM_FILL_AT_ONCE bytes of memory. */
void helix_shim_client_run (struct helix_shim_client *client, uint64_t now);

#endif /* HELIX_SHIM_CLIENT_H */

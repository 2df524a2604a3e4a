/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A client: its connection, messages and subscriptions, and what is pending
 * for it. Io thread only; but the display thread, too, sends by `out`, and has
 * its side of the subscriptions.
 */
#ifndef HELIX_SHIM_CLIENT_H
#define HELIX_SHIM_CLIENT_H

#include "helix-shim-base.h"
#include "helix-shim-outbox.h"
#include "helix-shim-subscription.h"

#define HELIX_SHIM_MAX_CHANNELS 16u             /* subscriptions of a client */
#define HELIX_SHIM_MAX_POOL_BYTES (2ull << 30)  /* memory of a client */
#define HELIX_SHIM_MAX_UNREAD_POOLS 32u         /* given up, perhaps unread */
#define HELIX_SHIM_SUBSCRIBE_BURST 64u          /* SUBSCRIBEs at once, */
#define HELIX_SHIM_SUBSCRIBE_EVERY_NS 31250000u /* then 32 a second */

/* All times in ns. */
#define HELIX_SHIM_HELLO_NS 5000000000u  /* for HELLO to come */
#define HELIX_SHIM_IDLE_NS 2000000000u   /* without a byte: PING */
#define HELIX_SHIM_DEAD_NS 6000000000u   /* without a byte: gone */
#define HELIX_SHIM_LINGER_NS 1000000000u /* for the last ERROR to go out */

/* Bytes of control messages that wait. Beyond, nothing is read from the client
 * and nothing that is pending is queued. */
#define HELIX_SHIM_QUEUE_LIMIT (64u << 10)

struct helix_shim_client {
  /* its connection */
  struct helix_shim *shim;
  struct helix_shim_outbox out;
  uint64_t number; /* for log lines */
  pid_t pid;       /* 0 = unknown */
  struct helix_server server;
  bool dead; /* to be freed */
  bool watching_read, watching_write;
  struct helix_reader reader;
  uint64_t born_ns, heard_ns, pinged_ns;
  uint64_t closing_ns; /* since then it only writes what is left; 0 = no end */

  /* what it watches */
  uint32_t seen[HELIX_MAX_SCANOUTS]; /* serial of the last SCANOUT, + 1 */
  struct helix_shim_subscription *channel[HELIX_SHIM_MAX_CHANNELS];
  uint32_t last_pool;
  uint64_t fill_budget; /* bytes of new memory, until its next run */
  /* Pools that no subscription has any more, but whose POOL the client may
   * still have to read: so long, the descriptor in it keeps the memory. */
  uint32_t unread_pools;
  uint64_t unread_bytes;
  struct helix_bucket subscribes; /* and SET_SCANOUTs */
  uint64_t dropped;               /* by subscriptions that are closed */
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
/* When the next run is due. */
uint64_t helix_shim_client_deadline (const struct helix_shim_client *client);
/* HELLO was answered, and the end has not begun. */
bool helix_shim_client_is_open (const struct helix_shim_client *client);
/* HELIX_SHIM_QUEUE_LIMIT is reached. */
bool helix_shim_client_is_full (const struct helix_shim_client *client);
/* An ERROR; if its code is fatal, on channel 0, and the end behind it.
 * `refers`: type at fault. */
void helix_shim_client_error (struct helix_shim_client *client,
    uint16_t channel, enum helix_error_code code, uint32_t refers,
    const char *format, ...) G_GNUC_PRINTF (5, 6);
/* BYE, as far as the socket takes it at once, and the end. */
void helix_shim_client_dismiss (
    struct helix_shim_client *client, const char *why);

#endif /* HELIX_SHIM_CLIENT_H */

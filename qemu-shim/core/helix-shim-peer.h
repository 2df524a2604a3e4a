/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One client's connection: descriptor, reader, queue, deadlines, its end, and
 * the conversation that all servers share (helix-server.h). Io thread only.
 */
#ifndef HELIX_SHIM_PEER_H
#define HELIX_SHIM_PEER_H

#include "helix-shim-base.h"
#include "helix-writer.h"

/* All times in ns. */
#define HELIX_SHIM_HELLO_NS 5000000000u  /* for HELLO to come */
#define HELIX_SHIM_IDLE_NS 2000000000u   /* without a byte: PING */
#define HELIX_SHIM_DEAD_NS 6000000000u   /* without a byte: gone */
#define HELIX_SHIM_LINGER_NS 1000000000u /* for the last ERROR to go out */

/* Bytes of control messages that wait. Beyond, nothing is read from the client
 * and nothing that is pending is queued. */
#define HELIX_SHIM_QUEUE_LIMIT (64u << 10)

struct helix_shim_peer;

/* What is above the connection. */
struct helix_shim_peer_ops {
  /* A turn begins: nothing was queued since the last one ended. */
  void (*begin) (struct helix_shim_peer *peer);
  /* peer->reader has a message of an open session. */
  void (*message) (struct helix_shim_peer *peer);
  /* The session is open: queue what is pending. */
  void (*pending) (struct helix_shim_peer *peer);
  /* No message comes any more, and none is wanted. May come twice. */
  void (*end) (struct helix_shim_peer *peer);
};

struct helix_shim_peer {
  struct helix_shim *shim;
  const struct helix_shim_peer_ops *ops;
  int fd;
  uint64_t number; /* for log lines */
  pid_t pid;       /* 0 = unknown */
  struct helix_server server;
  bool closing; /* reads no more, writes what is left */
  bool dead;    /* to be freed */
  bool watching_read, watching_write;
  struct helix_reader reader;
  struct helix_writer writer;
  uint64_t born_ns, heard_ns, pinged_ns, closing_ns;
};

/* Takes `fd` over. */
void helix_shim_peer_init (struct helix_shim_peer *peer,
    struct helix_shim *shim, int fd, pid_t pid,
    const struct helix_shim_peer_ops *ops);
/* With ops->end called. */
void helix_shim_peer_fini (struct helix_shim_peer *peer);

/* HELLO was answered, and the end has not begun. */
bool helix_shim_peer_is_open (const struct helix_shim_peer *peer);
/* Keeps the deadlines, queues what is pending, writes. */
void helix_shim_peer_run (struct helix_shim_peer *peer, uint64_t now);
/* Reads what has come, if anything; an end that has begun goes on. */
void helix_shim_peer_read (struct helix_shim_peer *peer);
/* When helix_shim_peer_run has to be called next. */
uint64_t helix_shim_peer_deadline (const struct helix_shim_peer *peer);

bool helix_shim_peer_is_full (const struct helix_shim_peer *peer);
void helix_shim_peer_send (
    struct helix_shim_peer *peer, const uint8_t *message, size_t size);
/* An ERROR that ends nothing. `refers`: type at fault. */
void helix_shim_peer_complain (struct helix_shim_peer *peer, uint16_t channel,
    enum helix_error_code code, uint32_t refers, const char *format, ...)
    G_GNUC_PRINTF (5, 6);
/* An ERROR, and the end behind it. */
void helix_shim_peer_fail (struct helix_shim_peer *peer,
    enum helix_error_code code, uint32_t refers, const char *format, ...)
    G_GNUC_PRINTF (4, 5);
/* BYE, as far as the socket takes it at once, and the end. */
void helix_shim_peer_dismiss (struct helix_shim_peer *peer, const char *why);

#endif /* HELIX_SHIM_PEER_H */

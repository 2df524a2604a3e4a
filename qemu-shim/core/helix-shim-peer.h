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

struct helix_shim_peer {
  struct helix_shim *shim;
  void (*ready) (void *peer); /* the socket can be read or written */
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
    struct helix_shim *shim, int fd, pid_t pid, void (*ready) (void *peer));
void helix_shim_peer_fini (struct helix_shim_peer *peer);

/* HELLO was answered, and the end has not begun. */
bool helix_shim_peer_is_open (const struct helix_shim_peer *peer);
/* Reads on, as often as *reads says, and takes that off there. true: the
 * reader has a message for the caller, of an open session. false: there is
 * nothing more to read now, or ever. */
bool helix_shim_peer_next (struct helix_shim_peer *peer, unsigned *reads);
/* Ends every turn: writes, and goes on with an end that has begun. */
void helix_shim_peer_flush (struct helix_shim_peer *peer);
/* PING, or the end. */
void helix_shim_peer_keep_deadlines (
    struct helix_shim_peer *peer, uint64_t now);
/* When that has to be called next. */
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

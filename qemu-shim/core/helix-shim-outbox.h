/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What one client is still to be sent, and the descriptor to send it by.
 *
 * The io thread holds `turn` while it deals with the client. The display thread
 * only tries it: if the io thread does not hold it and nothing waits, it sends
 * a FRAME itself, and the io thread need not wake up for it.
 *
 * Lock: `turn` goes before shim->lock. The display thread tries `turn` under
 * shim->lock, which cannot block.
 */
#ifndef HELIX_SHIM_OUTBOX_H
#define HELIX_SHIM_OUTBOX_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "helix-writer.h"

struct helix_shim_outbox {
  pthread_mutex_t turn;
  /* [turn] */
  int fd;
  struct helix_writer writer;
  /* atomic */
  uint64_t frames;        /* FRAMEs that were queued */
  uint64_t last_frame_ns; /* the last one; 0 = none yet */
};

/* Takes `fd` over. */
void helix_shim_outbox_init (struct helix_shim_outbox *outbox, int fd);
/* Closes the descriptor, drops what waits. */
void helix_shim_outbox_clear (struct helix_shim_outbox *outbox);
/* A control message, behind those that wait. Lock: turn. */
void helix_shim_outbox_add (
    struct helix_shim_outbox *outbox, const uint8_t *message, size_t size);
/* Sends what the socket takes without waiting. Returns false, with errno set,
 * if the connection is broken: what waits stays. Lock: turn. */
bool helix_shim_outbox_flush (struct helix_shim_outbox *outbox);

#endif /* HELIX_SHIM_OUTBOX_H */

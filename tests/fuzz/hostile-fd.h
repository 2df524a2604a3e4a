/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Descriptors that a server may send as its pool's memory, of which a client
 * takes the first kind only.
 */
#ifndef HOSTILE_FD_H
#define HOSTILE_FD_H

#include <stdbool.h>
#include <stddef.h>

enum hostile_fd {
  HOSTILE_FD_GOOD,     /* sealed, with all its pages */
  HOSTILE_FD_UNSEALED, /* can be cut off: ftruncate () it */
  HOSTILE_FD_WRITABLE, /* holes can be punched into it */
  HOSTILE_FD_SPARSE,   /* sealed, without a page */
  HOSTILE_FD_HUGE,     /* sealed, of hugetlbfs, without a page */
  HOSTILE_FD_FILE,     /* unlinked */
  HOSTILE_FD_PIPE,
  HOSTILE_FD_SOCKET,
  HOSTILE_FD_DIRECTORY,
  HOSTILE_FD_DEVICE,
  HOSTILE_FD_KINDS
};

/* -1: this system has no such thing. Close it. */
int hostile_fd_open (enum hostile_fd kind, size_t size);
/* Sends the bytes with `fd` twice. false: they could not be sent, or not all
 * of them. */
bool hostile_fd_send_two (int socket, const void *bytes, size_t size, int fd);

#endif /* HOSTILE_FD_H */

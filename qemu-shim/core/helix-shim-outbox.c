/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Both threads, but for init and clear: the one that has the turn. */
#include "helix-shim-outbox.h"

#include <errno.h>
#include <unistd.h>

#include "helix-platform.h"

/* Pieces of messages that go by one system call. */
#define PIECES_AT_ONCE 16

void
helix_shim_outbox_init (struct helix_shim_outbox *self, int fd)
{
  pthread_mutex_init (&self->turn, NULL);
  self->fd = fd;
  helix_writer_init (&self->writer);
}

void
helix_shim_outbox_clear (struct helix_shim_outbox *self)
{
  helix_writer_clear (&self->writer);
  close (self->fd);
  pthread_mutex_destroy (&self->turn);
}

void
helix_shim_outbox_add (
    struct helix_shim_outbox *self, const uint8_t *message, size_t size)
{
  helix_writer_add (&self->writer, HELIX_WRITER_CONTROL, message, size, NULL);
}

bool
helix_shim_outbox_flush (struct helix_shim_outbox *self)
{
  while (helix_writer_pending (&self->writer)) {
    struct iovec iov[PIECES_AT_ONCE];
    int pass = -1;
    int n =
        helix_writer_iov (&self->writer, iov, PIECES_AT_ONCE, SIZE_MAX, &pass);
    ssize_t sent = helix_send (self->fd, iov, n, pass);

    if (sent >= 0)
      helix_writer_sent (&self->writer, (size_t) sent);
    else if (errno == EAGAIN || errno == EWOULDBLOCK)
      return true;
    else if (errno != EINTR)
      return false;
  }
  return true;
}

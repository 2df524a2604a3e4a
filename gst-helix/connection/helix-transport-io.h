/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Read and write on a descriptor of a transport, be it socket or device.
 */
#ifndef HELIX_TRANSPORT_IO_H
#define HELIX_TRANSPORT_IO_H

#include <errno.h>
#include <glib.h>
#include <unistd.h>

#include "helix-platform.h"

G_BEGIN_DECLS

/* As writev, without SIGPIPE. */
static inline gssize
helix_transport_write (gint fd, const struct iovec *iov, gint n)
{
  gssize sent = helix_send (fd, iov, n, -1);

  /* Only sockets can keep SIGPIPE away, and only they would raise it. */
  if (sent < 0 && errno == ENOTSOCK)
    do
      sent = writev (fd, iov, n);
    while (sent < 0 && errno == EINTR);
  return sent;
}

/* As read; descriptors that a peer passes along are closed. */
static inline gssize
helix_transport_read (gint fd, void *data, gsize size)
{
  gssize got = helix_recv (fd, data, size, NULL);

  if (got < 0 && errno == ENOTSOCK)
    do
      got = read (fd, data, size);
    while (got < 0 && errno == EINTR);
  return got;
}

G_END_DECLS

#endif /* HELIX_TRANSPORT_IO_H */

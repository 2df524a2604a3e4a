/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-transport-private.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gst/gst.h>

#include "helix-platform.h"

#define BACKLOG 16

#define NO_VSOCK_REMEDY \
  "vsock needs Linux at both ends: load vhost_vsock on the host, give the " \
  "machine a vhost-vsock device, or use tcp: or serial:"

static gint
vsock_socket (const HelixAddress *address, GError **error)
{
  gint domain = helix_vsock_domain ();
  gint fd = -1;

  errno = EAFNOSUPPORT;
  if (domain >= 0)
    fd = helix_socket (domain);
  if (fd < 0)
    helix_transport_fail (error, address, errno,
        "this system has no vsock sockets", NO_VSOCK_REMEDY);
  return fd;
}

static gboolean
vsock_listen (HelixListener *self, const HelixAddress *address,
    HelixAdmit admit, GCancellable *cancel, GError **error)
{
  gint number;
  gint fd;

  if (admit == HELIX_ADMIT_OWN) {
    helix_transport_too_open (
        error, address, "every virtual machine of this host");
    return FALSE;
  }
  fd = vsock_socket (address, error);
  if (fd < 0)
    return FALSE;
  if (helix_vsock_bind (fd, address->cid, address->port) == 0
      && listen (fd, BACKLOG) == 0) {
    self->fds[self->n_fds++] = fd;
    self->port = address->port;
    return TRUE;
  }
  number = errno;
  close (fd);
  if (number == EADDRINUSE)
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_BUSY,
        "%s: cannot listen on port %u: %s. Stop the program that has the "
        "port, or choose another one.",
        address->text, address->port, g_strerror (number));
  else
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_OPEN_READ_WRITE,
        "%s: cannot listen: %s. Listen on vsock:any:PORT; " NO_VSOCK_REMEDY ".",
        address->text, g_strerror (number));
  return FALSE;
}

static gint
vsock_connect (const HelixAddress *address, GCancellable *cancel,
    gint timeout_ms, GError **error)
{
  gint fd = vsock_socket (address, error);
  gint number;

  if (fd < 0)
    return -1;
  number =
      helix_vsock_connect (fd, address->cid, address->port) < 0 ? errno : 0;
  if (number == EINPROGRESS || number == EINTR)
    number = helix_transport_wait_connected (fd, cancel, timeout_ms);
  if (number == 0)
    return fd;
  close (fd);
  /* ECONNRESET is vsock's word for a port that nobody listens on. */
  if (number == ECONNRESET || number == ECONNREFUSED)
    return helix_transport_fail (error, address, ECONNREFUSED, "no server",
        "Start the other end, or check CID (the host is 2) and port");
  if (number == ETIMEDOUT)
    return helix_transport_fail (error, address, number, "no answer",
        "Check CID (the host is 2) and port");
  return helix_transport_fail (
      error, address, number, "cannot connect", NO_VSOCK_REMEDY);
}

static void
vsock_accepted (gint fd, gchar **peer)
{
  if (peer != NULL)
    *peer = g_strdup ("vsock:");
}

const HelixTransport helix_transport_vsock = {
    .listen = vsock_listen,
    .connect = vsock_connect,
    .accepted = vsock_accepted,
};

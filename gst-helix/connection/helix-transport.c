/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-transport-private.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gst/gst.h>

#include "helix-platform.h"

static const HelixTransport *
transport_of (HelixAddressKind kind)
{
  switch (kind) {
    case HELIX_ADDRESS_UNIX:
      return &helix_transport_unix;
    case HELIX_ADDRESS_TCP:
      return &helix_transport_tcp;
    case HELIX_ADDRESS_VSOCK:
      return &helix_transport_vsock;
    case HELIX_ADDRESS_SERIAL:
      return &helix_transport_serial;
  }
  g_return_val_if_reached (NULL);
}

/* NOT_FOUND, BUSY, READ and WRITE are worth another attempt, the others are
 * not: helix_transport_error_is_temporary. */
static GstResourceError
resource_code (gint number)
{
  switch (number) {
    case ENOENT:
    case ENXIO: /* a port whose device is not plugged in (yet) */
    case ECONNREFUSED:
    case ETIMEDOUT:
    case EHOSTUNREACH:
    case EHOSTDOWN:
    case ENETUNREACH:
    case ENETDOWN:
    case EADDRNOTAVAIL:
      return GST_RESOURCE_ERROR_NOT_FOUND;
    case EBUSY:
    case EAGAIN:
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
      return GST_RESOURCE_ERROR_BUSY;
    case ECONNRESET:
    case EPIPE:
    case EIO:
      return GST_RESOURCE_ERROR_READ;
    case EACCES:
    case EPERM:
      return GST_RESOURCE_ERROR_NOT_AUTHORIZED;
    case ENAMETOOLONG:
    case ENOTSOCK:
    case EINVAL:
    case EISDIR:
    case ENOTDIR:
      return GST_RESOURCE_ERROR_SETTINGS;
    default:
      return GST_RESOURCE_ERROR_OPEN_READ_WRITE;
  }
}

gint
helix_transport_fail (GError **error, const HelixAddress *address, gint number,
    const gchar *what, const gchar *remedy)
{
  if (number == ECANCELED)
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "%s: cancelled",
        address->text);
  else
    g_set_error (error, GST_RESOURCE_ERROR, resource_code (number),
        "%s: %s: %s. %s.", address->text, what, g_strerror (number), remedy);
  return -1;
}

void
helix_transport_too_open (
    GError **error, const HelixAddress *address, const gchar *whom)
{
  g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
      "%s: without a token %s could watch and steer. Set the same token-file "
      "(or token) at both ends, listen on tcp:127.0.0.1 or on a UNIX socket, "
      "or set insecure=true.",
      address->text, whom);
}

gint
helix_transport_wait_connected (gint fd, GCancellable *cancel, gint timeout_ms)
{
  struct pollfd fds[2] = {{.fd = fd, .events = POLLOUT}, {.fd = -1}};
  gint64 deadline = g_get_monotonic_time () + timeout_ms * (gint64) 1000;
  gint number = 0;
  socklen_t size = sizeof number;
  gint n;

  if (cancel != NULL) {
    fds[1].fd = g_cancellable_get_fd (cancel);
    fds[1].events = POLLIN;
  }
  do {
    gint64 left = deadline - g_get_monotonic_time ();

    n = poll (fds, 2, (int) MAX (0, (left + 999) / 1000));
  } while (n < 0 && errno == EINTR);

  if (n < 0)
    number = errno;
  else if (fds[1].revents != 0)
    number = ECANCELED;
  else if (n == 0)
    number = ETIMEDOUT;
  else if (getsockopt (fd, SOL_SOCKET, SO_ERROR, &number, &size) < 0)
    number = errno;
  if (fds[1].fd >= 0)
    g_cancellable_release_fd (cancel);
  return number;
}

HelixListener *
helix_transport_listen (const HelixAddress *address, HelixAdmit admit,
    GCancellable *cancel, GError **error)
{
  const struct helix_unix_listener closed = HELIX_UNIX_LISTENER_INIT;
  g_autoptr (HelixListener) self = g_new0 (HelixListener, 1);

  self->kind = address->kind;
  self->unix_socket = closed;
  if (!transport_of (self->kind)->listen (self, address, admit, cancel, error))
    return NULL;
  if (self->text == NULL)
    self->text = g_strdup (address->text);
  return g_steal_pointer (&self);
}

void
helix_listener_free (HelixListener *self)
{
  if (self == NULL)
    return;
  if (self->kind == HELIX_ADDRESS_UNIX)
    helix_unix_listener_close (&self->unix_socket);
  else
    for (guint i = 0; i < self->n_fds; i++)
      close (self->fds[i]);
  g_free (self->text);
  g_free (self->remark);
  g_free (self);
}

gint
helix_listener_accept (
    HelixListener *self, guint index, gchar **peer, GError **error)
{
  gint fd = helix_accept (self->fds[index]);

  if (peer != NULL)
    *peer = NULL;
  if (fd >= 0) {
    transport_of (self->kind)->accepted (fd, peer);
    return fd;
  }
  /* The others are troubles of a connection that is gone already. */
  if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_BUSY,
        "%s: cannot accept a connection: %s. Raise the limit of open files "
        "(ulimit -n).",
        self->text, g_strerror (errno));
  return -1;
}

gchar *
helix_listener_refusal (const HelixListener *self, gint fd, gchar **who)
{
  uid_t uid;

  *who = NULL;
  if (!self->asks)
    return NULL;
  if (helix_tcp_peer_uid (fd, &uid) < 0) {
    if (errno == ENOTCONN)
      return g_strdup ("the connection is closed");
    *who = g_strdup ("an unknown user");
    return g_strdup ("this system does not tell whose connection it is, and "
                     "without a token only this end's own user may connect");
  }
  if (helix_user_is_trusted (uid))
    return NULL;
  *who = g_strdup_printf ("uid %lu", (unsigned long) uid);
  return g_strdup (geteuid () == 0
          ? "this end runs as root, and without a token only root may connect"
          : "it is another user's connection, and without a token only this "
            "end's own user and root may connect");
}

gint
helix_transport_connect (const HelixAddress *address, GCancellable *cancel,
    gint timeout_ms, GError **error)
{
  return transport_of (address->kind)
      ->connect (address, cancel, timeout_ms, error);
}

gboolean
helix_transport_outlives_session (const HelixAddress *address)
{
  return transport_of (address->kind)->outlives_session;
}

gboolean
helix_transport_error_is_temporary (const GError *error)
{
  return error->domain == GST_RESOURCE_ERROR
      && (error->code == GST_RESOURCE_ERROR_NOT_FOUND
          || error->code == GST_RESOURCE_ERROR_BUSY
          || error->code == GST_RESOURCE_ERROR_READ
          || error->code == GST_RESOURCE_ERROR_WRITE);
}

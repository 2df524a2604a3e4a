/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-transport-private.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gst/gst.h>

#include "helix-platform.h"

#define BACKLOG 16

/* Bytes that the kernel may hold unsent. What it holds can no longer be
 * dropped when the guest is slow, so stale video stays in our own queue. */
#define UNSENT_BYTES (256 * 1024)

/* Addresses of the host as a list of GInetAddress. Numbers are taken as they
 * are; only names go to the resolver, which the caller can cancel. */
static GList *
resolve (const HelixAddress *address, GCancellable *cancel, GError **error)
{
  g_autoptr (GError) cause = NULL;
  g_autoptr (GResolver) resolver = NULL;
  GInetAddress *number = g_inet_address_new_from_string (address->host);
  GList *list;

  if (number != NULL)
    return g_list_append (NULL, number);

  resolver = g_resolver_get_default ();
  list = g_resolver_lookup_by_name (resolver, address->host, cancel, &cause);
  if (list != NULL)
    return list;
  if (g_error_matches (cause, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    g_propagate_error (error, g_steal_pointer (&cause));
  else
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND,
        "%s: the name '%s' cannot be resolved: %s. Check the spelling, or "
        "give a number.",
        address->text, address->host, cause->message);
  return NULL;
}

static gboolean
to_native (GInetAddress *inet, guint32 port, struct sockaddr_storage *native,
    socklen_t *size)
{
  g_autoptr (GSocketAddress) address =
      g_inet_socket_address_new (inet, (guint16) port);

  *size = g_socket_address_get_native_size (address);
  return g_socket_address_to_native (address, native, sizeof *native, NULL);
}

static void
set_option (gint fd, gint level, gint option, gint value)
{
  /* All of these are improvements: the connection works without. */
  (void) setsockopt (fd, level, option, &value, sizeof value);
}

static void
tune (gint fd)
{
  set_option (fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option (fd, SOL_SOCKET, SO_KEEPALIVE, 1);
#ifdef TCP_NOTSENT_LOWAT
  set_option (fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_BYTES);
#endif
}

static guint32
bound_port (gint fd)
{
  struct sockaddr_storage local = {0};
  socklen_t size = sizeof local;

  if (getsockname (fd, (struct sockaddr *) &local, &size) < 0)
    return 0;
  if (local.ss_family == AF_INET6)
    return ntohs (((struct sockaddr_in6 *) &local)->sin6_port);
  return ntohs (((struct sockaddr_in *) &local)->sin_port);
}

/* A listening socket, or -1 with errno. */
static gint
listen_on (GInetAddress *inet, guint32 port)
{
  struct sockaddr_storage native;
  socklen_t size;
  gint fd = -1;
  gint number;

  errno = EINVAL;
  if (!to_native (inet, port, &native, &size))
    return -1;
  fd = helix_socket (native.ss_family);
  if (fd < 0)
    return -1;
  /* Without it a restart waits for the TIME_WAIT of old connections. */
  set_option (fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (native.ss_family == AF_INET6)
    set_option (fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  if (bind (fd, (struct sockaddr *) &native, size) == 0
      && listen (fd, BACKLOG) == 0)
    return fd;
  number = errno;
  close (fd);
  errno = number;
  return -1;
}

static gboolean
tcp_listen_failed (GError **error, const HelixAddress *address, gint number)
{
  const gchar *format;
  GstResourceError code = GST_RESOURCE_ERROR_OPEN_READ_WRITE;

  if (number == EADDRINUSE) {
    code = GST_RESOURCE_ERROR_BUSY;
    format = "Stop the program that has the port, or choose another one";
  } else if (number == EACCES) {
    code = GST_RESOURCE_ERROR_NOT_AUTHORIZED;
    format = "Choose a port from 1024 on, or one that policy allows";
  } else if (number == EADDRNOTAVAIL) {
    format = "Give an address of this machine, or 0.0.0.0 for all";
  } else {
    format = "Check the address";
  }
  g_set_error (error, GST_RESOURCE_ERROR, code,
      "%s: cannot listen on port %u: %s. %s.", address->text, address->port,
      g_strerror (number), format);
  return FALSE;
}

/* A list of GInetAddress. */
static gboolean
are_loopback (GList *list)
{
  for (GList *l = list; l != NULL; l = l->next)
    if (!g_inet_address_get_is_loopback (l->data))
      return FALSE;
  return TRUE;
}

static gboolean
tcp_listen (HelixListener *self, const HelixAddress *address, HelixAdmit admit,
    GCancellable *cancel, GError **error)
{
  GList *list = resolve (address, cancel, error);
  gboolean loopback = are_loopback (list);
  gint number = 0;

  if (list == NULL)
    return FALSE;
  if (admit == HELIX_ADMIT_OWN && !loopback) {
    helix_transport_too_open (
        error, address, "everybody who reaches this address");
    g_resolver_free_addresses (list);
    return FALSE;
  }
  self->asks = admit != HELIX_ADMIT_ALL && loopback;
  self->port = address->port;
  for (GList *l = list; l != NULL && self->n_fds < HELIX_LISTENER_MAX;
       l = l->next) {
    gint fd = listen_on (l->data, self->port);

    if (fd >= 0) {
      self->fds[self->n_fds++] = fd;
      /* Where 0 asked for any port, all families share the first one got. */
      self->port = bound_port (fd);
    } else if (number == 0 || errno == EADDRINUSE) {
      number = errno;
    }
  }
  g_resolver_free_addresses (list);

  /* A machine without IPv6 may still resolve a name to ::1; but a port that
   * is taken in one family is an error, or peers would reach a stranger. */
  if (self->n_fds == 0 || number == EADDRINUSE)
    return tcp_listen_failed (error, address, number);
  self->text = g_strdup_printf (
      strchr (address->host, ':') != NULL ? "tcp:[%s]:%u" : "tcp:%s:%u",
      address->host, self->port);
  return TRUE;
}

/* Where nobody listens, the kernel may choose that very port for this end, and
 * the connection is one with ourselves. */
static gboolean
is_itself (gint fd)
{
  struct sockaddr_storage own = {0}, other = {0};
  socklen_t own_size = sizeof own, other_size = sizeof other;

  return getsockname (fd, (struct sockaddr *) &own, &own_size) == 0
      && getpeername (fd, (struct sockaddr *) &other, &other_size) == 0
      && own_size == other_size && memcmp (&own, &other, own_size) == 0;
}

/* A connected socket, or -1 with errno. */
static gint
connect_to (
    GInetAddress *inet, guint32 port, GCancellable *cancel, gint timeout_ms)
{
  struct sockaddr_storage native;
  socklen_t size;
  gint number = 0;
  gint fd;

  errno = EINVAL;
  if (!to_native (inet, port, &native, &size))
    return -1;
  fd = helix_socket (native.ss_family);
  if (fd < 0)
    return -1;
  tune (fd);
  if (connect (fd, (struct sockaddr *) &native, size) < 0)
    number = errno;
  /* EINTR: a signal does not end a connect that has begun. */
  if (number == EINPROGRESS || number == EINTR)
    number = helix_transport_wait_connected (fd, cancel, timeout_ms);
  if (number == 0 && is_itself (fd))
    number = ECONNREFUSED;
  if (number == 0)
    return fd;
  close (fd);
  errno = number;
  return -1;
}

static gint
tcp_connect (const HelixAddress *address, GCancellable *cancel, gint timeout_ms,
    GError **error)
{
  GList *list;
  gint number = EINVAL;
  gint fd = -1;

  if (address->port == 0) {
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
        "%s: port 0 is for listening only. Give the port that the other end "
        "listens on.",
        address->text);
    return -1;
  }
  list = resolve (address, cancel, error);
  if (list == NULL)
    return -1;
  for (GList *l = list; l != NULL && fd < 0; l = l->next) {
    fd = connect_to (l->data, address->port, cancel, timeout_ms);
    if (fd < 0)
      number = errno;
    if (fd < 0 && number == ECANCELED)
      break;
  }
  g_resolver_free_addresses (list);
  if (fd >= 0)
    return fd;
  if (number == ECONNREFUSED)
    return helix_transport_fail (error, address, number, "no server",
        "Start the other end, or check host and port");
  return helix_transport_fail (error, address, number, "cannot connect",
      "Check host and port, and that nothing between the two ends blocks "
      "them");
}

static void
tcp_accepted (gint fd, gchar **peer)
{
  struct sockaddr_storage native = {0};
  socklen_t size = sizeof native;
  g_autoptr (GSocketAddress) address = NULL;
  g_autofree gchar *text = NULL;

  tune (fd);
  if (peer == NULL)
    return;
  if (getpeername (fd, (struct sockaddr *) &native, &size) == 0)
    address = g_socket_address_new_from_native (&native, size);
  if (address != NULL)
    text = g_socket_connectable_to_string (G_SOCKET_CONNECTABLE (address));
  *peer = g_strdup_printf ("tcp:%s", text != NULL ? text : "");
}

const HelixTransport helix_transport_tcp = {
    .listen = tcp_listen,
    .connect = tcp_connect,
    .accepted = tcp_accepted,
};

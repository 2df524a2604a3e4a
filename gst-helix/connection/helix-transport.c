/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-transport.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <gst/gst.h>

#include "helix-platform.h"
#include "helix-waiter.h"

#define BACKLOG 16

/* What a kind of address gives. */
typedef struct {
  gboolean outlives_session;
  /* Fills fds, n_fds, port, asks. On FALSE the caller frees the listener. */
  gboolean (*listen) (HelixListener *listener, const HelixAddress *address,
      HelixAdmit admit, GCancellable *cancel, GError **error);
  gint (*connect) (const HelixAddress *address, GCancellable *cancel,
      gint timeout_ms, GError **error);
  /* After accept: sets options of the socket, and names the peer. */
  void (*accepted) (gint fd, gchar **peer);
} Transport;

/* ---- errors and waiting ---- */

/* NOT_FOUND, BUSY, READ and WRITE are worth another attempt, the others are
 * not: helix_transport_error_is_temporary. */
static GstResourceError
resource_code (gint number)
{
  switch (number) {
    case ENOENT:
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

/* Sets "ADDRESS: WHAT: strerror. REMEDY." with the code that errno `number`
 * has in GST_RESOURCE_ERROR. Returns -1. */
static gint
fail (GError **error, const HelixAddress *address, gint number,
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

/* What an errno means, and what to do. The last one of a table has 0 and is for
 * all others. */
typedef struct {
  gint number;
  const gchar *what, *remedy;
} Failure;

static gint
fail_as (GError **error, const HelixAddress *address, gint number,
    const Failure *failure)
{
  while (failure->number != 0 && failure->number != number)
    failure++;
  return fail (error, address, number, failure->what, failure->remedy);
}

/* Sets the error of an address that HELIX_ADMIT_OWN rules out. `whom`: who
 * could connect there. */
static void
too_open (GError **error, const HelixAddress *address, const gchar *whom)
{
  g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
      "%s: without a token %s could watch and steer. Set the same token-file "
      "(or token) at both ends, listen on tcp:127.0.0.1 or on a UNIX socket, "
      "or set insecure=true.",
      address->text, whom);
}

/* Waits for a connect in progress. Returns 0, or the errno of its failure
 * (ETIMEDOUT; ECANCELED when cancelled). */
static gint
wait_connected (gint fd, GCancellable *cancel, gint timeout_ms)
{
  struct pollfd fds[3] = {{.fd = -1}, {.fd = fd, .events = POLLOUT}};
  guint64 deadline = helix_now_ns () + (guint64) timeout_ms * GST_MSECOND;
  gint number = 0;
  socklen_t size = sizeof number;

  fds[2].fd = cancel != NULL ? g_cancellable_get_fd (cancel) : -1;
  fds[2].events = POLLIN;
  if (!helix_waiter_wait (NULL, fds, G_N_ELEMENTS (fds), deadline))
    number = ETIMEDOUT;
  else if (fds[2].revents != 0)
    number = ECANCELED;
  else if (fds[1].revents == 0)
    number = EIO; /* poll () failed: nothing is known */
  else if (getsockopt (fd, SOL_SOCKET, SO_ERROR, &number, &size) < 0)
    number = errno;
  if (fds[2].fd >= 0)
    g_cancellable_release_fd (cancel);
  return number;
}

/* ---- unix ---- */

static gboolean
unix_listen (HelixListener *self, const HelixAddress *address, HelixAdmit admit,
    GCancellable *cancel, GError **error)
{
  gchar why[HELIX_UNIX_WHY];

  if (!helix_unix_listener_open (
          &self->unix_socket, address->path, NULL, why)) {
    /* Waiting cures none of these. The sentence is complete. */
    GstResourceError code = GST_RESOURCE_ERROR_OPEN_READ_WRITE;

    if (errno == EADDRINUSE)
      code = GST_RESOURCE_ERROR_BUSY;
    else if (errno == EACCES || errno == EPERM)
      code = GST_RESOURCE_ERROR_NOT_AUTHORIZED;
    else if (errno == ENAMETOOLONG || errno == ENOTSOCK)
      code = GST_RESOURCE_ERROR_SETTINGS;
    g_set_error (
        error, GST_RESOURCE_ERROR, code, "%s: %s.", address->text, why);
    return FALSE;
  }
  self->fds[self->n_fds++] = self->unix_socket.fd;
  if (self->unix_socket.replaced)
    self->remark = g_strdup_printf (
        "%s: replaced a socket file that nobody served", address->text);
  return TRUE;
}

static gint
unix_connect (const HelixAddress *address, GCancellable *cancel,
    gint timeout_ms, GError **error)
{
  static const Failure failures[] = {
      {ENOENT, "no server", "Start the other end, or check the path"},
      {ECONNREFUSED,
          "no server: the socket file is there, but its owner is gone",
          "Start the other end again; it replaces the file"},
      {EACCES, "this user may not connect",
          "Run both ends as one user, or give this one access to the socket"},
      {0, "cannot connect", "Check that the other end runs"},
  };
  struct stat st;
  gint number;
  gint fd;

  if (strlen (address->path) >= helix_sun_path_max ()) {
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
        "%s: the path has %" G_GSIZE_FORMAT " bytes, and this system allows "
        "%" G_GSIZE_FORMAT ". Use a shorter path, or a relative one.",
        address->text, strlen (address->path), helix_sun_path_max () - 1);
    return -1;
  }
  /* connect says ECONNREFUSED for a regular file, as for a stale socket. */
  if (stat (address->path, &st) == 0 && !S_ISSOCK (st.st_mode)) {
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
        "%s: this is a %s, not a socket. Give the path that the other end "
        "listens on.",
        address->text,
        S_ISREG (st.st_mode)       ? "regular file"
            : S_ISDIR (st.st_mode) ? "directory"
                                   : "special file");
    return -1;
  }

  fd = helix_socket (AF_UNIX);
  if (fd < 0)
    return fail (error, address, errno, "cannot make a socket",
        "Raise the limit of open files (ulimit -n)");
  number = helix_unix_connect (fd, address->path) < 0 ? errno : 0;
  if (number == EINPROGRESS)
    number = wait_connected (fd, cancel, timeout_ms);
  if (number == 0)
    return fd;

  close (fd);
  return fail_as (error, address, number, failures);
}

static void
unix_accepted (gint fd, gchar **peer)
{
  uid_t uid;
  pid_t pid;

  if (peer == NULL)
    return;
  if (helix_peer_credentials (fd, &uid, &pid) == 0)
    *peer = g_strdup_printf (
        "unix:pid=%ld,uid=%lu", (long) pid, (unsigned long) uid);
  else
    *peer = g_strdup ("unix:");
}

/* ---- tcp ---- */

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
    too_open (error, address, "everybody who reaches this address");
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

/* Where no program listens, the kernel may choose that very port for this end,
 * which then is connected to itself. */
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
    number = wait_connected (fd, cancel, timeout_ms);
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
  static const Failure failures[] = {
      {ECONNREFUSED, "no server",
          "Start the other end, or check host and port"},
      {0, "cannot connect",
          "Check host and port, and that nothing between the two ends blocks "
          "them"},
  };
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
  return fail_as (error, address, number, failures);
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

/* ---- vsock ---- */

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
    fail (error, address, errno, "this system has no vsock sockets",
        NO_VSOCK_REMEDY);
  return fd;
}

static gboolean
vsock_listen (HelixListener *self, const HelixAddress *address,
    HelixAdmit admit, GCancellable *cancel, GError **error)
{
  gint number;
  gint fd;

  if (admit == HELIX_ADMIT_OWN) {
    too_open (error, address, "every virtual machine of this host");
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
  static const Failure failures[] = {
      {ECONNREFUSED, "no server",
          "Start the other end, or check CID (the host is 2) and port"},
      {ETIMEDOUT, "no answer", "Check CID (the host is 2) and port"},
      {0, "cannot connect", NO_VSOCK_REMEDY},
  };
  gint fd = vsock_socket (address, error);
  gint number;

  if (fd < 0)
    return -1;
  number =
      helix_vsock_connect (fd, address->cid, address->port) < 0 ? errno : 0;
  if (number == EINPROGRESS || number == EINTR)
    number = wait_connected (fd, cancel, timeout_ms);
  if (number == 0)
    return fd;
  close (fd);
  /* How vsock says that nothing listens on the port. */
  if (number == ECONNRESET)
    number = ECONNREFUSED;
  return fail_as (error, address, number, failures);
}

static void
vsock_accepted (gint fd, gchar **peer)
{
  if (peer != NULL)
    *peer = g_strdup ("vsock:");
}

/* ---- serial: virtio-serial ports, ttys, and ptys in the tests ---- */

static gboolean
serial_listen (HelixListener *self, const HelixAddress *address,
    HelixAdmit admit, GCancellable *cancel, GError **error)
{
  g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
      "%s: nobody can listen on a serial line. Use mode=connect, which opens "
      "it.",
      address->text);
  return FALSE;
}

/* Bytes as they are: no echo, no line editing, no flow control characters. */
static gint
make_raw (gint fd)
{
  struct termios term;

  if (!isatty (fd))
    return 0;
  if (tcgetattr (fd, &term) < 0)
    return -1;
  cfmakeraw (&term);
  term.c_cflag |= CLOCAL | CREAD;
  return tcsetattr (fd, TCSANOW, &term);
}

static gint
serial_connect (const HelixAddress *address, GCancellable *cancel,
    gint timeout_ms, GError **error)
{
  static const Failure failures[] = {
      {EBUSY, "another process has the port open",
          "Stop that one: virtio-serial ports have one reader"},
      {ENOENT, "no such port",
          "Give the machine a virtserialport device whose name is this one"},
      {EACCES, "this user may not open the port",
          "Run as root, or let a udev rule give this user the device"},
      {EPERM, "this user may not open the port",
          "Run as root, or let a udev rule give this user the device"},
      {EISDIR, "this is a directory", "Give the port's device file"},
      {0, "cannot open the port", "Check the device"},
  };
  struct stat st;
  gint number;
  gint fd;

  fd = open (address->path, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (fd >= 0 && fstat (fd, &st) == 0 && !S_ISCHR (st.st_mode)) {
    close (fd);
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
        "%s: this is no character device. Give the port's device file, "
        "/dev/virtio-ports/NAME for virtio-serial.",
        address->text);
    return -1;
  }
  if (fd >= 0 && helix_fd_prepare (fd) == 0 && make_raw (fd) == 0)
    return fd;

  number = errno;
  if (fd >= 0)
    close (fd);
  if (number == ENXIO || number == ENODEV) /* its device is not plugged in */
    number = ENOENT;
  return fail_as (error, address, number, failures);
}

/* ---- any kind ---- */

static const Transport transports[] = {
    [HELIX_ADDRESS_UNIX] = {FALSE, unix_listen, unix_connect, unix_accepted},
    [HELIX_ADDRESS_TCP] = {FALSE, tcp_listen, tcp_connect, tcp_accepted},
    [HELIX_ADDRESS_VSOCK] = {FALSE, vsock_listen, vsock_connect,
        vsock_accepted},
    [HELIX_ADDRESS_SERIAL] = {TRUE, serial_listen, serial_connect, NULL},
};

HelixListener *
helix_transport_listen (const HelixAddress *address, HelixAdmit admit,
    GCancellable *cancel, GError **error)
{
  const struct helix_unix_listener closed = HELIX_UNIX_LISTENER_INIT;
  g_autoptr (HelixListener) self = g_new0 (HelixListener, 1);

  self->kind = address->kind;
  self->unix_socket = closed;
  if (!transports[self->kind].listen (self, address, admit, cancel, error))
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
    transports[self->kind].accepted (fd, peer);
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
  return transports[address->kind].connect (address, cancel, timeout_ms, error);
}

gboolean
helix_transport_outlives_session (const HelixAddress *address)
{
  return transports[address->kind].outlives_session;
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

gssize
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

gssize
helix_transport_read (gint fd, void *data, gsize size)
{
  gssize got = helix_recv (fd, data, size, NULL);

  if (got < 0 && errno == ENOTSOCK)
    do
      got = read (fd, data, size);
    while (got < 0 && errno == EINTR);
  return got;
}

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

/* Where to connect or to listen. */
typedef struct {
  struct sockaddr_storage to;
  socklen_t size;
  gboolean loopback;
} Place;

/* What a kind of address gives. */
typedef struct {
  /* Who could connect, where HELIX_ADMIT_OWN rules the address out. */
  const gchar *everybody;
  const HelixFailure *failures; /* of connecting */
  const gchar *no_listening;    /* the remedy, if nothing better is known */
  /* Places; NULL: *error. */
  GArray *(*find) (
      const HelixAddress *address, GCancellable *cancel, GError **error);
  /* NULL: those for places. */
  gboolean (*listen) (
      HelixListener *listener, const HelixAddress *address, GError **error);
  gint (*connect) (const HelixAddress *address, GError **error);
  /* The peer of an accepted connection, for messages. */
  gchar *(*name) (gint fd);
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
    case EADDRINUSE:
    case EBUSY:
    case EAGAIN:
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
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
    case EPROTOTYPE:
    case EINVAL:
    case EISDIR:
    case ENOTDIR:
    case ELOOP:
      return GST_RESOURCE_ERROR_SETTINGS;
    default:
      return GST_RESOURCE_ERROR_OPEN_READ_WRITE;
  }
}

/* Sets "NAME: WHAT: strerror. REMEDY." with the code that errno `number` has in
 * GST_RESOURCE_ERROR. Returns -1. */
static gint
fail (GError **error, const gchar *name, gint number, const gchar *what,
    const gchar *remedy)
{
  if (number == ECANCELED)
    g_set_error (
        error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "%s: cancelled", name);
  else
    g_set_error (error, GST_RESOURCE_ERROR, resource_code (number),
        "%s: %s: %s. %s.", name, what, g_strerror (number), remedy);
  return -1;
}

static const HelixFailure *
find_failure (const HelixFailure *failures, gint number)
{
  while (failures->number != 0 && failures->number != number)
    failures++;
  return failures;
}

static gint
fail_as (GError **error, const gchar *name, gint number,
    const HelixFailure *failures)
{
  const HelixFailure *failure = find_failure (failures, number);

  return fail (error, name, number, failure->what, failure->remedy);
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

gint
helix_transport_connect_path (const gchar *path, const gchar *name,
    const HelixFailure *failures, GError **error)
{
  gsize size = strlen (path), most = helix_sun_path_max () - 1;
  struct stat st;
  gint fd;

  if (size > most) {
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
        "%s: the path has %" G_GSIZE_FORMAT " bytes, and this system allows "
        "%" G_GSIZE_FORMAT ". Use a shorter path, or a relative one.",
        name, size, most);
    return -1;
  }
  /* connect says ECONNREFUSED for a regular file, as for a stale socket. */
  if (stat (path, &st) == 0 && !S_ISSOCK (st.st_mode)) {
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
        "%s: the path is a %s, not a socket. %s.", name,
        helix_file_kind (st.st_mode),
        find_failure (failures, ENOTSOCK)->remedy);
    return -1;
  }
  fd = helix_socket (AF_UNIX);
  if (fd < 0)
    return fail (error, name, errno, "cannot make a socket",
        "Raise the limit of open files (ulimit -n)");
  if (helix_unix_connect (fd, path) == 0 || errno == EINPROGRESS)
    return fd;
  helix_close (fd);
  return fail_as (error, name, errno, failures);
}

static const HelixFailure unix_failures[] = {
    {ENOENT, "no server", "Start the other end, or check the path"},
    {ECONNREFUSED, "no server: the socket file is there, but its owner is gone",
        "Start the other end again; it replaces the file"},
    {EACCES, "this user may not connect",
        "Run both ends as one user, or give this one access to the socket"},
    {ENOTSOCK, "not a socket", "Give the path that the other end listens on"},
    {0, "cannot connect", "Check that the other end runs"},
};

static gint
unix_connect (const HelixAddress *address, GError **error)
{
  return helix_transport_connect_path (
      address->path, address->text, unix_failures, error);
}

static gboolean
unix_listen (HelixListener *self, const HelixAddress *address, GError **error)
{
  gchar why[HELIX_UNIX_WHY];

  if (!helix_unix_listener_open (
          &self->unix_socket, address->path, NULL, why)) {
    g_set_error (error, GST_RESOURCE_ERROR, resource_code (errno), "%s: %s.",
        address->text, why);
    return FALSE;
  }
  self->fds[self->n_fds++] = self->unix_socket.fd;
  if (self->unix_socket.replaced)
    self->remark = g_strdup_printf (
        "%s: replaced a socket file that no process served", address->text);
  return TRUE;
}

static gchar *
unix_name (gint fd)
{
  uid_t uid;
  pid_t pid;

  if (helix_peer_credentials (fd, &uid, &pid) < 0)
    return g_strdup ("unix:");
  return g_strdup_printf (
      "unix:pid=%ld,uid=%lu", (long) pid, (unsigned long) uid);
}

/* ---- tcp ---- */

/* Bytes that the kernel may hold unsent. What it holds can no longer be
 * dropped when the guest is slow, so stale video stays in our own queue. */
#define UNSENT_BYTES (256 * 1024)

static const HelixFailure tcp_failures[] = {
    {ECONNREFUSED, "no server", "Start the other end, or check host and port"},
    {0, "cannot connect",
        "Check host and port, and that nothing between the two ends blocks "
        "them"},
};

/* A number or a name. Only a name goes to GLib's resolver: to make one aborts
 * the process when no descriptor is left. */
static GSocketConnectable *
host_of (const HelixAddress *address)
{
  GSocketAddress *number = g_inet_socket_address_new_from_string (
      address->host, (guint) address->port);

  return number != NULL
      ? G_SOCKET_CONNECTABLE (number)
      : g_network_address_new (address->host, (guint16) address->port);
}

static GArray *
tcp_find (const HelixAddress *address, GCancellable *cancel, GError **error)
{
  g_autoptr (GSocketConnectable) host = host_of (address);
  g_autoptr (GSocketAddressEnumerator) all =
      g_socket_connectable_enumerate (host);
  g_autoptr (GArray) places = g_array_new (FALSE, FALSE, sizeof (Place));
  g_autoptr (GError) cause = NULL;
  GSocketAddress *next;

  while ((next = g_socket_address_enumerator_next (all, cancel, &cause))) {
    Place place = {.size = g_socket_address_get_native_size (next)};

    place.loopback = g_inet_address_get_is_loopback (
        g_inet_socket_address_get_address (G_INET_SOCKET_ADDRESS (next)));
    if (g_socket_address_to_native (next, &place.to, sizeof place.to, NULL))
      g_array_append_val (places, place);
    g_object_unref (next);
  }
  if (cause == NULL)
    return g_steal_pointer (&places);
  if (g_error_matches (cause, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    g_propagate_error (error, g_steal_pointer (&cause));
  else
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND,
        "%s: the name '%s' cannot be resolved: %s. Check the spelling, or "
        "give a number.",
        address->text, address->host, cause->message);
  return NULL;
}

static void
set_option (gint fd, gint level, gint option, gint value)
{
  /* All of these are improvements: the connection works without. */
  (void) setsockopt (fd, level, option, &value, sizeof value);
}

/* Sockets of other kinds refuse what is TCP's. */
static void
tune (gint fd)
{
  set_option (fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option (fd, SOL_SOCKET, SO_KEEPALIVE, 1);
#ifdef TCP_NOTSENT_LOWAT
  set_option (fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_BYTES);
#endif
}

/* The port of a TCP address, in network order; NULL: of another kind. */
static in_port_t *
port_of (struct sockaddr_storage *native)
{
  if (native->ss_family == AF_INET6)
    return &((struct sockaddr_in6 *) native)->sin6_port;
  if (native->ss_family == AF_INET)
    return &((struct sockaddr_in *) native)->sin_port;
  return NULL;
}

static gchar *
tcp_name (gint fd)
{
  struct sockaddr_storage native = {0};
  socklen_t size = sizeof native;
  g_autoptr (GSocketAddress) address = NULL;
  g_autofree gchar *text = NULL;

  if (getpeername (fd, (struct sockaddr *) &native, &size) == 0)
    address = g_socket_address_new_from_native (&native, size);
  if (address != NULL)
    text = g_socket_connectable_to_string (G_SOCKET_CONNECTABLE (address));
  return g_strdup_printf ("tcp:%s", text != NULL ? text : "");
}

/* ---- vsock ---- */

#define NO_VSOCK_REMEDY \
  "vsock needs Linux at both ends: load vhost_vsock on the host, give the " \
  "machine a vhost-vsock device, or use tcp: or serial:"

static const HelixFailure vsock_failures[] = {
    {ECONNREFUSED, "no server",
        "Start the other end, or check CID (the host is 2) and port"},
    /* How vsock says that nothing listens on the port. */
    {ECONNRESET, "no server",
        "Start the other end, or check CID (the host is 2) and port"},
    {ETIMEDOUT, "no answer", "Check CID (the host is 2) and port"},
    {0, "cannot connect", NO_VSOCK_REMEDY},
};

static GArray *
vsock_find (const HelixAddress *address, GCancellable *cancel, GError **error)
{
  Place place = {0};

  place.size = helix_vsock_address (&place.to, address->cid, address->port);
  if (place.size == 0) {
    fail (error, address->text, EAFNOSUPPORT,
        "this system has no vsock sockets", NO_VSOCK_REMEDY);
    return NULL;
  }
  return g_array_append_val (g_array_new (FALSE, FALSE, sizeof (Place)), place);
}

static gchar *
vsock_name (gint fd)
{
  return g_strdup ("vsock:");
}

/* ---- tcp and vsock ---- */

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
connect_to (const Place *place, GCancellable *cancel, gint timeout_ms)
{
  gint fd = helix_socket (place->to.ss_family);
  gint number = 0;

  if (fd < 0)
    return -1;
  tune (fd);
  if (connect (fd, (const struct sockaddr *) &place->to, place->size) < 0)
    number = errno;
  /* EINTR: a signal does not end a connect that has begun. */
  if (number == EINPROGRESS || number == EINTR)
    number = wait_connected (fd, cancel, timeout_ms);
  if (number == 0 && is_itself (fd))
    number = ECONNREFUSED;
  if (number == 0)
    return fd;
  errno = number;
  return helix_close (fd);
}

/* A listening socket, or -1 with errno. `port`, 0 = any, is set to what it
 * got. */
static gint
listen_at (Place *place, guint32 *port)
{
  gint fd = helix_socket (place->to.ss_family);
  in_port_t *own = port_of (&place->to);
  socklen_t size = sizeof place->to;

  if (fd < 0)
    return -1;
  if (own != NULL)
    *own = htons ((guint16) *port);
  /* Without it a restart waits for the TIME_WAIT of old connections. */
  set_option (fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (place->to.ss_family == AF_INET6)
    set_option (fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  if (bind (fd, (struct sockaddr *) &place->to, place->size) < 0
      || listen (fd, BACKLOG) < 0)
    return helix_close (fd);
  if (own != NULL
      && getsockname (fd, (struct sockaddr *) &place->to, &size) == 0)
    *port = ntohs (*own);
  return fd;
}

static gint
connect_places (const HelixAddress *address, const Transport *kind,
    GCancellable *cancel, gint timeout_ms, GError **error)
{
  g_autoptr (GArray) places = NULL;
  gint number = EINVAL;

  if (address->kind == HELIX_ADDRESS_TCP && address->port == 0) {
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
        "%s: port 0 is for listening only. Give the port that the other end "
        "listens on.",
        address->text);
    return -1;
  }
  places = kind->find (address, cancel, error);
  if (places == NULL)
    return -1;
  for (guint i = 0; i < places->len && number != ECANCELED; i++) {
    gint fd =
        connect_to (&g_array_index (places, Place, i), cancel, timeout_ms);

    if (fd >= 0)
      return fd;
    number = errno;
  }
  return fail_as (error, address->text, number, kind->failures);
}

static gboolean
listen_failed (GError **error, const HelixAddress *address, gint number,
    const gchar *otherwise)
{
  g_autofree gchar *what =
      g_strdup_printf ("cannot listen on port %u", address->port);

  if (number == EADDRINUSE)
    otherwise = "Stop the program that has the port, or choose another one";
  else if (number == EACCES)
    otherwise = "Choose a port from 1024 on, or one that policy allows";
  fail (error, address->text, number, what, otherwise);
  return FALSE;
}

static gboolean
listen_on_places (HelixListener *self, const HelixAddress *address,
    const Transport *kind, HelixAdmit admit, GCancellable *cancel,
    GError **error)
{
  g_autoptr (GArray) places = kind->find (address, cancel, error);
  gboolean loopback = TRUE;
  gint number = 0;

  if (places == NULL)
    return FALSE;
  for (guint i = 0; i < places->len; i++)
    loopback &= g_array_index (places, Place, i).loopback;
  if (admit == HELIX_ADMIT_OWN && !loopback) {
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
        "%s: without a token %s could watch and steer. Set the same token-file "
        "(or token) at both ends, listen on tcp:127.0.0.1 or on a UNIX socket, "
        "or set insecure=true.",
        address->text, kind->everybody);
    return FALSE;
  }
  self->asks = admit != HELIX_ADMIT_ALL && loopback;
  self->port = address->port;
  for (guint i = 0; i < places->len && self->n_fds < HELIX_LISTENER_MAX; i++) {
    /* Where 0 asked for any port, all families share the first one got. */
    gint fd = listen_at (&g_array_index (places, Place, i), &self->port);

    if (fd >= 0)
      self->fds[self->n_fds++] = fd;
    else if (number == 0 || errno == EADDRINUSE)
      number = errno;
  }
  /* A machine without IPv6 may still resolve a name to ::1; but a port that
   * is taken in one family is an error, or peers would reach a stranger. */
  if (self->n_fds == 0 || number == EADDRINUSE)
    return listen_failed (error, address, number,
        number == EADDRNOTAVAIL || address->kind == HELIX_ADDRESS_VSOCK
            ? kind->no_listening
            : "Check the address");
  if (address->kind == HELIX_ADDRESS_TCP)
    self->text = g_strdup_printf (
        strchr (address->host, ':') != NULL ? "tcp:[%s]:%u" : "tcp:%s:%u",
        address->host, self->port);
  return TRUE;
}

/* ---- serial: virtio-serial ports, ttys, and ptys in the tests ---- */

static gboolean
serial_listen (HelixListener *self, const HelixAddress *address, GError **error)
{
  g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
      "%s: a serial line cannot be listened on. Use mode=connect, which opens "
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

static const HelixFailure serial_failures[] = {
    {EBUSY, "another process has the port open",
        "Stop that process: virtio-serial ports have one reader"},
    {ENOENT, "no such port",
        "Give the machine a virtserialport device with this name"},
    {EACCES, "this user may not open the port",
        "Run as root, or let a udev rule give this user the device"},
    {EPERM, "this user may not open the port",
        "Run as root, or let a udev rule give this user the device"},
    {EISDIR, "this is a directory", "Give the port's device file"},
    {0, "cannot open the port", "Check the device"},
};

static gint
serial_connect (const HelixAddress *address, GError **error)
{
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
  helix_close (fd);
  if (number == ENXIO || number == ENODEV) /* its device is not plugged in */
    number = ENOENT;
  return fail_as (error, address->text, number, serial_failures);
}

/* ---- any kind ---- */

static const Transport transports[] = {
    [HELIX_ADDRESS_UNIX] = {.listen = unix_listen,
        .connect = unix_connect,
        .name = unix_name},
    [HELIX_ADDRESS_TCP] = {.everybody = "everybody who reaches this address",
        .failures = tcp_failures,
        .no_listening = "Give an address of this machine, or 0.0.0.0 for all",
        .find = tcp_find,
        .name = tcp_name},
    [HELIX_ADDRESS_VSOCK] = {.everybody = "every virtual machine of this host",
        .failures = vsock_failures,
        .no_listening = "Listen on vsock:any:PORT; " NO_VSOCK_REMEDY,
        .find = vsock_find,
        .name = vsock_name},
    [HELIX_ADDRESS_SERIAL] = {.listen = serial_listen,
        .connect = serial_connect},
};

HelixListener *
helix_transport_listen (const HelixAddress *address, HelixAdmit admit,
    GCancellable *cancel, GError **error)
{
  const struct helix_unix_listener closed = HELIX_UNIX_LISTENER_INIT;
  const Transport *kind = &transports[address->kind];
  g_autoptr (HelixListener) self = g_new0 (HelixListener, 1);

  self->kind = address->kind;
  self->unix_socket = closed;
  if (kind->listen != NULL
          ? !kind->listen (self, address, error)
          : !listen_on_places (self, address, kind, admit, cancel, error))
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
    tune (fd);
    if (peer != NULL)
      *peer = transports[self->kind].name (fd);
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
  const Transport *kind = &transports[address->kind];

  return kind->connect != NULL
      ? kind->connect (address, error)
      : connect_places (address, kind, cancel, timeout_ms, error);
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

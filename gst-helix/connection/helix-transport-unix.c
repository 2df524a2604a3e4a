/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-transport-private.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gst/gst.h>

#include "helix-platform.h"

static gboolean
unix_listen (HelixListener *self, const HelixAddress *address, HelixAdmit admit,
    GCancellable *cancel, GError **error)
{
  gchar why[HELIX_UNIX_WHY];

  if (!helix_unix_listener_open (
          &self->unix_socket, address->path, NULL, why)) {
    /* Whatever it is, waiting does not cure it; the sentence is complete. */
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
    return helix_transport_fail (error, address, errno, "cannot make a socket",
        "Raise the limit of open files (ulimit -n)");
  number = helix_unix_connect (fd, address->path) < 0 ? errno : 0;
  if (number == EINPROGRESS)
    number = helix_transport_wait_connected (fd, cancel, timeout_ms);
  if (number == 0)
    return fd;

  close (fd);
  if (number == ENOENT)
    return helix_transport_fail (error, address, number, "no server",
        "Start the other end, or check the path");
  if (number == ECONNREFUSED)
    return helix_transport_fail (error, address, number,
        "no server: the socket file is there, but its owner is gone",
        "Start the other end again; it replaces the file");
  if (number == EACCES)
    return helix_transport_fail (error, address, number,
        "this user may not connect",
        "Run both ends as one user, or give this one access to the socket");
  return helix_transport_fail (error, address, number, "cannot connect",
      "Check that the other end runs");
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

const HelixTransport helix_transport_unix = {
    .listen = unix_listen,
    .connect = unix_connect,
    .accepted = unix_accepted,
};

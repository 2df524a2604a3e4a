/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Character devices: virtio-serial ports, ttys, and ptys in the tests. */
#include "helix-transport-private.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <gst/gst.h>

#include "helix-platform.h"

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
  switch (number) {
    case EBUSY:
      return helix_transport_fail (error, address, number,
          "another process has the port open",
          "Stop that one: virtio-serial ports have one reader");
    case ENOENT:
    case ENXIO:
    case ENODEV:
      return helix_transport_fail (error, address, ENOENT, "no such port",
          "Give the machine a virtserialport device whose name is this one");
    case EACCES:
    case EPERM:
      return helix_transport_fail (error, address, number,
          "this user may not open the port",
          "Run as root, or let a udev rule give this user the device");
    case EISDIR:
      return helix_transport_fail (error, address, number,
          "this is a directory", "Give the port's device file");
    default:
      return helix_transport_fail (
          error, address, number, "cannot open the port", "Check the device");
  }
}

static void
serial_accepted (gint fd, gchar **peer)
{
  g_assert_not_reached ();
}

const HelixTransport helix_transport_serial = {
    .outlives_session = TRUE,
    .listen = serial_listen,
    .connect = serial_connect,
    .accepted = serial_accepted,
};

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serial-line.h"

#include <errno.h>
#include <gst/check/gstcheck.h>
#include <poll.h>
#include <pty.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "helix-platform.h"
#include "stream-peer.h"

#define PATIENCE_MS 200

/* FALSE: the line is taken down, or `to` is gone. */
static gboolean
put (SerialLine *line, gint to, const guint8 *bytes, gssize size)
{
  gssize at = 0;

  while (at < size && !g_atomic_int_get (&line->stop)) {
    struct pollfd room = {.fd = to, .events = POLLOUT};
    struct iovec iov = {(void *) (bytes + at), (size_t) (size - at)};
    gssize sent = helix_send (to, &iov, 1, -1);

    if (sent < 0 && errno != EAGAIN)
      return FALSE;
    if (sent < 0 && poll (&room, 1, PATIENCE_MS) == 0 && line->lossy)
      return TRUE;
    at += MAX (sent, 0);
  }
  return at == size;
}

/* FALSE: `from` is gone. */
static gboolean
carry (SerialLine *line, gint from, gint to)
{
  guint8 bytes[2048];
  gssize n = read (from, bytes, sizeof bytes);

  if (n > 0 && line->heard != NULL)
    g_byte_array_append (line->heard, bytes, (guint) n);
  if (n < 0)
    return errno == EAGAIN || errno == EIO;
  return n > 0 && put (line, to, bytes, n);
}

static gpointer
run (gpointer data)
{
  SerialLine *line = data;
  gint host = -1;

  while (!g_atomic_int_get (&line->stop)) {
    struct pollfd fds[2] = {
        {.fd = host >= 0 ? host : line->listener, .events = POLLIN},
        {.fd = line->master, .events = host >= 0 ? POLLIN : 0},
    };

    poll (fds, 2, 20);
    if (host < 0) {
      host = helix_accept (line->listener);
      continue;
    }
    if ((fds[0].revents && !carry (line, host, line->master))
        || (fds[1].revents & POLLIN && !carry (line, line->master, host))) {
      close (host);
      host = -1;
    }
  }
  if (host >= 0)
    close (host);
  return NULL;
}

void
serial_line_start (SerialLine *line, const gchar *path, GByteArray *heard)
{
  struct termios raw;

  memset (line, 0, sizeof *line);
  line->heard = heard;
  fail_unless (
      openpty (&line->master, &line->slave, line->name, NULL, NULL) == 0);
  fail_unless (tcgetattr (line->slave, &raw) == 0);
  cfmakeraw (&raw);
  fail_unless (tcsetattr (line->slave, TCSANOW, &raw) == 0);
  fail_unless (helix_fd_prepare (line->master) == 0);
  fail_unless (helix_fd_prepare (line->slave) == 0);
  line->listener = peer_listen (path);
  line->thread = g_thread_new ("line", run, line);
}

void
serial_line_stop (SerialLine *line)
{
  g_atomic_int_set (&line->stop, 1);
  g_thread_join (line->thread);
  close (line->master);
  close (line->slave);
  close (line->listener);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* helixsrc on a stream that outlives both ends. */
#include <errno.h>
#include <gst/check/gstcheck.h>
#include <poll.h>
#include <pty.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "helix-platform.h"
#include "helix-transport-io.h"
#include "stream-peer.h"
#include "stream-pipeline.h"

static gchar *folder, *path, *address;

static void
setup (void)
{
  folder = peer_folder_new ();
  path = g_build_filename (folder, "s", NULL);
  address = g_strdup_printf ("unix:%s", path);
}

static void
teardown (void)
{
  g_free (address);
  g_free (path);
  peer_folder_free (folder);
}

/* What QEMU is between a chardev and a port: carries bytes, slowly enough for
 * much to be under way, and tells the guest nothing of the host's restarts. */
typedef struct {
  gint listener, master, slave;
  gint stop;
  gchar name[128];
  GThread *thread;
} Line;

static gboolean
carry (gint from, gint to)
{
  guint8 bytes[2048];
  gssize n = read (from, bytes, sizeof bytes), at = 0;

  if (n < 0)
    return errno == EAGAIN || errno == EIO;
  while (at < n) {
    struct pollfd room = {.fd = to, .events = POLLOUT};
    struct iovec iov = {bytes + at, (size_t) (n - at)};
    gssize sent = helix_transport_write (to, &iov, 1);

    if (sent < 0 && errno != EAGAIN)
      return FALSE;
    /* A port that nobody reads is full: then the rest is lost, as when the
     * machine is reset. */
    if (sent < 0 && poll (&room, 1, 200) == 0)
      return TRUE;
    at += MAX (sent, 0);
  }
  return n > 0;
}

static gpointer
line_run (gpointer data)
{
  Line *line = data;
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
    if ((fds[0].revents && !carry (host, line->master))
        || (fds[1].revents & POLLIN && !carry (line->master, host))) {
      close (host);
      host = -1;
    }
  }
  if (host >= 0)
    close (host);
  return NULL;
}

static void
line_start (Line *line)
{
  struct termios raw;

  memset (line, 0, sizeof *line);
  fail_unless (
      openpty (&line->master, &line->slave, line->name, NULL, NULL) == 0);
  fail_unless (tcgetattr (line->slave, &raw) == 0);
  cfmakeraw (&raw);
  fail_unless (tcsetattr (line->slave, TCSANOW, &raw) == 0);
  fail_unless (helix_fd_prepare (line->master) == 0);
  line->listener = peer_listen (path);
  line->thread = g_thread_new ("line", line_run, line);
}

static void
line_stop (Line *line)
{
  g_atomic_int_set (&line->stop, 1);
  g_thread_join (line->thread);
  close (line->master);
  close (line->slave);
  close (line->listener);
}

/* The guest is killed again and again, in the middle of units of 30 kB, and
 * each successor is in the picture in no time. */
GST_START_TEST (test_serial_guest_restarts)
{
  GstElement *host, *guest;
  Line line;

  line_start (&line);
  host = pipeline_play (
      pipeline_launch ("videotestsrc is-live=true pattern=snow ! "
                       "video/x-raw,width=256,height=192,framerate=30/1 ! "
                       "jpegenc ! helixguestsink address=%s mode=connect",
          address));
  for (guint i = 0; i < 5; i++) {
    guint64 begin = helix_now_ns ();

    guest = pipeline_play (pipeline_launch (
        "helixsrc address=serial:%s ! image/jpeg,width=256 ! jpegdec ! "
        "appsink name=out sync=false",
        line.name));
    for (guint n = 0; n < 3; n++)
      gst_sample_unref (pipeline_pull (guest));
    fail_unless (helix_now_ns () - begin < 5 * GST_SECOND);
    pipeline_end (guest);
  }
  pipeline_end (host);
  line_stop (&line);
}
GST_END_TEST;

GST_START_TEST (test_serial_host_restarts)
{
  GstElement *host, *guest;
  Line line;

  line_start (&line);
  guest = pipeline_play (pipeline_launch (
      "helixsrc address=serial:%s ! jpegdec ! appsink name=out sync=false "
      "max-buffers=2 drop=true",
      line.name));
  for (guint i = 0; i < 3; i++) {
    host = pipeline_play (
        pipeline_launch ("videotestsrc is-live=true pattern=snow ! "
                         "video/x-raw,width=256,height=192,framerate=30/1 ! "
                         "jpegenc ! helixguestsink address=%s mode=connect",
            address));
    for (guint n = 0; n < 5; n++)
      gst_sample_unref (pipeline_pull (guest));
    pipeline_end (host);
  }
  pipeline_end (guest);
  line_stop (&line);
}
GST_END_TEST;

static Suite *
helixsrc_serial_suite (void)
{
  Suite *s = suite_create ("helixsrc-serial");
  TCase *tc = tcase_create ("serial");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_add_test (tc, test_serial_guest_restarts);
  tcase_add_test (tc, test_serial_host_restarts);
  return s;
}

GST_CHECK_MAIN (helixsrc_serial);

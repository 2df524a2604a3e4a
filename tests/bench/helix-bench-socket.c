/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The floor under helix-bench-units: how long as many bytes take from a write
 * in one process to the end of the last read in another, through a bare socket
 * of the same kind, with nothing around it. helix-bench-socket unix|tcp SIZE
 * RATE SECONDS; prints one JSON object.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "helix-bench-table.h"

#define WARMUP 50u /* as in helix-bench-units */

static void
make_tcp_pair (int pair[2])
{
  struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_addr.s_addr = htonl (INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  int listener = socket (AF_INET, SOCK_STREAM, 0), on = 1;

  pair[0] = socket (AF_INET, SOCK_STREAM, 0);
  if (bind (listener, (struct sockaddr *) &address, size) < 0
      || listen (listener, 1) < 0
      || getsockname (listener, (struct sockaddr *) &address, &size) < 0
      || connect (pair[0], (struct sockaddr *) &address, size) < 0)
    helix_bench_die ("no TCP on the loopback");
  pair[1] = accept (listener, NULL, NULL);
  setsockopt (pair[0], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  close (listener);
}

static int
compare (const void *a, const void *b)
{
  guint64 left = *(const guint64 *) a, right = *(const guint64 *) b;

  return left < right ? -1 : left > right;
}

static int
receive (int fd, const char *kind, gsize size, guint units)
{
  g_autofree guint8 *unit = g_malloc (size);
  g_autofree guint64 *took = g_new (guint64, units);

  for (guint n = 0; n < units + WARMUP; n++) {
    guint64 sent;

    for (gsize have = 0; have < size;) {
      ssize_t got = recv (fd, unit + have, size - have, 0);

      if (got <= 0)
        helix_bench_die ("the %s socket ended", kind);
      have += (gsize) got;
    }
    memcpy (&sent, unit, sizeof sent);
    if (n >= WARMUP)
      took[n - WARMUP] = helix_bench_now () - sent;
  }
  qsort (took, units, sizeof *took, compare);
  printf ("{\"address\": \"%s\", \"units\": %u, \"p50_ns\": %" G_GUINT64_FORMAT
          ", \"p99_ns\": %" G_GUINT64_FORMAT ", \"max_ns\": %" G_GUINT64_FORMAT
          "}\n",
      kind, units, took[units / 2], took[(units - 1) * 99 / 100],
      took[units - 1]);
  return EXIT_SUCCESS;
}

int
main (int argc, char **argv)
{
  gboolean tcp = argc > 1 && strcmp (argv[1], "tcp") == 0;
  gsize size = argc > 4 ? (gsize) atol (argv[2]) : 0;
  double rate = argc > 4 ? atof (argv[3]) : 0;
  guint units = argc > 4 ? (guint) (rate * atof (argv[4])) : 0;
  g_autofree guint8 *unit = NULL;
  int pair[2], status = 0;
  pid_t child;

  if (size < 8 || units < 1)
    helix_bench_die ("usage: unix|tcp SIZE RATE SECONDS, 8 bytes at least");
  if (tcp)
    make_tcp_pair (pair);
  else if (socketpair (AF_UNIX, SOCK_STREAM, 0, pair) < 0)
    helix_bench_die ("no socket");
  child = fork ();
  if (child == 0)
    return receive (pair[1], tcp ? "tcp" : "unix", size, units);
  unit = g_malloc0 (size);
  for (guint n = 0; n < units + WARMUP; n++) {
    guint64 now;

    /* The rate of an encoder. */
    g_usleep ((gulong) (G_USEC_PER_SEC / rate));
    now = helix_bench_now ();
    memcpy (unit, &now, sizeof now);
    for (gsize done = 0; done < size;) {
      ssize_t sent = send (pair[0], unit + done, size - done, MSG_NOSIGNAL);

      if (sent < 0)
        helix_bench_die ("the receiver is gone");
      done += (gsize) sent;
    }
  }
  waitpid (child, &status, 0);
  return WIFEXITED (status) ? WEXITSTATUS (status) : EXIT_FAILURE;
}

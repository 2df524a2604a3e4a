/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mute-proxy.h"

#include <errno.h>
#include <gst/check/gstcheck.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "helix-platform.h"

#define PAIRS_MAX 64

/* What was read from one end and not yet written to the other. */
typedef struct {
  guint8 bytes[16384];
  gssize at, size;
} Way;

typedef struct {
  gint fd[2];
  Way way[2]; /* from fd[i] to the other */
  gboolean muted;
} Pair;

struct _MuteProxy {
  gint listener;
  guint port, target;
  gint stop, mute; /* atomic */
  GThread *thread;
  /* the thread's */
  Pair *pairs[PAIRS_MAX];
  guint count;
};

/* A socket on a free port of 127.0.0.1. */
static gint
bind_free (guint *port)
{
  struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_addr.s_addr = htonl (INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  gint fd = helix_socket (AF_INET);

  fail_unless (fd >= 0);
  fail_unless_equals_int (
      bind (fd, (struct sockaddr *) &address, sizeof address), 0);
  fail_unless_equals_int (
      getsockname (fd, (struct sockaddr *) &address, &size), 0);
  *port = ntohs (address.sin_port);
  return fd;
}

static void
hang_up (Pair *pair)
{
  close (pair->fd[0]);
  close (pair->fd[1]);
  pair->fd[0] = pair->fd[1] = -1;
}

static void
take_connection (MuteProxy *proxy)
{
  struct sockaddr_in address = {.sin_family = AF_INET,
      .sin_addr.s_addr = htonl (INADDR_LOOPBACK),
      .sin_port = htons ((guint16) proxy->target)};
  gint in = helix_accept (proxy->listener), out;
  Pair *pair;
  struct pollfd done;
  gint error = 0;
  socklen_t size = sizeof error;

  if (in < 0)
    return;
  out = helix_socket (AF_INET);
  fail_unless (out >= 0);
  connect (out, (struct sockaddr *) &address, sizeof address);
  done.fd = out;
  done.events = POLLOUT;
  poll (&done, 1, 1000);
  getsockopt (out, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0 || proxy->count == PAIRS_MAX) {
    close (in);
    close (out);
    return;
  }
  pair = g_new0 (Pair, 1);
  pair->fd[0] = in;
  pair->fd[1] = out;
  proxy->pairs[proxy->count++] = pair;
}

/* One read or one write: an end that does not read holds up nobody but its
 * peer. FALSE: one of them is gone. */
static gboolean
carry (gint from, gint to, Way *way)
{
  struct iovec iov = {way->bytes + way->at, (size_t) (way->size - way->at)};
  gssize n;

  if (way->at < way->size) {
    n = helix_send (to, &iov, 1, -1);
    way->at += MAX (n, 0);
    return n >= 0 || errno == EAGAIN;
  }
  n = recv (from, way->bytes, sizeof way->bytes, 0);
  way->at = 0;
  way->size = MAX (n, 0);
  return n > 0 || (n < 0 && errno == EAGAIN);
}

/* What the two directions of `pair` wait for. */
static void
watch (const Pair *pair, struct pollfd *fds)
{
  for (guint i = 0; i < 2; i++) {
    const Way *way = &pair->way[i];
    gboolean full = way->at < way->size;

    fds[i].fd = pair->muted ? -1 : pair->fd[full ? 1 - i : i];
    fds[i].events = full ? POLLOUT : POLLIN;
  }
}

static gpointer
run (gpointer data)
{
  MuteProxy *proxy = data;

  while (!g_atomic_int_get (&proxy->stop)) {
    struct pollfd fds[1 + 2 * PAIRS_MAX] = {
        {.fd = proxy->listener, .events = POLLIN}};
    guint known = proxy->count;

    if (g_atomic_int_compare_and_exchange (&proxy->mute, 1, 0))
      for (guint i = 0; i < known; i++)
        proxy->pairs[i]->muted = TRUE;
    for (guint i = 0; i < known; i++)
      watch (proxy->pairs[i], &fds[1 + 2 * i]);
    poll (fds, 1 + 2 * known, 20);
    if (fds[0].revents)
      take_connection (proxy);
    for (guint i = 0; i < 2 * known; i++) {
      Pair *pair = proxy->pairs[i / 2];

      if (fds[1 + i].revents && pair->fd[0] >= 0
          && !carry (pair->fd[i % 2], pair->fd[1 - i % 2], &pair->way[i % 2]))
        hang_up (pair);
    }
  }
  return NULL;
}

MuteProxy *
mute_proxy_new (void)
{
  MuteProxy *proxy = g_new0 (MuteProxy, 1);
  gint target = bind_free (&proxy->target);

  proxy->listener = bind_free (&proxy->port);
  fail_unless_equals_int (listen (proxy->listener, 16), 0);
  close (target);
  proxy->thread = g_thread_new ("proxy", run, proxy);
  return proxy;
}

void
mute_proxy_free (MuteProxy *proxy)
{
  g_atomic_int_set (&proxy->stop, 1);
  g_thread_join (proxy->thread);
  for (guint i = 0; i < proxy->count; i++) {
    if (proxy->pairs[i]->fd[0] >= 0)
      hang_up (proxy->pairs[i]);
    g_free (proxy->pairs[i]);
  }
  close (proxy->listener);
  g_free (proxy);
}

guint
mute_proxy_port (MuteProxy *proxy)
{
  return proxy->port;
}

guint
mute_proxy_target (MuteProxy *proxy)
{
  return proxy->target;
}

void
mute_proxy_mute (MuteProxy *proxy)
{
  g_atomic_int_set (&proxy->mute, 1);
}

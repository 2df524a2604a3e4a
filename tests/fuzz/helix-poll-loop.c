/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-poll-loop.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>

#include <glib.h>

#include "helix-platform.h"
#include "helix-protocol.h"

struct watch {
  int fd; /* -1 = free */
  void (*readable) (void *opaque);
  void (*writable) (void *opaque);
  void *opaque;
  uint64_t serial; /* tells a watch from its successor on the same fd */
};

struct helix_poll_loop {
  void (*run) (void *opaque);
  void *opaque;
  int wakeup[2];
  bool quit; /* atomic */
  uint64_t deadline;
  uint64_t serial;
  GArray *watches; /* struct watch */
  GArray *polls;   /* struct pollfd: [0] the wake-up, then as watches */
};

struct helix_poll_loop *
helix_poll_loop_new (void (*run) (void *opaque), void *opaque)
{
  struct helix_poll_loop *loop = g_new0 (struct helix_poll_loop, 1);

  if (helix_wakeup_open (loop->wakeup) < 0) {
    g_free (loop);
    return NULL;
  }
  loop->run = run;
  loop->opaque = opaque;
  loop->deadline = HELIX_NONE64;
  loop->watches = g_array_new (FALSE, TRUE, sizeof (struct watch));
  loop->polls = g_array_new (FALSE, TRUE, sizeof (struct pollfd));
  return loop;
}

void
helix_poll_loop_free (struct helix_poll_loop *loop)
{
  helix_wakeup_close (loop->wakeup);
  g_array_free (loop->watches, TRUE);
  g_array_free (loop->polls, TRUE);
  g_free (loop);
}

static struct watch *
find (struct helix_poll_loop *loop, int fd)
{
  for (guint i = 0; i < loop->watches->len; i++) {
    struct watch *watch = &g_array_index (loop->watches, struct watch, i);

    if (watch->fd == fd)
      return watch;
  }
  return NULL;
}

void
helix_poll_loop_watch (struct helix_poll_loop *loop, int fd,
    void (*readable) (void *opaque), void (*writable) (void *opaque),
    void *opaque)
{
  struct watch *watch = find (loop, fd);

  if (!readable && !writable) {
    if (watch)
      watch->fd = -1;
    return;
  }
  if (!watch)
    watch = find (loop, -1);
  if (!watch) {
    struct watch fresh = {.fd = -1};

    g_array_append_val (loop->watches, fresh);
    watch =
        &g_array_index (loop->watches, struct watch, loop->watches->len - 1);
  }
  if (watch->fd != fd)
    watch->serial = ++loop->serial;
  watch->fd = fd;
  watch->readable = readable;
  watch->writable = writable;
  watch->opaque = opaque;
}

void
helix_poll_loop_timer (struct helix_poll_loop *loop, uint64_t deadline)
{
  loop->deadline = deadline;
}

void
helix_poll_loop_wake (struct helix_poll_loop *loop)
{
  helix_wakeup_raise (loop->wakeup);
}

void
helix_poll_loop_quit (struct helix_poll_loop *loop)
{
  __atomic_store_n (&loop->quit, true, __ATOMIC_RELEASE);
  helix_wakeup_raise (loop->wakeup);
}

void
helix_poll_loop_run (struct helix_poll_loop *loop)
{
  while (helix_poll_loop_once (loop, -1))
    ;
}

/* Nearer of the deadline and the caller's limit, rounded up: a round too
 * early would only spin. */
static int
wait_ms (struct helix_poll_loop *loop, int timeout_ms)
{
  uint64_t now, ms;

  if (loop->deadline == HELIX_NONE64)
    return timeout_ms;
  now = helix_now_ns ();
  if (loop->deadline <= now)
    return 0;
  ms = MIN ((loop->deadline - now + 999999) / 1000000, (uint64_t) INT_MAX);
  return timeout_ms >= 0 ? MIN ((int) ms, timeout_ms) : (int) ms;
}

static guint
fill_polls (struct helix_poll_loop *loop, uint64_t *serial)
{
  guint n = loop->watches->len;
  struct pollfd *polls;

  g_array_set_size (loop->polls, n + 1);
  polls = (struct pollfd *) loop->polls->data;
  polls[0] = (struct pollfd){.fd = loop->wakeup[0], .events = POLLIN};
  for (guint i = 0; i < n; i++) {
    struct watch *watch = &g_array_index (loop->watches, struct watch, i);

    polls[i + 1] = (struct pollfd){
        .fd = watch->fd,
        .events = (short) ((watch->readable ? POLLIN : 0)
            | (watch->writable ? POLLOUT : 0)),
    };
  }
  *serial = loop->serial;
  return n;
}

/* The array may move, and the watch may change hands, in any call. */
static void
call (struct helix_poll_loop *loop, guint index, int fd, short revents,
    uint64_t serial)
{
  struct watch watch = g_array_index (loop->watches, struct watch, index);

  if (watch.fd != fd || watch.serial > serial)
    return;
  if (watch.readable && revents & ~POLLOUT)
    watch.readable (watch.opaque);
  watch = g_array_index (loop->watches, struct watch, index);
  if (watch.fd != fd || watch.serial > serial)
    return;
  if (watch.writable && revents & ~POLLIN)
    watch.writable (watch.opaque);
}

bool
helix_poll_loop_once (struct helix_poll_loop *loop, int timeout_ms)
{
  uint64_t serial;
  guint n = fill_polls (loop, &serial);
  struct pollfd *polls = (struct pollfd *) loop->polls->data;
  bool due = false;

  if (poll (polls, n + 1, wait_ms (loop, timeout_ms)) < 0) {
    if (errno != EINTR)
      g_error ("poll: %s", g_strerror (errno));
    return !__atomic_load_n (&loop->quit, __ATOMIC_ACQUIRE);
  }
  for (guint i = 0; i < n; i++) {
    struct pollfd *p = &g_array_index (loop->polls, struct pollfd, i + 1);

    if (p->fd >= 0 && p->revents)
      call (loop, i, p->fd, p->revents, serial);
  }
  if (polls[0].revents) {
    helix_wakeup_clear (loop->wakeup);
    due = true;
  }
  if (loop->deadline <= helix_now_ns ()) {
    loop->deadline = HELIX_NONE64;
    due = true;
  }
  if (due)
    loop->run (loop->opaque);
  return !__atomic_load_n (&loop->quit, __ATOMIC_ACQUIRE);
}

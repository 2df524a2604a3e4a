/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-poll-loop.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>

#include <glib.h>

#include "helix-platform.h"
#include "helix-protocol.h"
#include "helix-waiter.h"

struct watch {
  int fd;
  void (*readable) (void *opaque);
  void (*writable) (void *opaque);
  void *opaque;
  uint64_t serial; /* tells a watch from its successor on the same fd */
};

struct helix_poll_loop {
  void (*run) (void *opaque);
  void *opaque;
  HelixWaiter waiter;
  gint quit; /* atomic */
  uint64_t deadline;
  uint64_t serial;
  GArray *watches; /* struct watch */
};

struct helix_poll_loop *
helix_poll_loop_new (void (*run) (void *opaque), void *opaque)
{
  struct helix_poll_loop *loop = g_new0 (struct helix_poll_loop, 1);

  if (!helix_waiter_init (&loop->waiter))
    g_error ("no descriptors for a loop: %s", g_strerror (errno));
  loop->run = run;
  loop->opaque = opaque;
  loop->deadline = HELIX_NONE64;
  loop->watches = g_array_new (FALSE, TRUE, sizeof (struct watch));
  return loop;
}

void
helix_poll_loop_free (struct helix_poll_loop *loop)
{
  helix_waiter_clear (&loop->waiter);
  g_array_free (loop->watches, TRUE);
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
  struct watch fresh = {fd, readable, writable, opaque, ++loop->serial};

  if (!readable && !writable) {
    if (watch)
      g_array_remove_index (loop->watches,
          (guint) (watch - &g_array_index (loop->watches, struct watch, 0)));
  } else if (watch) {
    fresh.serial = watch->serial;
    *watch = fresh;
  } else {
    g_array_append_val (loop->watches, fresh);
  }
}

void
helix_poll_loop_timer (struct helix_poll_loop *loop, uint64_t deadline)
{
  loop->deadline = deadline;
}

void
helix_poll_loop_wake (struct helix_poll_loop *loop)
{
  helix_waiter_wake (&loop->waiter);
}

void
helix_poll_loop_quit (struct helix_poll_loop *loop)
{
  g_atomic_int_set (&loop->quit, TRUE);
  helix_waiter_wake (&loop->waiter);
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
  uint64_t now = helix_now_ns (), ms;

  if (loop->deadline == HELIX_NONE64)
    return timeout_ms;
  if (loop->deadline <= now)
    return 0;
  ms = MIN ((loop->deadline - now + 999999) / 1000000, (uint64_t) INT_MAX);
  return timeout_ms >= 0 ? MIN ((int) ms, timeout_ms) : (int) ms;
}

/* In each call the watch may go, or another take its descriptor. */
static void
call (
    struct helix_poll_loop *loop, const struct pollfd *polled, uint64_t serial)
{
  struct watch *watch = find (loop, polled->fd);

  if (watch && watch->serial <= serial && watch->readable
      && polled->revents & ~POLLOUT)
    watch->readable (watch->opaque);
  watch = find (loop, polled->fd);
  if (watch && watch->serial <= serial && watch->writable
      && polled->revents & ~POLLIN)
    watch->writable (watch->opaque);
}

bool
helix_poll_loop_once (struct helix_poll_loop *loop, int timeout_ms)
{
  guint n = loop->watches->len;
  g_autofree struct pollfd *polls = g_new0 (struct pollfd, n + 1);
  uint64_t serial = loop->serial;
  bool due;

  for (guint i = 0; i < n; i++) {
    struct watch *watch = &g_array_index (loop->watches, struct watch, i);

    polls[i].fd = watch->fd;
    polls[i].events = (short) ((watch->readable ? POLLIN : 0)
        | (watch->writable ? POLLOUT : 0));
  }
  polls[n] = (struct pollfd){.fd = loop->waiter.wakeup[0], .events = POLLIN};
  if (poll (polls, n + 1, wait_ms (loop, timeout_ms)) < 0 && errno != EINTR)
    g_error ("poll: %s", g_strerror (errno));
  for (guint i = 0; i < n; i++)
    if (polls[i].revents)
      call (loop, &polls[i], serial);
  due = polls[n].revents != 0;
  if (due)
    helix_waiter_drain (&loop->waiter);
  if (loop->deadline <= helix_now_ns ()) {
    loop->deadline = HELIX_NONE64;
    due = true;
  }
  if (due)
    loop->run (loop->opaque);
  return !g_atomic_int_get (&loop->quit);
}

/* ---- as the core is given them ---- */

static void
watch (void *loops, int fd, void (*readable) (void *opaque),
    void (*writable) (void *opaque), void *opaque)
{
  struct helix_poll_loops *self = loops;

  helix_poll_loop_watch (self->io, fd, readable, writable, opaque);
}

static void
io_timer (void *loops, uint64_t deadline_ns)
{
  struct helix_poll_loops *self = loops;

  helix_poll_loop_timer (self->io, deadline_ns);
}

static void
wake_io (void *loops)
{
  struct helix_poll_loops *self = loops;

  helix_poll_loop_wake (self->io);
}

static void
wake_display (void *loops)
{
  struct helix_poll_loops *self = loops;

  helix_poll_loop_wake (self->display);
}

static void
display_timer (void *loops, uint64_t deadline_ns)
{
  struct helix_poll_loops *self = loops;

  helix_poll_loop_timer (self->display, deadline_ns);
}

const struct helix_loop_ops helix_poll_loop_ops = {
    watch, io_timer, wake_io, wake_display, display_timer};

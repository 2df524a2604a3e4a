/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-waiter.h"

#include <errno.h>
#include <limits.h>
#include <unistd.h>

#include "helix-platform.h"

#ifdef __linux__
#include <sys/eventfd.h>
#endif

#define NS_PER_MS 1000000u

bool
helix_waiter_init (HelixWaiter *self)
{
#ifdef __linux__
  self->wakeup[0] = self->wakeup[1] = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  return self->wakeup[0] >= 0;
#else
  if (pipe (self->wakeup) < 0)
    return false;
  if (helix_fd_prepare (self->wakeup[0]) == 0
      && helix_fd_prepare (self->wakeup[1]) == 0)
    return true;
  helix_waiter_clear (self);
  return false;
#endif
}

void
helix_waiter_clear (HelixWaiter *self)
{
  if (self->wakeup[1] != self->wakeup[0])
    helix_close (self->wakeup[1]);
  helix_close (self->wakeup[0]);
  self->wakeup[0] = self->wakeup[1] = -1;
}

void
helix_waiter_wake (HelixWaiter *self)
{
  const uint64_t one = 1;
  ssize_t n;

  /* EAGAIN: the descriptor is full, so a wake-up is pending already. */
  do
    n = write (self->wakeup[1], &one, sizeof one);
  while (n < 0 && errno == EINTR);
}

void
helix_waiter_drain (HelixWaiter *self)
{
  uint64_t drain[16];
  ssize_t n;

  do
    n = read (self->wakeup[0], drain, sizeof drain);
  while (n == (ssize_t) sizeof drain || (n < 0 && errno == EINTR));
}

bool
helix_waiter_wait (
    HelixWaiter *self, struct pollfd *fds, unsigned n, uint64_t deadline)
{
  int ready, timeout;
  uint64_t now;

  fds[0].fd = self ? self->wakeup[0] : -1;
  fds[0].events = POLLIN;
  do {
    now = helix_now_ns ();
    if (deadline <= now)
      timeout = 0;
    else if (deadline - now >= (uint64_t) INT_MAX * NS_PER_MS)
      timeout = INT_MAX; /* 24 days, and then again */
    else /* Rounded up: a caller that is early would only wait again. */
      timeout = (int) ((deadline - now + NS_PER_MS - 1) / NS_PER_MS);
    ready = poll (fds, n, timeout);
    if (ready < 0 && errno != EINTR && errno != EAGAIN)
      return true; /* the next read or write tells what is wrong */
  } while (ready < 0 || (ready == 0 && deadline > helix_now_ns ()));
  if (fds[0].revents != 0) {
    helix_waiter_drain (self);
    ready--;
  }
  return ready > 0;
}

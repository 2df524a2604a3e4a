/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-waiter.h"

#include <errno.h>

#include "helix-platform.h"
#include "helix-protocol.h"

#define NS_PER_MS G_GUINT64_CONSTANT (1000000)

gboolean
helix_waiter_init (HelixWaiter *self)
{
  return helix_wakeup_open (self->wakeup) == 0;
}

void
helix_waiter_clear (HelixWaiter *self)
{
  helix_wakeup_close (self->wakeup);
}

void
helix_waiter_wake (HelixWaiter *self)
{
  helix_wakeup_raise (self->wakeup);
}

gboolean
helix_waiter_wait (
    HelixWaiter *self, struct pollfd *fds, guint n, guint64 deadline)
{
  gint ready, timeout;
  guint64 now;

  fds[0].fd = self != NULL ? self->wakeup[0] : -1;
  fds[0].events = POLLIN;
  do {
    now = helix_now_ns ();
    timeout = -1;
    if (deadline <= now)
      timeout = 0;
    else if (deadline != HELIX_NONE64)
      /* Rounded up: a caller that is early would only wait again. */
      timeout = (gint) MIN (
          (deadline - now + NS_PER_MS - 1) / NS_PER_MS, (guint64) G_MAXINT);
    ready = poll (fds, n, timeout);
    if (ready < 0 && errno != EINTR && errno != EAGAIN)
      return TRUE; /* the next read or write tells what is wrong */
  } while (ready < 0 || (ready == 0 && deadline > helix_now_ns ()));
  if (fds[0].revents != 0) {
    helix_wakeup_clear (self->wakeup);
    ready--;
  }
  return ready > 0;
}

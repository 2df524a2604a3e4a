/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * poll () with a deadline in ns and a wake-up by other threads. C99, no GLib.
 */
#ifndef HELIX_WAITER_H
#define HELIX_WAITER_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct {
  int wakeup[2]; /* the first is readable after wake (); may be the second */
} HelixWaiter;

/* false: there is no descriptor left; errno. */
bool helix_waiter_init (HelixWaiter *self);
void helix_waiter_clear (HelixWaiter *self);

/* Ends the wait that goes on, or else the next one. Never blocks. Any
 * thread. */
void helix_waiter_wake (HelixWaiter *self);
/* Undoes wake (), as wait () does; for those that poll () themselves. */
void helix_waiter_drain (HelixWaiter *self);

/* Waits until one of fds[1] to fds[n - 1] is ready, until wake () or until
 * helix_now_ns () is `deadline`; UINT64_MAX = without end. Never returns
 * earlier than that. fds[0] is for the wake-up: this function fills it in.
 * `self` may be NULL: there is no wake-up.
 *
 * Returns true if one of fds[1] to fds[n - 1] is ready; fds[0].revents tells
 * of the wake-up. */
bool helix_waiter_wait (
    HelixWaiter *self, struct pollfd *fds, unsigned n, uint64_t deadline);

#endif /* HELIX_WAITER_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * poll () with a deadline in ns and a wake-up by other threads.
 */
#ifndef HELIX_WAITER_H
#define HELIX_WAITER_H

#include <glib.h>
#include <poll.h>

G_BEGIN_DECLS

typedef struct {
  int wakeup[2]; /* helix_wakeup_open () */
} HelixWaiter;

/* FALSE: there is no descriptor left; errno. */
gboolean helix_waiter_init (HelixWaiter *self);
void helix_waiter_clear (HelixWaiter *self);

/* Ends the wait that goes on, or else the next one. Any thread. */
void helix_waiter_wake (HelixWaiter *self);

/* Waits until one of fds[1] to fds[n - 1] is ready, until wake () or until
 * helix_now_ns () is `deadline`; HELIX_NONE64 = without end. Never returns
 * earlier than that. fds[0] is for the wake-up: this function fills it in.
 * `self` may be NULL: there is no wake-up.
 *
 * Returns TRUE if one of fds[1] to fds[n - 1] is ready; fds[0].revents tells
 * of the wake-up. */
gboolean helix_waiter_wait (
    HelixWaiter *self, struct pollfd *fds, guint n, guint64 deadline);

G_END_DECLS

#endif /* HELIX_WAITER_H */

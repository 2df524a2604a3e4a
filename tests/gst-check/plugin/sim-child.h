/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * helix-shim-sim ($HELIX_SIM) as a child of a test.
 */
#ifndef SIM_CHILD_H
#define SIM_CHILD_H

#include <signal.h>

#include "child.h"

typedef Child SimChild;

/* Starts it on `path` with further options ("--size=640x96 --rate=30"), and
 * returns when it listens. Fails the test when it does not. */
SimChild *sim_child_new (const gchar *path, const gchar *options);
#define sim_child_pid child_pid
#define sim_child_signal child_signal

/* kill -9: it gets no chance to say goodbye or to clean up. */
static inline void
sim_child_kill (SimChild *sim)
{
  child_end (sim, SIGKILL);
}

/* Asks it to end, waits until it has. */
static inline void
sim_child_end (SimChild *sim)
{
  child_end (sim, SIGTERM);
}

#endif /* SIM_CHILD_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * helix-shim-sim ($HELIX_SIM) as a child of a test.
 */
#ifndef SIM_CHILD_H
#define SIM_CHILD_H

#include <glib.h>

typedef struct _SimChild SimChild;

/* Starts it on `path` with further options ("--size=640x96 --rate=30"), and
 * returns when it listens. Aborts the test when it does not. */
SimChild *sim_child_new (const gchar *path, const gchar *options);
GPid sim_child_pid (SimChild *sim);
/* SIGSTOP, SIGCONT. */
void sim_child_signal (SimChild *sim, gint signal);
/* kill -9: it gets no chance to say goodbye or to clean up. */
void sim_child_kill (SimChild *sim);
/* Asks it to end, waits until it has. */
void sim_child_end (SimChild *sim);

#endif /* SIM_CHILD_H */

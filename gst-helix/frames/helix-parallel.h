/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The parts of one piece of work on several threads.
 *
 * The caller's thread works too, and each takes the next part when it has done
 * one: a thread that wakes up late costs nothing. GstTaskPool would allocate
 * for each part, and the caller wait for each, even one that has not begun.
 *
 * Where other work takes a processor from one of the threads while it has a
 * part, the caller has to wait for it. Then it works alone for a while.
 */
#ifndef HELIX_PARALLEL_H
#define HELIX_PARALLEL_H

#include <glib.h>

G_BEGIN_DECLS

/* More gain nothing: memory is what bounds a conversion. */
#define HELIX_PARALLEL_MOST 4

typedef struct _HelixParallel HelixParallel;

/* `threads`: that work at the same time, the caller's among them. 0: as many as
 * there are processors, HELIX_PARALLEL_MOST at most. The others are started
 * when there is work for the first time. */
HelixParallel *helix_parallel_new (guint threads);
void helix_parallel_free (HelixParallel *parallel);

guint helix_parallel_get_threads (const HelixParallel *parallel);

/* Calls `work` for each part from 0 to `parts` - 1, in any order, on any of the
 * threads. Returns when all are done. Allocates nothing.
 * Thread: one at a time. */
void helix_parallel_run (HelixParallel *parallel, guint parts,
    void (*work) (gpointer data, guint part), gpointer data);

G_END_DECLS

#endif /* HELIX_PARALLEL_H */

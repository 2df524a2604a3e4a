/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The shim's two loops on GLib's main contexts, as QEMU has its own. The sim
 * runs them; tests and fuzzers also step them by hand.
 * Thread: each loop has one, which calls all that does not say "any thread".
 */
#ifndef HELIX_SIM_LOOP_H
#define HELIX_SIM_LOOP_H

#include <glib.h>

#include "helix-shim.h"

struct helix_sim_loop {
  GMainContext *context;
  GSource *wake, *timer; /* each calls helix_shim_io_run or _display_run */
  GHashTable *watches;   /* descriptor -> GSource */
  gint quit;             /* atomic */
};

/* helix_sim_loop_ops takes it for `loop`. */
struct helix_sim_loops {
  struct helix_sim_loop io, display;
  struct helix_shim *shim; /* set before a loop runs */
};
extern const struct helix_loop_ops helix_sim_loop_ops;

/* `io`: the context of the io loop, or NULL = a new one. */
void helix_sim_loops_init (struct helix_sim_loops *loops, GMainContext *io);
void helix_sim_loops_clear (struct helix_sim_loops *loops);

/* As helix_loop_ops.watch; errors and hang-ups count as what is wanted. */
void helix_sim_loop_watch (struct helix_sim_loop *loop, int fd,
    void (*readable) (void *opaque), void (*writable) (void *opaque),
    void *opaque);
/* One more timer, which is off: calls run (opaque) at its deadline. The loop's
 * context keeps it. */
GSource *helix_sim_loop_timer (
    struct helix_sim_loop *loop, void (*run) (void *opaque), void *opaque);
/* Any thread. helix_now_ns () time, 0 = now, HELIX_NONE64 = off. */
void helix_sim_timer_set (GSource *timer, uint64_t deadline_ns);

/* Until helix_sim_loop_quit. */
void helix_sim_loop_run (struct helix_sim_loop *loop);
/* Any thread. */
void helix_sim_loop_quit (struct helix_sim_loop *loop);

#endif /* HELIX_SIM_LOOP_H */

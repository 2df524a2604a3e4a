/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A loop on poll (2) that tests step by hand: descriptors, one deadline, one
 * wake-up. Thread: one, but for helix_poll_loop_wake and _quit.
 */
#ifndef HELIX_POLL_LOOP_H
#define HELIX_POLL_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "helix-shim.h"

struct helix_poll_loop;

/* `run` (opaque) is called after every wake-up and when the deadline of
 * helix_poll_loop_timer has come. */
struct helix_poll_loop *helix_poll_loop_new (
    void (*run) (void *opaque), void *opaque);
void helix_poll_loop_free (struct helix_poll_loop *loop);

/* As helix_loop_ops.watch; errors and hang-ups count as what is wanted. May be
 * called from such a call, for any descriptor. */
void helix_poll_loop_watch (struct helix_poll_loop *loop, int fd,
    void (*readable) (void *opaque), void (*writable) (void *opaque),
    void *opaque);
/* helix_now_ns () time, HELIX_NONE64 = off. */
void helix_poll_loop_timer (struct helix_poll_loop *loop, uint64_t deadline);

/* Thread: any; signal handlers, too. */
void helix_poll_loop_wake (struct helix_poll_loop *loop);
void helix_poll_loop_quit (struct helix_poll_loop *loop);

/* Until helix_poll_loop_quit. */
void helix_poll_loop_run (struct helix_poll_loop *loop);
/* One round: waits at most `timeout_ms` (-1 = for ever) for something to do,
 * and does it. Returns false after quit. */
bool helix_poll_loop_once (struct helix_poll_loop *loop, int timeout_ms);

/* A shim's two threads. helix_poll_loop_ops takes it for `loop`. */
struct helix_poll_loops {
  struct helix_poll_loop *io, *display;
};
extern const struct helix_loop_ops helix_poll_loop_ops;

#endif /* HELIX_POLL_LOOP_H */

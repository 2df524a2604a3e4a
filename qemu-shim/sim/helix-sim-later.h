/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Readbacks that are complete later, as those of a GPU are. A readback's pixels
 * are taken when it begins, and are in its destination when it ends; a thread
 * writes them there. It writes other bytes first, so that pixels which are used
 * too early are seen to be wrong.
 * Thread: display.
 */
#ifndef HELIX_SIM_LATER_H
#define HELIX_SIM_LATER_H

#include <glib.h>

#include "helix-sim-loop.h"

struct helix_sim_later {
  struct helix_sim_loops *loops; /* and the shim */
  uint64_t delay_ns;             /* HELIX_NONE64 = until helix_sim_later_end */
  GQueue reads;                  /* oldest first */
  GSource *due_timer, *written_timer;
};

/* Before the display loop runs. */
void helix_sim_later_init (struct helix_sim_later *self,
    struct helix_sim_loops *loops, uint64_t delay_ns);
/* After it ran, behind helix_shim_io_stop: all that are left fail. */
void helix_sim_later_clear (struct helix_sim_later *self);

/* For helix_display_ops.read: it is PENDING from here on. `copy` is called for
 * each box at once, its `dst` is where the box's top left pixel goes, `stride`
 * bytes a row. */
void helix_sim_later_read (struct helix_sim_later *self,
    struct helix_readback *readback,
    void (*copy) (
        void *opaque, const struct helix_rect *box, void *dst, uint32_t stride),
    void *opaque);
/* The oldest one ends now: `why` = NULL, it is good, else it fails. Returns
 * false if there is none. */
bool helix_sim_later_end (struct helix_sim_later *self, const char *why);

#endif /* HELIX_SIM_LATER_H */

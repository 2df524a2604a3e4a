/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A frame for one subscription: a slot is filled.
 *
 * A slot's stale region is first copied from the least stale slot of all
 * subscriptions that show the same; only what no slot has is read from the
 * screen. So a flush is read once however many subscriptions there are, and
 * older damage is never read twice.
 *
 * A readback may be complete later (HELIX_READ_PENDING). One of a surface is
 * pending at a time. Subscriptions that are due in the pass which begins it
 * join it: their slots are copied from the first one's. All others wait for its
 * end; damage meanwhile is due then. What a mode change, a new pool or a client
 * that left has made useless is dropped at the end, never cancelled.
 *
 * Thread: display.
 */
#ifndef HELIX_SHIM_FRAME_H
#define HELIX_SHIM_FRAME_H

#include "helix-shim-subscription.h"

/* Begins a frame if something is pending and it may be. `flushed`: what the
 * subscription shows was flushed just now.
 * Returns: when to try again, HELIX_NONE64 = when something happens. */
uint64_t helix_shim_frame_serve (
    struct helix_shim_subscription *subscription, bool flushed);
/* In a pass, before it serves: helix_shim_display_read_done (). */
void helix_shim_frame_read_done (
    struct helix_shim *shim, struct helix_readback *readback, const char *why);
/* No frames until it can be read; the subscription goes on. */
void helix_shim_frame_tell_unreadable (
    struct helix_shim_subscription *subscription, const char *why);

#endif /* HELIX_SHIM_FRAME_H */

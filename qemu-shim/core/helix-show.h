/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * SHOW: a client names the resource that its subscription shows from now on,
 * and that something else is in it. The newest one counts; those before it
 * that were not obeyed yet, or that found no credit, are gone.
 */
#ifndef HELIX_SHOW_H
#define HELIX_SHOW_H

#include "helix-subscription.h"

/* Least time between two SHOWs that are obeyed for one subscription: each one
 * looks its resource up and reads all of it, on the display thread, and a
 * client may send them as fast as it can. 250 a second are more than any
 * screen shows (240 Hz). */
#define HELIX_SHOW_EVERY_NS 4000000u

/* Io thread. */
void helix_show_store (
    struct helix_subscription *subscription, const struct helix_show *show);
/* Display thread, when all of shim->pass have begun: obeys what was stored
 * since, if it is due; the pass then serves it. */
void helix_show_obey (struct helix_subscription *subscription, uint64_t now);
/* Display thread: when the SHOW that waits may be obeyed; HELIX_NONE64 = none
 * waits. */
uint64_t helix_show_due (const struct helix_subscription *subscription);
/* Display thread: what the subscription shows is gone. False if SHOW did not
 * bring it: then the subscription follows its scanout, or ends. */
bool helix_show_lost (struct helix_subscription *subscription);
/* Display thread: the capture time of a frame that was filled at `filled_ns`.
 * A client tells the picture's own; it is believed within reason. */
uint64_t helix_show_capture (
    const struct helix_subscription *subscription, uint64_t filled_ns);

#endif /* HELIX_SHOW_H */

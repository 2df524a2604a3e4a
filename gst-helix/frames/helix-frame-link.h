/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The socket to the shim, as an object that outlives everybody who uses it.
 *
 * Frames in a pipeline may be let go long after the element is gone, from any
 * thread, and each of them then owes the shim a RELEASE. They hold a reference
 * to the link and the epoch (the number of the connection) that they belong
 * to; a RELEASE of a connection that is over goes nowhere.
 */
#ifndef HELIX_FRAME_LINK_H
#define HELIX_FRAME_LINK_H

#include <glib.h>

G_BEGIN_DECLS

typedef struct _HelixFrameLink HelixFrameLink;

/* NULL when no wake-up descriptor can be had; errno says why. */
HelixFrameLink *helix_frame_link_new (void);
HelixFrameLink *helix_frame_link_ref (HelixFrameLink *link);
void helix_frame_link_unref (HelixFrameLink *link);

/* Takes `fd` over and starts a new epoch, which is returned. */
guint helix_frame_link_attach (HelixFrameLink *link, int fd);
/* Closes the descriptor; whoever sends afterwards sends into the void. */
void helix_frame_link_detach (HelixFrameLink *link);
/* The descriptor, or -1: only for the thread that attaches and detaches. */
int helix_frame_link_fd (HelixFrameLink *link);

/* Sends a whole message, or queues what the socket does not take and wakes
 * the waiting thread up to flush it. Never blocks; any thread. FALSE when the
 * epoch is over or the connection broken (its reader will see that too). */
gboolean helix_frame_link_send (
    HelixFrameLink *link, guint epoch, const guint8 *message, gsize size);
/* Says BYE, which is the last message of the epoch: what is sent after it goes
 * nowhere. Any thread. */
void helix_frame_link_end (HelixFrameLink *link, guint epoch);
/* Sends what was queued. TRUE while something is left: poll for POLLOUT. */
gboolean helix_frame_link_flush (HelixFrameLink *link);

/* The wake-up: its readable end, raising it, clearing it. */
int helix_frame_link_wakeup_fd (HelixFrameLink *link);
void helix_frame_link_wakeup (HelixFrameLink *link);
void helix_frame_link_wakeup_clear (HelixFrameLink *link);

G_END_DECLS

#endif /* HELIX_FRAME_LINK_H */

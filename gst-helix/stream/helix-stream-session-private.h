/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The session's inside: helix-stream-session.c is its life,
 * helix-stream-session-messages.c what it makes of its peer's messages.
 */
#ifndef HELIX_STREAM_SESSION_PRIVATE_H
#define HELIX_STREAM_SESSION_PRIVATE_H

#include "helix-stream-session.h"

G_BEGIN_DECLS

/* A whole message is in the reader. */
void helix_stream_session_message (HelixStreamSession *self,
    const HelixStreamSessionPolicy *policy, guint64 now);

/* At once, without a last word; the connection as well, unless the stream
 * outlives its sessions. */
void helix_stream_session_end (HelixStreamSession *self, const gchar *reason);

/* Drops what waits. CAPS and the cursor among it will be sent again. Returns
 * how many units that were. */
guint helix_stream_session_drop (HelixStreamSession *self);
/* Likewise with all messages, even one that is partly sent. */
void helix_stream_session_abandon (HelixStreamSession *self);

G_END_DECLS

#endif /* HELIX_STREAM_SESSION_PRIVATE_H */

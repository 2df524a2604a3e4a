/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What reading (helix-stream-link.c) and saying (-out.c) share. */
#ifndef HELIX_STREAM_LINK_PRIVATE_H
#define HELIX_STREAM_LINK_PRIVATE_H

#include "helix-stream-link.h"

G_BEGIN_DECLS

/* Sets `error`: "ADDRESS: text." Returns HELIX_STREAM_LINK_LOST. */
HelixStreamLinkEvent helix_stream_link_lose (HelixStreamLink *self,
    gboolean fatal, GstResourceError code, const gchar *format, ...)
    G_GNUC_PRINTF (4, 5);

/* Queues a message. FALSE: too much waits already, it was not taken. */
gboolean helix_stream_link_say (
    HelixStreamLink *self, const guint8 *message, gsize size);
void helix_stream_link_hello (HelixStreamLink *self);

G_END_DECLS

#endif /* HELIX_STREAM_LINK_PRIVATE_H */

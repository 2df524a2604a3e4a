/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The secret that both ends of the stream share, from where its user put it.
 * Any thread.
 */
#ifndef HELIX_TOKEN_H
#define HELIX_TOKEN_H

#include <glib.h>

G_BEGIN_DECLS

/* Stores in *found what an element or a tool was given: `token` itself, or the
 * first line of the file `path` without its line end, or NULL where neither is
 * there. g_free () it. FALSE, *found is NULL, and an error for
 * GST_ELEMENT_ERROR: both are there; the token is empty or has more than
 * HELIX_MAX_TOKEN bytes; the file cannot be read, is no regular one, or other
 * users may read or change it. Never waits for another program. */
gboolean helix_token_find (
    const gchar *token, const gchar *path, gchar **found, GError **error);

G_END_DECLS

#endif /* HELIX_TOKEN_H */

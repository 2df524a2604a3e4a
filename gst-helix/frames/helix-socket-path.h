/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where the shim's socket is, and why it cannot be reached.
 */
#ifndef HELIX_SOCKET_PATH_H
#define HELIX_SOCKET_PATH_H

#include <glib.h>

G_BEGIN_DECLS

/* What to connect to: `wanted`, or if that is NULL the first of the default
 * places that exists: $HELIX_SOCKET (taken unseen), helix.sock in
 * $XDG_RUNTIME_DIR, in UTM's group container, in the working directory. With
 * `looked` the places are told, as a list for a person (free it). */
gchar *helix_socket_path_find (const gchar *wanted, gchar **looked);

/* Connects. -1: *error names path, cause and remedy; *final tells whether
 * trying again later is of no use. */
int helix_socket_path_connect (
    const gchar *wanted, gchar **path, gboolean *final, GError **error);

G_END_DECLS

#endif /* HELIX_SOCKET_PATH_H */

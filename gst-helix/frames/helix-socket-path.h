/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where the shim's socket is, and why it cannot be reached.
 *
 * A path that the user names ($HELIX_SOCKET counts as named) is taken as it
 * is. Without one the VMs that run here are looked for (helix-vm-places.h),
 * and the only one is taken. When there are several, it is for the user to
 * say which.
 */
#ifndef HELIX_SOCKET_PATH_H
#define HELIX_SOCKET_PATH_H

#include <glib.h>
#include <sys/types.h>

G_BEGIN_DECLS

/* What a search remembers from one connection to the next. All zero before
 * the first. */
typedef struct {
  uid_t server_uid; /* the caller's: see helix-server-user.h, 0 = none */
  gchar *path;      /* of the VM that was found last, or NULL */
  guint64 lost_ns;  /* since when it cannot be reached, 0 = it can */
  pid_t pid;        /* its process, 0 = unknown */
  gchar *found; /* why it was taken, a clause: "it is the only one, in FOLDER
                 * (…)"; NULL = it was named */
} HelixSocketSearch;

void helix_socket_search_clear (HelixSocketSearch *search);

/* What the user names: `wanted`, else $HELIX_SOCKET; NULL = neither. */
const gchar *helix_socket_path_named (const gchar *wanted);

/* Connects to `path`, and only to a server that is trusted. No byte was sent
 * yet. -1: *error names path, cause and remedy; *final tells whether
 * trying again later is of no use. Never waits. */
int helix_socket_path_dial (
    const gchar *path, uid_t server_uid, gboolean *final, GError **error);

/* Connects to what the user names, or to the only VM that runs here. When the
 * VM that `search` remembers is away, others are not looked at for the first
 * ten seconds: it may be restarting, and another one's screen is no
 * replacement.
 *
 * -1: *error names path, cause and remedy; *final tells whether trying again
 * later is of no use. Without *error: the descriptor `interrupt` (-1 = none)
 * became readable first. Waits for half a second at most, and only where
 * there are several sockets. *path is what was tried, NULL = there was
 * nothing to try; free it. */
int helix_socket_path_connect (const gchar *wanted, HelixSocketSearch *search,
    int interrupt, gchar **path, gboolean *final, GError **error);

G_END_DECLS

#endif /* HELIX_SOCKET_PATH_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The users whose servers are trusted with frames: the user of this process,
 * root, and one further user named by server-user.
 *
 * The kernel tells as which user the server called listen (). A QEMU that root
 * starts with -run-with user= listens only after it has become that user; any
 * other program that listened as root counts as root for good.
 */
#ifndef HELIX_SERVER_USER_H
#define HELIX_SERVER_USER_H

#include <glib.h>
#include <sys/types.h>

G_BEGIN_DECLS

/* No further user: root is trusted anyway. */
#define HELIX_SERVER_USER_NONE ((uid_t) 0)

/* The uid of `user`, a name or a number; NULL and "" are none. FALSE: there is
 * no such user, and *error (GST_RESOURCE_ERROR_SETTINGS) says so. May take
 * time, where users are looked up on the network. */
gboolean helix_server_user_parse (
    const gchar *user, uid_t *uid, GError **error);

/* Whether the server at the other end of `fd`, connected to `path`, is to be
 * spoken to; call it before a byte is sent. FALSE: *error
 * (GST_RESOURCE_ERROR_NOT_AUTHORIZED) says who serves there instead. */
gboolean helix_server_user_check (
    int fd, const gchar *path, uid_t further, GError **error);

G_END_DECLS

#endif /* HELIX_SERVER_USER_H */

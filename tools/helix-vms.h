/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The VMs of this machine whose screens can be had (sockets of shims), and
 * which end of the stream this machine is.
 */
#ifndef HELIX_VMS_H
#define HELIX_VMS_H

#include "helix-discovery.h"
#include "helix-probe.h"

G_BEGIN_DECLS

/* `wanted`, or $HELIX_SOCKET, taken unseen: *looked is NULL. Else all that
 * helixqemusrc would find (helix-discovery.h), but for sockets that no process
 * serves, unless there is only one socket; *looked says for a person where it
 * was looked. HelixVm, not connected; those that were found have the pid of who
 * listens. The caller unrefs the array and frees *looked. */
GPtrArray *helix_vms_find (const gchar *wanted, gchar **looked);

/* A GOptionArgFunc, of --server-user: who else may serve a VM's socket, see
 * helix-discovery.h. It goes for all connections of this process from then
 * on. */
gboolean helix_vms_take_server_user (
    const gchar *option, const gchar *user, gpointer data, GError **error);
/* What it says; HELIX_SERVER_USER_NONE at first. */
uid_t helix_vms_server_uid (void);

/* Connects and says HELLO: to the shim at the path `where` if `role` is
 * HELIX_ROLE_FRAMES, else to the stream at that address; `token` is for the
 * stream, or NULL. NULL: *error is a sentence with `where`. */
HelixProbe *helix_vms_reach (const gchar *where, enum helix_role role,
    const gchar *token, guint64 deadline, GError **error);
/* The same for the shim that `wanted` or $HELIX_SOCKET names, else for that of
 * the only VM. The caller frees *path. */
HelixProbe *helix_vms_reach_only (
    const gchar *wanted, guint64 deadline, gchar **path, GError **error);

typedef enum {
  HELIX_HOST = 1 << 0,
  HELIX_GUEST = 1 << 1,
  HELIX_BOTH = HELIX_HOST | HELIX_GUEST,
} HelixRole;

/* Where this runs. A VM's socket (`wanted`, as above) makes a host. Else the
 * hardware below `root` ("/"; tests have others) decides: a guest of ours has a
 * virtio GPU, or a virtio port named after helix. A host may be a virtual
 * machine itself, so other virtio devices and what the firmware calls itself
 * are not enough. *why = a phrase for a person; free it. */
HelixRole helix_role_detect (
    const gchar *wanted, const gchar *root, gchar **why);

/* The address of the stream: `given`, if it is not NULL, else $HELIX_ADDRESS,
 * else where the elements of that role look by default. */
const gchar *helix_role_address (HelixRole role, const gchar *given);

G_END_DECLS

#endif /* HELIX_VMS_H */

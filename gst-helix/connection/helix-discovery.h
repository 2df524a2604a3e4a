/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which VMs run here, and a connection to one of them: where shims' sockets
 * are, why one cannot be reached, whether its server is to be trusted, and what
 * a VM says of itself without a subscription.
 *
 * A path that the user names ($HELIX_SOCKET counts as named) is taken as it is.
 * Without one, sockets are looked for in the registry
 * (platform/helix-registry.h), in $XDG_RUNTIME_DIR and in UTM's group
 * containers, not in the working directory: other users may write to it. The
 * only VM that listens is taken. Of several, the user has to name one.
 *
 * Nothing here waits but helix_vm_poll (), helix_vm_ask () and
 * helix_discovery_connect (). Thread: each object belongs to one at a time.
 */
#ifndef HELIX_DISCOVERY_H
#define HELIX_DISCOVERY_H

#include <glib.h>
#include <sys/types.h>

#include "helix-connection.h"

G_BEGIN_DECLS

/* ---- the user that serves a socket ----
 * Frames are taken from servers of this process's user, of root, and of one
 * further user, named by server-user. The kernel tells which user called listen
 * (). A QEMU that root starts with -run-with user= listens only after it has
 * become that user; any other program that listened as root counts as root for
 * good. */

/* No further user: root is trusted anyway. */
#define HELIX_SERVER_USER_NONE ((uid_t) 0)

/* The uid of `user`, a name or a number; NULL and "" are none. FALSE: there is
 * no such user, and *error (GST_RESOURCE_ERROR_SETTINGS) says so. May take
 * time, where users are looked up on the network. */
gboolean helix_discovery_find_user (
    const gchar *user, uid_t *uid, GError **error);

/* Whether the server at the other end of `fd`, connected to `path`, is to be
 * spoken to; call it before a byte is sent. FALSE: *error
 * (GST_RESOURCE_ERROR_NOT_AUTHORIZED) says who serves there instead. *pid is
 * the process that listens, 0 = not known. */
gboolean helix_discovery_trusts (
    int fd, const gchar *path, uid_t server_uid, pid_t *pid, GError **error);

/* ---- sockets ---- */

/* What the user names: `wanted`, else $HELIX_SOCKET; NULL = neither. */
const gchar *helix_discovery_named (const gchar *wanted);

/* Connects to `path`, and only to a server that is trusted. No byte was sent
 * yet. *pid is the process that listens, 0 = not known. -1: *error names path,
 * cause and remedy. Never waits. */
int helix_discovery_dial (
    const gchar *path, uid_t server_uid, pid_t *pid, GError **error);

/* ---- VMs ---- */

/* A socket that may be a VM's, and what that says of itself, for as long as the
 * connection lasts. */
typedef struct {
  gchar *path;
  gchar *where; /* it was found, and why there: "in FOLDER (…)" */
  pid_t pid;    /* of who listens; 0 = not connected, or not known */
  /* after helix_vm_connect () */
  HelixConnection *connection; /* its `name`, "" = not known; its `loss` tells
                                * that it is over: what was told stays */
  gboolean complete;           /* all was told, or no more clients are taken */
  gboolean news; /* something was told since the owner cleared this */
  guint32 known; /* bit i: scanout[i] was told */
  struct helix_scanout scanout[HELIX_MAX_SCANOUTS];

  /* private */
  dev_t device; /* of the file */
  ino_t inode;
} HelixVm;

HelixVm *helix_vm_new (const gchar *path, const gchar *where);
void helix_vm_free (HelixVm *self);

/* All sockets that exist, each file once: HelixVm, not connected. $HELIX_SOCKET
 * comes first, then the registry's. *looked, unless NULL, is a list, for
 * a person, of the places that were looked at; the caller frees it and unrefs
 * the array. */
GPtrArray *helix_discovery_list (gchar **looked);

/* Connects as helix_discovery_dial () does, as the program `name`. What the VM
 * says comes after helix_connection_hello (). */
gboolean helix_vm_connect (
    HelixVm *self, const gchar *name, uid_t server_uid, GError **error);

/* `vms`: an array of HelixVm that were greeted. helix_vm_poll () waits until
 * one of them says something, and takes that in, or until helix_now_ns () is
 * `deadline`. helix_vm_ask () does so until each is complete or over, for half
 * a second at most. FALSE: `waiter`, which may be NULL, was woken. */
gboolean helix_vm_poll (GPtrArray *vms, HelixWaiter *waiter, guint64 deadline);
gboolean helix_vm_ask (GPtrArray *vms, HelixWaiter *waiter);

/* The part of a VM's name that tells it from others. "QEMU 10.0.2 (desk),
 * helix-export 0.1.0" is "desk"; without such a name it is what stands before
 * the comma, and without any the socket's. The caller frees it. */
gchar *helix_vm_label (const gchar *name, const gchar *path);

/* ---- the one to connect to ---- */

/* What is remembered from one connection to the next. All zero before the
 * first. */
typedef struct {
  /* the caller's */
  uid_t server_uid;    /* or HELIX_SERVER_USER_NONE */
  const gchar *option; /* that names a socket; NULL = "socket-path" */

  gchar *path;  /* of the VM that was found, or NULL */
  pid_t pid;    /* its process, 0 = unknown */
  gchar *found; /* why it was taken, a clause: "it is the only one, in FOLDER
                 * (…)"; NULL = it was named */
} HelixDiscovery;

void helix_discovery_clear (HelixDiscovery *self);

/* Connects to what the user names, or to the only VM that runs here. The VM
 * that was found stays the one to connect to until helix_discovery_clear (): it
 * may be restarting, and another one's screen is no replacement. Clear it when
 * the connection ended before the VM answered: the kernel takes connections for
 * one that is stopped, too.
 *
 * -1: *error names path, cause and remedy; *final tells whether trying again
 * later is of no use. Without *error: `waiter`, which may be NULL, was woken
 * first. Waits for half a second at most, and only where several sockets take
 * connections. *path is what was tried, NULL = there was nothing to try; the
 * caller frees it. */
int helix_discovery_connect (HelixDiscovery *self, const gchar *wanted,
    HelixWaiter *waiter, gchar **path, gboolean *final, GError **error);

G_END_DECLS

#endif /* HELIX_DISCOVERY_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which shims run here: a folder of symbolic links, PID.vm, one for each, to
 * their sockets (a process's second one is PID-2.vm). A shim adds its own when
 * it listens; whoever looks for VMs reads the folder. It is
 * $XDG_RUNTIME_DIR/gst-helix; if that is set to another user's, the same in
 * /run/user/UID; without either, /tmp/gst-helix-UID. The folder is used only
 * if it is ours and nobody else may write to it. Nothing depends on
 * it: a shim that cannot register serves all the same.
 *
 * C99 and POSIX, no GLib: part of QEMU. Any thread.
 */
#ifndef HELIX_REGISTRY_H
#define HELIX_REGISTRY_H

#include <stdbool.h>
#include <sys/types.h>

/* Bytes, NUL included: of a folder, an entry and a socket's path. */
#define HELIX_REGISTRY_PATH 1024

/* The folder's path. With `create`, makes it (mode 0700). false: there is
 * none, or it cannot be trusted; *why = a static sentence, and `folder` says
 * where it would be (as far as that fits). */
bool helix_registry_folder (
    char folder[HELIX_REGISTRY_PATH], bool create, const char **why);

/* Why the folder is where it is: "XDG_RUNTIME_DIR is /run/user/1000", "… is not
 * set", "… belongs to another user", as far as that fits. */
void helix_registry_reason (char reason[HELIX_REGISTRY_PATH]);

/* Adds this process's socket; a relative path is resolved here and now.
 * `entry` is for helix_registry_remove. false: *why = a static sentence. */
bool helix_registry_add (
    const char *socket_path, char entry[HELIX_REGISTRY_PATH], const char **why);
/* Removes the entry, if it is still this process's. Empty = nothing. */
void helix_registry_remove (const char *entry);

/* Calls `found` for each entry whose process lives, in order of pid. Those of
 * processes that are gone, and whose socket nobody serves (numbers differ from
 * container to container), are removed on the way. Nobody knows whether
 * somebody still listens: connect and see. Returns the number of calls. */
int helix_registry_scan (
    void (*found) (void *opaque, const char *socket_path, pid_t pid),
    void *opaque);

#endif /* HELIX_REGISTRY_H */

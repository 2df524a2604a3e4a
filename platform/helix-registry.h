/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The shims that run here: a directory of symbolic links to their sockets,
 * one for each. A shim adds its link when it listens; a program that looks for
 * VMs reads the directory, and connects to see which of them are alive. The
 * directory is $XDG_RUNTIME_DIR/gst-helix; if that is set to another user's,
 * the same in /run/user/UID; without either, /tmp/gst-helix-UID. It is used
 * only if it is ours and no other user may write to it. Nothing depends on it:
 * a shim that cannot register serves all the same.
 *
 * C99 and POSIX, no GLib: part of QEMU. Any thread.
 */
#ifndef HELIX_REGISTRY_H
#define HELIX_REGISTRY_H

#include <stdbool.h>

/* Bytes, NUL included: of a directory, an entry and a socket's path. */
#define HELIX_REGISTRY_PATH 1024

/* The directory of this user, which need not exist, and why it is there:
 * "XDG_RUNTIME_DIR", "XDG_RUNTIME_DIR is not set" and so on. false: *why says
 * why there is none. Both are static. */
bool helix_registry_folder (char folder[HELIX_REGISTRY_PATH], const char **why);

/* Adds a socket on which the caller listens; a relative path is resolved here
 * and now. Removes entries of VMs that were killed: those that lead to the same
 * path, those whose socket is gone, and those whose socket refuses while no
 * process holds its lock file. Only a shim does that, not a program
 * that looks for VMs: in a sandbox with a /tmp of its own it would take the
 * living for dead. `entry` is for helix_registry_remove. false: *why = a static
 * sentence. */
bool helix_registry_add (
    const char *socket_path, char entry[HELIX_REGISTRY_PATH], const char **why);
/* Removes an entry. Empty = nothing. */
void helix_registry_remove (const char *entry);

/* Calls `found` for each entry of `folder`, the oldest first. Whether a process
 * listens, or the socket exists, is not known: connect and see. false: there is
 * no directory, or it cannot be trusted, *why = a static sentence. */
bool helix_registry_scan (const char *folder,
    void (*found) (void *opaque, const char *entry, const char *socket_path),
    void *opaque, const char **why);

#endif /* HELIX_REGISTRY_H */

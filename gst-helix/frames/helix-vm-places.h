/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where VMs may be found on this machine: what the registry knows
 * (platform/helix-registry.h) and the places where a socket is looked for
 * besides: helix.sock in $XDG_RUNTIME_DIR and in UTM's group containers. The
 * working directory is none: it may be a folder that others write to. The
 * caller finds out whether a server listens.
 */
#ifndef HELIX_VM_PLACES_H
#define HELIX_VM_PLACES_H

#include <glib.h>
#include <sys/types.h>

G_BEGIN_DECLS

/* More are not looked at: whoever can write to the registry is this user, but
 * may be out of order. */
#define HELIX_VM_PLACES_MAX 64

typedef struct {
  gchar *path;
  pid_t pid;    /* of the VM as the registry has it, 0 = not from there */
  gchar *where; /* it was found, and why there: "in FOLDER (…)" */
} HelixVmPlace;

/* All that exist, each file once, the registry's first: HelixVmPlace. With
 * `looked`, every place that was looked at is appended to it, as a list for a
 * person. Unref it. */
GPtrArray *helix_vm_places_list (GString *looked);

G_END_DECLS

#endif /* HELIX_VM_PLACES_H */

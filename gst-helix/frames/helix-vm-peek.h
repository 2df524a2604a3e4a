/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A look at a VM: who answers on a socket, which scanouts it has and how
 * large they are, without a subscription. As long as the connection is kept,
 * it tells of changes, and its end tells of the VM's.
 *
 * Nothing here waits but helix_vm_peek_wait (). One thread at a time.
 */
#ifndef HELIX_VM_PEEK_H
#define HELIX_VM_PEEK_H

#include <glib.h>
#include <sys/types.h>

#include "helix-reader.h"

G_BEGIN_DECLS

typedef struct {
  gchar *path;
  pid_t pid;                      /* of the VM, 0 = unknown */
  gchar name[HELIX_MAX_NAME + 1]; /* from WELCOME, empty = untold */
  gboolean alive;                 /* it answered */
  gboolean complete;              /* all is known that will be told */
  gboolean refused;               /* it answers, but takes no more clients */
  gboolean news;  /* something was told since the owner cleared this */
  guint scanouts; /* of the VM; 0 before WELCOME */
  struct helix_scanout scanout[HELIX_MAX_SCANOUTS];

  /* private */
  gint fd;       /* -1 = over */
  guint32 known; /* bit i: scanout[i] was told */
  guint64 nonce;
  struct helix_reader reader;
  uint32_t unknown[8]; /* types that the VM was told are not known */
} HelixVmPeek;

/* Takes `fd`, connected to `path`, over and asks. `pid` 0: the kernel is
 * asked. `name` is for the VM's log. */
HelixVmPeek *helix_vm_peek_new (
    const gchar *path, pid_t pid, gint fd, const gchar *name);
void helix_vm_peek_free (HelixVmPeek *peek);

/* Takes in what has arrived; call it when `fd` is readable. FALSE: the
 * connection is over, and what is known stays. */
gboolean helix_vm_peek_read (HelixVmPeek *peek);

/* Reads from all of `peeks` until each is complete or over, or until
 * `deadline` (helix_now_ns ()). FALSE: `interrupt`, a descriptor or -1, became
 * readable first. */
gboolean helix_vm_peek_wait (
    GPtrArray *peeks, guint64 deadline, gint interrupt);

/* "mydesk (pid 4711) at /run/user/1000/helix.sock", as far as it is known.
 * Free it. */
gchar *helix_vm_peek_describe (const HelixVmPeek *peek);
/* The part of the name that tells VMs apart. "QEMU 10.0.2 (desk), helix-export
 * 0.1.0" is "desk"; without such a name it is what stands before the comma.
 * Free it. */
gchar *helix_vm_peek_label (const HelixVmPeek *peek);
/* The same of a name from WELCOME, "" = untold, and a socket's path. */
gchar *helix_vm_label (const gchar *name, const gchar *path);

G_END_DECLS

#endif /* HELIX_VM_PEEK_H */

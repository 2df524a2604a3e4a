/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * On which side of the VM's wall are we?
 */
#ifndef HELIX_ROLE_H
#define HELIX_ROLE_H

#include <glib.h>

G_BEGIN_DECLS

typedef enum { HELIX_HOST, HELIX_GUEST } HelixRole;

/* Looks at the hardware below `root` ("/"; tests have others): a guest of
 * ours has a virtio GPU, or a virtio port named after helix. A host may be a
 * virtual machine itself, so other virtio devices and what the firmware calls
 * itself are not enough. *why = a phrase for a person; free it. */
HelixRole helix_role_detect (const gchar *root, gchar **why);

/* The address of the stream where --address is not given: $HELIX_ADDRESS, or
 * where the elements of that side look by default. */
gchar *helix_role_address (HelixRole side);

G_END_DECLS

#endif /* HELIX_ROLE_H */

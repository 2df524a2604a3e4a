/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which end of the stream this machine is.
 */
#ifndef HELIX_ROLE_H
#define HELIX_ROLE_H

#include <glib.h>

G_BEGIN_DECLS

typedef enum {
  HELIX_HOST = 1 << 0,
  HELIX_GUEST = 1 << 1,
  HELIX_BOTH = HELIX_HOST | HELIX_GUEST,
} HelixRole;

/* Looks at the hardware below `root` ("/"; tests have others): a guest of
 * ours has a virtio GPU, or a virtio port named after helix. A host may be a
 * virtual machine itself, so other virtio devices and what the firmware calls
 * itself are not enough. *why = a phrase for a person; free it. */
HelixRole helix_role_detect (const gchar *root, gchar **why);

/* The address of the stream: `given`, if it is not NULL, else $HELIX_ADDRESS,
 * else where the elements of that role look by default. Free it. */
gchar *helix_role_address (HelixRole role, const gchar *given);

G_END_DECLS

#endif /* HELIX_ROLE_H */

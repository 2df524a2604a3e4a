/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Settings that users write as text, for QEMU's -device helix-export and for
 * helix-shim-sim alike.
 */
#ifndef HELIX_SHIM_SETTINGS_H
#define HELIX_SHIM_SETTINGS_H

#include "helix-shim.h"

/* false: *error = what is wrong and what would be right (free with g_free). */

/* "8192x4320". */
bool helix_shim_settings_size (
    const char *text, uint32_t *width, uint32_t *height, char **error);
/* NULL or empty = not given. `group`: name or number; `mode`: octal, 0600 if
 * not given, 0660 with a group; `allow`: users, names or numbers, between
 * colons. It is an error when
 * they contradict each other: users are allowed whom the mode keeps out, or
 * the mode lets others in and no user is allowed. */
bool helix_shim_settings_access (struct helix_access *access, const char *group,
    const char *mode, const char *allow, char **error);

#endif /* HELIX_SHIM_SETTINGS_H */

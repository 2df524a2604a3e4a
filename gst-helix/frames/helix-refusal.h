/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an ERROR of the shim means for a person and for the session.
 */
#ifndef HELIX_REFUSAL_H
#define HELIX_REFUSAL_H

#include "helix-frame-session.h"

G_BEGIN_DECLS

/* Sets *error: the shim's words, and a remedy. `path` is its socket. */
HelixSessionResult helix_refusal (
    guint32 code, const gchar *text, const gchar *path, GError **error);

G_END_DECLS

#endif /* HELIX_REFUSAL_H */

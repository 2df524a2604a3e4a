/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PROOF of the stream protocol (protocol/README.md, section 3): that an end of
 * a session knows the token, without telling it. Pure arithmetic; any thread.
 */
#ifndef HELIX_PROOF_H
#define HELIX_PROOF_H

#include <glib.h>

#include "helix-pack.h"

G_BEGIN_DECLS

/* One session's: what HELLO and WELCOME said. */
typedef struct {
  guint64 nonce;
  guint8 challenge[HELIX_CHALLENGE_SIZE];
} HelixProofRound;

/* Packs the PROOF of `who`, HELIX_PROOF_CLIENT or HELIX_PROOF_SERVER, into
 * `dst`, which has HELIX_MAX_MESSAGE bytes. Returns its size. */
gsize helix_proof_pack (guint8 *dst, const gchar *who, const gchar *token,
    const HelixProofRound *round);

/* Whether `proof` is the one of `who`. Takes as long for a near miss as for a
 * wild guess. */
gboolean helix_proof_is_right (const struct helix_proof *proof,
    const gchar *who, const gchar *token, const HelixProofRound *round);

G_END_DECLS

#endif /* HELIX_PROOF_H */

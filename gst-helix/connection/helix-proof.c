/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-proof.h"

#include <string.h>

static void
sign (struct helix_proof *proof, const gchar *who, const gchar *token,
    const HelixProofRound *round)
{
  guint8 input[HELIX_PROOF_INPUT_SIZE];
  gsize size = sizeof proof->hmac;
  GHmac *hmac =
      g_hmac_new (G_CHECKSUM_SHA256, (const guchar *) token, strlen (token));

  helix_pack_proof_input (input, who, round->nonce, round->challenge);
  g_hmac_update (hmac, input, sizeof input);
  g_hmac_get_digest (hmac, proof->hmac, &size);
  g_hmac_unref (hmac);
}

gsize
helix_proof_pack (guint8 *dst, const gchar *who, const gchar *token,
    const HelixProofRound *round)
{
  struct helix_proof proof;

  sign (&proof, who, token, round);
  return helix_pack_proof (dst, &proof);
}

gboolean
helix_proof_is_right (const struct helix_proof *proof, const gchar *who,
    const gchar *token, const HelixProofRound *round)
{
  struct helix_proof right;
  guint8 differ = 0;

  sign (&right, who, token, round);
  for (gsize i = 0; i < sizeof right.hmac; i++)
    differ |= right.hmac[i] ^ proof->hmac[i];
  return differ == 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/check/gstcheck.h>
#include <string.h>

#include "helix-proof.h"

/* Computed by Python: hmac.new (token, who + struct.pack ("<Q", nonce) +
 * challenge, hashlib.sha256).hexdigest (). Keys shorter than SHA-256's block
 * of 64 bytes, as long, and longer, which HMAC hashes first. The challenge is
 * `first`, first + step, ... */
static const struct {
  gchar letter;
  guint letters;
  guint64 nonce;
  guint8 first, step;
  const gchar *client, *server;
} known[] = {
    {'\x0b', 1, 0, 0, 0,
        "36b9c3baccae5c1c88eb46b29666ed30f83aba8540c497052df65599298cbb9d",
        "ed91f5a4b20834262c07d123bda952e8b30faa3c4df772ad1b3a4eafe854ff4e"},
    {'k', 64, G_MAXUINT64, 0xff, 0,
        "08de034d87bb15b5f0d0865a3d734d1c845133ed346a5ec4f724036b135d359b",
        "3734b06054f76a61b102ffa7a9339dcbe43c1fec6292298db7434194a3d78ad4"},
    {'K', 65, 1, 0xa0, 1,
        "d1c9fcfed0bfe6e9caa292e0878a9d4f8cbf1c8ab1bd48c89af47b7bad63247d",
        "23456a359e4351fac16cdd280eddb655c5ec66e57d8d7853864707df6c18a680"},
    {'\xaa', 128, 0x0102030405060708, 0xa0, 1,
        "08125e0ea0c3b676fb6df6cd8191d47b4bd827b460de94b87ba5e15a4c013dbd",
        "20d0208e923f1b46728dc5e2a7c96d21d6f8b2b7463bbc6fb9e5ebb96d651fcf"},
};

static void
make_round (guint i, gchar token[HELIX_MAX_TOKEN + 1], HelixProofRound *round)
{
  memset (token, known[i].letter, known[i].letters);
  token[known[i].letters] = '\0';
  round->nonce = known[i].nonce;
  for (guint n = 0; n < HELIX_CHALLENGE_SIZE; n++)
    round->challenge[n] = (guint8) (known[i].first + n * known[i].step);
}

static void
make_proof (struct helix_proof *proof, const gchar *who, const gchar *token,
    const HelixProofRound *round)
{
  guint8 message[HELIX_MAX_MESSAGE];
  gsize size = helix_proof_pack (message, who, token, round);
  const char *why;

  fail_unless (helix_unpack_proof (
      proof, message + HELIX_HEADER_SIZE, size - HELIX_HEADER_SIZE, &why));
}

static void
expect_known (const struct helix_proof *proof, const gchar *expected)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < sizeof proof->hmac; i++)
    g_string_append_printf (text, "%02x", proof->hmac[i]);
  fail_unless_equals_string (text->str, expected);
  g_string_free (text, TRUE);
}

GST_START_TEST (test_known)
{
  gchar token[HELIX_MAX_TOKEN + 1];
  struct helix_proof proof;
  HelixProofRound round;

  make_round (__i__, token, &round);
  make_proof (&proof, HELIX_PROOF_CLIENT, token, &round);
  expect_known (&proof, known[__i__].client);
  fail_unless (
      helix_proof_is_right (&proof, HELIX_PROOF_CLIENT, token, &round));
  /* A PROOF sent back is refused. */
  fail_if (helix_proof_is_right (&proof, HELIX_PROOF_SERVER, token, &round));
  make_proof (&proof, HELIX_PROOF_SERVER, token, &round);
  expect_known (&proof, known[__i__].server);
  fail_unless (
      helix_proof_is_right (&proof, HELIX_PROOF_SERVER, token, &round));
}
GST_END_TEST;

/* Each bit counts: of the proof, the nonce, the challenge, the token. */
GST_START_TEST (test_each_bit)
{
  gchar token[HELIX_MAX_TOKEN + 1];
  struct helix_proof proof;
  HelixProofRound round;

  make_round (2, token, &round);
  make_proof (&proof, HELIX_PROOF_CLIENT, token, &round);
  for (guint bit = 0; bit < 8 * HELIX_PROOF_SIZE; bit++) {
    proof.hmac[bit / 8] ^= 1 << bit % 8;
    fail_if (helix_proof_is_right (&proof, HELIX_PROOF_CLIENT, token, &round));
    proof.hmac[bit / 8] ^= 1 << bit % 8;
  }
  for (guint bit = 0; bit < 8 * HELIX_CHALLENGE_SIZE; bit++) {
    round.challenge[bit / 8] ^= 1 << bit % 8;
    fail_if (helix_proof_is_right (&proof, HELIX_PROOF_CLIENT, token, &round));
    round.challenge[bit / 8] ^= 1 << bit % 8;
  }
  for (guint bit = 0; bit < 64; bit++) {
    round.nonce ^= G_GUINT64_CONSTANT (1) << bit;
    fail_if (helix_proof_is_right (&proof, HELIX_PROOF_CLIENT, token, &round));
    round.nonce ^= G_GUINT64_CONSTANT (1) << bit;
  }
  for (gsize i = 0; i < strlen (token); i++) {
    token[i] ^= 1;
    fail_if (helix_proof_is_right (&proof, HELIX_PROOF_CLIENT, token, &round));
    token[i] ^= 1;
  }
  fail_unless (
      helix_proof_is_right (&proof, HELIX_PROOF_CLIENT, token, &round));
}
GST_END_TEST;

static Suite *
helix_proof_suite (void)
{
  Suite *s = suite_create ("helix-proof");
  TCase *tc = tcase_create ("proof");

  suite_add_tcase (s, tc);
  tcase_add_loop_test (tc, test_known, 0, G_N_ELEMENTS (known));
  tcase_add_test (tc, test_each_bit);
  return s;
}

GST_CHECK_MAIN (helix_proof);

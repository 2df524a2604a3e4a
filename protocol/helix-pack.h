/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Structs to bytes and back, and the judgement whether a message may be
 * believed.
 *
 * pack:   helix_pack_X (dst, &x, ...) writes a whole message, header
 *         included, and returns its size in bytes. `dst` must hold
 *         HELIX_MAX_MESSAGE bytes; text and names that are too long are cut.
 *         Bulk bytes (pixels, unit data) are not copied: the caller sends
 *         them behind, `bulk` only counts into the header's size.
 * unpack: helix_unpack_X (&x, payload, size, ..., &why) checks everything
 *         that can be checked without knowing the conversation, in 64-bit
 *         arithmetic. On false, `x` is undefined and `why` points to a
 *         static sentence naming the field and its limit. A payload longer
 *         than the struct is of a later version: the rest is ignored.
 *
 * No function here allocates, blocks or keeps a pointer. `why` must not be
 * NULL.
 */
#ifndef HELIX_PACK_H
#define HELIX_PACK_H

#include <stdbool.h>

#include "helix-protocol.h"

/* The largest control message, and the largest head of a bulk message. */
#define HELIX_MAX_MESSAGE (HELIX_HEADER_SIZE + HELIX_MAX_CONTROL)

void helix_pack_header (
    uint8_t dst[HELIX_HEADER_SIZE], const struct helix_header *header);
/* True if the magic is right and `size` is within the limits of that type:
 * HELIX_MAX_CONTROL, or those of the bulk of a CURSOR or UNIT. */
bool helix_unpack_header (struct helix_header *header,
    const uint8_t src[HELIX_HEADER_SIZE], const char **why);

/* A message with no payload: bare PING, bare PONG, UNSUBSCRIBE, LIST. */
size_t helix_pack_empty (uint8_t *dst, enum helix_type type, uint16_t channel);

/* ---- messages whose functions differ in nothing but the name ---- */

/* As M (TYPE, name, ...): their struct and nothing else,
 *   size_t helix_pack_NAME (uint8_t *dst, uint16_t channel,
 *       const struct helix_NAME *m);
 *   bool helix_unpack_NAME (struct helix_NAME *m, const uint8_t *payload,
 *       size_t size, const char **why); */
#define HELIX_PLAIN_MESSAGES(M) \
  M (PONG, pong) \
  M (SHOW, show) \
  M (SUBSCRIBE, subscribe) \
  M (SCANOUT, scanout) \
  M (POOL, pool) \
  M (RELEASE, release)
/* Likewise, always on channel 0: helix_pack_NAME (dst, m). */
#define HELIX_PLAIN_0_MESSAGES(M) \
  M (PING, ping) \
  M (PROOF, proof) \
  M (SET_SCANOUT, set_scanout) \
  M (KEYFRAME, keyframe) \
  M (CONFIG, config) \
  M (STATS, stats)
/* Their struct and `most` bytes of text, or a name, at most. On channel 0:
 *   size_t helix_pack_NAME (uint8_t *dst, const struct helix_NAME *m,
 *       const char *text);    NULL = none; sizes in the struct are set from it
 *   bool helix_unpack_NAME (struct helix_NAME *m, char text[most + 1],
 *       const uint8_t *payload, size_t size, const char **why);
 * HELLO: a token that an older client sent is skipped: token_size tells that it
 * was there. Packing sets it to 0. */
#define HELIX_TEXT_MESSAGES(M) \
  M (HELLO, hello, HELIX_MAX_NAME) \
  M (STATUS, status, HELIX_MAX_TEXT) \
  M (CLIENT, client, HELIX_MAX_NAME)

#define HELIX_PACK(name) \
  size_t helix_pack_##name (uint8_t *dst, const struct helix_##name *m)
#define HELIX_PACK_ON(name) \
  size_t helix_pack_##name ( \
      uint8_t *dst, uint16_t channel, const struct helix_##name *m)
#define HELIX_PACK_TEXT(name) \
  size_t helix_pack_##name ( \
      uint8_t *dst, const struct helix_##name *m, const char *text)
#define HELIX_UNPACK(name) \
  bool helix_unpack_##name (struct helix_##name *m, const uint8_t *payload, \
      size_t size, const char **why)
#define HELIX_UNPACK_TEXT(name, most) \
  bool helix_unpack_##name (struct helix_##name *m, char text[(most) + 1], \
      const uint8_t *payload, size_t size, const char **why)
#define HELIX_DECLARE(TYPE, name) \
  HELIX_PACK_ON (name); \
  HELIX_UNPACK (name);
#define HELIX_DECLARE_0(TYPE, name) \
  HELIX_PACK (name); \
  HELIX_UNPACK (name);
#define HELIX_DECLARE_TEXT(TYPE, name, most) \
  HELIX_PACK_TEXT (name); \
  HELIX_UNPACK_TEXT (name, most);
HELIX_PLAIN_MESSAGES (HELIX_DECLARE)
HELIX_PLAIN_0_MESSAGES (HELIX_DECLARE_0)
HELIX_TEXT_MESSAGES (HELIX_DECLARE_TEXT)

/* ---- the others ---- */

/* The answer to any valid PING: bare to bare, stamped to stamped. Unpacking an
 * empty PING or PONG is good and gives zeros: a time is there only if `size` is
 * that of the struct. */
size_t helix_pack_pong_for (uint8_t *dst, const struct helix_header *header,
    const uint8_t *payload, uint64_t received_ns, uint64_t sent_ns);

/* `challenge` may be NULL: HELIX_FEATURE_PROOF is set, or cleared, by it. */
size_t helix_pack_welcome (uint8_t *dst, const struct helix_welcome *welcome,
    const char *name, const uint8_t challenge[HELIX_CHALLENGE_SIZE]);
/* `challenge` is written if `features` has HELIX_FEATURE_PROOF, and may be NULL
 * for a client that did not offer that. */
bool helix_unpack_welcome (struct helix_welcome *welcome,
    char name[HELIX_MAX_NAME + 1], uint8_t challenge[HELIX_CHALLENGE_SIZE],
    const uint8_t *payload, size_t size, const char **why);
/* What a PROOF is the HMAC of: `who` is HELIX_PROOF_CLIENT or _SERVER, `nonce`
 * that of HELLO, `challenge` that of WELCOME. */
void helix_pack_proof_input (uint8_t dst[HELIX_PROOF_INPUT_SIZE],
    const char *who, uint64_t nonce,
    const uint8_t challenge[HELIX_CHALLENGE_SIZE]);

size_t helix_pack_error (uint8_t *dst, uint16_t channel,
    enum helix_error_code code, uint32_t refers, const char *text);
HELIX_UNPACK_TEXT (error, HELIX_MAX_TEXT);
/* The answer to a message of a type that this end does not know: ERROR
 * unsupported, once for each type, else 0 bytes. A later version may say
 * something with each frame, and need not hear of it each time. `told` is all
 * zeros when the session begins. */
size_t helix_pack_unsupported (
    uint8_t *dst, const struct helix_header *header, uint32_t told[8]);
size_t helix_pack_bye (uint8_t *dst, uint32_t reason, const char *text);
HELIX_UNPACK_TEXT (bye, HELIX_MAX_TEXT);

/* `bulk` = bytes of pixels that will follow: with HELIX_CURSOR_SHAPE exactly
 * width * height * 4, else 0. `total` = the whole payload's bytes. */
size_t helix_pack_cursor (uint8_t *dst, uint16_t channel,
    const struct helix_cursor *cursor, uint32_t bulk);
bool helix_unpack_cursor (struct helix_cursor *cursor, const uint8_t *payload,
    size_t size, uint32_t total, const char **why);
/* Likewise, of its data. */
size_t helix_pack_unit (
    uint8_t *dst, const struct helix_unit *unit, uint32_t bulk);
bool helix_unpack_unit (struct helix_unit *unit, const uint8_t *payload,
    size_t size, uint32_t total, const char **why);
/* Strings are cut to have a NUL at their end. */
HELIX_PACK (caps);
HELIX_UNPACK (caps);
/* Without `rects`, or with too many of them, everything changed. */
size_t helix_pack_frame (uint8_t *dst, uint16_t channel,
    const struct helix_frame *frame, const struct helix_rect *rects);
bool helix_unpack_frame (struct helix_frame *frame,
    struct helix_rect rects[HELIX_MAX_RECTS], const uint8_t *payload,
    size_t size, const char **why);

/* Name of a type ("SUBSCRIBE"), of an error ("no-scanout"); "unknown" else. */
const char *helix_type_name (uint32_t type);
bool helix_type_is_known (uint32_t type);
/* Bytes of the struct that its payload begins with; 0 = none, or not known. */
size_t helix_type_size (uint32_t type);
const char *helix_error_name (uint32_t code);
/* Whether the sender of this error closes the connection behind it. */
bool helix_error_is_fatal (uint32_t code);
/* Whether it is one of enum helix_fourcc. */
bool helix_fourcc_is_known (uint32_t fourcc);

#endif /* HELIX_PACK_H */

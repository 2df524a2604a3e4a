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

/* Unpacking an empty PING or PONG is good and gives zeros: a time is there
 * only if `size` is that of the struct. */
size_t helix_pack_ping (uint8_t *dst, const struct helix_ping *ping);
bool helix_unpack_ping (struct helix_ping *ping, const uint8_t *payload,
    size_t size, const char **why);
size_t helix_pack_pong (
    uint8_t *dst, uint16_t channel, const struct helix_pong *pong);
bool helix_unpack_pong (struct helix_pong *pong, const uint8_t *payload,
    size_t size, const char **why);
/* The answer to any valid PING: bare to bare, stamped to stamped. */
size_t helix_pack_pong_for (uint8_t *dst, const struct helix_header *header,
    const uint8_t *payload, uint64_t received_ns, uint64_t sent_ns);

/* `name` may be NULL; sizes in the struct are set from it, token_size to 0. */
size_t helix_pack_hello (
    uint8_t *dst, const struct helix_hello *hello, const char *name);
/* `name` receives a NUL-terminated copy, controls replaced. A token that an
 * older client sent is skipped: token_size tells that it was there. */
bool helix_unpack_hello (struct helix_hello *hello,
    char name[HELIX_MAX_NAME + 1], const uint8_t *payload, size_t size,
    const char **why);
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
size_t helix_pack_proof (uint8_t *dst, const struct helix_proof *proof);
bool helix_unpack_proof (struct helix_proof *proof, const uint8_t *payload,
    size_t size, const char **why);

size_t helix_pack_error (uint8_t *dst, uint16_t channel,
    enum helix_error_code code, uint32_t refers, const char *text);
bool helix_unpack_error (struct helix_error *error,
    char text[HELIX_MAX_TEXT + 1], const uint8_t *payload, size_t size,
    const char **why);
/* The answer to a message of a type that this end does not know: ERROR
 * unsupported, once for each type, else 0 bytes. A later version may say
 * something with each frame, and need not hear of it each time. `told` is all
 * zeros when the session begins. */
size_t helix_pack_unsupported (
    uint8_t *dst, const struct helix_header *header, uint32_t told[8]);
size_t helix_pack_bye (uint8_t *dst, uint32_t reason, const char *text);
bool helix_unpack_bye (struct helix_bye *bye, char text[HELIX_MAX_TEXT + 1],
    const uint8_t *payload, size_t size, const char **why);

/* `text` and `name` may be NULL; name_size is set from the name. */
size_t helix_pack_status (
    uint8_t *dst, const struct helix_status *status, const char *text);
bool helix_unpack_status (struct helix_status *status,
    char text[HELIX_MAX_TEXT + 1], const uint8_t *payload, size_t size,
    const char **why);
size_t helix_pack_client (
    uint8_t *dst, const struct helix_client *client, const char *name);
bool helix_unpack_client (struct helix_client *client,
    char name[HELIX_MAX_NAME + 1], const uint8_t *payload, size_t size,
    const char **why);
/* `bulk` = bytes of pixels that will follow: with HELIX_CURSOR_SHAPE exactly
 * width * height * 4, else 0. `total` = the whole payload's bytes. */
size_t helix_pack_cursor (uint8_t *dst, uint16_t channel,
    const struct helix_cursor *cursor, uint32_t bulk);
bool helix_unpack_cursor (struct helix_cursor *cursor, const uint8_t *payload,
    size_t size, uint32_t total, const char **why);
size_t helix_pack_show (
    uint8_t *dst, uint16_t channel, const struct helix_show *show);
bool helix_unpack_show (struct helix_show *show, const uint8_t *payload,
    size_t size, const char **why);

size_t helix_pack_set_scanout (
    uint8_t *dst, const struct helix_set_scanout *set);
bool helix_unpack_set_scanout (struct helix_set_scanout *set,
    const uint8_t *payload, size_t size, const char **why);
size_t helix_pack_subscribe (
    uint8_t *dst, uint16_t channel, const struct helix_subscribe *subscribe);
bool helix_unpack_subscribe (struct helix_subscribe *subscribe,
    const uint8_t *payload, size_t size, const char **why);
size_t helix_pack_scanout (
    uint8_t *dst, uint16_t channel, const struct helix_scanout *scanout);
bool helix_unpack_scanout (struct helix_scanout *scanout,
    const uint8_t *payload, size_t size, const char **why);
size_t helix_pack_pool (
    uint8_t *dst, uint16_t channel, const struct helix_pool *pool);
bool helix_unpack_pool (struct helix_pool *pool, const uint8_t *payload,
    size_t size, const char **why);
/* Without `rects`, or with too many of them, everything changed. */
size_t helix_pack_frame (uint8_t *dst, uint16_t channel,
    const struct helix_frame *frame, const struct helix_rect *rects);
bool helix_unpack_frame (struct helix_frame *frame,
    struct helix_rect rects[HELIX_MAX_RECTS], const uint8_t *payload,
    size_t size, const char **why);
size_t helix_pack_release (
    uint8_t *dst, uint16_t channel, const struct helix_release *release);
bool helix_unpack_release (struct helix_release *release,
    const uint8_t *payload, size_t size, const char **why);

size_t helix_pack_caps (uint8_t *dst, const struct helix_caps *caps);
bool helix_unpack_caps (struct helix_caps *caps, const uint8_t *payload,
    size_t size, const char **why);
size_t helix_pack_unit (
    uint8_t *dst, const struct helix_unit *unit, uint32_t bulk);
bool helix_unpack_unit (struct helix_unit *unit, const uint8_t *payload,
    size_t size, uint32_t total, const char **why);
size_t helix_pack_keyframe (
    uint8_t *dst, const struct helix_keyframe *keyframe);
bool helix_unpack_keyframe (struct helix_keyframe *keyframe,
    const uint8_t *payload, size_t size, const char **why);
size_t helix_pack_config (uint8_t *dst, const struct helix_config *config);
bool helix_unpack_config (struct helix_config *config, const uint8_t *payload,
    size_t size, const char **why);
size_t helix_pack_stats (uint8_t *dst, const struct helix_stats *stats);
bool helix_unpack_stats (struct helix_stats *stats, const uint8_t *payload,
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

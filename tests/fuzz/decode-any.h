/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Unpacks whatever message a reader has cut off, as a program that speaks
 * both protocols would. For the tests and the fuzzers.
 */
#ifndef HELIX_DECODE_ANY_H
#define HELIX_DECODE_ANY_H

#include "helix-reader.h"

/* Every struct that a message can unpack to. */
union decode_any_struct {
#define DECODE_ANY_STRUCT(TYPE, name, ...) struct helix_##name name;
  HELIX_PLAIN_MESSAGES (DECODE_ANY_STRUCT)
  HELIX_PLAIN_0_MESSAGES (DECODE_ANY_STRUCT)
  HELIX_TEXT_MESSAGES (DECODE_ANY_STRUCT)
  struct helix_welcome welcome;
  struct helix_error error;
  struct helix_bye bye;
  struct helix_cursor cursor;
  struct helix_unit unit;
  struct helix_frame frame;
  struct helix_caps caps;
};

struct decode_any {
  uint8_t type;
  union decode_any_struct as;
  struct helix_rect rects[HELIX_MAX_RECTS];
  uint8_t challenge[HELIX_CHALLENGE_SIZE]; /* of WELCOME */
  char text[HELIX_MAX_TEXT + 1];           /* or name, of the six with one */
};

/* The message of `header`, of whose payload `size` bytes are at `payload`
 * (the head, for FRAME, CURSOR and UNIT). Messages without a struct, and types
 * that are not known, are always good. */
bool decode_any (struct decode_any *any, const struct helix_header *header,
    const uint8_t *payload, size_t size, const char **why);

/* The same message again, bulk bytes not included: its size in `dst`. */
size_t decode_any_pack (
    uint8_t *dst, const struct decode_any *any, const struct helix_header *h);

#endif /* HELIX_DECODE_ANY_H */

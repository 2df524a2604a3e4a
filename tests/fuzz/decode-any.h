/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Unpacks whatever message a reader has cut off, as a program that speaks
 * both protocols would. For the tests and the fuzzers.
 */
#ifndef HELIX_DECODE_ANY_H
#define HELIX_DECODE_ANY_H

#include "helix-reader.h"

/* Every struct and string that a message can unpack to. */
union decode_any_struct {
  struct helix_ping ping;
  struct helix_pong pong;
  struct helix_hello hello;
  struct helix_welcome welcome;
  struct helix_proof proof;
  struct helix_error error;
  struct helix_bye bye;
  struct helix_status status;
  struct helix_client client;
  struct helix_cursor cursor;
  struct helix_show show;
  struct helix_set_scanout set_scanout;
  struct helix_subscribe subscribe;
  struct helix_scanout scanout;
  struct helix_pool pool;
  struct helix_frame frame;
  struct helix_release release;
  struct helix_caps caps;
  struct helix_unit unit;
  struct helix_keyframe keyframe;
  struct helix_config config;
  struct helix_stats stats;
};

struct decode_any {
  uint8_t type;
  union decode_any_struct as;
  struct helix_rect rects[HELIX_MAX_RECTS];
  uint8_t challenge[HELIX_CHALLENGE_SIZE]; /* of WELCOME */
  char name[HELIX_MAX_NAME + 1];           /* of HELLO, WELCOME, CLIENT */
  char text[HELIX_MAX_TEXT + 1];           /* of ERROR, BYE, STATUS */
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

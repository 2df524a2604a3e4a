/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bytes of a fuzzer as a peer's deeds: single bytes choose what is done, and
 * messages with a good header and any payload are made from what follows, so
 * that most inputs get past the reader.
 */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "helix-pack.h"

#define MUST(cond) \
  do { \
    if (!(cond)) { \
      fprintf (stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond); \
      abort (); \
    } \
  } while (0)

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

struct fuzz_input {
  const uint8_t *at;
  size_t left;
};

/* The next byte; 0 behind the end. */
static inline uint8_t
fuzz_byte (struct fuzz_input *in)
{
  if (in->left == 0)
    return 0;
  in->left--;
  return *in->at++;
}

/* At most 255 bytes, as they come. Returns how many. */
static inline size_t
fuzz_raw (struct fuzz_input *in, uint8_t *dst)
{
  size_t size = fuzz_byte (in);

  size = size < in->left ? size : in->left;
  memcpy (dst, in->at, size);
  in->at += size;
  in->left -= size;
  return size;
}

/* A type, and the size of its struct in 32-bit words. */
struct fuzz_type {
  uint8_t type;
  size_t words;
};

/* One of `types`, a channel of 0 to 3, and a payload: any bytes, or as many
 * words as the struct has, each from one byte, so that small numbers, and the
 * largest, are likely. `dst` holds HELIX_MAX_MESSAGE bytes. */
static inline size_t
fuzz_message (struct fuzz_input *in, const struct fuzz_type *types, size_t n,
    uint8_t *dst)
{
  const struct fuzz_type *type = &types[fuzz_byte (in) % n];
  struct helix_header header = {.magic = HELIX_MAGIC, .type = type->type};
  uint8_t how = fuzz_byte (in), *payload = dst + HELIX_HEADER_SIZE;

  header.channel = how & 3;
  if (how & 4) {
    header.size = (uint32_t) fuzz_raw (in, payload);
  } else {
    header.size = (uint32_t) type->words * 4;
    memset (payload, 0, header.size);
    for (size_t i = 0; i < type->words; i++) {
      payload[4 * i] = fuzz_byte (in);
      if (payload[4 * i] == 0xff)
        memset (payload + 4 * i, 0xff, 4);
    }
  }
  helix_pack_header (dst, &header);
  return HELIX_HEADER_SIZE + header.size;
}

#endif /* FUZZ_INPUT_H */

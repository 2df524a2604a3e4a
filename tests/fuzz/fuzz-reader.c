/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The reader and every unpacker on whatever bytes there are.
 *
 * First byte: bits 0-1 = strict, scan for HELLO, scan for WELCOME; the others
 * choose the pieces of the second run. The rest is the stream. It is read
 * twice, as fast as it goes and in pieces, and both runs must see the same
 * messages: fragmentation never shows.
 *
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined -Iprotocol -Itests/fuzz \
 *     tests/fuzz/fuzz-reader.c tests/fuzz/decode-any.c protocol/helix-*.c
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decode-any.h"
#include "fuzz-input.h"

#define NONCE UINT64_C (0x0123456789abcdef) /* of protocol/vectors */

/* Larger bulk data than this is dropped by the reader itself. */
#define LARGEST_BULK (1u << 20)

/* FNV-1a over everything that a run saw. */
static uint64_t
mix (uint64_t hash, const void *data, size_t size)
{
  const uint8_t *bytes = data;
  size_t i;

  for (i = 0; i < size; i++)
    hash = (hash ^ bytes[i]) * UINT64_C (0x100000001b3);
  return hash;
}

/* What was believed must be within the limits that the rest relies on. */
static void
check_believed (const struct decode_any *any)
{
  uint32_t i;

  MUST (strlen (any->text) <= HELIX_MAX_TEXT);
  if (any->type == HELIX_HELLO || any->type == HELIX_WELCOME
      || any->type == HELIX_CLIENT)
    MUST (strlen (any->text) <= HELIX_MAX_NAME);
  if (any->type == HELIX_FRAME) {
    const struct helix_frame *frame = &any->as.frame;

    MUST (frame->slot < HELIX_MAX_SLOTS && frame->rects <= HELIX_MAX_RECTS);
    MUST ((uint64_t) frame->stride * frame->height <= HELIX_MAX_FRAME_BYTES);
    MUST (frame->stride / 4 >= frame->width && frame->width > 0);
    for (i = 0; i < frame->rects; i++) {
      MUST ((uint64_t) any->rects[i].x + any->rects[i].width <= frame->width);
      MUST ((uint64_t) any->rects[i].y + any->rects[i].height <= frame->height);
    }
  }
  if (any->type == HELIX_CURSOR) {
    const struct helix_cursor *cursor = &any->as.cursor;

    MUST (cursor->scanout < HELIX_MAX_SCANOUTS);
    MUST (cursor->width <= HELIX_MAX_CURSOR);
    MUST (cursor->height <= HELIX_MAX_CURSOR);
    MUST (!cursor->width
        || (cursor->hot_x < cursor->width && cursor->hot_y < cursor->height));
  }
  if (any->type == HELIX_SET_SCANOUT) {
    MUST (any->as.set_scanout.width <= HELIX_MAX_DIMENSION);
    MUST (any->as.set_scanout.height <= HELIX_MAX_DIMENSION);
  }
  if (any->type == HELIX_POOL) {
    MUST (any->as.pool.slots <= HELIX_MAX_SLOTS);
    MUST (any->as.pool.total_size
        <= (uint64_t) HELIX_MAX_SLOTS * HELIX_MAX_FRAME_BYTES);
  }
  if (any->type == HELIX_CAPS) {
    MUST (memchr (any->as.caps.profile, 0, sizeof any->as.caps.profile));
    MUST (memchr (any->as.caps.level, 0, sizeof any->as.caps.level));
    MUST (
        memchr (any->as.caps.colorimetry, 0, sizeof any->as.caps.colorimetry));
  }
}

/* Unpacks, and if it is believed, packs it and unpacks that, which must be
 * believed, too. */
static uint64_t
judge (const struct helix_reader *reader, uint64_t hash)
{
  uint8_t packed[HELIX_MAX_MESSAGE];
  struct helix_header header;
  struct decode_any any;
  const char *why = "";
  bool good;

  memset (&any, 0, sizeof any);
  good = decode_any (
      &any, &reader->header, reader->payload, reader->payload_size, &why);
  if (good) {
    size_t size;

    check_believed (&any);
    size = decode_any_pack (packed, &any, &reader->header);
    MUST (size >= HELIX_HEADER_SIZE && size <= HELIX_MAX_MESSAGE);
    MUST (helix_unpack_header (&header, packed, &why));
    MUST (decode_any (&any, &header, packed + HELIX_HEADER_SIZE,
        size - HELIX_HEADER_SIZE, &why));
  } else {
    MUST (strchr (why, ':'));
    hash = mix (hash, why, strlen (why));
  }
  return mix (hash, reader->payload, reader->payload_size);
}

static uint64_t
run (const uint8_t *data, size_t size, unsigned mode, size_t pieces)
{
  uint64_t hash = UINT64_C (0xcbf29ce484222325);
  struct helix_reader reader;
  uint8_t *bulk = NULL;
  size_t done = 0, turn = 0;
  int ended = 0;

  if (mode == 1)
    helix_reader_scan (&reader, HELIX_HELLO, 0);
  else if (mode == 2)
    helix_reader_scan (&reader, HELIX_WELCOME, NONCE);
  else
    helix_reader_init (&reader);

  while (done < size && !ended) {
    uint8_t *ptr = NULL;
    size_t len = 0, most;

    helix_reader_want (&reader, &ptr, &len);
    MUST (ptr && len > 0);
    most = pieces ? 1 + (pieces * ++turn) % 61 : len;
    len = len < most ? len : most;
    len = len < size - done ? len : size - done;
    memcpy (ptr, data + done, len);
    done += len;
    switch (helix_reader_got (&reader, len)) {
      case HELIX_READER_MORE:
        break;
      case HELIX_READER_HEAD:
        MUST (reader.bulk_size > 0);
        hash = judge (&reader, mix (hash, &done, sizeof done));
        free (bulk);
        bulk = NULL;
        if (reader.bulk_size <= LARGEST_BULK) {
          bulk = malloc (reader.bulk_size);
          MUST (bulk);
          helix_reader_bulk (&reader, bulk);
        }
        break;
      case HELIX_READER_MESSAGE:
        if (reader.scan_type == 0)
          MUST (helix_reader_idle (&reader));
        hash = judge (&reader, mix (hash, &done, sizeof done));
        if (bulk && reader.bulk_size)
          hash = mix (hash, bulk, reader.bulk_size);
        break;
      case HELIX_READER_ERROR:
        MUST (reader.why && strchr (reader.why, ':'));
        hash = mix (hash, reader.why, strlen (reader.why));
        ended = 1;
        break;
    }
    MUST (reader.skipped <= done);
  }
  hash = mix (hash, &reader.skipped, sizeof reader.skipped);
  free (bulk);
  return hash;
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  unsigned mode;

  if (size == 0)
    return 0;
  mode = data[0] & 3u;
  MUST (run (data + 1, size - 1, mode, 0)
      == run (data + 1, size - 1, mode, 1 + (data[0] >> 2)));
  return 0;
}

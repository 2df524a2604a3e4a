/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Cuts a byte stream into messages. See helix-reader.h.
 *
 * Memory is bounded by the struct itself. While scanning, payload[] is a
 * window on the stream that starts at the first byte which may begin the
 * message looked for.
 */
#include "helix-reader.h"

#include <string.h>

enum {
  STATE_HEADER,  /* into raw */
  STATE_PAYLOAD, /* into payload: a control message, or a bulk head */
  STATE_BULK,    /* into bulk, or dropped */
  STATE_SCAN,    /* into the window */
  STATE_LOST,
};

/* Bytes to drop go behind the head, which stays readable. */
#define SCRATCH 1024u

/* The shortest message that a scan can be looking for: an ERROR, or HELLO. */
static uint32_t
shortest (enum helix_type type)
{
  return HELIX_HEADER_SIZE
      + (uint32_t) (type == HELIX_WELCOME ? sizeof (struct helix_error)
                                          : sizeof (struct helix_hello));
}

void
helix_reader_init (struct helix_reader *reader)
{
  memset (reader, 0, sizeof *reader);
  reader->state = STATE_HEADER;
  reader->need = HELIX_HEADER_SIZE;
}

void
helix_reader_scan (
    struct helix_reader *reader, enum helix_type type, uint64_t nonce)
{
  helix_reader_init (reader);
  reader->state = STATE_SCAN;
  reader->scan_type = (uint8_t) type;
  reader->scan_nonce = nonce;
  reader->need = shortest (type);
}

void
helix_reader_want (struct helix_reader *reader, uint8_t **ptr, size_t *len)
{
  size_t left = reader->need - reader->have;

  switch (reader->state) {
    case STATE_HEADER:
      *ptr = reader->raw + reader->have;
      break;
    case STATE_BULK:
      if (reader->bulk) {
        *ptr = reader->bulk + reader->have;
        break;
      }
      *ptr = reader->payload + SCRATCH;
      if (left > sizeof reader->payload - SCRATCH)
        left = sizeof reader->payload - SCRATCH;
      break;
    case STATE_LOST:
      *ptr = reader->payload;
      left = sizeof reader->payload;
      break;
    default:
      *ptr = reader->payload + reader->have;
      break;
  }
  *len = left;
}

static void
enter (
    struct helix_reader *reader, unsigned state, uint32_t have, uint32_t need)
{
  reader->state = (uint8_t) state;
  reader->have = have;
  reader->need = need;
}

static enum helix_reader_status
lost (struct helix_reader *reader, const char *why)
{
  reader->why = why;
  enter (reader, STATE_LOST, 0, 0);
  return HELIX_READER_ERROR;
}

static enum helix_reader_status
message (struct helix_reader *reader)
{
  enter (reader, STATE_HEADER, 0, HELIX_HEADER_SIZE);
  return HELIX_READER_MESSAGE;
}

static enum helix_reader_status
got_header (struct helix_reader *reader)
{
  const char *why = NULL;

  if (!helix_unpack_header (&reader->header, reader->raw, &why))
    return lost (reader, why);
  reader->bulk = NULL;
  reader->bulk_size = 0;
  reader->payload_size = reader->header.size;
  if (reader->header.type == HELIX_UNIT || reader->header.type == HELIX_CURSOR)
    reader->payload_size = (uint32_t) helix_type_size (reader->header.type);
  if (reader->payload_size == 0)
    return message (reader);
  enter (reader, STATE_PAYLOAD, 0, reader->payload_size);
  return HELIX_READER_MORE;
}

static enum helix_reader_status
got_payload (struct helix_reader *reader)
{
  reader->bulk_size = reader->header.size - reader->payload_size;
  if (reader->bulk_size == 0)
    return message (reader);
  enter (reader, STATE_BULK, 0, reader->bulk_size);
  return HELIX_READER_HEAD;
}

/* ---- scanning ---- */

enum candidate {
  CANDIDATE_NONE, /* no message looked for begins here */
  CANDIDATE_PART, /* may be one; *total says how long it is at least */
  CANDIDATE_WHOLE /* is one */
};

/* Whether the message in `bytes` is one that the scan is for. */
static bool
is_wanted (const struct helix_reader *reader, const struct helix_header *header,
    const uint8_t *payload)
{
  char text[HELIX_MAX_TEXT + 1], name[HELIX_MAX_NAME + 1];
  struct helix_welcome welcome;
  struct helix_hello hello;
  struct helix_error error;
  const char *why;

  switch (header->type) {
    case HELIX_HELLO:
      return helix_unpack_hello (&hello, name, payload, header->size, &why);
    case HELIX_WELCOME:
      return helix_unpack_welcome (
                 &welcome, name, NULL, payload, header->size, &why)
          && welcome.nonce == reader->scan_nonce;
    default:
      return helix_unpack_error (&error, text, payload, header->size, &why)
          && error.refers == HELIX_HELLO;
  }
}

static enum candidate
examine (const struct helix_reader *reader, const uint8_t *bytes, uint32_t have,
    uint32_t *total)
{
  static const uint8_t magic[4] = {0x48, 0x58, 0x46, 0x52};
  struct helix_header header;
  const char *why;
  uint32_t least = shortest ((enum helix_type) reader->scan_type);

  if (memcmp (bytes, magic, have < sizeof magic ? have : sizeof magic) != 0)
    return CANDIDATE_NONE;
  *total = least;
  if (have < HELIX_HEADER_SIZE)
    return CANDIDATE_PART;
  if (!helix_unpack_header (&header, bytes, &why))
    return CANDIDATE_NONE;
  if (header.type != reader->scan_type
      && !(header.type == HELIX_ERROR && reader->scan_type == HELIX_WELCOME))
    return CANDIDATE_NONE;
  *total = HELIX_HEADER_SIZE + header.size;
  /* The longer ones do not fit the window, and no version sends such. */
  if (*total < least || *total > sizeof reader->payload)
    return CANDIDATE_NONE;
  if (have < *total)
    return CANDIDATE_PART;
  return is_wanted (reader, &header, bytes + HELIX_HEADER_SIZE)
      ? CANDIDATE_WHOLE
      : CANDIDATE_NONE;
}

/* The message at `offset` is it. An ERROR does not end the scan: it bears no
 * nonce and may be a leftover, so WELCOME may still come. */
static enum helix_reader_status
found (struct helix_reader *reader, uint32_t offset)
{
  const char *why;

  helix_unpack_header (&reader->header, reader->payload + offset, &why);
  reader->skipped += offset;
  reader->payload_size = reader->header.size;
  reader->bulk_size = 0;
  memmove (reader->payload, reader->payload + offset + HELIX_HEADER_SIZE,
      reader->payload_size);
  if (reader->header.type == reader->scan_type) {
    reader->scan_type = 0;
    return message (reader);
  }
  enter (reader, STATE_SCAN, 0, shortest (HELIX_WELCOME));
  return HELIX_READER_MESSAGE;
}

/* Every place in the window is tried, not the first one only: a magic in
 * garbage may claim 4 KiB that contain the true message, whose sender then
 * waits for an answer and sends nothing more. For the same reason `need` is
 * the least that any of them lacks. */
static enum helix_reader_status
got_scan (struct helix_reader *reader)
{
  uint32_t offset, first = reader->have, total;
  uint32_t least = shortest ((enum helix_type) reader->scan_type);

  for (offset = 0; offset < reader->have; offset++) {
    const uint8_t *at =
        memchr (reader->payload + offset, 0x48, reader->have - offset);
    uint32_t lacks;

    if (!at)
      break;
    offset = (uint32_t) (at - reader->payload);
    switch (examine (reader, at, reader->have - offset, &total)) {
      case CANDIDATE_WHOLE:
        return found (reader, offset);
      case CANDIDATE_PART:
        if (first > offset)
          first = offset;
        lacks = total - (reader->have - offset);
        if (least > lacks)
          least = lacks;
        break;
      case CANDIDATE_NONE:
        break;
    }
  }
  reader->skipped += first;
  memmove (reader->payload, reader->payload + first, reader->have - first);
  enter (
      reader, STATE_SCAN, reader->have - first, reader->have - first + least);
  return HELIX_READER_MORE;
}

enum helix_reader_status
helix_reader_got (struct helix_reader *reader, size_t n)
{
  uint8_t *ptr;
  size_t want;

  if (reader->state == STATE_LOST)
    return HELIX_READER_ERROR;
  helix_reader_want (reader, &ptr, &want);
  if (n > want)
    return lost (reader, "reader: more bytes were stored than wanted");
  reader->have += (uint32_t) n;
  if (n == 0)
    return HELIX_READER_MORE;
  if (reader->state == STATE_SCAN)
    return got_scan (reader);
  if (reader->have < reader->need)
    return HELIX_READER_MORE;
  switch (reader->state) {
    case STATE_HEADER:
      return got_header (reader);
    case STATE_PAYLOAD:
      return got_payload (reader);
    default:
      return message (reader);
  }
}

void
helix_reader_bulk (struct helix_reader *reader, uint8_t *ptr)
{
  if (reader->state == STATE_BULK && reader->have == 0)
    reader->bulk = ptr;
}

uint8_t
helix_reader_type (const struct helix_reader *reader)
{
  return reader->header.magic == HELIX_MAGIC ? reader->header.type : 0;
}

bool
helix_reader_idle (const struct helix_reader *reader)
{
  return reader->state == STATE_HEADER && reader->have == 0;
}

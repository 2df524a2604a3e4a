/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Cuts a byte stream into messages, whatever pieces it arrives in.
 *
 * The reader says where the next bytes go and how many it wants; the caller
 * reads that many at most from its socket and reports what came. So nothing
 * is copied twice, bulk data (pixels, encoded units) lands where the caller
 * wants it, and a file descriptor received along with a message's first byte
 * belongs to that message. It never reads past a message and never allocates.
 *
 *   helix_reader_want (&r, &ptr, &len);          len > 0 always
 *   n = recv (fd, ptr, len, 0);
 *   switch (helix_reader_got (&r, n)) {
 *     case HELIX_READER_MORE:     keep reading
 *     case HELIX_READER_HEAD:     bulk message: unpack r.payload
 *                                 (r.payload_size bytes), then say where the
 *                                 r.bulk_size bytes go: helix_reader_bulk ()
 *     case HELIX_READER_MESSAGE:  r.header, r.payload[r.payload_size]; valid
 *                                 until the next want
 *     case HELIX_READER_ERROR:    r.why; the stream is lost
 *   }
 *
 * Bulk messages (CURSOR with pixels, UNIT) yield HEAD, then MESSAGE when the
 * last bulk byte is in. Unknown types arrive like any control message. One
 * reader, one thread at a time.
 */
#ifndef HELIX_READER_H
#define HELIX_READER_H

#include "helix-pack.h"

enum helix_reader_status {
  HELIX_READER_MORE,
  HELIX_READER_HEAD,
  HELIX_READER_MESSAGE,
  HELIX_READER_ERROR,
};

struct helix_reader {
  struct helix_header header;         /* of the current message */
  uint8_t payload[HELIX_MAX_CONTROL]; /* control payload or bulk head */
  uint32_t payload_size;              /* bytes of payload that count */
  uint32_t bulk_size;                 /* bytes that follow the head */
  const char *why;                    /* set on HELIX_READER_ERROR */
  uint64_t skipped;                   /* bytes dropped while scanning */
  /* private */
  uint8_t raw[HELIX_HEADER_SIZE];
  uint8_t *bulk;
  uint32_t need, have;
  uint8_t state;
  uint8_t scan_type; /* 0 = strict */
  uint64_t scan_nonce;
};

/* Strict: a wrong magic or size is HELIX_READER_ERROR. */
void helix_reader_init (struct helix_reader *reader);

/* From here on, drop bytes until a whole, valid message of `type` (HELLO or
 * WELCOME) is found, then return to strict. For WELCOME the nonce must match.
 * For byte streams that outlive a session (virtio-serial): bytes of the last
 * session, half messages included, may come first.
 *
 * A scan for WELCOME also yields an ERROR that refers to HELLO, and goes on:
 * it may be the answer, or a leftover that the WELCOME will still follow. So
 * it is the cause to name if no WELCOME comes in time. Messages above 4084
 * bytes of payload are not found. */
void helix_reader_scan (
    struct helix_reader *reader, enum helix_type type, uint64_t nonce);

void helix_reader_want (
    struct helix_reader *reader, uint8_t **ptr, size_t *len);
enum helix_reader_status helix_reader_got (
    struct helix_reader *reader, size_t n);

/* After HEAD: `ptr` receives the bulk_size bytes; NULL = drop them. Without
 * this call they are dropped. */
void helix_reader_bulk (struct helix_reader *reader, uint8_t *ptr);

/* Type of the message that is being read, or that HELIX_READER_ERROR is about;
 * 0 if that is not known: `refers` of an ERROR. */
uint8_t helix_reader_type (const struct helix_reader *reader);

/* True between two messages: no byte of the next one has arrived. */
bool helix_reader_idle (const struct helix_reader *reader);

#endif /* HELIX_READER_H */

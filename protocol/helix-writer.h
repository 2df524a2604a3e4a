/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The queue of messages that one peer is still to be sent: the counterpart of
 * helix-reader.h.
 *
 * A message that has begun to leave is always finished first. Then the message
 * with the lowest priority number goes, and those of one priority go in the
 * order in which they were added.
 *
 *   helix_writer_add (&w, HELIX_WRITER_CONTROL, message, size, NULL);
 *   while (helix_writer_pending (&w)) {
 *     n = helix_writer_iov (&w, iov, MAX, SIZE_MAX, &fd);
 *     sent = helix_send (socket, iov, n, fd);
 *     if (sent < 0)
 *       break;                         EAGAIN: go on when it can be written
 *     helix_writer_sent (&w, sent);
 *   }
 *
 * The writer does no I/O and sets no bounds: its user looks at bytes[] before
 * it adds. One thread at a time. Out of memory ends the program, as everywhere
 * here. struct iovec is all that is not of C99.
 */
#ifndef HELIX_WRITER_H
#define HELIX_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* Any number below HELIX_WRITER_PRIORITIES does; these are the stream
 * server's. */
enum helix_writer_priority {
  HELIX_WRITER_CONTROL,
  HELIX_WRITER_CURSOR,
  HELIX_WRITER_UNITS,
  HELIX_WRITER_PRIORITIES,
};

/* What goes along with a message's head. All zeros: nothing. */
struct helix_writer_extra {
  const void *bulk; /* follows the head; not copied: must stay until done () */
  size_t bulk_size; /* bytes */
  bool has_fd;
  int fd;         /* with has_fd: passed with the first byte; must stay open
                   * until done (), which closes it if it is not kept */
  uint64_t since; /* for helix_writer_oldest (); 0 = not a message to count */

  /* Called once: when the last byte is sent, or the message dropped. Must not
   * call the writer. May be NULL. */
  void (*done) (void *opaque, void *data, bool sent);
  void *opaque, *data; /* for done () */
};

struct helix_writer_message;

struct helix_writer {
  /* to be read: what is not sent yet, of each priority */
  size_t bytes[HELIX_WRITER_PRIORITIES]; /* of heads and bulk */
  size_t count[HELIX_WRITER_PRIORITIES]; /* messages, a begun one included */

  /* private: in the order in which they leave; NULL = there is none */
  struct helix_writer_message *first; /* may have begun to leave */
  /* of each priority, of those that have not begun */
  struct helix_writer_message *last[HELIX_WRITER_PRIORITIES];
};

void helix_writer_init (struct helix_writer *writer);
/* Drops everything, a begun message included: where the connection goes on,
 * the peer must look for the next message (helix_reader_scan). */
void helix_writer_clear (struct helix_writer *writer);

/* Adds a message of `size` bytes, which are copied, and `extra`, which may be
 * NULL. */
void helix_writer_add (struct helix_writer *writer, unsigned priority,
    const uint8_t *head, size_t size, const struct helix_writer_extra *extra);
/* Drops the messages of that priority, but not one that has begun. Returns how
 * many. */
size_t helix_writer_drop (struct helix_writer *writer, unsigned priority);

bool helix_writer_pending (const struct helix_writer *writer);
/* Whether part of a message of that priority has left, and part has not. */
bool helix_writer_has_begun (
    const struct helix_writer *writer, unsigned priority);
/* `since` of the first message of that priority that has one; 0 = none. */
uint64_t helix_writer_oldest (
    const struct helix_writer *writer, unsigned priority);

/* Fills in what to send next: at most `max` pieces (2 or more) and `limit`
 * bytes. *fd is the descriptor to pass along, or -1: a message with one goes
 * alone. Returns the number of pieces, 0 if nothing is pending. */
int helix_writer_iov (const struct helix_writer *writer, struct iovec *iov,
    int max, size_t limit, int *fd);
/* The first `n` bytes of the last helix_writer_iov () are sent. Nothing may
 * have been added or dropped in between. */
void helix_writer_sent (struct helix_writer *writer, size_t n);

#endif /* HELIX_WRITER_H */

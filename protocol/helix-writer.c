/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-writer.h"

#include <stdlib.h>
#include <string.h>

struct helix_writer_message {
  struct helix_writer_message *next;
  struct helix_writer_extra extra;
  unsigned priority;
  size_t size; /* bytes of head */
  size_t sent; /* bytes, of head and bulk together */
  uint8_t head[];
};

void
helix_writer_init (struct helix_writer *writer)
{
  memset (writer, 0, sizeof *writer);
}

static size_t
left (const struct helix_writer_message *message)
{
  return message->size + message->extra.bulk_size - message->sent;
}

void
helix_writer_add (struct helix_writer *writer, unsigned priority,
    const uint8_t *head, size_t size, const struct helix_writer_extra *extra)
{
  struct helix_writer_message *message = malloc (sizeof *message + size);
  struct helix_writer_message *before = NULL, **link;

  if (!message)
    abort ();
  memset (message, 0, sizeof *message);
  if (extra)
    message->extra = *extra;
  message->priority = priority;
  message->size = size;
  memcpy (message->head, head, size);
  /* Behind the last one that goes before it, without looking at the others: a
   * peer that reads nothing makes the queue long. */
  if (writer->first && writer->first->sent > 0)
    before = writer->first;
  for (unsigned i = 0; i <= priority; i++)
    if (writer->last[i])
      before = writer->last[i];
  link = before ? &before->next : &writer->first;
  message->next = *link;
  *link = message;
  writer->last[priority] = message;
  writer->bytes[priority] += left (message);
  writer->count[priority]++;
}

/* Takes a message out of the queue and ends it: the first one of its priority
 * that has not begun, or the one that has. */
static void
take_out (
    struct helix_writer *writer, struct helix_writer_message **link, bool sent)
{
  struct helix_writer_message *message = *link;

  *link = message->next;
  if (writer->last[message->priority] == message)
    writer->last[message->priority] = NULL;
  writer->bytes[message->priority] -= left (message);
  writer->count[message->priority]--;
  if (message->extra.done)
    message->extra.done (message->extra.opaque, message->extra.data, sent);
  free (message);
}

size_t
helix_writer_drop (struct helix_writer *writer, unsigned priority)
{
  struct helix_writer_message **link = &writer->first;
  size_t dropped = 0;

  while (writer->last[priority]) {
    if ((*link)->priority != priority || (*link)->sent > 0) {
      link = &(*link)->next;
    } else {
      take_out (writer, link, false);
      dropped++;
    }
  }
  return dropped;
}

void
helix_writer_clear (struct helix_writer *writer)
{
  while (writer->first)
    take_out (writer, &writer->first, false);
}

bool
helix_writer_pending (const struct helix_writer *writer)
{
  return writer->first != NULL;
}

bool
helix_writer_has_begun (const struct helix_writer *writer, unsigned priority)
{
  const struct helix_writer_message *first = writer->first;

  return first && first->sent > 0 && first->priority == priority;
}

uint64_t
helix_writer_oldest (const struct helix_writer *writer, unsigned priority)
{
  const struct helix_writer_message *message = writer->first;

  while (
      message && (message->priority != priority || message->extra.since == 0))
    message = message->next;
  return message ? message->extra.since : 0;
}

static int
add_piece (struct iovec *iov, const void *from, size_t size, size_t *limit)
{
  if (size > *limit)
    size = *limit;
  if (size == 0)
    return 0;
  iov->iov_base = (void *) from;
  iov->iov_len = size;
  *limit -= size;
  return 1;
}

/* The rest of a message: one piece, or two. */
static int
add_message (struct iovec *iov, const struct helix_writer_message *message,
    size_t *limit)
{
  size_t head = message->sent < message->size ? message->sent : message->size;
  size_t bulk = message->sent - head;
  int n = add_piece (iov, message->head + head, message->size - head, limit);

  if (message->extra.bulk_size > bulk)
    n += add_piece (&iov[n], (const uint8_t *) message->extra.bulk + bulk,
        message->extra.bulk_size - bulk, limit);
  return n;
}

int
helix_writer_iov (const struct helix_writer *writer, struct iovec *iov, int max,
    size_t limit, int *fd)
{
  const struct helix_writer_message *message = writer->first;
  int n = 0;

  *fd = -1;
  for (; message && limit > 0 && n + 2 <= max; message = message->next) {
    bool alone = message->extra.has_fd && message->sent == 0;

    if (alone && n > 0)
      break;
    n += add_message (&iov[n], message, &limit);
    if (alone) {
      *fd = message->extra.fd;
      break;
    }
  }
  return n;
}

void
helix_writer_sent (struct helix_writer *writer, size_t n)
{
  struct helix_writer_message *message;

  while (n > 0 && (message = writer->first)) {
    size_t part = n < left (message) ? n : left (message);

    message->sent += part;
    if (writer->last[message->priority] == message)
      writer->last[message->priority] = NULL;
    writer->bytes[message->priority] -= part;
    n -= part;
    if (left (message) == 0)
      take_out (writer, &writer->first, true);
  }
}

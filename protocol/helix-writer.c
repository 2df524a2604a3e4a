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

  if (!message)
    abort ();
  memset (message, 0, sizeof *message);
  if (extra)
    message->extra = *extra;
  message->priority = priority;
  message->size = size;
  memcpy (message->head, head, size);
  if (writer->last[priority])
    writer->last[priority]->next = message;
  else
    writer->first[priority] = message;
  writer->last[priority] = message;
  writer->bytes[priority] += left (message);
  writer->count[priority]++;
}

/* Takes the message behind `before`, or the first one if that is NULL, out of
 * its queue and ends it. */
static void
take_out (struct helix_writer *writer, unsigned priority,
    struct helix_writer_message *before, bool sent)
{
  struct helix_writer_message **link =
      before ? &before->next : &writer->first[priority];
  struct helix_writer_message *message = *link;

  *link = message->next;
  if (writer->last[priority] == message)
    writer->last[priority] = before;
  if (writer->begun == message)
    writer->begun = NULL;
  writer->bytes[priority] -= left (message);
  writer->count[priority]--;
  if (message->extra.done)
    message->extra.done (message->extra.opaque, message->extra.data, sent);
  free (message);
}

size_t
helix_writer_drop (struct helix_writer *writer, unsigned priority)
{
  struct helix_writer_message *keep =
      helix_writer_has_begun (writer, priority) ? writer->begun : NULL;
  size_t dropped = 0;

  while (keep ? keep->next : writer->first[priority]) {
    take_out (writer, priority, keep, false);
    dropped++;
  }
  return dropped;
}

void
helix_writer_clear (struct helix_writer *writer)
{
  writer->begun = NULL;
  for (unsigned i = 0; i < HELIX_WRITER_PRIORITIES; i++)
    helix_writer_drop (writer, i);
}

bool
helix_writer_pending (const struct helix_writer *writer)
{
  for (unsigned i = 0; i < HELIX_WRITER_PRIORITIES; i++)
    if (writer->first[i])
      return true;
  return false;
}

bool
helix_writer_has_begun (const struct helix_writer *writer, unsigned priority)
{
  return writer->begun && writer->begun->priority == priority;
}

uint64_t
helix_writer_oldest (const struct helix_writer *writer, unsigned priority)
{
  const struct helix_writer_message *message = writer->first[priority];

  while (message && message->extra.since == 0)
    message = message->next;
  return message ? message->extra.since : 0;
}

/* The message that is sent after `message`; with NULL, the first of all. */
static struct helix_writer_message *
following (const struct helix_writer *writer,
    const struct helix_writer_message *message)
{
  unsigned priority = 0;

  if (!message && writer->begun)
    return writer->begun;
  if (message && message != writer->begun) {
    if (message->next)
      return message->next;
    priority = message->priority + 1;
  }
  for (; priority < HELIX_WRITER_PRIORITIES; priority++) {
    struct helix_writer_message *first = writer->first[priority];

    if (first && first == writer->begun)
      first = first->next;
    if (first)
      return first;
  }
  return NULL;
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
  const struct helix_writer_message *message = NULL;
  int n = 0;

  *fd = -1;
  while ((message = following (writer, message)) && limit > 0 && n + 2 <= max) {
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

  while (n > 0 && (message = following (writer, NULL))) {
    size_t part = n < left (message) ? n : left (message);

    message->sent += part;
    writer->bytes[message->priority] -= part;
    n -= part;
    if (left (message) == 0)
      take_out (writer, message->priority, NULL, true);
    else
      writer->begun = message;
  }
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-outbox.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <glib.h>

#include "helix-platform.h"
#include "helix-subscription.h"

struct helix_out {
  struct helix_out *next;
  size_t size, sent; /* bytes: `sent` counts message, then bulk */
  size_t bulk;
  const uint8_t *bulk_from;    /* `bulk` bytes of a slot or a shape */
  struct helix_memory *memory; /* referenced; POOL, and FRAME with pixels */
  struct helix_subscription *subscription; /* referenced; who hears of it */
  struct helix_shape *shape;               /* referenced; CURSOR with pixels */
  uint32_t slot;
  uint8_t message[];
};

void
helix_outbox_init (struct helix_outbox *outbox)
{
  memset (outbox, 0, sizeof *outbox);
  outbox->tail = &outbox->head;
}

static struct helix_out *
push (struct helix_outbox *outbox, const void *message, size_t size)
{
  struct helix_out *out = g_malloc0 (sizeof *out + size);

  memcpy (out->message, message, size);
  out->size = size;
  *outbox->tail = out;
  outbox->tail = &out->next;
  outbox->size += size;
  return out;
}

void
helix_outbox_push (
    struct helix_outbox *outbox, const void *message, size_t size)
{
  push (outbox, message, size);
}

void
helix_outbox_push_pool (struct helix_outbox *outbox, const void *message,
    size_t size, struct helix_memory *memory)
{
  push (outbox, message, size)->memory = helix_memory_ref (memory);
}

void
helix_outbox_push_pixels (struct helix_outbox *outbox, const void *message,
    size_t size, struct helix_subscription *subscription,
    struct helix_memory *memory, uint32_t slot, size_t bulk)
{
  struct helix_out *out = push (outbox, message, size);

  out->memory = helix_memory_ref (memory);
  out->subscription = helix_subscription_ref (subscription);
  out->slot = slot;
  out->bulk = bulk;
  out->bulk_from = helix_memory_pixels (memory, slot);
  outbox->streaming = true;
}

void
helix_outbox_push_cursor (struct helix_outbox *outbox, const void *message,
    size_t size, struct helix_subscription *subscription,
    struct helix_shape *shape, size_t bulk)
{
  struct helix_out *out = push (outbox, message, size);

  out->subscription = helix_subscription_ref (subscription);
  out->shape = shape;
  out->bulk = bulk;
  out->bulk_from = shape ? shape->pixels : NULL;
}

/* Takes the first message off, sent whole or given up. */
static void
drop_head (struct helix_outbox *outbox)
{
  struct helix_out *out = outbox->head;

  outbox->head = out->next;
  if (!outbox->head)
    outbox->tail = &outbox->head;
  outbox->size -= out->size;
  if (out->subscription && out->memory) {
    outbox->streaming = false;
    helix_subscription_sent (out->subscription, out->memory, out->slot);
  } else if (out->subscription) {
    helix_cursor_sent (out->subscription);
  } else if (out->memory && out->memory->client_fd >= 0) {
    close (out->memory->client_fd);
    out->memory->client_fd = -1;
  }
  if (out->subscription)
    helix_subscription_unref (out->subscription);
  helix_shape_unref (out->shape);
  if (out->memory && helix_memory_unref (out->memory))
    helix_memory_free (out->memory);
  g_free (out);
}

void
helix_outbox_clear (struct helix_outbox *outbox)
{
  while (outbox->head)
    drop_head (outbox);
}

bool
helix_outbox_full (const struct helix_outbox *outbox)
{
  return outbox->size >= HELIX_OUTBOX_LIMIT;
}

bool
helix_outbox_empty (const struct helix_outbox *outbox)
{
  return !outbox->head;
}

static ssize_t
send_head (struct helix_out *out, int fd)
{
  struct iovec iov[2];
  int n = 0, pass = -1;

  if (out->sent < out->size) {
    iov[n].iov_base = out->message + out->sent;
    iov[n++].iov_len = out->size - out->sent;
  }
  if (out->bulk) {
    size_t done = out->sent > out->size ? out->sent - out->size : 0;

    iov[n].iov_base = (uint8_t *) out->bulk_from + done;
    iov[n++].iov_len = out->bulk - done;
  } else if (out->memory && out->sent == 0) {
    pass = out->memory->client_fd;
  }
  return helix_send (fd, iov, n, pass);
}

bool
helix_outbox_flush (struct helix_outbox *outbox, int fd)
{
  while (outbox->head) {
    struct helix_out *out = outbox->head;
    ssize_t n = send_head (out, fd);

    if (n < 0) {
      if (errno == EINTR)
        continue;
      return errno == EAGAIN || errno == EWOULDBLOCK;
    }
    out->sent += (size_t) n;
    if (out->sent == out->size + out->bulk)
      drop_head (outbox);
  }
  return true;
}

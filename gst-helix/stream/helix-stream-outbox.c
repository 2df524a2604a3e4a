/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-stream-outbox.h"

#include <string.h>

#include "helix-transport-io.h"

typedef struct {
  HelixStreamOutboxUnit *unit; /* NULL: CAPS */
  gsize head_size;
  gsize sent; /* bytes, of head and unit together */
  guint8 head[HELIX_HEADER_SIZE + sizeof (struct helix_caps)];
} Item;

G_STATIC_ASSERT (sizeof (struct helix_caps) >= sizeof (struct helix_unit));

HelixStreamOutboxUnit *
helix_stream_outbox_unit_new (GstBuffer *buffer)
{
  HelixStreamOutboxUnit *unit = g_new0 (HelixStreamOutboxUnit, 1);

  unit->refs = 1;
  if (!gst_buffer_map (buffer, &unit->map, GST_MAP_READ)) {
    g_free (unit);
    return NULL;
  }
  unit->buffer = gst_buffer_ref (buffer);
  return unit;
}

void
helix_stream_outbox_unit_unref (HelixStreamOutboxUnit *unit)
{
  if (unit == NULL || !g_atomic_int_dec_and_test (&unit->refs))
    return;
  gst_buffer_unmap (unit->buffer, &unit->map);
  gst_buffer_unref (unit->buffer);
  g_free (unit);
}

void
helix_stream_outbox_init (HelixStreamOutbox *self)
{
  memset (self, 0, sizeof *self);
  self->control = g_byte_array_new ();
  g_queue_init (&self->items);
}

void
helix_stream_outbox_clear (HelixStreamOutbox *self)
{
  helix_stream_outbox_abandon (self);
  g_byte_array_unref (self->control);
}

void
helix_stream_outbox_say (
    HelixStreamOutbox *self, const guint8 *message, gsize size)
{
  g_byte_array_append (self->control, message, (guint) size);
}

gsize
helix_stream_outbox_control (const HelixStreamOutbox *self)
{
  return self->control->len - self->control_sent;
}

void
helix_stream_outbox_add (HelixStreamOutbox *self, const guint8 *head,
    gsize size, HelixStreamOutboxUnit *unit)
{
  Item *item = g_new0 (Item, 1);

  g_return_if_fail (size <= sizeof item->head);
  memcpy (item->head, head, size);
  item->head_size = size;
  item->unit = unit;
  if (unit != NULL) {
    g_atomic_int_inc (&unit->refs);
    self->units++;
    self->bytes += unit->map.size;
  }
  g_queue_push_tail (&self->items, item);
}

static gsize
item_size (const Item *item)
{
  return item->head_size + (item->unit != NULL ? item->unit->map.size : 0);
}

/* Takes the item out of the counts and away. */
static void
item_free (HelixStreamOutbox *self, Item *item)
{
  if (item->unit != NULL) {
    self->units--;
    self->bytes -= item->unit->map.size;
  }
  helix_stream_outbox_unit_unref (item->unit);
  g_free (item);
}

static gboolean
has_begun (const HelixStreamOutbox *self)
{
  return self->items.head != NULL
      && ((Item *) self->items.head->data)->sent > 0;
}

guint
helix_stream_outbox_drop (HelixStreamOutbox *self)
{
  guint keep = has_begun (self) ? 1 : 0;
  guint before = self->units;

  while (self->items.length > keep)
    item_free (self, g_queue_pop_tail (&self->items));
  return before - self->units;
}

guint
helix_stream_outbox_abandon (HelixStreamOutbox *self)
{
  guint before = self->units;
  Item *item;

  while ((item = g_queue_pop_head (&self->items)) != NULL)
    item_free (self, item);
  g_byte_array_set_size (self->control, 0);
  self->control_sent = 0;
  return before;
}

gboolean
helix_stream_outbox_pending (const HelixStreamOutbox *self)
{
  return helix_stream_outbox_control (self) > 0 || self->items.length > 0;
}

/* The unsent rest of an item. */
static gint
fill (struct iovec *iov, const Item *item)
{
  gsize in_unit = 0;
  gint n = 0;

  if (item->sent < item->head_size) {
    iov[n].iov_base = (guint8 *) item->head + item->sent;
    iov[n++].iov_len = item->head_size - item->sent;
  } else {
    in_unit = item->sent - item->head_size;
  }
  if (item->unit != NULL) {
    iov[n].iov_base = item->unit->map.data + in_unit;
    iov[n++].iov_len = item->unit->map.size - in_unit;
  }
  return n;
}

/* Books `n` bytes as sent: control first, if `control` of it was offered. */
static void
book (HelixStreamOutbox *self, gsize n, gsize control)
{
  gsize part = MIN (n, control);
  Item *item;

  self->control_sent += part;
  n -= part;
  if (self->control_sent == self->control->len) {
    g_byte_array_set_size (self->control, 0);
    self->control_sent = 0;
  }
  while (n > 0 && (item = g_queue_peek_head (&self->items)) != NULL) {
    part = MIN (n, item_size (item) - item->sent);
    item->sent += part;
    n -= part;
    if (item->sent < item_size (item))
      break;
    if (item->unit != NULL) {
      self->sent_units++;
      self->sent_bytes += item->unit->map.size;
    }
    item_free (self, g_queue_pop_head (&self->items));
  }
}

gssize
helix_stream_outbox_send (HelixStreamOutbox *self, gint fd, gsize limit)
{
  gboolean begun = has_begun (self);
  gsize control = 0, total = 0;
  struct iovec iov[7];
  gint n = 0;
  gssize sent;

  /* Control messages overtake units, at the next boundary. */
  if (!begun && helix_stream_outbox_control (self) > 0) {
    control = helix_stream_outbox_control (self);
    iov[n].iov_base = self->control->data + self->control_sent;
    iov[n++].iov_len = control;
  }
  for (GList *link = self->items.head;
       link != NULL && n + 2 <= (gint) G_N_ELEMENTS (iov); link = link->next) {
    n += fill (&iov[n], link->data);
    if (begun && helix_stream_outbox_control (self) > 0)
      break;
  }
  for (gint i = 0; i < n; i++) {
    iov[i].iov_len = MIN (iov[i].iov_len, limit - total);
    total += iov[i].iov_len;
  }
  sent = helix_transport_write (fd, iov, n);
  if (sent > 0)
    book (self, (gsize) sent, control);
  return sent;
}

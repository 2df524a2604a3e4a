/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-stream-outbox.h"

#include <string.h>

#include "helix-platform.h"
#include "helix-transport-io.h"

struct _HelixStreamOutboxItem {
  HelixStreamOutboxUnit *unit; /* NULL: CAPS, CURSOR without a shape */
  guint32 serial;              /* of a cursor's shape */
  gsize head_size;
  gsize sent; /* bytes, of head and unit together */
  guint8 head[HELIX_HEADER_SIZE + sizeof (struct helix_caps)];
};

typedef HelixStreamOutboxItem Item;

G_STATIC_ASSERT (sizeof (struct helix_caps) >= sizeof (struct helix_unit));
G_STATIC_ASSERT (sizeof (struct helix_caps) >= sizeof (struct helix_cursor));

/* For control, the cursor, and three units or so. */
#define MAX_IOV 9

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

static Item *
item_new (const guint8 *head, gsize size, HelixStreamOutboxUnit *unit)
{
  Item *item = g_new0 (Item, 1);

  g_assert (size <= sizeof item->head);
  memcpy (item->head, head, size);
  item->head_size = size;
  item->unit = unit;
  if (unit != NULL)
    g_atomic_int_inc (&unit->refs);
  return item;
}

void
helix_stream_outbox_add (HelixStreamOutbox *self, const guint8 *head,
    gsize size, HelixStreamOutboxUnit *unit)
{
  if (unit != NULL) {
    self->units++;
    self->bytes += unit->map.size;
  }
  g_queue_push_tail (&self->items, item_new (head, size, unit));
}

static gsize
item_size (const Item *item)
{
  return item->head_size + (item->unit != NULL ? item->unit->map.size : 0);
}

static void
item_free (Item *item)
{
  helix_stream_outbox_unit_unref (item->unit);
  g_free (item);
}

/* Takes an item of the queue out of the counts and away. */
static void
take_out (HelixStreamOutbox *self, Item *item)
{
  if (item->unit != NULL) {
    self->units--;
    self->bytes -= item->unit->map.size;
  }
  item_free (item);
}

gboolean
helix_stream_outbox_cursor (HelixStreamOutbox *self, const guint8 *head,
    gsize size, HelixStreamOutboxUnit *shape, guint32 serial)
{
  if (self->cursor != NULL && self->cursor->sent > 0)
    return FALSE;
  g_clear_pointer (&self->cursor, item_free);
  self->cursor = item_new (head, size, shape);
  self->cursor->serial = serial;
  return TRUE;
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
    take_out (self, g_queue_pop_tail (&self->items));
  if (self->cursor != NULL && self->cursor->sent == 0)
    g_clear_pointer (&self->cursor, item_free);
  return before - self->units;
}

guint
helix_stream_outbox_abandon (HelixStreamOutbox *self)
{
  guint before = self->units;
  Item *item;

  while ((item = g_queue_pop_head (&self->items)) != NULL)
    take_out (self, item);
  g_clear_pointer (&self->cursor, item_free);
  self->cursor_serial = 0;
  g_byte_array_set_size (self->control, 0);
  self->control_sent = 0;
  return before;
}

gboolean
helix_stream_outbox_pending (const HelixStreamOutbox *self)
{
  return helix_stream_outbox_control (self) > 0 || self->cursor != NULL
      || self->items.length > 0;
}

guint64
helix_stream_outbox_oldest (const HelixStreamOutbox *self)
{
  for (const GList *link = self->items.head; link != NULL; link = link->next) {
    const Item *item = link->data;

    if (item->unit != NULL)
      return item->unit->arrived_ns;
  }
  return 0;
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

/* Books up to `n` bytes of an item; returns how many are left for others. */
static gsize
book_item (Item *item, gsize n)
{
  gsize part = MIN (n, item_size (item) - item->sent);

  item->sent += part;
  return n - part;
}

static gsize
book_cursor (HelixStreamOutbox *self, gsize n)
{
  Item *item = self->cursor;

  if (n > 0 && item->sent == 0 && item->unit != NULL)
    self->cursor_serial = item->serial;
  n = book_item (item, n);
  if (item->sent == item_size (item))
    g_clear_pointer (&self->cursor, item_free);
  return n;
}

/* Books `n` bytes as sent, in the order in which they were offered. */
static void
book (HelixStreamOutbox *self, gsize n, gsize control, gboolean cursor)
{
  gsize part = MIN (n, control);
  Item *item;

  self->control_sent += part;
  n -= part;
  if (self->control_sent == self->control->len) {
    g_byte_array_set_size (self->control, 0);
    self->control_sent = 0;
  }
  if (cursor)
    n = book_cursor (self, n);
  while (n > 0 && (item = g_queue_peek_head (&self->items)) != NULL) {
    n = book_item (item, n);
    if (item->sent < item_size (item))
      break;
    if (item->unit != NULL) {
      self->sent_units++;
      self->sent_bytes += item->unit->map.size;
      if (self->times != NULL && item->unit->arrived_ns != 0)
        helix_histogram_add (
            self->times, helix_now_ns () - item->unit->arrived_ns);
    }
    take_out (self, g_queue_pop_head (&self->items));
  }
}

/* A message that has begun is finished; then control messages, then the
 * cursor, then units. */
gssize
helix_stream_outbox_send (HelixStreamOutbox *self, gint fd, gsize limit)
{
  gboolean in_unit = has_begun (self);
  gboolean in_cursor = self->cursor != NULL && self->cursor->sent > 0;
  gboolean cursor = self->cursor != NULL && !in_unit;
  gsize control = 0, total = 0;
  struct iovec iov[MAX_IOV];
  gint n = 0;
  gssize sent;

  if (!in_unit && !in_cursor && helix_stream_outbox_control (self) > 0) {
    control = helix_stream_outbox_control (self);
    iov[n].iov_base = self->control->data + self->control_sent;
    iov[n++].iov_len = control;
  }
  if (cursor)
    n += fill (&iov[n], self->cursor);
  for (GList *link = in_cursor ? NULL : self->items.head;
       link != NULL && n + 2 <= MAX_IOV; link = link->next) {
    n += fill (&iov[n], link->data);
    if (in_unit
        && (helix_stream_outbox_control (self) > 0 || self->cursor != NULL))
      break;
  }
  for (gint i = 0; i < n; i++) {
    iov[i].iov_len = MIN (iov[i].iov_len, limit - total);
    total += iov[i].iov_len;
  }
  sent = helix_transport_write (fd, iov, n);
  if (sent > 0)
    book (self, (gsize) sent, control, cursor);
  return sent;
}

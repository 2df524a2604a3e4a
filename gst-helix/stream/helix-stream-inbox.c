/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-stream-inbox.h"

#include <string.h>

/* The quickest unit counts for one to two of these. A clock that jumps for good
 * (a machine that slept) misleads for no longer. */
#define WINDOW_NS (2000 * G_GUINT64_CONSTANT (1000000))

/* Quartz is good for 50 ppm, and there are two of them: 1 ns in so many. */
#define DRIFT_DIVISOR 10000

/* What a unit takes beside its data, about: a GstBuffer and its memory. */
#define UNIT_COST 1024

void
helix_stream_inbox_init (HelixStreamInbox *self, guint64 max_age)
{
  memset (self, 0, sizeof *self);
  self->max_age = max_age;
  g_queue_init (&self->entries);
}

static gsize
size_of (const HelixStreamItem *unit)
{
  return gst_buffer_get_size (unit->buffer) + UNIT_COST;
}

/* The first item, or NULL. Ownership: the caller's. */
static HelixStreamItem *
pop (HelixStreamInbox *self)
{
  HelixStreamItem *item = g_queue_pop_head (&self->entries);

  if (item != NULL && item->kind == HELIX_STREAM_UNIT) {
    self->units--;
    self->bytes -= size_of (item);
  }
  return item;
}

static void
push (HelixStreamInbox *self, const HelixStreamItem *item)
{
  HelixStreamItem *own = g_new (HelixStreamItem, 1);

  *own = *item;
  g_queue_push_tail (&self->entries, own);
  if (item->kind == HELIX_STREAM_UNIT) {
    self->units++;
    self->bytes += size_of (item);
  }
}

static void
item_free (HelixStreamItem *item)
{
  gst_clear_buffer (&item->buffer);
  g_free (item);
}

void
helix_stream_inbox_clear (HelixStreamInbox *self)
{
  HelixStreamItem *item;

  while ((item = pop (self)) != NULL)
    item_free (item);
}

void
helix_stream_inbox_live (HelixStreamInbox *self, gboolean live)
{
  self->live = live;
  self->skipping = self->wants_key = FALSE; /* each begins with a keyframe */
  self->timed = FALSE;                      /* and may have another clock */
}

/* ---- age ---- */

/* How long it was under way, on two clocks. */
static guint64
transit_of (const HelixStreamItem *unit)
{
  return unit->received_ns - unit->unit.sent_ns;
}

static void
note_arrival (HelixStreamInbox *self, guint64 transit, guint64 now)
{
  guint64 drift = self->timed ? (now - self->timed_at) / DRIFT_DIVISOR : 0;

  if (!self->timed)
    self->window_best = transit;
  self->best += drift;
  self->window_best += drift;
  if (!self->timed || now - self->window_since >= WINDOW_NS) {
    self->best = self->window_best;
    self->window_best = transit;
    self->window_since = now;
  }
  if ((gint64) (transit - self->best) < 0)
    self->best = transit;
  if ((gint64) (transit - self->window_best) < 0)
    self->window_best = transit;
  self->timed = TRUE;
  self->timed_at = now;
}

static guint64
age_of (const HelixStreamInbox *self, const GList *link)
{
  const HelixStreamItem *unit = link->data;
  gint64 late = (gint64) (transit_of (unit) - self->best);
  guint64 waited = self->timed_at - unit->received_ns;

  return self->timed ? waited + (guint64) MAX (late, 0) : 0;
}

/* ---- leaving out ---- */

static gboolean
is_unit (const GList *link)
{
  return ((const HelixStreamItem *) link->data)->kind == HELIX_STREAM_UNIT;
}

static GList *
first_unit (HelixStreamInbox *self)
{
  GList *link = self->entries.head;

  while (link != NULL && !is_unit (link))
    link = link->next;
  return link;
}

static GList *
newest_key (HelixStreamInbox *self)
{
  GList *link = self->entries.tail;

  while (link != NULL
      && !(is_unit (link)
          && ((HelixStreamItem *) link->data)->unit.flags & HELIX_UNIT_KEY))
    link = link->prev;
  return link;
}

/* Leaves out all units before `link` (NULL: all), but not the last CAPS. */
static void
skip_to (HelixStreamInbox *self, GList *link)
{
  HelixStreamItem *caps = NULL;

  while (self->entries.head != link) {
    HelixStreamItem *item = pop (self);

    if (item->kind == HELIX_STREAM_CAPS) {
      g_free (caps);
      caps = item;
    } else {
      self->left_out++;
      item_free (item);
    }
  }
  if (caps != NULL)
    g_queue_push_head (&self->entries, caps);
  self->discont = TRUE;
  self->skipping = link == NULL;
  self->skips++;
  if (self->taken && self->skipped_at != 0
      && self->timed_at - self->skipped_at < HELIX_STREAM_SLOW_NS)
    self->slow = TRUE;
  self->skipped_at = self->timed_at;
  self->taken = FALSE;
}

/* Nothing that is too old stays. */
static void
bound (HelixStreamInbox *self)
{
  guint64 limit = self->max_age + self->latency;
  GList *first = first_unit (self), *key;

  if (!self->live || first == NULL)
    return;
  if (age_of (self, first) <= limit
      && (self->bytes <= HELIX_STREAM_INBOX_MAX_BYTES || self->units == 1))
    return;
  key = newest_key (self);
  /* As late as the one before it, which was left out as well: the next would
   * be no younger. */
  if (key == first && self->units == 1 && !self->taken && self->skipped_at != 0
      && self->timed_at - self->skipped_at >= self->max_age)
    return;
  if (key == first || (key != NULL && age_of (self, key) > limit))
    key = NULL;
  skip_to (self, key);
}

/* Units are taken too slowly. At half of what is allowed the next
 * keyframe is the place to go on: so it is there before the limit is. */
static void
fall_behind (HelixStreamInbox *self)
{
  GList *first = first_unit (self), *key;

  if (!self->live || first == NULL
      || age_of (self, first) <= self->max_age / 2 + self->latency)
    return;
  key = newest_key (self);
  if (key != NULL && key != first)
    skip_to (self, key);
  else
    self->wants_key = TRUE;
}

/* ---- in and out ---- */

static void
add_unit (HelixStreamInbox *self, const HelixStreamItem *item)
{
  gboolean key = (item->unit.flags & HELIX_UNIT_KEY) != 0;

  note_arrival (self, transit_of (item), item->received_ns);
  if (self->skipping && !key) {
    self->left_out++;
    gst_buffer_unref (item->buffer);
    return;
  }
  if (key)
    self->skipping = self->wants_key = FALSE;
  push (self, item);
  bound (self);
}

void
helix_stream_inbox_add (HelixStreamInbox *self, const HelixStreamItem *item)
{
  GList *last = self->entries.tail;

  if (item->kind == HELIX_STREAM_UNIT) {
    add_unit (self, item);
    return;
  }
  if (last != NULL && !is_unit (last)) /* of units that were left out */
    g_free (g_queue_pop_tail (&self->entries));
  push (self, item);
}

gboolean
helix_stream_inbox_take (HelixStreamInbox *self, HelixStreamItem *item)
{
  HelixStreamItem *first;

  fall_behind (self);
  first = pop (self);
  if (first == NULL) {
    /* Only now: a keyframe that is not taken would grow old as well. */
    self->wants_key |= self->skipping;
    return FALSE;
  }
  self->taken = TRUE;
  *item = *first;
  g_free (first);
  if (item->kind == HELIX_STREAM_UNIT) {
    item->discont |= self->discont;
    self->discont = FALSE;
  }
  return TRUE;
}

gboolean
helix_stream_inbox_tick (HelixStreamInbox *self, guint64 now, guint64 *next)
{
  if (!self->wants_key || !self->live)
    return FALSE;
  if (self->asked_at != 0 && now - self->asked_at < HELIX_STREAM_INBOX_ASK_NS) {
    *next = MIN (*next, self->asked_at + HELIX_STREAM_INBOX_ASK_NS);
    return FALSE;
  }
  self->asked_at = now;
  return TRUE;
}

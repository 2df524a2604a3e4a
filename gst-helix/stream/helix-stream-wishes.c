/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-stream-wishes.h"

#include <string.h>

void
helix_stream_wishes_init (HelixStreamWishes *self)
{
  memset (self, 0, sizeof *self);
  self->wanted.rate_den = 1;
  self->show_ns = HELIX_NONE64;
  self->told_scanout = self->told_resource = HELIX_NONE64;
}

void
helix_stream_wishes_set (
    HelixStreamWishes *self, const struct helix_config *wish)
{
  if (wish->fields & HELIX_CONFIG_BITRATE)
    self->wanted.bitrate = wish->bitrate;
  if (wish->fields & HELIX_CONFIG_RATE) {
    self->wanted.rate_num = wish->rate_num;
    self->wanted.rate_den = wish->rate_den;
  }
  if (wish->fields & HELIX_CONFIG_SCANOUT)
    self->wanted.scanout = wish->scanout;
  if (wish->fields & HELIX_CONFIG_RESOURCE)
    self->wanted.resource_id = wish->resource_id;
  self->wanted.fields |= wish->fields;
  self->unsent |= wish->fields;
}

void
helix_stream_wishes_drop (HelixStreamWishes *self, guint32 fields)
{
  self->wanted.fields &= ~fields;
  self->unsent &= ~fields;
}

void
helix_stream_wishes_show (
    HelixStreamWishes *self, guint32 resource_id, guint64 capture_ns)
{
  self->show_id = resource_id;
  self->show_ns = capture_ns;
  self->shown = 0;
}

void
helix_stream_wishes_renew (HelixStreamWishes *self)
{
  self->unsent = self->wanted.fields;
  if (self->show_id == 0)
    helix_stream_wishes_show (self, self->shown, HELIX_NONE64);
}

gboolean
helix_stream_wishes_pending (
    const HelixStreamWishes *self, struct helix_config *out)
{
  *out = self->wanted;
  out->fields = self->unsent;
  return self->unsent != 0;
}

void
helix_stream_wishes_sent (HelixStreamWishes *self)
{
  self->unsent = 0;
}

void
helix_stream_wishes_shown (HelixStreamWishes *self)
{
  self->shown = self->show_id;
  self->show_id = 0;
}

static gboolean
is_news (guint64 *told, guint64 value)
{
  gboolean news = *told != value;

  *told = value;
  return news;
}

gboolean
helix_stream_wishes_refused (
    HelixStreamWishes *self, const struct helix_error *error)
{
  guint64 bit;

  if (error->refers == HELIX_CONFIG && error->code == HELIX_ERROR_NO_SCANOUT)
    return is_news (&self->told_scanout, self->wanted.scanout);
  if (error->refers == HELIX_CONFIG && error->code == HELIX_ERROR_NO_RESOURCE)
    return is_news (&self->told_resource, self->wanted.resource_id);
  /* The rest by kind: a resource that is shown is another each time. */
  bit = G_GUINT64_CONSTANT (1)
      << (error->code % 32) << (error->refers == HELIX_SHOW ? 32 : 0);
  if (self->told_codes & bit)
    return FALSE;
  self->told_codes |= bit;
  return TRUE;
}

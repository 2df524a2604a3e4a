/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gsthelixholdback.h"

#include "helix-protocol.h"

/* ns: the longest that an encoder's own delay puts the first repetition off.
 * A slower one gets a needless repetition. */
#define MAX_DELAY (100 * GST_MSECOND)

void
gst_helix_holdback_reset (GstHelixHoldback *self)
{
  *self = (GstHelixHoldback){
      .wanted = GST_CLOCK_TIME_NONE,
      .last = GST_CLOCK_TIME_NONE,
  };
}

/* Whether the sink still waits for the wanted picture. */
static gboolean
lacks (const GstHelixHoldback *self, const GstHelixHoldbackSink *sink)
{
  return GST_CLOCK_TIME_IS_VALID (self->wanted)
      && (!GST_CLOCK_TIME_IS_VALID (sink->out) || sink->out < self->wanted);
}

/* The sink for which the last picture must be repeated, or NULL. */
static const GstHelixHoldbackSink *
find_lacking (const GstHelixHoldback *self)
{
  for (guint i = 0; i < self->n_sinks; i++)
    if (!GST_CLOCK_TIME_IS_VALID (self->sinks[i].given_up)
        && lacks (self, &self->sinks[i]))
      return &self->sinks[i];
  return NULL;
}

const GstHelixHoldbackSink *
gst_helix_holdback_pushed (GstHelixHoldback *self, GstClockTime running_time,
    gboolean wanted, guint64 now)
{
  const GstHelixHoldbackSink *stuck;

  self->last = running_time;
  self->pushed_ns = now;
  if (wanted || self->refresh) {
    if (find_lacking (self) != NULL) /* so many were not enough for the last */
      self->held_back = MAX (self->held_back, self->after);
    self->wanted = running_time;
    self->after = 0;
    self->refresh = FALSE;
    return NULL;
  }
  stuck = find_lacking (self);
  if (stuck == NULL)
    return NULL;
  self->flushed++;
  if (++self->after < GST_HELIX_HOLDBACK_MOST)
    return NULL;
  self->held_back = self->after;
  for (guint i = 0; i < self->n_sinks; i++)
    if (lacks (self, &self->sinks[i]))
      self->sinks[i].given_up = self->wanted;
  if (self->complained)
    return NULL;
  self->complained = TRUE;
  return stuck;
}

static GstHelixHoldbackSink *
find_sink (GstHelixHoldback *self, guint id)
{
  GstHelixHoldbackSink *sink;

  for (guint i = 0; i < self->n_sinks; i++)
    if (self->sinks[i].id == id)
      return &self->sinks[i];
  if (self->n_sinks == GST_HELIX_HOLDBACK_SINKS)
    memmove (
        self->sinks, self->sinks + 1, --self->n_sinks * sizeof self->sinks[0]);
  sink = &self->sinks[self->n_sinks++];
  *sink = (GstHelixHoldbackSink){
      .id = id,
      .out = GST_CLOCK_TIME_NONE,
      .given_up = GST_CLOCK_TIME_NONE,
  };
  return sink;
}

/* What the encoder's behaviour just now tells of it. */
static void
learn (GstHelixHoldback *self, gboolean lacked, guint64 now)
{
  GstClockTime out = GST_CLOCK_TIME_NONE;

  if (find_lacking (self) != NULL)
    return;
  for (guint i = 0; i < self->n_sinks; i++)
    if (!GST_CLOCK_TIME_IS_VALID (self->sinks[i].given_up))
      out = MIN (out, self->sinks[i].out);
  if (out == self->last) { /* nothing had to follow it */
    self->delay_ns = now > self->pushed_ns ? now - self->pushed_ns : 0;
    self->held_back = 0;
  } else if (lacked) {
    self->delay_ns = 0;
    self->held_back = self->after;
  }
}

gboolean
gst_helix_holdback_reported (
    GstHelixHoldback *self, const GstHelixOutput *output, guint64 now)
{
  gboolean lacked = find_lacking (self) != NULL;
  GstHelixHoldbackSink *sink = find_sink (self, output->sink);

  if (output->encoder[0] != '\0')
    g_strlcpy (sink->encoder, output->encoder, sizeof sink->encoder);
  if (GST_CLOCK_TIME_IS_VALID (output->running_time)
      && GST_CLOCK_TIME_IS_VALID (self->last)) {
    GstClockTime out = MIN (output->running_time, self->last);

    if (!GST_CLOCK_TIME_IS_VALID (sink->out) || out > sink->out)
      sink->out = out;
    if (GST_CLOCK_TIME_IS_VALID (sink->given_up) && sink->out >= sink->given_up)
      sink->given_up = GST_CLOCK_TIME_NONE;
    learn (self, lacked, now);
  }
  return !lacked && find_lacking (self) != NULL;
}

/* Whether some sink reports. */
static gboolean
is_watched (const GstHelixHoldback *self)
{
  for (guint i = 0; i < self->n_sinks; i++)
    if (!GST_CLOCK_TIME_IS_VALID (self->sinks[i].given_up))
      return TRUE;
  return FALSE;
}

guint64
gst_helix_holdback_due (
    const GstHelixHoldback *self, guint64 interval, guint64 keepalive)
{
  if (self->refresh)
    return 0;
  if (!is_watched (self))
    return keepalive != 0 ? self->pushed_ns + keepalive : HELIX_NONE64;
  if (find_lacking (self) == NULL)
    return HELIX_NONE64;
  /* An encoder that gives each picture out by itself, but slowly, needs time
   * and not another picture, which would make it slower still. */
  if (self->after == 0)
    interval = MAX (interval, 2 * MIN (self->delay_ns, MAX_DELAY));
  return self->pushed_ns + interval;
}

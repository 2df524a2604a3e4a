/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-stream-latency.h"

#include <string.h>

#define MSECOND G_GUINT64_CONSTANT (1000000)

#define HOLD_MIN_NS (2000 * MSECOND)
#define HOLD_MAX_NS (64000 * MSECOND)

/* A smaller gain cannot be seen. */
#define STEP_NS (5 * MSECOND)

void
helix_stream_latency_clear (HelixStreamLatency *self)
{
  memset (self, 0, sizeof *self);
  self->hold = HOLD_MIN_NS;
}

/* A quarter more, in whole ms. */
static guint64
enough_for (guint64 late)
{
  guint64 wanted = (late + late / 4 + MSECOND - 1) / MSECOND * MSECOND;

  return MIN (wanted, HELIX_STREAM_LATENCY_MAX);
}

static void
begin (HelixStreamLatency *self, guint64 now)
{
  self->worst = 0;
  self->since = now;
}

gboolean
helix_stream_latency_add (HelixStreamLatency *self, guint64 late, guint64 now)
{
  guint64 wanted;

  late = MIN (late, HELIX_STREAM_LATENCY_MAX);
  if (late > self->announced) {
    if (self->shrunk_at != 0 && now - self->shrunk_at < 4 * self->hold)
      self->hold = MIN (2 * self->hold, HOLD_MAX_NS);
    else
      self->hold = HOLD_MIN_NS;
    self->announced = enough_for (late);
    begin (self, now);
    return TRUE;
  }
  self->worst = MAX (self->worst, late);
  if (now - self->since < self->hold)
    return FALSE;
  wanted = enough_for (self->worst);
  begin (self, now);
  if (wanted + STEP_NS > self->announced
      || wanted > self->announced - self->announced / 4)
    return FALSE;
  self->announced = wanted;
  self->shrunk_at = now;
  return TRUE;
}

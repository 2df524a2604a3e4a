/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-clock-offset.h"

#include <string.h>

/* Quartz is good for 50 ppm, and there are two of them. */
#define DRIFT_PPM 100

/* Round trips beyond this say nothing about an offset. */
#define MAX_ROUND_TRIP (10 * G_GUINT64_CONSTANT (1000000000))

void
helix_clock_offset_clear (HelixClockOffset *self)
{
  memset (self, 0, sizeof *self);
}

gboolean
helix_clock_offset_add (
    HelixClockOffset *self, const struct helix_pong *pong, guint64 now)
{
  guint64 trip, held, there, here;
  guint i;

  if (pong->ping_ns > now || pong->received_ns > pong->sent_ns)
    return FALSE;
  trip = now - pong->ping_ns;
  held = pong->sent_ns - pong->received_ns;
  if (trip > MAX_ROUND_TRIP || held > trip)
    return FALSE;

  /* Both middles, without overflow whatever the other clock says. */
  there = pong->received_ns + held / 2;
  here = pong->ping_ns + trip / 2;
  i = self->count++ % HELIX_CLOCK_OFFSET_SAMPLES;
  self->samples[i].offset = (gint64) (there - here);
  self->samples[i].error = (trip - held) / 2 + 1;
  self->samples[i].taken = now;
  return TRUE;
}

gboolean
helix_clock_offset_get (
    const HelixClockOffset *self, guint64 now, gint64 *offset, guint64 *error)
{
  guint n = MIN (self->count, HELIX_CLOCK_OFFSET_SAMPLES);

  *error = G_MAXUINT64;
  for (guint i = 0; i < n; i++) {
    guint64 age = now - self->samples[i].taken;
    guint64 bound = self->samples[i].error + age / 1000000 * DRIFT_PPM;

    if (bound < *error) {
      *error = bound;
      *offset = self->samples[i].offset;
    }
  }
  return n > 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-stream-timing.h"

#include <string.h>

/* Quartz is good for 50 ppm, and there are two of them. */
#define DRIFT_PPM 100

/* Round trips beyond this say nothing about an offset. */
#define MAX_ROUND_TRIP (10 * G_GUINT64_CONSTANT (1000000000))

/* No encoder holds a frame for so long: the stamps are of another boot. */
#define MAX_AGE (60 * GST_SECOND)

/* A sender that claims to run for longer, 73 years, claims what it likes: with
 * less than that no sum or difference below overflows. */
#define MAX_RUNNING_TIME (G_GUINT64_CONSTANT (1) << 61)

/* How long no late unit must come before the announced latency shrinks. */
#define HOLD_MIN_NS (2000 * GST_MSECOND)
#define HOLD_MAX_NS (64000 * GST_MSECOND)

/* A smaller gain cannot be seen. */
#define STEP_NS (5 * GST_MSECOND)

/* ---- clocks ---- */

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
    /* `now` may be older: taken before the read that brought this. */
    guint64 age = now - MIN (now, self->samples[i].taken);
    guint64 bound = self->samples[i].error + age / 1000000 * DRIFT_PPM;

    if (bound < *error) {
      *error = bound;
      *offset = self->samples[i].offset;
    }
  }
  return n > 0;
}

/* ---- time stamps ---- */

void
helix_stream_timing_clear (HelixStreamTiming *self)
{
  self->started = FALSE;
  self->by_capture = FALSE;
  self->shift = 0;
  self->last_dts = GST_CLOCK_TIME_NONE;
}

/* How old the frame is; FALSE if that cannot be known. */
static gboolean
age_of (const HelixStreamArrival *arrival, guint64 *age)
{
  if (arrival->capture == HELIX_NONE64)
    return FALSE;
  /* The offset is known up to an error: a capture in the future is now. */
  *age = arrival->now_monotonic > arrival->capture
      ? arrival->now_monotonic - arrival->capture
      : 0;
  return *age <= MAX_AGE;
}

/* Never before 0, never in the future. */
static GstClockTime
shifted (HelixStreamTiming *self, guint64 sender, guint64 now)
{
  gint64 pts = (gint64) sender + self->shift;

  if (pts > (gint64) now) {
    self->shift -= pts - (gint64) now;
    pts = (gint64) now;
  }
  return pts > 0 ? (GstClockTime) pts : 0;
}

void
helix_stream_timing_map (HelixStreamTiming *self, const struct helix_unit *unit,
    const HelixStreamArrival *arrival, GstClockTime *pts, GstClockTime *dts)
{
  guint64 sender = MIN (unit->running_time, MAX_RUNNING_TIME);
  guint64 now = arrival->now_running;
  guint64 ahead = 0, age = 0;
  gboolean known = age_of (arrival, &age);

  if (!self->started || arrival->discont) {
    self->by_capture = known;
    self->shift = (gint64) (now - sender);
    self->started = TRUE;
  }
  /* A frame without a stamp among others that have one goes by the distance
   * to them, so the shift follows the capture times. */
  if (self->by_capture && known) {
    *pts = now > age ? now - age : 0;
    self->shift = (gint64) (*pts - sender);
  } else {
    *pts = shifted (self, sender, now);
  }

  if (unit->dts != HELIX_NONE64 && unit->dts < unit->running_time)
    ahead = MIN (unit->running_time - unit->dts, MAX_AGE);
  *dts = *pts > ahead ? *pts - ahead : 0;
  if (GST_CLOCK_TIME_IS_VALID (self->last_dts) && *dts <= self->last_dts)
    *dts = self->last_dts + 1;
  self->last_dts = *dts;
  *pts = MAX (*pts, *dts);
}

/* ---- latency ---- */

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
  guint64 wanted =
      (late + late / 4 + GST_MSECOND - 1) / GST_MSECOND * GST_MSECOND;

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

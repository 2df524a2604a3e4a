/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-stream-tally.h"

#include <stdlib.h>
#include <string.h>

#include "helix-stats.h"

#define RECENT HELIX_STREAM_TALLY_RECENT

void
helix_stream_tally_connected (HelixStreamTally *self)
{
  self->connects++;
  self->connected = TRUE;
  self->n_recent = 0;
}

void
helix_stream_tally_update (
    HelixStreamTally *self, const HelixStreamLink *link, guint64 now)
{
  self->now = link->totals;
  self->skipped = link->skipped;
  self->clock_known = helix_clock_offset_get (
      &link->clock, now, &self->clock_offset, &self->clock_error);
}

void
helix_stream_tally_arrived (HelixStreamTally *self, const HelixStreamLink *link)
{
  guint64 sent;

  if (!self->clock_known)
    return;
  sent = link->unit.sent_ns - (guint64) self->clock_offset;
  /* The offset is known up to an error: sent in the future is just sent. */
  helix_histogram_add (
      &self->transit, link->received_ns > sent ? link->received_ns - sent : 0);
}

void
helix_stream_tally_lost (HelixStreamTally *self)
{
  self->before.units += self->now.units;
  self->before.bytes += self->now.bytes;
  self->before.keyframes += self->now.keyframes;
  self->before.lost += self->now.lost;
  self->skipped_before += self->skipped;
  memset (&self->now, 0, sizeof self->now);
  self->skipped = 0;
  self->connected = self->clock_known = FALSE;
}

void
helix_stream_tally_add_latency (HelixStreamTally *self, guint64 ns)
{
  helix_histogram_add (&self->latency, ns);
  self->recent[self->n_recent % RECENT] = ns;
  self->n_recent =
      self->n_recent + 1 < 2 * RECENT ? self->n_recent + 1 : RECENT;
}

static int
compare (const void *a, const void *b)
{
  guint64 x = *(const guint64 *) a, y = *(const guint64 *) b;

  return x < y ? -1 : x > y;
}

guint64
helix_stream_tally_median (const HelixStreamTally *self)
{
  guint64 sorted[RECENT];
  guint n = MIN (self->n_recent, RECENT);

  if (n == 0)
    return HELIX_NONE64;
  memcpy (sorted, self->recent, n * sizeof sorted[0]);
  qsort (sorted, n, sizeof sorted[0], compare);
  return sorted[n / 2];
}

void
helix_stream_tally_store (
    const HelixStreamTally *self, GstStructure *stats, gboolean units)
{
  gst_structure_set (stats, "connected", G_TYPE_BOOLEAN, self->connected,
      "reconnects", G_TYPE_UINT64, self->connects > 0 ? self->connects - 1 : 0,
      NULL);
  if (self->clock_known)
    gst_structure_set (stats, "clock-offset", G_TYPE_INT64, self->clock_offset,
        "clock-offset-error", G_TYPE_UINT64, self->clock_error, NULL);
  if (!units)
    return;
  gst_structure_set (stats, "units", G_TYPE_UINT64,
      self->before.units + self->now.units, "bytes", G_TYPE_UINT64,
      self->before.bytes + self->now.bytes, "keyframes", G_TYPE_UINT64,
      self->before.keyframes + self->now.keyframes, "lost", G_TYPE_UINT64,
      self->before.lost + self->now.lost, "skipped", G_TYPE_UINT64,
      self->skipped_before + self->skipped, "latency-count", G_TYPE_UINT64,
      self->latency.count, NULL);
  helix_stats_set_times (stats, "transit", &self->transit);
  helix_stats_set_times (stats, "latency", &self->latency);
}

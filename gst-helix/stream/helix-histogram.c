/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-histogram.h"

#include <string.h>

/* log2 of the buckets in an octave */
#define SUB 4

void
helix_histogram_clear (HelixHistogram *self)
{
  memset (self, 0, sizeof *self);
}

static guint
bucket_of (guint64 ns)
{
  guint octave;

  if (ns < 1 << SUB)
    return (guint) ns;
  octave = 63 - __builtin_clzll (ns) - SUB;
  return ((octave + 1) << SUB) + (guint) (ns >> octave) - (1 << SUB);
}

static guint64
upper_end (guint bucket)
{
  guint octave = bucket >> SUB;

  if (octave == 0)
    return bucket;
  octave--;
  return ((guint64) ((bucket & ((1 << SUB) - 1)) + (1 << SUB) + 1) << octave)
      - 1;
}

void
helix_histogram_add (HelixHistogram *self, guint64 ns)
{
  self->buckets[bucket_of (ns)]++;
  self->count++;
  if (ns > self->max)
    self->max = ns;
}

guint64
helix_histogram_percentile (const HelixHistogram *self, gdouble percent)
{
  gdouble wanted = percent / 100.0 * (gdouble) self->count;
  guint64 seen = 0;

  for (guint i = 0; i < HELIX_HISTOGRAM_BUCKETS; i++) {
    seen += self->buckets[i];
    if (seen > 0 && (gdouble) seen >= wanted)
      return MIN (upper_end (i), self->max);
  }
  return self->max;
}

void
helix_histogram_store (
    const HelixHistogram *self, GstStructure *stats, const gchar *stage)
{
  static const guint percents[] = {50, 95, 99};
  gchar name[64];

  for (guint i = 0; i < G_N_ELEMENTS (percents); i++) {
    g_snprintf (name, sizeof name, "%s-p%u", stage, percents[i]);
    gst_structure_set (stats, name, G_TYPE_UINT64,
        helix_histogram_percentile (self, percents[i]), NULL);
  }
  g_snprintf (name, sizeof name, "%s-max", stage);
  gst_structure_set (stats, name, G_TYPE_UINT64, self->max, NULL);
}

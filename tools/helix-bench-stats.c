/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-bench-stats.h"

#include <math.h>
#include <stdio.h>

#include "helix-protocol.h"

#define NS_PER_S G_GUINT64_CONSTANT (1000000000)
#define NS_PER_MS G_GUINT64_CONSTANT (1000000)

static const guint gap_ms[HELIX_BENCH_GAPS] = {50, 100, 200};

static const struct {
  gdouble share;
  const gchar *grade;
} grades[] = {
    {0.95, "excellent"},
    {0.80, "good"},
    {0.50, "fair"},
    {0.00, "poor"},
};

HelixBenchStats *
helix_bench_stats_new (guint64 began)
{
  HelixBenchStats *self = g_new0 (HelixBenchStats, 1);

  self->began = self->ended = began;
  self->shortest = HELIX_NONE64;
  self->last = HELIX_NONE64;
  self->received.last_sequence = self->received.latency_ns = HELIX_NONE64;
  self->per_second = g_array_new (FALSE, TRUE, sizeof (guint));
  return self;
}

void
helix_bench_stats_free (HelixBenchStats *self)
{
  if (self == NULL)
    return;
  g_array_unref (self->per_second);
  g_free (self);
}

static void
add_gap (HelixBenchStats *self, guint64 ns)
{
  for (guint i = 0; i < HELIX_BENCH_GAPS; i++)
    self->gaps[i] += ns > gap_ms[i] * NS_PER_MS;
}

void
helix_bench_stats_unit (HelixBenchStats *self, guint64 arrived, gsize bytes,
    gboolean key, guint64 sequence, guint64 latency)
{
  guint second = (guint) ((arrived - self->began) / NS_PER_S);

  /* The first one starts the clock: it is no part of a rate. */
  if (self->received.units++ > 0) {
    if (second >= self->per_second->len)
      g_array_set_size (self->per_second, second + 1);
    g_array_index (self->per_second, guint, second)++;
  }
  self->received.bytes += bytes;
  self->received.keyframes += key;
  if (self->last != HELIX_NONE64) {
    guint64 gap = arrived - self->last;

    add_gap (self, gap);
    self->shortest = MIN (self->shortest, gap);
    self->longest = MAX (self->longest, gap);
    if (sequence > self->received.last_sequence)
      self->received.lost += sequence - self->received.last_sequence - 1;
  }
  self->last = arrived;
  self->received.last_sequence = sequence;
  if (latency != HELIX_NONE64)
    helix_histogram_add (&self->latency, latency);
}

void
helix_bench_stats_end (HelixBenchStats *self, guint64 ended)
{
  guint64 since = self->last != HELIX_NONE64 ? self->last : self->began;

  self->ended = MAX (ended, self->began);
  if (self->ended > since) {
    add_gap (self, self->ended - since);
    self->longest = MAX (self->longest, self->ended - since);
  }
  /* Whole seconds only, each of them: one without units counts 0. */
  g_array_set_size (
      self->per_second, (guint) ((self->ended - self->began) / NS_PER_S));
}

static gdouble
seconds (const HelixBenchStats *self)
{
  return (gdouble) (self->ended - self->began) / (gdouble) NS_PER_S;
}

gdouble
helix_bench_stats_rate (const HelixBenchStats *self)
{
  /* The first unit starts the clock. */
  return self->ended > self->began && self->received.units > 0
      ? (gdouble) (self->received.units - 1) / seconds (self)
      : 0;
}

gdouble
helix_bench_stats_bitrate (const HelixBenchStats *self)
{
  return self->ended > self->began
      ? (gdouble) self->received.bytes * 8 / seconds (self)
      : 0;
}

const gchar *
helix_bench_stats_grade (gdouble rate, gdouble target)
{
  guint i = 0;

  while (i + 1 < G_N_ELEMENTS (grades) && rate < target * grades[i].share)
    i++;
  return grades[i].grade;
}

/* Percentiles in ms: p50, p95, p99 and the maximum; NAN = unknown. */
static void
get_latencies (const HelixBenchStats *self, gdouble ms[4])
{
  static const gdouble percents[] = {50, 95, 99, 100};

  for (guint i = 0; i < G_N_ELEMENTS (percents); i++)
    ms[i] = self->latency.count == 0
        ? NAN
        : (gdouble) helix_histogram_percentile (&self->latency, percents[i])
            / 1e6;
}

void
helix_bench_stats_print (const HelixBenchStats *self, gdouble target)
{
  gdouble rate = helix_bench_stats_rate (self), ms[4];

  get_latencies (self, ms);
  printf ("units       %" G_GUINT64_FORMAT " in %.1f s, %" G_GUINT64_FORMAT
          " keyframes, %" G_GUINT64_FORMAT " lost on the way\n",
      self->received.units, seconds (self), self->received.keyframes,
      self->received.lost);
  printf ("a second   ");
  for (guint i = 0; i < self->per_second->len; i++)
    printf (" %u", g_array_index (self->per_second, guint, i));
  printf (
      "\nbitrate     %.2f Mbit/s\n", helix_bench_stats_bitrate (self) / 1e6);
  if (self->received.units > 1)
    printf ("intervals   %.1f to %.1f ms\n", (gdouble) self->shortest / 1e6,
        (gdouble) self->longest / 1e6);
  printf ("gaps        %u above 50 ms, %u above 100 ms, %u above 200 ms\n",
      self->gaps[0], self->gaps[1], self->gaps[2]);
  if (self->latency.count > 0)
    printf ("latency     p50 %.1f, p95 %.1f, p99 %.1f, max %.1f ms "
            "(capture to receipt)\n",
        ms[0], ms[1], ms[2], ms[3]);
  else
    printf ("latency     unknown: the units do not tell their capture time\n");
  printf ("rate        %.1f a second, %.0f %% of %.0f: %s\n", rate,
      100 * rate / target, target, helix_bench_stats_grade (rate, target));
}

void
helix_bench_stats_json (
    const HelixBenchStats *self, gdouble target, JsonBuilder *json)
{
  gdouble rate = helix_bench_stats_rate (self), ms[4];

  get_latencies (self, ms);
  helix_json_add (json, JSON_DOUBLE ("seconds", seconds (self)),
      JSON_UINT ("units", self->received.units),
      JSON_UINT ("keyframes", self->received.keyframes),
      JSON_UINT ("lost", self->received.lost), JSON_DOUBLE ("rate", rate),
      JSON_DOUBLE ("bitrate", helix_bench_stats_bitrate (self)));
  helix_json_array (json, "per_second");
  for (guint i = 0; i < self->per_second->len; i++)
    helix_json_add (
        json, JSON_UINT (NULL, g_array_index (self->per_second, guint, i)));
  json_builder_end_array (json);
  helix_json_add (json, JSON_MS ("interval_min_ms", self->shortest),
      JSON_MS ("interval_max_ms", self->longest),
      JSON_UINT ("gaps_50_ms", self->gaps[0]),
      JSON_UINT ("gaps_100_ms", self->gaps[1]),
      JSON_UINT ("gaps_200_ms", self->gaps[2]));
  helix_json_object (json, "latency_ms");
  helix_json_add (json, JSON_UINT ("count", self->latency.count),
      JSON_DOUBLE ("p50", ms[0]), JSON_DOUBLE ("p95", ms[1]),
      JSON_DOUBLE ("p99", ms[2]), JSON_DOUBLE ("max", ms[3]));
  json_builder_end_object (json);
  helix_json_add (json, JSON_DOUBLE ("target", target),
      JSON_DOUBLE ("percent", 100 * rate / target),
      JSON_TEXT ("grade", helix_bench_stats_grade (rate, target)));
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * helix bench: receives as helixsrc does, and counts.
 */
#include <gst/gst.h>
#include <math.h>
#include <stdio.h>

#include "helix-bench.h"
#include "helix-platform.h"
#include "helix-tool.h"
#include "helix-vms.h"

#define ANSWER_NS (3 * GST_SECOND)
#define FIRST_UNIT_NS (5 * GST_SECOND)
#define MAX_SECONDS 86400

static gint seconds = 10;
static gdouble target = 60;

static const GOptionEntry entries[] = {
    {"seconds", 'd', 0, G_OPTION_ARG_INT, &seconds,
        "How long to measure, from the first keyframe on (default 10)", "N"},
    {"target", 0, 0, G_OPTION_ARG_DOUBLE, &target,
        "Units a second that are wanted (default 60)", "FPS"},
    {NULL, 0, 0, 0, NULL, NULL, NULL},
};

/* ---- figures ---- */

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
    self->gaps[i] += ns > gap_ms[i] * GST_MSECOND;
}

void
helix_bench_stats_unit (HelixBenchStats *self, guint64 arrived, gsize bytes,
    gboolean key, guint64 sequence, guint64 latency)
{
  guint second = (guint) ((arrived - self->began) / GST_SECOND);

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
      self->per_second, (guint) ((self->ended - self->began) / GST_SECOND));
}

static gdouble
length (const HelixBenchStats *self)
{
  return (gdouble) (self->ended - self->began) / (gdouble) GST_SECOND;
}

static gdouble
rate_of (const HelixBenchStats *self)
{
  /* The first unit starts the clock. */
  return self->ended > self->began && self->received.units > 0
      ? (gdouble) (self->received.units - 1) / length (self)
      : 0;
}

static gdouble
bitrate_of (const HelixBenchStats *self)
{
  return self->ended > self->began
      ? (gdouble) self->received.bytes * 8 / length (self)
      : 0;
}

static const gchar *
grade_of (gdouble rate, gdouble target)
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

static void
print (const HelixBenchStats *self, gdouble target)
{
  gdouble rate = rate_of (self), ms[4];

  get_latencies (self, ms);
  printf ("units       %" G_GUINT64_FORMAT " in %.1f s, %" G_GUINT64_FORMAT
          " keyframes, %" G_GUINT64_FORMAT " lost on the way\n",
      self->received.units, length (self), self->received.keyframes,
      self->received.lost);
  printf ("a second   ");
  for (guint i = 0; i < self->per_second->len; i++)
    printf (" %u", g_array_index (self->per_second, guint, i));
  printf ("\nbitrate     %.2f Mbit/s\n", bitrate_of (self) / 1e6);
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
      100 * rate / target, target, grade_of (rate, target));
}

void
helix_bench_stats_json (
    const HelixBenchStats *self, gdouble target, JsonBuilder *json)
{
  gdouble rate = rate_of (self), ms[4];

  get_latencies (self, ms);
  helix_json_add (json, JSON_DOUBLE ("seconds", length (self)),
      JSON_UINT ("units", self->received.units),
      JSON_UINT ("keyframes", self->received.keyframes),
      JSON_UINT ("lost", self->received.lost), JSON_DOUBLE ("rate", rate),
      JSON_DOUBLE ("bitrate", bitrate_of (self)));
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
      JSON_TEXT ("grade", grade_of (rate, target)));
}

/* ---- receiving ---- */

typedef struct {
  HelixProbe *probe;
  HelixBenchStats *stats; /* from the first keyframe on */
} Bench;

/* So that top and doctor on the host see that units arrive. */
static void
send_stats (const Bench *self)
{
  struct helix_stats told = self->stats->received;
  guint8 message[HELIX_MAX_MESSAGE];

  if (self->stats->latency.count > 0)
    told.latency_ns = helix_histogram_percentile (&self->stats->latency, 50);
  helix_connection_send (
      self->probe->connection, message, helix_pack_stats (message, &told));
}

/* Capture to receipt in the host's time, or NONE64. */
static guint64
latency_of (const HelixProbe *probe)
{
  guint64 arrived = probe->connection->heard_ns, error;
  gint64 offset;

  if (probe->unit.capture_ns == HELIX_NONE64
      || !helix_clock_offset_get (&probe->clock, arrived, &offset, &error))
    return HELIX_NONE64;
  arrived += (guint64) offset;
  return arrived > probe->unit.capture_ns ? arrived - probe->unit.capture_ns
                                          : 0;
}

static void
take_unit (Bench *self)
{
  const HelixProbe *probe = self->probe;
  gboolean key = (probe->unit.flags & HELIX_UNIT_KEY) != 0;

  if (self->stats == NULL && key)
    self->stats = helix_bench_stats_new (probe->connection->heard_ns);
  if (self->stats != NULL)
    helix_bench_stats_unit (self->stats, probe->connection->heard_ns,
        probe->connection->reader.bulk_size, key, probe->unit.sequence,
        latency_of (probe));
}

/* Until `seconds` after the first keyframe. FALSE: it could not. */
static gboolean
receive (Bench *self, GError **error)
{
  guint64 end = helix_now_ns () + FIRST_UNIT_NS, next_stats = 0, now;

  self->probe->keep_alive = TRUE;
  while ((now = helix_now_ns ()) < end) {
    gint type;

    if (now >= next_stats) {
      if (self->stats != NULL)
        send_stats (self);
      next_stats = now + GST_SECOND;
    }
    type = helix_probe_next (self->probe, MIN (end, next_stats), error);
    if (type < 0)
      return FALSE;
    if (type == HELIX_UNIT)
      take_unit (self);
    if (self->stats != NULL)
      end = self->stats->began + (guint64) seconds * GST_SECOND;
  }
  if (self->stats == NULL) {
    g_set_error (error, HELIX_PROBE_ERROR, HELIX_LOSS_SILENT,
        "no keyframe came within 5 s");
    return FALSE;
  }
  helix_bench_stats_end (self->stats, end);
  return TRUE;
}

static void
report (const Bench *self, gboolean as_json, const gchar *address)
{
  const gchar *server = self->probe->connection->name;

  if (as_json) {
    g_autoptr (JsonBuilder) json = json_builder_new ();

    helix_json_object (json, NULL);
    helix_json_add (json, JSON_TEXT ("address", address),
        JSON_TEXT ("server", server),
        JSON_UINT ("width", self->probe->caps.width),
        JSON_UINT ("height", self->probe->caps.height));
    helix_bench_stats_json (self->stats, target, json);
    json_builder_end_object (json);
    helix_json_print (json);
    return;
  }
  printf ("from        %s, %s, %ux%u\n", address, server,
      self->probe->caps.width, self->probe->caps.height);
  print (self->stats, target);
}

static gint
run (const HelixOptions *options, gint n, gchar **words)
{
  g_autofree gchar *why = NULL;
  const gchar *address = helix_role_address (
      helix_role_detect (NULL, "/", &why), options->address);
  g_autoptr (GError) error = NULL;
  g_autoptr (HelixProbe) probe = NULL;
  Bench self = {0};
  gint status = HELIX_EXIT_GOOD;

  if (seconds < 1 || seconds > MAX_SECONDS)
    return helix_tool_fail (HELIX_EXIT_USAGE, "--seconds goes from 1 to 86400");
  if (!(target >= 1 && target <= 1000))
    return helix_tool_fail (HELIX_EXIT_USAGE, "--target goes from 1 to 1000");
  self.probe = probe = helix_vms_reach (address, HELIX_ROLE_STREAM,
      options->token, helix_now_ns () + ANSWER_NS, &error);
  if (probe != NULL && receive (&self, &error))
    report (&self, options->json, address);
  else
    status = helix_tool_fail (
        HELIX_EXIT_FAILED, "%s; helix doctor tells more", error->message);
  helix_bench_stats_free (self.stats);
  return status;
}

const HelixCommand helix_bench = {
    .name = "bench",
    .what = "measure what a guest receives",
    .summary =
        "Receives the stream as a guest does, and tells how many units come a "
        "second, the\ngaps between them, their age, and how that compares with "
        "the target: excellent\nfrom 95 % on, good from 80 %, fair from 50 %.",
    .common = HELIX_OPTION_STREAM | HELIX_OPTION_JSON,
    .entries = entries,
    .run = run,
};

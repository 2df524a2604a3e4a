/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * helix bench: receives as helixsrc does, and counts.
 */
#include <gst/gst.h>
#include <stdio.h>

#include "helix-bench-stats.h"
#include "helix-platform.h"
#include "helix-tool.h"
#include "helix-vms.h"

#define ANSWER_MS 3000
#define FIRST_UNIT_NS (5 * GST_SECOND)
#define MAX_SECONDS 86400

/* As helixsrc asks for the time: quickly at first, then once a second. */
#define FAST_CLOCKS 8
#define FAST_CLOCK_NS (50 * GST_MSECOND)
#define CLOCK_NS GST_SECOND

static gint seconds = 10;
static gdouble target = 60;

static const GOptionEntry entries[] = {
    {"seconds", 'd', 0, G_OPTION_ARG_INT, &seconds,
        "How long to measure, from the first keyframe on (default 10)", "N"},
    {"target", 0, 0, G_OPTION_ARG_DOUBLE, &target,
        "Units a second that are wanted (default 60)", "FPS"},
    {NULL, 0, 0, 0, NULL, NULL, NULL},
};

typedef struct {
  HelixProbe *probe;
  HelixBenchStats *stats; /* from the first keyframe on */
  struct helix_caps caps;
  guint clocks;
  guint64 next_clock, next_stats;
} Bench;

/* What is due beside receiving. */
static void
keep_up (Bench *self)
{
  guint64 now = helix_now_ns ();
  guint8 message[HELIX_MAX_MESSAGE];
  struct helix_stats told;

  if (now >= self->next_clock) {
    helix_probe_ask_clock (self->probe);
    self->next_clock =
        now + (++self->clocks < FAST_CLOCKS ? FAST_CLOCK_NS : CLOCK_NS);
  }
  if (now < self->next_stats)
    return;
  self->next_stats = now + GST_SECOND;
  if (self->stats == NULL)
    return;
  /* So that top and doctor on the host see that units arrive. */
  told = self->stats->received;
  if (self->stats->latency.count > 0)
    told.latency_ns = helix_histogram_percentile (&self->stats->latency, 50);
  helix_connection_send (
      self->probe->connection, message, helix_pack_stats (message, &told));
}

/* Capture to receipt in the host's time, or NONE64. */
static guint64
latency_of (const Bench *self, const struct helix_unit *unit)
{
  guint64 arrived = self->probe->connection->heard_ns, error;
  gint64 offset;

  if (unit->capture_ns == HELIX_NONE64
      || !helix_clock_offset_get (
          &self->probe->clock, arrived, &offset, &error))
    return HELIX_NONE64;
  arrived += (guint64) offset;
  return arrived > unit->capture_ns ? arrived - unit->capture_ns : 0;
}

static void
take_unit (Bench *self)
{
  const struct helix_reader *r = &self->probe->connection->reader;
  guint64 arrived = self->probe->connection->heard_ns;
  struct helix_unit unit;
  const gchar *why;
  gboolean key;

  if (!helix_unpack_unit (
          &unit, r->payload, r->payload_size, r->header.size, &why))
    return;
  key = (unit.flags & HELIX_UNIT_KEY) != 0;
  if (self->stats == NULL && key)
    self->stats = helix_bench_stats_new (arrived);
  if (self->stats == NULL)
    return;
  helix_bench_stats_unit (self->stats, arrived, r->bulk_size, key,
      unit.sequence, latency_of (self, &unit));
}

/* Until `seconds` after the first keyframe. FALSE: it could not. */
static gboolean
receive (Bench *self, GError **error)
{
  guint64 end = helix_now_ns () + FIRST_UNIT_NS;
  gboolean begun = FALSE;

  while (helix_now_ns () < end) {
    const struct helix_reader *r = &self->probe->connection->reader;
    const gchar *why;
    gint type;

    keep_up (self);
    type = helix_probe_next (self->probe, MIN (end, self->next_clock), error);
    if (type < 0)
      return FALSE;
    if (type == HELIX_CAPS)
      helix_unpack_caps (&self->caps, r->payload, r->payload_size, &why);
    if (type == HELIX_UNIT)
      take_unit (self);
    if (!begun && self->stats != NULL) {
      begun = TRUE;
      end = self->stats->began + (guint64) seconds * GST_SECOND;
    }
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
        JSON_TEXT ("server", server), JSON_UINT ("width", self->caps.width),
        JSON_UINT ("height", self->caps.height));
    helix_bench_stats_json (self->stats, target, json);
    json_builder_end_object (json);
    helix_json_print (json);
    return;
  }
  printf ("from        %s, %s, %ux%u\n", address, server, self->caps.width,
      self->caps.height);
  helix_bench_stats_print (self->stats, target);
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
  self.probe = probe = helix_probe_connect (
      address, HELIX_ROLE_STREAM, options->token, ANSWER_MS, &error);
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

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * helix bench: receives as helixsrc does, and counts.
 */
#include <stdio.h>

#include "helix-figures.h"
#include "helix-platform.h"
#include "helix-tool.h"
#include "helix-vms.h"

#define NS_PER_S G_GUINT64_CONSTANT (1000000000)
#define NS_PER_MS G_GUINT64_CONSTANT (1000000)

#define ANSWER_MS 3000
#define FIRST_UNIT_NS (5 * NS_PER_S)
#define MAX_SECONDS 86400

/* As helixsrc asks for the time: quickly at first, then once a second. */
#define FAST_CLOCKS 8
#define FAST_CLOCK_NS (50 * NS_PER_MS)
#define CLOCK_NS NS_PER_S

typedef struct {
  gchar *address, *token_file, *token;
  gint seconds;
  gdouble target;
  gboolean json;
} Options;

typedef struct {
  HelixProbe *probe;
  HelixFigures *figures; /* from the first keyframe on */
  struct helix_stats told;
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

  if (now >= self->next_clock) {
    helix_probe_ask_clock (self->probe);
    self->next_clock =
        now + (++self->clocks < FAST_CLOCKS ? FAST_CLOCK_NS : CLOCK_NS);
  }
  if (now < self->next_stats)
    return;
  /* So that top and doctor on the host see that units arrive. */
  if (self->told.units > 0)
    helix_probe_send (
        self->probe, message, helix_pack_stats (message, &self->told));
  self->next_stats = now + NS_PER_S;
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
  if (self->figures == NULL && key)
    self->figures = helix_figures_new (arrived);
  if (self->figures == NULL)
    return;
  helix_figures_unit (self->figures, arrived, r->bulk_size, key, unit.sequence,
      latency_of (self, &unit));
  self->told.units = self->figures->units;
  self->told.bytes = self->figures->bytes;
  self->told.keyframes = self->figures->keyframes;
  self->told.lost = self->figures->lost;
  self->told.last_sequence = unit.sequence;
  self->told.latency_ns = self->figures->latency.count > 0
      ? helix_histogram_percentile (&self->figures->latency, 50)
      : HELIX_NONE64;
}

/* Until `seconds` after the first keyframe. FALSE: it could not. */
static gboolean
receive (Bench *self, guint seconds, GError **error)
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
    if (!begun && self->figures != NULL) {
      begun = TRUE;
      end = self->figures->began + seconds * NS_PER_S;
    }
  }
  if (self->figures == NULL) {
    g_set_error (error, HELIX_PROBE_ERROR, HELIX_LOSS_SILENT,
        "no keyframe came within 5 s");
    return FALSE;
  }
  helix_figures_end (self->figures, end);
  return TRUE;
}

static void
report (const Bench *self, const Options *options, const gchar *address)
{
  if (options->json) {
    g_autoptr (JsonBuilder) json = json_builder_new ();

    helix_json_object (json, NULL);
    helix_json_text (json, "address", address);
    helix_json_text (json, "server", self->probe->connection->name);
    helix_json_uint (json, "width", self->caps.width);
    helix_json_uint (json, "height", self->caps.height);
    helix_figures_json (self->figures, options->target, json);
    json_builder_end_object (json);
    helix_json_print (json);
    return;
  }
  printf ("from        %s, %s, %ux%u\n", address, self->probe->connection->name,
      self->caps.width, self->caps.height);
  helix_figures_print (self->figures, options->target);
}

static gint
run (const Options *options)
{
  g_autofree gchar *why = NULL;
  HelixRole role = helix_vms_role (NULL, "/", &why);
  g_autofree gchar *address = helix_role_address (role, options->address);
  g_autoptr (GError) error = NULL;
  g_autoptr (HelixProbe) probe = helix_probe_connect (
      address, HELIX_ROLE_STREAM, options->token, ANSWER_MS, &error);
  Bench self = {.probe = probe};
  gint status = HELIX_EXIT_FAILED;

  if (probe != NULL && receive (&self, (guint) options->seconds, &error)) {
    report (&self, options, address);
    status = HELIX_EXIT_GOOD;
  } else {
    helix_tool_complain (
        "bench", "%s; helix doctor tells more", error->message);
  }
  helix_figures_free (self.figures);
  return status;
}

gint
helix_bench_main (gint argc, gchar **argv)
{
  Options options = {.seconds = 10, .target = 60};
  const GOptionEntry entries[] = {
      {"address", 'a', 0, G_OPTION_ARG_STRING, &options.address,
          "Where helixguestsink serves (default as helix doctor's)", "ADDRESS"},
      HELIX_TOOL_TOKEN_FILE (&options.token_file),
      {"seconds", 'd', 0, G_OPTION_ARG_INT, &options.seconds,
          "How long to measure, from the first keyframe on (default 10)", "N"},
      {"target", 0, 0, G_OPTION_ARG_DOUBLE, &options.target,
          "Units a second that are wanted (default 60)", "FPS"},
      {"json", 'j', 0, G_OPTION_ARG_NONE, &options.json,
          "One JSON object in place of the lines", NULL},
      {NULL, 0, 0, 0, NULL, NULL, NULL},
  };
  gint status = HELIX_EXIT_USAGE;

  if (helix_tool_options ("bench", NULL,
          "Receives the stream as a guest does, and tells how many units "
          "come a second, the\ngaps between them, their age, and how that "
          "compares with the target: excellent\nfrom 95 % on, good from "
          "80 %, fair from 50 %.",
          entries, 0, &argc, &argv)) {
    if (options.seconds < 1 || options.seconds > MAX_SECONDS)
      helix_tool_complain ("bench", "--seconds goes from 1 to 86400");
    else if (!(options.target >= 1 && options.target <= 1000))
      helix_tool_complain ("bench", "--target goes from 1 to 1000");
    else if (helix_tool_token ("bench", options.token_file, &options.token))
      status = run (&options);
  }
  g_free (options.address);
  g_free (options.token_file);
  g_free (options.token);
  return status;
}

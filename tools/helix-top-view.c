/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-top.h"

#include <math.h>

#define NS_PER_S 1e9

/* Of something that was `before` and is `now`, a second; NAN = unknown. */
static gdouble
rate_of (const HelixTopServer *self, guint64 before, guint64 now)
{
  guint64 span = self->now.taken_ns - self->before.taken_ns;

  if (self->before.clients == NULL || self->now.clients == NULL || span == 0
      || now < before)
    return NAN;
  return (gdouble) (now - before) * NS_PER_S / (gdouble) span;
}

static gdouble
client_rate (const HelixTopServer *self, const HelixListed *client)
{
  const HelixListed *before =
      helix_listing_find (&self->before, &self->now, client);

  if (before == NULL)
    return NAN;
  return rate_of (self, before->info.frames, client->info.frames);
}

/* Fixed columns of numbers that may be unknown. */
static void
put_rate (FILE *out, gdouble rate)
{
  if (isnan (rate))
    fprintf (out, " %7s", "-");
  else
    fprintf (out, " %7.1f", rate);
}

static void
put_count (FILE *out, guint64 count)
{
  if (count == HELIX_NONE64)
    fprintf (out, " %9s", "-");
  else
    fprintf (out, " %9" G_GUINT64_FORMAT, count);
}

static void
put_ms (FILE *out, guint64 ns)
{
  if (ns == HELIX_NONE64)
    fprintf (out, " %9s", "-");
  else if (ns < 10 * G_GUINT64_CONSTANT (1000000000))
    fprintf (out, " %6.1f ms", (gdouble) ns / 1e6);
  else
    fprintf (out, " %7.0f s", (gdouble) ns / NS_PER_S);
}

static void
put_heading (FILE *out, gboolean colours, const gchar *kind, const gchar *what)
{
  g_autofree gchar *clean = helix_printable (what);

  fprintf (out, "%s%-6s %s%s\n", colours ? "\033[1m" : "", kind, clean,
      colours ? "\033[0m" : "");
}

static void
put_pid (FILE *out, guint32 pid)
{
  if (pid == 0)
    fprintf (out, " %7s", "-");
  else
    fprintf (out, " %7u", pid);
}

/* ---- as text ---- */

static void
print_scanouts (const HelixTopServer *self, FILE *out)
{
  const HelixProbe *probe = self->probe;

  for (guint i = 0; i < probe->welcome.scanouts; i++) {
    const struct helix_scanout *s = &probe->scanouts[i];

    if (helix_probe_scanout_on (probe, i))
      fprintf (out, "  scanout %-2u %ux%u %.4s, resource %u, generation %u\n",
          i, s->width, s->height, (const gchar *) &s->fourcc, s->resource_id,
          s->generation);
    else
      fprintf (out, "  scanout %-2u off\n", i);
  }
}

static void
print_clients (const HelixTopServer *self, FILE *out)
{
  if (self->now.clients->len > 0)
    fprintf (out, "  %-34s %7s %4s %9s %7s %9s %9s %9s %9s\n", "CLIENT", "PID",
        self->stream ? "ROLE" : "SCAN", "SENT", "A SEC", "DROPPED", "RECEIVED",
        "LATENCY", "AGE");
  for (guint i = 0; i < self->now.clients->len; i++) {
    const HelixListed *client =
        &g_array_index (self->now.clients, HelixListed, i);
    const struct helix_client *info = &client->info;
    g_autofree gchar *words = helix_listed_words (client);
    g_autofree gchar *name = helix_printable (words);

    if (info->flags & HELIX_CLIENT_YOU)
      continue;
    fprintf (out, "  %-34.34s", name);
    put_pid (out, info->pid);
    fputc (' ', out);
    if (self->stream)
      fprintf (out, "%4s", info->role == HELIX_ROLE_CONTROL ? "ctrl" : "recv");
    else if (info->scanout != HELIX_NONE32)
      fprintf (out, "%4u", info->scanout);
    else
      fprintf (out, "%4s", "-");
    put_count (out, info->frames);
    put_rate (out, client_rate (self, client));
    put_count (out, info->dropped);
    put_count (out, info->received);
    put_ms (out, info->latency_ns);
    put_ms (out, info->last_ns);
    fputc ('\n', out);
  }
}

void
helix_top_print (const HelixTopServer *self, FILE *out, gboolean colours)
{
  const struct helix_status *s = &self->now.status;
  g_autofree gchar *clean = NULL;
  gdouble bits = rate_of (self, self->before.status.bytes, s->bytes) * 8;

  put_heading (out, colours, self->stream ? "STREAM" : "VM", self->where);
  if (self->problem != NULL) {
    clean = helix_printable (self->problem);
    fprintf (out, "  %s%s%s\n\n", colours ? "\033[31m" : "", clean,
        colours ? "\033[0m" : "");
    return;
  }
  clean = helix_printable (self->now.text);
  fprintf (out, "  %s", self->probe->name);
  if (self->probe->welcome.pid != 0)
    fprintf (out, ", pid %u", self->probe->welcome.pid);
  fprintf (out, "%s%s\n", *clean ? ": " : "", clean);
  fprintf (out, "  up %.0f s, %" G_GUINT64_FORMAT " %s",
      (gdouble) s->uptime_ns / NS_PER_S, s->frames,
      self->stream ? "units" : "frames");
  fputs (" at", out);
  put_rate (out, rate_of (self, self->before.status.frames, s->frames));
  fputs (" a second", out);
  if (bits >= 0)
    fprintf (out, ", %.2f Mbit/s", bits / 1e6);
  if (self->stream)
    fprintf (out, ", %" G_GUINT64_FORMAT " keyframes", s->keyframes);
  fprintf (out, ", %" G_GUINT64_FORMAT " dropped, newest", s->dropped);
  put_ms (out, s->last_ns);
  fputs (" ago\n", out);
  if (!self->stream)
    print_scanouts (self, out);
  print_clients (self, out);
  fputc ('\n', out);
}

/* ---- as JSON ---- */

static void
json_client (
    const HelixTopServer *self, const HelixListed *client, JsonBuilder *json)
{
  const struct helix_client *info = &client->info;

  helix_json_object (json, NULL);
  helix_json_text (json, "name", client->name[0] ? client->name : NULL);
  helix_json_known (json, "pid", info->pid, 0);
  helix_json_text (json, "role",
      info->role == HELIX_ROLE_CONTROL      ? "control"
          : info->role == HELIX_ROLE_STREAM ? "stream"
                                            : "frames");
  helix_json_known (json, "scanout", info->scanout, HELIX_NONE32);
  helix_json_uint (json, "resource", info->resource_id);
  helix_json_uint (json, "sent", info->frames);
  helix_json_double (json, "rate", client_rate (self, client));
  helix_json_known (json, "dropped", info->dropped, HELIX_NONE64);
  helix_json_known (json, "received", info->received, HELIX_NONE64);
  helix_json_ms (json, "latency_ms", info->latency_ns);
  helix_json_ms (json, "age_ms", info->last_ns);
  helix_json_ms (json, "connected_ms", info->connected_ns);
  json_builder_end_object (json);
}

static void
json_scanouts (const HelixProbe *probe, JsonBuilder *json)
{
  helix_json_array (json, "scanouts");
  for (guint i = 0; i < probe->welcome.scanouts; i++) {
    helix_json_object (json, NULL);
    helix_json_uint (json, "scanout", i);
    helix_json_bool (json, "on", helix_probe_scanout_on (probe, i));
    helix_json_uint (json, "width", probe->scanouts[i].width);
    helix_json_uint (json, "height", probe->scanouts[i].height);
    json_builder_end_object (json);
  }
  json_builder_end_array (json);
}

void
helix_top_json (const HelixTopServer *self, JsonBuilder *json)
{
  const struct helix_status *s = &self->now.status;

  helix_json_object (json, NULL);
  helix_json_text (json, "kind", self->stream ? "stream" : "vm");
  helix_json_text (json, "where", self->where);
  helix_json_text (json, "problem", self->problem);
  if (self->problem == NULL) {
    helix_json_text (json, "name", self->probe->name);
    helix_json_known (json, "pid", self->probe->welcome.pid, 0);
    helix_json_text (json, "serves", self->now.text);
    helix_json_ms (json, "uptime_ms", s->uptime_ns);
    helix_json_uint (json, "sent", s->frames);
    helix_json_double (
        json, "rate", rate_of (self, self->before.status.frames, s->frames));
    helix_json_uint (json, "bytes", s->bytes);
    helix_json_uint (json, "keyframes", s->keyframes);
    helix_json_uint (json, "dropped", s->dropped);
    helix_json_ms (json, "age_ms", s->last_ns);
    if (!self->stream)
      json_scanouts (self->probe, json);
    helix_json_array (json, "clients");
    for (guint i = 0; i < self->now.clients->len; i++) {
      const HelixListed *client =
          &g_array_index (self->now.clients, HelixListed, i);

      if (!(client->info.flags & HELIX_CLIENT_YOU))
        json_client (self, client, json);
    }
    json_builder_end_array (json);
  }
  json_builder_end_object (json);
}

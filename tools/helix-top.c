/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * helix top: who serves what to whom, and how fast, once a second.
 */
#include <gst/gst.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "helix-platform.h"
#include "helix-tool.h"
#include "helix-vms.h"

#define PERIOD_NS GST_SECOND
/* One server that hangs must not keep the others from being shown. */
#define ANSWER_NS (500 * GST_MSECOND)

/* Home and clear to the end of the screen (ECMA-48). */
#define CLEAR "\033[H\033[J"

typedef struct {
  gchar *where;      /* path of a shim's socket, or address of a stream */
  gboolean stream;   /* else a VM */
  HelixProbe *probe; /* NULL: not connected */
  gchar *problem;    /* why there is no sample, or NULL */
} Server;

/* ---- samples ---- */

static void
server_free (gpointer data)
{
  Server *self = data;

  helix_probe_free (self->probe);
  g_free (self->where);
  g_free (self->problem);
  g_free (self);
}

/* Takes the server at `where` out of `servers`, or makes one. */
static Server *
take_server (GPtrArray *servers, const gchar *where, gboolean stream)
{
  Server *self;

  for (guint i = 0; i < servers->len; i++) {
    self = g_ptr_array_index (servers, i);
    if (self->stream == stream && g_str_equal (self->where, where))
      return g_ptr_array_steal_index (servers, i);
  }
  self = g_new0 (Server, 1);
  self->where = g_strdup (where);
  self->stream = stream;
  return self;
}

/* Takes a sample. On failure `problem` says why, and the next one tries to
 * connect again. */
static void
sample (Server *self, const gchar *token)
{
  guint64 deadline = helix_now_ns () + ANSWER_NS;
  g_autoptr (GError) error = NULL;

  g_clear_pointer (&self->problem, g_free);
  if (self->probe == NULL)
    self->probe = helix_vms_reach (self->where,
        self->stream ? HELIX_ROLE_CONTROL : HELIX_ROLE_FRAMES, token, deadline,
        &error);
  if (self->probe != NULL && helix_probe_list (self->probe, deadline, &error)) {
    if (self->probe->now.clients == NULL)
      self->problem = g_strdup ("too old to tell who is connected");
    return;
  }
  g_clear_pointer (&self->probe, helix_probe_free);
  self->problem = g_strdup (error->message);
}

/* Samples of all servers that there are now: VMs, then the stream. Takes `old`
 * over, the samples before them. */
static GPtrArray *
sample_all (GPtrArray *old, const HelixOptions *options, const gchar *address)
{
  g_autofree gchar *looked = NULL;
  g_autoptr (GPtrArray) vms = helix_vms_find (options->socket, &looked);
  GPtrArray *servers = g_ptr_array_new_with_free_func (server_free);

  for (guint i = 0; i < vms->len; i++) {
    const HelixVm *vm = g_ptr_array_index (vms, i);

    g_ptr_array_add (servers, take_server (old, vm->path, FALSE));
  }
  g_ptr_array_add (servers, take_server (old, address, TRUE));
  g_ptr_array_unref (old);
  for (guint i = 0; i < servers->len; i++)
    sample (g_ptr_array_index (servers, i), options->token);
  return servers;
}

/* Of something that was `before` and is `now`, a second; NAN = unknown. */
static gdouble
rate_of (const HelixProbe *probe, guint64 before, guint64 now)
{
  guint64 span = probe->now.taken_ns - probe->before.taken_ns;

  if (probe->before.clients == NULL || span == 0 || now < before)
    return NAN;
  return (gdouble) (now - before) * 1e9 / (gdouble) span;
}

static gdouble
client_rate (const HelixProbe *probe, const HelixListed *client)
{
  const HelixListed *earlier = helix_probe_earlier (probe, client);

  if (earlier == NULL)
    return NAN;
  return rate_of (probe, earlier->info.frames, client->info.frames);
}

/* ---- as text ---- */

/* Columns of numbers that may be unknown. */

static void
put_number (gint width, guint64 number, guint64 unknown)
{
  if (number == unknown)
    printf (" %*s", width, "-");
  else
    printf (" %*" G_GUINT64_FORMAT, width, number);
}

static void
put_rate (gdouble rate)
{
  if (isnan (rate))
    printf (" %7s", "-");
  else
    printf (" %7.1f", rate);
}

static void
put_time (guint64 ns)
{
  if (ns == HELIX_NONE64)
    printf (" %9s", "-");
  else if (ns < 10 * GST_SECOND)
    printf (" %6.1f ms", (gdouble) ns / 1e6);
  else
    printf (" %7.0f s", (gdouble) ns / 1e9);
}

/* A line with something that this machine calls itself. */
static void
put_line (const gchar *colour, const gchar *before, const gchar *text)
{
  g_autofree gchar *clean = helix_printable (text);

  printf ("%s%s%s%s\n", colour, before, clean, *colour ? "\033[0m" : "");
}

static void
print_scanouts (const HelixProbe *probe)
{
  for (guint i = 0; i < probe->connection->welcome.scanouts; i++) {
    const struct helix_scanout *s = &probe->scanouts[i];

    if (helix_probe_scanout_on (probe, i))
      printf ("  scanout %-2u %ux%u %.4s, resource %u, generation %u\n", i,
          s->width, s->height, (const gchar *) &s->fourcc, s->resource_id,
          s->generation);
    else
      printf ("  scanout %-2u off\n", i);
  }
}

static void
print_client (
    const HelixProbe *probe, gboolean stream, const HelixListed *client)
{
  const struct helix_client *info = &client->info;
  g_autofree gchar *name = helix_listed_words (client);

  printf ("  %-34.34s", name);
  put_number (7, info->pid, 0);
  if (stream)
    printf (" %4s", info->role == HELIX_ROLE_CONTROL ? "ctrl" : "recv");
  else
    put_number (4, info->scanout, HELIX_NONE32);
  put_number (9, info->frames, HELIX_NONE64);
  put_rate (client_rate (probe, client));
  put_number (9, info->dropped, HELIX_NONE64);
  put_number (9, info->received, HELIX_NONE64);
  put_time (info->latency_ns);
  put_time (info->last_ns);
  putchar ('\n');
}

static void
print_sample (const HelixProbe *probe, gboolean stream)
{
  const HelixConnection *server = probe->connection;
  const struct helix_status *s = &probe->now.status;
  gdouble bits = rate_of (probe, probe->before.status.bytes, s->bytes) * 8;

  printf ("  %s", server->name);
  if (server->welcome.pid != 0)
    printf (", pid %u", server->welcome.pid);
  printf ("%s%s\n", *probe->now.text ? ": " : "", probe->now.text);
  printf ("  up %.0f s, %" G_GUINT64_FORMAT " %s at",
      (gdouble) s->uptime_ns / 1e9, s->frames, stream ? "units" : "frames");
  put_rate (rate_of (probe, probe->before.status.frames, s->frames));
  fputs (" a second", stdout);
  if (!isnan (bits))
    printf (", %.2f Mbit/s", bits / 1e6);
  if (stream)
    printf (", %" G_GUINT64_FORMAT " keyframes", s->keyframes);
  printf (", %" G_GUINT64_FORMAT " dropped, newest", s->dropped);
  put_time (s->last_ns);
  fputs (" ago\n", stdout);
  if (!stream)
    print_scanouts (probe);
  if (probe->now.clients->len > 0)
    printf ("  %-34s %7s %4s %9s %7s %9s %9s %9s %9s\n", "CLIENT", "PID",
        stream ? "ROLE" : "SCAN", "SENT", "A SEC", "DROPPED", "RECEIVED",
        "LATENCY", "AGE");
  for (guint i = 0; i < probe->now.clients->len; i++) {
    const HelixListed *client =
        &g_array_index (probe->now.clients, HelixListed, i);

    if (!(client->info.flags & HELIX_CLIENT_YOU))
      print_client (probe, stream, client);
  }
}

static void
print_server (const Server *self, gboolean colours)
{
  put_line (colours ? "\033[1m" : "", self->stream ? "STREAM " : "VM     ",
      self->where);
  if (self->problem != NULL)
    put_line (colours ? "\033[31m" : "", "  ", self->problem);
  else
    print_sample (self->probe, self->stream);
  putchar ('\n');
}

/* ---- as JSON ---- */

static void
json_client (
    const HelixProbe *probe, const HelixListed *client, JsonBuilder *json)
{
  helix_json_object (json, NULL);
  helix_listed_json (client, json);
  helix_json_add (json, JSON_DOUBLE ("rate", client_rate (probe, client)));
  json_builder_end_object (json);
}

static void
sample_json (const HelixProbe *probe, JsonBuilder *json)
{
  const struct helix_status *s = &probe->now.status;

  helix_json_add (json, JSON_TEXT ("name", probe->connection->name),
      JSON_KNOWN ("pid", probe->connection->welcome.pid, 0),
      JSON_TEXT ("serves", probe->now.text),
      JSON_MS ("uptime_ms", s->uptime_ns), JSON_UINT ("sent", s->frames),
      JSON_DOUBLE (
          "rate", rate_of (probe, probe->before.status.frames, s->frames)),
      JSON_UINT ("bytes", s->bytes), JSON_UINT ("keyframes", s->keyframes),
      JSON_UINT ("dropped", s->dropped), JSON_MS ("age_ms", s->last_ns));
  helix_json_array (json, "clients");
  for (guint i = 0; i < probe->now.clients->len; i++) {
    const HelixListed *client =
        &g_array_index (probe->now.clients, HelixListed, i);

    if (!(client->info.flags & HELIX_CLIENT_YOU))
      json_client (probe, client, json);
  }
  json_builder_end_array (json);
}

static void
server_json (const Server *self, JsonBuilder *json)
{
  helix_json_object (json, NULL);
  helix_json_add (json, JSON_TEXT ("kind", self->stream ? "stream" : "vm"),
      JSON_TEXT ("where", self->where), JSON_TEXT ("problem", self->problem));
  if (self->problem == NULL)
    sample_json (self->probe, json);
  if (self->problem == NULL && !self->stream)
    helix_probe_scanouts_json (self->probe, json);
  json_builder_end_object (json);
}

/* ---- the command ---- */

static gboolean once;

static const GOptionEntry entries[] = {
    {"once", '1', 0, G_OPTION_ARG_NONE, &once,
        "One table, after a second, and end", NULL},
    {NULL, 0, 0, 0, NULL, NULL, NULL},
};

static void
print_all (const GPtrArray *servers, const HelixOptions *options)
{
  if (options->json) {
    g_autoptr (JsonBuilder) json = json_builder_new ();

    helix_json_object (json, NULL);
    helix_json_array (json, "servers");
    for (guint i = 0; i < servers->len; i++)
      server_json (g_ptr_array_index (servers, i), json);
    json_builder_end_array (json);
    json_builder_end_object (json);
    helix_json_print (json);
  } else {
    if (!once && isatty (STDOUT_FILENO))
      fputs (CLEAR, stdout);
    for (guint i = 0; i < servers->len; i++)
      print_server (
          g_ptr_array_index (servers, i), helix_colours_wanted (stdout));
  }
  fflush (stdout);
}

static gint
run (const HelixOptions *options, gint n, gchar **words)
{
  g_autofree gchar *why = NULL;
  const gchar *address = helix_role_address (
      helix_role_detect (options->socket, "/", &why), options->address);
  GPtrArray *servers = g_ptr_array_new_with_free_func (server_free);
  guint64 next = helix_now_ns ();

  for (guint round = 0;; round++) {
    guint64 now;

    servers = sample_all (servers, options, address);
    /* Rates need two samples: the first one alone shows none. */
    if (!once || round > 0)
      print_all (servers, options);
    if (ferror (stdout) || (once && round > 0))
      break;
    next += PERIOD_NS;
    now = helix_now_ns ();
    if (next > now)
      g_usleep ((gulong) ((next - now) / 1000));
    else
      next = now;
  }
  g_ptr_array_unref (servers);
  return HELIX_EXIT_GOOD;
}

const HelixCommand helix_top = {
    .name = "top",
    .what = "VMs, scanouts, clients and streams, once a second",
    .summary =
        "Shows VMs, scanouts, clients and the stream, once a second, until "
        "interrupted.",
    .common = HELIX_OPTION_SOCKET | HELIX_OPTION_STREAM | HELIX_OPTION_JSON,
    .entries = entries,
    .run = run,
};

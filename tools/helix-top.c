/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * helix top: who serves what to whom, and how fast, once a second.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "helix-platform.h"
#include "helix-tool.h"
#include "helix-top.h"
#include "helix-transport.h"
#include "helix-vms.h"

#define NS_PER_S G_GUINT64_CONSTANT (1000000000)
#define NS_PER_MS G_GUINT64_CONSTANT (1000000)

#define PERIOD_NS NS_PER_S
/* One server that hangs must not keep the others from being shown. */
#define ANSWER_NS (500 * NS_PER_MS)

/* Home and clear to the end of the screen (ECMA-48). */
#define CLEAR "\033[H\033[J"

typedef struct {
  gchar *socket, *address, *token_file, *token;
  gboolean once, json;
} Options;

static void
server_free (gpointer data)
{
  HelixTopServer *self = data;

  helix_probe_free (self->probe);
  helix_listing_clear (&self->now);
  helix_listing_clear (&self->before);
  g_free (self->where);
  g_free (self->problem);
  g_free (self);
}

/* The server at `where`, new if there was none. */
static HelixTopServer *
find_server (GPtrArray *servers, const gchar *where, gboolean stream)
{
  HelixTopServer *self;

  for (guint i = 0; i < servers->len; i++) {
    self = g_ptr_array_index (servers, i);
    if (self->stream == stream && g_str_equal (self->where, where))
      return self;
  }
  self = g_new0 (HelixTopServer, 1);
  self->where = g_strdup (where);
  self->stream = stream;
  g_ptr_array_add (servers, self);
  return self;
}

static HelixProbe *
join_stream (
    const gchar *text, const gchar *token, guint64 deadline, GError **error)
{
  g_autoptr (HelixAddress) address = helix_address_parse (text, error);
  HelixProbe *probe;
  gint fd;

  if (address == NULL)
    return NULL;
  fd = helix_transport_connect (
      address, NULL, (gint) (ANSWER_NS / NS_PER_MS), error);
  if (fd < 0)
    return NULL;
  probe = helix_probe_new (fd, helix_transport_outlives_session (address));
  if (helix_probe_hello (probe, HELIX_ROLE_CONTROL, token, deadline, error))
    return probe;
  helix_probe_free (probe);
  return NULL;
}

/* Takes a sample. On failure `problem` says why, and the next one tries to
 * connect again. */
static void
sample (HelixTopServer *self, const gchar *token)
{
  guint64 deadline = helix_now_ns () + ANSWER_NS;
  g_autoptr (GError) error = NULL;

  g_clear_pointer (&self->problem, g_free);
  helix_listing_clear (&self->before);
  self->before = self->now;
  memset (&self->now, 0, sizeof self->now);
  if (self->probe == NULL)
    self->probe = self->stream
        ? join_stream (self->where, token, deadline, &error)
        : helix_vms_greet (self->where, deadline, &error);
  if (self->probe != NULL
      && helix_probe_list (self->probe, &self->now, deadline, &error)) {
    if (self->now.clients == NULL)
      self->problem = g_strdup ("too old to tell who is connected");
    return;
  }
  helix_listing_clear (&self->now);
  g_clear_pointer (&self->probe, helix_probe_free);
  self->problem = g_strdup (error->message);
}

/* All servers that there are now, in order; those that went are dropped. */
static void
sample_all (GPtrArray *servers, const Options *options, const gchar *address)
{
  g_autoptr (HelixVms) vms = helix_vms_find (options->socket);

  for (guint i = 0; i < servers->len; i++)
    ((HelixTopServer *) g_ptr_array_index (servers, i))->seen = FALSE;
  for (guint i = 0; i < vms->vms->len; i++) {
    const HelixVm *vm = g_ptr_array_index (vms->vms, i);

    find_server (servers, vm->path, FALSE)->seen = TRUE;
  }
  find_server (servers, address, TRUE)->seen = TRUE;
  for (guint i = servers->len; i > 0; i--) {
    HelixTopServer *self = g_ptr_array_index (servers, i - 1);

    if (self->seen)
      sample (self, options->token);
    else
      g_ptr_array_remove_index (servers, i - 1);
  }
}

static void
show (const GPtrArray *servers, const Options *options)
{
  if (options->json) {
    g_autoptr (JsonBuilder) json = json_builder_new ();

    helix_json_object (json, NULL);
    helix_json_array (json, "servers");
    for (guint i = 0; i < servers->len; i++)
      helix_top_json (g_ptr_array_index (servers, i), json);
    json_builder_end_array (json);
    json_builder_end_object (json);
    helix_json_print (json);
  } else {
    if (!options->once && isatty (STDOUT_FILENO))
      fputs (CLEAR, stdout);
    for (guint i = 0; i < servers->len; i++)
      helix_top_print (g_ptr_array_index (servers, i), stdout,
          helix_colours_wanted (stdout));
  }
  fflush (stdout);
}

static gint
run (const Options *options)
{
  g_autofree gchar *why = NULL;
  g_autofree gchar *address = g_strdup (options->address);
  g_autoptr (GPtrArray) servers = g_ptr_array_new_with_free_func (server_free);
  guint64 next = helix_now_ns ();

  if (address == NULL)
    address = helix_role_address (helix_vms_role (options->socket, "/", &why));
  for (guint round = 0;; round++) {
    guint64 now;

    sample_all (servers, options, address);
    /* Rates need two samples: the first one alone shows none. */
    if (!options->once || round > 0)
      show (servers, options);
    if (ferror (stdout) || (options->once && round > 0))
      break;
    next += PERIOD_NS;
    now = helix_now_ns ();
    if (next > now)
      g_usleep ((gulong) ((next - now) / 1000));
    else
      next = now;
  }
  return HELIX_EXIT_GOOD;
}

gint
helix_top_main (gint argc, gchar **argv)
{
  Options options = {0};
  const GOptionEntry entries[] = {
      {"socket", 's', 0, G_OPTION_ARG_FILENAME, &options.socket,
          "Only the VM behind this socket (default: all that run)", "PATH"},
      HELIX_VMS_SERVER_USER,
      {"address", 'a', 0, G_OPTION_ARG_STRING, &options.address,
          "Where helixguestsink serves (default as helix doctor's)", "ADDRESS"},
      HELIX_TOOL_TOKEN_FILE (&options.token_file),
      {"once", '1', 0, G_OPTION_ARG_NONE, &options.once,
          "One table, after a second, and end", NULL},
      {"json", 'j', 0, G_OPTION_ARG_NONE, &options.json,
          "A JSON object a line in place of the table", NULL},
      {NULL, 0, 0, 0, NULL, NULL, NULL},
  };
  gint status = HELIX_EXIT_USAGE;

  if (helix_tool_options ("top", NULL,
          "Shows VMs, scanouts, clients and the stream, once a second, until "
          "interrupted.",
          entries, 0, &argc, &argv)
      && helix_tool_token ("top", options.token_file, &options.token))
    status = run (&options);
  g_free (options.socket);
  g_free (options.address);
  g_free (options.token_file);
  g_free (options.token);
  return status;
}

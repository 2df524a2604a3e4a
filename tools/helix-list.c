/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * helix list: the VMs that run here.
 */
#include <gst/gst.h>
#include <stdio.h>

#include "helix-platform.h"
#include "helix-process.h"
#include "helix-tool.h"
#include "helix-vms.h"

/* One VM that hangs must not keep the others from being shown. */
#define ANSWER_NS GST_SECOND

/* As the shim says, else as the kernel does. */
static pid_t
pid_of (const HelixVm *vm, const HelixProbe *probe)
{
  guint32 told = probe != NULL ? probe->connection->welcome.pid : 0;

  return told > 0 ? (pid_t) told : vm->pid;
}

static void
list_text (const HelixVm *vm, const HelixProbe *probe, const GError *error)
{
  g_autoptr (GString) line = g_string_new (NULL);
  g_autofree gchar *clean = NULL;
  HelixProcess process;

  helix_process_look (&process, pid_of (vm, probe));
  g_string_append_printf (line, "%s  %s", vm->path, process.words);
  if (probe != NULL) {
    g_autofree gchar *scanouts = helix_probe_scanouts_words (probe);

    g_string_append_printf (
        line, "  %s  %s", probe->connection->name, scanouts);
  } else {
    g_string_append_printf (line, "  %s", error->message);
  }
  clean = helix_printable (line->str);
  printf ("%s\n", clean);
}

static void
list_json (const HelixVm *vm, const HelixProbe *probe, const GError *error,
    JsonBuilder *json)
{
  helix_json_object (json, NULL);
  helix_json_add (json, JSON_TEXT ("socket", vm->path),
      JSON_KNOWN ("pid", (guint64) pid_of (vm, probe), 0),
      JSON_TEXT ("name", probe != NULL ? probe->connection->name : NULL),
      JSON_TEXT ("error", probe != NULL ? NULL : error->message));
  helix_probe_scanouts_json (probe, json);
  json_builder_end_object (json);
}

static gint
run (const HelixOptions *options, gint n, gchar **words)
{
  g_autofree gchar *looked = NULL;
  g_autoptr (GPtrArray) vms = helix_vms_find (options->socket, &looked);
  g_autoptr (JsonBuilder) json = json_builder_new ();
  gint status = vms->len > 0 ? HELIX_EXIT_GOOD : HELIX_EXIT_FAILED;

  helix_json_array (json, NULL);
  for (guint i = 0; i < vms->len; i++) {
    const HelixVm *vm = g_ptr_array_index (vms, i);
    guint64 deadline = helix_now_ns () + ANSWER_NS;
    g_autoptr (GError) error = NULL;
    g_autoptr (HelixProbe) probe =
        helix_vms_reach (vm->path, HELIX_ROLE_FRAMES, NULL, deadline, &error);

    /* A shim that is too busy to answer told its scanouts with WELCOME. */
    if (probe != NULL)
      helix_probe_list (probe, deadline, NULL);
    else
      status = HELIX_EXIT_FAILED;
    if (options->json)
      list_json (vm, probe, error, json);
    else
      list_text (vm, probe, error);
  }
  json_builder_end_array (json);
  if (options->json)
    helix_json_print (json);
  else if (vms->len == 0)
    helix_tool_fail (HELIX_EXIT_FAILED,
        "no VM that exports its screen was found (looked at %s)", looked);
  return status;
}

const HelixCommand helix_list = {
    .name = "list",
    .what = "the VMs that run here",
    .summary =
        "Lists the VMs of this machine that export their screens: socket, "
        "process, shim,\nscanouts. The exit status is 1 if there is none, or "
        "one does not answer.",
    .common = HELIX_OPTION_SOCKET | HELIX_OPTION_JSON,
    .run = run,
};

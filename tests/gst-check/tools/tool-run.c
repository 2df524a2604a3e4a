/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tool-run.h"

#include <glib/gstdio.h>
#include <gst/check/gstcheck.h>
#include <json-glib/json-glib.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "helix-test-folder.h"
#include "helix-test-nobody.h"
#include "tool-peer.h"

#define AWAIT_S 20

gchar *tool_folder, *tool_socket, *tool_address;

gdouble
tool_scale (void)
{
  const gchar *text = g_getenv ("CK_TIMEOUT_MULTIPLIER");
  gdouble scale = text != NULL ? g_ascii_strtod (text, NULL) : 1;

  return MAX (scale, 1);
}

static void
become (gpointer nobody)
{
  if (nobody != NULL && !test_be_nobody ())
    _exit (127);
}

ToolRun *
tool_run_as (const gchar *program, const gchar *const *environment,
    gboolean nobody, const gchar *arguments)
{
  g_autofree gchar *quoted = g_shell_quote (program);
  g_autofree gchar *line = g_strdup_printf ("%s %s", quoted, arguments);
  ToolRun *run = g_new0 (ToolRun, 1);
  gchar **envp = g_get_environ (), **argv = NULL;
  GError *error = NULL;
  gint64 before;
  gint status;

  for (guint i = 0; environment != NULL && environment[i] != NULL; i++) {
    g_auto (GStrv) parts = g_strsplit (environment[i], "=", 2);

    envp = g_environ_setenv (envp, parts[0], parts[1], TRUE);
  }
  before = g_get_monotonic_time ();
  fail_unless (g_shell_parse_argv (line, NULL, &argv, &error), "%s",
      error ? error->message : "");
  fail_unless (
      g_spawn_sync (NULL, argv, envp, G_SPAWN_DEFAULT, become,
          GINT_TO_POINTER (nobody), &run->out, &run->err, &status, &error),
      "%s: %s", line, error ? error->message : "");
  run->seconds = (gdouble) (g_get_monotonic_time () - before) / G_USEC_PER_SEC;
  run->status = WIFEXITED (status) ? WEXITSTATUS (status) : -1;
  /* For finding out why a test failed. */
  g_test_message ("%s", line);
  GST_INFO ("%s: status %d after %.2f s\n%s%s", line, run->status, run->seconds,
      run->out, run->err);
  g_strfreev (argv);
  g_strfreev (envp);
  return run;
}

gchar *
tool_copy (const gchar *path, const gchar *name, gint mode)
{
  gchar *copy = g_build_filename (tool_folder, name, NULL);
  g_autofree gchar *bytes = NULL;
  gsize size;

  fail_unless (g_file_get_contents (path, &bytes, &size, NULL));
  fail_unless (g_file_set_contents (copy, bytes, (gssize) size, NULL));
  fail_unless (g_chmod (copy, mode) == 0);
  return copy;
}

gchar *
tool_token (const gchar *token)
{
  g_autofree gchar *path = g_strdup_printf ("%s/token-%s", tool_folder, token);

  fail_unless (g_file_set_contents (path, token, -1, NULL));
  fail_unless (g_chmod (path, 0600) == 0);
  return g_strconcat ("--token-file=", path, NULL);
}

ToolRun *
tool_run (const gchar *format, ...)
{
  const gchar *program = g_getenv ("HELIX_TOOL");
  g_autofree gchar *arguments = NULL;
  va_list args;

  fail_unless (program != NULL, "HELIX_TOOL does not name helix");
  va_start (args, format);
  arguments = g_strdup_vprintf (format, args);
  va_end (args);
  return tool_run_as (program, NULL, FALSE, arguments);
}

void
tool_run_free (ToolRun *run)
{
  g_free (run->out);
  g_free (run->err);
  g_free (run);
}

gchar *
tool_json (const ToolRun *run, const gchar *name)
{
  g_autoptr (GError) error = NULL;
  g_autofree gchar *path = g_strconcat ("$..", name, NULL);
  g_autoptr (JsonNode) root = json_from_string (run->out, &error);
  g_autoptr (JsonNode) found = NULL;
  JsonNode *node;

  fail_unless (root != NULL, "%s: %s", error->message, run->out);
  found = json_path_query (path, root, &error);
  fail_unless (found != NULL, "%s", error ? error->message : path);
  if (json_array_get_length (json_node_get_array (found)) == 0)
    return NULL;
  node = json_array_get_element (json_node_get_array (found), 0);
  if (json_node_get_value_type (node) == G_TYPE_STRING)
    return g_strdup (json_node_get_string (node));
  return json_to_string (node, FALSE);
}

/* The line "VERDICT check  ..." or NULL. */
static gchar *
line_of (const ToolRun *run, const gchar *verdict, const gchar *check)
{
  g_autofree gchar *start = g_strdup_printf ("%-4s %-10s ", verdict, check);
  g_auto (GStrv) lines = g_strsplit (run->out, "\n", -1);

  for (guint i = 0; lines[i] != NULL; i++)
    if (g_str_has_prefix (lines[i], start))
      return g_strdup (lines[i]);
  return NULL;
}

void
tool_expect (const ToolRun *run, const gchar *verdict, const gchar *check,
    const gchar *text)
{
  g_autofree gchar *line = line_of (run, verdict, check);

  fail_unless (line != NULL && strstr (line, text) != NULL,
      "no line '%s %s' with '%s' in:\n%s%s", verdict, check, text, run->out,
      run->err);
}

void
tool_expect_end (const ToolRun *run, gint status, gdouble seconds)
{
  fail_unless (run->status == status, "status %d, not %d:\n%s%s", run->status,
      status, run->out, run->err);
  /* The tool's own deadlines are what is tested, so there is a bound; beyond
   * it, something has waited that has no deadline. */
  fail_unless (run->seconds <= seconds * tool_scale () * TOOL_BUSY,
      "took %.2f s, not %.0f:\n%s", run->seconds, seconds, run->out);
}

/* For what has to come. */
static gint64
deadline (void)
{
  return g_get_monotonic_time ()
      + (gint64) (AWAIT_S * tool_scale () * G_USEC_PER_SEC);
}

ToolRun *
tool_await (const gchar *verdict, const gchar *check, const gchar *arguments)
{
  gint64 end = deadline ();

  for (;;) {
    ToolRun *run = tool_run ("%s", arguments);
    g_autofree gchar *line = line_of (run, verdict, check);

    if (line != NULL)
      return run;
    fail_unless (g_get_monotonic_time () < end, "never '%s %s':\n%s%s", verdict,
        check, run->out, run->err);
    tool_run_free (run);
  }
}

/* ---- surroundings ---- */

void
tool_setup (void)
{
  tool_folder = g_dir_make_tmp ("helix-tool-XXXXXX", NULL);
  fail_unless (tool_folder != NULL);
  tool_socket = g_build_filename (tool_folder, "vm.sock", NULL);
  tool_address = g_strdup_printf ("unix:%s/stream", tool_folder);
  g_setenv ("XDG_RUNTIME_DIR", tool_folder, TRUE);
  g_setenv ("HELIX_ADDRESS", tool_address, TRUE);
  g_unsetenv ("HELIX_SOCKET");
}

void
tool_teardown (void)
{
  g_chmod (tool_folder, 0700);
  test_remove_tree (tool_folder);
  g_clear_pointer (&tool_folder, g_free);
  g_clear_pointer (&tool_socket, g_free);
  g_clear_pointer (&tool_address, g_free);
}

ToolChild *
tool_child_new (const gchar *line, gboolean ready)
{
  ToolChild *child = g_new0 (ToolChild, 1);
  GError *error = NULL;
  gchar **argv = NULL;
  gchar byte = 0;

  fail_unless (g_shell_parse_argv (line, NULL, &argv, &error)
          && g_spawn_async_with_pipes (NULL, argv, NULL,
              G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_SEARCH_PATH, NULL, NULL,
              &child->pid, NULL, &child->out, NULL, &error),
      "%s: %s", line, error ? error->message : "");
  while (ready && byte != '\n')
    fail_unless (read (child->out, &byte, 1) == 1, "%s ended", line);
  g_strfreev (argv);
  return child;
}

ToolChild *
tool_sim_new (const gchar *path, const gchar *options)
{
  /* It ends by itself, should the test not live to end it. */
  g_autofree gchar *quoted = g_shell_quote (g_getenv ("HELIX_SIM"));
  g_autofree gchar *line = g_strdup_printf (
      "%s --quiet --socket=%s --size=640x96 %s %s", quoted, path, options,
      strstr (options, "static") ? "" : "--frames=9000 --exit");

  ToolChild *sim = tool_child_new (line, TRUE);

  tool_await_on (path, "");
  return sim;
}

void
tool_await_on (const gchar *path, const gchar *options)
{
  gint64 end = deadline ();
  gboolean on = FALSE;

  while (!on) {
    g_autoptr (ToolRun) run = tool_run ("list --socket=%s %s", path, options);

    on = run->status == 0 && strstr (run->out, ":off") == NULL;
    fail_unless (on || g_get_monotonic_time () < end, "%s", run->out);
  }
}

void
tool_child_end (ToolChild *child, gint signal)
{
  kill (child->pid, signal);
  kill (child->pid, SIGCONT);
  waitpid (child->pid, NULL, 0);
  close (child->out);
  g_free (child);
}

void
tool_scene (const ToolScene *scene)
{
  gboolean stream = strstr (scene->doctor, "--address=@") != NULL;
  ToolPeer *peer = scene->peer != TOOL_NO_PEER
      ? tool_peer_new ((PeerKind) scene->peer, stream ? NULL : tool_socket)
      : NULL;
  g_auto (GStrv) parts = g_strsplit (scene->doctor, "@", -1);
  g_autofree gchar *options =
      g_strjoinv (stream ? tool_peer_address (peer) : tool_socket, parts);
  g_autoptr (ToolRun) run = tool_run ("doctor %s", options);

  if (scene->status >= 0)
    tool_expect_end (run, scene->status, TOOL_DEAD_S);
  for (guint i = 0; i < G_N_ELEMENTS (scene->texts) && scene->texts[i] != NULL;
       i++)
    tool_expect (run, scene->verdict, scene->check, scene->texts[i]);
  if (peer != NULL)
    tool_peer_free (peer);
}

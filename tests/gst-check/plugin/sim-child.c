/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim-child.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

struct _SimChild {
  GPid pid;
  int out; /* open for as long as it lives: it may say more */
};

SimChild *
sim_child_new (const gchar *path, const gchar *options)
{
  SimChild *sim = g_new0 (SimChild, 1);
  const gchar *program = g_getenv ("HELIX_SIM");
  g_autofree gchar *quoted = NULL;
  gchar *line, **argv = NULL, byte = 0;
  GError *error = NULL;

  if (program == NULL)
    g_error ("HELIX_SIM does not name helix-shim-sim");
  quoted = g_shell_quote (program);
  line = g_strdup_printf ("%s --quiet --socket=%s %s", quoted, path, options);
  if (!g_shell_parse_argv (line, NULL, &argv, &error)
      || !g_spawn_async_with_pipes (NULL, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD,
          NULL, NULL, &sim->pid, NULL, &sim->out, NULL, &error))
    g_error ("%s: %s", line, error->message);
  while (byte != '\n')
    if (read (sim->out, &byte, 1) != 1)
      g_error ("%s ended before it listened", line);
  g_strfreev (argv);
  g_free (line);
  return sim;
}

GPid
sim_child_pid (SimChild *sim)
{
  return sim->pid;
}

void
sim_child_signal (SimChild *sim, gint signal)
{
  kill (sim->pid, signal);
}

static void
finish (SimChild *sim, int signal)
{
  kill (sim->pid, signal);
  waitpid (sim->pid, NULL, 0);
  g_spawn_close_pid (sim->pid);
  close (sim->out);
  g_free (sim);
}

void
sim_child_kill (SimChild *sim)
{
  finish (sim, SIGKILL);
}

void
sim_child_end (SimChild *sim)
{
  finish (sim, SIGTERM);
}

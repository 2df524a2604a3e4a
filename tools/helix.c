/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * helix: one command that shows every hop from a VM's screen to the guest.
 */
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "helix-report.h"
#include "helix-token.h"
#include "helix-tool.h"

static const struct {
  const gchar *name, *what;
  gint (*run) (gint argc, gchar **argv);
} commands[] = {
    {"doctor", "walk every hop, name the first that fails and the remedy",
        helix_doctor_main},
    {"list", "the VMs that run here", helix_list_main},
    {"top", "VMs, scanouts, clients and streams, once a second",
        helix_top_main},
    {"snapshot", "one picture of a screen, as PNG", helix_snapshot_main},
    {"scanout", "switch a scanout on at a size, or off", helix_scanout_main},
    {"bench", "measure what a guest receives", helix_bench_main},
};

static void
print_help (FILE *out)
{
  fprintf (out,
      "Usage: helix COMMAND [OPTION...]\n\n"
      "Shows a VM's screen on its way to the guest, hop by hop.\n\n"
      "Commands:\n");
  for (guint i = 0; i < G_N_ELEMENTS (commands); i++)
    fprintf (out, "  %-10s %s\n", commands[i].name, commands[i].what);
  fprintf (out,
      "\nhelix COMMAND --help tells a command's options, man helix the "
      "rest.\n");
}

void
helix_tool_complain (const gchar *command, const gchar *format, ...)
{
  g_autofree gchar *text = NULL;
  g_autofree gchar *clean = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  clean = helix_printable (text);
  fprintf (stderr, "helix %s: %s\n", command, clean);
}

gboolean
helix_tool_options (const gchar *command, const gchar *words,
    const gchar *summary, const GOptionEntry *entries, gint most, gint *argc,
    gchar ***argv)
{
  GOptionContext *context = g_option_context_new (words);
  g_autofree gchar *program = g_strdup_printf ("helix %s", command);
  g_autoptr (GError) error = NULL;
  gboolean good;

  g_set_prgname (program);
  g_option_context_set_summary (context, summary);
  g_option_context_add_main_entries (context, entries, NULL);
  good = g_option_context_parse (context, argc, argv, &error);
  g_option_context_free (context);
  if (!good) {
    helix_tool_complain (command, "%s (--help tells more)", error->message);
    return FALSE;
  }
  if (*argc - 1 > most) {
    helix_tool_complain (command,
        "'%s' is one word too many (--help tells more)", (*argv)[most + 1]);
    return FALSE;
  }
  return TRUE;
}

gboolean
helix_tool_token (const gchar *command, const gchar *path, gchar **token)
{
  g_autoptr (GError) error = NULL;

  if (helix_token_find (NULL, path, token, &error))
    return TRUE;
  helix_tool_complain (command, "%s", error->message);
  return FALSE;
}

/* What could not be written is not done; but a reader that went away has what
 * it wanted. */
static gint
finish (gint status)
{
  struct pollfd out = {.fd = STDOUT_FILENO};
  gboolean lost = fflush (stdout) != 0 || ferror (stdout);

  if (status != HELIX_EXIT_GOOD || !lost)
    return status;
  if (poll (&out, 1, 0) > 0 && out.revents & (POLLERR | POLLHUP))
    return status;
  fprintf (stderr, "helix: cannot write to standard output\n");
  return HELIX_EXIT_FAILED;
}

gint
main (gint argc, gchar **argv)
{
  setlocale (LC_ALL, "");
  /* A reader that goes away (| head) is a write error, no reason to die. */
  signal (SIGPIPE, SIG_IGN);

  if (argc < 2) {
    print_help (stderr);
    return HELIX_EXIT_USAGE;
  }
  if (strcmp (argv[1], "--help") == 0 || strcmp (argv[1], "-h") == 0
      || strcmp (argv[1], "help") == 0) {
    print_help (stdout);
    return HELIX_EXIT_GOOD;
  }
  if (strcmp (argv[1], "--version") == 0) {
    printf ("helix " HELIX_PACKAGE_VERSION "\n");
    return HELIX_EXIT_GOOD;
  }
  for (guint i = 0; i < G_N_ELEMENTS (commands); i++)
    if (strcmp (argv[1], commands[i].name) == 0)
      return finish (commands[i].run (argc - 1, argv + 1));
  fprintf (stderr, "helix: there is no command '%s'\n\n", argv[1]);
  print_help (stderr);
  return HELIX_EXIT_USAGE;
}

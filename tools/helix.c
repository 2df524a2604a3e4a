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

#include "helix-token.h"
#include "helix-tool.h"
#include "helix-vms.h"

static const HelixCommand *const commands[] = {&helix_doctor, &helix_list,
    &helix_top, &helix_snapshot, &helix_scanout, &helix_bench};

static void
print_help (FILE *out)
{
  fprintf (out,
      "Usage: helix COMMAND [OPTION...]\n\n"
      "Shows a VM's screen on its way to the guest, hop by hop.\n\n"
      "Commands:\n");
  for (guint i = 0; i < G_N_ELEMENTS (commands); i++)
    fprintf (out, "  %-10s %s\n", commands[i]->name, commands[i]->what);
  fprintf (out,
      "\nhelix COMMAND --help tells a command's options, man helix the "
      "rest.\n");
}

static GOptionContext *
context_of (const HelixCommand *command, HelixOptions *options)
{
  const GOptionEntry socket[] = {
      {"socket", 's', 0, G_OPTION_ARG_FILENAME, &options->socket,
          "Socket of a VM's shim (default $HELIX_SOCKET, else what runs here)",
          "PATH"},
      {"server-user", 0, 0, G_OPTION_ARG_CALLBACK,
          (gpointer) helix_vms_take_server_user,
          "Who runs the VM, where that is neither this user nor root", "USER"},
      {NULL, 0, 0, 0, NULL, NULL, NULL},
  };
  const GOptionEntry stream[] = {
      {"address", 'a', 0, G_OPTION_ARG_STRING, &options->address,
          "Where helixguestsink serves (default $HELIX_ADDRESS, else that of "
          "the elements)",
          "ADDRESS"},
      {"token-file", 't', 0, G_OPTION_ARG_FILENAME, &options->token_file,
          "File whose first line is the token that helixguestsink asks for",
          "FILE"},
      {NULL, 0, 0, 0, NULL, NULL, NULL},
  };
  const GOptionEntry json[] = {
      {"json", 'j', 0, G_OPTION_ARG_NONE, &options->json,
          "JSON in place of the text", NULL},
      {NULL, 0, 0, 0, NULL, NULL, NULL},
  };
  GOptionContext *context = g_option_context_new (command->words);

  g_option_context_set_summary (context, command->summary);
  if (command->common & HELIX_OPTION_SOCKET)
    g_option_context_add_main_entries (context, socket, NULL);
  if (command->common & HELIX_OPTION_STREAM)
    g_option_context_add_main_entries (context, stream, NULL);
  if (command->entries != NULL)
    g_option_context_add_main_entries (context, command->entries, NULL);
  if (command->common & HELIX_OPTION_JSON)
    g_option_context_add_main_entries (context, json, NULL);
  return context;
}

/* `argv` begins with the command's name. */
static gint
run (const HelixCommand *command, gint argc, gchar **argv)
{
  g_autofree gchar *program = g_strdup_printf ("helix %s", command->name);
  HelixOptions options = {0};
  GOptionContext *context = context_of (command, &options);
  g_autoptr (GError) error = NULL;
  gint status;

  g_set_prgname (program);
  if (!g_option_context_parse (context, &argc, &argv, &error))
    status = helix_tool_fail (
        HELIX_EXIT_USAGE, "%s (--help tells more)", error->message);
  else if (argc - 1 > command->most)
    status = helix_tool_fail (HELIX_EXIT_USAGE,
        "'%s' is one word too many (--help tells more)",
        argv[command->most + 1]);
  else if (!helix_token_find (NULL, options.token_file, &options.token, &error))
    status = helix_tool_fail (HELIX_EXIT_USAGE, "%s", error->message);
  else
    status = command->run (&options, argc - 1, argv + 1);
  g_option_context_free (context);
  g_free (options.socket);
  g_free (options.address);
  g_free (options.token_file);
  g_free (options.token);
  return status;
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
    if (strcmp (argv[1], commands[i]->name) == 0)
      return finish (run (commands[i], argc - 1, argv + 1));
  fprintf (stderr, "helix: there is no command '%s'\n\n", argv[1]);
  print_help (stderr);
  return HELIX_EXIT_USAGE;
}

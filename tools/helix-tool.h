/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the subcommands of `helix` share: one function each, with main's
 * arguments from the subcommand's name on, returning the exit status.
 */
#ifndef HELIX_TOOL_H
#define HELIX_TOOL_H

#include <glib.h>

G_BEGIN_DECLS

/* Exit statuses of all of them; doctor has further ones, helix-doctor.h. */
#define HELIX_EXIT_GOOD 0
#define HELIX_EXIT_FAILED 1
#define HELIX_EXIT_USAGE 2

gint helix_bench_main (gint argc, gchar **argv);
gint helix_doctor_main (gint argc, gchar **argv);
gint helix_list_main (gint argc, gchar **argv);
gint helix_scanout_main (gint argc, gchar **argv);
gint helix_snapshot_main (gint argc, gchar **argv);
gint helix_top_main (gint argc, gchar **argv);

/* Takes the options out of argv; what is left is `most` words at most, after
 * argv[0]. FALSE: the mistake has been told. */
gboolean helix_tool_options (const gchar *command, const gchar *words,
    const gchar *summary, const GOptionEntry *entries, gint most, gint *argc,
    gchar ***argv);

/* The option for the stream's secret, an element of `entries`. `where`: of a
 * gchar *, the caller's to free. There is none for the secret itself, because
 * every user of the machine can read a command line. */
#define HELIX_TOOL_TOKEN_FILE(where) \
  { \
    "token-file", 't', 0, G_OPTION_ARG_FILENAME, where, \
        "File whose first line is the token that helixguestsink asks for", \
        "FILE" \
  }
/* What is in that file; *token is NULL without one. g_free () it. FALSE: the
 * mistake has been told. */
gboolean helix_tool_token (
    const gchar *command, const gchar *path, gchar **token);

/* "helix COMMAND: TEXT" on standard error. */
void helix_tool_complain (const gchar *command, const gchar *format, ...)
    G_GNUC_PRINTF (2, 3);

G_END_DECLS

#endif /* HELIX_TOOL_H */

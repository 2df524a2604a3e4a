/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the commands of `helix` share.
 */
#ifndef HELIX_TOOL_H
#define HELIX_TOOL_H

#include <glib.h>
#include <stdio.h>

G_BEGIN_DECLS

/* Exit statuses of all of them; doctor has further ones, helix-doctor.c. */
#define HELIX_EXIT_GOOD 0
#define HELIX_EXIT_FAILED 1
#define HELIX_EXIT_USAGE 2

/* Options that several commands have. */
typedef struct {
  gchar *socket;     /* of a VM's shim, or NULL */
  gchar *address;    /* of a stream, or NULL */
  gchar *token_file; /* There is no option for the secret itself, because every
                      * user of the machine can read a command line. */
  gchar *token;      /* what is in that file, or NULL */
  gboolean json;
} HelixOptions;

#define HELIX_OPTION_SOCKET (1u << 0) /* and --server-user */
#define HELIX_OPTION_STREAM (1u << 1) /* --address, --token-file */
#define HELIX_OPTION_JSON (1u << 2)

typedef struct {
  const gchar *name;
  const gchar *what;           /* a line of helix --help */
  const gchar *words;          /* what follows the options, or NULL */
  gint most;                   /* so many words at most */
  const gchar *summary;        /* in the help of the command */
  guint common;                /* HELIX_OPTION_* */
  const GOptionEntry *entries; /* its own, or NULL */
  /* `words`: those behind the options. Returns the exit status. */
  gint (*run) (const HelixOptions *options, gint n, gchar **words);
} HelixCommand;

extern const HelixCommand helix_bench, helix_doctor, helix_list, helix_scanout,
    helix_snapshot, helix_top;

/* Says "helix COMMAND: TEXT" on standard error. Returns `status`. */
gint helix_tool_fail (gint status, const gchar *format, ...)
    G_GNUC_PRINTF (2, 3);

/* Whether what goes to `out` may be coloured: it is a terminal that can, and
 * $NO_COLOR (https://no-color.org) is not set. */
gboolean helix_colours_wanted (FILE *out);

/* A copy without control characters and invalid UTF-8, for terminals. */
gchar *helix_printable (const gchar *text);

G_END_DECLS

#endif /* HELIX_TOOL_H */

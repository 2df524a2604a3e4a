/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A program as a child of a test: its output by lines, with the time at which
 * each came. What a function waits for in vain fails the test, and its output
 * is told.
 */
#ifndef CHILD_H
#define CHILD_H

#include <glib.h>

typedef struct _Child Child;

/* Takes what it can of a line, on the child's reader thread. */
typedef void (*ChildLine) (gpointer data, const gchar *line, guint64 now);

/* Starts `words` (argv, NULL-terminated); stdout and stderr are one. `line`
 * may be NULL. */
Child *child_new (const gchar *const *words, ChildLine line, gpointer data);
/* The same from a command line, split as a shell would. */
Child *child_new_line (const gchar *format, ...) G_GNUC_PRINTF (1, 2);

/* Waits for a line with `word` in it, from the first line on. Returns when it
 * came, ns of helix_now_ns (). */
guint64 child_expect (Child *child, const gchar *word, guint seconds);
/* The same for the `nth` such line, which is 1 for the first. */
guint64 child_expect_nth (
    Child *child, const gchar *word, guint nth, guint seconds);
/* Lines with `word` so far. */
guint child_count (Child *child, const gchar *word);
/* All of it so far; free it. */
gchar *child_output (Child *child);

GPid child_pid (Child *child);
void child_signal (Child *child, gint signal);
/* Sends `signal` (0 = none), waits for the end, frees. Prints the output of a
 * child that failed. Returns: the wait status. */
gint child_end (Child *child, gint signal);

#endif /* CHILD_H */

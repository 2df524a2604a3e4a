/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "child.h"

#include <gst/check/gstcheck.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "helix-platform.h"

/* Lines that are kept: what is told when something fails. */
#define KEPT_LINES 2000

typedef struct {
  gchar *text;
  guint64 when;
} Line;

struct _Child {
  gchar *name;
  GPid pid;
  FILE *out;
  GThread *thread;
  ChildLine line;
  gpointer data;

  pthread_mutex_t lock; /* of what follows; ThreadSanitizer knows no GMutex */
  pthread_cond_t cond;
  GPtrArray *lines;
  gboolean over; /* it closed its output */
};

static void
line_free (gpointer data)
{
  Line *line = data;

  g_free (line->text);
  g_free (line);
}

static gpointer
read_lines (gpointer data)
{
  Child *child = data;
  char text[4096];

  while (fgets (text, sizeof text, child->out) != NULL) {
    Line *line = g_new0 (Line, 1);

    line->when = helix_now_ns ();
    line->text = g_strdup (g_strchomp (text));
    if (child->line != NULL)
      child->line (child->data, line->text, line->when);
    pthread_mutex_lock (&child->lock);
    if (child->lines->len < KEPT_LINES)
      g_ptr_array_add (child->lines, line);
    else
      line_free (line);
    pthread_cond_broadcast (&child->cond);
    pthread_mutex_unlock (&child->lock);
  }
  pthread_mutex_lock (&child->lock);
  child->over = TRUE;
  pthread_cond_broadcast (&child->cond);
  pthread_mutex_unlock (&child->lock);
  return NULL;
}

/* In the child, before it runs: one stream for both, in order. */
static void
join_streams (gpointer data)
{
  dup2 (STDOUT_FILENO, STDERR_FILENO);
}

Child *
child_new (const gchar *const *words, ChildLine line, gpointer data)
{
  Child *child = g_new0 (Child, 1);
  GError *error = NULL;
  gint out;

  child->name = g_strjoinv (" ", (gchar **) words);
  child->line = line;
  child->data = data;
  child->lines = g_ptr_array_new_with_free_func (line_free);
  pthread_mutex_init (&child->lock, NULL);
  helix_cond_init (&child->cond);
  if (!g_spawn_async_with_pipes (NULL, (gchar **) words, NULL,
          G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_SEARCH_PATH, join_streams, NULL,
          &child->pid, NULL, &out, NULL, &error))
    fail ("%s: %s", child->name, error->message);
  child->out = fdopen (out, "r");
  fail_unless (child->out != NULL);
  child->thread = g_thread_new ("child", read_lines, child);
  return child;
}

Child *
child_new_line (const gchar *format, ...)
{
  gchar *text, **words;
  GError *error = NULL;
  Child *child;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  if (!g_shell_parse_argv (text, NULL, &words, &error))
    fail ("%s: %s", text, error->message);
  child = child_new ((const gchar *const *) words, NULL, NULL);
  g_strfreev (words);
  g_free (text);
  return child;
}

/* With the lock. */
static gchar *
join_output (Child *child)
{
  GString *all = g_string_new (NULL);

  for (guint i = 0; i < child->lines->len; i++)
    g_string_append_printf (
        all, "%s\n", ((Line *) g_ptr_array_index (child->lines, i))->text);
  return g_string_free (all, FALSE);
}

gchar *
child_output (Child *child)
{
  gchar *all;

  pthread_mutex_lock (&child->lock);
  all = join_output (child);
  pthread_mutex_unlock (&child->lock);
  return all;
}

guint64
child_expect (Child *child, const gchar *word, guint seconds)
{
  return child_expect_nth (child, word, 1, seconds);
}

guint64
child_expect_nth (Child *child, const gchar *word, guint nth, guint seconds)
{
  guint64 limit = helix_now_ns () + seconds * G_GUINT64_CONSTANT (1000000000);
  guint64 when = 0;
  guint at = 0;

  pthread_mutex_lock (&child->lock);
  while (when == 0) {
    for (; when == 0 && at < child->lines->len; at++) {
      const Line *line = g_ptr_array_index (child->lines, at);

      if (strstr (line->text, word) != NULL && --nth == 0)
        when = line->when;
    }
    if (when == 0
        && (child->over
            || helix_cond_wait_until (&child->cond, &child->lock, limit) != 0))
      fail ("%s: no '%s' %s. It said:\n%s", child->name, word,
          child->over ? "before it ended" : "in time", join_output (child));
  }
  pthread_mutex_unlock (&child->lock);
  return when;
}

guint
child_count (Child *child, const gchar *word)
{
  guint count = 0;

  pthread_mutex_lock (&child->lock);
  for (guint i = 0; i < child->lines->len; i++)
    count += strstr (((Line *) g_ptr_array_index (child->lines, i))->text, word)
        != NULL;
  pthread_mutex_unlock (&child->lock);
  return count;
}

GPid
child_pid (Child *child)
{
  return child->pid;
}

void
child_signal (Child *child, gint signal)
{
  kill (child->pid, signal);
}

gint
child_end (Child *child, gint signal)
{
  g_autofree gchar *output = NULL;
  gint status = 0;

  if (signal != 0)
    kill (child->pid, signal);
  waitpid (child->pid, &status, 0);
  g_thread_join (child->thread);
  output = join_output (child);
  if (WIFEXITED (status) && WEXITSTATUS (status) != 0)
    g_printerr ("%s:\n%s", child->name, output);
  g_spawn_close_pid (child->pid);
  fclose (child->out);
  g_ptr_array_unref (child->lines);
  pthread_mutex_destroy (&child->lock);
  pthread_cond_destroy (&child->cond);
  g_free (child->name);
  g_free (child);
  return status;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-bench-usage.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* The clock of a process counts nanoseconds, /proc only ticks of 10 ms. */
static gboolean
get_cpu (HelixBenchUsage *usage, gint pid)
{
  struct timespec used;
  clockid_t clock;

  if (clock_getcpuclockid (pid, &clock) != 0
      || clock_gettime (clock, &used) != 0)
    return FALSE;
  usage->cpu_ns = (guint64) used.tv_sec * 1000000000u + (guint64) used.tv_nsec;
  return TRUE;
}

/* Fields 10 and 12 of /proc/PID/stat; the name before may hold anything. */
static gboolean
get_faults (HelixBenchUsage *usage, gint pid)
{
  g_autofree gchar *path = g_strdup_printf ("/proc/%d/stat", pid);
  g_autofree gchar *text = NULL;
  const gchar *after;

  if (!g_file_get_contents (path, &text, NULL, NULL))
    return FALSE;
  after = strrchr (text, ')');
  return after != NULL
      && sscanf (after + 1,
             " %*c %*d %*d %*d %*d %*d %*u %" G_GUINT64_FORMAT
             " %*u %" G_GUINT64_FORMAT,
             &usage->minor_faults, &usage->major_faults)
      == 2;
}

static guint64
find_number (const gchar *text, const gchar *key)
{
  const gchar *at = strstr (text, key);

  return at != NULL ? g_ascii_strtoull (at + strlen (key), NULL, 10) : 0;
}

static gboolean
get_switches (HelixBenchUsage *usage, gint pid)
{
  g_autofree gchar *folder = g_strdup_printf ("/proc/%d/task", pid);
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const gchar *thread;

  if (dir == NULL)
    return FALSE;
  while ((thread = g_dir_read_name (dir)) != NULL) {
    g_autofree gchar *path = g_build_filename (folder, thread, "status", NULL);
    g_autofree gchar *text = NULL;

    /* A thread may end between the two. */
    if (!g_file_get_contents (path, &text, NULL, NULL))
      continue;
    usage->sleeps += find_number (text, "\nvoluntary_ctxt_switches:");
    usage->preemptions += find_number (text, "\nnonvoluntary_ctxt_switches:");
  }
  return TRUE;
}

gboolean
helix_bench_usage_get (
    HelixBenchUsage *usage, gint pid, const gchar *alloc_path)
{
  g_autofree gchar *counts = NULL;
  gsize size = 0;

  memset (usage, 0, sizeof *usage);
  if (alloc_path != NULL
      && g_file_get_contents (alloc_path, &counts, &size, NULL)
      && size >= 2 * sizeof (guint64)) {
    memcpy (&usage->large_allocs, counts, sizeof (guint64));
    memcpy (&usage->large_bytes, counts + sizeof (guint64), sizeof (guint64));
  }
  return get_cpu (usage, pid) && get_faults (usage, pid)
      && get_switches (usage, pid);
}

void
helix_bench_usage_print (GString *json, const gchar *name,
    const HelixBenchUsage *from, const HelixBenchUsage *to)
{
#define MEMBER(field) \
  g_string_append_printf (json, ", \"%s_" #field "\": %" G_GINT64_FORMAT, \
      name, (gint64) (to->field - from->field))
  MEMBER (cpu_ns);
  MEMBER (minor_faults);
  MEMBER (major_faults);
  MEMBER (sleeps);
  MEMBER (preemptions);
  MEMBER (large_allocs);
  MEMBER (large_bytes);
#undef MEMBER
}

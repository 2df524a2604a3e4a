/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

void
helix_bench_die (const gchar *format, ...)
{
  va_list args;

  fprintf (stderr, "%s: ", program_invocation_short_name);
  va_start (args, format);
  vfprintf (stderr, format, args);
  va_end (args);
  fputc ('\n', stderr);
  exit (EXIT_FAILURE);
}

guint64
helix_bench_now (void)
{
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC, &now);
  return (guint64) now.tv_sec * 1000000000u + (guint64) now.tv_nsec;
}

HelixBenchTable *
helix_bench_table_open (const gchar *path)
{
  int fd = open (path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  void *table = MAP_FAILED;

  if (fd >= 0 && ftruncate (fd, sizeof (HelixBenchTable)) == 0)
    table = mmap (NULL, sizeof (HelixBenchTable), PROT_READ | PROT_WRITE,
        MAP_SHARED, fd, 0);
  if (table == MAP_FAILED)
    helix_bench_die ("cannot map the table %s: %s", path, g_strerror (errno));
  close (fd);
  return table;
}

void
helix_bench_table_put (
    HelixBenchTable *table, guint32 number, guint64 capture_ns)
{
  __atomic_store_n (&table->capture_ns[number % HELIX_BENCH_PICTURES],
      capture_ns, __ATOMIC_RELEASE);
}

guint64
helix_bench_table_get (HelixBenchTable *table, guint32 number)
{
  return __atomic_load_n (
      &table->capture_ns[number % HELIX_BENCH_PICTURES], __ATOMIC_ACQUIRE);
}

GArray *
helix_bench_times_new (guint room)
{
  return g_array_sized_new (FALSE, FALSE, sizeof (guint64), room);
}

static gint
compare (gconstpointer a, gconstpointer b)
{
  guint64 left = *(const guint64 *) a, right = *(const guint64 *) b;

  return left < right ? -1 : left > right;
}

void
helix_bench_times_print (GString *json, const gchar *prefix, GArray *times)
{
  static const struct {
    const gchar *name;
    guint percent;
  } figures[] = {{"p50", 50}, {"p95", 95}, {"p99", 99}, {"max", 100}};

  g_array_sort (times, compare);
  g_string_append_printf (json, ", \"%ssamples\": %u", prefix, times->len);
  for (guint i = 0; times->len > 0 && i < G_N_ELEMENTS (figures); i++)
    g_string_append_printf (json, ", \"%s%s_ns\": %" G_GUINT64_FORMAT, prefix,
        figures[i].name,
        g_array_index (times, guint64,
            (guint64) (times->len - 1) * figures[i].percent / 100));
}

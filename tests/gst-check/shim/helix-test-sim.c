/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-test-sim.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gst/check/gstcheck.h>

#include "helix-marker.h"

GPid
test_sim_start (const char *const *args, int *out, int *err)
{
  GPtrArray *argv = g_ptr_array_new ();
  GError *error = NULL;
  GPid pid;

  g_ptr_array_add (argv, (gpointer) HELIX_SHIM_SIM);
  for (; *args; args++)
    g_ptr_array_add (argv, (gpointer) *args);
  g_ptr_array_add (argv, NULL);
  fail_unless (
      g_spawn_async_with_pipes (NULL, (char **) argv->pdata, NULL,
          G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid, NULL, out, err, &error),
      "%s", error ? error->message : "");
  g_ptr_array_free (argv, TRUE);
  return pid;
}

static void
nothing (void *opaque)
{
}

struct test_sim *
test_sim_new (const char *const *more)
{
  struct test_sim *sim = g_new0 (struct test_sim, 1);
  const char *args[24] = {"--socket", NULL};
  struct pollfd p;
  char line[300] = "";
  int n = 2;

  test_own_runtime_dir ();
  sim->test.dir = test_dir_new ();
  sim->test.path = g_build_filename (sim->test.dir, "helix.sock", NULL);
  sim->test.log = g_string_new (NULL);
  pthread_mutex_init (&sim->test.log_lock, NULL);
  sim->test.display = helix_poll_loop_new (nothing, NULL);
  args[1] = sim->test.path;
  while (*more)
    args[n++] = *more++;
  args[n] = NULL;
  sim->pid = test_sim_start (args, &sim->out, &sim->err);
  p = (struct pollfd){.fd = sim->out, .events = POLLIN};
  fail_unless (poll (&p, 1, 20000) == 1, "the sim says nothing");
  fail_unless (read (sim->out, line, sizeof line - 1) > 0);
  fail_unless (strncmp (line, "listening on ", 13) == 0, "it said %s", line);
  return sim;
}

void
test_sim_forget (struct test_sim *sim)
{
  close (sim->out);
  close (sim->err);
  helix_poll_loop_free (sim->test.display);
  g_string_free (sim->test.log, TRUE);
  pthread_mutex_destroy (&sim->test.log_lock);
  test_dir_free (sim->test.dir);
  g_free (sim->test.path);
  g_free (sim);
}

int
test_sim_end (struct test_sim *sim, int number, char *out, size_t size)
{
  int status = 0;
  ssize_t n = 0;

  kill (sim->pid, number);
  fail_unless (waitpid (sim->pid, &status, 0) == sim->pid);
  if (out) {
    n = read (sim->out, out, size - 1);
    out[MAX (n, 0)] = '\0';
  }
  test_sim_forget (sim);
  return status;
}

uint32_t
test_sim_number (const struct test_frame *frame)
{
  uint32_t number = 0;

  fail_unless (
      helix_marker_read (frame->pixels, frame->frame.stride, 4, &number),
      "frame %d did not arrive whole", (int) frame->frame.sequence);
  return number;
}

uint64_t
test_sim_counter (const char *json, const char *name)
{
  char *key = g_strdup_printf ("\"%s\": ", name);
  const char *at = strstr (json, key);
  uint64_t value;

  fail_unless (at != NULL, "%s is not in %s", name, json);
  value = g_ascii_strtoull (at + strlen (key), NULL, 10);
  g_free (key);
  return value;
}

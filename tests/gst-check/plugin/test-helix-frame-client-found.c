/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A VM that was found and not named: which one it is, and why, is told once,
 * and that another one serves its socket now.
 */
#include <glib/gstdio.h>
#include <gst/check/gstcheck.h>
#include <sys/socket.h>
#include <unistd.h>

#include "frame-taker.h"
#include "helix-platform.h"
#include "sim-child.h"

#define SIM "--size=640x96"

static gchar *path, *runtime, *other_runtime;
static HelixFrameClient *client;

static gchar *
folder (const gchar *name)
{
  gchar *dir = g_path_get_dirname (path);
  gchar *made = g_build_filename (dir, name, NULL);

  fail_unless_equals_int (g_mkdir (made, 0700), 0);
  g_free (dir);
  return made;
}

static void
setup (void)
{
  path = fake_path_new ();
  runtime = folder ("runtime");
  other_runtime = folder ("other");
  g_unsetenv ("HELIX_SOCKET");
  g_setenv ("HOME", runtime, TRUE);
  g_setenv ("XDG_RUNTIME_DIR", runtime, TRUE);
  client = taker_new (NULL, TRUE, NULL);
}

static void
teardown (void)
{
  helix_frame_client_free (client);
  g_free (runtime);
  g_free (other_runtime);
  fake_path_free (path);
}

/* The next result, which is to be this one. Skips DARK and CURSOR, since the
 * screen may go on behind the connection and the sim has a cursor, and frames
 * where another result is due. */
static void
next (HelixFramesResult due, GError **error)
{
  HelixFramesResult result;
  HelixFrame frame;

  do {
    result = taker_next (client, &frame, error);
    if (result == HELIX_FRAMES_FRAME)
      helix_frame_clear (&frame);
  } while (result == HELIX_FRAMES_DARK || result == HELIX_FRAMES_CURSOR
      || (result == HELIX_FRAMES_FRAME && due != result));
  fail_unless_equals_int (result, due);
}

static void
expect (HelixFramesResult result, const gchar *word, const gchar *other)
{
  GError *error = NULL;

  next (result, &error);
  if (result != HELIX_FRAMES_FRAME)
    taker_expect_words (&error, word, other);
}

/* What is told of a connection to `sim`, found in `where`. */
static void
expect_found (SimChild *sim, const gchar *where)
{
  gchar *who = g_strdup_printf (
      "(pid %d) at %s: it is the only one, ", sim_child_pid (sim), path);
  gchar *reason = g_strdup_printf (
      "in %s/gst-helix (XDG_RUNTIME_DIR). Set socket-path", where);
  GError *error = NULL;

  next (HELIX_FRAMES_FOUND, &error);
  fail_unless (g_str_has_prefix (error->message, "Took VM 'helix-shim-sim "),
      "%s", error->message);
  taker_expect_words (&error, who, reason);
  g_free (who);
  g_free (reason);
}

/* Once, and not again when it comes back. That it is waited for is told with
 * the first warning. */
GST_START_TEST (test_told)
{
  SimChild *sim = sim_child_new (path, SIM);

  expect_found (sim, runtime);
  expect (HELIX_FRAMES_FRAME, NULL, NULL);
  sim_child_kill (sim);
  expect (HELIX_FRAMES_WARNING, path,
      "is waited for. To take another one, restart the pipeline.");
  sim = sim_child_new (path, SIM);
  expect (HELIX_FRAMES_FRAME, NULL, NULL);
  sim_child_end (sim);
}
GST_END_TEST;

/* A connection alone is no choice: the kernel accepts for a VM that is stopped.
 * Until one has answered, another that starts is taken. */
GST_START_TEST (test_silent)
{
  gchar *usual = g_build_filename (runtime, "helix.sock", NULL);
  int fd = helix_socket (AF_UNIX);
  SimChild *sim;
  GError *error = NULL;

  fail_unless_equals_int (helix_unix_bind (fd, usual), 0);
  fail_unless_equals_int (listen (fd, 8), 0);
  next (HELIX_FRAMES_WARNING, &error);
  fail_unless (strstr (error->message, "is waited for") == NULL);
  taker_expect_words (&error, usual, "no WELCOME");
  sim = sim_child_new (path, SIM);
  expect (HELIX_FRAMES_FOUND, "Took VM", path);
  expect (HELIX_FRAMES_FRAME, NULL, NULL);
  sim_child_end (sim);
  close (fd);
  g_unlink (usual);
  g_free (usual);
}
GST_END_TEST;

/* sudo and systemd set another XDG_RUNTIME_DIR: the message shows it. */
GST_START_TEST (test_other_folder)
{
  gchar *elsewhere = g_build_filename (runtime, "elsewhere", NULL);
  SimChild *sim = sim_child_new (elsewhere, SIM), *sim2;

  g_setenv ("XDG_RUNTIME_DIR", other_runtime, TRUE);
  sim2 = sim_child_new (path, SIM);
  expect_found (sim2, other_runtime);
  sim_child_end (sim);
  sim_child_end (sim2);
  g_free (elsewhere);
}
GST_END_TEST;

/* Who names the path knows. */
GST_START_TEST (test_named)
{
  SimChild *sim = sim_child_new (path, SIM);

  g_setenv ("HELIX_SOCKET", path, TRUE);
  expect (HELIX_FRAMES_FRAME, NULL, NULL);
  sim_child_end (sim);
}
GST_END_TEST;

/* Another VM serves the socket of the one that was shown. */
GST_START_TEST (test_another)
{
  gchar *usual = g_build_filename (runtime, "helix.sock", NULL);
  const FakeConfig config = {.width = 640, .height = 48};
  SimChild *sim = sim_child_new (usual, SIM);
  FakeShim *shim;

  expect (HELIX_FRAMES_FOUND, "Took VM", usual);
  expect (HELIX_FRAMES_FRAME, NULL, NULL);
  sim_child_end (sim);
  shim = fake_shim_new (usual, &config);
  expect (HELIX_FRAMES_WARNING, usual, "is waited for");
  expect (
      HELIX_FRAMES_WARNING, "'fake-shim'", "it serves the socket of the VM");
  fake_shim_free (shim);
  g_unlink (usual);
  g_free (usual);
}
GST_END_TEST;

static Suite *
helix_frame_client_found_suite (void)
{
  Suite *s = suite_create ("helix-frame-client-found");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_set_timeout (tc, 60);
  tcase_add_test (tc, test_told);
  tcase_add_test (tc, test_silent);
  tcase_add_test (tc, test_other_folder);
  tcase_add_test (tc, test_named);
  tcase_add_test (tc, test_another);
  return s;
}

GST_CHECK_MAIN (helix_frame_client_found);

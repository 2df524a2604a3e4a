/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gstdio.h>
#include <gst/check/gstcheck.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake-shim.h"
#include "helix-platform.h"
#include "helix-registry.h"
#include "helix-socket-path.h"
#include "helix-test-time.h"
#include "sim-child.h"

static gchar *path, *dir, *runtime, *home;
static HelixSocketSearch memory;
static gboolean final;
static gchar *tried;
static GError *error;

static void
setup (void)
{
  path = fake_path_new ();
  dir = g_path_get_dirname (path);
  runtime = g_build_filename (dir, "runtime", NULL);
  home = g_build_filename (dir, "home", NULL);
  fail_unless_equals_int (g_mkdir (runtime, 0700), 0);
  fail_unless_equals_int (g_mkdir (home, 0700), 0);
  g_unsetenv ("HELIX_SOCKET");
  g_setenv ("XDG_RUNTIME_DIR", runtime, TRUE);
  g_setenv ("HOME", home, TRUE);
  fail_unless_equals_int (chdir (home), 0);
}

static void
teardown (void)
{
  helix_socket_search_clear (&memory);
  g_clear_error (&error);
  g_clear_pointer (&tried, g_free);
  g_unsetenv ("HELIX_SOCKET");
  fail_unless_equals_int (chdir ("/"), 0);
  g_free (runtime);
  g_free (home);
  g_free (dir);
  fake_path_free (path);
}

static int
try_path (const gchar *wanted)
{
  g_clear_error (&error);
  g_clear_pointer (&tried, g_free);
  return helix_socket_path_connect (
      wanted, &memory, -1, &tried, &final, &error);
}

static void
expect_failure (
    const gchar *wanted, gboolean is_final, gint code, const gchar *word)
{
  final = !is_final;
  fail_unless_equals_int (try_path (wanted), -1);
  fail_unless_equals_int (final, is_final);
  fail_unless (
      g_error_matches (error, GST_RESOURCE_ERROR, code), "%s", error->message);
  fail_unless (strstr (error->message, word) != NULL, "no '%s' in: %s", word,
      error->message);
}

static void
expect_word (const gchar *word)
{
  fail_unless (strstr (error->message, word) != NULL, "no '%s' in: %s", word,
      error->message);
}

static void
expect_connection (const gchar *wanted, const gchar *want)
{
  int fd = try_path (wanted);

  fail_unless (fd >= 0, "%s", error != NULL ? error->message : "interrupted");
  fail_unless (error == NULL);
  fail_unless_equals_string (tried, want);
  close (fd);
}

/* ---- a path that is named ---- */

GST_START_TEST (test_failures)
{
  gchar *wanted;
  int fd;

  expect_failure (
      path, FALSE, GST_RESOURCE_ERROR_NOT_FOUND, "There is no socket at");
  expect_word (path);
  expect_failure (dir, TRUE, GST_RESOURCE_ERROR_SETTINGS, "is a directory");
  fail_unless (g_file_set_contents (path, "", 0, NULL));
  expect_failure (path, TRUE, GST_RESOURCE_ERROR_SETTINGS, "is a regular file");
  wanted = g_build_filename (path, "below", NULL);
  expect_failure (
      wanted, TRUE, GST_RESOURCE_ERROR_SETTINGS, "cannot be a helix socket");
  g_free (wanted);
  g_unlink (path);
  fail_unless (mkfifo (path, 0600) == 0);
  expect_failure (path, TRUE, GST_RESOURCE_ERROR_SETTINGS, "is a FIFO");
  g_unlink (path);
  fd = helix_socket (AF_UNIX);
  fail_unless (helix_unix_bind (fd, path) == 0);
  close (fd);
  expect_failure (
      path, FALSE, GST_RESOURCE_ERROR_NOT_FOUND, "Nobody listens on");
  expect_word (path);
  wanted = g_strdup_printf ("/%0200d", 1);
  expect_failure (wanted, TRUE, GST_RESOURCE_ERROR_SETTINGS, "201 bytes");
  g_free (wanted);
}
GST_END_TEST;

GST_START_TEST (test_connect)
{
  FakeConfig config = {.width = 640, .height = 48};
  FakeShim *shim = fake_shim_new (path, &config);

  expect_connection (path, path);
  fake_shim_free (shim);
}
GST_END_TEST;

/* Whoever names a path gets that one or none, whatever runs. */
GST_START_TEST (test_named_never_searches)
{
  gchar *running = g_build_filename (dir, "running", NULL);
  SimChild *sim = sim_child_new (running, "--size=640x96");

  expect_failure (
      path, FALSE, GST_RESOURCE_ERROR_NOT_FOUND, "There is no socket at");
  fail_unless (strstr (error->message, "looked at") == NULL);
  g_setenv ("HELIX_SOCKET", path, TRUE);
  expect_failure (
      NULL, FALSE, GST_RESOURCE_ERROR_NOT_FOUND, "There is no socket at");
  expect_word (path);
  g_setenv ("HELIX_SOCKET", running, TRUE);
  expect_connection (NULL, running);
  expect_connection ("", running); /* as if unset */
  sim_child_end (sim);
  g_free (running);
}
GST_END_TEST;

/* ---- a search ---- */

GST_START_TEST (test_none)
{
  expect_failure (
      NULL, FALSE, GST_RESOURCE_ERROR_NOT_FOUND, "No VM that exports its");
  fail_unless (tried == NULL);
  expect_word ("$HELIX_SOCKET (not set)");
  expect_word (runtime);
}
GST_END_TEST;

GST_START_TEST (test_only_one)
{
  gchar *place = g_build_filename (runtime, "helix.sock", NULL);
  FakeConfig config = {.width = 640, .height = 48};
  FakeShim *shim;
  SimChild *sim;

  /* By the registry, wherever the socket is. */
  sim = sim_child_new (path, "--size=640x96");
  expect_connection (NULL, path);
  sim_child_end (sim);
  helix_socket_search_clear (&memory);

  /* One that did not register, in the usual place. */
  shim = fake_shim_new (place, &config);
  expect_connection (NULL, place);
  fake_shim_free (shim);
  helix_socket_search_clear (&memory);
  g_unlink (place);

  /* Both ways, and still one. */
  sim = sim_child_new (place, "--size=640x96");
  expect_connection (NULL, place);
  sim_child_end (sim);
  helix_socket_search_clear (&memory);

  /* A dead one beside it does not count. */
  shim = fake_shim_new (place, &config);
  fake_shim_free (shim);
  sim = sim_child_new (path, "--size=640x96");
  expect_connection (NULL, path);
  sim_child_end (sim);
  g_unlink (place);
  g_free (place);
}
GST_END_TEST;

/* A socket in the working directory is not taken. */
GST_START_TEST (test_not_here)
{
  FakeConfig config = {.width = 640, .height = 48};
  FakeShim *shim = fake_shim_new ("helix.sock", &config);

  expect_failure (
      NULL, FALSE, GST_RESOURCE_ERROR_NOT_FOUND, "No VM that exports its");
  fail_unless_equals_int (fake_shim_accepted (shim), 0);
  /* Unless it is named. */
  expect_connection ("helix.sock", "helix.sock");
  fake_shim_free (shim);
  g_unlink ("helix.sock");
}
GST_END_TEST;

GST_START_TEST (test_several)
{
  gchar *other = g_build_filename (dir, "other", NULL);
  SimChild *sim = sim_child_new (path, "--size=640x96");
  SimChild *sim2 = sim_child_new (other, "--size=640x96");
  gchar *pid = g_strdup_printf ("(pid %d)", sim_child_pid (sim));
  gchar *pid2 = g_strdup_printf ("(pid %d)", sim_child_pid (sim2));

  expect_failure (NULL, TRUE, GST_RESOURCE_ERROR_SETTINGS, "2 VMs run here");
  expect_word ("helix-shim-sim");
  expect_word (path);
  expect_word (other);
  expect_word (pid);
  expect_word (pid2);
  expect_word ("Set socket-path");

  /* One that is stopped is no choice beside one that runs ... */
  sim_child_signal (sim, SIGSTOP);
  expect_connection (NULL, other);
  helix_socket_search_clear (&memory);
  /* ... but it is one of two that are. */
  sim_child_signal (sim2, SIGSTOP);
  expect_failure (NULL, TRUE, GST_RESOURCE_ERROR_SETTINGS, "2 VMs run here");
  sim_child_signal (sim, SIGCONT);
  sim_child_signal (sim2, SIGCONT);
  sim_child_end (sim);
  /* Found as soon as it is the only one. */
  expect_connection (NULL, other);
  sim_child_end (sim2);
  g_free (pid);
  g_free (pid2);
  g_free (other);
}
GST_END_TEST;

typedef struct {
  int listener; /* of a VM that does not answer */
  int wakeup[2];
} Silent;

/* Raises when the other thread has connected: it waits for the answer then. */
static gpointer
raise_when_asked (gpointer data)
{
  Silent *silent = data;
  struct pollfd entry = {.fd = silent->listener, .events = POLLIN};

  fail_unless_equals_int (poll (&entry, 1, (int) (TEST_SOON / GST_MSECOND)), 1);
  helix_wakeup_raise (silent->wakeup);
  return NULL;
}

/* A state change does not wait for VMs that are stopped. */
GST_START_TEST (test_interrupt)
{
  gchar *other = g_build_filename (dir, "other", NULL);
  SimChild *sim = sim_child_new (path, "--size=640x96");
  Silent silent = {.listener = helix_socket (AF_UNIX)};
  char entry[HELIX_REGISTRY_PATH];
  GThread *thread;
  const char *why;

  fail_unless_equals_int (helix_unix_bind (silent.listener, other), 0);
  fail_unless_equals_int (listen (silent.listener, 8), 0);
  fail_unless (helix_registry_add (other, entry, &why), "%s", why);
  fail_unless_equals_int (helix_wakeup_open (silent.wakeup), 0);
  sim_child_signal (sim, SIGSTOP);
  thread = g_thread_new ("raise", raise_when_asked, &silent);
  fail_unless_equals_int (helix_socket_path_connect (NULL, &memory,
                              silent.wakeup[0], &tried, &final, &error),
      -1);
  /* Else it says that two VMs run here. */
  fail_unless (error == NULL, "%s", error ? error->message : "");
  g_thread_join (thread);
  sim_child_kill (sim);
  helix_registry_remove (entry);
  helix_wakeup_close (silent.wakeup);
  close (silent.listener);
  g_unlink (other);
  g_free (other);
}
GST_END_TEST;

/* The VM that was shown is waited for: not another's screen in its place. */
GST_START_TEST (test_same_again)
{
  gchar *other = g_build_filename (dir, "other", NULL);
  SimChild *sim = sim_child_new (path, "--size=640x96"), *sim2;

  expect_connection (NULL, path);
  sim_child_kill (sim);
  sim2 = sim_child_new (other, "--size=640x96");
  expect_failure (NULL, FALSE, GST_RESOURCE_ERROR_NOT_FOUND, path);
  sim = sim_child_new (path, "--size=640x96");
  expect_connection (NULL, path);
  fail_unless_equals_uint64 (memory.lost_ns, 0);
  sim_child_kill (sim);
  expect_failure (NULL, FALSE, GST_RESOURCE_ERROR_NOT_FOUND, path);
  fail_unless (memory.lost_ns != 0);
  /* ... but not for ever. */
  memory.lost_ns -= 11 * GST_SECOND;
  expect_connection (NULL, other);
  expect_connection (NULL, other);
  sim_child_end (sim2);
  g_free (other);
}
GST_END_TEST;

/* ---- the element ---- */

static GstMessage *
wait_for (GstElement *element, GstMessageType types)
{
  GstBus *bus = gst_element_get_bus (element);
  GstMessage *message =
      gst_bus_timed_pop_filtered (bus, 10 * GST_SECOND, types);

  gst_object_unref (bus);
  fail_unless (message != NULL, "no such message came");
  return message;
}

GST_START_TEST (test_element)
{
  GstElement *pipeline = gst_parse_launch (
      "helixqemusrc num-buffers=1 ! fakesink sync=false", NULL);
  gchar *other = g_build_filename (dir, "other", NULL);
  GstMessage *message;
  SimChild *sim, *sim2;
  gchar *debug;

  /* One that comes later is found. */
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  gst_message_unref (wait_for (pipeline, GST_MESSAGE_WARNING));
  sim = sim_child_new (path, "--size=640x96");
  message = wait_for (pipeline, GST_MESSAGE_INFO);
  gst_message_parse_info (message, &error, &debug);
  expect_word ("Took VM 'helix-shim-sim");
  expect_word (runtime);
  fail_unless_equals_string (debug, error->message);
  g_clear_error (&error);
  g_free (debug);
  gst_message_unref (message);
  gst_message_unref (wait_for (pipeline, GST_MESSAGE_EOS));
  gst_element_set_state (pipeline, GST_STATE_NULL);

  /* Several are an error at once. */
  sim2 = sim_child_new (other, "--size=640x96");
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  message = wait_for (pipeline, GST_MESSAGE_ERROR);
  gst_message_parse_error (message, &error, &debug);
  expect_word ("2 VMs run here");
  expect_word (path);
  expect_word (other);
  gst_message_unref (message);
  g_free (debug);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (pipeline);
  sim_child_end (sim);
  sim_child_end (sim2);
  g_free (other);
}
GST_END_TEST;

static Suite *
helix_socket_path_suite (void)
{
  Suite *s = suite_create ("helix-socket-path");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_set_timeout (tc, 60);
  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_add_test (tc, test_failures);
  tcase_add_test (tc, test_connect);
  tcase_add_test (tc, test_named_never_searches);
  tcase_add_test (tc, test_none);
  tcase_add_test (tc, test_only_one);
  tcase_add_test (tc, test_not_here);
  tcase_add_test (tc, test_several);
  tcase_add_test (tc, test_interrupt);
  tcase_add_test (tc, test_same_again);
  tcase_add_test (tc, test_element);
  return s;
}

GST_CHECK_MAIN (helix_socket_path);

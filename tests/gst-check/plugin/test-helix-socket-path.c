/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gstdio.h>
#include <gst/check/gstcheck.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake-shim.h"
#include "helix-platform.h"
#include "helix-socket-path.h"

static gchar *path, *dir;

static void
setup (void)
{
  path = fake_path_new ();
  dir = g_path_get_dirname (path);
  g_unsetenv ("HELIX_SOCKET");
  g_unsetenv ("XDG_RUNTIME_DIR");
}

static void
teardown (void)
{
  g_free (dir);
  fake_path_free (path);
}

static void
expect_path (const gchar *wanted, const gchar *want)
{
  gchar *found = helix_socket_path_find (wanted, NULL);

  fail_unless_equals_string (found, want);
  g_free (found);
}

GST_START_TEST (test_places)
{
  gchar *looked = NULL, *found;

  expect_path ("/some/where", "/some/where");
  g_setenv ("XDG_RUNTIME_DIR", dir, TRUE);
  expect_path (NULL, "./helix.sock"); /* nothing there yet */
  fail_unless (g_file_set_contents (path, "", 0, NULL));
  expect_path (NULL, path);
  g_setenv ("HELIX_SOCKET", "elsewhere", TRUE);
  expect_path (NULL, "elsewhere");
  expect_path ("", "elsewhere"); /* as if unset */
  g_unsetenv ("HELIX_SOCKET");
  g_unlink (path);
  found = helix_socket_path_find (NULL, &looked);
  fail_unless (strstr (looked, "$HELIX_SOCKET") != NULL);
  fail_unless (strstr (looked, path) != NULL);
  fail_unless (strstr (looked, "./helix.sock") != NULL);
  g_free (looked);
  g_free (found);
}
GST_END_TEST;

static void
expect_failure (
    const gchar *wanted, gboolean is_final, gint code, const gchar *word)
{
  GError *error = NULL;
  gboolean final = !is_final;
  gchar *tried = NULL;

  fail_unless_equals_int (
      helix_socket_path_connect (wanted, &tried, &final, &error), -1);
  fail_unless_equals_int (final, is_final);
  fail_unless (
      g_error_matches (error, GST_RESOURCE_ERROR, code), "%s", error->message);
  fail_unless (strstr (error->message, word) != NULL, "%s", error->message);
  fail_unless (strstr (error->message, tried) != NULL, "%s", error->message);
  g_clear_error (&error);
  g_free (tried);
}

GST_START_TEST (test_failures)
{
  gchar *wanted;
  int fd;

  expect_failure (
      path, FALSE, GST_RESOURCE_ERROR_NOT_FOUND, "There is no socket at");
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
  wanted = g_strdup_printf ("/%0200d", 1);
  expect_failure (wanted, TRUE, GST_RESOURCE_ERROR_SETTINGS, "201 bytes");
  g_free (wanted);
}
GST_END_TEST;

GST_START_TEST (test_connect)
{
  FakeConfig config = {.width = 640, .height = 48};
  FakeShim *shim = fake_shim_new (path, &config);
  GError *error = NULL;
  gboolean final;
  gchar *tried = NULL;
  int fd = helix_socket_path_connect (path, &tried, &final, &error);

  fail_unless (fd >= 0);
  fail_unless (error == NULL);
  fail_unless_equals_string (tried, path);
  g_free (tried);
  close (fd);
  fake_shim_free (shim);
}
GST_END_TEST;

static Suite *
helix_socket_path_suite (void)
{
  Suite *s = suite_create ("helix-socket-path");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_add_test (tc, test_places);
  tcase_add_test (tc, test_failures);
  tcase_add_test (tc, test_connect);
  return s;
}

GST_CHECK_MAIN (helix_socket_path);

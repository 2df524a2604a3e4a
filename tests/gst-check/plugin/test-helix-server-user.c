/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * As which user a VM's socket may be served. What the kernel says of a server
 * is told here by getsockopt () of this program, or, where the tests run as
 * root, by a server that really is another user.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 /* RTLD_NEXT, struct ucred */
#endif

#include <dlfcn.h>
#include <fcntl.h>
#include <gst/check/gstcheck.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "frame-taker.h"
#include "helix-platform.h"
#include "helix-server-user.h"
#include "helix-socket-path.h"
#include "helix-test-nobody.h"

#define OTHER ((uid_t) TEST_NOBODY)

static gchar *path;
static const FakeConfig good = {.width = 640, .height = 48};

#ifdef SO_PEERCRED
static gboolean lie;
static uid_t served_by;

int
getsockopt (int fd, int level, int name, void *value, socklen_t *size)
{
  int (*real) (int, int, int, void *, socklen_t *) =
      dlsym (RTLD_NEXT, "getsockopt");
  int ret = real (fd, level, name, value, size);

  if (ret == 0 && lie && level == SOL_SOCKET && name == SO_PEERCRED)
    ((struct ucred *) value)->uid = served_by;
  return ret;
}
#endif

static void
setup (void)
{
  path = fake_path_new ();
}

static void
teardown (void)
{
  fake_path_free (path);
}

GST_START_TEST (test_parse)
{
  GError *error = NULL;
  uid_t uid = 77;

  fail_unless (helix_server_user_parse (NULL, &uid, &error));
  fail_unless_equals_int (uid, HELIX_SERVER_USER_NONE);
  uid = 77;
  fail_unless (helix_server_user_parse ("", &uid, &error));
  fail_unless_equals_int (uid, HELIX_SERVER_USER_NONE);
  fail_unless (helix_server_user_parse ("root", &uid, &error));
  fail_unless_equals_int (uid, 0);
  fail_unless (helix_server_user_parse ("4711", &uid, &error));
  fail_unless_equals_int (uid, 4711);
  fail_if (helix_server_user_parse ("no such user", &uid, &error));
  taker_expect_words (&error, "server-user no such user", "no such user.");
  fail_if (helix_server_user_parse ("4294967295", &uid, &error));
  taker_expect_words (&error, "4294967295", "no such user");
  fail_if (helix_server_user_parse ("-1", &uid, &error));
  g_clear_error (&error);
}
GST_END_TEST;

#ifdef SO_PEERCRED
static void
expect_check (uid_t server, uid_t further, gboolean good_one)
{
  GError *error = NULL;
  int fds[2];

  fail_unless_equals_int (helix_socketpair (fds), 0);
  lie = TRUE;
  served_by = server;
  fail_unless_equals_int (
      helix_server_user_check (fds[0], "/some/path", further, &error),
      good_one);
  lie = FALSE;
  if (!good_one) {
    gchar *uid = g_strdup_printf (
        "(uid %lu, pid %ld)", (gulong) server, (glong) getpid ());

    fail_unless (g_error_matches (
        error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_AUTHORIZED));
    fail_unless (strstr (error->message, "set server-user to") != NULL);
    taker_expect_words (&error, "/some/path: served by user ",
        server == OTHER ? uid : "4711 (who has no name");
    g_free (uid);
  }
  close (fds[0]);
  close (fds[1]);
}

GST_START_TEST (test_check)
{
  const uid_t none = HELIX_SERVER_USER_NONE;

  expect_check (geteuid (), none, TRUE);
  expect_check (0, none, TRUE);
  expect_check (OTHER, none, geteuid () == OTHER);
  expect_check (OTHER, OTHER, TRUE);
  expect_check (4711, OTHER, FALSE);
}
GST_END_TEST;
#endif

GST_START_TEST (test_no_unix_socket)
{
  int fd = helix_socket (AF_INET);
  GError *error = NULL;

  fail_unless (fd >= 0);
  fail_if (helix_server_user_check (fd, "/some/path", 0, &error));
  taker_expect_words (&error, "/some/path", "does not tell which user");
  close (fd);
}
GST_END_TEST;

/* ---- a server of another user ---- */

/* In the child: 0 = it was not spoken to. */
static int
listen_only (void)
{
  char byte;
  int fd = -1, listener = helix_socket (AF_UNIX);

  if (helix_unix_bind (listener, path) < 0 || listen (listener, 4) < 0
      || chmod (path, 0666) < 0 || write (STDOUT_FILENO, "", 1) != 1)
    return 2;
  fcntl (listener, F_SETFL, 0); /* wait */
  fd = accept (listener, NULL, NULL);
  return read (fd, &byte, 1) == 0 ? 0 : 1;
}

static int
serve (void)
{
  FakeShim *shim = fake_shim_new (path, &good);

  if (chmod (path, 0666) < 0 || write (STDOUT_FILENO, "", 1) != 1
      || !fake_shim_wait_subscribed (shim)
      || !fake_shim_send (shim, 1, NULL, 0))
    return 2;
  fake_shim_free (shim);
  return 0;
}

/* Runs `server` as another user, until it listens. */
static pid_t
run_as_other (int (*server) (void))
{
  gchar *dir = g_path_get_dirname (path);
  int fds[2];
  pid_t pid;
  char byte;

  fail_unless_equals_int (chmod (dir, 0777), 0);
  fail_unless_equals_int (pipe (fds), 0);
  pid = fork ();
  fail_unless (pid >= 0);
  if (pid == 0) {
    dup2 (fds[1], STDOUT_FILENO);
    close (fds[0]);
    close (fds[1]);
    if (setgid (OTHER) < 0 || setuid (OTHER) < 0)
      _exit (3);
    _exit (server ());
  }
  close (fds[1]);
  fail_unless_equals_int (read (fds[0], &byte, 1), 1);
  close (fds[0]);
  g_free (dir);
  return pid;
}

static void
expect_good_end (pid_t pid)
{
  int status = -1;

  fail_unless_equals_int (waitpid (pid, &status, 0), pid);
  fail_unless_equals_int (status, 0);
}

/* Refused before a byte is said, and for good. */
GST_START_TEST (test_other_user)
{
  pid_t pid;

  if (!test_can_be_nobody ("a server of another user"))
    return;
  pid = run_as_other (listen_only);
  taker_expect_error (path, NULL, "served by user nobody (uid 65534");
  expect_good_end (pid);
}
GST_END_TEST;

/* ... unless that user is named. */
GST_START_TEST (test_other_user_named)
{
  HelixFrameClientConfig config = {
      .path = path, .name = "test", .server_uid = OTHER};
  HelixFrameRequest wish = {.rate_den = 1};
  HelixFrameClient *client;
  HelixFrame frame;
  pid_t pid;

  if (!test_can_be_nobody ("a server of the user in server-user"))
    return;
  pid = run_as_other (serve);
  client = helix_frame_client_new (&config, &wish);
  taker_expect_frame (client, &frame, 1);
  helix_frame_clear (&frame);
  helix_frame_client_free (client);
  expect_good_end (pid);
}
GST_END_TEST;

/* A search passes by what another user serves, and says so if that is all. */
GST_START_TEST (test_search)
{
  g_autofree gchar *dir = g_path_get_dirname (path);
  gchar *tried = NULL;
  HelixSocketSearch search = {0};
  GError *error = NULL;
  gboolean final = TRUE;
  pid_t pid;

  if (!test_can_be_nobody ("a search that meets another user's server"))
    return;
  g_unsetenv ("HELIX_SOCKET");
  g_setenv ("XDG_RUNTIME_DIR", dir, TRUE); /* path is helix.sock there */
  pid = run_as_other (listen_only);
  fail_unless_equals_int (
      helix_socket_path_connect (NULL, &search, -1, &tried, &final, &error),
      -1);
  fail_if (final); /* another one may come */
  taker_expect_words (&error, "served by user nobody", path);
  expect_good_end (pid);
  helix_socket_search_clear (&search);
  g_free (tried);
}
GST_END_TEST;

/* ---- the element ---- */

GST_START_TEST (test_element)
{
  GstElement *element = gst_element_factory_make ("helixqemusrc", NULL);
  GstBus *bus = gst_bus_new ();
  GstMessage *message;
  GError *error = NULL;
  gchar *user, *debug;

  gst_element_set_bus (element, bus);
  g_object_set (element, "server-user", "no-such-user", NULL);
  g_object_get (element, "server-user", &user, NULL);
  fail_unless_equals_string (user, "no-such-user");
  fail_unless_equals_int (gst_element_set_state (element, GST_STATE_PAUSED),
      GST_STATE_CHANGE_FAILURE);
  message = gst_bus_pop_filtered (bus, GST_MESSAGE_ERROR);
  fail_unless (message != NULL);
  gst_message_parse_error (message, &error, &debug);
  taker_expect_words (&error, "server-user no-such-user", "no such user");
  gst_message_unref (message);
  gst_element_set_state (element, GST_STATE_NULL);
  gst_element_set_bus (element, NULL);
  gst_object_unref (element);
  gst_object_unref (bus);
  g_free (debug);
  g_free (user);
}
GST_END_TEST;

static Suite *
helix_server_user_suite (void)
{
  Suite *s = suite_create ("helix-server-user");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_set_timeout (tc, 60);
  tcase_add_test (tc, test_parse);
#ifdef SO_PEERCRED
  tcase_add_test (tc, test_check);
#endif
  tcase_add_test (tc, test_no_unix_socket);
  tcase_add_test (tc, test_other_user);
  tcase_add_test (tc, test_other_user_named);
  tcase_add_test (tc, test_search);
  tcase_add_test (tc, test_element);
  return s;
}

GST_CHECK_MAIN (helix_server_user);

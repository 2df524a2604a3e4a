/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Listening (platform/helix-unix-listener.c) as the shim does it: whatever is
 * in the way is recognised, named, and left alone unless it is dead.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gst/check/gstcheck.h>

#include "helix-test-client.h"
#include "helix-test-nobody.h"
#include "helix-unix-listener.h"

static struct {
  char *dir, *path, *lock;
} place;

static void
make_place (void)
{
  place.dir = test_dir_new ();
  place.path = g_build_filename (place.dir, "helix.sock", NULL);
  place.lock = g_strdup_printf ("%s.lock", place.path);
}

static void
clear_place (void)
{
  test_dir_free (place.dir);
  g_free (place.path);
  g_free (place.lock);
}

/* A shim on `path` must refuse, with these words. */
static void
assert_refused (const char *path, const char *why, const char *remedy)
{
  struct test_shim *test = test_shim_make (NULL, path);
  char *error = NULL;

  fail_if (helix_shim_listen (test->shim, &error));
  fail_unless (error != NULL);
  fail_unless (strlen (path) == 0 || strstr (error, path) != NULL,
      "the path is not in \"%s\"", error);
  fail_unless (
      strstr (error, why) != NULL, "\"%s\" is not in \"%s\"", why, error);
  fail_unless (
      strstr (error, remedy) != NULL, "\"%s\" is not in \"%s\"", remedy, error);
  free (error);
  test_shim_free (test);
}

static void
assert_serves (const char *path)
{
  struct test_shim *test = test_shim_make (NULL, path);
  struct test_client *client;

  test_shim_start (test);
  client = test_client_new (test);
  test_client_free (client);
  test_shim_free (test);
}

static void
assert_absent (const char *path)
{
  fail_unless (access (path, F_OK) < 0, "%s is left behind", path);
}

/* Listens, then dies without a chance to clean up. */
static pid_t
spawn_server (const char *path)
{
  int ready[2];
  char byte;
  pid_t pid;

  fail_unless (pipe (ready) == 0);
  pid = fork ();
  if (pid == 0) {
    struct helix_unix_listener listener;
    char why[HELIX_UNIX_WHY];

    if (!helix_unix_listener_open (&listener, path, NULL, why)
        || write (ready[1], "x", 1) != 1)
      _exit (1);
    for (;;)
      pause ();
  }
  close (ready[1]);
  fail_unless (read (ready[0], &byte, 1) == 1, "the server did not start");
  close (ready[0]);
  return pid;
}

static void
kill_server (pid_t pid)
{
  kill (pid, SIGKILL);
  fail_unless (waitpid (pid, NULL, 0) == pid);
}

GST_START_TEST (test_mode_and_cleanliness)
{
  struct test_shim *test;
  struct stat st;
  mode_t mask = umask (0);

  for (int i = 0; i < 2; i++) {
    test = test_shim_make (NULL, place.path);
    test_shim_start (test);
    fail_unless (lstat (place.path, &st) == 0);
    fail_unless (S_ISSOCK (st.st_mode));
    fail_unless_equals_int (st.st_mode & 07777, 0600);
    test_shim_free (test);
    assert_absent (place.path);
    assert_absent (place.lock);
    umask (0777);
  }
  umask (mask);
}

GST_END_TEST;

/* Others than the owner, when it is told so. */
GST_START_TEST (test_access)
{
  struct helix_unix_access access = {.mode = 0660, .set_group = true};
  struct helix_unix_listener listener;
  char why[HELIX_UNIX_WHY];
  struct stat st;

  access.group = geteuid () == 0 ? TEST_NOBODY : getegid ();
  fail_unless (helix_unix_listener_open (&listener, place.path, &access, why),
      "%s", why);
  fail_unless (lstat (place.path, &st) == 0);
  fail_unless_equals_int (st.st_mode & 07777, 0660);
  fail_unless_equals_int (st.st_gid, access.group);
  fail_unless (lstat (place.lock, &st) == 0);
  fail_unless_equals_int (st.st_mode & 07777, 0600);
  helix_unix_listener_close (&listener);
  if (geteuid () != 0) {
    access.group = 0;
    fail_if (helix_unix_listener_open (&listener, place.path, &access, why));
    fail_unless (strstr (why, "member of the group") != NULL, "%s", why);
  }
  assert_absent (place.path);
  assert_absent (place.lock);
}

GST_END_TEST;

GST_START_TEST (test_stale_socket)
{
  struct test_shim *test;

  kill_server (spawn_server (place.path));
  fail_unless (access (place.path, F_OK) == 0, "no stale socket to test with");
  test = test_shim_make (NULL, place.path);
  test_shim_start (test);
  fail_unless (test_logged (test, "dead server"), "it was replaced silently");
  fail_unless (test_logged (test, place.path));
  test_client_free (test_client_new (test));
  test_shim_free (test);
}

GST_END_TEST;

/* Is refused with its pid in the words, and left alone, by its lock or, where
 * it takes none, by its answer. When it dies it is in nobody's way. */
GST_START_TEST (test_second_server)
{
  char *pid_words;
  pid_t pid;
  int fd;

  pid = spawn_server (place.path);
  pid_words = g_strdup_printf ("(pid %ld), which holds", (long) pid);
  assert_refused (place.path, pid_words, "Stop that process");
  fail_unless (access (place.path, F_OK) == 0, "the first one's is gone");
  kill_server (pid);
  assert_serves (place.path);
  g_free (pid_words);

  fd = helix_socket (AF_UNIX);
  pid_words = g_strdup_printf (
      "already served by another process (pid %ld).", (long) getpid ());
  fail_unless (helix_unix_bind (fd, place.path) == 0);
  fail_unless (listen (fd, 4) == 0);
  assert_refused (place.path, pid_words, "another path");
  fail_unless (access (place.path, F_OK) == 0);
  close (fd);
  assert_serves (place.path);
  g_free (pid_words);
}

GST_END_TEST;

/* Only sockets are ever removed. */
GST_START_TEST (test_other_files)
{
  static const struct {
    mode_t kind;
    const char *name, *remedy;
  } others[] = {{S_IFREG, "regular file", "Remove it"},
      {S_IFDIR, "directory", "another path"},
      {S_IFLNK, "symbolic link", "Remove it"}, {S_IFIFO, "FIFO", "Remove it"}};

  for (guint i = 0; i < G_N_ELEMENTS (others); i++) {
    gchar *text = NULL;
    struct stat st;
    int made = 0;

    switch (others[i].kind) {
      case S_IFREG:
        made = !g_file_set_contents (place.path, "precious", -1, NULL);
        break;
      case S_IFDIR:
        made = mkdir (place.path, 0700);
        break;
      case S_IFLNK:
        made = symlink (place.lock, place.path);
        break;
      default:
        made = mkfifo (place.path, 0600);
    }
    fail_unless_equals_int (made, 0);
    assert_refused (place.path, others[i].name, others[i].remedy);
    fail_unless (lstat (place.path, &st) == 0);
    fail_unless_equals_int (st.st_mode & S_IFMT, others[i].kind);
    if (others[i].kind == S_IFREG) {
      fail_unless (g_file_get_contents (place.path, &text, NULL, NULL));
      fail_unless_equals_string (text, "precious");
      g_free (text);
    }
    fail_unless (remove (place.path) == 0);
  }
}

GST_END_TEST;

GST_START_TEST (test_impossible_paths)
{
  char *longest, *missing;
  size_t max = helix_sun_path_max () - 1;

  longest = g_strnfill (max + 1, 'x');
  memcpy (longest, place.dir, strlen (place.dir));
  longest[strlen (place.dir)] = '/';
  assert_refused (longest, "bytes", "shorter");
  longest[max] = '\0';
  if (max - strlen (place.dir) <= 127)
    assert_serves (longest);
  missing = g_build_filename (place.dir, "no", "such", "helix.sock", NULL);
  assert_refused (missing, "No such file", "Create it");
  assert_refused ("", "empty", "Name a file");
  g_free (longest);
  g_free (missing);
}

GST_END_TEST;

/* In a child: what check would report from there is lost, so by status. */
static int
listen_as_nobody (void *opaque)
{
  const char *path = opaque;
  struct helix_unix_listener listener;
  char why[HELIX_UNIX_WHY];

  if (helix_unix_listener_open (&listener, path, NULL, why))
    return 1;
  if (!strstr (why, path))
    return 2;
  if (!strstr (why, "Permission denied"))
    return 3;
  return strstr (why, "writable") || strstr (why, "choose") ? 0 : 4;
}

GST_START_TEST (test_permission_denied)
{
  fail_unless (chmod (place.dir, 0555) == 0);
  fail_unless_equals_int (test_as_nobody (listen_as_nobody, place.path), 0);
  fail_unless (chmod (place.dir, 0) == 0);
  fail_unless_equals_int (test_as_nobody (listen_as_nobody, place.path), 0);
  fail_unless (chmod (place.dir, 0700) == 0);
}

GST_END_TEST;

/* At the end the socket goes only if it is still ours. */
GST_START_TEST (test_unlinks_its_own_only)
{
  struct test_shim *test;
  int fd = helix_socket (AF_UNIX);

  test = test_shim_make (NULL, place.path);
  test_shim_start (test);
  fail_unless (unlink (place.path) == 0);
  fail_unless (helix_unix_bind (fd, place.path) == 0);
  test_shim_free (test);
  fail_unless (access (place.path, F_OK) == 0, "a stranger's socket is gone");
  close (fd);
}

GST_END_TEST;

/* A relative path stays what it was, wherever the process goes then. */
GST_START_TEST (test_relative_path)
{
  struct test_shim *test;
  char *before = g_get_current_dir ();

  fail_unless (chdir (place.dir) == 0);
  test = test_shim_make (NULL, "helix.sock");
  test_shim_start (test);
  fail_unless (access (place.path, F_OK) == 0);
  fail_unless (chdir ("/") == 0);
  test_shim_free (test);
  assert_absent (place.path);
  fail_unless (chdir (before) == 0);
  g_free (before);
}

GST_END_TEST;

/* Many starters, one path: exactly one of them serves. */
GST_START_TEST (test_race)
{
  enum { STARTERS = 8 };
  pid_t pid[STARTERS];
  int go[2], done[2], winners = 0;
  char byte;

  kill_server (spawn_server (place.path)); /* with a stale socket at that */
  fail_unless (pipe (go) == 0 && pipe (done) == 0);
  for (int i = 0; i < STARTERS; i++) {
    pid[i] = fork ();
    if (pid[i] == 0) {
      struct helix_unix_listener listener;
      char why[HELIX_UNIX_WHY];
      bool won;

      close (go[1]);
      if (read (go[0], &byte, 1) != 0)
        _exit (2);
      won = helix_unix_listener_open (&listener, place.path, NULL, why);
      if (write (done[1], won ? "w" : "l", 1) != 1)
        _exit (2);
      for (;;)
        pause ();
    }
  }
  close (go[0]);
  close (go[1]); /* all start now */
  for (int i = 0; i < STARTERS; i++) {
    fail_unless (read (done[0], &byte, 1) == 1);
    winners += byte == 'w';
  }
  for (int i = 0; i < STARTERS; i++)
    kill_server (pid[i]);
  fail_unless_equals_int (winners, 1);
  close (done[0]);
  close (done[1]);
}

GST_END_TEST;

static Suite *
listener_suite (void)
{
  Suite *suite = suite_create ("helix-listener");
  TCase *tc = tcase_create ("listener");

  suite_add_tcase (suite, tc);
  tcase_set_timeout (tc, 60);
  tcase_add_checked_fixture (tc, make_place, clear_place);
  tcase_add_test (tc, test_mode_and_cleanliness);
  tcase_add_test (tc, test_access);
  tcase_add_test (tc, test_stale_socket);
  tcase_add_test (tc, test_second_server);
  tcase_add_test (tc, test_other_files);
  tcase_add_test (tc, test_impossible_paths);
  tcase_add_test (tc, test_permission_denied);
  tcase_add_test (tc, test_unlinks_its_own_only);
  tcase_add_test (tc, test_relative_path);
  tcase_add_test (tc, test_race);
  return suite;
}

GST_CHECK_MAIN (listener);

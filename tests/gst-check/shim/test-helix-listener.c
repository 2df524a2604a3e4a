/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Listening (platform/helix-unix-listener.c): what is in the way is recognised,
 * named, and left alone unless it is dead.
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

static char *dir, *path, *lock;
static struct helix_unix_listener listener;
static char why[HELIX_UNIX_WHY];

static void
setup (void)
{
  dir = test_dir_new ();
  path = g_build_filename (dir, "helix.sock", NULL);
  lock = g_strdup_printf ("%s.lock", path);
}

static void
teardown (void)
{
  test_dir_free (dir);
  g_free (path);
  g_free (lock);
}

static void
open_at (const char *where, const struct helix_unix_access *access)
{
  fail_unless (
      helix_unix_listener_open (&listener, where, access, why), "%s", why);
}

/* Refuses with these words, and the path. */
static void
assert_refused (const char *where, const char *cause, const char *remedy)
{
  const char *words[] = {where, cause, remedy};

  fail_if (helix_unix_listener_open (&listener, where, NULL, why));
  for (guint i = 0; i < G_N_ELEMENTS (words); i++)
    fail_unless (strstr (why, words[i]) != NULL, "\"%s\" is not in \"%s\"",
        words[i], why);
}

static void
assert_serves (const char *where)
{
  char who[HELIX_UNIX_WHO];

  open_at (where, NULL);
  fail_unless_equals_int (helix_unix_probe (where, who), 0);
  helix_unix_listener_close (&listener);
}

static void
assert_gone (void)
{
  fail_unless (access (path, F_OK) < 0 && access (lock, F_OK) < 0,
      "something is left behind");
}

/* A process that listens as soon as `go` is at its end, writes whether it does
 * to `done`, and dies without a chance to clean up. */
static pid_t
spawn (const int go[2], const int done[2])
{
  pid_t pid = fork ();
  char byte;

  fail_unless (pid >= 0);
  if (pid > 0)
    return pid;
  close (go[1]);
  if (read (go[0], &byte, 1) != 0)
    _exit (1);
  byte = helix_unix_listener_open (&listener, path, NULL, why) ? 'y' : 'n';
  if (write (done[1], &byte, 1) != 1)
    _exit (1);
  for (;;)
    pause ();
}

/* `n` of them, of which exactly one serves. */
static void
spawn_servers (pid_t *pids, int n)
{
  int go[2], done[2], winners = 0;
  char byte;

  fail_unless (pipe (go) == 0 && pipe (done) == 0);
  for (int i = 0; i < n; i++)
    pids[i] = spawn (go, done);
  close (go[0]);
  close (go[1]); /* all start now */
  for (int i = 0; i < n; i++) {
    fail_unless (read (done[0], &byte, 1) == 1);
    winners += byte == 'y';
  }
  fail_unless_equals_int (winners, 1);
  close (done[0]);
  close (done[1]);
}

static void
kill_server (pid_t pid)
{
  kill (pid, SIGKILL);
  fail_unless (waitpid (pid, NULL, 0) == pid);
}

/* A process that is dead, and what it left. */
static void
leave_stale (void)
{
  pid_t pid;

  spawn_servers (&pid, 1);
  kill_server (pid);
  fail_unless (access (path, F_OK) == 0, "no stale socket to test with");
}

GST_START_TEST (test_mode_and_cleanliness)
{
  static const mode_t masks[] = {0, 0777};
  struct stat st;

  for (guint i = 0; i < G_N_ELEMENTS (masks); i++) {
    mode_t mask = umask (masks[i]);

    open_at (path, NULL);
    umask (mask);
    fail_unless (lstat (path, &st) == 0);
    fail_unless (S_ISSOCK (st.st_mode));
    fail_unless_equals_int (st.st_mode & 07777, 0600);
    helix_unix_listener_close (&listener);
    assert_gone ();
  }
}

GST_END_TEST;

/* Others than the owner, when it is told so. */
GST_START_TEST (test_access)
{
  struct helix_unix_access access = {.mode = 0660, .set_group = true};
  struct stat st;

  access.group = geteuid () == 0 ? TEST_NOBODY : getegid ();
  open_at (path, &access);
  fail_unless (lstat (path, &st) == 0);
  fail_unless_equals_int (st.st_mode & 07777, 0660);
  fail_unless_equals_int (st.st_gid, access.group);
  fail_unless (lstat (lock, &st) == 0);
  fail_unless_equals_int (st.st_mode & 07777, 0600);
  helix_unix_listener_close (&listener);
  if (geteuid () != 0) {
    access.group = 0;
    fail_if (helix_unix_listener_open (&listener, path, &access, why));
    fail_unless (strstr (why, "member of the group") != NULL, "%s", why);
  }
  assert_gone ();
}

GST_END_TEST;

/* The shim says so. */
GST_START_TEST (test_stale_socket)
{
  struct test_shim *test;

  leave_stale ();
  test = test_shim_make (NULL, path);
  test_shim_start (test);
  fail_unless (test_logged (test, "dead server"), "it was replaced silently");
  fail_unless (test_logged (test, path));
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

  spawn_servers (&pid, 1);
  pid_words = g_strdup_printf ("(pid %ld), which holds", (long) pid);
  assert_refused (path, pid_words, "Stop that process");
  fail_unless (access (path, F_OK) == 0, "the first one's is gone");
  kill_server (pid);
  assert_serves (path);
  g_free (pid_words);

  fd = helix_socket (AF_UNIX);
  pid_words = g_strdup_printf (
      "already served by another process (pid %ld).", (long) getpid ());
  fail_unless (helix_unix_bind (fd, path) == 0);
  fail_unless (listen (fd, 4) == 0);
  assert_refused (path, pid_words, "another path");
  fail_unless (access (path, F_OK) == 0);
  close (fd);
  assert_serves (path);
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
        made = !g_file_set_contents (path, "precious", -1, NULL);
        break;
      case S_IFDIR:
        made = mkdir (path, 0700);
        break;
      case S_IFLNK:
        made = symlink (lock, path);
        break;
      default:
        made = mkfifo (path, 0600);
    }
    fail_unless_equals_int (made, 0);
    assert_refused (path, others[i].name, others[i].remedy);
    fail_unless (lstat (path, &st) == 0);
    fail_unless_equals_int (st.st_mode & S_IFMT, others[i].kind);
    if (others[i].kind == S_IFREG) {
      fail_unless (g_file_get_contents (path, &text, NULL, NULL));
      fail_unless_equals_string (text, "precious");
      g_free (text);
    }
    fail_unless (remove (path) == 0);
  }
}

GST_END_TEST;

GST_START_TEST (test_impossible_paths)
{
  size_t max = helix_sun_path_max () - 1;
  char *longest = g_strnfill (max + 1, 'x'), *missing;

  memcpy (longest, dir, strlen (dir));
  longest[strlen (dir)] = '/';
  assert_refused (longest, "bytes", "shorter");
  longest[max] = '\0';
  if (max - strlen (dir) <= 127)
    assert_serves (longest);
  missing = g_build_filename (dir, "no", "such", "helix.sock", NULL);
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
  if (helix_unix_listener_open (&listener, path, NULL, why))
    return 1;
  return strstr (why, path) && strstr (why, "Permission denied")
          && (strstr (why, "writable") || strstr (why, "choose"))
      ? 0
      : 2;
}

GST_START_TEST (test_permission_denied)
{
  fail_unless (chmod (dir, 0555) == 0);
  fail_unless_equals_int (test_as_nobody (listen_as_nobody, NULL), 0);
  fail_unless (chmod (dir, 0) == 0);
  fail_unless_equals_int (test_as_nobody (listen_as_nobody, NULL), 0);
  fail_unless (chmod (dir, 0700) == 0);
}

GST_END_TEST;

/* At the end the socket goes only if it is still ours. */
GST_START_TEST (test_unlinks_its_own_only)
{
  int fd = helix_socket (AF_UNIX);

  open_at (path, NULL);
  fail_unless (unlink (path) == 0);
  fail_unless (helix_unix_bind (fd, path) == 0);
  helix_unix_listener_close (&listener);
  fail_unless (access (path, F_OK) == 0, "a stranger's socket is gone");
  close (fd);
}

GST_END_TEST;

/* A relative path stays what it was, wherever the process goes then. */
GST_START_TEST (test_relative_path)
{
  char *before = g_get_current_dir ();

  fail_unless (chdir (dir) == 0);
  open_at ("helix.sock", NULL);
  fail_unless (access (path, F_OK) == 0);
  fail_unless (chdir ("/") == 0);
  helix_unix_listener_close (&listener);
  assert_gone ();
  fail_unless (chdir (before) == 0);
  g_free (before);
}

GST_END_TEST;

/* Many starters, one path: exactly one of them serves. */
GST_START_TEST (test_race)
{
  pid_t pids[8];

  leave_stale ();
  spawn_servers (pids, G_N_ELEMENTS (pids));
  for (guint i = 0; i < G_N_ELEMENTS (pids); i++)
    kill_server (pids[i]);
}

GST_END_TEST;

static Suite *
listener_suite (void)
{
  Suite *suite = suite_create ("helix-listener");
  TCase *tc = tcase_create ("listener");

  suite_add_tcase (suite, tc);
  tcase_set_timeout (tc, 60);
  tcase_add_checked_fixture (tc, setup, teardown);
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

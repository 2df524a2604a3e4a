/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The folder of running VMs: who is in it, who is not any more, and when it
 * is not believed.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glib/gstdio.h>
#include <gst/check/gstcheck.h>

#include "helix-platform.h"
#include "helix-registry.h"
#include "helix-test-folder.h"
#include "helix-test-nobody.h"

static gchar *runtime; /* a folder of this test's own */

static void
setup (void)
{
  GError *error = NULL;

  runtime = g_dir_make_tmp ("helix-registry-XXXXXX", &error);
  fail_unless (runtime != NULL, "%s", error ? error->message : "");
  g_setenv ("XDG_RUNTIME_DIR", runtime, TRUE);
}

static void
teardown (void)
{
  test_remove_tree (runtime);
  g_free (runtime);
}

static void
note (void *opaque, const char *socket_path, pid_t pid)
{
  g_string_append_printf (opaque, "%ld=%s\n", (long) pid, socket_path);
}

/* What a scan finds, as "PID=PATH" lines. Free. */
static gchar *
scan (int expected)
{
  GString *found = g_string_new (NULL);
  int n = helix_registry_scan (note, found);

  fail_unless_equals_int (n, expected);
  return g_string_free (found, FALSE);
}

static gchar *
in_folder (const gchar *name)
{
  return g_build_filename (runtime, "gst-helix", name, NULL);
}

/* Makes an entry by hand. */
static gchar *
put_entry (const gchar *name, const gchar *target)
{
  gchar *path = in_folder (name);

  fail_unless (symlink (target, path) == 0, "%s", g_strerror (errno));
  return path;
}

/* The number of a process that was, and is no more. */
static pid_t
dead_pid (void)
{
  pid_t pid = fork ();

  if (pid == 0)
    _exit (0);
  fail_unless (pid > 0 && waitpid (pid, NULL, 0) == pid);
  return pid;
}

GST_START_TEST (test_add_and_remove)
{
  char entry[HELIX_REGISTRY_PATH], folder[HELIX_REGISTRY_PATH];
  gchar *found, *expected, *path;
  const char *why = NULL;
  struct stat st;

  fail_if (helix_registry_folder (folder, false, &why));
  fail_unless_equals_string (why, "there is no folder of running VMs");
  g_free (scan (0));

  fail_unless (helix_registry_add ("/run/vm/a.sock", entry, &why), "%s", why);
  fail_unless (helix_registry_folder (folder, false, &why), "%s", why);
  path = in_folder (NULL);
  fail_unless_equals_string (folder, path);
  fail_unless (g_stat (folder, &st) == 0);
  fail_unless_equals_int (st.st_mode & 07777, 0700);
  g_free (path);

  expected = g_strdup_printf ("%ld.vm", (long) getpid ());
  path = in_folder (expected);
  fail_unless_equals_string (entry, path);
  g_free (path);
  g_free (expected);
  found = scan (1);
  expected = g_strdup_printf ("%ld=/run/vm/a.sock\n", (long) getpid ());
  fail_unless_equals_string (found, expected);
  g_free (expected);
  g_free (found);

  helix_registry_remove (entry);
  g_free (scan (0));
  helix_registry_remove (entry); /* is gone already */
  helix_registry_remove ("");    /* was never added */
}

GST_END_TEST;

/* A process with two shims has two entries; each goes by itself. */
GST_START_TEST (test_two_of_one_process)
{
  char one[HELIX_REGISTRY_PATH], two[HELIX_REGISTRY_PATH];
  const char *why = NULL;
  gchar *found, *expected;

  fail_unless (helix_registry_add ("/a.sock", one, &why), "%s", why);
  fail_unless (helix_registry_add ("/b.sock", two, &why), "%s", why);
  found = scan (2);
  expected = g_strdup_printf (
      "%ld=/a.sock\n%ld=/b.sock\n", (long) getpid (), (long) getpid ());
  fail_unless_equals_string (found, expected);
  g_free (expected);
  g_free (found);
  helix_registry_remove (one);
  found = scan (1);
  fail_unless (strstr (found, "=/b.sock\n") != NULL);
  g_free (found);
  helix_registry_remove (two);
  g_free (scan (0));
}

GST_END_TEST;

/* What the dead left is removed by whoever looks; the order is by number. */
GST_START_TEST (test_stale)
{
  gchar *gone, *parent, *name, *found, *expected;
  char entry[HELIX_REGISTRY_PATH];
  const char *why = NULL;

  fail_unless (helix_registry_add ("/mine.sock", entry, &why), "%s", why);
  name = g_strdup_printf ("%ld.vm", (long) dead_pid ());
  gone = put_entry (name, "/gone.sock");
  g_free (name);
  /* Process 1 lives always, and is nobody's to signal but root's. */
  parent = put_entry ("1.vm", "/first.sock");
  found = scan (2);
  expected =
      g_strdup_printf ("1=/first.sock\n%ld=/mine.sock\n", (long) getpid ());
  fail_unless_equals_string (found, expected);
  fail_unless (access (gone, F_OK) < 0 && errno == ENOENT);
  fail_unless (readlink (gone, expected, 1) < 0 && errno == ENOENT);
  g_free (expected);
  g_free (found);

  /* Another process's entry is not ours to remove. */
  helix_registry_remove (parent);
  g_free (scan (2));
  g_free (parent);
  g_free (gone);
}

GST_END_TEST;

/* In a container the number of a VM outside is nobody's: it is not dead for
 * that, as long as its socket is served. */
GST_START_TEST (test_number_of_elsewhere)
{
  char folder[HELIX_REGISTRY_PATH];
  const char *why = NULL;
  gchar *name, *socket_path, *entry, *found, *expected;
  pid_t pid = dead_pid ();
  int fd;

  fail_unless (helix_registry_folder (folder, true, &why), "%s", why);
  socket_path = g_build_filename (runtime, "vm.sock", NULL);
  fd = helix_socket (AF_UNIX);
  fail_unless (fd >= 0 && helix_unix_bind (fd, socket_path) == 0);
  fail_unless (listen (fd, 1) == 0);
  name = g_strdup_printf ("%ld.vm", (long) pid);
  entry = put_entry (name, socket_path);
  expected = g_strdup_printf ("%ld=%s\n", (long) pid, socket_path);
  /* Also when as many wait already as may. */
  for (int i = 0; i < 4; i++) {
    found = scan (1);
    fail_unless_equals_string (found, expected);
    g_free (found);
  }
  close (fd);
  g_free (scan (0));
  fail_unless (access (entry, F_OK) < 0 && errno == ENOENT);
  g_free (expected);
  g_free (socket_path);
  g_free (entry);
  g_free (name);
}

GST_END_TEST;

/* A dead process's entry whose number is ours now is replaced. */
GST_START_TEST (test_number_again)
{
  char entry[HELIX_REGISTRY_PATH], folder[HELIX_REGISTRY_PATH];
  const char *why = NULL;
  gchar *name, *found;

  fail_unless (helix_registry_folder (folder, true, &why), "%s", why);
  name = g_strdup_printf ("%ld.vm", (long) getpid ());
  g_free (put_entry (name, "/former.sock"));
  g_free (name);
  fail_unless (helix_registry_add ("/now.sock", entry, &why), "%s", why);
  found = scan (1);
  fail_unless (strstr (found, "=/now.sock\n") != NULL, "%s", found);
  g_free (found);
}

GST_END_TEST;

/* What is no entry is left alone, and not believed. */
GST_START_TEST (test_strangers)
{
  static const gchar *const names[] = {"vm", ".vm", "-1.vm", "0.vm", "1.vmx",
      "1x.vm", "1-.vm", "99999999999999999999.vm", "4294967297.vm", "README"};
  char folder[HELIX_REGISTRY_PATH];
  gchar *paths[G_N_ELEMENTS (names)], *file, *name;
  const char *why = NULL;
  guint i;

  fail_unless (helix_registry_folder (folder, true, &why), "%s", why);
  for (i = 0; i < G_N_ELEMENTS (names); i++)
    paths[i] = put_entry (names[i], "/some.sock");
  /* Links to nowhere in particular, and what is no link. */
  name = g_strdup_printf ("%ld.vm", (long) getpid ());
  g_free (put_entry (name, "relative.sock"));
  file = in_folder ("1.vm");
  fail_unless (g_file_set_contents (file, "/some.sock", -1, NULL));
  g_free (scan (0));
  for (i = 0; i < G_N_ELEMENTS (names); i++) {
    struct stat st;

    fail_unless (lstat (paths[i], &st) == 0, "%s was removed", names[i]);
    g_free (paths[i]);
  }
  g_free (name);
  g_free (file);
}

GST_END_TEST;

GST_START_TEST (test_relative_path)
{
  char entry[HELIX_REGISTRY_PATH];
  gchar *here = g_get_current_dir (), *found, *expected, *deep, *where;
  const char *why = NULL;

  fail_unless (g_chdir (runtime) == 0);
  where = g_get_current_dir ();
  fail_unless (helix_registry_add ("././vm.sock", entry, &why), "%s", why);
  fail_unless (g_chdir (here) == 0);
  found = scan (1);
  expected = g_strdup_printf ("%ld=%s/vm.sock\n", (long) getpid (), where);
  fail_unless_equals_string (found, expected);
  helix_registry_remove (entry);

  deep = g_strnfill (HELIX_REGISTRY_PATH, 'x');
  fail_if (helix_registry_add (deep, entry, &why));
  fail_unless_equals_string (why, "the socket's path is too long to be listed");
  fail_unless_equals_string (entry, "");
  deep[0] = '/';
  fail_if (helix_registry_add (deep, entry, &why));
  g_free (deep);
  g_free (where);
  g_free (expected);
  g_free (found);
  g_free (here);
}

GST_END_TEST;

static void
expect_refused (const char *sentence)
{
  char folder[HELIX_REGISTRY_PATH], entry[HELIX_REGISTRY_PATH];
  const char *why = NULL;

  fail_if (helix_registry_folder (folder, false, &why));
  fail_unless_equals_string (why, sentence);
  fail_if (helix_registry_add ("/a.sock", entry, &why));
  fail_unless_equals_string (why, sentence);
  fail_unless_equals_string (entry, "");
  g_free (scan (0));
}

static int
find_folder (void *opaque)
{
  char folder[HELIX_REGISTRY_PATH] = "";
  const char *why;

  (void) opaque;
  helix_registry_folder (folder, false, &why);
  return strcmp (folder, "/tmp/gst-helix-65534") != 0
      && strcmp (folder, "/run/user/65534/gst-helix") != 0;
}

/* As QEMU with -run-with user=: the variable is still root's. */
GST_START_TEST (test_other_users_folder)
{
  if (test_can_be_nobody ("a folder of another user"))
    fail_unless_equals_int (test_as_nobody (find_folder, NULL), 0);
}

GST_END_TEST;

/* Not ours alone, or no folder: not used, neither to write nor to read. */
GST_START_TEST (test_untrusted)
{
  char folder[HELIX_REGISTRY_PATH];
  const char *why = NULL;
  gchar *other = g_build_filename (runtime, "elsewhere", NULL);

  fail_unless (helix_registry_folder (folder, true, &why), "%s", why);
  g_free (put_entry ("1.vm", "/bait.sock"));
  fail_unless (g_chmod (folder, 0702) == 0);
  expect_refused ("the folder of running VMs is open for others to write");
  fail_unless (g_chmod (folder, 0720) == 0);
  expect_refused ("the folder of running VMs is open for others to write");
  fail_unless (g_chmod (folder, 0700) == 0);
  if (test_can_be_nobody ("a folder that belongs to another user")) {
    fail_unless (chown (folder, TEST_NOBODY, TEST_NOBODY) == 0);
    expect_refused ("the folder of running VMs belongs to another user");
    fail_unless (chown (folder, 0, 0) == 0);
  }
  fail_unless (g_rename (folder, other) == 0);
  fail_unless (symlink (other, folder) == 0);
  expect_refused ("what should be the folder of running VMs is none");
  g_free (other);
}

GST_END_TEST;

static int
expect_reason (void *expected)
{
  char reason[HELIX_REGISTRY_PATH];

  helix_registry_reason (reason);
  return strcmp (reason, expected) != 0;
}

/* Why the folder is where it is. */
GST_START_TEST (test_reason)
{
  char reason[HELIX_REGISTRY_PATH];
  gchar *expected = g_strdup_printf ("XDG_RUNTIME_DIR is %s", runtime);

  helix_registry_reason (reason);
  fail_unless_equals_string (reason, expected);
  g_setenv ("XDG_RUNTIME_DIR", "not/absolute", TRUE);
  helix_registry_reason (reason);
  fail_unless_equals_string (
      reason, "XDG_RUNTIME_DIR, not/absolute, is not an absolute path");
  g_unsetenv ("XDG_RUNTIME_DIR");
  helix_registry_reason (reason);
  fail_unless_equals_string (reason, "XDG_RUNTIME_DIR is not set");
  g_free (expected);
  if (!test_can_be_nobody ("XDG_RUNTIME_DIR of another user"))
    return;
  /* What sudo leaves, or what systemd gave root. */
  g_setenv ("XDG_RUNTIME_DIR", runtime, TRUE);
  expected =
      g_strdup_printf ("XDG_RUNTIME_DIR, %s, belongs to another user", runtime);
  fail_unless_equals_int (test_as_nobody (expect_reason, expected), 0);
  g_free (expected);
}

GST_END_TEST;

/* Without XDG_RUNTIME_DIR it is a folder of this user's in /tmp, under the
 * same conditions; one that does not exist is not made. */
GST_START_TEST (test_no_runtime_folder)
{
  char folder[HELIX_REGISTRY_PATH], entry[HELIX_REGISTRY_PATH];
  gchar *expected = g_strdup_printf ("/tmp/gst-helix-%d", (int) geteuid ());
  bool was_there = access (expected, F_OK) == 0;
  const char *why = NULL;
  gchar *found;

  static const gchar *const none[] = {NULL, "", "not/absolute"};
  guint i;

  for (i = 0; i < G_N_ELEMENTS (none); i++) {
    if (none[i])
      g_setenv ("XDG_RUNTIME_DIR", none[i], TRUE);
    else
      g_unsetenv ("XDG_RUNTIME_DIR");
    /* Somebody may have put one there that is not to be trusted. */
    if (helix_registry_folder (folder, true, &why)) {
      struct stat st;

      fail_unless (lstat (folder, &st) == 0 && S_ISDIR (st.st_mode));
      fail_unless (st.st_uid == geteuid () && !(st.st_mode & 022));
    }
    fail_unless_equals_string (folder, expected);
  }
  if (helix_registry_add ("/tmp-test.sock", entry, &why)) {
    GString *all = g_string_new (NULL);

    fail_unless (g_str_has_prefix (entry, expected));
    fail_unless (helix_registry_scan (note, all) >= 1);
    found = g_string_free (all, FALSE);
    fail_unless (strstr (found, "=/tmp-test.sock\n") != NULL, "%s", found);
    g_free (found);
    helix_registry_remove (entry);
  }
  if (!was_there)
    g_rmdir (expected); /* fails while another VM is in it */
  g_free (expected);

  g_setenv ("XDG_RUNTIME_DIR", "/nonexistent/helix", TRUE);
  fail_if (helix_registry_add ("/a.sock", entry, &why));
  fail_unless_equals_string (
      why, "the folder in XDG_RUNTIME_DIR does not exist");
  /* No folder of anybody's, as "////" would be. */
  expected = g_strnfill (2 * HELIX_REGISTRY_PATH, 'x');
  expected[0] = '/';
  g_setenv ("XDG_RUNTIME_DIR", expected, TRUE);
  fail_if (helix_registry_add ("/a.sock", entry, &why));
  fail_unless_equals_string (why, "the path in XDG_RUNTIME_DIR is too long");
  g_free (expected);
}

GST_END_TEST;

static Suite *
helix_registry_suite (void)
{
  Suite *suite = suite_create ("helix-registry");
  TCase *tc = tcase_create ("registry");

  suite_add_tcase (suite, tc);
  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_add_test (tc, test_add_and_remove);
  tcase_add_test (tc, test_two_of_one_process);
  tcase_add_test (tc, test_stale);
  tcase_add_test (tc, test_number_of_elsewhere);
  tcase_add_test (tc, test_number_again);
  tcase_add_test (tc, test_strangers);
  tcase_add_test (tc, test_relative_path);
  tcase_add_test (tc, test_other_users_folder);
  tcase_add_test (tc, test_untrusted);
  tcase_add_test (tc, test_reason);
  tcase_add_test (tc, test_no_runtime_folder);
  return suite;
}

GST_CHECK_MAIN (helix_registry);

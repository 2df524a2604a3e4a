/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The directory of running VMs: what is in it, and when it is not used.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib/gstdio.h>
#include <gst/check/gstcheck.h>

#include "helix-platform.h"
#include "helix-registry.h"
#include "helix-test-folder.h"
#include "helix-test-nobody.h"

static gchar *runtime, *folder; /* of this test's own */
static char entry[HELIX_REGISTRY_PATH];
static const char *why;

static void
setup (void)
{
  GError *error = NULL;

  runtime = g_dir_make_tmp ("helix-registry-XXXXXX", &error);
  fail_unless (runtime != NULL, "%s", error ? error->message : "");
  folder = g_build_filename (runtime, "gst-helix", NULL);
  g_setenv ("XDG_RUNTIME_DIR", runtime, TRUE);
}

static void
teardown (void)
{
  test_remove_tree (runtime);
  g_free (folder);
  g_free (runtime);
}

/* A file `name` in `runtime` stands for a socket that is served. */
static void
add (const char *name)
{
  gchar *path = g_build_filename (runtime, name, NULL);

  fail_unless (g_file_set_contents (path, "", 0, NULL));
  fail_unless (helix_registry_add (path, entry, &why), "%s", why);
  g_free (path);
}

static void
gone (const char *name)
{
  gchar *path = g_build_filename (runtime, name, NULL);

  fail_unless_equals_int (g_unlink (path), 0);
  g_free (path);
}

static void
note (void *opaque, const char *name, const char *socket_path)
{
  fail_unless (g_str_has_prefix (name, folder));
  if (g_str_has_prefix (socket_path, runtime))
    socket_path += strlen (runtime);
  g_string_append_printf (opaque, "%s ", socket_path);
}

/* A scan finds these paths, each followed by a space. */
static void
expect (const gchar *paths)
{
  GString *found = g_string_new (NULL);

  fail_unless (helix_registry_scan (folder, note, found, &why), "%s", why);
  fail_unless_equals_string (found->str, paths);
  g_string_free (found, TRUE);
}

/* Makes an entry by hand. */
static gchar *
put_entry (const gchar *name, const gchar *target)
{
  gchar *path = g_build_filename (folder, name, NULL);

  fail_unless (symlink (target, path) == 0, "%s", g_strerror (errno));
  return path;
}

GST_START_TEST (test_add_and_remove)
{
  char first[HELIX_REGISTRY_PATH];
  struct stat st;

  fail_if (helix_registry_scan (folder, note, NULL, &why));
  fail_unless_equals_string (why, "there is no folder of running VMs");
  add ("b.sock");
  strcpy (first, entry);
  fail_unless (g_stat (folder, &st) == 0);
  fail_unless_equals_int (st.st_mode & 07777, 0700);
  /* In order of start. */
  add ("a.sock");
  expect ("/b.sock /a.sock ");
  helix_registry_remove (first);
  expect ("/a.sock ");
  helix_registry_remove (first); /* is gone already */
  helix_registry_remove ("");    /* was never added */
  expect ("/a.sock ");
}

GST_END_TEST;

/* What VMs that were killed left goes when their path is served again, or when
 * their socket is gone and another VM starts. A name is not used again. */
GST_START_TEST (test_again)
{
  char killed[HELIX_REGISTRY_PATH];

  add ("vm.sock");
  strcpy (killed, entry);
  add ("other.sock");
  add ("vm.sock");
  fail_unless (strcmp (killed, entry) != 0);
  expect ("/other.sock /vm.sock ");
  helix_registry_remove (killed);
  gone ("other.sock");
  expect ("/other.sock /vm.sock ");
  add ("new.sock");
  expect ("/vm.sock /new.sock ");
}

GST_END_TEST;

/* A socket that takes connections if `listens`, and its entry. Returns the
 * descriptor. */
static int
add_socket (const char *name, bool listens)
{
  gchar *path = g_build_filename (runtime, name, NULL);
  int fd = helix_socket (AF_UNIX);

  fail_unless_equals_int (helix_unix_bind (fd, path), 0);
  if (listens)
    fail_unless_equals_int (listen (fd, 4), 0);
  fail_unless (helix_registry_add (path, entry, &why), "%s", why);
  g_free (path);
  return fd;
}

/* The lock file of a socket, held. Returns the descriptor. */
static int
hold_lock (const char *name)
{
  gchar *path = g_build_filename (runtime, name, NULL);
  int fd = open (path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

  fail_unless (fd >= 0 && flock (fd, LOCK_EX | LOCK_NB) == 0);
  g_free (path);
  return fd;
}

/* The entry of a killed VM goes though its socket stays, but one that refuses
 * may be a VM's that is stopped, or that is starting: then its lock is held. */
GST_START_TEST (test_left_behind)
{
  int listening, lock;

  lock = hold_lock ("held.sock.lock");
  listening = add_socket ("living.sock", true);
  close (add_socket ("held.sock", false));
  close (hold_lock ("killed.sock.lock"));
  close (add_socket ("killed.sock", false));
  close (add_socket ("unlocked.sock", false));
  add ("new.sock");
  expect ("/living.sock /held.sock /new.sock ");
  close (lock);
  add ("newer.sock");
  expect ("/living.sock /new.sock /newer.sock ");
  close (listening);
}

GST_END_TEST;

/* What is no entry is left alone, and not believed. */
GST_START_TEST (test_strangers)
{
  static const gchar *const names[] = {"vm", ".vm", ".1.vm", "1.vmx", "README"};
  gchar *file = g_build_filename (folder, "file.vm", NULL);

  add ("vm.sock");
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    g_free (put_entry (names[i], "/some.sock"));
  g_free (put_entry ("relative.vm", "relative.sock"));
  fail_unless (g_file_set_contents (file, "/some.sock", -1, NULL));
  expect ("/vm.sock ");
  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    gchar *path = g_build_filename (folder, names[i], NULL);
    struct stat st;

    fail_unless (lstat (path, &st) == 0, "%s was removed", names[i]);
    g_free (path);
  }
  g_free (file);
}

GST_END_TEST;

/* A flood of entries is not read to its end; the newest count. */
GST_START_TEST (test_flood)
{
  GString *found = g_string_new (NULL);
  guint n = 0;

  add ("vm.sock");
  for (guint i = 0; i < 300; i++) {
    gchar *name = g_strdup_printf ("%03u.vm", i);

    g_free (put_entry (name, "/flood.sock"));
    g_free (name);
  }
  g_free (put_entry ("z.vm", "/new.sock"));
  fail_unless (helix_registry_scan (folder, note, found, &why));
  for (const gchar *c = found->str; *c; c++)
    n += *c == ' ';
  fail_unless_equals_int (n, 256);
  fail_unless (g_str_has_suffix (found->str, "/flood.sock /new.sock "));
  g_string_free (found, TRUE);
}

GST_END_TEST;

GST_START_TEST (test_relative_path)
{
  gchar *here = g_get_current_dir (), *expected, *deep, *where;

  fail_unless (g_chdir (runtime) == 0);
  where = g_get_current_dir ();
  fail_unless (helix_registry_add ("././vm.sock", entry, &why), "%s", why);
  fail_unless (g_chdir (here) == 0);
  expected = g_strdup_printf ("%s/vm.sock ", where + strlen (runtime));
  expect (expected);

  deep = g_strnfill (HELIX_REGISTRY_PATH, 'x');
  for (guint i = 0; i < 2; i++) {
    fail_if (helix_registry_add (deep, entry, &why));
    fail_unless_equals_string (
        why, "the socket's path is too long to be listed");
    fail_unless_equals_string (entry, "");
    deep[0] = '/';
  }
  g_free (deep);
  g_free (where);
  g_free (expected);
  g_free (here);
}

GST_END_TEST;

static void
expect_refused (const char *sentence)
{
  fail_if (helix_registry_scan (folder, note, NULL, &why));
  fail_unless_equals_string (why, sentence);
  fail_if (helix_registry_add ("/a.sock", entry, &why));
  fail_unless_equals_string (why, sentence);
  fail_unless_equals_string (entry, "");
}

/* Not ours alone, or no folder: not used, neither to write nor to read. */
GST_START_TEST (test_untrusted)
{
  gchar *other = g_build_filename (runtime, "elsewhere", NULL);

  add ("bait.sock");
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

/* ---- where it is ---- */

static void
expect_place (const gchar *wanted, const gchar *wanted_reason)
{
  char where[HELIX_REGISTRY_PATH];

  fail_unless (helix_registry_folder (where, &why), "%s", why);
  fail_unless_equals_string (where, wanted);
  fail_unless_equals_string (why, wanted_reason);
}

/* As QEMU with -run-with user=: the variable is still root's. */
static int
find_as_nobody (void *opaque)
{
  char where[HELIX_REGISTRY_PATH];

  return !helix_registry_folder (where, &why)
      || strcmp (why, "XDG_RUNTIME_DIR belongs to another user") != 0
      || (strcmp (where, "/tmp/gst-helix-65534") != 0
          && strcmp (where, "/run/user/65534/gst-helix") != 0);
}

/* Without XDG_RUNTIME_DIR it is a folder of this user's in /tmp, under the same
 * conditions: another user may have made one there. */
GST_START_TEST (test_place)
{
  gchar *in_tmp = g_strdup_printf ("/tmp/gst-helix-%d", (int) geteuid ());
  bool was_there = access (in_tmp, F_OK) == 0;
  char where[HELIX_REGISTRY_PATH];
  struct stat st;
  gchar *deep;

  expect_place (folder, "XDG_RUNTIME_DIR");
  if (test_can_be_nobody ("XDG_RUNTIME_DIR of another user"))
    fail_unless_equals_int (test_as_nobody (find_as_nobody, NULL), 0);
  g_setenv ("XDG_RUNTIME_DIR", "not/absolute", TRUE);
  expect_place (in_tmp, "XDG_RUNTIME_DIR is not an absolute path");
  g_setenv ("XDG_RUNTIME_DIR", "", TRUE);
  expect_place (in_tmp, "XDG_RUNTIME_DIR is not set");
  g_unsetenv ("XDG_RUNTIME_DIR");
  expect_place (in_tmp, "XDG_RUNTIME_DIR is not set");
  if (helix_registry_add ("/tmp-test.sock", entry, &why)) {
    fail_unless (g_str_has_prefix (entry, in_tmp));
    fail_unless (lstat (in_tmp, &st) == 0 && S_ISDIR (st.st_mode));
    fail_unless (st.st_uid == geteuid () && !(st.st_mode & 022));
    helix_registry_remove (entry);
  }
  if (!was_there)
    g_rmdir (in_tmp); /* fails while another VM is in it */
  g_free (in_tmp);

  /* One that does not exist is not made. */
  g_setenv ("XDG_RUNTIME_DIR", "/nonexistent/helix", TRUE);
  fail_if (helix_registry_add ("/a.sock", entry, &why));
  fail_unless_equals_string (
      why, "the folder in XDG_RUNTIME_DIR does not exist");
  /* No folder at all, as "////" would be. */
  deep = g_strnfill (2 * HELIX_REGISTRY_PATH, 'x');
  deep[0] = '/';
  g_setenv ("XDG_RUNTIME_DIR", deep, TRUE);
  fail_if (helix_registry_folder (where, &why));
  fail_if (helix_registry_add ("/a.sock", entry, &why));
  fail_unless_equals_string (why, "the path in XDG_RUNTIME_DIR is too long");
  g_free (deep);
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
  tcase_add_test (tc, test_again);
  tcase_add_test (tc, test_left_behind);
  tcase_add_test (tc, test_strangers);
  tcase_add_test (tc, test_flood);
  tcase_add_test (tc, test_relative_path);
  tcase_add_test (tc, test_untrusted);
  tcase_add_test (tc, test_place);
  return suite;
}

GST_CHECK_MAIN (helix_registry);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which VMs are found, which of them is connected to, and who may serve it.
 */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <gst/check/gstcheck.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "frame-taker.h"
#include "helix-discovery.h"
#include "helix-platform.h"
#include "helix-registry.h"
#include "helix-test-folder.h"
#include "helix-test-nobody.h"
#include "helix-test-time.h"
#include "sim-child.h"

#define OTHER ((uid_t) TEST_NOBODY)
#define NAMELESS ((uid_t) 471147)
#define SIM "--size=640x96"

/* A folder of this test's own, and in it: sockets, $XDG_RUNTIME_DIR, $HOME. */
static gchar *dir, *path, *other, *runtime, *usual, *home;
static HelixDiscovery memory;
static gboolean final;
static gchar *tried;
static GError *error;
static const FakeConfig good = {.width = 640, .height = 48};

static void
setup (void)
{
  dir = g_dir_make_tmp ("helix-found-XXXXXX", NULL);
  path = g_build_filename (dir, "helix.sock", NULL);
  other = g_build_filename (dir, "other.sock", NULL);
  runtime = g_build_filename (dir, "runtime", NULL);
  usual = g_build_filename (runtime, "helix.sock", NULL);
  fail_unless_equals_int (g_mkdir (runtime, 0700), 0);
  g_unsetenv ("HELIX_SOCKET");
  g_setenv ("XDG_RUNTIME_DIR", runtime, TRUE);
  fail_unless_equals_int (chdir (dir), 0);
}

static void
teardown (void)
{
  helix_discovery_clear (&memory);
  g_clear_error (&error);
  g_clear_pointer (&tried, g_free);
  fail_unless_equals_int (chdir ("/"), 0);
  test_remove_tree (dir);
  g_free (usual);
  g_free (runtime);
  g_free (other);
  g_free (path);
  g_free (dir);
}

static void
expect_word (const gchar *word)
{
  fail_unless (strstr (error->message, word) != NULL, "no '%s' in: %s", word,
      error->message);
}

static int
try_path (const gchar *wanted)
{
  g_clear_error (&error);
  g_clear_pointer (&tried, g_free);
  return helix_discovery_connect (
      &memory, wanted, NULL, &tried, &final, &error);
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
  expect_word (word);
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

/* ... as if it were the first. */
static void
expect_found (const gchar *want)
{
  helix_discovery_clear (&memory);
  expect_connection (NULL, want);
}

/* ---- a path that is named ---- */

GST_START_TEST (test_failures)
{
  gchar *below = g_build_filename (path, "below", NULL);
  gchar *overlong = g_strdup_printf ("/%0200d", 1);
  int fd;

  expect_failure (
      path, FALSE, GST_RESOURCE_ERROR_NOT_FOUND, "there is no socket");
  expect_word (path);
  expect_failure (dir, TRUE, GST_RESOURCE_ERROR_SETTINGS, "is a directory");
  expect_failure (overlong, TRUE, GST_RESOURCE_ERROR_SETTINGS, "201 bytes");
  fail_unless (g_file_set_contents (path, "", 0, NULL));
  expect_failure (path, TRUE, GST_RESOURCE_ERROR_SETTINGS, "is a regular file");
  expect_failure (
      below, TRUE, GST_RESOURCE_ERROR_SETTINGS, "cannot be a helix socket");
  g_unlink (path);
  fail_unless (mkfifo (path, 0600) == 0);
  expect_failure (path, TRUE, GST_RESOURCE_ERROR_SETTINGS, "is a FIFO");
  g_unlink (path);
  fd = helix_socket (AF_UNIX);
  fail_unless (helix_unix_bind (fd, path) == 0);
  close (fd);
  expect_failure (
      path, FALSE, GST_RESOURCE_ERROR_NOT_FOUND, "no process listens");
  expect_word (path);
  g_free (overlong);
  g_free (below);
}
GST_END_TEST;

/* A program that names a path gets that one or none, whatever runs. */
GST_START_TEST (test_named_never_searches)
{
  SimChild *sim = sim_child_new (other, SIM);

  expect_failure (
      path, FALSE, GST_RESOURCE_ERROR_NOT_FOUND, "there is no socket");
  fail_unless (strstr (error->message, "looked at") == NULL);
  g_setenv ("HELIX_SOCKET", path, TRUE);
  expect_failure (
      NULL, FALSE, GST_RESOURCE_ERROR_NOT_FOUND, "there is no socket");
  expect_word (path);
  g_setenv ("HELIX_SOCKET", other, TRUE);
  expect_connection (NULL, other);
  expect_connection ("", other); /* as if unset */
  fail_unless (memory.found == NULL);
  sim_child_end (sim);
}
GST_END_TEST;

/* ---- where sockets are looked for ---- */

static gchar *
make (const gchar *name)
{
  gchar *made = g_build_filename (home, name, NULL);
  gchar *parent = g_path_get_dirname (made);

  fail_unless_equals_int (g_mkdir_with_parents (parent, 0700), 0);
  fail_unless (g_file_set_contents (made, "", 0, NULL));
  g_free (parent);
  return made;
}

/* What is found, in order; and that each place is told. */
static void
expect_list (const gchar *const *paths, const gchar *const *wheres)
{
  gchar *looked;
  GPtrArray *vms = helix_discovery_list (&looked);
  guint n = 0;

  fail_unless (g_str_has_prefix (looked, "$HELIX_SOCKET"), "%s", looked);
  fail_unless (strstr (looked, usual) != NULL, "%s", looked);
  fail_unless (strstr (looked, "./") == NULL, "%s", looked);
  for (; paths[n] != NULL; n++) {
    const HelixVm *vm;

    fail_unless (n < vms->len, "%s was not found", paths[n]);
    vm = g_ptr_array_index (vms, n);
    fail_unless_equals_string (vm->path, paths[n]);
    fail_unless (strstr (vm->where, wheres[n]) != NULL, "%s", vm->where);
  }
  fail_unless_equals_int (vms->len, n);
  g_ptr_array_unref (vms);
  g_free (looked);
}

GST_START_TEST (test_list)
{
  static const gchar container[] =
      "Library/Group Containers/ABC.com.utmapp.UTM";
  static const gchar *const where[] = {
      "gst-helix (XDG_RUNTIME_DIR)", "(XDG_RUNTIME_DIR)", "UTM's", "UTM's"};
  gchar *registered = make ("some/where.sock"), *moved = make ("moved.sock");
  gchar *utm = g_build_filename (home, container, NULL);
  gchar *utm_usual = g_build_filename (utm, "helix.sock", NULL);
  char entry[HELIX_REGISTRY_PATH];
  const char *why;

  expect_list ((const gchar *[]){NULL}, NULL);
  /* A QEMU of UTM's has its container as XDG_RUNTIME_DIR. */
  g_free (make ("Library/Group Containers/com.other.UTM/helix.sock"));
  fail_unless_equals_int (g_mkdir_with_parents (utm, 0700), 0);
  g_setenv ("XDG_RUNTIME_DIR", utm, TRUE);
  fail_unless (helix_registry_add (moved, entry, &why), "%s", why);
  g_setenv ("XDG_RUNTIME_DIR", runtime, TRUE);
  fail_unless (helix_registry_add (registered, entry, &why), "%s", why);
  fail_unless (g_file_set_contents (usual, "", 0, NULL));
  fail_unless (g_file_set_contents (utm_usual, "", 0, NULL));
  expect_list (
      (const gchar *[]){registered, usual, moved, utm_usual, NULL}, where);

  /* What two names lead to is one socket. One that is gone is none. */
  fail_unless (helix_registry_add (usual, entry, &why), "%s", why);
  g_unlink (registered);
  g_unlink (utm_usual);
  expect_list ((const gchar *[]){usual, moved, NULL},
      (const gchar *[]){where[0], where[2]});
  fail_unless (g_file_set_contents (registered, "", 0, NULL));

  /* One that is named comes first. */
  g_setenv ("HELIX_SOCKET", registered, TRUE);
  expect_list ((const gchar *[]){registered, usual, moved, NULL},
      (const gchar *[]){"HELIX_SOCKET", where[0], where[2]});
  test_remove_tree (home);
  g_free (utm_usual);
  g_free (utm);
  g_free (moved);
  g_free (registered);
}
GST_END_TEST;

/* ---- the only one ---- */

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
  FakeShim *shim;
  SimChild *sim;

  /* By the registry, wherever the socket is. */
  sim = sim_child_new (path, SIM);
  expect_found (path);
  fail_unless_equals_int (memory.pid, sim_child_pid (sim));
  fail_unless (g_str_has_prefix (memory.found, "it is the only one, in "));
  sim_child_end (sim);

  /* One that did not register, in the usual place. */
  shim = fake_shim_new (usual, &good);
  expect_found (usual);
  fake_shim_free (shim);
  g_unlink (usual);

  /* Both ways, and still one. */
  sim = sim_child_new (usual, SIM);
  expect_found (usual);
  sim_child_end (sim);

  /* A dead one beside it does not count. */
  sim = sim_child_new (usual, SIM);
  sim_child_kill (sim);
  sim = sim_child_new (path, SIM);
  expect_found (path);
  fail_unless (g_str_has_prefix (memory.found, "of 2 it is the only one that"));
  sim_child_end (sim);
  helix_discovery_clear (&memory);
  expect_failure (
      NULL, FALSE, GST_RESOURCE_ERROR_NOT_FOUND, "no process listens");
  fail_unless_equals_string (tried, usual);
}
GST_END_TEST;

/* However many sockets killed VMs left, before and behind it, the one that
 * lives is found. */
GST_START_TEST (test_many_dead)
{
  SimChild *sim = sim_child_new (path, SIM);

  for (guint i = 0; i < 140; i++) {
    gchar *dead = g_strdup_printf ("%s/dead-%u.sock", dir, i);
    /* Names of entries are in order of start; that of `sim` is a time. */
    gchar *entry = g_strdup_printf (
        "%s/gst-helix/%c%u.vm", runtime, i < 70 ? '!' : 'z', i);
    int fd = helix_socket (AF_UNIX);

    fail_unless_equals_int (helix_unix_bind (fd, dead), 0);
    close (fd);
    fail_unless_equals_int (symlink (dead, entry), 0);
    g_free (entry);
    g_free (dead);
  }
  expect_found (path);
  sim_child_end (sim);
}
GST_END_TEST;

/* A socket in the working directory is not taken. */
GST_START_TEST (test_not_here)
{
  FakeShim *shim = fake_shim_new ("helix.sock", &good);

  expect_failure (
      NULL, FALSE, GST_RESOURCE_ERROR_NOT_FOUND, "No VM that exports its");
  fail_unless_equals_int (fake_shim_accepted (shim), 0);
  /* Unless it is named. */
  expect_connection ("helix.sock", "helix.sock");
  fake_shim_free (shim);
}
GST_END_TEST;

GST_START_TEST (test_several)
{
  SimChild *sim = sim_child_new (path, SIM);
  SimChild *sim2 = sim_child_new (other, SIM);
  gchar *pid = g_strdup_printf ("(pid %d) at %s", sim_child_pid (sim), path);
  gchar *pid2 = g_strdup_printf ("(pid %d) at %s", sim_child_pid (sim2), other);

  expect_failure (NULL, TRUE, GST_RESOURCE_ERROR_SETTINGS, "2 VMs run here");
  expect_word ("helix-shim-sim");
  expect_word (pid);
  expect_word (pid2);
  expect_word ("Set socket-path");

  /* One that is stopped is no choice beside one that runs ... */
  sim_child_signal (sim, SIGSTOP);
  expect_found (other);
  /* ... but it is one of two that are. */
  sim_child_signal (sim2, SIGSTOP);
  helix_discovery_clear (&memory);
  expect_failure (NULL, TRUE, GST_RESOURCE_ERROR_SETTINGS, "2 VMs run here");
  sim_child_signal (sim, SIGCONT);
  sim_child_signal (sim2, SIGCONT);
  sim_child_end (sim);
  /* Found as soon as it is the only one. */
  expect_connection (NULL, other);
  sim_child_end (sim2);
  g_free (pid);
  g_free (pid2);
}
GST_END_TEST;

/* A state change does not wait for VMs that do not answer. */
GST_START_TEST (test_interrupt)
{
  gchar *paths[] = {path, usual};
  HelixWaiter waiter;
  int listeners[2];
  char entry[HELIX_REGISTRY_PATH];
  const char *why;

  for (guint i = 0; i < 2; i++) {
    listeners[i] = helix_socket (AF_UNIX);
    fail_unless_equals_int (helix_unix_bind (listeners[i], paths[i]), 0);
    fail_unless_equals_int (listen (listeners[i], 8), 0);
  }
  fail_unless (helix_registry_add (path, entry, &why), "%s", why);
  fail_unless (helix_waiter_init (&waiter));
  helix_waiter_wake (&waiter);
  fail_unless_equals_int (
      helix_discovery_connect (&memory, NULL, &waiter, &tried, &final, &error),
      -1);
  /* Else it says that two VMs run here. */
  fail_unless (error == NULL, "%s", error ? error->message : "");
  fail_if (final);
  helix_waiter_clear (&waiter);
  close (listeners[0]);
  close (listeners[1]);
}
GST_END_TEST;

/* The VM that was found is waited for, whether it was killed or ended: not
 * another's screen in its place. */
GST_START_TEST (test_same_again)
{
  SimChild *sim = sim_child_new (path, SIM), *sim2;

  expect_connection (NULL, path);
  sim_child_kill (sim);
  sim2 = sim_child_new (other, SIM);
  expect_failure (NULL, FALSE, GST_RESOURCE_ERROR_NOT_FOUND, path);
  sim = sim_child_new (path, SIM);
  expect_connection (NULL, path);
  fail_unless_equals_int (memory.pid, sim_child_pid (sim));
  fail_unless_equals_string (
      memory.found, "it serves the socket of the VM before");
  sim_child_end (sim);
  expect_failure (NULL, FALSE, GST_RESOURCE_ERROR_NOT_FOUND, path);
  /* ... until the user starts anew. */
  expect_found (other);
  sim_child_end (sim2);
}
GST_END_TEST;

/* ---- what a VM says of itself ---- */

static const FakeFault faults[] = {FAKE_WRONG_MAGIC, FAKE_WRONG_NONCE};

/* A program that does not speak the protocol is no VM. */
GST_START_TEST (test_vm_faults)
{
  FakeConfig config = {.width = 64, .height = 64, .fault = faults[__i__]};
  FakeShim *shim = fake_shim_new (path, &config);
  HelixVm *vm = helix_vm_new (path, "here");
  g_autoptr (GPtrArray) vms = g_ptr_array_new ();

  g_ptr_array_add (vms, vm);
  fail_unless (helix_vm_connect (vm, "test", HELIX_SERVER_USER_NONE, &error));
  helix_connection_hello (vm->connection, HELIX_ROLE_FRAMES, NULL);
  while (vm->connection->loss == HELIX_LOSS_NONE)
    fail_unless (helix_vm_poll (vms, NULL, helix_now_ns () + TEST_SOON));
  fail_if (vm->complete);
  fail_unless_equals_int (vm->known, 0);
  helix_vm_free (vm);
  fake_shim_free (shim);
}
GST_END_TEST;

static const gchar *const labels[][2] = {
    {"", "desk.sock"},
    {"QEMU 10.0.2 (desk), helix-export 0.1.0", "desk"},
    {"QEMU 10.0.2 (a (b), c), helix-export 0.1.0", "a (b), c"},
    {"QEMU 10.0.2, helix-export 0.1.0", "QEMU 10.0.2"},
    {"helix-shim-sim 0.1.0", "helix-shim-sim 0.1.0"},
    {"x),", "x)"},
};

GST_START_TEST (test_label)
{
  for (guint i = 0; i < G_N_ELEMENTS (labels); i++) {
    gchar *label = helix_vm_label (labels[i][0], "/run/x/desk.sock");

    fail_unless_equals_string (label, labels[i][1]);
    g_free (label);
  }
}
GST_END_TEST;

/* ---- the user that serves ---- */

GST_START_TEST (test_find_user)
{
  uid_t uid = 77;

  fail_unless (helix_discovery_find_user (NULL, &uid, &error));
  fail_unless_equals_int (uid, HELIX_SERVER_USER_NONE);
  uid = 77;
  fail_unless (helix_discovery_find_user ("", &uid, &error));
  fail_unless_equals_int (uid, HELIX_SERVER_USER_NONE);
  fail_unless (helix_discovery_find_user ("root", &uid, &error));
  fail_unless_equals_int (uid, 0);
  fail_unless (helix_discovery_find_user ("4711", &uid, &error));
  fail_unless_equals_int (uid, 4711);
  fail_if (helix_discovery_find_user ("no such user", &uid, &error));
  taker_expect_words (&error, "server-user no such user", "no such user.");
  fail_if (helix_discovery_find_user ("4294967295", &uid, &error));
  taker_expect_words (&error, "4294967295", "no such user");
  fail_if (helix_discovery_find_user ("-1", &uid, &error));
  /* Whose servers need not be named. */
  fail_unless (helix_user_is_trusted (0));
  fail_unless (helix_user_is_trusted (geteuid ()));
  fail_if (helix_user_is_trusted (NAMELESS));
}
GST_END_TEST;

GST_START_TEST (test_no_unix_socket)
{
  int fd = helix_socket (AF_INET);
  pid_t pid;

  fail_unless (fd >= 0);
  fail_if (helix_discovery_trusts (fd, "/some/path", 0, &pid, &error));
  taker_expect_words (&error, "/some/path", "does not tell which user");
  close (fd);
}
GST_END_TEST;

/* In the child: 0 = it was not spoken to. */
static int
listen_only (void)
{
  char byte;
  int fd = -1, listener = helix_socket (AF_UNIX);

  if (helix_unix_bind (listener, usual) < 0 || listen (listener, 4) < 0
      || chmod (usual, 0666) < 0 || write (STDOUT_FILENO, "", 1) != 1)
    return 2;
  fcntl (listener, F_SETFL, 0); /* wait */
  fd = accept (listener, NULL, NULL);
  return read (fd, &byte, 1) == 0 ? 0 : 1;
}

static int
serve (void)
{
  FakeShim *shim = fake_shim_new (usual, &good);

  if (chmod (usual, 0666) < 0 || write (STDOUT_FILENO, "", 1) != 1
      || !fake_shim_wait_subscribed (shim)
      || !fake_shim_send (shim, 1, NULL, 0))
    return 2;
  fake_shim_free (shim);
  return 0;
}

/* Runs `server` as that user, until it listens in the usual place. */
static pid_t
run_as (uid_t user, int (*server) (void))
{
  int fds[2];
  pid_t pid;
  char byte;

  fail_unless_equals_int (chmod (dir, 0777), 0);
  fail_unless_equals_int (chmod (runtime, 0777), 0);
  fail_unless_equals_int (pipe (fds), 0);
  pid = fork ();
  fail_unless (pid >= 0);
  if (pid == 0) {
    dup2 (fds[1], STDOUT_FILENO);
    close (fds[0]);
    close (fds[1]);
    if (setgid (TEST_NOBODY) < 0 || setuid (user) < 0)
      _exit (3);
    _exit (server ());
  }
  close (fds[1]);
  fail_unless_equals_int (read (fds[0], &byte, 1), 1);
  close (fds[0]);
  return pid;
}

static void
expect_good_end (pid_t pid)
{
  int status = -1;

  fail_unless_equals_int (waitpid (pid, &status, 0), pid);
  fail_unless_equals_int (status, 0);
}

/* Refused before a byte is said, for good where it was named. A search passes
 * it by, and says so if that is all. */
GST_START_TEST (test_other_user)
{
  pid_t pid;

  if (!test_can_be_nobody ("a server of another user"))
    return;
  pid = run_as (OTHER, listen_only);
  taker_expect_error (usual, NULL, "served by user nobody (uid 65534, pid ");
  expect_good_end (pid);
  g_unlink (usual);
  memory.server_uid = OTHER;
  pid = run_as (NAMELESS, listen_only);
  expect_failure (NULL, FALSE, GST_RESOURCE_ERROR_NOT_AUTHORIZED,
      "served by user without a name (uid 471147, pid ");
  expect_word ("set server-user to 471147");
  expect_good_end (pid);
}
GST_END_TEST;

/* ... unless that user is named. */
GST_START_TEST (test_other_user_named)
{
  HelixFrameClientConfig config = {
      .path = usual, .name = "test", .server_uid = OTHER};
  HelixFrameRequest request = {.rate_den = 1};
  HelixFrameClient *client;
  HelixFrame frame;
  pid_t pid;

  if (!test_can_be_nobody ("a server of the user in server-user"))
    return;
  pid = run_as (OTHER, serve);
  client = helix_frame_client_new (&config, &request);
  taker_expect_frame (client, &frame, 1);
  helix_frame_clear (&frame);
  helix_frame_client_free (client);
  expect_good_end (pid);
}
GST_END_TEST;

/* ---- the element ---- */

static gchar *
wait_for (GstElement *element, GstMessageType type)
{
  GstBus *bus = gst_element_get_bus (element);
  GstMessage *message = gst_bus_timed_pop_filtered (bus, TEST_SOON, type);
  gchar *debug = NULL;

  gst_object_unref (bus);
  fail_unless (message != NULL, "no %s", gst_message_type_get_name (type));
  g_clear_error (&error);
  if (type == GST_MESSAGE_INFO)
    gst_message_parse_info (message, &error, &debug);
  else if (type == GST_MESSAGE_WARNING)
    gst_message_parse_warning (message, &error, &debug);
  else if (type == GST_MESSAGE_ERROR)
    gst_message_parse_error (message, &error, &debug);
  gst_message_unref (message);
  return debug;
}

GST_START_TEST (test_element)
{
  GstElement *pipeline = gst_parse_launch (
      "helixqemusrc name=src num-buffers=1 ! fakesink sync=false", NULL);
  GstElement *src = gst_bin_get_by_name (GST_BIN (pipeline), "src");
  SimChild *sim, *sim2;
  gchar *text;

  /* One that comes later is found. */
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  g_free (wait_for (pipeline, GST_MESSAGE_WARNING));
  sim = sim_child_new (path, SIM);
  text = wait_for (pipeline, GST_MESSAGE_INFO);
  expect_word ("Took VM 'helix-shim-sim");
  expect_word (runtime);
  fail_unless_equals_string (text, error->message);
  g_free (text);
  g_free (wait_for (pipeline, GST_MESSAGE_EOS));
  gst_element_set_state (pipeline, GST_STATE_NULL);

  /* Several are an error at once. */
  sim2 = sim_child_new (other, SIM);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  g_free (wait_for (pipeline, GST_MESSAGE_ERROR));
  expect_word ("2 VMs run here");
  expect_word (path);
  expect_word (other);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  sim_child_end (sim);
  sim_child_end (sim2);

  g_object_set (src, "server-user", "no-such-user", NULL);
  g_object_get (src, "server-user", &text, NULL);
  fail_unless_equals_string (text, "no-such-user");
  g_free (text);
  fail_unless_equals_int (gst_element_set_state (pipeline, GST_STATE_PAUSED),
      GST_STATE_CHANGE_FAILURE);
  g_free (wait_for (pipeline, GST_MESSAGE_ERROR));
  taker_expect_words (&error, "server-user no-such-user", "no such user");
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (src);
  gst_object_unref (pipeline);
}
GST_END_TEST;

static Suite *
helix_discovery_suite (void)
{
  Suite *s = suite_create ("helix-discovery");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_set_timeout (tc, 60);
  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_add_test (tc, test_failures);
  tcase_add_test (tc, test_named_never_searches);
  tcase_add_test (tc, test_list);
  tcase_add_test (tc, test_none);
  tcase_add_test (tc, test_only_one);
  tcase_add_test (tc, test_many_dead);
  tcase_add_test (tc, test_not_here);
  tcase_add_test (tc, test_several);
  tcase_add_test (tc, test_interrupt);
  tcase_add_test (tc, test_same_again);
  tcase_add_loop_test (tc, test_vm_faults, 0, G_N_ELEMENTS (faults));
  tcase_add_test (tc, test_label);
  tcase_add_test (tc, test_find_user);
  tcase_add_test (tc, test_no_unix_socket);
  tcase_add_test (tc, test_other_user);
  tcase_add_test (tc, test_other_user_named);
  tcase_add_test (tc, test_element);
  return s;
}

/* GLib looks for HOME once, and GStreamer may ask for it as it starts. */
int
main (int argc, char **argv)
{
  int failed;

  home = g_dir_make_tmp ("helix-home-XXXXXX", NULL);
  g_setenv ("HOME", home, TRUE);
  gst_check_init (&argc, &argv);
  failed = gst_check_run_suite (
      helix_discovery_suite (), "helix_discovery", __FILE__);
  test_remove_tree (home);
  g_free (home);
  return failed;
}

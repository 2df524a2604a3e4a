/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gstdio.h>
#include <gst/check/gstcheck.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "fake-shim.h"
#include "helix-platform.h"
#include "helix-test-time.h"
#include "helix-vm-peek.h"
#include "sim-child.h"

static gchar *path, *folder;

static void
setup (void)
{
  path = fake_path_new ();
  folder = g_path_get_dirname (path);
  g_setenv ("XDG_RUNTIME_DIR", folder, TRUE);
}

static void
teardown (void)
{
  g_free (folder);
  fake_path_free (path);
}

static HelixVmPeek *
peek_at (void)
{
  int fd = helix_socket (AF_UNIX);

  fail_unless (fd >= 0);
  fail_unless_equals_int (helix_unix_connect (fd, path), 0);
  return helix_vm_peek_new (path, 0, fd, "test");
}

/* Whether all that it tells came within `ms`. */
static gboolean
wait_complete (HelixVmPeek *peek, guint64 ns)
{
  GPtrArray *peeks = g_ptr_array_new ();

  g_ptr_array_add (peeks, peek);
  fail_unless (helix_vm_peek_wait (peeks, helix_now_ns () + ns, -1));
  g_ptr_array_unref (peeks);
  return peek->complete;
}

/* Reads until it is over. */
static gboolean
read_until_over (HelixVmPeek *peek)
{
  guint64 limit = helix_now_ns () + TEST_SOON;

  while (helix_now_ns () < limit) {
    struct pollfd fd = {.fd = peek->fd, .events = POLLIN};

    poll (&fd, 1, 100);
    if (!helix_vm_peek_read (peek))
      return TRUE;
  }
  return FALSE;
}

GST_START_TEST (test_sim)
{
  SimChild *sim = sim_child_new (path, "--size=640x96 --scanouts=3");
  HelixVmPeek *peek = peek_at ();
  gchar *text, *want;

  fail_unless (wait_complete (peek, TEST_SOON));
  fail_unless (peek->alive);
  fail_unless (peek->news);
  fail_if (peek->refused);
  fail_unless_equals_int (peek->pid, sim_child_pid (sim));
  fail_unless_equals_int (peek->scanouts, 3);
  /* The screens go on one by one behind the start. */
  while (!(peek->scanout[2].flags & HELIX_SCANOUT_ENABLED)) {
    struct pollfd fd = {.fd = peek->fd, .events = POLLIN};

    fail_unless (poll (&fd, 1, TEST_SOON / GST_MSECOND) == 1,
        "not all scanouts went on");
    fail_unless (helix_vm_peek_read (peek));
  }
  for (guint i = 0; i < 3; i++) {
    fail_unless (peek->scanout[i].flags & HELIX_SCANOUT_ENABLED);
    fail_unless_equals_int (peek->scanout[i].width, 640);
    fail_unless_equals_int (peek->scanout[i].height, 96);
  }
  text = helix_vm_peek_describe (peek);
  want = g_strdup_printf (
      "%s (pid %d) at %s", peek->name, sim_child_pid (sim), path);
  fail_unless_equals_string (text, want);
  g_free (text);
  g_free (want);
  sim_child_kill (sim);
  fail_unless (read_until_over (peek));
  fail_unless_equals_int (peek->fd, -1);
  helix_vm_peek_free (peek);
}
GST_END_TEST;

/* What changes is told, and nobody drops a watcher for being quiet. */
GST_START_TEST (test_watch)
{
  SimChild *sim =
      sim_child_new (path, "--size=640x96 --rate=2 --resize-every=9:800x96");
  guint64 limit = helix_now_ns () + 15 * GST_SECOND;
  HelixVmPeek *peek = peek_at ();

  fail_unless (wait_complete (peek, TEST_SOON));
  /* 4.5 s: beyond the 3 s in which a client has to answer PING. */
  while (peek->scanout[0].width != 800) {
    struct pollfd fd = {.fd = peek->fd, .events = POLLIN};

    fail_unless (helix_now_ns () < limit, "the change was not told");
    poll (&fd, 1, 100);
    fail_unless (helix_vm_peek_read (peek), "the shim hung up");
  }
  helix_vm_peek_free (peek);
  sim_child_end (sim);
}
GST_END_TEST;

GST_START_TEST (test_refused)
{
  SimChild *sim = sim_child_new (path, "--max-clients=1");
  HelixVmPeek *first = peek_at (), *second;

  fail_unless (wait_complete (first, TEST_SOON));
  second = peek_at ();
  fail_unless (wait_complete (second, TEST_SOON));
  fail_unless (second->refused);
  fail_if (first->refused);
  helix_vm_peek_free (second);
  helix_vm_peek_free (first);
  sim_child_end (sim);
}
GST_END_TEST;

GST_START_TEST (test_stopped)
{
  SimChild *sim = sim_child_new (path, "");
  guint64 begin = helix_now_ns ();
  HelixVmPeek *peek;

  sim_child_signal (sim, SIGSTOP);
  peek = peek_at ();
  fail_if (wait_complete (peek, 200 * GST_MSECOND));
  fail_unless (helix_now_ns () - begin >= 200 * GST_MSECOND);
  fail_if (peek->alive);
  fail_unless (peek->fd >= 0);
  sim_child_signal (sim, SIGCONT);
  fail_unless (wait_complete (peek, TEST_SOON));
  helix_vm_peek_free (peek);
  sim_child_end (sim);
}
GST_END_TEST;

static const FakeFault faults[] = {
    FAKE_WRONG_MAGIC, FAKE_VERSION_ERROR, FAKE_WRONG_NONCE};

/* Whoever does not speak the protocol is not believed. */
GST_START_TEST (test_faults)
{
  FakeConfig config = {.width = 64, .height = 64, .fault = faults[__i__]};
  FakeShim *shim = fake_shim_new (path, &config);
  HelixVmPeek *peek = peek_at ();

  wait_complete (peek, TEST_SOON);
  fail_unless (read_until_over (peek));
  fail_unless_equals_int (peek->scanouts, 0);
  helix_vm_peek_free (peek);
  fake_shim_free (shim);
}
GST_END_TEST;

static const gchar *const labels[][2] = {
    {"QEMU 10.0.2 (desk), helix-export 0.1.0", "desk"},
    {"QEMU 10.0.2 (a (b), c), helix-export 0.1.0", "a (b), c"},
    {"QEMU 10.0.2, helix-export 0.1.0", "QEMU 10.0.2"},
    {"helix-shim-sim 0.1.0", "helix-shim-sim 0.1.0"},
    {"x),", "x)"},
};

GST_START_TEST (test_label)
{
  HelixVmPeek peek = {.path = (gchar *) "/run/x/desk.sock"};
  gchar *label;

  label = helix_vm_peek_label (&peek);
  fail_unless_equals_string (label, "desk.sock");
  g_free (label);
  for (guint i = 0; i < G_N_ELEMENTS (labels); i++) {
    g_strlcpy (peek.name, labels[i][0], sizeof peek.name);
    label = helix_vm_peek_label (&peek);
    fail_unless_equals_string (label, labels[i][1]);
    g_free (label);
  }
}
GST_END_TEST;

static Suite *
helix_vm_peek_suite (void)
{
  Suite *s = suite_create ("helix-vm-peek");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_set_timeout (tc, 60);
  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_add_test (tc, test_sim);
  tcase_add_test (tc, test_watch);
  tcase_add_test (tc, test_refused);
  tcase_add_test (tc, test_stopped);
  tcase_add_loop_test (tc, test_faults, 0, G_N_ELEMENTS (faults));
  tcase_add_test (tc, test_label);
  return s;
}

GST_CHECK_MAIN (helix_vm_peek);

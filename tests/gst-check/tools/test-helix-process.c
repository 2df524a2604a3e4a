/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/check/gstcheck.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "helix-platform.h"
#include "helix-process.h"
#include "tool-peer.h"
#include "tool-run.h"

GST_START_TEST (test_words)
{
  g_autofree gchar *none = NULL;
  g_autofree gchar *bare = NULL;
  g_autofree gchar *named = NULL;
  HelixProcess process = {0};

  none = helix_process_words (&process);
  fail_unless_equals_string (none, "an unknown process");
  process.pid = 12;
  bare = helix_process_words (&process);
  fail_unless_equals_string (bare, "pid 12");
  g_strlcpy (process.name, "qemu", sizeof process.name);
  named = helix_process_words (&process);
  fail_unless_equals_string (named, "pid 12 (qemu)");
}
GST_END_TEST;

GST_START_TEST (test_look)
{
  ToolChild *sim = tool_sim_new (tool_socket, "");
  pid_t pid = sim->pid;
  HelixProcess process;
  int status;

  helix_process_look (&process, pid);
  fail_unless (process.lives && !process.stopped);
  fail_unless (
      g_str_has_prefix (process.name, "helix-shim-sim"), "%s", process.name);
  kill (pid, SIGSTOP);
  fail_unless (waitpid (pid, &status, WUNTRACED) == pid && WIFSTOPPED (status));
  helix_process_look (&process, pid);
  fail_unless (process.lives && process.stopped);
  tool_child_end (sim, SIGKILL);
  helix_process_look (&process, pid);
  fail_if (process.lives);
  fail_unless_equals_string (process.name, "");
  helix_process_look (&process, 0);
  fail_if (process.lives);
}
GST_END_TEST;

GST_START_TEST (test_peer)
{
  HelixProcess process;
  uid_t uid = (uid_t) -1;
  int fds[2];

  fail_unless (helix_socketpair (fds) == 0);
  helix_process_of_peer (&process, fds[0], &uid);
  fail_unless (uid == geteuid ());
  fail_unless (process.pid == getpid () && process.lives);
  close (fds[0]);
  close (fds[1]);
  /* What is no socket has nobody at its other end. */
  fds[0] = STDIN_FILENO;
  helix_process_of_peer (&process, fds[0], &uid);
  fail_unless (process.pid == 0 && uid == (uid_t) -1);
}
GST_END_TEST;

GST_START_TEST (test_port)
{
  ToolPeer *peer = tool_peer_new (PEER_SILENT, NULL);
  const gchar *port = strrchr (tool_peer_address (peer), ':') + 1;
  HelixProcess process;

  helix_process_of_port (&process, (guint) g_ascii_strtoull (port, NULL, 10));
  if (access ("/proc/net/tcp", R_OK) == 0)
    fail_unless (process.pid == getpid (), "pid %ld", (long) process.pid);
  else
    fail_unless (process.pid == 0);
  tool_peer_free (peer);
  helix_process_of_port (&process, 1);
  fail_unless (process.pid == 0);
}
GST_END_TEST;

static Suite *
helix_process_suite (void)
{
  Suite *s = suite_create ("helix-process");
  TCase *tc = tcase_create ("look");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, tool_setup, tool_teardown);
  tcase_add_test (tc, test_words);
  tcase_add_test (tc, test_look);
  tcase_add_test (tc, test_peer);
  tcase_add_test (tc, test_port);
  return s;
}

GST_CHECK_MAIN (helix_process);

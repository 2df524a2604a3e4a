/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whose VMs the commands speak to: those of this user and of root, and those
 * of the one that --server-user names.
 */
#include <glib/gstdio.h>
#include <gst/check/gstcheck.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "helix-test-nobody.h"
#include "tool-run.h"

/* The kernel's "nobody". */
#define OTHER "65534"

static const gchar *const commands[] = {"doctor --timeout=2", "list",
    "top --once", "snapshot --output=/dev/null", "scanout 0 640x480"};

/* helix-shim-sim as another user, which lets root in. */
static ToolChild *
other_users_sim (void)
{
  g_autofree gchar *copy = tool_copy (g_getenv ("HELIX_SIM"), "sim", 0755);
  g_autofree gchar *folder = g_build_filename (tool_folder, "other", NULL);
  g_autofree gchar *line = NULL;

  g_chmod (tool_folder, 0755);
  fail_unless_equals_int (g_mkdir (folder, 0777), 0);
  g_chmod (folder, 0777);
  g_free (tool_socket);
  tool_socket = g_build_filename (folder, "socket", NULL);
  line = g_strdup_printf ("setpriv --reuid=" OTHER " --regid=" OTHER
                          " --clear-groups %s --quiet "
                          "--socket=%s --size=640x96 --frames=9000 --exit",
      copy, tool_socket);
  return tool_child_new (line, TRUE);
}

GST_START_TEST (test_other_user)
{
  ToolChild *sim;

  if (!test_can_be_nobody ("a VM of another user"))
    return;
  sim = other_users_sim ();
  for (guint i = 0; i < G_N_ELEMENTS (commands); i++) {
    g_autoptr (ToolRun) run =
        tool_run ("%s --socket=%s", commands[i], tool_socket);
    g_autofree gchar *said = g_strconcat (run->out, run->err, NULL);

    fail_unless (run->status != 0 || g_str_has_prefix (commands[i], "top"),
        "%s: %s", commands[i], said);
    fail_unless (strstr (said, "nobody (uid " OTHER) != NULL
            && strstr (said, "server-user") != NULL,
        "%s: %s", commands[i], said);
  }
  tool_await_on (tool_socket, "--server-user=nobody");
  for (guint i = 0; i < G_N_ELEMENTS (commands); i++) {
    g_autoptr (ToolRun) run = tool_run (
        "%s --socket=%s --server-user=nobody", commands[i], tool_socket);
    g_autofree gchar *said = g_strconcat (run->out, run->err, NULL);

    fail_if (strstr (said, "server-user") != NULL, "%s: %s", commands[i], said);
    if (!g_str_has_prefix (commands[i], "doctor")) /* there is no stream */
      fail_unless (run->status == 0, "%s: %s", commands[i], said);
  }
  tool_child_end (sim, SIGTERM);
}
GST_END_TEST;

GST_START_TEST (test_no_such_user)
{
  for (guint i = 0; i < G_N_ELEMENTS (commands); i++) {
    g_autoptr (ToolRun) run =
        tool_run ("%s --server-user=no-such-user", commands[i]);

    fail_unless_equals_int (run->status, 2);
    fail_unless (
        strstr (run->err, "server-user no-such-user: there is no such user")
            != NULL,
        "%s", run->err);
  }
}
GST_END_TEST;

static Suite *
helix_vms_suite (void)
{
  Suite *s = suite_create ("helix-vms");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, tool_setup, tool_teardown);
  tcase_set_timeout (tc, 60);
  tcase_add_test (tc, test_other_user);
  tcase_add_test (tc, test_no_such_user);
  return s;
}

GST_CHECK_MAIN (helix_vms);

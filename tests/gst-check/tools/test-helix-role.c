/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/check/gstcheck.h>
#include <signal.h>
#include <string.h>

#include "helix-role.h"
#include "helix-vms.h"
#include "tool-run.h"

/* A file below the test's folder, with the folders that lead to it. */
static void
put (const gchar *path, const gchar *text)
{
  g_autofree gchar *file = g_build_filename (tool_folder, path, NULL);
  g_autofree gchar *folder = g_path_get_dirname (file);

  fail_unless (g_mkdir_with_parents (folder, 0700) == 0);
  fail_unless (g_file_set_contents (file, text, -1, NULL));
}

static void
expect (HelixRole side, const gchar *text)
{
  g_autofree gchar *why = NULL;

  fail_unless_equals_int (helix_role_detect (tool_folder, &why), side);
  fail_unless (strstr (why, text) != NULL, "%s", why);
}

GST_START_TEST (test_bare)
{
  expect (HELIX_HOST, "no virtio GPU");
}
GST_END_TEST;

/* A host in a cloud: a disk and a network, but no screen of ours. */
GST_START_TEST (test_cloud)
{
  put ("sys/bus/virtio/devices/virtio0/device", "0x0001\n");
  put ("sys/bus/virtio/devices/virtio1/device", "0x0002\n");
  put ("sys/class/dmi/id/sys_vendor", "QEMU\n");
  put ("dev/virtio-ports/org.qemu.guest_agent.0", "");
  expect (HELIX_HOST, "without a virtio GPU");
}
GST_END_TEST;

GST_START_TEST (test_gpu)
{
  put ("sys/bus/virtio/devices/virtio0/device", "0x0001\n");
  put ("sys/bus/virtio/devices/virtio3/device", "0x0010\n");
  expect (HELIX_GUEST, "a virtio GPU (virtio3)");
}
GST_END_TEST;

GST_START_TEST (test_port)
{
  put ("dev/virtio-ports/org.helix.stream", "");
  expect (HELIX_GUEST, "virtio port org.helix.stream");
}
GST_END_TEST;

/* A host may be a guest itself: what it serves says which one is meant. */
GST_START_TEST (test_vm_in_guest)
{
  g_autofree gchar *why = NULL;
  g_autofree gchar *why_guest = NULL;
  ToolChild *sim;

  put ("dev/virtio-ports/org.helix.stream", "");
  fail_unless_equals_int (
      helix_vms_role (NULL, tool_folder, &why_guest), HELIX_GUEST);
  sim = tool_sim_new (tool_socket, "");
  fail_unless_equals_int (helix_vms_role (NULL, tool_folder, &why), HELIX_HOST);
  fail_unless_equals_string (why, "there is a VM's socket");
  tool_child_end (sim, SIGTERM);
}
GST_END_TEST;

GST_START_TEST (test_address)
{
  g_autofree gchar *given = helix_role_address (HELIX_GUEST, "unix:x");
  g_autofree gchar *set = helix_role_address (HELIX_GUEST, NULL);
  g_autofree gchar *host = NULL;
  g_autofree gchar *guest = NULL;

  fail_unless_equals_string (given, "unix:x");
  fail_unless_equals_string (set, tool_address);
  g_unsetenv ("HELIX_ADDRESS");
  host = helix_role_address (HELIX_HOST, NULL);
  guest = helix_role_address (HELIX_GUEST, NULL);
  fail_unless_equals_string (host, "tcp:127.0.0.1:14359");
  fail_unless_equals_string (guest, "tcp:10.0.2.2:14359");
}
GST_END_TEST;

static Suite *
helix_role_suite (void)
{
  Suite *s = suite_create ("helix-role");
  TCase *tc = tcase_create ("detect");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, tool_setup, tool_teardown);
  tcase_add_test (tc, test_bare);
  tcase_add_test (tc, test_cloud);
  tcase_add_test (tc, test_gpu);
  tcase_add_test (tc, test_port);
  tcase_add_test (tc, test_vm_in_guest);
  tcase_add_test (tc, test_address);
  return s;
}

GST_CHECK_MAIN (helix_role);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/check/gstcheck.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "fake-shim.h"
#include "helix-platform.h"
#include "helix-test-time.h"
#include "helix-discovery.h"
#include "sim-child.h"

static gchar *path, *other, *folder;

static void
setup (void)
{
  path = fake_path_new ();
  folder = g_path_get_dirname (path);
  other = g_build_filename (folder, "other.sock", NULL);
  g_unsetenv ("HELIX_SOCKET");
  g_setenv ("XDG_RUNTIME_DIR", folder, TRUE);
  g_setenv ("HOME", folder, TRUE);
  fail_unless_equals_int (chdir (folder), 0);
}

static void
teardown (void)
{
  fail_unless_equals_int (chdir ("/"), 0);
  g_unsetenv ("HELIX_SOCKET");
  g_free (other);
  g_free (folder);
  fake_path_free (path);
}

static GstDeviceProvider *
provider_new (void)
{
  GstDeviceProvider *provider =
      gst_device_provider_factory_get_by_name ("helixdeviceprovider");

  fail_unless (provider != NULL);
  return provider;
}

static GstDevice *
find (GList *devices, const gchar *want)
{
  for (; devices != NULL; devices = devices->next) {
    gchar *name = gst_device_get_display_name (devices->data);
    gboolean same = g_str_has_suffix (name, want);

    g_free (name);
    if (same)
      return devices->data;
  }
  return NULL;
}

static void
free_list (GList *devices)
{
  g_list_free_full (devices, gst_object_unref);
}

/* The list, as soon as it has `count`: screens go on behind the start. */
static GList *
list_of (GstDeviceProvider *provider, guint count)
{
  guint64 limit = helix_now_ns () + TEST_SOON;
  GList *devices = gst_device_provider_get_devices (provider);

  while (g_list_length (devices) != count
      || (count > 0 && find (devices, "(off)") != NULL)) {
    fail_unless (helix_now_ns () < limit, "%u devices, wanted %u",
        g_list_length (devices), count);
    free_list (devices);
    /* Asked again until the limit. */
    g_usleep (20 * 1000);
    devices = gst_device_provider_get_devices (provider);
  }
  return devices;
}

/* What the element of a device is set to. */
static void
expect_element (GstDevice *device, const gchar *want_path, guint want_scanout)
{
  GstElement *element = gst_device_create_element (device, "screen");
  guint scanout;
  gchar *text;

  fail_unless (element != NULL);
  g_object_get (element, "socket-path", &text, "scanout", &scanout, NULL);
  fail_unless_equals_string (text, want_path);
  fail_unless_equals_int (scanout, want_scanout);
  fail_unless_equals_string (GST_OBJECT_NAME (element), "screen");
  g_free (text);
  gst_object_unref (element);
}

static void
expect_properties (GstDevice *device, pid_t pid)
{
  GstStructure *properties = gst_device_get_properties (device);
  GstCaps *caps = gst_device_get_caps (device);
  gint got_pid, width;
  guint scanout;

  fail_unless_equals_string (
      gst_structure_get_string (properties, "device.api"), "helix");
  fail_unless_equals_string (
      gst_structure_get_string (properties, "helix.socket-path"), path);
  fail_unless (gst_structure_get_int (properties, "helix.pid", &got_pid));
  fail_unless_equals_int (got_pid, pid);
  fail_unless (gst_structure_get_uint (properties, "helix.scanout", &scanout));
  fail_unless_equals_int (scanout, 1);
  fail_unless (gst_structure_get_int (
      gst_caps_get_structure (caps, 0), "width", &width));
  fail_unless_equals_int (width, 640);
  fail_unless (gst_device_has_classes (device, "Video/Source"));
  gst_structure_free (properties);
  gst_caps_unref (caps);
}

/* Without start (): the list as it is. */
GST_START_TEST (test_probe)
{
  GstDeviceProvider *provider = provider_new ();
  GList *devices = gst_device_provider_get_devices (provider);
  SimChild *sim, *sim2;

  fail_unless (devices == NULL);
  sim = sim_child_new (path, "--size=640x96 --scanouts=2");
  sim2 = sim_child_new (other, "--size=800x96");
  devices = list_of (provider, 3);
  expect_element (find (devices, ", scanout 0 (640x96)"), path, 0);
  expect_element (find (devices, ", scanout 1 (640x96)"), path, 1);
  expect_element (find (devices, ", scanout 0 (800x96)"), other, 0);
  fail_unless (find (devices, "VM helix-shim-sim 0.1.0, scanout 1 (640x96)"));
  expect_properties (
      find (devices, ", scanout 1 (640x96)"), sim_child_pid (sim));
  free_list (devices);
  sim_child_end (sim);
  sim_child_end (sim2);
  gst_object_unref (provider);
}
GST_END_TEST;

/* $HELIX_SOCKET is a place as well. One that the registry knows and that names
 * is listed once. */
GST_START_TEST (test_environment)
{
  GstDeviceProvider *provider = provider_new ();
  SimChild *sim = sim_child_new (other, "--size=640x96");
  GList *devices = list_of (provider, 1);

  expect_element (devices->data, other, 0);
  free_list (devices);
  g_setenv ("HELIX_SOCKET", "other.sock", TRUE);
  devices = list_of (provider, 1);
  expect_element (devices->data, "other.sock", 0);
  free_list (devices);
  g_setenv ("XDG_RUNTIME_DIR", "/no/such/folder", TRUE);
  free_list (list_of (provider, 1));
  g_unsetenv ("HELIX_SOCKET");
  fail_unless (gst_device_provider_get_devices (provider) == NULL);
  sim_child_end (sim);
  gst_object_unref (provider);
}
GST_END_TEST;

/* The next message, within `wait` ns, is of that type; its device's name. */
static gchar *
expect_message (GstBus *bus, GstMessageType type, GstClockTime wait)
{
  GstMessage *message = gst_bus_timed_pop_filtered (bus, wait, GST_MESSAGE_ANY);
  GstDevice *device = NULL, *changed = NULL;
  gchar *name;

  fail_unless (message != NULL, "no %s", gst_message_type_get_name (type));
  fail_unless_equals_string (
      GST_MESSAGE_TYPE_NAME (message), gst_message_type_get_name (type));
  if (type == GST_MESSAGE_DEVICE_ADDED)
    gst_message_parse_device_added (message, &device);
  else if (type == GST_MESSAGE_DEVICE_REMOVED)
    gst_message_parse_device_removed (message, &device);
  else
    gst_message_parse_device_changed (message, &device, &changed);
  name = gst_device_get_display_name (device);
  gst_message_unref (message);
  gst_clear_object (&changed);
  gst_object_unref (device);
  return name;
}

static void
expect_name (gchar *name, const gchar *want)
{
  fail_unless (g_str_has_suffix (name, want), "%s, wanted %s", name, want);
  g_free (name);
}

/* Soon; it may have been seen before its screen was on. */
static void
expect_added (GstBus *bus, const gchar *want)
{
  gchar *name = expect_message (bus, GST_MESSAGE_DEVICE_ADDED, TEST_SOON);

  if (g_str_has_suffix (name, "(off)")) {
    g_free (name);
    name = expect_message (bus, GST_MESSAGE_DEVICE_CHANGED, TEST_SOON);
  }
  expect_name (name, want);
}

GST_START_TEST (test_monitor)
{
  GstDeviceProvider *provider = provider_new ();
  GstBus *bus = gst_device_provider_get_bus (provider);
  SimChild *sim = sim_child_new (path, "--size=640x96 --scanouts=2"), *sim2;

  free_list (list_of (provider, 2));
  fail_unless (gst_device_provider_start (provider));
  /* What runs is in the list at once. */
  expect_name (
      expect_message (bus, GST_MESSAGE_DEVICE_ADDED, 0), "scanout 0 (640x96)");
  expect_name (
      expect_message (bus, GST_MESSAGE_DEVICE_ADDED, 0), "scanout 1 (640x96)");

  /* One that comes, and goes without a word. */
  sim2 = sim_child_new (other, "--size=800x96");
  expect_added (bus, "scanout 0 (800x96)");
  sim_child_kill (sim2);
  expect_name (expect_message (bus, GST_MESSAGE_DEVICE_REMOVED, TEST_SOON),
      "scanout 0 (800x96)");

  sim_child_end (sim);
  g_free (expect_message (bus, GST_MESSAGE_DEVICE_REMOVED, TEST_SOON));
  g_free (expect_message (bus, GST_MESSAGE_DEVICE_REMOVED, TEST_SOON));
  fail_unless (gst_device_provider_get_devices (provider) == NULL);
  gst_device_provider_stop (provider);
  gst_object_unref (bus);
  gst_object_unref (provider);
}
GST_END_TEST;

/* Another mode is the same device, changed. */
GST_START_TEST (test_change)
{
  GstDeviceProvider *provider = provider_new ();
  GstBus *bus = gst_device_provider_get_bus (provider);
  SimChild *sim =
      sim_child_new (path, "--size=640x96 --rate=20 --resize-every=8:800x96");

  free_list (list_of (provider, 1));
  fail_unless (gst_device_provider_start (provider));
  g_free (expect_message (bus, GST_MESSAGE_DEVICE_ADDED, TEST_SOON));
  g_free (expect_message (bus, GST_MESSAGE_DEVICE_CHANGED, TEST_SOON));
  g_free (expect_message (bus, GST_MESSAGE_DEVICE_CHANGED, TEST_SOON));
  gst_device_provider_stop (provider);
  sim_child_end (sim);
  gst_object_unref (bus);
  gst_object_unref (provider);
}
GST_END_TEST;

/* A VM that is stopped keeps nobody waiting, and is there when it goes on. */
GST_START_TEST (test_stopped)
{
  GstDeviceProvider *provider = provider_new ();
  GstBus *bus = gst_device_provider_get_bus (provider);
  SimChild *sim = sim_child_new (path, "--size=640x96");
  guint64 begin = helix_now_ns ();

  sim_child_signal (sim, SIGSTOP);
  fail_unless (gst_device_provider_start (provider));
  fail_unless (helix_now_ns () - begin < TEST_SOON);
  fail_unless (gst_bus_pop (bus) == NULL);
  sim_child_signal (sim, SIGCONT);
  g_free (expect_message (bus, GST_MESSAGE_DEVICE_ADDED, TEST_SOON));
  gst_device_provider_stop (provider);
  sim_child_end (sim);
  gst_object_unref (bus);
  gst_object_unref (provider);
}
GST_END_TEST;

/* One that takes no more clients is a VM all the same. */
GST_START_TEST (test_full)
{
  GstDeviceProvider *provider = provider_new ();
  SimChild *sim = sim_child_new (path, "--size=640x96 --max-clients=1");
  GPtrArray *vms = g_ptr_array_new ();
  HelixVm *only = helix_vm_new (path, "here");
  GError *error = NULL;
  GList *devices;

  fail_unless (helix_vm_connect (
      only, "the only client", HELIX_SERVER_USER_NONE, &error));
  helix_connection_hello (only->connection, HELIX_ROLE_FRAMES, NULL);
  g_ptr_array_add (vms, only);
  while (!only->complete)
    helix_vm_poll (vms, NULL, helix_now_ns () + TEST_SOON);
  devices = gst_device_provider_get_devices (provider);
  fail_unless_equals_int (g_list_length (devices), 1);
  expect_element (devices->data, path, 0);
  free_list (devices);
  helix_vm_free (only);
  g_ptr_array_unref (vms);
  sim_child_end (sim);
  gst_object_unref (provider);
}
GST_END_TEST;

/* What users run. */
GST_START_TEST (test_gst_device_monitor)
{
  const gchar *program = g_getenv ("GST_DEVICE_MONITOR");
  GstDeviceProvider *provider = provider_new ();
  SimChild *sim = sim_child_new (path, "--size=640x96 --scanouts=2"), *sim2;
  Child *once, *follow;

  free_list (list_of (provider, 2));
  once = child_new_line ("%s Video/Source:video/x-raw", program);
  child_expect (once, "scanout 0 (640x96)", 20);
  child_expect (once, "scanout 1 (640x96)", 20);
  child_expect (once, "helix.socket-path", 20);
  fail_unless (WIFEXITED (child_end (once, 0)));
  follow = child_new_line ("%s --follow Video/Source", program);
  child_expect (follow, "scanout 1 (640x96)", 20);
  sim2 = sim_child_new (other, "--size=800x96");
  child_expect (follow, "scanout 0 (800x96)", 20);
  sim_child_end (sim2);
  child_expect (follow, "Device removed", 20);
  /* Not SIGINT: Python takes it, if a plugin of GStreamer starts Python. */
  child_end (follow, SIGTERM);
  sim_child_end (sim);
  gst_object_unref (provider);
}
GST_END_TEST;

static Suite *
gsthelixdeviceprovider_suite (void)
{
  Suite *s = suite_create ("gsthelixdeviceprovider");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_set_timeout (tc, 90);
  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_add_test (tc, test_probe);
  tcase_add_test (tc, test_environment);
  tcase_add_test (tc, test_monitor);
  tcase_add_test (tc, test_change);
  tcase_add_test (tc, test_stopped);
  tcase_add_test (tc, test_full);
  if (g_getenv ("GST_DEVICE_MONITOR") != NULL)
    tcase_add_test (tc, test_gst_device_monitor);
  return s;
}

GST_CHECK_MAIN (gsthelixdeviceprovider);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What helixqemusrc says on the bus when something is wrong.
 */
#include <glib/gstdio.h>
#include <gst/check/gstcheck.h>
#include <unistd.h>

#include "fake-shim.h"
#include "helix-platform.h"
#include "helix-test-time.h"
#include "sim-child.h"

static gchar *path;

static void
setup (void)
{
  path = fake_path_new ();
}

static void
teardown (void)
{
  fake_path_free (path);
}

/* Plays a pipeline until the source complains: one message, in time, naming
 * `word`, and no second one from it after. */
static void
expect_message (const gchar *properties, GstMessageType type, const gchar *word)
{
  gchar *line = g_strdup_printf ("helixqemusrc %s ! fakesink", properties),
        *debug;
  GstElement *pipeline = gst_parse_launch (line, NULL);
  GstBus *bus = gst_element_get_bus (pipeline);
  GstMessage *message;
  GError *error = NULL;

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  message = gst_bus_timed_pop_filtered (
      bus, TEST_SOON, GST_MESSAGE_ERROR | GST_MESSAGE_WARNING);
  fail_unless (message != NULL, "%s: no message", line);
  fail_unless_equals_int (GST_MESSAGE_TYPE (message), type);
  if (type == GST_MESSAGE_ERROR)
    gst_message_parse_error (message, &error, &debug);
  else
    gst_message_parse_warning (message, &error, &debug);
  fail_unless (
      strstr (error->message, word) != NULL, "%s: %s", line, error->message);
  g_clear_error (&error);
  g_free (debug);
  gst_message_unref (message);
  /* The base class adds its own "Internal data stream error". */
  message =
      gst_bus_timed_pop_filtered (bus, 300 * GST_MSECOND, GST_MESSAGE_WARNING);
  fail_unless (message == NULL, "%s: a second warning", line);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (bus);
  gst_object_unref (pipeline);
  g_free (line);
}

GST_START_TEST (test_no_peer)
{
  gchar *properties = g_strdup_printf ("socket-path=%s", path);

  expect_message (
      properties, GST_MESSAGE_WARNING, "Start QEMU with -device helix-export");
  g_free (properties);
  properties = g_strdup_printf ("socket-path=%s auto-reconnect=false", path);
  expect_message (
      properties, GST_MESSAGE_ERROR, "Start QEMU with -device helix-export");
  g_free (properties);
}
GST_END_TEST;

GST_START_TEST (test_default_places)
{
  gchar *dir = g_path_get_dirname (path);

  g_setenv ("XDG_RUNTIME_DIR", dir, TRUE);
  fail_unless (g_chdir (dir) == 0);
  g_unsetenv ("HELIX_SOCKET");
  expect_message ("", GST_MESSAGE_WARNING, path);
  expect_message ("", GST_MESSAGE_WARNING, "No VM that exports its screen");
  g_setenv ("HELIX_SOCKET", "/nowhere/h.sock", TRUE);
  expect_message ("", GST_MESSAGE_WARNING, "/nowhere/h.sock");
  g_free (dir);
}
GST_END_TEST;

GST_START_TEST (test_bad_scanout)
{
  SimChild *sim = sim_child_new (path, "--size=640x96 --scanouts=2");
  gchar *properties = g_strdup_printf ("socket-path=%s scanout=99", path);

  expect_message (
      properties, GST_MESSAGE_ERROR, "There is no scanout 99: the VM at");
  g_free (properties);
  sim_child_end (sim);
}
GST_END_TEST;

GST_START_TEST (test_bad_path)
{
  gchar *properties = g_strdup_printf ("socket-path=/tmp/%0150d", 0);

  expect_message (properties, GST_MESSAGE_ERROR, "too long");
  g_free (properties);
  fail_unless (g_file_set_contents (path, "", 0, NULL));
  properties = g_strdup_printf ("socket-path=%s", path);
  expect_message (properties, GST_MESSAGE_ERROR, "is a regular file");
  g_free (properties);
}
GST_END_TEST;

static const struct {
  FakeFault fault;
  const gchar *word;
} faults[] = {
    {FAKE_WRONG_MAGIC, "does not speak the helix frame protocol"},
    {FAKE_VERSION_WELCOME, "version 77"},
    {FAKE_VERSION_ERROR, "version 77"},
};

GST_START_TEST (test_bad_peer)
{
  FakeConfig config = {.width = 640, .height = 96};
  gchar *properties = g_strdup_printf ("socket-path=%s", path);
  FakeShim *shim;

  config.fault = faults[__i__].fault;
  shim = fake_shim_new (path, &config);
  expect_message (properties, GST_MESSAGE_ERROR, faults[__i__].word);
  g_free (properties);
  fake_shim_free (shim);
}
GST_END_TEST;

static Suite *
gst_helix_qemu_src_errors_suite (void)
{
  Suite *s = suite_create ("helixqemusrc-errors");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_add_test (tc, test_no_peer);
  tcase_add_test (tc, test_default_places);
  tcase_add_test (tc, test_bad_scanout);
  tcase_add_test (tc, test_bad_path);
  tcase_add_loop_test (tc, test_bad_peer, 0, G_N_ELEMENTS (faults));
  return s;
}

GST_CHECK_MAIN (gst_helix_qemu_src_errors);

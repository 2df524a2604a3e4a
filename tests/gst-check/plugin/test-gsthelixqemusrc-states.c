/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * helixqemusrc comes and goes, and leaves nothing behind.
 */
#include <gst/check/gstcheck.h>

#include "fake-shim.h"
#include "helix-platform.h"
#include "helix-test-time.h"
#include "qemusrc-harness.h"
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

static void
change_states (void)
{
  GstElement *pipeline, *src;

  pipeline = gst_parse_launch ("helixqemusrc name=src ! fakesink", NULL);
  src = gst_bin_get_by_name (GST_BIN (pipeline), "src");
  g_object_set (src, "socket-path", path, NULL);
  for (guint i = 0; i < 100; i++) {
    guint64 begin = helix_now_ns ();

    fail_unless (gst_element_set_state (pipeline, GST_STATE_PLAYING)
        != GST_STATE_CHANGE_FAILURE);
    /* Anywhere between the first step and the first frames. */
    g_usleep ((gulong) (i % 10) * 1000);
    fail_unless (gst_element_set_state (pipeline, GST_STATE_NULL)
        == GST_STATE_CHANGE_SUCCESS);
    fail_unless (helix_now_ns () - begin < TEST_SOON);
  }
  gst_object_unref (src);
  gst_object_unref (pipeline);
}

/* Who pauses is not dead: it takes its leave, and comes back for a picture of
 * then. Nothing is said of it. */
GST_START_TEST (test_pause)
{
  FakeConfig config = {.width = 640, .height = 96};
  FakeShim *shim = fake_shim_new (path, &config);
  GstHarness *h = qemusrc_harness_new (
      path, "video/x-raw, format=NV12", "keepalive-time", 1, NULL);
  GstBus *bus = gst_bus_new ();

  gst_element_set_bus (h->element, bus);
  gst_harness_play (h);
  for (guint32 n = 1; n <= 3; n++) {
    fail_unless (fake_shim_wait_subscribed (shim));
    fail_unless_equals_int (fake_shim_accepted (shim), n);
    fail_unless (fake_shim_send (shim, n, NULL, 0));
    while (qemusrc_stat (h->element, "frames") < n)
      g_thread_yield ();
    fail_unless (gst_element_set_state (h->element, GST_STATE_PAUSED)
        != GST_STATE_CHANGE_FAILURE);
    fail_unless (fake_shim_wait_byes (shim, n));
    while (gst_harness_buffers_in_queue (h) > 0)
      gst_buffer_unref (gst_harness_pull (h));
    fail_unless (gst_element_set_state (h->element, GST_STATE_PLAYING)
        != GST_STATE_CHANGE_FAILURE);
  }
  fail_unless (
      gst_bus_poll (bus, GST_MESSAGE_WARNING | GST_MESSAGE_ERROR, 0) == NULL);
  fail_unless_equals_uint64 (qemusrc_stat (h->element, "reconnects"), 0);
  gst_harness_teardown (h);
  gst_object_unref (bus);
  fake_shim_free (shim);
}
GST_END_TEST;

static guint
count_fds (void)
{
  GDir *dir = g_dir_open ("/proc/self/fd", 0, NULL);
  guint count = 0;

  while (dir != NULL && g_dir_read_name (dir) != NULL)
    count++;
  if (dir != NULL)
    g_dir_close (dir);
  return count;
}

GST_START_TEST (test_states_without_peer)
{
  guint fds;

  change_states ();
  fds = count_fds ();
  change_states ();
  fail_unless_equals_int (count_fds (), fds);
}
GST_END_TEST;

GST_START_TEST (test_states_with_peer)
{
  SimChild *sim = sim_child_new (path, "--size=640x96 --rate=200");
  guint fds;

  change_states ();
  fds = count_fds ();
  change_states ();
  fail_unless_equals_int (count_fds (), fds);
  sim_child_end (sim);
}
GST_END_TEST;

/* Nothing is left of a pipeline: not of one that was resized either. */
GST_START_TEST (test_leaks)
{
  const gchar *launch = g_getenv ("GST_LAUNCH");
  gchar *line, *out = NULL, *err = NULL;
  GError *error = NULL;
  gint status = -1;
  SimChild *sim;

  if (launch == NULL) {
    GST_INFO ("no gst-launch-1.0 to run");
    return;
  }
  sim = sim_child_new (
      path, "--size=640x96 --rate=100 --resize-every=20:800x600");
  line = g_strdup_printf ("%s -q helixqemusrc socket-path=%s num-buffers=100 "
                          "! %s ! fakesink",
      launch, path, "x264enc tune=zerolatency speed-preset=ultrafast");
  g_setenv ("GST_TRACERS", "leaks", TRUE);
  g_setenv ("GST_DEBUG", "GST_TRACER:7", TRUE);
  g_setenv ("GST_DEBUG_NO_COLOR", "1", TRUE);
  fail_unless (g_spawn_command_line_sync (line, &out, &err, &status, &error),
      "%s", error ? error->message : "");
  fail_unless_equals_int (status, 0);
  fail_unless (
      strstr (err, "object-alive.class") != NULL, "no tracer: %s", err);
  fail_unless (
      strstr (err, "object-alive, type-name=(string)G") == NULL, "%s", err);
  g_free (out);
  g_free (err);
  g_free (line);
  sim_child_end (sim);
}
GST_END_TEST;

static Suite *
gst_helix_qemu_src_states_suite (void)
{
  Suite *s = suite_create ("helixqemusrc-states");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_set_timeout (tc, 120);
  tcase_add_test (tc, test_states_without_peer);
  tcase_add_test (tc, test_states_with_peer);
  tcase_add_test (tc, test_pause);
  tcase_add_test (tc, test_leaks);
  return s;
}

GST_CHECK_MAIN (gst_helix_qemu_src_states);

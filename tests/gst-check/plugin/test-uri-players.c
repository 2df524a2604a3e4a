/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whatever plays a URI plays a VM's screen, on the host and in the guest:
 * playbin3, playbin, gst-discoverer-1.0.
 */
#include <gst/app/gstappsink.h>
#include <gst/check/gstcheck.h>
#include <signal.h>

#include "child.h"
#include "helix-test-time.h"
#include "sim-child.h"
#include "stream-fixture.h"
#include "stream-pipeline.h"

#define PATIENCE_S 30

static gchar *uris[2];
static SimChild *sim;
static Child *host;

static void
setup (void)
{
  gchar *screen = g_build_filename (folder, "desk.sock", NULL);

  g_unsetenv ("HELIX_SOCKET");
  g_setenv ("XDG_RUNTIME_DIR", folder, TRUE);
  sim = sim_child_new (screen, "--size=640x96 --rate=30");
  uris[0] =
      g_strdup_printf ("helix+unix:%s?scanout=0&max-framerate=25", screen);
  uris[1] = g_strdup_printf ("helix+stream-unix:%s", path);
  /* Apart, so that a test that fails has no pipeline to wait for. */
  host = child_new_line (
      "'%s' 'helixqemusrc ! x264enc tune=zerolatency speed-preset=ultrafast ! "
      "helixguestsink address=%s'",
      g_getenv ("PIPELINE_CHILD"), address);
  child_expect (host, "playing", PATIENCE_S);
  g_free (screen);
}

static void
teardown (void)
{
  child_end (host, SIGKILL);
  sim_child_end (sim);
  g_free (uris[0]);
  g_free (uris[1]);
}

static const gchar *const players[] = {"playbin3", "playbin"};

/* What gst-play-1.0 is made of, with either. */
GST_START_TEST (test_playbin)
{
  const gchar *uri = uris[__i__ % 2];
  GstElement *play = gst_element_factory_make (players[__i__ / 2], NULL);
  GstElement *sink = gst_element_factory_make ("appsink", NULL);
  GstCaps *caps = gst_caps_from_string ("video/x-raw, format = I420");

  fail_unless (play != NULL && sink != NULL);
  g_object_set (sink, "caps", caps, "sync", FALSE, NULL);
  gst_caps_unref (caps);
  g_object_set (play, "uri", uri, "video-sink", sink, NULL);
  gst_element_set_state (play, GST_STATE_PLAYING);
  for (guint i = 0; i < 10; i++) {
    GstSample *sample = NULL;
    guint32 number;

    /* Until playbin has started it, an appsink gives nothing at once. */
    TEST_AWAIT ((sample = gst_app_sink_try_pull_sample (
                     GST_APP_SINK (sink), GST_SECOND))
        != NULL);
    fail_unless (sample_marker (sample, &number) && number > 0);
    gst_sample_unref (sample);
  }
  gst_element_set_state (play, GST_STATE_NULL);
  gst_object_unref (play);
}
GST_END_TEST;

GST_START_TEST (test_discoverer)
{
  Child *child = child_new_line (
      "%s -v -t %u '%s'", g_getenv ("GST_DISCOVERER"), PATIENCE_S, uris[__i__]);

  child_expect (child, "Live: yes", PATIENCE_S);
  child_expect (child,
      __i__ == 0 ? "video/x-raw" : "video/x-h264, stream-format", PATIENCE_S);
  child_expect (child, "Width: 640", PATIENCE_S);
  child_expect (child, "Height: 96", PATIENCE_S);
  fail_unless_equals_int (child_end (child, 0), 0);
}
GST_END_TEST;

static Suite *
uri_players_suite (void)
{
  TCase *tc;
  Suite *suite = stream_suite ("uri-players", 90, &tc);

  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_add_loop_test (tc, test_playbin, 0, 2 * G_N_ELEMENTS (players));
  if (g_getenv ("GST_DISCOVERER") != NULL)
    tcase_add_loop_test (tc, test_discoverer, 0, 2);
  return suite;
}

GST_CHECK_MAIN (uri_players);

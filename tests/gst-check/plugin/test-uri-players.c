/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whatever plays a URI plays a VM's screen, on the host and in the guest:
 * playbin3, gst-play-1.0, gst-discoverer-1.0.
 */
#include <glib/gstdio.h>
#include <gst/app/gstappsink.h>
#include <gst/check/gstcheck.h>
#include <signal.h>

#include "child.h"
#include "helix-marker.h"
#include "helix-platform.h"
#include "sim-child.h"
#include "stream-fixture.h"
#include "stream-pipeline.h"

#define WIDTH 640
#define HEIGHT 96
#define PATIENCE (30 * GST_SECOND)
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

/* Until playbin has started it, an appsink gives nothing at once. */
static GstSample *
pull (GstAppSink *sink)
{
  guint64 limit = helix_now_ns () + PATIENCE;
  GstSample *sample = NULL;

  while (sample == NULL && helix_now_ns () < limit) {
    sample = gst_app_sink_try_pull_sample (sink, GST_SECOND);
    if (sample == NULL)
      /* Looked at again until the limit. */
      g_usleep (10 * 1000);
  }
  return sample;
}

GST_START_TEST (test_playbin)
{
  GstElement *play = gst_element_factory_make ("playbin3", NULL);
  GstElement *sink = gst_element_factory_make ("appsink", NULL);
  GstCaps *caps = gst_caps_from_string ("video/x-raw, format = I420");

  fail_unless (play != NULL && sink != NULL);
  g_object_set (sink, "caps", caps, "sync", FALSE, NULL);
  gst_caps_unref (caps);
  g_object_set (play, "uri", uris[__i__], "video-sink", sink, NULL);
  gst_element_set_state (play, GST_STATE_PLAYING);
  for (guint i = 0; i < 10; i++) {
    GstSample *sample = pull (GST_APP_SINK (sink));
    guint32 number;

    fail_unless (sample != NULL, "%s: no picture came", uris[__i__]);
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

/* With playbin, where test_playbin has playbin3. */
GST_START_TEST (test_play)
{
  gchar *file = g_build_filename (folder, "picture.raw", NULL), *data = NULL;
  guint64 limit = helix_now_ns () + PATIENCE;
  gsize size = 0;
  guint32 number;
  Child *child = child_new_line (
      "%s --no-interactive --videosink='capsfilter "
      "caps=video/x-raw,format=I420 ! filesink buffer-mode=2 location=%s' '%s'",
      g_getenv ("GST_PLAY"), file, uris[__i__]);

  while (size < WIDTH * HEIGHT * 3 / 2) {
    fail_unless (
        helix_now_ns () < limit, "no picture came: %s", child_output (child));
    /* Looked at again until the limit. */
    g_usleep (50 * 1000);
    g_clear_pointer (&data, g_free);
    if (!g_file_get_contents (file, &data, &size, NULL))
      size = 0;
  }
  child_end (child, SIGTERM);
  fail_unless (helix_marker_read ((const guint8 *) data, WIDTH, 1, &number),
      "no marker");
  g_unlink (file);
  g_free (data);
  g_free (file);
}
GST_END_TEST;

static Suite *
uri_players_suite (void)
{
  TCase *tc;
  Suite *suite = stream_suite ("uri-players", 90, &tc);

  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_add_loop_test (tc, test_playbin, 0, 2);
  if (g_getenv ("GST_DISCOVERER") != NULL)
    tcase_add_loop_test (tc, test_discoverer, 0, 2);
  if (g_getenv ("GST_PLAY") != NULL)
    tcase_add_loop_test (tc, test_play, 0, 2);
  return suite;
}

GST_CHECK_MAIN (uri_players);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A pipeline in a process of its own, for tests that kill it:
 *
 *   pipeline-child 'LINE'
 *
 * Tells what happens on stdout, one line each:
 *
 *   playing
 *   warning TEXT / error TEXT / eos
 *   unit idr|delta NS       an access unit left the source pad of "units"
 *   picture NUMBER|torn NS  the appsink "pictures" (GRAY8) got one: its marker
 *
 * NS is CLOCK_MONOTONIC, in nanoseconds.
 *
 * Runs until it is killed.
 */
#include <gst/app/gstappsink.h>
#include <gst/gst.h>
#include <gst/video/video.h>
#include <stdio.h>
#include <stdlib.h>

#include "helix-marker.h"

/* Whether it holds an IDR slice: NAL unit type 5, in Annex B. */
static gboolean
is_idr (GstBuffer *buffer)
{
  gboolean found = FALSE;
  GstMapInfo map;

  if (!gst_buffer_map (buffer, &map, GST_MAP_READ))
    return FALSE;
  for (gsize i = 3; i < map.size && !found; i++)
    found = map.data[i - 1] == 1 && map.data[i - 2] == 0 && map.data[i - 3] == 0
        && (map.data[i] & 0x1f) == 5;
  gst_buffer_unmap (buffer, &map);
  return found;
}

static GstPadProbeReturn
tell_unit (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  printf ("unit %s %" G_GINT64_FORMAT "000\n",
      is_idr (GST_PAD_PROBE_INFO_BUFFER (info)) ? "idr" : "delta",
      g_get_monotonic_time ());
  return GST_PAD_PROBE_OK;
}

static GstFlowReturn
tell_picture (GstAppSink *sink, gpointer data)
{
  GstSample *sample = gst_app_sink_pull_sample (sink);
  GstVideoFrame frame;
  GstVideoInfo info;
  guint32 number;

  if (sample == NULL)
    return GST_FLOW_EOS;
  if (!gst_video_info_from_caps (&info, gst_sample_get_caps (sample))
      || !gst_video_frame_map (
          &frame, &info, gst_sample_get_buffer (sample), GST_MAP_READ)) {
    gst_sample_unref (sample);
    return GST_FLOW_ERROR;
  }
  if (helix_marker_read (GST_VIDEO_FRAME_PLANE_DATA (&frame, 0),
          (uint32_t) GST_VIDEO_FRAME_PLANE_STRIDE (&frame, 0), 1, &number))
    printf ("picture %u %" G_GINT64_FORMAT "000\n", number,
        g_get_monotonic_time ());
  else
    printf ("picture torn %" G_GINT64_FORMAT "000\n", g_get_monotonic_time ());
  gst_video_frame_unmap (&frame);
  gst_sample_unref (sample);
  return GST_FLOW_OK;
}

static void
listen_to (GstElement *pipeline)
{
  GstElement *units = gst_bin_get_by_name (GST_BIN (pipeline), "units");
  GstElement *pictures = gst_bin_get_by_name (GST_BIN (pipeline), "pictures");
  GstAppSinkCallbacks callbacks = {.new_sample = tell_picture};

  if (units != NULL) {
    GstPad *pad = gst_element_get_static_pad (units, "src");

    gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, tell_unit, NULL, NULL);
    gst_object_unref (pad);
    gst_object_unref (units);
  }
  if (pictures != NULL) {
    gst_app_sink_set_callbacks (
        GST_APP_SINK (pictures), &callbacks, NULL, NULL);
    gst_object_unref (pictures);
  }
}

/* FALSE: it is over. */
static gboolean
tell_message (GstMessage *message)
{
  gboolean warning = GST_MESSAGE_TYPE (message) == GST_MESSAGE_WARNING;
  GError *error = NULL;

  if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_EOS) {
    puts ("eos");
    return FALSE;
  }
  if (warning)
    gst_message_parse_warning (message, &error, NULL);
  else
    gst_message_parse_error (message, &error, NULL);
  printf ("%s %s\n", warning ? "warning" : "error", error->message);
  g_error_free (error);
  return warning;
}

int
main (int argc, char **argv)
{
  gboolean going = TRUE;
  GstElement *pipeline;
  GError *error = NULL;
  GstBus *bus;

  gst_init (&argc, &argv);
  /* Each line when it happens: whoever reads them takes the time. */
  setvbuf (stdout, NULL, _IOLBF, 0);
  pipeline = argc == 2 ? gst_parse_launch (argv[1], &error) : NULL;
  if (pipeline == NULL || error != NULL) {
    printf ("error %s\n", error != NULL ? error->message : "name one line");
    return EXIT_FAILURE;
  }
  listen_to (pipeline);
  bus = gst_element_get_bus (pipeline);
  if (gst_element_set_state (pipeline, GST_STATE_PLAYING)
      != GST_STATE_CHANGE_FAILURE)
    puts ("playing");
  while (going) {
    GstMessage *message = gst_bus_timed_pop_filtered (bus, GST_CLOCK_TIME_NONE,
        GST_MESSAGE_WARNING | GST_MESSAGE_ERROR | GST_MESSAGE_EOS);

    going = tell_message (message);
    gst_message_unref (message);
  }
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (bus);
  gst_object_unref (pipeline);
  return EXIT_SUCCESS;
}

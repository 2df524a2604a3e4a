/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Decodes a film or a picture and reads the marker (helix-marker.h) of every
 * frame: did each arrive whole, and in order?
 *
 *   helix-marker-check [--frames N] [--size WxH] FILE
 *
 * Prints one line, and fails when a frame has no readable marker, when
 * numbers go backwards, when there are fewer than N frames, or when the last
 * frame is not WxH.
 */
#include <gst/app/gstappsink.h>
#include <gst/gst.h>
#include <gst/video/video.h>

#include "helix-marker.h"

struct check {
  guint frames, unreadable, backwards, repeated, skipped;
  guint32 first, last;
  gint width, height;
};

static gint min_frames = 1;
static gchar *size;

static GOptionEntry options[] = {
    {"frames", 'n', 0, G_OPTION_ARG_INT, &min_frames,
        "at least so many frames (default 1)", "N"},
    {"size", 's', 0, G_OPTION_ARG_STRING, &size,
        "the last frame's size in pixels", "WxH"},
    {NULL, 0, 0, 0, NULL, NULL, NULL}};

static void
check_number (struct check *self, guint32 number)
{
  if (self->frames - self->unreadable == 0)
    self->first = number;
  else if (number < self->last)
    self->backwards++;
  else if (number == self->last)
    self->repeated++;
  else
    self->skipped += number - self->last - 1;
  self->last = number;
}

static void
check_sample (struct check *self, GstSample *sample)
{
  GstVideoInfo info;
  GstVideoFrame frame;
  uint32_t number;

  if (!gst_video_info_from_caps (&info, gst_sample_get_caps (sample))
      || !gst_video_frame_map (
          &frame, &info, gst_sample_get_buffer (sample), GST_MAP_READ)) {
    self->frames++;
    self->unreadable++;
    return;
  }
  self->width = GST_VIDEO_INFO_WIDTH (&info);
  self->height = GST_VIDEO_INFO_HEIGHT (&info);
  if (self->width >= (gint) HELIX_MARKER_WIDTH
      && self->height >= (gint) HELIX_MARKER_HEIGHT
      && helix_marker_read (GST_VIDEO_FRAME_PLANE_DATA (&frame, 0),
          GST_VIDEO_FRAME_PLANE_STRIDE (&frame, 0), 1, &number))
    check_number (self, number);
  else
    self->unreadable++;
  self->frames++;
  gst_video_frame_unmap (&frame);
}

/* TRUE, and a line, when the pipeline has failed. */
static gboolean
has_failed (GstBus *bus)
{
  GstMessage *message = gst_bus_pop_filtered (bus, GST_MESSAGE_ERROR);
  GError *error = NULL;

  if (!message)
    return FALSE;
  gst_message_parse_error (message, &error, NULL);
  g_printerr ("%s\n", error->message);
  g_error_free (error);
  gst_message_unref (message);
  return TRUE;
}

/* Everything up to the end of the file. */
static gboolean
check_all (struct check *self, GstElement *pipeline)
{
  GstElement *element = gst_bin_get_by_name (GST_BIN (pipeline), "sink");
  GstAppSink *sink = GST_APP_SINK (element);
  GstBus *bus = gst_element_get_bus (pipeline);
  gboolean good = TRUE;

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  while (good) {
    GstSample *sample = gst_app_sink_try_pull_sample (sink, GST_SECOND / 5);

    if (sample) {
      check_sample (self, sample);
      gst_sample_unref (sample);
    } else if (has_failed (bus)) {
      good = FALSE;
    } else if (gst_app_sink_is_eos (sink)) {
      break;
    }
  }
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (bus);
  gst_object_unref (element);
  return good;
}

static gboolean
verdict (struct check *self, const gchar *path)
{
  gchar *actual = g_strdup_printf ("%dx%d", self->width, self->height);
  gboolean good = self->frames >= (guint) min_frames && !self->unreadable
      && !self->backwards && (!size || g_str_equal (size, actual));

  g_print ("%s: %s: %u frames of %s, numbers %u to %u, %u unreadable, "
           "%u backwards, %u repeated, %u skipped\n",
      path, good ? "good" : "BAD", self->frames, actual, self->first,
      self->last, self->unreadable, self->backwards, self->repeated,
      self->skipped);
  g_free (actual);
  return good;
}

int
main (int argc, char **argv)
{
  struct check self = {0};
  GOptionContext *context = g_option_context_new ("FILE");
  GError *error = NULL;
  GstElement *pipeline, *source;
  gboolean good;

  g_option_context_add_main_entries (context, options, NULL);
  g_option_context_add_group (context, gst_init_get_option_group ());
  good = g_option_context_parse (context, &argc, &argv, &error);
  g_option_context_free (context);
  if (!good || argc != 2) {
    g_printerr ("%s\n", error ? error->message : "one FILE is needed");
    g_clear_error (&error);
    return 2;
  }
  pipeline = gst_parse_launch (
      "filesrc name=source ! decodebin ! videoconvert ! "
      "video/x-raw,format=GRAY8 ! appsink name=sink sync=false",
      &error);
  if (error) {
    g_printerr ("%s\n", error->message);
    g_error_free (error);
    return 2;
  }
  source = gst_bin_get_by_name (GST_BIN (pipeline), "source");
  g_object_set (source, "location", argv[1], NULL);
  gst_object_unref (source);

  good = check_all (&self, pipeline);
  good = verdict (&self, argv[1]) && good;
  gst_object_unref (pipeline);
  g_free (size);
  return good ? 0 : 1;
}

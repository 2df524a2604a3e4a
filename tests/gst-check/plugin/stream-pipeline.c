/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream-pipeline.h"

#include <gst/app/gstappsink.h>
#include <gst/check/gstcheck.h>
#include <gst/video/video.h>

#include "helix-marker.h"
#include "stream-peer.h"

gboolean
have_elements (const gchar *names)
{
  g_auto (GStrv) list = g_strsplit (names, " ", 0);

  for (guint i = 0; list[i] != NULL; i++) {
    g_autoptr (GstElementFactory) factory = gst_element_factory_find (list[i]);

    if (factory == NULL) {
      GST_WARNING ("no element %s: skipped", list[i]);
      return FALSE;
    }
  }
  return TRUE;
}

GstElement *
pipeline_launch (const gchar *format, ...)
{
  g_autofree gchar *text = NULL;
  GError *error = NULL;
  GstElement *pipeline;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  pipeline = gst_parse_launch (text, &error);
  fail_unless (
      error == NULL, "%s: %s", text, error != NULL ? error->message : "");
  return pipeline;
}

GstElement *
pipeline_play (GstElement *pipeline)
{
  fail_unless (gst_element_set_state (pipeline, GST_STATE_PLAYING)
      != GST_STATE_CHANGE_FAILURE);
  return pipeline;
}

void
pipeline_end (GstElement *pipeline)
{
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (pipeline);
}

GstSample *
pipeline_pull (GstElement *pipeline)
{
  GstElement *sink = gst_bin_get_by_name (GST_BIN (pipeline), "out");
  GstSample *sample = gst_app_sink_try_pull_sample (
      GST_APP_SINK (sink), PEER_TIMEOUT_MS * GST_MSECOND);

  gst_object_unref (sink);
  fail_unless (sample != NULL, "no buffer came");
  return sample;
}

gchar *
pipeline_message_of (GstElement *pipeline, GstMessageType type)
{
  GstBus *bus = gst_element_get_bus (pipeline);
  GstMessage *message =
      gst_bus_timed_pop_filtered (bus, PEER_TIMEOUT_MS * GST_MSECOND, type);
  GError *error = NULL;
  gchar *text = NULL;

  fail_unless (message != NULL, "no message came");
  if (type == GST_MESSAGE_ERROR)
    gst_message_parse_error (message, &error, NULL);
  else if (type == GST_MESSAGE_WARNING)
    gst_message_parse_warning (message, &error, NULL);
  if (error != NULL)
    text = g_strdup (error->message);
  g_clear_error (&error);
  gst_message_unref (message);
  gst_object_unref (bus);
  return text;
}

void
pipeline_expect (GstElement *pipeline, GstMessageType type, const gchar *word)
{
  g_autofree gchar *text = pipeline_message_of (pipeline, type);

  fail_unless (text != NULL && strstr (text, word) != NULL, "no '%s' in: %s",
      word, text);
}

void
pipeline_expect_quiet (GstElement *pipeline)
{
  GstBus *bus = gst_element_get_bus (pipeline);
  GstMessage *message =
      gst_bus_pop_filtered (bus, GST_MESSAGE_WARNING | GST_MESSAGE_ERROR);

  fail_unless (message == NULL, "%" GST_PTR_FORMAT, message);
  gst_object_unref (bus);
}

guint64
element_stat (GstElement *element, const gchar *field)
{
  GstStructure *stats = NULL;
  guint64 value = 0;
  guint small = 0;

  g_object_get (element, "stats", &stats, NULL);
  if (!gst_structure_get_uint64 (stats, field, &value)) {
    fail_unless (gst_structure_get_uint (stats, field, &small), "%s", field);
    value = small;
  }
  gst_structure_free (stats);
  return value;
}

guint64
pipeline_stat (GstElement *pipeline, const gchar *name, const gchar *field)
{
  GstElement *element = gst_bin_get_by_name (GST_BIN (pipeline), name);
  guint64 value = element_stat (element, field);

  gst_object_unref (element);
  return value;
}

void
element_expect_text (
    GstElement *element, const gchar *property, const gchar *wanted)
{
  g_autofree gchar *text = NULL;

  g_object_get (element, property, &text, NULL);
  fail_unless_equals_string (text, wanted);
}

gchar *
element_address (GstElement *element)
{
  GstStructure *stats = NULL;
  gchar *address;

  g_object_get (element, "stats", &stats, NULL);
  address = g_strdup (gst_structure_get_string (stats, "address"));
  gst_structure_free (stats);
  return address;
}

gboolean
sample_marker (GstSample *sample, guint32 *number)
{
  GstVideoFrame frame;
  GstVideoInfo info;
  gboolean read;

  fail_unless (gst_video_info_from_caps (&info, gst_sample_get_caps (sample)));
  fail_unless (gst_video_frame_map (
      &frame, &info, gst_sample_get_buffer (sample), GST_MAP_READ));
  read = helix_marker_read (GST_VIDEO_FRAME_PLANE_DATA (&frame, 0),
      (guint32) GST_VIDEO_FRAME_PLANE_STRIDE (&frame, 0), 1, number);
  gst_video_frame_unmap (&frame);
  return read;
}

guint64
buffer_time (GstBuffer *buffer, const gchar *name)
{
  GstCaps *caps = gst_caps_new_empty_simple (name);
  const GstReferenceTimestampMeta *meta =
      gst_buffer_get_reference_timestamp_meta (buffer, caps);

  gst_caps_unref (caps);
  return meta != NULL ? meta->timestamp : 0;
}

guint64
buffer_capture (GstBuffer *buffer)
{
  return buffer_time (buffer, "timestamp/x-system-monotonic");
}

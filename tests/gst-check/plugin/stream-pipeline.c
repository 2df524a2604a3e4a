/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream-pipeline.h"

#include <gst/app/gstappsink.h>
#include <gst/check/gstcheck.h>

#include "stream-peer.h"

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

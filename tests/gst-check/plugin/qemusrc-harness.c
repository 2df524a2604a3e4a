/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemusrc-harness.h"

#include <gst/check/gstcheck.h>

#include "helix-marker.h"

GstHarness *
qemusrc_harness_new (
    const gchar *path, const gchar *caps, const gchar *first, ...)
{
  GstHarness *h = gst_harness_new ("helixqemusrc");
  va_list args;

  fail_unless (h != NULL);
  gst_harness_use_systemclock (h);
  gst_harness_set_sink_caps_str (h, caps);
  g_object_set (h->element, "socket-path", path, NULL);
  va_start (args, first);
  if (first != NULL)
    g_object_set_valist (G_OBJECT (h->element), first, args);
  va_end (args);
  return h;
}

void
qemusrc_info (GstHarness *h, GstVideoInfo *info)
{
  GstCaps *caps = gst_pad_get_current_caps (h->sinkpad);

  fail_unless (caps != NULL);
  fail_unless (gst_video_info_from_caps (info, caps));
  gst_caps_unref (caps);
}

guint32
qemusrc_number (GstVideoInfo *info, GstBuffer *buffer)
{
  guint component = GST_VIDEO_INFO_IS_YUV (info) ? 0 : 1; /* Y or green */
  GstVideoFrame frame;
  guint32 number = 0;

  fail_unless (gst_video_frame_map (&frame, info, buffer, GST_MAP_READ));
  fail_unless (
      helix_marker_read (GST_VIDEO_FRAME_COMP_DATA (&frame, component),
          (guint32) GST_VIDEO_FRAME_COMP_STRIDE (&frame, component),
          (guint32) GST_VIDEO_FRAME_COMP_PSTRIDE (&frame, component), &number),
      "the marker cannot be read");
  gst_video_frame_unmap (&frame);
  return number;
}

GstBuffer *
qemusrc_expect (GstHarness *h, guint32 number)
{
  GstBuffer *buffer = gst_harness_pull (h);
  GstVideoInfo info;

  fail_unless (buffer != NULL);
  qemusrc_info (h, &info);
  fail_unless_equals_int (qemusrc_number (&info, buffer), number);
  return buffer;
}

guint64
qemusrc_stat (GstElement *element, const gchar *name)
{
  GstStructure *stats = NULL;
  guint64 value = 0;
  guint small = 0;

  g_object_get (element, "stats", &stats, NULL);
  fail_unless_equals_string (
      gst_structure_get_name (stats), "application/x-helix-qemu-src-stats");
  if (!gst_structure_get_uint64 (stats, name, &value)) {
    fail_unless (gst_structure_get_uint (stats, name, &small), "%s", name);
    value = small;
  }
  gst_structure_free (stats);
  return value;
}

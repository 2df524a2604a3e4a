/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream-fixture.h"

#include "helix-platform.h"

gchar *folder, *path, *address;

static void
setup (void)
{
  folder = peer_folder_new ();
  path = g_build_filename (folder, "s", NULL);
  address = g_strdup_printf ("unix:%s", path);
}

static void
teardown (void)
{
  g_free (address);
  g_free (path);
  peer_folder_free (folder);
}

Suite *
stream_suite (const gchar *name, gdouble timeout, TCase **tc)
{
  Suite *suite = suite_create (name);

  *tc = tcase_create ("general");
  suite_add_tcase (suite, *tc);
  tcase_add_checked_fixture (*tc, setup, teardown);
  tcase_set_timeout (*tc, timeout);
  return suite;
}

GstElement *
fixture_sink_new (void)
{
  GstElement *sink = gst_element_factory_make ("helixguestsink", NULL);

  g_object_set (gst_object_ref_sink (sink), "address", address, NULL);
  return sink;
}

GstHarness *
fixture_harness_new (GstElement *sink, const gchar *caps)
{
  GstBus *bus = gst_bus_new ();
  GstHarness *h;

  gst_element_set_bus (sink, bus);
  h = gst_harness_new_with_element (sink, "sink", NULL);
  gst_object_unref (bus);
  gst_object_unref (sink);
  if (caps != NULL)
    gst_harness_set_src_caps_str (h, caps);
  return h;
}

GstBuffer *
fixture_unit (guint8 value, gsize size, GstClockTime pts, gboolean delta)
{
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, size, NULL);

  gst_buffer_memset (buffer, 0, value, size);
  GST_BUFFER_PTS (buffer) = pts;
  if (delta)
    GST_BUFFER_FLAG_SET (buffer, GST_BUFFER_FLAG_DELTA_UNIT);
  return buffer;
}

void
fixture_teach_clock (GstElement *pipeline, const gchar *name, StreamPeer *peer)
{
  GstElement *element = gst_bin_get_by_name (GST_BIN (pipeline), name);
  guint64 end = helix_now_ns () + PEER_TIMEOUT_MS * GST_MSECOND;
  guint64 error = 0;

  do {
    GstStructure *stats;

    peer_expect (peer, HELIX_PING);
    peer_answer_ping (peer);
    g_object_get (element, "stats", &stats, NULL);
    gst_structure_get_uint64 (stats, "clock-offset-error", &error);
    gst_structure_free (stats);
    fail_unless (helix_now_ns () < end, "no clock");
  } while (error == 0 || error > GST_MSECOND / 2);
  gst_object_unref (element);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/check/gstcheck.h>

#include "gsthelixevents.h"

/* The bitrate is in the structure, which applications get as well, but is not
 * helixqemusrc's. */
GST_START_TEST (test_control)
{
  for (guint fields = 1; fields < 16; fields++) {
    const guint rest = fields & ~HELIX_CONFIG_BITRATE;
    const struct helix_config config = {
        fields, 5000, 30000, 1001, 3, 4000000000u};
    GstEvent *event = gst_helix_event_new_control (&config);
    struct helix_config got;

    fail_unless (GST_EVENT_IS_UPSTREAM (event));
    fail_unless_equals_int (
        gst_structure_has_field (gst_event_get_structure (event), "bitrate"),
        fields & 1);
    fail_unless_equals_int (
        gst_helix_event_parse_control (event, &got), rest != 0);
    fail_unless_equals_int (got.fields, rest);
    if (fields & HELIX_CONFIG_SCANOUT)
      fail_unless_equals_int (got.scanout, 3);
    if (fields & HELIX_CONFIG_RESOURCE)
      fail_unless (got.resource_id == 4000000000u);
    if (fields & HELIX_CONFIG_RATE)
      fail_unless (got.rate_num == 30000 && got.rate_den == 1001);
    gst_event_unref (event);
  }
}
GST_END_TEST;

/* A fraction of GStreamer's has 31 bits. */
GST_START_TEST (test_large_rate)
{
  const struct helix_config config = {
      .fields = HELIX_CONFIG_RATE, .rate_num = 4000000000u, .rate_den = 100};
  GstEvent *event = gst_helix_event_new_control (&config);
  struct helix_config got;

  fail_unless (gst_helix_event_parse_control (event, &got));
  fail_unless_equals_int (got.rate_num, 40000000);
  fail_unless_equals_int (got.rate_den, 1);
  gst_event_unref (event);
}
GST_END_TEST;

/* ---- events that make no sense ---- */

static gboolean
parse_control (GstEvent *event)
{
  struct helix_config config;

  return gst_helix_event_parse_control (event, &config);
}

static gboolean
parse_output (GstEvent *event)
{
  GstHelixOutput output;

  return gst_helix_event_parse_output (event, &output);
}

static const struct {
  gboolean (*parse) (GstEvent *event);
  const gchar *structure;
} bads[] = {
    {parse_control, "GstHelixControl"},
    {parse_control, "GstHelixControl, scanout=(int)1"},
    {parse_control, "GstHelixControl, scanout=(string)1"},
    {parse_control, "GstHelixControl, scanout=(uint)1, resource-id=(uint64)1"},
    {parse_control, "GstHelixControl, max-framerate=(fraction)-1/2"},
    {parse_control, "GstHelixControl, max-framerate=(double)30"},
    {parse_control, "SomethingElse, scanout=(uint)1"},
    {parse_output, "GstHelixOutput"},
    {parse_output, "GstHelixOutput, sink=(uint)1"},
    {parse_output, "GstHelixOutput, running-time=(uint64)1"},
    {parse_output, "GstHelixOutput, sink=(int)1, running-time=(uint64)1"},
    {parse_output, "GstHelixOutput, sink=(uint)1, running-time=(int64)1"},
    {parse_output,
        "GstHelixOutput, sink=(uint)1, running-time=(uint64)1, encoder=(int)1"},
    /* 64 bytes and a NUL */
    {parse_output,
        "GstHelixOutput, sink=(uint)1, running-time=(uint64)1, encoder=(string)"
        "0123456789012345678901234567890123456789012345678901234567890123"},
    {parse_output, "GstHelixRefresh, sink=(uint)1, running-time=(uint64)1"},
};

GST_START_TEST (test_bad)
{
  GstEvent *event = gst_event_new_custom (GST_EVENT_CUSTOM_UPSTREAM,
      gst_structure_from_string (bads[__i__].structure, NULL));

  fail_if (bads[__i__].parse (event));
  gst_event_unref (event);
}
GST_END_TEST;

GST_START_TEST (test_show)
{
  GstEvent *event = gst_helix_event_new_show (77, 1234567890123ull);
  guint resource_id = 0;
  guint64 capture = 0;

  fail_unless (GST_EVENT_IS_UPSTREAM (event));
  fail_unless (gst_helix_event_parse_show (event, &resource_id, &capture));
  fail_unless_equals_int (resource_id, 77);
  fail_unless_equals_uint64 (capture, 1234567890123ull);
  gst_event_unref (event);
  event = gst_helix_event_new_show (0, G_MAXUINT64);
  fail_if (gst_helix_event_parse_show (event, &resource_id, &capture));
  gst_event_unref (event);
  event = gst_helix_event_new_refresh ();
  fail_if (gst_helix_event_parse_show (event, &resource_id, &capture));
  fail_unless (gst_helix_event_is_refresh (event));
  gst_event_unref (event);
}
GST_END_TEST;

GST_START_TEST (test_output)
{
  GstHelixOutput output = {7, 1234567890123ull, "x264enc"}, got;
  GstEvent *event = gst_helix_event_new_output (&output);

  fail_unless (GST_EVENT_IS_UPSTREAM (event));
  fail_unless (gst_helix_event_parse_output (event, &got));
  fail_unless_equals_int (got.sink, 7);
  fail_unless_equals_uint64 (got.running_time, 1234567890123ull);
  fail_unless_equals_string (got.encoder, "x264enc");
  gst_event_unref (event);
  output = (GstHelixOutput){.running_time = GST_CLOCK_TIME_NONE};
  event = gst_helix_event_new_output (&output);
  fail_unless (gst_helix_event_parse_output (event, &got));
  fail_unless_equals_uint64 (got.running_time, GST_CLOCK_TIME_NONE);
  fail_unless_equals_string (got.encoder, "");
  gst_event_unref (event);
}
GST_END_TEST;

static void
check_cursor (const struct helix_cursor *cursor, GstBuffer *image)
{
  GstEvent *event = gst_helix_event_new_cursor (cursor, image);
  struct helix_cursor got;
  GstBuffer *got_image;

  fail_unless (GST_EVENT_TYPE (event) == GST_EVENT_CUSTOM_DOWNSTREAM_OOB);
  fail_unless (gst_helix_cursor_from_structure (
      gst_event_get_structure (event), &got, &got_image));
  fail_unless (memcmp (&got, cursor, sizeof got) == 0);
  fail_unless (got_image == image);
  gst_event_unref (event);
}

static const struct helix_cursor cursor = {.scanout = 1,
    .flags = HELIX_CURSOR_VISIBLE,
    .x = (guint32) -5,
    .y = 2000,
    .serial = 9,
    .width = 3,
    .height = 2,
    .hot_x = 1};

GST_START_TEST (test_cursor)
{
  struct helix_cursor hidden = cursor;
  GstBuffer *image = gst_buffer_new_allocate (NULL, 24, NULL);

  hidden.flags = 0;
  check_cursor (&cursor, NULL);
  check_cursor (&cursor, image);
  check_cursor (&hidden, NULL);
  gst_buffer_unref (image);
}
GST_END_TEST;

/* A field has the wrong type or value, or is missing. */
GST_START_TEST (test_bad_cursor)
{
  GstBuffer *image = gst_buffer_new_allocate (NULL, 24, NULL), *got_image;
  GstStructure *whole = gst_helix_cursor_to_structure (&cursor, image), *bad;
  struct helix_cursor got;

  fail_if (gst_helix_cursor_from_structure (NULL, &got, &got_image));
  for (gint i = 0; i < gst_structure_n_fields (whole); i++) {
    const gchar *name = gst_structure_nth_field_name (whole, (guint) i);

    bad = gst_structure_copy (whole);
    gst_structure_set (bad, name, G_TYPE_STRING, "1", NULL);
    fail_if (
        gst_helix_cursor_from_structure (bad, &got, &got_image), "%s", name);
    gst_structure_remove_field (bad, name);
    fail_unless_equals_int (
        gst_helix_cursor_from_structure (bad, &got, &got_image),
        g_str_equal (name, "image"));
    gst_structure_free (bad);
  }
  bad = gst_structure_copy (whole);
  gst_structure_set (bad, "width", G_TYPE_UINT, 4, NULL);
  fail_if (gst_helix_cursor_from_structure (bad, &got, &got_image));
  gst_structure_set (
      bad, "width", G_TYPE_UINT, 3, "scanout", G_TYPE_UINT, 16, NULL);
  fail_if (gst_helix_cursor_from_structure (bad, &got, &got_image));
  gst_structure_remove_field (bad, "image");
  gst_structure_set (
      bad, "scanout", G_TYPE_UINT, 1, "width", G_TYPE_UINT, 257, NULL);
  fail_if (gst_helix_cursor_from_structure (bad, &got, &got_image));
  gst_structure_free (bad);
  gst_structure_free (whole);
  gst_buffer_unref (image);
}
GST_END_TEST;

static Suite *
gst_helix_events_suite (void)
{
  Suite *suite = suite_create ("gsthelixevents");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (suite, tc);
  tcase_add_test (tc, test_control);
  tcase_add_test (tc, test_large_rate);
  tcase_add_loop_test (tc, test_bad, 0, G_N_ELEMENTS (bads));
  tcase_add_test (tc, test_show);
  tcase_add_test (tc, test_output);
  tcase_add_test (tc, test_cursor);
  tcase_add_test (tc, test_bad_cursor);
  return suite;
}

GST_CHECK_MAIN (gst_helix_events);

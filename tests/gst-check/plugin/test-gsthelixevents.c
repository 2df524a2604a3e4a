/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/check/gstcheck.h>

#include "gsthelixevents.h"

GST_START_TEST (test_control)
{
  for (guint fields = 1; fields < 8; fields++) {
    GstHelixControl control = {
        (GstHelixControlFields) fields, 3, 4000000000u, 30000, 1001};
    GstEvent *event = gst_helix_event_new_control (&control);
    GstHelixControl got;

    fail_unless (GST_EVENT_IS_UPSTREAM (event));
    fail_unless (gst_helix_event_parse_control (event, &got));
    fail_unless_equals_int (got.fields, fields);
    if (fields & GST_HELIX_CONTROL_SCANOUT)
      fail_unless_equals_int (got.scanout, 3);
    if (fields & GST_HELIX_CONTROL_RESOURCE)
      fail_unless (got.resource_id == 4000000000u);
    if (fields & GST_HELIX_CONTROL_RATE)
      fail_unless (got.rate_num == 30000 && got.rate_den == 1001);
    gst_event_unref (event);
  }
  fail_unless (gst_helix_event_new_control (&(GstHelixControl){0}) == NULL);
}
GST_END_TEST;

static const gchar *const bad_controls[] = {
    "GstHelixControl",
    "GstHelixControl, scanout=(int)1",
    "GstHelixControl, scanout=(string)1",
    "GstHelixControl, scanout=(uint)1, resource-id=(uint64)1",
    "GstHelixControl, max-framerate=(fraction)-1/2",
    "GstHelixControl, max-framerate=(double)30",
    "SomethingElse, scanout=(uint)1",
};

GST_START_TEST (test_bad_control)
{
  for (guint i = 0; i < G_N_ELEMENTS (bad_controls); i++) {
    GstEvent *event = gst_event_new_custom (GST_EVENT_CUSTOM_UPSTREAM,
        gst_structure_from_string (bad_controls[i], NULL));
    GstHelixControl control;

    fail_if (
        gst_helix_event_parse_control (event, &control), "%s", bad_controls[i]);
    gst_event_unref (event);
  }
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

static const gchar *const bad_outputs[] = {
    "GstHelixOutput",
    "GstHelixOutput, sink=(uint)1",
    "GstHelixOutput, running-time=(uint64)1",
    "GstHelixOutput, sink=(int)1, running-time=(uint64)1",
    "GstHelixOutput, sink=(uint)1, running-time=(int64)1",
    "GstHelixOutput, sink=(uint)1, running-time=(uint64)1, encoder=(int)1",
    /* 64 bytes and a NUL */
    ("GstHelixOutput, sink=(uint)1, running-time=(uint64)1, encoder=(string)"
     "0123456789012345678901234567890123456789012345678901234567890123"),
    "GstHelixRefresh, sink=(uint)1, running-time=(uint64)1",
};

GST_START_TEST (test_bad_output)
{
  for (guint i = 0; i < G_N_ELEMENTS (bad_outputs); i++) {
    GstEvent *event = gst_event_new_custom (GST_EVENT_CUSTOM_UPSTREAM,
        gst_structure_from_string (bad_outputs[i], NULL));
    GstHelixOutput output;

    fail_if (
        gst_helix_event_parse_output (event, &output), "%s", bad_outputs[i]);
    gst_event_unref (event);
  }
}
GST_END_TEST;

static void
check_cursor (const GstHelixCursor *sent)
{
  GstEvent *event = gst_helix_event_new_cursor (sent);
  GstStructure *want = gst_helix_cursor_to_structure (sent), *again;
  GstHelixCursor got;

  fail_unless (GST_EVENT_TYPE (event) == GST_EVENT_CUSTOM_DOWNSTREAM_OOB);
  fail_unless (gst_helix_event_parse_cursor (event, &got));
  again = gst_helix_cursor_to_structure (&got);
  fail_unless (gst_structure_is_equal (again, want));
  gst_structure_free (again);
  gst_structure_free (want);
  gst_event_unref (event);
}

GST_START_TEST (test_cursor)
{
  GstHelixCursor cursor = {1, TRUE, -5, 2000, 9, 3, 2, 1, 0, NULL};

  check_cursor (&cursor);
  cursor.image = gst_buffer_new_allocate (NULL, 24, NULL);
  check_cursor (&cursor);
  gst_buffer_unref (cursor.image);
}
GST_END_TEST;

/* A field has the wrong type or value, or is missing. */
GST_START_TEST (test_bad_cursor)
{
  GstHelixCursor cursor = {1, TRUE, 0, 0, 9, 3, 2, 1, 1, NULL}, got;
  GstStructure *whole, *bad;

  cursor.image = gst_buffer_new_allocate (NULL, 24, NULL);
  whole = gst_helix_cursor_to_structure (&cursor);
  fail_unless (gst_helix_cursor_from_structure (whole, &got));
  for (gint i = 0; i < gst_structure_n_fields (whole); i++) {
    const gchar *name = gst_structure_nth_field_name (whole, (guint) i);

    bad = gst_structure_copy (whole);
    gst_structure_set (bad, name, G_TYPE_STRING, "1", NULL);
    fail_if (gst_helix_cursor_from_structure (bad, &got), "%s", name);
    gst_structure_remove_field (bad, name);
    fail_unless_equals_int (gst_helix_cursor_from_structure (bad, &got),
        g_str_equal (name, "image"));
    gst_structure_free (bad);
  }
  bad = gst_structure_copy (whole);
  gst_structure_set (bad, "width", G_TYPE_UINT, 4, NULL);
  fail_if (gst_helix_cursor_from_structure (bad, &got));
  gst_structure_set (
      bad, "width", G_TYPE_UINT, 3, "scanout", G_TYPE_UINT, 16, NULL);
  fail_if (gst_helix_cursor_from_structure (bad, &got));
  gst_structure_remove_field (bad, "image");
  gst_structure_set (
      bad, "scanout", G_TYPE_UINT, 1, "width", G_TYPE_UINT, 257, NULL);
  fail_if (gst_helix_cursor_from_structure (bad, &got));
  gst_structure_free (bad);
  gst_structure_free (whole);
  gst_buffer_unref (cursor.image);
}
GST_END_TEST;

static Suite *
gst_helix_events_suite (void)
{
  Suite *suite = suite_create ("gsthelixevents");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (suite, tc);
  tcase_add_test (tc, test_control);
  tcase_add_test (tc, test_bad_control);
  tcase_add_test (tc, test_show);
  tcase_add_test (tc, test_output);
  tcase_add_test (tc, test_bad_output);
  tcase_add_test (tc, test_cursor);
  tcase_add_test (tc, test_bad_cursor);
  return suite;
}

GST_CHECK_MAIN (gst_helix_events);

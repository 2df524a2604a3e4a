/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/check/gstcheck.h>

#include "fake-shim.h"
#include "gsthelixevents.h"
#include "helix-platform.h"
#include "helix-test-time.h"
#include "qemusrc-harness.h"

static gchar *path;
static GstHarness *h;
static GstBus *bus;
static FakeShim *shim;

/* Two scanouts and a third that is not exported; no repetitions. */
static const FakeConfig three = {
    .width = 640, .height = 96, .scanouts = 3, .hidden_scanouts = 1 << 2};

/* No fixtures: GStreamer waits for its threads behind a test, before those. */
static void
start (void)
{
  path = fake_path_new ();
  shim = fake_shim_new (path, &three);
  h = qemusrc_harness_new (
      path, "video/x-raw, format=NV12", "keepalive-time", 0, NULL);
  bus = gst_bus_new ();
  gst_element_set_bus (h->element, bus);
  gst_harness_play (h);
  fail_unless (fake_shim_wait_subscribed (shim));
  fail_unless (fake_shim_send (shim, 1, NULL, 0));
  gst_buffer_unref (qemusrc_expect (h, 1));
}

static void
finish (void)
{
  gst_element_set_bus (h->element, NULL);
  gst_object_unref (bus);
  gst_harness_teardown (h);
  fake_shim_free (shim);
  fake_path_free (path);
}

static gboolean
control (GstHelixControlFields fields, guint scanout, guint resource_id,
    gint rate_num)
{
  const GstHelixControl wish = {fields, scanout, resource_id, rate_num, 1};

  return gst_harness_push_upstream_event (
      h, gst_helix_event_new_control (&wish));
}

/* Waits for so many SUBSCRIBEs in all, refused ones too; the last granted. */
static struct helix_subscribe
expect_subscribes (guint count)
{
  guint64 end = helix_now_ns () + TEST_SOON;

  while (fake_shim_subscribes (shim) < count && helix_now_ns () < end)
    g_thread_yield ();
  fail_unless_equals_int (fake_shim_subscribes (shim), count);
  return fake_shim_subscription (shim);
}

static void
expect_warning (const gchar *part)
{
  GstMessage *message = gst_bus_timed_pop_filtered (
      bus, TEST_SOON, GST_MESSAGE_WARNING | GST_MESSAGE_ERROR);
  GError *error = NULL;

  fail_unless (message != NULL, "no warning");
  fail_unless_equals_string (GST_MESSAGE_TYPE_NAME (message), "warning");
  gst_message_parse_warning (message, &error, NULL);
  fail_unless (strstr (error->message, part) != NULL, "%s", error->message);
  g_error_free (error);
  gst_message_unref (message);
}

static void
expect_no_message (void)
{
  GstMessage *message =
      gst_bus_pop_filtered (bus, GST_MESSAGE_WARNING | GST_MESSAGE_ERROR);

  fail_unless (message == NULL, "%" GST_PTR_FORMAT, message);
}

/* The picture goes on, by a frame that was not there yet. */
static void
expect_frames (guint32 number, gboolean discont)
{
  GstBuffer *buffer;

  fail_unless (fake_shim_send (shim, number, NULL, 0));
  buffer = qemusrc_expect (h, number);
  fail_unless_equals_int (
      GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_DISCONT), discont);
  gst_buffer_unref (buffer);
}

static void
expect_properties (guint scanout, guint resource_id)
{
  guint64 end = helix_now_ns () + TEST_SOON;
  guint got_scanout, got_resource;

  do
    g_object_get (h->element, "scanout", &got_scanout, "resource-id",
        &got_resource, NULL);
  while ((got_scanout != scanout || got_resource != resource_id)
      && helix_now_ns () < end);
  fail_unless_equals_int (got_scanout, scanout);
  fail_unless_equals_int (got_resource, resource_id);
}

static void
count (GObject *object, GParamSpec *pspec, gpointer counter)
{
  g_atomic_int_inc ((gint *) counter);
}

GST_START_TEST (test_scanout)
{
  gint notified = 0;

  start ();
  g_signal_connect (
      h->element, "notify::scanout", G_CALLBACK (count), &notified);
  fail_unless (control (GST_HELIX_CONTROL_SCANOUT, 1, 0, 0));
  fail_unless_equals_int (expect_subscribes (2).scanout, 1);
  fail_unless_equals_int (notified, 1);
  expect_properties (1, 0);
  expect_frames (2, TRUE);
  expect_frames (3, FALSE);
  /* What it says already is not asked for again. */
  fail_unless (control (GST_HELIX_CONTROL_SCANOUT, 1, 0, 0));
  expect_frames (4, FALSE);
  fail_unless_equals_int (fake_shim_subscribes (shim), 2);
  fail_unless_equals_int (notified, 1);
  expect_no_message ();
  finish ();
}
GST_END_TEST;

GST_START_TEST (test_resource)
{
  start ();
  fail_unless (control (GST_HELIX_CONTROL_RESOURCE, 0, 55, 0));
  fail_unless_equals_int (expect_subscribes (2).resource_id, 55);
  expect_properties (0, 55);
  expect_frames (2, TRUE);
  fail_unless (control (GST_HELIX_CONTROL_RESOURCE, 0, 0, 0));
  fail_unless_equals_int (expect_subscribes (3).scanout, 0);
  expect_properties (0, 0);
  expect_frames (3, TRUE);
  expect_no_message ();
  finish ();
}
GST_END_TEST;

GST_START_TEST (test_rate)
{
  GstVideoInfo info;

  start ();
  fail_unless (control (GST_HELIX_CONTROL_RATE, 0, 0, 15));
  fail_unless_equals_int (expect_subscribes (2).rate_num, 15);
  /* Caps are chosen anew before the source waits for a picture. */
  expect_frames (2, FALSE);
  expect_frames (3, FALSE);
  qemusrc_info (h, &info);
  fail_unless_equals_int (info.fps_n, 15);
  fail_unless (control (GST_HELIX_CONTROL_RATE, 0, 0, 0));
  /* "No limit": what caps can promise, and no more than that comes. */
  fail_unless_equals_int (expect_subscribes (3).rate_num, 240);
  expect_frames (4, FALSE);
  expect_frames (5, FALSE);
  qemusrc_info (h, &info);
  fail_unless_equals_int (info.fps_n, 240);
  expect_no_message ();
  finish ();
}
GST_END_TEST;

/* The VM has no such scanout: known at once, and nothing happens. */
GST_START_TEST (test_no_scanout)
{
  start ();
  fail_if (control (GST_HELIX_CONTROL_SCANOUT, 3, 0, 0));
  expect_warning ("The guest asks for scanout 3");
  /* It may ask without end; the bus does not fill up. */
  for (guint i = 0; i < 1000; i++)
    fail_if (control (GST_HELIX_CONTROL_SCANOUT, 100 + i, 0, 0));
  expect_no_message ();
  expect_properties (0, 0);
  expect_frames (2, FALSE);
  fail_unless_equals_int (fake_shim_subscribes (shim), 1);
  finish ();
}
GST_END_TEST;

/* Only the shim knows: what was shown before goes on. */
GST_START_TEST (test_refused)
{
  gint notified = 0;

  start ();
  g_signal_connect (
      h->element, "notify::scanout", G_CALLBACK (count), &notified);
  fail_unless (control (GST_HELIX_CONTROL_SCANOUT, 1, 0, 0));
  expect_subscribes (2);
  expect_frames (2, TRUE);
  fail_unless (control (GST_HELIX_CONTROL_SCANOUT, 2, 0, 0));
  expect_warning ("that one is not exported");
  fail_unless_equals_int (expect_subscribes (4).scanout, 1);
  expect_properties (1, 0);
  fail_unless_equals_int (notified, 3);
  expect_frames (3, TRUE);
  fail_unless (
      control (GST_HELIX_CONTROL_RESOURCE, 0, FAKE_NO_RESOURCE + 1, 0));
  fail_unless_equals_int (expect_subscribes (6).scanout, 1);
  expect_properties (1, 0);
  expect_frames (4, TRUE);
  fail_unless_equals_int (fake_shim_accepted (shim), 1);
  finish ();
}
GST_END_TEST;

/* An application's own slip while playing is no worse. */
GST_START_TEST (test_refused_property)
{
  start ();
  g_object_set (h->element, "scanout", 2, NULL);
  expect_warning ("that one is not exported");
  fail_unless_equals_int (expect_subscribes (3).scanout, 0);
  expect_properties (0, 0);
  expect_frames (2, TRUE);
  finish ();
}
GST_END_TEST;

/* The VM comes back with fewer screens than the guest once chose from: what
 * the application chose is shown. */
GST_START_TEST (test_restart_without_it)
{
  FakeConfig one = three;

  start ();
  fail_unless (control (GST_HELIX_CONTROL_SCANOUT, 1, 0, 0));
  fail_unless_equals_int (expect_subscribes (2).scanout, 1);
  expect_frames (2, TRUE);
  fake_shim_free (shim);
  one.scanouts = 1;
  shim = fake_shim_new (path, &one);
  expect_warning (path);
  expect_warning ("There is no scanout 1");
  fail_unless_equals_int (expect_subscribes (1).scanout, 0);
  expect_properties (0, 0);
  expect_frames (3, TRUE);
  expect_no_message ();
  finish ();
}
GST_END_TEST;

/* A guest's slider: the shim takes 32 SUBSCRIBEs a second. */
GST_START_TEST (test_hurry)
{
  guint64 begin = helix_now_ns (), spent;

  start ();
  for (gint i = 1; i <= 2000; i++)
    fail_unless (control (GST_HELIX_CONTROL_RATE, 0, 0, i));
  while (fake_shim_subscription (shim).rate_num != 2000
      && helix_now_ns () < begin + TEST_SOON)
    g_thread_yield ();
  fail_unless_equals_int (fake_shim_subscription (shim).rate_num, 2000);
  spent = (helix_now_ns () - begin) / GST_SECOND + 1;
  fail_unless (fake_shim_subscribes (shim) <= 2 + 32 * spent);
  expect_frames (2, FALSE);
  finish ();
}
GST_END_TEST;

static void
show (guint resource_id, guint64 capture_time)
{
  fail_unless (gst_harness_push_upstream_event (
      h, gst_helix_event_new_show (resource_id, capture_time)));
}

GST_START_TEST (test_show)
{
  struct helix_show seen;

  start ();
  show (70, 12345);
  fail_unless (fake_shim_wait_show (shim, 1, &seen));
  fail_unless_equals_int (seen.resource_id, 70);
  fail_unless_equals_uint64 (seen.capture_ns, 12345);
  expect_frames (2, FALSE);
  show (71, G_MAXUINT64);
  fail_unless (fake_shim_wait_show (shim, 2, &seen));
  fail_unless_equals_int (seen.resource_id, 71);
  fail_unless (seen.capture_ns == HELIX_NONE64);
  fail_unless_equals_int (fake_shim_subscribes (shim), 1);
  /* Another rate, and still that resource. */
  fail_unless (control (GST_HELIX_CONTROL_RATE, 0, 0, 20));
  fail_unless_equals_int (expect_subscribes (2).resource_id, 71);
  /* The scanout again, which the properties name all the time. */
  expect_properties (0, 0);
  fail_unless (control (GST_HELIX_CONTROL_RESOURCE, 0, 0, 0));
  fail_unless_equals_int (expect_subscribes (3).scanout, 0);
  expect_frames (3, TRUE);
  expect_no_message ();
  finish ();
}
GST_END_TEST;

/* Of a thousand in a hurry the last one arrives, and the connection lives. */
GST_START_TEST (test_show_hurry)
{
  guint64 end = helix_now_ns () + TEST_SOON;
  struct helix_show seen;

  start ();
  for (guint i = 1; i <= 1000; i++)
    show (i, i);
  do
    fail_unless (fake_shim_wait_show (shim, 1, &seen));
  while (seen.resource_id != 1000 && helix_now_ns () < end);
  fail_unless_equals_int (seen.resource_id, 1000);
  expect_frames (2, FALSE);
  fail_unless_equals_int (fake_shim_accepted (shim), 1);
  finish ();
}
GST_END_TEST;

/* A resource that is gone by then is one warning, not one per frame. */
GST_START_TEST (test_show_nothing)
{
  struct helix_show seen;

  start ();
  for (guint i = 1; i <= 5; i++) {
    show (FAKE_NO_RESOURCE + i, i);
    fail_unless (fake_shim_wait_show (shim, i, &seen));
    expect_frames (i + 1, FALSE);
  }
  expect_warning ("cannot show the resource");
  expect_no_message ();
  fail_unless_equals_int (fake_shim_accepted (shim), 1);
  finish ();
}
GST_END_TEST;

static Suite *
gst_helix_qemu_src_control_suite (void)
{
  Suite *s = suite_create ("helixqemusrc-control");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_test (tc, test_scanout);
  tcase_add_test (tc, test_resource);
  tcase_add_test (tc, test_rate);
  tcase_add_test (tc, test_no_scanout);
  tcase_add_test (tc, test_refused);
  tcase_add_test (tc, test_refused_property);
  tcase_add_test (tc, test_restart_without_it);
  tcase_add_test (tc, test_hurry);
  tcase_add_test (tc, test_show);
  tcase_add_test (tc, test_show_hurry);
  tcase_add_test (tc, test_show_nothing);
  return s;
}

GST_CHECK_MAIN (gst_helix_qemu_src_control);

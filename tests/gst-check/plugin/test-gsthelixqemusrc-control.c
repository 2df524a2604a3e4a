/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Requests of the guest, and how many buffers come, and which, by their
 * timestamps and their numbers. */
#include <gst/check/gstcheck.h>

#include "gsthelixevents.h"
#include "qemusrc-fixture.h"

/* Two scanouts and a third that is not exported. */
static const FakeConfig three = {
    .width = 640, .height = 96, .scanouts = 3, .hidden_scanouts = 1 << 2};

static void
start (void)
{
  play (&three, "video/x-raw, format=NV12", "keepalive-time", 0, NULL);
  show_frame (1);
}

static gboolean
control (guint32 fields, guint scanout, guint resource_id, guint rate_num)
{
  const struct helix_config request = {
      fields, 0, rate_num, 1, scanout, resource_id};

  return gst_harness_push_upstream_event (
      h, gst_helix_event_new_control (&request));
}

/* The picture goes on, by a frame that was not there yet. */
static void
expect_frames (guint32 number, gboolean discont)
{
  GstBuffer *buffer;

  send_frame (number);
  buffer = expect_buffer (number);
  fail_unless_equals_int (
      GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_DISCONT), discont);
  gst_buffer_unref (buffer);
}

static guint
property (const gchar *name)
{
  guint value;

  g_object_get (h->element, name, &value, NULL);
  return value;
}

static void
expect_properties (guint scanout, guint resource_id)
{
  TEST_AWAIT (property ("scanout") == scanout);
  TEST_AWAIT (property ("resource-id") == resource_id);
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
  fail_unless (control (HELIX_CONFIG_SCANOUT, 1, 0, 0));
  fail_unless_equals_int (expect_subscribes (2).scanout, 1);
  fail_unless_equals_int (notified, 1);
  expect_properties (1, 0);
  expect_frames (2, TRUE);
  expect_frames (3, FALSE);
  /* The same again is not sent to the shim. */
  fail_unless (control (HELIX_CONFIG_SCANOUT, 1, 0, 0));
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
  fail_unless (control (HELIX_CONFIG_RESOURCE, 0, 55, 0));
  fail_unless_equals_int (expect_subscribes (2).resource_id, 55);
  expect_properties (0, 55);
  expect_frames (2, TRUE);
  fail_unless (control (HELIX_CONFIG_RESOURCE, 0, 0, 0));
  fail_unless_equals_int (expect_subscribes (3).scanout, 0);
  expect_properties (0, 0);
  expect_frames (3, TRUE);
  expect_no_message ();
  finish ();
}
GST_END_TEST;

GST_START_TEST (test_rate)
{
  start ();
  fail_unless (control (HELIX_CONFIG_RATE, 0, 0, 15));
  fail_unless_equals_int (expect_subscribes (2).rate_num, 15);
  /* Caps are chosen anew before the source waits for a picture. */
  expect_frames (2, FALSE);
  expect_frames (3, FALSE);
  fail_unless_equals_int (video_info ().fps_n, 15);
  fail_unless (control (HELIX_CONFIG_RATE, 0, 0, 0));
  /* "No limit": what caps can promise, and no more than that comes. */
  fail_unless_equals_int (expect_subscribes (3).rate_num, 240);
  expect_frames (4, FALSE);
  expect_frames (5, FALSE);
  fail_unless_equals_int (video_info ().fps_n, 240);
  expect_no_message ();
  finish ();
}
GST_END_TEST;

/* The VM has no such scanout: known at once, and nothing happens. */
GST_START_TEST (test_no_scanout)
{
  start ();
  fail_if (control (HELIX_CONFIG_SCANOUT, 3, 0, 0));
  expect_message (GST_MESSAGE_WARNING, "The guest asks for scanout 3");
  /* It may ask without end; the bus does not fill up. */
  for (guint i = 0; i < 1000; i++)
    fail_if (control (HELIX_CONFIG_SCANOUT, 100 + i, 0, 0));
  expect_no_message ();
  expect_properties (0, 0);
  expect_frames (2, FALSE);
  fail_unless_equals_int (fake_shim_subscribes (shim), 1);
  finish ();
}
GST_END_TEST;

/* Only the shim knows: the picture before it goes on. */
GST_START_TEST (test_refused)
{
  gint notified = 0;

  start ();
  g_signal_connect (
      h->element, "notify::scanout", G_CALLBACK (count), &notified);
  fail_unless (control (HELIX_CONFIG_SCANOUT, 1, 0, 0));
  expect_subscribes (2);
  expect_frames (2, TRUE);
  fail_unless (control (HELIX_CONFIG_SCANOUT, 2, 0, 0));
  expect_message (GST_MESSAGE_WARNING, "that one is not exported");
  fail_unless_equals_int (expect_subscribes (4).scanout, 1);
  expect_properties (1, 0);
  fail_unless_equals_int (notified, 3);
  expect_frames (3, TRUE);
  fail_unless (control (HELIX_CONFIG_RESOURCE, 0, FAKE_NO_RESOURCE + 1, 0));
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
  expect_message (GST_MESSAGE_WARNING, "that one is not exported");
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
  fail_unless (control (HELIX_CONFIG_SCANOUT, 1, 0, 0));
  fail_unless_equals_int (expect_subscribes (2).scanout, 1);
  expect_frames (2, TRUE);
  fake_shim_free (shim);
  one.scanouts = 1;
  shim = fake_shim_new (path, &one);
  expect_message (GST_MESSAGE_WARNING, path);
  expect_message (GST_MESSAGE_WARNING, "There is no scanout 1");
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
    fail_unless (control (HELIX_CONFIG_RATE, 0, 0, i));
  TEST_AWAIT (fake_shim_subscription (shim).rate_num == 2000);
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
  fail_unless (control (HELIX_CONFIG_RATE, 0, 0, 20));
  fail_unless_equals_int (expect_subscribes (2).resource_id, 71);
  /* The scanout again, which the properties name all the time. */
  expect_properties (0, 0);
  fail_unless (control (HELIX_CONFIG_RESOURCE, 0, 0, 0));
  fail_unless_equals_int (expect_subscribes (3).scanout, 0);
  expect_frames (3, TRUE);
  expect_no_message ();
  finish ();
}
GST_END_TEST;

/* Of a thousand in a hurry the last one arrives, and the connection lives. */
GST_START_TEST (test_show_hurry)
{
  struct helix_show seen;

  start ();
  for (guint i = 1; i <= 1000; i++)
    show (i, i);
  TEST_AWAIT (fake_shim_wait_show (shim, 1, &seen) && seen.resource_id == 1000);
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
  expect_message (GST_MESSAGE_WARNING, "cannot show the resource");
  expect_no_message ();
  fail_unless_equals_int (fake_shim_accepted (shim), 1);
  finish ();
}
GST_END_TEST;

/* ---- rates ---- */

static const struct {
  gint max_num; /* -1: the default */
  gint caps_num;
  const gchar *peer;
  const gchar *sim;
  gboolean shows; /* a SHOW comes with each buffer */
} rates[] = {
    {-1, 60, "video/x-raw", "--size=640x96 --rate=240", FALSE},
    {-1, 60, "video/x-raw",
        "--size=640x96 --rate=240 --cursor --cursor-rate=240", FALSE},
    {-1, 60, "video/x-raw", "--size=640x96 --rate=240 --resources=2", TRUE},
    {30, 30, "video/x-raw", "--size=640x96 --rate=240", FALSE},
    {0, 240, "video/x-raw", "--size=640x96 --rate=1000", FALSE},
    {-1, 20, "video/x-raw, framerate=20/1", "--size=640x96 --rate=240", FALSE},
    {0, 20, "video/x-raw, framerate=20/1", "--size=640x96 --rate=240", FALSE},
};

/* A guest that draws faster than caps say: no more buffers come than they say,
 * by timestamps. A few may be early, where one before them was late. */
GST_START_TEST (test_promise)
{
  const guint count = 60, early = 3;
  const gint max = rates[__i__].max_num;
  GstClockTime first = 0, last = 0, least;

  play_sim (rates[__i__].sim, rates[__i__].peer, "keepalive-time", 0,
      max >= 0 ? "max-framerate" : NULL, max, 1, NULL);
  /* Downstream's rate is known only with the first; some are under way. */
  for (guint i = 0; i < 10; i++)
    gst_buffer_unref (pull ());
  for (guint i = 0; i <= count; i++) {
    GstBuffer *buffer = pull ();

    last = GST_BUFFER_PTS (buffer);
    if (i == 0)
      first = last;
    gst_buffer_unref (buffer);
    if (rates[__i__].shows)
      gst_harness_push_upstream_event (
          h, gst_helix_event_new_show (1001 + i % 2, G_MAXUINT64));
  }
  fail_unless_equals_int (video_info ().fps_n, rates[__i__].caps_num);
  fail_unless_equals_int (video_info ().fps_d, 1);
  least = gst_util_uint64_scale_int (
      GST_SECOND, (gint) (count - early), rates[__i__].caps_num);
  fail_unless (last - first >= least, "%u buffers in %u ms", count,
      (guint) ((last - first) / GST_MSECOND));
  finish ();
}
GST_END_TEST;

static GstPadProbeReturn
block (GstPad *pad, GstPadProbeInfo *info, gpointer user)
{
  return GST_PAD_PROBE_OK;
}

/* Three pictures, of which two come while downstream has the first. Returns
 * how long it took. */
static guint64
send_three (guint32 number)
{
  GstPad *pad = gst_element_get_static_pad (h->element, "src");
  gulong probe = gst_pad_add_probe (pad,
      GST_PAD_PROBE_TYPE_BLOCK | GST_PAD_PROBE_TYPE_BUFFER, block, NULL, NULL);
  guint64 before = stat_of ("frames");
  guint64 begin;

  send_frame (number);
  TEST_AWAIT (stat_of ("frames") > before);
  begin = helix_now_ns ();
  send_frame (number + 1);
  send_frame (number + 2);
  gst_pad_remove_probe (pad, probe);
  gst_object_unref (pad);
  fail_unless_equals_int (pull_number (), number);
  return begin;
}

/* A sink that waits for a picture's time in our thread keeps us from taking
 * others: those that it can still show in time all come, the newest only of
 * those that it cannot. */
GST_START_TEST (test_in_time)
{
  guint64 in_time = 200 * GST_MSECOND, begin;
  guint32 number = 1, got;

  play (NULL, "video/x-raw, format=NV12", "keepalive-time", 0, NULL);
  send_three (number);
  fail_unless_equals_int (pull_number (), number + 2);
  fail_unless (gst_harness_push_upstream_event (
      h, gst_event_new_latency (in_time + 10 * GST_MSECOND)));
  do { /* again, if this machine itself was too late */
    number += 3;
    begin = send_three (number);
    got = pull_number ();
    fail_unless (got == number + 1 || helix_now_ns () - begin > in_time,
        "a picture is missing");
  } while (got != number + 1 && number < 300);
  fail_unless_equals_int (pull_number (), number + 2);
  /* Never more than what a sink shows in time. */
  fail_unless (gst_harness_push_upstream_event (h, gst_event_new_latency (0)));
  number += 3;
  send_three (number);
  fail_unless_equals_int (pull_number (), number + 2);
  finish ();
}
GST_END_TEST;

static Suite *
gst_helix_qemu_src_control_suite (void)
{
  TCase *tc;
  Suite *s = stream_suite ("helixqemusrc-control", 60, &tc);

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
  tcase_add_loop_test (tc, test_promise, 0, G_N_ELEMENTS (rates));
  tcase_add_test (tc, test_in_time);
  return s;
}

GST_CHECK_MAIN (gst_helix_qemu_src_control);

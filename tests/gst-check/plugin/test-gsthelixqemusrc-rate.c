/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How many buffers come, and which, by their timestamps and their numbers. */
#include <gst/check/gstcheck.h>

#include "fake-shim.h"
#include "gsthelixevents.h"
#include "helix-platform.h"
#include "qemusrc-harness.h"
#include "sim-child.h"

static gchar *path;

static void
setup (void)
{
  path = fake_path_new ();
}

static void
teardown (void)
{
  fake_path_free (path);
}

static const struct {
  gint max_num; /* -1: the default */
  gint caps_num;
  const gchar *peer;
  const gchar *sim;
  gboolean shows; /* somebody shows resources, too */
} rates[] = {
    {-1, 60, "video/x-raw", "--rate=240", FALSE},
    {-1, 60, "video/x-raw", "--rate=240 --cursor --cursor-rate=240", FALSE},
    {-1, 60, "video/x-raw", "--rate=240 --resources=2", TRUE},
    {30, 30, "video/x-raw", "--rate=240", FALSE},
    {0, 240, "video/x-raw", "--rate=1000", FALSE},
    {-1, 20, "video/x-raw, framerate=20/1", "--rate=240", FALSE},
    {0, 20, "video/x-raw, framerate=20/1", "--rate=240", FALSE},
};

/* A guest that draws faster than caps say: no more buffers come than they say,
 * by timestamps. A few may be early, where one before them was late. */
GST_START_TEST (test_promise)
{
  const guint count = 60, early = 3;
  GstHarness *h =
      qemusrc_harness_new (path, rates[__i__].peer, "keepalive-time", 0, NULL);
  gchar *options = g_strdup_printf ("--size=640x96 %s", rates[__i__].sim);
  SimChild *sim = sim_child_new (path, options);
  GstClockTime first = 0, last = 0, least;
  GstVideoInfo info;

  if (rates[__i__].max_num >= 0)
    g_object_set (h->element, "max-framerate", rates[__i__].max_num, 1, NULL);
  gst_harness_play (h);
  /* Downstream's wish is known only with the first; some are under way. */
  for (guint i = 0; i < 10; i++)
    gst_buffer_unref (gst_harness_pull (h));
  for (guint i = 0; i <= count; i++) {
    GstBuffer *buffer = gst_harness_pull (h);

    last = GST_BUFFER_PTS (buffer);
    if (i == 0)
      first = last;
    gst_buffer_unref (buffer);
    if (rates[__i__].shows)
      gst_harness_push_upstream_event (
          h, gst_helix_event_new_show (1001 + i % 2, G_MAXUINT64));
  }
  qemusrc_info (h, &info);
  fail_unless_equals_int (info.fps_n, rates[__i__].caps_num);
  fail_unless_equals_int (info.fps_d, 1);
  least = gst_util_uint64_scale_int (
      GST_SECOND, (gint) (count - early), rates[__i__].caps_num);
  fail_unless (last - first >= least, "%u buffers in %u ms", count,
      (guint) ((last - first) / GST_MSECOND));
  gst_harness_teardown (h);
  sim_child_end (sim);
  g_free (options);
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
send_three (GstHarness *h, FakeShim *shim, guint32 number)
{
  GstPad *pad = gst_element_get_static_pad (h->element, "src");
  gulong probe = gst_pad_add_probe (pad,
      GST_PAD_PROBE_TYPE_BLOCK | GST_PAD_PROBE_TYPE_BUFFER, block, NULL, NULL);
  guint64 before = qemusrc_stat (h->element, "frames");
  guint64 begin;

  fail_unless (fake_shim_send (shim, number, NULL, 0));
  while (qemusrc_stat (h->element, "frames") == before)
    g_thread_yield ();
  begin = helix_now_ns ();
  fail_unless (fake_shim_send (shim, number + 1, NULL, 0));
  fail_unless (fake_shim_send (shim, number + 2, NULL, 0));
  gst_pad_remove_probe (pad, probe);
  gst_object_unref (pad);
  gst_buffer_unref (qemusrc_expect (h, number));
  return begin;
}

/* A sink that waits for a picture's time in our thread keeps us from taking
 * others: those that it can still show in time all come, the newest only of
 * those that it cannot. */
GST_START_TEST (test_in_time)
{
  FakeConfig config = {.width = 640, .height = 96};
  FakeShim *shim = fake_shim_new (path, &config);
  GstHarness *h = qemusrc_harness_new (
      path, "video/x-raw, format=NV12", "keepalive-time", 0, NULL);
  guint64 in_time = 200 * GST_MSECOND, begin;
  guint32 number = 1;

  gst_harness_play (h);
  fail_unless (fake_shim_wait_subscribed (shim));
  send_three (h, shim, number);
  gst_buffer_unref (qemusrc_expect (h, number + 2));
  fail_unless (gst_harness_push_upstream_event (
      h, gst_event_new_latency (in_time + 10 * GST_MSECOND)));
  do { /* again, if this machine itself was too late */
    GstBuffer *buffer;
    GstVideoInfo info;

    number += 3;
    begin = send_three (h, shim, number);
    buffer = gst_harness_pull (h);
    qemusrc_info (h, &info);
    if (qemusrc_number (&info, buffer) == number + 1) {
      gst_buffer_unref (buffer);
      gst_buffer_unref (qemusrc_expect (h, number + 2));
      break;
    }
    gst_buffer_unref (buffer);
    fail_unless (helix_now_ns () - begin > in_time, "a picture is missing");
  } while (number < 300);
  fail_unless (number < 300);
  /* Never more than what a sink shows in time. */
  fail_unless (gst_harness_push_upstream_event (h, gst_event_new_latency (0)));
  number += 3;
  send_three (h, shim, number);
  gst_buffer_unref (qemusrc_expect (h, number + 2));
  gst_harness_teardown (h);
  fake_shim_free (shim);
}
GST_END_TEST;

static Suite *
gst_helix_qemu_src_rate_suite (void)
{
  Suite *s = suite_create ("helixqemusrc-rate");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_set_timeout (tc, 60);
  tcase_add_loop_test (tc, test_promise, 0, G_N_ELEMENTS (rates));
  tcase_add_test (tc, test_in_time);
  return s;
}

GST_CHECK_MAIN (gst_helix_qemu_src_rate);

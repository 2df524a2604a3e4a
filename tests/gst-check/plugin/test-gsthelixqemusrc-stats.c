/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/check/gstcheck.h>

#include "fake-shim.h"
#include "helix-platform.h"
#include "qemusrc-harness.h"

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

static guint64
percentile (GstHarness *h, const gchar *stage, const gchar *which)
{
  gchar *name = g_strconcat (stage, "-", which, NULL);
  guint64 value = qemusrc_stat (h->element, name);

  g_free (name);
  return value;
}

/* Every stage has its percentiles, in order and of the right size. */
GST_START_TEST (test_stages)
{
  static const gchar *const stages[] = {
      "readback", "wait", "convert", "latency"};
  FakeConfig config = {.width = 640, .height = 96};
  FakeShim *shim = fake_shim_new (path, &config);
  GstHarness *h = qemusrc_harness_new (
      path, "video/x-raw, format=NV12", "keepalive-time", 0, NULL);
  guint64 begin = helix_now_ns (), spent;

  for (guint i = 0; i < G_N_ELEMENTS (stages); i++)
    fail_unless_equals_uint64 (percentile (h, stages[i], "max"), 0);
  gst_harness_play (h);
  fail_unless (fake_shim_wait_subscribed (shim));
  for (guint32 n = 1; n <= 20; n++) {
    fail_unless (fake_shim_send (shim, n, NULL, 0));
    gst_buffer_unref (qemusrc_expect (h, n));
  }
  spent = helix_now_ns () - begin;
  for (guint i = 0; i < G_N_ELEMENTS (stages); i++) {
    guint64 p50 = percentile (h, stages[i], "p50");
    guint64 p95 = percentile (h, stages[i], "p95");
    guint64 p99 = percentile (h, stages[i], "p99");
    guint64 max = percentile (h, stages[i], "max");

    fail_unless (p50 <= p95 && p95 <= p99 && p99 <= max && max <= spent, "%s",
        stages[i]);
    fail_unless_equals_int (max > 0, !g_str_equal (stages[i], "wait"));
  }
  fail_unless (percentile (h, "convert", "max")
      <= qemusrc_stat (h->element, "convert-time"));
  fail_unless (percentile (h, "latency", "max")
      >= percentile (h, "convert", "p50") * 15 / 16);
  fail_unless_equals_uint64 (qemusrc_stat (h->element, "frames-in"), 20);
  fail_unless_equals_uint64 (qemusrc_stat (h->element, "frames-out"), 20);
  fail_unless_equals_uint64 (
      qemusrc_stat (h->element, "bytes"), 20 * 640 * 96 * 4);
  gst_harness_teardown (h);
  fake_shim_free (shim);
}
GST_END_TEST;

/* Each buffer says when it left, a repeated one too. */
GST_START_TEST (test_pushed)
{
  FakeConfig config = {.width = 640, .height = 96};
  FakeShim *shim = fake_shim_new (path, &config);
  GstHarness *h =
      qemusrc_harness_new (path, "video/x-raw", "keepalive-time", 30, NULL);
  GstCaps *pushed = gst_caps_new_empty_simple ("timestamp/x-helix-pushed");
  GstCaps *capture = gst_caps_new_empty_simple ("timestamp/x-system-monotonic");
  guint64 last = helix_now_ns ();

  gst_harness_play (h);
  fail_unless (fake_shim_wait_subscribed (shim));
  fail_unless (fake_shim_send (shim, 1, NULL, 0));
  for (guint i = 0; i < 5; i++) {
    GstBuffer *buffer = qemusrc_expect (h, 1);
    GstReferenceTimestampMeta *meta =
        gst_buffer_get_reference_timestamp_meta (buffer, pushed);

    fail_unless (meta != NULL);
    fail_unless (meta->timestamp > last && meta->timestamp <= helix_now_ns ());
    last = meta->timestamp;
    meta = gst_buffer_get_reference_timestamp_meta (buffer, capture);
    fail_unless_equals_int (meta != NULL, i == 0);
    fail_unless (meta == NULL || meta->timestamp < last);
    gst_buffer_unref (buffer);
  }
  fail_unless (qemusrc_stat (h->element, "frames-out") >= 5);
  fail_unless_equals_uint64 (qemusrc_stat (h->element, "frames-in"), 1);
  gst_caps_unref (pushed);
  gst_caps_unref (capture);
  gst_harness_teardown (h);
  fake_shim_free (shim);
}
GST_END_TEST;

static Suite *
gst_helix_qemu_src_stats_suite (void)
{
  Suite *s = suite_create ("helixqemusrc-stats");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_add_test (tc, test_stages);
  tcase_add_test (tc, test_pushed);
  return s;
}

GST_CHECK_MAIN (gst_helix_qemu_src_stats);

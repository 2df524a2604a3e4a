/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/check/gstcheck.h>
#include <gst/check/gstharness.h>
#include <gst/video/video.h>
#include <unistd.h>

#include "fake-shim.h"
#include "helix-marker.h"
#include "helix-platform.h"
#include "helix-test-time.h"
#include "qemusrc-harness.h"
#include "sim-child.h"

#define WIDTH 640
#define HEIGHT 96

/* What vtenc_h264 takes (GStreamer 1.22 on macOS). */
#define VTENC \
  "video/x-raw, format = { AYUV64, UYVY, NV12, I420, ARGB64_BE, RGBA64_LE }, " \
  "width = [ 1, 2147483647 ], height = [ 1, 2147483647 ], " \
  "framerate = [ 0/1, 2147483647/1 ]"

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

static FakeShim *
shim_new (void)
{
  FakeConfig config = {.width = WIDTH, .height = HEIGHT, .scanouts = 2};

  return fake_shim_new (path, &config);
}

/* ---- pictures ---- */

static const struct {
  const gchar *peer;
  const gchar *caps;
} formats[] = {
    {VTENC,
        "video/x-raw, format=NV12, framerate=60/1, colorimetry=bt709, "
        "chroma-site=jpeg"},
    {"video/x-raw, format=I420",
        "video/x-raw, format=I420, framerate=60/1, colorimetry=bt709, "
        "chroma-site=jpeg"},
    {"video/x-raw",
        "video/x-raw, format=BGRx, framerate=60/1, colorimetry=sRGB"},
    {"video/x-raw, format=BGRA",
        "video/x-raw, format=BGRA, framerate=60/1, colorimetry=sRGB"},
};

/* Frames come whole, once each, in order, with a time of their own, whatever
 * downstream takes. */
GST_START_TEST (test_formats)
{
  GstHarness *h = qemusrc_harness_new (path, formats[__i__].peer, NULL);
  GstCaps *stamp = gst_caps_new_empty_simple ("timestamp/x-system-monotonic");
  GstCaps *want = gst_caps_from_string (formats[__i__].caps), *got;
  GstClockTime last = GST_CLOCK_TIME_NONE;
  GstReferenceTimestampMeta *meta;
  FakeShim *shim = shim_new ();
  GstBuffer *buffer;

  gst_harness_play (h);
  fail_unless (fake_shim_wait_subscribed (shim));
  for (guint32 n = 1; n <= 10; n++) {
    guint64 before = helix_now_ns ();

    fail_unless (fake_shim_send (shim, n, NULL, 0));
    buffer = qemusrc_expect (h, n);
    fail_unless (GST_BUFFER_PTS_IS_VALID (buffer));
    fail_unless (
        !GST_CLOCK_TIME_IS_VALID (last) || GST_BUFFER_PTS (buffer) > last);
    last = GST_BUFFER_PTS (buffer);
    fail_unless_equals_uint64 (GST_BUFFER_OFFSET (buffer), n);
    meta = gst_buffer_get_reference_timestamp_meta (buffer, stamp);
    fail_unless (meta != NULL);
    fail_unless (
        meta->timestamp >= before && meta->timestamp <= helix_now_ns ());
    gst_buffer_unref (buffer);
  }
  got = gst_pad_get_current_caps (h->sinkpad);
  fail_unless (gst_caps_is_subset (got, want));
  gst_caps_unref (got);
  gst_caps_unref (want);
  gst_caps_unref (stamp);
  fail_unless_equals_uint64 (qemusrc_stat (h->element, "frames"), 10);
  fail_unless_equals_uint64 (qemusrc_stat (h->element, "dropped"), 0);
  fail_unless_equals_uint64 (qemusrc_stat (h->element, "last-sequence"), 10);
  fail_unless_equals_uint64 (qemusrc_stat (h->element, "width"), WIDTH);
  gst_harness_teardown (h);
  fake_shim_free (shim);
}
GST_END_TEST;

GST_START_TEST (test_resize)
{
  static const guint sizes[][2] = {
      {800, 600}, {641, 97}, {1366, 768}, {640, 96}};
  GstHarness *h = qemusrc_harness_new (path, formats[__i__].peer, NULL);
  FakeShim *shim = shim_new ();
  GstVideoInfo info;
  gboolean even;

  gst_harness_play (h);
  fail_unless (fake_shim_wait_subscribed (shim));
  fail_unless (fake_shim_send (shim, 1, NULL, 0));
  gst_buffer_unref (qemusrc_expect (h, 1));
  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
    fake_shim_resize (shim, sizes[i][0], sizes[i][1], HELIX_FOURCC_BGRX);
    for (guint32 n = 0; n < 3; n++) {
      fail_unless (fake_shim_send (shim, 10 * i + n, NULL, 0));
      gst_buffer_unref (qemusrc_expect (h, 10 * i + n));
      qemusrc_info (h, &info);
      even = GST_VIDEO_INFO_IS_YUV (&info);
      fail_unless_equals_int (GST_VIDEO_INFO_WIDTH (&info),
          even ? GST_ROUND_UP_2 (sizes[i][0]) : sizes[i][0]);
      fail_unless_equals_int (GST_VIDEO_INFO_HEIGHT (&info),
          even ? GST_ROUND_UP_2 (sizes[i][1]) : sizes[i][1]);
    }
  }
  fail_unless_equals_int (fake_shim_accepted (shim), 1);
  gst_harness_teardown (h);
  fake_shim_free (shim);
}
GST_END_TEST;

/* Slots go through untouched, and come back when their buffers go; only the
 * last picture stays with the source, which may have to repeat it. */
GST_START_TEST (test_pass_through)
{
  GstHarness *h =
      qemusrc_harness_new (path, "video/x-raw", "keepalive-time", 0, NULL);
  FakeShim *shim = shim_new ();
  GstBuffer *buffer;

  gst_harness_play (h);
  fail_unless (fake_shim_wait_subscribed (shim));
  fail_unless (fake_shim_send (shim, 1, NULL, 0));
  buffer = qemusrc_expect (h, 1);
  fail_unless (GST_MEMORY_IS_READONLY (gst_buffer_peek_memory (buffer, 0)));
  fail_unless_equals_int (fake_shim_wait_free_slots (shim, 2), 2);
  gst_buffer_unref (buffer);
  fail_unless (fake_shim_send (shim, 2, NULL, 0));
  buffer = qemusrc_expect (h, 2);
  fail_unless_equals_int (fake_shim_wait_free_slots (shim, 2), 2);
  gst_buffer_unref (buffer);
  fail_unless_equals_uint64 (qemusrc_stat (h->element, "copied"), 0);
  fail_unless_equals_uint64 (qemusrc_stat (h->element, "converted-bytes"), 0);
  gst_harness_teardown (h);
  fake_shim_free (shim);
}
GST_END_TEST;

/* What did not change is not converted again, whether downstream holds on to
 * a picture for a while or not: buffers come back to be drawn over. */
GST_START_TEST (test_only_damage_is_converted)
{
  const struct helix_rect marker = {
      0, 0, HELIX_MARKER_WIDTH, HELIX_MARKER_HEIGHT};
  FakeShim *shim = shim_new ();
  GstHarness *h = qemusrc_harness_new (path, VTENC, "keepalive-time", 0, NULL);
  GstBuffer *held = NULL;
  guint64 before, spent;

  gst_harness_play (h);
  fail_unless (fake_shim_wait_subscribed (shim));
  for (guint32 n = 1; n <= 4; n++) {
    /* The pool grows to what is out at a time, by pictures drawn whole. */
    fail_unless (fake_shim_send (shim, n, NULL, 0));
    gst_buffer_replace (&held, NULL);
    held = qemusrc_expect (h, n);
  }
  before = qemusrc_stat (h->element, "converted-bytes");
  for (guint32 n = 5; n <= 24; n++) {
    GstBuffer *buffer;

    fail_unless (fake_shim_send (shim, n, &marker, 1));
    buffer = qemusrc_expect (h, n);
    gst_buffer_replace (&held, NULL);
    held = buffer;
  }
  spent = qemusrc_stat (h->element, "converted-bytes") - before;
  /* Twenty markers, and no more than one picture that had to be whole. */
  fail_unless (spent <= 20 * 2 * HELIX_MARKER_WIDTH * HELIX_MARKER_HEIGHT * 4
              + WIDTH * HEIGHT * 4,
      "%d bytes were converted", (int) spent);
  gst_buffer_replace (&held, NULL);
  gst_harness_teardown (h);
  fake_shim_free (shim);
}
GST_END_TEST;

static void
paint_transparent (
    guint8 *pixels, guint width, guint height, guint stride, guint32 number)
{
  memset (pixels, 0, (gsize) stride * height);
}

/* What is copied is opaque; what is passed on is what the guest left there. */
GST_START_TEST (test_fourth_byte)
{
  const FakeConfig config = {
      .width = WIDTH, .height = HEIGHT, .paint = paint_transparent};
  FakeShim *shim = fake_shim_new (path, &config);
  GstHarness *h = qemusrc_harness_new (path, "video/x-raw", NULL);
  GstBuffer *hoard[20];
  guint opaque = 0;

  gst_harness_play (h);
  fail_unless (fake_shim_wait_subscribed (shim));
  for (guint32 n = 0; n < G_N_ELEMENTS (hoard); n++) {
    fail_unless (fake_shim_send (shim, n, NULL, 0));
    hoard[n] = gst_harness_pull (h);
  }
  for (guint32 n = 0; n < G_N_ELEMENTS (hoard); n++) {
    GstMapInfo map;

    fail_unless (gst_buffer_map (hoard[n], &map, GST_MAP_READ));
    for (gsize i = 7; i < map.size; i += 4)
      fail_unless_equals_int (map.data[i], map.data[3]);
    opaque += map.data[3] == 255;
    gst_buffer_unmap (hoard[n], &map);
    gst_buffer_unref (hoard[n]);
  }
  fail_unless (opaque > 0 && opaque < G_N_ELEMENTS (hoard));
  fail_unless_equals_uint64 (qemusrc_stat (h->element, "copied"), opaque);
  gst_harness_teardown (h);
  fake_shim_free (shim);
}
GST_END_TEST;

/* A downstream that keeps everything stops nothing. */
GST_START_TEST (test_hoarding)
{
  GstHarness *h = qemusrc_harness_new (path, "video/x-raw", NULL);
  FakeShim *shim = shim_new ();
  GstBuffer *hoard[20];
  GstVideoInfo info;

  gst_harness_play (h);
  fail_unless (fake_shim_wait_subscribed (shim));
  for (guint32 n = 0; n < G_N_ELEMENTS (hoard); n++) {
    fail_unless (fake_shim_send (shim, n, NULL, 0));
    hoard[n] = qemusrc_expect (h, n);
  }
  fail_unless (qemusrc_stat (h->element, "copied") >= G_N_ELEMENTS (hoard) - 3);
  fail_unless (qemusrc_stat (h->element, "converted-bytes") > 0);
  qemusrc_info (h, &info);
  gst_harness_teardown (h);
  fake_shim_free (shim);
  /* They outlive the element and the connection. */
  for (guint32 n = 0; n < G_N_ELEMENTS (hoard); n++) {
    fail_unless_equals_int (qemusrc_number (&info, hoard[n]), n);
    gst_buffer_unref (hoard[n]);
  }
}
GST_END_TEST;

GST_START_TEST (test_keepalive)
{
  GstHarness *h = qemusrc_harness_new (
      path, formats[__i__].peer, "keepalive-time", 50, NULL);
  GstCaps *stamp = gst_caps_new_empty_simple ("timestamp/x-system-monotonic");
  FakeShim *shim = shim_new ();
  GstClockTime first, last;
  GstBuffer *buffer;

  gst_harness_play (h);
  fail_unless (fake_shim_wait_subscribed (shim));
  fail_unless (fake_shim_send (shim, 1, NULL, 0));
  buffer = qemusrc_expect (h, 1);
  first = last = GST_BUFFER_PTS (buffer);
  gst_buffer_unref (buffer);
  for (guint i = 0; i < 5; i++) {
    buffer = qemusrc_expect (h, 1);
    fail_unless (GST_BUFFER_PTS (buffer) > last);
    last = GST_BUFFER_PTS (buffer);
    /* It was not captured now. */
    fail_unless (
        gst_buffer_get_reference_timestamp_meta (buffer, stamp) == NULL);
    gst_buffer_unref (buffer);
  }
  fail_unless (last - first >= 4 * 50 * GST_MSECOND);
  fail_unless (qemusrc_stat (h->element, "repeated") >= 5);
  fail_unless_equals_uint64 (qemusrc_stat (h->element, "frames"), 1);
  /* Something new is not held up by it. */
  fail_unless (fake_shim_send (shim, 2, NULL, 0));
  do {
    GstVideoInfo info;

    buffer = gst_harness_pull (h);
    qemusrc_info (h, &info);
    last = qemusrc_number (&info, buffer);
    gst_buffer_unref (buffer);
  } while (last == 1);
  fail_unless_equals_uint64 (last, 2);
  gst_caps_unref (stamp);
  gst_harness_teardown (h);
  fake_shim_free (shim);
}
GST_END_TEST;

GST_START_TEST (test_keepalive_off)
{
  GstHarness *h =
      qemusrc_harness_new (path, "video/x-raw", "keepalive-time", 0, NULL);
  gchar *other_path = fake_path_new ();
  GstHarness *other = qemusrc_harness_new (other_path, "video/x-raw", NULL);
  FakeConfig config = {.width = WIDTH, .height = HEIGHT};
  FakeShim *shim = shim_new (), *other_shim;

  other_shim = fake_shim_new (other_path, &config);
  gst_harness_play (h);
  fail_unless (fake_shim_wait_subscribed (shim));
  fail_unless (fake_shim_send (shim, 1, NULL, 0));
  gst_buffer_unref (qemusrc_expect (h, 1));
  /* As long as one with the default needs to repeat its picture twice. */
  gst_harness_play (other);
  fail_unless (fake_shim_wait_subscribed (other_shim));
  fail_unless (fake_shim_send (other_shim, 1, NULL, 0));
  for (guint i = 0; i < 3; i++)
    gst_buffer_unref (qemusrc_expect (other, 1));
  fail_unless_equals_int (gst_harness_buffers_in_queue (h), 0);
  fail_unless_equals_uint64 (qemusrc_stat (h->element, "repeated"), 0);
  /* Whoever needs the picture now asks for it. */
  fail_unless (gst_harness_push_upstream_event (h,
      gst_event_new_custom (GST_EVENT_CUSTOM_UPSTREAM,
          gst_structure_new_empty ("GstHelixRefresh"))));
  gst_buffer_unref (qemusrc_expect (h, 1));
  fail_unless_equals_uint64 (qemusrc_stat (h->element, "repeated"), 1);
  gst_harness_teardown (h);
  gst_harness_teardown (other);
  fake_shim_free (shim);
  fake_shim_free (other_shim);
  fake_path_free (other_path);
}
GST_END_TEST;

/* ---- conduct ---- */

GST_START_TEST (test_latency)
{
  GstHarness *h = qemusrc_harness_new (path, "video/x-raw", NULL);
  GstQuery *query = gst_query_new_latency ();
  GstClockTime min, max;
  gboolean live;

  gst_harness_play (h);
  fail_unless (gst_pad_peer_query (h->sinkpad, query));
  gst_query_parse_latency (query, &live, &min, &max);
  fail_unless (live);
  fail_unless (min > 0 && min < 20 * GST_MSECOND);
  fail_if (GST_CLOCK_TIME_IS_VALID (max));
  gst_query_unref (query);
  gst_harness_teardown (h);
}
GST_END_TEST;

GST_START_TEST (test_what_is_asked_for)
{
  GstHarness *h = qemusrc_harness_new (
      path, "video/x-raw", "scanout", 1, "max-framerate", 30, 1, NULL);
  FakeShim *shim = shim_new ();
  guint64 end = helix_now_ns () + TEST_SOON;
  struct helix_subscribe subscribe;
  GstVideoInfo info;

  gst_harness_play (h);
  fail_unless (fake_shim_wait_subscribed (shim));
  subscribe = fake_shim_subscription (shim);
  fail_unless_equals_int (subscribe.scanout, 1);
  fail_unless_equals_int (subscribe.resource_id, 0);
  fail_unless_equals_int (subscribe.rate_num, 30);
  fail_unless_equals_int (subscribe.rate_den, 1);
  fail_unless_equals_int (subscribe.flags, HELIX_SUBSCRIBE_CURSOR);
  fail_unless (fake_shim_send (shim, 1, NULL, 0));
  gst_buffer_unref (qemusrc_expect (h, 1));
  qemusrc_info (h, &info);
  fail_unless_equals_int (info.fps_n, 30);
  /* While playing. */
  g_object_set (h->element, "resource-id", 77, NULL);
  while (
      fake_shim_subscription (shim).resource_id != 77 && helix_now_ns () < end)
    g_thread_yield ();
  subscribe = fake_shim_subscription (shim);
  fail_unless_equals_int (subscribe.resource_id, 77);
  fail_unless (subscribe.scanout == HELIX_NONE32);
  gst_harness_teardown (h);
  fake_shim_free (shim);
}
GST_END_TEST;

/* Downstream insists on fewer frames: the shim is asked for no more. */
GST_START_TEST (test_downstream_rate)
{
  GstHarness *h = qemusrc_harness_new (
      path, "video/x-raw, format=NV12, framerate=10/1", NULL);
  FakeShim *shim = shim_new ();
  guint64 end = helix_now_ns () + TEST_SOON;

  gst_harness_play (h);
  fail_unless (fake_shim_wait_subscribed (shim));
  fail_unless_equals_int (fake_shim_subscription (shim).rate_num, 60);
  fail_unless (fake_shim_send (shim, 1, NULL, 0));
  gst_buffer_unref (qemusrc_expect (h, 1));
  while (fake_shim_subscription (shim).rate_num != 10 && helix_now_ns () < end)
    g_thread_yield ();
  fail_unless_equals_int (fake_shim_subscription (shim).rate_num, 10);
  gst_harness_teardown (h);
  fake_shim_free (shim);
}
GST_END_TEST;

/* Frames go on after a pause, and none is from before what was seen. */
GST_START_TEST (test_pause)
{
  GstHarness *h = qemusrc_harness_new (path, VTENC, NULL);
  SimChild *sim = sim_child_new (path, "--size=640x96 --rate=100");
  guint32 last = 0, number;
  GstVideoInfo info;

  for (guint i = 0; i < 10; i++) {
    gst_harness_play (h);
    for (guint n = 0; n < 5; n++) {
      GstBuffer *buffer = gst_harness_pull (h);

      qemusrc_info (h, &info);
      number = qemusrc_number (&info, buffer);
      fail_unless (number >= last);
      last = number;
      gst_buffer_unref (buffer);
    }
    fail_unless (gst_element_set_state (h->element, GST_STATE_PAUSED)
        == GST_STATE_CHANGE_NO_PREROLL);
  }
  gst_harness_teardown (h);
  sim_child_end (sim);
}
GST_END_TEST;

static const gchar *const encoders[] = {
    "x264enc tune=zerolatency speed-preset=ultrafast", "openh264enc"};

GST_START_TEST (test_encoders)
{
  SimChild *sim = sim_child_new (path, "--size=640x96 --rate=100");
  gchar *line = g_strdup_printf (
      "helixqemusrc socket-path=%s num-buffers=60 ! %s ! fakesink", path,
      encoders[__i__]);
  GError *error = NULL;
  GstElement *pipeline = gst_parse_launch (line, &error);
  GstMessage *message;
  GstBus *bus;

  fail_unless (error == NULL, "%s: %s", line, error ? error->message : "");
  bus = gst_element_get_bus (pipeline);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  message = gst_bus_timed_pop_filtered (bus, 30 * GST_SECOND,
      GST_MESSAGE_EOS | GST_MESSAGE_ERROR | GST_MESSAGE_WARNING);
  fail_unless (message != NULL, "%s did not end", line);
  fail_unless_equals_string (GST_MESSAGE_TYPE_NAME (message), "eos");
  gst_message_unref (message);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (bus);
  gst_object_unref (pipeline);
  g_free (line);
  sim_child_end (sim);
}
GST_END_TEST;

/* Drawn in bursts: numbers never go back, and the last of each burst is here
 * with nothing drawn after it. */
GST_START_TEST (test_bursts)
{
  GstHarness *h = qemusrc_harness_new (path, VTENC, "keepalive-time", 0, NULL);
  SimChild *sim = sim_child_new (path, "--size=640x96 --rate=100 --frames=150");
  guint32 last = 0;

  gst_harness_play (h);
  while (last < 149) {
    GstBuffer *buffer = gst_harness_pull (h);
    GstVideoInfo info;
    guint32 number;

    fail_unless (buffer != NULL, "frame 149 never came, the last was %u", last);
    qemusrc_info (h, &info);
    number = qemusrc_number (&info, buffer);
    fail_unless (number >= last, "%u after %u", number, last);
    last = number;
    gst_buffer_unref (buffer);
  }
  gst_harness_teardown (h);
  sim_child_end (sim);
}
GST_END_TEST;

/* The sim dies without a word and another takes its place. */
GST_START_TEST (test_peer_killed)
{
  GstHarness *h = qemusrc_harness_new (path, VTENC, "keepalive-time", 0, NULL);
  GstBus *bus = gst_bus_new ();
  GstMessage *message;
  GstBuffer *buffer;
  SimChild *sim;

  gst_element_set_bus (h->element, bus);
  sim = sim_child_new (path, "--size=640x96 --rate=100");
  gst_harness_play (h);
  for (guint i = 0; i < 3; i++) {
    gst_buffer_unref (gst_harness_pull (h));
    sim_child_kill (sim);
    message = gst_bus_timed_pop_filtered (
        bus, TEST_SOON, GST_MESSAGE_WARNING | GST_MESSAGE_ERROR);
    fail_unless (message != NULL, "no warning");
    fail_unless_equals_string (GST_MESSAGE_TYPE_NAME (message), "warning");
    gst_message_unref (message);
    while ((buffer = gst_harness_try_pull (h)) != NULL)
      gst_buffer_unref (buffer);
    sim = sim_child_new (path, "--size=640x96 --rate=100");
    buffer = gst_harness_pull (h);
    fail_unless (buffer != NULL);
    fail_unless (GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_DISCONT));
    gst_buffer_unref (buffer);
    fail_unless_equals_uint64 (qemusrc_stat (h->element, "reconnects"), i + 1);
  }
  fail_if (gst_bus_have_pending (bus)
      && gst_bus_pop_filtered (bus, GST_MESSAGE_WARNING) != NULL);
  gst_element_set_bus (h->element, NULL);
  gst_object_unref (bus);
  gst_harness_teardown (h);
  sim_child_kill (sim);
}
GST_END_TEST;

static Suite *
gst_helix_qemu_src_suite (void)
{
  Suite *s = suite_create ("helixqemusrc");
  TCase *tc = tcase_create ("general");
  gint n = G_N_ELEMENTS (formats);

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_set_timeout (tc, 120);
  tcase_add_loop_test (tc, test_formats, 0, n);
  tcase_add_loop_test (tc, test_resize, 0, n);
  tcase_add_test (tc, test_pass_through);
  tcase_add_test (tc, test_only_damage_is_converted);
  tcase_add_test (tc, test_fourth_byte);
  tcase_add_test (tc, test_hoarding);
  tcase_add_loop_test (tc, test_keepalive, 0, n);
  tcase_add_test (tc, test_keepalive_off);
  tcase_add_test (tc, test_latency);
  tcase_add_test (tc, test_what_is_asked_for);
  tcase_add_test (tc, test_downstream_rate);
  tcase_add_test (tc, test_pause);
  tcase_add_loop_test (tc, test_encoders, 0, G_N_ELEMENTS (encoders));
  tcase_add_test (tc, test_bursts);
  tcase_add_test (tc, test_peer_killed);
  return s;
}

GST_CHECK_MAIN (gst_helix_qemu_src);

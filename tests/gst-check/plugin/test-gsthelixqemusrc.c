/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gstdio.h>
#include <gst/check/gstcheck.h>

#include "helix-marker.h"
#include "helix-test-fds.h"
#include "qemusrc-fixture.h"

#define WIDTH 640
#define HEIGHT 96

/* The sink caps of vtenc_h264 (GStreamer 1.22 on macOS). */
#define VTENC \
  "video/x-raw, format = { AYUV64, UYVY, NV12, I420, ARGB64_BE, RGBA64_LE }, " \
  "width = [ 1, 2147483647 ], height = [ 1, 2147483647 ], " \
  "framerate = [ 0/1, 2147483647/1 ]"

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
  GstCaps *want = gst_caps_from_string (formats[__i__].caps), *got;
  GstClockTime last = GST_CLOCK_TIME_NONE;
  GstBuffer *buffer;

  play (NULL, formats[__i__].peer, NULL);
  for (guint32 n = 1; n <= 10; n++) {
    guint64 before = helix_now_ns ();

    send_frame (n);
    buffer = expect_buffer (n);
    fail_unless (GST_BUFFER_PTS_IS_VALID (buffer));
    fail_unless (
        !GST_CLOCK_TIME_IS_VALID (last) || GST_BUFFER_PTS (buffer) > last);
    last = GST_BUFFER_PTS (buffer);
    fail_unless_equals_uint64 (GST_BUFFER_OFFSET (buffer), n);
    fail_unless (buffer_capture (buffer) >= before
        && buffer_capture (buffer) <= helix_now_ns ());
    gst_buffer_unref (buffer);
  }
  got = gst_pad_get_current_caps (h->sinkpad);
  fail_unless (gst_caps_is_subset (got, want));
  gst_caps_unref (got);
  gst_caps_unref (want);
  fail_unless_equals_uint64 (stat_of ("frames"), 10);
  fail_unless_equals_uint64 (stat_of ("dropped"), 0);
  fail_unless_equals_uint64 (stat_of ("last-sequence"), 10);
  fail_unless_equals_uint64 (stat_of ("width"), WIDTH);
  finish ();
}
GST_END_TEST;

GST_START_TEST (test_resize)
{
  static const guint sizes[][2] = {
      {800, 600}, {641, 97}, {1366, 768}, {640, 96}};
  GstVideoInfo info;
  gboolean even;

  play (NULL, formats[__i__].peer, NULL);
  show_frame (1);
  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
    fake_shim_resize (shim, sizes[i][0], sizes[i][1], HELIX_FOURCC_BGRX);
    for (guint32 n = 0; n < 3; n++) {
      show_frame (10 * i + n);
      info = video_info ();
      even = GST_VIDEO_INFO_IS_YUV (&info);
      fail_unless_equals_int (GST_VIDEO_INFO_WIDTH (&info),
          even ? GST_ROUND_UP_2 (sizes[i][0]) : sizes[i][0]);
      fail_unless_equals_int (GST_VIDEO_INFO_HEIGHT (&info),
          even ? GST_ROUND_UP_2 (sizes[i][1]) : sizes[i][1]);
    }
  }
  fail_unless_equals_int (fake_shim_accepted (shim), 1);
  finish ();
}
GST_END_TEST;

/* Slots go through untouched, and come back when their buffers go; only the
 * last picture stays with the source, which may have to repeat it. */
GST_START_TEST (test_pass_through)
{
  GstBuffer *buffer;

  play (NULL, "video/x-raw", "keepalive-time", 0, NULL);
  send_frame (1);
  buffer = expect_buffer (1);
  fail_unless (GST_MEMORY_IS_READONLY (gst_buffer_peek_memory (buffer, 0)));
  fail_unless_equals_int (fake_shim_wait_free_slots (shim, 2), 2);
  gst_buffer_unref (buffer);
  send_frame (2);
  buffer = expect_buffer (2);
  fail_unless_equals_int (fake_shim_wait_free_slots (shim, 2), 2);
  gst_buffer_unref (buffer);
  fail_unless_equals_uint64 (stat_of ("copied"), 0);
  fail_unless_equals_uint64 (stat_of ("converted-bytes"), 0);
  finish ();
}
GST_END_TEST;

/* Unchanged pixels are not converted again, whether downstream holds on to
 * a picture for a while or not: buffers come back to be drawn over. */
GST_START_TEST (test_only_damage_is_converted)
{
  const struct helix_rect marker = {
      0, 0, HELIX_MARKER_WIDTH, HELIX_MARKER_HEIGHT};
  GstBuffer *held = NULL;
  guint64 before, spent;

  play (NULL, VTENC, "keepalive-time", 0, NULL);
  for (guint32 n = 1; n <= 4; n++) {
    /* The pool grows to what is out at a time, by pictures drawn whole. */
    send_frame (n);
    gst_buffer_replace (&held, NULL);
    held = expect_buffer (n);
  }
  before = stat_of ("converted-bytes");
  for (guint32 n = 5; n <= 24; n++) {
    GstBuffer *buffer;

    fail_unless (fake_shim_send (shim, n, &marker, 1));
    buffer = expect_buffer (n);
    gst_buffer_replace (&held, NULL);
    held = buffer;
  }
  spent = stat_of ("converted-bytes") - before;
  /* Twenty markers, and no more than one picture that had to be whole. */
  fail_unless (spent <= 20 * 2 * HELIX_MARKER_WIDTH * HELIX_MARKER_HEIGHT * 4
              + WIDTH * HEIGHT * 4,
      "%d bytes were converted", (int) spent);
  gst_buffer_replace (&held, NULL);
  finish ();
}
GST_END_TEST;

static void
paint_transparent (
    guint8 *pixels, guint width, guint height, guint stride, guint32 number)
{
  helix_marker_draw (pixels, stride, number);
  for (guint y = 0; y < height; y++)
    for (guint x = 0; x < width; x++)
      pixels[y * stride + 4 * x + 3] = 0;
}

/* A downstream that keeps everything stops nothing. A copy is opaque; a picture
 * that is passed on keeps the guest's bytes. */
GST_START_TEST (test_hoarding)
{
  const FakeConfig config = {
      .width = WIDTH, .height = HEIGHT, .paint = paint_transparent};
  GstBuffer *hoard[20];
  guint opaque = 0, copied;

  play (&config, "video/x-raw", NULL);
  for (guint32 n = 0; n < G_N_ELEMENTS (hoard); n++) {
    send_frame (n);
    hoard[n] = expect_buffer (n);
  }
  copied = (guint) stat_of ("copied");
  fail_unless (copied >= G_N_ELEMENTS (hoard) - 3);
  fail_unless (stat_of ("converted-bytes") > 0);
  finish ();
  /* They outlive the element and the connection. */
  for (guint32 n = 0; n < G_N_ELEMENTS (hoard); n++) {
    GstMapInfo map;

    fail_unless_equals_int (number_of (hoard[n]), n);
    fail_unless (gst_buffer_map (hoard[n], &map, GST_MAP_READ));
    for (gsize i = 7; i < map.size; i += 4)
      if (map.data[i] != map.data[3])
        fail ("%u: byte %" G_GSIZE_FORMAT " is %u", n, i, map.data[i]);
    opaque += map.data[3] == 255;
    gst_buffer_unmap (hoard[n], &map);
    gst_buffer_unref (hoard[n]);
  }
  fail_unless (copied < G_N_ELEMENTS (hoard));
  fail_unless_equals_int (opaque, copied);
}
GST_END_TEST;

static guint64
pushed_of (GstBuffer *buffer)
{
  return buffer_time (buffer, "timestamp/x-helix-pushed");
}

/* Each buffer says when it left, a repeated one too. */
GST_START_TEST (test_keepalive)
{
  guint64 pushed = helix_now_ns ();
  GstClockTime first, last;
  GstBuffer *buffer;
  guint32 number;

  play (NULL, formats[__i__].peer, "keepalive-time", 50, NULL);
  send_frame (1);
  buffer = expect_buffer (1);
  first = last = GST_BUFFER_PTS (buffer);
  fail_unless (pushed_of (buffer) > pushed && buffer_capture (buffer) != 0);
  pushed = pushed_of (buffer);
  fail_unless (buffer_capture (buffer) < pushed);
  gst_buffer_unref (buffer);
  for (guint i = 0; i < 5; i++) {
    buffer = expect_buffer (1);
    fail_unless (GST_BUFFER_PTS (buffer) > last);
    last = GST_BUFFER_PTS (buffer);
    fail_unless (buffer_capture (buffer) == 0); /* it was not captured now */
    fail_unless (pushed_of (buffer) > pushed);
    pushed = pushed_of (buffer);
    fail_unless (pushed <= helix_now_ns ());
    gst_buffer_unref (buffer);
  }
  fail_unless (stat_of ("frames-out") >= 6);
  fail_unless (last - first >= 4 * 50 * GST_MSECOND);
  fail_unless (stat_of ("repeated") >= 5);
  fail_unless_equals_uint64 (stat_of ("flushed"), 0); /* no sink reports */
  fail_unless_equals_uint64 (stat_of ("frames"), 1);
  /* Something new is not held up by it. */
  send_frame (2);
  do
    number = pull_number ();
  while (number == 1);
  fail_unless_equals_int (number, 2);
  finish ();
}
GST_END_TEST;

GST_START_TEST (test_keepalive_off)
{
  play (NULL, "video/x-raw", "keepalive-time", 0, NULL);
  show_frame (1);
  /* Longer than the default needs to repeat a picture. */
  fake_shim_wait_pings (shim, 2);
  fail_unless_equals_int (gst_harness_buffers_in_queue (h), 0);
  fail_unless_equals_uint64 (stat_of ("repeated"), 0);
  /* An upstream event requests the picture now. */
  fail_unless (gst_harness_push_upstream_event (h,
      gst_event_new_custom (GST_EVENT_CUSTOM_UPSTREAM,
          gst_structure_new_empty ("GstHelixRefresh"))));
  fail_unless_equals_int (pull_number (), 1);
  fail_unless_equals_uint64 (stat_of ("repeated"), 1);
  finish ();
}
GST_END_TEST;

/* ---- conduct ---- */

GST_START_TEST (test_latency)
{
  GstQuery *query = gst_query_new_latency ();
  GstClockTime min, max;
  gboolean live;

  play (NULL, "video/x-raw", NULL);
  fail_unless (gst_pad_peer_query (h->sinkpad, query));
  gst_query_parse_latency (query, &live, &min, &max);
  fail_unless (live);
  fail_unless (min > 0 && min < 20 * GST_MSECOND);
  fail_if (GST_CLOCK_TIME_IS_VALID (max));
  gst_query_unref (query);
  finish ();
}
GST_END_TEST;

GST_START_TEST (test_request)
{
  struct helix_subscribe subscribe;

  play (NULL, "video/x-raw", "scanout", 1, "max-framerate", 30, 1, NULL);
  subscribe = fake_shim_subscription (shim);
  fail_unless_equals_int (subscribe.scanout, 1);
  fail_unless_equals_int (subscribe.resource_id, 0);
  fail_unless_equals_int (subscribe.rate_num, 30);
  fail_unless_equals_int (subscribe.rate_den, 1);
  fail_unless_equals_int (subscribe.flags, HELIX_SUBSCRIBE_CURSOR);
  show_frame (1);
  fail_unless_equals_int (video_info ().fps_n, 30);
  /* While playing. */
  g_object_set (h->element, "resource-id", 77, NULL);
  subscribe = expect_subscribes (2);
  fail_unless_equals_int (subscribe.resource_id, 77);
  fail_unless (subscribe.scanout == HELIX_NONE32);
  finish ();
}
GST_END_TEST;

/* Downstream insists on fewer frames: the shim is asked for no more. */
GST_START_TEST (test_downstream_rate)
{
  play (NULL, "video/x-raw, format=NV12, framerate=10/1", NULL);
  fail_unless_equals_int (fake_shim_subscription (shim).rate_num, 60);
  show_frame (1);
  fail_unless_equals_int (expect_subscribes (2).rate_num, 10);
  finish ();
}
GST_END_TEST;

/* Drawn in bursts: numbers never go back, and the last of each burst is here
 * with nothing drawn after it. */
GST_START_TEST (test_bursts)
{
  guint32 last = 0;

  play_sim ("--size=640x96 --rate=100 --frames=150", VTENC, "keepalive-time", 0,
      NULL);
  while (last < 149) {
    guint32 number = pull_number ();

    fail_unless (number >= last, "%u after %u", number, last);
    last = number;
  }
  finish ();
}
GST_END_TEST;

/* All of a large picture changes, converted by one thread or more, and the
 * element stops between two of them. */
GST_START_TEST (test_threads)
{
  guint32 last = 0;

  play_sim ("--size=1920x1080 --rate=60 --pattern=full", VTENC,
      "keepalive-time", 0, "n-threads", __i__, NULL);
  for (guint i = 0; i < 5; i++) {
    guint32 number = pull_number ();

    fail_unless (i == 0 || number > last, "%u after %u", number, last);
    last = number;
  }
  finish ();
}
GST_END_TEST;

/* The sim dies without a word and another takes its place. */
GST_START_TEST (test_peer_killed)
{
  const gchar *options = "--size=640x96 --rate=100";
  GstBuffer *buffer;

  play_sim (options, VTENC, "keepalive-time", 0, NULL);
  for (guint i = 0; i < 3; i++) {
    gst_buffer_unref (pull ());
    sim_child_kill (sim);
    expect_message (GST_MESSAGE_WARNING, path);
    while ((buffer = gst_harness_try_pull (h)) != NULL)
      gst_buffer_unref (buffer);
    sim = sim_child_new (path, options);
    buffer = pull ();
    fail_unless (GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_DISCONT));
    gst_buffer_unref (buffer);
    fail_unless_equals_uint64 (stat_of ("reconnects"), i + 1);
  }
  expect_no_message ();
  finish ();
}
GST_END_TEST;

/* ---- statistics ---- */

static guint64
percentile (const gchar *stage, const gchar *which)
{
  gchar *name = g_strconcat (stage, "-", which, NULL);
  guint64 value = stat_of (name);

  g_free (name);
  return value;
}

/* Every stage has its percentiles, in order and of the right size. */
GST_START_TEST (test_stages)
{
  static const gchar *const stages[] = {
      "readback", "wait", "convert", "latency"};
  guint64 begin = helix_now_ns (), spent;

  play (NULL, "video/x-raw, format=NV12", "keepalive-time", 0, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (stages); i++)
    fail_unless_equals_uint64 (percentile (stages[i], "max"), 0);
  for (guint32 n = 1; n <= 20; n++)
    show_frame (n);
  spent = helix_now_ns () - begin;
  for (guint i = 0; i < G_N_ELEMENTS (stages); i++) {
    guint64 p50 = percentile (stages[i], "p50");
    guint64 p95 = percentile (stages[i], "p95");
    guint64 p99 = percentile (stages[i], "p99");
    guint64 max = percentile (stages[i], "max");

    fail_unless (p50 <= p95 && p95 <= p99 && p99 <= max && max <= spent, "%s",
        stages[i]);
    fail_unless_equals_int (max > 0, !g_str_equal (stages[i], "wait"));
  }
  fail_unless (percentile ("convert", "max") <= stat_of ("convert-time"));
  fail_unless (
      percentile ("latency", "max") >= percentile ("convert", "p50") * 15 / 16);
  fail_unless_equals_uint64 (stat_of ("frames-in"), 20);
  fail_unless_equals_uint64 (stat_of ("frames-out"), 20);
  fail_unless_equals_uint64 (stat_of ("bytes"), 20 * 640 * 96 * 4);
  finish ();
}
GST_END_TEST;

/* ---- states ---- */

static void
change_states (void)
{
  GstElement *pipeline, *src;
  GstBus *bus;

  pipeline = gst_parse_launch ("helixqemusrc name=src ! fakesink", NULL);
  src = gst_bin_get_by_name (GST_BIN (pipeline), "src");
  g_object_set (src, "socket-path", path, NULL);
  for (guint i = 0; i < 50; i++) {
    guint64 begin = helix_now_ns ();

    fail_unless (gst_element_set_state (pipeline, GST_STATE_PLAYING)
        != GST_STATE_CHANGE_FAILURE);
    /* Anywhere between the first step and the first frames. */
    g_usleep ((gulong) (i % 10) * 1000);
    fail_unless (gst_element_set_state (pipeline, GST_STATE_NULL)
        == GST_STATE_CHANGE_SUCCESS);
    fail_unless (helix_now_ns () - begin < TEST_SOON);
  }
  bus = gst_element_get_bus (pipeline);
  gst_object_unref (src);
  gst_object_unref (pipeline);
  /* A thread of GstBin that completes a state change may be the last user of
   * the pipeline, and so of the two descriptors of the bus. */
  while (GST_OBJECT_REFCOUNT_VALUE (bus) > 1)
    g_thread_yield ();
  gst_object_unref (bus);
}

/* In PAUSED it leaves the shim, without a message; it comes back for a picture
 * of then. */
GST_START_TEST (test_pause)
{
  play (NULL, "video/x-raw, format=NV12", "keepalive-time", 1, NULL);
  for (guint32 n = 1; n <= 3; n++) {
    GstBuffer *buffer;

    fail_unless (fake_shim_wait_subscribed (shim));
    fail_unless_equals_int (fake_shim_accepted (shim), n);
    send_frame (n);
    buffer = pull_new ();
    fail_unless_equals_int (number_of (buffer), n);
    gst_buffer_unref (buffer);
    fail_unless (gst_element_set_state (h->element, GST_STATE_PAUSED)
        != GST_STATE_CHANGE_FAILURE);
    fail_unless (fake_shim_wait_byes (shim, n));
    fail_unless (gst_element_set_state (h->element, GST_STATE_PLAYING)
        != GST_STATE_CHANGE_FAILURE);
  }
  expect_no_message ();
  fail_unless_equals_uint64 (stat_of ("reconnects"), 0);
  finish ();
}
GST_END_TEST;

/* Without a shim, and with one. */
GST_START_TEST (test_states)
{
  guint fds;

  if (__i__ == 1)
    sim = sim_child_new (path, "--size=640x96 --rate=200");
  change_states ();
  fds = test_count_fds ();
  change_states ();
  fail_unless_equals_int (test_count_fds (), fds);
  g_clear_pointer (&sim, sim_child_end);
}
GST_END_TEST;

/* Nothing is left of a pipeline: not of one that was resized either. */
GST_START_TEST (test_leaks)
{
  const gchar *launch = g_getenv ("GST_LAUNCH");
  gchar *line, *out = NULL, *err = NULL;
  GError *error = NULL;
  gint status = -1;

  if (launch == NULL) {
    GST_INFO ("no gst-launch-1.0 to run");
    return;
  }
  sim = sim_child_new (
      path, "--size=640x96 --rate=100 --resize-every=20:800x600");
  line = g_strdup_printf ("%s -q helixqemusrc socket-path=%s num-buffers=100 "
                          "! %s ! fakesink",
      launch, path, "x264enc tune=zerolatency speed-preset=ultrafast");
  g_setenv ("GST_TRACERS", "leaks", TRUE);
  g_setenv ("GST_DEBUG", "GST_TRACER:7", TRUE);
  g_setenv ("GST_DEBUG_NO_COLOR", "1", TRUE);
  fail_unless (g_spawn_command_line_sync (line, &out, &err, &status, &error),
      "%s", error ? error->message : "");
  fail_unless_equals_int (status, 0);
  fail_unless (
      strstr (err, "object-alive.class") != NULL, "no tracer: %s", err);
  fail_unless (
      strstr (err, "object-alive, type-name=(string)G") == NULL, "%s", err);
  g_free (out);
  g_free (err);
  g_free (line);
  sim_child_end (sim);
}
GST_END_TEST;

/* ---- complaints ---- */

/* Plays a source with these properties until it complains: the first message is
 * of this type and names `word`, and no warning is on the bus after it. */
static void
expect_complaint (
    const gchar *properties, GstMessageType type, const gchar *word)
{
  GstElement *pipeline =
      pipeline_launch ("helixqemusrc %s ! fakesink", properties);

  bus = gst_element_get_bus (pipeline);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  expect_message (type, word);
  gst_element_set_state (pipeline, GST_STATE_PAUSED);
  /* The base class adds its own "Internal data stream error". */
  fail_unless (gst_bus_pop_filtered (bus, GST_MESSAGE_WARNING) == NULL,
      "%s: a second warning", properties);
  pipeline_end (pipeline);
  gst_object_unref (bus);
}

/* The same of one with that path. */
static void
expect_complaint_at (const gchar *where, const gchar *properties,
    GstMessageType type, const gchar *word)
{
  g_autofree gchar *all =
      g_strdup_printf ("socket-path=%s %s", where, properties);

  expect_complaint (all, type, word);
}

GST_START_TEST (test_no_peer)
{
  const gchar *word = "Start QEMU with -device helix-export";

  expect_complaint_at (path, "", GST_MESSAGE_WARNING, word);
  expect_complaint_at (path, "auto-reconnect=false", GST_MESSAGE_ERROR, word);
}
GST_END_TEST;

GST_START_TEST (test_default_places)
{
  g_autofree gchar *usual = g_build_filename (folder, "helix.sock", NULL);

  g_setenv ("XDG_RUNTIME_DIR", folder, TRUE);
  fail_unless (g_chdir (folder) == 0);
  g_unsetenv ("HELIX_SOCKET");
  expect_complaint ("", GST_MESSAGE_WARNING, usual);
  expect_complaint ("", GST_MESSAGE_WARNING, "No VM that exports its screen");
  g_setenv ("HELIX_SOCKET", "/nowhere/h.sock", TRUE);
  expect_complaint ("", GST_MESSAGE_WARNING, "/nowhere/h.sock");
}
GST_END_TEST;

GST_START_TEST (test_bad_scanout)
{
  sim = sim_child_new (path, "--size=640x96 --scanouts=2");
  expect_complaint_at (path, "scanout=99", GST_MESSAGE_ERROR,
      "There is no scanout 99: the VM at");
  sim_child_end (sim);
}
GST_END_TEST;

GST_START_TEST (test_bad_path)
{
  g_autofree gchar *too_long = g_strdup_printf ("/tmp/%0150d", 0);

  expect_complaint_at (too_long, "", GST_MESSAGE_ERROR, "the path has");
  fail_unless (g_file_set_contents (path, "", 0, NULL));
  expect_complaint_at (path, "", GST_MESSAGE_ERROR, "is a regular file");
}
GST_END_TEST;

static const struct {
  FakeFault fault;
  const gchar *word;
} faults[] = {
    {FAKE_WRONG_MAGIC, "does not speak the helix frame protocol"},
    {FAKE_VERSION_WELCOME, "version 77"},
    {FAKE_VERSION_ERROR, "version 77"},
};

GST_START_TEST (test_bad_peer)
{
  const FakeConfig config = {
      .fault = faults[__i__].fault, .width = WIDTH, .height = HEIGHT};

  shim = fake_shim_new (path, &config);
  expect_complaint_at (path, "", GST_MESSAGE_ERROR, faults[__i__].word);
  fake_shim_free (shim);
}
GST_END_TEST;

static Suite *
gst_helix_qemu_src_suite (void)
{
  gint n = G_N_ELEMENTS (formats);
  TCase *tc;
  Suite *s = stream_suite ("helixqemusrc", 120, &tc);

  tcase_add_loop_test (tc, test_formats, 0, n);
  tcase_add_loop_test (tc, test_resize, 0, n);
  tcase_add_test (tc, test_pass_through);
  tcase_add_test (tc, test_only_damage_is_converted);
  tcase_add_test (tc, test_hoarding);
  tcase_add_loop_test (tc, test_keepalive, 0, n);
  tcase_add_test (tc, test_keepalive_off);
  tcase_add_test (tc, test_latency);
  tcase_add_test (tc, test_request);
  tcase_add_test (tc, test_downstream_rate);
  tcase_add_test (tc, test_bursts);
  tcase_add_loop_test (tc, test_threads, 0, 5);
  tcase_add_test (tc, test_peer_killed);
  tcase_add_test (tc, test_stages);
  tcase_add_loop_test (tc, test_states, 0, 2);
  tcase_add_test (tc, test_pause);
  tcase_add_test (tc, test_leaks);
  tcase_add_test (tc, test_no_peer);
  tcase_add_test (tc, test_default_places);
  tcase_add_test (tc, test_bad_scanout);
  tcase_add_test (tc, test_bad_path);
  tcase_add_loop_test (tc, test_bad_peer, 0, G_N_ELEMENTS (faults));
  return s;
}

GST_CHECK_MAIN (gst_helix_qemu_src);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest chooses the size of its screen, and no size ends the host's
 * pipeline.
 */
#include <gst/app/gstappsink.h>
#include <gst/check/gstcheck.h>

#include "fake-shim.h"
#include "helix-convert.h"
#include "qemusrc-harness.h"

static gchar *path;
static FakeShim *shim;

static void
setup (void)
{
  const FakeConfig config = {.width = 640, .height = 96};

  path = fake_path_new ();
  shim = fake_shim_new (path, &config);
}

static void
teardown (void)
{
  if (shim != NULL)
    fake_shim_free (shim);
  fake_path_free (path);
}

/* ---- through encoders ---- */

/* Slopes: what is coded with losses is near what it was. The last column and
 * row are white, so that one that is lost or moved is seen. */
static void
paint (guint8 *pixels, guint width, guint height, guint stride, guint32 number)
{
  for (guint y = 0; y < height; y++)
    for (guint x = 0; x < width; x++) {
      gboolean edge = x + 1 == width || y + 1 == height;

      pixels[y * stride + 4 * x] = edge ? 255 : (guint8) (x * 160 / width);
      pixels[y * stride + 4 * x + 1] = edge ? 255 : (guint8) (y * 160 / height);
      pixels[y * stride + 4 * x + 2] = edge ? 255 : (guint8) (number * 10);
      pixels[y * stride + 4 * x + 3] = 0;
    }
}

/* Even, and a macroblock at least. */
static gint
coded (guint pixels)
{
  return (gint) MAX (GST_ROUND_UP_2 (pixels), 16);
}

/* The luma that the encoder was given. */
static void
check_luma (GstSample *sample, guint width, guint height, guint32 number)
{
  guint8 *pixels = g_malloc ((gsize) width * height * 4);
  HelixPicture picture = {
      pixels, width, height, width * 4, GST_VIDEO_FORMAT_BGRx};
  HelixConvert *convert = helix_convert_new ();
  GstVideoFrame got, want;
  GstVideoInfo info, own;
  GstBuffer *reference;
  guint64 error = 0;
  helix_region all;

  fail_unless (gst_video_info_from_caps (&info, gst_sample_get_caps (sample)));
  fail_unless_equals_int (GST_VIDEO_INFO_WIDTH (&info), coded (width));
  fail_unless_equals_int (GST_VIDEO_INFO_HEIGHT (&info), coded (height));
  own = info;
  own.colorimetry.range = GST_VIDEO_COLOR_RANGE_16_235;
  own.colorimetry.matrix = GST_VIDEO_COLOR_MATRIX_BT709;
  own.chroma_site = GST_VIDEO_CHROMA_SITE_JPEG;
  paint (pixels, width, height, width * 4, number);
  helix_region_init (&all);
  reference = gst_buffer_new_allocate (NULL, own.size, NULL);
  fail_unless (helix_convert_configure (convert, &picture, &own));
  fail_unless (
      helix_convert_run (convert, &picture, NULL, &all, reference, FALSE));
  fail_unless (gst_video_frame_map (
      &got, &info, gst_sample_get_buffer (sample), GST_MAP_READ));
  fail_unless (gst_video_frame_map (&want, &own, reference, GST_MAP_READ));
  for (gint y = 0; y < info.height; y++) {
    const guint8 *a = GST_VIDEO_FRAME_COMP_DATA (&got, 0);
    const guint8 *b = GST_VIDEO_FRAME_COMP_DATA (&want, 0);

    a += y * GST_VIDEO_FRAME_COMP_STRIDE (&got, 0);
    b += y * GST_VIDEO_FRAME_COMP_STRIDE (&want, 0);
    for (gint x = 0; x < info.width; x++) {
      error += (guint64) ABS (a[x] - b[x]);
      fail_unless (ABS (a[x] - b[x]) < 64, "%ux%u: luma at %d,%d is %u, not %u",
          width, height, x, y, a[x], b[x]);
    }
  }
  fail_unless (error <= 6ull * (guint64) (info.width * info.height),
      "%ux%u: the mean error is %g", width, height,
      (gdouble) error / (info.width * info.height));
  gst_video_frame_unmap (&got);
  gst_video_frame_unmap (&want);
  gst_buffer_unref (reference);
  helix_convert_free (convert);
  g_free (pixels);
}

static const struct {
  const gchar *name, *line;
} encoders[] = {
    {"x264enc", "x264enc tune=zerolatency speed-preset=veryfast qp-max=20"},
    {"openh264enc", "openh264enc bitrate=8000000 qp-max=20 qp-min=10"},
};

static GstElement *
pipeline_new (const gchar *encoder)
{
  gchar *line = g_strdup_printf (
      "helixqemusrc socket-path=%s keepalive-time=50 ! %s ! h264parse ! "
      "avdec_h264 max-threads=1 ! appsink name=out sync=false max-buffers=1 "
      "drop=true",
      path, encoder);
  GstElement *pipeline = gst_parse_launch (line, NULL);

  fail_unless (pipeline != NULL);
  g_free (line);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  return pipeline;
}

static void
expect_no_error (GstBus *bus)
{
  GstMessage *message = gst_bus_pop_filtered (bus, GST_MESSAGE_ERROR);
  GError *error = NULL;

  if (message == NULL)
    return;
  gst_message_parse_error (message, &error, NULL);
  fail ("%s", error->message);
}

/* The next picture of this size. */
static GstSample *
pull_size (GstElement *pipeline, guint width, guint height)
{
  GstElement *sink = gst_bin_get_by_name (GST_BIN (pipeline), "out");
  GstBus *bus = gst_element_get_bus (pipeline);
  GstSample *sample;
  GstVideoInfo info;

  for (;;) { /* until the test's time is over */
    sample =
        gst_app_sink_try_pull_sample (GST_APP_SINK (sink), 10 * GST_SECOND);
    expect_no_error (bus);
    fail_unless (sample != NULL, "no picture of %ux%u", width, height);
    fail_unless (
        gst_video_info_from_caps (&info, gst_sample_get_caps (sample)));
    if (info.width == coded (width) && info.height == coded (height))
      break;
    gst_sample_unref (sample);
  }
  gst_object_unref (bus);
  gst_object_unref (sink);
  return sample;
}

static gboolean
have (const gchar *name)
{
  GstElementFactory *factory = gst_element_factory_find (name);

  if (factory == NULL)
    return FALSE;
  gst_object_unref (factory);
  return TRUE;
}

static void
stop (GstElement *pipeline)
{
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (pipeline);
}

/* Odd and even, as small as can be, one after the other in one pipeline. */
GST_START_TEST (test_encoders)
{
  static const guint sizes[][2] = {{160, 96}, {161, 96}, {160, 97}, {161, 97},
      {367, 269}, {17, 19}, {33, 15}, {1, 1}, {1, 40}, {41, 1}, {161, 97}};
  const FakeConfig config = {.width = 64, .height = 64, .paint = paint};
  GstElement *pipeline;

  if (!have (encoders[__i__].name) || !have ("avdec_h264"))
    return;
  fake_shim_free (shim);
  shim = fake_shim_new (path, &config);
  pipeline = pipeline_new (encoders[__i__].line);
  fail_unless (fake_shim_wait_subscribed (shim));
  for (guint32 n = 0; n < G_N_ELEMENTS (sizes); n++) {
    guint width = sizes[n][0], height = sizes[n][1];
    GstSample *sample;

    fake_shim_resize (shim, width, height, HELIX_FOURCC_BGRX);
    fail_unless (fake_shim_send (shim, n, NULL, 0));
    sample = pull_size (pipeline, width, height);
    check_luma (sample, width, height, n);
    gst_sample_unref (sample);
  }
  stop (pipeline);
}
GST_END_TEST;

/* ---- what downstream does not take ---- */

static GstBus *
watch (GstHarness *h)
{
  GstBus *bus = gst_bus_new ();

  gst_element_set_bus (h->element, bus);
  return bus;
}

static void
end (GstHarness *h, GstBus *bus)
{
  gst_harness_teardown (h);
  gst_bus_set_flushing (bus, TRUE);
  gst_object_unref (bus);
}

static void
expect_message (GstBus *bus, GstMessageType type, const gchar *word)
{
  GstMessage *message = gst_bus_timed_pop_filtered (bus, 10 * GST_SECOND,
      GST_MESSAGE_INFO | GST_MESSAGE_WARNING | GST_MESSAGE_ERROR);
  GError *error = NULL;

  fail_unless (message != NULL, "no message of '%s'", word);
  fail_unless_equals_int (GST_MESSAGE_TYPE (message), type);
  if (type == GST_MESSAGE_ERROR)
    gst_message_parse_error (message, &error, NULL);
  else
    gst_message_parse_warning (message, &error, NULL);
  fail_unless (strstr (error->message, word) != NULL, "%s", error->message);
  g_clear_error (&error);
  gst_message_unref (message);
}

static void
send_size (guint width, guint height, guint32 number)
{
  fake_shim_resize (shim, width, height, HELIX_FOURCC_BGRX);
  fail_unless (fake_shim_send (shim, number, NULL, 0));
}

/* Told by caps: a warning, black, and on with the next size that fits. */
GST_START_TEST (test_limits_of_caps)
{
  GstHarness *h = qemusrc_harness_new (path,
      "video/x-raw, format=NV12, width=[ 32, 700 ], height=[ 32, 200 ]",
      "keepalive-time", 50, NULL);
  GstBus *bus = watch (h);
  GstVideoInfo info;
  GstBuffer *buffer;

  gst_harness_play (h);
  fail_unless (fake_shim_wait_subscribed (shim));
  send_size (8, 8, 1); /* the first: nothing is shown */
  expect_message (bus, GST_MESSAGE_WARNING, "has 8x8 pixels");
  fail_unless_equals_int (gst_harness_buffers_received (h), 0);
  send_size (640, 96, 2);
  gst_buffer_unref (qemusrc_expect (h, 2));
  for (guint32 n = 3; n < 6; n++) { /* the same size, again and again */
    send_size (800, 600, n);
    send_size (640, 96, n);
    while (qemusrc_stat (h->element, "frames") < n - 1) {
      buffer = gst_harness_pull (h);
      qemusrc_info (h, &info);
      fail_unless_equals_int (info.width, 640);
      gst_buffer_unref (buffer);
    }
  }
  send_size (800, 600, 7);
  for (guint i = 0; i < 5; i++) /* more of it is no news */
    fail_unless (fake_shim_send (shim, 8 + i, NULL, 0));
  while (qemusrc_stat (h->element, "black") < 1)
    gst_buffer_unref (gst_harness_pull (h));
  send_size (640, 98, 20);
  do {
    buffer = gst_harness_pull (h);
    qemusrc_info (h, &info);
    if (info.height == 98)
      break;
    gst_buffer_unref (buffer);
  } while (TRUE);
  gst_buffer_unref (buffer);
  fail_unless (gst_bus_pop_filtered (bus, GST_MESSAGE_ERROR) == NULL);
  end (h, bus);
}
GST_END_TEST;

/* Downstream changes its mind, the screen does not. */
GST_START_TEST (test_reconfigured)
{
  GstHarness *h = qemusrc_harness_new (path,
      "video/x-raw, format=NV12, width=[ 16, 100 ]", "keepalive-time", 0, NULL);
  GstBus *bus = watch (h);

  gst_harness_play (h);
  fail_unless (fake_shim_wait_subscribed (shim));
  fail_unless (fake_shim_send (shim, 1, NULL, 0));
  expect_message (bus, GST_MESSAGE_WARNING, "has 640x96 pixels");
  gst_harness_set_sink_caps_str (h, "video/x-raw, format=NV12");
  gst_harness_push_upstream_event (h, gst_event_new_reconfigure ());
  while (fake_shim_subscribes (shim) < 2)
    g_thread_yield ();
  fail_unless (fake_shim_send (shim, 2, NULL, 0));
  gst_buffer_unref (qemusrc_expect (h, 2));
  end (h, bus);
}
GST_END_TEST;

/* Likewise, when a picture of another size is shown already and nothing repeats
 * it. */
GST_START_TEST (test_reconfigured_later)
{
  GstHarness *h = qemusrc_harness_new (path,
      "video/x-raw, format=NV12, width=[ 16, 100 ]", "keepalive-time", 0, NULL);
  GstBus *bus = watch (h);

  gst_harness_play (h);
  fail_unless (fake_shim_wait_subscribed (shim));
  send_size (80, 48, 1);
  gst_buffer_unref (gst_harness_pull (h));
  send_size (640, 96, 2);
  expect_message (bus, GST_MESSAGE_WARNING, "has 640x96 pixels");
  while (qemusrc_stat (h->element, "black") < 1)
    g_thread_yield ();
  gst_harness_set_sink_caps_str (h, "video/x-raw, format=NV12");
  gst_harness_push_upstream_event (h, gst_event_new_reconfigure ());
  while (fake_shim_subscribes (shim) < 2)
    g_thread_yield ();
  fail_unless (fake_shim_send (shim, 3, NULL, 0));
  while (qemusrc_stat (h->element, "frames") < 2)
    g_thread_yield ();
  end (h, bus);
}
GST_END_TEST;

/* No other size would do. */
GST_START_TEST (test_no_format)
{
  GstHarness *h = qemusrc_harness_new (path, "video/x-raw, format=RGB16", NULL);
  GstBus *bus = watch (h);

  gst_harness_play (h);
  fail_unless (fake_shim_wait_subscribed (shim));
  fail_unless (fake_shim_send (shim, 1, NULL, 0));
  expect_message (bus, GST_MESSAGE_ERROR, "Put videoconvert behind");
  end (h, bus);
}
GST_END_TEST;

/* Not told by caps: openh264enc refuses more than 9437184 pixels only when it
 * is given their caps. */
GST_START_TEST (test_refusal)
{
  static const guint misfits[][2] = {{9600, 1000}, {3100, 3100}};
  GstElement *pipeline;
  GstBus *bus;

  if (!have ("openh264enc") || !have ("avdec_h264"))
    return;
  pipeline = pipeline_new ("openh264enc");
  bus = gst_element_get_bus (pipeline);
  fail_unless (fake_shim_wait_subscribed (shim));
  if (__i__ == 1) { /* with the first one */
    send_size (9600, 1002, 0);
    expect_message (bus, GST_MESSAGE_WARNING, "has 9600x1002 pixels");
  }
  for (guint32 n = 0; n < G_N_ELEMENTS (misfits); n++) {
    send_size (640, 96, 1);
    gst_sample_unref (pull_size (pipeline, 640, 96));
    send_size (misfits[n][0], misfits[n][1], 2);
    send_size (misfits[n][0], misfits[n][1], 3); /* it has the first one */
    for (guint i = 0; i < 3; i++)                /* what was there goes on */
      gst_sample_unref (pull_size (pipeline, 640, 96));
    /* The very caps that the encoder had before. */
    send_size (640, 96, 4);
    gst_sample_unref (pull_size (pipeline, 640, 96));
    send_size (642, 98, 5);
    gst_sample_unref (pull_size (pipeline, 642, 98));
  }
  gst_object_unref (bus);
  stop (pipeline);
}
GST_END_TEST;

static Suite *
gst_helix_qemu_src_sizes_suite (void)
{
  Suite *s = suite_create ("helixqemusrc-sizes");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_set_timeout (tc, 200);
  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_add_loop_test (tc, test_encoders, 0, G_N_ELEMENTS (encoders));
  tcase_add_test (tc, test_limits_of_caps);
  tcase_add_test (tc, test_reconfigured);
  tcase_add_test (tc, test_reconfigured_later);
  tcase_add_test (tc, test_no_format);
  tcase_add_loop_test (tc, test_refusal, 0, 2);
  return s;
}

GST_CHECK_MAIN (gst_helix_qemu_src_sizes);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Screens without a picture: those that are off, and sizes that downstream does
 * not take. The guest chooses the size, and none ends the host's pipeline.
 */
#include <gst/check/gstcheck.h>

#include "gsthelixevents.h"
#include "picture-maker.h"
#include "qemusrc-fixture.h"

#define WIDTH 641
#define HEIGHT 97

static const gchar *const peers[] = {"video/x-raw, format=NV12",
    "video/x-raw, format=I420", "video/x-raw, format=BGRx",
    "video/x-raw, format=BGRA",
    "video/x-raw, format=NV12, colorimetry=1:4:5:1"};

/* In place of a number: all of the picture is black. */
#define BLACK HELIX_NONE32

static void
play_lit (const gchar *peer, guint32 fourcc)
{
  const FakeConfig config = {
      .width = WIDTH, .height = HEIGHT, .fourcc = fourcc};

  play (&config, peer, "keepalive-time", 20, NULL);
  show_frame (1);
}

/* Whether all of the buffer is black, and opaque. */
static gboolean
is_black (GstBuffer *buffer)
{
  GstVideoInfo info = video_info ();
  gboolean full = info.colorimetry.range == GST_VIDEO_COLOR_RANGE_0_255;
  const guint8 yuv[] = {full ? 0 : 16, 128, 128}, rgb[] = {0, 0, 0, 255};
  const guint8 *black = GST_VIDEO_INFO_IS_YUV (&info) ? yuv : rgb;
  GstVideoFrame frame;
  gboolean all = TRUE;

  fail_unless (gst_video_frame_map (&frame, &info, buffer, GST_MAP_READ));
  for (guint c = 0; c < GST_VIDEO_FRAME_N_COMPONENTS (&frame); c++)
    for (gint y = 0; y < GST_VIDEO_FRAME_COMP_HEIGHT (&frame, c); y++)
      for (gint x = 0; x < GST_VIDEO_FRAME_COMP_WIDTH (&frame, c); x++) {
        const guint8 *row = GST_VIDEO_FRAME_COMP_DATA (&frame, c);

        row += y * GST_VIDEO_FRAME_COMP_STRIDE (&frame, c);
        all &= row[x * GST_VIDEO_FRAME_COMP_PSTRIDE (&frame, c)] == black[c];
      }
  gst_video_frame_unmap (&frame);
  return all;
}

/* Nothing but `before` comes before `number` does; either may be BLACK. */
static void
expect_number (guint32 before, guint32 number)
{
  guint32 got;

  do {
    g_autoptr (GstBuffer) buffer = pull ();
    GstVideoInfo info = video_info ();

    fail_unless_equals_int (info.width,
        GST_VIDEO_INFO_IS_YUV (&info) ? GST_ROUND_UP_2 (WIDTH) : WIDTH);
    fail_unless_equals_int (info.height,
        GST_VIDEO_INFO_IS_YUV (&info) ? GST_ROUND_UP_2 (HEIGHT) : HEIGHT);
    got = is_black (buffer) ? BLACK : number_of (buffer);
    fail_unless (got == before || got == number, "%u", got);
  } while (got != number);
}

/* A frame of which only a corner is announced as changed. */
static void
light_up (guint32 number)
{
  const struct helix_rect corner = {0, 0, 2, 2};

  fake_shim_resize (shim, WIDTH, HEIGHT, HELIX_FOURCC_BGRX);
  fail_unless (fake_shim_send (shim, number, &corner, 1));
}

GST_START_TEST (test_off_from_the_start)
{
  const FakeConfig config = {.width = WIDTH, .height = HEIGHT, .off = TRUE};

  play (&config, peers[0], "keepalive-time", 20, NULL);
  expect_message (GST_MESSAGE_INFO, "Scanout 0 is off");
  fail_unless_equals_int (gst_harness_buffers_received (h), 0);
  light_up (7);
  fail_unless_equals_int (pull_number (), 7);
  expect_message (GST_MESSAGE_INFO, "Scanout 0 is on: 641x97");
  expect_no_message ();
  finish ();
}
GST_END_TEST;

/* Off, on, off and on again: each is said once, black comes and goes, and
 * nothing black is left in later pictures. */
GST_START_TEST (test_goes_off)
{
  const guint cycles = __i__ == 0 ? 2 : 1;

  play_lit (peers[__i__], HELIX_FOURCC_BGRX);
  for (guint32 n = 1; n <= cycles; n++) {
    fake_shim_off (shim);
    expect_number (n, BLACK);
    expect_message (GST_MESSAGE_INFO, "Scanout 0 is off");
    for (guint i = 0; i < 3; i++)
      expect_number (BLACK, BLACK); /* repeated */
    light_up (n + 1);
    expect_number (BLACK, n + 1);
    expect_message (GST_MESSAGE_INFO, "Scanout 0 is on: 641x97");
  }
  expect_no_message ();
  fail_unless_equals_uint64 (stat_of ("black"), cycles);
  finish ();
}
GST_END_TEST;

/* Orders of bytes with alpha: black is opaque. */
GST_START_TEST (test_alpha)
{
  static const guint32 fourccs[] = {
      HELIX_FOURCC_BGRA, HELIX_FOURCC_ARGB, HELIX_FOURCC_ABGR};

  play_lit (peers[3], fourccs[__i__]);
  fake_shim_off (shim);
  expect_number (1, BLACK);
  finish ();
}
GST_END_TEST;

GST_START_TEST (test_last)
{
  play_lit (peers[0], 0);
  g_object_set (h->element, "when-off", 1, NULL);
  fake_shim_off (shim);
  expect_message (GST_MESSAGE_INFO, "The last picture is shown");
  for (guint i = 0; i < 20; i++)
    fail_unless_equals_int (pull_number (), 1);
  light_up (2);
  expect_message (GST_MESSAGE_INFO, "Scanout 0 is on");
  fail_unless_equals_uint64 (stat_of ("black"), 0);
  finish ();
}
GST_END_TEST;

/* A change of mode passes through "off": nothing is said of it or shown. */
GST_START_TEST (test_change_of_mode)
{
  play_lit (peers[0], 0);
  for (guint i = 0; i < 50; i++)
    fake_shim_blink (shim);
  send_frame (2);
  expect_number (1, 2);
  expect_no_message ();
  /* The second counts from here, not from the last blink. */
  fake_shim_off (shim);
  expect_number (2, BLACK);
  expect_message (GST_MESSAGE_INFO, "Scanout 0 is off");
  expect_no_message ();
  fail_unless_equals_uint64 (stat_of ("black"), 1);
  finish ();
}
GST_END_TEST;

GST_START_TEST (test_shown_resource)
{
  struct helix_show show;

  play_lit (peers[0], 0);
  gst_harness_push_upstream_event (
      h, gst_helix_event_new_show (17, GST_CLOCK_TIME_NONE));
  fail_unless (fake_shim_wait_show (shim, 1, &show));
  fake_shim_off (shim);
  expect_number (1, BLACK);
  expect_message (
      GST_MESSAGE_INFO, "Resource 17 is off: the guest has destroyed it");
  finish ();
}
GST_END_TEST;

/* QEMU ends, and its screen before it: that is an outage. */
GST_START_TEST (test_outage)
{
  const FakeConfig config = {.width = WIDTH, .height = HEIGHT};

  play_lit (peers[0], 0);
  fake_shim_vanish (shim);
  expect_message (GST_MESSAGE_WARNING, path);
  fake_shim_free (shim);
  /* More than a second, in repetitions of the last picture. */
  for (guint i = 0; i < 60; i++)
    fail_unless_equals_int (pull_number (), 1);
  shim = fake_shim_new (path, &config);
  send_frame (2);
  await_stat ("frames", 2);
  fail_unless_equals_uint64 (stat_of ("black"), 0);
  /* A VM that comes back without a picture says so, and so does its end. */
  fake_shim_off (shim);
  expect_message (GST_MESSAGE_INFO, "Scanout 0 is off");
  fake_shim_vanish (shim);
  expect_message (GST_MESSAGE_WARNING, path);
  finish ();
}
GST_END_TEST;

/* A dark screen is there: reconnect-timeout counts from its end. */
GST_START_TEST (test_dark_is_no_outage)
{
  const FakeConfig config = {.width = WIDTH, .height = HEIGHT, .off = TRUE};

  play (&config, peers[0], "reconnect-timeout", 800, NULL);
  expect_message (GST_MESSAGE_INFO, "Scanout 0 is off"); /* after a second */
  fake_shim_vanish (shim);
  expect_message (GST_MESSAGE_WARNING, path);
  finish ();
}
GST_END_TEST;

/* Downstream wants another format of a screen that is off. */
GST_START_TEST (test_renegotiated)
{
  play_lit (peers[0], 0);
  fake_shim_off (shim);
  expect_number (1, BLACK);
  renegotiate (peers[2]);
  await_stat ("black", 2);
  while (gst_harness_buffers_in_queue (h) > 0)
    gst_buffer_unref (pull ());
  expect_number (BLACK, BLACK);
  expect_message (GST_MESSAGE_INFO, "Scanout 0 is off");
  expect_no_message ();
  finish ();
}
GST_END_TEST;

/* ---- through encoders ---- */

/* Slopes: with the losses of coding they stay near their values. The last
 * column and row are white, to show if one is lost or moved. */
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
  GstVideoInfo info, own;
  GstBuffer *reference;
  guint64 error;

  fail_unless (gst_video_info_from_caps (&info, gst_sample_get_caps (sample)));
  fail_unless_equals_int (GST_VIDEO_INFO_WIDTH (&info), coded (width));
  fail_unless_equals_int (GST_VIDEO_INFO_HEIGHT (&info), coded (height));
  own = info;
  own.colorimetry.range = GST_VIDEO_COLOR_RANGE_16_235;
  own.colorimetry.matrix = GST_VIDEO_COLOR_MATRIX_BT709;
  own.chroma_site = GST_VIDEO_CHROMA_SITE_JPEG;
  paint (pixels, width, height, width * 4, number);
  reference = maker_convert (&picture, NULL, &own);
  error =
      compare_frames (&info, gst_sample_get_buffer (sample), reference, 1, 63);
  fail_unless (error <= 6ull * (guint64) (info.width * info.height),
      "%ux%u: the mean error is %g", width, height,
      (gdouble) error / (info.width * info.height));
  gst_buffer_unref (reference);
  g_free (pixels);
}

static const struct {
  const gchar *needs, *line;
} encoders[] = {
    {"x264enc avdec_h264",
        "x264enc tune=zerolatency speed-preset=veryfast qp-max=20"},
    {"openh264enc avdec_h264",
        "openh264enc bitrate=8000000 qp-max=20 qp-min=10"},
};

/* Plays it, with the fixture's shim and bus. */
static GstElement *
pipeline_new (const gchar *encoder)
{
  const FakeConfig config = {.width = 640, .height = 96, .paint = paint};
  GstElement *pipeline = pipeline_launch (
      "helixqemusrc socket-path=%s keepalive-time=50 ! %s ! h264parse ! "
      "avdec_h264 max-threads=1 ! appsink name=out sync=false max-buffers=1 "
      "drop=true",
      path, encoder);

  shim = fake_shim_new (path, &config);
  bus = gst_element_get_bus (pipeline);
  pipeline_play (pipeline);
  fail_unless (fake_shim_wait_subscribed (shim));
  return pipeline;
}

static void
pipeline_free (GstElement *pipeline)
{
  pipeline_end (pipeline);
  gst_object_unref (bus);
  fake_shim_free (shim);
}

static void
expect_no_error (void)
{
  GstMessage *message = gst_bus_pop_filtered (bus, GST_MESSAGE_ERROR);

  fail_unless (message == NULL, "%" GST_PTR_FORMAT, message);
}

/* The next picture of this size. */
static GstSample *
pull_size (GstElement *pipeline, guint width, guint height)
{
  GstSample *sample;
  GstVideoInfo info;

  for (;;) { /* until the test's time is over */
    sample = pipeline_pull (pipeline);
    expect_no_error ();
    fail_unless (
        gst_video_info_from_caps (&info, gst_sample_get_caps (sample)));
    if (info.width == coded (width) && info.height == coded (height))
      break;
    gst_sample_unref (sample);
  }
  return sample;
}

/* Odd and even, as small as can be, one after the other in one pipeline. */
GST_START_TEST (test_encoders)
{
  static const guint sizes[][2] = {{160, 96}, {161, 96}, {160, 97}, {161, 97},
      {367, 269}, {17, 19}, {33, 15}, {1, 1}, {1, 40}, {41, 1}, {161, 97}};
  GstElement *pipeline;

  if (!have_elements (encoders[__i__].needs))
    return;
  pipeline = pipeline_new (encoders[__i__].line);
  for (guint32 n = 0; n < G_N_ELEMENTS (sizes); n++) {
    guint width = sizes[n][0], height = sizes[n][1];
    GstSample *sample;

    send_size (width, height, n);
    sample = pull_size (pipeline, width, height);
    check_luma (sample, width, height, n);
    gst_sample_unref (sample);
  }
  pipeline_free (pipeline);
}
GST_END_TEST;

/* ---- sizes that downstream does not take ---- */

/* Told by caps: a warning, black, and on with the next size that fits. */
GST_START_TEST (test_limits_of_caps)
{
  play (NULL, "video/x-raw, format=NV12, width=[ 32, 700 ], height=[ 32, 200 ]",
      "keepalive-time", 50, NULL);
  send_size (8, 8, 1); /* the first: nothing is shown */
  expect_message (GST_MESSAGE_WARNING, "has 8x8 pixels");
  fail_unless_equals_int (gst_harness_buffers_received (h), 0);
  send_size (640, 96, 2);
  fail_unless_equals_int (pull_number (), 2);
  for (guint32 n = 3; n < 6; n++) { /* the same size, again and again */
    send_size (800, 600, n);
    send_size (640, 96, n);
    while (stat_of ("frames") < n - 1) {
      gst_buffer_unref (pull ());
      fail_unless_equals_int (video_info ().width, 640);
    }
  }
  send_size (800, 600, 7);
  for (guint i = 0; i < 5; i++) /* more of it is no news */
    send_frame (8 + i);
  await_stat ("black", 1);
  send_size (640, 98, 20);
  do
    gst_buffer_unref (pull ());
  while (video_info ().height != 98);
  expect_no_error ();
  finish ();
}
GST_END_TEST;

/* Downstream changes its mind, the screen does not; at first, or when a picture
 * of another size is shown already. Nothing is repeated. */
GST_START_TEST (test_reconfigured)
{
  play (NULL, "video/x-raw, format=NV12, width=[ 16, 100 ]", "keepalive-time",
      0, NULL);
  if (__i__ == 1) {
    send_size (80, 48, 1);
    gst_buffer_unref (pull ());
  }
  send_size (640, 96, 2);
  expect_message (GST_MESSAGE_WARNING, "has 640x96 pixels");
  if (__i__ == 1)
    await_stat ("black", 1);
  renegotiate ("video/x-raw, format=NV12");
  await_subscribes (2);
  send_frame (3);
  await_stat ("frames", 1 + (guint) __i__);
  finish ();
}
GST_END_TEST;

/* No other size would do. */
GST_START_TEST (test_no_format)
{
  play (NULL, "video/x-raw, format=RGB16", NULL);
  send_frame (1);
  expect_message (GST_MESSAGE_ERROR, "Put videoconvert behind");
  finish ();
}
GST_END_TEST;

/* Not told by caps: openh264enc refuses more than 9437184 pixels only when it
 * is given their caps. */
GST_START_TEST (test_refusal)
{
  static const guint misfits[][2] = {{9600, 1000}, {3100, 3100}};
  GstElement *pipeline;

  if (!have_elements ("openh264enc avdec_h264"))
    return;
  pipeline = pipeline_new ("openh264enc");
  if (__i__ == 1) { /* with the first one */
    send_size (9600, 1002, 0);
    expect_message (GST_MESSAGE_WARNING, "has 9600x1002 pixels");
  }
  for (guint32 n = 0; n < G_N_ELEMENTS (misfits); n++) {
    send_size (640, 96, 1);
    gst_sample_unref (pull_size (pipeline, 640, 96));
    send_size (misfits[n][0], misfits[n][1], 2);
    send_size (misfits[n][0], misfits[n][1], 3); /* it has the first one */
    for (guint i = 0; i < 3; i++) /* the picture before goes on */
      gst_sample_unref (pull_size (pipeline, 640, 96));
    /* The very caps that the encoder had before. */
    send_size (640, 96, 4);
    gst_sample_unref (pull_size (pipeline, 640, 96));
    send_size (642, 98, 5);
    gst_sample_unref (pull_size (pipeline, 642, 98));
  }
  pipeline_free (pipeline);
}
GST_END_TEST;

static Suite *
gst_helix_qemu_src_dark_suite (void)
{
  TCase *tc;
  Suite *s = stream_suite ("helixqemusrc-dark", 200, &tc);

  tcase_add_test (tc, test_off_from_the_start);
  tcase_add_loop_test (tc, test_goes_off, 0, G_N_ELEMENTS (peers));
  tcase_add_loop_test (tc, test_alpha, 0, 3);
  tcase_add_test (tc, test_last);
  tcase_add_test (tc, test_change_of_mode);
  tcase_add_test (tc, test_shown_resource);
  tcase_add_test (tc, test_outage);
  tcase_add_test (tc, test_dark_is_no_outage);
  tcase_add_test (tc, test_renegotiated);
  tcase_add_loop_test (tc, test_encoders, 0, G_N_ELEMENTS (encoders));
  tcase_add_test (tc, test_limits_of_caps);
  tcase_add_loop_test (tc, test_reconfigured, 0, 2);
  tcase_add_test (tc, test_no_format);
  tcase_add_loop_test (tc, test_refusal, 0, 2);
  return s;
}

GST_CHECK_MAIN (gst_helix_qemu_src_dark);

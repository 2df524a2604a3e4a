/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A screen that is off: what helixqemusrc says of it, and shows.
 */
#include <glib/gstdio.h>
#include <gst/check/gstcheck.h>

#include "fake-shim.h"
#include "gsthelixevents.h"
#include "helix-platform.h"
#include "qemusrc-harness.h"

#define WIDTH 641
#define HEIGHT 97

static const gchar *const peers[] = {"video/x-raw, format=NV12",
    "video/x-raw, format=I420", "video/x-raw, format=BGRx",
    "video/x-raw, format=BGRA",
    "video/x-raw, format=NV12, colorimetry=1:4:5:1"};

/* Of Y, U, V or R, G, B, and alpha. */
static const guint8 blacks[][4] = {
    {16, 128, 128}, {16, 128, 128}, {0, 0, 0}, {0, 0, 0, 255}, {0, 128, 128}};

static gchar *path;
static FakeShim *shim;
static GstHarness *h;
static GstBus *bus;

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

static void
play (const gchar *peer, const FakeConfig *config)
{
  shim = fake_shim_new (path, config);
  h = qemusrc_harness_new (path, peer, "keepalive-time", 20, NULL);
  bus = gst_bus_new ();
  gst_element_set_bus (h->element, bus);
  gst_harness_play (h);
  fail_unless (fake_shim_wait_subscribed (shim));
}

static void
play_lit (const gchar *peer, guint32 fourcc)
{
  const FakeConfig config = {
      .width = WIDTH, .height = HEIGHT, .fourcc = fourcc};

  play (peer, &config);
  fail_unless (fake_shim_send (shim, 1, NULL, 0));
  gst_buffer_unref (qemusrc_expect (h, 1));
}

static void
end (void)
{
  gst_harness_teardown (h);
  fake_shim_free (shim);
  gst_bus_set_flushing (bus, TRUE);
  gst_object_unref (bus);
}

/* The next INFO contains `word`, and so does what gst-launch-1.0 prints. */
static void
expect_info (const gchar *word)
{
  GstMessage *message = gst_bus_timed_pop_filtered (bus, 10 * GST_SECOND,
      GST_MESSAGE_INFO | GST_MESSAGE_WARNING | GST_MESSAGE_ERROR);
  GError *error = NULL;
  gchar *debug = NULL;

  fail_unless (message != NULL, "no message of '%s'", word);
  fail_unless_equals_int (GST_MESSAGE_TYPE (message), GST_MESSAGE_INFO);
  gst_message_parse_info (message, &error, &debug);
  fail_unless (strstr (error->message, word) != NULL, "%s", error->message);
  fail_unless_equals_string (debug, error->message);
  g_clear_error (&error);
  g_free (debug);
  gst_message_unref (message);
}

static void
expect_no_message (void)
{
  GstMessage *message = gst_bus_pop_filtered (
      bus, GST_MESSAGE_INFO | GST_MESSAGE_WARNING | GST_MESSAGE_ERROR);

  fail_unless (message == NULL);
}

/* Whether all of the buffer is black. */
static gboolean
is_black (GstBuffer *buffer, const guint8 black[4])
{
  GstVideoInfo info;
  GstVideoFrame frame;
  gboolean all = TRUE;

  qemusrc_info (h, &info);
  fail_unless_equals_int (GST_VIDEO_INFO_WIDTH (&info),
      GST_VIDEO_INFO_IS_YUV (&info) ? GST_ROUND_UP_2 (WIDTH) : WIDTH);
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

/* Nothing but `number` comes before black does. */
static void
expect_black (guint32 number, const guint8 black[4])
{
  GstVideoInfo info;
  GstBuffer *buffer;

  for (;;) {
    buffer = gst_harness_pull (h);
    fail_unless (buffer != NULL);
    qemusrc_info (h, &info);
    if (is_black (buffer, black))
      break;
    fail_unless_equals_int (qemusrc_number (&info, buffer), number);
    gst_buffer_unref (buffer);
  }
  gst_buffer_unref (buffer);
}

/* Nothing but black comes before `number` does. */
static void
expect_light (guint32 number, const guint8 black[4])
{
  GstBuffer *buffer;
  GstVideoInfo info;

  do {
    buffer = gst_harness_pull (h);
    fail_unless (buffer != NULL);
    if (!is_black (buffer, black))
      break;
    gst_buffer_unref (buffer);
  } while (TRUE);
  qemusrc_info (h, &info);
  fail_unless_equals_int (qemusrc_number (&info, buffer), number);
  gst_buffer_unref (buffer);
}

/* Nothing but `before` comes before `number` does. */
static void
expect_number (guint32 before, guint32 number)
{
  guint32 got;

  do {
    GstBuffer *buffer = gst_harness_pull (h);
    GstVideoInfo info;

    fail_unless (buffer != NULL);
    qemusrc_info (h, &info);
    got = qemusrc_number (&info, buffer);
    fail_unless (got == before || got == number, "%u", got);
    gst_buffer_unref (buffer);
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

  play (peers[0], &config);
  expect_info ("Scanout 0 is off");
  fail_unless_equals_int (gst_harness_buffers_received (h), 0);
  light_up (7);
  gst_buffer_unref (qemusrc_expect (h, 7));
  expect_info ("Scanout 0 is on: 641x97");
  expect_no_message ();
  end ();
}
GST_END_TEST;

/* Off, on, off and on again: each is said once, black comes and goes, and
 * nothing black is left in what is converted later. */
GST_START_TEST (test_goes_off)
{
  const guint8 *black = blacks[__i__];

  play_lit (peers[__i__], HELIX_FOURCC_BGRX);
  for (guint32 n = 1; n <= 2; n++) {
    fake_shim_off (shim);
    expect_black (n, black);
    expect_info ("Scanout 0 is off");
    for (guint i = 0; i < 3; i++)
      expect_black (HELIX_NONE32, black); /* repeated */
    light_up (n + 1);
    expect_light (n + 1, black);
    expect_info ("Scanout 0 is on: 641x97");
  }
  expect_no_message ();
  fail_unless_equals_uint64 (qemusrc_stat (h->element, "black"), 2);
  end ();
}
GST_END_TEST;

/* Orders of bytes with alpha: black is opaque. */
GST_START_TEST (test_alpha)
{
  static const guint32 fourccs[] = {
      HELIX_FOURCC_BGRA, HELIX_FOURCC_ARGB, HELIX_FOURCC_ABGR};

  play_lit (peers[3], fourccs[__i__]);
  fake_shim_off (shim);
  expect_black (1, blacks[3]);
  end ();
}
GST_END_TEST;

GST_START_TEST (test_last)
{
  play_lit (peers[0], 0);
  g_object_set (h->element, "when-off", 1, NULL);
  fake_shim_off (shim);
  expect_info ("The last picture is shown");
  for (guint i = 0; i < 20; i++)
    gst_buffer_unref (qemusrc_expect (h, 1));
  light_up (2);
  expect_info ("Scanout 0 is on");
  fail_unless_equals_uint64 (qemusrc_stat (h->element, "black"), 0);
  end ();
}
GST_END_TEST;

/* A change of mode passes through "off": nothing is said of it or shown. */
GST_START_TEST (test_change_of_mode)
{
  play_lit (peers[0], 0);
  for (guint i = 0; i < 50; i++)
    fake_shim_blink (shim);
  fail_unless (fake_shim_send (shim, 2, NULL, 0));
  expect_number (1, 2);
  expect_no_message ();
  /* What began before it ended with it: the second counts from here. */
  fake_shim_off (shim);
  expect_black (2, blacks[0]);
  expect_info ("Scanout 0 is off");
  expect_no_message ();
  fail_unless_equals_uint64 (qemusrc_stat (h->element, "black"), 1);
  end ();
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
  expect_black (1, blacks[0]);
  expect_info ("Resource 17 is off: the guest has destroyed it");
  end ();
}
GST_END_TEST;

/* QEMU ends, and its screen before it: that is an outage. */
GST_START_TEST (test_outage)
{
  const FakeConfig config = {.width = WIDTH, .height = HEIGHT};
  GstMessage *message;

  play_lit (peers[0], 0);
  fake_shim_vanish (shim);
  message = gst_bus_timed_pop_filtered (
      bus, 10 * GST_SECOND, GST_MESSAGE_INFO | GST_MESSAGE_WARNING);
  fail_unless (message != NULL);
  fail_unless_equals_int (GST_MESSAGE_TYPE (message), GST_MESSAGE_WARNING);
  gst_message_unref (message);
  fake_shim_free (shim);
  /* More than a second, in repetitions of the last picture. */
  for (guint i = 0; i < 60; i++)
    gst_buffer_unref (qemusrc_expect (h, 1));
  shim = fake_shim_new (path, &config);
  fail_unless (fake_shim_send (shim, 2, NULL, 0));
  while (qemusrc_stat (h->element, "frames") < 2)
    gst_buffer_unref (gst_harness_pull (h));
  fail_unless_equals_uint64 (qemusrc_stat (h->element, "black"), 0);
  /* A VM that comes back without a picture says so, and so does its end. */
  fake_shim_off (shim);
  expect_info ("Scanout 0 is off");
  fake_shim_vanish (shim);
  message = gst_bus_timed_pop_filtered (
      bus, 10 * GST_SECOND, GST_MESSAGE_INFO | GST_MESSAGE_WARNING);
  fail_unless (message != NULL);
  fail_unless_equals_int (GST_MESSAGE_TYPE (message), GST_MESSAGE_WARNING);
  gst_message_unref (message);
  end ();
}
GST_END_TEST;

/* A dark screen is there: reconnect-timeout counts from its end. */
GST_START_TEST (test_dark_is_no_outage)
{
  const FakeConfig config = {.width = WIDTH, .height = HEIGHT, .off = TRUE};
  GstMessage *message;

  shim = fake_shim_new (path, &config);
  h = qemusrc_harness_new (path, peers[0], "reconnect-timeout", 800, NULL);
  bus = gst_bus_new ();
  gst_element_set_bus (h->element, bus);
  gst_harness_play (h);
  expect_info ("Scanout 0 is off"); /* after a second */
  fake_shim_vanish (shim);
  message = gst_bus_timed_pop_filtered (
      bus, 10 * GST_SECOND, GST_MESSAGE_ERROR | GST_MESSAGE_WARNING);
  fail_unless (message != NULL);
  fail_unless_equals_int (GST_MESSAGE_TYPE (message), GST_MESSAGE_WARNING);
  gst_message_unref (message);
  end ();
}
GST_END_TEST;

/* Downstream wants another format of a screen that is off. */
GST_START_TEST (test_renegotiated)
{
  play_lit (peers[0], 0);
  fake_shim_off (shim);
  expect_black (1, blacks[0]);
  gst_harness_set_sink_caps_str (h, peers[2]);
  gst_harness_push_upstream_event (h, gst_event_new_reconfigure ());
  while (qemusrc_stat (h->element, "black") < 2)
    gst_buffer_unref (gst_harness_pull (h));
  while (gst_harness_buffers_in_queue (h) > 0)
    gst_buffer_unref (gst_harness_pull (h));
  expect_black (HELIX_NONE32, blacks[2]);
  expect_info ("Scanout 0 is off");
  expect_no_message ();
  end ();
}
GST_END_TEST;

static Suite *
gst_helix_qemu_src_dark_suite (void)
{
  Suite *s = suite_create ("helixqemusrc-dark");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_set_timeout (tc, 30);
  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_add_test (tc, test_off_from_the_start);
  tcase_add_loop_test (tc, test_goes_off, 0, G_N_ELEMENTS (peers));
  tcase_add_loop_test (tc, test_alpha, 0, 3);
  tcase_add_test (tc, test_last);
  tcase_add_test (tc, test_change_of_mode);
  tcase_add_test (tc, test_shown_resource);
  tcase_add_test (tc, test_outage);
  tcase_add_test (tc, test_dark_is_no_outage);
  tcase_add_test (tc, test_renegotiated);
  return s;
}

GST_CHECK_MAIN (gst_helix_qemu_src_dark);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest is in control, end to end and without an application: what is set
 * on helixsrc happens in helixqemusrc and in the encoder, through lines that
 * anybody could type.
 */
#include <gst/check/gstcheck.h>
#include <gst/video/video.h>
#include <stdlib.h>

#include "sim-child.h"
#include "stream-fixture.h"
#include "stream-pipeline.h"

/* The encoder stands between the caps of vtenc_h264 (sys/applemedia/vtenc.c of
 * GStreamer 1.22): what it takes must be enough for helixqemusrc, and the avc
 * that it gives for helixguestsink. */
#define VTENC_SINK \
  "capsfilter caps=\"video/x-raw," \
  "format={AYUV64,UYVY,NV12,I420,ARGB64_BE,RGBA64_LE}," \
  "width=[1,2147483647],height=[1,2147483647]," \
  "framerate=[0/1,2147483647/1]\""
#define VTENC_SRC "video/x-h264,stream-format=avc,alignment=au"

/* For something to happen; machines are slow. */
#define PATIENCE_US (20 * G_GINT64_CONSTANT (1000000))

/* Where the sim's resource 1001 begins to count. */
#define RESOURCE_PICTURES 1000000

static gchar *socket_path;
static SimChild *sim;
static GstElement *host, *guest;

static void
setup (void)
{
  socket_path = g_build_filename (folder, "helix.sock", NULL);
  /* VMs of other tests are not to be seen, nor this one by them. */
  g_setenv ("XDG_RUNTIME_DIR", folder, TRUE);
}

/* `branch`: what the guest does with the stream. FALSE: no x264enc here. */
static gboolean
start (const gchar *sim_options, const gchar *src_options, const gchar *branch)
{
  if (!have_elements ("x264enc"))
    return FALSE;
  sim = sim_child_new (socket_path, sim_options);
  host = pipeline_play (pipeline_launch (
      "helixqemusrc name=src socket-path=%s %s ! " VTENC_SINK
      " ! x264enc name=enc tune=zerolatency speed-preset=ultrafast ! " VTENC_SRC
      " ! helixguestsink name=sink control-encoder=true address=%s",
      socket_path, src_options, address));
  guest = pipeline_play (
      pipeline_launch ("helixsrc name=src address=%s ! h264parse ! %s "
                       "appsink name=out sync=false",
          address, branch));
  return TRUE;
}

/* Within the test: GstCheck waits for the pipelines' threads before any
 * fixture is torn down. */
static void
stop (void)
{
  g_clear_pointer (&guest, pipeline_end);
  g_clear_pointer (&host, pipeline_end);
  g_clear_pointer (&sim, sim_child_end);
}

static void
teardown (void)
{
  g_free (socket_path);
}

static void
set (GstElement *pipeline, const gchar *element, const gchar *property,
    const gchar *value)
{
  GstElement *found = gst_bin_get_by_name (GST_BIN (pipeline), element);

  gst_util_set_object_arg (G_OBJECT (found), property, value);
  gst_object_unref (found);
}

static guint
get (GstElement *pipeline, const gchar *element, const gchar *property)
{
  GstElement *found = gst_bin_get_by_name (GST_BIN (pipeline), element);
  guint value = 0;

  g_object_get (found, property, &value, NULL);
  gst_object_unref (found);
  return value;
}

/* Takes pictures until one has a number from `from` up to below `to`. */
static void
expect_picture (guint32 from, guint32 to)
{
  gint64 end = g_get_monotonic_time () + PATIENCE_US;
  guint32 number = 0;

  for (;;) {
    GstSample *sample = pipeline_pull (guest);
    gboolean read = sample_marker (sample, &number);

    gst_sample_unref (sample);
    if (read && number >= from && number < to)
      return;
    fail_unless (g_get_monotonic_time () < end,
        "no picture from %u to %u comes; the last is %u", from, to, number);
  }
}

#define DECODE "avdec_h264 ! videoconvert ! video/x-raw,format=GRAY8 !"

/* Another picture, and back. */
GST_START_TEST (test_resource)
{
  if (!start ("--size=640x96 --rate=30 --resources=1", "", DECODE))
    return;
  expect_picture (1, RESOURCE_PICTURES);
  set (guest, "src", "resource-id", "1001");
  expect_picture (RESOURCE_PICTURES, G_MAXUINT32);
  fail_unless_equals_int (get (host, "src", "resource-id"), 1001);
  set (guest, "src", "resource-id", "0");
  expect_picture (1, RESOURCE_PICTURES);
  stop ();
}
GST_END_TEST;

/* Another screen; one that does not exist changes nothing. */
GST_START_TEST (test_scanout)
{
  gint64 end = g_get_monotonic_time () + PATIENCE_US;

  if (!start ("--size=640x96 --rate=30 --scanouts=2", "", ""))
    return;
  gst_sample_unref (pipeline_pull (guest));
  set (guest, "src", "scanout", "1");
  while (get (host, "src", "scanout") != 1) {
    gst_sample_unref (pipeline_pull (guest));
    fail_unless (g_get_monotonic_time () < end, "scanout 1 is not shown");
  }
  set (guest, "src", "scanout", "7");
  pipeline_expect (host, GST_MESSAGE_WARNING, "scanout 7");
  fail_unless_equals_int (get (host, "src", "scanout"), 1);
  for (guint i = 0; i < 10; i++)
    gst_sample_unref (pipeline_pull (guest));
  stop ();
}
GST_END_TEST;

static guint8
brightest (GstSample *sample)
{
  guint8 most = 0;
  GstMapInfo map;

  fail_unless (
      gst_buffer_map (gst_sample_get_buffer (sample), &map, GST_MAP_READ));
  for (gsize i = 0; i < map.size; i++)
    most = MAX (most, map.data[i]);
  gst_buffer_unmap (gst_sample_get_buffer (sample), &map);
  return most;
}

/* A screen that is off is black in the guest, and goes on when another is
 * asked for. */
GST_START_TEST (test_screen_off)
{
  gint64 end = g_get_monotonic_time () + PATIENCE_US;
  guint8 most;

  if (!start (
          "--size=640x96 --rate=30 --scanouts=2 --scanouts-on=1", "", DECODE))
    return;
  expect_picture (1, RESOURCE_PICTURES);
  set (guest, "src", "scanout", "1");
  do {
    GstSample *sample = pipeline_pull (guest);

    most = brightest (sample);
    gst_sample_unref (sample);
    fail_unless (g_get_monotonic_time () < end, "it is still bright: %u", most);
  } while (most > 24); /* 16, or 0, and what the encoder made of it */
  set (guest, "src", "scanout", "0");
  expect_picture (1, RESOURCE_PICTURES);
  stop ();
}
GST_END_TEST;

/* bit/s here are kbit/s there. */
GST_START_TEST (test_bitrate)
{
  gint64 end = g_get_monotonic_time () + PATIENCE_US;

  if (!start ("--size=640x96 --rate=30", "", ""))
    return;
  gst_sample_unref (pipeline_pull (guest));
  set (guest, "src", "bitrate", "3210000");
  while (get (host, "enc", "bitrate") != 3210) {
    gst_sample_unref (pipeline_pull (guest));
    fail_unless (g_get_monotonic_time () < end, "the bitrate is still %u",
        get (host, "enc", "bitrate"));
  }
  stop ();
}
GST_END_TEST;

/* Ten a second, where there were sixty: the shim does not even read others. */
GST_START_TEST (test_framerate)
{
  gint64 end = g_get_monotonic_time () + PATIENCE_US;
  GstClockTime last = GST_CLOCK_TIME_NONE;
  guint slow = 0;

  if (!start ("--size=640x96 --rate=60", "", ""))
    return;
  gst_sample_unref (pipeline_pull (guest));
  set (guest, "src", "max-framerate", "10/1");
  /* Ten intervals in a row of what a tenth of a second, less its jitter, is. */
  while (slow < 10) {
    GstSample *sample = pipeline_pull (guest);
    GstClockTime pts = GST_BUFFER_PTS (gst_sample_get_buffer (sample));

    if (GST_CLOCK_TIME_IS_VALID (last))
      slow = pts >= last + 80 * GST_MSECOND ? slow + 1 : 0;
    last = pts;
    gst_sample_unref (sample);
    fail_unless (g_get_monotonic_time () < end, "the framerate did not drop");
  }
  stop ();
}
GST_END_TEST;

/* The pointer beside the picture, as a message for whoever draws it. */
GST_START_TEST (test_cursor)
{
  GstMessage *message = NULL;
  const GstStructure *said;
  gboolean shape = FALSE;
  guint moves = 0;
  GstBus *bus;

  if (!start ("--size=640x96 --rate=30 --cursor", "show-cursor=false", ""))
    return;
  bus = gst_element_get_bus (guest);
  while (moves < 5) {
    message =
        gst_bus_timed_pop_filtered (bus, 20 * GST_SECOND, GST_MESSAGE_ELEMENT);
    fail_unless (message != NULL, "no cursor after %u", moves);
    said = gst_message_get_structure (message);
    if (gst_structure_has_name (said, "GstHelixCursor")) {
      shape |= gst_structure_has_field (said, "image");
      moves++;
    }
    gst_message_unref (message);
  }
  fail_unless (shape);
  gst_object_unref (bus);
  stop ();
}
GST_END_TEST;

#define KEY_ROUNDS 5
#define KEY_INTERVAL_MS 500

static gint
compare (const void *a, const void *b)
{
  gint64 x = *(const gint64 *) a, y = *(const gint64 *) b;

  return (x > y) - (x < y);
}

/* Takes what comes until a keyframe does. */
static void
await_key (void)
{
  gboolean delta;

  do {
    GstSample *sample = pipeline_pull (guest);

    delta = GST_BUFFER_FLAG_IS_SET (
        gst_sample_get_buffer (sample), GST_BUFFER_FLAG_DELTA_UNIT);
    gst_sample_unref (sample);
  } while (delta);
}

/* From force-key-unit in the guest's pipeline to the keyframe there: at most
 * two frame intervals, here of a screen on which nothing moves and that is not
 * repeated either. The median: a machine that stands still for a moment proves
 * nothing. */
GST_START_TEST (test_keyframe)
{
  gint64 took[KEY_ROUNDS];
  GstElement *out;

  if (!start (
          "--size=640x96 --rate=2 --pattern=static", "keepalive-time=0", ""))
    return;
  out = gst_bin_get_by_name (GST_BIN (guest), "out");
  await_key ();
  for (guint i = 0; i < KEY_ROUNDS; i++) {
    gint64 asked;

    /* Requests in quick succession are one: that is another test's matter. */
    g_usleep (700 * 1000);
    asked = g_get_monotonic_time ();
    fail_unless (gst_element_send_event (out,
        gst_video_event_new_upstream_force_key_unit (
            GST_CLOCK_TIME_NONE, TRUE, i)));
    await_key ();
    took[i] = g_get_monotonic_time () - asked;
    GST_INFO ("keyframe after %" G_GINT64_FORMAT " us", took[i]);
  }
  gst_object_unref (out);
  qsort (took, KEY_ROUNDS, sizeof took[0], compare);
  fail_unless (took[KEY_ROUNDS / 2] <= 2 * KEY_INTERVAL_MS * 1000,
      "after %" G_GINT64_FORMAT " us", took[KEY_ROUNDS / 2]);
  stop ();
}
GST_END_TEST;

static Suite *
guest_control_suite (void)
{
  TCase *tc;
  Suite *s = stream_suite ("guest-control", 120, &tc);

  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_add_test (tc, test_resource);
  tcase_add_test (tc, test_scanout);
  tcase_add_test (tc, test_screen_off);
  tcase_add_test (tc, test_bitrate);
  tcase_add_test (tc, test_framerate);
  tcase_add_test (tc, test_cursor);
  tcase_add_test (tc, test_keyframe);
  return s;
}

GST_CHECK_MAIN (guest_control);

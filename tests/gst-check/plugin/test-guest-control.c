/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest is in control, end to end and without an application: what is set
 * on helixsrc happens in helixqemusrc and in the encoder, through lines that
 * anybody could type.
 */
#include <gst/check/gstcheck.h>
#include <gst/video/video.h>

#include "helix-test-time.h"
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

/* `branch`: what the guest does with the stream. */
static void
start (const gchar *sim_options, const gchar *src_options, const gchar *branch)
{
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
}

/* Within the test: GstCheck waits for the pipelines' threads before any
 * fixture is torn down. */
static void
stop (void)
{
  pipeline_end (guest);
  pipeline_end (host);
  sim_child_end (sim);
}

static void
teardown (void)
{
  g_free (socket_path);
}

/* Asks for it by a property of helixsrc. */
static void
ask (const gchar *property, const gchar *value)
{
  GstElement *src = gst_bin_get_by_name (GST_BIN (guest), "src");

  gst_util_set_object_arg (G_OBJECT (src), property, value);
  gst_object_unref (src);
}

/* A property of an element of the host's. */
static guint
get (const gchar *element, const gchar *property)
{
  GstElement *found = gst_bin_get_by_name (GST_BIN (host), element);
  guint value = 0;

  g_object_get (found, property, &value, NULL);
  gst_object_unref (found);
  return value;
}

typedef gboolean (*Wanted) (GstSample *sample);

static gboolean
is_of_scanout (GstSample *sample)
{
  guint32 number;

  return sample_marker (sample, &number) && number > 0
      && number < RESOURCE_PICTURES;
}

static gboolean
is_of_resource (GstSample *sample)
{
  guint32 number;

  return sample_marker (sample, &number) && number >= RESOURCE_PICTURES;
}

/* Or what the encoder made of black, which is 16, or 0. */
static gboolean
is_black (GstSample *sample)
{
  guint8 most = 0;
  GstMapInfo map;

  fail_unless (
      gst_buffer_map (gst_sample_get_buffer (sample), &map, GST_MAP_READ));
  for (gsize i = 0; i < map.size; i++)
    most = MAX (most, map.data[i]);
  gst_buffer_unmap (gst_sample_get_buffer (sample), &map);
  return most <= 24;
}

/* Ten intervals in a row of what a tenth of a second, less its jitter, is. */
static gboolean
are_slow (GstSample *sample)
{
  static GstClockTime last = GST_CLOCK_TIME_NONE;
  static guint slow;
  GstClockTime pts = GST_BUFFER_PTS (gst_sample_get_buffer (sample));

  if (GST_CLOCK_TIME_IS_VALID (last))
    slow = pts >= last + 80 * GST_MSECOND ? slow + 1 : 0;
  last = pts;
  return slow >= 10;
}

static gboolean
is_key (GstSample *sample)
{
  return !GST_BUFFER_FLAG_IS_SET (
      gst_sample_get_buffer (sample), GST_BUFFER_FLAG_DELTA_UNIT);
}

static gboolean
pulled (Wanted wanted)
{
  GstSample *sample = pipeline_pull (guest);
  gboolean is = wanted (sample);

  gst_sample_unref (sample);
  return is;
}

/* Takes what comes until one is as wanted. */
#define EXPECT(wanted) TEST_AWAIT (pulled (wanted))

/* Another picture, and back; another screen, which is off; one that does not
 * exist changes nothing. */
GST_START_TEST (test_pictures)
{
  start ("--size=640x96 --rate=30 --resources=1 --scanouts=2 --scanouts-on=1",
      "", "avdec_h264 ! videoconvert ! video/x-raw,format=GRAY8 !");
  EXPECT (is_of_scanout);
  ask ("resource-id", "1001");
  EXPECT (is_of_resource);
  fail_unless_equals_int (get ("src", "resource-id"), 1001);
  ask ("resource-id", "0");
  EXPECT (is_of_scanout);
  ask ("scanout", "1");
  EXPECT (is_black);
  fail_unless_equals_int (get ("src", "scanout"), 1);
  ask ("scanout", "7");
  pipeline_expect (host, GST_MESSAGE_WARNING, "scanout 7");
  fail_unless_equals_int (get ("src", "scanout"), 1);
  ask ("scanout", "0");
  EXPECT (is_of_scanout);
  stop ();
}
GST_END_TEST;

/* The bitrate, in kbit/s there and bit/s here; ten pictures a second, where
 * there were thirty. */
GST_START_TEST (test_rates)
{
  start ("--size=640x96 --rate=30", "", "");
  ask ("bitrate", "3210000");
  TEST_AWAIT (get ("enc", "bitrate") == 3210);
  ask ("max-framerate", "10/1");
  EXPECT (are_slow);
  stop ();
}
GST_END_TEST;

/* The pointer beside the picture, as a message for the application. */
GST_START_TEST (test_cursor)
{
  gboolean shape = FALSE;
  guint moves = 0;
  GstBus *bus;

  start ("--size=640x96 --rate=30 --cursor", "show-cursor=false", "");
  bus = gst_element_get_bus (guest);
  while (moves < 5) {
    GstMessage *message =
        gst_bus_timed_pop_filtered (bus, 2 * TEST_SOON, GST_MESSAGE_ELEMENT);
    const GstStructure *said;

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

/* force-key-unit in the guest's pipeline, of a screen on which nothing is drawn
 * any more and which is not repeated either. Up to three keyframes came of the
 * encoder's own accord, and because the guest joined. */
GST_START_TEST (test_keyframe)
{
  GstElement *out;

  start ("--size=640x96 --frames=1", "keepalive-time=0", "");
  out = gst_bin_get_by_name (GST_BIN (guest), "out");
  EXPECT (is_key);
  for (guint i = 0; i < 5; i++) {
    fail_unless (gst_element_send_event (out,
        gst_video_event_new_upstream_force_key_unit (
            GST_CLOCK_TIME_NONE, TRUE, i)));
    EXPECT (is_key);
  }
  gst_object_unref (out);
  stop ();
}
GST_END_TEST;

static Suite *
guest_control_suite (void)
{
  TCase *tc;
  Suite *s = stream_suite ("guest-control", 120, &tc);

  if (!have_elements ("x264enc"))
    return s;
  tcase_add_checked_fixture (tc, setup, teardown);
  if (have_elements ("avdec_h264"))
    tcase_add_test (tc, test_pictures);
  tcase_add_test (tc, test_rates);
  tcase_add_test (tc, test_cursor);
  tcase_add_test (tc, test_keyframe);
  return s;
}

GST_CHECK_MAIN (guest_control);

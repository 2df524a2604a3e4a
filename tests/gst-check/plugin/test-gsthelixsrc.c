/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gstdio.h>
#include <gst/check/gstcheck.h>
#include <gst/video/video.h>
#include <string.h>
#include <unistd.h>

#include "helix-platform.h"
#include "helix-test-time.h"
#include "stream-fixture.h"
#include "stream-peer.h"
#include "stream-pipeline.h"

/* A host that sends pictures of 64x64. */
static GstElement *
play_jpeg (guint rate, const gchar *source)
{
  return pipeline_play (
      pipeline_launch ("videotestsrc is-live=true %s ! video/x-raw,width=64,"
                       "height=64,framerate=%u/1 ! jpegenc ! "
                       "helixguestsink address=%s",
          source, rate, address));
}

/* ---- end to end, to the pixels ---- */

/* The seven bars of the smpte picture, told apart by their luma. */
static void
check_bars (GstSample *sample, gint width, gint height)
{
  /* BT.601 limited luma of white, yellow, cyan, green, magenta, red, blue,
   * give or take what a lossy coder takes. */
  static const guint8 bars[7] = {235, 210, 170, 145, 106, 81, 41};
  GstVideoFrame frame;
  GstVideoInfo info;

  fail_unless (gst_video_info_from_caps (&info, gst_sample_get_caps (sample)));
  fail_unless_equals_int (info.width, width);
  fail_unless_equals_int (info.height, height);
  fail_unless (gst_video_frame_map (
      &frame, &info, gst_sample_get_buffer (sample), GST_MAP_READ));
  for (gint i = 0; i < 7; i++) {
    gint x = (2 * i + 1) * width / 14, y = height / 4;
    gint luma = ((const guint8 *) GST_VIDEO_FRAME_PLANE_DATA (
        &frame, 0))[y * GST_VIDEO_FRAME_PLANE_STRIDE (&frame, 0) + x];

    fail_unless (ABS (luma - bars[i]) <= 12, "bar %d has luma %d", i, luma);
  }
  gst_video_frame_unmap (&frame);
}

static const struct {
  const gchar *needs, *encoder, *decoder;
} chains[] = {
    {"x264enc avdec_h264",
        "x264enc tune=zerolatency ! "
        "video/x-h264,stream-format=avc",
        "h264parse ! avdec_h264"},
    {"x264enc avdec_h264",
        "x264enc tune=zerolatency ! "
        "video/x-h264,stream-format=byte-stream",
        "h264parse ! avdec_h264"},
    {"x264enc avdec_h264", "x264enc", "h264parse ! avdec_h264"},
    {"openh264enc avdec_h264", "openh264enc", "h264parse ! avdec_h264"},
    {"x265enc avdec_h265", "x265enc tune=zerolatency",
        "h265parse ! avdec_h265"},
    {"vp8enc vp8dec", "vp8enc deadline=1", "vp8dec"},
    {"vp9enc vp9dec", "vp9enc deadline=1 lag-in-frames=0", "vp9dec"},
    {"jpegenc jpegdec", "jpegenc", "jpegdec"},
};

GST_START_TEST (test_pixels)
{
  GstElement *host, *guest;

  if (!have_elements (chains[__i__].needs))
    return;
  guest = pipeline_play (
      pipeline_launch ("helixsrc address=%s ! %s ! videoconvert ! "
                       "video/x-raw,format=I420 ! appsink name=out "
                       "sync=false",
          address, chains[__i__].decoder));
  host = pipeline_play (
      pipeline_launch ("videotestsrc is-live=true pattern=smpte ! "
                       "video/x-raw,format=I420,width=320,height=240,"
                       "framerate=30/1 ! %s ! helixguestsink address=%s",
          chains[__i__].encoder, address));
  for (guint i = 0; i < 8; i++) {
    GstSample *sample = pipeline_pull (guest);

    check_bars (sample, 320, 240);
    gst_sample_unref (sample);
  }
  pipeline_end (guest);
  pipeline_end (host);
}
GST_END_TEST;

/* A keyframe every 100 s, and yet who joins in between sees it at once. */
GST_START_TEST (test_join_midstream)
{
  GstElement *host, *guest;
  GstSample *sample;

  if (!have_elements ("x264enc"))
    return;
  host = pipeline_play (
      pipeline_launch ("videotestsrc is-live=true ! video/x-raw,format=I420,"
                       "width=320,height=240,framerate=30/1 ! "
                       "x264enc tune=zerolatency key-int-max=3000 ! "
                       "helixguestsink address=%s",
          address));
  for (guint i = 0; i < 3; i++) {
    GstBuffer *buffer;

    guest = pipeline_play (pipeline_launch (
        "helixsrc name=src address=%s ! appsink name=out sync=false", address));
    sample = pipeline_pull (guest);
    buffer = gst_sample_get_buffer (sample);
    fail_if (GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_DELTA_UNIT));
    fail_unless (GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_DISCONT));
    gst_sample_unref (sample);
    /* The encoder's first unit is a keyframe of its own accord; the one that
     * was asked for then comes behind it. Not more than these. */
    for (guint n = 0, delta = 0; !delta; n++) {
      fail_unless (n < 3, "nothing but keyframes");
      sample = pipeline_pull (guest);
      buffer = gst_sample_get_buffer (sample);
      delta = GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_DELTA_UNIT);
      fail_if (GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_DISCONT));
      gst_sample_unref (sample);
    }
    pipeline_end (guest);
  }
  pipeline_end (host);
}
GST_END_TEST;

/* The host's EOS is ours only when we shall not wait for another stream. */
GST_START_TEST (test_eos)
{
  GstElement *host = play_jpeg (30, "num-buffers=30");
  GstElement *guest = pipeline_play (
      pipeline_launch ("helixsrc address=%s auto-reconnect=false ! "
                       "fakesink name=out sync=false",
          address));

  g_free (pipeline_message_of (guest, GST_MESSAGE_EOS));
  g_free (pipeline_message_of (host, GST_MESSAGE_EOS));
  pipeline_end (guest);
  pipeline_end (host);
}
GST_END_TEST;

/* ---- conduct ---- */

GST_START_TEST (test_states)
{
  GstElement *host = __i__ == 1 ? play_jpeg (100, "") : NULL;
  GstElement *guest =
      pipeline_launch ("helixsrc address=%s ! fakesink sync=false", address);

  for (guint i = 0; i < 100; i++) {
    pipeline_play (guest);
    if (i % 2 == 0)
      /* Leaves at another moment each round. */
      g_usleep (g_random_int_range (0, 10000));
    fail_unless_equals_int (gst_element_set_state (guest, GST_STATE_NULL),
        GST_STATE_CHANGE_SUCCESS);
  }
  pipeline_end (guest);
  if (host != NULL)
    pipeline_end (host);
}
GST_END_TEST;

/* A pause longer than what keeps a session alive, and on it goes. */
GST_START_TEST (test_pause)
{
  GstElement *host = play_jpeg (30, "");
  GstElement *guest = pipeline_play (
      pipeline_launch ("helixsrc address=%s ! appsink name=out sync=false "
                       "max-buffers=1 drop=true",
          address));

  gst_sample_unref (pipeline_pull (guest));
  for (guint i = 0; i < 5; i++) {
    gst_element_set_state (guest, GST_STATE_PAUSED);
    pipeline_play (guest);
    gst_sample_unref (pipeline_pull (guest));
  }
  pipeline_end (guest);
  pipeline_end (host);
}
GST_END_TEST;

GST_START_TEST (test_latency_query)
{
  GstElement *src = gst_element_factory_make ("helixsrc", NULL);
  GstQuery *query = gst_query_new_latency ();
  GstClockTime min, max;
  gboolean live;

  fail_unless (gst_element_query (src, query));
  gst_query_parse_latency (query, &live, &min, &max);
  fail_unless (live);
  fail_unless_equals_uint64 (min, 0);
  fail_unless_equals_uint64 (max, GST_CLOCK_TIME_NONE);
  gst_query_unref (query);
  gst_object_unref (src);
}
GST_END_TEST;

/* ---- bad input ---- */

/* An error, at once. */
static void
check_error (const gchar *where, const gchar *extra, const gchar *say)
{
  GstElement *guest =
      pipeline_launch ("helixsrc address=\"%s\" %s ! fakesink", where, extra);
  guint64 begin = helix_now_ns ();
  g_autofree gchar *text = NULL;

  gst_element_set_state (guest, GST_STATE_PLAYING);
  text = pipeline_message_of (guest, GST_MESSAGE_ERROR);
  fail_unless (helix_now_ns () - begin < TEST_SOON);
  fail_unless (strstr (text, say) != NULL, "%s", text);
  fail_unless (strstr (text, where) != NULL, "%s", text);
  pipeline_end (guest);
}

GST_START_TEST (test_bad_address)
{
  g_autofree gchar *x = g_strnfill (200, 'x');
  g_autofree gchar *too_long = g_strdup_printf ("unix:/tmp/%s", x);

  check_error ("nonsense", "", "An address is");
  check_error ("tcp:localhost:99999", "", "65535");
  check_error (too_long, "", "shorter path");
  check_error (address, "auto-reconnect=false", "no server");
  check_error ("serial:/dev/virtio-ports/none", "auto-reconnect=false",
      "virtserialport");
  close (peer_listen (path));
  check_error (address, "auto-reconnect=false", "its owner is gone");
  g_unlink (path);
  fail_unless (g_file_set_contents (path, "x", 1, NULL));
  check_error (address, "", "regular file");
  g_unlink (path);
}
GST_END_TEST;

/* The codec does not suit what follows: said, and not guessed at. */
GST_START_TEST (test_wrong_codec)
{
  GstElement *host = play_jpeg (30, "");
  GstElement *guest =
      pipeline_launch ("helixsrc address=%s ! h264parse ! fakesink", address);

  gst_element_set_state (guest, GST_STATE_PLAYING);
  pipeline_expect (guest, GST_MESSAGE_ERROR, "image/jpeg");
  pipeline_end (guest);
  pipeline_end (host);
}
GST_END_TEST;

static Suite *
helixsrc_suite (void)
{
  TCase *tc;
  Suite *s = stream_suite ("helixsrc", 60, &tc);

  tcase_add_loop_test (tc, test_pixels, 0, G_N_ELEMENTS (chains));
  tcase_add_test (tc, test_join_midstream);
  tcase_add_test (tc, test_eos);
  tcase_add_loop_test (tc, test_states, 0, 2);
  tcase_add_test (tc, test_pause);
  tcase_add_test (tc, test_latency_query);
  tcase_add_test (tc, test_bad_address);
  tcase_add_test (tc, test_wrong_codec);
  return s;
}

GST_CHECK_MAIN (helixsrc);

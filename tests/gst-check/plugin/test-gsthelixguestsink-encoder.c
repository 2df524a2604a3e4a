/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Guests steer real encoders: how far the rate is from what was asked for, and
 * how long a keyframe takes. Times are those of the stream, so that a machine
 * that is too slow for it makes the test longer, not wrong.
 */
#include <gst/check/gstcheck.h>
#include <stdlib.h>
#include <string.h>

#include "helix-platform.h"
#include "stream-peer.h"
#include "stream-pipeline.h"

static gchar *folder, *path;
static guint8 message[HELIX_MAX_MESSAGE];

static void
setup (void)
{
  folder = peer_folder_new ();
  path = g_build_filename (folder, "s", NULL);
}

static void
teardown (void)
{
  g_free (path);
  peer_folder_free (folder);
}

/* Noise that can fill any rate asked for here, and be held below it: of 32x24
 * points, blown up smoothly. NULL: there is no such encoder. */
static GstElement *
pipeline_of (const gchar *encoder, guint rate)
{
  g_autofree gchar *name = g_strndup (encoder, strcspn (encoder, " "));
  GstElementFactory *factory = gst_element_factory_find (name);

  if (factory == NULL)
    return NULL;
  gst_object_unref (factory);
  return pipeline_play (pipeline_launch (
      "videotestsrc is-live=true pattern=snow ! "
      "video/x-raw,width=32,height=24,framerate=%u/1 ! videoscale ! "
      "video/x-raw,width=320,height=240,format=I420 ! %s ! queue ! "
      "helixguestsink name=sink control-encoder=true address=unix:%s",
      rate, encoder, path));
}

static void
join (StreamPeer *peer)
{
  peer_connect (peer, path);
  peer_hello (peer, NULL);
  fail_unless_equals_int (peer_next (peer), HELIX_WELCOME);
}

/* Takes units up to `end` of the stream's time and returns the bytes of those
 * from `begin` on. */
static guint64
count_bytes (StreamPeer *peer, guint64 begin, guint64 end)
{
  guint64 bytes = 0;

  for (;;) {
    peer_expect (peer, HELIX_UNIT);
    if (peer->unit.running_time >= end)
      return bytes;
    if (peer->unit.running_time >= begin)
      bytes += peer->reader.bulk_size;
  }
}

/* ---- the rate ---- */

/* Asks for a rate and measures it, over 2 s from 3 s later on. */
static void
check_rate (StreamPeer *peer, const gchar *encoder, guint32 wanted)
{
  struct helix_config config = {
      .fields = HELIX_CONFIG_BITRATE, .bitrate = wanted};
  guint64 asked, is;

  peer_expect (peer, HELIX_UNIT);
  asked = peer->unit.running_time;
  peer_send (peer, message, helix_pack_config (message, &config));
  is = count_bytes (peer, asked + 3 * GST_SECOND, asked + 5 * GST_SECOND) * 8
      / 2;
  GST_INFO ("%s: wanted %u bit/s, is %" G_GUINT64_FORMAT, encoder, wanted, is);
  fail_unless (is >= wanted * G_GUINT64_CONSTANT (85) / 100
          && is <= wanted * G_GUINT64_CONSTANT (115) / 100,
      "%s: wanted %u bit/s, is %" G_GUINT64_FORMAT, encoder, wanted, is);
}

GST_START_TEST (test_rate)
{
  static const gchar *const encoders[] = {
      "x264enc tune=zerolatency speed-preset=ultrafast bitrate=1000",
      "openh264enc bitrate=1000000",
  };
  GstElement *pipeline = pipeline_of (encoders[__i__], 30);
  GstBus *bus;
  StreamPeer peer;

  if (pipeline == NULL) {
    GST_WARNING ("skipped: no %s", encoders[__i__]);
    return;
  }
  join (&peer);
  check_rate (&peer, encoders[__i__], 2500000);
  check_rate (&peer, encoders[__i__], 1000000);
  bus = gst_element_get_bus (pipeline);
  fail_unless (gst_bus_pop_filtered (bus, GST_MESSAGE_WARNING) == NULL);
  gst_object_unref (bus);
  peer_clear (&peer);
  pipeline_end (pipeline);
}
GST_END_TEST;

/* What an encoder cannot do is said, to both ends, and does no harm. */
GST_START_TEST (test_no_such_property)
{
  struct helix_config config = {
      .fields = HELIX_CONFIG_BITRATE, .bitrate = 1000000};
  GstElement *pipeline = pipeline_of ("jpegenc", 30);
  g_autofree gchar *text = NULL;
  StreamPeer peer;

  if (pipeline == NULL)
    return;
  join (&peer);
  peer_expect (&peer, HELIX_UNIT);
  peer_send (&peer, message, helix_pack_config (message, &config));
  peer_expect (&peer, HELIX_ERROR);
  text = pipeline_message_of (pipeline, GST_MESSAGE_WARNING);
  fail_unless (strstr (text, "jpegenc") != NULL, "%s", text);
  peer_expect (&peer, HELIX_UNIT);
  peer_clear (&peer);
  pipeline_end (pipeline);
}
GST_END_TEST;

/* ---- STATUS ---- */

GST_START_TEST (test_status_names_encoder)
{
  GstElement *pipeline =
      pipeline_of ("x264enc tune=zerolatency ! h264parse", 30);
  gchar text[HELIX_MAX_TEXT + 1];
  struct helix_status status;
  const gchar *why;
  StreamPeer peer;

  if (pipeline == NULL)
    return;
  join (&peer);
  peer_expect (&peer, HELIX_UNIT);
  peer_send (&peer, message, helix_pack_empty (message, HELIX_LIST, 0));
  peer_expect (&peer, HELIX_STATUS);
  fail_unless (helix_unpack_status (
      &status, text, peer.reader.payload, peer.reader.payload_size, &why));
  fail_unless (g_str_has_prefix (text, "x264enc, H.264"), "%s", text);
  fail_unless (strstr (text, "320x240") != NULL, "%s", text);
  fail_unless_equals_int (status.width, 320);
  peer_clear (&peer);
  pipeline_end (pipeline);
}
GST_END_TEST;

/* ---- the keyframe ---- */

#define KEY_RATE 4 /* frames a second */
#define KEY_ROUNDS 5

static guint64
running_time_now (GstElement *pipeline)
{
  GstClock *clock = gst_element_get_clock (pipeline);
  guint64 now =
      gst_clock_get_time (clock) - gst_element_get_base_time (pipeline);

  gst_object_unref (clock);
  return now;
}

static gint
compare (const void *a, const void *b)
{
  gint64 x = *(const gint64 *) a, y = *(const gint64 *) b;

  return (x > y) - (x < y);
}

/* From KEYFRAME to the picture that became the keyframe: at most two frame
 * intervals. The median: a machine that stands still for a moment proves
 * nothing. */
GST_START_TEST (test_keyframe_soon)
{
  struct helix_keyframe keyframe = {.last_sequence = HELIX_NONE64};
  GstElement *pipeline =
      pipeline_of ("x264enc tune=zerolatency key-int-max=1000", KEY_RATE);
  gint64 took[KEY_ROUNDS];
  StreamPeer peer;

  if (pipeline == NULL)
    return;
  join (&peer);
  do
    peer_expect (&peer, HELIX_UNIT);
  while (!(peer.unit.flags & HELIX_UNIT_KEY));
  for (guint i = 0; i < KEY_ROUNDS; i++) {
    guint64 asked;

    /* Past the time within which a second request would have to wait. */
    count_bytes (&peer, 0, peer.unit.running_time + 700 * GST_MSECOND);
    asked = running_time_now (pipeline);
    peer_send (&peer, message, helix_pack_keyframe (message, &keyframe));
    do
      peer_expect (&peer, HELIX_UNIT);
    while (!(peer.unit.flags & HELIX_UNIT_KEY));
    took[i] = (gint64) peer.unit.running_time - (gint64) asked;
    GST_INFO ("keyframe after %" G_GINT64_FORMAT " us", took[i] / 1000);
  }
  qsort (took, KEY_ROUNDS, sizeof took[0], compare);
  fail_unless (took[KEY_ROUNDS / 2] <= (gint64) (2 * GST_SECOND / KEY_RATE),
      "after %" G_GINT64_FORMAT " ms",
      took[KEY_ROUNDS / 2] / (gint64) GST_MSECOND);
  peer_clear (&peer);
  pipeline_end (pipeline);
}
GST_END_TEST;

static Suite *
helixguestsink_encoder_suite (void)
{
  Suite *s = suite_create ("helixguestsink-encoder");
  TCase *tc = tcase_create ("encoder");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_add_loop_test (tc, test_rate, 0, 2);
  tcase_add_test (tc, test_no_such_property);
  tcase_add_test (tc, test_status_names_encoder);
  tcase_add_test (tc, test_keyframe_soon);
  return s;
}

GST_CHECK_MAIN (helixguestsink_encoder);

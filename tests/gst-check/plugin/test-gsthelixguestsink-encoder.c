/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Guests steer real encoders: how far the rate is from what was asked for.
 * Times are those of the stream, which runs faster than the clock: a machine
 * that is too slow for that makes the test longer, not wrong.
 */
#include <gst/check/gstcheck.h>
#include <string.h>

#include "stream-fixture.h"
#include "stream-peer.h"
#include "stream-pipeline.h"

static guint8 message[HELIX_MAX_MESSAGE];

/* Noise that can fill any rate asked for here, and be held below it: of 32x24
 * points, blown up smoothly. NULL: there is no such encoder. */
static GstElement *
pipeline_of (const gchar *encoder)
{
  g_autofree gchar *name = g_strndup (encoder, strcspn (encoder, " "));

  if (!have_elements (name))
    return NULL;
  /* 5 ms a picture. */
  return pipeline_play (pipeline_launch (
      "videotestsrc pattern=snow ! "
      "video/x-raw,width=32,height=24,framerate=30/1 ! "
      "identity sleep-time=5000 ! videoscale ! "
      "video/x-raw,width=320,height=240,format=I420 ! %s ! queue ! "
      "helixguestsink name=sink control-encoder=true address=unix:%s",
      encoder, path));
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
  GstElement *pipeline = pipeline_of (encoders[__i__]);
  StreamPeer peer;

  if (pipeline == NULL)
    return;
  peer_meet (&peer, path);
  check_rate (&peer, encoders[__i__], 2500000);
  check_rate (&peer, encoders[__i__], 1000000);
  pipeline_expect_quiet (pipeline);
  peer_clear (&peer);
  pipeline_end (pipeline);
}
GST_END_TEST;

/* What an encoder cannot do is said, to both ends, and does no harm. */
GST_START_TEST (test_no_such_property)
{
  struct helix_config config = {
      .fields = HELIX_CONFIG_BITRATE, .bitrate = 1000000};
  GstElement *pipeline = pipeline_of ("jpegenc");
  StreamPeer peer;

  if (pipeline == NULL)
    return;
  peer_meet (&peer, path);
  peer_expect (&peer, HELIX_UNIT);
  peer_send (&peer, message, helix_pack_config (message, &config));
  peer_expect (&peer, HELIX_ERROR);
  pipeline_expect (pipeline, GST_MESSAGE_WARNING, "jpegenc");
  peer_expect (&peer, HELIX_UNIT);
  peer_clear (&peer);
  pipeline_end (pipeline);
}
GST_END_TEST;

/* ---- STATUS ---- */

GST_START_TEST (test_status_names_encoder)
{
  GstElement *pipeline = pipeline_of ("x264enc tune=zerolatency ! h264parse");
  gchar text[HELIX_MAX_TEXT + 1];
  struct helix_status status;
  const gchar *why;
  StreamPeer peer;

  if (pipeline == NULL)
    return;
  peer_meet (&peer, path);
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

static Suite *
helixguestsink_encoder_suite (void)
{
  TCase *tc;
  Suite *s = stream_suite ("helixguestsink-encoder", 60, &tc);

  tcase_add_loop_test (tc, test_rate, 0, 2);
  tcase_add_test (tc, test_no_such_property);
  tcase_add_test (tc, test_status_names_encoder);
  return s;
}

GST_CHECK_MAIN (helixguestsink_encoder);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a guest asks of its host through helixsrc, the pointer, and what
 * helixsrc says about time.
 */
#include <gst/check/gstcheck.h>
#include <gst/video/video.h>
#include <string.h>
#include <unistd.h>

#include "gsthelixevents.h"
#include "helix-platform.h"
#include "helix-test-time.h"
#include "stream-fixture.h"
#include "stream-peer.h"
#include "stream-pipeline.h"

static gint listener;
static GstElement *guest, *src;
static StreamPeer peer;

/* Plays helixsrc with `properties`, as far as WELCOME. */
static void
play (const gchar *properties)
{
  listener = peer_listen (path);
  guest = pipeline_launch ("helixsrc name=src address=unix:%s %s ! "
                           "appsink name=out sync=false",
      path, properties);
  src = gst_bin_get_by_name (GST_BIN (guest), "src");
  pipeline_play (guest);
  peer_accept (&peer, listener);
  peer_welcome (&peer);
}

/* GStreamer's test framework waits for all threads before the teardown. */
static void
stop (void)
{
  pipeline_end (guest);
  gst_object_unref (src);
  peer_clear (&peer);
  close (listener);
}

static void
refuse (guint code, const gchar *text)
{
  PEER_SEND (&peer, error, 0, code, HELIX_CONFIG, text);
}

static void
expect_picture (const gchar *byte)
{
  GstSample *sample;

  peer_send_caps (&peer, 1);
  peer_send_unit (&peer, 0, HELIX_UNIT_KEY, byte, 1);
  sample = pipeline_pull (guest);
  gst_check_buffer_data (gst_sample_get_buffer (sample), byte, 1);
  gst_sample_unref (sample);
}

/* What was not set is not asked for. */
GST_START_TEST (test_nothing_asked)
{
  play ("");
  peer_expect_no (&peer, HELIX_CONFIG);
  /* -1 and 0 say as much. */
  g_object_set (src, "scanout", -1, "bitrate", 0, NULL);
  peer_expect_no (&peer, HELIX_CONFIG);
  stop ();
}
GST_END_TEST;

GST_START_TEST (test_asked_from_the_start)
{
  struct helix_config config;

  play ("bitrate=2500000 scanout=0 max-framerate=30000/1001");
  peer_expect_config (&peer, &config,
      HELIX_CONFIG_BITRATE | HELIX_CONFIG_SCANOUT | HELIX_CONFIG_RATE);
  fail_unless_equals_int (config.bitrate, 2500000);
  fail_unless_equals_int (config.scanout, 0);
  fail_unless_equals_int (config.rate_num, 30000);
  fail_unless_equals_int (config.rate_den, 1001);
  peer_expect_no (&peer, HELIX_CONFIG);
  stop ();
}
GST_END_TEST;

/* Each change while playing, and that only. */
GST_START_TEST (test_asked_while_playing)
{
  struct helix_config config;
  guint bitrate, resource;
  gint scanout, num = 0, den = 0;
  GValue rate = G_VALUE_INIT;

  play ("bitrate=1000000");
  peer_expect_config (&peer, &config, HELIX_CONFIG_BITRATE);
  g_object_set (src, "resource-id", 17, NULL);
  peer_expect_config (&peer, &config, HELIX_CONFIG_RESOURCE);
  fail_unless_equals_int (config.resource_id, 17);
  g_object_set (src, "max-framerate", 0, 1, NULL);
  peer_expect_config (&peer, &config, HELIX_CONFIG_RATE);
  fail_unless_equals_int (config.rate_num, 0);
  fail_unless_equals_int (config.rate_den, 1);
  g_object_set (src, "scanout", 3, NULL);
  peer_expect_config (&peer, &config, HELIX_CONFIG_SCANOUT);
  fail_unless_equals_int (config.scanout, 3);
  g_object_set (src, "resource-id", 0, NULL);
  peer_expect_config (&peer, &config, HELIX_CONFIG_RESOURCE);
  fail_unless_equals_int (config.resource_id, 0);
  g_object_set (src, "bitrate", G_MAXUINT, NULL);
  peer_expect_config (&peer, &config, HELIX_CONFIG_BITRATE);
  fail_unless (config.bitrate == G_MAXUINT32);

  g_object_get (src, "bitrate", &bitrate, "resource-id", &resource, "scanout",
      &scanout, NULL);
  fail_unless (bitrate == G_MAXUINT && resource == 0 && scanout == 3);
  g_value_init (&rate, GST_TYPE_FRACTION);
  g_object_get_property (G_OBJECT (src), "max-framerate", &rate);
  num = gst_value_get_fraction_numerator (&rate);
  den = gst_value_get_fraction_denominator (&rate);
  fail_unless (num == 0 && den == 1);
  g_value_unset (&rate);
  stop ();
}
GST_END_TEST;

/* A host that starts anew knows nothing of it: it is told again. */
GST_START_TEST (test_asked_again)
{
  struct helix_config config;

  play ("bitrate=1000000 scanout=1");
  peer_expect_config (
      &peer, &config, HELIX_CONFIG_BITRATE | HELIX_CONFIG_SCANOUT);
  g_object_set (src, "bitrate", 0, "resource-id", 5, NULL);
  do {
    peer_expect_config (&peer, &config, HELIX_CONFIG_RESOURCE);
  } while (config.resource_id != 5);
  peer_clear (&peer);
  /* Set while no server listens, it is not lost either. */
  g_object_set (src, "scanout", 2, NULL);
  peer_accept (&peer, listener);
  peer_welcome (&peer);
  peer_expect_config (
      &peer, &config, HELIX_CONFIG_SCANOUT | HELIX_CONFIG_RESOURCE);
  fail_unless_equals_int (config.scanout, 2);
  fail_unless_equals_int (config.resource_id, 5);
  stop ();
}
GST_END_TEST;

/* Told once for each value, or kind, and playing goes on. */
GST_START_TEST (test_refused)
{
  static const struct {
    const gchar *property; /* set to `value` before, or NULL */
    guint value, field, code;
    const gchar *text;
  } steps[] = {
      {"scanout", 7, HELIX_CONFIG_SCANOUT, HELIX_ERROR_NO_SCANOUT, "0 to 1"},
      {"scanout", 8, HELIX_CONFIG_SCANOUT, HELIX_ERROR_NO_SCANOUT, "0 to 2"},
      {"resource-id", 9, HELIX_CONFIG_RESOURCE, HELIX_ERROR_NO_RESOURCE, "no"},
      {NULL, 0, 0, HELIX_ERROR_UNSUPPORTED, "no bitrate"},
      {NULL, 0, 0, G_MAXUINT32, "a code of a later version"},
  };
  struct helix_config config;

  play ("");
  for (guint i = 0; i < G_N_ELEMENTS (steps); i++) {
    if (steps[i].property != NULL) {
      g_object_set (src, steps[i].property, steps[i].value, NULL);
      peer_expect_config (&peer, &config, steps[i].field);
    }
    refuse (steps[i].code, steps[i].text);
    pipeline_expect (guest, GST_MESSAGE_WARNING, steps[i].text);
    /* The same again is no news: that it came is seen by what comes behind. */
    refuse (steps[i].code, steps[i].text);
    peer_expect_no (&peer, HELIX_CONFIG);
    pipeline_expect_quiet (guest);
  }
  expect_picture ("a");
  stop ();
}
GST_END_TEST;

/* ---- the pointer ---- */

/* The pointer's events behind helixsrc, by `see_event`. */
static GAsyncQueue *events;

static GstPadProbeReturn
see_event (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  GstEvent *event = GST_PAD_PROBE_INFO_EVENT (info);

  if (!gst_event_has_name (event, "GstHelixCursor"))
    return GST_PAD_PROBE_OK;
  fail_unless_equals_int (
      GST_EVENT_TYPE (event), GST_EVENT_CUSTOM_DOWNSTREAM_OOB);
  g_async_queue_push (events, gst_event_ref (event));
  return GST_PAD_PROBE_OK;
}

static void
watch_events (void)
{
  GstPad *pad = gst_element_get_static_pad (src, "src");

  events = g_async_queue_new_full ((GDestroyNotify) gst_event_unref);
  gst_pad_add_probe (
      pad, GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, see_event, NULL, NULL);
  gst_object_unref (pad);
}

static GstEvent *
next_event (void)
{
  GstEvent *event = g_async_queue_timeout_pop (
      events, PEER_TIMEOUT_MS * G_GUINT64_CONSTANT (1000));

  fail_unless (event != NULL, "no event came");
  return event;
}

static void
send_cursor (guint32 serial, guint32 x, gboolean shape)
{
  struct helix_cursor cursor = {.scanout = 1,
      .flags = HELIX_CURSOR_VISIBLE | (shape ? HELIX_CURSOR_SHAPE : 0),
      .x = x,
      .y = (guint32) -3,
      .serial = serial,
      .width = 2,
      .height = 3,
      .hot_x = 1,
      .hot_y = 2,
      .changed_ns = helix_now_ns ()};
  guint8 pixels[24];

  PEER_SEND (&peer, cursor, 0, &cursor, shape ? sizeof pixels : 0);
  memset (pixels, (gint) serial, sizeof pixels);
  if (shape)
    peer_send (&peer, pixels, sizeof pixels);
}

static void
check_cursor (
    const GstStructure *structure, guint serial, gint x, gboolean has_image)
{
  struct helix_cursor cursor;
  GstBuffer *image;

  fail_unless (gst_helix_cursor_from_structure (structure, &cursor, &image));
  fail_unless_equals_int (cursor.scanout, 1);
  fail_unless_equals_int (cursor.flags, HELIX_CURSOR_VISIBLE);
  fail_unless_equals_int (cursor.serial, serial);
  fail_unless_equals_int ((gint32) cursor.x, x);
  fail_unless_equals_int ((gint32) cursor.y, -3);
  fail_unless_equals_int (cursor.width, 2);
  fail_unless_equals_int (cursor.height, 3);
  fail_unless_equals_int (cursor.hot_x, 1);
  fail_unless_equals_int (cursor.hot_y, 2);
  fail_unless_equals_int (image != NULL, has_image);
  if (has_image) {
    guint8 pixels[24];

    memset (pixels, (gint) serial, sizeof pixels);
    gst_check_buffer_data (image, pixels, sizeof pixels);
  }
}

/* A CURSOR, with a shape or not, is an event with its image or not. */
static void
step (guint32 serial, gint x, gboolean shape, gboolean image)
{
  GstEvent *event;

  send_cursor (serial, (guint32) x, shape);
  event = next_event ();
  check_cursor (gst_event_get_structure (event), serial, x, image);
  gst_event_unref (event);
}

/* No unit flows: the screen stands still, the pointer does not. */
GST_START_TEST (test_cursor)
{
  play ("");
  watch_events ();
  step (1, 10, TRUE, TRUE);
  step (1, 11, FALSE, FALSE);
  step (2, -5, TRUE, TRUE);
  step (1, 12, FALSE, FALSE); /* only the last shape is kept */
  step (1, 13, TRUE, TRUE);
  step (1, 14, TRUE, TRUE);   /* sent again, perhaps another image */
  step (9, 15, FALSE, FALSE); /* a shape that never came */
  step (0, 16, FALSE, FALSE);
  step (1, 17, FALSE, TRUE);
  stop ();
  g_async_queue_unref (events);
}
GST_END_TEST;

/* Takes a message, which is this cursor. */
static void
check_message (GstMessage *message, guint serial, gint x, gboolean image)
{
  fail_unless (message != NULL);
  fail_unless (GST_MESSAGE_SRC (message) == GST_OBJECT (src));
  check_cursor (gst_message_get_structure (message), serial, x, image);
  gst_message_unref (message);
}

/* The pointer is a message, too. While the application does not read the bus,
 * moves are skipped; its image is sent again with the next one. */
GST_START_TEST (test_cursor_unread)
{
  GstMessage *message;
  guint read = 0;
  GstBus *bus;

  play ("");
  watch_events ();
  bus = gst_element_get_bus (guest);
  for (guint i = 0; i < 300; i++) {
    send_cursor (i < 150 ? 1 : 2, i, i == 0 || i == 150);
    gst_event_unref (next_event ()); /* it was not merged with the next */
  }
  while ((message = gst_bus_pop_filtered (bus, GST_MESSAGE_ELEMENT)) != NULL) {
    check_message (message, 1, (gint) read, read == 0);
    read++;
  }
  fail_unless (read > 0 && read < 100, "%u messages", read);
  send_cursor (2, 1000, FALSE);
  message = gst_bus_timed_pop_filtered (
      bus, PEER_TIMEOUT_MS * GST_MSECOND, GST_MESSAGE_ELEMENT);
  check_message (message, 2, 1000, TRUE);
  gst_object_unref (bus);
  stop ();
  g_async_queue_unref (events);
}
GST_END_TEST;

/* ---- keyframes ---- */

static void
force_key_unit (void)
{
  GstPad *pad = gst_element_get_static_pad (src, "src");

  fail_unless (gst_pad_send_event (pad,
      gst_video_event_new_upstream_force_key_unit (
          GST_CLOCK_TIME_NONE, TRUE, 1)));
  gst_object_unref (pad);
}

/* Many requests are one, and one inside of the limit is late but not lost,
 * although nothing else happens on the line. */
GST_START_TEST (test_keyframes)
{
  struct helix_keyframe keyframe;
  guint64 begin;

  play ("");
  begin = helix_now_ns ();
  force_key_unit ();
  peer_expect (&peer, HELIX_KEYFRAME);
  PEER_UNPACK (&peer, keyframe, &keyframe);
  fail_unless_equals_int (keyframe.reason, HELIX_KEYFRAME_ASKED);
  for (guint i = 0; i < 100; i++)
    force_key_unit ();
  peer_expect (&peer, HELIX_KEYFRAME);
  fail_unless (helix_now_ns () - begin >= 200 * GST_MSECOND);
  gst_element_set_state (guest, GST_STATE_READY);
  peer_expect (&peer, HELIX_BYE);
  stop ();
}
GST_END_TEST;

/* ---- time ---- */

static const gint64 skews[] = {3600 * (gint64) GST_SECOND, 0,
    -(gint64) GST_SECOND, (gint64) GST_SECOND * 100 * 365 * 86400};

/* The host's clock is another by `skews`, and sends what it captured 50 ms ago:
 * the capture time comes out in ours, PTS is it in the pipeline's, and so are
 * the ages in the statistics. */
GST_START_TEST (test_skewed_host)
{
  const guint64 age = 50 * GST_MSECOND;
  guint64 before, after, said, max;
  GstSample *sample;
  GstBuffer *buffer;
  gint64 off;

  play ("");
  peer.ahead = (guint64) skews[__i__];
  peer_send_caps (&peer, 1);
  fixture_teach_clock (guest, "src", &peer);
  peer.ahead -= age;
  before = helix_now_ns ();
  peer_send_unit (&peer, 0, HELIX_UNIT_KEY, "abcd", 4);
  after = helix_now_ns ();
  sample = pipeline_pull (guest);
  buffer = gst_sample_get_buffer (sample);
  said = buffer_capture (buffer) + age;
  fail_unless (said + GST_MSECOND >= before && said <= after + GST_MSECOND,
      "off by %" G_GINT64_FORMAT, (gint64) (said - before));
  off = (gint64) (GST_BUFFER_PTS (buffer) + gst_element_get_base_time (guest)
      + age - said);
  /* The element reads two clocks, one after the other. */
  fail_unless (ABS (off) <= (gint64) GST_SECOND / 2,
      "PTS is off by %" G_GINT64_FORMAT, off);
  gst_sample_unref (sample);
  fail_unless_equals_uint64 (element_stat (src, "latency-count"), 1);
  max = element_stat (src, "latency-max");
  fail_unless (max + GST_MSECOND >= age
      && max <= helix_now_ns () - before + age + GST_MSECOND);
  fail_unless (element_stat (src, "latency-p50") <= max);
  fail_unless (element_stat (src, "transit-max") > 0);
  fail_unless (element_stat (src, "transit-p50") <= max);
  stop ();
}
GST_END_TEST;

/* A host that is stopped, or a network that drops everything: the kernel takes
 * connections, no process answers. That is told within 3 s; and whenever the
 * host goes on, even at the very moment when helixsrc has given up another
 * attempt, the picture is back within 1 s. */
GST_START_TEST (test_stopped_host)
{
  guint64 begin, took;
  StreamPeer dead;

  play ("");
  expect_picture ("a");
  pipeline_expect (guest, GST_MESSAGE_WARNING, "nothing came for 3 s");
  peer_clear (&peer);

  peer_accept (&dead, listener);
  while (peer_next_any (&dead) != 0)
    continue;
  begin = helix_now_ns ();
  peer_clear (&dead);
  peer_accept (&peer, listener);
  peer_welcome (&peer);
  expect_picture ("b");
  took = helix_now_ns () - begin;
  /* Another attempt that is given up would cost 3 s. */
  fail_unless (took < 2900 * GST_MSECOND, "back after %u ms",
      (guint) (took / GST_MSECOND));
  stop ();
}
GST_END_TEST;

static Suite *
helixsrc_control_suite (void)
{
  TCase *tc;
  Suite *s = stream_suite ("helixsrc-control", 60, &tc);

  tcase_add_test (tc, test_nothing_asked);
  tcase_add_test (tc, test_asked_from_the_start);
  tcase_add_test (tc, test_asked_while_playing);
  tcase_add_test (tc, test_asked_again);
  tcase_add_test (tc, test_refused);
  tcase_add_test (tc, test_cursor);
  tcase_add_test (tc, test_cursor_unread);
  tcase_add_test (tc, test_keyframes);
  tcase_add_loop_test (tc, test_skewed_host, 0, G_N_ELEMENTS (skews));
  tcase_add_test (tc, test_stopped_host);
  return s;
}

GST_CHECK_MAIN (helixsrc_control);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What guests make helixguestsink do to the pipeline that it stands in. */
#include <gst/check/gstcheck.h>
#include <string.h>

#include "gsthelixevents.h"
#include "gsthelixmode.h"
#include "helix-platform.h"
#include "stream-fixture.h"
#include "stream-pipeline.h"

/* What the pad upstream makes of a GstHelixControl, as helixqemusrc would. */
#define KNOWN_SCANOUTS 2

/* The events that came, under the harness's own lock. */
static GAsyncQueue *events;
static gboolean rates_refused;
static GstPadEventFunction harness_event;

static gboolean
upstream_event (GstPad *pad, GstObject *parent, GstEvent *event)
{
  struct helix_config control;
  guint resource_id;
  guint64 capture;
  gboolean taken = TRUE;

  if (gst_helix_event_parse_control (event, &control))
    taken = (!(control.fields & HELIX_CONFIG_SCANOUT)
                || control.scanout < KNOWN_SCANOUTS)
        && !(control.fields & HELIX_CONFIG_RATE && rates_refused);
  else if (gst_helix_event_parse_show (event, &resource_id, &capture))
    taken = resource_id < 100;
  g_async_queue_push (events, gst_event_ref (event));
  harness_event (pad, parent, event);
  return taken;
}

/* The next upstream event of that name. */
static GstEvent *
next_event (const gchar *name)
{
  GstEvent *event;

  while ((event = g_async_queue_timeout_pop (
              events, PEER_TIMEOUT_MS * G_GUINT64_CONSTANT (1000)))
      != NULL) {
    if (gst_event_has_name (event, name))
      return event;
    gst_event_unref (event);
  }
  fail ("no %s came", name);
  return NULL;
}

static GstHarness *h;
static StreamPeer peer;

/* Plays helixguestsink, and a guest of this role that has met it. */
static void
begin (guint32 role)
{
  rates_refused = FALSE;
  events = g_async_queue_new_full ((GDestroyNotify) gst_event_unref);
  h = fixture_harness_new (fixture_sink_new (), NULL);
  harness_event = GST_PAD_EVENTFUNC (h->srcpad);
  gst_pad_set_event_function (h->srcpad, upstream_event);
  gst_harness_set_src_caps_str (h, "video/x-vp8,width=320,height=240");
  peer_meet_as (&peer, path, role);
}

/* Ends a test. */
static void
finish (void)
{
  peer_clear (&peer);
  gst_harness_teardown (h);
  g_async_queue_unref (events);
}

/* The guest asks for it. */
static void
ask (const struct helix_config *config)
{
  PEER_SEND (&peer, config, config);
}

/* ---- requests ---- */

/* Scanout and resource in one event, the framerate in another; then a
 * keyframe, beyond the one for joining. */
GST_START_TEST (test_requests_go_upstream)
{
  struct helix_config config = {.fields = HELIX_CONFIG_RATE
          | HELIX_CONFIG_SCANOUT | HELIX_CONFIG_RESOURCE,
      .rate_num = 30,
      .rate_den = 1,
      .scanout = 1};
  struct helix_config control;
  GstEvent *event;

  begin (HELIX_ROLE_STREAM);
  gst_event_unref (next_event ("GstForceKeyUnit"));
  gst_harness_push (h, fixture_unit (0, 10, GST_CLOCK_TIME_NONE, FALSE));
  peer_expect (&peer, HELIX_UNIT);
  ask (&config);
  event = next_event ("GstHelixControl");
  fail_unless (gst_helix_event_parse_control (event, &control));
  fail_unless_equals_int (control.fields, HELIX_CONFIG_RATE);
  fail_unless_equals_int (control.rate_num, 30);
  gst_event_unref (event);
  event = next_event ("GstHelixControl");
  fail_unless (gst_helix_event_parse_control (event, &control));
  fail_unless_equals_int (
      control.fields, HELIX_CONFIG_SCANOUT | HELIX_CONFIG_RESOURCE);
  fail_unless_equals_int (control.scanout, 1);
  fail_unless_equals_int (control.resource_id, 0);
  gst_event_unref (event);
  gst_event_unref (next_event ("GstForceKeyUnit"));
  finish ();
}
GST_END_TEST;

/* A client that asks for a screen or resource that is not there gets an ERROR,
 * and stays. */
GST_START_TEST (test_refused)
{
  struct helix_config config = {
      .fields = HELIX_CONFIG_SCANOUT, .scanout = KNOWN_SCANOUTS};
  struct helix_show show = {.resource_id = 100, .capture_ns = HELIX_NONE64};
  g_autofree gchar *text = NULL, *shown = NULL;

  begin (HELIX_ROLE_STREAM);
  ask (&config);
  text = peer_expect_error (&peer, HELIX_ERROR_NO_SCANOUT);
  fail_unless (strstr (text, "scanout 2") != NULL, "%s", text);
  PEER_SEND (&peer, show, 0, &show);
  shown = peer_expect_error (&peer, HELIX_ERROR_NO_RESOURCE);
  fail_unless (strstr (shown, "resource 100") != NULL, "%s", shown);
  gst_harness_push (h, fixture_unit (0, 10, GST_CLOCK_TIME_NONE, FALSE));
  peer_expect (&peer, HELIX_UNIT);
  finish ();
}
GST_END_TEST;

GST_START_TEST (test_show)
{
  struct helix_show show = {.resource_id = 42, .capture_ns = 987654321};
  guint resource_id;
  guint64 capture;
  GstEvent *event;

  begin (HELIX_ROLE_CONTROL);
  PEER_SEND (&peer, show, 0, &show);
  event = next_event ("GstHelixShow");
  fail_unless (gst_helix_event_parse_show (event, &resource_id, &capture));
  fail_unless_equals_int (resource_id, 42);
  fail_unless_equals_uint64 (capture, 987654321);
  gst_event_unref (event);
  finish ();
}
GST_END_TEST;

static GAsyncQueue *requests;

static void
take_request (GstElement *sink, guint id, GstStructure *request, gpointer user)
{
  fail_unless (id > 0);
  g_async_queue_push (requests, gst_structure_copy (request));
}

GST_START_TEST (test_signal)
{
  struct helix_config config = {
      .fields = HELIX_CONFIG_BITRATE | HELIX_CONFIG_RATE,
      .bitrate = 4000000,
      .rate_num = G_MAXUINT32,
      .rate_den = 2};
  GstStructure *request;
  guint bitrate;
  gint num, den;

  begin (HELIX_ROLE_STREAM);
  requests = g_async_queue_new ();
  g_signal_connect (
      h->element, "client-control", G_CALLBACK (take_request), NULL);
  ask (&config);
  request = g_async_queue_timeout_pop (
      requests, PEER_TIMEOUT_MS * G_GUINT64_CONSTANT (1000));
  fail_unless (request != NULL);
  fail_unless (gst_structure_has_name (request, "application/x-helix-control"));
  fail_unless_equals_int (gst_structure_n_fields (request), 2);
  fail_unless (gst_structure_get_uint (request, "bitrate", &bitrate));
  fail_unless_equals_int (bitrate, 4000000);
  fail_unless (
      gst_structure_get_fraction (request, "max-framerate", &num, &den));
  fail_unless (num > 0 && den > 0);
  gst_structure_free (request);
  gst_event_unref (next_event ("GstHelixControl"));
  /* The application handles it: no warning. */
  pipeline_expect_quiet (h->element);
  finish ();
  g_async_queue_unref (requests);
}
GST_END_TEST;

/* Nothing applies it: both ends are told, the host once. */
GST_START_TEST (test_not_applied)
{
  struct helix_config config = {.fields = HELIX_CONFIG_BITRATE, .bitrate = 9};

  begin (HELIX_ROLE_STREAM);
  for (guint i = 0; i < 2; i++) {
    g_autofree gchar *text = NULL;

    ask (&config);
    text = peer_expect_error (&peer, HELIX_ERROR_UNSUPPORTED);
    fail_unless (strstr (text, "control-encoder") != NULL, "%s", text);
  }
  /* There is no encoder in a harness. */
  g_object_set (h->element, "control-encoder", TRUE, NULL);
  ask (&config);
  g_free (peer_expect_error (&peer, HELIX_ERROR_UNSUPPORTED));
  for (guint i = 0; i < 2; i++)
    g_free (pipeline_message_of (h->element, GST_MESSAGE_WARNING));
  pipeline_expect_quiet (h->element);
  finish ();
}
GST_END_TEST;

/* Nothing upstream limits the rate: only a request for a limit is refused. */
GST_START_TEST (test_no_limit)
{
  struct helix_config config = {
      .fields = HELIX_CONFIG_RATE, .rate_num = 0, .rate_den = 1};

  begin (HELIX_ROLE_STREAM);
  rates_refused = TRUE;
  ask (&config);
  gst_event_unref (next_event ("GstHelixControl"));
  config.rate_num = 60;
  ask (&config);
  gst_event_unref (next_event ("GstHelixControl"));
  g_free (peer_expect_error (&peer, HELIX_ERROR_UNSUPPORTED));
  config.rate_num = 0;
  ask (&config);
  gst_event_unref (next_event ("GstHelixControl"));
  /* The thread that answers LIST would have refused it before. */
  PEER_SEND (&peer, empty, HELIX_LIST, 0);
  fail_unless_equals_int (peer_next (&peer), HELIX_STATUS);
  finish ();
}
GST_END_TEST;

/* ---- to guests ---- */

GST_START_TEST (test_cursor)
{
  struct helix_cursor cursor = {.scanout = 3,
      .flags = HELIX_CURSOR_VISIBLE,
      .x = (guint32) -5,
      .y = 7,
      .serial = 2,
      .width = 24,
      .height = 16,
      .hot_x = 1,
      .hot_y = 2};
  GstBuffer *image = gst_buffer_new_allocate (NULL, 24 * 16 * 4, NULL);

  begin (HELIX_ROLE_STREAM);
  gst_buffer_memset (image, 0, 0x7e, 24 * 16 * 4);
  fail_unless (
      gst_harness_push_event (h, gst_helix_event_new_cursor (&cursor, image)));
  gst_buffer_unref (image);
  fail_unless_equals_int (peer_next (&peer), HELIX_CURSOR);
  fail_unless_equals_int (
      peer.cursor.flags, HELIX_CURSOR_VISIBLE | HELIX_CURSOR_SHAPE);
  fail_unless_equals_int (peer.cursor.scanout, 3);
  fail_unless_equals_int ((gint32) peer.cursor.x, -5);
  fail_unless_equals_int (peer.cursor.hot_y, 2);
  fail_unless_equals_int (peer.bulk[24 * 16 * 4 - 1], 0x7e);
  fail_unless (helix_now_ns () - peer.cursor.changed_ns < 60 * GST_SECOND);
  cursor.flags = 0;
  gst_harness_push_event (h, gst_helix_event_new_cursor (&cursor, NULL));
  fail_unless_equals_int (peer_next (&peer), HELIX_CURSOR);
  fail_unless_equals_int (peer.cursor.flags, 0);
  fail_unless_equals_int (peer.cursor.serial, 2);
  finish ();
}
GST_END_TEST;

/* One that cannot be: a warning, once, and nothing goes out. */
GST_START_TEST (test_bad_cursor)
{
  begin (HELIX_ROLE_STREAM);
  for (guint i = 0; i < 3; i++)
    gst_harness_push_event (h,
        gst_event_new_custom (GST_EVENT_CUSTOM_DOWNSTREAM_OOB,
            gst_structure_new (
                "GstHelixCursor", "scanout", G_TYPE_STRING, "one", NULL)));
  gst_harness_push_event (h,
      gst_event_new_custom (GST_EVENT_CUSTOM_DOWNSTREAM_OOB,
          gst_structure_new_empty ("SomethingElse")));
  g_free (pipeline_message_of (h->element, GST_MESSAGE_WARNING));
  pipeline_expect_quiet (h->element);
  finish ();
}
GST_END_TEST;

/* ---- numbers ---- */

/* Captured 20 ms ago, given to the encoder 5 ms ago. */
GST_START_TEST (test_stats)
{
  guint64 now = helix_now_ns ();

  begin (HELIX_ROLE_STREAM);
  for (guint i = 0; i < 10; i++) {
    GstBuffer *buffer = fixture_unit (0, 10, GST_CLOCK_TIME_NONE, FALSE);

    now = helix_now_ns ();
    gst_buffer_add_reference_timestamp_meta (buffer, gst_helix_capture_caps (),
        now - 20 * GST_MSECOND, GST_CLOCK_TIME_NONE);
    gst_buffer_add_reference_timestamp_meta (buffer, gst_helix_pushed_caps (),
        now - 5 * GST_MSECOND, GST_CLOCK_TIME_NONE);
    gst_harness_push (h, buffer);
    peer_expect (&peer, HELIX_UNIT);
  }
  fail_unless_equals_uint64 (element_stat (h->element, "units"), 10);
  fail_unless_equals_uint64 (element_stat (h->element, "units-sent"), 10);
  fail_unless_equals_uint64 (element_stat (h->element, "units-dropped"), 0);
  fail_unless_equals_uint64 (element_stat (h->element, "bytes"), 100);
  fail_unless_equals_uint64 (element_stat (h->element, "keyframes"), 10);
  fail_unless_equals_uint64 (element_stat (h->element, "reconnects"), 0);
  fail_unless (element_stat (h->element, "encode-p50") >= 5 * GST_MSECOND);
  fail_unless (element_stat (h->element, "latency-p50") >= 20 * GST_MSECOND);
  fail_unless (element_stat (h->element, "latency-p50")
      > element_stat (h->element, "encode-p50"));
  fail_unless (element_stat (h->element, "send-max") > 0);
  fail_unless (element_stat (h->element, "send-p50")
      <= element_stat (h->element, "send-p95"));
  fail_unless (element_stat (h->element, "send-p95")
      <= element_stat (h->element, "send-p99"));
  fail_unless (element_stat (h->element, "send-p99")
      <= element_stat (h->element, "send-max"));
  finish ();
}
GST_END_TEST;

/* ---- real encoders ----
 *
 * How far the rate is from what a guest asks for. Times are those of the
 * stream, which runs faster than the clock: a machine that is too slow for that
 * makes the test longer, not wrong. */

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

/* Takes units up to `to` of the stream's time and returns the bytes of those
 * from `from` on. */
static guint64
count_bytes (guint64 from, guint64 to)
{
  guint64 bytes = 0;

  for (;;) {
    peer_expect (&peer, HELIX_UNIT);
    if (peer.unit.running_time >= to)
      return bytes;
    if (peer.unit.running_time >= from)
      bytes += peer.reader.bulk_size;
  }
}

/* Asks for a rate and measures it, over 2 s from 3 s later on. */
static void
check_rate (const gchar *encoder, guint32 wanted)
{
  struct helix_config config = {
      .fields = HELIX_CONFIG_BITRATE, .bitrate = wanted};
  guint64 asked, is;

  peer_expect (&peer, HELIX_UNIT);
  asked = peer.unit.running_time;
  ask (&config);
  is = count_bytes (asked + 3 * GST_SECOND, asked + 5 * GST_SECOND) * 8 / 2;
  GST_INFO ("%s: wanted %u bit/s, is %" G_GUINT64_FORMAT, encoder, wanted, is);
  fail_unless (is >= wanted * G_GUINT64_CONSTANT (85) / 100
          && is <= wanted * G_GUINT64_CONSTANT (115) / 100,
      "%s: wanted %u bit/s, is %" G_GUINT64_FORMAT, encoder, wanted, is);
}

/* STATUS names the encoder, also behind a parser. */
static void
check_status (const gchar *name)
{
  gchar text[HELIX_MAX_TEXT + 1];
  struct helix_status status;

  PEER_SEND (&peer, empty, HELIX_LIST, 0);
  peer_expect (&peer, HELIX_STATUS);
  PEER_UNPACK (&peer, status, &status, text);
  fail_unless (g_str_has_prefix (text, name), "%s", text);
  fail_unless (strstr (text, "320x240") != NULL, "%s", text);
  fail_unless_equals_int (status.width, 320);
}

static const struct {
  const gchar *line, *name;
} encoders[] = {
    {"x264enc tune=zerolatency speed-preset=ultrafast bitrate=1000 ! h264parse",
        "x264enc, H.264"},
    {"openh264enc bitrate=1000000", "openh264enc, H.264"},
};

GST_START_TEST (test_rate)
{
  GstElement *pipeline = pipeline_of (encoders[__i__].line);

  if (pipeline == NULL)
    return;
  peer_meet (&peer, path);
  check_rate (encoders[__i__].line, 2500000);
  check_rate (encoders[__i__].line, 1000000);
  check_status (encoders[__i__].name);
  pipeline_expect_quiet (pipeline);
  peer_clear (&peer);
  pipeline_end (pipeline);
}
GST_END_TEST;

static Suite *
helixguestsink_control_suite (void)
{
  TCase *tc;
  Suite *s = stream_suite ("helixguestsink-control", 60, &tc);

  tcase_add_test (tc, test_requests_go_upstream);
  tcase_add_test (tc, test_refused);
  tcase_add_test (tc, test_show);
  tcase_add_test (tc, test_signal);
  tcase_add_test (tc, test_not_applied);
  tcase_add_test (tc, test_no_limit);
  tcase_add_test (tc, test_cursor);
  tcase_add_test (tc, test_bad_cursor);
  tcase_add_test (tc, test_stats);
  tcase_add_loop_test (tc, test_rate, 0, G_N_ELEMENTS (encoders));
  return s;
}

GST_CHECK_MAIN (helixguestsink_control);

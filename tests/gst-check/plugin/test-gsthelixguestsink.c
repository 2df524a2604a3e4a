/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gstdio.h>
#include <gst/check/gstcheck.h>
#include <string.h>
#include <unistd.h>

#include "gsthelixmode.h"
#include "helix-platform.h"
#include "helix-test-time.h"
#include "stream-fixture.h"
#include "stream-pipeline.h"

#define VP8 "video/x-vp8,width=320,height=240"

/* Encoders add 1000 h to PTS and segment. That stays here. The time of capture
 * that helixqemusrc attached goes on the wire. */
GST_START_TEST (test_running_time)
{
  const GstClockTime far = 1000 * 3600 * GST_SECOND;
  GstCaps *caps = gst_caps_from_string ("video/x-vp9,width=320,height=240");
  GstHarness *h = fixture_harness_new (fixture_sink_new (), NULL);
  GstSegment segment;
  GstBuffer *buffer;
  StreamPeer peer;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.start = segment.position = far;
  gst_harness_push_event (h, gst_event_new_stream_start ("s"));
  gst_harness_push_event (h, gst_event_new_caps (caps));
  gst_caps_unref (caps);
  gst_harness_push_event (h, gst_event_new_segment (&segment));
  peer_meet (&peer, path);
  buffer = fixture_unit (1, 10, far + 40 * GST_MSECOND, FALSE);
  GST_BUFFER_DTS (buffer) = far - 40 * GST_MSECOND;
  gst_buffer_add_reference_timestamp_meta (
      buffer, gst_helix_capture_caps (), 123456789, GST_CLOCK_TIME_NONE);
  gst_harness_push (h, buffer);
  buffer = fixture_unit (1, 10, far + 80 * GST_MSECOND, TRUE);
  GST_BUFFER_DTS (buffer) = far + 20 * GST_MSECOND;
  GST_BUFFER_DURATION (buffer) = 7;
  gst_harness_push (h, buffer);
  peer_expect (&peer, HELIX_UNIT);
  fail_unless_equals_uint64 (peer.unit.running_time, 40 * GST_MSECOND);
  fail_unless_equals_uint64 (peer.unit.dts, 0);
  fail_unless_equals_uint64 (peer.unit.duration, HELIX_NONE64);
  fail_unless_equals_uint64 (peer.unit.capture_ns, 123456789);
  peer_expect (&peer, HELIX_UNIT);
  fail_unless_equals_uint64 (peer.unit.running_time, 80 * GST_MSECOND);
  fail_unless_equals_uint64 (peer.unit.dts, 20 * GST_MSECOND);
  fail_unless_equals_uint64 (peer.unit.duration, 7);
  fail_unless_equals_uint64 (peer.unit.capture_ns, HELIX_NONE64);
  peer_clear (&peer);
  gst_harness_teardown (h);
}
GST_END_TEST;

static guint signal_added, signal_removed, notified;

static void
count_added (GstElement *element, guint id, const gchar *peer, gpointer user)
{
  fail_unless (id > 0);
  fail_unless (g_str_has_prefix (peer, "unix:pid="));
  g_atomic_int_inc (&signal_added);
}

static void
count_removed (GstElement *element, guint id, const gchar *why, gpointer user)
{
  fail_unless (why != NULL && *why != '\0');
  g_atomic_int_inc (&signal_removed);
}

static void
count_notify (GObject *object, GParamSpec *pspec, gpointer user)
{
  g_atomic_int_inc (&notified);
}

GST_START_TEST (test_signals_and_stats)
{
  GstElement *sink = fixture_sink_new ();
  GstHarness *h;
  g_autofree gchar *where = NULL;
  StreamPeer peer;
  guint clients;

  signal_added = signal_removed = notified = 0;
  g_signal_connect (sink, "client-added", G_CALLBACK (count_added), NULL);
  g_signal_connect (sink, "client-removed", G_CALLBACK (count_removed), NULL);
  g_signal_connect (
      sink, "notify::num-clients", G_CALLBACK (count_notify), NULL);
  h = fixture_harness_new (sink, VP8);
  peer_connect (&peer, path);
  peer_hello (&peer, NULL);
  TEST_AWAIT (g_atomic_int_get (&signal_added) > 0);
  TEST_AWAIT (g_atomic_int_get (&notified) > 0);
  g_object_get (h->element, "num-clients", &clients, NULL);
  fail_unless_equals_int (clients, 1);
  gst_harness_push (h, fixture_unit (1, 10, 0, FALSE));
  peer_expect (&peer, HELIX_UNIT);
  fail_unless_equals_uint64 (element_stat (h->element, "units-sent"), 1);
  where = element_address (h->element);
  fail_unless_equals_string (where, address);
  peer_clear (&peer);
  TEST_AWAIT (g_atomic_int_get (&signal_removed) > 0);
  g_object_get (h->element, "num-clients", &clients, NULL);
  fail_unless_equals_int (clients, 0);
  gst_harness_teardown (h);
}
GST_END_TEST;

/* ---- bad input ---- */

/* The address is at fault: an error with it, at once, and no second one. */
static void
check_start_fails (const gchar *where, GstHelixMode mode, const gchar *say)
{
  GstElement *sink = gst_element_factory_make ("helixguestsink", NULL);
  GstBus *bus = gst_bus_new ();
  guint64 begin = helix_now_ns ();
  g_autofree gchar *text = NULL;

  gst_element_set_bus (sink, bus);
  g_object_set (sink, "address", where, "mode", mode, NULL);
  fail_unless_equals_int (gst_element_set_state (sink, GST_STATE_PAUSED),
      mode == GST_HELIX_MODE_LISTEN ? GST_STATE_CHANGE_FAILURE
                                    : GST_STATE_CHANGE_SUCCESS);
  text = pipeline_message_of (sink, GST_MESSAGE_ERROR);
  fail_unless (helix_now_ns () - begin < TEST_SOON);
  fail_unless (strstr (text, say) != NULL, "%s", text);
  fail_unless (strstr (text, where) != NULL, "%s", text);
  gst_element_set_state (sink, GST_STATE_NULL);
  fail_unless (gst_bus_pop_filtered (bus, GST_MESSAGE_ERROR) == NULL,
      "%s: a second error", where);
  gst_object_unref (bus);
  gst_object_unref (sink);
}

GST_START_TEST (test_bad_address)
{
  g_autofree gchar *x = g_strnfill (200, 'x');
  g_autofree gchar *too_long = g_strdup_printf ("unix:/tmp/%s", x);
  g_autofree gchar *port = NULL;
  gint taken = peer_listen (path);
  GstElement *sink;
  GstHarness *h;

  check_start_fails ("nonsense", GST_HELIX_MODE_LISTEN, "An address is");
  check_start_fails (too_long, GST_HELIX_MODE_LISTEN, "shorter path");
  check_start_fails (address, GST_HELIX_MODE_LISTEN, "already served");
  close (taken);
  g_unlink (path);
  fail_unless (g_file_set_contents (path, "x", 1, NULL));
  check_start_fails (address, GST_HELIX_MODE_LISTEN, "regular file");
  check_start_fails (address, GST_HELIX_MODE_CONNECT, "regular file");
  g_unlink (path);
  check_start_fails ("unix:/nowhere/at/all", GST_HELIX_MODE_LISTEN, "Create");
  check_start_fails ("serial:/dev/null", GST_HELIX_MODE_LISTEN, "mode=connect");

  /* Without a token, not where others than this user may come from. */
  check_start_fails ("tcp:0.0.0.0:0", GST_HELIX_MODE_LISTEN, "insecure=true");
  check_start_fails ("tcp:[::]:0", GST_HELIX_MODE_LISTEN, "token-file");
  check_start_fails ("vsock:any:1", GST_HELIX_MODE_LISTEN, "insecure=true");

  sink = fixture_sink_new ();
  g_object_set (sink, "address", "tcp:127.0.0.1:0", NULL);
  h = fixture_harness_new (sink, NULL);
  port = element_address (sink);
  check_start_fails (port, GST_HELIX_MODE_LISTEN, "choose another one");
  gst_harness_teardown (h);
}
GST_END_TEST;

/* A client that errs is a warning, and the stream goes on. */
GST_START_TEST (test_bad_client)
{
  GstHarness *h = fixture_harness_new (fixture_sink_new (), VP8);
  StreamPeer peer;

  peer_connect (&peer, path);
  peer_send (&peer, "GET / HTTP/1.1\r\n", 16);
  peer_expect_refusal (&peer, HELIX_ERROR_PROTOCOL);
  pipeline_expect (h->element, GST_MESSAGE_WARNING, "refused");
  fail_unless_equals_int (
      gst_harness_push (h, fixture_unit (1, 10, 0, FALSE)), GST_FLOW_OK);
  peer_clear (&peer);
  gst_harness_teardown (h);
}
GST_END_TEST;

/* An encoder that errs is a warning, once; what follows is a gap. */
GST_START_TEST (test_bad_units)
{
  GstHarness *h = fixture_harness_new (fixture_sink_new (),
      "video/x-h264,stream-format=byte-stream,alignment=au,"
      "width=320,height=240");
  static const guint8 good[] = {0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x1e, 0xd9, 2, 0,
      0, 0, 1, 0x68, 0xce, 0x38, 0x80, 0, 0, 0, 1, 0x65, 0x88, 0x84};
  StreamPeer peer;

  peer_meet (&peer, path);
  for (guint i = 0; i < 3; i++)
    fail_unless_equals_int (
        gst_harness_push (h, fixture_unit (0x65, 10, i, FALSE)), GST_FLOW_OK);
  gst_harness_push (h, gst_buffer_new_memdup (good, sizeof good));
  peer_expect (&peer, HELIX_UNIT);
  fail_unless_equals_uint64 (peer.unit.sequence, 3);
  pipeline_expect (h->element, GST_MESSAGE_WARNING, "start code");
  pipeline_expect_quiet (h->element);
  peer_clear (&peer);
  gst_harness_teardown (h);
}
GST_END_TEST;

/* Properties are fixed while it runs. */
GST_START_TEST (test_properties)
{
  GstHarness *h = fixture_harness_new (fixture_sink_new (), VP8);
  g_autofree gchar *now = NULL;
  gboolean sync, async;
  guint max;

  g_object_set (
      h->element, "address", "tcp:127.0.0.1:1", "max-clients", 3, NULL);
  g_object_get (h->element, "address", &now, "max-clients", &max, "sync", &sync,
      "async", &async, NULL);
  fail_unless_equals_string (now, address);
  fail_unless_equals_int (max, 16);
  fail_if (sync || async);
  gst_harness_teardown (h);
}
GST_END_TEST;

GST_START_TEST (test_states)
{
  GstElement *sink = gst_element_factory_make ("helixguestsink", NULL);

  g_object_set (sink, "address", address, NULL);
  for (guint i = 0; i < 100; i++) {
    StreamPeer peer = {.fd = -1};

    fail_unless_equals_int (gst_element_set_state (sink, GST_STATE_PLAYING),
        GST_STATE_CHANGE_SUCCESS);
    if (i % 2 == 1) {
      peer_connect (&peer, path);
      peer_hello (&peer, NULL);
    }
    fail_unless_equals_int (
        gst_element_set_state (sink, GST_STATE_NULL), GST_STATE_CHANGE_SUCCESS);
    peer_clear (&peer);
  }
  gst_object_unref (sink);
}
GST_END_TEST;

/* What all three ends of a stream have in common (gsthelixendpoint). The
 * environment is asked when the element is made, and when `address` is set to
 * NULL; an empty variable is none. */
GST_START_TEST (test_endpoint)
{
  GstElement *sink;
  gint mode;

  g_setenv ("HELIX_ADDRESS", "unix:/a", TRUE);
  sink = gst_element_factory_make ("helixguestsink", NULL);
  element_expect_text (sink, "address", "unix:/a");
  g_setenv ("HELIX_ADDRESS", "", TRUE);
  element_expect_text (sink, "address", "unix:/a");
  g_object_set (sink, "address", NULL, NULL);
  element_expect_text (sink, "address", "tcp:127.0.0.1:14359");
  g_object_set (sink, "address", "unix:/b", "token", "t", "token-file", "f",
      "mode", GST_HELIX_MODE_CONNECT, NULL);
  element_expect_text (sink, "address", "unix:/b");
  element_expect_text (sink, "token", "t");
  element_expect_text (sink, "token-file", "f");
  g_object_get (sink, "mode", &mode, NULL);
  fail_unless_equals_int (mode, GST_HELIX_MODE_CONNECT);
  g_object_set (sink, "token", NULL, "token-file", NULL, NULL);
  element_expect_text (sink, "token", NULL);
  element_expect_text (sink, "token-file", NULL);
  gst_object_unref (sink);
  g_unsetenv ("HELIX_ADDRESS");
}
GST_END_TEST;

static Suite *
helixguestsink_suite (void)
{
  TCase *tc;
  Suite *s = stream_suite ("helixguestsink", 60, &tc);

  tcase_add_test (tc, test_running_time);
  tcase_add_test (tc, test_signals_and_stats);
  tcase_add_test (tc, test_bad_address);
  tcase_add_test (tc, test_bad_client);
  tcase_add_test (tc, test_bad_units);
  tcase_add_test (tc, test_properties);
  tcase_add_test (tc, test_states);
  tcase_add_test (tc, test_endpoint);
  return s;
}

GST_CHECK_MAIN (helixguestsink);

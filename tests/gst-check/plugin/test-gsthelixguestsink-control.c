/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What guests make helixguestsink do to the pipeline that it stands in. */
#include <gst/check/gstcheck.h>
#include <gst/check/gstharness.h>
#include <gst/video/video.h>
#include <string.h>

#include "gsthelixevents.h"
#include "gsthelixmode.h"
#include "helix-platform.h"
#include "stream-peer.h"

static gchar *folder, *path;
static guint8 message[HELIX_MAX_MESSAGE];

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

static GstHarness *
harness_new (void)
{
  g_autofree gchar *address = g_strdup_printf ("unix:%s", path);
  GstElement *sink = gst_element_factory_make ("helixguestsink", NULL);
  GstHarness *h;

  g_object_set (gst_object_ref_sink (sink), "address", address, NULL);
  h = gst_harness_new_with_element (sink, "sink", NULL);
  gst_object_unref (sink);
  harness_event = GST_PAD_EVENTFUNC (h->srcpad);
  gst_pad_set_event_function (h->srcpad, upstream_event);
  gst_harness_set_src_caps_str (h, "video/x-vp8,width=320,height=240");
  return h;
}

static void
join (StreamPeer *peer)
{
  peer_connect (peer, path);
  peer_hello (peer, NULL);
  fail_unless_equals_int (peer_next (peer), HELIX_WELCOME);
}

static void
say_config (StreamPeer *peer, const struct helix_config *config)
{
  peer_send (peer, message, helix_pack_config (message, config));
}

static void
setup (void)
{
  folder = peer_folder_new ();
  path = g_build_filename (folder, "s", NULL);
  events = g_async_queue_new_full ((GDestroyNotify) gst_event_unref);
}

static void
teardown (void)
{
  rates_refused = FALSE;
  g_async_queue_unref (events);
  g_free (path);
  peer_folder_free (folder);
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
  GstHarness *h = harness_new ();
  struct helix_config control;
  GstEvent *event;
  StreamPeer peer;

  join (&peer);
  gst_event_unref (next_event ("GstForceKeyUnit"));
  gst_harness_push (h, gst_buffer_new_wrapped (g_malloc0 (10), 10));
  peer_expect (&peer, HELIX_UNIT);
  say_config (&peer, &config);
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
  peer_clear (&peer);
  gst_harness_teardown (h);
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
  GstHarness *h = harness_new ();
  StreamPeer peer;

  join (&peer);
  say_config (&peer, &config);
  text = peer_expect_error (&peer, HELIX_ERROR_NO_SCANOUT);
  fail_unless (strstr (text, "scanout 2") != NULL, "%s", text);
  peer_send (&peer, message, helix_pack_show (message, 0, &show));
  shown = peer_expect_error (&peer, HELIX_ERROR_NO_RESOURCE);
  fail_unless (strstr (shown, "resource 100") != NULL, "%s", shown);
  gst_harness_push (h, gst_buffer_new_wrapped (g_malloc0 (10), 10));
  peer_expect (&peer, HELIX_UNIT);
  peer_clear (&peer);
  gst_harness_teardown (h);
}
GST_END_TEST;

GST_START_TEST (test_show)
{
  struct helix_show show = {.resource_id = 42, .capture_ns = 987654321};
  GstHarness *h = harness_new ();
  guint resource_id;
  guint64 capture;
  GstEvent *event;
  StreamPeer peer;

  peer_connect (&peer, path);
  peer_hello_as (&peer, NULL, HELIX_ROLE_CONTROL);
  fail_unless_equals_int (peer_next (&peer), HELIX_WELCOME);
  peer_send (&peer, message, helix_pack_show (message, 0, &show));
  event = next_event ("GstHelixShow");
  fail_unless (gst_helix_event_parse_show (event, &resource_id, &capture));
  fail_unless_equals_int (resource_id, 42);
  fail_unless_equals_uint64 (capture, 987654321);
  gst_event_unref (event);
  peer_clear (&peer);
  gst_harness_teardown (h);
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
  GstHarness *h = harness_new ();
  GstBus *bus = gst_bus_new ();
  GstStructure *request;
  StreamPeer peer;
  guint bitrate;
  gint num, den;

  requests = g_async_queue_new ();
  gst_element_set_bus (h->element, bus);
  g_signal_connect (
      h->element, "client-control", G_CALLBACK (take_request), NULL);
  join (&peer);
  say_config (&peer, &config);
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
  peer_clear (&peer);
  gst_harness_teardown (h);
  /* The application handles it: no warning. */
  fail_unless (gst_bus_pop_filtered (bus, GST_MESSAGE_WARNING) == NULL);
  gst_object_unref (bus);
  g_async_queue_unref (requests);
}
GST_END_TEST;

/* Nothing applies it: both ends are told, the host once. */
GST_START_TEST (test_not_applied)
{
  struct helix_config config = {.fields = HELIX_CONFIG_BITRATE, .bitrate = 9};
  GstHarness *h = harness_new ();
  GstBus *bus = gst_bus_new ();
  GstMessage *warning;
  StreamPeer peer;

  gst_element_set_bus (h->element, bus);
  join (&peer);
  for (guint i = 0; i < 2; i++) {
    g_autofree gchar *text = NULL;

    say_config (&peer, &config);
    text = peer_expect_error (&peer, HELIX_ERROR_UNSUPPORTED);
    fail_unless (strstr (text, "control-encoder") != NULL, "%s", text);
  }
  /* There is no encoder in a harness. */
  g_object_set (h->element, "control-encoder", TRUE, NULL);
  say_config (&peer, &config);
  g_free (peer_expect_error (&peer, HELIX_ERROR_UNSUPPORTED));
  for (guint i = 0; i < 2; i++) {
    warning = gst_bus_pop_filtered (bus, GST_MESSAGE_WARNING);
    fail_unless (warning != NULL);
    gst_message_unref (warning);
  }
  fail_unless (gst_bus_pop_filtered (bus, GST_MESSAGE_WARNING) == NULL);
  peer_clear (&peer);
  gst_element_set_bus (h->element, NULL);
  gst_harness_teardown (h);
  gst_object_unref (bus);
}
GST_END_TEST;

/* Nothing upstream limits the rate: only a request for a limit is refused. */
GST_START_TEST (test_no_limit)
{
  struct helix_config config = {
      .fields = HELIX_CONFIG_RATE, .rate_num = 0, .rate_den = 1};
  GstHarness *h = harness_new ();
  StreamPeer peer;

  rates_refused = TRUE;
  join (&peer);
  say_config (&peer, &config);
  gst_event_unref (next_event ("GstHelixControl"));
  config.rate_num = 60;
  say_config (&peer, &config);
  gst_event_unref (next_event ("GstHelixControl"));
  g_free (peer_expect_error (&peer, HELIX_ERROR_UNSUPPORTED));
  config.rate_num = 0;
  say_config (&peer, &config);
  gst_event_unref (next_event ("GstHelixControl"));
  /* The thread that answers LIST would have refused it before. */
  peer_send (&peer, message, helix_pack_empty (message, HELIX_LIST, 0));
  fail_unless_equals_int (peer_next (&peer), HELIX_STATUS);
  peer_clear (&peer);
  gst_harness_teardown (h);
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
  GstHarness *h = harness_new ();
  StreamPeer peer;

  join (&peer);
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
  peer_clear (&peer);
  gst_harness_teardown (h);
}
GST_END_TEST;

/* One that cannot be: a warning, once, and nothing goes out. */
GST_START_TEST (test_bad_cursor)
{
  GstHarness *h = harness_new ();
  GstBus *bus = gst_bus_new ();
  GstMessage *warning;

  gst_element_set_bus (h->element, bus);
  for (guint i = 0; i < 3; i++)
    gst_harness_push_event (h,
        gst_event_new_custom (GST_EVENT_CUSTOM_DOWNSTREAM_OOB,
            gst_structure_new (
                "GstHelixCursor", "scanout", G_TYPE_STRING, "one", NULL)));
  gst_harness_push_event (h,
      gst_event_new_custom (GST_EVENT_CUSTOM_DOWNSTREAM_OOB,
          gst_structure_new_empty ("SomethingElse")));
  warning = gst_bus_pop_filtered (bus, GST_MESSAGE_WARNING);
  fail_unless (warning != NULL);
  gst_message_unref (warning);
  fail_unless (gst_bus_pop_filtered (bus, GST_MESSAGE_WARNING) == NULL);
  gst_element_set_bus (h->element, NULL);
  gst_harness_teardown (h);
  gst_object_unref (bus);
}
GST_END_TEST;

/* ---- numbers ---- */

static guint64
stat_of (const GstStructure *stats, const gchar *field)
{
  guint64 value = 0;

  fail_unless (gst_structure_get_uint64 (stats, field, &value), "no %s", field);
  return value;
}

/* Captured 20 ms ago, given to the encoder 5 ms ago. */
GST_START_TEST (test_stats)
{
  GstHarness *h = harness_new ();
  guint64 now = helix_now_ns ();
  GstStructure *stats;
  StreamPeer peer;

  join (&peer);
  for (guint i = 0; i < 10; i++) {
    GstBuffer *buffer = gst_buffer_new_wrapped (g_malloc0 (10), 10);

    now = helix_now_ns ();
    gst_buffer_add_reference_timestamp_meta (buffer, gst_helix_capture_caps (),
        now - 20 * GST_MSECOND, GST_CLOCK_TIME_NONE);
    gst_buffer_add_reference_timestamp_meta (buffer, gst_helix_pushed_caps (),
        now - 5 * GST_MSECOND, GST_CLOCK_TIME_NONE);
    gst_harness_push (h, buffer);
    peer_expect (&peer, HELIX_UNIT);
  }
  g_object_get (h->element, "stats", &stats, NULL);
  fail_unless_equals_uint64 (stat_of (stats, "units"), 10);
  fail_unless_equals_uint64 (stat_of (stats, "units-sent"), 10);
  fail_unless_equals_uint64 (stat_of (stats, "units-dropped"), 0);
  fail_unless_equals_uint64 (stat_of (stats, "bytes"), 100);
  fail_unless_equals_uint64 (stat_of (stats, "keyframes"), 10);
  fail_unless_equals_uint64 (stat_of (stats, "reconnects"), 0);
  fail_unless (stat_of (stats, "encode-p50") >= 5 * GST_MSECOND);
  fail_unless (stat_of (stats, "latency-p50") >= 20 * GST_MSECOND);
  fail_unless (stat_of (stats, "latency-p50") > stat_of (stats, "encode-p50"));
  fail_unless (stat_of (stats, "send-max") > 0);
  fail_unless (stat_of (stats, "send-p50") <= stat_of (stats, "send-p95"));
  fail_unless (stat_of (stats, "send-p95") <= stat_of (stats, "send-p99"));
  fail_unless (stat_of (stats, "send-p99") <= stat_of (stats, "send-max"));
  gst_structure_free (stats);
  peer_clear (&peer);
  gst_harness_teardown (h);
}
GST_END_TEST;

static Suite *
helixguestsink_control_suite (void)
{
  Suite *s = suite_create ("helixguestsink-control");
  TCase *tc = tcase_create ("control");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_add_test (tc, test_requests_go_upstream);
  tcase_add_test (tc, test_refused);
  tcase_add_test (tc, test_show);
  tcase_add_test (tc, test_signal);
  tcase_add_test (tc, test_not_applied);
  tcase_add_test (tc, test_no_limit);
  tcase_add_test (tc, test_cursor);
  tcase_add_test (tc, test_bad_cursor);
  tcase_add_test (tc, test_stats);
  return s;
}

GST_CHECK_MAIN (helixguestsink_control);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A desktop on which little happens, and an encoder that holds pictures back:
 * the newest picture comes out all the same, and then nothing more happens.
 */
#include <gst/check/gstcheck.h>

#include "fake-shim.h"
#include "gsthelixholdback.h"
#include "helix-test-time.h"
#include "hold-encoder.h"
#include "stream-fixture.h"
#include "stream-pipeline.h"

/* For what comes soon on an idle machine. */
#define PATIENCE (30 * GST_SECOND)

static gchar *vm;
static FakeShim *shim;

/* Capture times of the newest pictures: of what left helixqemusrc, of what
 * reached each sink. Under `lock`. */
static GMutex lock;
static GCond cond;
static guint64 pushed, out[2];

static void
setup (void)
{
  FakeConfig config = {.width = 640, .height = 96};

  vm = g_build_filename (folder, "vm", NULL);
  shim = fake_shim_new (vm, &config);
  pushed = out[0] = out[1] = 0;
  hold_encoder_register ();
}

static void
teardown (void)
{
  fake_shim_free (shim);
  g_free (vm);
}

static GstPadProbeReturn
note_capture (GstPad *pad, GstPadProbeInfo *info, gpointer user)
{
  guint64 captured = buffer_capture (GST_PAD_PROBE_INFO_BUFFER (info));

  if (captured != 0) {
    g_mutex_lock (&lock);
    *(guint64 *) user = captured;
    g_cond_broadcast (&cond);
    g_mutex_unlock (&lock);
  }
  return GST_PAD_PROBE_OK;
}

static void
watch (GstElement *pipeline, const gchar *element, const gchar *pad_name,
    guint64 *where)
{
  GstElement *found = gst_bin_get_by_name (GST_BIN (pipeline), element);
  GstPad *pad = gst_element_get_static_pad (found, pad_name);

  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, note_capture, where, NULL);
  gst_object_unref (pad);
  gst_object_unref (found);
}

/* A host's pipeline that plays. */
static GstElement *
host_new (const gchar *properties, const gchar *encoder)
{
  GstElement *host = pipeline_launch (
      "helixqemusrc name=src socket-path=%s %s ! %s ! helixguestsink name=sink "
      "address=%s",
      vm, properties, encoder, address);

  watch (host, "src", "src", &pushed);
  watch (host, "sink", "sink", &out[0]);
  pipeline_play (host);
  fail_unless (fake_shim_wait_subscribed (shim));
  return host;
}

static gboolean
is_out (guint64 before, guint sinks)
{
  gboolean done = pushed != before;

  for (guint i = 0; i < sinks; i++)
    done = done && out[i] == pushed;
  return done;
}

/* Draws a picture and waits until it has reached the sinks. */
static void
draw (guint32 number, guint sinks)
{
  gint64 end = g_get_monotonic_time () + PATIENCE / 1000;
  guint64 before;

  g_mutex_lock (&lock);
  before = pushed;
  g_mutex_unlock (&lock);
  fail_unless (fake_shim_send (shim, number, NULL, 0));
  g_mutex_lock (&lock);
  while (!is_out (before, sinks))
    fail_unless (g_cond_wait_until (&cond, &lock, end),
        "picture %u did not come out", number);
  g_mutex_unlock (&lock);
}

/* Nothing leaves helixqemusrc any more: from one PING to the next, which it
 * sends once a second while it hears nothing. The newest picture may be out
 * while pictures that it is predicted from, but that are shown before it, still
 * need repetitions: a busy machine may make these in the next second. */
static void
expect_still (GstElement *host)
{
  gint64 end = g_get_monotonic_time () + PATIENCE / 1000;
  guint64 before, buffers = pipeline_stat (host, "src", "frames-out");

  do {
    fail_unless (g_get_monotonic_time () < end, "it does not become still");
    before = buffers;
    fake_shim_wait_pings (shim, 1);
    buffers = pipeline_stat (host, "src", "frames-out");
  } while (buffers != before);
}

static const struct {
  const gchar *encoder;
  gint64 held; /* pictures, -1: not known */
} encoders[] = {
    {"holdenc name=enc hold=0", 0},
    {"holdenc name=enc hold=1", 1},
    {"holdenc name=enc hold=45", 45},
    {"x264enc tune=zerolatency", 0},
    {"x264enc", -1},
    {"x264enc bframes=3 b-adapt=false", -1},
};

/* With the keep-alive so short that it shows if it is not off. Repetitions are
 * not news: no capture time, so in no figure of latency. */
GST_START_TEST (test_comes_out)
{
  gint64 held = encoders[__i__].held;
  GstElement *host = host_new (
      held < 0 ? "keepalive-time=1 max-framerate=240/1" : "keepalive-time=1",
      encoders[__i__].encoder);

  for (guint32 n = 1; n <= 3; n++) {
    draw (n, 1);
    fail_unless_equals_uint64 (pipeline_stat (host, "src", "frames"), n);
    if (held >= 0)
      fail_unless_equals_uint64 (
          pipeline_stat (host, "src", "flushed"), n * (guint64) held);
  }
  expect_still (host);
  fail_unless_equals_uint64 (pipeline_stat (host, "src", "repeated"),
      pipeline_stat (host, "src", "flushed"));
  if (held >= 0)
    fail_unless_equals_uint64 (
        pipeline_stat (host, "src", "held-back"), (guint64) held);
  pipeline_end (host);
}
GST_END_TEST;

/* What never comes out is not repeated for ever, it is said once, and the
 * keep-alive does what it does without a sink that reports. */
GST_START_TEST (test_bound)
{
  GstElement *host = host_new ("max-framerate=1000/1 keepalive-time=100",
      "holdenc name=enc hold=4000000");

  fail_unless (fake_shim_send (shim, 1, NULL, 0));
  pipeline_expect (host, GST_MESSAGE_WARNING, "holdenc holds pictures back");
  TEST_AWAIT (
      pipeline_stat (host, "src", "repeated") > GST_HELIX_HOLDBACK_MOST);
  fail_unless_equals_uint64 (
      pipeline_stat (host, "src", "flushed"), GST_HELIX_HOLDBACK_MOST);
  fail_unless_equals_uint64 (
      pipeline_stat (host, "src", "held-back"), GST_HELIX_HOLDBACK_MOST);
  /* Not again for another picture of the same kind. */
  fail_unless (fake_shim_send (shim, 2, NULL, 0));
  TEST_AWAIT (
      pipeline_stat (host, "src", "repeated") > GST_HELIX_HOLDBACK_MOST + 3);
  fail_unless_equals_uint64 (
      pipeline_stat (host, "src", "flushed"), GST_HELIX_HOLDBACK_MOST);
  pipeline_end (host);
}
GST_END_TEST;

/* One who joins a still screen gets a keyframe out of such an encoder. */
GST_START_TEST (test_joins)
{
  GstElement *host = host_new ("", "holdenc name=enc hold=10"), *guest;

  draw (1, 1);
  guest = pipeline_play (pipeline_launch (
      "helixsrc address=%s ! appsink name=out sync=false", address));
  gst_sample_unref (pipeline_pull (guest));
  pipeline_end (guest);
  expect_still (host);
  pipeline_end (host);
}
GST_END_TEST;

/* The slowest encoder behind a tee counts. */
GST_START_TEST (test_tee)
{
  GstElement *host = pipeline_launch (
      "helixqemusrc name=src socket-path=%s keepalive-time=1 ! tee name=t "
      "t. ! queue ! holdenc ! helixguestsink name=sink address=%s "
      "t. ! queue ! holdenc hold=20 ! helixguestsink name=other "
      "address=%s.other",
      vm, address, address);

  watch (host, "src", "src", &pushed);
  watch (host, "sink", "sink", &out[0]);
  watch (host, "other", "sink", &out[1]);
  pipeline_play (host);
  fail_unless (fake_shim_wait_subscribed (shim));
  for (guint32 n = 1; n <= 3; n++)
    draw (n, 2);
  expect_still (host);
  fail_unless (pipeline_stat (host, "src", "flushed") >= 60);
  pipeline_end (host);
}
GST_END_TEST;

/* Nothing flows meanwhile, as when an application takes a sink out. */
static GstPadProbeReturn
restart_sink (GstPad *pad, GstPadProbeInfo *info, gpointer user)
{
  GstPad *peer = gst_pad_get_peer (pad);
  GstElement *sink = gst_pad_get_parent_element (peer);

  gst_pad_unlink (pad, peer);
  fail_unless (gst_element_set_state (sink, GST_STATE_READY)
      != GST_STATE_CHANGE_FAILURE);
  fail_unless_equals_int (gst_pad_link (pad, peer), GST_PAD_LINK_OK);
  fail_unless (gst_element_set_state (sink, GST_STATE_PLAYING)
      != GST_STATE_CHANGE_FAILURE);
  gst_object_unref (sink);
  gst_object_unref (peer);
  g_mutex_lock (&lock);
  *(gboolean *) user = TRUE;
  g_cond_broadcast (&cond);
  g_mutex_unlock (&lock);
  return GST_PAD_PROBE_REMOVE;
}

/* Either end may begin anew. */
GST_START_TEST (test_restarts)
{
  GstElement *host = host_new ("", "holdenc name=enc hold=10");
  GstElement *src = gst_bin_get_by_name (GST_BIN (host), "src");
  GstElement *enc = gst_bin_get_by_name (GST_BIN (host), "enc");
  GstPad *pad = gst_element_get_static_pad (enc, "src");
  guint subscribes = fake_shim_subscribes (shim);
  gboolean done = FALSE;
  gint64 end;

  draw (1, 1);
  fail_unless (
      gst_element_set_state (src, GST_STATE_READY) != GST_STATE_CHANGE_FAILURE);
  fail_unless (fake_shim_wait_byes (shim, 1));
  pipeline_play (src);
  fail_unless (fake_shim_wait_subscribes (shim, subscribes + 1));
  /* It did not connect once more while it stopped. */
  fail_unless_equals_int (fake_shim_accepted (shim), 2);
  for (guint32 n = 2; n <= 4; n++)
    draw (n, 1);
  expect_still (host);

  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_IDLE, restart_sink, &done, NULL);
  end = g_get_monotonic_time () + PATIENCE / 1000;
  g_mutex_lock (&lock);
  while (!done)
    fail_unless (
        g_cond_wait_until (&cond, &lock, end), "the sink did not restart");
  g_mutex_unlock (&lock);
  for (guint32 n = 5; n <= 7; n++)
    draw (n, 1);
  expect_still (host);
  gst_object_unref (pad);
  gst_object_unref (enc);
  gst_object_unref (src);
  pipeline_end (host);
}
GST_END_TEST;

/* Two of three pictures. */
static GstPadProbeReturn
leave_out (GstPad *pad, GstPadProbeInfo *info, gpointer count)
{
  return ++*(guint *) count % 3 == 0 ? GST_PAD_PROBE_OK : GST_PAD_PROBE_DROP;
}

/* Another size, for which the encoder begins anew; a flush, upon which it
 * forgets what it holds; pictures that it leaves out. */
GST_START_TEST (test_changes)
{
  GstElement *host = host_new ("", "holdenc name=enc hold=10");
  GstElement *enc = gst_bin_get_by_name (GST_BIN (host), "enc");
  GstElement *src = gst_bin_get_by_name (GST_BIN (host), "src");
  GstPad *pad = gst_element_get_static_pad (enc, "src");
  guint count = 0;
  gulong probe;

  draw (1, 1);
  fake_shim_resize (shim, 800, 600, HELIX_FOURCC_BGRX);
  draw (2, 1);
  fail_unless (gst_element_send_event (src, gst_event_new_flush_start ()));
  fail_unless (gst_element_send_event (src, gst_event_new_flush_stop (FALSE)));
  draw (3, 1);
  probe = gst_pad_add_probe (
      pad, GST_PAD_PROBE_TYPE_BUFFER, leave_out, &count, NULL);
  fail_unless (fake_shim_send (shim, 4, NULL, 0));
  expect_still (host);
  gst_pad_remove_probe (pad, probe);
  draw (5, 1);
  expect_still (host);
  gst_object_unref (pad);
  gst_object_unref (src);
  gst_object_unref (enc);
  pipeline_end (host);
}
GST_END_TEST;

static Suite *
quiet_desktop_suite (void)
{
  TCase *tc;
  Suite *suite = stream_suite ("quiet-desktop", 120, &tc);

  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_add_loop_test (tc, test_comes_out, 0, G_N_ELEMENTS (encoders));
  tcase_add_test (tc, test_bound);
  tcase_add_test (tc, test_joins);
  tcase_add_test (tc, test_tee);
  tcase_add_test (tc, test_restarts);
  tcase_add_test (tc, test_changes);
  return suite;
}

GST_CHECK_MAIN (quiet_desktop);

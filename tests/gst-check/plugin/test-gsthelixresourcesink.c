/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <gst/allocators/gstdmabuf.h>
#include <gst/app/gstappsrc.h>
#include <gst/check/gstcheck.h>
#include <string.h>
#include <unistd.h>

#include "fake-virtgpu.h"
#include "gsthelixelements.h"
#include "helix-platform.h"
#include "helix-test-time.h"
#include "stream-fixture.h"
#include "stream-pipeline.h"

static gint listener;
static GstElement *pipeline;
static GstAllocator *allocator;
static StreamPeer peer;

static void
setup (void)
{
  fake_virtgpu_install ();
  /* The element of this program, not the plugin's: only the former looks at
   * the kernel that the line above is about. */
  fail_unless (GST_ELEMENT_REGISTER (helixresourcesink, NULL));
  listener = peer_listen (path);
  peer_init (&peer, -1);
}

static void
teardown (void)
{
  peer_clear (&peer);
  close (listener);
  fail_unless_equals_int (fake_virtgpu.open_handles, 0);
}

static void
play (const gchar *caps, const gchar *properties)
{
  allocator = gst_dmabuf_allocator_new ();
  pipeline = pipeline_launch (
      "appsrc name=in format=time is-live=true caps=\"%s,format=BGRx,"
      "width=64,height=64,framerate=30/1\" ! "
      "helixresourcesink name=out address=unix:%s %s",
      caps, path, properties);
  pipeline_play (pipeline);
}

static void
stop (void)
{
  pipeline_end (pipeline);
  gst_object_unref (allocator);
}

static void
meet (void)
{
  peer_accept (&peer, listener);
  peer_welcome (&peer);
  fail_unless_equals_int (peer.role, HELIX_ROLE_CONTROL);
}

/* Buffer 0 is system memory. */
static void
push (guint buffer, guint64 capture)
{
  GstElement *in = gst_bin_get_by_name (GST_BIN (pipeline), "in");
  GstBuffer *picture = gst_buffer_new ();
  GstCaps *caps = gst_caps_from_string ("timestamp/x-system-monotonic");

  gst_buffer_append_memory (picture,
      buffer == 0 ? gst_allocator_alloc (NULL, 64, NULL)
                  : gst_dmabuf_allocator_alloc (
                      allocator, fake_virtgpu_dmabuf (buffer), buffer));
  if (capture != 0)
    gst_buffer_add_reference_timestamp_meta (
        picture, caps, capture, GST_CLOCK_TIME_NONE);
  fail_unless (
      gst_app_src_push_buffer (GST_APP_SRC (in), picture) == GST_FLOW_OK);
  gst_caps_unref (caps);
  gst_object_unref (in);
}

static struct helix_show
expect_show (guint buffer)
{
  struct helix_show show;

  peer_expect (&peer, HELIX_SHOW);
  PEER_UNPACK (&peer, show, &show);
  fail_unless_equals_int (show.resource_id, FAKE_RESOURCE (buffer));
  return show;
}

static void
expect_config (guint32 fields, guint scanout)
{
  struct helix_config config;

  peer_expect_config (&peer, &config, fields);
  if (fields & HELIX_CONFIG_SCANOUT)
    fail_unless_equals_int (config.scanout, scanout);
  fail_unless_equals_int (config.resource_id, 0);
}

/* ---- DMA-BUFs ---- */

GST_START_TEST (test_shows)
{
  play ("video/x-raw(memory:DMABuf)", "");
  meet ();
  for (guint i = 1; i <= 6; i++) {
    guint buffer = 1 + i % 3;

    push (buffer, 0);
    expect_show (buffer);
  }
  fail_unless_equals_uint64 (pipeline_stat (pipeline, "out", "frames"), 6);
  fail_unless_equals_uint64 (pipeline_stat (pipeline, "out", "shown"), 6);
  fail_unless_equals_uint64 (pipeline_stat (pipeline, "out", "lookups"), 3);
  peer_expect_no (&peer, HELIX_CONFIG);
  pipeline_expect_quiet (pipeline);
  stop ();
  /* The guest ends: the scanout is to be shown again. */
  expect_config (HELIX_CONFIG_RESOURCE, 0);
  peer_expect (&peer, HELIX_BYE);
}
GST_END_TEST;

/* The time of the picture, in the host's clock, which is an hour ahead. */
GST_START_TEST (test_capture_time)
{
  struct helix_show show;
  guint64 taken;
  gint64 off;

  play ("video/x-raw(memory:DMABuf)", "");
  peer_accept (&peer, listener);
  peer.ahead = 3600 * GST_SECOND;
  peer_welcome (&peer);
  fixture_teach_clock (pipeline, "out", &peer);
  taken = helix_now_ns () - 20 * GST_MSECOND;
  push (2, taken);
  show = expect_show (2);
  off = (gint64) (show.capture_ns - taken - peer.ahead);
  fail_unless (
      ABS (off) <= (gint64) GST_MSECOND, "off by %" G_GINT64_FORMAT, off);
  stop ();
}
GST_END_TEST;

/* A host that starts anew is told of the newest buffer, although
 * nothing more is drawn. */
GST_START_TEST (test_reconnect)
{
  play ("video/x-raw(memory:DMABuf)", "");
  meet ();
  push (1, 0);
  expect_show (1);
  peer_clear (&peer);
  meet ();
  expect_show (1);
  stop ();
}
GST_END_TEST;

/* ---- others ---- */

/* One warning, one CONFIG, however many buffers come. */
GST_START_TEST (test_system_memory)
{
  g_autofree gchar *text = NULL;

  play ("video/x-raw", "scanout=2");
  meet ();
  for (guint i = 0; i < 5; i++)
    push (0, 0);
  expect_config (HELIX_CONFIG_SCANOUT | HELIX_CONFIG_RESOURCE, 2);
  text = pipeline_message_of (pipeline, GST_MESSAGE_WARNING);
  fail_unless (strstr (text, "no DMA-BUF") != NULL, "%s", text);
  fail_unless (strstr (text, "scanout 2") != NULL, "%s", text);
  TEST_AWAIT (pipeline_stat (pipeline, "out", "frames") == 5);
  peer_expect_no (&peer, HELIX_CONFIG);
  pipeline_expect_quiet (pipeline);
  fail_unless_equals_uint64 (pipeline_stat (pipeline, "out", "shown"), 0);
  stop ();
}
GST_END_TEST;

/* A buffer of another driver: the same. Then one of ours: that is shown. */
GST_START_TEST (test_foreign)
{
  play ("video/x-raw(memory:DMABuf)", "scanout=1");
  meet ();
  fake_virtgpu.fails = FAKE_STEP_IMPORT;
  fake_virtgpu.problem = ENODEV;
  push (1, 0);
  push (1, 0);
  expect_config (HELIX_CONFIG_SCANOUT | HELIX_CONFIG_RESOURCE, 1);
  pipeline_expect (pipeline, GST_MESSAGE_WARNING, "another driver");
  TEST_AWAIT (pipeline_stat (pipeline, "out", "frames") == 2);
  fake_virtgpu.fails = FAKE_STEP_NONE;
  push (2, 0);
  expect_show (2);
  pipeline_expect_quiet (pipeline);
  /* The host comes anew: of the scanout there is no more talk. */
  peer_clear (&peer);
  meet ();
  expect_show (2);
  peer_expect_no (&peer, HELIX_CONFIG);
  stop ();
}
GST_END_TEST;

GST_START_TEST (test_no_gpu)
{
  g_strlcpy (fake_virtgpu.driver, "i915", sizeof fake_virtgpu.driver);
  play ("video/x-raw(memory:DMABuf)", "");
  push (1, 0);
  pipeline_expect (pipeline, GST_MESSAGE_ERROR, "no render node of virtio-gpu");
  stop ();
}
GST_END_TEST;

/* A refusal of the host is told once, not for each frame. */
GST_START_TEST (test_refused)
{
  play ("video/x-raw(memory:DMABuf)", "");
  meet ();
  for (guint i = 1; i <= 5; i++) {
    push (i, 0);
    expect_show (i);
    PEER_SEND (&peer, error, 0, HELIX_ERROR_NO_RESOURCE, HELIX_SHOW,
        "this resource is not to be read");
  }
  pipeline_expect (pipeline, GST_MESSAGE_WARNING, "not to be read");
  peer_expect_no (&peer, HELIX_SHOW);
  pipeline_expect_quiet (pipeline);
  stop ();
}
GST_END_TEST;

/* No server: told once; with auto-reconnect=false it is an error. */
GST_START_TEST (test_no_server)
{
  close (listener);
  unlink (path);
  play ("video/x-raw(memory:DMABuf)", __i__ == 0 ? "" : "auto-reconnect=false");
  push (1, 0);
  pipeline_expect (
      pipeline, __i__ == 0 ? GST_MESSAGE_WARNING : GST_MESSAGE_ERROR, path);
  listener = peer_listen (path);
  if (__i__ == 0) {
    meet ();
    expect_show (1);
  }
  stop ();
}
GST_END_TEST;

GST_START_TEST (test_states)
{
  play ("video/x-raw(memory:DMABuf)", "");
  for (guint i = 0; i < 50; i++) {
    fail_unless_equals_int (gst_element_set_state (pipeline, GST_STATE_NULL),
        GST_STATE_CHANGE_SUCCESS);
    pipeline_play (pipeline);
    push (1 + i % 3, 0);
  }
  stop ();
}
GST_END_TEST;

static Suite *
helixresourcesink_suite (void)
{
  TCase *tc;
  Suite *s = stream_suite ("helixresourcesink", 60, &tc);

  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_add_test (tc, test_shows);
  tcase_add_test (tc, test_capture_time);
  tcase_add_test (tc, test_reconnect);
  tcase_add_test (tc, test_system_memory);
  tcase_add_test (tc, test_foreign);
  tcase_add_test (tc, test_no_gpu);
  tcase_add_test (tc, test_refused);
  tcase_add_loop_test (tc, test_no_server, 0, 2);
  tcase_add_test (tc, test_states);
  return s;
}

GST_CHECK_MAIN (helixresourcesink);

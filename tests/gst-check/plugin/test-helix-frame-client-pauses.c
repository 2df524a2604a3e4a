/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What becomes of a connection while nobody calls. */
#include <gst/check/gstcheck.h>

#include "fake-shim.h"
#include "helix-frame-client.h"
#include "helix-platform.h"
#include "helix-test-time.h"

static gchar *path;

static void
setup (void)
{
  path = fake_path_new ();
}

static void
teardown (void)
{
  fake_path_free (path);
}

static HelixFrameClientResult
next (HelixFrameClient *client, HelixFrame *frame, GError **error)
{
  return helix_frame_client_next (
      client, helix_now_ns () + TEST_SOON, frame, error);
}

/* The client runs in this thread, the shim waits for it in another. */
static void
until_subscribed (HelixFrameClient *client, FakeShim *shim, guint times)
{
  guint64 end = helix_now_ns () + TEST_SOON;
  HelixFrame frame;
  GError *error = NULL;

  while (fake_shim_subscribes (shim) < times && helix_now_ns () < end)
    fail_unless_equals_int (
        helix_frame_client_next (
            client, helix_now_ns () + 10 * GST_MSECOND, &frame, &error),
        HELIX_CLIENT_TIMEOUT);
  fail_unless_equals_int (fake_shim_subscribes (shim), times);
  fail_unless (fake_shim_wait_subscribed (shim));
}

/* It counts from the first attempt: an element may be long in PAUSED. */
GST_START_TEST (test_reconnect_timeout_later)
{
  HelixFrameClientConfig config = {path, "test", TRUE, 1000, 0};
  HelixFrameRequest wish = {.rate_den = 1};
  HelixFrameClient *client = helix_frame_client_new (&config, &wish);
  HelixFrame frame;
  GError *error = NULL;

  /* Longer than the timeout, so that one that has begun shows. */
  g_usleep (1100 * 1000);
  fail_unless_equals_int (next (client, &frame, &error), HELIX_CLIENT_WARNING);
  g_clear_error (&error);
  helix_frame_client_free (client);
}
GST_END_TEST;

/* A shim that gave us up because we did not read, in a pause for instance, is
 * there: nobody needs auto-reconnect to go on. Its absence is an error. */
GST_START_TEST (test_idled)
{
  HelixFrameClientConfig once = {path, "test", FALSE, 0, 0};
  HelixFrameRequest wish = {.rate_den = 1};
  HelixFrameClient *client = helix_frame_client_new (&once, &wish);
  FakeConfig config = {.fault = FAKE_IDLED, .width = 640, .height = 48};
  HelixFrame frame;
  GError *error = NULL;
  FakeShim *shim;

  shim = fake_shim_new (path, &config);
  for (guint i = 0; i < 3; i++) {
    until_subscribed (client, shim, i + 1);
    fail_unless (fake_shim_send (shim, 1, NULL, 0));
    fail_unless_equals_int (next (client, &frame, &error), HELIX_CLIENT_FRAME);
    helix_frame_clear (&frame);
    fail_unless (fake_shim_send (shim, 2, NULL, 0));
  }
  until_subscribed (client, shim, 4);
  fake_shim_free (shim);
  fail_unless_equals_int (next (client, &frame, &error), HELIX_CLIENT_ERROR);
  g_clear_error (&error);
  helix_frame_client_free (client);
}
GST_END_TEST;

/* In a pause nobody calls: the shim is left with a goodbye, once. Then a new
 * picture comes, none that waited, of what was shown before. */
GST_START_TEST (test_pause)
{
  HelixFrameClientConfig once = {path, "test", FALSE, 0, 0};
  HelixFrameRequest wish = {.rate_den = 1};
  HelixFrameClient *client = helix_frame_client_new (&once, &wish);
  FakeConfig config = {.width = 640, .height = 48};
  HelixFrameClientStats stats;
  struct helix_show show;
  HelixFrame frame;
  GError *error = NULL;
  FakeShim *shim = fake_shim_new (path, &config);
  guint byes = 0;

  until_subscribed (client, shim, 1);
  helix_frame_client_show (client, 55, 0);
  fail_unless (fake_shim_wait_show (shim, 1, &show));
  for (guint i = 1; i <= 3; i++) {
    /* One of them is not read before the pause. */
    fail_unless (fake_shim_send (shim, 10 * i, NULL, 0));
    if (i > 1) {
      fail_unless_equals_int (
          next (client, &frame, &error), HELIX_CLIENT_FRAME);
      helix_frame_clear (&frame);
    }
    helix_frame_client_set_paused (client, TRUE);
    helix_frame_client_set_paused (client, TRUE);
    fail_unless (fake_shim_wait_byes (shim, ++byes));
    helix_frame_client_get_stats (client, &stats);
    fail_unless (!stats.connected);
    helix_frame_client_set_paused (client, FALSE);
    until_subscribed (client, shim, i + 1);
    fail_unless_equals_int (fake_shim_accepted (shim), i + 1);
    fail_unless_equals_int (fake_shim_subscription (shim).resource_id, 55);
  }
  helix_frame_client_get_stats (client, &stats);
  fail_unless (stats.connected);
  fail_unless_equals_int (stats.reconnects, 0);
  fail_unless_equals_int (stats.switches, 0);
  helix_frame_client_free (client);
  fail_unless (fake_shim_wait_byes (shim, byes + 1));
  fake_shim_free (shim);
}
GST_END_TEST;

/* Next () waits as long as the pause lasts, whatever its deadline, and can be
 * interrupted; a pause that begins between the two ends' first words counts. */
GST_START_TEST (test_pause_any_time)
{
  HelixFrameClientConfig once = {path, "test", FALSE, 0, 0};
  HelixFrameRequest wish = {.rate_den = 1};
  HelixFrameClient *client = helix_frame_client_new (&once, &wish);
  FakeConfig silent = {.fault = FAKE_SILENT},
             good = {.width = 640, .height = 48};
  HelixFrame frame;
  GError *error = NULL;
  FakeShim *shim;

  helix_frame_client_set_paused (client, TRUE);
  helix_frame_client_set_flushing (client, TRUE);
  fail_unless_equals_int (helix_frame_client_next (client, 0, &frame, &error),
      HELIX_CLIENT_FLUSHING);
  helix_frame_client_set_flushing (client, FALSE);
  helix_frame_client_set_paused (client, FALSE);
  shim = fake_shim_new (path, &silent);
  fail_unless_equals_int (
      helix_frame_client_next (
          client, helix_now_ns () + 50 * GST_MSECOND, &frame, &error),
      HELIX_CLIENT_TIMEOUT);
  helix_frame_client_set_paused (client, TRUE);
  fake_shim_free (shim); /* the loss of it is not noticed */
  shim = fake_shim_new (path, &good);
  helix_frame_client_set_paused (client, FALSE);
  until_subscribed (client, shim, 1);
  fail_unless (fake_shim_send (shim, 1, NULL, 0));
  fail_unless_equals_int (next (client, &frame, &error), HELIX_CLIENT_FRAME);
  helix_frame_clear (&frame);
  helix_frame_client_free (client);
  fake_shim_free (shim);
}
GST_END_TEST;

static Suite *
helix_frame_client_pauses_suite (void)
{
  Suite *s = suite_create ("helix-frame-client-pauses");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_set_timeout (tc, 60);
  tcase_add_test (tc, test_reconnect_timeout_later);
  tcase_add_test (tc, test_idled);
  tcase_add_test (tc, test_pause);
  tcase_add_test (tc, test_pause_any_time);
  return s;
}

GST_CHECK_MAIN (helix_frame_client_pauses);

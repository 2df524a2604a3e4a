/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where there are no seals, frames in a file are copied out of it: what this
 * is linked with takes Linux for such a system.
 */
#include <gst/check/gstcheck.h>

#include "frame-taker.h"

static const FakeConfig good = {.width = 640, .height = 48};

GST_START_TEST (test_frames)
{
  gchar *path = fake_path_new ();
  FakeShim *shim = fake_shim_new (path, &good);
  HelixFrameClient *client = taker_new (path, TRUE, NULL);
  HelixFrame held, frame;

  taker_connect (client, shim);
  fail_unless (fake_shim_send (shim, 1, NULL, 0));
  taker_expect_frame (client, &held, 1);
  for (guint32 i = 2; i < 10; i++) {
    fail_unless (fake_shim_send (shim, i, NULL, 0));
    taker_expect_frame (client, &frame, i);
    helix_frame_clear (&frame);
  }
  fail_unless_equals_int (taker_number (&held), 1);
  helix_frame_clear (&held);
  helix_frame_client_free (client);
  fake_shim_free (shim);
  fake_path_free (path);
}
GST_END_TEST;

/* The memory is cut off before a frame: told, and on with the next server. */
GST_START_TEST (test_cut_off)
{
  FakeConfig config = good;
  gchar *path = fake_path_new ();
  HelixFrameClient *client = taker_new (path, TRUE, NULL);
  GError *error = NULL;
  HelixFrame frame;
  FakeShim *shim;

  config.fault = FAKE_POOL_CUT_OFF;
  shim = fake_shim_new (path, &config);
  taker_connect (client, shim);
  fail_unless (fake_shim_send (shim, 1, NULL, 0));
  fail_unless_equals_int (
      taker_next (client, &frame, &error), HELIX_FRAMES_WARNING);
  taker_expect_words (&error, "was cut off", path);
  fake_shim_free (shim);

  shim = fake_shim_new (path, &good);
  taker_connect (client, shim);
  fail_unless (fake_shim_send (shim, 2, NULL, 0));
  taker_expect_frame (client, &frame, 2);
  helix_frame_clear (&frame);
  helix_frame_client_free (client);
  fake_shim_free (shim);
  fake_path_free (path);
}
GST_END_TEST;

static Suite *
helix_frame_client_copy_suite (void)
{
  Suite *s = suite_create ("helix-frame-client-copy");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_set_timeout (tc, 60);
  tcase_add_test (tc, test_frames);
  tcase_add_test (tc, test_cut_off);
  return s;
}

GST_CHECK_MAIN (helix_frame_client_copy);

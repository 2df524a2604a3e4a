/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <gst/check/gstcheck.h>
#include <sys/stat.h>

#include "frame-taker.h"
#include "helix-platform.h"
#include "helix-test-nobody.h"
#include "helix-test-time.h"

static gchar *path;
static const FakeConfig good = {.width = 640, .height = 48};

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

static void
expect_warning (const gchar *word)
{
  HelixFrameClient *client = taker_new (path, TRUE, NULL);
  guint64 begin = helix_now_ns ();
  HelixFrame frame;
  GError *error = NULL;

  fail_unless_equals_int (
      taker_next (client, &frame, &error), HELIX_CLIENT_WARNING);
  fail_unless (helix_now_ns () - begin < TEST_SOON);
  fail_unless (strstr (error->message, word) != NULL, "%s", error->message);
  fail_unless (strstr (error->message, path) != NULL, "%s", error->message);
  g_clear_error (&error);
  /* Once an outage. */
  fail_unless_equals_int (helix_frame_client_next (client,
                              helix_now_ns () + GST_SECOND, &frame, &error),
      HELIX_CLIENT_TIMEOUT);
  helix_frame_client_free (client);
}

GST_START_TEST (test_frames)
{
  FakeShim *shim = fake_shim_new (path, &good);
  HelixFrameClient *client = taker_new (path, TRUE, NULL);
  HelixFrameClientStats stats;
  HelixFrame frame;

  taker_connect (client, shim);
  for (guint32 i = 1; i <= 20; i++) {
    fail_unless (fake_shim_send (shim, i, NULL, 0));
    taker_expect_frame (client, &frame, i);
    fail_unless_equals_int (frame.info.width, 640);
    fail_unless (frame.damage.full);
    helix_frame_clear (&frame);
  }
  fail_unless_equals_int (fake_shim_wait_free_slots (shim, 3), 3);
  helix_frame_client_get_stats (client, &stats);
  fail_unless_equals_uint64 (stats.frames.received, 20);
  fail_unless_equals_uint64 (stats.frames.superseded, 0);
  fail_unless (stats.connected);
  helix_frame_client_free (client);
  fake_shim_free (shim);
}
GST_END_TEST;

GST_START_TEST (test_newest_wins)
{
  const struct helix_rect rects[] = {
      {0, 0, 8, 8}, {16, 16, 4, 4}, {32, 8, 2, 2}};
  FakeShim *shim = fake_shim_new (path, &good);
  HelixFrameClient *client = taker_new (path, TRUE, NULL);
  HelixFrameClientStats stats;
  HelixFrame frame;

  taker_connect (client, shim);
  fail_unless (fake_shim_send (shim, 1, NULL, 0));
  taker_expect_frame (client, &frame, 1);
  helix_frame_clear (&frame);
  for (guint32 i = 0; i < 3; i++)
    fail_unless (fake_shim_send (shim, i + 2, &rects[i], 1));
  taker_expect_frame (client, &frame, 4);
  fail_unless (!frame.damage.full);
  fail_unless_equals_int (frame.damage.n, 3);
  for (guint i = 0; i < 3; i++)
    fail_unless (
        memcmp (&frame.damage.rects[i], &rects[i], sizeof rects[i]) == 0);
  /* The two that nobody saw are free again, this one is not. */
  fail_unless_equals_int (fake_shim_wait_free_slots (shim, 2), 2);
  helix_frame_client_get_stats (client, &stats);
  fail_unless_equals_uint64 (stats.frames.superseded, 2);
  helix_frame_clear (&frame);
  fail_unless_equals_int (fake_shim_wait_free_slots (shim, 3), 3);
  helix_frame_client_free (client);
  fake_shim_free (shim);
}
GST_END_TEST;

/* A frame that waited for us to go on is not shown before the shim had its
 * chance to send what is true now; on a still screen it is what is true. Nor
 * is the picture before it repeated meanwhile, whoever asks. */
GST_START_TEST (test_old_frame)
{
  FakeConfig config = good;
  HelixFrameClient *client;
  FakeShim *shim;
  HelixFrame frame;
  guint64 begun;

  config.age_ns = GST_SECOND;
  shim = fake_shim_new (path, &config);
  client = taker_new (path, TRUE, NULL);
  taker_connect (client, shim);
  begun = helix_now_ns ();
  fail_unless (fake_shim_send (shim, 1, NULL, 0));
  helix_frame_client_poke (client);
  taker_expect_frame (client, &frame, 1);
  fail_unless (helix_now_ns () - begun >= 50 * GST_MSECOND);
  helix_frame_clear (&frame);
  helix_frame_client_free (client);
  fake_shim_free (shim);
}
GST_END_TEST;

GST_START_TEST (test_resize)
{
  const struct helix_rect rect = {0, 0, 8, 8};
  FakeShim *shim = fake_shim_new (path, &good);
  HelixFrameClient *client = taker_new (path, TRUE, NULL);
  HelixFrame old, frame;

  taker_connect (client, shim);
  fail_unless (fake_shim_send (shim, 1, NULL, 0));
  taker_expect_frame (client, &old, 1);
  fake_shim_resize (shim, 800, 60, HELIX_FOURCC_BGRA);
  fail_unless (fake_shim_send (shim, 2, &rect, 1));
  taker_expect_frame (client, &frame, 2);
  fail_unless_equals_int (frame.info.width, 800);
  fail_unless_equals_int (frame.info.fourcc, HELIX_FOURCC_BGRA);
  fail_unless (frame.damage.full);
  /* The one of the old pool is still there, and goes without a word. */
  fail_unless_equals_int (taker_number (&old), 1);
  helix_frame_clear (&old);
  helix_frame_clear (&frame);
  fail_unless_equals_int (fake_shim_wait_free_slots (shim, 3), 3);
  helix_frame_client_free (client);
  fake_shim_free (shim);
}
GST_END_TEST;

GST_START_TEST (test_subscribe_anew)
{
  HelixFrameRequest wish = {.scanout = 1, .rate_num = 30, .rate_den = 1};
  FakeConfig config = good;
  HelixFrameClient *client = taker_new (path, TRUE, NULL);
  HelixFrame frame;
  FakeShim *shim;
  guint64 end = helix_now_ns () + TEST_SOON;
  GError *error = NULL;

  config.scanouts = 2;
  shim = fake_shim_new (path, &config);
  taker_connect (client, shim);
  fail_unless (fake_shim_send (shim, 1, NULL, 0));
  helix_frame_client_subscribe (client, &wish, FALSE);
  while (helix_now_ns () < end && fake_shim_subscription (shim).scanout != 1)
    if (helix_frame_client_next (
            client, helix_now_ns () + 10 * GST_MSECOND, &frame, &error)
        == HELIX_CLIENT_FRAME)
      helix_frame_clear (&frame);
  fail_unless_equals_int (fake_shim_subscription (shim).rate_num, 30);
  fail_unless (fake_shim_send (shim, 2, NULL, 0));
  taker_expect_frame (client, &frame, 2);
  fail_unless_equals_int (frame.info.scanout, 1);
  helix_frame_clear (&frame);
  helix_frame_client_free (client);
  fake_shim_free (shim);
}
GST_END_TEST;

GST_START_TEST (test_frame_outlives_client)
{
  FakeShim *shim = fake_shim_new (path, &good);
  HelixFrameClient *client = taker_new (path, TRUE, NULL);
  HelixFrame frame;

  taker_connect (client, shim);
  fail_unless (fake_shim_send (shim, 7, NULL, 0));
  taker_expect_frame (client, &frame, 7);
  helix_frame_client_free (client);
  fake_shim_free (shim);
  fail_unless_equals_int (taker_number (&frame), 7);
  helix_frame_clear (&frame);
}
GST_END_TEST;

static gpointer
flush_soon (gpointer client)
{
  helix_frame_client_set_flushing (client, TRUE);
  return NULL;
}

GST_START_TEST (test_flushing)
{
  FakeShim *shim = fake_shim_new (path, &good);
  HelixFrameClient *client = taker_new (path, TRUE, NULL);
  HelixFrame frame;
  GError *error = NULL;
  GThread *thread;

  taker_connect (client, shim);
  for (guint32 i = 1; i <= 50; i++) {
    thread = g_thread_new ("flush", flush_soon, client);
    fail_unless_equals_int (
        taker_next (client, &frame, &error), HELIX_CLIENT_FLUSHING);
    g_thread_join (thread);
    fail_unless_equals_int (
        taker_next (client, &frame, &error), HELIX_CLIENT_FLUSHING);
    helix_frame_client_set_flushing (client, FALSE);
    fail_unless (fake_shim_send (shim, i, NULL, 0));
    taker_expect_frame (client, &frame, i);
    helix_frame_clear (&frame);
  }
  helix_frame_client_free (client);
  fake_shim_free (shim);
}
GST_END_TEST;

GST_START_TEST (test_reconnect)
{
  HelixFrameClient *client = taker_new (path, TRUE, NULL);
  HelixFrameClientStats stats;
  HelixFrame frame;
  GError *error = NULL;
  FakeShim *shim;
  guint64 begin;

  fail_unless_equals_int (
      taker_next (client, &frame, &error), HELIX_CLIENT_WARNING);
  g_clear_error (&error);
  for (guint32 i = 1; i <= 3; i++) {
    shim = fake_shim_new (path, &good);
    begin = helix_now_ns ();
    taker_connect (client, shim);
    fail_unless (fake_shim_send (shim, i, NULL, 0));
    taker_expect_frame (client, &frame, i);
    fail_unless (helix_now_ns () - begin < TEST_SOON);
    fake_shim_free (shim);
    fail_unless_equals_int (
        taker_next (client, &frame, &error), HELIX_CLIENT_WARNING);
    fail_unless (strstr (error->message, path) != NULL);
    g_clear_error (&error);
    /* Of a connection that is no more. */
    helix_frame_clear (&frame);
  }
  helix_frame_client_get_stats (client, &stats);
  fail_unless_equals_int (stats.reconnects, 2);
  fail_unless_equals_uint64 (stats.frames.received, 3);
  fail_unless (!stats.connected);
  helix_frame_client_free (client);
}
GST_END_TEST;

GST_START_TEST (test_reconnect_timeout)
{
  HelixFrameClientConfig config = {path, "test", TRUE, 300, 0};
  HelixFrameRequest wish = {.rate_den = 1};
  HelixFrameClient *client = helix_frame_client_new (&config, &wish);
  guint64 begin = helix_now_ns ();
  HelixFrame frame;
  GError *error = NULL;

  fail_unless_equals_int (
      taker_next (client, &frame, &error), HELIX_CLIENT_WARNING);
  g_clear_error (&error);
  fail_unless_equals_int (
      taker_next (client, &frame, &error), HELIX_CLIENT_ERROR);
  fail_unless (helix_now_ns () - begin >= 300 * GST_MSECOND);
  fail_unless (strstr (error->message, "Gave up after 300 ms") != NULL);
  g_clear_error (&error);
  helix_frame_client_free (client);
}
GST_END_TEST;

GST_START_TEST (test_bye)
{
  for (guint reconnect = 0; reconnect < 2; reconnect++) {
    FakeConfig config = good;
    HelixFrameClient *client = taker_new (path, reconnect, NULL);
    HelixFrame frame;
    GError *error = NULL;
    FakeShim *shim;

    config.fault = FAKE_BYE;
    shim = fake_shim_new (path, &config);
    taker_connect (client, shim);
    fail_unless (fake_shim_send (shim, 1, NULL, 0));
    fail_unless (fake_shim_send (shim, 2, NULL, 0));
    /* What stands before it is still shown. */
    taker_expect_frame (client, &frame, 1);
    helix_frame_clear (&frame);
    fail_unless_equals_int (taker_next (client, &frame, &error),
        reconnect ? HELIX_CLIENT_WARNING : HELIX_CLIENT_EOS);
    fail_unless (strstr (error->message, "the VM is off") != NULL);
    g_clear_error (&error);
    helix_frame_client_free (client);
    fake_shim_free (shim);
  }
}
GST_END_TEST;

/* A peer that lives but says nothing is given up within about 3 s, one that
 * answers PING is not. */
static void
silence (FakeFault fault, gboolean dead)
{
  FakeConfig config = good;
  HelixFrameClient *client = taker_new (path, TRUE, NULL);
  guint64 begin = helix_now_ns (), took;
  HelixFrame frame;
  GError *error = NULL;
  FakeShim *shim;

  config.fault = fault;
  shim = fake_shim_new (path, &config);
  /* Well above the 3 s. */
  fail_unless_equals_int (
      helix_frame_client_next (
          client, begin + (dead ? TEST_SOON : 5 * GST_SECOND), &frame, &error),
      dead ? HELIX_CLIENT_WARNING : HELIX_CLIENT_TIMEOUT);
  took = helix_now_ns () - begin;
  if (dead) {
    fail_unless (took >= 2900 * GST_MSECOND && took < TEST_SOON);
    fail_unless (strstr (error->message, "no sign of life") != NULL);
    fail_unless (strstr (error->message, path) != NULL);
  }
  g_clear_error (&error);
  helix_frame_client_free (client);
  fake_shim_free (shim);
}

GST_START_TEST (test_silent_peer)
{
  silence (FAKE_SILENT, TRUE);
}
GST_END_TEST;

GST_START_TEST (test_deaf_peer)
{
  silence (FAKE_DEAF, TRUE);
}
GST_END_TEST;

GST_START_TEST (test_still_screen)
{
  silence (FAKE_GOOD, FALSE);
}
GST_END_TEST;

GST_START_TEST (test_no_such_scanout)
{
  HelixFrameRequest wish = {.scanout = 99, .rate_den = 1};
  FakeConfig config = good;
  FakeShim *shim;

  config.scanouts = 4;
  shim = fake_shim_new (path, &config);
  taker_expect_error (path, &wish, "There is no scanout 99");
  taker_expect_error (path, &wish, "0 to 3");
  fake_shim_free (shim);
}
GST_END_TEST;

GST_START_TEST (test_no_socket)
{
  expect_warning ("There is no socket at");
}
GST_END_TEST;

GST_START_TEST (test_stale_socket)
{
  int fd = helix_socket (AF_UNIX);

  fail_unless (helix_unix_bind (fd, path) == 0);
  close (fd);
  expect_warning ("Nobody listens on");
}
GST_END_TEST;

GST_START_TEST (test_regular_file)
{
  fail_unless (g_file_set_contents (path, "x", 1, NULL));
  taker_expect_error (path, NULL, "is a regular file");
}
GST_END_TEST;

GST_START_TEST (test_long_path)
{
  gchar *keep = path;

  path = g_strdup_printf ("%s%0200d", keep, 0);
  taker_expect_error (path, NULL, "too long");
  g_free (path);
  path = keep;
}
GST_END_TEST;

static int
connect_forbidden (void *opaque)
{
  HelixFrameClient *client = taker_new (path, TRUE, NULL);
  HelixFrame frame;
  GError *error = NULL;

  (void) opaque;
  if (taker_next (client, &frame, &error) != HELIX_CLIENT_ERROR)
    return 3;
  return strstr (error->message, "Not allowed to connect to") == NULL
      || strstr (error->message, "allow=USER") == NULL;
}

/* Root may do anything: in a child of another user. */
GST_START_TEST (test_permission)
{
  FakeShim *shim = fake_shim_new (path, &good);
  gchar *dir = g_path_get_dirname (path);

  fail_unless (g_chmod (path, 0) == 0);
  fail_unless (g_chmod (dir, 0755) == 0);
  fail_unless_equals_int (test_as_nobody (connect_forbidden, NULL), 0);
  g_free (dir);
  fake_shim_free (shim);
}
GST_END_TEST;

static Suite *
helix_frame_client_suite (void)
{
  Suite *s = suite_create ("helix-frame-client");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_set_timeout (tc, 60);
  tcase_add_test (tc, test_frames);
  tcase_add_test (tc, test_newest_wins);
  tcase_add_test (tc, test_old_frame);
  tcase_add_test (tc, test_resize);
  tcase_add_test (tc, test_subscribe_anew);
  tcase_add_test (tc, test_frame_outlives_client);
  tcase_add_test (tc, test_flushing);
  tcase_add_test (tc, test_reconnect);
  tcase_add_test (tc, test_reconnect_timeout);
  tcase_add_test (tc, test_bye);
  tcase_add_test (tc, test_silent_peer);
  tcase_add_test (tc, test_deaf_peer);
  tcase_add_test (tc, test_still_screen);
  tcase_add_test (tc, test_no_such_scanout);
  tcase_add_test (tc, test_no_socket);
  tcase_add_test (tc, test_stale_socket);
  tcase_add_test (tc, test_regular_file);
  tcase_add_test (tc, test_long_path);
  tcase_add_test (tc, test_permission);
  return s;
}

GST_CHECK_MAIN (helix_frame_client);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * helixqemusrc's end of the frame protocol, at a shim that does what it is
 * told: frames, the cursor, outages, pauses, and servers that break the rules.
 */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <gst/check/gstcheck.h>
#include <sys/stat.h>
#include <unistd.h>

#include "frame-taker.h"
#include "helix-pack.h"
#include "helix-platform.h"
#include "helix-test-fds.h"
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
expect_all_damaged (const HelixFrame *frame)
{
  const struct helix_rect *rect = &frame->damage[0];

  fail_unless_equals_int (frame->info.rects, 1);
  fail_unless (rect->x == 0 && rect->y == 0 && rect->width >= frame->info.width
      && rect->height >= frame->info.height);
}

GST_START_TEST (test_frames)
{
  FakeShim *shim = fake_shim_new (path, &good);
  HelixFrameClient *client = taker_new (path, TRUE, NULL);
  HelixFrameClientState stats;
  HelixFrame frame;

  taker_connect (client, shim);
  for (guint32 i = 1; i <= 20; i++) {
    fail_unless (fake_shim_send (shim, i, NULL, 0));
    taker_expect_frame (client, &frame, i);
    fail_unless_equals_int (frame.info.width, 640);
    expect_all_damaged (&frame);
    helix_frame_clear (&frame);
  }
  fail_unless_equals_int (fake_shim_wait_free_slots (shim, 3), 3);
  helix_frame_client_get_state (client, &stats);
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
      {0, 0, 8, 8}, {32, 8, 2, 2}, {16, 16, 4, 4}};
  FakeShim *shim = fake_shim_new (path, &good);
  HelixFrameClient *client = taker_new (path, TRUE, NULL);
  HelixFrameClientState stats;
  HelixFrame frame;

  taker_connect (client, shim);
  fail_unless (fake_shim_send (shim, 1, NULL, 0));
  taker_expect_frame (client, &frame, 1);
  helix_frame_clear (&frame);
  for (guint32 i = 0; i < 3; i++)
    fail_unless (fake_shim_send (shim, i + 2, &rects[i], 1));
  taker_expect_frame (client, &frame, 4);
  fail_unless_equals_int (frame.info.rects, 3);
  for (guint i = 0; i < 3; i++)
    fail_unless (memcmp (&frame.damage[i], &rects[i], sizeof rects[i]) == 0);
  /* The two that were not given out are free again, this one is not. */
  fail_unless_equals_int (fake_shim_wait_free_slots (shim, 2), 2);
  helix_frame_client_get_state (client, &stats);
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
  expect_all_damaged (&frame);
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
  HelixFrameRequest request = {.scanout = 1, .rate_num = 30, .rate_den = 1};
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
  helix_frame_client_subscribe (client, &request, FALSE);
  while (helix_now_ns () < end && fake_shim_subscription (shim).scanout != 1)
    if (helix_frame_client_next (
            client, helix_now_ns () + 10 * GST_MSECOND, &frame, &error)
        == HELIX_FRAMES_FRAME)
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
        taker_next (client, &frame, &error), HELIX_FRAMES_FLUSHING);
    g_thread_join (thread);
    fail_unless_equals_int (
        taker_next (client, &frame, &error), HELIX_FRAMES_FLUSHING);
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
  HelixFrameClientState stats;
  HelixFrame frame;
  GError *error = NULL;
  FakeShim *shim;
  guint64 begin;

  fail_unless_equals_int (
      taker_next (client, &frame, &error), HELIX_FRAMES_WARNING);
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
        taker_next (client, &frame, &error), HELIX_FRAMES_WARNING);
    fail_unless (strstr (error->message, path) != NULL);
    g_clear_error (&error);
    /* Of a connection that is no more. */
    helix_frame_clear (&frame);
  }
  helix_frame_client_get_state (client, &stats);
  fail_unless_equals_int (stats.reconnects, 2);
  fail_unless_equals_uint64 (stats.frames.received, 3);
  fail_unless (!stats.connected);
  helix_frame_client_free (client);
}
GST_END_TEST;

GST_START_TEST (test_reconnect_timeout)
{
  HelixFrameClientConfig config = {path, "test", TRUE, 300, 0};
  HelixFrameRequest request = {.rate_den = 1};
  HelixFrameClient *client = helix_frame_client_new (&config, &request);
  guint64 begin = helix_now_ns ();
  HelixFrame frame;
  GError *error = NULL;

  fail_unless_equals_int (
      taker_next (client, &frame, &error), HELIX_FRAMES_WARNING);
  g_clear_error (&error);
  fail_unless_equals_int (
      taker_next (client, &frame, &error), HELIX_FRAMES_FAILED);
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
        reconnect ? HELIX_FRAMES_WARNING : HELIX_FRAMES_CLOSED);
    fail_unless (strstr (error->message, "the VM is off") != NULL);
    g_clear_error (&error);
    helix_frame_client_free (client);
    fake_shim_free (shim);
  }
}
GST_END_TEST;

/* A peer that lives but says nothing is given up within about 3 s. What a live
 * one may leave unanswered is tested at the connection. */
GST_START_TEST (test_silent_peer)
{
  FakeConfig config = good;
  HelixFrameClient *client = taker_new (path, TRUE, NULL);
  guint64 begin = helix_now_ns ();
  HelixFrame frame;
  GError *error = NULL;
  FakeShim *shim;

  config.fault = FAKE_SILENT;
  shim = fake_shim_new (path, &config);
  fail_unless_equals_int (
      taker_next (client, &frame, &error), HELIX_FRAMES_WARNING);
  fail_unless (helix_now_ns () - begin >= 2900 * GST_MSECOND);
  taker_expect_words (&error, "no sign of life", path);
  helix_frame_client_free (client);
  fake_shim_free (shim);
}
GST_END_TEST;

GST_START_TEST (test_no_such_scanout)
{
  HelixFrameRequest request = {.scanout = 99, .rate_den = 1};
  FakeConfig config = good;
  FakeShim *shim;

  config.scanouts = 4;
  shim = fake_shim_new (path, &config);
  taker_expect_error (path, &request, "There is no scanout 99");
  taker_expect_error (path, &request, "0 to 3");
  fake_shim_free (shim);
}
GST_END_TEST;

/* A warning, once an outage. */
GST_START_TEST (test_no_socket)
{
  HelixFrameClient *client = taker_new (path, TRUE, NULL);
  HelixFrame frame;
  GError *error = NULL;

  fail_unless_equals_int (
      taker_next (client, &frame, &error), HELIX_FRAMES_WARNING);
  taker_expect_words (&error, "there is no socket", path);
  fail_unless_equals_int (helix_frame_client_next (client,
                              helix_now_ns () + GST_SECOND, &frame, &error),
      HELIX_FRAMES_TIMEOUT);
  helix_frame_client_free (client);
}
GST_END_TEST;

static int
connect_forbidden (void *opaque)
{
  HelixFrameClient *client = taker_new (path, TRUE, NULL);
  HelixFrame frame;
  GError *error = NULL;

  (void) opaque;
  if (taker_next (client, &frame, &error) != HELIX_FRAMES_FAILED)
    return 3;
  return strstr (error->message, "not allowed to connect") == NULL
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

/* ---- while next () is not called ---- */

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
        HELIX_FRAMES_TIMEOUT);
  fail_unless_equals_int (fake_shim_subscribes (shim), times);
  fail_unless (fake_shim_wait_subscribed (shim));
}

/* It counts from the first attempt: an element may be long in PAUSED. */
GST_START_TEST (test_reconnect_timeout_later)
{
  HelixFrameClientConfig config = {path, "test", TRUE, 1000, 0};
  HelixFrameRequest request = {.rate_den = 1};
  HelixFrameClient *client = helix_frame_client_new (&config, &request);
  HelixFrame frame;
  GError *error = NULL;

  /* Longer than the timeout, so that one that has begun shows. */
  g_usleep (1100 * 1000);
  fail_unless_equals_int (
      taker_next (client, &frame, &error), HELIX_FRAMES_WARNING);
  g_clear_error (&error);
  helix_frame_client_free (client);
}
GST_END_TEST;

/* A shim that gave us up because we did not read, in a pause for instance, is
 * there: going on needs no auto-reconnect. Its absence is an error. */
GST_START_TEST (test_idled)
{
  HelixFrameClientConfig once = {path, "test", FALSE, 0, 0};
  HelixFrameRequest request = {.rate_den = 1};
  HelixFrameClient *client = helix_frame_client_new (&once, &request);
  FakeConfig config = {.fault = FAKE_IDLED, .width = 640, .height = 48};
  HelixFrame frame;
  GError *error = NULL;
  FakeShim *shim;

  shim = fake_shim_new (path, &config);
  for (guint i = 0; i < 3; i++) {
    until_subscribed (client, shim, i + 1);
    fail_unless (fake_shim_send (shim, 1, NULL, 0));
    fail_unless_equals_int (
        taker_next (client, &frame, &error), HELIX_FRAMES_FRAME);
    helix_frame_clear (&frame);
    fail_unless (fake_shim_send (shim, 2, NULL, 0));
  }
  until_subscribed (client, shim, 4);
  fake_shim_free (shim);
  fail_unless_equals_int (
      taker_next (client, &frame, &error), HELIX_FRAMES_FAILED);
  g_clear_error (&error);
  helix_frame_client_free (client);
}
GST_END_TEST;

/* A pause leaves the shim with BYE, once. Then a new picture comes, none that
 * waited, of what was shown before. */
GST_START_TEST (test_pause)
{
  HelixFrameClientConfig once = {path, "test", FALSE, 0, 0};
  HelixFrameRequest request = {.rate_den = 1};
  HelixFrameClient *client = helix_frame_client_new (&once, &request);
  FakeConfig config = {.width = 640, .height = 48};
  HelixFrameClientState stats;
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
          taker_next (client, &frame, &error), HELIX_FRAMES_FRAME);
      helix_frame_clear (&frame);
    }
    helix_frame_client_leave (client);
    helix_frame_client_leave (client);
    fail_unless (fake_shim_wait_byes (shim, ++byes));
    helix_frame_client_get_state (client, &stats);
    fail_unless (!stats.connected);
    until_subscribed (client, shim, i + 1);
    fail_unless_equals_int (fake_shim_accepted (shim), i + 1);
    fail_unless_equals_int (fake_shim_subscription (shim).resource_id, 55);
  }
  helix_frame_client_get_state (client, &stats);
  fail_unless (stats.connected);
  fail_unless_equals_int (stats.reconnects, 0);
  fail_unless_equals_int (stats.switches, 0);
  helix_frame_client_free (client);
  fail_unless (fake_shim_wait_byes (shim, byes + 1));
  fake_shim_free (shim);
}
GST_END_TEST;

/* A pause that begins between the two ends' first words counts. */
GST_START_TEST (test_pause_any_time)
{
  HelixFrameClientConfig once = {path, "test", FALSE, 0, 0};
  HelixFrameRequest request = {.rate_den = 1};
  HelixFrameClient *client = helix_frame_client_new (&once, &request);
  FakeConfig silent = {.fault = FAKE_SILENT},
             good = {.width = 640, .height = 48};
  HelixFrame frame;
  GError *error = NULL;
  FakeShim *shim;

  shim = fake_shim_new (path, &silent);
  fail_unless_equals_int (
      helix_frame_client_next (
          client, helix_now_ns () + 50 * GST_MSECOND, &frame, &error),
      HELIX_FRAMES_TIMEOUT);
  helix_frame_client_leave (client);
  fake_shim_free (shim); /* the loss of it is not noticed */
  shim = fake_shim_new (path, &good);
  until_subscribed (client, shim, 1);
  fail_unless (fake_shim_send (shim, 1, NULL, 0));
  fail_unless_equals_int (
      taker_next (client, &frame, &error), HELIX_FRAMES_FRAME);
  helix_frame_clear (&frame);
  helix_frame_client_free (client);
  fake_shim_free (shim);
}
GST_END_TEST;

/* ---- servers that break the rules: one clear error, nothing left behind, and
 * the next server at that path is as good as ever ---- */

static guint fds_before;

static void
setup_hostile (void)
{
  setup ();
  fds_before = test_count_fds ();
}

/* A server that keeps to the rules has taken the place of the other one. */
static void
teardown_hostile (void)
{
  FakeShim *shim;
  HelixFrameClient *client;
  HelixFrame frame;

  fail_unless_equals_int (test_count_fds (), fds_before);
  shim = fake_shim_new (path, &good);
  client = taker_new (path, TRUE, NULL);
  taker_connect (client, shim);
  fail_unless (fake_shim_send (shim, 1, NULL, 0));
  taker_expect_frame (client, &frame, 1);
  helix_frame_clear (&frame);
  helix_frame_client_free (client);
  fake_shim_free (shim);
  teardown ();
}

/* What a peer can do wrong before it sends a frame. */
static const struct {
  FakeFault fault;
  HelixFramesResult result;
  const gchar *word;
} bad_starts[] = {
    {FAKE_WRONG_MAGIC, HELIX_FRAMES_FAILED,
        "does not speak the helix frame protocol"},
    {FAKE_VERSION_WELCOME, HELIX_FRAMES_FAILED, "chose version 77"},
    {FAKE_VERSION_ERROR, HELIX_FRAMES_FAILED, "version 77 only"},
    {FAKE_WRONG_NONCE, HELIX_FRAMES_FAILED, "nonce"},
    {FAKE_POOL_WITHOUT_FD, HELIX_FRAMES_FAILED,
        "file descriptor did not come along"},
    {FAKE_POOL_TWO, HELIX_FRAMES_WARNING, "broke"},
    {FAKE_POOL_UNSEALED, HELIX_FRAMES_FAILED, "F_SEAL_SHRINK"},
    {FAKE_POOL_HUGE, HELIX_FRAMES_FAILED, "hugetlbfs"},
    {FAKE_POOL_CUT_OFF, HELIX_FRAMES_FAILED, "not sealed"},
    {FAKE_POOL_ENDLESS, HELIX_FRAMES_FAILED, "POOL: "},
    {FAKE_NO_SCANOUT, HELIX_FRAMES_FAILED, "not exported"},
};

GST_START_TEST (test_bad_start)
{
  HelixFrameClient *client = taker_new (path, TRUE, NULL);
  FakeConfig config = good;
  GError *error = NULL;
  HelixFrame frame;
  FakeShim *shim;

  config.fault = bad_starts[__i__].fault;
  shim = fake_shim_new (path, &config);
  fail_unless_equals_int (
      taker_next (client, &frame, &error), bad_starts[__i__].result);
  taker_expect_words (&error, bad_starts[__i__].word, path);
  helix_frame_client_free (client);
  fake_shim_free (shim);
}
GST_END_TEST;

/* A descriptor that nothing is due with is closed, and no more. */
GST_START_TEST (test_stray_descriptor)
{
  FakeConfig config = good;
  HelixFrameClient *client = taker_new (path, TRUE, NULL);
  FakeShim *shim;
  HelixFrame frame;

  config.fault = FAKE_STRAY_FD;
  shim = fake_shim_new (path, &config);
  taker_connect (client, shim);
  fail_unless (fake_shim_send (shim, 1, NULL, 0));
  taker_expect_frame (client, &frame, 1);
  helix_frame_clear (&frame);
  helix_frame_client_free (client);
  fake_shim_free (shim);
}
GST_END_TEST;

/* What it can do wrong with a frame. */
static const struct {
  FakeFault fault;
  guint frames; /* the last one is bad */
  HelixFramesResult result;
  const gchar *word;
} bad_frames[] = {
    {FAKE_BAD_SLOT, 1, HELIX_FRAMES_FAILED, "slot"},
    {FAKE_BAD_POOL, 1, HELIX_FRAMES_FAILED, "pool_id"},
    {FAKE_SAME_SLOT, 2, HELIX_FRAMES_FAILED, "not given back"},
    {FAKE_OLD_SEQUENCE, 2, HELIX_FRAMES_FAILED, "sequence"},
    {FAKE_LYING_SIZE, 1, HELIX_FRAMES_FAILED, "beyond"},
    {FAKE_FRAME_FIRST, 1, HELIX_FRAMES_FAILED, "no pool"},
    {FAKE_SHORT_PING, 1, HELIX_FRAMES_FAILED, "PING"},
    {FAKE_SHORT_PONG, 1, HELIX_FRAMES_FAILED, "PONG"},
    {FAKE_VANISH_MID_FRAME, 1, HELIX_FRAMES_WARNING, "middle"},
};

GST_START_TEST (test_bad_frame)
{
  FakeConfig config = good;
  HelixFrame frame, held = {.memory = NULL};
  HelixFrameClient *client;
  GError *error = NULL;
  FakeShim *shim;

  config.fault = bad_frames[__i__].fault;
  shim = fake_shim_new (path, &config);
  client = taker_new (path, TRUE, NULL);
  taker_connect (client, shim);
  if (bad_frames[__i__].frames > 1) {
    fail_unless (fake_shim_send (shim, 1, NULL, 0));
    taker_expect_frame (client, &held, 1);
  }
  fail_unless (fake_shim_send (shim, 2, NULL, 0));
  fail_unless_equals_int (
      taker_next (client, &frame, &error), bad_frames[__i__].result);
  taker_expect_words (&error, bad_frames[__i__].word, path);
  helix_frame_clear (&held);
  helix_frame_client_free (client);
  fake_shim_free (shim);
}
GST_END_TEST;

/* ---- messages, one by one ---- */

typedef enum {
  MSG_POOL_CUT,
  MSG_FRAME_BEFORE_POOL,
  MSG_CURSOR_WITHOUT_SHAPE,
  MSG_UNIT,
  MSG_ENDLESS,
} BadMessage;

static const gchar *const bad_messages[] = {"POOL", "there is no pool yet",
    "the shape of its serial never came", "it sends units", "size"};

static gsize
build (BadMessage what, guint8 *message)
{
  const struct helix_frame frame = {.sequence = 1,
      .pool_id = 1,
      .width = 1,
      .height = 1,
      .stride = 4,
      .fourcc = HELIX_FOURCC_BGRX};
  const struct helix_cursor cursor = {
      .serial = 1, .flags = HELIX_CURSOR_VISIBLE};
  struct helix_header header = {.magic = HELIX_MAGIC, .channel = 1};

  switch (what) {
    case MSG_FRAME_BEFORE_POOL:
      return helix_pack_frame (message, 1, &frame, NULL);
    case MSG_CURSOR_WITHOUT_SHAPE:
      return helix_pack_cursor (message, 1, &cursor, 0);
    case MSG_POOL_CUT:
      header.type = HELIX_POOL;
      header.size = 8;
      break;
    case MSG_UNIT:
      header.type = HELIX_UNIT;
      header.size = 1024;
      break;
    case MSG_ENDLESS:
      header.type = HELIX_SCANOUT;
      header.size = G_MAXUINT32;
      break;
  }
  memset (message, 0, HELIX_MAX_MESSAGE);
  helix_pack_header (message, &header);
  return HELIX_HEADER_SIZE + (what == MSG_ENDLESS ? 0 : header.size);
}

GST_START_TEST (test_bad_message)
{
  const HelixFrameRequest request = {.rate_den = 1, .cursor = TRUE};
  struct helix_welcome welcome = {
      .version = HELIX_VERSION_MAX, .scanouts = 1, .role = HELIX_ROLE_FRAMES};
  guint8 messages[2 * HELIX_MAX_MESSAGE];
  struct iovec iov = {.iov_base = messages};
  HelixFrameConnection *connection;
  GError *error = NULL;
  HelixWaiter waiter;
  HelixFrame frame;
  int pair[2];

  fail_unless (helix_waiter_init (&waiter));
  fail_unless_equals_int (helix_socketpair (pair), 0);
  connection =
      helix_frame_connection_new (pair[0], path, "test", &request, &waiter);
  welcome.nonce = connection->connection->proof.nonce;
  iov.iov_len = helix_pack_welcome (messages, &welcome, "hostile", NULL);
  iov.iov_len += build (__i__, messages + iov.iov_len);
  fail_unless (helix_send (pair[1], &iov, 1, -1) == (ssize_t) iov.iov_len);
  fail_unless_equals_int (
      helix_frame_connection_read (connection, 0, &frame, &error),
      HELIX_FRAMES_FAILED);
  taker_expect_words (&error, bad_messages[__i__], path);
  helix_frame_connection_free (connection);
  helix_waiter_clear (&waiter);
  close (pair[1]);
}
GST_END_TEST;

/* ---- the cursor ---- */

static FakeShim *shim;
static HelixFrameClient *client;
static guint8 shape[6 * 4 * 4];

static void
setup_with (FakeFault fault)
{
  const FakeConfig config = {
      .fault = fault, .width = 640, .height = 48, .scanouts = 2};
  const HelixFrameRequest request = {.rate_den = 1, .cursor = TRUE};

  setup ();
  shim = fake_shim_new (path, &config);
  client = taker_new (path, TRUE, &request);
  taker_connect (client, shim);
  for (guint i = 0; i < sizeof shape; i++)
    shape[i] = (guint8) i;
}

static void
setup_cursor (void)
{
  setup_with (FAKE_GOOD);
}

static void
setup_new_types (void)
{
  setup_with (FAKE_NEW_TYPES);
}

static void
teardown_cursor (void)
{
  helix_frame_client_free (client);
  fake_shim_free (shim);
  teardown ();
}

static struct helix_cursor
cursor_with (guint32 flags, guint32 serial)
{
  struct helix_cursor cursor = {0};

  cursor.flags = flags;
  cursor.serial = serial;
  cursor.x = 100;
  cursor.y = 200;
  if (serial != 0) {
    cursor.width = 6;
    cursor.height = 4;
    cursor.hot_x = 5;
    cursor.hot_y = 3;
  }
  return cursor;
}

static void
expect (HelixFramesResult result, HelixFrame *frame)
{
  GError *error = NULL;

  fail_unless_equals_int (taker_next (client, frame, &error), result);
  fail_unless (error == NULL);
}

GST_START_TEST (test_shape_and_moves)
{
  struct helix_cursor sent =
      cursor_with (HELIX_CURSOR_VISIBLE | HELIX_CURSOR_SHAPE, 3);
  HelixCursor cursor;
  HelixFrame frame;

  fail_unless (fake_shim_cursor (shim, &sent, shape));
  expect (HELIX_FRAMES_CURSOR, &frame);
  helix_frame_client_get_cursor (client, &cursor);
  fail_unless (memcmp (&cursor.info, &sent, sizeof sent) == 0);
  fail_unless_equals_int (gst_buffer_get_size (cursor.image), sizeof shape);
  fail_unless (gst_buffer_memcmp (cursor.image, 0, shape, sizeof shape) == 0);
  helix_cursor_clear (&cursor);
  /* A message that leaves the shape's size out is as good. */
  sent.flags = HELIX_CURSOR_VISIBLE;
  sent.x = (guint32) -40;
  sent.width = sent.height = sent.hot_x = sent.hot_y = 0;
  fail_unless (fake_shim_cursor (shim, &sent, NULL));
  expect (HELIX_FRAMES_CURSOR, &frame);
  helix_frame_client_get_cursor (client, &cursor);
  fail_unless_equals_int (cursor.info.flags, HELIX_CURSOR_VISIBLE);
  fail_unless_equals_int ((gint32) cursor.info.x, -40);
  fail_unless_equals_int (cursor.info.width, 6);
  fail_unless_equals_int (cursor.info.hot_x, 5);
  fail_unless_equals_int (gst_buffer_get_size (cursor.image), sizeof shape);
  helix_cursor_clear (&cursor);
}
GST_END_TEST;

/* The newest cursor first, then the newest frame. */
GST_START_TEST (test_order)
{
  struct helix_cursor sent =
      cursor_with (HELIX_CURSOR_VISIBLE | HELIX_CURSOR_SHAPE, 1);
  HelixCursor cursor;
  HelixFrame frame;

  fail_unless (fake_shim_send (shim, 1, NULL, 0));
  fail_unless (fake_shim_cursor (shim, &sent, shape));
  sent.flags = HELIX_CURSOR_VISIBLE;
  sent.x = 7;
  fail_unless (fake_shim_cursor (shim, &sent, NULL));
  fail_unless (fake_shim_send (shim, 2, NULL, 0));
  expect (HELIX_FRAMES_CURSOR, &frame);
  helix_frame_client_get_cursor (client, &cursor);
  fail_unless_equals_int (cursor.info.x, 7);
  /* No cursor was given out with that shape. */
  fail_unless (cursor.info.flags & HELIX_CURSOR_SHAPE);
  helix_cursor_clear (&cursor);
  expect (HELIX_FRAMES_FRAME, &frame);
  fail_unless_equals_uint64 (frame.info.sequence, 2);
  helix_frame_clear (&frame);
}
GST_END_TEST;

/* Another scanout has another cursor: this one is gone. */
GST_START_TEST (test_switch)
{
  struct helix_cursor sent =
      cursor_with (HELIX_CURSOR_VISIBLE | HELIX_CURSOR_SHAPE, 1);
  HelixFrameRequest request = {.scanout = 1, .rate_den = 1, .cursor = TRUE};
  HelixFrameClientState stats;
  HelixCursor cursor;
  HelixFrame frame;

  fail_unless (fake_shim_cursor (shim, &sent, shape));
  expect (HELIX_FRAMES_CURSOR, &frame);
  helix_frame_client_subscribe (client, &request, FALSE);
  expect (HELIX_FRAMES_CURSOR, &frame);
  helix_frame_client_get_cursor (client, &cursor);
  fail_unless_equals_int (cursor.info.flags, 0);
  fail_unless_equals_int (cursor.info.scanout, 1);
  fail_unless (cursor.image == NULL);
  helix_frame_client_get_state (client, &stats);
  fail_unless_equals_int (stats.switches, 1);
  /* On the same scanout it stays. */
  sent.scanout = 1;
  while (fake_shim_subscription (shim).scanout != 1)
    g_thread_yield ();
  fail_unless (fake_shim_cursor (shim, &sent, shape));
  expect (HELIX_FRAMES_CURSOR, &frame);
  request.rate_num = 10;
  helix_frame_client_subscribe (client, &request, FALSE);
  sent.flags = HELIX_CURSOR_VISIBLE;
  sent.x = 3;
  while (fake_shim_subscription (shim).rate_num != 10) {
    GError *error = NULL;

    fail_unless_equals_int (
        helix_frame_client_next (
            client, helix_now_ns () + 10 * GST_MSECOND, &frame, &error),
        HELIX_FRAMES_TIMEOUT);
  }
  fail_unless (fake_shim_cursor (shim, &sent, NULL));
  expect (HELIX_FRAMES_CURSOR, &frame);
  helix_frame_client_get_cursor (client, &cursor);
  fail_unless_equals_int (cursor.info.x, 3);
  fail_unless (cursor.image != NULL);
  helix_cursor_clear (&cursor);
}
GST_END_TEST;

static const struct {
  guint32 flags, serial, width, hot_x;
  const gchar *word;
} lies[] = {
    {HELIX_CURSOR_VISIBLE, 8, 6, 0, "the shape of its serial never came"},
    {HELIX_CURSOR_VISIBLE | HELIX_CURSOR_SHAPE, 0, 6, 0, "without a serial"},
    {HELIX_CURSOR_VISIBLE | HELIX_CURSOR_SHAPE, 1, 6, 6, "hot spot"},
};

GST_START_TEST (test_lies)
{
  struct helix_cursor sent = cursor_with (lies[__i__].flags, 1);
  GError *error = NULL;
  HelixFrame frame;

  sent.serial = lies[__i__].serial;
  sent.width = lies[__i__].width;
  sent.hot_x = lies[__i__].hot_x;
  fail_unless (fake_shim_cursor (shim, &sent, shape));
  fail_unless_equals_int (
      taker_next (client, &frame, &error), HELIX_FRAMES_FAILED);
  fail_unless (
      strstr (error->message, lies[__i__].word) != NULL, "%s", error->message);
  g_error_free (error);
}
GST_END_TEST;

/* A shim of a later version: it is told once of each type, and goes on. */
GST_START_TEST (test_unknown_types)
{
  HelixFrame frame;

  for (guint32 i = 1; i <= 3; i++) {
    fail_unless (fake_shim_send (shim, i, NULL, 0));
    expect (HELIX_FRAMES_FRAME, &frame);
    helix_frame_clear (&frame);
  }
  /* The last RELEASE comes behind every ERROR. */
  fail_unless_equals_int (fake_shim_wait_free_slots (shim, 3), 3);
  fail_unless_equals_int (fake_shim_errors (shim), 2);
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
  tcase_add_test (tc, test_no_such_scanout);
  tcase_add_test (tc, test_no_socket);
  tcase_add_test (tc, test_permission);
  tcase_add_test (tc, test_reconnect_timeout_later);
  tcase_add_test (tc, test_idled);
  tcase_add_test (tc, test_pause);
  tcase_add_test (tc, test_pause_any_time);
  tc = tcase_create ("hostile");
  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, setup_hostile, teardown_hostile);
  tcase_set_timeout (tc, 60);
  tcase_add_loop_test (tc, test_bad_start, 0, G_N_ELEMENTS (bad_starts));
  tcase_add_loop_test (tc, test_bad_message, 0, G_N_ELEMENTS (bad_messages));
  tcase_add_test (tc, test_stray_descriptor);
  tcase_add_loop_test (tc, test_bad_frame, 0, G_N_ELEMENTS (bad_frames));
  tc = tcase_create ("cursor");
  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, setup_cursor, teardown_cursor);
  tcase_add_test (tc, test_shape_and_moves);
  tcase_add_test (tc, test_order);
  tcase_add_test (tc, test_switch);
  tcase_add_loop_test (tc, test_lies, 0, G_N_ELEMENTS (lies));
  tc = tcase_create ("later");
  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, setup_new_types, teardown_cursor);
  tcase_add_test (tc, test_unknown_types);
  return s;
}

GST_CHECK_MAIN (helix_frame_client);

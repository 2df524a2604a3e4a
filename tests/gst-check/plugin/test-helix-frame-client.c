/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * helixqemusrc's end of the frame protocol, at a shim that does what it is
 * told: frames, the cursor, outages, pauses, and servers that break the rules.
 *
 * A second program, helix-frame-client-copy, is built with
 * HELIX_SHM_NO_SEALS, which takes Linux for a system without seals: frames in
 * a file are copied out of it. It runs the tests of frames and memory.
 */
#include <glib/gstdio.h>
#include <gst/check/gstcheck.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "frame-taker.h"
#include "helix-pack.h"
#include "helix-platform.h"
#include "helix-test-fds.h"
#include "helix-test-nobody.h"
#include "helix-test-time.h"
#include "sim-child.h"

static gchar *path;
static FakeConfig config; /* of `shim`, until it is started */
static FakeShim *shim;
static HelixFrameClient *client;
static HelixFrame frame;
static GError *error;

static void
setup (void)
{
  path = fake_path_new ();
  config = (FakeConfig){.width = 640, .height = 48};
}

/* Both ends, if they are there. */
static void
stop (void)
{
  g_clear_pointer (&client, helix_frame_client_free);
  g_clear_pointer (&shim, fake_shim_free);
}

static void
teardown (void)
{
  stop ();
  fake_path_free (path);
}

static void
start (void)
{
  shim = fake_shim_new (path, &config);
  if (client == NULL)
    client = taker_new (path, TRUE, NULL);
  taker_connect (client, shim);
}

static void
expect (HelixFramesResult result)
{
  fail_unless_equals_int (taker_next (client, &frame, &error), result);
  if (result == HELIX_FRAMES_WARNING || result == HELIX_FRAMES_FAILED
      || result == HELIX_FRAMES_CLOSED)
    fail_unless (strstr (error->message, path) != NULL, "%s", error->message);
  else
    fail_unless (error == NULL);
  if (result == HELIX_FRAMES_FRAME)
    helix_frame_clear (&frame);
  g_clear_error (&error);
}

static void
send_frame (guint32 number)
{
  fail_unless (fake_shim_send (shim, number, NULL, 0));
}

static void
pass_frame (guint32 number)
{
  send_frame (number);
  taker_expect_frame (client, &frame, number);
  helix_frame_clear (&frame);
}

static void
expect_all_damaged (void)
{
  const struct helix_rect *rect = &frame.damage[0];

  fail_unless_equals_int (frame.info.rects, 1);
  fail_unless (rect->x == 0 && rect->y == 0 && rect->width >= frame.info.width
      && rect->height >= frame.info.height);
}

/* One is held while others pass. */
GST_START_TEST (test_frames)
{
  HelixFrame held;

  start ();
  send_frame (1);
  taker_expect_frame (client, &held, 1);
  for (guint32 i = 2; i <= 20; i++) {
    send_frame (i);
    taker_expect_frame (client, &frame, i);
    fail_unless_equals_int (frame.info.width, 640);
    expect_all_damaged ();
    helix_frame_clear (&frame);
  }
  fail_unless_equals_int (taker_number (&held), 1);
  helix_frame_clear (&held);
  fail_unless_equals_int (fake_shim_wait_free_slots (shim, 3), 3);
  fail_unless_equals_uint64 (
      helix_frame_client_state (client).frames.received, 20);
  fail_unless_equals_uint64 (
      helix_frame_client_state (client).frames.superseded, 0);
  fail_unless (helix_frame_client_state (client).connected);
}
GST_END_TEST;

GST_START_TEST (test_newest_wins)
{
  const struct helix_rect rects[] = {
      {0, 0, 8, 8}, {32, 8, 2, 2}, {16, 16, 4, 4}};

  start ();
  pass_frame (1);
  for (guint32 i = 0; i < 3; i++)
    fail_unless (fake_shim_send (shim, i + 2, &rects[i], 1));
  taker_expect_frame (client, &frame, 4);
  fail_unless_equals_int (frame.info.rects, 3);
  for (guint i = 0; i < 3; i++)
    fail_unless (memcmp (&frame.damage[i], &rects[i], sizeof rects[i]) == 0);
  /* The two that were not given out are free again, this one is not. */
  fail_unless_equals_int (fake_shim_wait_free_slots (shim, 2), 2);
  fail_unless_equals_uint64 (
      helix_frame_client_state (client).frames.superseded, 2);
  helix_frame_clear (&frame);
  fail_unless_equals_int (fake_shim_wait_free_slots (shim, 3), 3);
}
GST_END_TEST;

/* A frame that waited for us to go on is not shown before the shim had its
 * chance to send what is true now; on a still screen it is what is true. Nor
 * is the picture before it repeated meanwhile, whoever asks. */
GST_START_TEST (test_old_frame)
{
  guint64 begun;

  config.age_ns = GST_SECOND;
  start ();
  begun = helix_now_ns ();
  send_frame (1);
  helix_frame_client_poke (client);
  expect (HELIX_FRAMES_FRAME);
  fail_unless (helix_now_ns () - begun >= 50 * GST_MSECOND);
}
GST_END_TEST;

GST_START_TEST (test_resize)
{
  const struct helix_rect rect = {0, 0, 8, 8};
  HelixFrame old;

  start ();
  send_frame (1);
  taker_expect_frame (client, &old, 1);
  fake_shim_resize (shim, 800, 60, HELIX_FOURCC_BGRA);
  fail_unless (fake_shim_send (shim, 2, &rect, 1));
  taker_expect_frame (client, &frame, 2);
  fail_unless_equals_int (frame.info.width, 800);
  fail_unless_equals_int (frame.info.fourcc, HELIX_FOURCC_BGRA);
  expect_all_damaged ();
  /* The one of the old pool is still there, and goes without a word. */
  fail_unless_equals_int (taker_number (&old), 1);
  helix_frame_clear (&old);
  helix_frame_clear (&frame);
  fail_unless_equals_int (fake_shim_wait_free_slots (shim, 3), 3);
}
GST_END_TEST;

GST_START_TEST (test_subscribe_anew)
{
  HelixFrameRequest request = {.scanout = 1, .rate_num = 30, .rate_den = 1};
  guint64 end;

  config.scanouts = 2;
  start ();
  send_frame (1);
  helix_frame_client_subscribe (client, &request, FALSE);
  end = helix_now_ns () + TEST_SOON;
  while (helix_now_ns () < end && fake_shim_subscription (shim).scanout != 1)
    taker_look (client);
  fail_unless_equals_int (fake_shim_subscription (shim).rate_num, 30);
  send_frame (2);
  taker_expect_frame (client, &frame, 2);
  fail_unless_equals_int (frame.info.scanout, 1);
  helix_frame_clear (&frame);
}
GST_END_TEST;

GST_START_TEST (test_frame_outlives_client)
{
  start ();
  send_frame (7);
  taker_expect_frame (client, &frame, 7);
  stop ();
  fail_unless_equals_int (taker_number (&frame), 7);
  helix_frame_clear (&frame);
}
GST_END_TEST;

static gpointer
flush_soon (gpointer data)
{
  helix_frame_client_set_flushing (data, TRUE);
  return NULL;
}

GST_START_TEST (test_flushing)
{
  start ();
  for (guint32 i = 1; i <= 50; i++) {
    GThread *thread = g_thread_new ("flush", flush_soon, client);

    expect (HELIX_FRAMES_FLUSHING);
    g_thread_join (thread);
    expect (HELIX_FRAMES_FLUSHING);
    helix_frame_client_set_flushing (client, FALSE);
    pass_frame (i);
  }
}
GST_END_TEST;

GST_START_TEST (test_reconnect)
{
  client = taker_new (path, TRUE, NULL);
  expect (HELIX_FRAMES_WARNING);
  for (guint32 i = 1; i <= 3; i++) {
    guint64 begin = helix_now_ns ();

    start ();
    send_frame (i);
    taker_expect_frame (client, &frame, i);
    fail_unless (helix_now_ns () - begin < TEST_SOON);
    g_clear_pointer (&shim, fake_shim_free);
    fail_unless_equals_int (
        taker_next (client, &(HelixFrame){0}, &error), HELIX_FRAMES_WARNING);
    taker_expect_words (&error, path, "broke");
    /* Of a connection that is no more. */
    helix_frame_clear (&frame);
  }
  fail_unless_equals_int (helix_frame_client_state (client).reconnects, 2);
  fail_unless_equals_uint64 (
      helix_frame_client_state (client).frames.received, 3);
  fail_unless (!helix_frame_client_state (client).connected);
}
GST_END_TEST;

#ifdef HELIX_SHM_NO_SEALS
/* The memory is cut off before a frame: told, and on with the next server. */
GST_START_TEST (test_cut_off)
{
  config.fault = FAKE_POOL_CUT_OFF;
  start ();
  send_frame (1);
  fail_unless_equals_int (
      taker_next (client, &frame, &error), HELIX_FRAMES_WARNING);
  taker_expect_words (&error, "was cut off", path);
  g_clear_pointer (&shim, fake_shim_free);
  config.fault = FAKE_GOOD;
  start ();
  pass_frame (2);
}
GST_END_TEST;
#endif

/* It counts from the first attempt: an element may be long in PAUSED. */
GST_START_TEST (test_reconnect_timeout)
{
  const HelixFrameClientConfig patient = {path, "test", TRUE, 300, 0};
  const HelixFrameRequest request = {.rate_den = 1};
  guint64 begin;

  client = helix_frame_client_new (&patient, &request);
  /* Longer than the timeout: if it had begun, it would end here. */
  g_usleep (310 * 1000);
  begin = helix_now_ns ();
  expect (HELIX_FRAMES_WARNING);
  fail_unless_equals_int (
      taker_next (client, &frame, &error), HELIX_FRAMES_FAILED);
  fail_unless (helix_now_ns () - begin >= 300 * GST_MSECOND);
  taker_expect_words (&error, "Gave up after 300 ms", path);
}
GST_END_TEST;

GST_START_TEST (test_bye)
{
  config.fault = FAKE_BYE;
  client = taker_new (path, __i__, NULL);
  start ();
  send_frame (1);
  send_frame (2);
  /* What stands before it is still shown. */
  expect (HELIX_FRAMES_FRAME);
  fail_unless_equals_int (taker_next (client, &frame, &error),
      __i__ ? HELIX_FRAMES_WARNING : HELIX_FRAMES_CLOSED);
  taker_expect_words (&error, "the VM is off", path);
}
GST_END_TEST;

GST_START_TEST (test_no_such_scanout)
{
  HelixFrameRequest request = {.scanout = 99, .rate_den = 1};

  config.scanouts = 4;
  shim = fake_shim_new (path, &config);
  taker_expect_error (path, &request, "has 4 (0 to 3)");
}
GST_END_TEST;

static int
connect_forbidden (void *opaque)
{
  (void) opaque;
  client = taker_new (path, TRUE, NULL);
  if (taker_next (client, &frame, &error) != HELIX_FRAMES_FAILED)
    return 3;
  return strstr (error->message, "not allowed to connect") == NULL
      || strstr (error->message, "allow=USER") == NULL;
}

/* Root may do anything: in a child of another user. */
GST_START_TEST (test_permission)
{
  gchar *dir = g_path_get_dirname (path);

  shim = fake_shim_new (path, &config);
  fail_unless (g_chmod (path, 0) == 0);
  fail_unless (g_chmod (dir, 0755) == 0);
  fail_unless_equals_int (test_as_nobody (connect_forbidden, NULL), 0);
  g_free (dir);
}
GST_END_TEST;

/* ---- while next () is not called ---- */

static void
until_subscribed (guint times)
{
  TAKER_RUN_UNTIL (client, fake_shim_subscribes (shim) >= times);
  fail_unless_equals_int (fake_shim_subscribes (shim), times);
  fail_unless (fake_shim_wait_subscribed (shim));
}

/* A shim that gave us up because we did not read, in a pause for instance, is
 * there: going on needs no auto-reconnect. Its absence is an error. */
GST_START_TEST (test_idled)
{
  config.fault = FAKE_IDLED;
  client = taker_new (path, FALSE, NULL);
  shim = fake_shim_new (path, &config);
  for (guint i = 0; i < 3; i++) {
    until_subscribed (i + 1);
    pass_frame (1);
    send_frame (2);
  }
  until_subscribed (4);
  g_clear_pointer (&shim, fake_shim_free);
  expect (HELIX_FRAMES_FAILED);
}
GST_END_TEST;

/* A pause leaves the shim with BYE, once. Then a new picture comes, none that
 * waited, of what was shown before. */
GST_START_TEST (test_pause)
{
  struct helix_show show;
  guint byes = 0;

  client = taker_new (path, FALSE, NULL);
  shim = fake_shim_new (path, &config);
  until_subscribed (1);
  helix_frame_client_show (client, 55, 0);
  fail_unless (fake_shim_wait_show (shim, 1, &show));
  for (guint i = 1; i <= 3; i++) {
    /* One of them is not read before the pause. */
    send_frame (10 * i);
    if (i > 1)
      expect (HELIX_FRAMES_FRAME);
    helix_frame_client_set_paused (client, TRUE);
    helix_frame_client_set_paused (client, TRUE);
    fail_unless (fake_shim_wait_byes (shim, ++byes));
    fail_unless (!helix_frame_client_state (client).connected);
    helix_frame_client_set_paused (client, FALSE);
    until_subscribed (i + 1);
    fail_unless_equals_int (fake_shim_accepted (shim), i + 1);
    fail_unless_equals_int (fake_shim_subscription (shim).resource_id, 55);
  }
  fail_unless (helix_frame_client_state (client).connected);
  fail_unless_equals_int (helix_frame_client_state (client).reconnects, 0);
  fail_unless_equals_int (helix_frame_client_state (client).switches, 0);
  g_clear_pointer (&client, helix_frame_client_free);
  fail_unless (fake_shim_wait_byes (shim, byes + 1));
}
GST_END_TEST;

/* A pause that begins between the two ends' first words counts. */
GST_START_TEST (test_pause_any_time)
{
  const FakeConfig silent = {.fault = FAKE_SILENT};

  client = taker_new (path, FALSE, NULL);
  shim = fake_shim_new (path, &silent);
  TAKER_RUN_UNTIL (client, helix_frame_client_state (client).connected);
  helix_frame_client_set_paused (client, TRUE);
  fake_shim_free (shim); /* the loss of it is not noticed */
  shim = fake_shim_new (path, &config);
  helix_frame_client_set_paused (client, FALSE);
  until_subscribed (1);
  pass_frame (1);
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
  stop ();
  fail_unless_equals_int (test_count_fds (), fds_before);
  config.fault = FAKE_GOOD;
  start ();
  pass_frame (1);
  teardown ();
}

/* What it can do wrong before it sends a frame, and with the first or the
 * second one. */
static const struct {
  FakeFault fault;
  guint frames;
  HelixFramesResult result;
  const gchar *word;
} faults[] = {
    {FAKE_WRONG_MAGIC, 0, HELIX_FRAMES_FAILED,
        "does not speak the helix frame protocol"},
    {FAKE_VERSION_WELCOME, 0, HELIX_FRAMES_FAILED, "chose version 77"},
    {FAKE_VERSION_ERROR, 0, HELIX_FRAMES_FAILED, "version 77 only"},
    {FAKE_WRONG_NONCE, 0, HELIX_FRAMES_FAILED, "nonce"},
    {FAKE_POOL_WITHOUT_FD, 0, HELIX_FRAMES_FAILED,
        "file descriptor did not come along"},
    {FAKE_POOL_TWO, 0, HELIX_FRAMES_WARNING, "broke"},
    {FAKE_POOL_UNSEALED, 0, HELIX_FRAMES_FAILED, "F_SEAL_SHRINK"},
    {FAKE_POOL_HUGE, 0, HELIX_FRAMES_FAILED, "hugetlbfs"},
    {FAKE_POOL_CUT_OFF, 0, HELIX_FRAMES_FAILED, "not sealed"},
    {FAKE_POOL_ENDLESS, 0, HELIX_FRAMES_FAILED, "POOL: "},
    {FAKE_NO_SCANOUT, 0, HELIX_FRAMES_FAILED, "not exported"},
    {FAKE_BAD_SLOT, 1, HELIX_FRAMES_FAILED, "slot"},
    {FAKE_BAD_POOL, 1, HELIX_FRAMES_FAILED, "pool_id"},
    {FAKE_SAME_SLOT, 2, HELIX_FRAMES_FAILED, "not given back"},
    {FAKE_OLD_SEQUENCE, 2, HELIX_FRAMES_FAILED, "sequence"},
    {FAKE_LYING_SIZE, 1, HELIX_FRAMES_FAILED, "beyond"},
    {FAKE_FRAME_FIRST, 1, HELIX_FRAMES_FAILED, "there is no pool yet"},
    {FAKE_VANISH_MID_FRAME, 1, HELIX_FRAMES_WARNING, "middle"},
};

GST_START_TEST (test_fault)
{
  HelixFrame held = {.memory = NULL};

  config.fault = faults[__i__].fault;
  client = taker_new (path, TRUE, NULL);
  if (faults[__i__].frames == 0) {
    shim = fake_shim_new (path, &config);
  } else {
    start ();
    if (faults[__i__].frames > 1) {
      send_frame (1);
      taker_expect_frame (client, &held, 1);
    }
    send_frame (2);
  }
  fail_unless_equals_int (
      taker_next (client, &frame, &error), faults[__i__].result);
  taker_expect_words (&error, faults[__i__].word, path);
  helix_frame_clear (&held);
}
GST_END_TEST;

/* A descriptor that nothing is due with is closed, and no more. */
GST_START_TEST (test_stray_descriptor)
{
  config.fault = FAKE_STRAY_FD;
  start ();
  pass_frame (1);
}
GST_END_TEST;

/* Heads, and as many bytes behind them as they say. */
static const struct {
  enum helix_type type;
  guint32 size;
  const gchar *word;
} bad_messages[] = {
    {HELIX_POOL, 8, "POOL"}, {HELIX_UNIT, 1024, "it sends units"},
    {HELIX_SCANOUT, G_MAXUINT32, "size"}, /* no byte */
};

GST_START_TEST (test_bad_message)
{
  const HelixFrameRequest request = {.rate_den = 1};
  const struct helix_header header = {
      HELIX_MAGIC, bad_messages[__i__].type, 0, 1, bad_messages[__i__].size};
  struct helix_welcome welcome = {
      .version = HELIX_VERSION_MAX, .scanouts = 1, .role = HELIX_ROLE_FRAMES};
  guint8 messages[2 * HELIX_MAX_MESSAGE] = {0};
  struct iovec iov = {.iov_base = messages};
  HelixFrameConnection *connection;
  HelixWaiter waiter;
  int pair[2];

  fail_unless (helix_waiter_init (&waiter));
  test_socketpair (pair);
  connection =
      helix_frame_connection_new (pair[0], path, "test", &request, &waiter);
  welcome.nonce = connection->connection->proof.nonce;
  iov.iov_len = helix_pack_welcome (messages, &welcome, "hostile", NULL);
  helix_pack_header (messages + iov.iov_len, &header);
  iov.iov_len += HELIX_HEADER_SIZE;
  if (header.size < HELIX_MAX_MESSAGE)
    iov.iov_len += header.size;
  fail_unless (helix_send (pair[1], &iov, 1, -1) == (ssize_t) iov.iov_len);
  fail_unless_equals_int (helix_frame_connection_read (
                              connection, 0, &frame, &taker_cursor, &error),
      HELIX_FRAMES_FAILED);
  taker_expect_words (&error, bad_messages[__i__].word, path);
  helix_frame_connection_free (connection);
  helix_waiter_clear (&waiter);
  close (pair[1]);
}
GST_END_TEST;

/* ---- the cursor ---- */

static guint8 shape[6 * 4 * 4];

static void
setup_cursor (void)
{
  setup ();
  config.scanouts = 2;
  start ();
  for (guint i = 0; i < sizeof shape; i++)
    shape[i] = (guint8) i;
}

static struct helix_cursor
cursor_with (guint32 flags, guint32 serial)
{
  struct helix_cursor cursor = {
      .flags = flags, .serial = serial, .x = 100, .y = 200};

  if (serial != 0) {
    cursor.width = 6;
    cursor.height = 4;
    cursor.hot_x = 5;
    cursor.hot_y = 3;
  }
  return cursor;
}

/* The cursor that came; its image is gone, of which *size is the size. */
static struct helix_cursor
take_cursor (gsize *size)
{
  GstBuffer *image;

  expect (HELIX_FRAMES_CURSOR);
  image = taker_cursor.image;
  *size = image != NULL ? gst_buffer_get_size (image) : 0;
  if (*size != 0)
    fail_unless (gst_buffer_memcmp (image, 0, shape, sizeof shape) == 0);
  helix_cursor_clear (&taker_cursor);
  return taker_cursor.info;
}

GST_START_TEST (test_shape_and_moves)
{
  struct helix_cursor sent =
      cursor_with (HELIX_CURSOR_VISIBLE | HELIX_CURSOR_SHAPE, 3);
  struct helix_cursor cursor;
  gsize size;

  fail_unless (fake_shim_cursor (shim, &sent, shape));
  cursor = take_cursor (&size);
  fail_unless (memcmp (&cursor, &sent, sizeof sent) == 0);
  fail_unless_equals_int (size, sizeof shape);
  /* A message that leaves the shape's size out is as good. */
  sent.flags = HELIX_CURSOR_VISIBLE;
  sent.x = (guint32) -40;
  sent.width = sent.height = sent.hot_x = sent.hot_y = 0;
  fail_unless (fake_shim_cursor (shim, &sent, NULL));
  cursor = take_cursor (&size);
  fail_unless_equals_int (cursor.flags, HELIX_CURSOR_VISIBLE);
  fail_unless_equals_int ((gint32) cursor.x, -40);
  fail_unless_equals_int (cursor.width, 6);
  fail_unless_equals_int (cursor.hot_x, 5);
  fail_unless_equals_int (size, sizeof shape);
}
GST_END_TEST;

/* The newest cursor first, then the newest frame. */
GST_START_TEST (test_order)
{
  struct helix_cursor sent =
      cursor_with (HELIX_CURSOR_VISIBLE | HELIX_CURSOR_SHAPE, 1);
  struct helix_cursor cursor;
  gsize size;

  send_frame (1);
  fail_unless (fake_shim_cursor (shim, &sent, shape));
  sent.flags = HELIX_CURSOR_VISIBLE;
  sent.x = 7;
  fail_unless (fake_shim_cursor (shim, &sent, NULL));
  send_frame (2);
  cursor = take_cursor (&size);
  fail_unless_equals_int (cursor.x, 7);
  /* No cursor was given out with that shape. */
  fail_unless (cursor.flags & HELIX_CURSOR_SHAPE);
  taker_expect_frame (client, &frame, 2);
  helix_frame_clear (&frame);
}
GST_END_TEST;

/* Another scanout has another cursor: this one is gone. */
GST_START_TEST (test_switch)
{
  struct helix_cursor sent =
      cursor_with (HELIX_CURSOR_VISIBLE | HELIX_CURSOR_SHAPE, 1);
  HelixFrameRequest request = {.scanout = 1, .rate_den = 1};
  struct helix_cursor cursor;
  gsize size;

  fail_unless (fake_shim_cursor (shim, &sent, shape));
  take_cursor (&size);
  helix_frame_client_subscribe (client, &request, FALSE);
  cursor = take_cursor (&size);
  fail_unless_equals_int (cursor.flags, 0);
  fail_unless_equals_int (cursor.scanout, 1);
  fail_unless_equals_int (size, 0);
  fail_unless_equals_int (helix_frame_client_state (client).switches, 1);
  /* On the same scanout it stays. */
  sent.scanout = 1;
  TAKER_RUN_UNTIL (client, fake_shim_subscription (shim).scanout == 1);
  fail_unless (fake_shim_cursor (shim, &sent, shape));
  take_cursor (&size);
  request.rate_num = 10;
  helix_frame_client_subscribe (client, &request, FALSE);
  sent.flags = HELIX_CURSOR_VISIBLE;
  sent.x = 3;
  TAKER_RUN_UNTIL (client, fake_shim_subscription (shim).rate_num == 10);
  fail_unless (fake_shim_cursor (shim, &sent, NULL));
  cursor = take_cursor (&size);
  fail_unless_equals_int (cursor.x, 3);
  fail_unless (size != 0);
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

  sent.serial = lies[__i__].serial;
  sent.width = lies[__i__].width;
  sent.hot_x = lies[__i__].hot_x;
  fail_unless (fake_shim_cursor (shim, &sent, shape));
  fail_unless_equals_int (
      taker_next (client, &frame, &error), HELIX_FRAMES_FAILED);
  taker_expect_words (&error, lies[__i__].word, path);
}
GST_END_TEST;

/* A shim of a later version: it is told once of each type, and goes on. */
GST_START_TEST (test_unknown_types)
{
  config.fault = FAKE_NEW_TYPES;
  start ();
  for (guint32 i = 1; i <= 3; i++)
    pass_frame (i);
  /* The last RELEASE comes behind every ERROR. */
  fail_unless_equals_int (fake_shim_wait_free_slots (shim, 3), 3);
  fail_unless_equals_int (fake_shim_errors (shim), 2);
}
GST_END_TEST;

/* ---- a VM that was found and not named: which one it is, and why, is told
 * once, and that another one serves its socket now ---- */

#define SIM "--size=640x96"

static gchar *runtime, *other_runtime;

static gchar *
folder (const gchar *name)
{
  gchar *dir = g_path_get_dirname (path);
  gchar *made = g_build_filename (dir, name, NULL);

  fail_unless_equals_int (g_mkdir (made, 0700), 0);
  g_free (dir);
  return made;
}

static void
setup_found (void)
{
  setup ();
  runtime = folder ("runtime");
  other_runtime = folder ("other");
  g_unsetenv ("HELIX_SOCKET");
  g_setenv ("HOME", runtime, TRUE);
  g_setenv ("XDG_RUNTIME_DIR", runtime, TRUE);
  client = taker_new (NULL, TRUE, NULL);
}

static void
teardown_found (void)
{
  g_free (runtime);
  g_free (other_runtime);
  teardown ();
}

/* The next result, which is to be this one, and what it says. Skips DARK and
 * CURSOR, since the screen may go on behind the connection and the sim has a
 * cursor, and frames where another result is due. */
static void
expect_told (HelixFramesResult due, const gchar *word, const gchar *other)
{
  HelixFramesResult result;

  do {
    result = taker_next (client, &frame, &error);
    if (result == HELIX_FRAMES_FRAME)
      helix_frame_clear (&frame);
  } while (result == HELIX_FRAMES_DARK || result == HELIX_FRAMES_CURSOR
      || (result == HELIX_FRAMES_FRAME && due != result));
  fail_unless_equals_int (result, due);
  if (result != HELIX_FRAMES_FRAME)
    taker_expect_words (&error, word, other);
}

/* What is told of a connection to `sim`, found in `where`. */
static void
expect_found (SimChild *sim, const gchar *where)
{
  gchar *who = g_strdup_printf ("Took VM 'helix-shim-sim " HELIX_PACKAGE_VERSION
                                "' (pid %d) at %s: it is the only one, ",
      sim_child_pid (sim), path);
  gchar *reason = g_strdup_printf (
      "in %s/gst-helix (XDG_RUNTIME_DIR). Set socket-path", where);

  expect_told (HELIX_FRAMES_FOUND, who, reason);
  g_free (who);
  g_free (reason);
}

/* Once, and not again when it comes back. That it is waited for is told with
 * the first warning. */
GST_START_TEST (test_told)
{
  SimChild *sim = sim_child_new (path, SIM);

  expect_found (sim, runtime);
  expect_told (HELIX_FRAMES_FRAME, NULL, NULL);
  sim_child_kill (sim);
  expect_told (HELIX_FRAMES_WARNING, path,
      "is waited for. To take another one, restart the pipeline.");
  sim = sim_child_new (path, SIM);
  expect_told (HELIX_FRAMES_FRAME, NULL, NULL);
  sim_child_end (sim);
}
GST_END_TEST;

/* A connection alone is no choice: the kernel accepts for a VM that is stopped.
 * Until one has answered, another that starts is taken. */
GST_START_TEST (test_silent)
{
  gchar *usual = g_build_filename (runtime, "helix.sock", NULL);
  int fd = helix_socket (AF_UNIX);
  SimChild *sim;

  fail_unless_equals_int (helix_unix_bind (fd, usual), 0);
  fail_unless_equals_int (listen (fd, 8), 0);
  fail_unless_equals_int (
      taker_next (client, &frame, &error), HELIX_FRAMES_WARNING);
  fail_unless (strstr (error->message, "is waited for") == NULL);
  taker_expect_words (&error, usual, "no WELCOME");
  sim = sim_child_new (path, SIM);
  expect_told (HELIX_FRAMES_FOUND, "Took VM", path);
  expect_told (HELIX_FRAMES_FRAME, NULL, NULL);
  sim_child_end (sim);
  close (fd);
  g_unlink (usual);
  g_free (usual);
}
GST_END_TEST;

/* sudo and systemd set another XDG_RUNTIME_DIR: the message shows it. */
GST_START_TEST (test_other_folder)
{
  gchar *elsewhere = g_build_filename (runtime, "elsewhere", NULL);
  SimChild *sim = sim_child_new (elsewhere, SIM), *sim2;

  g_setenv ("XDG_RUNTIME_DIR", other_runtime, TRUE);
  sim2 = sim_child_new (path, SIM);
  expect_found (sim2, other_runtime);
  sim_child_end (sim);
  sim_child_end (sim2);
  g_free (elsewhere);
}
GST_END_TEST;

/* A path that the user names is taken without the message FOUND. */
GST_START_TEST (test_named)
{
  SimChild *sim = sim_child_new (path, SIM);

  g_setenv ("HELIX_SOCKET", path, TRUE);
  expect_told (HELIX_FRAMES_FRAME, NULL, NULL);
  sim_child_end (sim);
}
GST_END_TEST;

/* Another VM serves the socket of the one that was shown. */
GST_START_TEST (test_another)
{
  gchar *usual = g_build_filename (runtime, "helix.sock", NULL);
  SimChild *sim = sim_child_new (usual, SIM);

  expect_told (HELIX_FRAMES_FOUND, "Took VM", usual);
  expect_told (HELIX_FRAMES_FRAME, NULL, NULL);
  sim_child_end (sim);
  shim = fake_shim_new (usual, &config);
  expect_told (HELIX_FRAMES_WARNING, usual, "is waited for");
  expect_told (
      HELIX_FRAMES_WARNING, "'fake-shim'", "it serves the socket of the VM");
  stop ();
  g_unlink (usual);
  g_free (usual);
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
#ifdef HELIX_SHM_NO_SEALS
  tcase_add_test (tc, test_cut_off);
  return s; /* what follows is the same here */
#endif
  tcase_add_test (tc, test_subscribe_anew);
  tcase_add_test (tc, test_frame_outlives_client);
  tcase_add_test (tc, test_flushing);
  tcase_add_test (tc, test_reconnect);
  tcase_add_test (tc, test_reconnect_timeout);
  tcase_add_loop_test (tc, test_bye, 0, 2);
  tcase_add_test (tc, test_no_such_scanout);
  tcase_add_test (tc, test_permission);
  tcase_add_test (tc, test_idled);
  tcase_add_test (tc, test_pause);
  tcase_add_test (tc, test_pause_any_time);
  tcase_add_test (tc, test_unknown_types);
  tc = tcase_create ("hostile");
  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, setup_hostile, teardown_hostile);
  tcase_set_timeout (tc, 60);
  tcase_add_loop_test (tc, test_fault, 0, G_N_ELEMENTS (faults));
  tcase_add_test (tc, test_stray_descriptor);
  tcase_add_loop_test (tc, test_bad_message, 0, G_N_ELEMENTS (bad_messages));
  tc = tcase_create ("cursor");
  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, setup_cursor, teardown);
  tcase_add_test (tc, test_shape_and_moves);
  tcase_add_test (tc, test_order);
  tcase_add_test (tc, test_switch);
  tcase_add_loop_test (tc, test_lies, 0, G_N_ELEMENTS (lies));
  tc = tcase_create ("found");
  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, setup_found, teardown_found);
  tcase_set_timeout (tc, 60);
  tcase_add_test (tc, test_told);
  tcase_add_test (tc, test_silent);
  tcase_add_test (tc, test_other_folder);
  tcase_add_test (tc, test_named);
  tcase_add_test (tc, test_another);
  return s;
}

GST_CHECK_MAIN (helix_frame_client);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A server that breaks the rules: one clear error, nothing left behind, and
 * the next server at that path is as good as ever.
 */
#include <gst/check/gstcheck.h>
#include <unistd.h>

#include "frame-taker.h"
#include "helix-pack.h"
#include "helix-platform.h"
#include "helix-test-fds.h"
#include "helix-frame-connection.h"

static gchar *path;
static guint fds_before;
static const FakeConfig good = {.width = 640, .height = 48};

static void
setup (void)
{
  path = fake_path_new ();
  fds_before = test_count_fds ();
}

/* A server that keeps to the rules has taken the place of the other one. */
static void
teardown (void)
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
  fake_path_free (path);
}

/* What a peer can do wrong before it sends a frame. */
static const struct {
  FakeFault fault;
  HelixFrameClientResult result;
  const gchar *word;
} bad_starts[] = {
    {FAKE_WRONG_MAGIC, HELIX_CLIENT_ERROR,
        "does not speak the helix frame protocol"},
    {FAKE_VERSION_WELCOME, HELIX_CLIENT_ERROR, "chose version 77"},
    {FAKE_VERSION_ERROR, HELIX_CLIENT_ERROR, "version 77 only"},
    {FAKE_WRONG_NONCE, HELIX_CLIENT_ERROR, "nonce"},
    {FAKE_POOL_WITHOUT_FD, HELIX_CLIENT_ERROR,
        "file descriptor did not come along"},
    {FAKE_POOL_PIPE, HELIX_CLIENT_ERROR, "not memory"},
    {FAKE_POOL_TWO, HELIX_CLIENT_WARNING, "broke"},
    {FAKE_POOL_DIRECTORY, HELIX_CLIENT_ERROR, "not memory"},
    {FAKE_POOL_SHORT, HELIX_CLIENT_ERROR, "smaller"},
    {FAKE_POOL_UNSEALED, HELIX_CLIENT_ERROR, "F_SEAL_SHRINK"},
    {FAKE_POOL_WRITABLE, HELIX_CLIENT_ERROR, "F_SEAL_FUTURE_WRITE"},
    {FAKE_POOL_SPARSE, HELIX_CLIENT_ERROR, "not all its pages"},
    {FAKE_POOL_HUGE, HELIX_CLIENT_ERROR, "hugetlbfs"},
    {FAKE_POOL_CUT_OFF, HELIX_CLIENT_ERROR, "not sealed"},
    {FAKE_POOL_FILE, HELIX_CLIENT_ERROR, "not sealed"},
    {FAKE_POOL_ENDLESS, HELIX_CLIENT_ERROR, "POOL: "},
    {FAKE_NO_SCANOUT, HELIX_CLIENT_ERROR, "not exported"},
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
  HelixFrameClientResult result;
  const gchar *word;
} bad_frames[] = {
    {FAKE_BAD_SLOT, 1, HELIX_CLIENT_ERROR, "slot"},
    {FAKE_BAD_POOL, 1, HELIX_CLIENT_ERROR, "pool_id"},
    {FAKE_SAME_SLOT, 2, HELIX_CLIENT_ERROR, "not given back"},
    {FAKE_OLD_SEQUENCE, 2, HELIX_CLIENT_ERROR, "sequence"},
    {FAKE_LYING_SIZE, 1, HELIX_CLIENT_ERROR, "beyond"},
    {FAKE_FRAME_FIRST, 1, HELIX_CLIENT_ERROR, "no pool"},
    {FAKE_SHORT_PING, 1, HELIX_CLIENT_ERROR, "PING"},
    {FAKE_SHORT_PONG, 1, HELIX_CLIENT_ERROR, "PONG"},
    {FAKE_VANISH_MID_FRAME, 1, HELIX_CLIENT_WARNING, "middle"},
};

GST_START_TEST (test_bad_frame)
{
  FakeConfig config = good;
  HelixFrame frame, held = {.pool = NULL};
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

/* The server is told what it did wrong. */
static void
expect_protocol_error (int server)
{
  struct helix_error error = {0};
  gchar text[HELIX_MAX_TEXT + 1];
  struct helix_reader reader;
  const char *why;

  helix_reader_init (&reader);
  while (error.code == 0) {
    uint8_t *ptr;
    size_t len;
    ssize_t n;

    helix_reader_want (&reader, &ptr, &len);
    n = helix_recv (server, ptr, len, NULL);
    fail_unless (n > 0, "no ERROR came");
    if (helix_reader_got (&reader, (size_t) n) == HELIX_READER_MESSAGE
        && reader.header.type == HELIX_ERROR)
      fail_unless (helix_unpack_error (
          &error, text, reader.payload, reader.payload_size, &why));
  }
  fail_unless_equals_int (error.code, HELIX_ERROR_PROTOCOL);
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
  expect_protocol_error (pair[1]);
  helix_frame_connection_free (connection);
  helix_waiter_clear (&waiter);
  close (pair[1]);
}
GST_END_TEST;

static Suite *
helix_frame_client_hostile_suite (void)
{
  Suite *s = suite_create ("helix-frame-client-hostile");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_set_timeout (tc, 60);
  tcase_add_loop_test (tc, test_bad_start, 0, G_N_ELEMENTS (bad_starts));
  tcase_add_loop_test (tc, test_bad_message, 0, G_N_ELEMENTS (bad_messages));
  tcase_add_test (tc, test_stray_descriptor);
  tcase_add_loop_test (tc, test_bad_frame, 0, G_N_ELEMENTS (bad_frames));
  return s;
}

GST_CHECK_MAIN (helix_frame_client_hostile);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How a connection lives and ends: deadlines, signs of life, clients that
 * talk and do not listen.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gst/check/gstcheck.h>

#include "helix-shim-client.h"
#include "helix-test-client.h"
#include "helix-test-fds.h"

/* PING comes after 2 s of silence, and not before: the one deadline that is
 * waited for, to see that the timer is set. */
GST_START_TEST (test_ping_when_idle)
{
  uint64_t begin = helix_now_ns (), took;

  client->keep_pings = true;
  test_client_expect (client, HELIX_PING, 0);
  took = helix_now_ns () - begin;
  fail_unless (took > 1500000000u, "after %d ms", (int) (took / 1000000));
}

GST_END_TEST;

/* Asks and asks, and reads no answer: what is queued for it is bounded, and
 * its neighbour notices nothing. */
GST_START_TEST (test_talks_and_does_not_listen)
{
  struct test_client *deaf = test_client_new (test);
  struct test_client *good = test_client_new (test);
  uint8_t ping[HELIX_MAX_MESSAGE];
  size_t size = helix_pack_empty (ping, HELIX_PING, 1), sent = 0;
  struct test_frame frame;

  test_client_subscribe (good, 1, 0, 0);
  test_client_skip (good, 1);
  test_client_settle (good);
  test_client_pause (deaf, true);
  for (int i = 0; i < 500000; i++) {
    ssize_t n = send (deaf->fd, ping, size, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (n < 0)
      break;
    sent += (size_t) n;
  }
  /* The shim stopped reading: the rest stayed in the client's own socket. */
  fail_unless (sent < 500000 * size);
  for (uint64_t i = 0; i < 20; i++) {
    test_draw_flush (test, 1, (struct helix_rect){0, 0, 9, 9});
    frame = test_client_frame (good, 1);
    fail_unless_equals_uint64 (frame.frame.sequence, i + 2);
    test_client_release (good, 1, &frame);
    test_client_settle (good);
  }
}

GST_END_TEST;

/* Either half may be closed. */
GST_START_TEST (test_half_closed)
{
  const int halves[] = {SHUT_WR, SHUT_RD, SHUT_RDWR};

  for (guint i = 0; i < G_N_ELEMENTS (halves); i++) {
    struct test_client *client = test_client_new (test);

    test_client_subscribe (client, 1, 0, 0);
    test_client_expect (client, HELIX_SCANOUT, 1);
    test_client_pause (client, true);
    fail_unless (shutdown (client->fd, halves[i]) == 0);
    for (int n = 0; n < 10; n++)
      test_draw_flush (test, 1, (struct helix_rect){0, 0, 9, 9});
    if (halves[i] != SHUT_RD)
      test_until (test, test_stats (test).clients == 0);
    test_client_free (client);
    test_until (test, test_stats (test).clients == 0);
  }
}

GST_END_TEST;

/* The peer goes in the middle of a message, of either direction. */
GST_START_TEST (test_gone_in_mid_message)
{
  uint8_t bytes[HELIX_MAX_MESSAGE];
  struct helix_subscribe request = {0, 0, 0, 1, 0, HELIX_SUBSCRIBE_CURSOR};
  size_t size = helix_pack_subscribe (bytes, 1, &request);
  struct test_client *client;

  for (size_t cut = 1; cut < size; cut++) {
    client = test_client_new (test);
    test_client_send (client, bytes, cut);
    test_client_free (client);
  }
  /* 8 MB of pixels on their way to a client that closes. */
  test_resource_new (test, 2, 1920, 1080);
  test_show (test, 0, 2);
  for (int i = 0; i < 10; i++) {
    client = test_client_new (test);
    test_client_subscribe (client, 1, 0, 0);
    test_client_expect (client, HELIX_POOL, 1);
    test_round (test, 20);
    test_client_free (client);
  }
  test_until (test, test_stats (test).clients == 0);
}

GST_END_TEST;

GST_START_TEST (test_server_says_bye)
{
  test_client_subscribe (client, 1, 0, 0);
  test_client_expect (client, HELIX_SCANOUT, 1);
  test_shim_stop (test);
  test_client_expect (client, HELIX_BYE, 0);
  test_client_expect_closed (client);
  /* The display goes on, without a client. */
  test_draw_flush (test, 1, (struct helix_rect){0, 0, 9, 9});
  fail_unless (helix_shim_idle (test->shim));
}

GST_END_TEST;

/* All clients together have a limit, whatever each of them may have. */
GST_START_TEST (test_memory_of_all)
{
  struct helix_shim_config config = {.slots = 2, .max_memory = 5 * 64 * 64 * 4};
  struct test_shim *test = test_shim_new (&config);
  struct test_client *client[3];

  test_resource_new (test, 1, 64, 64);
  test_show (test, 0, 1);
  for (int i = 0; i < 3; i++) {
    client[i] = test_client_new (test);
    test_client_subscribe (client[i], 1, 0, 0);
    if (i < 2)
      test_client_frame (client[i], 1);
  }
  test_client_expect_error (client[2], 1, HELIX_ERROR_NO_MEMORY, "no memory");
  /* When one has left there is room. */
  test_client_free (client[0]);
  do
    test_client_settle (client[2]);
  while (test_stats (test).clients > 2);
  test_client_subscribe (client[2], 1, 0, 0);
  test_client_frame (client[2], 1);
  test_shim_free (test);
}

GST_END_TEST;

/* One that reads may subscribe anew as often as it likes. */
GST_START_TEST (test_subscribes_and_reads)
{
  for (uint32_t i = 0; i < HELIX_SHIM_MAX_UNREAD_POOLS + 10; i++) {
    test_client_subscribe (client, 1, 0, 0);
    test_client_frame (client, 1);
  }
}

GST_END_TEST;

/* ---- both threads are this one, and time is what the test says ---- */

static struct helix_shim_client *one;
static int far; /* the client's end of the socket */

static void
say (const uint8_t *message, size_t size)
{
  struct iovec iov = {(void *) message, size};

  fail_unless_equals_int (helix_send (far, &iov, 1, -1), (ssize_t) size);
}

static void
say_subscribe (uint32_t slots)
{
  const struct helix_subscribe request = {0, 0, 0, 1, slots, 0};
  uint8_t bytes[HELIX_MAX_MESSAGE];

  say (bytes, helix_pack_subscribe (bytes, 1, &request));
}

/* What the client has not read yet, descriptors included, is gone. Returns the
 * type of the last message that begins a read. */
static uint8_t
read_all (void)
{
  uint8_t bytes[HELIX_MAX_CONTROL] = {0};
  ssize_t n;

  /* EPROTO: several descriptors at once; the bytes are read all the same. */
  do
    n = helix_recv (far, bytes, sizeof bytes, NULL);
  while (n > 0 || (n < 0 && errno == EPROTO));
  return bytes[4];
}

static void
setup_silent (void)
{
  int fds[2];

  test = test_shim_make (NULL, "/nowhere");
  test_resource_new (test, 1, 1920, 1080);
  test_show (test, 0, 1);
  test_socketpair (fds);
  one = helix_shim_client_new (test->shim, fds[0], 0);
  far = fds[1];
}

static void
setup_open (void)
{
  struct helix_hello hello = {.version_min = 1,
      .version_max = 1,
      .role = HELIX_ROLE_FRAMES,
      .features = HELIX_FEATURE_SHM};
  uint8_t bytes[HELIX_MAX_MESSAGE];

  setup_silent ();
  say (bytes, helix_pack_hello (bytes, &hello, "one"));
  helix_shim_client_turn (one);
  fail_unless (helix_shim_client_is_open (one));
}

static void
teardown_one (void)
{
  helix_shim_client_free (one);
  close (far);
  test_shim_free (test);
}

/* The two threads' turns after something has come. */
static void
take_turns (void)
{
  helix_shim_client_turn (one);
  for (int i = 0; i < 3; i++) {
    helix_shim_display_run (test->shim);
    helix_shim_client_run (one, helix_now_ns ());
  }
}

/* Half a header is no HELLO, and a PING neither. */
GST_START_TEST (test_no_hello)
{
  uint8_t bytes[HELIX_MAX_MESSAGE];
  uint64_t end = one->born_ns + HELIX_SHIM_HELLO_NS;

  say (bytes, helix_pack_empty (bytes, HELIX_PING, 0));
  say ((const uint8_t *) "HXFR", 4);
  helix_shim_client_turn (one);
  helix_shim_client_run (one, end - 1);
  fail_unless_equals_int (read_all (), HELIX_PONG);
  fail_unless_equals_uint64 (helix_shim_client_deadline (one), end);
  helix_shim_client_run (one, end);
  fail_unless_equals_int (read_all (), HELIX_ERROR);
  fail_unless (one->dead);
  fail_unless (test_logged (test, "no HELLO within 5 s"));
}

GST_END_TEST;

/* PING after 2 s of silence and again, and the end after 6. Any byte is a sign
 * of life. */
GST_START_TEST (test_signs_of_life)
{
  uint64_t heard = one->heard_ns;

  read_all ();
  for (uint64_t s = 2; s <= 4; s += 2) {
    helix_shim_client_run (one, heard + s * 1000000000u - 1);
    fail_unless_equals_int (read_all (), 0);
    helix_shim_client_run (one, heard + s * 1000000000u);
    fail_unless_equals_int (read_all (), HELIX_PING);
  }
  say ((const uint8_t *) "H", 1);
  helix_shim_client_turn (one);
  fail_unless (one->heard_ns > heard);
  heard = one->heard_ns;
  helix_shim_client_run (one, heard + HELIX_SHIM_DEAD_NS - 1);
  fail_if (one->dead);
  helix_shim_client_run (one, heard + HELIX_SHIM_DEAD_NS);
  fail_unless (one->dead);
  fail_unless (test_logged (test, "not a byte in 6 s"));
}

GST_END_TEST;

/* Each POOL in its socket keeps a pool's memory: there is an end to that,
 * where the system tells what waits there. */
GST_START_TEST (test_subscribes_and_does_not_read)
{
  uint8_t bytes[HELIX_MAX_MESSAGE];
  struct helix_ping ping = {1};
  uint32_t pools;
  bool tells;

  test_resource_new (test, 2, 64, 48);
  test_show (test, 0, 2);
  take_turns ();
  tells = helix_send_queue (one->out.fd) > 0;
  for (uint32_t i = 0; i < HELIX_SHIM_MAX_UNREAD_POOLS + 10; i++) {
    say_subscribe (0);
    take_turns ();
  }
  pools = one->last_pool;
  fail_unless_equals_int (test->reads, pools);
  fail_unless_equals_int (
      pools, HELIX_SHIM_MAX_UNREAD_POOLS + (tells ? 0 : 10));
  /* Nothing is lost: when it has read, what it wants now is served. */
  read_all ();
  say (bytes, helix_pack_ping (bytes, &ping));
  take_turns ();
  fail_unless_equals_int (one->last_pool, pools + tells);
  fail_unless_equals_int (test->reads, one->last_pool);
}

GST_END_TEST;

/* However large a client's slots are: at each of its turns the io thread gives
 * them a part of their pages, and then serves the others. */
GST_START_TEST (test_large_pool)
{
  struct helix_shim_subscription **channel = &one->channel[0];
  const uint64_t total = 4 * (uint64_t) (1920 * 1080 * 4);
  uint64_t before = 0;
  guint turns = 0;

  say_subscribe (4);
  helix_shim_client_turn (one);
  while (one->last_pool == 0) {
    uint64_t filled;

    helix_shim_display_run (test->shim);
    helix_shim_client_run (one, helix_now_ns ());
    filled = (*channel)->coming ? (*channel)->coming->filled : total;
    fail_unless (filled - before <= HELIX_SHIM_FILL_AT_ONCE);
    before = filled;
    /* What the client says meanwhile brings nothing forward. */
    helix_shim_client_turn (one);
    fail_unless (one->last_pool || !(*channel)->coming
        || (*channel)->coming->filled == before);
    fail_unless (turns++ < 100);
  }
  fail_unless (turns >= total / HELIX_SHIM_FILL_AT_ONCE);
  /* One that leaves before all of it is there leaves nothing. */
  say_subscribe (8);
  helix_shim_client_turn (one);
  helix_shim_display_run (test->shim);
  helix_shim_client_run (one, helix_now_ns ());
  fail_unless ((*channel)->coming != NULL);
}

GST_END_TEST;

/* The shim reads from all clients when there are too many of them: from one
 * that ends, or that does not take its answers, it may not. */
GST_START_TEST (test_closing_is_not_read)
{
  bool full = __i__ == 1;
  int small = 1;

  /* What the shim says stays in its queue. */
  setsockopt (one->out.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
  do {
    helix_shim_client_error (one, 0, HELIX_ERROR_LIMIT, 0, "much to read");
    helix_shim_client_run (one, helix_now_ns ());
  } while (full ? !helix_shim_client_is_full (one)
                : !helix_writer_pending (&one->out.writer));
  if (!full)
    helix_shim_client_error (one, 0, HELIX_ERROR_PROTOCOL, 0, "the end");
  fail_if (one->dead);
  say_subscribe (0);
  helix_shim_client_turn (one);
  fail_unless_equals_uint64 (test_stats (test).subscriptions, 0);
  fail_if (one->dead);
  /* That the client is gone is seen all the same. */
  close (far);
  helix_shim_client_turn (one);
  fail_unless (one->dead);
  far = -1;
}

GST_END_TEST;

/* ---- CURSORs that wait ---- */

/* On that many channels; all that this brings has been read. */
static void
subscribe_cursors (uint16_t channels)
{
  const struct helix_subscribe request = {
      0, 0, 0, 1, 0, HELIX_SUBSCRIBE_CURSOR};
  uint8_t bytes[HELIX_MAX_MESSAGE];

  test_resource_new (test, 2, 64, 48);
  test_show (test, 0, 2);
  for (uint16_t i = 1; i <= channels; i++)
    say (bytes, helix_pack_subscribe (bytes, i, &request));
  take_turns ();
  read_all ();
}

/* How much of what the shim says its socket takes. */
static void
set_room (int bytes)
{
  setsockopt (one->out.fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
}

/* A new shape at 10,10: 256 KiB if `size` is 256. */
static void
point (uint32_t size)
{
  static const uint8_t pixels[HELIX_MAX_CURSOR * HELIX_MAX_CURSOR * 4];
  const struct helix_cursor_shape shape = {size, size, 0, 0, pixels};

  helix_shim_display_cursor (test->shim, 0, true, 10, 10, &shape);
  helix_shim_client_run (one, helix_now_ns ());
}

/* Reads what is there. *type and *x are those of the last message and of the
 * last CURSOR; they stay as they are if there is none. */
static void
hear (struct helix_reader *reader, uint8_t *type, uint32_t *x)
{
  struct helix_cursor cursor;
  const char *why;
  uint8_t *at;
  size_t want;
  ssize_t n;

  while (true) {
    helix_reader_want (reader, &at, &want);
    n = helix_recv (far, at, want, NULL);
    if (n <= 0)
      break;
    if (helix_reader_got (reader, (size_t) n) != HELIX_READER_MESSAGE)
      continue;
    *type = reader->header.type;
    if (*type != HELIX_CURSOR)
      continue;
    fail_unless (helix_unpack_cursor (&cursor, reader->payload,
        reader->payload_size, reader->payload_size + reader->bulk_size, &why));
    *x = cursor.x;
  }
}

/* The cursor rests while a CURSOR waits for the socket: when that has left, the
 * newest position follows, without another reason for a turn. */
GST_START_TEST (test_last_move)
{
  struct helix_reader reader;
  uint32_t x = 0;
  uint8_t type;

  subscribe_cursors (1);
  set_room (1);
  point (HELIX_MAX_CURSOR);
  fail_unless (helix_writer_pending (&one->out.writer));
  helix_shim_display_cursor (test->shim, 0, true, 777, 10, NULL);
  helix_shim_client_run (one, helix_now_ns ());

  helix_reader_init (&reader);
  while (one->watching_write) {
    hear (&reader, &type, &x);
    helix_shim_client_turn (one);
  }
  hear (&reader, &type, &x);
  fail_unless_equals_int (x, 777);
}

GST_END_TEST;

/* ERROR and BYE are the last that a client hears. */
GST_START_TEST (test_nothing_after_the_end)
{
  bool dismiss = __i__ == 1;
  struct helix_reader reader;
  uint8_t type = 0;
  uint32_t x;

  subscribe_cursors (3);
  set_room (1);
  point (64);
  fail_unless (one->out.writer.count[HELIX_WRITER_CURSOR] >= 2);
  set_room (200000);
  if (dismiss) {
    helix_shim_client_dismiss (one, "the end");
  } else {
    helix_shim_client_error (one, 0, HELIX_ERROR_PROTOCOL, 0, "the end");
    helix_shim_client_turn (one);
  }
  fail_unless (one->dead);
  helix_reader_init (&reader);
  hear (&reader, &type, &x);
  fail_unless_equals_int (type, dismiss ? HELIX_BYE : HELIX_ERROR);
}

GST_END_TEST;

/* ---- FRAMEs that the display thread sends ---- */

static struct helix_reader ear;

/* What has come since the last call, a letter for each message: Scanout, Pool,
 * Frame, Cursor, Bye, Error, another (?). */
static const char *
heard (void)
{
  static const uint8_t types[] = {HELIX_SCANOUT, HELIX_POOL, HELIX_FRAME,
      HELIX_CURSOR, HELIX_BYE, HELIX_ERROR};
  static char letters[256];
  size_t want, n = 0;
  uint8_t *at;
  ssize_t got;

  memset (letters, 0, sizeof letters);
  while (true) {
    const uint8_t *type;
    int fd = -1;

    helix_reader_want (&ear, &at, &want);
    got = helix_recv (far, at, want, &fd);
    helix_close (fd);
    if (got <= 0)
      return letters;
    if (helix_reader_got (&ear, (size_t) got) != HELIX_READER_MESSAGE)
      continue;
    type = memchr (types, ear.header.type, sizeof types);
    fail_unless (n + 1 < sizeof letters);
    letters[n++] = type ? "SPFCBE"[type - types] : '?';
  }
}

static void
draw (void)
{
  test_draw_flush (test, 2, (struct helix_rect){0, 0, 8, 8});
}

/* It has the first frame of resource 2, and three slots. */
static void
setup_watching (void)
{
  setup_open ();
  test_resource_new (test, 2, 64, 48);
  test_show (test, 0, 2);
  say_subscribe (3);
  take_turns ();
  read_all ();
  helix_reader_init (&ear);
}

/* No turn of the io thread is needed, but one may come. */
GST_START_TEST (test_frame_from_the_flush)
{
  draw ();
  fail_unless_equals_string (heard (), "F");
  helix_shim_client_run (one, helix_now_ns ());
  helix_shim_client_turn (one);
  fail_unless_equals_string (heard (), "");
  draw ();
  fail_unless_equals_string (heard (), "F");
  fail_unless_equals_uint64 (test_stats (test).frames, 3);
  fail_unless_equals_uint64 (one->out.frames, 3);
}

GST_END_TEST;

/* The display thread does not wait for the io thread: while that deals with the
 * client, the frame is left to it. */
GST_START_TEST (test_frame_in_the_others_turn)
{
  pthread_mutex_lock (&one->out.turn);
  draw ();
  fail_unless_equals_string (heard (), "");
  pthread_mutex_unlock (&one->out.turn);
  draw (); /* nor does it overtake the one that was left */
  fail_unless_equals_string (heard (), "");
  helix_shim_client_run (one, helix_now_ns ());
  fail_unless_equals_string (heard (), "FF");
}

GST_END_TEST;

/* What the socket does not take at once, the io thread sends. */
GST_START_TEST (test_frame_into_a_full_socket)
{
  uint8_t ping[HELIX_MAX_MESSAGE];
  struct iovec iov = {ping, helix_pack_empty (ping, HELIX_PING, 0)};
  const char *all;

  set_room (1);
  while (helix_send (one->out.fd, &iov, 1, -1) > 0)
    ;
  draw ();
  draw ();
  fail_unless (helix_writer_pending (&one->out.writer));
  all = heard ();
  fail_unless (strlen (all) > 0 && strspn (all, "?") == strlen (all));
  helix_shim_client_run (one, helix_now_ns ());
  fail_unless_equals_string (heard (), "FF");
  fail_if (helix_writer_pending (&one->out.writer));
}

GST_END_TEST;

/* What the client has to know before a frame goes before it. */
GST_START_TEST (test_frame_behind_news)
{
  const struct helix_shim_fault fault = {
      HELIX_ERROR_READBACK, HELIX_SUBSCRIBE, 0, "the test says so", false};

  /* It fits the memory that there is, */
  test_resource_new (test, 3, 32, 24);
  test_show (test, 0, 3);
  helix_shim_display_run (test->shim);
  fail_unless_equals_string (heard (), "");
  helix_shim_client_run (one, helix_now_ns ());
  fail_unless_equals_string (heard (), "SSF");
  /* or it does not: when there is some, the display thread sends again. */
  test_resource_new (test, 4, 128, 96);
  test_show (test, 0, 4);
  helix_shim_client_run (one, helix_now_ns ());
  fail_unless_equals_string (heard (), "SSP");
  helix_shim_display_run (test->shim);
  fail_unless_equals_string (heard (), "F");

  helix_shim_subscription_fail (one->channel[0], fault);
  test_draw_flush (test, 4, (struct helix_rect){0, 0, 8, 8});
  fail_unless_equals_string (heard (), "");
  helix_shim_client_run (one, helix_now_ns ());
  fail_unless_equals_string (heard (), "EF");
}

GST_END_TEST;

/* Nothing comes behind the last message, nor is anything done with a client
 * that is gone; it counts as lost, whichever way that is learned. */
GST_START_TEST (test_no_frame_after_the_end)
{
  if (__i__ == 0) {
    helix_shim_client_dismiss (one, "the end");
    draw ();
    fail_unless_equals_string (heard (), "B");
    fail_unless_equals_uint64 (test_stats (test).frames, 1);
    return;
  }
  close (far);
  far = -1;
  if (__i__ == 1) {
    draw ();
    fail_if (one->dead); /* the io thread's to decide */
    helix_shim_client_run (one, helix_now_ns ());
  } else {
    helix_shim_client_dismiss (one, "the end");
  }
  fail_unless (one->dead);
  fail_unless_equals_uint64 (test_stats (test).lost, 1);
}

GST_END_TEST;

/* The first lines are told also when the clock has just begun to run. */
GST_START_TEST (test_log_begins_full)
{
  fail_unless_equals_int (test->shim->log_bucket.left, HELIX_SHIM_LOG_BURST);
  fail_unless (test->shim->log_bucket.time_ns > 0);
}

GST_END_TEST;

static Suite *
peer_suite (void)
{
  Suite *suite = suite_create ("helix-shim-peer");
  TCase *tc = test_case (suite, test_setup_client);

  tcase_add_test (tc, test_ping_when_idle);
  tcase_add_test (tc, test_server_says_bye);
  tcase_add_test (tc, test_subscribes_and_reads);
  tc = test_case (suite, test_setup);
  tcase_add_test (tc, test_talks_and_does_not_listen);
  tcase_add_test (tc, test_half_closed);
  tcase_add_test (tc, test_gone_in_mid_message);
  tc = test_case (suite, NULL);
  tcase_add_test (tc, test_memory_of_all);
  tc = test_case (suite, NULL);
  tcase_add_checked_fixture (tc, setup_silent, teardown_one);
  tcase_add_test (tc, test_no_hello);
  tcase_add_test (tc, test_log_begins_full);
  tc = test_case (suite, NULL);
  tcase_add_checked_fixture (tc, setup_open, teardown_one);
  tcase_add_test (tc, test_signs_of_life);
  tcase_add_test (tc, test_subscribes_and_does_not_read);
  tcase_add_test (tc, test_large_pool);
  tcase_add_loop_test (tc, test_closing_is_not_read, 0, 2);
  tcase_add_test (tc, test_last_move);
  tcase_add_loop_test (tc, test_nothing_after_the_end, 0, 2);
  tc = test_case (suite, NULL);
  tcase_add_checked_fixture (tc, setup_watching, teardown_one);
  tcase_add_test (tc, test_frame_from_the_flush);
  tcase_add_test (tc, test_frame_in_the_others_turn);
  tcase_add_test (tc, test_frame_into_a_full_socket);
  tcase_add_test (tc, test_frame_behind_news);
  tcase_add_loop_test (tc, test_no_frame_after_the_end, 0, 3);
  return suite;
}

GST_CHECK_MAIN (peer);

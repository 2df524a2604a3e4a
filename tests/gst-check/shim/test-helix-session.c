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

#define SECOND 1000000000ull

static struct test_shim *
new_shim (void)
{
  struct test_shim *test = test_shim_new (NULL);

  test_resource_new (test, 1, 64, 48);
  test_show (test, 0, 1);
  return test;
}

static bool
nobody_left (void *opaque)
{
  return test_stats (opaque).clients == 0;
}

GST_START_TEST (test_no_hello)
{
  struct test_shim *test = new_shim ();
  struct test_client *silent = test_client_connect (test);
  struct test_client *talker = test_client_connect (test);
  uint64_t begin = helix_now_ns (), took;

  /* Half a header, and PINGs without end, are no HELLO. */
  test_client_send (silent, "HXFR", 4);
  test_client_send_raw (talker, HELIX_PING, 0, NULL, 0);
  test_client_expect_error (silent, 0, HELIX_ERROR_TIMEOUT, "no HELLO");
  took = helix_now_ns () - begin;
  test_client_expect_error (talker, 0, HELIX_ERROR_TIMEOUT, "no HELLO");
  test_client_expect_closed (silent);
  test_client_expect_closed (talker);
  fail_unless (took > 4 * SECOND);
  test_until (test, nobody_left, test, "the end of both");
  test_client_free (silent);
  test_client_free (talker);
  test_shim_free (test);
}

GST_END_TEST;

/* One answers PING and stays, the other does not and goes. */
GST_START_TEST (test_signs_of_life)
{
  struct test_shim *test = new_shim ();
  struct test_client *good = test_client_new (test);
  struct test_client *dead = test_client_new (test);
  uint64_t begin = helix_now_ns (), took;

  dead->mute = true;
  test_client_expect_error (dead, 0, HELIX_ERROR_TIMEOUT, "not a byte");
  test_client_expect_closed (dead);
  took = helix_now_ns () - begin;
  fail_unless (took > 5 * SECOND);
  fail_if (good->closed);
  test_client_settle (good);
  test_client_free (good);
  test_client_free (dead);
  test_shim_free (test);
}

GST_END_TEST;

/* PING comes after 2 s of silence, and not before. */
GST_START_TEST (test_ping_when_idle)
{
  struct test_shim *test = new_shim ();
  struct test_client *client = test_client_new (test);
  uint64_t begin = helix_now_ns (), took;

  client->keep_pings = true;
  test_message_free (test_client_expect (client, HELIX_PING, 0));
  took = helix_now_ns () - begin;
  fail_unless (took > 1500000000u, "after %d ms", (int) (took / 1000000));
  test_client_free (client);
  test_shim_free (test);
}

GST_END_TEST;

/* Asks and asks, and reads no answer: what is queued for it is bounded, it
 * is cut off when its time is up, and its neighbour notices nothing. */
GST_START_TEST (test_talks_and_does_not_listen)
{
  struct test_shim *test = new_shim ();
  struct test_client *rude = test_client_new (test);
  struct test_client *good = test_client_new (test);
  uint8_t ping[HELIX_MAX_MESSAGE];
  size_t size = helix_pack_empty (ping, HELIX_PING, 1), sent = 0;
  struct test_frame frame;

  test_client_subscribe (good, 1, 0, 0);
  frame = test_client_frame (good, 1);
  test_client_release (good, 1, &frame);
  test_frame_done (&frame);
  test_client_settle (good);
  test_client_pause (rude, true);
  for (int i = 0; i < 500000; i++) {
    ssize_t n = send (rude->fd, ping, size, MSG_DONTWAIT | MSG_NOSIGNAL);

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
    test_frame_done (&frame);
    test_client_settle (good);
  }
  test_until_logged (test, "not a byte");
  test_client_free (rude);
  test_client_free (good);
  test_shim_free (test);
}

GST_END_TEST;

/* Either half may be closed. */
GST_START_TEST (test_half_closed)
{
  struct test_shim *test = new_shim ();
  const int halves[] = {SHUT_WR, SHUT_RD, SHUT_RDWR};

  for (guint i = 0; i < G_N_ELEMENTS (halves); i++) {
    struct test_client *client = test_client_new (test);

    test_client_subscribe (client, 1, 0, 0);
    test_message_free (test_client_expect (client, HELIX_SCANOUT, 1));
    test_client_pause (client, true);
    fail_unless (shutdown (client->fd, halves[i]) == 0);
    for (int n = 0; n < 10; n++)
      test_draw_flush (test, 1, (struct helix_rect){0, 0, 9, 9});
    if (halves[i] != SHUT_RD)
      test_until (test, nobody_left, test, "the half closed one to end");
    test_client_free (client);
    test_until (test, nobody_left, test, "the closed one to end");
  }
  test_shim_free (test);
}

GST_END_TEST;

/* The peer goes in the middle of a message, of either direction. */
GST_START_TEST (test_gone_in_mid_message)
{
  struct test_shim *test = new_shim ();
  uint8_t bytes[HELIX_MAX_MESSAGE];
  struct helix_subscribe wish = {0, 0, 0, 1, 0, HELIX_SUBSCRIBE_CURSOR};
  size_t size = helix_pack_subscribe (bytes, 1, &wish);
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
    test_message_free (test_client_expect (client, HELIX_POOL, 1));
    test_round (test, 20);
    test_client_free (client);
  }
  test_until (test, nobody_left, test, "the end of all");
  test_shim_free (test);
}

GST_END_TEST;

GST_START_TEST (test_server_says_bye)
{
  struct test_shim *test = new_shim ();
  struct test_client *client = test_client_new (test);

  test_client_subscribe (client, 1, 0, 0);
  test_message_free (test_client_expect (client, HELIX_SCANOUT, 1));
  test_shim_stop (test);
  test_message_free (test_client_expect (client, HELIX_BYE, 0));
  test_client_expect_closed (client);
  /* The display goes on, for nobody. */
  test_draw_flush (test, 1, (struct helix_rect){0, 0, 9, 9});
  fail_unless (helix_shim_idle (test->shim));
  test_client_free (client);
  test_shim_free (test);
}

GST_END_TEST;

/* What the client has not read yet, descriptors included, is gone. */
static void
read_all (int fd)
{
  uint8_t bytes[HELIX_MAX_CONTROL];
  ssize_t n;

  /* EPROTO: several descriptors at once; the bytes are read all the same. */
  do
    n = helix_recv (fd, bytes, sizeof bytes, NULL);
  while (n > 0 || (n < 0 && errno == EPROTO));
}

static void
say (int fd, const uint8_t *message, size_t size)
{
  struct iovec iov = {(void *) message, size};

  fail_unless_equals_int (helix_send (fd, &iov, 1, -1), (ssize_t) size);
}

/* The two threads' turns after something has come, in this one thread. */
static void
take_turns (struct test_shim *test, struct helix_shim_client *client)
{
  helix_shim_peer_read (&client->peer);
  for (int i = 0; i < 3; i++) {
    helix_shim_display_run (test->shim);
    helix_shim_client_run (client, helix_now_ns ());
  }
}

/* Each POOL in its socket keeps a pool's memory: there is an end to that,
 * where the system tells what waits there. */
GST_START_TEST (test_subscribes_and_does_not_read)
{
  struct test_shim *test = test_shim_make (NULL, "/nowhere");
  struct helix_subscribe wish = {0, 0, 0, 1, 0, 0};
  uint8_t bytes[HELIX_MAX_MESSAGE];
  struct helix_hello hello = {.version_min = 1,
      .version_max = 1,
      .role = HELIX_ROLE_FRAMES,
      .features = HELIX_FEATURE_SHM};
  struct helix_ping ping = {1};
  struct helix_shim_client *client;
  uint32_t pools;
  bool tells;
  int fds[2];

  test_resource_new (test, 1, 64, 48);
  test_show (test, 0, 1);
  fail_unless_equals_int (helix_socketpair (fds), 0);
  client = helix_shim_client_new (test->shim, fds[0], 0);
  say (fds[1], bytes, helix_pack_hello (bytes, &hello, "rude"));
  take_turns (test, client);
  tells = helix_send_queue (fds[0]) > 0;
  for (uint32_t i = 0; i < HELIX_SHIM_MAX_UNREAD_POOLS + 10; i++) {
    say (fds[1], bytes, helix_pack_subscribe (bytes, 1, &wish));
    take_turns (test, client);
  }
  pools = client->last_pool;
  fail_unless_equals_int (test->reads, pools);
  fail_unless_equals_int (
      pools, HELIX_SHIM_MAX_UNREAD_POOLS + (tells ? 0 : 10));
  /* Nothing is lost: when it has read, what it wants now is served. */
  read_all (fds[1]);
  say (fds[1], bytes, helix_pack_ping (bytes, &ping));
  take_turns (test, client);
  fail_unless_equals_int (client->last_pool, pools + tells);
  fail_unless_equals_int (test->reads, client->last_pool);
  helix_shim_client_free (client);
  close (fds[1]);
  test_shim_free (test);
}

GST_END_TEST;

/* However large a client's slots are: at each of its turns the io thread gives
 * them a part of their pages, and then serves the others. */
GST_START_TEST (test_large_pool)
{
  struct test_shim *test = test_shim_make (NULL, "/nowhere");
  struct helix_subscribe wish = {0, 0, 0, 1, 4, 0};
  struct helix_hello hello = {.version_min = 1,
      .version_max = 1,
      .role = HELIX_ROLE_FRAMES,
      .features = HELIX_FEATURE_SHM};
  uint8_t bytes[HELIX_MAX_MESSAGE];
  struct helix_shim_client *client;
  uint64_t total, before = 0;
  guint turns = 0;
  int fds[2];

  test_resource_new (test, 1, 1920, 1080);
  test_show (test, 0, 1);
  fail_unless_equals_int (helix_socketpair (fds), 0);
  client = helix_shim_client_new (test->shim, fds[0], 0);
  say (fds[1], bytes, helix_pack_hello (bytes, &hello, "large"));
  say (fds[1], bytes, helix_pack_subscribe (bytes, 1, &wish));
  helix_shim_peer_read (&client->peer);
  total = 4 * (uint64_t) (1920 * 1080 * 4);
  while (client->last_pool == 0) {
    uint64_t filled;

    helix_shim_display_run (test->shim);
    helix_shim_client_run (client, helix_now_ns ());
    filled =
        client->channel[0].coming ? client->channel[0].coming->filled : total;
    fail_unless (filled - before <= HELIX_SHIM_FILL_AT_ONCE);
    before = filled;
    /* What the client says meanwhile brings nothing forward. */
    helix_shim_peer_read (&client->peer);
    fail_unless (client->last_pool || !client->channel[0].coming
        || client->channel[0].coming->filled == before);
    fail_unless (turns++ < 100);
  }
  fail_unless (turns >= total / HELIX_SHIM_FILL_AT_ONCE);
  /* One that leaves before all of it is there leaves nothing. */
  wish.slots = 8;
  say (fds[1], bytes, helix_pack_subscribe (bytes, 1, &wish));
  helix_shim_peer_read (&client->peer);
  helix_shim_display_run (test->shim);
  helix_shim_client_run (client, helix_now_ns ());
  fail_unless (client->channel[0].coming != NULL);
  helix_shim_client_free (client);
  close (fds[1]);
  test_shim_free (test);
}

GST_END_TEST;

/* All clients together have a limit, whatever each of them may have. */
GST_START_TEST (test_memory_of_all)
{
  struct helix_shim_config config = {.name = "test-shim",
      .scanouts = 1,
      .scanout_mask = 1,
      .slots = 2,
      .max_clients = 4,
      .max_memory = 5 * 64 * 64 * 4};
  struct test_shim *test = test_shim_new (&config);
  struct test_client *client[3];
  struct test_frame frame;

  test_resource_new (test, 1, 64, 64);
  test_show (test, 0, 1);
  for (int i = 0; i < 3; i++) {
    client[i] = test_client_new (test);
    test_client_subscribe (client[i], 1, 0, 0);
    if (i < 2) {
      frame = test_client_frame (client[i], 1);
      test_frame_done (&frame);
    }
  }
  test_client_expect_error (client[2], 1, HELIX_ERROR_NO_MEMORY, "no memory");
  /* When one has left there is room. */
  test_client_free (client[0]);
  do
    test_client_settle (client[2]);
  while (test_stats (test).clients > 2);
  test_client_subscribe (client[2], 1, 0, 0);
  frame = test_client_frame (client[2], 1);
  test_frame_done (&frame);
  test_client_free (client[1]);
  test_client_free (client[2]);
  test_shim_free (test);
}

GST_END_TEST;

/* One that reads may subscribe anew as often as it likes. */
GST_START_TEST (test_subscribes_and_reads)
{
  struct test_shim *test = new_shim ();
  struct test_client *client = test_client_new (test);

  for (uint32_t i = 0; i < HELIX_SHIM_MAX_UNREAD_POOLS + 10; i++) {
    struct test_frame frame;

    test_client_subscribe (client, 1, 0, 0);
    frame = test_client_frame (client, 1);
    test_frame_done (&frame);
  }
  test_client_free (client);
  test_shim_free (test);
}

GST_END_TEST;

/* The shim reads from all sessions when there are too many of them: from one
 * that ends, or that does not take its answers, it may not. */
GST_START_TEST (test_closing_is_not_read)
{
  struct test_shim *test = test_shim_make (NULL, "/nowhere");
  struct helix_hello hello = {
      .version_min = 1, .version_max = 1, .role = HELIX_ROLE_FRAMES};
  struct helix_subscribe wish = {0, 0, 0, 1, 0, 0};
  uint8_t bytes[HELIX_MAX_MESSAGE];
  struct helix_shim_client *client;
  bool full = __i__ == 1;
  int fds[2], small = 1;

  fail_unless_equals_int (helix_socketpair (fds), 0);
  /* What the shim says stays in its outbox. */
  setsockopt (fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
  client = helix_shim_client_new (test->shim, fds[0], 0);
  say (fds[1], bytes, helix_pack_hello (bytes, &hello, "late"));
  helix_shim_peer_read (&client->peer);
  fail_unless (helix_shim_peer_is_open (&client->peer));
  do {
    helix_shim_peer_complain (
        &client->peer, 0, HELIX_ERROR_LIMIT, 0, "much to read");
    helix_shim_client_run (client, helix_now_ns ());
  } while (full ? !helix_shim_peer_is_full (&client->peer)
                : !helix_writer_pending (&client->peer.writer));
  if (!full)
    helix_shim_peer_fail (&client->peer, HELIX_ERROR_PROTOCOL, 0, "the end");
  fail_if (client->peer.dead);
  say (fds[1], bytes, helix_pack_subscribe (bytes, 1, &wish));
  helix_shim_peer_read (&client->peer);
  fail_unless_equals_uint64 (test_stats (test).subscriptions, 0);
  fail_if (client->peer.dead);
  /* That the client is gone is seen all the same. */
  close (fds[1]);
  helix_shim_peer_read (&client->peer);
  fail_unless (client->peer.dead);
  helix_shim_client_free (client);
  test_shim_free (test);
}

GST_END_TEST;

static Suite *
session_suite (void)
{
  Suite *suite = suite_create ("helix-session");
  TCase *tc = tcase_create ("session");

  suite_add_tcase (suite, tc);
  tcase_set_timeout (tc, 60);
  tcase_add_test (tc, test_no_hello);
  tcase_add_test (tc, test_signs_of_life);
  tcase_add_test (tc, test_ping_when_idle);
  tcase_add_test (tc, test_talks_and_does_not_listen);
  tcase_add_test (tc, test_half_closed);
  tcase_add_test (tc, test_gone_in_mid_message);
  tcase_add_test (tc, test_server_says_bye);
  tcase_add_test (tc, test_subscribes_and_does_not_read);
  tcase_add_test (tc, test_subscribes_and_reads);
  tcase_add_test (tc, test_large_pool);
  tcase_add_test (tc, test_memory_of_all);
  tcase_add_loop_test (tc, test_closing_is_not_read, 0, 2);
  return suite;
}

GST_CHECK_MAIN (session);

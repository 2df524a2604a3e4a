/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the shim answers to whatever a client says.
 */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gst/check/gstcheck.h>

#include "helix-test-client.h"

static struct test_shim *
new_shim (void)
{
  struct test_shim *test = test_shim_new (NULL);

  test_resource_new (test, 1, 64, 48);
  test_show (test, 0, 1);
  return test;
}

/* After `client` was thrown out, others are served as ever. */
static void
finish_with_another (struct test_shim *test, struct test_client *client)
{
  struct test_client *other = test_client_new (test);
  struct test_frame frame;

  test_client_subscribe (other, 1, 0, 0);
  frame = test_client_frame (other, 1);
  test_frame_done (&frame);
  test_client_free (other);
  test_client_free (client);
  test_shim_free (test);
}

GST_START_TEST (test_bare_ping_before_hello)
{
  struct test_shim *test = new_shim ();
  struct test_client *client = test_client_connect (test);
  const uint8_t ping[12] = {
      0x48, 0x58, 0x46, 0x52, 0x10, 0, 0x34, 0x12, 0, 0, 0, 0};
  struct test_message *pong;

  test_client_send (client, ping, sizeof ping);
  pong = test_client_next (client);
  fail_unless_equals_int (pong->header.type, HELIX_PONG);
  fail_unless_equals_int (pong->header.channel, 0x1234);
  fail_unless_equals_int (pong->header.size, 0);
  test_message_free (pong);
  test_client_free (client);
  test_shim_free (test);
}

GST_END_TEST;

GST_START_TEST (test_stamped_ping)
{
  struct test_shim *test = new_shim ();
  struct test_client *client = test_client_connect (test);
  uint8_t bytes[HELIX_MAX_MESSAGE];
  struct helix_ping ping = {helix_now_ns ()};
  struct helix_pong pong;
  struct test_message *message;
  const char *why = NULL;

  test_client_send (client, bytes, helix_pack_ping (bytes, &ping));
  message = test_client_expect (client, HELIX_PONG, 0);
  fail_unless (helix_unpack_pong (&pong, message->payload, message->size, &why),
      "%s", why);
  fail_unless_equals_uint64 (pong.ping_ns, ping.sent_ns);
  fail_unless (pong.received_ns >= ping.sent_ns);
  fail_unless (pong.sent_ns >= pong.received_ns);
  fail_unless (pong.sent_ns <= helix_now_ns ());
  test_message_free (message);
  test_client_free (client);
  test_shim_free (test);
}

GST_END_TEST;

/* Byte by byte, and several messages at once. */
GST_START_TEST (test_fragmentation)
{
  struct test_shim *test = new_shim ();
  struct test_client *client = test_client_connect (test);
  struct helix_hello hello = {1, 1, HELIX_ROLE_FRAMES, 0, 0, 7, 0, 0, 0};
  uint8_t bytes[3 * HELIX_MAX_MESSAGE];
  size_t size = helix_pack_hello (bytes, &hello, "slow");

  for (size_t i = 0; i < size; i++) {
    test_client_send (client, bytes + i, 1);
    test_round (test, 0);
  }
  test_message_free (test_client_expect (client, HELIX_WELCOME, 0));
  size = helix_pack_empty (bytes, HELIX_PING, 1);
  size += helix_pack_empty (bytes + size, HELIX_PING, 2);
  size += helix_pack_empty (bytes + size, HELIX_PING, 3);
  test_client_send (client, bytes, size);
  for (uint16_t i = 1; i <= 3; i++)
    test_message_free (test_client_expect (client, HELIX_PONG, i));
  test_client_free (client);
  test_shim_free (test);
}

GST_END_TEST;

GST_START_TEST (test_wrong_magic)
{
  struct test_shim *test = new_shim ();
  struct test_client *client = test_client_connect (test);

  test_client_send (client, "GET / HTTP/1.1\r\n\r\n", 18);
  test_client_expect_error (client, 0, HELIX_ERROR_PROTOCOL, "magic");
  test_client_expect_closed (client);
  test_until_logged (test, "magic");
  finish_with_another (test, client);
}

GST_END_TEST;

GST_START_TEST (test_versions)
{
  struct test_shim *test = new_shim ();
  struct test_client *client = test_client_connect (test);

  test_client_hello (client, 2, 9, HELIX_ROLE_FRAMES, 0);
  test_client_expect_error (client, 0, HELIX_ERROR_VERSION, "2 to 9");
  test_client_expect_closed (client);
  test_client_free (client);
  /* One from the future that still speaks ours. */
  client = test_client_connect (test);
  test_client_hello (client, 1, 9, HELIX_ROLE_FRAMES, 0xffffffff);
  test_message_free (test_client_expect (client, HELIX_WELCOME, 0));
  finish_with_another (test, client);
}

GST_END_TEST;

GST_START_TEST (test_wrong_role)
{
  struct test_shim *test = new_shim ();
  struct test_client *client = test_client_connect (test);

  test_client_hello (client, 1, 1, HELIX_ROLE_STREAM, 0);
  test_client_expect_error (client, 0, HELIX_ERROR_ROLE, "frame protocol");
  test_client_expect_closed (client);
  finish_with_another (test, client);
}

GST_END_TEST;

GST_START_TEST (test_hello_twice)
{
  struct test_shim *test = new_shim ();
  struct test_client *client = test_client_new (test);

  test_client_hello (client, 1, 1, HELIX_ROLE_FRAMES, 0);
  test_client_expect_error (client, 0, HELIX_ERROR_PROTOCOL, "twice");
  test_client_expect_closed (client);
  finish_with_another (test, client);
}

GST_END_TEST;

GST_START_TEST (test_before_hello)
{
  const uint8_t types[] = {HELIX_SUBSCRIBE, HELIX_UNSUBSCRIBE, HELIX_RELEASE};
  struct test_shim *test = new_shim ();
  struct test_client *client;

  for (guint i = 0; i < G_N_ELEMENTS (types); i++) {
    uint8_t zero[24] = {0};

    client = test_client_connect (test);
    test_client_send_raw (client, types[i], 1, zero, sizeof zero);
    test_client_expect_error (client, 0, HELIX_ERROR_PROTOCOL, "before HELLO");
    test_client_expect_closed (client);
    test_client_free (client);
  }
  test_shim_free (test);
}

GST_END_TEST;

/* The old dialect and the future: answered, skipped, and life goes on. */
GST_START_TEST (test_unsupported_types)
{
  const uint8_t types[] = {0x01, 0x02, 0x03, 0x04, 0x05, 0x20, 0x21, 0x22, 0x30,
      0x31, 0x56, 0x57, 0x6f, 0xc0, 0x00};
  struct test_shim *test = new_shim ();
  struct test_client *client = test_client_connect (test);

  for (int open = 0; open < 2; open++) {
    for (guint i = 0; i < G_N_ELEMENTS (types); i++) {
      uint8_t payload[100] = {0x48, 0x58};

      test_client_send_raw (client, types[i], 5, payload, sizeof payload);
      test_client_expect_error (client, 5, HELIX_ERROR_UNSUPPORTED, "");
    }
    if (!open) {
      test_client_hello (client, 1, 1, HELIX_ROLE_FRAMES, 0);
      test_message_free (test_client_expect (client, HELIX_WELCOME, 0));
    }
  }
  finish_with_another (test, client);
}

GST_END_TEST;

/* What only servers say, and what earlier clients asked for: nothing of it is
 * done, and life goes on. */
GST_START_TEST (test_what_is_not_done)
{
  const uint8_t types[] = {HELIX_WELCOME, HELIX_SCANOUT, HELIX_POOL,
      HELIX_FRAME, HELIX_CAPS, HELIX_KEYFRAME};
  const struct helix_subscribe subscribe = {
      0, 0, 0, 1, 0, HELIX_SUBSCRIBE_INLINE};
  struct test_shim *test = new_shim ();
  struct test_client *client = test_client_new (test);

  for (guint i = 0; i < G_N_ELEMENTS (types); i++) {
    uint8_t zero[80] = {0};

    test_client_send_raw (client, types[i], 1, zero, sizeof zero);
    test_client_expect_error (client, 1, HELIX_ERROR_UNSUPPORTED, "");
  }
  test_client_subscribe_with (client, 1, &subscribe);
  test_client_expect_error (
      client, 1, HELIX_ERROR_UNSUPPORTED, "in shared memory only");
  test_client_free (client);
  client = test_client_connect (test);
  test_client_hello (client, 1, 1, HELIX_ROLE_FRAMES, 0);
  test_client_subscribe (client, 1, 0, 0);
  test_client_expect_error (
      client, 1, HELIX_ERROR_UNSUPPORTED, "in shared memory only");
  finish_with_another (test, client);
}

GST_END_TEST;

/* Truncated, oversized and senseless payloads end that connection only. */
GST_START_TEST (test_malformed)
{
  const struct {
    uint8_t type;
    uint32_t size;
  } bad[] = {{HELIX_SUBSCRIBE, 0}, {HELIX_SUBSCRIBE, 23}, {HELIX_RELEASE, 7},
      {HELIX_PING, 3}, {HELIX_PONG, 23}, {HELIX_SUBSCRIBE, 4096},
      {HELIX_ERROR, 2}, {HELIX_BYE, 3}};
  struct test_shim *test = new_shim ();
  struct test_client *client;
  struct test_message *message;
  char text[HELIX_MAX_TEXT + 1];
  struct helix_error error;
  const char *why;

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    uint8_t zero[4096] = {0};

    client = test_client_new (test);
    test_client_send_raw (client, bad[i].type, 1, zero, bad[i].size);
    test_client_expect_error (client, 0, HELIX_ERROR_PROTOCOL, "");
    test_client_expect_closed (client);
    test_client_free (client);
  }
  /* A size beyond the limit is refused by its header alone. */
  client = test_client_new (test);
  test_client_send (
      client, "HXFR\x50\0\1\0\xff\xff\xff\xff", HELIX_HEADER_SIZE);
  message = test_client_expect (client, HELIX_ERROR, 0);
  fail_unless (
      helix_unpack_error (&error, text, message->payload, message->size, &why));
  fail_unless_equals_int (error.code, HELIX_ERROR_PROTOCOL);
  fail_unless_equals_int (error.refers, HELIX_SUBSCRIBE);
  test_message_free (message);
  test_client_expect_closed (client);
  finish_with_another (test, client);
}

GST_END_TEST;

GST_START_TEST (test_no_such_scanout)
{
  struct helix_shim_config config = {.name = "x",
      .scanouts = 4,
      .scanout_mask = 0x0b, /* not 2 */
      .slots = 2,
      .max_clients = 4};
  struct test_shim *test = test_shim_new (&config);
  struct test_client *client = test_client_new (test);

  test_client_subscribe (client, 1, 99, 0);
  test_client_expect_error (client, 1, HELIX_ERROR_NO_SCANOUT,
      "scanout 99 does not exist; this VM has scanouts 0-3");
  test_client_subscribe (client, 1, 255, 0);
  test_client_expect_error (client, 1, HELIX_ERROR_NO_SCANOUT, "255");
  test_client_subscribe (client, 1, 4, 0);
  test_client_expect_error (client, 1, HELIX_ERROR_NO_SCANOUT, "0-3");
  test_client_subscribe (client, 1, 2, 0);
  test_client_expect_error (client, 1, HELIX_ERROR_NO_SCANOUT, "0-1,3");
  /* The connection lives. */
  test_client_subscribe (client, 1, 3, 0);
  test_message_free (test_client_expect (client, HELIX_SCANOUT, 1));
  fail_unless_equals_int (client->scanout.flags, 0);
  test_client_free (client);
  test_shim_free (test);
}

GST_END_TEST;

/* Channel 0 tells of all scanouts, at once and at each change. */
GST_START_TEST (test_channel_0)
{
  struct test_shim *test = new_shim ();
  struct test_client *client = test_client_new (test);

  for (uint32_t i = 0; i < 4; i++) {
    test_message_free (test_client_expect (client, HELIX_SCANOUT, 0));
    fail_unless_equals_int (client->scanout.scanout, i);
    fail_unless_equals_int (
        client->scanout.flags, i ? 0 : HELIX_SCANOUT_ENABLED);
  }
  test_show (test, 2, 1);
  test_message_free (test_client_expect (client, HELIX_SCANOUT, 0));
  fail_unless_equals_int (client->scanout.scanout, 2);
  fail_unless_equals_int (client->scanout.width, 64);
  test_client_subscribe (client, 0, 0, 0);
  test_client_expect_error (client, 0, HELIX_ERROR_LIMIT, "channel 0");
  test_client_free (client);
  test_shim_free (test);
}

GST_END_TEST;

GST_START_TEST (test_channel_limit)
{
  struct test_shim *test = new_shim ();
  struct test_client *client = test_client_new (test);
  struct test_frame frame;

  for (uint16_t channel = 1; channel <= 16; channel++) {
    test_client_subscribe (client, channel, 0, 0);
    frame = test_client_frame (client, channel);
    test_frame_done (&frame);
  }
  test_client_subscribe (client, 17, 0, 0);
  test_client_expect_error (client, 17, HELIX_ERROR_LIMIT, "16");
  fail_unless_equals_uint64 (test_stats (test).subscriptions, 16);
  /* One in use is replaced, one given up makes room. */
  test_client_subscribe (client, 3, 0, 0);
  frame = test_client_frame (client, 3);
  fail_unless_equals_uint64 (frame.frame.sequence, 1);
  test_frame_done (&frame);
  test_client_send_raw (client, HELIX_UNSUBSCRIBE, 5, NULL, 0);
  test_client_send_raw (client, HELIX_UNSUBSCRIBE, 555, NULL, 0);
  test_client_subscribe (client, 17, 0, 0);
  frame = test_client_frame (client, 17);
  test_frame_done (&frame);
  fail_unless_equals_uint64 (test_stats (test).subscriptions, 16);
  test_client_free (client);
  test_shim_free (test);
}

GST_END_TEST;

GST_START_TEST (test_subscribe_flood)
{
  struct test_shim *test = new_shim ();
  struct test_client *client = test_client_new (test);
  bool limited = false;

  for (int i = 0; i < 400; i++)
    test_client_subscribe (client, 1, 0, 0);
  test_client_send_raw (client, HELIX_PING, 9, NULL, 0);
  for (;;) {
    struct test_message *message = test_client_next (client);
    uint8_t type = message->header.type;

    limited |= type == HELIX_ERROR;
    test_message_free (message);
    if (type == HELIX_PONG)
      break;
  }
  fail_unless (limited, "400 subscriptions in a row went through");
  fail_unless (test->reads < 200);
  finish_with_another (test, client);
}

GST_END_TEST;

static struct test_client *
holding_one (struct test_shim *test, struct test_frame *frame)
{
  struct test_client *client = test_client_new (test);

  test_client_subscribe (client, 1, 0, 0);
  *frame = test_client_frame (client, 1);
  return client;
}

GST_START_TEST (test_bad_releases)
{
  struct test_shim *test = new_shim ();
  struct test_frame frame;
  struct test_client *client;

  client = holding_one (test, &frame); /* twice */
  test_client_release (client, 1, &frame);
  test_client_release (client, 1, &frame);
  test_client_expect_error (client, 0, HELIX_ERROR_PROTOCOL, "not hold");
  test_client_expect_closed (client);
  test_frame_done (&frame);
  test_client_free (client);

  client = holding_one (test, &frame); /* another slot */
  test_client_release_slot (
      client, 1, frame.frame.pool_id, 1 - frame.frame.slot);
  test_client_expect_error (client, 0, HELIX_ERROR_PROTOCOL, "not hold");
  test_client_expect_closed (client);
  test_frame_done (&frame);
  test_client_free (client);

  client = holding_one (test, &frame); /* out of range */
  test_client_release_slot (client, 1, frame.frame.pool_id, 7);
  test_client_expect_error (client, 0, HELIX_ERROR_PROTOCOL, "");
  test_client_expect_closed (client);
  test_frame_done (&frame);
  test_client_free (client);

  client = holding_one (test, &frame); /* far out of range */
  test_client_release_slot (client, 1, frame.frame.pool_id, UINT32_MAX);
  test_client_expect_error (client, 0, HELIX_ERROR_PROTOCOL, "");
  test_client_expect_closed (client);
  test_frame_done (&frame);
  test_client_free (client);

  client = holding_one (test, &frame); /* a pool that never was */
  test_client_release_slot (client, 1, 77, 0);
  test_client_expect_error (client, 0, HELIX_ERROR_PROTOCOL, "77");
  test_client_expect_closed (client);
  test_frame_done (&frame);
  finish_with_another (test, client);
}

GST_END_TEST;

/* What races with a change at the shim's side is no crime. */
GST_START_TEST (test_late_releases)
{
  struct test_shim *test = new_shim ();
  struct test_frame frame;
  struct test_client *client = holding_one (test, &frame);
  uint32_t pool = frame.frame.pool_id, slot = frame.frame.slot;

  test_frame_done (&frame);
  test_resource_new (test, 2, 640, 480);
  test_show (test, 0, 2); /* a new pool */
  frame = test_client_frame (client, 1);
  fail_unless (frame.frame.pool_id > pool);
  test_client_release_slot (client, 1, pool, slot);
  test_client_release (client, 1, &frame);
  test_client_send_raw (client, HELIX_UNSUBSCRIBE, 1, NULL, 0);
  test_client_release (client, 1, &frame);
  test_frame_done (&frame);
  fail_unless_equals_int (test_client_settle (client), 0);
  finish_with_another (test, client);
}

GST_END_TEST;

GST_START_TEST (test_bye)
{
  struct test_shim *test = new_shim ();
  struct test_client *client = test_client_new (test);
  uint8_t bytes[HELIX_MAX_MESSAGE];

  test_client_send (
      client, bytes, helix_pack_bye (bytes, HELIX_BYE_CLOSING, "enough"));
  test_client_expect_closed (client);
  test_until_logged (test, "good-bye");
  fail_unless_equals_uint64 (test_stats (test).lost, 0);
  finish_with_another (test, client);
}

GST_END_TEST;

/* A client has no descriptor to give: whatever comes along is closed. */
GST_START_TEST (test_descriptor_from_client)
{
  struct test_shim *test = new_shim ();
  struct test_client *client = test_client_new (test);
  uint8_t bytes[HELIX_MAX_MESSAGE];
  struct iovec iov = {bytes, 0};
  guint before = test_open_fds ();

  for (int i = 0; i < 50; i++) {
    iov.iov_len = helix_pack_empty (bytes, HELIX_PING, 3);
    fail_unless (helix_send (client->fd, &iov, 1, STDIN_FILENO) > 0);
    test_message_free (test_client_expect (client, HELIX_PONG, 3));
  }
  fail_unless_equals_int (test_open_fds (), before);
  finish_with_another (test, client);
}

GST_END_TEST;

static Suite *
dispatch_suite (void)
{
  Suite *suite = suite_create ("helix-dispatch");
  TCase *tc = tcase_create ("dispatch");

  suite_add_tcase (suite, tc);
  tcase_set_timeout (tc, 60);
  tcase_add_test (tc, test_bare_ping_before_hello);
  tcase_add_test (tc, test_stamped_ping);
  tcase_add_test (tc, test_fragmentation);
  tcase_add_test (tc, test_wrong_magic);
  tcase_add_test (tc, test_versions);
  tcase_add_test (tc, test_wrong_role);
  tcase_add_test (tc, test_hello_twice);
  tcase_add_test (tc, test_before_hello);
  tcase_add_test (tc, test_unsupported_types);
  tcase_add_test (tc, test_what_is_not_done);
  tcase_add_test (tc, test_malformed);
  tcase_add_test (tc, test_no_such_scanout);
  tcase_add_test (tc, test_channel_0);
  tcase_add_test (tc, test_channel_limit);
  tcase_add_test (tc, test_subscribe_flood);
  tcase_add_test (tc, test_bad_releases);
  tcase_add_test (tc, test_late_releases);
  tcase_add_test (tc, test_bye);
  tcase_add_test (tc, test_descriptor_from_client);
  return suite;
}

GST_CHECK_MAIN (dispatch);

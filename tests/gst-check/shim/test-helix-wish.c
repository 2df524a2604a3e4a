/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * SET_SCANOUT: who may ask for what, and what comes of it.
 */
#include <poll.h>
#include <string.h>

#include <gst/check/gstcheck.h>

#include "helix-test-client.h"

static void
ask (struct test_client *client, uint32_t scanout, uint32_t width,
    uint32_t height)
{
  const struct helix_set_scanout set = {scanout, width, height, 60000};
  uint8_t message[HELIX_MAX_MESSAGE];

  test_client_send (client, message, helix_pack_set_scanout (message, &set));
}

static bool
was_asked (void *opaque)
{
  struct test_shim *test = opaque;

  return test->sets > 0;
}

GST_START_TEST (test_on_and_off)
{
  struct test_shim *test = test_shim_new (NULL);
  struct test_client *client = test_client_new (test);

  test_client_settle (client);
  ask (client, 2, 1280, 720);
  test_until (test, was_asked, test, "SET_SCANOUT");
  fail_unless_equals_int (test->set[2].scanout, 2);
  fail_unless_equals_int (test->set[2].width, 1280);
  fail_unless_equals_int (test->set[2].height, 720);
  fail_unless_equals_int (test->set[2].refresh, 60000);
  /* What the guest makes of it is told as ever. */
  test_resource_new (test, 1, 128, 72);
  test_show (test, 2, 1);
  test_message_free (test_client_expect (client, HELIX_SCANOUT, 0));
  fail_unless_equals_int (client->scanout.scanout, 2);
  fail_unless_equals_int (client->scanout.width, 128);
  test->sets = 0;
  ask (client, 2, 0, 0);
  test_until (test, was_asked, test, "SET_SCANOUT off");
  fail_unless_equals_int (test->set[2].width, 0);
  fail_unless_equals_uint64 (test_stats (test).set_scanouts, 2);
  test_until_logged (test, "asks for scanout 2 off");
  fail_unless (test_logged (test, "asks for scanout 2 at 1280x720"));
  test_client_free (client);
  test_shim_free (test);
}

GST_END_TEST;

/* Waits until the shim has read what was said: its PONG waits in the socket,
 * where nothing else does. The display thread, which is this one, stands still
 * meanwhile. */
static void
wait_until_read (struct test_client *client)
{
  struct pollfd p = {.fd = client->fd, .events = POLLIN};

  test_client_send_raw (client, HELIX_PING, 9, NULL, 0);
  fail_unless (poll (&p, 1, 20000) == 1, "no PONG");
}

/* The last wish counts, if the screen's owner was busy meanwhile, whoever had
 * it; one of another scanout stands beside it. */
GST_START_TEST (test_last_wins)
{
  struct test_shim *test = test_shim_new (NULL);
  struct test_client *client = test_client_new (test);
  struct test_client *other = test_client_new (test);

  test_client_settle (client);
  test_client_settle (other);
  for (uint32_t i = 1; i <= 20; i++)
    ask (client, 1, 640 + i, 480);
  ask (client, 3, 800, 600);
  wait_until_read (client);
  ask (other, 1, 1024, 768);
  wait_until_read (other);
  fail_unless_equals_int (test->sets, 0);
  test_until (test, was_asked, test, "SET_SCANOUT");
  fail_unless_equals_int (test->sets, 2);
  fail_unless_equals_int (test->set[1].width, 1024);
  fail_unless_equals_int (test->set[3].width, 800);
  test_client_settle (client);
  fail_unless_equals_int (test->sets, 2);
  test_client_free (client);
  test_client_free (other);
  test_shim_free (test);
}

GST_END_TEST;

/* Who asked hears why not, and nobody else. */
GST_START_TEST (test_refused)
{
  struct test_shim *test = test_shim_new (NULL);
  struct test_client *client = test_client_new (test);
  struct test_client *other = test_client_new (test);

  test->refuse_set = "the test's monitor has no plug";
  ask (client, 0, 640, 480);
  test_client_expect_error (client, 0, HELIX_ERROR_UNSUPPORTED,
      "scanout 0 cannot be switched: the test's monitor has no plug");
  test_client_settle (other);
  fail_unless (g_queue_is_empty (other->queue));
  fail_unless_equals_uint64 (test_stats (test).set_scanouts, 0);
  /* A client that leaves before it can hear it. */
  ask (other, 1, 640, 480);
  test_client_free (other);
  test_until_logged (test, "asks for scanout 1");
  test_client_settle (client);
  /* Once told, it is over. */
  test->refuse_set = NULL;
  test->sets = 0;
  ask (client, 0, 640, 480);
  test_until (test, was_asked, test, "the second wish");
  test_client_settle (client);
  fail_unless_equals_uint64 (test_stats (test).set_scanouts, 1);
  test_client_free (client);
  test_shim_free (test);
}

GST_END_TEST;

GST_START_TEST (test_not_allowed)
{
  const struct helix_shim_config config = {.name = "few",
      .scanouts = 4,
      .scanout_mask = 0x5,
      .slots = 3,
      .max_clients = 4};
  struct test_shim *test = test_shim_new (&config);
  struct test_client *client = test_client_new (test);
  const uint8_t half[16] = {0, 0, 0, 0, 1};

  ask (client, 4, 640, 480);
  test_client_expect_error (
      client, 0, HELIX_ERROR_NO_SCANOUT, "this VM has scanouts 0-3");
  ask (client, HELIX_NONE32, 640, 480);
  test_client_expect_error (client, 0, HELIX_ERROR_NO_SCANOUT, "0-3");
  ask (client, 1, 640, 480);
  test_client_expect_error (client, 0, HELIX_ERROR_NO_SCANOUT,
      "scanout 1 is not exported; the VM was told to export 0,2");
  /* A loop of them ends in ERROR, not in a guest that replugs for ever. */
  for (int i = 0; i < 100; i++)
    ask (client, 0, 640, 480);
  test_client_expect_error (
      client, 0, HELIX_ERROR_LIMIT, "too many SET_SCANOUTs");
  test_client_send_raw (client, HELIX_SET_SCANOUT, 0, half, sizeof half);
  for (;;) {
    struct test_message *message = test_client_next (client);
    struct helix_error error;
    char text[HELIX_MAX_TEXT + 1];
    const char *why;

    fail_unless_equals_int (message->header.type, HELIX_ERROR);
    fail_unless (helix_unpack_error (
        &error, text, message->payload, message->size, &why));
    test_message_free (message);
    if (error.code == HELIX_ERROR_PROTOCOL)
      break;
    fail_unless_equals_int (error.code, HELIX_ERROR_LIMIT);
  }
  test_client_expect_closed (client);
  test_client_free (client);
  test_shim_free (test);
}

GST_END_TEST;

/* A screen that cannot do it at all. */
GST_START_TEST (test_fixed)
{
  char *dir = test_dir_new ();
  char *path = g_build_filename (dir, "helix.sock", NULL);
  struct test_shim *test = test_shim_make_fixed (path);
  struct test_client *client;

  test_shim_start (test);
  client = test_client_new (test);
  ask (client, 0, 640, 480);
  test_client_expect_error (
      client, 0, HELIX_ERROR_UNSUPPORTED, "cannot switch scanouts");
  test_client_free (client);
  test_shim_free (test);
  g_free (path);
  test_dir_free (dir);
}

GST_END_TEST;

static Suite *
wish_suite (void)
{
  Suite *suite = suite_create ("helix-wish");
  TCase *tc = tcase_create ("wish");

  suite_add_tcase (suite, tc);
  tcase_set_timeout (tc, 60);
  tcase_add_test (tc, test_on_and_off);
  tcase_add_test (tc, test_last_wins);
  tcase_add_test (tc, test_refused);
  tcase_add_test (tc, test_not_allowed);
  tcase_add_test (tc, test_fixed);
  return suite;
}

GST_CHECK_MAIN (wish);

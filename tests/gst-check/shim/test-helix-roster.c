/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * LIST: the numbers add up, everybody is in it, and asking costs little. And
 * whether the numbers are what they should be however many watch: one
 * readback a flush.
 */
#include <string.h>
#include <unistd.h>

#include <gst/check/gstcheck.h>

#include "helix-test-registry.h"
#include "helix-test-client.h"

#define W 100u
#define H 80u
#define SCANOUTS HELIX_MAX_SCANOUTS

struct roster {
  struct helix_status status;
  char text[HELIX_MAX_TEXT + 1];
  struct helix_client client[200];
  char name[200][HELIX_MAX_NAME + 1];
};

/* Asks, and checks the form of the answer. */
static void
list (struct test_client *client, struct roster *roster)
{
  struct test_message *message;
  const char *why = NULL;
  guint you = 0;

  test_client_send_raw (client, HELIX_LIST, 0, NULL, 0);
  message = test_client_expect (client, HELIX_STATUS, 0);
  fail_unless (helix_unpack_status (&roster->status, roster->text,
                   message->payload, message->size, &why),
      "%s", why);
  test_message_free (message);
  fail_unless (roster->status.clients <= 200);
  for (guint i = 0; i < roster->status.clients; i++) {
    struct helix_client *entry = &roster->client[i];

    message = test_client_next (client);
    fail_unless_equals_int (message->header.type, HELIX_CLIENT);
    fail_unless_equals_int (message->header.channel, 0);
    fail_unless (helix_unpack_client (entry, roster->name[i], message->payload,
                     message->size, &why),
        "%s", why);
    fail_unless_equals_int (entry->index, i);
    you += entry->flags & HELIX_CLIENT_YOU ? 1 : 0;
    test_message_free (message);
  }
  fail_unless_equals_int (you, 1);
}

static void
take_frame (struct test_client *client, uint16_t channel)
{
  struct test_frame frame = test_client_frame (client, channel);

  test_client_release (client, channel, &frame);
  test_frame_done (&frame);
}

GST_START_TEST (test_alone)
{
  struct test_shim *test = test_shim_new (NULL);
  struct test_client *client = test_client_new (test);
  struct roster *roster = g_new0 (struct roster, 1);
  uint64_t before = helix_now_ns ();

  list (client, roster);
  fail_unless_equals_int (roster->status.clients, 1);
  fail_unless_equals_uint64 (roster->status.frames, 0);
  fail_unless_equals_uint64 (roster->status.bytes, 0);
  fail_unless_equals_uint64 (roster->status.keyframes, 0);
  fail_unless_equals_uint64 (roster->status.last_ns, HELIX_NONE64);
  fail_unless (roster->status.uptime_ns > 0);
  fail_unless (roster->status.uptime_ns < before);
  fail_unless_equals_string (
      roster->text, "scanouts: 0 off, 1 off, 2 off, 3 off");
  fail_unless_equals_string (roster->name[0], "test-client");
  fail_unless_equals_int (roster->client[0].pid, getpid ());
  fail_unless_equals_int (roster->client[0].role, HELIX_ROLE_FRAMES);
  fail_unless_equals_int (roster->client[0].scanout, HELIX_NONE32);
  fail_unless_equals_int (roster->client[0].resource_id, 0);
  fail_unless_equals_uint64 (roster->client[0].last_ns, HELIX_NONE64);
  fail_unless_equals_uint64 (roster->client[0].received, HELIX_NONE64);
  fail_unless_equals_uint64 (roster->client[0].latency_ns, HELIX_NONE64);
  fail_unless (
      roster->client[0].connected_ns <= roster->status.uptime_ns + before);
  g_free (roster);
  test_client_free (client);
  test_shim_free (test);
}

GST_END_TEST;

/* Six flushes of resource 5, which scanout 1 shows and both watch; `one` holds
 * all its slots, so four of them find no credit. */
static void
starve (
    struct test_client *one, struct test_client *two, struct test_frame held[3])
{
  struct test_shim *test = one->test;

  test_resource_new (test, 5, W, H);
  test_show (test, 1, 5);
  test_client_subscribe (one, 1, 1, 0);
  test_client_subscribe (two, 7, HELIX_NONE32, 5);
  take_frame (two, 7);
  for (int i = 0; i < 6; i++) {
    if (i < 3)
      held[i] = test_client_frame (one, 1);
    test_client_settle (two);
    test_draw_flush (test, 5, (struct helix_rect){0, 0, 8, 8});
  }
  test_client_settle (two);
}

GST_START_TEST (test_who_watches_what)
{
  struct test_shim *test = test_shim_new (NULL);
  struct test_client *one = test_client_new (test);
  struct test_client *two = test_client_new (test);
  struct test_client *silent = test_client_connect (test);
  struct test_client *asker = test_client_new (test);
  struct roster *roster = g_new0 (struct roster, 1);
  const struct helix_client *entry = roster->client;
  struct test_frame held[3];

  starve (one, two, held);
  list (asker, roster);
  /* Whoever has not said HELLO is nobody yet. */
  fail_unless_equals_int (roster->status.clients, 3);
  fail_unless_equals_string (
      roster->text, "scanouts: 0 off, 1 100x80, 2 off, 3 off");
  fail_unless_equals_uint64 (roster->status.frames, test_stats (test).frames);
  fail_unless_equals_uint64 (
      roster->status.bytes, test_stats (test).readback_bytes);
  fail_unless_equals_uint64 (roster->status.dropped, 4);
  fail_unless (roster->status.last_ns < TEST_TIMEOUT_NS);
  fail_unless_equals_int (entry[0].scanout, 1);
  fail_unless_equals_int (entry[0].resource_id, 0);
  fail_unless_equals_uint64 (entry[0].frames, 3);
  fail_unless_equals_uint64 (entry[0].dropped, 4);
  fail_unless (entry[0].last_ns < TEST_TIMEOUT_NS);
  fail_unless_equals_int (entry[1].scanout, HELIX_NONE32);
  fail_unless_equals_int (entry[1].resource_id, 5);
  fail_unless_equals_uint64 (entry[1].dropped, 0);
  fail_unless (entry[0].connected_ns >= entry[1].connected_ns);
  fail_unless (entry[2].flags & HELIX_CLIENT_YOU);
  fail_unless_equals_uint64 (entry[2].frames, 0);
  fail_unless_equals_uint64 (
      entry[0].frames + entry[1].frames, roster->status.frames);
  for (int i = 0; i < 3; i++)
    test_frame_done (&held[i]);
  g_free (roster);
  test_client_free (one);
  test_client_free (two);
  test_client_free (silent);
  test_client_free (asker);
  test_shim_free (test);
}

GST_END_TEST;

/* What SHOW put there is named; what a subscription that ended had missed goes
 * on counting. */
GST_START_TEST (test_after_show_and_end)
{
  struct test_shim *test = test_shim_new (NULL);
  struct test_client *one = test_client_new (test);
  struct test_client *two = test_client_new (test);
  struct roster *roster = g_new0 (struct roster, 1);
  const struct helix_client *entry = roster->client;
  struct test_frame held[3];

  starve (one, two, held);
  for (int i = 0; i < 3; i++) {
    test_client_release (one, 1, &held[i]);
    test_frame_done (&held[i]);
  }
  test_resource_new (test, 6, W, H);
  test_client_settle (one);
  test_client_show (one, 1, 6, HELIX_NONE64);
  take_frame (one, 1);
  list (two, roster);
  fail_unless_equals_int (entry[0].scanout, 1);
  fail_unless_equals_int (entry[0].resource_id, 6);
  test_client_send_raw (one, HELIX_UNSUBSCRIBE, 1, NULL, 0);
  test_client_settle (one);
  list (two, roster);
  fail_unless_equals_int (entry[0].scanout, HELIX_NONE32);
  fail_unless_equals_int (entry[0].resource_id, 0);
  fail_unless_equals_uint64 (entry[0].dropped, 4);
  g_free (roster);
  test_client_free (one);
  test_client_free (two);
  test_shim_free (test);
}

GST_END_TEST;

/* More clients than one answer names: the asker is among them. */
GST_START_TEST (test_many_clients)
{
  const struct helix_shim_config config = {.name = "crowd",
      .scanouts = 1,
      .scanout_mask = 1,
      .slots = 3,
      .max_clients = 200};
  struct test_shim *test = test_shim_new (&config);
  struct test_client *client[150];
  struct roster *roster = g_new0 (struct roster, 1);

  for (guint i = 0; i < G_N_ELEMENTS (client); i++)
    client[i] = test_client_new (test);
  list (client[0], roster);
  fail_unless_equals_int (roster->status.clients, 128);
  fail_unless (roster->client[0].flags & HELIX_CLIENT_YOU);
  list (client[149], roster);
  fail_unless (roster->client[127].flags & HELIX_CLIENT_YOU);
  for (guint i = 0; i < G_N_ELEMENTS (client); i++)
    test_client_free (client[i]);
  g_free (roster);
  test_shim_free (test);
}

GST_END_TEST;

/* Asking without end, and without reading the answers. */
GST_START_TEST (test_flood)
{
  struct test_shim *test = test_shim_new (NULL);
  struct test_client *client = test_client_new (test);
  struct test_client *other = test_client_new (test);
  struct roster *roster = g_new0 (struct roster, 1);

  for (int i = 0; i < 200; i++)
    test_client_send_raw (client, HELIX_LIST, 0, NULL, 0);
  for (;;) {
    struct test_message *message = test_client_next (client);
    uint8_t type = message->header.type;

    test_message_free (message);
    if (type == HELIX_ERROR)
      break;
  }
  list (other, roster);
  fail_unless_equals_int (roster->status.clients, 2);
  g_free (roster);
  test_client_free (client);
  test_client_free (other);
  test_shim_free (test);
}

GST_END_TEST;

GST_START_TEST (test_before_hello)
{
  struct test_shim *test = test_shim_new (NULL);
  struct test_client *client = test_client_connect (test);

  test_client_send_raw (client, HELIX_LIST, 0, NULL, 0);
  test_client_expect_error (
      client, 0, HELIX_ERROR_PROTOCOL, "LIST before HELLO");
  test_client_expect_closed (client);
  test_client_free (client);
  test_shim_free (test);
}

GST_END_TEST;

/* A shim is found while it listens, and serves where it cannot be. */
GST_START_TEST (test_registry)
{
  struct test_shim *test = test_shim_new (NULL);
  struct test_client *client;
  char *path = g_strdup (test->path), *dir;

  fail_unless_equals_int (test_registered (path), 1);
  test_shim_stop (test);
  fail_unless_equals_int (test_registered (path), 0);
  test_shim_free (test);
  g_free (path);

  dir = test_dir_new ();
  path = g_build_filename (dir, "helix.sock", NULL);
  test = test_shim_make (NULL, path);
  g_setenv ("XDG_RUNTIME_DIR", "/nonexistent/helix", TRUE);
  test_shim_start (test);
  test_until_logged (test, "is not among the running VMs");
  client = test_client_new (test);
  test_client_free (client);
  test_shim_free (test);
  g_free (path);
  test_dir_free (dir);
}

GST_END_TEST;

/* ---- one readback a flush ---- */

static struct test_shim *
new_wall (void)
{
  const struct helix_shim_config config = {.name = "wall",
      .scanouts = SCANOUTS,
      .scanout_mask = 0xffff,
      .slots = 3,
      .max_clients = 16};

  return test_shim_new (&config);
}

/* Draws `rounds` times on each of `resources` resources, watched by four
 * clients on all sixteen scanouts. */
static void
watch_the_wall (struct test_shim *test, uint32_t resources, int rounds)
{
  struct helix_shim_stats before, after;
  struct test_client *client[4];

  for (guint c = 0; c < G_N_ELEMENTS (client); c++) {
    client[c] = test_client_new (test);
    for (uint32_t i = 0; i < SCANOUTS; i++) {
      test_client_subscribe (client[c], (uint16_t) (i + 1), i, 0);
      take_frame (client[c], (uint16_t) (i + 1));
    }
    test_client_settle (client[c]);
  }
  before = test_stats (test);
  fail_unless_equals_uint64 (before.subscriptions, 4 * SCANOUTS);
  for (int round = 0; round < rounds; round++) {
    for (uint32_t id = 1; id <= resources; id++)
      test_draw_flush (test, id, (struct helix_rect){5, 6, 20, 10});
    for (guint c = 0; c < G_N_ELEMENTS (client); c++)
      fail_unless_equals_int (test_client_settle (client[c]), SCANOUTS);
  }
  after = test_stats (test);
  fail_unless_equals_uint64 (
      after.flushes - before.flushes, (guint) rounds * resources);
  fail_unless_equals_uint64 (
      after.readbacks - before.readbacks, after.flushes - before.flushes);
  fail_unless_equals_uint64 (after.readback_bytes - before.readback_bytes,
      (after.flushes - before.flushes) * 20 * 10 * 4);
  fail_unless_equals_uint64 (
      after.frames - before.frames, (guint) rounds * 4 * SCANOUTS);
  fail_unless_equals_uint64 (after.no_credit, before.no_credit);
  for (guint c = 0; c < G_N_ELEMENTS (client); c++)
    test_client_free (client[c]);
}

/* A text console: one resource on all sixteen scanouts. */
GST_START_TEST (test_one_resource_on_all)
{
  struct test_shim *test = new_wall ();

  test_resource_new (test, 1, W, H);
  for (uint32_t i = 0; i < SCANOUTS; i++)
    test_show (test, i, 1);
  watch_the_wall (test, 1, 10);
  test_shim_free (test);
}

GST_END_TEST;

GST_START_TEST (test_sixteen_resources)
{
  struct test_shim *test = new_wall ();

  for (uint32_t i = 0; i < SCANOUTS; i++) {
    test_resource_new (test, i + 1, W, H);
    test_show (test, i, i + 1);
  }
  watch_the_wall (test, SCANOUTS, 5);
  test_shim_free (test);
}

GST_END_TEST;

static Suite *
roster_suite (void)
{
  Suite *suite = suite_create ("helix-roster");
  TCase *tc = tcase_create ("roster");

  suite_add_tcase (suite, tc);
  tcase_set_timeout (tc, 120);
  tcase_add_test (tc, test_alone);
  tcase_add_test (tc, test_who_watches_what);
  tcase_add_test (tc, test_after_show_and_end);
  tcase_add_test (tc, test_many_clients);
  tcase_add_test (tc, test_flood);
  tcase_add_test (tc, test_before_hello);
  tcase_add_test (tc, test_registry);
  tcase_add_test (tc, test_one_resource_on_all);
  tcase_add_test (tc, test_sixteen_resources);
  return suite;
}

GST_CHECK_MAIN (roster);

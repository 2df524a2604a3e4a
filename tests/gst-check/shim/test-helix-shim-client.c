/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the shim answers to what a client says.
 */
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gst/check/gstcheck.h>

#include "helix-shim-client.h"
#include "helix-test-client.h"
#include "helix-test-registry.h"

/* After one was thrown out, others are served as ever. */
static void
others_are_served (void)
{
  struct test_client *other = test_client_new (test);

  test_client_subscribe (other, 1, 0, 0);
  test_client_frame (other, 1);
}

/* What only servers say, what earlier clients asked for, and what is not known:
 * nothing of it is done, and life goes on. */
GST_START_TEST (test_what_is_not_done)
{
  const uint8_t types[] = {HELIX_WELCOME, HELIX_SCANOUT, HELIX_POOL,
      HELIX_FRAME, HELIX_CAPS, HELIX_KEYFRAME, 0x01, 0xc0};
  const struct helix_subscribe subscribe = {
      0, 0, 0, 1, 0, HELIX_SUBSCRIBE_INLINE};

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
  others_are_served ();
}

GST_END_TEST;

/* What is no message, and what is truncated, oversized or senseless, ends that
 * connection only. */
GST_START_TEST (test_malformed)
{
  static const struct {
    uint8_t type, refers;
    uint32_t size;
    const char *raw, *text;
  } bad[] = {{.raw = "GET / HTTP/1.1\r\n\r", .text = "magic"},
      /* refused by its header alone */
      {.raw = "HXFR\x50\0\1\0\xff\xff\xff\xff",
          .refers = HELIX_SUBSCRIBE,
          .text = "4096 bytes"},
      {HELIX_SUBSCRIBE, HELIX_SUBSCRIBE, 0, NULL, ""},
      {HELIX_SUBSCRIBE, HELIX_SUBSCRIBE, 23, NULL, ""},
      {HELIX_SUBSCRIBE, HELIX_SUBSCRIBE, 4096, NULL, ""},
      {HELIX_RELEASE, HELIX_RELEASE, 7, NULL, ""},
      {HELIX_PING, HELIX_PING, 3, NULL, ""},
      {HELIX_PONG, HELIX_PONG, 23, NULL, ""},
      {HELIX_ERROR, HELIX_ERROR, 2, NULL, ""},
      {HELIX_BYE, HELIX_BYE, 3, NULL, ""}};
  static const uint8_t zero[4096];

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    client = test_client_new (test);
    if (bad[i].raw)
      test_client_send (client, bad[i].raw, HELIX_HEADER_SIZE);
    else
      test_client_send_raw (client, bad[i].type, 1, zero, bad[i].size);
    test_client_expect_error (client, 0, HELIX_ERROR_PROTOCOL, bad[i].text);
    fail_unless_equals_int (client->now->any.as.error.refers, bad[i].refers);
    test_client_expect_closed (client);
  }
  test_until_logged (test, "magic");
  others_are_served ();
}

GST_END_TEST;

/* Channel 0 tells of all scanouts, at once and at each change. */
GST_START_TEST (test_channel_0)
{
  for (uint32_t i = 0; i < 4; i++) {
    test_client_expect (client, HELIX_SCANOUT, 0);
    fail_unless_equals_int (client->scanout.scanout, i);
    fail_unless_equals_int (
        client->scanout.flags, i ? 0 : HELIX_SCANOUT_ENABLED);
  }
  test_show (test, 2, 1);
  test_client_expect (client, HELIX_SCANOUT, 0);
  fail_unless_equals_int (client->scanout.scanout, 2);
  fail_unless_equals_int (client->scanout.width, W);
  test_client_subscribe (client, 0, 0, 0);
  test_client_expect_error (client, 0, HELIX_ERROR_LIMIT, "channel 0");
}

GST_END_TEST;

GST_START_TEST (test_channel_limit)
{
  struct test_frame frame;

  for (uint16_t channel = 1; channel <= 16; channel++) {
    test_client_subscribe (client, channel, 0, 0);
    frame = test_client_frame (client, channel);
  }
  test_client_subscribe (client, 17, 0, 0);
  test_client_expect_error (client, 17, HELIX_ERROR_LIMIT, "16");
  fail_unless_equals_uint64 (test_stats (test).subscriptions, 16);
  /* One in use is replaced, one given up makes room. */
  test_client_subscribe (client, 3, 0, 0);
  frame = test_client_frame (client, 3);
  fail_unless_equals_uint64 (frame.frame.sequence, 1);
  test_client_send_raw (client, HELIX_UNSUBSCRIBE, 5, NULL, 0);
  test_client_send_raw (client, HELIX_UNSUBSCRIBE, 555, NULL, 0);
  test_client_subscribe (client, 17, 0, 0);
  frame = test_client_frame (client, 17);
  fail_unless_equals_uint64 (test_stats (test).subscriptions, 16);
}

GST_END_TEST;

GST_START_TEST (test_subscribe_flood)
{
  bool limited = false;

  for (int i = 0; i < 400; i++)
    test_client_subscribe (client, 1, 0, 0);
  test_client_send_raw (client, HELIX_PING, 9, NULL, 0);
  for (;;) {
    uint8_t type = test_client_next (client)->type;

    limited |= type == HELIX_ERROR;
    if (type == HELIX_PONG)
      break;
  }
  fail_unless (limited, "400 subscriptions in a row went through");
  fail_unless (test->reads < 200);
  others_are_served ();
}

GST_END_TEST;

static struct test_client *
holding_one (struct test_frame *frame)
{
  struct test_client *holder = test_client_new (test);

  test_client_subscribe (holder, 1, 0, 0);
  *frame = test_client_frame (holder, 1);
  return holder;
}

/* A slot twice; another slot; out of range; a pool that never was. */
GST_START_TEST (test_bad_releases)
{
  struct test_frame frame;
  struct test_client *holder = holding_one (&frame);
  const struct {
    uint32_t pool, slot;
    const char *text;
  } bad[] = {{1, frame.frame.slot, "not hold"},
      {1, 1 - frame.frame.slot, "not hold"}, {1, 7, "not hold"},
      {1, UINT32_MAX, "slot is above"}, {77, 0, "77"}, {0, 0, "pool_id is 0"}};

  test_client_release (holder, 1, &frame);
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    test_client_release_slot (holder, 1, bad[i].pool, bad[i].slot);
    test_client_expect_error (holder, 0, HELIX_ERROR_PROTOCOL, bad[i].text);
    test_client_expect_closed (holder);
    holder = holding_one (&frame);
  }
}

GST_END_TEST;

/* What races with a change at the shim's side is no crime. */
GST_START_TEST (test_late_releases)
{
  struct test_frame frame;
  struct test_client *client = holding_one (&frame);
  uint32_t pool = frame.frame.pool_id, slot = frame.frame.slot;

  test_resource_new (test, 2, 640, 480);
  test_show (test, 0, 2); /* a new pool */
  frame = test_client_frame (client, 1);
  fail_unless (frame.frame.pool_id > pool);
  test_client_release_slot (client, 1, pool, slot);
  test_client_release (client, 1, &frame);
  test_client_send_raw (client, HELIX_UNSUBSCRIBE, 1, NULL, 0);
  test_client_release (client, 1, &frame);
  fail_unless_equals_int (test_client_settle (client), 0);
  others_are_served ();
}

GST_END_TEST;

GST_START_TEST (test_bye)
{
  uint8_t bytes[HELIX_MAX_MESSAGE];

  test_client_send (
      client, bytes, helix_pack_bye (bytes, HELIX_BYE_CLOSING, "enough"));
  test_client_expect_closed (client);
  test_until_logged (test, "good-bye");
  fail_unless_equals_uint64 (test_stats (test).lost, 0);
  others_are_served ();
}

GST_END_TEST;

/* A client has no descriptor to give: whatever comes along is closed. */
GST_START_TEST (test_descriptor_from_client)
{
  uint8_t bytes[HELIX_MAX_MESSAGE];
  struct iovec iov = {bytes, 0};
  guint before = test_open_fds ();

  for (int i = 0; i < 50; i++) {
    iov.iov_len = helix_pack_empty (bytes, HELIX_PING, 3);
    fail_unless (helix_send (client->fd, &iov, 1, STDIN_FILENO) > 0);
    test_client_expect (client, HELIX_PONG, 3);
  }
  fail_unless_equals_int (test_open_fds (), before);
  others_are_served ();
}

GST_END_TEST;

/* ---- LIST: the numbers add up, and asking costs little ---- */

struct client_list {
  struct helix_status status;
  char text[HELIX_MAX_TEXT + 1];
  struct helix_client client[200];
  char name[200][HELIX_MAX_NAME + 1];
};

/* Asks, and checks the form of the answer. */
static void
get_list (struct test_client *client, struct client_list *list)
{
  const struct test_message *message;
  guint you = 0;

  test_client_send_raw (client, HELIX_LIST, 0, NULL, 0);
  message = test_client_expect (client, HELIX_STATUS, 0);
  list->status = message->any.as.status;
  g_strlcpy (list->text, message->any.text, sizeof list->text);
  fail_unless (list->status.clients <= 200);
  for (guint i = 0; i < list->status.clients; i++) {
    message = test_client_next (client);
    fail_unless (message->type == HELIX_CLIENT && message->channel == 0);
    list->client[i] = message->any.as.client;
    g_strlcpy (list->name[i], message->any.text, sizeof list->name[i]);
    fail_unless_equals_int (list->client[i].index, i);
    you += list->client[i].flags & HELIX_CLIENT_YOU ? 1 : 0;
  }
  fail_unless_equals_int (you, 1);
}

GST_START_TEST (test_alone)
{
  struct client_list *list = g_new0 (struct client_list, 1);
  struct helix_client expected = {.flags = HELIX_CLIENT_YOU,
      .pid = (uint32_t) getpid (),
      .role = HELIX_ROLE_FRAMES,
      .scanout = HELIX_NONE32,
      .received = HELIX_NONE64,
      .latency_ns = HELIX_NONE64,
      .last_ns = HELIX_NONE64,
      .name_size = strlen ("test-client")};
  uint64_t before = helix_now_ns ();

  get_list (client, list);
  fail_unless_equals_int (list->status.clients, 1);
  fail_unless_equals_uint64 (list->status.frames, 0);
  fail_unless_equals_uint64 (list->status.bytes, 0);
  fail_unless_equals_uint64 (list->status.keyframes, 0);
  fail_unless_equals_uint64 (list->status.last_ns, HELIX_NONE64);
  fail_unless (list->status.uptime_ns > 0);
  fail_unless (list->status.uptime_ns < before);
  fail_unless_equals_string (
      list->text, "scanouts: 0 off, 1 off, 2 off, 3 off");
  fail_unless_equals_string (list->name[0], "test-client");
  fail_unless (list->client[0].connected_ns <= list->status.uptime_ns + before);
  expected.connected_ns = list->client[0].connected_ns;
  fail_unless (memcmp (&list->client[0], &expected, sizeof expected) == 0);
  g_free (list);
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
  test_client_skip (two, 7);
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
  struct test_client *one = test_client_new (test);
  struct test_client *two = test_client_new (test);
  struct test_client *asker = test_client_new (test);
  struct client_list *list = g_new0 (struct client_list, 1);
  const struct helix_client *entry = list->client;
  struct test_frame held[3];

  starve (one, two, held);
  test_client_connect (test); /* without HELLO: not in the list */
  get_list (asker, list);
  fail_unless_equals_int (list->status.clients, 3);
  fail_unless_equals_string (
      list->text, "scanouts: 0 off, 1 200x150, 2 off, 3 off");
  fail_unless_equals_uint64 (list->status.frames, test_stats (test).frames);
  fail_unless_equals_uint64 (
      list->status.bytes, test_stats (test).readback_bytes);
  fail_unless_equals_uint64 (list->status.dropped, 4);
  fail_unless (list->status.last_ns < TEST_TIMEOUT_NS);
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
      entry[0].frames + entry[1].frames, list->status.frames);
  g_free (list);
}

GST_END_TEST;

/* What SHOW put there is named; what a subscription that ended had missed goes
 * on counting. */
GST_START_TEST (test_after_show_and_end)
{
  struct test_client *one = test_client_new (test);
  struct test_client *two = test_client_new (test);
  struct client_list *list = g_new0 (struct client_list, 1);
  const struct helix_client *entry = list->client;
  struct test_frame held[3];

  starve (one, two, held);
  for (int i = 0; i < 3; i++) {
    test_client_release (one, 1, &held[i]);
  }
  test_resource_new (test, 6, W, H);
  test_client_settle (one);
  test_client_show (one, 1, 6, HELIX_NONE64);
  test_client_skip (one, 1);
  get_list (two, list);
  fail_unless_equals_int (entry[0].scanout, 1);
  fail_unless_equals_int (entry[0].resource_id, 6);
  test_client_send_raw (one, HELIX_UNSUBSCRIBE, 1, NULL, 0);
  test_client_settle (one);
  get_list (two, list);
  fail_unless_equals_int (entry[0].scanout, HELIX_NONE32);
  fail_unless_equals_int (entry[0].resource_id, 0);
  fail_unless_equals_uint64 (entry[0].dropped, 4);
  g_free (list);
}

GST_END_TEST;

/* More clients than one answer names: the asker is among them. */
GST_START_TEST (test_many_clients)
{
  const struct helix_shim_config config = {.max_clients = 200};
  struct test_shim *test = test_shim_new (&config);
  struct test_client *client[150];
  struct client_list *list = g_new0 (struct client_list, 1);

  for (guint i = 0; i < G_N_ELEMENTS (client); i++)
    client[i] = test_client_new (test);
  get_list (client[0], list);
  fail_unless_equals_int (list->status.clients, 128);
  fail_unless (list->client[0].flags & HELIX_CLIENT_YOU);
  get_list (client[149], list);
  fail_unless (list->client[127].flags & HELIX_CLIENT_YOU);
  g_free (list);
  test_shim_free (test);
}

GST_END_TEST;

/* A shim is found while it listens, and serves where it cannot be. */
GST_START_TEST (test_registry)
{
  struct test_shim *test = test_shim_new (NULL);
  char *path = g_strdup (test->path);

  fail_unless_equals_int (test_registered (path), 1);
  test_shim_stop (test);
  fail_unless_equals_int (test_registered (path), 0);
  test_shim_free (test);
  g_free (path);

  test = test_shim_make (NULL, NULL);
  g_setenv ("XDG_RUNTIME_DIR", "/nonexistent/helix", TRUE);
  test_shim_start (test);
  test_until_logged (test, "is not among the running VMs");
  test_client_new (test);
  test_shim_free (test);
}

GST_END_TEST;

/* ---- SET_SCANOUT: which client may ask for what, and what follows ---- */

static void
ask (struct test_client *client, uint32_t scanout, uint32_t width,
    uint32_t height)
{
  const struct helix_set_scanout set = {scanout, width, height, 60000};
  uint8_t message[HELIX_MAX_MESSAGE];

  test_client_send (client, message, helix_pack_set_scanout (message, &set));
}

GST_START_TEST (test_on_and_off)
{
  test_client_settle (client);
  ask (client, 2, 1280, 720);
  test_until (test, test->sets > 0);
  fail_unless_equals_int (test->set[2].scanout, 2);
  fail_unless_equals_int (test->set[2].width, 1280);
  fail_unless_equals_int (test->set[2].height, 720);
  fail_unless_equals_int (test->set[2].refresh, 60000);
  /* What the guest makes of it is told as ever. */
  test_resource_new (test, 1, 128, 72);
  test_show (test, 2, 1);
  test_client_expect (client, HELIX_SCANOUT, 0);
  fail_unless_equals_int (client->scanout.scanout, 2);
  fail_unless_equals_int (client->scanout.width, 128);
  test->sets = 0;
  ask (client, 2, 0, 0);
  test_until (test, test->sets > 0);
  fail_unless_equals_int (test->set[2].width, 0);
  fail_unless_equals_uint64 (test_stats (test).set_scanouts, 2);
  test_until_logged (test, "asks for scanout 2 off");
  fail_unless (test_logged (test, "asks for scanout 2 at 1280x720"));
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

/* The last request counts, if the screen's owner was busy meanwhile, of
 * whatever client; one for another scanout stands beside it. */
GST_START_TEST (test_last_wins)
{
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
  test_until (test, test->sets > 0);
  fail_unless_equals_int (test->sets, 2);
  fail_unless_equals_int (test->set[1].width, 1024);
  fail_unless_equals_int (test->set[3].width, 800);
  test_client_settle (client);
  fail_unless_equals_int (test->sets, 2);
}

GST_END_TEST;

/* The client that asked is told why not, and no other. */
GST_START_TEST (test_refused)
{
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
  test_until (test, test->sets > 0);
  test_client_settle (client);
  fail_unless_equals_uint64 (test_stats (test).set_scanouts, 1);
}

GST_END_TEST;

/* A request counts, too, if the io thread learns by a send that its client is
 * gone, before it has read the request. */
GST_START_TEST (test_ask_and_go)
{
  struct test_client *other = test_client_new (test);
  struct helix_shim_client *known;

  test_resource_new (test, 1, 128, 72);
  test_client_settle (client);
  test_client_settle (other);
  known = g_ptr_array_index (test->shim->clients, 1);
  pthread_mutex_lock (&known->out.turn);
  test_show (test, 2, 1); /* wakes the io thread, which waits for the turn */
  test_client_expect (client, HELIX_SCANOUT, 0);
  ask (other, 1, 640, 480);
  test_client_free (other);
  pthread_mutex_unlock (&known->out.turn);
  test_until (test, test->sets > 0);
  fail_unless_equals_int (test->set[1].width, 640);
  test_until (test, test_stats (test).clients == 1);
  fail_unless_equals_uint64 (test_stats (test).lost, 1);
}

GST_END_TEST;

/* Neither is a scanout watched nor switched that there is not, or that is not
 * exported. */
GST_START_TEST (test_not_allowed)
{
  static const struct {
    uint32_t scanout;
    const char *text;
  } bad[] = {{99, "scanout 99 does not exist; this VM has scanouts 0-3"},
      {255, "255"}, {4, "0-3"}, {HELIX_NONE32, "0-3"},
      {2, "scanout 2 is not exported; the VM was told to export 0-1,3"}};
  const struct helix_shim_config config = {.scanout_mask = 0x0b}; /* not 2 */
  struct test_shim *test = test_shim_new (&config);
  struct test_client *client = test_client_new (test);
  const uint8_t half[16] = {0, 0, 0, 0, 1};
  const struct helix_set_scanout off = {.scanout = 2};
  uint32_t code;

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    ask (client, bad[i].scanout, 640, 480);
    test_client_expect_error (client, 0, HELIX_ERROR_NO_SCANOUT, bad[i].text);
    if (bad[i].scanout == HELIX_NONE32)
      continue; /* a resource, in SUBSCRIBE */
    test_client_subscribe (client, 1, bad[i].scanout, 0);
    test_client_expect_error (client, 1, HELIX_ERROR_NO_SCANOUT, bad[i].text);
  }
  /* The connection's answer, whatever channel was named. */
  test_client_send_raw (client, HELIX_SET_SCANOUT, 9, &off, sizeof off);
  test_client_expect_error (client, 0, HELIX_ERROR_NO_SCANOUT, "0-1,3");
  /* The connection lives. */
  test_client_subscribe (client, 1, 3, 0);
  test_client_expect (client, HELIX_SCANOUT, 1);
  fail_unless_equals_int (client->scanout.flags, 0);
  /* A loop of them ends in ERROR, not in a guest that replugs for ever. */
  for (int i = 0; i < 100; i++)
    ask (client, 0, 640, 480);
  test_client_expect_error (
      client, 0, HELIX_ERROR_LIMIT, "too many SET_SCANOUTs");
  test_client_send_raw (client, HELIX_SET_SCANOUT, 0, half, sizeof half);
  do {
    fail_unless_equals_int (test_client_next (client)->type, HELIX_ERROR);
    code = client->now->any.as.error.code;
  } while (code == HELIX_ERROR_LIMIT);
  fail_unless_equals_int (code, HELIX_ERROR_PROTOCOL);
  test_client_expect_closed (client);
  test_shim_free (test);
}

GST_END_TEST;

/* A screen that cannot do it at all. */
GST_START_TEST (test_fixed)
{
  test->shim->display.set_scanout = NULL;
  ask (client, 0, 640, 480);
  test_client_expect_error (
      client, 0, HELIX_ERROR_UNSUPPORTED, "cannot switch scanouts");
}

GST_END_TEST;

static Suite *
client_suite (void)
{
  Suite *suite = suite_create ("helix-shim-client");
  TCase *tc;

  tc = test_case (suite, test_setup_client);
  tcase_add_test (tc, test_what_is_not_done);
  tcase_add_test (tc, test_channel_0);
  tcase_add_test (tc, test_channel_limit);
  tcase_add_test (tc, test_subscribe_flood);
  tcase_add_test (tc, test_bye);
  tcase_add_test (tc, test_descriptor_from_client);
  tc = test_case (suite, test_setup);
  tcase_add_test (tc, test_malformed);
  tcase_add_test (tc, test_bad_releases);
  tcase_add_test (tc, test_late_releases);
  tc = test_case (suite, test_setup_dark_client);
  tcase_add_test (tc, test_alone);
  tcase_add_test (tc, test_on_and_off);
  tcase_add_test (tc, test_last_wins);
  tcase_add_test (tc, test_refused);
  tcase_add_test (tc, test_ask_and_go);
  tcase_add_test (tc, test_fixed);
  tc = test_case (suite, test_setup_dark);
  tcase_add_test (tc, test_who_watches_what);
  tcase_add_test (tc, test_after_show_and_end);
  tc = test_case (suite, NULL);
  tcase_add_test (tc, test_many_clients);
  tcase_add_test (tc, test_registry);
  tcase_add_test (tc, test_not_allowed);
  return suite;
}

GST_CHECK_MAIN (client);

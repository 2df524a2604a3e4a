/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-test-client.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include <gst/check/gstcheck.h>

static void on_readable (void *opaque);

static void
free_client (gpointer client)
{
  test_client_free (client);
}

static void
pool_free (gpointer data)
{
  struct test_pool *pool = data;

  helix_shm_close (&pool->shm);
  g_free (pool);
}

static void
free_message (struct test_message *message)
{
  if (!message)
    return;
  if (message->fd >= 0)
    close (message->fd);
  g_free (message->bulk);
  g_free (message);
}

struct test_client *
test_client_connect (struct test_shim *test)
{
  struct test_client *client = g_new0 (struct test_client, 1);

  client->test = test;
  test->clients = g_slist_prepend (test->clients, client);
  test->free_client = free_client;
  client->pass = -1;
  client->queue = g_queue_new ();
  client->pools = g_ptr_array_new_with_free_func (pool_free);
  helix_reader_init (&client->reader);
  client->fd = helix_socket (AF_UNIX);
  fail_unless (client->fd >= 0, "socket: %s", g_strerror (errno));
  fail_unless (helix_unix_connect (client->fd, test->path) == 0, "connect: %s",
      g_strerror (errno));
  test_client_pause (client, false);
  return client;
}

void
test_client_free (struct test_client *client)
{
  client->test->clients = g_slist_remove (client->test->clients, client);
  test_client_pause (client, true);
  close (client->fd);
  g_queue_free_full (client->queue, (GDestroyNotify) free_message);
  free_message (client->now);
  g_free (client->bulk);
  g_ptr_array_free (client->pools, TRUE);
  if (client->pass >= 0)
    close (client->pass);
  g_free (client);
}

void
test_client_pause (struct test_client *client, bool pause)
{
  helix_sim_loop_watch (&client->test->loops.display, client->fd,
      pause ? NULL : on_readable, NULL, client);
}

/* ---- talking ---- */

void
test_client_send (struct test_client *client, const void *bytes, size_t size)
{
  struct iovec iov = {(void *) bytes, size};

  while (iov.iov_len) {
    ssize_t n = helix_send (client->fd, &iov, 1, -1);

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
      struct pollfd p = {.fd = client->fd, .events = POLLOUT};

      fail_unless (poll (&p, 1, 20000) > 0, "the shim reads no more");
      continue;
    }
    /* The shim may have hung up on us already: reading tells. */
    if (n < 0)
      return;
    iov.iov_base = (uint8_t *) iov.iov_base + n;
    iov.iov_len -= (size_t) n;
  }
}

void
test_client_send_raw (struct test_client *client, uint8_t type,
    uint16_t channel, const void *payload, uint32_t size)
{
  struct helix_header header = {HELIX_MAGIC, type, 0, channel, size};
  uint8_t bytes[HELIX_HEADER_SIZE];

  helix_pack_header (bytes, &header);
  test_client_send (client, bytes, sizeof bytes);
  if (size)
    test_client_send (client, payload, size);
}

void
test_client_hello (struct test_client *client, uint16_t version_min,
    uint16_t version_max, uint32_t role, uint32_t features)
{
  struct helix_hello hello = {
      .version_min = version_min,
      .version_max = version_max,
      .role = role,
      .features = features,
      .pid = (uint32_t) getpid (),
      .nonce = 0x1122334455667788u,
  };
  uint8_t message[HELIX_MAX_MESSAGE];

  test_client_send (
      client, message, helix_pack_hello (message, &hello, "test-client"));
}

struct test_client *
test_client_new (struct test_shim *test)
{
  struct test_client *client = test_client_connect (test);
  const struct helix_welcome *welcome;

  test_client_hello (client, 1, 1, HELIX_ROLE_FRAMES, HELIX_FEATURE_SHM);
  welcome = &test_client_expect (client, HELIX_WELCOME, 0)->any.as.welcome;
  fail_unless_equals_uint64 (welcome->nonce, 0x1122334455667788u);
  fail_unless_equals_int (welcome->version, 1);
  fail_unless_equals_int (welcome->features, HELIX_FEATURE_SHM);
  return client;
}

void
test_client_subscribe_with (struct test_client *client, uint16_t channel,
    const struct helix_subscribe *request)
{
  uint8_t message[HELIX_MAX_MESSAGE];

  test_client_send (
      client, message, helix_pack_subscribe (message, channel, request));
}

void
test_client_subscribe (struct test_client *client, uint16_t channel,
    uint32_t scanout, uint32_t resource_id)
{
  struct helix_subscribe request = {scanout, resource_id, 0, 1, 0, 0};

  test_client_subscribe_with (client, channel, &request);
}

void
test_client_release_slot (struct test_client *client, uint16_t channel,
    uint32_t pool_id, uint32_t slot)
{
  struct helix_release release = {pool_id, slot};
  uint8_t message[HELIX_MAX_MESSAGE];

  test_client_send (
      client, message, helix_pack_release (message, channel, &release));
}

void
test_client_release (struct test_client *client, uint16_t channel,
    const struct test_frame *frame)
{
  test_client_release_slot (
      client, channel, frame->frame.pool_id, frame->frame.slot);
}

/* ---- listening ---- */

/* The message in the reader, which must be a good one. */
static struct test_message *
new_message (struct test_client *client)
{
  struct test_message *message = g_new0 (struct test_message, 1);
  struct helix_reader *reader = &client->reader;
  const char *why = NULL;

  fail_unless (decode_any (&message->any, &reader->header, reader->payload,
                   reader->payload_size, &why),
      "%s", why);
  message->type = reader->header.type;
  message->channel = reader->header.channel;
  message->bulk = g_steal_pointer (&client->bulk);
  message->fd = client->pass;
  client->pass = -1;
  return message;
}

/* A PING is answered, unless the test wants it. */
static void
take_message (struct test_client *client)
{
  struct helix_reader *reader = &client->reader;
  uint8_t answer[HELIX_MAX_MESSAGE];
  uint64_t now = helix_now_ns ();

  if (reader->header.type != HELIX_PING || client->keep_pings)
    g_queue_push_tail (client->queue, new_message (client));
  else
    test_client_send (client, answer,
        helix_pack_pong_for (
            answer, &reader->header, reader->payload, now, now));
}

static void
on_readable (void *opaque)
{
  struct test_client *client = opaque;
  uint8_t *at;
  size_t want;
  ssize_t n;
  int fd = -1;

  for (;;) {
    helix_reader_want (&client->reader, &at, &want);
    n = helix_recv (client->fd, at, want, &fd);
    if (n < 0 && errno == EAGAIN)
      return;
    if (n <= 0) {
      client->closed = true;
      test_client_pause (client, true);
      return;
    }
    if (fd >= 0) {
      fail_unless (client->pass < 0, "two descriptors for one message");
      client->pass = fd;
    }
    switch (helix_reader_got (&client->reader, (size_t) n)) {
      case HELIX_READER_HEAD:
        client->bulk = g_malloc (MAX (client->reader.bulk_size, 1));
        helix_reader_bulk (&client->reader, client->bulk);
        break;
      case HELIX_READER_MESSAGE:
        take_message (client);
        break;
      case HELIX_READER_ERROR:
        ck_abort_msg ("the shim talks nonsense: %s", client->reader.why);
        break;
      default:
        break;
    }
  }
}

static void
note_pool (struct test_client *client, const struct test_message *message)
{
  struct test_pool *pool = g_new0 (struct test_pool, 1);
  const char *why = NULL;

  pool->pool = message->any.as.pool;
  fail_unless (message->fd >= 0, "POOL without its descriptor");
  fail_unless (
      helix_shm_open (&pool->shm, message->fd, (size_t) pool->pool.total_size,
          pool->pool.kind == HELIX_POOL_SEALED, &why),
      "%s", why);
  g_ptr_array_add (client->pools, pool);
}

const struct test_message *
test_client_next (struct test_client *client)
{
  const struct test_message *message;

  test_until (
      client->test, client->closed || !g_queue_is_empty (client->queue));
  free_message (client->now);
  message = client->now = g_queue_pop_head (client->queue);
  fail_unless (message != NULL, "the shim closed the connection; log:\n%s",
      test_log (client->test));
  if (message->type == HELIX_SCANOUT) {
    client->scanout = message->any.as.scanout;
    if (message->channel == 1)
      client->generation = client->scanout.generation;
  }
  if (message->type == HELIX_POOL)
    note_pool (client, message);
  return message;
}

/* What comes before it is left out, but for frames and cursors of other
 * channels: which of two channels is served first is of no concern. */
const struct test_message *
test_client_expect (
    struct test_client *client, enum helix_type type, uint16_t channel)
{
  GQueue others = G_QUEUE_INIT;
  const struct test_message *message;

  while (true) {
    message = test_client_next (client);
    if (message->type == type && message->channel == channel)
      break;
    fail_if (message->type == HELIX_ERROR,
        "%s on channel %u was due, not ERROR %s: %s", helix_type_name (type),
        channel, helix_error_name (message->any.as.error.code),
        message->any.text);
    if ((message->type == HELIX_FRAME || message->type == HELIX_CURSOR)
        && message->channel != channel)
      g_queue_push_tail (&others, g_steal_pointer (&client->now));
  }
  while (!g_queue_is_empty (&others))
    g_queue_push_head (client->queue, g_queue_pop_tail (&others));
  return message;
}

void
test_client_expect_error (struct test_client *client, uint16_t channel,
    enum helix_error_code code, const char *text)
{
  const struct decode_any *said =
      &test_client_expect (client, HELIX_ERROR, channel)->any;

  fail_unless (said->as.error.code == code, "ERROR %s: %s; %s was due",
      helix_error_name (said->as.error.code), said->text,
      helix_error_name (code));
  fail_unless (strstr (said->text, text) != NULL, "\"%s\" is not in \"%s\"",
      text, said->text);
}

void
test_client_expect_closed (struct test_client *client)
{
  test_until (client->test, client->closed);
}

static struct test_pool *
find_pool (struct test_client *client, uint32_t id)
{
  for (guint i = 0; i < client->pools->len; i++) {
    struct test_pool *pool = g_ptr_array_index (client->pools, i);

    if (pool->pool.pool_id == id)
      return pool;
  }
  ck_abort_msg ("FRAME names pool %u, which was never announced", id);
  return NULL;
}

struct test_frame
test_client_frame (struct test_client *client, uint16_t channel)
{
  const struct decode_any *any =
      &test_client_expect (client, HELIX_FRAME, channel)->any;
  struct test_frame frame = {.frame = any->as.frame};
  struct test_pool *pool = find_pool (client, frame.frame.pool_id);
  size_t offset = frame.frame.slot * (size_t) pool->pool.slot_size;

  memcpy (frame.rects, any->rects, sizeof frame.rects);
  fail_unless (frame.frame.slot < pool->pool.slots);
  if (channel == 1)
    fail_unless_equals_int (frame.frame.generation, client->generation);
  fail_unless_equals_int (helix_shm_fetch (&pool->shm, offset,
                              (size_t) frame.frame.stride * frame.frame.height),
      0);
  frame.pixels = pool->shm.bytes + offset;
  return frame;
}

struct helix_cursor
test_client_cursor (
    struct test_client *client, uint16_t channel, uint8_t **pixels)
{
  struct helix_cursor cursor =
      test_client_expect (client, HELIX_CURSOR, channel)->any.as.cursor;

  *pixels = g_steal_pointer (&client->now->bulk);
  return cursor;
}

void
test_client_show (struct test_client *client, uint16_t channel, uint32_t id,
    uint64_t capture_ns)
{
  const struct helix_show show = {id, 0, capture_ns};
  uint8_t message[HELIX_MAX_MESSAGE];

  test_client_send (client, message, helix_pack_show (message, channel, &show));
}

static guint
wrong_rows (struct test_shim *test, const struct test_frame *frame, uint32_t id,
    uint32_t x, uint32_t y)
{
  const struct test_resource *resource = &test->resource[id];
  guint wrong = 0;

  for (uint32_t row = 0; row < frame->frame.height; row++)
    wrong += memcmp (frame->pixels + (size_t) row * frame->frame.stride,
                 resource->pixels + (size_t) (y + row) * resource->width + x,
                 (size_t) frame->frame.width * 4)
        != 0;
  return wrong;
}

bool
test_frame_shows (
    struct test_shim *test, const struct test_frame *frame, uint32_t id)
{
  return frame->frame.resource_id == id
      && frame->frame.width == test->resource[id].width
      && frame->frame.height == test->resource[id].height
      && wrong_rows (test, frame, id, 0, 0) == 0;
}

void
test_frame_assert_shows (struct test_shim *test, const struct test_frame *frame,
    uint32_t id, uint32_t x, uint32_t y)
{
  guint wrong = wrong_rows (test, frame, id, x, y);

  fail_unless (wrong == 0, "%u rows of frame %d differ from the screen", wrong,
      (int) frame->frame.sequence);
}

void
test_frame_patch (const struct test_frame *frame, uint32_t *canvas)
{
  uint32_t width = frame->frame.width;
  const struct helix_rect all = {0, 0, width, frame->frame.height};
  guint n = frame->frame.rects ? frame->frame.rects : 1;

  for (guint i = 0; i < n; i++) {
    const struct helix_rect *r = frame->frame.rects ? &frame->rects[i] : &all;

    for (uint32_t y = r->y; y < r->y + r->height; y++)
      memcpy (canvas + y * width + r->x,
          (const uint32_t *) (const void *) frame->pixels + y * width + r->x,
          r->width * 4);
  }
}

static guint
drain_to_pong (struct test_client *client, uint16_t mark)
{
  const struct test_message *message;
  guint frames = 0;

  do {
    message = test_client_next (client);
    if (message->type == HELIX_FRAME) {
      test_client_release_slot (client, message->channel,
          message->any.as.frame.pool_id, message->any.as.frame.slot);
      frames++;
    }
  } while (message->type != HELIX_PONG || message->channel != mark);
  return frames;
}

guint
test_client_settle (struct test_client *client)
{
  guint all = 0, frames;
  int calm = 0;

  /* What a message sets off may take a turn of each thread to show. */
  while (calm < 3) {
    test_client_send_raw (client, HELIX_PING, 0x7777, NULL, 0);
    frames = drain_to_pong (client, 0x7777);
    test_round (client->test, 0);
    calm = frames ? 0 : calm + 1;
    all += frames;
  }
  return all;
}

struct helix_frame
test_client_skip (struct test_client *client, uint16_t channel)
{
  struct test_frame frame = test_client_frame (client, channel);

  test_client_release (client, channel, &frame);
  return frame.frame;
}

struct helix_frame
test_client_take (struct test_client *client, uint16_t channel, uint32_t id)
{
  struct test_frame frame = test_client_frame (client, channel);
  struct helix_frame copy = frame.frame;

  fail_unless_equals_int (frame.frame.resource_id, id);
  test_frame_assert_shows (client->test, &frame, id, 0, 0);
  test_client_release (client, channel, &frame);
  return copy;
}

struct helix_frame
test_client_until_shown (
    struct test_client *client, uint16_t channel, uint32_t id)
{
  struct test_frame frame;

  do {
    frame = test_client_frame (client, channel);
    test_client_release (client, channel, &frame);
  } while (!test_frame_shows (client->test, &frame, id));
  return frame.frame;
}

/* ---- fixtures ---- */

struct test_shim *test;
struct test_client *client;

void
test_setup (void)
{
  test = test_shim_new (NULL);
  test_resource_new (test, 1, W, H);
  test_show (test, 0, 1);
}

void
test_setup_client (void)
{
  test_setup ();
  client = test_client_new (test);
}

void
test_setup_dark (void)
{
  test = test_shim_new (NULL);
}

void
test_setup_dark_client (void)
{
  test_setup_dark ();
  client = test_client_new (test);
}

static void
teardown (void)
{
  test_shim_free (test);
}

TCase *
test_case (Suite *suite, void (*setup) (void))
{
  TCase *tc = tcase_create ("shim");

  suite_add_tcase (suite, tc);
  tcase_set_timeout (tc, 120);
  if (setup)
    tcase_add_checked_fixture (tc, setup, teardown);
  return tc;
}

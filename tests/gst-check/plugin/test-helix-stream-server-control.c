/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The stream server beside the stream: what peers request of it, what they ask
 * about it, and the cursor. */
#include <gst/check/gstcheck.h>
#include <string.h>

#include "helix-platform.h"
#include "helix-server.h"
#include "stream-served.h"

static guint8 message[HELIX_MAX_MESSAGE];

static void
control (StreamPeer *peer)
{
  peer_connect (peer, served.path);
  peer_hello_as (peer, NULL, HELIX_ROLE_CONTROL);
  fail_unless_equals_int (peer_next (peer), HELIX_WELCOME);
}

/* The server applies requests, and the peer makes them. */
static void
start_steered (void)
{
  served_start ();
  helix_stream_server_apply (served.server);
  control (&peer);
}

static void
say_config (StreamPeer *peer, const struct helix_config *config)
{
  peer_send (peer, message, helix_pack_config (message, config));
}

static void
say_show (StreamPeer *peer, guint32 resource_id)
{
  struct helix_show show = {.resource_id = resource_id, .capture_ns = 5};

  peer_send (peer, message, helix_pack_show (message, 0, &show));
}

/* The next message is an ERROR that ends nothing. */
static void
expect_error (StreamPeer *peer, guint code, guint refers)
{
  gchar text[HELIX_MAX_TEXT + 1];
  struct helix_error error;
  const gchar *why;

  fail_unless_equals_int (peer_next (peer), HELIX_ERROR);
  fail_unless (helix_unpack_error (
      &error, text, peer->reader.payload, peer->reader.payload_size, &why));
  fail_unless_equals_int (error.code, code);
  fail_unless_equals_int (error.refers, refers);
  fail_unless (text[0] != '\0');
}

/* ---- CONFIG ---- */

GST_START_TEST (test_config)
{
  struct helix_config config = {
      .fields = HELIX_CONFIG_BITRATE | HELIX_CONFIG_SCANOUT,
      .bitrate = 3000000,
      .scanout = 2};

  served_start ();
  served_join (&peer);
  AWAIT (added, 1);
  /* Requests are not applied yet: it waits. */
  say_config (&peer, &config);
  served_list (&peer);
  fail_unless_equals_int (served_now (&served.requests), 0);
  helix_stream_server_apply (served.server);
  AWAIT (requests, 1);
  fail_unless_equals_int (served.last_request.fields, config.fields);
  fail_unless_equals_int (served.last_request.bitrate, 3000000);
  fail_unless_equals_int (served.last_request.scanout, 2);
}
GST_END_TEST;

/* A CONFIG counts although its sender leaves at once. */
GST_START_TEST (test_config_and_leave)
{
  struct helix_config config = {
      .fields = HELIX_CONFIG_RATE, .rate_num = 15, .rate_den = 2};
  guint8 all[2 * HELIX_MAX_MESSAGE];
  gsize size;

  start_steered ();
  size = helix_pack_config (all, &config);
  size += helix_pack_bye (all + size, HELIX_BYE_CLOSING, "that is all");
  peer_send (&peer, all, size);
  peer_clear (&peer);
  AWAIT (requests, 1);
  fail_unless_equals_int (served.last_request.rate_num, 15);
  fail_unless_equals_int (served.last_request.rate_den, 2);
}
GST_END_TEST;

GST_START_TEST (test_bad_config)
{
  struct helix_config config = {.fields = HELIX_CONFIG_BITRATE};

  served_start ();
  helix_stream_server_apply (served.server);
  served_join (&peer);
  say_config (&peer, &config);
  peer_expect_refusal (&peer, HELIX_ERROR_PROTOCOL);
  AWAIT (removed, 1);
  fail_unless_equals_int (served_now (&served.requests), 0);
}
GST_END_TEST;

/* ---- SHOW ---- */

GST_START_TEST (test_show)
{
  start_steered ();
  say_show (&peer, 12);
  AWAIT (shows, 1);
  fail_unless_equals_int (served.last_show.resource_id, 12);
  fail_unless_equals_uint64 (served.last_show.capture_ns, 5);
  say_show (&peer, SERVED_NO_RESOURCE);
  expect_error (&peer, HELIX_ERROR_NO_RESOURCE, HELIX_SHOW);
}
GST_END_TEST;

/* Who was killed cannot ask for the scanout again: it comes back by itself. */
GST_START_TEST (test_show_and_die)
{
  start_steered ();
  say_show (&peer, 12);
  AWAIT (shows, 1);
  fail_unless_equals_int (served_now (&served.requests), 0);
  peer_clear (&peer);
  AWAIT (requests, 1);
  fail_unless_equals_int (served.last_request.fields, HELIX_CONFIG_RESOURCE);
  fail_unless_equals_int (served.last_request.resource_id, 0);
}
GST_END_TEST;

/* ---- the control role ---- */

/* No stream, no place of a client that watches, no announcement; but a
 * keyframe when asked for, and a place of its own that is not endless. */
GST_START_TEST (test_control_role)
{
  struct helix_keyframe keyframe = {.last_sequence = HELIX_NONE64};
  StreamPeer peer[HELIX_STREAM_SERVER_MAX_CONTROL], one_more, watching;

  served_start_with (TRUE, NULL, 1, TRUE);
  served_set_caps ();
  for (guint i = 0; i < G_N_ELEMENTS (peer); i++)
    control (&peer[i]);
  peer_connect (&one_more, served.path);
  peer_hello_as (&one_more, NULL, HELIX_ROLE_CONTROL);
  peer_expect_refusal (&one_more, HELIX_ERROR_BUSY);
  peer_clear (&one_more);
  fail_unless_equals_int (helix_stream_server_clients (served.server), 0);
  fail_unless_equals_int (served_now (&served.keyframes), 0);
  peer_send (&peer[0], message, helix_pack_keyframe (message, &keyframe));
  AWAIT (keyframes, 1);

  served_join (&watching);
  AWAIT (added, 1);
  fail_unless_equals_int (helix_stream_server_clients (served.server), 1);
  served_push (0, TRUE, 100);
  peer_expect (&watching, HELIX_UNIT);
  /* The first thing to come is the answer to LIST: no CAPS, no UNIT. */
  peer_send (&peer[0], message, helix_pack_empty (message, HELIX_LIST, 0));
  fail_unless_equals_int (peer_next (&peer[0]), HELIX_STATUS);
  for (guint i = 0; i < G_N_ELEMENTS (peer); i++)
    peer_clear (&peer[i]);
  peer_clear (&watching);
}
GST_END_TEST;

/* One that watched and now only steers is one viewer less. */
GST_START_TEST (test_change_of_role)
{
  served_start ();
  served_set_caps ();
  served_join (&peer);
  AWAIT (added, 1);
  peer_hello_as (&peer, NULL, HELIX_ROLE_CONTROL);
  fail_unless_equals_int (peer_next (&peer), HELIX_WELCOME);
  AWAIT (removed, 1);
  fail_unless_equals_int (helix_stream_server_clients (served.server), 0);
  served_push (0, TRUE, 100);
  peer_hello_as (&peer, NULL, HELIX_ROLE_STREAM);
  fail_unless_equals_int (peer_next (&peer), HELIX_WELCOME);
  AWAIT (added, 2);
  served_push (1, TRUE, 100);
  peer_expect (&peer, HELIX_UNIT);
  fail_unless_equals_int (served_number_of (&peer), 1);
}
GST_END_TEST;

/* ---- LIST ---- */

static void
next_client (StreamPeer *peer, struct helix_client *client, gchar *name)
{
  const gchar *why;

  fail_unless_equals_int (peer_next (peer), HELIX_CLIENT);
  fail_unless (helix_unpack_client (
      client, name, peer->reader.payload, peer->reader.payload_size, &why));
}

/* A unit that was captured `captured` and pushed `pushed` before it is here. */
static void
push_aged (guint64 captured, guint64 pushed)
{
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, 10, NULL);
  struct helix_unit head = {.flags = HELIX_UNIT_KEY,
      .dts = HELIX_NONE64,
      .duration = HELIX_NONE64,
      .sent_ns = helix_now_ns ()};

  head.capture_ns =
      captured == HELIX_NONE64 ? captured : head.sent_ns - captured;
  helix_stream_server_push (
      served.server, buffer, &head, head.sent_ns - pushed);
  gst_buffer_unref (buffer);
}

/* Says LIST: STATUS is next. */
static void
ask_status (StreamPeer *asking, struct helix_status *status, gchar *text)
{
  const gchar *why;

  peer_send (asking, message, helix_pack_empty (message, HELIX_LIST, 0));
  fail_unless_equals_int (peer_next (asking), HELIX_STATUS);
  fail_unless (helix_unpack_status (
      status, text, asking->reader.payload, asking->reader.payload_size, &why));
}

static guint32
ask_encode_us (StreamPeer *asking)
{
  gchar text[HELIX_MAX_TEXT + 1], name[HELIX_MAX_NAME + 1];
  struct helix_status status;
  struct helix_client client;

  ask_status (asking, &status, text);
  next_client (asking, &client, name);
  return status.encode_us;
}

/* How long the encoder has a picture, which repetitions do not change. */
GST_START_TEST (test_list_encode)
{
  served_start ();
  served_set_caps ();
  control (&peer);
  fail_unless_equals_int (ask_encode_us (&peer), 0);
  push_aged (900 * GST_MSECOND, 760 * GST_MSECOND);
  fail_unless_equals_int (ask_encode_us (&peer), 760000);
  push_aged (HELIX_NONE64, 800 * GST_MSECOND);
  fail_unless_equals_int (ask_encode_us (&peer), 760000);
  push_aged (20 * GST_MSECOND, 3 * GST_MSECOND);
  fail_unless_equals_int (ask_encode_us (&peer), 3000);
}
GST_END_TEST;

GST_START_TEST (test_list)
{
  struct helix_stats stats = {
      .units = 1, .bytes = 100, .last_sequence = 0, .latency_ns = 12345};
  gchar text[HELIX_MAX_TEXT + 1], name[HELIX_MAX_NAME + 1];
  struct helix_status status;
  struct helix_client client;
  StreamPeer watching;

  served_start ();
  served_set_caps ();
  served_join (&watching);
  AWAIT (added, 1);
  control (&peer);
  ask_status (&peer, &status, text);
  fail_unless_equals_uint64 (status.last_ns, HELIX_NONE64);
  next_client (&peer, &client, name);
  fail_unless_equals_uint64 (client.received, HELIX_NONE64);
  fail_unless_equals_uint64 (client.latency_ns, HELIX_NONE64);
  fail_unless_equals_uint64 (client.last_ns, HELIX_NONE64);
  next_client (&peer, &client, name);

  served_push (0, TRUE, 100);
  served_push (1, FALSE, 50);
  peer_expect (&watching, HELIX_UNIT);
  peer_expect (&watching, HELIX_UNIT);
  peer_send (&watching, message, helix_pack_stats (message, &stats));
  served_list (&watching);
  ask_status (&peer, &status, text);
  fail_unless_equals_string (text, "x264enc, H.264 640x480");
  fail_unless (status.uptime_ns > 0 && status.uptime_ns < 600 * GST_SECOND);
  fail_unless_equals_uint64 (status.frames, 2);
  fail_unless_equals_uint64 (status.bytes, 150);
  fail_unless_equals_uint64 (status.keyframes, 1);
  fail_unless_equals_uint64 (status.dropped, 0);
  fail_unless (status.last_ns < status.uptime_ns);
  fail_unless_equals_int (status.clients, 2);
  fail_unless_equals_int (status.width, 640);
  fail_unless_equals_int (status.height, 480);

  next_client (&peer, &client, name);
  fail_unless_equals_int (client.index, 0);
  fail_unless_equals_int (client.flags, 0);
  fail_unless_equals_int (client.pid, 0);
  fail_unless_equals_int (client.role, HELIX_ROLE_STREAM);
  fail_unless (g_str_has_prefix (name, "test, unix:pid="), "%s", name);
  fail_unless_equals_uint64 (client.frames, 2);
  fail_unless_equals_uint64 (client.received, 1);
  fail_unless_equals_uint64 (client.latency_ns, 12345);
  fail_unless (client.last_ns < client.connected_ns);
  next_client (&peer, &client, name);
  fail_unless_equals_int (client.index, 1);
  fail_unless_equals_int (client.flags, HELIX_CLIENT_YOU);
  fail_unless_equals_int (client.role, HELIX_ROLE_CONTROL);
  fail_unless_equals_int (client.pid, 0);
  peer_clear (&watching);
}
GST_END_TEST;

/* Who asks without reading costs no memory, and the others nothing. */
static guint8 lists[HELIX_HEADER_SIZE * 1000];

static void
send_lists (StreamPeer *peer, guint n)
{
  for (guint i = 0; i < n; i++)
    helix_pack_empty (lists + i * HELIX_HEADER_SIZE, HELIX_LIST, 0);
  peer_send (peer, lists, n * HELIX_HEADER_SIZE);
}

/* Each LIST gets an answer, or is refused: a client that counts answers does
 * not hang. */
GST_START_TEST (test_lists_together)
{
  guint asked = __i__ == 0 ? 3 : 1000, answered = 0, refused = 0;
  guint8 message[HELIX_MAX_MESSAGE];
  struct helix_error error;
  gchar text[HELIX_MAX_TEXT + 1];
  const gchar *why;

  served_start ();
  control (&peer);
  send_lists (&peer, asked);
  while (answered + refused < asked) {
    switch (peer_next (&peer)) {
      case HELIX_STATUS:
        answered++;
        fail_unless_equals_int (peer_next_any (&peer), HELIX_CLIENT);
        break;
      case HELIX_ERROR:
        refused++;
        fail_unless (helix_unpack_error (
            &error, text, peer.reader.payload, peer.reader.payload_size, &why));
        fail_unless_equals_int (error.code, HELIX_ERROR_LIMIT);
        fail_unless_equals_int (error.refers, HELIX_LIST);
        break;
      default:
        fail ("type 0x%02x", peer.reader.header.type);
    }
  }
  fail_unless (answered >= MIN (asked, HELIX_LIST_BURST));
  peer_send (&peer, message, helix_pack_empty (message, HELIX_PING, 0));
  peer_expect (&peer, HELIX_PONG);
}
GST_END_TEST;

GST_START_TEST (test_list_flood)
{
  StreamPeer other;

  served_start ();
  served_join (&other);
  control (&peer);
  /* It asks and never reads, until it is got rid of. */
  for (guint i = 0; i < 200; i++)
    send_lists (&peer, 1000);
  while (peer_next_any (&peer) != 0)
    continue;
  served_list (&other);
  fail_unless_equals_int (served_now (&served.problems), 0);
  peer_clear (&other);
}
GST_END_TEST;

/* ---- the cursor ---- */

/* Sends the cursor at `x`; with a shape of `serial` if `size` is not 0, each
 * byte of which is the serial. */
static gboolean
point (guint x, guint32 serial, guint size)
{
  struct helix_cursor cursor = {.flags = HELIX_CURSOR_VISIBLE,
      .x = x,
      .y = (guint32) -3,
      .serial = serial,
      .width = size,
      .height = size};
  GstBuffer *shape = NULL;
  gboolean taken;

  if (size > 0) {
    shape = gst_buffer_new_allocate (NULL, (gsize) size * size * 4, NULL);
    gst_buffer_memset (shape, 0, (guint8) serial, (gsize) size * size * 4);
  }
  taken = helix_stream_server_cursor (served.server, &cursor, shape);
  gst_clear_buffer (&shape);
  return taken;
}

/* The next message is a CURSOR at `x`; its shape follows, or is `serial`. */
static void
expect_cursor (StreamPeer *peer, guint x, guint32 serial, gboolean shape)
{
  fail_unless_equals_int (peer_next (peer), HELIX_CURSOR);
  fail_unless_equals_int (peer->cursor.x, x);
  fail_unless_equals_int (peer->cursor.y, (guint32) -3);
  fail_unless_equals_int (peer->cursor.serial, serial);
  fail_unless_equals_int (peer->cursor.flags,
      HELIX_CURSOR_VISIBLE | (shape ? HELIX_CURSOR_SHAPE : 0));
  fail_unless_equals_int (peer->reader.bulk_size > 0, shape);
  if (shape)
    fail_unless_equals_int (peer->bulk[peer->reader.bulk_size - 1], serial);
}

/* A shape is sent once to each, with the first message that it gets. */
GST_START_TEST (test_cursor_shape_once)
{
  StreamPeer early, late;

  served_start ();
  served_join (&early);
  AWAIT (added, 1);
  fail_unless (point (10, 1, 32));
  expect_cursor (&early, 10, 1, TRUE);
  fail_unless (point (11, 1, 0));
  expect_cursor (&early, 11, 1, FALSE);
  fail_unless_equals_int (early.cursor.width, 32);
  served_join (&late);
  expect_cursor (&late, 11, 1, TRUE);
  fail_unless (point (12, 2, 256));
  expect_cursor (&early, 12, 2, TRUE);
  expect_cursor (&late, 12, 2, TRUE);
  fail_unless (point (13, 2, 0));
  expect_cursor (&late, 13, 2, FALSE);

  /* A session that starts anew knows nothing. */
  peer_hello (&early, NULL);
  expect_cursor (&early, 13, 2, FALSE);
  fail_unless_equals_int (peer_next (&early), HELIX_WELCOME);
  expect_cursor (&early, 13, 2, TRUE);
  peer_clear (&early);
  peer_clear (&late);
}
GST_END_TEST;

/* A shape that was never seen is not named. */
GST_START_TEST (test_cursor_unknown_shape)
{
  served_start ();
  served_join (&peer);
  AWAIT (added, 1);
  fail_unless (point (1, 9, 0));
  expect_cursor (&peer, 1, 0, FALSE);
  fail_unless_equals_int (peer.cursor.width, 0);
  fail_unless (point (2, 3, 16));
  expect_cursor (&peer, 2, 3, TRUE);
  fail_unless (point (3, 4, 0));
  expect_cursor (&peer, 3, 0, FALSE);
}
GST_END_TEST;

GST_START_TEST (test_bad_cursor)
{
  struct helix_cursor cursor = {.scanout = 16};

  served_start ();
  served_join (&peer);
  AWAIT (added, 1);
  fail_if (helix_stream_server_cursor (served.server, &cursor, NULL));
  fail_if (point (1, 0, 16));
  fail_if (point (1, 1, 257));
  fail_unless (point (2, 1, 1));
  expect_cursor (&peer, 2, 1, TRUE);
}
GST_END_TEST;

/* Clients that only steer get none. */
GST_START_TEST (test_cursor_not_for_control)
{
  served_start ();
  fail_unless (point (1, 1, 16));
  control (&peer);
  fail_unless (point (2, 1, 0));
  served_list (&peer);
  served_hello (&peer);
  expect_cursor (&peer, 2, 1, TRUE);
}
GST_END_TEST;

/* One that takes nothing more gets the newest position, once, and not behind
 * all the units that wait for it. */
GST_START_TEST (test_cursor_backlog)
{
  guint units_before = 0, cursors = 0, n = 0;
  StreamPeer slow;

  served_start ();
  served_set_caps ();
  served_join (&slow);
  AWAIT (added, 1);
  fail_unless (point (0, 1, 256));
  expect_cursor (&slow, 0, 1, TRUE);
  /* Until some wait in the server, and no more go. */
  do
    served_push (n, n == 0, 50000);
  while (n++ < 25 && served_client_stat (0, "queued-units") < 10);
  fail_unless (served_client_stat (0, "queued-units") >= 10);
  for (guint x = 1; x <= 1000; x++)
    fail_unless (point (x, x <= 500 ? 1 : 2, x == 501 ? 256 : 0));
  fail_unless_equals_int (served_client_stat (0, "dropped"), 0);

  for (guint units = 0; units < n;) {
    guint type = peer_next (&slow);

    if (type == HELIX_CURSOR) {
      cursors++;
      units_before = units;
      fail_unless_equals_int (slow.cursor.x, 1000);
      fail_unless_equals_int (slow.cursor.serial, 2);
      fail_unless (slow.cursor.flags & HELIX_CURSOR_SHAPE);
    } else if (type == HELIX_UNIT) {
      units++;
    }
  }
  fail_unless_equals_int (cursors, 1);
  fail_unless (units_before <= n - 9, "behind %u of %u units", units_before, n);
  peer_clear (&slow);
}
GST_END_TEST;

/* What waits when a backlog is thrown away is not lost with it. */
GST_START_TEST (test_cursor_survives_overflow)
{
  StreamPeer slow;
  guint n = 0, type;

  served_start ();
  served_set_caps ();
  served_join (&slow);
  AWAIT (added, 1);
  do
    served_push (n, n == 0, 50000);
  while (n++ < 25 && served_client_stat (0, "queued-units") < 10);
  fail_unless (point (77, 1, 64));
  while (served_client_stat (0, "dropped") == 0)
    served_push (n++, FALSE, 50000);
  do
    type = peer_next (&slow);
  while (type != HELIX_CURSOR);
  fail_unless_equals_int (slow.cursor.x, 77);
  fail_unless (slow.cursor.flags & HELIX_CURSOR_SHAPE);
  peer_clear (&slow);
}
GST_END_TEST;

static Suite *
helix_stream_server_control_suite (void)
{
  Suite *s = suite_create ("helix-stream-server-control");
  TCase *tc = tcase_create ("control");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, served_setup, served_teardown);
  tcase_add_test (tc, test_config);
  tcase_add_test (tc, test_config_and_leave);
  tcase_add_test (tc, test_bad_config);
  tcase_add_test (tc, test_show);
  tcase_add_test (tc, test_show_and_die);
  tcase_add_test (tc, test_control_role);
  tcase_add_test (tc, test_change_of_role);
  tcase_add_test (tc, test_list);
  tcase_add_test (tc, test_list_encode);
  tcase_add_loop_test (tc, test_lists_together, 0, 2);
  tcase_add_test (tc, test_list_flood);
  tcase_add_test (tc, test_cursor_shape_once);
  tcase_add_test (tc, test_cursor_unknown_shape);
  tcase_add_test (tc, test_bad_cursor);
  tcase_add_test (tc, test_cursor_not_for_control);
  tcase_add_test (tc, test_cursor_backlog);
  tcase_add_test (tc, test_cursor_survives_overflow);
  return s;
}

GST_CHECK_MAIN (helix_stream_server_control);

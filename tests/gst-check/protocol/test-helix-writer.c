/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The order in which messages leave, whatever the socket takes at a time.
 */
#include "vectors.h"

#include "helix-writer.h"

#include <string.h>

#define MAX_IOV 7

/* What left: its bytes, and the descriptors with the place they went at. */
struct far_end {
  GByteArray *bytes;
  gint fd;
  gsize fd_at;
};

static gint sent_count, dropped_count;
static GString *done_order;

static void
note_done (void *opaque, void *data, bool sent)
{
  fail_unless (opaque == &sent_count);
  if (sent)
    sent_count++;
  else
    dropped_count++;
  if (data)
    g_string_append_c (done_order, *(const gchar *) data);
}

static struct far_end
far_end_new (void)
{
  sent_count = dropped_count = 0;
  if (done_order)
    g_string_free (done_order, TRUE);
  done_order = g_string_new (NULL);
  return (struct far_end){g_byte_array_new (), -1, 0};
}

/* One write of at most `limit` bytes, of which `taken` are taken. */
static void
send_some (
    struct helix_writer *writer, struct far_end *far, gsize limit, gsize taken)
{
  struct iovec iov[MAX_IOV];
  gsize offered = 0, left;
  gint fd, n = helix_writer_iov (writer, iov, MAX_IOV, limit, &fd);

  fail_unless (n > 0 && n <= MAX_IOV);
  for (gint i = 0; i < n; i++)
    offered += iov[i].iov_len;
  expect (offered <= limit, "%zu bytes of %zu", offered, limit);
  taken = left = MIN (taken, offered);
  if (fd >= 0 && taken > 0) {
    expect (far->fd < 0, "descriptor %d went twice", fd);
    far->fd = fd;
    far->fd_at = far->bytes->len;
  }
  for (gint i = 0; i < n && left > 0; i++) {
    gsize part = MIN (left, iov[i].iov_len);

    g_byte_array_append (far->bytes, iov[i].iov_base, (guint) part);
    left -= part;
  }
  helix_writer_sent (writer, taken);
}

static void
add (struct helix_writer *writer, guint priority, const gchar *head,
    const gchar *bulk)
{
  const struct helix_writer_extra extra = {.bulk = bulk,
      .bulk_size = bulk ? strlen (bulk) : 0,
      .done = note_done,
      .opaque = &sent_count,
      .data = (void *) head};

  helix_writer_add (
      writer, priority, (const guint8 *) head, strlen (head), &extra);
}

static void
expect_sent (struct far_end *far, const gchar *text)
{
  expect (far->bytes->len == strlen (text)
          && memcmp (far->bytes->data, text, far->bytes->len) == 0,
      "'%.*s', not '%s'", (gint) far->bytes->len,
      (const gchar *) far->bytes->data, text);
  g_byte_array_unref (far->bytes);
}

/* Control, then the cursor, then units, each in its order, in writes of any
 * size. */
GST_START_TEST (test_order)
{
  for (gsize taken = 1; taken < 20; taken++) {
    struct far_end far = far_end_new ();
    struct helix_writer writer;

    helix_writer_init (&writer);
    fail_if (helix_writer_pending (&writer));
    add (&writer, HELIX_WRITER_UNITS, "unit", "data");
    add (&writer, HELIX_WRITER_CURSOR, "cursor", "pixels");
    add (&writer, HELIX_WRITER_UNITS, "more", NULL);
    add (&writer, HELIX_WRITER_CONTROL, "pong", NULL);
    add (&writer, HELIX_WRITER_CONTROL, "error", NULL);
    fail_unless_equals_int (writer.bytes[HELIX_WRITER_CONTROL], 9);
    fail_unless_equals_int (writer.bytes[HELIX_WRITER_CURSOR], 12);
    fail_unless_equals_int (writer.count[HELIX_WRITER_UNITS], 2);
    while (helix_writer_pending (&writer))
      send_some (&writer, &far, SIZE_MAX, taken);
    fail_unless_equals_int (sent_count, 5);
    fail_unless_equals_string (done_order->str, "pecum");
    for (guint i = 0; i < HELIX_WRITER_PRIORITIES; i++)
      fail_unless (writer.bytes[i] == 0 && writer.count[i] == 0);
    expect_sent (&far, "pongerrorcursorpixelsunitdatamore");
  }
}

GST_END_TEST;

/* What has begun is finished, whatever comes: at each byte of it. */
GST_START_TEST (test_begun)
{
  for (gsize begun = 1; begun < 8; begun++) {
    struct far_end far = far_end_new ();
    struct helix_writer writer;

    helix_writer_init (&writer);
    add (&writer, HELIX_WRITER_UNITS, "unit", "data");
    add (&writer, HELIX_WRITER_UNITS, "more", NULL);
    send_some (&writer, &far, begun, SIZE_MAX);
    fail_unless (helix_writer_has_begun (&writer, HELIX_WRITER_UNITS));
    fail_if (helix_writer_has_begun (&writer, HELIX_WRITER_CONTROL));
    fail_unless_equals_int (writer.bytes[HELIX_WRITER_UNITS], 12 - begun);
    add (&writer, HELIX_WRITER_CONTROL, "pong", NULL);
    add (&writer, HELIX_WRITER_CURSOR, "cursor", NULL);
    /* It stays, too, when what waits behind it goes. */
    fail_unless_equals_int (helix_writer_drop (&writer, HELIX_WRITER_UNITS), 1);
    fail_unless_equals_int (dropped_count, 1);
    add (&writer, HELIX_WRITER_UNITS, "last", NULL);
    while (helix_writer_pending (&writer))
      send_some (&writer, &far, SIZE_MAX, SIZE_MAX);
    fail_unless_equals_int (dropped_count, 1);
    expect_sent (&far, "unitdatapongcursorlast");
  }
}

GST_END_TEST;

/* Whatever has begun, and however the rest mixes: also after some of it left or
 * was dropped. */
GST_START_TEST (test_mixed)
{
  for (guint begun = 0; begun < HELIX_WRITER_PRIORITIES; begun++) {
    struct far_end far = far_end_new ();
    struct helix_writer writer;

    helix_writer_init (&writer);
    add (&writer, begun, "begun", NULL);
    send_some (&writer, &far, 1, SIZE_MAX);
    add (&writer, HELIX_WRITER_UNITS, "u1", NULL);
    add (&writer, HELIX_WRITER_CURSOR, "c1", NULL);
    add (&writer, HELIX_WRITER_CONTROL, "p1", NULL);
    add (&writer, HELIX_WRITER_UNITS, "u2", NULL);
    add (&writer, HELIX_WRITER_CONTROL, "p2", NULL);
    add (&writer, HELIX_WRITER_CURSOR, "c2", NULL);
    send_some (&writer, &far, strlen ("egunp1p"), SIZE_MAX);
    fail_unless (helix_writer_has_begun (&writer, HELIX_WRITER_CONTROL));
    add (&writer, HELIX_WRITER_CURSOR, "c3", NULL);
    fail_unless_equals_int (
        helix_writer_drop (&writer, HELIX_WRITER_CURSOR), 3);
    add (&writer, HELIX_WRITER_UNITS, "u3", NULL);
    add (&writer, HELIX_WRITER_CURSOR, "c4", NULL);
    add (&writer, HELIX_WRITER_CONTROL, "p3", NULL);
    while (helix_writer_pending (&writer))
      send_some (&writer, &far, SIZE_MAX, SIZE_MAX);
    expect_sent (&far, "begunp1p2p3c4u1u2u3");
  }
}

GST_END_TEST;

/* However long the queue is that a peer makes, the next message costs no more:
 * walking along all of these each time takes minutes. */
GST_START_TEST (test_long)
{
  enum { MESSAGES = 200000 };
  const guint8 message[] = {1, 2, 3, 4};
  struct helix_writer writer;

  helix_writer_init (&writer);
  helix_writer_add (&writer, HELIX_WRITER_UNITS, message, sizeof message, NULL);
  for (guint i = 0; i < MESSAGES; i++)
    helix_writer_add (
        &writer, HELIX_WRITER_CONTROL, message, sizeof message, NULL);
  fail_unless_equals_int (writer.count[HELIX_WRITER_CONTROL], MESSAGES);
  helix_writer_clear (&writer);
  fail_if (helix_writer_pending (&writer));
}

GST_END_TEST;

/* A descriptor goes once, with the first byte of its message, alone. */
GST_START_TEST (test_descriptor)
{
  for (gsize taken = 1; taken < 12; taken++) {
    const struct helix_writer_extra pool = {
        .has_fd = true, .fd = 42, .done = note_done, .opaque = &sent_count};
    struct far_end far = far_end_new ();
    struct helix_writer writer;
    struct iovec iov[MAX_IOV];
    gint fd;

    helix_writer_init (&writer);
    add (&writer, HELIX_WRITER_CONTROL, "scanout", NULL);
    helix_writer_add (
        &writer, HELIX_WRITER_CONTROL, (const guint8 *) "pool", 4, &pool);
    add (&writer, HELIX_WRITER_CONTROL, "frame", NULL);
    fail_unless_equals_int (
        helix_writer_iov (&writer, iov, MAX_IOV, SIZE_MAX, &fd), 1);
    fail_unless_equals_int (fd, -1);
    while (writer.bytes[HELIX_WRITER_CONTROL] > 9)
      send_some (&writer, &far, SIZE_MAX, taken);
    /* A write that takes nothing has not passed it. */
    fail_unless_equals_int (
        helix_writer_iov (&writer, iov, MAX_IOV, SIZE_MAX, &fd), 1);
    fail_unless_equals_int (fd, 42);
    helix_writer_sent (&writer, 0);
    fail_unless_equals_int (sent_count, 1);
    while (helix_writer_pending (&writer))
      send_some (&writer, &far, SIZE_MAX, taken);
    fail_unless_equals_int (far.fd, 42);
    fail_unless_equals_int (far.fd_at, 7);
    fail_unless_equals_int (sent_count, 3);
    expect_sent (&far, "scanoutpoolframe");
  }
}

GST_END_TEST;

GST_START_TEST (test_oldest)
{
  struct far_end far = far_end_new ();
  struct helix_writer writer;

  helix_writer_init (&writer);
  fail_unless (helix_writer_oldest (&writer, HELIX_WRITER_UNITS) == 0);
  add (&writer, HELIX_WRITER_UNITS, "caps", NULL);
  fail_unless (helix_writer_oldest (&writer, HELIX_WRITER_UNITS) == 0);
  for (guint64 since = 7; since < 9; since++) {
    const struct helix_writer_extra extra = {.since = since};

    helix_writer_add (
        &writer, HELIX_WRITER_UNITS, (const guint8 *) "u", 1, &extra);
  }
  fail_unless (helix_writer_oldest (&writer, HELIX_WRITER_UNITS) == 7);
  helix_writer_clear (&writer);
  fail_unless_equals_int (dropped_count, 1);
  fail_if (helix_writer_pending (&writer));
  g_byte_array_unref (far.bytes);
}

GST_END_TEST;

/* Clearing ends a message that has begun, too, and the next one is new. */
GST_START_TEST (test_clear)
{
  struct far_end far = far_end_new ();
  struct helix_writer writer;

  helix_writer_init (&writer);
  add (&writer, HELIX_WRITER_CONTROL, "bye", NULL);
  add (&writer, HELIX_WRITER_UNITS, "unit", "data");
  send_some (&writer, &far, 5, SIZE_MAX);
  helix_writer_clear (&writer);
  fail_unless (sent_count == 1 && dropped_count == 1);
  fail_if (helix_writer_has_begun (&writer, HELIX_WRITER_UNITS));
  fail_unless_equals_int (writer.bytes[HELIX_WRITER_UNITS], 0);
  add (&writer, HELIX_WRITER_CONTROL, "welcome", NULL);
  send_some (&writer, &far, SIZE_MAX, SIZE_MAX);
  fail_unless_equals_int (sent_count, 2);
  expect_sent (&far, "byeunwelcome");
}

GST_END_TEST;

/* At random: every message arrives whole or not at all, in the order of its
 * priority, and done () is called once for each. A message is its priority,
 * its number in it, and as many bytes as it says. */
GST_START_TEST (test_random)
{
  GRand *rand = g_rand_new_with_seed (5);
  guint8 bulk[64] = {0};
  gint added = 0;

  for (guint round = 0; round < 300; round++) {
    struct far_end far = far_end_new ();
    guint8 number[HELIX_WRITER_PRIORITIES] = {0};
    gint last[HELIX_WRITER_PRIORITIES] = {-1, -1, -1};
    struct helix_writer writer;
    gsize at = 0;

    helix_writer_init (&writer);
    added = 0;
    for (guint step = 0; step < 200; step++) {
      guint priority = (guint) g_rand_int_range (rand, 0, 3);

      switch (g_rand_int_range (rand, 0, 10)) {
        case 0:
          helix_writer_drop (&writer, priority);
          break;
        case 1:
        case 2:
        case 3:
        case 4: {
          guint8 size = (guint8) g_rand_int_range (rand, 0, sizeof bulk);
          guint8 head[3] = {(guint8) priority, number[priority]++, size};
          const struct helix_writer_extra extra = {.bulk = bulk,
              .bulk_size = size,
              .done = note_done,
              .opaque = &sent_count};

          helix_writer_add (&writer, priority, head, sizeof head, &extra);
          added++;
          break;
        }
        default:
          if (helix_writer_pending (&writer))
            send_some (&writer, &far, (gsize) g_rand_int_range (rand, 1, 200),
                (gsize) g_rand_int_range (rand, 0, 200));
      }
    }
    while (helix_writer_pending (&writer))
      send_some (&writer, &far, SIZE_MAX, SIZE_MAX);
    expect (sent_count + dropped_count == added, "%d and %d of %d", sent_count,
        dropped_count, added);
    for (gint count = 0; at < far.bytes->len; count++) {
      const guint8 *head = far.bytes->data + at;

      expect (head[0] < HELIX_WRITER_PRIORITIES && head[1] > last[head[0]],
          "%d: %u of %u after %d", count, head[1], head[0], last[head[0]]);
      last[head[0]] = head[1];
      at += 3u + head[2];
    }
    expect (at == far.bytes->len, "the last message is cut");
    g_byte_array_unref (far.bytes);
  }
  g_rand_free (rand);
}

GST_END_TEST;

static Suite *
helix_writer_suite (void)
{
  Suite *suite = suite_create ("helix-writer");
  TCase *tc = tcase_create ("order");

  suite_add_tcase (suite, tc);
  tcase_set_timeout (tc, 60);
  tcase_add_test (tc, test_order);
  tcase_add_test (tc, test_begun);
  tcase_add_test (tc, test_mixed);
  tcase_add_test (tc, test_long);
  tcase_add_test (tc, test_descriptor);
  tcase_add_test (tc, test_oldest);
  tcase_add_test (tc, test_clear);
  tcase_add_test (tc, test_random);
  return suite;
}

GST_CHECK_MAIN (helix_writer);

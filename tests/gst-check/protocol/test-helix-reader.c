/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The reader: every vector in every fragmentation; and while it looks for the
 * start of a session.
 */
#include "vectors.h"

#include <string.h>

static gsize
head_size (const struct vector *v)
{
  struct helix_header header;
  const char *why = NULL;
  gsize size;

  expect (
      helix_unpack_header (&header, v->bytes, &why), "%s: %s", v->file, why);
  size = header.size;
  if (header.type == HELIX_UNIT)
    size = sizeof (struct helix_unit);
  if (header.type == HELIX_CURSOR)
    size = sizeof (struct helix_cursor);
  return HELIX_HEADER_SIZE + size;
}

/* Feeds one valid vector, `first` bytes and then the rest, at most `chunk`
 * bytes at a time, and checks everything that the reader says. */
static void
read_whole (struct helix_reader *reader, const struct vector *v, gsize first,
    gsize chunk)
{
  gsize head = head_size (v), done = 0, piece = first;
  enum helix_reader_status status = HELIX_READER_MORE;
  gboolean headed = FALSE;
  struct decode_any any;
  const char *why = NULL;
  guint8 *bulk = NULL;

  while (done < v->size) {
    if (done >= first)
      piece = v->size - done;
    else
      piece = first - done;
    done += vectors_feed (reader, v->bytes + done, piece, chunk, &status);
    if (status == HELIX_READER_HEAD) {
      expect (!headed && done == head && head < v->size, "%s: HEAD at %zu",
          v->file, done);
      expect (reader->bulk_size == v->size - head, "%s", v->file);
      headed = TRUE;
      bulk = g_malloc (reader->bulk_size);
      helix_reader_bulk (reader, bulk);
    } else if (status == HELIX_READER_MESSAGE) {
      expect (done == v->size, "%s: MESSAGE at %zu", v->file, done);
    } else {
      expect (status == HELIX_READER_MORE, "%s: %s", v->file, reader->why);
      expect (!helix_reader_idle (reader), "%s: idle at %zu", v->file, done);
    }
  }
  expect (status == HELIX_READER_MESSAGE, "%s: no MESSAGE", v->file);
  expect (headed == (head < v->size), "%s: HEAD", v->file);
  expect (helix_reader_idle (reader), "%s: not idle", v->file);
  expect (reader->payload_size == head - HELIX_HEADER_SIZE, "%s", v->file);
  expect (memcmp (reader->payload, v->bytes + HELIX_HEADER_SIZE,
              reader->payload_size)
          == 0,
      "%s: payload differs", v->file);
  if (bulk)
    expect (memcmp (bulk, v->bytes + head, v->size - head) == 0,
        "%s: bulk differs", v->file);
  expect (decode_any (&any, &reader->header, reader->payload,
              reader->payload_size, &why),
      "%s: %s", v->file, why);
  g_free (bulk);
}

GST_START_TEST (test_every_fragmentation)
{
  struct helix_reader reader;
  const struct vector *all;
  guint i, n;
  gsize at;

  all = vectors_get (&n);
  helix_reader_init (&reader);
  for (i = 0; i < n; i++) {
    if (!all[i].valid)
      continue;
    read_whole (&reader, &all[i], 0, G_MAXSIZE);
    for (at = 1; at < all[i].size; at++) {
      read_whole (&reader, &all[i], at, G_MAXSIZE); /* two pieces */
      read_whole (&reader, &all[i], 0, at);         /* pieces of that size */
    }
  }
}

GST_END_TEST;

/* What is cut off at any byte is no message, and what the unpackers say of
 * the part that did come is never out of bounds (AddressSanitizer looks). */
GST_START_TEST (test_truncated_at_every_byte)
{
  enum helix_reader_status status;
  struct helix_reader reader;
  const struct vector *all;
  gsize at, done;
  guint i, n;

  all = vectors_get (&n);
  for (i = 0; i < n; i++) {
    for (at = 0; at < all[i].size; at++) {
      helix_reader_init (&reader);
      status = HELIX_READER_MORE;
      for (done = 0; done < at && status != HELIX_READER_ERROR;) {
        done += vectors_feed (
            &reader, all[i].bytes + done, at - done, G_MAXSIZE, &status);
        expect (status != HELIX_READER_MESSAGE, "%s at %zu of %zu", all[i].file,
            done, all[i].size);
      }
      if (all[i].valid) {
        expect (status != HELIX_READER_ERROR, "%s at %zu: %s", all[i].file, at,
            reader.why);
        expect (helix_reader_idle (&reader) == (at == 0), "%s at %zu",
            all[i].file, at);
      }
    }
  }
}

GST_END_TEST;

GST_START_TEST (test_coalesced)
{
  GByteArray *stream = g_byte_array_new ();
  GRand *rand = g_rand_new_with_seed (20);
  struct helix_reader reader;
  const struct vector *all;
  guint i, n, round;
  gsize done, chunk;

  all = vectors_get (&n);
  for (i = 0; i < n; i++) {
    if (all[i].valid)
      g_byte_array_append (stream, all[i].bytes, all[i].size);
  }
  for (round = 0; round < 300; round++) {
    helix_reader_init (&reader);
    for (i = 0, done = 0; i < n; i++) {
      enum helix_reader_status status = HELIX_READER_MORE;
      gsize end = done + all[i].size;

      if (!all[i].valid)
        continue;
      while (status != HELIX_READER_MESSAGE) {
        chunk = round < 64 ? round + 1 : (gsize) g_rand_int_range (rand, 1, 99);
        /* The whole rest of the stream is on offer: the reader must not take
         * a byte of the next message. */
        done += vectors_feed (
            &reader, stream->data + done, stream->len - done, chunk, &status);
        expect (
            status != HELIX_READER_ERROR, "%s: %s", all[i].file, reader.why);
        expect (done <= end, "%s: read beyond its end", all[i].file);
      }
      expect (done == end, "%s", all[i].file);
    }
    expect (done == stream->len, "%zu of %u", done, stream->len);
  }
  g_rand_free (rand);
  g_byte_array_unref (stream);
}

GST_END_TEST;

/* Each malformed message is refused, with the sentence of the index, by the
 * reader or by the unpacker; what the unpacker refuses does not disturb the
 * message behind it. */
GST_START_TEST (test_malformed)
{
  const struct vector *all, *ping = vectors_find ("valid/ping-stamped.hex");
  enum helix_reader_status status;
  struct helix_reader reader;
  struct decode_any any;
  const char *why;
  gsize chunk, done;
  guint i, n;

  all = vectors_get (&n);
  for (i = 0; i < n; i++) {
    for (chunk = 1; !all[i].valid && chunk <= all[i].size; chunk++) {
      why = NULL;
      helix_reader_init (&reader);
      done = 0;
      do
        done += vectors_feed (
            &reader, all[i].bytes + done, all[i].size - done, chunk, &status);
      while (status == HELIX_READER_HEAD);
      if (all[i].in_header) {
        expect (status == HELIX_READER_ERROR, "%s is accepted", all[i].file);
        expect (g_strcmp0 (reader.why, all[i].expect) == 0, "%s: '%s'",
            all[i].file, reader.why);
        vectors_feed (&reader, ping->bytes, ping->size, chunk, &status);
        expect (status == HELIX_READER_ERROR, "%s is forgotten", all[i].file);
        continue;
      }
      expect (
          status == HELIX_READER_MESSAGE, "%s: %s", all[i].file, reader.why);
      expect (!decode_any (&any, &reader.header, reader.payload,
                  reader.payload_size, &why),
          "%s is accepted", all[i].file);
      expect (
          g_strcmp0 (why, all[i].expect) == 0, "%s: '%s'", all[i].file, why);
      read_whole (&reader, ping, 0, chunk);
    }
  }
}

GST_END_TEST;

/* Without a place to go, bulk bytes are dropped, the head stays readable. */
GST_START_TEST (test_bulk_dropped)
{
  struct helix_unit unit = {1, 2, 3, 4, 5, 6, 7, HELIX_UNIT_KEY};
  const uint32_t data = 2000000;
  guint8 *bytes = g_malloc (HELIX_MAX_MESSAGE + data);
  enum helix_reader_status status;
  struct helix_reader reader;
  const char *why = NULL;
  gsize size, done;

  size = helix_pack_unit (bytes, &unit, data);
  memset (bytes + size, 0xA5, data);
  helix_reader_init (&reader);
  done = vectors_feed (&reader, bytes, size + data, G_MAXSIZE, &status);
  expect (
      status == HELIX_READER_HEAD && done == size, "%d at %zu", status, done);
  expect (reader.bulk_size == data, "%u", reader.bulk_size);
  done += vectors_feed (
      &reader, bytes + done, size + data - done, G_MAXSIZE, &status);
  expect (status == HELIX_READER_MESSAGE && done == size + data, "%d at %zu",
      status, done);
  expect (helix_unpack_unit (&unit, reader.payload, reader.payload_size,
              reader.header.size, &why),
      "%s", why);
  expect (unit.sequence == 1 && unit.caps_id == 7, "the head is damaged");
  g_free (bytes);
}

GST_END_TEST;

/* A reader that is told of more bytes than it had room for does not go on. */
GST_START_TEST (test_misuse)
{
  struct helix_reader reader;
  uint8_t *ptr;
  size_t len;

  helix_reader_init (&reader);
  helix_reader_want (&reader, &ptr, &len);
  expect (helix_reader_got (&reader, 0) == HELIX_READER_MORE, "nothing came");
  expect (helix_reader_idle (&reader), "nothing came");
  expect (helix_reader_got (&reader, len + 1) == HELIX_READER_ERROR, "misuse");
  expect (reader.why && !helix_reader_idle (&reader), "misuse");
  helix_reader_want (&reader, &ptr, &len);
  expect (ptr && len > 0, "want after an error");
  expect (helix_reader_got (&reader, 1) == HELIX_READER_ERROR, "sticky");
  helix_reader_init (&reader);
  read_whole (&reader, vectors_find ("valid/ping-bare.hex"), 0, 5);
}

GST_END_TEST;

/* ---- scanning, where leftovers of the last session come first ---- */

#define NONCE G_GUINT64_CONSTANT (0x0123456789abcdef) /* of the vectors */

/* Feeds all of it, which must end with the message looked for, and checks
 * that it was found at its end, not earlier and not later, in pieces of any
 * size. */
static void
expect_found (const GByteArray *stream, enum helix_type type, guint64 nonce,
    const struct vector *v)
{
  gsize chunk;

  for (chunk = 1; chunk <= 64; chunk++) {
    struct helix_reader reader;
    enum helix_reader_status status;
    gsize done;

    helix_reader_scan (&reader, type, nonce);
    expect (!helix_reader_idle (&reader), "a scan is never idle");
    done = vectors_feed (&reader, stream->data, stream->len, chunk, &status);
    expect (
        status == HELIX_READER_MESSAGE, "chunk %zu: status %d", chunk, status);
    expect (done == stream->len, "chunk %zu: found at %zu of %u", chunk, done,
        stream->len);
    expect (reader.header.type == type, "type %d", reader.header.type);
    expect (reader.payload_size == v->size - 12
            && memcmp (reader.payload, v->bytes + 12, v->size - 12) == 0,
        "chunk %zu: payload differs", chunk);
    expect (reader.skipped == stream->len - v->size,
        "skipped %" G_GUINT64_FORMAT, reader.skipped);

    /* Strict again: what follows is read, what is wrong is an error. */
    expect (helix_reader_idle (&reader), "not idle after it");
    v = vectors_find ("valid/ping-stamped.hex");
    vectors_feed (&reader, v->bytes, v->size, chunk, &status);
    expect (status == HELIX_READER_MESSAGE && reader.header.type == HELIX_PING,
        "status %d", status);
    vectors_feed (&reader, stream->data, 12, chunk, &status);
    expect (stream->data[0] == 'H' || status == HELIX_READER_ERROR,
        "garbage is accepted after the scan");
    v = type == HELIX_HELLO ? vectors_find ("valid/hello-stream.hex")
                            : vectors_find ("valid/welcome-stream.hex");
  }
}

static void
append (GByteArray *stream, const struct vector *v)
{
  g_byte_array_append (stream, v->bytes, (guint) v->size);
}

GST_START_TEST (test_garbage)
{
  const struct vector *hello = vectors_find ("valid/hello-stream.hex");
  GRand *rand = g_rand_new_with_seed (7);
  guint round, i;

  for (round = 0; round < 60; round++) {
    GByteArray *stream = g_byte_array_new ();
    /* Nothing, less than the reader keeps, and more. */
    guint len = (guint) g_rand_int_range (rand, 0, round < 50 ? 3000 : 20000);

    for (i = 0; i < len; i++) {
      /* Mostly bytes of the magic, so that it is often half there. */
      guint8 byte = (guint8) "HXFRHHXFX\0@"[g_rand_int_range (rand, 0, 11)];

      g_byte_array_append (stream, &byte, 1);
    }
    append (stream, hello);
    expect_found (stream, HELIX_HELLO, 0, hello);
    g_byte_array_unref (stream);
  }
  g_rand_free (rand);
}

GST_END_TEST;

/* Every vector, cut off anywhere, then the padding that a guest sends, then
 * its HELLO. Cut off HELLOs may be completed by the padding: then that one is
 * found, and the true one right behind it. */
GST_START_TEST (test_half_messages)
{
  const struct vector *hello = vectors_find ("valid/hello-stream.hex");
  static const guint8 pad[HELIX_MAX_MESSAGE];
  const struct vector *all;
  guint i, n;
  gsize cut;

  all = vectors_get (&n);
  for (i = 0; i < n; i++) {
    for (cut = 0; cut <= all[i].size; cut += 1 + cut / 16) {
      GByteArray *stream = g_byte_array_new ();
      enum helix_reader_status status;
      struct helix_reader reader;
      gsize done = 0;

      g_byte_array_append (stream, all[i].bytes, (guint) cut);
      g_byte_array_append (stream, pad, sizeof pad);
      append (stream, hello);
      do {
        helix_reader_scan (&reader, HELIX_HELLO, 0);
        done += vectors_feed (&reader, stream->data + done, stream->len - done,
            G_MAXSIZE, &status);
      } while (done < stream->len);
      expect (
          status == HELIX_READER_MESSAGE, "%s cut at %zu", all[i].file, cut);
      expect (reader.payload_size == hello->size - 12
              && memcmp (reader.payload, hello->bytes + 12, hello->size - 12)
                  == 0,
          "%s cut at %zu: payload differs", all[i].file, cut);
      g_byte_array_unref (stream);
    }
  }
}

GST_END_TEST;

/* The host's end of a serial line: it reads strictly until something has no
 * magic, and then scans. Whatever half message a guest left, the padding and
 * HELLO of the next one bring it there. */
GST_START_TEST (test_restart_from_strict)
{
  const struct vector *hello = vectors_find ("valid/hello-stream.hex");
  static const guint8 pad[HELIX_HELLO_PAD];
  static guint8 longest[HELIX_MAX_MESSAGE] = {
      'H', 'X', 'F', 'R', HELIX_STATS, 0, 0, 0, 0x00, 0x10, 0, 0};
  const struct vector *all;
  guint i, n;
  gsize cut;

  all = vectors_get (&n);
  memset (longest + HELIX_HEADER_SIZE, 0xFF, HELIX_MAX_CONTROL);
  for (i = 0; i <= n; i++) {
    const guint8 *bytes = i < n ? all[i].bytes : longest;
    gsize size = i < n ? all[i].size : sizeof longest;

    /* What a guest sends: no units. */
    if (i < n && (!all[i].valid || bytes[4] == HELIX_UNIT))
      continue;
    for (cut = 0; cut <= size; cut++) {
      GByteArray *stream = g_byte_array_new ();
      enum helix_reader_status status;
      struct helix_reader reader;
      gboolean scanned = FALSE;
      gsize done = 0;

      g_byte_array_append (stream, bytes, (guint) cut);
      g_byte_array_append (stream, pad, sizeof pad);
      append (stream, hello);
      helix_reader_init (&reader);
      while (done < stream->len) {
        done += vectors_feed (&reader, stream->data + done, stream->len - done,
            G_MAXSIZE, &status);
        if (status == HELIX_READER_ERROR) {
          scanned = TRUE;
          helix_reader_scan (&reader, HELIX_HELLO, 0);
        }
      }
      expect (
          status == HELIX_READER_MESSAGE && scanned, "%u cut at %zu", i, cut);
      expect (reader.header.type == HELIX_HELLO
              && reader.payload_size == hello->size - 12
              && memcmp (reader.payload, hello->bytes + 12, hello->size - 12)
                  == 0,
          "%u cut at %zu: not the HELLO", i, cut);
      g_byte_array_unref (stream);
    }
  }
}

GST_END_TEST;

/* A magic in garbage may claim many bytes that contain the true message. The
 * sender of that one waits for its answer, so it must be found at its last
 * byte, and not when the false one would be complete. */
GST_START_TEST (test_false_magic)
{
  static const guint8 sizes[] = {31, 32, 60, 200, 255};
  const struct vector *hello = vectors_find ("valid/hello-stream.hex");
  const struct vector *welcome = vectors_find ("valid/welcome-stream.hex");
  guint i, gap, high;

  for (i = 0; i < G_N_ELEMENTS (sizes); i++) {
    for (high = 0; high < 16; high += 5) {
      for (gap = 0; gap < 40; gap += 3) {
        guint8 head[12] = {'H', 'X', 'F', 'R', HELIX_HELLO, 0, 0, 0, sizes[i],
            (guint8) high, 0, 0};
        GByteArray *stream = g_byte_array_new ();
        static const guint8 zeros[40];

        g_byte_array_append (stream, head, sizeof head);
        g_byte_array_append (stream, zeros, gap);
        append (stream, hello);
        expect_found (stream, HELIX_HELLO, 0, hello);
        stream->data[4] = HELIX_WELCOME;
        g_byte_array_set_size (stream, sizeof head + gap);
        append (stream, welcome);
        expect_found (stream, HELIX_WELCOME, NONCE, welcome);
        g_byte_array_unref (stream);
      }
    }
  }
}

GST_END_TEST;

/* A WELCOME of another session, also within a unit's data, is not ours. */
GST_START_TEST (test_wrong_nonce)
{
  const struct vector *welcome = vectors_find ("valid/welcome-stream.hex");
  const struct vector *frames = vectors_find ("valid/welcome-frames.hex");
  GByteArray *stream = g_byte_array_new ();
  const struct helix_unit unit = {1, 2, 3, 4, 5, 6, 7, 0};
  guint8 head[HELIX_MAX_MESSAGE];
  gsize size = helix_pack_unit (head, &unit, (guint32) welcome->size);
  enum helix_reader_status status;
  struct helix_reader reader;

  append (stream, welcome);
  helix_reader_scan (&reader, HELIX_WELCOME, NONCE + 1);
  vectors_feed (&reader, stream->data, stream->len, G_MAXSIZE, &status);
  expect (status == HELIX_READER_MORE, "a foreign WELCOME is accepted");

  g_byte_array_set_size (stream, 0);
  g_byte_array_append (stream, head, (guint) size);
  append (stream, frames);
  stream->data[size + 12 + 16] ^= 0x10; /* its nonce */
  g_byte_array_append (stream, head, 40);
  append (stream, frames);
  stream->data[stream->len - frames->size + 12 + 16 + 7] ^= 0x80;
  append (stream, welcome);
  expect_found (stream, HELIX_WELCOME, NONCE, welcome);
  g_byte_array_unref (stream);
}

GST_END_TEST;

/* A refusal is told while the scan for WELCOME goes on; other errors and
 * other messages are leftovers. */
GST_START_TEST (test_refusal)
{
  const struct vector *welcome = vectors_find ("valid/welcome-stream.hex");
  GByteArray *stream = g_byte_array_new ();
  guint8 error[HELIX_MAX_MESSAGE];
  enum helix_reader_status status;
  struct helix_reader reader;
  gsize size, done, chunk;

  append (stream, vectors_find ("valid/error-no-scanout.hex"));
  append (stream, vectors_find ("valid/unit-key.hex"));
  size =
      helix_pack_error (error, 0, HELIX_ERROR_AUTH, HELIX_HELLO, "wrong token");
  g_byte_array_append (stream, error, (guint) size);
  g_byte_array_append (stream, error, 15);
  append (stream, welcome);
  for (chunk = 1; chunk < 60; chunk++) {
    helix_reader_scan (&reader, HELIX_WELCOME, NONCE);
    done = vectors_feed (&reader, stream->data, stream->len, chunk, &status);
    expect (status == HELIX_READER_MESSAGE, "%d", status);
    expect (reader.header.type == HELIX_ERROR, "%d", reader.header.type);
    expect (reader.payload_size == size - 12
            && memcmp (reader.payload, error + 12, size - 12) == 0,
        "another error at %zu", done);
    done += vectors_feed (
        &reader, stream->data + done, stream->len - done, chunk, &status);
    expect (status == HELIX_READER_MESSAGE && done == stream->len, "%zu of %u",
        done, stream->len);
    expect (reader.header.type == HELIX_WELCOME, "%d", reader.header.type);
  }
  /* One that looks for HELLO takes no notice. */
  helix_reader_scan (&reader, HELIX_HELLO, 0);
  vectors_feed (&reader, stream->data, stream->len, 9, &status);
  expect (status == HELIX_READER_MORE, "%d", status);
  g_byte_array_unref (stream);
}

GST_END_TEST;

static Suite *
helix_reader_suite (void)
{
  Suite *suite = suite_create ("helix-reader");
  TCase *tc = tcase_create ("strict");

  tcase_set_timeout (tc, 60);
  suite_add_tcase (suite, tc);
  tcase_add_test (tc, test_every_fragmentation);
  tcase_add_test (tc, test_truncated_at_every_byte);
  tcase_add_test (tc, test_coalesced);
  tcase_add_test (tc, test_malformed);
  tcase_add_test (tc, test_bulk_dropped);
  tcase_add_test (tc, test_misuse);
  tc = tcase_create ("scan");
  tcase_set_timeout (tc, 60);
  suite_add_tcase (suite, tc);
  tcase_add_test (tc, test_garbage);
  tcase_add_test (tc, test_half_messages);
  tcase_add_test (tc, test_restart_from_strict);
  tcase_add_test (tc, test_false_magic);
  tcase_add_test (tc, test_wrong_nonce);
  tcase_add_test (tc, test_refusal);
  return suite;
}

GST_CHECK_MAIN (helix_reader);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The reader in strict mode: every vector in every fragmentation.
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

/* Vectors with bytes changed at random, in random pieces: whatever comes out,
 * it is the same in other pieces, and no memory is touched that should not
 * (under AddressSanitizer). */
GST_START_TEST (test_random_damage)
{
  GRand *rand = g_rand_new_with_seed (0x48584652);
  const struct vector *all;
  guint n, round, i;

  all = vectors_get (&n);
  for (round = 0; round < 40000; round++) {
    const struct vector *v = &all[g_rand_int_range (rand, 0, (gint32) n)];
    enum helix_reader_status one, other;
    struct helix_reader a, b;
    struct decode_any any;
    guint8 bytes[1024];
    const char *why;
    gsize taken;

    expect (v->size <= sizeof bytes, "%s", v->file);
    memcpy (bytes, v->bytes, v->size);
    for (i = (guint) g_rand_int_range (rand, 1, 4); i > 0; i--)
      bytes[g_rand_int_range (rand, 0, (gint32) v->size)] =
          (guint8) g_rand_int (rand);
    helix_reader_init (&a);
    helix_reader_init (&b);
    taken = vectors_feed (&a, bytes, v->size, G_MAXSIZE, &one);
    vectors_feed (&b, bytes, taken, 1, &other);
    expect (one == other && g_strcmp0 (a.why, b.why) == 0,
        "%s, round %u: %d and %d", v->file, round, one, other);
    if (one == HELIX_READER_HEAD || one == HELIX_READER_MESSAGE) {
      expect (a.payload_size == b.payload_size
              && memcmp (a.payload, b.payload, a.payload_size) == 0,
          "%s, round %u", v->file, round);
      decode_any (&any, &a.header, a.payload, a.payload_size, &why);
    }
  }
  g_rand_free (rand);
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
  tcase_add_test (tc, test_random_damage);
  return suite;
}

GST_CHECK_MAIN (helix_reader);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Unpacking beyond what the vectors hold: payloads of every length, all of
 * the text rules, and the edges of the limits.
 */
#include "vectors.h"

#include <string.h>

/* Bytes of the struct that a message of this type begins with. */
static gsize
struct_size (guint8 type)
{
  switch (type) {
    case HELIX_PING:
      return sizeof (struct helix_ping);
    case HELIX_PONG:
      return sizeof (struct helix_pong);
    case HELIX_HELLO:
      return sizeof (struct helix_hello);
    case HELIX_WELCOME:
      return sizeof (struct helix_welcome);
    case HELIX_PROOF:
      return sizeof (struct helix_proof);
    case HELIX_BYE:
      return sizeof (struct helix_bye);
    case HELIX_ERROR:
      return sizeof (struct helix_error);
    case HELIX_STATUS:
      return sizeof (struct helix_status);
    case HELIX_CLIENT:
      return sizeof (struct helix_client);
    case HELIX_CURSOR:
      return sizeof (struct helix_cursor);
    case HELIX_SHOW:
      return sizeof (struct helix_show);
    case HELIX_SET_SCANOUT:
      return sizeof (struct helix_set_scanout);
    case HELIX_SUBSCRIBE:
      return sizeof (struct helix_subscribe);
    case HELIX_SCANOUT:
      return sizeof (struct helix_scanout);
    case HELIX_POOL:
      return sizeof (struct helix_pool);
    case HELIX_FRAME:
      return sizeof (struct helix_frame);
    case HELIX_RELEASE:
      return sizeof (struct helix_release);
    case HELIX_CAPS:
      return sizeof (struct helix_caps);
    case HELIX_UNIT:
      return sizeof (struct helix_unit);
    case HELIX_KEYFRAME:
      return sizeof (struct helix_keyframe);
    case HELIX_CONFIG:
      return sizeof (struct helix_config);
    case HELIX_STATS:
      return sizeof (struct helix_stats);
    default:
      return 0;
  }
}

/* Every payload that is shorter than its struct is refused by a sentence that
 * begins with the message's name, and no byte beyond its end is looked at:
 * the copy has exactly that size, for AddressSanitizer to see. */
GST_START_TEST (test_every_length)
{
  const struct vector *all;
  guint i, n;
  gsize size;

  all = vectors_get (&n);
  for (i = 0; i < n; i++) {
    const guint8 *payload = all[i].bytes + HELIX_HEADER_SIZE;
    struct helix_header header;
    struct decode_any any;
    const char *why = NULL;

    if (!all[i].valid)
      continue;
    expect (helix_unpack_header (&header, all[i].bytes, &why), "%s", why);
    for (size = 0; size <= header.size; size++) {
      guint8 *copy = g_memdup2 (payload, size);
      gboolean good;

      /* So that an empty payload is not NULL by chance only. */
      good = decode_any (&any, &header, copy, size, &why);
      if (size < struct_size (header.type)
          && !(size == 0 && header.type <= HELIX_PONG)) {
        expect (!good, "%s cut to %zu is accepted", all[i].file, size);
        expect (
            g_str_has_prefix (why, helix_type_name (header.type)), "%s", why);
      }
      g_free (copy);
    }
  }
}

GST_END_TEST;

static void
expect_text (const char *bytes, gsize size, const char *text)
{
  guint8 payload[8 + HELIX_MAX_TEXT + 64] = {7, 0, 0, 0, 0};
  char got[HELIX_MAX_TEXT + 1];
  struct helix_error error;
  const char *why = NULL;

  memcpy (payload + 8, bytes, size);
  expect (helix_unpack_error (&error, got, payload, 8 + size, &why), "%s", why);
  expect (g_utf8_validate (got, -1, NULL), "'%s' is not UTF-8", got);
  expect (strcmp (got, text) == 0, "'%s' is not '%s'", got, text);
}

#define EXPECT_TEXT(bytes, text) expect_text (bytes, sizeof (bytes) - 1, text)

GST_START_TEST (test_hostile_text)
{
  const struct vector *v = vectors_find ("valid/error-hostile-text.hex");
  GRand *rand = g_rand_new_with_seed (3);
  guint round, i;

  expect_text (
      (const char *) v->bytes + 20, v->size - 20, "a?[31m b ?? ?\xc3\xa9 ?");
  EXPECT_TEXT ("", "");
  EXPECT_TEXT ("plain", "plain");
  EXPECT_TEXT ("a\r\n\tb", "a   b");
  EXPECT_TEXT ("\0\0", "??");
  EXPECT_TEXT ("\x7f\x1b", "??");
  EXPECT_TEXT ("\xc2\x85", "?");            /* U+0085, a C1 control */
  EXPECT_TEXT ("\xc2\xa0", "\xc2\xa0");     /* U+00A0 is none */
  EXPECT_TEXT ("\xe2\x80\xa8", "?");        /* line separator */
  EXPECT_TEXT ("\xe2\x81\xa6", "?");        /* left-to-right isolate */
  EXPECT_TEXT ("\xc0\xaf", "??");           /* overlong */
  EXPECT_TEXT ("\xe0\x80\xaf", "???");      /* overlong */
  EXPECT_TEXT ("\xed\xa0\x80", "???");      /* surrogate */
  EXPECT_TEXT ("\xf4\x90\x80\x80", "????"); /* beyond U+10FFFF */
  EXPECT_TEXT ("\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80");
  EXPECT_TEXT ("\xf0\x9f\x98", "???"); /* cut off */
  EXPECT_TEXT ("\xe2\x82", "??");

  for (round = 0; round < 5000; round++) {
    guint8 payload[8 + 64] = {1};
    char text[HELIX_MAX_TEXT + 1];
    struct helix_error error;
    const char *why = NULL;

    for (i = 8; i < sizeof payload; i++)
      payload[i] = (guint8) (g_rand_int (rand) | (round % 2 ? 0x80 : 0));
    expect (helix_unpack_error (&error, text, payload, sizeof payload, &why),
        "%s", why);
    expect (
        g_utf8_validate (text, -1, NULL) && strlen (text) <= 64, "%u", round);
    for (i = 0; text[i]; i++)
      expect ((guchar) text[i] >= 0x20 && text[i] != 0x7f, "%u", round);
  }
  g_rand_free (rand);
}

GST_END_TEST;

/* A name of every allowed length reads back. */
GST_START_TEST (test_name_lengths)
{
  gsize i;

  for (i = 0; i <= HELIX_MAX_NAME; i++) {
    struct helix_hello hello = {1, 1, 2, 0, 0, i, 0, 0, 0};
    char name[HELIX_MAX_NAME + 1];
    guint8 bytes[HELIX_MAX_MESSAGE];
    gchar *text = g_strnfill (i, 'n');
    const char *why = NULL;
    gsize size = helix_pack_hello (bytes, &hello, text);

    expect (helix_unpack_hello (&hello, name, bytes + 12, size - 12, &why),
        "%s", why);
    expect (strcmp (name, text) == 0 && hello.token_size == 0, "%zu", i);
    expect (hello.nonce == i, "%zu", i);
    g_free (text);
  }
}

GST_END_TEST;

/* The token of an older client is skipped, and not shown to anybody. */
GST_START_TEST (test_old_token)
{
  const struct vector *v = vectors_find ("valid/hello-token.hex");
  char name[HELIX_MAX_NAME + 1];
  struct helix_hello hello;
  const char *why = NULL;

  expect (helix_unpack_hello (&hello, name, v->bytes + 12, v->size - 12, &why),
      "%s", why);
  fail_unless_equals_int (hello.token_size, 6);
  fail_unless_equals_string (name, "helixsrc 0.1.0");
}

GST_END_TEST;

/* The edges of what a FRAME may say, on both sides. */
GST_START_TEST (test_frame_edges)
{
  static const struct {
    guint32 width, height, stride;
    gboolean good;
  } edges[] = {
      {1, 1, 4, TRUE},
      {1, 1, 0, FALSE},
      {16384, 4096, 65536, TRUE},  /* 256 MiB exactly */
      {16384, 4096, 65540, FALSE}, /* one pixel a row more */
      {16384, 16384, 65536, FALSE},
      {1, 16384, 16384, TRUE},
      {1, 1, 256u << 20, TRUE},
      {1, 2, 0x80000000u, FALSE},
      {1, 16384, 0x00040000u, FALSE}, /* 2 to the 32: wraps to 0 */
      {3, 1, 12, TRUE},
      {3, 1, 11, FALSE},
      {3, 1, 8, FALSE},
  };
  guint i;

  for (i = 0; i < G_N_ELEMENTS (edges); i++) {
    struct helix_frame frame = {1, 1, 0, 1, 1, 1, 0, 0, edges[i].width,
        edges[i].height, edges[i].stride, HELIX_FOURCC_BGRA, 0, 0, 0, 0};
    struct helix_rect rects[HELIX_MAX_RECTS];
    guint8 bytes[HELIX_MAX_MESSAGE];
    const char *why = "";
    gboolean good;

    helix_pack_frame (bytes, 0, &frame, NULL);
    good = helix_unpack_frame (&frame, rects, bytes + 12, 72, &why);
    expect (good == edges[i].good, "%u: %s", i, why);
  }
}

GST_END_TEST;

/* The edges of what a CURSOR may say. */
GST_START_TEST (test_cursor_edges)
{
  static const struct {
    guint32 flags, serial, width, height, hot_x, hot_y, pixels;
    gboolean good;
  } edges[] = {
      {3, 1, 256, 256, 255, 255, 256 * 256 * 4, TRUE},
      {3, 1, 256, 256, 256, 255, 256 * 256 * 4, FALSE},
      {3, 1, 256, 257, 0, 0, 256 * 257 * 4, FALSE}, {3, 1, 1, 1, 0, 0, 4, TRUE},
      {3, 1, 1, 1, 0, 0, 0, FALSE}, {3, 1, 1, 1, 0, 0, 8, FALSE},
      {3, 0, 1, 1, 0, 0, 4, FALSE},
      {2, 1, 1, 1, 0, 0, 4, TRUE},   /* hidden, and its shape is new */
      {1, 1, 1, 1, 0, 0, 4, FALSE},  /* pixels of no shape */
      {1, 0, 0, 0, 0, 0, 0, TRUE},   /* visible, but nothing to see */
      {0, 0, 0, 0, 99, 99, 0, TRUE}, /* no shape, so no hot spot */
      {3, 1, 0x10000, 0x10000, 0, 0, 0, FALSE}, /* 4 * 2^32 wraps to 0 */
  };
  guint i;

  for (i = 0; i < G_N_ELEMENTS (edges); i++) {
    struct helix_cursor cursor = {15, edges[i].flags, 0, 0, edges[i].serial,
        edges[i].width, edges[i].height, edges[i].hot_x, edges[i].hot_y, 0, 1};
    guint8 bytes[HELIX_MAX_MESSAGE];
    struct helix_header header;
    const char *why = "";
    gboolean good;

    helix_pack_cursor (bytes, 5, &cursor, edges[i].pixels);
    expect (
        helix_unpack_header (&header, bytes, &why) || !edges[i].good, "%u", i);
    good = helix_unpack_cursor (&cursor, bytes + 12, 48, header.size, &why);
    expect (good == edges[i].good, "%u: %s", i, why);
    expect (
        header.channel == 5 && header.size == 48 + edges[i].pixels, "%u", i);
  }
}

GST_END_TEST;

/* A position left of or above the screen is a negative number. */
GST_START_TEST (test_cursor_position)
{
  const struct vector *v = vectors_find ("valid/cursor-moved.hex");
  struct helix_cursor cursor;
  const char *why = NULL;

  expect (
      helix_unpack_cursor (&cursor, v->bytes + 12, 48, 48, &why), "%s", why);
  fail_unless_equals_int ((gint32) cursor.x, -5);
  fail_unless_equals_int ((gint32) cursor.y, -7);
}

GST_END_TEST;

/* Every type's largest size, and one byte more. */
GST_START_TEST (test_header_limits)
{
  guint type;

  for (type = 0; type < 256; type++) {
    struct helix_header header = {HELIX_MAGIC, (guint8) type, 0, 0, 4096};
    guint8 bytes[HELIX_HEADER_SIZE];
    const char *why = NULL;

    if (type == HELIX_UNIT)
      header.size = 56 + (64u << 20);
    if (type == HELIX_CURSOR)
      header.size = 48 + (256u << 10);
    helix_pack_header (bytes, &header);
    expect (helix_unpack_header (&header, bytes, &why), "%u: %s", type, why);
    expect (header.type == type, "%u", type);
    header.size++;
    helix_pack_header (bytes, &header);
    expect (!helix_unpack_header (&header, bytes, &why), "%u", type);
    expect (why && strstr (why, "size"), "%s", why);
  }
}

GST_END_TEST;

static Suite *
helix_unpack_suite (void)
{
  Suite *suite = suite_create ("helix-unpack");
  TCase *tc = tcase_create ("limits");

  suite_add_tcase (suite, tc);
  tcase_add_test (tc, test_every_length);
  tcase_add_test (tc, test_hostile_text);
  tcase_add_test (tc, test_name_lengths);
  tcase_add_test (tc, test_old_token);
  tcase_add_test (tc, test_frame_edges);
  tcase_add_test (tc, test_cursor_edges);
  tcase_add_test (tc, test_cursor_position);
  tcase_add_test (tc, test_header_limits);
  return suite;
}

GST_CHECK_MAIN (helix_unpack);

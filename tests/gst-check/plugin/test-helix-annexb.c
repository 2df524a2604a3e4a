/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/app/gstappsink.h>
#include <gst/check/gstcheck.h>
#include <gst/check/gstharness.h>
#include <string.h>

#include "helix-annexb.h"
#include "helix-nal.h"
#include "stream-pipeline.h"

/* ---- against the encoders and parsers of the system ---- */

/* NAL units of Annex B data but for AUD, which a parser may add, as one
 * string of sizes and checksums. */
static void
append_nals (GString *text, GstBuffer *buffer, gboolean h265)
{
  const guint8 *data;
  GstMapInfo map;
  HelixNal nal;
  gsize size;

  fail_unless (gst_buffer_map (buffer, &map, GST_MAP_READ));
  data = map.data;
  size = map.size;
  while (helix_nal_next_annexb (&data, &size, &nal)) {
    if (helix_nal_kind (&nal, h265) != HELIX_NAL_AUD) {
      g_autofree gchar *sum =
          g_compute_checksum_for_data (G_CHECKSUM_SHA1, nal.data, nal.size);

      g_string_append_printf (text, "%" G_GSIZE_FORMAT " %s\n", nal.size, sum);
    }
  }
  fail_unless_equals_int (size, 0);
  gst_buffer_unmap (buffer, &map);
}

typedef struct {
  GString *theirs, *ours;
  HelixAnnexb *annexb;
  gboolean h265;
  guint keys, units;
} Compare;

static void
compare_unit (Compare *c, GstSample *sample)
{
  GstBuffer *in = gst_sample_get_buffer (sample);
  gboolean key = FALSE;
  const gchar *why = NULL;
  GstBuffer *out;

  if (c->annexb == NULL)
    c->annexb = helix_annexb_new (gst_sample_get_caps (sample), &why);
  fail_unless (c->annexb != NULL, "%s", why);
  fail_unless_equals_int (
      helix_annexb_convert (c->annexb, in, &out, &key, &why), HELIX_ANNEXB_OK);
  fail_unless_equals_int (
      key, !GST_BUFFER_FLAG_IS_SET (in, GST_BUFFER_FLAG_DELTA_UNIT));
  c->units++;
  c->keys += key;
  append_nals (c->ours, out, c->h265);
  gst_buffer_unref (out);
}

/* The same encoded stream once through us and once through the parser, which
 * converts (if it must) and repeats the headers before every IDR. */
static void
compare_with_parser (const gchar *encoder, const gchar *ours,
    const gchar *parser, const gchar *type)
{
  g_autofree gchar *text =
      g_strdup_printf ("videotestsrc num-buffers=25 pattern=ball ! "
                       "video/x-raw,format=I420,width=160,height=120 ! "
                       "%s ! tee name=t "
                       "t. ! queue ! %s,%s ! appsink name=a sync=false "
                       "t. ! queue ! %s config-interval=-1 ! %s,"
                       "stream-format=byte-stream,alignment=au ! "
                       "appsink name=b sync=false",
          encoder, type, ours, parser, type);
  Compare c = {.theirs = g_string_new (NULL), .ours = g_string_new (NULL)};
  g_autoptr (GError) error = NULL;
  GstElement *pipeline = gst_parse_launch (text, &error);
  GstAppSink *a, *b;
  GstSample *sample;

  fail_unless (error == NULL, "%s", error != NULL ? error->message : "");
  c.h265 = g_str_has_suffix (type, "h265");
  a = GST_APP_SINK (gst_bin_get_by_name (GST_BIN (pipeline), "a"));
  b = GST_APP_SINK (gst_bin_get_by_name (GST_BIN (pipeline), "b"));
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  while ((sample = gst_app_sink_pull_sample (a)) != NULL) {
    compare_unit (&c, sample);
    gst_sample_unref (sample);
  }
  while ((sample = gst_app_sink_pull_sample (b)) != NULL) {
    append_nals (c.theirs, gst_sample_get_buffer (sample), c.h265);
    gst_sample_unref (sample);
  }
  fail_unless_equals_int (c.units, 25);
  fail_unless (c.keys >= 2 && c.keys <= 6);
  fail_unless_equals_string (c.ours->str, c.theirs->str);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  g_string_free (c.theirs, TRUE);
  g_string_free (c.ours, TRUE);
  helix_annexb_free (c.annexb);
  gst_object_unref (a);
  gst_object_unref (b);
  gst_object_unref (pipeline);
}

GST_START_TEST (test_x264)
{
  static const gchar *const formats[] = {
      "stream-format=avc", "stream-format=byte-stream"};

  if (have_elements ("x264enc h264parse"))
    compare_with_parser ("x264enc key-int-max=10 bframes=2", formats[__i__],
        "h264parse", "video/x-h264");
}
GST_END_TEST;

GST_START_TEST (test_x264_slices)
{
  if (have_elements ("x264enc h264parse"))
    compare_with_parser (
        "x264enc key-int-max=10 sliced-threads=true threads=4 aud=false",
        "stream-format=avc", "h264parse", "video/x-h264");
}
GST_END_TEST;

GST_START_TEST (test_openh264)
{
  if (have_elements ("openh264enc h264parse"))
    compare_with_parser ("openh264enc gop-size=10", "stream-format=byte-stream",
        "h264parse", "video/x-h264");
}
GST_END_TEST;

GST_START_TEST (test_x265)
{
  if (have_elements ("x265enc h265parse"))
    compare_with_parser ("x265enc key-int-max=10", "stream-format=byte-stream",
        "h265parse", "video/x-h265");
}
GST_END_TEST;

/* ---- by hand ---- */

#define AUD "\x09\xf0"
#define SPS "\x67\x42\xc0\x1e\xd9\x02"
#define SPS_OTHER "\x67\x42\xc0\x1f\xd9\x01"
#define PPS "\x68\xce\x38\x80"
#define SEI "\x06\x05\x01\xaa\x80"
#define RECOVERY "\x06\x06\x01\xc4\x80"
#define IDR "\x65\x88\x84\x11"
#define SLICE "\x41\x9a\x22\x33"
#define SC3 "\x00\x00\x01"
#define SC4 "\x00\x00\x00\x01"
#define L4(n) "\x00\x00\x00" n

#define BYTES(s) (s), (sizeof (s) - 1)

static HelixAnnexb *
annexb_of (const gchar *caps_text, const gchar *codec_data, gsize size,
    const gchar **why)
{
  GstCaps *caps = gst_caps_from_string (caps_text);
  HelixAnnexb *annexb;

  if (codec_data != NULL) {
    GstBuffer *buffer = gst_buffer_new_memdup (codec_data, size);

    gst_caps_set_simple (caps, "codec_data", GST_TYPE_BUFFER, buffer, NULL);
    gst_buffer_unref (buffer);
  }
  annexb = helix_annexb_new (caps, why);
  gst_caps_unref (caps);
  return annexb;
}

static HelixAnnexb *
byte_stream (void)
{
  const gchar *why = NULL;

  return annexb_of (
      "video/x-h264,stream-format=byte-stream,alignment=au", NULL, 0, &why);
}

#define AVCC "\x01\x42\xc0\x1e\xff\xe1\x00\x06" SPS "\x01\x00\x04" PPS

static HelixAnnexb *
avc (void)
{
  const gchar *why = NULL;
  HelixAnnexb *annexb = annexb_of (
      "video/x-h264,stream-format=avc,alignment=au", BYTES (AVCC), &why);

  fail_unless (annexb != NULL, "%s", why);
  return annexb;
}

static HelixAnnexbResult
feed (HelixAnnexb *annexb, const gchar *data, gsize size, gboolean delta,
    GstBuffer **out, gboolean *key)
{
  GstBuffer *in = gst_buffer_new_memdup (data, size);
  const gchar *why = NULL;
  HelixAnnexbResult result;

  if (delta)
    GST_BUFFER_FLAG_SET (in, GST_BUFFER_FLAG_DELTA_UNIT);
  *key = FALSE;
  result = helix_annexb_convert (annexb, in, out, key, &why);
  fail_unless_equals_int (result == HELIX_ANNEXB_OK, *out != NULL);
  fail_unless_equals_int (result == HELIX_ANNEXB_BROKEN, why != NULL);
  gst_buffer_unref (in);
  return result;
}

static void
expect (HelixAnnexb *annexb, const gchar *in, gsize in_size,
    const gchar *wanted, gsize size, gboolean wanted_key)
{
  gboolean key;
  GstBuffer *out;

  fail_unless_equals_int (
      feed (annexb, in, in_size, FALSE, &out, &key), HELIX_ANNEXB_OK);
  gst_check_buffer_data (out, wanted, size);
  fail_unless_equals_int (gst_buffer_get_size (out), size);
  fail_unless_equals_int (key, wanted_key);
  gst_buffer_unref (out);
}

GST_START_TEST (test_avc)
{
  g_autoptr (HelixAnnexb) annexb = avc ();

  expect (annexb, BYTES (L4 ("\x02") AUD L4 ("\x04") IDR),
      BYTES (SC4 AUD SC4 SPS SC4 PPS SC4 IDR), TRUE);
  expect (annexb, BYTES (L4 ("\x04") SLICE), BYTES (SC4 SLICE), FALSE);
  /* A set in band replaces the one of the same id, from here on. */
  expect (annexb, BYTES (L4 ("\x06") SPS_OTHER L4 ("\x04") IDR),
      BYTES (SC4 SPS_OTHER SC4 PPS SC4 IDR), TRUE);
  expect (annexb, BYTES (L4 ("\x04") IDR),
      BYTES (SC4 SPS_OTHER SC4 PPS SC4 IDR), TRUE);
}
GST_END_TEST;

/* Complete units are not copied. */
GST_START_TEST (test_byte_stream_untouched)
{
  g_autoptr (HelixAnnexb) annexb = byte_stream ();
  static const gchar data[] = SC4 SPS SC3 PPS SC3 SEI SC3 IDR;
  GstBuffer *in = gst_buffer_new_memdup (data, sizeof data - 1);
  GstBuffer *out;
  const gchar *why;
  gboolean key;

  fail_unless_equals_int (
      helix_annexb_convert (annexb, in, &out, &key, &why), HELIX_ANNEXB_OK);
  fail_unless (out == in);
  fail_unless (key);
  gst_buffer_unref (out);
  gst_buffer_unref (in);
  expect (annexb, BYTES (SC3 SLICE), BYTES (SC3 SLICE), FALSE);
}
GST_END_TEST;

GST_START_TEST (test_byte_stream_inserts)
{
  g_autoptr (HelixAnnexb) annexb = byte_stream ();
  GstBuffer *out;
  gboolean key;

  fail_unless_equals_int (
      feed (annexb, BYTES (SC4 IDR), FALSE, &out, &key), HELIX_ANNEXB_ORPHAN);
  fail_unless_equals_int (
      feed (annexb, BYTES (SC4 SPS SC4 PPS), FALSE, &out, &key),
      HELIX_ANNEXB_HEADERS);
  expect (annexb, BYTES (SC4 AUD SC3 SEI SC3 IDR SC3 IDR),
      BYTES (SC4 AUD SC4 SPS SC4 PPS SC4 SEI SC4 IDR SC4 IDR), TRUE);
  expect (annexb, BYTES (SC4 SPS_OTHER SC3 IDR),
      BYTES (SC4 SPS_OTHER SC4 PPS SC4 IDR), TRUE);
}
GST_END_TEST;

/* Decoding can start at a recovery point, if the encoder says so too. */
GST_START_TEST (test_recovery_point)
{
  g_autoptr (HelixAnnexb) annexb = avc ();
  GstBuffer *out;
  gboolean key;

  expect (annexb, BYTES (L4 ("\x05") RECOVERY L4 ("\x04") SLICE),
      BYTES (SC4 SPS SC4 PPS SC4 RECOVERY SC4 SLICE), TRUE);
  fail_unless_equals_int (
      feed (annexb, BYTES (L4 ("\x05") RECOVERY L4 ("\x04") SLICE), TRUE, &out,
          &key),
      HELIX_ANNEXB_OK);
  fail_if (key);
  gst_buffer_unref (out);
}
GST_END_TEST;

static const struct {
  const gchar *data;
  gsize size;
} bad_avc[] = {
    {BYTES ("\x00\x00\x00\x05\x65\x88\x84\x11")},
    {BYTES ("\xff\xff\xff\xff\x65")},
    {BYTES ("\x00\x00\x00")},
    {BYTES (L4 ("\x04") IDR "\x00")},
    {BYTES (L4 ("\x00") L4 ("\x00"))},
    {BYTES (L4 ("\x01") "\x67" L4 ("\x04") IDR)},
};

static const struct {
  const gchar *data;
  gsize size;
} bad_stream[] = {
    {BYTES ("\x65\x88\x84\x11")},
    {BYTES ("\x00\x01\x65\x88")},
    {BYTES ("\x00\x00\x02\x65")},
    {BYTES ("\x00\x00\x00\x00")},
    {BYTES (SC4 "\x67")},
    {BYTES (SC4)},
};

GST_START_TEST (test_bad)
{
  g_autoptr (HelixAnnexb) a = avc ();
  g_autoptr (HelixAnnexb) b = byte_stream ();
  GstBuffer *out;
  gboolean key;

  for (guint i = 0; i < G_N_ELEMENTS (bad_avc); i++)
    fail_unless_equals_int (
        feed (a, bad_avc[i].data, bad_avc[i].size, FALSE, &out, &key),
        HELIX_ANNEXB_BROKEN);
  for (guint i = 0; i < G_N_ELEMENTS (bad_stream); i++)
    fail_unless_equals_int (
        feed (b, bad_stream[i].data, bad_stream[i].size, FALSE, &out, &key),
        HELIX_ANNEXB_BROKEN);
}
GST_END_TEST;

/* A whole unit, cut and bent in every place: no result is wrong, but none
 * may read or write out of bounds (the sanitizers look on). */
GST_START_TEST (test_mangled)
{
  static const gchar whole[] =
      L4 ("\x02") AUD L4 ("\x06") SPS L4 ("\x04") PPS L4 ("\x04") IDR;
  static const gchar stream[] = SC4 AUD SC3 SPS SC4 PPS SC3 IDR;
  gchar bent[sizeof whole];
  gboolean key;

  for (guint kind = 0; kind < 2; kind++) {
    const gchar *data = kind == 0 ? whole : stream;
    gsize size = (kind == 0 ? sizeof whole : sizeof stream) - 1;

    for (gsize at = 0; at < size; at++) {
      for (guint value = 0; value < 256; value++) {
        g_autoptr (HelixAnnexb) annexb = kind == 0 ? avc () : byte_stream ();
        GstBuffer *out;

        memcpy (bent, data, size);
        bent[at] = (gchar) value;
        feed (annexb, bent, size, FALSE, &out, &key);
        gst_clear_buffer (&out);
        feed (annexb, bent, at + 1, FALSE, &out, &key);
        gst_clear_buffer (&out);
      }
    }
  }
}
GST_END_TEST;

/* codec_data cut anywhere is refused with a reason, or still makes sense. */
GST_START_TEST (test_bad_codec_data)
{
  static const gchar hvcc[] =
      "\x01\x01\x60\x00\x00\x00\x90\x00\x00\x00\x00\x00\x5d\xf0\x00\xfc\xfd"
      "\xf8\xf8\x00\x00\x0f\x02\x20\x00\x01\x00\x04\x40\x01\x0c\x01\x22\x00"
      "\x01\x00\x04\x44\x01\xc1\x73";
  static const gchar avcc[] = AVCC;
  const gchar *why;

  fail_unless (
      annexb_of ("video/x-h264,stream-format=avc", NULL, 0, &why) == NULL);
  fail_unless (strstr (why, "codec_data") != NULL);
  for (gsize size = 1; size < sizeof avcc - 1; size++) {
    why = NULL;
    fail_unless (
        annexb_of ("video/x-h264,stream-format=avc", avcc, size, &why) == NULL);
    fail_unless (why != NULL);
  }
  for (gsize size = 1; size < sizeof hvcc - 1; size++) {
    why = NULL;
    fail_unless (annexb_of ("video/x-h265,stream-format=hvc1", hvcc, size, &why)
        == NULL);
    fail_unless (why != NULL);
  }
  helix_annexb_free (
      annexb_of ("video/x-h265,stream-format=hvc1", BYTES (hvcc), &why));
}
GST_END_TEST;

/* An endless supply of new parameter sets is refused, not stored. */
GST_START_TEST (test_bounded)
{
  g_autoptr (HelixAnnexb) annexb = byte_stream ();
  HelixAnnexbResult result = HELIX_ANNEXB_HEADERS;
  gchar large[2048] = SC4 "\x68\xce";
  GstBuffer *out;
  gboolean key;
  guint i;

  /* PPS ids 0 ... 30: ue(v) in 9 bits at most. */
  for (i = 0; i < 31 && result == HELIX_ANNEXB_HEADERS; i++) {
    guint code = i + 1, zeros = g_bit_storage (code) - 1;
    guint bits = code << (16 - 2 * zeros - 1);
    gchar data[] = SC4 "\x68??\x80";

    data[5] = (gchar) (bits >> 8);
    data[6] = (gchar) (bits | 1);
    result = feed (annexb, data, sizeof data - 1, FALSE, &out, &key);
  }
  fail_unless_equals_int (result, HELIX_ANNEXB_BROKEN);
  fail_unless_equals_int (i, 17);
  memset (large + 6, 0x55, sizeof large - 6);
  fail_unless_equals_int (feed (annexb, large, sizeof large, FALSE, &out, &key),
      HELIX_ANNEXB_BROKEN);
}
GST_END_TEST;

static Suite *
helix_annexb_suite (void)
{
  Suite *s = suite_create ("helix-annexb");
  TCase *tc = tcase_create ("annexb");

  suite_add_tcase (s, tc);
  tcase_add_loop_test (tc, test_x264, 0, 2);
  tcase_add_test (tc, test_x264_slices);
  tcase_add_test (tc, test_openh264);
  tcase_add_test (tc, test_x265);
  tcase_add_test (tc, test_avc);
  tcase_add_test (tc, test_byte_stream_untouched);
  tcase_add_test (tc, test_byte_stream_inserts);
  tcase_add_test (tc, test_recovery_point);
  tcase_add_test (tc, test_bad);
  tcase_add_test (tc, test_mangled);
  tcase_add_test (tc, test_bad_codec_data);
  tcase_add_test (tc, test_bounded);
  return s;
}

GST_CHECK_MAIN (helix_annexb);

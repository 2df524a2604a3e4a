/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/check/gstcheck.h>

#include "helix-encoder-table.h"

/* The elements of which this machine has the plugin: each row's property is
 * there and writable. Its unit no program can check. */
GST_START_TEST (test_real_elements)
{
  static const struct {
    const gchar *factory, *property;
    guint unit;
  } cases[] = {
      {"x264enc", "bitrate", 1000},
      {"x265enc", "bitrate", 1000},
      {"openh264enc", "bitrate", 1},
      {"vp8enc", "target-bitrate", 1},
      {"vp9enc", "target-bitrate", 1},
      {"av1enc", "target-bitrate", 1000},
      {"vtenc_h264", "bitrate", 1000},
      {"vtenc_h264_hw", "bitrate", 1000},
      {"vah264enc", "bitrate", 1000},
      {"vah264lpenc", "bitrate", 1000},
      {"nvh264enc", "bitrate", 1000},
      {"qsvh264enc", "bitrate", 1000},
      {"amfh264enc", "bitrate", 1000},
      {"msdkh264enc", "bitrate", 1000},
      {"vaapih264enc", "bitrate", 1000},
  };
  guint seen = 0;

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    GstElement *encoder = gst_element_factory_make (cases[i].factory, NULL);
    const HelixEncoderRow *row;
    GParamSpec *pspec;

    fail_unless (helix_encoder_table_has (cases[i].factory));
    if (encoder == NULL)
      continue;
    seen++;
    row = helix_encoder_table_find (
        cases[i].factory, G_OBJECT_GET_CLASS (encoder));
    fail_unless (row != NULL, "%s", cases[i].factory);
    fail_unless_equals_string (row->property, cases[i].property);
    fail_unless_equals_int (row->unit, cases[i].unit);
    pspec = g_object_class_find_property (
        G_OBJECT_GET_CLASS (encoder), row->property);
    fail_unless (pspec->flags & G_PARAM_WRITABLE);
    gst_object_unref (encoder);
  }
  /* script/bootstrap installs one of them. */
  fail_unless (seen > 0);
}
GST_END_TEST;

/* What users are told to set can be set, on what is installed here. */
GST_START_TEST (test_low_latency)
{
  static const gchar *const factories[] = {"vtenc_h264", "x264enc", "x265enc",
      "openh264enc", "vah264enc", "nvh264enc", "qsvh264enc", "amfh264enc",
      "vp8enc", "vp9enc", "rav1enc"};
  guint seen = 0;

  for (guint i = 0; i < G_N_ELEMENTS (factories); i++) {
    GstElementFactory *factory = gst_element_factory_find (factories[i]);
    const gchar *setting = helix_encoder_table_low_latency (factories[i]);
    g_autofree gchar *line = g_strconcat (factories[i], " ", setting, NULL);
    GError *error = NULL;
    GstElement *encoder;

    if (factory == NULL || setting == NULL) {
      gst_clear_object (&factory);
      continue;
    }
    gst_object_unref (factory);
    encoder = gst_parse_launch (line, &error);
    fail_unless (
        error == NULL, "%s: %s", line, error != NULL ? error->message : "");
    gst_object_unref (encoder);
    seen++;
  }
  fail_unless (seen > 0);
  fail_unless (helix_encoder_table_low_latency ("jpegenc") == NULL);
}
GST_END_TEST;

GST_START_TEST (test_others)
{
  GObjectClass *klass = g_type_class_ref (GST_TYPE_BIN);

  fail_if (helix_encoder_table_has ("jpegenc"));
  fail_if (helix_encoder_table_has ("h264parse"));
  fail_if (helix_encoder_table_has ("vtenc_prores"));
  /* The name fits, but there is no such property. */
  fail_unless (helix_encoder_table_find ("x264enc", klass) == NULL);
  g_type_class_unref (klass);
}
GST_END_TEST;

static Suite *
helix_encoder_table_suite (void)
{
  Suite *s = suite_create ("helix-encoder-table");
  TCase *tc = tcase_create ("table");

  suite_add_tcase (s, tc);
  tcase_add_test (tc, test_real_elements);
  tcase_add_test (tc, test_low_latency);
  tcase_add_test (tc, test_others);
  return s;
}

GST_CHECK_MAIN (helix_encoder_table);

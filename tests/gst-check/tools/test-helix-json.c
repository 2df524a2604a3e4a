/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/check/gstcheck.h>
#include <locale.h>
#include <math.h>

#include "helix-json.h"
#include "helix-protocol.h"
#include "json-check.h"

GST_START_TEST (test_shape)
{
  g_autoptr (HelixJson) json = helix_json_new ();
  g_autoptr (HelixJson) inner = helix_json_new ();

  helix_json_int (inner, "i", -3);
  helix_json_bool (inner, "t", TRUE);
  helix_json_object (json, NULL);
  helix_json_array (json, "none");
  helix_json_end_array (json);
  helix_json_array (json, "some");
  helix_json_uint (json, NULL, G_MAXUINT64);
  helix_json_object (json, NULL);
  helix_json_members (json, inner);
  helix_json_bool (json, "f", FALSE);
  helix_json_end_object (json);
  helix_json_null (json, NULL);
  helix_json_end_array (json);
  helix_json_text (json, "n", NULL);
  helix_json_end_object (json);
  fail_unless_equals_string (json->text->str,
      "{\"none\": [], \"some\": [18446744073709551615, "
      "{\"i\": -3, \"t\": true, \"f\": false}, null], \"n\": null}");
  fail_unless (json_is_valid (json->text->str));
}
GST_END_TEST;

GST_START_TEST (test_nothing_to_insert)
{
  g_autoptr (HelixJson) json = helix_json_new ();
  g_autoptr (HelixJson) empty = helix_json_new ();

  helix_json_object (json, NULL);
  helix_json_members (json, empty);
  helix_json_end_object (json);
  fail_unless_equals_string (json->text->str, "{}");
}
GST_END_TEST;

static const struct {
  const gchar *text, *written;
} texts[] = {
    {"", "\"\""},
    {"a \"b\" \\c", "\"a \\\"b\\\" \\\\c\""},
    {"one\ntwo\tthree\r", "\"one\\ntwo\\tthree\\u000d\""},
    {"\x01\x1f\x7f", "\"\\u0001\\u001f\\u007f\""},
    {"\033[31mred", "\"\\u001b[31mred\""},
    {"größer 画面", "\"größer 画面\""},
    /* cut in a character, and a byte that begins none */
    {"gr\xc3", "\"gr\xef\xbf\xbd\""},
    {"\xff!", "\"\xef\xbf\xbd!\""},
};

GST_START_TEST (test_texts)
{
  g_autoptr (HelixJson) json = helix_json_new ();

  helix_json_text (json, NULL, texts[__i__].text);
  fail_unless_equals_string (json->text->str, texts[__i__].written);
  fail_unless (json_is_valid (json->text->str));
}
GST_END_TEST;

/* A key is a text, too. */
GST_START_TEST (test_key)
{
  g_autoptr (HelixJson) json = helix_json_new ();

  helix_json_object (json, NULL);
  helix_json_int (json, "\"", 1);
  helix_json_end_object (json);
  fail_unless_equals_string (json->text->str, "{\"\\\"\": 1}");
}
GST_END_TEST;

GST_START_TEST (test_numbers)
{
  g_autoptr (HelixJson) json = helix_json_new ();

  /* Where the comma is a point, if that locale is installed. */
  setlocale (LC_ALL, "de_DE.UTF-8");
  helix_json_array (json, NULL);
  helix_json_double (json, NULL, 1.5);
  helix_json_double (json, NULL, -1e300);
  helix_json_double (json, NULL, NAN);
  helix_json_double (json, NULL, -INFINITY);
  helix_json_ms (json, NULL, 1234567);
  helix_json_ms (json, NULL, HELIX_NONE64);
  helix_json_known (json, NULL, 7);
  helix_json_known (json, NULL, HELIX_NONE64);
  helix_json_end_array (json);
  setlocale (LC_ALL, "C");
  fail_unless (json_is_valid (json->text->str), "%s", json->text->str);
  fail_unless (g_str_has_prefix (json->text->str, "[1.500, -1"));
  fail_unless (g_str_has_suffix (
      json->text->str, ".000, null, null, 1.235, null, 7, null]"));
}
GST_END_TEST;

/* The checker itself: what is no JSON must not pass. */
GST_START_TEST (test_checker)
{
  static const gchar *const bad[] = {"", "{", "[1,]", "{\"a\" 1}", "[1 2]",
      "\"\t\"", "\"\\x\"", "01", "1.", "nul", "{} {}", "{a: 1}", "\xff"};
  g_autofree gchar *value = json_value ("{\"a\": {\"b\": \"x\\ty\"}}", "b");

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    fail_if (json_is_valid (bad[i]), "%s", bad[i]);
  fail_unless (json_is_valid (" [1, -0.5e+3, {\"\\u00ff\": [true]}] "));
  fail_unless_equals_string (value, "x\ty");
}
GST_END_TEST;

static Suite *
helix_json_suite (void)
{
  Suite *s = suite_create ("helix-json");
  TCase *tc = tcase_create ("write");

  suite_add_tcase (s, tc);
  tcase_add_test (tc, test_shape);
  tcase_add_test (tc, test_nothing_to_insert);
  tcase_add_loop_test (tc, test_texts, 0, G_N_ELEMENTS (texts));
  tcase_add_test (tc, test_key);
  tcase_add_test (tc, test_numbers);
  tcase_add_test (tc, test_checker);
  return s;
}

GST_CHECK_MAIN (helix_json);

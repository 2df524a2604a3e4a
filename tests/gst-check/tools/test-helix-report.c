/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <gst/check/gstcheck.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "helix-protocol.h"
#include "helix-report.h"

static gchar *
printed (const HelixFinding *finding, gboolean colours)
{
  gchar *text = NULL;
  size_t size = 0;
  FILE *out = open_memstream (&text, &size);
  gchar *copy;

  helix_finding_print (finding, "listen", out, colours);
  fclose (out);
  copy = g_strdup (text);
  free (text);
  return copy;
}

GST_START_TEST (test_lines)
{
  g_autoptr (GPtrArray) report = helix_report_new ();
  HelixFinding *f =
      helix_report_add (report, 12, HELIX_VERDICT_OK, "%s listens", "QEMU");
  g_autofree gchar *good = printed (f, FALSE);
  g_autofree gchar *bad = NULL;

  fail_unless_equals_string (good, "OK   listen     QEMU listens\n");
  f = helix_report_add (report, 12, HELIX_VERDICT_FAIL,
      "nobody listens" BECAUSE "it is %s" REMEDY "Start %s", "gone", "it");
  bad = printed (f, FALSE);
  fail_unless_equals_string (
      bad, "FAIL listen     nobody listens: it is gone. Start it.\n");
}
GST_END_TEST;

/* What a peer says cannot steer the terminal, colours or not. */
GST_START_TEST (test_colours)
{
  g_autoptr (GPtrArray) report = helix_report_new ();
  HelixFinding *f = helix_report_add (report, 12, HELIX_VERDICT_FAIL,
      "evil \033[2J \xc2\x9b"
      "2J\n\xff");
  g_autofree gchar *plain = printed (f, FALSE);
  g_autofree gchar *coloured = printed (f, TRUE);

  fail_unless_equals_string (
      plain, "FAIL listen     evil ?[2J ??2J?\xef\xbf\xbd\n");
  fail_unless_equals_string (coloured,
      "\033[1;31mFAIL\033[0m listen     evil ?[2J ??2J?\xef\xbf\xbd\n");
}
GST_END_TEST;

/* Only on a terminal, and NO_COLOR has the last word. */
GST_START_TEST (test_wanted)
{
  gint terminal = posix_openpt (O_RDWR | O_NOCTTY);
  FILE *out;

  fail_unless (terminal >= 0);
  out = fdopen (terminal, "r+");
  g_setenv ("TERM", "xterm", TRUE);
  g_unsetenv ("NO_COLOR");
  fail_unless (helix_colours_wanted (out));
  g_setenv ("NO_COLOR", "", TRUE);
  fail_unless (helix_colours_wanted (out));
  g_setenv ("NO_COLOR", "1", TRUE);
  fail_if (helix_colours_wanted (out));
  g_unsetenv ("NO_COLOR");
  g_setenv ("TERM", "dumb", TRUE);
  fail_if (helix_colours_wanted (out));
  g_setenv ("TERM", "xterm", TRUE);
  fclose (out);
  out = fopen ("/dev/null", "we");
  fail_if (helix_colours_wanted (out));
  fclose (out);
}
GST_END_TEST;

GST_START_TEST (test_order)
{
  g_autoptr (GPtrArray) report = helix_report_new ();
  g_autoptr (GPtrArray) other = helix_report_new ();

  helix_report_add (report, 24, HELIX_VERDICT_FAIL, "first guest");
  helix_report_add (report, 24, HELIX_VERDICT_OK, "second guest");
  helix_report_add (other, 19, HELIX_VERDICT_FAIL, "pipeline");
  helix_report_add (other, 10, HELIX_VERDICT_NOTE, "vm");
  g_ptr_array_extend_and_steal (report, g_steal_pointer (&other));
  helix_report_sort (report);
  fail_unless_equals_int (
      ((HelixFinding *) g_ptr_array_index (report, 0))->check, 10);
  fail_unless_equals_string (
      ((HelixFinding *) g_ptr_array_index (report, 2))->text, "first guest");
  fail_unless_equals_string (helix_report_failure (report)->text, "pipeline");
  fail_unless (helix_report_knows (report, 24));
  fail_if (helix_report_knows (report, 11));
}
GST_END_TEST;

/* Texts and numbers of all kinds; what is not known is null. */
GST_START_TEST (test_json)
{
  g_autoptr (GPtrArray) report = helix_report_new ();
  g_autoptr (JsonBuilder) json = json_builder_new ();
  g_autoptr (JsonNode) root = NULL;
  g_autofree gchar *text = NULL;
  HelixFinding *f =
      helix_report_add (report, 12, HELIX_VERDICT_SKIP, "not \"seen\"\n\xff");

  helix_json_uint (f->facts, "most", G_MAXUINT64);
  helix_json_known (f->facts, "pid", 7, 0);
  helix_json_known (f->facts, "none", 0, 0);
  helix_json_double (f->facts, "half", 0.4999);
  helix_json_double (f->facts, "nan", NAN);
  helix_json_double (f->facts, "much", 1e307);
  helix_json_ms (f->facts, "ms", 1500000);
  helix_json_ms (f->facts, "never", HELIX_NONE64);
  helix_json_bool (f->facts, "no", FALSE);
  helix_finding_json (f, "listen", json);
  root = json_builder_get_root (json);
  text = json_to_string (root, FALSE);
  fail_unless_equals_string (text,
      "{\"hop\":\"listen\",\"code\":12,\"verdict\":\"skip\","
      "\"text\":\"not \\\"seen\\\"\\n\xef\xbf\xbd\",\"cause\":null,"
      "\"remedy\":null,\"facts\":{\"most\":9223372036854775807,\"pid\":7,"
      "\"none\":null,\"half\":0.5,\"nan\":null,\"much\":null,\"ms\":1.5,"
      "\"never\":null,\"no\":false}}");
}
GST_END_TEST;

static Suite *
helix_report_suite (void)
{
  Suite *s = suite_create ("helix-report");
  TCase *tc = tcase_create ("lines");

  suite_add_tcase (s, tc);
  tcase_add_test (tc, test_lines);
  tcase_add_test (tc, test_colours);
  tcase_add_test (tc, test_wanted);
  tcase_add_test (tc, test_order);
  tcase_add_test (tc, test_json);
  return s;
}

GST_CHECK_MAIN (helix_report);

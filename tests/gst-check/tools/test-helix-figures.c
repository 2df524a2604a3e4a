/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/check/gstcheck.h>
#include <string.h>

#include "helix-figures.h"
#include "helix-protocol.h"

#define MS G_GUINT64_CONSTANT (1000000)
#define BEGAN G_GUINT64_CONSTANT (5000000000)

/* 60 a second for `seconds`, one more at the end. */
static HelixFigures *
steady (guint seconds)
{
  HelixFigures *figures = helix_figures_new (BEGAN);

  for (guint i = 0; i <= seconds * 60; i++)
    helix_figures_unit (figures, BEGAN + i * 1000 * MS / 60, 1000, i % 60 == 0,
        100 + i, (i + 1) * MS / 10);
  helix_figures_end (figures, BEGAN + seconds * 1000 * MS);
  return figures;
}

GST_START_TEST (test_steady)
{
  g_autoptr (HelixFigures) figures = steady (2);

  fail_unless_equals_uint64 (figures->units, 121);
  fail_unless_equals_uint64 (figures->keyframes, 3);
  fail_unless_equals_uint64 (figures->lost, 0);
  fail_unless (ABS (helix_figures_rate (figures) - 60) < 1e-6);
  fail_unless (ABS (helix_figures_bitrate (figures) - 484000) < 1e-6);
  fail_unless_equals_int (figures->per_second->len, 2);
  /* The first starts the clock; the last is on the border. */
  fail_unless_equals_int (g_array_index (figures->per_second, guint, 0), 59);
  fail_unless_equals_int (g_array_index (figures->per_second, guint, 1), 60);
  fail_unless_equals_int (figures->gaps[0], 0);
  fail_unless_equals_uint64 (figures->latency.max, 121 * MS / 10);
}
GST_END_TEST;

GST_START_TEST (test_gaps)
{
  g_autoptr (HelixFigures) figures = helix_figures_new (0);
  static const guint at_ms[] = {0, 50, 101, 202, 403, 413};

  for (guint i = 0; i < G_N_ELEMENTS (at_ms); i++)
    helix_figures_unit (
        figures, at_ms[i] * MS, 1, i == 0, i < 4 ? i : i + 10, HELIX_NONE64);
  /* 50, 51, 101, 201, 10 */
  fail_unless_equals_int (figures->gaps[0], 3);
  fail_unless_equals_int (figures->gaps[1], 2);
  fail_unless_equals_int (figures->gaps[2], 1);
  fail_unless_equals_uint64 (figures->shortest, 10 * MS);
  fail_unless_equals_uint64 (figures->longest, 201 * MS);
  fail_unless_equals_uint64 (figures->lost, 10);
  /* The end of the world is a gap, too. */
  helix_figures_end (figures, 3413 * MS);
  fail_unless_equals_int (figures->gaps[2], 2);
  fail_unless_equals_uint64 (figures->longest, 3000 * MS);
  fail_unless_equals_int (figures->per_second->len, 3);
  fail_unless_equals_int (g_array_index (figures->per_second, guint, 2), 0);
}
GST_END_TEST;

GST_START_TEST (test_nothing)
{
  g_autoptr (HelixFigures) figures = helix_figures_new (BEGAN);
  g_autoptr (JsonBuilder) json = json_builder_new ();
  g_autoptr (JsonNode) root = NULL;
  g_autofree gchar *text = NULL;

  helix_figures_end (figures, BEGAN);
  fail_unless (helix_figures_rate (figures) == 0);
  fail_unless (helix_figures_bitrate (figures) == 0);
  helix_json_object (json, NULL);
  helix_figures_json (figures, 60, json);
  json_builder_end_object (json);
  root = json_builder_get_root (json);
  text = json_to_string (root, FALSE);
  fail_unless (strstr (text,
                   "\"count\":0,\"p50\":null,\"p95\":null,\"p99\":null,"
                   "\"max\":null")
          != NULL,
      "%s", text);
}
GST_END_TEST;

GST_START_TEST (test_grades)
{
  fail_unless_equals_string (helix_figures_grade (60, 60), "excellent");
  fail_unless_equals_string (helix_figures_grade (57, 60), "excellent");
  fail_unless_equals_string (helix_figures_grade (56.9, 60), "good");
  fail_unless_equals_string (helix_figures_grade (48, 60), "good");
  fail_unless_equals_string (helix_figures_grade (47.9, 60), "fair");
  fail_unless_equals_string (helix_figures_grade (30, 60), "fair");
  fail_unless_equals_string (helix_figures_grade (29.9, 60), "poor");
  fail_unless_equals_string (helix_figures_grade (0, 60), "poor");
}
GST_END_TEST;

static Suite *
helix_figures_suite (void)
{
  Suite *s = suite_create ("helix-figures");
  TCase *tc = tcase_create ("arithmetic");

  suite_add_tcase (s, tc);
  tcase_add_test (tc, test_steady);
  tcase_add_test (tc, test_gaps);
  tcase_add_test (tc, test_nothing);
  tcase_add_test (tc, test_grades);
  return s;
}

GST_CHECK_MAIN (helix_figures);

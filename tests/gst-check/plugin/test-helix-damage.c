/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/check/gstcheck.h>

#include "helix-damage.h"

static gboolean
covers (const HelixDamage *damage, guint x, guint y)
{
  if (damage->full)
    return TRUE;
  for (guint i = 0; i < damage->n; i++) {
    const struct helix_rect *rect = &damage->rects[i];

    if (x >= rect->x && x < rect->x + rect->width && y >= rect->y
        && y < rect->y + rect->height)
      return TRUE;
  }
  return FALSE;
}

GST_START_TEST (test_states)
{
  const struct helix_rect rect = {4, 5, 6, 7}, empty = {1, 1, 0, 9};
  HelixDamage damage;

  helix_damage_clear (&damage);
  fail_if (damage.full);
  fail_unless_equals_int (damage.n, 0);
  helix_damage_add (&damage, &empty, 1);
  fail_unless_equals_int (damage.n, 0);
  helix_damage_add (&damage, &rect, 1);
  helix_damage_add (&damage, &rect, 1); /* known already */
  fail_unless_equals_int (damage.n, 1);
  helix_damage_add (&damage, NULL, 0); /* everything, as in FRAME */
  fail_unless (damage.full);
  helix_damage_add (&damage, &rect, 1);
  fail_unless (damage.full);
  helix_damage_clear (&damage);
  fail_if (covers (&damage, 5, 6));
}
GST_END_TEST;

/* Whatever is added stays covered, however much it is, in bounded room. */
GST_START_TEST (test_never_loses)
{
  GRand *rand = g_rand_new_with_seed (1);
  struct helix_rect rects[200];
  HelixDamage damage;

  for (guint round = 0; round < 200; round++) {
    guint n = (guint) g_rand_int_range (rand, 1, 200);

    helix_damage_clear (&damage);
    for (guint i = 0; i < n; i++) {
      rects[i].x = (guint32) g_rand_int_range (rand, 0, 16000);
      rects[i].y = (guint32) g_rand_int_range (rand, 0, 16000);
      rects[i].width = (guint32) g_rand_int_range (rand, 1, 384);
      rects[i].height = (guint32) g_rand_int_range (rand, 1, 384);
      helix_damage_add (&damage, &rects[i], 1);
    }
    fail_unless (damage.n >= 1 && damage.n <= HELIX_MAX_RECTS);
    for (guint i = 0; i < n; i++) {
      fail_unless (covers (&damage, rects[i].x, rects[i].y));
      fail_unless (covers (&damage, rects[i].x + rects[i].width - 1,
          rects[i].y + rects[i].height - 1));
    }
  }
  g_rand_free (rand);
}
GST_END_TEST;

static Suite *
helix_damage_suite (void)
{
  Suite *s = suite_create ("helix-damage");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_test (tc, test_states);
  tcase_add_test (tc, test_never_loses);
  return s;
}

GST_CHECK_MAIN (helix_damage);

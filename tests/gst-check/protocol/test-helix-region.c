/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include <gst/check/gstcheck.h>

#include "helix-region.h"

#define SIDE 64u

static bool
contains (const helix_region *region, uint32_t x, uint32_t y)
{
  return pixman_region32_contains_point (
      (helix_region *) region, (int) x, (int) y, NULL);
}

/* Sums that wrap in 32 bits must not become small again. */
GST_START_TEST (test_overlap)
{
  static const struct {
    struct helix_rect bounds, rect, part; /* part.width 0: they do not meet */
  } cases[] = {{{100, 200, 640, 480}, {90, 210, 20, 5}, {0, 10, 10, 5}},
      {{100, 200, 640, 480}, {0, 0, 100, 1000}, {0}}, /* only touch */
      {{100, 200, 640, 480}, {200, 300, 0, 10}, {0}}, /* empty */
      {{0, 0, 640, 480}, {0, 0, UINT32_MAX, UINT32_MAX}, {0, 0, 640, 480}},
      {{0, 0, 640, 480}, {UINT32_MAX, 0, 2, 480}, {0}},
      {{0, 0, 640, 480}, {639, 479, UINT32_MAX, UINT32_MAX}, {639, 479, 1, 1}}};

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    struct helix_rect part;
    bool meet = helix_rect_within (&part, &cases[i].rect, &cases[i].bounds);

    fail_unless (meet == (cases[i].part.width > 0), "case %u", i);
    fail_unless (!meet || memcmp (&part, &cases[i].part, sizeof part) == 0,
        "case %u", i);
  }
}

GST_END_TEST;

GST_START_TEST (test_collapses_to_its_box)
{
  struct helix_rect rects[HELIX_MAX_RECTS];
  helix_region region;

  pixman_region32_init (&region);
  for (uint32_t i = 0; i < HELIX_MAX_RECTS; i++) {
    struct helix_rect r = {2 * i, 3 * i, 1, 1};

    helix_region_add (&region, &r);
  }
  fail_unless_equals_int (helix_region_rects (&region, rects), HELIX_MAX_RECTS);
  fail_unless_equals_uint64 (helix_region_area (&region), HELIX_MAX_RECTS);
  rects[0] = (struct helix_rect){200, 1, 1, 1};
  helix_region_add (&region, &rects[0]);
  fail_unless_equals_int (helix_region_rects (&region, rects), 1);
  fail_unless_equals_int (rects[0].x, 0);
  fail_unless_equals_int (rects[0].width, 201);
  fail_unless_equals_int (rects[0].height, 3 * (HELIX_MAX_RECTS - 1) + 1);
  pixman_region32_fini (&region);
}

GST_END_TEST;

GST_START_TEST (test_all_and_nothing)
{
  helix_region region;

  pixman_region32_init (&region);
  fail_unless (helix_region_empty (&region));
  fail_if (helix_region_is_all (&region, 8, 8));
  helix_region_fill (&region, 8, 8);
  fail_unless (helix_region_is_all (&region, 8, 8));
  fail_if (helix_region_is_all (&region, 9, 8));
  pixman_region32_clear (&region);
  fail_unless (helix_region_empty (&region));
  pixman_region32_fini (&region);
}

GST_END_TEST;

static struct helix_rect
random_rect (void)
{
  struct helix_rect r;

  r.x = (uint32_t) g_random_int_range (0, SIDE);
  r.y = (uint32_t) g_random_int_range (0, SIDE);
  r.width = (uint32_t) g_random_int_range (1, (gint32) (SIDE - r.x) + 1);
  r.height = (uint32_t) g_random_int_range (1, (gint32) (SIDE - r.y) + 1);
  r.width = MIN (r.width, 12);
  r.height = MIN (r.height, 12);
  return r;
}

static void
random_region (helix_region *region, guint n)
{
  pixman_region32_init (region);
  for (guint i = 0; i < n; i++) {
    struct helix_rect r = random_rect ();

    helix_region_add (region, &r);
  }
}

static guint
count_wrong (const helix_region *a, const helix_region *b,
    const helix_region *without, const helix_region *shared)
{
  guint wrong = 0;

  for (uint32_t y = 0; y < SIDE; y++)
    for (uint32_t x = 0; x < SIDE; x++) {
      bool in_a = contains (a, x, y), in_b = contains (b, x, y);

      wrong += contains (without, x, y) != (in_a && !in_b);
      wrong += in_a && in_b && !contains (shared, x, y);
    }
  return wrong;
}

/* `without` to the pixel, whatever it takes; `shared` at least that much. */
GST_START_TEST (test_set_operations)
{
  for (int round = 0; round < 200; round++) {
    helix_region a, b, without, shared;

    random_region (&a, (guint) g_random_int_range (0, 30));
    random_region (&b, (guint) g_random_int_range (0, 30));
    pixman_region32_init (&without);
    pixman_region32_init (&shared);
    fail_unless (helix_region_without (&without, &a, &b));
    helix_region_shared (&shared, &a, &b);
    fail_unless_equals_int (count_wrong (&a, &b, &without, &shared), 0);
    helix_region_shared (&a, &a, &b);
    fail_unless (helix_region_area (&a) == helix_region_area (&shared));
    pixman_region32_fini (&a);
    pixman_region32_fini (&b);
    pixman_region32_fini (&without);
    pixman_region32_fini (&shared);
  }
}

GST_END_TEST;

static Suite *
region_suite (void)
{
  Suite *suite = suite_create ("helix-region");
  TCase *tc = tcase_create ("region");

  suite_add_tcase (suite, tc);
  tcase_set_timeout (tc, 30);
  tcase_add_test (tc, test_overlap);
  tcase_add_test (tc, test_collapses_to_its_box);
  tcase_add_test (tc, test_all_and_nothing);
  tcase_add_test (tc, test_set_operations);
  return suite;
}

GST_CHECK_MAIN (region);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Buffer age (helix-display.c): what each slot lacks is never forgotten.
 */
#include <stdlib.h>
#include <string.h>

#include <gst/check/gstcheck.h>

#include "helix-test-client.h"

#define W 200u
#define H 150u

static struct test_shim *
new_shim (void)
{
  struct test_shim *test = test_shim_new (NULL);

  test_resource_new (test, 1, W, H);
  test_show (test, 0, 1);
  return test;
}

static struct helix_rect
random_rect (void)
{
  struct helix_rect r;

  r.x = (uint32_t) g_random_int_range (0, W);
  r.y = (uint32_t) g_random_int_range (0, H);
  r.width = (uint32_t) g_random_int_range (1, (gint32) (W - r.x) + 1);
  r.height = (uint32_t) g_random_int_range (1, (gint32) (H - r.y) + 1);
  if (g_random_boolean ()) {
    r.width = MIN (r.width, 8);
    r.height = MIN (r.height, 8);
  }
  return r;
}

/* What a client keeps who believes the rectangles and nothing else. */
static void
patch (uint32_t *canvas, const struct test_frame *frame)
{
  const struct helix_rect all = {0, 0, W, H};
  guint n = frame->frame.rects ? frame->frame.rects : 1;

  for (guint i = 0; i < n; i++) {
    const struct helix_rect *r = frame->frame.rects ? &frame->rects[i] : &all;

    for (uint32_t y = r->y; y < r->y + r->height; y++)
      memcpy (canvas + y * W + r->x,
          (const uint32_t *) (const void *) frame->pixels + y * W + r->x,
          r->width * 4);
  }
}

struct watcher {
  struct test_client *client;
  struct test_frame held[3];
  guint n_held;
  uint32_t canvas[W * H];
  bool behind; /* no slot was free at the last flush */
};

static void
watcher_receive (struct watcher *w, struct test_shim *test)
{
  struct test_frame *frame = &w->held[w->n_held++];

  *frame = test_client_frame (w->client, 1);
  test_frame_assert_shows (test, frame, 1, 0, 0);
  patch (w->canvas, frame);
  fail_unless (memcmp (w->canvas, test->resource[1].pixels, W * H * 4) == 0,
      "the rectangles of frame %d leave out a change",
      (int) frame->frame.sequence);
  w->behind = false;
}

static void
watcher_release (struct watcher *w, struct test_shim *test)
{
  guint i = (guint) g_random_int_range (0, (gint32) w->n_held);

  test_client_release (w->client, 1, &w->held[i]);
  test_frame_done (&w->held[i]);
  w->held[i] = w->held[--w->n_held];
  if (w->behind)
    watcher_receive (w, test);
  else
    test_client_settle (w->client); /* the slot is back before the flush */
}

/* Thousands of random damages, slots given back in any order and at any
 * time, by two clients: every slot that arrives is the screen of that
 * moment, byte for byte, and so is what a client builds from rectangles. */
GST_START_TEST (test_buffer_age)
{
  struct test_shim *test = new_shim ();
  struct watcher *w = g_new0 (struct watcher, 2);
  const char *steps = g_getenv ("HELIX_TEST_STEPS");
  guint n = steps ? (guint) atoi (steps) : 3000;

  for (int i = 0; i < 2; i++) {
    w[i].client = test_client_new (test);
    test_client_subscribe (w[i].client, 1, 0, 0);
    watcher_receive (&w[i], test);
  }
  for (guint step = 0; step < n; step++) {
    struct watcher *one = &w[g_random_int_range (0, 2)];

    if (g_random_int_range (0, 3) == 0 && one->n_held) {
      watcher_release (one, test);
      continue;
    }
    test_draw_flush (test, 1, random_rect ());
    for (int i = 0; i < 2; i++) {
      w[i].behind = w[i].n_held == 3;
      if (!w[i].behind)
        watcher_receive (&w[i], test);
    }
  }
  for (int i = 0; i < 2; i++) {
    while (w[i].n_held)
      test_frame_done (&w[i].held[--w[i].n_held]);
    test_client_free (w[i].client);
  }
  g_free (w);
  test_shim_free (test);
}

GST_END_TEST;

static Suite *
display_age_suite (void)
{
  Suite *suite = suite_create ("helix-display-age");
  TCase *tc = tcase_create ("display-age");

  suite_add_tcase (suite, tc);
  tcase_set_timeout (tc, 120);
  tcase_add_test (tc, test_buffer_age);
  return suite;
}

GST_CHECK_MAIN (display_age);

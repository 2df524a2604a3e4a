/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/check/gstcheck.h>

#include "helix-stream-cursors.h"

static HelixStreamCursors cursors;

static void
setup (void)
{
  memset (&cursors, 0, sizeof cursors);
}

static void
teardown (void)
{
  helix_stream_cursors_clear (&cursors);
}

/* A CURSOR of that serial, with a shape of `serial` bytes or without. TRUE:
 * an image was handed on, and it was the right one. */
static gboolean
take (guint32 serial, gboolean shape)
{
  GstBuffer *image;

  if (shape)
    helix_stream_cursors_keep (
        &cursors, serial, gst_buffer_new_allocate (NULL, serial, NULL));
  image = helix_stream_cursors_take (&cursors, serial);
  if (image == NULL)
    return FALSE;
  fail_unless_equals_int (gst_buffer_get_size (image), serial);
  gst_buffer_unref (image);
  return TRUE;
}

GST_START_TEST (test_take)
{
  fail_if (take (0, FALSE));
  fail_if (take (5, FALSE)); /* never seen */
  fail_unless (take (5, TRUE));
  fail_if (take (5, FALSE));    /* moved */
  fail_unless (take (5, TRUE)); /* said again: handed on again */
  fail_unless (take (6, TRUE));
  fail_unless (take (5, FALSE)); /* back to the first */
  fail_if (take (5, FALSE));
  fail_if (take (0, FALSE)); /* no shape any more */
  fail_unless (take (6, FALSE));
}
GST_END_TEST;

GST_START_TEST (test_bounds)
{
  guint kept = 0;

  for (guint32 i = 1; i <= 1000; i++)
    fail_unless (take (i, TRUE));
  for (guint32 i = 1; i <= 1000; i++)
    kept += take (i, FALSE);
  /* The last one asked for is the last one given: no image of it. */
  fail_unless_equals_int (kept, HELIX_STREAM_CURSORS_KEPT);
  helix_stream_cursors_clear (&cursors);
  fail_if (take (1000, FALSE));
}
GST_END_TEST;

static Suite *
helix_stream_cursors_suite (void)
{
  Suite *s = suite_create ("helix-stream-cursors");
  TCase *tc = tcase_create ("cursors");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_add_test (tc, test_take);
  tcase_add_test (tc, test_bounds);
  return s;
}

GST_CHECK_MAIN (helix_stream_cursors);

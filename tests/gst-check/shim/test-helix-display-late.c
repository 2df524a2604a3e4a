/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What cannot be read now (helix-display.c): it is owed, and read later.
 */
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

/* Told once, tried again a few times a second whatever the guest does, and at
 * once when something else is shown. */
GST_START_TEST (test_unreadable)
{
  struct test_shim *test = new_shim ();
  struct test_client *client = test_client_new (test);
  uint64_t begin = helix_now_ns ();

  test_resource_new (test, 2, W, H);
  test->resource[1].unreadable = true;
  test_client_subscribe (client, 1, 0, 0);
  test_client_expect_error (
      client, 1, HELIX_ERROR_READBACK, "the test says so");
  for (int i = 0; i < 500; i++)
    test_draw_flush (test, 1, (struct helix_rect){0, 0, W, H});
  fail_unless (test->reads <= 1 + (helix_now_ns () - begin) / 250000000u);
  fail_unless_equals_uint64 (test_stats (test).read_errors, test->reads);
  test_show (test, 0, 2);
  test_client_take (client, 1, 2);
  fail_unless_equals_int (test_client_settle (client), 0);
  test_client_free (client);
  test_shim_free (test);
}

GST_END_TEST;

/* A read that failed is owed: it is read as soon as it can be, without another
 * flush, and the frame has all that changed. */
GST_START_TEST (test_read_later)
{
  const struct helix_rect corner = {0, 0, 8, 8};
  struct test_shim *test = new_shim ();
  struct test_client *client = test_client_new (test);

  test_client_subscribe (client, 1, 0, 0);
  test_client_take (client, 1, 1);
  test->resource[1].unreadable = true;
  test_draw_flush (test, 1, corner);
  test_client_expect_error (
      client, 1, HELIX_ERROR_READBACK, "the test says so");
  test->resource[1].unreadable = false;
  /* test_client_take () compares the whole picture. */
  test_client_take (client, 1, 1);
  fail_unless_equals_int (test_client_settle (client), 0);
  test_client_free (client);
  test_shim_free (test);
}

GST_END_TEST;

/* Entries from a thread that may not read: nothing is read there, and nothing
 * is lost. The test's screen fails a read or a look-up that comes so. */
GST_START_TEST (test_elsewhere)
{
  const struct helix_rect all = {0, 0, W, H};
  struct test_shim *test = new_shim ();
  struct test_client *client = test_client_new (test);
  struct helix_frame frame;

  test_resource_new (test, 2, W, H);
  test->elsewhere = true;
  test_client_subscribe (client, 1, 0, 0);
  test_client_subscribe (client, 2, HELIX_NONE32, 2);
  test_client_take (client, 1, 1);
  test_client_take (client, 2, 2);
  test_draw_flush (test, 1, (struct helix_rect){0, 0, 8, 8});
  frame = test_client_take (client, 1, 1);
  fail_unless_equals_int (frame.read_bytes, 8 * 8 * 4);
  test_show (test, 0, 2);
  test_draw_flush (test, 2, all);
  /* Damage of one resource is pending while another one goes. */
  helix_shim_display_unref (test->shim, 1);
  test_client_take (client, 1, 2);
  test_client_take (client, 2, 2);
  helix_shim_display_reset (test->shim);
  test_client_expect_error (client, 2, HELIX_ERROR_NO_RESOURCE, "destroyed");
  test_show (test, 0, 1);
  test_client_take (client, 1, 1);
  test_client_free (client);
  test_shim_free (test);
}

GST_END_TEST;

static Suite *
late_suite (void)
{
  Suite *suite = suite_create ("helix-display-late");
  TCase *tc = tcase_create ("late");

  suite_add_tcase (suite, tc);
  tcase_set_timeout (tc, 120);
  tcase_add_test (tc, test_unreadable);
  tcase_add_test (tc, test_read_later);
  tcase_add_test (tc, test_elsewhere);
  return suite;
}

GST_CHECK_MAIN (late);

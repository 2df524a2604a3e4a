/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pictures that are not exported (helix-display.c): of a size or a format that
 * no frame can carry, or larger than max-size.
 */
#include <string.h>

#include <gst/check/gstcheck.h>

#include "helix-test-client.h"

#define W 200u
#define H 150u

/* What no frame can carry counts as off, and is said to who watches. */
GST_START_TEST (test_impossible_surfaces)
{
  struct test_shim *test = test_shim_new (NULL);
  struct test_client *client = test_client_new (test);
  const struct helix_rect sizes[] = {{0, 0, 0, 100}, {0, 0, 100, 0},
      {0, 0, 16385, 1}, {0, 0, 16384, 16384}, {0, 0, UINT32_MAX, UINT32_MAX}};

  test_resource_new (test, 1, W, H);
  test_show (test, 0, 1);
  test_client_subscribe (client, 1, 0, 0);
  test_client_take (client, 1, 1);
  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
    test_show_part (test, 0, 1, sizes[i]);
    test_message_free (test_client_expect (client, HELIX_SCANOUT, 1));
    fail_unless_equals_int (client->scanout.flags, 0);
    if (sizes[i].width > 0 && sizes[i].height > 0)
      test_client_expect_error (client, 1, HELIX_ERROR_READBACK, "max-size");
    test_show (test, 0, 1);
    test_client_take (client, 1, 1);
  }
  fail_unless (test_logged (test, "16384x16384"));
  helix_shim_display_scanout (test->shim, 0,
      &(struct helix_surface){
          .resource_id = 1, .rect = {0, 0, W, H}, .fourcc = 0x3231564e});
  test_message_free (test_client_expect (client, HELIX_SCANOUT, 1));
  fail_unless_equals_int (client->scanout.flags, 0);
  test_client_expect_error (client, 1, HELIX_ERROR_READBACK, "format");
  fail_unless (test_logged (test, "0x3231564e"));
  /* A scanout that this VM does not have. */
  test_show (test, 99, 1);
  test_client_free (client);
  test_shim_free (test);
}

GST_END_TEST;

/* The guest chooses the size, and memory is given to each client for it: to
 * what is larger than max-size none is, and who asks is told why, be it by
 * scanout, by resource or by SHOW. The log has it once. */
GST_START_TEST (test_max_size)
{
  const struct helix_shim_config config = {.name = "test-shim",
      .scanouts = 4,
      .scanout_mask = 0xffff,
      .slots = 3,
      .max_clients = 4,
      .max_width = 100,
      .max_height = 50};
  struct test_shim *test = test_shim_new (&config);
  struct test_client *client = test_client_new (test);
  struct test_client *late;
  guint pools;

  test_resource_new (test, 1, 50, 100); /* as many pixels */
  test_resource_new (test, 2, 51, 100);
  test_show (test, 0, 1);
  test_client_subscribe (client, 1, 0, 0);
  test_client_take (client, 1, 1);
  pools = client->pools->len;
  for (int i = 0; i < 5; i++) {
    test_show (test, 0, 2);
    test_client_expect_error (
        client, 1, HELIX_ERROR_READBACK, "max-size=100x50");
    fail_unless_equals_int (client->scanout.flags, 0);
    /* The same again is no news. */
    test_show (test, 0, 2);
    test_draw_flush (test, 2, (struct helix_rect){0, 0, 9, 9});
    fail_unless_equals_int (test_client_settle (client), 0);
    late = test_client_new (test);
    test_client_subscribe (late, 1, 0, 0);
    test_client_expect_error (late, 1, HELIX_ERROR_READBACK, "max-size=100x50");
    test_client_free (late);
    test_show (test, 0, 1);
    test_client_take (client, 1, 1);
  }
  fail_unless_equals_int (test_log_count (test, "51x100"), 1);
  test_client_subscribe (client, 2, HELIX_NONE32, 2);
  test_client_expect_error (client, 2, HELIX_ERROR_NO_RESOURCE, "max-size");
  test_client_show (client, 1, 2, HELIX_NONE64);
  test_client_expect_error (client, 1, HELIX_ERROR_NO_RESOURCE, "max-size");
  /* When it is gone the scanout is only dark. */
  test_show (test, 3, 2);
  helix_shim_display_unref (test->shim, 2);
  test_client_subscribe (client, 3, 3, 0);
  test_message_free (test_client_expect (client, HELIX_SCANOUT, 3));
  fail_unless_equals_int (test_client_settle (client), 0);
  fail_unless_equals_int (client->pools->len, pools);
  test_client_free (client);
  test_shim_free (test);
}

GST_END_TEST;

static Suite *
display_size_suite (void)
{
  Suite *suite = suite_create ("helix-display-size");
  TCase *tc = tcase_create ("display-size");

  suite_add_tcase (suite, tc);
  tcase_set_timeout (tc, 60);
  tcase_add_test (tc, test_impossible_surfaces);
  tcase_add_test (tc, test_max_size);
  return suite;
}

GST_CHECK_MAIN (display_size);

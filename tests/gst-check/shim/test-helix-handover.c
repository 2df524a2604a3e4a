/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Two shims at one path, as two QEMUs between which a VM migrates: the socket
 * is where the VM runs.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <gst/check/gstcheck.h>

#include "helix-test-registry.h"
#include "helix-test-client.h"

static struct test_shim *source, *destination;

static void
setup (void)
{
  source = test_shim_new (NULL);
  destination = test_shim_make (NULL, source->path);
  test_shim_start_io (destination);
  for (int i = 0; i < 2; i++) {
    test_resource_new (i ? source : destination, 1, 64, 48);
    test_show (i ? source : destination, 0, 1);
  }
}

static void
teardown (void)
{
  test_shim_free (destination);
  test_shim_free (source);
}

/* A client of the shim that serves the path: it gets that shim's picture. */
static struct test_client *
watch (struct test_shim *test)
{
  struct test_client *client = test_client_new (test);
  struct test_frame frame;

  test_client_subscribe (client, 1, 0, 0);
  frame = test_client_frame (client, 1);
  test_frame_assert_shows (test, &frame, 1, 0, 0);
  test_client_release (client, 1, &frame);
  return client;
}

static void
expect_bye (struct test_client *client)
{
  test_client_expect (client, HELIX_BYE, 0);
  test_client_expect_closed (client);
  test_client_free (client);
}

/* The shim that the VM goes to waits without a word; then it has the path, the
 * clients and the entry among the running VMs. And back again. */
GST_START_TEST (test_there_and_back)
{
  struct test_shim *here = source, *there = destination;

  for (int i = 0; i < 4; i++) {
    struct test_client *client = watch (here);
    struct test_shim *other = here;

    /* In either order: the source hears of it later, or earlier. */
    helix_shim_serve (i % 2 ? here->shim : there->shim, i % 2 == 0);
    helix_shim_serve (i % 2 ? there->shim : here->shim, i % 2 != 0);
    expect_bye (client);
    test_until_logged (there, "is served from here now");
    test_log_clear (there);
    fail_unless_equals_int (test_registered (source->path), 1);
    here = there;
    there = other;
  }
  fail_unless_equals_int (test_log_count (source, "NOT exported"), 0);
  fail_unless_equals_int (test_log_count (destination, "NOT exported"), 0);
}

GST_END_TEST;

/* A source that does not let go is told, once; nothing else happens, and it
 * works as soon as it can. */
GST_START_TEST (test_source_stays)
{
  struct test_client *client = watch (source);

  helix_shim_serve (destination->shim, true);
  test_until_logged (destination, "NOT exported");
  fail_unless (test_logged (destination, "already served by another process"));
  fail_if (client->closed);
  test_client_free (client);
  test_shim_stop (source);
  test_until_logged (destination, "is served from here now");
  fail_unless_equals_int (test_log_count (destination, "NOT exported"), 1);
  test_client_free (watch (destination));
}

GST_END_TEST;

/* A shim that gives up before it had the path does not disturb the other. */
GST_START_TEST (test_never_had_it)
{
  struct test_client *client = watch (source);

  helix_shim_serve (destination->shim, true);
  helix_shim_serve (destination->shim, false);
  test_client_settle (client);
  test_client_free (client);
  test_shim_stop (destination);
  test_client_free (watch (source));
}

GST_END_TEST;

/* What can be known at the start is said there. */
GST_START_TEST (test_try)
{
  struct test_shim *lost = test_shim_make (NULL, "/no/such/folder/helix.sock");
  char *error = NULL;

  fail_unless (helix_shim_try (destination->shim, true, &error));
  fail_if (helix_shim_try (destination->shim, false, &error));
  fail_unless (strstr (error, "already served") != NULL, "%s", error);
  free (error);
  fail_if (helix_shim_try (lost->shim, true, &error));
  fail_unless (strstr (error, "directory cannot be opened") != NULL);
  free (error);
  test_shim_stop (source);
  fail_unless (helix_shim_try (destination->shim, false, &error));
  fail_if (g_file_test (source->path, G_FILE_TEST_EXISTS));
  test_shim_free (lost);
}

GST_END_TEST;

static Suite *
handover_suite (void)
{
  Suite *suite = suite_create ("helix-handover");
  TCase *tc = tcase_create ("handover");

  suite_add_tcase (suite, tc);
  tcase_set_timeout (tc, 60);
  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_add_test (tc, test_there_and_back);
  tcase_add_test (tc, test_source_stays);
  tcase_add_test (tc, test_never_had_it);
  tcase_add_test (tc, test_try);
  return suite;
}

GST_CHECK_MAIN (handover);

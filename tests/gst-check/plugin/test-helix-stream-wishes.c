/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/check/gstcheck.h>

#include "helix-stream-wishes.h"

static HelixStreamWishes wishes;
static struct helix_config out;

static void
setup (void)
{
  helix_stream_wishes_init (&wishes);
}

GST_START_TEST (test_fields)
{
  struct helix_config wish = {
      .fields = HELIX_CONFIG_BITRATE | HELIX_CONFIG_RATE,
      .bitrate = 5,
      .rate_num = 30,
      .rate_den = 1,
      .scanout = 99};

  fail_if (helix_stream_wishes_pending (&wishes, &out));
  helix_stream_wishes_set (&wishes, &wish);
  fail_unless (helix_stream_wishes_pending (&wishes, &out));
  fail_unless_equals_int (out.fields, wish.fields);
  fail_unless_equals_int (out.bitrate, 5);
  fail_unless_equals_int (out.rate_num, 30);
  /* What was not named does not count. */
  fail_unless_equals_int (out.scanout, 0);
  helix_stream_wishes_sent (&wishes);
  fail_if (helix_stream_wishes_pending (&wishes, &out));

  wish.fields = HELIX_CONFIG_SCANOUT;
  wish.bitrate = 6;
  helix_stream_wishes_set (&wishes, &wish);
  fail_unless (helix_stream_wishes_pending (&wishes, &out));
  fail_unless_equals_int (out.fields, HELIX_CONFIG_SCANOUT);
  fail_unless_equals_int (out.scanout, 99);
  fail_unless_equals_int (out.bitrate, 5);
}
GST_END_TEST;

GST_START_TEST (test_renew)
{
  struct helix_config wish = {
      .fields = HELIX_CONFIG_BITRATE | HELIX_CONFIG_RESOURCE,
      .bitrate = 5,
      .resource_id = 7};

  helix_stream_wishes_set (&wishes, &wish);
  helix_stream_wishes_sent (&wishes);
  helix_stream_wishes_drop (&wishes, HELIX_CONFIG_BITRATE);
  helix_stream_wishes_renew (&wishes);
  fail_unless (helix_stream_wishes_pending (&wishes, &out));
  fail_unless_equals_int (out.fields, HELIX_CONFIG_RESOURCE);
  fail_unless_equals_int (out.resource_id, 7);
}
GST_END_TEST;

GST_START_TEST (test_show)
{
  helix_stream_wishes_show (&wishes, 4, 100);
  /* It waits: a new session changes nothing about it. */
  helix_stream_wishes_renew (&wishes);
  fail_unless_equals_int (wishes.show_id, 4);
  fail_unless_equals_uint64 (wishes.show_ns, 100);
  helix_stream_wishes_shown (&wishes);
  fail_unless_equals_int (wishes.show_id, 0);
  /* It went out: a new session hears of it, as of a picture of now. */
  helix_stream_wishes_renew (&wishes);
  fail_unless_equals_int (wishes.show_id, 4);
  fail_unless (wishes.show_ns == HELIX_NONE64);
  helix_stream_wishes_shown (&wishes);
  helix_stream_wishes_show (&wishes, 0, HELIX_NONE64);
  helix_stream_wishes_renew (&wishes);
  fail_unless_equals_int (wishes.show_id, 0);
}
GST_END_TEST;

static gboolean
refused (guint code, guint refers)
{
  struct helix_error error = {code, refers};

  return helix_stream_wishes_refused (&wishes, &error);
}

GST_START_TEST (test_refusals)
{
  struct helix_config wish = {
      .fields = HELIX_CONFIG_SCANOUT | HELIX_CONFIG_RESOURCE, .scanout = 7};

  /* Even one that was not asked for is told once. */
  fail_unless (refused (HELIX_ERROR_NO_SCANOUT, HELIX_CONFIG));
  fail_if (refused (HELIX_ERROR_NO_SCANOUT, HELIX_CONFIG));
  helix_stream_wishes_set (&wishes, &wish);
  fail_unless (refused (HELIX_ERROR_NO_SCANOUT, HELIX_CONFIG));
  fail_if (refused (HELIX_ERROR_NO_SCANOUT, HELIX_CONFIG));
  helix_stream_wishes_renew (&wishes);
  fail_if (refused (HELIX_ERROR_NO_SCANOUT, HELIX_CONFIG));
  wish.scanout = 8;
  helix_stream_wishes_set (&wishes, &wish);
  fail_unless (refused (HELIX_ERROR_NO_SCANOUT, HELIX_CONFIG));
  fail_unless (refused (HELIX_ERROR_NO_RESOURCE, HELIX_CONFIG));
  fail_if (refused (HELIX_ERROR_NO_RESOURCE, HELIX_CONFIG));

  fail_unless (refused (HELIX_ERROR_UNSUPPORTED, HELIX_CONFIG));
  fail_if (refused (HELIX_ERROR_UNSUPPORTED, HELIX_CONFIG));
  fail_unless (refused (HELIX_ERROR_UNSUPPORTED, HELIX_SHOW));
  fail_if (refused (HELIX_ERROR_UNSUPPORTED, HELIX_SHOW));
  fail_unless (refused (HELIX_ERROR_NO_RESOURCE, HELIX_SHOW));
  fail_if (refused (HELIX_ERROR_NO_RESOURCE, HELIX_SHOW));
  /* Codes of a later version shift nothing out of its place. */
  for (guint i = 0; i < 2; i++)
    fail_unless_equals_int (refused (G_MAXUINT32, HELIX_SHOW), i == 0);
}
GST_END_TEST;

static Suite *
helix_stream_wishes_suite (void)
{
  Suite *s = suite_create ("helix-stream-wishes");
  TCase *tc = tcase_create ("wishes");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, setup, NULL);
  tcase_add_test (tc, test_fields);
  tcase_add_test (tc, test_renew);
  tcase_add_test (tc, test_show);
  tcase_add_test (tc, test_refusals);
  return s;
}

GST_CHECK_MAIN (helix_stream_wishes);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Settings as users write them: what they mean, and how errors are told.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <gst/check/gstcheck.h>

#include "helix-shim-settings.h"

static void
check_refused (bool good, char *error, const char *said)
{
  fail_if (good, "this was accepted: %s", said);
  fail_unless (strstr (error, said) != NULL, "%s: %s", said, error);
  free (error);
}

GST_START_TEST (test_size)
{
  static const struct {
    const char *text, *said;
  } bad[] = {{"", "WIDTHxHEIGHT"}, {"8192", "WIDTHxHEIGHT"},
      {"8192x", "WIDTHxHEIGHT"}, {"8192x4320x", "WIDTHxHEIGHT"},
      {"-1x100", "WIDTHxHEIGHT"}, {"+1x100", "WIDTHxHEIGHT"},
      {" 1x100", "WIDTHxHEIGHT"}, {"99999999999x1", "WIDTHxHEIGHT"},
      {"0x100", "range"}, {"16385x1", "range"}, {"16384x4097", "range"}};
  uint32_t width = 0, height = 0;
  char *error = NULL;

  fail_unless (
      helix_shim_settings_size ("16384x4096", &width, &height, &error));
  fail_unless_equals_int (width, 16384);
  fail_unless_equals_int (height, 4096);
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    bool good = helix_shim_settings_size (bad[i].text, &width, &height, &error);

    check_refused (good, error, bad[i].said);
  }
}

GST_END_TEST;

GST_START_TEST (test_access)
{
  struct helix_access access;
  char *error = NULL;

  fail_unless (helix_shim_settings_access (&access, NULL, "", NULL, &error));
  fail_unless_equals_int (access.socket.mode, 0600);
  fail_if (access.socket.set_group);
  fail_unless_equals_int (access.allowed, 0);
  fail_unless (
      helix_shim_settings_access (&access, "12", NULL, "root:1001:0", &error));
  fail_unless_equals_int (access.socket.mode, 0660);
  fail_unless (access.socket.set_group);
  fail_unless_equals_int (access.socket.group, 12);
  fail_unless_equals_int (access.allowed, 3);
  fail_unless_equals_int (access.allow[0], 0);
  fail_unless_equals_int (access.allow[1], 1001);
  fail_unless (
      helix_shim_settings_access (&access, NULL, "0666", "4294967294", &error));
  fail_unless_equals_int (access.socket.mode, 0666);
  fail_unless_equals_uint64 (access.allow[0], 4294967294u);
}

GST_END_TEST;

GST_START_TEST (test_bad_access)
{
  static const struct {
    const char *group, *mode, *allow, *said;
  } bad[] = {{"no such group", NULL, "1", "group=no such group"},
      {"-1", NULL, "1", "group=-1"}, {"4294967295", NULL, "1", "group="},
      {NULL, "rw", NULL, "octal"}, {NULL, "0800", NULL, "octal"},
      {NULL, "-1", NULL, "octal"}, {NULL, "01777", NULL, "octal"},
      {NULL, "0066", "1", "owner"}, {NULL, "0666", "1::2", "\"\""},
      {NULL, "0666", "1:", "\"\""}, {NULL, "0666", "-5", "\"-5\""},
      {NULL, "0666", "4294967295", "\"4294967295\""},
      {NULL, "0666", "99999999999999999999", "\"9999"},
      {NULL, "0666", "no-such-user", "\"no-such-user\""},
      /* what would come to nothing */
      {NULL, NULL, "1", "mode=0666"}, {"12", "0600", "1", "mode 0600"},
      {"12", NULL, NULL, "allow="}, {NULL, "0666", NULL, "allow="}};
  struct helix_access access;
  GString *many = g_string_new ("0");
  char *error = NULL;
  bool good;

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    good = helix_shim_settings_access (
        &access, bad[i].group, bad[i].mode, bad[i].allow, &error);
    check_refused (good, error, bad[i].said);
  }
  for (guint i = 1; i < HELIX_MAX_ALLOWED; i++)
    g_string_append_printf (many, ":%u", i);
  fail_unless (
      helix_shim_settings_access (&access, NULL, "0666", many->str, &error));
  g_string_append (many, ":77");
  good = helix_shim_settings_access (&access, NULL, "0666", many->str, &error);
  check_refused (good, error, "32 users");
  g_string_free (many, TRUE);
}

GST_END_TEST;

static Suite *
settings_suite (void)
{
  Suite *suite = suite_create ("helix-shim-settings");
  TCase *tc = tcase_create ("settings");

  suite_add_tcase (suite, tc);
  tcase_add_test (tc, test_size);
  tcase_add_test (tc, test_access);
  tcase_add_test (tc, test_bad_access);
  return suite;
}

GST_CHECK_MAIN (settings);

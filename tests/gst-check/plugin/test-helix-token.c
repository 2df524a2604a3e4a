/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gstdio.h>
#include <gst/check/gstcheck.h>
#include <sys/stat.h>
#include <unistd.h>

#include "helix-protocol.h"
#include "helix-test-nobody.h"
#include "helix-token.h"
#include "stream-peer.h"

#define T16 "0123456789abcdef"
#define T64 T16 T16 T16 T16
#define T128 T64 T64

static gchar *folder, *path;

static void
setup (void)
{
  folder = peer_folder_new ();
  path = g_build_filename (folder, "token", NULL);
}

static void
teardown (void)
{
  g_free (path);
  peer_folder_free (folder);
}

static void
write_file (const gchar *bytes, gsize size)
{
  fail_unless (g_file_set_contents (path, bytes, (gssize) size, NULL));
  fail_unless (g_chmod (path, 0600) == 0);
}

/* THING: CAUSE. REMEDY. */
static void
expect_refusal (const gchar *token, const gchar *file, const gchar *words)
{
  g_autoptr (GError) error = NULL;
  gchar *found = NULL;

  fail_if (helix_token_find (token, file, &found, &error));
  fail_unless (found == NULL);
  fail_unless (error->domain == GST_RESOURCE_ERROR);
  fail_unless (strstr (error->message, words) != NULL, "no '%s' in: %s", words,
      error->message);
  fail_unless (g_str_has_prefix (error->message, file ? file : "token: "));
  fail_unless (strstr (error->message, ". ") != NULL
          && g_str_has_suffix (error->message, "."),
      "no remedy: %s", error->message);
}

#define CONTENT(bytes, token, words) \
  { \
    bytes, sizeof (bytes) - 1, token, words \
  }

static const struct {
  const gchar *bytes;
  gsize size;
  const gchar *token; /* NULL: refused, with these words */
  const gchar *words;
} contents[] = {
    CONTENT ("secret\n", "secret", NULL),
    CONTENT ("secret", "secret", NULL),
    CONTENT ("secret\r\n", "secret", NULL),
    CONTENT (" se cret \nand more\n", " se cret ", NULL),
    CONTENT ("s\n\0behind it nothing counts", "s", NULL),
    CONTENT ("\xff\xfe\n", "\xff\xfe", NULL),
    CONTENT (T128, T128, NULL),
    CONTENT (T128 "\r\n" T128, T128, NULL),
    CONTENT (T128 "x", NULL, "too long"),
    CONTENT (T128 "x\n", NULL, "too long"),
    CONTENT (T128 "xx\r\n", NULL, "too long"),
    CONTENT (T128 T128 T128, NULL, "too long"),
    CONTENT ("", NULL, "empty"),
    CONTENT ("\n", NULL, "empty"),
    CONTENT ("\r\nsecret", NULL, "empty"),
    CONTENT ("se\0cret\n", NULL, "NUL"),
};

GST_START_TEST (test_contents)
{
  gchar *found = NULL;

  write_file (contents[__i__].bytes, contents[__i__].size);
  if (contents[__i__].token == NULL) {
    expect_refusal (NULL, path, contents[__i__].words);
    return;
  }
  fail_unless (helix_token_find (NULL, path, &found, NULL));
  fail_unless_equals_string (found, contents[__i__].token);
  g_free (found);
}
GST_END_TEST;

GST_START_TEST (test_given)
{
  gchar *found = (gchar *) "";

  fail_unless (helix_token_find (NULL, NULL, &found, NULL));
  fail_unless (found == NULL);
  fail_unless (helix_token_find ("secret", NULL, &found, NULL));
  fail_unless_equals_string (found, "secret");
  g_free (found);
  fail_unless (helix_token_find (T128, NULL, &found, NULL));
  g_free (found);
  expect_refusal (T128 "x", NULL, "too long");
  /* As from token=$UNSET in a script: any client could prove it. */
  expect_refusal ("", NULL, "empty");
  write_file ("secret\n", 7);
  expect_refusal ("secret", path, "besides token-file");
}
GST_END_TEST;

GST_START_TEST (test_modes)
{
  write_file ("secret\n", 7);
  for (guint bit = 1; bit <= 0040; bit <<= 1) {
    fail_unless (g_chmod (path, (gint) (0600 | bit)) == 0);
    expect_refusal (NULL, path, "chmod 600");
  }
  for (guint mode = 0400; mode <= 0700; mode += 0100) {
    gchar *found = NULL;

    fail_unless (g_chmod (path, (gint) mode) == 0);
    fail_unless (helix_token_find (NULL, path, &found, NULL));
    g_free (found);
  }
}
GST_END_TEST;

/* None of these may make us wait, either. */
GST_START_TEST (test_kinds)
{
  g_autofree gchar *link = g_build_filename (folder, "link", NULL);
  gchar *found = NULL;
  gint listener;

  expect_refusal (NULL, path, "no such file");
  expect_refusal (NULL, "", "no such file");
  expect_refusal (NULL, folder, "regular file");
  expect_refusal (NULL, "/dev/zero", "regular file");
  fail_unless (mkfifo (path, 0600) == 0);
  expect_refusal (NULL, path, "regular file");
  g_unlink (path);
  listener = peer_listen (path);
  expect_refusal (NULL, path, "regular file");
  close (listener);
  g_unlink (path);

  /* What a symbolic link leads to counts. */
  fail_unless (symlink (path, link) == 0);
  expect_refusal (NULL, link, "no such file");
  write_file ("secret\n", 7);
  fail_unless (helix_token_find (NULL, link, &found, NULL));
  g_free (found);
}
GST_END_TEST;

/* 0: it has a token for us. Else the error's code. */
static int
look_at_file (void *opaque)
{
  g_autoptr (GError) error = NULL;
  g_autofree gchar *found = NULL;

  if (helix_token_find (NULL, opaque, &found, &error))
    return 0;
  return error->code;
}

/* A file of another user is refused, root's is not. */
GST_START_TEST (test_owner)
{
  if (!test_can_be_nobody ("a file of another user"))
    return;
  write_file ("secret\n", 7);
  fail_unless (g_chmod (folder, 0755) == 0);
  fail_unless_equals_int (
      test_as_nobody (look_at_file, path), GST_RESOURCE_ERROR_OPEN_READ);
  fail_unless (chown (path, TEST_NOBODY, (gid_t) -1) == 0);
  expect_refusal (NULL, path, "belongs to another user (uid 65534)");
  fail_unless_equals_int (test_as_nobody (look_at_file, path), 0);
}
GST_END_TEST;

static Suite *
helix_token_suite (void)
{
  Suite *s = suite_create ("helix-token");
  TCase *tc = tcase_create ("token");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_add_loop_test (tc, test_contents, 0, G_N_ELEMENTS (contents));
  tcase_add_test (tc, test_given);
  tcase_add_test (tc, test_modes);
  tcase_add_test (tc, test_kinds);
  tcase_add_test (tc, test_owner);
  return s;
}

GST_CHECK_MAIN (helix_token);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gstdio.h>
#include <gst/check/gstcheck.h>
#include <unistd.h>

#include "fake-shim.h"
#include "helix-registry.h"
#include "helix-vm-places.h"

#define CONTAINER "Library/Group Containers/ABC.com.utmapp.UTM"

static gchar *folder;

static void
setup (void)
{
  g_setenv ("XDG_RUNTIME_DIR", folder, TRUE);
  fail_unless_equals_int (chdir (folder), 0);
}

static void
teardown (void)
{
  fail_unless_equals_int (chdir ("/"), 0);
}

static void
expect (GPtrArray *places, guint index, const gchar *path, pid_t pid)
{
  const HelixVmPlace *place;

  fail_unless (index < places->len, "%u places, wanted %s", places->len, path);
  place = g_ptr_array_index (places, index);
  fail_unless_equals_string (place->path, path);
  fail_unless_equals_int (place->pid, pid);
  fail_unless (strstr (place->where,
                   pid != 0 ? "gst-helix (XDG_RUNTIME_DIR is /" : "in ")
          != NULL,
      "%s", place->where);
}

static gchar *
make (const gchar *name)
{
  gchar *path = g_build_filename (folder, name, NULL);
  gchar *parent = g_path_get_dirname (path);

  fail_unless_equals_int (g_mkdir_with_parents (parent, 0700), 0);
  fail_unless (g_file_set_contents (path, "", 0, NULL));
  g_free (parent);
  return path;
}

GST_START_TEST (test_places)
{
  GString *looked = g_string_new (NULL);
  GPtrArray *places = helix_vm_places_list (looked);
  char entry[HELIX_REGISTRY_PATH];
  gchar *registered, *usual, *utm, *registry;
  const char *why;

  /* Nothing there: all places are told. */
  fail_unless_equals_int (places->len, 0);
  usual = g_build_filename (folder, "helix.sock", NULL);
  fail_unless (strstr (looked->str, usual) != NULL, "%s", looked->str);
  fail_unless (strstr (looked->str, "./") == NULL, "%s", looked->str);
  fail_unless (g_ascii_isgraph (looked->str[0]) && looked->str[0] != ',');
  g_free (usual);
  g_ptr_array_unref (places);
  g_string_free (looked, TRUE);

  registered = make ("some/where.sock");
  usual = make ("helix.sock");
  utm = make (CONTAINER "/helix.sock");
  fail_unless (helix_registry_add (registered, entry, &why), "%s", why);
  places = helix_vm_places_list (NULL);
  fail_unless_equals_int (places->len, 3);
  expect (places, 0, registered, getpid ());
  expect (places, 1, usual, 0);
  expect (places, 2, utm, 0);
  g_ptr_array_unref (places);

  /* What two names lead to is one place. */
  helix_registry_remove (entry);
  fail_unless (helix_registry_add (usual, entry, &why), "%s", why);
  places = helix_vm_places_list (NULL);
  fail_unless_equals_int (places->len, 2);
  expect (places, 0, usual, getpid ());
  g_ptr_array_unref (places);
  helix_registry_remove (entry);

  /* The working directory is no such place. */
  fail_unless_equals_int (g_mkdir ("here", 0700), 0);
  fail_unless_equals_int (chdir ("here"), 0);
  fail_unless (g_file_set_contents ("helix.sock", "", 0, NULL));
  places = helix_vm_places_list (NULL);
  fail_unless_equals_int (places->len, 2);
  g_ptr_array_unref (places);
  g_unlink ("helix.sock");
  fail_unless_equals_int (chdir (folder), 0);
  fail_unless_equals_int (g_rmdir ("here"), 0);

  g_unlink (registered);
  g_unlink (usual);
  g_unlink (utm);
  registry = g_build_filename (folder, "gst-helix", NULL);
  g_rmdir (registry);
  g_rmdir ("some");
  g_rmdir (CONTAINER);
  g_rmdir ("Library/Group Containers");
  g_rmdir ("Library");
  fail_unless_equals_int (g_rmdir (folder), 0);
  g_free (registry);
  g_free (registered);
  g_free (usual);
  g_free (utm);
}
GST_END_TEST;

static Suite *
helix_vm_places_suite (void)
{
  Suite *s = suite_create ("helix-vm-places");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_add_test (tc, test_places);
  return s;
}

/* GLib looks for HOME once, and GStreamer may ask for it as it starts. */
int
main (int argc, char **argv)
{
  folder = g_dir_make_tmp ("helix-places-XXXXXX", NULL);
  g_setenv ("HOME", folder, TRUE);
  gst_check_init (&argc, &argv);
  return gst_check_run_suite (
      helix_vm_places_suite (), "helix_vm_places", __FILE__);
}

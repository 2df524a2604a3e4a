/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-test-folder.h"

#include <glib/gstdio.h>

void
test_remove_tree (const char *path)
{
  GDir *dir = g_file_test (path, G_FILE_TEST_IS_SYMLINK)
      ? NULL
      : g_dir_open (path, 0, NULL);
  const gchar *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL) {
    g_autofree gchar *entry = g_build_filename (path, name, NULL);

    test_remove_tree (entry);
  }
  if (dir != NULL)
    g_dir_close (dir);
  g_remove (path);
}

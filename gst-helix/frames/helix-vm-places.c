/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-vm-places.h"

#include <sys/stat.h>

#include "helix-registry.h"

#define SOCKET_NAME "helix.sock"
/* Where UTM's sandbox lets QEMU listen, under the home directory; the folder
 * is named after whoever signed UTM. */
#define GROUP_CONTAINERS "Library/Group Containers"
#define UTM_SUFFIX ".com.utmapp.UTM"

typedef struct {
  GPtrArray *places;
  GHashTable *files; /* "device:inode" of those in `places` */
} Found;

static void
place_free (gpointer data)
{
  HelixVmPlace *place = data;

  g_free (place->path);
  g_free (place);
}

/* Adds the place if something is there, and was not yet by another name. */
static void
add (Found *found, const gchar *path, pid_t pid)
{
  HelixVmPlace *place;
  struct stat st;

  if (found->places->len >= HELIX_VM_PLACES_MAX || stat (path, &st) < 0)
    return;
  if (!g_hash_table_add (found->files,
          g_strdup_printf ("%" G_GUINT64_FORMAT ":%" G_GUINT64_FORMAT,
              (guint64) st.st_dev, (guint64) st.st_ino)))
    return;
  place = g_new0 (HelixVmPlace, 1);
  place->path = g_strdup (path);
  place->pid = pid;
  g_ptr_array_add (found->places, place);
}

static void
add_registered (void *opaque, const char *socket_path, pid_t pid)
{
  add (opaque, socket_path, pid);
}

static void
look_in_registry (Found *found, GString *looked)
{
  char folder[HELIX_REGISTRY_PATH];
  const char *why = NULL;

  if (helix_registry_folder (folder, false, &why)) {
    helix_registry_scan (add_registered, found);
    g_string_append_printf (looked, ", %s", folder);
  } else {
    g_string_append_printf (looked, ", the registry of VMs (%s)",
        why != NULL ? why : "there is none");
  }
}

static void
look_in_runtime (Found *found, GString *looked)
{
  const gchar *runtime = g_getenv ("XDG_RUNTIME_DIR");
  gchar *path;

  if (runtime == NULL || *runtime == '\0') {
    g_string_append (looked, ", $XDG_RUNTIME_DIR (not set)");
    return;
  }
  path = g_build_filename (runtime, SOCKET_NAME, NULL);
  g_string_append_printf (looked, ", %s", path);
  add (found, path, 0);
  g_free (path);
}

static void
look_in_utm (Found *found, GString *looked)
{
  gchar *parent = g_build_filename (g_get_home_dir (), GROUP_CONTAINERS, NULL);
  GDir *dir = g_dir_open (parent, 0, NULL);
  const gchar *name;

  if (dir != NULL) {
    g_string_append_printf (
        looked, ", %s/*" UTM_SUFFIX "/" SOCKET_NAME, parent);
    while ((name = g_dir_read_name (dir)) != NULL) {
      gchar *path = g_build_filename (parent, name, SOCKET_NAME, NULL);

      if (g_str_has_suffix (name, UTM_SUFFIX))
        add (found, path, 0);
      g_free (path);
    }
    g_dir_close (dir);
  }
  g_free (parent);
}

GPtrArray *
helix_vm_places_list (GString *looked)
{
  GString *told = g_string_new (NULL);
  Found found;

  found.places = g_ptr_array_new_with_free_func (place_free);
  found.files = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  look_in_registry (&found, told);
  look_in_runtime (&found, told);
  look_in_utm (&found, told);
  if (looked != NULL)
    g_string_append (looked, told->str + (looked->len == 0 ? 2 : 0));
  g_string_free (told, TRUE);
  g_hash_table_unref (found.files);
  return found.places;
}

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
  GHashTable *files;     /* "device:inode" of those in `places` */
  const gchar *registry; /* `where` of what is registered */
} Found;

static void
place_free (gpointer data)
{
  HelixVmPlace *place = data;

  g_free (place->path);
  g_free (place->where);
  g_free (place);
}

/* Adds the place if something is there, and was not yet by another name. */
static void
add (Found *found, const gchar *path, pid_t pid, const gchar *where)
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
  place->where = g_strdup (where);
  g_ptr_array_add (found->places, place);
}

static void
add_registered (void *opaque, const char *socket_path, pid_t pid)
{
  Found *found = opaque;

  add (found, socket_path, pid, found->registry);
}

static void
look_in_registry (Found *found, GString *looked)
{
  char folder[HELIX_REGISTRY_PATH], reason[HELIX_REGISTRY_PATH];
  const char *why = NULL;
  gchar *where;

  helix_registry_reason (reason);
  if (helix_registry_folder (folder, false, &why)) {
    where = g_strdup_printf ("in %s (%s)", folder, reason);
    found->registry = where;
    helix_registry_scan (add_registered, found);
    g_string_append_printf (looked, ", %s (%s)", folder, reason);
    found->registry = NULL;
    g_free (where);
  } else {
    g_string_append_printf (
        looked, ", the registry of VMs, %s (%s; %s)", folder, why, reason);
  }
}

static void
look_in_runtime (Found *found, GString *looked)
{
  const gchar *runtime = g_getenv ("XDG_RUNTIME_DIR");
  gchar *path, *where;

  if (runtime == NULL || *runtime == '\0') {
    g_string_append (looked, ", $XDG_RUNTIME_DIR (not set)");
    return;
  }
  path = g_build_filename (runtime, SOCKET_NAME, NULL);
  where = g_strdup_printf ("in %s (XDG_RUNTIME_DIR)", runtime);
  g_string_append_printf (looked, ", %s", path);
  add (found, path, 0, where);
  g_free (where);
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
        add (found, path, 0, "in UTM's folder");
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
  Found found = {0};

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

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-role.h"

#include <string.h>

#include "helix-address.h"

#define VIRTIO_DEVICES "sys/bus/virtio/devices"
#define VIRTIO_PORTS "dev/virtio-ports"
#define FIRMWARE "sys/class/dmi/id/sys_vendor"

/* virtio specification, section 5: device ids. */
#define VIRTIO_ID_GPU 16

/* The name of the first entry of a folder that `is` likes, or NULL. */
static gchar *
find_entry (const gchar *root, const gchar *folder,
    gboolean (*is) (const gchar *folder, const gchar *name))
{
  g_autofree gchar *path = g_build_filename (root, folder, NULL);
  GDir *dir = g_dir_open (path, 0, NULL);
  gchar *found = NULL;
  const gchar *name;

  while (dir != NULL && found == NULL && (name = g_dir_read_name (dir)) != NULL)
    if (is (path, name))
      found = g_strdup (name);
  if (dir != NULL)
    g_dir_close (dir);
  return found;
}

static gboolean
is_virtio_gpu (const gchar *folder, const gchar *name)
{
  g_autofree gchar *path = g_build_filename (folder, name, "device", NULL);
  g_autofree gchar *text = NULL;

  /* "0x0010\n" */
  return g_file_get_contents (path, &text, NULL, NULL)
      && g_ascii_strtoull (text, NULL, 0) == VIRTIO_ID_GPU;
}

static gboolean
is_helix_port (const gchar *folder, const gchar *name)
{
  return strstr (name, "helix") != NULL;
}

HelixRole
helix_role_detect (const gchar *root, gchar **why)
{
  g_autofree gchar *gpu = find_entry (root, VIRTIO_DEVICES, is_virtio_gpu);
  g_autofree gchar *port = find_entry (root, VIRTIO_PORTS, is_helix_port);
  g_autofree gchar *path = g_build_filename (root, FIRMWARE, NULL);
  g_autofree gchar *vendor = NULL;

  if (port != NULL) {
    *why = g_strdup_printf ("there is a virtio port %s", port);
    return HELIX_GUEST;
  }
  if (gpu != NULL) {
    *why = g_strdup_printf ("there is a virtio GPU (%s)", gpu);
    return HELIX_GUEST;
  }
  if (g_file_get_contents (path, &vendor, NULL, NULL)
      && strstr (vendor, "QEMU") != NULL)
    *why = g_strdup ("a virtual machine, but without a virtio GPU");
  else
    *why = g_strdup ("there is no virtio GPU");
  return HELIX_HOST;
}

gchar *
helix_role_address (HelixRole side)
{
  const gchar *env = g_getenv ("HELIX_ADDRESS");

  if (env != NULL && *env != '\0')
    return g_strdup (env);
  return g_strdup (side == HELIX_HOST ? HELIX_ADDRESS_DEFAULT_HOST
                                      : HELIX_ADDRESS_DEFAULT_GUEST);
}

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
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const gchar *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    if (is (path, name))
      return g_strdup (name);
  return NULL;
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

  if (port != NULL)
    *why = g_strdup_printf ("there is a virtio port %s", port);
  else if (gpu != NULL)
    *why = g_strdup_printf ("there is a virtio GPU (%s)", gpu);
  else if (g_file_get_contents (path, &vendor, NULL, NULL)
      && strstr (vendor, "QEMU") != NULL)
    *why = g_strdup ("a virtual machine, but without a virtio GPU");
  else
    *why = g_strdup ("there is no virtio GPU");
  return port != NULL || gpu != NULL ? HELIX_GUEST : HELIX_HOST;
}

gchar *
helix_role_address (HelixRole role, const gchar *given)
{
  const gchar *named = given != NULL ? given : g_getenv ("HELIX_ADDRESS");

  if (named != NULL && (named == given || *named != '\0'))
    return g_strdup (named);
  return g_strdup (role == HELIX_HOST ? HELIX_ADDRESS_DEFAULT_HOST
                                      : HELIX_ADDRESS_DEFAULT_GUEST);
}

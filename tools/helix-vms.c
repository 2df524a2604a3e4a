/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-vms.h"

#include <gst/gst.h>
#include <string.h>

#include "helix-platform.h"
#include "helix-transport.h"

#define VIRTIO_DEVICES "sys/bus/virtio/devices"
#define VIRTIO_PORTS "dev/virtio-ports"
#define FIRMWARE "sys/class/dmi/id/sys_vendor"

/* virtio specification, section 5: device ids. */
#define VIRTIO_ID_GPU 16

/* Set while options are read, before there is a second thread. */
static uid_t server_uid = HELIX_SERVER_USER_NONE;

gboolean
helix_vms_take_server_user (
    const gchar *option, const gchar *user, gpointer data, GError **error)
{
  return helix_discovery_find_user (user, &server_uid, error);
}

uid_t
helix_vms_server_uid (void)
{
  return server_uid;
}

/* Whether no process listens: a file that a VM of the past left behind. A VM
 * that listens gets its pid. */
static gboolean
is_stale (HelixVm *vm)
{
  g_autoptr (GError) error = NULL;

  helix_close (helix_discovery_dial (vm->path, server_uid, &vm->pid, &error));
  return g_error_matches (
      error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND);
}

GPtrArray *
helix_vms_find (const gchar *wanted, gchar **looked)
{
  const gchar *named = helix_discovery_named (wanted);
  GPtrArray *vms;

  *looked = NULL;
  if (named != NULL) {
    vms = g_ptr_array_new_with_free_func ((GDestroyNotify) helix_vm_free);
    g_ptr_array_add (vms, helix_vm_new (named, "named"));
    return vms;
  }
  vms = helix_discovery_list (looked);
  /* If there is only one, report on it even if it is stale. */
  for (guint i = vms->len; i-- > 0;)
    if (is_stale (g_ptr_array_index (vms, i)) && vms->len > 1)
      g_ptr_array_remove_index (vms, i);
  return vms;
}

/* Takes `fd` over, which is -1 if *error is set already. */
static HelixProbe *
greet (gint fd, gboolean serial, const gchar *where, enum helix_role role,
    const gchar *token, guint64 deadline, GError **error)
{
  gboolean shim = role == HELIX_ROLE_FRAMES;
  g_autoptr (GError) mine = NULL;
  HelixProbe *probe;

  if (fd < 0)
    return NULL;
  probe = helix_probe_new (fd, serial);
  if (helix_probe_hello (probe, role, token, deadline, &mine))
    return probe;
  g_set_error (error, mine->domain, mine->code, "%s: %s%s%s%s", where,
      mine->message, shim ? ". helix doctor --socket " : "", shim ? where : "",
      shim ? " tells more." : "");
  helix_probe_free (probe);
  return NULL;
}

HelixProbe *
helix_vms_reach (const gchar *where, enum helix_role role, const gchar *token,
    guint64 deadline, GError **error)
{
  guint64 now = helix_now_ns ();
  g_autoptr (HelixAddress) address = NULL;
  pid_t pid;
  gint fd;

  if (role == HELIX_ROLE_FRAMES)
    return greet (helix_discovery_dial (where, server_uid, &pid, error), FALSE,
        where, role, NULL, deadline, error);
  address = helix_address_parse (where, error);
  if (address == NULL)
    return NULL;
  fd = helix_transport_connect (address, NULL,
      now < deadline ? (gint) ((deadline - now) / GST_MSECOND) : 0, error);
  return greet (fd, address->kind == HELIX_ADDRESS_SERIAL, where, role, token,
      deadline, error);
}

HelixProbe *
helix_vms_reach_only (
    const gchar *wanted, guint64 deadline, gchar **path, GError **error)
{
  HelixDiscovery only = {.server_uid = server_uid, .option = "--socket"};
  gboolean final;
  gint fd = helix_discovery_connect (&only, wanted, NULL, path, &final, error);

  helix_discovery_clear (&only);
  return greet (fd, FALSE, *path, HELIX_ROLE_FRAMES, NULL, deadline, error);
}

/* ---- which end of the stream this is ---- */

/* The name of the first entry of a folder that contains `part` and, unless that
 * is 0, is of the virtio device `id`; or NULL. */
static gchar *
find_entry (const gchar *root, const gchar *folder, const gchar *part, guint id)
{
  g_autofree gchar *path = g_build_filename (root, folder, NULL);
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const gchar *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL) {
    g_autofree gchar *file = g_build_filename (path, name, "device", NULL);
    g_autofree gchar *text = NULL; /* "0x0010\n" */

    if (strstr (name, part) != NULL
        && (id == 0
            || (g_file_get_contents (file, &text, NULL, NULL)
                && g_ascii_strtoull (text, NULL, 0) == id)))
      return g_strdup (name);
  }
  return NULL;
}

HelixRole
helix_role_detect (const gchar *wanted, const gchar *root, gchar **why)
{
  g_autofree gchar *looked = NULL;
  g_autoptr (GPtrArray) vms = helix_vms_find (wanted, &looked);
  g_autofree gchar *gpu = find_entry (root, VIRTIO_DEVICES, "", VIRTIO_ID_GPU);
  g_autofree gchar *port = find_entry (root, VIRTIO_PORTS, "helix", 0);
  g_autofree gchar *path = g_build_filename (root, FIRMWARE, NULL);
  g_autofree gchar *vendor = NULL;

  if (vms->len > 0)
    *why = g_strdup (
        looked == NULL ? "a VM's socket was named" : "there is a VM's socket");
  else if (port != NULL)
    *why = g_strdup_printf ("there is a virtio port %s", port);
  else if (gpu != NULL)
    *why = g_strdup_printf ("there is a virtio GPU (%s)", gpu);
  else if (g_file_get_contents (path, &vendor, NULL, NULL)
      && strstr (vendor, "QEMU") != NULL)
    *why = g_strdup ("a virtual machine, but without a virtio GPU");
  else
    *why = g_strdup ("there is no virtio GPU");
  return vms->len == 0 && (port != NULL || gpu != NULL) ? HELIX_GUEST
                                                        : HELIX_HOST;
}

const gchar *
helix_role_address (HelixRole role, const gchar *given)
{
  const gchar *named = g_getenv ("HELIX_ADDRESS");

  if (given != NULL)
    return given;
  if (named != NULL && *named != '\0')
    return named;
  return role == HELIX_HOST ? HELIX_ADDRESS_DEFAULT_HOST
                            : HELIX_ADDRESS_DEFAULT_GUEST;
}

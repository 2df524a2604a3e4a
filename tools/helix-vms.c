/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-vms.h"

#include <errno.h>
#include <gst/gst.h>
#include <unistd.h>

#include "helix-platform.h"
#include "helix-server-user.h"
#include "helix-socket-path.h"
#include "helix-vm-places.h"

/* Set while options are read, before there is a second thread. */
static uid_t server_uid = HELIX_SERVER_USER_NONE;

gboolean
helix_vms_take_server_user (
    const gchar *option, const gchar *user, gpointer data, GError **error)
{
  return helix_server_user_parse (user, &server_uid, error);
}

uid_t
helix_vms_server_uid (void)
{
  return server_uid;
}

static void
vm_free (gpointer data)
{
  HelixVm *vm = data;

  g_free (vm->path);
  g_free (vm);
}

static void
add (GPtrArray *vms, const gchar *path, pid_t pid)
{
  HelixVm *vm = g_new0 (HelixVm, 1);

  vm->path = g_strdup (path);
  vm->pid = pid;
  g_ptr_array_add (vms, vm);
}

/* Whether nobody listens: a file that a VM of the past left behind. */
static gboolean
is_stale (const gchar *path)
{
  gint fd = helix_socket (AF_UNIX);
  gboolean stale;

  if (fd < 0)
    return FALSE;
  stale = helix_unix_connect (fd, path) < 0 && errno == ECONNREFUSED;
  close (fd);
  return stale;
}

HelixVms *
helix_vms_find (const gchar *wanted)
{
  HelixVms *self = g_new0 (HelixVms, 1);
  const gchar *named = helix_socket_path_named (wanted);
  g_autoptr (GPtrArray) places = NULL;
  GString *looked;

  self->vms = g_ptr_array_new_with_free_func (vm_free);
  if (named != NULL) {
    self->given = TRUE;
    add (self->vms, named, 0);
    return self;
  }
  looked = g_string_new (NULL);
  places = helix_vm_places_list (looked);
  self->looked = g_string_free (looked, FALSE);
  for (guint i = 0; i < places->len; i++) {
    const HelixVmPlace *place = g_ptr_array_index (places, i);

    /* A lone one is what there is to talk about. */
    if (places->len == 1 || place->pid > 0 || !is_stale (place->path))
      add (self->vms, place->path, place->pid);
  }
  return self;
}

void
helix_vms_free (HelixVms *self)
{
  if (self == NULL)
    return;
  g_ptr_array_unref (self->vms);
  g_free (self->looked);
  g_free (self);
}

HelixRole
helix_vms_role (const gchar *wanted, const gchar *root, gchar **why)
{
  g_autoptr (HelixVms) vms = helix_vms_find (wanted);

  if (vms->vms->len == 0)
    return helix_role_detect (root, why);
  *why = g_strdup (
      vms->given ? "a VM's socket was named" : "there is a VM's socket");
  return HELIX_HOST;
}

const HelixVm *
helix_vms_only (const HelixVms *self, GError **error)
{
  g_autoptr (GString) list = NULL;

  if (self->vms->len == 1)
    return g_ptr_array_index (self->vms, 0);
  if (self->vms->len == 0) {
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND,
        "No VM that exports its screen was found (looked at %s). Start QEMU "
        "with -device helix-export,path=helix.sock, or name its socket with "
        "--socket.",
        self->looked);
    return NULL;
  }
  list = g_string_new (NULL);
  for (guint i = 0; i < self->vms->len; i++) {
    const HelixVm *vm = g_ptr_array_index (self->vms, i);

    g_string_append_printf (
        list, "%s%s (pid %ld)", i ? ", " : "", vm->path, (long) vm->pid);
  }
  g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
      "%u VMs run here: %s. Say which one with --socket.", self->vms->len,
      list->str);
  return NULL;
}

HelixProbe *
helix_vms_greet (const gchar *path, guint64 deadline, GError **error)
{
  HelixSocketSearch search = {.server_uid = server_uid};
  g_autofree gchar *found = NULL;
  g_autoptr (GError) mine = NULL;
  HelixProbe *probe;
  gboolean final;
  gint fd =
      helix_socket_path_connect (path, &search, -1, &found, &final, error);

  helix_socket_search_clear (&search);
  if (fd < 0)
    return NULL;
  probe = helix_probe_new (fd, FALSE);
  if (helix_probe_hello (probe, HELIX_ROLE_FRAMES, NULL, deadline, &mine))
    return probe;
  g_set_error (error, mine->domain, mine->code,
      "%s: %s. helix doctor --socket %s tells more.", path, mine->message,
      path);
  helix_probe_free (probe);
  return NULL;
}

HelixProbe *
helix_vms_greet_only (
    const gchar *wanted, guint64 deadline, gchar **path, GError **error)
{
  g_autoptr (HelixVms) vms = helix_vms_find (wanted);
  const HelixVm *vm = helix_vms_only (vms, error);

  *path = vm != NULL ? g_strdup (vm->path) : NULL;
  return vm != NULL ? helix_vms_greet (vm->path, deadline, error) : NULL;
}

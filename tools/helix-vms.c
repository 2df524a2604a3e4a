/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-vms.h"

#include <gst/gst.h>
#include <unistd.h>

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

  if (!helix_vm_dial (vm, server_uid, &error))
    return g_error_matches (
        error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND);
  close (vm->fd);
  vm->fd = -1;
  return FALSE;
}

HelixVms *
helix_vms_find (const gchar *wanted)
{
  HelixVms *self = g_new0 (HelixVms, 1);
  const gchar *named = helix_discovery_named (wanted);

  if (named != NULL) {
    self->given = TRUE;
    self->vms = g_ptr_array_new_with_free_func ((GDestroyNotify) helix_vm_free);
    g_ptr_array_add (self->vms, helix_vm_new (named, "named"));
    return self;
  }
  self->vms = helix_discovery_list (&self->looked);
  /* If there is only one, report on it even if it is stale. */
  for (guint i = self->vms->len; i-- > 0;)
    if (is_stale (g_ptr_array_index (self->vms, i)) && self->vms->len > 1)
      g_ptr_array_remove_index (self->vms, i);
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

/* Takes `fd` over, which is -1 if *error is set already. */
static HelixProbe *
greet (gint fd, const gchar *path, guint64 deadline, GError **error)
{
  g_autoptr (GError) mine = NULL;
  HelixProbe *probe;

  if (fd < 0)
    return NULL;
  probe = helix_probe_new (fd, FALSE);
  if (helix_probe_hello (probe, HELIX_ROLE_FRAMES, NULL, deadline, &mine)
      && helix_probe_list (probe, NULL, deadline, &mine))
    return probe;
  g_set_error (error, mine->domain, mine->code,
      "%s: %s. helix doctor --socket %s tells more.", path, mine->message,
      path);
  helix_probe_free (probe);
  return NULL;
}

HelixProbe *
helix_vms_greet (const gchar *path, guint64 deadline, GError **error)
{
  gint fd = helix_discovery_dial (path, server_uid, error);

  return greet (fd, path, deadline, error);
}

HelixProbe *
helix_vms_greet_only (
    const gchar *wanted, guint64 deadline, gchar **path, GError **error)
{
  HelixDiscovery only = {.server_uid = server_uid, .option = "--socket"};
  gboolean final;
  gint fd = helix_discovery_connect (&only, wanted, -1, path, &final, error);

  helix_discovery_clear (&only);
  return greet (fd, *path, deadline, error);
}

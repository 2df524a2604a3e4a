/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-refusal.h"

#include "helix-pack.h"

/* Per enum helix_error_code. LOST where time, or somebody, may cure it. */
static const struct {
  guint32 code;
  HelixSessionResult result;
  gboolean stream; /* else a GST_RESOURCE_ERROR */
  gint gst_code;
  const gchar *remedy;
} refusals[] = {
    {HELIX_ERROR_PROTOCOL, HELIX_SESSION_FAILED, TRUE, GST_STREAM_ERROR_FORMAT,
        "Are QEMU's shim and this plugin of the same release?"},
    {HELIX_ERROR_VERSION, HELIX_SESSION_FAILED, TRUE, GST_STREAM_ERROR_FORMAT,
        "Update the older of QEMU's shim and this plugin."},
    {HELIX_ERROR_ROLE, HELIX_SESSION_FAILED, TRUE, GST_STREAM_ERROR_WRONG_TYPE,
        "Set socket-path to the path given to -device helix-export."},
    {HELIX_ERROR_AUTH, HELIX_SESSION_FAILED, FALSE,
        GST_RESOURCE_ERROR_NOT_AUTHORIZED,
        "Run this as the user that runs QEMU, or add allow=USER to its -device "
        "helix-export."},
    {HELIX_ERROR_BUSY, HELIX_SESSION_LOST, FALSE, GST_RESOURCE_ERROR_BUSY,
        "Raise max-clients of -device helix-export, or end another client."},
    {HELIX_ERROR_NO_SCANOUT, HELIX_SESSION_FAILED, FALSE,
        GST_RESOURCE_ERROR_SETTINGS,
        "Set scanout to one that the shim exports."},
    {HELIX_ERROR_NO_RESOURCE, HELIX_SESSION_LOST, FALSE,
        GST_RESOURCE_ERROR_NOT_FOUND,
        "Set resource-id to a living resource of the guest."},
    {HELIX_ERROR_LIMIT, HELIX_SESSION_LOST, FALSE,
        GST_RESOURCE_ERROR_NO_SPACE_LEFT, "Ask for less."},
    {HELIX_ERROR_NO_MEMORY, HELIX_SESSION_LOST, FALSE,
        GST_RESOURCE_ERROR_NO_SPACE_LEFT,
        "Free memory on the host, or give QEMU a larger /dev/shm."},
    {HELIX_ERROR_READBACK, HELIX_SESSION_WARNING, FALSE,
        GST_RESOURCE_ERROR_READ, "The shim tries again."},
    {HELIX_ERROR_TIMEOUT, HELIX_SESSION_IDLED, FALSE, GST_RESOURCE_ERROR_READ,
        "Connecting again."},
};

HelixSessionResult
helix_refusal (
    guint32 code, const gchar *text, const gchar *path, GError **error)
{
  HelixSessionResult result = HELIX_SESSION_LOST;
  GQuark domain = GST_RESOURCE_ERROR;
  gint gst_code = GST_RESOURCE_ERROR_FAILED;
  const gchar *remedy = "See what QEMU says of it.";

  for (guint i = 0; i < G_N_ELEMENTS (refusals); i++) {
    if (refusals[i].code != code)
      continue;
    result = refusals[i].result;
    domain = refusals[i].stream ? GST_STREAM_ERROR : GST_RESOURCE_ERROR;
    gst_code = refusals[i].gst_code;
    remedy = refusals[i].remedy;
  }
  g_set_error (error, domain, gst_code, "The shim at %s refuses (%s): %s. %s",
      path, helix_error_name (code), text, remedy);
  return result;
}

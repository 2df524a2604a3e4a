/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-server-user.h"

#include <errno.h>
#include <gst/gst.h>
#include <unistd.h>

#include "helix-platform.h"

gboolean
helix_server_user_parse (const gchar *user, uid_t *uid, GError **error)
{
  *uid = HELIX_SERVER_USER_NONE;
  if (user == NULL || *user == '\0' || helix_user_find (user, uid))
    return TRUE;
  g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
      "server-user %s: there is no such user. Set it to the name or the number "
      "of the user that runs the VM.",
      user);
  return FALSE;
}

/* "user NAME (uid N, pid P)", as far as it is known. */
static gchar *
describe (uid_t uid, pid_t pid)
{
  GString *text = g_string_new ("user ");
  char name[HELIX_USER_NAME];

  if (helix_user_name (uid, name))
    g_string_append_printf (text, "%s (uid %lu", name, (gulong) uid);
  else
    g_string_append_printf (text, "%lu (who has no name", (gulong) uid);
  if (pid > 0)
    g_string_append_printf (text, ", pid %ld", (glong) pid);
  g_string_append_c (text, ')');
  return g_string_free (text, FALSE);
}

gboolean
helix_server_user_check (
    int fd, const gchar *path, uid_t further, GError **error)
{
  gchar *server;
  uid_t uid;
  pid_t pid;

  if (helix_peer_credentials (fd, &uid, &pid) < 0) {
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_AUTHORIZED,
        "%s: the system does not tell which user serves there (%s). Is it a "
        "UNIX socket of this machine?",
        path, g_strerror (errno));
    return FALSE;
  }
  if (helix_user_is_trusted (uid) || uid == further)
    return TRUE;
  server = describe (uid, pid);
  g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_AUTHORIZED,
      "%s: served by %s, who is neither root nor this user (uid %lu), so "
      "nothing was said to it. If that user runs the VM on purpose, set "
      "server-user to %lu; else choose a path in a folder of your own.",
      path, server, (gulong) geteuid (), (gulong) uid);
  g_free (server);
  return FALSE;
}

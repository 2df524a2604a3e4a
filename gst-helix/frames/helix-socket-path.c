/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-socket-path.h"

#include <errno.h>
#include <gst/gst.h>
#include <sys/stat.h>
#include <unistd.h>

#include "helix-platform.h"

#define SOCKET_NAME "helix.sock"
/* Where UTM's sandbox lets QEMU listen, under the home directory; the folder
 * is named after whoever signed UTM. */
#define GROUP_CONTAINERS "Library/Group Containers"
#define UTM_SUFFIX ".com.utmapp.UTM"

/* The newest socket in a UTM group container, or NULL. */
static gchar *
find_utm (GString *looked)
{
  gchar *parent = g_build_filename (g_get_home_dir (), GROUP_CONTAINERS, NULL);
  GDir *dir = g_dir_open (parent, 0, NULL);
  gchar *best = NULL;
  const gchar *name;
  time_t newest = 0;

  if (dir != NULL)
    g_string_append_printf (
        looked, ", %s/*" UTM_SUFFIX "/" SOCKET_NAME, parent);
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL) {
    struct stat st;
    gchar *path;

    if (!g_str_has_suffix (name, UTM_SUFFIX))
      continue;
    path = g_build_filename (parent, name, SOCKET_NAME, NULL);
    if (stat (path, &st) == 0 && (best == NULL || st.st_mtime > newest)) {
      newest = st.st_mtime;
      g_free (best);
      best = g_steal_pointer (&path);
    }
    g_free (path);
  }
  if (dir != NULL)
    g_dir_close (dir);
  g_free (parent);
  return best;
}

gchar *
helix_socket_path_find (const gchar *wanted, gchar **looked)
{
  const gchar *env = g_getenv ("HELIX_SOCKET");
  const gchar *runtime = g_getenv ("XDG_RUNTIME_DIR");
  GString *list = g_string_new (NULL);
  gchar *path = NULL;

  if (wanted != NULL && *wanted != '\0') {
    path = g_strdup (wanted);
    goto out;
  }
  if (env != NULL && *env != '\0') {
    path = g_strdup (env);
    goto out;
  }
  g_string_append (list, "$HELIX_SOCKET (not set)");
  if (runtime != NULL && *runtime != '\0') {
    path = g_build_filename (runtime, SOCKET_NAME, NULL);
    g_string_append_printf (list, ", %s", path);
    if (access (path, F_OK) == 0)
      goto out;
    g_clear_pointer (&path, g_free);
  } else {
    g_string_append (list, ", $XDG_RUNTIME_DIR (not set)");
  }
  path = find_utm (list);
  if (path != NULL)
    goto out;
  path = g_strdup ("./" SOCKET_NAME);
  g_string_append_printf (list, ", %s", path);

out:
  if (looked != NULL)
    *looked = g_string_free (list, FALSE);
  else
    g_string_free (list, TRUE);
  return path;
}

static const gchar *
describe (mode_t mode)
{
  switch (mode & S_IFMT) {
    case S_IFREG:
      return "a regular file";
    case S_IFDIR:
      return "a directory";
    case S_IFIFO:
      return "a FIFO";
    default:
      return "a device";
  }
}

/* Puts connect's errno into words; TRUE when it is final. */
static gboolean
explain (int err, const gchar *path, const gchar *looked, GError **error)
{
  struct stat st;

  if (err == ENAMETOOLONG) {
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
        "The socket path %s is too long: %zu bytes, the system takes %zu. "
        "Use a shorter one, or a relative one from a nearer directory.",
        path, strlen (path), helix_sun_path_max () - 1);
    return TRUE;
  }
  /* connect () to a file of another kind says only "connection refused". */
  if (stat (path, &st) == 0 && !S_ISSOCK (st.st_mode)) {
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
        "%s is %s, not a socket. Set socket-path to the path given to QEMU as "
        "-device helix-export,path=...",
        path, describe (st.st_mode));
    return TRUE;
  }
  switch (err) {
    case ENOENT:
      g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND,
          "There is no socket at %s%s%s (%s). Start QEMU with -device "
          "helix-export,path=%s, or set socket-path to where it listens.",
          path, *looked ? "; looked at " : "", looked, g_strerror (err), path);
      return FALSE;
    case ECONNREFUSED:
      g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND,
          "Nobody listens on %s (%s): the QEMU that made it is gone. Start "
          "QEMU with -device helix-export,path=%s.",
          path, g_strerror (err), path);
      return FALSE;
    case EAGAIN:
      g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_BUSY,
          "%s takes no connection now, too many wait already (%s). Is its "
          "QEMU stopped? Continue it.",
          path, g_strerror (err));
      return FALSE;
    case EACCES:
    case EPERM:
      g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_AUTHORIZED,
          "Not allowed to connect to %s (%s). Run this as the user that runs "
          "QEMU, or give it access to the socket and its directory.",
          path, g_strerror (err));
      return TRUE;
    case ENOTDIR:
    case ELOOP:
    case EPROTOTYPE:
      g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
          "%s cannot be a helix socket (%s). Set socket-path to the path "
          "given to QEMU as -device helix-export,path=...",
          path, g_strerror (err));
      return TRUE;
    default:
      g_set_error (error, GST_RESOURCE_ERROR,
          GST_RESOURCE_ERROR_OPEN_READ_WRITE,
          "Cannot connect to %s (%s). Is the QEMU that made it in order?", path,
          g_strerror (err));
      return FALSE;
  }
}

int
helix_socket_path_connect (
    const gchar *wanted, gchar **path, gboolean *final, GError **error)
{
  gchar *looked = NULL;
  int fd, err;

  *path = helix_socket_path_find (wanted, &looked);
  *final = FALSE;
  fd = helix_socket (AF_UNIX);
  if (fd < 0) {
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_OPEN_READ_WRITE,
        "Cannot make a socket to connect to %s (%s). Raise the limit of open "
        "files (ulimit -n).",
        *path, g_strerror (errno));
    goto out;
  }
  if (helix_unix_connect (fd, *path) < 0 && errno != EINPROGRESS) {
    err = errno;
    close (fd);
    fd = -1;
    *final = explain (err, *path, looked, error);
  }
out:
  g_free (looked);
  return fd;
}

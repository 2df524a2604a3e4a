/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-token.h"

#include <errno.h>
#include <fcntl.h>
#include <gst/gst.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "helix-platform.h"
#include "helix-protocol.h"

#define HOW_TO_MAKE \
  "Make one: umask 077; head -c 24 /dev/urandom | base64 > FILE"

/* One byte more than the longest line that is good, CR and LF included: what
 * is longer does not need to be read. */
#define MAX_READ (HELIX_MAX_TOKEN + 3)

/* Sets the error. Returns FALSE, as the checks do that call it. */
static gboolean G_GNUC_PRINTF (4, 5) refuse (GError **error,
    GstResourceError code, const gchar *thing, const gchar *format, ...)
{
  g_autofree gchar *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, GST_RESOURCE_ERROR, code, "%s: %s.", thing, text);
  return FALSE;
}

/* Never waits: neither for a FIFO's writer nor for a terminal. */
static gint
open_file (const gchar *path, GError **error)
{
  gint fd = open (path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

  if (fd >= 0)
    return fd;
  if (errno == ENOENT)
    refuse (error, GST_RESOURCE_ERROR_NOT_FOUND, path,
        "there is no such file for the token. " HOW_TO_MAKE);
  else
    refuse (error, GST_RESOURCE_ERROR_OPEN_READ, path,
        "the file with the token cannot be opened: %s. Name a regular file "
        "that this program's user may read",
        g_strerror (errno));
  return -1;
}

/* Whether only this program's user, and root, can know or change what the
 * file says. */
static gboolean
check_file (gint fd, const gchar *path, GError **error)
{
  struct stat status;

  if (fstat (fd, &status) < 0)
    return refuse (error, GST_RESOURCE_ERROR_READ, path,
        "the file with the token cannot be looked at: %s. Name another file",
        g_strerror (errno));
  if (!S_ISREG (status.st_mode))
    return refuse (error, GST_RESOURCE_ERROR_SETTINGS, path,
        "a token is read from a regular file, and this is none. " HOW_TO_MAKE);
  if (!helix_user_is_trusted (status.st_uid))
    return refuse (error, GST_RESOURCE_ERROR_NOT_AUTHORIZED, path,
        "the file with the token belongs to another user (uid %lu), who may "
        "read and change it. Make one that belongs to uid %lu",
        (gulong) status.st_uid, (gulong) geteuid ());
  if (status.st_mode & (S_IRWXG | S_IRWXO))
    return refuse (error, GST_RESOURCE_ERROR_NOT_AUTHORIZED, path,
        "other users may use the file with the token (mode %04o). chmod 600 %s",
        (guint) (status.st_mode & 07777), path);
  return TRUE;
}

static gboolean
check_size (gsize size, const gchar *thing, GError **error)
{
  if (size == 0)
    return refuse (error, GST_RESOURCE_ERROR_SETTINGS, thing,
        "the token is empty, which gives no protection. Use 1 to %u bytes, "
        "better 24 random ones or more",
        (guint) HELIX_MAX_TOKEN);
  if (size > HELIX_MAX_TOKEN)
    return refuse (error, GST_RESOURCE_ERROR_SETTINGS, thing,
        "the token is too long. Use up to %u bytes in one line",
        (guint) HELIX_MAX_TOKEN);
  return TRUE;
}

/* NULL: an error is set. */
static gchar *
read_file (const gchar *path, GError **error)
{
  gchar bytes[MAX_READ];
  gchar *token = NULL;
  const gchar *end;
  gint fd = open_file (path, error);
  gssize n;
  gsize size;

  if (fd < 0)
    return NULL;
  if (!check_file (fd, path, error))
    goto done;
  do
    n = read (fd, bytes, sizeof bytes); /* a regular file gives all at once */
  while (n < 0 && errno == EINTR);
  if (n < 0) {
    refuse (error, GST_RESOURCE_ERROR_READ, path,
        "the file with the token cannot be read: %s. Name another file",
        g_strerror (errno));
    goto done;
  }
  end = memchr (bytes, '\n', (gsize) n);
  size = end != NULL ? (gsize) (end - bytes) : (gsize) n;
  if (size > 0 && bytes[size - 1] == '\r')
    size--;
  if (memchr (bytes, '\0', size) != NULL)
    refuse (error, GST_RESOURCE_ERROR_SETTINGS, path,
        "there is a NUL byte in the token. Use a line of text; base64 makes "
        "one of any bytes");
  else if (check_size (size, path, error))
    token = g_strndup (bytes, size);

done:
  close (fd);
  return token;
}

gboolean
helix_token_find (
    const gchar *token, const gchar *path, gchar **found, GError **error)
{
  *found = NULL;
  if (token != NULL && path != NULL)
    return refuse (error, GST_RESOURCE_ERROR_SETTINGS, path,
        "token is set besides token-file, and only one can be meant. Unset "
        "token");
  if (path != NULL)
    *found = read_file (path, error);
  else if (token != NULL && check_size (strlen (token), "token", error))
    *found = g_strdup (token);
  return *found != NULL || (token == NULL && path == NULL);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-shim-settings.h"

#include <grp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <glib.h>

#include "helix-platform.h"

static bool G_GNUC_PRINTF (2, 3) wrong (char **error, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  *error = g_strdup_vprintf (format, args);
  va_end (args);
  return false;
}

/* 2^32 - 1 is no user: it means "none". */
static bool
parse_id (const char *text, uint32_t *id)
{
  guint64 value = 0;
  bool good =
      g_ascii_string_to_unsigned (text, 10, 0, UINT32_MAX - 1, &value, NULL);

  *id = (uint32_t) value;
  return good;
}

bool
helix_shim_settings_size (
    const char *text, uint32_t *width, uint32_t *height, char **error)
{
  char w[16], h[16], rest;

  if (sscanf (text, "%15[0-9]x%15[0-9]%c", w, h, &rest) != 2
      || !parse_id (w, width) || !parse_id (h, height))
    return wrong (error,
        "max-size=%s is not a size. Write WIDTHxHEIGHT, like %ux%u", text,
        HELIX_DEFAULT_MAX_WIDTH, HELIX_DEFAULT_MAX_HEIGHT);
  if (*width < 1 || *height < 1 || *width > HELIX_MAX_DIMENSION
      || *height > HELIX_MAX_DIMENSION
      || (uint64_t) *width * *height * 4 > HELIX_MAX_FRAME_BYTES)
    return wrong (error,
        "max-size=%s is out of range: a picture has 1 to %u pixels either "
        "way and %u MiB at most",
        text, HELIX_MAX_DIMENSION, HELIX_MAX_FRAME_BYTES >> 20);
  return true;
}

static bool
parse_group (struct helix_access *access, const char *text, char **error)
{
  char buffer[16384];
  struct group group, *found = NULL;
  uint32_t id;

  if (parse_id (text, &id))
    access->socket.group = (gid_t) id;
  else if (getgrnam_r (text, &group, buffer, sizeof buffer, &found) == 0
      && found)
    access->socket.group = group.gr_gid;
  else
    return wrong (error,
        "group=%s: there is no such group. Name one of /etc/group, or give "
        "its number",
        text);
  access->socket.set_group = true;
  return true;
}

static bool
parse_mode (struct helix_access *access, const char *text, char **error)
{
  guint64 mode;

  if (!g_ascii_string_to_unsigned (text, 8, 0, 0777, &mode, NULL)
      || (mode & 0600) != 0600)
    return wrong (error,
        "mode=%s is not the mode of a socket. Write it in octal digits, like "
        "0660; its owner must be able to read and write",
        text);
  access->socket.mode = (mode_t) mode;
  return true;
}

static bool
parse_user (struct helix_access *access, const char *name, char **error)
{
  uid_t uid;

  if (access->allowed == HELIX_MAX_ALLOWED)
    return wrong (
        error, "allow=: more than %u users cannot be named", HELIX_MAX_ALLOWED);
  if (!helix_user_find (name, &uid))
    return wrong (error,
        "allow=: there is no user \"%s\". Write names or numbers with colons "
        "between them, like alice:1001",
        name);
  access->allow[access->allowed++] = uid;
  return true;
}

static bool
parse_users (struct helix_access *access, const char *list, char **error)
{
  char **names = g_strsplit (list, ":", -1);
  bool good = true;

  for (char **name = names; *name && good; name++)
    good = parse_user (access, *name, error);
  g_strfreev (names);
  return good;
}

bool
helix_shim_settings_access (struct helix_access *access, const char *group,
    const char *mode, const char *allow, char **error)
{
  bool grouped = group && *group, reachable;

  memset (access, 0, sizeof *access);
  access->socket.mode = grouped ? 0660 : 0600;
  if ((grouped && !parse_group (access, group, error))
      || (mode && *mode && !parse_mode (access, mode, error))
      || (allow && *allow && !parse_users (access, allow, error)))
    return false;
  reachable = access->socket.mode & (S_IWGRP | S_IWOTH);
  if (access->allowed && !reachable)
    return wrong (error,
        "allow=%s has no effect: the socket's mode %04o lets its owner connect "
        "only. Add group=NAME, of which these users are, or mode=0666; others "
        "than those of allow= are refused all the same",
        allow, (unsigned) access->socket.mode);
  if (reachable && !access->allowed)
    return wrong (error,
        "mode %04o has no effect: only QEMU's own user and root are served. "
        "Name the other users with allow=USER:USER",
        (unsigned) access->socket.mode);
  return true;
}

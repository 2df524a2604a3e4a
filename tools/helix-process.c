/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-process.h"

#include <errno.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "helix-platform.h"

/* Of /proc/net/tcp: LISTEN. */
#define TCP_LISTEN_STATE 0x0a

/* From /proc/PID/stat: "12 (name) S ...", where the name may contain both
 * spaces and parentheses. */
static gboolean
look_in_proc (HelixProcess *self)
{
  g_autofree gchar *path = g_strdup_printf ("/proc/%ld/stat", (long) self->pid);
  g_autofree gchar *text = NULL;
  gchar *begin, *end;

  if (!g_file_get_contents (path, &text, NULL, NULL))
    return FALSE;
  begin = strchr (text, '(');
  end = strrchr (text, ')');
  if (begin == NULL || end == NULL || end < begin || end[1] == '\0')
    return FALSE;
  *end = '\0';
  g_strlcpy (self->name, begin + 1, sizeof self->name);
  self->stopped = end[2] == 'T' || end[2] == 't';
  return TRUE;
}

static void
look_by_ps (HelixProcess *self)
{
  g_autofree gchar *line =
      g_strdup_printf ("ps -o state=,comm= -p %ld", (long) self->pid);
  g_autofree gchar *text = NULL;
  g_autofree gchar *unused = NULL;
  g_autofree gchar *name = NULL;
  gchar state[8], path[256];

  if (!g_spawn_command_line_sync (line, &text, &unused, NULL, NULL)
      || sscanf (text, " %7s %255[^\n]", state, path) != 2)
    return;
  self->stopped = state[0] == 'T';
  name = g_path_get_basename (path);
  g_strlcpy (self->name, name, sizeof self->name);
}

void
helix_process_look (HelixProcess *self, pid_t pid)
{
  memset (self, 0, sizeof *self);
  self->pid = pid;
  self->uid = (uid_t) -1;
  self->lives = pid > 0 && (kill (pid, 0) == 0 || errno == EPERM);
  if (self->lives && !look_in_proc (self))
    look_by_ps (self);
  /* A process chooses its name. */
  for (gchar *c = self->name; *c != '\0'; c++)
    if (g_ascii_iscntrl (*c))
      *c = '?';
  if (pid <= 0)
    g_strlcpy (self->words, "an unknown process", sizeof self->words);
  else
    g_snprintf (self->words, sizeof self->words, "pid %ld%s%s%s", (long) pid,
        *self->name ? " (" : "", self->name, *self->name ? ")" : "");
}

void
helix_process_of_peer (HelixProcess *self, int fd)
{
  uid_t uid = (uid_t) -1;
  pid_t pid = 0;
  gboolean known = helix_peer_credentials (fd, &uid, &pid) == 0;

  helix_process_look (self, known ? pid : 0);
  self->uid = known ? uid : (uid_t) -1;
}

/* The inode of the listening socket on `port` in /proc/net/tcp or tcp6. */
static gulong
listening_inode (const gchar *path, guint port)
{
  g_autofree gchar *text = NULL;
  g_auto (GStrv) lines = NULL;

  if (!g_file_get_contents (path, &text, NULL, NULL))
    return 0;
  lines = g_strsplit (text, "\n", -1);
  /* The first line has headings, which are no numbers. */
  for (guint i = 0; lines[i] != NULL; i++) {
    guint local, state;
    gulong inode;

    if (sscanf (lines[i],
            "%*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*x:%*x %*x:%*x %*x "
            "%*u %*u %lu",
            &local, &state, &inode)
            == 3
        && local == port && state == TCP_LISTEN_STATE)
      return inode;
  }
  return 0;
}

/* The process that has the socket of that inode, or 0. */
static pid_t
find_owner (gulong inode)
{
  g_autofree gchar *wanted = g_strdup_printf ("socket:[%lu]", inode);
  glob_t found = {0};
  pid_t pid = 0;

  if (inode == 0 || glob ("/proc/[0-9]*/fd/*", GLOB_NOSORT, NULL, &found) != 0)
    return 0;
  for (gsize i = 0; pid == 0 && i < found.gl_pathc; i++) {
    g_autofree gchar *target = g_file_read_link (found.gl_pathv[i], NULL);

    if (g_strcmp0 (target, wanted) == 0)
      pid = (pid_t) strtol (found.gl_pathv[i] + strlen ("/proc/"), NULL, 10);
  }
  globfree (&found);
  return pid;
}

void
helix_process_of_port (HelixProcess *self, guint port)
{
  gulong inode = listening_inode ("/proc/net/tcp", port);

  if (inode == 0)
    inode = listening_inode ("/proc/net/tcp6", port);
  helix_process_look (self, find_owner (inode));
}

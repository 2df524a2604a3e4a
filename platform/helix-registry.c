/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-registry.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "helix-platform.h"
#include "helix-unix-listener.h"

/* Entries that one scan looks at, the newest: more are a flood, not VMs. */
#define MOST_ENTRIES 256

static bool
refuse (const char **why, const char *sentence)
{
  *why = sentence;
  return false;
}

static bool
join (char path[HELIX_REGISTRY_PATH], const char *folder, const char *name)
{
  return snprintf (path, HELIX_REGISTRY_PATH, "%s/%s", folder, name)
      < HELIX_REGISTRY_PATH;
}

/* ---- the directory ---- */

/* What `name` leads to belongs to another user, who is not to be followed. */
static bool
is_foreign (const char *name)
{
  struct stat st;

  return stat (name, &st) == 0 && st.st_uid != geteuid () && geteuid () != 0;
}

/* A process that gave up being root may have root's XDG_RUNTIME_DIR still, to
 * which it has no access: then its user's own counts, where systemd has it. */
bool
helix_registry_folder (char folder[HELIX_REGISTRY_PATH], const char **why)
{
  const char *runtime = getenv ("XDG_RUNTIME_DIR");
  unsigned long uid = (unsigned long) geteuid ();
  char own[64];
  int size;

  *why = "XDG_RUNTIME_DIR";
  if (!runtime || !*runtime) {
    *why = "XDG_RUNTIME_DIR is not set";
    runtime = NULL;
  } else if (runtime[0] != '/') {
    *why = "XDG_RUNTIME_DIR is not an absolute path";
    runtime = NULL;
  } else if (is_foreign (runtime)) {
    *why = "XDG_RUNTIME_DIR belongs to another user";
    snprintf (own, sizeof own, "/run/user/%lu", uid);
    runtime = access (own, F_OK) == 0 && !is_foreign (own) ? own : NULL;
  }
  if (runtime)
    size = snprintf (folder, HELIX_REGISTRY_PATH, "%s/gst-helix", runtime);
  else
    size = snprintf (folder, HELIX_REGISTRY_PATH, "/tmp/gst-helix-%lu", uid);
  return size < HELIX_REGISTRY_PATH
      || refuse (why, "the path in XDG_RUNTIME_DIR is too long");
}

/* Others may write to /tmp: what lies there under our name may be theirs. */
static bool
is_trusted (const char *folder, const char **why)
{
  struct stat st;

  if (lstat (folder, &st) < 0)
    return refuse (why,
        errno == ENOENT ? "there is no folder of running VMs"
                        : "the folder of running VMs cannot be examined");
  if (!S_ISDIR (st.st_mode))
    return refuse (why, "what should be the folder of running VMs is none");
  if (st.st_uid != geteuid ())
    return refuse (why, "the folder of running VMs belongs to another user");
  if (st.st_mode & (S_IWGRP | S_IWOTH))
    return refuse (
        why, "the folder of running VMs is open for others to write");
  return true;
}

static bool
make_folder (const char *folder, const char **why)
{
  if (mkdir (folder, S_IRWXU) == 0 || errno == EEXIST)
    return true;
  return refuse (why,
      errno == ENOENT ? "the folder in XDG_RUNTIME_DIR does not exist"
                      : "the folder of running VMs cannot be made");
}

/* ---- reading ---- */

static int
is_entry (const struct dirent *item)
{
  size_t size = strlen (item->d_name);

  return size > 3 && item->d_name[0] != '.'
      && strcmp (item->d_name + size - 3, ".vm") == 0;
}

/* What is no link to a path that could be a socket's is left alone. */
static bool
follow (const char *folder, const char *name, char entry[HELIX_REGISTRY_PATH],
    char target[HELIX_REGISTRY_PATH])
{
  ssize_t size;

  if (!join (entry, folder, name))
    return false;
  size = readlink (entry, target, HELIX_REGISTRY_PATH);
  if (size <= 0 || size >= HELIX_REGISTRY_PATH || target[0] != '/')
    return false;
  target[size] = '\0';
  return true;
}

bool
helix_registry_scan (const char *folder,
    void (*found) (void *opaque, const char *entry, const char *socket_path),
    void *opaque, const char **why)
{
  char entry[HELIX_REGISTRY_PATH], target[HELIX_REGISTRY_PATH];
  struct dirent **items;
  int n;

  if (!is_trusted (folder, why))
    return false;
  n = scandir (folder, &items, is_entry, alphasort);
  if (n < 0)
    return refuse (why, "the folder of running VMs cannot be read");
  for (int i = 0; i < n; i++) {
    if (i >= n - MOST_ENTRIES
        && follow (folder, items[i]->d_name, entry, target))
      found (opaque, entry, target);
    free (items[i]);
  }
  free (items);
  return true;
}

/* ---- writing ---- */

/* A process that reads the entry has another working directory. */
static bool
resolve (const char *path, char target[HELIX_REGISTRY_PATH], const char **why)
{
  char here[HELIX_REGISTRY_PATH] = "";

  if (path[0] != '/' && !getcwd (here, sizeof here))
    return refuse (why, "the working directory has no path, or a long one");
  while (path[0] == '.' && path[1] == '/')
    path += 2;
  if (strcmp (here, "/") == 0)
    here[0] = '\0';
  if (snprintf (target, HELIX_REGISTRY_PATH, "%s%s%s", here,
          path[0] != '/' ? "/" : "", path)
      < HELIX_REGISTRY_PATH)
    return true;
  return refuse (why, "the socket's path is too long to be listed");
}

/* Whether a process holds the lock file of a socket, or may do so. */
static bool
is_locked (const char *socket_path)
{
  char lock[HELIX_REGISTRY_PATH + sizeof HELIX_UNIX_LOCK_SUFFIX];
  bool locked;
  int fd;

  snprintf (lock, sizeof lock, "%s" HELIX_UNIX_LOCK_SUFFIX, socket_path);
  fd = open (lock, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0)
    return errno != ENOENT;
  locked = flock (fd, LOCK_SH | LOCK_NB) < 0;
  close (fd);
  return locked;
}

/* Entries of VMs that were killed. One whose socket refuses is dead only if its
 * lock is free, too: the VM may be starting, or stopped (macOS refuses when the
 * queue is full). */
static void
remove_dead (void *socket_path, const char *entry, const char *target)
{
  char who[HELIX_UNIX_WHO];
  struct stat st;
  bool dead;

  if (strcmp (target, socket_path) == 0)
    dead = true;
  else if (stat (target, &st) < 0)
    dead = errno == ENOENT;
  else
    dead = S_ISSOCK (st.st_mode)
        && helix_unix_probe (target, who) == ECONNREFUSED
        && !is_locked (target);
  if (dead)
    unlink (entry);
}

/* A name that no entry had before, so that a process which removes the entry of
 * a dead VM never removes that of a new one. In order of start. */
static bool
make_entry (const char *folder, const char *target,
    char entry[HELIX_REGISTRY_PATH], const char **why)
{
  for (unsigned long long name = helix_now_ns ();; name++) {
    if (snprintf (entry, HELIX_REGISTRY_PATH, "%s/%016llx.vm", folder, name)
        >= HELIX_REGISTRY_PATH)
      return refuse (why, "the path in XDG_RUNTIME_DIR is too long");
    if (symlink (target, entry) == 0)
      return true;
    if (errno != EEXIST)
      return refuse (why, "the folder of running VMs cannot be written to");
  }
}

bool
helix_registry_add (
    const char *socket_path, char entry[HELIX_REGISTRY_PATH], const char **why)
{
  char folder[HELIX_REGISTRY_PATH], target[HELIX_REGISTRY_PATH];

  if (resolve (socket_path, target, why) && helix_registry_folder (folder, why)
      && make_folder (folder, why)
      && helix_registry_scan (folder, remove_dead, target, why)
      && make_entry (folder, target, entry, why))
    return true;
  entry[0] = '\0';
  return false;
}

void
helix_registry_remove (const char *entry)
{
  if (*entry)
    unlink (entry);
}

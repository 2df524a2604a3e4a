/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-registry.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "helix-platform.h"
#include "helix-unix-listener.h"

/* Entries that one scan looks at, the newest: more are a flood, not VMs. */
#define MOST_ENTRIES 256

/* Where a sandbox of macOS lets its programs share files, under the home
 * directory; each is named after its group. UTM that is signed ad hoc has no
 * prefix there. */
#define GROUP_CONTAINERS "Library/Group Containers"
#define UTM_GROUP "com.utmapp.UTM"

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
helix_registry_folder (char folder[HELIX_REGISTRY_PATH],
    char reason[HELIX_REGISTRY_PATH], const char **why)
{
  const char *runtime = getenv ("XDG_RUNTIME_DIR");
  unsigned long uid = (unsigned long) geteuid ();
  char own[64];
  int size;

  if (!runtime || !*runtime) {
    snprintf (reason, HELIX_REGISTRY_PATH, "XDG_RUNTIME_DIR is not set");
    runtime = NULL;
  } else if (runtime[0] != '/') {
    snprintf (reason, HELIX_REGISTRY_PATH,
        "XDG_RUNTIME_DIR, %s, is not an absolute path", runtime);
    runtime = NULL;
  } else if (is_foreign (runtime)) {
    snprintf (reason, HELIX_REGISTRY_PATH,
        "XDG_RUNTIME_DIR, %s, belongs to another user", runtime);
    snprintf (own, sizeof own, "/run/user/%lu", uid);
    runtime = access (own, F_OK) == 0 && !is_foreign (own) ? own : NULL;
  } else {
    snprintf (reason, HELIX_REGISTRY_PATH, "XDG_RUNTIME_DIR is %s", runtime);
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

/* Calls `visit` for the newest MOST_ENTRIES of `items`, oldest first, and frees
 * them. */
static void
visit_all (const char *folder, struct dirent **items, int n,
    void (*visit) (void *opaque, const char *path), void *opaque)
{
  char path[HELIX_REGISTRY_PATH];

  for (int i = 0; i < n; i++) {
    if (i >= n - MOST_ENTRIES && join (path, folder, items[i]->d_name))
      visit (opaque, path);
    free (items[i]);
  }
  free (items);
}

static bool
ends_with (const char *name, const char *suffix)
{
  size_t size = strlen (name), end = strlen (suffix);

  return size >= end && strcmp (name + size - end, suffix) == 0;
}

static int
is_entry (const struct dirent *item)
{
  return item->d_name[0] != '.' && ends_with (item->d_name, ".vm");
}

struct scan {
  void (*found) (void *opaque, const char *entry, const char *socket_path);
  void *opaque;
  int calls;
};

/* What is no link to a path that could be a socket's is left alone. */
static void
follow (void *opaque, const char *entry)
{
  struct scan *scan = opaque;
  char target[HELIX_REGISTRY_PATH];
  ssize_t size = readlink (entry, target, sizeof target);

  if (size <= 0 || size >= HELIX_REGISTRY_PATH || target[0] != '/')
    return;
  target[size] = '\0';
  scan->found (scan->opaque, entry, target);
  scan->calls++;
}

int
helix_registry_scan (const char *folder,
    void (*found) (void *opaque, const char *entry, const char *socket_path),
    void *opaque, const char **why)
{
  struct scan scan = {found, opaque, 0};
  struct dirent **items;
  int n;

  if (!is_trusted (folder, why))
    return -1;
  n = scandir (folder, &items, is_entry, alphasort);
  if (n < 0) {
    *why = "the folder of running VMs cannot be read";
    return -1;
  }
  visit_all (folder, items, n, follow, &scan);
  return scan.calls;
}

static int
is_utm (const struct dirent *item)
{
  return ends_with (item->d_name, UTM_GROUP);
}

void
helix_registry_utm (const char *home,
    void (*found) (void *opaque, const char *folder), void *opaque)
{
  char parent[HELIX_REGISTRY_PATH];
  struct dirent **items;
  int n;

  if (!join (parent, home, GROUP_CONTAINERS))
    return;
  n = scandir (parent, &items, is_utm, alphasort);
  if (n >= 0)
    visit_all (parent, items, n, found, opaque);
}

/* ---- writing ---- */

/* A process that reads the entry has another working directory. */
static bool
resolve (const char *path, char target[HELIX_REGISTRY_PATH], const char **why)
{
  char here[HELIX_REGISTRY_PATH];
  bool fits;

  if (path[0] == '/') {
    fits = snprintf (target, HELIX_REGISTRY_PATH, "%s", path)
        < HELIX_REGISTRY_PATH;
  } else {
    if (!getcwd (here, sizeof here))
      return refuse (why, "the working directory has no path, or a long one");
    while (path[0] == '.' && path[1] == '/')
      path += 2;
    fits = join (target, strcmp (here, "/") == 0 ? "" : here, path);
  }
  return fits || refuse (why, "the socket's path is too long to be listed");
}

static bool
refuses (const char *socket_path)
{
  int fd = helix_socket (AF_UNIX);
  bool refused = false;

  if (fd < 0)
    return false;
  if (helix_unix_connect (fd, socket_path) < 0)
    refused = errno == ECONNREFUSED;
  close (fd);
  return refused;
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
  struct stat st;
  bool dead;

  if (strcmp (target, socket_path) == 0)
    dead = true;
  else if (stat (target, &st) < 0)
    dead = errno == ENOENT;
  else
    dead = S_ISSOCK (st.st_mode) && refuses (target) && !is_locked (target);
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
  char folder[HELIX_REGISTRY_PATH], reason[HELIX_REGISTRY_PATH];
  char target[HELIX_REGISTRY_PATH];

  if (resolve (socket_path, target, why)
      && helix_registry_folder (folder, reason, why)
      && make_folder (folder, why)
      && helix_registry_scan (folder, remove_dead, target, why) >= 0
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

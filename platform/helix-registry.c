/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-registry.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "helix-platform.h"

#define SUFFIX ".vm"

/* Entries that one scan looks at: more are a flood, not VMs. */
#define MOST_ENTRIES 256

/* Bytes of "PID-NTH.vm", NUL included. */
#define NAME_ROOM 64

static bool
refuse (const char **why, const char *sentence)
{
  *why = sentence;
  return false;
}

/* ---- the folder ---- */

/* A process that gave up being root may have root's XDG_RUNTIME_DIR still, to
 * which it has no access: then its user's own counts, where systemd has it. */
static const char *
runtime_folder (char own[HELIX_REGISTRY_PATH])
{
  const char *runtime = getenv ("XDG_RUNTIME_DIR");
  struct stat st;

  if (!runtime || runtime[0] != '/')
    return NULL;
  if (stat (runtime, &st) < 0 || st.st_uid == geteuid () || geteuid () == 0)
    return runtime;
  snprintf (
      own, HELIX_REGISTRY_PATH, "/run/user/%lu", (unsigned long) geteuid ());
  if (stat (own, &st) == 0 && st.st_uid == geteuid ())
    return own;
  return NULL;
}

static bool
name_folder (char folder[HELIX_REGISTRY_PATH], const char **why)
{
  char own[HELIX_REGISTRY_PATH];
  const char *runtime = runtime_folder (own);
  int size;

  if (runtime)
    size = snprintf (folder, HELIX_REGISTRY_PATH, "%s/gst-helix", runtime);
  else
    size = snprintf (folder, HELIX_REGISTRY_PATH, "/tmp/gst-helix-%lu",
        (unsigned long) geteuid ());
  if (size >= HELIX_REGISTRY_PATH)
    return refuse (why, "the path in XDG_RUNTIME_DIR is too long");
  return true;
}

void
helix_registry_reason (char reason[HELIX_REGISTRY_PATH])
{
  const char *runtime = getenv ("XDG_RUNTIME_DIR");
  char own[HELIX_REGISTRY_PATH];

  if (!runtime || !*runtime)
    snprintf (reason, HELIX_REGISTRY_PATH, "XDG_RUNTIME_DIR is not set");
  else if (runtime[0] != '/')
    snprintf (reason, HELIX_REGISTRY_PATH,
        "XDG_RUNTIME_DIR, %s, is not an absolute path", runtime);
  else if (runtime_folder (own) == runtime)
    snprintf (reason, HELIX_REGISTRY_PATH, "XDG_RUNTIME_DIR is %s", runtime);
  else
    snprintf (reason, HELIX_REGISTRY_PATH,
        "XDG_RUNTIME_DIR, %s, belongs to another user", runtime);
}

/* Others may write to /tmp: what lies there under our name may be theirs. */
static bool
is_trusted (const char *folder, const char **why)
{
  struct stat st;

  if (lstat (folder, &st) < 0) {
    if (errno == ENOENT)
      return refuse (why, "there is no folder of running VMs");
    return refuse (why, "the folder of running VMs cannot be examined");
  }
  if (!S_ISDIR (st.st_mode))
    return refuse (why, "what should be the folder of running VMs is none");
  if (st.st_uid != geteuid ())
    return refuse (why, "the folder of running VMs belongs to another user");
  if (st.st_mode & (S_IWGRP | S_IWOTH))
    return refuse (
        why, "the folder of running VMs is open for others to write");
  return true;
}

bool
helix_registry_folder (
    char folder[HELIX_REGISTRY_PATH], bool create, const char **why)
{
  if (!name_folder (folder, why))
    return false;
  if (create && mkdir (folder, S_IRWXU) < 0 && errno != EEXIST) {
    if (errno == ENOENT)
      return refuse (why, "the folder in XDG_RUNTIME_DIR does not exist");
    return refuse (why, "the folder of running VMs cannot be made");
  }
  return is_trusted (folder, why);
}

/* ---- one entry ---- */

/* The first of a process is PID.vm, a second one PID-2.vm. */
static void
name_entry (char name[NAME_ROOM], long pid, unsigned nth)
{
  if (nth == 1)
    snprintf (name, NAME_ROOM, "%ld" SUFFIX, pid);
  else
    snprintf (name, NAME_ROOM, "%ld-%u" SUFFIX, pid, nth);
}

/* false: no name of an entry. */
static bool
parse_entry (const char *name, long *pid, unsigned long *nth)
{
  char *end;

  *nth = 1;
  if (!isdigit ((unsigned char) name[0]))
    return false;
  errno = 0;
  *pid = strtol (name, &end, 10);
  if (errno || *pid <= 0 || *pid > INT_MAX)
    return false;
  if (*end == '-' && isdigit ((unsigned char) end[1]))
    *nth = strtoul (end + 1, &end, 10);
  return strcmp (end, SUFFIX) == 0;
}

static bool
join (char path[HELIX_REGISTRY_PATH], const char *folder, const char *name)
{
  return snprintf (path, HELIX_REGISTRY_PATH, "%s/%s", folder, name)
      < HELIX_REGISTRY_PATH;
}

/* Whoever reads the entry has another working directory. */
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

bool
helix_registry_add (
    const char *socket_path, char entry[HELIX_REGISTRY_PATH], const char **why)
{
  static unsigned added;
  char folder[HELIX_REGISTRY_PATH], target[HELIX_REGISTRY_PATH];
  char fresh[HELIX_REGISTRY_PATH], name[NAME_ROOM], temporary[NAME_ROOM + 8];
  unsigned nth;

  entry[0] = '\0';
  if (!resolve (socket_path, target, why)
      || !helix_registry_folder (folder, true, why))
    return false;
  nth = __atomic_add_fetch (&added, 1, __ATOMIC_RELAXED);
  name_entry (name, (long) getpid (), nth);
  snprintf (temporary, sizeof temporary, ".%s.new", name);
  if (!join (fresh, folder, temporary) || !join (entry, folder, name)) {
    entry[0] = '\0';
    return refuse (why, "the path in XDG_RUNTIME_DIR is too long");
  }
  /* An entry of that name is a dead process's, whose number is ours now. By
   * rename nobody ever sees half of it. */
  unlink (fresh);
  if (symlink (target, fresh) == 0 && rename (fresh, entry) == 0)
    return true;
  unlink (fresh);
  entry[0] = '\0';
  return refuse (why, "the folder of running VMs cannot be written to");
}

void
helix_registry_remove (const char *entry)
{
  const char *slash = strrchr (entry, '/');
  unsigned long nth;
  long pid;

  if (slash && parse_entry (slash + 1, &pid, &nth) && pid == (long) getpid ())
    unlink (entry);
}

/* ---- all entries ---- */

struct entry {
  long pid;
  unsigned long nth;
  char name[NAME_ROOM];
};

static int
compare (const void *left, const void *right)
{
  const struct entry *a = left, *b = right;

  if (a->pid != b->pid)
    return a->pid < b->pid ? -1 : 1;
  return (a->nth > b->nth) - (a->nth < b->nth);
}

/* Allocated; free. */
static struct entry *
read_folder (const char *folder, size_t *n)
{
  struct entry *entries = calloc (MOST_ENTRIES, sizeof *entries);
  DIR *dir = opendir (folder);
  struct dirent *item;

  *n = 0;
  /* Nobody else has this DIR: readdir is safe in threads then, and readdir_r
   * deprecated. */
  /* cppcheck-suppress readdirCalled */
  while (entries && dir && *n < MOST_ENTRIES && (item = readdir (dir))) {
    struct entry *entry = &entries[*n];

    if (strlen (item->d_name) >= sizeof entry->name
        || !parse_entry (item->d_name, &entry->pid, &entry->nth))
      continue;
    strcpy (entry->name, item->d_name);
    (*n)++;
  }
  if (dir)
    closedir (dir);
  if (entries)
    qsort (entries, *n, sizeof *entries, compare);
  return entries;
}

/* Whoever looks from a container has other numbers for the same processes:
 * what he takes for dead may well be serving. */
static bool
is_gone (pid_t pid, const char *socket_path)
{
  bool serves;
  int fd;

  if (kill (pid, 0) == 0 || errno != ESRCH)
    return false;
  fd = helix_socket (AF_UNIX);
  if (fd < 0)
    return false; /* out of descriptors: that says nothing */
  /* EAGAIN: its queue is full. */
  serves = helix_unix_connect (fd, socket_path) == 0 || errno == EAGAIN
      || errno == EINPROGRESS;
  close (fd);
  return !serves;
}

/* False, and removed, if it is gone; false, too, if it is no link to a path
 * that could be a socket's. */
static bool
read_entry (const char *folder, const struct entry *entry,
    char target[HELIX_REGISTRY_PATH])
{
  char path[HELIX_REGISTRY_PATH];
  ssize_t size;

  if (!join (path, folder, entry->name))
    return false;
  size = readlink (path, target, HELIX_REGISTRY_PATH);
  if (size <= 0 || size >= HELIX_REGISTRY_PATH || target[0] != '/')
    return false;
  target[size] = '\0';
  if (!is_gone ((pid_t) entry->pid, target))
    return true;
  unlink (path);
  return false;
}

int
helix_registry_scan (
    void (*found) (void *opaque, const char *socket_path, pid_t pid),
    void *opaque)
{
  char folder[HELIX_REGISTRY_PATH], target[HELIX_REGISTRY_PATH];
  struct entry *entries;
  const char *why;
  int calls = 0;
  size_t n;

  if (!helix_registry_folder (folder, false, &why))
    return 0;
  entries = read_folder (folder, &n);
  for (size_t i = 0; i < n; i++)
    if (read_entry (folder, &entries[i], target)) {
      found (opaque, target, (pid_t) entries[i].pid);
      calls++;
    }
  free (entries);
  return calls;
}

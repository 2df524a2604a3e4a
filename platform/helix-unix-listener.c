/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-unix-listener.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "helix-platform.h"

/* Connections that may wait to be accepted. Clients retry, so this only has
 * to be larger than a burst of starters. */
#define BACKLOG 16

/* How often, and after how many ms each, a lock is tried again that a process
 * holds which does not serve: helix_registry_add () looks at it for an instant,
 * and one that closes holds it until its files are gone. */
#define LOCK_TRIES 10
#define LOCK_PAUSE_MS 10

/* Writes the sentence and sets errno last: vsnprintf may change it. */
static bool __attribute__ ((format (printf, 3, 4)))
fail (char *why, int error, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  vsnprintf (why, HELIX_UNIX_WHY, format, args);
  va_end (args);
  errno = error;
  return false;
}

/* Opens the directory of `path` and stores the last component. Everything
 * but bind and connect then goes through dir_fd. */
static bool
open_directory (struct helix_unix_listener *self, const char *path, char *why)
{
  char copy[sizeof (((struct sockaddr_un *) 0)->sun_path)];
  const char *slash = strrchr (path, '/');
  const char *name = slash != NULL ? slash + 1 : path;

  /* The caller has checked the length against sun_path. */
  snprintf (copy, sizeof copy, "%s", path);
  snprintf (self->name, sizeof self->name, "%s", name);
  snprintf (self->lock_name, sizeof self->lock_name,
      "%s" HELIX_UNIX_LOCK_SUFFIX, self->name);
  if (self->name[0] == '\0')
    return fail (why, EISDIR,
        "socket '%s': the path names a directory. Append a file name", path);

  self->dir_fd = open (dirname (copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (self->dir_fd >= 0)
    return true;
  return fail (why, errno,
      "socket '%s': its directory cannot be opened: %s. Create it, or choose "
      "a path in a directory of your own",
      path, strerror (errno));
}

/* Whether `name` in the directory is (still) that file. */
static bool
leads_to (const struct helix_unix_listener *self, const char *name,
    const struct stat *file)
{
  struct stat there;

  return fstatat (self->dir_fd, name, &there, AT_SYMLINK_NOFOLLOW) == 0
      && there.st_ino == file->st_ino && there.st_dev == file->st_dev;
}

int
helix_unix_probe (const char *path, char who[HELIX_UNIX_WHO])
{
  int fd = helix_socket (AF_UNIX);
  int error = 0;
  uid_t uid;
  pid_t pid;

  who[0] = '\0';
  if (fd < 0)
    return errno;
  if (helix_unix_connect (fd, path) < 0)
    error = errno;
  else if (helix_peer_credentials (fd, &uid, &pid) == 0 && pid > 0)
    snprintf (who, HELIX_UNIX_WHO, " (pid %ld)", (long) pid);
  close (fd);
  /* EAGAIN: the queue of a living listener is full. */
  return error == EAGAIN || error == EINPROGRESS ? 0 : error;
}

static bool
take_lock (struct helix_unix_listener *self, const char *path, char *why)
{
  char who[HELIX_UNIX_WHO];
  struct stat file;
  int fd, tries = 0;

  for (;;) {
    fd = openat (self->dir_fd, self->lock_name,
        O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd < 0)
      return fail (why, errno,
          "lock file '%s" HELIX_UNIX_LOCK_SUFFIX
          "': it cannot be created: %s. Make its "
          "directory writable for this user, or choose another path",
          path, strerror (errno));
    if (flock (fd, LOCK_EX | LOCK_NB) < 0) {
      helix_close (fd);
      if (errno != EWOULDBLOCK)
        return fail (why, errno,
            "lock file '%s" HELIX_UNIX_LOCK_SUFFIX
            "': it cannot be locked: %s. Choose a "
            "path on a local file system",
            path, strerror (errno));
      if (helix_unix_probe (path, who) != 0 && ++tries < LOCK_TRIES) {
        poll (NULL, 0, LOCK_PAUSE_MS);
        continue;
      }
      return fail (why, EADDRINUSE,
          "socket '%s': it is already served by another process%s, which holds "
          "'%s" HELIX_UNIX_LOCK_SUFFIX
          "'. Stop that process, or choose another path",
          path, who, path);
    }
    /* A holder that closes removes the file: if that happened between our
     * open and our flock, we hold the lock of a file without a name. */
    if (fstat (fd, &file) == 0 && leads_to (self, self->lock_name, &file)) {
      self->lock_fd = fd;
      /* So that helix doctor can tell who left the socket behind. */
      if (ftruncate (fd, 0) == 0)
        dprintf (fd, "%ld\n", (long) getpid ());
      return true;
    }
    close (fd);
  }
}

/* Removes a socket file that no process serves; leaves everything else. */
static bool
clear_path (struct helix_unix_listener *self, const char *path, char *why)
{
  char who[HELIX_UNIX_WHO];
  struct stat st;
  int error;

  if (fstatat (self->dir_fd, self->name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
    if (errno == ENOENT)
      return true;
    return fail (why, errno, "socket '%s': the path cannot be examined: %s",
        path, strerror (errno));
  }
  if (!S_ISSOCK (st.st_mode))
    return fail (why, ENOTSOCK,
        "socket '%s': the path is a %s, which was left untouched. Remove it, "
        "or choose another path",
        path, helix_file_kind (st.st_mode));

  error = helix_unix_probe (path, who);
  if (error == 0)
    return fail (why, EADDRINUSE,
        "socket '%s': it is already served by another process%s. Stop that "
        "process, or choose another path",
        path, who);
  /* ENOENT: gone by itself since. */
  if (error != ECONNREFUSED && error != ENOENT)
    return fail (why, error,
        "socket '%s': whether a process serves it cannot be found out: %s. "
        "Remove the file if none does, or choose another path",
        path, strerror (error));
  if (unlinkat (self->dir_fd, self->name, 0) < 0 && errno != ENOENT)
    return fail (why, errno,
        "socket '%s': no process serves it, but it cannot be removed: %s. "
        "Remove it by hand, or choose another path",
        path, strerror (errno));
  self->replaced = true;
  return true;
}

/* Not through a symbolic link: another user may be allowed to write to the
 * folder, and replace the socket by a link to a file of ours. A C library that
 * needs /proc for that, and has none (in a chroot), follows it, but not for
 * root, whose files are the ones to fear for. */
static bool
set_mode (struct helix_unix_listener *self, mode_t mode)
{
  if (fchmodat (self->dir_fd, self->name, mode, AT_SYMLINK_NOFOLLOW) == 0)
    return true;
  return errno == EOPNOTSUPP && geteuid () != 0
      && fchmodat (self->dir_fd, self->name, mode, 0) == 0;
}

static bool
bind_and_listen (struct helix_unix_listener *self, const char *path,
    const struct helix_unix_access *access, char *why)
{
  const char *step = "create";
  char who[HELIX_UNIX_WHO];

  self->fd = helix_socket (AF_UNIX);
  if (self->fd < 0)
    goto failed;
  step = "bind";
  if (helix_unix_bind (self->fd, path) < 0)
    goto failed;
  step = "examine";
  if (fstatat (self->dir_fd, self->name, &self->file, AT_SYMLINK_NOFOLLOW) < 0)
    goto failed;
  /* No peer can connect before listen, so the file is never open to others
   * than it shall be; the umask belongs to the whole process and stays as it
   * is. */
  if (access && access->set_group
      && fchownat (self->dir_fd, self->name, (uid_t) -1, access->group,
             AT_SYMLINK_NOFOLLOW)
          < 0)
    return fail (why, errno,
        "socket '%s': it cannot be given to group %lu: %s. Make this user (uid "
        "%lu) a member of the group, or choose another one",
        path, (unsigned long) access->group, strerror (errno),
        (unsigned long) geteuid ());
  step = "set the mode of";
  if (!set_mode (self, access && access->mode ? access->mode : 0600))
    goto failed;
  step = "listen on";
  if (listen (self->fd, BACKLOG) < 0)
    goto failed;
  step = "reach";
  errno = helix_unix_probe (path, who);
  if (errno != 0)
    goto failed;
  return true;

failed:
  return fail (why, errno,
      "socket '%s': the system cannot %s it: %s. Check that its directory "
      "exists, is writable for this user and lies on a local file system",
      path, step, strerror (errno));
}

bool
helix_unix_listener_open (struct helix_unix_listener *self, const char *path,
    const struct helix_unix_access *access, char why[HELIX_UNIX_WHY])
{
  const struct helix_unix_listener closed = HELIX_UNIX_LISTENER_INIT;
  int error;

  *self = closed;
  why[0] = '\0';
  if (path[0] == '\0')
    return fail (why, EINVAL, "socket: its path is empty. Name a file");
  if (strlen (path) >= helix_sun_path_max ())
    return fail (why, ENAMETOOLONG,
        "socket '%s': its path has %zu bytes, and this system allows %zu. Use "
        "a shorter path, or a relative one",
        path, strlen (path), helix_sun_path_max () - 1);

  if (open_directory (self, path, why) && take_lock (self, path, why)
      && clear_path (self, path, why)
      && bind_and_listen (self, path, access, why))
    return true;

  error = errno;
  helix_unix_listener_close (self);
  errno = error;
  return false;
}

void
helix_unix_listener_close (struct helix_unix_listener *self)
{
  const struct helix_unix_listener closed = HELIX_UNIX_LISTENER_INIT;
  struct stat lock;

  /* The socket goes first, while the lock still keeps successors waiting. */
  if (self->file.st_ino != 0 && leads_to (self, self->name, &self->file))
    unlinkat (self->dir_fd, self->name, 0);
  helix_close (self->fd);
  if (self->lock_fd >= 0 && fstat (self->lock_fd, &lock) == 0
      && leads_to (self, self->lock_name, &lock))
    unlinkat (self->dir_fd, self->lock_name, 0);
  helix_close (self->lock_fd);
  helix_close (self->dir_fd);
  *self = closed;
}

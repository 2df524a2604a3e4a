/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-unix-listener.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "helix-platform.h"

/* Connections that may wait to be accepted. Clients retry, so this only has
 * to be larger than a burst of starters. */
#define BACKLOG 16

#define LOCK_SUFFIX ".lock"

/* Bytes of " (pid N)" and of a lock file, NUL included. */
#define PID_WORDS 32

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
  int error;

  /* The caller has checked the length against sun_path. */
  snprintf (copy, sizeof copy, "%s", path);
  snprintf (self->name, sizeof self->name, "%s", name);
  if (self->name[0] == '\0')
    return fail (why, EISDIR,
        "'%s' names a directory, not a socket: append a file name", path);

  self->dir_fd = open (dirname (copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (self->dir_fd >= 0)
    return true;
  error = errno;
  return fail (why, error,
      "cannot open the directory of socket '%s': %s: create it, or choose "
      "a path in a directory of your own",
      path, strerror (error));
}

/* " (pid 123)" for a sentence, empty when it is not known. */
static const char *
pid_words (char words[PID_WORDS], long pid)
{
  words[0] = '\0';
  if (pid > 0)
    snprintf (words, PID_WORDS, " (pid %ld)", pid);
  return words;
}

/* The holder of a lock leaves its pid in it, for whoever finds it taken. */
static void
write_pid (int fd)
{
  char text[PID_WORDS];
  int size = snprintf (text, sizeof text, "%ld\n", (long) getpid ());

  /* A courtesy only: the lock holds without. */
  if (ftruncate (fd, 0) < 0 || pwrite (fd, text, (size_t) size, 0) < 0)
    return;
}

static long
read_pid (int fd)
{
  char text[PID_WORDS] = "";
  ssize_t n = pread (fd, text, sizeof text - 1, 0);

  return n > 0 ? strtol (text, NULL, 10) : 0;
}

/* True if `fd` is the file that the name in the directory leads to. */
static bool
is_current (int dir_fd, const char *name, int fd)
{
  struct stat there, here;

  return fstatat (dir_fd, name, &there, AT_SYMLINK_NOFOLLOW) == 0
      && fstat (fd, &here) == 0 && there.st_ino == here.st_ino
      && there.st_dev == here.st_dev;
}

static void
lock_name (const struct helix_unix_listener *self, char *name, size_t size)
{
  snprintf (name, size, "%s%s", self->name, LOCK_SUFFIX);
}

static bool
take_lock (struct helix_unix_listener *self, const char *path, char *why)
{
  char name[sizeof self->name + sizeof LOCK_SUFFIX];
  char who[PID_WORDS];
  int error;

  lock_name (self, name, sizeof name);
  for (;;) {
    self->lock_fd = openat (self->dir_fd, name,
        O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (self->lock_fd < 0) {
      error = errno;
      return fail (why, error,
          "cannot create lock file '%s" LOCK_SUFFIX "': %s: make its "
          "directory writable for this user, or choose another path",
          path, strerror (error));
    }
    if (flock (self->lock_fd, LOCK_EX | LOCK_NB) < 0) {
      error = errno;
      if (error == EWOULDBLOCK)
        return fail (why, EADDRINUSE,
            "socket '%s' is already served by another process%s, which holds "
            "'%s" LOCK_SUFFIX "': stop that one, or choose another path",
            path, pid_words (who, read_pid (self->lock_fd)), path);
      return fail (why, error,
          "cannot lock '%s" LOCK_SUFFIX "': %s: choose a "
          "path on a local file system",
          path, strerror (error));
    }
    /* A holder that closes removes the file: if that happened between our
     * open and our flock, we hold the lock of a file that nobody sees. */
    if (is_current (self->dir_fd, name, self->lock_fd)) {
      write_pid (self->lock_fd);
      return true;
    }
    close (self->lock_fd);
    self->lock_fd = -1;
  }
}

/* Does somebody listen at `path`? 0 = yes, and perhaps its pid; else the
 * errno of connect. */
static int
probe (const char *path, pid_t *pid)
{
  int fd = helix_socket (AF_UNIX);
  int error = 0;
  uid_t uid;

  *pid = 0;
  if (fd < 0)
    return errno;
  if (helix_unix_connect (fd, path) < 0)
    error = errno;
  else if (helix_peer_credentials (fd, &uid, pid) < 0)
    *pid = 0;
  close (fd);
  /* EAGAIN: the queue of a living listener is full. */
  return error == EAGAIN || error == EINPROGRESS ? 0 : error;
}

/* Removes a socket file that nobody serves; leaves everything else. */
static bool
clear_path (struct helix_unix_listener *self, const char *path, char *why)
{
  char who[PID_WORDS];
  struct stat st;
  pid_t pid;
  int error;

  if (fstatat (self->dir_fd, self->name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
    if (errno == ENOENT)
      return true;
    error = errno;
    return fail (why, error, "cannot examine '%s': %s", path, strerror (error));
  }
  if (!S_ISSOCK (st.st_mode))
    return fail (why, ENOTSOCK,
        "'%s' is a %s, not a socket: it was left untouched; remove it, or "
        "choose another path",
        path,
        S_ISREG (st.st_mode)       ? "regular file"
            : S_ISDIR (st.st_mode) ? "directory"
            : S_ISLNK (st.st_mode) ? "symbolic link"
                                   : "special file");

  error = probe (path, &pid);
  if (error == 0)
    return fail (why, EADDRINUSE,
        "socket '%s' is already served by another process%s: stop that one, "
        "or choose another path",
        path, pid_words (who, (long) pid));
  /* ENOENT: gone by itself since. */
  if (error != ECONNREFUSED && error != ENOENT)
    return fail (why, error,
        "cannot find out whether somebody serves socket '%s': %s: remove "
        "the file if nobody does, or choose another path",
        path, strerror (error));
  if (unlinkat (self->dir_fd, self->name, 0) < 0 && errno != ENOENT) {
    error = errno;
    return fail (why, error,
        "nobody serves socket '%s', but it cannot be removed: %s: remove it "
        "by hand, or choose another path",
        path, strerror (error));
  }
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
  static const struct helix_unix_access own = {0};
  struct stat st;
  const char *step = "create";
  pid_t pid;
  int error;

  if (!access)
    access = &own;
  self->fd = helix_socket (AF_UNIX);
  if (self->fd < 0)
    goto failed;
  step = "bind";
  if (helix_unix_bind (self->fd, path) < 0)
    goto failed;
  step = "examine";
  if (fstatat (self->dir_fd, self->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
    goto failed;
  self->dev = st.st_dev;
  self->ino = st.st_ino;
  /* Nobody can connect before listen, so the file is never open to others
   * than it shall be; the umask belongs to the whole process and stays as it
   * is. */
  if (access->set_group
      && fchownat (self->dir_fd, self->name, (uid_t) -1, access->group,
             AT_SYMLINK_NOFOLLOW)
          < 0) {
    error = errno;
    return fail (why, error,
        "cannot give socket '%s' to group %lu: %s: make this user (uid %lu) a "
        "member of the group, or choose another one",
        path, (unsigned long) access->group, strerror (error),
        (unsigned long) geteuid ());
  }
  step = "set the mode of";
  if (!set_mode (self, access->mode ? access->mode : 0600))
    goto failed;
  step = "listen on";
  if (listen (self->fd, BACKLOG) < 0)
    goto failed;
  step = "reach";
  errno = probe (path, &pid);
  if (errno != 0)
    goto failed;
  return true;

failed:
  error = errno;
  return fail (why, error,
      "cannot %s socket '%s': %s: check that its directory exists, is "
      "writable for this user and lies on a local file system",
      step, path, strerror (error));
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
    return fail (why, EINVAL, "the path of the socket is empty: name a file");
  if (strlen (path) >= helix_sun_path_max ())
    return fail (why, ENAMETOOLONG,
        "socket path '%s' has %zu bytes, and this system allows %zu: use a "
        "shorter path, or a relative one",
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

/* Removes `name` if it is (still) the file with that identity. */
static void
unlink_own (int dir_fd, const char *name, dev_t dev, ino_t ino)
{
  struct stat st;

  if (fstatat (dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_dev == dev
      && st.st_ino == ino)
    unlinkat (dir_fd, name, 0);
}

void
helix_unix_listener_close (struct helix_unix_listener *self)
{
  char name[sizeof self->name + sizeof LOCK_SUFFIX];
  const struct helix_unix_listener closed = HELIX_UNIX_LISTENER_INIT;
  struct stat st;

  /* The file goes first, while the lock still keeps successors waiting. */
  if (self->ino != 0)
    unlink_own (self->dir_fd, self->name, self->dev, self->ino);
  if (self->fd >= 0)
    close (self->fd);
  if (self->lock_fd >= 0) {
    /* Only the holder may remove it: a lock that was refused is not ours. */
    lock_name (self, name, sizeof name);
    if (flock (self->lock_fd, LOCK_EX | LOCK_NB) == 0
        && fstat (self->lock_fd, &st) == 0)
      unlink_own (self->dir_fd, name, st.st_dev, st.st_ino);
    close (self->lock_fd);
  }
  if (self->dir_fd >= 0)
    close (self->dir_fd);
  *self = closed;
}

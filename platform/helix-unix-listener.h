/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A listening UNIX socket that replaces what crashed predecessors left and
 * never takes the place of a living server.
 *
 * open() takes PATH.lock (flock), so that two starters cannot race; connects to
 * a socket file that is already there, and replaces it only if no process
 * answers; binds, with mode 0600 unless told otherwise; and proves by a
 * connection of its own that the path leads here. That connection closes
 * without a byte, as does the probe of another starter: a server must accept a
 * peer that closes without a byte as normal.
 *
 * C99 and POSIX only. Thread: one at a time for an object.
 */
#ifndef HELIX_UNIX_LISTENER_H
#define HELIX_UNIX_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

/* The lock file of a socket is its path with this. */
#define HELIX_UNIX_LOCK_SUFFIX ".lock"

/* Bytes for the sentence of a failure, path included. */
#define HELIX_UNIX_WHY 512
/* Bytes of " (pid N)", NUL included. */
#define HELIX_UNIX_WHO 32

/* Which users may connect, as far as the file system decides it. */
struct helix_unix_access {
  mode_t mode;    /* of the socket file; 0 = 0600 */
  bool set_group; /* the file gets that group */
  gid_t group;
};

struct helix_unix_listener {
  int fd;        /* listening, non-blocking, close-on-exec; -1 = closed */
  bool replaced; /* a socket file that no process served was removed */
  /* private */
  int lock_fd;         /* holds the flock on PATH.lock */
  int dir_fd;          /* where PATH lives: a later chdir changes nothing */
  struct stat file;    /* of the socket; close() removes its own only */
  char name[128];      /* last component of PATH */
  char lock_name[136]; /* and with .lock */
};

/* An object that close() may be called on. */
#define HELIX_UNIX_LISTENER_INIT \
  { \
    .fd = -1, .lock_fd = -1, .dir_fd = -1 \
  }

/*
 * Listens on `path`. `access` NULL = mode 0600. Returns false with nothing left
 * behind, a sentence in `why` that names the path, the cause and the remedy,
 * and errno by the kind of failure:
 *   EADDRINUSE    another process serves this path
 *   ENAMETOOLONG  the path does not fit into a socket address
 *   ENOTSOCK      something that is no socket is in the way; left untouched
 *   ENOENT, ENOTDIR, EACCES, EPERM, EROFS, ...  as the system said
 */
bool helix_unix_listener_open (struct helix_unix_listener *listener,
    const char *path, const struct helix_unix_access *access,
    char why[HELIX_UNIX_WHY]);

/* Asks whether a server listens at `path`, without a byte. Returns 0 if so, and
 * in `who` " (pid N)" as far as it is known, else ""; if not the errno of
 * connect. */
int helix_unix_probe (const char *path, char who[HELIX_UNIX_WHO]);

/* Stops listening and removes the socket file and the lock file, if they are
 * still its own. Idempotent. */
void helix_unix_listener_close (struct helix_unix_listener *listener);

#endif /* HELIX_UNIX_LISTENER_H */

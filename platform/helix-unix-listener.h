/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A listening UNIX socket that survives crashes of its predecessors and never
 * takes the place of a living one.
 *
 * open() takes PATH.lock (flock), so that two starters cannot race; asks a
 * socket file that is already there whether somebody answers, and replaces it
 * only if nobody does; binds, with mode 0600 unless told otherwise; and proves
 * by a connection of its own that the path leads here. That connection closes
 * without a byte, as does the probe of a rival starter: a server must take
 * a peer that says nothing and goes for normal.
 *
 * C99 and POSIX only. One object, one thread at a time.
 */
#ifndef HELIX_UNIX_LISTENER_H
#define HELIX_UNIX_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

/* Bytes for the sentence of a failure, path included. */
#define HELIX_UNIX_WHY 512

/* Who may connect, as far as the file system says it. */
struct helix_unix_access {
  mode_t mode;    /* of the socket file; 0 = 0600 */
  bool set_group; /* the file gets that group */
  gid_t group;
};

struct helix_unix_listener {
  int fd;        /* listening, non-blocking, close-on-exec; -1 = closed */
  bool replaced; /* a socket file that nobody served was removed */
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
 * Listens on `path`. `access` NULL = mode 0600. On false nothing is left
 * behind, `why` holds a sentence that names the path, the cause and the
 * remedy, and errno says of what kind it was:
 *   EADDRINUSE    another process serves this path
 *   ENAMETOOLONG  the path does not fit into a socket address
 *   ENOTSOCK      something that is no socket is in the way; left untouched
 *   ENOENT, ENOTDIR, EACCES, EPERM, EROFS, ...  as the system said
 */
bool helix_unix_listener_open (struct helix_unix_listener *listener,
    const char *path, const struct helix_unix_access *access,
    char why[HELIX_UNIX_WHY]);

/* Stops listening and removes the socket file and the lock file, if they are
 * still its own. Idempotent. */
void helix_unix_listener_close (struct helix_unix_listener *listener);

#endif /* HELIX_UNIX_LISTENER_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory that two processes share and only one may write: sealed memfds on
 * Linux, POSIX shared memory or an unlinked file elsewhere. See
 * helix-platform.h.
 */
#if !defined(_GNU_SOURCE) && defined(__linux__)
#define _GNU_SOURCE 1 /* memfd_create, F_ADD_SEALS, MADV_POPULATE_WRITE */
#endif

#include "helix-platform.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Newer than the headers of the oldest systems we build on; the kernel says
 * EINVAL where it does not know them. From linux/fcntl.h, linux/memfd.h. */
#ifdef __linux__
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef MADV_POPULATE_WRITE /* Linux 5.14 */
#define MADV_POPULATE_WRITE 23
#endif
#endif

/* Whether a peer's memory can be sealed. -DHELIX_SHM_NO_SEALS is for the test
 * of what other systems do in its place. */
#if defined(__linux__) && !defined(HELIX_SHM_NO_SEALS)
#define HELIX_SHM_SEALS 1
#include <linux/magic.h>
#include <sys/vfs.h>
#endif

/* Gives the file all its blocks, so that a full file system is an error here
 * and not a SIGBUS at the first touch. */
static int
allocate (int fd, size_t size)
{
#ifdef __APPLE__
  fstore_t store;

  memset (&store, 0, sizeof store);
  store.fst_flags = F_ALLOCATEALL;
  store.fst_posmode = F_PEOFPOSMODE;
  store.fst_length = (off_t) size;
  /* POSIX shared memory is no file and needs no blocks: any other failure
   * than a full disk is none. */
  if (fcntl (fd, F_PREALLOCATE, &store) < 0 && errno == ENOSPC)
    return -1;
  return ftruncate (fd, (off_t) size);
#else
  int err;

  do
    err = posix_fallocate (fd, 0, (off_t) size);
  while (err == EINTR);
  errno = err;
  return err == 0 ? 0 : -1;
#endif
}

static void *
map_writable (int fd, size_t size)
{
  void *map = mmap (NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

  if (map == MAP_FAILED)
    return NULL;
  return map;
}

int
helix_shm_populate (void *map, size_t size)
{
#ifdef __linux__
  if (madvise (map, size, MADV_POPULATE_WRITE) == 0)
    return 0;
  if (errno != EINVAL)
    return -1;
#endif
  /* The blocks are there already (allocate ()). */
  for (size_t at = 0; at < size; at += 4096)
    ((volatile unsigned char *) map)[at] = 0;
  return 0;
}

#ifdef HELIX_SHM_SEALS
static int
memfd_new (const char *name)
{
  int fd =
      memfd_create (name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

  if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
    fd = memfd_create (name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  return fd;
}

/* A memfd that can neither shrink nor grow, and that cannot be written to by
 * *client_fd. NULL where the kernel cannot promise that. */
static void *
create_sealed (size_t size, int *client_fd)
{
  char path[sizeof "/proc/self/fd/" + 3 * sizeof (int)];
  void *map = NULL;
  bool future_write;
  int fd = memfd_new ("helix-pool"), again;

  if (fd < 0)
    return NULL;
  if (ftruncate (fd, (off_t) size) < 0 || !(map = map_writable (fd, size)))
    goto fail;
  /* Where pages cannot be asked for a part at a time, all of them now. */
  if (madvise (map, 1, MADV_POPULATE_WRITE) < 0 && errno == EINVAL
      && allocate (fd, size) < 0)
    goto fail;
  if (fcntl (fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0)
    goto fail;
  /* Our own mapping stays writable, every later one is not (Linux 5.1). */
  future_write = fcntl (fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) == 0;
  if (fcntl (fd, F_ADD_SEALS, F_SEAL_SEAL) < 0)
    goto fail;

  /* A descriptor opened for reading besides; without the seal it is all the
   * protection there is, hence the mode, so that it cannot be reopened. */
  if (!future_write && fchmod (fd, S_IRUSR) < 0)
    goto fail;
  snprintf (path, sizeof path, "/proc/self/fd/%d", fd);
  again = open (path, O_RDONLY | O_CLOEXEC);
  if (again >= 0) {
    close (fd);
    fd = again;
  } else if (!future_write) {
    goto fail; /* no /proc here */
  }
  *client_fd = fd;
  return map;

fail:
  if (map)
    munmap (map, size);
  helix_close (fd);
  return NULL;
}
#else
/* A name that is free: the process, the time and a counter; O_EXCL makes sure.
 * At most 31 bytes for shm_open on macOS (PSHMNAMLEN). */
static void
fresh_name (char name[PATH_MAX], const char *dir)
{
  static unsigned counter;

  snprintf (name, PATH_MAX, "%s/hlx-%lx-%x-%x", dir,
      (unsigned long) getpid () & 0xffffffffu,
      __atomic_add_fetch (&counter, 1, __ATOMIC_RELAXED) & 0xffffu,
      (unsigned) (helix_now_ns () & 0xfffffffu));
}

/* POSIX shared memory, or a file. */
static int
open_name (bool file, const char *name, int flags)
{
  int fd;

  if (file)
    return open (name, flags | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
  fd = shm_open (name, flags, S_IRUSR | S_IWUSR);
  if (fd >= 0 && fcntl (fd, F_SETFD, FD_CLOEXEC) < 0)
    return helix_close (fd);
  return fd;
}

/* Opens a fresh name twice, for writing and for reading, and removes it. */
static void *
create_named (bool file, size_t size, int *client_fd)
{
  const char *dir = getenv ("TMPDIR");
  char name[PATH_MAX];
  void *map = NULL;
  int fd, err;

  fresh_name (name, !file ? "" : dir && *dir ? dir : "/tmp");
  fd = open_name (file, name, O_RDWR | O_CREAT | O_EXCL);
  if (fd < 0)
    return NULL;
  *client_fd = open_name (file, name, O_RDONLY);
  err = errno;
  if (file)
    unlink (name);
  else
    shm_unlink (name);
  errno = err;
  if (*client_fd >= 0 && allocate (fd, size) == 0)
    map = map_writable (fd, size);
  if (!map)
    *client_fd = helix_close (*client_fd);
  helix_close (fd);
  return map;
}
#endif

int
helix_shm_create (size_t size, void **map, int *client_fd)
{
  *map = NULL;
  *client_fd = -1;
  if (size == 0 || size > (size_t) PTRDIFF_MAX) {
    errno = EINVAL;
    return -1;
  }
#ifdef HELIX_SHM_SEALS
  /* No client here takes memory without seals. */
  *map = create_sealed (size, client_fd);
#else
  /* A sandbox may forbid the first: that of macOS does, for names outside the
   * application's group. */
  *map = create_named (false, size, client_fd);
  if (!*map)
    *map = create_named (true, size, client_fd);
#endif
  if (*map)
    return 0;
  *client_fd = -1;
  return -1;
}

bool
helix_shm_is_sealed (void)
{
#ifdef HELIX_SHM_SEALS
  return true;
#else
  return false;
#endif
}

/* ---- what a peer shares ---- */

#define NO_STAT "the descriptor cannot be examined"
#define NOT_MEMORY \
  "the descriptor is not memory (device, pipe, socket or directory)"
#define TOO_SMALL "the memory is smaller than the pool that was announced"

#ifdef HELIX_SHM_SEALS
/* Linux 5.1 and later. */
static bool
kernel_seals_writes (void)
{
  int fd = memfd_new ("helix-seals");
  /* Where there is no descriptor to try it on, the kernel counts as new. */
  bool knows = fd < 0 || fcntl (fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) == 0;

  if (fd >= 0)
    close (fd);
  return knows;
}

/* What is wrong with it, or NULL. Nothing that was checked here can be undone:
 * seals stay, and with F_SEAL_FUTURE_WRITE (or F_SEAL_WRITE) no hole can be
 * punched into the memory. A hole would be filled when it is read, with pages
 * that this process pays for, or SIGBUS where there are none left. */
static const char *
judge_sealed (int fd, size_t size)
{
  int seals = fcntl (fd, F_GET_SEALS);
  struct statfs system;
  struct stat st;

  if (seals < 0 || !(seals & F_SEAL_SHRINK))
    return "the memory has no F_SEAL_SHRINK: its owner could cut it off";
  if (!(seals & (F_SEAL_FUTURE_WRITE | F_SEAL_WRITE)) && kernel_seals_writes ())
    return "the memory has no F_SEAL_FUTURE_WRITE: its owner could take its "
           "pages away";
  /* A memfd of hugetlbfs: its pages come out of a pool that may be empty when
   * one is touched, or beyond the limit of this process's group. */
  if (fstatfs (fd, &system) < 0 || system.f_type != TMPFS_MAGIC)
    return "the memory is not of tmpfs (of hugetlbfs?)";
  if (fstat (fd, &st) < 0)
    return NO_STAT;
  if (st.st_size < 0 || (uint64_t) st.st_size < size)
    return TOO_SMALL;
  /* Of the whole file: pages behind `size` must not stand for holes before. */
  if ((uint64_t) st.st_blocks * 512 < (uint64_t) st.st_size)
    return "the memory has not all its pages";
  return NULL;
}

static const char *
judge (int fd, const struct stat *st, size_t size, bool sealed, int *number)
{
  if (!S_ISREG (st->st_mode))
    return NOT_MEMORY;
  if (sealed)
    return judge_sealed (fd, size);
  *number = EPERM;
  return "the memory is not sealed, so its owner could cut it off";
}

static bool
take (struct helix_shm *shm, int fd, const struct stat *st)
{
  (void) st;
  shm->bytes =
      mmap (NULL, shm->size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
  return shm->bytes != MAP_FAILED;
}
#else
/* POSIX shared memory of macOS, which has no file type, takes a size once
 * (pshm_truncate () of XNU: EINVAL when it has one). */
static bool
keeps_its_size (const struct stat *st)
{
  return (st->st_mode & S_IFMT) == 0;
}

static const char *
judge (int fd, const struct stat *st, size_t size, bool sealed, int *number)
{
  (void) fd, (void) number;
  if (!keeps_its_size (st) && !S_ISREG (st->st_mode))
    return NOT_MEMORY;
  if (sealed)
    return "this system has no sealed memory";
  if (st->st_size < 0 || (uint64_t) st->st_size < size)
    return TOO_SMALL;
  return NULL;
}

static bool
take (struct helix_shm *shm, int fd, const struct stat *st)
{
  if (keeps_its_size (st)) {
    shm->bytes = mmap (NULL, shm->size, PROT_READ, MAP_SHARED, fd, 0);
    return shm->bytes != MAP_FAILED;
  }
  /* Pages come as they are written to. */
  shm->bytes = mmap (
      NULL, shm->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
  if (shm->bytes == MAP_FAILED)
    return false;
  shm->fd = fcntl (fd, F_DUPFD_CLOEXEC, 0);
  if (shm->fd >= 0)
    return true;
  helix_shm_unmap (shm->bytes, shm->size);
  return false;
}
#endif

bool
helix_shm_open (
    struct helix_shm *shm, int fd, size_t size, bool sealed, const char **why)
{
  int number = EPROTO;
  struct stat st;

  shm->bytes = NULL;
  shm->size = size;
  shm->fd = -1;
  if (size == 0 || size > (size_t) PTRDIFF_MAX)
    *why = "the pool has no size";
  else if (fstat (fd, &st) < 0)
    *why = NO_STAT;
  else
    *why = judge (fd, &st, size, sealed, &number);
  if (*why) {
    errno = number;
    return false;
  }
  if (take (shm, fd, &st))
    return true;
  shm->bytes = NULL;
  *why = "the memory cannot be mapped for reading";
  return false; /* errno: EACCES, ENOMEM, ... */
}

int
helix_shm_fetch (struct helix_shm *shm, size_t offset, size_t size)
{
  while (shm->fd >= 0 && size > 0) {
    ssize_t n = pread (shm->fd, shm->bytes + offset, size, (off_t) offset);

    if (n == 0)
      errno = EPROTO; /* its end */
    if (n == 0 || (n < 0 && errno != EINTR))
      return -1;
    if (n > 0) {
      offset += (size_t) n;
      size -= (size_t) n;
    }
  }
  return 0;
}

void
helix_shm_close (struct helix_shm *shm)
{
  helix_shm_unmap (shm->bytes, shm->size);
  shm->bytes = NULL;
  helix_close (shm->fd);
  shm->fd = -1;
}

void
helix_shm_unmap (void *map, size_t size)
{
  if (map)
    munmap (map, size);
}

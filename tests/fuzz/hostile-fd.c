/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 /* memfd_create, F_ADD_SEALS */
#endif

#include "hostile-fd.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

#include "helix-platform.h"

#ifndef MSG_NOSIGNAL /* macOS has SO_NOSIGPIPE: helix_socket () */
#define MSG_NOSIGNAL 0
#endif

#ifdef MFD_ALLOW_SEALING
#ifndef F_SEAL_FUTURE_WRITE /* Linux 5.1, linux/fcntl.h */
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

/* Bytes of a page of hugetlbfs, on most machines. */
#define HUGE ((size_t) 2 << 20)

static int
open_memory (size_t size, unsigned flags, bool pages, int seals)
{
  int fd = memfd_create ("hostile", MFD_CLOEXEC | MFD_ALLOW_SEALING | flags);

  if (fd < 0)
    return -1;
  if (ftruncate (fd, (off_t) size) == 0
      && (!pages || posix_fallocate (fd, 0, (off_t) size) == 0)
      && (seals == 0 || fcntl (fd, F_ADD_SEALS, seals) == 0))
    return fd;
  close (fd);
  return -1;
}

static int
open_memory_of_kind (enum hostile_fd kind, size_t size)
{
  const int fixed = F_SEAL_SHRINK | F_SEAL_GROW;
  const int sealed = fixed | F_SEAL_FUTURE_WRITE;

  switch (kind) {
    case HOSTILE_FD_GOOD:
      return open_memory (size, 0, true, sealed);
    case HOSTILE_FD_UNSEALED:
      return open_memory (size, 0, true, 0);
    case HOSTILE_FD_WRITABLE:
      return open_memory (size, 0, true, fixed);
    case HOSTILE_FD_SPARSE:
      return open_memory (size, 0, false, sealed);
    case HOSTILE_FD_HUGE:
      return open_memory (
          (size + HUGE - 1) / HUGE * HUGE, MFD_HUGETLB, false, sealed);
    default:
      return -1;
  }
}
#else
static int
open_memory_of_kind (enum hostile_fd kind, size_t size)
{
  (void) kind, (void) size;
  return -1;
}
#endif

static int
open_file (size_t size)
{
  const char *folder = getenv ("TMPDIR");
  char name[4096];
  int fd;

  snprintf (name, sizeof name, "%s/hostile-XXXXXX", folder ? folder : "/tmp");
  fd = mkstemp (name);
  if (fd < 0)
    return -1;
  unlink (name);
  if (ftruncate (fd, (off_t) size) == 0)
    return fd;
  close (fd);
  return -1;
}

/* One end; the other one is closed. */
static int
keep_one (const int fds[2])
{
  close (fds[1]);
  return fds[0];
}

int
hostile_fd_open (enum hostile_fd kind, size_t size)
{
  int fds[2];

  switch (kind) {
    case HOSTILE_FD_FILE:
      return open_file (size);
    case HOSTILE_FD_PIPE:
      return pipe (fds) == 0 ? keep_one (fds) : -1;
    case HOSTILE_FD_SOCKET:
      return socketpair (AF_UNIX, SOCK_STREAM, 0, fds) == 0 ? keep_one (fds)
                                                            : -1;
    case HOSTILE_FD_DIRECTORY:
      return open ("/", O_RDONLY | O_CLOEXEC);
    case HOSTILE_FD_DEVICE:
      return open ("/dev/zero", O_RDWR | O_CLOEXEC);
    default:
      return open_memory_of_kind (kind, size);
  }
}

bool
hostile_fd_send_two (int socket, const void *bytes, size_t size, int fd)
{
  union {
    struct cmsghdr align;
    char room[CMSG_SPACE (2 * sizeof (int))];
  } control;
  struct iovec iov = {(void *) bytes, size};
  struct msghdr message;
  struct cmsghdr *head;
  const int fds[2] = {fd, fd};

  memset (&control, 0, sizeof control);
  memset (&message, 0, sizeof message);
  message.msg_iov = &iov;
  message.msg_iovlen = 1;
  message.msg_control = control.room;
  message.msg_controllen = sizeof control.room;
  head = CMSG_FIRSTHDR (&message);
  head->cmsg_level = SOL_SOCKET;
  head->cmsg_type = SCM_RIGHTS;
  head->cmsg_len = CMSG_LEN (sizeof fds);
  memcpy (CMSG_DATA (head), fds, sizeof fds);
  return sendmsg (socket, &message, MSG_NOSIGNAL) == (ssize_t) size;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Descriptors that are not what a POOL says of them. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 /* memfd_create, F_ADD_SEALS */
#endif

#include "fake-shim-private.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "helix-platform.h"

#ifdef MFD_ALLOW_SEALING
#ifndef F_SEAL_FUTURE_WRITE /* Linux 5.1, linux/fcntl.h */
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

static int
new_memory (gsize size, unsigned flags, gboolean pages, int seals)
{
  int fd = memfd_create ("fake", MFD_CLOEXEC | MFD_ALLOW_SEALING | flags);

  g_assert (fd >= 0);
  g_assert (ftruncate (fd, (off_t) size) == 0);
  g_assert (!pages || posix_fallocate (fd, 0, (off_t) size) == 0);
  g_assert (seals == 0 || fcntl (fd, F_ADD_SEALS, seals) == 0);
  return fd;
}

/* Bytes of a page of hugetlbfs, on most machines. */
#define HUGE ((gsize) 2 << 20)

static int
new_fake_memory (FakeShim *shim, gsize size)
{
  const int fixed = F_SEAL_SHRINK | F_SEAL_GROW;

  switch (shim->config.fault) {
    case FAKE_POOL_SHORT:
      return new_memory (size - 4096, 0, TRUE, fixed | F_SEAL_FUTURE_WRITE);
    case FAKE_POOL_UNSEALED:
      return new_memory (size, 0, TRUE, 0);
    case FAKE_POOL_WRITABLE:
      return new_memory (size, 0, TRUE, fixed);
    case FAKE_POOL_SPARSE:
      return new_memory (size, 0, FALSE, fixed | F_SEAL_FUTURE_WRITE);
    case FAKE_POOL_HUGE:
      return new_memory ((size + HUGE - 1) / HUGE * HUGE, MFD_HUGETLB, FALSE,
          fixed | F_SEAL_FUTURE_WRITE);
    case FAKE_POOL_CUT_OFF:
      shim->cut_fd = new_memory (size, 0, TRUE, 0);
      return fcntl (shim->cut_fd, F_DUPFD_CLOEXEC, 0);
    default:
      return -1;
  }
}
#else
static int
new_fake_memory (FakeShim *shim, gsize size)
{
  return -1;
}
#endif

int
fake_pool_descriptor (FakeShim *shim, gsize size)
{
  gchar *name;
  int fds[2];

  switch (shim->config.fault) {
    case FAKE_POOL_PIPE:
      g_assert (pipe (fds) == 0);
      close (fds[1]);
      return fds[0];
    case FAKE_POOL_DIRECTORY:
      return open (g_get_tmp_dir (), O_RDONLY | O_CLOEXEC);
    case FAKE_POOL_FILE:
      fds[0] = g_file_open_tmp ("helix-fake-XXXXXX", &name, NULL);
      g_assert (fds[0] >= 0 && ftruncate (fds[0], (off_t) size) == 0);
      unlink (name);
      g_free (name);
      return fds[0];
    default:
      return new_fake_memory (shim, size);
  }
}

void
fake_pool_cut_off (FakeShim *shim)
{
  if (shim->cut_fd >= 0)
    g_assert (ftruncate (shim->cut_fd, 0) == 0);
}

gboolean
fake_send_two (FakeShim *shim, const void *bytes, gsize size, int fd)
{
  union {
    struct cmsghdr align;
    char room[CMSG_SPACE (2 * sizeof (int))];
  } control = {0};
  struct iovec iov = {(void *) bytes, size};
  struct msghdr message = {.msg_iov = &iov,
      .msg_iovlen = 1,
      .msg_control = control.room,
      .msg_controllen = sizeof control.room};
  struct cmsghdr *head = CMSG_FIRSTHDR (&message);
  const int fds[2] = {fd, fd};

  head->cmsg_level = SOL_SOCKET;
  head->cmsg_type = SCM_RIGHTS;
  head->cmsg_len = CMSG_LEN (sizeof fds);
  memcpy (CMSG_DATA (head), fds, sizeof fds);
  return sendmsg (shim->fd, &message, MSG_NOSIGNAL) == (ssize_t) size;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sockets, clocks, users. See helix-platform.h. No file outside of this folder
 * has an #ifdef for a system.
 */
#if !defined(_GNU_SOURCE) && defined(__linux__)
#define _GNU_SOURCE 1 /* accept4, struct ucred, pthread_setname_np */
#endif

#include "helix-platform.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/sockios.h>
#include <sys/ioctl.h>
#endif

/* vsock: a header of the kernel on Linux, of the system on macOS (10.15+). */
#ifdef __has_include
#if defined(__linux__) && __has_include(<linux/vm_sockets.h>)
#include <linux/vm_sockets.h>
#define HAVE_VSOCK 1
#elif defined(__APPLE__) && __has_include(<sys/vsock.h>)
#include <sys/vsock.h>
#define HAVE_VSOCK 1
#endif
#endif

#ifdef __APPLE__
/* macOS has no MSG_NOSIGNAL that all its versions honour: SO_NOSIGPIPE, set
 * once by helix_fd_prepare, does the same. */
#define SEND_FLAGS 0
#define RECV_FLAGS 0
#else
#define SEND_FLAGS MSG_NOSIGNAL
#define RECV_FLAGS MSG_CMSG_CLOEXEC
#endif

/* Room for as many descriptors as a kernel passes at once (Linux: SCM_MAX_FD,
 * 253), so that a surplus arrives and can be closed: where the control data
 * is truncated instead, macOS has been seen to leak the rest. */
#define MAX_PASSED 256

int
helix_close (int fd)
{
  int saved = errno;

  if (fd >= 0)
    close (fd);
  errno = saved;
  return -1;
}

uint64_t
helix_now_ns (void)
{
#ifdef __APPLE__
  /* mach_absolute_time () in ns, which GstSystemClock uses too. CLOCK_MONOTONIC
   * there goes on while the machine sleeps, and in whole microseconds. */
  return clock_gettime_nsec_np (CLOCK_UPTIME_RAW);
#else
  struct timespec ts;

  clock_gettime (CLOCK_MONOTONIC, &ts);
  return (uint64_t) ts.tv_sec * 1000000000u + (uint64_t) ts.tv_nsec;
#endif
}

/* macOS has no pthread_condattr_setclock, but a wait for a length of time. */
void
helix_cond_init (pthread_cond_t *cond)
{
#ifdef __APPLE__
  pthread_cond_init (cond, NULL);
#else
  pthread_condattr_t attr;

  pthread_condattr_init (&attr);
  pthread_condattr_setclock (&attr, CLOCK_MONOTONIC);
  pthread_cond_init (cond, &attr);
  pthread_condattr_destroy (&attr);
#endif
}

int
helix_cond_wait_until (
    pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t deadline)
{
  struct timespec time;
#ifdef __APPLE__
  uint64_t now = helix_now_ns ();

  deadline = deadline > now ? deadline - now : 0;
#endif
  time.tv_sec = (time_t) (deadline / 1000000000);
  time.tv_nsec = (long) (deadline % 1000000000);
#ifdef __APPLE__
  return pthread_cond_timedwait_relative_np (cond, lock, &time);
#else
  return pthread_cond_timedwait (cond, lock, &time);
#endif
}

/* ---- sockets ---- */

size_t
helix_sun_path_max (void)
{
  return sizeof (((struct sockaddr_un *) NULL)->sun_path);
}

int
helix_fd_prepare (int fd)
{
  int flags = fcntl (fd, F_GETFD);

  if (flags < 0 || fcntl (fd, F_SETFD, flags | FD_CLOEXEC) < 0)
    return -1;
  flags = fcntl (fd, F_GETFL);
  if (flags < 0 || fcntl (fd, F_SETFL, flags | O_NONBLOCK) < 0)
    return -1;
#ifdef SO_NOSIGPIPE
  {
    int on = 1;

    /* A device or a pipe is no socket, and that is fine. EINVAL: the peer of
     * a socket is gone already; a write would raise SIGPIPE, so give up. */
    if (setsockopt (fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on) < 0
        && errno != ENOTSOCK)
      return -1;
  }
#endif
  return 0;
}

int
helix_socket (int domain)
{
#ifdef SOCK_CLOEXEC
  return socket (domain, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
#else
  int fd = socket (domain, SOCK_STREAM, 0);

  if (fd >= 0 && helix_fd_prepare (fd) < 0)
    return helix_close (fd);
  return fd;
#endif
}

int
helix_accept (int fd)
{
  int client;

  for (;;) {
#ifdef SOCK_CLOEXEC
    client = accept4 (fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (client >= 0)
      return client;
#else
    client = accept (fd, NULL, NULL);
    if (client >= 0) {
      if (helix_fd_prepare (client) == 0)
        return client;
      helix_close (client);
      if (errno == EINVAL)
        continue; /* gone before we could look at it: take the next one */
    }
#endif
    /* ECONNABORTED: that peer gave up while it waited, the next may not. */
    if (errno != EINTR && errno != ECONNABORTED)
      return -1;
  }
}

/* Fills `addr`; -1 with errno when `path` cannot be one. */
static int
unix_address (struct sockaddr_un *addr, const char *path)
{
  size_t len = strlen (path);

  if (len == 0) {
    errno = ENOENT; /* Linux would pick an abstract name of its own */
    return -1;
  }
  if (len >= sizeof addr->sun_path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  memset (addr, 0, sizeof *addr);
  addr->sun_family = AF_UNIX;
#ifdef __APPLE__
  addr->sun_len = sizeof *addr;
#endif
  memcpy (addr->sun_path, path, len + 1);
  return 0;
}

int
helix_unix_bind (int fd, const char *path)
{
  struct sockaddr_un addr;

  if (unix_address (&addr, path) < 0)
    return -1;
#ifdef __linux__
  /* The file takes its mode from the socket, less the umask. */
  if (fchmod (fd, S_IRUSR | S_IWUSR) < 0)
    return -1;
  return bind (fd, (struct sockaddr *) &addr, sizeof addr);
#else
  if (bind (fd, (struct sockaddr *) &addr, sizeof addr) < 0)
    return -1;
  /* In time: no peer connects before listen (). */
  return chmod (path, S_IRUSR | S_IWUSR);
#endif
}

int
helix_unix_connect (int fd, const char *path)
{
  struct sockaddr_un addr;
  int ret;

  if (unix_address (&addr, path) < 0)
    return -1;
  do
    ret = connect (fd, (struct sockaddr *) &addr, sizeof addr);
  while (ret < 0 && errno == EINTR);
  return ret;
}

const char *
helix_file_kind (mode_t mode)
{
  return S_ISREG (mode) ? "regular file"
      : S_ISDIR (mode)  ? "directory"
      : S_ISLNK (mode)  ? "symbolic link"
      : S_ISFIFO (mode) ? "FIFO"
                        : "device";
}

socklen_t
helix_vsock_address (struct sockaddr_storage *to, uint32_t cid, uint32_t port)
{
#ifdef HAVE_VSOCK
  struct sockaddr_vm *addr = (struct sockaddr_vm *) to;

  memset (to, 0, sizeof *to);
  addr->svm_family = AF_VSOCK;
#ifdef __APPLE__
  addr->svm_len = sizeof *addr;
#endif
  addr->svm_cid = cid;
  addr->svm_port = port;
  return sizeof *addr;
#else
  (void) to, (void) cid, (void) port;
  return 0;
#endif
}

int
helix_peer_credentials (int fd, uid_t *uid, pid_t *pid)
{
  struct sockaddr_storage addr;
  socklen_t len = sizeof addr;

  *pid = 0;
  memset (&addr, 0, sizeof addr);
  /* Other sockets answer SO_PEERCRED too, with uid -1. */
  if (getsockname (fd, (struct sockaddr *) &addr, &len) < 0)
    return -1;
  if (addr.ss_family != AF_UNIX) {
    errno = EOPNOTSUPP;
    return -1;
  }
#ifdef __linux__
  {
    struct ucred cred;

    len = sizeof cred;
    if (getsockopt (fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
      return -1;
    *uid = cred.uid;
    *pid = cred.pid;
  }
#else
  {
    gid_t gid;

    if (getpeereid (fd, uid, &gid) < 0)
      return -1;
#ifdef LOCAL_PEERPID
    len = sizeof *pid;
    if (getsockopt (fd, SOL_LOCAL, LOCAL_PEERPID, pid, &len) < 0)
      *pid = 0;
#endif
  }
#endif
  return 0;
}

/* ---- users ---- */

/* Bytes of an entry of the user database: many times what any has. */
#define USER_ENTRY 16384

bool
helix_user_find (const char *user, uid_t *uid)
{
  struct passwd entry, *found = NULL;
  char buffer[USER_ENTRY], *end;
  unsigned long number;

  if (isdigit ((unsigned char) *user)) {
    errno = 0;
    number = strtoul (user, &end, 10);
    *uid = (uid_t) number;
    /* (uid_t) -1 means "no user" to the system. */
    if (errno == 0 && *end == '\0' && number < UINT32_MAX)
      return true;
  }
  if (getpwnam_r (user, &entry, buffer, sizeof buffer, &found) != 0 || !found)
    return false;
  *uid = entry.pw_uid;
  return true;
}

bool
helix_user_is_trusted (uid_t uid)
{
  return uid == geteuid () || uid == 0;
}

bool
helix_user_name (uid_t uid, char name[HELIX_USER_NAME])
{
  struct passwd entry, *found = NULL;
  char buffer[USER_ENTRY];

  if (getpwuid_r (uid, &entry, buffer, sizeof buffer, &found) != 0 || !found)
    return false;
  snprintf (name, HELIX_USER_NAME, "%s", entry.pw_name);
  return true;
}

/* ---- messages with a descriptor ---- */

ssize_t
helix_send (int fd, const struct iovec *iov, int iovcnt, int pass)
{
  union {
    struct cmsghdr align;
    char room[CMSG_SPACE (sizeof (int))];
  } control;
  struct msghdr msg;
  ssize_t n;

  memset (&msg, 0, sizeof msg);
  msg.msg_iov = (struct iovec *) iov;
  msg.msg_iovlen = (unsigned) iovcnt;
  if (pass >= 0) {
    struct cmsghdr *cmsg;

    memset (&control, 0, sizeof control);
    msg.msg_control = control.room;
    msg.msg_controllen = sizeof control.room;
    cmsg = CMSG_FIRSTHDR (&msg);
    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN (sizeof pass);
    memcpy (CMSG_DATA (cmsg), &pass, sizeof pass);
  }
  do
    n = sendmsg (fd, &msg, SEND_FLAGS);
  while (n < 0 && errno == EINTR);
  /* A device cannot raise SIGPIPE. */
  if (n < 0 && errno == ENOTSOCK && pass < 0)
    do
      n = writev (fd, iov, iovcnt);
    while (n < 0 && errno == EINTR);
#ifdef __APPLE__
  if (n < 0 && errno == EPROTOTYPE)
    errno = EPIPE; /* what macOS says of a socket that is being torn down */
#endif
  return n;
}

/* Takes every descriptor out of `msg`: the first one into *fd, the others
 * closed. Returns how many there were. */
static unsigned
take_descriptors (struct msghdr *msg, int *fd)
{
  struct cmsghdr *cmsg;
  unsigned count = 0;

  for (cmsg = CMSG_FIRSTHDR (msg); cmsg; cmsg = CMSG_NXTHDR (msg, cmsg)) {
    const unsigned char *data = CMSG_DATA (cmsg);
    size_t i, bytes;

    if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
      continue;
    bytes = cmsg->cmsg_len - (size_t) (data - (unsigned char *) cmsg);
    for (i = 0; i + sizeof (int) <= bytes; i += sizeof (int)) {
      int one;

      memcpy (&one, data + i, sizeof one);
      if (count++ == 0)
        *fd = one;
      else
        close (one);
    }
  }
  return count;
}

ssize_t
helix_recv (int fd, void *buf, size_t len, int *got)
{
  union {
    struct cmsghdr align;
    char room[CMSG_SPACE (sizeof (int) * MAX_PASSED)];
  } control;
  struct iovec iov;
  struct msghdr msg;
  unsigned count;
  int passed = -1;
  ssize_t n;

  if (got)
    *got = -1;
  iov.iov_base = buf;
  iov.iov_len = len;
  do {
    memset (&msg, 0, sizeof msg);
    msg.msg_iov = &iov;
    msg.msg_iovlen = 1;
    msg.msg_control = control.room;
    msg.msg_controllen = sizeof control.room;
    n = recvmsg (fd, &msg, RECV_FLAGS);
  } while (n < 0 && errno == EINTR);
  if (n < 0) {
    if (errno == ENOTSOCK)
      do
        n = read (fd, buf, len);
      while (n < 0 && errno == EINTR);
    return n;
  }

  count = take_descriptors (&msg, &passed);
  if (count > 1 || (msg.msg_flags & MSG_CTRUNC)) {
    helix_close (passed);
    errno = EPROTO;
    return -1;
  }
  if (count == 0)
    return n;
  if (!got)
    close (passed);
#ifndef MSG_CMSG_CLOEXEC
  else if (fcntl (passed, F_SETFD, FD_CLOEXEC) < 0)
    return helix_close (passed);
#endif
  else
    *got = passed;
  return n;
}

size_t
helix_send_queue (int fd)
{
#ifdef __linux__
  int waiting = 0;

  return ioctl (fd, SIOCOUTQ, &waiting) == 0 && waiting > 0 ? (size_t) waiting
                                                            : 0;
#else
  /* macOS puts what is sent to a UNIX socket with the reader at once. */
  (void) fd;
  return 0;
#endif
}

void
helix_thread_name (const char *name)
{
  char cut[16]; /* TASK_COMM_LEN of Linux, its NUL included */

  snprintf (cut, sizeof cut, "%s", name);
#ifdef __APPLE__
  pthread_setname_np (cut);
#else
  pthread_setname_np (pthread_self (), cut);
#endif
}

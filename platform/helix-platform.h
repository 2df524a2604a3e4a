/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The one place where Linux and macOS differ (SO_NOSIGPIPE, memfd and seals,
 * accept4, SOCK_CLOEXEC, MSG_CMSG_CLOEXEC, sun_path, AF_VSOCK): in
 * helix-platform.c, for memory in helix-shm.c, for the user at the other end of
 * a TCP connection in helix-tcp-peer.c, and for wake-ups in helix-waiter.c.
 *
 * C99 and POSIX only: QEMU, the plugin and the tools all compile this. Every
 * descriptor made here is close-on-exec; every socket is non-blocking and
 * never raises SIGPIPE. Failing functions return -1 or NULL and set errno.
 * All are thread-safe.
 */
#ifndef HELIX_PLATFORM_H
#define HELIX_PLATFORM_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

/* CLOCK_MONOTONIC in ns. On macOS mach_absolute_time (), the clock that
 * GStreamer uses there; CLOCK_MONOTONIC goes on in sleep and it does not. */
uint64_t helix_now_ns (void);

/* A condition whose waits go by helix_now_ns (), so that a step of the wall
 * clock neither ends nor lengthens them. pthread_cond_destroy () it. */
void helix_cond_init (pthread_cond_t *cond);
/* pthread_cond_timedwait until helix_now_ns () is `deadline`: 0, or
 * ETIMEDOUT. */
int helix_cond_wait_until (
    pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t deadline);

/* Bytes of sun_path with its NUL: 108 on Linux, 104 on macOS. */
size_t helix_sun_path_max (void);

/* Closes a descriptor, nothing if < 0; errno stays. Returns -1. */
int helix_close (int fd);
/* socket (domain, SOCK_STREAM), non-blocking, close-on-exec, no SIGPIPE. */
int helix_socket (int domain);
/* Makes a foreign descriptor so (accepted, inherited, opened). */
int helix_fd_prepare (int fd);
/* accept; EAGAIN when no peer waits. */
int helix_accept (int fd);

/* bind/connect of an AF_UNIX path. ENAMETOOLONG when it does not fit, ENOENT
 * when it is empty. What bind creates has mode 0600, whatever the umask.
 * helix_unix_connect: EINPROGRESS/EAGAIN as connect (2). */
int helix_unix_bind (int fd, const char *path);
int helix_unix_connect (int fd, const char *path);

/* What is no socket, in words: "regular file", "directory" and so on. */
const char *helix_file_kind (mode_t mode);

/* Fills in a vsock address. Returns its size; 0: this system has no vsock. */
socklen_t helix_vsock_address (
    struct sockaddr_storage *to, uint32_t cid, uint32_t port);

/* uid (and pid where known, else 0) of the process at the other end; of the
 * one that listens, as they were when it called listen (). */
int helix_peer_credentials (int fd, uid_t *uid, pid_t *pid);
/* Likewise the uid at the other end of a TCP connection within this machine:
 * of the process that made the socket. ENOTCONN: no process has
 * that socket any more. EOPNOTSUPP: the kernel does not tell, or it is no such
 * connection. Asks the kernel, and does not block. */
int helix_tcp_peer_uid (int fd, uid_t *uid);

/* Whether `uid` may do here what this process may: its own effective user, and
 * root. */
bool helix_user_is_trusted (uid_t uid);
/* The id of the user `user`, a name or a number in digits. */
bool helix_user_find (const char *user, uid_t *uid);
/* Bytes of a user's name that are kept, its NUL included. */
#define HELIX_USER_NAME 64
/* The name of a user; false: it has none. */
bool helix_user_name (uid_t uid, char name[HELIX_USER_NAME]);

/* sendmsg/recvmsg with at most one descriptor; writev/read for a device, such
 * as a serial port, which passes none. helix_recv stores -1 in *got
 * when none came; more than one, or MSG_CTRUNC, closes them all and fails
 * with EPROTO. 0 = the peer closed. `got` may be NULL: any is closed. */
ssize_t helix_send (int fd, const struct iovec *iov, int iovcnt, int pass);
ssize_t helix_recv (int fd, void *buf, size_t len, int *got);
/* Bytes, about, that were sent on a UNIX socket and wait for the peer to read
 * them; 0 = none, or this system does not tell. */
size_t helix_send_queue (int fd);

/* A new shared memory object of `size` bytes, mapped read-write at *map.
 * *client_fd is what to hand to a client: read-only there.
 * helix_shm_populate () all of it before the client gets it: helix_shm_open ()
 * there refuses memory without its pages. */
int helix_shm_create (size_t size, void **map, int *client_fd);
/* Whether such memory can no longer shrink: on Linux. */
bool helix_shm_is_sealed (void);
/* Gives the first `size` bytes at `map` their pages, in such a memory or in
 * one of malloc's: when there are none left that is an error here, and no
 * SIGBUS at the first write; nor does a write wait for them. It takes about a
 * millisecond for 2 MiB. Zeroes one byte a page at most. */
int helix_shm_populate (void *map, size_t size);
/* Undoes helix_shm_create's mapping. */
void helix_shm_unmap (void *map, size_t size);

/* What a peer shares, for reading. */
struct helix_shm {
  unsigned char *bytes; /* `size` of them; NULL = closed */
  size_t size;
  /* private: a file that `bytes` are copied from, -1 = they are the peer's
   * memory itself */
  int fd;
};

/* Takes what a peer sent, after checking that it is memory of at least `size`
 * bytes that no process can take away again, not even its owner: reading them
 * would raise SIGBUS then. On Linux that is a memfd with seals and all its
 * pages; `sealed` is what the peer says of it. On macOS POSIX shared memory
 * cannot change its size once it has one, and a file, which can, is not mapped:
 * helix_shm_fetch () copies. `fd` stays the caller's.
 *
 * false: *why = a static phrase, errno EPROTO where the peer lied or broke the
 * rules, EPERM where it says itself that it has no such memory. */
bool helix_shm_open (
    struct helix_shm *shm, int fd, size_t size, bool sealed, const char **why);
/* To be called before that part of `bytes` is read, each time that the peer
 * says that it is new. -1: it was cut off; errno, EPROTO if nothing else. For
 * parts that do not overlap, any thread. */
int helix_shm_fetch (struct helix_shm *shm, size_t offset, size_t size);
void helix_shm_close (struct helix_shm *shm);

/* Name the calling thread, for debuggers. Cut at 15 bytes. */
void helix_thread_name (const char *name);

#endif /* HELIX_PLATFORM_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sockets: flags, paths, credentials, descriptors that are passed, wake-ups.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gst/check/gstcheck.h>

#include "helix-platform.h"
#include "helix-test-fds.h"
#include "helix-waiter.h"

static gchar *dir;
static guint before; /* descriptors */
static int fds[2];

static void
setup (void)
{
  dir = g_dir_make_tmp ("helix-XXXXXX", NULL);
  fail_unless (dir != NULL);
  before = test_count_fds ();
  test_socketpair (fds);
}

/* The pair may be closed already; all else the test has tidied up. */
static void
teardown (void)
{
  close (fds[0]);
  close (fds[1]);
  fail_unless_equals_int (test_count_fds (), before);
  fail_unless_equals_int (g_rmdir (dir), 0);
  g_free (dir);
}

static void
expect_prepared (int fd)
{
  fail_unless (fd >= 0, "%s", g_strerror (errno));
  fail_unless (fcntl (fd, F_GETFD) & FD_CLOEXEC);
  fail_unless (fcntl (fd, F_GETFL) & O_NONBLOCK);
}

static void
wait_readable (int fd)
{
  struct pollfd poll_fd = {fd, POLLIN, 0};

  fail_unless_equals_int (poll (&poll_fd, 1, 5000), 1);
}

GST_START_TEST (test_sockets_are_prepared)
{
  static const int domains[] = {AF_UNIX, AF_INET};
  int fd;

  for (guint i = 0; i < G_N_ELEMENTS (domains); i++) {
    fd = helix_socket (domains[i]);
    expect_prepared (fd);
    close (fd);
  }
  expect_prepared (fds[0]);
  expect_prepared (fds[1]);
  close (fds[0]);
  close (fds[1]);
  fail_unless_equals_int (pipe (fds), 0); /* no socket: prepared likewise */
  fail_unless_equals_int (helix_fd_prepare (fds[0]), 0);
  expect_prepared (fds[0]);
  errno = ENOTTY;
  fail_unless (helix_close (fds[0]) == -1 && errno == ENOTTY);
  close (fds[1]);
  expect_errno (helix_fd_prepare (fds[0]), EBADF);
  fail_unless_equals_int (helix_socket (12345), -1);
}

GST_END_TEST;

GST_START_TEST (test_listen_and_connect)
{
  gchar *path = g_build_filename (dir, "sock", NULL);
  int server = helix_socket (AF_UNIX), client = helix_socket (AF_UNIX);
  int accepted;
  mode_t mask = umask (0);
  GStatBuf st;
  uid_t uid = (uid_t) -1;
  pid_t pid = -1;

  expect_errno (helix_unix_connect (client, path), ENOENT);
  fail_unless_equals_int (helix_unix_bind (server, path), 0);
  umask (mask);
  fail_unless_equals_int (g_stat (path, &st), 0);
  fail_unless_equals_int (st.st_mode & 0777, 0600); /* in spite of umask 0 */
  expect_errno (helix_unix_connect (client, path), ECONNREFUSED);
  fail_unless_equals_int (listen (server, 4), 0);
  fail_unless_equals_int (helix_accept (server), -1);
  fail_unless (errno == EAGAIN || errno == EWOULDBLOCK);
  fail_unless_equals_int (helix_unix_connect (client, path), 0);
  wait_readable (server);
  accepted = helix_accept (server);
  expect_prepared (accepted);
  fail_unless_equals_int (helix_peer_credentials (accepted, &uid, &pid), 0);
  fail_unless_equals_int (uid, getuid ());
  fail_unless_equals_int (pid, getpid ());
  close (accepted);
  close (client);

  client = helix_socket (AF_UNIX);
  close (server);
  server = helix_socket (AF_UNIX);
  expect_errno (helix_unix_bind (server, path), EADDRINUSE);
  expect_errno (
      helix_unix_connect (client, path), ECONNREFUSED); /* a stale file */
  close (server);
  close (client);
  g_unlink (path);
  g_free (path);
}

GST_END_TEST;

GST_START_TEST (test_paths)
{
  gsize max = helix_sun_path_max ();
  int fd = helix_socket (AF_UNIX);
  gchar *path;

  fail_unless (max == 108 || max == 104, "%zu", max);
  path = g_strnfill (max, 'x');
  expect_errno (helix_unix_bind (fd, path), ENAMETOOLONG);
  expect_errno (helix_unix_connect (fd, path), ENAMETOOLONG);
  path[max - 1] = '\0'; /* fits, with its NUL */
  expect_errno (helix_unix_connect (fd, path), ENOENT);
  expect_errno (helix_unix_bind (fd, ""), ENOENT);
  expect_errno (helix_unix_connect (fd, ""), ENOENT);
  close (fd);
  g_free (path);
}

GST_END_TEST;

GST_START_TEST (test_foreign_sockets)
{
  int fd = helix_socket (AF_INET);
  struct sockaddr_storage address;
  uid_t uid;
  pid_t pid;

  expect_errno (helix_peer_credentials (fd, &uid, &pid), EOPNOTSUPP);
  close (fd);
  fail_unless_equals_int (helix_peer_credentials (fd, &uid, &pid), -1);

  /* Whether the kernel has vsock at all is its business. */
  fd = helix_vsock_address (&address, 77, 14359) > 0
      ? helix_socket (address.ss_family)
      : -1;
  if (fd >= 0)
    expect_prepared (fd);
  helix_close (fd);
}

GST_END_TEST;

/* Writing to a peer that is gone is an error, not a signal. */
GST_START_TEST (test_no_sigpipe)
{
  struct iovec iov = {(void *) "x", 1};

  signal (SIGPIPE, SIG_DFL);
  close (fds[1]);
  expect_errno (helix_send (fds[0], &iov, 1, -1), EPIPE);
}

GST_END_TEST;

GST_START_TEST (test_send_and_recv)
{
  struct iovec iov[2] = {{(void *) "abc", 3}, {(void *) "defg", 4}};
  struct stat sent, came;
  char buf[16];
  int got = 0, file;

  fail_unless_equals_int (helix_recv (fds[0], buf, sizeof buf, &got), -1);
  fail_unless (errno == EAGAIN || errno == EWOULDBLOCK);
  fail_unless_equals_int (got, -1);

  fail_unless_equals_int (helix_send (fds[1], iov, 2, -1), 7);
  fail_unless_equals_int (helix_recv (fds[0], buf, sizeof buf, &got), 7);
  fail_unless (memcmp (buf, "abcdefg", 7) == 0);
  fail_unless_equals_int (got, -1);

  /* A descriptor comes with the first byte, even if only that one is read. */
  file = open (".", O_RDONLY);
  fail_unless_equals_int (helix_send (fds[1], iov, 2, file), 7);
  fail_unless_equals_int (helix_recv (fds[0], buf, 1, &got), 1);
  fail_unless (got >= 0 && got != file);
  fail_unless (fcntl (got, F_GETFD) & FD_CLOEXEC);
  fail_unless_equals_int (fstat (file, &sent), 0);
  fail_unless_equals_int (fstat (got, &came), 0);
  fail_unless (sent.st_ino == came.st_ino && sent.st_dev == came.st_dev);
  close (got);
  fail_unless_equals_int (helix_recv (fds[0], buf, sizeof buf, &got), 6);
  fail_unless_equals_int (got, -1);

  /* Where none is wanted it is closed. */
  fail_unless_equals_int (helix_send (fds[1], iov, 1, file), 3);
  fail_unless_equals_int (helix_recv (fds[0], buf, sizeof buf, NULL), 3);

  close (file);
  close (fds[1]);
  fail_unless_equals_int (helix_recv (fds[0], buf, sizeof buf, &got), 0);
}

GST_END_TEST;

static void
send_many (int fd, const int *pass, guint n)
{
  char room[CMSG_SPACE (sizeof (int) * 253)];
  struct iovec iov = {(void *) "x", 1};
  struct msghdr msg = {
      NULL, 0, &iov, 1, room, CMSG_SPACE (sizeof (int) * n), 0};
  struct cmsghdr *cmsg;

  memset (room, 0, sizeof room);
  cmsg = CMSG_FIRSTHDR (&msg);
  cmsg->cmsg_level = SOL_SOCKET;
  cmsg->cmsg_type = SCM_RIGHTS;
  cmsg->cmsg_len = CMSG_LEN (sizeof (int) * n);
  memcpy (CMSG_DATA (cmsg), pass, sizeof (int) * n);
  fail_unless_equals_int (sendmsg (fd, &msg, 0), 1);
}

/* A peer that passes more than one descriptor breaks the protocol, and fills
 * nobody's table. */
GST_START_TEST (test_too_many_descriptors)
{
  static const guint counts[] = {2, 3, 17, 253};
  guint round, i;
  int pass[253], got;
  char buf[4];

  for (i = 0; i < G_N_ELEMENTS (pass); i++)
    pass[i] = fds[0];
  for (round = 0; round < 1000; round++) {
    for (i = 0; i < G_N_ELEMENTS (counts); i++) {
      ssize_t n;

      send_many (fds[1], pass, counts[i]);
      got = 99;
      n = helix_recv (fds[0], buf, sizeof buf, round % 2 ? &got : NULL);
      if (n != -1 || errno != EPROTO || (round % 2 && got != -1))
        fail ("%u passed: %zd, %d, got %d", counts[i], n, errno, got);
    }
  }
}

GST_END_TEST;

static void *
raise_it (void *data)
{
  helix_thread_name ("a name that is too long for the kernel");
  helix_waiter_wake (data);
  return NULL;
}

/* Linux tells, and is told by its /proc. */
GST_START_TEST (test_send_queue)
{
  const bool tells = g_file_test ("/proc/self/fd", G_FILE_TEST_IS_DIR);
  char byte = 'x';
  struct iovec iov = {&byte, 1};

  fail_unless_equals_int (helix_send_queue (fds[0]), 0);
  fail_unless_equals_int (helix_send (fds[0], &iov, 1, -1), 1);
  fail_unless ((helix_send_queue (fds[0]) > 0) == tells);
  fail_unless_equals_int (helix_send_queue (fds[1]), 0);
  fail_unless_equals_int (helix_recv (fds[1], &byte, 1, NULL), 1);
  fail_unless_equals_int (helix_send_queue (fds[0]), 0);
}

GST_END_TEST;

/* By a wake-up, by a descriptor, by time; never earlier than that. */
GST_START_TEST (test_waiter)
{
  struct pollfd polls[2] = {{.fd = -1}, {.fd = fds[0], .events = POLLIN}};
  struct iovec iov = {(void *) "x", 1};
  HelixWaiter waiter;
  pthread_t thread;
  guint64 end;

  fail_unless (helix_waiter_init (&waiter));
  expect_prepared (waiter.wakeup[0]);
  expect_prepared (waiter.wakeup[1]);
  fail_if (helix_waiter_wait (&waiter, polls, 2, 0));
  fail_unless_equals_int (polls[0].revents, 0);
  fail_unless_equals_int (pthread_create (&thread, NULL, raise_it, &waiter), 0);
  fail_if (helix_waiter_wait (&waiter, polls, 2, UINT64_MAX));
  fail_unless (polls[0].revents != 0);
  pthread_join (thread, NULL);
  /* More often than a pipe has room: never blocks, and counts once. */
  for (guint i = 0; i < 70000; i++)
    helix_waiter_wake (&waiter);
  fail_if (helix_waiter_wait (&waiter, polls, 2, UINT64_MAX));
  fail_if (helix_waiter_wait (&waiter, polls, 2, 0));
  fail_unless_equals_int (polls[0].revents, 0);
  end = helix_now_ns () + 20 * GST_MSECOND;
  fail_if (helix_waiter_wait (NULL, polls, 2, end));
  fail_unless (helix_now_ns () >= end);
  fail_unless_equals_int (helix_send (fds[1], &iov, 1, -1), 1);
  fail_unless (helix_waiter_wait (&waiter, polls, 2, UINT64_MAX));
  helix_waiter_clear (&waiter);
  fail_unless_equals_int (waiter.wakeup[0], -1);
  helix_waiter_clear (&waiter);
}

GST_END_TEST;

/* A wait for a condition is over when helix_now_ns () says so, not the wall
 * clock: not before, and at once when the time has passed already. */
GST_START_TEST (test_cond)
{
  pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t cond;
  guint64 end;

  helix_cond_init (&cond);
  pthread_mutex_lock (&lock);
  for (guint i = 0; i < 2; i++) {
    end = helix_now_ns () + i * 20 * GST_MSECOND;
    fail_unless_equals_int (
        helix_cond_wait_until (&cond, &lock, end), ETIMEDOUT);
    fail_unless (helix_now_ns () >= end);
  }
  pthread_mutex_unlock (&lock);
  pthread_cond_destroy (&cond);
}

GST_END_TEST;

static Suite *
helix_platform_suite (void)
{
  Suite *suite = suite_create ("helix-platform");
  TCase *tc = tcase_create ("sockets");

  tcase_set_timeout (tc, 60);
  tcase_add_checked_fixture (tc, setup, teardown);
  suite_add_tcase (suite, tc);
  tcase_add_test (tc, test_sockets_are_prepared);
  tcase_add_test (tc, test_listen_and_connect);
  tcase_add_test (tc, test_paths);
  tcase_add_test (tc, test_foreign_sockets);
  tcase_add_test (tc, test_no_sigpipe);
  tcase_add_test (tc, test_send_and_recv);
  tcase_add_test (tc, test_too_many_descriptors);
  tcase_add_test (tc, test_send_queue);
  tcase_add_test (tc, test_waiter);
  tcase_add_test (tc, test_cond);
  return suite;
}

GST_CHECK_MAIN (helix_platform);

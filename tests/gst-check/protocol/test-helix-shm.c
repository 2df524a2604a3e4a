/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Shared memory: what the giver may do and the taker may not, and what the
 * taker does not let itself be given.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gst/check/gstcheck.h>

#include "helix-platform.h"
#include "helix-test-fds.h"

#define SIZE ((size_t) 3 * 1024 * 1024)

#if defined(MFD_ALLOW_SEALING) && !defined(HELIX_SHM_NO_SEALS)
#define SEALS 1
#include <sys/syscall.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

/* What a sandbox forbids: these stand in for the C library's own. */
static gboolean forbid_memfd, old_kernel;

int
memfd_create (const char *name, unsigned flags)
{
  int (*real) (const char *, unsigned) = dlsym (RTLD_NEXT, "memfd_create");

  if (!forbid_memfd && !(old_kernel && (flags & MFD_NOEXEC_SEAL)))
    return real (name, flags);
  errno = forbid_memfd ? EPERM : EINVAL;
  return -1;
}

int
fcntl (int fd, int cmd, ...)
{
  va_list args;
  long arg;

  va_start (args, cmd);
  arg = va_arg (args, long);
  va_end (args);
  if (!old_kernel || cmd != F_ADD_SEALS || arg != F_SEAL_FUTURE_WRITE)
    return (int) syscall (SYS_fcntl, fd, cmd, arg);
  errno = EINVAL;
  return -1;
}
#endif

#ifdef HELIX_SHM_NO_SEALS
static gboolean forbid_shm; /* as a sandbox does */

int
shm_open (const char *name, int flags, mode_t mode)
{
  int (*real) (const char *, int, mode_t) = dlsym (RTLD_NEXT, "shm_open");

  if (!forbid_shm)
    return real (name, flags, mode);
  errno = EPERM;
  return -1;
}
#endif

/* The giver's memory, and the descriptor for the taker. */
static void *map;
static int fd;
static struct helix_shm taker;
static const char *why;
static guint before; /* descriptors */

static void
setup (void)
{
  before = test_count_fds ();
  map = NULL;
  fd = -1;
}

static void
teardown (void)
{
  helix_close (fd);
  helix_shm_unmap (map, SIZE);
  fail_unless_equals_int (test_count_fds (), before);
}

static void
create (void)
{
  fail_unless_equals_int (helix_shm_create (SIZE, &map, &fd), 0);
  fail_unless (fcntl (fd, F_GETFD) & FD_CLOEXEC);
}

/* What an errno is that leaves nothing behind. */
static void
expect_no_memory (size_t size, int number)
{
  map = &before;
  fd = 99;
  errno = 0;
  fail_unless_equals_int (helix_shm_create (size, &map, &fd), -1);
  fail_unless (number == 0 ? errno != 0 : errno == number);
  fail_unless (map == NULL && fd == -1);
}

static void
expect_taken (int from, size_t size)
{
  fail_unless (
      helix_shm_open (&taker, from, size, helix_shm_is_sealed (), &why), "%s",
      why);
  fail_unless (why == NULL);
}

GST_START_TEST (test_give_and_take)
{
  guint8 *giver;

  for (guint round = 0; round < 50; round++) {
    create ();
    fail_unless_equals_int (helix_shm_populate (map, SIZE), 0);
    giver = map;
    fail_unless (giver[0] == 0 && giver[SIZE - 1] == 0, "new memory: not zero");
    giver[0] = 1;
    expect_taken (fd, SIZE);
    fd = helix_close (fd);
    giver[SIZE - 1] = 2;
    fail_unless_equals_int (helix_shm_fetch (&taker, 0, SIZE), 0);
    fail_unless (taker.bytes[0] == 1 && taker.bytes[SIZE - 1] == 2);
    helix_shm_close (&taker);
    helix_shm_unmap (map, SIZE);
  }
  map = NULL;
}

GST_END_TEST;

/* Neither to write nor to resize. */
static void
expect_read_only (int to)
{
  fail_unless (mmap (NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, to, 0)
      == MAP_FAILED);
  fail_unless (write (to, "x", 1) < 0, "written");
  fail_unless (ftruncate (to, 4096) < 0, "shrunk");
  fail_unless (ftruncate (to, 2 * SIZE) < 0, "grown");
}

/* The descriptor allows neither, by no way. */
GST_START_TEST (test_client_cannot_write)
{
  g_autofree gchar *again = NULL;
  void *other;
  int writer;

  create ();
  expect_read_only (fd);
  other = mmap (NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
  fail_unless (other != MAP_FAILED);
  fail_unless_equals_int (mprotect (other, SIZE, PROT_READ | PROT_WRITE), -1);
  munmap (other, SIZE);
  /* Opened again for writing through /proc, where that works. */
  again = g_strdup_printf ("/proc/self/fd/%d", fd);
  writer = helix_shm_is_sealed () ? open (again, O_RDWR | O_CLOEXEC) : -1;
  if (writer >= 0)
    expect_read_only (writer);
  helix_close (writer);
  ((guint8 *) map)[1] = 3; /* the giver still can */
}

GST_END_TEST;

static void
expect_refused (int from, size_t size, gboolean sealed, const gchar *word)
{
  errno = 0;
  fail_if (helix_shm_open (&taker, from, size, sealed, &why), "%s", word);
  fail_unless (errno != 0);
  fail_unless (why && strstr (why, word), "'%s' lacks '%s'", why, word);
  helix_shm_close (&taker); /* which does nothing */
}

GST_START_TEST (test_hostile_descriptors)
{
  static const gchar *const names[] = {"/dev/zero", "/tmp", "/dev/ptmx"};
  int fds[2];

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    fd = open (names[i], O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 && i == 2)
      continue; /* not in every container */
    expect_refused (fd, 1, FALSE, "not memory");
    expect_refused (fd, SIZE, TRUE, "not memory");
    fd = helix_close (fd);
  }
  expect_refused (1000, SIZE, FALSE, "cannot be examined"); /* not open */
  for (int sockets = 0; sockets < 2; sockets++) {
    fail_unless_equals_int (
        sockets ? socketpair (AF_UNIX, SOCK_STREAM, 0, fds) : pipe (fds), 0);
    expect_refused (fds[0], SIZE, FALSE, "not memory");
    close (fds[0]);
    close (fds[1]);
  }
}

GST_END_TEST;

#ifdef HELIX_SHM_NO_SEALS
/* A file is never mapped: what was cut off is an error. */
GST_START_TEST (test_file)
{
  g_autofree gchar *name = NULL;
  int writer;

  fd = g_file_open_tmp ("helix-XXXXXX", &name, NULL);
  fail_unless_equals_int (ftruncate (fd, SIZE), 0);
  expect_refused (fd, SIZE, TRUE, "no sealed memory");
  expect_refused (fd, 0, FALSE, "no size");
  expect_refused (fd, SIZE + 1, FALSE, "smaller");
  expect_refused (fd, G_MAXSIZE, FALSE, "no size");
  expect_taken (fd, SIZE);
  fail_unless_equals_int (pwrite (fd, "new", 3, SIZE / 2), 3);
  fail_unless_equals_int (helix_shm_fetch (&taker, SIZE / 2, 3), 0);
  fail_unless (memcmp (taker.bytes + SIZE / 2, "new", 3) == 0);
  /* Cut off under it: what was read stays, the rest is an error. */
  fail_unless_equals_int (ftruncate (fd, SIZE / 2 + 1), 0);
  expect_errno (helix_shm_fetch (&taker, SIZE / 2, 3), EPROTO);
  fail_unless (memcmp (taker.bytes + SIZE / 2, "new", 3) == 0);
  fail_unless_equals_int (helix_shm_fetch (&taker, 0, SIZE / 2), 0);
  helix_shm_close (&taker);
  /* Not to be read at all. */
  writer = open (name, O_WRONLY | O_CLOEXEC);
  expect_taken (writer, 1);
  expect_errno (helix_shm_fetch (&taker, 0, 1), EBADF);
  helix_shm_close (&taker);
  close (writer);
  g_unlink (name);
}

GST_END_TEST;

/* POSIX shared memory; where that is forbidden, a file that is unlinked
 * already. Neither is sealed, both are read-only for the client. */
GST_START_TEST (test_fallbacks)
{
  g_autofree gchar *dir = g_dir_make_tmp ("helix-XXXXXX", NULL);

  fail_if (helix_shm_is_sealed ());
  g_setenv ("TMPDIR", dir, TRUE);
  for (forbid_shm = FALSE; forbid_shm <= TRUE; forbid_shm++) {
    create ();
    expect_read_only (fd);
    ((guint8 *) map)[SIZE - 1] = 9;
    expect_taken (fd, SIZE);
    fail_unless_equals_int (helix_shm_fetch (&taker, SIZE - 1, 1), 0);
    fail_unless_equals_int (taker.bytes[SIZE - 1], 9);
    helix_shm_close (&taker);
    fd = helix_close (fd);
    helix_shm_unmap (map, SIZE);
  }
  fail_unless_equals_int (g_rmdir (dir), 0); /* nothing was left in it */
  expect_no_memory (SIZE, ENOENT);
}

GST_END_TEST;
#endif

#ifdef SEALS
/* Each seal, and the pages, one after the other. */
GST_START_TEST (test_memfd)
{
  fd = memfd_create ("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  fail_unless_equals_int (ftruncate (fd, SIZE), 0);
  expect_refused (fd, SIZE, FALSE, "not sealed");
  fail_unless_equals_int (errno, EPERM);
  expect_refused (fd, SIZE, TRUE, "F_SEAL_SHRINK");
  fail_unless_equals_int (errno, EPROTO);
  expect_refused (fd, 0, FALSE, "no size");
  expect_refused (fd, G_MAXSIZE, FALSE, "no size");
  fail_unless_equals_int (fcntl (fd, F_ADD_SEALS, F_SEAL_GROW), 0);
  expect_refused (fd, SIZE, TRUE, "F_SEAL_SHRINK");
  fail_unless_equals_int (fcntl (fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
  expect_refused (fd, SIZE, TRUE, "F_SEAL_FUTURE_WRITE");
  /* A kernel without such a seal cannot give it. */
  old_kernel = TRUE;
  expect_refused (fd, SIZE, TRUE, "not all its pages");
  old_kernel = FALSE;
  /* A process that gets no memfd cannot try whether the kernel has it. */
  forbid_memfd = TRUE;
  expect_refused (fd, SIZE, TRUE, "F_SEAL_FUTURE_WRITE");
  forbid_memfd = FALSE;
  /* Pages behind what is announced do not stand for those before. */
  fail_unless_equals_int (posix_fallocate (fd, SIZE / 2, SIZE / 2), 0);
  fail_unless_equals_int (fcntl (fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), 0);
  expect_refused (fd, SIZE / 2, TRUE, "not all its pages");
  fail_unless_equals_int (posix_fallocate (fd, 0, SIZE / 2), 0);
  expect_refused (fd, SIZE + 4096, TRUE, "smaller");
  expect_taken (fd, SIZE - 4096);
  helix_shm_close (&taker);
}

GST_END_TEST;

/* Before Linux 5.1 there is no seal against writing; a descriptor opened for
 * reading does it then. */
GST_START_TEST (test_old_kernel)
{
  old_kernel = TRUE;
  create ();
  fail_if (fcntl (fd, F_GET_SEALS) & F_SEAL_FUTURE_WRITE);
  expect_read_only (fd);
  fail_unless_equals_int (helix_shm_populate (map, SIZE), 0);
  expect_taken (fd, SIZE);
  helix_shm_close (&taker);
}

GST_END_TEST;

/* Where memfd is forbidden there is no memory that a client would take. */
GST_START_TEST (test_no_memfd)
{
  forbid_memfd = TRUE;
  expect_no_memory (SIZE, EPERM);
}

GST_END_TEST;
#endif

GST_START_TEST (test_impossible_sizes)
{
  struct rlimit limit, small;

  expect_no_memory (0, EINVAL);
  expect_no_memory (G_MAXSIZE, EINVAL);
  /* More than may be written: an error, and no signal that no code expects. */
  signal (SIGXFSZ, SIG_IGN);
  fail_unless_equals_int (getrlimit (RLIMIT_FSIZE, &limit), 0);
  small = limit;
  small.rlim_cur = 4096;
  fail_unless_equals_int (setrlimit (RLIMIT_FSIZE, &small), 0);
  expect_no_memory (SIZE, 0);
  fail_unless_equals_int (setrlimit (RLIMIT_FSIZE, &limit), 0);
}

GST_END_TEST;

/* No descriptor left: an error, nothing leaks, and it works again later. */
GST_START_TEST (test_out_of_descriptors)
{
  struct rlimit limit, small;

  fail_unless_equals_int (getrlimit (RLIMIT_NOFILE, &limit), 0);
  for (guint room = 0; room < 2; room++) {
    small = limit;
    small.rlim_cur = before + room;
    fail_unless_equals_int (setrlimit (RLIMIT_NOFILE, &small), 0);
    if (helix_shm_create (SIZE, &map, &fd) < 0) {
      fail_unless_equals_int (errno, EMFILE);
      fail_unless (map == NULL && fd == -1);
    }
    fd = helix_close (fd);
    helix_shm_unmap (map, SIZE);
    fail_unless_equals_int (setrlimit (RLIMIT_NOFILE, &limit), 0);
    fail_unless_equals_int (test_count_fds (), before);
  }
  create ();
}

GST_END_TEST;

static Suite *
helix_shm_suite (void)
{
  Suite *suite = suite_create ("helix-shm");
  TCase *tc = tcase_create ("memory");

  tcase_set_timeout (tc, 60);
  suite_add_tcase (suite, tc);
  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_add_test (tc, test_give_and_take);
  tcase_add_test (tc, test_client_cannot_write);
  tcase_add_test (tc, test_hostile_descriptors);
#ifdef HELIX_SHM_NO_SEALS
  tcase_add_test (tc, test_file);
  tcase_add_test (tc, test_fallbacks);
#endif
#ifdef SEALS
  tcase_add_test (tc, test_memfd);
  tcase_add_test (tc, test_old_kernel);
  tcase_add_test (tc, test_no_memfd);
#endif
  tcase_add_test (tc, test_impossible_sizes);
  tcase_add_test (tc, test_out_of_descriptors);
  return suite;
}

GST_CHECK_MAIN (helix_shm);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A stand-in for /dev/udmabuf, to be preloaded into QEMU where the host's
 * kernel has none: without the device QEMU refuses blob=true.
 *
 * The driver makes one dma-buf of scattered pages of memfds. A descriptor
 * cannot be made to do that from outside the kernel, but a mapping can: what
 * UDMABUF_CREATE_LIST returns here is an empty memfd that stands for the list,
 * and mapping it maps the pages of the list one behind the other.
 */
#undef _FILE_OFFSET_BITS /* QEMU has it: open is open64 there, mmap mmap64 */
#undef _FORTIFY_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/udmabuf.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define EXPORT __attribute__ ((visibility ("default")))
#define MAX_BUFFERS 256

/* The descriptors that stand for lists; fd -1 = free. */
static struct buffer {
  int fd;
  struct udmabuf_create_list *list; /* its memfds are duplicates of ours */
} buffers[MAX_BUFFERS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int device = -1;

int open64 (const char *path, int flags, ...) EXPORT;
int __open64_2 (const char *path, int flags) EXPORT;
int ioctl (int fd, unsigned long request, ...) EXPORT;
void *mmap64 (void *, size_t, int, int, int, off64_t) EXPORT;
int close (int fd) EXPORT;

static int
real_open (const char *path, int flags, mode_t mode)
{
  if (strcmp (path, "/dev/udmabuf") != 0)
    return openat (AT_FDCWD, path, flags, mode);
  device = memfd_create ("fake-udmabuf", MFD_CLOEXEC);
  return device;
}

int
open64 (const char *path, int flags, ...)
{
  mode_t mode = 0;
  va_list args;

  va_start (args, flags);
  if (flags & (O_CREAT | O_TMPFILE))
    mode = (mode_t) va_arg (args, int);
  va_end (args);
  return real_open (path, flags | O_LARGEFILE, mode);
}

int
__open64_2 (const char *path, int flags)
{
  return real_open (path, flags | O_LARGEFILE, 0);
}

/* The real function of that name. */
static void *
next (const char *name)
{
  void *function = dlsym (RTLD_NEXT, name);

  if (function == NULL)
    abort ();
  return function;
}

static void
free_list (struct udmabuf_create_list *list)
{
  int (*real_close) (int) = next ("close");

  for (uint32_t i = 0; i < list->count; i++)
    real_close ((int) list->list[i].memfd);
  free (list);
}

static int
create (const struct udmabuf_create_list *wanted)
{
  size_t size = sizeof *wanted + wanted->count * sizeof wanted->list[0];
  struct udmabuf_create_list *list = malloc (size);
  int fd = memfd_create ("fake-dma-buf", MFD_CLOEXEC);

  if (list == NULL || fd < 0)
    return -1;
  memcpy (list, wanted, size);
  for (uint32_t i = 0; i < list->count; i++)
    list->list[i].memfd =
        (uint32_t) fcntl ((int) wanted->list[i].memfd, F_DUPFD_CLOEXEC, 3);
  pthread_mutex_lock (&lock);
  for (int i = 0; i < MAX_BUFFERS; i++) {
    if (buffers[i].list == NULL) {
      buffers[i] = (struct buffer){.fd = fd, .list = list};
      list = NULL;
      break;
    }
  }
  pthread_mutex_unlock (&lock);
  if (list != NULL) {
    free_list (list);
    close (fd);
    errno = ENOMEM;
    return -1;
  }
  return fd;
}

int
ioctl (int fd, unsigned long request, ...)
{
  int (*real_ioctl) (int, unsigned long, ...) = next ("ioctl");
  va_list args;
  void *argument;

  va_start (args, request);
  argument = va_arg (args, void *);
  va_end (args);
  if (fd == device && fd >= 0 && request == UDMABUF_CREATE_LIST)
    return create (argument);
  return real_ioctl (fd, request, argument);
}

/* The pages of the list that `fd` stands for, one behind the other. */
static void *
map_list (const struct udmabuf_create_list *list, size_t length, int prot)
{
  void *(*real_mmap) (void *, size_t, int, int, int, off64_t) = next ("mmap64");
  uint8_t *start =
      real_mmap (NULL, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  size_t at = 0;

  if (start == MAP_FAILED)
    return start;
  for (uint32_t i = 0; i < list->count && at < length; i++) {
    const struct udmabuf_create_item *item = &list->list[i];

    if (real_mmap (start + at, item->size, prot, MAP_SHARED | MAP_FIXED,
            (int) item->memfd, (off64_t) item->offset)
        == MAP_FAILED)
      abort ();
    at += item->size;
  }
  return start;
}

void *
mmap64 (
    void *address, size_t length, int prot, int flags, int fd, off64_t offset)
{
  void *(*real_mmap) (void *, size_t, int, int, int, off64_t) = next ("mmap64");
  void *mapped = NULL;

  pthread_mutex_lock (&lock);
  for (int i = 0; fd >= 0 && i < MAX_BUFFERS; i++)
    if (buffers[i].list != NULL && buffers[i].fd == fd)
      mapped = map_list (buffers[i].list, length, prot);
  pthread_mutex_unlock (&lock);
  return mapped != NULL ? mapped
                        : real_mmap (address, length, prot, flags, fd, offset);
}

int
close (int fd)
{
  int (*real_close) (int) = next ("close");
  struct udmabuf_create_list *list = NULL;

  pthread_mutex_lock (&lock);
  for (int i = 0; fd >= 0 && i < MAX_BUFFERS; i++) {
    if (buffers[i].list != NULL && buffers[i].fd == fd) {
      list = buffers[i].list;
      buffers[i].list = NULL;
    }
  }
  pthread_mutex_unlock (&lock);
  if (list != NULL)
    free_list (list);
  return real_close (fd);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Preloaded into what is measured: counts allocations of frame size, from the
 * heap and as mappings, in the file that $HELIX_BENCH_ALLOC names: two 64-bit
 * words, how many and how many bytes. What glibc maps to serve an allocation
 * does not pass here again, so nothing is counted twice.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Smaller than any plane of a picture here, larger than what the pipeline
 * itself works with. Bytes. */
#define LARGE (64u * 1024u)

#define PUBLIC __attribute__ ((visibility ("default")))

/* glibc's own, which need no dlsym: that one allocates. */
void *__libc_malloc (size_t size);
void *__libc_calloc (size_t n, size_t size);
void *__libc_realloc (void *memory, size_t size);
void *__libc_memalign (size_t alignment, size_t size);

PUBLIC void *memalign (size_t alignment, size_t size);

static uint64_t *counters;

static void *(*real_mmap) (void *, size_t, int, int, int, off_t);

static void __attribute__ ((constructor)) begin (void)
{
  const char *path = getenv ("HELIX_BENCH_ALLOC");
  int fd = path ? open (path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
  void *map;

  *(void **) &real_mmap = dlsym (RTLD_NEXT, "mmap");
  if (fd < 0)
    return;
  if (ftruncate (fd, 2 * sizeof (uint64_t)) == 0) {
    map = real_mmap (
        NULL, 2 * sizeof (uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map != MAP_FAILED)
      counters = map;
  }
  close (fd);
}

static void
count (size_t size)
{
  if (size < LARGE || !counters)
    return;
  __atomic_fetch_add (&counters[0], 1, __ATOMIC_RELAXED);
  __atomic_fetch_add (&counters[1], size, __ATOMIC_RELAXED);
}

PUBLIC void *
malloc (size_t size)
{
  count (size);
  return __libc_malloc (size);
}

PUBLIC void *
calloc (size_t n, size_t size)
{
  size_t bytes;

  if (!__builtin_mul_overflow (n, size, &bytes))
    count (bytes);
  return __libc_calloc (n, size);
}

PUBLIC void *
realloc (void *memory, size_t size)
{
  count (size);
  return __libc_realloc (memory, size);
}

PUBLIC void *
memalign (size_t alignment, size_t size)
{
  count (size);
  return __libc_memalign (alignment, size);
}

PUBLIC void *
aligned_alloc (size_t alignment, size_t size)
{
  return memalign (alignment, size);
}

PUBLIC int
posix_memalign (void **memory, size_t alignment, size_t size)
{
  if (alignment % sizeof (void *) || alignment & (alignment - 1))
    return EINVAL;
  *memory = memalign (alignment, size);
  return *memory ? 0 : ENOMEM;
}

PUBLIC void *
mmap (void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
  if (!real_mmap)
    *(void **) &real_mmap = dlsym (RTLD_NEXT, "mmap");
  count (size);
  return real_mmap (at, size, protection, flags, fd, offset);
}

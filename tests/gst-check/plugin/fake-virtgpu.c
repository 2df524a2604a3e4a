/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake-virtgpu.h"

#include <errno.h>
#include <fcntl.h>
#include <gst/check/gstcheck.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <virtgpu_drm.h>
#include <xf86drm.h>

#include "helix-virtgpu.h"

FakeVirtgpu fake_virtgpu;

/* A handle says which buffer it is of, and is no resource id. */
#define HANDLE(buffer) ((buffer) + 500)

static gboolean
fails (FakeStep step)
{
  errno = fake_virtgpu.problem;
  return fake_virtgpu.fails == step;
}

static int
fake_open (const char *path, int flags)
{
  g_autofree gchar *only =
      g_strdup_printf ("/dev/dri/renderD%u", fake_virtgpu.only_minor);

  fail_unless (flags & O_CLOEXEC);
  if (strcmp (path, only) != 0) {
    errno = ENOENT;
    return -1;
  }
  return fails (FAKE_STEP_OPEN) ? -1 : open ("/dev/null", flags);
}

static int
version (struct drm_version *version)
{
  gsize size = MIN (version->name_len, strlen (fake_virtgpu.driver));

  if (fails (FAKE_STEP_VERSION))
    return -1;
  memcpy (version->name, fake_virtgpu.driver, size);
  return 0;
}

static int
import (struct drm_prime_handle *prime)
{
  struct stat status;

  if (fails (FAKE_STEP_IMPORT))
    return -1;
  fail_unless (fstat (prime->fd, &status) == 0);
  prime->handle = HANDLE ((guint32) status.st_size);
  fake_virtgpu.open_handles++;
  return 0;
}

static int
info (struct drm_virtgpu_resource_info *info)
{
  if (fails (FAKE_STEP_INFO))
    return -1;
  info->res_handle =
      fake_virtgpu.no_id ? 0 : FAKE_RESOURCE (info->bo_handle - HANDLE (0));
  return 0;
}

static int
fake_ioctl (int fd, unsigned long request, void *argument)
{
  fake_virtgpu.ioctls++;
  switch (request) {
    case DRM_IOCTL_VERSION:
      return version (argument);
    case DRM_IOCTL_PRIME_FD_TO_HANDLE:
      return import (argument);
    case DRM_IOCTL_VIRTGPU_RESOURCE_INFO:
      return info (argument);
    case DRM_IOCTL_GEM_CLOSE:
      fail_unless (((struct drm_gem_close *) argument)->handle >= HANDLE (0));
      fake_virtgpu.open_handles--;
      return fails (FAKE_STEP_CLOSE) ? -1 : 0;
    default:
      fail ("an unexpected ioctl: %#lx", request);
      return -1;
  }
}

static int
fake_identify (int fd, guint64 *device, guint64 *inode)
{
  struct stat status;

  if (fails (FAKE_STEP_IDENTIFY) || fstat (fd, &status) < 0)
    return -1;
  *device = 1;
  *inode = (guint64) status.st_size;
  return 0;
}

void
fake_virtgpu_install (void)
{
  static const HelixVirtgpuSystem fake = {fake_open, fake_ioctl, fake_identify};

  fake_virtgpu = (FakeVirtgpu){.driver = "virtio_gpu", .only_minor = 128};
  helix_virtgpu_system = &fake;
}

gint
fake_virtgpu_dmabuf (guint buffer)
{
  gint fd = memfd_create ("dma-buf", MFD_CLOEXEC);

  fail_unless (fd >= 0);
  fail_unless (ftruncate (fd, buffer) == 0);
  return fd;
}

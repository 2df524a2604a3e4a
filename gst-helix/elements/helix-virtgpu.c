/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-virtgpu.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <virtgpu_drm.h>
#include <xf86drm.h>

GST_DEBUG_CATEGORY_STATIC (helix_virtgpu_debug);
#define GST_CAT_DEFAULT helix_virtgpu_debug

#define DRIVER "virtio_gpu"

/* Minor numbers of render nodes (drm.h knows no name for them). */
#define FIRST_NODE 128
#define LAST_NODE 191

/* A compositor cycles through a handful of buffers. */
#define CACHED 32
/* Inodes of DMA-BUFs before Linux 5.18 are numbers of 32 bits that come round
 * again: not within that time. */
#define CACHED_NS G_GUINT64_CONSTANT (1000000000)

typedef struct {
  guint64 device, inode;
  guint64 asked;       /* when; 0: empty */
  guint32 resource_id; /* 0: it is none, because: */
  const gchar *step;   /* this ioctl failed, */
  gint problem;        /* with this errno */
} Cached;

struct _HelixVirtgpu {
  gchar *path;
  gint fd;
  guint64 lookups;
  Cached cache[CACHED];
};

static int
open_node (const char *path, int flags)
{
  return open (path, flags);
}

static int
identify (int fd, guint64 *device, guint64 *inode)
{
  struct stat status;

  if (fstat (fd, &status) < 0)
    return -1;
  *device = status.st_dev;
  *inode = status.st_ino;
  return 0;
}

static const HelixVirtgpuSystem kernel = {open_node, drmIoctl, identify};
const HelixVirtgpuSystem *helix_virtgpu_system = &kernel;

/* Opens a node. Another driver's: -1 and errno ENODEV. */
static gint
try_node (const gchar *path)
{
  gchar name[32] = "";
  struct drm_version version = {.name = name, .name_len = sizeof name - 1};
  gint fd = helix_virtgpu_system->open (path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
  gint problem;

  if (fd < 0)
    return -1;
  if (helix_virtgpu_system->ioctl (fd, DRM_IOCTL_VERSION, &version) == 0) {
    if (strcmp (name, DRIVER) == 0)
      return fd;
    errno = ENODEV;
  } else if (errno == ENOTTY) {
    errno = ENODEV; /* no GPU at all */
  }
  problem = errno;
  close (fd);
  errno = problem;
  return -1;
}

/* The first of its kind; *path is the caller's. Of several reasons for its
 * absence, a missing permission counts. */
static gint
find_node (gchar **path)
{
  gint problem = ENOENT;

  for (guint minor = FIRST_NODE; minor <= LAST_NODE; minor++) {
    gint fd;

    *path = g_strdup_printf ("/dev/dri/renderD%u", minor);
    fd = try_node (*path);
    if (fd >= 0)
      return fd;
    if (errno == EACCES || errno == EPERM) {
      problem = errno;
      break;
    }
    if (errno != ENOENT)
      problem = errno;
    g_clear_pointer (path, g_free);
  }
  errno = problem;
  return -1;
}

static void
explain (const gchar *path, gint problem, GError **error)
{
  gint code = GST_RESOURCE_ERROR_NOT_FOUND;
  const gchar *remedy = "This element is for a program inside a virtual "
                        "machine that has a virtio-gpu device";

  if (problem == EACCES || problem == EPERM) {
    code = GST_RESOURCE_ERROR_NOT_AUTHORIZED;
    remedy = "Add the user to the group that the file belongs to (render, "
             "video)";
  }
  if (problem == ENODEV || (path == NULL && problem == ENOENT))
    g_set_error (error, GST_RESOURCE_ERROR, code,
        "%s is no render node of virtio-gpu. %s.",
        path != NULL ? path : "None of /dev/dri/renderD128 to 191", remedy);
  else
    g_set_error (error, GST_RESOURCE_ERROR, code,
        "Cannot open the GPU's render node %s: %s. %s.",
        path != NULL ? path : "/dev/dri/renderD128 to 191",
        g_strerror (problem), remedy);
}

HelixVirtgpu *
helix_virtgpu_new (const gchar *device, GError **error)
{
  g_autofree gchar *path = g_strdup (device);
  HelixVirtgpu *self;
  gint fd;

  GST_DEBUG_CATEGORY_INIT (
      helix_virtgpu_debug, "helixvirtgpu", 0, "resource ids of DMA-BUFs");
  fd = device != NULL ? try_node (path) : find_node (&path);
  if (fd < 0) {
    explain (path, errno, error);
    return NULL;
  }
  self = g_new0 (HelixVirtgpu, 1);
  GST_INFO ("resources of %s", path);
  self->path = g_steal_pointer (&path);
  self->fd = fd;
  return self;
}

void
helix_virtgpu_free (HelixVirtgpu *self)
{
  if (self == NULL)
    return;
  close (self->fd);
  g_free (self->path);
  g_free (self);
}

/* Asks the kernel; the answer goes into `cached`. */
static void
look_up (HelixVirtgpu *self, gint dmabuf, Cached *cached)
{
  struct drm_prime_handle prime = {.fd = dmabuf};
  struct drm_virtgpu_resource_info info = {0};
  struct drm_gem_close gem = {0};

  self->lookups++;
  cached->resource_id = 0;
  cached->step = "PRIME_FD_TO_HANDLE";
  if (helix_virtgpu_system->ioctl (
          self->fd, DRM_IOCTL_PRIME_FD_TO_HANDLE, &prime)
      < 0) {
    cached->problem = errno;
    return;
  }
  info.bo_handle = gem.handle = prime.handle;
  cached->step = "VIRTGPU_RESOURCE_INFO";
  if (helix_virtgpu_system->ioctl (
          self->fd, DRM_IOCTL_VIRTGPU_RESOURCE_INFO, &info)
      < 0)
    cached->problem = errno;
  else if (info.res_handle == 0)
    cached->problem = ENOENT; /* without an id the host does not know it */
  else
    cached->resource_id = info.res_handle;
  if (helix_virtgpu_system->ioctl (self->fd, DRM_IOCTL_GEM_CLOSE, &gem) < 0)
    GST_WARNING ("%s: GEM_CLOSE of handle %u: %s", self->path, gem.handle,
        g_strerror (errno));
}

/* The entry of a buffer, else the oldest, emptied. */
static Cached *
find_cached (HelixVirtgpu *self, guint64 device, guint64 inode)
{
  Cached *oldest = &self->cache[0];

  for (guint i = 0; i < CACHED; i++) {
    Cached *cached = &self->cache[i];

    if (cached->asked != 0 && cached->inode == inode
        && cached->device == device)
      return cached;
    if (cached->asked < oldest->asked)
      oldest = cached;
  }
  oldest->asked = 0;
  oldest->device = device;
  oldest->inode = inode;
  return oldest;
}

guint32
helix_virtgpu_find (
    HelixVirtgpu *self, gint dmabuf, guint64 now, GError **error)
{
  guint64 device, inode;
  Cached *cached;

  if (helix_virtgpu_system->identify (dmabuf, &device, &inode) < 0) {
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_READ,
        "A buffer's DMA-BUF descriptor %d cannot be used: %s.", dmabuf,
        g_strerror (errno));
    return 0;
  }
  cached = find_cached (self, device, inode);
  if (cached->asked == 0 || now - cached->asked >= CACHED_NS) {
    look_up (self, dmabuf, cached);
    cached->asked = now;
  }
  if (cached->resource_id == 0)
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
        "A DMA-BUF is no resource of the virtio-gpu at %s (%s: %s). It may "
        "be a buffer of another driver, or of another GPU.",
        self->path, cached->step, g_strerror (cached->problem));
  return cached->resource_id;
}

guint64
helix_virtgpu_lookups (const HelixVirtgpu *self)
{
  return self->lookups;
}

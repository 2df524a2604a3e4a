/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The virtio-gpu resource of a DMA-BUF, as the guest's kernel knows it. The
 * GEM handle on the way there is not the resource id, and is closed again at
 * once: an open handle would keep the buffer alive for ever.
 *
 * Results are cached for a second by the buffer's inode, which is unique while
 * the buffer lives, so that a frame costs one fstat. Linux only. Thread: one.
 */
#ifndef HELIX_VIRTGPU_H
#define HELIX_VIRTGPU_H

#include <gst/gst.h>

G_BEGIN_DECLS

typedef struct _HelixVirtgpu HelixVirtgpu;

/* The system calls that it uses, each as the call of that name. */
typedef struct {
  int (*open) (const char *path, int flags);
  int (*ioctl) (int fd, unsigned long request, void *argument);
  /* Tells one DMA-BUF from another. */
  int (*identify) (int fd, guint64 *device, guint64 *inode);
} HelixVirtgpuSystem;

/* The real one, unless a test replaces it. */
extern const HelixVirtgpuSystem *helix_virtgpu_system;

/* Opens the render node `device`, NULL = the first one of virtio-gpu. NULL
 * and an error for GST_ELEMENT_ERROR. */
HelixVirtgpu *helix_virtgpu_new (const gchar *device, GError **error);
void helix_virtgpu_free (HelixVirtgpu *self);

/* The resource id of a DMA-BUF; `now` as helix_now_ns (). 0 and an error: it is
 * none of this GPU's. */
guint32 helix_virtgpu_find (
    HelixVirtgpu *self, gint dmabuf, guint64 now, GError **error);

/* How often the kernel was asked. */
guint64 helix_virtgpu_lookups (const HelixVirtgpu *self);

G_END_DECLS

#endif /* HELIX_VIRTGPU_H */

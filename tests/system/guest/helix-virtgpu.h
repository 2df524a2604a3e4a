/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What libdrm's copy of the virtio-gpu interface lacks before 2.4.115: blob
 * resources (Linux 5.11, include/uapi/drm/virtgpu_drm.h).
 */
#ifndef HELIX_VIRTGPU_H
#define HELIX_VIRTGPU_H

#include <stdint.h>
#include <virtgpu_drm.h>
#include <xf86drm.h>

#ifndef DRM_VIRTGPU_RESOURCE_CREATE_BLOB
#define DRM_VIRTGPU_RESOURCE_CREATE_BLOB 0x0a
#define VIRTGPU_BLOB_MEM_GUEST 0x0001
#define VIRTGPU_BLOB_FLAG_USE_MAPPABLE 0x0001

struct drm_virtgpu_resource_create_blob {
  uint32_t blob_mem;   /* where its memory is */
  uint32_t blob_flags; /* what it will be used for */
  uint32_t bo_handle;  /* out: GEM handle */
  uint32_t res_handle; /* out: virtio-gpu resource id */
  uint64_t size;       /* bytes, whole pages */
  uint32_t pad;        /* 0 */
  uint32_t cmd_size;   /* bytes of 3D commands: none here */
  uint64_t cmd;
  uint64_t blob_id;
};

#define DRM_IOCTL_VIRTGPU_RESOURCE_CREATE_BLOB \
  DRM_IOWR (DRM_COMMAND_BASE + DRM_VIRTGPU_RESOURCE_CREATE_BLOB, \
      struct drm_virtgpu_resource_create_blob)
#endif

#endif /* HELIX_VIRTGPU_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-buffer.h"

#include <errno.h>
#include <sys/mman.h>
#include <drm_fourcc.h>

#include "helix-marker.h"
#include "helix-picture.h"
#include "helix-virtgpu.h"

static off_t
create_dumb (int fd, struct helix_buffer *b)
{
  struct drm_mode_create_dumb create = {
      .width = b->width, .height = b->height, .bpp = 32};
  struct drm_mode_map_dumb map = {0};

  if (drmIoctl (fd, DRM_IOCTL_MODE_CREATE_DUMB, &create) != 0)
    helix_die ("cannot create a %ux%u dumb buffer", b->width, b->height);
  b->handle = map.handle = create.handle;
  b->stride = create.pitch;
  b->size = create.size;
  if (drmIoctl (fd, DRM_IOCTL_MODE_MAP_DUMB, &map) != 0)
    helix_die ("cannot map the dumb buffer");
  return (off_t) map.offset;
}

static off_t
create_blob (int fd, struct helix_buffer *b)
{
  struct drm_virtgpu_resource_create_blob create = {
      .blob_mem = VIRTGPU_BLOB_MEM_GUEST,
      .blob_flags = VIRTGPU_BLOB_FLAG_USE_MAPPABLE,
  };
  struct drm_virtgpu_map map = {0};

  b->stride = b->width * 4;
  b->size = ((size_t) b->stride * b->height + 4095) & ~(size_t) 4095;
  create.size = b->size;
  if (drmIoctl (fd, DRM_IOCTL_VIRTGPU_RESOURCE_CREATE_BLOB, &create) != 0)
    helix_die ("cannot create a blob of %zu bytes", b->size);
  b->handle = map.handle = create.bo_handle;
  if (drmIoctl (fd, DRM_IOCTL_VIRTGPU_MAP, &map) != 0)
    helix_die ("cannot map the blob");
  return (off_t) map.offset;
}

void
helix_buffer_new (struct helix_kms *kms, struct helix_buffer *b, uint32_t width,
    uint32_t height, bool blob)
{
  struct drm_virtgpu_resource_info info = {0};
  uint32_t handles[4] = {0}, strides[4] = {0}, offsets[4] = {0};
  off_t offset;

  *b = (struct helix_buffer){.width = width, .height = height};
  offset = (blob ? create_blob : create_dumb) (kms->fd, b);
  b->pixels =
      mmap (NULL, b->size, PROT_READ | PROT_WRITE, MAP_SHARED, kms->fd, offset);
  if (b->pixels == MAP_FAILED)
    helix_die ("cannot map %zu bytes of pixels", b->size);
  handles[0] = b->handle;
  strides[0] = b->stride;
  if (drmModeAddFB2 (kms->fd, width, height, DRM_FORMAT_XRGB8888, handles,
          strides, offsets, &b->fb, 0)
      != 0)
    helix_die ("cannot make a framebuffer of the buffer");
  info.bo_handle = b->handle;
  if (drmIoctl (kms->fd, DRM_IOCTL_VIRTGPU_RESOURCE_INFO, &info) == 0)
    b->resource = info.res_handle;
}

void
helix_buffer_free (struct helix_kms *kms, struct helix_buffer *b)
{
  struct drm_gem_close gem = {.handle = b->handle};

  drmModeRmFB (kms->fd, b->fb);
  munmap (b->pixels, b->size);
  drmIoctl (kms->fd, DRM_IOCTL_GEM_CLOSE, &gem);
}

void
helix_buffer_fill (struct helix_buffer *b, uint32_t x, uint32_t y,
    uint32_t width, uint32_t height, uint32_t colour)
{
  for (uint32_t row = y; row < y + height; row++) {
    uint32_t *pixel = (uint32_t *) (b->pixels + (size_t) row * b->stride) + x;

    for (uint32_t i = 0; i < width; i++)
      pixel[i] = colour;
  }
}

void
helix_buffer_background (
    struct helix_buffer *b, uint32_t left, uint32_t width, uint32_t shift)
{
  helix_buffer_fill (b, left, 0, width, HELIX_BARS_TOP, 0xff000000);
  for (uint32_t bar = 0; bar < HELIX_BARS; bar++) {
    uint32_t x = helix_bar_left (bar, width);

    helix_buffer_fill (b, left + x, HELIX_BARS_TOP,
        helix_bar_left (bar + 1, width) - x, b->height - HELIX_BARS_TOP,
        0xff000000 | helix_bar_colour (bar, shift));
  }
}

void
helix_buffer_frame (struct helix_buffer *b, uint32_t left, uint32_t width,
    uint32_t number, drmModeClip clips[2])
{
  uint32_t box = helix_box_left (number, width);

  helix_marker_draw (b->pixels + (size_t) left * 4, b->stride, number);
  helix_buffer_fill (b, left, HELIX_STRIP_TOP, width,
      HELIX_BARS_TOP - HELIX_STRIP_TOP, 0xff000000);
  helix_buffer_fill (b, left + box, HELIX_STRIP_TOP, HELIX_BOX_WIDTH,
      HELIX_BARS_TOP - HELIX_STRIP_TOP, 0xffffffff);
  clips[0] = (drmModeClip){.x1 = (uint16_t) left,
      .y1 = 0,
      .x2 = (uint16_t) (left + HELIX_MARKER_WIDTH),
      .y2 = HELIX_STRIP_TOP};
  clips[1] = (drmModeClip){.x1 = (uint16_t) left,
      .y1 = HELIX_STRIP_TOP,
      .x2 = (uint16_t) (left + width),
      .y2 = HELIX_BARS_TOP};
}

void
helix_buffer_flush (struct helix_kms *kms, struct helix_buffer *b,
    drmModeClip *clips, uint32_t count)
{
  int rc;

  do
    rc = drmModeDirtyFB (kms->fd, b->fb, clips, count);
  while (rc == -EINTR || rc == -EAGAIN);
  if (rc != 0) {
    errno = -rc;
    helix_die ("cannot flush the framebuffer");
  }
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-virgl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <drm_fourcc.h>

#include "helix-virtgpu.h"

/* src/virgl_hw.h */
#define FORMAT_B8G8R8X8 2u
#define TEXTURE_2D 2u
#define BIND_RENDER_TARGET (1u << 1)
#define BIND_SAMPLER_VIEW (1u << 3)
#define BIND_SCANOUT (1u << 18)
#define FLAG_Y_0_TOP (1u << 0)
/* src/virgl_protocol.h */
#define RESOURCE_INLINE_WRITE 9u
#define INLINE_WRITE_WORDS 11u
#define RESOURCE_COPY_REGION 17u
#define COPY_REGION_WORDS 13u

#define CAPSET_VIRGL2 2u
#define CAPSET_BYTES 4096u /* more than any version has */
#define SHORTEST_NAME 8u   /* characters of a renderer's name */

static void
call (int fd, unsigned long request, void *argument, const char *what)
{
  if (drmIoctl (fd, request, argument) != 0)
    helix_die ("the GPU cannot %s", what);
}

/* The name is at different places in different versions: it is the first text
 * among numbers and bits. */
static bool
find_text (const char *bytes, size_t count, char *name, size_t size)
{
  size_t length = 0;

  for (size_t i = 0; i < count; i++) {
    if (bytes[i] >= ' ' && bytes[i] <= '~') {
      length++;
      continue;
    }
    if (bytes[i] == '\0' && length >= SHORTEST_NAME) {
      length = length < size ? length : size - 1;
      memcpy (name, bytes + i - length, length);
      name[length] = '\0';
      return true;
    }
    length = 0;
  }
  return false;
}

bool
helix_virgl_renderer (int fd, char *name, size_t size)
{
  static char bytes[CAPSET_BYTES];
  int present = 0;
  struct drm_virtgpu_getparam param = {
      .param = VIRTGPU_PARAM_3D_FEATURES, .value = (uintptr_t) &present};
  struct drm_virtgpu_get_caps caps = {.cap_set_id = CAPSET_VIRGL2,
      .cap_set_ver = 1,
      .addr = (uintptr_t) bytes,
      .size = sizeof bytes};

  if (drmIoctl (fd, DRM_IOCTL_VIRTGPU_GETPARAM, &param) != 0 || present == 0)
    return false;
  if (drmIoctl (fd, DRM_IOCTL_VIRTGPU_GET_CAPS, &caps) != 0
      || !find_text (bytes, sizeof bytes, name, size))
    snprintf (name, size, "unknown");
  return true;
}

void
helix_virgl_texture_new (int fd, struct helix_virgl_texture *texture,
    uint32_t width, uint32_t height)
{
  struct drm_virtgpu_resource_create create = {.target = TEXTURE_2D,
      .format = FORMAT_B8G8R8X8,
      .bind = BIND_RENDER_TARGET | BIND_SAMPLER_VIEW | BIND_SCANOUT,
      .width = width,
      .height = height,
      .depth = 1,
      .array_size = 1,
      .flags = FLAG_Y_0_TOP,
      .size = width * height * 4,
      .stride = width * 4};

  call (fd, DRM_IOCTL_VIRTGPU_RESOURCE_CREATE, &create, "make a texture");
  *texture = (struct helix_virgl_texture){
      create.bo_handle, create.res_handle, width, height};
}

void
helix_virgl_upload (
    int fd, const struct helix_virgl_texture *texture, const uint32_t *pixels)
{
  size_t bytes = (size_t) texture->width * texture->height * 4;
  struct drm_virtgpu_map map = {.handle = texture->handle};
  struct drm_virtgpu_3d_transfer_to_host transfer = {
      .bo_handle = texture->handle,
      .box = {.w = texture->width, .h = texture->height, .d = 1}};
  struct drm_virtgpu_3d_wait wait = {.handle = texture->handle};
  void *memory;

  call (fd, DRM_IOCTL_VIRTGPU_MAP, &map, "map a texture's memory");
  memory = mmap (
      NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t) map.offset);
  if (memory == MAP_FAILED)
    helix_die ("cannot map %zu bytes of pixels", bytes);
  memcpy (memory, pixels, bytes);
  call (fd, DRM_IOCTL_VIRTGPU_TRANSFER_TO_HOST, &transfer, "upload a texture");
  /* The kernel itself gives up after 15 s: a busy host may take longer. */
  while (drmIoctl (fd, DRM_IOCTL_VIRTGPU_WAIT, &wait) != 0)
    if (errno != EBUSY)
      helix_die ("the upload of a texture failed");
  munmap (memory, bytes);
}

uint32_t
helix_virgl_framebuffer (int fd, const struct helix_virgl_texture *texture)
{
  uint32_t handles[4] = {texture->handle}, strides[4] = {texture->width * 4};
  uint32_t offsets[4] = {0}, fb;

  if (drmModeAddFB2 (fd, texture->width, texture->height, DRM_FORMAT_XRGB8888,
          handles, strides, offsets, &fb, 0)
      != 0)
    helix_die ("cannot make a framebuffer of a texture");
  return fb;
}

/* Appends a command's header and the room for what follows it. */
static uint32_t *
append (struct helix_virgl_commands *commands, uint32_t command, uint32_t words)
{
  uint32_t at = commands->count;

  commands->count += 1 + words;
  if (commands->count > commands->room) {
    commands->room = commands->count;
    commands->words =
        realloc (commands->words, (size_t) commands->room * sizeof (uint32_t));
    if (commands->words == NULL)
      helix_die ("no memory for %u words of commands", commands->room);
  }
  commands->words[at] = command | words << 16;
  return &commands->words[at + 1];
}

void
helix_virgl_copy (struct helix_virgl_commands *commands,
    const struct helix_virgl_texture *to,
    const struct helix_virgl_texture *from)
{
  /* Each: resource, level, x, y, z; then the size. */
  const uint32_t words[COPY_REGION_WORDS] = {to->resource, 0, 0, 0, 0,
      from->resource, 0, 0, 0, 0, from->width, from->height, 1};

  memcpy (append (commands, RESOURCE_COPY_REGION, COPY_REGION_WORDS), words,
      sizeof words);
}

uint32_t *
helix_virgl_write (struct helix_virgl_commands *commands,
    const struct helix_virgl_texture *to, const struct helix_rect *rect)
{
  uint32_t stride = rect->width * 4;
  /* Resource, level, usage, stride, layer's stride, x, y, z, size. */
  const uint32_t words[INLINE_WRITE_WORDS] = {to->resource, 0, 0, stride,
      stride * rect->height, rect->x, rect->y, 0, rect->width, rect->height, 1};
  uint32_t *at = append (commands, RESOURCE_INLINE_WRITE,
      INLINE_WRITE_WORDS + rect->width * rect->height);

  memcpy (at, words, sizeof words);
  return at + INLINE_WRITE_WORDS;
}

void
helix_virgl_submit (int fd, struct helix_virgl_commands *commands)
{
  struct drm_virtgpu_execbuffer exec = {.command = (uintptr_t) commands->words,
      .size = commands->count * (uint32_t) sizeof (uint32_t),
      .fence_fd = -1};

  call (fd, DRM_IOCTL_VIRTGPU_EXECBUFFER, &exec, "take commands");
  commands->count = 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Draws the test picture with the CPU into a dumb buffer or a guest-memory
 * blob, and tells the kernel exactly what changed (DIRTYFB clips): what a
 * plain framebuffer desktop does. Several scanouts are shown as sub-rectangles
 * of one wide framebuffer, as guests do.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <drm_fourcc.h>

#include "helix-kms.h"
#include "helix-marker.h"
#include "helix-picture.h"
#include "helix-virtgpu.h"

/* linux/include/uapi/drm/drm_mode.h allows this many clips a call. */
#define MAX_CLIPS 256

struct options {
  const char *device;
  const char *go;         /* wait for this file after the first frame */
  int connector;          /* index of the first output */
  uint32_t width, height; /* of each scanout */
  uint32_t scanouts;
  uint32_t first, frames; /* marker of the first frame; how many */
  double rate;            /* frames a second, 0 = as fast as can be */
  uint32_t change_after;  /* frames, 0 = never */
  uint32_t change_width, change_height;
  uint32_t shift; /* of the bars */
  bool blob, hold;
};

struct surface {
  uint32_t handle, fb, resource; /* GEM handle, KMS id, virtio-gpu id */
  uint32_t width, height;        /* of one scanout */
  uint32_t stride;               /* bytes */
  size_t size;                   /* bytes */
  uint8_t *pixels;
};

static void
usage (FILE *out)
{
  fputs (
      "Usage: helix-draw-2d [options]\n"
      "  --device PATH           (default /dev/dri/card0)\n"
      "  --connector N           first output to use (default 0)\n"
      "  --mode WxH              of each scanout (default 800x600)\n"
      "  --scanouts N            side by side in one framebuffer\n"
      "  --first N               number of the first frame (default 1)\n"
      "  --frames N              (default 300)\n"
      "  --rate FPS              0 = no limit (default 30)\n"
      "  --mode-change-after N:WxH\n"
      "  --bars-shift N          scanout i shows the bars shifted by N + i\n"
      "  --buffer dumb|blob      (default dumb)\n"
      "  --go FILE               go on after the first frame when it exists\n"
      "  --hold                  keep the last picture until SIGTERM\n",
      out);
}

static void
parse (int argc, char **argv, struct options *o)
{
  static const struct option longopts[] = {{"device", 1, NULL, 'd'},
      {"connector", 1, NULL, 'c'}, {"mode", 1, NULL, 'm'},
      {"scanouts", 1, NULL, 's'}, {"first", 1, NULL, 'f'},
      {"frames", 1, NULL, 'n'}, {"rate", 1, NULL, 'r'},
      {"mode-change-after", 1, NULL, 'a'}, {"bars-shift", 1, NULL, 'b'},
      {"buffer", 1, NULL, 'u'}, {"go", 1, NULL, 'g'}, {"hold", 0, NULL, 'h'},
      {"help", 0, NULL, '?'}, {NULL, 0, NULL, 0}};
  int option;
  bool good = true;

  *o = (struct options){.device = "/dev/dri/card0",
      .width = 800,
      .height = 600,
      .scanouts = 1,
      .first = 1,
      .frames = 300,
      .rate = 30};
  while (
      good && (option = getopt_long (argc, argv, "", longopts, NULL)) != -1) {
    switch (option) {
      case 'd':
        o->device = optarg;
        break;
      case 'c':
        o->connector = atoi (optarg);
        break;
      case 'm':
        good = helix_parse_size (optarg, &o->width, &o->height);
        break;
      case 's':
        o->scanouts = (uint32_t) atoi (optarg);
        break;
      case 'f':
        o->first = (uint32_t) strtoul (optarg, NULL, 10);
        break;
      case 'n':
        o->frames = (uint32_t) strtoul (optarg, NULL, 10);
        break;
      case 'r':
        o->rate = atof (optarg);
        break;
      case 'a': {
        char *size = strchr (optarg, ':');

        o->change_after = (uint32_t) strtoul (optarg, NULL, 10);
        good = size != NULL
            && helix_parse_size (size + 1, &o->change_width, &o->change_height);
        break;
      }
      case 'b':
        o->shift = (uint32_t) atoi (optarg);
        break;
      case 'u':
        o->blob = strcmp (optarg, "blob") == 0;
        break;
      case 'g':
        o->go = optarg;
        break;
      case 'h':
        o->hold = true;
        break;
      default:
        good = false;
    }
  }
  good = good && optind == argc && o->scanouts >= 1 && o->scanouts <= 16
      && o->width >= HELIX_MARKER_WIDTH && o->height >= 64;
  if (good && o->change_after != 0)
    good = o->change_width >= HELIX_MARKER_WIDTH && o->change_height >= 64;
  if (!good) {
    usage (stderr);
    exit (2);
  }
}

static void
create_dumb (int fd, struct surface *s, uint32_t width, uint32_t height)
{
  struct drm_mode_create_dumb create = {
      .width = width, .height = height, .bpp = 32};
  struct drm_mode_map_dumb map = {0};

  if (drmIoctl (fd, DRM_IOCTL_MODE_CREATE_DUMB, &create) != 0)
    helix_die ("cannot create a %ux%u dumb buffer", width, height);
  s->handle = map.handle = create.handle;
  s->stride = create.pitch;
  s->size = create.size;
  if (drmIoctl (fd, DRM_IOCTL_MODE_MAP_DUMB, &map) != 0)
    helix_die ("cannot map the dumb buffer");
  s->pixels = mmap (NULL, s->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
      (off_t) map.offset);
}

static void
create_blob (int fd, struct surface *s, uint32_t width, uint32_t height)
{
  struct drm_virtgpu_resource_create_blob create = {
      .blob_mem = VIRTGPU_BLOB_MEM_GUEST,
      .blob_flags = VIRTGPU_BLOB_FLAG_USE_MAPPABLE,
  };
  struct drm_virtgpu_map map = {0};

  s->stride = width * 4;
  s->size = ((size_t) s->stride * height + 4095) & ~(size_t) 4095;
  create.size = s->size;
  if (drmIoctl (fd, DRM_IOCTL_VIRTGPU_RESOURCE_CREATE_BLOB, &create) != 0)
    helix_die ("cannot create a blob of %zu bytes", s->size);
  s->handle = map.handle = create.bo_handle;
  if (drmIoctl (fd, DRM_IOCTL_VIRTGPU_MAP, &map) != 0)
    helix_die ("cannot map the blob");
  s->pixels = mmap (NULL, s->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
      (off_t) map.offset);
}

static void
surface_new (struct helix_kms *kms, const struct options *o, struct surface *s,
    uint32_t width, uint32_t height)
{
  struct drm_virtgpu_resource_info info = {0};
  uint32_t handles[4] = {0}, strides[4] = {0}, offsets[4] = {0};

  *s = (struct surface){.width = width, .height = height};
  (o->blob ? create_blob : create_dumb) (
      kms->fd, s, width * o->scanouts, height);
  if (s->pixels == MAP_FAILED)
    helix_die ("cannot map %zu bytes of pixels", s->size);
  handles[0] = s->handle;
  strides[0] = s->stride;
  if (drmModeAddFB2 (kms->fd, width * o->scanouts, height, DRM_FORMAT_XRGB8888,
          handles, strides, offsets, &s->fb, 0)
      != 0)
    helix_die ("cannot make a framebuffer of the buffer");
  info.bo_handle = s->handle;
  if (drmIoctl (kms->fd, DRM_IOCTL_VIRTGPU_RESOURCE_INFO, &info) == 0)
    s->resource = info.res_handle;
}

static void
surface_free (struct helix_kms *kms, struct surface *s)
{
  struct drm_gem_close gem = {.handle = s->handle};

  drmModeRmFB (kms->fd, s->fb);
  munmap (s->pixels, s->size);
  drmIoctl (kms->fd, DRM_IOCTL_GEM_CLOSE, &gem);
}

static void
fill (struct surface *s, uint32_t x, uint32_t y, uint32_t width,
    uint32_t height, uint32_t colour)
{
  for (uint32_t row = y; row < y + height; row++) {
    uint32_t *pixel = (uint32_t *) (s->pixels + (size_t) row * s->stride) + x;

    for (uint32_t i = 0; i < width; i++)
      pixel[i] = colour;
  }
}

static void
draw_background (struct surface *s, uint32_t left, uint32_t shift)
{
  fill (s, left, 0, s->width, HELIX_BARS_TOP, 0xff000000);
  for (uint32_t bar = 0; bar < HELIX_BARS; bar++) {
    uint32_t x = helix_bar_left (bar, s->width);

    fill (s, left + x, HELIX_BARS_TOP, helix_bar_left (bar + 1, s->width) - x,
        s->height - HELIX_BARS_TOP, 0xff000000 | helix_bar_colour (bar, shift));
  }
}

/* Draws frame `number` into each scanout and tells the kernel the clips. */
static void
draw_frame (struct helix_kms *kms, const struct options *o, struct surface *s,
    uint32_t number)
{
  drmModeClip clips[MAX_CLIPS];
  uint32_t count = 0;
  int rc;

  for (uint32_t i = 0; i < o->scanouts; i++) {
    uint32_t left = i * s->width;
    uint32_t box = helix_box_left (number, s->width);

    helix_marker_draw (s->pixels + (size_t) left * 4, s->stride, number);
    fill (s, left, HELIX_STRIP_TOP, s->width, HELIX_BARS_TOP - HELIX_STRIP_TOP,
        0xff000000);
    fill (s, left + box, HELIX_STRIP_TOP, HELIX_BOX_WIDTH,
        HELIX_BARS_TOP - HELIX_STRIP_TOP, 0xffffffff);
    clips[count++] = (drmModeClip){.x1 = (uint16_t) left,
        .y1 = 0,
        .x2 = (uint16_t) (left + HELIX_MARKER_WIDTH),
        .y2 = HELIX_STRIP_TOP};
    clips[count++] = (drmModeClip){.x1 = (uint16_t) left,
        .y1 = HELIX_STRIP_TOP,
        .x2 = (uint16_t) (left + s->width),
        .y2 = HELIX_BARS_TOP};
  }
  do
    rc = drmModeDirtyFB (kms->fd, s->fb, clips, count);
  while (rc == -EINTR || rc == -EAGAIN);
  if (rc != 0) {
    errno = -rc;
    helix_die ("cannot flush frame %u", number);
  }
}

/* The first frame at a size: everything is drawn before it is shown. */
static void
show (struct helix_kms *kms, const struct options *o, struct surface *s,
    uint32_t number)
{
  for (uint32_t i = 0; i < o->scanouts; i++) {
    draw_background (s, i * s->width, o->shift + i);
    helix_marker_draw (
        s->pixels + (size_t) i * s->width * 4, s->stride, number);
  }
  for (uint32_t i = 0; i < o->scanouts; i++)
    helix_kms_show (kms, o->connector + (int) i, s->fb, i * s->width, 0,
        s->width, s->height);
  helix_event ("mode %ux%u resource %u frame %u", s->width, s->height,
      s->resource, number);
}

int
main (int argc, char **argv)
{
  struct options o;
  struct helix_kms kms;
  struct surface now, next;
  uint64_t start = 0;

  parse (argc, argv, &o);
  helix_kms_open (&kms, o.device);
  surface_new (&kms, &o, &now, o.width, o.height);
  show (&kms, &o, &now, o.first);
  if (o.go != NULL)
    helix_await (o.go);
  for (uint32_t i = 0; i < o.frames; i++) {
    helix_pace (&start, i, o.rate);
    if (o.change_after != 0 && i == o.change_after) {
      surface_new (&kms, &o, &next, o.change_width, o.change_height);
      show (&kms, &o, &next, o.first + i);
      surface_free (&kms, &now);
      now = next;
    }
    draw_frame (&kms, &o, &now, o.first + i);
  }
  helix_event ("drawn %u", o.first + o.frames - 1);
  if (o.hold)
    helix_hold ();
  return 0;
}

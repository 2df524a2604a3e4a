/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sim's scenes inside a guest: drawn into a dumb buffer, with the damage
 * told to the kernel, as a desktop without GL does. On a GPU with virgl the
 * same buffer is a texture of the host's, and reading it back goes through GL.
 *
 *   helix-bench-draw PATTERN WxH RATE STOP-FILE
 *
 * Draws until the file exists. Events: "shown STOP-FILE" with the first picture
 * up, "stopped STOP-FILE N" with the number of pictures.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <drm_fourcc.h>
#include <xf86drm.h>

#include "helix-kms.h"
#include "helix-sim-screen.h"

struct buffer {
  uint32_t fb, stride;
  uint8_t *pixels;
};

static const struct {
  const char *name;
  enum helix_sim_pattern pattern;
} patterns[] = {{"full", HELIX_SIM_FULL}, {"box", HELIX_SIM_BOX_ONLY},
    {"typing", HELIX_SIM_TYPING}, {"scroll", HELIX_SIM_SCROLL},
    {"static", HELIX_SIM_STATIC}};

static enum helix_sim_pattern
find_pattern (const char *name)
{
  for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++)
    if (strcmp (patterns[i].name, name) == 0)
      return patterns[i].pattern;
  errno = 0;
  helix_die ("no pattern %s", name);
}

static void
buffer_new (struct helix_kms *kms, struct buffer *buffer, uint32_t width,
    uint32_t height)
{
  struct drm_mode_create_dumb create = {
      .width = width, .height = height, .bpp = 32};
  struct drm_mode_map_dumb map = {0};
  uint32_t handles[4] = {0}, strides[4] = {0}, offsets[4] = {0};

  if (drmIoctl (kms->fd, DRM_IOCTL_MODE_CREATE_DUMB, &create) != 0)
    helix_die ("cannot create a %ux%u dumb buffer", width, height);
  handles[0] = map.handle = create.handle;
  strides[0] = buffer->stride = create.pitch;
  if (drmIoctl (kms->fd, DRM_IOCTL_MODE_MAP_DUMB, &map) != 0)
    helix_die ("cannot map the dumb buffer");
  buffer->pixels = mmap (NULL, create.size, PROT_READ | PROT_WRITE, MAP_SHARED,
      kms->fd, (off_t) map.offset);
  if (buffer->pixels == MAP_FAILED)
    helix_die ("cannot map %llu bytes", (unsigned long long) create.size);
  if (drmModeAddFB2 (kms->fd, width, height, DRM_FORMAT_XRGB8888, handles,
          strides, offsets, &buffer->fb, 0)
      != 0)
    helix_die ("cannot make a framebuffer of the buffer");
}

static void
put (struct helix_kms *kms, struct buffer *buffer,
    const struct helix_sim_screen *screen, const struct helix_rect *damage)
{
  drmModeClip clip = {.x1 = (uint16_t) damage->x,
      .y1 = (uint16_t) damage->y,
      .x2 = (uint16_t) (damage->x + damage->width),
      .y2 = (uint16_t) (damage->y + damage->height)};
  int rc;

  helix_sim_screen_read (screen, damage,
      buffer->pixels + (size_t) damage->y * buffer->stride
          + (size_t) damage->x * 4,
      buffer->stride);
  do
    rc = drmModeDirtyFB (kms->fd, buffer->fb, &clip, 1);
  while (rc == -EINTR || rc == -EAGAIN);
  if (rc != 0) {
    errno = -rc;
    helix_die ("cannot flush picture %u", screen->number);
  }
}

int
main (int argc, char **argv)
{
  struct helix_sim_screen screen;
  struct helix_rect all = {0}, damage;
  struct helix_kms kms;
  struct buffer buffer;
  uint64_t start = 0, index = 0;
  double rate;

  if (argc != 5 || !helix_parse_size (argv[2], &all.width, &all.height)
      || !((rate = atof (argv[3])) > 0)) {
    fputs ("Usage: helix-bench-draw PATTERN WxH RATE STOP-FILE\n", stderr);
    return 2;
  }
  helix_kms_open (&kms, "/dev/dri/card0");
  buffer_new (&kms, &buffer, all.width, all.height);
  helix_sim_screen_init (
      &screen, 0, 1, all.width, all.height, find_pattern (argv[1]), 1);
  helix_kms_show (&kms, 0, buffer.fb, 0, 0, all.width, all.height);
  put (&kms, &buffer, &screen, &all);
  helix_event ("shown %s", argv[4]);
  while (access (argv[4], F_OK) != 0) {
    helix_pace (&start, index++, rate);
    if (helix_sim_screen_next (&screen, &damage))
      put (&kms, &buffer, &screen, &damage);
  }
  helix_event ("stopped %s %u", argv[4], screen.number);
  return 0;
}

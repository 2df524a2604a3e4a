/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Draws the test picture with the GPU and flips pages: what a compositor does
 * through virgl.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xf86drm.h>

#include "helix-gl.h"
#include "helix-kms.h"
#include "helix-marker.h"

#define FLIP_TIMEOUT_MS 10000

struct options {
  const char *device;
  const char *go; /* wait for this file after the first frame */
  int connector;
  uint32_t width, height;
  uint32_t first, frames;
  double rate; /* frames a second, 0 = as fast as can be */
  uint32_t shift;
  bool hold;
};

static void
usage (void)
{
  fputs ("Usage: helix-draw-gl [options]\n"
         "  --device PATH   (default /dev/dri/card0)\n"
         "  --connector N   output to use (default 0)\n"
         "  --mode WxH      (default 800x600)\n"
         "  --first N       number of the first frame (default 1)\n"
         "  --frames N      (default 300)\n"
         "  --rate FPS      0 = no limit (default 30)\n"
         "  --bars-shift N  (default 0)\n"
         "  --go FILE       go on after the first frame when it exists\n"
         "  --hold          keep the last picture until SIGTERM\n",
      stderr);
  exit (2);
}

static void
parse (int argc, char **argv, struct options *o)
{
  static const struct option longopts[] = {{"device", 1, NULL, 'd'},
      {"connector", 1, NULL, 'c'}, {"mode", 1, NULL, 'm'},
      {"first", 1, NULL, 'f'}, {"frames", 1, NULL, 'n'}, {"rate", 1, NULL, 'r'},
      {"bars-shift", 1, NULL, 'b'}, {"go", 1, NULL, 'g'},
      {"hold", 0, NULL, 'h'}, {NULL, 0, NULL, 0}};
  int option;

  *o = (struct options){.device = "/dev/dri/card0",
      .width = 800,
      .height = 600,
      .first = 1,
      .frames = 300,
      .rate = 30};
  while ((option = getopt_long (argc, argv, "", longopts, NULL)) != -1) {
    switch (option) {
      case 'd':
        o->device = optarg;
        break;
      case 'c':
        o->connector = atoi (optarg);
        break;
      case 'm':
        if (!helix_parse_size (optarg, &o->width, &o->height))
          usage ();
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
      case 'b':
        o->shift = (uint32_t) atoi (optarg);
        break;
      case 'g':
        o->go = optarg;
        break;
      case 'h':
        o->hold = true;
        break;
      default:
        usage ();
    }
  }
  if (optind != argc || o->width < HELIX_MARKER_WIDTH || o->height < 64)
    usage ();
}

static void
forget_fb (struct gbm_bo *bo, void *data)
{
  drmModeRmFB (
      gbm_device_get_fd (gbm_bo_get_device (bo)), (uint32_t) (uintptr_t) data);
}

/* KMS framebuffer of a buffer object, made once. */
static uint32_t
framebuffer (struct helix_kms *kms, struct gbm_bo *bo)
{
  uint32_t handles[4] = {gbm_bo_get_handle (bo).u32};
  uint32_t strides[4] = {gbm_bo_get_stride (bo)}, offsets[4] = {0};
  uint32_t fb = (uint32_t) (uintptr_t) gbm_bo_get_user_data (bo);

  if (fb != 0)
    return fb;
  if (drmModeAddFB2 (kms->fd, gbm_bo_get_width (bo), gbm_bo_get_height (bo),
          GBM_FORMAT_XRGB8888, handles, strides, offsets, &fb, 0)
      != 0)
    helix_die ("cannot make a framebuffer of a GBM buffer");
  gbm_bo_set_user_data (bo, (void *) (uintptr_t) fb, forget_fb);
  return fb;
}

static void
flipped (int fd, unsigned sequence, unsigned s, unsigned us, void *data)
{
  *(bool *) data = true;
}

static void
wait_for_flip (struct helix_kms *kms, bool *done)
{
  drmEventContext events = {.version = 2, .page_flip_handler = flipped};
  struct pollfd poll_fd = {.fd = kms->fd, .events = POLLIN};

  while (!*done) {
    int ready = poll (&poll_fd, 1, FLIP_TIMEOUT_MS);

    if (ready < 0 && errno == EINTR)
      continue;
    if (ready <= 0)
      helix_die ("a page flip did not end within %d ms", FLIP_TIMEOUT_MS);
    drmHandleEvent (kms->fd, &events);
  }
}

/* Puts what was drawn on the screen; returns when it is there. */
static void
present (struct helix_gl *gl, struct helix_kms *kms, const struct options *o)
{
  static struct gbm_bo *shown; /* on the screen, NULL = nothing yet */
  struct gbm_bo *bo = helix_gl_swap (gl);
  bool done = false;

  if (shown == NULL) {
    helix_kms_show (
        kms, o->connector, framebuffer (kms, bo), 0, 0, o->width, o->height);
  } else {
    if (drmModePageFlip (kms->fd, kms->output[o->connector].crtc,
            framebuffer (kms, bo), DRM_MODE_PAGE_FLIP_EVENT, &done)
        != 0)
      helix_die ("cannot flip pages");
    wait_for_flip (kms, &done);
    gbm_surface_release_buffer (gl->surface, shown);
  }
  shown = bo;
}

int
main (int argc, char **argv)
{
  struct options o;
  struct helix_kms kms;
  struct helix_gl gl;
  uint64_t start = 0;

  parse (argc, argv, &o);
  helix_kms_open (&kms, o.device);
  helix_gl_open (&gl, kms.fd, o.width, o.height, GBM_BO_USE_SCANOUT);
  for (uint32_t i = 0; i < o.frames; i++) {
    if (i == 1 && o.go != NULL)
      helix_await (o.go);
    if (i > 0)
      helix_pace (&start, i, o.rate);
    helix_gl_draw (&gl, o.first + i, o.shift);
    present (&gl, &kms, &o);
    if (i == 0)
      helix_event ("mode %ux%u frame %u", o.width, o.height, o.first);
  }
  helix_event ("drawn %u", o.first + o.frames - 1);
  if (o.hold)
    helix_hold ();
  return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Draws the test picture with the GPU (GBM, EGL, OpenGL ES; every rectangle a
 * scissored glClear) and flips pages: what a compositor does through virgl.
 */
#include <errno.h>
#include <EGL/egl.h>
#include <EGL/eglext.h>
#include <gbm.h>
#include <getopt.h>
#include <GLES2/gl2.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xf86drm.h>

#include "helix-kms.h"
#include "helix-marker.h"
#include "helix-picture.h"

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

struct renderer {
  struct gbm_device *gbm;
  struct gbm_surface *surface;
  EGLDisplay display;
  EGLSurface window;
  struct gbm_bo *shown; /* on the screen, NULL = nothing yet */
  uint32_t height;      /* of the picture: GL counts rows from below */
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

static EGLConfig
choose_config (struct renderer *r)
{
  static const EGLint wanted[] = {EGL_SURFACE_TYPE, EGL_WINDOW_BIT,
      EGL_RENDERABLE_TYPE, EGL_OPENGL_ES2_BIT, EGL_RED_SIZE, 8, EGL_GREEN_SIZE,
      8, EGL_BLUE_SIZE, 8, EGL_NONE};
  EGLConfig configs[64];
  EGLint count = 0;

  if (!eglChooseConfig (r->display, wanted, configs, 64, &count))
    helix_die ("EGL has no configuration for windows");
  for (EGLint i = 0; i < count; i++) {
    EGLint visual;

    if (eglGetConfigAttrib (
            r->display, configs[i], EGL_NATIVE_VISUAL_ID, &visual)
        && visual == GBM_FORMAT_XRGB8888)
      return configs[i];
  }
  helix_die ("EGL has no configuration with XRGB8888");
}

static void
renderer_open (
    struct renderer *r, struct helix_kms *kms, uint32_t width, uint32_t height)
{
  static const EGLint version[] = {EGL_CONTEXT_CLIENT_VERSION, 2, EGL_NONE};
  EGLConfig config;
  EGLContext context;

  *r = (struct renderer){.height = height};
  r->gbm = gbm_create_device (kms->fd);
  if (r->gbm == NULL)
    helix_die ("GBM does not take the card");
  r->surface = gbm_surface_create (r->gbm, width, height, GBM_FORMAT_XRGB8888,
      GBM_BO_USE_SCANOUT | GBM_BO_USE_RENDERING);
  if (r->surface == NULL)
    helix_die ("GBM cannot make a %ux%u surface", width, height);
  r->display = eglGetPlatformDisplay (EGL_PLATFORM_GBM_KHR, r->gbm, NULL);
  errno = 0;
  if (r->display == EGL_NO_DISPLAY || !eglInitialize (r->display, NULL, NULL)
      || !eglBindAPI (EGL_OPENGL_ES_API))
    helix_die ("EGL does not start (error %#x)", eglGetError ());
  config = choose_config (r);
  context = eglCreateContext (r->display, config, EGL_NO_CONTEXT, version);
  r->window =
      eglCreatePlatformWindowSurface (r->display, config, r->surface, NULL);
  if (context == EGL_NO_CONTEXT || r->window == EGL_NO_SURFACE
      || !eglMakeCurrent (r->display, r->window, r->window, context))
    helix_die ("EGL cannot draw on the surface (error %#x)", eglGetError ());
  helix_event ("renderer %s", (const char *) glGetString (GL_RENDERER));
  glEnable (GL_SCISSOR_TEST);
}

static void
fill (struct renderer *r, uint32_t x, uint32_t y, uint32_t width,
    uint32_t height, uint32_t colour)
{
  glScissor ((GLint) x, (GLint) (r->height - y - height), (GLsizei) width,
      (GLsizei) height);
  glClearColor ((float) (colour >> 16 & 0xff) / 255,
      (float) (colour >> 8 & 0xff) / 255, (float) (colour & 0xff) / 255, 1);
  glClear (GL_COLOR_BUFFER_BIT);
}

static void
draw (struct renderer *r, const struct options *o, uint32_t number)
{
  fill (r, 0, 0, o->width, HELIX_BARS_TOP, 0);
  for (uint32_t block = 0; block < HELIX_MARKER_BLOCKS; block++)
    if (helix_marker_bit (number, block))
      fill (r, block * HELIX_MARKER_BLOCK, 0, HELIX_MARKER_BLOCK,
          HELIX_MARKER_HEIGHT, 0xffffff);
  fill (r, helix_box_left (number, o->width), HELIX_STRIP_TOP, HELIX_BOX_WIDTH,
      HELIX_BARS_TOP - HELIX_STRIP_TOP, 0xffffff);
  for (uint32_t bar = 0; bar < HELIX_BARS; bar++) {
    uint32_t left = helix_bar_left (bar, o->width);

    fill (r, left, HELIX_BARS_TOP, helix_bar_left (bar + 1, o->width) - left,
        o->height - HELIX_BARS_TOP, helix_bar_colour (bar, o->shift));
  }
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
present (struct renderer *r, struct helix_kms *kms, const struct options *o)
{
  struct gbm_bo *bo;
  bool done = false;

  if (!eglSwapBuffers (r->display, r->window))
    helix_die ("eglSwapBuffers failed (error %#x)", eglGetError ());
  bo = gbm_surface_lock_front_buffer (r->surface);
  if (bo == NULL)
    helix_die ("GBM has no front buffer");
  if (r->shown == NULL) {
    helix_kms_show (
        kms, o->connector, framebuffer (kms, bo), 0, 0, o->width, o->height);
  } else {
    if (drmModePageFlip (kms->fd, kms->output[o->connector].crtc,
            framebuffer (kms, bo), DRM_MODE_PAGE_FLIP_EVENT, &done)
        != 0)
      helix_die ("cannot flip pages");
    wait_for_flip (kms, &done);
    gbm_surface_release_buffer (r->surface, r->shown);
  }
  r->shown = bo;
}

int
main (int argc, char **argv)
{
  struct options o;
  struct helix_kms kms;
  struct renderer renderer;
  uint64_t start = 0;

  parse (argc, argv, &o);
  helix_kms_open (&kms, o.device);
  renderer_open (&renderer, &kms, o.width, o.height);
  for (uint32_t i = 0; i < o.frames; i++) {
    if (i == 1 && o.go != NULL)
      helix_await (o.go);
    if (i > 0)
      helix_pace (&start, i, o.rate);
    draw (&renderer, &o, o.first + i);
    present (&renderer, &kms, &o);
    if (i == 0)
      helix_event ("mode %ux%u frame %u", o.width, o.height, o.first);
  }
  helix_event ("drawn %u", o.first + o.frames - 1);
  if (o.hold)
    helix_hold ();
  return 0;
}

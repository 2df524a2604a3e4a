/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Draws the test picture with the GPU and flips pages: what a compositor does
 * through virgl.
 */
#include <errno.h>
#include <poll.h>
#include <xf86drm.h>

#include "helix-gl.h"
#include "helix-kms.h"

#define FLIP_TIMEOUT_MS 10000

static const char *go; /* wait for this file after the first frame */
static uint32_t size[2] = {800, 600}, frames = 300;
static double rate = 30;
static bool hold;

static const struct helix_option options[] = {
    {"mode", HELIX_OPTION_SIZE, size, "WxH (default 800x600)"},
    {"frames", HELIX_OPTION_NUMBER, &frames, "N (default 300)"},
    {"rate", HELIX_OPTION_RATE, &rate, "FPS (default 30)"},
    {"go", HELIX_OPTION_TEXT, &go,
        "FILE: go on after the first frame when it exists"},
    {"hold", HELIX_OPTION_FLAG, &hold, "keep the last picture until SIGTERM"},
    {NULL},
};

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
present (struct helix_gl *gl, struct helix_kms *kms)
{
  static struct gbm_bo *shown; /* on the screen, NULL = nothing yet */
  struct gbm_bo *bo = helix_gl_swap (gl);
  bool done = false;

  if (shown == NULL) {
    helix_kms_show (kms, 0, framebuffer (kms, bo), 0, 0, gl->width, gl->height);
  } else {
    if (drmModePageFlip (kms->fd, kms->output[0].crtc, framebuffer (kms, bo),
            DRM_MODE_PAGE_FLIP_EVENT, &done)
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
  struct helix_kms kms;
  struct helix_gl gl;
  uint64_t start = 0;

  helix_options (argc, argv, options);
  helix_kms_open (&kms, HELIX_CARD);
  helix_gl_open (&gl, kms.fd, size[0], size[1], GBM_BO_USE_SCANOUT);
  for (uint32_t i = 0; i < frames; i++) {
    if (i == 1 && go != NULL)
      helix_await (go);
    if (i > 0)
      helix_pace (&start, i, rate);
    helix_gl_draw (&gl, i + 1);
    present (&gl, &kms);
    if (i == 0)
      helix_event ("mode %ux%u frame 1", size[0], size[1]);
  }
  helix_event ("drawn %u", frames);
  if (hold)
    helix_hold ();
  return 0;
}

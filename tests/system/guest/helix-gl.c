/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-gl.h"

#include <EGL/eglext.h>
#include <GLES2/gl2.h>
#include <errno.h>

#include "helix-kms.h"
#include "helix-marker.h"
#include "helix-picture.h"

static EGLConfig
choose_config (struct helix_gl *gl)
{
  static const EGLint wanted[] = {EGL_SURFACE_TYPE, EGL_WINDOW_BIT,
      EGL_RENDERABLE_TYPE, EGL_OPENGL_ES2_BIT, EGL_RED_SIZE, 8, EGL_GREEN_SIZE,
      8, EGL_BLUE_SIZE, 8, EGL_NONE};
  EGLConfig configs[64];
  EGLint count = 0;

  if (!eglChooseConfig (gl->display, wanted, configs, 64, &count))
    helix_die ("EGL has no configuration for windows");
  for (EGLint i = 0; i < count; i++) {
    EGLint visual;

    if (eglGetConfigAttrib (
            gl->display, configs[i], EGL_NATIVE_VISUAL_ID, &visual)
        && visual == GBM_FORMAT_XRGB8888)
      return configs[i];
  }
  helix_die ("EGL has no configuration with XRGB8888");
}

void
helix_gl_open (
    struct helix_gl *gl, int fd, uint32_t width, uint32_t height, uint32_t use)
{
  static const EGLint version[] = {EGL_CONTEXT_CLIENT_VERSION, 2, EGL_NONE};
  EGLConfig config;

  *gl = (struct helix_gl){.width = width, .height = height};
  gl->gbm = gbm_create_device (fd);
  if (gl->gbm == NULL)
    helix_die ("GBM does not take the card");
  gl->surface = gbm_surface_create (
      gl->gbm, width, height, GBM_FORMAT_XRGB8888, use | GBM_BO_USE_RENDERING);
  if (gl->surface == NULL)
    helix_die ("GBM cannot make a %ux%u surface", width, height);
  gl->display = eglGetPlatformDisplay (EGL_PLATFORM_GBM_KHR, gl->gbm, NULL);
  errno = 0;
  if (gl->display == EGL_NO_DISPLAY || !eglInitialize (gl->display, NULL, NULL)
      || !eglBindAPI (EGL_OPENGL_ES_API))
    helix_die ("EGL does not start (error %#x)", eglGetError ());
  config = choose_config (gl);
  gl->context = eglCreateContext (gl->display, config, EGL_NO_CONTEXT, version);
  gl->window =
      eglCreatePlatformWindowSurface (gl->display, config, gl->surface, NULL);
  if (gl->context == EGL_NO_CONTEXT || gl->window == EGL_NO_SURFACE
      || !eglMakeCurrent (gl->display, gl->window, gl->window, gl->context))
    helix_die ("EGL cannot draw on the surface (error %#x)", eglGetError ());
  helix_event ("renderer %s", (const char *) glGetString (GL_RENDERER));
  glEnable (GL_SCISSOR_TEST);
}

/* GL counts rows from below. */
static void
fill (struct helix_gl *gl, uint32_t x, uint32_t y, uint32_t width,
    uint32_t height, uint32_t colour)
{
  glScissor ((GLint) x, (GLint) (gl->height - y - height), (GLsizei) width,
      (GLsizei) height);
  glClearColor ((float) (colour >> 16 & 0xff) / 255,
      (float) (colour >> 8 & 0xff) / 255, (float) (colour & 0xff) / 255, 1);
  glClear (GL_COLOR_BUFFER_BIT);
}

void
helix_gl_draw (struct helix_gl *gl, uint32_t number)
{
  if (!eglMakeCurrent (gl->display, gl->window, gl->window, gl->context))
    helix_die ("EGL does not change surfaces (error %#x)", eglGetError ());
  fill (gl, 0, 0, gl->width, HELIX_BARS_TOP, 0);
  for (uint32_t block = 0; block < HELIX_MARKER_BLOCKS; block++)
    if (helix_marker_bit (number, block))
      fill (gl, block * HELIX_MARKER_BLOCK, 0, HELIX_MARKER_BLOCK,
          HELIX_MARKER_HEIGHT, 0xffffff);
  fill (gl, helix_box_left (number, gl->width), HELIX_STRIP_TOP,
      HELIX_BOX_WIDTH, HELIX_BARS_TOP - HELIX_STRIP_TOP, 0xffffff);
  for (uint32_t bar = 0; bar < HELIX_BARS; bar++) {
    uint32_t left = helix_bar_left (bar, gl->width);

    fill (gl, left, HELIX_BARS_TOP, helix_bar_left (bar + 1, gl->width) - left,
        gl->height - HELIX_BARS_TOP, helix_bar_colour (bar, 0));
  }
}

struct gbm_bo *
helix_gl_swap (struct helix_gl *gl)
{
  struct gbm_bo *bo;

  if (!eglSwapBuffers (gl->display, gl->window))
    helix_die ("eglSwapBuffers failed (error %#x)", eglGetError ());
  bo = gbm_surface_lock_front_buffer (gl->surface);
  if (bo == NULL)
    helix_die ("GBM has no front buffer");
  return bo;
}

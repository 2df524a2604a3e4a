/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The test picture drawn by the GPU: GBM, EGL, OpenGL ES; every rectangle is a
 * scissored glClear. As helix-kms.h, it ends the program when something goes
 * wrong.
 */
#ifndef HELIX_GL_H
#define HELIX_GL_H

#include <EGL/egl.h>
#include <gbm.h>
#include <stdint.h>

struct helix_gl {
  struct gbm_device *gbm;
  struct gbm_surface *surface;
  EGLDisplay display;
  EGLSurface window;
  EGLContext context;
  uint32_t width, height; /* pixels */
};

/* Buffers of GBM_FORMAT_XRGB8888 on the node that `fd` is; `use` is
 * GBM_BO_USE_SCANOUT or 0. */
void helix_gl_open (
    struct helix_gl *gl, int fd, uint32_t width, uint32_t height, uint32_t use);

/* Draws frame `number` (helix-picture.h). */
void helix_gl_draw (struct helix_gl *gl, uint32_t number);

/* What was drawn; gbm_surface_release_buffer () gives it back. */
struct gbm_bo *helix_gl_swap (struct helix_gl *gl);

#endif /* HELIX_GL_H */

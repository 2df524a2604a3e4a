/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How long one readback holds QEMU's main loop on the GPU of this machine,
 * without a VM: virglrenderer renders to a texture, as a guest would make it,
 * and the texture is read back by the very calls of qemu-shim/qemu. Needs EGL,
 * but no window system: the first device that EGL lists, or Mesa's surfaceless
 * platform.
 *
 * Beside each, what it would be with a pixel buffer object: how long the main
 * loop is held to submit it and, once the GPU is done, to copy it out.
 *
 * Prints one line of JSON for each size and box.
 */
#include <epoxy/egl.h>
#include <epoxy/gl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <virgl/virglrenderer.h>

#include "helix-bench.h"

#define RESOURCE 1
#define FORMAT_BGRX 2 /* virtio-gpu, and virgl, number */
#define TARGET_2D 2   /* PIPE_TEXTURE_2D */

/* virglrenderer.h only names it. */
struct virgl_box {
  guint32 x, y, z, w, h, d;
};

static EGLDisplay display;
static EGLConfig config;
static EGLContext guest = EGL_NO_CONTEXT; /* draws */

/* ---- EGL, as QEMU gives it to the renderer ---- */

static void
write_fence (void *cookie, uint32_t fence)
{
}

static EGLContext
make_context (int major, int minor)
{
  const EGLint attributes[] = {EGL_CONTEXT_MAJOR_VERSION, major,
      EGL_CONTEXT_MINOR_VERSION, minor, EGL_CONTEXT_OPENGL_PROFILE_MASK,
      EGL_CONTEXT_OPENGL_CORE_PROFILE_BIT, EGL_NONE};

  /* Textures are shared with the one that draws, as QEMU shares them. */
  return eglCreateContext (display, config, guest, attributes);
}

static virgl_renderer_gl_context
create_context (
    void *cookie, int scanout, struct virgl_renderer_gl_ctx_param *param)
{
  return make_context (param->major_ver, param->minor_ver);
}

static void
destroy_context (void *cookie, virgl_renderer_gl_context context)
{
  eglDestroyContext (display, context);
}

static int
make_current (void *cookie, int scanout, virgl_renderer_gl_context context)
{
  return eglMakeCurrent (display, EGL_NO_SURFACE, EGL_NO_SURFACE, context) ? 0
                                                                           : -1;
}

static EGLDisplay
open_display (void)
{
  EGLDeviceEXT device;
  EGLint n = 0;

  if (epoxy_has_egl_extension (EGL_NO_DISPLAY, "EGL_EXT_platform_device")
      && eglQueryDevicesEXT (1, &device, &n) && n > 0)
    return eglGetPlatformDisplayEXT (EGL_PLATFORM_DEVICE_EXT, device, NULL);
  return eglGetPlatformDisplayEXT (
      EGL_PLATFORM_SURFACELESS_MESA, EGL_DEFAULT_DISPLAY, NULL);
}

static void
start_renderer (void)
{
  static struct virgl_renderer_callbacks callbacks = {
      .version = 1,
      .write_fence = write_fence,
      .create_gl_context = create_context,
      .destroy_gl_context = destroy_context,
      .make_current = make_current,
  };
  const EGLint wanted[] = {EGL_RENDERABLE_TYPE, EGL_OPENGL_BIT,
      EGL_SURFACE_TYPE, EGL_PBUFFER_BIT, EGL_NONE};
  EGLint major, minor, n = 0;

  display = open_display ();
  if (display == EGL_NO_DISPLAY || !eglInitialize (display, &major, &minor))
    helix_bench_die ("EGL has no display without a window system here");
  eglBindAPI (EGL_OPENGL_API);
  if (!eglChooseConfig (display, wanted, &config, 1, &n) || n == 0)
    helix_bench_die ("EGL has no configuration for OpenGL here");
  guest = make_context (4, 2);
  if (guest == EGL_NO_CONTEXT || make_current (NULL, 0, guest) != 0)
    helix_bench_die ("EGL makes no OpenGL 4.2 context here");
  if (virgl_renderer_init (&display, 0, &callbacks) != 0)
    helix_bench_die ("virglrenderer does not start");
}

/* ---- drawing and reading ---- */

/* Fills the texture as a guest's rendering would: queued, not finished. */
static void
draw (GLuint texture, guint number)
{
  static GLuint framebuffer;

  make_current (NULL, 0, guest);
  if (framebuffer == 0)
    glGenFramebuffers (1, &framebuffer);
  glBindFramebuffer (GL_DRAW_FRAMEBUFFER, framebuffer);
  glFramebufferTexture2D (
      GL_DRAW_FRAMEBUFFER, GL_COLOR_ATTACHMENT0, GL_TEXTURE_2D, texture, 0);
  glClearColor ((float) (number & 255) / 255, 0.2f, 0.6f, 1);
  glClear (GL_COLOR_BUFFER_BIT);
  glFlush ();
}

/* 51 and 153 are 0.2 and 0.6 of 255. */
static void
check (const guint8 *pixel, guint number)
{
  const guint8 expected[3] = {153, 51, (guint8) (number & 255)};

  if (memcmp (pixel, expected, sizeof expected) != 0)
    helix_bench_die ("picture %u was read as %u %u %u, not as %u %u %u", number,
        pixel[0], pixel[1], pixel[2], expected[0], expected[1], expected[2]);
}

/* As helix_read_virgl () of qemu-shim/qemu/helix-readback.c. */
static guint64
read_back (const struct virgl_box *box, guint8 *slot, guint width)
{
  guint64 begin = helix_bench_now ();
  guint stride = width * 4;
  struct iovec iov = {slot, (size_t) stride * (box->h - 1) + box->w * 4};
  struct virgl_box copy = *box;

  virgl_renderer_force_ctx_0 ();
  if (virgl_renderer_transfer_read_iov (
          RESOURCE, 0, 0, stride, 0, &copy, 0, &iov, 1)
      != 0)
    helix_bench_die ("the renderer cannot read the texture");
  return helix_bench_now () - begin;
}

/* With a pixel buffer object: *submit and the result are what a main loop
 * would be held; the GPU's own time lies between and is waited for. */
static guint64
read_async (GLuint texture, const struct virgl_box *box, guint8 *slot,
    guint width, guint64 *submit)
{
  static GLuint framebuffer, buffer;
  gsize row = (gsize) box->w * 4;
  guint64 begin = helix_bench_now ();
  const guint8 *mapped;
  GLsync fence;

  make_current (NULL, 0, guest);
  if (buffer == 0) {
    glGenFramebuffers (1, &framebuffer);
    glGenBuffers (1, &buffer);
  }
  glBindFramebuffer (GL_READ_FRAMEBUFFER, framebuffer);
  glFramebufferTexture2D (
      GL_READ_FRAMEBUFFER, GL_COLOR_ATTACHMENT0, GL_TEXTURE_2D, texture, 0);
  glBindBuffer (GL_PIXEL_PACK_BUFFER, buffer);
  glBufferData (
      GL_PIXEL_PACK_BUFFER, (GLsizeiptr) (row * box->h), NULL, GL_STREAM_READ);
  glReadPixels ((GLint) box->x, (GLint) box->y, (GLsizei) box->w,
      (GLsizei) box->h, GL_BGRA, GL_UNSIGNED_BYTE, NULL);
  fence = glFenceSync (GL_SYNC_GPU_COMMANDS_COMPLETE, 0);
  glFlush ();
  *submit = helix_bench_now () - begin;

  glClientWaitSync (fence, GL_SYNC_FLUSH_COMMANDS_BIT, G_USEC_PER_SEC * 1000);
  begin = helix_bench_now ();
  glDeleteSync (fence);
  mapped = glMapBufferRange (
      GL_PIXEL_PACK_BUFFER, 0, (GLsizeiptr) (row * box->h), GL_MAP_READ_BIT);
  if (mapped == NULL)
    helix_bench_die ("the pixel buffer cannot be mapped");
  for (guint y = 0; y < box->h; y++)
    memcpy (slot + (gsize) y * width * 4, mapped + y * row, row);
  glUnmapBuffer (GL_PIXEL_PACK_BUFFER);
  glBindBuffer (GL_PIXEL_PACK_BUFFER, 0);
  return helix_bench_now () - begin;
}

/* ---- one size, one box ---- */

static void
measure (guint width, guint height, gboolean whole, guint8 *slot, guint n)
{
  struct virgl_renderer_resource_create_args args = {
      .handle = RESOURCE,
      .target = TARGET_2D,
      .format = FORMAT_BGRX,
      .bind = VIRGL_RES_BIND_RENDER_TARGET | VIRGL_RES_BIND_SAMPLER_VIEW
          | VIRGL_RES_BIND_SCANOUT,
      .width = width,
      .height = height,
      .depth = 1,
      .array_size = 1,
  };
  const struct virgl_box box = {
      .w = whole ? width : 64, .h = whole ? height : 64, .d = 1};
  /* 1.x writes more into it than 0.x has. */
  union {
    struct virgl_renderer_resource_info info;
    guint64 room[16];
  } u = {0};
  g_autoptr (GArray) sync = helix_bench_times_new (n);
  g_autoptr (GArray) submit = helix_bench_times_new (n);
  g_autoptr (GArray) copy = helix_bench_times_new (n);
  g_autoptr (GString) json = g_string_new (NULL);

  virgl_renderer_force_ctx_0 ();
  if (virgl_renderer_resource_create (&args, NULL, 0) != 0
      || virgl_renderer_resource_get_info (RESOURCE, &u.info) != 0)
    helix_bench_die ("the renderer makes no %ux%u texture", width, height);
  /* The first ones set things up that stay. */
  for (guint i = 0; i < n + 10; i++) {
    guint64 held, submitted, copied;

    draw (u.info.tex_id, 2 * i);
    held = read_back (&box, slot, width);
    check (slot, 2 * i);
    draw (u.info.tex_id, 2 * i + 1);
    copied = read_async (u.info.tex_id, &box, slot, width, &submitted);
    check (slot, 2 * i + 1);
    if (i < 10)
      continue;
    g_array_append_val (sync, held);
    g_array_append_val (submit, submitted);
    g_array_append_val (copy, copied);
  }
  helix_bench_times_print (json, "hold_", sync);
  helix_bench_times_print (json, "async_submit_", submit);
  helix_bench_times_print (json, "async_copy_", copy);
  printf ("{\"renderer\": \"%s\", \"size\": \"%ux%u\", \"box\": \"%ux%u\"%s}\n",
      glGetString (GL_RENDERER), width, height, box.w, box.h, json->str);
  virgl_renderer_force_ctx_0 ();
  virgl_renderer_resource_unref (RESOURCE);
}

int
main (int argc, char **argv)
{
  static const guint sizes[][2] = {{1920, 1080}, {3840, 2160}};
  const gsize bytes = (gsize) 3840 * 2160 * 4;
  guint8 *slot = mmap (
      NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  guint n = argc > 1 ? (guint) atoi (argv[1]) : 300;

  if (slot == MAP_FAILED || n < 1)
    helix_bench_die ("usage: helix-bench-readback [NUMBER OF READBACKS]");
  memset (slot, 0, bytes);
  start_renderer ();
  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
    measure (sizes[i][0], sizes[i][1], TRUE, slot, n);
    measure (sizes[i][0], sizes[i][1], FALSE, slot, n);
  }
  munmap (slot, bytes);
  return EXIT_SUCCESS;
}

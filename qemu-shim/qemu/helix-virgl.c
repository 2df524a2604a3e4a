/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Textures of virglrenderer: what they are, the renderer's OpenGL context, and
 * a read that waits until the GPU has drawn and copied.
 */

#include "qemu/osdep.h"
#include "hw/virtio/virtio.h"
#include "helix-glue.h"

#ifdef HELIX_HAVE_VIRGL
#include <epoxy/gl.h>
#include <epoxy/egl.h>
#include <virglrenderer.h>

/*
 * virglrenderer 1.0 appended a field: a program built against 0.x and run
 * with 1.x is written past the struct, so leave room.
 */
typedef union HelixVirglInfo {
    struct virgl_renderer_resource_info info;
    uint64_t room[16];
} HelixVirglInfo;

/* Bit of virgl_renderer_resource_info.flags; no header of 0.10 names it. */
#define HELIX_VIRGL_Y_0_TOP 1u

bool helix_virgl_ready(HelixExport *export)
{
    return export->gl &&
           helix_compat_renderer_ready(VIRTIO_GPU_GL(export->gpu));
}

bool helix_virgl_reset_pending(HelixExport *export)
{
    return export->gl &&
           helix_compat_renderer_reset_pending(VIRTIO_GPU_GL(export->gpu));
}

bool helix_virgl_texture(HelixExport *export, uint32_t resource_id,
                         HelixTexture *texture)
{
    HelixVirglInfo u = {};

    /* For an untyped blob it succeeds and leaves the size at 0. */
    if (!helix_virgl_ready(export) ||
        virgl_renderer_resource_get_info(resource_id, &u.info) ||
        !u.info.width || !u.info.height) {
        return false;
    }
    *texture = (HelixTexture){
        .id = u.info.tex_id,
        .width = u.info.width,
        .height = u.info.height,
        .depth = u.info.depth,
        .fourcc = helix_readback_fourcc(u.info.virgl_format),
        .upside_down = u.info.flags & HELIX_VIRGL_Y_0_TOP,
    };
    return true;
}

/*
 * virglrenderer does not say whether it could make its context current, and a
 * read without it returns success and leaves the destination as it was. With
 * EGL it is proved: a context that is current after none was is the
 * renderer's. Elsewhere (GLX, CGL) it is only seen that there is one.
 */
bool helix_virgl_enter(HelixExport *export)
{
    EGLDisplay display;
    EGLSurface draw, read;
    EGLContext before, now;

    if (!epoxy_has_egl() || eglGetCurrentContext() == EGL_NO_CONTEXT) {
        /* A display may have left a context of its own current. */
        virgl_renderer_force_ctx_0();
        now = epoxy_has_egl() ? eglGetCurrentContext() : EGL_NO_CONTEXT;
        export->ctx0 = now;
        return now != EGL_NO_CONTEXT || glGetString(GL_VERSION);
    }
    display = eglGetCurrentDisplay();
    draw = eglGetCurrentSurface(EGL_DRAW);
    read = eglGetCurrentSurface(EGL_READ);
    before = eglGetCurrentContext();
    virgl_renderer_force_ctx_0();
    now = eglGetCurrentContext();
    if (now != EGL_NO_CONTEXT && (now == export->ctx0 || now != before)) {
        export->ctx0 = now; /* known, or it has just been made current */
        return true;
    }
    /*
     * GDK and SDL remember which context is current and skip a change to that
     * one. So only this case, in which force_ctx_0 changed nothing, goes past
     * them, and it ends with the context that they believe to be current.
     */
    eglMakeCurrent(display, EGL_NO_SURFACE, EGL_NO_SURFACE, EGL_NO_CONTEXT);
    virgl_renderer_force_ctx_0();
    export->ctx0 = eglGetCurrentContext();
    if (export->ctx0 == EGL_NO_CONTEXT) {
        eglMakeCurrent(display, draw, read, before);
        return false;
    }
    return true;
}

bool helix_virgl_failed(void)
{
    bool failed = false;
    unsigned i;

    /* One a kind, at most; a lost context may have no end of them. */
    for (i = 0; i < 8; i++) {
        switch (glGetError()) {
        case GL_NO_ERROR:
            return failed;
        case GL_INVALID_FRAMEBUFFER_OPERATION:
        case GL_OUT_OF_MEMORY:
        case GL_CONTEXT_LOST:
            failed = true;
            break;
        default: /* of a renderer that tries what a driver may lack */
            break;
        }
    }
    return failed;
}

bool helix_virgl_read(HelixExport *export, uint32_t resource_id,
                      const struct helix_rect *box, uint8_t *dst,
                      uint32_t stride, const char **why)
{
    struct iovec iov = {dst, helix_box_span(box, stride)};
    /* virglrenderer.h only names struct virgl_box; the layout is this one. */
    struct virtio_gpu_box vbox = {
        .x = box->x,
        .y = box->y,
        .w = box->width,
        .h = box->height,
        .d = 1,
    };

    if (!helix_virgl_ready(export)) {
        *why = "the renderer is not running";
        return false;
    }
    if (!helix_virgl_enter(export)) {
        *why = "the renderer's OpenGL context cannot be used now";
        return false;
    }
    helix_virgl_failed();
    if (virgl_renderer_transfer_read_iov(resource_id, 0, 0, stride, 0,
                                         (struct virgl_box *)&vbox, 0, &iov,
                                         1)) {
        *why = "the renderer cannot read this resource";
        return false;
    }
    if (helix_virgl_failed()) {
        *why = "OpenGL failed to read this resource";
        return false;
    }
    return true;
}
#else
bool helix_virgl_texture(HelixExport *export, uint32_t resource_id,
                         HelixTexture *texture)
{
    return false;
}

bool helix_virgl_read(HelixExport *export, uint32_t resource_id,
                      const struct helix_rect *box, uint8_t *dst,
                      uint32_t stride, const char **why)
{
    *why = "there is no such resource";
    return false;
}
#endif

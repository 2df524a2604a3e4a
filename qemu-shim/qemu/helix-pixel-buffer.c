/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads a texture without waiting for the GPU: it copies to a pixel buffer
 * when it has drawn what was asked of it before, and meanwhile the guest runs
 * on.
 *
 *   flush        glReadPixels of all boxes to the buffer, a fence, glFlush
 *   timer        the fence has passed: map the buffer; copy it out, or push
 *                that to the copier's thread
 *   bottom half  the copy is done: tell the core
 *
 * All OpenGL is called on the main loop in the renderer's context. The timer is
 * one of the main list and the bottom half is in the I/O handlers' context:
 * only main_loop_wait() runs these (helix-loop.c).
 *
 * What the guest draws into the texture after the flush may be in the buffer
 * already where the driver does not order two contexts' commands. It has a
 * flush of its own coming, after which these pixels are read anew.
 *
 * What this cannot read (textures that are not plain 2D, formats that OpenGL
 * ES has no read for) is read by helix_virgl_read(), as is all with
 * readback=sync.
 */

#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "helix-glue.h"
#include "trace.h"

#ifdef HELIX_HAVE_VIRGL
#include <epoxy/gl.h>

/*
 * Readbacks in flight, each with a buffer as large as its surface, which is
 * kept. One for each surface that clients watch; should there be more, the
 * others are read by helix_virgl_read().
 */
#define HELIX_JOBS HELIX_MAX_SCANOUTS
/*
 * When to look whether a fence has passed: a look is a few microseconds of the
 * main loop, but wakes it up. First when the last ones were still being drawn,
 * which only a look that was too early proves: how late the main loop comes to
 * look says nothing of the GPU. Then four times in a millisecond, so a picture
 * comes an eighth of a millisecond too late on average; then less often, by
 * what has passed already: a GPU that is busy for long is not asked for ever,
 * and a picture comes an eighth too late at most.
 */
#define HELIX_FIRST_LOOK_NS 50000
#define HELIX_LOOK_NS 250000
#define HELIX_MAX_LOOK_NS 4000000
/* The GPU has hung, or its fences have. */
#define HELIX_GPU_TIMEOUT_NS (10 * NANOSECONDS_PER_SECOND)
/*
 * Bytes that are copied by the main loop itself: it takes some 10 us, less than
 * to wake up the copier and to be woken up by it.
 */
#define HELIX_COPY_NOW (64u * 1024)

typedef enum HelixJobState {
    HELIX_JOB_FREE,
    HELIX_JOB_DRAWN, /* the GPU has it */
    HELIX_JOB_COPIED, /* the copier has it */
    HELIX_JOB_DONE, /* good, or not (`why`); the core is to be told */
} HelixJobState;

typedef struct HelixJob {
    HelixJobState state;
    struct helix_readback *readback; /* the core's; NULL = FREE */
    bool orphan; /* its resource is gone; another one may have the id */
    size_t size; /* bytes that are read */
    int64_t begun_ns, look_ns; /* times of QEMU_CLOCK_REALTIME */
    int64_t drawing_ns; /* so long it certainly took; 0 = not known */
    const char *why;
    HelixCopy copy;
    /* OpenGL's */
    GLuint buffer; /* 0 = none yet */
    size_t room; /* bytes in it */
    bool mapped; /* until the next use */
    GLsync fence; /* DRAWN */
} HelixJob;

struct HelixPixelBuffers {
    HelixExport *export;
    QEMUTimer *timer;
    QEMUBH *bh;
    HelixCopier *copier;
    HelixJob job[HELIX_JOBS];
    int64_t first_ns; /* to the first look; HELIX_MAX_LOOK_NS at most */
    GHashTable *refused; /* ids of resources that cannot be read so */
    bool warned;
    bool stale; /* OpenGL's objects are of a renderer that is to be reset */
    /* Of the renderer's context */
    bool probed, able;
    bool desktop; /* not OpenGL ES */
    bool bgra; /* it can be read */
    GLuint framebuffer; /* 0 = none yet */
};

/* How OpenGL is asked for a fourcc's bytes. */
typedef struct HelixPixelFormat {
    GLenum format, type;
    bool swap; /* red and blue, in the copy */
} HelixPixelFormat;

/* State of the renderer's context that is used here, and given back. */
typedef struct HelixPackState {
    GLint framebuffer, buffer, value[4];
} HelixPackState;

static const GLenum helix_pack_names[] = {GL_PACK_ALIGNMENT, GL_PACK_ROW_LENGTH,
                                          GL_PACK_SKIP_ROWS,
                                          GL_PACK_SKIP_PIXELS};
static const GLint helix_pack_ours[] = {HELIX_BYTES_PP, 0, 0, 0};

/* ---- what can be read so ---- */

/*
 * These draw and copy before glReadPixels returns, so nothing is gained; and
 * what comes after the flush in the same turn of the main loop, such as
 * egl-headless' own read of the whole picture, delays the frame. On llvmpipe,
 * 2 busy cores, 1080p, capture to helixqemusrc's pad, p50: by pixel buffer 50
 * to 65 ms, at once 3.4 to 4.0 ms; a 64x64 box 41 to 49 ms and 0.3 ms.
 */
static bool helix_pixels_software(const char *renderer)
{
    return renderer &&
           (strstr(renderer, "llvmpipe") || strstr(renderer, "softpipe") ||
            strstr(renderer, "SwiftShader"));
}

/* In the renderer's context. */
static void helix_pixels_probe(HelixPixelBuffers *p)
{
    const char *renderer = (const char *)glGetString(GL_RENDERER);
    int version = epoxy_gl_version();

    p->probed = true;
    p->desktop = epoxy_is_desktop_gl();
    p->bgra = p->desktop || epoxy_has_gl_extension("GL_EXT_read_format_bgra");
    p->able = version >= 30 && (!p->desktop || version >= 32 ||
                                epoxy_has_gl_extension("GL_ARB_sync"));
    if (p->export->readback == HELIX_READBACK_AUTO &&
        helix_pixels_software(renderer)) {
        p->able = false;
    }
    trace_helix_export_pixels(renderer ?: "", version, p->desktop, p->able);
}

/* Returns false if OpenGL delivers no such bytes. */
static bool helix_pixels_format(const HelixPixelBuffers *p, uint32_t fourcc,
                                HelixPixelFormat *format)
{
    bool blue_first = true;

    *format = (HelixPixelFormat){.type = GL_UNSIGNED_BYTE};
    switch (fourcc) {
    case HELIX_FOURCC_RGBX:
    case HELIX_FOURCC_RGBA:
        blue_first = false;
        break;
    case HELIX_FOURCC_BGRX:
    case HELIX_FOURCC_BGRA:
        break;
    case HELIX_FOURCC_XBGR:
    case HELIX_FOURCC_ABGR:
        /* As one number: the first component in its highest byte. */
        format->type = GL_UNSIGNED_INT_8_8_8_8;
        blue_first = false;
        break;
    case HELIX_FOURCC_XRGB:
    case HELIX_FOURCC_ARGB:
        format->type = GL_UNSIGNED_INT_8_8_8_8;
        break;
    default:
        return false;
    }
    format->swap = blue_first && !p->bgra;
    format->format = blue_first && p->bgra ? GL_BGRA : GL_RGBA;
    return p->desktop || format->type == GL_UNSIGNED_BYTE;
}

/*
 * What is certain before OpenGL is asked. A resource that is a buffer, or a
 * one-dimensional texture, has one row; its id may be another texture's.
 */
static bool helix_pixels_suits(const HelixPixelBuffers *p,
                               const struct helix_readback *readback,
                               const HelixTexture *texture)
{
    uint32_t i;

    if (!texture->id || texture->height < 2 || texture->depth > 1 ||
        texture->fourcc != readback->surface.fourcc) {
        return false;
    }
    for (i = 0; i < readback->boxes; i++) {
        if (!helix_box_within(&readback->box[i], texture->width,
                              texture->height)) {
            return false;
        }
    }
    return true;
}

/* From now on this resource is read by helix_virgl_read(). */
static void helix_pixels_refuse(HelixPixelBuffers *p, uint32_t resource_id,
                                const char *step, unsigned code)
{
    g_autofree char *line = NULL;

    g_hash_table_add(p->refused, GUINT_TO_POINTER(resource_id));
    if (p->warned) {
        return;
    }
    p->warned = true;
    line = g_strdup_printf(
        "resource %" PRIu32 " cannot be read by a pixel buffer: %s (0x%x). It "
        "is read by waiting for the GPU, which holds the VM meanwhile. Others "
        "that this happens to are not reported",
        resource_id, step, code);
    helix_loop_log(p->export, HELIX_LOG_WARN, line);
}

/* ---- OpenGL, in the renderer's context ---- */

static void helix_pack_begin(HelixPackState *state)
{
    size_t i;

    glGetIntegerv(GL_READ_FRAMEBUFFER_BINDING, &state->framebuffer);
    glGetIntegerv(GL_PIXEL_PACK_BUFFER_BINDING, &state->buffer);
    for (i = 0; i < ARRAY_SIZE(helix_pack_names); i++) {
        glGetIntegerv(helix_pack_names[i], &state->value[i]);
        glPixelStorei(helix_pack_names[i], helix_pack_ours[i]);
    }
}

static void helix_pack_end(const HelixPackState *state)
{
    size_t i;

    for (i = 0; i < ARRAY_SIZE(helix_pack_names); i++) {
        glPixelStorei(helix_pack_names[i], state->value[i]);
    }
    glBindBuffer(GL_PIXEL_PACK_BUFFER, state->buffer);
    glBindFramebuffer(GL_READ_FRAMEBUFFER, state->framebuffer);
}

/*
 * Binds the job's buffer, with room for all that the surface shows: the core
 * has seen that this is not too large, while a texture's size is the guest's.
 */
static void helix_job_bind(HelixJob *job)
{
    const struct helix_rect *shown = &job->readback->surface.rect;
    size_t room = (size_t)shown->width * shown->height * HELIX_BYTES_PP;

    if (!job->buffer) {
        glGenBuffers(1, &job->buffer);
    }
    glBindBuffer(GL_PIXEL_PACK_BUFFER, job->buffer);
    if (job->mapped) {
        glUnmapBuffer(GL_PIXEL_PACK_BUFFER);
        job->mapped = false;
    }
    if (job->room < job->size) {
        job->room = MAX(job->size, room);
        glBufferData(GL_PIXEL_PACK_BUFFER, job->room, NULL, GL_STREAM_READ);
    }
}

/* Asks for all boxes, one behind the other, and for the fence behind them. */
static void helix_job_read(HelixJob *job, const HelixTexture *texture,
                           const HelixPixelFormat *format)
{
    const struct helix_readback *readback = job->readback;
    uintptr_t at = 0;
    uint32_t i;

    for (i = 0; i < readback->boxes; i++) {
        const struct helix_rect *box = &readback->box[i];
        uint32_t y = texture->upside_down
                         ? texture->height - box->y - box->height
                         : box->y;

        glReadPixels(box->x, y, box->width, box->height, format->format,
                     format->type, (void *)at);
        at += (uintptr_t)box->width * box->height * HELIX_BYTES_PP;
    }
    g_clear_pointer(&job->fence, glDeleteSync); /* given up by a timeout */
    job->fence = glFenceSync(GL_SYNC_GPU_COMMANDS_COMPLETE, 0);
}

/*
 * Returns false if OpenGL cannot; *step and *code tell why. The texture is
 * attached for as long as this takes: one that stays attached is not freed
 * with its resource, and another resource may get its id.
 */
static bool helix_pixels_submit(HelixPixelBuffers *p, HelixJob *job,
                                const HelixTexture *texture,
                                const HelixPixelFormat *format,
                                const char **step, unsigned *code)
{
    HelixPackState state;
    bool complete;

    helix_virgl_failed(); /* what others left */
    helix_pack_begin(&state);
    if (!p->framebuffer) {
        glGenFramebuffers(1, &p->framebuffer);
    }
    glBindFramebuffer(GL_READ_FRAMEBUFFER, p->framebuffer);
    glFramebufferTexture2D(GL_READ_FRAMEBUFFER, GL_COLOR_ATTACHMENT0,
                           GL_TEXTURE_2D, texture->id, 0);
    *step = "its texture makes no framebuffer";
    *code = glCheckFramebufferStatus(GL_READ_FRAMEBUFFER);
    complete = *code == GL_FRAMEBUFFER_COMPLETE;
    if (complete) {
        helix_job_bind(job);
        helix_job_read(job, texture, format);
    }
    glFramebufferTexture2D(GL_READ_FRAMEBUFFER, GL_COLOR_ATTACHMENT0,
                           GL_TEXTURE_2D, 0, 0);
    helix_pack_end(&state);
    glFlush();
    if (complete) {
        *step = "OpenGL failed";
        *code = glGetError();
    }
    helix_virgl_failed(); /* what else it notes */
    if (complete && *code == GL_NO_ERROR && job->fence) {
        return true;
    }
    if (complete) {
        job->room = 0; /* perhaps there is not enough memory */
    }
    g_clear_pointer(&job->fence, glDeleteSync);
    return false;
}

/* Where the fence has passed: what was read is there. Returns NULL if not. */
static const uint8_t *helix_job_map(HelixJob *job)
{
    const uint8_t *src;
    GLint before;

    glGetIntegerv(GL_PIXEL_PACK_BUFFER_BINDING, &before);
    glBindBuffer(GL_PIXEL_PACK_BUFFER, job->buffer);
    src = glMapBufferRange(GL_PIXEL_PACK_BUFFER, 0, job->size, GL_MAP_READ_BIT);
    glBindBuffer(GL_PIXEL_PACK_BUFFER, before);
    job->mapped = src != NULL;
    return src;
}

/* ---- from the fence to the core ---- */

static void helix_job_done(HelixJob *job, const char *why)
{
    job->state = HELIX_JOB_DONE;
    job->why = why;
}

static void helix_job_fail(HelixPixelBuffers *p, HelixJob *job, const char *why,
                           unsigned code)
{
    if (!job->orphan) {
        helix_pixels_refuse(p, job->readback->surface.resource_id, why, code);
    }
    helix_job_done(job, why);
}

static void helix_job_passed(HelixPixelBuffers *p, HelixJob *job)
{
    if (job->drawing_ns) {
        p->first_ns +=
            (MIN(job->drawing_ns, HELIX_MAX_LOOK_NS) - p->first_ns) / 4;
    } else {
        p->first_ns -= p->first_ns / 4;
    }
    job->copy.readback = job->readback;
    job->copy.src = helix_job_map(job);
    if (!job->copy.src) {
        helix_job_fail(p, job, "OpenGL does not map the pixel buffer",
                       glGetError());
    } else if (job->size <= HELIX_COPY_NOW) {
        helix_copy(&job->copy);
        helix_job_done(job, NULL);
    } else {
        job->state = HELIX_JOB_COPIED;
        helix_copier_push(p->copier, &job->copy);
    }
}

static void helix_job_look(HelixPixelBuffers *p, HelixJob *job, int64_t now)
{
    int64_t passed = now - job->begun_ns;

    switch (glClientWaitSync(job->fence, 0, 0)) {
    case GL_ALREADY_SIGNALED:
    case GL_CONDITION_SATISFIED:
        g_clear_pointer(&job->fence, glDeleteSync);
        helix_job_passed(p, job);
        break;
    case GL_TIMEOUT_EXPIRED:
        if (passed < HELIX_GPU_TIMEOUT_NS) {
            job->drawing_ns = passed;
            job->look_ns =
                now + MIN(MAX(passed / 8, HELIX_LOOK_NS), HELIX_MAX_LOOK_NS);
            break;
        }
        /* Not refused: to wait for such a GPU would stop the VM. */
        g_clear_pointer(&job->fence, glDeleteSync);
        helix_job_done(job, "the GPU has not drawn for 10 s");
        break;
    default:
        g_clear_pointer(&job->fence, glDeleteSync);
        helix_job_fail(p, job, "OpenGL does not tell when it has drawn",
                       glGetError());
        break;
    }
}

/* Where there is no context to look in: another display uses it, perhaps. */
static void helix_job_wait(HelixJob *job, int64_t now)
{
    if (now - job->begun_ns >= HELIX_GPU_TIMEOUT_NS) {
        helix_job_done(job, "the renderer's OpenGL context cannot be used");
    } else {
        job->look_ns = now + HELIX_MAX_LOOK_NS;
    }
}

/* The timer, for the next look of all. */
static void helix_pixels_arm(HelixPixelBuffers *p)
{
    int64_t next = INT64_MAX;
    unsigned i;

    for (i = 0; i < HELIX_JOBS; i++) {
        if (p->job[i].state == HELIX_JOB_DRAWN) {
            next = MIN(next, p->job[i].look_ns);
        }
    }
    if (next == INT64_MAX) {
        timer_del(p->timer);
    } else {
        timer_mod_ns(p->timer, next);
    }
}

/*
 * Tells the core what is done. It may read again before it returns, into a job
 * that has just become free.
 */
static void helix_pixels_tell(HelixPixelBuffers *p)
{
    struct helix_readback *readback;
    unsigned i;

    for (i = 0; i < HELIX_JOBS; i++) {
        HelixJob *job = &p->job[i];

        if (job->state != HELIX_JOB_DONE) {
            continue;
        }
        readback = job->readback;
        job->readback = NULL;
        job->state = HELIX_JOB_FREE;
        trace_helix_export_read_done(
            readback->surface.resource_id,
            (qemu_clock_get_ns(QEMU_CLOCK_REALTIME) - job->begun_ns) / 1000,
            job->why ?: "ok");
        helix_shim_display_read_done(p->export->shim, readback, job->why);
    }
}

/*
 * The buffers and the fences belong to all contexts that share with the
 * renderer's, the display's too, so they outlive its reset. They can be deleted
 * as long as the reset is pending. Behind it their names may be others'.
 */
void helix_pixels_settle(HelixExport *export)
{
    HelixPixelBuffers *p = export->pixels;
    bool alive = p && helix_virgl_reset_pending(export);
    unsigned i;

    if (!p || !p->stale || (alive && !helix_virgl_enter(export))) {
        return;
    }
    p->stale = false;
    for (i = 0; i < HELIX_JOBS; i++) {
        HelixJob *job = &p->job[i];

        if (alive && job->fence) {
            glDeleteSync(job->fence);
        }
        if (alive && job->buffer) {
            glDeleteBuffers(1, &job->buffer); /* which unmaps it */
        }
        job->fence = NULL;
        job->buffer = 0;
        job->room = 0;
        job->mapped = false;
    }
    if (alive && p->framebuffer) {
        glDeleteFramebuffers(1, &p->framebuffer);
    }
    p->framebuffer = 0;
    p->probed = false;
    export->ctx0 = NULL;
}

static void helix_pixels_timer(void *opaque)
{
    HelixPixelBuffers *p = opaque;
    int64_t now = qemu_clock_get_ns(QEMU_CLOCK_REALTIME);
    int64_t begin = now, end;
    bool entered;
    unsigned i;

    helix_loop_entered(p->export);
    helix_pixels_settle(p->export);
    entered = helix_virgl_ready(p->export) && helix_virgl_enter(p->export);
    for (i = 0; i < HELIX_JOBS; i++) {
        HelixJob *job = &p->job[i];

        if (job->state != HELIX_JOB_DRAWN) {
            continue;
        }
        if (entered) {
            helix_job_look(p, job, now);
        } else {
            helix_job_wait(job, now);
        }
        end = qemu_clock_get_ns(QEMU_CLOCK_REALTIME);
        job->readback->held_ns += end - begin;
        begin = end;
    }
    helix_pixels_arm(p);
    helix_pixels_tell(p);
}

static void helix_pixels_bh(void *opaque)
{
    HelixPixelBuffers *p = opaque;
    HelixCopy *copy;

    helix_loop_entered(p->export);
    helix_pixels_settle(p->export);
    while ((copy = helix_copier_pop(p->copier))) {
        helix_job_done(container_of(copy, HelixJob, copy), NULL);
    }
    helix_pixels_tell(p);
}

/* ---- for helix-readback.c ---- */

/* A job that is free, with enough room if there is one. */
static HelixJob *helix_pixels_job(HelixPixelBuffers *p, size_t size)
{
    HelixJob *found = NULL;
    unsigned i;

    for (i = 0; i < HELIX_JOBS; i++) {
        HelixJob *job = &p->job[i];

        if (job->state == HELIX_JOB_FREE &&
            (!found || (found->room < size && job->room > found->room))) {
            found = job;
        }
    }
    return found;
}

static size_t helix_pixels_size(const struct helix_readback *readback)
{
    size_t size = 0;
    uint32_t i;

    for (i = 0; i < readback->boxes; i++) {
        size += (size_t)readback->box[i].width * readback->box[i].height *
                HELIX_BYTES_PP;
    }
    return size;
}

bool helix_pixels_read(HelixExport *export, struct helix_readback *readback)
{
    HelixPixelBuffers *p = export->pixels;
    uint32_t id = readback->surface.resource_id;
    HelixPixelFormat format;
    HelixTexture texture;
    const char *step;
    unsigned code;
    HelixJob *job;

    if (!p || g_hash_table_contains(p->refused, GUINT_TO_POINTER(id)) ||
        !helix_virgl_texture(export, id, &texture) ||
        !helix_pixels_suits(p, readback, &texture)) {
        return false;
    }
    helix_pixels_settle(export);
    if ((p->probed && !p->able) || !helix_virgl_enter(export)) {
        return false;
    }
    if (!p->probed) {
        helix_pixels_probe(p);
    }
    job = helix_pixels_job(p, helix_pixels_size(readback));
    if (!p->able || !job || !helix_pixels_format(p, texture.fourcc, &format)) {
        return false;
    }
    job->readback = readback;
    job->orphan = false;
    job->size = helix_pixels_size(readback);
    if (!helix_pixels_submit(p, job, &texture, &format, &step, &code)) {
        job->readback = NULL;
        helix_pixels_refuse(p, id, step, code);
        return false;
    }
    job->state = HELIX_JOB_DRAWN;
    job->copy.upside_down = texture.upside_down;
    job->copy.swap = format.swap;
    job->begun_ns = qemu_clock_get_ns(QEMU_CLOCK_REALTIME);
    job->drawing_ns = 0;
    job->look_ns = job->begun_ns + MAX(p->first_ns, HELIX_FIRST_LOOK_NS);
    helix_pixels_arm(p);
    return true;
}

void helix_pixels_forget(HelixExport *export, uint32_t resource_id)
{
    HelixPixelBuffers *p = export->pixels;
    unsigned i;

    if (!p) {
        return;
    }
    g_hash_table_remove(p->refused, GUINT_TO_POINTER(resource_id));
    for (i = 0; i < HELIX_JOBS; i++) {
        HelixJob *job = &p->job[i];

        job->orphan |=
            job->readback && job->readback->surface.resource_id == resource_id;
    }
}

void helix_pixels_forget_all(HelixExport *export)
{
    HelixPixelBuffers *p = export->pixels;
    unsigned i;

    if (!p) {
        return;
    }
    g_hash_table_remove_all(p->refused);
    /* What is copied is mapped memory of the renderer's. */
    helix_copier_drain(p->copier);
    for (i = 0; i < HELIX_JOBS; i++) {
        if (p->job[i].state != HELIX_JOB_FREE) {
            helix_job_done(&p->job[i], "the GPU was reset");
        }
    }
    /* Before the device's own reset all stays in use: the main loop may run. */
    p->stale |= helix_virgl_reset_pending(export);
    qemu_bh_schedule(p->bh);
}

void helix_pixels_stop(HelixExport *export)
{
    if (export->pixels) {
        helix_copier_finish(export->pixels->copier);
    }
}

void helix_pixels_init(HelixExport *export)
{
    HelixPixelBuffers *p;

    if (!export->gl || export->readback == HELIX_READBACK_SYNC) {
        return;
    }
    p = g_new0(HelixPixelBuffers, 1);
    p->export = export;
    p->timer = timer_new_ns(QEMU_CLOCK_REALTIME, helix_pixels_timer, p);
    p->bh = aio_bh_new(iohandler_get_aio_context(), helix_pixels_bh, p);
    p->copier = helix_copier_new(p->bh);
    p->refused = g_hash_table_new(NULL, NULL);
    export->pixels = p;
}
#else
bool helix_pixels_read(HelixExport *export, struct helix_readback *readback)
{
    return false;
}

void helix_pixels_forget(HelixExport *export, uint32_t resource_id)
{
}

void helix_pixels_forget_all(HelixExport *export)
{
}

void helix_pixels_settle(HelixExport *export)
{
}

void helix_pixels_stop(HelixExport *export)
{
}

void helix_pixels_init(HelixExport *export)
{
}
#endif

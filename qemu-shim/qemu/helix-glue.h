/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of -device helix-export share. Each calls only those below
 * it:
 *   helix-export.c       the device: properties, start, when it serves
 *   helix-hook.c         the guest's commands
 *   helix-monitor.c      plugs monitors in and out
 *   helix-readback.c     finds and copies pixels
 *   helix-pixel-buffer.c copies a texture's without waiting for the GPU
 *   helix-virgl.c        the renderer's textures, copied by waiting for it
 *   helix-copier.c       a thread that copies
 *   helix-loop.c         the io thread and the main loop, for the core
 *
 * Thread "BQL" below: any thread, with the big lock held. Thread "main loop":
 * with the BQL held, on the thread whose GL contexts are QEMU's displays'.
 * QEMU calls the hooks with the BQL, but not always on that thread: a vCPU
 * resets the device, and it runs the device's own bottom halves where those
 * are in qemu_get_aio_context() (QEMU before 8.1), when it waits for the block
 * layer. So hooks only take notes; reading is left to the main loop
 * (helix_loop_may_read).
 */
#ifndef HELIX_GLUE_H
#define HELIX_GLUE_H

#include "helix-compat.h"
#include "helix-shim.h"

#define HELIX_BYTES_PP 4 /* of all pixels that are exported */

/* Memory of a guest blob, by the guest's addresses. */
typedef struct HelixPages HelixPages;

/*
 * How a guest lays out a framebuffer in a blob: only SET_SCANOUT_BLOB says so.
 */
typedef struct HelixLayout {
    uint32_t fourcc; /* 0 = it was not said */
    uint32_t width, height; /* pixels, of the whole framebuffer */
    uint32_t stride; /* bytes */
    uint32_t offset; /* bytes to the framebuffer's first pixel */
} HelixLayout;

/* A texture of the renderer's. */
typedef struct HelixTexture {
    uint32_t id; /* OpenGL's; 0 = it has none */
    uint32_t width, height, depth; /* pixels */
    uint32_t fourcc; /* of its resource, 0 = not a 32-bit RGB format */
    bool upside_down; /* its first row is the picture's last */
} HelixTexture;

/* Property `readback`: whether textures are read by pixel buffers. */
typedef enum HelixReadbackWay {
    HELIX_READBACK_AUTO, /* where a GPU does it */
    HELIX_READBACK_SYNC, /* never */
    HELIX_READBACK_ASYNC, /* where OpenGL can, even without a GPU */
} HelixReadbackWay;

typedef struct HelixCopier HelixCopier;
typedef struct HelixPixelBuffers HelixPixelBuffers;

/*
 * The exported GPU and what exports it. One a QEMU, and never freed: the
 * device cannot be unplugged, and QEMU does not unrealize devices at exit.
 * `opaque` of helix_loop_ops and of helix_display_ops.
 */
typedef struct HelixExport HelixExport;
struct HelixExport {
    VirtIOGPU *gpu;
    struct helix_shim *shim; /* NULL until the machine is complete */
    /* helix-loop.c's */
    void (*run_display)(HelixExport *export);
    AioContext *io;
    QEMUBH *io_bh, *display_bh;
    QEMUTimer *io_timer, *display_timer;
    QemuThread display_thread; /* what runs the main loop */
    bool display_known; /* it is noted */
    /* helix-readback.c's */
    bool gl; /* gpu is a VirtIOGPUGL */
    GHashTable *blobs; /* what the guest said of them: id -> HelixBlob */
    uint64_t page_count; /* entries of all their pages */
    /* helix-pixel-buffer.c's */
    HelixReadbackWay readback;
    HelixPixelBuffers *pixels; /* NULL = none are used */
    /* helix-virgl.c's */
    void *ctx0; /* the renderer's GL context, as far as it is known */
};

/* Whether a box lies within a picture of that size; it is not empty. */
static inline bool helix_box_within(const struct helix_rect *box,
                                    uint64_t width, uint64_t height)
{
    return box->width && box->height &&
           (uint64_t)box->x + box->width <= width &&
           (uint64_t)box->y + box->height <= height;
}

/* Bytes from a box's first pixel to its last, in rows of `stride`. */
static inline uint64_t helix_box_span(const struct helix_rect *box,
                                      uint32_t stride)
{
    return (uint64_t)stride * (box->height - 1) +
           (uint64_t)box->width * HELIX_BYTES_PP;
}

/* ---- helix-loop.c ---- */

extern const struct helix_loop_ops helix_loop_ops;

/*
 * Starts the io thread. `run_display` is called on the main loop when the core
 * wants to run there. export->shim is set before the core is used.
 */
bool helix_loop_start(HelixExport *export,
                      void (*run_display)(HelixExport *export), Error **errp);
/*
 * Runs fn(opaque) on the io thread and waits for it, `timeout_ms` at most
 * (-1 = for ever). Returns false if it did not finish in time. Thread: any but
 * the io thread.
 */
bool helix_loop_call(HelixExport *export, void (*fn)(void *opaque),
                     void *opaque, int timeout_ms);
/*
 * helix_display_ops.log. Prints one line through QEMU's error reporting, on the
 * io thread: stderr is often a pipe, and a reader that stopped must not stop
 * the VM. Thread: any.
 */
void helix_loop_log(void *export, enum helix_log_level level, const char *line);
/*
 * helix_display_ops.may_read: whether this is the main loop's thread, where GL
 * may be called. Returns false, too, before the main loop has run the display
 * once. Thread: BQL.
 */
bool helix_loop_may_read(void *export);
/*
 * First in each function that is a timer of the main list or a bottom half of
 * the I/O handlers' context: only main_loop_wait() runs these, no nested
 * polling does. So its thread becomes known, or is proved to be the same.
 */
void helix_loop_entered(HelixExport *export);
/* Makes the main loop run the display, soon. Thread: any. */
void helix_loop_wake_display(void *export);

/* ---- helix-copier.c ---- */

/*
 * Pixels to copy to a readback's dst. Ownership: the caller's; from
 * helix_copier_push() on neither it nor what it points to may change, until
 * helix_copier_pop() returned it, or helix_copier_drain().
 */
typedef struct HelixCopy {
    const struct helix_readback *readback;
    const uint8_t *src; /* box behind box, row behind row, without gaps */
    bool upside_down; /* the first row of each box is its last */
    bool swap; /* the first and the third byte of each pixel */
    QSIMPLEQ_ENTRY(HelixCopy) next; /* helix-copier.c's */
} HelixCopy;

/* Copies now. Thread: any. */
void helix_copy(const HelixCopy *copy);
/*
 * Starts the thread: a failure ends QEMU, so not while the VM runs. `done_bh`
 * is scheduled whenever a copy is done. Never freed.
 */
HelixCopier *helix_copier_new(QEMUBH *done_bh);
/* Thread: main loop. */
void helix_copier_push(HelixCopier *copier, HelixCopy *copy);
/* The next copy that is done. Returns NULL if there is none. Thread: any. */
HelixCopy *helix_copier_pop(HelixCopier *copier);
/*
 * Forgets all copies. Returns when none is being copied: as long as one takes,
 * some milliseconds. Thread: any, with or without the BQL.
 */
void helix_copier_drain(HelixCopier *copier);
/* Returns when all copies are done. Thread: any, with or without the BQL. */
void helix_copier_finish(HelixCopier *copier);

/* ---- helix-virgl.c ---- */

/* Whether the renderer may be called. Thread: BQL. */
bool helix_virgl_ready(HelixExport *export);
/*
 * Whether the renderer is to be reset at the guest's next command: what is
 * in its contexts still exists. Thread: BQL.
 */
bool helix_virgl_reset_pending(HelixExport *export);
/* Returns false if there is no such texture. Thread: BQL. */
bool helix_virgl_texture(HelixExport *export, uint32_t resource_id,
                         HelixTexture *texture);
/*
 * Makes the renderer's context current. Returns false if it cannot be; what
 * was current before still is. Thread: main loop.
 */
bool helix_virgl_enter(HelixExport *export);
/*
 * Takes the errors that OpenGL has noted. Returns true if pixels may be missing
 * because of one. In the renderer's context.
 */
bool helix_virgl_failed(void);
/*
 * Copies a box of a texture, top row first whatever its own orientation is,
 * and waits until the GPU has. Returns false and sets *why if it could not.
 * Thread: main loop.
 */
bool helix_virgl_read(HelixExport *export, uint32_t resource_id,
                      const struct helix_rect *box, uint8_t *dst,
                      uint32_t stride, const char **why);

/* ---- helix-pixel-buffer.c ---- */

/* Where there is a renderer and readback is not sync. */
void helix_pixels_init(HelixExport *export);
/*
 * Begins to read a texture; helix_shim_display_read_done() tells the end.
 * Returns false if this one is to be read by helix_virgl_read(); nothing has
 * begun then. Thread: main loop.
 */
bool helix_pixels_read(HelixExport *export, struct helix_readback *readback);
/*
 * The resource goes away: what is being read of it is read to the end.
 * Thread: BQL.
 */
void helix_pixels_forget(HelixExport *export, uint32_t resource_id);
/*
 * The device is being reset: all reads fail, soon, and the renderer's memory
 * is not touched any more when this returns. Thread: BQL.
 */
void helix_pixels_forget_all(HelixExport *export);
/*
 * Behind the device's reset, and before a command of the guest's, with which
 * the renderer is reset: deletes what is OpenGL's. Thread: main loop.
 */
void helix_pixels_settle(HelixExport *export);
/*
 * QEMU ends, perhaps: when this returns the renderer's memory is not touched
 * any more, unless the main loop runs on. Thread: any.
 */
void helix_pixels_stop(HelixExport *export);

/* ---- helix-readback.c ---- */

/* For export->gpu. */
void helix_readback_init(HelixExport *export);
/* DRM fourcc of an enum virtio_gpu_formats, 0 = not a 32-bit RGB format. */
uint32_t helix_readback_fourcc(uint32_t format);
/*
 * Remembers a blob's layout; the newest counts. Returns false if it does not
 * lie within the blob, or there is no such resource, or not of that kind.
 */
bool helix_readback_layout(HelixExport *export, uint32_t resource_id,
                           const HelixLayout *layout);
bool helix_readback_is_blob(HelixExport *export, uint32_t resource_id);
/*
 * The `count` pages that follow `offset` bytes of a command. Returns NULL if
 * there are not as many, or more than a command may have; else g_free() it.
 */
HelixPages *helix_pages_fetch(const struct virtio_gpu_ctrl_command *cmd,
                              size_t offset, uint32_t count);
/*
 * The guest gave a blob these pages. Takes ownership. Ignored if the blob has
 * some, as the renderer does.
 */
void helix_readback_attach(HelixExport *export, uint32_t resource_id,
                           HelixPages *pages);
/* The guest takes a resource's pages back: they are not read any more. */
void helix_readback_detach(HelixExport *export, uint32_t resource_id);
/* The resource goes away; the guest may have named any id. */
void helix_readback_forget(HelixExport *export, uint32_t resource_id);
/* The device is being reset: all go away. */
void helix_readback_forget_all(HelixExport *export);
/* helix_display_ops.resource: whole size and format of a resource. */
bool helix_readback_resource(void *export, uint32_t resource_id,
                             struct helix_surface *surface);
/*
 * Copies all boxes, and waits for the GPU if need be. Returns false and sets
 * *why if it could not. Thread: main loop.
 */
bool helix_readback_read_now(HelixExport *export,
                             const struct helix_readback *readback,
                             const char **why);
/* helix_display_ops.read. Thread: main loop. */
enum helix_read helix_readback_read(void *export,
                                    struct helix_readback *readback,
                                    const char **why);

/* ---- helix-monitor.c ---- */

/*
 * helix_display_ops.set_scanout. The guest learns of it later. Thread: main
 * loop.
 */
bool helix_monitor_set(void *export, const struct helix_set_scanout *set,
                       const char **why);
/* The guest asks which outputs are on, and their sizes. Thread: BQL. */
void helix_monitor_asked(HelixExport *export);
/* The guest asks for the modes of an output. Thread: BQL. */
void helix_monitor_asked_edid(HelixExport *export, uint32_t output);
/* The device was reset: the guest knows nothing. Thread: BQL. */
void helix_monitor_reset(void);

/* ---- helix-hook.c ---- */

/*
 * The virtio-gpu to export: the one that `id` names (a -device id), else the
 * first one of the machine.
 */
VirtIOGPU *helix_hook_find_gpu(const char *id, Error **errp);
/* From here on export->shim is told what export->gpu does. Once. */
void helix_hook_install(HelixExport *export);
/* Tells what changed since, and could not be told there. Thread: main loop. */
void helix_hook_catch_up(void);

#endif /* HELIX_GLUE_H */

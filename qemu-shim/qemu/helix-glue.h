/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the glue's files owe one another. helix-export.c is the device and
 * owns the rest; helix-loop.c gives the core its two loops; helix-hook.c
 * listens to virtio-gpu's commands, helix-hook-cursor.c to its cursor queue;
 * helix-plug.c plugs monitors; helix-serve.c says when the socket is served;
 * helix-readback.c finds and copies pixels, helix-pages.c from guest memory,
 * helix-virgl.c from textures.
 *
 * "BQL" below means: with the big lock held, on any thread. "Main loop" means:
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

/* ---- helix-loop.c ---- */

typedef struct HelixLoop HelixLoop;

/* The loops as the core wants them; `loop` is a HelixLoop. */
extern const struct helix_loop_ops helix_loop_ops;

/* Starts the io thread. */
HelixLoop *helix_loop_new(Error **errp);
/* Whom to call; before anything else uses the loop. */
void helix_loop_set_shim(HelixLoop *loop, struct helix_shim *shim);
/*
 * Runs fn(opaque) on the io thread and waits for it, `timeout_ms` at most
 * (-1 = for ever). False: it did not finish in time. Never from the io thread.
 */
bool helix_loop_call(HelixLoop *loop, void (*fn)(void *opaque), void *opaque,
                     int timeout_ms);
/*
 * Prints one line through QEMU's error reporting, on the io thread: stderr is
 * often a pipe, and a reader that stopped must not stop the VM. Any thread.
 */
void helix_loop_log(HelixLoop *loop, enum helix_log_level level,
                    const char *line);
/*
 * Whether this is the main loop's thread, where GL may be called. False, too,
 * before the main loop ran the display for the first time. BQL.
 */
bool helix_loop_may_read(HelixLoop *loop);
/* Makes the main loop run the display, soon. Any thread. */
void helix_loop_wake_display(HelixLoop *loop);
/* Joins the io thread; the shim is not called any more. Main loop. */
void helix_loop_free(HelixLoop *loop);

/* ---- helix-pages.c ---- */

/*
 * Guest memory that the guest named by its addresses, which are all that is
 * kept: a read translates them anew, so there is no pointer to get stale.
 */
typedef struct HelixPages HelixPages;

/*
 * The `count` entries that follow `offset` bytes of a command. NULL: there are
 * not as many, or more than a command may have.
 */
HelixPages *helix_pages_fetch(const struct virtio_gpu_ctrl_command *cmd,
                              size_t offset, uint32_t count);
uint32_t helix_pages_count(const HelixPages *pages);
/*
 * Copies `rows` rows of `row` bytes, the first from `offset` and each `pitch`
 * bytes behind the one before, to rows of `stride` bytes. False: the pages end
 * before, or cannot be read.
 */
bool helix_pages_read(const HelixPages *pages, AddressSpace *as,
                      uint64_t offset, uint32_t pitch, uint8_t *dst,
                      uint32_t stride, size_t row, uint32_t rows);

/* ---- helix-virgl.c ---- */

/* Textures exist here: a GPU with virgl, and the renderer runs. BQL. */
bool helix_virgl_ready(VirtIOGPU *gpu);
/* Whole size and format of a texture. False: there is none. BQL. */
bool helix_virgl_resource(VirtIOGPU *gpu, uint32_t resource_id,
                          struct helix_surface *surface);
/*
 * Copies a box of a texture, top row first whatever its own orientation is.
 * `ctx0` remembers between calls which GL context is the renderer's; NULL at
 * first and after a reset. Main loop.
 */
bool helix_virgl_read(VirtIOGPU *gpu, void **ctx0, uint32_t resource_id,
                      const struct helix_rect *box, uint8_t *dst,
                      uint32_t stride, const char **why);

/* ---- helix-readback.c ---- */

/* How a guest lays out a framebuffer in a blob: SET_SCANOUT_BLOB only says. */
typedef struct HelixBlob {
    uint32_t resource_id; /* 0 = unused */
    uint32_t fourcc;
    uint32_t width, height; /* pixels, of the whole framebuffer */
    uint32_t stride; /* bytes */
    uint32_t offset; /* bytes to the framebuffer's first pixel */
} HelixBlob;

/* Two flipped framebuffers for each of 16 scanouts. */
#define HELIX_BLOBS 32

typedef struct HelixReadback {
    VirtIOGPU *gpu;
    HelixLoop *loop;
    bool gl; /* gpu is a VirtIOGPUGL */
    void *ctx0; /* helix_virgl_read()'s */
    HelixBlob blob[HELIX_BLOBS];
    unsigned next_blob; /* round robin */
    GHashTable *pages; /* of guest blobs in GL mode: id -> HelixPages */
    uint64_t page_count;
} HelixReadback;

void helix_readback_init(HelixReadback *readback, VirtIOGPU *gpu,
                         HelixLoop *loop);
/* DRM fourcc of an enum virtio_gpu_formats, 0 = not a 32-bit RGB format. */
uint32_t helix_readback_fourcc(uint32_t virtio_gpu_format);
/*
 * Remembers a blob's layout, after checking that it lies within the blob.
 * False: it does not, or there is no such resource, or not of that kind.
 */
bool helix_readback_blob(HelixReadback *readback, const HelixBlob *blob);
/*
 * The guest gave a blob these pages, which become readback's. Ignored if it
 * has some, as the renderer does.
 */
void helix_readback_attach(HelixReadback *readback, uint32_t resource_id,
                           HelixPages *pages);
/* The guest takes a resource's pages back: they are not read any more. */
void helix_readback_detach(HelixReadback *readback, uint32_t resource_id);
/* Bytes of a blob, 0 = there is no such blob. */
uint64_t helix_readback_blob_size(HelixReadback *readback,
                                  uint32_t resource_id);
/* The resource goes away; 0 = all do. */
void helix_readback_forget(HelixReadback *readback, uint32_t resource_id);
/* helix_display_ops.resource: whole size and format of a resource. */
bool helix_readback_resource(HelixReadback *readback, uint32_t resource_id,
                             struct helix_surface *surface);
/* helix_display_ops.read. Main loop. */
bool helix_readback_read(HelixReadback *readback,
                         const struct helix_surface *surface,
                         const struct helix_rect *box, void *dst,
                         uint32_t stride, const char **why);

/* ---- helix-hook.c ---- */

/*
 * The virtio-gpu to export: the one that `id` names (a -device id), else the
 * first one of the machine.
 */
VirtIOGPU *helix_hook_find_gpu(const char *id, Error **errp);
/* From here on `shim` is told what `readback`'s GPU does. One at a time. */
void helix_hook_install(HelixReadback *readback, struct helix_shim *shim,
                        HelixLoop *loop);
/* Tells what changed since, and could not be told there. Main loop. */
void helix_hook_catch_up(void);
/* Puts the device's own functions back. */
void helix_hook_remove(void);

/* ---- helix-hook-cursor.c ---- */

/* From here on `shim` is told of the cursors of `readback`'s GPU. */
void helix_hook_cursor_install(HelixReadback *readback, struct helix_shim *shim,
                               HelixLoop *loop);
/* Puts the device's own functions back. */
void helix_hook_cursor_remove(void);
/* The cursors may have changed by another way than the cursor queue. */
void helix_hook_cursor_changed(void);
/* Tells what changed since. Costs nothing if nothing did. Main loop. */
void helix_hook_cursor_catch_up(void);
/* Device reset: no scanout has a cursor. */
void helix_hook_cursor_reset(void);

/* ---- helix-serve.c ---- */

/*
 * Whether the socket could be had; nothing is left behind. Not that it is
 * served already, if a migration comes in.
 */
bool helix_serve_check(struct helix_shim *shim, Error **errp);
/*
 * From here on the socket is served while the VM runs in this process. Fails
 * only where the VM does not come from another one. One at a time.
 */
bool helix_serve_begin(HelixLoop *loop, struct helix_shim *shim, Error **errp);
/* The VM's comings and goings are not heeded any more. */
void helix_serve_end(void);

/* ---- helix-plug.c ---- */

/* helix_display_ops.set_scanout. */
bool helix_plug_set(VirtIOGPU *gpu, const struct helix_set_scanout *set,
                    const char **why);

#endif /* HELIX_GLUE_H */

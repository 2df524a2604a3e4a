/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the glue's files owe one another. helix-export.c is the device and
 * owns the rest; helix-loop.c gives the core its two loops; helix-hook.c
 * listens to virtio-gpu's commands, helix-hook-cursor.c to its cursor queue;
 * helix-plug.c plugs monitors; helix-readback.c finds and copies pixels.
 *
 * "Main loop" below means: with the BQL held, on the thread that owns the GL
 * context. Everything but helix-loop.c runs there only.
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
/* Joins the io thread; the shim is not called any more. Main loop. */
void helix_loop_free(HelixLoop *loop);

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
    bool gl; /* gpu is a VirtIOGPUGL */
    HelixBlob blob[HELIX_BLOBS];
    unsigned next_blob; /* round robin */
} HelixReadback;

void helix_readback_init(HelixReadback *readback, VirtIOGPU *gpu);
/* DRM fourcc of an enum virtio_gpu_formats, 0 = not a 32-bit RGB format. */
uint32_t helix_readback_fourcc(uint32_t virtio_gpu_format);
/*
 * Remembers a blob's layout, after checking that it lies within the blob.
 * False: it does not, or there is no such resource, or not of that kind.
 */
bool helix_readback_blob(HelixReadback *readback, const HelixBlob *blob);
/* The resource goes away; 0 = all do. */
void helix_readback_forget(HelixReadback *readback, uint32_t resource_id);
/* helix_display_ops.resource: whole size and format of a resource. */
bool helix_readback_resource(HelixReadback *readback, uint32_t resource_id,
                             struct helix_surface *surface);
/* helix_display_ops.read. */
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
/* Puts the device's own functions back. */
void helix_hook_remove(void);

/* ---- helix-hook-cursor.c ---- */

/* From here on `shim` is told of the cursors of `readback`'s GPU. */
void helix_hook_cursor_install(HelixReadback *readback,
                               struct helix_shim *shim);
/* Puts the device's own functions back. */
void helix_hook_cursor_remove(void);
/* The cursors may have changed by another way than the cursor queue. */
void helix_hook_cursor_changed(void);
/* Tells what changed while nobody watched. Costs nothing if nothing did. */
void helix_hook_cursor_catch_up(void);
/* Device reset: no scanout has a cursor. */
void helix_hook_cursor_reset(void);

/* ---- helix-plug.c ---- */

/* helix_display_ops.set_scanout. */
bool helix_plug_set(VirtIOGPU *gpu, const struct helix_set_scanout *set,
                    const char **why);

#endif /* HELIX_GLUE_H */

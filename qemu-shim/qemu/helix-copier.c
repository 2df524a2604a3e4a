/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A thread that copies pixels, so that the main loop does not.
 *
 * It has one lock of its own and takes no other: the big lock's holder may
 * wait for it.
 */

#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "qemu/thread.h"
#include "helix-glue.h"

struct HelixCopier {
    QEMUBH *done_bh;
    QemuThread thread;
    QemuMutex lock;
    QemuCond wake; /* there is something to copy */
    QemuCond idle; /* nothing is being copied */
    /* Lock: */
    QSIMPLEQ_HEAD(, HelixCopy) waiting, done;
    bool busy;
};

static void helix_copy_row(uint8_t *dst, const uint8_t *src, size_t pixels,
                           bool swap)
{
    uint32_t pixel;
    size_t i;

    if (!swap) {
        memcpy(dst, src, pixels * HELIX_BYTES_PP);
        return;
    }
    for (i = 0; i < pixels; i++) {
        memcpy(&pixel, src + i * HELIX_BYTES_PP, HELIX_BYTES_PP);
        /* The bytes' order is the same in either byte order of the host. */
        pixel = (pixel & 0xff00ff00u) | (pixel & 0x000000ffu) << 16 |
                (pixel & 0x00ff0000u) >> 16;
        memcpy(dst + i * HELIX_BYTES_PP, &pixel, HELIX_BYTES_PP);
    }
}

void helix_copy(const HelixCopy *copy)
{
    const struct helix_readback *readback = copy->readback;
    const uint8_t *src = copy->src;
    uint32_t i, y;

    for (i = 0; i < readback->boxes; i++) {
        const struct helix_rect *box = &readback->box[i];
        size_t row = (size_t)box->width * HELIX_BYTES_PP;
        uint8_t *dst = helix_readback_dst(readback, i);

        for (y = 0; y < box->height; y++) {
            uint32_t from = copy->upside_down ? box->height - 1 - y : y;

            helix_copy_row(dst, src + from * row, box->width, copy->swap);
            dst += readback->stride;
        }
        src += row * box->height;
    }
}

static void *helix_copier_run(void *opaque)
{
    HelixCopier *copier = opaque;
    HelixCopy *copy;

    qemu_mutex_lock(&copier->lock);
    for (;;) {
        copy = QSIMPLEQ_FIRST(&copier->waiting);
        if (!copy) {
            copier->busy = false;
            qemu_cond_signal(&copier->idle);
            qemu_cond_wait(&copier->wake, &copier->lock);
            continue;
        }
        QSIMPLEQ_REMOVE_HEAD(&copier->waiting, next);
        copier->busy = true;
        qemu_mutex_unlock(&copier->lock);
        helix_copy(copy);
        qemu_mutex_lock(&copier->lock);
        QSIMPLEQ_INSERT_TAIL(&copier->done, copy, next);
        qemu_bh_schedule(copier->done_bh);
    }
    return NULL;
}

HelixCopier *helix_copier_new(QEMUBH *done_bh)
{
    HelixCopier *copier = g_new0(HelixCopier, 1);

    copier->done_bh = done_bh;
    qemu_mutex_init(&copier->lock);
    qemu_cond_init(&copier->wake);
    qemu_cond_init(&copier->idle);
    QSIMPLEQ_INIT(&copier->waiting);
    QSIMPLEQ_INIT(&copier->done);
    qemu_thread_create(&copier->thread, "helix-copier", helix_copier_run,
                       copier, QEMU_THREAD_DETACHED);
    return copier;
}

void helix_copier_push(HelixCopier *copier, HelixCopy *copy)
{
    qemu_mutex_lock(&copier->lock);
    QSIMPLEQ_INSERT_TAIL(&copier->waiting, copy, next);
    qemu_cond_signal(&copier->wake);
    qemu_mutex_unlock(&copier->lock);
}

HelixCopy *helix_copier_pop(HelixCopier *copier)
{
    HelixCopy *copy;

    qemu_mutex_lock(&copier->lock);
    copy = QSIMPLEQ_FIRST(&copier->done);
    if (copy) {
        QSIMPLEQ_REMOVE_HEAD(&copier->done, next);
    }
    qemu_mutex_unlock(&copier->lock);
    return copy;
}

void helix_copier_drain(HelixCopier *copier)
{
    qemu_mutex_lock(&copier->lock);
    QSIMPLEQ_INIT(&copier->waiting);
    while (copier->busy) {
        qemu_cond_wait(&copier->idle, &copier->lock);
    }
    QSIMPLEQ_INIT(&copier->done);
    qemu_mutex_unlock(&copier->lock);
}

void helix_copier_finish(HelixCopier *copier)
{
    qemu_mutex_lock(&copier->lock);
    while (copier->busy || QSIMPLEQ_FIRST(&copier->waiting)) {
        qemu_cond_wait(&copier->idle, &copier->lock);
    }
    qemu_mutex_unlock(&copier->lock);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What differs between the QEMU versions that the helix glue is built for:
 * 7.2, 10.0 and 10.2. Nothing else in this directory asks for a version, but
 * helix-export.c for what QEMU tells of a migration.
 *
 * Include after qemu/osdep.h.
 */
#ifndef HELIX_COMPAT_H
#define HELIX_COMPAT_H

#include "block/aio.h"
#include "hw/qdev-properties.h"
#include "hw/virtio/virtio-gpu.h"
#include "qemu/timer.h"

#if QEMU_VERSION_MAJOR >= 10
#include "system/dma.h"
#include "system/iothread.h"
#include "system/runstate.h"
#include "system/system.h"
#else
#include "sysemu/dma.h"
#include "sysemu/iothread.h"
#include "sysemu/runstate.h"
#include "sysemu/sysemu.h"
#endif

/*
 * virglrenderer can be asked: the GL device is compiled in. 7.2 does not tell,
 * but has its headers in the search path only then.
 */
#if defined(CONFIG_OPENGL) && defined(VIRGL_VERSION_MAJOR)
#define HELIX_HAVE_VIRGL 1
#elif defined(CONFIG_OPENGL) && QEMU_VERSION_MAJOR < 8
#if __has_include(<virglrenderer.h>)
#define HELIX_HAVE_VIRGL 1
#endif
#endif
/* Host blobs (Venus, or virgl's own) exist. */
#if defined(HELIX_HAVE_VIRGL) && defined(VIRGL_VERSION_MAJOR) &&               \
    VIRGL_VERSION_MAJOR >= 1
#define HELIX_HAVE_HOST_BLOB 1
#endif

/* Property arrays became const, and lost their end marker, in 10.0. */
#if QEMU_VERSION_MAJOR >= 10
#define HELIX_PROPERTIES static const Property
#define HELIX_PROPERTIES_END
#else
#define HELIX_PROPERTIES static Property
#define HELIX_PROPERTIES_END DEFINE_PROP_END_OF_LIST(),
#endif

/* class_init's second argument became const in 10.1. */
#if QEMU_VERSION_MAJOR > 10 ||                                                 \
    (QEMU_VERSION_MAJOR == 10 && QEMU_VERSION_MINOR >= 1)
typedef const void HelixClassData;
#else
typedef void HelixClassData;
#endif

static inline void helix_compat_set_fd_handler(AioContext *ctx, int fd,
                                               IOHandler *readable,
                                               IOHandler *writable,
                                               void *opaque)
{
#if QEMU_VERSION_MAJOR >= 9
    aio_set_fd_handler(ctx, fd, readable, writable, NULL, NULL, opaque);
#else
    aio_set_fd_handler(ctx, fd, false, readable, writable, NULL, NULL, opaque);
#endif
}

#ifdef HELIX_HAVE_VIRGL
/* virgl_renderer_* may be called: initialised, and no reset pending. */
static inline bool helix_compat_renderer_ready(VirtIOGPUGL *gl)
{
#if QEMU_VERSION_MAJOR >= 10
    return gl->renderer_state == RS_INITED;
#else
    return gl->renderer_inited && !gl->renderer_reset;
#endif
}

/*
 * It was initialised, and is to be reset: at the guest's next command, on the
 * main loop. Until then its contexts exist.
 */
static inline bool helix_compat_renderer_reset_pending(VirtIOGPUGL *gl)
{
#if QEMU_VERSION_MAJOR >= 10
    return gl->renderer_state == RS_RESET;
#else
    return gl->renderer_inited && gl->renderer_reset;
#endif
}
#endif

#endif /* HELIX_COMPAT_H */

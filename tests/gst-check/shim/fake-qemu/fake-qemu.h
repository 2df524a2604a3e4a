/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * As much of QEMU 10 and virglrenderer 1 as the readback (qemu-shim/qemu) asks
 * of them, for its unit test. The structs have only the fields that it uses;
 * QEMU's own are larger. The test defines what the functions do.
 */
#ifndef FAKE_QEMU_H
#define FAKE_QEMU_H

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/uio.h>

#include <glib.h>
#include <pixman.h>

#define QEMU_VERSION_MAJOR 10
#define QEMU_VERSION_MINOR 0
#define VIRGL_VERSION_MAJOR 1
#define CONFIG_OPENGL 1

#define ARRAY_SIZE G_N_ELEMENTS
#define le32_to_cpu(x) GUINT32_FROM_LE (x)
#define le64_to_cpu(x) GUINT64_FROM_LE (x)

/* ---- objects ---- */

typedef struct AioContext AioContext;
typedef struct Error Error;
typedef struct Object Object;
typedef struct MemoryRegion MemoryRegion;
typedef struct Property Property;
typedef struct QEMUBH QEMUBH;
typedef struct QEMUTimer QEMUTimer;
typedef struct QemuThread {
  int id;
} QemuThread;
typedef void IOHandler (void *opaque);

#define OBJECT(o) ((Object *) (o))
#define MEMORY_REGION(o) ((MemoryRegion *) (o))
#define TYPE_MEMORY_REGION "memory-region"
#define TYPE_VIRTIO_GPU_GL "virtio-gpu-gl-device"
#define VIRTIO_DEVICE(g) (&(g)->parent)
#define VIRTIO_GPU_GL(g) ((VirtIOGPUGL *) (g))

void *object_dynamic_cast (Object *obj, const char *type);
Object *object_resolve_path_component (Object *parent, const char *part);
uint64_t memory_region_size (MemoryRegion *mr);
void *memory_region_get_ram_ptr (MemoryRegion *mr);
void aio_set_fd_handler (AioContext *ctx, int fd, IOHandler *readable,
    IOHandler *writable, void *poll, void *ready, void *opaque);

/* ---- memory ---- */

typedef struct AddressSpace AddressSpace;
typedef struct MemTxAttrs {
  unsigned memory : 1;
} MemTxAttrs;
typedef uint32_t MemTxResult;
#define MEMTX_OK 0
#define MEMTX_ERROR 1

MemTxResult dma_memory_read (AddressSpace *as, uint64_t address, void *buffer,
    uint64_t size, MemTxAttrs attrs);
size_t iov_to_buf (const struct iovec *iov, unsigned count, size_t offset,
    void *buffer, size_t size);

/* ---- virtio-gpu ---- */

enum {
  VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM = 1,
  VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM = 2,
  VIRTIO_GPU_FORMAT_A8R8G8B8_UNORM = 3,
  VIRTIO_GPU_FORMAT_X8R8G8B8_UNORM = 4,
  VIRTIO_GPU_FORMAT_R8G8B8A8_UNORM = 67,
  VIRTIO_GPU_FORMAT_X8B8G8R8_UNORM = 68,
  VIRTIO_GPU_FORMAT_A8B8G8R8_UNORM = 121,
  VIRTIO_GPU_FORMAT_R8G8B8X8_UNORM = 134,
};

struct virtio_gpu_mem_entry {
  uint64_t addr;
  uint32_t length;
  uint32_t padding;
};

struct virtio_gpu_box {
  uint32_t x, y, z, w, h, d;
};

struct virtio_gpu_simple_resource {
  uint32_t resource_id, width, height, format;
  struct iovec *iov;
  unsigned iov_cnt;
  pixman_image_t *image;
  uint64_t blob_size;
  TAILQ_ENTRY (virtio_gpu_simple_resource) next;
};

struct virtio_gpu_ctrl_command {
  struct {
    struct iovec *out_sg;
    unsigned out_num;
  } elem;
};

typedef struct VirtIODevice {
  AddressSpace *dma_as;
} VirtIODevice;

typedef struct VirtIOGPU {
  VirtIODevice parent;
  TAILQ_HEAD (, virtio_gpu_simple_resource) reslist;
} VirtIOGPU;

enum { RS_START, RS_INIT_FAILED, RS_INITED, RS_RESET };

typedef struct VirtIOGPUGL {
  VirtIOGPU parent_obj;
  int renderer_state;
} VirtIOGPUGL;

#define QTAILQ_FOREACH TAILQ_FOREACH

/* ---- virglrenderer ---- */

struct virgl_box;
struct virgl_renderer_resource_info {
  uint32_t handle, virgl_format, width, height;
};

int virgl_renderer_resource_get_info (
    int handle, struct virgl_renderer_resource_info *info);
void virgl_renderer_force_ctx_0 (void);
int virgl_renderer_transfer_read_iov (uint32_t handle, uint32_t ctx,
    uint32_t level, uint32_t stride, uint32_t layer_stride,
    struct virgl_box *box, uint64_t offset, struct iovec *iov, int count);
int virgl_renderer_resource_map (uint32_t handle, void **map, uint64_t *size);
int virgl_renderer_resource_unmap (uint32_t handle);

/* ---- EGL, OpenGL ---- */

typedef void *EGLDisplay, *EGLSurface, *EGLContext;
#define EGL_NO_CONTEXT NULL
#define EGL_NO_SURFACE NULL
#define EGL_DRAW 0x3059
#define EGL_READ 0x305a
#define GL_NO_ERROR 0
#define GL_OUT_OF_MEMORY 0x0505
#define GL_INVALID_FRAMEBUFFER_OPERATION 0x0506
#define GL_CONTEXT_LOST 0x0507
#define GL_VERSION 0x1f02

bool epoxy_has_egl (void);
EGLDisplay eglGetCurrentDisplay (void);
EGLSurface eglGetCurrentSurface (int which);
EGLContext eglGetCurrentContext (void);
unsigned eglMakeCurrent (
    EGLDisplay display, EGLSurface draw, EGLSurface read, EGLContext context);
unsigned glGetError (void);
const unsigned char *glGetString (unsigned name);

void trace_helix_export_read (uint32_t resource, uint32_t x, uint32_t y,
    uint32_t width, uint32_t height, const char *result);

#endif /* FAKE_QEMU_H */

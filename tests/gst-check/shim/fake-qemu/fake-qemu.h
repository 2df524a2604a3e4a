/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * As much of QEMU 10 and virglrenderer 1 as the readback and the monitors
 * (qemu-shim/qemu) ask of them, for their unit tests. The structs have only the
 * fields that are used; QEMU's own are larger. Each test defines what the
 * functions do.
 */
#ifndef FAKE_QEMU_H
#define FAKE_QEMU_H

#include <inttypes.h>
#include <pthread.h>
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
#define container_of(pointer, type, member) \
  ((type *) (void *) ((char *) (pointer) -offsetof (type, member)))
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
typedef void IOHandler (void *opaque);

/* ---- loops, threads ---- */

typedef pthread_mutex_t QemuMutex;
typedef pthread_cond_t QemuCond;
typedef struct QemuThread {
  GThread *thread;
} QemuThread;
typedef enum { QEMU_CLOCK_REALTIME, QEMU_CLOCK_VIRTUAL } QEMUClockType;
#define QEMU_THREAD_DETACHED 1
#define NANOSECONDS_PER_SECOND 1000000000LL

/* Of pthread, which ThreadSanitizer knows. */
#define qemu_mutex_init(mutex) pthread_mutex_init (mutex, NULL)
#define qemu_mutex_lock pthread_mutex_lock
#define qemu_mutex_unlock pthread_mutex_unlock
#define qemu_cond_init(cond) pthread_cond_init (cond, NULL)
#define qemu_cond_signal pthread_cond_signal
#define qemu_cond_wait pthread_cond_wait

static inline void
qemu_thread_create (QemuThread *thread, const char *name,
    void *(*run) (void *opaque), void *opaque, int mode)
{
  thread->thread = g_thread_new (name, run, opaque);
  g_thread_unref (thread->thread);
}

AioContext *iohandler_get_aio_context (void);
QEMUBH *aio_bh_new (AioContext *ctx, void (*run) (void *opaque), void *opaque);
void qemu_bh_schedule (QEMUBH *bh);
QEMUTimer *timer_new_ns (
    QEMUClockType clock, void (*run) (void *opaque), void *opaque);
void timer_mod_ns (QEMUTimer *timer, int64_t deadline);
void timer_del (QEMUTimer *timer);
int64_t qemu_clock_get_ns (QEMUClockType clock);
QEMUTimer *timer_new_ms (
    QEMUClockType clock, void (*run) (void *opaque), void *opaque);
void timer_mod (QEMUTimer *timer, int64_t deadline);
int64_t qemu_clock_get_ms (QEMUClockType clock);

#define OBJECT(o) ((Object *) (o))
#define MEMORY_REGION(o) ((MemoryRegion *) (o))
#define TYPE_MEMORY_REGION "memory-region"
#define TYPE_VIRTIO_GPU_GL "virtio-gpu-gl-device"
#define VIRTIO_DEVICE(g) (&(g)->parent_obj.parent_obj)
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

#define VIRTIO_GPU_MAX_SCANOUTS 16
#define VIRTIO_GPU_EVENT_DISPLAY 1u

typedef struct QemuConsole QemuConsole;
typedef struct QemuUIInfo {
  uint16_t width_mm, height_mm;
  int xoff, yoff;
  uint32_t width, height, refresh_rate;
} QemuUIInfo;

struct virtio_gpu_requested_state {
  uint16_t width_mm, height_mm;
  uint32_t width, height, refresh_rate;
  int x, y;
};

typedef struct VirtIOGPUBase {
  VirtIODevice parent_obj;
  struct {
    uint32_t max_outputs;
  } conf;
  struct {
    uint32_t events_read;
  } virtio_config;
  struct {
    QemuConsole *con;
  } scanout[VIRTIO_GPU_MAX_SCANOUTS];
  int enabled_output_bitmask;
  struct virtio_gpu_requested_state req_state[VIRTIO_GPU_MAX_SCANOUTS];
} VirtIOGPUBase;

bool dpy_ui_info_supported (const QemuConsole *console);
const QemuUIInfo *dpy_get_ui_info (const QemuConsole *console);
int dpy_set_ui_info (QemuConsole *console, QemuUIInfo *info, bool delay);
void virtio_notify_config (VirtIODevice *device);

typedef struct VirtIOGPU {
  VirtIOGPUBase parent_obj;
  TAILQ_HEAD (, virtio_gpu_simple_resource) reslist;
} VirtIOGPU;

enum { RS_START, RS_INIT_FAILED, RS_INITED, RS_RESET };

typedef struct VirtIOGPUGL {
  VirtIOGPU parent_obj;
  int renderer_state;
} VirtIOGPUGL;

#define QTAILQ_FOREACH TAILQ_FOREACH
#define QSIMPLEQ_HEAD STAILQ_HEAD
#define QSIMPLEQ_ENTRY STAILQ_ENTRY
#define QSIMPLEQ_INIT STAILQ_INIT
#define QSIMPLEQ_FIRST STAILQ_FIRST
#define QSIMPLEQ_INSERT_TAIL STAILQ_INSERT_TAIL
#define QSIMPLEQ_REMOVE_HEAD STAILQ_REMOVE_HEAD

/* ---- virglrenderer ---- */

struct virgl_box;
struct virgl_renderer_resource_info {
  uint32_t handle, virgl_format, width, height, depth, flags, tex_id;
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

bool epoxy_has_egl (void);
EGLDisplay eglGetCurrentDisplay (void);
EGLSurface eglGetCurrentSurface (int which);
EGLContext eglGetCurrentContext (void);
unsigned eglMakeCurrent (
    EGLDisplay display, EGLSurface draw, EGLSurface read, EGLContext context);

typedef unsigned GLenum, GLuint, GLbitfield;
typedef int GLint, GLsizei;
typedef struct FakeSync *GLsync;
#define GL_NO_ERROR 0
#define GL_INVALID_OPERATION 0x0502
#define GL_OUT_OF_MEMORY 0x0505
#define GL_INVALID_FRAMEBUFFER_OPERATION 0x0506
#define GL_CONTEXT_LOST 0x0507
#define GL_PACK_ROW_LENGTH 0x0d02
#define GL_PACK_SKIP_ROWS 0x0d03
#define GL_PACK_SKIP_PIXELS 0x0d04
#define GL_PACK_ALIGNMENT 0x0d05
#define GL_TEXTURE_2D 0x0de1
#define GL_UNSIGNED_BYTE 0x1401
#define GL_RGBA 0x1908
#define GL_RENDERER 0x1f01
#define GL_VERSION 0x1f02
#define GL_UNSIGNED_INT_8_8_8_8 0x8035
#define GL_BGRA 0x80e1
#define GL_STREAM_READ 0x88e1
#define GL_PIXEL_PACK_BUFFER 0x88eb
#define GL_PIXEL_PACK_BUFFER_BINDING 0x88ed
#define GL_READ_FRAMEBUFFER 0x8ca8
#define GL_READ_FRAMEBUFFER_BINDING 0x8caa
#define GL_FRAMEBUFFER_COMPLETE 0x8cd5
#define GL_COLOR_ATTACHMENT0 0x8ce0
#define GL_SYNC_GPU_COMMANDS_COMPLETE 0x9117
#define GL_ALREADY_SIGNALED 0x911a
#define GL_TIMEOUT_EXPIRED 0x911b
#define GL_CONDITION_SATISFIED 0x911c
#define GL_WAIT_FAILED 0x911d
#define GL_MAP_READ_BIT 1

bool epoxy_is_desktop_gl (void);
int epoxy_gl_version (void);
bool epoxy_has_gl_extension (const char *name);
unsigned glGetError (void);
const unsigned char *glGetString (unsigned name);
void glGetIntegerv (GLenum name, GLint *value);
void glPixelStorei (GLenum name, GLint value);
void glGenFramebuffers (GLsizei n, GLuint *names);
void glDeleteFramebuffers (GLsizei n, const GLuint *names);
void glBindFramebuffer (GLenum target, GLuint name);
void glFramebufferTexture2D (
    GLenum target, GLenum attachment, GLenum type, GLuint texture, GLint level);
GLenum glCheckFramebufferStatus (GLenum target);
void glGenBuffers (GLsizei n, GLuint *names);
void glDeleteBuffers (GLsizei n, const GLuint *names);
void glBindBuffer (GLenum target, GLuint name);
void glBufferData (
    GLenum target, ptrdiff_t size, const void *data, GLenum usage);
void *glMapBufferRange (
    GLenum target, ptrdiff_t offset, ptrdiff_t size, GLbitfield access);
unsigned char glUnmapBuffer (GLenum target);
void glReadPixels (GLint x, GLint y, GLsizei width, GLsizei height,
    GLenum format, GLenum type, void *pixels);
GLsync glFenceSync (GLenum condition, GLbitfield flags);
GLenum glClientWaitSync (GLsync sync, GLbitfield flags, uint64_t timeout);
void glDeleteSync (GLsync sync);
void glFlush (void);

static inline void
trace_helix_export_ui_info (
    uint32_t scanout, uint32_t width, uint32_t height, uint32_t refresh)
{
}
static inline void
trace_helix_export_tell_again (void)
{
}
void trace_helix_export_read (uint32_t resource, uint32_t x, uint32_t y,
    uint32_t width, uint32_t height, const char *result);
static inline void
trace_helix_export_read_pending (uint32_t resource, uint32_t boxes)
{
}
static inline void
trace_helix_export_pixels (
    const char *renderer, int version, bool desktop, bool able)
{
}
static inline void
trace_helix_export_read_done (uint32_t resource, int64_t us, const char *result)
{
}

#endif /* FAKE_QEMU_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The readback in QEMU (qemu-shim/qemu), on a fake QEMU: it follows no pointer
 * that a command of the guest has ended, and a failed read is never a good one.
 */
#include <gst/check/gstcheck.h>

#include "fake-qemu.h"
#include "helix-glue.h"

#define W 64u
#define H 32u
#define SIZE (W * H * 4)
#define ID 7u
#define RAM 0x100000u /* where the guest's memory begins */
#define RAM_SIZE (4u * SIZE)
#define MMIO 0xf0000000u

static struct {
  VirtIOGPUGL gl;
  HelixExport export;
  struct virtio_gpu_simple_resource blob;
  uint8_t ram[RAM_SIZE];
  uint8_t out[SIZE];
  bool is_gl, main_loop;
  /* OpenGL */
  bool egl, refuse; /* the renderer's context cannot be made current */
  void *current;
  guint errors, error, reads;
  /* pixel buffers */
  bool takes;       /* they read what they are offered */
  guint offered;    /* the last resource */
  gint64 forgotten; /* likewise; -1 = all */
} t;

static int ctx0, other;

/* ---- QEMU ---- */

void *
object_dynamic_cast (Object *obj, const char *type)
{
  return strcmp (type, TYPE_VIRTIO_GPU_GL) == 0 && !t.is_gl ? NULL : obj;
}

Object *
object_resolve_path_component (Object *parent, const char *part)
{
  return NULL;
}

uint64_t
memory_region_size (MemoryRegion *mr)
{
  return 0;
}

void *
memory_region_get_ram_ptr (MemoryRegion *mr)
{
  return NULL;
}

MemTxResult
dma_memory_read (AddressSpace *as, uint64_t address, void *buffer,
    uint64_t size, MemTxAttrs attrs)
{
  fail_unless (attrs.memory, "registers of devices must not be read");
  if (address < RAM || address - RAM > RAM_SIZE
      || size > RAM_SIZE - (address - RAM))
    return MEMTX_ERROR;
  memcpy (buffer, t.ram + (address - RAM), size);
  return MEMTX_OK;
}

size_t
iov_to_buf (const struct iovec *iov, unsigned count, size_t offset,
    void *buffer, size_t size)
{
  size_t done = 0;

  for (unsigned i = 0; i < count && done < size; i++) {
    size_t n;

    if (offset >= iov[i].iov_len) {
      offset -= iov[i].iov_len;
      continue;
    }
    n = MIN (iov[i].iov_len - offset, size - done);
    memcpy ((uint8_t *) buffer + done, (uint8_t *) iov[i].iov_base + offset, n);
    done += n;
    offset = 0;
  }
  return done;
}

bool
helix_loop_may_read (void *export)
{
  return t.main_loop;
}

/* ---- pixel buffers: test-helix-pixel-buffer.c ---- */

void
helix_pixels_init (HelixExport *export)
{
}

void
helix_pixels_forget (HelixExport *export, uint32_t resource_id)
{
  t.forgotten = (gint64) resource_id;
}

void
helix_pixels_forget_all (HelixExport *export)
{
  t.forgotten = -1;
}

bool
helix_pixels_read (HelixExport *export, struct helix_readback *readback)
{
  t.offered = readback->surface.resource_id;
  return t.takes;
}

void
trace_helix_export_read (uint32_t resource, uint32_t x, uint32_t y,
    uint32_t width, uint32_t height, const char *result)
{
}

/* ---- virglrenderer: resource 1 is a texture, ID an untyped blob ---- */

int
virgl_renderer_resource_get_info (
    int handle, struct virgl_renderer_resource_info *info)
{
  if (handle == 1)
    *info = (struct virgl_renderer_resource_info){
        .virgl_format = VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM,
        .width = W,
        .height = H};
  return handle == 1 || handle == ID ? 0 : -1;
}

void
virgl_renderer_force_ctx_0 (void)
{
  if (!t.refuse)
    t.current = &ctx0;
}

int
virgl_renderer_transfer_read_iov (uint32_t handle, uint32_t ctx, uint32_t level,
    uint32_t stride, uint32_t layer_stride, struct virgl_box *box,
    uint64_t offset, struct iovec *iov, int count)
{
  if (handle != 1)
    return 22;
  t.reads++;
  /* Without its context it says the same. */
  if (t.current == &ctx0 && !t.error)
    memset (iov->iov_base, 0x5a, iov->iov_len);
  t.errors = t.error ? 1 : 0;
  return 0;
}

int
virgl_renderer_resource_map (uint32_t handle, void **map, uint64_t *size)
{
  return -22;
}

int
virgl_renderer_resource_unmap (uint32_t handle)
{
  return 0;
}

/* ---- EGL, OpenGL ---- */

bool
epoxy_has_egl (void)
{
  return t.egl;
}

EGLDisplay
eglGetCurrentDisplay (void)
{
  return t.current;
}

EGLSurface
eglGetCurrentSurface (int which)
{
  return EGL_NO_SURFACE;
}

EGLContext
eglGetCurrentContext (void)
{
  fail_unless (t.egl);
  return t.current;
}

unsigned
eglMakeCurrent (
    EGLDisplay display, EGLSurface draw, EGLSurface read, EGLContext context)
{
  t.current = context;
  return 1;
}

unsigned
glGetError (void)
{
  fail_unless (t.current != NULL, "no context: libepoxy aborts QEMU here");
  return t.errors > 0 ? (t.errors--, t.error) : GL_NO_ERROR;
}

const unsigned char *
glGetString (unsigned name)
{
  return t.current ? (const unsigned char *) "4.5" : NULL;
}

/* ---- the guest's commands, and what the device makes of them ---- */

static void
setup (void)
{
  memset (&t, 0, sizeof t);
  t.is_gl = t.main_loop = t.egl = true;
  t.gl.renderer_state = RS_INITED;
  TAILQ_INIT (&t.gl.parent_obj.reslist);
  for (guint i = 0; i < RAM_SIZE; i++)
    t.ram[i] = (uint8_t) g_random_int ();
}

static void
begin (bool gl)
{
  t.is_gl = gl;
  t.export.gpu = &t.gl.parent_obj;
  helix_readback_init (&t.export);
}

static void
teardown (void)
{
  g_clear_pointer (&t.export.blobs, g_hash_table_destroy);
  g_free (t.blob.iov);
}

/* A command of `header` bytes with `count` entries behind them. */
static HelixPages *
fetch (const struct virtio_gpu_mem_entry *entries, guint there, guint said)
{
  uint8_t header[56] = {0};
  struct iovec out[2] = {
      {header, sizeof header}, {(void *) entries, there * sizeof *entries}};
  struct virtio_gpu_ctrl_command cmd = {.elem = {out, 2}};

  return helix_pages_fetch (&cmd, sizeof header, said);
}

/* CREATE_BLOB of the whole of `count` entries, and SET_SCANOUT_BLOB. */
static void
create_blob (const struct virtio_gpu_mem_entry *entries, guint count)
{
  HelixLayout layout = {HELIX_FOURCC_BGRX, W, H, W * 4, 0};

  t.blob = (struct virtio_gpu_simple_resource){
      .resource_id = ID, .blob_size = SIZE, .iov_cnt = count};
  /* The device's own list: in GL mode it is not to be looked at. */
  t.blob.iov = g_new0 (struct iovec, count);
  for (guint i = 0; i < count; i++)
    t.blob.iov[i] = (struct iovec){
        t.ram + (entries[i].addr - RAM) % RAM_SIZE, entries[i].length};
  TAILQ_INSERT_HEAD (&t.gl.parent_obj.reslist, &t.blob, next);
  if (t.is_gl)
    helix_readback_attach (&t.export, ID, fetch (entries, count, count));
  fail_unless (helix_readback_layout (&t.export, ID, &layout));
}

static bool
read_box (uint32_t id, struct helix_rect box)
{
  struct helix_readback readback = {
      .box = {box}, .boxes = 1, .dst = t.out, .stride = W * 4};
  const char *why = NULL;
  bool good;

  if (!helix_readback_resource (&t.export, id, &readback.surface))
    return false;
  good = helix_readback_read (&t.export, &readback, &why) == HELIX_READ_DONE;
  fail_unless (good || why != NULL);
  return good;
}

static bool
read_all (uint32_t id)
{
  memset (t.out, 0, SIZE);
  return read_box (id, (struct helix_rect){0, 0, W, H});
}

static const struct virtio_gpu_mem_entry whole = {RAM, SIZE, 0};

/* ---- blobs in guest memory ---- */

/* In GL mode the device frees its list of pages at DETACH_BACKING, and keeps
 * the pointer. */
GST_START_TEST (test_detach)
{
  begin (true);
  create_blob (&whole, 1);
  fail_unless (read_all (ID));
  fail_unless (memcmp (t.out, t.ram, SIZE) == 0);
  helix_readback_detach (&t.export, ID);
  g_free (t.blob.iov);
  fail_if (read_all (ID));
  /* ATTACH_BACKING gives it others; once, as the renderer has it. */
  helix_readback_attach (&t.export, ID,
      fetch (&(struct virtio_gpu_mem_entry){RAM + SIZE, SIZE, 0}, 1, 1));
  helix_readback_attach (&t.export, ID, fetch (&whole, 1, 1));
  fail_unless (read_all (ID));
  fail_unless (memcmp (t.out, t.ram + SIZE, SIZE) == 0);
  /* A reset ends all that there is; so does UNREF. */
  helix_readback_forget (&t.export, 0); /* the guest may name any id */
  fail_unless (read_all (ID));
  helix_readback_forget_all (&t.export);
  fail_if (read_all (ID));
  fail_unless (t.export.page_count == 0);
  helix_readback_attach (&t.export, ID, fetch (&whole, 1, 1));
  TAILQ_REMOVE (&t.gl.parent_obj.reslist, &t.blob, next);
  helix_readback_forget (&t.export, ID);
  fail_if (read_all (ID));
  fail_unless (t.export.page_count == 0);
  t.blob.iov = NULL;
}

GST_END_TEST;

/* The 2D device notes in its resource that the pages are gone. */
GST_START_TEST (test_2d_device)
{
  begin (false);
  create_blob (&whole, 1);
  fail_unless (read_all (ID));
  fail_unless (memcmp (t.out, t.ram, SIZE) == 0);
  g_clear_pointer (&t.blob.iov, g_free);
  t.blob.iov_cnt = 0;
  fail_if (read_all (ID));
}

GST_END_TEST;

/* Whatever the guest's pages are cut into, boxes arrive; both ways. */
GST_START_TEST (test_pieces)
{
  struct virtio_gpu_mem_entry entries[64];

  for (int round = 0; round < 200; round++) {
    uint32_t left = SIZE, at = 0;
    guint n = 0;
    struct helix_rect box;

    teardown ();
    setup ();
    begin (round % 2 == 0);
    while (left > 0) {
      uint32_t length = n == G_N_ELEMENTS (entries) - 1
          ? left
          : MIN (left, (uint32_t) g_random_int_range (0, 700));

      /* One after the other, with a gap where that fits. */
      entries[n++] = (struct virtio_gpu_mem_entry){RAM + at, length, 0};
      at += length + 3;
      left -= length;
    }
    create_blob (entries, n);
    box.x = (uint32_t) g_random_int_range (0, W);
    box.y = (uint32_t) g_random_int_range (0, H);
    box.width = (uint32_t) g_random_int_range (1, (gint32) (W - box.x) + 1);
    box.height = (uint32_t) g_random_int_range (1, (gint32) (H - box.y) + 1);
    fail_unless (read_box (ID, box));
    for (uint32_t y = box.y; y < box.y + box.height; y++) {
      uint8_t row[W * 4];
      size_t from = (size_t) y * W * 4 + box.x * 4, size = box.width * 4;

      fail_unless (iov_to_buf (t.blob.iov, n, from, row, size) == size);
      fail_unless (memcmp (row, t.out + from, size) == 0);
    }
  }
}

GST_END_TEST;

/* What a guest may say that is not so. */
GST_START_TEST (test_hostile_pages)
{
  const struct virtio_gpu_mem_entry outside[] = {
      {RAM, SIZE / 2, 0}, {MMIO, SIZE, 0}, {UINT64_MAX - 8, UINT32_MAX, 0}};
  g_autofree struct virtio_gpu_mem_entry *many =
      g_new0 (struct virtio_gpu_mem_entry, 16384);

  begin (true);
  fail_unless (fetch (&whole, 1, 0) == NULL);
  fail_unless (fetch (&whole, 1, 2) == NULL);
  fail_unless (fetch (&whole, 1, 16385) == NULL);
  fail_unless (fetch (&whole, 1, UINT32_MAX) == NULL);
  for (guint i = 0; i < G_N_ELEMENTS (outside); i++) {
    create_blob (&outside[i], 1);
    fail_if (read_all (ID));
    helix_readback_forget (&t.export, ID);
    TAILQ_REMOVE (&t.gl.parent_obj.reslist, &t.blob, next);
    g_clear_pointer (&t.blob.iov, g_free);
  }
  /* Of more than a million entries the last are not kept. */
  for (uint32_t id = 100; id < 200; id++)
    helix_readback_attach (&t.export, id, fetch (many, 16384, 16384));
  fail_unless (t.export.page_count == 1u << 20);
}

GST_END_TEST;

/* ---- textures ---- */

/* A context that cannot be made current, whichever is current before. */
GST_START_TEST (test_no_context)
{
  void *const before[] = {NULL, &other, &ctx0};

  for (guint i = 0; i < G_N_ELEMENTS (before); i++) {
    for (int known = 0; known < 2; known++) {
      teardown ();
      setup ();
      begin (true);
      if (known)
        fail_unless (read_all (1));
      t.refuse = true;
      t.current = before[i];
      t.reads = 0;
      /* It may be current already, and then it is the right one. */
      if (read_all (1)) {
        fail_unless (known && before[i] == &ctx0);
        fail_unless_equals_int (t.out[0], 0x5a);
      } else {
        fail_unless_equals_int (t.reads, 0);
        fail_unless (t.current == before[i]);
      }
      t.refuse = false;
      fail_unless (read_all (1));
      fail_unless_equals_int (t.out[SIZE - 1], 0x5a);
    }
  }
}

GST_END_TEST;

/* Where there is no EGL, it is seen whether there is a context at all. */
GST_START_TEST (test_no_egl)
{
  begin (true);
  t.egl = false;
  fail_unless (read_all (1));
  t.refuse = true;
  t.current = NULL;
  fail_if (read_all (1));
}

GST_END_TEST;

GST_START_TEST (test_gl_errors)
{
  const guint fatal[] = {
      GL_OUT_OF_MEMORY, GL_INVALID_FRAMEBUFFER_OPERATION, GL_CONTEXT_LOST};

  begin (true);
  for (guint i = 0; i < G_N_ELEMENTS (fatal); i++) {
    t.error = fatal[i];
    fail_if (read_all (1));
    t.error = 0;
    fail_unless (read_all (1));
  }
  /* Left by the renderer before, without end: not this read's. */
  t.error = GL_CONTEXT_LOST;
  t.errors = 1000;
  fail_if (read_all (1));
  t.error = t.errors = 0;
  /* The renderer is reset, or not there yet. */
  t.gl.renderer_state = RS_RESET;
  fail_if (read_all (1));
}

GST_END_TEST;

/* Only a texture is offered to the pixel buffers, and once for all boxes. */
GST_START_TEST (test_pending)
{
  struct helix_readback readback = {
      .boxes = 2, .box = {{0, 0, 1, 1}, {1, 1, 1, 1}}, .stride = W * 4};
  const char *why;

  readback.dst = t.out;
  begin (true);
  create_blob (&whole, 1);
  t.takes = true;
  fail_unless (read_all (ID));
  fail_unless_equals_int (t.offered, 0);
  fail_unless (helix_readback_resource (&t.export, 1, &readback.surface));
  fail_unless_equals_int (
      helix_readback_read (&t.export, &readback, &why), HELIX_READ_PENDING);
  fail_unless_equals_int (t.offered, 1);
  fail_unless_equals_int (t.reads, 0);
  /* What they do not take is read at once; so is a cursor. */
  fail_unless (helix_readback_read_now (&t.export, &readback, &why));
  fail_unless_equals_int (t.reads, 2);
  t.takes = false;
  fail_unless_equals_int (
      helix_readback_read (&t.export, &readback, &why), HELIX_READ_DONE);
  fail_unless_equals_int (t.reads, 4);
  helix_readback_forget (&t.export, 1);
  fail_unless_equals_int64 (t.forgotten, 1);
  helix_readback_forget_all (&t.export);
  fail_unless_equals_int64 (t.forgotten, -1);
}

GST_END_TEST;

static Suite *
readback_suite (void)
{
  Suite *suite = suite_create ("helix-readback");
  TCase *tc = tcase_create ("readback");

  suite_add_tcase (suite, tc);
  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_add_test (tc, test_detach);
  tcase_add_test (tc, test_2d_device);
  tcase_add_test (tc, test_pieces);
  tcase_add_test (tc, test_hostile_pages);
  tcase_add_test (tc, test_no_context);
  tcase_add_test (tc, test_no_egl);
  tcase_add_test (tc, test_gl_errors);
  tcase_add_test (tc, test_pending);
  return suite;
}

GST_CHECK_MAIN (readback);

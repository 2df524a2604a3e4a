/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finds a virtio-gpu resource's pixels and copies a box of them.
 *
 * Four kinds of resource, four ways, tried in this order:
 *   2D          a pixman image in QEMU's memory
 *   guest blob  the guest's own pages, laid out as its SET_SCANOUT_BLOB said:
 *               the 2D device's list of them, or ours in GL mode
 *   virgl       a texture: helix-pixel-buffer.c, or helix-virgl.c
 *   host blob   a mapping of the renderer's memory (virglrenderer 1.x)
 *
 * The resource is looked up by its id each time: no pointer to one, or to its
 * memory, is kept between two commands. docs/QEMU.md has all the pointers that
 * are followed, and which command ends each.
 */

#include "qemu/osdep.h"
#include "qemu/iov.h"
#include "hw/virtio/virtio.h"
#include "qom/object.h"
#include "ui/qemu-pixman.h"
#include "helix-glue.h"
#include "trace.h"

#ifdef HELIX_HAVE_HOST_BLOB
#include <virglrenderer.h>
#endif

/* The device refuses a command with more entries. */
#define HELIX_MAX_ENTRIES 16384u
/*
 * Entries of guest memory that are remembered, of all blobs together: 4 GiB of
 * single pages. What the guest attaches beyond that is not exported.
 */
#define HELIX_MAX_PAGES (1u << 20)

/*
 * The guest's addresses are all that is kept: a read translates them anew, so
 * there is no pointer to get stale.
 */
struct HelixPages {
    uint32_t count;
    struct virtio_gpu_mem_entry entry[]; /* in the host's byte order */
};

/* What the guest's commands said of a blob; gone with the resource. */
typedef struct HelixBlob {
    HelixLayout layout; /* the newest: all scanouts that show the blob use it */
    HelixPages *pages; /* in GL mode only; NULL = none, or taken back */
} HelixBlob;

uint32_t helix_readback_fourcc(uint32_t format)
{
    static const struct {
        uint32_t format, fourcc;
    } known[] = {
        {VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, HELIX_FOURCC_BGRX},
        {VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM, HELIX_FOURCC_BGRA},
        {VIRTIO_GPU_FORMAT_X8R8G8B8_UNORM, HELIX_FOURCC_XRGB},
        {VIRTIO_GPU_FORMAT_A8R8G8B8_UNORM, HELIX_FOURCC_ARGB},
        {VIRTIO_GPU_FORMAT_R8G8B8X8_UNORM, HELIX_FOURCC_RGBX},
        {VIRTIO_GPU_FORMAT_R8G8B8A8_UNORM, HELIX_FOURCC_RGBA},
        {VIRTIO_GPU_FORMAT_X8B8G8R8_UNORM, HELIX_FOURCC_XBGR},
        {VIRTIO_GPU_FORMAT_A8B8G8R8_UNORM, HELIX_FOURCC_ABGR},
        /*
         * Numbers of virglrenderer's that virtio-gpu has no name for; the
         * bytes of an sRGB texture are read as they are stored.
         */
        {100, HELIX_FOURCC_BGRA}, /* B8G8R8A8_SRGB */
        {101, HELIX_FOURCC_BGRX}, /* B8G8R8X8_SRGB */
        {104, HELIX_FOURCC_RGBA}, /* R8G8B8A8_SRGB */
    };
    size_t i;

    for (i = 0; i < ARRAY_SIZE(known); i++) {
        if (known[i].format == format) {
            return known[i].fourcc;
        }
    }
    return 0;
}

static void helix_blob_free(gpointer data)
{
    HelixBlob *blob = data;

    g_free(blob->pages);
    g_free(blob);
}

void helix_readback_init(HelixExport *export)
{
    export->gl = object_dynamic_cast(OBJECT(export->gpu), TYPE_VIRTIO_GPU_GL);
    export->blobs = g_hash_table_new_full(NULL, NULL, NULL, helix_blob_free);
    helix_pixels_init(export);
}

/* virtio_gpu_find_resource() is not exported before 10.0. */
static struct virtio_gpu_simple_resource *
helix_readback_find(HelixExport *export, uint32_t resource_id)
{
    struct virtio_gpu_simple_resource *res;

    QTAILQ_FOREACH(res, &export->gpu->reslist, next)
    {
        if (res->resource_id == resource_id) {
            return res;
        }
    }
    return NULL;
}

bool helix_readback_is_blob(HelixExport *export, uint32_t resource_id)
{
    struct virtio_gpu_simple_resource *res =
        helix_readback_find(export, resource_id);

    return res && res->blob_size;
}

/* `src` is where the picture begins that the box is in. */
static void helix_box_copy(const struct helix_rect *box, uint8_t *dst,
                           uint32_t stride, const uint8_t *src,
                           size_t src_stride)
{
    uint32_t y;

    src += box->y * src_stride + (size_t)box->x * HELIX_BYTES_PP;
    for (y = 0; y < box->height; y++) {
        memcpy(dst, src, (size_t)box->width * HELIX_BYTES_PP);
        dst += stride;
        src += src_stride;
    }
}

static bool helix_read_2d(pixman_image_t *image, const struct helix_rect *box,
                          uint8_t *dst, uint32_t stride, const char **why)
{
    if (PIXMAN_FORMAT_BPP(pixman_image_get_format(image)) !=
            HELIX_BYTES_PP * 8 ||
        !helix_box_within(box, pixman_image_get_width(image),
                          pixman_image_get_height(image))) {
        *why = "the box is outside of the 2D resource";
        return false;
    }
    helix_box_copy(box, dst, stride,
                   (const uint8_t *)pixman_image_get_data(image),
                   pixman_image_get_stride(image));
    return true;
}

/* ---- blobs: their layout, their pages ---- */

/* Returns NULL if the guest has said nothing of such a blob. */
static HelixBlob *helix_blob_find(HelixExport *export, uint32_t resource_id)
{
    return g_hash_table_lookup(export->blobs, GUINT_TO_POINTER(resource_id));
}

static HelixBlob *helix_blob_note(HelixExport *export, uint32_t resource_id)
{
    HelixBlob *blob = helix_blob_find(export, resource_id);

    if (!blob) {
        blob = g_new0(HelixBlob, 1);
        g_hash_table_insert(export->blobs, GUINT_TO_POINTER(resource_id), blob);
    }
    return blob;
}

/* Bytes of a blob that are framebuffer, from its first byte on. */
static uint64_t helix_layout_end(const HelixLayout *layout)
{
    const struct helix_rect all = {0, 0, layout->width, layout->height};

    return layout->offset + helix_box_span(&all, layout->stride);
}

bool helix_readback_layout(HelixExport *export, uint32_t resource_id,
                           const HelixLayout *layout)
{
    struct virtio_gpu_simple_resource *res =
        helix_readback_find(export, resource_id);

    if (!res || !res->blob_size || !layout->fourcc || !layout->width ||
        !layout->height || layout->width > HELIX_MAX_DIMENSION ||
        layout->height > HELIX_MAX_DIMENSION ||
        layout->stride < (uint64_t)layout->width * HELIX_BYTES_PP ||
        helix_layout_end(layout) > res->blob_size) {
        return false;
    }
    helix_blob_note(export, resource_id)->layout = *layout;
    return true;
}

HelixPages *helix_pages_fetch(const struct virtio_gpu_ctrl_command *cmd,
                              size_t offset, uint32_t count)
{
    size_t size = sizeof(struct virtio_gpu_mem_entry) * (size_t)count;
    HelixPages *pages;
    uint32_t i;

    if (!count || count > HELIX_MAX_ENTRIES) {
        return NULL;
    }
    pages = g_malloc(sizeof(*pages) + size);
    pages->count = count;
    if (iov_to_buf(cmd->elem.out_sg, cmd->elem.out_num, offset, pages->entry,
                   size) != size) {
        g_free(pages);
        return NULL;
    }
    for (i = 0; i < count; i++) {
        pages->entry[i].addr = le64_to_cpu(pages->entry[i].addr);
        pages->entry[i].length = le32_to_cpu(pages->entry[i].length);
    }
    return pages;
}

void helix_readback_attach(HelixExport *export, uint32_t resource_id,
                           HelixPages *pages)
{
    HelixBlob *blob = helix_blob_note(export, resource_id);

    if (blob->pages || export->page_count + pages->count > HELIX_MAX_PAGES) {
        g_free(pages);
        return;
    }
    export->page_count += pages->count;
    blob->pages = pages;
}

void helix_readback_detach(HelixExport *export, uint32_t resource_id)
{
    HelixBlob *blob = helix_blob_find(export, resource_id);

    if (blob && blob->pages) {
        export->page_count -= blob->pages->count;
        g_clear_pointer(&blob->pages, g_free);
    }
}

void helix_readback_forget(HelixExport *export, uint32_t resource_id)
{
    helix_pixels_forget(export, resource_id);
    helix_readback_detach(export, resource_id);
    g_hash_table_remove(export->blobs, GUINT_TO_POINTER(resource_id));
}

void helix_readback_forget_all(HelixExport *export)
{
    helix_pixels_forget_all(export);
    g_hash_table_remove_all(export->blobs);
    export->page_count = 0;
    export->ctx0 = NULL;
}

/* ---- blobs: their pixels ---- */

/* Where a guest blob's bytes are: `pages`, or what the 2D device lists. */
typedef struct HelixGuestMemory {
    AddressSpace *as;
    const HelixPages *pages; /* NULL = res->iov */
    const struct virtio_gpu_simple_resource *res;
} HelixGuestMemory;

static size_t helix_guest_length(const HelixGuestMemory *memory, uint32_t i)
{
    return memory->pages ? memory->pages->entry[i].length
                         : memory->res->iov[i].iov_len;
}

static bool helix_guest_read(const HelixGuestMemory *memory, uint32_t i,
                             uint64_t offset, uint8_t *dst, size_t size)
{
    /* A guest may name the registers of a device, which must not be read. */
    const MemTxAttrs attrs = {.memory = 1};

    if (!memory->pages) {
        memcpy(dst, (uint8_t *)memory->res->iov[i].iov_base + offset, size);
        return true;
    }
    return dma_memory_read(memory->as, memory->pages->entry[i].addr + offset,
                           dst, size, attrs) == MEMTX_OK;
}

static bool helix_read_guest_blob(const HelixGuestMemory *memory,
                                  const HelixLayout *layout,
                                  const struct helix_rect *box, uint8_t *dst,
                                  uint32_t stride, const char **why)
{
    uint32_t end = memory->pages ? memory->pages->count : memory->res->iov_cnt;
    size_t row = (size_t)box->width * HELIX_BYTES_PP, got, part;
    uint64_t offset = (uint64_t)layout->offset +
                      (uint64_t)box->y * layout->stride +
                      (uint64_t)box->x * HELIX_BYTES_PP;
    uint64_t in;
    uint32_t i = 0, at, y;

    *why = "the guest's pages end before the framebuffer does, or are not RAM";
    for (y = 0; y < box->height; y++, offset += layout->stride, dst += stride) {
        /* A row begins behind the one before: one pass over the pages. */
        for (; i < end && offset >= helix_guest_length(memory, i); i++) {
            offset -= helix_guest_length(memory, i);
        }
        for (at = i, in = offset, got = 0; got < row; got += part, at++) {
            if (at == end) {
                return false;
            }
            part = MIN(row - got, helix_guest_length(memory, at) - in);
            if (part && !helix_guest_read(memory, at, in, dst + got, part)) {
                return false;
            }
            in = 0;
        }
    }
    return true;
}

#ifdef HELIX_HAVE_HOST_BLOB
/*
 * A blob that the guest has mapped cannot be mapped a second time; QEMU's
 * mapping of it is private to virtio-gpu-virgl.c, but a child of the device.
 */
static void *helix_host_blob_mapping(HelixExport *export, uint32_t resource_id,
                                     uint64_t *size)
{
    g_autofree char *name = g_strdup_printf("blob[%" PRIu32 "]", resource_id);
    Object *vmr = object_resolve_path_component(OBJECT(export->gpu), name);
    Object *mr = vmr ? object_resolve_path_component(vmr, "mr[0]") : NULL;

    if (!mr || !object_dynamic_cast(mr, TYPE_MEMORY_REGION)) {
        return NULL;
    }
    *size = memory_region_size(MEMORY_REGION(mr));
    return memory_region_get_ram_ptr(MEMORY_REGION(mr));
}

static bool helix_read_host_blob(HelixExport *export, uint32_t resource_id,
                                 const HelixLayout *layout,
                                 const struct helix_rect *box, uint8_t *dst,
                                 uint32_t stride, const char **why)
{
    uint64_t size = 0;
    void *data = helix_host_blob_mapping(export, resource_id, &size);
    bool mapped = !data, fits;

    if (mapped && virgl_renderer_resource_map(resource_id, &data, &size)) {
        *why = "the renderer cannot map this blob";
        return false;
    }
    fits = helix_layout_end(layout) <= size;
    if (fits) {
        helix_box_copy(box, dst, stride, (const uint8_t *)data + layout->offset,
                       layout->stride);
    } else {
        *why = "the renderer's mapping ends before the framebuffer does";
    }
    if (mapped) {
        virgl_renderer_resource_unmap(resource_id);
    }
    return fits;
}
#endif

static bool helix_read_blob(HelixExport *export,
                            struct virtio_gpu_simple_resource *res,
                            const HelixBlob *blob, const struct helix_rect *box,
                            uint8_t *dst, uint32_t stride, const char **why)
{
    HelixGuestMemory memory = {VIRTIO_DEVICE(export->gpu)->dma_as,
                               blob ? blob->pages : NULL, res};

    if (!blob || !blob->layout.fourcc) {
        *why = "the blob was on no scanout yet, so its layout is unknown";
        return false;
    }
    if (!helix_box_within(box, blob->layout.width, blob->layout.height) ||
        helix_layout_end(&blob->layout) > res->blob_size) {
        *why = "the box is outside of the blob's framebuffer";
        return false;
    }
    if (blob->pages || (!export->gl && res->iov_cnt)) {
        return helix_read_guest_blob(&memory, &blob->layout, box, dst, stride,
                                     why);
    }
#ifdef HELIX_HAVE_HOST_BLOB
    if (helix_virgl_ready(export)) {
        return helix_read_host_blob(export, res->resource_id, &blob->layout,
                                    box, dst, stride, why);
    }
#endif
    *why = "the blob has no memory that the host can read";
    return false;
}

/* ---- all ---- */

bool helix_readback_resource(void *opaque, uint32_t resource_id,
                             struct helix_surface *surface)
{
    HelixExport *export = opaque;
    struct virtio_gpu_simple_resource *res =
        helix_readback_find(export, resource_id);
    const HelixBlob *blob;
    HelixTexture texture;

    memset(surface, 0, sizeof(*surface));
    surface->resource_id = resource_id;
    if (res && res->image) {
        surface->rect.width = res->width;
        surface->rect.height = res->height;
        surface->fourcc = helix_readback_fourcc(res->format);
    } else if (res && res->blob_size) {
        blob = helix_blob_find(export, resource_id);
        if (blob) {
            surface->rect.width = blob->layout.width;
            surface->rect.height = blob->layout.height;
            surface->fourcc = blob->layout.fourcc;
        }
    }
    if (!surface->fourcc &&
        helix_virgl_texture(export, resource_id, &texture)) {
        surface->rect.width = texture.width;
        surface->rect.height = texture.height;
        surface->fourcc = texture.fourcc;
    }
    return surface->fourcc;
}

static bool helix_readback_dispatch(HelixExport *export,
                                    const struct helix_surface *surface,
                                    const struct helix_rect *box, void *dst,
                                    uint32_t stride, const char **why)
{
    uint32_t id = surface->resource_id;
    struct virtio_gpu_simple_resource *res = helix_readback_find(export, id);
    const HelixBlob *blob = helix_blob_find(export, id);
    bool is_blob = res && res->blob_size;

    g_assert(helix_loop_may_read(export));
    if (stride < (uint64_t)box->width * HELIX_BYTES_PP || !box->height) {
        *why = "the box does not fit its destination";
        return false;
    }
    if (res && res->image) {
        return helix_read_2d(res->image, box, dst, stride, why);
    }
    if ((!is_blob || (export->gl && !(blob && blob->pages))) &&
        helix_virgl_read(export, id, box, dst, stride, why)) {
        return true;
    }
    return is_blob && helix_read_blob(export, res, blob, box, dst, stride, why);
}

bool helix_readback_read_now(HelixExport *export,
                             const struct helix_readback *readback,
                             const char **why)
{
    const struct helix_surface *surface = &readback->surface;
    bool ok = true;
    uint32_t i;

    for (i = 0; i < readback->boxes && ok; i++) {
        const struct helix_rect *box = &readback->box[i];

        ok = helix_readback_dispatch(export, surface, box,
                                     helix_readback_dst(readback, i),
                                     readback->stride, why);
        trace_helix_export_read(surface->resource_id, box->x, box->y,
                                box->width, box->height, ok ? "ok" : *why);
    }
    return ok;
}

enum helix_read helix_readback_read(void *opaque,
                                    struct helix_readback *readback,
                                    const char **why)
{
    HelixExport *export = opaque;
    struct virtio_gpu_simple_resource *res =
        helix_readback_find(export, readback->surface.resource_id);

    g_assert(helix_loop_may_read(export));
    /* The others are in memory: to copy them waits for nothing. */
    if (!(res && (res->image || res->blob_size)) &&
        helix_pixels_read(export, readback)) {
        trace_helix_export_read_pending(readback->surface.resource_id,
                                        readback->boxes);
        return HELIX_READ_PENDING;
    }
    return helix_readback_read_now(export, readback, why) ? HELIX_READ_DONE
                                                          : HELIX_READ_FAILED;
}

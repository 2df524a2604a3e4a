/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finds a virtio-gpu resource's pixels and copies a box of them.
 *
 * Four kinds of resource, four ways, tried in this order:
 *   2D          a pixman image in QEMU's memory
 *   guest blob  the guest's own pages, laid out as its SET_SCANOUT_BLOB said:
 *               the 2D device's list of them, or ours in GL mode
 *   virgl       a texture, straight to the destination
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
#include "helix-platform.h"
#include "trace.h"

#ifdef HELIX_HAVE_HOST_BLOB
#include <virglrenderer.h>
#endif

#define HELIX_BYTES_PP 4

/*
 * Entries of guest memory that are remembered, of all blobs together: 4 GiB of
 * single pages. What the guest attaches beyond that is not exported.
 */
#define HELIX_MAX_PAGES (1u << 20)

/*
 * Numbers of virglrenderer's own that virtio-gpu has no name for; the bytes
 * of an sRGB texture are read as they are stored.
 */
enum {
    HELIX_VIRGL_B8G8R8A8_SRGB = 100,
    HELIX_VIRGL_B8G8R8X8_SRGB = 101,
    HELIX_VIRGL_R8G8B8A8_SRGB = 104,
};

uint32_t helix_readback_fourcc(uint32_t virtio_gpu_format)
{
    switch (virtio_gpu_format) {
    case VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM:
    case HELIX_VIRGL_B8G8R8X8_SRGB:
        return HELIX_FOURCC_BGRX;
    case VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM:
    case HELIX_VIRGL_B8G8R8A8_SRGB:
        return HELIX_FOURCC_BGRA;
    case VIRTIO_GPU_FORMAT_X8R8G8B8_UNORM:
        return HELIX_FOURCC_XRGB;
    case VIRTIO_GPU_FORMAT_A8R8G8B8_UNORM:
        return HELIX_FOURCC_ARGB;
    case VIRTIO_GPU_FORMAT_R8G8B8X8_UNORM:
        return HELIX_FOURCC_RGBX;
    case VIRTIO_GPU_FORMAT_R8G8B8A8_UNORM:
    case HELIX_VIRGL_R8G8B8A8_SRGB:
        return HELIX_FOURCC_RGBA;
    case VIRTIO_GPU_FORMAT_X8B8G8R8_UNORM:
        return HELIX_FOURCC_XBGR;
    case VIRTIO_GPU_FORMAT_A8B8G8R8_UNORM:
        return HELIX_FOURCC_ABGR;
    default:
        return 0;
    }
}

void helix_readback_init(HelixReadback *readback, VirtIOGPU *gpu,
                         HelixLoop *loop)
{
    memset(readback, 0, sizeof(*readback));
    readback->gpu = gpu;
    readback->loop = loop;
    readback->gl = object_dynamic_cast(OBJECT(gpu), TYPE_VIRTIO_GPU_GL);
}

/* virtio_gpu_find_resource() is not exported before 10.0. */
static struct virtio_gpu_simple_resource *
helix_readback_find(HelixReadback *readback, uint32_t resource_id)
{
    struct virtio_gpu_simple_resource *res;

    QTAILQ_FOREACH(res, &readback->gpu->reslist, next)
    {
        if (res->resource_id == resource_id) {
            return res;
        }
    }
    return NULL;
}

static bool helix_box_within(const struct helix_rect *box, uint64_t width,
                             uint64_t height)
{
    return box->width && box->height &&
           (uint64_t)box->x + box->width <= width &&
           (uint64_t)box->y + box->height <= height;
}

/* Bytes from a box's first pixel to its last, in rows of `stride`. */
static uint64_t helix_box_span(const struct helix_rect *box, uint32_t stride)
{
    return (uint64_t)stride * (box->height - 1) +
           (uint64_t)box->width * HELIX_BYTES_PP;
}

/* ---- 2D ---- */

static bool helix_read_2d(pixman_image_t *image, const struct helix_rect *box,
                          uint8_t *dst, uint32_t stride, const char **why)
{
    const uint8_t *src = (const uint8_t *)pixman_image_get_data(image);
    size_t src_stride = pixman_image_get_stride(image);
    uint32_t y;

    if (PIXMAN_FORMAT_BPP(pixman_image_get_format(image)) !=
            HELIX_BYTES_PP * 8 ||
        !helix_box_within(box, pixman_image_get_width(image),
                          pixman_image_get_height(image))) {
        *why = "the box is outside of the 2D resource";
        return false;
    }
    src += box->y * src_stride + (size_t)box->x * HELIX_BYTES_PP;
    for (y = 0; y < box->height; y++) {
        memcpy(dst, src, (size_t)box->width * HELIX_BYTES_PP);
        dst += stride;
        src += src_stride;
    }
    return true;
}

/* ---- blobs ---- */

/*
 * The layout that `surface` was made from: two scanouts may show different
 * parts of one blob, so its format counts too.
 */
static const HelixBlob *helix_blob_find(HelixReadback *readback,
                                        uint32_t resource_id, uint32_t fourcc)
{
    const HelixBlob *found = NULL;
    unsigned i;

    for (i = 0; i < HELIX_BLOBS; i++) {
        const HelixBlob *blob = &readback->blob[i];

        if (blob->resource_id == resource_id) {
            found = blob;
            if (blob->fourcc == fourcc) {
                break;
            }
        }
    }
    return found;
}

/* Bytes of a blob that are framebuffer, from its first byte on. */
static uint64_t helix_blob_end(const HelixBlob *blob)
{
    const struct helix_rect all = {0, 0, blob->width, blob->height};

    return blob->offset + helix_box_span(&all, blob->stride);
}

bool helix_readback_blob(HelixReadback *readback, const HelixBlob *blob)
{
    struct virtio_gpu_simple_resource *res;
    HelixBlob *slot = NULL;
    unsigned i;

    res = helix_readback_find(readback, blob->resource_id);
    if (!res || !res->blob_size || !blob->fourcc || !blob->width ||
        !blob->height || blob->width > HELIX_MAX_DIMENSION ||
        blob->height > HELIX_MAX_DIMENSION ||
        blob->stride < (uint64_t)blob->width * HELIX_BYTES_PP ||
        helix_blob_end(blob) > res->blob_size) {
        return false;
    }
    for (i = 0; i < HELIX_BLOBS && !slot; i++) {
        if (readback->blob[i].resource_id == blob->resource_id &&
            readback->blob[i].fourcc == blob->fourcc) {
            slot = &readback->blob[i];
        }
    }
    for (i = 0; i < HELIX_BLOBS && !slot; i++) {
        if (!readback->blob[i].resource_id) {
            slot = &readback->blob[i];
        }
    }
    if (!slot) {
        slot = &readback->blob[readback->next_blob++ % HELIX_BLOBS];
    }
    *slot = *blob;
    return true;
}

uint64_t helix_readback_blob_size(HelixReadback *readback, uint32_t resource_id)
{
    struct virtio_gpu_simple_resource *res;

    res = helix_readback_find(readback, resource_id);
    return res ? res->blob_size : 0;
}

static HelixPages *helix_pages_find(HelixReadback *readback,
                                    uint32_t resource_id)
{
    return readback->pages ? g_hash_table_lookup(readback->pages,
                                                 GUINT_TO_POINTER(resource_id))
                           : NULL;
}

void helix_readback_attach(HelixReadback *readback, uint32_t resource_id,
                           HelixPages *pages)
{
    uint32_t count = helix_pages_count(pages);

    if (helix_pages_find(readback, resource_id) ||
        readback->page_count + count > HELIX_MAX_PAGES) {
        g_free(pages);
        return;
    }
    if (!readback->pages) {
        readback->pages = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    }
    g_hash_table_insert(readback->pages, GUINT_TO_POINTER(resource_id), pages);
    readback->page_count += count;
}

void helix_readback_detach(HelixReadback *readback, uint32_t resource_id)
{
    HelixPages *pages = helix_pages_find(readback, resource_id);

    if (pages) {
        readback->page_count -= helix_pages_count(pages);
        g_hash_table_remove(readback->pages, GUINT_TO_POINTER(resource_id));
    }
}

void helix_readback_forget(HelixReadback *readback, uint32_t resource_id)
{
    unsigned i;

    if (resource_id) {
        helix_readback_detach(readback, resource_id);
    } else {
        g_clear_pointer(&readback->pages, g_hash_table_destroy);
        readback->page_count = 0;
        readback->ctx0 = NULL;
    }
    for (i = 0; i < HELIX_BLOBS; i++) {
        if (!resource_id || readback->blob[i].resource_id == resource_id) {
            readback->blob[i].resource_id = 0;
        }
    }
}

static bool helix_read_iov(const struct virtio_gpu_simple_resource *res,
                           uint64_t offset, uint32_t pitch, uint8_t *dst,
                           uint32_t stride, size_t row, uint32_t rows)
{
    unsigned i = 0;
    uint32_t y;

    /*
     * One pass over the pages: iov_to_buf() from the start for every row
     * would cost rows * pages.
     */
    for (y = 0; y < rows; y++, offset += pitch, dst += stride) {
        for (; i < res->iov_cnt && offset >= res->iov[i].iov_len; i++) {
            offset -= res->iov[i].iov_len;
        }
        if (i == res->iov_cnt || iov_to_buf(&res->iov[i], res->iov_cnt - i,
                                            offset, dst, row) != row) {
            return false;
        }
    }
    return true;
}

/* By `pages` if there are any, else by the 2D device's own list. */
static bool helix_read_guest_blob(HelixReadback *readback,
                                  const struct virtio_gpu_simple_resource *res,
                                  const HelixPages *pages,
                                  const HelixBlob *blob,
                                  const struct helix_rect *box, uint8_t *dst,
                                  uint32_t stride, const char **why)
{
    size_t row = (size_t)box->width * HELIX_BYTES_PP;
    uint64_t offset = (uint64_t)blob->offset + (uint64_t)box->y * blob->stride +
                      (uint64_t)box->x * HELIX_BYTES_PP;

    if (pages ? helix_pages_read(pages, VIRTIO_DEVICE(readback->gpu)->dma_as,
                                 offset, blob->stride, dst, stride, row,
                                 box->height)
              : helix_read_iov(res, offset, blob->stride, dst, stride, row,
                               box->height)) {
        return true;
    }
    *why = "the guest's pages end before the framebuffer does, or are not RAM";
    return false;
}

#ifdef HELIX_HAVE_HOST_BLOB
/*
 * A blob that the guest has mapped cannot be mapped a second time; QEMU's
 * mapping of it is private to virtio-gpu-virgl.c, but a child of the device.
 */
static void *helix_host_blob_mapping(HelixReadback *readback,
                                     uint32_t resource_id, uint64_t *size)
{
    g_autofree char *name = g_strdup_printf("blob[%" PRIu32 "]", resource_id);
    Object *vmr = object_resolve_path_component(OBJECT(readback->gpu), name);
    Object *mr = vmr ? object_resolve_path_component(vmr, "mr[0]") : NULL;

    if (!mr || !object_dynamic_cast(mr, TYPE_MEMORY_REGION)) {
        return NULL;
    }
    *size = memory_region_size(MEMORY_REGION(mr));
    return memory_region_get_ram_ptr(MEMORY_REGION(mr));
}

static bool helix_read_host_blob(HelixReadback *readback, const HelixBlob *blob,
                                 const struct helix_rect *box, uint8_t *dst,
                                 uint32_t stride, const char **why)
{
    uint64_t size = 0;
    void *data = helix_host_blob_mapping(readback, blob->resource_id, &size);
    bool mapped = false, ok = false;
    const uint8_t *src;
    uint32_t y;

    if (!data) {
        mapped = !virgl_renderer_resource_map(blob->resource_id, &data, &size);
        if (!mapped) {
            *why = "the renderer cannot map this blob";
            return false;
        }
    }
    if (helix_blob_end(blob) > size) {
        *why = "the renderer's mapping ends before the framebuffer does";
        goto out;
    }
    src = (const uint8_t *)data + blob->offset + (size_t)box->y * blob->stride +
          (size_t)box->x * HELIX_BYTES_PP;
    for (y = 0; y < box->height; y++) {
        memcpy(dst, src, (size_t)box->width * HELIX_BYTES_PP);
        dst += stride;
        src += blob->stride;
    }
    ok = true;
out:
    if (mapped) {
        virgl_renderer_resource_unmap(blob->resource_id);
    }
    return ok;
}
#endif

static bool helix_read_blob(HelixReadback *readback,
                            struct virtio_gpu_simple_resource *res,
                            const HelixPages *pages,
                            const struct helix_surface *surface,
                            const struct helix_rect *box, uint8_t *dst,
                            uint32_t stride, const char **why)
{
    const HelixBlob *blob =
        helix_blob_find(readback, res->resource_id, surface->fourcc);

    if (!blob) {
        *why = "the blob was on no scanout yet, so its layout is unknown";
        return false;
    }
    if (!helix_box_within(box, blob->width, blob->height) ||
        helix_blob_end(blob) > res->blob_size) {
        *why = "the box is outside of the blob's framebuffer";
        return false;
    }
    if (pages || (!readback->gl && res->iov_cnt)) {
        return helix_read_guest_blob(readback, res, pages, blob, box, dst,
                                     stride, why);
    }
#ifdef HELIX_HAVE_HOST_BLOB
    if (helix_virgl_ready(readback->gpu)) {
        return helix_read_host_blob(readback, blob, box, dst, stride, why);
    }
#endif
    *why = "the blob has no memory that the host can read";
    return false;
}

/* ---- all ---- */

bool helix_readback_resource(HelixReadback *readback, uint32_t resource_id,
                             struct helix_surface *surface)
{
    struct virtio_gpu_simple_resource *res;
    const HelixBlob *blob;

    memset(surface, 0, sizeof(*surface));
    res = helix_readback_find(readback, resource_id);
    if (res && res->image) {
        surface->rect.width = res->width;
        surface->rect.height = res->height;
        surface->fourcc = helix_readback_fourcc(res->format);
    } else if (res && res->blob_size) {
        blob = helix_blob_find(readback, resource_id, 0);
        if (blob) {
            surface->rect.width = blob->width;
            surface->rect.height = blob->height;
            surface->fourcc = blob->fourcc;
        }
    }
    if (!surface->fourcc &&
        !helix_virgl_resource(readback->gpu, resource_id, surface)) {
        return false;
    }
    if (!surface->fourcc) {
        return false;
    }
    surface->resource_id = resource_id;
    return true;
}

static bool helix_readback_dispatch(HelixReadback *readback,
                                    const struct helix_surface *surface,
                                    const struct helix_rect *box, void *dst,
                                    uint32_t stride, const char **why)
{
    struct virtio_gpu_simple_resource *res;
    const HelixPages *pages;

    g_assert(helix_loop_may_read(readback->loop));
    if (stride < (uint64_t)box->width * HELIX_BYTES_PP || !box->height) {
        *why = "the box does not fit its destination";
        return false;
    }
    res = helix_readback_find(readback, surface->resource_id);
    if (res && res->image) {
        return helix_read_2d(res->image, box, dst, stride, why);
    }
    pages = helix_pages_find(readback, surface->resource_id);
    if (!res || !res->blob_size || (!pages && readback->gl)) {
        if (helix_virgl_read(readback->gpu, &readback->ctx0,
                             surface->resource_id, box, dst, stride, why)) {
            return true;
        }
    }
    if (res && res->blob_size) {
        return helix_read_blob(readback, res, pages, surface, box, dst, stride,
                               why);
    }
    return false;
}

bool helix_readback_read(HelixReadback *readback,
                         const struct helix_surface *surface,
                         const struct helix_rect *box, void *dst,
                         uint32_t stride, const char **why)
{
    bool ok = helix_readback_dispatch(readback, surface, box, dst, stride, why);

    trace_helix_export_read(surface->resource_id, box->x, box->y, box->width,
                            box->height, ok ? "ok" : *why);
    return ok;
}

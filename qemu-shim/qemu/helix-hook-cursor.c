/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cursor planes: what the guest's cursor queue made of them.
 *
 * Cursor commands have a queue of their own, which does not pass through
 * process_cmd. Two things of the device are wrapped instead: its cursor_bh,
 * behind which all that came has been applied to scanout[].cursor, and
 * VirtIOGPUClass::update_cursor_data, without which an UPDATE_CURSOR with the
 * same resource as before would look like a MOVE_CURSOR.
 *
 * Nothing is compared or read without a subscription: the first wake-up of the
 * display after a client subscribed catches up.
 *
 * The position is the image's top left, as Linux sends it, not the hot spot.
 */

#include "qemu/osdep.h"
#include "hw/virtio/virtio.h"
#include "hw/virtio/virtio-gpu.h"
#include "qemu/main-loop.h"
#include "ui/console.h"
#include "helix-glue.h"
#include "trace.h"

/* What the core has. */
typedef struct HelixSentCursor {
    bool visible;
    int32_t x, y;
} HelixSentCursor;

static struct {
    HelixExport *export;
    QEMUBH *device_bh; /* the device's own */
    void (*update_data)(VirtIOGPU *g, struct virtio_gpu_scanout *s,
                        uint32_t resource_id);
    HelixSentCursor sent[HELIX_MAX_SCANOUTS];
    uint16_t updated; /* bit i: UPDATE_CURSOR came, the core lacks the shape */
    uint16_t gone; /* bit i: a reset took it, which the device does not note */
    bool behind; /* something may have changed that the core lacks */
} cursor;

/* ---- shape ---- */

/*
 * The byte that an x stands for is alpha all the same: Linux makes dumb
 * buffers, its usual cursors, without knowing what they are for.
 */
static void helix_hook_cursor_to_bgra(uint8_t *pixels, size_t count,
                                      uint32_t fourcc)
{
    /* Where B, G, R and A are in a pixel's four bytes. */
    static const struct {
        uint32_t opaque, alpha; /* fourcc */
        uint8_t at[HELIX_BYTES_PP];
    } orders[] = {
        {HELIX_FOURCC_RGBX, HELIX_FOURCC_RGBA, {2, 1, 0, 3}},
        {HELIX_FOURCC_XRGB, HELIX_FOURCC_ARGB, {3, 2, 1, 0}},
        {HELIX_FOURCC_XBGR, HELIX_FOURCC_ABGR, {1, 2, 3, 0}},
    };
    const uint8_t *at = NULL;
    uint8_t was[HELIX_BYTES_PP];
    size_t i;

    for (i = 0; i < ARRAY_SIZE(orders); i++) {
        if (fourcc == orders[i].opaque || fourcc == orders[i].alpha) {
            at = orders[i].at;
        }
    }
    for (i = 0; at && i < count; i++, pixels += HELIX_BYTES_PP) {
        memcpy(was, pixels, HELIX_BYTES_PP);
        pixels[0] = was[at[0]];
        pixels[1] = was[at[1]];
        pixels[2] = was[at[2]];
        pixels[3] = was[at[3]];
    }
}

static bool helix_hook_cursor_fits(uint32_t width, uint32_t height)
{
    return width && width <= HELIX_MAX_CURSOR && height &&
           height <= HELIX_MAX_CURSOR;
}

/*
 * The resource's own pixels, by the way that frames take. Returns NULL where
 * they cannot be had.
 */
static uint8_t *helix_hook_cursor_read(uint32_t resource_id,
                                       struct helix_cursor_shape *shape)
{
    struct helix_surface surface;
    const char *why;
    uint8_t *pixels;

    if (!helix_readback_resource(cursor.export, resource_id, &surface) ||
        !helix_hook_cursor_fits(surface.rect.width, surface.rect.height)) {
        return NULL;
    }
    shape->width = surface.rect.width;
    shape->height = surface.rect.height;
    pixels = g_malloc((size_t)shape->width * shape->height * HELIX_BYTES_PP);
    if (!helix_readback_read(cursor.export, &surface, &surface.rect, pixels,
                             shape->width * HELIX_BYTES_PP, &why)) {
        g_free(pixels);
        return NULL;
    }
    helix_hook_cursor_to_bgra(pixels, (size_t)shape->width * shape->height,
                              surface.fourcc);
    return pixels;
}

/*
 * Returns false if there are no pixels. Else the caller frees shape->pixels.
 */
static bool helix_hook_cursor_shape(const struct virtio_gpu_scanout *s,
                                    struct helix_cursor_shape *shape)
{
    uint8_t *pixels = helix_hook_cursor_read(s->cursor.resource_id, shape);
    const QEMUCursor *c = s->current_cursor;

    if (!pixels && c && helix_hook_cursor_fits(c->width, c->height)) {
        /*
         * The device's copy: where the resource went away before a client
         * subscribed, or is a blob, whose layout only a scanout would tell.
         */
        shape->width = c->width;
        shape->height = c->height;
        pixels = g_memdup2(c->data, (size_t)shape->width * shape->height *
                                        HELIX_BYTES_PP);
    }
    if (!pixels) {
        return false;
    }
    /* The guest's numbers: what points must lie within the image. */
    shape->hot_x = MIN(s->cursor.hot_x, shape->width - 1);
    shape->hot_y = MIN(s->cursor.hot_y, shape->height - 1);
    shape->pixels = pixels;
    return true;
}

/* ---- telling the core ---- */

static void helix_hook_cursor_send(unsigned scanout, bool visible, int32_t x,
                                   int32_t y,
                                   const struct helix_cursor_shape *shape)
{
    cursor.sent[scanout] = (HelixSentCursor){visible, x, y};
    trace_helix_export_cursor(scanout, visible, x, y, shape ? shape->width : 0,
                              shape ? shape->height : 0);
    helix_shim_display_cursor(cursor.export->shim, scanout, visible, x, y,
                              shape);
}

static void helix_hook_cursor_hide(unsigned scanout)
{
    const HelixSentCursor *sent = &cursor.sent[scanout];

    if (sent->visible) {
        helix_hook_cursor_send(scanout, false, sent->x, sent->y, NULL);
    }
}

static void helix_hook_cursor_update(unsigned scanout)
{
    const struct virtio_gpu_scanout *s =
        &cursor.export->gpu->parent_obj.scanout[scanout];
    const HelixSentCursor *sent = &cursor.sent[scanout];
    int32_t x = (int32_t)s->cursor.pos.x, y = (int32_t)s->cursor.pos.y;
    struct helix_cursor_shape shape = {};
    uint16_t bit = 1u << scanout;
    bool shaped = false;

    if (!s->cursor.resource_id || cursor.gone & bit) {
        helix_hook_cursor_hide(scanout);
        return;
    }
    if (cursor.updated & bit && helix_hook_cursor_shape(s, &shape)) {
        /* Else it is tried again at the next event of the cursor. */
        cursor.updated &= ~bit;
        shaped = true;
    }
    /* Guests repeat the shape they have: the core compares. */
    if (shaped || !sent->visible || sent->x != x || sent->y != y) {
        helix_hook_cursor_send(scanout, true, x, y, shaped ? &shape : NULL);
    }
    g_free((void *)shape.pixels);
}

void helix_hook_cursor_catch_up(void)
{
    unsigned i, outputs;

    if (!cursor.behind || helix_shim_idle(cursor.export->shim)) {
        return;
    }
    cursor.behind = false;
    outputs = MIN(cursor.export->gpu->parent_obj.conf.max_outputs,
                  HELIX_MAX_SCANOUTS);
    for (i = 0; i < outputs; i++) {
        helix_hook_cursor_update(i);
    }
}

void helix_hook_cursor_changed(void)
{
    cursor.behind = true;
    if (helix_loop_may_read(cursor.export)) {
        helix_hook_cursor_catch_up();
    } else if (!helix_shim_idle(cursor.export->shim)) {
        helix_loop_wake_display(cursor.export);
    }
}

void helix_hook_cursor_reset(void)
{
    unsigned i;

    for (i = 0; i < HELIX_MAX_SCANOUTS; i++) {
        helix_hook_cursor_hide(i);
    }
    cursor.updated = 0;
    cursor.gone = UINT16_MAX;
}

/* ---- wrapping ---- */

static void helix_hook_cursor_update_data(VirtIOGPU *g,
                                          struct virtio_gpu_scanout *s,
                                          uint32_t resource_id)
{
    uint16_t bit;

    cursor.update_data(g, s, resource_id);
    if (g == cursor.export->gpu) {
        bit = 1u << (s - g->parent_obj.scanout);
        cursor.updated |= bit;
        cursor.gone &= ~bit;
    }
}

static void helix_hook_cursor_bh(void *opaque)
{
    aio_bh_call(cursor.device_bh);
    helix_hook_cursor_changed();
}

void helix_hook_cursor_install(HelixExport *export)
{
    VirtIOGPUClass *vgc = VIRTIO_GPU_GET_CLASS(export->gpu);

    cursor.export = export;
    cursor.device_bh = export->gpu->cursor_bh;
    cursor.update_data = vgc->update_cursor_data;
    /* Not run by nested polling of the block layer's, as the device's own. */
    export->gpu->cursor_bh =
        aio_bh_new(iohandler_get_aio_context(), helix_hook_cursor_bh, NULL);
    vgc->update_cursor_data = helix_hook_cursor_update_data;
}

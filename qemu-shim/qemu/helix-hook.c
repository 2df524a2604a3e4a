/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Listens to a virtio-gpu's commands, by wrapping functions of its class:
 * VirtIOGPUClass::process_cmd, ::handle_ctrl, ::update_cursor_data and
 * VirtioDeviceClass::reset; and its bottom half cursor_bh.
 *
 * Not a DisplayChangeListener: a second one cannot be registered beside SPICE
 * gl=on, SDL, GTK or D-Bus with OpenGL, and none sees resource ids.
 *
 * Order: a flush is read back before the device handles it, so everything
 * that the guest drew before is in and its fence is answered only after the
 * frame was taken. A resource is dropped before it is freed. A scanout is
 * noted after the device accepted it, from a copy made before: with the answer
 * the command's memory is the guest's again, and its next command may be in it
 * already. A command that the device suspends comes here again: all of it may
 * be done twice.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/iov.h"
#include "hw/qdev-core.h"
#include "hw/virtio/virtio.h"
#include "hw/virtio/virtio-gpu.h"
#include "hw/virtio/virtio-gpu-bswap.h"
#include "qemu/main-loop.h"
#include "ui/console.h"
#include "helix-glue.h"
#include "trace.h"

static struct {
    HelixExport *export;
    void (*process_cmd)(VirtIOGPU *g, struct virtio_gpu_ctrl_command *cmd);
    void (*handle_ctrl)(VirtIODevice *vdev, VirtQueue *vq);
    void (*reset)(VirtIODevice *vdev);
    void (*update_cursor)(VirtIOGPU *g, struct virtio_gpu_scanout *s,
                          uint32_t resource_id);
    QEMUBH *cursor_bh; /* the device's own */
    bool warned_format;
    bool loaded; /* perhaps a snapshot was loaded since the VM ran last */
    bool resync; /* the VM runs, and the core does not know what was loaded */
    /* Bit i: UPDATE_CURSOR of scanout i came, the core lacks the shape. */
    uint16_t cursor_updated;
    /* Bit i: a reset took the cursor, which the device does not note. */
    uint16_t cursor_gone;
    bool cursor_behind; /* something may have changed that the core lacks */
} hook;

/* ---- what the core is told ---- */

static void helix_hook_set_resource(uint32_t scanout, uint32_t resource_id,
                                    const struct virtio_gpu_rect *r)
{
    struct helix_surface surface = {};
    bool known = false;

    if (scanout >= hook.export->gpu->parent_obj.conf.max_outputs) {
        return; /* which the device itself reports */
    }
    if (resource_id) {
        known = helix_readback_resource(hook.export, resource_id, &surface);
        if (!known && !hook.warned_format) {
            hook.warned_format = true;
            helix_loop_log(hook.export, HELIX_LOG_WARN,
                           "the guest shows a picture that is not in a 32-bit "
                           "RGB format, or not in memory that the host can "
                           "read: that scanout is exported as off");
        }
    }
    if (!known || !r->width || !r->height ||
        (uint64_t)r->x + r->width > surface.rect.width ||
        (uint64_t)r->y + r->height > surface.rect.height) {
        memset(&surface, 0, sizeof(surface));
    } else {
        surface.rect = (struct helix_rect){r->x, r->y, r->width, r->height};
    }
    trace_helix_export_scanout(scanout, surface.resource_id, surface.rect.x,
                               surface.rect.y, surface.rect.width,
                               surface.rect.height, surface.fourcc);
    helix_shim_display_scanout(hook.export->shim, scanout, &surface);
}

static void helix_hook_unref(uint32_t resource_id)
{
    trace_helix_export_unref(resource_id);
    helix_readback_forget(hook.export, resource_id);
    helix_shim_display_unref(hook.export->shim, resource_id);
}

static void helix_hook_forget_all(void)
{
    trace_helix_export_reset();
    hook.cursor_updated = 0;
    hook.cursor_gone = UINT16_MAX;
    helix_monitor_reset();
    helix_readback_forget_all(hook.export);
    helix_shim_display_reset(hook.export->shim);
}

/* ---- commands ---- */

/* A command, copied before the device sees it. */
typedef union HelixCommand {
    struct virtio_gpu_ctrl_hdr hdr;
    struct virtio_gpu_resource_flush flush;
    struct virtio_gpu_resource_unref unref;
    struct virtio_gpu_resource_create_blob create_blob;
    struct virtio_gpu_resource_attach_backing attach;
    struct virtio_gpu_resource_detach_backing detach;
    struct virtio_gpu_set_scanout set_scanout;
    struct virtio_gpu_set_scanout_blob set_scanout_blob;
    struct virtio_gpu_cmd_get_edid get_edid;
} HelixCommand;

/* Bytes that a command of that type has; SIZE_MAX = not one of these. */
static size_t helix_hook_size(uint32_t type)
{
    switch (type) {
    case VIRTIO_GPU_CMD_GET_DISPLAY_INFO:
        return sizeof(struct virtio_gpu_ctrl_hdr);
    case VIRTIO_GPU_CMD_GET_EDID:
        return sizeof(struct virtio_gpu_cmd_get_edid);
    case VIRTIO_GPU_CMD_RESOURCE_FLUSH:
        return sizeof(struct virtio_gpu_resource_flush);
    case VIRTIO_GPU_CMD_RESOURCE_UNREF:
        return sizeof(struct virtio_gpu_resource_unref);
    case VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB:
        return sizeof(struct virtio_gpu_resource_create_blob);
    case VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING:
        return sizeof(struct virtio_gpu_resource_attach_backing);
    case VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING:
        return sizeof(struct virtio_gpu_resource_detach_backing);
    case VIRTIO_GPU_CMD_SET_SCANOUT:
        return sizeof(struct virtio_gpu_set_scanout);
    case VIRTIO_GPU_CMD_SET_SCANOUT_BLOB:
        return sizeof(struct virtio_gpu_set_scanout_blob);
    default:
        return SIZE_MAX;
    }
}

/*
 * In the host's byte order, but for 64-bit fields behind the header, which are
 * not used here. Returns false if it does not matter here, or is too short,
 * which the device itself reports.
 */
static bool helix_hook_fetch(HelixCommand *command,
                             const struct virtio_gpu_ctrl_command *cmd)
{
    size_t got = iov_to_buf(cmd->elem.out_sg, cmd->elem.out_num, 0, command,
                            sizeof(*command));
    size_t size;

    if (got < sizeof(command->hdr)) {
        return false;
    }
    size = helix_hook_size(le32_to_cpu(command->hdr.type));
    if (got < size) {
        return false;
    }
    virtio_gpu_bswap_32(command, size);
    return true;
}

static void helix_hook_flush(const struct virtio_gpu_resource_flush *flush)
{
    const struct virtio_gpu_rect *r = &flush->r;
    struct helix_rect rect = {
        .x = r->x,
        .y = r->y,
        /* The far edge must not wrap round; the core clips to the resource. */
        .width = MIN(r->width, UINT32_MAX - r->x),
        .height = MIN(r->height, UINT32_MAX - r->y),
    };

    if (helix_shim_idle(hook.export->shim)) {
        return;
    }
    trace_helix_export_flush(flush->resource_id, rect.x, rect.y, rect.width,
                             rect.height);
    helix_shim_display_flush(hook.export->shim, flush->resource_id, &rect);
}

/*
 * The pages that a command gives to a blob, in GL mode. There they belong to
 * the renderer, and the device frees its own list of them at DETACH_BACKING
 * without a note of it in its resource (QEMU up to 10.2): that list is never
 * looked at. Before the device: with the answer the entries are the guest's.
 */
static HelixPages *helix_hook_pages(const HelixCommand *command,
                                    const struct virtio_gpu_ctrl_command *cmd)
{
    const struct virtio_gpu_resource_create_blob *create =
        &command->create_blob;
    const struct virtio_gpu_resource_attach_backing *attach = &command->attach;

    if (!hook.export->gl) {
        return NULL;
    }
    if (command->hdr.type == VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB &&
        create->blob_mem == VIRTIO_GPU_BLOB_MEM_GUEST) {
        return helix_pages_fetch(cmd, sizeof(*create), create->nr_entries);
    }
    if (command->hdr.type == VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING &&
        helix_readback_is_blob(hook.export, attach->resource_id)) {
        return helix_pages_fetch(cmd, sizeof(*attach), attach->nr_entries);
    }
    return NULL;
}

static void helix_hook_before(const HelixCommand *command)
{
    switch (command->hdr.type) {
    case VIRTIO_GPU_CMD_GET_DISPLAY_INFO:
        helix_monitor_asked(hook.export);
        break;
    case VIRTIO_GPU_CMD_GET_EDID:
        helix_monitor_asked_edid(hook.export, command->get_edid.scanout);
        break;
    case VIRTIO_GPU_CMD_RESOURCE_FLUSH:
        helix_hook_flush(&command->flush);
        break;
    case VIRTIO_GPU_CMD_RESOURCE_UNREF:
        helix_hook_unref(command->unref.resource_id);
        break;
    case VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING:
        helix_readback_detach(hook.export, command->detach.resource_id);
        break;
    default:
        break;
    }
}

/*
 * Here the device's verdict does not count: where the host has no udmabuf the
 * device refuses every guest blob for its own display, yet the guest believes
 * that it is shown, and its pixels can be read as well as any.
 */
static void
helix_hook_set_scanout_blob(const struct virtio_gpu_set_scanout_blob *set,
                            uint32_t error)
{
    HelixLayout layout = {
        .fourcc = helix_readback_fourcc(set->format),
        .width = set->width,
        .height = set->height,
        .stride = set->strides[0],
        .offset = set->offsets[0],
    };

    if (!virtio_gpu_blob_enabled(hook.export->gpu->parent_obj.conf)) {
        return;
    }
    if (set->scanout_id >= hook.export->gpu->parent_obj.conf.max_outputs) {
        return; /* which the device itself reports: no blob is noted for it */
    }
    if (set->resource_id &&
        !helix_readback_layout(hook.export, set->resource_id, &layout) &&
        error) {
        /* Refused with good reason: what was shown before still is. */
        return;
    }
    helix_hook_set_resource(set->scanout_id, set->resource_id, &set->r);
}

/* `error` is the device's answer, `pages` what the command gave. */
static void helix_hook_after(const HelixCommand *command, uint32_t error,
                             HelixPages *pages)
{
    if (error) {
        g_clear_pointer(&pages, g_free);
    }
    switch (command->hdr.type) {
    case VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB:
        if (pages) {
            helix_readback_attach(hook.export, command->create_blob.resource_id,
                                  pages);
        }
        break;
    case VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING:
        if (pages) {
            helix_readback_attach(hook.export, command->attach.resource_id,
                                  pages);
        }
        break;
    case VIRTIO_GPU_CMD_SET_SCANOUT:
        if (!error) {
            helix_hook_set_resource(command->set_scanout.scanout_id,
                                    command->set_scanout.resource_id,
                                    &command->set_scanout.r);
        }
        break;
    case VIRTIO_GPU_CMD_SET_SCANOUT_BLOB:
        helix_hook_set_scanout_blob(&command->set_scanout_blob, error);
        break;
    default:
        break;
    }
}

static void helix_hook_process_cmd(VirtIOGPU *g,
                                   struct virtio_gpu_ctrl_command *cmd)
{
    HelixCommand command;
    HelixPages *pages;

    if (g != hook.export->gpu || !helix_hook_fetch(&command, cmd)) {
        hook.process_cmd(g, cmd);
        return;
    }
    helix_hook_before(&command);
    pages = helix_hook_pages(&command, cmd);
    hook.process_cmd(g, cmd);
    helix_hook_after(&command, cmd->error, pages);
}

/* ---- the cursor queue ---- */

/*
 * Cursor commands have a queue of their own, which does not pass through
 * process_cmd. Behind the device's cursor_bh all that came has been applied to
 * scanout[].cursor; without update_cursor_data an UPDATE_CURSOR with the same
 * resource as before would look like a MOVE_CURSOR.
 *
 * Nothing is compared or read without a subscription: the first wake-up of the
 * display after a client subscribed catches up.
 *
 * The position is the image's top left, as Linux sends it, not the hot spot.
 */

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
 * The resource's own pixels; the GPU is waited for, once a shape. Returns NULL
 * where they cannot be had.
 */
static uint8_t *helix_hook_cursor_read(uint32_t resource_id,
                                       struct helix_cursor_shape *shape)
{
    struct helix_readback readback = {.boxes = 1};
    struct helix_surface surface;
    const char *why;
    uint8_t *pixels;

    if (!helix_readback_resource(hook.export, resource_id, &surface) ||
        !helix_hook_cursor_fits(surface.rect.width, surface.rect.height)) {
        return NULL;
    }
    shape->width = surface.rect.width;
    shape->height = surface.rect.height;
    pixels = g_malloc((size_t)shape->width * shape->height * HELIX_BYTES_PP);
    readback.surface = surface;
    readback.box[0] = surface.rect;
    readback.dst = pixels;
    readback.stride = shape->width * HELIX_BYTES_PP;
    if (!helix_readback_read_now(hook.export, &readback, &why)) {
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

static void helix_hook_cursor_update(unsigned scanout)
{
    const struct virtio_gpu_scanout *s =
        &hook.export->gpu->parent_obj.scanout[scanout];
    int32_t x = (int32_t)s->cursor.pos.x, y = (int32_t)s->cursor.pos.y;
    struct helix_cursor_shape shape = {};
    uint16_t bit = 1u << scanout;
    bool visible = s->cursor.resource_id && !(hook.cursor_gone & bit);

    /* A shape that cannot be had is tried again at the cursor's next event. */
    if (visible && hook.cursor_updated & bit &&
        helix_hook_cursor_shape(s, &shape)) {
        hook.cursor_updated &= ~bit;
    }
    trace_helix_export_cursor(scanout, visible, x, y, shape.width,
                              shape.height);
    /* Guests repeat what they have: the core compares. */
    helix_shim_display_cursor(hook.export->shim, scanout, visible, x, y,
                              shape.pixels ? &shape : NULL);
    g_free((void *)shape.pixels);
}

static void helix_hook_cursor_catch_up(void)
{
    unsigned i, outputs = MIN(hook.export->gpu->parent_obj.conf.max_outputs,
                              HELIX_MAX_SCANOUTS);

    if (!hook.cursor_behind || helix_shim_idle(hook.export->shim)) {
        return;
    }
    hook.cursor_behind = false;
    for (i = 0; i < outputs; i++) {
        helix_hook_cursor_update(i);
    }
}

static void helix_hook_cursor_changed(void)
{
    hook.cursor_behind = true;
    if (helix_loop_may_read(hook.export)) {
        helix_hook_cursor_catch_up();
    } else if (!helix_shim_idle(hook.export->shim)) {
        helix_loop_wake_display(hook.export);
    }
}

static void helix_hook_update_cursor(VirtIOGPU *g, struct virtio_gpu_scanout *s,
                                     uint32_t resource_id)
{
    uint16_t bit;

    hook.update_cursor(g, s, resource_id);
    if (g == hook.export->gpu) {
        bit = 1u << (s - g->parent_obj.scanout);
        hook.cursor_updated |= bit;
        hook.cursor_gone &= ~bit;
    }
}

static void helix_hook_cursor_bh(void *opaque)
{
    aio_bh_call(hook.cursor_bh);
    helix_hook_cursor_changed();
}

/* ---- reset, snapshots ---- */

/*
 * Before: nothing is read any more. Again after: the device lets the main
 * loop run while it resets on behalf of a vCPU, which may have handled a
 * command that was still queued.
 */
static void helix_hook_reset(VirtIODevice *vdev)
{
    if (vdev != VIRTIO_DEVICE(hook.export->gpu)) {
        hook.reset(vdev);
        return;
    }
    /* Loading a snapshot begins so, whether the VM ever ran or not. */
    hook.loaded |= !runstate_is_running();
    helix_hook_forget_all();
    hook.reset(vdev);
    helix_hook_forget_all();
}

/* With the first commands behind a reset the device resets the renderer. */
static void helix_hook_handle_ctrl(VirtIODevice *vdev, VirtQueue *vq)
{
    if (vdev == VIRTIO_DEVICE(hook.export->gpu) &&
        helix_loop_may_read(hook.export)) {
        helix_pixels_settle(hook.export);
    }
    hook.handle_ctrl(vdev, vq);
}

/*
 * Loading a snapshot, or migrating in, restores scanouts and cursors without
 * any command. Only the 2D device can do that, and it keeps all that is needed.
 */
static void helix_hook_vm_change(void *opaque, bool running, RunState state)
{
    if (running && hook.loaded && !hook.export->gl) {
        hook.resync = true;
        helix_loop_wake_display(hook.export);
    }
    hook.loaded &= !running;
}

static void helix_hook_resync(void)
{
    VirtIOGPUBase *gpu = &hook.export->gpu->parent_obj;
    struct helix_rect all = {0, 0, UINT32_MAX, UINT32_MAX};
    unsigned i;

    for (i = 0; i < gpu->conf.max_outputs; i++) {
        struct virtio_gpu_scanout *s = &gpu->scanout[i];
        struct virtio_gpu_rect r = {s->x, s->y, s->width, s->height};

        helix_hook_set_resource(i, s->resource_id, &r);
        if (s->resource_id) {
            helix_shim_display_flush(hook.export->shim, s->resource_id, &all);
        }
    }
    helix_hook_cursor_changed();
}

void helix_hook_catch_up(void)
{
    if (hook.resync) {
        hook.resync = false;
        helix_hook_resync();
    }
    helix_hook_cursor_catch_up();
}

/* ---- finding, wrapping ---- */

/*
 * Children are walked in no order, so the first GPU is the one that owns the
 * first console.
 */
static int helix_hook_find_child(Object *child, void *opaque)
{
    VirtIOGPU **found = opaque;
    VirtIOGPU *gpu;

    gpu = (VirtIOGPU *)object_dynamic_cast(child, TYPE_VIRTIO_GPU);
    if (gpu && gpu->parent_obj.scanout[0].con &&
        (!*found ||
         qemu_console_get_index(gpu->parent_obj.scanout[0].con) <
             qemu_console_get_index((*found)->parent_obj.scanout[0].con))) {
        *found = gpu;
    }
    return 0; /* goes on */
}

VirtIOGPU *helix_hook_find_gpu(const char *id, Error **errp)
{
    Object *root = object_get_root();
    VirtIOGPU *gpu = NULL;

    if (id) {
        /* The id names the PCI function, the GPU is its child. */
        g_autofree char *path = g_strdup_printf("/machine/peripheral/%s", id);

        root = object_resolve_path(path, NULL);
        if (!root) {
            error_setg(errp, "gpu=%s names no device", id);
            error_append_hint(errp,
                              "Give the virtio-gpu that id: -device "
                              "virtio-gpu-pci,id=%s\n",
                              id);
            return NULL;
        }
        helix_hook_find_child(root, &gpu);
    }
    if (!gpu) {
        object_child_foreach_recursive(root, helix_hook_find_child, &gpu);
    }
    if (!gpu && id) {
        error_setg(errp, "gpu=%s is a %s, not a virtio-gpu", id,
                   object_get_typename(root));
    } else if (!gpu) {
        error_setg(errp, "this VM has no virtio-gpu device whose screen could "
                         "be exported");
        error_append_hint(errp,
                          "Add one: -device virtio-gpu-pci, or "
                          "-device virtio-gpu-gl-pci with a display that has "
                          "OpenGL. vhost-user-gpu and other graphics cards "
                          "cannot be exported.\n");
    }
    return gpu;
}

void helix_hook_install(HelixExport *export)
{
    VirtIOGPUClass *vgc = VIRTIO_GPU_GET_CLASS(export->gpu);
    VirtioDeviceClass *vdc = VIRTIO_DEVICE_GET_CLASS(export->gpu);

    hook.export = export;
    hook.process_cmd = vgc->process_cmd;
    hook.handle_ctrl = vgc->handle_ctrl;
    hook.reset = vdc->reset;
    hook.loaded = runstate_check(RUN_STATE_INMIGRATE);
    vgc->process_cmd = helix_hook_process_cmd;
    vgc->handle_ctrl = helix_hook_handle_ctrl;
    vdc->reset = helix_hook_reset;
    qemu_add_vm_change_state_handler(helix_hook_vm_change, NULL);
    hook.cursor_bh = export->gpu->cursor_bh;
    hook.update_cursor = vgc->update_cursor_data;
    /* Not run by nested polling of the block layer's, as the device's own. */
    export->gpu->cursor_bh =
        aio_bh_new(iohandler_get_aio_context(), helix_hook_cursor_bh, NULL);
    vgc->update_cursor_data = helix_hook_update_cursor;
}

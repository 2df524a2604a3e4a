/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Listens to a virtio-gpu's commands, by wrapping two functions of its class:
 * VirtIOGPUClass::process_cmd and VirtioDeviceClass::reset.
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
#include "ui/console.h"
#include "helix-glue.h"
#include "trace.h"

static struct {
    HelixExport *export;
    void (*process_cmd)(VirtIOGPU *g, struct virtio_gpu_ctrl_command *cmd);
    void (*reset)(VirtIODevice *vdev);
    struct helix_surface scanout[HELIX_MAX_SCANOUTS]; /* as the core has it */
    bool warned_format;
    bool loaded; /* perhaps a snapshot was loaded since the VM ran last */
    bool resync; /* the VM runs, and the core does not know what was loaded */
} hook;

/* ---- what the core is told ---- */

static void helix_hook_set_surface(uint32_t scanout,
                                   const struct helix_surface *surface)
{
    struct helix_surface *now = &hook.scanout[scanout];

    if (now->resource_id == surface->resource_id &&
        now->fourcc == surface->fourcc &&
        !memcmp(&now->rect, &surface->rect, sizeof(now->rect))) {
        return;
    }
    *now = *surface;
    trace_helix_export_scanout(scanout, surface->resource_id, surface->rect.x,
                               surface->rect.y, surface->rect.width,
                               surface->rect.height, surface->fourcc);
    helix_shim_display_scanout(hook.export->shim, scanout, surface);
}

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
    helix_hook_set_surface(scanout, &surface);
}

static void helix_hook_unref(uint32_t resource_id)
{
    unsigned i;

    trace_helix_export_unref(resource_id);
    helix_readback_forget(hook.export, resource_id);
    helix_shim_display_unref(hook.export->shim, resource_id);
    for (i = 0; i < HELIX_MAX_SCANOUTS; i++) {
        if (hook.scanout[i].resource_id == resource_id) {
            memset(&hook.scanout[i], 0, sizeof(hook.scanout[i]));
        }
    }
}

static void helix_hook_forget_all(void)
{
    trace_helix_export_reset();
    helix_hook_cursor_reset();
    helix_readback_forget(hook.export, 0);
    memset(hook.scanout, 0, sizeof(hook.scanout));
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
} HelixCommand;

/* Bytes that a command of that type has; SIZE_MAX = not one of these. */
static size_t helix_hook_size(uint32_t type)
{
    switch (type) {
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
    HelixBlob blob = {
        .resource_id = set->resource_id,
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
    if (set->resource_id && !helix_readback_blob(hook.export, &blob) && error) {
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
    hook.reset = vdc->reset;
    hook.loaded = runstate_check(RUN_STATE_INMIGRATE);
    vgc->process_cmd = helix_hook_process_cmd;
    vdc->reset = helix_hook_reset;
    qemu_add_vm_change_state_handler(helix_hook_vm_change, NULL);
    helix_hook_cursor_install(export);
}

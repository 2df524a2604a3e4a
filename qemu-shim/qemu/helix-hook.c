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
    VirtIOGPU *gpu; /* NULL = not installed */
    HelixReadback *readback;
    struct helix_shim *shim;
    HelixLoop *loop;
    void (*process_cmd)(VirtIOGPU *g, struct virtio_gpu_ctrl_command *cmd);
    void (*reset)(VirtIODevice *vdev);
    VMChangeStateEntry *vm_change;
    struct helix_surface scanout[HELIX_MAX_SCANOUTS];
    bool warned_format;
    bool loaded; /* perhaps a snapshot was loaded since the VM ran last */
    bool resync; /* the VM runs, and nobody was told what was loaded */
} hook;

/* ---- what the core is told ---- */

static void helix_hook_set(uint32_t scanout,
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
    helix_shim_display_scanout(hook.shim, scanout, surface);
}

static void helix_hook_show(uint32_t scanout, uint32_t resource_id,
                            const struct virtio_gpu_rect *r)
{
    struct helix_surface surface = {};
    bool known = false;

    if (resource_id) {
        known = helix_readback_resource(hook.readback, resource_id, &surface);
        if (!known && !hook.warned_format) {
            hook.warned_format = true;
            helix_loop_log(hook.loop, HELIX_LOG_WARN,
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
    helix_hook_set(scanout, &surface);
}

static void helix_hook_unref(uint32_t resource_id)
{
    unsigned i;

    trace_helix_export_unref(resource_id);
    helix_readback_forget(hook.readback, resource_id);
    helix_shim_display_unref(hook.shim, resource_id);
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
    helix_readback_forget(hook.readback, 0);
    memset(hook.scanout, 0, sizeof(hook.scanout));
    helix_shim_display_reset(hook.shim);
}

/* ---- commands ---- */

/* A command as the guest sent it, in the guest's byte order. */
typedef struct HelixCommand {
    uint8_t bytes[sizeof(struct virtio_gpu_set_scanout_blob)]; /* the longest */
    size_t size; /* bytes of it that came */
} HelixCommand;

static void helix_hook_fetch(HelixCommand *command,
                             const struct virtio_gpu_ctrl_command *cmd)
{
    command->size = iov_to_buf(cmd->elem.out_sg, cmd->elem.out_num, 0,
                               command->bytes, sizeof(command->bytes));
}

/* False: it is too short, which the device itself reports. */
static bool helix_hook_command(const HelixCommand *command, void *dst,
                               size_t size)
{
    if (command->size < size) {
        return false;
    }
    memcpy(dst, command->bytes, size);
    return true;
}

static void helix_hook_flush(const HelixCommand *command)
{
    struct virtio_gpu_resource_flush rf;
    struct helix_rect rect;

    QEMU_BUILD_BUG_ON(sizeof(rf) > sizeof(command->bytes));
    if (helix_shim_idle(hook.shim) ||
        !helix_hook_command(command, &rf, sizeof(rf))) {
        return;
    }
    virtio_gpu_bswap_32(&rf, sizeof(rf));
    rect.x = rf.r.x;
    rect.y = rf.r.y;
    /* The far edge must not wrap round; the core clips to the resource. */
    rect.width = MIN(rf.r.width, UINT32_MAX - rf.r.x);
    rect.height = MIN(rf.r.height, UINT32_MAX - rf.r.y);
    trace_helix_export_flush(rf.resource_id, rect.x, rect.y, rect.width,
                             rect.height);
    helix_shim_display_flush(hook.shim, rf.resource_id, &rect);
}

/*
 * The pages that a command gives to a blob, in GL mode. There they belong to
 * the renderer, and the device frees its own list of them at DETACH_BACKING
 * without a note of it in its resource (QEMU up to 10.2): that list is never
 * looked at. Before the device: with the answer the entries are the guest's.
 */
static HelixPages *helix_hook_pages(uint32_t type, const HelixCommand *command,
                                    const struct virtio_gpu_ctrl_command *cmd,
                                    uint32_t *resource_id)
{
    struct virtio_gpu_resource_create_blob create;
    struct virtio_gpu_resource_attach_backing attach;

    QEMU_BUILD_BUG_ON(sizeof(create) > sizeof(command->bytes));
    if (!hook.readback->gl) {
        return NULL;
    }
    if (type == VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB &&
        helix_hook_command(command, &create, sizeof(create))) {
        virtio_gpu_create_blob_bswap(&create);
        *resource_id = create.resource_id;
        return create.blob_mem == VIRTIO_GPU_BLOB_MEM_GUEST
                   ? helix_pages_fetch(cmd, sizeof(create), create.nr_entries)
                   : NULL;
    }
    if (type == VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING &&
        helix_hook_command(command, &attach, sizeof(attach))) {
        virtio_gpu_bswap_32(&attach, sizeof(attach));
        *resource_id = attach.resource_id;
        return helix_readback_blob_size(hook.readback, attach.resource_id)
                   ? helix_pages_fetch(cmd, sizeof(attach), attach.nr_entries)
                   : NULL;
    }
    return NULL;
}

static void helix_hook_before(uint32_t type, const HelixCommand *command)
{
    struct virtio_gpu_resource_unref unref;
    struct virtio_gpu_resource_detach_backing detach;

    switch (type) {
    case VIRTIO_GPU_CMD_RESOURCE_FLUSH:
        helix_hook_flush(command);
        break;
    case VIRTIO_GPU_CMD_RESOURCE_UNREF:
        if (helix_hook_command(command, &unref, sizeof(unref))) {
            virtio_gpu_bswap_32(&unref, sizeof(unref));
            helix_hook_unref(unref.resource_id);
        }
        break;
    case VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING:
        if (helix_hook_command(command, &detach, sizeof(detach))) {
            virtio_gpu_bswap_32(&detach, sizeof(detach));
            helix_readback_detach(hook.readback, detach.resource_id);
        }
        break;
    default:
        break;
    }
}

static void helix_hook_set_scanout(const HelixCommand *command, uint32_t error)
{
    struct virtio_gpu_set_scanout ss;

    if (error || !helix_hook_command(command, &ss, sizeof(ss))) {
        return;
    }
    virtio_gpu_bswap_32(&ss, sizeof(ss));
    if (ss.scanout_id < hook.gpu->parent_obj.conf.max_outputs) {
        helix_hook_show(ss.scanout_id, ss.resource_id, &ss.r);
    }
}

/*
 * Here the device's verdict does not count: where the host has no udmabuf the
 * device refuses every guest blob for its own display, yet the guest believes
 * that it is shown, and its pixels can be read as well as any.
 */
static void helix_hook_set_scanout_blob(const HelixCommand *command,
                                        uint32_t error)
{
    struct virtio_gpu_set_scanout_blob ss;
    HelixBlob blob;

    if (!virtio_gpu_blob_enabled(hook.gpu->parent_obj.conf) ||
        !helix_hook_command(command, &ss, sizeof(ss))) {
        return;
    }
    virtio_gpu_scanout_blob_bswap(&ss);
    if (ss.scanout_id >= hook.gpu->parent_obj.conf.max_outputs) {
        return;
    }
    blob = (HelixBlob){
        .resource_id = ss.resource_id,
        .fourcc = helix_readback_fourcc(ss.format),
        .width = ss.width,
        .height = ss.height,
        .stride = ss.strides[0],
        .offset = ss.offsets[0],
    };
    if (ss.resource_id && !helix_readback_blob(hook.readback, &blob) && error) {
        /* Refused with good reason: what was shown before still is. */
        return;
    }
    helix_hook_show(ss.scanout_id, ss.resource_id, &ss.r);
}

static void helix_hook_process_cmd(VirtIOGPU *g,
                                   struct virtio_gpu_ctrl_command *cmd)
{
    struct virtio_gpu_ctrl_hdr hdr;
    HelixCommand command;
    HelixPages *pages;
    uint32_t resource_id = 0;

    if (g != hook.gpu) {
        hook.process_cmd(g, cmd);
        return;
    }
    helix_hook_fetch(&command, cmd);
    if (!helix_hook_command(&command, &hdr, sizeof(hdr))) {
        hook.process_cmd(g, cmd);
        return;
    }
    virtio_gpu_ctrl_hdr_bswap(&hdr);
    helix_hook_before(hdr.type, &command);
    pages = helix_hook_pages(hdr.type, &command, cmd, &resource_id);
    hook.process_cmd(g, cmd);
    if (pages && !cmd->error) {
        helix_readback_attach(hook.readback, resource_id, pages);
    } else {
        g_free(pages);
    }
    switch (hdr.type) {
    case VIRTIO_GPU_CMD_SET_SCANOUT:
        helix_hook_set_scanout(&command, cmd->error);
        break;
    case VIRTIO_GPU_CMD_SET_SCANOUT_BLOB:
        helix_hook_set_scanout_blob(&command, cmd->error);
        break;
    default:
        break;
    }
}

/*
 * Before: nothing is read any more. Again after: the device lets the main
 * loop run while it resets on behalf of a vCPU, which may have handled a
 * command that was still queued.
 */
static void helix_hook_reset(VirtIODevice *vdev)
{
    bool ours = vdev == VIRTIO_DEVICE(hook.gpu);

    if (ours) {
        /* Loading a snapshot begins so, whether the VM ever ran or not. */
        hook.loaded |= !runstate_is_running();
        helix_hook_forget_all();
    }
    hook.reset(vdev);
    if (ours && hook.gpu) {
        helix_hook_forget_all();
    }
}

/*
 * Loading a snapshot, or migrating in, restores scanouts and cursors without
 * any command. Only the 2D device can do that, and it keeps all that is needed.
 */
static void helix_hook_vm_change(void *opaque, bool running, RunState state)
{
    if (running && hook.loaded && !hook.readback->gl) {
        hook.resync = true;
        helix_loop_wake_display(hook.loop);
    }
    hook.loaded &= !running;
}

static void helix_hook_resync(void)
{
    struct virtio_gpu_scanout *s;
    struct helix_rect all = {0, 0, UINT32_MAX, UINT32_MAX};
    struct virtio_gpu_rect r;
    unsigned i;

    for (i = 0; i < hook.gpu->parent_obj.conf.max_outputs; i++) {
        s = &hook.gpu->parent_obj.scanout[i];
        r = (struct virtio_gpu_rect){s->x, s->y, s->width, s->height};
        helix_hook_show(i, s->resource_id, &r);
        if (s->resource_id) {
            helix_shim_display_flush(hook.shim, s->resource_id, &all);
        }
    }
    helix_hook_cursor_changed();
}

void helix_hook_catch_up(void)
{
    if (hook.gpu && hook.resync) {
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

void helix_hook_install(HelixReadback *readback, struct helix_shim *shim,
                        HelixLoop *loop)
{
    VirtIOGPUClass *vgc = VIRTIO_GPU_GET_CLASS(readback->gpu);
    VirtioDeviceClass *vdc = VIRTIO_DEVICE_GET_CLASS(readback->gpu);

    g_assert(!hook.gpu);
    memset(&hook, 0, sizeof(hook));
    hook.gpu = readback->gpu;
    hook.readback = readback;
    hook.shim = shim;
    hook.loop = loop;
    hook.process_cmd = vgc->process_cmd;
    hook.reset = vdc->reset;
    vgc->process_cmd = helix_hook_process_cmd;
    vdc->reset = helix_hook_reset;
    helix_hook_cursor_install(readback, shim, loop);
    hook.loaded = runstate_check(RUN_STATE_INMIGRATE);
    hook.vm_change =
        qemu_add_vm_change_state_handler(helix_hook_vm_change, NULL);
}

void helix_hook_remove(void)
{
    if (!hook.gpu) {
        return;
    }
    VIRTIO_GPU_GET_CLASS(hook.gpu)->process_cmd = hook.process_cmd;
    VIRTIO_DEVICE_GET_CLASS(hook.gpu)->reset = hook.reset;
    helix_hook_cursor_remove();
    helix_readback_forget(hook.readback, 0);
    qemu_del_vm_change_state_handler(hook.vm_change);
    memset(&hook, 0, sizeof(hook));
}

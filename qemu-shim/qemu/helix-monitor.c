/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Plugs monitors into the GPU's outputs, and out, while the guest runs: the way
 * a display's window tells its size.
 *
 * The guest is told by an event of the device, and asks then what there is
 * (GET_EDID of each output, GET_DISPLAY_INFO). Linux asks first and takes the
 * event back afterwards: what changes in between is lost to it until the next
 * event. So this file looks a little later whether the guest knows, and if not,
 * whether the event still waits for it. If neither is so, it sends the event
 * again.
 */

#include "qemu/osdep.h"
#include "ui/console.h"
#include "helix-glue.h"
#include "trace.h"

/*
 * From a change to the first look, and then twice as long each time: the guest
 * may be busy, or may have no driver that ever asks.
 */
#define HELIX_LOOK_FIRST_MS 250
#define HELIX_LOOK_LAST_MS 32000

static struct {
    QEMUTimer *timer; /* in the guest's time: a VM that stands does not ask;
                       * NULL = nothing was plugged yet */
    int64_t wait_ms; /* until the look that is due */
    /* What the guest was answered since the reset. */
    bool asked; /* GET_DISPLAY_INFO */
    int enabled; /* VirtIOGPUBase::enabled_output_bitmask */
    struct virtio_gpu_requested_state info[VIRTIO_GPU_MAX_SCANOUTS];
    uint32_t asked_edid; /* bit i: GET_EDID of output i */
    struct virtio_gpu_requested_state edid[VIRTIO_GPU_MAX_SCANOUTS];
} monitor;

void helix_monitor_asked(HelixExport *export)
{
    const VirtIOGPUBase *gpu = &export->gpu->parent_obj;

    monitor.asked = true;
    monitor.enabled = gpu->enabled_output_bitmask;
    memcpy(monitor.info, gpu->req_state, sizeof(monitor.info));
}

void helix_monitor_asked_edid(HelixExport *export, uint32_t output)
{
    const VirtIOGPUBase *gpu = &export->gpu->parent_obj;

    if (output < gpu->conf.max_outputs) {
        monitor.asked_edid |= 1u << output;
        monitor.edid[output] = gpu->req_state[output];
    }
}

void helix_monitor_reset(void)
{
    /* A driver that starts asks without an event. */
    monitor.asked = false;
    monitor.asked_edid = 0;
}

/* Whether the guest was answered what is so now. */
static bool helix_monitor_known(const VirtIOGPUBase *gpu)
{
    uint32_t i;

    if (monitor.enabled != gpu->enabled_output_bitmask ||
        memcmp(monitor.info, gpu->req_state, sizeof(monitor.info))) {
        return false;
    }
    for (i = 0; i < gpu->conf.max_outputs; i++) {
        if (monitor.asked_edid & 1u << i &&
            memcmp(&monitor.edid[i], &gpu->req_state[i],
                   sizeof(monitor.edid[i]))) {
            return false;
        }
    }
    return true;
}

static void helix_monitor_look(void *opaque);

static void helix_monitor_look_in(HelixExport *export, int64_t ms)
{
    if (!monitor.timer) {
        monitor.timer =
            timer_new_ms(QEMU_CLOCK_VIRTUAL, helix_monitor_look, export);
    }
    monitor.wait_ms = ms;
    timer_mod(monitor.timer, qemu_clock_get_ms(QEMU_CLOCK_VIRTUAL) + ms);
}

static void helix_monitor_look(void *opaque)
{
    HelixExport *export = opaque;
    VirtIOGPUBase *gpu = &export->gpu->parent_obj;

    if (!monitor.asked || helix_monitor_known(gpu)) {
        return; /* a driver that starts will ask */
    }
    if (!(gpu->virtio_config.events_read & VIRTIO_GPU_EVENT_DISPLAY)) {
        trace_helix_export_tell_again();
        gpu->virtio_config.events_read |= VIRTIO_GPU_EVENT_DISPLAY;
        virtio_notify_config(&gpu->parent_obj);
    }
    if (monitor.wait_ms < HELIX_LOOK_LAST_MS) {
        helix_monitor_look_in(export, monitor.wait_ms * 2);
    }
}

/*
 * The console ignores what it was told last, but it was never told of what is
 * on since boot: switching that off would be its own 0x0 again. A rate means
 * nothing there, so another rate makes the difference. Returns false if it is
 * off already.
 */
static bool helix_monitor_off(VirtIOGPUBase *gpu, uint32_t scanout,
                              QemuUIInfo *info)
{
    const QemuUIInfo *last = dpy_get_ui_info(gpu->scanout[scanout].con);

    if (last->width || last->height) {
        return true;
    }
    info->refresh_rate = !last->refresh_rate;
    return gpu->enabled_output_bitmask & (1 << scanout);
}

bool helix_monitor_set(void *opaque, const struct helix_set_scanout *set,
                       const char **why)
{
    HelixExport *export = opaque;
    VirtIOGPUBase *gpu = &export->gpu->parent_obj;
    QemuUIInfo info;
    QemuConsole *con;

    if (set->scanout >= gpu->conf.max_outputs) {
        *why = "the GPU has no such output: give it more with max_outputs=N";
        return false;
    }
    con = gpu->scanout[set->scanout].con;
    if (!dpy_ui_info_supported(con)) {
        *why = "the GPU cannot plug monitors in and out";
        return false;
    }
    trace_helix_export_ui_info(set->scanout, set->width, set->height,
                               set->refresh);
    /* Where it stands among the others stays as it is. */
    info = *dpy_get_ui_info(con);
    info.width_mm = 0;
    info.height_mm = 0;
    info.width = set->width;
    info.height = set->height;
    info.refresh_rate = set->refresh;
    if (!info.width && !helix_monitor_off(gpu, set->scanout, &info)) {
        return true;
    }
    if (dpy_set_ui_info(con, &info, false)) {
        *why = "the GPU's console refused";
        return false;
    }
    helix_monitor_look_in(export, HELIX_LOOK_FIRST_MS);
    return true;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Plugs a monitor into one of the GPU's outputs, or out, while the guest
 * runs: the way a display's window tells its size.
 */

#include "qemu/osdep.h"
#include "ui/console.h"
#include "helix-glue.h"
#include "trace.h"

/*
 * The console ignores what it was told last, but it was never told of what is
 * on since boot: switching that off would be its own 0x0 again. A rate means
 * nothing there, so another rate makes the difference.
 */
static bool helix_plug_off(VirtIOGPUBase *gpu, uint32_t scanout,
                           QemuUIInfo *info)
{
    const QemuUIInfo *last = dpy_get_ui_info(gpu->scanout[scanout].con);

    if (last->width || last->height) {
        return true;
    }
    info->refresh_rate = !last->refresh_rate;
    return gpu->enabled_output_bitmask & (1 << scanout);
}

bool helix_plug_set(VirtIOGPU *g, const struct helix_set_scanout *set,
                    const char **why)
{
    VirtIOGPUBase *gpu = &g->parent_obj;
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
    trace_helix_export_plug(set->scanout, set->width, set->height,
                            set->refresh);
    /* Where it stands among the others stays as it is. */
    info = *dpy_get_ui_info(con);
    info.width_mm = 0;
    info.height_mm = 0;
    info.width = set->width;
    info.height = set->height;
    info.refresh_rate = set->refresh;
    if (!info.width && !helix_plug_off(gpu, set->scanout, &info)) {
        return true; /* is off */
    }
    if (dpy_set_ui_info(con, &info, false)) {
        *why = "the GPU's console refused";
        return false;
    }
    return true;
}

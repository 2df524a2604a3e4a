/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * -device helix-export: serves a virtio-gpu's screens to helixqemusrc over a
 * UNIX socket. A device on no bus, so that it needs no QAPI schema and fits
 * wherever arguments can be added.
 *
 * realize checks what can be checked alone. The rest waits until the machine
 * is complete, because the GPU may stand behind us on the command line; it
 * still comes before the guest's first instruction, and a failure there ends
 * QEMU as well, unless on-error=warn.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "qom/object.h"
#include "helix-glue.h"
#include "helix-platform.h"
#include "helix-settings.h"
#include "helix-version.h"
#include "trace.h"

#define TYPE_HELIX_EXPORT "helix-export"
OBJECT_DECLARE_SIMPLE_TYPE(HelixExport, HELIX_EXPORT)

/* How long an exit waits for the goodbyes to be written. */
#define HELIX_EXIT_TIMEOUT_MS 1000

struct HelixExport {
    DeviceState parent_obj;

    /* properties */
    char *path;
    char *scanouts;
    char *gpu;
    char *on_error;
    uint32_t slots;
    uint32_t max_clients;
    char *max_size;
    char *group;
    char *mode;
    char *allow;

    uint16_t scanout_mask;
    uint32_t max_width, max_height;
    struct helix_access access;
    bool warn_only;
    Location location; /* of our -device, for messages that come later */
    HelixReadback readback;
    HelixLoop *loop;
    struct helix_shim *shim;
    QEMUBH *first_turn; /* of the main loop, for QEMU as root */
    Notifier machine_done;
    Notifier exit;
};

static HelixExport *helix_export; /* the one that is realized */

/* ---- the core's view of the screen ---- */

static bool helix_export_may_read(void *opaque)
{
    HelixExport *s = opaque;

    return helix_loop_may_read(s->loop);
}

static bool helix_export_read(void *opaque, const struct helix_surface *surface,
                              const struct helix_rect *box, void *dst,
                              uint32_t stride, const char **why)
{
    HelixExport *s = opaque;

    return helix_readback_read(&s->readback, surface, box, dst, stride, why);
}

static bool helix_export_resource(void *opaque, uint32_t resource_id,
                                  struct helix_surface *surface)
{
    HelixExport *s = opaque;

    return helix_readback_resource(&s->readback, resource_id, surface);
}

static bool helix_export_set_scanout(void *opaque,
                                     const struct helix_set_scanout *set,
                                     const char **why)
{
    HelixExport *s = opaque;

    return helix_plug_set(s->readback.gpu, set, why);
}

static void helix_export_log(void *opaque, enum helix_log_level level,
                             const char *line)
{
    HelixExport *s = opaque;

    helix_loop_log(s->loop, level, line);
}

static const struct helix_display_ops helix_export_display_ops = {
    .may_read = helix_export_may_read,
    .read = helix_export_read,
    .resource = helix_export_resource,
    .set_scanout = helix_export_set_scanout,
    .log = helix_export_log,
};

/* ---- start and stop ---- */

static void helix_export_io_stop(void *opaque)
{
    helix_shim_io_stop(opaque);
}

static void helix_export_stop(HelixExport *s)
{
    trace_helix_export_stop();
    helix_hook_remove();
    helix_serve_end();
    if (s->first_turn) {
        qemu_bh_delete(s->first_turn);
        s->first_turn = NULL;
    }
    if (s->shim) {
        helix_loop_call(s->loop, helix_export_io_stop, s->shim, -1);
    }
    helix_loop_free(s->loop);
    s->loop = NULL;
    if (s->shim) {
        helix_shim_free(s->shim);
        s->shim = NULL;
    }
}

/*
 * As "QEMU 10.0.13 (desk), helix-export 0.1.0" for a VM with -name desk: what
 * tells several VMs apart. The VM's own name is cut to fit.
 */
static char *helix_export_name(void)
{
    static const char before[] = "QEMU " QEMU_VERSION;
    static const char after[] = ", helix-export " HELIX_PACKAGE_VERSION;
    size_t room = HELIX_MAX_NAME - strlen(before) - strlen(after) - 3;
    const char *vm = qemu_get_vm_name();
    g_autofree char *name = NULL;

    if (!vm || !*vm) {
        return g_strconcat(before, after, NULL);
    }
    name = g_utf8_make_valid(vm, -1);
    if (strlen(name) > room) {
        *g_utf8_find_prev_char(name, name + room + 1) = '\0';
    }
    return g_strconcat(before, " (", name, ")", after, NULL);
}

/* True: on-error=warn took the error, the VM goes on without us. */
static bool helix_export_forgive(HelixExport *s, Error *err)
{
    if (!s->warn_only) {
        error_append_hint(&err, "With on-error=warn the VM starts without "
                                "screen export.\n");
        return false;
    }
    warn_report_err(err);
    warn_report("helix-export: the VM runs WITHOUT screen export "
                "(on-error=warn)");
    return true;
}

/* Ends QEMU, unless the VM may go on without us. */
static void helix_export_failed(HelixExport *s, Error *err)
{
    if (!helix_export_forgive(s, err)) {
        error_report_err(err);
        exit(1);
    }
}

/* From here on clients are served, or as soon as the VM is here. */
static bool helix_export_begin(HelixExport *s, Error **errp)
{
    VirtIOGPU *gpu = s->readback.gpu;

    if (!helix_serve_begin(s->loop, s->shim, errp)) {
        return false;
    }
    /* Once, so that a log tells that the shim is in this QEMU. */
    info_report("helix-export " HELIX_PACKAGE_VERSION ": %s serves %" PRIu32
                " scanout(s) of %s%s",
                s->path,
                MIN(gpu->parent_obj.conf.max_outputs, HELIX_MAX_SCANOUTS),
                object_get_typename(OBJECT(gpu)),
                runstate_check(RUN_STATE_INMIGRATE)
                    ? " when the VM runs here, after the incoming migration"
                    : "");
    return true;
}

/* What user QEMU is now, it stays. */
static void helix_export_first_turn(void *opaque)
{
    HelixExport *s = opaque;
    Error *err = NULL;

    loc_push_restore(&s->location);
    if (!helix_export_begin(s, &err)) {
        if (geteuid() != 0) {
            error_append_hint(&err,
                              "QEMU has become user %lu (-run-with user=), who "
                              "must be able to write to the socket's folder.\n",
                              (unsigned long)geteuid());
        }
        helix_export_stop(s);
        helix_export_failed(s, err);
    }
    loc_pop(&s->location);
}

static bool helix_export_start(HelixExport *s, Error **errp)
{
    g_autofree char *name = helix_export_name();
    struct helix_shim_config config = {
        .path = s->path,
        .name = name,
        .scanout_mask = s->scanout_mask,
        .slots = s->slots,
        .max_clients = s->max_clients,
        .max_width = s->max_width,
        .max_height = s->max_height,
        .access = s->access,
    };
    VirtIOGPU *gpu = helix_hook_find_gpu(s->gpu, errp);
    bool good;

    if (!gpu) {
        return false;
    }
    config.scanouts = MIN(gpu->parent_obj.conf.max_outputs, HELIX_MAX_SCANOUTS);
    if (!(s->scanout_mask & MAKE_64BIT_MASK(0, config.scanouts))) {
        error_setg(errp,
                   "scanouts=%s: the GPU has %" PRIu32 " (0-%" PRIu32
                   "), none of them is in that list",
                   s->scanouts, config.scanouts, config.scanouts - 1);
        error_append_hint(errp, "Give the GPU more with max_outputs=N.\n");
        return false;
    }
    s->loop = helix_loop_new(errp);
    if (!s->loop) {
        return false;
    }
    helix_readback_init(&s->readback, gpu, s->loop);
    s->shim = helix_shim_new(&config, &helix_export_display_ops, s,
                             &helix_loop_ops, s->loop);
    helix_loop_set_shim(s->loop, s->shim);
    helix_hook_install(&s->readback, s->shim, s->loop);
    trace_helix_export_listen(s->path, object_get_typename(OBJECT(gpu)),
                              config.scanouts);
    if (geteuid() != 0) {
        /* An incoming VM listens later, but what is wrong now is said now. */
        good = (!runstate_check(RUN_STATE_INMIGRATE) ||
                helix_serve_check(s->shim, errp)) &&
               helix_export_begin(s, errp);
    } else {
        /*
         * -run-with user= (-runas) comes into force after this, and the
         * socket, its lock and all else have to belong to that user.
         */
        good = helix_serve_check(s->shim, errp);
        s->first_turn =
            aio_bh_new(iohandler_get_aio_context(), helix_export_first_turn, s);
        qemu_bh_schedule(s->first_turn);
    }
    if (!good) {
        helix_export_stop(s);
    }
    return good;
}

static void helix_export_machine_done(Notifier *notifier, void *data)
{
    HelixExport *s = container_of(notifier, HelixExport, machine_done);
    Error *err = NULL;

    loc_push_restore(&s->location);
    if (!helix_export_start(s, &err)) {
        helix_export_failed(s, err);
    }
    loc_pop(&s->location);
}

/*
 * QEMU does not unrealize its devices when it exits. This may be any thread,
 * with or without the BQL, so only the io thread's part is done.
 */
static void helix_export_exit(Notifier *notifier, void *data)
{
    HelixExport *s = container_of(notifier, HelixExport, exit);

    if (s->shim) {
        helix_loop_call(s->loop, helix_export_io_stop, s->shim,
                        HELIX_EXIT_TIMEOUT_MS);
    }
}

/* ---- the device ---- */

/* "0-3", "0:2" or "0:4-7" (a comma would end the property). */
static bool helix_export_parse_scanouts(const char *list, uint16_t *mask)
{
    const char *p = list;
    unsigned long from, to;

    *mask = 0;
    for (;;) {
        if (qemu_strtoul(p, &p, 10, &from)) {
            return false;
        }
        to = from;
        if (*p == '-' && qemu_strtoul(p + 1, &p, 10, &to)) {
            return false;
        }
        if (from > to || to >= HELIX_MAX_SCANOUTS) {
            return false;
        }
        *mask |= MAKE_64BIT_MASK(from, to - from + 1);
        if (*p == '\0') {
            return true;
        }
        if (*p != ':' && *p != ',') {
            return false;
        }
        p++;
    }
}

static bool helix_export_check_path(HelixExport *s, Error **errp)
{
    size_t max = helix_sun_path_max() - 1;

    if (!s->path) {
        s->path = g_strdup("helix.sock");
    }
    if (!*s->path) {
        error_setg(errp, "path is empty");
        return false;
    }
    /* Daemonizing changes to "/", and we unlink the socket at exit. */
    if (is_daemonized() && !g_path_is_absolute(s->path)) {
        g_autofree char *here = g_get_current_dir();
        char *absolute = g_build_filename(here, s->path, NULL);

        g_free(s->path);
        s->path = absolute;
    }
    if (strlen(s->path) > max) {
        error_setg(errp,
                   "path=%s is too long for a UNIX socket: %zu bytes, "
                   "at most %zu fit",
                   s->path, strlen(s->path), max);
        error_append_hint(errp, "Use a path relative to QEMU's working "
                                "directory, like path=helix.sock.\n");
        return false;
    }
    return true;
}

/* What the core reads for helix-shim-sim as well. */
static bool helix_export_check_settings(HelixExport *s, Error **errp)
{
    char *error = NULL;

    if ((!s->max_size || helix_settings_size(s->max_size, &s->max_width,
                                             &s->max_height, &error)) &&
        helix_settings_access(&s->access, s->group, s->mode, s->allow,
                              &error)) {
        return true;
    }
    error_setg(errp, "%s", error);
    free(error);
    return false;
}

static bool helix_export_check(HelixExport *s, Error **errp)
{
    if (helix_export) {
        error_setg(errp, "at most one helix-export device is permitted: one "
                         "serves all scanouts to several clients");
        return false;
    }
    if (!helix_export_parse_scanouts(s->scanouts ?: "0-15", &s->scanout_mask)) {
        error_setg(errp,
                   "scanouts=%s is not a list of scanouts between 0 "
                   "and %u",
                   s->scanouts, HELIX_MAX_SCANOUTS - 1);
        error_append_hint(errp, "Write 0-15, or 0:2 or 0:4-7.\n");
        return false;
    }
    if (s->slots < 2 || s->slots > HELIX_MAX_SLOTS) {
        error_setg(errp, "slots=%" PRIu32 " is not between 2 and %u", s->slots,
                   HELIX_MAX_SLOTS);
        return false;
    }
    if (s->max_clients < 1 || s->max_clients > 1024) {
        error_setg(errp, "max-clients=%" PRIu32 " is not between 1 and 1024",
                   s->max_clients);
        return false;
    }
    return helix_export_check_settings(s, errp) &&
           helix_export_check_path(s, errp);
}

static void helix_export_realize(DeviceState *dev, Error **errp)
{
    HelixExport *s = HELIX_EXPORT(dev);
    Error *err = NULL;

    s->warn_only = s->on_error && !strcmp(s->on_error, "warn");
    if (s->on_error && !s->warn_only && strcmp(s->on_error, "stop")) {
        error_setg(errp, "on-error=%s is neither stop nor warn", s->on_error);
        return;
    }
    if (!helix_export_check(s, &err)) {
        if (!helix_export_forgive(s, err)) {
            error_propagate(errp, err);
        }
        return;
    }
    helix_export = s;
    loc_save(&s->location);
    s->exit.notify = helix_export_exit;
    qemu_add_exit_notifier(&s->exit);
    s->machine_done.notify = helix_export_machine_done;
    qemu_add_machine_init_done_notifier(&s->machine_done);
}

static void helix_export_unrealize(DeviceState *dev)
{
    HelixExport *s = HELIX_EXPORT(dev);

    if (helix_export != s) {
        return; /* on-error=warn: it never started */
    }
    qemu_remove_machine_init_done_notifier(&s->machine_done);
    qemu_remove_exit_notifier(&s->exit);
    helix_export_stop(s);
    helix_export = NULL;
}

/* For `qom-get`, and for whoever writes a bug report. */
static char *helix_export_get_stats(Object *obj, Error **errp)
{
    HelixExport *s = HELIX_EXPORT(obj);
    struct helix_shim_stats st = {};
    char *buckets, *text;

    if (!s->shim) {
        return g_strdup("not running");
    }
    helix_shim_get_stats(s->shim, &st);
    buckets = helix_hold_text(st.hold);
    text = g_strdup_printf(
        "clients=%" PRIu64 " subscriptions=%" PRIu64 " accepted=%" PRIu64
        " refused=%" PRIu64 " lost=%" PRIu64 " flushes=%" PRIu64
        " readbacks=%" PRIu64 " readback-bytes=%" PRIu64 " readback-ns=%" PRIu64
        " readback-max-ns=%" PRIu64 " copies=%" PRIu64 " copy-bytes=%" PRIu64
        " frames=%" PRIu64 " no-credit=%" PRIu64 " paced=%" PRIu64
        " read-errors=%" PRIu64 " cursors=%" PRIu64 " shows=%" PRIu64
        " set-scanouts=%" PRIu64 " holds=%" PRIu64 " hold-ns=%" PRIu64
        " hold-p50-ns=%" PRIu64 " hold-p99-ns=%" PRIu64 " hold-max-ns=%" PRIu64
        " hold-buckets=%s",
        st.clients, st.subscriptions, st.accepted, st.refused, st.lost,
        st.flushes, st.readbacks, st.readback_bytes, st.readback_ns,
        st.readback_max_ns, st.copies, st.copy_bytes, st.frames, st.no_credit,
        st.paced, st.read_errors, st.cursors, st.shows, st.set_scanouts,
        st.holds, st.hold_ns,
        helix_hold_percentile(st.hold, st.hold_max_ns, 50),
        helix_hold_percentile(st.hold, st.hold_max_ns, 99), st.hold_max_ns,
        buckets ?: "");
    free(buckets);
    return text;
}

HELIX_PROPERTIES helix_export_properties[] = {
    DEFINE_PROP_STRING("path", HelixExport, path),
    DEFINE_PROP_STRING("scanouts", HelixExport, scanouts),
    DEFINE_PROP_STRING("gpu", HelixExport, gpu),
    DEFINE_PROP_STRING("on-error", HelixExport, on_error),
    DEFINE_PROP_UINT32("slots", HelixExport, slots, 3),
    DEFINE_PROP_UINT32("max-clients", HelixExport, max_clients, 16),
    DEFINE_PROP_STRING("max-size", HelixExport, max_size),
    DEFINE_PROP_STRING("group", HelixExport, group),
    DEFINE_PROP_STRING("mode", HelixExport, mode),
    DEFINE_PROP_STRING("allow", HelixExport, allow),
    HELIX_PROPERTIES_END};

static void helix_export_class_init(ObjectClass *klass, HelixClassData *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);

    dc->desc = "Exports virtio-gpu screens to GStreamer's helixqemusrc";
    dc->realize = helix_export_realize;
    dc->unrealize = helix_export_unrealize;
    /* The GPU is looked for once, when the machine is complete. */
    dc->hotpluggable = false;
    set_bit(DEVICE_CATEGORY_DISPLAY, dc->categories);
    device_class_set_props(dc, helix_export_properties);

    object_class_property_add_str(klass, "stats", helix_export_get_stats, NULL);
    object_class_property_set_description(klass, "stats",
                                          "Counters since start");
    object_class_property_set_description(
        klass, "path",
        "UNIX socket to serve, relative to QEMU's working directory "
        "(default: helix.sock)");
    object_class_property_set_description(
        klass, "scanouts",
        "Scanouts that may be watched, like 0-15 or 0:4-7 (default: all)");
    object_class_property_set_description(
        klass, "gpu",
        "Id of the virtio-gpu device to export (default: the first)");
    object_class_property_set_description(
        klass, "on-error",
        "stop: do not start the VM; warn: start it without screen export "
        "(default: stop)");
    object_class_property_set_description(
        klass, "slots",
        "Frame slots of a subscription, 2-8, unless the client asks");
    object_class_property_set_description(klass, "max-clients",
                                          "Connections served at a time");
    object_class_property_set_description(
        klass, "max-size",
        "No picture of more pixels than this one is exported "
        "(default: 8192x4320)");
    object_class_property_set_description(
        klass, "group",
        "Group of the socket, by name or number (default: as it is)");
    object_class_property_set_description(
        klass, "mode",
        "Mode of the socket in octal digits (default: 0600, with a group "
        "0660)");
    object_class_property_set_description(
        klass, "allow",
        "Users who may watch besides QEMU's own and root, like alice:1001");
}

static const TypeInfo helix_export_info = {
    .name = TYPE_HELIX_EXPORT,
    .parent = TYPE_DEVICE,
    .instance_size = sizeof(HelixExport),
    .class_init = helix_export_class_init,
};
module_obj(TYPE_HELIX_EXPORT);
module_kconfig(VIRTIO_GPU);
module_dep("hw-display-virtio-gpu");

static void helix_export_register_types(void)
{
    type_register_static(&helix_export_info);
}

type_init(helix_export_register_types)

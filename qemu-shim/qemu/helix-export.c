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
 *
 * The socket is served while the VM runs in this process. A VM that waits for
 * an incoming migration runs in another one, on this machine perhaps, and that
 * one has the path until the migration is complete.
 */

#include "qemu/osdep.h"
#include "migration/misc.h"
#include "qapi/error.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "qom/object.h"
#include "helix-glue.h"
#include "helix-shim-settings.h"
#include "helix-version.h"
#include "trace.h"

#define TYPE_HELIX_EXPORT "helix-export"
OBJECT_DECLARE_SIMPLE_TYPE(HelixExportDevice, HELIX_EXPORT)

/* How long an exit waits for BYE to be sent to all clients. */
#define HELIX_EXIT_TIMEOUT_MS 1000

struct HelixExportDevice {
    DeviceState parent_obj;

    /* properties */
    char *path;
    char *scanouts;
    char *gpu;
    char *on_error;
    char *readback;
    char *max_size;
    char *group;
    char *mode;
    char *allow;

    struct helix_shim_config config; /* slots, max_clients: properties, too */
    bool warn_only;
    Location location; /* of our -device, for messages that come later */
    HelixExport export;
    bool serves; /* from the first time on */
    bool migrated; /* the VM has, and runs elsewhere */
    Notifier machine_done;
    Notifier shutdown, exit;
#if QEMU_VERSION_MAJOR >= 9
    NotifierWithReturn migration;
#else
    Notifier migration;
#endif
};

static HelixExportDevice *helix_export; /* the one that is realized */

/* ---- the core's view of the screen ---- */

static const struct helix_display_ops helix_export_display_ops = {
    .may_read = helix_loop_may_read,
    .read = helix_readback_read,
    .resource = helix_readback_resource,
    .set_scanout = helix_monitor_set,
    .log = helix_loop_log,
};

static void helix_export_run_display(HelixExport *export)
{
    /* A client may have subscribed, or the VM begun to run. */
    helix_hook_catch_up();
    helix_shim_display_run(export->shim);
}

/* ---- when the socket is served ---- */

static void helix_export_vm_change(void *opaque, bool running, RunState state)
{
    HelixExportDevice *s = opaque;

    if (running) {
        s->migrated = false;
        helix_shim_serve(s->export.shim, true);
    } else if (state == RUN_STATE_FINISH_MIGRATE) {
        /*
         * The other process is about to run it. Should that fail, it goes on
         * here, which is told as well.
         */
        helix_shim_serve(s->export.shim, false);
    }
}

/* A VM that stood still was not stopped for it, and does not go on after it. */
static void helix_export_migration_ended(HelixExportDevice *s, bool good)
{
    if (good && !runstate_is_running()) { /* a background snapshot runs on */
        s->migrated = true;
        helix_shim_serve(s->export.shim, false);
    } else if (!good && s->migrated && !runstate_check(RUN_STATE_POSTMIGRATE)) {
        s->migrated = false;
        helix_shim_serve(s->export.shim, true);
    }
}

#if QEMU_VERSION_MAJOR >= 9
static int helix_export_migration(NotifierWithReturn *notifier,
                                  MigrationEvent *event, Error **errp)
{
    HelixExportDevice *s = container_of(notifier, HelixExportDevice, migration);

    if (event->type == MIG_EVENT_PRECOPY_DONE) {
        helix_export_migration_ended(s, true);
    } else if (event->type == MIG_EVENT_PRECOPY_FAILED) {
        helix_export_migration_ended(s, false);
    }
    return 0;
}
#else
static void helix_export_migration(Notifier *notifier, void *data)
{
    HelixExportDevice *s = container_of(notifier, HelixExportDevice, migration);

    if (migration_has_finished(data) ||
        migration_in_postcopy_after_devices(data)) {
        helix_export_migration_ended(s, true);
    } else if (migration_has_failed(data)) {
        helix_export_migration_ended(s, false);
    }
}
#endif

typedef struct HelixListen {
    struct helix_shim *shim;
    char *error;
    bool ok;
} HelixListen;

static void helix_export_io_listen(void *opaque)
{
    HelixListen *listen = opaque;

    listen->ok = helix_shim_listen(listen->shim, &listen->error);
}

/* `error` is the core's, and is freed. */
static bool helix_export_fail(Error **errp, char *error)
{
    error_setg(errp, "%s", error);
    free(error);
    return false;
}

/* From here on clients are served, or as soon as the VM is here. */
static bool helix_export_serve(HelixExportDevice *s, Error **errp)
{
    VirtIOGPU *gpu = s->export.gpu;
    HelixListen listen = {.shim = s->export.shim};
    bool incoming = runstate_check(RUN_STATE_INMIGRATE);

    if (!incoming) {
        helix_loop_call(&s->export, helix_export_io_listen, &listen, -1);
        if (!listen.ok) {
            return helix_export_fail(errp, listen.error);
        }
    }
    s->serves = true;
    qemu_add_vm_change_state_handler(helix_export_vm_change, s);
#if QEMU_VERSION_MAJOR >= 9
    migration_add_notifier(&s->migration, helix_export_migration);
#else
    s->migration.notify = helix_export_migration;
    add_migration_state_change_notifier(&s->migration);
#endif
    /* Once, so that a log tells that the shim is in this QEMU. */
    info_report("helix-export " HELIX_PACKAGE_VERSION ": %s serves %" PRIu32
                " scanout(s) of %s%s",
                s->path,
                MIN(gpu->parent_obj.conf.max_outputs, HELIX_MAX_SCANOUTS),
                object_get_typename(OBJECT(gpu)),
                incoming ? " when the VM runs here, after the incoming "
                           "migration"
                         : "");
    return true;
}

/* Whether the socket could be had; nothing is left behind. */
static bool helix_export_try(HelixExportDevice *s, Error **errp)
{
    char *error;

    return helix_shim_try(s->export.shim, runstate_check(RUN_STATE_INMIGRATE),
                          &error) ||
           helix_export_fail(errp, error);
}

/* ---- start and exit ---- */

/* Returns true if on-error=warn took the error: the VM goes on without us. */
static bool helix_export_forgive(HelixExportDevice *s, Error *err)
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

/*
 * A step that comes after realize, with messages about our -device. If it
 * fails QEMU ends, unless the VM may go on without us.
 */
static void helix_export_step(HelixExportDevice *s,
                              bool (*step)(HelixExportDevice *s, Error **errp))
{
    Error *err = NULL;

    loc_push_restore(&s->location);
    if (!step(s, &err) && !helix_export_forgive(s, err)) {
        error_report_err(err);
        exit(1);
    }
    loc_pop(&s->location);
}

/* On the main loop's first turn: the user that QEMU is now does not change. */
static bool helix_export_serve_as_user(HelixExportDevice *s, Error **errp)
{
    ERRP_GUARD();

    if (helix_export_serve(s, errp)) {
        return true;
    }
    if (geteuid() != 0) {
        error_append_hint(errp,
                          "QEMU has become user %lu (-run-with user=), who "
                          "must be able to write to the socket's folder.\n",
                          (unsigned long)geteuid());
    }
    return false;
}

static void helix_export_first_turn(void *opaque)
{
    helix_export_step(opaque, helix_export_serve_as_user);
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

/*
 * After a failure here (on-error=warn) nothing of the GPU is wrapped; what was
 * made for it before stays, and does nothing. A failure in the first turn
 * comes later: then the GPU stays wrapped, and nothing is exported.
 */
static bool helix_export_start(HelixExportDevice *s, Error **errp)
{
    g_autofree char *name = helix_export_name();
    struct helix_shim_config config = s->config;
    VirtIOGPU *gpu = helix_hook_find_gpu(s->gpu, errp);
    bool root = geteuid() == 0;

    if (!gpu) {
        return false;
    }
    config.path = s->path;
    config.name = name;
    config.scanouts = MIN(gpu->parent_obj.conf.max_outputs, HELIX_MAX_SCANOUTS);
    if (!(config.scanout_mask & MAKE_64BIT_MASK(0, config.scanouts))) {
        error_setg(errp,
                   "scanouts=%s: the GPU has %" PRIu32 " (0-%" PRIu32
                   "), none of them is in that list",
                   s->scanouts, config.scanouts, config.scanouts - 1);
        error_append_hint(errp, "Give the GPU more with max_outputs=N.\n");
        return false;
    }
    if (!helix_loop_start(&s->export, helix_export_run_display, errp)) {
        return false;
    }
    s->export.gpu = gpu;
    helix_readback_init(&s->export);
    s->export.shim = helix_shim_new(&config, &helix_export_display_ops,
                                    &s->export, &helix_loop_ops, &s->export);
    trace_helix_export_listen(s->path, object_get_typename(OBJECT(gpu)),
                              config.scanouts);
    /* An incoming VM listens later, but what is wrong now is said now. */
    if ((root || runstate_check(RUN_STATE_INMIGRATE)) &&
        !helix_export_try(s, errp)) {
        return false;
    }
    if (!root && !helix_export_serve(s, errp)) {
        return false;
    }
    helix_hook_install(&s->export);
    if (root) {
        /*
         * -run-with user= (-runas) comes into force after this, and the
         * socket, its lock and all else have to belong to that user.
         */
        aio_bh_schedule_oneshot(iohandler_get_aio_context(),
                                helix_export_first_turn, s);
    }
    return true;
}

static void helix_export_machine_done(Notifier *notifier, void *data)
{
    helix_export_step(container_of(notifier, HelixExportDevice, machine_done),
                      helix_export_start);
}

static void helix_export_io_stop(void *opaque)
{
    helix_shim_io_stop(opaque);
}

/*
 * On the main loop. Before the exit: a display's own handler of that may come
 * first, and take what is being copied with its OpenGL.
 */
static void helix_export_shutdown(Notifier *notifier, void *data)
{
    HelixExportDevice *s = container_of(notifier, HelixExportDevice, shutdown);

    helix_pixels_stop(&s->export);
}

/*
 * QEMU does not unrealize its devices when it exits. This may be any thread,
 * with or without the BQL, so only the io thread's part is done.
 */
static void helix_export_exit(Notifier *notifier, void *data)
{
    HelixExportDevice *s = container_of(notifier, HelixExportDevice, exit);

    helix_pixels_stop(&s->export);
    if (s->serves) {
        helix_loop_call(&s->export, helix_export_io_stop, s->export.shim,
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

static void helix_export_complete_path(HelixExportDevice *s)
{
    g_autofree char *path = s->path ?: g_strdup("helix.sock");
    g_autofree char *here = g_get_current_dir();

    /* Daemonizing changes to "/", and we unlink the socket at exit. */
    if (is_daemonized() && *path && !g_path_is_absolute(path)) {
        s->path = g_build_filename(here, path, NULL);
    } else {
        s->path = g_steal_pointer(&path);
    }
}

static bool helix_export_parse_readback(const char *way,
                                        HelixReadbackWay *readback)
{
    static const char *const ways[] = {
        [HELIX_READBACK_AUTO] = "auto",
        [HELIX_READBACK_SYNC] = "sync",
        [HELIX_READBACK_ASYNC] = "async",
    };
    size_t i;

    for (i = 0; i < ARRAY_SIZE(ways); i++) {
        if (!strcmp(way, ways[i])) {
            *readback = i;
            return true;
        }
    }
    return false;
}

static bool helix_export_check(HelixExportDevice *s, Error **errp)
{
    struct helix_shim_config *config = &s->config;
    char *error = NULL;

    if (helix_export) {
        error_setg(errp, "at most one helix-export device is permitted: one "
                         "serves all scanouts to several clients");
        return false;
    }
    if (!helix_export_parse_scanouts(s->scanouts ?: "0-15",
                                     &config->scanout_mask)) {
        error_setg(errp,
                   "scanouts=%s is not a list of scanouts between 0 "
                   "and %u",
                   s->scanouts, HELIX_MAX_SCANOUTS - 1);
        error_append_hint(errp, "Write 0-15, or 0:2 or 0:4-7.\n");
        return false;
    }
    if (!helix_export_parse_readback(s->readback ?: "auto",
                                     &s->export.readback)) {
        error_setg(errp, "readback=%s is none of auto, sync and async",
                   s->readback);
        return false;
    }
    if (config->slots < 2 || config->slots > HELIX_MAX_SLOTS) {
        error_setg(errp, "slots=%" PRIu32 " is not between 2 and %u",
                   config->slots, HELIX_MAX_SLOTS);
        return false;
    }
    if (config->max_clients < 1 || config->max_clients > 1024) {
        error_setg(errp, "max-clients=%" PRIu32 " is not between 1 and 1024",
                   config->max_clients);
        return false;
    }
    if ((s->max_size &&
         !helix_shim_settings_size(s->max_size, &config->max_width,
                                   &config->max_height, &error)) ||
        !helix_shim_settings_access(&config->access, s->group, s->mode,
                                    s->allow, &error)) {
        return helix_export_fail(errp, error);
    }
    helix_export_complete_path(s);
    return true;
}

static void helix_export_realize(DeviceState *dev, Error **errp)
{
    HelixExportDevice *s = HELIX_EXPORT(dev);
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
    s->shutdown.notify = helix_export_shutdown;
    qemu_register_shutdown_notifier(&s->shutdown);
    s->exit.notify = helix_export_exit;
    qemu_add_exit_notifier(&s->exit);
    s->machine_done.notify = helix_export_machine_done;
    qemu_add_machine_init_done_notifier(&s->machine_done);
}

/* For `qom-get`, and for bug reports. */
static char *helix_export_get_stats(Object *obj, Error **errp)
{
    HelixExportDevice *s = HELIX_EXPORT(obj);

    return s->serves ? helix_shim_stats_text(s->export.shim, false)
                     : g_strdup("not running");
}

HELIX_PROPERTIES helix_export_properties[] = {
    DEFINE_PROP_STRING("path", HelixExportDevice, path),
    DEFINE_PROP_STRING("scanouts", HelixExportDevice, scanouts),
    DEFINE_PROP_STRING("gpu", HelixExportDevice, gpu),
    DEFINE_PROP_STRING("on-error", HelixExportDevice, on_error),
    DEFINE_PROP_STRING("readback", HelixExportDevice, readback),
    DEFINE_PROP_UINT32("slots", HelixExportDevice, config.slots, 3),
    DEFINE_PROP_UINT32("max-clients", HelixExportDevice, config.max_clients,
                       16),
    DEFINE_PROP_STRING("max-size", HelixExportDevice, max_size),
    DEFINE_PROP_STRING("group", HelixExportDevice, group),
    DEFINE_PROP_STRING("mode", HelixExportDevice, mode),
    DEFINE_PROP_STRING("allow", HelixExportDevice, allow),
    HELIX_PROPERTIES_END};

/* name, description; for -device helix-export,help */
static const char *const helix_export_help[][2] = {
    {"stats", "Counters since start"},
    {"path", "UNIX socket to serve, relative to QEMU's working directory "
             "(default: helix.sock)"},
    {"scanouts",
     "Scanouts that may be watched, like 0-15 or 0:4-7 (default: all)"},
    {"gpu", "Id of the virtio-gpu device to export (default: the first)"},
    {"on-error", "stop: do not start the VM; warn: start it without screen "
                 "export (default: stop)"},
    {"readback", "auto: do not wait for the GPU; sync: wait; async: do not "
                 "wait for a software renderer either (default: auto)"},
    {"slots", "Frame slots of a subscription, 2-8, unless the client asks"},
    {"max-clients", "Connections served at a time"},
    {"max-size", "No picture of more pixels than this one is exported "
                 "(default: 8192x4320)"},
    {"group", "Group of the socket, by name or number (default: as it is)"},
    {"mode", "Mode of the socket in octal digits (default: 0600, with a group "
             "0660)"},
    {"allow",
     "Users who may watch besides QEMU's own and root, like alice:1001"},
};

static void helix_export_class_init(ObjectClass *klass, HelixClassData *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    size_t i;

    dc->desc = "Exports virtio-gpu screens to GStreamer's helixqemusrc";
    dc->realize = helix_export_realize;
    /* The GPU is looked for once, when the machine is complete. */
    dc->hotpluggable = false;
    set_bit(DEVICE_CATEGORY_DISPLAY, dc->categories);
    device_class_set_props(dc, helix_export_properties);
    object_class_property_add_str(klass, "stats", helix_export_get_stats, NULL);
    for (i = 0; i < ARRAY_SIZE(helix_export_help); i++) {
        object_class_property_set_description(klass, helix_export_help[i][0],
                                              helix_export_help[i][1]);
    }
}

static const TypeInfo helix_export_info = {
    .name = TYPE_HELIX_EXPORT,
    .parent = TYPE_DEVICE,
    .instance_size = sizeof(HelixExportDevice),
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

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * When the socket is served: from the first turn of the main loop on, while
 * the VM runs in this process. A VM that waits for an incoming migration runs
 * in another one, on this machine perhaps, and that one has the path until
 * the migration is complete.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "helix-compat-migration.h"
#include "helix-glue.h"

static struct {
    struct helix_shim *shim;
    VMChangeStateEntry *vm_change;
    HelixMigration migration;
    bool gone; /* the VM has migrated */
} serve;

typedef struct HelixListen {
    struct helix_shim *shim;
    char *error;
    bool ok;
} HelixListen;

static void helix_serve_listen(void *opaque)
{
    HelixListen *listen = opaque;

    listen->ok = helix_shim_listen(listen->shim, &listen->error);
}

static void helix_serve_vm_change(void *opaque, bool running, RunState state)
{
    if (running) {
        serve.gone = false;
        helix_shim_serve(serve.shim, true);
    } else if (state == RUN_STATE_FINISH_MIGRATE) {
        /*
         * The other process is about to run it. Should that fail, it goes on
         * here, which is told as well.
         */
        helix_shim_serve(serve.shim, false);
    }
}

/* A VM that stood still was not stopped for it, and does not go on after it. */
static void helix_serve_migration_ended(bool good)
{
    if (good && !runstate_is_running()) { /* a background snapshot runs on */
        serve.gone = true;
        helix_shim_serve(serve.shim, false);
    } else if (!good && serve.gone && !runstate_check(RUN_STATE_POSTMIGRATE)) {
        serve.gone = false;
        helix_shim_serve(serve.shim, true);
    }
}

bool helix_serve_check(struct helix_shim *shim, Error **errp)
{
    char *error;

    if (helix_shim_try(shim, runstate_check(RUN_STATE_INMIGRATE), &error)) {
        return true;
    }
    error_setg(errp, "%s", error);
    free(error);
    return false;
}

bool helix_serve_begin(HelixLoop *loop, struct helix_shim *shim, Error **errp)
{
    HelixListen listen = {.shim = shim};

    if (!runstate_check(RUN_STATE_INMIGRATE)) {
        helix_loop_call(loop, helix_serve_listen, &listen, -1);
        if (!listen.ok) {
            error_setg(errp, "%s", listen.error);
            free(listen.error);
            return false;
        }
    }
    serve.shim = shim;
    serve.vm_change =
        qemu_add_vm_change_state_handler(helix_serve_vm_change, NULL);
    helix_compat_migration_add(&serve.migration, helix_serve_migration_ended);
    return true;
}

void helix_serve_end(void)
{
    if (!serve.shim) {
        return;
    }
    qemu_del_vm_change_state_handler(serve.vm_change);
    helix_compat_migration_remove(&serve.migration);
    serve.shim = NULL;
}

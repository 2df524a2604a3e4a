/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * As helix-compat.h, for what QEMU tells of a migration.
 *
 * Include after qemu/osdep.h.
 */
#ifndef HELIX_COMPAT_MIGRATION_H
#define HELIX_COMPAT_MIGRATION_H

#include "migration/misc.h"

/*
 * Hears when a migration away from here has ended: `ended` (true) when the VM
 * is elsewhere. Zeroed before; one at a time.
 */
typedef struct HelixMigration {
#if QEMU_VERSION_MAJOR >= 9
    NotifierWithReturn notifier;
#else
    Notifier notifier;
#endif
    void (*ended)(bool good);
} HelixMigration;

#if QEMU_VERSION_MAJOR >= 9
static inline int helix_compat_migration_event(NotifierWithReturn *notifier,
                                               MigrationEvent *event,
                                               Error **errp)
{
    HelixMigration *self = container_of(notifier, HelixMigration, notifier);

    if (event->type == MIG_EVENT_PRECOPY_DONE) {
        self->ended(true);
    } else if (event->type == MIG_EVENT_PRECOPY_FAILED) {
        self->ended(false);
    }
    return 0;
}
#else
static inline void helix_compat_migration_event(Notifier *notifier, void *data)
{
    HelixMigration *self = container_of(notifier, HelixMigration, notifier);
    MigrationState *state = data;

    if (migration_has_finished(state) ||
        migration_in_postcopy_after_devices(state)) {
        self->ended(true);
    } else if (migration_has_failed(state)) {
        self->ended(false);
    }
}
#endif

static inline void helix_compat_migration_add(HelixMigration *self,
                                              void (*ended)(bool good))
{
    self->ended = ended;
#if QEMU_VERSION_MAJOR >= 9
    migration_add_notifier(&self->notifier, helix_compat_migration_event);
#else
    self->notifier.notify = helix_compat_migration_event;
    add_migration_state_change_notifier(&self->notifier);
#endif
}

static inline void helix_compat_migration_remove(HelixMigration *self)
{
#if QEMU_VERSION_MAJOR >= 9
    migration_remove_notifier(&self->notifier);
#else
    remove_migration_state_change_notifier(&self->notifier);
#endif
}

#endif /* HELIX_COMPAT_MIGRATION_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a subscription shows: a scanout, or a resource by its number, since
 * SUBSCRIBE or the last SHOW. Display thread only.
 */
#ifndef HELIX_SHIM_SOURCE_H
#define HELIX_SHIM_SOURCE_H

#include "helix-shim-subscription.h"

/* The guest names sizes and formats: a surface that is not exported counts as
 * off. *why then says so, for as long as the shim lives; NULL = it is off. */
struct helix_surface helix_shim_source_usable (struct helix_shim *shim,
    const struct helix_surface *surface, const char **why);

/* A subscription that the io thread made: what does it show? */
void helix_shim_source_begin (struct helix_shim_subscription *subscription);
/* When all of shim->pass have begun: applies the SHOW that waits, if it is
 * time; the pass then serves it. */
void helix_shim_source_apply (
    struct helix_shim_subscription *subscription, uint64_t now);
/* Scanout `index` shows what it does in shim->scanout. `why`: it is on, but
 * not exported, and that is news; the client shall not take it for dark. */
void helix_shim_source_scanout (struct helix_shim_subscription *subscription,
    uint32_t index, const char *why);
/* The resource is gone (0 = all are). */
void helix_shim_source_lose (
    struct helix_shim_subscription *subscription, uint32_t resource_id);

#endif /* HELIX_SHIM_SOURCE_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is wished of the other end, whether it has heard of it, and which of
 * its refusals are news. Outlives connections: each new one hears everything
 * again. Not thread-safe.
 */
#ifndef HELIX_STREAM_WISHES_H
#define HELIX_STREAM_WISHES_H

#include <glib.h>

#include "helix-protocol.h"

G_BEGIN_DECLS

typedef struct {
  struct helix_config wanted; /* `fields`: wished at all */
  guint32 unsent;             /* HELIX_CONFIG_*: of these */

  guint32 show_id; /* resource to show, newest; 0: none waits */
  guint64 show_ns; /* its capture time, own clock or HELIX_NONE64 */
  guint32 shown;   /* the last one sent: a new session hears of it */

  /* refusals told: of these values, and by the bits of their codes */
  guint64 told_scanout, told_resource; /* HELIX_NONE64: none */
  guint64 told_codes;
} HelixStreamWishes;

void helix_stream_wishes_init (HelixStreamWishes *self);

/* Wishes the fields that `wish` names. */
void helix_stream_wishes_set (
    HelixStreamWishes *self, const struct helix_config *wish);
/* Wishes these no longer. What was sent stays as it is at the other end. */
void helix_stream_wishes_drop (HelixStreamWishes *self, guint32 fields);

/* A resource to show next, 0: none, nor the last one again. */
void helix_stream_wishes_show (
    HelixStreamWishes *self, guint32 resource_id, guint64 capture_ns);

/* A new session: it has heard of nothing. */
void helix_stream_wishes_renew (HelixStreamWishes *self);

/* TRUE: *out is to be sent. Once it is, call sent (), once show_id is,
 * shown (). */
gboolean helix_stream_wishes_pending (
    const HelixStreamWishes *self, struct helix_config *out);
void helix_stream_wishes_sent (HelixStreamWishes *self);
void helix_stream_wishes_shown (HelixStreamWishes *self);

/* An ERROR that closes nothing. TRUE: somebody should be told, since this
 * wish has not been refused before. */
gboolean helix_stream_wishes_refused (
    HelixStreamWishes *self, const struct helix_error *error);

G_END_DECLS

#endif /* HELIX_STREAM_WISHES_H */

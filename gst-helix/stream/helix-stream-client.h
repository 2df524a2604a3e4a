/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest's end of the stream protocol, across connections: dials (or
 * listens), tells each outage once and what it means for a person, tries again
 * with growing gaps.
 *
 * A thread of its own, the reader, from the first next () on, reads and answers
 * the other end. While next () is called again soon after each unit, it reads
 * itself instead (helix-stream-turn.h). Units that are not taken in time are
 * left out up to a keyframe.
 *
 * Thread: next () belongs to one thread; the functions marked (any) to all.
 */
#ifndef HELIX_STREAM_CLIENT_H
#define HELIX_STREAM_CLIENT_H

#include "helix-address.h"
#include "helix-protocol.h"
#include "helix-stream-inbox.h"

G_BEGIN_DECLS

typedef struct _HelixStreamClient HelixStreamClient;

typedef struct {
  const HelixAddress *address;
  gboolean listen;    /* else connect */
  const gchar *token; /* that both ends must prove, or NULL */
  gboolean reconnect;
  guint reconnect_timeout_ms; /* 0 = for ever */
  guint max_age_ms;           /* of units that are not taken */
  guint32 role;               /* 0 = HELIX_ROLE_STREAM, or ..._CONTROL */
  const gchar *name;          /* of the program; NULL = "helixsrc" */
} HelixStreamClientConfig;

/* Listens, if so configured. NULL and an error for GST_ELEMENT_ERROR. */
HelixStreamClient *helix_stream_client_new (
    const HelixStreamClientConfig *config, GError **error);
void helix_stream_client_free (HelixStreamClient *self);

/* Waits for the next thing. After EOS or ERROR it is the same again. */
HelixStreamResult helix_stream_client_next (
    HelixStreamClient *self, HelixStreamItem *item, GError **error);

/* As next (), without waiting and without a reader: FALSE: there is nothing. */
gboolean helix_stream_client_take (
    HelixStreamClient *self, HelixStreamItem *item, GError **error);

/* What the reader does between two waits: reads once, and sends what is due at
 * `now`; dials where there is no connection, which is the only wait. Returns:
 * when to call it again; 0: nothing more comes. Thread: the reader, or one that
 * takes its place before next () is called. */
guint64 helix_stream_client_step (HelixStreamClient *self, guint64 now);

/* Where there is no connection: begins a session over `fd`, which it takes, as
 * if it had dialled. Thread: as above. */
void helix_stream_client_adopt (HelixStreamClient *self, gint fd, guint64 now);

/* (any) Makes next () return FLUSHING, until called with FALSE. */
void helix_stream_client_flush (HelixStreamClient *self, gboolean on);

/* (any) Has the other end asked for a keyframe, soon. */
void helix_stream_client_ask_keyframe (HelixStreamClient *self);

/* (any) Asks the other end for the fields of `request`, now and in each session
 * to come; no longer for the fields in `dropped`, HELIX_CONFIG_*. A refusal is
 * a HELIX_STREAM_WARNING: of scanouts and resources once for each value, of
 * all else once for each HELIX_ERROR_*. */
void helix_stream_client_configure (HelixStreamClient *self,
    const struct helix_config *request, guint32 dropped);

/* (any) Has the other end show a resource, captured at `capture_ns` of the
 * own clock (HELIX_NONE64: unknown). A newer one replaces one that was not sent
 * yet; the last one is sent again in each new session. 0: no longer. */
void helix_stream_client_show (
    HelixStreamClient *self, guint32 resource_id, guint64 capture_ns);

/* (any) The pipeline holds units back by up to `ns` on purpose, as a sink that
 * waits for the clock does: they may become older by that. */
void helix_stream_client_set_latency (HelixStreamClient *self, guint64 ns);

/* (any) Books how long a unit took from capture to where the caller is. */
void helix_stream_client_add_latency (HelixStreamClient *self, guint64 ns);

/* (any) A new structure, named `name`. */
GstStructure *helix_stream_client_stats (
    HelixStreamClient *self, const gchar *name);

G_END_DECLS

#endif /* HELIX_STREAM_CLIENT_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The host's end of the stream protocol: units in, any number of peers out.
 *
 * A thread of its own accepts (or, with listen = FALSE, connects), reads,
 * keeps time and sends what a socket did not take at once. push () does
 * non-blocking sends only, so its caller never waits for a peer: a slow one
 * loses units up to the next keyframe, and no other peer does.
 *
 * Thread: all functions may be called by any thread, but _free () once.
 */
#ifndef HELIX_STREAM_SERVER_H
#define HELIX_STREAM_SERVER_H

#include <gst/gst.h>

#include "helix-address.h"
#include "helix-protocol.h"
#include "helix-stream-common.h"

G_BEGIN_DECLS

typedef struct _HelixStreamServer HelixStreamServer;

/* Changes of one setting a second that reach the pipeline: a hostile guest
 * sends thousands, and encoders pay for each (vtenc drains). */
#define HELIX_STREAM_SERVER_REQUESTS 4

/* Peers that only steer or ask, beside max_clients. */
#define HELIX_STREAM_SERVER_MAX_CONTROL 8

/* Connections that have no session yet, beside those two: one more ends the
 * oldest of them. So many that a client has the time to say HELLO and PROOF
 * while others connect again and again. */
#define HELIX_STREAM_SERVER_MAX_STRANGERS 64

typedef enum {
  HELIX_STREAM_SERVER_ADDED,    /* client `id`; text: where it comes from */
  HELIX_STREAM_SERVER_REMOVED,  /* client `id`; text: why */
  HELIX_STREAM_SERVER_KEYFRAME, /* one is needed soon; rate-limited */
  /* Client `id` requests what config.fields names. Not before
   * helix_stream_server_apply (). Each field comes at most
   * HELIX_STREAM_SERVER_REQUESTS times a second; of several requests in between
   * only the newest is passed on, of all clients'. All that waits of one client
   * comes in one event, the last one that decides on the picture last. */
  HELIX_STREAM_SERVER_CONFIG,
  /* Client `id` has a picture shown; likewise only the newest that waits. */
  HELIX_STREAM_SERVER_SHOW,
  HELIX_STREAM_SERVER_PROBLEM, /* error: a warning, at most one a second, once
                                  per outage */
  HELIX_STREAM_SERVER_FATAL,   /* error: the server does nothing any more */
} HelixStreamServerEventType;

typedef struct {
  HelixStreamServer *server;
  HelixStreamServerEventType type;
  guint id;
  gchar *text;
  GError *error;
  struct helix_config config;
  struct helix_show show;
} HelixStreamServerEvent;

/* Thread: the server's. Lock: none, so that it may take its time and call the
 * server. The event is the server's. */
typedef void (*HelixStreamServerFunc) (
    gpointer user, const HelixStreamServerEvent *event);

typedef struct {
  const HelixAddress *address;
  gboolean listen;    /* else connect, again and again */
  const gchar *token; /* that clients must prove, or NULL */
  guint max_clients;
  gboolean recover; /* slow peers skip to a keyframe; else they are closed */
  guint max_age_ms; /* that a unit may wait for a peer, wherever it does */
  /* Without a token, serves other users of this machine, too, and all that
   * reach an address that is not loopback. */
  gboolean insecure;
} HelixStreamServerConfig;

/* Listens and starts the thread. NULL and an error for GST_ELEMENT_ERROR. */
HelixStreamServer *helix_stream_server_new (
    const HelixStreamServerConfig *config, HelixStreamServerFunc on_event,
    gpointer user, GError **error);

/* Says BYE, ends the thread. No event comes after that. */
void helix_stream_server_free (HelixStreamServer *self);

/* What the units from here on are; caps_id is chosen here. `text` of STATUS is
 * for people, as "x264enc, H.264 1920x1080". */
void helix_stream_server_set_caps (
    HelixStreamServer *self, const struct helix_caps *caps, const gchar *text);

/* From now on passes on what peers request; what came before as well. */
void helix_stream_server_apply (HelixStreamServer *self);

/* In a CONFIG's or SHOW's event: answers it by an ERROR that is not fatal. */
void helix_stream_server_refuse (const HelixStreamServerEvent *event,
    enum helix_error_code code, const gchar *text);

/* Has a keyframe made soon, for all that wait for one. */
void helix_stream_server_want_key (HelixStreamServer *self);

/* The cursor is now like this. `shape`: its pixels, width * height * 4 bytes,
 * or NULL: that of cursor->serial is known, or there is none. The newest is
 * sent to all peers that watch, and kept for those to come. Returns FALSE, and
 * does nothing, if it breaks the protocol's rules. */
gboolean helix_stream_server_cursor (HelixStreamServer *self,
    const struct helix_cursor *cursor, GstBuffer *shape);

/* Sends one unit (the buffer is kept until all have it). sequence and
 * caps_id of `head` are filled in here; head->sent_ns is when it came in.
 * `pushed_ns`: when its raw picture went to the encoder, or HELIX_NONE64.
 * Before set_caps: dropped. */
void helix_stream_server_push (HelixStreamServer *self, GstBuffer *buffer,
    const struct helix_unit *head, guint64 pushed_ns);

/* A unit that cannot be sent: leaves a gap in the sequence. */
void helix_stream_server_skip (HelixStreamServer *self);

/* End of stream: waits up to `timeout_ms` for the backlogs, then BYE (EOS).
 * interrupt () ends the wait. */
void helix_stream_server_end (HelixStreamServer *self, guint timeout_ms);
void helix_stream_server_interrupt (HelixStreamServer *self, gboolean on);

/* Live peers that get the stream. */
guint helix_stream_server_clients (HelixStreamServer *self);

/* A new structure, named `name`. */
GstStructure *helix_stream_server_stats (
    HelixStreamServer *self, const gchar *name);

G_END_DECLS

#endif /* HELIX_STREAM_SERVER_H */

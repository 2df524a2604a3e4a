/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The host's end of the stream protocol: units in, any number of peers out.
 *
 * A thread of its own accepts (or, with listen = FALSE, connects), reads,
 * keeps time and sends what a socket did not take at once. push() itself only
 * ever does non-blocking sends, so its caller never waits for a peer: one
 * that is slow loses units up to the next keyframe, by itself.
 */
#ifndef HELIX_STREAM_SERVER_H
#define HELIX_STREAM_SERVER_H

#include <gst/gst.h>

#include "helix-address.h"
#include "helix-protocol.h"

G_BEGIN_DECLS

typedef struct _HelixStreamServer HelixStreamServer;

/* All called from the server's thread, with no lock held. */
typedef struct {
  void (*client_added) (gpointer user, guint id, const gchar *peer);
  void (*client_removed) (gpointer user, guint id, const gchar *reason);
  /* A key unit is needed soon. Already rate-limited. */
  void (*keyframe_wanted) (gpointer user);
  /* fatal: the server does nothing any more. Else a warning, at most one a
   * second, once per outage. */
  void (*problem) (gpointer user, const GError *error, gboolean fatal);
} HelixStreamServerCallbacks;

typedef struct {
  const HelixAddress *address;
  gboolean listen;    /* else connect, again and again */
  const gchar *token; /* what HELLO must bear, or NULL */
  guint max_clients;
  gboolean recover; /* slow peers skip to a keyframe; else they go */
} HelixStreamServerConfig;

/* Listens and starts the thread. NULL and an error for GST_ELEMENT_ERROR. */
HelixStreamServer *helix_stream_server_new (
    const HelixStreamServerConfig *config,
    const HelixStreamServerCallbacks *callbacks, gpointer user, GError **error);

/* Says BYE, ends the thread. No callback comes after that. */
void helix_stream_server_free (HelixStreamServer *self);

/* What the units from here on are; caps_id is chosen here. */
void helix_stream_server_set_caps (
    HelixStreamServer *self, const struct helix_caps *caps);

/* Sends one unit (the buffer is kept until everybody has it). sequence and
 * caps_id of `head` are filled in here. Before set_caps: dropped. */
void helix_stream_server_push (
    HelixStreamServer *self, GstBuffer *buffer, const struct helix_unit *head);

/* A unit that cannot be sent: leaves a gap in the sequence. */
void helix_stream_server_skip (HelixStreamServer *self);

/* End of stream: waits up to `timeout_ms` for the backlogs, then BYE (EOS).
 * interrupt () ends the wait. */
void helix_stream_server_end (HelixStreamServer *self, guint timeout_ms);
void helix_stream_server_interrupt (HelixStreamServer *self, gboolean on);

/* Live peers. */
guint helix_stream_server_clients (HelixStreamServer *self);

/* A new structure, named `name`. */
GstStructure *helix_stream_server_stats (
    HelixStreamServer *self, const gchar *name);

G_END_DECLS

#endif /* HELIX_STREAM_SERVER_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Frames from the shim, across connections: connects, waits, notices when the
 * shim is gone, connects again.
 *
 * One thread calls helix_frame_client_next (); the functions that say "any
 * thread" interrupt it. Frames may be let go from anywhere at any time, after
 * the client too.
 */
#ifndef HELIX_FRAME_CLIENT_H
#define HELIX_FRAME_CLIENT_H

#include "helix-frame-connection.h"

G_BEGIN_DECLS

typedef struct _HelixFrameClient HelixFrameClient;

typedef struct {
  const gchar *path;       /* of the socket; NULL = the default places */
  const gchar *name;       /* program and version, for the shim's log */
  gboolean auto_reconnect; /* FALSE: the first loss is final */
  guint reconnect_timeout; /* ms of outage before giving up, 0 = never */
  uid_t server_uid;        /* who else may serve: helix-discovery.h */
} HelixFrameClientConfig;

/* What there is to know at any time. */
typedef struct {
  HelixFrameStats frames; /* of all connections */
  guint reconnects;       /* frames came again after an outage */
  guint switches;         /* to another scanout or resource, by request */
  gboolean connected;
  guint scanouts;            /* of the VM, 0 while there is no connection */
  HelixFrameRequest request; /* the last that was not refused */
  guint resource_id; /* that is shown, by request or show (); 0 = the scanout */
  guint64 dark_ns;   /* since when the shim has nothing to show, 0 = it has, or
                      * there is no connection */
} HelixFrameClientState;

/* NULL when the system is out of descriptors; errno. */
HelixFrameClient *helix_frame_client_new (
    const HelixFrameClientConfig *config, const HelixFrameRequest *request);
void helix_frame_client_free (HelixFrameClient *client);

/* Any thread: show something else, or otherwise. on_trial: requested by the
 * guest. A refusal, also after a reconnect, falls back to the previous
 * parameters and is not an error. */
void helix_frame_client_subscribe (HelixFrameClient *client,
    const HelixFrameRequest *request, gboolean on_trial);
/* Any thread: show this resource now, as HELIX_SHOW says, and until the next
 * request. Of several in a hurry the last one counts. 0: what was requested. */
void helix_frame_client_show (
    HelixFrameClient *client, guint resource_id, guint64 capture_ns);
/* Any thread: make next () return at once, until it is turned off again.
 * Nothing is lost: a message that was read in part is continued. */
void helix_frame_client_set_flushing (
    HelixFrameClient *client, gboolean flushing);
/* Any thread: leaves the shim, which would take this client for dead otherwise,
 * and makes next () wait until the pause ends. It connects again then, for a
 * new picture of what was shown before. */
void helix_frame_client_set_paused (HelixFrameClient *client, gboolean paused);
/* Any thread: frames that were captured at most so long ago, in ns, are given
 * one after the other; of those that are older the newest only. At first 0. */
void helix_frame_client_set_in_time (HelixFrameClient *client, guint64 in_time);
/* Any thread: make next () say TIMEOUT once, as soon as it has nothing new. */
void helix_frame_client_poke (HelixFrameClient *client);
/* Any thread. */
HelixFrameClientState helix_frame_client_state (HelixFrameClient *client);

/* The newest frame, or what came instead. `deadline` is a helix_now_ns () time
 * or HELIX_NONE64. */
HelixFramesResult helix_frame_client_next (HelixFrameClient *client,
    guint64 deadline, HelixFrame *frame, HelixCursor *cursor, GError **error);

G_END_DECLS

#endif /* HELIX_FRAME_CLIENT_H */

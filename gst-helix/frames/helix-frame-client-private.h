/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the client's connection (helix-frame-client.c) and what it is to show
 * (helix-frame-client-wishes.c) share.
 */
#ifndef HELIX_FRAME_CLIENT_PRIVATE_H
#define HELIX_FRAME_CLIENT_PRIVATE_H

#include "helix-frame-client.h"

#include <pthread.h>

#include "helix-socket-path.h"

G_BEGIN_DECLS

struct _HelixFrameClient {
  gchar *path; /* as configured, or NULL */
  gchar *name;
  gboolean auto_reconnect;
  guint64 reconnect_timeout; /* ns, 0 = none */
  HelixFrameLink *link;
  gint flushing; /* atomic */
  gint poked;    /* atomic */
  gint in_time;  /* atomic: us, for helix_frame_session_read () */

  pthread_mutex_t lock; /* of what follows; a GMutex blinds ThreadSanitizer */
  HelixFrameWish wish;
  gboolean on_trial; /* the wish */
  gboolean wish_changed;
  guint shown;            /* resource, by SHOW; 0 = as wished */
  struct helix_show show; /* to be sent; resource_id 0 = none */
  guint64 show_ns;        /* when the last one was sent */
  guint16 channel;        /* to send it on, 0 = not now */
  guint epoch, scanouts;  /* of this connection */
  gboolean paused;
  gboolean left; /* BYE was sent on this connection, for a pause */
  HelixFrameWish base, proven; /* what to fall back to: the last wish not on
                                * trial, the last that was confirmed */
  HelixFrameClientStats stats;
  HelixSessionStats past; /* of the connections before this one */

  /* the calling thread's */
  HelixSocketSearch search;
  HelixFrameSession *session; /* NULL between two attempts */
  HelixFrameWish asked;       /* of the session */
  guint64 subscribed_ns;      /* when it was asked last */
  guint64 retry_ns;           /* when to connect again */
  guint64 backoff_ns;
  guint64 looked_ns; /* when next () was in its loop last */
  guint64 woken_ns;  /* when a picture was asked for anew, 0 = it came */
  guint64 outage_ns; /* since when there is nothing, 0 = all is well */
  gboolean warned;   /* of this outage */
  gboolean had_frames;
  gboolean introduced; /* the VM of this connection: next () told of it */
  gchar *told_label, *told_path; /* the VM that it told of last, or NULL */
};

/* ---- helix-frame-client-wishes.c; the thread that calls next () ---- */

/* Under the lock: what to ask for. What a SHOW put there stays there. */
void helix_client_take_wish (HelixFrameClient *client);
/* Sends what is wished for. Lowers *due to when to call again. */
void helix_client_apply_wish (HelixFrameClient *client, guint64 *due);
/* Takes over what the session knows since it read. */
void helix_client_note_session (HelixFrameClient *client);
/* The shim refused what was asked for: is there something else to ask for? */
gboolean helix_client_fall_back (HelixFrameClient *client);

G_END_DECLS

#endif /* HELIX_FRAME_CLIENT_PRIVATE_H */

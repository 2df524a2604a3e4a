/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One connection to the shim, from HELLO to its end: the messages of the frame
 * protocol, which of them to believe, and what each loss means for a person.
 *
 * Nothing here waits. A message that has arrived in part stays in the reader
 * until the next call. Thread: all functions belong to one, the owner; frames
 * may be let go of in any, also when the connection is over.
 */
#ifndef HELIX_FRAME_CONNECTION_H
#define HELIX_FRAME_CONNECTION_H

#include "helix-connection.h"
#include "helix-frame.h"
#include "helix-region.h"

G_BEGIN_DECLS

/* What to show, and how; the cursor plane comes with it. */
typedef struct {
  guint scanout;     /* index; counts when resource_id is 0 */
  guint resource_id; /* virtio-gpu resource, 0 = the scanout */
  gint rate_num;     /* frames: at most rate_num / rate_den a second, */
  gint rate_den;     /* 0/1 = as they come */
} HelixFrameRequest;

/* Of a connection, or of a HelixFrameClient, to which it is final when nothing
 * else is said. */
typedef enum {
  HELIX_FRAMES_AGAIN,    /* connection: nothing more now, poll */
  HELIX_FRAMES_FRAME,    /* *frame; helix_frame_clear () it */
  HELIX_FRAMES_CURSOR,   /* *cursor, as it is now; helix_cursor_clear () it */
  HELIX_FRAMES_DARK,     /* `dark_ns` */
  HELIX_FRAMES_TIMEOUT,  /* client: the deadline has passed */
  HELIX_FRAMES_FLUSHING, /* client: helix_frame_client_set_flushing () */
  HELIX_FRAMES_REFUSED,  /* client: *error: what was requested; the request
                          * before it goes on */
  HELIX_FRAMES_FOUND,    /* client: *error: which VM was taken, where no path
                          * was given, and why; call again */
  HELIX_FRAMES_WARNING,  /* *error; it goes on */
  HELIX_FRAMES_LOST,     /* connection: *error; a new one may cure it */
  HELIX_FRAMES_IDLED,    /* connection: *error; dropped for our own silence */
  HELIX_FRAMES_CLOSED,   /* *error; the shim said goodbye */
  HELIX_FRAMES_FAILED,   /* *error; a new connection would not cure it */
} HelixFramesResult;

typedef struct {
  guint64 received;       /* frames that came in */
  guint64 superseded;     /* of them: given back for a newer one, unseen */
  guint64 readback_bytes; /* bytes copied for them by the shim */
} HelixFrameStats;

typedef struct {
  /* Read only. */
  HelixConnection *connection; /* a reference */
  HelixFrameRequest request;   /* of the subscription */
  guint16 channel;             /* of the subscription */
  gboolean confirmed;          /* the shim granted it, by SCANOUT */
  gboolean refused;            /* or refused it; what read () said then may be
                                * cured by another request */
  guint64 dark_ns; /* since when what is subscribed to shows nothing; 0 = it
                    * shows something, or the shim did not say yet */
  HelixFrameStats stats;
  guint64 settle_ns; /* until when the newest frame, which is old, waits for a
                      * newer one in read (); 0 = there is none that waits */

  /* private */
  gchar *path;
  HelixSlotPool *pool;    /* of the subscription, or NULL */
  gboolean dark_news;     /* read () has not told of it */
  guint64 warned_ns;      /* of a SHOW that came to nothing, 0 = never */
  HelixFrame newest;      /* its info counts also when it was given out */
  helix_region damage;    /* since the frame that read () gave last */
  HelixCursor cursor;     /* of this subscription, or of the one before */
  gboolean cursor_news;   /* read () has not told of it */
  gboolean cursor_told;   /* it has, and of no frame since */
  guint8 *incoming_shape; /* its pixels are on their way, or NULL */
} HelixFrameConnection;

/* Takes `fd`, connected to `path`, over and sends HELLO. `name` is for the
 * shim's log. `waiter` is woken for what other threads send. */
HelixFrameConnection *helix_frame_connection_new (gint fd, const gchar *path,
    const gchar *name, const HelixFrameRequest *request, HelixWaiter *waiter);
/* Says BYE and closes; frames that were handed out stay valid. */
void helix_frame_connection_free (HelixFrameConnection *self);

/* Replaces the subscription. */
void helix_frame_connection_subscribe (
    HelixFrameConnection *self, const HelixFrameRequest *request);

/* Takes in what has arrived. A frame that was captured at most `in_time` ns ago
 * is given as it comes. Of those that are older the newest wins; the damage of
 * the others is added to its own. A loss that helix_connection_tick () saw is
 * told here. */
HelixFramesResult helix_frame_connection_read (HelixFrameConnection *self,
    guint64 in_time, HelixFrame *frame, HelixCursor *cursor, GError **error);

G_END_DECLS

#endif /* HELIX_FRAME_CONNECTION_H */

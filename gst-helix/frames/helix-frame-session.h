/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One connection to the shim, from HELLO to its end: what the messages mean
 * and which of them to believe.
 *
 * It never waits: whoever owns it polls the link's descriptor and calls. A
 * message that has arrived in part stays in the reader until the next call,
 * so it can be interrupted anywhere. All functions belong to one thread.
 */
#ifndef HELIX_FRAME_SESSION_H
#define HELIX_FRAME_SESSION_H

#include "helix-frame-link.h"
#include "helix-frame.h"

G_BEGIN_DECLS

/* What to watch, and how. */
typedef struct {
  guint scanout;     /* index; counts when resource_id is 0 */
  guint resource_id; /* virtio-gpu resource, 0 = the scanout */
  gint rate_num;     /* frames: at most rate_num / rate_den a second, */
  gint rate_den;     /* 0/1 = as they come */
  guint slots;       /* 0 = the shim's choice */
  gboolean inline_pixels;
  gboolean cursor; /* the cursor plane, too */
} HelixFrameWish;

typedef enum {
  HELIX_SESSION_AGAIN,   /* nothing more now: poll */
  HELIX_SESSION_FRAME,   /* *frame */
  HELIX_SESSION_CURSOR,  /* helix_frame_session_get_cursor () */
  HELIX_SESSION_DARK,    /* helix_frame_session_dark_since () */
  HELIX_SESSION_WARNING, /* *error; the session goes on */
  HELIX_SESSION_LOST,    /* *error; a new connection may cure it */
  HELIX_SESSION_IDLED,   /* *error; dropped for our own long silence */
  HELIX_SESSION_CLOSED,  /* *error; the shim said goodbye */
  HELIX_SESSION_FAILED,  /* *error; a new connection would not cure it */
} HelixSessionResult;

typedef struct {
  guint64 received;       /* frames that came in */
  guint64 superseded;     /* of them: given back for a newer one, unseen */
  guint64 readback_bytes; /* bytes copied for them by the shim */
  guint64 readback_ns, wait_ns;
} HelixSessionStats;

typedef struct _HelixFrameSession HelixFrameSession;

/* Takes `fd` over, attaches it to the link and sends HELLO. `path` and
 * `name` are for messages. */
HelixFrameSession *helix_frame_session_new (HelixFrameLink *link, int fd,
    const gchar *path, const gchar *name, const HelixFrameWish *wish);
/* Says BYE and detaches; frames that were handed out stay valid. */
void helix_frame_session_free (HelixFrameSession *session);

/* Replaces the subscription. */
void helix_frame_session_subscribe (
    HelixFrameSession *session, const HelixFrameWish *wish);

/* The channel of the subscription, for messages about it, and the epoch that
 * they belong to. FALSE: there is no WELCOME yet. */
gboolean helix_frame_session_channel (
    HelixFrameSession *session, guint16 *channel, guint *epoch);
/* What the shim calls itself, "" = untold; NULL = there is no WELCOME yet. */
const gchar *helix_frame_session_name (HelixFrameSession *session);
/* Scanouts of the VM; 0 = there is no WELCOME yet. */
guint helix_frame_session_scanouts (HelixFrameSession *session);
/* Whether the shim has confirmed the subscription, or has refused it; what
 * read () said then goes only for who has nothing else to ask for. */
gboolean helix_frame_session_confirmed (HelixFrameSession *session);
gboolean helix_frame_session_refused (HelixFrameSession *session);

/* When the shim said that what is subscribed to shows nothing, 0 = it shows
 * something, or the shim did not say yet. */
guint64 helix_frame_session_dark_since (HelixFrameSession *session);

/* The cursor as it is now, with a reference of its own to the image. */
void helix_frame_session_get_cursor (
    HelixFrameSession *session, HelixCursor *cursor);

/* Takes in what has arrived. A frame that was captured at most `in_time` ns ago
 * is given as it comes. Of those that are older the newest wins; the damage of
 * the others is added to its own. */
HelixSessionResult helix_frame_session_read (HelixFrameSession *session,
    guint64 in_time, HelixFrame *frame, GError **error);

/* Whether there is a frame that is old already, and that read () gives only
 * once no newer one has come for a moment. No picture is older than it. */
gboolean helix_frame_session_settling (HelixFrameSession *session);

/* Sees to signs of life. FALSE when the peer gave none for 3 s; else
 * *deadline is when to call again at the latest. */
gboolean helix_frame_session_tick (
    HelixFrameSession *session, guint64 now, guint64 *deadline, GError **error);

void helix_frame_session_get_stats (
    HelixFrameSession *session, HelixSessionStats *stats);

G_END_DECLS

#endif /* HELIX_FRAME_SESSION_H */

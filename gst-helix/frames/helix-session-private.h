/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the conversation with the shim (helix-frame-session.c) and the
 * judgement of what it says (helix-session-messages.c) share.
 */
#ifndef HELIX_SESSION_PRIVATE_H
#define HELIX_SESSION_PRIVATE_H

#include "helix-frame-session.h"
#include "helix-reader.h"

G_BEGIN_DECLS

struct _HelixFrameSession {
  HelixFrameLink *link;
  guint epoch;
  gchar *path;
  HelixFrameWish wish;
  struct helix_reader reader;
  uint32_t unknown[8]; /* types that the shim was told are not known */
  int passed_fd;       /* came with the message that is being read, or -1 */
  guint64 nonce;

  gboolean welcomed;
  gchar name[HELIX_MAX_NAME + 1]; /* from WELCOME */
  guint32 features;
  guint scanouts; /* of the VM */
  guint16 channel;
  HelixSlotPool *pool; /* of the subscription, or NULL */
  guint64 sequence;    /* of the last frame, 0 = none */
  gboolean confirmed;  /* the subscription, by SCANOUT */
  gboolean refused;    /* or by ERROR */
  guint64 dark_ns;     /* since when it shows nothing, 0 = it shows something,
                        * or that is not known yet */
  gboolean dark_news;  /* read () has not told of it */
  guint64 warned_ns;   /* of a SHOW that came to nothing, 0 = never */

  gboolean incoming_held;  /* pixels of `incoming` are on their way */
  gboolean incoming_stale; /* for a subscription that is over */
  HelixFrame incoming;
  gboolean newest_held;
  HelixFrame newest;
  GError *farewell;  /* what BYE said, until `newest` was taken */
  guint64 settle_ns; /* until when `newest`, which is old, waits for a newer
                        one; 0 = it does not */

  HelixCursor cursor;   /* of this subscription, or of the one before */
  gboolean cursor_news; /* read () has not told of it */
  gboolean cursor_told; /* it has, and of no frame since */
  struct helix_cursor incoming_cursor;
  guint8 *incoming_shape; /* its pixels are on their way, or NULL */

  guint64 heard_ns;  /* last byte */
  guint64 pinged_ns; /* last unanswered PING, 0 = none */
  HelixSessionStats stats;
};

/* ---- helix-frame-session.c ---- */

void helix_session_send (
    HelixFrameSession *session, const guint8 *message, gsize size);
void helix_session_send_subscribe (HelixFrameSession *session);
void helix_session_drop_pool (HelixFrameSession *session);

/* ---- helix-session-messages.c: AGAIN, or what is to be done about it ---- */

/* The peer broke the rules: tells it, tells the user. */
HelixSessionResult helix_session_violation (
    HelixFrameSession *session, const gchar *what, GError **error);
/* The reader has the head of a bulk message: says where the rest goes. */
HelixSessionResult helix_session_take_head (
    HelixFrameSession *session, GError **error);
/* The reader has a whole message. */
HelixSessionResult helix_session_take_message (
    HelixFrameSession *session, GError **error);

G_END_DECLS

#endif /* HELIX_SESSION_PRIVATE_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A HelixFrameClient to be tested: what each of its tests does with it. */
#ifndef FRAME_TAKER_H
#define FRAME_TAKER_H

#include "fake-shim.h"
#include "helix-frame-client.h"

/* `request` NULL = scanout 0, as it comes. */
HelixFrameClient *taker_new (
    const gchar *path, gboolean reconnect, const HelixFrameRequest *request);
/* helix_frame_client_next () with 5 s of patience. */
HelixFramesResult taker_next (
    HelixFrameClient *client, HelixFrame *frame, GError **error);
/* ... with 10 ms. What comes is let go of. */
HelixFramesResult taker_look (HelixFrameClient *client);
/* Runs the client, to which nothing is sent, until `condition`. */
#define TAKER_RUN_UNTIL(client, condition) \
  G_STMT_START \
  { \
    guint64 taker_end = helix_now_ns () + TEST_SOON; \
\
    while (!(condition) && helix_now_ns () < taker_end) \
      fail_unless_equals_int (taker_look (client), HELIX_FRAMES_TIMEOUT); \
    fail_unless (condition); \
  } \
  G_STMT_END
/* Of the last HELIX_FRAMES_CURSOR; the next call of taker_next () clears it. */
extern HelixCursor taker_cursor;
/* The client runs in this thread, the shim waits for it in another: returns
 * when it has subscribed. */
void taker_connect (HelixFrameClient *client, FakeShim *shim);
/* A frame is due: that it comes, with this number. */
void taker_expect_frame (
    HelixFrameClient *client, HelixFrame *frame, guint32 number);
guint32 taker_number (const HelixFrame *frame);
/* The one report of a connection that cannot work: final although the
 * client would reconnect, naming `word` and the path. */
void taker_expect_error (
    const gchar *path, const HelixFrameRequest *request, const gchar *word);
/* That `error` names both; clears it. */
void taker_expect_words (
    GError **error, const gchar *word, const gchar *other_word);

#endif /* FRAME_TAKER_H */

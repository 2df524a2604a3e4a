/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A stream client and the host that it has met: for all of its tests.
 */
#ifndef STREAM_MET_H
#define STREAM_MET_H

#include <glib.h>

#include "helix-stream-client.h"
#include "stream-peer.h"

/* The client of the test, and what it gave last. */
struct met {
  gchar *folder, *path; /* of the socket that it connects to or listens at */
  gint listener;        /* of the test's own end, or -1 */
  const gchar *token;   /* NULL: none */
  HelixStreamClient *client;
  HelixStreamItem item;
  GError *error;
};

extern struct met met;

/* The other end; the fixture clears it. */
extern StreamPeer peer;

/* Checked fixtures: no client yet, none left. */
void met_setup (void);
void met_teardown (void);

void met_start_at (
    const gchar *text, gboolean listen, gboolean reconnect, guint timeout);
/* Connects to met.path. */
void met_start (gboolean reconnect);

/* next () of a client that is on the other side of a conversation which the
 * test's thread has to hold: so it runs in a thread of its own. */
GThread *met_begin_next (void);
HelixStreamResult met_end_next (GThread *thread);
/* The next is this unit. */
void met_expect_unit (guint64 sequence, gboolean discont);

/* Connects the client to `peer` and gets it as far as CAPS. */
void met_meet (StreamPeer *peer);

/* A number of its statistics. */
guint64 met_stat_of (const gchar *field);

#endif /* STREAM_MET_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The stream client's inside: helix-stream-client.c is what other threads
 * call, helix-stream-client-reader.c its own thread, which connects and reads.
 */
#ifndef HELIX_STREAM_CLIENT_PRIVATE_H
#define HELIX_STREAM_CLIENT_PRIVATE_H

#include <gio/gio.h>
#include <pthread.h>

#include "helix-stream-client.h"
#include "helix-stream-cursors.h"
#include "helix-stream-inbox.h"
#include "helix-stream-link.h"
#include "helix-stream-tally.h"
#include "helix-stream-wishes.h"
#include "helix-transport.h"

G_BEGIN_DECLS

/* Between attempts to connect. Growing, and reset only by what a session is
 * for (units, or an answer to PING where there are none): a far end that
 * accepts and throws out must not be hammered. */
#define HELIX_STREAM_CLIENT_GAP_MIN_NS (20 * G_GUINT64_CONSTANT (1000000))

/* Warnings that nobody has taken yet: further ones are only logged. */
#define HELIX_STREAM_CLIENT_MAX_WARNINGS 16

struct _HelixStreamClient {
  HelixAddress *address;
  HelixListener *listener; /* NULL: connect mode */
  gchar *token, *name;
  guint32 role;
  gboolean reconnect;
  guint64 reconnect_timeout; /* ns, 0 = for ever */
  GCancellable *cancel;
  int wakeup[2]; /* of the reader */

  /* of the reader */
  HelixStreamLink *link; /* NULL: not connected */
  guint64 dial_at, gap;
  guint64 accept_at;     /* not before */
  guint64 outage_since;  /* 0: units flow */
  gboolean told;         /* this outage */
  gboolean refusal_told; /* a refused connection was reported in this
                          * outage */
  guint64 ask_at;        /* when to look whether a keyframe is needed */

  /* under `lock` */
  pthread_mutex_t lock;
  pthread_cond_t arrived; /* something to take, or `flushing` */
  pthread_t reader;
  gboolean started, stop, flushing, ask;
  HelixStreamWishes wishes;
  HelixStreamTally tally;

  /* what came and was not taken: warnings, the cursor as it is now, units, and
   * behind all of them the end */
  GQueue warnings; /* of GError */
  struct helix_cursor cursor;
  gboolean cursor_due, cursor_last; /* it is to be taken; was taken last */
  HelixStreamCursors cursors;
  HelixStreamInbox inbox;
  gboolean slow_told;
  HelixStreamResult end; /* HELIX_STREAM_EOS, _ERROR; else there is none */
  GError *end_error;
};

/* The reader's thread. */
void *helix_stream_client_read (void *client);
/* What the other threads asked for. TRUE: to stop. Of the reader, or after
 * it. */
gboolean helix_stream_client_take_orders (HelixStreamClient *self, guint64 now);

G_END_DECLS

#endif /* HELIX_STREAM_CLIENT_PRIVATE_H */

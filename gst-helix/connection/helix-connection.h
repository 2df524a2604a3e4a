/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The client's end of one connection, of either protocol: HELLO, WELCOME and
 * PROOF, signs of life, ERROR, BYE, the outgoing queue, and what is wrong with
 * a peer that does not keep to the protocol. The messages that make the two
 * protocols different are the user's.
 *
 *   self = helix_connection_new (fd, &config, now);
 *   helix_connection_hello (self, role, token);
 *   for (;;) {
 *     switch (helix_connection_read (self)) {
 *       case HELIX_CONNECTION_MORE:     continue
 *       case HELIX_CONNECTION_LIVE:     the session is open
 *       case HELIX_CONNECTION_HEAD:     self->reader has the head of a bulk
 *                                       message: helix_reader_bulk ()
 *       case HELIX_CONNECTION_MESSAGE:  self->reader has a message
 *       case HELIX_CONNECTION_LOST:     self->loss: free it
 *       case HELIX_CONNECTION_IDLE:     all that came was read
 *     }
 *     due = helix_connection_tick (self, helix_now_ns ());   0: lost
 *     helix_connection_pollfd (self, &fds[1]);
 *     helix_waiter_wait (waiter, fds, 2, due);
 *   }
 *
 * Nothing here waits. Thread: one thread, the owner, calls all functions but
 * those that say "any thread". Those take the lock of what is sent.
 */
#ifndef HELIX_CONNECTION_H
#define HELIX_CONNECTION_H

#include <glib.h>
#include <pthread.h>

#include "helix-proof.h"
#include "helix-reader.h"
#include "helix-waiter.h"
#include "helix-writer.h"

G_BEGIN_DECLS

/* ns of silence after which a live peer is given up, and for which an answer
 * to HELLO is waited for. */
#define HELIX_CONNECTION_DEAD_NS G_GUINT64_CONSTANT (3000000000)

typedef enum {
  HELIX_CONNECTION_IDLE,    /* there is nothing more to read now */
  HELIX_CONNECTION_MORE,    /* something was read: call again */
  HELIX_CONNECTION_LIVE,    /* WELCOME came, and PROOF if there is a token */
  HELIX_CONNECTION_HEAD,    /* `reader` has the head of a bulk message */
  HELIX_CONNECTION_MESSAGE, /* `reader` has a message: PONG at any time; while
                             * live an ERROR that is not fatal, unpacked into
                             * `error` and `text`, and all that has to do with
                             * the user's protocol */
  HELIX_CONNECTION_LOST,    /* `loss` */
} HelixConnectionEvent;

/* What went wrong, as finely as a remedy differs. */
typedef enum {
  HELIX_LOSS_NONE,
  HELIX_LOSS_CLOSED,    /* the other end closed, or the connection broke */
  HELIX_LOSS_RESTARTED, /* it began anew within a message, on a serial port */
  HELIX_LOSS_BYE,       /* it said goodbye: `text` */
  HELIX_LOSS_SILENT,    /* nothing came in time */
  HELIX_LOSS_REFUSED,   /* a fatal ERROR: `error`, `text` */
  HELIX_LOSS_FOREIGN,   /* it speaks something else: `stranger`, `first` */
  HELIX_LOSS_OLD,       /* it speaks the dialect before version 1 */
  HELIX_LOSS_VERSION,   /* it chose a version that was not offered */
  HELIX_LOSS_PROTOCOL,  /* a live peer broke the protocol */
  HELIX_LOSS_UNASKED,   /* it does not ask for the token that we have */
  HELIX_LOSS_UNPROVED,  /* it does not prove that token itself */
  HELIX_LOSS_FAILED,    /* this system gives no random bytes */
} HelixLoss;

typedef struct {
  const gchar *name; /* program and version, for the other end's log */
  gboolean serial;   /* bytes of earlier sessions may come first, and the end
                      * of a session is not told */
  gboolean clock;    /* PINGs are stamped and come all the time, quickly at
                      * first: the clocks' offset is wanted. Else a PING comes
                      * only after silence. */
  gboolean patient;  /* silence does not end the connection */
  /* Woken when the socket does not take what another thread sends, or NULL.
   * It must live until helix_connection_close (). */
  HelixWaiter *waiter;
} HelixConnectionConfig;

typedef struct {
  /* Read only, but for helix_reader_bulk (). */
  struct helix_reader reader;   /* with HEAD and MESSAGE */
  gint passed_fd;               /* came with the message, or -1; closed with the
                                 * next one unless the user takes it */
  struct helix_welcome welcome; /* after WELCOME */
  gchar name[HELIX_MAX_NAME + 1]; /* the other end's, from WELCOME */
  gboolean welcomed, live;
  guint64 opened_ns, heard_ns; /* when this was made; when the last byte came */
  struct helix_error error;    /* the last ERROR */
  gchar text[HELIX_MAX_TEXT + 1]; /* of the last ERROR or BYE */

  /* with LOST */
  HelixLoss loss;
  gchar *why;            /* a phrase; NULL with BYE, SILENT and REFUSED, and
                          * with CLOSED when the other end closed */
  const gchar *stranger; /* FOREIGN: "a VNC server", or NULL = not known */

  /* private */
  gatomicrefcount refs;
  HelixConnectionConfig config; /* `name` is NULL */
  gchar *own_name, *token;
  guint32 role; /* 0 = no HELLO was sent */
  HelixProofRound proof;
  guint8 first[16]; /* the first bytes that came, to know strangers by */
  guint n_first;
  uint32_t unknown[8]; /* types that the other end was told are not known */
  guint64 pinged_ns;
  guint64 due_ns, awake_ns; /* tick () */
  guint pings;

  pthread_mutex_t lock; /* of what follows; ThreadSanitizer knows no GMutex */
  gint fd;              /* changed by the owner only */
  gboolean ended;       /* nothing more is sent */
  gboolean deaf;        /* the other end left too much unread: the cause of
                         * CLOSED. The owner may read it after LOST. */
  struct helix_writer out;
} HelixConnection;

/* Takes the connected, non-blocking `fd` over. Sends nothing. */
HelixConnection *helix_connection_new (
    gint fd, const HelixConnectionConfig *config, guint64 now);
/* Any thread. The last reference closes the descriptor. */
HelixConnection *helix_connection_ref (HelixConnection *self);
void helix_connection_unref (HelixConnection *self);
/* Closes the descriptor. What other threads send from now on goes nowhere. */
void helix_connection_close (HelixConnection *self);

/* Sends HELLO. With a `token`, which may be NULL, both ends have to prove that
 * they know it before the connection is live. Call it once. */
void helix_connection_hello (
    HelixConnection *self, enum helix_role role, const gchar *token);

/* Reads once, and what that completes. */
HelixConnectionEvent helix_connection_read (HelixConnection *self);
/* Deadlines and PINGs. Returns when to call again at the latest, in
 * helix_now_ns () time, or 0: lost, as with HELIX_CONNECTION_LOST. A call that
 * is much later than that shows that this program was stopped: what it did not
 * read meanwhile is not held against the other end. */
guint64 helix_connection_tick (HelixConnection *self, guint64 now);
/* Fills in what to poll for. */
void helix_connection_pollfd (HelixConnection *self, struct pollfd *fd);

/* Any thread: sends a whole message as soon as the socket takes it. FALSE: the
 * connection is over, or the other end leaves too much unread, which ends it.
 * A failure shows at the next read, with a better reason. */
gboolean helix_connection_send (
    HelixConnection *self, const guint8 *message, gsize size);
/* Any thread: sends BYE if HELLO was sent. It is the last message. */
void helix_connection_bye (HelixConnection *self, const gchar *text);
/* Sends what waits; read () and send () do so, too. TRUE: something still
 * waits. */
gboolean helix_connection_flush (HelixConnection *self);

/* For the user's own messages. */

/* The message in `reader` breaks the protocol: tells the other end `why`. Sets
 * loss, returns HELIX_CONNECTION_LOST. */
HelixConnectionEvent helix_connection_violation (
    HelixConnection *self, const gchar *why);
/* The message in `reader` is of a type that the user does not know: tells the
 * other end, once for each type. */
void helix_connection_unknown (HelixConnection *self);

/* What is wrong, as a phrase without a full stop that goes behind "ADDRESS: ".
 * The caller frees it. */
gchar *helix_connection_describe (const HelixConnection *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HelixConnection, helix_connection_unref)

G_END_DECLS

#endif /* HELIX_CONNECTION_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A client of either protocol that does one thing after the other and waits
 * for each of them, up to a deadline: what a command line wants. Whatever is
 * at the other end, nothing here lasts longer than that, and what went wrong
 * is told apart finely enough to name a remedy.
 *
 * One thread. Deadlines are helix_now_ns () times.
 */
#ifndef HELIX_HOP_H
#define HELIX_HOP_H

#include <glib.h>

#include "helix-clock-offset.h"
#include "helix-proof.h"
#include "helix-reader.h"

G_BEGIN_DECLS

#define HELIX_HOP_ERROR (helix_hop_error_quark ())
GQuark helix_hop_error_quark (void);

typedef enum {
  HELIX_HOP_ERROR_SILENT,   /* nothing came, or not the rest of it */
  HELIX_HOP_ERROR_CLOSED,   /* the other end closed, or said BYE */
  HELIX_HOP_ERROR_FOREIGN,  /* it speaks something else */
  HELIX_HOP_ERROR_OLD,      /* it speaks the dialect before version 1 */
  HELIX_HOP_ERROR_REFUSED,  /* a fatal ERROR: `refusal` and its text */
  HELIX_HOP_ERROR_UNASKED,  /* it does not ask for the token that we have */
  HELIX_HOP_ERROR_UNPROVED, /* it does not prove that token itself */
  HELIX_HOP_ERROR_FAILED,   /* this machine: memory, sockets */
} HelixHopError;

typedef struct _HelixHop {
  gint fd;
  struct helix_reader reader; /* its current message, after next () */
  guint64 arrived_ns;         /* when the message's last byte came */
  gboolean keep_bulk;         /* collect the bytes of bulk messages */
  guint8 *bulk;               /* those of the current message, or NULL */

  struct helix_welcome welcome; /* after hello () */
  gchar name[HELIX_MAX_NAME + 1];
  struct helix_error refusal; /* after an error REFUSED; code 0: none */
  gchar refusal_text[HELIX_MAX_TEXT + 1];
  /* The state of each scanout, as told on channel 0. */
  struct helix_scanout scanouts[HELIX_MAX_SCANOUTS];
  guint scanouts_known;   /* a bit each */
  HelixClockOffset clock; /* from stamped PINGs: ask_clock () */

  /* private */
  gboolean serial, welcomed; /* welcomed: the session is open */
  HelixProofRound proof;
  guint8 first[16]; /* the first bytes ever received, to know strangers by */
  guint n_first;
} HelixHop;

/* What a server told about itself and its clients. */
typedef struct {
  struct helix_status status;
  gchar text[HELIX_MAX_TEXT + 1];
  guint64 taken_ns; /* own clock */
  GArray *clients;  /* HelixHopClient */
} HelixHopListing;

typedef struct {
  struct helix_client info;
  gchar name[HELIX_MAX_NAME + 1]; /* "" = the server does not tell */
} HelixHopClient;

/* For people: the name, or which of the clients it is, where the server tells
 * no names. The caller frees it. */
gchar *helix_hop_client_words (const HelixHopClient *client);

/* More clients than any server takes are not remembered. */
#define HELIX_HOP_MAX_CLIENTS 1024

/* Owns the connected, non-blocking `fd`. `serial`: bytes of earlier sessions
 * may come out of it. */
HelixHop *helix_hop_new (gint fd, gboolean serial);
/* Says BYE, if it was welcomed. */
void helix_hop_free (HelixHop *self);

/* Each of these is FALSE with an error of HELIX_HOP_ERROR, a phrase that goes
 * with "X: ", without a full stop. */

gboolean helix_hop_send (HelixHop *self, const guint8 *message, gsize size,
    guint64 deadline, GError **error);
/* Reads the next message that is for the caller: PING is answered, PONG and
 * scanouts on channel 0 are noted, a fatal ERROR is an error. */
gboolean helix_hop_next (HelixHop *self, guint64 deadline, GError **error);

/* Bare PING until PONG; *round_trip in ns. */
gboolean helix_hop_ping (
    HelixHop *self, guint64 deadline, guint64 *round_trip, GError **error);
/* HELLO until WELCOME; with a token, which is NULL for frames, until both ends
 * have proved it. */
gboolean helix_hop_hello (HelixHop *self, enum helix_role role,
    const gchar *token, guint64 deadline, GError **error);
/* LIST until its answers; behind WELCOME, so that all scanouts are known
 * then, too. `listing` is cleared first. A server that does not know LIST is
 * no error: listing->clients stays NULL. */
gboolean helix_hop_list (
    HelixHop *self, HelixHopListing *listing, guint64 deadline, GError **error);
void helix_hop_listing_clear (HelixHopListing *listing);
/* A client of the listing `now` in an earlier one of that server, or NULL. */
const HelixHopClient *helix_hop_listing_find (const HelixHopListing *before,
    const HelixHopListing *now, const HelixHopClient *client);
/* Whether that scanout is known to show something. */
gboolean helix_hop_scanout_on (const HelixHop *self, guint index);
/* Sends a stamped PING; what comes back goes into `clock`. */
void helix_hop_ask_clock (HelixHop *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HelixHop, helix_hop_free)

G_END_DECLS

#endif /* HELIX_HOP_H */

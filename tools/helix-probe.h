/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A client of either protocol that does one thing after the other and waits
 * for each of them, up to a deadline: what a command line wants. Whatever is
 * at the other end, nothing here lasts longer than that, and what went wrong
 * is told apart finely enough to name a remedy.
 *
 * One thread. Deadlines are helix_now_ns () times.
 */
#ifndef HELIX_PROBE_H
#define HELIX_PROBE_H

#include <glib.h>

#include "helix-clock-offset.h"
#include "helix-proof.h"
#include "helix-reader.h"

G_BEGIN_DECLS

#define HELIX_PROBE_ERROR (helix_probe_error_quark ())
GQuark helix_probe_error_quark (void);

typedef enum {
  HELIX_PROBE_ERROR_SILENT,   /* nothing came, or not the rest of it */
  HELIX_PROBE_ERROR_CLOSED,   /* the other end closed, or said BYE */
  HELIX_PROBE_ERROR_FOREIGN,  /* it speaks something else */
  HELIX_PROBE_ERROR_OLD,      /* it speaks the dialect before version 1 */
  HELIX_PROBE_ERROR_REFUSED,  /* a fatal ERROR: `refusal` and its text */
  HELIX_PROBE_ERROR_UNASKED,  /* it does not ask for the token that we have */
  HELIX_PROBE_ERROR_UNPROVED, /* it does not prove that token itself */
  HELIX_PROBE_ERROR_FAILED,   /* this machine: memory, sockets */
} HelixProbeError;

typedef struct _HelixProbe {
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
} HelixProbe;

/* What a server told about itself and its clients. */
typedef struct {
  struct helix_status status;
  gchar text[HELIX_MAX_TEXT + 1];
  guint64 taken_ns; /* own clock */
  GArray *clients;  /* HelixListed */
} HelixListing;

typedef struct {
  struct helix_client info;
  gchar name[HELIX_MAX_NAME + 1]; /* "" = the server does not tell */
} HelixListed;

/* For people: the name, or which of the clients it is, where the server tells
 * no names. The caller frees it. */
gchar *helix_listed_words (const HelixListed *client);

/* More clients than any server takes are not remembered. */
#define HELIX_LISTING_MAX 1024

/* Owns the connected, non-blocking `fd`. `serial`: bytes of earlier sessions
 * may come out of it. */
HelixProbe *helix_probe_new (gint fd, gboolean serial);
/* Says BYE, if it was welcomed. */
void helix_probe_free (HelixProbe *self);

/* Each of these is FALSE with an error of HELIX_PROBE_ERROR, a phrase that goes
 * with "X: ", without a full stop. */

gboolean helix_probe_send (HelixProbe *self, const guint8 *message, gsize size,
    guint64 deadline, GError **error);
/* Reads the next message that is for the caller: PING is answered, PONG and
 * scanouts on channel 0 are noted, a fatal ERROR is an error. */
gboolean helix_probe_next (HelixProbe *self, guint64 deadline, GError **error);

/* Bare PING until PONG; *round_trip in ns. */
gboolean helix_probe_ping (
    HelixProbe *self, guint64 deadline, guint64 *round_trip, GError **error);
/* HELLO until WELCOME; with a token, which is NULL for frames, until both ends
 * have proved it. */
gboolean helix_probe_hello (HelixProbe *self, enum helix_role role,
    const gchar *token, guint64 deadline, GError **error);
/* LIST until its answers; behind WELCOME, so that all scanouts are known
 * then, too. `listing` is cleared first. A server that does not know LIST is
 * no error: listing->clients stays NULL. */
gboolean helix_probe_list (
    HelixProbe *self, HelixListing *listing, guint64 deadline, GError **error);
void helix_listing_clear (HelixListing *listing);
/* A client of the listing `now` in an earlier one of that server, or NULL. */
const HelixListed *helix_listing_find (const HelixListing *before,
    const HelixListing *now, const HelixListed *client);
/* Whether that scanout is known to show something. */
gboolean helix_probe_scanout_on (const HelixProbe *self, guint index);
/* Sends a stamped PING; what comes back goes into `clock`. */
void helix_probe_ask_clock (HelixProbe *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HelixProbe, helix_probe_free)

G_END_DECLS

#endif /* HELIX_PROBE_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A connection (helix-connection.h) that does one thing after the other and
 * waits for each, up to a deadline: what a command line wants. Deadlines are
 * helix_now_ns () times, and nothing lasts longer, whatever is at the other
 * end. Thread: one.
 */
#ifndef HELIX_PROBE_H
#define HELIX_PROBE_H

#include "helix-stream-timing.h"
#include "helix-connection.h"
#include "helix-json.h"

G_BEGIN_DECLS

/* Its codes are those of HelixLoss; its messages are phrases that go behind
 * "X: ", without a full stop. */
#define HELIX_PROBE_ERROR (helix_probe_error_quark ())
GQuark helix_probe_error_quark (void);

/* ---- LIST ---- */

typedef struct {
  struct helix_client info;
  gchar name[HELIX_MAX_NAME + 1]; /* "" = the server does not tell */
} HelixListed;

/* What a server told about itself and its clients. */
typedef struct {
  struct helix_status status;
  gchar text[HELIX_MAX_TEXT + 1];
  guint64 taken_ns; /* own clock */
  GArray *clients;  /* HelixListed; NULL = there is no such listing, or the
                     * server does not know LIST */
} HelixListing;

/* More clients than any server takes are not remembered. */
#define HELIX_LISTING_MAX 1024

/* For people: the name, or which of the clients it is. Free it. */
gchar *helix_listed_words (const HelixListed *client);
/* All there is, as members of an object. */
void helix_listed_json (const HelixListed *client, JsonBuilder *json);

/* ---- the probe ---- */

typedef struct {
  HelixConnection *connection; /* its reader has what next () returned */
  gboolean keep_alive; /* next () sends PINGs as helixsrc does, for `clock` */
  gboolean keep_bulk;  /* collect the bytes of bulk messages */

  /* What was told, the newest of each. */
  guint8 *bulk; /* of the last bulk message, or NULL */
  /* The state of each scanout, as told on channel 0. */
  struct helix_scanout scanouts[HELIX_MAX_SCANOUTS];
  guint scanouts_known; /* a bit each */
  HelixClockOffset clock;
  struct helix_caps caps; /* caps_id 0: none came */
  struct helix_unit unit;
  HelixListing now, before; /* by the last LIST, and by that before it */
} HelixProbe;

/* Owns the connected, non-blocking `fd`. `serial`: bytes of earlier sessions
 * may come out of it. */
HelixProbe *helix_probe_new (gint fd, gboolean serial);
/* Says BYE. */
void helix_probe_free (HelixProbe *self);

/* Reads the next message. Answers PING and remembers what is told. Returns its
 * type; 0: none came until the deadline; -1 and an error: the connection is
 * over, e.g. by a fatal ERROR, or because the message is malformed. */
gint helix_probe_next (HelixProbe *self, guint64 deadline, GError **error);
/* The message that was read is malformed. Returns FALSE. */
gboolean helix_probe_violation (
    HelixProbe *self, const gchar *why, GError **error);

/* Questions. FALSE and an error: no answer until the deadline. */

/* Bare PING until PONG; *round_trip in ns. */
gboolean helix_probe_ping (
    HelixProbe *self, guint64 deadline, guint64 *round_trip, GError **error);
/* HELLO until WELCOME; with a token, which may be NULL, until both ends have
 * proved it. */
gboolean helix_probe_hello (HelixProbe *self, enum helix_role role,
    const gchar *token, guint64 deadline, GError **error);
/* LIST until its answers, behind which every scanout is known. */
gboolean helix_probe_list (HelixProbe *self, guint64 deadline, GError **error);

/* A client of the listing `now` in the listing `before`, or NULL. */
const HelixListed *helix_probe_earlier (
    const HelixProbe *self, const HelixListed *client);
/* Whether that scanout is known to show something. */
gboolean helix_probe_scanout_on (const HelixProbe *self, guint index);
/* "0:1920x1080 1:off". Free it. */
gchar *helix_probe_scanouts_words (const HelixProbe *self);
/* An array "scanouts"; empty for NULL. */
void helix_probe_scanouts_json (const HelixProbe *self, JsonBuilder *json);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HelixProbe, helix_probe_free)

G_END_DECLS

#endif /* HELIX_PROBE_H */

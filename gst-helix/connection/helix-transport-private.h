/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a kind of transport gives, and the helpers that all kinds share.
 */
#ifndef HELIX_TRANSPORT_PRIVATE_H
#define HELIX_TRANSPORT_PRIVATE_H

#include "helix-transport.h"

G_BEGIN_DECLS

typedef struct {
  gboolean outlives_session;
  /* Fills fds, n_fds, port, asks. On FALSE the caller frees the listener. */
  gboolean (*listen) (HelixListener *listener, const HelixAddress *address,
      HelixAdmit admit, GCancellable *cancel, GError **error);
  gint (*connect) (const HelixAddress *address, GCancellable *cancel,
      gint timeout_ms, GError **error);
  /* After accept: options of the socket, and who that is. */
  void (*accepted) (gint fd, gchar **peer);
} HelixTransport;

extern const HelixTransport helix_transport_unix;
extern const HelixTransport helix_transport_tcp;
extern const HelixTransport helix_transport_vsock;
extern const HelixTransport helix_transport_serial;

/* Sets "ADDRESS: WHAT: strerror. REMEDY" with the code that errno `number`
 * has in GST_RESOURCE_ERROR, and returns -1. */
gint helix_transport_fail (GError **error, const HelixAddress *address,
    gint number, const gchar *what, const gchar *remedy);

/* Sets the error of an address that HELIX_ADMIT_OWN rules out. `whom`: who
 * could connect there. */
void helix_transport_too_open (
    GError **error, const HelixAddress *address, const gchar *whom);

/* Waits for a connect in progress. 0, or the errno of its failure
 * (ETIMEDOUT; ECANCELED when cancelled). */
gint helix_transport_wait_connected (
    gint fd, GCancellable *cancel, gint timeout_ms);

G_END_DECLS

#endif /* HELIX_TRANSPORT_PRIVATE_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Byte streams by address: a table of functions for each kind, plain
 * descriptors outside. Virtio-serial ports are character devices and vsock is
 * no GSocket family, so nothing here is GSocket's.
 *
 * Every descriptor is non-blocking and close-on-exec. Every error is of
 * GST_RESOURCE_ERROR (G_IO_ERROR_CANCELLED apart) and a sentence with the
 * address, the cause and the remedy, ready for GST_ELEMENT_ERROR.
 */
#ifndef HELIX_TRANSPORT_H
#define HELIX_TRANSPORT_H

#include <gio/gio.h>

#include "helix-address.h"
#include "helix-unix-listener.h"

G_BEGIN_DECLS

/* Sockets of one listener: a name may stand for IPv4 and IPv6. */
#define HELIX_LISTENER_MAX 4

/* Who may connect, where no secret guards a listener. A UNIX socket has its
 * file's mode 0600 for that, in any case. */
typedef enum {
  HELIX_ADMIT_ALL,   /* all: something else guards it, or nothing is to */
  HELIX_ADMIT_LOCAL, /* on loopback addresses, this user and root only */
  HELIX_ADMIT_OWN    /* likewise, and no other address is listened on */
} HelixAdmit;

typedef struct {
  HelixAddressKind kind;
  gboolean asks; /* whose connection each one is: helix_listener_refusal */
  gint fds[HELIX_LISTENER_MAX]; /* to poll for POLLIN */
  guint n_fds;
  guint32 port;  /* tcp, vsock: bound port, also where 0 was asked for */
  gchar *text;   /* the address with the port that it got */
  gchar *remark; /* something worth a line in the log, or NULL */
  struct helix_unix_listener unix_socket; /* unix: owns fds[0] */
} HelixListener;

/* Listens; never blocks but for the resolution of a host name. `cancel` may
 * be NULL. Serial lines have no listener: an error. */
HelixListener *helix_transport_listen (const HelixAddress *address,
    HelixAdmit admit, GCancellable *cancel, GError **error);
void helix_listener_free (HelixListener *listener);

/* The next connection on fds[index], or -1: without an error when none waits.
 * `peer`, unless NULL, names the peer for messages ("tcp:10.0.0.7:1234"); the
 * caller frees it. */
gint helix_listener_accept (
    HelixListener *listener, guint index, gchar **peer, GError **error);

/* Why the connection `fd`, accepted just now, may not be served: a sentence
 * without a full stop, for the peer, or NULL: it may. *who, for a message at
 * this end, is the user, or NULL: the peer is gone again.
 * Free both. */
gchar *helix_listener_refusal (
    const HelixListener *listener, gint fd, gchar **who);

/* What an errno of connect () means, and what to do about it: two parts of a
 * sentence. The last one of a table has 0 and is for all others. Of ENOTSOCK
 * only the remedy is used. */
typedef struct {
  gint number;
  const gchar *what, *remedy;
} HelixFailure;

/* Connects to the UNIX socket `path`, which messages call `name`. Never
 * waits. */
gint helix_transport_connect_path (const gchar *path, const gchar *name,
    const HelixFailure *failures, GError **error);

/* A connected descriptor, or -1. Waits up to `timeout_ms` for the peer's
 * kernel; `cancel`, which may be NULL, ends the wait. */
gint helix_transport_connect (const HelixAddress *address, GCancellable *cancel,
    gint timeout_ms, GError **error);

/* Whether trying again may help: no server (yet), busy, lost. */
gboolean helix_transport_error_is_temporary (const GError *error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HelixListener, helix_listener_free)

G_END_DECLS

#endif /* HELIX_TRANSPORT_H */

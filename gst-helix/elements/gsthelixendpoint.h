/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where an element meets the other end of the stream: the properties address,
 * mode, token and token-file, which helixguestsink, helixsrc and
 * helixresourcesink have in common, and auto-reconnect of the latter two.
 *
 * address: unix:PATH, tcp:HOST:PORT (default port 14359), vsock:CID:PORT (the
 *   host's CID is 2, `any` is to listen) or serial:PATH
 *   (/dev/virtio-ports/NAME in a guest). The environment variable
 *   HELIX_ADDRESS overrides the default.
 * mode: whether to listen at the address, or to connect to it: to the UNIX
 *   socket of a QEMU chardev, for instance, which carries a virtio-serial
 *   port.
 * token: a secret that the other end must have as well. Both ends prove that
 *   they know it; it is never sent.
 * token-file: path of a file whose first line is the token, in place of the
 *   token itself: each user of the machine can read a command line. The file
 *   is read each time that the element goes from READY to PAUSED. It must
 *   belong to this program's user or root, and no other user may read it. To
 *   make one: umask 077; head -c 24 /dev/urandom | base64 > ~/.helix-token
 * auto-reconnect: with TRUE, a missing or lost other end is a warning message,
 *   once, and the element tries again until it is back. With FALSE it is an
 *   error; helixsrc ends with EOS if the other end says goodbye.
 */
#ifndef GST_HELIX_ENDPOINT_H
#define GST_HELIX_ENDPOINT_H

#include <gst/gst.h>

#include "gsthelixmode.h"
#include "helix-address.h"
#include "helix-stream-client.h"

G_BEGIN_DECLS

/* Ids of the properties; those of the element begin at PROP_OWN. */
enum {
  GST_HELIX_ENDPOINT_PROP_ADDRESS = 1,
  GST_HELIX_ENDPOINT_PROP_MODE,
  GST_HELIX_ENDPOINT_PROP_TOKEN,
  GST_HELIX_ENDPOINT_PROP_TOKEN_FILE,
  GST_HELIX_ENDPOINT_PROP_AUTO_RECONNECT,
  GST_HELIX_ENDPOINT_PROP_OWN,
};

/* Part of an element. It does not change from READY to PAUSED on. */
typedef struct {
  gchar *address;
  GstHelixMode mode;
  gchar *token;            /* NULL: none */
  gchar *token_file;       /* path, NULL: none */
  gboolean auto_reconnect; /* a guest's */
} GstHelixEndpoint;

/* Installs the properties (gsthelixfields.h); `offset` is where the element has
 * its GstHelixEndpoint. `mode` is the default, which also decides the default
 * address: LISTEN for the host, CONNECT for a guest. `blurb` is that of
 * address, a static string. */
void gst_helix_endpoint_install (
    GObjectClass *klass, gsize offset, GstHelixMode mode, const gchar *blurb);

/* GstElementClass.change_state of an element that is connected from PAUSED on.
 * Not in start () of the base classes: after its failure they post an error
 * without a cause. `start` returns FALSE after it posted an error. */
GstStateChangeReturn gst_helix_endpoint_change_state (GstElement *element,
    GstStateChange transition, gpointer parent_class,
    gboolean (*start) (GstElement *element),
    void (*stop) (GstElement *element));

/* The address, and in *token the token, if there is one; its file is read now.
 * NULL, *token is NULL, and an error for GST_ELEMENT_ERROR: the address or the
 * token (helix-token.h) makes no sense. Free both.
 * Thread: the thread that changes the state, from READY to PAUSED. */
HelixAddress *gst_helix_endpoint_parse (
    const GstHelixEndpoint *self, gchar **token, GError **error);

/* A client of `config`, to which the endpoint's part is added. NULL: an ERROR
 * message was posted. Thread: as above. */
HelixStreamClient *gst_helix_endpoint_client (GstElement *element,
    const GstHelixEndpoint *self, HelixStreamClientConfig config);

G_END_DECLS

#endif /* GST_HELIX_ENDPOINT_H */

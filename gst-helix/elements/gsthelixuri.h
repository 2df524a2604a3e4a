/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * URIs of the elements, for playbin3 and all else that plays URIs:
 *
 *   helix+unix:PATH            helixqemusrc, the VM with that socket
 *   helix+unix:                the only VM that runs here
 *   helix+tcp://HOST:PORT      helixsrc, likewise helix+vsock://CID:PORT,
 *   helix+stream-unix:PATH     helix+serial:PATH
 *
 * each with ?PROPERTY=VALUE&... of the element. Bytes may be written %XX. A
 * URI replaces everything: properties that it could name and does not get their
 * defaults, but for token, which may be set beside it, as token-file may. The
 * token is not told again. A URI cannot name a token-file.
 */
#ifndef GST_HELIX_URI_H
#define GST_HELIX_URI_H

#include <gst/gst.h>

G_BEGIN_DECLS

/* GInterfaceInitFunc of GST_TYPE_URI_HANDLER, for helixqemusrc and helixsrc. */
void gst_helix_uri_init (gpointer iface, gpointer data);

G_END_DECLS

#endif /* GST_HELIX_URI_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The words of the property `address`:
 *
 *   unix:PATH        tcp:HOST[:PORT]   (default port 14359; [v6] in brackets)
 *   serial:PATH      vsock:CID:PORT    (CID `any` to listen)
 *
 * Parsing looks at the words only: no file, name or port is touched.
 */
#ifndef HELIX_ADDRESS_H
#define HELIX_ADDRESS_H

#include <glib.h>

G_BEGIN_DECLS

/* HELX on a telephone's keys, with a 1 before it: outside of VNC's range,
 * unassigned at IANA, and below the ports that Linux and macOS choose
 * for connections. */
#define HELIX_ADDRESS_DEFAULT_PORT 14359
/* Where helixguestsink serves, and where a guest on QEMU's user network finds
 * it, unless they are told otherwise. */
#define HELIX_ADDRESS_DEFAULT_HOST \
  "tcp:127.0.0.1:" G_STRINGIFY (HELIX_ADDRESS_DEFAULT_PORT)
#define HELIX_ADDRESS_DEFAULT_GUEST \
  "tcp:10.0.2.2:" G_STRINGIFY (HELIX_ADDRESS_DEFAULT_PORT)
#define HELIX_ADDRESS_CID_ANY 0xffffffffu /* VMADDR_CID_ANY */
/* What every error about an address ends with. */
#define HELIX_ADDRESS_FORMS \
  "unix:PATH, tcp:HOST:PORT, vsock:CID:PORT or serial:PATH"

typedef enum {
  HELIX_ADDRESS_UNIX,
  HELIX_ADDRESS_TCP,
  HELIX_ADDRESS_VSOCK,
  HELIX_ADDRESS_SERIAL,
} HelixAddressKind;

typedef struct {
  HelixAddressKind kind;
  gchar *text;  /* as written, for messages */
  gchar *path;  /* unix, serial */
  gchar *host;  /* tcp: name or number, without brackets */
  guint32 port; /* tcp: 0 (any free one, to listen) to 65535; vsock: 32 bit */
  guint32 cid;  /* vsock */
} HelixAddress;

/* NULL and an error (GST_RESOURCE_ERROR_SETTINGS) that names the address and
 * the right forms. */
HelixAddress *helix_address_parse (const gchar *text, GError **error);

void helix_address_free (HelixAddress *address);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HelixAddress, helix_address_free)

G_END_DECLS

#endif /* HELIX_ADDRESS_H */

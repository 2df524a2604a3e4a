/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where an element meets the other end of the stream: the properties address,
 * mode, token and token-file, which helixguestsink, helixsrc and
 * helixresourcesink have in common. Each installs and describes them for
 * itself, under these ids.
 */
#ifndef GST_HELIX_ENDPOINT_H
#define GST_HELIX_ENDPOINT_H

#include <gst/gst.h>

#include "gsthelixmode.h"
#include "helix-address.h"
#include "helix-stream-client.h"

G_BEGIN_DECLS

/* Ids of the properties; an element's own begin at PROP_OWN. */
enum {
  GST_HELIX_ENDPOINT_PROP_ADDRESS = 1,
  GST_HELIX_ENDPOINT_PROP_MODE,
  GST_HELIX_ENDPOINT_PROP_TOKEN,
  GST_HELIX_ENDPOINT_PROP_TOKEN_FILE,
  GST_HELIX_ENDPOINT_PROP_OWN,
};

/* Part of an element, under its object lock. */
typedef struct {
  const gchar *otherwise; /* address, where none is set: static */
  gchar *address;
  GstHelixMode mode;
  gchar *token;      /* NULL: none */
  gchar *token_file; /* path, NULL: none */
} GstHelixEndpoint;

/* `address` is the default if $HELIX_ADDRESS is not set; static. */
void gst_helix_endpoint_init (
    GstHelixEndpoint *self, const gchar *address, GstHelixMode mode);
void gst_helix_endpoint_clear (GstHelixEndpoint *self);

/* With the object lock. FALSE: the property is none of these. */
gboolean gst_helix_endpoint_set (
    GstHelixEndpoint *self, guint id, const GValue *value);
gboolean gst_helix_endpoint_get (
    const GstHelixEndpoint *self, guint id, GValue *value);

/* What a connection is to be made with; the token's file is read now. Takes the
 * object lock. NULL, *token is NULL, and an error for GST_ELEMENT_ERROR: the
 * address makes no sense, or the token (helix-token.h). Free both. */
HelixAddress *gst_helix_endpoint_snapshot (GstElement *element,
    const GstHelixEndpoint *self, gchar **token, gboolean *listen,
    GError **error);

/* A client of `config`, to which the endpoint's part is added. NULL: an ERROR
 * message was posted. Takes the object lock. */
HelixStreamClient *gst_helix_endpoint_client (GstElement *element,
    const GstHelixEndpoint *self, HelixStreamClientConfig config);

G_END_DECLS

#endif /* GST_HELIX_ENDPOINT_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A server of helix top, and how it is shown.
 */
#ifndef HELIX_TOP_H
#define HELIX_TOP_H

#include "helix-probe.h"
#include "helix-report.h"

G_BEGIN_DECLS

typedef struct {
  gchar *where;      /* path of a shim's socket, or address of a stream */
  gboolean stream;   /* else a VM */
  gboolean seen;     /* still there */
  HelixProbe *probe; /* NULL: not connected */
  HelixListing now, before; /* clients NULL: no such sample */
  gchar *problem;           /* why there is no sample, or NULL */
} HelixTopServer;

/* A block of lines. */
void helix_top_print (const HelixTopServer *self, FILE *out, gboolean colours);
/* An object of an array. */
void helix_top_json (const HelixTopServer *self, JsonBuilder *json);

G_END_DECLS

#endif /* HELIX_TOP_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Watches scanouts for about a second: does a picture come, and how many a
 * second after it? The pixels stay where they are; slots go back at once.
 */
#ifndef HELIX_WATCH_H
#define HELIX_WATCH_H

#include "helix-probe.h"
#include "helix-json.h"

G_BEGIN_DECLS

typedef struct {
  guint scanout;
  guint frames;
  guint64 first_ns; /* from the subscription to the first frame */
  guint64 last_ns;  /* likewise, to the last */
  gdouble fps;      /* after the first; 0 when it stands still */
  gchar refused[HELIX_MAX_TEXT + 1]; /* why it cannot be watched, or "" */
} HelixWatched;

typedef struct {
  HelixWatched scanouts[HELIX_MAX_SCANOUTS];
  guint n;
} HelixWatch;

/* Of a welcomed `hop`, the scanouts whose bits are set in `mask`; not beyond
 * `deadline`. FALSE when the connection was lost meanwhile; what came before
 * it counts. */
gboolean helix_watch_run (HelixWatch *self, HelixProbe *probe, guint mask,
    guint64 deadline, GError **error);

/* That scanout's, or NULL. */
const HelixWatched *helix_watch_of (const HelixWatch *self, guint scanout);

/* An array "rates". */
void helix_watch_json (const HelixWatch *self, JsonBuilder *json);

G_END_DECLS

#endif /* HELIX_WATCH_H */

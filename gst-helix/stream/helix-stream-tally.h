/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a stream client counts, across its connections: units, outages, the
 * other clock, how long units take. Not thread-safe.
 */
#ifndef HELIX_STREAM_TALLY_H
#define HELIX_STREAM_TALLY_H

#include "helix-histogram.h"
#include "helix-stream-link.h"

G_BEGIN_DECLS

/* Latencies whose median goes into STATS: about a second of them. */
#define HELIX_STREAM_TALLY_RECENT 64

typedef struct {
  struct helix_stats before; /* of links that are gone */
  struct helix_stats now;    /* of the link */
  guint64 skipped_before, skipped;
  guint64 connects;
  gboolean connected;

  gboolean clock_known; /* the next two are valid */
  gint64 clock_offset;  /* ns: other end's clock - own */
  guint64 clock_error;  /* ns: bound of the error of the offset */

  struct helix_histogram transit; /* sent -> received, ns */
  struct helix_histogram latency; /* capture -> where the caller is, ns */
  guint64 recent[HELIX_STREAM_TALLY_RECENT];
  guint n_recent;
} HelixStreamTally;

void helix_stream_tally_connected (HelixStreamTally *self);
/* Takes over the counts of `link`; `now` as helix_now_ns (). */
void helix_stream_tally_update (
    HelixStreamTally *self, const HelixStreamLink *link, guint64 now);
/* The unit of `link` that has just arrived; after update (). */
void helix_stream_tally_arrived (
    HelixStreamTally *self, const HelixStreamLink *link);
/* The link is gone: its counts join those of its predecessors. */
void helix_stream_tally_lost (HelixStreamTally *self);

void helix_stream_tally_add_latency (HelixStreamTally *self, guint64 ns);
/* Of the recent latencies; HELIX_NONE64 without one. */
guint64 helix_stream_tally_median (const HelixStreamTally *self);

/* Sets connected, reconnects and the clock; with `units` the rest, too. */
void helix_stream_tally_store (
    const HelixStreamTally *self, GstStructure *stats, gboolean units);

G_END_DECLS

#endif /* HELIX_STREAM_TALLY_H */

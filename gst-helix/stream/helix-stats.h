/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How the `stats` of all elements name the percentiles of durations. */
#ifndef HELIX_STATS_H
#define HELIX_STATS_H

#include <gst/gst.h>

#include "helix-histogram.h"

G_BEGIN_DECLS

/* Sets "STAGE-p50", "-p95", "-p99" and "-max" in `stats`: guint64, ns. */
void helix_stats_set_times (GstStructure *stats, const gchar *stage,
    const struct helix_histogram *times);

G_END_DECLS

#endif /* HELIX_STATS_H */

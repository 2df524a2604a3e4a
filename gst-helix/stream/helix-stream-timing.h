/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Time stamps for units that come from another machine's clock.
 *
 * When the clocks' offset is known, PTS is the capture time on the receiving
 * pipeline's clock. Otherwise the sender's running time is shifted so that
 * the first unit is due when it arrives. One of the two holds from one
 * discontinuity to the next, so that PTS does not jump in between. DTS always
 * grows, and so does PTS unless the encoder reorders.
 */
#ifndef HELIX_STREAM_TIMING_H
#define HELIX_STREAM_TIMING_H

#include <gst/gst.h>

#include "helix-protocol.h"

G_BEGIN_DECLS

typedef struct {
  gboolean started, by_capture;
  gint64 shift;          /* receiver's - sender's running time, ns */
  GstClockTime last_dts; /* or GST_CLOCK_TIME_NONE */
} HelixStreamTiming;

typedef struct {
  guint64 now_monotonic; /* own CLOCK_MONOTONIC */
  guint64 now_running;   /* running time of the pipeline at that moment */
  guint64 capture;       /* in own CLOCK_MONOTONIC, or HELIX_NONE64 */
  gboolean discont;
} HelixStreamArrival;

void helix_stream_timing_clear (HelixStreamTiming *self);

void helix_stream_timing_map (HelixStreamTiming *self,
    const struct helix_unit *unit, const HelixStreamArrival *arrival,
    GstClockTime *pts, GstClockTime *dts);

G_END_DECLS

#endif /* HELIX_STREAM_TIMING_H */

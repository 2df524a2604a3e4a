/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Time between two machines: the difference of their clocks, and when units of
 * the other one are due: their time stamps, and the latency to announce. No
 * clock of its own. Lock: none.
 *
 * Clocks: from stamped PING and PONG, of the recent exchanges the one whose
 * error bound is smallest now. The bound of an exchange is half its round trip,
 * and grows with its age by what two free-running quartz clocks may drift.
 *
 * Time stamps: when the clocks' offset is known, PTS is the capture time on the
 * receiving pipeline's clock. Otherwise the sender's running time is shifted so
 * that the first unit is due when it arrives. One of the two holds from one
 * discontinuity to the next, so that PTS does not jump in between. DTS always
 * grows, and so does PTS unless the encoder reorders.
 *
 * Latency: each change makes a pipeline distribute its latency anew. It grows
 * by a quarter more than a late unit needs, and shrinks in steps after a time
 * without one; where that proves to have been too soon, the time doubles.
 */
#ifndef HELIX_STREAM_TIMING_H
#define HELIX_STREAM_TIMING_H

#include <gst/gst.h>

#include "helix-protocol.h"

G_BEGIN_DECLS

#define HELIX_CLOCK_OFFSET_SAMPLES 16

typedef struct {
  struct {
    gint64 offset;
    guint64 error, taken;
  } samples[HELIX_CLOCK_OFFSET_SAMPLES];
  guint count;      /* ever added */
} HelixClockOffset; /* All zero: nothing was exchanged yet. */

/* A PONG that arrived at `now` (own clock, ns). FALSE when its stamps cannot
 * be true; it is then ignored. */
gboolean helix_clock_offset_add (
    HelixClockOffset *self, const struct helix_pong *pong, guint64 now);

/* *offset = other clock - own clock, *error its bound, both ns. FALSE before
 * the first exchange. */
gboolean helix_clock_offset_get (
    const HelixClockOffset *self, guint64 now, gint64 *offset, guint64 *error);

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

/* The most that is announced, in ns: sinks would wait that long. */
#define HELIX_STREAM_LATENCY_MAX (10 * G_GUINT64_CONSTANT (1000000000))

typedef struct {
  guint64 announced; /* ns */

  /* private, in ns */
  guint64 worst; /* since `since` */
  guint64 since;
  guint64 hold;      /* how long that must be before the latency shrinks */
  guint64 shrunk_at; /* 0: never */
} HelixStreamLatency;

void helix_stream_latency_clear (HelixStreamLatency *self);

/* A unit arrived `late` after it was captured; `now` is helix_now_ns () then.
 * TRUE: `announced` is another. */
gboolean helix_stream_latency_add (
    HelixStreamLatency *self, guint64 late, guint64 now);

G_END_DECLS

#endif /* HELIX_STREAM_TIMING_H */

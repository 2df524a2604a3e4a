/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * When helixqemusrc repeats its last picture. Encoders that look ahead give a
 * picture out only once they have got many more, which a still screen does not
 * send: helixguestsink reports what comes out, and the last picture is repeated
 * until the newest one is out, too. Without a report it is repeated now and
 * then.
 *
 * A plain struct without a lock or a clock: the caller has both.
 */
#ifndef GST_HELIX_HOLDBACK_H
#define GST_HELIX_HOLDBACK_H

#include "gsthelixevents.h"

G_BEGIN_DECLS

/* Repetitions of one picture at most. x264 can be told to hold most of all:
 * 250 pictures of rc-lookahead and 250 of sync-lookahead (X264_LOOKAHEAD_MAX in
 * encoder/encoder.c), 127 of threads (X264_THREAD_MAX in common/common.h, less
 * one) and 1 for a variable rate. */
#define GST_HELIX_HOLDBACK_MOST 628

/* Sinks that can be told apart; of more, the one heard of first is forgotten.
 */
#define GST_HELIX_HOLDBACK_SINKS 8

typedef struct {
  guint id;         /* of the sink */
  GstClockTime out; /* all up to this running time is out; NONE: nothing is */
  GstClockTime
      given_up; /* so many repetitions did not bring out the picture of this
                 * running time, so there are none until it is out; NONE: no */
  gchar encoder[GST_HELIX_ENCODER_NAME];
} GstHelixHoldbackSink;

typedef struct {
  GstHelixHoldbackSink sinks[GST_HELIX_HOLDBACK_SINKS];
  guint n_sinks;
  GstClockTime wanted; /* running time of the newest picture that has to come
                         * out; NONE: there is none */
  GstClockTime last;   /* of the last buffer, that or a repetition of it */
  guint64 pushed_ns;   /* when that left */
  gboolean refresh;    /* by the caller: a repetition is wanted at once, and has
                        * to come out */
  guint after;         /* buffers that left after the wanted one */
  guint64 delay_ns;    /* between a buffer and its unit, if that needed no
                         * further buffer; 0: not known */
  guint held_back;     /* buffers that had to follow the wanted one before it
                         * came out, the last time that it did;
                        * more, if a newer one was wanted after so many */
  guint64 flushed;     /* repetitions for a picture that was not out */
  gboolean complained; /* gst_helix_holdback_pushed () */
} GstHelixHoldback;

/* Nothing was pushed, and no sink reports. */
void gst_helix_holdback_reset (GstHelixHoldback *self);

/* A buffer of this running time leaves. `wanted`: it has to come out; else it
 * only repeats the one that has to. Running times grow.
 * Returns: the sink whose picture did not come out however often it was
 * repeated, once until the next reset; else NULL. */
const GstHelixHoldbackSink *gst_helix_holdback_pushed (GstHelixHoldback *self,
    GstClockTime running_time, gboolean wanted, guint64 now);

/* A sink says what is out. A time that was never pushed means: all. Returns
 * whether the caller has to look at due () again. */
gboolean gst_helix_holdback_reported (
    GstHelixHoldback *self, const GstHelixOutput *output, guint64 now);

/* When the last picture is to be repeated, given the time between two
 * pictures, and that between two repetitions where no sink reports (0 = there
 * are none then), in ns; HELIX_NONE64: not at all. */
guint64 gst_helix_holdback_due (
    const GstHelixHoldback *self, guint64 interval, guint64 keepalive);

G_END_DECLS

#endif /* GST_HELIX_HOLDBACK_H */

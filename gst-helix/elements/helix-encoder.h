/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The encoder that feeds a pad, and its bitrate.
 */
#ifndef HELIX_ENCODER_H
#define HELIX_ENCODER_H

#include <gst/gst.h>

G_BEGIN_DECLS

typedef enum {
  HELIX_ENCODER_DONE,     /* it has that bitrate now */
  HELIX_ENCODER_BOUNDED,  /* it has the nearest that it can */
  HELIX_ENCODER_MISSING,  /* there is none */
  HELIX_ENCODER_UNKNOWN,  /* how to tell it is not known */
  HELIX_ENCODER_FIXED,    /* it bears no change while it plays */
  HELIX_ENCODER_STUBBORN, /* it was told, and has another value */
} HelixEncoderResult;

/* The nearest encoder upstream of `sink_pad`: a GstVideoEncoder, or whatever
 * the table names, through parsers, queues, tees and bins. NULL: none; else
 * unref it. From any thread. */
GstElement *helix_encoder_find (GstPad *sink_pad);

/* Sets the bitrate in bit/s, in the element's own unit. `encoder` may be NULL.
 * Unless DONE, `*why` is a sentence with the cause and the remedy, to be
 * freed. */
HelixEncoderResult helix_encoder_set_bitrate (
    GstElement *encoder, guint32 bitrate, gchar **why);

G_END_DECLS

#endif /* HELIX_ENCODER_H */

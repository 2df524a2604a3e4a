/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The encoder that feeds a pad, its bitrate, and how it is to hold no picture
 * back. GStreamer has no common way: the property's name, its unit and when it
 * may change are each element's own, and a table in the source has them.
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

/* The nearest encoder upstream of `sink_pad`: a GstVideoEncoder, or an element
 * that the table names, through parsers, queues, tees and bins. NULL: none;
 * else unref it. From any thread. */
GstElement *helix_encoder_find (GstPad *sink_pad);

/* Sets the bitrate in bit/s, in the element's own unit. `encoder` may be NULL.
 * Unless DONE, `*why` is a sentence with the cause and the remedy, to be
 * freed. */
HelixEncoderResult helix_encoder_set_bitrate (
    GstElement *encoder, guint32 bitrate, gchar **why);

/* Properties of that factory's elements, as gst-launch-1.0 takes them, with
 * which it gives each picture out at once. NULL: it does so by default, or is
 * not known. Static. */
const gchar *helix_encoder_low_latency (const gchar *factory);

G_END_DECLS

#endif /* HELIX_ENCODER_H */

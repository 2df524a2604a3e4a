/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How each encoder wants to be told its bitrate, and to hold no picture back.
 * GStreamer has no common way: the property's name, its unit and when it may
 * change are each element's own.
 */
#ifndef HELIX_ENCODER_TABLE_H
#define HELIX_ENCODER_TABLE_H

#include <gst/gst.h>

G_BEGIN_DECLS

/* When the property takes effect. */
typedef enum {
  HELIX_ENCODER_LIVE,  /* while playing */
  HELIX_ENCODER_SINCE, /* likewise, from version `since` of its plugin on */
  HELIX_ENCODER_NEVER, /* only before it starts */
} HelixEncoderChange;

typedef struct {
  const gchar *factory;  /* names of element factories, as a glob */
  const gchar *property; /* a number, or a GstStructure that holds `field` */
  const gchar *field;    /* NULL: the property is the number */
  guint unit;            /* bit/s that 1 means */
  /* A property of the same unit that the bitrate must not exceed; 0 there is
   * no limit. NULL, or not there: none. */
  const gchar *ceiling;
  /* A property that is lowered to `buffer_most` if it has its default, since
   * with that the rate follows too slowly. NULL: none. */
  const gchar *buffer;
  guint buffer_most;
  HelixEncoderChange change;
  guint since[3];
  /* Properties, as gst-launch-1.0 takes them, with which it gives each picture
   * out at once. NULL: it does so by default. */
  const gchar *low_latency;
} HelixEncoderRow;

/* The row of that factory; `klass`: one whose property this class has, for
 * elements that gained another in some version. NULL: not known. */
const HelixEncoderRow *helix_encoder_table_find (
    const gchar *factory, GObjectClass *klass);

/* Whether there is any row of that factory. */
gboolean helix_encoder_table_has (const gchar *factory);

/* The low_latency of the first row of that factory, or NULL. */
const gchar *helix_encoder_table_low_latency (const gchar *factory);

G_END_DECLS

#endif /* HELIX_ENCODER_TABLE_H */

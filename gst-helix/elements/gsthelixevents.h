/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The custom events between the elements of this plugin, which other elements
 * pass on. The parsers check every field's presence, type and bounds; they
 * return FALSE for any other event, and for one that is wrong.
 */
#ifndef GST_HELIX_EVENTS_H
#define GST_HELIX_EVENTS_H

#include <gst/gst.h>

G_BEGIN_DECLS

/* The fields of a GstHelixControl that count. */
typedef enum {
  GST_HELIX_CONTROL_SCANOUT = 1 << 0,
  GST_HELIX_CONTROL_RESOURCE = 1 << 1,
  GST_HELIX_CONTROL_RATE = 1 << 2,
} GstHelixControlFields;

/* A request to helixqemusrc: its source, and the rate. */
typedef struct {
  GstHelixControlFields fields;
  guint scanout;           /* index */
  guint resource_id;       /* virtio-gpu resource, 0 = the scanout again */
  gint rate_num, rate_den; /* frames a second at most, 0/1 = no limit */
} GstHelixControl;

/* The cursor plane of a scanout. */
typedef struct {
  guint scanout; /* index */
  gboolean visible;
  gint x, y;           /* pixels: the image's top left, may be negative */
  guint serial;        /* of the shape, 0 = there was none yet */
  guint width, height; /* pixels, 0 without a shape */
  guint hot_x, hot_y;  /* pixels from the image's top left: the point */
  GstBuffer *image;    /* width * height * 4 bytes, B G R A with colours
                         * multiplied by alpha; NULL: the shape of that serial
                         * is known */
} GstHelixCursor;

/* Bytes of an encoder's name in GstHelixOutput, its NUL included. */
#define GST_HELIX_ENCODER_NAME 64

/* How far an encoder is, as a sink behind it sees it. */
typedef struct {
  guint sink;                /* tells sinks behind one tee apart */
  GstClockTime running_time; /* all pictures up to this one are out, for a
                              * decoder to show; NONE: nothing is yet */
  gchar encoder[GST_HELIX_ENCODER_NAME]; /* its factory, or "" */
} GstHelixOutput;

/* Upstream "GstHelixControl", fields "scanout" (uint), "resource-id" (uint),
 * "max-framerate" (fraction): only those named. gst_pad_push_event () returns
 * FALSE when helixqemusrc refuses. NULL when no field is named. */
GstEvent *gst_helix_event_new_control (const GstHelixControl *control);
gboolean gst_helix_event_parse_control (
    GstEvent *event, GstHelixControl *control);

/* Upstream "GstHelixShow", fields "resource-id" (uint, not 0) and
 * "capture-time" (uint64, ns of the host's CLOCK_MONOTONIC, G_MAXUINT64 =
 * now): show this resource, as it is now. */
GstEvent *gst_helix_event_new_show (guint resource_id, guint64 capture_time);
gboolean gst_helix_event_parse_show (
    GstEvent *event, guint *resource_id, guint64 *capture_time);

/* Upstream "GstHelixRefresh", no fields: asks helixqemusrc for its last
 * picture again, at once. Encoders pass it on, but not force-key-unit: sent
 * after that, it gives them a picture for the keyframe although the screen does
 * not change. */
GstEvent *gst_helix_event_new_refresh (void);
gboolean gst_helix_event_is_refresh (GstEvent *event);

/* Upstream "GstHelixOutput", fields "sink" (uint), "running-time" (uint64, ns)
 * and, where it is known, "encoder" (string): helixguestsink tells helixqemusrc
 * how far the encoder is, before the first unit too. */
GstEvent *gst_helix_event_new_output (const GstHelixOutput *output);
gboolean gst_helix_event_parse_output (GstEvent *event, GstHelixOutput *output);

/* Downstream, out of band, "GstHelixCursor": the fields of GstHelixCursor,
 * "scanout", "serial", "width", "height", "hot-x", "hot-y" (uint), "visible"
 * (boolean), "x", "y" (int) and, where there is one, "image" (GstBuffer). */
GstEvent *gst_helix_event_new_cursor (const GstHelixCursor *cursor);
/* The image, if any, is the event's: take a reference to keep it. */
gboolean gst_helix_event_parse_cursor (GstEvent *event, GstHelixCursor *cursor);

/* The structure of that event, for messages. */
GstStructure *gst_helix_cursor_to_structure (const GstHelixCursor *cursor);
/* The image, if any, is the structure's. */
gboolean gst_helix_cursor_from_structure (
    const GstStructure *structure, GstHelixCursor *cursor);

G_END_DECLS

#endif /* GST_HELIX_EVENTS_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The custom events between the elements of this plugin, which other elements
 * pass on. The parsers check every field's presence, type and bounds; they
 * return FALSE for any other event, and for one that is wrong.
 */
#ifndef GST_HELIX_EVENTS_H
#define GST_HELIX_EVENTS_H

#include <gst/gst.h>

#include "helix-protocol.h"

G_BEGIN_DECLS

/* Bytes of an encoder's name in GstHelixOutput, its NUL included. */
#define GST_HELIX_ENCODER_NAME 64

/* How far an encoder is, as a sink behind it sees it. */
typedef struct {
  guint sink;                /* tells sinks behind one tee apart */
  GstClockTime running_time; /* all pictures up to this one are out, for a
                              * decoder to show; NONE: nothing is yet */
  gchar encoder[GST_HELIX_ENCODER_NAME]; /* its factory, or "" */
} GstHelixOutput;

/* A structure of that name with the fields that the request names: "bitrate"
 * (uint, bit/s), "max-framerate" (fraction, 0/1 = no limit), "scanout" (uint),
 * "resource-id" (uint, 0 = the scanout again). */
GstStructure *gst_helix_config_to_structure (
    const struct helix_config *config, const gchar *name);

/* Upstream "GstHelixControl", the structure above: a request to helixqemusrc.
 * gst_pad_push_event () returns FALSE when helixqemusrc refuses. Its bitrate is
 * not parsed, since helixqemusrc has none. */
GstEvent *gst_helix_event_new_control (const struct helix_config *config);
gboolean gst_helix_event_parse_control (
    GstEvent *event, struct helix_config *config);

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

/* "GstHelixCursor", the structure of messages and of an event downstream, out
 * of band: "scanout", "serial", "width", "height", "hot-x", "hot-y" (uint),
 * "visible" (boolean), "x", "y" (int) and, with a shape that is new, "image"
 * (GstBuffer, width * height * 4 bytes, B G R A with colours multiplied by
 * alpha). `image` may be NULL. */
GstStructure *gst_helix_cursor_to_structure (
    const struct helix_cursor *cursor, GstBuffer *image);
/* `structure` may be NULL. Ownership: *image is the structure's, or NULL. */
gboolean gst_helix_cursor_from_structure (const GstStructure *structure,
    struct helix_cursor *cursor, GstBuffer **image);
GstEvent *gst_helix_event_new_cursor (
    const struct helix_cursor *cursor, GstBuffer *image);

G_END_DECLS

#endif /* GST_HELIX_EVENTS_H */

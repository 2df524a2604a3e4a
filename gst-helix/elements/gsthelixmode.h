/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Types of properties, caps of timestamps and messages, for all elements. */
#ifndef GST_HELIX_MODE_H
#define GST_HELIX_MODE_H

#include <gst/gst.h>

G_BEGIN_DECLS

/**
 * GstHelixMode:
 * @GST_HELIX_MODE_LISTEN: wait for the other end to connect
 * @GST_HELIX_MODE_CONNECT: connect to the other end, again whenever it is lost
 *
 * Which end opens the connection.
 *
 * Since: 0.1
 */
typedef enum {
  GST_HELIX_MODE_LISTEN,
  GST_HELIX_MODE_CONNECT,
} GstHelixMode;

#define GST_TYPE_HELIX_MODE (gst_helix_mode_get_type ())
GType gst_helix_mode_get_type (void);

/**
 * GstHelixRecoverPolicy:
 * @GST_HELIX_RECOVER_POLICY_NONE: disconnect the client
 * @GST_HELIX_RECOVER_POLICY_KEYFRAME: skip to the next keyframe, and have
 *   one made as soon as the client takes data again
 *
 * How to treat a client that does not take units as fast as they come.
 *
 * Since: 0.1
 */
typedef enum {
  GST_HELIX_RECOVER_POLICY_NONE,
  GST_HELIX_RECOVER_POLICY_KEYFRAME,
} GstHelixRecoverPolicy;

#define GST_TYPE_HELIX_RECOVER_POLICY (gst_helix_recover_policy_get_type ())
GType gst_helix_recover_policy_get_type (void);

/**
 * GstHelixWhenOff:
 * @GST_HELIX_WHEN_OFF_BLACK: a black picture
 * @GST_HELIX_WHEN_OFF_LAST: the last picture
 *
 * The picture of a screen that is off.
 *
 * Since: 0.1
 */
typedef enum {
  GST_HELIX_WHEN_OFF_BLACK,
  GST_HELIX_WHEN_OFF_LAST,
} GstHelixWhenOff;

#define GST_TYPE_HELIX_WHEN_OFF (gst_helix_when_off_get_type ())
GType gst_helix_when_off_get_type (void);

/* The reference caps of capture times: CLOCK_MONOTONIC in ns. Static. */
GstCaps *gst_helix_capture_caps (void);

/* Those of the time when a buffer left helixqemusrc, in ns of the same clock:
 * an encoder's time counts from there. Static. */
GstCaps *gst_helix_pushed_caps (void);

/* Posts `error`, a sentence, as an ERROR, a WARNING or an INFO: as both texts
 * of the latter, since gst-launch-1.0 prints only the second. */
void gst_helix_post (
    GstElement *element, GstMessageType type, const GError *error);

G_END_DECLS

#endif /* GST_HELIX_MODE_H */

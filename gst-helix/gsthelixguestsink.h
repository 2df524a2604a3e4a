/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GST_HELIX_GUEST_SINK_H
#define GST_HELIX_GUEST_SINK_H

#include <gst/base/gstbasesink.h>
#include <gst/gst.h>

G_BEGIN_DECLS

/**
 * GstHelixRecoverPolicy:
 * @GST_HELIX_RECOVER_POLICY_NONE: disconnect the client
 * @GST_HELIX_RECOVER_POLICY_KEYFRAME: skip to the next keyframe, and have
 *   one made as soon as the client takes data again
 *
 * What happens to a client that does not take units as fast as they come.
 *
 * Since: 0.1
 */
typedef enum {
  GST_HELIX_RECOVER_POLICY_NONE,
  GST_HELIX_RECOVER_POLICY_KEYFRAME,
} GstHelixRecoverPolicy;

#define GST_TYPE_HELIX_RECOVER_POLICY (gst_helix_recover_policy_get_type ())
GType gst_helix_recover_policy_get_type (void);

#define GST_TYPE_HELIX_GUEST_SINK (gst_helix_guest_sink_get_type ())
G_DECLARE_FINAL_TYPE (
    GstHelixGuestSink, gst_helix_guest_sink, GST, HELIX_GUEST_SINK, GstBaseSink)

GST_ELEMENT_REGISTER_DECLARE (helixguestsink);

G_END_DECLS

#endif /* GST_HELIX_GUEST_SINK_H */

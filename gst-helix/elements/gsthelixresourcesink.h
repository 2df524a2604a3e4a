/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GST_HELIX_RESOURCE_SINK_H
#define GST_HELIX_RESOURCE_SINK_H

#include <gst/base/gstbasesink.h>
#include <gst/gst.h>

G_BEGIN_DECLS

#define GST_TYPE_HELIX_RESOURCE_SINK (gst_helix_resource_sink_get_type ())
G_DECLARE_FINAL_TYPE (GstHelixResourceSink, gst_helix_resource_sink, GST,
    HELIX_RESOURCE_SINK, GstBaseSink)

GST_ELEMENT_REGISTER_DECLARE (helixresourcesink);

G_END_DECLS

#endif /* GST_HELIX_RESOURCE_SINK_H */

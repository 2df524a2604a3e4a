/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the plugin registers. */
#ifndef GST_HELIX_ELEMENTS_H
#define GST_HELIX_ELEMENTS_H

#include <gst/base/gstbasesink.h>
#include <gst/base/gstpushsrc.h>
#include <gst/gst.h>

G_BEGIN_DECLS

#define GST_TYPE_HELIX_QEMU_SRC (gst_helix_qemu_src_get_type ())
G_DECLARE_FINAL_TYPE (
    GstHelixQemuSrc, gst_helix_qemu_src, GST, HELIX_QEMU_SRC, GstPushSrc)
GST_ELEMENT_REGISTER_DECLARE (helixqemusrc);

#define GST_TYPE_HELIX_GUEST_SINK (gst_helix_guest_sink_get_type ())
G_DECLARE_FINAL_TYPE (
    GstHelixGuestSink, gst_helix_guest_sink, GST, HELIX_GUEST_SINK, GstBaseSink)
GST_ELEMENT_REGISTER_DECLARE (helixguestsink);

#define GST_TYPE_HELIX_SRC (gst_helix_src_get_type ())
G_DECLARE_FINAL_TYPE (GstHelixSrc, gst_helix_src, GST, HELIX_SRC, GstPushSrc)
GST_ELEMENT_REGISTER_DECLARE (helixsrc);

/* Only with HELIX_RESOURCE_SINK. */
#define GST_TYPE_HELIX_RESOURCE_SINK (gst_helix_resource_sink_get_type ())
G_DECLARE_FINAL_TYPE (GstHelixResourceSink, gst_helix_resource_sink, GST,
    HELIX_RESOURCE_SINK, GstBaseSink)
GST_ELEMENT_REGISTER_DECLARE (helixresourcesink);

#define GST_TYPE_HELIX_DEVICE_PROVIDER (gst_helix_device_provider_get_type ())
G_DECLARE_FINAL_TYPE (GstHelixDeviceProvider, gst_helix_device_provider, GST,
    HELIX_DEVICE_PROVIDER, GstDeviceProvider)
GST_DEVICE_PROVIDER_REGISTER_DECLARE (helixdeviceprovider);

G_END_DECLS

#endif /* GST_HELIX_ELEMENTS_H */

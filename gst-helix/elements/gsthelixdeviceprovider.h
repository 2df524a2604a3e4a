/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GST_HELIX_DEVICE_PROVIDER_H
#define GST_HELIX_DEVICE_PROVIDER_H

#include <gst/gst.h>

G_BEGIN_DECLS

#define GST_TYPE_HELIX_DEVICE_PROVIDER (gst_helix_device_provider_get_type ())
G_DECLARE_FINAL_TYPE (GstHelixDeviceProvider, gst_helix_device_provider, GST,
    HELIX_DEVICE_PROVIDER, GstDeviceProvider)

GST_DEVICE_PROVIDER_REGISTER_DECLARE (helixdeviceprovider);

G_END_DECLS

#endif /* GST_HELIX_DEVICE_PROVIDER_H */

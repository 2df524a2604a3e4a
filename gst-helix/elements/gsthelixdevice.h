/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GST_HELIX_DEVICE_H
#define GST_HELIX_DEVICE_H

#include <gst/gst.h>

#include "helix-vm-peek.h"

G_BEGIN_DECLS

#define GST_TYPE_HELIX_DEVICE (gst_helix_device_get_type ())
G_DECLARE_FINAL_TYPE (
    GstHelixDevice, gst_helix_device, GST, HELIX_DEVICE, GstDevice)

/* One scanout of a VM, as it is now. Floating. */
GstDevice *gst_helix_device_new (const HelixVmPeek *vm, guint scanout);

G_END_DECLS

#endif /* GST_HELIX_DEVICE_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GST_HELIX_QEMU_SRC_H
#define GST_HELIX_QEMU_SRC_H

#include <gst/base/gstpushsrc.h>
#include <gst/gst.h>

G_BEGIN_DECLS

#define GST_TYPE_HELIX_QEMU_SRC (gst_helix_qemu_src_get_type ())
G_DECLARE_FINAL_TYPE (
    GstHelixQemuSrc, gst_helix_qemu_src, GST, HELIX_QEMU_SRC, GstPushSrc)

GST_ELEMENT_REGISTER_DECLARE (helixqemusrc);

G_END_DECLS

#endif /* GST_HELIX_QEMU_SRC_H */

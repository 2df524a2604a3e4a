/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gsthelixqemusrc.h"

#include <gst/video/video.h>

GST_DEBUG_CATEGORY_STATIC (gst_helix_qemu_src_debug);
#define GST_CAT_DEFAULT gst_helix_qemu_src_debug

struct _GstHelixQemuSrc {
  GstPushSrc parent;
};

G_DEFINE_TYPE (GstHelixQemuSrc, gst_helix_qemu_src, GST_TYPE_PUSH_SRC);
GST_ELEMENT_REGISTER_DEFINE (
    helixqemusrc, "helixqemusrc", GST_RANK_NONE, GST_TYPE_HELIX_QEMU_SRC);

static GstStaticPadTemplate src_template =
    GST_STATIC_PAD_TEMPLATE ("src", GST_PAD_SRC, GST_PAD_ALWAYS,
        GST_STATIC_CAPS (GST_VIDEO_CAPS_MAKE ("{ NV12, I420, BGRx, BGRA }")));

static void
gst_helix_qemu_src_class_init (GstHelixQemuSrcClass *klass)
{
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);

  gst_element_class_add_static_pad_template (element_class, &src_template);
  gst_element_class_set_static_metadata (element_class, "QEMU screen source",
      "Source/Video",
      "Receives the screen of a virtual machine from QEMU's helix shim",
      "The gst-helix developers");
  GST_DEBUG_CATEGORY_INIT (
      gst_helix_qemu_src_debug, "helixqemusrc", 0, "QEMU screen source");
}

static void
gst_helix_qemu_src_init (GstHelixQemuSrc *self)
{
  gst_base_src_set_live (GST_BASE_SRC (self), TRUE);
  gst_base_src_set_format (GST_BASE_SRC (self), GST_FORMAT_TIME);
}

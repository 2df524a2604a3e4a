/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-encoder-table.h"

#define BIT 1
#define KBIT 1000

/* Sources are files of GStreamer's repository, as of 1.22 to 1.28. The first
 * row that fits counts. */
static const HelixEncoderRow rows[] = {
    /* gst-plugins-bad sys/applemedia/vtenc.c: "in kbps". Before 1.26.1 the
     * setter calls VTSessionSetProperty from the caller's thread, "very prone
     * to deadlocking" (commit f7fe817c87); since then the next frame drains
     * the session and applies it. */
    {"vtenc_h26*", "bitrate", NULL, KBIT, NULL, HELIX_ENCODER_SINCE,
        {1, 26, 1}},
    /* gst-plugins-ugly ext/x264/gstx264enc.c: "in kbit/sec", mutable while
     * playing; VBV follows it (gst_x264_enc_reconfig). */
    {"x264enc", "bitrate", NULL, KBIT, NULL, HELIX_ENCODER_LIVE, {0}},
    /* gst-plugins-bad ext/x265/gstx265enc.c: likewise. */
    {"x265enc", "bitrate", NULL, KBIT, NULL, HELIX_ENCODER_LIVE, {0}},
    /* gst-plugins-bad ext/openh264/gstopenh264enc.cpp: "in bits per second",
     * mutable while playing. Above max-bitrate the library refuses it. */
    {"openh264enc", "bitrate", NULL, BIT, "max-bitrate", HELIX_ENCODER_LIVE,
        {0}},
    /* gst-plugins-bad sys/va/gstva*enc.c: "Bitrate (kbps)", mutable while
     * playing. Before the older gstreamer-vaapi, whose names it begins. */
    {"va*enc", "bitrate", NULL, KBIT, NULL, HELIX_ENCODER_LIVE, {0}},
    /* The same on hardware with a low-power entry point: vah264lpenc. They
     * end in "lpenc", so the glob above has them; several GPUs give
     * varenderD129h264enc, which it has as well. */

    /* gst-plugins-bad sys/nvcodec/gstnv*encoder.cpp, gstnvbaseenc.c: "in
     * kbit/sec (0 = automatic)", mutable while playing. */
    {"nv*enc", "bitrate", NULL, KBIT, "max-bitrate", HELIX_ENCODER_LIVE, {0}},
    /* gst-plugins-bad sys/amfcodec/gstamf*enc.cpp: "in kbit/sec (0: USAGE
     * default)", mutable while playing. */
    {"amf*enc", "bitrate", NULL, KBIT, "max-bitrate", HELIX_ENCODER_LIVE, {0}},
    /* gst-plugins-bad sys/qsv/gstqsv*enc.cpp: "in kbit/sec". */
    {"qsv*enc", "bitrate", NULL, KBIT, "max-bitrate", HELIX_ENCODER_LIVE, {0}},
    /* gst-plugins-bad sys/msdk/gstmsdkenc.c: "in kbit/sec", mutable while
     * playing. */
    {"msdk*enc", "bitrate", NULL, KBIT, "max-vbv-bitrate", HELIX_ENCODER_LIVE,
        {0}},
    /* gst-plugins-good sys/v4l2/gstv4l2videoenc.c: in bit/s, since 1.30; */
    {"v4l2*enc", "bitrate", NULL, BIT, NULL, HELIX_ENCODER_LIVE, {0}},
    /* before it the driver's control of that name, in bit/s
     * (V4L2_CID_MPEG_VIDEO_BITRATE), which gstv4l2object.c sets at once on an
     * open device. */
    {"v4l2*enc", "extra-controls", "video_bitrate", BIT, NULL,
        HELIX_ENCODER_LIVE, {0}},
    /* gst-plugins-good ext/vpx/gstvpxenc.c: "in bits/sec", applied at once. */
    {"vp8enc", "target-bitrate", NULL, BIT, NULL, HELIX_ENCODER_LIVE, {0}},
    {"vp9enc", "target-bitrate", NULL, BIT, NULL, HELIX_ENCODER_LIVE, {0}},
    /* gst-plugins-bad ext/aom/gstav1enc.c: "in kilobits per second", applied
     * at once. */
    {"av1enc", "target-bitrate", NULL, KBIT, NULL, HELIX_ENCODER_LIVE, {0}},
    /* gst-plugins-bad ext/svtav1/gstsvtav1enc.c: "in kbits/sec"; refused once
     * it runs. */
    {"svtav1enc", "target-bitrate", NULL, KBIT, NULL, HELIX_ENCODER_NEVER, {0}},
    /* gst-plugins-rs video/rav1e: in bit/s, mutable up to READY. */
    {"rav1enc", "bitrate", NULL, BIT, NULL, HELIX_ENCODER_NEVER, {0}},
};

const HelixEncoderRow *
helix_encoder_table_find (const gchar *factory, GObjectClass *klass)
{
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    if (g_pattern_match_simple (rows[i].factory, factory)
        && g_object_class_find_property (klass, rows[i].property) != NULL)
      return &rows[i];
  return NULL;
}

gboolean
helix_encoder_table_has (const gchar *factory)
{
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    if (g_pattern_match_simple (rows[i].factory, factory))
      return TRUE;
  return FALSE;
}

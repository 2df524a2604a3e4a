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
    {.factory = "vtenc_h26*",
        .low_latency = "realtime=true allow-frame-reordering=false",
        .property = "bitrate",
        .unit = KBIT,
        .change = HELIX_ENCODER_SINCE,
        .since = {1, 26, 1}},
    /* gst-plugins-ugly ext/x264/gstx264enc.c: "in kbit/sec", mutable while
     * playing; the VBV's rate follows it (gst_x264_enc_reconfig). With the
     * default VBV of 600 ms a rate that is more than tripled is 17 % short
     * after 3 s, with one of 200 ms 6 % (measured: x264 164, 320x240). */
    {.factory = "x264enc",
        .low_latency = "tune=zerolatency",
        .property = "bitrate",
        .unit = KBIT,
        .buffer = "vbv-buf-capacity",
        .buffer_most = 200},
    /* gst-plugins-bad ext/x265/gstx265enc.c: likewise. A VBV that was given in
     * option-string stays, and bounds it. */
    {.factory = "x265enc",
        .low_latency = "tune=zerolatency",
        .property = "bitrate",
        .unit = KBIT},
    /* gst-plugins-bad ext/openh264/gstopenh264enc.cpp: "in bits per second",
     * mutable while playing. Above max-bitrate the library refuses it. */
    {.factory = "openh264enc",
        .property = "bitrate",
        .unit = BIT,
        .ceiling = "max-bitrate"},
    /* gst-plugins-bad sys/va/gstva*enc.c: "Bitrate (kbps)", mutable while
     * playing: vah264enc, vah264lpenc, varenderD129h264enc. The vaapi*enc of
     * gstreamer-vaapi as well. */
    {.factory = "va*enc", .property = "bitrate", .unit = KBIT},
    /* gst-plugins-bad sys/nvcodec/gstnv*encoder.cpp, gstnvbaseenc.c: "in
     * kbit/sec (0 = automatic)", mutable while playing. */
    {.factory = "nv*enc",
        .low_latency = "zerolatency=true",
        .property = "bitrate",
        .unit = KBIT,
        .ceiling = "max-bitrate"},
    /* gst-plugins-bad sys/amfcodec/gstamf*enc.cpp: "in kbit/sec (0: USAGE
     * default)", mutable while playing. */
    {.factory = "amf*enc",
        .low_latency = "usage=ultra-low-latency",
        .property = "bitrate",
        .unit = KBIT,
        .ceiling = "max-bitrate"},
    /* gst-plugins-bad sys/qsv/gstqsv*enc.cpp: "in kbit/sec", applied with the
     * next frame. */
    {.factory = "qsv*enc",
        .low_latency = "low-latency=true",
        .property = "bitrate",
        .unit = KBIT,
        .ceiling = "max-bitrate"},
    /* gst-plugins-bad sys/msdk/gstmsdkenc.c: "in kbit/sec", mutable while
     * playing. */
    {.factory = "msdk*enc",
        .property = "bitrate",
        .unit = KBIT,
        .ceiling = "max-vbv-bitrate"},
    /* gst-plugins-good sys/v4l2/gstv4l2videoenc.c: in bit/s, since 1.30; */
    {.factory = "v4l2*enc", .property = "bitrate", .unit = BIT},
    /* before it the driver's control of that name, in bit/s
     * (V4L2_CID_MPEG_VIDEO_BITRATE), which gstv4l2object.c sets at once on an
     * open device. */
    {.factory = "v4l2*enc",
        .property = "extra-controls",
        .field = "video_bitrate",
        .unit = BIT},
    /* gst-plugins-good ext/vpx/gstvpxenc.c: "in bits/sec", applied at once. */
    {.factory = "vp8enc",
        .low_latency = "deadline=1 lag-in-frames=0",
        .property = "target-bitrate",
        .unit = BIT},
    {.factory = "vp9enc",
        .low_latency = "deadline=1 lag-in-frames=0",
        .property = "target-bitrate",
        .unit = BIT},
    /* gst-plugins-bad ext/aom/gstav1enc.c: "in kilobits per second", applied
     * at once. */
    {.factory = "av1enc", .property = "target-bitrate", .unit = KBIT},
    /* gst-plugins-bad ext/svtav1/gstsvtav1enc.c: "in kbits/sec"; refused once
     * it runs. */
    {.factory = "svtav1enc",
        .property = "target-bitrate",
        .unit = KBIT,
        .change = HELIX_ENCODER_NEVER},
    /* gst-plugins-rs video/rav1e: in bit/s, mutable up to READY. */
    {.factory = "rav1enc",
        .low_latency = "low-latency=true",
        .property = "bitrate",
        .unit = BIT,
        .change = HELIX_ENCODER_NEVER},
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

const gchar *
helix_encoder_table_low_latency (const gchar *factory)
{
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    if (g_pattern_match_simple (rows[i].factory, factory))
      return rows[i].low_latency;
  return NULL;
}

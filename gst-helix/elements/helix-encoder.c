/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-encoder.h"

#include <stdio.h>

#include <gst/video/video.h>

#include "helix-stream-common.h"

#define GST_CAT_DEFAULT helix_stream_debug

/* Pads on the way up; a chain that is longer has a loop in it. */
#define MAX_DEPTH 64

/* ---- how each encoder is told its bitrate ---- */

/* A version of GStreamer as a number, and the one that never comes. */
#define VERSION(major, minor, micro) \
  ((major) *1000000u + (minor) *1000u + (micro))
#define NEVER G_MAXUINT

typedef struct {
  const gchar *factory;  /* names of element factories, as a glob */
  const gchar *property; /* a number, or a GstStructure that holds `field` */
  const gchar *field;    /* NULL: the property is the number */
  guint unit;            /* bit/s that 1 means */
  /* A property of the same unit that the bitrate must not exceed; 0 there is
   * no limit. NULL, or not there: none. */
  const gchar *ceiling;
  /* A property that is lowered to `buffer_most` if it has its default, since
   * with that the rate follows too slowly. NULL: none. */
  const gchar *buffer;
  guint buffer_most;
  /* VERSION of its plugin from which on a change is safe while it plays; NEVER:
   * it takes none. */
  guint since;
  /* Properties, as gst-launch-1.0 takes them, with which it gives each picture
   * out at once. NULL: it does so by default. */
  const gchar *low_latency;
} Row;

#define BIT 1
#define KBIT 1000

/* Sources are files of GStreamer's repository, as of 1.22 to 1.28. The first
 * row that fits counts. */
static const Row rows[] = {
    /* gst-plugins-bad sys/applemedia/vtenc.c: "in kbps". Before 1.26.1 the
     * setter calls VTSessionSetProperty from the caller's thread, "very prone
     * to deadlocking" (commit f7fe817c87); since then the next frame drains
     * the session and applies it. */
    {.factory = "vtenc_h26*",
        .low_latency = "realtime=true allow-frame-reordering=false",
        .property = "bitrate",
        .unit = KBIT,
        .since = VERSION (1, 26, 1)},
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
        .since = NEVER},
    /* gst-plugins-rs video/rav1e: in bit/s, mutable up to READY. */
    {.factory = "rav1enc",
        .low_latency = "low-latency=true",
        .property = "bitrate",
        .unit = BIT,
        .since = NEVER},
};

/* The first row of that factory. With `klass`: whose property this class has,
 * for elements that gained another in some version. NULL: there is none. */
static const Row *
find_row (const gchar *factory, GObjectClass *klass)
{
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    if (g_pattern_match_simple (rows[i].factory, factory)
        && (klass == NULL
            || g_object_class_find_property (klass, rows[i].property) != NULL))
      return &rows[i];
  return NULL;
}

const gchar *
helix_encoder_low_latency (const gchar *factory)
{
  const Row *row = find_row (factory, NULL);

  return row != NULL ? row->low_latency : NULL;
}

/* ---- finding it ---- */

static GstElement *search (GstPad *sink_pad, guint depth);

static const gchar *
factory_of (GstElement *element)
{
  GstElementFactory *factory = gst_element_get_factory (element);

  return factory != NULL ? GST_OBJECT_NAME (factory) : "";
}

typedef struct {
  guint depth;
  GstElement *found;
} Search;

/* GstIteratorFoldFunction. */
static gboolean
search_pad (const GValue *pad, GValue *unused, gpointer data)
{
  Search *self = data;

  self->found = search (g_value_get_object (pad), self->depth);
  return self->found == NULL;
}

/* Everything that feeds a source pad from inside of its element. The ghost pads
 * of a bin answer with the pads behind them, so bins need no care. */
static GstElement *
search_behind (GstPad *src_pad, guint depth)
{
  GstIterator *pads = gst_pad_iterate_internal_links (src_pad);
  Search self = {depth, NULL};

  if (pads == NULL)
    return NULL;
  while (
      gst_iterator_fold (pads, search_pad, NULL, &self) == GST_ITERATOR_RESYNC)
    gst_iterator_resync (pads);
  gst_iterator_free (pads);
  return self.found;
}

static GstElement *
search (GstPad *sink_pad, guint depth)
{
  GstPad *peer = gst_pad_get_peer (sink_pad);
  GstObject *parent = NULL;
  GstElement *found = NULL;

  if (peer == NULL)
    return NULL;
  /* The parent of a ghost pad's other half is the ghost pad. */
  parent = gst_object_get_parent (GST_OBJECT (peer));
  if (parent != NULL && GST_IS_ELEMENT (parent)
      && (GST_IS_VIDEO_ENCODER (parent)
          || find_row (factory_of (GST_ELEMENT (parent)), NULL) != NULL))
    found = GST_ELEMENT (gst_object_ref (parent));
  else if (depth > 0)
    found = search_behind (peer, depth - 1);
  gst_clear_object (&parent);
  gst_object_unref (peer);
  return found;
}

GstElement *
helix_encoder_find (GstPad *sink_pad)
{
  return search (sink_pad, MAX_DEPTH);
}

/* ---- setting it ---- */

/* The number behind a property of any integer type; 0 if it has none. */
static guint64
get_number (GstElement *encoder, const gchar *property, const gchar *field)
{
  g_auto (GValue) value = G_VALUE_INIT;
  g_autoptr (GstStructure) all = NULL;
  gint in_field = 0;

  if (field == NULL) {
    g_value_init (&value, G_TYPE_UINT64);
    g_object_get_property (G_OBJECT (encoder), property, &value);
    return g_value_get_uint64 (&value);
  }
  g_object_get (encoder, property, &all, NULL);
  if (all != NULL)
    gst_structure_get_int (all, field, &in_field);
  return (guint64) MAX (in_field, 0);
}

static void
set_number (GstElement *encoder, const Row *row, guint64 number)
{
  GValue value = G_VALUE_INIT;

  if (row->field == NULL) {
    g_value_init (&value, G_TYPE_UINT64);
    g_value_set_uint64 (&value, number);
  } else {
    GstStructure *all = NULL;

    /* All else that the application set in there stays. */
    g_object_get (encoder, row->property, &all, NULL);
    if (all == NULL)
      all = gst_structure_new_empty ("controls");
    gst_structure_set (all, row->field, G_TYPE_INT, (gint) number, NULL);
    g_value_init (&value, GST_TYPE_STRUCTURE);
    g_value_take_boxed (&value, all);
  }
  /* Transforms the number into the property's own type. */
  g_object_set_property (G_OBJECT (encoder), row->property, &value);
  g_value_unset (&value);
}

/* VERSION of the plugin that has the element; of GStreamer for an element that
 * an application made. */
static guint
version_of (GstElement *encoder)
{
  GstElementFactory *factory = gst_element_get_factory (encoder);
  GstPlugin *plugin = factory != NULL
      ? gst_plugin_feature_get_plugin (GST_PLUGIN_FEATURE (factory))
      : NULL;
  guint is[4] = {0};

  if (plugin == NULL
      || sscanf (gst_plugin_get_version (plugin), "%u.%u.%u", &is[0], &is[1],
             &is[2])
          != 3)
    gst_version (&is[0], &is[1], &is[2], &is[3]);
  gst_clear_object (&plugin);
  return VERSION (is[0], is[1], is[2]);
}

static gboolean
bears_change (GstElement *encoder, const Row *row, gchar **why)
{
  if (row->since == NEVER)
    *why = g_strdup_printf ("%s keeps its bitrate: %s takes one only before it "
                            "starts. Use another encoder.",
        GST_OBJECT_NAME (encoder), factory_of (encoder));
  else if (version_of (encoder) < row->since)
    *why = g_strdup_printf (
        "%s keeps its bitrate: before GStreamer %u.%u.%u a change while it "
        "plays may hang it for ever. Update GStreamer.",
        GST_OBJECT_NAME (encoder), row->since / 1000000,
        row->since / 1000 % 1000, row->since % 1000);
  return *why == NULL;
}

/* `number` within what the property allows; 0 is "automatic" wherever it is
 * allowed. A property that is no number holds V4L2 controls, which are gint. */
static guint64
clamp (GParamSpec *pspec, guint64 number)
{
  g_auto (GValue) value = G_VALUE_INIT, wide = G_VALUE_INIT;

  number = MAX (number, 1);
  if (!G_IS_PARAM_SPEC_UINT (pspec) && !G_IS_PARAM_SPEC_UINT64 (pspec))
    number = MIN (number, G_MAXINT);
  g_value_init (&wide, G_TYPE_UINT64);
  g_value_set_uint64 (&wide, number);
  g_value_init (&value, pspec->value_type);
  if (!g_value_transform (&wide, &value))
    return number;
  g_param_value_validate (pspec, &value);
  g_value_transform (&value, &wide);
  return g_value_get_uint64 (&wide);
}

/* The bitrate in the property's unit, within what the property and the ceiling
 * that the application chose allow. */
static guint64
bound (GstElement *encoder, const Row *row, GParamSpec *pspec, guint32 bitrate,
    gchar **why)
{
  guint64 wanted = ((guint64) bitrate + row->unit / 2) / row->unit;
  guint64 number = clamp (pspec, wanted), ceiling = 0;
  const gchar *bounded_by = row->property;

  if (row->ceiling != NULL
      && g_object_class_find_property (
          G_OBJECT_GET_CLASS (encoder), row->ceiling))
    ceiling = get_number (encoder, row->ceiling, NULL);
  if (ceiling > 0 && ceiling < number) {
    number = clamp (pspec, ceiling);
    bounded_by = row->ceiling;
  }
  if (number != wanted)
    *why = g_strdup_printf (
        "%s gets %" G_GUINT64_FORMAT " bit/s where a guest wants %u: that is "
        "the %s its %s allows. Ask for less, or change that property.",
        GST_OBJECT_NAME (encoder), number * row->unit, bitrate,
        number > wanted ? "least" : "most", bounded_by);
  return number;
}

/* What an application set itself stays. */
static void
tighten (GstElement *encoder, const Row *row)
{
  GParamSpec *pspec = row->buffer != NULL
      ? g_object_class_find_property (G_OBJECT_GET_CLASS (encoder), row->buffer)
      : NULL;
  GValue value = G_VALUE_INIT;

  if (pspec == NULL)
    return;
  g_object_get_property (G_OBJECT (encoder), row->buffer, &value);
  if (g_param_value_defaults (pspec, &value)
      && get_number (encoder, row->buffer, NULL) > row->buffer_most) {
    GST_INFO_OBJECT (encoder, "%s=%u", row->buffer, row->buffer_most);
    g_object_set (encoder, row->buffer, row->buffer_most, NULL);
  }
  g_value_unset (&value);
}

HelixEncoderResult
helix_encoder_set_bitrate (GstElement *encoder, guint32 bitrate, gchar **why)
{
  const Row *row;
  GParamSpec *pspec;
  guint64 number, reads;

  *why = NULL;
  if (encoder == NULL) {
    *why = g_strdup (
        "A guest wants another bitrate, but nothing upstream is an encoder. "
        "Put one there, or set control-encoder=false.");
    return HELIX_ENCODER_MISSING;
  }
  row = find_row (factory_of (encoder), G_OBJECT_GET_CLASS (encoder));
  if (row == NULL) {
    *why = g_strdup_printf (
        "A guest wants another bitrate, but how %s (%s) is told one is not "
        "known. Set control-encoder=false and handle the signal client-control "
        "in the application, or use another encoder.",
        GST_OBJECT_NAME (encoder), factory_of (encoder));
    return HELIX_ENCODER_UNKNOWN;
  }
  if (!bears_change (encoder, row, why))
    return HELIX_ENCODER_FIXED;
  pspec = g_object_class_find_property (
      G_OBJECT_GET_CLASS (encoder), row->property);
  number = bound (encoder, row, pspec, bitrate, why);
  tighten (encoder, row);
  set_number (encoder, row, number);
  reads = get_number (encoder, row->property, row->field);
  GST_INFO_OBJECT (encoder,
      "%u bit/s: %s=%" G_GUINT64_FORMAT ", reads %" G_GUINT64_FORMAT, bitrate,
      row->field != NULL ? row->field : row->property, number, reads);
  /* vpx keeps whole kbit/s, in whatever unit it was told. */
  if ((MAX (reads, number) - MIN (reads, number)) * row->unit >= 1000) {
    g_free (*why);
    *why = g_strdup_printf (
        "%s did not take %" G_GUINT64_FORMAT " for its %s: that is still "
        "%" G_GUINT64_FORMAT ". GST_DEBUG=%s:5 may say why.",
        GST_OBJECT_NAME (encoder), number, row->property, reads,
        factory_of (encoder));
    return HELIX_ENCODER_STUBBORN;
  }
  return *why != NULL ? HELIX_ENCODER_BOUNDED : HELIX_ENCODER_DONE;
}

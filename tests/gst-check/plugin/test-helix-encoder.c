/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/check/gstcheck.h>
#include <string.h>

#include "helix-encoder.h"
#include "stream-pipeline.h"

/* ---- a stand-in for encoders that only other machines have ---- */

typedef struct {
  GstElement parent;
  guint bitrate, max_bitrate;
  gboolean deaf; /* takes no value */
  GstStructure *extra_controls;
} StandIn;

typedef struct {
  GstElementClass parent;
} StandInClass;

enum { PROP_0, PROP_BITRATE, PROP_MAX_BITRATE, PROP_EXTRA_CONTROLS };

GType stand_in_get_type (void);
G_DEFINE_TYPE (StandIn, stand_in, GST_TYPE_ELEMENT)

/* Those that have no property `bitrate`. */
typedef StandIn V4l2;
typedef StandInClass V4l2Class;
GType v4l2_get_type (void);
G_DEFINE_TYPE (V4l2, v4l2, GST_TYPE_ELEMENT)

static void
set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  StandIn *self = (StandIn *) object;

  switch (id) {
    case PROP_BITRATE:
      if (!self->deaf)
        self->bitrate = g_value_get_uint (value);
      break;
    case PROP_MAX_BITRATE:
      self->max_bitrate = g_value_get_uint (value);
      break;
    default:
      g_clear_pointer (&self->extra_controls, gst_structure_free);
      self->extra_controls = g_value_dup_boxed (value);
      break;
  }
}

static void
get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  StandIn *self = (StandIn *) object;

  switch (id) {
    case PROP_BITRATE:
      g_value_set_uint (value, self->bitrate);
      break;
    case PROP_MAX_BITRATE:
      g_value_set_uint (value, self->max_bitrate);
      break;
    default:
      g_value_set_boxed (value, self->extra_controls);
      break;
  }
}

static void
finalize (GObject *object)
{
  g_clear_pointer (&((StandIn *) object)->extra_controls, gst_structure_free);
  G_OBJECT_CLASS (g_type_class_peek (GST_TYPE_ELEMENT))->finalize (object);
}

static void
class_init (GstElementClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->set_property = set_property;
  object_class->get_property = get_property;
  object_class->finalize = finalize;
  gst_element_class_set_static_metadata (klass, "Stand-in",
      "Codec/Encoder/Video", "Has an encoder's properties",
      "The gst-helix developers");
}

static void
stand_in_class_init (StandInClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  class_init (GST_ELEMENT_CLASS (klass));
  g_object_class_install_property (object_class, PROP_BITRATE,
      g_param_spec_uint ("bitrate", "", "", 0, 2000, 0, G_PARAM_READWRITE));
  g_object_class_install_property (object_class, PROP_MAX_BITRATE,
      g_param_spec_uint ("max-bitrate", "", "", 0, 2000, 0, G_PARAM_READWRITE));
}

static void
v4l2_class_init (V4l2Class *klass)
{
  class_init (GST_ELEMENT_CLASS (klass));
  g_object_class_install_property (G_OBJECT_CLASS (klass), PROP_EXTRA_CONTROLS,
      g_param_spec_boxed (
          "extra-controls", "", "", GST_TYPE_STRUCTURE, G_PARAM_READWRITE));
}

static void
add_pads (StandIn *self)
{
  gst_element_add_pad (GST_ELEMENT (self), gst_pad_new ("sink", GST_PAD_SINK));
  gst_element_add_pad (GST_ELEMENT (self), gst_pad_new ("src", GST_PAD_SRC));
}

static void
stand_in_init (StandIn *self)
{
  add_pads (self);
}

static void
v4l2_init (V4l2 *self)
{
  add_pads (self);
}

static void
register_as (const gchar *name, GType type)
{
  fail_unless (gst_element_register (NULL, name, GST_RANK_NONE, type));
}

/* A stand-in named like a factory. */
static StandIn *
stand_in_new (const gchar *factory)
{
  StandIn *self = (StandIn *) gst_element_factory_make (factory, "enc");

  fail_unless (self != NULL);
  return gst_object_ref_sink (self);
}

static void
check (
    StandIn *self, guint32 bitrate, HelixEncoderResult wanted, const gchar *say)
{
  g_autofree gchar *why = NULL;

  fail_unless_equals_int (
      helix_encoder_set_bitrate (GST_ELEMENT (self), bitrate, &why), wanted);
  if (say == NULL)
    fail_unless (why == NULL, "%s", why);
  else
    fail_unless (why != NULL && strstr (why, say) != NULL, "%s", why);
}

/* ---- the bitrate ---- */

GST_START_TEST (test_units)
{
  StandIn *encoder;

  register_as ("nvh264enc", stand_in_get_type ());
  encoder = stand_in_new ("nvh264enc");
  check (encoder, 1500000, HELIX_ENCODER_DONE, NULL);
  fail_unless_equals_int (encoder->bitrate, 1500);
  check (encoder, 1499600, HELIX_ENCODER_DONE, NULL);
  fail_unless_equals_int (encoder->bitrate, 1500);
  gst_object_unref (encoder);
}
GST_END_TEST;

/* The property's range, and what the application allows at most. */
GST_START_TEST (test_bounds)
{
  StandIn *encoder;

  register_as ("nvh265enc", stand_in_get_type ());
  encoder = stand_in_new ("nvh265enc");
  check (encoder, 3000000, HELIX_ENCODER_BOUNDED, "its bitrate allows");
  fail_unless_equals_int (encoder->bitrate, 2000);
  check (encoder, G_MAXUINT32, HELIX_ENCODER_BOUNDED, "the most");
  /* 0 would mean something else. */
  check (encoder, 1, HELIX_ENCODER_BOUNDED, "the least");
  fail_unless_equals_int (encoder->bitrate, 1);
  encoder->max_bitrate = 800;
  check (encoder, 900000, HELIX_ENCODER_BOUNDED, "its max-bitrate allows");
  fail_unless_equals_int (encoder->bitrate, 800);
  check (encoder, 700000, HELIX_ENCODER_DONE, NULL);
  gst_object_unref (encoder);
}
GST_END_TEST;

/* vtenc before 1.26.1 is left alone. */
GST_START_TEST (test_version)
{
  guint major, minor, micro, nano;
  gboolean bears;
  StandIn *encoder;

  register_as ("vtenc_h264", stand_in_get_type ());
  encoder = stand_in_new ("vtenc_h264");
  gst_version (&major, &minor, &micro, &nano);
  bears = minor > 26 || (minor == 26 && micro >= 1);
  check (encoder, 500000, bears ? HELIX_ENCODER_DONE : HELIX_ENCODER_FIXED,
      bears ? NULL : "before GStreamer 1.26.1");
  fail_unless_equals_int (encoder->bitrate, bears ? 500 : 0);
  gst_object_unref (encoder);
}
GST_END_TEST;

GST_START_TEST (test_never)
{
  StandIn *encoder;

  register_as ("rav1enc", stand_in_get_type ());
  encoder = stand_in_new ("rav1enc");
  check (encoder, 500, HELIX_ENCODER_FIXED, "only before it starts");
  fail_unless_equals_int (encoder->bitrate, 0);
  gst_object_unref (encoder);
}
GST_END_TEST;

GST_START_TEST (test_deaf)
{
  StandIn *encoder;

  register_as ("amfh264enc", stand_in_get_type ());
  encoder = stand_in_new ("amfh264enc");
  encoder->deaf = TRUE;
  check (encoder, 500000, HELIX_ENCODER_STUBBORN, "did not take 500");
  gst_object_unref (encoder);
}
GST_END_TEST;

/* A control of the driver, beside those of the application. */
GST_START_TEST (test_extra_controls)
{
  StandIn *encoder;
  gint value = 0;

  register_as ("v4l2h264enc", v4l2_get_type ());
  encoder = stand_in_new ("v4l2h264enc");
  check (encoder, 500000, HELIX_ENCODER_DONE, NULL);
  gst_structure_set (
      encoder->extra_controls, "repeat_sequence_header", G_TYPE_INT, 1, NULL);
  check (encoder, 600000, HELIX_ENCODER_DONE, NULL);
  gst_structure_get_int (encoder->extra_controls, "video_bitrate", &value);
  fail_unless_equals_int (value, 600000);
  fail_unless (gst_structure_get_int (
      encoder->extra_controls, "repeat_sequence_header", &value));
  gst_object_unref (encoder);
}
GST_END_TEST;

GST_START_TEST (test_unknown)
{
  StandIn *encoder;

  check (NULL, 500000, HELIX_ENCODER_MISSING, "nothing upstream");
  register_as ("dreamenc", stand_in_get_type ());
  encoder = stand_in_new ("dreamenc");
  check (encoder, 500000, HELIX_ENCODER_UNKNOWN, "dreamenc");
  gst_object_unref (encoder);
  /* The name fits, but there is no such property. */
  register_as ("x265enc", v4l2_get_type ());
  encoder = stand_in_new ("x265enc");
  check (encoder, 500000, HELIX_ENCODER_UNKNOWN, "x265enc");
  gst_object_unref (encoder);
}
GST_END_TEST;

/* ---- the way up ---- */

/* Looks from the sink named `out` and expects an encoder named `enc`. */
static void
check_found (const gchar *line, gboolean found)
{
  GstElement *pipeline = pipeline_launch ("%s", line);
  GstElement *sink = gst_bin_get_by_name (GST_BIN (pipeline), "out");
  GstPad *pad = gst_element_get_static_pad (sink, "sink");
  GstElement *encoder = helix_encoder_find (pad);

  fail_unless_equals_int (encoder != NULL, found);
  if (found)
    fail_unless_equals_string (GST_OBJECT_NAME (encoder), "enc");
  gst_clear_object (&encoder);
  gst_object_unref (pad);
  gst_object_unref (sink);
  gst_object_unref (pipeline);
}

GST_START_TEST (test_find)
{
  register_as ("vah264enc", stand_in_get_type ());
  check_found ("vah264enc name=enc ! fakesink name=out", TRUE);
  check_found ("vah264enc ! vah264enc name=enc ! queue ! capsfilter ! identity "
               "! tee ! queue ! fakesink name=out",
      TRUE);
  check_found ("vah264enc name=enc ! tee name=t ! queue ! fakesink "
               "t. ! queue ! fakesink name=out",
      TRUE);
  check_found ("funnel name=f ! fakesink name=out "
               "fakesrc ! f. vah264enc name=enc ! f.",
      TRUE);
  /* Through the walls of bins, inwards and outwards, one in another. */
  check_found ("( ( identity ! vah264enc name=enc ! identity ) ) "
               "! ( queue ! fakesink name=out )",
      TRUE);
  check_found ("fakesrc ! queue ! fakesink name=out", FALSE);
  check_found ("fakesink name=out fakesink", FALSE);
}
GST_END_TEST;

/* ---- what is installed here ---- */

/* The elements of which this machine has the plugin take 1 Mbit/s in their own
 * property and unit. That the unit is right no program can check. */
GST_START_TEST (test_real_elements)
{
  static const struct {
    const gchar *factory, *property;
    guint unit;
  } cases[] = {
      {"x264enc", "bitrate", 1000},
      {"x265enc", "bitrate", 1000},
      {"openh264enc", "bitrate", 1},
      {"vp8enc", "target-bitrate", 1},
      {"vp9enc", "target-bitrate", 1},
      {"av1enc", "target-bitrate", 1000},
      {"vah264enc", "bitrate", 1000},
      {"vah264lpenc", "bitrate", 1000},
      {"nvh264enc", "bitrate", 1000},
      {"qsvh264enc", "bitrate", 1000},
      {"amfh264enc", "bitrate", 1000},
      {"msdkh264enc", "bitrate", 1000},
      {"vaapih264enc", "bitrate", 1000},
  };
  guint seen = 0;

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    GstElement *encoder = gst_element_factory_make (cases[i].factory, NULL);
    GValue value = G_VALUE_INIT;
    g_autofree gchar *why = NULL, *text = NULL;

    if (encoder == NULL)
      continue;
    seen++;
    fail_unless_equals_int (
        helix_encoder_set_bitrate (encoder, 1000000, &why), HELIX_ENCODER_DONE);
    g_object_get_property (G_OBJECT (encoder), cases[i].property, &value);
    text = gst_value_serialize (&value);
    fail_unless_equals_uint64 (
        g_ascii_strtoull (text, NULL, 10), 1000000 / cases[i].unit);
    g_value_unset (&value);
    gst_object_unref (encoder);
  }
  /* script/bootstrap installs one of them. */
  fail_unless (seen > 0);
}
GST_END_TEST;

/* What users are told to set can be set, on what is installed here. */
GST_START_TEST (test_low_latency)
{
  static const gchar *const factories[] = {"vtenc_h264", "x264enc", "x265enc",
      "openh264enc", "vah264enc", "nvh264enc", "qsvh264enc", "amfh264enc",
      "vp8enc", "vp9enc", "rav1enc"};
  guint seen = 0;

  for (guint i = 0; i < G_N_ELEMENTS (factories); i++) {
    GstElementFactory *factory = gst_element_factory_find (factories[i]);
    const gchar *setting = helix_encoder_low_latency (factories[i]);
    g_autofree gchar *line = g_strconcat (factories[i], " ", setting, NULL);
    GError *error = NULL;
    GstElement *encoder;

    if (factory == NULL || setting == NULL) {
      gst_clear_object (&factory);
      continue;
    }
    gst_object_unref (factory);
    encoder = gst_parse_launch (line, &error);
    fail_unless (
        error == NULL, "%s: %s", line, error != NULL ? error->message : "");
    gst_object_unref (encoder);
    seen++;
  }
  fail_unless (seen > 0);
  fail_unless (helix_encoder_low_latency ("jpegenc") == NULL);
}
GST_END_TEST;

static Suite *
helix_encoder_suite (void)
{
  Suite *s = suite_create ("helix-encoder");
  TCase *tc = tcase_create ("encoder");

  suite_add_tcase (s, tc);
  tcase_add_test (tc, test_units);
  tcase_add_test (tc, test_bounds);
  tcase_add_test (tc, test_version);
  tcase_add_test (tc, test_never);
  tcase_add_test (tc, test_deaf);
  tcase_add_test (tc, test_extra_controls);
  tcase_add_test (tc, test_unknown);
  tcase_add_test (tc, test_find);
  tcase_add_test (tc, test_real_elements);
  tcase_add_test (tc, test_low_latency);
  return s;
}

GST_CHECK_MAIN (helix_encoder);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The lines that users type, as they are written in the README: nothing
 * between the elements, no caps, no properties. Where the lines' defaults
 * lead is set by the environment.
 */
#include <gst/check/gstcheck.h>

#include "sim-child.h"
#include "stream-fixture.h"
#include "stream-pipeline.h"

/* ---- a stand-in for vtenc_h264 ----
 *
 * Its pad templates are those of GStreamer 1.22's on macOS
 * (sys/applemedia/vtenc.c); x264enc is inside. What it takes must be enough
 * for helixqemusrc, and the avc that it gives for helixguestsink. */

#define VTENC_SINK \
  "video/x-raw, format = { AYUV64, UYVY, NV12, I420, ARGB64_BE, RGBA64_LE }, " \
  "width = [ 1, 2147483647 ], height = [ 1, 2147483647 ], " \
  "framerate = [ 0/1, 2147483647/1 ]"
#define VTENC_SRC "video/x-h264, stream-format = avc, alignment = au"

typedef struct {
  GstBin parent;
} StandIn;

typedef struct {
  GstBinClass parent;
} StandInClass;

GType stand_in_get_type (void);
G_DEFINE_TYPE (StandIn, stand_in, GST_TYPE_BIN)

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE (
    "sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS (VTENC_SINK));
static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE (
    "src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS (VTENC_SRC));

static void
stand_in_class_init (StandInClass *klass)
{
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);

  gst_element_class_add_static_pad_template (element_class, &sink_template);
  gst_element_class_add_static_pad_template (element_class, &src_template);
  gst_element_class_set_static_metadata (element_class, "vtenc_h264 stand-in",
      "Codec/Encoder/Video", "Has vtenc_h264's caps", "gst-helix's tests");
}

static void
ghost (GstBin *bin, GstElement *element, const gchar *name)
{
  GstPadTemplate *template = gst_element_class_get_pad_template (
      GST_ELEMENT_GET_CLASS (GST_ELEMENT (bin)), name);
  GstPad *target = gst_element_get_static_pad (element, name);

  gst_element_add_pad (GST_ELEMENT (bin),
      gst_ghost_pad_new_from_template (name, target, template));
  gst_object_unref (target);
}

static GstElement *
filter (GstBin *bin, const gchar *description)
{
  GstElement *element = gst_element_factory_make ("capsfilter", NULL);
  GstCaps *caps = gst_caps_from_string (description);

  g_object_set (element, "caps", caps, NULL);
  gst_caps_unref (caps);
  gst_bin_add (bin, element);
  return element;
}

static void
stand_in_init (StandIn *self)
{
  GstBin *bin = GST_BIN (self);
  GstElement *in = filter (bin, VTENC_SINK), *out = filter (bin, VTENC_SRC);
  GstElement *encoder = gst_element_factory_make ("x264enc", NULL);

  fail_unless (encoder != NULL, "no x264enc (gstreamer1.0-plugins-ugly)");
  gst_util_set_object_arg (G_OBJECT (encoder), "tune", "zerolatency");
  gst_bin_add (bin, encoder);
  fail_unless (gst_element_link_many (in, encoder, out, NULL));
  ghost (bin, in, "sink");
  ghost (bin, out, "src");
}

/* ---- the lines ---- */

static gchar *socket_path;

static void
setup (void)
{
  socket_path = g_build_filename (folder, "helix.sock", NULL);
  g_setenv ("HELIX_SOCKET", socket_path, TRUE);
  g_setenv ("HELIX_ADDRESS", address, TRUE);
  gst_element_register (
      NULL, "vtenc_h264", GST_RANK_NONE, stand_in_get_type ());
}

static void
teardown (void)
{
  GDir *dir = g_dir_open (folder, 0, NULL);

  fail_unless (g_dir_read_name (dir) == NULL, "something was left behind");
  g_dir_close (dir);
  g_unsetenv ("HELIX_SOCKET");
  g_unsetenv ("HELIX_ADDRESS");
  g_free (socket_path);
}

static const gchar *const encoders[] = {"x264enc", "openh264enc", "vtenc_h264"};

/* `helixqemusrc ! ENCODER ! helixguestsink` into `helixsrc ! h264parse !
 * appsink`: what arrives are decodable pictures of the sim's screen. */
GST_START_TEST (test_lines)
{
  gchar *line =
      g_strdup_printf ("helixqemusrc ! %s ! helixguestsink", encoders[__i__]);
  SimChild *sim = sim_child_new (socket_path, "--size=640x96 --rate=30");
  GstElement *host = pipeline_play (pipeline_launch ("%s", line));
  GstElement *guest = pipeline_play (
      pipeline_launch ("helixsrc ! h264parse ! avdec_h264 ! "
                       "videoconvert ! video/x-raw,format=GRAY8 ! "
                       "appsink name=out sync=false"));
  guint32 number, last = 0;

  for (guint i = 0; i < 30; i++) {
    GstSample *sample = pipeline_pull (guest);

    fail_unless (sample_marker (sample, &number),
        "%s: picture %u has no marker", line, i);
    fail_unless (number >= last, "%s: %u came after %u", line, number, last);
    last = number;
    gst_sample_unref (sample);
  }
  pipeline_end (guest);
  pipeline_end (host);
  sim_child_end (sim);
  g_free (line);
}
GST_END_TEST;

static Suite *
literal_lines_suite (void)
{
  TCase *tc;
  Suite *suite = stream_suite ("literal-lines", 120, &tc);

  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_add_loop_test (tc, test_lines, 0, G_N_ELEMENTS (encoders));
  return suite;
}

GST_CHECK_MAIN (literal_lines);

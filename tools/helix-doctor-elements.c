/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What GStreamer has on this machine: our elements, encoders, a decoder that
 * makes pictures of what came.
 */
#include <gst/app/gstappsrc.h>
#include <gst/gst.h>
#include <string.h>

#include "helix-doctor-guest.h"
#include "helix-platform.h"
#include "helix-stream-caps.h"

/* Decoders that are tried before it is said that none can: the best may be
 * for a GPU that is not there. */
#define MAX_DECODERS 4

/* ---- elements ---- */

static void
check_plugin (const HelixDoctor *self, HelixReport *report)
{
  const gchar *const host[] = {"helixqemusrc", "helixguestsink", NULL};
  const gchar *const guest[] = {"helixsrc", NULL};
  const gchar *const *names = self->side == HELIX_HOST ? host : guest;
  g_autofree gchar *all = g_strjoinv (" and ", (gchar **) names);
  const gchar *path = g_getenv ("GST_PLUGIN_PATH");
  HelixFinding *f;

  for (guint i = 0; names[i] != NULL; i++) {
    GstElementFactory *factory = gst_element_factory_find (names[i]);

    if (factory != NULL) {
      gst_object_unref (factory);
      continue;
    }
    f = helix_report_add (report, HELIX_CHECK_PLUGIN, HELIX_VERDICT_FAIL,
        "GStreamer does not find %s", names[i]);
    helix_finding_because (f,
        "its plugin, libgsthelix, is not where it looks, or does not load "
        "(GST_PLUGIN_PATH is %s)",
        path != NULL ? path : "not set");
    helix_finding_remedy (f,
        "Set GST_PLUGIN_PATH to the folder that has it; gst-inspect-1.0 helix "
        "tells why it does not load");
    return;
  }
  helix_report_add (report, HELIX_CHECK_PLUGIN, HELIX_VERDICT_OK,
      "GStreamer %u.%u finds %s", GST_VERSION_MAJOR, GST_VERSION_MINOR, all);
}

/* Names of the encoders whose output intersects with `caps`, best first. */
static GPtrArray *
encoders_for (const gchar *description)
{
  GPtrArray *names = g_ptr_array_new_with_free_func (g_free);
  GstCaps *caps = gst_caps_from_string (description);
  GList *all = gst_element_factory_list_get_elements (
      GST_ELEMENT_FACTORY_TYPE_VIDEO_ENCODER, GST_RANK_NONE);
  GList *list = gst_element_factory_list_filter (all, caps, GST_PAD_SRC, FALSE);

  for (GList *l = list; l != NULL; l = l->next)
    g_ptr_array_add (names, g_strdup (GST_OBJECT_NAME (l->data)));
  gst_plugin_feature_list_free (list);
  gst_plugin_feature_list_free (all);
  gst_caps_unref (caps);
  return names;
}

static gchar *
joined (const GPtrArray *names)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < names->len; i++)
    g_string_append_printf (text, "%s%s", i ? ", " : "",
        (const gchar *) g_ptr_array_index (names, i));
  return g_string_free (text, FALSE);
}

static void
check_encoder (HelixReport *report)
{
  g_autoptr (GPtrArray) h264 = encoders_for ("video/x-h264");
  g_autoptr (GPtrArray) any = encoders_for (HELIX_STREAM_SRC_CAPS);
  g_autofree gchar *words = joined (h264->len > 0 ? h264 : any);
  HelixFinding *f;

  if (h264->len > 0) {
    f = helix_report_add (
        report, HELIX_CHECK_ENCODER, HELIX_VERDICT_OK, "for H.264: %s", words);
  } else if (any->len > 0) {
    f = helix_report_add (report, HELIX_CHECK_ENCODER, HELIX_VERDICT_NOTE,
        "no H.264 encoder, but %s", words);
    helix_finding_because (
        f, "guests that want H.264 (browsers) get nothing from these");
    helix_finding_remedy (f,
        "Install one: gstreamer1.0-plugins-ugly has x264enc, "
        "gstreamer1.0-plugins-bad openh264enc and those of GPUs");
  } else {
    f = helix_report_add (report, HELIX_CHECK_ENCODER, HELIX_VERDICT_FAIL,
        "no encoder that helixguestsink could serve from");
    helix_finding_because (
        f, "GStreamer knows none for H.264, H.265, AV1, VP8, VP9 or JPEG");
    helix_finding_remedy (f,
        "Install one: gstreamer1.0-plugins-ugly has x264enc, "
        "gstreamer1.0-plugins-bad openh264enc and those of GPUs; on a Mac "
        "gst-plugins-bad has vtenc_h264");
  }
  helix_json_array (f->facts, "encoders");
  for (guint i = 0; i < any->len; i++)
    helix_json_text (f->facts, NULL, g_ptr_array_index (any, i));
  json_builder_end_array (f->facts);
}

void
helix_doctor_elements (const HelixDoctor *self, HelixReport *report)
{
  g_autoptr (GError) error = NULL;
  HelixFinding *f;

  if (!gst_init_check (NULL, NULL, &error)) {
    f = helix_report_add (report, HELIX_CHECK_PLUGIN, HELIX_VERDICT_FAIL,
        "GStreamer does not start");
    helix_finding_because (f, "%s", error->message);
    helix_finding_remedy (f, "Repair its installation");
    return;
  }
  check_plugin (self, report);
  if (self->side == HELIX_HOST)
    check_encoder (report);
}

/* ---- decoding ---- */

/* Factories of `type` that take `caps`, best first. Free the list. */
static GList *
factories_for (const GstCaps *caps, GstElementFactoryListType type)
{
  GList *all = gst_element_factory_list_get_elements (type, GST_RANK_MARGINAL);
  GList *list =
      gst_element_factory_list_filter (all, caps, GST_PAD_SINK, FALSE);

  gst_plugin_feature_list_free (all);
  return g_list_sort (list, gst_plugin_feature_rank_compare_func);
}

static gint64
left_of (guint64 deadline)
{
  guint64 now = helix_now_ns ();

  return now < deadline ? (gint64) (deadline - now) : 0;
}

static void
feed (GstElement *source, const HelixDoctorUnits *units)
{
  for (guint i = 0; i < units->units->len; i++) {
    GstBuffer *buffer =
        gst_buffer_new_wrapped_bytes (g_ptr_array_index (units->units, i));

    GST_BUFFER_PTS (buffer) = i * (GST_SECOND / 60);
    gst_app_src_push_buffer (GST_APP_SRC (source), buffer);
  }
  gst_app_src_end_of_stream (GST_APP_SRC (source));
}

/* A picture: one is proof enough. */
static void
got_picture (GstElement *sink, GstBuffer *buffer, GstPad *pad, gpointer unused)
{
  gst_element_post_message (sink,
      gst_message_new_application (
          GST_OBJECT (sink), gst_structure_new_empty ("picture")));
}

typedef enum { DECODED, NOT_DECODED, NOT_IN_TIME } Outcome;

static Outcome
judge (GstMessage *message, gchar **why)
{
  g_autoptr (GError) error = NULL;

  if (message == NULL)
    return NOT_IN_TIME;
  switch (GST_MESSAGE_TYPE (message)) {
    case GST_MESSAGE_APPLICATION:
      return DECODED;
    case GST_MESSAGE_ERROR:
      gst_message_parse_error (message, &error, NULL);
      *why = g_strdup (error->message);
      g_strchomp (*why);
      if (g_str_has_suffix (*why, "."))
        (*why)[strlen (*why) - 1] = '\0';
      return NOT_DECODED;
    default:
      *why = g_strdup ("it came to the end without one");
      return NOT_DECODED;
  }
}

/* Runs what came through `decoder`. *why: what it said against it. */
static Outcome
try_decoder (const HelixDoctorUnits *units, GstCaps *caps, const gchar *parser,
    const gchar *decoder, guint64 deadline, gchar **why)
{
  g_autofree gchar *line = g_strdup_printf (
      "appsrc name=in format=time ! %s%s%s ! fakesink name=out "
      "signal-handoffs=true sync=false",
      parser != NULL ? parser : "", parser != NULL ? " ! " : "", decoder);
  g_autoptr (GError) error = NULL;
  GstElement *pipeline = gst_parse_launch (line, &error);
  GstElement *in, *out;
  GstMessage *message;
  Outcome outcome;
  GstBus *bus;

  if (error != NULL) {
    *why = g_strdup (error->message);
    g_clear_pointer (&pipeline, gst_object_unref);
    return NOT_DECODED;
  }
  in = gst_bin_get_by_name (GST_BIN (pipeline), "in");
  out = gst_bin_get_by_name (GST_BIN (pipeline), "out");
  bus = gst_element_get_bus (pipeline);
  gst_app_src_set_caps (GST_APP_SRC (in), caps);
  g_signal_connect (out, "handoff", G_CALLBACK (got_picture), NULL);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  feed (in, units);
  message = gst_bus_timed_pop_filtered (bus, (GstClockTime) left_of (deadline),
      GST_MESSAGE_EOS | GST_MESSAGE_ERROR | GST_MESSAGE_APPLICATION);
  outcome = judge (message, why);
  gst_clear_message (&message);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (bus);
  gst_object_unref (in);
  gst_object_unref (out);
  gst_object_unref (pipeline);
  return outcome;
}

static void
report_decode (const GstCaps *caps, const gchar *decoder, Outcome outcome,
    const gchar *why, HelixReport *report)
{
  const gchar *media =
      gst_structure_get_name (gst_caps_get_structure (caps, 0));
  HelixFinding *f;

  if (decoder == NULL) {
    /* The program in the guest may well want the encoded units only. */
    f = helix_report_add (report, HELIX_CHECK_DECODE, HELIX_VERDICT_NOTE,
        "no decoder for %s is installed, so none was tried", media);
    helix_finding_remedy (f,
        "If pictures are wanted here, install one, e.g. gstreamer1.0-libav; "
        "passing units on needs none");
  } else if (outcome == DECODED) {
    f = helix_report_add (report, HELIX_CHECK_DECODE, HELIX_VERDICT_OK,
        "%s makes pictures of it", decoder);
  } else if (outcome == NOT_IN_TIME) {
    f = helix_report_add (report, HELIX_CHECK_DECODE, HELIX_VERDICT_NOTE,
        "%s made no picture in time", decoder);
    helix_finding_because (f, "this machine is slow, or was busy");
    helix_finding_remedy (f, "Run this again");
  } else {
    f = helix_report_add (report, HELIX_CHECK_DECODE, HELIX_VERDICT_FAIL,
        "no picture came out of %s", decoder);
    helix_finding_because (f, "%s", why);
    helix_finding_remedy (f,
        "Try another encoder on the host, or profile=constrained-baseline "
        "behind it");
  }
  helix_json_text (f->facts, "decoder", decoder);
}

void
helix_doctor_decode (
    HelixDoctorUnits *units, HelixReport *report, guint64 deadline)
{
  GstCaps *caps = helix_stream_caps_from_wire (&units->caps);
  GList *parsers, *decoders;
  const gchar *parser = NULL;
  g_autofree gchar *why = NULL;
  g_autofree gchar *tried = NULL;
  Outcome outcome = NOT_DECODED;

  if (caps == NULL)
    return;
  parsers = factories_for (caps, GST_ELEMENT_FACTORY_TYPE_PARSER);
  decoders = factories_for (caps,
      GST_ELEMENT_FACTORY_TYPE_DECODER | GST_ELEMENT_FACTORY_TYPE_MEDIA_VIDEO
          | GST_ELEMENT_FACTORY_TYPE_MEDIA_IMAGE);
  if (parsers != NULL)
    parser = GST_OBJECT_NAME (parsers->data);
  for (GList *l = decoders; l != NULL && outcome == NOT_DECODED; l = l->next) {
    if (g_list_position (decoders, l) >= MAX_DECODERS)
      break;
    g_free (tried);
    g_free (g_steal_pointer (&why));
    tried = g_strdup (GST_OBJECT_NAME (l->data));
    outcome = left_of (deadline) > 0
        ? try_decoder (units, caps, parser, tried, deadline, &why)
        : NOT_IN_TIME;
  }
  report_decode (caps, tried, outcome, why, report);
  gst_plugin_feature_list_free (parsers);
  gst_plugin_feature_list_free (decoders);
  gst_caps_unref (caps);
}

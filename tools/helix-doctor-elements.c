/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What GStreamer has on this machine: our elements, encoders, a decoder that
 * makes pictures of what came.
 */
#include <gst/app/gstappsrc.h>
#include <gst/gst.h>
#include <string.h>

#include "helix-doctor.h"
#include "helix-platform.h"
#include "helix-stream-caps.h"

/* Decoders that are tried before it is said that none can: the best may be
 * for a GPU that is not there. */
#define MAX_DECODERS 4

/* ns after the deadline of the walks. */
#define LATE_NS (GST_SECOND / 2)

/* ---- elements ---- */

static gboolean
check_plugin (HelixWalk *walk)
{
  const gchar *const host[] = {"helixqemusrc", "helixguestsink", NULL};
  const gchar *const guest[] = {"helixsrc", NULL};
  const gchar *const *names = walk->doctor->role == HELIX_HOST ? host : guest;
  g_autofree gchar *all = g_strjoinv (" and ", (gchar **) names);
  const gchar *path = g_getenv ("GST_PLUGIN_PATH");
  g_autoptr (GError) error = NULL;

  if (!gst_init_check (NULL, NULL, &error)) {
    helix_walk_fail (walk,
        "GStreamer does not start" BECAUSE "%s" REMEDY
        "Repair its installation",
        error->message);
    return FALSE;
  }
  for (guint i = 0; names[i] != NULL; i++) {
    g_autoptr (GstElementFactory) factory = gst_element_factory_find (names[i]);

    if (factory != NULL)
      continue;
    helix_walk_fail (walk,
        "GStreamer does not find %s" BECAUSE
        "its plugin, libgsthelix, is not where it looks, or does not load "
        "(GST_PLUGIN_PATH is %s)" REMEDY
        "Set GST_PLUGIN_PATH to the folder that has it; gst-inspect-1.0 helix "
        "tells why it does not load",
        names[i], path != NULL ? path : "not set");
    return TRUE;
  }
  helix_walk_ok (walk, "GStreamer %u.%u finds %s", GST_VERSION_MAJOR,
      GST_VERSION_MINOR, all);
  return TRUE;
}

/* Names of the elements of `type` whose pads in that direction can have `caps`,
 * best first. Free them. */
static GStrv
elements_for (const GstCaps *caps, GstElementFactoryListType type,
    GstPadDirection direction, GstRank least)
{
  GPtrArray *names = g_ptr_array_new ();
  /* sorted by rank */
  GList *all = gst_element_factory_list_get_elements (type, least);
  GList *list = gst_element_factory_list_filter (all, caps, direction, FALSE);

  for (GList *l = list; l != NULL; l = l->next)
    g_ptr_array_add (names, g_strdup (GST_OBJECT_NAME (l->data)));
  g_ptr_array_add (names, NULL);
  gst_plugin_feature_list_free (list);
  gst_plugin_feature_list_free (all);
  return (GStrv) g_ptr_array_free (names, FALSE);
}

static GStrv
encoders_for (const gchar *description)
{
  g_autoptr (GstCaps) caps = gst_caps_from_string (description);

  return elements_for (
      caps, GST_ELEMENT_FACTORY_TYPE_VIDEO_ENCODER, GST_PAD_SRC, GST_RANK_NONE);
}

#define INSTALL_ENCODER \
  "Install one: gstreamer1.0-plugins-ugly has x264enc, " \
  "gstreamer1.0-plugins-bad openh264enc and those of GPUs"

static gboolean
check_encoder (HelixWalk *walk)
{
  g_auto (GStrv) h264 = encoders_for ("video/x-h264");
  g_auto (GStrv) any = encoders_for (HELIX_STREAM_SRC_CAPS);
  g_autofree gchar *for_h264 = g_strjoinv (", ", h264);
  g_autofree gchar *for_any = g_strjoinv (", ", any);

  if (*for_h264 != '\0')
    helix_walk_ok (walk, "for H.264: %s", for_h264);
  else if (*for_any != '\0')
    helix_walk_note (walk,
        "no H.264 encoder, but %s" BECAUSE
        "guests that want H.264 (browsers) get nothing from these" REMEDY
            INSTALL_ENCODER,
        for_any);
  else
    helix_walk_fail (walk,
        "no encoder that helixguestsink could serve from" BECAUSE
        "GStreamer knows none for H.264, H.265, AV1, VP8, VP9 or JPEG" REMEDY
            INSTALL_ENCODER "; on a Mac gst-plugins-bad has vtenc_h264");
  helix_json_array (walk->facts, "encoders");
  for (guint i = 0; any[i] != NULL; i++)
    helix_json_add (walk->facts, JSON_TEXT (NULL, any[i]));
  json_builder_end_array (walk->facts);
  return TRUE;
}

/* ---- decoding ---- */

static gint64
left_of (guint64 deadline)
{
  guint64 now = helix_now_ns ();

  return now < deadline ? (gint64) (deadline - now) : 0;
}

static void
feed (GstElement *source, const GPtrArray *units)
{
  for (guint i = 0; i < units->len; i++) {
    GstBuffer *buffer =
        gst_buffer_new_wrapped_bytes (g_ptr_array_index (units, i));

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
try_decoder (const GPtrArray *units, GstCaps *caps, const gchar *parser,
    const gchar *decoder, guint64 deadline, gchar **why)
{
  g_autofree gchar *line = g_strdup_printf (
      "appsrc name=in format=time ! %s%s%s ! fakesink name=out "
      "signal-handoffs=true sync=false",
      parser != NULL ? parser : "", parser != NULL ? " ! " : "", decoder);
  g_autoptr (GError) error = NULL;
  g_autoptr (GstElement) pipeline = gst_parse_launch (line, &error);
  g_autoptr (GstElement) in = NULL;
  g_autoptr (GstElement) out = NULL;
  g_autoptr (GstMessage) message = NULL;
  g_autoptr (GstBus) bus = NULL;
  Outcome outcome;

  if (error != NULL) {
    *why = g_strdup (error->message);
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
  gst_element_set_state (pipeline, GST_STATE_NULL);
  return outcome;
}

static void
report_decode (HelixWalk *walk, const GstCaps *caps, const gchar *decoder,
    Outcome outcome, const gchar *why)
{
  if (decoder == NULL)
    /* The program in the guest may well want the encoded units only. */
    helix_walk_note (walk,
        "no decoder for %s is installed, so none was tried" REMEDY
        "If pictures are wanted here, install one, e.g. gstreamer1.0-libav; "
        "passing units on needs none",
        gst_structure_get_name (gst_caps_get_structure (caps, 0)));
  else if (outcome == DECODED)
    helix_walk_ok (walk, "%s makes pictures of it", decoder);
  else if (outcome == NOT_IN_TIME)
    helix_walk_note (walk,
        "%s made no picture in time" BECAUSE
        "this machine is slow, or was busy" REMEDY "Run this again",
        decoder);
  else
    helix_walk_fail (walk,
        "no picture came out of %s" BECAUSE "%s" REMEDY
        "Try another encoder on the host, or profile=constrained-baseline "
        "behind it",
        decoder, why);
  helix_json_add (walk->facts, JSON_TEXT ("decoder", decoder));
}

static gboolean
check_decode (HelixWalk *walk)
{
  /* The walks have had their time: this comes behind them. */
  guint64 deadline = walk->doctor->deadline + LATE_NS;
  g_autoptr (GstCaps) caps = helix_stream_caps_from_wire (&walk->probe->caps);
  g_auto (GStrv) parsers = NULL;
  g_auto (GStrv) decoders = NULL;
  g_autofree gchar *why = NULL;
  const gchar *tried = NULL;
  Outcome outcome = NOT_DECODED;

  if (caps == NULL)
    return FALSE;
  parsers = elements_for (
      caps, GST_ELEMENT_FACTORY_TYPE_PARSER, GST_PAD_SINK, GST_RANK_MARGINAL);
  decoders = elements_for (caps,
      GST_ELEMENT_FACTORY_TYPE_DECODER | GST_ELEMENT_FACTORY_TYPE_MEDIA_VIDEO
          | GST_ELEMENT_FACTORY_TYPE_MEDIA_IMAGE,
      GST_PAD_SINK, GST_RANK_MARGINAL);
  for (guint i = 0;
       i < MAX_DECODERS && decoders[i] != NULL && outcome == NOT_DECODED; i++) {
    g_clear_pointer (&why, g_free);
    tried = decoders[i];
    outcome = left_of (deadline) > 0
        ? try_decoder (walk->units, caps, parsers[0], tried, deadline, &why)
        : NOT_IN_TIME;
  }
  report_decode (walk, caps, tried, outcome, why);
  return TRUE;
}

const HelixCheck helix_checks_elements[] = {
    {"plugin", 17, HELIX_BOTH, check_plugin},
    {"encoder", 18, HELIX_HOST, check_encoder},
    {NULL, 0, 0, NULL},
};

const HelixCheck helix_checks_decode[] = {
    {"decode", 26, HELIX_GUEST, check_decode},
    {NULL, 0, 0, NULL},
};

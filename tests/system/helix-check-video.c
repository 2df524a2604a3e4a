/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Says whether a video is what a guest drew: decodes it with GStreamer, reads
 * the marker of every picture and compares the colour bars.
 *
 * Prints one line of JSON; exits with 1 when a picture or the whole breaks a
 * rule given on the command line, with 2 when the video cannot be decoded.
 */
#include <gst/app/gstappsink.h>
#include <gst/gst.h>
#include <gst/video/video.h>
#include <stdio.h>
#include <stdlib.h>

#include "guest/helix-picture.h"
#include "helix-marker.h"

#define STALL_NS (20 * GST_SECOND) /* no picture for so long: stuck decoder */

/* What the command line asks for; -1 = not asked. */
static gint min_frames = -1, max_colour_error = -1, bars_shift = 0;
static gint max_torn = 0, max_backwards = 0;
static gint64 last_wanted = -1;
static gchar *sizes_wanted;
static gchar **files;

static const GOptionEntry entries[] = {
    {"min-frames", 0, 0, G_OPTION_ARG_INT, &min_frames,
        "At least N different frame numbers", "N"},
    {"last", 0, 0, G_OPTION_ARG_INT64, &last_wanted,
        "The last picture is frame N", "N"},
    {"size", 0, 0, G_OPTION_ARG_STRING, &sizes_wanted,
        "The sizes that appear, in order", "WxH[,WxH...]"},
    {"max-colour-error", 0, 0, G_OPTION_ARG_INT, &max_colour_error,
        "Largest difference of a bar's red, green or blue, 0-255", "N"},
    {"max-backwards", 0, 0, G_OPTION_ARG_INT, &max_backwards,
        "At most N times a number below that before it (default 0)", "N"},
    {"max-torn", 0, 0, G_OPTION_ARG_INT, &max_torn,
        "At most N pictures with an unreadable marker (default 0)", "N"},
    {"bars-shift", 0, 0, G_OPTION_ARG_INT, &bars_shift,
        "The bars are shifted by N colours (default 0)", "N"},
    {G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &files, NULL,
        "VIDEO (.h264 byte stream, .mp4, .mkv) or picture (.png)"},
    {NULL, 0, 0, 0, NULL, NULL, NULL},
};

struct findings {
  guint pictures, numbers, backwards, torn;
  guint missing;
  gboolean any;
  guint32 first, last;
  guint colour_error;
  gint width, height; /* of the last picture */
  GString *sizes;     /* WxH,WxH... */
};

/* Adds frame number `number` of the next picture to the findings. */
static void
note_number (struct findings *f, guint32 number)
{
  if (!f->any) {
    f->any = TRUE;
    f->first = number;
    f->numbers = 1;
  } else if (number < f->last) {
    f->backwards++;
  } else if (number == f->last) {
    return; /* the same frame again: keep-alive */
  } else {
    f->numbers++;
    f->missing += number - f->last - 1;
  }
  f->last = number;
}

/* Mean of channel `channel` over 8x8 pixels round (x, y) of a BGRx picture. */
static guint
mean (GstVideoFrame *frame, guint x, guint y, guint channel)
{
  const guint8 *pixels = GST_VIDEO_FRAME_PLANE_DATA (frame, 0);
  gint stride = GST_VIDEO_FRAME_PLANE_STRIDE (frame, 0);
  guint sum = 0;

  for (guint row = y - 4; row < y + 4; row++)
    for (guint column = x - 4; column < x + 4; column++)
      sum += pixels[(gsize) row * stride + column * 4 + channel];
  return (sum + 32) / 64;
}

/* Largest error of the bars, looked at in the middle of each. */
static guint
bars_error (GstVideoFrame *frame)
{
  guint width = GST_VIDEO_FRAME_WIDTH (frame);
  guint height = GST_VIDEO_FRAME_HEIGHT (frame);
  guint y = HELIX_BARS_TOP + (height - HELIX_BARS_TOP) / 2;
  guint worst = 0;

  for (guint bar = 0; bar < HELIX_BARS; bar++) {
    guint32 colour = helix_bar_colour (bar, (guint) bars_shift);
    guint x =
        (helix_bar_left (bar, width) + helix_bar_left (bar + 1, width)) / 2;

    for (guint channel = 0; channel < 3; channel++) {
      gint wanted = colour >> (8 * channel) & 0xff;
      gint got = (gint) mean (frame, x, y, channel);

      worst = MAX (worst, (guint) ABS (wanted - got));
    }
  }
  return worst;
}

static void
note_size (struct findings *f, gint width, gint height)
{
  if (width == f->width && height == f->height)
    return;
  f->width = width;
  f->height = height;
  g_string_append_printf (
      f->sizes, "%s%dx%d", f->sizes->len > 0 ? "," : "", width, height);
}

static gboolean
note_picture (struct findings *f, GstSample *sample)
{
  GstVideoInfo info;
  GstVideoFrame frame;
  guint32 number;

  if (!gst_video_info_from_caps (&info, gst_sample_get_caps (sample))
      || !gst_video_frame_map (
          &frame, &info, gst_sample_get_buffer (sample), GST_MAP_READ))
    return FALSE;
  f->pictures++;
  note_size (f, GST_VIDEO_INFO_WIDTH (&info), GST_VIDEO_INFO_HEIGHT (&info));
  if (GST_VIDEO_INFO_WIDTH (&info) < (gint) HELIX_MARKER_WIDTH
      || GST_VIDEO_INFO_HEIGHT (&info) < 64
      || !helix_marker_read (
          (const guint8 *) GST_VIDEO_FRAME_PLANE_DATA (&frame, 0) + 1,
          GST_VIDEO_FRAME_PLANE_STRIDE (&frame, 0), 4, &number)) {
    f->torn++;
  } else {
    note_number (f, number);
    f->colour_error = MAX (f->colour_error, bars_error (&frame));
  }
  gst_video_frame_unmap (&frame);
  return TRUE;
}

static GstElement *
make_pipeline (const gchar *file)
{
  GstElementFactory *factory = gst_element_factory_find ("avdec_h264");
  const gchar *decoder = factory != NULL ? "avdec_h264" : "openh264dec";
  const gchar *demuxer = g_str_has_suffix (file, ".mp4") ? "qtdemux ! "
      : g_str_has_suffix (file, ".mkv")                  ? "matroskademux ! "
                                                         : "";
  gchar *video = g_strdup_printf ("%sh264parse ! %s", demuxer, decoder);
  gchar *line = g_strdup_printf ("filesrc name=file ! %s ! "
                                 "videoconvert ! video/x-raw,format=BGRx ! "
                                 "appsink name=sink sync=false max-buffers=4",
      g_str_has_suffix (file, ".png") ? "pngdec" : video);
  GError *error = NULL;
  GstElement *pipeline = gst_parse_launch (line, &error), *source;

  g_clear_object (&factory);
  g_free (video);
  g_free (line);
  if (pipeline == NULL || error != NULL) {
    fprintf (stderr, "helix-check-video: cannot build the decoder: %s\n",
        error != NULL ? error->message : "no reason given");
    g_clear_error (&error);
    return NULL;
  }
  source = gst_bin_get_by_name (GST_BIN (pipeline), "file");
  g_object_set (source, "location", file, NULL);
  gst_object_unref (source);
  return pipeline;
}

/* True if an error was on the bus: printed. */
static gboolean
failed (GstElement *pipeline)
{
  GstMessage *message =
      gst_bus_pop_filtered (GST_ELEMENT_BUS (pipeline), GST_MESSAGE_ERROR);
  GError *error = NULL;

  if (message == NULL)
    return FALSE;
  gst_message_parse_error (message, &error, NULL);
  fprintf (stderr, "helix-check-video: %s: %s\n",
      GST_OBJECT_NAME (GST_MESSAGE_SRC (message)), error->message);
  g_error_free (error);
  gst_message_unref (message);
  return TRUE;
}

static gboolean
decode (const gchar *file, struct findings *f)
{
  GstElement *pipeline = make_pipeline (file);
  GstElement *sink;
  gboolean good = TRUE;

  if (pipeline == NULL)
    return FALSE;
  sink = gst_bin_get_by_name (GST_BIN (pipeline), "sink");
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  while (good) {
    GstSample *sample =
        gst_app_sink_try_pull_sample (GST_APP_SINK (sink), STALL_NS);

    if (sample == NULL) {
      good = !failed (pipeline);
      if (good && !gst_app_sink_is_eos (GST_APP_SINK (sink))) {
        fprintf (stderr, "helix-check-video: %s: no picture for %d s\n", file,
            (int) (STALL_NS / GST_SECOND));
        good = FALSE;
      }
      break;
    }
    good = note_picture (f, sample);
    gst_sample_unref (sample);
  }
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (sink);
  gst_object_unref (pipeline);
  return good;
}

static gboolean rule (gboolean kept, const gchar *format, ...)
    G_GNUC_PRINTF (2, 3);

static gboolean
rule (gboolean kept, const gchar *format, ...)
{
  va_list args;

  if (kept)
    return TRUE;
  fputs ("helix-check-video: ", stderr);
  va_start (args, format);
  vfprintf (stderr, format, args);
  va_end (args);
  fputc ('\n', stderr);
  return FALSE;
}

static gboolean
judge (const struct findings *f)
{
  const gchar *sizes = f->sizes->str;
  gboolean good = TRUE;

  good &= rule (f->any, "no marker was read in %u pictures", f->pictures);
  good &= rule (f->backwards <= (guint) max_backwards,
      "frame numbers went backwards %u times, allowed %d", f->backwards,
      max_backwards);
  good &= rule (f->torn <= (guint) max_torn,
      "%u pictures with an unreadable marker, allowed %d", f->torn, max_torn);
  if (min_frames >= 0)
    good &= rule (f->numbers >= (guint) min_frames,
        "%u different frames, wanted %d", f->numbers, min_frames);
  if (last_wanted >= 0)
    good &= rule (f->any && f->last == last_wanted,
        "the last frame is %u, wanted %" G_GINT64_FORMAT, f->last, last_wanted);
  if (max_colour_error >= 0)
    good &= rule (f->colour_error <= (guint) max_colour_error,
        "a bar's colour is off by %u, allowed %d", f->colour_error,
        max_colour_error);
  if (sizes_wanted != NULL)
    good &= rule (g_str_equal (sizes, sizes_wanted), "sizes are %s, wanted %s",
        sizes, sizes_wanted);
  return good;
}

int
main (int argc, char **argv)
{
  struct findings f = {.sizes = g_string_new (NULL)};
  GOptionContext *context = g_option_context_new (NULL);
  GError *error = NULL;
  gboolean good;

  g_option_context_add_main_entries (context, entries, NULL);
  g_option_context_add_group (context, gst_init_get_option_group ());
  if (!g_option_context_parse (context, &argc, &argv, &error) || files == NULL
      || files[1] != NULL) {
    fprintf (stderr, "helix-check-video: %s\n",
        error != NULL ? error->message : "name one video (--help)");
    return 2;
  }
  g_option_context_free (context);

  good = decode (files[0], &f);
  printf ("{\"pictures\": %u, \"frames\": %u, \"first\": %u, \"last\": %u, "
          "\"backwards\": %u, \"missing\": %u, \"torn\": %u, "
          "\"colour_error\": %u, \"sizes\": \"%s\"}\n",
      f.pictures, f.numbers, f.first, f.last, f.backwards, f.missing, f.torn,
      f.colour_error, f.sizes->str);
  if (!good)
    return 2;
  good = judge (&f);
  g_string_free (f.sizes, TRUE);
  return good ? 0 : 1;
}

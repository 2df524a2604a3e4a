/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * helix snapshot: one frame, inline, as PNG.
 */
#include <errno.h>
#include <gst/video/video.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "helix-picture.h"
#include "helix-platform.h"
#include "helix-tool.h"
#include "helix-vms.h"

#define NS_PER_S G_GUINT64_CONSTANT (1000000000)
#define ANSWER_NS (2 * NS_PER_S)
#define FRAME_NS (5 * NS_PER_S)
#define PNG_TIME (30 * GST_SECOND)
#define CHANNEL 1

/* A frame's rows from the top, as a sample of three bytes a pixel: what a
 * screen shows is opaque, whatever is in the fourth. */
static GstSample *
make_sample (const struct helix_frame *frame, const guint8 *pixels)
{
  const GstVideoFormatInfo *from =
      gst_video_format_get_info (helix_picture_format (frame->fourcc));
  const gint r = GST_VIDEO_FORMAT_INFO_POFFSET (from, GST_VIDEO_COMP_R);
  const gint g = GST_VIDEO_FORMAT_INFO_POFFSET (from, GST_VIDEO_COMP_G);
  const gint b = GST_VIDEO_FORMAT_INFO_POFFSET (from, GST_VIDEO_COMP_B);
  GstVideoInfo info;
  GstBuffer *buffer;
  GstSample *sample;
  GstMapInfo map;
  GstCaps *caps;

  gst_video_info_set_format (
      &info, GST_VIDEO_FORMAT_RGB, frame->width, frame->height);
  GST_VIDEO_INFO_FPS_N (&info) = 0;
  GST_VIDEO_INFO_FPS_D (&info) = 1;
  buffer = gst_buffer_new_allocate (NULL, GST_VIDEO_INFO_SIZE (&info), NULL);
  gst_buffer_map (buffer, &map, GST_MAP_WRITE);
  for (guint32 y = 0; y < frame->height; y++) {
    gboolean inverted = frame->flags & HELIX_FRAME_Y_INVERTED;
    guint32 row = inverted ? frame->height - 1 - y : y;
    const guint8 *in = pixels + (gsize) row * frame->stride;
    guint8 *out =
        map.data + (gsize) y * (gsize) GST_VIDEO_INFO_PLANE_STRIDE (&info, 0);

    for (guint32 x = 0; x < frame->width; x++, in += 4, out += 3) {
      out[0] = in[r];
      out[1] = in[g];
      out[2] = in[b];
    }
  }
  gst_buffer_unmap (buffer, &map);
  caps = gst_video_info_to_caps (&info);
  GST_BUFFER_PTS (buffer) = 0;
  sample = gst_sample_new (buffer, caps, NULL, NULL);
  gst_buffer_unref (buffer);
  gst_caps_unref (caps);
  return sample;
}

static gboolean
write_bytes (const gchar *output, const GstMapInfo *map, GError **error)
{
  gboolean standard = strcmp (output, "-") == 0, good;
  struct stat st;
  FILE *out;

  /* What is no regular file (/dev/null, a FIFO) is written to: a new file in
   * its place, which is what GLib would make, would be the end of it. */
  if (!standard && (stat (output, &st) < 0 || S_ISREG (st.st_mode)))
    return g_file_set_contents (
        output, (const gchar *) map->data, (gssize) map->size, error);
  out = standard ? stdout : fopen (output, "wbe");
  good = out != NULL && fwrite (map->data, 1, map->size, out) == map->size;
  good = good && fflush (out) == 0;
  if (!good)
    g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_IO, "cannot write to %s: %s",
        standard ? "standard output" : output, g_strerror (errno));
  if (!standard && out != NULL)
    fclose (out);
  return good;
}

static gboolean
write_png (const struct helix_frame *frame, const guint8 *pixels,
    const gchar *output, GError **error)
{
  GstElementFactory *encoder;
  GstSample *sample, *png;
  GstMapInfo map;
  GstCaps *caps;
  gboolean good;

  if (!gst_init_check (NULL, NULL, error))
    return FALSE;
  encoder = gst_element_factory_find ("pngenc");
  if (encoder == NULL) {
    g_set_error (error, GST_CORE_ERROR, GST_CORE_ERROR_MISSING_PLUGIN,
        "GStreamer has no pngenc. Install gstreamer1.0-plugins-good");
    return FALSE;
  }
  gst_object_unref (encoder);
  sample = make_sample (frame, pixels);
  caps = gst_caps_new_empty_simple ("image/png");
  png = gst_video_convert_sample (sample, caps, PNG_TIME, error);
  gst_caps_unref (caps);
  gst_sample_unref (sample);
  if (png == NULL)
    return FALSE;
  gst_buffer_map (gst_sample_get_buffer (png), &map, GST_MAP_READ);
  good = write_bytes (output, &map, error);
  gst_buffer_unmap (gst_sample_get_buffer (png), &map);
  gst_sample_unref (png);
  return good;
}

/* Waits for the frame of our subscription; its pixels are in probe->bulk. */
static gboolean
take_frame (HelixProbe *probe, struct helix_frame *frame, GError **error)
{
  const struct helix_reader *r = &probe->reader;
  guint64 end = helix_now_ns () + FRAME_NS;
  struct helix_rect rects[HELIX_MAX_RECTS];
  gchar text[HELIX_MAX_TEXT + 1];
  struct helix_error refused;
  const gchar *why;

  for (;;) {
    if (!helix_probe_next (probe, end, error)) {
      if (g_error_matches (*error, HELIX_PROBE_ERROR, HELIX_PROBE_ERROR_SILENT))
        g_prefix_error (error, "no picture came within 5 s: ");
      return FALSE;
    }
    if (r->header.channel != CHANNEL)
      continue;
    if (r->header.type == HELIX_ERROR
        && helix_unpack_error (
            &refused, text, r->payload, r->payload_size, &why)) {
      g_set_error (error, HELIX_PROBE_ERROR, HELIX_PROBE_ERROR_REFUSED,
          "refused (%s): %s", helix_error_name (refused.code), text);
      return FALSE;
    }
    if (r->header.type != HELIX_FRAME)
      continue;
    if (helix_unpack_frame (frame, rects, r->payload, r->payload_size, &why)
        && probe->bulk != NULL)
      return TRUE;
    g_set_error (error, HELIX_PROBE_ERROR, HELIX_PROBE_ERROR_FOREIGN,
        "what came is no frame with pixels");
    return FALSE;
  }
}

static gboolean
get_frame (
    HelixProbe *probe, guint scanout, struct helix_frame *frame, GError **error)
{
  struct helix_subscribe subscribe = {
      .scanout = scanout, .rate_den = 1, .flags = HELIX_SUBSCRIBE_INLINE};
  guint64 deadline = helix_now_ns () + ANSWER_NS;
  HelixListing listing = {0};
  guint8 message[HELIX_MAX_MESSAGE];
  gboolean good;

  if (scanout >= probe->welcome.scanouts) {
    g_set_error (error, HELIX_PROBE_ERROR, HELIX_PROBE_ERROR_REFUSED,
        "there is no scanout %u, the VM has 0 to %u", scanout,
        probe->welcome.scanouts - 1u);
    return FALSE;
  }
  /* Behind its answer every scanout is known. */
  good = helix_probe_list (probe, &listing, deadline, error);
  helix_listing_clear (&listing);
  if (!good)
    return FALSE;
  if (!helix_probe_scanout_on (probe, scanout)) {
    g_set_error (error, HELIX_PROBE_ERROR, HELIX_PROBE_ERROR_REFUSED,
        "scanout %u is off. helix list tells which are on, helix scanout %u "
        "1920x1080 switches it on",
        scanout, scanout);
    return FALSE;
  }
  probe->keep_bulk = TRUE;
  return helix_probe_send (probe, message,
             helix_pack_subscribe (message, CHANNEL, &subscribe), deadline,
             error)
      && take_frame (probe, frame, error);
}

static gint
run (const gchar *socket, guint scanout, const gchar *output)
{
  g_autoptr (GError) error = NULL;
  g_autofree gchar *path = NULL;
  g_autoptr (HelixProbe) probe =
      helix_vms_greet_only (socket, helix_now_ns () + ANSWER_NS, &path, &error);
  struct helix_frame frame;

  if (probe == NULL) {
    helix_tool_complain ("snapshot", "%s", error->message);
    return HELIX_EXIT_FAILED;
  }
  if (!get_frame (probe, scanout, &frame, &error)) {
    helix_tool_complain ("snapshot", "%s: %s", path, error->message);
    return HELIX_EXIT_FAILED;
  }
  if (!write_png (&frame, probe->bulk, output, &error)) {
    helix_tool_complain ("snapshot", "%s", error->message);
    return HELIX_EXIT_FAILED;
  }
  if (strcmp (output, "-") != 0)
    printf (
        "%s: scanout %u, %ux%u\n", output, scanout, frame.width, frame.height);
  return HELIX_EXIT_GOOD;
}

gint
helix_snapshot_main (gint argc, gchar **argv)
{
  gchar *socket = NULL, *output = NULL;
  gint scanout = 0;
  const GOptionEntry entries[] = {
      {"output", 'o', 0, G_OPTION_ARG_FILENAME, &output,
          "Where to write the PNG; - is standard output (default screen.png)",
          "FILE"},
      {"scanout", 'n', 0, G_OPTION_ARG_INT, &scanout,
          "Which scanout (default 0)", "N"},
      {"socket", 's', 0, G_OPTION_ARG_FILENAME, &socket,
          "Socket of the VM's shim (default: the one VM that runs)", "PATH"},
      HELIX_VMS_SERVER_USER,
      {NULL, 0, 0, 0, NULL, NULL, NULL},
  };
  gint status = HELIX_EXIT_USAGE;

  if (helix_tool_options ("snapshot", NULL,
          "Writes one picture of a VM's screen as PNG, pixel for pixel.",
          entries, 0, &argc, &argv)) {
    if (scanout < 0 || scanout >= (gint) HELIX_MAX_SCANOUTS)
      helix_tool_complain ("snapshot", "scanouts go from 0 to 15");
    else
      status =
          run (socket, (guint) scanout, output != NULL ? output : "screen.png");
  }
  g_free (socket);
  g_free (output);
  return status;
}

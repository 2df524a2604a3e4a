/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * helix snapshot: one frame, as PNG.
 */
#include <errno.h>
#include <gst/video/video.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "helix-frame-client.h"
#include "helix-picture.h"
#include "helix-platform.h"
#include "helix-tool.h"
#include "helix-vms.h"

#define ANSWER_NS (2 * GST_SECOND)
#define FRAME_NS (5 * GST_SECOND)
#define PNG_TIME (30 * GST_SECOND)

static gchar *output;
static gint scanout;

static const GOptionEntry entries[] = {
    {"output", 'o', 0, G_OPTION_ARG_FILENAME, &output,
        "Where to write the PNG; - is standard output (default screen.png)",
        "FILE"},
    {"scanout", 'n', 0, G_OPTION_ARG_INT, &scanout, "Which scanout (default 0)",
        "N"},
    {NULL, 0, 0, 0, NULL, NULL, NULL},
};

/* FALSE: `error` has a sentence with the path. */
static gboolean
get_frame (const gchar *path, HelixFrame *frame, GError **error)
{
  const HelixFrameClientConfig config = {.path = path,
      .name = "helix " HELIX_PACKAGE_VERSION,
      .server_uid = helix_vms_server_uid ()};
  const HelixFrameRequest request = {.scanout = (guint) scanout, .rate_den = 1};
  HelixFrameClient *client = helix_frame_client_new (&config, &request);
  guint64 deadline = helix_now_ns () + FRAME_NS;
  HelixFrameClientResult result;

  if (client == NULL) {
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_FAILED,
        "%s: no pipe can be made to wait with: %s. Raise the limit of open "
        "files (ulimit -n)",
        path, g_strerror (errno));
    return FALSE;
  }
  /* A warning ends it, too: it is a readback that failed. */
  do
    result = helix_frame_client_next (client, deadline, frame, error);
  while (result == HELIX_CLIENT_CURSOR);
  helix_frame_client_free (client);
  if (result == HELIX_CLIENT_DARK)
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND,
        "%s: scanout %d is off. helix list tells which are on, helix scanout "
        "%d 1920x1080 switches it on",
        path, scanout, scanout);
  if (result == HELIX_CLIENT_TIMEOUT)
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_READ,
        "%s: no picture came within 5 s. helix doctor tells more", path);
  return result == HELIX_CLIENT_FRAME;
}

/* What a screen shows is opaque, whatever is in the fourth byte: the name of
 * the format with an alpha channel has an A where the other one has an X. */
static GstVideoFormat
opaque_format (guint32 fourcc)
{
  for (guint shift = 0; shift < 16; shift += 8)
    if ((fourcc >> shift & 0xff) == 'A')
      fourcc += (guint32) ('X' - 'A') << shift;
  return helix_picture_format (fourcc);
}

/* Clears the frame. */
static GstSample *
make_sample (HelixFrame *frame)
{
  GstVideoFormat format = opaque_format (frame->info.fourcc);
  guint width = frame->info.width, height = frame->info.height;
  gsize offset[GST_VIDEO_MAX_PLANES] = {0};
  gint stride[GST_VIDEO_MAX_PLANES] = {(gint) frame->info.stride};
  g_autoptr (GstBuffer) buffer = gst_buffer_new ();
  g_autoptr (GstCaps) caps = NULL;
  GstVideoInfo info;

  gst_video_info_set_format (&info, format, width, height);
  GST_VIDEO_INFO_FPS_N (&info) = 0;
  caps = gst_video_info_to_caps (&info);
  gst_buffer_append_memory (buffer, helix_frame_steal_memory (frame));
  gst_buffer_add_video_meta_full (buffer, GST_VIDEO_FRAME_FLAG_NONE, format,
      width, height, 1, offset, stride);
  GST_BUFFER_PTS (buffer) = 0;
  return gst_sample_new (buffer, caps, NULL, NULL);
}

static gboolean
write_bytes (const gchar *where, const GstMapInfo *map, GError **error)
{
  gboolean standard = strcmp (where, "-") == 0, good;
  struct stat st;
  FILE *out;

  /* What is no regular file (/dev/null, a FIFO) is written to: a new file in
   * its place, which is what GLib would make, would be the end of it. */
  if (!standard && (stat (where, &st) < 0 || S_ISREG (st.st_mode)))
    return g_file_set_contents (
        where, (const gchar *) map->data, (gssize) map->size, error);
  out = standard ? stdout : fopen (where, "wbe");
  good = out != NULL && fwrite (map->data, 1, map->size, out) == map->size;
  good = good && fflush (out) == 0;
  if (!good)
    g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_IO, "cannot write to %s: %s",
        standard ? "standard output" : where, g_strerror (errno));
  if (!standard && out != NULL)
    fclose (out);
  return good;
}

static gboolean
write_png (HelixFrame *frame, const gchar *where, GError **error)
{
  g_autoptr (GstElementFactory) encoder = NULL;
  g_autoptr (GstSample) sample = make_sample (frame);
  g_autoptr (GstSample) rgb = NULL;
  g_autoptr (GstSample) png = NULL;
  /* Else pngenc would be given an alpha channel. */
  g_autoptr (GstCaps) three_bytes =
      gst_caps_from_string ("video/x-raw, format=RGB");
  g_autoptr (GstCaps) caps = gst_caps_new_empty_simple ("image/png");
  GstMapInfo map;
  gboolean good;

  encoder = gst_element_factory_find ("pngenc");
  if (encoder == NULL) {
    g_set_error (error, GST_CORE_ERROR, GST_CORE_ERROR_MISSING_PLUGIN,
        "GStreamer has no pngenc. Install gstreamer1.0-plugins-good");
    return FALSE;
  }
  rgb = gst_video_convert_sample (sample, three_bytes, PNG_TIME, error);
  if (rgb != NULL)
    png = gst_video_convert_sample (rgb, caps, PNG_TIME, error);
  if (png == NULL)
    return FALSE;
  gst_buffer_map (gst_sample_get_buffer (png), &map, GST_MAP_READ);
  good = write_bytes (where, &map, error);
  gst_buffer_unmap (gst_sample_get_buffer (png), &map);
  return good;
}

static gint
run (const HelixOptions *options, gint n, gchar **words)
{
  g_autofree gchar *where =
      output != NULL ? g_steal_pointer (&output) : g_strdup ("screen.png");
  g_autofree gchar *path = NULL;
  g_autoptr (GError) error = NULL;
  HelixProbe *probe;
  HelixFrame frame;
  guint width, height;

  if (scanout < 0 || scanout >= (gint) HELIX_MAX_SCANOUTS)
    return helix_tool_fail (HELIX_EXIT_USAGE, "scanouts go from 0 to 15");
  /* Which VM is meant, and whether it answers. */
  probe = helix_vms_greet_only (
      options->socket, helix_now_ns () + ANSWER_NS, &path, &error);
  if (probe == NULL)
    return helix_tool_fail (HELIX_EXIT_FAILED, "%s", error->message);
  helix_probe_free (probe);
  if (!gst_init_check (NULL, NULL, &error) || !get_frame (path, &frame, &error))
    return helix_tool_fail (HELIX_EXIT_FAILED, "%s", error->message);
  width = frame.info.width;
  height = frame.info.height;
  if (!write_png (&frame, where, &error))
    return helix_tool_fail (HELIX_EXIT_FAILED, "%s", error->message);
  if (strcmp (where, "-") != 0)
    printf ("%s: scanout %d, %ux%u\n", where, scanout, width, height);
  return HELIX_EXIT_GOOD;
}

const HelixCommand helix_snapshot = {
    .name = "snapshot",
    .what = "one picture of a screen, as PNG",
    .summary = "Writes one picture of a VM's screen as PNG, pixel for pixel.",
    .common = HELIX_OPTION_SOCKET,
    .entries = entries,
    .run = run,
};

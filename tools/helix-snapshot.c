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
/* Each for the conversion and for pngenc, of a large picture on a slow
 * machine. */
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

/* Clears the frame. A screen is opaque, and a guest may leave any value in the
 * alpha channel: AR24 is read as XR24, and so on. */
static GstSample *
make_sample (HelixFrame *frame)
{
  guint width = frame->info.width, height = frame->info.height;
  guint32 fourcc = frame->info.fourcc;
  gsize offset[GST_VIDEO_MAX_PLANES] = {0};
  gint stride[GST_VIDEO_MAX_PLANES] = {(gint) frame->info.stride};
  g_autoptr (GstBuffer) buffer = gst_buffer_new ();
  g_autoptr (GstCaps) caps = NULL;
  GstVideoFormat format;
  GstVideoInfo info;

  for (guint shift = 0; shift < 16; shift += 8)
    if ((fourcc >> shift & 0xff) == 'A')
      fourcc += (guint32) ('X' - 'A') << shift;
  format = helix_picture_format (fourcc);
  gst_video_info_set_format (&info, format, width, height);
  GST_VIDEO_INFO_FPS_N (&info) = 0;
  caps = gst_video_info_to_caps (&info);
  gst_buffer_append_memory (buffer, g_steal_pointer (&frame->memory));
  helix_frame_clear (frame);
  gst_buffer_add_video_meta_full (buffer, GST_VIDEO_FRAME_FLAG_NONE, format,
      width, height, 1, offset, stride);
  GST_BUFFER_PTS (buffer) = 0;
  return gst_sample_new (buffer, caps, NULL, NULL);
}

/* Not by helixqemusrc: GStreamer may load the plugin into this process, and a
 * type that is also linked into it cannot be registered twice.
 * Returns: the screen. NULL: `error` has a sentence for a person. */
static GstSample *
take_picture (const gchar *path, GError **error)
{
  const HelixFrameClientConfig config = {.path = path,
      .name = "helix " HELIX_PACKAGE_VERSION,
      .server_uid = helix_vms_server_uid ()};
  const HelixFrameRequest request = {.scanout = (guint) scanout, .rate_den = 1};
  HelixFrameClient *client = helix_frame_client_new (&config, &request);
  guint64 deadline = helix_now_ns () + FRAME_NS;
  HelixFramesResult result;
  HelixCursor cursor = {0};
  HelixFrame frame;
  gchar *last;

  if (client == NULL) {
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_FAILED,
        "%s: no pipe can be made to wait with: %s. Raise the limit of open "
        "files (ulimit -n)",
        path, g_strerror (errno));
    return NULL;
  }
  /* A warning ends it, too: it is a readback that failed. */
  do {
    helix_cursor_clear (&cursor);
    result = helix_frame_client_next (client, deadline, &frame, &cursor, error);
  } while (result == HELIX_FRAMES_CURSOR);
  helix_frame_client_free (client);
  if (result == HELIX_FRAMES_FRAME)
    return make_sample (&frame);
  if (result == HELIX_FRAMES_DARK) {
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND,
        "%s: scanout %d is off. helix list tells which are on, helix scanout "
        "%d 1920x1080 switches it on",
        path, scanout, scanout);
  } else if (result == HELIX_FRAMES_TIMEOUT) {
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_READ,
        "%s: no picture came within 5 s. helix doctor tells more", path);
  } else if (result == HELIX_FRAMES_WARNING
      && (last = g_strrstr ((*error)->message, ". ")) != NULL) {
    /* It says last that the shim tries again, for which this does not wait. */
    *last = '\0';
  }
  return NULL;
}

/* NULL: `error` has a sentence for a person. */
static GstSample *
make_png (GstSample *picture, GError **error)
{
  g_autoptr (GstElementFactory) encoder = gst_element_factory_find ("pngenc");
  /* From BGRx pngenc would be given an alpha channel. */
  g_autoptr (GstCaps) rgb_caps =
      gst_caps_from_string ("video/x-raw, format=RGB");
  g_autoptr (GstCaps) png_caps = gst_caps_new_empty_simple ("image/png");
  g_autoptr (GstSample) rgb = NULL;
  GstSample *png = NULL;

  if (encoder == NULL) {
    g_set_error (error, GST_CORE_ERROR, GST_CORE_ERROR_MISSING_PLUGIN,
        "no PNG can be made: GStreamer has no pngenc. Install "
        "gstreamer1.0-plugins-good");
    return NULL;
  }
  rgb = gst_video_convert_sample (picture, rgb_caps, PNG_TIME, error);
  if (rgb != NULL)
    png = gst_video_convert_sample (rgb, png_caps, PNG_TIME, error);
  if (png == NULL)
    g_prefix_error (error, "no PNG can be made: ");
  return png;
}

static gboolean
write_bytes (const gchar *where, const GstMapInfo *map, GError **error)
{
  gboolean standard = strcmp (where, "-") == 0, good;
  struct stat st;
  FILE *out;

  /* A new file in its place, which is what GLib makes, would be the end of a
   * FIFO or a device. */
  if (!standard && (stat (where, &st) < 0 || S_ISREG (st.st_mode)))
    return g_file_set_contents (
        where, (const gchar *) map->data, (gssize) map->size, error);
  out = standard ? stdout : fopen (where, "wbe");
  good = out != NULL && fwrite (map->data, 1, map->size, out) == map->size
      && fflush (out) == 0;
  if (!good)
    g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_IO, "cannot write to %s: %s",
        standard ? "standard output" : where, g_strerror (errno));
  if (!standard && out != NULL)
    fclose (out);
  return good;
}

static gint
run (const HelixOptions *options, gint n, gchar **words)
{
  const gchar *where = output != NULL ? output : "screen.png";
  g_autofree gchar *path = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GstSample) picture = NULL;
  g_autoptr (GstSample) png = NULL;
  const GstStructure *caps;
  guint64 deadline = helix_now_ns () + ANSWER_NS;
  GstMapInfo map;
  gint width = 0, height = 0;
  gboolean good;

  if (scanout < 0 || scanout >= (gint) HELIX_MAX_SCANOUTS)
    return helix_tool_fail (HELIX_EXIT_USAGE, "scanouts go from 0 to 15");
  /* Only to find the VM. */
  helix_probe_free (
      helix_vms_reach_only (options->socket, deadline, &path, &error));
  if (error != NULL || !gst_init_check (NULL, NULL, &error)
      || (picture = take_picture (path, &error)) == NULL
      || (png = make_png (picture, &error)) == NULL)
    return helix_tool_fail (HELIX_EXIT_FAILED, "%s", error->message);
  gst_buffer_map (gst_sample_get_buffer (png), &map, GST_MAP_READ);
  good = write_bytes (where, &map, &error);
  gst_buffer_unmap (gst_sample_get_buffer (png), &map);
  if (!good)
    return helix_tool_fail (HELIX_EXIT_FAILED, "%s", error->message);
  caps = gst_caps_get_structure (gst_sample_get_caps (png), 0);
  gst_structure_get (
      caps, "width", G_TYPE_INT, &width, "height", G_TYPE_INT, &height, NULL);
  if (strcmp (where, "-") != 0)
    printf ("%s: scanout %d, %dx%d\n", where, scanout, width, height);
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

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * helix snapshot: one frame, as PNG.
 */
#include <errno.h>
#include <gst/app/gstappsink.h>
#include <gst/video/video.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "gsthelixelements.h"
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

/* The screen as BGRx, by the plugin's own element. NULL: `error` has a sentence
 * for a person. */
static GstSample *
take_picture (const gchar *path, GError **error)
{
  g_autofree gchar *user =
      g_strdup_printf ("%lu", (gulong) helix_vms_server_uid ());
  g_autoptr (GstCaps) caps = gst_caps_from_string ("video/x-raw, format=BGRx");
  g_autoptr (GstElement) pipeline = gst_pipeline_new (NULL);
  g_autoptr (GstMessage) message = NULL;
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  GstElement *source = g_object_new (GST_TYPE_HELIX_QEMU_SRC, "socket-path",
      path, "scanout", scanout, "server-user", user, "auto-reconnect", FALSE,
      "num-buffers", 1, NULL);
  GstElement *sink = g_object_new (GST_TYPE_APP_SINK, "caps", caps, "sync",
      FALSE, "wait-on-eos", FALSE, NULL);
  GstSample *picture = NULL;
  gchar *last;

  gst_bin_add_many (GST_BIN (pipeline), source, sink, NULL);
  gst_element_link (source, sink);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  /* A warning ends it, too: it is a readback that failed. */
  message = gst_bus_timed_pop_filtered (bus, FRAME_NS,
      GST_MESSAGE_EOS | GST_MESSAGE_ERROR | GST_MESSAGE_WARNING
          | GST_MESSAGE_INFO);
  if (message == NULL) {
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_READ,
        "%s: no picture came within 5 s. helix doctor tells more", path);
  } else if (GST_MESSAGE_TYPE (message) != GST_MESSAGE_EOS) {
    gst_structure_get (gst_message_get_structure (message), "gerror",
        G_TYPE_ERROR, error, NULL);
    last = g_strrstr ((*error)->message, ". ");
    /* A warning ends with how the element goes on; this program does not. */
    if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_WARNING && last != NULL)
      *last = '\0';
  } else {
    picture = gst_app_sink_try_pull_sample (GST_APP_SINK (sink), 0);
    if (picture == NULL)
      g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND,
          "%s: the VM has ended. helix list tells which run", path);
  }
  gst_element_set_state (pipeline, GST_STATE_NULL);
  return picture;
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
  g_autoptr (HelixProbe) probe = NULL;
  g_autoptr (GstSample) picture = NULL;
  g_autoptr (GstSample) png = NULL;
  const GstStructure *caps;
  guint64 deadline = helix_now_ns () + ANSWER_NS;
  GstMapInfo map;
  gint width = 0, height = 0;
  gboolean good;

  if (scanout < 0 || scanout >= (gint) HELIX_MAX_SCANOUTS)
    return helix_tool_fail (HELIX_EXIT_USAGE, "scanouts go from 0 to 15");
  probe = helix_vms_greet_only (options->socket, deadline, &path, &error);
  if (probe == NULL)
    return helix_tool_fail (HELIX_EXIT_FAILED, "%s", error->message);
  /* What the VM does not have or say, the element's error explains. */
  if (helix_probe_list (probe, NULL, deadline, NULL)
      && (guint) scanout < probe->connection->welcome.scanouts
      && !helix_probe_scanout_on (probe, (guint) scanout))
    return helix_tool_fail (HELIX_EXIT_FAILED,
        "%s: scanout %d is off. helix list tells which are on, helix scanout "
        "%d 1920x1080 switches it on",
        path, scanout, scanout);
  g_clear_pointer (&probe, helix_probe_free);
  if (!gst_init_check (NULL, NULL, &error)
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

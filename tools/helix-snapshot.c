/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * helix snapshot: one frame, as PNG.
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

/* A frame of our subscription, in the shim's memory. */
typedef struct {
  struct helix_frame frame;
  struct helix_pool pool; /* pool_id 0: none came so far */
  struct helix_shm shm;
  guint8 *pixels; /* in `shm`, with the frame */
} Picture;

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

static GstSample *
make_sample (const Picture *picture)
{
  const struct helix_frame *frame = &picture->frame;
  gsize offset[GST_VIDEO_MAX_PLANES] = {0};
  gint stride[GST_VIDEO_MAX_PLANES] = {(gint) frame->stride};
  gsize size = (gsize) frame->stride * frame->height;
  g_autoptr (GstBuffer) buffer = gst_buffer_new_wrapped_full (
      GST_MEMORY_FLAG_READONLY, picture->pixels, size, 0, size, NULL, NULL);
  g_autoptr (GstCaps) caps = NULL;
  GstVideoInfo info;

  gst_video_info_set_format (
      &info, opaque_format (frame->fourcc), frame->width, frame->height);
  GST_VIDEO_INFO_FPS_N (&info) = 0;
  caps = gst_video_info_to_caps (&info);
  gst_buffer_add_video_meta_full (buffer, GST_VIDEO_FRAME_FLAG_NONE,
      GST_VIDEO_INFO_FORMAT (&info), frame->width, frame->height, 1, offset,
      stride);
  GST_BUFFER_PTS (buffer) = 0;
  return gst_sample_new (buffer, caps, NULL, NULL);
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
write_png (const Picture *picture, const gchar *output, GError **error)
{
  g_autoptr (GstElementFactory) encoder = NULL;
  g_autoptr (GstSample) sample = NULL;
  g_autoptr (GstSample) png = NULL;
  g_autoptr (GstCaps) caps = NULL;
  GstMapInfo map;
  gboolean good;

  if (!gst_init_check (NULL, NULL, error))
    return FALSE;
  encoder = gst_element_factory_find ("pngenc");
  if (encoder == NULL) {
    g_set_error (error, GST_CORE_ERROR, GST_CORE_ERROR_MISSING_PLUGIN,
        "GStreamer has no pngenc. Install gstreamer1.0-plugins-good");
    return FALSE;
  }
  sample = make_sample (picture);
  caps = gst_caps_new_empty_simple ("image/png");
  png = gst_video_convert_sample (sample, caps, PNG_TIME, error);
  if (png == NULL)
    return FALSE;
  gst_buffer_map (gst_sample_get_buffer (png), &map, GST_MAP_READ);
  good = write_bytes (output, &map, error);
  gst_buffer_unmap (gst_sample_get_buffer (png), &map);
  return good;
}

/* ---- receiving ---- */

/* Returns what is wrong with it, or NULL. */
static const gchar *
take_pool (Picture *picture, const HelixConnection *shim)
{
  const struct helix_reader *r = &shim->reader;
  const gchar *why = "its POOL came without memory";

  helix_shm_close (&picture->shm);
  if (helix_unpack_pool (&picture->pool, r->payload, r->payload_size, &why)
      && shim->passed_fd >= 0
      && helix_shm_open (&picture->shm, shim->passed_fd,
          picture->pool.total_size, picture->pool.kind == HELIX_POOL_SEALED,
          &why))
    return NULL;
  return why;
}

/* Returns what is wrong with it, or NULL. */
static const gchar *
take_frame (Picture *picture, const HelixConnection *shim)
{
  const struct helix_reader *r = &shim->reader;
  struct helix_rect rects[HELIX_MAX_RECTS];
  struct helix_frame *frame = &picture->frame;
  gsize offset, size;
  const gchar *why;

  if (!helix_unpack_frame (frame, rects, r->payload, r->payload_size, &why))
    return why;
  size = (gsize) frame->stride * frame->height;
  offset = (gsize) picture->pool.slot_size * frame->slot;
  if (picture->shm.bytes == NULL || frame->pool_id != picture->pool.pool_id
      || frame->slot >= picture->pool.slots || size > picture->pool.slot_size
      || helix_shm_fetch (&picture->shm, offset, size) < 0)
    return "what came is no frame with pixels";
  picture->pixels = picture->shm.bytes + offset;
  return NULL;
}

/* Waits for the frame of our subscription. */
static gboolean
receive (HelixProbe *probe, Picture *picture, GError **error)
{
  const HelixConnection *shim = probe->connection;
  guint64 end = helix_now_ns () + FRAME_NS;

  while (picture->pixels == NULL) {
    gint type = helix_probe_next (probe, end, error);
    const gchar *why = NULL;

    if (type < 0)
      return FALSE;
    if (type == 0 || helix_now_ns () > end) {
      g_set_error (error, HELIX_PROBE_ERROR, HELIX_LOSS_SILENT,
          "no picture came within 5 s");
      return FALSE;
    }
    if (shim->reader.header.channel != CHANNEL)
      continue;
    if (type == HELIX_ERROR) {
      g_set_error (error, HELIX_PROBE_ERROR, HELIX_LOSS_REFUSED,
          "refused (%s): %s", helix_error_name (shim->error.code), shim->text);
      return FALSE;
    }
    if (type == HELIX_POOL)
      why = take_pool (picture, shim);
    if (type == HELIX_FRAME)
      why = take_frame (picture, shim);
    if (why != NULL)
      return helix_probe_violation (probe, why, error);
  }
  return TRUE;
}

static gboolean
get_frame (HelixProbe *probe, guint scanout, Picture *picture, GError **error)
{
  const struct helix_subscribe subscribe = {.scanout = scanout, .rate_den = 1};
  guint all = probe->connection->welcome.scanouts;
  guint8 message[HELIX_MAX_MESSAGE];

  if (scanout >= all) {
    g_set_error (error, HELIX_PROBE_ERROR, HELIX_LOSS_REFUSED,
        "there is no scanout %u, the VM has 0 to %u", scanout, all - 1);
    return FALSE;
  }
  if (!helix_probe_list (probe, NULL, helix_now_ns () + ANSWER_NS, error))
    return FALSE;
  if (!helix_probe_scanout_on (probe, scanout)) {
    g_set_error (error, HELIX_PROBE_ERROR, HELIX_LOSS_REFUSED,
        "scanout %u is off. helix list tells which are on, helix scanout %u "
        "1920x1080 switches it on",
        scanout, scanout);
    return FALSE;
  }
  helix_probe_send (
      probe, message, helix_pack_subscribe (message, CHANNEL, &subscribe));
  return receive (probe, picture, error);
}

static gint
run (const gchar *socket, guint scanout, const gchar *output)
{
  g_autoptr (GError) error = NULL;
  g_autofree gchar *path = NULL;
  g_autoptr (HelixProbe) probe =
      helix_vms_greet_only (socket, helix_now_ns () + ANSWER_NS, &path, &error);
  Picture picture = {.shm = {.fd = -1}};
  gint status = HELIX_EXIT_FAILED;

  if (probe == NULL) {
    helix_tool_complain ("snapshot", "%s", error->message);
  } else if (!get_frame (probe, scanout, &picture, &error)) {
    helix_tool_complain ("snapshot", "%s: %s", path, error->message);
  } else if (!write_png (&picture, output, &error)) {
    helix_tool_complain ("snapshot", "%s", error->message);
  } else {
    if (strcmp (output, "-") != 0)
      printf ("%s: scanout %u, %ux%u\n", output, scanout, picture.frame.width,
          picture.frame.height);
    status = HELIX_EXIT_GOOD;
  }
  helix_shm_close (&picture.shm);
  return status;
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

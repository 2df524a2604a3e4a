/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a conversion takes: every path of this processor, and the threads.
 *
 *   helix-bench-convert [WIDTHxHEIGHT…]     1920x1080 and 3840x2160 unless told
 *
 * Each line is one kind of output; its figures are ms a picture, the median and
 * (least) of ROUNDS rounds in which all take turns. Pictures come from a ring
 * that no cache holds: a slot has just been written by another processor.
 */
#include <stdio.h>
#include <stdlib.h>

#include "helix-convert.h"
#include "helix-parallel.h"
#include "helix-platform.h"
#include "helix-yuv.h"

#define ROUNDS 31
#define RING (128u << 20) /* bytes: more than the caches of one machine */

/* One kernel, or helix_convert_run () with so many threads. */
typedef struct {
  gchar *name;
  guint path;
  HelixConvert *convert; /* NULL: the kernel */
  gdouble ms[ROUNDS];
} Arm;

typedef struct {
  HelixPicture picture;
  guint8 *ring;
  guint pictures, next;
  GstVideoInfo info;
  GstBuffer *buffer;
  helix_region all;
} Bench;

static void
run_kernel (const HelixPicture *picture, GstVideoFrame *out, guint path)
{
  gboolean planar = GST_VIDEO_FRAME_FORMAT (out) == GST_VIDEO_FORMAT_I420;
  struct helix_yuv_weights weights;

  helix_yuv_weigh (&weights, 2, 1, 0);
  for (guint y = 0; y < picture->height; y += 2) {
    guint ahead = MIN (y + 4, picture->height - 2);
    guint8 *luma = GST_VIDEO_FRAME_PLANE_DATA (out, 0);
    gint stride = GST_VIDEO_FRAME_PLANE_STRIDE (out, 0);
    struct helix_yuv_rows rows = {
        .rgb = {helix_picture_row (picture, y),
            helix_picture_row (picture, y + 1)},
        .next = {helix_picture_row (picture, ahead),
            helix_picture_row (picture, ahead + 1)},
        .luma = {luma + (gint) y * stride, luma + ((gint) y + 1) * stride},
        .u = (guint8 *) GST_VIDEO_FRAME_PLANE_DATA (out, 1)
            + (gint) y / 2 * GST_VIDEO_FRAME_PLANE_STRIDE (out, 1),
        .v = planar ? (guint8 *) GST_VIDEO_FRAME_PLANE_DATA (out, 2)
                + (gint) y / 2 * GST_VIDEO_FRAME_PLANE_STRIDE (out, 2)
                    : NULL,
    };

    helix_yuv_convert (path, &weights, &rows, 0, picture->width);
  }
}

static gdouble
measure (Bench *bench, Arm *arm)
{
  HelixPicture *picture = &bench->picture;
  GstVideoFrame frame;
  guint64 begin;

  picture->pixels =
      bench->ring + (gsize) bench->next * picture->stride * picture->height;
  bench->next = (bench->next + 1) % bench->pictures;
  begin = helix_now_ns ();
  if (arm->convert != NULL) {
    helix_convert_run (
        arm->convert, picture, NULL, &bench->all, bench->buffer, FALSE);
  } else {
    gst_video_frame_map (&frame, &bench->info, bench->buffer, GST_MAP_WRITE);
    run_kernel (picture, &frame, arm->path);
    gst_video_frame_unmap (&frame);
  }
  return (gdouble) (helix_now_ns () - begin) / 1e6;
}

static int
compare (const void *a, const void *b)
{
  gdouble x = *(const gdouble *) a, y = *(const gdouble *) b;

  return x < y ? -1 : x > y;
}

static guint
make_arms (Bench *bench, Arm arms[16])
{
  const char *name;
  bool usable;
  guint n = 0;

  for (guint path = 0; (name = helix_yuv_path (path, &usable)) != NULL; path++)
    if (usable)
      arms[n++] = (Arm){.name = g_strdup (name), .path = path};
  for (guint threads = 1; threads <= HELIX_PARALLEL_MOST; threads *= 2) {
    arms[n] = (Arm){.name = g_strdup_printf ("%u threads", threads),
        .convert = helix_convert_new (threads)};
    helix_convert_configure (arms[n++].convert, &bench->picture, &bench->info);
  }
  return n;
}

static void
run (Bench *bench, guint width, guint height, GstVideoFormat format)
{
  Arm arms[16];
  guint n;

  gst_video_info_set_format (&bench->info, format, width, height);
  gst_video_colorimetry_from_string (
      &bench->info.colorimetry, GST_VIDEO_COLORIMETRY_BT709);
  bench->info.chroma_site = GST_VIDEO_CHROMA_SITE_JPEG;
  bench->buffer = gst_buffer_new_allocate (NULL, bench->info.size, NULL);
  bench->picture = (HelixPicture){
      bench->ring, width, height, width * 4, GST_VIDEO_FORMAT_BGRx};
  bench->next = 0;
  bench->pictures = RING / (width * height * 4);
  n = make_arms (bench, arms);
  for (guint round = 0; round < ROUNDS; round++)
    for (guint i = 0; i < n; i++)
      arms[i].ms[round] = measure (bench, &arms[i]);
  printf ("%ux%u %s:", width, height, gst_video_format_to_string (format));
  for (guint i = 0; i < n; i++) {
    qsort (arms[i].ms, ROUNDS, sizeof arms[i].ms[0], compare);
    printf (" %s %.2f (%.2f)%s", arms[i].name, arms[i].ms[ROUNDS / 2],
        arms[i].ms[0], i + 1 < n ? "," : " ms\n");
    g_free (arms[i].name);
    g_clear_pointer (&arms[i].convert, helix_convert_free);
  }
  gst_buffer_unref (bench->buffer);
}

int
main (int argc, char **argv)
{
  const gchar *standard[] = {"1920x1080", "3840x2160"};
  const gchar **sizes = argc > 1 ? (const gchar **) argv + 1 : standard;
  Bench bench = {.ring = g_malloc (RING)};

  gst_init (NULL, NULL);
  memset (bench.ring, 0x5a, RING);
  pixman_region32_init (&bench.all);
  helix_region_fill (&bench.all, HELIX_MAX_DIMENSION, HELIX_MAX_DIMENSION);
  for (gint i = 0; i < (argc > 1 ? argc - 1 : 2); i++) {
    guint width, height;

    if (sscanf (sizes[i], "%ux%u", &width, &height) != 2 || width < 2
        || height < 2 || width % 2 || height % 2
        || (guint64) width * height * 4 > RING) {
      fprintf (stderr, "helix-bench-convert: %s: no even size\n", sizes[i]);
      return 2;
    }
    run (&bench, width, height, GST_VIDEO_FORMAT_NV12);
    run (&bench, width, height, GST_VIDEO_FORMAT_I420);
  }
  pixman_region32_fini (&bench.all);
  g_free (bench.ring);
  return 0;
}

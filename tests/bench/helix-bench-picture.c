/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-bench-picture.h"

#include "helix-marker.h"
#include "helix-sim-screen.h"

/* Pictures that may have been skipped, or drawn before the first was seen. */
#define SEARCH 20000u

typedef struct {
  const guint8 *plane;
  guint32 stride, step;
} Grey;

static gboolean
find_badge (
    const Grey *grey, const GstVideoInfo *info, guint32 last, guint32 *number)
{
  guint32 width = (guint32) GST_VIDEO_INFO_WIDTH (info);
  guint32 height = (guint32) GST_VIDEO_INFO_HEIGHT (info);

  for (guint32 n = MAX (last, 1); n < last + SEARCH; n++) {
    struct helix_rect box = helix_sim_box_place (width, height, n);

    if (helix_badge_read (
            grey->plane + (gsize) box.y * grey->stride + box.x * grey->step,
            grey->stride, grey->step, number)
        && *number == n)
      return TRUE;
  }
  return FALSE;
}

gboolean
helix_bench_picture_number (GstBuffer *buffer, const GstVideoInfo *info,
    gboolean box, guint32 last, guint32 *number)
{
  GstVideoFrame frame;
  gboolean found;
  Grey grey;

  if (!gst_video_frame_map (&frame, info, buffer, GST_MAP_READ))
    return FALSE;
  grey.plane = GST_VIDEO_FRAME_PLANE_DATA (&frame, 0);
  grey.stride = (guint32) GST_VIDEO_FRAME_PLANE_STRIDE (&frame, 0);
  grey.step = (guint32) GST_VIDEO_FRAME_COMP_PSTRIDE (&frame, 0);
  if (GST_VIDEO_INFO_IS_RGB (info))
    grey.plane += GST_VIDEO_FRAME_COMP_POFFSET (&frame, 1); /* green */
  found = box ? find_badge (&grey, info, last, number)
              : helix_marker_read (grey.plane, grey.stride, grey.step, number);
  gst_video_frame_unmap (&frame);
  return found;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-convert.h"

struct _HelixConvert {
  GstVideoConverter *converter; /* NULL until configured */
  GstVideoInfo input, output;
};

HelixConvert *
helix_convert_new (void)
{
  return g_new0 (HelixConvert, 1);
}

void
helix_convert_free (HelixConvert *convert)
{
  g_clear_pointer (&convert->converter, gst_video_converter_free);
  g_free (convert);
}

gboolean
helix_convert_configure (HelixConvert *convert, const HelixPicture *picture,
    const GstVideoInfo *output)
{
  GstStructure *options;

  g_clear_pointer (&convert->converter, gst_video_converter_free);
  helix_picture_info (picture, &convert->input);
  convert->output = *output;
  /* Only pixels are converted: the converter insists on equal rates. */
  convert->input.fps_n = output->fps_n;
  convert->input.fps_d = output->fps_d;
  /* Dithering would make two conversions of one picture differ. */
  options = gst_structure_new ("GstVideoConverter",
      GST_VIDEO_CONVERTER_OPT_DITHER_METHOD, GST_TYPE_VIDEO_DITHER_METHOD,
      GST_VIDEO_DITHER_NONE, NULL);
  convert->converter =
      gst_video_converter_new (&convert->input, &convert->output, options);
  return convert->converter != NULL;
}

/* The picture as a frame of the converter, top row first: an inverted one is
 * walked from its end, with a negative stride. */
static void
borrow (
    GstVideoFrame *frame, const GstVideoInfo *info, const HelixPicture *picture)
{
  guint8 *pixels = (guint8 *) picture->pixels; /* read only, all the same */

  memset (frame, 0, sizeof *frame);
  frame->info = *info;
  if (picture->y_inverted) {
    frame->data[0] = pixels + (gsize) (picture->height - 1) * picture->stride;
    frame->info.stride[0] = -(gint) picture->stride;
  } else {
    frame->data[0] = pixels;
    frame->info.stride[0] = (gint) picture->stride;
  }
}

gboolean
helix_convert_run (HelixConvert *convert, const HelixPicture *picture,
    const HelixDamage *damage, GstBuffer *buffer)
{
  GstVideoFrame in, out;

  g_return_val_if_fail (convert->converter != NULL, FALSE);
  if (!gst_video_frame_map (&out, &convert->output, buffer, GST_MAP_WRITE))
    return FALSE;
  borrow (&in, &convert->input, picture);
  gst_video_converter_frame (convert->converter, &in, &out);
  gst_video_frame_unmap (&out);
  return TRUE;
}

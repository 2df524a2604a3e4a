/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-convert.h"

#include <pixman.h>

#include "helix-yuv.h"

/* Pictures whose damage is remembered. A buffer that was out for longer is
 * converted whole: pools of encoders are smaller than this. */
#define HISTORY 16

struct _HelixConvert {
  GstVideoConverter *converter; /* NULL if helix_yuv does it */
  GstVideoInfo input, output;
  gboolean configured;
  /* `epoch` tells this configuration from every other of the process,
   * `serial` counts its pictures; damage[n % HISTORY] led to picture n. */
  guint64 epoch, serial;
  HelixDamage damage[HISTORY];
  guint64 converted_bytes;
};

/* What a canvas holds. */
typedef struct {
  guint64 epoch, serial;
} Content;

static GQuark
content_quark (void)
{
  static GQuark quark; /* the same whoever sets it first */

  if (quark == 0)
    quark = g_quark_from_static_string ("helix-convert-content");
  return quark;
}

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
  static guint64 epochs; /* atomic */
  GstStructure *options;

  g_clear_pointer (&convert->converter, gst_video_converter_free);
  convert->configured = FALSE;
  convert->epoch = __atomic_add_fetch (&epochs, 1, __ATOMIC_RELAXED);
  convert->serial = 0;
  helix_picture_info (picture, &convert->input);
  convert->output = *output;
  if (!helix_yuv_supports (picture, output)) {
    /* Only pixels are converted: the converter insists on equal rates. */
    convert->input.fps_n = output->fps_n;
    convert->input.fps_d = output->fps_d;
    /* Dithering would make two conversions of one picture differ. */
    options = gst_structure_new ("GstVideoConverter",
        GST_VIDEO_CONVERTER_OPT_DITHER_METHOD, GST_TYPE_VIDEO_DITHER_METHOD,
        GST_VIDEO_DITHER_NONE, NULL);
    convert->converter =
        gst_video_converter_new (&convert->input, &convert->output, options);
    if (convert->converter == NULL)
      return FALSE;
  }
  convert->configured = TRUE;
  return TRUE;
}

/* The picture as a frame of the converter, top row first: an inverted one is
 * walked from its end, with a negative stride. */
static void
borrow (
    GstVideoFrame *frame, const GstVideoInfo *info, const HelixPicture *picture)
{
  memset (frame, 0, sizeof *frame);
  frame->info = *info;
  /* Read only, all the same. */
  frame->data[0] = (guint8 *) helix_picture_row (picture, 0);
  frame->info.stride[0] =
      picture->y_inverted ? -(gint) picture->stride : (gint) picture->stride;
}

/* What `buffer` lacks of the newest picture: FALSE = everything. */
static gboolean
find_missing (
    HelixConvert *convert, GstBuffer *buffer, pixman_region32_t *missing)
{
  const Content *content =
      gst_mini_object_get_qdata (GST_MINI_OBJECT (buffer), content_quark ());

  if (content == NULL || content->epoch != convert->epoch
      || convert->serial - content->serial > HISTORY)
    return FALSE;
  for (guint64 s = content->serial + 1; s <= convert->serial; s++) {
    const HelixDamage *damage = &convert->damage[s % HISTORY];

    if (damage->full)
      return FALSE;
    for (guint i = 0; i < damage->n; i++) {
      const struct helix_rect *rect = &damage->rects[i];

      pixman_region32_union_rect (missing, missing, (int) rect->x,
          (int) rect->y, rect->width, rect->height);
    }
  }
  pixman_region32_intersect_rect (missing, missing, 0, 0,
      GST_VIDEO_INFO_WIDTH (&convert->output),
      GST_VIDEO_INFO_HEIGHT (&convert->output));
  return TRUE;
}

static void
remember (HelixConvert *convert, GstBuffer *buffer)
{
  Content *content =
      gst_mini_object_get_qdata (GST_MINI_OBJECT (buffer), content_quark ());

  if (content == NULL) {
    content = g_new (Content, 1);
    gst_mini_object_set_qdata (
        GST_MINI_OBJECT (buffer), content_quark (), content, g_free);
  }
  content->epoch = convert->epoch;
  content->serial = convert->serial;
}

/* Converts what is missing of the newest picture. */
static void
update (HelixConvert *convert, const HelixPicture *picture,
    GstVideoFrame *frame, const pixman_region32_t *missing)
{
  int n = 0;
  const pixman_box32_t *box =
      pixman_region32_rectangles ((pixman_region32_t *) missing, &n);

  for (int i = 0; i < n; i++) {
    struct helix_rect rect = {
        .x = (guint32) box[i].x1,
        .y = (guint32) box[i].y1,
        .width = (guint32) (box[i].x2 - box[i].x1),
        .height = (guint32) (box[i].y2 - box[i].y1),
    };

    helix_yuv_convert (picture, frame, &rect);
    convert->converted_bytes += (guint64) rect.width * rect.height * 4;
  }
}

gboolean
helix_convert_run (HelixConvert *convert, const HelixPicture *picture,
    const HelixDamage *damage, GstBuffer *buffer, gboolean canvas)
{
  pixman_region32_t missing;
  GstVideoFrame in, out;
  gboolean ok;

  g_return_val_if_fail (convert->configured, FALSE);
  convert->serial++;
  convert->damage[convert->serial % HISTORY] = *damage;
  if (!gst_video_frame_map (&out, &convert->output, buffer, GST_MAP_WRITE))
    return FALSE;
  if (convert->converter != NULL) {
    borrow (&in, &convert->input, picture);
    gst_video_converter_frame (convert->converter, &in, &out);
    convert->converted_bytes += (guint64) picture->width * picture->height * 4;
  } else {
    pixman_region32_init (&missing);
    ok = canvas && find_missing (convert, buffer, &missing);
    if (!ok) {
      pixman_region32_fini (&missing);
      pixman_region32_init_rect (
          &missing, 0, 0, picture->width, picture->height);
    }
    update (convert, picture, &out, &missing);
    pixman_region32_fini (&missing);
    if (canvas)
      remember (convert, buffer);
  }
  gst_video_frame_unmap (&out);
  return TRUE;
}

guint64
helix_convert_get_bytes (const HelixConvert *convert)
{
  return convert->converted_bytes;
}

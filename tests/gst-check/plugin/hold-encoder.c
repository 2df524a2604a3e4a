/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hold-encoder.h"

#include <gst/video/gstvideoencoder.h>

typedef struct {
  GstVideoEncoder parent;
  guint hold;
  GQueue frames; /* held */
} HoldEncoder;

typedef struct {
  GstVideoEncoderClass parent;
} HoldEncoderClass;

enum { PROP_0, PROP_HOLD };

GType hold_encoder_get_type (void);
G_DEFINE_TYPE (HoldEncoder, hold_encoder, GST_TYPE_VIDEO_ENCODER)

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE (
    "sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS ("video/x-raw"));
static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE (
    "src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS ("image/jpeg"));

static GstFlowReturn
let_go (HoldEncoder *self, guint keep)
{
  GstFlowReturn flow = GST_FLOW_OK;

  while (self->frames.length > keep) {
    GstVideoCodecFrame *frame = g_queue_pop_head (&self->frames);

    frame->output_buffer = gst_buffer_new_allocate (NULL, 16, NULL);
    gst_buffer_memset (frame->output_buffer, 0, 0, 16);
    GST_VIDEO_CODEC_FRAME_SET_SYNC_POINT (frame);
    flow = gst_video_encoder_finish_frame (GST_VIDEO_ENCODER (self), frame);
  }
  return flow;
}

static GstFlowReturn
hold_encoder_handle_frame (GstVideoEncoder *encoder, GstVideoCodecFrame *frame)
{
  HoldEncoder *self = (HoldEncoder *) encoder;

  g_queue_push_tail (&self->frames, frame);
  return let_go (self, self->hold);
}

static GstFlowReturn
hold_encoder_finish (GstVideoEncoder *encoder)
{
  return let_go ((HoldEncoder *) encoder, 0);
}

static gboolean
hold_encoder_flush (GstVideoEncoder *encoder)
{
  HoldEncoder *self = (HoldEncoder *) encoder;
  GstVideoCodecFrame *frame;

  while ((frame = g_queue_pop_head (&self->frames)) != NULL)
    gst_video_codec_frame_unref (frame);
  return TRUE;
}

static gboolean
hold_encoder_set_format (GstVideoEncoder *encoder, GstVideoCodecState *state)
{
  let_go ((HoldEncoder *) encoder, 0);
  gst_video_codec_state_unref (gst_video_encoder_set_output_state (
      encoder, gst_caps_new_empty_simple ("image/jpeg"), state));
  return TRUE;
}

static void
set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  ((HoldEncoder *) object)->hold = g_value_get_uint (value);
}

static void
hold_encoder_class_init (HoldEncoderClass *klass)
{
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);
  GstVideoEncoderClass *encoder_class = GST_VIDEO_ENCODER_CLASS (klass);

  G_OBJECT_CLASS (klass)->set_property = set_property;
  g_object_class_install_property (G_OBJECT_CLASS (klass), PROP_HOLD,
      g_param_spec_uint ("hold", "Hold", "Pictures to keep", 0, G_MAXUINT, 0,
          G_PARAM_WRITABLE | G_PARAM_STATIC_STRINGS));
  gst_element_class_add_static_pad_template (element_class, &sink_template);
  gst_element_class_add_static_pad_template (element_class, &src_template);
  gst_element_class_set_static_metadata (element_class, "Holding encoder",
      "Codec/Encoder/Video", "Holds pictures back", "gst-helix's tests");
  encoder_class->handle_frame = hold_encoder_handle_frame;
  encoder_class->finish = hold_encoder_finish;
  encoder_class->flush = hold_encoder_flush;
  encoder_class->stop = hold_encoder_flush;
  encoder_class->set_format = hold_encoder_set_format;
}

static void
hold_encoder_init (HoldEncoder *self)
{
  g_queue_init (&self->frames);
}

void
hold_encoder_register (void)
{
  gst_element_register (
      NULL, "holdenc", GST_RANK_NONE, hold_encoder_get_type ());
}

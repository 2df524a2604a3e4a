/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The element's inside: gsthelixguestsink.c is the sink,
 * gsthelixguestsink-props.c its properties and signals,
 * gsthelixguestsink-control.c what guests make it do.
 */
#ifndef GST_HELIX_GUEST_SINK_PRIVATE_H
#define GST_HELIX_GUEST_SINK_PRIVATE_H

#include "gsthelixguestsink.h"

#include "gsthelixendpoint.h"
#include "helix-annexb.h"
#include "helix-stream-server.h"

G_BEGIN_DECLS

struct _GstHelixGuestSink {
  GstBaseSink parent;

  /* properties, under the object lock */
  GstHelixEndpoint endpoint;
  guint max_clients;
  GstHelixRecoverPolicy recover_policy;
  gboolean control_encoder;
  gboolean insecure;
  guint max_age; /* ms */

  guint id; /* tells it apart from other sinks behind one helixqemusrc */
  HelixStreamServer *server; /* from PAUSED on; set under the object lock */

  /* of the streaming thread */
  HelixAnnexb *annexb; /* NULL: the codec needs no conversion */
  gboolean all_key;    /* JPEG */
  gboolean complained; /* about the encoder's data, since the last caps */
  guint64 last_running_time;
  guint64 out_time; /* all up to this running time is out; NONE: nothing */

  /* of the server's thread */
  guint warned;            /* bits of what was said already */
  guint64 show_refused_ns; /* when a guest was last told so */

  gboolean cursor_warned; /* under the object lock */
};

typedef enum {
  GST_HELIX_GUEST_SINK_CLIENT_ADDED,
  GST_HELIX_GUEST_SINK_CLIENT_REMOVED,
  GST_HELIX_GUEST_SINK_CLIENT_CONTROL,
  GST_HELIX_GUEST_SINK_N_SIGNALS,
} GstHelixGuestSinkSignal;

extern guint gst_helix_guest_sink_signals[GST_HELIX_GUEST_SINK_N_SIGNALS];

/* Sets set_property and get_property, installs properties and signals. */
void gst_helix_guest_sink_install (GObjectClass *object_class);
void gst_helix_guest_sink_init_properties (GstHelixGuestSink *self);

/* For helix_stream_server_new (), with the element as `user`. */
extern const HelixStreamServerCallbacks gst_helix_guest_sink_callbacks;

/* A GstHelixCursor event from upstream. From any thread. */
void gst_helix_guest_sink_take_cursor (
    GstHelixGuestSink *self, GstEvent *event);

/* Tells helixqemusrc that everything up to this running time is out of the
 * encoder (NONE64: nothing is yet), so that it knows what to repeat. */
void gst_helix_guest_sink_report (GstHelixGuestSink *self, guint64 out_time);

/* Tells the server what it serves, for those who ask. */
void gst_helix_guest_sink_describe (
    GstHelixGuestSink *self, const struct helix_caps *caps);

G_END_DECLS

#endif /* GST_HELIX_GUEST_SINK_PRIVATE_H */

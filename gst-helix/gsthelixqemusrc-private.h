/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the element (gsthelixqemusrc.c) and its properties
 * (gsthelixqemusrc-props.c) share.
 */
#ifndef GST_HELIX_QEMU_SRC_PRIVATE_H
#define GST_HELIX_QEMU_SRC_PRIVATE_H

#include "gsthelixqemusrc.h"

#include "helix-convert.h"
#include "helix-frame-client.h"
#include "helix-picture.h"

G_BEGIN_DECLS

/* What the element itself counts. */
typedef struct {
  guint64 frames, repeated, copied; /* buffers */
  guint64 convert_ns, latency_ns;
  guint64 converted; /* bytes of picture that were read to convert or copy */
  guint64 sequence;
  guint32 generation, width, height;
} GstHelixQemuSrcCounters;

struct _GstHelixQemuSrc {
  GstPushSrc parent;

  /* under the object lock */
  gchar *socket_path;
  guint scanout, resource_id;
  gint max_num, max_den;
  guint keepalive_time; /* ms */
  gboolean auto_reconnect;
  guint reconnect_timeout; /* ms */
  gboolean shared_memory;
  gint rate_num, rate_den;  /* asked of the shim: the lower of max-framerate
                              and what downstream insists on */
  HelixFrameClient *client; /* from start to stop */
  GstHelixQemuSrcCounters counters;

  /* the streaming thread's */
  gboolean shaped; /* `picture` and `info` are known */
  HelixPicture picture;
  GstVideoInfo info;
  HelixConvert *convert;
  gboolean downstream_meta; /* takes GstVideoMeta */
  gboolean own_pool;        /* buffers to convert into are our canvases */
  GstBuffer *last;          /* to be repeated; NULL before the first */
  guint64 pushed_ns;
  GstClockTime last_pts;
  guint reconnects; /* seen so far */
};

/* With the object lock: what to ask the shim for. */
void gst_helix_qemu_src_fill_wish (GstHelixQemuSrc *self, HelixFrameWish *wish);
/* With the object lock: asks it anew, if there is a client. */
void gst_helix_qemu_src_subscribe (GstHelixQemuSrc *self);

/* Defaults of a new element. */
void gst_helix_qemu_src_init_properties (GstHelixQemuSrc *self);
/* Sets set_property and get_property, installs what they serve. */
void gst_helix_qemu_src_install_properties (GObjectClass *object_class);

G_END_DECLS

#endif /* GST_HELIX_QEMU_SRC_PRIVATE_H */

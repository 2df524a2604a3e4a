/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the element (gsthelixsrc.c) and its properties (gsthelixsrc-props.c)
 * share.
 */
#ifndef GST_HELIX_SRC_PRIVATE_H
#define GST_HELIX_SRC_PRIVATE_H

#include "gsthelixendpoint.h"
#include "gsthelixsrc.h"
#include "helix-stream-client.h"
#include "helix-stream-latency.h"
#include "helix-stream-timing.h"

G_BEGIN_DECLS

struct _GstHelixSrc {
  GstPushSrc parent;

  /* under the object lock */
  GstHelixEndpoint endpoint;
  gboolean auto_reconnect;
  guint reconnect_timeout;    /* ms */
  guint max_age;              /* ms */
  struct helix_config wished; /* `fields`: what was set at all */
  HelixStreamClient *client;  /* from PAUSED on */
  HelixStreamLatency latency;

  gint unread; /* atomic: messages about the pointer that nobody took yet */

  /* of the streaming thread */
  HelixStreamTiming timing;
  GstBuffer *owed; /* image that no message carried yet, or NULL, */
  guint owed_serial;
};

/* Defaults of a new element. */
void gst_helix_src_init_properties (GstHelixSrc *self);
/* Sets set_property and get_property, installs what they serve. */
void gst_helix_src_install_properties (GObjectClass *object_class);

G_END_DECLS

#endif /* GST_HELIX_SRC_PRIVATE_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pipelines of the stream's tests: made from text, played, asked, ended. Each
 * function fails the test when it cannot do what it is for.
 */
#ifndef STREAM_PIPELINE_H
#define STREAM_PIPELINE_H

#include <gst/gst.h>

GstElement *pipeline_launch (const gchar *format, ...) G_GNUC_PRINTF (1, 2);
/* Returns its argument. */
GstElement *pipeline_play (GstElement *pipeline);
void pipeline_end (GstElement *pipeline);
/* What comes out of the appsink "out" within PEER_TIMEOUT_MS. */
GstSample *pipeline_pull (GstElement *pipeline);
/* The text of the next message of that type, NULL if the type has none. */
gchar *pipeline_message_of (GstElement *pipeline, GstMessageType type);

#endif /* STREAM_PIPELINE_H */

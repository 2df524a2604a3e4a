/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pipelines of the stream's tests: made from text, played, asked, ended. Each
 * function fails the test when it cannot do what it is for.
 */
#ifndef STREAM_PIPELINE_H
#define STREAM_PIPELINE_H

#include <gst/gst.h>

/* Whether there are all of these elements, with a space between two. */
gboolean have_elements (const gchar *names);
GstElement *pipeline_launch (const gchar *format, ...) G_GNUC_PRINTF (1, 2);
/* Returns its argument. */
GstElement *pipeline_play (GstElement *pipeline);
void pipeline_end (GstElement *pipeline);
/* What comes out of the appsink "out" within PEER_TIMEOUT_MS. */
GstSample *pipeline_pull (GstElement *pipeline);
/* The text of the next message of that type, NULL if the type has none. */
gchar *pipeline_message_of (GstElement *pipeline, GstMessageType type);
/* The next message of that type, on the bus of a pipeline or of an element
 * alone, contains `word`. */
void pipeline_expect (
    GstElement *pipeline, GstMessageType type, const gchar *word);
/* There is no warning and no error. */
void pipeline_expect_quiet (GstElement *pipeline);
/* A field of the property `stats`, which must be there; of the element "NAME"
 * of a pipeline. */
guint64 element_stat (GstElement *element, const gchar *field);
guint64 pipeline_stat (
    GstElement *pipeline, const gchar *name, const gchar *field);
/* A property of type string is `wanted`; NULL = it is not set. */
void element_expect_text (
    GstElement *element, const gchar *property, const gchar *wanted);
/* The address in its `stats`: with the port that it got. */
gchar *element_address (GstElement *element);
/* The number of the marker in the luma of a picture. FALSE: no marker. */
gboolean sample_marker (GstSample *sample, guint32 *number);
/* A time that a meta of a buffer says, by its caps; 0: it has none. */
guint64 buffer_time (GstBuffer *buffer, const gchar *caps);
guint64 buffer_capture (GstBuffer *buffer);

#endif /* STREAM_PIPELINE_H */

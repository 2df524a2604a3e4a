/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where the ends of a stream meet in a test of elements. */
#ifndef STREAM_FIXTURE_H
#define STREAM_FIXTURE_H

#include <gst/check/gstcheck.h>
#include <gst/check/gstharness.h>

#include "stream-peer.h"

/* A temporary folder, a socket's path in it, and its address, unix:PATH. */
extern gchar *folder, *path, *address;

/* A suite of one test case whose tests have these three. */
Suite *stream_suite (const gchar *name, gdouble timeout, TCase **tc);

/* A helixguestsink at `address`, and a harness, with a bus, for one. It takes
 * `sink` and sends `caps`, if these are not NULL. */
GstElement *fixture_sink_new (void);
GstHarness *fixture_harness_new (GstElement *sink, const gchar *caps);
/* An encoded picture of `size` bytes. */
GstBuffer *fixture_unit (
    guint8 value, gsize size, GstClockTime pts, gboolean delta);

/* Answers PINGs until the element "NAME" knows the peer's clock to 0.5 ms. */
void fixture_teach_clock (
    GstElement *pipeline, const gchar *name, StreamPeer *peer);

#endif /* STREAM_FIXTURE_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A helixqemusrc that plays, a shim or sim for it at `path` of stream_suite (),
 * and its bus: one of each a test. */
#ifndef QEMUSRC_FIXTURE_H
#define QEMUSRC_FIXTURE_H

#include <gst/check/gstcheck.h>
#include <gst/check/gstharness.h>
#include <gst/video/video.h>

#include "fake-shim.h"
#include "helix-platform.h"
#include "helix-test-time.h"
#include "sim-child.h"
#include "stream-fixture.h"
#include "stream-pipeline.h"

extern FakeShim *shim;
extern SimChild *sim;
extern GstHarness *h;
extern GstBus *bus;

/* A shim of 640x96 with two scanouts, or of `config`, and an element with these
 * properties before a downstream that takes `caps`: plays it until it has
 * subscribed. */
void play (
    const FakeConfig *config, const gchar *caps, const gchar *first, ...);
/* The same of a sim with these options; does not wait. */
void play_sim (
    const gchar *options, const gchar *caps, const gchar *first, ...);
/* Not in teardown: GstCheck waits for GStreamer's threads before that. */
void finish (void);

/* From downstream's caps; after finish (), what they were. */
GstVideoInfo video_info (void);
/* The number of the marker, which must be there. */
guint32 number_of (GstBuffer *buffer);
/* The next buffer, which must come; its number; it must have this number. */
GstBuffer *pull (void);
guint32 pull_number (void);
GstBuffer *expect_buffer (guint32 number);
/* The next buffer with a new picture, past repetitions. */
GstBuffer *pull_new (void);

/* Another size from here on, and a frame of it. */
void send_size (guint width, guint height, guint32 number);
/* Sends a frame with this number, all of which changed. */
void send_frame (guint32 number);
/* Sends it and takes its buffer. */
void show_frame (guint32 number);
guint64 stat_of (const gchar *name);
/* Waits until a field of the statistics is `least` or more; takes all buffers
 * that come meanwhile. */
void await_stat (const gchar *name, guint64 least);
/* Compares the first `components` of two frames of the same layout: the sum of
 * the differences. Fails where one is more than `most`. */
guint64 compare_frames (GstVideoInfo *info, GstBuffer *got, GstBuffer *want,
    guint components, gint most);
/* Downstream takes these caps from now on. */
void renegotiate (const gchar *caps);
/* Waits for so many SUBSCRIBEs in all, refused ones too, or more. */
void await_subscribes (guint least);
/* Waits for just so many; the last granted. */
struct helix_subscribe expect_subscribes (guint count);
/* The next INFO, WARNING or ERROR is of this type and contains `word`. */
void expect_message (GstMessageType type, const gchar *word);
void expect_no_message (void);

#endif /* QEMUSRC_FIXTURE_H */

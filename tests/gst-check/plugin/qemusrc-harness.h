/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A helixqemusrc to be tested, and the numbers in its pictures. */
#ifndef QEMUSRC_HARNESS_H
#define QEMUSRC_HARNESS_H

#include <gst/check/gstharness.h>
#include <gst/video/video.h>

/* The element with its socket and further properties set, and a downstream
 * that takes `caps`. */
GstHarness *qemusrc_harness_new (
    const gchar *path, const gchar *caps, const gchar *first, ...);
/* From downstream's caps. */
void qemusrc_info (GstHarness *h, GstVideoInfo *info);
/* The number of the marker, which must be there. */
guint32 qemusrc_number (GstVideoInfo *info, GstBuffer *buffer);
/* The next buffer, which must show this number. */
GstBuffer *qemusrc_expect (GstHarness *h, guint32 number);
/* A field of the property `stats`, which must be there. */
guint64 qemusrc_stat (GstElement *element, const gchar *name);

#endif /* QEMUSRC_HARNESS_H */

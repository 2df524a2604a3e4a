/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * GstCaps of encoded video to the CAPS message, and back.
 */
#ifndef HELIX_STREAM_CAPS_H
#define HELIX_STREAM_CAPS_H

#include <gst/gst.h>

#include "helix-protocol.h"

G_BEGIN_DECLS

/* What helixsrc can give. */
#define HELIX_STREAM_SRC_CAPS \
  "video/x-h264, stream-format = (string) byte-stream, " \
  "alignment = (string) au; " \
  "video/x-h265, stream-format = (string) byte-stream, " \
  "alignment = (string) au; " \
  "video/x-av1, stream-format = (string) obu-stream, " \
  "alignment = (string) tu; " \
  "video/x-vp8; video/x-vp9; image/jpeg"

/* What helixguestsink takes: it brings H.264 and H.265 into the form above. */
#define HELIX_STREAM_SINK_CAPS \
  "video/x-h264, stream-format = (string) { byte-stream, avc, avc3 }, " \
  "alignment = (string) au; " \
  "video/x-h265, stream-format = (string) { byte-stream, hvc1, hev1 }, " \
  "alignment = (string) au; " \
  "video/x-av1, stream-format = (string) obu-stream, " \
  "alignment = (string) tu; " \
  "video/x-vp8; video/x-vp9; image/jpeg"

/* Fills everything but caps_id. FALSE, and *why (a static sentence), for caps
 * of another kind, or without a size within HELIX_MAX_DIMENSION. */
gboolean helix_stream_caps_to_wire (
    const GstCaps *caps, struct helix_caps *wire, const gchar **why);

/* NULL for a codec that this version does not know. */
GstCaps *helix_stream_caps_from_wire (const struct helix_caps *wire);

G_END_DECLS

#endif /* HELIX_STREAM_CAPS_H */

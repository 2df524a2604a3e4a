/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What must be known of a NAL unit to carry it: its kind, the id of a
 * parameter set, and where it ends. ITU-T H.264 (08/2021) 7.3, 7.4.1 and
 * Annex B; H.265 (08/2021) 7.3.1, 7.3.2 and Annex B.
 */
#ifndef HELIX_NAL_H
#define HELIX_NAL_H

#include <glib.h>

G_BEGIN_DECLS

typedef struct {
  const guint8 *data; /* header included, start code excluded */
  gsize size;         /* at least 1 (H.264) or 2 (H.265) */
} HelixNal;

typedef enum {
  HELIX_NAL_OTHER,
  HELIX_NAL_VPS, /* H.265 only */
  HELIX_NAL_SPS,
  HELIX_NAL_PPS,
  HELIX_NAL_AUD,
  HELIX_NAL_SLICE,    /* a picture's data */
  HELIX_NAL_KEY,      /* likewise, and decoding can start there */
  HELIX_NAL_RECOVERY, /* an SEI with a recovery point (payload type 6) */
} HelixNalKind;

HelixNalKind helix_nal_kind (const HelixNal *nal, gboolean h265);

/* The parameter set's own id, or -1 if it cannot be read. */
gint helix_nal_parameter_id (const HelixNal *nal, gboolean h265);

/* Cuts the next NAL unit out of Annex B bytes at *data, and advances. FALSE
 * at the end, and where no start code is. */
gboolean helix_nal_next_annexb (
    const guint8 **data, gsize *size, HelixNal *nal);

/* Likewise behind `prefix` bytes of big-endian length. FALSE at the end and
 * when a length is more than there is (then *size is not 0). */
gboolean helix_nal_next_prefixed (
    const guint8 **data, gsize *size, guint prefix, HelixNal *nal);

G_END_DECLS

#endif /* HELIX_NAL_H */

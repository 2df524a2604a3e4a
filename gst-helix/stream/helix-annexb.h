/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * H.264 and H.265 access units on their way to the wire: Annex B, with the
 * parameter sets in band before every unit that decoding can start at.
 *
 * avc, avc3, hvc1 and hev1 are converted; byte-stream is checked, and passed
 * untouched (no copy) unless parameter sets have to be put in. They are
 * remembered by kind and id, from codec_data and from the stream.
 *
 * Input is an encoder's, but is read as if it were hostile: no length is
 * believed, and the memory for parameter sets is bounded.
 */
#ifndef HELIX_ANNEXB_H
#define HELIX_ANNEXB_H

#include <gst/gst.h>

G_BEGIN_DECLS

typedef struct _HelixAnnexb HelixAnnexb;

typedef enum {
  HELIX_ANNEXB_OK,      /* *out is a unit */
  HELIX_ANNEXB_HEADERS, /* nothing but parameter sets: remembered, no unit */
  HELIX_ANNEXB_ORPHAN,  /* a key unit, but its parameter sets never came */
  HELIX_ANNEXB_BROKEN,  /* malformed; *why says how */
} HelixAnnexbResult;

/* For caps video/x-h264 or video/x-h265. NULL and `why` (a static sentence)
 * when codec_data is missing where it must not be, or malformed. */
HelixAnnexb *helix_annexb_new (const GstCaps *caps, const gchar **why);
void helix_annexb_free (HelixAnnexb *self);

/* Takes one access unit (the reference stays the caller's). On OK, *out is a
 * new reference, *key whether decoding can start there. */
HelixAnnexbResult helix_annexb_convert (HelixAnnexb *self, GstBuffer *in,
    GstBuffer **out, gboolean *key, const gchar **why);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HelixAnnexb, helix_annexb_free)

G_END_DECLS

#endif /* HELIX_ANNEXB_H */

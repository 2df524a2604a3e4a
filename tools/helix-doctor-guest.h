/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What helix doctor received in the guest, from its first keyframe on.
 */
#ifndef HELIX_DOCTOR_GUEST_H
#define HELIX_DOCTOR_GUEST_H

#include "helix-doctor.h"
#include "helix-protocol.h"

G_BEGIN_DECLS

struct _HelixDoctorUnits {
  struct helix_caps caps; /* caps_id 0: none came */
  GPtrArray *units;       /* GBytes, from the first keyframe on */
  gsize kept;             /* bytes in them */
  guint came, keyframes;  /* all that came */
  guint64 bytes;
  guint64 first_key_ns;   /* from WELCOME to the first keyframe */
  const gchar *malformed; /* what was wrong with one, or NULL */
};

G_END_DECLS

#endif /* HELIX_DOCTOR_GUEST_H */

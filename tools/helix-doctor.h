/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * helix doctor: what its checks share. helix-doctor.c has the list of them.
 * Those of one walk run one after the other; the walks run at once, each in a
 * thread of its own, and share nothing that changes.
 */
#ifndef HELIX_DOCTOR_H
#define HELIX_DOCTOR_H

#include <gio/gio.h>

#include "helix-address.h"
#include "helix-probe.h"
#include "helix-process.h"
#include "helix-report.h"
#include "helix-role.h"
#include "helix-vms.h"

G_BEGIN_DECLS

/* What was asked for. */
typedef struct {
  HelixRole role;
  const gchar *socket;  /* or NULL */
  const gchar *address; /* never NULL */
  const gchar *token;   /* or NULL */
  gint scanout;         /* the one that is meant, or -1 */
  guint64 answer_ns;    /* longest wait for one answer */
  guint64 deadline;     /* helix_now_ns () time: nothing lasts longer */
  GCancellable *cancel; /* of name look-ups, raised at the deadline */
} HelixDoctor;

/* What is seen of a scanout while it is watched. */
typedef struct {
  gboolean asked;
  guint frames;
  guint64 first_ns; /* from the subscription to the first frame */
  guint64 last_ns;  /* likewise, to the last */
  gdouble fps;      /* after the first; 0 when it stands still */
  gchar refused[HELIX_MAX_TEXT + 1]; /* why it cannot be watched, or "" */
} HelixWatched;

/* A walk: what its checks found out for those after them. */
typedef struct {
  const HelixDoctor *doctor;
  guint check;         /* the number of the one that runs */
  GPtrArray *report;   /* HelixFinding */
  HelixProbe *probe;   /* to the shim, or to helixguestsink; or NULL */
  HelixProcess server; /* who serves it, as far as that is known */
  HelixListing before, now;

  /* to the shim */
  HelixVms *vms;
  HelixWatched watched[HELIX_MAX_SCANOUTS];

  /* to helixguestsink */
  HelixAddress *where;

  /* in the guest: what was received */
  struct helix_caps caps; /* caps_id 0: none came */
  GPtrArray *units;       /* GBytes, from the first keyframe on */
  gsize kept;             /* bytes in them */
  guint came, keyframes;  /* all that came */
} HelixWalk;

/* The number of the check that follows HELLO on a serial line, else it is the
 * other way round. */
#define HELIX_CHECK_ANSWER 21

/* A finding of the check that runs; the format is helix_report_add ()'s. */
HelixFinding *helix_walk_found (HelixWalk *walk, HelixVerdict verdict,
    const gchar *format, ...) G_GNUC_PRINTF (3, 4);
/* Until when an answer to what is asked now may come. */
guint64 helix_walk_soon (const HelixWalk *walk);

/* PING. A finding, if PONG comes; else FALSE and an error. */
gboolean helix_walk_ping (HelixWalk *walk, GError **error);

/* What to do about a probe that failed. */
typedef struct {
  HelixLoss loss;      /* NONE ends a table, and is for all others */
  guint32 code;        /* REFUSED: enum helix_error_code, 0 = any */
  const gchar *remedy; /* without a full stop */
} HelixRemedy;
const gchar *helix_walk_remedy (
    const HelixWalk *walk, const HelixRemedy *table, const GError *error);
/* "no WHAT from WHOM": the probe failed by `error`. */
HelixFinding *helix_walk_unanswered (HelixWalk *walk, const gchar *what,
    const gchar *whom, const GError *error, const gchar *remedy);

/* The checks. FALSE: those behind it in its walk cannot be made. */
gboolean helix_check_vm (HelixWalk *walk);
gboolean helix_check_socket (HelixWalk *walk);
gboolean helix_check_listen (HelixWalk *walk);
gboolean helix_check_ping (HelixWalk *walk);
gboolean helix_check_shim (HelixWalk *walk);
gboolean helix_check_scanout (HelixWalk *walk);
gboolean helix_check_frames (HelixWalk *walk);
gboolean helix_check_pipeline (HelixWalk *walk);

gboolean helix_check_plugin (HelixWalk *walk);
gboolean helix_check_encoder (HelixWalk *walk);

gboolean helix_check_connect (HelixWalk *walk);
gboolean helix_check_answer (HelixWalk *walk);
gboolean helix_check_stream (HelixWalk *walk);
gboolean helix_check_sent (HelixWalk *walk); /* units, as the host sees */
gboolean helix_check_guest (HelixWalk *walk);
gboolean helix_check_received (HelixWalk *walk); /* units, as a guest does */
gboolean helix_check_parse (HelixWalk *walk);
/* After gst_init (), which happens in helix_check_plugin (). */
gboolean helix_check_decode (HelixWalk *walk);

G_END_DECLS

#endif /* HELIX_DOCTOR_H */

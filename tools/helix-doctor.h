/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * helix doctor: what its checks share. Checks of one walk run one after the
 * other; the walks run at once, each in a thread of its own, and share nothing
 * that changes.
 */
#ifndef HELIX_DOCTOR_H
#define HELIX_DOCTOR_H

#include <gio/gio.h>
#include <stdio.h>

#include "helix-address.h"
#include "helix-probe.h"
#include "helix-process.h"
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

typedef struct _HelixWalk HelixWalk;

typedef struct {
  const gchar *name; /* NULL ends a table */
  guint number;      /* a check that is made in two ways has one number */
  guint roles;       /* HelixRole bits */
  /* FALSE: the checks behind it in its walk cannot be made. */
  gboolean (*run) (HelixWalk *walk);
} HelixCheck;

/* Of each walk. Causes come before their effects. The number of the first check
 * that fails is the exit status, so the numbers stay (tools/helix.1 lists
 * them). */
extern const HelixCheck helix_checks_elements[]; /* what GStreamer has */
extern const HelixCheck helix_checks_frames[];   /* VM to the host's pipeline */
extern const HelixCheck helix_checks_stream[]; /* helixguestsink to the guest */
/* They go on with the walk of helix_checks_stream, when all walks are back. */
extern const HelixCheck helix_checks_decode[];

/* ---- what is found ---- */

typedef enum {
  HELIX_VERDICT_OK,
  HELIX_VERDICT_NOTE, /* works, but not as it might be meant */
  HELIX_VERDICT_FAIL,
  HELIX_VERDICT_SKIP, /* not looked at, since something before it failed */
} HelixVerdict;

typedef struct {
  const HelixCheck *check;
  HelixVerdict verdict;
  gchar *text;       /* with cause and remedy */
  JsonBuilder *json; /* in its object of facts */
} HelixFinding;

/* One line: verdict, name of the check, text. */
void helix_finding_print (
    const HelixFinding *self, FILE *out, gboolean colours);
/* Once only: it ends the object. */
void helix_finding_json (const HelixFinding *self, JsonBuilder *json);

/* ---- walks ---- */

/* What is seen of a scanout while it is watched. */
typedef struct {
  guint frames;
  guint64 first_ns; /* from the subscription to the first frame */
  guint64 last_ns;  /* likewise, to the last */
  gchar refused[HELIX_MAX_TEXT + 1]; /* why it cannot be watched, or "" */
} HelixWatched;

/* What its checks found out for those after them. */
struct _HelixWalk {
  const HelixDoctor *doctor;
  const HelixCheck *check; /* that runs */
  GPtrArray *report;       /* HelixFinding, owned */
  JsonBuilder *facts;      /* of the last one */
  HelixProbe *probe;       /* to the shim, or to helixguestsink; or NULL */
  HelixProcess server;     /* that serves it, as far as that is known */
  /* What to do about a server that did not answer, which `error` tells. */
  const gchar *(*remedy) (const HelixWalk *walk, const GError *error);

  /* to the shim */
  GPtrArray *vms; /* HelixVm; if there is one, it is connected, or else: */
  GError *error;  /* why it cannot be connected to */
  HelixWatched watched[HELIX_MAX_SCANOUTS];
  guint asked;   /* a bit for each of them that is watched */
  guint awaited; /* likewise, of which nothing came so far */

  /* to helixguestsink */
  HelixAddress *where;

  /* in the guest: what was received */
  GPtrArray *units;      /* GBytes, from the first keyframe on */
  gsize kept;            /* bytes in them */
  guint came, keyframes; /* all that came */

  /* helix-doctor.c's */
  GThread *thread;
  gboolean done;
};

/* In a format: text [BECAUSE cause] [REMEDY remedy], each without a full stop.
 * They are control characters, which no text of a peer contains. */
#define BECAUSE "\036"
#define REMEDY "\037"

/* Adds a finding of the check that runs. Returns whether it is no failure. */
gboolean helix_walk_found (HelixWalk *walk, HelixVerdict verdict,
    const gchar *format, ...) G_GNUC_PRINTF (3, 4);
#define helix_walk_ok(walk, ...) \
  helix_walk_found (walk, HELIX_VERDICT_OK, __VA_ARGS__)
#define helix_walk_note(walk, ...) \
  helix_walk_found (walk, HELIX_VERDICT_NOTE, __VA_ARGS__)
#define helix_walk_fail(walk, ...) \
  helix_walk_found (walk, HELIX_VERDICT_FAIL, __VA_ARGS__)

/* `where` cannot be connected to; `error` is "WHERE: CAUSE. REMEDY." `remedy`,
 * unless NULL, is said in place of REMEDY. Returns FALSE. */
gboolean helix_walk_unreachable (HelixWalk *walk, const gchar *where,
    const GError *error, const gchar *remedy);

/* Until when an answer to what is asked now may come. */
guint64 helix_walk_soon (const HelixWalk *walk);

/* Each is a finding; FALSE: it is a failure. */

/* PING until PONG. */
gboolean helix_walk_ping (HelixWalk *walk);
/* HELLO until WELCOME. */
gboolean helix_walk_hello (
    HelixWalk *walk, enum helix_role role, const gchar *token);
/* "no WHAT from" the server: the probe failed by `error`. Returns FALSE. */
gboolean helix_walk_unanswered (
    HelixWalk *walk, const gchar *what, const GError *error);

/* What to do about a probe that failed. */
typedef struct {
  HelixLoss loss;      /* NONE ends a table, and is for all others */
  guint32 code;        /* REFUSED: enum helix_error_code, 0 = any */
  const gchar *remedy; /* without a full stop */
} HelixRemedy;
const gchar *helix_walk_remedy (
    const HelixWalk *walk, const HelixRemedy *table, const GError *error);
G_END_DECLS

#endif /* HELIX_DOCTOR_H */
